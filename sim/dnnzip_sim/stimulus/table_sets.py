"""Random table sets of every size, with counts of every distribution."""

import random
from collections.abc import Collection, Mapping, Sequence

from dnnzip.format import (
    CLASSES,
    CONTEXTS,
    ESCAPE,
    MAX_LOG2_STATES,
    MAX_TABLES,
    MAX_WEIGHT_BITS,
    MIN_LOG2_STATES,
    TOKEN_ORDER,
    Limits,
    TableSet,
)

DISTRIBUTIONS = ("falling", "bell", "uneven", "even", "few tokens", "one token")
"""Distributions of a table's counts; a ``falling`` one has a count for every allowed token, to code them all."""


def tokens_up_to(largest: int, *, escape: bool = True) -> tuple[int, ...]:
    """Return the tokens from ``-largest`` to ``largest``, and the escape if asked for."""
    return tuple(token for token in TOKEN_ORDER if (escape if token == ESCAPE else abs(token) <= largest))


def random_table_set(
    rng: random.Random,
    *,
    log2_states: int = 8,
    tables: int = 2,
    shifts: Sequence[int] = (0,),
    tokens: Sequence[int] = TOKEN_ORDER,
) -> TableSet:
    """Return a set of random tables that can code all of ``tokens`` and no others.

    Parameters
    ----------
    rng
        Source of randomness.
    log2_states, tables
        As in ``TableSet``.
    shifts
        From which a table's shift is drawn.
    tokens
        Of every table.
    """
    counts = tuple(_random_counts(rng, "falling", 1 << log2_states, tokens) for _ in range(tables))
    return TableSet(log2_states, _class_map(rng, tables), tuple(rng.choice(shifts) for _ in range(tables)), counts)


def any_table_set(
    rng: random.Random, limits: Limits | None = None, tables: int | None = None, log2_states: int | None = None
) -> TableSet:
    """Return a set of any distribution that a decoder with these limits takes; some declare a foreign id.

    Parameters
    ----------
    rng
        Source of randomness.
    limits
        Of the decoder.
    tables, log2_states
        As in ``TableSet``; random where not given.
    """
    limits = limits or Limits()
    log2_states = log2_states or rng.randrange(MIN_LOG2_STATES, min(limits.log2_states, MAX_LOG2_STATES) + 1)
    tables = tables or rng.choice((1, 1, 2, 3, rng.randrange(1, MAX_TABLES + 1)))
    deepest = rng.randrange(min(limits.low_bits, MAX_WEIGHT_BITS - log2_states) + 1)
    shared = rng.choice((None, *DISTRIBUTIONS))
    widest = (1 << limits.code_bits - 1) - 1 >> deepest  # a token above would be no code of the decoder's
    tokens = tokens_up_to(min(widest, rng.choice((0, 1, 2, 8, 31, 31))), escape=rng.random() < 0.9)
    return TableSet(
        log2_states,
        _class_map(rng, tables),
        tuple(rng.randrange(deepest + 1) for _ in range(tables)),
        tuple(
            _random_counts(rng, shared or rng.choice(DISTRIBUTIONS), 1 << log2_states, tokens) for _ in range(tables)
        ),
        rng.randrange(1 << 16) if rng.random() < 0.2 else None,
    )


def single_token(token: int, *, log2_states: int = 8, shift: int = 0) -> TableSet:
    """Return a set with one table that has ``token`` alone, whose state takes no bits."""
    counts = tuple((1 << log2_states) * int(other == token) for other in TOKEN_ORDER)
    return TableSet(log2_states, ((0,) * CONTEXTS,) * CLASSES, (shift,), (counts,))


def _class_map(rng: random.Random, tables: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(rng.randrange(tables) for _ in range(CONTEXTS)) for _ in range(CLASSES))


def _random_counts(
    rng: random.Random, distribution: str, states: int, tokens: Sequence[int] = TOKEN_ORDER
) -> tuple[int, ...]:
    """Return counts of some of ``tokens`` that add up to ``states``."""
    match distribution:
        case "falling":
            decay = rng.uniform(0.6, 1.0)
            return _shared_out(rng, {token: rng.random() * decay**n for n, token in enumerate(tokens)}, states, tokens)
        case "bell":
            spread = rng.choice((0.2, 0.5, 1, 2, 4, 8))
            shares = {token: 2.0 ** (-abs(token) / spread) * rng.uniform(0.7, 1.3) for token in tokens}
            if ESCAPE in shares:
                shares[ESCAPE] = rng.choice((0.0, 0.002, 0.02, 0.2)) if len(shares) > 1 else 1.0
            return _shared_out(rng, shares, states, (ESCAPE,) if shares.get(ESCAPE) else ())
        case "uneven":
            return _shared_out(rng, {token: rng.random() ** 3 for token in tokens}, states)
        case "even":
            return _shared_out(rng, dict.fromkeys(tokens, 1.0), states)
        case "few tokens":
            some = rng.choices(tokens, k=rng.randrange(2, 6))
            return _shared_out(rng, {token: rng.random() for token in some}, states)
        case _:
            return _shared_out(rng, {rng.choice(tokens): 1.0}, states)


def _shared_out(
    rng: random.Random, shares: Mapping[int, float], states: int, least: Collection[int] = ()
) -> tuple[int, ...]:
    """Share the states out; each token in ``least`` gets one at least, and any one gets what is left."""
    total, spare = sum(shares.values()), states - len(least)
    counts = {token: int(token in least) + int(spare * share / total) for token, share in shares.items()}
    counts[rng.choice([token for token, share in shares.items() if share])] += states - sum(counts.values())
    return tuple(counts.get(token, 0) for token in TOKEN_ORDER)
