"""A table set in a file of its own, so that one set can serve several networks."""

from pathlib import Path

from dnnzip.errors import InputError, field_name
from dnnzip.format import TableSet, VerdictError
from dnnzip.inputs.reading import read_bounded

#: Bytes of a file that are read at most; a table set is far smaller.
LARGEST = 1 << 20


def read_table_set(path: str | Path, log2_states: int) -> TableSet:
    """Read a table set.

    Parameters
    ----------
    path
        The file.
    log2_states
        Base-2 logarithm of the number of states that it must have.

    Raises
    ------
    InputError
        The file cannot be read, is no table set, or has another number of states than ``1 << log2_states``.
    """
    try:
        table_set = TableSet.from_bytes(read_bounded(path, LARGEST, "name a table set file", takes_pipe=True))
    except VerdictError as error:
        raise InputError(
            str(path), f"is no table set ({error.verdict.label})", "name a file that 'compress --tables' wrote"
        ) from None
    if table_set.log2_states != log2_states:
        raise InputError(
            str(path), f"has {table_set.states} states", f"use it with {field_name('states')} {table_set.states}"
        )
    return table_set
