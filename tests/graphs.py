"""Small ONNX networks, written down in few words."""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper


def value(name, shape=None, kind=np.float32):
    """Return the description of an input or output; ``kind`` is a type of NumPy or, as a number, of ONNX."""
    element = kind if isinstance(kind, int) else helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    return helper.make_tensor_value_info(name, element, shape)


def values(entries):
    """Return descriptions: of names and shapes, for float32, or of names, shapes and types."""
    return [value(*entry) for entry in (entries.items() if isinstance(entries, dict) else entries)]


def tensors(arrays):
    """Return initializers of arrays by name."""
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]


def body(nodes, output, arrays=(), name="body"):
    """Return the graph of a branch with one float32 output of any shape."""
    return helper.make_graph(nodes, name, [], [value(output)], tensors(dict(arrays)))


def model(nodes, inputs, outputs, arrays=(), *, opset=19, **parts):
    """Return a network; ``inputs`` and ``outputs`` as ``values`` takes them, ``parts`` more of it or its IR version."""
    ir_version = parts.pop("ir_version", 9)
    graph = helper.make_graph(nodes, "small", values(inputs), values(outputs), tensors(dict(arrays)), **parts)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def product(w, batch=None, **options):
    """Return a MatMul of the input ``x`` and the weight ``w``, whose result is ``y``."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    inputs, outputs = [("x", [batch, w.shape[0]], w.dtype)], [("y", [batch, w.shape[1]], w.dtype)]
    return model([node], inputs, outputs, {"w": w}, **options)


def dequantised_product(arrays, batch=None, **options):
    """Return a MatMul of ``x`` and the first array, which is read through DequantizeLinear with the others."""
    shape = next(iter(arrays.values())).shape
    nodes = [
        helper.make_node("DequantizeLinear", list(arrays), ["dequantised"]),
        helper.make_node("MatMul", ["x", "dequantised"], ["y"]),
    ]
    return model(nodes, {"x": [batch, shape[0]]}, {"y": [batch, shape[1]]}, arrays, **options)


def chain(arrays):
    """Return float32 MatMuls one after the other, on a batch of one; each is named as its weight."""
    nodes = [
        helper.make_node("MatMul", [f"x{number}", name], [f"x{number + 1}"], name) for number, name in enumerate(arrays)
    ]
    shapes = [array.shape for array in arrays.values()]
    return model(nodes, {"x0": [1, shapes[0][0]]}, {f"x{len(nodes)}": [1, shapes[-1][1]]}, arrays)


@dataclass
class Network:
    """A network and an input that it takes."""

    model: onnx.ModelProto
    x: np.ndarray


def network_of(nodes, arrays, x, output_type, batch=None):
    """Return a checked network from ``x``, of any batch if none is given, to ``y`` of as many dimensions."""
    inputs, outputs = [("x", [batch, *x.shape[1:]], x.dtype)], [("y", [None] * x.ndim, output_type)]
    made = model(nodes, inputs, outputs, arrays)
    onnx.checker.check_model(made, full_check=True)
    return Network(made, x)
