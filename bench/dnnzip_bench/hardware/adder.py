"""A 32-bit ripple-carry adder of NAND gates, nine for each bit: how many of them change in an addition."""

import numpy as np
from numpy.typing import NDArray

BITS = 32
GATES_PER_BIT = 9


def nand_outputs(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return the outputs of all gates: bool [additions, 288].

    Parameters
    ----------
    a, b
        uint64 [additions], below 2^32.
    """
    carry = np.zeros(a.shape, bool)
    gates = []
    for bit in range(BITS):
        x, y = ((value >> np.uint64(bit)) & np.uint64(1) != 0 for value in (a, b))
        both = ~(x & y)
        left, right = ~(x & both), ~(y & both)
        half = ~(left & right)
        chain = ~(half & carry)
        above, below = ~(half & chain), ~(carry & chain)
        total = ~(above & below)
        carry = ~(chain & both)
        gates += [both, left, right, half, chain, above, below, total, carry]
    return np.stack(gates, axis=1)


def toggles_per_addition(additions: int = 20_000, seed: int = 1) -> float:
    """Return the number of gates that change from one addition of random numbers to the next, without delays."""
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 1 << BITS, additions + 1, dtype=np.uint64) for _ in range(2))
    gates = nand_outputs(a, b)
    return float(np.mean((gates[1:] != gates[:-1]).sum(axis=1)))
