"""Streams of a compressed network that the array takes as they are; the others still run."""

from dataclasses import replace

import numpy as np
import pytest

from dnnzip.array.golden import GoldenArray
from dnnzip.array.image import network_image
from dnnzip.array.network import compile_network, run_network
from dnnzip.codec import CodecOptions, CodeTensor, encode_network
from dnnzip.digits import MODEL, TEST_SET
from dnnzip.errors import InputError
from dnnzip.evaluation.dataset import load_dataset
from dnnzip.format import NARROW_MAX_SHIFT, ImageKind, TableSet, read_image_table
from dnnzip.format.array import ArrayShape
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.files import load_model
from dnnzip.quantize.bound import Bound
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.quantize import quantise_network


@pytest.fixture(scope="module")
def digits():
    """The digits network of 8 bits, and 40 samples."""
    samples = load_dataset(TEST_SET, 40)
    return quantise_network(load_model(MODEL), samples, "digits"), samples


def compressed(model, bound="1lsb", exclude=(), **codec):
    options = CompressionOptions(Bound.parse(bound), exclude=exclude, codec=CodecOptions(**codec))
    return compress(model, options).compressed


def run(model, shape, x):
    network = compile_network(model, shape, "net")
    result = run_network(network, GoldenArray(shape), x)
    assert not any(layer.mismatches for layer in result.layers)
    return network, result


SHAPE = ArrayShape(2, 4, 16, 64)


@pytest.mark.parametrize(
    ("options", "streamed"),
    [
        ({"virtual_lanes": 4, "groups": 2, "codec": "ans"}, 5),
        ({"virtual_lanes": 4, "groups": 1, "codec": "ans"}, 5),
        ({"virtual_lanes": 1, "groups": 3, "codec": "ans"}, 5),
        ({"virtual_lanes": 8, "groups": 2, "codec": "ans"}, 2),  # conv1 and fc3 have too few channels for 8 lanes
        ({"codec": "raw"}, 0),
        ({"codec": "line"}, 0),
        ({"virtual_lanes": 4, "codec": "ans", "exclude": ("fc*",)}, 2),
    ],
)
@pytest.mark.parametrize("bound", ["0lsb", "2lsb"])
def test_streams_that_suit_are_kept_and_others_still_run(digits, options, streamed, bound):
    model, samples = digits
    made = compressed(model, bound, **options)
    network, result = run(made.model, SHAPE, samples.x)
    assert sum(layer.compressed for layer in result.layers) == streamed
    entries = read_image_table(network.image.content)
    streams = [entry for entry in entries if entry.kind is ImageKind.STREAM and not entry.is_table_set]
    assert bool(streams) == bool(streamed) == entries[0].is_table_set
    assert network.image.table_bytes == (len(made.tables) if streamed else 0)
    _, plain = run(decompressed(made), SHAPE, samples.x)
    np.testing.assert_array_equal(result.scores, plain.scores)
    sizes = {layer.name: layer.stream_bytes for layer in made.layers}
    for layer in result.layers:
        assert layer.weight_bytes == (sizes[layer.name] if layer.compressed else layer_weights(network, layer.name))


def layer_weights(network, name):
    return next(own.layer.weights.size for own in network.layers.values() if own.layer.name == name)


def test_plain_weights_are_dealt_to_all_groups(digits):
    model, samples = digits
    network, _ = run(model, ArrayShape(4, 2, 16, 64), samples.x)
    entries = read_image_table(network.image.content)
    assert {entry.kind for entry in entries} == {ImageKind.PLAIN}
    assert [entry.part for entry in entries] == [0, 1, 2, 3] * 5
    assert [entry.channels for entry in entries[:4]] == [1, 2, 1, 2]
    assert [entry.first_channel for entry in entries[:4]] == [0, 1, 3, 4]


def test_tables_for_wide_codes_do_not_fit_the_array():
    rng = np.random.default_rng(41)
    codes = CodeTensor("w", np.clip(rng.normal(0, 9, (8, 40)), -128, 127).astype(np.int16))
    encoded = encode_network([codes], CodecOptions(codec="ans", virtual_lanes=4))
    weights = {"w": codes.codes.astype(np.int8)}
    streams = {"w": encoded.streams[0], "other": b"?"}
    table_set = TableSet.from_bytes(encoded.tables)
    for shift, fits in ((NARROW_MAX_SHIFT, True), (NARROW_MAX_SHIFT + 1, False)):
        tables = replace(table_set, shifts=(shift,) * len(table_set.shifts)).to_bytes()
        image = network_image(weights, streams, tables, SHAPE, "net")
        assert (image.tables is not None, image.layers["w"].compressed) == (fits, fits)
    assert not network_image(weights, streams, b"", SHAPE, "net").layers["w"].compressed


@pytest.mark.parametrize("bus_bits", [16, 64, 256])
def test_streams_start_on_bus_words(digits, bus_bits):
    model, _ = digits
    image = compile_network(model, SHAPE, "net", bus_bits).image.content
    assert len(image) % (bus_bits // 8) == 0
    assert all(entry.offset % (bus_bits // 8) == 0 for entry in read_image_table(image))


def test_more_entries_than_a_walk_can_name():
    weights = {f"w{number}": np.ones((16, 1), np.int8) for number in range(4100)}
    with pytest.raises(InputError, match=r"^net: does not fit one image \(.*\); run parts of it$"):
        network_image(weights, {}, b"", ArrayShape(16, 1, 1, 16), "net")
