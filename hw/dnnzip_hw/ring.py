"""The ring: rounds and passes, the lanes in lockstep, and what they share."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format import MAX_LOG2_STATES, MAX_TABLES, MAX_WEIGHT_BITS, SHIFT_BITS, WEIGHT_HEADER, WORD_BITS
from dnnzip_hw.history import History
from dnnzip_hw.lane import Kind, Lane
from dnnzip_hw.layouts import COLUMNS_WORD_LAYOUT, WEIGHT_HEADER_LAYOUT, request_layout, tap_layout
from dnnzip_hw.output import decoded_layout
from dnnzip_hw.parameters import PIPELINE, DecompressorParameters
from dnnzip_hw.positions import DEPTH, Positions
from dnnzip_hw.tables import TablesWrite


class Passes(wiring.Component):
    """Which virtual lanes have a channel: in this pass, and in the one after it.

    Throughput: a pass every other cycle. Latency: ``restart`` takes four cycles. Reset: unknown until ``restart``.

    Parameters
    ----------
    virtual_lanes
        The most virtual lanes of a stream.
    ring_lanes
        Virtual lanes in the ring; those past ``virtual_lanes`` never have a channel.

    Members
    -------
    header : In(WEIGHT_HEADER_LAYOUT)
        Of the stream.
    restart : In(1), step : In(1)
        Go to the first pass; to the next one.
    active, following : Out(virtual_lanes)
        Virtual lanes with a channel in this pass and in the next one.
    """

    def __init__(self, virtual_lanes: int, ring_lanes: int) -> None:
        self.virtual_lanes = virtual_lanes
        super().__init__(
            {
                "header": In(WEIGHT_HEADER_LAYOUT),
                "restart": In(1),
                "step": In(1),
                "active": Out(ring_lanes),
                "following": Out(ring_lanes),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        lane_bits = ceil_log2(self.virtual_lanes)
        channels = Signal(WEIGHT_HEADER["channels"].width + 1)  # of the passes after the next one
        many = Signal()
        few = channels[:lane_bits]
        lanes = Signal(lane_bits + 1)
        m.d.comb += [many.eq(channels[lane_bits:] != 0), lanes.eq(1 << self.header.log2_lanes)]
        filling = Signal(2)
        with m.If(self.step | (filling != 0)):
            m.d.sync += self.active.eq(self.following)
            for lane in range(self.virtual_lanes):
                m.d.sync += self.following[lane].eq((lane < lanes) & (many | (lane < few)))
            m.d.sync += channels.eq(Mux(many | (few >= lanes), channels - lanes, 0))
        with m.If(filling != 0):
            m.d.sync += filling.eq(filling - 1)
        with m.If(self.restart):
            m.d.sync += [channels.eq(self.header.channels + WEIGHT_HEADER["channels"].bias), filling.eq(2)]
        return m


class Ring(wiring.Component):
    """Decodes the weights of an ``ans`` stream.

    In every cycle one slot has its turn in all lanes. It commits when it is the slot's place in the order of the
    format, no lane misses bits, and queues have room; otherwise it has no effect and the ring waits until the slot
    comes round. So the order of words and beats never depends on time. Throughput: a beat per cycle where every slot
    has a channel. Latency: five cycles from a turn to its beat. Back-pressure: ``room``. Reset: idle.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    header, block : In
        Of the stream; steady from ``prepare`` on.
    log2_states, threshold, shifts, tables : In
        The table set, and what the builder writes while no stream is decoded.
    columns_en, columns_address, word : In
        Write a word of column offsets.
    prepare : In(1)
        Go to the beginning of the stream; after the column offsets are written.
    prepared : Out(1)
        Done with that.
    run : In(1)
        Decode; every virtual lane has its first word. Kept until ``done``; low stops the ring for good.
    room : In(1)
        Requests and beats are accepted.
    lane_en, slot, first : In
        ``word`` is for the window of that lane and slot; it is its first one.
    request_en, request : Out
        Words that are asked for.
    beat_en, beat : Out
        Decoded weights.
    flying : Out(1)
        Beats are on their way.
    done : Out(1)
        All rounds are committed, and ``bad_state`` is sure.
    bad_state : Out(1)
        A lane ended in a state that is not the encoder's start state.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "header": In(WEIGHT_HEADER_LAYOUT),
                "block": In(COLUMNS_WORD_LAYOUT),
                "log2_states": In(range(MAX_LOG2_STATES + 1)),
                "threshold": In(range(MAX_WEIGHT_BITS + 1)),
                "shifts": In(data.ArrayLayout(SHIFT_BITS, MAX_TABLES)),
                "tables": In(TablesWrite(parameters.log2_states)),
                "columns_en": In(1),
                "columns_address": In(range(DEPTH)),
                "word": In(WORD_BITS),
                "prepare": In(1),
                "prepared": Out(1),
                "run": In(1),
                "room": In(1),
                "lane_en": In(parameters.lanes),
                "slot": In(range(parameters.ring)),
                "first": In(1),
                "request_en": Out(1),
                "request": Out(request_layout(parameters)),
                "beat_en": Out(1),
                "beat": Out(decoded_layout(parameters)),
                "flying": Out(1),
                "done": Out(1),
                "bad_state": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        parameters = self.parameters
        lanes, ring = parameters.lanes, parameters.ring
        header = self.header

        m.submodules.positions = positions = Positions()
        m.submodules.passes = passes = Passes(parameters.virtual_lanes, lanes * ring)
        m.submodules.history = history = History(lanes, ring)
        m.d.comb += [
            positions.header.eq(header),
            positions.block.eq(self.block),
            positions.write.eq(self.columns_en),
            positions.word.eq(self.word),
            positions.address.eq(self.columns_address),
            positions.restart.eq(self.prepare),
            passes.header.eq(header),
            passes.restart.eq(self.prepare),
        ]

        # Which slot is in which stage, and what it reads.
        slot = [Signal(range(ring), name=f"slot_{stage}") for stage in range(PIPELINE)]
        kind = [Signal(Kind, name=f"kind_{stage}") for stage in range(PIPELINE)]
        m.d.sync += slot[0].eq(slot[0] + 1)
        for stage in range(1, PIPELINE):
            m.d.sync += [slot[stage].eq(slot[stage - 1]), kind[stage].eq(kind[stage - 1])]

        # The round: as it stands for the slot in stage 2.
        going = Signal()
        expected = Signal(range(ring))
        commit, commit_3 = Signal(), Signal()
        round_kind = Signal(Kind)
        next_kind, next_kind_3 = Signal(Kind), Signal(Kind)
        here, following, following_3 = Signal(tap_layout()), Signal(tap_layout()), Signal(tap_layout())
        line_3 = Signal.like(here.line)
        channel_ends, ends = Signal(), Signal()
        m.d.comb += [
            channel_ends.eq((round_kind == Kind.WEIGHT) & here.last),
            ends.eq(channel_ends & (passes.following == 0)),
            next_kind.eq(
                Mux(header.class_per_channel & ((round_kind == Kind.START) | channel_ends), Kind.KLASS, Kind.WEIGHT)
            ),
        ]
        waits = Signal(lanes)
        m.d.comb += commit.eq(going & self.run & (slot[2] == expected) & self.room & (waits == 0))
        with m.If(commit):
            m.d.sync += expected.eq(expected + 1)
            with m.If(slot[2] == ring - 1):
                m.d.sync += round_kind.eq(next_kind)
                with m.If(next_kind == Kind.WEIGHT):
                    m.d.sync += [here.eq(following), following.eq(positions.tap)]
                    m.d.comb += positions.step.eq(1)
                m.d.comb += passes.step.eq(channel_ends)
                with m.If(ends):
                    m.d.sync += going.eq(0)
        m.d.sync += [
            commit_3.eq(commit),
            next_kind_3.eq(next_kind),
            following_3.eq(following),
            line_3.eq(here.line),
        ]
        following_kind = Signal(Kind)
        m.d.comb += following_kind.eq(Mux(self.run, Mux(commit_3, next_kind_3, kind[3]), Kind.START))
        delayed = following_kind
        for turn in range(PIPELINE, ring):
            source, delayed = delayed, Signal(Kind, name=f"kind_{turn}")
            m.d.sync += delayed.eq(source)
        m.d.sync += kind[0].eq(delayed)

        # Preparing: the passes fill, and the first position moves on from `positions`.
        preparing = Signal(3)
        with m.If(preparing != 0):
            m.d.sync += preparing.eq(preparing - 1)
            with m.If(preparing == 1):
                m.d.comb += positions.step.eq(1)
                m.d.sync += [following.eq(positions.tap), self.prepared.eq(1)]
        with m.If(self.prepare):
            m.d.sync += [
                preparing.eq(4),
                self.prepared.eq(0),
                going.eq(1),
                expected.eq(0),
                round_kind.eq(Kind.START),
                self.bad_state.eq(0),
            ]

        # The lanes.
        active, final = Signal(lanes), Signal(lanes)
        escapes, bads, refills, ended_badly = Signal(lanes), Signal(lanes), Signal(lanes), Signal(lanes)
        m.d.comb += [
            active.eq(passes.active.word_select(slot[2], lanes)),
            final.eq(~passes.following.word_select(slot[2], lanes) & channel_ends.replicate(lanes)),
        ]
        codes = []
        for number in range(lanes):
            m.submodules[f"lane_{number}"] = lane = Lane(parameters)
            control = lane.control
            m.d.comb += [
                control.run.eq(self.run),
                control.log2_states.eq(self.log2_states),
                control.threshold.eq(self.threshold),
                control.shifts.eq(self.shifts),
                control.wide.eq(header.wide),
                control.klass.eq(header.klass),
                control.kind_0.eq(kind[0]),
                control.kind_1.eq(kind[1]),
                control.kind_2.eq(kind[2]),
                control.slot_1.eq(slot[1]),
                control.offset_2.eq(following.offset),
                control.commit_2.eq(commit),
                control.commit_3.eq(commit_3),
                control.left_3.eq(following_3.left),
                control.above_3.eq(following_3.above),
                control.same_line_3.eq(following_3.line == line_3),
                lane.tables.eq(self.tables),
                lane.active.eq(active[number]),
                lane.final.eq(final[number]),
                lane.above.eq(history.above[number]),
                lane.word.eq(self.word),
                lane.word_en.eq(self.lane_en[number]),
                lane.word_first.eq(self.first),
                lane.word_slot.eq(self.slot),
                history.signs[number].eq(lane.sign),
                waits[number].eq(lane.wait),
                escapes[number].eq(lane.escape),
                bads[number].eq(lane.bad),
                refills[number].eq(lane.refill),
                ended_badly[number].eq(lane.ended_badly),
            ]
            codes.append(lane.code)
        with m.If(ended_badly.any()):
            m.d.sync += self.bad_state.eq(1)
        m.d.comb += [
            history.read_slot.eq(slot[2]),
            history.read_line.eq(following.line),
            history.write_slot.eq(slot[3]),
            history.write_line.eq(line_3),
            history.write_en.eq(commit_3 & (kind[3] == Kind.WEIGHT)),
            self.request.slot.eq(slot[2]),
            self.request.escape.eq(escapes),
            self.request.bad.eq(bads),
            self.request.refill.eq(refills),
            self.request_en.eq(commit & (escapes | bads | refills).any()),
        ]

        # Beats, beside the lanes' own stages.
        enabled = commit & (round_kind == Kind.WEIGHT) & active.any()
        mask, escape = active, escapes
        flying = []
        for stage in range(PIPELINE - 1):
            source = enabled, mask, escape
            enabled = Signal(name=f"beat_{stage}")
            mask = Signal(lanes, name=f"mask_{stage}")
            escape = Signal(lanes, name=f"escape_{stage}")
            m.d.sync += [target.eq(value) for target, value in zip((enabled, mask, escape), source, strict=True)]
            flying.append(enabled)
        m.d.comb += [
            self.beat_en.eq(enabled),
            self.beat.mask.eq(mask),
            self.beat.escape.eq(escape),
            self.flying.eq(Cat(flying).any()),
        ]
        m.d.comb += [self.beat.codes[number].eq(code) for number, code in enumerate(codes)]
        settled = Signal()
        m.d.sync += settled.eq(~going & ~commit_3)
        m.d.comb += self.done.eq(settled & ~going)
        return m
