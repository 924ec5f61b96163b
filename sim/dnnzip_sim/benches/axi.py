"""The AXI top, driven by cocotbext-axi: sources, sinks and masters that nobody of this project wrote.

``DNNZIP_AXI`` in the environment holds the top's parameters as JSON, ``DNNZIP_VECTORS`` the folder of the frozen
streams. For the tests of this bench itself, ``DNNZIP_FLIP`` makes it expect something else: ``weight`` or ``cause``.
"""

import hashlib
import json
import logging
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import HierarchyObject
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, with_timeout
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from dnnzip.codec.beat_order import codes_from_beats
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import TABLES_MAGIC, WORD_BYTES, Verdict, WeightStream
from dnnzip.format import VERSION as FORMAT_VERSION
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.axi import AxiParameters
from dnnzip_hw.axi.registers import BLOCKS, COUNTERS, GROUP, ID, MAP_VERSION, SHARED, Access, Register, group_base
from dnnzip_hw.axi.top import INPUT, OUTPUT, REGISTERS, stream_prefix
from dnnzip_sim.stimulus.cases import damaged_cases, random_case, sound_cases
from dnnzip_sim.stimulus.outcomes import Case, Outcome, outcomes
from dnnzip_sim.streams import CLOCK_PERIOD_NS, PAUSE_PATTERNS, bursts, scalar

GIVEN: dict[str, Any] = json.loads(os.environ["DNNZIP_AXI"])
PARAMETERS = AxiParameters(DecompressorParameters(**GIVEN.pop("decompressor")), **GIVEN)
LIMITS = PARAMETERS.decompressor.limits
VECTORS = Path(os.environ["DNNZIP_VECTORS"])
FLIP = os.environ.get("DNNZIP_FLIP", "")
SEED = cocotb.RANDOM_SEED

PATIENCE_US = 3000
QUIET_CYCLES = 40
CASES = {case.name: case for case in (*sound_cases(SEED), *damaged_cases(SEED), random_case(SEED))}


class Registers:
    """The registers by name, over AXI4-Lite.

    Parameters
    ----------
    dut
        The top.
    rng
        Where the pauses come from.
    """

    def __init__(self, dut: HierarchyObject, rng: random.Random) -> None:
        self._master = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, REGISTERS), scalar(dut, "aclk"), scalar(dut, "aresetn"), False
        )
        write, read = self._master.write_if, self._master.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            channel.set_pause_generator(bursts(rng))

    async def read(self, register: Register, group: int | None = 0) -> dict[str, int]:
        """Return a register's fields."""
        value, response = await self.read_at(self._address(register, group))
        assert response is AxiResp.OKAY, f"read of {register.name} answered {response.name}"
        used = 0
        for field in register.fields:
            used |= field.mask
        assert not value & ~used, f"{register.name} has bits outside of its fields: {value:#x}"
        return {field.name: (value & field.mask) >> field.first for field in register.fields}

    async def value(self, name: str, field: str = "value", group: int = 0) -> int:
        """Return a field of a group's register."""
        return (await self.read(named(name), group))[field]

    async def write(self, name: str, group: int = 0, **fields: int) -> AxiResp:
        """Write a whole register; fields that are not given are 0."""
        register = named(name)
        value = 0
        for field in register.fields:
            value |= fields.pop(field.name, 0) << field.first
        assert not fields
        return await self.write_at(self._address(register, group), value.to_bytes(4, "little"))

    async def counters(self, group: int = 0) -> dict[str, int]:
        """Return all counters."""
        return {name: await self.value(name, group=group) for name in COUNTERS}

    async def read_at(self, address: int) -> tuple[int, AxiResp]:
        """Return 32 bits and the response."""
        answer = await with_timeout(self._master.read(address, 4), PATIENCE_US, "us")
        return int.from_bytes(answer.data, "little"), answer.resp

    async def write_at(self, address: int, data: bytes) -> AxiResp:
        """Write bytes; return the response."""
        answer = await with_timeout(self._master.write(address, data), PATIENCE_US, "us")
        return answer.resp

    @staticmethod
    def _address(register: Register, group: int | None) -> int:
        return register.offset + (0 if group is None or register in SHARED else group_base(group))


def named(name: str) -> Register:
    """Return a group's register by its name."""
    return next(register for register in GROUP if register.name == name)


class Port:
    """A group's streams, with what has to come out.

    Parameters
    ----------
    dut
        The top.
    group
        Its number.
    pattern
        Name of the pause pattern.
    rng
        Where the pauses come from.
    """

    def __init__(self, dut: HierarchyObject, group: int, pattern: str, rng: random.Random) -> None:
        self._dut = dut
        groups = PARAMETERS.groups
        reset = (scalar(dut, "aclk"), scalar(dut, "aresetn"), False)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, stream_prefix(INPUT, group, groups)), *reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, stream_prefix(OUTPUT, group, groups)), *reset)
        if PAUSE_PATTERNS[pattern].idle_source:
            self.source.set_pause_generator(bursts(rng))
        if PAUSE_PATTERNS[pattern].stalled_sink:
            self.sink.set_pause_generator(bursts(rng))

    def send(self, streams: Sequence[bytes]) -> None:
        """Queue streams, back to back."""
        for stream in streams:
            self.source.send_nowait(AxiStreamFrame(stream))

    async def packet(self, *, may_be_closed: bool = False) -> tuple[Verdict, list[int]]:
        """Return the next packet's cause and weights, after checking its shape.

        One that a soft reset closed may have an empty beat after full ones.
        """
        frame = await with_timeout(self.sink.recv(compact=False), PATIENCE_US, "us")
        row = PARAMETERS.row_bits // 8
        keep = [int(bit) for bit in frame.tkeep]
        kept = sum(keep)
        assert keep == [1] * kept + [0] * (len(keep) - kept), "a gap in a packet"
        fewest = max(row, -(-kept // row) * row)
        assert len(keep) in (fewest, fewest + row * may_be_closed), f"{kept} bytes in {len(keep) // row} beats"
        users = [int(user) for user in frame.tuser]
        assert not any(users[:-row]), "a cause before the last beat"
        size = PARAMETERS.decompressor.weight_bits // 8
        assert kept % size == 0
        data = bytes(frame.tdata[:kept])
        weights = [int.from_bytes(data[at : at + size], "little", signed=True) for at in range(0, kept, size)]
        return Verdict(users[-1]), weights

    async def expect(self, expected: Sequence[Outcome]) -> None:
        """Compare the next packets with these outcomes."""
        for number, outcome in enumerate(expected):
            verdict, weights = await self.packet()
            wanted = outcome.verdict
            if FLIP == "cause" and number == 1:
                wanted = Verdict.OK if wanted else Verdict.BAD_CRC
            assert verdict == wanted, f"packet {number}: expected {wanted.label}, got {verdict.label}"
            assert len(weights) <= outcome.declared, f"packet {number}: {len(weights)} of {outcome.declared} weights"
            if verdict == Verdict.OK:
                other = [outcome.weights[0] ^ 1] if FLIP == "weight" and outcome.weights else []
                assert weights == [*other, *outcome.weights[len(other) :]], f"packet {number}: other weights"

    async def nothing_left_over(self) -> None:
        """Check that every beat was taken and that no packet or part of one comes any more."""
        await ClockCycles(scalar(self._dut, "aclk"), QUIET_CYCLES)
        assert self.source.idle(), "the source has beats left"
        assert self.sink.empty(), "a packet is left over"
        assert not self.sink.active, "a part of a packet is left over"


async def started(dut: HierarchyObject) -> None:
    """Start the clock and hold the reset for some cycles, with every input driven."""
    for name in ("tvalid", "tdata", "tkeep", "tlast"):
        for group in range(PARAMETERS.groups):
            getattr(dut, f"{stream_prefix(INPUT, group, PARAMETERS.groups)}_{name}").value = 0
    scalar(dut, "aresetn").value = 0
    Clock(scalar(dut, "aclk"), CLOCK_PERIOD_NS, unit="ns").start()
    await ClockCycles(scalar(dut, "aclk"), 4)
    await FallingEdge(scalar(dut, "aclk"))
    scalar(dut, "aresetn").value = 1
    await RisingEdge(scalar(dut, "aclk"))


async def opened(dut: HierarchyObject, pattern: str) -> tuple[Registers, list[Port]]:
    """Return the registers and the ports of all groups of a top that was just reset."""
    rng = random.Random(cocotb.RANDOM_SEED)
    dut._log.info(f"{PARAMETERS}, {pattern}, seed {SEED}")
    for port in (INPUT, OUTPUT, REGISTERS):  # a line for each beat takes longer than the beat
        for number in range(PARAMETERS.groups):
            for name in (port, stream_prefix(port, number, PARAMETERS.groups)):
                logging.getLogger(f"cocotb.{dut._name}.{name}").setLevel(logging.WARNING)
    registers = Registers(dut, rng)
    ports = [Port(dut, group, pattern, rng) for group in range(PARAMETERS.groups)]
    await started(dut)
    return registers, ports


async def decoded(registers: Registers, port: Port, case: Case, pattern: str, group: int = 0) -> None:
    """Send a case, and check packets, sticky errors and counters."""
    expected = outcomes(case, LIMITS)
    port.send(case.streams)
    await port.expect(expected)
    await port.nothing_left_over()
    failed = [outcome.verdict for outcome in expected if outcome.verdict != Verdict.OK]
    error = await registers.read(named("error"), group)
    assert error == {"any": bool(failed), "bad_keep": 0, "load_lost": 0, "first_cause": failed[0] if failed else 0}
    counters = await registers.counters(group)
    assert counters["words"] == sum(len(stream) for stream in case.streams) // WORD_BYTES
    assert (counters["good"], counters["bad"]) == (len(expected) - len(failed), len(failed))
    if not failed:
        assert counters["weights"] == sum(len(outcome.weights) for outcome in expected)
    assert counters["words"] <= counters["cycles"] - counters["starved"]
    if pattern == "no_pauses":  # neither the ports nor the splitter and the packer cost a cycle
        assert (counters["starved"], counters["stalled"]) == (0, 0)
    await registers.write("control", group, enable=1, count=1, clear_errors=1, clear_counters=1)
    assert not any((await registers.read(named("error"), group)).values())
    assert not any((await registers.counters(group)).values())


def frozen() -> list[tuple[str, dict[str, Any]]]:
    """Return name and facts of the frozen streams, each after the table set that it needs."""
    index = json.loads((VECTORS / "index.json").read_text())
    sets = index["table_sets"]
    listed = list(sets.items())
    loaded = ""
    for name, facts in sorted(index["streams"].items(), key=lambda item: str(item[1]["tables"])):
        before = facts["tables"] or "tables_bad_crc"
        if before != loaded:
            listed.append((before, sets[before]))
        listed.append((name, facts))
        loaded = before
    return listed


@cocotb.test()
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def frozen_streams(dut: HierarchyObject, pattern: str) -> None:
    """Decode every frozen stream as the index says, back to back."""
    _, ports = await opened(dut, pattern)
    listed = frozen()
    streams = [(VECTORS / f"{name}.bin").read_bytes() for name, _ in listed]
    ports[0].send(streams)
    compared = 0
    for (name, facts), stream in zip(listed, streams, strict=True):
        verdict, weights = await ports[0].packet()
        assert verdict.label == facts["verdict"], name
        if verdict == Verdict.OK and stream[0] != TABLES_MAGIC:
            codes = codes_from_beats(np.array(weights, np.int16), WeightStream.from_bytes(stream).header)
            assert hashlib.sha256(codes.astype("<i2").tobytes()).hexdigest() == facts["sha256"], name
            compared += 1
    assert compared > 20
    await ports[0].nothing_left_over()


@cocotb.test()
@cocotb.parametrize(name=list(CASES), pattern=["no_pauses", "both"])
async def decodes_as_the_reference(dut: HierarchyObject, name: str, pattern: str) -> None:
    """Decode the case list as the reference does, all groups at once."""
    registers, ports = await opened(dut, pattern)
    other = list(CASES)[(list(CASES).index(name) + 1) % len(CASES)]
    for port in ports[1:]:
        port.send(CASES[other].streams)
    await decoded(registers, ports[0], CASES[name], pattern)
    for group, port in enumerate(ports[1:], 1):
        expected = outcomes(CASES[other], LIMITS)
        await port.expect(expected)
        await port.nothing_left_over()
        good = sum(outcome.verdict == Verdict.OK for outcome in expected)
        assert await registers.value("good", group=group) == good


def raw_stream(rng: random.Random, words: int) -> tuple[bytes, tuple[int, ...]]:
    """Return a stream of about ``words`` words, which needs no table set, and its weights."""
    items = [rng.randrange(-128, 128) for _ in range(words * 2)]
    return raw_reference.encode(items, 1, 8), tuple(items)


def ok(items: tuple[int, ...]) -> Outcome:
    """Return the outcome of a sound stream."""
    return Outcome(Verdict.OK, items, len(items))


@cocotb.test()
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def bad_keep_ends_as_truncated(dut: HierarchyObject, pattern: str) -> None:
    """End a stream with a beat of holes or half words as truncated, whatever it holds, and decode the next."""
    registers, ports = await opened(dut, pattern)
    port = ports[0]
    rng = random.Random(cocotb.RANDOM_SEED)
    beat = PARAMETERS.bus_bits // 8
    for _ in range(12):
        stream, items = raw_stream(rng, rng.randrange(20, 40))
        place = rng.randrange(0, len(stream), beat)
        size = min(beat, len(stream) - place)
        frames = bytearray(stream), [1] * len(stream)
        kind = rng.randrange(3)
        is_last = place + size == len(stream)
        if kind == 0 or (beat == WORD_BYTES and not is_last):  # half a word
            frames[1][place + rng.randrange(size)] = 0
        elif beat == WORD_BYTES or (kind == 1 and is_last):  # a last beat without a word
            frames[1][-size:] = [0] * size
        elif size > WORD_BYTES:  # a hole
            frames[1][place : place + WORD_BYTES] = [0] * WORD_BYTES
        else:
            frames[1][place] = 0
        port.source.send_nowait(AxiStreamFrame(frames[0], tkeep=frames[1]))
        port.send([stream])
        await port.expect([Outcome(Verdict.TRUNCATED, (), len(items)), ok(items)])
        assert await registers.value("error", "bad_keep") == 1
        assert await registers.value("error", "first_cause") == Verdict.TRUNCATED
        await registers.write("control", enable=1, count=1, clear_errors=1)
        assert not any((await registers.read(named("error"))).values())
    await port.nothing_left_over()


@cocotb.test()
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def empty_beats_are_passed_over(dut: HierarchyObject, pattern: str) -> None:
    """Take beats that keep nothing, or not all of their words, amid a stream."""
    _, ports = await opened(dut, pattern)
    rng = random.Random(cocotb.RANDOM_SEED)
    beat = PARAMETERS.bus_bits // 8
    expected = []
    for _ in range(8):
        stream, items = raw_stream(rng, rng.randrange(5, 30))
        data, keep = bytearray(), []
        rest = stream
        while rest:
            take = min(len(rest), WORD_BYTES * rng.randrange(beat // WORD_BYTES + 1))
            if take == len(rest) or len(rest) <= beat:
                take = min(len(rest), beat)
            data += rest[:take].ljust(beat, b"\xee")
            keep += [1] * take + [0] * (beat - take)
            rest = rest[take:]
        ports[0].source.send_nowait(AxiStreamFrame(data, tkeep=keep))
        expected.append(ok(items))
    await ports[0].expect(expected)
    await ports[0].nothing_left_over()


@cocotb.test()
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def soft_reset_at_any_moment(dut: HierarchyObject, pattern: str) -> None:
    """Close the open packet after a soft reset, lose the table set, and decode what comes then."""
    registers, ports = await opened(dut, pattern)
    port = ports[0]
    rng = random.Random(cocotb.RANDOM_SEED)
    case = CASES["wrong_tables"]
    expected = outcomes(case, LIMITS)
    ends = 0
    closed = 0
    for number in range(8):
        port.send([raw_stream(rng, 400)[0], *case.streams])
        await ClockCycles(scalar(dut, "aclk"), rng.randrange(1, 400 if number % 2 else 6000))
        await registers.write("control", count=1)
        port.source.clear()
        await ClockCycles(scalar(dut, "aclk"), 4)
        # The beats of the frame that the source has begun go in after `enable`, as a stream of their own.
        await registers.write("control", enable=0, count=1, reset=1)
        await ClockCycles(scalar(dut, "aclk"), 4)
        assert await registers.value("status", "busy") == 0
        assert await registers.value("status", "tables") == 0
        await ClockCycles(scalar(dut, "aclk"), QUIET_CYCLES)
        assert not port.sink.active, "the open packet was not closed"
        await registers.write("control", enable=1, count=1)
        while not port.source.idle():
            await RisingEdge(scalar(dut, "aclk"))
        stream, items = raw_stream(rng, 9)
        port.send([stream])
        while True:
            verdict, weights = await port.packet(may_be_closed=True)
            ends += 1
            closed += verdict == Verdict.TRUNCATED and bool(weights)
            if verdict == Verdict.OK and weights == list(items):
                break
        await port.nothing_left_over()
    assert ends > 8
    assert closed, "no reset hit an open packet"
    await registers.write("control", enable=1, count=1, clear_errors=1, clear_counters=1)
    port.send(case.streams)
    await port.expect(expected)
    await port.nothing_left_over()


@cocotb.test()
@cocotb.parametrize(pattern=list(PAUSE_PATTERNS))
async def tables_through_the_register(dut: HierarchyObject, pattern: str) -> None:
    """Load a table set word by word between two streams; it yields no packet."""
    registers, ports = await opened(dut, pattern)
    case = CASES["every_lane_count"]
    tables, *streams = case.streams
    expected = outcomes(case, LIMITS)[1:]
    damaged = bytes([*tables[:-1], tables[-1] ^ 1])
    for words, verdict in ((damaged, Verdict.BAD_CRC), (tables, Verdict.OK)):
        assert await registers.value("status", "load_ready") == 1
        for at in range(0, len(words), WORD_BYTES):
            while not await registers.value("status", "load_ready"):
                pass
            word = int.from_bytes(words[at : at + WORD_BYTES], "little")
            response = await registers.write("load", data=word, last=at + WORD_BYTES == len(words))
            assert response is AxiResp.OKAY
        while (await registers.read(named("status")))["load_busy"]:
            pass
        status = await registers.read(named("status"))
        assert (status["load_done"], status["load_cause"]) == (1, verdict)
        assert status["tables"] == (verdict == Verdict.OK)
    assert (await registers.read(named("error")))["first_cause"] == Verdict.BAD_CRC
    ports[0].send(streams)
    await ports[0].expect(expected)
    await ports[0].nothing_left_over()


@cocotb.test()
async def a_write_that_comes_too_early_is_refused(dut: HierarchyObject) -> None:
    """Answer SLVERR to a word for which there is no room, and remember it."""
    registers, ports = await opened(dut, "no_pauses")
    stream, items = raw_stream(random.Random(SEED), 30)
    # A stream that has begun and waits for its words keeps the register's word waiting.
    await registers.write("control", count=1, enable=0)
    ports[0].source.send_nowait(AxiStreamFrame(stream))
    await registers.write("control", count=1, enable=1)
    ports[0].source.pause = True
    while not await registers.value("status", "busy"):
        ports[0].source.pause = not ports[0].source.pause
    assert await registers.write("load", data=1) is AxiResp.OKAY
    assert await registers.value("status", "load_ready") == 0
    assert await registers.write("load", data=2) is AxiResp.SLVERR
    assert await registers.value("error", "load_lost") == 1
    ports[0].source.pause = False
    await ports[0].expect([ok(items)])


@cocotb.test()
async def every_register_reads_as_described(dut: HierarchyObject) -> None:
    """Read constants and initial values; write what can be written, byte by byte; refuse the rest."""
    registers, _ = await opened(dut, "no_pauses")
    found: dict[str, int] = {}
    for register in SHARED:
        found |= {register.member(field): 0 for field in register.fields}
        values = await registers.read(register, None)
        found |= {register.member(field): values[field.name] for field in register.fields}
    decompressor = PARAMETERS.decompressor
    assert found == {
        "id": ID,
        "version_map": MAP_VERSION,
        "version_format": FORMAT_VERSION,
        "decoder_lanes": decompressor.lanes,
        "decoder_slots": decompressor.slots,
        "decoder_log2_states": decompressor.log2_states,
        "decoder_weight_bits": decompressor.weight_bits,
        "decoder_line": decompressor.line,
        "ports_groups": PARAMETERS.groups,
        "ports_bus_bits": PARAMETERS.bus_bits,
        "ports_row_weights": PARAMETERS.row_weights,
    }
    for group in range(PARAMETERS.groups):
        for register in GROUP:
            values = await registers.read(register, group)
            quiet = {"control": {"enable": 1, "count": 1}, "status": {"load_ready": 1}}.get(register.name, {})
            assert values == {field.name: quiet.get(field.name, 0) for field in register.fields}, register.name
    for block, blocks in BLOCKS.items():
        for register in blocks:
            address = register.offset + (group_base(PARAMETERS.groups - 1) if block == "group" else 0)
            if not any(field.access in (Access.CONTROL, Access.DATA) for field in register.fields):
                assert await registers.write_at(address, b"\xff\xff\xff\xff") is AxiResp.SLVERR, register.name
    control = group_base(0)
    assert await registers.write_at(control + 1, b"\x00") is AxiResp.OKAY
    assert (await registers.read_at(control))[0] == 3
    assert await registers.write_at(control, b"\x06") is AxiResp.OKAY
    assert (await registers.read_at(control))[0] == 6
    assert await registers.write_at(group_base(0) + named("load").offset, b"\x01\x02") is AxiResp.SLVERR
    for address in (group_base(PARAMETERS.groups), 0x3C, group_base(0) + 0x3C):
        assert (await registers.read_at(address)) == (0, AxiResp.DECERR)
        assert await registers.write_at(address, b"\x00\x00\x00\x00") is AxiResp.DECERR


@cocotb.test()
async def counters_stand_still_and_streams_without_weights_vanish(dut: HierarchyObject) -> None:
    """Stop the counters with `count`, send no empty packet with `drop_empty`, take nothing without `enable`."""
    registers, ports = await opened(dut, "both")
    case = CASES["single_tokens"]
    await registers.write("control", enable=1, count=0, drop_empty=1)
    ports[0].send(case.streams)
    await ports[0].expect([outcome for outcome in outcomes(case, LIMITS) if outcome.weights])
    while not ports[0].source.idle() or await registers.value("status", "busy"):
        await RisingEdge(scalar(dut, "aclk"))
    await ports[0].nothing_left_over()
    assert not any((await registers.counters()).values())
    await registers.write("control", enable=0, count=1)
    ports[0].send(case.streams[:1])
    await ClockCycles(scalar(dut, "aclk"), 500)
    assert not ports[0].source.idle()
    assert await registers.value("words") == 0
    await registers.write("control", enable=1, count=1)
    await ports[0].expect([Outcome(Verdict.OK)])
    await ports[0].nothing_left_over()


@cocotb.test()
async def counters_tell_who_waits(dut: HierarchyObject) -> None:
    """Count a pause of the sink as stalled, one of the source as starved, and both as cycles of the stream."""
    registers, ports = await opened(dut, "no_pauses")
    source, sink = ports[0].source, ports[0].sink
    stream, items = raw_stream(random.Random(SEED), 300)
    sink.pause = True
    source.send_nowait(AxiStreamFrame(stream))
    await ClockCycles(scalar(dut, "aclk"), 500)
    before = await registers.counters()
    assert before["stalled"] > 400
    assert before["starved"] == 0
    sink.pause = False
    await ClockCycles(scalar(dut, "aclk"), 100)
    source.pause = True
    await ClockCycles(scalar(dut, "aclk"), 500)
    after = await registers.counters()
    assert after["starved"] > 250
    assert after["cycles"] - before["cycles"] > after["starved"] + 50
    source.pause = False
    await ports[0].expect([ok(items)])
    await ports[0].nothing_left_over()
    done = await registers.counters()
    assert (done["words"], done["weights"]) == (len(stream) // WORD_BYTES, len(items))
    assert done["cycles"] >= done["words"] + done["starved"] + done["stalled"]
