"""Programs of layers of every odd shape, on the golden array, against the sum itself."""

import numpy as np
import pytest

from dnnzip.array.golden import GoldenArray
from dnnzip.array.image import network_image
from dnnzip.array.job import check_job
from dnnzip.array.program import LayerProgram
from dnnzip.format.array import ArrayShape


def compiled(weights, shape, groups=1):
    image = network_image({"w": weights}, {}, b"", shape, "net")
    return image, LayerProgram(shape, image.layers["w"], groups, image.tables)


def check(rng, shape, channels, length, vectors, groups=1):
    """Run a layer of random weights; returns its job."""
    weights = rng.integers(-128, 128, (channels, length)).astype(np.int8)
    image, program = compiled(weights, shape, groups)
    dtype, zero = (np.int8, -7) if rng.integers(2) else (np.uint8, 200)
    x = rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max + 1, (groups, vectors, length)).astype(dtype)
    job = program.job(image.content, x, zero)
    check_job(job, shape)
    wanted = np.empty((vectors, channels), np.int64)
    share = channels // groups
    for group in range(groups):
        own = slice(group * share, (group + 1) * share)
        wanted[:, own] = (x[group].astype(np.int64) - zero) @ weights[own].astype(np.int64).T
    for stale in (85, -128):
        given = GoldenArray(shape, stale=stale).execute(job).sums
        np.testing.assert_array_equal(program.sums(given, vectors), wanted)
    return job, program


def test_random_layers_on_random_arrays():
    seed = 31
    print("seed", seed)
    rng = np.random.default_rng(seed)
    chunked = 0
    for _ in range(150):
        shape = ArrayShape(
            1 << int(rng.integers(5)), 1 << int(rng.integers(5)), int(rng.integers(1, 20)), 1 << int(rng.integers(4, 7))
        )
        groups = int(rng.choice([1, 1, 2, 3, 7]))
        channels = groups * int(rng.integers(1, 40))
        job, _ = check(rng, shape, channels, int(rng.integers(1, 60)), int(rng.integers(1, 90)), groups)
        chunked += len(job.walks) > 1
    assert chunked > 30


@pytest.mark.parametrize("length", [1, 4, 5, 6, 10, 11])
@pytest.mark.parametrize("channels", [1, 7, 8, 9, 17])
@pytest.mark.parametrize("vectors", [1, 15, 16, 17, 40])
def test_edges_of_tiles_passes_and_chunks(length, channels, vectors):
    check(np.random.default_rng(32), ArrayShape(2, 4, 5, 16), channels, length, vectors)


def test_more_groups_of_a_convolution_than_accumulators():
    # 16 x 4 rows take 64 groups at once, and 16 accumulators do not hold a vector of each.
    job, program = check(np.random.default_rng(33), ArrayShape(16, 4, 5, 16), 64, 9, 3, groups=64)
    assert [len(step.groups) for step in program.steps] == [4] * 16
    assert len(job.walks) == 1


def test_a_layer_in_one_block_is_fetched_once():
    job, program = check(np.random.default_rng(34), ArrayShape(1, 4, 8, 16), 9, 8, 100)
    assert (len(job.walks), len(job.runs)) == (1, 3 * 7)
    assert sum(run.take != 0 for run in job.runs) == 3
    assert program.bytes_per_vector == 3 * (8 + 4 * 4)


def test_a_layer_in_several_blocks_is_fetched_for_each_chunk():
    job, program = check(np.random.default_rng(35), ArrayShape(1, 4, 8, 16), 9, 9, 100)
    assert (len(job.walks), len(job.runs)) == (7, 7 * 3 * 2)
    assert all(run.take for run in job.runs)
    assert program.bytes_per_vector == 3 * (2 * 8 + 4 * 4)


def test_a_wrong_sum_is_seen():
    rng = np.random.default_rng(36)
    shape = ArrayShape(2, 4, 5, 16)
    weights = rng.integers(-128, 128, (9, 12)).astype(np.int8)
    image, program = compiled(weights, shape)
    other, _ = compiled(np.where(np.arange(12) == 11, ~weights, weights), shape)
    x = rng.integers(0, 256, (1, 3, 12)).astype(np.uint8)
    sums = [
        program.sums(GoldenArray(shape).execute(program.job(content, x, 1)).sums, 3)
        for content in (image.content, other.content)
    ]
    assert (sums[0] != sums[1]).any()
