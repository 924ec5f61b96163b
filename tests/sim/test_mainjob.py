"""The main job, as ``make sim`` runs it, and the README that shows what it prints."""

import json
from pathlib import Path

import pytest

from dnnzip_sim import mainjob

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the main job in an empty folder; give the folder of its results."""
    folder = tmp_path_factory.mktemp("mainjob")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert mainjob.main() == 0
    return folder / mainjob.FOLDER


def test_every_weight_is_decoded_and_right(run: Path) -> None:
    """All 61,470 weights came out of the RTL, none differs, accuracy is measured."""
    report = json.loads((run / "report.json").read_text())
    assert report["simulate"]["weights"] == report["compress"]["totals"]["weights"] == 61470
    assert report["simulate"]["mismatches"] == 0
    assert all(layer["cycles"] > 0 for layer in report["simulate"]["layers"])
    assert all(layer["ok"] and layer["max_error"] <= layer["bound"] for layer in report["verify"])
    assert report["before"]["samples"] == report["after"]["samples"] == 450
    assert report["before"]["top1"] >= 0.98
    assert report["after"]["top1"] >= 0.97


def test_readme_shows_the_table(run: Path) -> None:
    """The README's table is the one that the run made."""
    rows = [line for line in (run / "report.md").read_text().splitlines() if line.startswith("|")]
    shown = README.read_text().split("<!-- mainjob -->")[1].split("<!-- /mainjob -->")[0]
    assert [line for line in shown.splitlines() if line.startswith("|")] == rows


@pytest.mark.usefixtures("run")
def test_a_mismatch_fails_the_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """One flipped bit in what the RTL gave ends the job with status 1 and the layer's name."""
    monkeypatch.chdir(tmp_path)
    decode = mainjob.SimulatedLink.decode

    def flipped(self: mainjob.SimulatedLink, tables: bytes, streams: list[bytes]) -> list[object]:
        results = list(decode(self, tables, streams))
        assert results[2].codes is not None
        results[2].codes[7, 11] ^= 1
        return results

    monkeypatch.setattr(mainjob.SimulatedLink, "decode", flipped)
    with pytest.raises(SystemExit) as stopped:
        mainjob.main()
    assert stopped.value.code == 1
    assert "fc1.weight': 1 weights differ" in capsys.readouterr().err
    assert not (tmp_path / mainjob.FOLDER / "report.json").exists()
