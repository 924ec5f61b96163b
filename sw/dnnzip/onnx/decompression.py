"""The plain network of a compressed model: each layer decoded, and its weights in the place of its node."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from dnnzip.encoding import Reading, decode_codes, restore_weights
from dnnzip.inputs.memory import memory_for
from dnnzip.onnx.biases import remove_declaration
from dnnzip.onnx.compressed import DOMAIN, CompressedLayer, CompressedModel
from dnnzip.onnx.descriptions import restore_descriptions
from dnnzip.onnx.graph import reads_of, remove_where, replace_nodes
from dnnzip.onnx.lazy_tensors import set_place
from dnnzip.onnx.removal import copy_without_values
from dnnzip.onnx.tensor_bytes import packed
from dnnzip.quantize.element_type import element_type
from dnnzip.quantize.grid import IntegerGrid
from dnnzip.system.spool import Spool


def decoded_skeleton(compressed: CompressedModel) -> onnx.ModelProto:
    """Return the plain network of a compressed model, but for its weights: they are initializers without values."""
    return _plain(compressed, _tensor_of)


def decode_layer(compressed: CompressedModel, layer: CompressedLayer) -> NDArray[np.generic]:
    """Decode a layer's stream with the software codec.

    Returns
    -------
    int16 [channels, length] codes, or int16 [1, items] where the stream holds the original bytes.

    Raises
    ------
    InputError
        The stream is damaged, of a newer version, or represents more values than there is memory for.
    """
    return decode_codes(layer.stream, compressed.tables, layer.items, _reading(compressed.where, layer))


def restore(layer: CompressedLayer, decoded: NDArray[np.generic], where: str = "") -> NDArray[np.generic]:
    """Return the weights that decoded codes or items represent, in their own type and shape.

    Parameters
    ----------
    decoded
        Values of its stream, decoded: int16 [channels, length] codes, or int16 [1, items] original bytes.

    Raises
    ------
    InputError
        The number or kind of values does not suit the layer, they represent infinite weights or NaN, or there is no
        memory for the weights.
    """
    grid = layer.grid
    if isinstance(grid, IntegerGrid) and layer.divisor > 1:
        # The network's scales hold the divisor, and a zero point is zero.
        grid = replace(grid, divisor=1, zero_point=None)
    return restore_weights(decoded, grid, layer.layout, _reading(where, layer))


def _reading(where: str, layer: CompressedLayer) -> Reading:
    return Reading(": ".join(part for part in (where, f"layer {layer.name!r}") if part))


def _tensor_of(layer: CompressedLayer) -> onnx.TensorProto:
    """Return the initializer of a layer, without values."""
    return onnx.TensorProto(name=layer.name, data_type=layer.stored_type, dims=layer.stored_shape)


def as_stored(layer: CompressedLayer, weights: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the array of a layer as its network has it: where weights share bytes, those."""
    if not layer.packed_bits:
        return weights
    return packed(weights.view(np.uint8), layer.packed_bits).reshape(layer.stored_shape)


def to_plain(compressed: CompressedModel, decoded: Mapping[str, NDArray[np.generic]]) -> onnx.ModelProto:
    """Return the plain network: a copy with initializers in the place of `Decompress` nodes, under the same names.

    Parameters
    ----------
    decoded
        Layer name to what its stream decodes to (`decode_layer`, or the same from another decoder).

    Raises
    ------
    InputError
        A layer's values do not suit it.
    """

    def tensor_of(layer: CompressedLayer) -> onnx.TensorProto:
        values = restore(layer, decoded[layer.name], compressed.where)
        return numpy_helper.from_array(as_stored(layer, values), layer.name)

    return _plain(compressed, tensor_of)


def raw_data(values: NDArray[np.generic]) -> memoryview:
    """Return the bytes of weights as a tensor holds them: those of fewer than eight bits share bytes."""
    little = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<"), copy=False))
    content, element = little.reshape(-1).view(np.uint8), element_type(values.dtype)
    return (packed(content, element.bits) if element is not None and element.bits < 8 else content).data


def _plain(compressed: CompressedModel, tensor_of: Callable[[CompressedLayer], onnx.TensorProto]) -> onnx.ModelProto:
    """Put the tensor of each layer in the place of its node."""
    own = [node for node in compressed.model.graph.node if node.domain == DOMAIN]
    kept = [node for node in compressed.model.graph.node if node.domain != DOMAIN]
    # A zero point that the network reads is its own, and stays.
    gone = {name for node in own for name in node.input if name}.difference(*map(reads_of, kept))
    plain = copy_without_values(compressed.model, gone)
    replace_nodes(plain.graph, kept)
    remove_where(plain.graph.initializer, lambda tensor: tensor.name in gone)
    remove_declaration(plain)
    for layer in compressed.layers:
        plain.graph.initializer.insert(layer.position, tensor_of(layer))
    restore_descriptions(plain, own, {tensor.name: tensor for tensor in compressed.model.graph.initializer})
    remove_where(plain.opset_import, lambda entry: entry.domain == DOMAIN)
    return plain


def decompressed(compressed: CompressedModel, spool: Spool | None = None) -> onnx.ModelProto:
    """Return the plain network, decoded with the software codec; see `to_plain`.

    Parameters
    ----------
    spool
        Takes the weights, layer by layer, and must stay open as long as the result is used; without one they are kept
        in memory.

    Raises
    ------
    InputError
        See `decode_layer` and `restore`; or there is no memory for all weights.
    """

    def tensor_of(layer: CompressedLayer) -> onnx.TensorProto:
        values = restore(layer, decode_layer(compressed, layer), compressed.where)
        if spool is None:
            return numpy_helper.from_array(as_stored(layer, values), layer.name)
        tensor = _tensor_of(layer)
        set_place(tensor, spool.add(raw_data(values)))
        return tensor

    if spool is not None:
        return _plain(compressed, tensor_of)
    size = sum(layer.weights * layer.grid.element.bytes for layer in compressed.layers)
    with memory_for(compressed.where, "all of its weights", size):
        return _plain(compressed, tensor_of)
