"""Rules that leave an initializer uncompressed: each is a condition with the sentence that the user reads.

The manual's list is generated from the same sentences. Every rule takes a `Candidate` and says whether it is met; the
first rule that is not is the reason.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, ParamSpec

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from dnnzip.errors import InputError
from dnnzip.format import MAX_LENGTH
from dnnzip.inputs.memory import memory_for
from dnnzip.onnx.constants import Constant, Home
from dnnzip.onnx.graph import GraphIndex
from dnnzip.onnx.lazy_tensors import place_of
from dnnzip.onnx.tensor_bytes import bytes_of, unpacked
from dnnzip.quantize import element_type as types
from dnnzip.quantize.element_type import ElementType, type_names
from dnnzip.quantize.layout import Layout
from dnnzip.system.spool import Place

#: Element types that are compressed, by their number in ONNX.
ELEMENT_TYPES: dict[int, ElementType] = {
    TensorProto.FLOAT: types.FLOAT32,
    TensorProto.DOUBLE: types.FLOAT64,
    TensorProto.FLOAT16: types.FLOAT16,
    TensorProto.BFLOAT16: types.BFLOAT16,
    TensorProto.FLOAT8E4M3FN: types.FLOAT8_E4M3FN,
    TensorProto.FLOAT8E5M2: types.FLOAT8_E5M2,
    TensorProto.FLOAT8E4M3FNUZ: types.FLOAT8_E4M3FNUZ,
    TensorProto.FLOAT8E5M2FNUZ: types.FLOAT8_E5M2FNUZ,
    TensorProto.INT16: types.INT16,
    TensorProto.UINT16: types.UINT16,
    TensorProto.INT8: types.INT8,
    TensorProto.UINT8: types.UINT8,
    TensorProto.INT4: types.INT4,
    TensorProto.UINT4: types.UINT4,
    TensorProto.INT2: types.INT2,
    TensorProto.UINT2: types.UINT2,
}

#: Types of codes that share the bytes of a uint8 array, by their bits.
PACKED_TYPES: dict[int, ElementType] = {2: types.UINT2, 4: types.UINT4}

P = ParamSpec("P")


@dataclass(frozen=True, eq=False)
class Reader:
    """One operator that reads a tensor as its weight."""

    node: onnx.NodeProto  # the operator: a convolution or matrix product
    # The node that holds the weight's scale and zero point: a DequantizeLinear between the tensor and `node`, or `node`
    # itself where it is an integer operator; None where there is none.
    quantiser: onnx.NodeProto | None
    # Positions of the scale and the zero point among the inputs of `quantiser`; None where it has no such input.
    scale_index: int | None
    zero_point_index: int | None
    # The tensor's axis along which they have a value for each entry, where they have several; None where none is.
    quantised_axis: int | None
    layout: Layout  # the tensor's output channels and kernel as this operator sees them
    # True if nothing stands between but a DequantizeLinear, and the operator is in the top graph.
    is_direct: bool
    # Bits of a code where several share a byte of a uint8 tensor, as which `layout` has each code for itself; or 0.
    packed_bits: int = 0


@dataclass(frozen=True, eq=False)
class Candidate:
    """A tensor that might be a weight, with everything that the rules look at."""

    tensor: onnx.TensorProto
    index: GraphIndex
    readers: tuple[Reader, ...]  # operators that read the tensor as their weight
    constant: Constant  # where and how it is stored, and whether it becomes a weight anywhere in the model
    other_uses: int  # inputs that read the tensor in any other role

    @property
    def is_weight(self) -> bool:
        """Return True if any operator reads it, or what is computed from it and other constants, as its weight."""
        return bool(self.readers) or self.constant.is_weight or self.constant.is_source


@dataclass(frozen=True, eq=False)
class Rule(Generic[P]):
    """A condition for compression, with the sentence that the user reads where it is not met."""

    sentence: str  # on one line, with its full stop
    is_met: Callable[P, bool]


def _is_outside_functions(candidate: Candidate) -> bool:
    is_handed = candidate.tensor.name in candidate.index.arguments
    return candidate.constant.home is not Home.FUNCTION and not (is_handed and not candidate.readers)


CandidateRule = Rule[[Candidate]]

is_read_as_weight: CandidateRule = Rule(
    "An operator that is known must read it as its weight, directly or behind operators that keep its channels.",
    lambda candidate: bool(candidate.readers) or candidate.constant.is_weight,
)
is_dense: CandidateRule = Rule(
    "It must not be stored as a sparse tensor.", lambda candidate: not candidate.constant.is_sparse
)
is_outside_functions: CandidateRule = Rule(
    "It must not be stored in, or handed to, a local function that onnx cannot write out.", _is_outside_functions
)
is_no_output: CandidateRule = Rule(
    "It must not be an output of the network or of a body.",
    lambda candidate: bool(candidate.readers) and candidate.tensor.name not in candidate.index.outputs,
)
has_known_type: CandidateRule = Rule(
    f"Its type must be {type_names()}.", lambda candidate: candidate.tensor.data_type in ELEMENT_TYPES
)
is_array: CandidateRule = Rule("It must not be a scalar.", lambda candidate: len(candidate.tensor.dims) > 0)
has_weights: CandidateRule = Rule("It must hold at least one weight.", lambda candidate: 0 not in candidate.tensor.dims)
has_channels_that_fit: CandidateRule = Rule(
    "An output channel must have at most 1048576 weights.",
    lambda candidate: candidate.readers[0].layout.length <= MAX_LENGTH,
)

#: In this order; the first that is not satisfied is the reason given.
RULES: tuple[CandidateRule, ...] = (
    is_read_as_weight,
    is_dense,
    is_outside_functions,
    is_no_output,
    has_known_type,
    is_array,
    has_weights,
    has_channels_that_fit,
)


def broken_rule(candidate: Candidate) -> CandidateRule | None:
    """Return the first rule that a candidate breaks, or None where it is a weight that can be compressed."""
    return next((rule for rule in RULES if not rule.is_met(candidate)), None)


def scale_name(reader: Reader) -> str:
    """Return the name of the weight's scale, empty where the operator has none."""
    return _input_name(reader, reader.scale_index)


def number_of(element: ElementType) -> int:
    """Return the number of an element type in ONNX."""
    return next(number for number, known in ELEMENT_TYPES.items() if known is element)


def unpacked_shape(stored: tuple[int, ...], bits: int) -> tuple[int, ...]:
    """Return the shape of codes that share the bytes along the last axis of an array; see `PACKED_TYPES`."""
    return (*stored[:-1], stored[-1] * (8 // bits))


def stored_array(tensor: onnx.TensorProto) -> NDArray[np.generic]:
    """Return the values of an initializer, after its byte count has been checked against its shape.

    One that names a place is read from there, and is an array of its own.

    Raises
    ------
    InputError
        The stored bytes do not match the shape, cannot be read, or are more than there is memory for.
    """
    place = place_of(tensor)
    if place is None:
        return _values(tensor, None)
    with memory_for(f"{place.path}: layer {tensor.name!r}", f"{place.length} bytes", place.length):
        return _values(tensor, place)


def _values(tensor: onnx.TensorProto, place: Place | None) -> NDArray[np.generic]:
    """Do what `stored_array` does, for a tensor whose place is known."""
    try:
        if place is not None and tensor.data_type in ELEMENT_TYPES:
            element = ELEMENT_TYPES[tensor.data_type]
            if place.length != bytes_of(tensor):
                raise ValueError(f"{place.length} bytes")
            if element.bits < 8:
                content = np.frombuffer(place.read(), np.uint8)
                patterns = unpacked(content, element.bits, math.prod(tensor.dims))
                return patterns.view(element.dtype).reshape(tuple(tensor.dims))
            return place.array(element.dtype).reshape(tuple(tensor.dims))
        if place is not None:
            whole = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
            whole.raw_data = place.read()
            return np.asarray(numpy_helper.to_array(whole))
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"layer {tensor.name!r}", f"its stored bytes do not match its shape {tuple(tensor.dims)} ({error})"
        ) from None


def zero_point_name(reader: Reader) -> str:
    """Return the name of the weight's zero point, empty where it is left out and so zero."""
    return _input_name(reader, reader.zero_point_index)


def shared_zero_point(candidate: Candidate) -> tuple[NDArray[np.generic], str] | None:
    """Return the zero point of integer weights in the network, and its name.

    Returns
    -------
    In the weights' type, a scalar or one value for each entry of the channel axis; zero without a name where all
    readers leave it out. None where the network has no such one: it is computed or packed, differs between readers, or
    differs between blocks or along another axis.
    """
    points = [_zero_point(candidate, reader) for reader in candidate.readers]
    known = [point for point in points if point is not None]
    if len(known) < len(points):
        return None
    shape = np.broadcast_shapes(*(values.shape for values, _ in known))
    first = np.broadcast_to(known[0][0], shape)
    if not all(np.array_equal(np.broadcast_to(values, shape), first) for values, _ in known):
        return None
    return next((point for point in known if point[1]), known[0])


def _zero_point(candidate: Candidate, reader: Reader) -> tuple[NDArray[np.generic], str] | None:
    """Return one reader's zero point and its name; None where it is not one that channels have."""
    name, tensor = zero_point_name(reader), candidate.tensor
    if reader.quantiser is None:
        return None
    if not name:
        return np.zeros((), ELEMENT_TYPES[tensor.data_type].dtype), ""
    point = candidate.index.initializers.get(name)
    if point is None or point.data_type != tensor.data_type or candidate.index.is_inside(reader.node):
        return None
    if math.prod(point.dims) == 1:
        return stored_array(point).reshape(()), name
    layout = candidate.readers[0].layout
    is_along = len(point.dims) == 1 and point.dims[0] == layout.shape[layout.axis]
    values = stored_array(point)
    if is_along and reader.quantised_axis == layout.axis:
        return values, name
    # One value in many places is that of every channel, yet it has no name as a scalar.
    is_one = values.size > 0 and bool(np.all(values == values.flat[0]))
    return (np.asarray(values.flat[0]), "") if is_one else None


def _input_name(reader: Reader, position: int | None) -> str:
    if reader.quantiser is None or position is None or position >= len(reader.quantiser.input):
        return ""
    return str(reader.quantiser.input[position])
