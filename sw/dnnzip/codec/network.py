"""A whole network: one table set for all of its tensors, one or more streams for each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import fast
from dnnzip.codec.columns import choose_columns
from dnnzip.codec.reference import AnsChoices
from dnnzip.codec.statistics import Statistics, count, fine_values
from dnnzip.codec.training import Floats, assign_classes, class_lengths, train
from dnnzip.format import (
    MAX_KERNEL,
    MAX_LOG2_LANES,
    RAW_WIDTHS,
    WEIGHT_HEADER,
    WORD_BITS,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
)

SHORT_CHANNEL = 16
"""Channels of fewer weights share one class: counting each by itself would cost more than it could save."""

WEIGHTS_PER_LANE = 512
"""A virtual lane is opened for so many weights; each costs about 23 bits: its first state and its last word's rest."""


@dataclass(frozen=True)
class CodeTensor:
    """A tensor on its integer grid.

    Parameters
    ----------
    name
        Name of the initializer.
    codes
        int16 [channels, length], C-contiguous, each channel in storage order.
    kernel
        Height and width of a channel's taps; where one is over 8, and for (1, 1), the neighbours of a weight are the
        previous two.
    """

    name: str
    codes: NDArray[np.int16]
    kernel: tuple[int, int] = (1, 1)

    @property
    def taps(self) -> tuple[int, int]:
        """The kernel as the stream declares it: (1, 1) where it is larger than the format's history."""
        return self.kernel if max(self.kernel) <= MAX_KERNEL else (1, 1)


@dataclass(frozen=True)
class RawTensor:
    """A tensor that is stored losslessly.

    Parameters
    ----------
    name
        Name of the initializer.
    items
        uint8 or uint16 [items]: its bytes, floats as little-endian 16-bit items.
    """

    name: str
    items: NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class CodecOptions:
    """How to code a network.

    Parameters
    ----------
    codec
        ``ans``, ``raw``, or ``auto`` for the smaller one of each tensor.
    log2_states
        log2 of the tANS states: 8, 9 or 10.
    virtual_lanes
        Virtual lanes of each stream; a tensor of fewer channels has fewer. By default as many as its size carries.
    groups
        Streams of whole channels into which a tensor is split, for as many groups of lanes.
    """

    codec: str = "auto"
    log2_states: int = 9
    virtual_lanes: int | None = None
    groups: int = 1


@dataclass(frozen=True)
class EncodedNetwork:
    """The streams of a network.

    Parameters
    ----------
    tables
        The table set stream; empty where no tensor needs one.
    streams
        The stream or streams of each tensor, one after the other.
    codecs
        ``ans`` or ``raw``, per tensor.
    """

    tables: bytes
    streams: list[bytes] = field(default_factory=list)
    codecs: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """What was chosen for a tensor: the choices of an ``ans`` stream and its bits."""

    classes: NDArray[np.int64]
    context: bool
    statistics: Statistics
    bits: float


def encode_network(
    tensors: Sequence[CodeTensor | RawTensor],
    options: CodecOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> EncodedNetwork:
    """Train a table set for the tensors and encode them.

    Parameters
    ----------
    tensors
        The tensors; their streams come in the same order.
    options
        How to code them.
    progress
        Called with a tensor's name when its stream is done.
    """
    options = options or CodecOptions()
    coded = [tensor for tensor in tensors if isinstance(tensor, CodeTensor) and tensor.codes.size]
    table_set: TableSet | None = None
    plans: dict[int, _Plan] = {}
    if coded and options.codec != "raw":
        table_set, made = _train(coded, options.log2_states)
        plans = {id(tensor): plan for tensor, plan in zip(coded, made, strict=True)}
    result = EncodedNetwork(b"")
    used = False
    for tensor in tensors:
        plan = plans.get(id(tensor))
        if isinstance(tensor, CodeTensor) and plan is not None and table_set is not None:
            lanes = _log2_lanes(tensor.codes.shape[0], tensor.codes.size, options)
            if options.codec == "ans" or _ans_is_smaller(tensor.codes, plan, lanes):
                used = True
                result.streams.append(_encode_ans(tensor, plan, table_set, lanes, options.groups))
                result.codecs.append("ans")
                if progress:
                    progress(tensor.name)
                continue
        result.streams.append(_encode_raw(tensor))
        result.codecs.append("raw")
        if progress:
            progress(tensor.name)
    if used and table_set is not None:
        return EncodedNetwork(table_set.to_bytes(), result.streams, result.codecs)
    return result


def _train(tensors: Sequence[CodeTensor], log2_states: int) -> tuple[TableSet, list[_Plan]]:
    largest = max(max(abs(int(tensor.codes.min())), abs(int(tensor.codes.max()))) for tensor in tensors)
    fine = fine_values(largest)
    plain = [
        count(tensor.codes, tensor.taps, fine, tensor.codes.shape[1] < SHORT_CHANNEL) for tensor in tensors
    ]
    statistics = plain
    table_set = train(statistics, log2_states, fine)
    lengths = class_lengths(table_set, fine)
    for _ in range(2):
        statistics = [
            choose_columns(tensor.codes, tensor.taps, item, lengths, fine)
            for tensor, item in zip(tensors, plain, strict=True)
        ]
        table_set = train(statistics, log2_states, fine)
        lengths = class_lengths(table_set, fine)
    return table_set, [_plan(item, lengths) for item in statistics]


def _plan(statistics: Statistics, lengths: Floats) -> _Plan:
    best: _Plan | None = None
    for context in (True, False):
        classes, bits = assign_classes(statistics, lengths, context)
        if best is None or bits < best.bits:
            best = _Plan(classes, context, statistics, bits)
    assert best is not None
    return best


def _log2_lanes(channels: int, weights: int, options: CodecOptions) -> int:
    channels = -(-channels // options.groups)
    if options.virtual_lanes is not None:
        wanted = options.virtual_lanes
    else:
        wanted = max(weights // options.groups // WEIGHTS_PER_LANE, 1)
    return min(MAX_LOG2_LANES, min(wanted, channels).bit_length() - 1)


def _ans_is_smaller(codes: NDArray[np.int16], plan: _Plan, log2_lanes: int) -> bool:
    lanes_bits = (1 << log2_lanes) * (9 + WORD_BITS)
    return plan.bits + lanes_bits < codes.size * _raw_width(codes)


def _raw_width(codes: NDArray[np.int16]) -> int:
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    return next(width for width in RAW_WIDTHS if -(1 << width - 1) <= low and high < 1 << width - 1)


def _split(channels: int, groups: int) -> list[slice]:
    edges = np.linspace(0, channels, min(groups, channels) + 1).astype(int)
    return [slice(int(start), int(end)) for start, end in zip(edges[:-1], edges[1:], strict=True)]


def _encode_ans(tensor: CodeTensor, plan: _Plan, table_set: TableSet, log2_lanes: int, groups: int) -> bytes:
    streams = []
    for part in _split(tensor.codes.shape[0], groups):
        classes = plan.classes if plan.classes.size == 1 else plan.classes[part]
        choices = AnsChoices(
            min(log2_lanes, (part.stop - part.start).bit_length() - 1),
            [int(klass) for klass in classes],
            plan.statistics.column_shift,
            plan.statistics.column_offsets,
            plan.context,
        )
        streams.append(fast.encode_ans(tensor.codes[part], tensor.taps, table_set, choices))
    return b"".join(streams)


def _encode_raw(tensor: CodeTensor | RawTensor) -> bytes:
    if isinstance(tensor, CodeTensor):
        return fast.encode_raw(tensor.codes, tensor.codes.shape[0], _raw_width(tensor.codes))
    width = 8 * tensor.items.itemsize
    return fast.encode_raw(tensor.items.view(f"i{tensor.items.itemsize}"), 1, width)


def split_streams(data: bytes) -> list[bytes]:
    """Return the weight streams that stand one after the other in ``data``.

    Raises
    ------
    VerdictError
        ``truncated`` where the last one is not whole.
    """
    streams = []
    position = 0
    while position < len(data):
        if len(data) - position < WEIGHT_HEADER.bytes:
            raise VerdictError(Verdict.TRUNCATED)
        header = WeightHeader.unpack(data[position : position + WEIGHT_HEADER.bytes])
        end = position + header.words * (WORD_BITS // 8)
        if end > len(data):
            raise VerdictError(Verdict.TRUNCATED)
        streams.append(data[position:end])
        position = end
    return streams


def decode_tensor(stream: bytes, tables: bytes) -> NDArray[np.int16]:
    """Return the codes of a tensor, int16 [channels, length], from its stream or streams.

    Raises
    ------
    VerdictError
        With the verdict of the table set or of the first stream that is not ok.
    """
    table_set = TableSet.from_bytes(tables) if tables else None
    parts = []
    for part in split_streams(stream):
        decoded = fast.decode(part, table_set)
        if decoded.codes is None:
            raise VerdictError(decoded.verdict)
        parts.append(decoded.codes)
    return np.concatenate(parts)


def stream_count(stream: bytes) -> int:
    """Return how many weights (``raw``: items) the headers of a tensor's streams declare.

    Raises
    ------
    VerdictError
        ``truncated`` where a stream is not whole.
    """
    return sum(WeightHeader.unpack(part).weights for part in split_streams(stream))


