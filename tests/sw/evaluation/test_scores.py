"""The output that holds the scores: found by type and shape, or asked for by name, and never a label."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import graphs
from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import evaluate, score_output
from dnnzip.evaluation.dataset import Dataset
from dnnzip.evaluation.scores import Output, choose_output

CLASSES, SAMPLES = 6, 9


def network(nodes, outputs, batch="n", **constants):
    """A network whose scores, called ``scores``, are its input; the other nodes make other outputs of them."""
    nodes = [helper.make_node("Identity", ["x"], ["scores"]), *nodes]
    outputs = [(name, None, kind) for name, kind in outputs]
    model = graphs.model(nodes, {"x": [batch, CLASSES]}, outputs, constants, opset=17, ir_version=8)
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    return model


node = helper.make_node
FLOAT, INT32, INT64, INT8 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.INT8
LABEL = node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0)
COLUMN = node("ArgMax", ["scores"], ["column"], axis=1, keepdims=1)


def cast(source, target, kind):
    return node("Cast", [source], [target], to=kind)


def maps(target, kind):
    """Sequences of maps, as scikit-learn's exporter makes them."""
    del kind
    return node("ZipMap", ["scores"], [target], domain="ai.onnx.ml", classlabels_int64s=list(range(CLASSES)))


OTHERS = {
    "label": ([LABEL], INT64),
    "label of int32": ([LABEL, cast("label", "other", INT32)], INT32),
    "label of float": ([LABEL, cast("label", "other", FLOAT)], FLOAT),
    "label in a column": ([COLUMN], INT64),
    "label of float in a column": ([COLUMN, cast("column", "other", FLOAT)], FLOAT),
    "label of int8 in a column": ([COLUMN, cast("column", "other", INT8)], INT8),
    "largest score": ([node("ReduceMax", ["scores"], ["other"], axes=[1])], FLOAT),
    "scalar": ([node("ReduceMax", ["scores"], ["other"], keepdims=0)], FLOAT),
    "classes first": ([node("Transpose", ["scores"], ["other"])], FLOAT),
    "one row for all": ([node("ReduceSum", ["scores", "first"], ["other"])], FLOAT),
    "a square for each sample": ([node("Reshape", ["scores", "square"], ["other"])], FLOAT),
    "one-hot label of int64": ([cast("scores", "other", INT64)], INT64),
    "five largest": (
        [node("TopK", ["scores", "five"], ["sorted", "five_places"]), node("Identity", ["sorted"], ["other"])],
        FLOAT,
    ),
    "places of the five largest": ([node("TopK", ["scores", "five"], ["sorted", "other"])], INT64),
}
CONSTANTS = {"first": np.array([0]), "square": np.array([-1, 2, 3]), "five": np.array([5])}


def other(what):
    nodes, kind = OTHERS[what]
    return nodes, (nodes[-1].output[-1] if nodes[-1].op_type == "TopK" else nodes[-1].output[0], kind)


def data(samples=SAMPLES):
    """Samples that the network gets right: class 1 and up, so that a label of 0 would be wrong."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(samples, CLASSES)).astype(np.float32)
    x[:, 0] -= 5
    return Dataset(x, np.argmax(x, axis=1), "data")


@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize("what", OTHERS)
def test_scores_are_found_beside_another_output(what, place, batch):
    if (what, batch) == ("one row for all", 1):
        pytest.skip("with one sample, its own scores are the sum of all")
    nodes, output = other(what)
    outputs = [output, ("scores", FLOAT)] if place == "first" else [("scores", FLOAT), output]
    model = network(nodes, outputs, batch, **CONSTANTS)
    assert score_output(model, data(), "m") == "scores"
    right = data()
    assert evaluate(model, right).top1 == 1
    assert evaluate(model, Dataset(right.x, np.zeros_like(right.y), "data")).top1 == 0


@pytest.mark.parametrize("what", OTHERS)
def test_without_scores_a_line_says_what_there_is(what):
    nodes, output = other(what)
    with pytest.raises(
        InputError, match=rf"^model: has no output of scores among '{output[0]}' .*; output NAME "
    ) as caught:
        evaluate(network(nodes, [output], **CONSTANTS), data())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("samples", range(1, 8))
def test_as_many_samples_as_classes_do_not_mislead(samples):
    nodes, output = other("classes first")
    with pytest.raises(InputError, match=r"has no output of scores among 'other' float \[6, (samples|1)\]; "):
        evaluate(network(nodes, [output]), data(samples))


def test_maps_are_no_scores():
    model = network([LABEL, maps("maps", None)], [("label", INT64), ("scores", FLOAT)])
    value = model.graph.output.add(name="maps")
    element = value.type.sequence_type.elem_type.map_type
    element.key_type = INT64
    element.value_type.tensor_type.elem_type = FLOAT
    assert evaluate(model, data()).top1 == 1
    del model.graph.output[1]
    with pytest.raises(InputError) as caught:
        evaluate(model, data())
    assert str(caught.value) == (
        "model: has no output of scores among 'label' int64 [samples], 'maps' seq(map(int64,tensor(float))); scores "
        "are numbers of the shape [samples, classes], with 2 classes or more; output NAME names them"
    )


HEADS = [node("Neg", ["scores"], ["b"]), node("Identity", ["scores"], ["a"]), LABEL]


def test_of_two_heads_one_is_asked_for_by_name():
    model = network(HEADS, [("b", FLOAT), ("label", INT64), ("a", FLOAT)])
    message = (
        r"^model: has 2 outputs that may be its scores: 'b' float \[samples, 6\], 'a' float \[samples, 6\]; "
        r"name one: output NAME$"
    )
    with pytest.raises(InputError, match=message):
        evaluate(model, data())
    assert evaluate(model, data(), output="a").top1 == 1
    assert evaluate(model, data(), output="b").top1 == 0
    with pytest.raises(InputError, match=r"^output 'c': model has no such output; it has 'b' float \[samples, 6\], '"):
        evaluate(model, data(), output="c")
    message = r"^output 'label': model gives no scores there: 'label' int64 \[samples\]; scores are numbers"
    with pytest.raises(InputError, match=message):
        evaluate(model, data(), output="label")
    # An inner tensor is no output.
    with pytest.raises(InputError, match=r"^output 'scores': model has no such output; "):
        evaluate(model, data(), output="scores")


@pytest.mark.parametrize("kind", ["float", "float16", "double", "int8", "uint8", "int32"])
@pytest.mark.parametrize("shape", [[-1, 6, 1, 1], [-1, 1, 1, 6], [-1, 1, 6], [-1, 6]])
def test_scores_of_any_number_and_with_dimensions_of_one(kind, shape):
    element = getattr(TensorProto, kind.upper())
    nodes = [cast("scores", "cast", element), node("Reshape", ["cast", "shape"], ["y"])]
    model = network(nodes, [("y", element)], shape=np.array(shape))
    x = np.eye(CLASSES, dtype=np.float32)[[3, 1, 5]]
    assert evaluate(model, Dataset(x, np.array([3, 1, 0]), "data")).predictions.tolist() == [3, 1, 5]


def test_a_network_of_many_outputs_still_gives_a_short_line():
    outputs = [Output(f"o{number}", "int64", (2, 3), ((2,), (3,))) for number in range(100)]
    with pytest.raises(InputError, match=r"'o7' int64 \[samples\] and 92 more; ") as caught:
        choose_output(outputs, None, "m")
    assert len(str(caught.value)) < 500


def test_one_based_labels_are_told():
    with pytest.raises(InputError, match=r"^data: y holds the class 6; the network has 6 classes, from 0$"):
        evaluate(network([], [("scores", FLOAT)]), Dataset(data().x, np.full(SAMPLES, 6), "data"))


@pytest.mark.parametrize("place", range(3))
def test_scores_that_are_no_numbers_are_never_right(place):
    x = data().x
    x[:, place] = np.nan
    for label in range(CLASSES):
        result = evaluate(network([], [("scores", FLOAT)]), Dataset(x, np.full(SAMPLES, label), "data"))
        assert (result.top1, set(result.predictions.tolist())) == (0, {-1})


def test_the_number_of_scores_must_not_depend_on_the_batch():
    nodes = [node("Shape", ["scores"], ["shape"]), node("Expand", ["scores", "shape"], ["y"])]
    assert evaluate(network(nodes, [("y", FLOAT)]), data()).top1 == 1
    wide = [node("MatMul", ["scores", "turned"], ["y"]), node("Transpose", ["scores"], ["turned"])]
    with pytest.raises(InputError, match=r"has no output of scores among 'y' float \[samples, samples\]; "):
        evaluate(network(wide[::-1], [("y", FLOAT)]), data())


@pytest.fixture
def files(tmp_path):
    """Files of a network with two heads that can be tuned and explored, and of its samples."""
    rng = np.random.default_rng(1)
    w = rng.normal(size=(CLASSES, CLASSES)).astype(np.float32)
    nodes = [
        node("MatMul", ["scores", "w"], ["good"]),
        node("ArgMax", ["good"], ["label"], axis=1, keepdims=0),
        node("Neg", ["good"], ["bad"]),
    ]
    model = network(nodes, [("label", INT64), ("bad", FLOAT), ("good", FLOAT)], w=w)
    onnx.save(model, tmp_path / "m.onnx")
    x = rng.normal(size=(60, CLASSES)).astype(np.float32)
    np.savez(tmp_path / "set.npz", x=x, y=np.argmax(x @ w, axis=1))
    return [tmp_path / "m.onnx", "--data", tmp_path / "set.npz"], tmp_path


COMMANDS = {
    "evaluate": ["--output"],
    "tune": ["--output", "--max-drop", "5%", "-o", "t.dnz.onnx"],
    "explore": ["--output-name", "--max-error", "1%", "-o", "explored", "--workers", "1"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_takes_the_output(command, files, dnnzip, fault, monkeypatch):
    arguments, folder = files
    monkeypatch.chdir(folder)
    option, *rest = COMMANDS[command]
    for name, message in (
        (None, f"may be its scores: 'bad' float [samples, 6], 'good' float [samples, 6]; name one: {option} NAME"),
        ("label", f"{option} 'label': {folder / 'm.onnx'} gives no scores there: 'label' int64 [samples]; "),
        ("none", f"{option} 'none': {folder / 'm.onnx'} has no such output; it has "),
    ):
        assert message in fault(command, *arguments, *rest, *([option, name] if name else []))
    out = dnnzip(command, *arguments, *rest, option, "good", "--json", "-")[1]
    assert any(f'"{key}": 1.0' in out for key in ("top1", "plain_top1", "top1_plain")), out


def test_run_takes_the_output(nets_with_a_label, fault, good):
    arguments, top1 = nets_with_a_label
    out = good("run", *arguments, "--link", "golden", "--json", "-")
    assert f'"top1": {top1}' in out
    line = fault("run", *arguments, "--link", "golden", "--output", "label")
    assert line.startswith("--output 'label': ")


@pytest.fixture
def nets_with_a_label(tmp_path):
    """Files of a network of 8 bits with a label before its scores, and of its samples; how often it is right."""
    rng = np.random.default_rng(1)
    w = rng.integers(-128, 128, (CLASSES, CLASSES)).astype(np.int8)
    one, zero = np.float32(1), np.int8(0)
    nodes = [
        node("QuantizeLinear", ["scores", "s", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        node("DequantizeLinear", ["w", "s", "z"], ["dw"]),
        node("MatMul", ["d", "dw"], ["y"]),
        node("ArgMax", ["y"], ["label"], axis=1, keepdims=0),
    ]
    model = network(nodes, [("label", INT64), ("y", FLOAT)], w=w, s=one, z=zero)
    onnx.save(model, tmp_path / "m.onnx")
    x = rng.integers(-100, 100, (20, CLASSES)).astype(np.float32)
    y = np.argmax(x @ w.astype(np.float32), axis=1)
    y[:5] = (y[:5] + 1) % CLASSES
    np.savez(tmp_path / "set.npz", x=x, y=y)
    return [tmp_path / "m.onnx", "--data", tmp_path / "set.npz"], 0.75


def test_quantising_needs_no_scores(tmp_path, dnnzip):
    w = np.random.default_rng(0).normal(size=(CLASSES, CLASSES)).astype(np.float32)
    nodes = [node("MatMul", ["scores", "w"], ["y"]), node("ReduceMax", ["y"], ["other"], keepdims=0)]
    onnx.save(network(nodes, [("other", FLOAT)], w=w), tmp_path / "m.onnx")
    np.savez(tmp_path / "set.npz", x=data().x, y=data().y)
    assert dnnzip("quantize", tmp_path / "m.onnx", "--data", tmp_path / "set.npz", "-o", tmp_path / "q.onnx")[0] == 0
