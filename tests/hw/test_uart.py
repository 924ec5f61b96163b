"""The UART and the frames in Amaranth's simulator: bits on a line, and bytes that are not what they should be."""

import re

import pytest
from amaranth.hdl import Module
from simulated import Source, run

from dnnzip.format.frames import ESCAPE, FLAG, MAX_PAYLOAD, Frame, Kind
from dnnzip_hw.board.frames import FrameReceiver, FrameSender
from dnnzip_hw.board.uart import UartReceiver, UartTransmitter, check_divisor

BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, FLAG, ESCAPE]


@pytest.mark.parametrize("divisor", [4, 5, 25])
@pytest.mark.parametrize("drift", [-0.02, 0.0, 0.02])
def test_bytes_are_received_at_almost_the_right_speed(divisor, drift):
    """A sender whose clock is two percent off: with so few samples a bit that is as much as fits."""
    dut = UartReceiver(divisor)
    levels = [1] * 3 * divisor
    for byte in BYTES:
        levels += [bit for bit in [0, *(byte >> number & 1 for number in range(8)), 1] for _ in range(100)]
    got = []

    async def bench(ctx):
        at = 0.0
        for level in levels[: 3 * divisor]:
            ctx.set(dut.rx, level)
            await ctx.tick()
        bits = levels[3 * divisor :]
        for _ in range(int(len(bits) / 100 * divisor * (1 + abs(drift))) + 4 * divisor):
            ctx.set(dut.rx, bits[int(at * 100)] if at * 100 < len(bits) else 1)
            _, _, done, data = await ctx.tick().sample(dut.done, dut.data)
            if done:
                got.append(data)
            at += (1 + drift) / divisor
        assert got == BYTES

    run(dut, bench)


def test_a_break_and_a_spike_are_no_bytes():
    dut = UartReceiver(8)

    async def bench(ctx):
        for level, cycles in ((1, 20), (0, 2), (1, 200), (0, 200), (1, 200)):
            ctx.set(dut.rx, level)
            for _ in range(cycles):
                _, _, done = await ctx.tick().sample(dut.done)
                assert not done

    run(dut, bench)


def test_what_is_sent_is_received():
    m = Module()
    m.submodules.sender = sender = UartTransmitter(4)
    m.submodules.receiver = receiver = UartReceiver(4)
    m.d.comb += receiver.rx.eq(sender.tx)

    async def sink(ctx):
        for number, byte in enumerate(BYTES * 3):
            cycles = 0
            done = False
            while not done:
                _, _, done, data = await ctx.tick().sample(receiver.done, receiver.data)
                cycles += 1
            assert data == byte
            assert number == 0 or cycles == 41, "ten bits and a cycle"

    run(m, sink, background=(Source(sender.i, BYTES * 3).run,))


@pytest.mark.parametrize("divisor", [0, 3, 65537, 4.0])
def test_a_wrong_divisor_is_named(divisor):
    with pytest.raises(ValueError, match=re.escape(f"divisor must be 4 to 65536, not {divisor!r}")):
        check_divisor(divisor)


def received(line):
    """Return the message found in bytes: (kind, seq, ack, last, resend, payload), or None for damage."""
    dut = FrameReceiver()
    found = []

    async def bench(ctx):
        payload = bytearray(256)
        for byte in [*line, None, None]:
            ctx.set(dut.done, byte is not None)
            ctx.set(dut.byte, byte or 0)
            writes, place, value = ctx.get(dut.writes), ctx.get(dut.place), ctx.get(dut.payload)
            if writes:
                payload[place] = value
            await ctx.tick()
            if ctx.get(dut.good):
                header = ctx.get(dut.header)
                fields = (header.kind, header.seq, header.ack, header.limit)
                data = bytes(payload[: ctx.get(dut.size)])
                found.append(Frame(Kind(fields[0]), *fields[1:], data, bool(header.last), bool(header.resend)))
            if ctx.get(dut.bad):
                found.append(None)

    run(dut, bench)
    return found


def test_frames_are_received(rng):
    frames = [
        Frame(Kind.STATUS, ack=7, resend=True),
        Frame(Kind.DATA, 1, 2, 3, bytes([FLAG, ESCAPE] * 4), last=True),
        Frame(Kind.DATA, FLAG, ESCAPE, FLAG, rng.randbytes(MAX_PAYLOAD)),
        Frame(Kind.RESET, 255, 254),
    ]
    line = b"".join(frame.pack() for frame in frames)
    assert received(b"\x01\x02" + line) == [None, *frames]


def test_damaged_frames_are_not(rng):
    good = Frame(Kind.DATA, payload=b"abcd").pack()
    flipped = bytearray(good)
    flipped[5] ^= 1
    long = Frame(Kind.DATA, payload=bytes(MAX_PAYLOAD + 1)).pack()
    cases = [bytes(flipped), good[:-2] + good[-1:], bytes([FLAG, ESCAPE, FLAG]), long, bytes([FLAG, *bytes(900), FLAG])]
    for case in cases:
        assert received(case + good) == [None, Frame(Kind.DATA, payload=b"abcd")]
    del rng


def test_frames_are_sent(rng):
    frames = [
        Frame(Kind.STATUS, FLAG, ESCAPE, 3, resend=True),
        Frame(Kind.DATA, 1, 2, 3, bytes([FLAG, ESCAPE, 1]), last=True),
        Frame(Kind.DATA, 9, payload=rng.randbytes(MAX_PAYLOAD)),
    ]
    dut = FrameSender()
    sent = bytearray()
    current = [b""]

    async def source(ctx):
        for frame in frames:
            current[0] = frame.payload
            ctx.set(dut.size, len(frame.payload))
            fields = {name: getattr(frame, name) for name in ("kind", "seq", "ack", "limit", "last", "resend")}
            ctx.set(dut.header, fields | {"kind": int(frame.kind), "reserved": 0})
            ctx.set(dut.start, 1)
            await ctx.tick().until(dut.ready)
            ctx.set(dut.start, 0)
            await ctx.tick().until(dut.ready)

    async def sink(ctx):
        wanted = b"".join(frame.pack() for frame in frames)
        while len(sent) < len(wanted):
            ctx.set(dut.o.ready, rng.random() < 0.5)
            _, _, valid, ready, byte, place = await ctx.tick().sample(
                dut.o.valid, dut.o.ready, dut.o.payload, dut.place
            )
            ctx.set(dut.payload, current[0][place] if place < len(current[0]) else 0)
            if valid and ready:
                sent.append(byte)
        assert bytes(sent) == wanted

    run(dut, sink, source)
