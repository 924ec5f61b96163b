"""Files that declare more than there is memory for: one line that names file and layer, status 2, no output."""

import os
import re
import resource
import subprocess

import numpy as np
import onnx
import pytest
from command_models import DNNZIP
from onnx import TensorProto, helper, numpy_helper

from dnnzip.digits import TEST_SET
from dnnzip.errors import InputError
from dnnzip.format import ESCAPE, MAX_WEIGHTS_PER_BIT, TOKEN_ORDER, Codec, TableSet, WeightHeader
from dnnzip.inputs.memory import memory_for, most_memory
from dnnzip.onnx.files import LARGEST_MESSAGE
from dnnzip_sim.stimulus.damage import CRC_BYTES, resealed

GIGABYTE = 1 << 30
LIMIT = 3 * GIGABYTE
HOLE = 1 << 42
"""Bytes of a file with a hole: more than machines have."""

#: Two bytes of codes for each weight: over the limit; and under it, but above what the loaded libraries leave of it.
BEYOND, TIGHT = 1 << 31, 11 << 27


@pytest.fixture
def limited(tmp_path):
    """Run dnnzip under the limit; it has to fail with one line, which is returned, and to leave no file behind."""

    def run(*arguments):
        before = sorted(tmp_path.iterdir())
        done = subprocess.run(
            [DNNZIP, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=600,
            # Threads of the linear algebra take room for their stacks.
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
        )
        assert (done.returncode, done.stdout) == (2, ""), done.stderr[-2000:]
        assert done.stderr.count("\n") == 1, done.stderr[-2000:]
        assert sorted(tmp_path.iterdir()) == before
        return done.stderr.removeprefix("dnnzip: ").rstrip("\n")

    return run


def zeros(weights):
    """Return a table set in which a zero takes no bits, and a stream of ``weights`` zeros, 4096 in a bit."""
    counts = tuple({0: 512}.get(token, 0) for token in TOKEN_ORDER)
    assert ESCAPE in TOKEN_ORDER
    table_set = TableSet(9, ((0,) * 3,) * 8, (0,), (counts,))
    words = weights // MAX_WEIGHTS_PER_BIT // 16
    header = WeightHeader(
        codec=Codec.ANS,
        channels=weights >> 20,
        length=1 << 20,
        payload_words=words,
        log2_states=9,
        table_set=table_set.table_set,
    )
    return table_set.to_bytes(), resealed(header.pack() + bytes(2 * words) + bytes(CRC_BYTES))


def declare(path, weights):
    """Replace the layer of a compressed model by zeros."""
    model = onnx.load(path)
    tables, stream = zeros(weights)
    node = next(node for node in model.graph.node if node.domain == "dnnzip")
    for tensor in model.graph.initializer:
        if tensor.name in node.input[:2]:
            content = stream if tensor.name == node.input[0] else tables
            tensor.CopyFrom(numpy_helper.from_array(np.frombuffer(content, np.uint8), tensor.name))
    next(entry for entry in node.attribute if entry.name == "shape").ints[:] = [1 << 20, weights >> 20]
    onnx.save(model, path)


def with_hole(path, name, data_type, size):
    """Put an initializer of a number of bytes into a file with a hole next to the model."""
    model = onnx.load(path)
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    itemsize = np.dtype(helper.tensor_dtype_to_np_dtype(data_type)).itemsize
    tensor.CopyFrom(TensorProto(name=name, data_type=data_type, dims=[size // itemsize]))
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "hole.bin"), ("offset", 0), ("length", size)):
        tensor.external_data.add(key=key, value=str(value))
    onnx.save(model, path)
    with path.with_name("hole.bin").open("wb") as file:
        file.truncate(size)


COMMANDS = {
    "decompress": lambda path, folder: ("decompress", path, "-o", folder / "out.onnx"),
    "evaluate": lambda path, _: ("evaluate", path, "--data", TEST_SET),
    "simulate": lambda path, folder: ("simulate", path, "--link", "golden", "-o", folder / "out.onnx"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("weights", [pytest.param(BEYOND, id="beyond"), pytest.param(TIGHT, id="tight")])
def test_more_weights_than_memory(limited, compressed, tmp_path, command, weights):
    declare(compressed, weights)
    assert compressed.stat().st_size < 100_000
    line = limited(*COMMANDS[command](compressed, tmp_path))
    assert line.startswith(f"{compressed}: ")
    assert "GB of memory for " in line
    assert line.endswith("; use a machine with more memory")
    if command == "decompress":
        size, rest = (2 * weights + len(zeros(weights)[1])) / 1e9, "which cannot be had"
        fault = f"needs {size:.3g} GB of memory for {weights} values, "
        rest = f"and there are {LIMIT / 1e9:.3g} GB" if weights == BEYOND else rest
        assert line == f"{compressed}: layer 'w': {fault}{rest}; use a machine with more memory"


def test_info_needs_no_memory_for_weights(compressed):
    declare(compressed, BEYOND)
    done = subprocess.run([DNNZIP, "info", compressed], capture_output=True, text=True, check=True)
    assert f"{BEYOND:,}" in done.stdout


@pytest.mark.parametrize("command", ["info", *COMMANDS])
def test_a_stream_in_a_file_with_a_hole(limited, compressed, tmp_path, command):
    with_hole(compressed, "w.stream", TensorProto.UINT8, HOLE)
    arguments = ("info", compressed) if command == "info" else COMMANDS[command](compressed, tmp_path)
    line = limited(*arguments)
    assert line.startswith(f"{compressed}: ")
    assert "'w" in line
    assert f"needs {HOLE / 1e9:.3g} GB of memory" in line


@pytest.mark.parametrize(("name", "kind"), [("dnnzip.tables", TensorProto.UINT8), ("w.step", TensorProto.FLOAT)])
def test_the_rest_of_a_layer_in_a_file_with_a_hole(limited, compressed, name, kind):
    with_hole(compressed, name, kind, HOLE)
    line = limited("info", compressed)
    assert name in line
    assert f"needs {HOLE / 1e9:.3g} GB of memory" in line


def test_a_plain_weight_in_a_file_with_a_hole(limited, small, tmp_path):
    with_hole(small, "w", TensorProto.FLOAT, HOLE)
    model = onnx.load(small, load_external_data=False)
    model.graph.initializer[0].dims[:] = [1 << 19, HOLE >> 21]
    onnx.save(model, small)
    line = limited("compress", small, "-o", tmp_path / "out.onnx", "--max-error", "2%")
    assert line.startswith(f"{tmp_path / 'hole.bin'}: layer 'w': needs {HOLE / 1e9:.3g} GB of memory for {HOLE} bytes")


def test_a_model_file_that_is_a_hole(limited, tmp_path):
    path = tmp_path / "hole.onnx"
    with path.open("wb") as file:
        file.truncate(HOLE)
    line = limited("info", path)
    assert line == f"{path}: has more than {LARGEST_MESSAGE} bytes; name an ONNX file"


def test_memory_that_ends_elsewhere_is_one_line(dnnzip, compressed, monkeypatch):
    monkeypatch.delenv("DNNZIP_DEBUG")

    def exhausted(*_):
        raise MemoryError("an array of 9 TB")

    monkeypatch.setattr("dnnzip.usecases.summary.summarise", exhausted)
    status, out, err = dnnzip("info", compressed)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"dnnzip: out of memory: MemoryError: an array of 9 TB \(.*\); use a machine with .*\n", err)


def test_memory_for_lets_other_errors_through():
    with pytest.raises(ValueError, match=r"^of the block$"), memory_for("here", "a thing", 1):
        raise ValueError("of the block")
    entered = []
    message = rf"^here: needs {most_memory() / 1e9 + 1:.3g} GB of memory for a thing, and there are "
    with pytest.raises(InputError, match=message), memory_for("here", "a thing", most_memory() + 10**9):
        entered.append(True)
    assert not entered
