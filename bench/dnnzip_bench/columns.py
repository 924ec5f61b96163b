"""Tables whose columns are said once: the heading of each, and its cell of an item."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from dnnzip.presentation.tables import TextTable
from dnnzip_bench.command import told

Item = TypeVar("Item")


class Columns(Generic[Item]):
    """Columns of a table: headings, each with a function that makes the cell of an item."""

    def __init__(self, *columns: tuple[str, Callable[[Item], str]]) -> None:
        self._columns = columns

    def cells(self, item: Item) -> tuple[str, ...]:
        """Return the row of an item."""
        return tuple(cell(item) for _, cell in self._columns)

    def followed(self, items: Iterable[Item]) -> list[Item]:
        """Collect items as they are measured, the row of each told as it comes."""
        found = []
        for item in items:
            told("  ".join(self.cells(item)))
            found.append(item)
        return found

    def table(self, items: Iterable[Item], total: tuple[str, ...] = ()) -> TextTable:
        """Return the table of items."""
        return TextTable(tuple(heading for heading, _ in self._columns), tuple(map(self.cells, items)), total)
