"""The codec of numcodecs: found in its registry, made again from its options, and in arrays of zarr."""

import json

import numcodecs
import numpy as np
import pytest
import zarr
from numcodecs.registry import get_codec

import dnnzip
from dnnzip.array_codec import DnnzipCodec
from dnnzip.errors import InputError

CONFIG = {"id": "dnnzip", "max_error": "1%"}


def weights_of(shape=(40, 6, 3, 3), dtype=np.float32):
    return np.random.default_rng(6).normal(size=shape).astype(dtype)


def test_the_registry_finds_it_by_its_entry_point():
    codec = get_codec(dict(CONFIG))
    assert type(codec) is DnnzipCodec
    assert "dnnzip" in numcodecs.registry.codec_registry


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8])
def test_a_chunk_comes_back_within_its_bound(dtype):
    array = weights_of() if np.issubdtype(dtype, np.floating) else 9 * weights_of().clip(0, 9)
    array = array.astype(dtype)
    codec = get_codec(CONFIG | {"error_scope": "channel", "axis": 1})
    chunk = codec.encode(array)
    assert chunk == dnnzip.compress(array, "1%", error_scope="channel", axis=1).to_bytes()
    decoded = codec.decode(chunk)
    assert (decoded.dtype, decoded.shape) == (array.dtype, array.shape)
    out = np.empty_like(array)
    assert codec.decode(memoryview(chunk), out=out) is out
    assert (out == decoded).all()
    ranges = np.ptp(array.astype(np.float64), axis=(0, 2, 3), keepdims=True)
    assert (np.abs(out.astype(np.float64) - array.astype(np.float64)) <= 0.01 * ranges).all()


def test_its_options_make_it_again():
    codec = get_codec(CONFIG | {"codec": "ans", "states": 256, "virtual_lanes": 2, "groups": 2, "zero_point": 3})
    config = json.loads(json.dumps(codec.get_config()))
    again = get_codec(dict(config))
    assert again == codec
    assert repr(again) == repr(codec)
    assert eval(repr(codec)) == codec
    array = (9 * weights_of().clip(0, 9)).astype(np.uint8)
    assert again.encode(array) == codec.encode(array)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_error": "200%"}, r"^max_error '200%': is over 100 %; "),
        ({"error_scope": "row"}, r"^error_scope: is 'row'; "),
        ({"states": 128}, r"^states: is 128; "),
        ({"codec": "zip"}, r"^codec: is 'zip'; "),
    ],
)
def test_bad_options_are_refused_before_any_chunk(options, said):
    with pytest.raises(InputError, match=said):
        get_codec(CONFIG | options)


def test_chunks_that_it_cannot_hold_are_refused():
    codec = DnnzipCodec("1%")
    with pytest.raises(InputError, match=r"^array: is of type int64; give float32, "):
        codec.encode(np.eye(3, dtype=np.int64))
    with pytest.raises(InputError, match=r"^Compressed\.from_bytes: is truncated; compress the array again$"):
        codec.decode(codec.encode(np.eye(3, dtype=np.float32))[:-1])


@pytest.mark.parametrize("place", ["compressors", "filters"])
def test_an_array_of_zarr_is_stored_and_read_by_its_name_alone(place):
    array = weights_of()
    store = zarr.storage.MemoryStore()
    options = {"compressors": None, "filters": None} | {place: get_codec(dict(CONFIG))}
    # 40 rows in chunks of 16: the last one is filled up.
    zarr.create_array(store, data=array, chunks=(16, 6, 3, 3), zarr_format=2, **options)
    again = zarr.open_array(store, mode="r")
    assert getattr(again, place) == (DnnzipCodec("1%"),)
    found = again[:]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert 0 < np.abs(found.astype(np.float64) - array).max() <= 0.01 * np.ptp(array.astype(np.float64))
    assert again.nbytes_stored() < array.nbytes / 2
