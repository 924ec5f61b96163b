"""The coders that the comparison brings along, and the others where they are installed."""

from importlib import import_module

import numpy as np
import pytest
from generated_task import generated_task

from dnnzip.quantize.bound import Bound
from dnnzip_bench.coders.huffman import LONGEST, codeword_lengths, codewords
from dnnzip_bench.coders.measure import run
from dnnzip_bench.coders.rivals import CODERS, MODULES
from dnnzip_bench.coders.task import Task


def coder_on(name, codes):
    """Return a coder made for one tensor of these codes."""
    kind = next(kind for kind in CODERS if kind.name == name)

    class Codes(Task):
        @property
        def codes(self):
            return [np.array(codes, np.int16)]

    return kind(Codes("codes", [], Bound.parse("1%")))


def tensors():
    random = np.random.default_rng(5)
    yield "laplace", np.rint(random.laplace(0, 9, (20, 50)))
    yield "sparse", np.where(random.random((20, 50)) < 0.97, 0, random.integers(-3, 4, (20, 50)))
    yield "wide", random.integers(-32768, 32768, (10, 50))
    yield "zero", np.zeros((3, 700))
    yield "one value", np.full((3, 7), -5)
    yield "one weight", np.array([[1]])
    yield "powers", np.repeat(np.arange(18), 1 << np.arange(18))[None]
    yield "last is zero", np.array([[0, 0, 4, 0, 0]])


@pytest.mark.parametrize("name", ["Huffman", "zero runs"])
@pytest.mark.parametrize("codes", [pytest.param(codes, id=name) for name, codes in tensors()])
def test_codes_come_back(name, codes):
    codes = codes.astype(np.int16)
    coder = coder_on(name, codes)
    np.testing.assert_array_equal(coder.unpack(coder.pack(0, codes), codes.shape), codes)


@pytest.mark.parametrize("codes", [pytest.param(codes, id=name) for name, codes in tensors()])
def test_codewords_are_a_prefix_code_of_limited_length(codes):
    codes = codes.astype(np.int64)
    lengths = codeword_lengths(np.bincount(codes.reshape(-1) - codes.min()))
    words = codewords(lengths)
    starts = sorted((int(words[s]) << LONGEST - int(lengths[s]), int(lengths[s])) for s in np.flatnonzero(lengths))
    ends = [start + (1 << LONGEST - length) for start, length in starts]
    assert lengths.max() <= LONGEST
    assert ends[-1] <= 1 << LONGEST
    assert all(end <= following for end, (following, _) in zip(ends, starts[1:], strict=False))


def test_huffman_is_within_a_bit_of_the_entropy():
    codes = next(tensors())[1].astype(np.int64)
    counts = np.bincount(codes.reshape(-1) - codes.min())
    lengths = codeword_lengths(counts)
    share = counts[counts > 0] / counts.sum()
    entropy = -(share * np.log2(share)).sum()
    assert entropy <= (counts @ lengths) / counts.sum() < entropy + 0.06


@pytest.mark.parametrize("bound", ["0.1%", "1%", "10%", "0lsb", "1lsb"])
@pytest.mark.parametrize("kind", [kind for kind in CODERS if not kind.package], ids=lambda kind: kind.name)
def test_the_bound_is_kept(kind, bound):
    (result,) = run(generated_task(bound), [kind])
    assert result.broken == 0
    assert result.bits > 0


@pytest.mark.parametrize("bound", ["0.1%", "10%", "0lsb"])
@pytest.mark.parametrize("kind", [kind for kind in CODERS if kind.package], ids=lambda kind: kind.name)
def test_an_installed_rival_keeps_the_bound(kind, bound):
    pytest.importorskip(MODULES[kind.package], reason=f"{kind.package} is not installed; make bench brings it")
    import_module(MODULES[kind.package])
    for result in run(generated_task(bound), [kind]):
        assert result.broken == 0


def test_the_limit_is_above_the_size_of_easy_weights():
    (result,) = run(generated_task(), [CODERS[0]])
    assert 0 < result.bits <= result.limit_bits
