"""Tensors of weights to streams and back: each on its grid, all with one table set.

A stream comes from anywhere: its counts are checked before memory is taken for it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import (
    CodecOptions,
    CodeTensor,
    RawTensor,
    codec_for,
    decode_tensor,
    encode_network,
    encode_streams,
    original_bytes,
    stream_count,
)
from dnnzip.errors import InputError, field_name
from dnnzip.format import AUTO, MAX_WEIGHTS_PER_BIT, Verdict, VerdictError, codec_choices
from dnnzip.inputs.memory import memory_for
from dnnzip.quantize.bound import AnyBound, Scope, Unit, parse_bounds
from dnnzip.quantize.energy import Loss, loss_of
from dnnzip.quantize.grid import CODE_BYTES, FloatGrid, Grid, Lossless, MappedGrid, Quantised, kept_as_they_are
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.lines import quantise_lines
from dnnzip.quantize.quantise import quantise, quantise_again
from dnnzip.quantize.tolerance import own_bound
from dnnzip.quantize.weights import Weights

UPDATE = "update dnnzip to read it"

Stored = TypeVar("Stored")
Stored_co = TypeVar("Stored_co", covariant=True)


@dataclass(frozen=True, eq=False)
class Encoded(Generic[Stored_co]):
    """A tensor of weights, encoded."""

    grid: Grid
    stream: Stored_co  # its weight streams, one after the other; or where they are
    codec: str
    loss: Loss | None = None  # what quantisation lost; None where it was done elsewhere


@dataclass(frozen=True)
class Encoding:
    """Encoding of weights: bound, scope and codec."""

    bound: AnyBound  # largest error on a weight
    scope: Scope = Scope.TENSOR  # over which weights the range of a percentage is taken
    codec: CodecOptions = field(default_factory=CodecOptions)


def encoding_of(max_error: str | float, error_scope: str, codec: CodecOptions) -> Encoding:
    """Return the encoding that arguments of a caller, or options of a command, ask for, after they have been checked.

    Raises
    ------
    InputError
        One is out of its range.
    TypeError
        ``max_error`` is neither text nor a number.
    """
    if isinstance(max_error, bool) or not isinstance(max_error, (str, int, float, np.number)):
        raise TypeError(f"max_error must be text such as '2%' or a number, not {type(max_error).__name__}")
    bound = parse_bounds(max_error if isinstance(max_error, str) else repr(float(max_error)))
    for name, value, known in (
        ("error_scope", error_scope, tuple(map(str, Scope))),
        ("codec", codec.codec, codec_choices()),
        ("virtual_lanes", codec.virtual_lanes, (None, 1, 2, 4, 8, 16)),
    ):
        if value not in known:
            raise InputError(field_name(name), f"is {value!r}", "give " + ", ".join(map(repr, known)))
    for name, number in (("groups", codec.groups), ("jobs", codec.jobs)):
        if number < 1:
            raise InputError(field_name(name), f"is {number}", "give 1 or more")
    return Encoding(bound, Scope(error_scope), codec)


def log2_states(states: int) -> int:
    """Return log2 of a number of states that the coder can have.

    Raises
    ------
    InputError
        The coder has no such number of states.
    """
    if states not in (256, 512, 1024):
        raise InputError(field_name("states"), f"is {states!r}", "give 256, 512 or 1024")
    return states.bit_length() - 1


class _Source:
    """A tensor on its grid, made when the codec asks for it; in between, only its grid is kept."""

    def __init__(self, weight: Weights, encoding: Encoding) -> None:
        self.name = weight.name
        self.weights = math.prod(weight.layout.shape)
        self._weight = weight
        self._encoding = encoding
        self._grid: Grid | None = None
        self.loss: Loss | None = None  # there once the tensor has been loaded

    @property
    def grid(self) -> Grid:
        """The grid; there once the tensor has been loaded."""
        assert self._grid is not None, "not loaded yet"
        return self._grid

    def load(self) -> CodeTensor | RawTensor:
        """Put the weights on their grid; the second time its step is known, unless the codec chooses the codes."""
        if self._grid is not None and codec_for(self._encoding.codec.codec).fit is None:
            return tensor_of(self._weight, quantise_again(self._weight, self._grid))
        quantised = _quantised(self._weight, self._encoding)
        self._grid, self.loss = quantised.grid, loss_of(self._weight, quantised)
        return tensor_of(self._weight, quantised)

    def lossless(self, size: int) -> RawTensor | None:
        """Return the original bytes of float weights where their streams would be no larger than codes in `size`."""
        grid = self.grid
        if not isinstance(grid, FloatGrid | MappedGrid):
            return None
        lossless, layout = grid.lossless(), self._weight.layout
        if size + grid.side_bytes < original_bytes(math.prod(lossless.code_shape(layout)), lossless.item_bytes):
            return None
        self._grid = lossless
        kept = kept_as_they_are(self._weight.array, lossless)
        self.loss = loss_of(self._weight, kept)
        tensor = tensor_of(self._weight, kept)
        assert isinstance(tensor, RawTensor)
        return tensor


def encode_weights(
    weights: Sequence[Weights],
    encoding: Encoding | Sequence[Encoding],
    store: Callable[[bytes], Stored],
    progress: Callable[[str], None] | None = None,
    first_pass: Callable[[str], None] | None = None,
) -> tuple[bytes, list[Encoded[Stored]]]:
    """Put weights on their grids and encode them, tensor by tensor: one pass for the table set, one to encode.

    Parameters
    ----------
    encoding
        Bound and codec; or one for each tensor, which have the codec in common.
    store
        Puts a stream away, and returns what to keep of it.
    progress
        Called with a tensor's name as it is encoded.
    first_pass
        Called with a tensor's name when it has been put on its grid first.

    Returns
    -------
    The table set, empty where no stream needs one, and the tensors.

    Raises
    ------
    InputError
        Weights are not finite, or the bound does not suit them.
    ValueError
        A given table set cannot express them.
    """
    each = [encoding] * len(weights) if isinstance(encoding, Encoding) else encoding
    sources = [_Source(weight, own) for weight, own in zip(weights, each, strict=True)]
    options = each[0].codec

    def measured(stream: bytes) -> tuple[Stored, int]:
        return store(stream), len(stream)

    tables, streams, codecs = encode_streams(sources, options, measured, progress, first_pass)
    if options.codec == AUTO:
        for i, source in enumerate(sources):
            original = source.lossless(streams[i][1])
            if original is not None:
                _, (streams[i],), (codecs[i],) = encode_streams([original], options, measured)
        tables = tables if any(codec_for(codec).rules.has_tables for codec in codecs) else b""
    found = zip(sources, streams, codecs, strict=True)
    return tables, [Encoded(source.grid, stream, codec, source.loss) for source, (stream, _), codec in found]


def encode_quantised(
    weights: Sequence[Weights], quantised: Sequence[Quantised], options: CodecOptions | None = None
) -> tuple[bytes, list[Encoded[bytes]]]:
    """Encode tensors that are on their grids already; see `encode_weights`."""
    tensors = [tensor_of(weight, item) for weight, item in zip(weights, quantised, strict=True)]
    done = encode_network(tensors, options)
    found = zip(quantised, done.streams, done.codecs, strict=True)
    return done.tables, [Encoded(item.grid, stream, codec) for item, stream, codec in found]


def tensor_of(weight: Weights, quantised: Quantised) -> CodeTensor | RawTensor:
    """Return quantised weights as the codec takes them."""
    if isinstance(quantised.grid, Lossless):
        items = quantised.codes.reshape(-1).view(np.uint16)
        return RawTensor(weight.name, items if quantised.grid.item_bytes == CODE_BYTES else items.astype(np.uint8))
    if isinstance(quantised.grid, MappedGrid) and quantised.grid.bits.low_bits:
        codes, low = np.split(quantised.codes, 2)
        return CodeTensor(weight.name, codes, weight.layout.kernel, low, quantised.grid.bits.low_bits)
    return CodeTensor(weight.name, quantised.codes, weight.layout.kernel)


def _quantised(weight: Weights, encoding: Encoding) -> Quantised:
    """Return the weights on their grid, or float weights as they are, as the codec takes them."""
    spec, bound = codec_for(encoding.codec.codec), own_bound(weight, encoding.bound)
    if spec.fit is not None:
        return quantise_lines(weight, bound, encoding.scope, spec.fit)
    result = quantise(weight, bound, encoding.scope)
    if spec.keeps_floats and isinstance(result.grid, FloatGrid | MappedGrid):
        return kept_as_they_are(weight.array, result.grid.lossless())
    return result


@dataclass(frozen=True)
class Reading:
    """Messages about streams that are read."""

    where: str
    again: str = "compress the model again"  # advice where they are damaged

    def damaged(self, fault: str) -> InputError:
        """Make the error of a fault in what a file declares."""
        return InputError(self.where, f"is damaged: {fault}", self.again)

    def stream_error(self, error: VerdictError) -> InputError:
        """Make one line of a stream's verdict."""
        if error.verdict is Verdict.VERSION:
            return InputError(self.where, "has a stream of a newer format version", UPDATE)
        return InputError(self.where, f"has a damaged stream ({error})", self.again)


def check_counts(stream: bytes, grid: Grid, layout: Layout, reading: Reading) -> None:
    """Check the counts that the headers of a tensor's streams declare.

    Raises
    ------
    InputError
        A header is damaged, or the counts do not suit the tensor or the size of the streams.
    """
    try:
        declared = stream_count(stream)
    except VerdictError as error:
        raise reading.stream_error(error) from None
    wanted = math.prod(grid.code_shape(layout))
    if declared != wanted:
        raise reading.damaged(f"its stream declares {declared} values and its shape {layout.shape} needs {wanted}")
    if declared > MAX_WEIGHTS_PER_BIT * 8 * len(stream):
        raise reading.damaged(f"{declared} values in {len(stream)} bytes are more than {MAX_WEIGHTS_PER_BIT} in a bit")


def decode_codes(stream: bytes, tables: bytes, values: int, reading: Reading) -> NDArray[np.int16]:
    """Decode a tensor's streams with the software codec, a number of values that has been checked.

    Parameters
    ----------
    stream
        The weight streams, one after the other.
    tables
        The table set stream; empty where there is none.
    values
        Number of values; see `check_counts`.

    Returns
    -------
    int16 [channels, length] codes, low bits in rows behind them; or int16 [1, items] of a lossless grid.

    Raises
    ------
    InputError
        A stream is damaged, of a newer version, or there is no memory for its values.
    """
    try:
        with memory_for(reading.where, f"{values} values", values * CODE_BYTES + len(stream)):
            return decode_tensor(stream, tables)
    except VerdictError as error:
        raise reading.stream_error(error) from None


def restore_weights(codes: NDArray[np.generic], grid: Grid, layout: Layout, reading: Reading) -> NDArray[np.generic]:
    """Return the weights of decoded codes, in their own type and shape.

    Parameters
    ----------
    codes
        int16 [channels, length] codes, low bits in rows behind them; or int16 [1, items] of a lossless grid.

    Raises
    ------
    InputError
        The number or kind of values does not suit the tensor, they are those of infinite weights or NaN, or there is no
        memory for the weights.
    """
    wanted = grid.code_shape(layout)
    if isinstance(grid, MappedGrid) and codes.shape == (1, math.prod(wanted)):
        # One channel and its low bits, both ``raw``, are read as the pieces of one.
        codes = codes.reshape(wanted)
    if codes.shape != wanted or codes.dtype != np.int16:
        raise reading.damaged(f"its stream holds {codes.dtype} {codes.shape} and not the {wanted} that the layer needs")
    count = math.prod(layout.shape)
    with memory_for(reading.where, f"{count} weights", count * (CODE_BYTES + grid.element.bytes)):
        weights = grid.restore(np.ascontiguousarray(codes, np.int16), layout)
    # The extremes are not finite where any weight is not, and need no array to tell.
    if grid.unit is not Unit.LSB and not (np.isfinite(weights.min()) and np.isfinite(weights.max())):
        raise InputError(reading.where, "decodes to weights that are infinite or no number", reading.again)
    return weights
