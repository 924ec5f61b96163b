"""Commands that compress a model, and look at a compressed one."""

import os

import click

from dnnzip.cli.arguments import CodecChoice, model_argument, model_output
from dnnzip.cli.file_parameters import FileCommand, KeptFile
from dnnzip.cli.options import with_options
from dnnzip.cli.output import Output, output_options
from dnnzip.format import AUTO
from dnnzip.quantize.bound import DEFAULT_BOUND, DEFAULT_SCOPE


@click.command(
    cls=FileCommand,
    help="""Compress a model's weights within an error bound.

    No weight moves by more than the bound; what cannot be compressed stays as it is, and says why. MODEL may also be a
    file of weights without a network: .safetensors, .safetensors.index.json, .npz or .gguf.
    """,
)
@model_argument()
@model_output("OUT.dnz.onnx", "The compressed model")
@click.option(
    "--max-error",
    default=DEFAULT_BOUND,
    show_default=True,
    metavar="BOUND",
    help="Largest error of a weight: 1%rms, a share of the root mean square of its output channel; 2% of its range; "
    "0.003 absolute; 1lsb for integer weights; 0 for no loss; or two, 1lsb,1%, for integer and float weights; auto is "
    "1%rms, and 0.2%rms where channels have at most 32 weights.",
)
@click.option(
    "--error-scope",
    type=click.Choice(["tensor", "channel"]),
    default=DEFAULT_SCOPE,
    show_default=True,
    help="Over which weights the range of a percentage is taken.",
)
@click.option(
    "--codec",
    type=CodecChoice(),
    default=AUTO,
    show_default=True,
    help="Coding of weights; auto takes the smaller of ans and raw, line is a baseline to compare with.",
)
@click.option("--layers", multiple=True, metavar="GLOB", help="Compress only weights of these names; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave weights of these names out; may be repeated.")
@click.option(
    "--tables",
    type=KeptFile(),
    metavar="FILE",
    help="A table set: used where the file is there, otherwise trained and written where streams need one; - for "
    "standard output.",
)
@click.option("--states", type=click.Choice([256, 512, 1024]), default=512, show_default=True, help="tANS states.")
@click.option(
    "--virtual-lanes",
    type=click.Choice([1, 2, 4, 8, 16]),
    help="Virtual lanes of each stream; by default as many as its size carries.",
)
@click.option(
    "--groups",
    type=click.IntRange(1, 64),
    metavar="N",
    default=1,
    show_default=True,
    help="Streams of each weight, one per lane group.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    metavar="N",
    default=min(os.cpu_count() or 1, 8),
    show_default="the processors, at most 8",
    help="Threads.",
)
@output_options
def compress(
    model: str,
    target: str,
    max_error: str,
    error_scope: str,
    codec: str,
    layers: tuple[str, ...],
    exclude: tuple[str, ...],
    tables: str | None,
    states: int,
    virtual_lanes: int | None,
    groups: int,
    jobs: int,
    output: Output,
) -> None:
    """Run `dnnzip compress`."""
    from dnnzip.cli.weight_files import compress_weights
    from dnnzip.codec import CodecOptions
    from dnnzip.encoding import encoding_of, log2_states
    from dnnzip.onnx.descriptions import overridable
    from dnnzip.onnx.files import open_model
    from dnnzip.presentation.tables import loss_lines, shares_lines, sizes_line, sizes_table
    from dnnzip.usecases import compress as compression
    from dnnzip.usecases.summary import summarise
    from dnnzip.weight_files.files import kind_of

    known = tables is not None and KeptFile.is_there(tables)
    coding = CodecOptions(codec, log2_states(states), virtual_lanes, groups, jobs=jobs)
    encoding = encoding_of(max_error, error_scope, coding)
    options = compression.options_of(encoding, layers, exclude, tables if known else None)
    if kind_of(model) is not None:
        compress_weights(model, target, options, None if known else tables, output)
        return
    planned = compression.plan(open_model(model), options, model)
    with output.spool(target) as spool:
        # Each weight is put on its grid in a first pass and encoded in a second.
        with output.progress("compressing", 2 * len(planned.weights)) as step:
            result = planned.encode(step, step, spool)
        output.save(result.compressed.model, target)
    has_tables = bool(result.compressed.tables)
    if tables is not None and not known and has_tables:
        output.write(result.compressed.tables, tables)
    summary = summarise(result.compressed, result.left_out, result.losses)
    output.json(summary.as_json())
    notes = [
        f"note: {name}: no input can replace it while it is compressed" for name in overridable(result.compressed.model)
    ]
    if tables is not None and not known and not has_tables:
        notes.append(f"note: {tables} is not written: no stream needs a table set")
    if hint := options.bound.share_hint:
        notes.append(f"note: {with_options(options.bound.where)} is an absolute error, not a share of the range{hint}")
    output.table(sizes_table(summary), sizes_line(summary), *loss_lines(summary), *shares_lines(summary), *notes)


@click.command(
    cls=FileCommand,
    help="Write the plain model of a compressed one.",
)
@model_argument(metavar="MODEL.dnz.onnx")
@model_output("PLAIN.onnx", "The plain model")
@output_options
def decompress(model: str, target: str, output: Output) -> None:
    """Run `dnnzip decompress`."""
    from dnnzip.cli.weight_files import decompress_weights
    from dnnzip.onnx.decompression import decompressed
    from dnnzip.onnx.opening import open_compressed_file
    from dnnzip.usecases.summary import summarise
    from dnnzip.weight_files.files import kind_of

    if kind_of(model) is not None:
        decompress_weights(model, target, output)
        return
    compressed = open_compressed_file(model)
    sizes = summarise(compressed).as_json()
    with output.spool(target) as spool:
        output.save(decompressed(compressed, spool), target)
    output.json(sizes)


@click.command(
    cls=FileCommand,
    help="Show what a compressed model holds.",
)
@model_argument("file", "FILE")
@output_options
def info(file: str, output: Output) -> None:
    """Run `dnnzip info`."""
    from dnnzip.cli.weight_files import show_weights
    from dnnzip.onnx.opening import open_compressed_file
    from dnnzip.presentation.tables import shares_lines, sizes_line, sizes_table
    from dnnzip.usecases.summary import summarise
    from dnnzip.weight_files.files import kind_of

    if kind_of(file) is not None:
        show_weights(file, output)
        return
    summary = summarise(open_compressed_file(file))
    output.json(summary.as_json())
    output.table(sizes_table(summary), sizes_line(summary), *shares_lines(summary))


@click.command(
    cls=FileCommand,
    help="""Check a compressed model against its original.

    Every weight must be within its bound, and the network around them as it was: nodes, attributes, arrays, inputs and
    outputs, except what compression has to change.
    """,
)
@model_argument()
@model_argument("compressed", "OUT.dnz.onnx")
@output_options
def verify(model: str, compressed: str, output: Output) -> None:
    """Run `dnnzip verify`."""
    from dnnzip.cli.weight_files import verify_weights
    from dnnzip.onnx.files import open_model
    from dnnzip.onnx.opening import open_compressed_file
    from dnnzip.presentation.tables import checks_table
    from dnnzip.usecases import verify as verification
    from dnnzip.weight_files.files import kind_of

    if kind_of(model) is not None:
        verify_weights(model, compressed, output)
        return
    result = verification.verify(open_model(model), open_compressed_file(compressed), model)
    output.json(result.as_json())
    output.table(checks_table(result.layers), *result.lines())
    verification.require(result)
