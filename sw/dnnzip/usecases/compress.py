"""The first step: select weights, put them on their grid, encode them, write them into the network."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx

from dnnzip.codec import codec_for
from dnnzip.encoding import Encoding, encode_weights
from dnnzip.errors import InputError, field_name
from dnnzip.onnx.compressed import CompressedModel, is_compressed
from dnnzip.onnx.compression import compressed_model
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.rescale import Fold, fold_obstacle, has_scale_that_fits
from dnnzip.onnx.rules import Rule
from dnnzip.onnx.weights import LeftOut, Weight, find_weights, select_weights, suits_unit
from dnnzip.quantize.energy import Loss
from dnnzip.quantize.tolerance import check_bound, divisor_of, own_bound
from dnnzip.system.spool import Place, Spool
from dnnzip.usecases.table_file import read_table_set


@dataclass(frozen=True)
class CompressionOptions(Encoding):
    """Options of a compression: an encoding, and the weights that get it."""

    # Globs on the names of the weights to compress and not to compress.
    layers: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def options_of(
    encoding: Encoding,
    layers: Sequence[str] = (),
    exclude: Sequence[str] = (),
    tables: str | os.PathLike[str] | None = None,
) -> CompressionOptions:
    """Return the options of a compression.

    Parameters
    ----------
    encoding
        See `dnnzip.encoding.encoding_of`.
    layers, exclude
        Globs on the names of the weights to compress and not to compress.
    tables
        The file of a table set to code with.

    Raises
    ------
    InputError
        The file cannot be read, or its set has another number of states.
    """
    codec = encoding.codec
    if tables is not None:
        codec = replace(codec, table_set=read_table_set(os.fspath(tables), codec.log2_states))
    return CompressionOptions(encoding.bound, encoding.scope, codec, tuple(layers), tuple(exclude))


@dataclass(frozen=True, eq=False)
class Compression:
    """A compressed network."""

    # The compressed model, read back as a file would be; in memory, or with its streams in a spool.
    compressed: CompressedModel
    left_out: tuple[LeftOut, ...]  # the weights that are not compressed, and the rule that left each out
    losses: Mapping[str, Loss]  # what each compressed weight lost, by name


@dataclass(frozen=True, eq=False)
class Plan:
    """A compression whose every option has been checked; `plan` makes it."""

    # See `compress`.
    model: onnx.ModelProto
    options: CompressionOptions
    where: str
    # The weights to compress, and those that stay as they are.
    weights: Sequence[Weight]
    left_out: Sequence[LeftOut]

    def encode(
        self,
        progress: Callable[[str], None] | None = None,
        first_pass: Callable[[str], None] | None = None,
        spool: Spool | None = None,
    ) -> Compression:
        """Compress the weights, tensor by tensor: a first pass for the table set, a second one to encode.

        Parameters
        ----------
        progress
            Called with a weight's name as it is encoded.
        first_pass
            Called with a weight's name when it has been put on its grid first.
        spool
            Takes the streams, and must stay open as long as the result is used; without one they are kept in memory.

        Raises
        ------
        InputError
            A given table set cannot express the weights.
        """
        store: Callable[[bytes], bytes | Place] = (lambda stream: stream) if spool is None else spool.add
        try:
            tables, encoded = encode_weights(self.weights, self.options, store, progress, first_pass)
        except ValueError as error:
            if self.options.codec.table_set is None:
                raise
            wrong = f"does not suit this model ({error})"
            raise InputError(field_name("tables"), wrong, "train a set on it") from None
        model = compressed_model(self.model, self.weights, encoded, tables)
        losses = {
            weight.name: item.loss for weight, item in zip(self.weights, encoded, strict=True) if item.loss is not None
        }
        return Compression(open_compressed(model, self.where), tuple(self.left_out), losses)


def compress(
    model: onnx.ModelProto,
    options: CompressionOptions,
    where: str = "model",
    progress: Callable[[str], None] | None = None,
) -> Compression:
    """Compress a network's weights; see `plan` and `Plan.encode`.

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

    Raises
    ------
    InputError
        The model has no weights that can be compressed, a glob matches nothing, the bound does not suit the weights, or
        a given table set cannot express them.
    """
    return plan(model, options, where).encode(progress)


def plan(model: onnx.ModelProto, options: CompressionOptions, where: str) -> Plan:
    """Check every option of a compression against the network.

    Raises
    ------
    InputError
        See `compress`.
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
    suited = [weight for weight in weights if suits_unit.is_met(weight, options.bound)]
    left_out += [weight.left_out(suits_unit.sentence) for weight in weights if weight not in suited]
    check_bound(suited or weights, options.bound, options.scope)
    kept = []
    for weight in suited:
        obstacle = _obstacle(model, weight, options)
        if obstacle is has_scale_that_fits:
            left_out.append(weight.left_out(obstacle.sentence))
        else:
            # Where no scale can hold the divisor, weights stay in their own steps.
            kept.append(replace(weight, has_own_scale=weight.element.is_integer and obstacle is None))
    if not kept:
        raise InputError(where, "has no weights to compress at this bound", left_out[-1].rule)
    return Plan(model, options, where, kept, left_out)


def _obstacle(model: onnx.ModelProto, weight: Weight, options: CompressionOptions) -> Rule[[Fold]] | None:
    """Return the rule by which the divisor of integer weights cannot be folded into the network's scales."""
    # Codes that are chosen within intervals leave scales as they are: nothing has to be folded.
    if not weight.element.is_integer or codec_for(options.codec.codec).fit is not None:
        return None
    divisor = divisor_of(weight, own_bound(weight, options.bound), options.scope)
    return fold_obstacle(model, weight, divisor) if divisor > 1 else None
