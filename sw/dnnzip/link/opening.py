"""Links and arrays by their names: entry points, each of them brought by dnnzip or by one of its extras."""

from importlib.metadata import entry_points
from typing import Any

from dnnzip.errors import InputError, field_name
from dnnzip.system import extras


def open_named(what: str, name: str, *given: object) -> Any:
    """Return the link or array of a name.

    The text behind a colon in the name, for example the port in ``serial:/dev/ttyUSB0``, goes to it behind ``given``.

    Parameters
    ----------
    what
        ``link`` or ``array``: the entry points ``dnnzip.links`` or ``dnnzip.arrays``.
    name
        The name, as on the command line.
    given
        Arguments that every one of them takes.

    Raises
    ------
    InputError
        If nothing has the name.
    MissingToolError
        If it needs an extra that is not installed.
    """
    kind, _, argument = name.partition(":")
    found = {point.name: point for point in entry_points(group=f"dnnzip.{what}s")}
    if kind not in found:
        raise InputError(field_name("link"), f"no {what} is named {kind!r}", f"one of {', '.join(sorted(found))}")
    try:
        factory = found[kind].load()
    except (ImportError, AttributeError) as error:
        missing = getattr(error, "name", None) or found[kind].value
        raise extras.missing(f"{field_name('link')} {kind}", missing, extras.LINKS.get(kind, "")) from error
    return factory(*given, argument) if argument else factory(*given)


def take_no_argument(kind: str, what: str, argument: str) -> None:
    """Refuse what follows the colon of a name.

    Raises
    ------
    InputError
        If something does.
    """
    if argument:
        raise InputError(
            f"{field_name('link')} {kind}:{argument}", f"the {what} takes no argument", f"{field_name('link')} {kind}"
        )
