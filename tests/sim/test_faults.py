"""Broken streams and resets through the RTL under Verilator: see ``dnnzip_sim.faults``."""

import json
import random

import pytest

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.errors import CheckFailedError
from dnnzip.format import WEIGHT_HEADER, WORD_BYTES, Verdict
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.faults import __main__ as command
from dnnzip_sim.faults.campaign import Campaign
from dnnzip_sim.harness import Conditions, build_harness, stream_through
from dnnzip_sim.stimulus.damage import DAMAGE
from dnnzip_sim.stimulus.streams import random_codes
from dnnzip_sim.stimulus.table_sets import random_table_set, tokens_up_to
from dnnzip_sim.verilog import decompressor_verilog

EVERYTHING = DecompressorParameters(log2_states=10, line=True)  # as in test_vectors.py, so that it is built once
SMALLEST = DecompressorParameters(1, 1, 8, 16)
SEED = 4

# A decompressor between the harness and the sound one, which does one thing wrong: +bug=N on the command line.
PLANTED = """
module dnnzip_decompressor (
    input clk, input rst, input [16:0] i__payload, input i__valid, output i__ready,
    output [21:0] o__payload, output o__valid, input o__ready
);
    localparam VERDICT = 1, ACCEPTED = 2, KEPT_STATE = 3, LATE_WEIGHT = 4, HANGS = 5, UNSTABLE = 6, ONE_MORE = 7;
    integer bug;
    initial if (!$value$plusargs("bug=%d", bug)) bug = 0;
    reg [3:0] seen_cause; reg seen_reset; reg waited; reg again;
    wire [21:0] beat; wire valid; wire ready;
    wire last = beat[17];
    wire [3:0] cause = beat[21:18];
    wire [3:0] other = (bug == VERDICT && last && cause == 9) ? 4'd10 : (bug == ACCEPTED && last && cause == 10) ? 4'd0
        : cause;
    wire flips = (bug == LATE_WEIGHT && !last && seen_cause == 9) || (bug == UNSTABLE && waited && !last);
    wire repeats = bug == ONE_MORE && seen_cause == 8 && valid && !last && !again;
    wire hangs = bug == HANGS && seen_cause == 7;
    assign o__payload = {other, beat[17:1], beat[0] ^ flips};
    assign o__valid = valid;
    assign i__ready = ready & !hangs;
    dnnzip_sound sound (
        .clk(clk), .rst(rst & !(bug == KEPT_STATE && seen_reset)), .i__payload(i__payload),
        .i__valid(i__valid & !hangs), .i__ready(ready), .o__payload(beat), .o__valid(valid),
        .o__ready(o__ready & !repeats));
    always @(posedge clk) begin
        waited <= valid & !o__ready;
        if (rst) begin seen_reset <= seen_cause != 0 | seen_reset; seen_cause <= 0; again <= 0; end
        else if (valid & o__ready) begin
            again <= repeats;
            if (last) begin seen_cause <= cause; seen_reset <= 1; end
        end
    end
    initial begin seen_cause = 0; seen_reset = 0; waited = 0; again = 0; end
endmodule
"""


@pytest.fixture(scope="module")
def everything():
    return build_harness(EVERYTHING)


@pytest.mark.slow
@pytest.mark.parametrize("log2_lanes", [3, 4])
def test_no_beat_is_left_over_from_a_truncated_stream(everything, tmp_path, log2_lanes):
    """A turn may commit in the very cycle in which the stream is given up; its beat leaves before the end beat."""
    rng = random.Random(SEED)
    tables = random_table_set(rng, tables=1, tokens=tokens_up_to(8))
    lanes = 1 << log2_lanes
    codes = random_codes(rng, lanes, 240 // lanes, 12)
    stream = ans_reference.encode(codes, (1, 1), tables, AnsChoices(log2_lanes, [0]))
    cut = [stream[:end] for end in range(WEIGHT_HEADER.bytes + 3 * lanes, len(stream) - 8, WORD_BYTES)]
    streams = [tables.to_bytes(), *(one for broken in cut * 20 for one in (broken, stream))]
    passage = stream_through(everything, streams, tmp_path, Conditions(4000, SEED))
    verdicts = [outcome.verdict for outcome in passage.outcomes]
    assert set(verdicts[1::2]) == {Verdict.TRUNCATED}
    assert set(verdicts[2::2]) == {Verdict.OK}


@pytest.fixture(scope="module")
def planted():
    text = decompressor_verilog(SMALLEST)
    sound = text.replace("module dnnzip_decompressor(", "module dnnzip_sound(")
    assert sound != text
    return build_harness(SMALLEST, sound + PLANTED)


@pytest.mark.slow
def test_short_campaign(everything):
    """As ``make faults``, on the decompressor that decodes all of the format."""
    advanced = []
    campaign = Campaign(everything, EVERYTHING, SEED, advanced.append)
    campaign.faults(1600)
    campaign.resets(200)
    counts = campaign.counts
    assert sum(advanced) == 1800
    assert counts.faults >= 1600
    assert {fault for fault, _ in counts.verdicts} == set(DAMAGE)
    assert {verdict for _, verdict in counts.verdicts} == set(Verdict)
    assert counts.sound >= 1600
    assert counts.referred > 10
    assert sum(counts.resets.values()) == 200
    assert len(counts.resets) >= 4


@pytest.mark.slow
def test_short_campaign_on_the_smallest(planted):
    """With no bug planted, nothing is found."""
    campaign = Campaign(planted, SMALLEST, SEED)
    campaign.faults(400)
    campaign.resets(60)
    assert campaign.counts.faults >= 400
    assert sum(campaign.counts.resets.values()) == 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bug", "message"),
    [
        (1, "stream [0-9a-f]+: the RTL says bad crc, software bad state"),
        (2, "stream [0-9a-f]+: the RTL says ok, software bad crc"),
        (4, "sound stream [0-9a-f]+: ends with ok, but its weights are others"),
        (5, r"stream \d+ of \d+ hangs: no word taken and no beat given in 15000 cycles; .*stream [0-9a-f]+"),
        (6, r"a beat of stream \d+ of \d+ changed before it was taken; .*stream [0-9a-f]+"),
        (7, r"sound stream [0-9a-f]+: gave \d+ weights, \d+ are declared"),
    ],
)
def test_planted_bug_is_found(planted, bug, message):
    with pytest.raises(CheckFailedError, match=message):
        Campaign(planted, SMALLEST, SEED, plusargs=[f"+bug={bug}"]).faults(600)


@pytest.mark.slow
def test_reset_that_leaves_something_is_found(planted):
    with pytest.raises(CheckFailedError, match="stream"):
        Campaign(planted, SMALLEST, SEED, plusargs=["+bug=3"]).resets(100)


@pytest.mark.slow
def test_command_prints_counts_and_keeps_them(planted, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "CONFIGURATIONS", {"smallest": SMALLEST})
    monkeypatch.setattr(command, "build_harness", lambda _: planted)
    assert command.main(["--streams", "60", "--resets", "5", "--seed", "7", "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("seed 7\n")
    assert all(fault in printed for fault in DAMAGE)
    content = json.loads((tmp_path / "faults.json").read_text())
    assert content["seed"] == 7
    assert sum(sum(verdicts.values()) for verdicts in content["total"]["faults"].values()) >= 60
    assert sum(content["configurations"]["smallest"]["resets"].values()) == 5
    assert content["provenance"]["commit"]


def test_command_says_in_one_line_what_is_wrong(capsys):
    assert command.main(["--streams", "-1"]) == 2
    assert capsys.readouterr().err.startswith("dnnzip: --streams: is -1; give 0 or more\n")
