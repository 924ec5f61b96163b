"""Compression of a weight file: tensors chosen, put on their grids, encoded with one table set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import CodecOptions
from dnnzip.encoding import Encoding, Reading, encode_weights
from dnnzip.errors import InputError, field_name
from dnnzip.quantize.bound import AnyBound, Scope
from dnnzip.quantize.element_type import ElementType, element_type
from dnnzip.quantize.layout import Layout, kernel_of
from dnnzip.quantize.tolerance import check_bound, suits_unit
from dnnzip.system.spool import Place
from dnnzip.tensor_file import Form, row_count
from dnnzip.weight_files.compressed import AGAIN, CompressedFile, CompressedTensor, LeftOutEntry, is_compressed
from dnnzip.weight_files.entry import Entry, WeightFile
from dnnzip.weight_files.rules import HAS_BOUND, IS_SELECTED, SUITS_UNIT, broken_rule


@dataclass(frozen=True)
class TensorOptions:
    """Options of a compression of tensors."""

    # Largest error on a weight: one for all tensors, or globs on their names to bounds. A tensor takes that of its own
    # name, or else of the first glob that it matches.
    bounds: AnyBound | Mapping[str, AnyBound]
    scope: Scope = Scope.TENSOR  # over which weights the range of a percentage is taken
    # Globs on the names of the tensors to compress and not to compress.
    layers: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    codec: CodecOptions = field(default_factory=CodecOptions)  # how the streams are coded


@dataclass(frozen=True, eq=False)
class FileWeights:
    """Weights of a file; see `dnnzip.quantize.weights.Weights`."""

    entry: Entry  # the tensor
    scope: Scope  # over which weights the range of a percentage is taken
    where: str  # the file, for messages

    @property
    def name(self) -> str:
        """Name of the tensor."""
        return self.entry.name

    @property
    def form(self) -> Form:
        """Shape, and the rows that it is coded in."""
        return Form(self.entry.shape, 0, row_count(self.entry.shape))

    @property
    def layout(self) -> Layout:
        """The rows, and the kernel of four dimensions."""
        form, shape = self.form, self.entry.shape
        kernel = kernel_of(shape[2:]) if len(shape) == 4 and form.rows == shape[0] else (1, 1)
        return Layout(form.layout.shape, 0, kernel=kernel)

    @property
    def element(self) -> ElementType:
        """Type of the weights."""
        element = None if self.entry.dtype is None else element_type(self.entry.dtype)
        assert element is not None, "left out by a rule"
        return element

    @property
    def zero_point(self) -> NDArray[np.generic] | None:
        """Zero: a file of tensors says nothing about it."""
        return np.zeros((), self.element.dtype) if self.element.is_integer else None

    @property
    def array(self) -> NDArray[np.generic]:
        """The weights as rows; read at each call."""
        return self.entry.array(self.where).reshape(self.form.layout.shape)


@dataclass(frozen=True, eq=False)
class Plan:
    """Tensors to compress, after every option has been checked."""

    weights: tuple[FileWeights, ...]  # the tensors
    bounds: tuple[AnyBound, ...]  # the bound of each
    left_out: tuple[LeftOutEntry, ...]  # the others


def plan(file: WeightFile, options: TensorOptions) -> Plan:
    """Choose the tensors to compress.

    Raises
    ------
    InputError
        The file is compressed already, has no weights that can be compressed, a glob matches nothing, or a bound does
        not suit.
    """
    if is_compressed(file):
        raise InputError(file.where, "is compressed already", "give the plain weights")
    _check_globs(file.entries, options)
    weights, bounds, left_out = [], [], []
    for entry in file.entries:
        bound = _bound_of(entry.name, options.bounds)
        rule = broken_rule(entry) or _unselected(entry, bound, options)
        weight = FileWeights(entry, options.scope, file.where)
        if rule is None and bound is not None and suits_unit(weight, bound):
            weights.append(weight)
            bounds.append(bound)
        else:
            left_out.append(LeftOutEntry(entry, rule or SUITS_UNIT))
    if not weights:
        reasons = "; ".join(sorted({item.rule for item in left_out}))
        raise InputError(file.where, "has no weights to compress", reasons or "give a file with tensors")
    for bound in dict.fromkeys(bounds):
        own = [weight for weight, one in zip(weights, bounds, strict=True) if one == bound]
        check_bound(own, bound, options.scope)
    return Plan(tuple(weights), tuple(bounds), tuple(left_out))


def compress(
    file: WeightFile,
    options: TensorOptions,
    planned: Plan,
    store: Callable[[bytes], bytes | Place],
    progress: Callable[[str], None] | None = None,
) -> CompressedFile:
    """Compress the tensors of a weight file, tensor by tensor: one pass for the table set, one to encode.

    Parameters
    ----------
    file
        The plain weights.
    options
        Bounds, selection and codec.
    planned
        Result of `plan` for them.
    store
        Puts a stream away, and returns what to keep of it.
    progress
        Called with a tensor's name in each pass.

    Raises
    ------
    InputError
        Weights are not finite or cannot be read, or a given table set cannot express them.
    """
    encodings = [Encoding(bound, options.scope, options.codec) for bound in planned.bounds]
    try:
        tables, encoded = encode_weights(planned.weights, encodings, store, progress, progress)
    except ValueError as error:
        if options.codec.table_set is None:
            raise
        raise InputError(
            field_name("tables"), f"does not suit these weights ({error})", "train a set on them"
        ) from None
    tensors = tuple(
        CompressedTensor(
            weight.name,
            weight.form,
            item.grid,
            item.codec,
            item.stream,
            Reading(f"{file.where}: tensor {weight.name!r}", AGAIN),
            weight.entry.shard,
        )
        for weight, item in zip(planned.weights, encoded, strict=True)
    )
    names = tuple(entry.name for entry in file.entries)
    return CompressedFile(file.where, tensors, planned.left_out, names, tables, file.metadata, file.index, file.notes)


def _matches(name: str, glob: str) -> bool:
    # A name may itself hold brackets; written out in full it means itself.
    return name == glob or fnmatchcase(name, glob)


def _bound_of(name: str, bounds: AnyBound | Mapping[str, AnyBound]) -> AnyBound | None:
    if not isinstance(bounds, Mapping):
        return bounds
    if name in bounds:
        return bounds[name]
    return next((bound for glob, bound in bounds.items() if fnmatchcase(name, glob)), None)


def _unselected(entry: Entry, bound: AnyBound | None, options: TensorOptions) -> str | None:
    """Return the sentence of the rule by which a tensor is not chosen, or None."""
    is_chosen = not options.layers or any(_matches(entry.name, glob) for glob in options.layers)
    if not is_chosen or any(_matches(entry.name, glob) for glob in options.exclude):
        return IS_SELECTED
    return HAS_BOUND if bound is None else None


def _check_globs(entries: Sequence[Entry], options: TensorOptions) -> None:
    """Refuse a glob that matches no tensor."""
    by_name = () if not isinstance(options.bounds, Mapping) else tuple(options.bounds)
    fields = (("layers", options.layers), ("exclude", options.exclude), ("max_error", by_name))
    for name, globs in fields:
        for glob in globs:
            if not any(_matches(entry.name, glob) for entry in entries):
                raise InputError(f"{field_name(name)} {glob!r}", "matches no tensor", "give a glob on their names")
