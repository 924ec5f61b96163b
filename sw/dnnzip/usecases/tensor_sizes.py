"""Sizes of a compressed weight file: the numbers of ``compress`` and ``info``."""

from dnnzip.onnx.compressed import CompressedLayer
from dnnzip.onnx.weights import LeftOut
from dnnzip.quantize.layout import Layout
from dnnzip.usecases.summary import Summary
from dnnzip.weight_files.compressed import CompressedFile


def summarise_tensors(compressed: CompressedFile) -> Summary:
    """Return the sizes of a compressed weight file."""
    layers = (
        CompressedLayer(tensor.name, Layout(tensor.shape, 0), tensor.stored, tensor.grid, tensor.codec, position)
        for position, tensor in enumerate(compressed.tensors)
    )
    left_out = (
        LeftOut(item.entry.name, item.rule, item.entry.shape, item.entry.size, item.entry.content.length, True)
        for item in compressed.left_out
    )
    return Summary(tuple(layers), tuple(left_out), len(compressed.tables))
