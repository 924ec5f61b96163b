"""Knowledge and choices of the encoder: exact costs, sound tables, columns within the format's limits."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnnzip.codec.ans import fast as ans_fast
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.columns import choose_columns, column_shift
from dnnzip.codec.kernels import bin_of, normalise
from dnnzip.codec.statistics import bin_values, bins, code_lengths, count, places_for
from dnnzip.codec.training import assign_classes, class_lengths, train, unit_costs
from dnnzip.format import CLASSES, CONTEXTS, ESCAPE, TOKEN_ORDER, context, neighbours


def weights(seed, channels, length, scale=6.0):
    rng = np.random.default_rng(seed)
    scales = scale * np.exp(0.6 * rng.standard_normal((channels, 1)))
    return np.rint(rng.laplace(0, 1, (channels, length)) * scales).clip(-32767, 32767).astype(np.int16)


@pytest.mark.parametrize("largest", [0, 1, 100, 254, 255, 256, 5000, 32768])
def test_every_code_has_a_bin(largest):
    places = places_for(largest)
    values = bin_values(places)
    assert values.size == bins(places)
    limit = min(largest, 32767)
    for code in {-limit, limit, 0, -1 if limit else 0, limit // 2, -limit // 2}:
        place = bin_of(code, places)
        assert 0 <= place < values.size
        if abs(code) < 255:
            assert values[place] == code
    places = [bin_of(code, places) for code in range(-limit, limit + 1)]
    assert places == sorted(places)


@pytest.mark.parametrize("shift", range(8))
def test_a_bin_never_straddles_a_token(shift):
    places = places_for(5000)
    values = bin_values(places)
    for code in range(-5000, 5000):
        token, of_bin = code >> shift, int(values[bin_of(code, places)]) >> shift
        if abs(token) < -ESCAPE or abs(of_bin) < -ESCAPE:
            assert token == of_bin


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.integers(0, 999), st.integers(1, 6), st.integers(1, 40), st.integers(1, 8), st.integers(1, 8), st.integers(0, 12)
)
def test_histograms_count_what_the_rules_say(seed, channels, length, height, width, columns):
    rng = random.Random(seed)
    codes = weights(seed, channels, length)
    offsets = tuple(rng.randrange(4) for _ in range(columns))
    shift = rng.randrange(3)
    places = places_for(int(np.abs(codes).max()))
    one_unit = rng.random() < 0.5
    got = count(codes, (height, width), places, one_unit, offsets, shift).histogram
    expected = np.zeros_like(got)
    for channel, row in enumerate(codes.tolist()):
        for position, code in enumerate(row):
            a, b = (0 if place is None else int(np.sign(row[place])) for place in neighbours(position, width, height))
            number, negate = context(a, b)
            column = position // (height * width) >> shift
            group = offsets[column] if column < len(offsets) else 0
            unit = 0 if one_unit else channel
            expected[unit, group, number, bin_of(-code if negate else code, places)] += 1
            expected[unit, group, CONTEXTS, bin_of(code, places)] += 1
    assert np.array_equal(got, expected)


def normalised(tokens, states):
    """Return the counts of a histogram of tokens."""
    counts = np.empty(64, np.int64)
    normalise(np.asarray(tokens, np.float64), states, counts, np.empty(len(tokens)))
    return counts


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from((0, 0, 1, 2, 5, 100, 10_000, 10_000_000)), min_size=64, max_size=64),
    st.sampled_from((8, 9, 10)),
)
def test_normalised_counts_add_up_and_keep_what_is_needed(tokens, log2_states):
    histogram = np.array(tokens, np.float64)
    counts = normalised(histogram, 1 << log2_states)
    assert counts.sum() == 1 << log2_states
    assert counts.min() >= 0
    total = histogram.sum()
    for index in range(1, 64):
        # Only what is rare enough to be cheaper as an escape may stay out, and then there is an escape.
        if tokens[index] and not counts[index]:
            assert tokens[index] * 16 < total / (1 << log2_states) / math.log(2)
    assert counts[0] >= 1


def test_normalised_counts_of_nothing_and_of_everything():
    assert normalised(np.zeros(64), 256).sum() == 256
    assert normalised(np.ones(64), 256).tolist() == [4] * 64
    one = np.zeros(64)
    one[40] = 12345
    counts = normalised(one, 512)
    assert (counts[0], counts[40]) == (1, 511)


def test_code_lengths_are_exact_for_whole_powers():
    counts = np.zeros(64)
    counts[[-ESCAPE, 1 - ESCAPE, 0]] = 128, 64, 64
    lengths = code_lengths(counts, 0, 256, 8)
    values = bin_values(8).tolist()
    assert lengths[values.index(0)] == 1
    assert lengths[values.index(1)] == 2
    assert lengths[values.index(2)] == 2 + 16  # no token: an escape


@pytest.mark.parametrize("log2_states", [8, 9, 10])
@pytest.mark.parametrize("scale", [0.3, 2.0, 20.0, 400.0])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_cost_is_the_size_of_the_stream(log2_states, scale, kernel):
    """Within one percent, and what a lane costs: its first state and the rest of its last word."""
    codes = weights(7, 64, 144, scale)
    places = places_for(int(np.abs(codes).max()))
    plain = count(codes, kernel, places, False)
    tables = train([plain], log2_states, places)
    lengths = class_lengths(tables, places)
    chosen = choose_columns(codes, kernel, plain, lengths, places)
    for use_context in (True, False):
        for statistics in (plain, chosen):
            classes, bits = assign_classes(statistics, lengths, use_context)
            choices = AnsChoices(
                2,
                [int(klass) for klass in classes],
                statistics.column_shift,
                statistics.column_offsets,
                use_context,
            )
            stream = ans_fast.encode(codes, kernel, tables, choices)
            payload = 8 * (len(stream) - 20 - len(ans_fast.column_block(choices.column_shift, choices.column_offsets)))
            # An escape hides its sign from the weights after it, which the histogram does not know.
            assert abs(payload - bits) <= 0.01 * bits + 4 * (log2_states + 16)


def test_a_class_for_each_channel_has_to_earn_its_bits():
    codes = weights(1, 30, 20, 1.0)
    places = places_for(int(np.abs(codes).max()))
    statistics = count(codes, (1, 1), places, False)
    lengths = class_lengths(train([statistics], 9, places), places)
    costs = unit_costs(statistics, lengths, context=True)
    assert costs.shape == (30, CLASSES)
    classes, bits = assign_classes(statistics, lengths, context=True)
    apart = costs.min(axis=1).sum() + 3 * 30
    together = costs.sum(axis=0).min()
    assert bits == pytest.approx(min(apart, together))
    assert classes.size == (30 if apart < together else 1)


@pytest.mark.parametrize("log2_states", [8, 9, 10])
def test_a_trained_set_can_express_every_code(log2_states):
    statistics = count(weights(2, 10, 40), (1, 1), places_for(300), False)
    tables = train([statistics], log2_states, places_for(300))
    escape = TOKEN_ORDER.index(ESCAPE)
    assert all(counts[escape] for counts in tables.counts)
    assert tables.most_weight_bits <= 16


@pytest.mark.parametrize(
    ("inputs", "shift"), [(1, 0), (4095, 0), (4096, 0), (4097, 1), (8192, 1), (8193, 2), (1 << 20, 8)]
)
def test_columns_stay_within_the_limit(inputs, shift):
    assert column_shift(inputs, 1) == shift
    assert column_shift(inputs * 9, 9) == shift
    assert column_shift(inputs * 9 - 8, 9) == shift


@pytest.mark.parametrize("code", [163, -100, -4000])
def test_codes_without_a_bin_are_refused(code):
    """The compiled loop would write outside of its histogram."""
    codes = np.array([[0, code]], np.int16)
    with pytest.raises(ValueError, match=rf"^places must hold codes up to {abs(code)}, and 97 do not$"):
        count(codes, (1, 1), 97, False)
    assert count(codes, (1, 1), places_for(abs(code)), False).histogram.sum() == 4


def test_columns_are_found_where_inputs_differ_in_scale():
    rng = np.random.default_rng(0)
    scales = np.where(np.arange(64) % 2, 12.0, 1.0)
    codes = np.rint(rng.laplace(0, 1, (64, 64)) * scales).astype(np.int16)
    # Classes that the offsets can tell apart come from a second tensor of many scales.
    of_many_scales = weights(3, 64, 64, 4.0)
    places = places_for(int(max(np.abs(codes).max(), np.abs(of_many_scales).max())))
    plain = count(codes, (1, 1), places, False)
    others = count(of_many_scales, (1, 1), places, False)
    lengths = class_lengths(train([others], 9, places), places)
    chosen = choose_columns(codes, (1, 1), plain, lengths, places)
    assert len(chosen.column_offsets) == 64
    small, large = chosen.column_offsets[::2], chosen.column_offsets[1::2]
    assert max(small) <= min(large)
    assert assign_classes(chosen, lengths, True)[1] < assign_classes(plain, lengths, True)[1]
