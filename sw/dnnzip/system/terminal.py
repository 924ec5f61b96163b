r"""Text for a terminal: what a name or a message may hold that would steal the terminal or hide, shown escaped.

Names come from models, TOML, JSON and Parquet files, and messages from libraries; none of them is trusted. A name such
as ``\x1b[31mred`` is shown with its escape sequence as it stands here, and does not become red.
"""

import io
import re
import sys

_HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters, C0, DEL and C1
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"  # nothing to see, or marks of direction
    "\u2028-\u202e\u2060-\u206f"  # separators of lines and paragraphs, overrides and isolates of direction
    "\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb"
    "\ud800-\udfff"  # halves of a pair, such as those that represent bytes of a file's name that are no UTF-8
    "\U000e0000-\U000e0fff"  # tags and selectors
    "]"
)
_SPACE = re.compile(r"[ \t\r\n]+")


def printable(text: str) -> str:
    r"""Return text with each character escaped that a terminal would act on or not show, as in ``\x1b`` and ``\u202e``.

    What joins letters and pictures (U+200C, U+200D, U+FE0E, U+FE0F) stays: names in some scripts need it.
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def one_line(text: str) -> str:
    """Return a message as one printable line: its lines and indents are joined by spaces."""
    return printable(_SPACE.sub(" ", text).strip(" "))


def let_streams_show_all() -> None:
    """Let standard output and standard error escape what their encoding does not have, where they would raise."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
