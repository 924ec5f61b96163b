"""The loss of shared table sets is that of sets which have not seen the network, and the sets can be used."""

import json

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from matrix_products import products

from dnnzip.cli.group import cli
from dnnzip.codec import CodecOptions, CodeTensor, encode_network, train_tables
from dnnzip.errors import CheckFailedError, InputError
from dnnzip.format import TableSet
from dnnzip_bench import shared_tables
from dnnzip_bench.shared_tables import Loss, family, measure, page, read, tables

BOUNDS = ("2%", "5%", "0lsb")


def write_network(path, seed, spread):
    """Two products of Laplace weights, one scale for each output: many scales where the spread is large."""
    rng = np.random.default_rng(seed)
    arrays = [
        (rng.laplace(0, 1, shape) * np.exp(spread * rng.standard_normal((1, shape[1])))).astype(np.float32)
        for shape in ((60, 40), (40, 50))
    ]
    onnx.save(products(w0=arrays[0], w1=arrays[1]), path)
    return path


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    spreads = {"even": 0.0, "mixed": 0.5, "wild": 1.5}
    return [write_network(folder / f"{name}.onnx", seed, spread) for seed, (name, spread) in enumerate(spreads.items())]


@pytest.fixture(scope="module")
def networks(paths):
    return read(paths, BOUNDS)


@pytest.fixture
def run(bench):
    return lambda *arguments: bench(shared_tables.shared_tables, *arguments)


def test_networks_are_read_at_the_bounds_that_suit_them(networks):
    assert {name: list(by_bound) for name, by_bound in networks.items()} == {
        **{name: ["2%", "5%"] for name in ("even", "mixed", "wild")},
        **{f"{name} as int8": ["0lsb"] for name in ("even", "mixed", "wild")},
    }
    codes = networks["even as int8"]["0lsb"][0].codes
    assert (np.abs(codes).max(axis=1) == 127).all()


def test_a_network_and_its_int8_forms_are_of_one_family():
    assert {family(name) for name in ("net", "net as int8", "net_int8")} == {"net"}
    assert family("net8") == "net8"


def test_the_others_have_not_seen_the_network(networks, monkeypatch):
    trained = []

    def train(tensors):
        trained.append(tensors)
        return train_tables(tensors)

    monkeypatch.setattr(shared_tables, "train_tables", train)
    again = {f"{name}_int8": {"0lsb": networks[f"{name} as int8"]["0lsb"]} for name in ("even", "mixed")}
    losses, _ = measure({name: networks[f"{name} as int8"] for name in ("even", "mixed", "wild")} | again)
    seen = [{id(tensor) for tensor in tensors} for tensors in trained]
    own = {name: {id(t) for t in networks[f"{name} as int8"]["0lsb"]} for name in ("even", "mixed", "wild")}
    # All, then for each family the others at all bounds and at this one; the int8 forms come last and train nothing.
    assert len(trained) == 1 + 2 * 3
    assert seen[0] == own["even"] | own["mixed"] | own["wild"]
    assert seen[1] == seen[2] == own["mixed"] | own["wild"]
    assert seen[3] == seen[4] == own["even"] | own["wild"]
    assert seen[5] == seen[6] == own["even"] | own["mixed"]
    assert [loss.network for loss in losses] == ["even", "mixed", "wild", "even_int8", "mixed_int8"]


def test_sizes_are_those_of_the_streams(networks):
    losses, sets = measure(networks)
    assert list(sets) == ["2%", "5%", "0lsb"]
    assert len(losses) == 9
    loss = next(loss for loss in losses if (loss.network, loss.bound) == ("wild", "2%"))
    tensors = networks["wild"]["2%"]
    assert loss.weights == 60 * 40 + 40 * 50

    def bits(table_set, counted=True):
        encoded = encode_network(tensors, CodecOptions(table_set=table_set))
        # Each tensor has a step, a float32.
        size = sum(map(len, encoded.streams)) + 4 * len(tensors)
        return 8 * (size + (len(encoded.tables) if counted else 0))

    rest = [(networks[name], bound) for name in ("even", "mixed") for bound in ("2%", "5%")]
    others = train_tables([tensor for by_bound, bound in rest if bound == "2%" for tensor in by_bound[bound]])
    wide = train_tables([tensor for by_bound, bound in rest for tensor in by_bound[bound]])
    assert loss == Loss(
        "wild", "2%", loss.weights, bits(None), bits(sets["2%"]), bits(others), bits(wide), bits(others, counted=False)
    )
    assert loss.own < loss.shared < loss.others
    assert loss.rom == loss.others - 8 * len(others.to_bytes())


def test_trained_tables_are_those_of_the_network():
    rng = np.random.default_rng(3)
    tensors = [CodeTensor(str(i), np.rint(rng.laplace(0, 9, (32, 90))).astype(np.int16), (3, 3)) for i in range(3)]
    trained = train_tables(tensors)
    assert trained.to_bytes() == encode_network(tensors, CodecOptions("ans")).tables
    assert train_tables(tensors, CodecOptions(table_set=trained, log2_states=8)).log2_states == 8


def test_the_tables_show_losses_in_percent():
    losses = [Loss("a", "1%", 100, 800, 808, 840, 880, 792), Loss("b", "1%", 300, 1200, 1200, 1260, 1200, 1200)]
    shown = {caption: (table.rows, table.total) for caption, table in tables(losses)}
    assert shown == {
        "Bits per weight with a set of its own": ((("a", "8.000"), ("b", "4.000")), ("all", "5.000")),
        "Loss in % with one set for each bound, trained on all networks": (
            (("a", "1.00"), ("b", "0.00")),
            ("all", "0.40"),
        ),
        "Loss in % with one set for each bound, trained on the other networks": (
            (("a", "5.00"), ("b", "5.00")),
            ("all", "5.00"),
        ),
        "The same, but the set is in a ROM and not counted": ((("a", "-1.00"), ("b", "0.00")), ("all", "-0.40")),
        "Loss in % with one set for all of these bounds, trained on the other networks": (
            (("a", "10.00"), ("b", "0.00")),
            ("all", "4.00"),
        ),
    }
    text = page(losses, "make shared-tables")
    assert "Written by `make shared-tables` on 2" in text
    assert "## Bits per weight with a set of its own, at 1%\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_the_command_writes_page_sets_and_json(run, paths, tmp_path):
    folder = tmp_path / "new" / "docs"
    arguments = [*paths, "-o", folder, "--max-error", "2%", "--max-error", "0lsb", "--tables", tmp_path / "sets"]
    status, out, err = run(*arguments, "--json", tmp_path / "x.json")
    assert status == 0, err
    assert "Loss in % with one set for each bound, trained on the other networks" in out
    text = (folder / "shared_tables.md").read_text()
    assert "| wild as int8 |" in text
    assert "python -m dnnzip_bench.shared_tables" in text
    assert len(json.loads((tmp_path / "x.json").read_text())) == 6
    assert sorted(path.name for path in (tmp_path / "sets").iterdir()) == ["0lsb.tables", "2%.tables"]
    set_file, small = tmp_path / "sets" / "2%.tables", tmp_path / "small.dnz.onnx"
    command = ["compress", paths[0], "-o", small, "--max-error", "2%", "--tables", set_file, "--codec", "ans"]
    assert CliRunner().invoke(cli, list(map(str, command))).exit_code == 0
    stored = next(tensor for tensor in onnx.load(small).graph.initializer if tensor.name.endswith("dnnzip.tables"))
    assert stored.raw_data == set_file.read_bytes()
    assert TableSet.from_bytes(stored.raw_data).log2_states == 9


def test_one_network_is_no_comparison(run, paths, tmp_path):
    status, _, err = run(paths[0], "-o", tmp_path, "--max-error", "2%")
    assert (status, err) == (2, "dnnzip: --max-error 2%: suits 1 network; give two different ones\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_said(run, paths, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = run(*paths, "-o", tmp_path / "file" / "docs")
    assert (status, err.count("\n")) == (2, 1)
    assert err.startswith(f"dnnzip: {tmp_path / 'file' / 'docs'}: cannot be made (")


def test_a_network_that_does_not_come_back_fails(networks, monkeypatch):
    decode = shared_tables.decode_tensor
    monkeypatch.setattr(shared_tables, "decode_tensor", lambda *arguments: decode(*arguments) + 1)
    with pytest.raises(CheckFailedError, match=r"^shared tables: 'w0' does not come back from its stream$"):
        measure(networks)


def test_two_forms_of_one_network_are_one(networks):
    pair = {"net": networks["even"], "net_int8": networks["even"]}
    with pytest.raises(InputError, match=r"^--max-error 2%: suits 2 network"):
        measure(pair)
