"""Every key that ``--json`` writes is explained on the command's page."""

import json
import re

import pytest
from pages import ROOT, code_in_sentences, split

from dnnzip.cli.group import cli

DIGITS = ROOT / "sw" / "dnnzip" / "digits"

PAGES = {
    "compress": "compress.md",
    "info": "compress.md",
    "decompress": "compress.md",
    "verify": "compress.md",
    "evaluate": "compress.md",
    "simulate": "compress.md",
    "image": "integration.md",
    "estimate": "accelerator.md",
    "quantize": "array.md",
    "run": "array.md",
    "explore": "explore.md",
    "tune": "tune.md, compress.md",
    "report": "report.md",
    "doctor": "cli.md",
}
"""Command to the page that explains its JSON, or to several."""

COMMANDS = {
    "compress": ("model.onnx", "-o", "c.onnx", "--max-error", "2%"),
    "info": ("c.onnx",),
    "decompress": ("c.onnx", "-o", "p.onnx"),
    "verify": ("model.onnx", "c.onnx"),
    "evaluate": ("model.onnx", "--data", "set.npz", "--samples", "20"),
    "simulate": ("c.onnx", "--link", "golden"),
    "image": ("c.onnx", "-o", "image"),
    "estimate": ("c.onnx", "--accelerator", "ulx3s"),
    "quantize": ("model.onnx", "--data", "set.npz", "-o", "q.onnx"),
    "run": ("q.onnx", "--data", "set.npz", "--link", "golden", "--samples", "2"),
    "explore": ("model.onnx", "--data", "set.npz", "--max-error", "2%", "--samples", "20", "-o", "d", "--workers", "1"),
    "tune": ("model.onnx", "--data", "set.npz", "--samples", "40", "--max-drop", "5%", "-o", "t.onnx", "--compare"),
    "report": ("d",),
    "doctor": (),
}
"""In this order: some need what others write."""


NAMED = ("provenance", "packages")
"""Keys of an object whose own keys are names of tools and packages."""


def keys(content):
    """Return all keys of a JSON value, those inside of it included; not those of `NAMED`."""
    if isinstance(content, dict):
        return set(content).union(*(keys(value) for key, value in content.items() if key not in NAMED))
    return set().union(*map(keys, content)) if isinstance(content, list) else set()


def explained(page):
    """Return the words that a page sets as code; ``totals.weights`` explains both."""
    return {word for span in code_in_sentences(split(page, "page")[1]) for word in re.findall(r"\w+", span)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the JSON that each command writes."""
    folder = tmp_path_factory.mktemp("json")
    (folder / "model.onnx").symlink_to(DIGITS / "lenet5_digits.onnx")
    (folder / "set.npz").symlink_to(DIGITS / "digits_test.npz")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command, arguments in COMMANDS.items():
            cli.main([command, *arguments, "--quiet", "--json", f"{command}.json"], standalone_mode=False)
            found[command] = json.loads((folder / f"{command}.json").read_text())
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_every_key_of_a_command_is_explained_on_its_page(command, written):
    words = set().union(*(explained((ROOT / "docs" / page).read_text("utf-8")) for page in PAGES[command].split(", ")))
    assert written[command]
    assert sorted(keys(written[command]) - words) == []


def test_a_key_that_is_not_explained_is_seen():
    page = "`totals.weights`, `layers`: `name`"
    assert keys({"totals": {"weights": 1, "bytes": 2}, "layers": [{"name": "a", "kind": 0}]}) - explained(page) == {
        "bytes",
        "kind",
    }
