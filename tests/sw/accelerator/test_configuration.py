"""Configurations: every preset is whole and sourced, every fault names its key in one line."""

import re
import tomllib
from importlib import resources

import pytest
from pydantic import BaseModel

from dnnzip.accelerator import PRESETS, load_accelerator, parse_accelerator
from dnnzip.accelerator.constants import Constant
from dnnzip.errors import InputError
from dnnzip.format.array import Placement

TEXT = (resources.files("dnnzip.accelerator") / "presets" / "edge-lpddr4.toml").read_text(encoding="utf-8")


def constants(section, path=""):
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Constant):
            yield f"{path}{name}", value
        elif isinstance(value, BaseModel):
            yield from constants(value, f"{path}{name}.")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_loads_and_each_of_its_constants_has_a_source(name):
    accelerator = load_accelerator(name)
    assert accelerator.name == name
    found = dict(constants(accelerator))
    assert len(found) > 20
    # A word alone, such as "assumed", says nothing that could be checked.
    poor = {key: constant.source for key, constant in found.items() if len(constant.source.split()) < 2}
    assert poor == {}
    assert all(constant.unit for constant in found.values())


def test_the_presets_in_the_package_are_those_that_are_named():
    folder = resources.files("dnnzip.accelerator") / "presets"
    assert {entry.name for entry in folder.iterdir() if entry.name.endswith(".toml")} == {f"{p}.toml" for p in PRESETS}


def test_a_file_is_read_like_a_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TEXT.replace('name = "edge-lpddr4"', 'name = "mine"'), encoding="utf-8")
    mine, preset = load_accelerator(path), load_accelerator("edge-lpddr4")
    assert mine.name == "mine"
    assert mine.model_copy(update={"name": preset.name}) == preset


def fault(text):
    with pytest.raises(InputError) as caught:
        parse_accelerator(text, "mine.toml")
    message = str(caught.value)
    assert "\n" not in message
    return message


def changed(pattern, replacement):
    text, count = re.subn(pattern, replacement, TEXT, count=1, flags=re.MULTILINE)
    assert count == 1
    return text


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (r"^weight_bits = 8$", "", "mine.toml: weight_bits is missing"),
        (r"^weight_bits = 8$", "weight_bits = 12", "mine.toml: weight_bits = 12: input should be 8, 16 or 32"),
        (
            r"^weight_bits = 8$",
            "weight_bits = 8\nwieght = 1",
            "mine.toml: wieght is no known key; see docs/accelerator.md",
        ),
        (r"^bandwidth = .*$", "", "mine.toml: main_memory.bandwidth is missing"),
        (r'unit = "B/s"', 'unit = "GB/s"', "mine.toml: main_memory.bandwidth: unit must be 'B/s', not 'GB/s'"),
        (r"value = 1.92e10", "value = 0", "mine.toml: main_memory.bandwidth: value must be above 0"),
        (
            r"value = 1.92e10",
            "value = 1e300",
            "mine.toml: main_memory.bandwidth.value: value must be 0, or from 1e-30 to 1e+30, not 1e+300",
        ),
        (
            r"value = 1.92e10",
            "value = 1e-320",
            "mine.toml: main_memory.bandwidth.value: value must be 0, or from 1e-30 to 1e+30, not",
        ),
        (
            r"value = 1.92e10",
            f"value = 0x{'f' * 5000}",
            "mine.toml: main_memory.bandwidth.value = a number: ",
        ),
        (r"^width = 4$", f"width = 0x{'f' * 5000}", "mine.toml: mesh.width = a number: "),
        (r"^width = 4$", f"width = {'9' * 5000}", "mine.toml: is not TOML: a number has too many digits; see"),
        (r"^width = 4$", f"width = {'[' * 5000}", "mine.toml: is not TOML: it is nested too deeply; see"),
        (r"value = 1.92e10", "value = nan", "mine.toml: main_memory.bandwidth.value = nan: input should be a finite"),
        (
            r"value = 0.953",
            "value = 1.2",
            "mine.toml: main_memory.efficiency: value must be above 0 and at most 1, not 1.2",
        ),
        (
            r"value = 80",
            "value = -1",
            "mine.toml: main_memory.latency.value = -1: input should be greater than or equal",
        ),
        (r"value = 80, ", "", "mine.toml: main_memory.latency.value is missing"),
        (r', source = "assumed: 100 ns"', "", "mine.toml: main_memory.latency.source is missing"),
        (
            r"^bandwidth = .*$",
            "bandwidth = 3",
            "mine.toml: main_memory.bandwidth = 3: input should be a valid dictionary",
        ),
        (r"^width = 4$", "width = 33", "mine.toml: mesh.width = 33: input should be less than or equal to 32"),
        (r"^interfaces = .*$", "interfaces = [16]", "mine.toml: mesh: interfaces must be nodes from 0 to 15, not [16]"),
        (r"^interfaces = .*$", "interfaces = [1, 1]", "mine.toml: mesh: interfaces must be different nodes"),
        (r"^interfaces = .*$", f"interfaces = {[*range(16)]}", "mine.toml: mesh: interfaces must leave a node"),
        (r'^routing = "xy"$', 'routing = "yx"', "mine.toml: mesh.routing = 'yx': input should be 'xy'"),
        (
            r'^model = "weight-stationary"$',
            'model = "magic"',
            "mine.toml: array.model must be vector, weight-stationary",
        ),
        (r'^model = "weight-stationary"$', "", "mine.toml: array.model must be vector, weight-stationary"),
        (r"^rows = 16$", "", "mine.toml: array.rows is missing"),
        (
            r'^placement = "pe"$',
            'placement = "moon"',
            "mine.toml: decompressor.placement = 'moon': input should be 'pe' or",
        ),
        (r"^\[mesh\]$", "[mesh", "mine.toml: is not TOML:"),
    ],
)
def test_a_fault_names_its_key(pattern, replacement, message):
    assert fault(changed(pattern, replacement)).startswith(message)


def test_the_unchanged_text_has_no_fault():
    assert parse_accelerator(TEXT, "mine.toml").name == tomllib.loads(TEXT)["name"]


def test_an_unknown_preset_names_those_that_are_there():
    with pytest.raises(
        InputError, match=r"^paper-mesh: is no preset; give paper-mesh-8x8, edge-lpddr4, ulx3s or a file"
    ):
        load_accelerator("paper-mesh")


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
    with pytest.raises(InputError, match=r"none.toml: cannot be read \(No such file or directory\); give a TOML file"):
        load_accelerator(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"binary.toml: is not TOML: it is not UTF-8"):
        load_accelerator(tmp_path / "binary.toml")


def test_the_placement_is_another_in_a_copy():
    accelerator = load_accelerator("edge-lpddr4")
    other = accelerator.placed(Placement.MEMORY_INTERFACE)
    assert (other.decompressor.placement, accelerator.decompressor.placement) == ("memory-interface", "pe")
