"""The table of departures on the accelerator's page is what the model gives; run this file to write it anew."""

import sys
from dataclasses import replace
from pathlib import Path

from dnnzip.accelerator import Departures, Estimator, load_accelerator, reductions
from dnnzip.accelerator.family import NETWORKS

PAGE = Path(__file__).parents[2] / "docs" / "accelerator.md"
START, END = "| --- | --- | --- | --- | --- |\n", "<!-- /departures -->"
RATIO = 3


def figures(accelerator):
    """Return, for each network, its baseline's cycles and energy, and what is saved of both."""
    estimator = Estimator(accelerator)
    for network in NETWORKS.values():
        plain = network()
        bits = accelerator.weight_bits / RATIO
        packed = replace(plain, layers=tuple(layer.compressed(bits) for layer in plain.layers))
        before, after = estimator.estimate(plain), estimator.estimate(packed)
        saved = reductions(before, after)
        yield before.latency, before.energy.total, saved["latency_reduction"], saved["energy_reduction"]


def rows():
    preset = load_accelerator("paper-mesh-8x8")
    first = list(figures(preset))
    variants = {"(as the preset comes)": {}}
    variants |= {f"`{name}`": {name: not getattr(preset.departures, name)} for name in Departures.model_fields}
    variants["all off"] = dict.fromkeys(Departures.model_fields, False)
    for name, switched in variants.items():
        found = list(figures(preset.departing(**switched)))
        cycles = " / ".join(f"{100 * (own[0] / base[0] - 1):+.1f}" for own, base in zip(found, first, strict=True))
        energy = " / ".join(f"{100 * (own[1] / base[1] - 1):+.1f}" for own, base in zip(found, first, strict=True))
        saved = [" / ".join(f"{100 * own[part]:.1f}" for own in found) for part in (2, 3)]
        yield f"| {name} | {cycles} | {energy} | {saved[0]} | {saved[1]} |\n"


def parts():
    before, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- departures -->")
    head, start, rest = rest.partition(START)
    table, end, after = rest.partition(END)
    return f"{before}<!-- departures -->{head}{start}", table, f"{end}{after}"


def test_the_table_of_departures_is_what_the_model_gives():
    assert parts()[1] == "".join(rows())


def test_every_departure_is_explained_on_the_page():
    explained = parts()[2]
    assert all(f"| `{name}` |" in explained for name in Departures.model_fields)


if __name__ == "__main__":
    before, _, after = parts()
    PAGE.write_text(before + "".join(rows()) + after, encoding="utf-8")
    sys.exit(0)
