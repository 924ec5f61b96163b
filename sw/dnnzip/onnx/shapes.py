"""The layers of a network with their sizes: which operators compute, on what shapes, and where their inputs come from.

Shapes come from ONNX' shape inference, so that no weight is read: networks whose weights are ConstantOfShape nodes and
compressed ones are as good as any other. Where a shape stays unknown, the layer is listed with its weights alone.
"""

import math
from collections import ChainMap, Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.compressed import DOMAIN
from dnnzip.onnx.constants import INDEX_TYPES
from dnnzip.onnx.given_sizes import GivenSizes, OpenDimension
from dnnzip.onnx.graph import is_standard, operand
from dnnzip.onnx.layer_counts import LARGEST_COUNT, Counts, Subject, counts, rows_read, unpacked
from dnnzip.onnx.operators import Operator, Role, WeightInput, operator_of
from dnnzip.onnx.standard_forms import is_known
from dnnzip.onnx.value_shapes import GraphShapes, InferredNetwork, Shape, inferred_network
from dnnzip.onnx.views import keeps_weights

#: Nothing is given.
AS_DECLARED = GivenSizes()

#: Roles of which every constant operand is a layer of its own: all of them are used at once.
OF_EVERY_OPERAND = (Role.RECURRENT, Role.EXPERTS, Role.LOOKUP)

#: A standard operator that multiplies activations and has no row.
UNCOUNTED = ("Attention",)


@dataclass(frozen=True)
class LayerShape:
    """Weights that an operator computes with, or an operator without any, for a batch of one unless it is fixed."""

    name: str  # of its weights' initializer (or of the node that makes them); of its node where it has none
    operator: str
    role: Role  # kind of computation
    counts: Counts | None  # its sizes; None where a shape is not known
    weights: int  # of a table, the values that are read
    # Number of the last of the layers before it that its input depends on; None where it depends on none.
    source: int | None

    @property
    def macs(self) -> int:
        """Multiplications; 0 where they are not known."""
        if self.counts is None or self.role in (Role.POOLING, Role.LOOKUP):
            return 0
        return self.counts.units * self.counts.reduction * self.counts.positions


@dataclass(frozen=True)
class NetworkShape:
    """The layers of a network."""

    layers: tuple[LayerShape, ...]
    open: tuple[OpenDimension, ...]  # dimensions of its inputs that are not known
    unknown: dict[str, int]  # operators that are not counted, and how many of each there are


def network_shape(model: onnx.ModelProto, where: str, given: GivenSizes = AS_DECLARED) -> NetworkShape:
    """Find the layers of a network, plain, compressed, or of shapes only, and their sizes, in the order of the nodes.

    An open first dimension of an input becomes 1: one sample. Operators without a role in the table of operators are
    not listed; they work on the result of the layer before them. Of the branches of an If the one with more products
    is taken, or with more weights where none has a product; the body of a Loop or Scan counts once.

    Parameters
    ----------
    model
        The network; left as it is.
    where
        The file, for messages.
    given
        Sizes of open dimensions.

    Raises
    ------
    InputError
        A given size does not suit the network, the network contradicts itself, or there is no layer.
    """
    network = inferred_network(model, where, given)
    walk = _Walk(network, where)
    walk.graph(network.model.graph, _Scope(network.shapes, ChainMap(), ChainMap()))
    if not walk.found and not walk.unknown:
        raise InputError(where, "has no convolution, matrix product or pooling", "give a network that computes")
    return NetworkShape(tuple(walk.found), network.open, dict(sorted(walk.unknown.items())))


@dataclass(frozen=True)
class _Value:
    """A value of the network."""

    # Of a constant: the name of the tensor that it is made of, and its type where it is stored; empty of activations.
    stored: str = ""
    type: int = 0
    shape: Shape | None = None  # of the stored tensor
    source: int | None = None  # the layer that an activation comes from


@dataclass(frozen=True)
class _Scope:
    """Values and shapes by the names that a graph sees, its own and those of the graphs around it."""

    own: GraphShapes  # of the graph itself, with its bodies
    values: ChainMap[str, _Value]
    shapes: ChainMap[str, Shape]

    def value(self, node: onnx.NodeProto, index: int) -> _Value:
        """Return the value that a node reads at a position."""
        return self.values.get(operand(node, index), _Value())

    def body(self, node: onnx.NodeProto, name: str) -> "_Scope":
        """Return the scope of the body that is the attribute of a name."""
        return _Scope(self.own.bodies[node.output[0], name], self.values.new_child(), self.shapes)


class _Walk:
    """The way through a network's graphs, on which its layers are collected."""

    def __init__(self, network: InferredNetwork, where: str) -> None:
        self.found: list[LayerShape] = []
        self.unknown: Counter[str] = Counter()
        self._network, self._where = network, where

    def graph(self, graph: onnx.GraphProto, around: _Scope) -> int | None:
        """Visit a graph with the values around it; return the layer that its results come from."""
        scope = _Scope(around.own, around.values, around.shapes.new_child(dict(around.own.values)))
        values = scope.values
        for tensor in graph.initializer:
            values[tensor.name] = _Value(tensor.name, tensor.data_type, tuple(tensor.dims))
        for sparse in graph.sparse_initializer:
            values[sparse.values.name] = _Value(sparse.values.name, sparse.values.data_type, tuple(sparse.dims))
        last = None
        for node in graph.node:
            result = self._node(node, scope)
            last = result.source if result.source is not None else last
            values.update((name, result) for name in node.output if name)
        sources = [values[value.name].source for value in graph.output if value.name in values]
        return max((source for source in sources if source is not None), default=last)

    def _node(self, node: onnx.NodeProto, scope: _Scope) -> _Value:
        read = [scope.values.get(name, _Value()) for name in node.input if name]
        inner = [(entry.name, entry.g) for entry in node.attribute if entry.HasField("g")]
        is_constant = all(value.stored for value in read) and not inner
        source = max((value.source for value in read if value.source is not None), default=None)
        operator = operator_of(node)
        if operator is not None and operator.role is not None and not is_constant:
            return _Value(source=self._layers(node, operator, scope, source))
        if is_constant:
            return _constant(node, read, scope.shapes)
        if inner:
            return _Value(source=self._bodies(node, inner, scope, source))
        if _is_uncounted(node):
            self.unknown[node.op_type if is_standard(node) else f"{node.domain}.{node.op_type}"] += 1
        return _Value(source=source)

    def _layers(self, node: onnx.NodeProto, operator: Operator, scope: _Scope, source: int | None) -> int | None:
        """Add the layers of a node: one for each operand of weights, or one without."""
        assert operator.role is not None, "has a role"
        held = [weight for weight in operator.weights if _is_weight(weight, scope.value(node, weight.index))]
        if operator.role is Role.LOOKUP and not held:
            return source
        if operator.role not in OF_EVERY_OPERAND:
            held = held[:1]
        for weight in held:
            subject = Subject(node, operator, operator.role, weight, scope.shapes, self._where)
            self._add(subject, scope.value(node, weight.index), source)
        if not held:
            is_product = operator.role in (Role.DENSE, Role.CONTRACTION)
            role = Role.PRODUCT if is_product else operator.role
            # A kernel may be computed from activations.
            computed = None if is_product or not operator.weights else operator.weights[0]
            self._add(Subject(node, operator, role, computed, scope.shapes, self._where), None, source)
        return len(self.found) - 1

    def _add(self, subject: Subject, stored: _Value | None, source: int | None) -> None:
        count, weights, name = counts(subject), 0, subject.name
        if stored is not None and subject.weight is not None:
            name = stored.stored
            seen = subject.shape(operand(subject.node, subject.weight.index))
            shape = seen if seen is not None and None not in seen else stored.shape
            fixed = unpacked(subject.node, tuple(size or 1 for size in shape or (0,)))
            weights = rows_read(subject, fixed) if subject.role is Role.LOOKUP and all(fixed) else math.prod(fixed)
        if weights > LARGEST_COUNT:
            raise subject.refuse("has more weights than 64 bits count")
        self.found.append(LayerShape(name, subject.operator.name, subject.role, count, weights, source))

    def _bodies(
        self,
        node: onnx.NodeProto,
        inner: Sequence[tuple[str, onnx.GraphProto]],
        scope: _Scope,
        source: int | None,
    ) -> int | None:
        """Add the layers of the body with the most products; return the one that the node's results come from."""
        start = len(self.found)
        best: tuple[tuple[int, int], list[LayerShape], int | None] = ((-1, -1), [], source)
        for name, body in inner:
            around = scope.body(node, name)
            around.values.update((value.name, handed) for value, handed in _handed(node, body, scope, source))
            last = self.graph(body, around)
            layers = self.found[start:]
            size = sum(layer.macs for layer in layers), sum(layer.weights for layer in layers)
            del self.found[start:]
            if size > best[0]:
                best = size, layers, source if last is None else last
        self.found += [layer if layer.source is not None else replace(layer, source=source) for layer in best[1]]
        return best[2]


def _handed(
    node: onnx.NodeProto, body: onnx.GraphProto, scope: _Scope, source: int | None
) -> Iterator[tuple[onnx.ValueInfoProto, _Value]]:
    """Yield the inputs of a body with what they are given at its first turn."""
    # A Loop has its number of turns and its condition first, and the body the turn and the condition.
    for position, value in enumerate(body.input):
        given = scope.value(node, position)
        is_same = given.stored and node.op_type == "Loop" and position >= 2
        yield value, given if is_same and _is_kept(body, position) else _Value(source=source)


def _is_kept(body: onnx.GraphProto, position: int) -> bool:
    """Return True if a value that a Loop carries stays as it is."""
    names = {body.input[position].name}
    for node in body.node:
        if node.op_type == "Identity" and node.input[0] in names:
            names.update(node.output)
    return len(body.output) > position - 1 and body.output[position - 1].name in names


def _constant(node: onnx.NodeProto, read: Sequence[_Value], shapes: Mapping[str, Shape]) -> _Value:
    """Return a constant that a node makes: the stored tensor as it is seen behind it, or a new one."""
    name = node.output[0] if node.output else ""
    if keeps_weights(node) and node.domain != DOMAIN and read:
        return max(read, key=lambda value: math.prod(size or 1 for size in value.shape or ()))
    type_ = next((entry.t.data_type for entry in node.attribute if entry.HasField("t")), 0)
    return _Value(name or "constant", type_, shapes.get(name))


def _is_weight(weight: WeightInput, value: _Value) -> bool:
    """Return True if an operand is a constant that holds weights: a table of indices or one number does not."""
    if not value.stored:
        return False
    is_matrix = sum((size or 2) > 1 for size in value.shape or ()) > 1
    return not weight.is_table or (value.type not in INDEX_TYPES and is_matrix)


def _is_uncounted(node: onnx.NodeProto) -> bool:
    if is_standard(node):
        return node.op_type in UNCOUNTED
    return node.domain != DOMAIN and not is_known(node) and operator_of(node) is None
