"""The first step: select weights, put them on their grid, encode them, write them into the network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import onnx

from dnnzip.codec import CodecOptions, codec_for
from dnnzip.encoding import Encoding, encode_weights
from dnnzip.errors import InputError, field_name
from dnnzip.onnx.compressed import CompressedModel, is_compressed
from dnnzip.onnx.compression import compressed_model
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.rescale import fold_obstacle
from dnnzip.onnx.weights import LeftOut, Weight, find_weights, select_weights, suits_unit
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.tolerance import check_bound, divisor_of
from dnnzip.system.spool import Place, Spool


@dataclass(frozen=True)
class CompressionOptions:
    """Options of a compression.

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
        Result of `plan` for the same model and options.

    Raises
    ------
    InputError
        The model has no weights that can be compressed, a glob matches nothing, the bound does not suit the weights, or
        a given table set cannot express them.
    """
    weights, left_out = planned or plan(model, options, where)
    store: Callable[[bytes], bytes | Place] = _kept if spool is None else spool.add
    encoding = Encoding(options.bound, options.scope, options.codec)
    try:
        tables, encoded = encode_weights(weights, encoding, store, progress, first_pass)
    except ValueError as error:
        if options.codec.table_set is None:
            raise
        raise InputError(field_name("tables"), f"does not suit this model ({error})", "train a set on it") from None
    return Compression(open_compressed(compressed_model(model, weights, encoded, tables), where), tuple(left_out))


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
        # Codes that are chosen within intervals leave scales as they are: nothing has to be folded.
        is_folded = weight.element.is_integer and codec_for(options.codec.codec).fit is None
        divisor = divisor_of(weight, options.bound, options.scope) if is_folded else 1
        obstacle = fold_obstacle(model, weight, divisor) if divisor > 1 else None
        if obstacle is None:
            kept.append(weight)
        else:
            left_out.append(weight.left_out(obstacle))
    if not kept:
        raise InputError(where, "has no weights to compress at this bound", left_out[-1].rule)
    return kept, left_out
