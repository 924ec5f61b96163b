"""The Verilog of our tops, exported once for each state of its sources.

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
from pathlib import Path
from typing import Any

from dnnzip.system.temporary import temporary_folder
from dnnzip.system.waits import waiting_for
from dnnzip_hw import DecompressorParameters, verilog
from dnnzip_hw.array import ArrayParameters
from dnnzip_hw.array import verilog as array
from dnnzip_hw.axi import AxiParameters
from dnnzip_hw.axi import verilog as axi
from dnnzip_hw.board.array_core import SerialArrayParameters
from dnnzip_hw.board.decompressor_core import SerialDecompressorParameters
from dnnzip_hw.board.serial import SerialTop
from dnnzip_sim import toolchain
from dnnzip_sim.build import BuildFailedError, cache_folder, remove_damaged, writable_cache

SOURCE_PACKAGES = ("dnnzip_hw", "dnnzip.format")

AXI_TOP = axi.TOP
SERIAL_TOP = "dnnzip_serial"

# Warnings at the style of Yosys' Verilog, which is right and is not ours to change: defaults assigned before a case,
# operands of their own widths, and numbers of no bits where there is one thing to choose from. Every other warning
# stands in the build's log, where a test looks for it.
VERILATOR_OPTIONS = (
    "-Wno-ASCRANGE",
    "-Wno-CASEINCOMPLETE",
    "-Wno-CMPCONST",
    "-Wno-WIDTHEXPAND",
    "-Wno-WIDTHTRUNC",
)

# Raise it when this module changes what it makes of the same inputs.
RECIPE = 2

MARK = "// sha256 of all above: "


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
        If the export fails; the message ends with the last line that it printed.
    """
    return _exported("decompressor", dataclasses.asdict(parameters), cache)


def axi_verilog(parameters: AxiParameters, *, cache: Path | None = None) -> str:
    """Return Verilog with the module ``dnnzip_axi``; see ``decompressor_verilog``."""
    return _exported("axi", dataclasses.asdict(parameters), cache)


def serial_verilog(
    parameters: SerialDecompressorParameters | SerialArrayParameters, *, cache: Path | None = None
) -> str:
    """Return Verilog with the module ``dnnzip_serial``; see ``decompressor_verilog``."""
    top = "serial-array" if isinstance(parameters, SerialArrayParameters) else "serial"
    return _exported(top, dataclasses.asdict(parameters), cache)


def array_verilog(parameters: ArrayParameters, *, cache: Path | None = None) -> str:
    """Return Verilog with the module ``dnnzip_array``; see ``decompressor_verilog``."""
    return _exported("array", dataclasses.asdict(parameters), cache)


def axi_array_verilog(parameters: ArrayParameters, *, cache: Path | None = None) -> str:
    """Return Verilog with the module ``dnnzip_axi_array``; see ``decompressor_verilog``."""
    return _exported("axi-array", dataclasses.asdict(parameters), cache)


def _made(top: str, parameters: dict[str, Any]) -> str:
    """Return the Verilog of a top, made now."""
    if top == "decompressor":
        return verilog.decompressor_verilog(DecompressorParameters(**parameters))
    if top == "serial-array":
        inner = parameters.pop("array")
        array_parameters = ArrayParameters(DecompressorParameters(**inner.pop("decompressor")), **inner)
        return verilog.convert(SerialTop(SerialArrayParameters(array_parameters, **parameters)), SERIAL_TOP)
    decompressor = DecompressorParameters(**parameters.pop("decompressor"))
    if top == "array":
        return array.array_verilog(ArrayParameters(decompressor, **parameters))
    if top == "axi-array":
        return array.axi_array_verilog(ArrayParameters(decompressor, **parameters))
    if top == "axi":
        return axi.axi_verilog(AxiParameters(decompressor, **parameters))
    return verilog.convert(SerialTop(SerialDecompressorParameters(decompressor, **parameters)), SERIAL_TOP)


def _exported(top: str, parameters: dict[str, Any], cache: Path | None) -> str:
    """Return the Verilog of a top from the cache, where it is put first if it is not there whole."""
    name = f"{top}-{_key(top, parameters)}.v"
    store = cache_folder() if cache is None else cache.absolute()
    text = _kept(store, name)
    if text is None:
        store = writable_cache(store)
        text = _kept(store, name)
    if text is None:
        what = "writing the RTL's Verilog with Yosys, once; Yosys' first start takes a minute"
        with waiting_for(what), temporary_folder(store) as folder:
            exported = folder / name
            _export(top, parameters, exported)
            text = exported.read_text()
            exported.write_text(f"{text}{MARK}{_digest(text)}\n")
            remove_damaged(store / name)
            exported.replace(store / name)
    return text


def _kept(store: Path, name: str) -> str | None:
    """Return a Verilog text of a cache; None where it is not there, or not as it was written."""
    try:
        text, _, digest = (store / name).read_text(errors="replace").rpartition(MARK)
    except OSError:
        return None
    return text if digest == f"{_digest(text)}\n" else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _export(top: str, parameters: dict[str, Any], path: Path) -> None:
    """Write the Verilog to ``path``, from a process of its own: it finds the Yosys of the key, and others go on."""
    environment = toolchain.environment()
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    environment["TMPDIR"] = str(path.parent)  # what a killed Yosys leaves goes with the folder
    command = [sys.executable, "-m", __name__, top, str(path)]
    result = subprocess.run(
        command, input=json.dumps(parameters), env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        reason = result.stderr.strip().rpartition("\n")[2]
        raise BuildFailedError(f"export of the {top}'s Verilog failed: {reason}")


def _key(top: str, parameters: dict[str, Any]) -> str:
    """Return the hash of everything that the Verilog is made from."""
    facts = {
        "recipe": RECIPE,
        "top": top,
        "parameters": parameters,
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
    Path(sys.argv[2]).write_text(_made(sys.argv[1], json.load(sys.stdin)))
