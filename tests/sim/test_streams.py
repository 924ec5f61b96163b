"""Sources, sinks and scoreboard on a small stream FIFO, and the runner's own checks, each seen failing."""

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from dnnzip_sim import toolchain
from dnnzip_sim.build import build
from dnnzip_sim.run import CocotbTests, SimulationFailedError, run

pytestmark = pytest.mark.slow

# A source that changes its payload in every cycle, taken or not (HOLD = 0), or takes it back (HOLD = 1).
UNRULY = """
module unruly #(parameter HOLD = 0) (
    input clk, input rst, output [15:0] o__payload, output o__valid, input o__ready
);
    reg [15:0] count = 0;
    always @(posedge clk) count <= rst ? 0 : count + 1;
    assign o__payload = (HOLD != 0) ? 16'hbeef : count;
    assign o__valid = (HOLD != 0) ? (count % 4 == 3) : 1'b1;
    wire unused = o__ready;
endmodule
"""


class StreamFifo(wiring.Component):
    """Four places, first in, first out."""

    i: In(stream.Signature(16))
    o: Out(stream.Signature(16))

    def elaborate(self, platform):  # noqa: ARG002 - the signature is Amaranth's
        m = Module()
        m.submodules.store = store = fifo.SyncFIFOBuffered(width=16, depth=4)
        wiring.connect(m, wiring.flipped(self.i), store.w_stream)
        wiring.connect(m, store.r_stream, wiring.flipped(self.o))
        return m


@pytest.fixture
def stream_fifo(monkeypatch):
    monkeypatch.setenv("YOSYS", str(toolchain.yosys().path))
    text = verilog.convert(StreamFifo(), name="stream_fifo", strip_internal_attrs=True, emit_src=False)
    return build("stream_fifo", {"stream_fifo.v": text})


def test_every_pause_pattern(stream_fifo, benches, tmp_path):
    done = run(stream_fifo, CocotbTests("fifo_bench", 4, python_path=[benches], seed=1), tmp_path)
    assert done.tests == 4
    assert done.seed == 1


def test_new_seed_is_reported(stream_fifo, benches, tmp_path):
    done = run(stream_fifo, CocotbTests("fifo_bench", 4, python_path=[benches]), tmp_path)
    assert f"Seeding Python random module with {done.seed}" in done.log.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"FLIP_BEAT": "123"}, r"fifo: beat 123: expected 0x[0-9a-f]+, got 0x[0-9a-f]+"),
        ({"EXTRA_BEAT": "1"}, "4 of 4 tests failed"),
        ({"MISSING_BEAT": "1"}, "fifo: beat 499: expected none, got 0x"),
        ({"MORE_BEATS": "1"}, "AssertionError: assert 500 == 501"),
    ],
)
def test_scoreboard_complains(stream_fifo, benches, tmp_path, change, message):
    with pytest.raises(SimulationFailedError, match=message):
        run(stream_fifo, CocotbTests("fifo_bench", 4, python_path=[benches], env=change, seed=1), tmp_path)


def test_filter_that_matches_nothing(stream_fifo, benches, tmp_path):
    with pytest.raises(SimulationFailedError, match="0 tests were executed, 1 expected"):
        run(stream_fifo, CocotbTests("fifo_bench", 1, "no_such", python_path=[benches]), tmp_path)


def test_filter_that_matches_some(stream_fifo, benches, tmp_path):
    done = run(stream_fifo, CocotbTests("fifo_bench", 1, "pattern=3", python_path=[benches]), tmp_path)
    assert done.tests == 1


def test_wrong_number_of_tests(stream_fifo, benches, tmp_path):
    with pytest.raises(SimulationFailedError, match="4 tests were executed, 5 expected"):
        run(stream_fifo, CocotbTests("fifo_bench", 5, python_path=[benches]), tmp_path)


def test_module_that_is_not_there(stream_fifo, tmp_path):
    with pytest.raises(SimulationFailedError, match=r"ended without a result(.|\n)*no_such_bench"):
        run(stream_fifo, CocotbTests("no_such_bench"), tmp_path)


def test_no_expected_tests():
    with pytest.raises(ValueError, match="expected must be at least 1, not 0"):
        CocotbTests("fifo_bench", 0)


def test_time_limit(stream_fifo, benches, tmp_path):
    with pytest.raises(SimulationFailedError, match=r"took longer than 0\.1 s"):
        run(stream_fifo, CocotbTests("fifo_bench", 4, python_path=[benches], timeout_seconds=0.1), tmp_path)


@pytest.mark.parametrize(
    ("hold", "message"),
    [(0, r"o: beat 0 changed from 0x\d+ to 0x\d+ before it was taken"), (1, "was withdrawn before it was taken")],
)
def test_broken_stream_rule_is_caught(benches, tmp_path, hold, message):
    unruly = build("unruly", {"unruly.v": UNRULY}, parameters={"HOLD": hold})
    with pytest.raises(SimulationFailedError, match=message):
        run(unruly, CocotbTests("unruly_bench", 1, "never_ready", python_path=[benches]), tmp_path / "stalled")
    run(unruly, CocotbTests("unruly_bench", 1, "always_ready", python_path=[benches]), tmp_path / "ready")
