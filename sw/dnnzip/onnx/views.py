"""Operators through which a constant goes on its way to the operator that reads it as its weight.

They move, cast or scale it, so that its channels are still channels where it arrives: a `View` knows each axis of the
array that is seen by the axis of the stored one. Names, and so exporters' habits, play no part.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx
from onnx import numpy_helper

from dnnzip.onnx.graph import GraphIndex, Use, attribute, is_standard, list_attribute, operand
from dnnzip.onnx.lazy_tensors import place_of
from dnnzip.quantize.layout import Layout

#: Operators that keep the shape and change values at most by rounding or scaling, by domain; they read the value first.
UNARY: dict[str, frozenset[str]] = {
    "": frozenset(("Identity", "Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "Clip", "Round")),
    "com.microsoft": frozenset(("QuantizeLinear", "DequantizeLinear")),
    # Sources: the operators' pages of QONNX and Brevitas.
    "qonnx.custom_op.general": frozenset(("Quant", "IntQuant", "BipolarQuant", "FloatQuant", "Trunc")),
    "onnx.brevitas": frozenset(("Quant", "IntQuant", "BipolarQuant", "FloatQuant", "Trunc")),
    "finn.custom_op.general": frozenset(("Quant", "BipolarQuant", "Trunc")),
}

#: Operators that scale or shift by a constant that is smaller than the weight.
SCALING = frozenset(("Mul", "Div", "Add", "Sub"))

#: Operators that read the shape alone.
SHAPE_READERS = frozenset(("Shape", "Size"))


@dataclass(frozen=True)
class View:
    """An array as it is seen behind some operators."""

    shape: tuple[int | None, ...]  # its shape; None for sizes that are not known
    # For each axis the stored array's axis that it is; None where it is a part or a product of such.
    axes: tuple[int | None, ...]

    @classmethod
    def of(cls, shape: Sequence[int]) -> "View":
        """Return the view of an array as it is stored."""
        return cls(tuple(shape), tuple(range(len(shape))))

    def stored_axis(self, axis: int) -> int | None:
        """Return the stored array's axis that an axis is, counted from the end where negative; None where none is."""
        return self.axes[axis] if -len(self.axes) <= axis < len(self.axes) else None

    def layout(self, stored: tuple[int, ...], layout_of: Callable[[tuple[int, ...]], Layout]) -> Layout:
        """Return channels and kernel of the stored array.

        Parameters
        ----------
        stored
            Its shape.
        layout_of
            Layout of the array that is seen, by its shape.
        """
        if self == View.of(stored):
            return layout_of(stored)
        sizes = (
            size or (1 if axis is None else stored[axis]) for size, axis in zip(self.shape, self.axes, strict=True)
        )
        seen = layout_of(tuple(sizes))
        axis = self.stored_axis(seen.axis) if seen.shape else None
        if axis is None:
            return Layout(stored, 0)
        is_grouped = seen.group > 1 and axis != 0 and self.axes[0] == 0 and stored[0] % seen.group == 0
        return Layout(stored, axis, seen.group if is_grouped else 1)


def through(use: Use, view: View, index: GraphIndex) -> View | None:
    """Return the view behind a node that reads a constant's view, None where it does something else with it.

    Parameters
    ----------
    use
        The node, and the input by which it reads.
    view
        The array that it reads.
    index
        Names of the model.
    """
    node = use.node
    if node.op_type in UNARY.get("" if is_standard(node) else node.domain, ()):
        return view if use.index == 0 else None
    if not is_standard(node):
        return None
    if node.op_type in SCALING:
        return _scaled(use, view, index)
    change = _CHANGES.get(node.op_type)
    return None if change is None or (use.index != 0 and node.op_type != "Concat") else change(node, view, index)


def _scaled(use: Use, view: View, index: GraphIndex) -> View | None:
    """Return the view behind the addition or product of a smaller constant, which broadcasts to the view's shape."""
    other = _constant_behind(operand(use.node, 1 - use.index), index)
    if other is None or (use.node.op_type == "Div" and use.index != 0):
        return None
    dims = tuple(other.dims)
    size = math.prod(d or 1 for d in view.shape)
    is_smaller = len(dims) <= len(view.shape) and math.prod(dims) < size
    return view if is_smaller else None


def _constant_behind(name: str, index: GraphIndex) -> onnx.TensorProto | None:
    """Return the initializer that a name is, or that an Identity or Cast of it is."""
    producer = index.producers.get(name)
    while producer is not None and producer.op_type in ("Identity", "Cast") and is_standard(producer):
        name = operand(producer, 0)
        producer = index.producers.get(name)
    return index.initializers.get(name)


def _transposed(node: onnx.NodeProto, view: View, index: GraphIndex) -> View | None:
    del index
    rank = len(view.shape)
    order = list_attribute(node, "perm") or list(reversed(range(rank)))
    if sorted(order) != list(range(rank)):
        return None
    return View(tuple(view.shape[i] for i in order), tuple(view.axes[i] for i in order))


def _reshaped(node: onnx.NodeProto, view: View, index: GraphIndex) -> View | None:
    wanted = list_attribute(node, "shape") or _numbers(operand(node, 1), index)
    if wanted is None:
        # Of two axes, which is enough for an operator that takes a matrix.
        return View((None, None), (None, None))
    if not attribute(node, "allowzero", 0):
        return _with_shape(view, [_kept_size(view, i) if size == 0 else size for i, size in enumerate(wanted)])
    return _with_shape(view, wanted)


def _kept_size(view: View, axis: int) -> int | None:
    return view.shape[axis] if axis < len(view.shape) else 0


def _flattened(node: onnx.NodeProto, view: View, index: GraphIndex) -> View | None:
    del index
    axis = attribute(node, "axis", 1)
    axis = axis + len(view.shape) if axis < 0 else axis
    if None in view.shape or not 0 <= axis <= len(view.shape):
        return None
    return _with_shape(view, [math.prod(d or 0 for d in view.shape[:axis]), -1])


def _with_shape(view: View, sizes: Sequence[int | None]) -> View:
    """Return a view in another shape, in which -1 is what is left: axes with the same values around them stay."""
    if None in view.shape or None in sizes:
        return View(tuple(None for _ in sizes), tuple(None for _ in sizes))
    old, total = [d or 0 for d in view.shape], math.prod(d or 0 for d in view.shape)
    known = math.prod(d or 0 for d in sizes if d != -1)
    new = [(total // known if known else 0) if d == -1 else (d or 0) for d in sizes]
    kept = {(math.prod(old[:i]), size): view.axes[i] for i, size in enumerate(old)}
    return View(tuple(new), tuple(kept.get((math.prod(new[:i]), size)) for i, size in enumerate(new)))


def _squeezed(node: onnx.NodeProto, view: View, index: GraphIndex) -> View | None:
    rank = len(view.shape)
    axes = list_attribute(node, "axes") or _numbers(operand(node, 1), index)
    if axes is None:
        axes = [i for i, size in enumerate(view.shape) if size == 1] if len(node.input) < 2 else None
    if axes is None or not all(-rank <= axis < rank for axis in axes):
        return None
    gone = {axis % rank for axis in axes}
    kept = [i for i in range(rank) if i not in gone]
    return View(tuple(view.shape[i] for i in kept), tuple(view.axes[i] for i in kept))


def _unsqueezed(node: onnx.NodeProto, view: View, index: GraphIndex) -> View | None:
    axes = list_attribute(node, "axes") or _numbers(operand(node, 1), index)
    if axes is None:
        return None
    rank = len(view.shape) + len(axes)
    if not all(-rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) != len(axes):
        return None
    new = {axis % rank for axis in axes}
    old = iter(zip(view.shape, view.axes, strict=True))
    pairs = [(1, None) if i in new else next(old) for i in range(rank)]
    return View(tuple(size for size, _ in pairs), tuple(axis for _, axis in pairs))


def _cut(node: onnx.NodeProto, view: View, index: GraphIndex) -> View | None:
    """Return a part of a view: its axes are the same, their sizes not known."""
    del node, index
    return replace(view, shape=tuple(None for _ in view.shape))


def _joined(node: onnx.NodeProto, view: View, index: GraphIndex) -> View | None:
    """Return a view that is put together with other constants; with activations it is none."""
    if index.is_inside(node) or not all(name in index.constants for name in node.input):
        return None
    return _cut(node, view, index)


def _numbers(name: str, index: GraphIndex) -> list[int] | None:
    """Return a constant list of whole numbers, None where it is none."""
    tensor = index.initializers.get(name)
    if tensor is None or place_of(tensor) is not None or tensor.data_type != onnx.TensorProto.INT64:
        return None
    return [int(value) for value in numpy_helper.to_array(tensor).reshape(-1)]


_CHANGES: dict[str, Callable[[onnx.NodeProto, View, GraphIndex], View | None]] = {
    "Transpose": _transposed,
    "Reshape": _reshaped,
    "Flatten": _flattened,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Slice": _cut,
    "Split": _cut,
    "Concat": _joined,
}


def keeps_weights(node: onnx.NodeProto) -> bool:
    """Return True if a node makes another view of a constant weight, and of constants that are smaller."""
    if node.op_type in UNARY.get("" if is_standard(node) else node.domain, ()):
        return True
    return is_standard(node) and (node.op_type in SCALING or node.op_type in _CHANGES)
