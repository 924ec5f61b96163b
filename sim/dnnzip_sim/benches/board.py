"""Start the simulated board and wait until it is stopped; see ``dnnzip_sim.board``."""

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from dnnzip_sim.streams import scalar


@cocotb.test()
async def serve(dut: HierarchyObject) -> None:
    """Start; everything up to done happens on the line."""
    start = scalar(dut, "start")
    done = scalar(dut, "done")
    start.value = 1
    await RisingEdge(done)
