"""Decoded values: the weights of codes at a step, one by one in compiled loops or all at once."""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import loop
from dnnzip.quantize.element_type import IN_DOUBLE, ElementType, rounded


@loop
def decoded_value(code, step, rounding):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the value of a code (float64) at a float32 step, as float64; it rises with the code."""
    if rounding == IN_DOUBLE:
        return np.float64(code) * np.float64(step)
    return rounded(np.float32(np.float32(code) * step), rounding)


def decoded_values(codes: NDArray[np.int16], step: NDArray[np.float32], element: ElementType) -> NDArray[np.generic]:
    """Return the weights of codes, [channels, length]: ``float32(code) * step`` in float32, then rounded to the type.

    Of float64 the product is that of float64 numbers, which is exact.

    Parameters
    ----------
    codes
        int16 [channels, length].
    step
        float32, scalar or [channels].
    """
    steps = step[:, None] if step.ndim else step
    # A damaged file may hold any step: infinities are then the value, not a fault of this process.
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        product = codes.astype(element.arithmetic)
        product *= steps
        return product.astype(element.dtype, copy=False)
