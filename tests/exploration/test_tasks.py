"""An encoding's rows against what the other commands say of the same setting."""

import math
from importlib import resources

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dnnzip import digits
from dnnzip.accelerator import Timing, load_accelerator
from dnnzip.errors import CheckFailedError, InputError
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.exploration.request import Options, plan_exploration
from dnnzip.exploration.schemas import ENERGY_PARTS, FIGURES, LAYER_SCHEMA, POINT_SCHEMA
from dnnzip.exploration.task import measure_plain, run_encoding
from dnnzip.exploration.workload import OpenWorkload
from dnnzip.format.array import Placement
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import load_model, save_model
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.usecases import verify as verification
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.estimate import EstimationOptions, compare, read_network
from dnnzip.usecases.summary import summarise
from graphs import dequantised_product


def results_of(plan):
    opened = OpenWorkload(plan.workload)
    top1 = measure_plain(opened).top1
    return [run_encoding(opened, encoding, top1) for encoding in plan.encodings]


def test_the_plain_network_is_described(planned):
    facts = measure_plain(OpenWorkload(planned().workload))
    assert facts.name == "lenet5_digits.onnx"
    assert facts.top1 == evaluate(digits.MODEL, digits.TEST_SET, 60).top1
    assert (facts.samples, facts.weights, facts.bytes) == (60, 61470, 4 * 61470)
    first = facts.layers[0]
    assert (first.name, first.operator, first.shape, first.weights) == ("conv1.weight", "Conv", (6, 1, 5, 5), 150)
    # 28 x 28 outputs of each channel.
    assert (first.macs, first.bits, first.compressible) == (150 * 28 * 28, 32, True)
    assert len(facts.layers) == 5


def test_a_point_says_what_the_other_commands_say(planned, tmp_path):
    plan = planned(
        max_error=("3%",),
        error_scope=("channel",),
        layers=("conv2.weight+fc?.weight",),
        accelerator=("edge-lpddr4", "paper-mesh-8x8"),
        placement=("pe", "memory-interface"),
        timing=("serial", "overlap"),
    )
    (result,) = results_of(plan)
    options = CompressionOptions(Bound.parse("3%"), Scope.CHANNEL, layers=("conv2.weight", "fc?.weight"))
    compression = compress(load_model(digits.MODEL), options)
    summary = summarise(compression.compressed, compression.left_out)
    path = tmp_path / "c.dnz.onnx"
    save_model(compression.compressed.model, path)
    assert len(result.points) == plan.request.points == 8
    for row in result.points:
        assert row.keys() == set(POINT_SCHEMA.names)
        assert row["top1"] == evaluate(path, digits.TEST_SET, 60).top1
        assert (row["stream_bytes"], row["side_bytes"]) == (summary.stream_bytes, summary.side_bytes)
        assert row["left_out_bytes"] == 4 * 150
        assert row["bits_per_weight"] == pytest.approx(8 * (summary.bytes + 600) / 61470)
        assert row["ratio"] == pytest.approx(32 / row["bits_per_weight"])
        assert row["bound_order"] == 0.03
        accelerator = load_accelerator(row["accelerator"]).placed(Placement(row["placement"]))
        expected = compare(
            read_network(path), accelerator, EstimationOptions(Timing(row["timing"])), str(path)
        ).as_json()["total"]
        for prefix, side in (("", "compressed"), ("plain_", "baseline")):
            assert row[f"{prefix}latency_cycles"] == pytest.approx(expected[side]["latency_cycles"])
            assert row[f"{prefix}latency_s"] == pytest.approx(expected[side]["latency_s"])
            assert row[f"{prefix}energy_J"] == pytest.approx(expected[side]["energy_total_J"])
            for part in ENERGY_PARTS:
                assert row[f"{prefix}energy_{part}_J"] == pytest.approx(expected[side]["energy_J"][part])
        assert row["latency_reduction"] == pytest.approx(expected["latency_reduction"])
        assert row["energy_reduction"] == pytest.approx(expected["energy_reduction"])
    assert len({row["point"] for row in result.points}) == 8


def test_a_broken_bound_fails_the_task(planned, monkeypatch):
    monkeypatch.setattr(verification, "bounds_of", lambda *_: np.float64(1e-6))
    with pytest.raises(CheckFailedError, match=r"^layer 'conv2\.weight': an error of .* is over the bound of 1e-06$"):
        results_of(planned(layers=("conv2.weight",)))


def test_a_point_is_the_sum_of_its_layers(planned):
    for result in results_of(planned(layers=("all", "largest"), timing=("serial", "overlap"))):
        for row in result.points:
            own = [layer for layer in result.layers if layer["timing"] == row["timing"]]
            assert [layer["layer"] for layer in own].count("fc1.weight") == 1
            for name in (*FIGURES, *(f"plain_{name}" for name in FIGURES)):
                assert math.fsum(layer[name] for layer in own) == pytest.approx(row[name]), name


def test_layers_have_their_sizes_and_errors(planned):
    (result,) = results_of(planned(layers=("fc1.weight",), max_error=("4%",)))
    layers = {layer["layer"]: layer for layer in result.layers}
    assert all(layer.keys() == set(LAYER_SCHEMA.names) for layer in result.layers)
    chosen = layers["fc1.weight"]
    assert (chosen["weights"], chosen["codec"], chosen["unit"]) == (48000, "ans", "absolute")
    weights = numpy_helper.to_array(
        next(tensor for tensor in load_model(digits.MODEL).graph.initializer if tensor.name == "fc1.weight")
    ).astype(np.float64)
    bound = 0.04 * (weights.max() - weights.min())
    assert chosen["bound"] == pytest.approx(bound)
    assert bound * 0.9 < chosen["largest_error"] <= bound
    # Weights far more often fall on the middle of the grid's cells than on their edges, so below bound^2 / 3.
    assert bound**2 / 30 < chosen["mse"] < bound**2 / 3
    other = layers["conv1.weight"]
    assert (other["codec"], other["bits_per_weight"]) == ("none", 32)
    assert other["bound"] is other["largest_error"] is other["mse"] is other["unit"] is None
    poolings = [layer for layer in result.layers if not layer["weights"]]
    assert len(poolings) == 2
    assert all(layer["bits_per_weight"] is None for layer in poolings)


def test_the_mean_squared_error_is_that_of_the_weights(planned):
    plan = planned(layers=("conv2.weight",), max_error=("10%",))
    (result,) = results_of(plan)
    options = CompressionOptions(Bound.parse("10%"), layers=("conv2.weight",))
    pair = [
        next(numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer if t.name == "conv2.weight")
        for model in (
            load_model(digits.MODEL),
            decompressed(compress(load_model(digits.MODEL), options).compressed),
        )
    ]
    expected = np.mean((pair[0] - pair[1]) ** 2)
    got = next(layer["mse"] for layer in result.layers if layer["layer"] == "conv2.weight")
    assert got == pytest.approx(expected, rel=1e-12)


def integer_model(path, rng):
    """Write a network of one int8 matrix product, and data for it."""
    weights = rng.integers(-127, 128, (200, 10)).astype(np.int8)
    onnx.save(dequantised_product({"w": weights, "scale": np.float32(0.05), "zero": np.int8(0)}, "n"), path)
    np.savez(path.with_suffix(".npz"), x=rng.standard_normal((20, 200)).astype(np.float32), y=np.arange(20) % 10)
    return weights.astype(np.int64)


def test_errors_of_integer_weights_are_in_their_steps(tmp_path):
    print("seed 7")
    weights = integer_model(tmp_path / "i.onnx", np.random.default_rng(7))
    options = Options(str(tmp_path / "i.onnx"), str(tmp_path / "i.npz"), ("0lsb", "2lsb"), timing=("serial",))
    exact, coarse = results_of(plan_exploration(options))
    assert (exact.layers[0]["mse"], exact.layers[0]["largest_error"], exact.layers[0]["unit"]) == (0, 0, "lsb")
    assert exact.points[0]["top1"] == exact.points[0]["top1_plain"]
    remainders = np.abs(weights - 5 * np.round(weights / 5))
    assert coarse.layers[0]["largest_error"] == 2
    assert coarse.layers[0]["mse"] == pytest.approx(np.mean(remainders**2))
    assert coarse.layers[0]["bits_per_weight"] < exact.layers[0]["bits_per_weight"]


def test_arrays_in_files_of_their_own_travel_along(tmp_path, planned):
    model = load_model(digits.MODEL)
    folder = tmp_path / "deep"
    folder.mkdir()
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=100)
    assert (folder / "m.bin").stat().st_size > 200_000
    plan = planned(model=str(folder / "m.onnx"))
    assert [name for name, _ in plan.workload.model] == ["m.onnx", "m.bin"]
    (folder / "m.bin").unlink()
    (got,), (expected,) = results_of(plan), results_of(planned())
    assert got.points[0]["stream_bytes"] == expected.points[0]["stream_bytes"]
    assert plan.request.model_sha256 != planned().request.model_sha256


def test_hashes_are_of_the_setting_alone(planned, tmp_path):
    plan = planned(layers=("all", "each"), max_error=("1%", "2%"))
    assert len({encoding.hash for encoding in plan.encodings}) == 12
    # The same from another folder, in another order, in another grid.
    copy = tmp_path / "other.onnx"
    copy.write_bytes(digits.MODEL.read_bytes())
    other = planned(model=str(copy), layers=("fc1.weight", "all"), max_error=("2%",))
    assert {encoding.hash for encoding in other.encodings} < {encoding.hash for encoding in plan.encodings}
    # Another spelling of the bound is the same bound; another number of samples is another measurement.
    assert planned(max_error=("2.0%",)).encodings[0].hash in {encoding.hash for encoding in plan.encodings}
    assert planned(max_error=("2%",), samples=59).encodings[0].hash not in {item.hash for item in plan.encodings}
    # Frozen: a folder of an older dnnzip must go on.
    assert planned(max_error=("2%",)).encodings[0].hash == "a09e118191b8704f"


def test_samples_are_drawn_by_a_seed(planned):
    first, again, other = (planned(seed=seed).workload for seed in (3, 3, 4))
    assert (first.x == again.x).all()
    assert (first.x != other.x).any()
    assert (planned().workload.x == np.load(digits.TEST_SET)["x"][:60]).all()
    everything = planned(seed=3, samples=None).workload
    assert (everything.x == np.load(digits.TEST_SET)["x"]).all()


def test_a_tuned_model_is_a_point(planned, tmp_path):
    options = CompressionOptions(Bound.parse("6%"), Scope.CHANNEL)
    compressed = compress(load_model(digits.MODEL), options).compressed
    save_model(compressed.model, tmp_path / "t.dnz.onnx")
    plan = planned(tuned=str(tmp_path / "t.dnz.onnx"))
    assert plan.request.encodings == len(plan.encodings) == 2
    row = results_of(plan)[1].points[0]
    assert (row["layers"], row["max_error"], row["bound_order"]) == ("tuned", "tuned", None)
    assert row["stream_bytes"] == summarise(compressed).stream_bytes
    assert row["top1"] == evaluate(tmp_path / "t.dnz.onnx", digits.TEST_SET, 60).top1


def test_a_tuned_model_of_another_network_is_refused(planned, tmp_path):
    model = load_model(digits.MODEL)
    model.graph.initializer[0].name = "renamed"
    for node in model.graph.node:
        for number, name in enumerate(node.input):
            node.input[number] = "renamed" if name == "conv1.weight" else name
    compressed = compress(model, CompressionOptions(Bound.parse("6%"))).compressed
    save_model(compressed.model, tmp_path / "t.dnz.onnx")
    plan = planned(tuned=str(tmp_path / "t.dnz.onnx"))
    with pytest.raises(InputError, match=r"tuned .*t.dnz.onnx: has a layer 'renamed' of shape \[6, 1, 5, 5\], which"):
        results_of(plan)


def test_a_worker_of_another_version_is_refused(planned):
    workload = planned().workload
    object.__setattr__(workload, "version", "0.0.1")
    with pytest.raises(
        InputError, match=r"^worker: has dnnzip .* and not 0\.0\.1; install the same version everywhere$"
    ):
        OpenWorkload(workload)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"max_error": ("1%", "no")}, "max_error 'no': is not an error bound"),
        ({"max_error": ("1%", "1%")}, "max_error '1%': is given twice; give each value once"),
        ({"max_error": ("1%", "")}, "max_error: has an empty value; give values with a comma between two of them"),
        ({"max_error": ("1lsb",)}, "max_error '1lsb': "),
        ({"layers": ("conv1.weight", "all"), "max_error": ("0.95",)}, "max_error '0.95': .*"),
        ({"error_scope": ("row",)}, "error_scope 'row': is not known; give one or several of tensor, channel"),
        ({"codec": ("zip",)}, "codec 'zip': is not known; give one or several of auto, ans, line, raw"),
        (
            {"placement": ("here",)},
            "placement 'here': is not known; give one or several of pe, memory-interface, own",
        ),
        ({"timing": ("fast",)}, "timing 'fast': is not known; give one or several of serial, overlap"),
        ({"accelerator": ("abacus",)}, "abacus: is no preset; give "),
        ({"layers": ("conv9*",)}, r"layers 'conv9\*': 'conv9\*' matches no weight that can be compressed"),
        ({"samples": 451}, "samples 451: .* has 450 samples; give 1 to 450"),
        ({"model": "missing.onnx"}, r"missing.onnx: cannot be read"),
        ({"data": "missing.npz"}, r"missing.npz: cannot be read"),
        ({"tuned": str(digits.MODEL)}, "lenet5_digits.onnx: is not a compressed model"),
    ],
)
def test_a_wrong_option_is_told_before_any_work(planned, changed, message):
    with pytest.raises(InputError, match=message) as caught:
        planned(**changed)
    assert "\n" not in str(caught.value)


def test_a_compressed_model_is_refused(planned, tmp_path):
    compressed = compress(load_model(digits.MODEL), CompressionOptions(Bound.parse("6%"))).compressed
    save_model(compressed.model, tmp_path / "c.dnz.onnx")
    with pytest.raises(InputError, match=r"c.dnz.onnx: is compressed already; give the plain model; tuned adds"):
        planned(model=str(tmp_path / "c.dnz.onnx"))


def test_two_accelerators_of_one_name_are_refused(planned, tmp_path):
    text = (resources.files("dnnzip.accelerator") / "presets" / "edge-lpddr4.toml").read_text(encoding="utf-8")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"^accelerator: two are called 'edge-lpddr4'; give each a name of its own$"):
        planned(accelerator=("edge-lpddr4", str(tmp_path / "mine.toml")))


def test_an_own_placement_that_is_asked_for_by_name_counts_once(planned):
    plan = planned(placement=("own", "pe", "memory-interface"))
    assert plan.request.points == 2
    assert [row["placement"] for row in results_of(plan)[0].points] == ["pe", "memory-interface"]
