"""Sizes that a user gives for what a network leaves open, and the sizes of the batch.

A dimension of an input is the batch's where it is the first and not said to be a sequence's, or where its name has
`BATCH` in it; it becomes 1. One is a sequence's where its name has one of `SEQUENCE` in it or is one of `SHORT`, or
where it has no name, comes second and the input has two or three dimensions: rows of tokens, or of features.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import onnx

from dnnzip.errors import InputError, field_name
from dnnzip.onnx.graph import fixed_size
from dnnzip.onnx.soundness import messages

#: Parts of the names of dimensions, in small letters.
BATCH = ("batch",)
SEQUENCE = ("seq", "len", "time", "token", "frame", "step")

#: Whole names of a sequence's, in small letters.
SHORT = ("s", "l", "t")

#: Parts of names that exporters make up for dimensions without one (tf2onnx, Paddle, PyTorch).
MADE_UP = ("unk__", "?", "dynamic")

#: Largest size of a dimension.
LARGEST_SIZE = (1 << 31) - 1

Dimension = onnx.TensorShapeProto.Dimension


@dataclass(frozen=True)
class GivenSizes:
    """Sizes that are given for open dimensions."""

    # Of inputs, or of other values of the top graph, by their names; of one number, of symbolic dimensions as well.
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    sequence: int | None = None  # of every dimension of a sequence

    def __post_init__(self) -> None:
        for name, shape in self.shapes.items():
            if not all(1 <= size <= LARGEST_SIZE for size in shape):
                text = "x".join(map(str, shape))
                wrong = f"{text!r} has a size that is out of range"
                raise InputError(f"{field_name('shape')} {name}", wrong, f"give sizes from 1 to {LARGEST_SIZE}")
        if self.sequence is not None and not 1 <= self.sequence <= LARGEST_SIZE:
            raise InputError(field_name("seq_len"), f"{self.sequence} is out of range", f"give 1 to {LARGEST_SIZE}")


@dataclass(frozen=True)
class OpenDimension:
    """A dimension of an input that no size is known of."""

    input: str
    position: int  # from 0
    name: str  # empty where it has none
    is_sequence: bool


def set_sizes(model: onnx.ModelProto, given: GivenSizes) -> list[OpenDimension]:
    """Write given sizes, and those of the batch, into a model's declarations, in place; return what stays open.

    Raises
    ------
    InputError
        A given size names nothing, or contradicts the network.
    """
    _clear_unknown(model)
    sizes: dict[str, int] = {}
    for name, shape in given.shapes.items():
        _set_given(model, name, shape, sizes)
    for _, dimension, is_sequence, _ in _inputs(model):
        if is_sequence and given.sequence is not None:
            _fix(dimension, given.sequence, sizes)
    for _, dimension, is_sequence, position in _inputs(model):
        name = str(dimension.dim_param)
        is_batch = any(part in name.lower() for part in BATCH)
        # A first dimension is one sample, or one step, unless the user says how many.
        if is_batch or (position == 0 and name not in sizes and not (is_sequence and given.sequence)):
            _fix(dimension, 1, sizes)
    _replace_names(model, sizes)
    return [
        OpenDimension(str(value.name), position, str(dimension.dim_param), is_sequence)
        for value, dimension, is_sequence, position in _inputs(model)
    ]


def _clear_unknown(model: onnx.ModelProto) -> None:
    """Leave out the sizes of open dimensions that old exporters write as -1 or 0."""
    for message in messages(model.graph):
        if isinstance(message, Dimension) and fixed_size(message) is None:
            message.ClearField("dim_value")


def _inputs(model: onnx.ModelProto) -> Iterator[tuple[onnx.ValueInfoProto, Dimension, bool, int]]:
    """Yield the open dimensions of inputs that have no default: the input, whether it is a sequence's, its position."""
    defaults = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for position, dimension in enumerate(dims):
            if value.name not in defaults and fixed_size(dimension) is None:
                yield value, dimension, is_sequence(dimension.dim_param, position, len(dims)), position


def is_sequence(name: str, position: int, rank: int) -> bool:
    """Return True if a dimension of an input is a sequence's.

    Parameters
    ----------
    name
        Its symbolic name, empty where it has none.
    position
        Its position in the input's shape, from 0.
    rank
        Number of the input's dimensions.
    """
    small = name.lower()
    if any(part in small for part in BATCH):
        return False
    has_no_name = not name or any(part in small for part in MADE_UP)
    is_named = small in SHORT or any(part in small for part in SEQUENCE)
    return is_named or (has_no_name and position == 1 and rank in (2, 3))


def _fix(dimension: Dimension, size: int, sizes: dict[str, int]) -> None:
    if dimension.dim_param:
        sizes.setdefault(dimension.dim_param, size)
        size = sizes[dimension.dim_param]
    dimension.dim_value = size


def _set_given(model: onnx.ModelProto, name: str, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    where = f"{field_name('shape')} {name}={'x'.join(map(str, shape))}"
    value = next((value for value in model.graph.input if value.name == name), None)
    if value is not None:
        _set_shape(value, shape, where, sizes)
    elif any(name in node.output for node in model.graph.node):
        for values in (model.graph.value_info, model.graph.output):
            for known in values:
                if known.name == name:
                    known.type.tensor_type.ClearField("shape")
                    known.type.tensor_type.shape.dim.extend(Dimension(dim_value=size) for size in shape)
                    return
        # The element type plays no part in sizes.
        info = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        model.graph.value_info.append(info)
    elif len(shape) == 1 and name in _names(model):
        sizes[name] = shape[0]
        _replace_names(model, sizes)
    else:
        known = [value.name for value in model.graph.input] + sorted(_names(model))
        raise InputError(where, "names no input and no open dimension", f"give one of {', '.join(known) or 'none'}")


def _set_shape(value: onnx.ValueInfoProto, shape: tuple[int, ...], where: str, sizes: dict[str, int]) -> None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        tensor.shape.dim.extend(Dimension() for _ in shape)
    dims = tensor.shape.dim
    text = "x".join(str(fixed_size(dim) or dim.dim_param or "?") for dim in dims)
    if len(dims) != len(shape):
        raise InputError(where, f"the input is {text or 'a scalar'}", f"give {len(dims)} sizes")
    for dimension, size in zip(dims, shape, strict=True):
        fixed = fixed_size(dimension) or sizes.get(dimension.dim_param, size)
        if fixed != size:
            raise InputError(where, f"{size} contradicts the input's {text}", f"give {fixed} there")
        _fix(dimension, size, sizes)


def _names(model: onnx.ModelProto) -> set[str]:
    return {
        str(dimension.dim_param)
        for value in model.graph.input
        for dimension in value.type.tensor_type.shape.dim
        if dimension.dim_param
    }


def _replace_names(model: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    for message in messages(model.graph):
        if isinstance(message, Dimension) and message.dim_param in sizes and message.dim_param:
            message.dim_value = sizes[message.dim_param]
