"""The option ``--debug``: of the command line, and of each of its commands.

Before the command's name it is listed in the help. Behind it, it is there for whoever repeats a line that failed and
adds to its end; no command lists it.
"""

import click


class Wishes:
    """The wishes of a call of the command line that its entry point has to know; an object of click's context."""

    def __init__(self) -> None:
        self.shows_traceback = False


def _note(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if value:
        ctx.ensure_object(Wishes).shows_traceback = True


def debug_option(*, hidden: bool) -> click.Option:
    """Return the option; it is given to no function, but noted in the context's `Wishes`."""
    return click.Option(
        ["--debug"],
        is_flag=True,
        hidden=hidden,
        expose_value=False,
        is_eager=True,
        callback=_note,
        help="Show the traceback of an internal error; so does DNNZIP_DEBUG=1.",
    )
