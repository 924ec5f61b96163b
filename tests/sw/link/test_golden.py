"""The golden link is the reference decoder: it has nothing in common with the decoder that it is compared with."""

import random

import numpy as np
import pytest

from dnnzip.array.job import open_array
from dnnzip.codec import decode_tensor, fast
from dnnzip.codec.line import fast as line_fast
from dnnzip.codec.raw import fast as raw_fast
from dnnzip.digits import MODEL
from dnnzip.errors import InputError
from dnnzip.format import Verdict
from dnnzip.format.array import ArrayShape
from dnnzip.link import open_link
from dnnzip.link.golden import GoldenLink


@pytest.fixture
def compressed(dnnzip, tmp_path):
    path = tmp_path / "c.onnx"
    options = ("--max-error", "2%", "--layers", "conv1.weight", "--layers", "fc3.weight", "--quiet")
    assert dnnzip("compress", MODEL, "-o", path, *options)[0] == 0
    return path


def test_a_fault_of_the_fast_decoder_is_seen(good, fault, compressed, monkeypatch):
    assert good("simulate", compressed, "--link", "golden", "--quiet") == ""
    decode = fast.decode

    def faulty(*arguments):
        decoded = decode(*arguments)
        if decoded.codes is not None:
            decoded.codes.reshape(-1)[7] += 1
        return decoded

    monkeypatch.setattr(fast, "decode", faulty)
    line = fault("simulate", compressed, "--link", "golden", "--quiet", status=1)
    assert line == "layer 'conv1.weight': 1 weights differ from the software decoder's"


def test_it_decodes_without_the_fast_decoder(monkeypatch):
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    codes = np.random.default_rng(seed).integers(-128, 128, (5, 12)).astype(np.int16)
    streams = [raw_fast.encode(codes.reshape(-1), 5, 8), line_fast.encode(codes.reshape(-1), 5)]
    assert all(np.array_equal(decode_tensor(stream, b""), codes) for stream in streams)
    monkeypatch.delattr(fast, "decode")
    link = GoldenLink()
    results = link.decode(b"", [*streams, streams[0][:-2], b""])
    assert [result.verdict for result in results] == [Verdict.OK, Verdict.OK, Verdict.TRUNCATED, Verdict.TRUNCATED]
    assert [result.codes is None for result in results] == [False, False, True, True]
    for result in results[:2]:
        assert result.codes.dtype == np.int16
        assert np.array_equal(result.codes, codes)
    assert link.last_run.weights == 120


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("golden:x", "--link golden:x: the golden link takes no argument; --link golden"),
        ("serial:", "--link serial: names no port; for example serial:/dev/ttyUSB0"),
        ("gold", "--link: no link is named 'gold'; one of golden, "),
        ("", "--link: no link is named ''; one of golden, "),
        ("\x1b[31m", r"--link: no link is named '\x1b[31m'; one of golden, "),
    ],
)
def test_a_name_that_is_no_link(dnnzip, compressed, name, line):
    status, out, err = dnnzip("simulate", compressed, "--link", name)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"dnnzip: {line}")


@pytest.mark.parametrize("name", ["golden:x", "serial:", "gold", "", "golden:\x1b[31m"])
def test_a_name_that_is_no_array(name):
    with pytest.raises(InputError, match=r"^link"):
        open_array(name, ArrayShape())


def test_an_empty_argument_is_none():
    assert isinstance(open_link("golden:"), GoldenLink)
