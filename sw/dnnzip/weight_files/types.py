"""Types of tensors in safetensors files, and the NumPy types that they are."""

from dataclasses import dataclass

import ml_dtypes
import numpy as np


@dataclass(frozen=True)
class StoredType:
    """A type of a safetensors file."""

    name: str  # the name in the file's header
    bits: int  # bits of a value
    dtype: np.dtype[np.generic] | None  # its NumPy type; None where values share bytes, which NumPy has no type for


def _of(name: str, dtype: object) -> StoredType:
    known: np.dtype[np.generic] = np.dtype(dtype)  # type: ignore[call-overload]  # the types of ml_dtypes are none of NumPy's stubs
    return StoredType(name, 8 * known.itemsize, known)


#: All types, in the order in which a safetensors file sorts its tensors from the last type to the first.
STORED_TYPES = (
    _of("BOOL", np.bool_),
    StoredType("F4", 4, None),
    StoredType("F6_E2M3", 6, None),
    StoredType("F6_E3M2", 6, None),
    _of("U8", np.uint8),
    _of("I8", np.int8),
    _of("F8_E5M2", ml_dtypes.float8_e5m2),
    _of("F8_E4M3", ml_dtypes.float8_e4m3fn),
    _of("F8_E8M0", ml_dtypes.float8_e8m0fnu),
    _of("F8_E4M3FNUZ", ml_dtypes.float8_e4m3fnuz),
    _of("F8_E5M2FNUZ", ml_dtypes.float8_e5m2fnuz),
    _of("I16", np.int16),
    _of("U16", np.uint16),
    _of("F16", np.float16),
    _of("BF16", ml_dtypes.bfloat16),
    _of("I32", np.int32),
    _of("U32", np.uint32),
    _of("F32", np.float32),
    _of("C64", np.complex64),
    _of("F64", np.float64),
    _of("I64", np.int64),
    _of("U64", np.uint64),
)

#: Place of a type in that order, by its name.
ORDER = {item.name: place for place, item in enumerate(STORED_TYPES)}


def type_of_dtype(dtype: np.dtype[np.generic]) -> StoredType | None:
    """Return the type of a safetensors file that a NumPy type is, in any byte order; None where it is none."""
    native = dtype.newbyteorder("=")
    # To NumPy, None is float64.
    return next((item for item in STORED_TYPES if item.dtype is not None and item.dtype == native), None)
