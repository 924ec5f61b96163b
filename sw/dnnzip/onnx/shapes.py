"""The layers of a network with their sizes: which operators compute, on what shapes, and where their inputs come from.

Shapes come from ONNX' shape inference, so that no weight is read: networks whose weights are ConstantOfShape nodes and
compressed ones are as good as any other.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.constants import WEIGHT_INPUT
from dnnzip.onnx.files import copy_field
from dnnzip.onnx.folding import fold_shapes
from dnnzip.onnx.graph import GraphIndex, attribute, fixed_size, is_standard, operand
from dnnzip.onnx.inference import infer_shapes
from dnnzip.onnx.soundness import messages

#: Which input of an operator is its activation, where it is not the first.
ACTIVATION_INPUT = {"QLinearConv": 0, "QLinearMatMul": 0}

CONVOLUTIONS = ("Conv", "QLinearConv", "ConvInteger")
PRODUCTS = ("MatMul", "QLinearMatMul", "MatMulInteger")
POOLINGS = ("MaxPool", "AveragePool", "LpPool")
GLOBAL_POOLINGS = ("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool")


#: Largest count of weights, values or products: what 64 bits hold.
LARGEST_COUNT = (1 << 63) - 1

#: Rounds of folding at most; each needs an inference.
MOST_ROUNDS = 64


class Role(enum.StrEnum):
    """What an operator computes.

    Members
    -------
    CONVOLUTION, DENSE
        With weights.
    PRODUCT
        Of two activations.
    POOLING
        Of the values in a window.
    """

    CONVOLUTION = "convolution"
    DENSE = "dense"
    PRODUCT = "product"
    POOLING = "pooling"


@dataclass(frozen=True)
class LayerShape:
    """An operator that computes, for a batch of one unless the network fixes another.

    Parameters
    ----------
    name
        Of its weights' initializer (or of the node that makes them); of its node where it has none.
    operator
        The ONNX operator.
    role
        What it computes.
    units, reduction, positions, groups
        Output channels, products of each output, outputs of each channel, groups of the convolution.
    weights
        Distinct weights.
    inputs, outputs
        Activations that it reads and writes.
    source
        Number of the last of the layers before it that its input depends on; None where it depends on none.
    """

    name: str
    operator: str
    role: Role
    units: int
    reduction: int
    positions: int
    groups: int
    weights: int
    inputs: int
    outputs: int
    source: int | None


def layer_shapes(model: onnx.ModelProto, where: str) -> list[LayerShape]:
    """Find a network's layers and their sizes.

    A first dimension of an input that is not fixed becomes 1: one sample. Operators other than convolutions, matrix
    products and poolings are not listed; they work on what the layer before them gives. Subgraphs are not looked into.

    Parameters
    ----------
    model
        The network, plain, compressed, or of shapes only; left as it is.
    where
        The file, for messages.

    Returns
    -------
    The layers in the order of their nodes.

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
        role = _role(node, index, behind)
        if role is not None:
            found.append(_layer(node, role, _Shapes(shapes, node, where), index, source))
            source = len(found) - 1
        if source is not None:
            behind.update((name, source) for name in node.output if name)
    if not found:
        raise InputError(where, "has no convolution, matrix product or pooling", "give a network that computes")
    return found


def _inferred(model: onnx.ModelProto, where: str) -> dict[str, tuple[int | None, ...]]:
    """Return the shapes of a model's values, None for a dimension that is not fixed."""
    slim = onnx.ModelProto()
    for field, _ in model.ListFields():
        copy_field(slim, field.name, getattr(model, field.name))
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
    where: str

    def __call__(self, name: str) -> tuple[int, ...]:
        shape = self.shapes.get(name)
        if shape is None:
            raise InputError(
                f"{self.where}: {self._node}", f"the shape of {name!r} is not known", "export it with fixed shapes"
            )
        fixed = tuple(d for d in shape if d)
        if len(fixed) != len(shape):
            text = "x".join("?" if d is None else str(d) for d in shape)
            raise InputError(
                f"{self.where}: {self._node}",
                f"the shape {text} of {name!r} is not fixed",
                "export it with fixed shapes",
            )
        return fixed

    def refuse(self, wrong: str) -> InputError:
        return InputError(f"{self.where}: {self._node}", wrong, "check the model with onnx.checker")

    @property
    def _node(self) -> str:
        return f"{self.node.op_type} {self.node.name or operand_name(self.node)!r}"


def operand_name(node: onnx.NodeProto) -> str:
    """Return the name of a node's first output, by which it can be found where it has none of its own."""
    return str(node.output[0]) if node.output else ""


def _role(node: onnx.NodeProto, index: GraphIndex, behind: Mapping[str, int]) -> Role | None:
    if not is_standard(node):
        return None
    kind = str(node.op_type)
    if kind in CONVOLUTIONS or kind == "ConvTranspose":
        return Role.CONVOLUTION
    if kind in POOLINGS or kind in GLOBAL_POOLINGS:
        return Role.POOLING
    if kind in PRODUCTS or kind == "Gemm":
        name = operand(node, WEIGHT_INPUT[kind])
        return Role.PRODUCT if _is_activation(name, index, behind) else Role.DENSE
    return None


def _is_activation(name: str, index: GraphIndex, behind: Mapping[str, int]) -> bool:
    """Whether a value depends on the network's input rather than on constants alone."""
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


def _layer(node: onnx.NodeProto, role: Role, shapes: _Shapes, index: GraphIndex, source: int | None) -> LayerShape:
    kind = str(node.op_type)
    inputs = shapes(operand(node, ACTIVATION_INPUT.get(kind, 0)))
    outputs = shapes(operand_name(node))
    name, weights = str(node.name or operand_name(node)), 0
    if role in (Role.CONVOLUTION, Role.DENSE):
        stored = operand(node, WEIGHT_INPUT[kind])
        kernel = shapes(stored)
        name, weights = _weight_name(stored, index), math.prod(kernel)
    if not inputs or not outputs:
        raise shapes.refuse(f"input {tuple(inputs)} and output {tuple(outputs)} have no dimensions")
    match role:
        case Role.CONVOLUTION:
            sizes = _convolution(node, inputs, outputs, kernel, shapes)
        case Role.POOLING:
            sizes = _pooling(node, inputs, outputs, shapes)
        case _:
            sizes = _product(node, inputs, shapes(operand(node, WEIGHT_INPUT[kind])), outputs, shapes)
    units, reduction, positions, groups = sizes
    if min(sizes) < 1:
        raise shapes.refuse("an attribute is out of its range")
    largest = max(*sizes, weights, math.prod(inputs), math.prod(outputs))
    if largest > LARGEST_COUNT:
        raise shapes.refuse("has more values or products than 64 bits count")
    return LayerShape(
        name,
        kind,
        role,
        units,
        reduction,
        positions,
        groups,
        weights,
        math.prod(inputs),
        math.prod(outputs),
        source,
    )


Sizes = tuple[int, int, int, int]


def _convolution(
    node: onnx.NodeProto, inputs: Sequence[int], outputs: Sequence[int], kernel: Sequence[int], shapes: _Shapes
) -> Sizes:
    groups = attribute(node, "group", 1)
    if len(kernel) < 3 or len(inputs) != len(kernel) or groups < 1 or inputs[1] % groups:
        raise shapes.refuse(f"input {tuple(inputs)}, weights {tuple(kernel)} and group {groups} do not go together")
    if node.op_type == "ConvTranspose":
        # Every input meets every weight of its group: counted per output channel and position, that is a fraction of
        # the kernel; the positions here are the input's.
        units = kernel[1] * groups * math.prod(kernel[2:])
        return units, inputs[1] // groups, inputs[0] * math.prod(inputs[2:]), groups
    return kernel[0], math.prod(kernel[1:]), outputs[0] * math.prod(outputs[2:]), groups


def _pooling(node: onnx.NodeProto, inputs: Sequence[int], outputs: Sequence[int], shapes: _Shapes) -> Sizes:
    if len(inputs) < 3:
        raise shapes.refuse(f"input {tuple(inputs)} is no feature map")
    window = inputs[2:]
    if node.op_type in POOLINGS:
        window = next((list(entry.ints) for entry in node.attribute if entry.name == "kernel_shape"), [])
        if len(window) != len(inputs) - 2:
            raise shapes.refuse("its kernel_shape does not suit its input")
    return inputs[1], math.prod(window), outputs[0] * math.prod(outputs[2:]), 1


def _product(
    node: onnx.NodeProto, inputs: Sequence[int], other: Sequence[int], outputs: Sequence[int], shapes: _Shapes
) -> Sizes:
    if node.op_type == "Gemm":
        if len(inputs) != 2 or len(other) != 2:
            raise shapes.refuse(f"operands {tuple(inputs)} and {tuple(other)} are no matrices")
        length = inputs[0] if attribute(node, "transA", 0) else inputs[1]
        units = other[0] if attribute(node, "transB", 0) else other[1]
    else:
        length = inputs[-1]
        units = other[-1] if len(other) > 1 else 1
    count = math.prod(outputs)
    if count % units:
        raise shapes.refuse(f"operands {tuple(inputs)} and {tuple(other)} do not give {tuple(outputs)}")
    return units, length, count // units, 1
