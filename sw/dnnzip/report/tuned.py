"""The result of ``dnnzip tune`` as the report shows it: its figures, what each layer got, and other facts."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnnzip.errors import InputError
from dnnzip.exploration.folder import TUNE
from dnnzip.report.captions import NONE, SCOPES, percent, points, saved, si, signed

LAYERS = "layers"
LEFT_OUT = "left_out"
DIGITS = 5


@dataclass(frozen=True)
class Figure:
    """A number of the headline: what it is, its value, a note under it."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class LayerRow:
    """A layer of the table: its cells, and its bits as a share of the most bits of any layer."""

    cells: tuple[str, ...]
    share: float


@dataclass(frozen=True)
class Tuned:
    """A tuning as text."""

    figures: tuple[Figure, ...]  # figures of the whole network, the most wanted first
    # columns, rows: of the layers; the layer's name comes first.
    columns: tuple[str, ...]
    rows: tuple[LayerRow, ...]
    facts: tuple[tuple[str, str], ...]  # name and value of everything else that the file says


def _plain(value: Any) -> str:
    """Return a value as text, whatever it is."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _shape(value: Any) -> str:
    return "\N{MULTIPLICATION SIGN}".join(map(str, value)) if isinstance(value, list) else _plain(value)


def _bits(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else NONE


def _small(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else _plain(value)


COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "name": ("Layer", _plain),
    "shape": ("Shape", _shape),
    "weights": ("Weights", _plain),
    "chosen": ("Chosen bound", _plain),
    "scope": ("Scope", lambda value: SCOPES.get(value, _plain(value)) if isinstance(value, str) else NONE),
    "codec": ("Codec", _plain),
    "bits_per_weight": ("Bits per weight", _bits),
    "max_error": ("Largest error", _small),
    "bound": ("Bound", _small),
    "unit": ("Unit", _plain),
    "rule": ("Left out because", _plain),
}
"""Key of a layer to its heading and how its values are written; others follow as they are."""

NOT_SHOWN = ("stream_bytes", "side_bytes", "step_loss_bits")
"""Keys of a layer that another column says already."""


def read_tuned(content: dict[str, Any], folder: Path) -> Tuned:
    """Return a tuning as text; keys that only a newer version writes are shown like the others.

    Parameters
    ----------
    content
        What ``dnnzip tune --json`` wrote.
    folder
        Where from, for messages.

    Raises
    ------
    InputError
        Its layers are no lists of objects with names, or another part has a form that the command never writes.
    """
    layers, left_out = _objects(content, LAYERS, folder), _objects(content, LEFT_OUT, folder)
    totals, accuracy, single = (_object(content, name, folder) for name in ("totals", "accuracy", "single_bound"))
    known = {"totals", "accuracy", "single_bound", "saving", LAYERS, LEFT_OUT}
    facts = tuple(
        (_words(key), _plain(value)) for key, value in _flat({k: content[k] for k in content if k not in known})
    )
    found = {key for layer in [*layers, *left_out] for key in layer}
    keys = [key for key in COLUMNS if key in found]
    keys += [key for layer in layers for key in layer if key not in (*keys, *NOT_SHOWN)]
    keys = list(dict.fromkeys(keys))
    most = max((_number(layer.get("bits_per_weight")) or 0.0 for layer in layers), default=0.0)
    rows = tuple(
        LayerRow(
            tuple(COLUMNS.get(key, (key, _plain))[1](layer.get(key)) for key in keys),
            (_number(layer.get("bits_per_weight")) or 0.0) / most if most else 0.0,
        )
        for layer in [*layers, *left_out]
    )
    return Tuned(
        tuple(_figures(totals, accuracy, single, content.get("saving"))),
        tuple(COLUMNS[key][0] if key in COLUMNS else _words(key) for key in keys),
        rows,
        facts,
    )


def _figures(totals: dict[str, Any], accuracy: dict[str, Any], single: dict[str, Any], saving: Any) -> Iterable[Figure]:
    bits = _number(totals.get("bits_per_weight_all", totals.get("bits_per_weight")))
    if bits is not None:
        stored = sum(_number(totals.get(name)) or 0.0 for name in ("stream_bytes", "side_bytes", "left_out_bytes"))
        yield Figure("Bits per weight, tuned", f"{bits:.3f}", f"{si(stored, 'B')} in all" if stored else "")
    plain, tuned = _number(accuracy.get("plain_top1")), _number(accuracy.get("tuned_top1"))
    if plain is not None and tuned is not None:
        samples = f"on {_plain(accuracy.get('samples'))} samples not seen by the search"
        yield Figure("Top-1 accuracy, plain", percent(plain), samples)
        interval = accuracy.get("interval")
        between = ""
        if isinstance(interval, list) and len(interval) == 2 and all(_number(end) is not None for end in interval):
            low, high = sorted(-float(end) for end in interval)
            between = f"; 95 % interval {signed(f'{100 * low:.2f}')} to {signed(f'{100 * high:.2f}')}"
        yield Figure("Top-1 accuracy, tuned", percent(tuned), points(tuned - plain) + between)
    single_bits = _number(single.get("bits_per_weight"))
    if single_bits is not None:
        bound = single.get("bound")
        note = (
            f"{single_bits:.3f} bits at {bound}, {SCOPES.get(str(single.get('scope')), '')}"
            if bound
            else "no such bound"
        )
        yield Figure("Against the best single bound", saved(_number(saving)), note)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _damaged(folder: Path, what: str) -> InputError:
    return InputError(str(folder / TUNE), f"is damaged: {what}", "write it with 'dnnzip tune --json'")


def _objects(content: dict[str, Any], name: str, folder: Path) -> list[dict[str, Any]]:
    found = content.get(name, [])
    if not isinstance(found, list) or not all(isinstance(item, dict) and "name" in item for item in found):
        raise _damaged(folder, f"{name} is no list of objects with a name")
    return found


def _object(content: dict[str, Any], name: str, folder: Path) -> dict[str, Any]:
    found = content.get(name) or {}
    if not isinstance(found, dict):
        raise _damaged(folder, f"{name} is no object")
    return found


def _flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return the values of an object and of those in it, each under its path."""
    found: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            found += _flat(value, f"{name} ")
        else:
            found.append((name, value))
    return found


def _words(key: str) -> str:
    text = key.replace("_", " ")
    return text[:1].upper() + text[1:]
