"""The largest step of a uniform grid that keeps an error bound exactly, found by search over float32.

Terms: `a` is the magnitude of a weight, `s` a step, `q` a code. The decoded value is ``d(q, s)``, the float32 product
``float32(q) * s`` rounded to nearest even, and for float16 weights that product rounded once more, to float16, to
nearest even; the error ``|a - d(q, s)|`` is the float64 difference of two such values. A weight is *kept* at a step if
the code nearest to ``a / s`` keeps the bound or, where that one's product rounds the wrong way, its neighbour on the
weight's side does. Signs do not matter: rounding and product are odd functions.

Without rounding, ``s = 2 * bound`` keeps every weight. With it, a weight close to the middle between two codes may miss
by a few units in the last place, so the largest step lies a little below. The search rejects a step only because of a
weight that it does not keep and accepts one only after looking at every weight, so the result is exact; the list of
suspects (weights near a middle) only saves time. From a rejected step it goes straight to the next one at which the
weight that spoke against it is kept: with a fixed code the product falls with the step, so bisection finds it.
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Codes are int16, and symmetric.
LARGEST_CODE = 32767

#: Below this many weights, all of them are the suspects.
FEW_WEIGHTS = 1 << 15

#: Steps between two searches for suspects cover at most this share of a grid cell, so that few weights are suspects.
SUSPECT_SHARE = 0.02


@njit(cache=True, nogil=True)
def _half(value):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Round float32 to float16, nearest even, as float64 (exact); overflow gives infinity."""
    magnitude = abs(value)
    if not magnitude < np.float32(65520.0):
        rounded = np.inf
    elif magnitude < np.float32(2.0**-14):
        # Below its normal range float16 has the fixed quantum 2**-24: that of float64 numbers from 2**28 up.
        rounded = (np.float64(magnitude) + 2.0**28) - 2.0**28
    else:
        # Drop 13 of float32's fraction bits; the carry of a rounding up runs into the exponent, as it should.
        bits = np.float32(magnitude).view(np.uint32)
        bits = (bits + np.uint32(0x0FFF) + ((bits >> np.uint32(13)) & np.uint32(1))) & np.uint32(0xFFFFE000)
        rounded = np.float64(np.uint32(bits).view(np.float32))
    return rounded if value >= 0 else -rounded


@njit(cache=True, nogil=True)
def decoded_value(code, step, is_half):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return what a code (float64) stands for at a float32 step, as float64; it rises with the code."""
    product = np.float32(np.float32(code) * step)
    return _half(product) if is_half else np.float64(product)


@njit(cache=True, nogil=True)
def _kept_code(weight, step, bound, is_half):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Choose the code of a weight (float64) as in the module's text, and whether it keeps the bound."""
    code = np.rint(weight / np.float64(step))
    error = weight - decoded_value(code, step, is_half)
    if abs(error) <= bound:
        return code, True
    other = code + 1.0 if error > 0.0 else code - 1.0
    if abs(weight - decoded_value(other, step, is_half)) <= bound:
        return other, True
    return code, False


@njit(cache=True, nogil=True)
def _first_lost(weights, start, step, bound, is_half):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Find a weight that is not kept, looking from `start` once around; -1 where all are kept."""
    n = weights.size
    for i in range(n):
        j = start + i
        if j >= n:
            j -= n
        if not _kept_code(np.float64(weights[j]), step, bound, is_half)[1]:
            return j
    return -1


@njit(cache=True, nogil=True)
def _fill_codes(weights, step, bound, is_half, codes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write every code; returns the largest error, and the position of the first weight not kept or -1."""
    largest = 0.0
    for i in range(weights.size):
        weight = np.float64(weights[i])
        code, is_kept = _kept_code(weight, step, bound, is_half)
        if not is_kept or abs(code) > LARGEST_CODE:
            return largest, i
        codes[i] = np.int16(code)
        error = abs(weight - decoded_value(code, step, is_half))
        largest = max(largest, error)
    return largest, -1


@njit(cache=True, nogil=True)
def _suspects(weights, high, low, bound):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Find float32 weights that some step from `low` to `high` might not keep; a superset, made with slack."""
    found = np.empty(weights.size, np.int64)
    count = 0
    inverse = 1.0 / np.float64(high)
    spread = np.float64(high) / np.float64(low) - 1.0
    margin = bound - 0.5 * np.float64(high)
    for i in range(weights.size):
        magnitude = abs(np.float64(weights[i]))
        # Half a unit in the last place of the product, doubled for slack: a smaller one cannot use up the margin.
        if (magnitude + bound) * 1.2e-7 < margin:
            continue
        position = magnitude * inverse
        slack = position * 2.4e-7 + 1e-12
        moved = position * spread
        fraction = position - math.floor(position)
        if fraction + moved + slack >= 0.5 and fraction - slack <= 0.5:
            found[count] = i
            count += 1
    return found[:count]


@njit(cache=True, nogil=True)
def _step_of(bits):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the positive float32 with these bits."""
    if bits < 0x00800000:
        return np.float32(math.ldexp(np.float64(bits), -149))
    return np.float32(math.ldexp(np.float64((bits & 0x007FFFFF) | 0x00800000), (bits >> 23) - 150))


@njit(cache=True, nogil=True)
def _next_step(weight, step_bits, bound, is_half):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the bits of the next step below at which this lost weight might be kept.

    Both its codes miss: the upper one decodes above the weight and falls with the step. Until that one is close enough,
    the lower one, which falls too, is only worse.
    """
    magnitude = abs(weight)
    step = _step_of(step_bits)
    upper = np.rint(magnitude / np.float64(step))
    if decoded_value(upper, step, is_half) < magnitude:
        upper += 1.0
    low, high = np.int64(0), step_bits
    while high - low > 1:
        middle = (low + high) // 2
        if decoded_value(upper, _step_of(middle), is_half) - magnitude > bound:
            high = middle
        else:
            low = middle
    return low


@njit(cache=True, nogil=True)
def _descend(weights, step_bits, lowest_bits, bound, is_half):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Find the largest step, from `step_bits` down to `lowest_bits`, that keeps all these weights; else below."""
    position = 0
    while step_bits >= lowest_bits:
        position = _first_lost(weights, position, _step_of(step_bits), bound, is_half)
        if position < 0:
            return step_bits
        step_bits = _next_step(np.float64(weights[position]), step_bits, bound, is_half)
    return step_bits


def largest_step(
    weights: NDArray[np.float32], bound: float, is_half: bool, codes: NDArray[np.int16]
) -> tuple[np.float32, float] | None:
    """Find the largest step that keeps the bound for every weight with codes of at most 32767, and the codes.

    Parameters
    ----------
    weights
        float32 [n] with n at least 1, finite; float16 weights converted, which is exact.
    bound
        Largest error, above 0.
    is_half
        Whether the decoded value is rounded to float16.
    codes
        int16 [n], filled.

    Returns
    -------
    The step and the largest error, or None where no step keeps the bound.
    """
    searched = weights
    if is_half and weights.size > FEW_WEIGHTS:
        # float16 has few values: only the distinct magnitudes matter.
        patterns = weights.astype(np.float16).view(np.uint16) & 0x7FFF
        searched = np.flatnonzero(np.bincount(patterns)).astype(np.uint16).view(np.float16).astype(np.float32)
    largest = max(float(weights.max()), -float(weights.min()))
    bits = _largest_bits(2.0 * bound)
    # No step below this one has codes within the limit; one more code covers the neighbour.
    lowest = max(_largest_bits(largest / (LARGEST_CODE + 2)), 1)
    suspects = searched if searched.size <= FEW_WEIGHTS or is_half else searched[:0]
    while bits >= lowest:
        if suspects is not searched:
            block = _block_end(bits, lowest, largest)
            found = _suspects(searched, _step_of(bits), _step_of(block), bound)
            suspects = searched[found]
        else:
            block = lowest
        bits = int(_descend(suspects, bits, block, bound, is_half))
        if bits < block:
            continue
        step = np.float32(_step_of(bits))
        error, lost = _fill_codes(weights, step, bound, is_half, codes)
        if lost < 0:
            return step, float(error)
        if abs(float(weights[lost])) / float(step) > LARGEST_CODE:
            return None
        bits = int(_next_step(np.float64(weights[lost]), bits, bound, is_half))
    return None


def fill_codes(
    weights: NDArray[np.float32], step: np.float32, bound: float, is_half: bool, codes: NDArray[np.int16]
) -> float:
    """Find the codes that `largest_step` gave, without its search.

    Parameters
    ----------
    weights, bound, is_half, codes
        As there.
    step
        The step that it returned.

    Returns
    -------
    The largest error.
    """
    error, lost = _fill_codes(weights, step, bound, is_half, codes)
    assert lost < 0, "the step was found for other weights"
    return float(error)


def decoded_values(
    codes: NDArray[np.int16], step: NDArray[np.float32], dtype: np.dtype[np.generic]
) -> NDArray[np.generic]:
    """Return the weights that codes stand for: ``float32(code) * step`` in float32, then rounded to `dtype`.

    Parameters
    ----------
    codes
        int16 [channels, length].
    step
        float32, scalar or [channels].
    dtype
        float32 or float16.

    Returns
    -------
    [channels, length] of `dtype`.
    """
    steps = step[:, None] if step.ndim else step
    # A damaged file may hold any step: infinities are then the value, not a fault of this process.
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        product = codes.astype(np.float32)
        product *= steps
        return product.astype(dtype, copy=False)


def _largest_bits(value: float) -> int:
    """Return the bits of the largest finite float32 that is not above a value from 0 up."""
    with np.errstate(over="ignore"):
        rounded = np.float32(value)
    if float(rounded) > value:
        rounded = np.nextafter(rounded, np.float32(0))
    return int(rounded.view(np.uint32))


def _block_end(bits: int, lowest: int, largest: float) -> int:
    """Choose the lowest step of a block in which the suspects stay few."""
    cells = max(largest / float(_step_of(bits)), 1.0)
    return max(lowest, bits - max(8, int(SUSPECT_SHARE * 2**23 / cells)))
