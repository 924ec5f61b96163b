"""Standard operators whose results have the shapes of those of other domains, so that inference goes on behind them.

ONNX infers no shapes for operators of other domains than its own. Sources: docs/ContribOperators.md of onnxruntime
1.32, the operators' pages of QONNX and FINN.
"""

from collections.abc import Callable, Mapping

import onnx
from onnx import TensorProto, helper

from dnnzip.onnx.graph import attribute, bodies, is_standard, list_attribute, operand, replace_nodes
from dnnzip.onnx.operators import FINN_DOMAINS, MICROSOFT
from dnnzip.onnx.views import UNARY

Dims = Mapping[str, tuple[int, ...]]
Form = Callable[[onnx.NodeProto, Dims], list[onnx.NodeProto]]

CONV_ATTRIBUTES = (
    "auto_pad",
    "dilations",
    "group",
    "kernel_shape",
    "pads",
    "strides",
    "output_shape",
    "output_padding",
)
GEMM_ATTRIBUTES = ("transA", "transB")
LSTM_ATTRIBUTES = ("direction", "hidden_size", "layout")

#: Operators whose first result has the shape of an input, by that input's position.
LIKE_FIRST = (
    "BiasGelu",
    "FastGelu",
    "Gelu",
    "QuickGelu",
    "BiasAdd",
    "BiasSplitGelu",
    "SkipLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "SimplifiedLayerNormalization",
    "GroupNorm",
    "RotaryEmbedding",
    "QLinearSigmoid",
    "QLinearLeakyRelu",
    "QLinearSoftmax",
    "MoE",
    "QMoE",
    "MultiHeadAttention",
    "GroupQueryAttention",
    "LongformerAttention",
)

#: Operators that multiply more than nothing: without a row in the table they are named as not counted.
UNCOUNTED = frozenset(("MultiHeadAttention", "GroupQueryAttention", "MoE", "QMoE", "MatMulNBits"))


def standard_forms(model: onnx.ModelProto) -> None:
    """Replace nodes of other domains by standard ones with results of the same shapes, in place, where one is known."""
    dims = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for value in (*model.graph.value_info, *model.graph.input):
        sizes = tuple(int(dim.dim_value) for dim in value.type.tensor_type.shape.dim)
        if value.type.tensor_type.HasField("shape") and all(sizes):
            dims.setdefault(value.name, sizes)
    _replace(model.graph, model.graph, dims)


def _replace(top: onnx.GraphProto, graph: onnx.GraphProto, dims: Dims) -> None:
    nodes: list[onnx.NodeProto] = []
    is_changed = False
    for node in graph.node:
        for body in bodies(node):
            _replace(top, body, dims)
        form = None if is_standard(node) else form_of(node)
        made = [] if form is None else form(node, dims)
        is_changed |= bool(made)
        for new in made or [node]:
            _add_matrix(top, new)
            nodes.append(new)
    if is_changed:
        replace_nodes(graph, nodes)


def form_of(node: onnx.NodeProto) -> Form | None:
    """Return the function that makes the standard form of a node of another domain; None where there is none."""
    if node.op_type in UNARY.get(node.domain, ()) or node.op_type == "MultiThreshold":
        return _like_first
    if node.domain in FINN_DOMAINS:
        return _FINN.get(node.op_type.split("_")[0])
    return _MICROSOFT.get(node.op_type) if node.domain == MICROSOFT else None


def is_known(node: onnx.NodeProto) -> bool:
    """Return True if a node of another domain is known to multiply nothing."""
    return node.op_type not in UNCOUNTED and form_of(node) is not None


def _node(
    operator: str, node: onnx.NodeProto, inputs: list[str], attributes: tuple[str, ...] = (), outputs: int = 1
) -> onnx.NodeProto:
    made = helper.make_node(operator, inputs, list(node.output[:outputs]), name=node.name)
    made.attribute.extend(entry for entry in node.attribute if entry.name in attributes)
    return made


def _like_first(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    del dims
    made = [_node("Identity", node, [operand(node, 0)])]
    if node.op_type.startswith("Skip") and len(node.output) > 3 and node.output[3]:
        made.append(helper.make_node("Identity", [node.input[0]], [node.output[3]]))
    return made


def _conv(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    del dims
    return [_node("Conv", node, list(node.input[:2]), CONV_ATTRIBUTES)]


def _last_channels(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    (conv,) = _conv(node, dims)
    result = conv.output[0]
    first, last = f"{result}.first", f"{result}.last"
    before = helper.make_node("Transpose", [conv.input[0]], [first], perm=[0, 3, 1, 2])
    after = helper.make_node("Transpose", [last], [result], perm=[0, 2, 3, 1])
    conv.input[0], conv.output[0] = first, last
    return [before, conv, after]


def _linear_conv(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    plain = helper.make_node("FusedConv", [operand(node, 0), operand(node, 3)], list(node.output), name=node.name)
    plain.attribute.extend(node.attribute)
    return (_last_channels if attribute(node, "channels_last", 0) else _conv)(plain, dims)


def _gemm(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    del dims
    weights = 3 if node.op_type == "QGemm" else 1
    return [_node("Gemm", node, [operand(node, 0), operand(node, weights)], GEMM_ATTRIBUTES)]


def _matmul(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    left, right = operand(node, 0), operand(node, 3 if node.op_type == "QLinearMatMul" else 1)
    turns = attribute(node, "transA", 0), attribute(node, "transB", 0)
    if not any(turns):
        return [_node("MatMul", node, [left, right])]
    if turns == (0, 1) and len(dims.get(right, ())) == 2:
        turned = f"{node.output[0]}.turned"
        return [helper.make_node("Transpose", [right], [turned]), _node("MatMul", node, [left, turned])]
    made = _node("Einsum", node, [left, right])
    equation = f"...{'ji' if turns[0] else 'ij'},...{'kj' if turns[1] else 'jk'}->...ik"
    made.attribute.append(helper.make_attribute("equation", equation))
    return [made]


def _to_columns(columns: Callable[[onnx.NodeProto, Dims], tuple[int, int] | None]) -> Form:
    """Return the form of an operator that takes the last dimension to another size."""

    def form(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
        sizes = columns(node, dims)
        if sizes is None or min(sizes) < 1:
            return []
        return [_node("MatMul", node, [operand(node, 0), f"{MATRIX}{sizes[0]}x{sizes[1]}"])]

    return form


#: Begin of the names of matrices that only have a shape.
MATRIX = "dnnzip.matrix."


def _add_matrix(top: onnx.GraphProto, node: onnx.NodeProto) -> None:
    name = operand(node, 1)
    if name.startswith(MATRIX) and not any(tensor.name == name for tensor in top.initializer):
        sizes = [int(size) for size in name.removeprefix(MATRIX).split("x")]
        top.initializer.append(TensorProto(name=name, data_type=TensorProto.FLOAT, dims=sizes))


def _packed_columns(node: onnx.NodeProto, dims: Dims) -> tuple[int, int]:
    del dims
    return attribute(node, "K", 0), attribute(node, "N", 0)


def _attention_columns(node: onnx.NodeProto, dims: Dims) -> tuple[int, int] | None:
    shape = dims.get(operand(node, 1), ())
    sizes = list_attribute(node, "qkv_hidden_sizes")
    return (shape[0], sizes[2] if len(sizes) == 3 else shape[1] // 3) if len(shape) == 2 else None


def _vector_columns(node: onnx.NodeProto, dims: Dims) -> tuple[int, int]:
    del dims
    return attribute(node, "MW", 0), attribute(node, "MH", 0)


def _lstm(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    del dims
    return [_node("LSTM", node, list(node.input[:3]), LSTM_ATTRIBUTES, outputs=3)]


def _embedding(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    del dims
    return [_node("Gather", node, [operand(node, 2), operand(node, 0)])]


def _sum(node: onnx.NodeProto, dims: Dims) -> list[onnx.NodeProto]:
    del dims
    return [_node("Add", node, [operand(node, 0), operand(node, 3)])]


_FINN: dict[str, Form] = dict.fromkeys(("MatrixVectorActivation", "MVAU"), _to_columns(_vector_columns))

_MICROSOFT: dict[str, Form] = {
    **dict.fromkeys(LIKE_FIRST, _like_first),
    **dict.fromkeys(("FusedConv", "CausalConvWithState"), _conv),
    **dict.fromkeys(("NhwcConv", "NhwcFusedConv"), _last_channels),
    **dict.fromkeys(("FusedGemm", "GemmFloat8", "QGemm"), _gemm),
    **dict.fromkeys(("FusedMatMul", "TransposeMatMul", "FusedMatMulActivation"), _matmul),
    **dict.fromkeys(("DynamicQuantizeMatMul", "MatMulInteger16", "MatMulIntegerToFloat", "QLinearMatMul"), _matmul),
    **dict.fromkeys(("Attention", "PackedAttention", "QAttention"), _to_columns(_attention_columns)),
    **dict.fromkeys(("EmbedLayerNormalization", "QEmbedLayerNormalization"), _embedding),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _sum),
    "QLinearConv": _linear_conv,
    "MatMulNBits": _to_columns(_packed_columns),
    "DynamicQuantizeLSTM": _lstm,
}
