"""What an operator's weights multiply: the inputs of one output position, as columns in the order of the weights.

The output of a channel at a position is the dot product of its weights, in storage order, with such a column. Means and
covariances over a sample of positions are all that rounding with error feedback and the correction of biases need.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from dnnzip.onnx.weights import Weight

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

#: So many positions are looked at for each weight of a channel, and at least so many where there are more.
POSITIONS_PER_WEIGHT = 4
LEAST_POSITIONS = 2048

#: Bytes that the sampled columns of one operator may take.
MOST_BYTES = 1 << 26


@dataclass(frozen=True, eq=False)
class Columns:
    """Which positions of an operator's outputs are sampled, and how their inputs become columns.

    Parameters
    ----------
    node
        Conv, Gemm or MatMul.
    weight
        Its weight.
    """

    node: onnx.NodeProto
    weight: Weight

    @property
    def groups(self) -> int:
        """Groups of channels that see the same inputs."""
        return int(_attributes(self.node).get("group", 1))

    @property
    def length(self) -> int:
        """Weights of a channel."""
        return self.weight.layout.length

    def is_known(self) -> bool:
        """Whether the operator's outputs are such dot products: not those of ConvTranspose, nor of stacked matrices."""
        values = _attributes(self.node)
        match self.node.op_type:
            case "Conv":
                return len(self.weight.shape) > 2
            case "Gemm":
                plain = values.get("alpha", 1.0) == 1.0 and values.get("beta", 1.0) == 1.0
                return bool(plain and not values.get("transA", 0))
            case "MatMul":
                return len(self.weight.shape) == 2
            case _:
                return False

    def sample(self, batches: Sequence[Array], rng: np.random.Generator) -> Floats:
        """Return the columns of a random sample of positions.

        Parameters
        ----------
        batches
            The operator's inputs.
        rng
            Chooses the positions; the same state gives the same positions.

        Returns
        -------
        float32 [groups, positions, length].
        """
        per_batch = self._positions(batches)
        wanted = min(
            max(LEAST_POSITIONS, POSITIONS_PER_WEIGHT * self.length),
            max(1, MOST_BYTES // (4 * self.length * self.groups)),
        )
        share = min(1.0, wanted / (per_batch * len(batches)))
        parts = []
        for values in batches:
            total = self._positions([values])
            count = max(1, round(share * total))
            chosen = np.sort(rng.choice(total, count, replace=False)) if count < total else np.arange(total)
            parts.append(self._gather(np.asarray(values, np.float32), chosen))
        return np.concatenate(parts, axis=1)

    def samples_for(self, values: Array, samples: int) -> int:
        """Return how many samples have enough positions for the layer, given its inputs for some."""
        return math.ceil(POSITIONS_PER_WEIGHT * self.length * samples / max(self._positions([values]), 1))

    def _positions(self, batches: Sequence[Array]) -> int:
        values = batches[0]
        if self.node.op_type != "Conv":
            return math.prod(values.shape[:-1])
        return int(values.shape[0]) * math.prod(_geometry(self.node, values.shape[2:], self.weight.shape[2:])[0])

    def _gather(self, values: Floats, chosen: NDArray[np.int64]) -> Floats:
        if self.node.op_type != "Conv":
            return values.reshape(-1, values.shape[-1])[chosen][None]
        kernel = self.weight.shape[2:]
        outputs, strides, dilations, pads = _geometry(self.node, values.shape[2:], kernel)
        padded = np.pad(values, [(0, 0), (0, 0), *pads])
        sample, *places = np.unravel_index(chosen, (values.shape[0], *outputs))
        # [positions, channels, *kernel]: for each axis the input coordinates of all taps.
        rank = len(kernel)
        index: list[NDArray[np.int64]] = [
            np.asarray(sample).reshape(-1, *(1,) * (rank + 1)),
            np.arange(values.shape[1]).reshape(1, -1, *(1,) * rank),
        ]
        for axis in range(rank):
            taps = np.arange(kernel[axis]) * dilations[axis]
            shape = [1] * (rank + 2)
            shape[0], shape[axis + 2] = len(chosen), kernel[axis]
            index.append((np.asarray(places[axis])[:, None] * strides[axis] + taps[None, :]).reshape(shape))
        columns = padded[tuple(index)].reshape(len(chosen), self.groups, self.length)
        return np.ascontiguousarray(columns.transpose(1, 0, 2))


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _geometry(
    node: onnx.NodeProto, inputs: Sequence[int], kernel: Sequence[int]
) -> tuple[list[int], list[int], list[int], list[tuple[int, int]]]:
    """Return output sizes, strides, dilations and padding (before, after) of a convolution, for each axis."""
    values = _attributes(node)
    rank = len(kernel)
    strides = list(values.get("strides", [1] * rank))
    dilations = list(values.get("dilations", [1] * rank))
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    auto = values.get("auto_pad", b"NOTSET")
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        outputs = [-(-size // stride) for size, stride in zip(inputs, strides, strict=True)]
        missing = [max((n - 1) * s + r - i, 0) for n, s, r, i in zip(outputs, strides, reach, inputs, strict=True)]
        small = [total // 2 for total in missing]
        pads = [(a, t - a) if auto == b"SAME_UPPER" else (t - a, a) for a, t in zip(small, missing, strict=True)]
        return outputs, strides, dilations, pads
    flat = list(values.get("pads", [0] * 2 * rank)) if auto != b"VALID" else [0] * 2 * rank
    pads = list(zip(flat[:rank], flat[rank:], strict=True))
    outputs = [(i + a + b - r) // s + 1 for i, (a, b), r, s in zip(inputs, pads, reach, strides, strict=True)]
    return outputs, strides, dilations, pads
