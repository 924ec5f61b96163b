"""Bench of a source that breaks the rules of the stream; runs inside the simulator, ``test_streams.py`` starts it."""

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles

from dnnzip_sim.streams import StreamSink, start


@cocotb.test(timeout_time=100, timeout_unit="us")
async def sink_that_is_never_ready(dut: HierarchyObject) -> None:
    StreamSink(dut, "o", pauses=iter(lambda: True, False))
    await start(dut)
    await ClockCycles(dut.clk, 20)


@cocotb.test(timeout_time=100, timeout_unit="us")
async def sink_that_is_always_ready(dut: HierarchyObject) -> None:
    sink = StreamSink(dut, "o")
    await start(dut)
    await ClockCycles(dut.clk, 20)
    assert sink.beats > 0
