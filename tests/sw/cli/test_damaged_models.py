"""Damaged and newer compressed models: one line that names the layer, exit status 2, nothing written."""

import onnx
import pytest
from command_models import damage

from dnnzip.digits import TEST_SET


def test_a_check_that_fails_leaves_the_output_that_was_there(dnnzip, compressed, tmp_path):
    target = tmp_path / "old.onnx"
    target.write_text("old")
    damage(compressed, compressed, lambda stream: stream[:-1] + bytes([stream[-1] ^ 1]))
    assert dnnzip("decompress", compressed, "-o", target)[0] == 2
    assert target.read_text() == "old"


READERS = {
    "decompress": lambda path, folder: ("decompress", path, "-o", folder / "out.onnx"),
    "verify": lambda path, folder: ("verify", folder / "small.onnx", path),
    "evaluate": lambda path, _: ("evaluate", path, "--data", TEST_SET),
    "simulate": lambda path, folder: ("simulate", path, "--link", "golden", "-o", folder / "out.onnx"),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda stream: stream[:-1] + bytes([stream[-1] ^ 1]), id="crc"),
        pytest.param(lambda stream: stream[:30] + bytes([stream[30] ^ 8]) + stream[31:], id="payload"),
        pytest.param(lambda stream: stream[:-2], id="cut"),
        pytest.param(lambda stream: stream + b"\0\0", id="longer"),
        pytest.param(lambda stream: stream[:9] + bytes([stream[9] ^ 1]) + stream[10:], id="header"),
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"no stream at all, but text", id="text"),
    ],
)
def test_a_damaged_stream(fault, compressed, tmp_path, reader, change):
    damage(compressed, compressed, change)
    line = fault(*READERS[reader](compressed, tmp_path))
    assert line.startswith(f"{compressed}: layer 'w': ")
    assert "damaged" in line
    assert line.endswith("; compress the model again")


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_table_set(fault, compressed, tmp_path, reader):
    damage(compressed, compressed, lambda tables: tables[:9] + bytes([tables[9] ^ 1]) + tables[10:], "tables")
    line = fault(*READERS[reader](compressed, tmp_path))
    assert line.startswith(f"{compressed}: ")
    assert "damaged" in line


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("which", ["stream", "tables"])
def test_a_newer_format(fault, compressed, tmp_path, reader, which):
    damage(compressed, compressed, lambda data: data[:1] + bytes([data[1] & ~7 | 2]) + data[2:], which)
    line = fault(*READERS[reader](compressed, tmp_path))
    assert line.startswith(f"{compressed}: layer 'w': ")
    assert "newer format version" in line
    assert "update dnnzip" in line


def test_a_newer_format_with_another_header(fault, compressed):
    damage(compressed, compressed, lambda data: data[:1] + bytes([data[1] & ~7 | 2]) + bytes(len(data) - 2))
    assert "newer format version" in fault("info", compressed)


def test_a_newer_operator(fault, compressed):
    model = onnx.load(compressed)
    next(entry for entry in model.opset_import if entry.domain == "dnnzip").version = 4
    onnx.save(model, compressed)
    line = fault("info", compressed)
    assert line == f"{compressed}: is of version 4 of the dnnzip operators, and 3 is known; update dnnzip to read it"


def test_info_of_a_model_whose_payload_is_damaged_still_answers(dnnzip, compressed):
    """It reads headers alone: what it shows is what the file says of itself."""
    damage(compressed, compressed, lambda stream: stream[:30] + bytes([stream[30] ^ 8]) + stream[31:])
    assert dnnzip("info", compressed)[0] == 0
