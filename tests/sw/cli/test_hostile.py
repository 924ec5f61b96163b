"""Hostile models and extreme options through every command that reads them: one line, status 2, nothing written."""

import json
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import dnnzip as library
import graphs
from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import evaluate

WIDTH, CLASSES = 20, 10


def network(shape=("N", WIDTH), weights=None):
    """A matrix product and a bias."""
    w = np.random.default_rng(0).normal(size=(WIDTH, CLASSES)).astype(np.float32) if weights is None else weights
    nodes = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
    return graphs.model(nodes, {"x": shape}, {"y": None}, {"w": w, "b": np.zeros(CLASSES, np.float32)})


def save(model, path):
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "set.npz"
    np.savez(path, x=rng.normal(size=(40, WIDTH)).astype(np.float32), y=rng.integers(0, CLASSES, 40))
    return path


def commands(model, samples, folder):
    """Every command that reads a model."""
    out = folder / "out"
    data = ("--data", samples)
    return [
        ("compress", model, "-o", out, "--max-error", "2%"),
        ("decompress", model, "-o", out),
        ("info", model),
        ("verify", model, model),
        ("evaluate", model, *data),
        ("simulate", model, "--link", "golden", "-o", out),
        ("image", model, "-o", out),
        ("quantize", model, *data, "-o", out),
        ("estimate", model, "--accelerator", "ulx3s", "--bits", "3", "--json", out),
        ("run", model, *data, "--link", "golden"),
        ("tune", model, *data, "--max-drop", "5%", "-o", out),
        ("explore", model, *data, "--max-error", "2%", "-o", out),
    ]


def shaped(*dims, data=True):
    def change(model):
        tensor = model.graph.initializer[0]
        del tensor.dims[:]
        tensor.dims.extend(dims)
        if not data:
            tensor.ClearField("raw_data")

    return change


def as_floats(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 7)


def in_an_attribute(model):
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros(4, np.float32)))
    constant.attribute[0].t.dims[0] = -4
    model.graph.node.insert(0, constant)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (shaped(-20, 10), "tensor 'w' has the shape (-20, 10); no dimension may be below zero"),
        (shaped(-20, -10), "tensor 'w' has the shape (-20, -10); no dimension may be below zero"),
        (shaped(-20, 10, data=False), "tensor 'w' has the shape (-20, 10); no dimension may be below zero"),
        (shaped(2**40, 64), "tensor 'w' holds 800 bytes, and its shape (1099511627776, 64) needs"),
        (shaped(2**62, 2**62, 2**62), "tensor 'w' holds 800 bytes, and its shape"),
        (shaped(20, 10, data=False), "tensor 'w' holds 0 bytes, and its shape (20, 10) needs 800"),
        (shaped(*[1] * 65, 20, 10), "tensor 'w' has 67 dimensions; 64 are the most"),
        (as_floats, "tensor 'w' holds 28 bytes, and its shape (20, 10) needs 800"),
        (in_an_attribute, "has the shape (-4); no dimension may be below zero"),
    ],
)
def test_a_shape_that_no_array_has(fault, samples, tmp_path, change, words):
    model = network()
    change(model)
    path = save(model, tmp_path / "m.onnx")
    for command in commands(path, samples, tmp_path):
        line = fault(*command)
        assert line.startswith(f"{path}: "), command
        assert words in line, command


def test_large_arrays_of_another_size_are_refused_too(fault, samples, tmp_path):
    model = network(weights=np.zeros((WIDTH, 1 << 12), np.float32))
    model.graph.initializer[0].dims[0] += 1
    path = save(model, tmp_path / "m.onnx")
    for command in commands(path, samples, tmp_path):
        assert "tensor 'w' holds 327680 bytes, and its shape (21, 4096) needs 344064" in fault(*command)


def test_a_network_without_outputs(fault, samples, tmp_path):
    model = network()
    model.graph.output.pop()
    path = save(model, tmp_path / "m.onnx")
    for command in commands(path, samples, tmp_path):
        assert fault(*command) == f"{path}: has no output; export the network with its results"


def test_weights_that_overflow(fault, samples, tmp_path):
    weights = np.full((WIDTH, CLASSES), 3e38, np.float32)
    path = save(network(weights=weights), tmp_path / "m.onnx")
    for command in commands(path, samples, tmp_path):
        if command[0] == "tune":
            line = fault(*command)
            assert line.startswith(f"{path}: gives scores on {samples} that are infinite or no number; ")
        if command[0] == "quantize":
            assert f"on {samples}, which is infinite or no number" in fault(*command)


def test_weights_that_are_no_numbers_leave_no_exploration(fault, samples, tmp_path):
    weights = np.ones((WIDTH, CLASSES), np.float32)
    weights[3, 4] = np.nan
    path = save(network(weights=weights), tmp_path / "m.onnx")
    line = fault(*commands(path, samples, tmp_path)[-1])
    assert line.startswith("layer 'w': has NaN or infinite weights; ")


def test_samples_that_are_no_numbers_are_one_line(fault, tmp_path):
    path = save(network(), tmp_path / "m.onnx")
    samples = tmp_path / "nan.npz"
    np.savez(samples, x=np.full((40, WIDTH), np.nan, np.float32), y=np.zeros(40, np.int64))
    for command in commands(path, samples, tmp_path):
        if command[0] in ("quantize", "tune"):
            fault(*command)


def test_a_compressed_model_is_named_as_such(fault, good, tmp_path):
    plain, path = save(network(), tmp_path / "m.onnx"), tmp_path / "c.onnx"
    assert good("compress", plain, "-o", path, "--max-error", "2%", "--codec", "raw", "--quiet") == ""
    line = fault("compress", path, "-o", tmp_path / "out", "--max-error", "2%")
    assert line == f"{path}: is compressed already; give the plain model"


def test_onnxruntime_adds_no_line_of_its_own(capfd, samples, tmp_path):
    model = network()
    model.graph.node[0].input.pop(0)
    with pytest.raises(InputError, match="does not run in onnxruntime"):
        evaluate(save(model, tmp_path / "m.onnx"), samples)
    assert capfd.readouterr() == ("", "")


# --- open dimensions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [-1, 0, -7])
def test_a_batch_that_old_exporters_leave_open(dnnzip, samples, tmp_path, size):
    named, old = save(network(), tmp_path / "named.onnx"), save(network((size, WIDTH)), tmp_path / "old.onnx")
    # onnxruntime takes a dimension of 0 as it is written.
    for command in ("estimate", "evaluate")[: 2 if size else 1]:
        results = []
        for path in (named, old):
            options = {
                "estimate": ("--accelerator", "ulx3s", "--bits", "3", "--json", "-"),
                "evaluate": ("--data", samples, "--json", "-"),
            }
            results.append(dnnzip(command, path, *options[command]))
        assert results[0][0] == 0, results[0]
        assert results[0] == results[1]


def test_another_open_dimension_is_named(dnnzip, tmp_path):
    path = save(network((1, -1, WIDTH)), tmp_path / "m.onnx")
    status, out, _ = dnnzip("estimate", path, "--accelerator", "ulx3s", "--bits", "3")
    assert status == 0
    assert "the sizes that the network leaves open (--seq-len N)" in out


# --- numbers ----------------------------------------------------------------------------------------------------------

HUGE = "1" + "0" * 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ratio", "1e-320"), "--ratio: 9.99989e-321 is out of range; give a ratio above 0, from 1e-06 to 1e+06"),
        (("--ratio", "1e300"), "--ratio: 1e+300 is out of range"),
        (("--ratio", "nan"), "--ratio: nan is out of range"),
        (("--ratio", "-0"), "--ratio: -0 is out of range"),
        (("--bits", "1e-320"), "--bits: 9.99989e-321 is out of range; give 1e-06 bits or more"),
        (("--bits", "inf"), "--bits: inf is out of range"),
        (("--bits", HUGE), "--bits"),
        (("--bits", "3", "--batch", HUGE), "--batch: is not a number of samples; give 1 to 1000000000"),
    ],
)
def test_an_extreme_option_of_estimate(fault, tmp_path, arguments, words):
    path = save(network(), tmp_path / "m.onnx")
    for accelerator in ("ulx3s", "paper-mesh-8x8"):
        line = fault("estimate", path, "--accelerator", accelerator, *arguments, "--json", tmp_path / "out")
        assert line.startswith(words)


@pytest.mark.parametrize("bound", ["1e-999999999", "1e-999999999%", "1e-999999999lsb", "0e-999999999%", "1e-400"])
def test_a_bound_that_is_next_to_nothing(fault, tmp_path, bound):
    path = save(network(), tmp_path / "m.onnx")
    line = fault("compress", path, "-o", tmp_path / "out", "--max-error", bound)
    assert line.startswith(f"--max-error {bound!r}: is not ")


# --- table sets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["raw", "line"])
def test_no_table_set_is_written_where_no_stream_needs_one(good, tmp_path, codec):
    path, tables = save(network(), tmp_path / "m.onnx"), tmp_path / "tables"
    command = ("compress", path, "-o", tmp_path / "out", "--max-error", "2%", "--codec", codec, "--tables", tables)
    for _ in range(2):
        out = good(*command)
        assert f"note: {tables} is not written: no stream needs a table set" in out
        assert not tables.exists()


# --- without docstrings -----------------------------------------------------------------------------------------------


def test_sentences_of_rules_stay_without_docstrings(tmp_path):
    path = save(network(), tmp_path / "m.onnx")
    code = f"""
import json, sys
from dnnzip.onnx import rescale, rules, weights
from dnnzip.onnx.files import load_model
found = [rule.sentence for rule in (*rules.RULES, *rescale.FOLD_RULES, weights.suits_unit, weights.is_selected)]
left_out = weights.select_weights(*weights.find_weights(load_model({str(path)!r})), (), ("w",))[1]
print(json.dumps([rules.__doc__, found, [item.rule for item in left_out]]))
"""
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    docstring, sentences, reasons = json.loads(done.stdout)
    assert docstring is None
    assert len(sentences) == len(set(sentences)) > 10
    assert all(len(text) > 20 and text.endswith(".") for text in sentences)
    assert reasons == ["Its name must match a glob of `layers`, where given, and none of `exclude`."]


def test_a_model_in_memory_is_checked_like_a_file():
    model = network()
    shaped(-20, 10)(model)
    with pytest.raises(InputError, match=r"tensor 'w' has the shape \(-20, 10\)"):
        library.compress_model(model, max_error="2%")


# --- nodes that wait for each other -----------------------------------------------------------------------------------


def in_a_circle(model):
    """Two DequantizeLinear in front of the product, each of which reads the other."""
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "s"))
    for name, other in (("one", "two"), ("two", "one")):
        model.graph.node.insert(0, helper.make_node("DequantizeLinear", [other, "s"], [name], name=f"node {name}"))
    model.graph.node[2].input[1] = "one"


def inside_a_body(model):
    nodes = [helper.make_node("Abs", ["v"], ["u"]), helper.make_node("Neg", ["u"], ["v"])]
    body = graphs.body(nodes, "v")
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "c"))
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=body, else_branch=body))


def of_a_function(model):
    calls = [helper.make_node("f", ["q"], ["r"], domain="own")]
    model.functions.append(helper.make_function("own", "f", ["q"], ["r"], calls, [helper.make_opsetid("own", 1)]))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.append(helper.make_node("f", ["y"], ["z"], domain="own"))


def given_too_much(inputs, results):
    """A call of a local function of one input and one result with more of each."""

    def change(model):
        nodes = [helper.make_node("Abs", ["q"], ["r"])]
        model.functions.append(helper.make_function("own", "f", ["q"], ["r"], nodes, [helper.make_opsetid("", 17)]))
        model.opset_import.append(helper.make_opsetid("own", 1))
        outputs = [f"z{number}" for number in range(results)]
        model.graph.node.append(helper.make_node("f", ["y"] * inputs, outputs, domain="own"))

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (given_too_much(2, 1), "a node gives local function 'f' 2 inputs, and it has 1; export the network again"),
        (given_too_much(1, 2), "a node gives local function 'f' 2 results, and it has 1; export the network again"),
        (in_a_circle, "node 'node two' waits for its own result; export the network again"),
        (inside_a_body, "node 'u' waits for its own result; export the network again"),
        (of_a_function, "local function 'f' calls itself; export the network again"),
    ],
)
def test_what_waits_for_itself_or_calls_wrongly(fault, samples, tmp_path, change, words):
    model = network()
    change(model)
    path = save(model, tmp_path / "m.onnx")
    for command in commands(path, samples, tmp_path):
        assert fault(*command) == f"{path}: {words}"


# --- sizes ------------------------------------------------------------------------------------------------------------


def of_shape(*sizes):
    """A product whose weight is made by its shape alone."""
    value = helper.make_tensor("value", TensorProto.FLOAT, [1], [0.0])
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["w"], value=value),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="product"),
    ]
    return graphs.model(nodes, {"x": ["N", sizes[0]]}, {"y": None}, {"shape": np.array(sizes, np.int64)})


def test_huge_networks_of_shapes(good, fault, tmp_path):
    options = ("--bits", "3", "--json", tmp_path / "out.json")
    path = save(of_shape(1 << 62, 1 << 62), tmp_path / "m.onnx")
    for accelerator in ("ulx3s", "paper-mesh-8x8", "edge-lpddr4"):
        line = fault("estimate", path, "--accelerator", accelerator, *options)
        assert line.startswith(f"{path}: MatMul 'product': has more values or products than 64 bits count")
    for sizes in ((1 << 40, 64), (64, 1 << 40)):
        path = save(of_shape(*sizes), tmp_path / "m.onnx")
        line = fault("estimate", path, "--accelerator", "ulx3s", *options)
        assert line.startswith("layer 'w': is too large for an array of lanes; ")
        for accelerator in ("paper-mesh-8x8", "edge-lpddr4"):
            assert good("estimate", path, "--accelerator", accelerator, *options, "--quiet") == ""
            assert json.loads((tmp_path / "out.json").read_text())["total"]["latency_reduction"] > 0
            (tmp_path / "out.json").unlink()
