"""A whole network: one table set for all of its tensors, one or more streams for each."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import fast
from dnnzip.codec.columns import choose_columns
from dnnzip.codec.reference import AnsChoices
from dnnzip.codec.statistics import Statistics, count, fine_values
from dnnzip.codec.training import Floats, assign_classes, class_lengths, train
from dnnzip.format import (
    CRC_WORDS,
    MAX_KERNEL,
    MAX_LOG2_LANES,
    RAW_WIDTHS,
    WEIGHT_HEADER,
    WORD_BITS,
    WORD_BYTES,
    Codec,
    Limits,
    StreamWords,
    TableSet,
    Verdict,
    VerdictError,
    WeightHeader,
)

SHORT_CHANNEL = 16
"""Channels of fewer weights share one class: counting each by itself would cost more than it could save."""

LANE_BITS = 23
"""What a virtual lane costs, on average: its first state and the rest of its last word."""

BITS_PER_LANE = 3200
"""A virtual lane is opened for so many bits, so that it costs less than 1 %."""

ALL_LANES = 1 << 16
"""Streams of so many weights get all lanes, whatever these cost: they decide how long a network takes to decode."""

WEIGHTS_PER_STREAM = 1 << 24
"""A longer tensor is split, so that its payload's words can be counted in a header."""

MAX_LANES = 1 << MAX_LOG2_LANES

COLUMN_ROUNDS = 2


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
        ``ans``, ``raw``, or ``auto`` for the smaller one of each tensor; or ``line``, the baseline, which codes what
        it gets, but is short only for codes on straight segments.
    log2_states
        log2 of the tANS states: 8, 9 or 10.
    virtual_lanes
        Virtual lanes of each stream; a tensor of fewer channels has fewer. By default as many as its size carries.
    groups
        Streams of whole channels into which a tensor is split, for as many groups of lanes.
    table_set
        Code with this set instead of training one.
    jobs
        Threads.
    """

    codec: str = "auto"
    log2_states: int = 9
    virtual_lanes: int | None = None
    groups: int = 1
    table_set: TableSet | None = None
    jobs: int = 1


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
        ``ans``, ``line`` or ``raw``, per tensor.
    """

    tables: bytes
    streams: list[bytes]
    codecs: list[str]


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
    """Train a table set for the tensors, where none is given, and encode them.

    Parameters
    ----------
    tensors
        The tensors; their streams come in the same order.
    options
        How to code them.
    progress
        Called with a tensor's name when its stream is done.

    Raises
    ------
    ValueError
        If a given table set cannot express a code.
    """
    options = options or CodecOptions()
    coded = [tensor for tensor in tensors if isinstance(tensor, CodeTensor)]
    table_set, plans = None, dict[int, _Plan]()
    if coded and options.codec in ("auto", "ans"):
        table_set, made = _choose(coded, options)
        plans = {id(tensor): plan for tensor, plan in zip(coded, made, strict=True)}

    def encode(tensor: CodeTensor | RawTensor) -> tuple[str, bytes]:
        codec, stream = "raw", b""
        if isinstance(tensor, RawTensor):
            stream = _encode_items(tensor.items)
        elif options.codec == "line":
            codec, stream = "line", _encode_line(tensor, options)
        elif table_set is not None and (options.codec == "ans" or _ans_is_smaller(tensor, plans[id(tensor)], options)):
            codec, stream = "ans", _encode_ans(tensor, plans[id(tensor)], table_set, options)
        if isinstance(tensor, CodeTensor) and (codec == "raw" or _is_useless(tensor, stream, options)):
            codec, stream = "raw", _encode_raw(tensor)
        if progress:
            progress(tensor.name)
        return codec, stream

    # The compiled loops release the interpreter lock.
    with ThreadPoolExecutor(options.jobs) as pool:
        encoded = list(pool.map(encode, tensors))
    if table_set is not None and options.codec == "auto" and not _tables_pay(tensors, encoded, table_set):
        pairs = zip(tensors, encoded, strict=True)
        encoded = [("raw", _encode_raw(item)) if isinstance(item, CodeTensor) else done for item, done in pairs]
    codecs = [codec for codec, _ in encoded]
    tables = table_set.to_bytes() if table_set is not None and "ans" in codecs else b""
    return EncodedNetwork(tables, [stream for _, stream in encoded], codecs)


def _choose(tensors: Sequence[CodeTensor], options: CodecOptions) -> tuple[TableSet, list[_Plan]]:
    """Return the table set and what each tensor makes of it; columns and tables are chosen in turn."""
    fine = fine_values(max(max(abs(int(tensor.codes.min())), abs(int(tensor.codes.max()))) for tensor in tensors))
    with ThreadPoolExecutor(options.jobs) as pool:
        plain = list(
            pool.map(
                lambda tensor: count(tensor.codes, tensor.taps, fine, tensor.codes.shape[1] < SHORT_CHANNEL), tensors
            )
        )
        statistics = plain
        table_set = options.table_set or train(plain, options.log2_states, fine)
        for _ in range(COLUMN_ROUNDS):
            lengths = class_lengths(table_set, fine)
            statistics = list(
                pool.map(
                    lambda pair, lengths=lengths: choose_columns(pair[0].codes, pair[0].taps, pair[1], lengths, fine),
                    zip(tensors, plain, strict=True),
                )
            )
            table_set = options.table_set or train(statistics, options.log2_states, fine)
        lengths = class_lengths(table_set, fine)
        return table_set, list(pool.map(lambda item: _plan(item, lengths), statistics))


def _plan(statistics: Statistics, lengths: Floats) -> _Plan:
    best: _Plan | None = None
    for context in (True, False):
        classes, bits = assign_classes(statistics, lengths, context)
        if best is None or bits < best.bits:
            best = _Plan(classes, context, statistics, bits)
    assert best is not None
    return best


def _log2_lanes(codes: NDArray[np.int16], bits: float, options: CodecOptions) -> int:
    """Return log2 of the virtual lanes of a stream of these codes, int16 [channels, length], of so many bits."""
    wanted = options.virtual_lanes or (MAX_LANES if codes.size >= ALL_LANES else max(int(bits / BITS_PER_LANE), 1))
    return int(min(wanted, codes.shape[0], MAX_LANES)).bit_length() - 1


def _ans_is_smaller(tensor: CodeTensor, plan: _Plan, options: CodecOptions) -> bool:
    lanes = 1 << _log2_lanes(tensor.codes, plan.bits, options)
    return plan.bits + lanes * LANE_BITS < tensor.codes.size * _raw_width(tensor.codes)


def _is_useless(tensor: CodeTensor, stream: bytes, options: CodecOptions) -> bool:
    """Return whether an ``ans`` stream saves nothing: a small tensor's estimate may be a word off, and groups cost."""
    return options.codec == "auto" and len(stream) >= _raw_bytes(tensor)


def _tables_pay(
    tensors: Sequence[CodeTensor | RawTensor], encoded: Sequence[tuple[str, bytes]], table_set: TableSet
) -> bool:
    """Return whether the ``ans`` streams together save more than the table set takes."""
    saved = sum(
        _raw_bytes(tensor) - len(stream)
        for tensor, (codec, stream) in zip(tensors, encoded, strict=True)
        if isinstance(tensor, CodeTensor) and codec == "ans"
    )
    return saved > len(table_set.to_bytes())


def _raw_bytes(tensor: CodeTensor) -> int:
    """Return the size of the streams that ``_encode_raw`` gives."""
    frame, width = (WEIGHT_HEADER.words + CRC_WORDS) * WORD_BYTES, _raw_width(tensor.codes)
    sizes = (int(tensor.codes[part].size) for part in _parts(tensor.codes, 1))
    return sum(frame + WORD_BYTES * -(-size * width // WORD_BITS) for size in sizes)


def _raw_width(codes: NDArray[np.int16]) -> int:
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    return next(width for width in RAW_WIDTHS if -(1 << width - 1) <= low and high < 1 << width - 1)


def _parts(codes: NDArray[np.int16], groups: int) -> list[slice]:
    """Return the channels of each stream: as many streams as groups, more where one would be too long."""
    channels = codes.shape[0]
    groups = max(groups, -(-codes.size // WEIGHTS_PER_STREAM), -(-channels // WEIGHT_HEADER["channels"].limit))
    edges = np.linspace(0, channels, min(groups, channels) + 1).astype(int)
    return [slice(int(start), int(end)) for start, end in pairwise(edges)]


def _encode_ans(tensor: CodeTensor, plan: _Plan, table_set: TableSet, options: CodecOptions) -> bytes:
    streams = []
    for part in _parts(tensor.codes, options.groups):
        codes = tensor.codes[part]
        choices = AnsChoices(
            _log2_lanes(codes, plan.bits * codes.size / tensor.codes.size, options),
            [int(klass) for klass in (plan.classes if plan.classes.size == 1 else plan.classes[part])],
            plan.statistics.column_shift,
            plan.statistics.column_offsets,
            plan.context,
        )
        streams.append(fast.encode_ans(codes, tensor.taps, table_set, choices))
    return b"".join(streams)


def _encode_line(tensor: CodeTensor, options: CodecOptions) -> bytes:
    parts = _parts(tensor.codes, options.groups)
    return b"".join(fast.encode_line(tensor.codes[part], part.stop - part.start) for part in parts)


def _encode_raw(tensor: CodeTensor) -> bytes:
    width = _raw_width(tensor.codes)
    parts = _parts(tensor.codes, 1)
    return b"".join(fast.encode_raw(tensor.codes[part], part.stop - part.start, width) for part in parts)


def _encode_items(items: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Return items as streams of one channel, each as long as a channel may be."""
    signed = items.reshape(-1).view(f"i{items.itemsize}")
    longest = WEIGHT_HEADER["length"].limit
    return b"".join(
        fast.encode_raw(signed[start : start + longest], 1, 8 * items.itemsize)
        for start in range(0, signed.size, longest)
    )


def split_streams(data: bytes) -> list[bytes]:
    """Return the weight streams, at least one, that stand one after the other in ``data``.

    Raises
    ------
    VerdictError
        The verdict on the first header that is not sound; ``truncated`` where the last stream is not whole.
    """
    streams: list[bytes] = []
    position = 0
    while position < len(data) or not streams:
        header = fast.take_header(StreamWords(data[position : position + WEIGHT_HEADER.bytes]), Limits())
        end = position + header.words * WORD_BYTES
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
    streams = split_streams(stream)
    parts = []
    for part in streams:
        decoded = fast.decode(part, table_set)
        if decoded.codes is None:
            raise VerdictError(decoded.verdict)
        parts.append(decoded.codes)
    return join_parts(parts, streams)


def join_parts(parts: Sequence[NDArray[np.int16]], streams: Sequence[bytes]) -> NDArray[np.int16]:
    """Return a tensor's codes, int16 [channels, length], from those of its streams.

    Streams hold whole channels; but ``raw`` ones of one channel are the pieces of one that is too long for a stream.

    Raises
    ------
    VerdictError
        ``bad header`` where the streams are not those of one tensor.
    """
    headers = [WeightHeader.unpack(stream) for stream in streams]
    pieces = all(header.codec == Codec.RAW and header.channels == 1 for header in headers)
    if not pieces and len({header.length for header in headers}) > 1:
        raise VerdictError(Verdict.BAD_HEADER)
    return np.concatenate(parts, axis=1 if pieces else 0)


def stream_count(stream: bytes) -> int:
    """Return how many weights (``raw``: items) the headers of a tensor's streams declare.

    Raises
    ------
    VerdictError
        See ``split_streams``.
    """
    return sum(WeightHeader.unpack(part).weights for part in split_streams(stream))
