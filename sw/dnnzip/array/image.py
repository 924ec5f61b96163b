"""The memory image of a network for the array: the streams of its layers as they are, or their weights plainly.

A compressed layer's streams are taken as they are where the array's decompressors can decode them and they come in the
order of tiles: all of them ``ans`` streams of 8-bit codes, with no more virtual lanes than a group has rows. Weights of
every other layer lie in the image as plain bytes, divided among the lane groups.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec.beat_order import passes_from_channels
from dnnzip.errors import InputError
from dnnzip.format import (
    WORD_BYTES,
    Codec,
    ImageEntry,
    ImageKind,
    ImageLayout,
    TableSet,
    VerdictError,
    WeightStream,
    check_supported,
    stream_entries,
    table_set_entry,
    words_of,
)
from dnnzip.format.array import ArrayShape
from dnnzip.format.program import Walk
from dnnzip.format.schedule import shares

BUS_BITS = 64
"""Default width in bits of the words on which streams start; narrower buses are served as well."""


@dataclass(frozen=True)
class PlacedLayer:
    """A layer in the image."""

    parts: tuple[ImageEntry, ...]  # its streams, without their places
    walk: Walk  # the same in the image's table
    compressed: bool  # whether they are streams that the array decodes
    bytes: int  # their size, without padding


@dataclass(frozen=True)
class NetworkImage:
    """The image of a network."""

    content: bytes
    layers: dict[str, PlacedLayer]  # name of a weight to its place
    tables: Walk | None  # the table set's entry; None where no layer needs it
    table_bytes: int  # size of the table set in the image


def network_image(
    weights: Mapping[str, NDArray[np.int8]],
    streams: Mapping[str, bytes],
    tables: bytes,
    shape: ArrayShape,
    where: str,
    bus_bits: int = BUS_BITS,
) -> NetworkImage:
    """Return the image of a network.

    Parameters
    ----------
    weights
        Name to weights less their zero point, int8 [channels, length], of every layer.
    streams
        Name to the streams, one after the other, of the compressed ones.
    tables
        Their table set; may be empty.
    bus_bits
        Width in bits of the words on which streams start.

    Raises
    ------
    InputError
        The image is larger than its fields can express.
    """
    suited = _suited(streams, weights, tables, shape)
    entries = [table_set_entry(tables)] if suited else []
    contents = [tables] if suited else []
    layers = {}
    for number, (name, rows) in enumerate(weights.items()):
        if name in suited:
            own, data = stream_entries(suited[name], number), [stream.data for stream in suited[name]]
        else:
            own, data = _plain(rows, number, shape)
        size = sum(map(len, data))
        layers[name] = PlacedLayer(tuple(own), Walk(len(entries), len(own)), name in suited, size)
        entries += own
        contents += data
    try:
        content = b"".join(ImageLayout(entries, bus_bits // 8).content(len(layers), contents))
        for layer in layers.values():
            layer.walk.pack()
    except ValueError as error:
        raise InputError(where, f"does not fit one image ({error})", "run parts of it") from None
    return NetworkImage(content, layers, Walk(0, 1) if suited else None, len(tables) if suited else 0)


def _suited(
    streams: Mapping[str, bytes], weights: Mapping[str, NDArray[np.int8]], tables: bytes, shape: ArrayShape
) -> dict[str, list[WeightStream]]:
    """Return the streams of the layers that the array can take as they are."""
    if not _has_tables_that_fit(tables, shape):
        return {}
    split = {name: WeightStream.split(stream) for name, stream in streams.items() if name in weights}
    return {name: parts for name, parts in split.items() if all(_is_suited(part, shape) for part in parts)}


def _has_tables_that_fit(tables: bytes, shape: ArrayShape) -> bool:
    """Return True if the array's decoders take a table set."""
    if not tables:
        return False
    try:
        TableSet.from_bytes(tables, max_shift=shape.limits.low_bits)
    except VerdictError:
        return False
    return True


def _is_suited(stream: WeightStream, shape: ArrayShape) -> bool:
    """Return True if the array's decoders take a stream, in the order of tiles."""
    try:
        check_supported(stream.data[: 2 * WORD_BYTES], shape.limits)
    except VerdictError:
        return False
    return stream.header.codec == Codec.ANS


def _plain(rows: NDArray[np.int8], number: int, shape: ArrayShape) -> tuple[list[ImageEntry], list[bytes]]:
    """Return the entries and the bytes of plain weights, divided among the lane groups."""
    channels, length = rows.shape
    entries, contents = [], []
    for part, own in enumerate(shares(channels, shape.groups)):
        lanes = min(shape.rows_per_group, len(own))
        data = passes_from_channels(rows[own.start : own.stop], lanes).tobytes()
        entries.append(
            ImageEntry(0, 0, words_of(data), number, part, own.start, len(own), length, ImageKind.PLAIN, lanes)
        )
        contents.append(data)
    return entries, contents
