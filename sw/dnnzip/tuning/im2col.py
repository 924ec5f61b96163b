"""Inputs that an operator's weights multiply: those of one output position, as a column in the order of the weights.

The output of a channel at a position is the dot product of its weights, in storage order, with such a column. Means and
covariances over a sample of positions are all that rounding with error feedback and the correction of biases need.
"""

import math
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.onnx.geometry import Geometry, Product, geometry_of
from dnnzip.onnx.graph import factor
from dnnzip.onnx.weights import Weight

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

#: Positions sampled for each weight of a channel, and the fewest sampled where the inputs have that many.
POSITIONS_PER_WEIGHT = 4
LEAST_POSITIONS = 2048

#: Bytes that the sampled columns of one operator may take.
MOST_BYTES = 1 << 26


class Columns:
    """Columns of an operator at a sample of its output positions.

    Parameters
    ----------
    geometry
        The operator's geometry.
    length
        Weights of a channel.
    """

    def __init__(self, geometry: Geometry, length: int) -> None:
        self._geometry = geometry
        self.groups = geometry.groups
        self.length = length

    @classmethod
    def of(cls, node: onnx.NodeProto, weight: Weight) -> "Columns | None":
        """Return the columns of an operator that reads a weight; None where its outputs are no such dot products."""
        geometry = geometry_of(node, weight.shape)
        if geometry is None or (isinstance(geometry, Product) and geometry.transposed):
            return None
        is_plain = factor(node, "alpha") == 1 and factor(node, "beta") == 1
        return cls(geometry, weight.layout.length) if is_plain else None

    def sample(self, batches: Sequence[Array], rng: np.random.Generator) -> Floats:
        """Return the columns of a random sample of positions.

        Parameters
        ----------
        batches
            The operator's inputs.
        rng
            Chooses the positions; the same state chooses the same positions.

        Returns
        -------
        float32 [groups, positions, length].
        """
        per_batch = self._geometry.positions(batches[0].shape)
        wanted = min(
            max(LEAST_POSITIONS, POSITIONS_PER_WEIGHT * self.length),
            max(1, MOST_BYTES // (4 * self.length * self.groups)),
        )
        share = min(1.0, wanted / (per_batch * len(batches)))
        parts = []
        for values in batches:
            total = self._geometry.positions(values.shape)
            count = max(1, round(share * total))
            chosen = np.sort(rng.choice(total, count, replace=False)) if count < total else np.arange(total)
            parts.append(self._geometry.vectors(np.asarray(values, np.float32), chosen=chosen))
        return np.concatenate(parts, axis=1)

    def samples_for(self, values: Array, samples: int) -> int:
        """Return the number of samples with enough positions for the layer.

        Parameters
        ----------
        values
            The layer's input for some samples.
        samples
            Number of these.
        """
        positions = max(self._geometry.positions(values.shape), 1)
        return math.ceil(POSITIONS_PER_WEIGHT * self.length * samples / positions)
