"""Initializers of a network that are weights to compress, and those left out, each with its rule."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from dnnzip.errors import InputError, field_name
from dnnzip.onnx.constants import find_constants, is_matrix
from dnnzip.onnx.graph import GraphIndex, Use, is_standard, lift_constants
from dnnzip.onnx.operators import DEQUANTIZED, operator_of
from dnnzip.onnx.rules import (
    ELEMENT_TYPES,
    Candidate,
    Reader,
    Rule,
    broken_rule,
    stored_array,
    zero_point,
    zero_point_name,
)
from dnnzip.quantize import tolerance
from dnnzip.quantize.bound import Bound
from dnnzip.quantize.element_type import ElementType, type_names
from dnnzip.quantize.layout import Layout

#: Arrays of these types are indices, shapes or masks, and no weights unless an operator reads them as such.
INDEX_TYPES = (
    TensorProto.BOOL,
    TensorProto.STRING,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT32,
    TensorProto.UINT64,
)


@dataclass(frozen=True, eq=False)
class Weight:
    """A tensor of weights that can be compressed."""

    name: str
    tensor: onnx.TensorProto
    layout: Layout  # output channels and kernel
    readers: tuple[Reader, ...]
    # int8 or uint8, scalar or one for each entry of the channel axis; None for float weights.
    zero_point: NDArray[np.generic] | None
    zero_point_name: str  # the initializer that holds it; empty where it is left out of the model, and so zero

    @property
    def array(self) -> NDArray[np.generic]:
        """The weights in their own type and shape; made anew at each call, so keep it no longer than needed."""
        return stored_array(self.tensor)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.layout.shape

    @property
    def element(self) -> ElementType:
        """Type of the weights."""
        return ELEMENT_TYPES[self.tensor.data_type]

    @property
    def weights(self) -> int:
        """Number of weights."""
        return math.prod(self.layout.shape)

    def left_out(self, reason: str) -> "LeftOut":
        """Make the record of this weight where something later than the rules leaves it out."""
        return LeftOut(self.name, reason, self.shape, self.weights, self.weights * self.element.bytes, True)


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

    Constant nodes become initializers first, in place (`lift_constants`). Listed as left out are all tensors that an
    operator reads as its weight, or that such a weight is computed from, wherever they are stored
    (`dnnzip.onnx.constants`), and the arrays with two dimensions or more above 1 for which that is not so (an
    embedding, say); biases, scales and shapes are no weights and not listed.

    Returns
    -------
    Weights and left-out tensors, each in the order of the model's initializers; those in bodies, then those in local
    functions come last. Names repeat where two bodies or functions have the same.

    Raises
    ------
    InputError
        A weight's stored bytes do not match its shape.
    """
    lift_constants(model)
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
    f"Its type must suit the bound: lsb is for {type_names(True, 'and')} weights, an absolute error for "
    f"{type_names(False, 'and')} ones.",
    tolerance.suits_unit,
)


def _matches(name: str, glob: str) -> bool:
    # A name may itself hold brackets; written out in full it means itself.
    return name == glob or fnmatchcase(name, glob)


def _candidates(model: onnx.ModelProto) -> Iterator[Candidate]:
    index = GraphIndex(model)
    for constant in find_constants(model):
        is_initializer = index.initializers.get(constant.tensor.name) is constant.tensor
        readers, other_uses = _readers(constant.tensor, index) if is_initializer else ([], 0)
        yield Candidate(constant.tensor, index, tuple(readers), constant, other_uses)


def _readers(tensor: onnx.TensorProto, index: GraphIndex) -> tuple[list[Reader], int]:
    """Find the operators that read a tensor as weight, and the number of its uses that are not that."""
    readers: list[Reader] = []
    others = 0
    for use in index.readers(tensor.name):
        found = (
            [_direct_reader(tensor, use)] if use.node.op_type != "DequantizeLinear" else _through(tensor, use, index)
        )
        readers += [reader for reader in found if reader is not None]
        others += any(reader is None for reader in found)
    return readers, others


def _direct_reader(tensor: onnx.TensorProto, use: Use) -> Reader | None:
    operator = operator_of(use.node)
    weight = None if operator is None else operator.weight_at(use.index)
    if weight is None:
        return None
    quantiser = None if weight.zero_point is None else use.node
    return Reader(use.node, quantiser, weight.scale, weight.zero_point, weight.layout(use.node, tuple(tensor.dims)))


def _through(tensor: onnx.TensorProto, use: Use, index: GraphIndex) -> list[Reader | None]:
    """Find readers behind a DequantizeLinear; None represents each use of it that is no weight."""
    node = use.node
    result = node.output[0]
    if use.index != 0 or not is_standard(node) or index.is_read_elsewhere(result):
        return [None]
    behind = [_direct_reader(tensor, inner) for inner in index.readers(result)]
    # An integer operator does not read float weights.
    return [
        None
        if reader is None or reader.quantiser is not None
        else replace(reader, quantiser=node, scale_index=DEQUANTIZED.scale, zero_point_index=DEQUANTIZED.zero_point)
        for reader in behind
    ]


def _weight(candidate: Candidate) -> Weight:
    tensor, reader = candidate.tensor, candidate.readers[0]
    is_integer = ELEMENT_TYPES[tensor.data_type].is_integer
    named = next((r for r in candidate.readers if zero_point_name(r)), reader)
    point = zero_point(candidate.index, named, tensor.data_type) if is_integer else None
    return Weight(
        tensor.name, tensor, reader.layout, candidate.readers, point, zero_point_name(named) if is_integer else ""
    )


def _left_out(candidate: Candidate, reason: str) -> LeftOut:
    tensor, constant = candidate.tensor, candidate.constant
    return LeftOut(tensor.name, reason, tuple(tensor.dims), constant.count, constant.bytes, candidate.is_weight)
