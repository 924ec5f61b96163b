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
    TableSet,
    stream_bytes,
    table_bits,
)

ROUNDS = 8
"""Most rounds of a training; it ends where a round saves less than ``WORTHWHILE`` of the bits."""

WORTHWHILE = 2e-5

CLUSTER_ROUNDS = 4
_TOKENS = -2 * ESCAPE
_ORDER = np.array(TOKEN_ORDER) - ESCAPE

Floats = NDArray[np.float64]


@dataclass(eq=False)
class _Table:
    """A table in training: counts [64] by token - ``ESCAPE``, shift, and bits per bin."""

    counts: NDArray[np.int64]
    shift: int
    lengths: Floats
    _description_bits: int = 0

    def description_bits(self, log2_states: int) -> int:
        """Return the bits that it takes in a table set stream."""
        if not self._description_bits:
            self._description_bits = table_bits(self.counts[_ORDER].tolist(), log2_states)
        return self._description_bits


def train(statistics: Sequence[Statistics], log2_states: int, places: int, known: TableSet | None = None) -> TableSet:
    """Return a table set for the tensors that were counted, with as many tables as pay for themselves.

    Alternating assignment ends in a local optimum, so the smallest of several starts is taken.

    Parameters
    ----------
    statistics
        One per tensor, at least one.
    places
        ``places_for`` the network.
    known
        A set that suits the tensors already; its classes are one of the starts.
    """
    starts = [_first_classes(statistics, places)]
    if known is not None:
        starts.append(_assign(statistics, class_lengths(known, places))[0])
    trained = [_train_from(classes, statistics, log2_states, places) for classes in starts]
    return min(trained, key=lambda result: result[0])[1]


def _train_from(
    classes: list[NDArray[np.int64]], statistics: Sequence[Statistics], log2_states: int, places: int
) -> tuple[float, TableSet]:
    """Return the bits of everything, and the table set trained from these classes."""
    tables: list[_Table] = []
    assignment = np.zeros(CLASSES * CONTEXTS, np.int64)
    before = np.inf
    for _ in range(ROUNDS):
        groups = _Groups(_group_histograms(statistics, classes), log2_states, places)
        tables, assignment = _cluster(groups, MAX_TABLES, tables, assignment)
        lengths = np.stack([table.lengths for table in tables])
        classes, bits = _assign(statistics, lengths[assignment.reshape(CLASSES, CONTEXTS)])
        if bits > before * (1 - WORTHWHILE):
            break
        before = bits
    groups = _Groups(_group_histograms(statistics, classes), log2_states, places)
    bits, tables, assignment = _fewest_bits(groups, log2_states, tables, assignment)
    return bits, _to_table_set(tables, assignment.reshape(CLASSES, CONTEXTS), log2_states)


def _assign(statistics: Sequence[Statistics], lengths: Floats) -> tuple[list[NDArray[np.int64]], float]:
    """Return the classes of each tensor's units, and the bits of all."""
    assigned = [assign_classes(item, lengths, context=True) for item in statistics]
    return [classes for classes, _ in assigned], sum(bits for _, bits in assigned)


def class_lengths(table_set: TableSet, places: int) -> Floats:
    """Return the bits of each bin by class and context: float64 [``CLASSES``, ``CONTEXTS``, bins]."""
    lengths = []
    for counts, shift in zip(table_set.counts, table_set.shifts, strict=True):
        by_token = np.zeros(_TOKENS)
        by_token[_ORDER] = counts
        lengths.append(code_lengths(by_token, shift, table_set.states, places))
    result: Floats = np.stack(lengths)[np.array(table_set.class_map)]
    return result


def unit_costs(statistics: Statistics, lengths: Floats, context: bool) -> Floats:
    """Return the bits of every unit of a tensor in every class: float64 [units, ``CLASSES``].

    Parameters
    ----------
    statistics
        The tensor's histograms; a unit is a channel, or the whole tensor.
    lengths
        float64 [``CLASSES``, ``CONTEXTS``, bins]: result of ``class_lengths``.
    context
        False where all weights use the first context's tables.
    """
    used = lengths if context else lengths[:, :1]
    # [contexts, bins, classes].
    finite = np.ascontiguousarray(np.where(np.isinf(used), 1e9, used).transpose(1, 2, 0))
    costs = np.zeros((len(statistics.histogram), CLASSES))
    kernels.unit_costs(statistics.histogram, finite, 0 if context else CONTEXTS, costs, np.zeros(CLASSES))
    return costs


def assign_classes(statistics: Statistics, lengths: Floats, context: bool) -> tuple[NDArray[np.int64], float]:
    """Return the best class of each unit, int64 [units] or [1], and the bits of the tensor with them.

    One class for the whole tensor is chosen where a class per channel does not earn its 3 bits.
    """
    return best_classes(unit_costs(statistics, lengths, context))


def best_classes(costs: Floats) -> tuple[NDArray[np.int64], float]:
    """Return the result of ``assign_classes``, from the bits of each unit in each class."""
    best: NDArray[np.int64] = costs.argmin(axis=1)
    apart = float(costs.min(axis=1).sum()) + (CLASS_BITS * best.size if best.size > 1 else 0)
    together = costs.sum(axis=0)
    if float(together.min()) <= apart:
        return np.array([together.argmin()], np.int64), float(together.min())
    return best, apart


def _first_classes(statistics: Sequence[Statistics], places: int) -> list[NDArray[np.int64]]:
    """Return classes by the scale of each unit, as many weights in each, smallest scale first."""
    sizes = np.abs(bin_values(places) + 0.5)
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
    """Return the histogram of each class in each context: float64 [``CLASSES``, ``CONTEXTS``, bins]."""
    width = statistics[0].histogram.shape[-1]
    result = np.zeros((CLASSES, CONTEXTS, width))
    for item, of_units in zip(statistics, classes, strict=True):
        kernels.add_histograms(item.histogram, of_units, result)
    return result


class _Groups:
    """Histograms [``CLASSES``, ``CONTEXTS``, bins], and the tables of sets of these groups, each made once."""

    def __init__(self, histograms: Floats, log2_states: int, places: int) -> None:
        self.flat = histograms.reshape(-1, histograms.shape[-1])
        self._log2_states = log2_states
        self._places = places
        self._made: dict[bytes, tuple[_Table, float]] = {}
        self._costs: dict[_Table, Floats] = {}

    def table(self, members: NDArray[np.bool_]) -> tuple[_Table, float]:
        """Return the table that codes these groups with the fewest bits, and the bits."""
        key = members.tobytes()
        if key not in self._made:
            total = self.flat[members].sum(axis=0)
            table = _make_table(total, self._log2_states, self._places)
            self._made[key] = table, float(total @ table.lengths)
        return self._made[key]

    def costs(self, tables: Sequence[_Table]) -> Floats:
        """Return the bits of each group in each table: float64 [tables, groups]."""
        for table in tables:
            if table not in self._costs:
                self._costs[table] = self.flat @ np.where(np.isinf(table.lengths), 1e9, table.lengths)
        return np.stack([self._costs[table] for table in tables])


def _cluster(
    groups: _Groups, most: int, tables: list[_Table], assignment: NDArray[np.int64]
) -> tuple[list[_Table], NDArray[np.int64]]:
    """Return at most ``most`` tables for the groups, and which group uses which."""
    if not tables:
        used = np.flatnonzero(groups.flat.sum(axis=1))
        # The first tables take the contexts of a class together, as many groups each.
        assignment = np.zeros(len(groups.flat), np.int64)
        assignment[used] = np.arange(used.size) * most // used.size
    best: list[_Table] = []
    for _ in range(CLUSTER_ROUNDS):
        best = [groups.table(assignment == table)[0] for table in np.unique(assignment)]
        assignment = groups.costs(best).argmin(axis=0)
    return best, assignment


def _make_table(histogram: Floats, log2_states: int, places: int) -> _Table:
    """Return the table, over all shifts, that codes the histogram with the fewest bits.

    Every table keeps an escape.
    """
    most = min((1 << SHIFT_BITS) - 1, MAX_WEIGHT_BITS - log2_states)
    counts = np.zeros(_TOKENS, np.int64)
    room = (np.zeros(_TOKENS, np.int64), np.zeros(_TOKENS), np.zeros(_TOKENS))
    shift = kernels.best_table(histogram, bin_values(places), 1 << log2_states, most, counts, *room)
    return _Table(counts, shift, code_lengths(counts.astype(np.float64), shift, 1 << log2_states, places))


def _fewest_bits(
    groups: _Groups, log2_states: int, tables: list[_Table], assignment: NDArray[np.int64]
) -> tuple[float, list[_Table], NDArray[np.int64]]:
    """Merge tables, the cheapest pair first; return the bits and the set that is smallest with its description."""
    best = (np.inf, tables, assignment)
    while True:
        costs = groups.costs(tables)
        assignment = costs.argmin(axis=0)
        total = float(costs.min(axis=0).sum())
        number = np.unique(assignment)
        tables, costs = [tables[index] for index in number], costs[number]
        assignment = np.searchsorted(number, assignment)
        total += 8 * stream_bytes([table.description_bits(log2_states) for table in tables])
        if total < best[0]:
            best = (total, tables, assignment)
        if len(tables) == 1:
            return best
        members = [assignment == table for table in range(len(tables))]
        alone = [float(of_table[own].sum()) for of_table, own in zip(costs, members, strict=True)]
        cheapest: tuple[float, int, int, _Table] | None = None
        for left in range(len(tables)):
            for right in range(left + 1, len(tables)):
                merged, bits = groups.table(members[left] | members[right])
                harm = bits - alone[left] - alone[right]
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
