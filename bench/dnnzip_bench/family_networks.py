"""The networks that the paper family's estimator comes with, which its published figures are of.

They differ from the networks of these names elsewhere: LeNet-5 stops at 84 outputs, AlexNet has 11 x 11 kernels in its
second layer, no padding and 17 classes, VGG-16 has no last layer.
"""

from collections.abc import Sequence

from dnnzip.accelerator.layers import Kind, Layer, Network

FEATURE_BITS = 8
WEIGHT_BITS = 16


class _Builder:
    """Adds layers one after the other and keeps the size of what the last one returns."""

    def __init__(self, name: str, size: int, channels: int) -> None:
        self.name, self.size, self.channels, self.bits = name, size, channels, FEATURE_BITS
        self.layers: list[Layer] = []

    def conv(self, filters: int, kernel: int, stride: int = 1, padded: bool = False) -> None:
        padding = (self.size * (stride - 1) + kernel - stride) // 2 if padded else 0
        # The tool rounds the output's size up.
        out = -(-(self.size + 2 * padding - kernel) // stride) + 1
        self._add(Kind.CONVOLUTION, filters, kernel * kernel * self.channels, out)

    def pool(self, window: int = 2) -> None:
        self._add(Kind.POOLING, self.channels, window * window, self.size // window)

    def dense(self, neurons: int) -> None:
        self._add(Kind.DENSE, neurons, self.size * self.size * self.channels, 1)

    def _add(self, kind: Kind, units: int, reduction: int, out: int) -> None:
        operator, bits = {
            Kind.CONVOLUTION: ("Conv", FEATURE_BITS),
            Kind.POOLING: ("Pool", self.bits),
            # Outputs of a dense layer are as wide as its weights.
            Kind.DENSE: ("Gemm", max(self.bits, WEIGHT_BITS)),
        }[kind]
        number = len(self.layers)
        self.layers.append(
            Layer(
                name=f"layer{number + 1}",
                operator=operator,
                kind=kind,
                units=units,
                reduction=reduction,
                positions=out * out,
                groups=1,
                weights=0 if kind is Kind.POOLING else units * reduction,
                inputs=self.size * self.size * self.channels,
                outputs=units * out * out,
                source=number - 1 if number else None,
                input_bits=self.bits,
                output_bits=bits,
            )
        )
        self.size, self.channels, self.bits = out, units, bits

    def network(self) -> Network:
        return Network(self.name, tuple(self.layers))


def lenet5() -> Network:
    """Return its LeNet-5, on 32 x 32 inputs."""
    builder = _Builder("lenet5", 32, 1)
    for filters in (6, 16):
        builder.conv(filters, 5)
        builder.pool()
    for neurons in (120, 84):
        builder.dense(neurons)
    return builder.network()


def alexnet() -> Network:
    """Return its AlexNet, on 224 x 224 inputs."""
    builder = _Builder("alexnet", 224, 3)
    builder.conv(96, 11, 4)
    builder.pool()
    builder.conv(256, 11)
    builder.pool()
    for filters in (384, 384, 256):
        builder.conv(filters, 3)
    builder.pool()
    for neurons in (4096, 4096, 17):
        builder.dense(neurons)
    return builder.network()


def vgg16() -> Network:
    """Return its VGG-16, on 224 x 224 inputs."""
    builder = _Builder("vgg16", 224, 3)
    blocks: Sequence[tuple[int, int]] = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
    for count, filters in blocks:
        for _ in range(count):
            builder.conv(filters, 3, padded=True)
        builder.pool()
    for neurons in (4096, 4096):
        builder.dense(neurons)
    return builder.network()


NETWORKS = {"lenet5": lenet5, "alexnet": alexnet, "vgg16": vgg16}
