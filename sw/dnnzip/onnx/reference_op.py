"""`Decompress` for ``onnx.reference.ReferenceEvaluator``, so that a compressed model runs as it is.

``ReferenceEvaluator(model, new_ops=[Decompress])``
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference.op_run import OpRun

from dnnzip.codec import decode_tensor
from dnnzip.onnx.compressed import DOMAIN
from dnnzip.onnx.decompression import as_stored, restore
from dnnzip.onnx.opening import layer_of_node


class Decompress(OpRun):
    """One weight, decoded by the software codec; the semantics are those of `dnnzip.onnx.compressed`."""

    op_domain = DOMAIN

    def _run(
        self,
        stream: NDArray[np.uint8],
        tables: NDArray[np.uint8],
        step: NDArray[np.float32] | None = None,
        zero_point: NDArray[np.generic] | None = None,
        step_index: NDArray[np.uint8] | None = None,
        **_attributes: Any,
    ) -> tuple[NDArray[np.generic]]:
        given = (stream, tables, step, zero_point, step_index)
        tensors = {
            name: numpy_helper.from_array(value, name)
            for name, value in zip(self.onnx_node.input, given, strict=False)
            if value is not None
        }
        layer = layer_of_node(self.onnx_node, f"layer {self.onnx_node.output[0]!r}", tensors.get)
        return (as_stored(layer, restore(layer, decode_tensor(layer.stream, tables.tobytes()))),)
