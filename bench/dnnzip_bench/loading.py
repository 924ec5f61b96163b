"""Memory and time until a network is ready to run in onnxruntime, plain and compressed.

``python -m dnnzip_bench.loading MODEL...`` compresses each model, and opens both files, each in a process of its own.
"""

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from dnnzip.presentation.tables import TextTable
from dnnzip_bench import load_one
from dnnzip_bench.command import models_argument, run, show, told
from dnnzip_bench.load_one import COMPRESSED, PLAIN

BOUND = "1%"

#: Largest peak of the process that runs the network, over that of the plain file.
GOAL = 1.2


@dataclass(frozen=True)
class Loaded:
    """Loading of one file in a fresh process."""

    peak: int  # bytes, of the process that runs the network
    decoder_peak: int  # bytes, of the process that decodes it; zero for a plain file
    seconds: float  # from the call to the session, without imports


def measure(path: Path, kind: str) -> Loaded:
    """Open a model in a process of its own."""
    command = [sys.executable, "-m", load_one.__name__, kind, str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    peak, decoder, seconds = done.stdout.split()[-3:]
    return Loaded(int(peak), int(decoder), float(seconds))


def table(found: dict[str, tuple[Loaded, Loaded]]) -> TextTable:
    """Return the figures of networks, by name: those of the plain file and of the compressed one."""
    rows = tuple(
        (
            name,
            f"{plain.peak / 1e6:.0f}",
            f"{plain.seconds:.2f}",
            f"{small.peak / 1e6:.0f}",
            f"{small.seconds:.2f}",
            f"{small.peak / plain.peak:.2f}",
            f"{small.decoder_peak / 1e6:.0f}",
        )
        for name, (plain, small) in found.items()
    )
    header = ("model", "plain MB", "plain s", "compressed MB", "compressed s", "peak ratio", "decoder MB")
    return TextTable(header, rows)


@click.command()
@models_argument
@click.option("--max-error", default=BOUND, show_default=True, help="Bound at which the models are compressed.")
def loading(models: tuple[Path, ...], max_error: str) -> None:
    """Measure peak of memory and time to load MODELS, plain and compressed."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            small = Path(folder) / "small.dnz.onnx"
            told(f"{model.name}")
            arguments = [sys.executable, "-m", "dnnzip", "compress", str(model), "-o", str(small), "--quiet"]
            subprocess.run([*arguments, "--max-error", max_error], check=True)
            found[model.stem] = measure(model, PLAIN), measure(small, COMPRESSED)
            small.unlink()
    show(table(found), f"goal: a peak ratio of at most {GOAL}")


if __name__ == "__main__":
    run(loading)
