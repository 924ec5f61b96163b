"""dnnzip compared with other compressors, on the same tensors and bound, in one run: ``make bench``, docs/bench.md.

The other compressors come with the extra ``bench``; one that is not installed is left out and named.
"""

import dataclasses
from pathlib import Path
from typing import Any

import click
from threadpoolctl import threadpool_limits

from dnnzip.errors import CheckFailedError
from dnnzip.usecases.provenance import provenance
from dnnzip_bench.catalogue import zoo_folder, zoo_models
from dnnzip_bench.coders.measure import Result
from dnnzip_bench.coders.page import PLOT, memory_line, packages, page, sections
from dnnzip_bench.coders.results import QUICK, Comparison, Scale, compare, read_reference
from dnnzip_bench.coders.rivals import installed
from dnnzip_bench.coders.tables import bits_by_coder
from dnnzip_bench.command import folder_option, json_option, models_argument, run, show, told, write, write_json
from dnnzip_bench.plots import draw

QUICK_NETWORKS = ("lenet5_mnist", "dscnn_kws_int8")


@click.command()
@models_argument
@folder_option(what="Where the page goes.")
@json_option
@click.option("--quick", is_flag=True, help="Two small networks, two bounds, a small tensor.")
@click.option("--rounds", type=click.IntRange(1), help="How often times are taken.")
def comparison(models: tuple[Path, ...], folder: Path, json_file: Path | None, quick: bool, rounds: int | None) -> None:
    """Compare dnnzip with other compressors on MODELS, by default on the trained networks in $DNNZIP_ZOO."""
    scale = QUICK if quick else Scale()
    if rounds:
        scale = dataclasses.replace(scale, rounds=rounds)
    paths = list(models) or [path for path in zoo_models() if not quick or path.stem in QUICK_NETWORKS]
    coders, left_out = installed()
    for line in left_out:
        click.echo(f"bench: {line}", err=True)
    measured = Comparison(coders, left_out, provenance(packages(coders)))

    def progress(what: str) -> None:
        # A long run that is stopped leaves what it has measured.
        write_json(json_file, as_json(measured))
        told(f"bench: {what}")

    with threadpool_limits(1):
        compare(measured, paths, scale, progress)
    if not models:
        measured.reference = read_reference(zoo_folder().parent / "oracles" / "codecs.json")
    write_json(json_file, as_json(measured))
    for section in sections(measured, scale):
        show(section.title, *section.tables)
    show(memory_line(measured))
    by = "python -m dnnzip_bench.comparison" if models or quick else "make bench"
    write(folder / "bench.md", page(measured, scale, by))
    if measured.floats:
        percents = [float(bound.rstrip("%")) for bound in dict.fromkeys(result.bound for result in measured.floats)]
        draw(bits_by_coder(measured), percents, (folder / PLOT).with_suffix(""))
    if measured.broken:
        who = sorted({result.coder for result in measured.broken})
        raise CheckFailedError(f"bench: the bound is broken by {', '.join(who)}; see the tables")


def as_json(measured: Comparison) -> dict[str, Any]:
    """Return everything that was measured, absolute speeds included."""
    return {
        "made_with": measured.made_with,
        "left_out": list(measured.left_out),
        "peak_memory": measured.peak_memory,
        "vela_ordered_bits": [[*key, bits] for key, bits in measured.ordered_bits.items()],
        "entropy_bits": [[*key, bits] for key, bits in measured.entropy.items()],
        **{part: list(map(_as_json, getattr(measured, part))) for part in ("floats", "integers", "generated")},
    }


def _as_json(result: Result) -> dict[str, Any]:
    facts = {**dataclasses.asdict(result), "bits_per_weight": result.bits_per_weight}
    if result.encode_seconds:
        facts |= {"encode_MB_per_s": result.encode_speed, "decode_MB_per_s": result.decode_speed}
    return facts


if __name__ == "__main__":
    run(comparison)
