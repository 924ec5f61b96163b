"""Codes of a layer chosen for its output, not weight by weight, each weight within its bound.

The grid may be finer than the bound: then a weight has several codes to choose from. Weights are taken one after the
other; what rounding one does to the layer's output is passed on to those that follow, by the covariance of their inputs
(Hassibi and Stork, "Second order derivatives for network pruning: optimal brain surgeon", 1993; in the order of
Frantar et al., "GPTQ", 2023). Among the codes that the bound allows, the one is taken whose harm and price add up to
the least: harm is the increase of the squared output error once the weights that follow have made up for it, the price
is a code's bits.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import compiled
from dnnzip.format import LARGEST_CODE
from dnnzip.quantize.decoded import decoded_value
from dnnzip.quantize.element_type import NOT_ROUNDED
from dnnzip.tuning.rate import classes_of, code_bits

Floats = NDArray[np.float64]

#: So much of the mean variance is added to each input's, which keeps the feedback from chasing noise, and at few bits
#: leaves weights that are better zero at zero.
DAMPING = 0.2

#: Most inputs of a channel whose covariances with each other are looked at.
LONGEST_BLOCK = 1024


class Target(NamedTuple):
    """Weights of a layer, and the codes that they may get."""

    # float32 [channels, length], the weights; no code decodes further from its weight than the bound.
    rows: NDArray[np.float32]
    # float64 [channels, length], the weights that would be best for the output; `rows` itself, or close to it.
    wanted: Floats
    steps: NDArray[np.float32]  # float32 [channels]
    bounds: Floats  # float64 [channels]


class Rates(NamedTuple):
    """Bits of codes, and their price."""

    classes: NDArray[np.int64]  # int64 [channels]
    bits: Floats  # float64 [classes, sizes], of a code by its magnitude (`rate.code_bits`)
    prices: Floats  # float64 [channels], harm that a bit may do


class Feedback(NamedTuple):
    """Feedback of the error of one weight to others of its channel."""

    # int64 [groups, length]: in which order weights are rounded; in each block, those that matter most first.
    order: NDArray[np.int64]
    # float64 [groups, blocks, block, block]: upper triangular, for each block of that order, the factor U of the
    # inverse covariance U^T U.
    factors: Floats

    @property
    def harm(self) -> Floats:
        """Harm of an error of one in the weights, by position in `order`: float64 [groups, length]."""
        groups, length = self.order.shape
        diagonal = np.diagonal(self.factors, axis1=2, axis2=3).reshape(groups, -1)[:, :length]
        return np.asarray(1.0 / diagonal**2)


def block_of(length: int) -> int:
    """Return the number of inputs in a block; the inputs of a longer channel are divided into such blocks."""
    return min(length, LONGEST_BLOCK)


def feedback_of(covariance: Floats, length: int) -> Feedback:
    """Prepare the feedback of a layer.

    Parameters
    ----------
    covariance
        float64 [groups, blocks, block, block], of the columns that the weights multiply, for blocks of consecutive
        weights; what the last one has beyond the channel is not looked at.
    length
        Weights of a channel.
    """
    groups, blocks, block, _ = covariance.shape
    order = np.empty((groups, length), np.int64)
    factors = np.zeros((groups, blocks, block, block))
    for group in range(groups):
        for number in range(blocks):
            start = number * block
            own = covariance[group, number][: length - start, : length - start]
            diagonal = np.diagonal(own)
            part = np.argsort(-diagonal, kind="stable")
            order[group, start : start + block] = start + part
            damping = DAMPING * float(diagonal.mean()) or 1.0
            damped = own[np.ix_(part, part)] + damping * np.eye(len(part))
            # U^T U is the inverse: the reversed Cholesky factor of the covariance itself, inverted.
            lower = np.linalg.cholesky(damped[::-1, ::-1])[::-1, ::-1]
            upper = np.linalg.inv(lower)
            factors[group, number, : len(part), : len(part)] = np.triu(upper)
            fill = np.arange(len(part), block)
            factors[group, number, fill, fill] = 1.0
    return Feedback(order, factors)


def plain_feedback(groups: int, length: int) -> Feedback:
    """Return a feedback that passes nothing on, for layers whose inputs are not known."""
    order = np.tile(np.arange(length, dtype=np.int64), (groups, 1))
    return Feedback(order, np.ones((groups, length, 1, 1)))


def round_rows(target: Target, feedback: Feedback, thrift: float) -> NDArray[np.int16] | None:
    """Choose the codes of a layer.

    Parameters
    ----------
    target
        The layer.
    feedback
        Of the layer's inputs; its groups divide the channels.
    thrift
        Weight of a bit against harm: 1 is the slope of rate against distortion that the step itself implies, 0 counts
        harm alone. The bits of codes are those of a first pass, which counts harm alone.

    Returns
    -------
    int16 [channels, length]; None where a weight has no code within its bound.
    """
    channels = len(target.rows)
    codes = np.zeros(target.rows.shape, np.int16)
    free = Rates(np.zeros(channels, np.int64), np.zeros((1, 1)), np.zeros(channels))
    if _round(target, feedback, free, codes):
        return None
    if thrift:
        harm = np.repeat(feedback.harm.mean(axis=1), channels // len(feedback.order))
        # At high rate a step s costs s^2 / 12 per weight and saves log2 s bits: the slope is 2 ln 2 times the
        # distortion.
        prices = harm * target.steps.astype(np.float64) ** 2 * (2 * math.log(2) / 12) * thrift
        classes = classes_of(codes)
        if _round(target, feedback, Rates(classes, code_bits(codes, classes), prices), codes):
            return None
    return codes


@compiled
def _allowed(weight, step, bound):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Return the lowest and the highest code that decode within the bound of a weight; high below low for none."""
    low = math.ceil((weight - bound) / np.float64(step)) - 1.0
    while abs(weight - decoded_value(low, step, NOT_ROUNDED)) > bound and low * np.float64(step) < weight + bound:
        low += 1.0
    high = math.floor((weight + bound) / np.float64(step)) + 1.0
    while abs(weight - decoded_value(high, step, NOT_ROUNDED)) > bound and high * np.float64(step) > weight - bound:
        high -= 1.0
    if (
        abs(weight - decoded_value(low, step, NOT_ROUNDED)) > bound
        or abs(weight - decoded_value(high, step, NOT_ROUNDED)) > bound
    ):
        return 1.0, 0.0
    return low, high


@compiled
def _round(target, feedback, rates, codes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write every code; returns whether a weight has none."""
    channels, length = target.rows.shape
    groups = feedback.order.shape[0]
    block = feedback.factors.shape[2]
    last = rates.bits.shape[1] - 1
    values = np.empty(length)
    for row in range(channels):
        group = row * groups // channels
        step = target.steps[row]
        wide = np.float64(step)
        price = rates.prices[row]
        own = rates.classes[row]
        for i in range(length):
            values[i] = target.wanted[row, feedback.order[group, i]]
        for i in range(length):
            place = feedback.order[group, i]
            factor = feedback.factors[group, i // block]
            inner = i % block
            diagonal = factor[inner, inner]
            low, high = _allowed(np.float64(target.rows[row, place]), step, target.bounds[row])
            if high < low or low < -LARGEST_CODE or high > LARGEST_CODE:
                return True
            value = values[i]
            code = min(max(np.rint(value / wide), low), high)
            if price > 0.0:
                # Towards zero codes get cheaper; beyond the next two only zero itself is worth a look.
                best, best_cost = code, np.inf
                toward = -1.0 if code > 0 else 1.0
                for k in range(4):
                    other = code + toward * k if k < 3 else 0.0
                    if other < low or other > high or (code > 0 and other < 0) or (code < 0 and other > 0):
                        continue
                    error = (value - other * wide) / diagonal
                    cost = error * error + price * rates.bits[own, min(np.int64(abs(other)), last)]
                    if cost < best_cost:
                        best, best_cost = other, cost
                code = best
            codes[row, place] = np.int16(code)
            error = (value - decoded_value(code, step, NOT_ROUNDED)) / diagonal
            end = min(length - (i - inner), block)
            for j in range(inner + 1, end):
                values[i - inner + j] -= error * factor[inner, j]
    return False
