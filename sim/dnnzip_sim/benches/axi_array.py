"""The array with AXI ports, driven by cocotbext-axi: a memory, sources and a sink that nobody of this project wrote.

``DNNZIP_PROGRAM`` in the environment names a file with a program: NumPy arrays ``image``, ``walks``, ``runs``,
``vectors``, and ``sums`` with ``known``, what must come and which of it has a meaning.
"""

import os
import random
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject, LogicArrayObject, PackedObject
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout
from cocotbext.axi import AxiRamRead, AxiReadBus, AxiStreamBus, AxiStreamSink, AxiStreamSource

from dnnzip_hw.array.accelerator import FIGURES
from dnnzip_hw.array.axi import INPUTS, MEMORY, OUTPUT
from dnnzip_sim.streams import CLOCK_PERIOD_NS, PAUSE_PATTERNS, bursts, scalar

PROGRAM = dict(np.load(os.environ["DNNZIP_PROGRAM"]))
SEED = cocotb.RANDOM_SEED
PATIENCE_US = 2000
QUIET_CYCLES = 64
PAGE_BYTES = 4096
RAM_BYTES = 1 << 20
RESETS = 16
LONGEST_CYCLES = 8000
"""Longer than a program takes."""


def vector(dut: HierarchyObject, name: str) -> LogicArrayObject | PackedObject[Any]:
    """Return the handle of the signal ``name``, of several bits."""
    handle = getattr(dut, name)
    assert isinstance(handle, LogicArrayObject | PackedObject), f"{name} has more bits than one"
    return handle


async def watch_bursts(dut: HierarchyObject, seen: list[tuple[int, int]]) -> None:
    """Check every burst that is asked for: inside its page, its address aligned; collect (address, beats)."""
    size = len(vector(dut, f"{MEMORY}_rdata")) // 8
    valid, ready = scalar(dut, f"{MEMORY}_arvalid"), scalar(dut, f"{MEMORY}_arready")
    start, length = vector(dut, f"{MEMORY}_araddr"), vector(dut, f"{MEMORY}_arlen")
    while True:
        await RisingEdge(scalar(dut, "aclk"))
        if not (valid.value and ready.value):
            continue
        address, beats = start.value.to_unsigned(), length.value.to_unsigned() + 1
        assert address % size == 0, f"burst from {address}, which is no multiple of {size}"
        assert address // PAGE_BYTES == (address + beats * size - 1) // PAGE_BYTES, (
            f"burst from {address} leaves its page"
        )
        seen.append((address, beats))


class Around:
    """A memory with the image across a page, sources and a sink, on a top that is being reset.

    Parameters
    ----------
    dut
        The top.
    pattern
        Name of the pause pattern.
    """

    def __init__(self, dut: HierarchyObject, pattern: str) -> None:
        rng = random.Random(f"{SEED}/{pattern}")
        Clock(scalar(dut, "aclk"), CLOCK_PERIOD_NS, unit="ns").start()
        clk, reset = scalar(dut, "aclk"), scalar(dut, "aresetn")
        memory = AxiRamRead(AxiReadBus.from_prefix(dut, MEMORY), clk, reset, False, size=RAM_BYTES)
        base = PAGE_BYTES - 64
        memory.write(base, PROGRAM["image"].tobytes())
        self.sources = {
            name: AxiStreamSource(AxiStreamBus.from_prefix(dut, prefix), clk, reset, False)
            for name, prefix in INPUTS.items()
        }
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, OUTPUT), clk, reset, False)
        vector(dut, "base").value = base
        reset.value = 0
        if PAUSE_PATTERNS[pattern].idle_source:
            for source in self.sources.values():
                source.set_pause_generator(bursts(rng))
            memory.r_channel.set_pause_generator(bursts(rng))
        if PAUSE_PATTERNS[pattern].stalled_sink:
            self.sink.set_pause_generator(bursts(rng))
            memory.ar_channel.set_pause_generator(bursts(rng))

    def send(self) -> None:
        """Queue the program."""
        for name, key in (("walks", "walks"), ("runs", "runs"), ("i", "vectors")):
            for row in PROGRAM[key]:
                self.sources[name].send_nowait(row.tobytes())

    async def expect_sums(self) -> None:
        """Compare the sums of the program."""
        wanted, known = PROGRAM["sums"], PROGRAM["known"]
        for number, row in enumerate(wanted):
            frame = await with_timeout(self.sink.read(wanted.shape[1] * 4), PATIENCE_US, "us")
            got = np.frombuffer(bytes(frame), "<i4")
            wrong = np.flatnonzero(known[number] & (got != row))
            assert not len(wrong), (
                f"seed {SEED}: vector {number}, row {wrong[0]}: expected {row[wrong[0]]}, got {got[wrong[0]]}"
            )

    def forget(self) -> None:
        """Drop what was not sent, and what came."""
        for source in self.sources.values():
            source.clear()
        self.sink.clear()


@cocotb.test()
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def a_program_gives_its_sums(dut: HierarchyObject, pattern: str) -> None:
    """Put the image behind the read channels across a page, send the program, compare the sums."""
    around = Around(dut, pattern)
    clk = scalar(dut, "aclk")
    await ClockCycles(clk, 4)
    scalar(dut, "aresetn").value = 1
    bursts: list[tuple[int, int]] = []
    cocotb.start_soon(watch_bursts(dut, bursts))
    around.send()
    await around.expect_sums()
    await ClockCycles(clk, QUIET_CYCLES)
    assert around.sink.empty(), "sums are left over"
    assert all(source.idle() for source in around.sources.values()), "a part of the program is left over"
    for name in ("cause", "fault"):
        assert vector(dut, name).value.to_unsigned() == 0
    assert not scalar(dut, "memory_failed").value
    # A bus word is fetched once: the beats of all bursts are the words that came.
    assert sum(beats for _, beats in bursts) == vector(dut, "figure_memory_words").value.to_unsigned()
    assert any(address % PAGE_BYTES == 0 for address, _ in bursts), "no burst started a page"


@cocotb.test()
@cocotb.parametrize(cycles=(1, 2, 3, 16), pattern=["no_pauses", "both"])
async def nothing_leaves_after_a_reset(dut: HierarchyObject, cycles: int, pattern: str) -> None:
    """Reset, the memory too, at many moments: no sum, no burst, no figure until a program comes; then its sums."""
    around = Around(dut, pattern)
    rng = random.Random(SEED)
    clk, reset = scalar(dut, "aclk"), scalar(dut, "aresetn")
    valid = [scalar(dut, f"{prefix}valid") for prefix in (f"{OUTPUT}_t", f"{MEMORY}_ar")]
    told = [vector(dut, name) for name in ("cause", "fault", *(f"figure_{name}" for name in FIGURES))]
    await ClockCycles(clk, 4)
    reset.value = 1
    hits = 0  # after the first sums
    for number in range(RESETS):
        around.send()
        moment = rng.randrange(LONGEST_CYCLES // 2 if number % 2 else 0, LONGEST_CYCLES)
        await ClockCycles(clk, moment)
        hits += not around.sink.empty()
        around.forget()
        await FallingEdge(clk)
        reset.value = 0
        for at in range(cycles + QUIET_CYCLES):
            await FallingEdge(clk)
            when = f"cycle {at} of a reset of {cycles} cycles after {moment}, seed {SEED}"
            assert not any(signal.value for signal in valid), f"{when}: sums or a burst"
            assert not any(signal.value.to_unsigned() for signal in told), f"{when}: something is told"
            if at == cycles - 1:
                reset.value = 1
        around.forget()
    assert hits, "no sums had come before any reset"
    around.send()
    await around.expect_sums()
    await ClockCycles(clk, QUIET_CYCLES)
    assert around.sink.empty(), "sums are left over"
