"""quantize and run on the command line: what they print and write, and bad input."""

import json

import numpy as np
import onnx
import pytest

from dnnzip.array import golden as golden_array
from dnnzip.array.job import ArrayResult
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.evaluation.accuracy import evaluate


@pytest.fixture
def quantised(good, tmp_path):
    """The digits network of 8 bits."""
    path = tmp_path / "q.onnx"
    assert good("quantize", MODEL, "--data", TEST_SET, "-o", path, "--samples", 20, "--quiet") == ""
    return path


def run_arguments(model, *options):
    return ("run", model, "--data", TEST_SET, "--link", "golden", "--samples", 30, *options)


def test_quantize_prints_what_it_did(dnnzip, tmp_path):
    path = tmp_path / "q.onnx"
    status, out, err = dnnzip("quantize", MODEL, "--data", TEST_SET, "-o", path, "--json", tmp_path / "q.json")
    assert (status, out, err) == (0, f"calibrated with 100 samples: {path}\n", "")
    assert json.loads((tmp_path / "q.json").read_text()) == {"samples": 100, "model": str(path)}
    onnx.checker.check_model(onnx.load(path), full_check=True)


def test_run_as_json(good, quantised):
    result = json.loads(good(*run_arguments(quantised, "--json", "-", "--groups", 2, "--lanes", 2, "--columns", 7)))
    reference = evaluate(quantised, TEST_SET, 30)
    assert result["samples"] == 30
    assert result["top1"] == result["onnxruntime"]["top1"] == reference.top1
    assert result["onnxruntime"]["optimisation"] == "ORT_ENABLE_ALL"
    assert result["predictions"] == reference.predictions.tolist()
    assert (result["mismatches"], result["differences"], result["checked"]) == (0, [], True)
    assert [layer["name"] for layer in result["layers"]] == [
        f"{name}.weight_quantized" for name in ("conv1", "conv2", "fc1", "fc2", "fc3")
    ]
    assert result["layers"][0] | {"seconds": 0} == {
        "name": "conv1.weight_quantized",
        "operator": "Conv 'conv1'",
        "vectors": 30 * 28 * 28,
        "macs": 30 * 28 * 28 * 6 * 25,
        "sums": 30 * 28 * 28 * 6,
        "mismatches": {"numpy": 0, "onnxruntime": 0},
        "weight_bytes": 150,
        "compressed": False,
        "cycles": 0,
        "table_cycles": 0,
        "memory_words": 0,
        "bus_words": 0,
        "busy_cycles": 0,
        "tile_wait_cycles": 0,
        "vector_wait_cycles": 0,
        "result_wait_cycles": 0,
        "seconds": 0,
    }
    assert result["macs"] == sum(layer["macs"] for layer in result["layers"])
    assert result["image_bytes"] > 61470


def test_run_as_a_table(good, quantised):
    out = good(*run_arguments(quantised))
    rows = [line.split() for line in out.splitlines()]
    assert ["conv2.weight_quantized", "Conv", "7,200,000", "48,000", "0", "2,400", "-", "-"] in rows
    assert out.splitlines()[-1].endswith("same class for 30 of 30 samples")
    assert "M MACs/s" not in out
    out = good(*run_arguments(quantised, "--no-check"))
    assert ["conv2.weight_quantized", "Conv", "7,200,000", "48,000", "-", "2,400", "-", "-"] in [
        line.split() for line in out.splitlines()
    ]


@pytest.mark.parametrize("bound", ["0lsb", "1lsb"])
def test_a_compressed_model_runs_on_its_streams(dnnzip, quantised, tmp_path, bound):
    path = tmp_path / "q.dnz.onnx"
    assert dnnzip("compress", quantised, "-o", path, "--max-error", bound, "--quiet")[0] == 0
    status, out, _ = dnnzip(*run_arguments(path, "--json", "-"))
    assert status == 0
    result = json.loads(out)
    assert sum(layer["compressed"] for layer in result["layers"]) >= 4
    assert result["mismatches"] == 0
    assert result["predictions"] == evaluate(path, TEST_SET, 30).predictions.tolist()


def spoil(monkeypatch, change):
    execute = golden_array.GoldenArray.execute

    def wrong(self, job):
        result = execute(self, job)
        change(result.sums)
        return ArrayResult(result.sums, result.figures)

    monkeypatch.setattr(golden_array.GoldenArray, "execute", wrong)


def test_streams_that_leave_rows_idle_are_pointed_out(dnnzip, quantised, tmp_path):
    path = tmp_path / "q.dnz.onnx"
    assert dnnzip("compress", quantised, "-o", path, "--max-error", "1lsb", "--quiet")[0] == 0
    _, out, _ = dnnzip(*run_arguments(path))
    assert "layers have streams of fewer virtual lanes" in out
    assert "compress with --virtual-lanes 16 --groups 1 to use all rows" in out
    options = ("--max-error", "1lsb", "--virtual-lanes", 16, "--quiet")
    assert dnnzip("compress", quantised, "-o", path, *options)[0] == 0
    _, out, _ = dnnzip(*run_arguments(path))
    assert "virtual lanes" not in out


def test_a_wrong_sum_fails_and_the_results_are_written(dnnzip, quantised, tmp_path, monkeypatch):
    def change(sums):
        sums[3, 1] += 1

    spoil(monkeypatch, change)
    path = tmp_path / "run.json"
    status, out, err = dnnzip(*run_arguments(quantised, "--json", path))
    assert status == 1
    assert err == ("dnnzip: layer 'conv1.weight_quantized': 1 of 141120 sums differ from plain NumPy arithmetic\n")
    assert "same class for 30 of 30 samples" in out
    result = json.loads(path.read_text())
    assert result["layers"][0]["mismatches"] == {"numpy": 1, "onnxruntime": 1}
    assert dnnzip(*run_arguments(quantised, "--no-check"))[0] == 0


def test_samples_whose_class_differs_are_listed(dnnzip, quantised, monkeypatch):
    def change(sums):
        sums[:] = sums[:, ::-1].copy()

    spoil(monkeypatch, change)
    status, out, _ = dnnzip(*run_arguments(quantised, "--no-check", "--json", "-"))
    assert status == 0
    result = json.loads(out)
    reference = evaluate(quantised, TEST_SET, 30).predictions.tolist()
    wrong = [
        number for number, pair in enumerate(zip(result["predictions"], reference, strict=True)) if len({*pair}) > 1
    ]
    assert len(wrong) > 10
    assert [difference["sample"] for difference in result["differences"]] == wrong
    for difference in result["differences"]:
        assert difference["class"] == result["predictions"][difference["sample"]]
        assert difference["onnxruntime"] == reference[difference["sample"]]
        assert difference["reason"].startswith("first in what layer 'conv1.weight_quantized' makes of equal inputs: ")
    status, out, _ = dnnzip(*run_arguments(quantised, "--no-check"))
    assert sum(line.startswith("sample ") for line in out.splitlines()) == len(wrong)


def test_a_float_model(fault):
    line = fault(*run_arguments(MODEL))
    assert line == f"{MODEL}: Conv 'conv1': its weights are float; quantise the model first with 'dnnzip quantize'"


def test_a_model_that_is_quantised_already(fault, quantised, tmp_path):
    line = fault("quantize", quantised, "--data", TEST_SET, "-o", tmp_path / "again.onnx")
    assert line == f"{quantised}: is of 8 bits already; run it as it is"


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--groups", 3), "--groups: must be a power of two from 1 to 16, not 3"),
        (("--lanes", 3), "--lanes 3: must be a power of two from 1 to 16"),
        (("--slots", 0), "--slots 0: must be a power of two from 1 to 16"),
        (("--lanes", 8, "--slots", 4), "--lanes 8 --slots 4: give a group 32 rows; their product is at most 16"),
        (("--columns", 65), "--columns: must be 1 to 64, not 65"),
        (("--vectors", 100), "--vectors: must be a power of two from 16 to 32768, not 100"),
        (("--link", "golden:x"), "--link golden:x: the golden array takes no argument; --link golden"),
    ],
)
def test_arrays_that_cannot_be(fault, quantised, options, line):
    assert fault(*run_arguments(quantised, *options)) == line


def test_an_unknown_link(fault, quantised):
    line = fault(*run_arguments(quantised, "--link", "none"))
    assert line.startswith("--link: no array is named 'none'; one of golden, ")


def test_samples_that_do_not_suit(fault, quantised, tmp_path):
    path = tmp_path / "set.npz"
    np.savez(path, x=np.zeros((4, 1, 8, 8)), y=np.zeros(4, np.int64))
    assert (
        fault("run", quantised, "--data", path, "--link", "golden") == f"{path}: x is float64; {quantised} takes float"
    )
    assert fault("quantize", MODEL, "--data", path, "-o", tmp_path / "o.onnx") == (
        f"{path}: x is float64; {MODEL} takes float"
    )
    line = fault("run", quantised, "--data", path, "--link", "golden", "--samples", 5)
    assert line == f"--samples 5: {path} has 4 samples; give 1 to 4"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("run", "a.onnx"), "Missing option '--data'"),
        (("run", "a.onnx", "--data", "b"), "Missing option '--link'"),
        (("quantize", "a.onnx", "--data", "b"), "Missing option '-o'"),
        (("quantize", "a.onnx", "--data", "b", "-o", "c", "--samples", "0"), "--samples"),
    ],
)
def test_usage(fault, arguments, word):
    assert word in fault(*arguments)
