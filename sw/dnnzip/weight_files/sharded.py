"""Sharded safetensors files: an index, ``NAME.safetensors.index.json``, and the files that hold its tensors."""

import json
from collections import Counter
from collections.abc import Mapping
from glob import escape
from pathlib import Path
from typing import Any

from dnnzip.errors import InputError
from dnnzip.inputs.json_text import parse_json
from dnnzip.inputs.reading import read_bounded
from dnnzip.system.outputs import OutputSet
from dnnzip.weight_files.entry import Entry, WeightFile
from dnnzip.weight_files.pickles import PICKLE_ENDINGS, pickle_error
from dnnzip.weight_files.safetensors_file import read_safetensors, write_safetensors

#: Endings of an index; the first is that of new ones.
INDEX_ENDINGS = (".safetensors.index.json", ".index.json")

RIGHT = "name the index of a sharded safetensors file"

#: Most bytes of an index.
LARGEST_INDEX = 1 << 26

#: Key of the index's metadata for the bytes of all tensors.
TOTAL = "total_size"


def read_sharded(path: Path) -> WeightFile:
    """Read an index and the headers of its shards.

    Raises
    ------
    InputError
        The index cannot be read or is none, names a file out of its folder or one that is not there, or it and its
        shards disagree on the tensors.
    """
    content = _index(path)
    weight_map = content["weight_map"]
    shards = sorted(set(weight_map.values()))
    for shard in shards:
        _check_name(path, shard)
    read = [read_safetensors(path.parent / shard, number) for number, shard in enumerate(shards)]
    entries = [entry for own, _ in read for entry in own]
    _check_names(path, weight_map, shards, entries)
    metadata = content.get("metadata")
    return WeightFile(
        str(path),
        tuple(entries),
        [texts for _, texts in read] or [{}],
        metadata if isinstance(metadata, dict) else {},
    )


def shard_paths(path: Path) -> list[Path]:
    """Return the shards that an index names.

    Raises
    ------
    InputError
        See `read_sharded`.
    """
    return [path.parent / shard for shard in sorted(set(_index(path)["weight_map"].values())) if _is_plain(shard)]


def _index(path: Path) -> dict[str, Any]:
    try:
        content = parse_json(read_bounded(path, LARGEST_INDEX, RIGHT))
    except ValueError as error:
        raise InputError(str(path), f"is no JSON ({error})", RIGHT) from None
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
        raise InputError(str(path), "has no weight_map of tensors to files", RIGHT)
    assert isinstance(content, dict)
    return content


def _is_plain(shard: str) -> bool:
    return bool(shard) and shard not in (".", "..") and not {"/", "\\", "\0"} & set(shard)


def _check_name(path: Path, shard: str) -> None:
    """Refuse a shard outside the index's folder, and one that is no safetensors file."""
    if not _is_plain(shard):
        raise InputError(str(path), f"names the file {shard[:200]!r}, not one of its own folder", RIGHT)
    if shard.endswith(PICKLE_ENDINGS):
        raise pickle_error(path.parent / shard)


def _check_names(path: Path, weight_map: Mapping[str, str], shards: list[str], entries: list[Entry]) -> None:
    """Refuse an index and shards that do not have the same tensors in the same files."""
    twice = [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]
    if twice:
        raise InputError(str(path), f"has the tensor {twice[0]!r} in two of its files", "keep it in one of them")
    found = {entry.name: shards[entry.shard] for entry in entries}
    for name in (*weight_map, *found):
        said, stored = weight_map.get(name), found.get(name)
        if said != stored:
            wrong = f"says that {name!r} is in {said or 'no file'}, and {stored or 'no file'} holds it"
            raise InputError(str(path), wrong, "write the files again, index and shards together")


def stem_of(path: Path) -> str:
    """Return the name of an index without its ending."""
    return next(path.name[: -len(end)] for end in INDEX_ENDINGS if path.name.lower().endswith(end))


def shards_there(path: Path) -> list[Path]:
    """Return the files next to an index that have the names of its shards, whatever their number."""
    return sorted(path.parent.glob(f"{escape(stem_of(path))}-{5 * '?'}-of-{5 * '?'}.safetensors"))


def write_sharded(file: WeightFile, path: Path, outputs: OutputSet) -> None:
    """Write shards and their index, all of them or none.

    Parameters
    ----------
    file
        The tensors; their shards are those of the file that they come from.
    path
        The index; its shards stand next to it, as ``NAME-00001-of-00002.safetensors``.
    outputs
        The set that takes the files.

    Raises
    ------
    InputError
        A file cannot be written, or a tensor is of a type that such files do not have.
    """
    count = len(file.metadata)
    names = [f"{stem_of(path)}-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    for number, (name, texts) in enumerate(zip(names, file.metadata, strict=True)):
        own = [entry for entry in file.entries if entry.shard == number]
        with outputs.open(path.with_name(name)) as beside, beside.open("wb") as stream:
            write_safetensors(own, texts, stream, name)
    metadata: dict[str, Any] = dict(file.index or {})
    if TOTAL in metadata or file.index is None:
        metadata[TOTAL] = sum(entry.content.length for entry in file.entries)
    weight_map = {entry.name: names[entry.shard] for entry in file.entries}
    index = {"metadata": metadata, "weight_map": weight_map}
    # The index, which names the others, comes last.
    outputs.write(path, (json.dumps(index, indent=2, sort_keys=True) + "\n").encode())
