"""The picture of the comparison: bits per weight of every compressor against the bound."""

from collections.abc import Mapping, Sequence
from pathlib import Path

COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#7f7f7f", "#17becf", "#bcbd22")
OWN_WIDTH, OTHER_WIDTH = 2.6, 1.3


def draw(bits: Mapping[str, Sequence[float]], bounds: Sequence[float], path: Path) -> None:
    """Write the plot as SVG to a path without its suffix, the same bytes for the same numbers.

    ``bits`` has bits per weight at each bound, a percentage of the range, by name; the first one is drawn bold.
    """
    from dnnzip.report.plotting import drawn, save  # only here: tables need no matplotlib
    from dnnzip.system.outputs import OutputSet

    with OutputSet() as outputs, drawn((7.2, 4.5)) as (figure, axes):
        for index, (name, values) in enumerate(bits.items()):
            axes.plot(
                bounds,
                values,
                marker="." if index else "o",
                linewidth=OTHER_WIDTH if index else OWN_WIDTH,
                color=COLOURS[index % len(COLOURS)],
                label=name,
                zorder=2 if index else 3,
            )
        axes.set_xscale("log")
        axes.set_xticks(list(bounds), [f"{bound:g} %" for bound in bounds])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel("largest error tolerated, share of each tensor's range")
        axes.set_ylabel("bits per weight")
        axes.legend(fontsize=8)
        save(figure, path, ("svg",), outputs)
