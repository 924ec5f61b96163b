"""Methods that store trained networks: rounding, ladders of settings, records of measurements, tuned networks."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from paper_subjects import dense

from dnnzip.accelerator import Network
from dnnzip.codec import CodecOptions
from dnnzip.errors import InputError
from dnnzip.onnx.files import save_model
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip_bench.catalogue import Entry
from dnnzip_bench.coders.zero_runs import HEADER, packed_bytes
from dnnzip_bench.storage.equal import Judges, best_of_ladders, climb, most_right
from dnnzip_bench.storage.methods import FIXED, INT4_METHODS, Method, Stored, ans, line
from dnnzip_bench.storage.records import Record, Records
from dnnzip_bench.storage.rounding import Clipping, round_weights
from dnnzip_bench.storage.tables import equal_table
from dnnzip_bench.storage.trained import Drop, Right, TrainedNetwork, load_trained
from dnnzip_bench.storage.tuned import load_tuned


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


def test_a_ladder_is_climbed_by_halving():
    ladder = methods_with([0, 0, 0.2, 0.5, 0.9, 1.0, 1.1, 3, 9, 9, 9])
    measured = Measured(ladder)
    assert climb(measured, [method for method, _ in ladder], 1.0).setting == "5"
    assert len(measured.asked) <= 4
    assert climb(measured, [method for method, _ in ladder], 20.0).setting == "10"
    assert climb(measured, [method for method, _ in ladder], -1.0) is None


def test_the_best_of_ladders_has_the_fewest_bits_and_the_most_right_loses_least():
    ladder = methods_with([0, 0.5, 2, 2])
    own = [method for method, _ in ladder]
    measured = Measured(ladder)
    assert best_of_ladders(measured, [own[:1], own[1:]], 1.0).setting == "1"
    assert best_of_ladders(measured, [own[2:]], 1.0) is None
    assert most_right(measured, own[1:3]).setting == "1"


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
