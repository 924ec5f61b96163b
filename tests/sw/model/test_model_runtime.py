import numpy as np
from onnx import TensorProto, helper, numpy_helper

from dnnzip.model.runtime import open_session


def test_integer_sums_are_exact_on_every_processor():
    """Pairs of products of uint8 and int8 pass 16 bits, where some processors' instruction saturates."""
    x, w = np.full((2, 64), 255, np.uint8), np.full((64, 3), -128, np.int8)
    w[:, 1] = 127
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [2, 3])],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (found,) = open_session(model.SerializeToString(), "sums").run(None, {"x": x})
    np.testing.assert_array_equal(found, x.astype(np.int32) @ w.astype(np.int32))
