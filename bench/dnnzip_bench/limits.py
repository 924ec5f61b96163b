"""Limits of the size of lossless int8: ``python -m dnnzip_bench.limits`` prints several ways to go on, each measured.

Some leave the format as it is, some would change it, and one is no codec for hardware at all, but a bound.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from dnnzip.codec import CodecOptions, CodeTensor, EncodedNetwork, encode_network
from dnnzip.codec.ans.planning import LANE_BITS
from dnnzip.format import CRC_WORDS, WEIGHT_HEADER, WORD_BYTES, Codec, WeightStream
from dnnzip.presentation.tables import TextTable
from dnnzip.quantize.step_grid import FLOAT_BITS
from dnnzip_bench.catalogue import zoo_models
from dnnzip_bench.coders.mixing import mixed_bits
from dnnzip_bench.coders.rivals import vela_bytes
from dnnzip_bench.command import models_argument, run, show, told
from dnnzip_bench.shared_tables import read

BOUND = "0lsb"
PERCENTS = ("1%", "5%", "10%")
VELA = "Vela mlw_codec, better of two orders"
EIGHT_BITS = 256
SIXTEENTHS = 16


def size(encoded: EncodedNetwork) -> int:
    """Return the bits of an encoded network."""
    return 8 * (len(encoded.tables) + sum(map(len, encoded.streams)))


def predicted(tensors: Sequence[CodeTensor], shares: Sequence[int] = range(SIXTEENTHS // 2 + 1)) -> float:
    """Return the bits where a share of left and upper neighbour is subtracted first, the best share of each tensor.

    Shares are sixteenths; each tensor is charged four bits. With 0, 4 and 8 alone no multiplier is needed.
    """
    return size(encode_network([residual(tensor, shares) for tensor in tensors])) + 4 * len(tensors)


def residual(tensor: CodeTensor, shares: Sequence[int]) -> CodeTensor:
    """Return a tensor's codes less a share of the two neighbours, in sixteenths, modulo 256: the smallest codes."""
    height, width = tensor.taps
    if height * width == 1:
        return tensor
    kernels = tensor.codes.astype(np.int64).reshape(tensor.codes.shape[0], -1, height, width)
    neighbours = np.zeros_like(kernels)
    neighbours[..., 1:] += kernels[..., :-1]
    neighbours[..., 1:, :] += kernels[..., :-1, :]
    every = [_wrapped(kernels - (share * neighbours + SIXTEENTHS // 2) // SIXTEENTHS) for share in shares]
    best = min(every, key=lambda codes: int(np.abs(codes).sum()))
    return CodeTensor(tensor.name, best.reshape(tensor.codes.shape).astype(np.int16), tensor.kernel)


def _wrapped(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    half = EIGHT_BITS // 2
    return (codes + half) % EIGHT_BITS - half


WAYS: dict[str, tuple[str, Callable[[Sequence[CodeTensor]], float]]] = {
    "dnnzip": ("as it is", lambda tensors: size(encode_network(tensors))),
    "1024 states": (
        "within the format",
        lambda tensors: size(encode_network(tensors, CodecOptions(log2_states=10))),
    ),
    "a table set for each tensor, not counted": (
        "within the format",
        lambda tensors: 8 * sum(len(stream) for each in tensors for stream in encode_network([each]).streams),
    ),
    "less 0, 1/4 or 1/2 of two neighbours": ("a new mode", lambda tensors: predicted(tensors, (0, 4, 8))),
    "less k/16 of two neighbours": ("a new mode", predicted),
    "adaptive mixture of many models": ("no codec, a bound", mixed_bits),
}
"""Variants that are tried: the meaning of each, and the bits of a network with it."""


def table(networks: Mapping[str, Sequence[CodeTensor]]) -> TextTable:
    """Measure every way on every network: bits per weight, in total and by network, against dnnzip's and Vela's."""
    counts = {name: sum(tensor.codes.size for tensor in tensors) for name, tensors in networks.items()}
    weights = sum(counts.values())
    rows, first, theirs = [], 0.0, 0.0
    if find_spec("ethosu"):
        told(VELA)
        theirs = float(sum(8 * min(vela_bytes(tensor.codes)) + FLOAT_BITS for of in networks.values() for tensor in of))
        rows.append((VELA, "its own code", f"{theirs / weights:.3f}", "", "1.0000", *([""] * len(networks))))
    for way, (kind, bits_of) in WAYS.items():
        told(way)
        bits = {name: float(bits_of(tensors)) + FLOAT_BITS * len(tensors) for name, tensors in networks.items()}
        total = sum(bits.values())
        first = first or total
        of_networks = (f"{bits[name] / counts[name]:.3f}" for name in networks)
        against = f"{total / theirs:.4f}" if theirs else ""
        rows.append((way, kind, f"{total / weights:.3f}", f"{total / first:.4f}", against, *of_networks))
    return TextTable((f"bits per weight at {BOUND}", "what it is", "all", "/ dnnzip", "/ Vela", *networks), tuple(rows))


def parts(tensors: Sequence[CodeTensor]) -> tuple[float, float, float]:
    """Return the shares of an encoded network that are not weights: stream frames, table set, virtual lanes.

    A lane's first state and the rest of its last word are taken at their average.
    """
    encoded = encode_network(tensors)
    headers = [part.header for stream in encoded.streams for part in WeightStream.split(stream)]
    frames = 8 * len(headers) * WORD_BYTES * (WEIGHT_HEADER.words + CRC_WORDS)
    lanes = LANE_BITS * sum(1 << header.log2_lanes for header in headers if header.codec == Codec.ANS)
    total = size(encoded)
    return frames / total, 8 * len(encoded.tables) / total, lanes / total


def parts_table(networks: Mapping[str, Mapping[str, Sequence[CodeTensor]]]) -> TextTable:
    """Return the parts of each network that are not weights, in percent, at each of its bounds."""
    bounds = list(dict.fromkeys(bound for by_bound in networks.values() for bound in by_bound))
    rows = []
    for name, by_bound in networks.items():
        tensors = len(next(iter(by_bound.values())))
        cells = (" + ".join(f"{100 * share:.1f}" for share in parts(by_bound[bound])) for bound in bounds)
        rows.append((name, str(tensors), *cells))
    return TextTable(("frames + table set + lanes in % at", "tensors", *bounds), tuple(rows))


@click.command()
@models_argument
@click.option("--markdown", is_flag=True, help="Print the table in Markdown.")
def limits(models: tuple[Path, ...], markdown: bool) -> None:
    """Print what lossless int8 weights of MODELS would take in other ways, and what is not weights in float networks.

    By default, of those in $DNNZIP_ZOO.
    """
    read_at = read(list(models) or zoo_models(), [*PERCENTS, BOUND])
    integers = {name: by_bound[BOUND] for name, by_bound in read_at.items() if BOUND in by_bound}
    floats = {name: by_bound for name, by_bound in read_at.items() if BOUND not in by_bound}
    made = [table(integers), *([parts_table(floats)] if floats else [])]
    if markdown:
        click.echo("\n".join(one.markdown() for one in made), nl=False)
    else:
        show(*made)


if __name__ == "__main__":
    run(limits)
