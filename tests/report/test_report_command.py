"""The command: what it writes and prints, and one line for each thing that is wrong with a folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import write_exploration, write_tune

from dnnzip.cli.report import DRAWN
from dnnzip.system.extras import how_to_install


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    write_exploration(path, labels=("all", "fc.weight"))
    return path


def test_it_writes_the_page_and_the_figures(good, folder):
    summary = json.loads(good("report", folder, "--json", "-"))
    assert summary["settings"] == 16
    assert summary["points"] == 128
    assert summary["max_drop"] == 0.01
    assert summary["best"]["top1"] >= summary["best"]["top1_plain"] - 0.01 - 1e-9
    assert len(summary["best"]["estimates"]) == 8
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert len(summary["figures"]) == 2 * DRAWN
    for name in summary["figures"]:
        if name.endswith(".svg"):
            assert ElementTree.parse(name).getroot().tag.endswith("svg")
        else:
            assert Path(name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_it_says_what_it_found(good, folder):
    out = good("report", folder)
    assert "bits per weight, top1" in out
    assert "16 settings, 128 points" in out
    assert good("report", folder, "--quiet") == ""


def test_the_same_folder_gives_the_same_bytes(dnnzip, folder):
    contents = []
    for _ in range(2):
        assert dnnzip("report", folder, "--quiet")[0] == 0
        files = [folder / "report.html", *sorted((folder / "figures").iterdir())]
        contents.append({path.name: path.read_bytes() for path in files})
        shutil.rmtree(folder / "figures")
    assert len(contents[0]) == 2 * DRAWN + 1
    assert contents[0] == contents[1]


def test_the_accepted_loss_can_be_given(dnnzip, folder):
    bits = {}
    for share in ("0%", "0.5%", "100%"):
        status, out, _ = dnnzip("report", folder, "--max-drop", share, "--json", "-")
        assert status == 0
        bits[share] = json.loads(out)["best"]["bits_per_weight"]
    assert bits["100%"] < bits["0.5%"] <= bits["0%"]


def test_a_tuning_alone_is_reported(good, tmp_path):
    out = good("report", write_tune(tmp_path / "tuned"))
    assert out.rstrip().endswith("report.html: 0 settings, 0 points")
    assert (tmp_path / "tuned" / "report.html").exists()
    assert not (tmp_path / "tuned" / "figures").exists()


@pytest.mark.parametrize("package", ["jinja2", "matplotlib", "plotly", "pyarrow"])
def test_what_is_not_installed_is_told(folder, package):
    script = f"import sys; sys.modules[{package!r}] = None; from dnnzip.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", script, "report", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"dnnzip: report: {package} is not installed; {how_to_install('report')}\n"
    assert not (folder / "report.html").exists()


def damage_points(folder):
    next((folder / "results").iterdir()).write_bytes(b"PAR1 is not all of it")


def change_layers(folder, change):
    path = next((folder / "layers").iterdir())
    pq.write_table(change(pq.read_table(path)), path)


def place_layers_elsewhere(folder):
    def elsewhere(table):
        place = table.schema.get_field_index("placement")
        return table.set_column(place, table.schema.field(place), pa.array(["nowhere"] * len(table)))

    change_layers(folder, elsewhere)


def remove_layers(folder):
    next((folder / "layers").iterdir()).unlink()


def damage_network(folder):
    (folder / "network.json").write_text("{")


def remove_network(folder):
    (folder / "network.json").unlink()


def damage_tune(folder):
    (folder / "tune.json").write_text("[1]")


def damage_tuned_layers(folder):
    (folder / "tune.json").write_text('{"layers": 3}')


def swap_for_file(folder):
    shutil.rmtree(folder)
    folder.write_text("")


def make_empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (shutil.rmtree, "out: is not there; name a folder of 'dnnzip explore -o'"),
        (swap_for_file, "out: is a file, not a folder; name a folder of 'dnnzip explore -o'"),
        (make_empty, "out: holds neither request.json nor tune.json; name a folder of 'dnnzip explore -o'"),
        (damage_points, "is damaged ("),
        (place_layers_elsewhere, ".parquet: has not the layers of the points in results; remove it and "),
        (remove_layers, ".parquet: has not the layers of the points in results; remove it and "),
        (damage_network, "network.json: is damaged"),
        (remove_network, "out: has results and no network.json; run 'dnnzip explore' on it again"),
        (damage_tune, "tune.json: is no JSON object; write it with 'dnnzip tune --json'"),
        (damage_tuned_layers, "tune.json: is damaged: layers is no list of objects with a name"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(fault, folder, harm, message):
    harm(folder)
    assert message in fault("report", folder)


@pytest.mark.parametrize("share", ["x%", "-1%", "101%", "1%%", "nan%", "%"])
def test_a_wrong_loss_is_one_line(dnnzip, folder, share):
    status, out, err = dnnzip("report", folder, "--max-drop", share)
    assert (status, out) == (2, "")
    assert err.startswith(f"dnnzip: --max-drop {share!r}: is ")
    assert err.rstrip().endswith("give points of accuracy as a percentage from 0% to 100%, such as 1%")
    assert not (folder / "report.html").exists()


def test_a_file_in_the_figures_place_is_told(dnnzip, folder):
    (folder / "figures").write_text("")
    status, out, err = dnnzip("report", folder)
    assert (status, out) == (2, "")
    assert "figures: cannot be made (File exists); name a folder, or a place for one" in err


def test_a_folder_that_cannot_be_written_is_told(dnnzip, folder):
    (folder / "report.html").mkdir()
    status, _, err = dnnzip("report", folder)
    assert status == 2
    assert "report.html: is a directory; name a file to write" in err
    assert list((folder / "report.html").iterdir()) == []
