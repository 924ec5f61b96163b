"""The figures on paper: the same views of the chosen setting as SVG and PNG, the same bytes for the same folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import EngFormatter, MaxNLocator

from dnnzip.exploration.schemas import ENERGY_PARTS
from dnnzip.report.captions import machine_name, series_name, setting_name
from dnnzip.report.evidence import Evidence, Kind, Setting
from dnnzip.report.figures import KINDS
from dnnzip.report.headline import TOLERANCE, choose, closest, front
from dnnzip.report.palette import COLOURS
from dnnzip.report.plotting import Axes, drawn, save
from dnnzip.system.outputs import OutputSet
from dnnzip.system.terminal import printable

FORMATS = ("svg", "png")
COLUMN, WIDE = 3.5, 7.2
"""Widths of figures in inches: a column of a two-column paper, and its page."""

NEAREST_RANGE = 0.02
"""Accuracy below the plain network that a figure shows at least, a share; five accepted losses where that is more."""

LABEL_LENGTH = 28


def draw_all(
    evidence: Evidence, max_drop: float, folder: Path, outputs: OutputSet, step: Callable[[str], None]
) -> list[Path]:
    """Write every figure.

    Parameters
    ----------
    evidence
        The exploration, with settings.
    max_drop
        Accuracy that may be lost, a share of the samples; by it the setting is chosen whose layers and parts are shown.
    folder
        Where the files go; made where missing.
    outputs
        The set that they belong to.
    step
        Called with the name of each figure that is done.

    Returns
    -------
    The files.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    best = choose(evidence, max_drop)
    chosen = closest(evidence) if best is None else best
    assert chosen is not None, "there are settings"
    views: dict[str, tuple[tuple[float, float], Callable[[Axes], bool]]] = {
        "accuracy_bits": ((COLUMN, 2.8), lambda axes: accuracy_against_bits(axes, evidence, chosen, max_drop)),
        "accuracy_energy": (
            (COLUMN, 2.8),
            lambda axes: accuracy_against_cost(axes, evidence, chosen, max_drop, "energy_J"),
        ),
        "accuracy_latency": (
            (COLUMN, 2.8),
            lambda axes: accuracy_against_cost(axes, evidence, chosen, max_drop, "latency_s"),
        ),
        "bits_bound": ((COLUMN, 2.8), lambda axes: bits_against_bound(axes, evidence, chosen)),
        "energy_parts": ((COLUMN, 1.9), lambda axes: energy_by_part(axes, evidence, chosen)),
        "layer_latency": (
            (WIDE, _bars_height(evidence)),
            lambda axes: cost_by_layer(axes, evidence, chosen, "latency_s"),
        ),
        "layer_energy": (
            (WIDE, _bars_height(evidence)),
            lambda axes: cost_by_layer(axes, evidence, chosen, "energy_J"),
        ),
    }
    outputs.make_folder(folder)
    written: list[Path] = []
    for name, (size, view) in views.items():
        with drawn(size) as (figure, axes):
            if view(axes):
                written += save(figure, folder / name, FORMATS, outputs)
        step(name)
    return written


def accuracy_against_bits(axes: Axes, evidence: Evidence, chosen: int, max_drop: float) -> bool:
    """Draw accuracy over bits per weight; return whether there is anything to draw, like all views here."""
    axes.set_xlabel("bits per weight")
    costs = {index: setting.bits_per_weight for index, setting in enumerate(evidence.settings)}
    return _scatter(axes, evidence, costs, chosen, max_drop)


def accuracy_against_cost(axes: Axes, evidence: Evidence, chosen: int, max_drop: float, figure: str) -> bool:
    """Draw accuracy over energy or latency on the first accelerator."""
    costs = {
        index: evidence.costs[index, 0].compressed[figure]
        for index in range(len(evidence.settings))
        if (index, 0) in evidence.costs
    }
    if not costs:
        return False
    axes.set_xlabel(
        f"{_quantity(figure)} on {printable(evidence.machines[0].accelerator)}, {evidence.machines[0].timing}"
    )
    _si_axis(axes.xaxis, figure)
    return _scatter(axes, evidence, costs, chosen, max_drop)


def _scatter(axes: Axes, evidence: Evidence, costs: Mapping[int, float], chosen: int, max_drop: float) -> bool:
    assert evidence.network is not None, "settings come with a network"
    settings = evidence.settings
    plain = evidence.network.top1
    lowest = plain - max(5 * max_drop, NEAREST_RANGE)
    fits = settings[chosen].drop <= max_drop + TOLERANCE
    chosen_name = f"fewest bits, loss to {100 * max_drop:g} points" if fits else "least loss"
    shown = [index for index in costs if settings[index].top1 >= lowest] or list(costs)
    for kind, (name, _, mark) in KINDS.items():
        members = [index for index in shown if settings[index].kind is kind]
        if members:
            axes.scatter(
                [costs[index] for index in members],
                [100 * settings[index].top1 for index in members],
                s=70 if kind is Kind.TUNED else 18,
                marker=mark,
                color=COLOURS[kind.value].light,
                edgecolors="white",
                linewidths=0.4,
                label=name,
                zorder=3,
            )
    best = [shown[place] for place in front([costs[i] for i in shown], [settings[i].top1 for i in shown])]
    axes.step(
        [costs[index] for index in best],
        [100 * settings[index].top1 for index in best],
        where="post",
        color=COLOURS["muted"].light,
        linewidth=1,
        label="Pareto front",
        zorder=2,
    )
    if chosen in shown:
        axes.plot(
            costs[chosen],
            100 * settings[chosen].top1,
            marker="o",
            markersize=9,
            fillstyle="none",
            markeredgewidth=1.4,
            color=COLOURS["chosen"].light,
            linestyle="none",
            label=chosen_name,
            zorder=4,
        )
    axes.axhline(100 * plain, color=COLOURS["muted"].light, linewidth=0.9, zorder=1)
    axes.axhline(100 * (plain - max_drop), color=COLOURS["chosen"].light, linewidth=0.9, linestyle=":", zorder=1)
    axes.set_ylabel("top-1 accuracy (%)")
    axes.figure.legend(
        frameon=False, fontsize=6.5, ncols=3, loc="outside upper center", columnspacing=1, handletextpad=0.4
    )
    return True


def bits_against_bound(axes: Axes, evidence: Evidence, chosen: int) -> bool:
    """Draw bits per weight over the bound: the layers' lines and the network's, of settings that differ in it alone."""
    series = _bound_series(evidence, chosen)
    if len(series) < 2:
        return False
    settings = evidence.settings
    bounds = [settings[index].bound_order or 0.0 for index in series]
    logarithmic = min(bounds) > 0
    x = bounds if logarithmic else list(range(len(bounds)))
    bits: dict[str, dict[str, float]] = {}
    for row in evidence.layer_rows(series):
        if row["bound"] is not None and row["bits_per_weight"] is not None:
            bits.setdefault(row["layer"], {})[row["encoding"]] = row["bits_per_weight"]
    for number, values in enumerate(bits.values()):
        axes.plot(
            x,
            [values.get(settings[index].key, float("nan")) for index in series],
            color=COLOURS["plain"].light,
            linewidth=0.8,
            alpha=0.7,
            label="" if number else "layers",
        )
    axes.plot(
        x,
        [settings[index].bits_per_weight for index in series],
        color=COLOURS["all"].light,
        linewidth=2,
        marker="o",
        markersize=4,
        label="whole network",
    )
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xticks(x, [settings[index].max_error for index in series])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"largest error tolerated ({printable(series_name(settings[series[0]]))})")
    axes.set_ylabel("bits per weight")
    axes.legend(frameon=False, fontsize=6.5)
    return True


def _bound_series(evidence: Evidence, chosen: int) -> list[int]:
    """Return settings that differ in the bound alone: like the chosen one, otherwise of all layers."""
    settings = evidence.settings

    def alike(label: str, like: Setting) -> list[int]:
        found = [
            index
            for index, item in enumerate(settings)
            if (item.layers, item.scope, item.codec) == (label, like.scope, like.codec) and item.bound_order is not None
        ]
        return sorted(found, key=lambda index: settings[index].bound_order or 0.0)

    candidates = [alike(settings[chosen].layers, settings[chosen])]
    candidates += [alike(item.layers, item) for item in settings if item.kind is Kind.ALL]
    return next((series for series in candidates if len(series) > 1), [])


def energy_by_part(axes: Axes, evidence: Evidence, chosen: int) -> bool:
    """Draw the parts of the energy, plain above compressed, on the first accelerator."""
    cost = evidence.costs.get((chosen, 0))
    if cost is None:
        return False
    left = [0.0, 0.0]
    for part in ENERGY_PARTS:
        values = [side[f"energy_{part}_J"] for side in (cost.plain, cost.compressed)]
        axes.barh([1, 0], values, left=left, color=COLOURS[part].light, label=part, height=0.6, edgecolor="white")
        left = [start + value for start, value in zip(left, values, strict=True)]
    axes.set_yticks([1, 0], ["plain", "compressed"])
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"energy on {printable(evidence.machines[0].accelerator)}, {evidence.machines[0].timing}")
    _si_axis(axes.xaxis, "energy_J")
    axes.figure.legend(frameon=False, fontsize=6.5, ncols=3, loc="outside upper center")
    return True


def cost_by_layer(axes: Axes, evidence: Evidence, chosen: int, figure: str) -> bool:
    """Draw each layer's latency or energy, plain next to compressed, on the first accelerator."""
    machine = evidence.machines[0]
    rows = [
        row
        for row in evidence.layer_rows([chosen])
        if (row["accelerator"], row["placement"], row["timing"])
        == (machine.accelerator, machine.placement, machine.timing)
    ]
    if not rows:
        return False
    places = range(len(rows))
    for offset, side, colour, name in ((-0.2, "plain_", "plain", "plain weights"), (0.2, "", "all", "compressed")):
        values = [row[f"{side}{figure}"] for row in rows]
        axes.barh([place + offset for place in places], values, height=0.38, color=COLOURS[colour].light, label=name)
    axes.set_yticks(places, [_shortened(row["layer"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"{_quantity(figure)} on {printable(machine_name(machine))}")
    _si_axis(axes.xaxis, figure)
    axes.legend(
        frameon=False, fontsize=6.5, title=printable(setting_name(evidence.settings[chosen])), title_fontsize=6.5
    )
    return True


def _bars_height(evidence: Evidence) -> float:
    layers: Sequence[Any] = evidence.network.layers if evidence.network else ()
    return 1.0 + 0.26 * max(2, len(layers))


def _quantity(figure: str) -> str:
    return "energy" if figure == "energy_J" else "latency"


def _si_axis(axis: Any, figure: str) -> None:
    axis.set_major_formatter(EngFormatter(unit="J" if figure == "energy_J" else "s"))
    axis.set_major_locator(MaxNLocator(5))


def _shortened(name: str) -> str:
    # A line break or the like in a name would break the figure's rows.
    plain = printable(name)
    return (
        plain
        if len(plain) <= LABEL_LENGTH
        else f"{plain[: LABEL_LENGTH // 2 - 1]}\N{HORIZONTAL ELLIPSIS}{plain[-LABEL_LENGTH // 2 :]}"
    )
