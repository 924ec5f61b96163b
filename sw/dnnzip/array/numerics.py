"""Conversion of a layer's int32 sums: to 8-bit values, to float32 values, or none.

8-bit values as onnxruntime's QLinearConv and QGemm make them: the sum and the int32 bias are added, converted to
float32, multiplied by a float32 scale (input scale x weight scale / output scale, from left to right), rounded half to
even, moved by the zero point, then saturated.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Requantised:
    """A result of 8 bits."""

    scale: NDArray[np.float32]  # float32 [channels] or [1]
    bias: NDArray[np.int32]  # int32 [channels] or [1]
    zero_point: int  # of the result
    # Limits of the result: those of its type, or narrower where a Relu or Clip is folded in.
    low: int
    high: int
    dtype: np.dtype[np.generic]  # int8 or uint8

    def finish(self, sums: NDArray[np.int32]) -> NDArray[np.generic]:
        """Return the result, ``dtype`` [vectors, channels], of sums, int32 [vectors, channels]."""
        with np.errstate(over="ignore"):
            scaled = (sums + self.bias).astype(np.float32) * self.scale
        # Values far out of range saturate all the same, and fit the conversion to whole numbers once clipped.
        rounded = np.rint(np.clip(scaled, np.float32(-1024), np.float32(1024))).astype(np.int32)
        saturated: NDArray[np.int32] = np.clip(rounded + self.zero_point, self.low, self.high)
        return saturated.astype(self.dtype)


@dataclass(frozen=True, eq=False)
class Scaled:
    """A float32 result."""

    scale: NDArray[np.float32]  # float32 [channels] or [1]
    bias: NDArray[np.int32]  # int32 [channels] or [1], added before scaling
    # float32, broadcast to [..., channels], added after scaling; None for nothing.
    addend: NDArray[np.float32] | None = None

    def finish(self, sums: NDArray[np.int32]) -> NDArray[np.generic]:
        """Return the float32 result of sums, int32 [vectors, channels]."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinities and NaN are the network's, as in onnxruntime
            scaled = (sums + self.bias).astype(np.float32) * self.scale
            return scaled if self.addend is None else scaled + self.addend


@dataclass(frozen=True)
class Unscaled:
    """The int32 sums themselves."""

    def finish(self, sums: NDArray[np.int32]) -> NDArray[np.generic]:
        """Return the sums [vectors, channels]."""
        return sums


Finish = Requantised | Scaled | Unscaled


def quantised(value: NDArray[np.float32], scale: np.float32, zero_point: int, dtype: np.dtype[np.generic]) -> int:
    """Return the result of QuantizeLinear for one float32 value, in int8 or uint8."""
    limits = np.iinfo(dtype.name)
    with np.errstate(over="ignore", invalid="ignore"):
        code = np.rint(np.float32(value) / scale) + zero_point
    return int(np.clip(code, limits.min, limits.max))
