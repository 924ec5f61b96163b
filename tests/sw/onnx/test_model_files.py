import os
import threading

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dnnzip.digits import MODEL
from dnnzip.errors import DnnzipError, InputError
from dnnzip.onnx import files
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import load_model, open_model, save_model
from dnnzip.onnx.opening import read_compressed
from dnnzip.onnx.skeleton import without_arrays
from dnnzip.system.outputs import open_output, write_output


def external(networks, folder, location="weights.bin"):
    """A model whose weight is in a file next to it."""
    model = networks.float_network("MatMul").model
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return model


def test_external_data_is_read_from_the_models_folder(networks, tmp_path):
    original = numpy_helper.to_array(networks.float_network("MatMul").model.graph.initializer[0])
    (tmp_path / "m.onnx").write_bytes(external(networks, tmp_path).SerializeToString())
    model = load_model(tmp_path / "m.onnx")
    np.testing.assert_array_equal(numpy_helper.to_array(model.graph.initializer[0]), original)
    assert not model.graph.initializer[0].external_data
    compressed, _ = networks.compress(model)
    onnx.checker.check_model(compressed, full_check=True)


@pytest.mark.parametrize(
    "location",
    ["/etc/passwd", "../weights.bin", "sub/../../weights.bin", "sub/../weights.bin", "link.bin", "", "..\\weights.bin"],
)
def test_external_data_never_leaves_the_folder(networks, tmp_path, location):
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "weights.bin").write_bytes(b"secret" * 100)
    (inner / "link.bin").symlink_to(tmp_path / "weights.bin")
    (inner / "m.onnx").write_bytes(external(networks, inner, location).SerializeToString())
    with pytest.raises(InputError, match=r"m\.onnx: external data of 'w' is at .*; it must be a file inside"):
        load_model(inner / "m.onnx")


def test_external_data_of_an_attribute_is_checked_too(networks, tmp_path):
    model = external(networks, tmp_path, "../weights.bin")
    tensor = model.graph.initializer.pop()
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["w"], value=tensor))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"external data of 'w' is at '\.\./weights\.bin'"):
        load_model(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("key", "value"), [("length", "1000000000000"), ("offset", "9" * 40), ("offset", "4"), ("offset", "160")]
)
def test_external_data_stays_within_its_file(networks, tmp_path, key, value):
    model = external(networks, tmp_path)
    model.graph.initializer[0].external_data.add(key=key, value=value)
    if key == "offset":
        model.graph.initializer[0].external_data.add(key="length", value="160")
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"external data of 'w' lies outside 'weights\.bin'; .* within its 160 bytes"):
        load_model(tmp_path / "m.onnx")


def test_external_data_that_is_missing(networks, tmp_path):
    (tmp_path / "m.onnx").write_bytes(external(networks, tmp_path, "gone.bin").SerializeToString())
    with pytest.raises(InputError, match=r"external data of 'w' is missing: 'gone\.bin' is no file beside it"):
        load_model(tmp_path / "m.onnx")


def test_what_is_no_model_is_one_line(networks, tmp_path):
    whole = networks.float_network("Conv2D").model.SerializeToString()
    cases = {
        "empty.onnx": (b"", "is empty"),
        "text.onnx": (b"hello world, this is no model\n", "is not an ONNX model, or is truncated"),
        "zeros.onnx": (bytes(1000), "is not an ONNX model, or is truncated"),
        "short.onnx": (whole[: len(whole) // 2], "is not an ONNX model, or is truncated"),
        "head.onnx": (whole[:2], "is not an ONNX model, or is truncated"),
        "tail.onnx": (whole[:-4], "is not an ONNX model, or is truncated"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: {message}; name an? ") as caught:
            load_model(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"none\.onnx: cannot be read \(No such file or directory\); "):
        load_model(tmp_path / "none.onnx")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\); "):
        load_model(tmp_path)


def test_names_that_are_no_text_and_nodes_without_outputs(networks, tmp_path):
    model = networks.float_network("Conv2D").model
    for wrong in (model.SerializeToString().replace(b"small", b"sm\xffll"), bytes_without_output(model)):
        (tmp_path / "m.onnx").write_bytes(wrong)
        with pytest.raises(InputError, match=r"m\.onnx: is damaged: a name is no text, or a node has no output; "):
            load_model(tmp_path / "m.onnx")


def bytes_without_output(model):
    del model.graph.node[0].output[:]
    return model.SerializeToString()


def test_any_damage_is_one_of_our_errors(networks, tmp_path):
    seed = 11
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for network, bound in ((networks.float_network("Conv2D"), "2%"), (networks.qdq_network("Gemm"), "1lsb")):
        whole = networks.compress(network.model, bound)[0].SerializeToString()
        refused = []
        for _ in range(300):
            damaged = bytearray(whole)
            for position in rng.integers(len(whole), size=rng.integers(1, 4)):
                damaged[position] = rng.integers(256)
            (tmp_path / "m.onnx").write_bytes(damaged)
            try:
                decompressed(read_compressed(tmp_path / "m.onnx"))
            except DnnzipError as error:
                refused.append(str(error))
        # What is left are names, texts and bounds, which nothing else tells the truth about.
        assert len(refused) > 200
        assert not [message for message in refused if "\n" in message]


def stop_halfway(path):
    with open_output(path) as beside:
        beside.write_bytes(b"half")
        assert path.read_bytes() == b"before"
        raise RuntimeError("halfway")


def test_an_output_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"before")
    path.chmod(0o640)
    with pytest.raises(RuntimeError, match="halfway"):
        stop_halfway(path)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208 - hidden files are what matters here
    write_output(path, b"after")
    assert path.read_bytes() == b"after"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_output(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"content"


def test_a_pipe_is_written_through(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    write_output(pipe, b"through")
    reader.join(10)
    assert received == [b"through"]
    assert pipe.is_fifo()
    write_output("/dev/null", b"nothing")


def test_a_model_comes_out_of_a_pipe_which_is_opened_once(tmp_path):
    """Who opens a pipe and leaves it again breaks it for its writer; opening one that nobody writes does not return."""
    pipe = tmp_path / "model.onnx"
    os.mkfifo(pipe)
    found = []
    opener = threading.Thread(target=lambda: found.append(without_arrays(pipe, 0)), daemon=True)
    opener.start()
    opener.join(5)
    assert found == [None]
    writer = threading.Thread(target=lambda: pipe.write_bytes(MODEL.read_bytes()))
    writer.start()
    assert open_model(pipe).SerializeToString() == load_model(MODEL).SerializeToString()
    writer.join()


def test_an_output_that_cannot_be_written(tmp_path):
    for path, message in (
        (tmp_path, "is a directory; name a file"),
        (tmp_path / "none" / "out", r"cannot be written \(No such file or directory\); "),
        (tmp_path / ("n" * 300), r"cannot be written \(File name too long\); "),
        ("/dev/full", r"cannot be written \(No space left on device\); "),
    ):
        with pytest.raises(InputError, match=message):
            write_output(path, b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_large_model_goes_beside_its_arrays(networks, tmp_path, monkeypatch):
    model = networks.float_network("Conv2D").model
    big = np.arange(1000, dtype=np.float32).reshape(10, 100)
    model.graph.initializer.append(numpy_helper.from_array(big, "big"))
    monkeypatch.setattr(files, "LARGEST_MESSAGE", 2000)
    save_model(model, tmp_path / "m.onnx")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert load_model(tmp_path / "m.onnx").SerializeToString() == model.SerializeToString()
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match=r"pipe: takes no model of more than 2 GB"):
        save_model(model, pipe)
