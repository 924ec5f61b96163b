"""Floats without loss: ``python -m dnnzip_bench.lossless`` prints the bits of networks whose weights are bfloat16.

Beside the bits stand the order-0 entropy of sign and exponent over all weights of a network plus the seven bits of the
mantissa, and zstd on the same bytes. Float32 weights are rounded to bfloat16 first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import ml_dtypes
import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from dnnzip.encoding import Encoding, encode_weights
from dnnzip.onnx.files import load_model
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.weights import ArrayWeights
from dnnzip_bench.catalogue import zoo_models
from dnnzip_bench.columns import Columns
from dnnzip_bench.command import models_argument, run, show

BITS, MANTISSA_BITS = 16, 7
ZSTD_LEVEL = 19
EXPONENTS = 1 << BITS - MANTISSA_BITS


@dataclass(frozen=True)
class Measured:
    """Bits for each weight of a network, as bfloat16."""

    name: str
    weights: int
    bits: float
    entropy: float  # of sign and exponent, plus the mantissa
    zstd: float

    @property
    def share(self) -> float:
        """Share of the 16 bits, in per cent."""
        return 100 * self.bits / BITS


COLUMNS = Columns[Measured](
    ("network", lambda item: item.name),
    ("weights", lambda item: f"{item.weights:,}"),
    ("bits/weight", lambda item: f"{item.bits:.3f}"),
    ("% of 16", lambda item: f"{item.share:.1f}"),
    ("entropy + 7", lambda item: f"{item.entropy:.3f}"),
    ("above it", lambda item: f"{item.bits - item.entropy:+.3f}"),
    (f"zstd -{ZSTD_LEVEL}", lambda item: f"{item.zstd:.3f}"),
)


def rounded_weights(path: Path) -> list[ArrayWeights]:
    """Return the float weights of a network as bfloat16."""
    floats = [weight for weight in find_weights(load_model(path))[0] if not weight.element.is_integer]
    return [ArrayWeights(weight.name, weight.array.astype(ml_dtypes.bfloat16), weight.layout) for weight in floats]


def measured(name: str, weights: Sequence[ArrayWeights]) -> Measured:
    """Encode bfloat16 weights without loss, and with zstd."""
    count = sum(weight.array.size for weight in weights)
    tables, encoded = encode_weights(weights, Encoding(Bound.parse("0"), Scope.TENSOR), bytes)
    size = len(tables) + sum(len(item.stream) + item.grid.side_bytes for item in encoded)
    zstd = Zstd(ZSTD_LEVEL)
    compressed = sum(len(zstd.encode(weight.array.tobytes())) for weight in weights)
    return Measured(name, count, 8 * size / count, entropy(weights), 8 * compressed / count)


def entropy(weights: Sequence[ArrayWeights]) -> float:
    """Return the order-0 entropy of sign and exponent of all weights plus the bits of a mantissa."""
    counts: NDArray[np.int64] = np.zeros(EXPONENTS, np.int64)
    for weight in weights:
        upper = weight.array.reshape(-1).view(np.uint16) >> MANTISSA_BITS
        counts += np.bincount(upper, minlength=EXPONENTS)
    shares = counts[counts > 0] / counts.sum()
    return MANTISSA_BITS - float(shares @ np.log2(shares))


@click.command()
@models_argument
@click.option("--markdown", is_flag=True, help="Print the table in Markdown.")
def lossless(models: tuple[Path, ...], markdown: bool) -> None:
    """Print what the float weights of MODELS take as bfloat16, without loss; by default, of those in $DNNZIP_ZOO."""
    networks = ((path.stem, rounded_weights(path)) for path in list(models) or zoo_models())
    table = COLUMNS.table(COLUMNS.followed(measured(name, weights) for name, weights in networks if weights))
    if markdown:
        click.echo(table.markdown(), nl=False)
    else:
        show(table)


if __name__ == "__main__":
    run(lossless)
