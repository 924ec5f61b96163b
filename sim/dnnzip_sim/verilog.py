"""The decompressor's Verilog, exported once for each state of its sources.

Elaborating the hardware and starting Yosys takes seconds, so the text is kept in the build cache under a hash of all that
it is made from: the sources of ``dnnzip_hw`` and ``dnnzip.format``, the versions of Amaranth and Yosys, the parameters.
"""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dnnzip.format import TABLE_HEADER, TABLES_MAGIC, TableHeader
from dnnzip_sim import toolchain
from dnnzip_sim.build import BuildFailedError, cache_folder

SOURCE_PACKAGES = ("dnnzip_hw", "dnnzip.format")

# Raise it when this module changes what it makes of the same inputs.
RECIPE = 1


@dataclass(frozen=True)
class DecompressorSize:
    """Parameters of the decompressor's hardware.

    Parameters
    ----------
    lanes
        Weights that a beat carries.
    slots
        Virtual lanes that take turns on a lane.
    log2_states
        log2 of the most states of a table.
    weight_bits
        Width of a weight port.
    """

    lanes: int = 4
    slots: int = 4
    log2_states: int = 9
    weight_bits: int = 16

    @classmethod
    def for_tables(cls, tables: bytes) -> "DecompressorSize":
        """Return the default parameters, with as many states as the table set stream ``tables`` needs."""
        default = cls()
        if len(tables) < TABLE_HEADER.bytes or tables[0] != TABLES_MAGIC:
            return default
        needed = TableHeader.unpack(tables).log2_states
        known = needed < TABLE_HEADER["log2_states"].limit  # its largest number means nothing
        return dataclasses.replace(default, log2_states=max(default.log2_states, needed)) if known else default


def decompressor_verilog(size: DecompressorSize, *, cache: Path | None = None) -> str:
    """Return Verilog with the module ``dnnzip_decompressor``, exported now unless the cache has it.

    Parameters
    ----------
    size
        Parameters of the hardware.
    cache
        Folder to keep it in; that of the builds when not given.

    Raises
    ------
    MissingToolError
        If Yosys is missing.
    BuildFailedError
        If the export fails; the message ends with what it printed.
    """
    kept = (cache or cache_folder()).absolute() / f"decompressor-{_key(size)}.v"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="export-") as folder:
            exported = Path(folder) / kept.name
            _export(size, exported)
            exported.replace(kept)
    return kept.read_text()


def _key(size: DecompressorSize) -> str:
    """Return the hash of everything that the Verilog is made from."""
    facts = {
        "recipe": RECIPE,
        "size": dataclasses.asdict(size),
        "sources": {str(name): digest for package in SOURCE_PACKAGES for name, digest in _sources(package)},
        "amaranth": importlib.metadata.version("amaranth"),
        "yosys": toolchain.yosys().version,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _sources(package: str) -> list[tuple[str, str]]:
    """Return the name and the hash of every source file of an import package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise BuildFailedError(f"{package} is not installed")
    root = Path(spec.submodule_search_locations[0])
    return [
        (f"{package}/{path.relative_to(root).as_posix()}", hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    ]
