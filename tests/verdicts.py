"""Counts what the tests compare, for ``pytest --verdicts``: verdicts by decoder, proofs and planted bugs.

A verdict is a stream or table set that a decoder was asked about, and a proof one run of the prover, planted bugs
included. With several processes the numbers of all are added up.
"""

import functools
import importlib
from collections import Counter

#: Module, function within it, what it is a verdict of, and how many it returns at once.
COUNTED = (
    ("dnnzip.codec.reference", "decode", "reference", lambda _: 1),
    ("dnnzip.codec.fast", "decode", "fast", lambda _: 1),
    ("dnnzip_sim.harness", "_read_results", "RTL in Verilator", lambda passage: len(passage.ended)),
    ("dnnzip_sim.formal.prover", "prove", "proofs", lambda _: 1),
)

counts = Counter()


def count(decoder, number):
    """Count verdicts of a decoder that is asked by a helper of the tests."""
    counts[decoder] += number


def install():
    """Count from here on; modules that import the functions by name must come later."""
    for module_name, name, decoder, size in COUNTED:
        module = importlib.import_module(module_name)
        setattr(module, name, _counting(getattr(module, name), decoder, size))


def _counting(function, decoder, size):
    @functools.wraps(function)
    def call(*arguments, **options):
        found = function(*arguments, **options)
        counts[decoder] += size(found)
        return found

    return call


def lines():
    """Yield the counts as lines."""
    for decoder, number in sorted(counts.items()):
        yield f"{decoder}: {number:,}"
