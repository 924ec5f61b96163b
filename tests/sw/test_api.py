"""The Python API of networks, and the names of the package."""

from pathlib import Path

import onnx
import pytest

import dnnzip
from dnnzip import api, measures, named_tensors, tensor
from dnnzip.digits import TEST_SET
from dnnzip.errors import InputError

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "sw" / "dnnzip" / "digits" / "lenet5_digits.onnx"


def test_a_network_there_and_back(tmp_path):
    model = onnx.load(DIGITS)
    before = model.SerializeToString()
    seen = []
    network = dnnzip.compress_model(model, "2%", exclude=["fc3*"], progress=seen.append)
    assert model.SerializeToString() == before
    assert seen == [layer.name for layer in network.layers]
    assert "fc3.weight" in [item.name for item in network.left_out]
    assert network.summary().count("\n") == len(network.layers) + 3
    assert repr(network).startswith("<dnnzip.CompressedNetwork 4 layers, 60,630 weights, ")
    network.save(tmp_path / "a.dnz.onnx")
    plain = dnnzip.decompress_model(tmp_path / "a.dnz.onnx")
    assert plain == network.decompress() == dnnzip.decompress_model(network.model)
    again = dnnzip.compress_model(DIGITS, "2%", exclude=["fc3*"])
    assert again.model == network.model
    (tmp_path / "set").write_bytes(
        next(t.raw_data for t in network.model.graph.initializer if t.name.endswith("tables"))
    )
    shared = dnnzip.compress_model(DIGITS, "2%", exclude=["fc3*"], tables=tmp_path / "set")
    # Streams that train a set may choose among its tables in another way than those that are given it.
    assert shared.sizes.stream_bytes == pytest.approx(network.sizes.stream_bytes, rel=0.005)


def test_a_network_is_verified_measured_and_estimated():
    network = dnnzip.compress_model(DIGITS, "2%")
    assert dnnzip.verify(DIGITS, network).ok
    assert dnnzip.verify(onnx.load(DIGITS), network.model).ok
    broken = onnx.ModelProto()
    broken.CopyFrom(network.decompress())
    with pytest.raises(InputError, match=r"^compressed: is not a compressed model"):
        dnnzip.verify(DIGITS, broken)
    top1 = dnnzip.evaluate(network.model, TEST_SET).top1
    assert abs(top1 - dnnzip.evaluate(DIGITS, TEST_SET).top1) < 0.02
    known = dnnzip.estimate(network.model, "edge-lpddr4")
    assert known.compressed.latency < known.baseline.latency
    assert dnnzip.estimate(DIGITS, "edge-lpddr4", bits=3).compressed.latency < known.baseline.latency
    with pytest.raises(InputError, match=r"^bits: cannot be given together with ratio; give one of them$"):
        dnnzip.estimate(DIGITS, "edge-lpddr4", bits=3, ratio=2)


def test_no_fault_names_an_option_of_the_command_line():
    """Options are the command line's; a caller from Python reads of arguments."""
    calls = [
        lambda: dnnzip.compress_model(DIGITS, "2%", layers=["nothing"]),
        lambda: dnnzip.compress_model(DIGITS, "2lsb"),
        lambda: dnnzip.compress_model(DIGITS, "2%", exclude=["*"]),
        lambda: dnnzip.estimate(DIGITS, "edge-lpddr4"),
        lambda: dnnzip.estimate(DIGITS, "edge-lpddr4", bits=-1),
        lambda: dnnzip.evaluate(DIGITS, TEST_SET, samples=10**6),
        lambda: dnnzip.evaluate(DIGITS, TEST_SET, output="none"),
        lambda: dnnzip.tune(DIGITS, TEST_SET, "1"),
        lambda: dnnzip.tune(DIGITS, TEST_SET, "1%", seed=1 << 70),
        lambda: dnnzip.tune(DIGITS, TEST_SET, "0%"),
        lambda: dnnzip.tune(DIGITS, TEST_SET, "1%", accelerator="edge-lpddr4"),
    ]
    for call in calls:
        with pytest.raises(InputError) as caught:
            call()
        assert "--" not in str(caught.value)
        assert "\ue000" not in str(caught.value)


def test_the_names_are_those_of_the_modules():
    modules = {name: module for module in (tensor, api, measures, named_tensors) for name in module.__all__}
    assert {*dnnzip.__all__} == {*modules, "__version__"}
    assert {*dnnzip.__all__} <= {*dir(dnnzip)}
    assert all(getattr(dnnzip, name) is getattr(module, name) for name, module in modules.items())
    with pytest.raises(AttributeError, match=r"^module 'dnnzip' has no attribute 'squeeze'$"):
        dnnzip.squeeze  # noqa: B018 - the look-up is what fails
