"""The files of a command line: no output is an input or another output, by any name; ``-`` is standard output."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import onnx
import pytest
from command_models import network

from dnnzip.cli import file_parameters
from dnnzip.cli.estimation import ShapeOfValue
from dnnzip.cli.file_parameters import FileCommand, FileParameter, OutputFile
from dnnzip.cli.group import cli
from dnnzip.digits import TEST_SET
from dnnzip.errors import InputError
from dnnzip.onnx import files

DNNZIP = [sys.executable, "-m", "dnnzip"]

TEXTS = {
    *("max_error", "error_scope", "layers", "exclude", "link", "codec", "placement", "timing", "against"),
    *("max_drop", "scheduler", "name", "top", "scores", "prefix"),
}
"""Parameters whose text names no file."""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, dnnzip):
    """A folder with a model under many names, alone, compressed, and with its array in a file next to it."""
    monkeypatch.chdir(tmp_path)
    onnx.save(network(), "m.onnx")
    assert dnnzip("compress", "m.onnx", "-o", "k.onnx", "--max-error", "2%", "--tables", "t.bin", "--quiet")[0] == 0
    onnx.save(network(), "apart.onnx", save_as_external_data=True, location="apart.bin", size_threshold=0)
    for name in ("folder", "images", "images/a"):
        Path(name).mkdir()
    Path("hard.onnx").hardlink_to("m.onnx")
    Path("soft.onnx").symlink_to("m.onnx")
    Path("soft folder").symlink_to("folder")
    Path("dangling").symlink_to("folder/new")
    Path("folder/weights.h").hardlink_to("k.onnx")
    Path("arrow").symlink_to("apart.bin")
    Path("images/a/1.png").write_bytes(b"picture")
    Path("images/labels.csv").write_text("a/1.png,0\n")
    Path("machine.toml").write_text("")
    Path("x.npz").write_bytes(b"samples")
    return tmp_path


def state(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


COMPRESS = ("compress", "m.onnx", "--max-error", "2%")
SAMPLES = ("--data", "x.npz")
EXPLORE = ("explore", "m.onnx", *SAMPLES, "--max-error", "2%")
TUNE = ("tune", "m.onnx", "--max-drop", "1%")


@pytest.mark.parametrize(
    ("arguments", "first", "second"),
    [
        ((*COMPRESS, "-o", "m.onnx"), "-o", "MODEL.onnx"),
        ((*COMPRESS, "-o", "./folder/../m.onnx"), "-o", "MODEL.onnx"),
        ((*COMPRESS, "-o", "hard.onnx"), "-o", "MODEL.onnx"),
        ((*COMPRESS, "-o", "soft.onnx"), "-o", "MODEL.onnx"),
        ((*COMPRESS, "-o", "/proc/self/cwd/m.onnx"), "-o", "MODEL.onnx"),
        ((*COMPRESS, "-o", "new", "--json", "new"), "-o", "--json"),
        ((*COMPRESS, "-o", "new", "--json", "folder/../new"), "-o", "--json"),
        ((*COMPRESS, "-o", "folder/new", "--json", "soft folder/new"), "-o", "--json"),
        ((*COMPRESS, "-o", "folder/new", "--json", "dangling"), "-o", "--json"),
        ((*COMPRESS, "-o", "new", "--tables", "new"), "-o", "--tables"),
        ((*COMPRESS, "-o", "new", "--tables", "t2.bin", "--json", "t2.bin"), "--tables", "--json"),
        ((*COMPRESS, "-o", "t.bin", "--tables", "t.bin"), "-o", "--tables"),
        ((*COMPRESS, "-o", "new", "--json", "new.data"), "-o new (new.data)", "--json"),
        (("compress", "apart.onnx", "--max-error", "2%", "-o", "apart.bin"), "-o", "(apart.bin)"),
        (("compress", "apart.onnx", "--max-error", "2%", "-o", "c", "--json", "arrow"), "--json", "(apart.bin)"),
        (("decompress", "k.onnx", "-o", "k.onnx"), "-o", "MODEL.dnz.onnx"),
        (("info", "k.onnx", "--json", "k.onnx"), "--json", "FILE"),
        (("verify", "m.onnx", "k.onnx", "--json", "k.onnx"), "--json", "OUT.dnz.onnx"),
        (("verify", "m.onnx", "k.onnx", "--json", "hard.onnx"), "--json", "MODEL.onnx"),
        (("evaluate", "m.onnx", *SAMPLES, "--json", "x.npz"), "--json", "--data"),
        (("evaluate", "m.onnx", "--images", "images", "--json", "images/labels.csv"), "--json", "--images"),
        (("evaluate", "m.onnx", "--images", "images", "--json", "images/a/1.png"), "--json", "--images"),
        (("simulate", "k.onnx", "--link", "golden", "-o", "k.onnx"), "-o", "MODEL.dnz.onnx"),
        (("image", "k.onnx", "-o", "k.onnx"), "-o", "MODEL.dnz.onnx"),
        (("image", "k.onnx", "-o", "folder"), "-o folder (folder/weights.h)", "MODEL.dnz.onnx"),
        (("image", "k.onnx", "-o", "new", "--json", "new/weights.json"), "-o new (new/weights.json)", "--json"),
        (("quantize", "m.onnx", *SAMPLES, "-o", "x.npz"), "-o", "--data"),
        (("estimate", "m.onnx", "--accelerator", "machine.toml", "--json", "machine.toml"), "--json", "--accelerator"),
        (("run", "m.onnx", *SAMPLES, "--link", "golden", "--json", "m.onnx"), "--json", "MODEL"),
        ((*TUNE, *SAMPLES, "-o", "m.onnx"), "-o", "MODEL.onnx"),
        ((*TUNE, *SAMPLES, "-o", "new", "--json", "new.tune"), "-o new (new.tune)", "--json"),
        ((*TUNE, "--images", "images", "-o", "images/a/1.png"), "-o", "--images"),
        ((*EXPLORE, "-o", "new", "--json", "new/network.json"), "-o new (new/network.json)", "--json"),
        ((*EXPLORE, "-o", "new", "--tuned", "k.onnx", "--json", "k.onnx"), "--json", "--tuned"),
        ((*EXPLORE, "-o", "e", "--accelerator", "ulx3s,machine.toml", "--json", "machine.toml"), "--json", "--accel"),
        (("report", "folder", "--json", "folder/report.html"), "DIR folder (folder/report.html)", "--json"),
        (("report", "folder", "--json", "folder/tune.json"), "--json", "DIR folder (folder/tune.json)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_two_names_of_one_file_are_refused(fault, arguments, first, second):
    if "folder/tune.json" in arguments:
        Path("folder/tune.json").write_text("{}")
    line = fault(*arguments)
    assert "are the same file; give the output another name" in line
    assert first in line
    assert second in line


def test_standard_input_and_output_are_known_by_the_files_behind_them(here):
    for arguments, options in (
        (["decompress", "/dev/stdin", "-o", "k.onnx"], {"stdin": "k.onnx"}),
        (["decompress", "k.onnx", "-o", "-"], {"stdout": "k.onnx"}),
        (["info", "k.onnx", "--json", "-"], {"stdout": "k.onnx"}),
        (["info", "k.onnx", "--json", "/proc/self/fd/1"], {"stdout": "k.onnx"}),
    ):
        before = state(here)
        with Path("k.onnx").open("rb" if "stdin" in options else "ab") as file:
            done = subprocess.run([*DNNZIP, *arguments], **dict.fromkeys(options, file), stderr=subprocess.PIPE)
        assert done.returncode == 2, arguments
        assert b"are the same file" in done.stderr
        assert state(here) == before


def test_names_that_are_alike_and_not_the_same(dnnzip, here):
    """An output next to an input, in its folder, or whose name differs in case is none of the inputs."""
    assert file_parameters._ignores_case(here) is False
    for arguments in (
        (*COMPRESS, "-o", "M.onnx", "--json", "m.ONNX"),
        ("compress", "apart.onnx", "--max-error", "2%", "-o", "folder/apart.bin"),
        ("image", "k.onnx", "-o", "."),
        ("info", "k.onnx", "--json", "images/result.json"),
        ("info", "k.onnx", "--json", "images/result.json"),  # it is there now
        (*COMPRESS, "-o", "/dev/null", "--json", "/dev/null"),
        (*COMPRESS, "-o", "new", "--tables", "t.bin", "--json", "/dev/stderr"),
        ("estimate", "m.onnx", "--accelerator", "ulx3s", "--ratio", "4", "--json", "ulx3s"),
    ):
        assert dnnzip(*arguments, "--quiet")[0] == 0, arguments
    assert onnx.load("M.onnx").graph.node[0].domain == "dnnzip"
    assert json.loads(Path("m.ONNX").read_text())["totals"]["weights"] == 200


def test_a_folder_that_ignores_case(here):
    (here / "FOLDER").symlink_to("folder")  # both names lead to one, as they do where case is ignored
    place = here / "folder"
    assert file_parameters._ignores_case(place)
    assert file_parameters._identity(place / "a") == file_parameters._identity(place / "A")
    assert file_parameters._identity(place / "a") != file_parameters._identity(place / "b")


# --- standard output --------------------------------------------------------------------------------------------------


@pytest.fixture
def run():
    """Run the command line in a process of its own; returns what it does."""
    return lambda *arguments, **options: subprocess.run([*DNNZIP, *arguments], capture_output=True, **options)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (COMPRESS, "-o"),
        (("decompress", "k.onnx"), "-o"),
        (("simulate", "k.onnx", "--link", "golden"), "-o"),
        ((*COMPRESS, "-o", "/dev/null", "--layers", "w", "--codec", "ans"), "--tables"),
        (("info", "k.onnx"), "--json"),
    ],
    ids=" ".join,
)
def test_a_file_can_be_standard_output(run, here, arguments, option):
    done = run(*arguments, option, "-")
    assert (done.returncode, done.stderr) == (0, b"")
    assert run(*arguments, option, "file").returncode == 0
    assert done.stdout == Path("file").read_bytes()
    assert not Path("-").exists()
    assert not [path for path in here.iterdir() if path.name.startswith(".")]


def test_standard_output_keeps_what_stands_in_it(run):
    with Path("log").open("wb") as log:
        log.write(b"before\n")
        log.flush()
        subprocess.run([*DNNZIP, "decompress", "k.onnx", "-o", "-"], stdout=log, check=True)
    assert Path("log").read_bytes() == b"before\n" + run("decompress", "k.onnx", "-o", "-").stdout


def test_a_file_may_be_called_as_standard_output(run):
    assert run(*COMPRESS, "-o", "./-").returncode == 0
    assert {b"layer", b"shape"} < set(run("info", "./-", "--json", "j").stdout.split())
    assert Path("-").is_file()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((*COMPRESS, "-o", "-", "--json", "-"), "-o - and --json - are both standard output; give one of them a file"),
        ((*COMPRESS, "-o", "c", "--tables", "-", "--json", "-"), "--tables - and --json - are both standard output; "),
        (("info", "-"), "FILE -: is no file; give /dev/stdin for standard input"),
        (("verify", "m.onnx", "-"), "OUT.dnz.onnx -: is no file; give /dev/stdin for standard input"),
        (("evaluate", "m.onnx", "--data", "-"), "--data -: is no file; ./- is a file of that name"),
        (("evaluate", "m.onnx", "--images", "-"), "--images -: is no folder"),
        (("estimate", "m.onnx", "--accelerator", "-"), "--accelerator -: is no file; ./- is a file of that name"),
        (("image", "k.onnx", "-o", "-"), "-o -: is no folder; ./- is a folder of that name"),
        ((*EXPLORE, "-o", "-"), "-o -: is no folder; ./- is a folder of that name"),
        (("report", "-"), "DIR -: is no folder; ./- is a folder of that name"),
        (("rtl", "-o", "-"), "-o -: is no folder; ./- is a folder of that name"),
        (("bitstream", "--board", "ulx3s-85f", "-o", "-"), "-o -: is no folder; ./- is a folder of that name"),
        ((*TUNE, *SAMPLES, "-o", "-", "--resume"), "--resume: has no journal where -o is standard output; give -o a f"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_standard_output_cannot_be(fault, arguments, line):
    assert fault(*arguments).startswith(line)


def test_two_outputs_do_not_share_a_pipe(run):
    done = run(*COMPRESS, "-o", "-", "--json", "/dev/stdout")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"dnnzip: -o - and --json /dev/stdout are the same file; ")


def test_a_model_does_not_go_to_a_terminal():
    ours, theirs = os.openpty()
    done = subprocess.run(
        [*DNNZIP, "decompress", "k.onnx", "-o", "-"], stdout=theirs, stderr=subprocess.PIPE, text=True
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert done.stderr.startswith("dnnzip: -o -: standard output is a terminal; send it to a file or a program")


def test_a_model_beyond_a_message_does_not_go_to_standard_output(dnnzip, monkeypatch):
    # What is read is not, but what is written is beyond the size.
    monkeypatch.setattr(files, "message_bytes", lambda *_: files.LARGEST_MESSAGE + 1)
    status, out, err = dnnzip("decompress", "k.onnx", "-o", "-")
    assert (status, out) == (2, "")
    assert err == "dnnzip: -: takes no model of more than 2 GB, which needs a second file; name a file\n"


def test_standard_output_that_cannot_be_written():
    for arguments in (("info", "k.onnx"), ("info", "k.onnx", "--json", "-"), ("decompress", "k.onnx", "-o", "-")):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run([*DNNZIP, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
        wanted = "dnnzip: standard output: cannot be written (No space left on device); name a file with room\n"
        assert (done.returncode, done.stderr) == (2, wanted)


def test_tune_keeps_its_journal_in_memory_where_the_model_goes_to_standard_output(dnnzip, monkeypatch):
    class StopError(InputError):
        pass

    def stop(path, *_):
        raise StopError("journal", str(path))

    monkeypatch.setattr("dnnzip.tuning.journal.Journal.__init__", lambda _, path, *__: stop(path))
    arguments = ("tune", "m.onnx", "--data", TEST_SET, "--max-drop", "1%")
    monkeypatch.setattr("dnnzip.tuning.tuner.Tuner.__init__", lambda *_: None)
    monkeypatch.setattr("dnnzip.tuning.tuner.Tuner.settings", lambda _: {})
    assert dnnzip(*arguments, "-o", "-")[2] == "dnnzip: journal: None\n"
    assert dnnzip(*arguments, "-o", "c")[2] == "dnnzip: journal: c.tune\n"


# --- every command ----------------------------------------------------------------------------------------------------


def test_every_parameter_says_whether_it_is_a_file():
    """A parameter that takes any text is one of `TEXTS`, or its type says which files it names."""
    root = click.Context(cli)
    numbers = (click.types.IntParamType, click.types.FloatParamType, click.types.BoolParamType)
    kinds = (ShapeOfValue, click.Choice, *numbers)
    seen = 0
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert isinstance(command, FileCommand), name
        for parameter in command.params:
            seen += 1
            if isinstance(parameter.type, click.types.StringParamType):
                assert parameter.name in TEXTS, (name, parameter.name)
            else:
                assert isinstance(parameter.type, (FileParameter, *kinds)), (name, parameter.name)
    assert seen > 80


def test_a_new_command_cannot_forget_the_check(tmp_path):
    """The group makes commands that check what their parameters name; nothing in the body is needed for it."""
    called = []

    new = cli.command_class(
        "new",
        params=[click.Option(["-a"], type=OutputFile()), click.Option(["-b"], type=OutputFile())],
        callback=lambda **values: called.append(values),
    )
    with pytest.raises(click.UsageError, match="are the same file"):
        new.main(["-a", str(tmp_path / "x"), "-b", str(tmp_path / "." / "x")], standalone_mode=False)
    assert not called
    new.main(["-a", str(tmp_path / "x"), "-b", str(tmp_path / "y")], standalone_mode=False)
    assert len(called) == 1
