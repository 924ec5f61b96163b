"""Broken streams and resets through the RTL under Verilator: see ``dnnzip_sim.faults``."""

import random

import pytest

from dnnzip.codec import reference
from dnnzip.codec.reference import AnsChoices
from dnnzip.format import WEIGHT_HEADER, WORD_BYTES, Verdict
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.cases import random_codes, random_table_set
from dnnzip_sim.harness import build_harness, stream_through
from dnnzip_sim.verilog import decompressor_verilog

EVERYTHING = DecompressorParameters(log2_states=10, line=True)  # as in test_vectors.py, so that it is built once
SEED = 4


@pytest.fixture(scope="module")
def everything():
    text = decompressor_verilog(EVERYTHING)
    return build_harness(text, lanes=EVERYTHING.lanes, weight_bits=EVERYTHING.weight_bits)


@pytest.mark.parametrize("log2_lanes", [3, 4])
def test_no_beat_is_left_over_from_a_truncated_stream(everything, tmp_path, log2_lanes):
    """A turn may commit in the very cycle in which the stream is given up; its beat leaves before the end beat."""
    rng = random.Random(SEED)
    tables = random_table_set(rng, tables=1, largest=8)
    lanes = 1 << log2_lanes
    codes = random_codes(rng, lanes, 240 // lanes, 12)
    stream = reference.encode_ans(codes, (1, 1), tables, AnsChoices(log2_lanes, [0]))
    cut = [stream[:end] for end in range(WEIGHT_HEADER.bytes + 3 * lanes, len(stream) - 8, WORD_BYTES)]
    streams = [tables.to_bytes(), *(one for broken in cut * 20 for one in (broken, stream))]
    passage = stream_through(everything, streams, tmp_path, pauses=SEED, patience=4000)
    verdicts = [outcome.verdict for outcome in passage.outcomes]
    assert set(verdicts[1::2]) == {Verdict.TRUNCATED}
    assert set(verdicts[2::2]) == {Verdict.OK}
