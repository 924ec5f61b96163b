"""Every stream of a compressed model through a link, compared bit for bit with the codes of the software's decoder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.codec import join_parts, reference
from dnnzip.errors import CheckFailedError
from dnnzip.format import TableSet, Verdict, VerdictError, WeightStream
from dnnzip.inputs.memory import memory_for
from dnnzip.link import Link, LinkRun, StreamResult
from dnnzip.onnx.compressed import CompressedLayer, CompressedModel
from dnnzip.onnx.decompression import decode_layer, to_plain
from dnnzip.quantize.grid import CODE_BYTES

Decoder = Callable[[CompressedModel, CompressedLayer], NDArray[np.generic]]
"""A software decoder of a layer's stream."""


@dataclass(frozen=True, eq=False)
class LayerRun:
    """Result of a layer from the link."""

    name: str  # the weight's name
    codes: NDArray[np.int16]  # int16 [channels, length], as the link decoded them; zero where a stream did not end well
    weights: int  # weights (for original bytes: 16-bit items) decoded
    mismatches: int  # codes that differ from the software's, or are missing
    cycles: int  # clock cycles of its streams; 0 where the link has no clock
    verdict: Verdict = Verdict.OK  # that of its first stream that did not end with ok; ok where all did

    @property
    def weights_per_cycle(self) -> float:
        """Weights per clock cycle; 0 without a clock."""
        return self.weights / self.cycles if self.cycles else 0.0


@dataclass(frozen=True, eq=False)
class Simulation:
    """Result of a network from the link."""

    layers: tuple[LayerRun, ...]  # one per compressed weight
    run: LinkRun | None  # the link's own figures

    @property
    def weights(self) -> int:
        """Weights decoded."""
        return sum(layer.weights for layer in self.layers)

    @property
    def mismatches(self) -> int:
        """Codes that differ."""
        return sum(layer.mismatches for layer in self.layers)

    @property
    def cycles(self) -> int:
        """Clock cycles of all streams."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def weights_per_cycle(self) -> float:
        """Weights per clock cycle; 0 without a clock."""
        return self.weights / self.cycles if self.cycles else 0.0

    @property
    def weights_per_second(self) -> float:
        """Weights per second of the decoder itself, without its start."""
        return self.run.weights_per_second if self.run else 0.0

    def decoded(self) -> dict[str, NDArray[np.generic]]:
        """Return the codes by name, as ``to_plain`` takes them."""
        return {layer.name: layer.codes for layer in self.layers}

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {
            "weights": self.weights,
            "mismatches": self.mismatches,
            "cycles": self.cycles,
            "weights_per_cycle": self.weights_per_cycle,
            "weights_per_second": self.weights_per_second,
            "table_cycles": self.run.table_cycles if self.run else 0,
            "layers": [
                {
                    "name": layer.name,
                    "weights": layer.weights,
                    "mismatches": layer.mismatches,
                    "cycles": layer.cycles,
                    "weights_per_cycle": layer.weights_per_cycle,
                }
                for layer in self.layers
            ],
        }


def reference_layer(compressed: CompressedModel, layer: CompressedLayer) -> NDArray[np.int16]:
    """Decode a layer with the reference decoder: the norm, in plain Python, about 100 k weights per second."""
    table_set = TableSet.from_bytes(compressed.tables) if compressed.tables else None
    streams = WeightStream.split(layer.stream)
    decoded = [reference.decode(stream.data, table_set) for stream in streams]
    return join_parts([np.array(part.codes, np.int16) for part in decoded], streams)


def simulate(compressed: CompressedModel, link: Link, golden: Decoder = decode_layer) -> Simulation:
    """Decode every stream of a compressed model over a link and compare it with the software's decoder.

    Parameters
    ----------
    compressed
        The model.
    link
        The decoder: simulated RTL, a board, or the reference decoder (`dnnzip.link.golden`).
    golden
        Decodes a layer for the comparison: the fast decoder, or ``reference_layer``.

    Raises
    ------
    InputError
        A stream is damaged for the software's decoder already, or there is no memory for all codes.
    CheckFailedError
        The link does not load the table set.
    """
    values = sum(layer.items for layer in compressed.layers)
    with memory_for(compressed.where, f"{values} values, decoded twice", 2 * CODE_BYTES * values):
        return _simulate(compressed, link, golden)


def _simulate(compressed: CompressedModel, link: Link, golden: Decoder) -> Simulation:
    wanted = [np.asarray(golden(compressed, layer)) for layer in compressed.layers]
    parts = [WeightStream.split(layer.stream) for layer in compressed.layers]
    try:
        results = link.decode(compressed.tables, [stream.data for streams in parts for stream in streams])
    except VerdictError as error:
        raise CheckFailedError(f"table set: the link ended with {error.verdict.label!r}") from None
    layers = []
    position = 0
    for layer, expected, streams in zip(compressed.layers, wanted, parts, strict=True):
        own = results[position : position + len(streams)]
        position += len(streams)
        layers.append(_compare(layer.name, expected, streams, own))
    return Simulation(tuple(layers), link.last_run)


def _compare(
    name: str, expected: NDArray[np.generic], streams: Sequence[WeightStream], results: list[StreamResult]
) -> LayerRun:
    cycles = sum(result.cycles for result in results)
    parts = [result.codes for result in results if result.verdict == Verdict.OK and result.codes is not None]
    if len(parts) == len(streams):
        codes = join_parts(parts, streams)
        if codes.shape == expected.shape:
            return LayerRun(name, codes, codes.size, int((codes != expected).sum()), cycles)
    verdict = next((result.verdict for result in results if result.verdict != Verdict.OK), Verdict.OK)
    return LayerRun(name, np.zeros(expected.shape, np.int16), 0, expected.size, cycles, verdict)


def require(simulation: Simulation) -> None:
    """Raise ``CheckFailedError`` if a code differs, or if nothing was decoded."""
    for layer in simulation.layers:
        if layer.verdict != Verdict.OK:
            raise CheckFailedError(f"layer {layer.name!r}: the link ended with {layer.verdict.label!r}")
        if layer.mismatches:
            raise CheckFailedError(
                f"layer {layer.name!r}: {layer.mismatches} weights differ from the software decoder's"
            )
    if not simulation.weights:
        raise CheckFailedError("no weight was decoded")


def decoded_model(compressed: CompressedModel, simulation: Simulation) -> onnx.ModelProto:
    """Return the plain network with the weights that the link decoded."""
    return to_plain(compressed, simulation.decoded())
