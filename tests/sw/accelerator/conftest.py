"""Fixtures of the accelerator model's tests: figures of public tools, and a configuration to change."""

import json
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from dnnzip.accelerator import Accelerator, Kind, Layer

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture(scope="session")
def simulators():
    """Return the figures of SCALE-Sim, ZigZag, Noxim and DRAMsim3, each with its tool and configuration."""
    return json.loads((FIXTURES / "simulators.json").read_text(encoding="utf-8"))


@pytest.fixture
def values():
    """Return the content of a preset, to be changed."""

    def read(name="edge-lpddr4"):
        text = (resources.files("dnnzip.accelerator") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
        return tomllib.loads(text)

    return read


@pytest.fixture
def accelerator(values):
    """Return a preset with some constants changed: ``accelerator("ulx3s", **{"clock": 1e9, "mesh.width": 4})``."""

    def make(name="edge-lpddr4", **changes):
        content = values(name)
        for key, value in changes.items():
            *path, last = key.split(".")
            place = content
            for part in path:
                place = place[part]
            if isinstance(place.get(last), dict) and not isinstance(value, dict):
                place[last]["value"] = value
            else:
                place[last] = value
        return Accelerator.model_validate(content)

    return make


@pytest.fixture
def layer():
    """Return a layer with sizes that need not be said."""

    def make(units=16, reduction=32, positions=4, kind=Kind.CONVOLUTION, **facts):
        weights = units * reduction if kind in (Kind.CONVOLUTION, Kind.DENSE) else 0
        sizes = {"groups": 1, "inputs": reduction * positions, "outputs": units * positions, "weights": weights}
        named = {"name": "layer", "operator": "Conv", "kind": kind}
        return Layer(**(named | {"units": units, "reduction": reduction, "positions": positions} | sizes | facts))

    return make
