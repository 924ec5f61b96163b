"""Toggles of the decompressor's gates while it decodes, and their energy: ``make toggles``.

The decompressor is mapped to the gates that `dnnzip_bench.asic` counts, and the netlist itself is simulated: Verilator
runs it in the harness of every other simulation, and each output of a gate or flip-flop is compared with its value one
clock before. There are no delays, so a gate changes at most once per clock. What a change takes comes from a 32-bit
addition of known energy, whose gates are counted in the same way.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import click
import numpy as np

from dnnzip import digits
from dnnzip.codec import CodecOptions, decode_tensor
from dnnzip.codec.beat_order import codes_from_beats
from dnnzip.errors import CheckFailedError
from dnnzip.format import Verdict, WeightStream
from dnnzip.onnx.compressed import CompressedModel
from dnnzip.onnx.files import load_model
from dnnzip.presentation.tables import TextTable
from dnnzip.quantize.bound import Bound
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip_bench.asic import ADD_PJ, GATES
from dnnzip_bench.command import BUILD, folder_option, keep, page_option, run, show
from dnnzip_bench.hardware.adder import toggles_per_addition
from dnnzip_bench.hardware.netlist import Watched, gate_netlist, watched
from dnnzip_bench.pages import fill
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.harness import Conditions, build_harness, stream_through
from dnnzip_sim.verilog import decompressor_verilog

BOUNDS = ("1%", "2%")
TOP = "dnnzip_decompressor"
WEIGHT_BITS = 8

RESET_CLOCKS = 4
"""Clocks of the harness before it counts cycles."""

CLOCK_TOGGLES = 2.0
"""Changes of a register's clock per cycle: up and down."""
CLOCK_GATES = 1.0
"""NAND2 equivalents that a register's clock moves in every cycle; nothing gates it. Memories, latches, have none."""


@dataclass(frozen=True)
class LayerToggles:
    """A layer's stream in the netlist.

    Parameters
    ----------
    bound, name
        The bound of the network, and the layer.
    weights
        Of the layer.
    cycles
        From its first word to its end beat.
    toggles
        Changes of outputs, one for each kind of gate.
    gate_toggles
        The same in NAND2 equivalents.
    clock_toggles
        Changes of registers' clocks, in NAND2 equivalents.
    """

    bound: str
    name: str
    weights: int
    cycles: int
    toggles: tuple[int, ...]
    gate_toggles: float
    clock_toggles: float

    def energy(self, per_toggle: float) -> float:
        """Return pJ per weight, for the pJ that a NAND2's change takes."""
        return (self.gate_toggles + self.clock_toggles) * per_toggle / self.weights


def measure(bound: str, parameters: DecompressorParameters) -> tuple[list[LayerToggles], Watched]:
    """Send the digits network's streams through the netlist.

    Parameters
    ----------
    bound
        Of its weights.
    parameters
        Of the decompressor.

    Returns
    -------
    Its layers, and the netlist.

    Raises
    ------
    CheckFailedError
        A layer was decoded wrongly, so that what its gates did says nothing.
    """
    options = CompressionOptions(Bound.parse(bound), codec=CodecOptions("ans"))
    compressed = compress(load_model(digits.MODEL), options, "digits").compressed
    netlist = watched(gate_netlist(decompressor_verilog(parameters), TOP))
    counter = (files("dnnzip_bench.hardware") / "counter.cpp").read_text(encoding="utf-8")
    harness = build_harness(parameters, netlist.verilog, {"counter.cpp": counter})
    with tempfile.TemporaryDirectory(prefix="dnnzip-toggles-") as place:
        counts_file = Path(place) / "toggles"
        streams = [compressed.tables, *(layer.stream for layer in compressed.layers)]
        passage = stream_through(harness, streams, Path(place), Conditions(plusargs=[f"+toggles={counts_file}"]))
        counts = np.fromfile(counts_file, "<u8").reshape(-1, len(GATES))
    _check(compressed, [outcome.verdict for outcome in passage.outcomes], [o.weights for o in passage.outcomes])
    sizes = np.array(list(GATES.values()))
    found = []
    for layer, outcome in zip(compressed.layers, passage.outcomes[1:], strict=True):
        first, last = outcome.begin + RESET_CLOCKS, outcome.end + RESET_CLOCKS
        toggles = (counts[last] - counts[first]).astype(np.int64)
        clocks = outcome.cycles * netlist.registers * CLOCK_TOGGLES * CLOCK_GATES
        found.append(
            LayerToggles(
                bound,
                layer.name,
                layer.weights,
                outcome.cycles,
                tuple(int(count) for count in toggles),
                float(toggles @ sizes),
                clocks,
            )
        )
    return found, netlist


def _check(compressed: CompressedModel, verdicts: Sequence[Verdict], weights: Sequence[np.ndarray]) -> None:
    """Compare what the netlist gave with the golden decoder."""
    wrong = [str(verdict) for verdict in verdicts if verdict != Verdict.OK]
    if wrong:
        raise CheckFailedError(f"toggles: a stream ended with {wrong[0]} in the netlist")
    for layer, decoded in zip(compressed.layers, weights[1:], strict=True):
        expected = decode_tensor(layer.stream, compressed.tables)
        got = codes_from_beats(decoded, WeightStream.from_bytes(layer.stream).header)
        if not np.array_equal(got, expected):
            index = int(np.flatnonzero(got.reshape(-1) != expected.reshape(-1))[0])
            raise CheckFailedError(
                f"toggles: layer {layer.name!r} differs at weight {index}: expected {expected.reshape(-1)[index]}, "
                f"got {got.reshape(-1)[index]}"
            )


def table(layers: Sequence[LayerToggles], gates: float, per_toggle: float) -> TextTable:
    """Return the layers' table.

    Parameters
    ----------
    layers
        What was measured.
    gates
        NAND2 equivalents of the netlist.
    per_toggle
        pJ for a NAND2's change.
    """
    rows = [_row(f"{layer.bound}, {layer.name}", [layer], gates, per_toggle) for layer in layers]
    header = (
        "layer",
        "weights",
        "cycles",
        "weights/cycle",
        "share that changes, %",
        "gates, pJ",
        "clock, pJ",
        "pJ/weight",
    )
    return TextTable(header, tuple(rows), _row("all", layers, gates, per_toggle))


def _row(name: str, layers: Sequence[LayerToggles], gates: float, per_toggle: float) -> tuple[str, ...]:
    weights, cycles = sum(layer.weights for layer in layers), sum(layer.cycles for layer in layers)
    moved, clocks = (sum(getattr(layer, what) for layer in layers) for what in ("gate_toggles", "clock_toggles"))
    parts = [total * per_toggle / weights for total in (moved, clocks, moved + clocks)]
    share = 100 * moved / cycles / gates
    return (
        name,
        f"{weights:,}",
        f"{cycles:,}",
        f"{weights / cycles:.2f}",
        f"{share:.1f}",
        *(f"{part:.3f}" for part in parts),
    )


@click.command()
@page_option
@folder_option(BUILD / "toggles", "Folder of toggles.md and toggles.json.")
def toggles(page: Path | None, folder: Path) -> None:
    """Count how often gates change while the decompressor decodes, and the energy that this takes."""
    parameters = DecompressorParameters(weight_bits=WEIGHT_BITS)
    layers: list[LayerToggles] = []
    netlist: Watched | None = None
    for bound in BOUNDS:
        found, netlist = measure(bound, parameters)
        layers += found
    assert netlist is not None, "there is a bound"
    gates = sum(count * size for count, size in zip(netlist.cells, GATES.values(), strict=True))
    changes = toggles_per_addition()
    per_toggle = ADD_PJ / changes
    result = table(layers, gates, per_toggle)
    show(result)
    whole = sum(layer.energy(per_toggle) * layer.weights for layer in layers) / sum(layer.weights for layer in layers)
    text = (
        f"{gates:,.0f} NAND2 equivalents, {netlist.registers:,} registers; an addition changes {changes:.1f} of 288 "
        f"NAND2, so a change takes {1000 * per_toggle:.3f} fJ; a weight takes {whole:.3f} pJ of logic and clock."
    )
    click.echo(text)
    content = {
        "cells": dict(zip(GATES, netlist.cells, strict=True)),
        "registers": netlist.registers,
        "toggles_per_addition": changes,
        "pJ_per_toggle": per_toggle,
        "pJ_per_weight": whole,
        "layers": [asdict(layer) for layer in layers],
    }
    made = f"{result.markdown()}\n{text}\n"
    keep(folder, "toggles", content, made)
    if page is not None:
        fill(page, "synthesis", {"toggles": made})


if __name__ == "__main__":
    run(toggles)
