"""The verdict on a weight stream's header and words, in the order of the stream, from both decoders."""

import dataclasses
import random

import pytest

from dnnzip.codec import fast, reference
from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import (
    CAUSE_BITS,
    TABLES_MAGIC,
    WEIGHT_HEADER,
    Codec,
    Limits,
    StreamWords,
    Verdict,
    VerdictError,
    check_supported,
)
from dnnzip.format.array import MISPLACED
from dnnzip_sim.stimulus.damage import rewritten, truncated, with_fields
from dnnzip_sim.stimulus.streams import random_codes
from dnnzip_sim.stimulus.table_sets import random_table_set, single_token

TABLES = random_table_set(random.Random(3), tables=2)
CODES = random_codes(random.Random(4), 5, 9, 20)
ANS = ans_reference.encode(CODES, (1, 3), TABLES, AnsChoices(2, [1, 2, 3, 4, 5], 0, [1, 2, 3]))
RAW = raw_reference.encode([1, -2, 3, -4, 5, -6], 2, 8)


def verdict_of(data, tables=TABLES, limits=None):
    """The verdict that reference and fast decoder agree on."""
    slow = reference.decode(data, tables, limits)
    quick = fast.decode(data, tables, limits)
    assert slow.verdict == quick.verdict
    assert slow.header == quick.header
    assert (quick.codes is not None) == (slow.verdict == Verdict.OK)
    assert bool(slow.codes) == (slow.verdict == Verdict.OK)
    return slow.verdict


def changed(stream, *, seal_header=True, **changes):
    """Return a stream with other values in its header; its checks are right, or that of the header is wrong."""
    if seal_header:
        return rewritten(stream, **changes)
    return with_fields(stream, **changes, check=WEIGHT_HEADER.unpack(stream)["check"] ^ 0xFF)


def test_sound_streams():
    assert verdict_of(ANS) == Verdict.OK
    assert verdict_of(RAW) == Verdict.OK
    assert verdict_of(RAW, None) == Verdict.OK
    assert reference.decode(RAW).codes == [[1, -2, 3], [-4, 5, -6]]


@pytest.mark.parametrize("stream", [ANS, RAW], ids=["ans", "raw"])
def test_a_stream_that_is_cut_anywhere_is_truncated(stream):
    for cut in (b"", *truncated(stream)):
        assert verdict_of(cut) == Verdict.TRUNCATED, len(cut)


def test_half_a_first_word_counts_as_a_word():
    assert verdict_of(ANS[:1]) == Verdict.VERSION
    assert verdict_of(b"\0") == Verdict.BAD_MAGIC


ORDER = [
    ({"magic": 0x00}, Verdict.BAD_MAGIC),
    ({"version": 2}, Verdict.VERSION),
    ({"codec": Codec.LINE}, Verdict.UNSUPPORTED),
    ({"codec": 3}, Verdict.UNSUPPORTED),
    ({"log2_lanes": 5}, Verdict.UNSUPPORTED),
    ({"log2_states": 11}, Verdict.UNSUPPORTED),
]


def test_a_table_set_is_no_weight_stream():
    assert verdict_of(changed(ANS, magic=TABLES_MAGIC)) == Verdict.BAD_MAGIC
    assert verdict_of(TABLES.to_bytes()) == Verdict.BAD_MAGIC
    # A newer table set is first of all newer.
    assert verdict_of(changed(ANS, magic=TABLES_MAGIC, version=2)) == Verdict.VERSION


@pytest.mark.parametrize(("changes", "verdict"), ORDER)
def test_what_the_first_words_say_comes_before_the_check(changes, verdict):
    for sealed in (True, False):
        assert verdict_of(changed(ANS, seal_header=sealed, **changes)) == verdict
    words = 2 if "log2_states" in changes else 1
    assert verdict_of(changed(ANS, **changes)[: 2 * words]) == verdict


@pytest.mark.parametrize("earlier", range(len(ORDER)))
@pytest.mark.parametrize("later", range(len(ORDER)))
def test_the_first_rule_broken_is_the_verdict(earlier, later):
    if earlier > later or ORDER[earlier][0].keys() & ORDER[later][0].keys():
        return
    both = ORDER[later][0] | ORDER[earlier][0]
    assert verdict_of(changed(ANS, **both)) == min(ORDER[earlier][1], ORDER[later][1])


@pytest.mark.parametrize(
    ("limits", "changes", "words"),
    [
        (Limits(log2_lanes=1), {}, 1),
        (Limits(log2_states=9), {"log2_states": 10}, 2),
        (Limits(code_bits=8), {"wide": 1}, 2),
    ],
)
def test_a_decoder_refuses_what_it_was_not_built_for(limits, changes, words):
    stream = changed(ANS, **changes)
    assert verdict_of(stream, limits=limits) == Verdict.UNSUPPORTED
    assert verdict_of(stream[: 2 * words], limits=limits) == Verdict.UNSUPPORTED
    if words == 2:
        assert verdict_of(stream[:2], limits=limits) == Verdict.TRUNCATED
    with pytest.raises(VerdictError) as caught:
        check_supported(stream[: 2 * words], limits)
    assert caught.value.verdict == Verdict.UNSUPPORTED


def test_a_decoder_takes_what_it_was_built_for():
    assert verdict_of(ANS, limits=Limits(log2_lanes=2, log2_states=8, code_bits=8)) == Verdict.OK
    assert verdict_of(RAW, limits=Limits(log2_lanes=0, log2_states=8, code_bits=8)) == Verdict.OK


@pytest.mark.parametrize("bit", range(32, 128))
def test_a_flipped_bit_of_the_header_is_found_before_a_count_is_used(bit):
    number = int.from_bytes(ANS, "little") ^ 1 << bit
    assert verdict_of(number.to_bytes(len(ANS), "little")) == Verdict.BAD_HEADER


@pytest.mark.parametrize(
    ("stream", "changes", "verdict"),
    [
        (ANS, {"reserved": 16}, Verdict.BAD_HEADER),
        (ANS, {"log2_lanes": 3}, Verdict.BAD_HEADER),  # more than the channels
        (RAW, {"log2_lanes": 1}, Verdict.BAD_HEADER),
        (RAW, {"raw_width": 3}, Verdict.BAD_HEADER),
        (RAW, {"raw_width": 2}, Verdict.BAD_HEADER),  # wide items, and not wide
        (RAW, {"wide": 1}, Verdict.OK),
        (RAW, {"table_set": 77}, Verdict.OK),  # not used by raw
        (ANS, {"table_set": TABLES.table_set ^ 1}, Verdict.WRONG_TABLES),
        (ANS, {"log2_states": 9}, Verdict.WRONG_TABLES),
        (RAW, {"channels": 3}, Verdict.BAD_HEADER),
        (RAW, {"channels": 1}, Verdict.BAD_HEADER),
        (RAW, {"payload_words": 2}, Verdict.BAD_HEADER),
        (RAW, {"payload_words": 4}, Verdict.BAD_HEADER),
        (ANS, {"payload_words": 0}, Verdict.TRUNCATED),
    ],
)
def test_rules_of_a_sealed_header(stream, changes, verdict):
    assert verdict_of(changed(stream, **changes)) == verdict


def test_a_contradiction_comes_before_the_tables():
    assert verdict_of(changed(ANS, log2_lanes=4), None) == Verdict.BAD_HEADER
    assert verdict_of(ANS, None) == Verdict.WRONG_TABLES
    other = dataclasses.replace(TABLES, declared_id=TABLES.table_set ^ 0x8000)
    assert verdict_of(ANS, other) == Verdict.WRONG_TABLES


def test_words_that_are_left_over():
    for stream in (ANS, RAW):
        assert verdict_of(stream + b"\0\0") == Verdict.TRAILING
        assert verdict_of(stream + b"\0") == Verdict.TRAILING
        assert verdict_of(stream + stream) == Verdict.TRAILING


def test_a_wrong_crc():
    for stream in (ANS, RAW):
        for byte in range(1, 5):
            damaged = bytearray(stream)
            damaged[-byte] ^= 1
            assert verdict_of(bytes(damaged)) == Verdict.BAD_CRC
    # Payload bits of raw are all data: only the CRC tells.
    damaged = bytearray(RAW)
    damaged[WEIGHT_HEADER.bytes] ^= 1
    assert verdict_of(bytes(damaged)) == Verdict.BAD_CRC


@pytest.mark.parametrize(("code", "fits"), [(-129, False), (-128, True), (127, True), (128, False)])
def test_a_code_outside_the_declared_width(code, fits):
    stream = ans_reference.encode([[0, code, 0]], (1, 1), TABLES, AnsChoices(0, [0]))
    assert verdict_of(changed(stream, wide=0)) == (Verdict.OK if fits else Verdict.BAD_CODE)
    assert verdict_of(changed(stream, wide=1)) == Verdict.OK


def test_a_state_that_does_not_come_home():
    """With one token of 256 states a weight takes no bits, so the start state is the end state."""
    tables = single_token(1)
    stream = bytearray(ans_reference.encode([[1, 1, 1]], (1, 1), tables, AnsChoices(0, [0], context=False)))
    assert verdict_of(bytes(stream), tables) == Verdict.OK
    stream[WEIGHT_HEADER.bytes] ^= 4
    assert verdict_of(bytes(stream), tables) == Verdict.BAD_STATE


def test_a_bad_state_comes_before_a_bad_crc_and_after_a_bad_code():
    tables = single_token(0)
    stream = bytearray(ans_reference.encode([[0, 0]], (1, 1), tables, AnsChoices(0, [0], context=False)))
    stream[WEIGHT_HEADER.bytes] ^= 4
    stream[-1] ^= 1
    assert verdict_of(bytes(stream), tables) == Verdict.BAD_STATE
    assert verdict_of(bytes(stream) + b"\0\0", tables) == Verdict.BAD_STATE


def test_words_are_taken_in_order():
    words = StreamWords(b"\x01\x02\x03")
    assert (words.count, words.word(), words.word()) == (2, 0x0201, 0x0003)
    with pytest.raises(VerdictError, match="words are missing") as caught:
        words.word()
    assert caught.value.verdict == Verdict.TRUNCATED
    words = StreamWords(b"\x01\x02\x03\x04")
    words.payload_left = 1
    assert words.payload_word() == 0x0201
    with pytest.raises(VerdictError, match="words are missing"):
        words.payload_word()


def test_no_verdict_has_the_number_of_a_stream_in_the_wrong_place():
    assert MISPLACED == 15
    assert MISPLACED.bit_length() == CAUSE_BITS
    assert MISPLACED not in list(Verdict)
