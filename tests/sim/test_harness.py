"""The harness around a stub: what it measures, and how it complains of a decompressor that breaks a rule."""

import struct

import numpy as np
import pytest

from dnnzip.format import Verdict
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.harness import Conditions, Cut, Reset, build_harness, stream_through
from dnnzip_sim.run import SimulationFailedError

# Returns every word but a stream's first as a weight of lane `weight % 4`. What it does wrong is its first word.
STUB = """
module dnnzip_decompressor (
    input clk, input rst, input [16:0] i__payload, input i__valid, output i__ready,
    output [72:0] o__payload, output o__valid, input o__ready
);
    localparam FINE = 0, HANG = 1, EARLY = 2, WITH_WEIGHTS = 3, TWICE = 4, NO_VERDICT = 5, UNSTABLE = 6;
    reg first; reg [3:0] kind; reg ending; reg again; reg stuck; reg [1:0] lane; reg [3:0] waited;
    wire taken = i__valid & i__ready;
    wire [15:0] word = i__payload[15:0];
    wire at_end = ending | again;
    wire [63:0] shifted = {48'd0, word} << {lane, 4'd0};
    assign i__ready = !at_end & !stuck & o__ready;
    assign o__valid = at_end | taken & !first;
    wire [3:0] cause = (kind == NO_VERDICT) ? 4'd15 : (kind == UNSTABLE) ? waited : 4'd10;
    wire [3:0] end_mask = (kind == WITH_WEIGHTS) ? 4'd1 : 4'd0;
    assign o__payload = at_end ? {cause, 1'b1, end_mask, 64'd0} : {4'd0, 1'b0, 4'd1 << lane, shifted};
    always @(posedge clk) if (rst) begin
        first <= 1; ending <= 0; again <= 0; stuck <= 0; kind <= 0; lane <= 0; waited <= 0;
    end else begin
        if (at_end) waited <= o__ready ? 0 : 1;
        if (at_end & o__ready) begin ending <= 0; again <= ending & (kind == TWICE); end
        if (taken) begin
            first <= i__payload[16];
            ending <= i__payload[16];
            if (!first) lane <= word[1:0];
            if (first) begin
                kind <= word[3:0];
                if (word == HANG) stuck <= 1;
                if (word == EARLY) ending <= 1;
            end
        end
    end
endmodule
"""
FINE, HANG, EARLY, WITH_WEIGHTS, TWICE, NO_VERDICT, UNSTABLE = range(7)


@pytest.fixture(scope="module")
def stub():
    return build_harness(DecompressorParameters(lanes=4, weight_bits=16), STUB)


def stream(kind, *words):
    return struct.pack(f"<{1 + len(words)}H", kind, *words)


def test_weights_cycles_and_verdicts(stub, tmp_path):
    words = [int(word) for word in np.random.default_rng(1).integers(0, 1 << 16, 200_000)]
    passage = stream_through(stub, [stream(FINE, *words), stream(FINE), stream(FINE, 7, 0xFFFF)], tmp_path)
    long, empty, short = passage.outcomes
    assert {outcome.verdict for outcome in passage.outcomes} == {Verdict.BAD_CRC}
    assert np.array_equal(long.weights, np.array(words, np.uint16).astype(np.int16))
    assert empty.weights.size == 0
    assert list(short.weights) == [7, -1]
    # One word per cycle, and one cycle for the end beat.
    assert [outcome.cycles for outcome in passage.outcomes] == [200_002, 2, 4]
    assert empty.begin == long.end + 1
    assert passage.cycles > short.end
    assert passage.seconds > 0


def test_odd_byte_is_filled_up(stub, tmp_path):
    passage = stream_through(stub, [stream(FINE) + b"\x05"], tmp_path)
    assert list(passage.outcomes[0].weights) == [5]


def test_pauses_take_time_and_change_nothing_else(stub, tmp_path):
    streams = [stream(FINE, *range(count)) for count in (2000, 0, 3)]
    passages = [stream_through(stub, streams, tmp_path, Conditions(pauses=seed)) for seed in (0, 1, 2)]
    for passage in passages:
        assert [outcome.weights.tolist() for outcome in passage.outcomes] == [list(range(2000)), [], [0, 1, 2]]
    assert passages[0].cycles < passages[1].cycles != passages[2].cycles > passages[0].cycles


def test_beat_that_changes_while_it_waits_is_seen(stub, tmp_path):
    with pytest.raises(SimulationFailedError, match=r"a beat of stream \d+ of 200 changed before it was taken"):
        stream_through(stub, [stream(UNSTABLE)] * 200, tmp_path, Conditions(pauses=1))
    stream_through(stub, [stream(UNSTABLE)] * 200, tmp_path)


@pytest.mark.parametrize("pauses", [0, 5])
def test_resets_cut_streams_off(stub, tmp_path, pauses):
    streams = [
        stream(FINE, *range(100)),
        stream(FINE, 7),
        stream(HANG, 1),
        stream(FINE, 8),
        stream(FINE),
        stream(FINE, 9),
    ]
    resets = [Reset(2, 50), Reset(3, 300, 3), Reset(5, 100_000, 2)]
    ended = stream_through(stub, streams, tmp_path, Conditions(5000, pauses, resets)).ended
    first, second, hangs, *rest = ended
    assert isinstance(first, Cut)
    assert first.begun
    assert first.weights.tolist() == list(range(first.weights.size))
    assert 10 < first.weights.size < 50
    assert second == Cut(second.weights, begun=False)
    assert second.weights.size == 0
    assert isinstance(hangs, Cut)
    assert [outcome.weights.tolist() for outcome in rest] == [[8], [], [9]]
    assert not any(isinstance(outcome, Cut) for outcome in rest)


def test_no_streams(stub, tmp_path):
    assert stream_through(stub, [], tmp_path).outcomes == []


@pytest.mark.parametrize(
    ("streams", "message"),
    [
        ([FINE, HANG, FINE], "stream 1 of 3 hangs: no word taken and no beat given in 500 cycles"),
        ([FINE, EARLY], "the end beat of stream 1 of 2 came before its last word was taken"),
        ([WITH_WEIGHTS], "the end beat of stream 0 of 1 carries weights"),
        ([TWICE], "a beat came after the end beat of the last stream"),
        ([TWICE, FINE], "a beat came before the first word of stream 1 of 2"),
        ([FINE, NO_VERDICT], "stream 1 ended with cause 15, which is no verdict"),
    ],
)
def test_broken_rule_is_named(stub, tmp_path, streams, message):
    with pytest.raises(SimulationFailedError, match=message):
        stream_through(stub, [stream(kind, 1, 2, 3) for kind in streams], tmp_path, Conditions(500))


def test_file_that_cannot_be_read(stub, tmp_path):
    (tmp_path / "job").mkdir()
    with pytest.raises(IsADirectoryError):
        stream_through(stub, [stream(FINE)], tmp_path)
