"""dnnzip in the comparison: one table set for the network, every header, checksum and padding counted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import CodeTensor, decode_tensor, encode_network
from dnnzip.format import WeightStream
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.step_grid import FLOAT_BITS
from dnnzip_bench.coders.coder import Coder

ENTROPY_SHARE = 1.01
NETWORK_BYTES = 512
TENSOR_BYTES = 24
LANE_BYTES = 1.25
"""Greatest size of a network: this multiple of the entropy of its codes, plus these bytes for each network, tensor and
virtual lane.
"""


class Dnnzip(Coder):
    """The default codec."""

    STEP_BITS = FLOAT_BITS
    name = "dnnzip"
    remark = "`ans`, 512 states; the search for the step, the training of the table set and all choices are timed"

    def encode(self) -> Sequence[bytes]:
        """Return the table set, then each tensor's streams."""
        tensors = []
        for weight in self.task.weights:
            tensors.append(CodeTensor(weight.name, quantise(weight, self.task.bound).codes, weight.layout.kernel))
        encoded = encode_network(tensors)
        return [encoded.tables, *encoded.streams]

    def decode(self, streams: Sequence[bytes]) -> list[NDArray[np.generic]]:
        """Return the values of the codes in the streams."""
        tables, *rest = streams
        return [self.task.restored(index, decode_tensor(stream, tables)) for index, stream in enumerate(rest)]

    def limit_bits(self, streams: Sequence[bytes]) -> float:
        """Return the largest size that the codec's targets allow, from the entropy of the codes."""
        overhead = NETWORK_BYTES + TENSOR_BYTES * len(self.task.weights)
        lanes = 0
        for tensor in streams[1:]:
            for part in WeightStream.split(tensor):
                lanes += 1 << part.header.log2_lanes
        return ENTROPY_SHARE * self.task.entropy() + 8 * (overhead + LANE_BYTES * lanes)
