"""The table of operators: one row for each whose weights or sizes are looked at, with everything that is known of it.

An operator that has no row holds no weights as far as is known. One of another domain than ONNX' own is then passed
over, and what it reads is said to be a weight where that is large.
"""

import enum
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import onnx

from dnnzip.onnx.graph import attribute, is_standard, operand, text_attribute
from dnnzip.quantize.layout import Layout, kernel_of

MICROSOFT = "com.microsoft"

#: Domains of FINN's operators: before and after they were split by the tool that makes the hardware.
FINN_DOMAINS = tuple(f"finn.custom_op.fpgadataflow{tool}" for tool in ("", ".hls", ".rtl"))

#: Operands of an Einsum that are looked at.
MOST_OPERANDS = 8


class Role(enum.StrEnum):
    """Work of an operator, as estimates count it."""

    # With weights.
    CONVOLUTION = "convolution"
    DENSE = "dense"
    RECURRENT = "recurrent"  # the gates of a recurrent layer, at every step of a sequence
    EXPERTS = "experts"  # the matrices of the experts that a router chooses for each token
    CONTRACTION = "contraction"  # an Einsum
    LOOKUP = "lookup"  # rows of a table, without any multiplication
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


#: Bits of codes that can share a byte.
PACKABLE_BITS = (2, 4)

#: Of DequantizeLinear and QuantizeLinear.
DEQUANTIZED = Operand(0, 1, 2)

LayoutOf = Callable[[onnx.NodeProto, tuple[int, ...]], Layout]


def _by_first(_: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, 0)


def _by_filter(_: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, 0, kernel=kernel_of(shape[2:]))


def _by_transposed_filter(node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    group = attribute(node, "group", 1)
    # An invalid group would be refused by every runtime; here it must only not divide by zero.
    return Layout(shape, 1, group if group > 0 and shape[0] % group == 0 else 1, kernel_of(shape[2:]))


def _by_column(_: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, len(shape) - 1)


def _by_row(_: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    """Return the layout of a constant left side."""
    return Layout(shape, len(shape) - 2)


def _by_column_or_row(node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, len(shape) - (2 if attribute(node, "transB", 0) else 1))


def _by_row_or_column(node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    return Layout(shape, len(shape) - (1 if attribute(node, "transA", 0) else 2))


def _within_first(axis: int) -> LayoutOf:
    """Return the layout of an axis that each entry of the first one, a direction or an expert, has of its own."""

    def layout(_: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
        return Layout(shape, axis, shape[0])

    return layout


def _by_entry(node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    axis = attribute(node, "axis", 0)
    return Layout(shape, axis + len(shape) if axis < 0 else axis)


def _by_gathered(node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
    axis = attribute(node, "gather_axis", 0)
    return Layout(shape, axis + len(shape) if axis < 0 else axis)


def _by_letter(index: int) -> LayoutOf:
    """Return the layout of an operand of Einsum: along its first axis that stays in the result and no other has."""

    def layout(node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
        equation = text_attribute(node, "equation").replace(" ", "")
        sources, _, result = equation.partition("->")
        operands = sources.split(",")
        if index >= len(operands) or len(operands[index]) != len(shape):
            return Layout(shape, 0)
        others = "".join(operands[:index] + operands[index + 1 :])
        if not result:
            # Without an arrow, the result has the letters that occur once.
            result = "".join(letter for letter in operands[index] if sources.count(letter) == 1)
        kept = [axis for axis, letter in enumerate(operands[index]) if letter in result]
        own = [axis for axis in kept if operands[index][axis] not in others]
        return Layout(shape, (own or kept or [0])[0])

    return layout


@dataclass(frozen=True)
class WeightInput(Operand):
    """An input that holds weights."""

    layout_of: LayoutOf = _by_first  # output channels and kernel of an array of at least two dimensions
    # True if rows are looked up: an array of whole numbers is an index or a shape there, and no weight.
    is_table: bool = False
    # Attribute with the bits of a code, by default 4, where codes share the bytes of a uint8 array; empty otherwise.
    bits_attribute: str = ""

    @property
    def is_filter(self) -> bool:
        """True if the weights are the kernels of a convolution."""
        return self.layout_of in (_by_filter, _by_transposed_filter)

    @property
    def is_spread(self) -> bool:
        """True if every input meets every weight of its group: a transposed convolution."""
        return self.layout_of is _by_transposed_filter

    def layout(self, node: onnx.NodeProto, shape: tuple[int, ...]) -> Layout:
        """Return output channels and kernel; for a shape that the operator does not take, a harmless layout."""
        if len(shape) < 2 or math.prod(shape) == 0:
            return Layout(shape, 0)
        layout = self.layout_of(node, shape)
        return layout if 0 <= layout.axis < len(shape) else Layout(shape, 0)

    def packed_bits(self, node: onnx.NodeProto) -> int:
        """Return the bits of a code where several share a byte of a uint8 array, otherwise 0."""
        bits = attribute(node, self.bits_attribute, 4) if self.bits_attribute else 0
        return bits if bits in PACKABLE_BITS else 0


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

    def weight_at(self, index: int) -> WeightInput | None:
        """Return the input of a position where that holds weights."""
        return next((weight for weight in self.weights if weight.index == index), None)


_FILTER = WeightInput(1, layout_of=_by_filter)
_COLUMN = WeightInput(1, layout_of=_by_column)
_LEFT = WeightInput(0, layout_of=_by_row)
_MATRIX = WeightInput(1, layout_of=_by_column_or_row)
_LEFT_MATRIX = WeightInput(0, layout_of=_by_row_or_column)
_INTEGER_FILTER = WeightInput(1, zero_point=3, layout_of=_by_filter)
_INTEGER_COLUMN = WeightInput(1, zero_point=3, layout_of=_by_column)
_LINEAR_FILTER = WeightInput(3, 4, 5, _by_filter)
_LINEAR_COLUMN = WeightInput(3, 4, 5, _by_column)
_SPREAD = WeightInput(1, layout_of=_by_transposed_filter)
_GATES = (WeightInput(1, layout_of=_within_first(1)), WeightInput(2, layout_of=_within_first(1)))
_LINEAR = (Operand(0, 1, 2), Operand(0, 6, 7))
_UNSCALED = Operand(0, zero_point=2)
_ENTRIES = (WeightInput(0, layout_of=_by_entry, is_table=True),)


def _experts(*indices: int, bits_attribute: str = "") -> tuple[WeightInput, ...]:
    layout_of = _within_first(1)
    return tuple(WeightInput(index, layout_of=layout_of, bits_attribute=bits_attribute) for index in indices)


def _tables(*indices: int) -> tuple[WeightInput, ...]:
    return tuple(WeightInput(index, is_table=True) for index in indices)


def _others(domain: str, rows: Mapping[str, tuple[WeightInput, ...]]) -> Iterator["Operator"]:
    """Yield rows of operators that have weights and run on no array."""
    for name, weights in rows.items():
        role = _ROLES.get(name, Role.CONVOLUTION if weights[0].is_filter else Role.DENSE)
        yield Operator(name, weights, role=role, on_array=OnArray.REFUSED, domain=domain)


#: Work of the operators among `_others` that are neither a convolution nor one matrix product.
_ROLES = {
    **dict.fromkeys(("LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"), Role.RECURRENT),
    **dict.fromkeys(("MoE", "QMoE"), Role.EXPERTS),
}


#: Operators that onnxruntime's optimisers and quantisers write. Sources: docs/ContribOperators.md of onnxruntime 1.32.
_CONTRIB: dict[str, tuple[WeightInput, ...]] = {
    "FusedConv": (_FILTER,),
    "NhwcConv": (_FILTER,),
    "NhwcFusedConv": (_FILTER,),
    "CausalConvWithState": (_FILTER,),
    "ConvTransposeWithDynamicPads": (_SPREAD,),
    "QLinearConv": (_LINEAR_FILTER,),
    "FusedGemm": (_MATRIX,),
    "GemmFloat8": (_MATRIX,),
    "QGemm": (WeightInput(3, 4, 5, _by_column_or_row),),
    "FusedMatMul": (_MATRIX, _LEFT_MATRIX),
    "TransposeMatMul": (_MATRIX, _LEFT_MATRIX),
    "FusedMatMulActivation": (_MATRIX,),
    "DynamicQuantizeMatMul": (WeightInput(1, 2, 3, _by_column),),
    "MatMulInteger16": (_COLUMN,),
    "MatMulIntegerToFloat": (WeightInput(1, 3, 5, _by_column),),
    "DynamicQuantizeLSTM": (
        WeightInput(1, 8, 9, _within_first(2)),
        WeightInput(2, 10, 11, _within_first(2)),
    ),
    "Attention": (_COLUMN,),
    "PackedAttention": (_COLUMN,),
    "DecoderMaskedSelfAttention": (_COLUMN,),
    "LongformerAttention": (_COLUMN, WeightInput(4, layout_of=_by_column)),
    "QAttention": (WeightInput(1, 4, 7, _by_column),),
    "QOrderedMatMul": (_COLUMN,),
    "MoE": _experts(2, 4, 6),
    "QMoE": _experts(2, 5, 8, bits_attribute="expert_weight_bits"),
    "MatMulNBits": (WeightInput(1, bits_attribute="bits"),),
}

#: Operators of FINN that run a whole layer. Sources: finn.custom_op.fpgadataflow, matrixvectoractivation.py and others.
_FINN = dict.fromkeys(("MatrixVectorActivation", "MVAU", "MVAU_hls", "MVAU_rtl"), (_COLUMN,))

#: The table. Sentences and messages list operators in this order.
OPERATORS: tuple[Operator, ...] = (
    Operator("Conv", (_FILTER,), 2, Role.CONVOLUTION, Reach.WINDOW, OnArray.RUNS),
    Operator("ConvTranspose", (_SPREAD,), 2, Role.CONVOLUTION, Reach.SPREAD, OnArray.REFUSED),
    Operator("Gemm", (_MATRIX, _LEFT_MATRIX), 2, Role.DENSE, Reach.ROW, OnArray.RUNS, transposes=True),
    Operator("MatMul", (_COLUMN, _LEFT), None, Role.DENSE, Reach.ROW, OnArray.RUNS),
    Operator("QLinearConv", (_LINEAR_FILTER,), 8, Role.CONVOLUTION, Reach.WINDOW, OnArray.RUNS, *_LINEAR),
    Operator("QLinearMatMul", (_LINEAR_COLUMN,), None, Role.DENSE, Reach.ROW, OnArray.RUNS, *_LINEAR),
    Operator("ConvInteger", (_INTEGER_FILTER,), None, Role.CONVOLUTION, Reach.WINDOW, OnArray.RUNS, _UNSCALED),
    Operator("MatMulInteger", (_INTEGER_COLUMN,), None, Role.DENSE, Reach.ROW, OnArray.RUNS, _UNSCALED),
    *_others("", dict.fromkeys(("LSTM", "GRU", "RNN"), _GATES)),
    *_others("", {"DeformConv": (_FILTER,)}),
    Operator(
        "Einsum",
        tuple(WeightInput(index, layout_of=_by_letter(index)) for index in range(MOST_OPERANDS)),
        role=Role.CONTRACTION,
    ),
    Operator("Gather", _ENTRIES, role=Role.LOOKUP, source=Operand(1)),
    Operator("GatherElements", _ENTRIES, role=Role.LOOKUP, source=Operand(1)),
    Operator("GatherND", (WeightInput(0, is_table=True),), role=Role.LOOKUP, source=Operand(1)),
    *_others(MICROSOFT, _CONTRIB),
    Operator(
        "GatherBlockQuantized",
        (WeightInput(0, layout_of=_by_gathered, is_table=True, bits_attribute="bits"),),
        role=Role.LOOKUP,
        source=Operand(1),
        domain=MICROSOFT,
    ),
    Operator("EmbedLayerNormalization", _tables(2, 3, 4), role=Role.LOOKUP, domain=MICROSOFT),
    Operator("QEmbedLayerNormalization", _tables(2, 3, 4), role=Role.LOOKUP, domain=MICROSOFT),
    *(row for domain in FINN_DOMAINS for row in _others(domain, _FINN)),
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
    """Return the names that a node reads where its operator takes weights; empty for an input that is left out."""
    operator = operator_of(node)
    inputs = () if operator is None else operator.weights
    return [operand(node, weight.index) for weight in inputs]
