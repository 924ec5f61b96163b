"""The header of an array file: the shape of an array and the grid of its codes, to a header and back."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnzip.encoding import Encoded, Reading, check_counts
from dnnzip.format import CODECS, MAX_LENGTH, WeightStream
from dnnzip.format.array_file import MOST_DIMENSIONS, ArrayHeader, GridKind
from dnnzip.quantize.bound import Scope
from dnnzip.quantize.element_type import ELEMENT_TYPES, UINT16
from dnnzip.quantize.grid import FloatGrid, Grid, IntegerGrid, Lossless, MappedGrid
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.step_grid import StepGrid

SCOPES = tuple(Scope)


@dataclass(frozen=True)
class Form:
    """Shape of an array and of the rows that it is coded in."""

    shape: tuple[int, ...]
    axis: int  # of the output channels
    rows: int  # of the codes, a multiple of the channels

    @property
    def layout(self) -> Layout:
        """The rows: [rows, length], or one more of 1 where an array has one dimension."""
        return Layout((self.rows, math.prod(self.shape) // self.rows), 0)

    def array_of(self, rows: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the array of its rows."""
        axis = self.axis
        moved = (self.shape[axis], *self.shape[:axis], *self.shape[axis + 1 :])
        return np.ascontiguousarray(np.moveaxis(rows.reshape(moved), 0, axis))


def row_count(shape: tuple[int, ...]) -> int:
    """Return the number of rows in which an array, channels first, is coded: its channels, or pieces of them."""
    length = math.prod(shape[1:])
    if length <= MAX_LENGTH:
        return shape[0]
    pieces = next(count for count in range(-(-length // MAX_LENGTH), length + 1) if length % count == 0)
    return shape[0] * pieces


def header_of(form: Form, encoded: Encoded[bytes]) -> ArrayHeader:
    """Return the header of an array's file."""
    grid = encoded.grid
    more: dict[str, Any] = {}
    kind = GridKind.LOSSLESS
    match grid:
        case IntegerGrid():
            # The header's field is an int16, in which a uint16 is what it is modulo 2^16.
            point = 0 if grid.zero_point is None else int(grid.zero_point)
            point -= (point >> 15) << 16 if point > 0 else 0
            kind, more = GridKind.INTEGER, {"divisor": grid.divisor, "zero_point": point}
        case MappedGrid():
            kind, more = GridKind.MAPPED, {"divisor": grid.base, "per_octave": grid.mantissa_bits or 0}
        case FloatGrid(step_grid=None):
            kind, more = GridKind.FLOAT, {"steps": grid.step.astype("<f4").tobytes()}
        case FloatGrid(step_grid=StepGrid() as steps):
            kind = GridKind.STEP_GRID
            more = {"per_octave": steps.per_octave, "step_loss": grid.step_loss}
            more |= {"steps": steps.values.astype("<f4").tobytes(), "index": steps.index.tobytes()}
    return ArrayHeader(
        grid.element.name,
        grid.spec,
        encoded.codec,
        form.shape,
        form.axis,
        kind,
        SCOPES.index(grid.scope),
        form.rows,
        grid.max_bound,
        grid.max_error,
        **more,
    )


def form_of(header: ArrayHeader, reading: Reading) -> Form:
    """Return the form of an array that a file declares, checked."""
    shape, size = header.shape, math.prod(header.shape)
    if not 1 <= len(shape) <= MOST_DIMENSIONS or size < 1 or header.axis >= len(shape):
        raise reading.damaged(f"its shape {shape} and axis {header.axis} are no array's")
    if header.rows < 1 or size % header.rows or header.rows % (shape[header.axis] if len(shape) > 1 else 1):
        raise reading.damaged(f"its {header.rows} rows do not suit its shape {shape}")
    if header.element not in ELEMENT_TYPES or header.scope >= len(SCOPES):
        raise reading.damaged(f"its element type {header.element!r} or its scope {header.scope} is not known")
    return Form(shape, header.axis, header.rows)


def grid_of(header: ArrayHeader) -> Grid:
    """Return the grid that a header declares, not checked further; a ``ValueError`` where its numbers are of none."""
    element = ELEMENT_TYPES[header.element]
    facts = (element, np.array(header.bound), np.array(header.error), header.spec, SCOPES[header.scope])
    if element.is_integer != (header.grid is GridKind.INTEGER):
        raise ValueError(f"its grid {header.grid.name} does not suit {element.name}")
    steps = np.frombuffer(header.steps, "<f4").astype(np.float32)
    index = np.frombuffer(header.index, np.uint8)
    match header.grid:
        case GridKind.INTEGER:
            point = header.zero_point % (1 << 16) if element is UINT16 else header.zero_point
            if not element.lowest <= point <= element.largest:
                raise ValueError(f"its zero point {point} does not suit {element.name}")
            return IntegerGrid(*facts, header.divisor, np.array(point, element.dtype))
        case GridKind.LOSSLESS:
            return Lossless(*facts)
        case GridKind.MAPPED:
            return MappedGrid(*facts, header.divisor, header.per_octave or None)
        case GridKind.FLOAT:
            # One step of a tensor is a scalar, and so is one of its only channel where the scope is the tensor.
            is_scalar = steps.size == 1 and facts[4] is Scope.TENSOR
            return FloatGrid(*facts, steps.reshape(()) if is_scalar else steps)
        case GridKind.STEP_GRID:
            grid = StepGrid(header.per_octave, steps, index)
            return FloatGrid(*facts, grid.steps(), grid, header.step_loss)


def checked_grid(header: ArrayHeader, form: Form, reading: Reading) -> Grid:
    """Return the grid that a header declares, checked.

    Raises
    ------
    InputError
        Its numbers do not suit each other, or the form.
    """
    try:
        grid = grid_of(header)
    except ValueError as error:
        raise reading.damaged(str(error)) from None
    fault = grid.errors_fault() or grid.fault(form.layout)
    if fault:
        raise reading.damaged(fault)
    return grid


def check_stream(stream: bytes, codec: str, grid: Grid, form: Form, reading: Reading) -> None:
    """Check that weight streams are of a codec, and have as many values as an array of a form needs.

    Raises
    ------
    InputError
        They are not, or their headers are damaged.
    """
    check_counts(stream, grid, form.layout, reading)
    if CODECS[WeightStream.from_bytes(stream).header.codec].name != codec:
        raise reading.damaged(f"its stream is not coded with {codec!r}")
