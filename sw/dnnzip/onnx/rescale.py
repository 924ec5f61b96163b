"""Integer weights on a coarser grid: fold the divisor 2 e + 1 into the scales, zero points and biases of a graph.

With q = round((w - z) / d), d = 2 e + 1, the weight becomes q (signed, of as many bits, zero point 0) and its scale
float32(scale x d). An int32 bias counts in steps of (input scale x weight scale), so that it becomes round(bias / d):
integer kernels, and runtimes that fuse DequantizeLinear into them, take the bias scale from the weight scale and not
from the graph. The bias is off by at most half of its new step.

The rules are as in `dnnzip.onnx.rules`; here they hold only where e is at least 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from dnnzip.onnx.graph import GraphIndex, Use, all_names, attribute, fresh_name, operand, remove_unread
from dnnzip.onnx.operators import operator_of
from dnnzip.onnx.rules import Reader, Rule, scale_name, stored_array, zero_point_name
from dnnzip.onnx.weights import Weight
from dnnzip.quantize.element_type import element_type
from dnnzip.quantize.weights import shifted_weights

#: Types of scales that are folded into, with the bits of their significand and their largest exponent.
SCALE_TYPES: dict[int, tuple[int, int]] = {
    TensorProto.FLOAT: (24, 127),
    TensorProto.FLOAT16: (11, 15),
    TensorProto.BFLOAT16: (8, 127),
}


@dataclass(frozen=True, eq=False)
class Fold:
    """A divisor that is to be folded, with everything that the rules look at."""

    weight: Weight
    index: GraphIndex
    divisor: int  # 2 e + 1, above 1


FoldRule = Rule[[Fold]]

has_own_scale: FoldRule = Rule(
    "At 1 lsb and more, only operators may read it that see it as it is stored, with one zero point of the network's.",
    lambda fold: fold.weight.has_own_scale,
)
has_scale_to_fold: FoldRule = Rule(
    "At 1 lsb and more, its scale must be found: an input of its operator, or behind ConvInteger and MatMulInteger a "
    "Cast and then a Mul by a constant.",
    lambda fold: all(scale_use(reader, fold.index) is not None for reader in fold.weight.readers),
)
has_bias_to_fold: FoldRule = Rule(
    "At 1 lsb and more, an int32 bias beside it must be a constant that no other layer reads.",
    lambda fold: all(_is_bias_foldable(reader, fold.weight, fold.index) for reader in fold.weight.readers),
)
has_scale_that_fits: FoldRule = Rule(
    "At 1 lsb and more, its scale and that of its bias must be float32, float16 or bfloat16, and times 2 e + 1 stay "
    "finite there, as must every value that they scale.",
    lambda fold: all(
        _fits(use, largest, fold) for reader in fold.weight.readers for use, largest in _scaled_uses(reader, fold)
    ),
)

#: In this order; the first that is not satisfied is the reason given.
FOLD_RULES: tuple[FoldRule, ...] = (has_own_scale, has_scale_to_fold, has_bias_to_fold, has_scale_that_fits)


def fold_obstacle(model: onnx.ModelProto, weight: Weight, divisor: int) -> FoldRule | None:
    """Return the rule by which a divisor (2 e + 1, above 1) cannot be folded, or None where it can.

    `weight` was found in `model`, which has not changed since.
    """
    fold = Fold(weight, GraphIndex(model), divisor)
    return next((rule for rule in FOLD_RULES if not rule.is_met(fold)), None)


def fold_divisor(model: onnx.ModelProto, weight: Weight, divisor: int) -> None:
    """Fold a divisor (2 e + 1, above 1) into scales, zero points and biases, in place.

    Every changed constant is a fresh initializer, so that other nodes that share the old one keep it; an old one that
    nobody reads any more is removed. The weight's own initializer is left to the caller. `weight` was found in the
    network, for which `fold_obstacle` returned None.
    """
    index = GraphIndex(model)
    taken = all_names(model)
    replaced: dict[tuple[str, str], str] = {}

    def replace(use: Use, role: str, change: Callable[[NDArray[np.generic]], NDArray[np.generic]]) -> None:
        """Point one input at a changed copy of its constant; inputs that share the constant share the copy."""
        old = operand(use.node, use.index)
        if (old, role) not in replaced:
            tensor = index.initializers[old]
            name = fresh_name(f"{old}.{role}", taken)
            model.graph.initializer.append(numpy_helper.from_array(change(stored_array(tensor)), name))
            replaced[old, role] = name
        use.node.input[use.index] = replaced[old, role]

    done: set[tuple[int, int]] = set()
    for reader in weight.readers:
        scale = scale_use(reader, index)
        assert scale is not None, "fold_obstacle was to be asked first"
        uses: list[tuple[Use, str, Callable[[NDArray[np.generic]], NDArray[np.generic]]]] = [
            (scale, f"times{divisor}", lambda values: _scaled(values, divisor))
        ]
        if zero_point_name(reader) and reader.quantiser is not None and reader.zero_point_index is not None:
            uses.append((Use(reader.quantiser, reader.zero_point_index), "zero", _zeros))
        for use, is_scale in _bias_uses(reader, index):
            if is_scale:
                uses.append((use, f"times{divisor}", lambda values: _scaled(values, divisor)))
            else:
                uses.append((use, f"over{divisor}", lambda values: _divided(values, divisor)))
        for use, role, change in uses:
            # Two readers may meet in one node, which must not be scaled twice.
            if (id(use.node), use.index) not in done:
                done.add((id(use.node), use.index))
                replace(use, role, change)
    remove_unread(model, {old for old, _ in replaced})


def _scaled(values: NDArray[np.generic], divisor: int) -> NDArray[np.generic]:
    # The float64 product of a float32 and a small whole number is exact, so there is one rounding.
    return np.asarray(values.astype(np.float64) * divisor).astype(values.dtype)


def _divided(values: NDArray[np.generic], divisor: int) -> NDArray[np.generic]:
    return np.asarray(np.rint(values.astype(np.float64) / divisor)).astype(np.int32)


def _scaled_uses(reader: Reader, fold: Fold) -> list[tuple[Use, int]]:
    """Return the inputs that hold scales, each with the largest magnitude of the constants that its node scales."""
    scale = scale_use(reader, fold.index)
    assert scale is not None, "a rule before this one looks for it"
    # Only DequantizeLinear scales the weights themselves; elsewhere the scale meets sums, which are not known.
    is_dequantised = scale.node.op_type == "DequantizeLinear"
    uses = [(scale, int(np.abs(shifted_weights(fold.weight)).max()) if is_dequantised else 0)]
    inputs = _bias_uses(reader, fold.index)
    if len(inputs) == 2:
        (values, _), (bias_scale, _) = inputs
        bias = stored_array(fold.index.initializers[operand(values.node, values.index)]).astype(np.int64)
        uses.append((bias_scale, int(np.abs(bias).max(initial=0))))
    return uses


def _fits(use: Use, largest: int, fold: Fold) -> bool:
    """Return True if a scale stays finite with the divisor folded, and so do scaled values that were finite before."""
    tensor = fold.index.initializers[operand(use.node, use.index)]
    result_type = attribute(use.node, "output_dtype", 0) or tensor.data_type
    if tensor.data_type not in SCALE_TYPES or result_type not in SCALE_TYPES:
        return False
    scales = stored_array(tensor)
    with np.errstate(over="ignore", invalid="ignore"):
        folded = np.abs(_scaled(scales, fold.divisor).astype(np.float64))
    bits, exponent = SCALE_TYPES[result_type]
    limit = (2 - 2.0 ** (1 - bits)) * 2.0**exponent
    with np.errstate(divide="ignore"):
        finite = np.minimum(limit * (1 + 2.0**-bits) / np.abs(scales.astype(np.float64)), largest)
    # A value below the limit may end above it, by half a step of the coarser grid and by the scale's rounding.
    codes = (np.floor(finite) + fold.divisor // 2) // fold.divisor
    return bool(np.isfinite(folded).all() and (codes * folded <= limit).all())


def _zeros(values: NDArray[np.generic]) -> NDArray[np.generic]:
    element = element_type(values.dtype)
    assert element is not None, "a zero point has the type of its weights"
    return np.zeros(values.shape, element.signed.dtype)


def scale_use(reader: Reader, index: GraphIndex) -> Use | None:
    """Return the input that holds the weight's constant scale, or a constant factor of all that is behind it."""
    name = scale_name(reader)
    if name and reader.quantiser is not None and reader.scale_index is not None:
        return Use(reader.quantiser, reader.scale_index) if name in index.initializers else None
    if reader.quantiser is not reader.node:
        return None
    # The int32 result is scaled by nodes behind the operator.
    cast = index.only_reader(reader.node)
    if cast is None or cast.node.op_type != "Cast":
        return None
    product = index.only_reader(cast.node)
    if product is None or product.node.op_type != "Mul":
        return None
    factor = next((i for i, value in enumerate(product.node.input) if value != cast.node.output[0]), None)
    return None if factor is None else _constant_factor(Use(product.node, factor), index)


def _constant_factor(use: Use, index: GraphIndex) -> Use | None:
    """Return the input itself where it is a float constant, or a constant factor of the product that computes it."""
    name = operand(use.node, use.index)
    if name in index.initializers:
        is_float = index.initializers[name].data_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
        return use if is_float else None
    producer = index.producers.get(name)
    if producer is None or producer.op_type != "Mul" or not index.is_only_read_by(name, use.node):
        return None
    constants = [i for i, value in enumerate(producer.input) if value in index.initializers]
    return _constant_factor(Use(producer, constants[0]), index) if constants else None


def _bias_uses(reader: Reader, index: GraphIndex) -> list[tuple[Use, bool]]:
    """Return the inputs to change for an int32 bias, each with True for a scale; empty without such a bias."""
    operator = operator_of(reader.node)
    position = None if operator is None else operator.bias
    name = "" if position is None else operand(reader.node, position)
    if position is None or not name:
        return []
    if reader.quantiser is reader.node:
        return [(Use(reader.node, position), False)]
    dequantize = index.producers.get(name)
    if dequantize is None or dequantize.op_type != "DequantizeLinear" or not _is_int32(dequantize, index):
        return []
    return [(Use(dequantize, 0), False), (Use(dequantize, 1), True)]


def _is_int32(dequantize: onnx.NodeProto, index: GraphIndex) -> bool:
    """Return True if a DequantizeLinear reads int32 values, or no constant, to be on the safe side."""
    tensor = index.initializers.get(operand(dequantize, 0))
    return tensor is None or tensor.data_type == TensorProto.INT32


def _is_bias_foldable(reader: Reader, weight: Weight, index: GraphIndex) -> bool:
    uses = _bias_uses(reader, index)
    if any(operand(use.node, use.index) not in index.initializers for use, _ in uses):
        return False
    own = {id(other.node) for other in weight.readers}
    if reader.quantiser is reader.node or not uses:
        return True
    result = uses[0][0].node.output[0]
    return not index.is_read_elsewhere(result) and all(id(use.node) in own for use in index.readers(result))
