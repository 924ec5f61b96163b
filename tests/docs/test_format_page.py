"""The page of the format says what the format is, and its example decodes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dnnzip.codec import fast, reference
from dnnzip.format import TableSet, Verdict

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_generated_parts_are_current() -> None:
    """``docs/generate.py --check`` finds nothing to change."""
    result = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_stale_part_is_noticed(tmp_path: Path) -> None:
    """A page that was edited inside a generated part fails the check and is named."""
    for source in DOCS.glob("*.py"):
        (tmp_path / source.name).write_text(source.read_text())
    page = (DOCS / "format.md").read_text()
    (tmp_path / "format.md").write_text(page.replace("| `magic` |", "| `magick` |"))
    result = subprocess.run(
        [sys.executable, tmp_path / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "format.md" in result.stderr


@pytest.mark.parametrize("decode", [reference.decode, fast.decode])
def test_the_example_decodes(decode: object) -> None:
    """The hex blocks of the page are a table set, and streams of the codes that it names."""
    page = (DOCS / "format.md").read_text()
    tables, stream, line = (bytes.fromhex(block) for block in re.findall(r"```hex\n(.*?)```", page, re.DOTALL))
    for data, of in ((stream, "fully connected layer"), (line, "of five codes")):
        wanted = re.search(of + r", (\[.*?\]) and (\[.*?\])", page)
        assert wanted is not None
        decoded = decode(data, TableSet.from_bytes(tables))  # type: ignore[operator]
        assert decoded.verdict == Verdict.OK
        assert [str([int(code) for code in channel]) for channel in decoded.codes] == list(wanted.groups())
