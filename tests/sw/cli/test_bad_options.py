"""Bounds, options and table sets that are none: one line that names the option, exit status 2, nothing written."""

import subprocess

import pytest
from command_models import DNNZIP, compress

from dnnzip.digits import MODEL


@pytest.mark.parametrize(
    "bound",
    [
        "-0",
        "0%",
        "0%rms",
        "101%rms",
        "1%,2%",
        "1lsb,1%,0.1",
        "1lsb,",
        "-1%",
        "-0.5",
        "nan",
        "inf",
        "nan%",
        "2 percent",
        "",
        "%",
        "1/3",
        "101%",
        "1e400",
        "0x10",
        "-1lsb",
    ],
)
def test_a_bound_that_is_none(fault, small, tmp_path, bound):
    line = fault(*compress(small, tmp_path, "--max-error=" + bound))
    assert line.startswith(f"--max-error {bound!r}: ")
    assert ";" in line


@pytest.mark.parametrize("bound", ["1e9", "100"])
def test_a_bound_over_the_range(fault, small, tmp_path, bound):
    line = fault(*compress(small, tmp_path, "--max-error", bound))
    assert line.startswith(f"--max-error {bound!r}: ")
    assert "range" in line


def test_a_bound_that_does_not_suit_the_type(fault, small, tmp_path):
    assert "lsb is for integer weights" in fault(*compress(small, tmp_path, "--max-error", "1lsb"))


@pytest.mark.parametrize("option", ["--layers", "--exclude"])
def test_a_glob_that_matches_nothing(fault, small, tmp_path, option):
    line = fault(*compress(small, tmp_path, "--max-error", "2%", option, "convx*"))
    assert option in line
    assert "'convx*'" in line
    assert "w" in line


def test_nothing_left_to_compress(fault, small, tmp_path):
    line = fault(*compress(small, tmp_path, "--max-error", "2%", "--exclude", "*"))
    assert line == "--layers and --exclude: leave no weight to compress; select at least one"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("compres",), ("No such command 'compres'", "compress", "dnnzip --help")),
        (("info",), ("Missing argument 'FILE'", "dnnzip info --help")),
        (("info", "a", "b"), ("unexpected extra argument", "dnnzip info --help")),
        (("info", "a", "--jsn", "-"), ("No such option", "--json")),
        (("info", "a", "--json"), ("--json", "requires an argument")),
        (("compress", "a.onnx"), ("Missing option", "-o")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--codec", "zip"), ("'zip'", "auto", "ans", "raw")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--states", "500"), ("'500'", "256", "512", "1024")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--virtual-lanes", "3"), ("'3'", "16")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--groups", "0"), ("--groups", "1<=x<=64")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--groups", "two"), ("--groups", "'two'")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--jobs", "0"), ("--jobs", "x>=1")),
        (("compress", "a", "-o", "b", "--max-error", "2%", "--error-scope", "row"), ("'row'", "tensor", "channel")),
        (("evaluate", "a"), ("--data and --images: are both missing", "--images DIR")),
        (("evaluate", "a", "--data", "b", "--images", "c"), ("--data and --images: exclude each other",)),
        (("evaluate", "a", "--data", "b", "--samples", "0"), ("--samples", "x>=1")),
    ],
)
def test_wrong_usage(fault, arguments, words):
    line = fault(*arguments)
    for word in words:
        assert word in line


def test_no_command_shows_the_help(dnnzip):
    status, out, err = dnnzip()
    assert (status, out) == (2, "")
    assert err.startswith("Usage: dnnzip ")


def test_an_unknown_link(fault, compressed):
    line = fault("simulate", compressed, "--link", "telepathy")
    assert line.startswith("--link: no link is named 'telepathy'; one of ")
    assert "golden" in line
    assert "sim" in line


def test_a_table_set_file_that_is_none(fault, small, tmp_path):
    tables = tmp_path / "tables.bin"
    for content, reason in ((b"", "truncated"), (b"text, and no table set", "bad magic"), (b"\xd7\x0a" * 9, "version")):
        tables.write_bytes(content)
        line = fault(*compress(small, tmp_path, "--max-error", "2%", "--tables", tables))
        assert line == f"{tables}: is no table set ({reason}); name a file that 'compress --tables' wrote"


def test_a_table_set_of_another_size(fault, dnnzip, small, tmp_path):
    tables = tmp_path / "tables.bin"
    assert dnnzip(*compress(small, tmp_path, "--max-error", "2%", "--codec", "ans", "--tables", tables))[0] == 0
    line = fault(*compress(small, tmp_path, "--max-error", "2%", "--tables", tables, "--states", "256"))
    assert line == f"{tables}: has 512 states; use it with --states 512"


def test_a_table_set_in_a_folder_that_is_not_there_leaves_no_model(fault, small, tmp_path):
    tables = tmp_path / "nowhere" / "tables.bin"
    line = fault(*compress(small, tmp_path, "--max-error", "2%", "--codec", "ans", "--tables", tables))
    assert line.startswith(f"{tables}: cannot be written")


def test_a_table_set_that_is_a_folder(fault, small, tmp_path):
    line = fault(*compress(small, tmp_path, "--max-error", "2%", "--tables", tmp_path))
    assert line.startswith(f"{tmp_path}: cannot be read (Is a directory)")


def test_a_process_ends_with_the_status_and_one_line(tmp_path):
    done = subprocess.run(
        [DNNZIP, "compress", MODEL, "-o", tmp_path / "o.onnx", "--max-error", "200%"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dnnzip: --max-error '200%': is over 100 %; give at most 100%\n"
    assert list(tmp_path.iterdir()) == []
