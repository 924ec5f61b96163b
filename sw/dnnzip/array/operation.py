"""An operator with weights as the array sees it: its activations and weights, and the constants that quantise them."""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from dnnzip.errors import InputError
from dnnzip.onnx.graph import GraphIndex, attribute, is_standard, operand
from dnnzip.onnx.operators import DEQUANTIZED, Operand, Operator, Reach, WeightInput
from dnnzip.onnx.rules import stored_array

EIGHT_BITS = (TensorProto.INT8, TensorProto.UINT8)
QUANTISE = "quantise the model first with 'dnnzip quantize'"


@dataclass(frozen=True)
class Values:
    """A quantised operand: the 8-bit tensor's name, its constant scale and zero point, and the zero point's type."""

    name: str
    scale: NDArray[np.float32] | None
    zero_point: NDArray[np.int32]
    dtype: np.dtype[np.generic]

    @property
    def is_single(self) -> bool:
        """True for one scale and one zero point."""
        return self.scale is not None and self.scale.size == self.zero_point.size == 1


@dataclass(frozen=True, eq=False)
class Operation:
    """A node whose operator has a row in the table."""

    # The node, and its row.
    node: onnx.NodeProto
    operator: Operator
    index: GraphIndex
    where: str

    @property
    def label(self) -> str:
        """Type and name of the node."""
        return f"{self.node.op_type} {self.node.name or self.node.output[0]!r}"

    @property
    def has_weights(self) -> bool:
        """True for constant weights; a product of two computed matrices has none, and is no layer."""
        sides = (self.operator.source, self.operator.weights[0])
        return self.operator.reach is not Reach.ROW or any(
            self.is_constant(operand(self.node, side.index)) for side in sides
        )

    def refusal(self, wrong: str, right: str) -> InputError:
        """Return the error that names the operator."""
        return InputError(f"{self.where}: {self.label}", wrong, right)

    def operands(self) -> tuple[Values, Values]:
        """Return the activations and the weights of an operator."""
        node, operator = self.node, self.operator
        source, weight = operator.source, operator.weights[0]
        if operator.reach is Reach.ROW and self.is_constant(operand(node, source.index)):
            raise self.refusal("has its constant on the left", "the array takes weights on the right")
        if operator.is_integer:
            left = self.quantised(node, source, "input")
            right = self.quantised(node, weight, "weights")
        else:
            right = self._dequantised(weight, "weights")
            left = self._dequantised(source, "input")
        if left.zero_point.size != 1 or (left.scale is not None and left.scale.size != 1):
            raise self.refusal("has activations of several scales or zero points", "give them one each")
        tensor = self.index.initializers.get(right.name)
        if tensor is None:
            raise self.refusal("has computed weights", "they must be constants of the network")
        if tensor.data_type not in EIGHT_BITS:
            kind = TensorProto.DataType.Name(tensor.data_type).lower()
            raise self.refusal(f"has {kind} weights", "the array takes int8 and uint8")
        return left, right

    def _dequantised(self, position: Operand, role: str) -> Values:
        """Return an operand of a float operator, behind its DequantizeLinear."""
        producer = self.index.producers.get(operand(self.node, position.index))
        if producer is None or producer.op_type != "DequantizeLinear" or not is_standard(producer):
            raise self.refusal(f"its {role} {'are' if role == 'weights' else 'is'} float", QUANTISE)
        found = self.quantised(producer, DEQUANTIZED, role)
        assert found.scale is not None
        if isinstance(position, WeightInput) and max(found.scale.size, found.zero_point.size) > 1:
            self._check_axis(position, found.name, attribute(producer, "axis", 1))
        return found

    def _check_axis(self, weight: WeightInput, name: str, axis: int) -> None:
        tensor = self.index.initializers.get(name)
        if tensor is None or not tensor.dims:
            return
        wanted = weight.layout(self.node, tuple(tensor.dims)).axis
        if axis % len(tensor.dims) != wanted:
            raise self.refusal(
                f"has weights with scales along axis {axis}", f"their output channels lie along axis {wanted}"
            )

    def quantised(self, holder: onnx.NodeProto, position: Operand, role: str) -> Values:
        """Return an operand whose scale and zero point are inputs of ``holder``."""
        constants = self.index.initializers
        found: dict[str, NDArray[np.generic] | None] = {"scale": None, "zero point": None}
        for what, index in (("scale", position.scale), ("zero point", position.zero_point)):
            name = "" if index is None else operand(holder, index)
            if name and name not in constants:
                raise self.refusal(f"the {what} of its {role} is computed", f"it must be a constant; {QUANTISE}")
            found[what] = stored_array(constants[name]) if name else None
        points = found["zero point"]
        if points is not None and points.dtype not in (np.int8, np.uint8):
            raise self.refusal(
                f"its {role} {'are' if role == 'weights' else 'is'} {points.dtype}",
                "the array takes int8 and uint8",
            )
        scales = found["scale"]
        return Values(
            operand(holder, position.index),
            None if scales is None else scales.astype(np.float32).reshape(-1),
            np.zeros(1, np.int32) if points is None else points.astype(np.int32).reshape(-1),
            np.dtype(np.uint8) if points is None else points.dtype,
        )

    def constant(self, name: str) -> NDArray[np.float32] | None:
        """Return a constant, also one behind a DequantizeLinear, as float32; None for what is computed."""
        constants = self.index.initializers
        if name in constants:
            return stored_array(constants[name]).astype(np.float32)
        producer = self.index.producers.get(name)
        if producer is None or producer.op_type != "DequantizeLinear" or operand(producer, 0) not in constants:
            return None
        parts = [operand(producer, position) for position in range(3)]
        if any(part and part not in constants for part in parts):
            return None
        values = stored_array(constants[parts[0]]).astype(np.int64)
        points = stored_array(constants[parts[2]]).astype(np.int64) if parts[2] else np.zeros(1, np.int64)
        scales = stored_array(constants[parts[1]]).astype(np.float32)
        return np.asarray((values - points).astype(np.float32) * scales, np.float32)

    def only_reader(self, node: onnx.NodeProto) -> onnx.NodeProto | None:
        """Return the node that alone reads a node's result, as its first input; None where others do."""
        use = self.index.only_reader(node)
        return use.node if use is not None and use.index == 0 and is_standard(use.node) else None

    def is_constant(self, name: str) -> bool:
        """Return True for a constant, also one behind a DequantizeLinear."""
        producer = self.index.producers.get(name)
        if producer is not None and producer.op_type == "DequantizeLinear":
            name = operand(producer, 0)
        return name in self.index.initializers
