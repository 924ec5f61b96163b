"""The steps of the flow on the digits network over the golden link, and what stops them."""

import json
import subprocess
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dnnzip.codec import CodecOptions
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import CheckFailedError, InputError
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.format import Verdict
from dnnzip.link import open_link
from dnnzip.link.golden import GoldenLink
from dnnzip.onnx.files import load_model
from dnnzip.presentation import chain_report
from dnnzip.presentation.tables import PIPE_WIDTH, TextTable, number, stdout_console
from dnnzip.quantize.bound import Bound
from dnnzip.usecases import chain
from dnnzip.usecases import simulate as simulation
from dnnzip.usecases import verify as verification
from dnnzip.usecases.compress import CompressionOptions, compress, plan
from dnnzip.usecases.provenance import provenance
from dnnzip.usecases.summary import summarise

OPTIONS = CompressionOptions(Bound.parse("5%"), layers=("conv*", "fc3*"))


@pytest.fixture(scope="module")
def network():
    return load_model(MODEL)


@pytest.fixture(scope="module")
def made(network):
    return compress(network, OPTIONS)


class Wrong(GoldenLink):
    """A link that gets one code wrong."""

    def decode(self, tables, streams):
        results = super().decode(tables, streams)
        results[1].codes[2, 0] += 1
        return results


class Silent(GoldenLink):
    """A link on which no stream ends well."""

    def decode(self, tables, streams):
        results = super().decode(tables, streams)
        return [replace(result, verdict=Verdict.TRUNCATED, codes=None) for result in results]


def job(folder, link=GoldenLink):
    return chain.Job(load_model(MODEL), OPTIONS, str(MODEL), link, folder=folder)


def accuracy(model):
    return evaluate(model, TEST_SET, 50)


def test_the_whole_chain_saves_each_result(tmp_path):
    names = []
    result = chain.run(job(tmp_path / "new" / "folder"), accuracy, names.append)
    chain_report.save_report(result)
    assert names == ["compress", "decode", "verify", "evaluate"]
    folder = tmp_path / "new" / "folder"
    assert {path.name for path in folder.iterdir()} == {"model.dnz.onnx", "decoded.onnx", "report.json", "report.md"}
    report = json.loads((folder / "report.json").read_text())
    assert report["model"] == MODEL.name
    assert report["simulate"]["weights"] == report["compress"]["totals"]["weights"] == 150 + 2400 + 840
    assert report["simulate"]["mismatches"] == 0
    assert [check["ok"] for check in report["verify"]] == [True] * 3
    assert report["before"]["samples"] == report["after"]["samples"] == 50
    assert report["provenance"]["dnnzip"]
    markdown = (folder / "report.md").read_text()
    for name in ("conv1.weight", "conv2.weight", "fc3.weight", "total"):
        assert f"| {name} |" in markdown
    assert "3,390 weights decoded, 0 mismatches" in markdown
    assert "top-1 on 50 samples" in "\n".join(chain_report.closing_lines(result))
    onnx.checker.check_model(onnx.load(folder / "decoded.onnx"), full_check=True)


def test_the_chain_without_data_measures_no_accuracy(tmp_path):
    result = chain.run(job(tmp_path))
    chain_report.save_report(result)
    assert (result.before, result.after) == (None, None)
    report = json.loads((tmp_path / "report.json").read_text())
    assert not {"before", "after"} & report.keys()
    assert "top-1" not in (tmp_path / "report.md").read_text()


def test_without_a_link_the_software_codec_decodes_and_nothing_is_saved(tmp_path, monkeypatch, network):
    monkeypatch.chdir(tmp_path)
    result = chain.run(chain.Job(network, OPTIONS, "here"))
    assert not list(tmp_path.iterdir())
    assert result.simulation is None
    assert [check.broken for check in result.checks] == [False] * 3
    over_link = chain.run(chain.Job(network, OPTIONS, "here", GoldenLink))
    assert result.decoded.SerializeToString(deterministic=True) == over_link.decoded.SerializeToString(
        deterministic=True
    )
    with monkeypatch.context() as patched:
        patched.setattr(verification, "bounds_of", lambda *_: np.float64(1e-6))
        with pytest.raises(CheckFailedError, match=r"^layer 'conv1\.weight': an error of "):
            chain.run(chain.Job(network, OPTIONS, "here"))


def test_a_mismatch_ends_the_chain_without_a_report(tmp_path):
    with pytest.raises(
        CheckFailedError, match=r"^layer 'conv2\.weight': 1 weights differ from the software decoder's$"
    ):
        chain.run(job(tmp_path, Wrong))
    assert {path.name for path in tmp_path.iterdir()} == {"model.dnz.onnx"}


def test_a_broken_bound_ends_the_chain_without_a_report(tmp_path, monkeypatch):
    monkeypatch.setattr(verification, "bounds_of", lambda *_: np.float64(1e-6))
    with pytest.raises(CheckFailedError, match=r"^layer 'conv1\.weight': an error of .* is over the bound of 1e-06$"):
        chain.run(job(tmp_path))
    assert not (tmp_path / "report.json").exists()


def test_nothing_decoded_is_a_failure(made):
    with pytest.raises(CheckFailedError, match=r"^no weight was decoded$"):
        simulation.require(simulation.Simulation((), None))
    run = simulation.simulate(made.compressed, Silent())
    assert (run.weights, run.mismatches) == (0, 3390)
    with pytest.raises(CheckFailedError, match=r"^layer 'conv1\.weight': the link ended with 'truncated'$"):
        simulation.require(run)


def test_the_reference_decoder_compares_as_the_fast_one(made):
    link = GoldenLink()
    for layer in made.compressed.layers:
        codes = simulation.reference_layer(made.compressed, layer)
        np.testing.assert_array_equal(codes, simulation.decode_layer(made.compressed, layer))
    assert simulation.simulate(made.compressed, link, simulation.reference_layer).mismatches == 0


def test_a_stream_that_a_link_forgets_counts_as_mismatches(made):
    class Short(GoldenLink):
        def decode(self, tables, streams):
            return super().decode(tables, streams)[:-1]

    run = simulation.simulate(made.compressed, Short())
    assert run.layers[-1].mismatches == 840


def test_simulation_counts_cycles_and_speed(made):
    class Clocked(GoldenLink):
        def decode(self, tables, streams):
            return [replace(result, cycles=100) for result in super().decode(tables, streams)]

    run = simulation.simulate(made.compressed, Clocked())
    assert run.cycles == 300
    assert run.weights_per_cycle == pytest.approx(3390 / 300)
    assert run.layers[0].weights_per_cycle == pytest.approx(1.5)
    json.dumps(run.as_json(), allow_nan=False)


def test_the_decoded_model_is_made_of_what_the_link_gave(made):
    run = simulation.simulate(made.compressed, Wrong())
    right = simulation.simulate(made.compressed, GoldenLink())
    arrays = [
        {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in simulation.decoded_model(made.compressed, item).graph.initializer
        }
        for item in (run, right)
    ]
    differing = {name for name in arrays[0] if not np.array_equal(arrays[0][name], arrays[1][name])}
    assert differing == {"conv2.weight"}
    assert (arrays[0]["conv2.weight"] != arrays[1]["conv2.weight"]).sum() == 1


def test_verify_sees_what_a_link_decoded(network, made):
    checks = verification.verify(network, made.compressed)
    assert checks.ok
    verification.require(checks)
    wrong = simulation.simulate(made.compressed, Wrong()).decoded()
    wrong["conv2.weight"] = wrong["conv2.weight"] + np.int16(5)
    broken = verification.verify(network, made.compressed, decoded=wrong)
    assert [check.broken for check in broken.layers] == [False, True, False]
    with pytest.raises(CheckFailedError, match=r"^layer 'conv2\.weight': an error of "):
        verification.require(broken)


def test_summary_leaves_out_what_was_not_compressed(made):
    known = summarise(made.compressed, made.left_out).as_json()
    found = summarise(made.compressed).as_json()
    assert known == found
    assert {item["name"] for item in found["left_out"]} == {"fc1.weight", "fc2.weight"}
    assert found["totals"]["stream_bytes"] == len(made.compressed.tables) + sum(
        len(layer.stream) for layer in made.compressed.layers
    )


def test_the_plan_is_checked_before_any_work(network):
    planned = plan(network, OPTIONS, "here")
    assert [weight.name for weight in planned.weights] == ["conv1.weight", "conv2.weight", "fc3.weight"]
    assert len(planned.left_out) == 2
    with pytest.raises(InputError, match="layers"):
        plan(network, replace(OPTIONS, layers=("nothing*",)), "here")


def test_a_given_table_set_that_does_not_suit_is_named(network):
    from dnnzip_sim.stimulus.table_sets import single_token

    options = replace(OPTIONS, codec=CodecOptions("ans", log2_states=8, table_set=single_token(0)))
    with pytest.raises(InputError, match=r"^tables: does not suit this model \(table 0 has no token -32\); "):
        compress(network, options)


def test_links_are_found_by_name():
    assert isinstance(open_link("golden"), GoldenLink)
    with pytest.raises(InputError, match=r"^link: no link is named 'cable'; one of golden, serial, sim$"):
        open_link("cable:/dev/ttyUSB0")


def test_tables_in_text_and_markdown(capsys):
    table = TextTable(("layer", "weights"), (("a" * 60, "1,000"), ("b|c", "2")), ("total", "1,002"))
    lines = table.markdown().splitlines()
    assert lines[:2] == ["| layer | weights |", "| --- | ---: |"]
    assert lines[3] == "| b\\|c | 2 |"
    assert len(lines) == 5
    console = stdout_console()
    assert console.width == PIPE_WIDTH
    table.show(console)
    out = capsys.readouterr().out
    assert "a" * 60 in out
    assert "total" in out
    assert number(0.000123456) == "0.0001235"


def test_provenance_names_the_versions_and_the_command(monkeypatch):
    facts = provenance()
    assert facts["numpy"] == np.__version__
    assert {"dnnzip", "commit", "python", "command"} <= facts.keys()

    def absent(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", absent)
    assert provenance()["commit"] == "unknown"
