"""The layers and streams of a memory image, as its address table describes them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnzip.format import WORD_BYTES, ImageEntry
from dnnzip.onnx.scaling import Scaling


@dataclass(frozen=True)
class ImageLayer:
    """A layer of the image."""

    name: str  # name of the weight
    type: str  # type of its elements
    shape: tuple[int, ...]  # its shape
    # Smallest and largest value of an integer type; both 0 of a float type.
    lowest: int = 0
    largest: int = 0


@dataclass(frozen=True)
class ImageStream:
    """A stream of the image."""

    entry: ImageEntry  # its entry in the image's table
    layer: ImageLayer | None = None  # its layer; None for the table set
    codec: str = ""  # name of its codec; empty for the table set
    scaling: Scaling | None = None  # scales and zero points of its channels; None for the table set

    @property
    def name(self) -> str:
        """Name of the layer; empty for the table set."""
        return self.layer.name if self.layer else ""

    @property
    def bytes(self) -> int:
        """Bytes of the stream, without padding."""
        return self.entry.words * WORD_BYTES

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        place = {
            "offset": self.entry.offset,
            "bytes": self.bytes,
            "words": self.entry.words,
            "bus_words": self.entry.bus_words,
        }
        if self.layer is None or self.scaling is None:
            return place
        return {
            "name": self.layer.name,
            "type": self.layer.type,
            "shape": list(self.layer.shape),
            "layer": self.entry.layer,
            "part": self.entry.part,
            "codec": self.codec,
            **place,
            "first_channel": self.entry.first_channel,
            "channels": self.entry.channels,
            "length": self.entry.length,
            "step": self.scaling.step,
            "scale": _one_or_all(self.scaling.scale),
            "zero_point": _one_or_all(self.scaling.zero_point),
        }


def _one_or_all(values: NDArray[np.generic]) -> Any:
    """Return the value that all channels share, None where there is none, or the list of the channels' values."""
    numbers = values.tolist()
    return numbers if len(numbers) > 1 else next(iter(numbers), None)
