"""Small 8-bit networks of one operator each, and the way from a network to its outputs on the golden array."""

from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from dnnzip.array.golden import GoldenArray
from dnnzip.array.network import compile_network, run_network
from dnnzip.evaluation.runtime import open_session, session_options
from dnnzip.format.array import ArrayShape
from graphs import Network, network_of

SMALL = ArrayShape(groups=2, rows_per_group=4, columns=5, vectors=16)


def integers(rng, shape, dtype, low=None, high=None):
    limits = np.iinfo(dtype)
    low, high = limits.min if low is None else low, limits.max if high is None else high
    return rng.integers(low, high + 1, shape).astype(dtype)


def channel_axis(op, attributes, rank):
    if op == "Conv":
        return 0
    if op == "Gemm":
        return 0 if attributes.get("transB") else 1
    return rank - 1


def qdq(
    op,
    x_shape,
    w_shape,
    attributes=None,
    *,
    x_type=np.int8,
    y_type=np.int8,
    w_type=np.int8,
    w_zero=0,
    x_zero=3,
    y_zero=-5,
    per_channel=True,
    bias="int32",
    behind=(),
    quantised=True,
    seed=0,
    batch=None,
):
    """An operator between DequantizeLinear and QuantizeLinear, with nodes ``behind`` it."""
    attributes = attributes or {}
    print("seed", seed)
    rng = np.random.default_rng(seed)
    axis = channel_axis(op, attributes, len(w_shape))
    channels = w_shape[axis]
    points = np.full(channels if per_channel else (), w_zero).astype(w_type)
    limits = np.iinfo(w_type)
    w = integers(rng, w_shape, w_type, max(w_zero - 128, limits.min), min(w_zero + 127, limits.max))
    scale = rng.uniform(0.004, 0.02, channels if per_channel else ()).astype(np.float32)
    constants = {
        "xs": np.float32(0.05),
        "xz": x_type(x_zero),
        "w": w,
        "ws": scale,
        "wz": points,
        "ys": np.float32(w[0].size ** 0.5 * 0.02 * 127 * 0.05 * 100 / 90),
        "yz": y_type(y_zero),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["xf"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"], axis=axis),
        helper.make_node(op, ["xf", "wf"], ["sum"], **attributes),
    ]
    if bias and op in ("Conv", "Gemm"):
        if bias == "int32":
            alpha = np.float32(attributes.get("alpha", 1)) / np.float32(attributes.get("beta", 1))
            bias_scale = (alpha * np.float32(0.05) * scale).astype(np.float32)
            constants |= {"b": integers(rng, channels, np.int32, -3000, 3000), "bs": bias_scale}
            nodes.insert(0, helper.make_node("DequantizeLinear", ["b", "bs"], ["bf"], axis=0))
        else:
            constants["bf"] = rng.normal(size=channels).astype(np.float32)
        nodes[-1].input.append("bf")
    last = "sum"
    for number, (kind, inputs, node_attributes) in enumerate(behind):
        for name, value in inputs.items():
            constants[name] = value
        nodes.append(helper.make_node(kind, [last, *inputs], [f"t{number}"], **node_attributes))
        last = f"t{number}"
    x = integers(rng, x_shape, x_type)
    if quantised:
        nodes.append(helper.make_node("QuantizeLinear", [last, "ys", "yz"], ["y"]))
        return network_of(nodes, constants, x, y_type, batch)
    del constants["ys"], constants["yz"]
    nodes[-1].output[0] = "y"
    return network_of(nodes, constants, x, np.float32, batch)


def integer(op, x_shape, w_shape, attributes=None, *, x_type=np.uint8, w_type=np.int8, w_zero=0, seed=0, bias=False):
    """QLinearConv, QLinearMatMul, ConvInteger or MatMulInteger."""
    print("seed", seed)
    rng = np.random.default_rng(seed)
    channels = w_shape[0] if "Conv" in op else w_shape[-1]
    w = integers(rng, w_shape, w_type, max(w_zero - 128, np.iinfo(w_type).min), min(w_zero + 127, np.iinfo(w_type).max))
    constants = {"xz": x_type(7), "w": w, "wz": w_type(w_zero)}
    x = integers(rng, x_shape, x_type)
    if op.endswith("Integer"):
        node = helper.make_node(op, ["x", "w", "xz", "wz"], ["y"], **(attributes or {}))
        return network_of([node], constants, x, np.int32)
    scales = rng.uniform(0.004, 0.02, channels if "Conv" in op else ()).astype(np.float32)
    constants |= {"xs": np.float32(0.05), "ws": scales, "ys": np.float32(0.9), "yz": x_type(11)}
    inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    if bias:
        constants["b"] = integers(rng, channels, np.int32, -3000, 3000)
        inputs.append("b")
    node = helper.make_node(op, inputs, ["y"], **(attributes or {}))
    return network_of([node], constants, x, x_type)


def reference(model, x, *, fused=True):
    """Return onnxruntime's first output; without ``fused`` in float32, operator by operator."""
    options = session_options()
    if not fused:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = open_session(model.SerializeToString(), "network", options)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def on_array(network, shape=SMALL, keep=("y",), link=None, **options):
    """Run a network on an array; return its values for the first of ``keep``, and the run."""
    compiled = compile_network(network.model, shape, "net")
    run = run_network(compiled, link or GoldenArray(shape), network.x, keep=keep, **options)
    return np.concatenate(run.kept[keep[0]]), run


@pytest.fixture(scope="session")
def nets():
    """Return the builders of small networks."""
    return SimpleNamespace(
        Network=Network,
        compile_network=compile_network,
        run_network=run_network,
        golden=GoldenArray,
        qdq=qdq,
        integer=integer,
        reference=reference,
        on_array=on_array,
        small=SMALL,
    )
