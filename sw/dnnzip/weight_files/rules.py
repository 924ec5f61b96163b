"""Rules that leave a tensor of a weight file as it is: conditions, each with the sentence that the user reads."""

from collections.abc import Callable

from dnnzip.format.array_file import MOST_DIMENSIONS
from dnnzip.quantize.element_type import element_type, type_names
from dnnzip.weight_files.entry import Entry

#: Fewest integers that are compressed.
FEWEST_INTEGERS = 1024


def _has_known_type(entry: Entry) -> bool:
    return entry.dtype is not None and element_type(entry.dtype) is not None


def _is_large(entry: Entry) -> bool:
    element = None if entry.dtype is None else element_type(entry.dtype)
    return element is None or not element.is_integer or entry.size >= FEWEST_INTEGERS


#: Sentences and conditions, in this order; the first that is not met is the reason given.
RULES: tuple[tuple[str, Callable[[Entry], bool]], ...] = (
    (f"Its type must be {type_names()}.", _has_known_type),
    (
        f"It must have two dimensions or more, and at most {MOST_DIMENSIONS}; its channels are those of the first.",
        lambda entry: 2 <= len(entry.shape) <= MOST_DIMENSIONS,
    ),
    ("It must hold at least one weight.", lambda entry: entry.size > 0),
    (f"Integers must be {FEWEST_INTEGERS} or more; fewer are indices or masks rather than weights.", _is_large),
)

IS_SELECTED = "Its name must match a glob of `layers`, where given, and none of `exclude`."
HAS_BOUND = "A bound must be given for its name."
SUITS_UNIT = "Its type must suit the bound: lsb is for integer weights, an absolute or relative error for float ones."

#: Sentences of the rules, in the order in which they are asked.
SENTENCES = (*(sentence for sentence, _ in RULES), IS_SELECTED, HAS_BOUND, SUITS_UNIT)


def broken_rule(entry: Entry) -> str | None:
    """Return the sentence of the first rule that a tensor breaks by what it is, or None."""
    return next((sentence for sentence, is_met in RULES if not is_met(entry)), None)
