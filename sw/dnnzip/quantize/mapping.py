"""Float weights onto a mapped grid: without any loss, or within a share of each weight.

A share p keeps the fewest bits k of the mantissa with |w - w'| <= p |w| for every weight, which is checked on each
decoded weight. Rounding to nearest makes at most 2^-(k+1) |w|, but for a weight below the normal range of float32, or
next to the largest number of its type, which may need more bits. A number of a narrow type that is rounded to k bits
of mantissa is one of its type again, subnormal ones included: its significant bits are among those of the original.
"""

import numpy as np
from numpy.typing import NDArray

from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.float_bits import MOST_MANTISSA_BITS, Bits, bits_of, cut_patterns, patterns_of, whole_floats
from dnnzip.quantize.float_map import fitting_map
from dnnzip.quantize.grid import Lossless, MappedGrid, Quantised, kept_as_they_are
from dnnzip.quantize.tolerance import COMPARED, largest_relative_error
from dnnzip.quantize.weights import Weights


def quantise_mapped(weight: Weights, bound: Bound, scope: Scope) -> Quantised:
    """Map the bits of finite float weights, all or as many as a share of each weight needs.

    Where a share needs as many as there are, all are kept; a type without a map keeps its bytes.

    Parameters
    ----------
    bound
        In the unit LOSSLESS or RELATIVE.
    """
    own = bits_of(weight.element)
    share = float(bound.value) if bound.unit is Unit.RELATIVE else 0.0
    tolerated = np.array(share)
    if share:
        found = _fewest_bits(weight.array, share, MOST_MANTISSA_BITS if own is None else own.mantissa_bits)
        if found is not None:
            kept, error = found
            rows = cut_patterns(weight.layout.to_channels(weight.array), kept)
            grid = MappedGrid(weight.element, tolerated, np.array(error), bound.text, scope, 0, kept)
            return _mapped(rows, _with_base(rows, grid))
    if own is None:
        return kept_as_they_are(weight.array, Lossless(weight.element, tolerated, np.zeros(()), bound.text, scope))
    rows = patterns_of(weight.layout.to_channels(weight.array))
    return _mapped(rows, _with_base(rows, MappedGrid(weight.element, tolerated, np.zeros(()), bound.text, scope, 0)))


def mapped_again(weight: Weights, grid: MappedGrid) -> Quantised:
    """Make the codes anew of a tensor that `quantise_mapped` put on a grid."""
    channels = weight.layout.to_channels(weight.array)
    kept = grid.mantissa_bits
    return _mapped(patterns_of(channels) if kept is None else cut_patterns(channels, kept), grid)


def _fewest_bits(array: NDArray[np.generic], share: float, most: int) -> tuple[int, float] | None:
    """Return the fewest bits of the mantissa that keep a share of each weight, fewer than ``most``, and the error."""
    values = array.reshape(-1)
    parts = [values[start : start + COMPARED] for start in range(0, values.size, COMPARED)]
    for kept in range(1, most):
        error = 0.0
        for part in parts:
            restored = whole_floats(cut_patterns(part, kept), kept, array.dtype)
            # A NaN stays one here, which is no number up to the share.
            error = float(np.maximum(error, largest_relative_error(part, restored)))
            if not error <= share:
                break
        else:
            return kept, error
    return None


def _with_base(rows: Bits, grid: MappedGrid) -> MappedGrid:
    """Return a grid with the base that suits patterns of weights, [channels, length]."""
    bits = grid.bits
    base = fitting_map(bits.split(rows)[0], bits.magnitude_bits, bits.upper_mantissa_bits).base
    return MappedGrid(grid.element, grid.bound, grid.error, grid.spec, grid.scope, base, grid.mantissa_bits)


def _mapped(rows: Bits, grid: MappedGrid) -> Quantised:
    """Return patterns of weights, [channels, length], as codes and low bits."""
    upper, low = grid.bits.split(rows)
    codes = grid.map.codes(upper)
    return Quantised(grid, codes if low is None else np.concatenate([codes, low]))
