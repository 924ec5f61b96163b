"""The picture: bits per weight of every compressor against the bound."""

from collections.abc import Mapping, Sequence
from pathlib import Path

COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#8c564b", "#7f7f7f", "#17becf", "#bcbd22")
OWN_WIDTH, OTHER_WIDTH = 2.6, 1.3


def draw(bits: Mapping[str, Sequence[float]], bounds: Sequence[float], path: Path) -> None:
    """Write the plot as SVG, the same bytes for the same numbers.

    Parameters
    ----------
    bits
        Bits per weight at each bound, by name; the first one is drawn bold.
    bounds
        Percent of the range.
    path
        Where the file goes.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    with matplotlib.rc_context({"svg.hashsalt": "dnnzip", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(7.2, 4.5), layout="constrained")
        for index, (name, values) in enumerate(bits.items()):
            axes.plot(
                bounds,
                values,
                marker="o" if index == 0 else ".",
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
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        pyplot.close(figure)
