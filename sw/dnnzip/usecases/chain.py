"""The chain on one network, put together once: compress, decode, verify; and measure accuracy where that is asked for.

Each step takes what the ones before it made, and its result is saved where the job has a folder. A check that fails
raises and ends the chain.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from dnnzip.evaluation.accuracy import Accuracy
from dnnzip.link import Link
from dnnzip.onnx.decompression import decode_layer, decompressed
from dnnzip.onnx.files import save_model
from dnnzip.usecases import simulate as simulation
from dnnzip.usecases import verify as verification
from dnnzip.usecases.compress import Compression, CompressionOptions, compress
from dnnzip.usecases.simulate import Decoder, Simulation
from dnnzip.usecases.summary import Summary, summarise
from dnnzip.usecases.verify import LayerCheck


@dataclass(frozen=True, eq=False)
class Job:
    """A network, and what is asked of its compression."""

    network: onnx.ModelProto  # the plain network
    options: CompressionOptions  # bound, selection and codec
    where: str  # its file, for messages
    # Opens the link that decodes when it is first needed, so that it can be made ready while the network is compressed;
    # None decodes with the software codec alone.
    link: Callable[[], Link] | None = None
    # Decoder of the codes that those of the link are compared with, see `dnnzip.usecases.simulate.simulate`.
    golden: Decoder = decode_layer
    folder: Path | None = None  # where ``model.dnz.onnx`` and ``decoded.onnx`` go; None saves nothing

    def save(self, model: onnx.ModelProto, name: str) -> None:
        """Save the result of a step."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_model(model, self.folder / name)


@dataclass(frozen=True, eq=False)
class Result:
    """Results of the steps."""

    job: Job  # what was asked for
    compression: Compression  # the compressed network
    simulation: Simulation | None  # what the link decoded; None without one
    decoded: onnx.ModelProto  # the plain network, with the weights that the link decoded, or else the software codec
    checks: tuple[LayerCheck, ...]  # every layer against its bound
    # Accuracy of the plain and of the decoded network; None where it was not measured.
    before: Accuracy | None = None
    after: Accuracy | None = None

    @property
    def summary(self) -> Summary:
        """Sizes of the compressed network."""
        return summarise(self.compression.compressed, self.compression.left_out)


def run(
    job: Job,
    measure: Callable[[onnx.ModelProto], Accuracy] | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run every step.

    Parameters
    ----------
    job
        What to do.
    measure
        Measures the accuracy of a plain network, before and after.
    announce
        Called with a step's name before it starts.

    Raises
    ------
    InputError
        The network, the data or an option cannot be used.
    CheckFailedError
        A weight differs from the golden decoder's or breaks its bound, or nothing was decoded.
    """
    announce("compress")
    compression = compress(job.network, job.options, job.where)
    compressed = compression.compressed
    job.save(compressed.model, "model.dnz.onnx")

    announce("decode")
    simulated = None
    if job.link is None:
        decoded = decompressed(compressed)
    else:
        simulated = simulation.simulate(compressed, job.link(), job.golden)
        simulation.require(simulated)
        decoded = simulation.decoded_model(compressed, simulated)
    job.save(decoded, "decoded.onnx")

    announce("verify")
    codes = simulated.decoded() if simulated else None
    verified = verification.verify(job.network, compressed, job.where, codes)
    verification.require(verified)

    if measure is None:
        return Result(job, compression, simulated, decoded, verified.layers)
    announce("evaluate")
    before, after = measure(job.network), measure(decoded)
    return Result(job, compression, simulated, decoded, verified.layers, before, after)


def announce_on_terminal(name: str) -> None:
    """Say on standard error which step begins, while that is a terminal."""
    if sys.stderr and sys.stderr.isatty():
        print(f"{name} ...", file=sys.stderr)
