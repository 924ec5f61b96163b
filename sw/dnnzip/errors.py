"""Every error that a user of dnnzip can cause.

One base class, ``DnnzipError``; the command line prints its message as one line and leaves with its ``exit_code``.
Anything else that is raised is an error of ours, an internal error: one line too, see `dnnzip.cli.endings`. A subclass
takes the facts and makes the sentence: which file, layer or option, what is wrong, what would be right.
"""


class DnnzipError(Exception):
    """Base of every error that a user can cause; ``exit_code`` is the status of the process."""

    exit_code = 2


class InputError(DnnzipError):
    """A file, a model, a data set or a bound that cannot be used.

    Parameters
    ----------
    where
        File, layer or option that is at fault, as the user named it.
    wrong
        What is wrong with it.
    right
        What would be right; left out where the first two say it.
    """

    def __init__(self, where: str, wrong: str, right: str | None = None) -> None:
        self.where = where
        self._facts = (where, wrong, right)
        super().__init__(f"{where}: {wrong}" + (f"; {right}" if right else ""))

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str, str | None]]:
        # Made again from its facts where it comes from another process: an exception would be from its message.
        return type(self), self._facts


class CheckFailedError(DnnzipError):
    """A check that ran to its end and failed: a bound, a comparison bit for bit, an accuracy."""

    exit_code = 1


class MissingToolError(DnnzipError):
    """A program or an extra that this command needs is not installed; the message says how to get it."""
