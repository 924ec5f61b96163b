"""The bits of bfloat16 weights without loss."""

import numpy as np

from dnnzip.digits import MODEL
from dnnzip_bench.lossless import entropy, measured, rounded_weights


def test_the_weights_of_a_network_are_near_their_entropy():
    weights = rounded_weights(MODEL)
    result = measured("lenet5", weights)
    assert result.weights == sum(weight.array.size for weight in weights)
    assert result.share <= 67.5
    assert result.bits - result.entropy <= 0.15
    assert result.bits < result.zstd


def test_the_entropy_is_that_of_sign_and_exponent():
    weights = rounded_weights(MODEL)
    upper = np.concatenate([weight.array.reshape(-1).view(np.uint16) >> 7 for weight in weights])
    _, counts = np.unique(upper, return_counts=True)
    shares = counts / counts.sum()
    assert abs(entropy(weights) - 7 + (shares * np.log2(shares)).sum()) < 1e-9
