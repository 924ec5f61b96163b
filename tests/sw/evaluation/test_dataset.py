"""Archives of arrays: what they declare is compared before any of it is read."""

import io
import struct
import zipfile

import numpy as np
import pytest

from dnnzip.errors import InputError
from dnnzip.evaluation.dataset import load_dataset

HEADER = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"


def written(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


X, Y = written(np.zeros((20, 3), np.float32)), written(np.arange(20))


def array(header, content=bytes(240), version=(1, 0)):
    text = header.encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(text)) + text + content


@pytest.fixture
def archive(tmp_path):
    def write(*members, method=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "set.npz", "w", method) as file:
            for name, content in members:
                file.writestr(name, content)
        return tmp_path / "set.npz"

    return write


def refused(path, message):
    with pytest.raises(InputError, match=message) as caught:
        load_dataset(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name(archive):
    for members in (
        (("x.npy", X), ("x.npy", X), ("y.npy", Y)),
        (("x.npy", X), ("x", X), ("y.npy", Y)),
        (("x", b"abc"), ("x.npy", X), ("y.npy", Y)),
        (("x.npy", X), ("y.npy", Y), ("y.npy", Y)),
    ):
        refused(archive(*members), "has two arrays [xy]; give an .npz file")


@pytest.mark.parametrize(
    "header",
    [
        HEADER.format("<f4", "(1099511627776, 3)"),
        HEADER.format("<f4", "(99999999999999999999999999, 3)"),
        HEADER.format("<f4", "(-20, -3)"),
        HEADER.format("<f4", "(20, 2)"),
        HEADER.format("<f4", f"({'9' * 5000},)"),
        HEADER.format("|O", "(20, 3)"),
        "(" * 5000,
        "-" * 9000 + "1",
        "[1" * 90,
        "lambda: 0",
        "'''",
        "\tx\n  y\n z",
        "\0",
    ],
)
def test_a_header_that_does_not_suit(archive, header):
    refused(archive(("x.npy", array(header)), ("y.npy", Y)), r"is no \.npz file of numbers \(")


def test_other_versions_methods_and_members(archive):
    header = HEADER.format("<f4", "(20, 3)")
    assert load_dataset(archive(("x.npy", array(header, version=(2, 0))), ("y.npy", Y))).x.shape == (20, 3)
    assert load_dataset(archive(("x.npy", X), ("y.npy", Y), ("z", b"?"), method=zipfile.ZIP_STORED)).x.shape == (20, 3)
    for version in ((3, 0), (9, 0)):
        refused(archive(("x.npy", array(header, version=version)), ("y.npy", Y)), "x.npy is of version")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(archive(("x.npy", X), ("y.npy", Y), method=method), "x.npy is not compressed as NumPy does")
    refused(archive(("x", X), ("y.npy", Y)), "has no array x")
    refused(archive(("x.npy", b""), ("y.npy", Y)), r"is no \.npz file of numbers")


def test_an_archive_that_is_far_smaller_than_its_arrays(archive, monkeypatch):
    """A small file may be honest about more than there is memory for: nothing of it is taken."""
    path = archive(("x.npy", array(HEADER.format("<f4", "(20, 1000000)"), bytes(80_000_000))), ("y.npy", Y))
    assert path.stat().st_size < 200_000
    monkeypatch.setattr("dnnzip.inputs.memory.most_memory", lambda: 80_000_000)
    monkeypatch.setattr(np.lib.format, "read_array", None)
    refused(path, r"needs 0\.08 GB of memory for 800\d+ bytes of x and y, and there are 0\.08 GB")


def test_a_size_that_the_archive_does_not_hold(archive):
    path = archive(("x.npy", X), ("y.npy", Y))
    content = bytearray(path.read_bytes())
    place = content.find(b"PK\1\2") + 24
    content[place : place + 4] = struct.pack("<I", len(X) + 4)
    path.write_bytes(content)
    refused(path, r"is no \.npz file of numbers \(x\.npy has 372 bytes, and its shape needs 368\)")


def test_damage_is_one_line(archive):
    seed = 5
    print("seed", seed)
    rng = np.random.default_rng(seed)
    whole = [archive(("x.npy", X), ("y.npy", Y), method=method).read_bytes() for method in (0, zipfile.ZIP_DEFLATED)]
    path = archive()
    messages = []
    for turn in range(600):
        content = bytearray(whole[turn % 2])
        for position in rng.integers(len(content), size=rng.integers(1, 4)):
            content[position] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(content))] if turn % 10 == 0 else content)
        try:
            load_dataset(path)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 200
    assert not [message for message in messages if "\n" in message]
