"""The command of ``make bench``."""

import contextlib
import dataclasses
import datetime
import json
import os
from pathlib import Path

import click

from dnnzip.bench.comparison import QUICK, Comparison, Scale, compare, read_reference
from dnnzip.bench.page import PLOT, made_with, memory_line, page, sections
from dnnzip.bench.plot import draw
from dnnzip.bench.rivals import installed
from dnnzip.bench.tables import bits_by_coder, percent_of
from dnnzip.bench.task import FLOAT_NETWORKS, INTEGER_NETWORKS
from dnnzip.cli.endings import failing_in_one_line
from dnnzip.errors import CheckFailedError
from dnnzip.presentation.tables import stdout_console
from dnnzip.system import extras

QUICK_NETWORKS = ("lenet5_mnist", "dscnn_kws_int8")
MAKE = "make bench"


def zoo_folder() -> Path:
    """Return the folder of the trained networks: ``DNNZIP_ZOO``, or ``../shared/zoo`` beside the checkout."""
    return Path(os.environ.get("DNNZIP_ZOO", "../shared/zoo"))


@click.command()
@click.argument("models", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", required=True, type=click.Path(path_type=Path), help="Where the page goes.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Everything that was measured, as JSON.")
@click.option("--quick", is_flag=True, help="Two small networks, two bounds, a small tensor.")
@click.option("--rounds", type=click.IntRange(1), help="How often times are taken.")
def bench(models: tuple[Path, ...], folder: Path, json_file: Path | None, quick: bool, rounds: int | None) -> None:
    """Compare dnnzip with other compressors on MODELS, by default on the trained networks in $DNNZIP_ZOO."""
    scale = QUICK if quick else Scale()
    if rounds:
        scale = dataclasses.replace(scale, rounds=rounds)
    names = QUICK_NETWORKS if quick else (*FLOAT_NETWORKS, *INTEGER_NETWORKS)
    paths = list(models) or [zoo_folder() / f"{name}.onnx" for name in names]
    coders, left_out = installed()
    for line in left_out:
        click.echo(f"bench: {line}", err=True)
    comparison = Comparison(coders, left_out, made_with(coders))

    def progress(what: str) -> None:
        # A long run that is stopped leaves what it has measured.
        write_json(comparison, json_file)
        click.echo(f"bench: {what}", err=True)

    with one_thread():
        compare(comparison, paths, scale, progress)
    if not models:
        comparison.reference = read_reference(zoo_folder().parent / "oracles" / "codecs.json")
    write_json(comparison, json_file)
    write(comparison, scale, folder, MAKE if not (models or quick) else "python -m dnnzip.bench")
    if comparison.broken:
        who = sorted({result.coder for result in comparison.broken})
        raise CheckFailedError(f"bench: the bound is broken by {', '.join(who)}; see the tables")


def one_thread() -> contextlib.AbstractContextManager[object]:
    """Hold the linear algebra of NumPy to one thread.

    Raises
    ------
    MissingToolError
        The package for it is not installed.
    """
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        raise extras.missing("bench", "threadpoolctl", "bench") from None
    limits: contextlib.AbstractContextManager[object] = threadpool_limits(1)
    return limits


def write(comparison: Comparison, scale: Scale, folder: Path, command: str) -> None:
    """Print the tables; write the page and the plot."""
    console = stdout_console()
    for section in sections(comparison, scale):
        console.print(section.title)
        for table in section.tables:
            table.show(console)
    console.print(memory_line(comparison), soft_wrap=True)
    folder.mkdir(parents=True, exist_ok=True)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    (folder / "bench.md").write_text(page(comparison, scale, command, today))
    if comparison.floats:
        draw(bits_by_coder(comparison), percent_of(comparison), folder / PLOT)


def write_json(comparison: Comparison, json_file: Path | None) -> None:
    """Write what was measured so far, if a file is given."""
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(json.dumps(as_json(comparison), indent=1))


def as_json(comparison: Comparison) -> dict[str, object]:
    """Return everything that was measured, absolute speeds included."""
    return {
        "made_with": comparison.made_with,
        "left_out": list(comparison.left_out),
        "peak_memory": comparison.peak_memory,
        "vela_ordered_bits": [[*key, bits] for key, bits in comparison.ordered_bits.items()],
        "entropy_bits": [[*key, bits] for key, bits in comparison.entropy.items()],
        **{
            part: [
                {
                    **dataclasses.asdict(result),
                    "bits_per_weight": result.bits_per_weight,
                    **(
                        {"encode_MB_per_s": result.encode_speed, "decode_MB_per_s": result.decode_speed}
                        if result.encode_seconds
                        else {}
                    ),
                }
                for result in getattr(comparison, part)
            ]
            for part in ("floats", "integers", "generated")
        },
    }


@failing_in_one_line()
def main() -> None:
    """Run the command; a user's mistake is one line on standard error."""
    bench(standalone_mode=True)
