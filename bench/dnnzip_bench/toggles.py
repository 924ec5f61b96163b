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
from dnnzip_bench.columns import Columns
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
    """A layer's stream in the netlist."""

    bound: str
    name: str
    weights: int
    cycles: int  # from its first word to its end beat
    toggles: tuple[int, ...]  # changes of outputs, one for each kind of gate
    gate_toggles: float  # the same in NAND2 equivalents
    clock_toggles: float  # changes of registers' clocks, in NAND2 equivalents

    def energy(self, per_toggle: float) -> float:
        """Return pJ per weight, for the pJ that a NAND2's change takes."""
        return (self.gate_toggles + self.clock_toggles) * per_toggle / self.weights


def measure(bound: str, netlist: Watched, parameters: DecompressorParameters) -> list[LayerToggles]:
    """Send the digits network's streams at a bound through the netlist of a decompressor; return its layers.

    Raises
    ------
    CheckFailedError
        A layer was decoded wrongly, so that what its gates did says nothing.
    """
    options = CompressionOptions(Bound.parse(bound), codec=CodecOptions("ans"))
    compressed = compress(load_model(digits.MODEL), options, "digits").compressed
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
    return found


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


def together(layers: Sequence[LayerToggles]) -> LayerToggles:
    """Return the sum of layers, without a bound."""
    toggles = tuple(map(sum, zip(*(layer.toggles for layer in layers), strict=True)))
    return LayerToggles(
        "",
        "all",
        sum(layer.weights for layer in layers),
        sum(layer.cycles for layer in layers),
        toggles,
        sum(layer.gate_toggles for layer in layers),
        sum(layer.clock_toggles for layer in layers),
    )


def table(layers: Sequence[LayerToggles], gates: float, per_toggle: float) -> TextTable:
    """Return the layers' table, for the NAND2 equivalents of the netlist and the pJ that a NAND2's change takes."""
    columns: Columns[LayerToggles] = Columns(
        ("layer", lambda layer: f"{layer.bound}, {layer.name}" if layer.bound else layer.name),
        ("weights", lambda layer: f"{layer.weights:,}"),
        ("cycles", lambda layer: f"{layer.cycles:,}"),
        ("weights/cycle", lambda layer: f"{layer.weights / layer.cycles:.2f}"),
        ("share that changes, %", lambda layer: f"{100 * layer.gate_toggles / layer.cycles / gates:.1f}"),
        ("gates, pJ", lambda layer: f"{layer.gate_toggles * per_toggle / layer.weights:.3f}"),
        ("clock, pJ", lambda layer: f"{layer.clock_toggles * per_toggle / layer.weights:.3f}"),
        ("pJ/weight", lambda layer: f"{layer.energy(per_toggle):.3f}"),
    )
    return columns.table(layers, columns.cells(together(layers)))


@click.command()
@page_option
@folder_option(BUILD / "toggles", "Folder of toggles.md and toggles.json.")
def toggles(page: Path | None, folder: Path) -> None:
    """Count how often gates change while the decompressor decodes, and the energy that this takes."""
    parameters = DecompressorParameters(weight_bits=WEIGHT_BITS)
    netlist = watched(gate_netlist(decompressor_verilog(parameters), TOP))
    layers = [layer for bound in BOUNDS for layer in measure(bound, netlist, parameters)]
    gates = sum(count * size for count, size in zip(netlist.cells, GATES.values(), strict=True))
    changes = toggles_per_addition()
    per_toggle = ADD_PJ / changes
    result = table(layers, gates, per_toggle)
    show(result)
    whole = together(layers).energy(per_toggle)
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
    fill(page, "synthesis", {"toggles": made})


if __name__ == "__main__":
    run(toggles)
