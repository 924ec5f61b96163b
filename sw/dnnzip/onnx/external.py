"""External data: the entries of a tensor, parsed and checked once, and the place in a file that they name.

A model comes from anywhere, so that nothing in it may make this process read outside the model's folder. Every reader
of external data takes the place from here, and none reads the entries by itself. Files are searched as onnxruntime
does: next to the model as it is named, and what a link leads to must lie in that folder or in the folder of the model
file that the name leads to (a cache may keep both under other names). Beyond onnxruntime, a file that is missing next
to a link is searched next to the model file itself.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx

from dnnzip.errors import InputError
from dnnzip.onnx.tensor_bytes import bytes_of
from dnnzip.system.spool import Place

#: Entries that ONNX knows; the last two are read by no runtime.
KEYS = ("location", "offset", "length", "checksum", "basepath")

#: Begin of the names of onnxruntime's own entries, for weights that it packs anew at each start.
PREPACKED = "prepacked"

#: A count as every reader takes it: no sign, no space, no zero in front; more digits than a file has bytes are none.
COUNT = re.compile(r"0|[1-9][0-9]{0,39}", re.ASCII)

#: Characters of a text of the model that a message shows.
SHOWN = 80


@dataclass(frozen=True)
class ExternalData:
    """Place of a tensor's bytes outside the model."""

    name: str  # path of the file from the model's folder, as the model names it
    place: Place  # the bytes, in the file that the name leads to


class ExternalFiles:
    """The files from which a model may take arrays; ``path`` is the model file as the user named it."""

    def __init__(self, path: Path) -> None:
        self._where = str(path)
        self._folders = (Path(os.path.realpath(path.parent)), Path(os.path.realpath(path)).parent)

    def find(self, tensor: onnx.TensorProto) -> ExternalData:
        """Return where the bytes of a tensor with external data are.

        Raises
        ------
        InputError
            An entry is unknown, repeated or no value of its kind; the file is missing or outside the model's folder; or
            the bytes lie outside the file or do not suit the tensor's shape.
        """
        entries = self._entries(tensor)
        location = entries.get("location", "")
        path, size = self._file(tensor, location)
        counts = {key: self._count(tensor, key, entries[key]) for key in ("offset", "length") if key in entries}
        needed = bytes_of(tensor)
        offset = counts.get("offset", 0)
        length = counts.get("length", needed if needed is not None else size - offset)
        if length < 0 or offset + length > size:
            raise self._fault(
                tensor, f"lies outside {_shown(location)}", f"offset and length must stay within its {size} bytes"
            )
        if needed is not None and length != needed:
            raise self._fault(tensor, f"has {length} bytes, and its shape {tuple(tensor.dims)} needs {needed}")
        return ExternalData(PurePosixPath(location).as_posix(), Place(path, offset, length))

    def _entries(self, tensor: onnx.TensorProto) -> dict[str, str]:
        entries: dict[str, str] = {}
        for entry in tensor.external_data:
            if entry.key.startswith(PREPACKED):
                continue
            if entry.key not in KEYS:
                raise self._fault(tensor, f"has an unknown entry {_shown(entry.key)}", f"known are {', '.join(KEYS)}")
            if entry.key in entries:
                raise self._fault(tensor, f"has two entries {entry.key!r}", "each may be there once")
            entries[entry.key] = entry.value
        return entries

    def _file(self, tensor: onnx.TensorProto, location: str) -> tuple[Path, int]:
        """Return the file that a location leads to, and its size."""
        inside = PurePosixPath(location)
        is_plain = bool(inside.parts) and not inside.is_absolute() and ".." not in inside.parts
        outside = self._fault(tensor, f"is at {_shown(location)}", "it must be a file inside the model's folder")
        if not is_plain or "\\" in location or location.endswith("/"):
            raise outside
        missing = self._fault(tensor, f"is missing: {_shown(location)} is no file beside it", right=None)
        named = next((folder / inside for folder in self._folders if os.path.lexists(folder / inside)), None)
        if named is None:
            raise missing
        try:
            path = Path(os.path.realpath(named, strict=True))
            found = path.stat()
        except OSError:
            raise missing from None
        if not any(path.is_relative_to(folder) for folder in self._folders):
            raise outside
        if not stat.S_ISREG(found.st_mode):
            raise missing
        return path, found.st_size

    def _count(self, tensor: onnx.TensorProto, key: str, value: str) -> int:
        if not COUNT.fullmatch(value):
            raise self._fault(
                tensor, f"has the {key} {_shown(value)}", "it must be a whole number from 0, in decimal digits"
            )
        return int(value)

    def _fault(self, tensor: onnx.TensorProto, wrong: str, right: str | None = None) -> InputError:
        return InputError(self._where, f"external data of {_shown(tensor.name)} {wrong}", right)


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
