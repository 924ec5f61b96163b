"""Damaged and newer compressed models: one line that names the file and the layer."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.errors import InputError
from dnnzip.onnx.decompression import decompressed, restore
from dnnzip.onnx.opening import open_compressed
from dnnzip.quantize.bound import Scope

# What is damaged, and what the message says about it.
DAMAGE = {
    "shape": (lambda n, _: set_ints(n, "shape", [6, 4, 3, 3]), "declares 144 values and its shape"),
    "huge shape": (lambda n, _: set_ints(n, "shape", [1 << 40, 1 << 20]), "declares 144 values and its shape"),
    "negative shape": (lambda n, _: set_ints(n, "shape", [-6, -24]), "has no weights"),
    "axis": (lambda n, _: set_int(n, "axis", 4), "axis 4 and group 1 do not suit"),
    "group": (lambda n, _: set_int(n, "group", 4), "axis 0 and group 4 do not suit"),
    "zero group": (lambda n, _: set_int(n, "group", 0), "axis 0 and group 0 do not suit"),
    "type": (lambda n, _: set_int(n, "element_type", TensorProto.INT64), "its element type 7 is not"),
    "integer type": (lambda n, _: set_int(n, "element_type", TensorProto.INT8), "unit absolute does not suit"),
    "attribute gone": (lambda n, _: remove_attribute(n, "bound"), "an attribute or input is missing"),
    "operator": (lambda n, _: setattr(n, "op_type", "Explode"), "no Decompress node"),
    "stream gone": (lambda n, _: n.input.__setitem__(0, "nothing"), "no constant list of bytes"),
    "step gone": (lambda n, _: n.input.__setitem__(2, "nothing"), "step or zero point is no constant"),
    "step infinite": (lambda _, g: set_value(g, "w.step", np.float32(np.inf)), "step is not finite"),
    "step long": (lambda _, g: set_value(g, "w.step", np.ones(5, np.float32)), "its step has the shape"),
    "stream empty": (lambda _, g: set_value(g, "w.stream", np.zeros(0, np.uint8)), "words are missing"),
    "stream short": (lambda _, g: cut(g, "w.stream", -2), "has a damaged stream"),
}


def set_ints(node, name, values):
    remove_attribute(node, name)
    node.attribute.append(helper.make_attribute(name, values))


set_int = set_ints


def remove_attribute(node, name):
    index = [a.name for a in node.attribute].index(name)
    del node.attribute[index]


def set_value(graph, name, value):
    next(t for t in graph.initializer if t.name == name).CopyFrom(numpy_helper.from_array(np.asarray(value), name))


def value_of(graph, name):
    return numpy_helper.to_array(next(t for t in graph.initializer if t.name == name))


def cut(graph, name, end):
    set_value(graph, name, value_of(graph, name)[:end])


def test_every_flipped_bit_of_a_stream_is_an_error_or_found_in_the_header(networks):
    compressed, _ = networks.compress(networks.float_network("Conv2D").model)
    stream = value_of(compressed.graph, "w.stream").copy()
    rng = np.random.default_rng(5)
    for position in rng.choice(stream.size * 8, 100, replace=False):
        flipped = stream.copy()
        flipped[position // 8] ^= 1 << (position % 8)
        set_value(compressed.graph, "w.stream", flipped)
        with pytest.raises(InputError, match=r"^m: layer 'w': "):
            decompressed(open_compressed(compressed, "m"))


def test_too_many_weights_for_the_bytes(networks, monkeypatch):
    compressed, _ = networks.compress(networks.float_network("Conv2D").model)
    monkeypatch.setattr("dnnzip.encoding.stream_count", lambda _: 1 << 40)
    set_ints(compressed.graph.node[0], "shape", [1 << 20, 1 << 20])
    with pytest.raises(InputError, match=r"layer 'w': is damaged: 1099511627776 values in \d+ bytes are more than"):
        open_compressed(compressed, "m")


def test_restore_refuses_values_of_another_layer(networks):
    compressed, (result,) = networks.compress(networks.float_network("Conv2D").model)
    layer = open_compressed(compressed, "m").layers[0]
    with pytest.raises(InputError, match=r"^m: layer 'w': is damaged: its stream holds int16 \(24, 6\)"):
        restore(layer, np.ascontiguousarray(result.codes.T), "m")


GRID_DAMAGE = {
    "index gone": (lambda n, _: n.input.__setitem__(4, "nothing"), "step or zero point is no constant"),
    "index short": (lambda _, g: cut(g, "w.step_index", -1), "its step has the shape"),
    "index of floats": (lambda _, g: set_value(g, "w.step_index", np.ones(6, np.float32)), "missing or wrong"),
    "index beyond": (lambda _, g: set_value(g, "w.step_index", np.full(6, 255, np.uint8)), r"values must be .*\[7\]"),
    "base zero": (lambda _, g: set_value(g, "w.step", np.zeros(1, np.float32)), "not finite and above zero"),
    "base infinite": (lambda _, g: set_value(g, "w.step", np.full(1, np.inf, np.float32)), "not finite and above zero"),
    "octaves": (lambda n, _: set_int(n, "steps_per_octave", 0), "steps to an octave must be one of"),
    "octaves gone": (lambda n, _: remove_attribute(n, "steps_per_octave"), "attribute or input is missing"),
    "step gone": (lambda n, _: n.input.__setitem__(2, ""), "step or zero point is no constant"),
    "loss not a number": (lambda n, _: set_double(n, "step_loss", np.nan), "step loss is not finite"),
}


def set_double(node, name, value):
    next(a for a in node.attribute if a.name == name).t.CopyFrom(numpy_helper.from_array(np.float64(value), name))


@pytest.mark.parametrize(
    ("operator", "scope", "damage", "message"),
    [
        *(pytest.param("Conv2D", Scope.TENSOR, *case, id=name) for name, case in DAMAGE.items()),
        *(pytest.param("Depthwise", Scope.CHANNEL, *case, id=f"grid: {name}") for name, case in GRID_DAMAGE.items()),
    ],
)
def test_damage_names_file_and_layer(networks, operator, scope, damage, message):
    compressed, _ = networks.compress(networks.float_network(operator).model, "2%", scope)
    damage(compressed.graph.node[0], compressed.graph)
    with pytest.raises(InputError, match=rf"^m\.onnx: layer 'w': .*{message}"):
        open_compressed(compressed, "m.onnx")
