"""The parts of the array's top on a board, each alone in Amaranth's simulator: orders, memory, answers."""

import pytest
from simulated import PAUSES, Sink, Source, give, packet, run

from dnnzip.format import NARROW_BITS
from dnnzip.format.frames import ARRAY_RESULT, END, LOAD, Order
from dnnzip.format.program import Run, Walk
from dnnzip_hw.array.parameters import ArrayParameters
from dnnzip_hw.board.array_core import SETTLE_CYCLES, ArrayAnswers, OrderSequencer
from dnnzip_hw.board.slots import Outbox, Piece
from dnnzip_hw.board.weight_memory import SLAVE_ERROR, WeightMemory
from dnnzip_hw.parameters import DecompressorParameters

COLUMNS = 5
"""Odd, so that the last byte of a vector's words means nothing."""

ARRAY = ArrayParameters(DecompressorParameters(lanes=1, slots=4, weight_bits=NARROW_BITS), columns=COLUMNS, vectors=16)
MEMORY = 1 << 12


def order(kind, arguments, behind=b""):
    return int(kind).to_bytes(2, "little") + arguments + behind


def words_of(message):
    return [int.from_bytes(message[at : at + 2], "little") for at in range(0, len(message), 2)]


class Job:
    """Output of a sequencer for a message: (kind, value) in order."""

    def __init__(self):
        self.did = []
        self.misordered = False
        self.ended = False

    def of(self, kind):
        return [value for what, value in self.did if what == kind]


def sequenced(rng, message, *, pauses="no pauses", fetched=None, stop_after=None, cycles=4 * SETTLE_CYCLES):
    """Run a message through a sequencer whose accelerator has fetched ``fetched(job)`` words, and may stop."""
    dut = OrderSequencer(ARRAY)
    job = Job()
    source_pause, sink_pause = PAUSES[pauses]
    source = Source(dut.i, packet(words_of(message)), rng, source_pause)

    async def sink(ctx):
        ports = {"walk": dut.walks, "run": dut.runs, "vector": dut.vectors}
        watched = [signal for port in ports.values() for signal in (port.valid, port.payload)]
        watched += [dut.load_en, dut.load_address, dut.load_data, dut.misordered, dut.ended]
        for _ in range(cycles):
            stopped = stop_after is not None and len(job.did) >= stop_after
            ready = {name: rng.random() >= sink_pause and not stopped for name in ports}
            ctx.set(dut.fetched, fetched(job) if fetched else 0)
            ctx.set(dut.stopped, stopped)
            for name, port in ports.items():
                ctx.set(port.ready, ready[name])
            _, _, *values = await ctx.tick().sample(*watched)
            for number, name in enumerate(ports):
                valid, payload = values[2 * number : 2 * number + 2]
                if valid and ready[name]:
                    job.did.append((name, bytes(payload) if name == "vector" else payload.as_bits()))
            loads, address, data, job.misordered, job.ended = values[-5:]
            if loads:
                job.did.append(("load", (address, data)))
            if job.ended:
                return

    run(dut, sink, background=(source.run,))
    return job


def vectors(rng, count):
    """Return vectors, and their words."""
    each = [rng.randbytes(COLUMNS) for _ in range(count)]
    return each, b"".join(vector + rng.randbytes(1) for vector in each)


@pytest.mark.parametrize("pauses", PAUSES)
def test_orders_are_done_in_their_order(rng, pauses):
    """The second load waits until what was walked has been fetched, and the end until all has."""
    first, first_words = vectors(rng, 3)
    second, second_words = vectors(rng, 1)
    walk, one = Walk(1, 2), Run(3, 4, 1, -7, True, True, False)
    two = Run(1, 0, 0, 200, False, False, True)
    data = rng.randbytes(6)
    message = order(Order.LOAD, LOAD.pack({"words": 3, "address": 70_000, "fetched": 0}), data)
    message += order(Order.WALK, walk.pack()) + order(Order.RUN, one.pack(), first_words)
    message += order(Order.LOAD, LOAD.pack({"words": 1, "address": 5, "fetched": 40}), b"\x01\x02")
    message += order(Order.RUN, two.pack(), second_words) + order(Order.END, END.pack({"fetched": 50}))
    waits = {"left": 200, "end": 100}

    def fetched(job):
        if len(job.of("vector")) == 3 and waits["left"]:
            waits["left"] -= 1
            assert len(job.of("load")) == 3, "the load did not wait"
            return 39
        if len(job.of("vector")) == 4 and waits["end"]:
            waits["end"] -= 1
            return 49
        return 0 if not job.of("vector") else 40 if len(job.of("vector")) < 4 else 50

    job = sequenced(rng, message, pauses=pauses, fetched=fetched)
    wanted = [("load", (70_000 + number, word)) for number, word in enumerate(words_of(data))]
    wanted += [("walk", int.from_bytes(walk.pack(), "little")), ("run", int.from_bytes(one.pack(), "little"))]
    wanted += [("vector", vector) for vector in first]
    wanted += [("load", (5, 0x0201)), ("run", int.from_bytes(two.pack(), "little")), ("vector", second[0])]
    assert job.did == wanted
    assert waits == {"left": 0, "end": 0}
    assert job.ended
    assert not job.misordered


RUN = Run(2, 0, 1, 0, False, True, True).pack()


@pytest.mark.parametrize(
    "message",
    [
        order(7, bytes(4)),
        bytes([0, 1]),  # the upper byte of an order's word counts
        order(Order.WALK, b""),
        order(Order.WALK, bytes(2)),
        order(Order.WALK, bytes(4)),
        order(Order.RUN, RUN),
        order(Order.RUN, RUN, bytes(6)),
        order(Order.LOAD, LOAD.pack({"words": 2, "address": 0, "fetched": 0}), bytes(4)),
        order(Order.END, END.pack({"fetched": 0}), bytes(2)),
        order(Order.END, b""),
    ],
)
@pytest.mark.parametrize("pauses", ["no pauses", "both"])
def test_what_is_no_job_is_dropped(rng, message, pauses):
    job = sequenced(rng, message, pauses=pauses)
    assert job.misordered
    assert job.ended


@pytest.mark.parametrize("stop_after", range(7))
def test_after_an_error_the_rest_is_dropped(rng, stop_after):
    """Wherever the accelerator stops, the job ends, and it is not the job's fault."""
    _, words = vectors(rng, 2)
    message = order(Order.WALK, Walk(0, 1).pack()) + order(Order.RUN, RUN, words)
    message += order(Order.LOAD, LOAD.pack({"words": 1, "address": 0, "fetched": 0}), bytes(2))
    message += order(Order.WALK, Walk(1, 1).pack()) + order(Order.END, END.pack({"fetched": 1 << 31}))
    job = sequenced(rng, message, stop_after=stop_after)
    # One word more may go into the memory: an error stops loads and what the accelerator takes, not words under way.
    assert len(job.did) <= stop_after + 1
    assert job.ended
    assert not job.misordered


def test_an_end_that_waits_for_what_never_comes_waits(rng):
    job = sequenced(rng, order(Order.END, END.pack({"fetched": 1})))
    assert not job.ended


@pytest.mark.parametrize("pauses", PAUSES)
def test_bursts_are_read(rng, pauses):
    """Random bursts against a list; those that leave the memory are errors."""
    dut = WeightMemory(ARRAY, MEMORY)
    content = [rng.randrange(1 << 16) for _ in range(MEMORY // 2)]
    size = len(content)
    bursts = [(0, 1), (size - 1, 1), (size - 16, 16), (size - 3, 4), (size, 2), (1 << 30, 1)]
    bursts += [(rng.randrange(size - 256), rng.randint(1, 256)) for _ in range(20)]
    source_pause, sink_pause = PAUSES[pauses]
    asked = [{"address": 2 * first, "length": count - 1} for first, count in bursts]
    source, sink = Source(dut.ar, asked, rng, source_pause), Sink(dut.r, rng, sink_pause)

    async def write_and_ask(ctx):
        for address, word in enumerate(content):
            ctx.set(dut.write_en, 1)
            ctx.set(dut.write_address, address)
            ctx.set(dut.write_data, word)
            await ctx.tick()
        ctx.set(dut.write_en, 0)
        await source.run(ctx)

    async def read(ctx):
        for first, count in bursts:
            for number in range(count):
                payload = await sink.next(ctx)
                assert payload.last == (number == count - 1)
                is_inside = first + count <= size
                assert payload.response == (0 if is_inside else SLAVE_ERROR)
                assert not is_inside or payload.data == content[first + number]
        await sink.nothing_left(ctx)

    run(dut, read, write_and_ask)


def pieces(rng, dut, port, count, sink_pause, background):
    """Return a number of pieces, (kind, byte), that come out of a stream, and check that no more come."""
    sink = Sink(port, rng, sink_pause, count)
    run(dut, sink.run, background=background)
    return [(Piece(item.kind), item.byte) for item in sink.items]


@pytest.mark.parametrize("pauses", PAUSES)
def test_sums_come_as_bytes_and_the_result_behind_them(rng, pauses):
    dut = ArrayAnswers(ARRAY)
    given = [[rng.randrange(-(1 << 31), 1 << 31) for _ in range(ARRAY.rows)] for _ in range(5)]
    result = {field.name: rng.randrange(1 << field.width) for field in ARRAY_RESULT.fields}
    source_pause, sink_pause = PAUSES[pauses]
    source = Source(dut.i, given[:-1], rng, source_pause)

    async def answer(ctx):
        ctx.set(dut.result, result)
        await source.run(ctx)
        await source.pause(ctx)
        ctx.set(dut.ends, 1)  # while the last one still waits
        await give(ctx, dut.i, given[-1])

    sums = b"".join(value.to_bytes(4, "little", signed=True) for vector in given for value in vector)
    end = ARRAY_RESULT.pack(result)
    found = pieces(rng, dut, dut.o, len(sums) + 1 + len(end), sink_pause, (answer,))
    assert found[: len(sums)] == [(Piece.BYTE, byte) for byte in sums]
    assert found[len(sums)][0] == Piece.CUT
    assert found[len(sums) + 1 :] == [(Piece.BYTE, byte) for byte in end[:-1]] + [(Piece.LAST, end[-1])]


@pytest.mark.parametrize("sizes", [(1,), (0, 1), (126, 1), (127, 5), (252, 3), (300, 126)])
def test_pieces_fill_frames_up_to_a_cut(rng, sizes):
    """Frames of two answers of the given sizes, in parts with cuts between them, confirmed one after the other."""
    dut = Outbox(2)
    parts = [rng.randbytes(size) for size in sizes]
    wanted = []
    for number, part in enumerate(parts):
        rows = [part[at : at + 126] for at in range(0, len(part), 126)]
        wanted += [(row, number == len(parts) - 1 and at == len(rows) - 1) for at, row in enumerate(rows)]
    wanted *= 2

    items = []
    for part in parts:
        items += [{"kind": Piece.BYTE, "byte": byte} for byte in part] + [{"kind": Piece.CUT, "byte": 0}]
    items[-2:] = [{"kind": Piece.LAST, "byte": parts[-1][-1]}]

    async def sink(ctx):
        for number, (content, last) in enumerate(wanted):
            while ctx.get(dut.head) == number:
                await ctx.tick()
            got = []
            ctx.set(dut.number, number)
            for place in range(len(content) + 1):
                ctx.set(dut.place, place)
                await ctx.tick()
                got.append(ctx.get(dut.byte))
            assert (got[0] & 127, bool(got[0] >> 7)) == (len(content), last)
            assert bytes(got[1:]) == content
            ctx.set(dut.tail, number + 1)
        await ctx.tick().repeat(200)
        assert ctx.get(dut.head) == len(wanted), "a frame is left over"

    run(dut, sink, background=(Source(dut.i, 2 * items, rng, 0.2).run,))
