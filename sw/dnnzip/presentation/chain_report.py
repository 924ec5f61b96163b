"""Report of the whole chain on one network, as JSON and Markdown; of a run that ended, so every check held."""

import json
from typing import Any

from dnnzip.presentation.tables import TextTable, whole_table
from dnnzip.system.outputs import write_output
from dnnzip.usecases.chain import State
from dnnzip.usecases.provenance import provenance


def save_report(state: State) -> None:
    """Write ``report.json`` and ``report.md`` into the job's folder."""
    write_output(state.job.folder / "report.json", (json.dumps(report_json(state), indent=2) + "\n").encode())
    write_output(state.job.folder / "report.md", report_markdown(state).encode())


def table(state: State) -> TextTable:
    """Return the table of the run."""
    assert state.simulation is not None
    return whole_table(state.summary, state.checks, state.simulation)


def closing_lines(state: State) -> list[str]:
    """Return the lines under the table: checks, sizes, accuracy before and after."""
    assert state.simulation is not None
    summary, run_of = state.summary, state.simulation
    lines = [
        f"{run_of.weights:,} weights decoded, {run_of.mismatches} mismatches, every error within its bound",
        f"{summary.bytes:,} bytes with headers, table set, checksums and steps; {4 * summary.weights:,} as float32",
        f"{run_of.weights_per_second / 1e6:.2f} M weights/s simulated",
    ]
    if state.before and state.after:
        lines.append(
            f"top-1 on {state.before.samples:,} samples: {100 * state.before.top1:.2f} % before, "
            f"{100 * state.after.top1:.2f} % after"
        )
    return lines


def report_json(state: State) -> dict[str, Any]:
    """Return the run's numbers as a JSON object."""
    assert state.simulation is not None
    result = {
        "model": state.job.model.name,
        "compress": state.summary.as_json(),
        "simulate": state.simulation.as_json(),
        "verify": [check.as_json() for check in state.checks],
        "provenance": provenance(),
    }
    for name, accuracy in (("before", state.before), ("after", state.after)):
        if accuracy is not None:
            result[name] = {"samples": accuracy.samples, "top1": accuracy.top1}
    return result


def report_markdown(state: State) -> str:
    """Return the run's table and closing lines in Markdown."""
    lines = "\n".join(f"- {line}" for line in closing_lines(state))
    made = "\n".join(f"- {name}: {value}" for name, value in provenance().items())
    title = f"# {state.job.model.name}, bound {state.job.options.bound.text}"
    return f"{title}\n\n{table(state).markdown()}\n{lines}\n\nMade with:\n\n{made}\n"
