"""The memory image of a compressed model: its streams as an accelerator's DMA finds them, and where each one is.

The layout is that of ``dnnzip.format.image``; layers come in the order in which the network executes them. Streams are
checked by decoding them, then copied one layer at a time.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dnnzip.errors import InputError, field_name
from dnnzip.format import (
    CODECS,
    ImageLayout,
    TableHeader,
    WeightStream,
    check_bus_bits,
    stream_entries,
    table_bytes,
    table_set_entry,
)
from dnnzip.onnx.compressed import CompressedLayer, CompressedModel
from dnnzip.onnx.decompression import decode_layer
from dnnzip.onnx.execution_order import execution_order
from dnnzip.onnx.scaling import layer_scalings
from dnnzip.system.outputs import OutputSet
from dnnzip.usecases.image_header import default_prefix, image_header
from dnnzip.usecases.image_stream import ImageLayer, ImageStream

IMAGE_FILE, TABLE_FILE, HEADER_FILE = "weights.bin", "weights.json", "weights.h"


@dataclass(frozen=True)
class Image:
    """Layout of a memory image."""

    bus_bits: int  # width of the bus
    layout: ImageLayout  # the places of the streams
    layers: tuple[ImageLayer, ...]  # the layers by their numbers, in the order of execution
    # The table set, where there is one, and the weight streams, as they lie in the image.
    streams: tuple[ImageStream, ...]
    weights: int  # weights of all layers
    side_bytes: int  # bytes that a consumer of the weights needs in addition to the image: steps and zero points
    table_set: int | None  # id of the table set, None where there is none

    @property
    def size(self) -> int:
        """Bytes of the image."""
        return self.layout.size

    @property
    def stream_bytes(self) -> int:
        """Bytes of all streams, table set included."""
        return sum(stream.bytes for stream in self.streams)

    @property
    def head_bytes(self) -> int:
        """Bytes of the header and the table."""
        return table_bytes(len(self.streams))

    @property
    def padding(self) -> int:
        """Bytes between streams, and between the table and the first of them."""
        return self.size - self.head_bytes - self.stream_bytes

    @property
    def bits_per_weight(self) -> float:
        """Bits of the whole image, and of the steps and zero points needed in addition, per weight."""
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
                "head_bytes": self.head_bytes,
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
    by_name = {layer.name: layer for layer in compressed.layers}
    layers = [by_name[name] for name in execution_order(compressed.model, list(by_name))]
    described = tuple(map(_described, layers))
    scalings = layer_scalings(compressed)
    streams = [ImageStream(table_set_entry(compressed.tables))] if compressed.tables else []
    for number, layer in enumerate(layers):
        decode_layer(compressed, layer)
        parts = WeightStream.split(layer.stream)
        for entry, stream in zip(stream_entries(parts, number), parts, strict=True):
            scaling = scalings[layer.name].of_channels(entry.first_channel, entry.channels)
            streams.append(ImageStream(entry, described[number], CODECS[stream.header.codec].name, scaling))
        if step is not None:
            step(layer.name)
    layout = ImageLayout([stream.entry for stream in streams], bus_bits // 8)
    try:
        layout.head(len(layers))
    except ValueError as error:
        raise InputError(compressed.where, f"does not fit one image ({error})", "compress parts of it") from None
    return Image(
        bus_bits,
        layout,
        described,
        tuple(replace(stream, entry=entry) for stream, entry in zip(streams, layout.entries, strict=True)),
        sum(layer.weights for layer in compressed.layers),
        sum(layer.grid.side_bytes for layer in compressed.layers),
        TableHeader.unpack(compressed.tables).table_set if compressed.tables else None,
    )


def _described(layer: CompressedLayer) -> ImageLayer:
    element = layer.grid.element
    ends = (int(element.lowest), int(element.largest)) if element.is_integer else (0, 0)
    return ImageLayer(layer.name, element.name, layer.shape, *ends)


def write_image(
    image: Image, compressed: CompressedModel, folder: str | Path, outputs: OutputSet, prefix: str | None = None
) -> list[Path]:
    """Write the image, its address table as JSON and the same as a C header.

    Parameters
    ----------
    image
        The result of ``plan_image`` for the model.
    compressed
        The model.
    folder
        Where to; it is made where it is missing.
    outputs
        The set that the files belong to.
    prefix
        Prefix of every name of the C header (`check_prefix`); by default made from the folder's name.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    folder = Path(folder)
    prefix = default_prefix(folder.resolve().name) if prefix is None else prefix
    outputs.make_folder(folder)
    paths = [folder / name for name in (IMAGE_FILE, TABLE_FILE, HEADER_FILE)]
    with outputs.open(paths[0]) as binary, binary.open("wb") as file:
        file.writelines(image.layout.content(len(image.layers), _streams(image, compressed)))
    outputs.write(paths[1], (json.dumps(image.as_json(), indent=2) + "\n").encode())
    text = image_header(prefix, image.size, image.bus_bits // 8, image.layers, image.streams)
    outputs.write(paths[2], text.encode())
    return paths


def _streams(image: Image, compressed: CompressedModel) -> Iterator[bytes]:
    if compressed.tables:
        yield compressed.tables
    by_name = {layer.name: layer for layer in compressed.layers}
    for layer in image.layers:
        yield from (part.data for part in WeightStream.split(by_name[layer.name].stream))
