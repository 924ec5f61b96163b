import numpy as np
import onnxruntime
import pytest
from onnx import helper

import graphs
from dnnzip.errors import InputError
from dnnzip.evaluation.runtime import open_session


@pytest.mark.parametrize(("x", "w"), [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")])
@pytest.mark.parametrize("operator", ["MatMulInteger", "QLinearMatMul"])
def test_integer_sums_are_exact_on_every_processor(operator, x, w):
    """Pairs of products of uint8 and int8 pass 16 bits, where some processors' instruction saturates."""
    inputs, weights = np.full((2, 64), np.iinfo(x).max, x), np.full((64, 3), np.iinfo(w).min, w)
    weights[:, 1] = np.iinfo(w).max
    sums = inputs.astype(np.int32) @ weights.astype(np.int32)
    constants, names, kind = {"w": weights}, ["x", "w"], np.int32
    if operator == "QLinearMatMul":
        one = np.float32(1)
        constants |= {"one": one, "xz": np.zeros((), x), "wz": np.zeros((), w), "ys": np.float32(2**15)}
        names, kind = ["x", "one", "xz", "w", "one", "wz", "ys", "xz"], x
        sums = np.clip(np.rint(sums / 2**15), np.iinfo(x).min, np.iinfo(x).max).astype(x)
    nodes = [helper.make_node(operator, names, ["y"])]
    model = graphs.model(nodes, [("x", inputs.shape, x)], [("y", [2, 3], kind)], constants, opset=17, ir_version=8)
    (found,) = open_session(model.SerializeToString(), "sums").run(None, {"x": inputs})
    np.testing.assert_array_equal(found, sums)


def test_layers_that_share_a_zero_point_are_exact():
    """Each layer's weights become uint8, which onnxruntime does not manage with one zero point for two layers."""
    rng = np.random.default_rng(5)
    x = rng.integers(200, 256, (4, 64)).astype(np.uint8)
    weights = {name: rng.choice([-128, 127], (64, 64)).astype(np.int8) for name in ("v", "w")}
    constants = {**weights, "zero": np.int8(0), "xz": np.uint8(0)}
    nodes = [helper.make_node("MatMulInteger", ["x", name, "xz", "zero"], [f"y{name}"]) for name in weights]
    sums = [(f"y{name}", x.shape, np.int32) for name in weights]
    model = graphs.model(nodes, [("x", x.shape, np.uint8)], sums, constants, opset=17, ir_version=8)
    found = open_session(model.SerializeToString(), "shared").run(None, {"x": x})
    for sums, values in zip(found, weights.values(), strict=True):
        np.testing.assert_array_equal(sums, x.astype(np.int32) @ values.astype(np.int32))


def test_a_model_that_does_not_run_is_all_that_is_said(capfd):
    """Further settings are tried, of which onnxruntime would warn: on standard error, from its own code."""
    model = graphs.model([helper.make_node("Relu", ["nowhere"], ["y"])], {}, {}, opset=17, ir_version=8)
    with pytest.raises(InputError, match="does not run in onnxruntime"):
        open_session(model.SerializeToString(), "cut")
    assert capfd.readouterr() == ("", "")


def test_no_other_provider_is_tried_aloud(monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("planted")

    monkeypatch.setattr(onnxruntime.InferenceSession, "_create_inference_session", fail)
    with pytest.raises(RuntimeError, match="planted"):
        open_session(b"", "model")
    assert capsys.readouterr() == ("", "")
