"""The commands on files of named tensors: safetensors, ``.npz`` and GGUF instead of networks."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dnnzip.cli.file_parameters import STANDARD_OUTPUT
from dnnzip.cli.options import with_options
from dnnzip.cli.output import Output
from dnnzip.system.outputs import OutputSet
from dnnzip.system.streams import standard_output
from dnnzip.system.temporary import temporary_folder

if TYPE_CHECKING:
    from dnnzip.usecases.compress import CompressionOptions
    from dnnzip.usecases.summary import Summary
    from dnnzip.weight_files.files import Kind


def compress_weights(
    source: str, target: str, options: "CompressionOptions", tables: str | None, output: Output
) -> None:
    """Compress a weight file.

    Parameters
    ----------
    source, target
        The plain file, and the compressed one.
    options
        Bound, selection and codec.
    tables
        File for the table set that is trained; none where there is no such file, or it was read.
    output
        Destinations of the results.
    """
    from dnnzip.usecases.tensor_sizes import summarise_tensors
    from dnnzip.weight_files import compression
    from dnnzip.weight_files.files import read_weight_file, write_compressed

    kind = _kind(source, target)
    file = read_weight_file(source)
    bound = options.bound
    chosen = compression.TensorOptions(bound, options.scope, options.layers, options.exclude, options.codec)
    planned = compression.plan(file, chosen)
    with output.spool(target) as spool:
        with output.progress("compressing", 2 * len(planned.weights)) as step:
            result = compression.compress(file, chosen, planned, spool.add, step)
        _write(lambda path, files: write_compressed(result, path, kind, files), target, output)
    notes = [*file.notes]
    if tables is not None and result.tables:
        output.write(result.tables, tables)
    elif tables is not None:
        notes.append(f"note: {tables} is not written: no stream needs a table set")
    if bound.share_hint:
        notes.append(
            f"note: {with_options(bound.where)} is an absolute error, not a share of the range{bound.share_hint}"
        )
    _show(summarise_tensors(result), output, notes)


def decompress_weights(source: str, target: str, output: Output) -> None:
    """Write the plain weights of a compressed weight file."""
    from dnnzip.usecases.tensor_sizes import summarise_tensors
    from dnnzip.weight_files.compressed import open_compressed
    from dnnzip.weight_files.files import read_weight_file, write_weight_file

    kind = _kind(source, target)
    compressed = open_compressed(read_weight_file(source))
    plain = compressed.decompressed()
    _write(lambda path, files: write_weight_file(plain, path, kind, files), target, output)
    output.json(summarise_tensors(compressed).as_json())


def show_weights(source: str, output: Output) -> None:
    """Show what a compressed weight file holds."""
    from dnnzip.usecases.tensor_sizes import summarise_tensors
    from dnnzip.weight_files.compressed import open_compressed
    from dnnzip.weight_files.files import read_weight_file

    _show(summarise_tensors(open_compressed(read_weight_file(source))), output, [])


def verify_weights(source: str, compressed: str, output: Output) -> None:
    """Check a compressed weight file against its original."""
    from dnnzip.presentation.tables import checks_table
    from dnnzip.usecases.verify import require
    from dnnzip.usecases.verify_tensors import verify_tensors
    from dnnzip.weight_files.compressed import open_compressed
    from dnnzip.weight_files.files import read_weight_file

    result = verify_tensors(read_weight_file(source), open_compressed(read_weight_file(compressed)))
    output.json(result.as_json())
    output.table(checks_table(result.layers), *result.lines())
    require(result)


def _kind(source: str, target: str) -> "Kind":
    """Return the kind of a weight file to write, by its name and that of its source."""
    from dnnzip.weight_files.files import kind_of, output_kind

    of_source = kind_of(source)
    assert of_source is not None, "called for a weight file alone"
    return output_kind("/dev/stdout" if target == STANDARD_OUTPUT else target, of_source)


def _write(write: Callable[[str | Path, OutputSet], None], target: str, output: Output) -> None:
    """Write an output by a function that takes its path, or to standard output."""
    if target != STANDARD_OUTPUT:
        write(target, output.files)
        return
    # Whole before its first byte is out: a tensor that cannot be decoded is found on the way.
    with temporary_folder() as folder:
        path = folder / "weights"
        with OutputSet() as outputs:
            write(path, outputs)
        with path.open("rb") as whole, standard_output() as stream:
            shutil.copyfileobj(whole, stream)


def _show(summary: "Summary", output: Output, notes: list[str]) -> None:
    from dnnzip.presentation.tables import sizes_line, sizes_table

    output.json(summary.as_json())
    left_out = (f"left out: {item.name} ({item.weights:,} weights): {item.rule}" for item in summary.left_out)
    output.table(sizes_table(summary), sizes_line(summary), *left_out, *notes)
