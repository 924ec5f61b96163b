"""Tasks of the comparison: the weights of a network, or generated ones, under one bound."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from dnnzip.errors import InputError
from dnnzip.onnx.weights import Weight, find_weights
from dnnzip.quantize.bound import Bound, Unit
from dnnzip.quantize.decoded import decoded_values
from dnnzip.quantize.grid import FloatGrid, Lossless, Quantised
from dnnzip.quantize.quantise import quantise

SEED = 0
SPREAD_OF_SCALES = 0.4
"""Standard deviation of the logarithm of a generated channel's scale."""
LARGEST_GENERATED = 10.0
"""Where generated weights are clipped, in median scales: the range is then that of trained weights, 3.7 bits at 1 %."""

LARGEST_INT8 = 127


@dataclass(frozen=True, eq=False)
class Task:
    """The weights of one network and the bound on their error."""

    name: str
    weights: Sequence[Weight]  # its tensors, all of float32 or all of integers
    bound: Bound  # the tolerated error

    @property
    def is_integer(self) -> bool:
        """Return True if the weights are integers."""
        return self.weights[0].element.is_integer

    @property
    def count(self) -> int:
        """Number of weights."""
        return sum(weight.weights for weight in self.weights)

    @cached_property
    def rows(self) -> list[NDArray[np.generic]]:
        """The tensors as [channels, length]."""
        return [weight.layout.to_channels(weight.array) for weight in self.weights]

    @cached_property
    def grids(self) -> list[Quantised]:
        """The tensors on the grid that dnnzip puts them on."""
        return [quantise(weight, self.bound) for weight in self.weights]

    @property
    def codes(self) -> list[NDArray[np.int16]]:
        """The codes on that grid: int16 [channels, length] for each tensor.

        Raises
        ------
        InputError
            A tensor has no grid under the bound.
        """
        codes = [item.codes for item in self.grids if not isinstance(item.grid, Lossless)]
        if len(codes) < len(self.grids):
            raise InputError(self.name, f"has weights without codes at {self.bound.text}", "bench it at a wider bound")
        return codes

    @cached_property
    def _patches(self) -> list[tuple[NDArray[np.int64], NDArray[np.int16]]]:
        """Return where plain rounding does not find the code that keeps the bound, and that code."""
        patches = []
        for index, codes in enumerate(self.codes):
            wrong = np.flatnonzero(self._nearest(index) != codes)
            patches.append((wrong, codes.reshape(-1)[wrong]))
        return patches

    def _nearest(self, index: int) -> NDArray[np.int16]:
        grid = self.grids[index].grid
        assert isinstance(grid, FloatGrid), "integers are not rounded here, and codes are no original bytes"
        step = grid.step
        scaled = self.rows[index].astype(np.float32, copy=False) / step
        return np.asarray(np.rint(scaled, out=scaled).astype(np.int16))

    def rounded(self, index: int) -> NDArray[np.int16]:
        """Put a tensor on its known grid, the work that a coder of codes has before it can start."""
        if self.is_integer:
            return quantise(self.weights[index], self.bound).codes
        rounded = self._nearest(index)
        positions, values = self._patches[index]
        rounded.reshape(-1)[positions] = values
        return rounded

    def restored(self, index: int, codes: NDArray[np.int16]) -> NDArray[np.generic]:
        """Return the float32 values that codes, [channels, length], represent; for integers the codes themselves."""
        grid = self.grids[index].grid
        return decoded_values(codes, grid.step, grid.element) if isinstance(grid, FloatGrid) else codes

    def error(self, index: int, restored: NDArray[np.generic]) -> float:
        """Return the largest error of a decoded tensor: in bounds for floats, in steps for integers."""
        if self.is_integer:
            codes = self.codes[index]
            return self.grids[index].grid.max_error if np.array_equal(codes, restored.reshape(codes.shape)) else np.inf
        rows = self.rows[index].astype(np.float64)
        largest = float(np.abs(rows - restored.reshape(rows.shape).astype(np.float64)).max())
        bound = self.grids[index].grid.max_bound
        return largest / bound if bound else (np.inf if largest else 0.0)

    def is_broken(self, error: float) -> bool:
        """Return True if an error, as ``error`` returns it, is over the bound."""
        return not error <= (float(self.bound.value) if self.bound.unit is Unit.LSB else 1.0)

    def entropy(self) -> float:
        """Return the zero-order entropy of the codes in bits, tensor by tensor, without any side information."""
        bits = 0.0
        for codes in self.codes:
            _, counts = np.unique(codes, return_counts=True)
            bits -= float((counts * np.log2(counts / codes.size)).sum())
        return bits


def weights_of(path: Path) -> list[Weight]:
    """Return the weights of a network that dnnzip compresses.

    Raises
    ------
    InputError
        The file is not there or has none.
    """
    if not path.is_file():
        raise InputError(str(path), "is not there", "set DNNZIP_ZOO to the folder of the trained networks")
    weights, _ = find_weights(onnx.load(path))
    if not weights:
        raise InputError(str(path), "has no weights to compress", "give a model with Conv, Gemm or MatMul weights")
    return weights


def generated_model(count: int) -> onnx.ModelProto:
    """Return a network of one convolution with at least ``count`` weights, from a fixed seed.

    Each output channel is drawn from a Laplace distribution of its own, log-normal scale, and clipped.
    """
    inputs = 512
    channels = max(-(-count // (9 * inputs)), 2)
    random = np.random.default_rng(SEED)
    scales = np.exp(random.normal(0.0, SPREAD_OF_SCALES, channels)).astype(np.float32)
    array = random.laplace(0.0, 1.0, (channels, inputs, 3, 3)).astype(np.float32)
    array *= scales[:, None, None, None]
    np.clip(array, -LARGEST_GENERATED, LARGEST_GENERATED, out=array)
    array *= np.float32(0.01)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weight"], ["y"])],
        "generated",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, array.shape[1], 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, array.shape[0], 6, 6])],
        [numpy_helper.from_array(array, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def per_channel_int8(weight: Weight) -> Weight:
    """Quantise a float tensor to symmetric int8 per output channel, rounding to nearest even."""
    rows = weight.layout.to_channels(weight.array).astype(np.float64)
    scales = np.abs(rows).max(axis=1, keepdims=True) / LARGEST_INT8
    codes = np.rint(rows / np.where(scales > 0, scales, 1.0)).astype(np.int8)
    array = weight.layout.from_channels(codes)
    return replace(weight, tensor=numpy_helper.from_array(array, weight.name), zero_point=np.zeros((), np.int8))
