"""``make waves`` on the smallest decompressor."""

import re

import pytest

from dnnzip_hw import DecompressorParameters
from dnnzip_hw.verilog import ports
from dnnzip_sim import waves

SMALLEST = DecompressorParameters(1, 1, 8, 16)


def test_every_field_of_the_ports_is_a_signal():
    text = waves.wrapper(ports(DecompressorParameters(2, 2, 8, 8)))
    assert "wire signed [7:0] o_weights_1 = o__payload[15:8];" in text
    assert "wire [3:0] o_cause = o__payload[22:19];" in text
    assert "wire [0:0] i_last = i__payload[16:16];" in text


@pytest.mark.slow
def test_waves_of_a_layer(tmp_path, monkeypatch):
    # The run is short, and the writer of waveforms long to compile; no other build can take it over.
    monkeypatch.setattr("dnnzip_sim.build.MAKE_OPTIONS", ("OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0"))
    made = waves.make_waves(tmp_path, SMALLEST)
    assert made.parent == tmp_path
    assert made.stat().st_size > 10_000
    if made.suffix == ".vcd":
        names = set(re.findall(r"\$var wire +\d+ \S+ (\S+)", made.read_text()))
        assert {"i_data", "i_last", "o_weights_0", "o_mask", "o_last", "o_cause", "i__ready", "o__ready"} <= names
