"""The figures on paper: the same views of the chosen setting as SVG and PNG, the same bytes for the same folder."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.ticker import EngFormatter, MaxNLocator

from dnnzip.exploration.schemas import ENERGY_PARTS
from dnnzip.report.captions import machine_name, series_name, setting_name
from dnnzip.report.evidence import Evidence, Kind, Setting, machine_of
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
    small, tall = (COLUMN, 2.8), (WIDE, 1.0 + 0.26 * max(2, len(evidence.network.layers) if evidence.network else 0))
    views: dict[str, tuple[tuple[float, float], Callable[[Axes, Evidence, int], bool]]] = {
        "accuracy_bits": (small, partial(accuracy_against_bits, max_drop=max_drop)),
        "accuracy_energy": (small, partial(accuracy_against_cost, max_drop=max_drop, figure="energy_J")),
        "accuracy_latency": (small, partial(accuracy_against_cost, max_drop=max_drop, figure="latency_s")),
        "bits_bound": (small, bits_against_bound),
        "energy_parts": ((COLUMN, 1.9), energy_by_part),
        "layer_latency": (tall, partial(cost_by_layer, figure="latency_s")),
        "layer_energy": (tall, partial(cost_by_layer, figure="energy_J")),
    }
    outputs.make_folder(folder)
    written: list[Path] = []
    for name, (size, view) in views.items():
        with drawn(size) as (figure, axes):
            if view(axes, evidence, chosen):
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
    first = [index for index in range(len(evidence.settings)) if (index, 0) in evidence.costs]
    costs = {index: evidence.costs[index, 0].compressed[figure] for index in first}
    if not costs:
        return False
    _cost_axis(axes, figure, _first_machine(evidence))
    return _scatter(axes, evidence, costs, chosen, max_drop)


def _scatter(axes: Axes, evidence: Evidence, costs: Mapping[int, float], chosen: int, max_drop: float) -> bool:
    assert evidence.network is not None, "settings come with a network"
    settings = evidence.settings
    plain = evidence.network.top1
    lowest = plain - max(5 * max_drop, NEAREST_RANGE)
    fits = settings[chosen].drop <= max_drop + TOLERANCE
    chosen_name = f"fewest bits, loss to {100 * max_drop:g} points" if fits else "least loss"
    shown = [index for index in costs if settings[index].top1 >= lowest] or list(costs)

    def points(members: Sequence[int]) -> tuple[list[float], list[float]]:
        return [costs[index] for index in members], [100 * settings[index].top1 for index in members]

    for kind, (name, _, mark) in KINDS.items():
        members = [index for index in shown if settings[index].kind is kind]
        if members:
            size, colour = 70 if kind is Kind.TUNED else 18, COLOURS[kind.value].light
            style = {"edgecolors": "white", "linewidths": 0.4, "zorder": 3}
            axes.scatter(*points(members), s=size, marker=mark, color=colour, label=name, **style)
    best = [shown[place] for place in front([costs[i] for i in shown], [settings[i].top1 for i in shown])]
    muted, red = COLOURS["muted"].light, COLOURS["chosen"].light
    axes.step(*points(best), where="post", color=muted, linewidth=1, label="Pareto front", zorder=2)
    if chosen in shown:
        ring = {"marker": "o", "markersize": 9, "fillstyle": "none", "markeredgewidth": 1.4, "linestyle": "none"}
        axes.plot(*points([chosen]), **ring, color=red, label=chosen_name, zorder=4)
    axes.axhline(100 * plain, color=muted, linewidth=0.9, zorder=1)
    axes.axhline(100 * (plain - max_drop), color=red, linewidth=0.9, linestyle=":", zorder=1)
    axes.set_ylabel("top-1 accuracy (%)")
    axes.figure.legend(ncols=3, loc="outside upper center", columnspacing=1, handletextpad=0.4)
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
        line = [values.get(settings[index].key, float("nan")) for index in series]
        label = "" if number else "layers"
        axes.plot(x, line, color=COLOURS["plain"].light, linewidth=0.8, alpha=0.7, label=label)
    whole = [settings[index].bits_per_weight for index in series]
    style = {"linewidth": 2, "marker": "o", "markersize": 4}
    axes.plot(x, whole, color=COLOURS["all"].light, label="whole network", **style)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xticks(x, [settings[index].max_error for index in series])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"largest error tolerated ({printable(series_name(settings[series[0]]))})")
    axes.set_ylabel("bits per weight")
    axes.legend()
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
    _cost_axis(axes, "energy_J", _first_machine(evidence))
    axes.figure.legend(ncols=3, loc="outside upper center")
    return True


def cost_by_layer(axes: Axes, evidence: Evidence, chosen: int, figure: str) -> bool:
    """Draw each layer's latency or energy, plain next to compressed, on the first accelerator."""
    machine = evidence.machines[0]
    rows = [row for row in evidence.layer_rows([chosen]) if machine_of(row) == machine]
    if not rows:
        return False
    places = range(len(rows))
    for offset, side, colour, name in ((-0.2, "plain_", "plain", "plain weights"), (0.2, "", "all", "compressed")):
        values = [row[f"{side}{figure}"] for row in rows]
        axes.barh([place + offset for place in places], values, height=0.38, color=COLOURS[colour].light, label=name)
    axes.set_yticks(places, [_shortened(row["layer"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    _cost_axis(axes, figure, machine_name(machine))
    axes.legend(title=printable(setting_name(evidence.settings[chosen])))
    return True


def _first_machine(evidence: Evidence) -> str:
    return f"{evidence.machines[0].accelerator}, {evidence.machines[0].timing}"


def _cost_axis(axes: Axes, figure: str, machine: str) -> None:
    quantity, unit = ("energy", "J") if figure == "energy_J" else ("latency", "s")
    axes.set_xlabel(f"{quantity} on {printable(machine)}")
    axes.xaxis.set_major_formatter(EngFormatter(unit=unit))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _shortened(name: str) -> str:
    # A line break or the like in a name would break the figure's rows.
    plain = printable(name)
    if len(plain) <= LABEL_LENGTH:
        return plain
    return f"{plain[: LABEL_LENGTH // 2 - 1]}\N{HORIZONTAL ELLIPSIS}{plain[-LABEL_LENGTH // 2 :]}"
