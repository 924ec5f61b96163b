"""Peak memory with a network that is too large for it: ``python -m dnnzip_bench.large`` makes one and prints a table.

The network's weights are random, of the shape that trained ones have; its arrays are in a file next to it.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import onnx
from onnx import TensorProto, helper

from dnnzip.errors import CheckFailedError
from dnnzip_bench.coders.memory import peak_of
from dnnzip_bench.command import Listed, run

#: The goal: this many times the largest tensor (as float32) and this many bytes more.
TENSOR_FACTOR, FIXED_BYTES = 3, 350_000_000

SIDE = 4096
MATRICES = 12
BOUND = "1%"
FLOAT_BYTES = 4


def write_large_model(folder: Path, side: int = SIDE, matrices: int = MATRICES, seed: int = 1) -> Path:
    """Write a network of square matrix products with external data, one matrix in memory at a time; return its file.

    A first matrix, in addition to the ``matrices``, is read by Gather, and so is no weight.
    """
    rng = np.random.default_rng(seed)
    tensors = []
    with (folder / "large.bin").open("wb") as file:
        for number in range(matrices + 1):
            name = f"w{number}" if number else "embedding"
            tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=(side, side))
            scales = np.exp(0.3 * rng.standard_normal((1, side), np.float32)) * np.float32(0.02)
            offset = file.tell()
            for _ in range(0, side, side // 8):
                rows = rng.standard_normal((side // 8, side), np.float32) * scales
                file.write(rows.astype("<f4", copy=False).tobytes())
            for key, value in (("location", "large.bin"), ("offset", offset), ("length", file.tell() - offset)):
                tensor.external_data.add(key=key, value=str(value))
            tensor.data_location = TensorProto.EXTERNAL
            tensors.append(tensor)
    nodes = [helper.make_node("Gather", ["embedding", "x"], ["y0"])]
    nodes += [helper.make_node("MatMul", [f"y{i - 1}", f"w{i}"], [f"y{i}"]) for i in range(1, matrices + 1)]
    graph = helper.make_graph(
        nodes,
        "large",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [None])],
        [helper.make_tensor_value_info(f"y{matrices}", TensorProto.FLOAT, [None, side])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    (folder / "large.onnx").write_bytes(model.SerializeToString())
    onnx.checker.check_model(str(folder / "large.onnx"))
    return folder / "large.onnx"


def limit(side: int) -> int:
    """Return the most bytes that a command may take for matrices of ``side`` rows."""
    return TENSOR_FACTOR * FLOAT_BYTES * side * side + FIXED_BYTES


def measure(folder: Path, side: int, matrices: int, jobs: Sequence[int]) -> dict[str, tuple[int, float]]:
    """Return the peak in bytes and the seconds of each command."""
    model, small, plain = write_large_model(folder, side, matrices), folder / "s.dnz.onnx", folder / "p.onnx"
    commands = {
        f"compress --jobs {number}": ["compress", model, "-o", small, "--max-error", BOUND, "--jobs", number]
        for number in jobs
    }
    commands |= {
        "info": ["info", small],
        "verify": ["verify", model, small],
        "decompress": ["decompress", small, "-o", plain],
    }
    found = {}
    for name, arguments in commands.items():
        start = time.monotonic()
        found[name] = (peak_of([*map(str, arguments), "--quiet"]), time.monotonic() - start)
    return found


@click.command()
@click.option("--side", default=SIDE, show_default=True, help="Rows of each square matrix.")
@click.option("--matrices", default=MATRICES, show_default=True, help="Matrices that are weights.")
@click.option("--jobs", type=Listed(int), default=(1, 2), help="Threads of compress.")
def large(side: int, matrices: int, jobs: tuple[int, ...]) -> None:
    """Measure the peak of memory of each command; status 1 where one takes more than its limit."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), side, matrices, jobs)
    most = limit(side)
    click.echo(f"{matrices * side**2 / 1e6:.0f} M weights, {side**2 / 1e6:.1f} M in the largest tensor")
    click.echo(f"{'limit':20} {most / 1e6:6.0f} MB")
    for name, (peak, seconds) in found.items():
        click.echo(f"{name:20} {peak / 1e6:6.0f} MB  {seconds:6.1f} s")
    above = [name for name, (peak, _) in found.items() if peak > most]
    if above:
        raise CheckFailedError(f"large: above the limit: {', '.join(above)}")


if __name__ == "__main__":
    run(large)
