"""Grids that weights are put on, one type for each kind, and the way from codes back to weights.

`FloatGrid`: the weight of code q is ``float32(q) * step``, rounded to the element type. `IntegerGrid`: it is
``z + (2 e + 1) q`` with zero point z and tolerated error e; at e = 0 the code is (w - z) mod 2^bits as a signed number
of the type's bits, without any loss. `MappedGrid`: codes and low bits are the bits of float weights, all or the upper
ones, in the order of magnitudes (`dnnzip.quantize.float_map`). `Lossless`: codes are the original bytes of float
weights, as little-endian items of 16 bits; of types of one byte, as items of 8.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.quantize.bound import Scope, Unit
from dnnzip.quantize.decoded import decoded_values
from dnnzip.quantize.element_type import ElementType
from dnnzip.quantize.float_bits import MOST_MANTISSA_BITS, FloatBits, bits_of, whole_floats
from dnnzip.quantize.float_map import FloatMap
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.step_grid import StepGrid
from dnnzip.quantize.weights import zero_point_along

#: Largest magnitude of a decoded code.
LARGEST_MAGNITUDE = 1 << 15

#: More bits than a weight has in any type.
WIDEST_BITS = 64

#: Bytes of a decoded code, of the largest item, and of a step.
CODE_BYTES = 2
STEP_BYTES = 4


@dataclass(frozen=True, eq=False)
class KeptBound:
    """Type of the weights and errors: the facts that grids of all kinds have."""

    element: ElementType
    # Largest error tolerated, float64, scalar or [channels]; in the weight's unit, or in steps of an integer weight.
    bound: NDArray[np.float64]
    error: NDArray[np.float64]  # largest error made, float64, in the shape and unit of `bound`, or scalar
    spec: str  # the bound as the user wrote it
    scope: Scope  # over which weights the range of a percentage is taken

    @property
    def unit(self) -> Unit:
        """Unit of `bound` and `error`: LSB for integer weights, ABSOLUTE for others."""
        return Unit.LSB if self.element.is_integer else Unit.ABSOLUTE

    @property
    def max_error(self) -> float:
        """Largest error of all weights."""
        return float(self.error.max())

    @property
    def max_bound(self) -> float:
        """Largest bound of all channels."""
        return float(self.bound.max())

    def code_shape(self, layout: Layout) -> tuple[int, int]:
        """Return the shape of the codes of weights with this layout."""
        return layout.channels, layout.length

    def errors_fault(self) -> str | None:
        """Say that bound or error is no number that one can be, or None; for grids that a file declares."""
        if 0 <= self.max_bound < math.inf and 0 <= self.max_error < math.inf:
            return None
        return f"its bound {self.max_bound} and error {self.max_error} are not finite, from zero up"


@dataclass(frozen=True, eq=False)
class FloatGrid(KeptBound):
    """A uniform grid of float weights."""

    step: NDArray[np.float32]  # float32, scalar or [channels]: value of one code
    # Grid on which a file holds the steps of channels; None where it holds them as they are.
    step_grid: StepGrid | None = None
    # Bits for each weight that steps on `step_grid` cost, against the largest that keep the bound.
    step_loss: float = 0.0

    @property
    def side_bytes(self) -> int:
        """Bytes of the steps in a file."""
        return self.step.nbytes if self.step_grid is None else self.step_grid.side_bytes

    @property
    def may_overflow(self) -> bool:
        """Return True if there are codes whose product with a step is not finite."""
        return float(self.step.max()) * LARGEST_MAGNITUDE > self.element.largest

    def lossless(self) -> "Lossless":
        """Return the grid on which the same weights are kept as they are."""
        return Lossless(self.element, self.bound, np.zeros_like(self.error), self.spec, self.scope)

    def restore(self, codes: NDArray[np.int16], layout: Layout) -> NDArray[np.generic]:
        """Return the weights of codes, in their own type and shape."""
        return layout.from_channels(decoded_values(codes, self.step, self.element))

    def fault(self, layout: Layout) -> str | None:
        """Return the fault of the steps for weights of this layout, or None; for grids that a file declares."""
        if self.step.shape not in ((), (layout.channels,)):
            return f"its step has the shape {self.step.shape}"
        if not abs(self.step_loss) <= WIDEST_BITS:
            return "its step loss is not finite, or more bits than a weight has"
        if not (np.all(np.isfinite(self.step)) and np.all(self.step > 0)):
            return "its step is not finite and above zero"
        return None


@dataclass(frozen=True, eq=False)
class IntegerGrid(KeptBound):
    """A grid of integer weights around their zero point."""

    divisor: int  # 2 e + 1; 1 where nothing is lost
    zero_point: NDArray[np.generic] | None = None  # see `dnnzip.quantize.weights.Weights`

    @property
    def used_zero_point(self) -> NDArray[np.generic] | None:
        """The zero point; None where it is zero."""
        return self.zero_point if self.zero_point is not None and np.any(self.zero_point) else None

    @property
    def side_bytes(self) -> int:
        """Bytes of the divisor, as a float32, and of a zero point in a file."""
        point = self.used_zero_point
        return STEP_BYTES + (0 if point is None else point.nbytes)

    def restore(self, codes: NDArray[np.int16], layout: Layout) -> NDArray[np.generic]:
        """Return the weights of codes, in their own type and shape."""
        point = zero_point_along(self.zero_point, self.element, layout)
        if self.divisor == 1:
            unsigned = np.dtype(f"u{self.element.bytes}")
            return self.element.wrapped(layout.from_channels(codes).astype(unsigned) + point.astype(unsigned))
        # A step may lead over the end of the type; the original is not beyond it.
        values = layout.from_channels(codes).astype(np.int32) * self.divisor + point.astype(np.int32)
        return values.clip(self.element.lowest, self.element.largest).astype(self.element.dtype)

    def fault(self, layout: Layout) -> str | None:
        """Return the fault of divisor or zero point for weights of this layout, or None."""
        largest = 2 * self.element.largest_error + 1
        if not (1 <= self.divisor <= largest and self.divisor % 2):
            return f"its step is not an odd number up to {largest}"
        point = self.zero_point
        if point is not None and (
            point.dtype != self.element.dtype or (point.size != 1 and point.shape != (layout.shape[layout.axis],))
        ):
            return "its zero point does not suit it"
        return None


@dataclass(frozen=True, eq=False)
class Lossless(KeptBound):
    """Float weights that are kept as they are."""

    @property
    def item_bytes(self) -> int:
        """Bytes of an item."""
        return min(self.element.bytes, CODE_BYTES)

    @property
    def side_bytes(self) -> int:
        """Bytes that a decoder needs in addition to the streams: none."""
        return 0

    def code_shape(self, layout: Layout) -> tuple[int, int]:
        """Return the shape of the items of weights with this layout: they come as one channel."""
        return 1, math.prod(layout.shape) * self.element.bytes // self.item_bytes

    def restore(self, codes: NDArray[np.int16], layout: Layout) -> NDArray[np.generic]:
        """Return the weights of items, in their own type and shape."""
        stored = self.element.dtype.newbyteorder("<")
        little = codes.astype(f"<i{self.item_bytes}").reshape(-1).view(stored)
        return little.astype(self.element.dtype, copy=False).reshape(layout.shape)

    def fault(self, layout: Layout) -> str | None:
        """Say that integer weights have no such grid, or None."""
        del layout
        return f"its unit {self.unit} does not suit its type" if self.element.is_integer else None


@dataclass(frozen=True, eq=False)
class MappedGrid(KeptBound):
    """Float weights whose bits are mapped to codes: all of them, or with a mantissa of fewer bits."""

    base: int  # of the map
    # Bits of the mantissa that are kept of the weights as float32; None where all bits of their own type are.
    mantissa_bits: int | None = None

    @property
    def unit(self) -> Unit:
        """Unit of `bound` and `error`: ABSOLUTE, of zero, where all bits are kept; otherwise RELATIVE."""
        return Unit.ABSOLUTE if self.mantissa_bits is None else Unit.RELATIVE

    @property
    def bits(self) -> FloatBits:
        """The parts of a pattern."""
        parts = bits_of(self.element, self.mantissa_bits)
        assert parts is not None, "checked before"
        return parts

    @property
    def map(self) -> FloatMap:
        """The map between patterns and codes."""
        return FloatMap(self.base, self.bits.magnitude_bits)

    @property
    def side_bytes(self) -> int:
        """Bytes of the base in a file."""
        return CODE_BYTES

    def code_shape(self, layout: Layout) -> tuple[int, int]:
        """Return the shape of codes and, in rows behind them, low bits of weights with this layout."""
        return layout.channels * (2 if self.bits.low_bits else 1), layout.length

    def lossless(self) -> Lossless:
        """Return the grid on which the same weights are kept as they are."""
        return Lossless(self.element, self.bound, np.zeros_like(self.error), self.spec, self.scope)

    def restore(self, codes: NDArray[np.int16], layout: Layout) -> NDArray[np.generic]:
        """Return the weights of codes and low bits, in their own type and shape."""
        rows = layout.channels
        patterns = self.bits.join(self.map.patterns(codes[:rows]), codes[rows:] if self.bits.low_bits else None)
        if self.mantissa_bits is not None:
            return layout.from_channels(whole_floats(patterns, self.mantissa_bits, self.element.dtype))
        stored = patterns.astype(f"u{self.element.bytes}", copy=False)
        return layout.from_channels(stored.view(self.element.dtype))

    def fault(self, layout: Layout) -> str | None:
        """Return the fault of the map, or None; for grids that a file declares."""
        del layout
        kept = self.mantissa_bits
        if self.element.is_integer or (kept is None and bits_of(self.element) is None):
            return f"its map does not suit {self.element.name}"
        if kept is not None and not 1 <= kept <= MOST_MANTISSA_BITS:
            return f"its mantissa of {kept} bits is none of 1 to {MOST_MANTISSA_BITS}"
        if not 0 <= self.base < 1 << self.bits.magnitude_bits:
            return f"the base {self.base} of its map is not below {1 << self.bits.magnitude_bits}"
        return None


Grid = FloatGrid | IntegerGrid | MappedGrid | Lossless


@dataclass(frozen=True, eq=False)
class Quantised:
    """A tensor of weights on a grid."""

    grid: Grid
    # int16, C-contiguous: [channels, length], low bits of a mapped grid in rows behind; [1, items] of a lossless grid.
    codes: NDArray[np.int16]


def kept_as_they_are(array: NDArray[np.generic], grid: Lossless) -> Quantised:
    """Return float weights with their bytes as codes."""
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return Quantised(grid, little.reshape(1, -1).view(f"<i{grid.item_bytes}").astype(np.int16, copy=False))
