"""The files of a model on their way to a worker: read by one resolver, written inside one folder."""

import numpy as np
import onnx
import pytest

from dnnzip.errors import InputError
from dnnzip.exploration.workload import digest_of, load_files, read_files
from dnnzip.onnx.files import load_model
from graphs import product


@pytest.fixture
def stored(tmp_path):
    """A network whose weight is in a file next to it."""
    model = product(np.random.default_rng(0).normal(size=(256, 16)).astype(np.float32), "n")
    path = tmp_path / "real" / "m.onnx"
    path.parent.mkdir()
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    return path


def test_a_model_with_two_locations_writes_nothing(stored, tmp_path):
    """The check took the last location, and the writer the first: a file of the model's choice was overwritten."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    model = onnx.load(stored, load_external_data=False)
    model.graph.initializer[0].external_data.insert(0, onnx.StringStringEntryProto(key="location", value=str(victim)))
    stored.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="external data of 'w' has two entries 'location'"):
        read_files(stored)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "sub/../../out", ".", "", ".."])
def test_names_that_lead_out_are_not_written(stored, tmp_path, monkeypatch, name):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"workload: has a file '.*'; it must be inside the model's folder"):
        load_files((*read_files(stored), (name, b"content")))
    assert sorted(tmp_path.rglob("*")) == before


def test_links_are_shipped_under_the_names_that_the_model_uses(stored, tmp_path):
    wanted = load_model(stored).SerializeToString()
    digest = digest_of(read_files(stored))
    folder = tmp_path / "named"
    folder.mkdir()
    (folder / "m.onnx").symlink_to("../real/m.onnx")
    # Next to the target alone, then by a link under another name, as caches have it.
    for target in (None, "hash"):
        if target:
            (stored.parent / "m.data").rename(stored.parent / target)
            (folder / "m.data").symlink_to(f"../real/{target}")
        files = read_files(folder / "m.onnx")
        assert [name for name, _ in files] == ["m.onnx", "m.data"]
        assert digest_of(files) == digest
        assert load_files(files).SerializeToString() == wanted
