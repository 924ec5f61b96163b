"""Results of a command: tables to standard output, JSON and models to files."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from dnnzip.cli.file_parameters import (
    STANDARD_OUTPUT,
    OutputFile,
    takes_standard_output,
)
from dnnzip.errors import CheckFailedError
from dnnzip.system.outputs import OutputSet
from dnnzip.system.streams import standard_output
from dnnzip.system.terminal import printable
from dnnzip.system.waits import error_console, show_waits

if TYPE_CHECKING:
    import onnx

    from dnnzip.presentation.tables import TextTable
    from dnnzip.system.spool import Spool

Command = TypeVar("Command", bound=Callable[..., Any])


class Output:
    """Destinations of a command's results: tables to standard output, JSON and models to files.

    Parameters
    ----------
    json_file
        The option ``--json``: a file, ``-`` for standard output, or None.
    quiet
        The option ``--quiet``, or that another output claims standard output.
    files
        The set of the command's files, which get their names when the command ends.
    """

    def __init__(self, json_file: str | None, quiet: bool, files: OutputSet) -> None:
        self.files = files
        self.json_file = json_file
        self.quiet = quiet or json_file == STANDARD_OUTPUT

    def table(self, table: "TextTable", *lines: str) -> None:
        """Print a table and the lines under it, unless ``--quiet``, or ``-`` claims standard output."""
        if self.quiet or sys.stdout is None:
            return
        from dnnzip.presentation.tables import stdout_console

        console = stdout_console()
        with standard_output():
            if table.rows:
                table.show(console)
            for line in lines:
                console.print(printable(line), soft_wrap=True)

    def json(self, content: dict[str, Any]) -> None:
        """Write the JSON object where ``--json`` says."""
        if self.json_file:
            self.write((json.dumps(content, indent=2, allow_nan=False) + "\n").encode(), self.json_file)

    def write(self, content: bytes, target: str) -> None:
        """Write a file, or to standard output where its name is ``-``."""
        if target == STANDARD_OUTPUT:
            with standard_output() as file:
                file.write(content)
        else:
            self.files.write(target, content)

    def save(self, model: "onnx.ModelProto", target: str) -> None:
        """Write a model to a file, or to standard output where its name is ``-``."""
        from dnnzip.onnx.files import save_model, write_model

        if target == STANDARD_OUTPUT:
            with standard_output() as file:
                write_model(model, file, STANDARD_OUTPUT)
        else:
            save_model(model, target, self.files)

    def spool(self, target: str) -> "AbstractContextManager[Spool]":
        """Open a spool for an output, see `open_spool`."""
        from dnnzip.system.spool import open_spool

        return open_spool("/dev/stdout" if target == STANDARD_OUTPUT else target)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[str], None]]:
        """Show a progress bar on standard error while it is a terminal; yield the function to call at each step."""
        from rich.progress import Progress

        is_hidden = self.quiet or not (sys.stderr and sys.stderr.isatty())
        with Progress(console=error_console(), transient=True, disable=is_hidden) as bar:
            task = bar.add_task(what, total=total)
            yield lambda _: bar.advance(task)


def output_options(command: Command) -> Command:
    """Give a command ``--json`` and ``--quiet``, passed on as ``output``."""

    @wraps(command)
    def with_output(*arguments: Any, json_file: str | None, quiet: bool, **options: Any) -> Any:
        show_waits(not quiet)
        is_quiet = quiet or takes_standard_output(click.get_current_context())
        with OutputSet() as files:
            try:
                return command(*arguments, output=Output(json_file, is_quiet, files), **options)
            except (CheckFailedError, BrokenPipeError, SystemExit):
                # What a failed check found is a result; and who reads no further (Rich then exits) wants no less of
                # what was made.
                files.give_names()
                raise

    json_option = click.option(
        "--json",
        "json_file",
        type=OutputFile(is_text=True),
        metavar="FILE",
        help="Write results as JSON; - for standard output.",
    )
    quiet_option = click.option("--quiet", is_flag=True, help="Print no table, and not what a first run waits for.")
    return cast(Command, quiet_option(json_option(with_output)))
