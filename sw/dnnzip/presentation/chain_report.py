"""Report of the whole chain on one network, as JSON and Markdown; of a run that ended, so every check held."""

import json
from pathlib import Path
from typing import Any

from dnnzip.presentation.tables import TextTable, whole_table
from dnnzip.system.outputs import write_output
from dnnzip.usecases.chain import Result
from dnnzip.usecases.provenance import provenance


def save_report(result: Result) -> None:
    """Write ``report.json`` and ``report.md`` into the job's folder."""
    folder = result.job.folder
    assert folder is not None
    write_output(folder / "report.json", (json.dumps(report_json(result), indent=2) + "\n").encode())
    write_output(folder / "report.md", report_markdown(result).encode())


def table(result: Result) -> TextTable:
    """Return the table of the run."""
    assert result.simulation is not None
    return whole_table(result.summary, result.checks, result.simulation)


def closing_lines(result: Result) -> list[str]:
    """Return the lines under the table: checks, sizes, accuracy before and after."""
    assert result.simulation is not None
    summary, run_of = result.summary, result.simulation
    lines = [
        f"{run_of.weights:,} weights decoded, {run_of.mismatches} mismatches, every error within its bound",
        f"{summary.bytes:,} bytes with headers, table set, checksums and steps; {4 * summary.weights:,} as float32",
        f"{run_of.weights_per_second / 1e6:.2f} M weights/s simulated",
    ]
    if result.before and result.after:
        lines.append(
            f"top-1 on {result.before.samples:,} samples: {100 * result.before.top1:.2f} % before, "
            f"{100 * result.after.top1:.2f} % after"
        )
    return lines


def report_json(result: Result) -> dict[str, Any]:
    """Return the run's numbers as a JSON object."""
    assert result.simulation is not None
    content = {
        "model": Path(result.job.where).name,
        "compress": result.summary.as_json(),
        "simulate": result.simulation.as_json(),
        "verify": [check.as_json() for check in result.checks],
        "provenance": provenance(),
    }
    for name, accuracy in (("before", result.before), ("after", result.after)):
        if accuracy is not None:
            content[name] = {"samples": accuracy.samples, "top1": accuracy.top1}
    return content


def report_markdown(result: Result) -> str:
    """Return the run's table and closing lines in Markdown."""
    lines = "\n".join(f"- {line}" for line in closing_lines(result))
    made = "\n".join(f"- {name}: {value}" for name, value in provenance().items())
    title = f"# {Path(result.job.where).name}, bound {result.job.options.bound.text}"
    return f"{title}\n\n{table(result).markdown()}\n{lines}\n\nMade with:\n\n{made}\n"
