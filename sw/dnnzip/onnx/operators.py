"""The table of operators: one row for each whose weights or sizes are looked at, with everything that is known of it.

An operator that has no row holds no weights as far as is known. One of another domain than ONNX' own is then passed
over, and what it reads is said to be a weight where that is large.
"""

import enum
import math
from collections.abc import Callable
from dataclasses import dataclass

import onnx

from dnnzip.onnx.graph import attribute, is_standard, operand
from dnnzip.quantize.layout import Layout, kernel_of

MICROSOFT = "com.microsoft"


class Role(enum.StrEnum):
    """Work of an operator, as estimates count it."""

    # With weights.
    CONVOLUTION = "convolution"
    DENSE = "dense"
    PRODUCT = "product"  # of two activations: a dense operator whose weights are computed from the network's input
    POOLING = "pooling"  # of the values in a window


class Reach(enum.Enum):
    """Inputs that an output value depends on."""

    WINDOW = enum.auto()  # the taps of a kernel around its position
    ROW = enum.auto()  # a row of the left side
    MAP = enum.auto()  # a whole feature map
    SPREAD = enum.auto()  # those that reach it, as every input is spread over a window of outputs


class OnArray(enum.Enum):
    """Place of an operator in a network that runs on the array."""

    RUNS = enum.auto()  # it runs there, where its weights are constant
    REFUSED = enum.auto()  # it has weights of its own and cannot run there, so that the network is refused
    HOST = enum.auto()  # it runs in onnxruntime, as do all operators that have no row


@dataclass(frozen=True)
class Operand:
    """A value among an operator's inputs, and the inputs that quantise it; None for those that there are not."""

    # Positions in the node's inputs.
    index: int
    scale: int | None = None
    zero_point: int | None = None


#: Of DequantizeLinear and QuantizeLinear.
DEQUANTIZED = Operand(0, 1, 2)

LayoutOf = Callable[[onnx.NodeProto, tuple[int, ...]], Layout]


@dataclass(frozen=True)
class WeightInput(Operand):
    """An input that holds weights."""

    # Output channels and kernel of an array of at least two dimensions; None where it is not compressed.
    layout_of: LayoutOf | None = None

    def layout(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
        """Return output channels and kernel; for a shape that the operator does not take, a harmless layout."""
        if self.layout_of is None or len(shape) < 2 or math.prod(shape) == 0:
            return Layout(shape, 0)
        return self.layout_of(node, shape)


@dataclass(frozen=True)
class Operator:
    """A row of the table."""

    # The operator; ONNX' own domain is empty.
    name: str
    weights: tuple[WeightInput, ...] = ()
    # Input of one value for each output channel, added to the result; int32 in steps of the sums for integers.
    bias: int | None = None
    role: Role | None = None  # work that estimates count; None for none
    reach: Reach | None = None  # inputs that an output value depends on
    on_array: OnArray = OnArray.HOST  # where it runs in a network on the array
    # Integer operators: the activations, and the inputs that quantise the result (`result.index` means nothing).
    source: Operand = Operand(0)
    result: Operand | None = None
    # Both sides are matrices, and attributes ``transA`` and ``transB`` say which are transposed.
    transposes: bool = False
    domain: str = ""
    remark: str = ""  # behind its name in the rule that lists operators

    @property
    def is_integer(self) -> bool:
        """True where the weights' zero point is an input of the operator's own."""
        return any(weight.zero_point is not None for weight in self.weights)

    @property
    def is_compressed(self) -> bool:
        """True where its weights can be compressed."""
        return any(weight.layout_of is not None for weight in self.weights)

    def weight_at(self, index: int) -> WeightInput | None:
        """Return the input of a position where that holds weights that can be compressed."""
        return next((weight for weight in self.weights if weight.index == index and weight.layout_of is not None), None)


def _by_filter(_: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, 0, kernel=kernel_of(shape[2:]))


def _by_transposed_filter(node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    group = attribute(node, "group", 1)
    # An invalid group would be refused by every runtime; here it must only not divide by zero.
    return Layout(shape, 1, group if group > 0 and shape[0] % group == 0 else 1, kernel_of(shape[2:]))


def _by_column(_: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, len(shape) - 1)


def _by_column_or_row(node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, 0 if attribute(node, "transB", 0) else 1)


_FILTER = WeightInput(1, layout_of=_by_filter)
_COLUMN = WeightInput(1, layout_of=_by_column)
_COLUMN_OR_ROW = WeightInput(1, layout_of=_by_column_or_row)
_INTEGER_FILTER = WeightInput(1, zero_point=3, layout_of=_by_filter)
_INTEGER_COLUMN = WeightInput(1, zero_point=3, layout_of=_by_column)
_LINEAR_FILTER = WeightInput(3, 4, 5, _by_filter)
_LINEAR_COLUMN = WeightInput(3, 4, 5, _by_column)
_SPREAD = WeightInput(1, layout_of=_by_transposed_filter)
_LINEAR = (Operand(0, 1, 2), Operand(0, 6, 7))
_UNSCALED = Operand(0, zero_point=2)
# Known to be weights, and not compressed.
_FIRST, _SECOND, _THIRD = WeightInput(0), WeightInput(1), WeightInput(2)

#: The table. Sentences and messages list operators in this order.
OPERATORS: tuple[Operator, ...] = (
    Operator("Conv", (_FILTER,), 2, Role.CONVOLUTION, Reach.WINDOW, OnArray.RUNS),
    Operator("ConvTranspose", (_SPREAD,), 2, Role.CONVOLUTION, Reach.SPREAD, OnArray.REFUSED),
    Operator("Gemm", (_COLUMN_OR_ROW,), 2, Role.DENSE, Reach.ROW, OnArray.RUNS, transposes=True),
    Operator("MatMul", (_COLUMN,), None, Role.DENSE, Reach.ROW, OnArray.RUNS, remark=" (right side)"),
    Operator("QLinearConv", (_LINEAR_FILTER,), 8, Role.CONVOLUTION, Reach.WINDOW, OnArray.RUNS, *_LINEAR),
    Operator("QLinearMatMul", (_LINEAR_COLUMN,), None, Role.DENSE, Reach.ROW, OnArray.RUNS, *_LINEAR),
    Operator("ConvInteger", (_INTEGER_FILTER,), None, Role.CONVOLUTION, Reach.WINDOW, OnArray.RUNS, _UNSCALED),
    Operator("MatMulInteger", (_INTEGER_COLUMN,), None, Role.DENSE, Reach.ROW, OnArray.RUNS, _UNSCALED),
    Operator("LSTM", (_SECOND, _THIRD), on_array=OnArray.REFUSED),
    Operator("GRU", (_SECOND, _THIRD), on_array=OnArray.REFUSED),
    Operator("RNN", (_SECOND, _THIRD), on_array=OnArray.REFUSED),
    Operator("DeformConv", (_SECOND,), on_array=OnArray.REFUSED),
    Operator("Einsum", (_FIRST, _SECOND)),
    # Operators of this domain without weight inputs here have some, and are looked at as unknown ones are.
    Operator("QGemm", domain=MICROSOFT, on_array=OnArray.REFUSED),
    Operator("FusedConv", domain=MICROSOFT, on_array=OnArray.REFUSED),
    Operator("FusedGemm", domain=MICROSOFT, on_array=OnArray.REFUSED),
    Operator("FusedMatMul", domain=MICROSOFT, on_array=OnArray.REFUSED),
    *(Operator(name, role=Role.POOLING, reach=Reach.WINDOW) for name in ("MaxPool", "AveragePool", "LpPool")),
    *(
        Operator(name, role=Role.POOLING, reach=Reach.MAP)
        for name in ("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool")
    ),
)

_BY_NAME = {(operator.domain, operator.name): operator for operator in OPERATORS}


def operator_of(node: onnx.NodeProto) -> Operator | None:
    """Return the row of a node's operator."""
    return _BY_NAME.get(("" if is_standard(node) else str(node.domain), str(node.op_type)))


def weight_names(node: onnx.NodeProto) -> list[str]:
    """Return the names that a node reads as weights that can be compressed."""
    operator = operator_of(node)
    inputs = () if operator is None else operator.weights
    return [operand(node, weight.index) for weight in inputs if weight.layout_of is not None]
