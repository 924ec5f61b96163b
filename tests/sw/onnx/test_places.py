"""Arrays that stay in a file: read one at a time, copied piece by piece, and the same as if they had been loaded."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from dnnzip.errors import InputError
from dnnzip.onnx import files
from dnnzip.onnx import skeleton as wire
from dnnzip.onnx.files import load_model, open_model, save_model
from dnnzip.onnx.lazy_tensors import place_of
from dnnzip.onnx.rules import stored_array
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize import tolerance
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.lines import quantise_lines
from dnnzip.quantize.quantise import quantise, quantise_again
from dnnzip.quantize.tolerance import largest_errors
from dnnzip.quantize.weights import shifted_weights
from dnnzip.system import spool as places
from dnnzip.system.spool import Place, open_spool


@pytest.fixture(autouse=True)
def _small_arrays_stay_too(monkeypatch):
    monkeypatch.setattr(files, "SMALLEST_PLACED", 1000)


@pytest.fixture
def stored(networks, tmp_path):
    """A model file whose large arrays, a long list and a type that NumPy lacks are in a file next to it."""
    model = networks.float_network("MatMul").model
    rng = np.random.default_rng(0)
    wide = rng.normal(size=(40, 50)).astype(np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(wide, "w"))
    model.graph.initializer.append(numpy_helper.from_array(wide.astype(np.float16), "half"))
    model.graph.initializer.append(numpy_helper.from_array(rng.normal(size=(30, 40)), "double"))
    model.graph.initializer.append(
        TensorProto(name="brain", data_type=TensorProto.BFLOAT16, dims=(20, 40), raw_data=bytes(range(64)) * 25)
    )
    model.graph.initializer.append(numpy_helper.from_array(np.arange(4000, dtype=np.int64), "list"))
    model.graph.initializer[0].doc_string = "a comment behind the bytes"
    model.doc_string = "and one of the model"
    path = tmp_path / "m.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="m.bin", size_threshold=0)
    return path


def test_large_arrays_stay_in_their_file(stored):
    loaded, opened = load_model(stored), open_model(stored)
    kept = {tensor.name for tensor in opened.graph.initializer if place_of(tensor)}
    assert kept == {"w", "half", "double", "brain", "list"}
    assert not any(place_of(tensor) for tensor in loaded.graph.initializer)
    assert opened.ByteSize() < 2_000 < loaded.ByteSize()
    for wanted, tensor in zip(loaded.graph.initializer, opened.graph.initializer, strict=True):
        array = stored_array(tensor)
        assert array.dtype == numpy_helper.to_array(wanted).dtype
        np.testing.assert_array_equal(array, numpy_helper.to_array(wanted))


def test_arrays_inside_a_model_stay_in_it_as_well(stored, tmp_path):
    loaded = load_model(stored)
    path = tmp_path / "one.onnx"
    save_model(loaded, path)
    opened = open_model(path)
    places_in_it = [place_of(tensor) for tensor in opened.graph.initializer]
    assert all(place is not None and place.path == path for place in places_in_it)
    for wanted, tensor in zip(loaded.graph.initializer, opened.graph.initializer, strict=True):
        np.testing.assert_array_equal(stored_array(tensor), numpy_helper.to_array(wanted))
    save_model(opened, tmp_path / "two.onnx")
    assert (tmp_path / "two.onnx").read_bytes() == path.read_bytes()
    # Also onto itself.
    save_model(open_model(path), path)
    assert (tmp_path / "two.onnx").read_bytes() == path.read_bytes()


def test_a_message_in_an_unusual_order_is_read_all_the_same(stored, tmp_path):
    model = load_model(stored)
    whole = model.SerializeToString()
    graph = onnx.ModelProto()
    graph.graph.initializer.append(numpy_helper.from_array(np.ones((30, 30), np.float32), "more"))
    # A graph in two parts is one graph; a tensor with two byte fields holds the last.
    parts = whole + graph.SerializeToString()
    tensor = onnx.ModelProto.FromString(parts).graph.initializer[-1].SerializeToString()
    twice = wire.tag(wire.INITIALIZER_FIELD, 2 * len(tensor)) + 2 * tensor
    for content in (parts, whole + wire.tag(wire.GRAPH_FIELD, len(twice)) + twice):
        path = tmp_path / "parts.onnx"
        path.write_bytes(content)
        assert result_of(open_model, path) == result_of(load_model, path)


def result_of(read, path):
    try:
        model = read(path)
        save_model(model, path.with_name("written.onnx"))
    except InputError as error:
        return str(error)
    return path.with_name("written.onnx").read_bytes()


def test_damaged_files_are_the_same_to_both_readers(networks, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SMALLEST_PLACED", 16)
    seed = 5
    print("seed", seed)
    rng = np.random.default_rng(seed)
    whole = networks.compress(networks.float_network("Conv2D").model, "2%")[0].SerializeToString()
    path = tmp_path / "m.onnx"
    read = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for position in rng.integers(len(whole), size=rng.integers(0, 3)):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(len(whole))] if rng.integers(8) == 0 else damaged)
        results = [result_of(reader, path) for reader in (open_model, load_model)]
        assert type(results[0]) is type(results[1])
        if isinstance(results[0], bytes):
            assert results[0] == results[1]
            read += 1
    assert 100 < read < 390


def test_a_model_is_written_as_if_its_arrays_were_in_it(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "CHUNK", 1000)
    save_model(load_model(stored), tmp_path / "loaded.onnx")
    opened = open_model(stored)
    before = opened.SerializeToString()
    save_model(opened, tmp_path / "opened.onnx")
    assert opened.SerializeToString() == before
    content = (tmp_path / "opened.onnx").read_bytes()
    assert content == (tmp_path / "loaded.onnx").read_bytes()
    assert content == load_model(stored).SerializeToString(deterministic=True)


def test_a_model_beyond_the_largest_message_keeps_its_arrays_beside_it(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "LARGEST_MESSAGE", 12_000)
    save_model(load_model(stored), tmp_path / "out.onnx")
    loaded = [(tmp_path / name).read_bytes() for name in ("out.onnx", "out.onnx.data")]
    save_model(open_model(stored), tmp_path / "out.onnx")
    assert [(tmp_path / name).read_bytes() for name in ("out.onnx", "out.onnx.data")] == loaded


@pytest.mark.parametrize("location", ["/etc/passwd", "{}/m.bin", "../m.bin", "link.bin"])
def test_places_come_from_no_file(stored, location):
    (stored.parent / "link.bin").symlink_to("/etc/passwd")
    model = onnx.load(stored, load_external_data=False)
    # Also where it is the absolute path of the file that would be right.
    model.graph.initializer[0].external_data[0].value = location.format(stored.parent)
    stored.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"m\.onnx: external data of 'w' is at .*; it must be a file inside"):
        open_model(stored)


def test_a_place_in_an_attribute_is_refused(stored):
    model = onnx.load(stored, load_external_data=False)
    tensor = model.graph.initializer.pop()
    tensor.external_data[0].value = str(stored.parent / "m.bin")
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], [tensor.name], value=tensor))
    stored.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="it must be a file inside"):
        open_model(stored)


def test_a_place_of_the_wrong_size(stored):
    model = load_model(stored)
    model.graph.initializer[0].dims[0] += 1
    model.graph.initializer[2].dims[0] += 1
    stored.write_bytes(model.SerializeToString())
    for read in (load_model, open_model):
        with pytest.raises(InputError, match=r"tensor 'w' holds 8000 bytes, and its shape \(41, 50\) needs 8200"):
            read(stored)


def test_a_shape_that_is_changed_afterwards(stored):
    opened = open_model(stored)
    for position in (0, 2):
        opened.graph.initializer[position].dims[0] += 1
        with pytest.raises(InputError, match=r"its stored bytes do not match its shape"):
            stored_array(opened.graph.initializer[position])


def test_a_file_that_changes_meanwhile(stored, tmp_path):
    opened = open_model(stored)
    os.truncate(stored.parent / "m.bin", 100)
    with pytest.raises(InputError, match=r"m\.bin: has become shorter while it was read"):
        stored_array(opened.graph.initializer[0])
    with pytest.raises(InputError, match=r"m\.bin: has become shorter while it was read"):
        save_model(opened, tmp_path / "out.onnx")
    (stored.parent / "m.bin").unlink()
    with pytest.raises(InputError, match=r"m\.bin: cannot be read \(No such file or directory\)"):
        stored_array(opened.graph.initializer[0])
    with pytest.raises(InputError, match=r"m\.bin: cannot be read \(No such file or directory\)"):
        save_model(opened, tmp_path / "out.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx"]


def test_a_spool_gives_back_what_it_took_and_leaves_nothing(tmp_path):
    with open_spool(tmp_path / "out") as spool:
        taken = [spool.add(content) for content in (b"one", b"", b"three")]
        assert [place.read() for place in taken] == [b"one", b"", b"three"]
        assert taken[2] == Place(taken[0].path, 3, 5)
        assert taken[0].path.parent == tmp_path
    assert list(tmp_path.iterdir()) == []
    with open_spool("/dev/stdout") as spool:
        assert spool.add(b"x").path.parts[1] != "dev"


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("bound", ["2%", "0.01", "1e-30"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_codes_are_made_again(networks, dtype, bound, scope):
    (weight,), _ = find_weights(networks.float_network("MatMul", dtype).model)
    first = quantise(weight, Bound.parse(bound), scope)
    again = quantise_again(weight, first.grid)
    assert (first.codes is None) == (again.codes is None)
    np.testing.assert_array_equal(first.codes, again.codes)


def test_integer_codes_and_constant_ones_are_made_again(networks):
    (weight,), _ = find_weights(networks.qdq_network("Gemm").model)
    for bound in ("0lsb", "2lsb"):
        first = quantise(weight, Bound.parse(bound))
        np.testing.assert_array_equal(quantise_again(weight, first.grid).codes, first.codes)
    model = networks.float_network("Gemm").model
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((8, 5), -3, np.float32), "w"))
    (weight,), _ = find_weights(model)
    first = quantise(weight, Bound.parse("1%"))
    np.testing.assert_array_equal(quantise_again(weight, first.grid).codes, first.codes)
    assert quantise_lines(weight, Bound.parse("1%")).codes is not None


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize(
    "operator", ["Conv3D", "Depthwise", "ConvTranspose", "Gemm", "GemmTransposed", "MatMulBatched"]
)
def test_errors_are_compared_in_parts(networks, operator, scope, monkeypatch):
    monkeypatch.setattr(tolerance, "COMPARED", 7)
    for network, divisor in ((networks.float_network(operator), 1), (networks.qdq_network(operator), 5)):
        (weight,), _ = find_weights(network.model)
        restored = (weight.array * 0.9 / divisor).astype(weight.element.dtype)
        wanted = weight.array if divisor == 1 else shifted_weights(weight)
        errors = np.abs(wanted.astype(np.float64) - divisor * restored.astype(np.float64))
        if scope is Scope.CHANNEL and divisor == 1:
            expected = weight.layout.to_channels(errors).max(axis=1)
        else:
            expected = errors.max()
        np.testing.assert_array_equal(largest_errors(weight, restored, divisor, scope), expected)
    restored = weight.array.astype(np.float32)
    restored.reshape(-1)[-1] = np.nan
    assert np.isnan(largest_errors(weight, restored, 5, scope))
