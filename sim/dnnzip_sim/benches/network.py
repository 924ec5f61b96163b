"""Start the harness and wait until the whole network went through it; see ``dnnzip_sim.harness``."""

from pathlib import Path

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import RisingEdge


@cocotb.test()
async def stream_network(dut: HierarchyObject) -> None:
    """Everything between start and done happens in the harness."""
    dut.start.value = 1
    await RisingEdge(dut.done)
    if dut.failed.value:
        raise AssertionError(Path(str(cocotb.plusargs["failure"])).read_text().strip())
