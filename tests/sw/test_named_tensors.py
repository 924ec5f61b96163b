"""Named tensors from Python: dictionaries with bounds by name, files that are read lazily, what notebooks show."""

import doctest
import threading

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file, save_file

import dnnzip
from dnnzip import named_tensors
from dnnzip.digits import MODEL
from dnnzip.errors import InputError
from dnnzip.system.spool import Place


def small():
    rng = np.random.default_rng(11)
    return {
        "layers.0.weight": rng.normal(size=(40, 30)).astype(np.float32),
        "layers.1.weight": rng.normal(size=(30, 40)).astype(np.float32),
        "layers.1.bias": rng.normal(size=30).astype(np.float32),
        "codes": rng.integers(-9, 9, (50, 40)).astype(np.int8),
    }


def error_of(tensor, array):
    return float(np.abs(np.asarray(tensor).astype(np.float64) - array.astype(np.float64)).max())


def test_the_examples_run():
    assert doctest.testmod(named_tensors).failed == 0


def test_each_tensor_keeps_the_bound_of_its_name():
    arrays = small()
    done = dnnzip.compress_tensors(arrays, {"layers.*": 0.2, "layers.1.weight": "1%", "c?des": "1lsb"})
    assert done["layers.0.weight"].bound == 0.2
    assert done["layers.1.weight"].bound == pytest.approx(0.01 * np.ptp(arrays["layers.1.weight"]))
    assert done["codes"].bound == 1
    for name, array in arrays.items():
        assert (done[name].shape, done[name].dtype) == (array.shape, array.dtype)
        assert error_of(done[name], array) <= done[name].max_error <= done[name].bound
    assert done.left_out.keys() == {"layers.1.bias"}
    assert list(done) == list(arrays)
    assert done.verify(arrays).ok


def test_globs_go_in_their_order_and_what_has_no_bound_stays():
    arrays = small()
    done = dnnzip.compress_tensors(arrays, {"*.1.*": 0.1, "layers.*": 0.3})
    assert (done["layers.0.weight"].bound, done["layers.1.weight"].bound) == (0.3, 0.1)
    assert done.left_out["codes"] == "A bound must be given for its name."
    assert np.array_equal(done["codes"], arrays["codes"])


@pytest.mark.parametrize("name", ["m.safetensors", "m.npz", "m.safetensors.index.json"])
def test_a_saved_file_opens_lazily(name, tmp_path, monkeypatch):
    arrays = small()
    done = dnnzip.compress_tensors(arrays, "1%")
    done.save(tmp_path / name)
    reads = []
    chunks = Place.chunks
    monkeypatch.setattr(Place, "read", lambda self: reads.append(self.length) or b"".join(chunks(self)))
    found = dnnzip.open_tensors(tmp_path / name)
    assert isinstance(found, dnnzip.CompressedTensors)
    assert {one.name: (one.shape, one.dtype) for one in found.values()} == {
        key: (array.shape, array.dtype) for key, array in arrays.items()
    }
    assert found.ratio == done.ratio
    assert reads == []
    assert error_of(found["layers.0.weight"][3:5], arrays["layers.0.weight"][3:5]) <= found["layers.0.weight"].bound
    assert len(reads) == 1
    assert found.verify(arrays).ok
    assert dnnzip.verify(arrays, tmp_path / name).ok


def test_a_plain_file_opens_lazily_too(tmp_path):
    arrays = small()
    save_file(arrays, tmp_path / "m.safetensors", metadata={"format": "pt"})
    found = dnnzip.open_tensors(tmp_path / "m.safetensors")
    assert found.metadata == {"format": "pt"}
    assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    assert not found["codes"].is_compressed
    assert "4 tensors" in repr(found)
    assert dnnzip.compress_tensors(tmp_path / "m.safetensors", "1%").verify(found).ok


def test_the_command_line_and_python_write_the_same(tmp_path, dnnzip_command):
    arrays = small()
    save_file(arrays, tmp_path / "m.safetensors", metadata={"format": "pt"})
    dnnzip.compress_tensors(tmp_path / "m.safetensors", "1%", error_scope="channel").save(tmp_path / "a.safetensors")
    arguments = ("--max-error", "1%", "--error-scope", "channel", "--quiet")
    assert dnnzip_command("compress", tmp_path / "m.safetensors", "-o", tmp_path / "b.safetensors", *arguments)[0] == 0
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.fixture(name="dnnzip_command")
def command(request):
    """Return the fixture `dnnzip`, whose name is the package's here."""
    return request.getfixturevalue("dnnzip")


def test_decompressing_writes_what_decoding_returns(tmp_path):
    done = dnnzip.compress_tensors(small(), "1%")
    done.decompress(tmp_path / "p.safetensors")
    found = load_file(tmp_path / "p.safetensors")
    assert all(np.array_equal(found[name], done[name]) for name in done)


def test_layouts_of_memory_and_byte_orders_are_all_one(tmp_path):
    arrays = small()
    others = {name: np.asfortranarray(array.astype(array.dtype.newbyteorder(">"))) for name, array in arrays.items()}
    np.savez(tmp_path / "plain.npz", **arrays)
    np.savez_compressed(tmp_path / "other.npz", **others)
    results = [dnnzip.compress_tensors(source, "1%") for source in (arrays, others)]
    results += [dnnzip.compress_tensors(tmp_path / name, "1%") for name in ("plain.npz", "other.npz")]
    for number, result in enumerate(results):
        result.save(tmp_path / f"{number}.safetensors")
    assert len({(tmp_path / f"{number}.safetensors").read_bytes() for number in range(4)}) == 1


def test_rows_longer_than_a_stream_are_split():
    long = np.random.default_rng(0).normal(size=(2, (1 << 20) + 2)).astype(np.float32)
    for scope in ("tensor", "channel"):
        done = dnnzip.compress_tensors({"w": long}, "20%", error_scope=scope)
        assert done.verify({"w": long}).ok


def test_many_tensors_may_be_decoded_at_once(tmp_path):
    arrays = small()
    dnnzip.compress_tensors(arrays, "1%", jobs=2).save(tmp_path / "m.npz")
    found = dnnzip.open_tensors(tmp_path / "m.npz")
    results = {}
    threads = [
        threading.Thread(target=lambda name=name: results.update({name: found[name].decode()})) for name in found
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(error_of(results[name], arrays[name]) <= found[name].bound for name in arrays)


def test_no_file_that_is_read_is_overwritten(tmp_path):
    path = tmp_path / "m.safetensors"
    save_file(small(), path)
    done = dnnzip.compress_tensors(path, "1%")
    before = path.read_bytes()
    (tmp_path / "link.safetensors").symlink_to(path)
    for target in (path, tmp_path / "link.safetensors"):
        with pytest.raises(InputError, match="is a file that these tensors are read from"):
            done.save(target)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("tensors", "bound", "options", "message"),
    [
        ({}, "1%", {}, "tensors: has no weights to compress; give a file with tensors"),
        ({"b": np.ones(3)}, "1%", {}, "tensors: has no weights to compress; It must have two dimensions or more"),
        (small(), {}, {}, "max_error: is empty"),
        (small(), {"x*": "1%"}, {}, r"max_error 'x\*': matches no tensor"),
        (small(), {"*": "200%"}, {}, "max_error '200%': is over 100 %"),
        (small(), "1%", {"layers": ["x"]}, "layers 'x': matches no tensor"),
        (small(), "1%", {"exclude": ["x"]}, "exclude 'x': matches no tensor"),
        (small(), 1e9, {}, "is over the range of every selected tensor"),
        (small(), "1%", {"codec": "zip"}, "codec: is 'zip'"),
        ({"w": np.array([["a", object()]])}, "1%", {}, "tensors: 'w': holds Python objects"),
        ({"w": np.full((2, 2), np.inf, np.float32)}, "1%", {}, "has NaN or infinite weights"),
    ],
)
def test_faults_are_one_line(tensors, bound, options, message):
    with pytest.raises(InputError, match=message) as error:
        dnnzip.compress_tensors(tensors, bound, **options)
    assert "\n" not in str(error.value)
    assert "--" not in str(error.value)


def test_arguments_of_other_types_are_refused():
    with pytest.raises(TypeError, match="names of tensors must be text, not int"):
        dnnzip.compress_tensors({1: np.ones((2, 2), np.float32)}, "1%")
    with pytest.raises(TypeError, match="unexpected keyword argument 'axis'"):
        dnnzip.compress_tensors(small(), "1%", axis=1)
    with pytest.raises(TypeError, match="max_error must be text"):
        dnnzip.compress_tensors(small(), {"*": None})


def test_networks_and_weights_are_not_mixed_up(tmp_path):
    save_file(small(), tmp_path / "m.safetensors")
    done = dnnzip.compress_tensors(tmp_path / "m.safetensors", "1%")
    network = dnnzip.compress_model(MODEL, "2%")
    with pytest.raises(InputError, match=r"is a file of weights, and no network; use dnnzip.compress_tensors"):
        dnnzip.compress_model(tmp_path / "m.safetensors", "1%")
    with pytest.raises(InputError, match="is no weight file"):
        dnnzip.compress_tensors(MODEL, "1%")
    with pytest.raises(InputError, match="is a network, and the original is tensors"):
        dnnzip.verify(tmp_path / "m.safetensors", network)
    with pytest.raises(InputError, match="is a network, and the other is compressed tensors"):
        dnnzip.verify(MODEL, done)
    with pytest.raises(InputError, match="is not a compressed weight file"):
        dnnzip.verify(small(), tmp_path / "m.safetensors")


def test_notebooks_show_tables_with_names_escaped():
    arrays = {"<script>alert(1)</script>&": np.random.default_rng(0).normal(size=(30, 20)).astype(np.float32)}
    done = dnnzip.compress_tensors(arrays, "1%")
    model = onnx.load(MODEL)
    for part in (model.graph.initializer, model.graph.node):
        for item in part:
            if hasattr(item, "input"):
                item.input[:] = [name.replace("conv1.weight", "<b>w</b>") for name in item.input]
            elif item.name == "conv1.weight":
                item.name = "<b>w</b>"
    network = dnnzip.compress_model(model, "2%")
    array = dnnzip.compress(arrays.popitem()[1], "1%")
    for result, name in ((done, "&lt;script&gt;alert(1)&lt;/script&gt;&amp;"), (network, "&lt;b&gt;w&lt;/b&gt;")):
        shown = result._repr_html_()
        assert name in shown
        assert "<script" not in shown
        assert "<b>" not in shown
        assert shown.startswith("<table>")
        assert shown.endswith("</table>")
    assert f"{array.bits_per_weight:.3f}" in array._repr_html_()
