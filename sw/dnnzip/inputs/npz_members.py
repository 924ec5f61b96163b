"""Arrays in an ``.npz`` file, checked before they are read: nothing is unpickled, and no size is taken on trust."""

import math
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

#: Versions of an array's header that numbers need, and who reads them.
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

#: Errors of the standard library and NumPy for a file that is damaged; encrypted, unknown or too deep
#: is a RuntimeError.
FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    RuntimeError,
    OverflowError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class MemberHeader:
    """Header of an array in an archive."""

    # Those of the array.
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    is_fortran: bool  # true if the first index runs fastest
    size: int  # bytes of the header


def read_member_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> MemberHeader:
    """Read the header of an array, and compare the bytes that the member declares with its shape.

    Raises
    ------
    ValueError
        They differ, or it is no array in the form that NumPy writes, or it holds Python objects.
    """
    name = member.filename
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is not compressed as NumPy does")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{name} is of version {version}")
        try:
            shape, is_fortran, dtype = HEADERS[version](file)
        except MemoryError:
            # Python's parser says so of an expression in too many brackets.
            raise ValueError(f"the header of {name} is nested too deeply") from None
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects")
        size = file.tell()
    needed = size + math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or needed != member.file_size:
        raise ValueError(f"{name} has {member.file_size} bytes, and its shape needs {needed}")
    return MemberHeader(shape, dtype, is_fortran, size)


def fault_text(error: BaseException) -> str:
    """Return the first line of an error, or its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:80]
