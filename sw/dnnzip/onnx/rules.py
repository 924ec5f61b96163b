"""Rules that leave an initializer uncompressed: each is a condition with the sentence that the user reads.

The manual's list is generated from the same sentences. Every rule takes a `Candidate` and says whether it is met; the
first rule that is not is the reason.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec

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
from dnnzip.onnx.operators import OPERATORS
from dnnzip.quantize.element_type import FLOAT16, FLOAT32, INT8, UINT8, ElementType, type_names
from dnnzip.quantize.layout import Layout
from dnnzip.system.spool import Place

#: Element types that are compressed, by their number in ONNX.
ELEMENT_TYPES: dict[int, ElementType] = {
    TensorProto.FLOAT: FLOAT32,
    TensorProto.FLOAT16: FLOAT16,
    TensorProto.INT8: INT8,
    TensorProto.UINT8: UINT8,
}

P = ParamSpec("P")


@dataclass(frozen=True, eq=False)
class Reader:
    """One operator that reads a tensor as its weight.

    Parameters
    ----------
    node
        The operator: a convolution or matrix product.
    quantiser
        The node that holds the weight's scale and zero point: a DequantizeLinear between the tensor and `node`, or
        `node` itself where it is an integer operator; None for float weights.
    scale_index, zero_point_index
        Positions of the scale and the zero point among the inputs of `quantiser`; None where it has no such input.
    layout
        The tensor's output channels and kernel as this operator sees them.
    """

    node: onnx.NodeProto
    quantiser: onnx.NodeProto | None
    scale_index: int | None
    zero_point_index: int | None
    layout: Layout


@dataclass(frozen=True, eq=False)
class Candidate:
    """A tensor that might be a weight, with everything that the rules look at.

    Parameters
    ----------
    tensor
        The initializer.
    index
        Names of the top graph.
    readers
        Operators that read the tensor as their weight.
    constant
        Where and how it is stored, and whether it becomes a weight anywhere in the model.
    other_uses
        Inputs that read the tensor in any other role.
    """

    tensor: onnx.TensorProto
    index: GraphIndex
    readers: tuple[Reader, ...]
    constant: Constant
    other_uses: int

    @property
    def is_weight(self) -> bool:
        """Return True if any operator reads it, or what is computed from it and other constants, as its weight."""
        return bool(self.readers) or self.constant.is_weight or self.constant.is_source


class Rule(Generic[P]):
    """A condition for compression, with the sentence that the user reads where it is not met.

    Parameters
    ----------
    sentence
        On one line, with its full stop.
    is_met
        The condition.
    """

    def __init__(self, sentence: str, is_met: Callable[P, bool]) -> None:
        self.sentence = sentence
        self._is_met = is_met

    def __call__(self, *arguments: P.args, **named: P.kwargs) -> bool:
        """Return True if the condition is met."""
        return self._is_met(*arguments, **named)


def _is_outside_subgraphs(candidate: Candidate) -> bool:
    is_read_inside = candidate.tensor.name in candidate.index.inner_reads
    return candidate.constant.home is not Home.BODY and not (candidate.constant.home is Home.GRAPH and is_read_inside)


def _has_constant_quantisation(candidate: Candidate) -> bool:
    constants = candidate.index.initializers
    return all(
        name in constants
        for reader in candidate.readers
        for name in (scale_name(reader), zero_point_name(reader))
        if name
    )


def _has_one_zero_point(candidate: Candidate) -> bool:
    points = [zero_point(candidate.index, reader, candidate.tensor.data_type) for reader in candidate.readers]
    shape = np.broadcast_shapes(*(point.shape for point in points))
    return all(np.array_equal(np.broadcast_to(point, shape), np.broadcast_to(points[0], shape)) for point in points)


def _listed(is_integer: bool) -> str:
    """Name the operators whose weights are compressed."""
    rows = [row for row in OPERATORS if row.is_compressed and row.is_integer == is_integer]
    *others, last = [row.name + row.remark for row in rows]
    return f"{', '.join(others)} or {last}"


CandidateRule = Rule[[Candidate]]

is_read_as_weight: CandidateRule = Rule(
    f"It must be the weight of {_listed(is_integer=False)}, direct or through DequantizeLinear, or of "
    f"{_listed(is_integer=True)}.",
    lambda candidate: bool(candidate.readers) or candidate.constant.is_weight,
)
is_dense: CandidateRule = Rule(
    "It must not be stored as a sparse tensor.", lambda candidate: not candidate.constant.is_sparse
)
is_outside_subgraphs: CandidateRule = Rule(
    "It must not be stored or read inside the body of an If, Loop or Scan.", _is_outside_subgraphs
)
is_outside_functions: CandidateRule = Rule(
    "It must not be stored in a local function, nor handed to one.",
    lambda candidate: candidate.constant.home is Home.GRAPH and candidate.tensor.name not in candidate.index.arguments,
)
is_no_output: CandidateRule = Rule(
    "It must not be an output of the network.", lambda candidate: candidate.tensor.name not in candidate.index.outputs
)
is_only_read_as_weight: CandidateRule = Rule(
    "Every operator that shares it must read it as a weight.",
    lambda candidate: bool(candidate.readers) and candidate.other_uses == 0,
)
has_known_type: CandidateRule = Rule(
    f"Its type must be {type_names()}.", lambda candidate: candidate.tensor.data_type in ELEMENT_TYPES
)
is_array: CandidateRule = Rule(
    "It must have at least two dimensions.", lambda candidate: len(candidate.tensor.dims) >= 2
)
has_weights: CandidateRule = Rule("It must hold at least one weight.", lambda candidate: 0 not in candidate.tensor.dims)
has_one_layout: CandidateRule = Rule(
    "All operators that share it must agree on its output channels and its kernel.",
    lambda candidate: all(reader.layout == candidate.readers[0].layout for reader in candidate.readers),
)
has_channels_that_fit: CandidateRule = Rule(
    "An output channel must have at most 1048576 weights.",
    lambda candidate: all(reader.layout.length <= MAX_LENGTH for reader in candidate.readers),
)
has_constant_quantisation: CandidateRule = Rule(
    "Its scale and zero point must be constants of the network.", _has_constant_quantisation
)
has_plain_zero_point: CandidateRule = Rule(
    "Its zero point must be one value or one for each output channel, not one for each block or another axis.",
    lambda candidate: all(_is_plain(candidate, reader) for reader in candidate.readers if zero_point_name(reader)),
)
has_one_zero_point: CandidateRule = Rule(
    "All operators that share it must use the same zero point.", _has_one_zero_point
)

#: In this order; the first that is not satisfied is the reason given.
RULES: tuple[CandidateRule, ...] = (
    is_read_as_weight,
    is_dense,
    is_outside_subgraphs,
    is_outside_functions,
    is_no_output,
    is_only_read_as_weight,
    has_known_type,
    is_array,
    has_weights,
    has_one_layout,
    has_channels_that_fit,
    has_constant_quantisation,
    has_plain_zero_point,
    has_one_zero_point,
)


def sentence(rule: Rule[Any]) -> str:
    """Return the sentence of a rule."""
    return rule.sentence


def broken_rule(candidate: Candidate) -> CandidateRule | None:
    """Return the first rule that a candidate breaks, or None where it is a weight that can be compressed."""
    return next((rule for rule in RULES if not rule(candidate)), None)


def scale_name(reader: Reader) -> str:
    """Return the name of the weight's scale, empty where the operator has none."""
    return _input_name(reader, reader.scale_index)


def number_of(element: ElementType) -> int:
    """Return the number of an element type in ONNX."""
    return next(number for number, known in ELEMENT_TYPES.items() if known is element)


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
            dtype = ELEMENT_TYPES[tensor.data_type].dtype
            if place.length != math.prod(tensor.dims) * dtype.itemsize:
                raise ValueError(f"{place.length} bytes")
            return place.array(dtype).reshape(tuple(tensor.dims))
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


def zero_point(index: GraphIndex, reader: Reader, data_type: int) -> NDArray[np.generic]:
    """Return the zero point in the weight's type: a scalar, or one value for each entry of the channel axis."""
    name = zero_point_name(reader)
    if not name:
        return np.zeros((), ELEMENT_TYPES[data_type].dtype)
    values = stored_array(index.initializers[name])
    return values.reshape(()) if values.size == 1 else values


def _input_name(reader: Reader, position: int | None) -> str:
    if reader.quantiser is None or position is None or position >= len(reader.quantiser.input):
        return ""
    return str(reader.quantiser.input[position])


def _is_plain(candidate: Candidate, reader: Reader) -> bool:
    point = candidate.index.initializers[zero_point_name(reader)]
    if point.data_type != candidate.tensor.data_type:
        return False
    if math.prod(point.dims) == 1:
        return True
    layout = reader.layout
    if len(point.dims) != 1 or point.dims[0] != layout.shape[layout.axis] or reader.quantiser is None:
        return False
    if reader.quantiser.op_type != "DequantizeLinear":
        return True
    axis = next((int(a.i) for a in reader.quantiser.attribute if a.name == "axis"), 1)
    return axis % len(layout.shape) == layout.axis
