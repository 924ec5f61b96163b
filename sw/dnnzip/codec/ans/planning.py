"""The choices of an encoder for the ``ans`` streams of a network: one table set, and a plan for each tensor.

A first pass takes the statistics for the table set. A network of more than ``ALL_TRAINED`` weights is trained on a
sample.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.ans import fast
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.columns import SAMPLED_WEIGHTS, choose_columns
from dnnzip.codec.kernels import OFFSETS
from dnnzip.codec.room import Room
from dnnzip.codec.spec import Draft, Tensors
from dnnzip.codec.statistics import PLANES, Statistics, bins, count, places_for
from dnnzip.codec.tensors import CodecOptions, CodeTensor, RawTensor, parts_of
from dnnzip.codec.training import Floats, assign_classes, best_classes, class_lengths, train, unit_costs
from dnnzip.format import MAX_LOG2_LANES, TableSet

SHORT_CHANNEL = 16
"""Channels of fewer weights share one class: counting each by itself would cost more than it could save."""

LANE_BITS = 30
"""Average cost of a virtual lane in bits: its first state and the rest of its last word."""

BITS_PER_LANE = 3200
"""Bits of a stream for each virtual lane, so that a lane costs less than 1 %; more lanes decode faster."""

ALL_LANES = 1 << 16
"""Streams of at least this many weights get all lanes at any cost: they decide how long a network takes to decode."""

MAX_LANES = 1 << MAX_LOG2_LANES

COLUMN_ROUNDS = 2

SMALL_NETWORK = 1 << 22
SMALL_COLUMN_ROUNDS = 6
PATIENCE = 2
"""Columns and tables take ``SMALL_COLUMN_ROUNDS`` turns on a network of at most ``SMALL_NETWORK`` weights, where a turn
costs little, and end after ``PATIENCE`` turns that saved nothing. The turns after the second save 0.05 to 0.4 % of the
trained networks."""

ALL_TRAINED = 1 << 21
"""Most weights of a network that is trained on all of them."""

SAMPLE = 1 << 20
"""Weights of a larger network that train the table set, in every n-th channel of each tensor."""

TRAINING_BYTES = 1 << 25
"""Most bytes of the histograms of a training before columns, which take up to four times as much. Channels beyond this
size are left out of the training."""

PART_BYTES = 1 << 23
"""Most bytes of the histograms by which one tensor's classes are chosen, outside of a training."""

HISTOGRAM_ITEM = 4
"""Bytes of a count in the histograms of channels."""


@dataclass(frozen=True)
class _Plan:
    """Plan for a tensor: the choices of an ``ans`` stream and its bits."""

    classes: NDArray[np.int64]
    context: bool
    column_shift: int
    column_offsets: tuple[int, ...]
    bits: float


@dataclass(frozen=True)
class _Encoder:
    """Encodes a network; it has plans by position, or none where each tensor is planned as it is encoded.

    ``sampled`` has the plans of tensors whose sample was large enough to choose their columns.
    """

    options: CodecOptions
    table_set: TableSet
    places: int
    plans: dict[int, _Plan]
    sampled: dict[int, _Plan]

    def draft(self, position: int, tensor: CodeTensor) -> Draft:
        """Choose classes, columns and lanes of a tensor."""
        plan = self._plan(position, tensor)
        lanes = 1 << _log2_lanes(tensor.codes, plan.bits, self.options)
        return Draft(partial(_encode, tensor, plan, self.table_set, self.options), plan.bits + lanes * LANE_BITS)

    def _plan(self, position: int, tensor: CodeTensor) -> _Plan:
        if position in self.plans:
            return self.plans[position]
        lengths = class_lengths(self.table_set, self.places)
        return _plan_in_parts(tensor, lengths, self.places, self.sampled.get(position))


def open_encoder(tensors: Tensors, options: CodecOptions) -> _Encoder | None:
    """Look at every tensor once and choose table set and plans; None where no tensor has codes."""
    weights = sum(tensors.sizes)
    every = 1 if weights <= ALL_TRAINED else -(-weights // SAMPLE)

    def look(position: int) -> tuple[CodeTensor, int] | None:
        with tensors.room.take(tensors.sizes[position]):
            tensor = tensors.load(position)
            if isinstance(tensor, RawTensor):
                return None
            return _every(tensor, every), max(map(abs, tensor.extremes))

    seen = {
        position: item
        for position, item in enumerate(tensors.pool.map(look, range(len(tensors.sizes))))
        if item is not None
    }
    if not seen:
        return None
    places = places_for(max(largest for _, largest in seen.values()))
    samples = [sample for sample, _ in seen.values()]
    most, size = max(len(sample.codes) for sample in samples), _training_bytes(samples, places)
    step = 1
    while size > TRAINING_BYTES and step < most:
        step *= 2
        size = _training_bytes([_every(sample, step) for sample in samples], places)
    if every * step > 1 and options.table_set is not None:
        return _Encoder(options, options.table_set, places, {}, {})
    trained = [_every(sample, step) for sample in samples]
    table_set, plans = _choose(trained, places, options)
    if every * step == 1:
        return _Encoder(options, table_set, places, dict(zip(seen, plans, strict=True)), {})
    is_enough = [sample.codes.size >= SAMPLED_WEIGHTS // 2 for sample in trained]
    sampled = {position: plan for position, plan, enough in zip(seen, plans, is_enough, strict=True) if enough}
    return _Encoder(options, table_set, places, {}, sampled)


def _every(tensor: CodeTensor, step: int) -> CodeTensor:
    """Return every ``step``-th channel of a tensor, as an array of its own."""
    return tensor if step == 1 else replace(tensor, codes=np.ascontiguousarray(tensor.codes[::step]))


def _training_bytes(tensors: Sequence[CodeTensor], places: int) -> int:
    units = sum(1 if _is_one_unit(tensor) else tensor.codes.shape[0] for tensor in tensors)
    return int(units * _unit_bytes(places))


def _unit_bytes(places: int) -> int:
    """Return the size of the histograms of one channel, without columns."""
    return PLANES * bins(places) * HISTOGRAM_ITEM


def _is_one_unit(tensor: CodeTensor) -> bool:
    return bool(tensor.codes.shape[1] < SHORT_CHANNEL)


def _choose(tensors: Sequence[CodeTensor], places: int, options: CodecOptions) -> tuple[TableSet, list[_Plan]]:
    """Return the table set and what each tensor makes of it; columns and tables are chosen in turn.

    A turn may lose, as columns are chosen by the sizes of weights alone, so the smallest result of all turns counts.
    """
    is_small = sum(tensor.codes.size for tensor in tensors) <= SMALL_NETWORK
    turns = 1 if options.table_set else SMALL_COLUMN_ROUNDS if is_small else COLUMN_ROUNDS
    with ThreadPoolExecutor(options.jobs) as pool:
        plain = list(pool.map(lambda tensor: count(tensor.codes, tensor.taps, places, _is_one_unit(tensor)), tensors))
        table_set = options.table_set or train(plain, options.log2_states, places)
        lengths = class_lengths(table_set, places)
        best, best_turn, chosen = np.inf, 0, None
        for turn in range(turns):
            statistics = list(
                pool.map(
                    lambda pair, lengths=lengths: choose_columns(pair[0].codes, pair[0].taps, pair[1], lengths, places),
                    zip(tensors, plain, strict=True),
                )
            )
            table_set = options.table_set or train(statistics, options.log2_states, places, known=table_set)
            lengths = class_lengths(table_set, places)
            plans = list(pool.map(lambda item, lengths=lengths: _plan(item, lengths), statistics))
            bits = sum(plan.bits for plan in plans) + 8 * len(table_set.to_bytes())
            if bits < best:
                best, best_turn, chosen = bits, turn, (table_set, plans)
            elif turn - best_turn == PATIENCE:
                break
    assert chosen is not None
    return chosen


def _plan(statistics: Statistics, lengths: Floats) -> _Plan:
    chosen = [(*assign_classes(statistics, lengths, context), context) for context in (True, False)]
    return _cheapest(chosen, statistics.column_shift, statistics.column_offsets)


def _plan_in_parts(tensor: CodeTensor, lengths: Floats, places: int, sampled: _Plan | None) -> _Plan:
    """Do what ``_plan`` does with a tensor that may be too large to be counted at once.

    A sample of its channels chooses the columns, unless one did already; then some channels after the others choose
    their classes.
    """
    codes, one_unit = tensor.codes, _is_one_unit(tensor)
    if sampled is not None:
        shift, offsets = sampled.column_shift, sampled.column_offsets
    else:
        step = 1 if one_unit else max(1, codes.shape[0] * _unit_bytes(places) // PART_BYTES)
        sample = _every(tensor, step)
        plain = count(sample.codes, tensor.taps, places, one_unit)
        statistics = choose_columns(sample.codes, tensor.taps, plain, lengths, places)
        if step == 1:
            return _plan(statistics, lengths)
        shift, offsets = statistics.column_shift, statistics.column_offsets
        del plain, sample, statistics
    rows = max(1, PART_BYTES // (_unit_bytes(places) * (OFFSETS if offsets else 1)))
    if one_unit:
        rows = codes.shape[0]
    costs: dict[bool, list[Floats]] = {True: [], False: []}
    for start in range(0, codes.shape[0], rows):
        part = count(codes[start : start + rows], tensor.taps, places, one_unit, offsets, shift)
        for context, of_parts in costs.items():
            of_parts.append(unit_costs(part, lengths, context))
    chosen = [(*best_classes(np.concatenate(of_parts)), context) for context, of_parts in costs.items()]
    return _cheapest(chosen, shift, offsets)


def _cheapest(
    chosen: Sequence[tuple[NDArray[np.int64], float, bool]], column_shift: int, column_offsets: tuple[int, ...]
) -> _Plan:
    """Return the plan of fewest bits, of classes, bits and use of the context; the first of equal ones."""
    classes, bits, context = min(chosen, key=lambda choice: choice[1])
    return _Plan(classes, context, column_shift, column_offsets, bits)


def _log2_lanes(codes: NDArray[np.int16], bits: float, options: CodecOptions) -> int:
    """Return log2 of the virtual lanes of a stream of ``bits`` bits with these codes, int16 [channels, length]."""
    wanted = options.virtual_lanes or (MAX_LANES if codes.size >= ALL_LANES else max(int(bits / BITS_PER_LANE), 1))
    return int(min(wanted, codes.shape[0], MAX_LANES)).bit_length() - 1


def train_tables(tensors: Sequence[CodeTensor], options: CodecOptions | None = None) -> TableSet:
    """Return the table set that `encode_network` trains for the tensors, which may be of several networks.

    Parameters
    ----------
    tensors
        At least one; each counts by its bits.
    options
        States and threads; a table set in it is not looked at.
    """
    options = replace(options or CodecOptions(), table_set=None)
    sizes = [tensor.codes.size for tensor in tensors]
    with ThreadPoolExecutor(options.jobs) as pool:
        encoder = open_encoder(Tensors(tensors.__getitem__, sizes, Room(max(sizes)), pool), options)
    assert encoder is not None, "tensors have codes"
    return encoder.table_set


def _encode(tensor: CodeTensor, plan: _Plan, table_set: TableSet, options: CodecOptions) -> bytes:
    streams = []
    for part in parts_of(tensor.codes, options.groups):
        codes = tensor.codes[part]
        choices = AnsChoices(
            _log2_lanes(codes, plan.bits * codes.size / tensor.codes.size, options),
            [int(klass) for klass in (plan.classes if plan.classes.size == 1 else plan.classes[part])],
            plan.column_shift,
            plan.column_offsets,
            plan.context,
        )
        streams.append(fast.encode(codes, tensor.taps, table_set, choices))
    return b"".join(streams)
