"""``dnnzip estimate``: its JSON, its table, its options, and its faults in one line."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import graphs
from dnnzip.accelerator import PRESETS, load_accelerator
from dnnzip.digits import MODEL
from dnnzip.format import RAW_WIDTHS, WeightHeader
from dnnzip.onnx.opening import read_compressed
from dnnzip.usecases.estimate import EstimationOptions, compare, read_network
from graphs import chain

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
ALEXNET = LIGHT / "light_bvlc_alexnet.onnx"
PARTS = {"memory", "communication", "computation", "decompressor", "leakage"}
REDUCTIONS = {"latency_reduction", "energy_reduction", "energy_reduction_without_leakage"}


@pytest.fixture
def estimate(good):
    """Run the command, which has to succeed; returns its JSON."""

    return lambda *arguments: json.loads(good("estimate", *arguments, "--json", "-"))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("timing", ["serial", "overlap"])
def test_the_json_has_the_documented_keys_and_adds_up(preset, timing, estimate):
    result = estimate(ALEXNET, "--accelerator", preset, "--bits", 3, "--timing", timing)
    assert result.keys() >= {"total", "layers", "timings", "accelerator", "timing", "batch", "weight_bits", "placement"}
    assert result["total"] == result["timings"][timing]
    assert set(result["timings"]) == {"serial", "overlap"}
    for entry in (result["total"], *result["layers"]):
        assert entry.keys() >= REDUCTIONS
        for side in ("baseline", "compressed"):
            assert set(entry[side]["energy_J"]) == PARTS
            assert sum(entry[side]["energy_J"].values()) == pytest.approx(entry[side]["energy_total_J"])
    for side in ("baseline", "compressed"):
        cycles = sum(layer[side]["latency_cycles"] for layer in result["layers"])
        assert result["total"][side]["latency_cycles"] == pytest.approx(cycles)
    ratio = [result["total"][side]["latency_cycles"] for side in ("compressed", "baseline")]
    assert result["total"]["latency_reduction"] == pytest.approx(1 - ratio[0] / ratio[1])


def test_three_bits_on_the_family_preset_reach_the_published_reductions(estimate):
    total = estimate(ALEXNET, "--accelerator", "paper-mesh-8x8", "--bits", 3)["total"]
    assert total["latency_reduction"] >= 0.80
    assert total["energy_reduction"] >= 0.74


def test_a_compressed_model_brings_its_own_bits_and_its_table_set(digits, estimate):
    path, written = digits
    result = estimate(path, "--accelerator", "edge-lpddr4")
    bits = {layer["name"]: layer["bits_per_weight"] for layer in written["layers"]}
    found = {layer["name"]: layer["bits_per_weight"] for layer in result["layers"] if layer["weights"]}
    assert found == pytest.approx(bits)
    assert result["table_set"]["weight_bytes"] == written["totals"]["table_bytes"]
    # All bytes of streams, steps and zero points, and no other.
    fetched = result["total"]["compressed"]["weight_bytes"] + result["table_set"]["weight_bytes"]
    assert fetched == pytest.approx(written["totals"]["stream_bytes"] + written["totals"]["side_bytes"])
    # Given bits stand in the place of its own, without a table set.
    other = estimate(path, "--accelerator", "edge-lpddr4", "--bits", 2)
    assert other["table_set"] is None
    assert {layer["bits_per_weight"] for layer in other["layers"] if layer["weights"]} == {2}


RAW_BITS = {"four": 4, "eight": 8, "sixteen": 16, "lossless": 32}
"""Layers that an absolute bound of 0.01 leaves as codes, with their bits, or as they are."""


@pytest.fixture(scope="module")
def widths(tmp_path_factory):
    """Return a network with a layer that `ans` makes small, and ones that are smaller as raw codes of every width."""
    rng = np.random.default_rng(4)
    arrays = {
        "peaked": rng.laplace(0, 0.03, (64, 256)),
        "four": rng.uniform(-0.15, 0.15, (256, 1)),
        "eight": rng.uniform(-2.5, 2.5, (1, 64)),
        "sixteen": rng.uniform(-300, 300, (64, 2)),
        "lossless": rng.uniform(-1e5, 1e5, (2, 64)),
    }
    path = tmp_path_factory.mktemp("widths") / "m.onnx"
    onnx.save(chain({name: array.astype(np.float32) for name, array in arrays.items()}), path)
    return path


def raw_bits(path):
    """Return the bits of a weight of each raw layer, by the headers of its streams."""
    found = {}
    for layer in read_compressed(path).layers:
        if layer.codec == "raw":
            width = RAW_WIDTHS[WeightHeader.unpack(layer.stream).raw_width]
            found[layer.name] = width * layer.items // layer.weights
    return found


@pytest.mark.parametrize("scope", ["tensor", "channel"])
@pytest.mark.parametrize("codec", ["auto", "raw", "ans", "line"])
def test_every_codec_counts_as_compress_counts_it(good, estimate, widths, tmp_path, codec, scope):
    path = tmp_path / "m.dnz.onnx"
    options = ("--max-error", "0.01", "--codec", codec, "--error-scope", scope, "--quiet", "--json", "-")
    written = json.loads(good("compress", widths, "-o", path, *options))
    result = estimate(path, "--accelerator", "edge-lpddr4", "--weight-bits", 32)
    raw = raw_bits(path)
    if codec == "auto" and scope == "tensor":
        assert raw == RAW_BITS
    if codec == "raw":
        assert set(raw.values()) == {32}
    layers = {layer["name"]: layer for layer in result["layers"]}
    assert set(layers) == {layer["name"] for layer in written["layers"]}
    for layer in written["layers"]:
        found = layers[layer["name"]]
        assert found["bits_per_weight"] == layer["bits_per_weight"]
        # The memory brings these bytes, for which it takes time and energy.
        fetched = found["compressed"]["weight_bytes"]
        assert fetched == pytest.approx(layer["stream_bytes"] + layer["side_bytes"])
        share = fetched / found["baseline"]["weight_bytes"]
        assert share == pytest.approx(layer["bits_per_weight"] / 32)
        for side in ("memory", "communication"):
            cycles = (found[key]["cycles"][side] for key in ("compressed", "baseline"))
            assert (next(cycles) < next(cycles)) == (share < 1)
        energies = (found[key]["energy_J"]["memory"] for key in ("compressed", "baseline"))
        assert (next(energies) < next(energies)) == (share < 1)


def test_a_model_of_nothing_but_original_bytes_is_compressed(dnnzip, estimate, widths, tmp_path):
    path = tmp_path / "m.dnz.onnx"
    options = ("--max-error", "0.01", "--layers", "lossless", "--quiet")
    assert dnnzip("compress", widths, "-o", path, *options)[0] == 0
    layers = estimate(path, "--accelerator", "edge-lpddr4")["layers"]
    assert [layer["name"] for layer in layers if layer["bits_per_weight"] is not None] == ["lossless"]
    assert {layer["bits_per_weight"] > 32 for layer in layers if layer["bits_per_weight"]} == {True}


def test_layers_left_as_they_are_come_with_the_baseline_bits(tmp_path, dnnzip, estimate):
    path = tmp_path / "some.dnz.onnx"
    assert dnnzip("compress", MODEL, "-o", path, "--max-error", "2%", "--layers", "fc1*", "--quiet")[0] == 0
    layers = [layer for layer in estimate(path, "--accelerator", "edge-lpddr4")["layers"] if layer["weights"]]
    compressed = [layer["name"] for layer in layers if layer["bits_per_weight"] is not None]
    assert len(compressed) == 1
    for layer in layers:
        same = layer["compressed"] == layer["baseline"]
        assert same == (layer["name"] not in compressed)


def test_a_ratio_is_of_the_baseline(estimate):
    by_ratio = estimate(ALEXNET, "--accelerator", "paper-mesh-8x8", "--ratio", 4, "--weight-bits", 32)
    by_bits = estimate(ALEXNET, "--accelerator", "paper-mesh-8x8", "--bits", 8, "--weight-bits", 32)
    assert by_ratio == by_bits
    assert by_ratio["weight_bits"] == 32


def test_options_reach_the_model(estimate):
    common = (ALEXNET, "--accelerator", "edge-lpddr4", "--bits", 3)
    plain = estimate(*common)
    batch = estimate(*common, "--batch", 16)
    assert batch["total"]["baseline"]["latency_cycles"] > plain["total"]["baseline"]["latency_cycles"]
    assert batch["layers"][0]["macs"] == 16 * plain["layers"][0]["macs"]
    moved = estimate(*common, "--placement", "memory-interface")
    assert (plain["placement"], moved["placement"]) == ("pe", "memory-interface")
    communication = [run["total"]["compressed"]["energy_J"]["communication"] for run in (plain, moved)]
    assert communication[0] < communication[1]


def test_the_table_shows_every_layer_both_timings_and_zero_leakage(dnnzip, good):
    out = good("estimate", ALEXNET, "--accelerator", "paper-mesh-8x8", "--ratio", "5.3")
    assert all(name in out for name in ("conv1_w_0", "fc8_w_0", "total", "serial:", "overlap:", "without leakage"))
    assert dnnzip("estimate", ALEXNET, "--accelerator", "ulx3s", "--bits", 3, "--quiet")[1] == ""


def test_a_json_file_is_written_whole(tmp_path, dnnzip):
    target = tmp_path / "e.json"
    assert dnnzip("estimate", ALEXNET, "--accelerator", "ulx3s", "--bits", 3, "--quiet", "--json", target)[0] == 0
    assert json.loads(target.read_text())["accelerator"] == "ulx3s"


@pytest.mark.parametrize("path", sorted(LIGHT.glob("light_*.onnx")), ids=lambda path: path.stem)
def test_three_bits_take_less_time_than_plain_weights(path):
    accelerator = load_accelerator("paper-mesh-8x8")
    result = compare(read_network(path), accelerator, EstimationOptions(bits=3), str(path))
    assert result.compressed.latency < result.baseline.latency


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (ALEXNET, "--accelerator", "ulx3s"),
            f"{ALEXNET}: has no compressed weights; give --bits or --ratio, or a model of 'dnnzip compress'",
        ),
        (
            (ALEXNET, "--accelerator", "moon", "--bits", "3"),
            "moon: is no preset; give paper-mesh-8x8, edge-lpddr4, ulx3s ",
        ),
        (
            (ALEXNET, "--accelerator", "ulx3s", "--bits", "0"),
            "--bits: 0 is out of range; give bits above 0 and up to 64",
        ),
        ((ALEXNET, "--accelerator", "ulx3s", "--bits", "nan"), "--bits: nan is out of range"),
        ((ALEXNET, "--accelerator", "ulx3s", "--ratio", "-1"), "--ratio: -1 is out of range; give a ratio above 0"),
        ((ALEXNET, "--accelerator", "ulx3s", "--ratio", "inf"), "--ratio: inf is out of range; give a ratio above 0"),
        (
            (ALEXNET, "--accelerator", "ulx3s", "--ratio", "2", "--bits", "2"),
            "--bits: cannot be given together with --ratio; give one of them",
        ),
        (
            (ALEXNET, "--accelerator", "none.toml", "--bits", "3"),
            "none.toml: cannot be read (No such file or directory)",
        ),
        (("none.onnx", "--accelerator", "ulx3s", "--bits", "3"), "none.onnx: "),
        ((ALEXNET, "--accelerator", "ulx3s", "--bits", "3", "--batch", "0"), "Invalid value for '--batch'"),
        (
            (ALEXNET, "--accelerator", "ulx3s", "--bits", "3", "--weight-bits", "12"),
            "Invalid value for '--weight-bits'",
        ),
        ((ALEXNET, "--bits", "3"), "Missing option '--accelerator'"),
    ],
)
def test_a_fault_is_one_line(arguments, message, fault):
    assert message in fault("estimate", *arguments)


def test_a_fault_in_a_file_names_its_key(tmp_path, fault):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n', encoding="utf-8")
    assert fault("estimate", ALEXNET, "--accelerator", path, "--bits", "3") == f"{path}: description is missing"


@pytest.fixture
def open_network(tmp_path, good):
    """Return a compressed convolution whose height and width are open."""
    plain, path = tmp_path / "open.onnx", tmp_path / "open.dnz.onnx"
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    inputs = {"x": ["batch", 3, "height", "width"]}
    weights = {"w": np.random.default_rng(1).normal(size=(8, 3, 3, 3)).astype(np.float32)}
    onnx.save(graphs.model([node], inputs, {"y": ["batch", 8, "height", "width"]}, weights), plain)
    good("compress", plain, "-o", path, "--max-error", "5%", "--quiet")
    return path


def test_of_open_sizes_the_traffic_of_weights_alone_is_given(open_network, good, estimate):
    result = estimate(open_network, "--accelerator", "edge-lpddr4")
    assert result["open"] == [{"option": "shape", "value": "x=1x3xheightxwidth"}]
    (layer,) = result["layers"]
    for entry in (layer, result["total"]):
        assert entry["baseline"]["weight_bytes"] == 216
        assert entry["compressed"]["weight_bytes"] == pytest.approx(27 * layer["bits_per_weight"])
        for side in ("baseline", "compressed"):
            assert entry[side]["latency_cycles"] is entry[side]["energy_J"] is entry[side]["energy_total_J"] is None
        assert entry["latency_reduction"] is None
    assert layer["macs"] is None
    text = good("estimate", open_network, "--accelerator", "edge-lpddr4")
    assert "plain bytes" in text
    assert "cycles and energy need the sizes that the network leaves open (--shape x=1x3xheightxwidth)" in text


@pytest.mark.parametrize("options", [("--shape", "x=1x3x8x8"), ("--shape", "height=8", "--shape", "width=8")])
def test_given_sizes_complete_an_estimate(options, open_network, estimate):
    result = estimate(open_network, "--accelerator", "edge-lpddr4", *options)
    assert (result["open"], result["layers"][0]["macs"]) == ([], 13_824)
    assert result["total"]["baseline"]["latency_cycles"] > 0


@pytest.mark.parametrize("accelerator", PRESETS)
def test_operators_that_are_not_known_are_named_once(accelerator, tmp_path, good, estimate):
    nodes = [
        onnx.helper.make_node("Fold", ["x"], ["a"], domain="com.acme"),
        onnx.helper.make_node("Fold", ["a"], ["t"], domain="com.acme"),
        onnx.helper.make_node("MatMul", ["t", "w"], ["u"]),
        onnx.helper.make_node("Gather", ["w", "i"], ["y"]),
    ]
    weights = {"w": np.ones((64, 32), np.float32)}
    model = graphs.model(nodes, {"x": [1, 64]}, {"u": None, "y": None}, weights)
    model.opset_import.append(onnx.helper.make_opsetid("com.acme", 1))
    model.graph.input.append(onnx.helper.make_tensor_value_info("i", onnx.TensorProto.INT64, [3]))
    onnx.save(model, tmp_path / "acme.onnx")
    arguments = (tmp_path / "acme.onnx", "--accelerator", accelerator, "--bits", 4)
    result = estimate(*arguments)
    assert result["not_counted"] == {"com.acme.Fold": 2}
    assert [(layer["weights"], layer["macs"]) for layer in result["layers"]] == [(2048, None), (96, 0)]
    # One preset cuts the bytes of a core to whole ones.
    assert result["total"]["compressed"]["weight_bytes"] == pytest.approx((2048 + 96) / 2, rel=0.03)
    text = good("estimate", *arguments)
    assert "operators that are not known and cost nothing above: com.acme.Fold (2)" in text
    assert "layers of unknown shapes, of which the loading of their weights alone is counted: 1" in text


@pytest.mark.parametrize("text", ["x", "x=", "=3", "x=1x", "x=-1", "x=1,3"])
def test_a_shape_is_a_name_and_sizes(text, fault):
    line = fault("estimate", MODEL, "--accelerator", "ulx3s", "--bits", "3", "--shape", text)
    assert line == f"--shape {text!r}: is no shape; give a name and sizes, such as x=1x3x320x320"


def test_a_size_that_does_not_suit_is_one_line(open_network, fault):
    line = fault("estimate", open_network, "--accelerator", "ulx3s", "--shape", "x=1x4x8x8")
    assert line == "--shape x=1x4x8x8: 4 contradicts the input's batchx3xheightxwidth; give 3 there"


def test_a_sequence_has_an_option(tmp_path, estimate):
    model = graphs.model(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"x": ["batch", "seq", 6]},
        {"y": None},
        {"w": np.ones((6, 4), np.float32)},
    )
    onnx.save(model, tmp_path / "sequence.onnx")
    arguments = (tmp_path / "sequence.onnx", "--accelerator", "edge-lpddr4", "--bits", 4)
    assert estimate(*arguments)["open"] == [{"option": "seq_len", "value": "N"}]
    assert estimate(*arguments, "--seq-len", 5)["layers"][0]["macs"] == 120
