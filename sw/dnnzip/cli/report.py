"""The command ``dnnzip report``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dnnzip.cli.file_parameters import FileCommand, Folder
from dnnzip.cli.output import Output, output_options
from dnnzip.system import extras

if TYPE_CHECKING:
    from dnnzip.presentation.tables import TextTable

PAGE = "report.html"
FIGURES = "figures"
DRAWN = 7
"""Figures on paper; of progress alone."""


@click.command(
    "report",
    cls=FileCommand,
    help="""Show what `dnnzip explore` or `dnnzip tune` found.

    Writes DIR/report.html, one page that holds all of its numbers and opens without a network, and DIR/figures with the
    same views as SVG and PNG. An exploration that still runs can be looked at. Needs the extra report.
    """,
)
@click.argument(
    "folder",
    type=Folder(
        writes=(PAGE, f"{FIGURES}/*"),
        reads=("request.json", "network.json", "tune.json", "results/*.parquet", "layers/*.parquet"),
    ),
    metavar="DIR",
)
@click.option(
    "--max-drop",
    default="1%",
    show_default=True,
    metavar="POINTS%",
    help="Accuracy that may be lost, in points: 1% or 0.5%. The page leads with the fewest bits at that loss.",
)
@output_options
def report(folder: str, max_drop: str, output: Output) -> None:
    """Run `dnnzip report`."""
    from dnnzip.system.outputs import check_output
    from dnnzip.tuning.drop import parse_drop

    limit = parse_drop(max_drop)
    try:
        from dnnzip.report.evidence import read_evidence
        from dnnzip.report.headline import as_json
        from dnnzip.report.page import render
        from dnnzip.report.static import draw_all
    except ImportError as error:
        raise extras.missing("report", error.name, "report") from None
    path = Path(folder)
    evidence = read_evidence(path)
    check_output(path / PAGE)
    with output.progress("drawing", DRAWN + 1) as step:
        page = render(evidence, limit)
        step(PAGE)
        figures = draw_all(evidence, limit, path / FIGURES, output.files, step) if evidence.settings else []
    # Half a pair, which JSON can hold, is no text of a page.
    output.files.write(path / PAGE, page.encode(errors="backslashreplace"))
    summary = as_json(evidence, limit)
    summary["page"] = str(path / PAGE)
    summary["figures"] = [str(figure) for figure in figures]
    output.json(summary)
    output.table(*describe(summary))


def describe(summary: dict[str, Any]) -> tuple["TextTable", str]:
    """Return the table and the line for the terminal: savings on each accelerator, and a line about the whole."""
    from dnnzip.presentation.tables import TextTable, share

    best = summary["best"]
    where = f"{summary['page']}: {summary['settings']:,} settings, {summary['points']:,} points"
    if best is None:
        nothing = f"; none loses at most {100 * summary['max_drop']:g} points" if summary["settings"] else ""
        return TextTable((), ()), where + nothing
    header = ("accelerator", "decompressed", "timing", "saved latency", "saved energy", "saved without leakage")
    rows = tuple(
        (
            item["accelerator"],
            item["placement"],
            item["timing"],
            *(
                f"{share(item[name])} %"
                for name in ("latency_reduction", "energy_reduction", "energy_reduction_without_leakage")
            ),
        )
        for item in best["estimates"]
    )
    return TextTable(header, rows), (
        f"{best['name']}: {best['bits_per_weight']:.3f} bits per weight, "
        f"top1 {100 * best['top1']:.2f} % of plain {100 * best['top1_plain']:.2f} %; {where}"
    )
