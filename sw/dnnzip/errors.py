"""Every error that a user of dnnzip can cause.

One base class, ``DnnzipError``; the command line prints its message as one line and leaves with its ``exit_code``.
Anything else that is raised is an error of ours, an internal error: one line too, see `dnnzip.cli.endings`. A subclass
takes the facts and makes the sentence: which file, layer or field, what is wrong, what would be right.
"""

import re
from collections.abc import Callable

_FIELD = re.compile("\ue000([a-z_]+)\ue001")


def field_name(name: str) -> str:
    """Name a field of a request in a message: an argument in Python, an option on the command line.

    Parameters
    ----------
    name
        The argument's name, such as ``max_error``.
    """
    return f"\ue000{name}\ue001"


def with_fields(text: str, shown: Callable[[str], str]) -> str:
    """Return a text with each name that `field_name` marked as `shown` writes it."""
    return _FIELD.sub(lambda match: shown(match[1]), text)


class DnnzipError(Exception):
    """Base of every error that a user can cause; ``exit_code`` is the status of the process.

    Parameters
    ----------
    message
        One line, in which fields are named by `field_name`. ``str()`` shows them as arguments.
    """

    exit_code = 2

    def text(self, shown: Callable[[str], str] = str) -> str:
        """Return the message with each field's name as `shown` writes it."""
        return with_fields(super().__str__(), shown)

    def __str__(self) -> str:
        return self.text()


class InputError(DnnzipError):
    """A file, a model, a data set or a bound that cannot be used.

    Parameters
    ----------
    where
        File, layer or field that is at fault; see `field_name`.
    wrong
        What is wrong with it.
    right
        What would be right; left out where the first two say it.
    """

    def __init__(self, where: str, wrong: str, right: str | None = None) -> None:
        self.where = where
        self._facts = (where, wrong, right)
        self.is_of_field = bool(_FIELD.match(where))
        super().__init__(f"{where}: {wrong}" + (f"; {right}" if right else ""))

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str | None]]:
        # Made again from its facts where it comes from another process: an exception would be from its message.
        return type(self), self._facts


class CheckFailedError(DnnzipError):
    """A check that ran to its end and failed: a bound, a comparison bit for bit, an accuracy."""

    exit_code = 1


class MissingToolError(DnnzipError):
    """A program or an extra that this command needs is not installed; the message says how to get it."""
