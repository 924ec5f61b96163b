"""The checked-in digits network and its held-out images."""

import numpy as np
import onnx
import onnxruntime
import pytest

from dnnzip import digits


@pytest.fixture(scope="module")
def images():
    with np.load(digits.TEST_SET, allow_pickle=False) as arrays:
        return arrays["x"], arrays["y"]


def test_test_set_is_raw_images_with_labels(images):
    x, y = images
    assert x.dtype == np.float32
    assert x.shape == (len(y), 1, 8, 8)
    assert x.min() == 0
    assert x.max() == 16
    assert y.dtype == np.int64
    assert len(y) >= 350
    assert np.bincount(y, minlength=10).min() >= 35


def test_network_is_lenet5():
    model = onnx.load(digits.MODEL)
    onnx.checker.check_model(model, full_check=True)
    weights = {w.name: tuple(w.dims) for w in model.graph.initializer if w.name.endswith(".weight")}
    assert weights == {
        "conv1.weight": (6, 1, 5, 5),
        "conv2.weight": (16, 6, 5, 5),
        "fc1.weight": (120, 400),
        "fc2.weight": (84, 120),
        "fc3.weight": (10, 84),
    }


@pytest.mark.parametrize("batch", [1, 7])
def test_batch_size_is_free(images, batch):
    session = onnxruntime.InferenceSession(digits.MODEL, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"x": images[0][:batch]})
    assert logits.shape == (batch, 10)


def test_accuracy_on_held_out_images(images):
    x, y = images
    session = onnxruntime.InferenceSession(digits.MODEL, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"x": x})
    assert (logits.argmax(axis=1) == y).mean() >= 0.98
