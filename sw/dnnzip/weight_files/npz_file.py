"""NumPy's archives of arrays, ``.npz``: read array by array without unpickling anything, and written so."""

import json
import struct
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from dnnzip.errors import InputError
from dnnzip.inputs.json_text import parse_json
from dnnzip.inputs.npz_members import FAULTS, MemberHeader, fault_text, read_member_header
from dnnzip.inputs.reading import open_regular
from dnnzip.system.spool import CHUNK, Place
from dnnzip.weight_files.entry import Content, Entry, Held, little_bytes

RIGHT = "give an .npz file of arrays of numbers"

#: Array that holds the texts of a file's metadata, as JSON in UTF-8, where there are any.
METADATA = "__metadata__"

SUFFIX = ".npy"

#: Largest JSON of texts.
LARGEST_METADATA = 1 << 26

#: Fixed part of a member's own header in an archive; its last two fields are the lengths of name and extra field.
LOCAL_HEADER = struct.Struct("<26xHH")


@dataclass(frozen=True, eq=False)
class Member:
    """Values of an array in an archive; its checksum is compared as they are read."""

    path: Path  # the archive
    info: zipfile.ZipInfo  # the member
    header: MemberHeader  # its header

    @property
    def length(self) -> int:
        """Number of bytes."""
        return self.info.file_size - self.header.size

    def chunks(self) -> Iterator[bytes]:
        """Visit the values in pieces, in C order and little-endian."""
        try:
            with (
                open_regular(self.path, RIGHT) as file,
                zipfile.ZipFile(file) as archive,
                archive.open(self.info) as raw,
            ):
                stored = cast(BinaryIO, raw)
                if self._is_plain:
                    stored.seek(self.header.size)
                    while chunk := stored.read(CHUNK):
                        yield chunk
                else:
                    array = np.lib.format.read_array(stored, allow_pickle=False)
                    stored.read()  # behind the last byte the checksum is compared
                    yield little_bytes(array)
        except FAULTS as error:
            raise _damaged(self.path, error) from None

    @property
    def _is_plain(self) -> bool:
        is_little = self.header.dtype == self.header.dtype.newbyteorder("<")
        return is_little and (not self.header.is_fortran or len(self.header.shape) < 2)

    def place(self) -> Content:
        """Return the place of values that are stored as they are, and the values themselves otherwise."""
        if not self._is_plain or self.info.compress_type != zipfile.ZIP_STORED or self.info.flag_bits & 1:
            return self
        with open_regular(self.path, RIGHT) as file:
            file.seek(self.info.header_offset)
            lengths = LOCAL_HEADER.unpack(file.read(LOCAL_HEADER.size))
        start = self.info.header_offset + LOCAL_HEADER.size + sum(lengths) + self.header.size
        return Place(self.path, start, self.length)


def read_npz(path: Path) -> tuple[list[Entry], dict[str, str]]:
    """Read the headers of an archive's arrays.

    Returns
    -------
    The arrays in the archive's order, and its texts.

    Raises
    ------
    InputError
        The file cannot be read or is damaged, an array holds Python objects, or two have one name.
    """
    path = path.absolute()
    try:
        with open_regular(path, RIGHT) as file, warnings.catch_warnings():
            # NumPy warns of files that Python 2 wrote, which are as good as others.
            warnings.simplefilter("ignore", UserWarning)
            if not zipfile.is_zipfile(file):
                raise InputError(str(path), "is no .npz file", RIGHT)
            with zipfile.ZipFile(file) as archive:
                entries = [_entry(path, archive, member) for member in archive.infolist()]
        return _without_metadata(path, entries)
    except FAULTS as error:
        raise _damaged(path, error) from None


def _entry(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Entry:
    if not member.filename.endswith(SUFFIX):
        raise ValueError(f"{member.filename!r} in it is no array")
    header = read_member_header(archive, member)
    dtype = header.dtype.newbyteorder("=")
    name = member.filename.removesuffix(SUFFIX)
    return Entry(name, str(dtype), dtype, header.shape, Member(path, member, header))


def _without_metadata(path: Path, entries: list[Entry]) -> tuple[list[Entry], dict[str, str]]:
    """Return arrays and texts apart, after their names have been compared."""
    names = [entry.name for entry in entries]
    twice = [name for name in names if names.count(name) > 1] if len(set(names)) < len(names) else []
    if twice:
        raise InputError(str(path), f"has two arrays {twice[0]!r}", RIGHT)
    found = next((entry for entry in entries if entry.name == METADATA), None)
    if found is None or found.dtype != np.uint8 or len(found.shape) != 1 or found.size > LARGEST_METADATA:
        return entries, {}
    texts = parse_json(b"".join(found.content.chunks()))
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(f"{METADATA} holds no texts")
    return [entry for entry in entries if entry is not found], texts


def _damaged(path: Path, error: BaseException) -> InputError:
    return InputError(str(path), f"is no .npz file of numbers, or is damaged ({fault_text(error)})", RIGHT)


def write_npz(entries: Sequence[Entry], metadata: Mapping[str, str], file: BinaryIO, where: str) -> None:
    """Write an archive of arrays, array by array, uncompressed.

    Parameters
    ----------
    entries
        The arrays.
    metadata
        Texts by name, kept in an array of their own.
    file
        Open for bytes.
    where
        Name of the file in messages.

    Raises
    ------
    InputError
        An array is of a type that NumPy does not write, has a name that is taken, or cannot be read.
    """
    if metadata:
        text = json.dumps(dict(metadata)).encode()
        if any(entry.name == METADATA for entry in entries):
            raise InputError(where, f"cannot hold an array named {METADATA!r} and metadata", "rename it")
        entries = [*entries, Entry(METADATA, "uint8", np.dtype(np.uint8), (len(text),), Held(text))]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for entry in entries:
            header = _header(entry, where)
            with archive.open(zipfile.ZipInfo(entry.name + SUFFIX), "w", force_zip64=True) as raw:
                stored = cast(BinaryIO, raw)
                np.lib.format.write_array_header_1_0(stored, header)
                for chunk in entry.content.chunks():
                    stored.write(chunk)


def _header(entry: Entry, where: str) -> dict[str, Any]:
    """Return the header of an array as NumPy writes it."""
    dtype = entry.dtype
    # Types that other packages bring are bytes without a meaning in such a file.
    if dtype is None or dtype.isbuiltin == 2:
        wrong = f"cannot hold {entry.name!r}, an array of {entry.type_name}"
        raise InputError(where, wrong, "name an output that ends in .safetensors")
    descr = np.lib.format.dtype_to_descr(dtype.newbyteorder("<"))
    return {"descr": descr, "fortran_order": False, "shape": entry.shape}
