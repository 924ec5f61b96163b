"""The sample streams of the testbench: the words to offer, and the beats to expect from a decompressor.

The streams and their codes are frozen in ``sample.json``. The output depends on the hardware: its lanes decide which
weights share a beat, and a stream that it was not built for ends with ``unsupported``.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from dnnzip.format import (
    CODECS,
    RAW_WIDTHS,
    TABLE_HEADER,
    TABLES_MAGIC,
    WORD_BITS,
    WORD_BYTES,
    Codec,
    Limits,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
    WeightStream,
    check_supported,
    check_weight_header,
)
from dnnzip_hw.layouts import beat_layout, word_layout
from dnnzip_hw.parameters import DecompressorParameters

Beat = list[int | None]
"""Weights of a beat, one per lane; None in a lane without one."""


@dataclass(frozen=True)
class SampleStream:
    """A stream and its decoded codes."""

    name: str  # what it shows
    data: bytes  # the stream
    verdict: Verdict  # how it ends where the hardware supports it
    codes: tuple[tuple[int, ...], ...]  # channels of codes in storage order; none for a table set

    @property
    def is_table_set(self) -> bool:
        """Return True if it is a table set."""
        return self.data[0] == TABLES_MAGIC

    @cached_property
    def header(self) -> WeightHeader:
        """The header of a weight stream."""
        return WeightStream.from_bytes(self.data).header


def sample_streams() -> list[SampleStream]:
    """Return the frozen streams."""
    verdicts = {verdict.label: verdict for verdict in Verdict}
    text = (files("dnnzip_hw.kit") / "sample.json").read_text(encoding="utf-8")
    return [
        SampleStream(
            entry["name"],
            bytes.fromhex(entry["stream"]),
            verdicts[entry["verdict"]],
            tuple(map(tuple, entry["codes"])),
        )
        for entry in json.loads(text)
    ]


def words_hex(streams: Sequence[SampleStream]) -> str:
    """Return the payloads of the port ``i``, one a line, for ``$readmemh``."""
    lines = []
    for stream in streams:
        words = [
            int.from_bytes(stream.data[at : at + WORD_BYTES], "little") for at in range(0, len(stream.data), WORD_BYTES)
        ]
        lines.append(f"// {stream.name}: {len(words)} words\n")
        for number, word in enumerate(words):
            lines.append(_line(word_layout().const({"data": word, "last": number == len(words) - 1})))
    return "".join(lines)


def beats_hex(streams: Sequence[SampleStream], parameters: DecompressorParameters) -> str:
    """Return the payloads to expect on the port ``o``, one a line; zeros where no value is demanded."""
    layout = beat_layout(parameters)
    lines = []
    for stream, (verdict, beats) in zip(streams, outcomes(streams, parameters), strict=True):
        lines.append(f"// {stream.name}: {len(beats)} beats, then {verdict.label!r}\n")
        for beat in beats:
            mask = sum(1 << lane for lane, weight in enumerate(beat) if weight is not None)
            weights = [weight or 0 for weight in beat]
            lines.append(_line(layout.const({"weights": weights, "mask": mask, "last": 0, "cause": 0})))
        end = {"weights": [0] * parameters.lanes, "mask": 0, "last": 1, "cause": int(verdict)}
        lines.append(_line(layout.const(end)))
    return "".join(lines)


def outcomes(streams: Sequence[SampleStream], parameters: DecompressorParameters) -> list[tuple[Verdict, list[Beat]]]:
    """Return each stream's verdict and beats, as hardware of these parameters delivers them."""
    loaded: TableSet | None = None
    found: list[tuple[Verdict, list[Beat]]] = []
    for stream in streams:
        refused = refusal(stream, loaded, parameters.limits)
        if refused is not None:
            found.append((refused, []))
        elif stream.is_table_set:
            loaded = TableSet.from_bytes(stream.data)
            found.append((Verdict.OK, []))
        else:
            found.append((stream.verdict, list(beats_of(stream.header, stream.codes, parameters.lanes))))
    return found


def refusal(stream: SampleStream, loaded: TableSet | None, limits: Limits) -> Verdict | None:
    """Return the verdict on a sound stream's header, or None where it is decoded."""
    if stream.is_table_set:
        states = TABLE_HEADER.unpack(stream.data)["log2_states"]
        return Verdict.UNSUPPORTED if states > limits.log2_states else None
    try:
        check_supported(stream.data[: 2 * WORD_BYTES], limits)
        check_weight_header(stream.header, loaded)
    except VerdictError as error:
        return error.verdict
    return None


def beats_of(header: WeightHeader, codes: Sequence[Sequence[int]], lanes: int) -> Iterator[Beat]:
    """Yield the beats of a weight stream's codes, in the order of the port ``o``.

    Parameters
    ----------
    header
        Of the stream.
    codes
        [channels][length], in storage order.
    lanes
        Hardware lanes; every beat has this number of entries.
    """
    if CODECS[header.codec].has_lanes:
        yield from _ans_beats(header, codes, lanes)
        return
    items = [code for channel in codes for code in channel]
    most = 1 if header.codec == Codec.LINE else WORD_BITS // RAW_WIDTHS[header.raw_width]
    count = min(lanes, most)
    for start in range(0, len(items), count):
        beat = items[start : start + count]
        yield [*beat, *[None] * (lanes - len(beat))]


def _ans_beats(header: WeightHeader, codes: Sequence[Sequence[int]], lanes: int) -> Iterator[Beat]:
    for first in range(0, header.channels, header.lanes):
        active = codes[first : first + header.lanes]
        for position in range(header.length):
            for start in range(0, len(active), lanes):
                beat: Beat = [channel[position] for channel in active[start : start + lanes]]
                yield [*beat, *[None] * (lanes - len(beat))]


def _line(payload: object) -> str:
    """Return a constant of a port's layout as a line of hexadecimal digits."""
    number: int = payload.as_bits()  # type: ignore[attr-defined]  # Amaranth has no annotations
    return f"{number:x}\n"
