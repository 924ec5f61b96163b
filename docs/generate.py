#!/usr/bin/env python3
"""Fill the generated parts of the pages in this folder: ``python docs/generate.py``; with ``--check``, compare only.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- /generated -->``. Of each timing diagram, a WaveDrom
source ``*.json``, a picture is drawn, ``*.svg``.
"""

import re
import struct
import sys
from collections.abc import Callable, Iterable
from importlib.resources import files
from pathlib import Path

import wavedrom
from command_line import command_line

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.line import reference as line_reference
from dnnzip.format import (
    COLUMNS_WORD,
    ESCAPE,
    IMAGE_ENTRY,
    IMAGE_HEADER,
    SEGMENT_GROUP,
    TABLE_HEADER,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    HeaderLayout,
    TableSet,
    Verdict,
    array_file,
)
from dnnzip.format.array import ArrayFault
from dnnzip.format.frames import ARRAY_RESULT, END, FRAME_HEADER, HELLO, LOAD, ORDERS, RESULT, Order
from dnnzip.onnx.operators import OPERATORS
from dnnzip.onnx.rescale import FOLD_RULES, has_scale_that_fits
from dnnzip.onnx.rules import RULES
from dnnzip.presentation.tables import TextTable
from dnnzip.weight_files.rules import SENTENCES
from dnnzip_bench import pages
from dnnzip_hw.axi import registers

FOLDER = Path(__file__).resolve().parent
MARK = re.compile(r"<!-- generated: ([a-z ]+) -->")


def table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table of text."""
    return TextTable(header, tuple(rows), names=len(header)).markdown()


def layout(of: HeaderLayout) -> str:
    """Return the table of a header's fields."""
    rows = []
    for field in of.fields:
        offset = of.offset(field.name)
        bits = f"{offset}" if field.width == 1 else f"{offset} to {offset + field.width - 1}"
        stored = f"value - {field.bias}" if field.bias else "value"
        rows.append((f"`{field.name}`", bits, str(field.width), stored, field.meaning))
    return table(("field", "bits", "width", "stored as", "meaning"), rows)


def array_header() -> str:
    """Return the table of the fixed header of an array file."""
    types = {"4s": "4 bytes", "B": "uint8", "H": "uint16", "h": "int16", "I": "uint32", "Q": "uint64", "d": "float64"}
    rows, offset = [], 0
    for field in array_file.FIELDS:
        rows.append((f"`{field.name}`", str(offset), types[field.kind], field.meaning))
        offset += struct.calcsize(f"<{field.kind}")
    return table(("field", "offset", "type", "meaning"), rows)


def verdicts() -> str:
    """Return the table of verdicts."""
    return table(("cause", "verdict", "meaning"), [(str(int(v)), v.label, v.sentence) for v in Verdict])


def orders() -> str:
    """Return the table of orders."""
    behind = {
        Order.LOAD: "words for the weight memory",
        Order.WALK: "nothing",
        Order.RUN: "its vectors, a byte for each column, each vector filled up to whole words",
        Order.END: "nothing; it is the job's last word",
    }
    rows = [(str(int(o)), f"`{o.name}`", f"{ORDERS[o].name}, {ORDERS[o].bytes} bytes", behind[o]) for o in Order]
    return table(("number", "order", "arguments", "what follows"), rows)


def faults() -> str:
    """Return the table of what stops a job."""
    return table(("fault", "meaning"), [(str(int(fault)), fault.sentence) for fault in ArrayFault])


def example() -> str:
    """Return the worked example: a set of one table and a stream of two channels."""
    counts = {0: 128, -1: 48, 1: 48, -2: 15, 2: 15, ESCAPE: 2}
    table_set = TableSet(8, ((0,) * 3,) * 8, (0,), (tuple(counts.get(token, 0) for token in TOKEN_ORDER),))
    codes = [[0, 1, -1, 0, 2, 0], [100, 0, 0, -2, 1, 0]]
    choices = AnsChoices(log2_lanes=1, classes=[0], context=True)
    stream = ans_reference.encode(codes, (1, 1), table_set, choices)
    shown = ", ".join(f"{token}: {count}" if token != ESCAPE else f"escape: {count}" for token, count in counts.items())
    return (
        f"One table of 256 states with the counts {shown}, used by every class and context, yields the table set\n\n"
        f"{hexadecimal(table_set.to_bytes())}\n"
        f"Two channels of a fully connected layer, {codes[0]} and {codes[1]}, coded with it on two virtual lanes and\n"
        f"with context, yield the weight stream\n\n{hexadecimal(stream)}\n"
        "Its header is the first 16 bytes, its CRC-32 the last 4. The seven words between are, in order: the first\n"
        "word of each lane; the word that each takes after its state; 0x0064, the 100 for which the first weight of\n"
        "lane 1 is an escape; and the words that lane 1 takes after its third weight and lane 0 after its fifth.\n"
    )


def line_example() -> str:
    """Return the worked example of a ``line`` stream: three segments over two channels."""
    codes = [100, 110, 120, 130, 0, -7, -14, -21, -28, 500]
    stream = line_reference.encode(codes, 2)
    return (
        f"Two channels of five codes, {codes[:5]} and {codes[5:]}, coded as lines, yield the weight stream\n\n"
        f"{hexadecimal(stream)}\n"
        "Its payload is a group of two segments and a segment on its own. 0x0403 holds the lengths 4 and 5; 0x0064\n"
        "and 0x000a are intercept and slope of the first segment, 0x0000 and 0xfff9 (-7) those of the second, which\n"
        "runs over the end of the channel. 0x0000 is the last segment's length, 1; 0x01f4 its code, 500; its slope\n"
        "is 0.\n"
    )


def kit() -> str:
    """Return the kit's own README, its headings a level lower."""
    text = (files("dnnzip_hw.kit") / "files" / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"^#+ ", lambda match: f"#{match[0]}", text.partition("\n\n")[2], flags=re.MULTILINE)
    # They name the folder of the kit, not that of the page.
    return text.replace(
        "```sh\n",
        "<!-- not run: for the kit's folder; tests/hw/test_kit_testbench.py and test_kit_decoder.py do it -->\n```sh\n",
    )


def hexadecimal(data: bytes) -> str:
    """Return bytes as an indented block of words."""
    lines = [data[start : start + 16].hex(" ", 2) for start in range(0, len(data), 16)]
    return "```hex\n" + "\n".join(lines) + "\n```\n"


def rules() -> str:
    """Return the list of what a tensor must keep to be compressed, in the order in which it is asked."""
    return "".join(f"{number}. {rule.sentence}\n" for number, rule in enumerate((*RULES, has_scale_that_fits), 1))


def fold_rules() -> str:
    """Return the list of what lets the network's scales hold the step of integer weights."""
    return "".join(f"- {rule.sentence}\n" for rule in FOLD_RULES if rule is not has_scale_that_fits)


def operators() -> str:
    """Return the table of the operators that hold weights, and their inputs that do."""
    domains: dict[str, dict[str, list[str]]] = {}
    for row in OPERATORS:
        if row.weights:
            inputs = ", ".join(str(weight.index) for weight in sorted(row.weights, key=lambda weight: weight.index))
            domains.setdefault(row.domain or "ai.onnx", {}).setdefault(inputs, []).append(row.name)
    lines = ["| domain | operators | inputs |", "| --- | --- | --- |"]
    for domain, rows in domains.items():
        lines += [f"| `{domain}` | {', '.join(names)} | {inputs} |" for inputs, names in rows.items()]
    return "\n".join(lines) + "\n"


def weight_file_rules() -> str:
    """Return the list of what a tensor of a weight file must keep to be compressed, in order."""
    return "".join(f"{number}. {sentence}\n" for number, sentence in enumerate(SENTENCES, 1))


PARTS: dict[str, Callable[[], str]] = {
    "array header": array_header,
    "table header": lambda: layout(TABLE_HEADER),
    "weight header": lambda: layout(WEIGHT_HEADER),
    "columns word": lambda: layout(COLUMNS_WORD),
    "segment group": lambda: layout(SEGMENT_GROUP),
    "line example": line_example,
    "image header": lambda: layout(IMAGE_HEADER),
    "image entry": lambda: layout(IMAGE_ENTRY),
    "kit": kit,
    "commands": command_line,
    "fold rules": fold_rules,
    "operators": operators,
    "rules": rules,
    "weight file rules": weight_file_rules,
    "verdicts": verdicts,
    "example": example,
    "frame header": lambda: layout(FRAME_HEADER),
    "hello": lambda: layout(HELLO),
    "result": lambda: layout(RESULT),
    "orders": orders,
    "load": lambda: layout(LOAD),
    "end": lambda: layout(END),
    "array result": lambda: layout(ARRAY_RESULT),
    "array faults": faults,
    "shared registers": lambda: registers.as_markdown("shared"),
    "group registers": lambda: registers.as_markdown("group"),
}


def filled(text: str) -> str:
    """Return a page with its generated parts made anew."""
    return pages.filled(text, "generated", {name: PARTS[name]() for name in MARK.findall(text)}, "a page")


def picture(source: str) -> str:
    """Return the drawing of a timing diagram."""
    return str(wavedrom.render(source).tostring()) + "\n"


def main() -> int:
    """Fill or check every page and picture; return the status of the process."""
    drawn = {page.with_suffix(".svg"): picture(page.read_text()) for page in sorted(FOLDER.glob("*.json"))}
    old = [path for path, text in drawn.items() if not path.is_file() or path.read_text() != text]
    stale = [page for page in sorted(FOLDER.glob("*.md")) if filled(page.read_text()) != page.read_text()]
    if "--check" in sys.argv[1:]:
        for page in [*stale, *old]:
            print(f"{page.name} is not what docs/generate.py makes of it", file=sys.stderr)
        return bool(stale or old)
    for page in stale:
        page.write_text(filled(page.read_text()))
    for path in old:
        path.write_text(drawn[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
