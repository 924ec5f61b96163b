"""Initializers of a network that are weights to compress, and those left out, each with its rule."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from dnnzip.errors import InputError, field_name
from dnnzip.onnx.constants import INDEX_TYPES, find_constants, is_matrix
from dnnzip.onnx.graph import GraphIndex, Use, attribute, is_standard, operand
from dnnzip.onnx.lifting import lift_weights
from dnnzip.onnx.operators import DEQUANTIZED, operator_of
from dnnzip.onnx.rules import (
    ELEMENT_TYPES,
    PACKED_TYPES,
    Candidate,
    Reader,
    Rule,
    broken_rule,
    shared_zero_point,
    stored_array,
    unpacked_shape,
)
from dnnzip.onnx.tensor_bytes import unpacked
from dnnzip.onnx.views import SHAPE_READERS, View, through
from dnnzip.quantize import tolerance
from dnnzip.quantize.bound import Bound
from dnnzip.quantize.element_type import ElementType
from dnnzip.quantize.layout import Layout


@dataclass(frozen=True, eq=False)
class Weight:
    """A tensor of weights that can be compressed."""

    name: str
    tensor: onnx.TensorProto
    layout: Layout  # output channels and kernel
    readers: tuple[Reader, ...]
    # In the weights' type, scalar or one for each entry of the channel axis; None for float weights.
    zero_point: NDArray[np.generic] | None
    zero_point_name: str  # the initializer that holds it; empty where none does
    # True if a divisor may be folded into the scales of the operators that read it: they see it as it is stored, and
    # nothing else does.
    has_own_scale: bool
    packed_bits: int = 0  # bits of a code where several share a byte of the stored uint8 array, otherwise 0

    @property
    def is_direct(self) -> bool:
        """True if every reader is an operator of the top graph that sees the array as it is stored."""
        return all(reader.is_direct for reader in self.readers)

    @property
    def array(self) -> NDArray[np.generic]:
        """The weights in their own type and shape; made anew at each call, so keep it no longer than needed."""
        stored = stored_array(self.tensor)
        if not self.packed_bits:
            return stored
        codes = unpacked(stored.view(np.uint8), self.packed_bits, self.weights)
        return codes.view(self.element.dtype).reshape(self.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the weights, in which packed codes are apart."""
        return self.layout.shape

    @property
    def element(self) -> ElementType:
        """Type of the weights."""
        return PACKED_TYPES.get(self.packed_bits, ELEMENT_TYPES[self.tensor.data_type])

    @property
    def stored_bytes(self) -> int:
        """Bytes of the weights in the network's file."""
        return self.element.stored_bytes(self.weights)

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.layout.shape)

    def left_out(self, reason: str) -> "LeftOut":
        """Make the record of this weight where something later than the rules leaves it out."""
        return LeftOut(self.name, reason, self.shape, self.weights, self.stored_bytes, True)


@dataclass(frozen=True)
class LeftOut:
    """A tensor that is not compressed."""

    name: str
    rule: str  # the sentence of the rule that leaves it out
    shape: tuple[int, ...]
    # Number of values, and the bytes that they take as stored.
    weights: int
    bytes: int
    # True if an operator reads it as its weight, or something computed from it; the size goals count these alone.
    is_weight: bool


def find_weights(model: onnx.ModelProto) -> tuple[list[Weight], list[LeftOut]]:
    """Find the weights that can be compressed and say why others are not.

    Weights become initializers of the top graph first, in place (`dnnzip.onnx.lifting`). Listed as left out are all
    tensors that an operator reads as its weight, or that such a weight is computed from, wherever they are stored
    (`dnnzip.onnx.constants`), and the arrays with two dimensions or more above 1 for which that is not so; biases,
    scales and shapes are no weights and not listed.

    Returns
    -------
    Weights and left-out tensors, each in the order of the model's initializers; those in bodies, then those in local
    functions come last. Names repeat where two bodies or functions have the same.

    Raises
    ------
    InputError
        A weight's stored bytes do not match its shape.
    """
    lift_weights(model)
    weights: list[Weight] = []
    left_out: list[LeftOut] = []
    for candidate in _candidates(model):
        rule = broken_rule(candidate)
        if rule is None:
            weights.append(_weight(candidate))
        elif candidate.is_weight or (is_matrix(candidate.tensor) and candidate.tensor.data_type not in INDEX_TYPES):
            left_out.append(_left_out(candidate, rule.sentence))
    return weights, left_out


def select_weights(
    weights: Sequence[Weight],
    left_out: Sequence[LeftOut],
    layers: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[list[Weight], list[LeftOut]]:
    """Choose weights by globs on their names.

    Parameters
    ----------
    weights, left_out
        Result of `find_weights`.
    layers
        Keep the names that match one of these; empty keeps all.
    exclude
        Then drop the names that match one of these.

    Returns
    -------
    The chosen weights, and the left-out tensors with those not chosen added.

    Raises
    ------
    InputError
        A glob matches no weight.
    """
    names = [weight.name for weight in weights] + [tensor.name for tensor in left_out]
    for option, globs in ((field_name("layers"), layers), (field_name("exclude"), exclude)):
        for glob in globs:
            if not any(_matches(name, glob) for name in names):
                raise InputError(f"{option} {glob!r}", "matches no weight", "give a glob on initializer names")
    chosen = [
        weight
        for weight in weights
        if (not layers or any(_matches(weight.name, glob) for glob in layers))
        and not any(_matches(weight.name, glob) for glob in exclude)
    ]
    kept = {weight.name for weight in chosen}
    dropped = [weight.left_out(is_selected.sentence) for weight in weights if weight.name not in kept]
    return chosen, [*left_out, *dropped]


is_selected: Rule[[Weight, Sequence[Weight]]] = Rule(
    "Its name must match a glob of `layers`, where given, and none of `exclude`.",
    lambda weight, chosen: weight in chosen,
)

suits_unit: Rule[[Weight, Bound]] = Rule(
    "Its type must suit the bound: lsb is for integer weights, an absolute error for float ones.",
    tolerance.suits_unit,
)


def _matches(name: str, glob: str) -> bool:
    # A name may itself hold brackets; written out in full it means itself.
    return name == glob or fnmatchcase(name, glob)


def _candidates(model: onnx.ModelProto) -> Iterator[Candidate]:
    index = GraphIndex(model)
    for constant in find_constants(model):
        is_initializer = index.initializers.get(constant.tensor.name) is constant.tensor
        readers, other_uses = _Readers(constant.tensor, index).found if is_initializer else ([], 0)
        yield Candidate(constant.tensor, index, tuple(readers), constant, other_uses)


class _Readers:
    """Operators that read a tensor as their weight, as it is or behind others that only change how it looks.

    Members
    -------
    found
        The readers, and the number of uses of the tensor's values that are none.
    """

    def __init__(self, tensor: onnx.TensorProto, index: GraphIndex) -> None:
        self._stored = tuple(tensor.dims)
        self._is_index = tensor.data_type in INDEX_TYPES
        self._is_bytes = tensor.data_type == TensorProto.UINT8 and len(tensor.dims) > 0
        self._index = index
        self._readers: list[Reader] = []
        self._others = 0
        for use in index.readers(tensor.name):
            self._follow(use, View.of(self._stored), None)
        self.found = self._readers, self._others

    def _follow(self, use: Use, view: View, dequantise: "_Quantised | None") -> None:
        """Take in one use of a view of the tensor, and what comes of it behind the node."""
        node = use.node
        if is_standard(node) and node.op_type in SHAPE_READERS:
            return
        reader = self._reader(use, view, dequantise)
        if reader is not None:
            self._readers.append(reader)
            return
        behind = through(use, view, self._index)
        if behind is None:
            self._others += 1
            return
        if node.op_type == "DequantizeLinear" and dequantise is None:
            axis = view.stored_axis(attribute(node, "axis", 1))
            dequantise = _Quantised(node, axis, view == View.of(self._stored))
        for position in range(len(node.output)):
            self._others += self._index.is_passed_on(node, position)
            for inner in self._index.behind(node, position):
                self._follow(inner, behind, dequantise)

    def _reader(self, use: Use, view: View, dequantise: "_Quantised | None") -> Reader | None:
        node, operator = use.node, operator_of(use.node)
        weight = None if operator is None else operator.weight_at(use.index)
        if weight is None or (weight.is_table and self._is_index):
            return None
        is_plain = not self._index.is_inside(node)
        bits = weight.packed_bits(node) if self._is_bytes and view == View.of(self._stored) else 0
        if bits and dequantise is None:
            layout = weight.layout(node, unpacked_shape(self._stored, bits))
            return Reader(node, None, None, None, layout.axis, layout, False, bits)
        layout = view.layout(self._stored, lambda shape: weight.layout(node, shape))
        if dequantise is not None:
            # An integer operator does not read float weights.
            is_direct = is_plain and dequantise.is_direct and view == View.of(self._stored)
            scale, point = DEQUANTIZED.scale, DEQUANTIZED.zero_point
            return Reader(node, dequantise.node, scale, point, dequantise.axis, layout, is_direct)
        is_direct = is_plain and view == View.of(self._stored) and operand(node, use.index) in self._index.initializers
        quantiser = None if weight.zero_point is None else node
        return Reader(node, quantiser, weight.scale, weight.zero_point, layout.axis, layout, is_direct)


@dataclass(frozen=True, eq=False)
class _Quantised:
    """The DequantizeLinear on the way: along which of the stored axes, and whether it reads the tensor itself."""

    node: onnx.NodeProto
    axis: int | None
    is_direct: bool


def _weight(candidate: Candidate) -> Weight:
    tensor = candidate.tensor
    layout, bits = candidate.readers[0].layout, candidate.readers[0].packed_bits
    if any(reader.packed_bits != bits for reader in candidate.readers):
        # Operators that see other codes in the same bytes: the bytes themselves are compressed.
        layout, bits = Layout(tuple(tensor.dims), 0), 0
    element = PACKED_TYPES.get(bits, ELEMENT_TYPES[tensor.data_type])
    if not element.is_integer:
        return Weight(tensor.name, tensor, layout, candidate.readers, None, "", has_own_scale=False)
    found = None if bits else shared_zero_point(candidate)
    # Without a zero point of the network any value serves; codes are smallest around the middle of the type.
    middle = np.array((element.lowest + element.largest + 1) // 2, element.dtype)
    point, name = found or (middle, "")
    has_own_scale = found is not None and not candidate.other_uses and all(r.is_direct for r in candidate.readers)
    return Weight(tensor.name, tensor, layout, candidate.readers, point, name, has_own_scale, bits)


def _left_out(candidate: Candidate, reason: str) -> LeftOut:
    tensor, constant = candidate.tensor, candidate.constant
    return LeftOut(tensor.name, reason, tuple(tensor.dims), constant.count, constant.bytes, candidate.is_weight)
