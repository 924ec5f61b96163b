"""Arrays to compressed bytes and back, within an error bound that holds exactly.

>>> import numpy as np
>>> import dnnzip
>>> weights = np.random.default_rng(0).normal(size=(64, 32, 3, 3)).astype(np.float32)
>>> compressed = dnnzip.compress(weights, max_error="2%")
>>> bool(np.abs(compressed.decode() - weights).max() <= compressed.bound)
True
"""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from dnnzip.codec import CodecOptions
from dnnzip.encoding import (
    UPDATE,
    Encoded,
    Reading,
    check_counts,
    decode_codes,
    encode_weights,
    encoding_of,
    log2_states,
    restore_weights,
)
from dnnzip.errors import InputError
from dnnzip.format import AUTO, CODECS, MAX_LENGTH, WeightStream, array_file
from dnnzip.quantize.bound import Scope, Unit
from dnnzip.quantize.element_type import element_type, type_names
from dnnzip.quantize.layout import Layout, kernel_of
from dnnzip.quantize.tolerance import check_bound
from dnnzip.quantize.weights import ArrayWeights
from dnnzip.tensor_file import Form, form_of, grid_of, header_of

__all__ = ["Compressed", "compress"]

ErrorScope = Literal["tensor", "channel"]

NAME = "array"
AGAIN = "compress the array again"

#: The key of an array in an ONNX file, as dnnzip wrote it before array files had a format of their own.
OLD_KEY = b"dnnzip.array"


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

    def __init__(self, form: Form, encoded: Encoded[bytes], tables: bytes, where: str = NAME) -> None:
        self._form = form
        self._encoded = encoded
        self._tables = tables
        self._reading = Reading(where, AGAIN)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self._form.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the array."""
        return self._encoded.grid.element.dtype

    @property
    def size(self) -> int:
        """Elements of the array."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of table set, headers, payload and checksums, and of the steps and zero points that a decoder needs."""
        return len(self._tables) + len(self._encoded.stream) + self._encoded.grid.side_bytes

    @property
    def bits_per_weight(self) -> float:
        """Bits of `nbytes` for each element."""
        return 8 * self.nbytes / self.size

    @property
    def ratio(self) -> float:
        """Ratio of the array's size to the compressed size."""
        return self.size * self.dtype.itemsize / self.nbytes

    @property
    def max_error(self) -> float:
        """Largest error made, |w - w'|; of integer arrays in steps."""
        return self._encoded.grid.max_error

    @property
    def bound(self) -> float:
        """Largest error tolerated, in the unit of `max_error`; with ``error_scope="channel"`` of any channel."""
        return self._encoded.grid.max_bound

    @property
    def codec(self) -> str:
        """Codec of the stream: ``ans``, ``raw`` or ``line``."""
        return self._encoded.codec

    def decode(self) -> NDArray[np.generic]:
        """Return the array, in its own shape and type; no element is further from the original than its bound.

        Raises
        ------
        InputError
            The stream is damaged.
        """
        grid, layout = self._encoded.grid, self._form.layout
        values = math.prod(grid.code_shape(layout))
        codes = decode_codes(self._encoded.stream, self._tables, values, self._reading)
        return self._form.array_of(restore_weights(codes, grid, layout, self._reading))

    def to_bytes(self) -> bytes:
        """Return the array file, which says all that decoding needs; `from_bytes` reads it."""
        return array_file.pack(header_of(self._form, self._encoded), self._tables, self._encoded.stream)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Compressed":
        """Read an array file, the bytes of `to_bytes`; all counts are checked before memory is taken.

        Raises
        ------
        InputError
            The bytes are no array file, of a newer version, or damaged.
        """
        reading, data = Reading("Compressed.from_bytes", AGAIN), bytes(data)
        try:
            header, tables, stream = array_file.unpack(data)
        except array_file.NoArrayFileError as error:
            if OLD_KEY in data:
                wrong = "is an array of an older dnnzip, an ONNX model"
                raise InputError(reading.where, wrong, f"{AGAIN}, or read it with the dnnzip that wrote it") from None
            right = "give the bytes of to_bytes; open a network with dnnzip.decompress_model"
            raise InputError(reading.where, str(error) if data else "is empty", right) from None
        except array_file.NewerVersionError as error:
            raise InputError(reading.where, str(error), UPDATE) from None
        except array_file.ArrayFileError as error:
            raise InputError(reading.where, str(error), AGAIN) from None
        form = form_of(header, reading)
        try:
            grid = grid_of(header)
        except ValueError as error:
            raise reading.damaged(str(error)) from None
        fault = grid.errors_fault() or grid.fault(form.layout)
        if fault:
            raise reading.damaged(fault)
        check_counts(stream, grid, form.layout, reading)
        if CODECS[WeightStream.from_bytes(stream).header.codec].name != header.codec:
            raise reading.damaged(f"its stream is not coded with {header.codec!r}")
        return cls(form, Encoded(grid, stream, header.codec), tables, reading.where)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a compressed array is always decoded into a new one")
        return self.decode() if dtype is None else self.decode().astype(dtype)

    def __repr__(self) -> str:
        unit = " lsb" if self._encoded.grid.unit is Unit.LSB else ""
        return (
            f"<dnnzip.Compressed {self.dtype}{list(self.shape)} {self.codec}, {self.bits_per_weight:.3f} bits/weight, "
            f"ratio {self.ratio:.2f}, max_error {self.max_error:.4g}{unit} of {self.bound:.4g}{unit}>"
        )


def compress(
    array: ArrayLike,
    max_error: str | float,
    *,
    error_scope: ErrorScope = "tensor",
    codec: str = AUTO,
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
        Any type of `dnnzip.quantize.element_type.ELEMENT_TYPES`, those of ml_dtypes included (bfloat16, float8 and int4
        among them), of any shape with at least one dimension and one element.
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
        Value that an integer array stores for zero; weights spread around it, so a right one saves bits.
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
    options = CodecOptions(codec, log2_states(states), virtual_lanes, groups, jobs=jobs)
    encoding = encoding_of(max_error, error_scope, options)
    form, weights = _weights(values, axis, zero_point, encoding.scope)
    check_bound([weights], encoding.bound, encoding.scope)
    tables, (encoded,) = encode_weights([weights], encoding, bytes)
    return Compressed(form, encoded, tables)


def _weights(array: NDArray[Any], axis: int, zero_point: int, scope: Scope) -> tuple[Form, ArrayWeights]:
    """Return an array as weights, the channels first, after it has been checked."""
    element = element_type(array.dtype)
    if element is None:
        raise InputError(NAME, f"is of type {array.dtype}", f"give {type_names()}")
    if not array.ndim or not array.size:
        raise InputError(
            NAME, f"has the shape {array.shape}", "give at least one dimension and one element, and keep others whole"
        )
    if not -array.ndim <= axis < array.ndim:
        raise InputError("axis", f"is {axis}, and the array has {array.ndim} dimensions", "name one of them")
    array = array.astype(element.dtype, copy=False)
    if not element.is_integer and not np.isfinite(array).all():
        raise InputError(NAME, "has NaN or infinite elements", "replace them")
    if zero_point and not (element.is_integer and element.lowest <= zero_point <= element.largest):
        raise InputError("zero_point", f"is {zero_point}", f"it must be a value of {element.name}, and 0 for floats")
    axis %= array.ndim
    # One dimension is one channel.
    channels = np.moveaxis(array, axis, 0) if array.ndim > 1 else array[None]
    rows = _rows(channels.shape, scope)
    kernel = kernel_of(channels.shape[2:]) if channels.ndim == 4 and rows == len(channels) else (1, 1)
    form = Form(array.shape, axis, rows)
    layout = Layout(form.layout.shape, 0, kernel=kernel)
    point = np.array(zero_point, element.dtype) if element.is_integer else None
    return form, ArrayWeights(NAME, np.ascontiguousarray(channels).reshape(layout.shape), layout, point)


def _rows(shape: tuple[int, ...], scope: Scope) -> int:
    """Return the number of rows in which an array, channels first, is coded: its channels, or pieces of them."""
    length, longest = math.prod(shape[1:]), MAX_LENGTH
    if length <= longest:
        return shape[0]
    if scope is Scope.CHANNEL and shape[0] > 1:
        raise InputError(NAME, f"has {length} elements in a channel", f"give at most {longest}, or scope 'tensor'")
    # Where channels decide on nothing but the coder's rows, each may be several.
    return shape[0] * next(count for count in range(-(-length // longest), length + 1) if length % count == 0)
