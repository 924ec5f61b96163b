"""The walker: from the table of an image to the parts that each group fetches."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from dnnzip.format import WORD_BYTES
from dnnzip.format.array import ArrayFault
from dnnzip.format.image import (
    IMAGE_ENTRY,
    IMAGE_HEADER,
    IMAGE_MAGIC,
    IMAGE_NO_LAYER,
    IMAGE_VERSION,
    ImageKind,
)
from dnnzip_hw.array.layouts import (
    ADDRESS_BITS,
    CHANNEL_BITS,
    IMAGE_ENTRY_LAYOUT,
    IMAGE_HEADER_LAYOUT,
    LENGTH_BITS,
    WALK_LAYOUT,
    fetch_layout,
    part_layout,
)
from dnnzip_hw.array.parameters import ArrayParameters


class ImageWalker(wiring.Component):
    """Reads entries of an image's table, and hands each group its parts: part p of a layer to group p modulo groups.

    A table set goes to all groups, after all parts before it in the walk, and before all parts behind it. The image's
    header is read before the first walk after a reset. After a fault it stops for good.

    Throughput: an entry takes as many cycles as it has bus words, and two; a table set also waits until all
    groups have asked for the bursts before it, and then for the common reader's. Latency: that of the memory, once per
    walk, and once more for the image's header before the first one. Back-pressure: a walk is accepted once the entries
    of the one before have been handed out; an entry waits while its group takes no fetch or no part, and the words of
    ``i`` wait with it. Reset: no walk; the header is read again, and ``fault`` is cleared.

    Parameters
    ----------
    parameters
        See ``ArrayParameters``.

    Members
    -------
    base : In
        Address of the image, a multiple of a bus word.
    walks : In(stream of WALK_LAYOUT)
        Entries to fetch.
    fetch : Out(stream of fetch_layout), i : In(stream)
        The walker's own reader, and the bus words of the table that it gets.
    fetch_<g> : Out(stream of fetch_layout), parts_<g> : Out(stream of part_layout)
        What group g fetches, and what it is.
    fetch_all : Out(stream of fetch_layout)
        What all groups fetch.
    idle : In, all_idle : In(1)
        A bit for each group: all of its bursts have been asked for; the same of the common reader.
    fault : Out(ArrayFault)
        Why it stopped.
    """

    def __init__(self, parameters: ArrayParameters) -> None:
        self.parameters = parameters
        fetch, part = Out(stream.Signature(fetch_layout())), Out(stream.Signature(part_layout()))
        members: dict[str, wiring.Member] = {
            "base": In(ADDRESS_BITS),
            "walks": In(stream.Signature(WALK_LAYOUT)),
            "fetch": fetch,
            "i": In(stream.Signature(parameters.bus_bits)),
            "fetch_all": fetch,
            "idle": In(parameters.groups),
            "all_idle": In(1),
            "fault": Out(range(ArrayFault.ENTRY + 1)),
        }
        members |= {f"fetch_{group}": fetch for group in range(parameters.groups)}
        members |= {f"parts_{group}": part for group in range(parameters.groups)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002 - Amaranth's signature
        """Build the circuit."""
        m = Module()
        parameters = self.parameters
        groups = range(parameters.groups)
        log2_bytes = ceil_log2(parameters.bus_bytes)

        # The header or an entry, as its bus words come.
        pieces = IMAGE_ENTRY.bytes // parameters.bus_bytes
        record = Signal(IMAGE_ENTRY.bits)
        piece = Signal(range(max(2, pieces)))
        whole = Signal()
        m.d.comb += whole.eq(self.i.valid & self.i.ready & (piece == pieces - 1))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                record.eq(Cat(record[parameters.bus_bits :], self.i.payload)),
                piece.eq(Mux(whole, 0, piece + 1)),
            ]
        header, entry = IMAGE_HEADER_LAYOUT(record), IMAGE_ENTRY_LAYOUT(record)

        streams = Signal.like(header.streams)
        left = Signal(WALK_LAYOUT["count"].shape)
        after = Signal(len(left) + 1)  # the entry behind the walk's last one
        table = Signal(ADDRESS_BITS)
        m.d.comb += [
            after.eq(self.walks.payload.first + self.walks.payload.count),
            table.eq(self.base + IMAGE_HEADER.bytes),
        ]

        is_tables, is_plain = Signal(), Signal()
        fits = Signal()
        fetched, part = Signal(fetch_layout()), Signal(part_layout())
        m.d.comb += [
            is_tables.eq(entry.layer == IMAGE_NO_LAYER),
            is_plain.eq(entry.kind == ImageKind.PLAIN),
            fits.eq(
                (is_plain | (entry.kind == ImageKind.STREAM)) & (entry.words != 0) & (is_tables | self._has_rows(entry))
            ),
            fetched.address.eq(self.base + entry.offset),
            # The image may have been made for a wider bus: its own count of bus words is not this one's.
            fetched.words.eq((entry.words * WORD_BYTES + parameters.bus_bytes - 1) >> log2_bytes),
            part.tables.eq(is_tables),
            part.plain.eq(is_plain),
            part.words.eq(entry.words),
            part.channels.eq(entry.channels),
            part.length.eq(entry.length),
            part.virtual_lanes.eq(entry.virtual_lanes),
            self.fetch_all.payload.eq(fetched),
        ]
        for group in groups:
            m.d.comb += [
                getattr(self, f"fetch_{group}").payload.eq(fetched),
                getattr(self, f"parts_{group}").payload.eq(part),
            ]
        chosen = entry.part[: ceil_log2(parameters.groups)] if parameters.groups > 1 else 0
        fetch_ready = Cat(getattr(self, f"fetch_{group}").ready for group in groups)
        parts_ready = Cat(getattr(self, f"parts_{group}").ready for group in groups)

        def stop(fault: ArrayFault) -> None:
            m.d.sync += self.fault.eq(fault)
            m.next = "FAULT"

        with m.FSM():
            with m.State("HEADER"):
                m.d.comb += [
                    self.fetch.valid.eq(self.walks.valid),
                    self.fetch.payload.address.eq(self.base),
                    self.fetch.payload.words.eq(pieces),
                ]
                with m.If(self.fetch.valid & self.fetch.ready):
                    m.next = "READ_HEADER"
            with m.State("READ_HEADER"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(whole):
                    m.next = "CHECK_HEADER"
            with m.State("CHECK_HEADER"):
                m.d.sync += streams.eq(header.streams)
                m.next = "WALK"
                with m.If(
                    (header.magic != IMAGE_MAGIC)
                    | (header.version != IMAGE_VERSION)
                    | (header.bus_bytes < parameters.bus_bytes)
                ):
                    stop(ArrayFault.HEADER)
            with m.State("WALK"):
                m.d.comb += [
                    self.fetch.payload.address.eq(table + (self.walks.payload.first << ceil_log2(IMAGE_ENTRY.bytes))),
                    self.fetch.payload.words.eq(self.walks.payload.count << ceil_log2(pieces)),
                ]
                with m.If(self.walks.valid):
                    with m.If((after > streams) | (self.walks.payload.count == 0)):
                        stop(ArrayFault.RANGE)
                    with m.Else():
                        m.d.comb += [self.fetch.valid.eq(1), self.walks.ready.eq(self.fetch.ready)]
                        m.d.sync += left.eq(self.walks.payload.count)
                        with m.If(self.fetch.ready):
                            m.next = "ENTRY"
            with m.State("ENTRY"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(whole):
                    m.d.sync += left.eq(left - 1)
                    m.next = "GIVE"
            with m.State("GIVE"):
                with m.If(~fits):
                    stop(ArrayFault.ENTRY)
                with m.Elif(is_tables):
                    # Behind all that the groups fetch.
                    m.d.comb += self.fetch_all.valid.eq(self.idle.all() & parts_ready.all())
                    with m.If(self.fetch_all.valid & self.fetch_all.ready):
                        m.d.comb += [getattr(self, f"parts_{group}").valid.eq(1) for group in groups]
                        m.next = "ALL"
                with m.Else():
                    for group in groups:
                        with m.If((chosen == group) & fetch_ready[group] & parts_ready[group]):
                            m.d.comb += [
                                getattr(self, f"fetch_{group}").valid.eq(1),
                                getattr(self, f"parts_{group}").valid.eq(1),
                            ]
                            m.next = "NEXT"
            with m.State("ALL"):
                # Until the common reader has begun.
                m.next = "BEHIND"
            with m.State("BEHIND"), m.If(self.all_idle):
                m.next = "NEXT"
            with m.State("NEXT"):
                m.next = "ENTRY"
                with m.If(left == 0):
                    m.next = "WALK"
            with m.State("FAULT"):
                pass
        return m

    def _has_rows(self, entry: Signal) -> Signal:
        """Return True if the array has the rows that an entry's virtual lanes need, and whether there are weights."""
        lanes = entry.virtual_lanes
        return (
            (lanes != 0)
            & (lanes <= self.parameters.rows_per_group)
            & (entry.channels != 0)
            & (entry.channels[CHANNEL_BITS:] == 0)
            & (entry.length != 0)
            & (entry.length[LENGTH_BITS:] == 0)
        )
