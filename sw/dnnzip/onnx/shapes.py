"""The layers of a network with their sizes: which operators compute, on what shapes, and where their inputs come from.

Shapes come from ONNX' shape inference, so that no weight is read: networks whose weights are ConstantOfShape nodes and
compressed ones are as good as any other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.folding import fold_shapes
from dnnzip.onnx.graph import GraphIndex, attribute, fixed_size, is_standard, operand
from dnnzip.onnx.inference import infer_shapes
from dnnzip.onnx.operators import Operator, Reach, Role, operator_of
from dnnzip.onnx.soundness import messages

#: Largest count of weights, values or products: what 64 bits hold.
LARGEST_COUNT = (1 << 63) - 1

#: Rounds of folding at most; each needs an inference.
MOST_ROUNDS = 64


@dataclass(frozen=True)
class LayerShape:
    """An operator that computes, for a batch of one unless the network fixes another."""

    name: str  # of its weights' initializer (or of the node that makes them); of its node where it has none
    operator: str
    role: Role  # kind of computation
    # Output channels, products of each output, outputs of each channel, groups of the convolution.
    units: int
    reduction: int
    positions: int
    groups: int
    weights: int
    # Activations that it reads and writes.
    inputs: int
    outputs: int
    # Number of the last of the layers before it that its input depends on; None where it depends on none.
    source: int | None


def layer_shapes(model: onnx.ModelProto, where: str) -> list[LayerShape]:
    """Find the layers of a network, plain, compressed, or of shapes only, and their sizes, in the order of the nodes.

    A first dimension of an input that is not fixed becomes 1: one sample. Operators other than convolutions, matrix
    products and poolings are not listed; they work on the result of the layer before them. Subgraphs are not looked
    into.

    Raises
    ------
    InputError
        A shape cannot be inferred or is not fixed, or there is no layer.
    """
    shapes = _inferred(model, where)
    index = GraphIndex(model)
    found: list[LayerShape] = []
    behind: dict[str, int] = {}
    for node in model.graph.node:
        sources = [behind[name] for name in node.input if name in behind]
        source = max(sources, default=None)
        operator = operator_of(node)
        if operator is not None and operator.role is not None:
            role = _role(node, operator, operator.role, index, behind)
            found.append(_layer(_Shapes(shapes, node, operator, where), role, index, source))
            source = len(found) - 1
        if source is not None:
            behind.update((name, source) for name in node.output if name)
    if not found:
        raise InputError(where, "has no convolution, matrix product or pooling", "give a network that computes")
    return found


def _inferred(model: onnx.ModelProto, where: str) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of a model's values, None for a dimension that is not fixed."""
    slim = onnx.ModelProto()
    slim.CopyFrom(model)
    _open_dimensions(slim)
    _fix_batch(slim)
    shapes = _once_inferred(slim, where)
    rounds = 0
    # A chain that is folded may be what the next one waits for.
    while rounds < MOST_ROUNDS and fold_shapes(slim, shapes):
        shapes = _once_inferred(slim, where)
        rounds += 1
    return shapes


def _once_inferred(model: onnx.ModelProto, where: str) -> dict[str, tuple[int | None, ...]]:
    result = infer_shapes(model, where, follow_values=True)
    known = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    shapes: dict[str, tuple[int | None, ...]] = dict(known)
    for value in (*result.graph.input, *result.graph.value_info, *result.graph.output):
        if value.type.tensor_type.HasField("shape") and value.name not in known:
            dims = value.type.tensor_type.shape.dim
            shapes[value.name] = tuple(map(fixed_size, dims))
    return shapes


def _open_dimensions(model: onnx.ModelProto) -> None:
    """Leave out the sizes of open dimensions that old exporters write as -1 or 0, in place."""
    for message in messages(model.graph):
        if isinstance(message, onnx.TensorShapeProto.Dimension) and fixed_size(message) is None:
            message.ClearField("dim_value")


def _fix_batch(model: onnx.ModelProto) -> None:
    """Make the open first dimension of each input 1, and every other one that has the same name, in place."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    names = set()
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        if value.name not in initializers and dims and fixed_size(dims[0]) is None:
            names.add(dims[0].dim_param)
            dims[0].dim_value = 1
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param and dim.dim_param in names:
                dim.dim_value = 1


@dataclass(frozen=True)
class _Shapes:
    """Shapes of a node's values, each known or an error."""

    shapes: Mapping[str, tuple[int | None, ...]]
    node: onnx.NodeProto
    operator: Operator
    where: str

    def __call__(self, name: str) -> tuple[int, ...]:
        shape = self.shapes.get(name)
        if shape is None:
            raise self.refuse(f"the shape of {name!r} is not known", "export it with fixed shapes")
        fixed = tuple(d for d in shape if d)
        if len(fixed) != len(shape):
            text = "x".join("?" if d is None else str(d) for d in shape)
            raise self.refuse(f"the shape {text} of {name!r} is not fixed", "export it with fixed shapes")
        return fixed

    def refuse(self, wrong: str, right: str = "check the model with onnx.checker") -> InputError:
        return InputError(f"{self.where}: {self._node}", wrong, right)

    @property
    def _node(self) -> str:
        return f"{self.node.op_type} {self.node.name or operand_name(self.node)!r}"


def operand_name(node: onnx.NodeProto) -> str:
    """Return the name of a node's first output, by which it can be found where it has none of its own."""
    return str(node.output[0]) if node.output else ""


def _role(node: onnx.NodeProto, operator: Operator, role: Role, index: GraphIndex, behind: Mapping[str, int]) -> Role:
    """Return the role of a node, whose operator has one: a dense operator without weights is a product."""
    if role is Role.DENSE and _is_activation(operand(node, operator.weights[0].index), index, behind):
        return Role.PRODUCT
    return role


def _is_activation(name: str, index: GraphIndex, behind: Mapping[str, int]) -> bool:
    """Return True if a value depends on the network's input rather than on constants alone."""
    if name in behind:
        return True
    open_names, seen = [name], set()
    while open_names:
        current = open_names.pop()
        if current in index.initializers or current in seen:
            continue
        seen.add(current)
        producer = index.producers.get(current)
        if producer is None:
            return bool(current)
        open_names += [name for name in producer.input if name]
    return False


def _weight_name(name: str, index: GraphIndex) -> str:
    """Return the name of the stored weight that an operator reads, through a DequantizeLinear or not."""
    producer = index.producers.get(name)
    while producer is not None and producer.op_type == "DequantizeLinear" and is_standard(producer):
        name = operand(producer, 0)
        producer = index.producers.get(name)
    return name


def _layer(shapes: _Shapes, role: Role, index: GraphIndex, source: int | None) -> LayerShape:
    node, operator = shapes.node, shapes.operator
    inputs, outputs = shapes(operand(node, operator.source.index)), shapes(operand_name(node))
    name, weights = str(node.name or operand_name(node)), 0
    other: Sequence[int] = ()
    if operator.weights:
        stored = operand(node, operator.weights[0].index)
        other = shapes(stored)
        if role is not Role.PRODUCT:
            name, weights = _weight_name(stored, index), math.prod(other)
    if not inputs or not outputs:
        raise shapes.refuse(f"input {tuple(inputs)} and output {tuple(outputs)} have no dimensions")
    count = {Role.CONVOLUTION: _convolution, Role.POOLING: _pooling}.get(role, _product)
    sizes = count(shapes, inputs, other, outputs)
    if min(sizes) < 1:
        raise shapes.refuse("an attribute is out of its range")
    largest = max(*sizes, weights, math.prod(inputs), math.prod(outputs))
    if largest > LARGEST_COUNT:
        raise shapes.refuse("has more values or products than 64 bits count")
    return LayerShape(name, operator.name, role, *sizes, weights, math.prod(inputs), math.prod(outputs), source)


Sizes = tuple[int, int, int, int]


def _convolution(shapes: _Shapes, inputs: Sequence[int], kernel: Sequence[int], outputs: Sequence[int]) -> Sizes:
    groups = attribute(shapes.node, "group", 1)
    if len(kernel) < 3 or len(inputs) != len(kernel) or groups < 1 or inputs[1] % groups:
        raise shapes.refuse(f"input {tuple(inputs)}, weights {tuple(kernel)} and group {groups} do not go together")
    if shapes.operator.reach is Reach.SPREAD:
        # Every input meets every weight of its group: counted per output channel and position, that is a fraction of
        # the kernel; the positions here are the input's.
        units = kernel[1] * groups * math.prod(kernel[2:])
        return units, inputs[1] // groups, inputs[0] * math.prod(inputs[2:]), groups
    return kernel[0], math.prod(kernel[1:]), outputs[0] * math.prod(outputs[2:]), groups


def _pooling(shapes: _Shapes, inputs: Sequence[int], _: Sequence[int], outputs: Sequence[int]) -> Sizes:
    if len(inputs) < 3:
        raise shapes.refuse(f"input {tuple(inputs)} is no feature map")
    window = inputs[2:]
    if shapes.operator.reach is Reach.WINDOW:
        window = next((list(entry.ints) for entry in shapes.node.attribute if entry.name == "kernel_shape"), [])
        if len(window) != len(inputs) - 2:
            raise shapes.refuse("its kernel_shape does not suit its input")
    return inputs[1], math.prod(window), outputs[0] * math.prod(outputs[2:]), 1


def _product(shapes: _Shapes, inputs: Sequence[int], other: Sequence[int], outputs: Sequence[int]) -> Sizes:
    if shapes.operator.transposes:
        if len(inputs) != 2 or len(other) != 2:
            raise shapes.refuse(f"operands {tuple(inputs)} and {tuple(other)} are no matrices")
        length = inputs[0] if attribute(shapes.node, "transA", 0) else inputs[1]
        units = other[0] if attribute(shapes.node, "transB", 0) else other[1]
    else:
        length = inputs[-1]
        units = other[-1] if len(other) > 1 else 1
    count = math.prod(outputs)
    if count % units:
        raise shapes.refuse(f"operands {tuple(inputs)} and {tuple(other)} do not give {tuple(outputs)}")
    return units, length, count // units, 1
