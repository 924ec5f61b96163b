"""Tensors that are made when they are needed: the same streams, and few of them in memory at a time."""

import threading

import numpy as np
import pytest

from dnnzip.codec import CodecOptions, CodeTensor, RawTensor, decode_tensor, encode_network, encode_streams, network
from dnnzip.codec.ans import planning
from dnnzip.codec.room import Room
from dnnzip.format import TableSet


def tensors():
    rng = np.random.default_rng(4)

    def codes(channels, length, scale):
        scales = scale * np.exp(0.5 * rng.standard_normal((channels, 1)))
        return np.rint(rng.laplace(0, 1, (channels, length)) * scales).astype(np.int16)

    return [
        CodeTensor("conv", codes(64, 90, 6), (3, 3)),
        RawTensor("bytes", rng.integers(0, 1 << 16, 500).astype(np.uint16)),
        CodeTensor("long", codes(300, 100, 30)),
        CodeTensor("short", codes(900, 4, 9)),
        CodeTensor("one channel", codes(1, 4000, 3)),
    ]


class Source:
    """A tensor that counts how often it is made."""

    def __init__(self, tensor):
        self.name, self.tensor, self.loads = tensor.name, tensor, 0
        self.weights = tensor.items.size if isinstance(tensor, RawTensor) else tensor.codes.size

    def load(self):
        self.loads += 1
        if isinstance(self.tensor, RawTensor):
            return RawTensor(self.name, self.tensor.items.copy())
        return CodeTensor(self.name, self.tensor.codes.copy(), self.tensor.kernel)


@pytest.fixture
def small_steps(monkeypatch):
    """Let the test's network be a large one: sampled, and counted in several parts."""
    for module, limit in ((network, "WHOLE_WEIGHTS"), (planning, "ALL_TRAINED"), (planning, "SAMPLE")):
        monkeypatch.setattr(module, limit, 9_000)
    # The sample of some tensors, not of others, is enough to choose columns by.
    monkeypatch.setattr(planning, "SAMPLED_WEIGHTS", 4_000)
    monkeypatch.setattr(planning, "PART_BYTES", 60_000)


@pytest.mark.parametrize("codec", ["auto", "ans", "raw", "line"])
def test_sources_give_the_streams_of_their_tensors(codec):
    wanted = encode_network(tensors(), CodecOptions(codec))
    for jobs in (1, 2):
        sources = [Source(tensor) for tensor in tensors()]
        assert encode_network(sources, CodecOptions(codec, jobs=jobs)) == wanted
        assert {source.loads for source in sources} == {1}


@pytest.mark.usefixtures("small_steps")
@pytest.mark.parametrize("codec", ["auto", "ans"])
def test_sources_of_a_large_network(codec):
    wanted = encode_network(tensors(), CodecOptions(codec))
    for jobs in (1, 2):
        sources = [Source(tensor) for tensor in tensors()]
        assert encode_network(sources, CodecOptions(codec, jobs=jobs)) == wanted
        assert {source.loads for source in sources} == {2}
    for tensor, stream in zip(tensors(), wanted.streams, strict=True):
        decoded = decode_tensor(stream, wanted.tables)
        if isinstance(tensor, CodeTensor):
            assert np.array_equal(decoded, tensor.codes)
    assert "ans" in wanted.codecs


def test_a_sample_costs_little(request):
    whole = encode_network(tensors(), CodecOptions("ans"))
    request.getfixturevalue("small_steps")
    sampled = encode_network(tensors(), CodecOptions("ans"))
    sizes = [sum(map(len, encoded.streams)) for encoded in (whole, sampled)]
    assert sizes[0] != sizes[1]
    assert sizes[1] < 1.02 * sizes[0]


def test_histograms_are_counted_in_parts(monkeypatch):
    """Choosing classes in parts changes nothing: only the sample that trains the tables does."""
    tables = TableSet.from_bytes(encode_network(tensors(), CodecOptions("ans")).tables)
    monkeypatch.setattr(planning, "TRAINING_BYTES", 0)
    given = CodecOptions("ans", table_set=tables)
    at_once = encode_network(tensors(), given)
    sizes = []
    for part in (1 << 18, 1 << 16):
        monkeypatch.setattr(planning, "PART_BYTES", part)
        sizes.append(sum(map(len, encode_network(tensors(), given).streams)))
    whole = sum(map(len, at_once.streams))
    # Columns are chosen on fewer channels.
    assert all(whole <= size < 1.01 * whole for size in sizes)


@pytest.mark.usefixtures("small_steps")
def test_a_given_table_set_needs_no_training(monkeypatch):
    tables = TableSet.from_bytes(encode_network(tensors(), CodecOptions("ans")).tables)

    def train(*_):
        raise AssertionError("there is a table set")

    monkeypatch.setattr(planning, "train", train)
    encoded = encode_network([Source(tensor) for tensor in tensors()], CodecOptions("ans", table_set=tables))
    assert encoded.tables == tables.to_bytes()


def test_tables_that_do_not_pay_leave_raw_streams():
    few = [Source(CodeTensor(str(n), np.arange(-8, 8, dtype=np.int16).reshape(4, 4))) for n in range(3)]
    assert encode_network(few).codecs == ["raw"] * 3


@pytest.mark.usefixtures("small_steps")
def test_streams_are_put_away_and_both_passes_are_told():
    away, first, second = [], [], []

    def store(stream):
        away.append(stream)
        return len(away) - 1

    tables, stored, codecs = encode_streams(
        [Source(tensor) for tensor in tensors()], CodecOptions("ans"), store, second.append, first.append
    )
    wanted = encode_network(tensors(), CodecOptions("ans"))
    assert (tables, [away[number] for number in stored], codecs) == (wanted.tables, wanted.streams, wanted.codecs)
    assert first == second == [tensor.name for tensor in tensors()]


def test_threads_share_the_room_of_the_largest_tensor():
    room, most, active, lock = Room(100), [], [], threading.Lock()

    def work(weights):
        with room.take(weights):
            with lock:
                active.append(weights)
                most.append(sum(active))
            threading.Event().wait(0.002)
            with lock:
                active.remove(weights)

    threads = [threading.Thread(target=work, args=(weights,)) for weights in [60, 30, 100, 10, 250, 50, 40] * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # One beyond the room is let in alone.
    assert not active
    assert max(total for total in most if total != 250) <= 100
    assert all(total == 250 or total <= 100 for total in most)


@pytest.mark.usefixtures("small_steps")
def test_a_source_that_fails_ends_the_work():
    class Broken(Source):
        def load(self):
            raise RuntimeError("no more")

    sources = [*(Source(tensor) for tensor in tensors()), Broken(tensors()[0])]
    with pytest.raises(RuntimeError, match="no more"):
        encode_network(sources, CodecOptions(jobs=2))
