"""External data: one reading of its entries, inside the folders from which onnxruntime would take it."""

import os

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from dnnzip.api import compress_model
from dnnzip.errors import InputError
from dnnzip.onnx.external import bytes_of
from dnnzip.onnx.files import load_model, model_files, open_model

NAME = "weights.bin"
READERS = (load_model, open_model, model_files)


@pytest.fixture
def stored(networks, tmp_path):
    """Write a model whose weight is in a file next to it; entries are those of its external data."""

    def write(*entries, folder=tmp_path / "m", name="m.onnx"):
        folder.mkdir(parents=True, exist_ok=True)
        model = networks.float_network("MatMul").model
        tensor = model.graph.initializer[0]
        (folder / NAME).write_bytes(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries or (("location", NAME),):
            tensor.external_data.add(key=key, value=value)
        (folder / name).write_bytes(model.SerializeToString())
        return folder / name

    return write


@pytest.fixture
def weights(networks):
    return numpy_helper.to_array(networks.float_network("MatMul").model.graph.initializer[0])


def weights_of(path):
    loaded, opened = load_model(path), open_model(path)
    assert loaded.SerializeToString() == opened.SerializeToString()
    return numpy_helper.to_array(loaded.graph.initializer[0])


def refused(path, message):
    for read in READERS:
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 1000


def runs(path):
    """Return True if onnxruntime takes the model's external data."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - whatever it says
        return False
    return True


@pytest.mark.parametrize("key", ["location", "offset", "length", "checksum", "basepath"])
def test_an_entry_that_is_there_twice(stored, tmp_path, key):
    """One reader takes the first, the next the last: an overwritten file, where one checks and the other writes."""
    values = {"location": NAME, "offset": "0", "length": "160"}
    twice = (key, str(tmp_path / "elsewhere") if key == "location" else values.get(key, "x"))
    for entries in ((twice, *values.items()), (*values.items(), twice)):
        if key not in values:
            entries = (*entries, twice)
        refused(stored(*entries), rf"external data of 'w' has two entries '{key}'; each may be there once$")


def test_entries_that_are_known_and_others(stored, weights):
    known = (("location", NAME), ("offset", "0"), ("length", "160"), ("checksum", "ab"), ("basepath", "/tmp"))
    np.testing.assert_array_equal(weights_of(stored(*known)), weights)
    # onnxruntime's own may come in any number.
    packed = ("prepacked_1", "a|0;8;0")
    np.testing.assert_array_equal(weights_of(stored(("location", NAME), packed, packed)), weights)
    for key in ("evil", "", "Location", "e" * 5000):
        refused(stored(("location", NAME), (key, "x")), r"has an unknown entry '.{0,90}'; known are location, offset, ")


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("value", ["", " 5", "5 ", "+5", "-5", "1_000", "٣", "0x10", "1e2", "5.0", "007", "9" * 5000])
def test_a_count_that_readers_take_differently(stored, key, value):
    refused(stored(("location", NAME), (key, value)), rf"has the {key} '.*'; it must be a whole number from 0, in dec")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": "9223372036854775807"}, "lies outside"),
        ({"offset": "18446744073709551615", "length": "160"}, "lies outside"),
        ({"length": "18446744073709551616"}, "lies outside"),
        ({"length": "0"}, r"has 0 bytes, and its shape \(8, 5\) needs 160"),
        ({"length": "159"}, "has 159 bytes, and its shape"),
        ({"offset": "4", "length": "156"}, "has 156 bytes, and its shape"),
    ],
)
def test_bytes_that_do_not_suit_file_or_shape(stored, entries, message):
    refused(stored(("location", NAME), *entries.items()), message)


def test_a_length_that_is_left_out_is_that_of_the_shape(stored, weights):
    path = stored(("location", NAME), ("offset", "4"))
    (path.parent / NAME).write_bytes(b"head" + weights.tobytes() + b"tail")
    assert runs(path)
    np.testing.assert_array_equal(weights_of(path), weights)


@pytest.mark.parametrize("dims", [(-8, -5), (1 << 62, 4), (1 << 40, 1 << 40)])
def test_shapes_of_no_size(stored, dims):
    path = stored(("location", NAME), ("length", "160"))
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].dims[:] = dims
    path.write_bytes(model.SerializeToString())
    refused(path, "has 160 bytes, and its shape")


def test_bytes_of_every_type():
    for data_type, shape, size in (
        (TensorProto.FLOAT, (3, 5), 60),
        (TensorProto.BFLOAT16, (3, 5), 30),
        (TensorProto.INT4, (3, 5), 8),
        (TensorProto.UINT4, (), 1),
        (TensorProto.BOOL, (0, 7), 0),
        (TensorProto.COMPLEX128, (2,), 32),
        (TensorProto.STRING, (2,), None),
        (TensorProto.UNDEFINED, (2,), None),
        (99, (2,), None),
    ):
        assert bytes_of(TensorProto(data_type=data_type, dims=shape)) == size


@pytest.mark.parametrize(
    "location",
    [".", "./", "..", "/", "a/..", "weights.bin/", "weights.bin/..", "//etc/passwd", "C:\\a", "sub", "fifo", "loop",
     "null", "a\0b", "x" * 5000, "x/" * 3000 + "x", "weights.bin/x", "dangling", "\ud7ff\u202e"],
)  # fmt: skip
def test_locations_that_are_no_file_of_the_folder(stored, location):
    path = stored(("location", location))
    (path.parent / "sub").mkdir()
    os.mkfifo(path.parent / "fifo")
    (path.parent / "loop").symlink_to("loop")
    (path.parent / "null").symlink_to("/dev/zero")
    (path.parent / "dangling").symlink_to("nothing")
    refused(path, r"external data of 'w' is (at|missing)")


def test_a_location_that_is_no_text(stored):
    path = stored()
    path.write_bytes(path.read_bytes().replace(NAME.encode(), b"weight\xff.bin"))
    refused(path, "is damaged: a name is no text")


def cache(stored, tmp_path):
    """A cache of models: both names are links to files of other names in one folder."""
    path = stored(folder=tmp_path / "blobs")
    path.rename(path.with_name("aaaa"))
    (path.parent / NAME).rename(path.with_name("bbbb"))
    named = tmp_path / "snapshots" / "rev"
    named.mkdir(parents=True)
    (named / "m.onnx").symlink_to("../../blobs/aaaa")
    (named / NAME).symlink_to("../../blobs/bbbb")
    return named / "m.onnx"


def linked(stored, tmp_path):
    """A link to a model, and its data next to the link."""
    path = stored(folder=tmp_path / "elsewhere")
    (path.parent / NAME).rename(tmp_path / NAME)
    (tmp_path / "link.onnx").symlink_to(path)
    return tmp_path / "link.onnx"


def linked_folder(stored, tmp_path):
    """A link to the folder of both."""
    path = stored(folder=tmp_path / "real")
    (tmp_path / "folder").symlink_to("real")
    return tmp_path / "folder" / path.name


def inside(stored, tmp_path):
    """Data that is a link to another file of the model's folder."""
    path = stored(folder=tmp_path / "real")
    (path.parent / "sub").mkdir()
    (path.parent / NAME).rename(path.parent / "sub" / "x")
    (path.parent / NAME).symlink_to("sub/x")
    return path


@pytest.mark.parametrize("layout", [cache, linked, linked_folder, inside])
def test_links_are_followed_as_onnxruntime_does(stored, weights, tmp_path, layout, monkeypatch):
    path = layout(stored, tmp_path)
    assert runs(path)
    np.testing.assert_array_equal(weights_of(path), weights)
    monkeypatch.chdir(path.parent)
    np.testing.assert_array_equal(weights_of(path.name), weights)
    names = list(model_files(path))
    assert names == [path.name, NAME]


def test_data_beside_what_a_link_leads_to(stored, weights, tmp_path):
    path = stored(folder=tmp_path / "real")
    (tmp_path / "link.onnx").symlink_to(path)
    np.testing.assert_array_equal(weights_of(tmp_path / "link.onnx"), weights)
    # A file next to the link comes first, as onnxruntime alone would take it.
    (tmp_path / NAME).write_bytes(bytes(160))
    assert runs(tmp_path / "link.onnx")
    assert not weights_of(tmp_path / "link.onnx").any()


def test_links_that_lead_out(stored, tmp_path):
    path = stored(folder=tmp_path / "m")
    (path.parent / NAME).rename(tmp_path / "secret")
    for link, target in ((NAME, "../secret"), ("up", "..")):
        (path.parent / link).symlink_to(target)
    assert not runs(path)
    refused(path, r"is at 'weights\.bin'; it must be a file inside the model's folder")
    refused(stored(("location", "up/secret")), r"is at 'up/secret'; it must be a file inside the model's folder")
    # Next to a link to the model, a link to a third folder.
    other = tmp_path / "other"
    other.mkdir()
    (other / "m.onnx").symlink_to("../m/m.onnx")
    (other / NAME).symlink_to("../secret")
    stored(("location", NAME))
    (path.parent / NAME).unlink()
    assert not runs(other / "m.onnx")
    refused(other / "m.onnx", r"is at 'weights\.bin'; it must be a file inside the model's folder")


def test_a_model_in_memory_names_no_file(stored, tmp_path):
    """A place in memory is an absolute path: nobody else's may be taken for one."""
    (tmp_path / "secret").write_bytes(bytes(160))
    path = stored(("location", str(tmp_path / "secret")), ("offset", "0"), ("length", "160"))
    model = onnx.load(path, load_external_data=False)
    with pytest.raises(InputError, match=r"^model: 'w' has external data; give the path, or load it with onnx\.load$"):
        compress_model(model, max_error="2%")


def test_many_tensors_of_one_file_with_a_hole(stored, monkeypatch):
    path = stored(("location", NAME), ("length", "160"))
    model = onnx.load(path, load_external_data=False)
    for number in range(9):
        model.graph.initializer.add().CopyFrom(model.graph.initializer[0])
        model.graph.initializer[-1].name = f"w{number}"
    path.write_bytes(model.SerializeToString())
    load_model(path)
    monkeypatch.setattr("dnnzip.inputs.memory.most_memory", lambda: 1599)
    with pytest.raises(InputError, match=r"m\.onnx: external data of 'w': needs 1.6e-06 GB of memory for 1600 bytes, "):
        load_model(path)
