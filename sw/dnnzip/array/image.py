"""The memory image of a network for the array: the streams of its layers as they are, or their weights plainly.

A compressed layer's streams are taken as they are where the array's decompressors can decode them and they come in the
order of tiles: all of them ``ans`` streams of 8-bit codes, with no more virtual lanes than a group has rows. Weights of
every other layer lie in the image as plain bytes, divided among the lane groups.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.job import ArrayShape
from dnnzip.array.program import Part
from dnnzip.codec.beat_order import passes_from_channels
from dnnzip.errors import InputError
from dnnzip.format import (
    IMAGE_NO_LAYER,
    MAX_LOG2_STATES,
    NARROW_BITS,
    WORD_BYTES,
    Codec,
    ImageEntry,
    ImageKind,
    Limits,
    TableSet,
    VerdictError,
    WeightStream,
    check_supported,
    image_head,
    table_bytes,
)
from dnnzip.format.program import Walk

BUS_BITS = 64
"""Streams start on words of so many bits where nothing else is said; narrower buses are served as well."""


@dataclass(frozen=True)
class PlacedLayer:
    """A layer in the image.

    Parameters
    ----------
    parts
        Its streams.
    walk
        Their entries in the image's table.
    compressed
        Whether they are streams that the array decodes.
    bytes
        Their size, without padding.
    """

    parts: tuple[Part, ...]
    walk: Walk
    compressed: bool
    bytes: int


@dataclass(frozen=True)
class NetworkImage:
    """The image of a network.

    Parameters
    ----------
    content
        Its bytes.
    layers
        Name of a weight to its place.
    tables
        The table set's entry; None where no layer needs it.
    table_bytes
        Size of the table set in the image.
    """

    content: bytes
    layers: dict[str, PlacedLayer]
    tables: Walk | None
    table_bytes: int


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
    shape
        The array.
    where
        The model, for messages.
    bus_bits
        Streams start on words of so many bits.

    Raises
    ------
    InputError
        The image would pass what its fields can say.
    """
    decodable = _has_tables_that_fit(tables)
    found: list[tuple[ImageEntry, bytes]] = []
    suited = {
        name: split
        for name, stream in streams.items()
        if name in weights and decodable and (split := _suited(stream, shape))
    }
    if suited:
        found.append((ImageEntry(0, 0, 0, IMAGE_NO_LAYER), tables))
    layers = {}
    for number, (name, rows) in enumerate(weights.items()):
        own = _streamed(suited[name], number) if name in suited else _plain(rows, number, shape)
        parts = tuple(Part(entry.first_channel, entry.channels, entry.virtual_lanes) for entry, _ in own)
        size = sum(len(data) for _, data in own)
        layers[name] = PlacedLayer(parts, Walk(len(found), len(own)), name in suited, size)
        found += own
    try:
        content = _content(found, len(layers), bus_bits // 8)
        for layer in layers.values():
            layer.walk.pack()
    except ValueError as error:
        raise InputError(where, f"does not fit one image ({error})", "run parts of it") from None
    return NetworkImage(content, layers, Walk(0, 1) if suited else None, len(tables) if suited else 0)


def _content(found: Sequence[tuple[ImageEntry, bytes]], layers: int, bus_bytes: int) -> bytes:
    """Return the image of entries and their bytes; the entries' places and sizes are filled in here."""
    position = -(-table_bytes(len(found)) // bus_bytes) * bus_bytes
    entries, body = [], []
    for entry, data in found:
        words = -(-len(data) // WORD_BYTES)
        bus_words = -(-words * WORD_BYTES // bus_bytes)
        entries.append(replace(entry, offset=position, bus_words=bus_words, words=words))
        body.append(data.ljust(bus_words * bus_bytes, b"\0"))
        position += bus_words * bus_bytes
    start = -(-table_bytes(len(found)) // bus_bytes) * bus_bytes
    return b"".join([image_head(bus_bytes, layers, position, entries).ljust(start, b"\0"), *body])


def _limits(shape: ArrayShape) -> Limits:
    return Limits(shape.rows_per_group.bit_length() - 1, MAX_LOG2_STATES, NARROW_BITS, False)


def _has_tables_that_fit(tables: bytes) -> bool:
    """Whether a decoder of 8-bit codes takes a table set."""
    if not tables:
        return False
    try:
        TableSet.from_bytes(tables, max_shift=Limits(code_bits=NARROW_BITS).low_bits)
    except VerdictError:
        return False
    return True


def _suited(stream: bytes, shape: ArrayShape) -> list[WeightStream]:
    """Return a layer's streams where the array can take them as they are; none otherwise."""
    streams = WeightStream.split(stream)
    for part in streams:
        try:
            check_supported(part.data[: 2 * WORD_BYTES], _limits(shape))
        except VerdictError:
            return []
        if part.header.codec != Codec.ANS:
            return []
    return streams


def _streamed(streams: Sequence[WeightStream], number: int) -> list[tuple[ImageEntry, bytes]]:
    found, first = [], 0
    for part, stream in enumerate(streams):
        header = stream.header
        entry = ImageEntry(0, 0, 0, number, part, first, header.channels, header.length, virtual_lanes=header.lanes)
        found.append((entry, stream.data))
        first += header.channels
    return found


def _plain(rows: NDArray[np.int8], number: int, shape: ArrayShape) -> list[tuple[ImageEntry, bytes]]:
    channels, length = rows.shape
    edges = np.linspace(0, channels, min(shape.groups, channels) + 1).astype(int).tolist()
    found = []
    for part, (start, end) in enumerate(pairwise(edges)):
        lanes = min(shape.rows_per_group, end - start)
        entry = ImageEntry(0, 0, 0, number, part, start, end - start, length, ImageKind.PLAIN, lanes)
        found.append((entry, passes_from_channels(rows[start:end], lanes).tobytes()))
    return found
