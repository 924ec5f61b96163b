"""The Python API: bounds that hold, arrays that come back, bytes that are checked, examples that run."""

import doctest
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import dnnzip
from dnnzip import api
from dnnzip.errors import InputError

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "sw" / "dnnzip" / "digits" / "lenet5_digits.onnx"

#: Shape and axis of the channels.
SHAPES = (((7,), 0), ((300,), 0), ((1, 1), 0), ((30, 40), -1), ((4, 5, 6), 0), ((8, 4, 3, 3), 0), ((4, 8, 3, 5), 1))
SHAPES += (((2, 3, 4, 3, 2), 2),)
BOUNDS = {"f": ("2%", "60%", 0.01), "i": ("0lsb", "1lsb", "5%", "127lsb"), "u": ("0lsb", "1lsb", "5%", "127lsb")}


def array_of(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def error_of(decoded, array):
    assert (decoded.dtype, decoded.shape) == (array.dtype, array.shape)
    return float(np.abs(decoded.astype(np.float64) - array.astype(np.float64)).max())


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_the_bound_holds_and_the_bytes_say_all(shape, axis, dtype):
    array = array_of(shape, dtype)
    point = {"int8": -3, "uint8": 128}.get(dtype, 0)
    for bound in BOUNDS[array.dtype.kind] if array.size > 1 else ("2%",):
        for codec in ("auto", "ans", "raw", "line"):
            compressed = dnnzip.compress(array, bound, codec=codec, axis=axis, zero_point=point)
            again = dnnzip.Compressed.from_bytes(compressed.to_bytes())
            assert repr(again) == repr(compressed)
            error = error_of(again.decode(), array)
            assert error <= compressed.max_error <= compressed.bound
            assert error == compressed.max_error or array.dtype.kind != "f"


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_each_channel_has_its_own_bound(axis):
    array = array_of((6, 5, 4, 3), "float32") * np.arange(1, 7, dtype=np.float32)[:, None, None, None]
    decoded = dnnzip.compress(array, "3%", error_scope="channel", axis=axis).decode()
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1).astype(np.float64)
    errors = np.abs(np.moveaxis(decoded, axis, 0).reshape(rows.shape) - rows).max(axis=1)
    assert (errors <= 0.03 * np.ptp(rows, axis=1)).all()


def test_a_row_longer_than_a_stream_is_split():
    array = array_of(((1 << 20) * 2 + 6,), "int8")
    assert (dnnzip.compress(array, "0lsb", codec="raw").decode() == array).all()
    wide = array.reshape(2, -1)[:, : (1 << 20) + 2]
    assert (dnnzip.compress(wide, "0lsb", codec="raw").decode() == wide).all()
    with pytest.raises(InputError, match=r"^array: has 1048578 elements in a channel; give at most 1048576, or scope"):
        dnnzip.compress(wide, "0lsb", error_scope="channel")


def test_layouts_of_memory_and_byte_orders_are_all_one():
    array = array_of((6, 8), "float32")
    expected = dnnzip.compress(array, "1%").to_bytes()
    for other in (np.asfortranarray(array), array.astype(">f4"), np.repeat(array, 2, 1)[:, ::2], array.tolist()):
        other = np.asarray(other, np.float32) if isinstance(other, list) else other
        assert dnnzip.compress(other, "1%").to_bytes() == expected


def entropy(codes):
    _, counts = np.unique(codes, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def known_arrays():
    """Yield name, array, bound and the most bits for each weight that its kind allows."""
    rng = np.random.default_rng(8)
    weights = rng.normal(size=(64, 32, 3, 3)).astype(np.float32)
    yield "pruned", np.where(rng.random(weights.shape) < 0.9, np.float32(0), weights), "2%", 1.0
    # 16 values on a line, as often as each other: 4 bits say which, and the grid meets them all.
    yield "clustered", rng.integers(0, 16, weights.shape).astype(np.float32) / 8 - 1, "1%", 6.8
    kept = rng.random(20_000) < 0.1
    yield "pruned int8", (kept * rng.normal(0, 9, kept.size).round()).astype(np.int8), "0lsb", 1.1
    # Zeros want a table without low bits, whose tokens end at 31: each larger value takes a word of 16 bits.
    yield "pruned, flat int8", (kept * rng.integers(-99, 99, kept.size)).astype(np.int8), "0lsb", 2.0
    four = rng.integers(-8, 8, (200, 100)).astype(np.int8)
    yield "4-bit", four, "0lsb", 4.01
    yield "4-bit normal", np.clip(rng.normal(0, 2, (200, 100)).round(), -8, 7).astype(np.int8), "0lsb", 3.2
    yield "4-bit, 7 values", rng.integers(0, 16, 7).astype(np.int8) - 8, "0lsb", 40.0
    yield "constant", np.full((50, 60), 0.25, np.float32), "1%", 0.2
    yield "noise", rng.integers(-128, 128, (100, 100)).astype(np.int8), "0lsb", 8.03


@pytest.mark.parametrize(("name", "array", "bound", "most"), list(known_arrays()), ids=lambda item: str(item)[:20])
def test_known_kinds_are_near_their_entropy_and_never_over_raw(name, array, bound, most):
    compressed = dnnzip.compress(array, bound)
    assert compressed.nbytes <= dnnzip.compress(array, bound, codec="raw").nbytes
    assert compressed.bits_per_weight <= most
    assert error_of(compressed.decode(), array) <= compressed.bound
    if array.dtype == np.int8 and array.size > 1000 and name != "pruned, flat int8":
        assert compressed.bits_per_weight <= entropy(array) + 0.08


def known_model(array):
    weight = onnx.numpy_helper.from_array(array, "w")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)],
        "one",
        [value("x", onnx.TensorProto.FLOAT, [1, array.shape[1]])],
        [value("y", onnx.TensorProto.FLOAT, [1, array.shape[0]])],
        [weight],
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 19)], ir_version=9)


@pytest.mark.parametrize("name", ["pruned", "clustered", "constant"])
def test_networks_of_known_kinds_are_never_over_raw(name):
    array, bound = next((array, bound) for found, array, bound, _ in known_arrays() if found == name)
    model = known_model(array.reshape(array.shape[0], -1))
    small, raw = (dnnzip.compress_model(model, bound, codec=codec) for codec in ("auto", "raw"))
    assert small.sizes.stream_bytes <= raw.sizes.stream_bytes


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
    assert shared.sizes.stream_bytes == network.sizes.stream_bytes


def test_the_command_line_reads_an_array(tmp_path):
    compressed = dnnzip.compress(array_of((8, 4, 3, 3), "int8"), "1lsb")
    (tmp_path / "a.dnz.onnx").write_bytes(compressed.to_bytes())
    command = [sys.executable, "-m", "dnnzip", "info", "a.dnz.onnx", "--json", "-"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    totals = json.loads(done.stdout)["totals"]
    assert totals["stream_bytes"] + totals["side_bytes"] == compressed.nbytes


@pytest.mark.parametrize(
    ("array", "options", "said"),
    [
        (np.ones(3), {}, r"^array: is of type float64; give float32, float16, int8 or uint8$"),
        (np.ones(3, np.int16), {}, r"^array: is of type int16; "),
        (np.float32(1), {}, r"^array: has the shape \(\); give at least one dimension"),
        (np.ones((3, 0), np.float32), {}, r"^array: has the shape \(3, 0\); "),
        (np.array([1, np.nan], np.float32), {}, r"^array: has NaN or infinite elements; replace them$"),
        (np.array([1, np.inf], np.float16), {}, r"^array: has NaN or infinite elements; "),
        (np.eye(3, dtype=np.float32), {"axis": 2}, r"^axis: is 2, and the array has 2 dimensions; name one of them$"),
        (np.eye(3, dtype=np.float32), {"axis": -3}, r"^axis: is -3, "),
        (np.eye(3, dtype=np.float32), {"max_error": "0%"}, r"^max_error '0%': is not above zero; "),
        (np.eye(3, dtype=np.float32), {"max_error": -1}, r"^max_error '-1\.0': is not above zero; "),
        (np.eye(3, dtype=np.float32), {"max_error": float("nan")}, r"^max_error 'nan': is not a finite number; "),
        (np.eye(3, dtype=np.float32), {"max_error": 2.0}, r"^max_error '2\.0': is over the range of every selected"),
        (np.eye(3, dtype=np.int8), {"max_error": 0.5}, r"^max_error '0\.5': layer 'array' has int8 weights; give lsb"),
        (np.eye(3, dtype=np.float32), {"error_scope": "row"}, r"^error_scope: is 'row'; give 'tensor', 'channel'$"),
        (np.eye(3, dtype=np.float32), {"codec": "zip"}, r"^codec: is 'zip'; give 'auto', 'ans', 'line', 'raw'$"),
        (np.eye(3, dtype=np.float32), {"states": 128}, r"^states: is 128; give 256, 512 or 1024$"),
        (np.eye(3, dtype=np.float32), {"virtual_lanes": 3}, r"^virtual_lanes: is 3; give None, 1, 2, 4, 8, 16$"),
        (np.eye(3, dtype=np.float32), {"groups": 0}, r"^groups: is 0; give 1 or more$"),
        (np.eye(3, dtype=np.float32), {"jobs": 0}, r"^jobs: is 0; give 1 or more$"),
        (np.eye(3, dtype=np.float32), {"zero_point": 1}, r"^zero_point: is 1; it must be a value of float32, and 0"),
        (np.eye(3, dtype=np.int8), {"max_error": "1%", "zero_point": 200}, r"^zero_point: is 200; it must be a value"),
    ],
)
def test_bad_input_is_one_line(array, options, said):
    with pytest.raises(InputError, match=said):
        dnnzip.compress(array, **{"max_error": "2%"} | options)


@pytest.mark.parametrize("bound", [None, True, b"2%", [2]])
def test_a_bound_is_text_or_a_number(bound):
    with pytest.raises(
        TypeError, match=f"^max_error must be text such as '2%' or a number, not {type(bound).__name__}$"
    ):
        dnnzip.compress(np.eye(3, dtype=np.float32), bound)


def with_facts(change):
    compressed = dnnzip.compress(array_of((4, 6), "int8"), "1lsb")
    model = onnx.ModelProto.FromString(compressed.to_bytes())
    (entry,) = model.metadata_props
    facts = json.loads(entry.value)
    change(facts)
    entry.value = json.dumps(facts)
    return model.SerializeToString()


@pytest.mark.parametrize(
    "change",
    [
        lambda facts: facts.update(shape=[4, 5]),
        lambda facts: facts.update(shape=[-4, -6]),
        lambda facts: facts.update(shape=[4.0, 6]),
        lambda facts: facts.update(shape=24),
        lambda facts: facts.update(shape=[]),
        lambda facts: facts.update(dtype="float32"),
        lambda facts: facts.update(dtype="object"),
        lambda facts: facts.update(axis=2),
        lambda facts: facts.update(axis=-1),
        lambda facts: facts.update(zero_point=1 << 70),
        lambda facts: facts.update(version="1"),
        lambda facts: facts.pop("axis"),
    ],
)
def test_facts_that_do_not_suit_the_weight_are_refused(change):
    with pytest.raises(InputError, match=r"^Compressed\.from_bytes: is damaged: its facts do not suit its weight$"):
        dnnzip.Compressed.from_bytes(with_facts(change))


def test_what_is_no_array_is_refused():
    data = with_facts(lambda facts: facts.update(version=2))
    with pytest.raises(InputError, match=r"is of version 2 of arrays, and 1 is known; update dnnzip$"):
        dnnzip.Compressed.from_bytes(data)
    with pytest.raises(InputError, match=r"^Compressed\.from_bytes: is empty; name an ONNX file$"):
        dnnzip.Compressed.from_bytes(b"")
    network = dnnzip.compress_model(DIGITS, "2%", layers=["fc3.weight"])
    with pytest.raises(InputError, match=r"is no compressed array; open a network with dnnzip\.decompress_model$"):
        dnnzip.Compressed.from_bytes(network.model.SerializeToString())
    network = dnnzip.compress_model(DIGITS, "2%")
    with pytest.raises(InputError, match=r"is no compressed array: it has 5 layers; "):
        dnnzip.Compressed.from_bytes(network.model.SerializeToString())


def test_numpy_takes_a_compressed_array():
    compressed = dnnzip.compress(np.eye(9, dtype=np.float32), "1%")
    assert np.asarray(compressed).dtype == np.float32
    assert np.asarray(compressed, np.float64).shape == (9, 9)
    with pytest.raises(ValueError, match="always decoded into a new one"):
        np.array(compressed, copy=False)


def test_the_names_are_those_of_the_module():
    assert {*dnnzip.__all__} == {*api.__all__, "__version__"}
    assert {*dnnzip.__all__} <= {*dir(dnnzip)}
    assert all(getattr(dnnzip, name) is getattr(api, name) for name in api.__all__)
    with pytest.raises(AttributeError, match=r"^module 'dnnzip' has no attribute 'squeeze'$"):
        dnnzip.squeeze  # noqa: B018 - the look-up is what fails


def test_the_examples_of_the_module_run():
    assert doctest.testmod(api) == (0, 18)
