"""dnnzip from Python: arrays and whole networks, compressed within an error bound.

>>> import numpy as np
>>> import dnnzip
>>> weights = np.random.default_rng(0).normal(size=(64, 32, 3, 3)).astype(np.float32)
>>> compressed = dnnzip.compress(weights, max_error="2%")
>>> bool(np.abs(compressed.decode() - weights).max() <= compressed.bound)
True

The names here are those of ``dnnzip`` itself, which loads this module when one of them is first used.
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from dnnzip.codec import CodecOptions
from dnnzip.errors import InputError
from dnnzip.format import WEIGHT_HEADER
from dnnzip.inputs.json_text import parse_json
from dnnzip.onnx.container import (
    CompressedLayer,
    CompressedModel,
    decode_layer,
    decompressed,
    open_compressed,
    read_compressed,
    restore,
)
from dnnzip.onnx.files import check_given, load_model, save_model
from dnnzip.onnx.weights import LeftOut
from dnnzip.presentation.tables import sizes_table
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.layout import kernel_of
from dnnzip.system.temporary import temporary_folder
from dnnzip.usecases import compress as compression
from dnnzip.usecases.summary import Summary, summarise
from dnnzip.usecases.table_file import read_table_set

__all__ = ["Compressed", "CompressedNetwork", "compress", "compress_model", "decompress_model"]

Codec = Literal["auto", "ans", "raw", "line"]
ErrorScope = Literal["tensor", "channel"]

#: An array in an ONNX file: the key of the facts that its weight does not hold, and their version.
ARRAY_KEY = "dnnzip.array"
ARRAY_VERSION = 1
WEIGHT = "array"
DTYPES = tuple(np.dtype(name) for name in ("float32", "float16", "int8", "uint8"))
OPSET, IR_VERSION = 19, 9
DAMAGED = "is damaged: its facts do not suit its weight"


class Compressed:
    """One array, compressed; `compress` and `from_bytes` make it.

    >>> import numpy as np
    >>> import dnnzip
    >>> compressed = dnnzip.compress(np.arange(-8, 8, dtype=np.int8).repeat(100), max_error="0lsb")
    >>> compressed.shape, compressed.dtype, compressed.max_error
    ((1600,), dtype('int8'), 0.0)
    >>> compressed.decode()[:3]
    array([-8, -8, -8], dtype=int8)
    >>> dnnzip.Compressed.from_bytes(compressed.to_bytes()).nbytes == compressed.nbytes
    True
    """

    def __init__(self, compressed: CompressedModel) -> None:
        self._compressed = compressed
        self._layer = _only_layer(compressed)
        self._shape, self._dtype, self._axis, self._zero_point = _facts(compressed, self._layer)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the array: float32, float16, int8 or uint8."""
        return self._dtype

    @property
    def size(self) -> int:
        """Elements of the array."""
        return self._layer.weights

    @property
    def nbytes(self) -> int:
        """Bytes of table set, headers, payload and checksums, and of the steps and zero points that a decoder needs."""
        return len(self._compressed.tables) + len(self._layer.stream) + self._layer.side_bytes

    @property
    def bits_per_weight(self) -> float:
        """Bits of `nbytes` for each element."""
        return 8 * self.nbytes / self.size

    @property
    def ratio(self) -> float:
        """How many times smaller than the array as it was."""
        return self.size * self._dtype.itemsize / self.nbytes

    @property
    def max_error(self) -> float:
        """Largest error made, |w - w'|; of integer arrays in steps."""
        return self._layer.max_error

    @property
    def bound(self) -> float:
        """Largest error tolerated, in the unit of `max_error`; with ``error_scope="channel"`` of any channel."""
        return self._layer.bound

    @property
    def codec(self) -> str:
        """What the stream is coded with: ``ans``, ``raw`` or ``line``."""
        return self._layer.codec

    def decode(self) -> NDArray[np.generic]:
        """Return the array, in its own shape and type; no element is further from the original than its bound.

        Raises
        ------
        InputError
            The stream is damaged.
        """
        values = restore(self._layer, decode_layer(self._compressed, self._layer), self._compressed.where)
        if self._layer.divisor > 1:
            # A step may lead over the end of the type; the original is not beyond it.
            limits = np.iinfo(np.int8 if self._dtype == np.int8 else np.uint8)
            steps = values.astype(np.int32) * self._layer.divisor + self._zero_point
            values = steps.clip(limits.min, limits.max).astype(self._dtype)
        axis = self._axis
        moved = (self._shape[axis], *self._shape[:axis], *self._shape[axis + 1 :])
        return np.ascontiguousarray(np.moveaxis(values.reshape(moved), 0, axis))

    def to_bytes(self) -> bytes:
        """Return the array as an ONNX file of one layer, which `from_bytes` and the command line read."""
        return bytes(self._compressed.model.SerializeToString(deterministic=True))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Compressed":
        """Read what `to_bytes` gave; all counts are checked before memory is taken.

        Raises
        ------
        InputError
            The bytes are no compressed array, of a newer version, or damaged.
        """
        name = "Compressed.from_bytes"
        with temporary_folder() as folder:
            path = folder / "array.dnz.onnx"
            path.write_bytes(data)
            try:
                model = load_model(path)
            except InputError as error:
                raise InputError(name, str(error).removeprefix(f"{path}: ")) from None
        return cls(open_compressed(model, name))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a compressed array is always decoded into a new one")
        return self.decode() if dtype is None else self.decode().astype(dtype)

    def __repr__(self) -> str:
        unit = " lsb" if self._layer.unit is Unit.LSB else ""
        return (
            f"<dnnzip.Compressed {self.dtype}{list(self.shape)} {self.codec}, {self.bits_per_weight:.3f} bits/weight, "
            f"ratio {self.ratio:.2f}, max_error {self.max_error:.4g}{unit} of {self.bound:.4g}{unit}>"
        )


class CompressedNetwork:
    """A whole network, compressed; `compress_model` makes it."""

    def __init__(self, compressed: CompressedModel, left_out: Sequence[LeftOut]) -> None:
        self._compressed = compressed
        self._summary = summarise(compressed, left_out)

    @property
    def model(self) -> onnx.ModelProto:
        """The compressed model: an ONNX model with ``Decompress`` nodes of the domain ``dnnzip``."""
        return self._compressed.model

    @property
    def layers(self) -> tuple[CompressedLayer, ...]:
        """The compressed weights: ``name``, ``shape``, ``codec``, ``max_error``, ``bound`` and so on."""
        return self._compressed.layers

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """The tensors that stay as they are, each with the ``rule`` that leaves it out."""
        return self._summary.left_out

    @property
    def sizes(self) -> Summary:
        """The totals as numbers; ``sizes.as_json()`` is the JSON of ``dnnzip compress``."""
        return self._summary

    @property
    def bits_per_weight(self) -> float:
        """Bits for each compressed weight: streams with headers and checksums, table set, steps and zero points."""
        return self._summary.bits_per_weight

    @property
    def ratio(self) -> float:
        """How many times smaller than 32 bits for each compressed weight."""
        return self._summary.ratio_fp32

    def summary(self) -> str:
        """Return sizes and errors, layer by layer, as a table in Markdown."""
        return sizes_table(self._summary).markdown()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the compressed model whole or not at all.

        Raises
        ------
        InputError
            The path cannot be written.
        """
        save_model(self.model, Path(path))

    def decompress(self) -> onnx.ModelProto:
        """Return the plain network with the decoded weights, for any runtime."""
        return decompressed(self._compressed)

    def __repr__(self) -> str:
        return (
            f"<dnnzip.CompressedNetwork {len(self.layers)} layers, {self._summary.weights:,} weights, "
            f"{self.bits_per_weight:.3f} bits/weight, ratio {self.ratio:.2f}, {len(self.left_out)} left out>"
        )


def compress(
    array: ArrayLike,
    max_error: str | float,
    *,
    error_scope: ErrorScope = "tensor",
    codec: Codec = "auto",
    axis: int = 0,
    zero_point: int = 0,
    states: Literal[256, 512, 1024] = 512,
    virtual_lanes: int | None = None,
    groups: int = 1,
    jobs: int = 1,
) -> Compressed:
    """Compress an array within an error bound that holds exactly, for every element, in its own type.

    Parameters
    ----------
    array
        float32, float16, int8 or uint8, of any shape with at least one dimension and one element.
    max_error
        ``"2%"``, a share of the range (largest minus smallest element); ``"0.003"`` or a number, absolute, for float
        arrays; ``"1lsb"``, steps, for integer ones, of which ``"0lsb"`` loses nothing.
    error_scope
        Over which elements the range of a share is taken: the ``tensor`` or each output ``channel``. The channels of an
        integer array share one bound, the smallest.
    codec
        ``ans``, ``raw``, ``auto`` for the smaller one; or ``line``, a baseline to compare with. ``raw`` keeps floats as
        they are.
    axis
        Axis of the output channels; of 4 dimensions, the last two behind it are a kernel's height and width. An array
        of one dimension is one channel.
    zero_point
        What an integer array stores a zero as; weights spread around it, so a right one saves bits.
    states
        States of the entropy coder: 256, 512 or 1024.
    virtual_lanes
        Chains of the entropy coder that a decoder can run side by side: 1, 2, 4, 8 or 16; by default as many as the
        size carries.
    groups
        Streams into which the array is split.
    jobs
        Threads.

    Raises
    ------
    InputError
        NaN or infinite elements, another type or shape, a bound that does not suit the type or is over the range, or
        an option out of its range.
    TypeError
        ``max_error`` is neither text nor a number.

    Examples
    --------
    >>> import numpy as np
    >>> import dnnzip
    >>> weights = np.linspace(-1, 1, 1200, dtype=np.float32).reshape(30, 40)
    >>> compressed = dnnzip.compress(weights, max_error=0.01)
    >>> compressed.decode().dtype, compressed.decode().shape
    (dtype('float32'), (30, 40))
    >>> compressed.max_error <= compressed.bound == 0.01
    True
    >>> dnnzip.compress(weights, max_error="1lsb")
    Traceback (most recent call last):
        ...
    dnnzip.errors.InputError: max_error '1lsb': layer 'array' has float32 weights; lsb is for integer weights; give a \
percentage or an absolute error
    """
    values = np.asarray(array)
    options = _options(
        max_error,
        error_scope,
        CodecOptions(codec, _log2_states(states), virtual_lanes, groups, None, jobs),
    )
    model = _array_model(values, axis, zero_point, options.scope)
    return Compressed(compression.compress(model, options, WEIGHT).compressed)


def compress_model(
    model: onnx.ModelProto | str | os.PathLike[str],
    max_error: str | float,
    *,
    error_scope: ErrorScope = "tensor",
    codec: Codec = "auto",
    layers: Sequence[str] = (),
    exclude: Sequence[str] = (),
    tables: str | os.PathLike[str] | None = None,
    states: Literal[256, 512, 1024] = 512,
    virtual_lanes: int | None = None,
    groups: int = 1,
    jobs: int = 1,
    progress: Callable[[str], None] | None = None,
) -> CompressedNetwork:
    """Compress the weights of a network within an error bound; what ``dnnzip compress`` does.

    Parameters
    ----------
    model
        An ONNX model, which is left as it is, or the path of its file.
    max_error, error_scope, codec, states, virtual_lanes, groups, jobs
        As in `compress`.
    layers, exclude
        Globs on the names of the weights to compress and not to compress.
    tables
        The file of a table set to code with, in the place of one trained on this network.
    progress
        Called with each weight's name as it is encoded.

    Raises
    ------
    InputError
        The file cannot be read, the network has no weights that can be compressed, a glob matches nothing, or an option
        does not suit.
    TypeError
        ``max_error`` is neither text nor a number.
    """
    log2_states = _log2_states(states)
    known = None if tables is None else read_table_set(os.fspath(tables), log2_states)
    options = _options(
        max_error,
        error_scope,
        CodecOptions(codec, log2_states, virtual_lanes, groups, known, jobs),
        tuple(layers),
        tuple(exclude),
    )
    if isinstance(model, onnx.ModelProto):
        check_given(model, "model")
        # Its Constant nodes become initializers, and the caller's model stays as it is.
        network, where = onnx.ModelProto(), "model"
        network.CopyFrom(model)
    else:
        network, where = load_model(Path(model)), str(model)
    done = compression.compress(network, options, where, progress)
    return CompressedNetwork(done.compressed, done.left_out)


def decompress_model(model: onnx.ModelProto | str | os.PathLike[str]) -> onnx.ModelProto:
    """Return the plain network that a compressed one stands for; what ``dnnzip decompress`` does.

    Parameters
    ----------
    model
        A compressed model, or the path of its file.

    Raises
    ------
    InputError
        It cannot be read, is not compressed, of a newer version, or damaged.
    """
    if isinstance(model, onnx.ModelProto):
        check_given(model, "model")
        return decompressed(open_compressed(model, "model"))
    return decompressed(read_compressed(Path(model)))


def _options(
    max_error: str | float,
    error_scope: str,
    codec: CodecOptions,
    layers: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
) -> compression.CompressionOptions:
    if isinstance(max_error, bool) or not isinstance(max_error, (str, int, float, np.number)):
        raise TypeError(f"max_error must be text such as '2%' or a number, not {type(max_error).__name__}")
    bound = Bound.parse(max_error if isinstance(max_error, str) else repr(float(max_error)))
    for name, value, known in (
        ("error_scope", error_scope, tuple(Scope)),
        ("codec", codec.codec, ("auto", "ans", "raw", "line")),
        ("virtual_lanes", codec.virtual_lanes, (None, 1, 2, 4, 8, 16)),
    ):
        if value not in known:
            raise InputError(name, f"is {value!r}", "give " + ", ".join(repr(item) for item in map(_plain, known)))
    for name, number in (("groups", codec.groups), ("jobs", codec.jobs)):
        if number < 1:
            raise InputError(name, f"is {number}", "give 1 or more")
    return compression.CompressionOptions(bound, Scope(error_scope), layers, exclude, codec)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Scope) else value


def _log2_states(states: int) -> int:
    if states not in (256, 512, 1024):
        raise InputError("states", f"is {states!r}", "give 256, 512 or 1024")
    return states.bit_length() - 1


def _array_model(array: NDArray[Any], axis: int, zero_point: int, scope: Scope) -> onnx.ModelProto:
    """Return a network of one operator that reads the array as its weight, the channels on its first axis."""
    if array.dtype.newbyteorder("=") not in DTYPES:
        raise InputError(WEIGHT, f"is of type {array.dtype}", "give float32, float16, int8 or uint8")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not array.ndim or not array.size:
        raise InputError(
            WEIGHT, f"has the shape {array.shape}", "give at least one dimension and one element, and keep others whole"
        )
    if not -array.ndim <= axis < array.ndim:
        raise InputError("axis", f"is {axis}, and the array has {array.ndim} dimensions", "name one of them")
    is_integer = array.dtype.kind in "iu"
    if not is_integer and not np.isfinite(array).all():
        raise InputError(WEIGHT, "has NaN or infinite elements", "replace them")
    limits = np.iinfo(array.dtype) if is_integer else None
    if zero_point and (limits is None or not limits.min <= zero_point <= limits.max):
        raise InputError("zero_point", f"is {zero_point}", f"it must be a value of {array.dtype}, and 0 for floats")
    # One dimension is one channel; a size of 1 is put before it.
    shape, axis = array.shape, axis % array.ndim
    channels = np.moveaxis(array, axis, 0) if array.ndim > 1 else array[None]
    weight = channels.reshape(_weight_shape(channels.shape, scope))
    tensors = [numpy_helper.from_array(np.ascontiguousarray(weight), WEIGHT)]
    nodes, name = [], WEIGHT
    if is_integer:
        tensors += [
            numpy_helper.from_array(np.ones((), np.float32), "scale"),
            numpy_helper.from_array(np.array(zero_point, array.dtype), "zero_point"),
        ]
        nodes, name = [helper.make_node("DequantizeLinear", [WEIGHT, "scale", "zero_point"], ["weight"])], "weight"
    is_kernel = weight.ndim == 4
    nodes.append(helper.make_node("Conv", ["x", name], ["y"]) if is_kernel else _gemm(name))
    element = TensorProto.FLOAT16 if array.dtype == np.float16 else TensorProto.FLOAT
    inside = [1, weight.shape[1], *weight.shape[2:]]
    graph = helper.make_graph(
        nodes,
        WEIGHT,
        [helper.make_tensor_value_info("x", element, inside)],
        [helper.make_tensor_value_info("y", element, [1, weight.shape[0], *([1] * (weight.ndim - 2))])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    facts = {
        "version": ARRAY_VERSION,
        "dtype": array.dtype.name,
        "shape": list(shape),
        "axis": axis,
        "zero_point": int(zero_point),
    }
    helper.set_model_props(model, {ARRAY_KEY: json.dumps(facts)})
    return model


def _gemm(weight: str) -> onnx.NodeProto:
    return helper.make_node("Gemm", ["x", weight], ["y"], transB=1)


def _weight_shape(shape: tuple[int, ...], scope: Scope) -> tuple[int, ...]:
    """Return the shape in which an array, channels first, is a weight: with a kernel, or [channels, length]."""
    length, longest = math.prod(shape[1:]), WEIGHT_HEADER["length"].limit
    if length <= longest:
        return shape if len(shape) == 4 and kernel_of(shape[2:]) != (1, 1) else (shape[0], length)
    if scope is Scope.CHANNEL and shape[0] > 1:
        raise InputError(WEIGHT, f"has {length} elements in a channel", f"give at most {longest}, or scope 'tensor'")
    # Where channels decide on nothing but the coder's rows, each may be several.
    pieces = next(count for count in range(-(-length // longest), length + 1) if length % count == 0)
    return (shape[0] * pieces, length // pieces)


def _only_layer(compressed: CompressedModel) -> CompressedLayer:
    if len(compressed.layers) != 1:
        right = "open a network with dnnzip.decompress_model"
        raise InputError(compressed.where, f"is no compressed array: it has {len(compressed.layers)} layers", right)
    return compressed.layers[0]


def _facts(
    compressed: CompressedModel, layer: CompressedLayer
) -> tuple[tuple[int, ...], np.dtype[np.generic], int, int]:
    """Return shape, type, axis and zero point of the array that a compressed model holds, checked."""
    where = compressed.where
    texts = [entry.value for entry in compressed.model.metadata_props if entry.key == ARRAY_KEY]
    if not texts:
        raise InputError(where, "is no compressed array", "open a network with dnnzip.decompress_model")
    try:
        (text,) = texts
        facts = parse_json(text)
        version = facts["version"]
        shape, dtype = tuple(facts["shape"]), str(facts["dtype"])
        axis, zero_point = facts["axis"], facts["zero_point"]
        numbers = [version, *shape, axis, zero_point]
        is_sound = all(type(number) is int for number in numbers)
    except (ValueError, TypeError, KeyError):
        raise InputError(where, DAMAGED) from None
    if is_sound and version > ARRAY_VERSION:
        raise InputError(where, f"is of version {version} of arrays, and {ARRAY_VERSION} is known", "update dnnzip")
    known = {str(item): item for item in DTYPES}
    if (
        not is_sound
        or not shape
        or len(shape) > 64
        or min(shape) < 1
        or math.prod(shape) != layer.weights
        or not 0 <= axis < len(shape)
        or dtype not in known
        or (known[dtype] != layer.dtype and not (layer.divisor > 1 and known[dtype].kind in "iu"))
        or layer.layout.axis != 0
        or abs(zero_point) > 255
    ):
        raise InputError(where, DAMAGED)
    return shape, known[dtype], axis, zero_point
