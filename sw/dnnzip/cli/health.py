"""The command that shows what is installed."""

import click

from dnnzip.cli.file_parameters import FileCommand
from dnnzip.cli.output import Output, output_options
from dnnzip.errors import CheckFailedError


@click.command(
    cls=FileCommand,
    help="""Show what is installed, and what is missing.

    Versions, extras, tools and caches, for a bug report. The status is 1 where dnnzip, or an extra that is installed,
    lacks something that it needs.
    """,
)
@output_options
def doctor(output: Output) -> None:
    """Run `dnnzip doctor`."""
    from dnnzip.doctor.diagnosis import diagnose
    from dnnzip.presentation.tables import TextTable

    found = diagnose()
    output.json(found.as_json())
    output.table(TextTable((), ()), *found.lines())
    missing = list(found.missing())
    if missing:
        raise CheckFailedError(f"doctor: {len(missing)} missing, the first: {missing[0]}")
