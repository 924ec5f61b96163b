"""Tables in few columns: no number is cut, names stay distinct, and what goes is said."""

import re
from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console

from dnnzip.presentation.table_layout import distinct
from dnnzip.presentation.tables import TextTable, stdout_console

NAMES = (
    *(f"features.stage1.unit{unit}.conv{conv}/weight_quantized:0" for unit in (1, 10) for conv in (1, 2)),
    "StatefulPartitionedCall/mobilenetv2_1.00_224/block_16_project/Conv2D/ReadVariableOp",
    "StatefulPartitionedCall/mobilenetv2_1.00_224/block_15_project/Conv2D/ReadVariableOp",
    "権重/層一/畳み込み/カーネル/量子化された重み/一番",
    "権重/層一/畳み込み/カーネル/量子化された重み/二番",
    "w",
    "x" * 5000 + "1" + "y" * 5000,
    "x" * 5000 + "2" + "y" * 5000,
)
HEADER = ("layer", "shape", "weights", "codec", "bits/weight", "ratio", "largest error", "bound")
CELLS = ("512x256x3x3", "1,179,648", "ans", "3.0531", "10.483", "0.0001813", "0.0002828")
OPTIONAL = ("shape", "codec", "ratio", "largest error")


def shown(table, width):
    file = StringIO()
    table.show(Console(file=file, width=width, highlight=False, markup=False, emoji=False))
    return file.getvalue()


@pytest.mark.parametrize("width", [200, 132, 100, 80, 72, 60, 50, 40, 30])
def test_a_table_keeps_to_the_width_and_cuts_no_number(width):
    total = ("total", "", "123,456,789", "", "2.5531", "12.537", "", "")
    out = shown(TextTable(HEADER, tuple((name, *CELLS) for name in NAMES), total, OPTIONAL), width)
    assert all(cell_len(line) <= width for line in out.splitlines())
    gone = re.search(rf"not shown in {width} columns: (.*)", " ".join(out.split()))
    dropped = [words.partition(" (always ")[0] for words in gone[1].split(", ")] if gone else []
    assert dropped == list(OPTIONAL[: len(dropped)])
    assert not gone or gone[1].startswith("shape (always 512x256x3x3)")
    for heading, cell in zip(HEADER[1:], CELLS, strict=True):
        shown_cells = re.findall(rf"(?<!\S){re.escape(cell)}(?![^\s;])", out)
        assert len(shown_cells) == (0 if heading in dropped else len(NAMES)), heading
    assert "123,456,789" in out


def test_what_does_not_fit_as_columns_becomes_records():
    table = TextTable(
        ("accelerator", "decompressed", "latency", "energy"), (("ulx3s", "memory-interface", "1 %", "2 %"),)
    )
    assert shown(table, 32).splitlines() == [
        "ulx3s",
        "  decompressed memory-interface",
        "  latency 1 %; energy 2 %",
    ]


@pytest.mark.parametrize("limit", [60, 40, 30, 24, 20, 16, 12])
def test_names_stay_distinct(limit):
    short = distinct(NAMES, limit)
    assert len(set(short)) == len(NAMES)
    assert all(cell_len(name) <= limit for name in short)
    assert short[NAMES.index("w")] == "w"


def test_names_are_shortened_where_they_are_alike():
    names = ["model.layer1.conv_a.kernel_of_weights", "model.layer2.conv_a.kernel_of_weights"]
    assert distinct(names, 20) == ["model.layer1…weights", "model.layer2…weights"]
    assert distinct(names, 12) == ["…1.co…eights", "…2.co…eights"]
    assert distinct(names, 40) == names
    # Nothing but their number tells these apart: 200 names that differ at three places.
    many = [f"a{'x' * 30}{i % 7}{'x' * 30}{i // 7 % 7}{'x' * 30}{i // 49}{'x' * 30}" for i in range(200)]
    short = distinct(many, 16)
    assert len(set(short)) == 200
    assert all(cell_len(name) <= 16 for name in short)
    assert distinct(["a" * 30, "a" * 30, "b" * 30], 10)[0] == distinct(["a" * 30, "a" * 30, "b" * 30], 10)[1]


def test_columns_is_heard_in_a_pipe(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert stdout_console().width == 80
    for text in ("", "0", "wide", "-1"):
        monkeypatch.setenv("COLUMNS", text)
        assert stdout_console().width == 200
