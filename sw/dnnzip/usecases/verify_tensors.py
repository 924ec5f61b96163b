"""The check of a compressed weight file against its original: weights against their bounds, and all else bit by bit."""

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from dnnzip.errors import InputError
from dnnzip.quantize.bound import Bound
from dnnzip.quantize.grid import IntegerGrid
from dnnzip.quantize.tolerance import bounds_of, largest_errors
from dnnzip.usecases.verify import LayerCheck, Verification, check_errors, false_statements
from dnnzip.weight_files.chunk_reader import ChunkReader
from dnnzip.weight_files.compressed import CompressedFile, CompressedTensor
from dnnzip.weight_files.compression import FileWeights
from dnnzip.weight_files.entry import Entry, WeightFile
from dnnzip.weight_files.rules import broken_rule

#: Bytes that are compared at once.
COMPARED = 1 << 20


def verify_tensors(original: WeightFile, compressed: CompressedFile) -> Verification:
    """Compare every compressed tensor with its original, and all else with what the original holds.

    Raises
    ------
    InputError
        A compressed tensor is not in the original or of another shape or type there, or its stream is damaged.
    """
    entries = {entry.name: entry for entry in original.entries}
    checks: list[LayerCheck] = []
    found: list[str] = []
    for tensor in compressed.tensors:
        weight = _original(entries, tensor, original.where)
        check, lines = _checked(weight, tensor, compressed.tables)
        checks.append(check)
        found += lines
    found += _differences(original, entries, compressed)
    return Verification(tuple(checks), tuple(found), ())


def _original(entries: Mapping[str, Entry], tensor: CompressedTensor, where: str) -> FileWeights:
    """Return the original of a compressed tensor."""
    entry = entries.get(tensor.name)
    scope = tensor.grid.scope
    if entry is None or entry.shape != tensor.shape or broken_rule(entry) is not None:
        wrong = f"has no weights {tensor.name!r} of shape {list(tensor.shape)}"
        raise InputError(where, wrong, "name the file that it was made from")
    weight = FileWeights(entry, scope, where)
    if weight.element != tensor.element or weight.form != tensor.form:
        wrong = f"has {tensor.name!r} as {weight.element.name}, and it was made from {tensor.element.name}"
        raise InputError(where, wrong, "name the file that it was made from")
    return weight


def _checked(weight: FileWeights, tensor: CompressedTensor, tables: bytes) -> tuple[LayerCheck, list[str]]:
    """Return a tensor's largest error against its bound, and lines on what it says of them wrongly."""
    grid, layout = tensor.grid, weight.layout
    bounds = np.atleast_1d(bounds_of(weight, Bound.parse(grid.spec), grid.scope))
    if isinstance(grid, IntegerGrid) and grid.divisor > 1:
        restored, divisor = layout.from_channels(tensor.codes(tables)), grid.divisor
    else:
        restored, divisor = tensor.decode(tables).reshape(layout.shape), 1
    errors = np.atleast_1d(largest_errors(weight, restored, divisor, grid.scope))
    check = check_errors(tensor.name, weight.entry.size, bounds, errors)
    said = (grid.max_error, grid.max_bound, grid.spec)
    return check, list(false_statements(tensor.name, said, bounds, errors))


def _differences(original: WeightFile, entries: Mapping[str, Entry], compressed: CompressedFile) -> Iterator[str]:
    """Yield a line for each difference in names, tensors that are left out, and metadata."""
    for name in sorted(entries.keys() ^ set(compressed.order)):
        yield f"tensor {name!r} is in {'the original' if name in entries else 'the compressed file'} alone"
    for item in compressed.left_out:
        entry = entries.get(item.entry.name)
        if entry is not None and not _are_equal(entry, item.entry):
            yield f"tensor {entry.name!r} is not as it was"
    ours, theirs = _texts(original), _texts(compressed)
    for key in sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)):
        yield f"metadata {key!r} is not as it was"


def _texts(file: WeightFile | CompressedFile) -> dict[str, Any]:
    """Return the metadata of all files as one; an index's count of bytes changes, and is none of them."""
    return {key: text for one in reversed(file.metadata) for key, text in one.items()}


def _are_equal(left: Entry, right: Entry) -> bool:
    """Return True if two tensors have type, shape and bytes in common."""
    # A file of another kind names its types in another way; to NumPy, None is float64.
    facts = [
        (entry.type_name if entry.dtype is None else str(entry.dtype), entry.shape, entry.content.length)
        for entry in (left, right)
    ]
    if facts[0] != facts[1]:
        return False
    pieces = (_pieces(entry) for entry in (left, right))
    return all(one == other for one, other in zip_longest(*pieces))


def _pieces(entry: Entry) -> Iterator[bytes]:
    """Visit a tensor's bytes in pieces of one size."""
    reader = ChunkReader(entry.content.chunks())
    while piece := reader.read(COMPARED):
        yield piece
