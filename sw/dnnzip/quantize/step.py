"""The largest step of a uniform grid that keeps an error bound exactly, found by search over float32.

Terms: `a` is the magnitude of a weight, `s` a step, `q` a code. The decoded value is ``d(q, s)``, the float32 product
``float32(q) * s`` rounded to nearest even, and for a narrower float type that product rounded once more, to that type;
for float64 it is the exact product. The error ``|a - d(q, s)|`` is the float64 difference of two such values. A weight
is *kept* at a step if the code nearest to ``a / s`` keeps the bound or, where that one's product rounds the wrong way,
its neighbour on the weight's side does. Signs do not matter: rounding and product are odd functions.

Without rounding, ``s = 2 * bound`` keeps every weight. With it, a weight close to the middle between two codes may miss
by a few units in the last place, so the largest step lies a little below. The search rejects a step only because of a
weight that it does not keep. From a rejected step it goes straight to the next one at which the weight that spoke
against it is kept: with a fixed code the product falls with the step, so bisection finds it.

One pass over the weights settles most of them: for a block of steps, one whose fraction stays clear of the middle has
the same code at every step, and is kept. The others, the suspects, are searched, and decide the largest error as well,
so that the result is exact. Narrow types have few values, and float64 weights and codes near the limit are rare: they
take every weight one by one.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import inlined, loop
from dnnzip.codec.compiling import step as part
from dnnzip.format import LARGEST_CODE
from dnnzip.quantize.decoded import decoded_value
from dnnzip.quantize.element_type import NOT_ROUNDED, ElementType

#: Of more weights of a narrow type than this, only the distinct magnitudes are searched.
FEW_WEIGHTS = 1 << 15

#: The steps of the first block cover at most this share of a grid cell, so that few weights are suspects.
SUSPECT_SHARE = 5e-4

#: Factor of the share that each further block covers to that of the one before it, up to ``LARGEST_SHARE``.
SHARE_GROWTH = 4
LARGEST_SHARE = 0.02

#: Weights closer to the middle than this share of a grid cell are suspects at any step.
NEAR_MIDDLE = 1e-4

#: No weight but a suspect has an error above this share of a block's first step.
CLEAR_ERROR = 0.5 - 0.9 * NEAR_MIDDLE

#: Relative slack on a position: float32 rounds the inverse of the step, the position and the product of code and step.
POSITION_SLACK = 1e-6

#: Weights that are looked at together: where none is a suspect, none is looked at again.
BLOCK = 256

#: Room for positions of suspects, which are then put together.
SUSPECTS_AT_ONCE = 1 << 14

#: Below the first step its inverse is too close to the largest float32, above the second to the smallest normal one.
SMALLEST_INVERTED = 1e-30
LARGEST_INVERTED = 1e37

#: No product of code and step may be larger, or it would be infinite.
LARGEST_FLOAT = float(np.finfo(np.float32).max)


@part
def _kept_code(weight, step, bound, rounding):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Choose the code of a weight (float64) as in the module's text, and whether it keeps the bound."""
    code = np.rint(weight / np.float64(step))
    error = weight - decoded_value(code, step, rounding)
    if abs(error) <= bound:
        return code, True
    other = code + 1.0 if error > 0.0 else code - 1.0
    if abs(weight - decoded_value(other, step, rounding)) <= bound:
        return other, True
    return code, False


@inlined
def _first_lost(weights, start, step, bound, rounding):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Find a weight that is not kept, looking from `start` once around; -1 where all are kept."""
    n = weights.size
    for i in range(n):
        j = start + i
        if j >= n:
            j -= n
        if not _kept_code(np.float64(weights[j]), step, bound, rounding)[1]:
            return j
    return -1


@loop
def _fill_codes(weights, step, bound, rounding, codes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write every code; returns the largest error, and the position of the first weight not kept or -1."""
    largest = 0.0
    for i in range(weights.size):
        weight = np.float64(weights[i])
        code, is_kept = _kept_code(weight, step, bound, rounding)
        if not is_kept or abs(code) > LARGEST_CODE:
            return largest, i
        codes[i] = np.int16(code)
        error = abs(weight - decoded_value(code, step, rounding))
        largest = max(largest, error)
    return largest, -1


@loop
def _settle(weights, high, low, codes, start, found):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write the codes of the float32 weights that have one code, and keep it, at every step from `high` to `low`.

    The positions of all others go to `found`, rising. Returns how many they are, and where to go on once they have been
    taken: the first block, from `start` on, for which there might be no room.
    """
    count = 0
    inverse = np.float32(1.0 / np.float64(high))
    spread = np.float32(np.float64(high) / np.float64(low) - 1.0 + POSITION_SLACK)
    limit = np.float32(0.5 - NEAR_MIDDLE)
    while start < weights.size and count + BLOCK <= found.size:
        block = weights[start : start + BLOCK]
        of_block = codes[start : start + BLOCK]
        suspicious = np.int32(0)
        for i in range(block.size):
            position = np.float32(block[i] * inverse)
            code = np.float32(np.rint(position))
            of_block[i] = np.int16(np.int32(code))
            distance = np.float32(abs(np.float32(position - code)))
            reach = np.float32(distance + np.float32(np.float32(abs(position)) * spread))
            suspicious = np.int32(suspicious | np.int32(reach >= limit))
        if suspicious:
            for i in range(block.size):
                position = np.float32(block[i] * inverse)
                distance = np.float32(abs(np.float32(position - np.float32(np.rint(position)))))
                if np.float32(distance + np.float32(np.float32(abs(position)) * spread)) >= limit:
                    found[count] = start + i
                    count += 1
        start += BLOCK
    return count, start


@part
def _step_of(bits):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the positive float32 with these bits."""
    if bits < 0x00800000:
        return np.float32(math.ldexp(np.float64(bits), -149))
    return np.float32(math.ldexp(np.float64((bits & 0x007FFFFF) | 0x00800000), (bits >> 23) - 150))


@loop
def _next_step(weight, step_bits, bound, rounding):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the bits of the next step below at which this lost weight might be kept.

    Both its codes miss: the upper one decodes above the weight and falls with the step. Until that one is close enough,
    the lower one, which falls too, is only worse.
    """
    magnitude = abs(weight)
    step = _step_of(step_bits)
    upper = np.rint(magnitude / np.float64(step))
    if decoded_value(upper, step, rounding) < magnitude:
        upper += 1.0
    low, high = np.int64(0), step_bits
    while high - low > 1:
        middle = (low + high) // 2
        if decoded_value(upper, _step_of(middle), rounding) - magnitude > bound:
            high = middle
        else:
            low = middle
    return low


@loop
def _descend(weights, step_bits, lowest_bits, bound, rounding):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Find the largest step, from `step_bits` down to `lowest_bits`, that keeps all these weights; else below."""
    position = np.int64(0)
    while step_bits >= lowest_bits:
        position = _first_lost(weights, position, _step_of(step_bits), bound, rounding)
        if position < 0:
            return step_bits
        step_bits = _next_step(np.float64(weights[position]), step_bits, bound, rounding)
    return step_bits


@dataclass(eq=False)
class StepSearch:
    """Weights that get one step, and their codes at it."""

    # [n], n at least 1, finite; float64 of that type, those of a narrower type converted, which is exact.
    weights: NDArray[np.float32]
    bound: float  # largest error, above 0
    element: ElementType  # type of the weights, to which decoded values are rounded
    codes: NDArray[np.int16]  # [n], filled
    largest: float  # the largest magnitude

    def __post_init__(self) -> None:
        self.weights = _read_only(self.weights)

    def largest_step(self) -> tuple[np.float32, float] | None:
        """Find the largest step that keeps the bound for every weight with codes of at most 32767, and the codes.

        Returns
        -------
        The step and the largest error, or None where no step keeps the bound.
        """
        bits = _largest_bits(2.0 * self.bound)
        # No step below this one has codes within the limit; one more code covers the neighbour.
        lowest = max(_largest_bits(self.largest / (LARGEST_CODE + 2)), 1)
        if self.element.rounding != NOT_ROUNDED:
            # A narrow type has few values.
            is_large = self.element.is_narrow and self.weights.size > FEW_WEIGHTS
            return self.step_by_all(self.element.magnitudes(self.weights) if is_large else self.weights, bits, lowest)
        share = SUSPECT_SHARE
        while bits >= lowest:
            first = _step(bits)
            if not self._is_settled(first):
                return self.step_by_all(self.weights, bits, lowest)
            block = _block_end(bits, lowest, self.largest, share)
            found = self._suspects(first, _step(block))
            suspects = _read_only(self.weights[found])
            bits = int(_descend(suspects, bits, block, self.bound, NOT_ROUNDED))
            if bits < block:
                share = min(share * SHARE_GROWTH, LARGEST_SHARE)
                continue
            step = _step(bits)
            if not self._is_settled(step):
                return self.step_by_all(self.weights, bits, lowest)
            error = self._largest_error(found, first, step)
            assert error is not None, "every weight is kept"
            return step, error
        return None

    def fill_codes(self, step: np.float32) -> float | None:
        """Find the codes at a step, as `largest_step` does at its own.

        Returns
        -------
        The largest error, or None where the step does not keep the bound for every weight with codes of at most 32767.
        """
        # At a larger step, a weight may miss the bound anywhere between two codes.
        is_fine = float(step) <= 2.0 * self.bound
        if is_fine and self.element.rounding == NOT_ROUNDED and self._is_settled(step):
            return self._largest_error(self._suspects(step, step), step, step)
        error, lost = _fill_codes(self.weights, step, self.bound, self.element.rounding, self.codes)
        return float(error) if lost < 0 else None

    def step_by_all(self, searched: NDArray[np.float32], bits: int, lowest: int) -> tuple[np.float32, float] | None:
        """Do the search of `largest_step` without suspects; `searched` has every magnitude of the weights."""
        searched, rounding = _read_only(searched), self.element.rounding
        while bits >= lowest:
            bits = int(_descend(searched, bits, lowest, self.bound, rounding))
            if bits < lowest:
                break
            step = _step(bits)
            error, lost = _fill_codes(self.weights, step, self.bound, rounding, self.codes)
            if lost < 0:
                return step, float(error)
            if abs(float(self.weights[lost])) / float(step) > LARGEST_CODE:
                return None
            bits = int(_next_step(np.float64(self.weights[lost]), bits, self.bound, rounding))
        return None

    def _suspects(self, high: np.float32, low: np.float32) -> NDArray[np.int64]:
        """Settle the codes of all but the suspects at steps from `high` to `low`; return these ones' positions."""
        room = np.empty(SUSPECTS_AT_ONCE, np.int64)
        parts, start = [], 0
        while start < self.weights.size:
            count, start = _settle(self.weights, high, low, self.codes, start, room)
            parts.append(room[:count].copy())
        return np.concatenate(parts)

    def _largest_error(self, found: NDArray[np.int64], first: np.float32, step: np.float32) -> float | None:
        """Fill the codes of the suspects, at positions `found`, and return the largest error; None where one is lost.

        All others have their codes, which they keep at every step from `first` to `step`.
        """
        suspects = _read_only(self.weights[found])
        of_suspects = np.empty(suspects.size, np.int16)
        error, lost = _fill_codes(suspects, step, self.bound, NOT_ROUNDED, of_suspects)
        self.codes[found] = of_suspects
        if lost < 0 and error < CLEAR_ERROR * float(first):
            error, lost = _fill_codes(self.weights, step, self.bound, NOT_ROUNDED, self.codes)
        return float(error) if lost < 0 else None

    def _is_settled(self, step: np.float32) -> bool:
        """Return True if codes at a step are within the limit beyond doubt, products finite and the inverse sound."""
        size = float(step)
        is_sound = SMALLEST_INVERTED <= size <= LARGEST_INVERTED and self.largest + size < LARGEST_FLOAT
        return is_sound and self.largest / size < LARGEST_CODE - 1


def _step(bits: int) -> np.float32:
    """Return the positive float32 with these bits, as `_step_of` does in the loops."""
    return np.uint32(bits).view(np.float32)


def _read_only(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a view that cannot be written: Numba would compile a loop once for such arrays and once for others."""
    view = weights.view()
    view.flags.writeable = False
    return view


def _largest_bits(value: float) -> int:
    """Return the bits of the largest finite float32 that is not above a value from 0 up."""
    rounded = np.float32(min(value, LARGEST_FLOAT))
    if float(rounded) > value:
        rounded = np.nextafter(rounded, np.float32(0))
    return int(rounded.view(np.uint32))


def _block_end(bits: int, lowest: int, largest: float, share: float) -> int:
    """Choose the lowest step of a block that covers at most a share of a grid cell, or eight steps."""
    cells = max(largest / float(_step(bits)), 1.0)
    return max(lowest, bits - max(8, int(share * 2**23 / cells)))
