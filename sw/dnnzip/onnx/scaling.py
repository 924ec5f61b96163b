"""Factors and offsets of a layer's codes, for a consumer that has the streams and not the network."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.onnx.compressed import CompressedLayer, CompressedModel
from dnnzip.onnx.decompression import decoded_skeleton
from dnnzip.onnx.graph import GraphIndex, operand
from dnnzip.onnx.rescale import scale_use
from dnnzip.onnx.rules import Reader, stored_array
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.grid import FloatGrid, IntegerGrid
from dnnzip.quantize.layout import Layout

Scales = NDArray[np.float32]
Number = TypeVar("Number", np.float32, np.int32)

NO_SCALE = np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False)
class Scaling:
    """Scales and zero points of a layer, or of some of its channels.

    A float weight is ``scale * code``, so that its scale is its step. An integer weight is ``zero_point + step * code``
    in its type: at step 1 modulo the number of values of the type, at another one clipped to it. Its value is
    ``scale * (weight - zero_point)``, with the scale of the network.
    """

    # float32: one, or one for each channel; none where the stream holds the original bytes, or where the network has no
    # constant scale of the layer's own. Of ConvInteger and MatMulInteger it is the constant of the Mul that the sums go
    # through, which may hold the scale of the activations too.
    scale: Scales
    zero_point: NDArray[np.int32]  # int32: one, or one for each channel; 0 of float weights
    # Step of the codes of integer weights, in steps of their type; 1 where the network's scales hold it, and of floats.
    step: int = 1

    def of_channels(self, first: int, count: int) -> "Scaling":
        """Return those of some channels; one value for all stays one."""
        part = slice(first, first + count)
        scale, point = self.scale, self.zero_point
        return Scaling(scale if scale.size <= 1 else scale[part], point if point.size <= 1 else point[part], self.step)


def layer_scalings(compressed: CompressedModel) -> dict[str, Scaling]:
    """Return the scaling of each layer by its name."""
    integers = {layer.name for layer in compressed.layers if layer.grid.element.is_integer}
    network = _network_scales(decoded_skeleton(compressed), integers) if integers else {}
    return {layer.name: _scaling(layer, network.get(layer.name, NO_SCALE)) for layer in compressed.layers}


def _scaling(layer: CompressedLayer, network_scale: Scales) -> Scaling:
    point = np.zeros(1, np.int32)
    grid = layer.grid
    if not isinstance(grid, IntegerGrid):
        return Scaling(grid.step.reshape(-1) if isinstance(grid, FloatGrid) else NO_SCALE, point)
    if grid.zero_point is not None:
        point = grid.zero_point.reshape(-1).astype(np.int32)
    step = 1 if layer.is_folded else grid.divisor
    return Scaling(_by_channel(network_scale, layer.layout), _by_channel(point, layer.layout), step)


def _by_channel(values: NDArray[Number], layout: Layout) -> NDArray[Number]:
    """Return one value for each output channel, of one for each entry of the channel axis; one for all stays one."""
    return np.tile(values, layout.group) if values.size > 1 else values


def _network_scales(network: onnx.ModelProto, names: set[str]) -> dict[str, Scales]:
    """Return the scales that a network has for integer weights: those on which all of a weight's readers agree."""
    weights, _ = find_weights(network)
    index = GraphIndex(network)
    found = {}
    for weight in weights:
        if weight.name in names:
            scales = [_reader_scale(reader, index) for reader in weight.readers]
            if all(np.array_equal(scale, scales[0]) for scale in scales):
                found[weight.name] = scales[0]
    return found


def _reader_scale(reader: Reader, index: GraphIndex) -> Scales:
    """Return one reader's scales: one, or one for each entry of the channel axis; none where they are not known."""
    use = scale_use(reader, index)
    if use is None:
        return NO_SCALE
    with np.errstate(over="ignore"):
        scale = stored_array(index.initializers[operand(use.node, use.index)]).reshape(-1).astype(np.float32)
    is_known = bool(np.all(np.isfinite(scale))) and (scale.size == 1 or _is_along_channels(scale, reader))
    return scale if is_known else NO_SCALE


def _is_along_channels(scale: Scales, reader: Reader) -> bool:
    layout = reader.layout
    return scale.size == layout.shape[layout.axis] and reader.quantised_axis == layout.axis
