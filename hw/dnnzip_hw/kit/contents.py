"""Every file of the kit, by its path in the folder that ``dnnzip rtl`` writes."""

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from dnnzip_hw.kit.c_header import c_header
from dnnzip_hw.kit.sample import beats_hex, sample_streams, words_hex
from dnnzip_hw.kit.sv_package import PACKAGE, sv_package
from dnnzip_hw.memory import ECP5
from dnnzip_hw.parameters import DecompressorParameters

PRIMITIVES = {ECP5: ("dp16kd.v", "mult18x18d.v")}
"""Simulation models of the primitives that a target's Verilog instantiates without defining them."""

BENCH_SOURCES = "tb_dnnzip_decompressor.v dnnzip_decompressor.v"
"""Sources that the README's commands compile."""


def kit_files(parameters: DecompressorParameters, ports: dict[str, Any]) -> dict[str, str]:
    """Return the kit of a decompressor.

    Parameters
    ----------
    parameters
        Those of the hardware.
    ports
        Its list of ports, as ``dnnzip_hw.verilog.ports`` returns it.
    """
    streams = sample_streams()
    target = parameters.target
    texts = dict(_texts(files("dnnzip_hw.kit") / "files"))
    if target in PRIMITIVES:
        texts[f"{target}_primitives.v"] = primitives(target)
        texts["README.md"] = _with_primitives(texts["README.md"], target)
    words, beats = words_hex(streams), beats_hex(streams, parameters)
    return {
        f"{PACKAGE}.sv": sv_package(),
        "c/dnnzip_format.h": c_header(),
        "sample/words.hex": words,
        "sample/expected.hex": beats,
        "sample/parameters.vh": _testbench_parameters(parameters, ports, _entries(words), _entries(beats)),
        **texts,
    }


def primitives(target: str) -> str:
    """Return models in Verilog, for simulation, of the primitives of a target; nothing where it has none."""
    folder = files("dnnzip_hw.kit")
    return "".join((folder / name).read_text(encoding="utf-8") for name in PRIMITIVES.get(target, ()))


def _with_primitives(page: str, target: str) -> str:
    """Name the target's models in the commands of the README."""
    return page.replace(BENCH_SOURCES, f"{BENCH_SOURCES} {target}_primitives.v")


def _texts(folder: Traversable, inside: str = "") -> Iterator[tuple[str, str]]:
    """Yield the path and the text of every file in a folder of the package."""
    for entry in sorted(folder.iterdir(), key=lambda found: found.name):
        if entry.is_dir():
            yield from _texts(entry, f"{inside}{entry.name}/")
        else:
            yield f"{inside}{entry.name}", entry.read_text(encoding="utf-8")


def _entries(text: str) -> int:
    """Return the lines of a memory's text that are no comment."""
    return sum(not line.startswith("//") for line in text.splitlines())


def _testbench_parameters(parameters: DecompressorParameters, ports: dict[str, Any], words: int, beats: int) -> str:
    """Return the numbers that the testbench includes: sizes of the ports, of their fields and of the sample."""
    listed = {port["name"]: port for port in ports["ports"]}
    fields = {field["name"]: field for field in listed["o__payload"]["fields"]}
    numbers = {
        "LANES": parameters.lanes,
        "WEIGHT_BITS": parameters.weight_bits,
        "I_BITS": listed["i__payload"]["width"],
        "O_BITS": listed["o__payload"]["width"],
        "MASK_OFFSET": fields["mask"]["offset"],
        "LAST_OFFSET": fields["last"]["offset"],
        "CAUSE_OFFSET": fields["cause"]["offset"],
        "CAUSE_BITS": fields["cause"]["width"],
        "WORDS": words,
        "BEATS": beats,
    }
    return "// Of this decompressor and of the sample.\n" + "".join(
        f"localparam [31:0] {name} = {value};\n" for name, value in numbers.items()
    )
