"""The program ``dnnzip``: a group of commands, each loaded when it is called."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from dnnzip import __version__
from dnnzip.cli.catalogue import COMMANDS, ENTRY_POINTS, Listed
from dnnzip.cli.debug_option import debug_option
from dnnzip.cli.file_parameters import FileCommand
from dnnzip.system import extras
from dnnzip.system.streams import printing

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    from click.shell_completion import CompletionItem


def _entry_points(name: str | None = None) -> "EntryPoints":
    """Return the entry points of commands; what reads them is loaded when a list or such a command needs it."""
    from importlib.metadata import entry_points

    found = entry_points(group=ENTRY_POINTS)
    return found if name is None else found.select(name=name)


class Commands(click.Group):
    """The group of the commands of the table, with those that other packages provide."""

    command_class = FileCommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        own = (name for name, listed in COMMANDS.items() if listed.module)
        return sorted({*super().list_commands(ctx), *own, *(point.name for point in _entry_points())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name; one of an extra that is not installed says so when it is called."""
        return super().get_command(ctx, cmd_name) or _found(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line; of a name that is none, the closest names of all commands are said."""
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(
                error.command_name, possibilities=self.list_commands(ctx), ctx=ctx
            ) from None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; some of them print and end the command."""
        with printing():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; click would answer each interrupt with an empty line of its own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if sys.stderr and sys.stderr.isatty():
                print(file=sys.stderr)  # ends the line that the terminal has put ^C on
            raise click.Abort from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; those of the table are not loaded for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Return the commands and options that a word may become; commands of the table are not loaded for it."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=self._summary(ctx, name)) for name in names), *options]

    def _summary(self, ctx: click.Context, name: str) -> str:
        """Return a command's summary, with the extra that it needs."""
        if name in COMMANDS:
            listed = COMMANDS[name]
            return f"{listed.summary} [{listed.extra}]" if listed.extra else listed.summary
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=100) if command else ""


def _found(name: str) -> click.Command | None:
    """Load a command of the table, or of an entry point."""
    listed = COMMANDS.get(name, Listed("It comes with another package."))
    try:
        if listed.module:
            command: click.Command = getattr(import_module(listed.module), name)
            return command
        for point in _entry_points(name=name):
            loaded: click.Command = point.load()
            return loaded
    except ImportError as error:
        return _without_its_extra(name, listed, error)
    return None


def _without_its_extra(name: str, listed: Listed, error: ImportError) -> click.Command:
    """Return the command in the place of one whose modules are not all installed."""
    refusal = extras.missing(name, error.name, listed.extra)

    @click.command(
        name,
        cls=FileCommand,
        help=f"{listed.summary}\n\nNot available: {refusal}.",
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(**_: Any) -> None:
        raise refusal

    return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="In brackets: the extra that a command needs. simulate and run need sim with --link sim and board with "
    "--link serial, --images needs images. `dnnzip doctor` says which are installed, and how to get the others.",
    help="""Compress the weights of neural networks with a bounded error, and decode them in hardware.

    Shell completion: eval "$(_DNNZIP_COMPLETE=bash_source dnnzip)", or zsh_source, fish_source.
    """,
)
@click.version_option(__version__, prog_name="dnnzip")
def cli() -> None:
    """Run `dnnzip`: options that are common to all commands."""


cli.params.append(debug_option(hidden=False))
