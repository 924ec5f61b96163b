import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import batches_of, evaluate
from dnnzip.onnx.files import save_model
from graphs import product


def classifier(classes=4, batch="n", scores=None, dtype=np.float32):
    """The scores are the input, times an identity."""
    return product(np.eye(classes, dtype=dtype) if scores is None else scores, batch, opset=17, ir_version=8)


def save(tmp_path, **arrays):
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz"


@pytest.mark.parametrize("batch", ["n", 1, 7, 64])
def test_top1_with_any_batch(tmp_path, batch):
    seed = 3
    print("seed", seed)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(123, 4)).astype(np.float32)
    y = rng.integers(0, 4, 123)
    result = evaluate(classifier(batch=batch), save(tmp_path, x=x, y=y))
    expected = np.argmax(x, axis=1)
    np.testing.assert_array_equal(result.predictions, expected)
    assert (result.samples, result.top1, result.top5) == (123, float(np.mean(expected == y)), None)
    assert evaluate(classifier(batch=batch), save(tmp_path, x=x, y=y), 10).top1 == np.mean(expected[:10] == y[:10])


def test_top5_from_100_classes(tmp_path):
    x = np.tile(np.arange(100, dtype=np.float32), (6, 1))
    y = np.array([99, 98, 95, 94, 0, 97])
    result = evaluate(classifier(100), save(tmp_path, x=x, y=y))
    assert (result.top1, result.top5) == (1 / 6, 4 / 6)
    # Of equal scores the first ones count.
    result = evaluate(classifier(100), save(tmp_path, x=np.ones((2, 100), np.float32), y=np.array([4, 5])))
    assert (result.top1, result.top5) == (0, 0.5)


def test_a_compressed_model_is_decoded_first(tmp_path, networks):
    rng = np.random.default_rng(1)
    model = classifier(scores=rng.normal(size=(4, 4)).astype(np.float32))
    compressed, _ = networks.compress(model, "0.1%")
    save_model(compressed, tmp_path / "m.onnx")
    x = rng.normal(size=(50, 4)).astype(np.float32)
    data = save(tmp_path, x=x, y=np.zeros(50, np.uint8))
    np.testing.assert_array_equal(evaluate(tmp_path / "m.onnx", data).predictions, evaluate(model, data).predictions)


X, Y = np.zeros((5, 4), np.float32), np.zeros(5, np.int64)
BAD_DATA = {
    "no x": ({"y": Y}, r"has no array x; give an \.npz file"),
    "no y": ({"x": X}, r"has no array y; "),
    "neither": ({"a": X}, r"has no array x and no array y; "),
    "length": ({"x": X, "y": Y[:4]}, r"has 5 samples in x and 4 in y; "),
    "no samples": ({"x": X[:0], "y": Y[:0]}, r"has 0 samples in x and 0 in y; "),
    "y of floats": ({"x": X, "y": Y.astype(np.float32)}, r"y is float32 \(5,\); "),
    "y one-hot": ({"x": X, "y": np.eye(5, dtype=int)}, r"y is int64 \(5, 5\); "),
    "y negative": ({"x": X, "y": Y - 1}, r"y holds the class -1; "),
    "y large": ({"x": X, "y": Y + 4}, r"y holds the class 4; the network has 4 classes"),
    "x of another type": ({"x": X.astype(np.uint8), "y": Y}, r"x is uint8; .*m\.onnx takes float$"),
    "x of another width": ({"x": X.astype(np.float64), "y": Y}, r"x is float64; .*m\.onnx takes float$"),
    "x of another shape": ({"x": X[:, :3], "y": Y}, r"samples of x have the shape \(3,\); .*m\.onnx takes \(4\)$"),
    "x of another rank": ({"x": X[:, :, None], "y": Y}, r"samples of x have the shape \(4, 1\); "),
    "x of strings": ({"x": np.array(["a"] * 5), "y": Y}, r"x is <U1 \(5,\); "),
    "objects": ({"x": np.array([None] * 5), "y": Y}, r"is no \.npz file of numbers"),
}


@pytest.fixture
def refused(tmp_path, fault):
    """Evaluate on a data set that cannot be used, from Python and by the command, which says the same."""
    save_model(classifier(), tmp_path / "m.onnx")

    def check(data, message, *samples):
        with pytest.raises(InputError, match=message) as caught:
            evaluate(tmp_path / "m.onnx", data, *samples)
        options = [option for number in samples for option in ("--samples", number)]
        said = fault("evaluate", tmp_path / "m.onnx", "--data", data, *options)
        assert said == ("--" if samples else "") + str(caught.value)

    return check


@pytest.mark.parametrize("what", BAD_DATA)
def test_bad_data_names_the_file(tmp_path, refused, what):
    arrays, message = BAD_DATA[what]
    refused(save(tmp_path, **arrays), rf"set\.npz: {message}")


def test_a_file_that_is_no_data(tmp_path, refused):
    path = save(tmp_path, x=X, y=Y)
    whole = path.read_bytes()
    for content in (b"", b"no archive", whole[: len(whole) // 2], whole[:-60]):
        path.write_bytes(content)
        refused(path, r"set\.npz: is no \.npz file")
    np.save(tmp_path / "one.npy", X)
    refused(tmp_path / "one.npy", r"one\.npy: is no \.npz file; ")
    refused(tmp_path / "none.npz", r"none\.npz: cannot be read \(No such file or directory\); ")
    refused(tmp_path, rf"^{tmp_path}: cannot be read \(Is a directory\)")


def test_more_samples_than_there_are(tmp_path, refused):
    refused(save(tmp_path, x=X, y=Y), r"^samples 6: .* has 5 samples; give 1 to 5$", 6)


@pytest.mark.parametrize("samples", [0, -1])
def test_samples_must_be_there(tmp_path, samples):
    with pytest.raises(InputError, match=rf"^samples {samples}: .* has 5 samples; give 1 to 5$"):
        evaluate(classifier(), save(tmp_path, x=X, y=Y), samples)


def test_a_network_that_does_not_run(tmp_path):
    model = classifier()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(InputError, match=r"^model: does not run in onnxruntime \(") as caught:
        evaluate(model, save(tmp_path, x=X, y=Y))
    assert "\n" not in str(caught.value)
    model = classifier()
    model.graph.input.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, [1]))
    with pytest.raises(InputError, match=r"^model: has 2 inputs; "):
        evaluate(model, save(tmp_path, x=X, y=Y))
    model = classifier()
    onnx.checker.check_model(model)
    model.graph.node[0].CopyFrom(helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InputError, match=r"^model: has no output of scores among 'y' float \[\]; scores are "):
        evaluate(model, save(tmp_path, x=X, y=Y))


def test_a_batch_that_no_machine_holds_is_one_line():
    with pytest.raises(
        InputError, match=r"^m.onnx: needs .* GB of memory for its batch of 1099511627736 samples, and "
    ):
        next(batches_of(np.zeros((3, 6, 6), np.float32), 1099511627736, True, "m.onnx"))
