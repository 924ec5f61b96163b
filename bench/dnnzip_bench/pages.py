"""The pages of the manual that the bench fills: parts between marks, and lines on what they were made with."""

import datetime
import platform
import re
from collections.abc import Mapping
from pathlib import Path

from dnnzip.errors import InputError
from dnnzip.system.outputs import write_output


def filled(text: str, figure: str, parts: Mapping[str, str], where: str) -> str:
    """Put each part between its marks, ``<!-- FIGURE: NAME -->`` and ``<!-- /FIGURE -->``; the text around them stays.

    Raises
    ------
    InputError
        The text, which is ``where``, lacks a mark.
    """
    for name, content in parts.items():
        start, end = f"<!-- {figure}: {name} -->", f"<!-- /{figure} -->"
        before, mark, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not (mark and found):
            raise InputError(where, f"has no part between '{start}' and '{end}'", "put both marks in")
        text = f"{before}{start}\n\n{content.strip()}\n\n{end}{after}"
    return text


def fill(page: Path | None, figure: str, parts: Mapping[str, str]) -> None:
    """Fill the parts of a page, if one is given.

    Raises
    ------
    InputError
        The page cannot be read, or lacks a mark.
    """
    if page is None:
        return
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise InputError(str(page), reason, f"give docs/{page.name} or another page with the marks") from None
    write_output(page, filled(text, figure, parts, str(page)).encode())


def folded(text: str, width: int = 120) -> str:
    """Break a paragraph into lines."""
    return re.sub(rf"(.{{1,{width}}})(?: |$)", r"\1\n", text).rstrip("\n")


def made_with(facts: Mapping[str, str]) -> str:
    """Return the sentence on what a page was made with, of its provenance."""
    named = (f"{name} {value}" for name, value in facts.items() if name != "command")
    return f"Made with {', '.join(named)} on {platform.system()} {platform.machine()}."


def written_by(command: str, made: str) -> str:
    """Return the paragraph on top of a page that is written as a whole."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return folded(f"Written by `{command}` on {today}; edits are lost. {made}")
