"""Names and messages on a terminal: what would act on it or hide is shown escaped, whatever file it comes from."""

import json
import os
import subprocess
import sys
import unicodedata
from io import StringIO

import numpy as np
import onnx
import pytest
from rich.console import Console

from dnnzip.cli.output import Output
from dnnzip.presentation.tables import TextTable
from dnnzip.system.outputs import OutputSet
from dnnzip.system.terminal import one_line, printable
from graphs import chain

DNNZIP = [sys.executable, "-m", "dnnzip"]

HOSTILE = "\x1b]0;pwned\x07\x1b[31mred \x9b5m\x7f\u202e\u2066\u2028\x85 [bold]:fire: größe"
SHOWN = r"\x1b]0;pwned\x07\x1b[31mred \x9b5m\x7f\u202e\u2066\u2028\x85 [bold]:fire: größe"


def test_what_a_terminal_acts_on_is_escaped():
    assert printable(HOSTILE) == SHOWN
    assert printable("a\tb\nc\r") == r"a\tb\nc\r"
    assert printable("gr\udcfc\udcdfe") == r"gr\udcfc\udcdfe"


@pytest.mark.parametrize(
    "text", ["conv1/w:0", "größe 权重 🙂", "👩\u200d🔬", "\u0645\u06cc\u200c\u062e", "e\u0301", "\\x1b", ""]
)
def test_other_text_stays(text):
    assert printable(text) == text


def test_no_character_that_acts_or_hides_is_left():
    """Control characters, halves of pairs, separators, and all that is of format but the joiners."""
    for code in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))
        if kind in ("Cc", "Cs", "Zl", "Zp"):
            assert printable(chr(code)) == chr(code).encode("unicode_escape").decode(), hex(code)
        if unicodedata.bidirectional(chr(code)) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"):
            assert printable(chr(code)).isascii(), hex(code)


def test_a_message_is_one_line():
    assert one_line(" first\n   second\r\n\x1b[2J third\u2028") == r"first second \x1b[2J third\u2028"


def test_tables_are_escaped():
    table = TextTable((HOSTILE, "n"), ((HOSTILE, "1"),), (HOSTILE, "1"))
    assert table.markdown().splitlines()[2] == f"| {SHOWN} | 1 |"
    file = StringIO()
    table.show(Console(file=file, width=300, force_terminal=True, markup=False, emoji=False, color_system=None))
    assert file.getvalue().count(SHOWN) == 3
    assert not set(file.getvalue()) & set("\x1b\x07\x9b\x7f\u202e\u2066\u2028\x85")


def test_lines_are_escaped(capsys):
    Output(None, False, OutputSet()).table(TextTable((), ()), f"left out: {HOSTILE}")
    assert capsys.readouterr().out == f"left out: {SHOWN}\n"


@pytest.fixture
def hostile(tmp_path):
    """A model whose weights have hostile names."""
    rng = np.random.default_rng(1)
    path = tmp_path / "m.onnx"
    onnx.save(chain({name: rng.normal(size=(20, 20)).astype(np.float32) for name in (HOSTILE, "\x1b[2J")}), path)
    return path


def test_no_command_prints_a_name_as_it_is(dnnzip, hostile, tmp_path):
    target = tmp_path / "c.onnx"
    compress = ("compress", hostile, "--max-error", "2%", "-o", target)
    seen = 0
    for arguments in (
        compress,
        (*compress, "--exclude", "*[[]2J"),
        ("info", target),
        ("verify", hostile, target),
        ("simulate", target, "--link", "golden"),
        ("image", target, "-o", tmp_path / "image"),
        ("estimate", target, "--accelerator", "edge-lpddr4"),
        (*compress, "--exclude", "*"),
        ("run", target, "--data", hostile, "--link", "\x1b[31m"),
        ("info", tmp_path / f"{HOSTILE}\udcff"),
        ("info", "--\x1b[31m"),
        ("\x1b[31m",),
    ):
        _, out, err = dnnzip(*arguments)
        assert out + err
        assert not set(out + err) & set("\x1b\x07\x9b\x7f\u202e\u2066\u2028\x85"), arguments
        assert err.count("\n") == bool(err)
        seen += SHOWN in out + err
    assert seen >= 7
    status, out, _ = dnnzip("info", target, "--json", "-")
    assert (status, out.isascii()) == (0, True)
    assert not set(out) & set("\x1b\x7f")
    assert {item["name"] for item in [*json.loads(out)["layers"], *json.loads(out)["left_out"]]} == {HOSTILE, "\x1b[2J"}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
def test_an_encoding_that_lacks_a_character(hostile, tmp_path, encoding):
    name = tmp_path / "größe 权重"
    name.mkdir()
    target = name / "c.onnx"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    for arguments in (("compress", hostile, "--max-error", "2%", "-o", target), ("image", target, "-o", name)):
        done = subprocess.run([*DNNZIP, *arguments], env=environment, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"\x1b" not in done.stdout
    assert rb"\u6743\u91cd" in done.stdout
    done = subprocess.run([*DNNZIP, "info", f"{name}\udcff"], env=environment, capture_output=True)
    assert done.returncode == 2
    assert rb"\u6743\u91cd\udcff" in done.stderr
