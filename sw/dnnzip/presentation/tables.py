"""Plain tables of text: the flow's results on the terminal and in the Markdown files."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from dnnzip.array.job import ArrayFigures
from dnnzip.onnx.compressed import CompressedLayer
from dnnzip.presentation.table_layout import Cells, show_cells
from dnnzip.system.terminal import printable
from dnnzip.usecases.image import Image
from dnnzip.usecases.simulate import LayerRun, Simulation
from dnnzip.usecases.summary import Summary, bits_per_weight
from dnnzip.usecases.verify import LayerCheck

if TYPE_CHECKING:
    # Loads the compiler and onnxruntime, which most tables do without.
    from dnnzip.usecases.run import NetworkResult

PIPE_WIDTH = 200
"""Columns of a table that does not go to a terminal, unless ``$COLUMNS`` says how many."""


@dataclass(frozen=True)
class TextTable:
    """A table of text cells; the first column is a name, the others are numbers."""

    header: tuple[str, ...]  # column headings
    rows: tuple[tuple[str, ...], ...]  # cells, as many in each row as there are headings
    total: tuple[str, ...] = ()  # the last row, set off from the others; none where empty
    optional: tuple[str, ...] = ()  # headings of the columns that a narrow terminal does without, the first to go first
    names: int = 1  # number of columns, from the first one on, that Markdown shows as text and not as numbers

    def markdown(self) -> str:
        """Return the table in Markdown."""
        lines = [self.header, tuple("---" if index < self.names else "---:" for index in range(len(self.header)))]
        lines += [*self.rows, *([self.total] if self.total else [])]
        rows = ([printable(cell).replace("|", "\\|") for cell in cells] for cells in lines)
        return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + "\n"

    def show(self, console: Console) -> None:
        """Print the table, in the columns of the console."""
        header, *lines = (tuple(map(printable, line)) for line in (self.header, *self.rows))
        show_cells(Cells(header, tuple(lines), tuple(map(printable, self.total))), self.optional, console)


def stdout_console() -> Console:
    """Return the console of standard output: as wide as the terminal, or wide enough for most tables in a pipe."""
    width = os.environ.get("COLUMNS", "")
    # Neither markup nor the names of pictures: a layer may be called `[red]` or `:fire:`.
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        columns = int(width) if width.isascii() and width.isdecimal() and int(width) else PIPE_WIDTH
        console = Console(highlight=False, markup=False, emoji=False, width=columns)
    return console


def number(value: float) -> str:
    """Return a small number with four significant digits."""
    return f"{value:.4g}"


def share(value: float) -> str:
    """Return a share in percent with one digit, and no minus before a zero."""
    return f"{round(100 * value, 1) + 0.0:.1f}"


def sizes_table(summary: Summary) -> TextTable:
    """Return the table of ``compress`` and ``info``."""
    header = ("layer", "shape", "weights", "codec", "bits/weight", "ratio", "largest error", "bound")
    rows = tuple((layer.name, "x".join(map(str, layer.shape)), *_sizes(layer)) for layer in summary.layers)
    total = ("total", "", *_total_sizes(summary), "", "")
    return TextTable(header, rows, total, ("shape", "codec", "ratio", "largest error"))


def loss_lines(summary: Summary) -> list[str]:
    """Return a line for each layer that loses whole channels, or much of its energy, to the bound."""
    lines = []
    for name, loss in summary.large_losses.items():
        zeroed = f"{loss.zeroed_channels} of {loss.channels} channels become zero, " if loss.zeroed_channels else ""
        lines.append(f"large loss: {name}: {zeroed}{share(loss.lost_energy)} % of its energy is lost")
    return lines


def sizes_line(summary: Summary) -> str:
    """Return the line on bytes under the table of ``compress`` and ``info``."""
    line = f"{summary.stream_bytes:,} bytes of streams, {summary.side_bytes:,} of steps and zero points"
    return line + (f"; steps on a grid cost {summary.step_loss:.3f} bits/weight" if summary.step_loss else "")


def shares_lines(summary: Summary) -> list[str]:
    """Return the lines on what stays as it is, and on the share of all parameters that is compressed."""
    lines = [
        f"left out: {item.name} ({item.weights:,} weights, {item.bytes:,} bytes): {item.rule}"
        for item in summary.left_out
    ]
    share = 100 * summary.compressed_bytes / summary.parameter_bytes
    others = "".join(f"; {item.bytes:,} are {item.kind}" for item in summary.others if item.bytes)
    return [*lines, f"{share:.2f} % of {summary.parameter_bytes:,} bytes of parameters are compressed{others}"]


def simulation_table(simulation: Simulation) -> TextTable:
    """Return the table of ``simulate``."""
    header = ("layer", "weights", "mismatches", "cycles", "weights/cycle")
    rows = tuple(
        (layer.name, f"{layer.weights:,}", str(layer.mismatches), *_speed(layer)) for layer in simulation.layers
    )
    return TextTable(
        header, rows, ("total", f"{simulation.weights:,}", str(simulation.mismatches), *_speed(simulation))
    )


def checks_table(checks: Sequence[LayerCheck]) -> TextTable:
    """Return the table of ``verify``."""
    rows = tuple(
        (
            check.name,
            f"{check.weights:,}",
            number(check.max_error),
            number(check.bound),
            "BROKEN" if check.broken else "ok",
        )
        for check in checks
    )
    return TextTable(("layer", "weights", "largest error", "bound", ""), rows)


def image_table(image: Image) -> TextTable:
    """Return the table of ``image``."""
    rows = tuple(
        (
            stream.name if stream.name else "(table set)",
            str(stream.entry.part) if stream.name else "",
            stream.codec,
            f"{stream.entry.offset:#010x}",
            f"{stream.entry.words:,}",
            f"{stream.bytes:,}",
            *((f"{stream.entry.channels:,}", f"{stream.entry.length:,}") if stream.name else ("", "")),
        )
        for stream in image.streams
    )
    header = ("layer", "part", "codec", "offset", "words", "bytes", "channels", "length")
    return TextTable(header, rows, optional=("length", "channels", "codec", "words"))


def run_table(result: "NetworkResult") -> TextTable:
    """Return the table of ``run``; the total of the weights' bytes is the whole image."""
    rows = tuple(
        (
            layer.name,
            layer.operator.partition(" ")[0],
            f"{layer.macs:,}",
            f"{layer.sums:,}",
            str(layer.mismatches) if result.checked else "-",
            f"{layer.weight_bytes:,}",
            *_array_cycles(layer.figures, layer.macs),
        )
        for layer in result.layers
    )
    header = ("layer", "operator", "MACs", "sums", "mismatches", "weight bytes", "cycles", "MACs/cycle")
    total = (
        "total",
        "",
        f"{result.macs:,}",
        f"{result.sums:,}",
        str(result.mismatches) if result.checked else "-",
        f"{result.image_bytes:,}",
        *_array_cycles(result.figures, result.macs),
    )
    return TextTable(header, rows, total, ("operator", "sums", "weight bytes", "MACs"))


def _array_cycles(figures: ArrayFigures, macs: int) -> tuple[str, str]:
    return (f"{figures.cycles:,}", f"{macs / figures.cycles:.2f}") if figures.cycles else ("-", "-")


def whole_table(summary: Summary, checks: Sequence[LayerCheck], simulation: Simulation) -> TextTable:
    """Return the table of the main job: sizes, errors and the RTL's cycles side by side."""
    header = (
        "layer",
        "weights",
        "codec",
        "bits/weight",
        "ratio",
        "largest error",
        "bound",
        "RTL cycles",
        "weights/cycle",
    )
    rows = tuple(
        (layer.name, *_sizes(layer)[:4], number(check.max_error), number(check.bound), *_speed(run))
        for layer, check, run in zip(summary.layers, checks, simulation.layers, strict=True)
    )
    total = ("total", *_total_sizes(summary), "", "", *_speed(simulation))
    return TextTable(header, rows, total, ("codec", "ratio", "largest error"))


def _sizes(layer: CompressedLayer) -> tuple[str, ...]:
    bits = bits_per_weight(layer)
    return (
        f"{layer.weights:,}",
        layer.codec,
        f"{bits:.3f}",
        f"{32 / bits:.2f}",
        number(layer.max_error),
        number(layer.bound),
    )


def _total_sizes(summary: Summary) -> tuple[str, ...]:
    return (f"{summary.weights:,}", "", f"{summary.bits_per_weight:.3f}", f"{summary.ratio_fp32:.2f}")


def _speed(run: LayerRun | Simulation) -> tuple[str, str]:
    return (f"{run.cycles:,}", f"{run.weights_per_cycle:.2f}") if run.cycles else ("-", "-")
