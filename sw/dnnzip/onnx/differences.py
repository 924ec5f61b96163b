"""The comparison of two models, field by field, with a line for each difference.

Entries that have a name are compared with their namesakes; the order counts only where it has a meaning. Arrays are
compared bit by bit, a piece at a time, whether they stand in the model or in a file.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]  # no stubs among our tools

from dnnzip.onnx.lazy_tensors import place_of
from dnnzip.onnx.rules import stored_array
from dnnzip.onnx.soundness import DATA_FIELDS
from dnnzip.system.spool import CHUNK

#: Fields in which a tensor holds its values, or says where they are.
_STORAGE = frozenset((*DATA_FIELDS, "raw_data", "data_location", "external_data"))

#: Repeated fields with named entries: the word for an entry, and its name.
_NAMED: dict[str, tuple[str, Callable[[Any], str]]] = {
    "attribute": ("attribute", lambda entry: entry.name),
    "attribute_proto": ("attribute", lambda entry: entry.name),
    "functions": ("function", lambda entry: ".".join(filter(None, (entry.domain, entry.name, entry.overload)))),
    "initializer": ("initializer", lambda entry: entry.name),
    "input": ("input", lambda entry: entry.name),
    "metadata_props": ("metadata", lambda entry: entry.key),
    "node": ("node", lambda entry: next(filter(None, entry.output), entry.name)),
    "opset_import": ("opset", lambda entry: entry.domain or "ai.onnx"),
    "output": ("output", lambda entry: entry.name),
    "quantization_annotation": ("annotation", lambda entry: entry.tensor_name),
    "sparse_initializer": ("sparse initializer", lambda entry: entry.values.name),
    "value_info": ("value", lambda entry: entry.name),
}

#: Those whose order has a meaning.
_ORDERED = frozenset(("input", "node", "output"))

#: Longest value in a line.
_LONGEST = 40


def differences(expected: Message, actual: Message, where: str = "") -> Iterator[str]:
    """Compare two messages of one type; ``where`` is the text in front of each line.

    Parameters
    ----------
    expected, actual
        The messages. Tensors may name the place of their bytes (`dnnzip.onnx.lazy_tensors`).

    Yields
    ------
    A line for each difference, which names the node, array or value that it is in.

    Raises
    ------
    InputError
        The bytes of a tensor do not match its shape, or cannot be read.
    """
    if expected == actual:
        return
    is_tensor = isinstance(expected, onnx.TensorProto)
    for field in expected.DESCRIPTOR.fields:
        if is_tensor and field.name in _STORAGE:
            continue
        wanted, found = getattr(expected, field.name), getattr(actual, field.name)
        is_message, is_list = field.message_type is not None, hasattr(wanted, "extend")
        if is_list and is_message:
            yield from _list_differences(field.name, wanted, found, where)
        elif (is_message and not is_list) or field.containing_oneof is not None:
            yield from _optional_differences(field.name, expected, actual, where)
        # A NaN is no difference, and the sign of a zero is one.
        elif repr(wanted) != repr(found):
            yield f"{where}{field.name} is {_short(found)}, not {_short(wanted)}"
    if is_tensor and _have_same_shape(expected, actual) and not _have_same_values(expected, actual):
        yield f"{where}its values differ"


def _optional_differences(name: str, expected: Message, actual: Message, where: str) -> Iterator[str]:
    """Compare a field that may be missing: an inner message, or one of several of which a message has one."""
    if expected.HasField(name) != actual.HasField(name):
        yield f"{where}{name} {'is missing' if expected.HasField(name) else 'is not in the original'}"
        return
    wanted, found = getattr(expected, name), getattr(actual, name)
    if isinstance(wanted, Message):
        is_graph = isinstance(wanted, onnx.GraphProto)
        yield from differences(wanted, found, where if is_graph else f"{where}{name}.")
    elif wanted != found:
        yield f"{where}{name} is {_short(found)}, not {_short(wanted)}"


def _list_differences(name: str, wanted: Sequence[Any], found: Sequence[Any], where: str) -> Iterator[str]:
    if name not in _NAMED:
        if len(wanted) != len(found):
            yield f"{where}{name} has {len(found)} entries, not {len(wanted)}"
        for i, (old, new) in enumerate(zip(wanted, found, strict=False)):
            yield from differences(old, new, f"{where}{name}[{i}].")
        return
    kind, name_of = _NAMED[name]
    before, after = _by_name(wanted, name_of), _by_name(found, name_of)
    for key in [key for key in before if key not in after]:
        yield f"{where}{_label(kind, key[0], before[key])} is missing"
    common = [key for key in before if key in after]
    if name in _ORDERED:
        for old, new in zip(common, (key for key in after if key in before), strict=True):
            if old != new:
                yield f"{where}{_label(kind, new[0], after[new])} is in the place of {old[0]!r}"
                break
    for key in common:
        yield from differences(before[key], after[key], f"{where}{_label(kind, key[0], before[key])}: ")
    for key in [key for key in after if key not in before]:
        yield f"{where}{_label(kind, key[0], after[key])} is not in the original"


def _by_name(entries: Iterable[Any], name_of: Callable[[Any], str]) -> dict[tuple[str, int], Any]:
    """Return entries by name, and the number of equal names before them: a model that is not valid may repeat one."""
    seen: Counter[str] = Counter()
    result = {}
    for entry in entries:
        name = name_of(entry)
        result[name, seen[name]] = entry
        seen[name] += 1
    return result


def _label(kind: str, name: str, entry: Any) -> str:
    if isinstance(entry, onnx.NodeProto):
        return f"{kind} {entry.name or name!r} ({entry.op_type})"
    return f"{kind} {name!r}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _have_same_shape(expected: onnx.TensorProto, actual: onnx.TensorProto) -> bool:
    return bool(expected.data_type == actual.data_type and expected.dims == actual.dims)


def _have_same_values(expected: onnx.TensorProto, actual: onnx.TensorProto) -> bool:
    """Compare tensors of one type and shape."""
    if expected.data_type == onnx.TensorProto.STRING:
        return bool(expected.string_data == actual.string_data)
    if _is_raw(expected) and _is_raw(actual):
        return all(old == new for old, new in zip_longest(_pieces(expected), _pieces(actual)))
    old, new = (np.ascontiguousarray(stored_array(tensor)) for tensor in (expected, actual))
    return np.array_equal(old.reshape(-1).view(np.uint8), new.reshape(-1).view(np.uint8))


def _is_raw(tensor: onnx.TensorProto) -> bool:
    """Return True if a tensor holds bytes or names their place, and has no numbers in a field of their type."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return place_of(tensor) is not None
    typed = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    return not any(map(len, typed))


def _pieces(tensor: onnx.TensorProto) -> Iterator[bytes]:
    place = place_of(tensor)
    if place is not None:
        yield from place.chunks()
        return
    data = tensor.raw_data
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]
