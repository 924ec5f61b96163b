"""Whole networks: what is encoded comes back, whatever the options, and is never larger than it has to be."""

import dataclasses
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnzip.codec import (
    CodecOptions,
    CodeTensor,
    RawTensor,
    decode_tensor,
    encode_network,
    join_parts,
    reference,
    stream_count,
)
from dnnzip.codec.ans import planning
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import RAW_WIDTHS, TableSet, Verdict, VerdictError, WeightStream
from dnnzip_sim.stimulus.table_sets import single_token

CODECS = ("auto", "ans", "raw")


def laplace(seed, channels, length, scale, spread=0.5):
    """Codes that look like trained weights: channels of different scales."""
    rng = np.random.default_rng(seed)
    scales = scale * np.exp(spread * rng.standard_normal((channels, 1)))
    return np.rint(rng.laplace(0, 1, (channels, length)) * scales).clip(-32767, 32767).astype(np.int16)


def network(seed=0):
    """One tensor of each kind of a convolutional network, and one that is stored losslessly."""
    return [
        CodeTensor("conv", laplace(seed, 24, 3 * 25, 8), (5, 5)),
        CodeTensor("depthwise", laplace(seed + 1, 30, 9, 20), (3, 3)),
        CodeTensor("pointwise", laplace(seed + 2, 40, 24, 4)),
        RawTensor("bytes", np.random.default_rng(seed).integers(0, 1 << 16, 77).astype(np.uint16)),
        CodeTensor("dense", laplace(seed + 3, 10, 300, 2)),
        CodeTensor("wide kernel", laplace(seed + 4, 4, 44, 3), (1, 11)),
    ]


def check(tensors, options=None):
    """Encode, decode with both decoders, compare; return the encoded network."""
    encoded = encode_network(tensors, options)
    assert len(encoded.streams) == len(encoded.codecs) == len(tensors)
    tables = TableSet.from_bytes(encoded.tables) if encoded.tables else None
    assert bool(encoded.tables) == ("ans" in encoded.codecs)
    for tensor, stream, codec in zip(tensors, encoded.streams, encoded.codecs, strict=True):
        decoded = decode_tensor(stream, encoded.tables)
        if isinstance(tensor, RawTensor):
            assert codec == "raw"
            assert np.array_equal(decoded.reshape(-1).view(np.uint16), items16(tensor))
        else:
            assert np.array_equal(decoded, tensor.codes)
        parts = WeightStream.split(stream)
        assert b"".join(part.data for part in parts) == stream
        assert stream_count(stream) == (tensor.items if isinstance(tensor, RawTensor) else tensor.codes).size
        if decoded.size <= 20_000:
            slow = [reference.decode(part.data, tables) for part in parts]
            assert {part.verdict for part in slow} == {Verdict.OK}
            assert np.array_equal(join_parts([np.array(part.codes, np.int16) for part in slow], parts), decoded)
    return encoded


def items16(tensor):
    """The items of a lossless tensor as the codec yields them: sign-extended to 16 bits."""
    return tensor.items.view(f"i{tensor.items.itemsize}").astype(np.int16).view(np.uint16)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("log2_states", [8, 9, 10])
def test_a_network_comes_back(codec, log2_states):
    encoded = check(network(), CodecOptions(codec, log2_states))
    if codec != "auto":
        assert set(encoded.codecs) == ({"raw"} if codec == "raw" else {"ans", "raw"})
    for stream, own in zip(encoded.streams, encoded.codecs, strict=True):
        if own == "ans":
            assert WeightStream.from_bytes(stream).header.log2_states == log2_states


@pytest.mark.parametrize(("groups", "virtual_lanes"), [(1, None), (1, 16), (2, 1), (3, 4), (7, 2), (64, None)])
def test_groups_and_virtual_lanes(groups, virtual_lanes):
    tensors = network(3)
    encoded = check(tensors, CodecOptions("ans", virtual_lanes=virtual_lanes, groups=groups))
    for tensor, stream, codec in zip(tensors, encoded.streams, encoded.codecs, strict=True):
        if codec != "ans":
            continue
        headers = [part.header for part in WeightStream.split(stream)]
        channels = tensor.codes.shape[0]
        assert len(headers) == min(groups, channels)
        assert sum(header.channels for header in headers) == channels
        # As evenly as whole channels allow.
        assert max(header.channels for header in headers) - min(header.channels for header in headers) <= 1
        if virtual_lanes:
            for header in headers:
                assert header.lanes == min(virtual_lanes, 1 << header.channels.bit_length() - 1)


def test_threads_change_nothing():
    one = encode_network(network(5), CodecOptions(jobs=1, groups=2))
    assert encode_network(network(5), CodecOptions(jobs=4, groups=2)) == one
    assert encode_network(network(5), CodecOptions(jobs=1, groups=2)) == one


def test_progress_names_every_tensor_once():
    names = []
    encode_network(network(), CodecOptions(jobs=2), names.append)
    assert sorted(names) == sorted(tensor.name for tensor in network())


def test_a_given_table_set_is_used_as_it_is():
    trained = TableSet.from_bytes(encode_network(network(1), CodecOptions("ans")).tables)
    encoded = check(network(2), CodecOptions("ans", table_set=trained))
    assert encoded.tables == trained.to_bytes()
    declared = dataclasses.replace(trained, declared_id=0x1234)
    assert TableSet.from_bytes(check(network(2), CodecOptions("ans", table_set=declared)).tables).table_set == 0x1234


def with_columns(seed):
    """Tensors whose input channels have scales of their own, and whose taps resemble their neighbours."""
    rng = np.random.default_rng(seed)
    tensors = []
    for channels, inputs in ((32, 32), (64, 32), (16, 128)):
        scales = 8 * np.exp(rng.normal(0, 0.5, (channels, 1, 1))) * np.exp(rng.normal(0, 0.7, (1, inputs, 1)))
        weights = rng.laplace(0, 1, (channels, inputs, 9)) * scales
        for tap in range(1, 9):
            weights[:, :, tap] += 0.4 * weights[:, :, tap - 1]
        codes = np.rint(weights).clip(-127, 127).astype(np.int16).reshape(channels, -1)
        tensors.append(CodeTensor(str(inputs), codes, (3, 3)))
    return tensors


def size(tensors, options=None):
    encoded = encode_network(tensors, options)
    return len(encoded.tables) + sum(map(len, encoded.streams))


def test_more_turns_on_columns_and_tables_are_smaller(monkeypatch):
    sizes = []
    for turns in (2, 6):
        monkeypatch.setattr(planning, "SMALL_COLUMN_ROUNDS", turns)
        sizes.append(sum(size(with_columns(seed)) for seed in range(3)))
    assert sizes[1] < 0.999 * sizes[0]


@pytest.mark.parametrize("good_turn", [1, 2, 3])
def test_a_turn_that_loses_is_not_taken(monkeypatch, good_turn):
    tensors, trained, calls = with_columns(4), planning.train, []

    def sometimes(statistics, log2_states, places, known=None):
        calls.append(known)
        return trained(statistics if len(calls) == good_turn + 1 else statistics[:1], log2_states, places)

    monkeypatch.setattr(planning, "PATIENCE", 100)
    monkeypatch.setattr(planning, "train", sometimes)
    taken = encode_network(tensors).tables
    assert len(calls) == planning.SMALL_COLUMN_ROUNDS + 1
    calls.clear()
    monkeypatch.setattr(planning, "SMALL_COLUMN_ROUNDS", good_turn)
    assert encode_network(tensors).tables == taken


def test_turns_end_where_they_save_nothing(monkeypatch):
    tensors, calls = with_columns(4), []
    fixed = TableSet.from_bytes(encode_network(tensors).tables)

    def same(*_, known=None):
        calls.append(known)
        return fixed

    monkeypatch.setattr(planning, "train", same)
    encode_network(tensors)
    assert len(calls) == 1 + 1 + planning.PATIENCE


def test_a_given_table_set_that_cannot_express_a_code_is_refused():
    with pytest.raises(ValueError, match=r"^table 0 has no token -32$"):
        encode_network([CodeTensor("w", laplace(0, 4, 100, 5))], CodecOptions("ans", table_set=single_token(0)))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("count", [1, 2, 3, 1000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (1 << 21) + 5])
def test_lossless_tensors_of_any_length(dtype, count):
    items = np.random.default_rng(count).integers(0, np.iinfo(dtype).max + 1, count).astype(dtype)
    encoded = check([RawTensor("w", items)])
    assert len(WeightStream.split(encoded.streams[0])) == -(-count // (1 << 20))
    decoded = decode_tensor(encoded.streams[0], b"")
    assert decoded.shape == (1, count)
    assert np.array_equal(decoded.reshape(-1).astype(dtype), items)


DEGENERATE = {
    "one weight": np.array([[5]], np.int16),
    "one zero": np.array([[0]], np.int16),
    "one large weight": np.array([[-32767]], np.int16),
    "all zero": np.zeros((7, 30), np.int16),
    "all one": np.ones((7, 30), np.int16),
    "constant": np.full((9, 9), -300, np.int16),
    "one channel": laplace(0, 1, 500, 4),
    "channels of one": laplace(1, 500, 1, 4),
    "one outlier": np.array([[0] * 400 + [32767]], np.int16),
    "both ends": np.array([[32767, -32767, 0, 1] * 20], np.int16),
    "lowest": np.full((3, 3), -32768, np.int16),
    "uniform 16 bits": np.random.default_rng(0).integers(-32767, 32768, (20, 50)).astype(np.int16),
    "a zero channel": np.concatenate([np.zeros((1, 50), np.int16), laplace(2, 5, 50, 9)]),
    "signs": np.sign(laplace(3, 20, 50, 3)).astype(np.int16),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_tensors_come_back(name, codec):
    for kernel in ((1, 1), (3, 3)):
        check([CodeTensor(name, DEGENERATE[name], kernel)], CodecOptions(codec))


@pytest.mark.parametrize("codec", CODECS)
def test_a_network_of_every_degenerate_tensor_comes_back(codec):
    check([CodeTensor(name, codes) for name, codes in DEGENERATE.items()], CodecOptions(codec, groups=3))


@pytest.mark.parametrize("codec", ["ans", "raw"])
def test_more_channels_than_a_header_declares_are_several_streams(codec):
    codes = np.resize(np.array([[1], [0], [-2]], np.int16), ((1 << 21) + 3, 1))
    encoded = check([CodeTensor("w", codes)], CodecOptions(codec))
    assert len(WeightStream.split(encoded.streams[0])) == 2


def test_a_network_without_tensors():
    assert encode_network([]).streams == []


def raw_bytes(tensor):
    """Size of a tensor without compression: 24 bytes around its packed codes, padded to 16-bit words."""
    if isinstance(tensor, RawTensor):
        return 20 + 2 * -(-tensor.items.nbytes // 2)
    low, high = int(tensor.codes.min()), int(tensor.codes.max())
    width = next(width for width in RAW_WIDTHS if -(1 << width - 1) <= low and high < 1 << width - 1)
    return 20 + 2 * -(-tensor.codes.size * width // 16)


def pruned(seed):
    codes = laplace(seed, 32, 64, 30)
    codes[np.random.default_rng(seed).random(codes.shape) < 0.9] = 0
    return codes


SHAPED = {
    "pruned": pruned(1),
    "clustered": np.random.default_rng(2).choice(np.array([-90, -31, 2, 40, 77], np.int16), (32, 64)),
    "4 bits": np.random.default_rng(3).integers(-8, 8, (32, 64)).astype(np.int16),
    "8 bits": np.random.default_rng(4).integers(-128, 128, (32, 64)).astype(np.int16),
    "small": laplace(5, 4, 5, 3),
    "tiny": laplace(6, 1, 3, 30),
    "many short channels": laplace(7, 300, 2, 3),
}


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("name", [*SHAPED, *DEGENERATE])
def test_auto_is_never_larger_than_raw(name, groups):
    tensor = CodeTensor(name, {**SHAPED, **DEGENERATE}[name])
    encoded = check([tensor], CodecOptions(groups=groups))
    assert len(encoded.tables) + len(encoded.streams[0]) <= raw_bytes(tensor)


@settings(derandomize=True, deadline=None, max_examples=10)
@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.integers(1, 60), st.sampled_from((0, 0.3, 2, 12, 300)), st.integers(0, 99)),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from((8, 9, 10)),
    st.integers(1, 4),
    st.sampled_from((None, 1, 2, 8)),
)
def test_networks_of_any_sizes_come_back_and_do_not_expand(shapes, log2_states, groups, lanes):
    tensors = [
        CodeTensor(str(number), laplace(seed, channels, length, scale), (1 + seed % 3, 1 + seed % 4))
        for number, (channels, length, scale, seed) in enumerate(shapes)
    ]
    encoded = check(tensors, CodecOptions("auto", log2_states, lanes, groups))
    total = len(encoded.tables) + sum(map(len, encoded.streams))
    assert total <= sum(map(raw_bytes, tensors))


# --- tensors of damaged streams ---------------------------------------------------------------------------------------


def verdict_of(stream, tables=b""):
    with pytest.raises(VerdictError) as caught:
        decode_tensor(stream, tables)
    return caught.value.verdict


def test_a_tensor_without_a_stream_is_truncated():
    assert verdict_of(b"") == Verdict.TRUNCATED


def test_what_is_no_row_of_streams_has_a_verdict():
    stream = raw_reference.encode([1, 2, 3, 4], 2, 8)
    assert verdict_of(stream + stream[:-2]) == Verdict.TRUNCATED
    assert verdict_of(stream + stream[:9]) == Verdict.TRUNCATED
    assert verdict_of(stream + b"\0" * 20) == Verdict.BAD_MAGIC
    assert verdict_of(b"not a stream, but long enough to be one") == Verdict.BAD_MAGIC
    assert verdict_of(stream[:1] + bytes([stream[1] ^ 3]) + stream[2:]) == Verdict.VERSION
    # A newer version may have another header: its counts are not looked at.
    newer = bytearray(stream)
    newer[1] = newer[1] & ~7 | 2
    newer[12] ^= 0xFF
    assert verdict_of(bytes(newer)) == Verdict.VERSION
    with pytest.raises(VerdictError):
        WeightStream.split(bytes(newer))


def test_streams_that_do_not_make_one_tensor_have_a_verdict():
    ans = encode_network([CodeTensor("w", laplace(0, 4, 50, 3))], CodecOptions("ans"))
    other = encode_network(
        [CodeTensor("w", laplace(0, 4, 51, 3))], CodecOptions("ans", table_set=TableSet.from_bytes(ans.tables))
    )
    assert verdict_of(ans.streams[0] + other.streams[0], ans.tables) == Verdict.BAD_HEADER
    wide = raw_reference.encode([1, 2, 3, 4], 2, 8)
    assert verdict_of(wide + raw_reference.encode([1, 2, 3], 1, 8)) == Verdict.BAD_HEADER


@settings(derandomize=True, deadline=None, max_examples=150)
@given(st.binary(max_size=100), st.binary(max_size=40), st.integers(0, 2))
def test_any_bytes_for_a_tensor_and_its_tables_end_with_a_verdict(stream, tables, opened):
    head = (b"", b"\xda\x01", b"\xda\x09")[opened]
    verdict_of(head + stream, tables)


def test_damage_anywhere_in_a_tensor_is_found():
    rng = random.Random(0)
    encoded = encode_network([CodeTensor("w", laplace(0, 20, 50, 3))], CodecOptions("ans", groups=3))
    for _ in range(300):
        bad = bytearray(encoded.streams[0])
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        verdict_of(bytes(bad), encoded.tables)
    for _ in range(100):
        bad = bytearray(encoded.tables)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        verdict_of(encoded.streams[0], bytes(bad))
