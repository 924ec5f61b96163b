"""Utilisation of the input and the lanes, in counted cycles, on streams whose channels divide evenly over V."""

from pathlib import Path

import numpy as np
import pytest

from dnnzip.codec import CodecOptions, CodeTensor, encode_network
from dnnzip.format import Verdict
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.harness import build_harness, stream_through

PARAMETERS = DecompressorParameters()
WEIGHTS = 1 << 17


def busy(step: float, folder: Path, *, channels: int = 64, kernel: tuple[int, int] = (1, 1)) -> tuple[float, float]:
    """Return the shares of the cycles, header and verdict included, in which a word is taken and in which beats go.

    A larger step takes fewer bits per weight.
    """
    weights = np.random.default_rng(1).laplace(size=(channels, WEIGHTS // channels))
    codes = np.rint(np.clip(weights, -10, 10) / step).astype(np.int16)
    encoded = encode_network([CodeTensor("w", codes, kernel)], CodecOptions("ans"))
    harness = build_harness(PARAMETERS)
    tables, weights_stream = stream_through(harness, [encoded.tables, *encoded.streams], folder).outcomes
    assert tables.verdict == weights_stream.verdict == Verdict.OK
    assert weights_stream.weights.size == WEIGHTS
    words = len(encoded.streams[0]) // 2
    return words / weights_stream.cycles, WEIGHTS / PARAMETERS.lanes / weights_stream.cycles


@pytest.mark.parametrize("step", [2.0, 0.6, 0.4])
def test_the_lanes_are_busy_where_the_input_is_not_the_limit(step: float, tmp_path: Path) -> None:
    input_busy, lanes_busy = busy(step, tmp_path)
    assert lanes_busy >= 0.99, f"lanes {lanes_busy:.4f}, input {input_busy:.4f}"
    assert input_busy < lanes_busy


@pytest.mark.parametrize("step", [0.3, 0.1, 0.02])
def test_the_input_is_busy_where_it_is_the_limit(step: float, tmp_path: Path) -> None:
    input_busy, lanes_busy = busy(step, tmp_path)
    assert input_busy >= 0.99, f"input {input_busy:.4f}, lanes {lanes_busy:.4f}"
    assert lanes_busy < input_busy


def test_channels_of_a_convolution_keep_the_lanes_busy(tmp_path: Path) -> None:
    _, lanes_busy = busy(0.4, tmp_path, channels=128, kernel=(4, 4))
    assert lanes_busy >= 0.99


def test_a_slower_decoder_would_be_seen(tmp_path: Path) -> None:
    """Two virtual lanes use half of the slots' turns: the count falls to an eighth."""
    codes = np.ones((2, 4096), np.int16)
    encoded = encode_network([CodeTensor("w", codes)], CodecOptions("ans"))
    harness = build_harness(PARAMETERS)
    outcome = stream_through(harness, [encoded.tables, *encoded.streams], tmp_path).outcomes[1]
    assert codes.size / PARAMETERS.lanes / outcome.cycles < 0.2
