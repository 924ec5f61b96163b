"""The registry: what its rows have, and a fourth codec, which needs its package and one row alone."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import dnnzip as package
from dnnzip.codec import CodecOptions, CodeTensor, decode_tensor, encode_network, fast, reference
from dnnzip.codec.registry import SPECS, codec_for, register
from dnnzip.digits import MODEL
from dnnzip.errors import InputError
from dnnzip.format import AUTO, CODECS, Codec, CodecRules, Limits, Verdict, WeightStream, codec_choices
from dnnzip.link.golden import GoldenLink

sys.path.insert(0, str(Path(__file__).parent))  # differences
import differences


@pytest.fixture
def fourth():
    """Have a fourth codec in the registry."""
    register(differences.SPEC)
    yield differences.SPEC
    del SPECS[differences.NAME], CODECS[differences.CODE]


@pytest.fixture
def good(dnnzip):
    """Run a command that must succeed and complain of nothing; returns what it says in JSON."""

    def run(*arguments):
        status, out, err = dnnzip(*arguments, "--json", "-")
        assert (status, err) == (0, "")
        return json.loads(out)

    return run


def tensor(seed=1, shape=(7, 50)):
    return CodeTensor("w", np.random.default_rng(seed).integers(-32768, 32768, shape).astype(np.int16))


def test_every_codec_of_the_format_has_a_row():
    assert {spec.rules.code: spec.rules for spec in SPECS.values()} == CODECS
    assert {rules.code: rules.name.upper() for rules in CODECS.values()} == {codec: codec.name for codec in Codec}
    assert all(spec is SPECS[name] and spec.rules.name == name for name, spec in SPECS.items())
    assert codec_choices() == ("auto", "ans", "line", "raw")
    assert codec_for(AUTO) is SPECS["ans"]


@pytest.mark.parametrize(("code", "name"), [(3, "raw"), (3, "auto"), (Codec.LINE, "differences"), (Codec.RAW, "raw")])
def test_a_name_or_a_number_of_another_codec_is_refused(code, name):
    before = dict(SPECS), dict(CODECS)
    spec = differences.SPEC
    own = type(spec)(CodecRules(code, name), spec.decode_reference, spec.decode_fast, spec.open_encoder)
    with pytest.raises(ValueError, match=f"^a codec's name and number must be its own, not '{name}' and {int(code)}$"):
        register(own)
    assert before == (SPECS, CODECS)


def test_a_fourth_codec_on_the_command_line(fourth, good, tmp_path):
    compressed, plain = tmp_path / "m.dnz.onnx", tmp_path / "p.onnx"
    made = good("compress", MODEL, "-o", compressed, "--max-error", "2%", "--codec", fourth.rules.name)
    told = good("info", compressed)
    for summary in (made, told):
        assert {layer["codec"] for layer in summary["layers"]} == {fourth.rules.name}
    assert made["totals"]["table_bytes"] == 0
    checked = good("verify", MODEL, compressed)
    assert all(layer["ok"] for layer in checked["layers"])
    good("decompress", compressed, "-o", plain)
    simulated = good("simulate", compressed, "--link", "golden")
    assert simulated["mismatches"] == 0
    assert simulated["weights"] == sum(layer["weights"] for layer in made["layers"])
    estimate = good("estimate", compressed, "--accelerator", "edge-lpddr4")
    assert estimate["total"]
    image = good("image", compressed, "-o", tmp_path / "image")
    assert {stream["codec"] for stream in image["streams"]} == {fourth.rules.name}


def test_a_fourth_codec_from_python(fourth):
    array = np.random.default_rng(3).normal(0, 1, (20, 30)).astype(np.float32)
    compressed = package.compress(array, 0.01, codec=fourth.rules.name)
    assert compressed.codec == fourth.rules.name
    assert np.abs(compressed.decode() - array).max() <= 0.01


def test_every_decoder_of_a_fourth_codec_gives_the_codes(fourth):
    wanted = tensor()
    encoded = encode_network([wanted], CodecOptions(fourth.rules.name, groups=3))
    assert (encoded.tables, encoded.codecs) == (b"", [fourth.rules.name])
    parts = WeightStream.split(encoded.streams[0])
    assert [part.header.codec for part in parts] == [differences.CODE] * 3
    assert np.array_equal(decode_tensor(encoded.streams[0], b""), wanted.codes)
    slow = [reference.decode(part.data).codes for part in parts]
    assert np.array_equal(np.concatenate(slow), wanted.codes)
    linked = [result.codes for result in GoldenLink().decode(b"", [part.data for part in parts])]
    assert np.array_equal(np.concatenate(linked), wanted.codes)


@pytest.mark.parametrize(
    ("harm", "verdict"),
    [
        (lambda stream: stream[:-6], Verdict.TRUNCATED),
        (lambda stream: stream + bytes(2), Verdict.TRAILING),
        (lambda stream: stream[:20] + bytes([stream[20] ^ 1]) + stream[21:], Verdict.BAD_CRC),
        (lambda stream: stream[:5] + bytes([stream[5] ^ 1]) + stream[6:], Verdict.BAD_HEADER),
    ],
)
def test_a_damaged_stream_of_a_fourth_codec_has_its_verdict(fourth, harm, verdict):
    stream = encode_network([tensor()], CodecOptions(fourth.rules.name)).streams[0]
    assert fast.decode(stream).verdict == reference.decode(stream).verdict == Verdict.OK
    assert fast.decode(harm(stream)).verdict == reference.decode(harm(stream)).verdict == verdict


def test_without_its_row_a_fourth_codec_is_unsupported(dnnzip, tmp_path):
    stream = differences.fast.encode_part(tensor().codes)
    assert fast.decode(stream).verdict == reference.decode(stream, limits=Limits()).verdict == Verdict.UNSUPPORTED
    status, _, err = dnnzip(
        "compress", MODEL, "-o", tmp_path / "m.dnz.onnx", "--max-error", "2%", "--codec", differences.NAME
    )
    assert status == 2
    assert "'differences' is not one of 'auto', 'ans', 'line', 'raw'" in err
    with pytest.raises(InputError, match=r"^codec: is 'differences'; give 'auto', 'ans', 'line', 'raw'$"):
        package.compress(np.ones((3, 4), np.float32), 0.1, codec=differences.NAME)
