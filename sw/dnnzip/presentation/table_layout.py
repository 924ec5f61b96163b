"""The layout of a table of text in a number of columns: no cell is ever cut, and names stay distinct.

A table that is too wide is laid out anew. First its headings fold and its gaps shrink, then names are shortened in the
middle, then the columns that it can do without go, in its own order, and at last each row becomes a record.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

LEAST_NAME = 16
"""Columns that the names of a table keep."""

UNLIMITED = 1 << 20


@dataclass(frozen=True)
class Cells:
    """Text of a table, printable."""

    header: tuple[str, ...]  # column headings; the first one is that of the names
    rows: tuple[tuple[str, ...], ...]  # cells, as many in each row as there are headings
    total: tuple[str, ...] = ()  # the last row, set off from the others; none where empty

    @property
    def lines(self) -> tuple[tuple[str, ...], ...]:
        """The rows, and the total."""
        return (*self.rows, *([self.total] if self.total else []))

    def without(self, headings: Sequence[str]) -> "Cells":
        """Return the cells without the columns of these headings."""
        kept = [index for index, heading in enumerate(self.header) if heading not in headings]
        header, *lines = (tuple(line[index] for index in kept) for line in (self.header, *self.lines))
        return self._of(header, lines)

    def named(self, names: Sequence[str]) -> "Cells":
        """Return the cells with other names."""
        return self._of(self.header, [(name, *line[1:]) for name, line in zip(names, self.lines, strict=True)])

    def _of(self, header: tuple[str, ...], lines: Sequence[tuple[str, ...]]) -> "Cells":
        rows = len(self.rows)
        return Cells(header, tuple(lines[:rows]), lines[rows] if self.total else ())


def show_cells(cells: Cells, optional: Sequence[str], console: Console) -> None:
    """Print a table within the width of a console.

    Parameters
    ----------
    cells
        The table.
    optional
        Headings of columns that it can do without, the first to go first.
    console
        Where to.
    """
    whole = _drawn(cells, is_folded=False)
    if _width(whole, console) <= console.width:
        console.print(whole)
        return
    mark = "…" if console.encoding.lower().startswith("utf") else ".."
    names = [line[0] for line in cells.lines]
    least = max(min(LEAST_NAME, max(map(cell_len, names))), _word(cells.header[0]))
    for count in range(len(optional) + 1):
        kept = cells.without(optional[:count])
        nameless = Cells(("", *kept.header[1:]), kept.rows, kept.total).named([""] * len(names))
        room = console.width - _width(_drawn(nameless, is_folded=True), console)
        if room >= least:
            console.print(_drawn(kept.named(distinct(names, room, mark)), is_folded=True))
            if count:
                gone = ", ".join(_gone(cells, heading) for heading in optional[:count])
                console.print(f"not shown in {console.width} columns: {gone}")
            return
    for name, line in zip(distinct(names, console.width, mark), cells.lines, strict=True):
        console.print(name, soft_wrap=True)
        for text in _record(cells.header[1:], line[1:], console.width):
            console.print(text, soft_wrap=True)


def _gone(cells: Cells, heading: str) -> str:
    """Return the heading of a column that is not shown, and its text where that is the same in all rows."""
    index = cells.header.index(heading)
    texts = {row[index] for row in cells.rows}
    return f"{heading} (always {text})" if len(texts) == 1 and (text := texts.pop()) else heading


def _word(heading: str) -> int:
    """Return the columns of a heading's longest word."""
    return max(map(cell_len, heading.split()), default=0)


def _drawn(cells: Cells, is_folded: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=is_folded)
    for index, heading in enumerate(cells.header):
        longest = max((cell_len(line[index]) for line in cells.lines), default=0)
        text = _folded(heading, longest) if is_folded else heading
        table.add_column(text, justify="left" if index == 0 else "right", no_wrap=True)
    for row in cells.rows:
        table.add_row(*row)
    if cells.total:
        table.add_section()
        table.add_row(*cells.total)
    return table


def _folded(heading: str, longest: int) -> str:
    """Return a heading in lines, broken at spaces and after slashes where the cells under it are narrower."""
    words = re.findall(r"[^ /]+/?", heading)
    limit = max(longest, *map(cell_len, words)) if words else 0
    lines = [""]
    for word in words:
        gap = "" if not lines[-1] or lines[-1].endswith("/") else " "
        if lines[-1] and cell_len(lines[-1] + gap + word) > limit:
            lines.append(word)
        else:
            lines[-1] += gap + word
    return "\n".join(lines)


def _width(table: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(max_width=UNLIMITED), table).maximum


def _record(header: Sequence[str], cells: Sequence[str], width: int) -> Iterator[str]:
    """Yield the lines of a row's headings and cells, broken between them."""
    line = ""
    for heading, cell in zip(header, cells, strict=True):
        if not cell:
            continue
        item = f"{heading} {cell}".strip()
        if line and cell_len(f"  {line}; {item}") > width:
            yield f"  {line}"
            line = item
        else:
            line = f"{line}; {item}" if line else item
    if line:
        yield f"  {line}"


def distinct(names: Sequence[str], limit: int, mark: str = "…") -> list[str]:
    """Return names of at most ``limit`` columns, shortened in the middle, with different names still different.

    Names that differ where none of their ends shows it are numbered.

    Parameters
    ----------
    names
        The names.
    limit
        Columns of a name. Where not even numbers fit, names stay as they are.
    mark
        Text in place of what is left out.
    """
    long = sorted({name for name in names if cell_len(name) > limit})
    if not long:
        return list(names)
    start = _alike(long)
    end = _alike([name[start:][::-1] for name in long])
    short = set(names).difference(long)
    for trial in (
        long,
        [mark + name[start:] for name in long],
        [mark + name[start : len(name) - end] + mark for name in long],
        [f"{name[:limit]}{mark}#{number}" for number, name in enumerate(long, 1)],
    ):
        shortened = _told_apart(trial, limit, mark, short)
        if shortened:
            of_name = dict(zip(long, shortened, strict=True))
            return [of_name.get(name, name) for name in names]
    return list(names)


def _told_apart(names: Sequence[str], limit: int, mark: str, taken: set[str]) -> list[str]:
    """Return the names shortened in one place, as near to the middle as keeps them different; nothing if none does.

    Parameters
    ----------
    names
        Different names.
    limit, mark
        As for `distinct`.
    taken
        Names that may not be the outcome.
    """
    room = max(limit - cell_len(mark), 0)
    is_long = [cell_len(name) > limit for name in names]
    for head in sorted(range(room + 1), key=lambda head: abs(2 * head - room)):
        short = [
            _start(name, head) + mark + _end(name, room - head) if long else name
            for name, long in zip(names, is_long, strict=True)
        ]
        if len(set(short)) == len(names) and not taken.intersection(short):
            return short
    return []


def _alike(names: Sequence[str]) -> int:
    """Return the number of characters with which all names begin."""
    first, last = min(names), max(names)
    pairs = enumerate(zip(first, last, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(first), len(last)))


def _start(text: str, columns: int) -> str:
    """Return the longest start of a text that takes at most ``columns`` columns."""
    text = text[: max(columns, 0)]
    while cell_len(text) > columns > 0:
        text = text[:-1]
    return text


def _end(text: str, columns: int) -> str:
    """Return the longest end of a text that takes at most ``columns`` columns."""
    text = text[-columns:] if columns > 0 else ""
    while cell_len(text) > columns:
        text = text[1:]
    return text
