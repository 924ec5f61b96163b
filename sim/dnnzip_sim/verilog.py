"""The decompressor's Verilog, exported once for each state of its sources.

Elaborating the hardware and starting Yosys takes seconds, so the text is kept in the build cache under a hash of all
that it is made from: the sources of ``dnnzip_hw`` and ``dnnzip.format``, the versions of Amaranth and Yosys, and the
parameters.
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
from pathlib import Path

from dnnzip_hw import DecompressorParameters, verilog
from dnnzip_sim import toolchain
from dnnzip_sim.build import BuildFailedError, cache_folder

SOURCE_PACKAGES = ("dnnzip_hw", "dnnzip.format")

# Warnings at the style of Yosys' Verilog, which is right and is not ours to change: defaults assigned before a case,
# operands of their own widths. Every other warning fails a build.
VERILATOR_OPTIONS = ("-Wno-CASEINCOMPLETE", "-Wno-CMPCONST", "-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC")

# Raise it when this module changes what it makes of the same inputs.
RECIPE = 1


def decompressor_verilog(parameters: DecompressorParameters, *, cache: Path | None = None) -> str:
    """Return Verilog with the module ``dnnzip_decompressor``, exported now unless the cache has it.

    Parameters
    ----------
    parameters
        Of the hardware.
    cache
        Folder to keep it in; that of the builds when not given.

    Raises
    ------
    MissingToolError
        If Yosys is missing.
    BuildFailedError
        If the export fails; the message ends with what it printed.
    """
    kept = (cache or cache_folder()).absolute() / f"decompressor-{_key(parameters)}.v"
    if not kept.is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent, prefix="export-") as folder:
            exported = Path(folder) / kept.name
            _export(parameters, exported)
            exported.replace(kept)
    return kept.read_text()


def _export(parameters: DecompressorParameters, path: Path) -> None:
    """Write the Verilog to ``path``, from a process of its own: it finds the Yosys of the key, and others go on."""
    environment = toolchain.environment()
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    job = json.dumps(dataclasses.asdict(parameters))
    command = [sys.executable, "-m", __name__, str(path)]
    result = subprocess.run(command, input=job, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BuildFailedError(f"export of the decompressor's Verilog failed:\n{result.stderr}")


def _key(parameters: DecompressorParameters) -> str:
    """Return the hash of everything that the Verilog is made from."""
    facts = {
        "recipe": RECIPE,
        "parameters": dataclasses.asdict(parameters),
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


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(verilog.decompressor_verilog(DecompressorParameters(**json.load(sys.stdin))))
