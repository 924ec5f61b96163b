"""A layer's int32 sums from onnxruntime's integer kernels, ConvInteger and MatMulInteger.

They are called with uint8 on both sides, int8 values and zero points shifted by 128: the kernels for uint8 x int8 of
older x86 processors add pairs of products in 16 bits and saturate there.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from dnnzip.array.layers import ArrayLayer
from dnnzip.array.reference import shifted_weights
from dnnzip.evaluation.runtime import open_session
from dnnzip.onnx.graph import attribute

SHIFT = 128
OPSET, IR_VERSION = 13, 8


class LayerKernel:
    """An integer kernel of onnxruntime for a layer."""

    def __init__(self, layer: ArrayLayer) -> None:
        self._layer = layer
        self._weights = np.ascontiguousarray(shifted_weights(layer) + SHIFT, np.uint8)
        self._is_transposed = attribute(layer.node, "transA", 0) != 0
        is_convolution = self._weights.ndim > 2
        shape: Sequence[int | None] | None = [None] * self._weights.ndim if is_convolution else None
        shapes = {"x": shape, "w": self._weights.shape, "xz": (), "wz": ()}
        node = helper.make_node("ConvInteger" if is_convolution else "MatMulInteger", list(shapes), ["y"])
        if is_convolution:
            node.attribute.extend(layer.node.attribute)
        inputs = [helper.make_tensor_value_info(name, TensorProto.UINT8, dims) for name, dims in shapes.items()]
        outputs = [helper.make_tensor_value_info("y", TensorProto.INT32, shape)]
        graph = helper.make_graph([node], "kernel", inputs, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        self._session = open_session(model.SerializeToString(), layer.name)

    def sums(self, x: NDArray[np.generic]) -> NDArray[np.int32]:
        """Return the sums of an int8 or uint8 input, int32 in the shape of the layer's output."""
        shift = SHIFT if x.dtype == np.int8 else 0
        values = (x.astype(np.int16) + shift).astype(np.uint8)
        if self._is_transposed:
            values = np.ascontiguousarray(values.T)
        feeds = {
            "x": values,
            "w": self._weights,
            "xz": np.uint8(self._layer.zero_point + shift),
            "wz": np.uint8(SHIFT),
        }
        (sums,) = self._session.run(["y"], {name: np.asarray(value) for name, value in feeds.items()})
        return np.asarray(sums, np.int32)
