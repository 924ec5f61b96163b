"""A small model for the commands, and what a compressed one holds."""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

import graphs

DNNZIP = Path(sys.executable).with_name("dnnzip")
"""The program as it is installed."""


def network(weights=None, nodes=None):
    """A MatMul whose weight ``w`` is given."""
    w = np.random.default_rng(0).normal(size=(20, 10)).astype(np.float32) if weights is None else weights
    nodes = nodes or [helper.make_node("MatMul", ["x", "w"], ["y"])]
    return graphs.model(nodes, {"x": [None, 20]}, {"y": [None, 10]}, {"w": w})


def compress(model, tmp_path, *options):
    return ("compress", model, "-o", tmp_path / "out.dnz.onnx", *(options or ("--max-error", "2%")))


def damage(source, target, change, which="stream"):
    """Change the bytes of a compressed model's first stream, or of its table set."""
    model = onnx.load(source)
    node = next(node for node in model.graph.node if node.domain == "dnnzip")
    name = node.input[0 if which == "stream" else 1]
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    content = change(tensor.raw_data)
    tensor.CopyFrom(numpy_helper.from_array(np.frombuffer(content, np.uint8), name))
    onnx.save(model, target)


def streams_of(path):
    """Return the table set, each layer's stream and the bytes of its steps, from the file's own initializers."""
    model = onnx.load(path)
    arrays = {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.domain == "dnnzip"]
    streams = {node.output[0]: arrays[node.input[0]] for node in nodes}
    sides = {node.output[0]: sum(len(arrays[name]) for name in node.input[2:] if name) for node in nodes}
    return arrays[nodes[0].input[1]], streams, sides
