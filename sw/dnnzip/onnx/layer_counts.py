"""Products of an operator, from the shapes of its operands: output channels, length of a sum, outputs of a channel."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.graph import attribute, is_standard, list_attribute, operand, text_attribute
from dnnzip.onnx.operators import Operator, Reach, Role, WeightInput
from dnnzip.onnx.value_shapes import Shape

#: Largest count of weights, values or products: what 64 bits hold.
LARGEST_COUNT = (1 << 63) - 1


@dataclass(frozen=True)
class Counts:
    """Sizes of a layer."""

    # Output channels, products of each output, outputs of each channel, groups of the convolution.
    units: int
    reduction: int
    positions: int
    groups: int
    # Activations that it reads and writes.
    inputs: int
    outputs: int


@dataclass(frozen=True)
class Subject:
    """A node that computes, with the shapes of the values around it."""

    node: onnx.NodeProto
    operator: Operator
    role: Role
    weight: WeightInput | None  # the input that holds the weights that are counted; None where there is none
    shapes: Mapping[str, Shape]
    where: str  # the file, for messages

    @property
    def name(self) -> str:
        """Name of the node, or of its first result where it has none."""
        return str(self.node.name or (self.node.output[0] if self.node.output else ""))

    def refuse(self, wrong: str) -> InputError:
        """Return the fault of a node that contradicts itself."""
        return InputError(
            f"{self.where}: {self.node.op_type} {self.name!r}", wrong, "check the model with onnx.checker"
        )

    def shape(self, name: str) -> Shape | None:
        """Return the shape of a value, None where nothing is known of it."""
        return self.shapes.get(name)

    def fixed(self, name: str) -> tuple[int, ...]:
        """Return the shape of a value; raises `UnknownSizeError` where a size is not known, or is zero."""
        shape = self.shapes.get(name)
        fixed = () if shape is None else tuple(size for size in shape if size)
        if shape is None or len(fixed) != len(shape):
            raise UnknownSizeError
        return fixed

    @property
    def source(self) -> str:
        """Name of the activations that it reads."""
        index = self.operator.source.index
        if self.weight is not None and self.weight.index == index:
            index = next((other.index for other in self.operator.weights if other.index != index), index)
        return operand(self.node, index)

    @property
    def held(self) -> tuple[int, ...]:
        """Shape of the weights as the operator sees them."""
        if self.weight is None:
            return ()
        return unpacked(self.node, self.fixed(operand(self.node, self.weight.index)))

    @property
    def outputs(self) -> tuple[int, ...]:
        """Shape of the first result."""
        return self.fixed(str(self.node.output[0]) if self.node.output else "")


def unpacked(node: onnx.NodeProto, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of weights whose codes share bytes, by the attributes that say it; any other as it is."""
    if node.op_type == "MatMulNBits":
        return attribute(node, "N", 1), attribute(node, "K", 1)
    if node.op_type == "QMoE" and len(shape) == 3:
        return shape[0], shape[1], shape[2] * 8 // max(1, attribute(node, "expert_weight_bits", 4))
    return shape


class UnknownSizeError(Exception):
    """A size that a count needs is not known."""


def counts(subject: Subject) -> Counts | None:
    """Return the sizes of a layer; None where a shape that they need is not known.

    Raises
    ------
    InputError
        The node contradicts itself, or has more products than 64 bits count.
    """
    try:
        found = _COUNTS[subject.role](subject)
    except UnknownSizeError:
        return None
    values = found.units, found.reduction, found.positions, found.groups, found.inputs, found.outputs
    if min(values) < 1:
        raise subject.refuse("an attribute is out of its range")
    if max(*values, found.units * found.reduction * found.positions) > LARGEST_COUNT:
        raise subject.refuse("has more values or products than 64 bits count")
    return found


def rows_read(subject: Subject, table: tuple[int, ...]) -> int:
    """Return the values of a table that a lookup reads, once at most; one row for each dimension that is open.

    Parameters
    ----------
    table
        Shape of the table.
    """
    indices = tuple(size or 1 for size in subject.shape(subject.source) or ())
    rows, row = _rows(subject, indices, table)
    return min(rows * row, math.prod(table))


def _rows(subject: Subject, indices: tuple[int, ...], table: tuple[int, ...]) -> tuple[int, int]:
    """Return the number of rows that a lookup reads, and the values of each."""
    count, operator = math.prod(indices), subject.node.op_type
    if operator == "GatherElements":
        return count, 1
    if operator == "GatherND":
        depth = indices[-1] if indices else 1
        return count // depth, math.prod(table[depth:])
    name = {"Gather": "axis", "GatherBlockQuantized": "gather_axis"}.get(operator)
    axis = 0 if name is None else attribute(subject.node, name, 0)
    axis = axis + len(table) if axis < 0 else axis
    if not 0 <= axis < len(table):
        raise subject.refuse(f"its table {table} has no axis {axis}")
    return count, math.prod(table) // table[axis]


def _convolution(subject: Subject) -> Counts:
    inputs, outputs, kernel = subject.fixed(subject.source), subject.outputs, subject.held
    groups = attribute(subject.node, "group", 1)
    # Channels are the second dimension of standard operators; others may have them last.
    divides = groups >= 1 and (not is_standard(subject.node) or inputs[1:2] == () or inputs[1] % groups == 0)
    if len(kernel) < 3 or len(inputs) != len(kernel) or not divides:
        raise subject.refuse(f"input {inputs}, weights {kernel} and group {groups} do not go together")
    if subject.weight is not None and subject.weight.is_spread:
        # Every input meets every weight of its group: counted per output channel and position, that is a fraction of
        # the kernel; the positions here are the input's.
        units = kernel[1] * groups * math.prod(kernel[2:])
        positions = inputs[0] * math.prod(inputs[2:])
        return Counts(units, inputs[1] // groups, positions, groups, math.prod(inputs), math.prod(outputs))
    positions = math.prod(outputs) // kernel[0]
    return Counts(kernel[0], math.prod(kernel[1:]), positions, groups, math.prod(inputs), math.prod(outputs))


def _pooling(subject: Subject) -> Counts:
    inputs, outputs = subject.fixed(subject.source), subject.outputs
    if len(inputs) < 3:
        raise subject.refuse(f"input {inputs} is no feature map")
    window = list(inputs[2:])
    if subject.operator.reach is Reach.WINDOW:
        window = list_attribute(subject.node, "kernel_shape")
        if len(window) != len(inputs) - 2:
            raise subject.refuse("its kernel_shape does not suit its input")
    positions = math.prod(outputs) // inputs[1]
    return Counts(inputs[1], math.prod(window), positions, 1, math.prod(inputs), math.prod(outputs))


def _matrix(subject: Subject, shape: tuple[int, ...], is_left: bool) -> tuple[int, int]:
    """Return the number of output channels of one side of a product, and the length of its sums."""
    if subject.operator.transposes and len(shape) != 2:
        raise subject.refuse(f"its operand {shape} is no matrix")
    if len(shape) < 2:
        return 1, math.prod(shape)
    if subject.node.op_type == "MatMulNBits":
        return shape[0], shape[1]
    is_turned = bool(attribute(subject.node, "transA" if is_left else "transB", 0))
    return (shape[-2], shape[-1]) if is_left != is_turned else (shape[-1], shape[-2])


def _dense(subject: Subject) -> Counts:
    inputs = subject.fixed(subject.source)
    is_left = subject.weight is not None and subject.weight.index == 0 and len(subject.operator.weights) > 1
    units, length = _matrix(subject, subject.held, is_left)
    if not is_standard(subject.node):
        # Each row of the input meets the matrix, whatever else the operator makes of the result.
        rows = math.prod(inputs) // length if length else 0
        if not is_left and rows * length == math.prod(inputs):
            return Counts(units, length, rows, 1, math.prod(inputs), rows * units)
    count = math.prod(subject.outputs)
    if count % units or (subject.operator.transposes and len(inputs) != 2):
        raise subject.refuse(f"operands {inputs} and {subject.held} do not give {subject.outputs}")
    return Counts(units, length, count // units, 1, math.prod(inputs), count)


def _product(subject: Subject) -> Counts:
    """Count the product of two activations."""
    if subject.operator.role is Role.CONTRACTION:
        return _contraction(subject)
    inputs = subject.fixed(subject.source)
    other = subject.fixed(operand(subject.node, subject.operator.weights[0].index))
    units, length = _matrix(subject, other, is_left=False)
    count = math.prod(subject.outputs)
    if count % units:
        raise subject.refuse(f"operands {inputs} and {other} do not give {subject.outputs}")
    return Counts(units, length, count // units, 1, math.prod(inputs), count)


def _recurrent(subject: Subject) -> Counts:
    """Count gates x hidden sums for each direction, of the input or of the hidden state, at every step."""
    inputs, held = subject.fixed(subject.source), subject.held
    if len(held) != 3 or len(inputs) != 3 or subject.weight is None:
        raise subject.refuse(f"input {inputs} and weights {held} do not go together")
    layout = subject.weight.layout(subject.node, held)
    units, steps = held[0] * held[layout.axis], inputs[0] * inputs[1]
    length = math.prod(held) // units
    is_state = subject.weight.index != subject.operator.weights[0].index
    read = steps * length * (held[0] if is_state else 1)
    return Counts(units, length, steps, 1, read, steps * units)


def _experts(subject: Subject) -> Counts:
    inputs, held = subject.fixed(subject.source), subject.held
    if len(held) != 3:
        raise subject.refuse(f"weights {held} are no matrices of experts")
    steps = math.prod(inputs[:-1]) * attribute(subject.node, "k", 1)
    return Counts(held[1], held[2], steps, 1, steps * held[2], steps * held[1])


def _contraction(subject: Subject) -> Counts:
    """Count an Einsum: the product of the sizes of all of its letters."""
    terms, _, result = text_attribute(subject.node, "equation").replace(" ", "").partition("->")
    letters = terms.split(",")
    shapes = [subject.fixed(name) for name in subject.node.input]
    if "." in terms or [len(term) for term in letters] != [len(shape) for shape in shapes]:
        raise UnknownSizeError
    sizes = {
        letter: size
        for term, shape in zip(letters, shapes, strict=True)
        for letter, size in zip(term, shape, strict=True)
    }
    count = math.prod(subject.outputs)
    summed = math.prod(size for letter, size in sizes.items() if letter not in result) if result else 0
    if not summed:
        summed = math.prod(size for letter, size in sizes.items() if terms.count(letter) > 1)
    units = 1
    if subject.weight is not None and len(subject.held) > 1:
        units = subject.held[subject.weight.layout(subject.node, subject.held).axis]
    read = sum(map(math.prod, shapes)) - (math.prod(subject.held) if subject.weight is not None else 0)
    return Counts(units, summed, max(1, count // units), 1, max(1, read), count)


def _lookup(subject: Subject) -> Counts:
    """Count the values that are read; none is multiplied."""
    indices = subject.fixed(subject.source)
    rows, row = _rows(subject, indices, subject.held)
    return Counts(row, 1, rows, 1, max(1, math.prod(indices)), rows * row)


_COUNTS: dict[Role, Callable[[Subject], Counts]] = {
    Role.CONVOLUTION: _convolution,
    Role.DENSE: _dense,
    Role.RECURRENT: _recurrent,
    Role.EXPERTS: _experts,
    Role.CONTRACTION: _contraction,
    Role.LOOKUP: _lookup,
    Role.PRODUCT: _product,
    Role.POOLING: _pooling,
}
