"""``make family``: the paper's family of compressors over the trained networks in ``DNNZIP_ZOO``, beside ours.

Monotonic runs with least squares (`dnnzip.model.line`) have a tolerance and no error bound. So for each tolerance the
error of every tensor is measured, and the same error is then given as a bound, tensor by tensor, to the greedy segments
and to ``ans``: three codecs that keep one largest error, their sizes with every byte counted, and what is left of the
accuracy. As lines spread their error otherwise than a grid does, ``ans`` is also given the root mean square error of
each tensor: a bound of sqrt(3) times that, which is what an even grid makes of its bound.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx

from dnnzip.cli.endings import failing_in_one_line
from dnnzip.codec import CodecOptions
from dnnzip.encoding import Encoded, encode_quantised
from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import evaluate
from dnnzip.evaluation.dataset import Dataset, load_dataset
from dnnzip.model.line import SMALLEST_BOUND, quantise_lines, quantise_runs
from dnnzip.onnx.container import compressed_model, decompressed, open_compressed
from dnnzip.onnx.files import load_model
from dnnzip.onnx.weights import Weight, find_weights
from dnnzip.presentation.tables import TextTable, number, stdout_console
from dnnzip.quantize.bound import Bound, Scope, Unit
from dnnzip.quantize.grid import Quantised
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.step_grid import FLOAT_BITS
from dnnzip.quantize.tolerance import ranges_of
from dnnzip.usecases.provenance import provenance
from dnnzip.usecases.verify import require, verify
from dnnzip_sim.zoo import ENTRIES, Entry, zoo_folder

TOLERANCES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
"""Shares of a tensor's range that a step against its run's direction may have."""

SAMPLES = 200
"""Of each evaluation set, by default; every row takes three evaluations."""

FOLDER = Path("build") / "family"
BASELINES = (32, 16)
"""Bits of an uncompressed weight."""


@dataclass(frozen=True)
class Row:
    """A network at a tolerance.

    Parameters
    ----------
    network
        Its name.
    tolerance
        Share of a tensor's range.
    weights
        Weights compressed.
    error_share
        Largest measured error of a tensor as a share of its range, over the tensors.
    rms_error_share
        Root mean square error of a tensor as a share of its range, mean over the weights.
    runs_bits, greedy_bits, ans_bits, ans_rms_bits
        Bits per weight of the runs; of greedy segments and ``ans`` at each tensor's largest error; and of ``ans`` at
        each tensor's root mean square error.
    top1_before, top1_runs, top1_ans, top1_ans_rms
        Top-1 accuracy, a fraction, as it was and after each; None without an evaluation set.
    """

    network: str
    tolerance: float
    weights: int
    error_share: float
    rms_error_share: float
    runs_bits: float
    greedy_bits: float
    ans_bits: float
    ans_rms_bits: float
    top1_before: float | None
    top1_runs: float | None
    top1_ans: float | None
    top1_ans_rms: float | None

    def cells(self) -> tuple[str, ...]:
        """Return the table's row."""
        return (
            self.network,
            f"{100 * self.tolerance:g} %",
            f"{100 * self.error_share:.1f}",
            f"{100 * self.rms_error_share:.2f}",
            *(
                cell
                for bits in (self.runs_bits, self.ans_bits, self.ans_rms_bits)
                for cell in (f"{bits:.3f}", *(number(base / bits) for base in BASELINES))
            ),
            f"{self.greedy_bits:.3f}",
            *(percent(share) for share in (self.top1_before, self.top1_runs, self.top1_ans, self.top1_ans_rms)),
        )


HEADER = (
    "network",
    "delta",
    "max %",
    "rms %",
    *(name + what for name in ("runs", "ans", "ans rms") for what in ("", " /32", " /16")),
    "greedy",
    "top-1",
    "runs",
    "ans",
    "ans rms",
)


def percent(share: float | None) -> str:
    """Return a share as a percentage, a dash where there is none."""
    return "-" if share is None else f"{100 * share:.1f}"


@dataclass(frozen=True, eq=False)
class Network:
    """A network of the zoo, ready to be measured: its float weights, and its accuracy as it is."""

    name: str
    model: onnx.ModelProto
    weights: Sequence[Weight]
    data: Dataset | None
    top1: float | None


def load_network(entry: Entry, zoo: Path, samples: int) -> Network:
    """Read a network and its evaluation set, and measure its accuracy.

    Raises
    ------
    InputError
        A file is not there, or suits nothing.
    """
    model = load_model(zoo / f"{entry.model}.onnx")
    weights, _ = find_weights(model)
    data = evenly(load_dataset(zoo / f"{entry.data}.npz"), samples) if entry.data else None
    return Network(entry.model, model, weights, data, evaluate(model, data).top1 if data else None)


def evenly(data: Dataset, samples: int) -> Dataset:
    """Return so many samples, evenly from a set that may be sorted by class."""
    places = np.linspace(0, len(data.x) - 1, min(samples, len(data.x))).round().astype(int)
    return Dataset(data.x[places], data.y[places], data.where)


def measure(network: Network, tolerance: float) -> Row:
    """Measure a network at a tolerance.

    Raises
    ------
    CheckFailedError
        A codec does not keep the measured error.
    """
    runs = [quantise_runs(weight, tolerance) for weight in network.weights]
    greedy = at_the_same_error(network.weights, runs, quantise_lines)
    ans = at_the_same_error(network.weights, runs, quantise)
    errors = [rms_error(weight, item) for weight, item in zip(network.weights, runs, strict=True)]
    ans_rms = [quantise(weight, even_bound(error)) for weight, error in zip(network.weights, errors, strict=True)]
    runs_bits, top1_runs = result(network, runs, "line")
    ans_bits, top1_ans = result(network, ans, "ans")
    ans_rms_bits, top1_ans_rms = result(network, ans_rms, "ans")
    count = sum(weight.weights for weight in network.weights)
    return Row(
        network.name,
        tolerance,
        count,
        max(share_of_range(weight, item.grid.max_error) for weight, item in zip(network.weights, runs, strict=True)),
        sum(share_of_range(weight, rms) * weight.weights for weight, rms in zip(network.weights, errors, strict=True))
        / count,
        runs_bits,
        bits_per_weight(*encode_quantised(network.weights, greedy, CodecOptions("line")), count),
        ans_bits,
        ans_rms_bits,
        network.top1,
        top1_runs,
        top1_ans,
        top1_ans_rms,
    )


def share_of_range(weight: Weight, error: float) -> float:
    """Return an error as a share of the tensor's range."""
    span = float(ranges_of(weight, Scope.TENSOR))
    return error / span if span else 0.0


def rms_error(weight: Weight, item: Quantised) -> float:
    """Return the root mean square error of a tensor's weights, in their unit."""
    restored = item.grid.restore(item.codes, weight.layout).astype(np.float64)
    return float(np.sqrt(np.mean((restored - weight.array.astype(np.float64)) ** 2)))


def even_bound(rms: float) -> Bound:
    """Return the bound at which errors that are spread evenly have this root mean square."""
    value = max(math.sqrt(3) * rms, SMALLEST_BOUND)
    return Bound(Fraction(value), Unit.ABSOLUTE, repr(value), "root mean square")


def at_the_same_error(
    weights: Sequence[Weight], runs: Sequence[Quantised], quantiser: Callable[[Weight, Bound], Quantised]
) -> list[Quantised]:
    """Return each tensor again, its measured error as the bound of another quantiser."""
    bounds = [Bound(Fraction(item.grid.max_bound), Unit.ABSOLUTE, item.grid.spec, "measured") for item in runs]
    return [quantiser(weight, bound) for weight, bound in zip(weights, bounds, strict=True)]


def bits_per_weight(tables: bytes, encoded: Sequence[Encoded[bytes]], weights: int) -> float:
    """Return the bits of all streams, the table set and a step for each tensor, per weight."""
    bits = 8 * (len(tables) + sum(len(item.stream) for item in encoded)) + FLOAT_BITS * len(encoded)
    return bits / weights


def result(network: Network, results: Sequence[Quantised], codec: str) -> tuple[float, float | None]:
    """Compress a network, verify it, and return (bits per weight, top-1 or None)."""
    tables, encoded = encode_quantised(network.weights, results, CodecOptions(codec))
    compressed = open_compressed(compressed_model(network.model, network.weights, encoded, tables), network.name)
    require(verify(network.model, compressed, network.name))
    bits = bits_per_weight(tables, encoded, sum(weight.weights for weight in network.weights))
    return bits, evaluate(decompressed(compressed), network.data).top1 if network.data else None


def rows(zoo: Path, entries: Sequence[Entry], tolerances: Sequence[float], samples: int) -> Iterator[Row]:
    """Measure every network at every tolerance; give the rows as they come."""
    for entry in entries:
        network = load_network(entry, zoo, samples)
        for tolerance in tolerances:
            yield measure(network, tolerance)


def page(table: TextTable, samples: int, seconds: float) -> str:
    """Return the Markdown page of the sweep."""
    facts = "".join(f"- {name}: {value}\n" for name, value in provenance().items())
    return (
        "# The paper's family over the zoo\n\n"
        "Monotonic runs with least squares at a tolerance delta, a share of each tensor's range; it bounds no error,\n"
        "so the largest is measured, tensor by tensor. `ans` and `greedy` segments are given that error as their\n"
        "bound; `ans rms` is given sqrt(3) times each tensor's root mean square error, which an even grid makes of\n"
        "that bound. `max` and `rms` are shares of a tensor's range: the largest, and the mean over the weights. Then\n"
        "come bits per weight, every byte of headers, checksums and table set counted, ratios to weights of 32 and 16\n"
        f"bits, and top-1 accuracy in percent over {samples} samples from all of each set.\n\n"
        f"{table.markdown()}\n"
        f"Measured in {seconds:.0f} s with\n\n{facts}"
    )


@failing_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sweep; return the status of the process."""
    parser = argparse.ArgumentParser(prog="make family", description=__doc__)
    parser.add_argument("--samples", type=int, default=SAMPLES, help="of each evaluation set, evenly from all of it")
    parser.add_argument("--networks", nargs="+", default=[entry.model for entry in ENTRIES], help="of the zoo")
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, help="folder of family.md and family.json")
    options = parser.parse_args(arguments)
    begin = time.monotonic()
    unknown = set(options.networks) - {entry.model for entry in ENTRIES}
    if unknown:
        known = ", ".join(entry.model for entry in ENTRIES)
        raise InputError("--networks", f"{min(unknown)!r} is not in the zoo", f"one of {known}")
    if options.samples < 1:
        raise InputError("--samples", f"is {options.samples}", "give at least 1")
    chosen = [entry for entry in ENTRIES if entry.model in options.networks]
    measured = []
    for row in rows(zoo_folder(), chosen, TOLERANCES, options.samples):
        if sys.stderr.isatty():
            print("  ".join(row.cells()), file=sys.stderr)
        measured.append(row)
    table = TextTable(HEADER, tuple(row.cells() for row in measured))
    table.show(stdout_console())
    options.output.mkdir(parents=True, exist_ok=True)
    content = {"provenance": provenance(), "samples": options.samples, "rows": [asdict(row) for row in measured]}
    (options.output / "family.json").write_text(json.dumps(content, indent=2) + "\n")
    (options.output / "family.md").write_text(page(table, options.samples, time.monotonic() - begin))
    return 0


if __name__ == "__main__":
    sys.exit(main())
