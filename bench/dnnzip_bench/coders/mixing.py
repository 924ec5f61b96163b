"""Bits that an adaptive model needs for codes, at any cost: an estimate of the least that a codec can reach.

The model predicts each code bit by bit, from the most significant one, out of all codes before it. Counters in many
contexts and continuous distributions of many scales yield probabilities; a logistic mixture with weights that learn
as it goes makes one of them. No hardware would decode this at one weight per cycle. What it is given besides the codes,
a scale for each channel, is charged at the entropy of the scales.
"""

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dnnzip.codec import CodeTensor

BITS = 8
"""Codes are int8."""
CONTEXTS, SCALES = 10, 8
BY_BOTH, NEAR = 3, 6
"""Places of two scales: by input channel and tap, first of three, and of the kernel so far."""
INPUTS = 2 * CONTEXTS + SCALES + 1
"""Each context yields a probability and how sure it is; the last input is constant."""

SCALE_STEPS = 4
"""Scales are known to a quarter of an octave."""
SMALLEST_SCALE = 1.5
LARGEST_CLASS = 27
CLASS_DESCRIPTION = 5
"""Bits that describe each scale that occurs, in addition to the entropy."""

LOG2_COUNTERS = 20
LEARNING_RATE = 0.002
MOST_COUNT = 400.0
GAUSS, LAPLACE, LOGISTIC = 0, 1, 2
_KINDS = np.array([GAUSS, LAPLACE, GAUSS, GAUSS, LAPLACE, LOGISTIC, GAUSS, LAPLACE])


@njit(cache=True)
def _cumulative(kind, x, deviation):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    if kind == GAUSS:
        return 0.5 * (1 + math.erf(x / (deviation * math.sqrt(2))))
    if kind == LAPLACE:
        half = 0.5 * math.exp(-abs(x) * math.sqrt(2) / deviation)
        return half if x < 0 else 1 - half
    return 1 / (1 + math.exp(-x * math.pi / (deviation * math.sqrt(3))))


@njit(cache=True)
def _size_and_sign(code):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return one of 16 cells of a neighbour's value."""
    size = abs(code)
    cell = 0
    for edge in (1, 4, 10, 20, 36, 64):
        cell += size >= edge
    return 2 * cell + (code < 0)


@njit(cache=True)
def _octave(scale):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return min(max(round(SCALE_STEPS * math.log2(max(scale, 1.0))), 0), 31)


@njit(cache=True)
def _neighbours(codes, channel, position, kernel):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the codes before a weight: left, above, of the kernel before, and of the channel before."""
    height, width = kernel
    taps = height * width
    place, tap = position // taps, position % taps
    before = codes[channel, position - taps] if place > 0 else 0
    if taps == 1:
        left, above = before, codes[channel, position - 2] if place > 1 else 0
    else:
        left = codes[channel, position - 1] if tap % width > 0 else 0
        above = codes[channel, position - width] if tap >= width else 0
    return left, above, before, codes[channel - 1, position] if channel > 0 else 0


@njit(cache=True)
def _fill_contexts(contexts, neighbours, scales, scale_class, place):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Fill the contexts of a weight of a tap in a tensor, which are ``place``; return the octave of its scale."""
    left, above, before, same = neighbours
    tap, number = place
    octave = _octave(scales[BY_BOTH])
    slope = min(max(round(3.0 * (left + above) / max(scales[BY_BOTH], 1.0)), -12), 12) + 12
    contexts[0] = 0
    contexts[1] = scale_class
    contexts[2] = octave
    contexts[3] = _octave(scales[NEAR])
    contexts[4] = _size_and_sign(left) * 16 + _size_and_sign(above)
    contexts[5] = _size_and_sign(left) * 32 + scale_class
    contexts[6] = _size_and_sign(before) * 16 + _size_and_sign(same)
    contexts[7] = tap * 32 + octave
    contexts[8] = slope * 32 + octave
    contexts[9] = number * 32 + octave
    return octave


@njit(cache=True)
def _code_bits(code, octave, contexts, scales, model):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the bits of a code; the model learns on."""
    counters, counts, weights = model
    cells, inputs = np.empty(CONTEXTS, np.int64), np.empty(INPUTS)
    inputs[INPUTS - 1] = 0.3
    total = 0.0
    node, low, size = 1, -(1 << BITS - 1), 1 << BITS
    for bit in range(BITS):
        half = size >> 1
        for index in range(CONTEXTS):
            cell = (contexts[index] << BITS | node) & ((1 << LOG2_COUNTERS) - 1)
            cells[index] = cell
            chance, count = counters[index, cell], counts[index, cell]
            inputs[2 * index] = math.log(chance / (1 - chance))
            inputs[2 * index + 1] = (chance - 0.5) * 4 * count / (count + 8.0)
        for index in range(SCALES):
            kind, deviation = _KINDS[index], scales[index]
            bottom = _cumulative(kind, low - 0.5, deviation) if low > -(1 << BITS - 1) else 0.0
            middle = _cumulative(kind, low + half - 0.5, deviation)
            top = _cumulative(kind, low + size - 0.5, deviation) if low + size < 1 << BITS - 1 else 1.0
            inputs[2 * CONTEXTS + index] = math.log(max(top - middle, 1e-7) / max(middle - bottom, 1e-7))
        # Two sets of weights, one by bit and scale, one by the bits before.
        by_scale = bit * 16 + octave // 2
        mixed = 0.0
        for index in range(INPUTS):
            mixed += 0.5 * (weights[0, by_scale, index] + weights[1, node, index]) * inputs[index]
        chance = 1 / (1 + math.exp(-min(max(mixed, -15.0), 15.0)))
        is_upper = code >= low + half
        safe = min(max(chance, 1e-5), 1 - 1e-5)
        total -= math.log2(safe if is_upper else 1 - safe)
        error = is_upper - chance
        for index in range(INPUTS):
            weights[0, by_scale, index] += LEARNING_RATE * error * inputs[index]
            weights[1, node, index] += LEARNING_RATE * error * inputs[index]
        for index in range(CONTEXTS):
            cell = cells[index]
            count = counts[index, cell]
            moved = counters[index, cell] + (is_upper - counters[index, cell]) / (count + 1.6)
            counters[index, cell] = min(max(moved, 1e-4), 1 - 1e-4)
            counts[index, cell] = min(count + 1, MOST_COUNT)
        low += half * is_upper
        node = 2 * node + is_upper
        size = half
    return total


@njit(cache=True)
def _tensor_bits(codes, scale_classes, kernel, number, model):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the bits of a tensor, [channels, length]; the model learns on."""
    channels, length = codes.shape
    taps = kernel[0] * kernel[1]
    # Sizes relative to the channel's scale: sum and number, by input channel, by tap and of all, with a start of 1.
    of_input, of_tap = np.full((length // taps, 2), 2.0), np.full((taps, 2), 8.0)
    of_all = np.full(2, 20.0)
    contexts, scales = np.zeros(CONTEXTS, np.int64), np.zeros(SCALES)
    total = 0.0
    for channel in range(channels):
        scale = SMALLEST_SCALE * 2 ** (scale_classes[channel] / SCALE_STEPS)
        so_far, seen = 2 * scale, 2.0
        kernel_sum = 0.0
        for position in range(length):
            place, tap = position // taps, position % taps
            if tap == 0:
                kernel_sum = 0.0
            every = of_all[0] / of_all[1]
            by_input = scale * of_input[place, 0] / of_input[place, 1] / every
            by_both = by_input * of_tap[tap, 0] / of_tap[tap, 1] / every
            scales[:2] = scale
            scales[2] = by_input
            scales[BY_BOTH:NEAR] = by_both
            scales[NEAR] = (kernel_sum + 2 * by_both) / (tap + 2)
            scales[7] = so_far / seen
            neighbours = _neighbours(codes, channel, position, kernel)
            octave = _fill_contexts(contexts, neighbours, scales, scale_classes[channel], (tap, number))
            code = codes[channel, position]
            total += _code_bits(code, octave, contexts, scales, model)
            # The mean size of a Gauss distribution is 0.798 of its deviation.
            spread = 1.2533 * abs(code)
            kernel_sum += spread
            for sums in (of_input[place], of_tap[tap], of_all):
                sums[0] += spread / scale
                sums[1] += 1
            if seen > 32:
                so_far *= 1 - 1 / seen
            else:
                seen += 1
            so_far += spread
    return total


def mixed_bits(tensors: Sequence[CodeTensor]) -> float:
    """Return the bits of a network's codes, all of int8, under the adaptive model, its channels' scales included."""
    counters, counts = np.full((CONTEXTS, 1 << LOG2_COUNTERS), 0.5), np.zeros((CONTEXTS, 1 << LOG2_COUNTERS))
    weights = np.zeros((2, 1 << BITS, INPUTS))
    weights[:, :, : 2 * CONTEXTS : 2] = 0.3 / CONTEXTS
    weights[:, :, 2 * CONTEXTS : 2 * CONTEXTS + SCALES] = 0.7 / SCALES
    bits = 0.0
    for number, tensor in enumerate(tensors):
        if int(np.abs(tensor.codes).max()) > 1 << BITS - 1:
            raise ValueError(f"codes must fit {BITS} bits, not those of {tensor.name!r}")
        classes = _scale_classes(tensor.codes)
        bits += _class_bits(classes)
        bits += _tensor_bits(tensor.codes.astype(np.int64), classes, tensor.taps, number, (counters, counts, weights))
    return bits


def _scale_classes(codes: NDArray[np.int16]) -> NDArray[np.int64]:
    deviation = np.sqrt((codes.astype(np.float64) ** 2).mean(axis=1)) + 0.3
    classes = np.round(SCALE_STEPS * np.log2(deviation / SMALLEST_SCALE))
    return np.asarray(np.clip(classes, 0, LARGEST_CLASS).astype(np.int64))


def _class_bits(classes: NDArray[np.int64]) -> float:
    _, counts = np.unique(classes, return_counts=True)
    return float(CLASS_DESCRIPTION * counts.size - (counts * np.log2(counts / classes.size)).sum())
