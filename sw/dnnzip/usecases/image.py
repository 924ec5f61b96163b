"""The memory image of a compressed model: its streams as an accelerator's DMA finds them, and where each one is.

The layout is that of ``dnnzip.format.image``; layers come in the order in which the network executes them. Streams are
checked by decoding them, then copied one layer at a time.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from dnnzip.codec import split_streams
from dnnzip.errors import InputError, field_name
from dnnzip.format import (
    IMAGE_NO_LAYER,
    WORD_BYTES,
    Codec,
    ImageEntry,
    TableHeader,
    WeightHeader,
    check_bus_bits,
    image_head,
    table_bytes,
)
from dnnzip.onnx.container import CompressedLayer, CompressedModel, decode_layer
from dnnzip.onnx.execution_order import execution_order
from dnnzip.onnx.files import open_output
from dnnzip.onnx.scaling import layer_scalings
from dnnzip.usecases.image_header import default_prefix, image_header
from dnnzip.usecases.image_stream import ImageLayer, ImageStream

IMAGE_FILE, TABLE_FILE, HEADER_FILE = "weights.bin", "weights.json", "weights.h"


@dataclass(frozen=True)
class Image:
    """Where everything is in a memory image.

    Parameters
    ----------
    bus_bits
        Width of the bus.
    size
        Bytes of the image.
    layers
        The layers by their numbers, in the order of execution.
    streams
        The table set, where there is one, and the weight streams, as they lie in the image.
    weights
        Weights of all layers.
    side_bytes
        Bytes that a consumer of the weights needs beside the image: steps and zero points.
    table_set
        Id of the table set, None where there is none.
    """

    bus_bits: int
    size: int
    layers: tuple[ImageLayer, ...]
    streams: tuple[ImageStream, ...]
    weights: int
    side_bytes: int
    table_set: int | None

    @property
    def stream_bytes(self) -> int:
        """Bytes of all streams, table set included."""
        return sum(stream.bytes for stream in self.streams)

    @property
    def head(self) -> bytes:
        """The image's header and table."""
        return image_head(self.bus_bits // 8, len(self.layers), self.size, [stream.entry for stream in self.streams])

    @property
    def padding(self) -> int:
        """Bytes between streams, and between the table and the first of them."""
        return self.size - len(self.head) - self.stream_bytes

    @property
    def bits_per_weight(self) -> float:
        """Bits of the whole image, and of what is needed beside it, per weight."""
        return 8 * (self.size + self.side_bytes) / self.weights

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object: ``totals``, ``table_set``, ``streams``."""
        tables = [stream for stream in self.streams if stream.entry.is_table_set]
        return {
            "image": IMAGE_FILE,
            "bus_bits": self.bus_bits,
            "totals": {
                "weights": self.weights,
                "layers": len(self.layers),
                "streams": len(self.streams) - len(tables),
                "image_bytes": self.size,
                "head_bytes": len(self.head),
                "stream_bytes": self.stream_bytes,
                "padding_bytes": self.padding,
                "side_bytes": self.side_bytes,
                "bits_per_weight": self.bits_per_weight,
            },
            "table_set": {"id": self.table_set, **tables[0].as_json()} if tables else None,
            "streams": [stream.as_json() for stream in self.streams if not stream.entry.is_table_set],
        }


def plan_image(compressed: CompressedModel, bus_bits: int, step: Callable[[str], None] | None = None) -> Image:
    """Check every stream of a compressed model and lay the streams out.

    Parameters
    ----------
    compressed
        The model.
    bus_bits
        Width of the bus: streams start on a multiple of it.
    step
        Called with the name of each layer that is done.

    Raises
    ------
    InputError
        The bus has no such width, a stream is damaged, or the image would pass what its fields can say.
    """
    try:
        check_bus_bits(bus_bits)
    except ValueError as error:
        raise InputError(field_name("bus_bits"), str(error)) from None
    layers = _in_execution_order(compressed)
    described = tuple(ImageLayer(layer.name, layer.dtype.name, layer.shape) for layer in layers)
    scalings = layer_scalings(compressed)
    unplaced = []
    if compressed.tables:
        unplaced.append(ImageStream(ImageEntry(0, 0, _words(compressed.tables), IMAGE_NO_LAYER)))
    for number, layer in enumerate(layers):
        decode_layer(compressed, layer)
        first = 0
        for part, stream in enumerate(split_streams(layer.stream)):
            header = WeightHeader.unpack(stream)
            entry = ImageEntry(
                0,
                0,
                _words(stream),
                number,
                part,
                first,
                header.channels,
                header.length,
                virtual_lanes=header.lanes,
            )
            scaling = scalings[layer.name].of_channels(first, header.channels)
            unplaced.append(ImageStream(entry, described[number], Codec(header.codec).name.lower(), scaling))
            first += header.channels
        if step is not None:
            step(layer.name)
    streams, size = _placed(unplaced, bus_bits // 8)
    image = Image(
        bus_bits,
        size,
        described,
        streams,
        sum(layer.weights for layer in compressed.layers),
        sum(layer.side_bytes for layer in compressed.layers),
        TableHeader.unpack(compressed.tables).table_set if compressed.tables else None,
    )
    try:
        _ = image.head
    except ValueError as error:
        raise InputError(compressed.where, f"does not fit one image ({error})", "compress parts of it") from None
    return image


def _in_execution_order(compressed: CompressedModel) -> list[CompressedLayer]:
    by_name = {layer.name: layer for layer in compressed.layers}
    return [by_name[name] for name in execution_order(compressed.model, list(by_name))]


def _words(stream: bytes) -> int:
    return -(-len(stream) // WORD_BYTES)


def _placed(streams: Sequence[ImageStream], bus_bytes: int) -> tuple[tuple[ImageStream, ...], int]:
    """Return the streams with their places, one after the other behind the table, and the size of it all."""
    placed, bus_word = [], -(-table_bytes(len(streams)) // bus_bytes)
    for stream in streams:
        bus_words = -(-stream.bytes // bus_bytes)
        placed.append(replace(stream, entry=replace(stream.entry, offset=bus_word * bus_bytes, bus_words=bus_words)))
        bus_word += bus_words
    return tuple(placed), bus_word * bus_bytes


def write_image(image: Image, compressed: CompressedModel, folder: str | Path, prefix: str | None = None) -> list[Path]:
    """Write the image, its address table as JSON and the same as a C header; all of them, or none.

    Parameters
    ----------
    image
        What ``plan_image`` made of the model.
    compressed
        The model.
    folder
        Where to; it is made where it is missing.
    prefix
        What every name of the C header begins with (`check_prefix`); by default made from the folder's name.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    folder = Path(folder)
    prefix = default_prefix(folder.resolve().name) if prefix is None else prefix
    # X(folder.resolve().name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            str(folder), f"cannot be made ({error.strerror or error})", "name a folder, or a place for one"
        ) from None
    paths = [folder / name for name in (IMAGE_FILE, TABLE_FILE, HEADER_FILE)]
    # All are complete before the first gets its name.
    with ExitStack() as outputs:
        binary, table, header = [outputs.enter_context(open_output(path)) for path in paths]
        with binary.open("wb") as file:
            _write_streams(image, compressed, file)
        table.write_text(json.dumps(image.as_json(), indent=2) + "\n", encoding="utf-8")
        text = image_header(prefix, image.size, image.bus_bits // 8, image.layers, image.streams)
        header.write_text(text, encoding="utf-8")
    return paths


def _write_streams(image: Image, compressed: CompressedModel, file: BinaryIO) -> None:
    """Write the image to an open file, one layer at a time."""
    position = file.write(image.head)
    for placed, stream in zip(image.streams, _streams(image, compressed), strict=True):
        file.write(bytes(placed.entry.offset - position))
        position = placed.entry.offset + file.write(stream)
    file.write(bytes(image.size - position))


def _streams(image: Image, compressed: CompressedModel) -> Iterator[bytes]:
    if compressed.tables:
        yield compressed.tables
    by_name = {layer.name: layer for layer in compressed.layers}
    for layer in image.layers:
        yield from split_streams(by_name[layer.name].stream)
