"""The paper's page as it stands, and the whole command."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from paper_subjects import TOOL, record, subject

from dnnzip.usecases.estimate import read_network
from dnnzip_bench import paper as command
from dnnzip_bench.catalogue import Entry
from dnnzip_bench.family_networks import alexnet, lenet5, vgg16
from dnnzip_bench.storage.claim import DENSE, FIRST, HIGHEST, STATED, light_alexnet, role, subjects
from dnnzip_bench.storage.equal import Judges
from dnnzip_bench.storage.methods import FIXED
from dnnzip_bench.storage.records import Records
from dnnzip_bench.storage.savings import bits_per_weight, saving, with_bits
from dnnzip_bench.storage.tables import claim_table, equal_table, ways_table
from dnnzip_bench.storage.trained import ENTRIES, Drop, load_trained

PAGE = Path(__file__).parents[2] / "docs" / "paper.md"
SHAPES = {"AlexNet": alexnet, "light_bvlc_alexnet": light_alexnet, "VGG-16": vgg16}


def page_rows(name):
    text = PAGE.read_text(encoding="utf-8")
    part = text.partition(f"<!-- paper: {name} -->")[2].partition("<!-- /paper -->")[0]
    return [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in part.splitlines() if "|" in line][2:]


def test_the_page_says_of_stated_bits_what_the_model_gives():
    rows = {(row[0], row[1]): row[2:9] for row in page_rows("claim")}
    for name, network in SHAPES.items():
        own = subject(name, network(), 3.0)
        wanted = list(claim_table([own]).rows[0][2:9])
        assert rows[name, STATED] == wanted, name
    ways = {tuple(row[:4]): row[4:] for row in page_rows("ways")}
    for row in ways_table([subject("AlexNet", alexnet(), 3.0)]).rows:
        assert ways[row[:4]] == list(row[4:])


def test_the_page_is_about_the_bits_that_it_prints():
    highest = {row[0]: float(row[1]) for row in page_rows("highest")}
    own = next(row for row in page_rows("claim") if row[:2] == ["AlexNet", HIGHEST])
    network = alexnet()
    packed = with_bits(
        network, {layer.name: highest[role(network, layer.name)] for layer in network.layers if layer.weights}
    )
    found = saving(packed, TOOL)
    assert float(own[2]) == pytest.approx(bits_per_weight(packed), abs=2e-3)
    assert float(own[3]) == pytest.approx(100 * found.latency, abs=0.2)


def test_every_network_of_the_page_is_stored_in_every_way():
    rows = page_rows("equal")
    ways = {"line", "int4 per channel", "ans, one bound", *(method.name for method in FIXED)}
    for entry in ENTRIES:
        assert {row[1] for row in rows if row[0] == entry.model} - {"ans, tuned"} == ways, entry.model


@pytest.mark.zoo
def test_the_page_says_of_lenet_what_is_measured(zoo, tmp_path):
    entry = ENTRIES[0]
    records = Records(load_trained(entry, zoo), tmp_path)
    layers = replace(read_network(records.network.path), name=entry.model)
    wanted = {tuple(row[:3]): row for row in page_rows("equal")}
    judges = Judges()
    for method in FIXED:
        found = records.measure(method)
        row = equal_table([judges.judge(layers, found, found.right.drop(records.plain()))]).rows[0]
        assert list(row) == wanted[row[:3]]


@pytest.mark.slow
@pytest.mark.usefixtures("trained")
def test_the_whole_command_on_a_small_zoo(tmp_path, monkeypatch, bench):
    monkeypatch.setenv("DNNZIP_ZOO", str(tmp_path))
    monkeypatch.setattr(command, "ENTRIES", (Entry("small", "data"),))
    monkeypatch.setattr(command, "LENET", "small")
    layers = lenet5()
    real = subjects

    def with_lenet(accelerator, lenet, _highest):
        sizes = {layer.name: layer.weights for layer in layers.layers if layer.weights}
        bits = record({name: count * 1.2 for name, count in sizes.items()}, sizes)
        # Its largest layer is all of it.
        assert lenet.largest_drop == pytest.approx((lenet.drop.seen + lenet.drop.unseen) / 2)
        other = replace(lenet, layers=layers, record=bits, drop=Drop(lenet.drop.seen, 0.3))
        return real(accelerator, other, dict.fromkeys((FIRST, DENSE, "other convolutions"), (5.0, "small")))

    monkeypatch.setattr(command, "subjects", with_lenet)
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"<!-- paper: {name} --><!-- /paper -->\n" for name in ("made", "claim", "highest", "equal", "ways"))
    )
    arguments = ["--page", page, "--folder", tmp_path / "kept", "--json", tmp_path / "all.json"]
    arguments += ["--tuned", tmp_path / "none"]
    status, out, err = bench(command.paper, *arguments)
    assert (status, err) == (0, "")
    assert "small" in out
    assert "| AlexNet | stated: 3 bits | 3.000 | 80.7 | 74.2 | 56.9 |" in page.read_text()
    content = json.loads((tmp_path / "all.json").read_text())
    assert {row["method"] for row in content["equal_accuracy"]} >= {
        "int8 per tensor",
        "int4 per channel",
        "line",
        "ans, one bound",
    }
    # A goal that is missed: the page is written, and the status is that of a failed check.
    monkeypatch.setattr(command, "check_goals", lambda _found: ["LeNet-5: too little"])
    status, _, err = bench(command.paper, *arguments)
    assert (status, err) == (1, "dnnzip: paper: LeNet-5: too little\n")


def test_a_missing_zoo_is_one_line(tmp_path, monkeypatch, bench):
    monkeypatch.setenv("DNNZIP_ZOO", str(tmp_path / "none"))
    status, _, error = bench(command.paper, "--folder", tmp_path)
    assert status == 2
    assert error.count("\n") == 1
    assert "lenet5_mnist.onnx" in error
