"""The neighbour context: which two decoded weights of the channel choose a weight's table and sign."""

CONTEXTS = 3
"""Values of |a + b|."""


def context(a: int, b: int) -> tuple[int, bool]:
    """Return (context, negate) for the signs ``a`` and ``b`` (-1, 0 or 1) of the two neighbours.

    The context |a + b| picks the table; with ``negate`` the coded value is the weight's negative, so that
    mirrored neighbourhoods share one table.
    """
    return abs(a + b), a < 0 or (a == 0 and b < 0)


def neighbours(position: int, kernel_width: int, kernel_height: int) -> tuple[int | None, int | None]:
    """Return the positions in the channel of the neighbours a and b of a weight; None where there is none.

    a is the left tap (None at the edge of a kernel row), b the tap above (None in the first kernel row). With one
    tap, a and b are the previous weight and the one before it. Taps are counted from the start of the channel.
    """
    taps = kernel_width * kernel_height
    if taps == 1:
        return (position - 1 if position >= 1 else None, position - 2 if position >= 2 else None)
    tap = position % taps
    return (
        position - 1 if tap % kernel_width else None,
        position - kernel_width if tap >= kernel_width else None,
    )
