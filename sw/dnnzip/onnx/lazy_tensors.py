"""Arrays that stay in a file until they are needed: a tensor of a model may name a place instead of holding bytes.

In the model, such a tensor is one with external data at an absolute path, its offset and length written out. No file
can bring one in: `dnnzip.onnx.files` refuses absolute paths that it reads, and sets places only where it has checked.
"""

import os
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

import onnx

from dnnzip.system.spool import Place


def place_of(tensor: onnx.TensorProto) -> Place | None:
    """Return the place that a tensor names; None where it holds its own bytes."""
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return None
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if not location.startswith("/"):
        return None
    path = Path(os.fsdecode(unquote_to_bytes(location)))
    return Place(path, int(entries["offset"]), int(entries["length"]))


def set_place(tensor: onnx.TensorProto, place: Place) -> None:
    """Let a tensor name a place, instead of what it held."""
    tensor.ClearField("raw_data")
    # A model holds UTF-8, a path any bytes.
    set_external(tensor, quote_from_bytes(os.fsencode(place.path)), place.offset, place.length)


def set_external(tensor: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    """Write where a tensor's external data is."""
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
    tensor.data_location = onnx.TensorProto.EXTERNAL
