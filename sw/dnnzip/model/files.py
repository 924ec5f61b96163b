"""Model files in and out: a file is read safely, and an output appears whole or not at all.

A model comes from anywhere, so that nothing in it may make this process read outside the model's folder: the places of
external data are checked before any of them is opened.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import onnx
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # no stubs among our tools
from onnx.external_data_helper import load_external_data_for_tensor

from dnnzip.errors import InputError
from dnnzip.model.graph import subgraphs
from dnnzip.model.memory import memory_for
from dnnzip.model.places import Place, place_of, set_external, set_place
from dnnzip.model.wire import GRAPH_FIELD, INITIALIZER_FIELD, RAW_DATA_FIELD, tag, without_arrays

#: Protocol buffers hold less than 2 GB in one message; a model beyond that keeps its arrays in a file beside it.
LARGEST_MESSAGE = (1 << 31) - 1

#: An array below this many bytes stays in the model when the others move to the file beside it.
SMALLEST_EXTERNAL = 1024

#: An array up to so many bytes is read with its model.
SMALLEST_PLACED = 1 << 16


def load_model(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file, external data included, into memory.

    Parameters
    ----------
    path
        The model file.

    Returns
    -------
    The model, with every external array inside it.

    Raises
    ------
    InputError
        The path is missing, a directory, unreadable, empty, truncated or no ONNX model; or its external data is
        missing, short, or outside the model's folder; or there is no memory for it.
    """
    model, path = _parsed(path), Path(path)
    for tensor in _checked_external_tensors(model, path):
        _load_external_tensor(tensor, path)
    return model


def open_model(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file, but leave large arrays where they are, in it or beside it, to be read one at a time.

    Parameters
    ----------
    path
        The model file.

    Returns
    -------
    The model; its initializers, except small ones, name the place of their bytes (`dnnzip.model.places`), which
    `dnnzip.model.rules.stored_array` reads and `save_model` copies. The files must stay as they are meanwhile.

    Raises
    ------
    InputError
        See `load_model`.
    """
    path = Path(path)
    slim, places = without_arrays(path, SMALLEST_PLACED) or (None, {})
    model = _parsed(path, slim)
    external = _checked_external_tensors(model, path)
    # From here on an absolute path is one of ours: the check has refused all others.
    for position, tensor in enumerate(model.graph.initializer):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            place = _external_place(tensor, path)
            if place.length > SMALLEST_PLACED:
                set_place(tensor, place)
        elif position in places:
            set_place(tensor, places[position])
    for tensor in external:
        if place_of(tensor) is None:
            _load_external_tensor(tensor, path)
    return model


def model_files(path: str | Path) -> list[Path]:
    """Return the files of a model: its own, and those beside it that hold arrays.

    Parameters
    ----------
    path
        The model file.

    Returns
    -------
    The model file first, then the others by name, each once and inside the model's folder.

    Raises
    ------
    InputError
        See `load_model`.
    """
    path = Path(path)
    slim, _ = without_arrays(path, SMALLEST_PLACED) or (None, {})
    external = _checked_external_tensors(_parsed(path, slim), path)
    return [path, *sorted({path.parent / _location(tensor) for tensor in external})]


def _location(tensor: onnx.TensorProto) -> str:
    return next(str(entry.value) for entry in tensor.external_data if entry.key == "location")


def _parsed(path: str | Path, content: bytes | None = None) -> onnx.ModelProto:
    """Read a model file, or what there is of its content, without its external data."""
    path = Path(path)
    try:
        if content is None:
            size = path.stat().st_size
            with memory_for(str(path), f"{size} bytes", size):
                content = path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({_reason(error)})", "name an ONNX file") from None
    if not content:
        raise InputError(str(path), "is empty", "name an ONNX file")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise InputError(str(path), "is not an ONNX model, or is truncated", "name a whole ONNX file") from None
    if not model.HasField("graph") or not model.ir_version or not model.graph.node or not model.opset_import:
        raise InputError(str(path), "is not an ONNX model, or is truncated", "name a whole ONNX file")
    if not _is_well_formed(model):
        raise InputError(str(path), "is damaged: a name is no text, or a node has no output", "name a whole ONNX file")
    return model


def save_model(model: onnx.ModelProto, path: str | Path) -> None:
    """Write a model whole or not at all; one beyond 2 GB gets its arrays in ``<path>.data`` beside it.

    Parameters
    ----------
    model
        The model; left as it is. Arrays that it names by their place are copied piece by piece.
    path
        Where to; what is no regular file (a pipe, a device) is written through.

    Raises
    ------
    InputError
        The path cannot be written, or a model beyond 2 GB should go into a pipe.
    """
    path = Path(path)
    if _message_bytes(model) <= LARGEST_MESSAGE:
        with open_output(path) as beside, beside.open("wb") as file:
            _write_message(model, file)
        return
    if _is_written_through(path):
        raise _needs_second_file(str(path))
    data_path = path.with_name(path.name + ".data")
    slim = onnx.ModelProto()
    slim.CopyFrom(model)
    # Both are complete before either gets its name; the model, which names the other, comes last.
    with open_output(data_path) as data_file:
        _move_arrays_out(slim, data_path.name, data_file)
    write_output(path, slim.SerializeToString(deterministic=True))


def write_model(model: onnx.ModelProto, file: BinaryIO, where: str) -> None:
    """Write a model to an open file, such as standard output.

    Parameters
    ----------
    model
        The model; see `save_model`.
    file
        Open for bytes.
    where
        What messages call the file.

    Raises
    ------
    InputError
        The model is beyond 2 GB.
    """
    if _message_bytes(model) > LARGEST_MESSAGE:
        raise _needs_second_file(where)
    _write_message(model, file)


def _needs_second_file(where: str) -> InputError:
    return InputError(where, "takes no model of more than 2 GB, which needs a second file", "name a file")


def write_output(path: str | Path, content: bytes) -> None:
    """Write a file whole or not at all; see `open_output`."""
    with open_output(path) as file:
        file.write_bytes(content)


@contextmanager
def open_output(path: str | Path) -> Iterator[Path]:
    """Give a path to write to, and move what is there to its place once the block ends without an exception.

    What is no regular file (a pipe, a device, anything under ``/dev``) is never replaced: its own path is given.

    Parameters
    ----------
    path
        The output as the user named it.

    Yields
    ------
    The path to write to, in the same folder.

    Raises
    ------
    InputError
        The output cannot be written.
    """
    path = Path(path)
    try:
        if _is_written_through(path):
            yield path
            return
        target = _replaced_file(path)
        beside = target.with_name(f".{target.name[:64]}.{os.getpid()}.tmp")
        try:
            yield beside
            if target.exists():
                shutil.copymode(target, beside)
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from None


def check_output(path: str | Path) -> None:
    """Refuse an output that `open_output` could not write, before any work is done for it.

    Raises
    ------
    InputError
        It is a directory, or its folder is missing or cannot be written.
    """
    path = Path(path)
    try:
        if _is_written_through(path):
            return
        folder = _replaced_file(path).parent
        os.scandir(folder).close()
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unwritable(path, error) from None


def _replaced_file(path: Path) -> Path:
    """Return the file that an output replaces: a link stays a link, and the file that it names is replaced."""
    target = path.resolve()
    if target.is_dir():
        raise InputError(str(path), "is a directory", "name a file to write")
    if target.exists() and not os.access(target, os.W_OK):
        raise InputError(str(path), "cannot be written (Permission denied)", "name a file that can be written")
    return target


def _unwritable(path: Path, error: OSError) -> InputError:
    right = "name a file in an existing folder that can be written"
    return InputError(str(path), f"cannot be written ({_reason(error)})", right)


def all_tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Visit every array of a model: initializers, sparse ones, attributes; inner graphs and functions too."""
    yield from _graph_tensors(model.graph)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)
    for function in model.functions:
        yield from _node_tensors(function.node)
        yield from _attribute_tensors(function.attribute_proto)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        yield from _attribute_tensors(node.attribute)


def _attribute_tensors(attributes: Iterable[onnx.AttributeProto]) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for tensor in (*sparse, *attribute.sparse_tensors):
            yield tensor.values
            yield tensor.indices
        graphs = [attribute.g] if attribute.HasField("g") else []
        for graph in (*graphs, *attribute.graphs):
            yield from _graph_tensors(graph)


def _is_well_formed(model: onnx.ModelProto) -> bool:
    """Whether names are text and nodes have outputs; the parser takes any bytes for a text, and fails only later."""
    texts: list[str] = [model.producer_name, model.producer_version, model.domain, model.doc_string]
    try:
        for graph in (model.graph, *subgraphs(model.graph.node)):
            texts += [graph.name, graph.doc_string]
            texts += [named.name for named in (*graph.initializer, *graph.input, *graph.output, *graph.value_info)]
            for node in graph.node:
                if not node.output:
                    return False
                texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
    except UnicodeDecodeError:
        return False
    return all(isinstance(text, str) for text in texts)


def _checked_external_tensors(model: onnx.ModelProto, path: Path) -> list[onnx.TensorProto]:
    """Return the tensors with external data, after the places of all of them have been checked."""
    folder = path.resolve().parent
    external = [tensor for tensor in all_tensors(model) if tensor.data_location == onnx.TensorProto.EXTERNAL]
    for tensor in external:
        _check_external_place(tensor, path, folder)
    return external


def _load_external_tensor(tensor: onnx.TensorProto, path: Path) -> None:
    size = _external_place(tensor, path).length
    try:
        with memory_for(f"{path}: external data of {tensor.name!r}", f"{size} bytes", size):
            load_external_data_for_tensor(tensor, str(path.resolve().parent))
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        raise InputError(str(path), f"external data of {tensor.name!r} cannot be read ({_reason(error)})") from None
    tensor.ClearField("data_location")
    del tensor.external_data[:]


def _external_place(tensor: onnx.TensorProto, path: Path) -> Place:
    """Return where the bytes of a checked tensor are."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    file = path.resolve().parent / entries["location"]
    offset = int(entries.get("offset", "0"))
    return Place(file, offset, int(entries.get("length", file.stat().st_size - offset)))


def _check_external_place(tensor: onnx.TensorProto, path: Path, folder: Path) -> None:
    """Refuse a place outside the folder, or a length beyond the file, before anything is opened or allocated."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    inside = Path(location)
    file = folder / inside
    if (
        not location
        or inside.is_absolute()
        or "\\" in location
        or ".." in inside.parts
        or not file.resolve().is_relative_to(folder)
    ):
        raise InputError(
            str(path),
            f"external data of {tensor.name!r} is at {location!r}",
            "it must be a file inside the model's folder",
        )
    if not file.is_file():
        raise InputError(str(path), f"external data of {tensor.name!r} is missing: {location!r} is no file beside it")
    size = file.stat().st_size
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size - offset)))
    except ValueError:
        offset = length = -1
    if offset < 0 or length < 0 or offset + length > size:
        raise InputError(
            str(path),
            f"external data of {tensor.name!r} lies outside {location!r}",
            f"offset and length must stay within its {size} bytes",
        )


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


def _copy_bytes(tensor: onnx.TensorProto, file: BinaryIO) -> None:
    place = place_of(tensor)
    for chunk in (tensor.raw_data,) if place is None else place.chunks():
        file.write(chunk)


def _write_message(model: onnx.ModelProto, file: BinaryIO) -> None:
    """Write what ``SerializeToString(deterministic=True)`` would give if every array stood in the model.

    Messages are written in the order of their fields, with their lengths in front, so that an array can be copied into
    its field without ever being in memory.
    """
    if not any(place_of(tensor) for tensor in model.graph.initializer):
        file.write(model.SerializeToString(deterministic=True))
        return
    head, tail = _around(model, GRAPH_FIELD)
    graph_head, graph_tail = _around(model.graph, INITIALIZER_FIELD)
    sizes = [_tensor_bytes(tensor) for tensor in model.graph.initializer]
    size = len(graph_head) + sum(len(tag(INITIALIZER_FIELD, size)) + size for size in sizes) + len(graph_tail)
    file.write(head + tag(GRAPH_FIELD, size) + graph_head)
    for tensor, size in zip(model.graph.initializer, sizes, strict=True):
        file.write(tag(INITIALIZER_FIELD, size))
        place = place_of(tensor)
        if place is None:
            file.write(tensor.SerializeToString(deterministic=True))
            continue
        tensor_head, tensor_tail = _around(_without_place(tensor), RAW_DATA_FIELD)
        file.write(tensor_head + tag(RAW_DATA_FIELD, place.length))
        _copy_bytes(tensor, file)
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
    """Set a field of a message, of any kind, to a copy of what ``ListFields`` gave for another of the same type."""
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


def _tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Return the size of a tensor's message with its bytes in it."""
    place = place_of(tensor)
    if place is None:
        return int(tensor.ByteSize())
    return int(_without_place(tensor).ByteSize()) + len(tag(RAW_DATA_FIELD, place.length)) + place.length


def _message_bytes(model: onnx.ModelProto) -> int:
    """Return the size of the message; above 2 GB, where the library's own count fails, that of its arrays."""
    placed = sum(place.length for place in map(place_of, model.graph.initializer) if place is not None)
    arrays = placed + sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if arrays > LARGEST_MESSAGE:
        return arrays
    return placed + int(model.ByteSize())


def _is_written_through(path: Path) -> bool:
    # `/dev/stdout` may lead to a regular file, which the shell holds open: replacing it would lose what comes after.
    if path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",)):
        return True
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except FileNotFoundError:
        return False


def _reason(error: BaseException) -> str:
    """Make one line of an exception's message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).strip() or type(error).__name__).splitlines()[0]
