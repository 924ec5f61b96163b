"""``dnnzip tune`` on the digits network: the result, its seed, an interruption, and what a user can do wrong."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from dnnzip.accelerator import load_accelerator
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import InputError
from dnnzip.evaluation.dataset import load_dataset
from dnnzip.tuning import search
from dnnzip.tuning.journal import Journal
from dnnzip.tuning.options import TuningOptions
from dnnzip.tuning.prices import Objective, prices
from dnnzip.tuning.tuner import Tuner
from dnnzip.usecases.estimate import read_network

pytestmark = pytest.mark.slow

SAMPLES = 160


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Fewer changed choices at the end than a network of five layers gets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "POLISH_WORK", 50)
        yield


def tuner(seed=0, max_drop=0.02, **options):
    return Tuner(MODEL, load_dataset(TEST_SET, SAMPLES), TuningOptions(max_drop=max_drop, seed=seed, **options))


@pytest.fixture(scope="module")
def whole():
    """The outcome of a search that was not interrupted, with its steps and measurements."""
    steps = []
    journal = Journal(None, {}, False)
    outcome = tuner().tune(journal, steps.append)
    return outcome, steps, journal


def test_the_whole_command(good, tmp_path):
    target, report = tmp_path / "t.dnz.onnx", tmp_path / "t.json"
    options = ("--data", TEST_SET, "--samples", SAMPLES, "--max-drop", "2%", "--compare")
    out = good("tune", MODEL, *options, "-o", target, "--json", report)
    assert "best single bound" in out
    assert "each unseen by one of 4 searches" in out
    assert "target of at most 2 points: " in out
    assert {path.name for path in tmp_path.iterdir()} == {"t.dnz.onnx", "t.json"}
    found = json.loads(report.read_text())
    accuracy = found["accuracy"]
    assert (accuracy["samples"], accuracy["folds"]) == (SAMPLES, 4)
    assert accuracy["interval"][0] <= accuracy["drop"] <= accuracy["interval"][1]
    # Few samples make the search careful, and a count on all of them, after the fact, is not.
    assert found["totals"]["bits_per_weight_all"] < 0.8 * found["single_bound"]["bits_per_weight"]
    assert found["kindest_single_bound"]["drop"] <= 0.02
    assert len(found["layers"]) == 5
    asked = (found["model"], found["data"], found["max_drop"], found["objective"], found["accelerator"], found["seed"])
    assert asked == (str(MODEL), str(TEST_SET), 0.02, "bytes", None, 0)
    assert {layer["scope"] for layer in found["layers"]} <= {"tensor", "channel"}
    # The file is a compressed model as any other: every weight keeps its layer's bound, and changed biases are listed.
    out = good("verify", MODEL, target, "--json", "-")
    names = [tensor.name for tensor in onnx.load(MODEL).graph.initializer if tensor.name.endswith("bias")]
    assert json.loads(out)["changed_biases"] == sorted(names)
    assert json.loads(good("info", target, "--json", "-"))["totals"] == {
        k: v for k, v in found["totals"].items() if k != "bits_per_weight_all"
    }
    onnx.checker.check_model(str(target), full_check=True)
    assert json.loads(good("evaluate", target, "--data", TEST_SET, "--json", "-"))["top1"] > 0.95


@pytest.mark.slow
def test_biases_of_the_result_are_corrected(whole):
    before = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(MODEL).graph.initializer}
    model = whole[0].compressed.model
    after = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    biases = [name for name in before if name.endswith("bias")]
    assert len(biases) == 5
    assert all(not np.array_equal(before[name], after[name]) for name in biases)


@pytest.mark.slow
def test_the_seed_decides_everything(whole):
    again = tuner().tune(Journal(None, {}, False), lambda _: None)
    assert again.compressed.model.SerializeToString() == whole[0].compressed.model.SerializeToString()
    assert again.as_json() == whole[0].as_json()


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.97])
def test_an_interrupted_search_ends_as_one_that_was_not(whole, tmp_path, share):
    outcome, steps, _ = whole
    path, settings = tmp_path / "journal", tuner().settings()
    left = int(share * len(steps))

    def interrupted(_):
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuner().tune(Journal(path, settings, False), interrupted)
    known = len(json.loads(path.read_text())["measured"])
    journal = Journal(path, settings, True)
    resumed = tuner().tune(journal, lambda _: None)
    assert resumed.compressed.model.SerializeToString() == outcome.compressed.model.SerializeToString()
    assert resumed.as_json() == outcome.as_json()
    assert 0 < known < len(json.loads(path.read_text())["measured"])
    journal.remove()
    assert not path.exists()


def test_what_is_known_is_not_measured_again(whole):
    _, steps, journal = whole
    journal_again = Journal(None, {}, False)
    for name, value in journal._known.items():
        journal_again.write(name, value)
    steps_again = []
    tuner().tune(journal_again, steps_again.append)
    assert len(steps_again) < len(steps) / 5


@pytest.mark.slow
def test_a_few_samples_that_are_easily_right_do_not_ruin_the_network():
    # Nothing changes on them for a long way: the price must be found all the same, and not by their silence.
    data = load_dataset(TEST_SET, 100)
    outcome = Tuner(MODEL, data, TuningOptions(max_drop=0.02)).tune(Journal(None, {}, False), lambda _: None)
    assert outcome.confirmation.drop < 0.06


def test_a_journal_of_other_settings_is_refused(tmp_path):
    path = tmp_path / "t.dnz.onnx.tune"
    Journal(path, {"seed": 1, "max_drop": 0.01}, False).measured("a", lambda: 1)
    assert Journal(path, {"seed": 1, "max_drop": 0.01}, True).measured("a", lambda: 2) == 1
    with pytest.raises(InputError, match=r"another seed; give the same, or remove it to start anew"):
        Journal(path, {"seed": 2, "max_drop": 0.01}, True)
    # A search that nobody resumes does not overwrite it.
    with pytest.raises(InputError, match=r"another max_drop; give the same, or remove it to start anew"):
        Journal(path, {"seed": 1, "max_drop": 0.02}, False)
    for text in ("", "{}", '{"settings": {"seed": 2, "max_drop": 0.01}, "measured": 3}'):
        path.write_text(text)
        for resume in (True, False):
            with pytest.raises(InputError, match="is no journal of a search; remove it to start anew"):
                Journal(path, {"seed": 2, "max_drop": 0.01}, resume)


def test_an_interrupted_search_goes_on_by_itself(dnnzip, tmp_path, monkeypatch):
    target = tmp_path / "t.dnz.onnx"
    usual = ("tune", MODEL, "--data", TEST_SET, "-o", target, "--max-drop", "1%")

    def interrupted(_, journal, __):
        journal.measured(f"number {journal.known}", lambda: 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(Tuner, "tune", interrupted)
    assert dnnzip(*usual)[::2] == (130, "dnnzip: interrupted\n")
    for known in (1, 2):
        status, _, err = dnnzip(*usual)
        first, last = err.splitlines()
        said = f"going on with the search that was interrupted, {known} measurements are there"
        assert first == f"dnnzip: {target}.tune: {said}"
        assert (status, last) == (130, "dnnzip: interrupted")
    before = Path(f"{target}.tune").read_bytes()
    status, _, err = dnnzip(*usual, "--seed", "1")
    assert (status, err.count("\n")) == (2, 1)
    assert "is of a search that was interrupted, with another --seed; give the same, or remove it" in err
    assert Path(f"{target}.tune").read_bytes() == before


def test_what_a_user_can_do_wrong(good, fault, tmp_path):
    target = tmp_path / "t.dnz.onnx"
    usual = (MODEL, "--data", TEST_SET, "-o", target)
    assert "--max-drop 'much': is no percentage" in fault("tune", *usual, "--max-drop", "much")
    for drop in ("0%", "100%"):
        assert "is not above 0% and below 100%" in fault("tune", *usual, "--max-drop", drop)
    assert "is not there: there is nothing to resume" in fault("tune", *usual, "--max-drop", "1%", "--resume")
    assert "--accelerator: has no meaning" in fault("tune", *usual, "--max-drop", "1%", "--accelerator", "ulx3s")
    few = fault("tune", *usual, "--max-drop", "1%", "--samples", "39")
    assert "has 39 samples; give 40 or more" in few
    both = fault("tune", MODEL, "-o", target, "--max-drop", "1%")
    assert "--data and --images: are both missing" in both
    compressed = tmp_path / "c.dnz.onnx"
    good("compress", MODEL, "-o", compressed, "--max-error", "2%", "--quiet")
    line = fault("tune", compressed, "--data", TEST_SET, "-o", target, "--max-drop", "1%")
    assert f"{compressed}: is compressed already; give the plain model" in line


@pytest.mark.parametrize("objective", [Objective.LATENCY, Objective.ENERGY])
def test_prices_are_what_the_accelerator_model_says(objective):
    network, accelerator = read_network(MODEL), load_accelerator("edge-lpddr4")
    names = [layer.name for layer in network.layers if layer.weights]
    found = prices(objective, names, network, accelerator)
    assert set(found) == set(names)
    assert np.mean(list(found.values())) == pytest.approx(1, rel=1e-6)
    assert set(prices(Objective.BYTES, names).values()) == {1.0}
