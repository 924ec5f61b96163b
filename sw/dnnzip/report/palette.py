"""The colours of the report, one table for the page in light and dark and for the figures on paper.

The series are those of Okabe and Ito (Color Universal Design, 2008), which stay apart for colour-blind readers; on the
dark page they are lightened until each has a contrast of at least 4.5 to 1 with the cards. Where colours tell kinds
apart, the shape of the mark does so too.
"""

from typing import NamedTuple


class Colour(NamedTuple):
    """A colour on light ground, which paper has too, and on dark ground; ``#rrggbb`` each."""

    light: str
    dark: str


GROUND = {
    "page": Colour("#f4f6f9", "#0f141b"),
    "card": Colour("#ffffff", "#181f2a"),
    "raised": Colour("#eef2f7", "#222b39"),
    "ink": Colour("#18212f", "#e7ecf3"),
    "muted": Colour("#556173", "#a3b0c2"),
    "line": Colour("#d9dfe8", "#313c4d"),
    "grid": Colour("#e6eaf0", "#2a3442"),
    "accent": Colour("#005a92", "#6cbcf5"),
    "chosen": Colour("#b3261e", "#ff8a80"),
}
"""Surfaces, text and lines by their role."""

SERIES = {
    "plain": Colour("#8a94a3", "#8f9bab"),
    "all": Colour("#0072b2", "#56b4e9"),
    "one": Colour("#d98c00", "#f0b13c"),
    "but": Colour("#009e73", "#35c79b"),
    "group": Colour("#7b5fb2", "#b39ddb"),
    "tuned": Colour("#c1467f", "#f08cbb"),
    "memory": Colour("#0072b2", "#56b4e9"),
    "communication": Colour("#009e73", "#35c79b"),
    "computation": Colour("#e69f00", "#f0b13c"),
    "decompressor": Colour("#d55e00", "#ff8f4d"),
    "leakage": Colour("#8a94a3", "#8f9bab"),
}
"""Colours of the figures' series, by name: kinds of layer sets, then where energy is spent."""

COLOURS = GROUND | SERIES


def variable(name: str) -> str:
    """Return the CSS variable of a colour, in which the page's figures name it."""
    if name not in COLOURS:
        raise KeyError(name)
    return f"var(--{name})"


def style_variables(dark: bool) -> str:
    """Return the declarations of all colours for CSS."""
    return "\n".join(f"  --{name}: {colour.dark if dark else colour.light};" for name, colour in COLOURS.items())
