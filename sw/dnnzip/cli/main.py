"""The entry point of the command line, and the status of its process."""

import sys

import click

from dnnzip.cli.announcements import ignore_announcements
from dnnzip.cli.debug_option import Wishes
from dnnzip.cli.endings import end, ending_of
from dnnzip.cli.group import cli
from dnnzip.errors import CheckFailedError, DnnzipError, InputError
from dnnzip.system import signals
from dnnzip.system.streams import drop
from dnnzip.system.terminal import let_streams_show_all
from dnnzip.system.waits import show_waits


def main() -> None:
    """Run the command line; the process ends with 0, 1 for a failed check, 2 for bad input or usage, 70 for a bug."""
    ignore_announcements()
    let_streams_show_all()
    wishes = Wishes()
    show_waits()
    try:
        cli.main(prog_name="dnnzip", standalone_mode=False, obj=wishes)
    except click.exceptions.NoArgsIsHelpError as error:
        end("no command given; see dnnzip --help", InputError.exit_code) if not error.ctx else _show_help(error)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "dnnzip"
        end(f"{error.format_message()} (see {command} --help)", InputError.exit_code)
    except click.ClickException as error:
        end(error.format_message(), InputError.exit_code)
    except DnnzipError as error:
        end(*ending_of(error))
    except (click.Abort, KeyboardInterrupt):
        end(signals.message(), signals.status())
    except BrokenPipeError:
        # The reader of standard output has gone; nothing more can be said there.
        drop(sys.stdout)
        sys.exit(CheckFailedError.exit_code)
    except Exception as error:  # noqa: BLE001 - the end of the process: whatever nobody foresaw is reported here
        end(*ending_of(error, shows_traceback=wishes.shows_traceback))


def _show_help(error: click.exceptions.NoArgsIsHelpError) -> None:
    try:
        click.echo(error.format_message(), err=True)
    except OSError:
        drop(sys.stderr)
    sys.exit(InputError.exit_code)
