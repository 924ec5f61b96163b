"""Networks of matrix products, for the tests of what is measured on networks."""

from onnx import TensorProto, helper, numpy_helper


def products(**weights):
    """Return a network of one product after the other, with these float32 weights."""
    names = list(weights)
    steps = ["x", *(f"h{number}" for number in range(1, len(names))), "y"]
    nodes = [helper.make_node("MatMul", [steps[i], name], [steps[i + 1]]) for i, name in enumerate(names)]
    ends = {"x": weights[names[0]].shape[0], "y": weights[names[-1]].shape[1]}
    graph = helper.make_graph(
        nodes,
        "small",
        *([helper.make_tensor_value_info(end, TensorProto.FLOAT, [None, size])] for end, size in ends.items()),
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
