"""Data sets that cannot be used: one line that names the fault, exit status 2."""

import numpy as np
import pytest


def data(tmp_path, **arrays):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    return path


X = np.zeros((4, 20), np.float32)
Y = np.zeros(4, np.int64)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X}, "has no array y"),
        ({"y": Y}, "has no array x"),
        ({"a": X}, "has no array x and no array y"),
        ({"x": X, "y": Y[:3]}, "has 4 samples in x and 3 in y"),
        ({"x": X[:0], "y": Y[:0]}, "has 0 samples"),
        ({"x": X, "y": Y.astype(np.float32)}, "y is float32"),
        ({"x": X, "y": np.zeros((4, 2), np.int64)}, "y is int64 (4, 2)"),
        ({"x": X, "y": Y - 1}, "y holds the class -1"),
        ({"x": X, "y": Y + 10}, "y holds the class 10; the network has 10 classes"),
        ({"x": X.astype(np.float64), "y": Y}, "x is float64; "),
        ({"x": X.astype(str), "y": Y}, "x is <U"),
        ({"x": X[:, :19], "y": Y}, "samples of x have the shape (19,); "),
        ({"x": X.reshape(4, 4, 5), "y": Y}, "samples of x have the shape (4, 5); "),
        ({"x": np.array([{}] * 4), "y": Y}, "is no .npz file of numbers"),
    ],
)
def test_a_data_set_that_cannot_be_used(fault, small, tmp_path, arrays, words):
    path = data(tmp_path, **arrays)
    line = fault("evaluate", small, "--data", path)
    assert line.startswith(f"{path}: ")
    assert words in line


def test_a_data_set_file_that_is_none(fault, small, tmp_path):
    path = tmp_path / "set.npz"
    assert fault("evaluate", small, "--data", path).startswith(f"{path}: cannot be read (No such file or directory); ")
    for content in (b"", b"text", data(tmp_path, x=X, y=Y).read_bytes()[:-60]):
        path.write_bytes(content)
        assert fault("evaluate", small, "--data", path).startswith(f"{path}: is no .npz file")
    np.save(tmp_path / "set.npy", X)
    assert "is no .npz file" in fault("evaluate", small, "--data", tmp_path / "set.npy")
    assert fault("evaluate", small, "--data", tmp_path).startswith(f"{tmp_path}: cannot be read (Is a directory)")


def test_more_samples_than_there_are(fault, small, tmp_path):
    line = fault("evaluate", small, "--data", data(tmp_path, x=X, y=Y), "--samples", "5")
    assert line.startswith("--samples 5: ")
    assert "has 4 samples; give 1 to 4" in line
