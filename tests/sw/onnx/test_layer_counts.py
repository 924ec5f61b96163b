"""Products and weights of operators beyond convolutions and products of two matrices, each by its formula."""

import numpy as np
import pytest
from onnx import TensorProto, helper

import graphs
from dnnzip.errors import InputError
from dnnzip.onnx.given_sizes import GivenSizes, is_sequence
from dnnzip.onnx.layer_counts import unpacked
from dnnzip.onnx.operators import MICROSOFT, Role
from dnnzip.onnx.shapes import network_shape

FINN = "finn.custom_op.fpgadataflow"


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


def shape_of(nodes, inputs, weights, given=None, output="y"):
    model = graphs.model(nodes, inputs, {output: None}, weights, opset=19)
    for domain in sorted({node.domain for node in nodes} - {""}):
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return network_shape(model, "small.onnx", given or GivenSizes())


def macs(*arguments, **options):
    return [(layer.name, layer.macs, layer.weights) for layer in shape_of(*arguments, **options).layers]


@pytest.mark.parametrize(
    ("operator", "gates", "directions"), [("LSTM", 4, 1), ("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 2)]
)
def test_recurrent_layers_count_gates_hidden_and_both_matrices_at_every_step(operator, gates, directions):
    steps, hidden, size = 5, 7, 3
    direction = "bidirectional" if directions == 2 else "forward"
    node = helper.make_node(operator, ["x", "w", "r"], ["y"], hidden_size=hidden, direction=direction)
    weights = {"w": zeros(directions, gates * hidden, size), "r": zeros(directions, gates * hidden, hidden)}
    found = macs([node], {"x": [steps, 1, size]}, weights)
    each = directions * gates * hidden
    assert found == [("w", each * size * steps, each * size), ("r", each * hidden * steps, each * hidden)]


def test_the_sequence_of_a_recurrent_layer_is_an_option():
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2)
    weights = {"w": zeros(1, 8, 3), "r": zeros(1, 8, 2)}
    inputs = {"x": ["seq_length", "batch", 3]}
    assert [count for _, count, _ in macs([node], inputs, weights)] == [24, 16]
    assert [count for _, count, _ in macs([node], inputs, weights, GivenSizes(sequence=10))] == [240, 160]


def test_a_quantised_recurrent_layer_has_its_gates_last():
    names = ["x", "w", "r", "", "", "", "", "", "s", "z", "s", "z"]
    node = helper.make_node("DynamicQuantizeLSTM", names, ["y"], hidden_size=2, domain=MICROSOFT)
    weights = {"w": zeros(1, 3, 8, dtype=np.int8), "r": zeros(1, 2, 8, dtype=np.int8)}
    weights |= {"s": zeros(1), "z": zeros(1, dtype=np.int8)}
    assert macs([node], {"x": [5, 1, 3]}, weights) == [("w", 120, 24), ("r", 80, 16)]


def test_a_table_reads_the_rows_that_are_asked_for_and_multiplies_nothing():
    node = helper.make_node("Gather", ["table", "i"], ["y"])
    model = graphs.model([node], {}, {"y": None}, {"table": zeros(100, 8)})
    model.graph.input.append(helper.make_tensor_value_info("i", TensorProto.INT64, [1, "seq"]))
    (layer,) = network_shape(model, "small.onnx").layers
    # A row where their number is open.
    assert (layer.name, layer.role, layer.counts, layer.weights) == ("table", Role.LOOKUP, None, 8)
    for asked, read in ((5, 40), (1000, 800)):
        (layer,) = network_shape(model, "small.onnx", GivenSizes(sequence=asked)).layers
        assert (layer.macs, layer.weights, layer.counts.outputs) == (0, read, 8 * asked)


def test_a_constant_left_side_has_its_channels_first():
    node = helper.make_node("MatMul", ["w", "x"], ["y"])
    (layer,) = shape_of([node], {"x": [1, 6, 5]}, {"w": zeros(4, 6)}).layers
    counts = layer.counts
    assert (layer.name, counts.units, counts.reduction, counts.positions, counts.inputs) == ("w", 4, 6, 5, 30)


@pytest.mark.parametrize(
    ("equation", "shape", "count"), [("bsi,io->bso", (6, 4), 120), ("bsi,hio->bsho", (2, 6, 4), 240)]
)
def test_an_einsum_multiplies_all_of_its_letters(equation, shape, count):
    node = helper.make_node("Einsum", ["x", "w"], ["y"], equation=equation)
    assert macs([node], {"x": [1, 5, 6]}, {"w": zeros(*shape)}) == [("w", count, int(np.prod(shape)))]


CONTRIBUTED = {
    "FusedMatMul": (helper.make_node("FusedMatMul", ["x", "w"], ["y"], transB=1, domain=MICROSOFT), (4, 6), 120),
    "FusedGemm": (helper.make_node("FusedGemm", ["f", "w"], ["y"], transB=1, domain=MICROSOFT), (4, 6), 120),
    "Attention": (helper.make_node("Attention", ["x", "w"], ["y"], num_heads=2, domain=MICROSOFT), (6, 18), 540),
    "DynamicQuantizeMatMul": (
        helper.make_node("DynamicQuantizeMatMul", ["x", "w", "s"], ["y"], domain=MICROSOFT),
        (6, 4),
        120,
    ),
    "MVAU": (helper.make_node("MVAU", ["x", "w", "s"], ["y"], MW=6, MH=4, domain=FINN), (6, 4), 120),
}


@pytest.mark.parametrize("name", CONTRIBUTED)
def test_matrix_products_of_other_domains_and_what_follows_them(name):
    node, shape, count = CONTRIBUTED[name]
    width = 6 if name == "Attention" else 4
    behind = helper.make_node("MatMul", ["y", "v"], ["z"])
    inputs = {"f": [5, 6]} if name == "FusedGemm" else {"x": [1, 5, 6]}
    weights = {"w": zeros(*shape), "v": zeros(width, 3), "s": zeros(1)}
    found = macs([node, behind], inputs, weights, output="z")
    assert found == [("w", count, int(np.prod(shape))), ("v", 5 * width * 3, width * 3)]


@pytest.mark.parametrize("operator", ["FusedConv", "NhwcConv"])
def test_convolutions_of_other_domains_and_what_follows_them(operator):
    node = helper.make_node(operator, ["x", "w"], ["y"], pads=[1, 1, 1, 1], kernel_shape=[3, 3], domain=MICROSOFT)
    behind = helper.make_node("MatMul", ["y", "v"], ["z"])
    image = [1, 3, 8, 6] if operator == "FusedConv" else [1, 8, 6, 3]
    width = 6 if operator == "FusedConv" else 4
    found = macs([node, behind], {"x": image}, {"w": zeros(4, 3, 3, 3), "v": zeros(width, 2)}, output="z")
    assert found[0] == ("w", 48 * 27 * 4, 108)
    assert found[1][1] == 4 * 48 * 2


@pytest.mark.parametrize(
    "view",
    [
        [helper.make_node("Identity", ["w"], ["v"])],
        [helper.make_node("Cast", ["w"], ["v"], to=TensorProto.FLOAT)],
        [helper.make_node("Transpose", ["w"], ["t"]), helper.make_node("Transpose", ["t"], ["v"])],
        [helper.make_node("Reshape", ["w", "target"], ["v"])],
        [helper.make_node("Cast", ["w"], ["c"], to=TensorProto.FLOAT), helper.make_node("Mul", ["s", "c"], ["v"])],
        [helper.make_node("Quant", ["w", "s", "s", "s"], ["v"], domain="qonnx.custom_op.general")],
    ],
    ids=["identity", "cast", "transpose", "reshape", "cast-mul", "quant"],
)
def test_weights_are_found_behind_views(view):
    nodes = [*view, helper.make_node("MatMul", ["x", "v"], ["y"])]
    weights = {"w": zeros(6, 4), "s": zeros(4), "target": np.array([6, 4])}
    assert macs(nodes, {"x": [1, 5, 6]}, weights) == [("w", 120, 24)]


def conditional(first, second):
    """Return a network with an If, one of whose branches has more products, and a product behind it."""
    branches = [
        graphs.body([helper.make_node("MatMul", ["x", name], [f"in_{name}"])], f"in_{name}") for name in (first, second)
    ]
    nodes = [
        helper.make_node("If", ["flag"], ["t"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("MatMul", ["t", "c"], ["y"]),
    ]
    model = graphs.model(nodes, {"x": [1, 6]}, {"y": None}, {"a": zeros(6, 4), "b": zeros(6, 4), "c": zeros(4, 2)})
    model.graph.input.append(helper.make_tensor_value_info("flag", TensorProto.BOOL, []))
    model.graph.initializer.append(helper.make_tensor("wide", TensorProto.FLOAT, [6, 9], zeros(54)))
    return model


@pytest.mark.parametrize("branches", [("wide", "a"), ("a", "wide")])
def test_the_branch_with_more_products_counts(branches):
    layers = network_shape(conditional(*branches), "small.onnx").layers
    assert (layers[0].name, layers[0].macs, layers[0].source) == ("wide", 54, None)
    assert (layers[-1].name, layers[-1].source) == ("c", 0)


def test_branches_with_the_same_names_have_shapes_of_their_own():
    branches = []
    for name in ("a", "wide"):
        nodes = [helper.make_node("Relu", [name], ["w"]), helper.make_node("MatMul", ["x", "w"], ["out"])]
        branches.append(graphs.body(nodes, "out"))
    model = conditional("a", "wide")
    for entry, body in zip(model.graph.node[0].attribute, branches, strict=True):
        entry.g.CopyFrom(body)
    assert network_shape(model, "small.onnx").layers[0].macs == 54


def test_operators_that_are_not_known_are_named_and_what_is_behind_them_counts_its_weights():
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["t"]),
        helper.make_node("Fold", ["t", "v"], ["u"], domain="com.acme"),
        helper.make_node("Fold", ["u"], ["s"], domain="com.acme"),
        helper.make_node("MatMul", ["s", "v"], ["y"]),
    ]
    weights = {"w": zeros(4, 3, 1, 1), "v": zeros(6, 5)}
    found = shape_of(nodes, {"x": [1, 3, 2, 2]}, weights)
    assert (found.unknown, found.open) == ({"com.acme.Fold": 2}, ())
    assert [(layer.name, layer.counts is None, layer.weights) for layer in found.layers] == [
        ("w", False, 12),
        ("v", True, 30),
    ]
    given = shape_of(nodes, {"x": [1, 3, 2, 2]}, weights, GivenSizes({"s": (2, 6)}))
    assert given.layers[1].macs == 60


def test_an_attention_that_no_row_counts_is_named():
    node = helper.make_node("MultiHeadAttention", ["x", "x", "x"], ["t"], num_heads=1, domain=MICROSOFT)
    found = shape_of([node, helper.make_node("MatMul", ["t", "w"], ["y"])], {"x": [1, 5, 6]}, {"w": zeros(6, 2)})
    assert (found.unknown, found.layers[0].macs) == ({"com.microsoft.MultiHeadAttention": 1}, 60)


CONV = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
OPEN = {"x": ["batch", 3, "height", "width"]}


def conv(given=None, inputs=None):
    return shape_of([CONV], inputs or OPEN, {"w": zeros(8, 3, 3, 3)}, given)


def test_open_sizes_stay_unknown_until_they_are_given():
    found = conv()
    assert [(size.input, size.position, size.name) for size in found.open] == [("x", 2, "height"), ("x", 3, "width")]
    assert (found.layers[0].counts, found.layers[0].weights) == (None, 216)


@pytest.mark.parametrize(
    ("shapes", "positions"),
    [
        ({"x": (1, 3, 8, 8)}, 64),
        ({"x": (2, 3, 8, 8)}, 128),
        ({"height": (8,), "width": (4,)}, 32),
        ({"batch": (4,), "x": (4, 3, 8, 8)}, 256),
    ],
)
def test_given_sizes(shapes, positions):
    found = conv(GivenSizes(shapes))
    assert (found.open, found.layers[0].macs) == ((), positions * 27 * 8)


def test_what_others_declare_gives_way_to_what_is_given():
    model = graphs.model([CONV], OPEN, {"y": [1, 8, 99, 99]}, {"w": zeros(8, 3, 3, 3)}, opset=19)
    assert network_shape(model, "small.onnx", GivenSizes({"x": (1, 3, 8, 8)})).layers[0].macs == 13_824


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1, 3)}, "shape z=1x3: names no input and no open dimension; give one of x, batch, height, width"),
        ({"x": (1, 3, 8)}, "shape x=1x3x8: the input is batchx3xheightxwidth; give 4 sizes"),
        ({"x": (1, 4, 8, 8)}, "shape x=1x4x8x8: 4 contradicts the input's batchx3xheightxwidth; give 3 there"),
        ({"height": (3,), "x": (1, 3, 8, 8)}, "shape x=1x3x8x8: 8 contradicts"),
    ],
)
def test_sizes_that_do_not_suit_are_refused(shapes, message):
    with pytest.raises(InputError) as caught:
        conv(GivenSizes(shapes))
    assert message in str(caught.value).replace("\ue000", "").replace("\ue001", "")


@pytest.mark.parametrize("given", [{"shapes": {"x": (0, 1)}}, {"sequence": 0}, {"shapes": {"x": (1 << 31,)}}])
def test_sizes_have_a_range(given):
    with pytest.raises(InputError, match="out of range; give"):
        GivenSizes(**given)


@pytest.mark.parametrize(
    ("name", "position", "rank", "is_it"),
    [
        ("sequence_length", 1, 2, True),
        ("past_sequence_length", 2, 4, True),
        ("num_frames", 0, 3, True),
        ("S", 1, 2, True),
        ("unk__12", 1, 3, True),
        ("", 1, 2, True),
        ("", 1, 4, False),
        ("", 2, 3, False),
        ("batch_seq", 0, 2, False),
        ("height", 2, 4, False),
        ("N", 0, 2, False),
    ],
)
def test_a_sequence_is_known_by_its_name_or_place(name, position, rank, is_it):
    assert is_sequence(name, position, rank) is is_it


def test_a_zero_size_is_an_open_one_and_an_old_operator_set_is_read():
    found = conv(GivenSizes({"x": (1, 3, 4, 4)}), {"x": [0, 3, -1, -1]})
    assert found.layers[0].macs == 16 * 216
    old = graphs.model([CONV], {"x": [1, 3, 4, 4]}, {"y": None}, {"w": zeros(8, 3, 3, 3)}, opset=7)
    assert network_shape(old, "small.onnx").layers[0].macs == 16 * 216


def test_codes_that_share_bytes_are_counted_by_the_attributes():
    bits = helper.make_node("MatMulNBits", ["x", "b", "s"], ["y"], K=64, N=10, bits=4, block_size=32, domain=MICROSOFT)
    assert unpacked(bits, (10, 2, 16)) == (10, 64)
    experts = helper.make_node("QMoE", ["x", "r", "w"], ["y"], expert_weight_bits=4, domain=MICROSOFT)
    assert unpacked(experts, (4, 10, 16)) == (4, 10, 32)
