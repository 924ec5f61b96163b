"""The golden array: jobs by hand, jobs at random against a plain loop, and jobs that contradict themselves."""

import re
from dataclasses import replace

import numpy as np
import pytest

from dnnzip.array.golden import GoldenArray
from dnnzip.array.job import ArrayFigures, ArrayJob, ProgramError, open_array
from dnnzip.codec import CodecOptions, CodeTensor, encode_network
from dnnzip.codec.beat_order import channels_from_passes, passes_from_channels
from dnnzip.errors import InputError
from dnnzip.format import ImageEntry, ImageKind, ImageLayout, WeightStream, table_set_entry, words_of
from dnnzip.format.array import ArrayShape
from dnnzip.format.program import Run, Walk

BUS_BYTES = 8
SHAPE = ArrayShape(groups=2, rows_per_group=4, columns=3, vectors=16)


def image_of(parts):
    """Make an image of (entry, bytes) pairs; offsets and words are filled in."""
    layout = ImageLayout([replace(entry, words=words_of(data)) for entry, data in parts], BUS_BYTES)
    return b"".join(layout.content(1, [data for _, data in parts]))


def plain(weights, part=0, lanes=4):
    """Return entry and bytes of int8 [channels, length] weights."""
    entry = ImageEntry(0, 0, 0, 0, part, 0, *weights.shape, kind=ImageKind.PLAIN, virtual_lanes=lanes)
    return entry, passes_from_channels(weights, lanes).tobytes()


def whole_run(vectors, take=1, **changes):
    values = {"base": 0, "zero_point": 0, "signed": False, "first": True, "last": True}
    return Run(vectors=vectors, take=take, **(values | changes))


def bytes_of(values):
    return np.asarray(values, np.int64).astype(np.uint8)


def small_job(**changes):
    """One part of one tile, one vector."""
    weights = np.array([[1, -2, 3], [4, 5, -6]], np.int8)
    job = ArrayJob(image_of([plain(weights)]), [Walk(0, 1)], [whole_run(1)], bytes_of([[10, 20, 30]]))
    return replace(job, **changes)


def test_a_job_by_hand():
    result = GoldenArray(SHAPE).execute(small_job())
    assert result.sums.dtype == np.int32
    assert result.sums.shape == (1, 8)
    assert result.sums[0, :2].tolist() == [10 - 40 + 90, 40 + 100 - 180]
    assert replace(result.figures, seconds=0.0) == ArrayFigures()


def test_the_zero_point_and_the_sign_of_activations():
    activations = bytes_of([[-128, 127, 5]])
    job = small_job(activations=activations, runs=[whole_run(1, zero_point=-3, signed=True)])
    x = np.array([-125, 130, 8])
    assert GoldenArray(SHAPE).execute(job).sums[0, :2].tolist() == [x @ [1, -2, 3], x @ [4, 5, -6]]
    job = small_job(activations=activations, runs=[whole_run(1, zero_point=255)])
    x = np.array([128, 127, 5]) - 255
    assert GoldenArray(SHAPE).execute(job).sums[0, :2].tolist() == [x @ [1, -2, 3], x @ [4, 5, -6]]


def test_sums_wrap_around():
    shape = ArrayShape(1, 1, 64, 16)
    blocks = 2**31 // (64 * 128 * 255) + 1
    weights = np.full((1, 64 * blocks), -128, np.int8)
    runs = [whole_run(1, first=block == 0, last=block == blocks - 1) for block in range(blocks)]
    job = ArrayJob(image_of([plain(weights, lanes=1)]), [Walk(0, 1)], runs, np.full((blocks, 64), 255, np.uint8))
    exact = -128 * 255 * 64 * blocks
    assert exact < -(2**31)
    assert GoldenArray(shape).execute(job).sums.tolist() == [[exact + 2**32]]


@pytest.mark.parametrize("lanes", [1, 2, 3, 4])
@pytest.mark.parametrize("stale", [85, -128])
def test_random_parts_against_a_plain_loop(lanes, stale):
    seed = 11 + lanes
    print("seed", seed)
    rng = np.random.default_rng(seed)
    own = [rng.integers(-128, 128, (channels, 7)).astype(np.int8) for channels in (5, 3, 6)]
    parts = [plain(weights, part, lanes) for part, weights in enumerate(own)]
    x = rng.integers(0, 256, (5, 7))
    # Part 2 follows part 0 in group 0.
    passes = [[], []]
    for part, weights in enumerate(own):
        passes[part % 2] += [(part, first) for first in range(0, len(weights), lanes)]
    runs, vectors, wanted = [], [], []
    for step in range(max(map(len, passes))):
        take = sum(1 << group for group in range(2) if step < len(passes[group]))
        for block in range(3):
            piece = np.full((5, 3), 9)
            piece[:, : x[:, 3 * block : 3 * block + 3].shape[1]] = x[:, 3 * block : 3 * block + 3]
            vectors.append(piece)
            runs.append(whole_run(5, take, base=11, zero_point=9, first=block == 0, last=block == 2))
        wanted.append([passes[group][step] if step < len(passes[group]) else None for group in range(2)])
    job = ArrayJob(image_of(parts), [Walk(0, 2), Walk(2, 1)], runs, bytes_of(np.concatenate(vectors)))
    sums = GoldenArray(SHAPE, stale=stale).execute(job).sums.reshape(len(wanted), 5, 2, 4)
    for step, groups in enumerate(wanted):
        for group, found in enumerate(groups):
            if found is not None:
                weights = own[found[0]][found[1] : found[1] + lanes].astype(np.int64)
                np.testing.assert_array_equal(sums[step, :, group, : len(weights)], (x - 9) @ weights.T)


@pytest.mark.parametrize("lanes", [1, 4])
def test_streams_give_the_same_as_plain_weights(lanes):
    seed = 21
    print("seed", seed)
    rng = np.random.default_rng(seed)
    codes = np.clip(rng.normal(0, 9, (10, 24)), -128, 127).astype(np.int16)
    options = CodecOptions(codec="ans", virtual_lanes=lanes)
    encoded = encode_network([CodeTensor("w", codes)], options)
    (stream,) = WeightStream.split(encoded.streams[0])
    tables = (table_set_entry(encoded.tables), encoded.tables)
    entry = ImageEntry(0, 0, 0, 0, 0, 0, 10, 24, virtual_lanes=stream.header.lanes)
    assert entry.virtual_lanes == lanes
    steps, blocks = -(-10 // lanes), 8
    runs = [whole_run(2, first=block == 0, last=block == blocks - 1) for _ in range(steps) for block in range(blocks)]
    activations = rng.integers(0, 256, (2 * len(runs), 3)).astype(np.uint8)
    array = GoldenArray(SHAPE)
    streamed = array.execute(ArrayJob(image_of([tables, (entry, stream.data)]), [Walk(0, 2)], runs, activations))
    image = image_of([plain(codes.astype(np.int8), lanes=lanes)])
    stored = array.execute(ArrayJob(image, [Walk(0, 1)], runs, activations))
    assert np.abs(stored.sums).max() > 1000
    np.testing.assert_array_equal(streamed.sums[:, :lanes], stored.sums[:, :lanes])
    with pytest.raises(ProgramError, match=r"^entry 0: the stream ends with '"):
        array.execute(ArrayJob(image_of([(entry, stream.data)]), [Walk(0, 1)], runs, activations))
    bad = bytearray(image_of([tables, (entry, stream.data)]))
    bad[-24] ^= 1
    with pytest.raises(ProgramError, match=r"^entry 1: the stream ends with '"):
        array.execute(ArrayJob(bytes(bad), [Walk(0, 2)], runs, activations))
    wrong = replace(entry, channels=9)
    with pytest.raises(ProgramError, match=r"^entry 1 says \(9, 24\) in \d lanes, and its stream does not$"):
        array.execute(ArrayJob(image_of([tables, (wrong, stream.data)]), [Walk(0, 2)], runs, activations))


def damaged_image():
    return b"x" + small_job().image[1:]


WEIGHTS = np.ones((2, 3), np.int8)

CONTRADICTIONS = {
    "image": ({"image": damaged_image()}, "image: an image must start with"),
    "walk": ({"walks": [Walk(0, 2)]}, "a walk must stay in a table of 1 entries, not take 2 from 0 on"),
    "empty walk": ({"walks": [Walk(0, 0)]}, "a walk must stay in a table of 1 entries, not take 0 from 0 on"),
    "no tile": ({"walks": []}, "run 0 takes a tile of group 0, and none comes any more"),
    "other group": ({"runs": [whole_run(1, take=2)]}, "run 0 takes a tile of group 1, and none comes any more"),
    "no group": ({"runs": [whole_run(1, take=4)]}, "run 0 must take tiles of 2 groups, not 0x4"),
    "tile left": ({"runs": [whole_run(1, take=0)]}, "tiles of group 0 are left over at the end of the program"),
    "not begun": ({"runs": [whole_run(1, first=False)]}, "run 0 goes on with sums that no run began"),
    "accumulators": (
        {"runs": [whole_run(1, base=16)]},
        "run 0 must stay in 16 accumulators, not use 1 from 16 on",
    ),
    "vectors": ({"runs": [whole_run(2)]}, "the runs need uint8 (2, 3) activations, not uint8 (1, 3)"),
    "lanes": (
        {"image": image_of([plain(WEIGHTS, lanes=5)])},
        "entry 0 must have 1 to 4 virtual lanes, not 5",
    ),
    "words": (
        {"image": image_of([(plain(WEIGHTS)[0], bytes(8))])},
        "entry 0 must have the words of 6 bytes, not 4",
    ),
    "no weights": ({"image": image_of([(plain(WEIGHTS[:0])[0], b"")])}, "entry 0 must have weights, not (0, 3)"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_job_that_contradicts_itself(name):
    changes, message = CONTRADICTIONS[name]
    with pytest.raises(ProgramError, match=f"^{re.escape(message)}"):
        GoldenArray(SHAPE).execute(small_job(**changes))


def test_sums_that_were_given_out_are_gone():
    job = small_job(runs=[whole_run(1), whole_run(1, take=0, first=False)], activations=bytes_of([[1, 2, 3]] * 2))
    with pytest.raises(ProgramError, match=r"^run 1 goes on with sums that no run began$"):
        GoldenArray(SHAPE).execute(job)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": 3}, "groups must be a power of two from 1 to 16, not 3"),
        ({"rows_per_group": 32}, "rows_per_group must be a power of two from 1 to 16, not 32"),
        ({"groups": True}, "groups must be a power of two from 1 to 16, not True"),
        ({"columns": 0}, "columns must be 1 to 64, not 0"),
        ({"vectors": 8}, "vectors must be a power of two from 16 to 32768, not 8"),
        ({"lanes": 32}, "lanes must be a power of two from 1 to 16, not 32"),
    ],
)
def test_a_shape_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        ArrayShape(**changes)


def test_what_follows_from_a_shape():
    assert (SHAPE.rows, SHAPE.lanes, SHAPE.slots) == (8, 1, 4)
    assert (ArrayShape(rows_per_group=2).slots, ArrayShape(rows_per_group=16, lanes=2).slots) == (2, 8)


def test_an_array_has_a_name():
    opened = open_array("golden", SHAPE)
    assert isinstance(opened, GoldenArray)
    assert opened.shape is SHAPE
    with pytest.raises(InputError, match=r"^link golden:x: the golden array takes no argument; link golden$"):
        open_array("golden:x", SHAPE)
    with pytest.raises(InputError, match=r"^link: no array is named 'gold'; one of golden, "):
        open_array("gold", SHAPE)


@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
def test_passes_and_back(lanes):
    rows = np.arange(35, dtype=np.int8).reshape(7, 5)
    passes = passes_from_channels(rows, lanes)
    assert passes[:7][:lanes].tolist() == rows[:lanes, 0].tolist()
    np.testing.assert_array_equal(channels_from_passes(passes, 7, 5, lanes), rows)
