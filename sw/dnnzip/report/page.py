"""The page: one HTML file that holds its numbers, its figures and their library, and loads nothing.

Its content security policy forbids every connection and every script but the two that are in it, by their digests; so
no text of the folder, whatever a layer is called, can become one.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterable
from importlib import resources
from typing import Any

import jinja2
import plotly.offline
from markupsafe import Markup

from dnnzip import __version__
from dnnzip.exploration.facts import Request
from dnnzip.exploration.folder import TUNE
from dnnzip.report.captions import (
    NONE,
    PLACEMENTS,
    SCOPES,
    TIMINGS,
    machine_name,
    percent,
    points,
    saved,
    series_name,
    setting_name,
    si,
)
from dnnzip.report.evidence import Evidence, Kind
from dnnzip.report.figures import KINDS, all_figures
from dnnzip.report.headline import choose, closest
from dnnzip.report.palette import style_variables
from dnnzip.report.payload import payload
from dnnzip.report.tuned import COLUMNS as LAYER_COLUMNS
from dnnzip.report.tuned import read_tuned

SCRIPTS = ("numbers.js", "selection.js", "charts.js", "tables.js", "controls.js")
"""Parts of the page's script; each uses what those before it define."""

COLUMNS = (
    ("name", "Layer", False, True),
    ("operator", "Operator", False, True),
    ("", "Shape", False, True),
    ("weights", "Weights", True, False),
    ("macs", "MACs", True, False),
    ("codec", "Codec", False, True),
    ("bits", "Bits per weight", True, False),
    ("error", "Largest error", True, False),
    ("bound", "Bound", True, False),
    ("rms", "RMS error", True, False),
    ("alone", "Loss alone (points)", False, False),
    ("latency", "Latency saved", True, False),
    ("energy", "Energy saved", True, False),
)
"""Columns of the layers' table: key to sort by if any, heading, whether the largest comes first, whether it is text."""


NOT_IN_HTML = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")

LONGEST_LIST = 12
"""Values that the foot of the page shows at once; more are folded."""


def render(evidence: Evidence, max_drop: float) -> str:
    """Return the page.

    Parameters
    ----------
    evidence
        The exploration that it shows.
    max_drop
        Accuracy that may be lost, a share of the samples.

    Raises
    ------
    InputError
        The result of the tuning is damaged.
    """
    plotly_script = _for_script(plotly.offline.get_plotlyjs())
    script = _for_script(_script())
    content: dict[str, Any] = {
        "version": __version__,
        "policy": _policy((plotly_script, script)),
        "title": _title(evidence),
        "lead": _lead(evidence),
        "light": Markup(style_variables(dark=False)),
        "dark": Markup(style_variables(dark=True)),
        "style": Markup(_asset("style.css")),
        "tuned": read_tuned(evidence.tune, evidence.path) if evidence.tune is not None else None,
        "tune_file": TUNE,
        "bits_column": LAYER_COLUMNS["bits_per_weight"][0],
        "provenance": _provenance(evidence.request),
        "headline": None,
        "empty": _empty(evidence),
    }
    if evidence.settings:
        numbers = payload(evidence, max_drop)
        codecs = evidence.codecs
        numbers["settings"]["name"] = [setting_name(setting, codecs) for setting in evidence.settings]
        numbers["settings"]["series"] = [series_name(setting, codecs) for setting in evidence.settings]
        numbers["machine_names"] = [machine_name(machine) for machine in evidence.machines]
        content |= {
            "headline": _headline(evidence, max_drop, codecs),
            "layers": _layers(numbers["layers"]),
            "columns": COLUMNS,
            "none_text": NONE,
            "data": _json(numbers),
            "figures": _json(all_figures()),
            "plotly": Markup(plotly_script),
            "script": Markup(script),
            "max_drop_points": f"{100 * max_drop:g}",
            **_choices(evidence),
        }
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("page.html.j2")).render(content)


def _asset(name: str) -> str:
    return (resources.files("dnnzip.report") / "assets" / name).read_text(encoding="utf-8")


def _script() -> str:
    # One function around all parts, so that they share their names with each other and with nothing else.
    parts = "\n".join(_asset(name) for name in SCRIPTS)
    return (
        '"use strict";\n(() => {\n'
        'const report = JSON.parse(document.getElementById("report-data").textContent);\n'
        'const figures = JSON.parse(document.getElementById("report-figures").textContent);\n'
        f"{parts}\n}})();\n"
    )


def _for_script(text: str) -> str:
    """Return a script that is safe within HTML.

    It does not end its own element: an escaped slash is the same in a string of JavaScript. Control characters, which
    HTML does not take, are written as escapes; a script has them in strings alone.
    """
    text = text.replace("</script", "<\\/script").replace("<!--", "<\\!--").replace("\r\n", "\n").strip()
    return NOT_IN_HTML.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def _policy(scripts: Iterable[str]) -> str:
    digests = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    # Plotly writes style rules of its own; a picture that is saved goes through a blob.
    return (
        f"default-src 'none'; script-src {digests}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _json(content: Any) -> Markup:
    """Return JSON that is safe within a script element."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _title(evidence: Evidence) -> str:
    if evidence.network:
        return evidence.network.name
    if evidence.request:
        return evidence.request.model.rpartition("/")[2]
    model = (evidence.tune or {}).get("model")
    return model.rpartition("/")[2] if isinstance(model, str) and model else evidence.path.resolve().name


def _lead(evidence: Evidence) -> str:
    request = evidence.request
    if request is None:
        return "The weights of a neural network, compressed within bounds that were chosen layer by layer."
    done = len(evidence.settings)
    there = f"{done:,} settings" if done == request.encodings else f"{done:,} of {request.encodings:,} settings so far"
    machines = len(evidence.machines)
    estimates = f", each estimated for {machines} accelerator configurations" if machines > 1 else ""
    return (
        f"Weights compressed within a bounded error: {there} of layers, bound, scope and codec{estimates}; "
        f"accuracy measured on {request.samples:,} samples of {request.data.rpartition('/')[2]}."
    )


def _empty(evidence: Evidence) -> str | None:
    if evidence.settings or evidence.request is None:
        return None
    return (
        "No setting has finished yet: run the command at the foot of this page again to continue, and then this report."
    )


def _headline(evidence: Evidence, max_drop: float, codecs: int) -> dict[str, Any]:
    best = choose(evidence, max_drop)
    shown = closest(evidence) if best is None else best
    assert shown is not None, "there are settings"
    assert evidence.network is not None, "settings come with a network"
    setting = evidence.settings[shown]
    cost = evidence.costs.get((shown, 0))
    amount = {
        name: f"{si(cost.compressed[name], unit)} of {si(cost.plain[name], unit)}" if cost else f"{NONE} of {NONE}"
        for name, unit in (("latency_s", "s"), ("energy_J", "J"))
    }
    limit = f"{100 * max_drop:.2f}"
    width = evidence.request.weight_bits if evidence.request else None
    return {
        "bits": f"{setting.bits_per_weight:.2f}",
        "ratio": f"{setting.ratio:.1f}\N{MULTIPLICATION SIGN}",
        "bytes": f"{si(setting.bytes, 'B')} of {si(evidence.network.bytes, 'B')}",
        "plain": percent(evidence.network.top1),
        "samples": f"{evidence.network.samples:,}",
        "top1": percent(setting.top1),
        "drop": points(-setting.drop),
        "latency": saved(cost.reduction("latency_s") if cost else None),
        "latency_amount": amount["latency_s"],
        "energy": saved(cost.reduction("energy_J") if cost else None),
        "energy_amount": amount["energy_J"],
        "setting": setting_name(setting, codecs),
        "machine": machine_name(evidence.machines[0]),
        "width": "at the accelerator's own width" if width is None else f"of {width} bits",
        "why": f"Fewest bits at a loss of at most {limit} points" if best is not None else "Least loss",
        "warning": ""
        if best is not None
        else f"No setting shown loses at most {limit} points of accuracy; the one that loses least is shown.",
    }


def _layers(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": layer["name"],
            "operator": layer["operator"] or NONE,
            "shape": "\N{MULTIPLICATION SIGN}".join(map(str, layer["shape"])) or NONE,
            "weights": f"{layer['weights']:,}" if layer["weights"] else NONE,
            "macs": f"{layer['macs']:,}" if layer["macs"] else NONE,
            "reason": layer["reason"],
        }
        for layer in layers
    ]


def _choices(evidence: Evidence) -> dict[str, list[Any]]:
    """Return the values that the controls offer, in the folder's order."""
    settings, machines = evidence.settings, evidence.machines
    kinds = {setting.kind for setting in settings}
    # A tuned model has no bound, scope or codec of its own: each layer has.
    bounded = [setting for setting in settings if setting.kind is not Kind.TUNED]
    bounds = {setting.max_error: setting.bound_order for setting in bounded}
    return {
        "accelerators": _unique(machine.accelerator for machine in machines),
        "placements": [(name, PLACEMENTS.get(name, name)) for name in _unique(item.placement for item in machines)],
        "timings": [(name, TIMINGS.get(name, name)) for name in _unique(item.timing for item in machines)],
        "kinds": [(kind.value, KINDS[kind][0]) for kind in Kind if kind in kinds],
        "bounds": sorted(bounds, key=lambda name: bounds[name] or 0.0),
        "scopes": [(name, SCOPES.get(name, name)) for name in _unique(item.scope for item in bounded)],
        "codecs": _unique(item.codec for item in bounded),
    }


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _provenance(request: Request | None) -> list[tuple[str, str, bool, str]]:
    """Return name, value, whether it is code, and a shorter form if it needs one, of what the foot of the page says."""
    report = ("Report by", f"dnnzip {__version__}", False, "")
    if request is None:
        return [report]
    grid = request.grid
    made = {name: value for name, value in request.provenance.items() if name != "command"}
    tuned = (("Tuned model", request.tuned), ("Tuned model, SHA-256", request.tuned_sha256))
    code = [
        ("Command", request.command),
        ("Commit", made.pop("commit", "unknown")),
        ("Model", request.model),
        ("Model, SHA-256", request.model_sha256),
        ("Data", request.data),
        ("Data, SHA-256", request.data_sha256),
        *((name, value) for name, value in tuned if value is not None),
        *((f"{name}, SHA-256", digest) for name, digest in request.accelerator_sha256.items()),
    ]
    text = [
        ("Samples", f"{request.samples:,}"),
        ("Seed", "none: the first samples" if request.seed is None else str(request.seed)),
        ("Batch", str(request.batch)),
        ("Bits of a plain weight", "the accelerator's" if request.weight_bits is None else str(request.weight_bits)),
    ]
    lists = [
        ("Sets of layers", grid.layers),
        ("Bounds", grid.max_error),
        ("Scopes", grid.error_scope),
        ("Codecs", grid.codec),
        ("Accelerators", grid.accelerator),
        ("Placements", grid.placement),
        ("Timings", grid.timing),
        ("Versions", [f"{name} {version}" for name, version in made.items()]),
    ]
    return [
        *((name, value, True, "") for name, value in code),
        *((name, value, False, "") for name, value in text),
        *(
            (name, ", ".join(values), False, f"{len(values)} values" if len(values) > LONGEST_LIST else "")
            for name, values in lists
        ),
        report,
    ]
