"""Bytes of an array, by the type and the shape of its tensor, and elements that share bytes."""

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

#: Bits of an element of the types whose elements share bytes.
PACKED_BITS = {
    getattr(TensorProto, name): bits
    for bits, names in (
        (2, ("INT2", "UINT2")),
        (4, ("INT4", "UINT4", "FLOAT4E2M1")),
        (6, ("FLOAT6E2M3", "FLOAT6E3M2")),
    )
    for name in names
    if hasattr(TensorProto, name)
}

#: Types whose elements have no size.
UNSIZED = ("UNDEFINED", "STRING")


def packed(patterns: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Put elements of 2 or 4 bits into bytes, the first one lowest, as ONNX and its MatMulNBits have them.

    Parameters
    ----------
    patterns
        uint8 [n], each below 2^bits; the last byte is filled up with zeros.
    """
    in_byte = 8 // bits
    padded = np.zeros(-(-patterns.size // in_byte) * in_byte, np.uint8)
    padded[: patterns.size] = patterns.reshape(-1)
    result = padded[::in_byte].copy()
    for place in range(1, in_byte):
        result |= padded[place::in_byte] << np.uint8(place * bits)
    return result


def unpacked(content: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """Return the first elements of 2 or 4 bits that are in bytes, uint8 [count]; the bytes hold as many."""
    in_byte, mask = 8 // bits, np.uint8((1 << bits) - 1)
    result = np.empty(content.size * in_byte, np.uint8)
    for place in range(in_byte):
        result[place::in_byte] = content.reshape(-1) >> np.uint8(place * bits) & mask
    return result[:count]


def bytes_of(tensor: onnx.TensorProto) -> int | None:
    """Return the bytes that an array of the tensor's type and shape takes; None for a type without a size.

    For a shape with a dimension below zero it is a size that no file has.
    """
    if any(size < 0 for size in tensor.dims):
        return -1
    count = math.prod(int(size) for size in tensor.dims)
    if tensor.data_type in PACKED_BITS:
        return -(-count * int(PACKED_BITS[tensor.data_type]) // 8)
    size = element_bytes(tensor)
    return None if size is None else count * size


def element_bytes(tensor: onnx.TensorProto) -> int | None:
    """Return the bytes of an element of the tensor's type; None for a type without a size, or less than a byte."""
    known = TensorProto.DataType.values()
    if tensor.data_type not in known or TensorProto.DataType.Name(tensor.data_type) in UNSIZED:
        return None
    if tensor.data_type in PACKED_BITS:
        return None
    return int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
