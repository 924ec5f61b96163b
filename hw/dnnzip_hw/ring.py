"""The ring: the lanes in lockstep, slot by slot, and the logic that they share."""

from typing import NamedTuple

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format import CLASS_BITS, MAX_LOG2_STATES, WORD_BITS
from dnnzip_hw.history import History, history_latency
from dnnzip_hw.lane import Lane
from dnnzip_hw.layouts import (
    COLUMNS_WORD_LAYOUT,
    WEIGHT_HEADER_LAYOUT,
    WINDOW_BITS,
    request_layout,
    round_layout,
)
from dnnzip_hw.output import decoded_layout
from dnnzip_hw.parameters import PIPELINE, DecompressorParameters
from dnnzip_hw.rounds import DEPTH, Kind, Rounds
from dnnzip_hw.tables import TablesWrite
from dnnzip_hw.value import LATENCY, Value

COMMIT = 2
"""Stage in which a turn commits."""

ABOVE = 2
"""Stage in which the lanes need the signs above."""


class RingProbes(NamedTuple):
    """Inner parts of a ``Ring`` that proofs refer to."""

    lanes: list[Lane]


class Ring(wiring.Component):
    """Decodes the weights of an ``ans`` stream.

    In every cycle one slot has its turn in all lanes. It commits when it is the slot's place in the order of the
    format, no lane misses a word, and queues have room; otherwise it has no effect and the ring waits until the slot
    comes round. So the order of words and beats never depends on time. The stages are those of the lanes::

                     stage 0       stage 1       stage 2       stage 3         4, 5
                   +---------+   +---------+   +---------+   +---------+
        Rounds --->| slot,   |-->| lanes   |-->| commit? |-->| write   |
          ^        | round   |   | in use  |   |         |   | History |
          |        +---------+   +---------+   +---------+   +---------+
          |                                     |   ^   ^ room
          +----- step, after the last slot -----+   | blocked_2
                   +-----------------------------------------------+     +-------+
        word ----->| Lane 0 ... Lane N - 1, in lockstep            |---->| Value |--> beat
                   +-----------------------------------------------+     +-------+
                                        History ^   | request
                                                    v
                                               Distributor

    Throughput: a beat per cycle where every slot has a channel; a turn that does not commit costs a round of the ring.
    Latency: a beat comes three cycles after its turn commits. Back-pressure: no turn commits while ``room`` is 0; beats
    and requests never wait. Reset: idle until ``prepare``.

    Parameters
    ----------
    parameters
        Of the decompressor.

    Members
    -------
    header, block : In
        Of the stream; steady from ``prepare`` on.
    log2_states, tables : In
        The table set, and what the builder writes while no stream is decoded.
    columns_en, columns_address, columns_word : In
        Write a word of column offsets.
    prepare : In(1)
        Go to the beginning of the stream; after the column offsets are written.
    prepared : Out(1)
        Done with that.
    run : In(1)
        Decode. Kept until ``done``; low stops the ring for good.
    room : In(1)
        Requests and beats are accepted; it may fall ``COMMIT`` cycles late.
    word, lane_en, slot, half : In
        ``word`` is for that lane and slot, for the half of its window that ``half`` says.
    request_en, request : Out
        Words that are asked for.
    beat_en, beat : Out
        Decoded weights.
    flying : Out(1)
        Beats are on their way.
    done : Out(1)
        All beats have left, and ``bad_state`` and ``bad_code`` are sure.
    bad_state : Out(1)
        A lane ended in a state that is not the encoder's start state.
    bad_code : Out(1)
        A weight that is no escape does not fit a narrow code.
    """

    def __init__(self, parameters: DecompressorParameters) -> None:
        self.parameters = parameters
        super().__init__(
            {
                "header": In(WEIGHT_HEADER_LAYOUT),
                "block": In(COLUMNS_WORD_LAYOUT),
                "log2_states": In(range(MAX_LOG2_STATES + 1)),
                "tables": In(TablesWrite(parameters)),
                "columns_en": In(1),
                "columns_address": In(range(DEPTH)),
                "columns_word": In(WORD_BITS),
                "prepare": In(1),
                "prepared": Out(1),
                "run": In(1),
                "room": In(1),
                "word": In(WORD_BITS),
                "lane_en": In(parameters.lanes),
                "slot": In(range(parameters.ring)),
                "half": In(parameters.lanes),
                "request_en": Out(1),
                "request": Out(request_layout(parameters)),
                "beat_en": Out(1),
                "beat": Out(decoded_layout(parameters)),
                "flying": Out(1),
                "done": Out(1),
                "bad_state": Out(1),
                "bad_code": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        parameters = self.parameters
        lanes, ring = parameters.lanes, parameters.ring

        m.submodules.rounds = rounds = Rounds(parameters)
        m.d.comb += [
            rounds.header.eq(self.header),
            rounds.block.eq(self.block),
            rounds.write.eq(self.columns_en),
            rounds.word.eq(self.columns_word),
            rounds.address.eq(self.columns_address),
            rounds.restart.eq(self.prepare),
        ]

        # Which slot is in which stage, and its round: a slot before the expected one has its turn of the present round
        # behind it.
        slot = [Signal(range(ring), name=f"slot_{stage}") for stage in range(PIPELINE)]
        rnd = [Signal(round_layout(), name=f"round_{stage}") for stage in range(PIPELINE)]
        expected = Signal(range(ring))
        # A turn has its round in a register before its first stage.
        m.d.sync += self.prepared.eq(rounds.ready)
        coming = Signal(range(ring), init=1)
        m.d.sync += [coming.eq(coming + 1), slot[0].eq(coming)]
        # The rounds step a cycle late.
        chosen = Signal(round_layout())
        m.d.comb += chosen.eq(Mux((coming < expected) | rounds.step, rounds.following, rounds.here))
        m.d.sync += rnd[0].eq(chosen)
        for stage in range(1, PIPELINE):
            m.d.sync += [slot[stage].eq(slot[stage - 1]), rnd[stage].eq(rnd[stage - 1])]

        # Which lanes have a channel in this round, and for which this is the last weight.
        active_1, final_1 = Signal(lanes), Signal(lanes)
        active, final = Signal(lanes), Signal(lanes)
        has_channel, has_last = Signal(lanes), Signal(lanes)  # in every pass but the last; in the last
        lane_bits = ceil_log2(lanes)
        for lane in range(lanes):
            number = Cat(C(lane, lane_bits), slot[0])
            m.d.sync += [has_channel[lane].eq(number <= rounds.bound), has_last[lane].eq(number <= rounds.last_bound)]
            m.d.comb += [
                active_1[lane].eq(Mux(rnd[1].final, has_last[lane], has_channel[lane])),
                final_1[lane].eq(rnd[1].ends & (rnd[1].final | (rnd[1].before_final & ~has_last[lane]))),
            ]
        m.d.sync += [active.eq(active_1), final.eq(final_1)]
        # What the lanes have to know of the round, each in a register.
        weights_0, weights_1, starts_1 = Signal(), Signal(), Signal()
        left_2, same_2, above_2 = Signal(), Signal(), Signal()
        m.d.sync += [
            weights_0.eq(chosen.kind == Kind.WEIGHT),
            weights_1.eq(weights_0),
            starts_1.eq(rnd[0].kind == Kind.START),
            left_2.eq(rnd[1].left),
            same_2.eq(rnd[1].above & rnd[1].same_line),
            above_2.eq(rnd[1].above & ~rnd[1].same_line),
        ]
        other_bits = Signal(WINDOW_BITS)
        with m.Switch(chosen.kind):
            with m.Case(Kind.WEIGHT):
                m.d.sync += other_bits.eq(0)
            with m.Case(Kind.FIRST):
                m.d.sync += other_bits.eq(WORD_BITS)
            with m.Case(Kind.START):
                m.d.sync += other_bits.eq(self.log2_states)
            with m.Case(Kind.KLASS):
                m.d.sync += other_bits.eq(CLASS_BITS)

        # A turn commits in order: in the cycle after its predecessor, or when its slot has come round.
        in_place, is_next = Signal(), Signal()
        blocked = Signal(lanes)
        commit, commit_3 = Signal(), Signal()
        commit_state_3, commit_weight_3, commit_klass_3 = Signal(), Signal(), Signal()
        is_last_slot, ends = Signal(), Signal()
        going = Signal()
        m.d.comb += commit.eq(in_place & self.room & ~blocked.any())
        m.d.sync += [
            is_last_slot.eq(slot[COMMIT - 1] == ring - 1),
            ends.eq((slot[COMMIT - 1] == ring - 1) & rnd[COMMIT - 1].ends & rnd[COMMIT - 1].final),
            # The expected slot stays where no turn commits.
            is_next.eq(slot[COMMIT - 2] == expected),
            in_place.eq(going & Mux(in_place, commit & ~ends, is_next)),
            commit_3.eq(commit),
            commit_state_3.eq(commit & (rnd[COMMIT].kind != Kind.KLASS)),
            commit_weight_3.eq(commit & (rnd[COMMIT].kind == Kind.WEIGHT)),
            commit_klass_3.eq(commit & (rnd[COMMIT].kind == Kind.KLASS)),
            rounds.step.eq(commit & is_last_slot),
        ]
        with m.If(commit):
            m.d.sync += expected.eq(expected + 1)
            with m.If(ends):
                m.d.sync += going.eq(0)
        with m.If(~self.run):
            m.d.sync += in_place.eq(0)
        with m.If(self.prepare):
            m.d.sync += [going.eq(1), expected.eq(0)]

        # The lanes.
        m.submodules.history = history = History(lanes, ring, parameters.target)
        escapes, refills, halves, astray = Signal(lanes), Signal(lanes), Signal(lanes), Signal(lanes)
        outside = Signal(lanes)
        codes = []
        self.probes = RingProbes([])
        for number in range(lanes):
            m.submodules[f"lane_{number}"] = lane = Lane(parameters)
            self.probes.lanes.append(lane)
            m.submodules[f"value_{number}"] = value = Value(parameters)
            control = lane.control
            m.d.comb += [
                control.run.eq(self.run),
                control.log2_states.eq(self.log2_states),
                control.klass.eq(self.header.klass),
                control.slot_1.eq(slot[1]),
                control.weights_0.eq(weights_0),
                control.weights_1.eq(weights_1),
                control.starts_1.eq(starts_1),
                control.offset_0.eq(rnd[0].offset),
                control.offset_2.eq(rnd[2].offset),
                control.left_2.eq(left_2),
                control.same_2.eq(same_2),
                control.above_2.eq(above_2),
                control.other_bits_0.eq(other_bits),
                control.commit_3.eq(commit_3),
                control.commit_state_3.eq(commit_state_3),
                control.commit_klass_3.eq(commit_klass_3),
                lane.active_1.eq(active_1[number]),
                lane.refills_1.eq(active_1[number] & ~final_1[number]),
                lane.tables.eq(self.tables),
                lane.above_2.eq(history.above[number]),
                lane.word.eq(self.word),
                lane.word_en.eq(self.lane_en[number]),
                lane.word_slot.eq(self.slot),
                lane.word_half.eq(self.half[number]),
                history.signs[number].eq(lane.sign_3),
                blocked[number].eq(lane.blocked_2),
                escapes[number].eq(lane.escape_2),
                refills[number].eq(lane.refill_2),
                halves[number].eq(lane.half_2),
                astray[number].eq(lane.astray_3),
                value.coded.eq(lane.coded_3),
                outside[number].eq(value.outside),
            ]
            codes.append(value.code)
        latency = history_latency(parameters.target)
        m.d.comb += [
            history.read_slot.eq(slot[ABOVE - latency]),
            history.read_line.eq(rnd[ABOVE - latency].next_line),
            history.write_slot.eq(slot[3]),
            history.write_line.eq(rnd[3].line),
            history.write_en.eq(commit_weight_3),
            self.request.slot.eq(slot[COMMIT]),
            self.request.escape.eq(escapes),
            self.request.refill.eq(refills),
            self.request.half.eq(halves),
            self.request_en.eq(commit & (escapes | refills).any()),
        ]

        # Beats, in step with the stages of the lanes and the values.
        ended = Signal(lanes)
        m.d.sync += ended.eq(final & active & commit.replicate(lanes))
        # The first lane has the first of the slot's channels: without it, the slot has none.
        mask, escape = active, escapes
        flying = [commit_3]
        for stage in range(1 + LATENCY):
            enabled = Signal(name=f"beat_{stage}")
            if stage == 0:
                m.d.comb += enabled.eq(commit_weight_3)
            else:
                m.d.sync += enabled.eq(flying[-1] & mask[0])
            source = mask, escape
            mask, escape = Signal(lanes, name=f"mask_{stage}"), Signal(lanes, name=f"escape_{stage}")
            m.d.sync += [mask.eq(source[0]), escape.eq(source[1])]
            flying.append(enabled)
        m.d.comb += [
            self.beat_en.eq(enabled),
            self.beat.mask.eq(mask),
            self.beat.escape.eq(escape),
            *(self.beat.codes[number].eq(code) for number, code in enumerate(codes)),
        ]
        with m.If((ended & astray).any()):
            m.d.sync += self.bad_state.eq(1)
        with m.If(enabled & (outside & mask & ~escape).any()):
            m.d.sync += self.bad_code.eq(1)
        with m.If(self.prepare):
            m.d.sync += [self.bad_state.eq(0), self.bad_code.eq(0)]
        # A turn whose order has come may commit in the cycle in which `run` falls.
        m.d.comb += self.flying.eq(in_place | Cat(flying).any())
        m.d.sync += self.done.eq(~going & ~self.flying)
        return m
