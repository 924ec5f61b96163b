"""Changes of a compressed model that a runtime would see."""

import random

import numpy as np
import onnx
from compared_networks import SEED
from onnx import TensorProto, helper, numpy_helper

from graphs import value


def zeroed(tensor):
    """Set an array's values to zero; whether that changes it."""
    array = numpy_helper.to_array(tensor)
    if not np.any(array):
        return False
    tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(array), tensor.name))
    return True


def flipped(tensor, rng):
    """Flip a bit of an array."""
    array = numpy_helper.to_array(tensor)
    data = bytearray(array.tobytes())
    if not data:
        return
    if array.dtype == bool:
        data[rng.randrange(len(data))] ^= 1
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    fresh = np.frombuffer(bytes(data), array.dtype).reshape(array.shape)
    tensor.CopyFrom(numpy_helper.from_array(fresh, tensor.name))


def attribute_changes(attribute):
    """Visit changes of an attribute's value, as functions of the attribute."""
    kinds = {
        onnx.AttributeProto.INT: lambda a: setattr(a, "i", a.i + 1),
        onnx.AttributeProto.FLOAT: lambda a: setattr(a, "f", a.f + 0.25),
        onnx.AttributeProto.INTS: lambda a: a.ints.__setitem__(0, a.ints[0] + 1),
        onnx.AttributeProto.TENSOR: lambda a: flipped(a.t, random.Random(SEED)),
    }
    if attribute.type in kinds:
        yield kinds[attribute.type]
    if attribute.type == onnx.AttributeProto.GRAPH:
        yield lambda a: setattr(a.g.node[0], "op_type", "Neg")
        yield lambda a: a.g.node[1].input.__setitem__(0, "sum")
        yield lambda a: zeroed(a.g.initializer[0])
        yield lambda a: setattr(a.g.output[0].type.tensor_type, "elem_type", TensorProto.DOUBLE)
        yield lambda a: a.g.ClearField("output")


def node_mutations(model, position):
    """Visit changes of one node of the network's own, as (name, function of a model)."""
    node = model.graph.node[position]

    def at(change):
        return lambda m: change(m.graph.node[position])

    yield "removed", lambda m: m.graph.node.pop(position)
    yield "twice", lambda m: m.graph.node.append(m.graph.node[position])
    yield "operator", at(lambda n: setattr(n, "op_type", "Neg" if n.op_type != "Neg" else "Relu"))
    yield "domain", at(lambda n: setattr(n, "domain", "other"))
    for i in range(len(node.input)):
        for j in range(i):
            if node.input[i] != node.input[j]:
                yield (
                    f"inputs {i} and {j}",
                    at(lambda n, i=i, j=j: n.input.__setitem__(slice(None), swapped(n.input, i, j))),
                )
        yield f"input {i}", at(lambda n, i=i: n.input.__setitem__(i, "another"))
    if node.input:
        yield "fewer inputs", at(lambda n: n.input.pop())
    yield "output", at(lambda n: n.output.__setitem__(0, "another"))
    for i, attribute in enumerate(node.attribute):
        yield f"no {attribute.name}", at(lambda n, i=i: n.attribute.pop(i))
        for k, change in enumerate(attribute_changes(attribute)):
            yield f"{attribute.name} {k}", at(lambda n, i=i, change=change: change(n.attribute[i]))


def swapped(names, i, j):
    names = list(names)
    names[i], names[j] = names[j], names[i]
    return names


def layer_mutations(model, position):
    """Visit changes of one Decompress node."""
    node = model.graph.node[position]
    facts = {a.name: a for a in node.attribute}

    def attribute(change, name):
        return lambda m: change(next(a for a in m.graph.node[position].attribute if a.name == name))

    def replaced(m):
        shape, element_type = list(facts["shape"].ints), facts["element_type"].i
        zeros = np.zeros(shape, helper.tensor_dtype_to_np_dtype(element_type))
        m.graph.node.pop(position)
        m.graph.initializer.append(numpy_helper.from_array(zeros, node.output[0]))

    def tidied(m):
        replaced(m)
        for i in reversed(range(len(m.graph.initializer))):
            if m.graph.initializer[i].name in node.input and m.graph.initializer[i].name.startswith(node.output[0]):
                m.graph.initializer.pop(i)

    def doubled(a):
        a.t.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(a.t) + 1, a.name))

    yield "removed", lambda m: m.graph.node.pop(position)
    yield "replaced", replaced
    yield "replaced, its stream removed", tidied
    for name in ("bound", "max_error"):
        yield name, attribute(doubled, name)
    yield "element type", attribute(lambda a: setattr(a, "i", a.i % 3 + 1), "element_type")
    yield "shape", attribute(lambda a: a.ints.__setitem__(0, a.ints[0] + 1), "shape")


def mutations(model):
    """Visit changes of a compressed model that a runtime would see, as (name, function of a model)."""
    graph = model.graph
    for i, tensor in enumerate(graph.initializer):
        yield f"{tensor.name} zeroed", lambda m, i=i: zeroed(m.graph.initializer[i])
        # A step may be another as long as its weights keep their bound.
        if not tensor.name.endswith((".step", ".step_index")):
            yield (
                f"{tensor.name} with another bit",
                lambda m, i=i: flipped(m.graph.initializer[i], random.Random(f"{SEED} {i}")),
            )
        yield f"{tensor.name} removed", lambda m, i=i: m.graph.initializer.pop(i)
        yield f"{tensor.name} of another shape", lambda m, i=i: m.graph.initializer[i].dims.append(1)
    for i, node in enumerate(graph.node):
        of_kind = layer_mutations if node.domain == "dnnzip" else node_mutations
        for name, change in of_kind(model, i):
            yield f"node {node.name or node.output[0]}: {name}", change
    for field in ("input", "output", "value_info"):
        for i, entry in enumerate(getattr(graph, field)):
            if field == "value_info" and any(entry.name in n.output for n in graph.node if n.domain == "dnnzip"):
                continue
            yield (
                f"{field} {entry.name}: type",
                lambda m, f=field, i=i: setattr(getattr(m.graph, f)[i].type.tensor_type, "elem_type", 11),
            )
            yield f"{field} {entry.name} removed", lambda m, f=field, i=i: getattr(m.graph, f).pop(i)
            if entry.type.tensor_type.shape.dim:
                yield (
                    f"{field} {entry.name}: dimension",
                    lambda m, f=field, i=i: setattr(
                        getattr(m.graph, f)[i].type.tensor_type.shape.dim[0], "dim_value", 77
                    ),
                )
    yield "another output", lambda m: m.graph.output.append(value(m.graph.node[-1].input[0], None))
    yield "outputs in another order", lambda m: m.graph.output.insert(0, m.graph.output.pop())
    yield "another node", lambda m: m.graph.node.append(helper.make_node("Identity", [m.graph.output[0].name], ["z"]))
    yield "another array", lambda m: m.graph.initializer.append(numpy_helper.from_array(np.zeros(3), "z"))
    yield "another function", lambda m: m.functions.add(domain="local", name="Other")
    yield "another opset", lambda m: setattr(m.opset_import[0], "version", m.opset_import[0].version + 1)
    yield "an opset more", lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    yield "IR version", lambda m: setattr(m, "ir_version", m.ir_version + 1)
    yield "metadata", lambda m: m.metadata_props.add(key="a", value="b")
    if model.functions:
        yield "function", lambda m: setattr(m.functions[0].node[0], "op_type", "Mul")
        yield "no function", lambda m: m.ClearField("functions")
    if graph.sparse_initializer:
        yield "sparse values", lambda m: flipped(m.graph.sparse_initializer[0].values, random.Random(SEED))
        yield "sparse indices", lambda m: zeroed(m.graph.sparse_initializer[0].indices)
        yield "no sparse array", lambda m: m.graph.ClearField("sparse_initializer")
