"""The networks of ``make gain``, and how each is compressed for an array."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

from dnnzip import digits
from dnnzip.array.network import compile_network
from dnnzip.codec import CodecOptions
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.format.array import ArrayShape
from dnnzip.onnx.files import load_model
from dnnzip.onnx.geometry import Convolution
from dnnzip.quantize.bound import Bound
from dnnzip.usecases import compress as compression
from dnnzip.usecases.quantize import quantise_network

CALIBRATION_SAMPLES = 200


@dataclass(frozen=True)
class Network:
    """A network to measure."""

    name: str
    model: onnx.ModelProto  # the network with weights of 8 bits
    data: Dataset


def networks(zoo: Path | None) -> Iterator[Network]:
    """Yield the digits network, and where there is a zoo, those of it that the array runs."""
    data = load_dataset(digits.TEST_SET)
    yield Network("lenet5_digits", quantise_network(load_model(digits.MODEL), data, "lenet5_digits"), data)
    if zoo is None:
        return
    data = load_dataset(zoo / "mnist.npz", CALIBRATION_SAMPLES)
    yield Network("lenet5_mnist", quantise_network(load_model(zoo / "lenet5_mnist.onnx"), data, "lenet5_mnist"), data)
    for name, samples in (("resnet8_cifar10_int8", "cifar10_ic01"), ("dscnn_kws_int8", "kws01")):
        yield Network(name, load_model(zoo / f"{name}.onnx"), load_dataset(zoo / f"{samples}.npz", CALIBRATION_SAMPLES))


def compressed(network: Network, bound: str, shape: ArrayShape) -> onnx.ModelProto:
    """Return a network compressed for an array, as ``dnnzip compress`` does it with options that suit the array.

    All weights go on as many virtual lanes as a lane group has rows. Left out are layers that would then need more
    passes than as plain weights, because their channels are no power of two below that, and that multiply so often
    that their weights are not what takes the time.
    """
    options = compression.CompressionOptions(
        Bound.parse(bound),
        codec=CodecOptions(codec="ans", virtual_lanes=shape.rows_per_group, groups=shape.groups),
        exclude=tuple(_needing_passes(network, shape)),
    )
    return compression.compress(network.model, options, network.name).compressed.model


def _needing_passes(network: Network, shape: ArrayShape) -> Iterator[str]:
    """Name the layers that a stream would slow down."""
    compiled = compile_network(network.model, shape, network.name)
    for own in compiled.layers.values():
        rows = min(shape.rows_per_group, -(-own.layer.channels // shape.groups))
        if rows & rows - 1 and isinstance(own.layer.geometry, Convolution):
            yield own.layer.name
