"""The look of a figure on paper, and its files: the same bytes for the same content."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from dnnzip.report.palette import COLOURS
from dnnzip.system.outputs import OutputSet

Axes = Any

DOTS_PER_INCH = 200

_SETTINGS: Any = {
    "svg.hashsalt": "dnnzip",
    # Outlines, so that a figure looks the same without this font.
    "svg.fonttype": "path",
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.edgecolor": COLOURS["muted"].light,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["grid"].light,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.title_fontsize": 6.5,
    # A name is no formula, whatever is in it.
    "text.parse_math": False,
}


@contextmanager
def drawn(size: tuple[float, float]) -> Iterator[tuple[Any, Axes]]:
    """Yield a figure of a size in inches, and its axes, to draw on and to save within the block."""
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.subplots()


def save(figure: Any, path: Path, formats: Sequence[str], outputs: OutputSet) -> list[Path]:
    """Write a figure in each format, ``svg`` or ``png``, which is added to the path, and return the files.

    They belong to a set of outputs, which moves them to their names at its end.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    written = []
    for form in formats:
        target = path.with_name(f"{path.name}.{form}")
        nothing = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        with outputs.open(target) as beside:
            figure.savefig(beside, format=form, dpi=DOTS_PER_INCH, metadata=nothing)
        written.append(target)
    return written
