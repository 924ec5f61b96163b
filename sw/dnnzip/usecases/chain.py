"""The whole chain on one network: compress, verify, decode over a link, measure accuracy.

A list of named steps; each takes what the ones before it made and saves its own result in the job's folder. A check
that fails raises and ends the run.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import onnx

from dnnzip.evaluation.accuracy import Accuracy, evaluate
from dnnzip.link import Link
from dnnzip.onnx.decompression import decode_layer
from dnnzip.onnx.files import load_model, save_model
from dnnzip.usecases import simulate as simulation
from dnnzip.usecases import verify as verification
from dnnzip.usecases.compress import Compression, CompressionOptions, compress
from dnnzip.usecases.simulate import Simulation
from dnnzip.usecases.summary import Summary, summarise
from dnnzip.usecases.verify import LayerCheck


@dataclass(frozen=True)
class Job:
    """A network, its data and what is asked of its compression.

    Parameters
    ----------
    model
        The plain network's file.
    data
        Labelled samples (``.npz``), or None where there are none.
    options
        Bound, selection and codec.
    folder
        Where the results go.
    samples
        Number of samples to measure accuracy on, from the first; all where None.
    against_reference
        Compare what the link decodes with the reference decoder, which is slow, and not with the fast one.
    """

    model: Path
    data: Path | None
    options: CompressionOptions
    folder: Path
    samples: int | None = None
    against_reference: bool = False


@dataclass
class State:
    """Results of the steps so far; each field is set by the step of its name."""

    job: Job
    network: onnx.ModelProto
    link: Callable[[], Link]
    compression: Compression | None = None
    simulation: Simulation | None = None
    decoded: onnx.ModelProto | None = None
    checks: tuple[LayerCheck, ...] = ()
    before: Accuracy | None = None
    after: Accuracy | None = None

    @property
    def summary(self) -> Summary:
        """Sizes of the compressed network."""
        assert self.compression is not None
        return summarise(self.compression.compressed, self.compression.left_out)


def compress_step(state: State) -> None:
    """Compress the network; saves ``model.dnz.onnx``."""
    state.compression = compress(state.network, state.job.options, str(state.job.model))
    save_model(state.compression.compressed.model, state.job.folder / "model.dnz.onnx")


def decode_step(state: State) -> None:
    """Decode every stream over the link, compare it bit for bit; saves ``decoded.onnx``, made of what the link gave."""
    assert state.compression is not None
    golden = simulation.reference_layer if state.job.against_reference else decode_layer
    state.simulation = simulation.simulate(state.compression.compressed, state.link(), golden)
    simulation.require(state.simulation)
    state.decoded = simulation.decoded_model(state.compression.compressed, state.simulation)
    save_model(state.decoded, state.job.folder / "decoded.onnx")


def verify_step(state: State) -> None:
    """Check every weight, as the link decoded it, against its bound, and the network around them."""
    assert state.compression is not None
    assert state.simulation is not None
    verified = verification.verify(
        state.network, state.compression.compressed, str(state.job.model), state.simulation.decoded()
    )
    verification.require(verified)
    state.checks = verified.layers


def evaluate_step(state: State) -> None:
    """Measure accuracy before, and after with the weights that the link decoded."""
    if state.job.data is not None:
        state.before = evaluate(state.network, state.job.data, state.job.samples)
        assert state.decoded is not None
        state.after = evaluate(state.decoded, state.job.data, state.job.samples)


STEPS: tuple[Callable[[State], None], ...] = (compress_step, decode_step, verify_step, evaluate_step)


def run(job: Job, link: Callable[[], Link], announce: Callable[[str], None] | None = None) -> State:
    """Run every step.

    Parameters
    ----------
    job
        What to do.
    link
        Opens the link when it is first needed, so that it can be made ready while the network is compressed.
    announce
        Called with a step's name before it starts.

    Raises
    ------
    InputError
        The network, the data or an option cannot be used.
    CheckFailedError
        A weight differs from the golden decoder's or breaks its bound, or nothing was decoded.
    """
    state = State(job, load_model(job.model), link)
    job.folder.mkdir(parents=True, exist_ok=True)
    for step in STEPS:
        if announce:
            announce(step.__name__.removesuffix("_step"))
        step(state)
    return state


def announce_on_terminal(name: str) -> None:
    """Say on standard error which step begins, while that is a terminal."""
    if sys.stderr and sys.stderr.isatty():
        print(f"{name} ...", file=sys.stderr)
