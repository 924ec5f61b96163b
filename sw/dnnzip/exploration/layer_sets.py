"""Sets of layers that are compressed together: the words of ``--layers`` and the sets of weights that they name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dnnzip.errors import InputError, field_name
from dnnzip.onnx.weights import Weight

RIGHT = "give all, each, all-but-one, largest, largest:N, or globs on initializer names, several of them joined by +"


@dataclass(frozen=True)
class LayerSet:
    """Layers that are compressed together."""

    label: str  # for the reader
    names: tuple[str, ...]  # names of their weights, in the network's order


def layer_sets(words: Sequence[str], weights: Sequence[Weight], option: str = field_name("layers")) -> list[LayerSet]:
    """Return the sets that words name; of equal sets the first.

    Parameters
    ----------
    words
        ``all``; ``each`` layer alone; ``all-but-one``, a set for each layer; ``largest``, the layer with the most
        weights, or ``largest:N``, the N largest; globs on the names, joined by ``+``. A layer's whole name means that
        layer.
    weights
        The weights that can be compressed.
    option
        For messages.

    Raises
    ------
    InputError
        A glob matches no weight that can be compressed, or N is not from 1 to their number.
    """
    found: dict[tuple[str, ...], LayerSet] = {}
    for word in words:
        for layers in _sets_of(word, weights, option):
            found.setdefault(layers.names, layers)
    return list(found.values())


def _sets_of(word: str, weights: Sequence[Weight], option: str) -> list[LayerSet]:
    names = tuple(weight.name for weight in weights)
    number = re.fullmatch(r"largest(?::(.*))?", word)
    if word in names:
        return [LayerSet(word, (word,))]
    if word == "all":
        return [LayerSet("all", names)]
    if word == "each":
        return [LayerSet(name, (name,)) for name in names]
    if word == "all-but-one":
        rest = [LayerSet(f"all but {name}", tuple(other for other in names if other != name)) for name in names]
        return [layers for layers in rest if layers.names]
    if number:
        return [_largest(word, "1" if number[1] is None else number[1], weights, option)]
    chosen: set[str] = set()
    for glob in word.split("+"):
        matching = {name for name in names if name == glob or fnmatchcase(name, glob)}
        if not matching:
            raise InputError(f"{option} {word!r}", f"{glob!r} matches no weight that can be compressed", RIGHT)
        chosen |= matching
    return [LayerSet(word, tuple(name for name in names if name in chosen))]


def _largest(word: str, number: str, weights: Sequence[Weight], option: str) -> LayerSet:
    count = int(number) if number.isascii() and number.isdecimal() else 0
    if not 1 <= count <= len(weights):
        raise InputError(f"{option} {word!r}", f"{number!r} is no number of layers", f"give 1 to {len(weights)}")
    # Of equally large ones the first.
    largest = sorted(weights, key=lambda weight: -weight.weights)[:count]
    kept = {weight.name for weight in largest}
    return LayerSet(word.replace(":", " "), tuple(weight.name for weight in weights if weight.name in kept))
