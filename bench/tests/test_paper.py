"""The paper's claim: its goals by estimate, each seen missed; rounding, records and choices; the page as it stands."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.accelerator import Kind, Layer, Network, Timing, estimator_of, load_accelerator
from dnnzip.codec import CodecOptions
from dnnzip.errors import CheckFailedError, InputError
from dnnzip.evaluation.dataset import Dataset
from dnnzip.onnx.files import save_model
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.estimate import read_network
from dnnzip_bench import paper as command
from dnnzip_bench.catalogue import Entry
from dnnzip_bench.coders.zero_runs import HEADER, packed_bytes
from dnnzip_bench.family_networks import alexnet, lenet5, vgg16
from dnnzip_bench.storage.choice import best_of_ladders, climb, most_right
from dnnzip_bench.storage.claim import (
    ALEXNET,
    DENSE,
    FIRST,
    GOALS,
    HIGHEST,
    LENET,
    ONE_BOUND,
    STATED,
    Subject,
    carried_over,
    check_goals,
    highest_bits,
    light_alexnet,
    role,
    subjects,
)
from dnnzip_bench.storage.equal import Judges
from dnnzip_bench.storage.methods import FIXED, INT4_METHODS, Method, Stored, ans, line
from dnnzip_bench.storage.records import Record, Records
from dnnzip_bench.storage.rounding import Clipping, round_weights
from dnnzip_bench.storage.savings import bits_per_weight, counted, largest_only, saving, with_bits
from dnnzip_bench.storage.tables import claim_table, equal_table, highest_table, ways_table
from dnnzip_bench.storage.trained import ENTRIES, Drop, Right, TrainedNetwork, load_trained
from dnnzip_bench.storage.tuned import load_tuned

TOOL = estimator_of(load_accelerator("paper-mesh-8x8"))
PAGE = Path(__file__).parents[2] / "docs" / "paper.md"
SHAPES = {"AlexNet": alexnet, "light_bvlc_alexnet": light_alexnet, "VGG-16": vgg16}


def subject(name, network, bits, source=STATED, drop=None):
    packed = with_bits(network, {layer.name: bits for layer in network.layers if layer.weights})
    return Subject(name, source, packed, drop, tuple(counted(packed, TOOL)))


@pytest.fixture(scope="module")
def reached():
    return [
        subject(LENET, lenet5(), 1.3, ONE_BOUND, Drop(0.4, 0.4)),
        subject(ALEXNET, alexnet(), 3.0),
    ]


def test_the_goals_are_reached_at_the_bits_that_they_are_for(reached):
    assert len(GOALS) == 2
    assert check_goals(reached) == []


@pytest.mark.parametrize(
    ("number", "changed", "message"),
    [
        (0, {"bits": 1.45}, "LeNet-5, one bound: 89.3 % of latency saved, not 90 %"),
        (0, {"drop": Drop(0.0, 0.51)}, "LeNet-5, one bound: accuracy lost is 0.51, not 0.5 points"),
        (0, {"drop": None}, "LeNet-5, one bound: accuracy lost is unknown, not 0.5 points"),
        (0, {"source": HIGHEST}, "LeNet-5: no bits per weight from tuned or one bound"),
        (1, {"bits": 3.15}, "AlexNet, stated: 3 bits: 79.8 % of latency saved, not 80 %"),
    ],
)
def test_a_figure_that_is_too_small_is_a_fault(reached, number, changed, message):
    names = ((LENET, lenet5, 1.3, ONE_BOUND, Drop(0.4, 0.4)), (ALEXNET, alexnet, 3.0, STATED, None))
    name, network, bits, source, drop = names[number]
    facts = {"bits": bits, "source": source, "drop": drop} | changed
    other = [*reached]
    other[number] = subject(name, network(), **facts)
    assert check_goals(other)[0] == message


def test_less_energy_than_the_goal_is_a_fault_too(reached):
    way = reached[1].way(False, Timing.SERIAL, 16)
    poor = replace(way, saving=replace(way.saving, energy=0.7399))
    other = replace(reached[1], ways=tuple(poor if each == way else each for each in reached[1].ways))
    assert check_goals([reached[0], other]) == ["AlexNet, stated: 3 bits: 74.0 % of energy saved, not 74 %"]


def test_every_way_is_counted_once_and_larger_baselines_save_more(reached):
    ways = reached[1].ways
    assert len({(way.largest_only, way.timing, way.baseline) for way in ways}) == len(ways) == 12
    for only in (False, True):
        saved = [reached[1].way(only, Timing.SERIAL, bits).saving.latency for bits in (32, 16, 8)]
        assert saved == sorted(saved, reverse=True)
    whole, part = (reached[1].way(only, Timing.SERIAL, 16).saving for only in (False, True))
    assert whole.energy > part.energy > 0
    assert whole.energy > whole.energy_without_leakage


def test_the_largest_layer_alone_is_compressed():
    network = with_bits(alexnet(), {layer.name: 3.0 for layer in alexnet().layers})
    packed = [layer for layer in largest_only(network).layers if layer.bits_per_weight is not None]
    assert [layer.weights for layer in packed] == [max(layer.weights for layer in network.layers)]
    assert bits_per_weight(largest_only(network)) == 3.0


def dense(name, weights, units=10):
    return Layer(
        name=name, operator="Gemm", kind=Kind.DENSE, units=units, reduction=weights // units, positions=1, groups=1,
        weights=weights, inputs=weights // units, outputs=units,
    )  # fmt: skip


def record(bits, weights):
    return Record("ans", "1%", weights, bits, Right(1.0, 1.0))


def test_bits_are_carried_over_layer_by_layer():
    sizes = [layer.weights for layer in lenet5().layers if layer.weights]
    trained = Network("trained", tuple(dense(f"t{number}", size) for number, size in enumerate([*sizes, 840])))
    weights = {layer.name: layer.weights for layer in trained.layers}
    bits = {name: count * (index + 1.5) for index, (name, count) in enumerate(weights.items())}
    carried = carried_over(trained, record(bits, weights), lenet5())
    assert carried == {"layer1": 1.5, "layer3": 2.5, "layer5": 3.5, "layer6": 4.5}
    other = replace(trained, layers=(dense("t0", 160), *trained.layers[1:]))
    with pytest.raises(CheckFailedError, match="lenet5: layer1 has 150 weights, t0 160"):
        carried_over(other, record(bits, weights), lenet5())


def test_the_highest_bits_are_of_layers_that_are_large_enough():
    one = Network("one", (dense("a", 100), dense("b", 20_000)))
    two = Network("two", (dense("a", 200), dense("b", 9_000)))
    found = highest_bits(
        [
            (one, record({"a": 400.0, "b": 40_000.0}, {"a": 100, "b": 20_000})),
            (two, record({"a": 1000.0, "b": 72_000.0}, {"a": 200, "b": 9_000})),
        ]
    )
    assert found == {FIRST: (5.0, "two"), DENSE: (2.0, "one")}


def test_a_depthwise_convolution_has_no_counterpart():
    layers = light_alexnet().layers
    own = [layer for layer in layers if layer.weights]
    assert [role(light_alexnet(), layer.name) for layer in (own[0], own[1], own[-1])] == [
        "first layer",
        "other convolutions",
        "dense layers",
    ]
    network = light_alexnet()
    single = replace(network, layers=tuple(replace(layer, positions=1) for layer in network.layers))
    assert role(single, own[1].name) == DENSE
    depthwise = replace(own[1], groups=own[1].units)
    assert role(Network("d", (replace(own[0], source=None), replace(depthwise, source=0))), depthwise.name) == ""


def test_rounding_to_codes_by_hand():
    rows = np.array([[1.0, -0.6, 0.26, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
    found = round_weights(rows, 4, Scope.CHANNEL)
    assert found.codes.tolist() == [[7, -4, 2, 0], [0, 0, 0, 0]]
    assert found.scales.reshape(-1).tolist() == [np.float32(1 / 7), 1.0]
    assert round_weights(rows, 8, Scope.TENSOR).scales.shape == (1, 1)
    with pytest.raises(ValueError, match="bits must be 2 to 16, not 1"):
        round_weights(rows, 1, Scope.TENSOR)


def test_clipping_by_squared_error_is_never_worse_in_it():
    rng = np.random.default_rng(3)
    rows = rng.laplace(size=(16, 400)).astype(np.float32)
    errors = [
        float(((round_weights(rows, 4, Scope.CHANNEL, clipping).weights - rows) ** 2).sum()) for clipping in Clipping
    ]
    assert errors[1] < 0.8 * errors[0]


def test_zero_runs_take_fewer_bytes_where_there_are_zeros():
    codes = np.zeros(4096, np.int16)
    codes[::64] = 100
    assert len(packed_bytes(codes)) < 4096 / 20
    full = np.full(4096, 100, np.int16)
    # A field for the run with each value of eight bits.
    assert len(packed_bytes(full)) == HEADER.size + 4096 * 9 // 8


@pytest.fixture
def network():
    """Return a trained network of one product, right on each of its samples, in memory."""
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(40, 30)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 30])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    x = rng.normal(size=(200, 40)).astype(np.float32)
    return model, Dataset(x, np.argmax(x @ weights, axis=1), "data")


@pytest.fixture
def trained(network, tmp_path):
    model, data = network
    onnx.save(model, tmp_path / "small.onnx")
    np.savez(tmp_path / "data.npz", x=data.x, y=data.y)
    return load_trained(Entry("small", "data"), tmp_path)


def test_samples_are_taken_evenly_and_halved(trained, tmp_path):
    some = load_trained(Entry("small", "data", 50), tmp_path)
    assert len(some.data.x) == 50
    assert np.array_equal(some.data.x[-1], trained.data.x[-1])
    assert some.digest != trained.digest
    assert trained.right(trained.model) == Right(1.0, 1.0)
    assert Right(0.9, 0.8).drop(Right(1.0, 0.7)) == Drop(pytest.approx(10), pytest.approx(-10))


def test_what_methods_store_is_what_they_count(trained):
    found = {
        method.key: method.store(trained) for method in (*FIXED, *INT4_METHODS, ans("1%", Scope.TENSOR), line(0.1))
    }
    plain = numpy_helper.to_array(trained.model.graph.initializer[0])
    for key, stored in found.items():
        (tensor,) = stored.model.graph.initializer
        error = np.abs(numpy_helper.to_array(tensor) - plain).max()
        assert 0 < error < (2.0 if "line" in key else 0.8), key
        assert stored.bits.keys() == {"w"}
    assert found["int8 per tensor"].bits["w"] == 8 * 1200 + 32
    assert found["int8 per channel"].bits["w"] == 8 * 1200 + 32 * 30
    assert found["int4 per channel MSE"].bits["w"] == 4 * 1200 + 32 * 30
    assert found["int8 per tensor, zero runs"].bits["w"] > found["int8 per tensor"].bits["w"]
    assert found["ans, one bound 1% per tensor"].bits["w"] < found["int8 per tensor"].bits["w"]


def methods_with(losses):
    """Return a ladder whose settings lose the given points of the seen samples, with fewer and fewer bits."""

    def method(number, loss):
        def store(network):
            model = onnx.ModelProto()
            model.CopyFrom(network.model)
            return Stored({"w": 1000.0 - number}, model)

        return Method("fake", f"{number}", store), loss

    return [method(number, loss) for number, loss in enumerate(losses)]


class Measured:
    """Replaces records: says what was asked for."""

    def __init__(self, ladder):
        self.losses = {method.key: loss for method, loss in ladder}
        self.network = type("Named", (), {"name": "n"})
        self.asked = []

    def plain(self):
        return Right(0.9, 0.9)

    def measure(self, method):
        self.asked.append(method.setting)
        right = Right(0.9 - self.losses[method.key] / 100, 0.9)
        return Record(method.name, method.setting, {"w": 100}, {"w": 1000.0 - int(method.setting)}, right)


def silent(what):
    del what


def test_a_ladder_is_climbed_by_halving():
    ladder = methods_with([0, 0, 0.2, 0.5, 0.9, 1.0, 1.1, 3, 9, 9, 9])
    measured = Measured(ladder)
    assert climb(measured, [method for method, _ in ladder], 1.0, silent).setting == "5"
    assert len(measured.asked) <= 4
    assert climb(measured, [method for method, _ in ladder], 20.0, silent).setting == "10"
    assert climb(measured, [method for method, _ in ladder], -1.0, silent) is None


def test_the_best_of_ladders_has_the_fewest_bits_and_the_most_right_loses_least():
    ladder = methods_with([0, 0.5, 2, 2])
    own = [method for method, _ in ladder]
    measured = Measured(ladder)
    assert best_of_ladders(measured, [own[:1], own[1:]], 1.0, silent).setting == "1"
    assert best_of_ladders(measured, [own[2:]], 1.0, silent) is None
    assert most_right(measured, own[1:3], silent).setting == "1"


def test_what_is_known_is_not_measured_again(trained, tmp_path, monkeypatch):
    calls = []
    right = TrainedNetwork.right
    monkeypatch.setattr(TrainedNetwork, "right", lambda self, model: calls.append(1) or right(self, model))
    first = Records(trained, tmp_path / "kept")
    before, found = first.plain(), first.measure(ans("1%", Scope.TENSOR))
    again = Records(trained, tmp_path / "kept")
    assert (again.plain(), again.measure(ans("1%", Scope.TENSOR))) == (before, found)
    assert len(calls) == 2
    # Other sources, other measurements.
    path = tmp_path / "kept" / "small.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"key": "other"}))
    Records(trained, tmp_path / "kept").plain()
    assert len(calls) == 3


def test_the_decoder_of_ours_is_paid_for_and_those_of_others_are_not():
    layers = Network("n", (dense("w", 20_000),))
    judges = Judges()
    rows = [
        judges.judge(layers, Record(name, "", {"w": 20_000}, {"w": 80_000.0}, Right(0.9, 0.985)), Drop(0.0, 0.5))
        for name in ("ans, one bound", "int4 per channel")
    ]
    assert rows[0].family.latency < rows[1].family.latency
    assert rows[0].family.energy < rows[1].family.energy
    assert not rows[0].is_over
    assert replace(rows[0], drop=Drop(None, 1.2)).is_over
    table = equal_table([rows[0], replace(rows[0], drop=Drop(None, 1.2))])
    assert [row[4:7] for row in table.rows] == [("+0.00", "+0.50", "yes"), ("-", "+1.20", "no")]


def page_rows(name):
    text = PAGE.read_text(encoding="utf-8")
    part = text.partition(f"<!-- paper: {name} -->")[2].partition("<!-- /paper -->")[0]
    return [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in part.splitlines() if "|" in line][2:]


def test_the_page_says_of_stated_bits_what_the_model_gives():
    rows = {(row[0], row[1]): row[2:9] for row in page_rows("claim")}
    for name, network in SHAPES.items():
        own = subject(name, network(), 3.0)
        wanted = list(claim_table([own]).rows[0][2:9])
        assert rows[name, STATED] == wanted, name
    ways = {tuple(row[:4]): row[4:] for row in page_rows("ways")}
    for row in ways_table([subject("AlexNet", alexnet(), 3.0)]).rows:
        assert ways[row[:4]] == list(row[4:])


def test_the_page_is_about_the_bits_that_it_prints():
    highest = {row[0]: float(row[1]) for row in page_rows("highest")}
    own = next(row for row in page_rows("claim") if row[:2] == ["AlexNet", HIGHEST])
    network = alexnet()
    packed = with_bits(
        network, {layer.name: highest[role(network, layer.name)] for layer in network.layers if layer.weights}
    )
    found = saving(packed, TOOL)
    assert float(own[2]) == pytest.approx(bits_per_weight(packed), abs=2e-3)
    assert float(own[3]) == pytest.approx(100 * found.latency, abs=0.2)


def test_every_network_of_the_page_is_stored_in_every_way():
    rows = page_rows("equal")
    ways = {"line", "int4 per channel", "ans, one bound", *(method.name for method in FIXED)}
    for entry in ENTRIES:
        assert {row[1] for row in rows if row[0] == entry.model} - {"ans, tuned"} == ways, entry.model


@pytest.mark.zoo
def test_the_page_says_of_lenet_what_is_measured(zoo, tmp_path):
    entry = ENTRIES[0]
    records = Records(load_trained(entry, zoo), tmp_path)
    layers = replace(read_network(records.network.path), name=entry.model)
    wanted = {tuple(row[:3]): row for row in page_rows("equal")}
    judges = Judges()
    for method in FIXED:
        found = records.measure(method)
        row = equal_table([judges.judge(layers, found, found.right.drop(records.plain()))]).rows[0]
        assert list(row) == wanted[row[:3]]


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_the_whole_command_on_a_small_zoo(tmp_path, monkeypatch, bench):
    monkeypatch.setenv("DNNZIP_ZOO", str(tmp_path))
    monkeypatch.setattr(command, "ENTRIES", (Entry("small", "data"),))
    monkeypatch.setattr(command, "LENET", "small")
    layers = lenet5()
    real = subjects

    def with_lenet(accelerator, lenet, _highest):
        sizes = {layer.name: layer.weights for layer in layers.layers if layer.weights}
        bits = record({name: count * 1.2 for name, count in sizes.items()}, sizes)
        # Its largest layer is all of it.
        assert lenet.largest_drop == pytest.approx((lenet.drop.seen + lenet.drop.unseen) / 2)
        other = replace(lenet, layers=layers, record=bits, drop=Drop(lenet.drop.seen, 0.3))
        return real(accelerator, other, dict.fromkeys((FIRST, DENSE, "other convolutions"), (5.0, "small")))

    monkeypatch.setattr(command, "subjects", with_lenet)
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"<!-- paper: {name} --><!-- /paper -->\n" for name in ("made", "claim", "highest", "equal", "ways"))
    )
    arguments = ["--page", page, "--folder", tmp_path / "kept", "--json", tmp_path / "all.json"]
    arguments += ["--tuned", tmp_path / "none"]
    status, out, err = bench(command.paper, *arguments)
    assert (status, err) == (0, "")
    assert "small" in out
    assert "| AlexNet | stated: 3 bits | 3.000 | 80.7 | 74.2 | 56.9 |" in page.read_text()
    content = json.loads((tmp_path / "all.json").read_text())
    assert {row["method"] for row in content["equal_accuracy"]} >= {
        "int8 per tensor",
        "int4 per channel",
        "line",
        "ans, one bound",
    }
    # A goal that is missed: the page is written, and the status is that of a failed check.
    monkeypatch.setattr(command, "check_goals", lambda _found: ["LeNet-5: too little"])
    status, _, err = bench(command.paper, *arguments)
    assert (status, err) == (1, "dnnzip: paper: LeNet-5: too little\n")


def test_a_missing_zoo_is_one_line(tmp_path, monkeypatch, bench):
    monkeypatch.setenv("DNNZIP_ZOO", str(tmp_path / "none"))
    status, _, error = bench(command.paper, "--folder", tmp_path)
    assert status == 2
    assert error.count("\n") == 1
    assert "lenet5_mnist.onnx" in error


def write_tuned(trained, folder, name="w"):
    """Leave what tuning leaves for the small network; return its compressed model."""
    options = CompressionOptions(Bound.parse("2%"), codec=CodecOptions("ans"))
    model = onnx.ModelProto()
    model.CopyFrom(trained.model)
    if name != "w":
        model.graph.initializer[0].name = model.graph.node[0].input[1] = name
    compressed = compress(model, options).compressed
    save_model(compressed.model, folder / "small.dnz.onnx")
    facts = {
        "accuracy": {"samples": 8000, "folds": 1, "tuned_top1": 0.99, "drop": 0.004},
    }
    (folder / "small.json").write_text(json.dumps(facts))
    return compressed


def test_a_tuned_network_brings_its_bits_and_its_own_drop(trained, tmp_path):
    assert load_tuned(trained, tmp_path) is None
    compressed = write_tuned(trained, tmp_path)
    found = load_tuned(trained, tmp_path)
    (layer,) = compressed.layers
    assert found.record.bits == {"w": 8 * (layer.stream_bytes + len(compressed.tables)) + 32}
    assert found.drop == Drop(None, pytest.approx(0.4))
    assert found.record.setting == "8,000 samples"
    write_tuned(trained, tmp_path, "other")
    with pytest.raises(InputError, match=r"small.dnz.onnx: does not have the weights of small; tune it anew"):
        load_tuned(trained, tmp_path)


def test_bits_of_the_zoo_are_a_table():
    assert highest_table({"dense": (2.5, "one")}).rows == (("dense", "2.500", "one"),)
