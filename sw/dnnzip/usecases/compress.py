"""The first step: select weights, put them on their grid, encode them, write them into the network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx

from dnnzip.codec import CodecOptions, CodeTensor, RawTensor, encode_streams, original_bytes
from dnnzip.errors import InputError, field_name
from dnnzip.model.line import quantise_lines
from dnnzip.onnx.container import (
    CompressedModel,
    compressed_model,
    is_compressed,
    open_compressed,
    side_bytes,
    used_zero_point,
)
from dnnzip.onnx.lazy_tensors import Place, Spool
from dnnzip.onnx.rescale import fold_obstacle
from dnnzip.onnx.weights import LeftOut, Weight, find_weights, select_weights
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.grid import GridResult, check_bound, divisor_of, items_of, quantise, quantise_again, suits_unit


@dataclass(frozen=True)
class CompressionOptions:
    """What a user may ask of a compression.

    Parameters
    ----------
    bound
        Largest error on a weight.
    scope
        Over which weights the range of a percentage is taken.
    layers, exclude
        Globs on the names of the weights to compress and not to compress.
    codec
        How the streams are coded.
    """

    bound: Bound
    scope: Scope = Scope.TENSOR
    layers: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    codec: CodecOptions = field(default_factory=CodecOptions)


@dataclass(frozen=True, eq=False)
class Compression:
    """A compressed network.

    Parameters
    ----------
    compressed
        The compressed model, read back as a file would be; in memory, or with its streams in a spool.
    left_out
        The weights that are not compressed, and the rule that left each out.
    """

    compressed: CompressedModel
    left_out: tuple[LeftOut, ...]


class _Source:
    """A weight on its grid, made when the codec asks for it; in between, only its step and errors are kept.

    Parameters
    ----------
    weight
        The weight; its array may be in a file.
    options
        Bound and codec.
    """

    def __init__(self, weight: Weight, options: CompressionOptions) -> None:
        self.name = weight.name
        self.weights = weight.weights
        self._weight = weight
        self._options = options
        self._result: GridResult | None = None

    @property
    def result(self) -> GridResult:
        """The grid, without codes and items; there once the tensor has been loaded."""
        assert self._result is not None, "not loaded yet"
        return self._result

    @property
    def side_bytes(self) -> int:
        """Bytes that a decoder needs beside the stream; there once the tensor has been loaded."""
        result = self.result
        return side_bytes(result.step, result.step_grid, used_zero_point(result))

    def original(self) -> RawTensor:
        """Return the original bytes of float weights, which become the result."""
        self._result = _lossless(self.result)
        return RawTensor(self.name, items_of(self._weight.array))

    def load(self) -> CodeTensor | RawTensor:
        """Put the weight on its grid; the second time its step is known, unless lines are asked for."""
        is_known = self._result is not None and self._options.codec.codec in ("auto", "ans")
        result = quantise_again(self.result) if is_known else _grid(self._weight, self._options)
        self._result = replace(result, codes=None, items=None)
        return _tensor(result)


def compress(
    model: onnx.ModelProto,
    options: CompressionOptions,
    where: str = "model",
    progress: Callable[[str], None] | None = None,
    *,
    first_pass: Callable[[str], None] | None = None,
    spool: Spool | None = None,
    planned: tuple[Sequence[Weight], Sequence[LeftOut]] | None = None,
) -> Compression:
    """Compress a network's weights, tensor by tensor: a first pass for the table set, a second one to encode.

    Parameters
    ----------
    model
        The network, its arrays in it or in files (`dnnzip.onnx.files.open_model`); its Constant nodes become
        initializers, otherwise it is left as it is.
    options
        Bound, selection and codec.
    where
        The file, for messages.
    progress
        Called with a weight's name as it is encoded.
    first_pass
        Called with a weight's name when it has been put on its grid first.
    spool
        Takes the streams, and must stay open as long as the result is used; without one they are kept in memory.
    planned
        What `plan` gave for the same model and options.

    Raises
    ------
    InputError
        The model has no weights that can be compressed, a glob matches nothing, the bound does not suit the weights, or
        a given table set cannot express them.
    """
    weights, left_out = planned or plan(model, options, where)
    sources = [_Source(weight, options) for weight in weights]
    store: Callable[[bytes], bytes | Place] = _kept if spool is None else spool.add
    try:
        tables, streams, codecs = encode_streams(sources, options.codec, store, progress, first_pass)
    except ValueError as error:
        if options.codec.table_set is None:
            raise
        raise InputError(field_name("tables"), f"does not suit this model ({error})", "train a set on it") from None
    if options.codec.codec == "auto":
        for i, source in enumerate(sources):
            if _is_larger_than_original(source, streams[i]):
                _, (streams[i],), (codecs[i],) = encode_streams([source.original()], options.codec, store)
        tables = tables if "ans" in codecs else b""
    fresh = compressed_model(model, [source.result for source in sources], streams, codecs, tables)
    return Compression(open_compressed(fresh, where), tuple(left_out))


def _is_larger_than_original(source: _Source, stream: bytes | Place) -> bool:
    """Return True if the stream of float codes and what it needs take no fewer bytes than that of the original."""
    size = stream.length if isinstance(stream, Place) else len(stream)
    weight = source.result.weight
    is_coded = not weight.is_integer and source.result.step is not None
    return is_coded and size + source.side_bytes >= original_bytes(weight.weights * weight.dtype.itemsize)


def _kept(stream: bytes) -> bytes | Place:
    return stream


def plan(model: onnx.ModelProto, options: CompressionOptions, where: str) -> tuple[Sequence[Weight], Sequence[LeftOut]]:
    """Return the weights to compress and the ones left out, after every option has been checked.

    Raises
    ------
    InputError
        See ``compress``.
    """
    if is_compressed(model):
        raise InputError(where, "is compressed already", "give the plain model")
    found, left_out = find_weights(model)
    if not found:
        reasons = "; ".join(sorted({item.rule for item in left_out}))
        raise InputError(
            where, "has no weights to compress", reasons or "give a model with Conv, Gemm or MatMul weights"
        )
    weights, left_out = select_weights(found, left_out, options.layers, options.exclude)
    if not weights:
        raise InputError(
            f"{field_name('layers')} and {field_name('exclude')}", "leave no weight to compress", "select at least one"
        )
    suited = [weight for weight in weights if suits_unit(weight, options.bound)]
    left_out += [weight.left_out(suits_unit.sentence) for weight in weights if weight not in suited]
    check_bound(suited or weights, options.bound, options.scope)
    kept = []
    for weight in suited:
        # Lines leave scales as they are: nothing has to be folded.
        is_folded = weight.is_integer and options.codec.codec != "line"
        divisor = divisor_of(weight, options.bound, options.scope) if is_folded else 1
        obstacle = fold_obstacle(model, weight, divisor) if divisor > 1 else None
        if obstacle is None:
            kept.append(weight)
        else:
            left_out.append(weight.left_out(obstacle))
    if not kept:
        raise InputError(where, "has no weights to compress at this bound", left_out[-1].rule)
    return kept, left_out


def _grid(weight: Weight, options: CompressionOptions) -> GridResult:
    """Return the weight's codes, on segments for ``line``; the original bytes of a float weight for ``raw``."""
    if options.codec.codec == "line":
        return quantise_lines(weight, options.bound, options.scope)
    result = quantise(weight, options.bound, options.scope)
    if options.codec.codec != "raw" or weight.is_integer:
        return result
    return replace(_lossless(result), codes=None, items=items_of(weight.array))


def _lossless(result: GridResult) -> GridResult:
    """Return the grid of float weights that are kept as they are: one without steps and errors."""
    return replace(result, step=None, step_grid=None, step_loss=0.0, error=np.zeros_like(result.error))


def _tensor(result: GridResult) -> CodeTensor | RawTensor:
    if result.codes is not None:
        return CodeTensor(result.weight.name, result.codes, result.weight.layout.kernel)
    assert result.items is not None
    return RawTensor(result.weight.name, result.items)
