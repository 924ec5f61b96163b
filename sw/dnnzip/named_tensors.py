"""Named tensors without a network: dictionaries of arrays and weight files, compressed within a bound, read lazily.

>>> import numpy as np
>>> import dnnzip
>>> rng = np.random.default_rng(0)
>>> arrays = {"fc.weight": rng.normal(size=(64, 32)).astype(np.float32), "fc.bias": np.zeros(64, np.float32)}
>>> compressed = dnnzip.compress_tensors(arrays, {"fc.*": "2%"})
>>> compressed["fc.weight"].shape, compressed["fc.weight"].is_compressed, compressed["fc.bias"].is_compressed
((64, 32), True, False)
>>> bool(np.abs(compressed["fc.weight"].decode() - arrays["fc.weight"]).max() <= compressed["fc.weight"].bound)
True
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from dnnzip.codec import CodecOptions
from dnnzip.encoding import Encoding, encoding_of, log2_states
from dnnzip.errors import InputError
from dnnzip.format import AUTO
from dnnzip.html_table import html_table
from dnnzip.presentation.tables import sizes_table
from dnnzip.quantize.bound import AnyBound
from dnnzip.system.outputs import OutputSet
from dnnzip.tensor import ErrorScope
from dnnzip.usecases.summary import Summary
from dnnzip.usecases.table_file import read_table_set
from dnnzip.usecases.tensor_sizes import summarise_tensors
from dnnzip.usecases.verify import Verification
from dnnzip.usecases.verify_tensors import verify_tensors
from dnnzip.weight_files.compressed import CompressedFile, CompressedTensor, is_compressed, open_compressed
from dnnzip.weight_files.compression import TensorOptions, compress, plan
from dnnzip.weight_files.entry import ArrayContent, Entry, WeightFile
from dnnzip.weight_files.files import (
    Kind,
    further_files,
    output_kind,
    read_weight_file,
    write_compressed,
    write_weight_file,
)
from dnnzip.weight_files.sharded import shards_there

__all__ = ["CompressedTensors", "StoredTensor", "Tensors", "compress_tensors", "open_tensors"]

NAME = "tensors"

PathLike = str | os.PathLike[str]
Source = PathLike | Mapping[str, ArrayLike]


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor of a file or a dictionary, decoded when it is asked for."""

    name: str  # the name
    shape: tuple[int, ...]  # the shape
    dtype: np.dtype[np.generic] | None  # its NumPy type; None where NumPy has none
    rule: str  # sentence of the rule that left it uncompressed; empty where it is compressed, or in a plain file
    _file: CompressedFile | WeightFile
    _content: CompressedTensor | Entry

    @property
    def is_compressed(self) -> bool:
        """True if its values are those of a compressed stream."""
        return isinstance(self._content, CompressedTensor)

    @property
    def max_error(self) -> float:
        """Largest error made, |w - w'|; of integers in steps. Zero where it is not compressed."""
        return self._content.grid.max_error if isinstance(self._content, CompressedTensor) else 0.0

    @property
    def bound(self) -> float:
        """Largest error tolerated in any channel, in the unit of `max_error`."""
        return self._content.grid.max_bound if isinstance(self._content, CompressedTensor) else 0.0

    def decode(self) -> NDArray[np.generic]:
        """Read the values: a new array of its shape and type.

        Raises
        ------
        InputError
            The file cannot be read any more, a stream is damaged, or NumPy has no such type.
        """
        if isinstance(self._content, CompressedTensor):
            assert isinstance(self._file, CompressedFile)
            return self._content.decode(self._file.tables)
        return self._content.array(self._file.where)

    def __getitem__(self, key: Any) -> Any:
        return self.decode()[key]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a stored tensor is always read into a new array")
        return self.decode() if dtype is None else self.decode().astype(dtype)

    def __repr__(self) -> str:
        kind = f"compressed, max_error {self.max_error:.4g} of {self.bound:.4g}" if self.is_compressed else "as it is"
        return f"<dnnzip.StoredTensor {self.name!r} {self.dtype}{list(self.shape)}, {kind}>"


class Tensors(Mapping[str, StoredTensor]):
    """Tensors of a weight file by name, each read when it is asked for; `open_tensors` makes it."""

    def __init__(self, file: CompressedFile | WeightFile, paths: Sequence[Path] = ()) -> None:
        self._file = file
        self._paths = paths
        if isinstance(file, WeightFile):
            self._tensors = {entry.name: self._plain(entry, "") for entry in file.entries}
            return
        found = {item.entry.name: self._plain(item.entry, item.rule) for item in file.left_out}
        for tensor in file.tensors:
            dtype = tensor.element.dtype
            found[tensor.name] = StoredTensor(tensor.name, tensor.shape, dtype, "", file, tensor)
        self._tensors = {name: found[name] for name in file.order}

    def _plain(self, entry: Entry, rule: str) -> StoredTensor:
        return StoredTensor(entry.name, entry.shape, entry.dtype, rule, self._file, entry)

    @property
    def metadata(self) -> dict[str, str]:
        """The file's texts, such as the ``__metadata__`` of safetensors; those of all shards as one."""
        return WeightFile("", (), self._file.metadata).merged_metadata()

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines on how the file was read, such as quantised types of GGUF that are taken as float32."""
        return self._file.notes

    def __getitem__(self, name: str) -> StoredTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"<dnnzip.Tensors {len(self)} tensors of {self._file.where}>"


class CompressedTensors(Tensors):
    """Compressed tensors by name, each decoded when it is asked for; `compress_tensors` and `open_tensors` make it."""

    _file: CompressedFile

    def __init__(self, file: CompressedFile, paths: Sequence[Path] = ()) -> None:
        super().__init__(file, paths)
        self._summary = summarise_tensors(file)

    @property
    def sizes(self) -> Summary:
        """The totals as numbers; ``sizes.as_json()`` is the JSON of ``dnnzip compress``."""
        return self._summary

    @property
    def left_out(self) -> dict[str, str]:
        """Name of each tensor that stays as it is, to the rule that leaves it out."""
        return {item.entry.name: item.rule for item in self._file.left_out}

    @property
    def bits_per_weight(self) -> float:
        """Bits for each compressed weight: streams with headers and checksums, table set, steps."""
        return self._summary.bits_per_weight

    @property
    def ratio(self) -> float:
        """Ratio of 32 bits for each compressed weight to the bits that it takes."""
        return self._summary.ratio_fp32

    def summary(self) -> str:
        """Return sizes and errors, tensor by tensor, as a table in Markdown."""
        return sizes_table(self._summary).markdown()

    def save(self, path: PathLike) -> None:
        """Write the compressed file, and the shards of an index, whole or not at all.

        Parameters
        ----------
        path
            The file; its ending says the kind: ``.safetensors``, ``.safetensors.index.json`` or ``.npz``.

        Raises
        ------
        InputError
            The path cannot be written, says no kind, or is a file that these tensors are read from.
        """
        kind = self._kind(path)
        with OutputSet() as outputs:
            write_compressed(self._file, Path(path), kind, outputs)

    def decompress(self, path: PathLike) -> None:
        """Write the plain weights; see `save`.

        Raises
        ------
        InputError
            See `save`; or a stream is damaged.
        """
        kind = self._kind(path)
        with OutputSet() as outputs:
            write_weight_file(self._file.decompressed(), Path(path), kind, outputs)

    def verify(self, original: "Source | Tensors") -> Verification:
        """Compare all tensors with their originals, as ``dnnzip verify`` does.

        Raises
        ------
        InputError
            A compressed tensor is not among the originals, or is damaged.
        """
        return verify_tensors(_weight_file(original), self._file)

    def _kind(self, path: PathLike) -> Kind:
        """Return the kind of an output, after it has been found to be none of the inputs."""
        target = Path(path)
        kind = output_kind(target, Kind.SAFETENSORS)
        written = [target, *(shards_there(target) if kind is Kind.SHARDED else ())]
        for place in (path for path in written if path.exists()):
            if any(source.exists() and place.samefile(source) for source in self._paths):
                raise InputError(str(place), "is a file that these tensors are read from", "give another name")
        return kind

    def _repr_html_(self) -> str:
        table = sizes_table(self._summary)
        return html_table(table.header, [*table.rows, table.total], f"{self!r}")

    def __repr__(self) -> str:
        return (
            f"<dnnzip.CompressedTensors {len(self._file.tensors)} tensors, {self._summary.weights:,} weights, "
            f"{self.bits_per_weight:.3f} bits/weight, ratio {self.ratio:.2f}, {len(self._file.left_out)} left out>"
        )


@dataclass(frozen=True)
class _Streams:
    """Options of the streams, as `dnnzip.tensor.compress` has them, and a table set."""

    error_scope: ErrorScope = "tensor"
    codec: str = AUTO
    tables: PathLike | None = None
    states: Literal[256, 512, 1024] = 512
    virtual_lanes: int | None = None
    groups: int = 1
    jobs: int = 1

    def encoding(self, max_error: str | float) -> Encoding:
        """Return the checked options, with a bound."""
        bits = log2_states(self.states)
        known = None if self.tables is None else read_table_set(os.fspath(self.tables), bits)
        options = CodecOptions(self.codec, bits, self.virtual_lanes, self.groups, known, self.jobs)
        return encoding_of(max_error, self.error_scope, options)


class StreamOptions(TypedDict, total=False):
    """Options of `compress_tensors` that `dnnzip.compress` and `dnnzip.compress_model` have as well."""

    error_scope: ErrorScope
    codec: str
    tables: PathLike | None
    states: Literal[256, 512, 1024]
    virtual_lanes: int | None
    groups: int
    jobs: int


def compress_tensors(
    tensors: Source,
    max_error: str | float | Mapping[str, str | float],
    *,
    layers: Sequence[str] = (),
    exclude: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
    **options: Unpack[StreamOptions],
) -> CompressedTensors:
    """Compress arrays by name, or a weight file, with one table set; ``dnnzip compress`` does it with files.

    Compressed are arrays of at least two dimensions, whose output channels are those of the first. Others stay as they
    are, and `CompressedTensors.left_out` has the rule.

    Parameters
    ----------
    tensors
        Arrays by name; or the path of a safetensors file, of the index of a sharded one, of an ``.npz`` or a GGUF file.
    max_error
        A bound as in `dnnzip.tensor.compress`, for all tensors; or globs on their names to bounds, of which a tensor
        takes that of its own name, or else the first that it matches. Tensors without one are left out.
    layers, exclude
        Globs on the names of the tensors to compress and not to compress.
    progress
        Called with each tensor's name as it is put on its grid, and again as it is encoded.
    **options
        ``error_scope``, ``codec``, ``states``, ``virtual_lanes``, ``groups``, ``jobs`` as in `dnnzip.tensor.compress`;
        ``tables`` as in `dnnzip.api.compress_model`.

    Raises
    ------
    InputError
        A file cannot be read, nothing can be compressed, weights are not finite, a glob matches nothing, or an option
        does not suit.
    TypeError
        A bound is neither text nor a number, a name is no text, or there is no such option.
    """
    streams = _Streams(**options)
    file = _weight_file(tensors)
    if isinstance(max_error, Mapping):
        encodings = {name: streams.encoding(bound) for name, bound in max_error.items()}
        if not encodings:
            raise InputError("max_error", "is empty", "give a bound, or globs on names to bounds")
        bounds: AnyBound | dict[str, AnyBound] = {name: one.bound for name, one in encodings.items()}
        encoding = next(iter(encodings.values()))
    else:
        encoding = streams.encoding(max_error)
        bounds = encoding.bound
    chosen = TensorOptions(bounds, encoding.scope, tuple(layers), tuple(exclude), encoding.codec)
    done = compress(file, chosen, plan(file, chosen), _kept, progress)
    return CompressedTensors(done, _paths(tensors))


def open_tensors(path: PathLike) -> Tensors:
    """Open a weight file, plain or compressed; tensors are read, and decoded, when they are asked for.

    Parameters
    ----------
    path
        A safetensors file, the index of a sharded one, an ``.npz`` or a GGUF file. It must stay as it is meanwhile.

    Returns
    -------
    Tensors
        Of a compressed file a `CompressedTensors`.

    Raises
    ------
    InputError
        The file cannot be read, or is damaged.
    """
    file = _weight_file(path)
    return CompressedTensors(open_compressed(file), _paths(path)) if is_compressed(file) else Tensors(file)


def _kept(stream: bytes) -> bytes:
    return stream


def _paths(source: Source) -> list[Path]:
    return [] if isinstance(source, Mapping) else [Path(source), *further_files(source)]


def _weight_file(source: "Source | Tensors") -> WeightFile:
    """Return a source as a weight file."""
    if isinstance(source, Tensors):
        return source._file.decompressed() if isinstance(source._file, CompressedFile) else source._file
    if not isinstance(source, Mapping):
        return read_weight_file(source)
    return WeightFile(NAME, tuple(_entry(name, np.asarray(values)) for name, values in source.items()))


def _entry(name: str, array: NDArray[np.generic]) -> Entry:
    if not isinstance(name, str):
        raise TypeError(f"names of tensors must be text, not {type(name).__name__}")
    if array.dtype.hasobject:
        raise InputError(f"{NAME}: {name!r}", "holds Python objects", "give an array of numbers")
    dtype = array.dtype.newbyteorder("=")
    return Entry(name, str(dtype), dtype, array.shape, ArrayContent(array))
