"""The result of ``dnnzip tune`` as the report shows it: facts, and a table of what was chosen for each layer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnnzip.errors import InputError
from dnnzip.exploration.record import TUNE
from dnnzip.report.wording import NONE

LAYERS = "layers"
NAME = "name"
DIGITS = 5


@dataclass(frozen=True)
class Tuned:
    """A tuning as text.

    Parameters
    ----------
    facts
        Name and value of what holds for the whole network.
    columns, rows
        Of the layers; the layer's name comes first.
    """

    facts: tuple[tuple[str, str], ...]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def read_tuned(content: dict[str, Any], folder: Path) -> Tuned:
    """Return the facts and the layers of a tuning; keys that only a newer version writes are shown like the others.

    Parameters
    ----------
    content
        What ``dnnzip tune --json`` wrote.
    folder
        Where from, for messages.

    Raises
    ------
    InputError
        Its layers are no list of objects with names.
    """
    layers = content.get(LAYERS, [])
    if not isinstance(layers, list) or not all(isinstance(layer, dict) and NAME in layer for layer in layers):
        raise InputError(
            str(folder / TUNE),
            "is damaged: layers is no list of objects with a name",
            "write it with 'dnnzip tune --json'",
        )
    facts = tuple(
        (_words(key), _text(value)) for key, value in _flat({key: content[key] for key in content if key != LAYERS})
    )
    flat = [dict(_flat(layer)) for layer in layers]
    keys = list(dict.fromkeys([NAME, *(key for layer in flat for key in layer)])) if flat else []
    rows = tuple(tuple(_text(layer.get(key)) for key in keys) for layer in flat)
    return Tuned(facts, tuple(_words(key) for key in keys), rows)


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


def _text(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    if isinstance(value, list):
        if all(isinstance(item, int) and not isinstance(item, bool) for item in value):
            return "\N{MULTIPLICATION SIGN}".join(map(str, value))
        return (
            " to ".join(_text(item) for item in value) if len(value) == 2 else ", ".join(_text(item) for item in value)
        )
    return value if isinstance(value, str) else json.dumps(value)
