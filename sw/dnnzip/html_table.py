"""Tables in HTML, for notebooks."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str) -> str:
    """Return a table in HTML, all of its texts escaped.

    Parameters
    ----------
    header
        Column headings; no row of them where empty.
    rows
        Cells as text; the first of a row is its name.
    caption
        Text above the table.
    """
    lines = [f"<table><caption>{escape(caption)}</caption>"]
    if header:
        lines.append("<thead><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr></thead>")
    lines.append("<tbody>")
    for name, *cells in rows:
        values = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f"<tr><th>{escape(name)}</th>{values}</tr>")
    return "".join([*lines, "</tbody></table>"])
