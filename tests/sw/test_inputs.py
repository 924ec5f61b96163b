"""Files that a user names: of a kind that ends, read up to a limit, each key in them once."""

import contextlib
import hashlib
import os
import threading

import numpy as np
import pytest

from dnnzip.accelerator import load_accelerator
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import InputError
from dnnzip.evaluation.dataset import load_dataset
from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.inputs.json_text import parse_json
from dnnzip.inputs.reading import CHUNK, digest_of_file, open_regular, read_bounded
from dnnzip.onnx import files
from dnnzip.onnx.files import load_model, open_model
from dnnzip.tuning.journal import Journal
from dnnzip.usecases.table_file import read_table_set

RIGHT = "name another"


def endless(path):
    path.symlink_to("/dev/zero")


def empty_device(path):
    path.symlink_to("/dev/null")


def pipe(path):
    os.mkfifo(path)


READERS = {
    "model": ("m.onnx", load_model),
    "model by its places": ("m.onnx", open_model),
    "table set": ("t.bin", lambda path: read_table_set(path, 9)),
    "samples": ("s.npz", load_dataset),
    "accelerator": ("a.toml", load_accelerator),
    "request": ("request.json", lambda path: ExplorationFolder(path.parent).request()),
    "network": ("network.json", lambda path: ExplorationFolder(path.parent).network()),
    "tuning": ("tune.json", lambda path: ExplorationFolder(path.parent).tune()),
    "results": ("results/ab.parquet", lambda path: ExplorationFolder(path.parent.parent).finished()),
    "journal": ("j.json", lambda path: Journal(path, {}, resume=True)),
}

#: Files that the user names; all others must not wait for a writer that never comes.
TAKE_PIPES = {"model", "model by its places", "table set", "accelerator"}


@pytest.mark.parametrize("kind", [endless, empty_device, pipe])
@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file(tmp_path, reader, kind):
    if kind is pipe and reader in TAKE_PIPES:
        pytest.skip("reads pipes")
    name, read = READERS[reader]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    kind(path)
    with pytest.raises(InputError, match=rf"{path.name}: is no regular file"):
        read(path)


def through_pipe(path, content, read):
    os.mkfifo(path)

    def write():
        with contextlib.suppress(BrokenPipeError):
            path.write_bytes(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return read(path)
    finally:
        writer.join()


def test_models_come_out_of_pipes_up_to_the_limit(tmp_path, monkeypatch):
    content = MODEL.read_bytes()
    for number, read in enumerate((load_model, open_model)):
        found = through_pipe(tmp_path / f"whole{number}", content, read)
        assert found.SerializeToString() == load_model(MODEL).SerializeToString()
    monkeypatch.setattr(files, "LARGEST_MESSAGE", len(content) - 1)
    for number, read in enumerate((load_model, open_model)):
        with pytest.raises(InputError, match=rf"more{number}: has more than {len(content) - 1} bytes; name an ONNX"):
            through_pipe(tmp_path / f"more{number}", content + bytes(10 * CHUNK), read)
        with pytest.raises(InputError, match=rf"lenet5_digits\.onnx: has more than {len(content) - 1} bytes; "):
            read(MODEL)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 5])
def test_a_file_at_its_limit(tmp_path, size):
    content = np.random.default_rng(0).bytes(size)
    (tmp_path / "file").write_bytes(content)
    assert read_bounded(tmp_path / "file", size, RIGHT) == content
    assert through_pipe(tmp_path / "pipe", content, lambda p: read_bounded(p, size, RIGHT, takes_pipe=True)) == content
    if size:
        with pytest.raises(InputError, match=rf"file: has more than {size - 1} bytes; name another$"):
            read_bounded(tmp_path / "file", size - 1, RIGHT)
        (tmp_path / "pipe").unlink()
        with pytest.raises(InputError, match=rf"pipe: has more than {size - 1} bytes; name another$"):
            through_pipe(tmp_path / "pipe", content, lambda p: read_bounded(p, size - 1, RIGHT, takes_pipe=True))


def test_a_file_that_says_it_has_nothing():
    """The system's own files have no size before they are read."""
    assert read_bounded("/proc/self/status", 1 << 20, RIGHT).startswith(b"Name:")
    with pytest.raises(InputError, match="has more than 10 bytes"):
        read_bounded("/proc/self/status", 10, RIGHT)


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path, reason in (
        (tmp_path / "none", "No such file or directory"),
        (tmp_path, "Is a directory"),
        (tmp_path / "loop", "Too many levels of symbolic links"),
        (tmp_path / ("n" * 300), "File name too long"),
        (tmp_path / "a\0b", "embedded null byte"),
    ):
        for read in (lambda p: read_bounded(p, 10, RIGHT), lambda p: open_regular(p, RIGHT)):
            with pytest.raises(InputError, match=rf"cannot be read \({reason}\); name another$"):
                read(path)


def test_texts_of_any_size(tmp_path):
    path = tmp_path / "a.toml"
    for content, message in (
        (b"#" * (1 << 20) + b"\n", "has more than 1048576 bytes"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "is not TOML"),
        (b"a = " + b"9" * 5000, "is not TOML"),
        (b"a = 1\na = 2", "is not TOML"),
        (b"a = '\xff'", "is not TOML: it is not UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"a\.toml: {message}") as caught:
            load_accelerator(path)
        assert "\n" not in str(caught.value)


def test_keys_of_json_that_are_there_twice(tmp_path):
    assert parse_json(b'{"a": {"b": 1}, "b": [1, {"a": 2}]}') == {"a": {"b": 1}, "b": [1, {"a": 2}]}
    for text in ('{"a": 1, "a": 1}', '[{"b": {"a": 1, "\\u0061": 2}}]'):
        with pytest.raises(ValueError, match=r"^key 'a' is there twice$"):
            parse_json(text)
    with pytest.raises(ValueError, match=r"^it is nested too deeply$"):
        parse_json("[" * 100_000)
    for text in ("NaN", "[Infinity]", '{"a": -Infinity}', "1e999", "-1e999", "9" * 5000, "[36893488147419103232]"):
        with pytest.raises(ValueError, match=r" is no number$"):
            parse_json(text)
    with pytest.raises(ValueError, match="codec can't decode"):
        parse_json(b'"\xff"')
    (tmp_path / "request.json").write_text('{"form": 1, "form": 99}')
    with pytest.raises(InputError, match=r"request\.json: is damaged: no JSON \(key 'form' is there twice\)"):
        ExplorationFolder(tmp_path).request()
    (tmp_path / "j.json").write_text('{"settings": {}, "measured": {}, "measured": {"a": 1}}')
    with pytest.raises(InputError, match=r"j\.json: is no journal of a search"):
        Journal(tmp_path / "j.json", {}, resume=True)


def test_a_journal_that_was_changed(tmp_path):
    path = tmp_path / "j.json"
    Journal(path, {"seed": 1}, resume=False).measured("plain", lambda: [True, False, 0.25])
    whole = path.read_text()
    assert Journal(path, {"seed": 1}, resume=True).measured("plain", lambda: None) == [True, False, 0.25]
    for old, new in (("0.25", "0.26"), ("true", "false"), ("plain", "plane"), ('"seed": 1', '"seed": 1.5')):
        path.write_text(whole.replace(old, new))
        with pytest.raises(
            InputError, match=r"j\.json: is damaged: its digest does not match; remove it to start anew$"
        ):
            Journal(path, {"seed": 1}, resume=True)
    for text in (whole[:-9], whole.replace("sha256", "sha1"), whole.replace("0.25", "NaN"), "[]", "3", "null", ""):
        path.write_text(text)
        with pytest.raises(InputError, match=r"j\.json: is no journal of a search; remove it to start anew$"):
            Journal(path, {"seed": 1}, resume=True)


def test_a_digest_is_that_of_the_content():
    assert digest_of_file(TEST_SET, RIGHT) == hashlib.sha256(TEST_SET.read_bytes()).hexdigest()
