"""Resets of the AXI top, of one cycle and more, in any cycle of a packet; the environment is that of ``axi``.

After a reset nothing of what was before may leave, on any port, and what comes then is decoded at once. For the tests
of this bench itself, with ``DNNZIP_FLIP=reset`` each reset comes a cycle late.
"""

import random
from collections.abc import Sequence

import cocotb
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, FallingEdge

from dnnzip.format import WORD_BYTES, Verdict
from dnnzip_hw.axi.registers import group_base
from dnnzip_hw.axi.top import OUTPUT, REGISTERS, stream_prefix
from dnnzip_sim.benches.axi import (
    FLIP,
    LIMITS,
    PARAMETERS,
    QUIET_CYCLES,
    Port,
    Registers,
    named,
    ok,
    opened,
    raw_stream,
    started,
)
from dnnzip_sim.stimulus.outcomes import Case, Outcome, outcomes
from dnnzip_sim.stimulus.streams import AnsShape, random_stream
from dnnzip_sim.stimulus.table_sets import random_table_set
from dnnzip_sim.streams import scalar

LENGTHS = (1, 2, 3, 16)
"""Cycles of a reset."""

LITE_CYCLES = 16
"""Longer than a read of a counter waits for its turn."""

RAW_WORDS = 20
RAW_MOMENTS = [*range(0, 108, 9), *range(108, 160)]
"""Cycles of such a stream: some of its header, all of its payload and its end."""

TABLES_CYCLES = 1300
TABLES_MOMENTS = 8
WEIGHTS_MOMENTS = [*range(0, 96, 16), *range(96, 168, 3)]
"""Cycles of the weights of ``coded`` behind their table set, likewise."""


class Reset:
    """Resets the top, and sees that it is silent from the first clock edge of the reset on.

    Parameters
    ----------
    dut
        The top.
    """

    def __init__(self, dut: HierarchyObject) -> None:
        self._clock, self._reset = scalar(dut, "aclk"), scalar(dut, "aresetn")
        outputs = [f"{stream_prefix(OUTPUT, group, PARAMETERS.groups)}_tvalid" for group in range(PARAMETERS.groups)]
        self._valid = {name: scalar(dut, name) for name in (*outputs, f"{REGISTERS}_bvalid", f"{REGISTERS}_rvalid")}

    async def pulse(self, cycles: int, when: str) -> None:
        """Hold the reset for a number of cycles, from the next falling edge on."""
        await FallingEdge(self._clock)
        begin = int(FLIP == "reset")
        self._reset.value = begin
        for cycle in range(cycles + QUIET_CYCLES):
            await FallingEdge(self._clock)
            for name, signal in self._valid.items():
                assert signal.value == 0, f"{when}: {name} is 1 in cycle {cycle} after the reset was seen"
            self._reset.value = int(not begin <= cycle + 1 < begin + cycles)


async def begun_anew(registers: Registers, when: str) -> None:
    """Check that group 0 knows nothing of what was before the reset."""
    counters = await registers.counters()
    assert not any(counters.values()), f"{when}: counters are {counters}"
    error = await registers.read(named("error"))
    assert not any(error.values()), f"{when}: error is {error}"
    status = await registers.read(named("status"))
    assert status == {name: int(name == "load_ready") for name in status}, f"{when}: status is {status}"


async def decoded(registers: Registers, port: Port, streams: Sequence[bytes], expected: Sequence[Outcome]) -> None:
    """Send good streams to a group that was just reset; check their packets, and that no other events are counted."""
    port.send(streams)
    await port.expect(expected)
    await port.nothing_left_over()
    counters = await registers.counters()
    assert counters["words"] == sum(len(stream) for stream in streams) // WORD_BYTES
    assert counters["weights"] == sum(len(outcome.weights) for outcome in expected)
    assert (counters["good"], counters["bad"]) == (len(streams), 0)


def coded(rng: random.Random) -> Case:
    """Return a table set and a small stream that needs it."""
    tables = random_table_set(rng, tables=1)
    limits = PARAMETERS.decompressor
    log2_lanes = (limits.lanes * limits.slots).bit_length() - 1
    stream = random_stream(
        rng, tables, AnsShape(channels=2 << log2_lanes, length=9, log2_lanes=log2_lanes, largest=20, wild=0.0)
    )
    return Case("coded", (tables.to_bytes(), stream))


@cocotb.test()
@cocotb.parametrize(cycles=LENGTHS, pattern=["no_pauses", "both"])
async def in_every_cycle_of_a_packet(dut: HierarchyObject, cycles: int, pattern: str) -> None:
    """Reset in each cycle from before a stream's first beat to after its last; the source is silent from then on."""
    registers, ports = await opened(dut, pattern)
    rng = random.Random(cocotb.RANDOM_SEED)
    reset = Reset(dut)
    hits = 0  # in an open packet
    for moment in RAW_MOMENTS:
        for port in ports:
            port.send([raw_stream(rng, RAW_WORDS)[0]])
        await ClockCycles(scalar(dut, "aclk"), moment)
        hits += ports[0].sink.active
        for port in ports:
            port.source.clear()
        when = f"reset of {cycles} cycles after {moment}"
        await reset.pulse(cycles, when)
        for port in ports:
            port.sink.clear()
            assert not port.sink.active, f"{when}: a part of a packet is left over"
        await begun_anew(registers, when)
        stream, items = raw_stream(rng, 9)
        await decoded(registers, ports[0], [stream], [ok(items)])
    assert hits > 5, "the packet's weights were missed"


@cocotb.test()
@cocotb.parametrize(cycles=LENGTHS, pattern=["no_pauses", "both"])
async def in_a_table_set_and_the_weights_behind_it(dut: HierarchyObject, cycles: int, pattern: str) -> None:
    """Reset while a table set is built or a stream decoded with it; then load it again, and decode."""
    registers, ports = await opened(dut, pattern)
    rng = random.Random(cocotb.RANDOM_SEED)
    reset = Reset(dut)
    case = coded(rng)
    expected = outcomes(case, LIMITS)
    assert [outcome.verdict for outcome in expected] == [Verdict.OK] * 2
    clock = scalar(dut, "aclk")
    for moment in [rng.randrange(TABLES_CYCLES) for _ in range(TABLES_MOMENTS)]:
        ports[0].send(case.streams)
        await ClockCycles(clock, moment)
        ports[0].source.clear()
        await reset.pulse(cycles, f"reset of {cycles} cycles, {moment} into a table set")
        ports[0].sink.clear()
        await begun_anew(registers, f"{moment} into a table set")
    await decoded(registers, ports[0], case.streams, expected)
    hits = 0  # in an open packet
    for moment in WEIGHTS_MOMENTS:
        # The weights follow the table set that the last round left.
        ports[0].send(case.streams[1:])
        await ClockCycles(clock, moment)
        hits += ports[0].sink.active
        ports[0].source.clear()
        when = f"reset of {cycles} cycles, {moment} into weights"
        await reset.pulse(cycles, when)
        ports[0].sink.clear()
        await begun_anew(registers, when)
        await decoded(registers, ports[0], case.streams, expected)
    assert hits > 5, "the packet's weights were missed"


@cocotb.test()
@cocotb.parametrize(cycles=LENGTHS)
async def between_a_request_and_its_answer(dut: HierarchyObject, cycles: int) -> None:
    """Reset in each cycle of a write and a read of a counter: neither is answered, and the write is undone."""
    await started(dut)
    clock, reset = scalar(dut, "aclk"), Reset(dut)
    bus = {name: getattr(dut, f"{REGISTERS}_{name}") for name in ("awaddr", "wdata", "wstrb", "araddr")}
    valid = [scalar(dut, f"{REGISTERS}_{channel}valid") for channel in ("aw", "w", "ar")]
    taken = [scalar(dut, f"{REGISTERS}_{channel}ready") for channel in ("b", "r")]
    control = group_base(0) + named("control").offset
    asked = {"awaddr": control, "wdata": 0, "wstrb": 0b1111, "araddr": group_base(0) + named("words").offset}
    for moment in range(LITE_CYCLES):
        await FallingEdge(clock)
        for name, value in asked.items():
            bus[name].value = value
        for signal in valid:
            signal.value = 1
        for signal in taken:
            signal.value = moment % 2
        for _ in range(moment):
            await FallingEdge(clock)
        for signal in valid:
            signal.value = 0
        await reset.pulse(cycles, f"reset of {cycles} cycles, {moment} after a request")
    registers = Registers(dut, random.Random(cocotb.RANDOM_SEED))
    assert await registers.read(named("control")) == {field.name: field.init for field in named("control").fields}


@cocotb.test()
@cocotb.parametrize(pattern=["no_pauses", "both"])
async def by_the_register(dut: HierarchyObject, pattern: str) -> None:
    """Reset a group by its register: the open packet is closed, and nothing else leaves or is counted any more."""
    registers, ports = await opened(dut, pattern)
    rng = random.Random(cocotb.RANDOM_SEED)
    clock, reset, port = scalar(dut, "aclk"), Reset(dut), ports[0]
    closed = 0
    for moment in RAW_MOMENTS[::3]:
        port.send([raw_stream(rng, RAW_WORDS)[0]])
        await ClockCycles(clock, moment)
        await registers.write("control", enable=0, count=1, reset=1)
        await ClockCycles(clock, QUIET_CYCLES)
        assert not port.sink.active, "the open packet was not closed"
        assert port.sink.count() <= 1, "a packet of no stream"
        while not port.sink.empty():
            closed += (await port.packet(may_be_closed=True))[0] == Verdict.TRUNCATED
        before = await registers.counters()
        await ClockCycles(clock, QUIET_CYCLES)
        assert port.sink.empty(), "a packet is left over"
        assert not port.sink.active, "a part of a packet is left over"
        assert await registers.counters() == before, f"{moment} cycles after a stream's begin"
        await reset.pulse(1, "to be rid of what the source has left")
        stream, items = raw_stream(rng, 9)
        await decoded(registers, port, [stream], [ok(items)])
    assert closed, "no reset hit an open packet"
