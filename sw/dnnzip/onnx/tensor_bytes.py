"""Bytes of an array, by the type and the shape of its tensor."""

import math

import onnx
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
