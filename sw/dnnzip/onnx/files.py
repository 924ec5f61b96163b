"""Model files in and out: a file is read safely, and written whole or not at all.

A model comes from anywhere: what it says twice is refused (`dnnzip.onnx.soundness`), and the places of external data
(`dnnzip.onnx.external`) are all checked before any of them is opened.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # no stubs among our tools

from dnnzip.errors import InputError
from dnnzip.inputs.memory import memory_for, most_memory
from dnnzip.inputs.reading import check_input, read_bounded
from dnnzip.onnx.external import ExternalData, ExternalFiles
from dnnzip.onnx.lazy_tensors import place_of, set_external, set_place
from dnnzip.onnx.skeleton import GRAPH_FIELD, INITIALIZER_FIELD, RAW_DATA_FIELD, tag, without_arrays
from dnnzip.onnx.soundness import check_model, check_sizes, tensors
from dnnzip.system.outputs import OutputSet, is_written_through
from dnnzip.system.spool import Place

#: Protocol buffers hold less than 2 GB in one message; a model beyond that keeps its arrays in a file next to it.
LARGEST_MESSAGE = (1 << 31) - 1

#: An array below this many bytes stays in the model when the others move to the file next to it.
SMALLEST_EXTERNAL = 1024

#: Most bytes of an array that is read with its model.
SMALLEST_PLACED = 1 << 16

RIGHT = "name an ONNX file"
WHOLE = "name a whole ONNX file"


class Source(Protocol):
    """Bytes of an array, in the order in which a file has them."""

    @property
    def length(self) -> int:
        """Their number."""
        ...

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Visit them in pieces; called once."""
        ...


SourceOf = Callable[[onnx.TensorProto], Source | None]


def load_model(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file, external data included, into memory.

    Raises
    ------
    InputError
        The path is missing, a directory, unreadable, empty, truncated or no ONNX model; or its external data is
        missing, short, or outside the model's folder; or an array has other bytes than its shape needs; or there is no
        memory for it.
    """
    path = Path(path)
    model = _parsed(path, _content(path))
    _load_external(_external_data(model, path), path)
    check_sizes(model, str(path))
    return model


def open_model(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file, but leave large arrays where they are, in it or next to it; raises as `load_model` does.

    Returns
    -------
    The model; its initializers, except small ones, name the place of their bytes (`dnnzip.onnx.lazy_tensors`), which
    `dnnzip.onnx.rules.stored_array` reads and `save_model` copies. The files must stay as they are meanwhile.
    """
    path = Path(path)
    model, places = _slim(path)
    initializers = list(model.graph.initializer)
    own = {id(tensor) for tensor in initializers}
    loaded = []
    # From here on an absolute path is one of ours: the check has refused all others.
    for tensor, data in _external_data(model, path):
        if id(tensor) in own and data.place.length > SMALLEST_PLACED:
            set_place(tensor, data.place)
        else:
            loaded.append((tensor, data))
    _load_external(loaded, path)
    for position, place in places.items():
        set_place(initializers[position], place)
    check_sizes(model, str(path))
    return model


def model_files(path: str | Path) -> dict[str, Path]:
    """Return the files of a model: its own, and those that hold its arrays; raises as `load_model` does.

    Returns
    -------
    Path from the model's folder, as the model names it and never out of that folder, to the file that it leads to; the
    model itself first, then the others by name.
    """
    path = Path(path)
    model, _ = _slim(path)
    others = {data.name: data.place.path for _, data in _external_data(model, path)}
    return {path.name: path, **dict(sorted(others.items()))}


def check_given(model: onnx.ModelProto, where: str) -> None:
    """Refuse a model from a caller's memory that a file could not hold, or whose arrays lie in files.

    Raises
    ------
    InputError
        See `check_model` and `check_sizes` of `dnnzip.onnx.soundness`; or a tensor has external data: only a file says
        from which folder.
    """
    check_model(model, where)
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise InputError(where, f"{tensor.name!r} has external data", "give the path, or load it with onnx.load")
    check_sizes(model, where)


def _content(path: Path) -> bytes:
    size = check_input(path, LARGEST_MESSAGE, RIGHT, takes_pipe=True)
    most = min(LARGEST_MESSAGE, most_memory())
    what = f"{size} bytes" if size is not None else f"a pipe of at most {most} bytes"
    with memory_for(str(path), what, most if size is None else size):
        return read_bounded(path, LARGEST_MESSAGE, RIGHT, takes_pipe=True)


def _slim(path: Path) -> tuple[onnx.ModelProto, dict[int, Place]]:
    """Read a model file, if that can be, without its large initializers, and return their places by position."""
    check_input(path, LARGEST_MESSAGE, RIGHT, takes_pipe=True)
    slim, places = without_arrays(path, SMALLEST_PLACED) or (_content(path), {})
    return _parsed(path, slim), places


def _parsed(path: Path, content: bytes) -> onnx.ModelProto:
    """Parse and check a model, without its external data."""
    if not content:
        raise InputError(str(path), "is empty", RIGHT)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise InputError(str(path), "is not an ONNX model, or is truncated", WHOLE) from None
    if not model.HasField("graph") or not model.ir_version or not model.graph.node or not model.opset_import:
        raise InputError(str(path), "is not an ONNX model, or is truncated", WHOLE)
    check_model(model, str(path))
    return model


def _external_data(model: onnx.ModelProto, path: Path) -> list[tuple[onnx.TensorProto, ExternalData]]:
    """Return the tensors with external data and where it is, after all of them have been checked."""
    files = ExternalFiles(path)
    external = [tensor for tensor in tensors(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    return [(tensor, files.find(tensor)) for tensor in external]


def _load_external(external: list[tuple[onnx.TensorProto, ExternalData]], path: Path) -> None:
    """Read external data into its tensors."""
    if not external:
        return
    # All of it is counted before any of it is read: a thousand tensors may name one large file.
    size = sum(data.place.length for _, data in external)
    largest = max(external, key=lambda item: item[1].place.length)[0].name
    with memory_for(f"{path}: external data of {largest!r}", f"{size} bytes", size):
        for tensor, data in external:
            tensor.raw_data = data.place.read()
            tensor.ClearField("data_location")
            del tensor.external_data[:]


def save_model(model: onnx.ModelProto, path: str | Path, outputs: OutputSet | None = None) -> None:
    """Write a model whole or not at all; one beyond 2 GB gets its arrays in ``<path>.data`` next to it.

    Parameters
    ----------
    model
        The model; left as it is. Arrays that it names by their place are copied piece by piece.
    path
        Where to; what is no regular file (a pipe, a device) is written through.
    outputs
        The set that it belongs to; by default it gets its name at once.

    Raises
    ------
    InputError
        The path cannot be written, or a model beyond 2 GB should go into a pipe.
    """
    path = Path(path)
    if outputs is None:
        with OutputSet() as own:
            save_model(model, path, own)
        return
    if message_bytes(model) <= LARGEST_MESSAGE:
        with outputs.open(path) as beside, beside.open("wb") as file:
            _write_message(model, file)
        return
    if is_written_through(path):
        raise _needs_second_file(str(path))
    data_path = path.with_name(path.name + ".data")
    if not _is_utf8(data_path.name):
        raise InputError(str(path), "is no UTF-8, and a model of more than 2 GB names its second file", "rename it")
    slim = onnx.ModelProto()
    slim.CopyFrom(model)
    # The model, which names the other file, comes last.
    with outputs.open(data_path) as data_file:
        _move_arrays_out(slim, data_path.name, data_file)
    outputs.write(path, slim.SerializeToString(deterministic=True))


def write_model(model: onnx.ModelProto, file: BinaryIO, where: str) -> None:
    """Write a model to an open file, such as standard output; an `InputError` where it is beyond 2 GB."""
    if message_bytes(model) > LARGEST_MESSAGE:
        raise _needs_second_file(where)
    _write_message(model, file)


def stream_model(model: onnx.ModelProto, file: BinaryIO, source_of: SourceOf, where: str) -> None:
    """Write a model to an open file while its arrays are made.

    Parameters
    ----------
    source_of
        Returns the bytes of an initializer; None where it holds them itself. They are asked for in the order of the
        initializers.

    Raises
    ------
    InputError
        The model is beyond 2 GB.
    """
    if message_bytes(model, source_of) > LARGEST_MESSAGE:
        raise _needs_second_file(where)
    _write_message(model, file, source_of)


def _needs_second_file(where: str) -> InputError:
    return InputError(where, "takes no model of more than 2 GB, which needs a second file", "name a file")


def _move_arrays_out(model: onnx.ModelProto, name: str, data_path: Path) -> None:
    with data_path.open("wb") as file:
        for tensor in model.graph.initializer:
            place = place_of(tensor)
            size = len(tensor.raw_data) if place is None else place.length
            if size < SMALLEST_EXTERNAL:
                continue
            offset = file.tell()
            _copy_bytes(tensor, file)
            set_external(tensor, name, offset, size)
            tensor.ClearField("raw_data")


def _copy_bytes(tensor: onnx.TensorProto, file: BinaryIO, source_of: SourceOf = place_of) -> None:
    source = source_of(tensor)
    chunks: Iterable[bytes | memoryview] = (tensor.raw_data,) if source is None else source.chunks()
    for chunk in chunks:
        file.write(chunk)


def _write_message(model: onnx.ModelProto, file: BinaryIO, source_of: SourceOf = place_of) -> None:
    """Write what ``SerializeToString(deterministic=True)`` would return if every array stood in the model.

    Messages are written in the order of their fields, with their lengths in front, so that an array can be copied into
    its field without ever being in memory.
    """
    if not any(source_of(tensor) for tensor in model.graph.initializer):
        file.write(model.SerializeToString(deterministic=True))
        return
    head, tail = _around(model, GRAPH_FIELD)
    graph_head, graph_tail = _around(model.graph, INITIALIZER_FIELD)
    sizes = [_tensor_bytes(tensor, source_of(tensor)) for tensor in model.graph.initializer]
    size = len(graph_head) + sum(len(tag(INITIALIZER_FIELD, size)) + size for size in sizes) + len(graph_tail)
    file.write(head + tag(GRAPH_FIELD, size) + graph_head)
    for tensor, size in zip(model.graph.initializer, sizes, strict=True):
        file.write(tag(INITIALIZER_FIELD, size))
        source = source_of(tensor)
        if source is None:
            file.write(tensor.SerializeToString(deterministic=True))
            continue
        tensor_head, tensor_tail = _around(_without_place(tensor), RAW_DATA_FIELD)
        file.write(tensor_head + tag(RAW_DATA_FIELD, source.length))
        _copy_bytes(tensor, file, source_of)
        file.write(tensor_tail)
    file.write(graph_tail + tail)


def _around(message: Message, number: int) -> tuple[bytes, bytes]:
    """Return the fields of a message before a field, and those after it."""
    parts = []
    for is_after in (False, True):
        part = type(message)()
        for field, value in message.ListFields():
            if field.number != number and (field.number > number) == is_after:
                copy_field(part, field.name, value)
        parts.append(part.SerializeToString(deterministic=True))
    return parts[0], parts[1]


def copy_field(target: Message, name: str, value: object) -> None:
    """Set a field of a message, of any kind, to a copy of what ``ListFields`` returned for another of the same type."""
    field = getattr(target, name)
    if hasattr(field, "extend"):
        field.extend(value)
    elif hasattr(field, "CopyFrom"):
        field.CopyFrom(value)
    else:
        setattr(target, name, value)


def _without_place(tensor: onnx.TensorProto) -> onnx.TensorProto:
    plain = onnx.TensorProto()
    plain.CopyFrom(tensor)
    del plain.external_data[:]
    plain.ClearField("data_location")
    return plain


def _tensor_bytes(tensor: onnx.TensorProto, source: Source | None) -> int:
    """Return the size of a tensor's message with its bytes in it."""
    if source is None:
        return int(tensor.ByteSize())
    return int(_without_place(tensor).ByteSize()) + len(tag(RAW_DATA_FIELD, source.length)) + source.length


def message_bytes(model: onnx.ModelProto, source_of: SourceOf = place_of) -> int:
    """Return the size of the message; above 2 GB, where the library's own count fails, that of its arrays."""
    placed = sum(source.length for source in map(source_of, model.graph.initializer) if source is not None)
    arrays = placed + sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if arrays > LARGEST_MESSAGE:
        return arrays
    return placed + int(model.ByteSize())


def _is_utf8(name: str) -> bool:
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False
