# The types in these loops are Numba's, which mypy does not know.
# mypy: disable-error-code="arg-type,assignment,call-overload,index,no-any-return,operator,return-value"
"""The compiled loops over the codes of whole tensors: histograms, costs and the making of tables.

Where they can, loops are made so that the compiler turns them into vector code: over all lanes or along a channel, with
nothing but arithmetic on small integers in them. Numba computes with 64 bits unless it is told otherwise at each step,
hence the many casts; it drops the test for a negative index where the index is unsigned. Look-ups and what is in order
by its nature stand in short loops of their own.
"""

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.compiling import inlined, loop, mark_compilation
from dnnzip.format import COLUMN_OFFSET_BITS, CONTEXTS, ESCAPE, WORD_BITS

TOKEN_COUNT = -2 * ESCAPE
_LIMIT = -ESCAPE

SITUATIONS = 2 * CONTEXTS
"""Contexts of weights that are coded as they are, then of those that are negated."""

OFFSETS = 1 << COLUMN_OFFSET_BITS

FINE = 256
"""Codes up to this size have a bin each."""
COARSE_STEP = 16
COARSE_LIMIT = 4096
COARSE = (COARSE_LIMIT - FINE) // COARSE_STEP
"""Bins of ``COARSE_STEP`` codes on each side, up to ``COARSE_LIMIT``."""

mark_compilation()


def neighbour_masks(length: int, kernel: tuple[int, int], use_context: bool = True) -> tuple[NDArray[np.int8], int]:
    """Return masks of the positions that have a first and a second neighbour, and how far back the second one is.

    Masks are int8 [2, length], all bits set or none, and none without ``use_context``; ``kernel`` is the height and the
    width of a channel's taps.
    """
    height, width = kernel
    taps = height * width
    place = np.arange(length)
    masks = np.zeros((2, length), np.int8)
    if use_context:
        masks[0, place >= 1 if taps == 1 else place % taps % width > 0] = -1
        masks[1, place >= 2 if taps == 1 else place % taps >= width] = -1
    return masks, 2 if taps == 1 else width


@loop
def place_of(size: int) -> int:
    """Return the place of a code's bin on its side, by its size (of a negative code, -1 - code)."""
    if size < FINE:
        return size
    if size < COARSE_LIMIT:
        return FINE + (size - FINE) // COARSE_STEP
    return FINE + COARSE


@loop
def bin_of(code: int, places: int) -> int:
    """Return the bin of a code, counted from 0 at the lowest; ``places`` is the number of bins on each side."""
    place = place_of(code if code >= 0 else -code - 1)
    return places + place if code >= 0 else places - 1 - place


def counter_room(
    offsets: NDArray[np.uint8], back: int, groups: int, bins: int
) -> tuple[NDArray[np.int16], NDArray[np.int8], NDArray[np.uint8], NDArray[np.uint16], NDArray[np.int32]]:
    """Return the arrays in which ``count_codes`` works.

    ``offsets`` is the column offset of each position, ``groups`` their number in the histogram, ``bins`` that of its
    bins; ``back`` is that of ``neighbour_masks``. The first array says where the counts of a position's column offset
    begin, and in them the bin of code 0; the others are room to work in.
    """
    length = offsets.size
    return (
        offsets.astype(np.int16) * np.int16(SITUATIONS * bins) + np.int16(bins // 2),
        np.zeros(length + back, np.int8),
        np.zeros(length, np.uint8),
        np.zeros(length, np.uint16),
        np.zeros((groups, SITUATIONS, bins), np.int32),
    )


@loop
def count_codes(
    codes: NDArray[np.int16],
    histogram: NDArray[np.floating],
    offsets: NDArray[np.uint8],
    one_unit: bool,
    masks: NDArray[np.int8],
    back: int,
    bases: NDArray[np.int16],
    signs: NDArray[np.int8],
    situations: NDArray[np.uint8],
    indices: NDArray[np.uint16],
    counts: NDArray[np.int32],
) -> None:
    """Count the codes of a tensor into ``histogram`` [units, column offsets, contexts and one without, bins].

    ``offsets`` is the column offset of each position. A code counts under its context as coded there, and once more as
    it is. ``masks`` and ``back`` are those of ``neighbour_masks``; what follows them is that of ``counter_room``.
    """
    channels, length = codes.shape
    groups, _, bins = histogram.shape[1:]
    places = bins // 2
    flat = counts.reshape(-1)
    for channel in range(channels):
        row = codes[channel]
        unit = histogram[0 if one_unit else channel]
        largest = _situations(row, masks, back, signs, situations)
        # A negated code is one larger than its size here.
        if largest + 1 >= FINE:
            for position in range(length):
                situation = np.int64(situations[position])
                code = np.int64(row[position])
                is_negated = situation >= CONTEXTS
                context = np.uint64(situation - CONTEXTS if is_negated else situation)
                of_group = unit[np.uint64(offsets[position])]
                of_group[context, np.uint64(bin_of(-code if is_negated else code, places))] += 1
                of_group[np.uint64(CONTEXTS), np.uint64(bin_of(code, places))] += 1
            continue
        for position in range(length):
            indices[position] = np.uint16(
                np.int16(np.int16(situations[position]) * np.int16(bins)) + np.int16(bases[position] + row[position])
            )
        for position in range(length):
            flat[np.uint64(indices[position])] += 1
        for group in range(groups):
            for context in range(CONTEXTS):
                kept, negated = counts[group, context], counts[group, context + CONTEXTS]
                for place in range(1, bins):
                    unit[group, context, place] += kept[place] + negated[bins - place]
                    unit[group, CONTEXTS, place] += kept[place] + negated[place]
        flat[:] = 0


@inlined
def _situations(
    row: NDArray[np.int16],
    masks: NDArray[np.int8],
    back: int,
    signs: NDArray[np.int8],
    situations: NDArray[np.uint8],
) -> int:
    """Write each weight's context, plus ``CONTEXTS`` where it is negated; return the largest size of a code.

    ``masks`` and ``back`` are those of ``_neighbour_masks``; ``signs`` [back + length] is zero up to ``back``.
    """
    own = signs[back:]
    largest = np.int16(0)
    for position in range(row.size):
        code = row[position]
        own[position] = np.int8(code > 0) - np.int8(code < 0)
        largest = max(largest, max(code, np.int16(~code)))
    before, has_left, has_above = signs[back - 1 :], masks[0], masks[1]
    for position in range(row.size):
        a = np.int8(before[position] & has_left[position])
        b = np.int8(signs[position] & has_above[position])
        is_one = np.int8((a ^ b) & np.int8(1))
        is_two = np.int8(np.int8(a == b) & a & np.int8(1))
        is_negated = np.int8((a < 0) | ((a == 0) & (b < 0)))
        situations[position] = np.uint8(is_one + np.int8(is_two << 1) + np.int8(is_negated * np.int8(CONTEXTS)))
    return largest


@loop
def column_costs(
    codes: NDArray[np.int16],
    classes: NDArray[np.int64],
    bits: NDArray[np.float64],
    starts: NDArray[np.int64],
    costs: NDArray[np.float64],
    sizes: NDArray[np.uint16],
) -> None:
    """Add to ``costs`` [columns, offsets] the bits of each column under each offset.

    ``bits`` is [classes, bins of codes from 0 up, offsets]; ``starts`` says where each column begins, and the last one
    ends; ``classes`` is the class of each channel; ``sizes`` [length] is room to work in.
    """
    channels, length = codes.shape
    for channel in range(channels):
        row = codes[channel]
        of_class = bits[classes[channel]]
        largest = np.int16(0)
        for position in range(length):
            largest = max(largest, max(row[position], np.int16(~row[position])))
        if largest + 1 < FINE:
            for position in range(length):
                sizes[position] = np.uint16(abs(row[position]))
        else:
            for position in range(length):
                sizes[position] = np.uint16(place_of(abs(np.int64(row[position]))))
        for column in range(costs.shape[0]):
            of_column = costs[column]
            a, b, c, d = 0.0, 0.0, 0.0, 0.0
            for position in range(np.uint64(starts[column]), np.uint64(starts[column + 1])):
                of_size = of_class[np.uint64(sizes[position])]
                a += of_size[0]
                b += of_size[1]
                c += of_size[2]
                d += of_size[3]
            of_column[0] += a
            of_column[1] += b
            of_column[2] += c
            of_column[3] += d


@loop
def unit_costs(
    histogram: NDArray[np.floating],
    bits: NDArray[np.float64],
    first_plane: int,
    costs: NDArray[np.float64],
    shifted: NDArray[np.float64],
) -> None:
    """Add to ``costs`` [units, classes] the bits of each unit in each class.

    ``histogram`` is [units, column offsets, planes, bins]; ``bits`` [planes, bins, classes] is for its planes from
    ``first_plane`` on; ``shifted`` [classes] is room to work in. A product of matrices, but in one thread and in the
    same order on every machine.
    """
    planes, bins, classes = bits.shape
    for unit in range(histogram.shape[0]):
        for group in range(histogram.shape[1]):
            shifted[:] = 0
            for plane in range(planes):
                counts = histogram[unit, group, first_plane + plane]
                of_plane = bits[plane]
                for place in range(bins):
                    number = np.float64(counts[place])
                    if number > 0:
                        for klass in range(classes):
                            shifted[klass] += number * of_plane[place, klass]
            for klass in range(classes):
                costs[unit, klass] += shifted[min(klass + group, classes - 1)]


@loop
def add_histograms(histogram: NDArray[np.floating], classes: NDArray[np.int64], result: NDArray[np.float64]) -> None:
    """Add to ``result`` [classes, contexts, bins] what each class meets, by the ``classes`` of the units."""
    units, groups = histogram.shape[:2]
    most, contexts, bins = result.shape
    for unit in range(units):
        for group in range(groups):
            klass = min(classes[unit if classes.size > 1 else 0] + group, most - 1)
            for context in range(contexts):
                counts, total = histogram[unit, group, context], result[klass, context]
                for place in range(bins):
                    total[place] += counts[place]


@loop
def code_lengths(
    counts: NDArray[np.float64],
    shift: int,
    states: int,
    values: NDArray[np.int64],
    lengths: NDArray[np.float64],
    of_token: NDArray[np.float64],
) -> None:
    """Write the bits of a code of each bin, as ``dnnzip.codec.statistics.code_lengths`` says.

    ``of_token`` [tokens] is room to work in.
    """
    for token in range(TOKEN_COUNT):
        of_token[token] = np.inf
        if counts[token] > 0:
            of_token[token] = np.log2(states) - np.log2(counts[token]) + shift
    escape = of_token[0] + WORD_BITS
    for place in range(values.size):
        token = values[place] >> shift
        bits = of_token[token + _LIMIT] if -_LIMIT < token < _LIMIT else np.inf
        lengths[place] = bits if bits < np.inf else escape


@inlined
def _settle_counts(weights: NDArray[np.float64], counts: NDArray[np.int64], states: int) -> None:
    """Change ``counts`` by ones until they add up to ``states`` and no exchange of one saves bits.

    ``weights`` says how often each token occurs; counts of 0 stay 0, and no count falls to 0.
    """
    total = np.int64(0)
    for token in range(counts.size):
        total += counts[token]
    while True:
        best_gain = -1.0
        least_loss = np.inf
        to = 0
        away = 0
        for token in range(counts.size):
            held = counts[token]
            if held == 0:
                continue
            gain = weights[token] * np.log2((held + 1) / held)
            if gain > best_gain:
                best_gain, to = gain, token
            if held > 1:
                loss = weights[token] * np.log2(held / (held - 1))
                if loss < least_loss:
                    least_loss, away = loss, token
        if total == states and (to == away or best_gain <= least_loss * (1 + 1e-9)):
            return
        if total <= states:
            counts[to] += 1
        if total >= states:
            counts[away] -= 1
        total += np.int64(total < states) - np.int64(total > states)


@loop
def best_table(
    histogram: NDArray[np.float64],
    values: NDArray[np.int64],
    states: int,
    most_shift: int,
    counts: NDArray[np.int64],
    trial: NDArray[np.int64],
    tokens: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> int:
    """Write the counts [64] that code a histogram with the fewest bits over all shifts; return the shift.

    ``histogram`` is [bins], ``values`` a code of each bin; ``trial``, ``tokens`` and ``weights`` [64] are room to work
    in. The search over shifts ends where a larger one is clearly worse, unless most codes are beyond the tokens of the
    best one: then a shift may only add low bits, and a larger one reach them.
    """
    best_cost = np.inf
    best_shift = 0
    total = 0.0
    for place in range(histogram.size):
        total += histogram[place]
    beyond = total
    for shift in range(most_shift + 1):
        tokens[:] = 0
        for place in range(histogram.size):
            token = values[place] >> shift
            tokens[token + _LIMIT if -_LIMIT < token < _LIMIT else 0] += histogram[place]
        normalise(tokens, states, trial, weights)
        cost = 0.0
        for token in range(TOKEN_COUNT):
            if tokens[token] > 0:
                if trial[token]:
                    cost += tokens[token] * (np.log2(states / trial[token]) + shift)
                else:
                    cost += tokens[token] * (np.log2(states / trial[0]) + shift + WORD_BITS)
        cost += tokens[0] * WORD_BITS
        if cost < best_cost:
            best_cost = cost
            best_shift = shift
            beyond = tokens[0]
            for token in range(TOKEN_COUNT):
                counts[token] = trial[token]
        elif cost > 1.1 * best_cost and 2 * beyond <= total:
            break
    return best_shift


@inlined
def normalise(
    tokens: NDArray[np.float64], states: int, counts: NDArray[np.int64], weights: NDArray[np.float64]
) -> None:
    """Write counts [64] that add up to ``states`` and code the tokens with few bits; the escape's is at least 1.

    ``weights`` [64] is room to work in.

    A token stays out, to be escaped, where its share of a state costs the other tokens more than its escapes would: a
    count of 1 costs all others together total / states / ln 2 bits, an escape costs about 16 more than it.
    """
    total = 0.0
    for token in range(TOKEN_COUNT):
        total += tokens[token]
    weights[:] = 1e-9
    counts[:] = 0
    for token in range(TOKEN_COUNT):
        if tokens[token] > 0 and (token == 0 or tokens[token] * WORD_BITS >= total / states / np.log(2)):
            weights[token] = tokens[token]
            counts[token] = max(np.int64(np.rint(tokens[token] * states / total)), 1)
        elif token:
            weights[0] += tokens[token]
    counts[0] = max(max(counts[0], np.int64(1)), np.int64(np.rint(weights[0] * states / max(total, 1.0))))
    held = np.int64(0)
    for token in range(1, TOKEN_COUNT):
        held += counts[token]
    if held == 0:
        counts[_LIMIT] = 1
    _settle_counts(weights, counts, states)
