"""Float weights that are multiples of one quantum: whole numbers stored as floats, or weights of quantised training.

Their step is an odd multiple of the quantum, so that decoded weights are multiples of it as well, and a whole number
stays one. With e quanta tolerated it is 2 e + 1: no weight has a tie, and none is further off than e. That is above
twice the bound where e is close to the bound from below, and below it otherwise: `quantise` compares.
"""

import math

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import LARGEST_CODE
from dnnzip.quantize.decoded import decoded_values
from dnnzip.quantize.element_type import ElementType

#: Weights that are looked at first: where they have no quantum, the others are not looked at.
SAMPLE = 4096

#: Bits below the largest weight in which multiples are searched: more than their codes have.
SEARCHED_BITS = 30

#: Bits for each weight that a step on the quantum may cost against the largest that keeps the bound: of any weights,
#: and of whole numbers, which the next operator may count on (an error of less than 1 keeps them all).
LARGEST_COST = 0.1
LARGEST_WHOLE_COST = 1.0


def quantum_of(weights: NDArray[np.floating], element: ElementType) -> np.float32 | None:
    """Return the quantum of which weights are multiples by codes of at most 32767.

    Parameters
    ----------
    weights
        Finite, of any shape, in the arithmetic of their type.

    Returns
    -------
    The largest such number, or the smallest magnitude above zero where the products round; None where there is none.
    """
    rows = weights.reshape(1, -1)
    largest = float(np.abs(rows).max())
    if largest == 0.0:
        return None
    for candidate in (_common_divisor, _smallest):
        for part in (rows[:, :SAMPLE], rows):
            quantum = candidate(part if candidate is _common_divisor else rows, largest)
            if quantum is None or not _is_quantum(quantum, part, largest, element):
                break
        else:
            return quantum
    return None


def largest_cost(quantum: np.float32) -> float:
    """Return the bits for each weight that a step on this quantum may cost."""
    return LARGEST_WHOLE_COST if float(quantum).is_integer() else LARGEST_COST


def step_on(quantum: np.float32, bound: float) -> np.float32:
    """Return the largest odd multiple of a quantum at which no multiple of it is further off than a bound."""
    with np.errstate(over="ignore"):
        return np.float32((2 * math.floor(min(bound / float(quantum), LARGEST_CODE)) + 1) * float(quantum))


def _common_divisor(rows: NDArray[np.floating], largest: float) -> np.float32 | None:
    """Return the greatest common divisor of weights, where none needs more bits than are searched."""
    exponent = math.frexp(largest)[1] - SEARCHED_BITS
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(rows.astype(np.float64), -exponent)
        whole = np.rint(scaled)
        if not np.array_equal(scaled, whole):
            return None
        divisor = np.float32(math.ldexp(float(np.gcd.reduce(whole.astype(np.int64), axis=None)), exponent))
    return divisor if divisor > 0 else None


def _smallest(rows: NDArray[np.floating], largest: float) -> np.float32 | None:
    """Return the smallest magnitude above zero, where it is a float32 that leaves codes for the largest."""
    smallest = float(np.abs(rows).min(initial=largest, where=rows != 0))
    with np.errstate(over="ignore", under="ignore"):
        quantum = np.float32(smallest)
    return quantum if float(quantum) == smallest else None


def _is_quantum(quantum: np.float32, rows: NDArray[np.floating], largest: float, element: ElementType) -> bool:
    if not largest / float(quantum) <= LARGEST_CODE:
        return False
    codes = np.rint(rows.astype(np.float64) / float(quantum)).astype(np.int16)
    decoded = decoded_values(codes, np.asarray(quantum), element)
    return bool(np.array_equal(decoded.astype(element.arithmetic), rows))
