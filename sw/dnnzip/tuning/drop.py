"""The drop in accuracy that is allowed, as the user writes it: ``1%`` is a point of top-1."""

from dnnzip.errors import InputError, field_name

RIGHT = "give points of accuracy as a percentage from 0% to 100%, such as 1%"


def parse_drop(text: str) -> float:
    """Return the option ``--max-drop`` as a share of the samples, 0 to 1.

    A number without its ``%`` is refused: for ``--max-error`` it is an absolute error, and nobody can tell whether 0.01
    of an accuracy is a point or a hundredth of one.

    Raises
    ------
    InputError
        It is no percentage from 0 to 100.
    """
    where = f"{field_name('max_drop')} {text!r}"
    number, percent, rest = text.strip().partition("%")
    try:
        share = float(number) / 100
    except ValueError:
        raise InputError(where, "is no percentage", RIGHT) from None
    if not percent:
        raise InputError(where, "has no unit", _hint(100 * share))
    if rest:
        raise InputError(where, "is no percentage", RIGHT)
    if not 0 <= share <= 1:
        raise InputError(where, "is out of range", RIGHT)
    return share


def _hint(number: float) -> str:
    """Return the right form of a drop given as a bare number."""
    if 0 < number < 1:
        return f"give points of accuracy: {number:g}%, or {100 * number:g}% if it is a share"
    return f"give points of accuracy: {number:g}%" if 1 <= number <= 100 else RIGHT
