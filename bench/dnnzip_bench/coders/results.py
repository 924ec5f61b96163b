"""The whole comparison: which networks at which bounds, and everything that was measured on them."""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from dnnzip.onnx.weights import Weight, find_weights
from dnnzip.quantize.bound import Bound
from dnnzip_bench.coders.coder import Coder
from dnnzip_bench.coders.measure import Result, run
from dnnzip_bench.coders.memory import peak_of
from dnnzip_bench.coders.rivals import Vela, vela_ordered_bytes
from dnnzip_bench.coders.task import Task, generated_model, per_channel_int8, weights_of

PERCENT = ("0.1%", "0.5%", "1%", "2%", "5%", "10%")
LSB = ("0lsb", "1lsb", "2lsb")
SPEED_PERCENT, SPEED_LSB = "1%", "0lsb"
QUANTISED = "{} as int8"


@dataclass(frozen=True)
class Scale:
    """Extent of a measurement."""

    # The bounds on float and on integer weights.
    percent: tuple[str, ...] = PERCENT
    lsb: tuple[str, ...] = LSB
    generated: int = 10_000_000  # weights of the generated tensor
    rounds: int = 3  # how often times are taken


QUICK = Scale(("1%", "10%"), ("0lsb", "1lsb"), 100_000, 1)


@dataclass
class Comparison:
    """Results of a measurement."""

    coders: Sequence[type[Coder]]  # those that took part
    left_out: Sequence[str]  # a line on each that could not
    made_with: dict[str, str] = field(default_factory=dict)  # commit and versions, as they were when the run began
    # Results on the networks at every bound.
    floats: list[Result] = field(default_factory=list)
    integers: list[Result] = field(default_factory=list)
    # Results on the generated tensor, with times: floats, then integers.
    generated: list[Result] = field(default_factory=list)
    # Zero-order entropy of the codes in bits, by network and bound.
    entropy: dict[tuple[str, str], float] = field(default_factory=dict)
    # Bits of Vela's code in the order of its hardware, by network and bound; empty where Vela is not at hand.
    ordered_bits: dict[tuple[str, str], int] = field(default_factory=dict)
    # Bytes that `dnnzip compress` and `dnnzip decompress` take at most on the generated tensor.
    peak_memory: dict[str, int] = field(default_factory=dict)
    # Bits per weight that another run of NNCodec gave, by network and bound; empty where no such file is at hand.
    reference: dict[tuple[str, str], float] = field(default_factory=dict)

    @property
    def broken(self) -> list[Result]:
        """The results that break their bound."""
        return [result for result in (*self.floats, *self.integers, *self.generated) if result.broken]


def compare(result: Comparison, models: Sequence[Path], scale: Scale, progress: Callable[[str], None]) -> None:
    """Measure everything, and call ``progress`` with what comes next; the results go into ``result`` one by one.

    Models of float weights are also quantised to int8 per channel.
    """

    def measure(target: list[Result], name: str, weights: Sequence[Weight], bound: str, rounds: int = 0) -> None:
        progress(f"{name} at {bound}")
        task = Task(name, weights, Bound.parse(bound))
        result.entropy[name, bound] = task.entropy()
        target += run(task, result.coders, rounds)
        if task.is_integer and not rounds and Vela in result.coders:
            result.ordered_bits[name, bound] = 8 * sum(
                vela_ordered_bytes(codes, weight.layout.kernel)
                for codes, weight in zip(task.codes, weights, strict=True)
            )

    for path in models:
        weights = weights_of(path)
        if not weights[0].element.is_integer:
            for bound in scale.percent:
                rounds = scale.rounds if bound == SPEED_PERCENT else 0
                measure(result.floats, path.stem, weights, bound, rounds)
        name, integers = as_integers(path.stem, weights)
        for bound in scale.lsb:
            measure(result.integers, name, integers, bound)
    model = generated_model(scale.generated)
    weights, _ = find_weights(model)
    measure(result.generated, "generated", weights, SPEED_PERCENT, scale.rounds)
    measure(result.generated, *as_integers("generated", weights), SPEED_LSB, scale.rounds)
    progress("peak memory")
    result.peak_memory = _peak_memory(model)


def as_integers(name: str, weights: Sequence[Weight]) -> tuple[str, Sequence[Weight]]:
    """Return a network's name and weights, as int8 where they are floats."""
    if weights[0].element.is_integer:
        return name, weights
    return QUANTISED.format(name), [per_channel_int8(weight) for weight in weights]


def _peak_memory(model: onnx.ModelProto) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        plain, compressed, restored = (str(Path(folder) / name) for name in ("x.onnx", "x.dnz.onnx", "y.onnx"))
        onnx.save(model, plain)
        return {
            "compress": peak_of(
                ["compress", plain, "-o", compressed, "--max-error", SPEED_PERCENT, "--jobs", "1", "--quiet"]
            ),
            "decompress": peak_of(["decompress", compressed, "-o", restored, "--quiet"]),
        }


def read_reference(path: Path) -> dict[tuple[str, str], float]:
    """Return NNCodec's bits per weight as another run printed them, by network and bound; empty without the file."""
    if not path.is_file():
        return {}
    return {
        (name, f"{100 * float(share):g}%"): schemes["nncodec_exact_step"]
        for name, model in json.loads(path.read_text())["models"].items()
        for share, schemes in model["bits_per_weight"].items()
    }
