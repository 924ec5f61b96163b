"""The frame of the bench's commands: common options, progress, the tables that they show, the files that they keep."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from dnnzip.cli.endings import failing_in_one_line
from dnnzip.errors import InputError
from dnnzip.presentation.tables import TextTable, stdout_console
from dnnzip.system.outputs import write_output
from dnnzip.usecases.provenance import provenance

BUILD = Path("build")
"""Where commands keep what they have measured, a folder for each."""

models_argument = click.argument("models", nargs=-1, type=click.Path(path_type=Path))
page_option = click.option(
    "--page", type=click.Path(path_type=Path, dir_okay=False), help="Fill the marked parts of this Markdown page."
)
json_option = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Everything that was measured, as JSON."
)


class Listed(click.ParamType[tuple[Any, ...]]):
    """Values of one type with commas between them."""

    def __init__(self, kind: Any) -> None:
        self.kind = click.types.convert_type(kind)
        self.name = f"{self.kind.name},..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Return the values."""
        if isinstance(value, tuple):
            return value
        return tuple(self.kind.convert(part, param, ctx) for part in value.split(","))


def folder_option(default: Path | None = None, what: str = "Where the results go.") -> Any:
    """Return the option ``-o``, required where there is no default."""
    kind = click.Path(path_type=Path)
    return click.option("-o", "--output", "folder", type=kind, default=default, required=default is None, help=what)


@failing_in_one_line()
def run(command: click.Command, arguments: Sequence[str] | None = None) -> None:
    """Run a command with these arguments, or those of the process; a user's mistake is one line on standard error."""
    command.main(arguments, standalone_mode=True)


def told(what: str) -> None:
    """Say on a terminal what is measured, or was."""
    if sys.stderr.isatty():
        click.echo(what, err=True)


def show(*parts: TextTable | str) -> None:
    """Print tables, and the lines between them."""
    console = stdout_console()
    for part in parts:
        if isinstance(part, str):
            console.print(part, soft_wrap=True)
        else:
            part.show(console)


def write(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all, its folder made where it is missing.

    Raises
    ------
    InputError
        It cannot be written.
    """
    make_folder(path.parent)
    write_output(path, content if isinstance(content, bytes) else content.encode())


def make_folder(folder: Path) -> None:
    """Make a folder for outputs.

    Raises
    ------
    InputError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(str(folder), f"cannot be made ({error.strerror})", "name a folder to write to") from None


def write_json(path: Path | None, content: object) -> None:
    """Write JSON, if a file is given."""
    if path is not None:
        write(path, json.dumps(content, indent=1) + "\n")


def keep(folder: Path, name: str, content: Mapping[str, object], text: str) -> None:
    """Write what was measured as ``NAME.json``, with its provenance, and as ``NAME.md``."""
    write_json(folder / f"{name}.json", {"provenance": provenance(), **content})
    write(folder / f"{name}.md", text)
