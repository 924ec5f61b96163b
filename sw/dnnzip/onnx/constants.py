"""Every constant of a model, wherever it is stored, and whether it becomes a weight of an operator.

A constant is an initializer, dense or sparse, or a Constant node, in the graph, in the body of an If, Loop or Scan at
any depth, or in a local function. Values are followed forwards, in the order of the nodes: through operators whose
inputs are all constant (a Transpose or Cast of a weight), into bodies, and into local functions by their arguments.
"""

import math
from collections import ChainMap
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from enum import Enum

import onnx
from onnx import TensorProto

from dnnzip.onnx.graph import bodies, is_standard, operand
from dnnzip.onnx.lazy_tensors import place_of
from dnnzip.onnx.operators import operator_of
from dnnzip.onnx.tensor_bytes import bytes_of

#: Operators of which the first input is what they change, and the others only say how.
CONVERSIONS = ("DequantizeLinear", "QuantizeLinear", "Cast", "CastLike")

#: Arrays of these types are indices, shapes or masks, and no weights unless an operator computes with them.
INDEX_TYPES = (
    TensorProto.BOOL,
    TensorProto.STRING,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.UINT32,
    TensorProto.UINT64,
)

#: Operators whose result does not hold the values of their input.
SHAPES = ("Shape", "Size")


class Home(Enum):
    """Place where a constant is stored."""

    GRAPH = "graph"
    BODY = "body"
    FUNCTION = "function"


@dataclass(eq=False)
class Constant:
    """A constant of a model, or an input of a local function that receives it."""

    tensor: onnx.TensorProto  # the constant; of a sparse one, name, type and shape alone
    home: Home  # where it is stored
    bytes: int  # bytes that it takes as it is stored
    is_sparse: bool = False  # True if only the values that are not zero are stored
    is_weight: bool = False  # True if an operator reads it as its weight, as it is or dequantised
    is_source: bool = False  # True if a weight is computed from it, or an operator reads it that is not known
    is_formal: bool = False  # True if it is an input of a function or of a body, which may get a constant

    @property
    def count(self) -> int:
        """Number of values, zeros of sparse tensors included."""
        return math.prod(self.tensor.dims)


@dataclass(frozen=True)
class _Value:
    """A constant value: what it is made of, and whether it is the one constant itself, as it is or dequantised."""

    sources: tuple[Constant, ...]
    is_plain: bool = True


_Values = MutableMapping[str, _Value | None]


def find_constants(model: onnx.ModelProto) -> list[Constant]:
    """List every constant of a model: those of the graph, then those of bodies, then those of local functions."""
    walk = _Walk(model)
    walk.graph(model.graph, Home.GRAPH, ChainMap())
    for function in model.functions:
        walk.function(function)
    order = list(Home)
    return sorted(walk.constants, key=lambda constant: order.index(constant.home))


def is_matrix(tensor: onnx.TensorProto) -> bool:
    """Return True if more than one dimension is above 1, unlike in a bias, in whatever shape it broadcasts."""
    return bool(sum(d > 1 for d in tensor.dims) >= 2)


def stored_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes of a tensor's values by their type, in whichever field of the message they stand."""
    place = place_of(tensor)
    if place is not None:
        return place.length
    if tensor.data_type == TensorProto.STRING:
        return sum(len(text) for text in tensor.string_data)
    size = bytes_of(tensor)
    return len(tensor.raw_data) if size is None else size


@dataclass
class _Walk:
    """The way through a model's nodes, on which constants are collected."""

    model: onnx.ModelProto
    constants: list[Constant] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._functions = {(f.domain, f.name, f.overload): f for f in self.model.functions}
        self._inputs: dict[int, list[Constant]] = {}

    def graph(self, graph: onnx.GraphProto, home: Home, values: _Values) -> None:
        """Visit a graph, whose own names are added to `values`; its inputs are there already if they are constant."""
        for tensor in graph.initializer:
            values[tensor.name] = self._stored(tensor, home)
        for sparse in graph.sparse_initializer:
            values[sparse.values.name] = self._stored_sparse(sparse, sparse.values.name, home)
        self._nodes(graph.node, home, values)

    def function(self, function: onnx.FunctionProto) -> list[Constant]:
        """Visit a local function once; returns its inputs, as if they were constants."""
        if id(function) not in self._inputs:
            inputs = [Constant(TensorProto(name=name), Home.FUNCTION, 0, is_formal=True) for name in function.input]
            # Set before its nodes are visited: a function that calls itself is not sound, and must not go on for ever.
            self._inputs[id(function)] = inputs
            values: _Values = {constant.tensor.name: _Value((constant,)) for constant in inputs}
            self._nodes(function.node, Home.FUNCTION, values)
        return self._inputs[id(function)]

    def _nodes(self, nodes: Iterable[onnx.NodeProto], home: Home, values: _Values) -> None:
        for node in nodes:
            self._read_weights(node, values)
            result = self._constant_node(node, home)
            # What an unknown operator makes (a Decompress node its weight) is not made of the values of its inputs.
            if result is None and (is_standard(node) or self._called(node) is not None):
                result = _computed(node, values)
            for inner in bodies(node):
                self._body(node, inner, home, values)
            for name in node.output:
                values[name] = result

    def _body(self, node: onnx.NodeProto, body: onnx.GraphProto, home: Home, values: _Values) -> None:
        inner: _Values = ChainMap({}, values)
        # Loop and Scan hand their inputs on by position; of a Scan's, the body sees slices.
        formal = [Constant(TensorProto(name=value.name), home, 0, is_formal=True) for value in body.input]
        for constant in formal:
            inner[constant.tensor.name] = _Value((constant,))
        self.graph(body, Home.FUNCTION if home is Home.FUNCTION else Home.BODY, inner)
        for position, constant in enumerate(formal):
            if constant.is_weight or constant.is_source:
                _mark(values.get(operand(node, position)), is_plain=False)

    def _read_weights(self, node: onnx.NodeProto, values: _Values) -> None:
        """Mark the constants that a node reads as its weights."""
        function, operator = self._called(node), operator_of(node)
        if function is not None:
            for name, formal in zip(node.input, self.function(function), strict=False):
                if formal.is_weight or (formal.is_source and _is_large(values.get(name))):
                    _mark(values.get(name), is_plain=formal.is_weight)
        elif operator is not None and operator.weights:
            for weight in operator.weights:
                value = values.get(operand(node, weight.index))
                if not (weight.is_table and value is not None and all(map(_is_index, value.sources))):
                    _mark(value)
        elif not is_standard(node):
            for name in node.input:
                if _is_large(values.get(name)):
                    _mark(values.get(name), is_plain=False)

    def _called(self, node: onnx.NodeProto) -> onnx.FunctionProto | None:
        """Return the local function that a node calls."""
        return self._functions.get((node.domain, node.op_type, node.overload))

    def _constant_node(self, node: onnx.NodeProto, home: Home) -> _Value | None:
        if node.op_type != "Constant" or not is_standard(node) or not node.output:
            return None
        name = node.output[0]
        for entry in node.attribute:
            if entry.HasField("sparse_tensor"):
                return self._stored_sparse(entry.sparse_tensor, name, home)
            if entry.HasField("t"):
                return self._stored(entry.t, home, name)
            if entry.floats:
                return self._stored(TensorProto(data_type=TensorProto.FLOAT, dims=[len(entry.floats)]), home, name)
        # One number or text, or whole numbers: no weights.
        return _Value(())

    def _stored(self, tensor: onnx.TensorProto, home: Home, name: str = "") -> _Value:
        size = stored_bytes(tensor)
        if name and name != tensor.name:
            tensor = TensorProto(name=name, data_type=tensor.data_type, dims=tensor.dims)
        self.constants.append(Constant(tensor, home, size))
        return _Value((self.constants[-1],))

    def _stored_sparse(self, sparse: onnx.SparseTensorProto, name: str, home: Home) -> _Value:
        tensor = TensorProto(name=name, data_type=sparse.values.data_type, dims=sparse.dims)
        size = stored_bytes(sparse.values) + stored_bytes(sparse.indices)
        self.constants.append(Constant(tensor, home, size, is_sparse=True))
        return _Value((self.constants[-1],))


def _mark(value: _Value | None, is_plain: bool = True) -> None:
    """Note that a value is read as a weight; None is no constant."""
    for source in value.sources if value is not None else ():
        if is_plain and value is not None and value.is_plain:
            source.is_weight = True
        else:
            source.is_source = True


def _is_index(source: Constant) -> bool:
    return not source.is_formal and source.tensor.data_type in INDEX_TYPES


def _is_large(value: _Value | None) -> bool:
    """Return True if a constant value may be more than a bias or a scale."""
    return value is not None and any(source.is_formal or is_matrix(source.tensor) for source in value.sources)


def _computed(node: onnx.NodeProto, values: _Values) -> _Value | None:
    """Return the result of a node of constants, None where an input is not constant or it makes something else."""
    inputs = [values.get(name) for name in node.input if name]
    if node.op_type in CONVERSIONS and is_standard(node):
        first = values.get(operand(node, 0))
        return first and _Value(first.sources, first.is_plain and node.op_type == "DequantizeLinear")
    known = [value for value in inputs if value is not None]
    if not known or len(known) < len(inputs) or node.op_type in SHAPES or next(bodies(node), None) is not None:
        return None
    if node.op_type == "Concat":
        return _Value(tuple({id(source): source for value in known for source in value.sources}.values()), False)
    # Of a weight and its scale, or a weight and a shape, the weight.
    return _Value(max((value.sources for value in known), key=lambda made: sum(one.count for one in made)), False)
