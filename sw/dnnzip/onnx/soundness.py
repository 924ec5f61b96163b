"""Soundness of a parsed model, checked before anything else reads it: no fact twice, and every text in UTF-8.

A protobuf parser takes what two readers may understand differently: one takes the first of two attributes of a name,
the next one the last. Such a model is refused, so that what is checked here is what a runtime runs.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]  # no stubs among our tools
from google.protobuf.message import Message  # type: ignore[import-untyped]
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    SparseTensorProto,
    TensorProto,
)

from dnnzip.errors import InputError
from dnnzip.onnx.lazy_tensors import place_of
from dnnzip.onnx.names import check_names
from dnnzip.onnx.node_order import check_circles
from dnnzip.onnx.tensor_bytes import bytes_of, element_bytes

#: Bytes of the largest tensor that is copied to see how many it holds.
LARGEST_COPY = 1 << 26

#: Most dimensions of an array of NumPy.
MOST_DIMENSIONS = 64

#: Fields of a tensor that hold its values.
DATA_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")

#: Fields of an attribute that hold its value, and the number of the type that each belongs to.
VALUE_FIELDS = {
    "f": AttributeProto.FLOAT,
    "i": AttributeProto.INT,
    "s": AttributeProto.STRING,
    "t": AttributeProto.TENSOR,
    "g": AttributeProto.GRAPH,
    "sparse_tensor": AttributeProto.SPARSE_TENSOR,
    "tp": AttributeProto.TYPE_PROTO,
    "floats": AttributeProto.FLOATS,
    "ints": AttributeProto.INTS,
    "strings": AttributeProto.STRINGS,
    "tensors": AttributeProto.TENSORS,
    "graphs": AttributeProto.GRAPHS,
    "sparse_tensors": AttributeProto.SPARSE_TENSORS,
    "type_protos": AttributeProto.TYPE_PROTOS,
}

RIGHT = "name a whole ONNX file"

TWICE = "readers take the first or the last of them: export the network again"


def check_model(model: ModelProto, where: str) -> None:
    """Refuse a model that two readers could understand differently, or that holds what is no text.

    Raises
    ------
    InputError
        A text is no UTF-8; the network or a node has no output; no array can have the shape of a tensor; nodes wait for
        each other (`check_circles`); a call gives a local function more than it takes; or a fact is there twice: an
        attribute of a node, the value of an attribute or a tensor, the operator set of a domain, a function, the type
        of a value, or a name (`check_names`).
    """
    if not model.graph.output:
        raise InputError(where, "has no output", "export the network with its results")
    for message in messages(model):
        if not _has_texts(message) or (isinstance(message, NodeProto) and not message.output):
            raise InputError(where, "is damaged: a name is no text, or a node has no output", RIGHT)
    # Names are texts from here on, so that messages may show them.
    for message in messages(model):
        fault = _fault(message)
        if fault:
            raise InputError(where, fault, TWICE)
        if isinstance(message, TensorProto | SparseTensorProto):
            _check_shape(message, where)
    check_names(model, where)
    check_circles(model, where)
    _check_calls(model, where)


def _check_calls(model: ModelProto, where: str) -> None:
    """Refuse a call of a local function with more inputs or results than it has, which cannot be written out."""
    functions = {(item.domain, item.name, item.overload): item for item in model.functions}
    for message in messages(model) if functions else ():
        if not isinstance(message, NodeProto):
            continue
        called = functions.get((message.domain, message.op_type, message.overload))
        if called is None:
            continue
        for kind, given, taken in (("inputs", message.input, called.input), ("results", message.output, called.output)):
            if len(given) > len(taken):
                wrong = f"a node gives local function {called.name!r} {len(given)} {kind}, and it has {len(taken)}"
                raise InputError(where, wrong, "export the network again")


def check_sizes(model: ModelProto, where: str) -> None:
    """Raise an `InputError` that names an array with another number of bytes than its type and shape need.

    The model is of a sound form (`check_model`); arrays are in it or name a place (`dnnzip.onnx.lazy_tensors`).
    """
    for tensor in tensors(model):
        held, needed = _held(tensor), bytes_of(tensor)
        if held is not None and needed is not None and held != needed:
            raise InputError(
                where,
                f"tensor {tensor.name!r} holds {held} bytes, and its shape {_shape(tensor)} needs {needed}",
                RIGHT,
            )


def _check_shape(tensor: TensorProto | SparseTensorProto, where: str) -> None:
    name = tensor.name if isinstance(tensor, TensorProto) else tensor.values.name
    if len(tensor.dims) > MOST_DIMENSIONS:
        raise InputError(where, f"tensor {name!r} has {len(tensor.dims)} dimensions", f"{MOST_DIMENSIONS} are the most")
    # Of external data the reader says so, with its bytes.
    is_external = isinstance(tensor, TensorProto) and tensor.data_location == TensorProto.EXTERNAL
    if any(size < 0 for size in tensor.dims) and not is_external:
        raise InputError(where, f"tensor {name!r} has the shape {_shape(tensor)}", "no dimension may be below zero")


def _shape(tensor: TensorProto | SparseTensorProto) -> str:
    return f"({', '.join(map(str, tensor.dims))})"


def _held(tensor: TensorProto) -> int | None:
    """Return the bytes of an array that a tensor holds; None where it has texts, or elements that share a number.

    None as well where it is large: a look at its bytes copies them, and whoever reads them compares their number.
    """
    place = place_of(tensor)
    if place is not None:
        return place.length
    if tensor.ByteSize() > LARGEST_COPY:
        return None
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data)
    size = element_bytes(tensor)
    if size is None:
        return None
    is_complex = tensor.data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128)
    # Two numbers of these fields make an element of a complex type.
    return sum(len(getattr(tensor, name)) for name in DATA_FIELDS) * (size // 2 if is_complex else size)


def tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Visit every array of a model: initializers, sparse ones, attributes; inner graphs and functions too."""
    return (message for message in messages(model) if isinstance(message, TensorProto))


def messages(message: Message) -> Iterator[Message]:
    """Visit a message and every one inside it; the arrays of tensors are not touched."""
    yield message
    if isinstance(message, TensorProto):
        yield from message.external_data
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if hasattr(value, "extend") else (value,):
                yield from messages(inner)


def _has_texts(message: Message) -> bool:
    """Return True if the texts of a message are such: the parser takes any bytes, and returns them as bytes."""
    texts: list[object] = []
    if isinstance(message, TensorProto):
        texts = [message.name, message.doc_string]
    else:
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_STRING:
                texts += value if hasattr(value, "extend") else (value,)
    return all(isinstance(text, str) for text in texts)


def _fault(message: Message) -> str | None:
    """Name the fact that is in a message twice, or return None."""
    match message:
        case NodeProto():
            name = _repeated(entry.name for entry in message.attribute)
            return None if name is None else f"node {message.name or message.output[0]!r} has two attributes {name!r}"
        case AttributeProto():
            return _attribute_fault(message)
        case TensorProto():
            return _tensor_fault(message)
        case GraphProto():
            return _graph_fault(message)
        case ModelProto():
            called = _repeated(f"{item.domain}:{item.name}:{item.overload}" for item in message.functions)
            return f"has two functions {called!r}" if called else _opset_fault(message.opset_import)
        case FunctionProto():
            return _opset_fault(message.opset_import)
    return None


def _attribute_fault(entry: AttributeProto) -> str | None:
    # A value of zero may be left out by a writer, so that none is no fault.
    values = [name for name, _ in entry.ListFields() if name.name in VALUE_FIELDS]
    kinds = [VALUE_FIELDS[field.name] for field in values]
    if len(kinds) > 1:
        return f"attribute {entry.name!r} has two values"
    if kinds and entry.type not in (AttributeProto.UNDEFINED, kinds[0]):
        return f"attribute {entry.name!r} has another type than its value"
    return None


def _tensor_fault(tensor: TensorProto) -> str | None:
    held = sum(bool(len(getattr(tensor, name))) for name in DATA_FIELDS) + tensor.HasField("raw_data")
    held += tensor.data_location == TensorProto.EXTERNAL
    return f"tensor {tensor.name!r} holds its values twice" if held > 1 else None


def _graph_fault(graph: GraphProto) -> str | None:
    # The same type and shape again is no second one.
    name = _repeated(name for name, _ in {(value.name, value.SerializeToString()) for value in graph.value_info})
    return None if name is None else f"value {name!r} has two types or shapes"


def _opset_fault(entries: Iterable[OperatorSetIdProto]) -> str | None:
    # The standard operators have two names for their domain.
    domain = _repeated("" if entry.domain == "ai.onnx" else entry.domain for entry in entries)
    return None if domain is None else f"has two operator sets of the domain {domain or 'ai.onnx'!r}"


def _repeated(names: Iterable[str]) -> str | None:
    """Return the first name that has been there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
