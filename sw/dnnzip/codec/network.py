"""A whole network: one table set for all of its tensors, one or more streams for each.

Tensors may come from sources that make them when they are needed. A codec that trains a table set looks at them in a
first pass, a second one encodes; a network of up to ``WHOLE_WEIGHTS`` weights is kept between them.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from dnnzip.codec import raw
from dnnzip.codec.raw.choices import encode_items, encode_low, item_width, streams_bytes
from dnnzip.codec.registry import codec_for
from dnnzip.codec.room import Room
from dnnzip.codec.spec import Draft, Tensors
from dnnzip.codec.tensors import AnyTensor, CodecOptions, CodeTensor, RawTensor, weights_of
from dnnzip.format import AUTO, TableSet

WHOLE_WEIGHTS = 1 << 23
"""Most weights of a network that stays in memory, and most that threads have in work at once, or the largest tensor."""

RAW = raw.SPEC.rules.name

Stored = TypeVar("Stored")


@dataclass(frozen=True)
class EncodedNetwork:
    """The streams of a network."""

    tables: bytes  # the table set stream; empty where no tensor needs one
    streams: list[bytes]  # the stream or streams of each tensor, one after the other
    codecs: list[str]  # the codec's name, per tensor


@dataclass(frozen=True)
class _Done(Generic[Stored]):
    """A tensor's stream, its size, and that of its ``raw`` one."""

    codec: str
    stream: Stored
    size: int  # both without low bits
    raw_size: int


def encode_network(
    tensors: Sequence[AnyTensor],
    options: CodecOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> EncodedNetwork:
    """Train a table set for the tensors, where none is given, and encode them.

    Parameters
    ----------
    tensors
        The tensors, or sources of them; their streams come in the same order, and are the same.
    progress
        Called with a tensor's name when its stream is done.

    Raises
    ------
    ValueError
        If a given table set cannot express a code.
    """
    return EncodedNetwork(*encode_streams(tensors, options, bytes, progress))


def encode_streams(
    tensors: Sequence[AnyTensor],
    options: CodecOptions | None,
    store: Callable[[bytes], Stored],
    progress: Callable[[str], None] | None = None,
    first_pass: Callable[[str], None] | None = None,
) -> tuple[bytes, list[Stored], list[str]]:
    """Do what `encode_network` does, but put each tensor's stream away as soon as it is made.

    Memory then holds a sample of the codes, its histograms and the tensors in work: one at a time of those with more
    than ``WHOLE_WEIGHTS`` weights.

    Parameters
    ----------
    tensors, options, progress
        As there.
    store
        Takes a stream, in any order and from any thread, and returns what represents it in the result. It may get
        more than one for a tensor; the last counts.
    first_pass
        Called with the name of a source when it has been loaded for the first time.

    Returns
    -------
    The table set stream, what `store` returned for the streams, and the codecs.

    Raises
    ------
    ValueError
        If a given table set cannot express a code.
    """
    options = options or CodecOptions()
    name = codec_for(options.codec).rules.name
    sizes = [weights_of(tensor) for tensor in tensors]
    room = Room(max([WHOLE_WEIGHTS, *sizes]))
    unseen = {position for position, tensor in enumerate(tensors) if not isinstance(tensor, CodeTensor | RawTensor)}

    def load(position: int) -> CodeTensor | RawTensor:
        tensor = tensors[position]
        if isinstance(tensor, CodeTensor | RawTensor):
            return tensor
        loaded = tensor.load()
        if first_pass and position in unseen:
            first_pass(tensor.name)
        unseen.discard(position)
        return loaded

    def encode(position: int, force_raw: bool = False) -> _Done[Stored]:
        with room.take(sizes[position]):
            tensor = load(position)
            draft = None
            if encoder is not None and isinstance(tensor, CodeTensor) and not force_raw:
                draft = encoder.draft(position, tensor)
            codec, stream = _encode(tensor, draft, options)
            raw_size = streams_bytes(tensor) if isinstance(tensor, CodeTensor) else len(stream)
            low = encode_low(tensor) if isinstance(tensor, CodeTensor) else b""
            done = _Done(codec, store(stream + low), len(stream), raw_size)
        if progress and not force_raw:
            progress(tensor.name)
        return done

    # The compiled loops release the interpreter lock.
    with ThreadPoolExecutor(options.jobs) as pool:
        if unseen and sum(sizes) <= WHOLE_WEIGHTS:
            tensors = list(pool.map(load, range(len(tensors))))
        encoder = codec_for(options.codec).open_encoder(Tensors(load, sizes, room, pool), options)
        table_set = encoder.table_set if encoder is not None else None
        encoded = list(pool.map(encode, range(len(tensors))))
        if table_set is not None and options.codec == AUTO and not _tables_pay(encoded, table_set):
            encoded = [
                encode(position, force_raw=True) if done.codec == name else done
                for position, done in enumerate(encoded)
            ]
    codecs = [done.codec for done in encoded]
    tables = table_set.to_bytes() if table_set is not None and name in codecs else b""
    return tables, [done.stream for done in encoded], codecs


def _encode(tensor: CodeTensor | RawTensor, draft: Draft | None, options: CodecOptions) -> tuple[str, bytes]:
    """Return codec and stream of a tensor; without a draft it is ``raw``."""
    if isinstance(tensor, RawTensor):
        return RAW, encode_items(tensor.items)
    if draft is not None and options.codec != AUTO:
        return options.codec, draft.encode()
    # An estimate may be a word off, and groups cost.
    if draft is not None and draft.bits < tensor.codes.size * item_width(tensor):
        stream = draft.encode()
        if len(stream) < streams_bytes(tensor):
            return codec_for(AUTO).rules.name, stream
    return RAW, raw.choices.encode(tensor, options)


def _tables_pay(encoded: Sequence[_Done[Stored]], table_set: TableSet) -> bool:
    """Return True if the streams of ``AUTO``'s codec together save more than the table set takes."""
    saved: int = sum(done.raw_size - done.size for done in encoded if done.codec != RAW)
    return saved > len(table_set.to_bytes())
