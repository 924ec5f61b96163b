"""The output of a network that holds its scores, chosen by types and shapes.

Exported classifiers often have other outputs: the label (an integer, or a float, for each sample), probabilities as
maps, a second head. Only an output with a number for each sample and class says how sure the network is of each class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dnnzip.errors import InputError, field_name

#: Element types of scores. Networks of 8 bits return integers; labels and positions are int64.
SCORE_TYPES = ("float", "float16", "double", "int8", "uint8", "int16", "uint16", "int32")

#: The option, and the argument in Python, that names an output.
OPTION = field_name("output")

#: Outputs that a message lists.
LISTED = 8

SCORES = "scores are numbers of the shape [samples, classes], with 2 classes or more"

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Output:
    """An output of a network, with its shapes for some numbers of samples."""

    name: str
    kind: str  # its type, ``float`` or ``int64`` for tensors, ``seq(...)`` for others
    samples: tuple[int, ...]  # each number of samples that was tried
    shapes: tuple[Shape, ...]  # the shape for each of them; none for what is no tensor
    sorted: bool = False  # its values are in order of size, as TopK leaves them, so that their positions are no classes

    @property
    def holds_scores(self) -> bool:
        """Return True if there is a number for each sample and class."""
        classes = {_classes(shape, samples) for shape, samples in zip(self.shapes, self.samples, strict=False)}
        return self.kind in SCORE_TYPES and not self.sorted and len(classes) == 1 and min(classes) > 1

    @property
    def text(self) -> str:
        """Name, type and shape, for messages."""
        order = ", sorted by TopK" if self.sorted else ""
        return f"{self.name!r} {self.kind}{self._shape()}{order}"

    def _shape(self) -> str:
        if not self.shapes:
            return ""
        if len({len(shape) for shape in self.shapes}) > 1:
            return f" {list(self.shapes[0])}"
        sizes = list(zip(*self.shapes, strict=True))
        return f" [{', '.join(self._size(position, size) for position, size in enumerate(sizes))}]"

    def _size(self, position: int, sizes: tuple[int, ...]) -> str:
        # A single try cannot tell samples from another dimension of the same size.
        if sizes == self.samples and (position == 0 or len(sizes) > 1):
            return "samples"
        return str(sizes[0]) if len(set(sizes)) == 1 else "any"


def _classes(shape: Shape, samples: int) -> int:
    """Return the classes of a shape [samples, classes], which may have ones behind the samples; 0 of another shape."""
    if len(shape) < 2 or shape[0] != samples:
        return 0
    rest = [size for size in shape[1:] if size != 1]
    return rest[0] if len(rest) == 1 else 0


def choose_output(outputs: Sequence[Output], asked: str | None, where: str, option: str = OPTION) -> str:
    """Return the name of the output that holds the scores.

    Parameters
    ----------
    outputs
        All outputs of the network.
    asked
        The one that the user names; None takes the only one of such a type and shape.
    where
        The model file, for messages.
    option
        The option that names an output, for messages.

    Raises
    ------
    InputError
        No output is such, several are and none is named, or the named one is not.
    """
    if asked is not None:
        found = next((output for output in outputs if output.name == asked), None)
        if found is None:
            raise InputError(f"{option} {asked!r}", f"{where} has no such output", f"it has {_listed(outputs)}")
        if not found.holds_scores:
            raise InputError(f"{option} {asked!r}", f"{where} gives no scores there: {found.text}", SCORES)
        return asked
    suitable = [output for output in outputs if output.holds_scores]
    if not suitable:
        raise InputError(
            where, f"has no output of scores among {_listed(outputs)}", f"{SCORES}; {option} NAME names them"
        )
    if len(suitable) > 1:
        raise InputError(
            where,
            f"has {len(suitable)} outputs that may be its scores: {_listed(suitable)}",
            f"name one: {option} NAME",
        )
    return suitable[0].name


def _listed(outputs: Sequence[Output]) -> str:
    more = f" and {len(outputs) - LISTED} more" if len(outputs) > LISTED else ""
    return ", ".join(output.text for output in outputs[:LISTED]) + more
