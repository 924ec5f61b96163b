"""Training of a network's table set: classes of channels and the tables that code them, by alternating assignment.

Each round counts what every class meets in every context, clusters those histograms into tables, and gives each
channel the class that codes it with the fewest bits. All costs are exact code lengths of the tables at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import kernels
from dnnzip.codec.statistics import Statistics, bin_values, code_lengths
from dnnzip.format import (
    CLASS_BITS,
    CLASSES,
    CONTEXTS,
    ESCAPE,
    MAX_TABLES,
    MAX_WEIGHT_BITS,
    SHIFT_BITS,
    TOKEN_ORDER,
    WORD_BITS,
    TableSet,
)

ROUNDS = 8
_TOKENS = -2 * ESCAPE
_ORDER = np.array(TOKEN_ORDER) - ESCAPE

Floats = NDArray[np.float64]


@dataclass
class _Table:
    """A table in training: counts [64] by token - ``ESCAPE``, shift, and bits per bin."""

    counts: NDArray[np.int64]
    shift: int
    lengths: Floats


def train(statistics: Sequence[Statistics], log2_states: int, fine: int) -> TableSet:
    """Return a table set for the tensors that were counted, with as many tables as pay for themselves.

    Parameters
    ----------
    statistics
        One per tensor, at least one.
    log2_states
        log2 of the number of states.
    fine
        ``fine_values`` of the network.
    """
    classes = _first_classes(statistics, fine)
    tables: list[_Table] = []
    class_map = np.zeros((CLASSES, CONTEXTS), np.int64)
    for _ in range(ROUNDS):
        groups = _group_histograms(statistics, classes)
        tables, class_map = _cluster(groups, log2_states, fine, MAX_TABLES, tables, class_map)
        lengths = np.stack([table.lengths for table in tables])[class_map]
        classes = [assign_classes(item, lengths, context=True)[0] for item in statistics]
    groups = _group_histograms(statistics, classes)
    tables, class_map = _fewest_bits(groups, log2_states, fine, tables, class_map)
    return _to_table_set(tables, class_map, log2_states)


def class_lengths(table_set: TableSet, fine: int) -> Floats:
    """Return the bits of each bin by class and context: float64 [``CLASSES``, ``CONTEXTS``, bins]."""
    lengths = []
    for counts, shift in zip(table_set.counts, table_set.shifts, strict=True):
        by_token = np.zeros(_TOKENS)
        by_token[_ORDER] = counts
        lengths.append(code_lengths(by_token, shift, table_set.states, fine))
    result: Floats = np.stack(lengths)[np.array(table_set.class_map)]
    return result


def unit_costs(statistics: Statistics, lengths: Floats, context: bool) -> Floats:
    """Return the bits of every unit of a tensor in every class: float64 [units, ``CLASSES``].

    ``lengths`` is what ``class_lengths`` gives; without ``context`` all weights use the first context's tables.
    """
    units, groups = statistics.histogram.shape[:2]
    costs = np.zeros((units, CLASSES))
    for group in range(groups):
        shifted = lengths[np.minimum(np.arange(CLASSES) + group, CLASSES - 1)]
        if context:
            counts = statistics.histogram[:, group, :CONTEXTS]
        else:
            counts = statistics.histogram[:, group, CONTEXTS:]
            shifted = shifted[:, :1]
        finite = np.where(np.isinf(shifted), 1e9, shifted).reshape(CLASSES, -1)
        costs += counts.reshape(units, -1).astype(np.float64) @ finite.T
    return costs


def assign_classes(statistics: Statistics, lengths: Floats, context: bool) -> tuple[NDArray[np.int64], float]:
    """Return the best class of each unit, int64 [units] or [1], and the bits of the tensor with them.

    One class for the whole tensor is chosen where a class per channel does not earn its 3 bits.
    """
    costs = unit_costs(statistics, lengths, context)
    best: NDArray[np.int64] = costs.argmin(axis=1)
    apart = float(costs.min(axis=1).sum()) + (CLASS_BITS * best.size if best.size > 1 else 0)
    together = costs.sum(axis=0)
    if float(together.min()) <= apart:
        return np.array([together.argmin()], np.int64), float(together.min())
    return best, apart


def _first_classes(statistics: Sequence[Statistics], fine: int) -> list[NDArray[np.int64]]:
    """Return classes by the scale of each unit, as many weights in each, smallest scale first."""
    sizes = np.abs(bin_values(fine) + 0.5)
    scales, weights = [], []
    for item in statistics:
        plain = item.histogram[:, :, CONTEXTS].sum(axis=1).astype(np.float64)
        number = plain.sum(axis=1)
        scales.append(np.log(plain @ sizes / number))
        weights.append(number)
    everything = np.concatenate(scales)
    order = everything.argsort(kind="stable")
    share = np.concatenate(weights)[order].cumsum()
    share /= share[-1]
    class_of = np.empty(order.size, np.int64)
    class_of[order] = np.minimum((share * CLASSES).astype(np.int64), CLASSES - 1)
    edges = np.cumsum([scale.size for scale in scales])[:-1]
    return np.split(class_of, edges)


def _group_histograms(statistics: Sequence[Statistics], classes: Sequence[NDArray[np.int64]]) -> Floats:
    """Return what each class meets in each context: float64 [``CLASSES``, ``CONTEXTS``, bins]."""
    width = statistics[0].histogram.shape[-1]
    result = np.zeros((CLASSES, CONTEXTS, width))
    for item, of_units in zip(statistics, classes, strict=True):
        units = np.broadcast_to(of_units, item.histogram.shape[:1])
        for group in range(item.histogram.shape[1]):
            target = np.minimum(units + group, CLASSES - 1)
            for klass in np.unique(target):
                result[klass] += item.histogram[target == klass, group, :CONTEXTS].sum(axis=0, dtype=np.float64)
    return result


def _cluster(
    groups: Floats,
    log2_states: int,
    fine: int,
    most: int,
    tables: list[_Table],
    class_map: NDArray[np.int64],
) -> tuple[list[_Table], NDArray[np.int64]]:
    """Return at most ``most`` tables for the groups, and which group uses which."""
    flat = groups.reshape(-1, groups.shape[-1])
    if not tables:
        used = np.flatnonzero(flat.sum(axis=1))
        # The first tables take the contexts of a class together, as many groups each.
        number = np.zeros(len(flat), np.int64)
        number[used] = np.arange(used.size) * most // used.size
        assignment = number
    else:
        assignment = class_map.reshape(-1).copy()
    best: list[_Table] = []
    for _ in range(4):
        best = [
            _make_table(flat[assignment == table].sum(axis=0), log2_states, fine) for table in np.unique(assignment)
        ]
        costs = _group_costs(flat, best)
        assignment = costs.argmin(axis=1)
    return best, assignment.reshape(groups.shape[:2])


def _group_costs(flat: Floats, tables: Sequence[_Table]) -> Floats:
    lengths = np.stack([table.lengths for table in tables])
    result: Floats = flat @ np.where(np.isinf(lengths), 1e9, lengths).T
    return result


def _make_table(histogram: Floats, log2_states: int, fine: int) -> _Table:
    """Return the table, over all shifts, that codes the histogram with the fewest bits."""
    best: _Table | None = None
    best_cost = np.inf
    for shift in range(min((1 << SHIFT_BITS) - 1, MAX_WEIGHT_BITS - log2_states) + 1):
        counts = _normalise(_token_histogram(histogram, shift, fine), 1 << log2_states)
        lengths = code_lengths(counts.astype(np.float64), shift, 1 << log2_states, fine)
        cost = float(histogram @ np.where(np.isinf(lengths), 1e9, lengths))
        if cost < best_cost:
            best, best_cost = _Table(counts, shift, lengths), cost
        elif cost > 1.1 * best_cost:
            break
    assert best is not None
    return best


def _token_histogram(histogram: Floats, shift: int, fine: int) -> Floats:
    """Return how often each token occurs at a shift: float64 [64] by token - ``ESCAPE``."""
    tokens = bin_values(fine) >> shift
    tokens = np.where(np.abs(tokens) < -ESCAPE, tokens, ESCAPE)
    return np.asarray(np.bincount(tokens - ESCAPE, weights=histogram, minlength=_TOKENS), np.float64)


def _normalise(tokens: Floats, states: int) -> NDArray[np.int64]:
    """Return counts that add up to ``states`` and code the tokens with few bits.

    Every table keeps an escape. A token stays out, to be escaped, where its share of a state costs the other tokens
    more than its escapes would.
    """
    tokens = tokens.copy()
    total = tokens.sum()
    # A count of 1 costs all others total / states / ln 2 bits together; an escape costs about 16 more than it.
    rare = (tokens > 0) & (tokens * WORD_BITS < total / states / np.log(2))
    rare[0] = False
    tokens[0] += tokens[rare].sum()
    tokens[rare] = 0
    kept = tokens > 0
    kept[0] = True
    if not total:
        kept[-ESCAPE] = True
    ideal = tokens * (states / total) if total else kept * (states / kept.sum())
    counts = np.where(kept, np.maximum(np.rint(ideal), 1), 0).astype(np.int64)
    if not kept[1:].any():
        counts[-ESCAPE] = 1
    kernels.settle_counts(np.maximum(tokens, 1e-9), counts, states)
    return counts


def _fewest_bits(
    groups: Floats, log2_states: int, fine: int, tables: list[_Table], class_map: NDArray[np.int64]
) -> tuple[list[_Table], NDArray[np.int64]]:
    """Merge tables, the cheapest pair first, and return the set whose codes and description are smallest together."""
    flat = groups.reshape(-1, groups.shape[-1])
    assignment = class_map.reshape(-1).copy()
    best = (np.inf, tables, assignment)
    while True:
        costs = _group_costs(flat, tables)
        assignment = costs.argmin(axis=1)
        number = np.unique(assignment)
        tables = [tables[index] for index in number]
        assignment = np.searchsorted(number, assignment)
        shaped = assignment.reshape(class_map.shape)
        total = float(_group_costs(flat, tables).min(axis=1).sum())
        total += 8 * len(_to_table_set(tables, shaped, log2_states).to_bytes())
        if total < best[0]:
            best = (total, tables, assignment)
        if len(tables) == 1:
            return best[1], best[2].reshape(class_map.shape)
        sums = [flat[assignment == table].sum(axis=0) for table in range(len(tables))]
        alone = [float(total_of @ table.lengths) for total_of, table in zip(sums, tables, strict=True)]
        cheapest: tuple[float, int, int, _Table] | None = None
        for left in range(len(tables)):
            for right in range(left + 1, len(tables)):
                both = sums[left] + sums[right]
                merged = _make_table(both, log2_states, fine)
                harm = float(both @ merged.lengths) - alone[left] - alone[right]
                if cheapest is None or harm < cheapest[0]:
                    cheapest = (harm, left, right, merged)
        assert cheapest is not None
        _, left, right, merged = cheapest
        tables = [table for index, table in enumerate(tables) if index not in (left, right)] + [merged]


def _to_table_set(tables: Sequence[_Table], class_map: NDArray[np.int64], log2_states: int) -> TableSet:
    return TableSet(
        log2_states,
        tuple(tuple(int(table) for table in row) for row in class_map),
        tuple(table.shift for table in tables),
        tuple(tuple(int(count) for count in table.counts[_ORDER]) for table in tables),
    )
