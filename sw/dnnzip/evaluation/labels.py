"""Classes of images: ``labels.csv`` with lines ``file,class``, and the index of each class."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dnnzip.errors import InputError
from dnnzip.inputs.reading import read_bounded

RIGHT = "give lines file,class in UTF-8"

#: Bytes of a list that are read at most.
LARGEST = 1 << 28

#: First lines that are a heading, in small letters; any other first line must name a file.
HEADINGS = tuple((file, label) for file in ("file", "filename", "image") for label in ("class", "label"))

#: Texts that are meant as numbers.
NUMBER = re.compile(r"[+-]?[\d.,_]+(e[+-]?\d+)?", re.IGNORECASE)

#: Digits of a class that is a number.
MOST_DIGITS = 9

RIGHT_CLASS = f"classes are whole numbers from 0 with at most {MOST_DIGITS} digits, or names"


@dataclass(frozen=True)
class Labelled:
    """An image, the name of its class, and where that is said, for messages."""

    path: Path
    label: str
    where: str


def read_labels(path: Path) -> list[Labelled]:
    """Read a list of files and classes, as editors and spreadsheets write it.

    Parameters
    ----------
    path
        The list; the files' names start at its folder. A byte order mark, any line ends, blank lines, quotes and spaces
        around values are taken; a first line such as ``file,class`` is a heading.

    Raises
    ------
    InputError
        A line is no file and class, names a file that is not there or that a line before names.
    """
    found: list[Labelled] = []
    lines: dict[str, int] = {}
    for position, (number, row) in enumerate(_rows(path)):
        where = f"{path}, line {number}"
        if len(row) != 2:
            other = next((mark for mark in ";\t" if mark in "".join(row)), None)
            right = "separate file and class with a comma" if other else "give file,class on each line"
            raise InputError(where, f"has {len(row)} value{'s' * (len(row) != 1)}", right)
        file = path.parent / row[0]
        if not row[0] or not file.is_file():
            if not position and (row[0].lower(), row[1].lower()) in HEADINGS:
                continue
            raise InputError(where, f"names {row[0]!r}, which is not there", "name files beside the list")
        before = lines.setdefault(whole_name(file), number)
        if before != number:
            raise InputError(where, f"names {row[0]!r} as line {before} does", "name each file once")
        found.append(Labelled(file, row[1], where))
    return found


def whole_name(path: Path) -> str:
    """Return the one name of a file, from the root and without dots; links stay, since each is an image of its own."""
    return os.path.normpath(path.absolute())


def _holds_control(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text if character != "\t")


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the lines that are not blank, by their number."""
    content = read_bounded(path, LARGEST, RIGHT)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {number}", "is not UTF-8", "save the list as UTF-8") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    first = 1
    try:
        for row in reader:
            values = [value.strip() for value in row]
            if reader.line_num > first or any(map(_holds_control, values)):
                raise InputError(f"{path}, line {first}", "holds a control character or a line end in quotes", RIGHT)
            if any(values):
                rows.append((first, values))
            first = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}, line {first}", f"cannot be read ({error})", RIGHT) from None
    return rows


def class_indices(named: Sequence[Labelled]) -> list[int]:
    """Return the class of each image: its number, or its place among all names in alphabetical order.

    Numbers may stand among names where both ways give them the same class, as of 0 to 9 before A to Z.

    Raises
    ------
    InputError
        A class has no name, is a number but no whole one from 0, or a number among names that would have another one.
    """
    names = sorted({item.label for item in named})
    are_numbers = all(_is_index(name) for name in names)
    classes = {name: int(name) if are_numbers else place for place, name in enumerate(names)}
    for item in named:
        if not item.label:
            raise InputError(item.where, "has no class", "give each file a class")
        if _is_index(item.label):
            if not are_numbers and int(item.label) != classes[item.label]:
                other = next(name for name in names if not _is_index(name))
                raise InputError(
                    item.where, f"has the class {item.label!r}, and {other!r} is one too", "give numbers, or names"
                )
        elif NUMBER.fullmatch(item.label):
            raise InputError(item.where, f"has the class {item.label!r}", RIGHT_CLASS)
    return [classes[item.label] for item in named]


def _is_index(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= MOST_DIGITS
