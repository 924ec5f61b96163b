"""The page's interactive figures as data: layout, axes with their units, and how each series looks.

The page's script fills in the numbers of what is selected; it finds a series by its ``meta``. Colours are named by the
CSS variables of `palette`, so that a figure follows the page from light to dark.
"""

from typing import Any

import plotly.graph_objects as go

from dnnzip.exploration.schemas import ENERGY_PARTS
from dnnzip.report.evidence import Kind
from dnnzip.report.palette import variable

KINDS = {
    Kind.BUT: ("all but one", "square", "s"),
    Kind.ONE: ("one layer alone", "triangle-up", "^"),
    Kind.GROUP: ("a group of layers", "pentagon", "p"),
    Kind.ALL: ("all layers", "circle", "o"),
    Kind.TUNED: ("tuned", "star", "*"),
}
"""Kind of a set of layers to its name in the legend, its mark here, and its mark on paper; later ones lie on top."""

HEIGHT = 420
"""Height of a figure in pixels; figures with a bar for each layer grow with the layers."""

Figure = dict[str, Any]


def _bits_against_bound() -> Figure:
    """Return the figure of bits per weight over the bound: a line for each layer, and the network's."""

    def line(meta: str, colour: str, width: float, **look: Any) -> go.Scatter:
        name = look.get("name", "%{text}")
        hover = f"<b>{name}</b><br>bound %{{customdata}}<br>%{{y:.3f}} bits per weight<extra></extra>"
        look = {"mode": "lines+markers", "hovertemplate": hover, **look}
        return go.Scatter(meta=meta, line={"color": variable(colour), "width": width}, **look)

    triangle, circle = ({"symbol": symbol, "size": 8} for symbol in ("triangle-up", "circle"))
    figure = go.Figure(
        [
            line("layer", "plain", 1, mode="lines", opacity=0.55, showlegend=False),
            line("chosen", "one", 2.5, marker=triangle),
            line("network", "all", 3, name="whole network", marker=circle),
        ]
    )
    figure.update_layout(_layout("largest error tolerated", "bits per weight"))
    figure.update_yaxes(rangemode="tozero")
    return _as_data(figure)


def _energy_by_part() -> Figure:
    """Return the bars of the energy's parts, plain above compressed."""
    figure = go.Figure(
        [
            go.Bar(
                meta=part,
                name=part,
                orientation="h",
                marker={"color": variable(part), "line": {"color": variable("card"), "width": 1}},
                hovertemplate=f"<b>%{{y}}</b><br>{part}: %{{customdata}}<extra></extra>",
            )
            for part in ENERGY_PARTS
        ]
    )
    figure.update_layout(_layout("energy of an inference", None), barmode="stack", height=260)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return _as_data(figure)


def _cost_by_layer() -> Figure:
    """Return the bars of each layer's latency or energy, plain next to compressed."""
    figure = go.Figure(
        [
            go.Bar(
                meta=side,
                name=name,
                orientation="h",
                marker={"color": variable(colour)},
                hovertemplate=f"<b>%{{text}}</b><br>{name}: %{{customdata}}<extra></extra>",
                textposition="none",
            )
            for side, name, colour in (("plain", "plain weights", "plain"), ("compressed", "compressed", "all"))
        ]
    )
    figure.update_layout(_layout("latency by layer", None), barmode="group", bargap=0.28, bargroupgap=0.05)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return _as_data(figure)


def all_figures() -> dict[str, Figure]:
    """Return every figure of the page by the id of its place there."""
    return {
        "accuracy-bits": _accuracy_against("bits per weight"),
        # The script names the axis by the chosen cost.
        "accuracy-cost": _accuracy_against("energy of an inference"),
        "bits-bound": _bits_against_bound(),
        "energy-parts": _energy_by_part(),
        "layer-costs": _cost_by_layer(),
    }


def _accuracy_against(x_title: str) -> Figure:
    """Return the figure of accuracy over bits per weight or a cost: a mark for each setting, and their front."""
    front = go.Scatter(
        meta="front",
        name="Pareto front",
        mode="lines",
        line={"color": variable("muted"), "width": 1.5, "shape": "hv"},
        hoverinfo="skip",
    )
    kinds = [
        go.Scatter(
            meta=kind.value,
            name=name,
            mode="markers",
            marker={
                "color": variable(kind.value),
                "symbol": symbol,
                "size": 14 if kind is Kind.TUNED else 8,
                "opacity": 0.85,
                "line": {"color": variable("card"), "width": 0.8},
            },
            hovertemplate="%{text}<extra></extra>",
        )
        for kind, (name, symbol, _) in KINDS.items()
    ]
    red = variable("chosen")
    chosen = go.Scatter(
        meta="chosen",
        name="chosen setting",
        mode="markers",
        marker={"symbol": "circle-open", "size": 19, "color": red, "line": {"color": red, "width": 2.5}},
        hoverinfo="skip",
    )
    figure = go.Figure([front, *kinds, chosen])
    figure.update_layout(_layout(x_title, "top-1 accuracy (%)"), hovermode="closest")
    return _as_data(figure)


def _layout(x_title: str, y_title: str | None) -> dict[str, Any]:
    axis: dict[str, Any] = {
        "gridcolor": variable("grid"),
        "linecolor": variable("line"),
        "zeroline": False,
        "tickfont": {"color": variable("muted"), "size": 12},
        "title": {"font": {"color": variable("ink"), "size": 13}},
        "automargin": True,
        "fixedrange": False,
    }
    return {
        "autosize": True,
        "height": HEIGHT,
        "margin": {"l": 56, "r": 14, "t": 30, "b": 84},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif", "color": variable("ink")},
        "hoverlabel": {
            "bgcolor": variable("raised"),
            "bordercolor": variable("line"),
            "font": {"color": variable("ink"), "size": 13},
            "align": "left",
        },
        "legend": {
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "font": {"size": 12},
            "traceorder": "normal",
        },
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": variable("muted"), "activecolor": variable("ink")},
        "dragmode": "zoom",
        "xaxis": {**axis, "title": {**axis["title"], "text": x_title}},
        "yaxis": {**axis, **({"title": {**axis["title"], "text": y_title}} if y_title else {})},
    }


def _as_data(figure: go.Figure) -> Figure:
    # The template is a page of defaults for traces that are not here.
    figure.update_layout(template=None)
    return {"data": [trace.to_plotly_json() for trace in figure.data], "layout": figure.layout.to_plotly_json()}
