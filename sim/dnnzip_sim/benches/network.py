"""Start the harness and wait until the whole network went through it; see ``dnnzip_sim.harness``."""

from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge

from dnnzip_sim.streams import scalar


@cocotb.test()
async def stream_network(dut: HierarchyObject) -> None:
    """Start; everything up to done happens in the harness."""
    start = scalar(dut, "start")
    done = scalar(dut, "done")
    failed = scalar(dut, "failed")
    start.value = 1
    await RisingEdge(done)
    if failed.value:
        raise AssertionError(Path(str(cocotb.plusargs["failure"])).read_text().strip())
