"""The command line: options in, one call of the flow, tables and JSON out."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from dnnzip import __version__
from dnnzip.cli.announcements import ignore_announcements
from dnnzip.cli.debug_option import Wishes, debug_option
from dnnzip.cli.endings import end, ending_of
from dnnzip.cli.file_parameters import (
    STANDARD_OUTPUT,
    AcceleratorFile,
    FileCommand,
    Folder,
    ImageFolder,
    InputFile,
    KeptFile,
    ModelFile,
    ModelOutput,
    OutputFile,
    takes_standard_output,
)
from dnnzip.cli.options import with_options
from dnnzip.errors import CheckFailedError, DnnzipError, InputError
from dnnzip.format import AUTO, codec_choices
from dnnzip.system import extras, signals
from dnnzip.system.outputs import OutputSet
from dnnzip.system.streams import drop, printing, standard_output
from dnnzip.system.terminal import let_streams_show_all, printable
from dnnzip.system.waits import error_console, show_waits

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

    import onnx
    from click.shell_completion import CompletionItem

    from dnnzip.format.array import ArrayShape
    from dnnzip.onnx.lazy_tensors import Spool
    from dnnzip.presentation.tables import TextTable

COMMANDS = "dnnzip.commands"
Command = TypeVar("Command", bound=Callable[..., Any])


def _entry_points(name: str | None = None) -> "EntryPoints":
    """Return the entry points of commands; what reads them is loaded when a list or a command of an extra needs it."""
    from importlib.metadata import entry_points

    found = entry_points(group=COMMANDS)
    return found if name is None else found.select(name=name)


class Commands(click.Group):
    """The group of commands, with those that an installed extra provides."""

    command_class = FileCommand

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *(point.name for point in _entry_points())})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name; one of an extra that is not installed says so when it is called."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            return command
        for point in _entry_points(name=cmd_name):
            try:
                found: click.Command = point.load()
            except ImportError as error:
                return _without_its_extra(cmd_name, error)
            return found
        return None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; some of them print and end the command."""
        with printing():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; click would answer each interrupt with an empty line of its own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if sys.stderr and sys.stderr.isatty():
                print(file=sys.stderr)  # ends the line that the terminal has put ^C on
            raise click.Abort from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; those of extras are not loaded for it."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._summary(ctx, name)) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem[str]]":
        """Return the commands and options that a word may become; commands of extras are not loaded for it."""
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=self._summary(ctx, name)) for name in names), *options]

    def _summary(self, ctx: click.Context, name: str) -> str:
        """Return a command's summary, with the extra that it needs."""
        summary, extra = extras.COMMANDS.get(name, ("", ""))
        if not summary:
            command = self.get_command(ctx, name)
            summary = command.get_short_help_str(limit=100) if command else ""
        return f"{summary} [{extra}]" if extra else summary


def _without_its_extra(name: str, error: ImportError) -> click.Command:
    """Return the command in place of one whose modules are not all installed."""
    summary, extra = extras.COMMANDS.get(name, ("It comes with another package.", ""))
    refusal = extras.missing(name, error.name, extra)

    @click.command(
        name,
        cls=FileCommand,
        help=f"{summary}\n\nNot available: {refusal}.",
        context_settings={"ignore_unknown_options": True},
    )
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def command(**_: Any) -> None:
        raise refusal

    return command


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="In brackets: the extra that a command needs. simulate and run need sim with --link sim and board with "
    "--link serial, --images needs images. `dnnzip doctor` says which are installed, and how to get the others.",
    help="""Compress the weights of neural networks with a bounded error, and decode them in hardware.

    Shell completion: eval "$(_DNNZIP_COMPLETE=bash_source dnnzip)", or zsh_source, fish_source.
    """,
)
@click.version_option(__version__, prog_name="dnnzip")
def cli() -> None:
    """Run `dnnzip`: options that are common to all commands."""


cli.params.append(debug_option(hidden=False))


class Output:
    """Where a command's results go: tables to standard output, JSON and models to files.

    Parameters
    ----------
    json_file
        The option ``--json``: a file, ``-`` for standard output, or None.
    quiet
        The option ``--quiet``, or that another output claims standard output.
    files
        The set of the command's files, which get their names when the command ends.
    """

    def __init__(self, json_file: str | None, quiet: bool, files: OutputSet) -> None:
        self.files = files
        self.json_file = json_file
        self.quiet = quiet or json_file == STANDARD_OUTPUT

    def table(self, table: "TextTable", *lines: str) -> None:
        """Print a table and the lines under it, unless ``--quiet``, or ``-`` claims standard output."""
        if self.quiet or sys.stdout is None:
            return
        from dnnzip.presentation.tables import stdout_console

        console = stdout_console()
        with standard_output():
            if table.rows:
                table.show(console)
            for line in lines:
                console.print(printable(line), soft_wrap=True)

    def json(self, content: dict[str, Any]) -> None:
        """Write the JSON object where ``--json`` says."""
        if self.json_file:
            self.write((json.dumps(content, indent=2, allow_nan=False) + "\n").encode(), self.json_file)

    def write(self, content: bytes, target: str) -> None:
        """Write a file, or to standard output where its name is ``-``."""
        if target == STANDARD_OUTPUT:
            with standard_output() as file:
                file.write(content)
        else:
            self.files.write(target, content)

    def save(self, model: "onnx.ModelProto", target: str) -> None:
        """Write a model to a file, or to standard output where its name is ``-``."""
        from dnnzip.onnx.files import save_model, write_model

        if target == STANDARD_OUTPUT:
            with standard_output() as file:
                write_model(model, file, STANDARD_OUTPUT)
        else:
            save_model(model, target, self.files)

    def spool(self, target: str) -> "AbstractContextManager[Spool]":
        """Open a spool for an output, see `open_spool`."""
        from dnnzip.onnx.lazy_tensors import open_spool

        return open_spool("/dev/stdout" if target == STANDARD_OUTPUT else target)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Callable[[str], None]]:
        """Show a progress bar on standard error while it is a terminal; give the function to call at each step."""
        from rich.progress import Progress

        is_hidden = self.quiet or not (sys.stderr and sys.stderr.isatty())
        with Progress(console=error_console(), transient=True, disable=is_hidden) as bar:
            task = bar.add_task(what, total=total)
            yield lambda _: bar.advance(task)


def output_options(command: Command) -> Command:
    """Give a command ``--json`` and ``--quiet``, passed on as ``output``."""

    @wraps(command)
    def with_output(*arguments: Any, json_file: str | None, quiet: bool, **options: Any) -> Any:
        show_waits(not quiet)
        is_quiet = quiet or takes_standard_output(click.get_current_context())
        with OutputSet() as files:
            try:
                return command(*arguments, output=Output(json_file, is_quiet, files), **options)
            except (CheckFailedError, BrokenPipeError, SystemExit):
                # What a failed check found is a result; and who reads no further (Rich then exits) wants no less of
                # what was made.
                files.give_names()
                raise

    json_option = click.option(
        "--json",
        "json_file",
        type=OutputFile(is_text=True),
        metavar="FILE",
        help="Write results as JSON; - for standard output.",
    )
    quiet_option = click.option("--quiet", is_flag=True, help="Print no table, and not what a first run waits for.")
    return cast(Command, quiet_option(json_option(with_output)))


def model_argument(name: str = "model", metavar: str = "MODEL.onnx") -> Callable[[Command], Command]:
    """Give a command a model file as its argument."""
    return click.argument(name, type=ModelFile(), metavar=metavar)


def model_output(
    metavar: str, help_text: str, *, is_required: bool = True, beside: tuple[str, ...] = ()
) -> Callable[[Command], Command]:
    """Give a command the option for the model that it writes, passed on as ``target``.

    Parameters
    ----------
    metavar, help_text
        Of the option.
    is_required
        Whether the command writes it always.
    beside
        Ends of the names of files that the command writes beside it.
    """
    return click.option(
        "-o",
        "--output-model",
        "target",
        type=ModelOutput(*beside),
        required=is_required,
        metavar=metavar,
        help=f"{help_text}; - for standard output.",
    )


def data_option(
    help_text: str = "Arrays x (samples) and y (class indices).", *, is_required: bool = False
) -> Callable[[Command], Command]:
    """Give a command the option for its samples, passed on as ``data``."""
    return click.option("--data", type=InputFile(), required=is_required, metavar="SET.npz", help=help_text)


def images_option() -> Callable[[Command], Command]:
    """Give a command the option for a folder of images, passed on as ``images``."""
    return click.option(
        "--images",
        type=ImageFolder(),
        metavar="DIR",
        help="In their place, a folder of images with labels; needs the extra images.",
    )


def scores_option(option: str = "--output") -> Callable[[Command], Command]:
    """Give a command the option that names the output which holds the scores, passed on as ``scores``."""
    return click.option(
        option, "scores", metavar="NAME", help="Output of the scores.  [default: the only one of that shape]"
    )


class CodecChoice(click.Choice[str]):
    """The name of a codec, of those that are there when the command runs."""

    def __init__(self) -> None:
        super().__init__(codec_choices())

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or end with the known ones."""
        self.choices = codec_choices()
        return super().convert(value, param, ctx)


@cli.command(
    help="""Compress a model's weights within an error bound.

    No weight moves by more than the bound; what cannot be compressed stays as it is, and says why.
    """,
)
@model_argument()
@model_output("OUT.dnz.onnx", "The compressed model")
@click.option(
    "--max-error",
    required=True,
    metavar="BOUND",
    help="Largest error of a weight: 2% of its range, 0.003 absolute, or 1lsb for integer weights.",
)
@click.option(
    "--error-scope",
    type=click.Choice(["tensor", "channel"]),
    default="tensor",
    show_default=True,
    help="Over which weights the range of a percentage is taken.",
)
@click.option(
    "--codec",
    type=CodecChoice(),
    default=AUTO,
    show_default=True,
    help="How weights are coded; auto takes the smaller of ans and raw, line is a baseline to compare with.",
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
@click.option(
    "--states", type=click.Choice(["256", "512", "1024"]), default="512", show_default=True, help="tANS states."
)
@click.option(
    "--virtual-lanes",
    type=click.Choice(["1", "2", "4", "8", "16"]),
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
    states: str,
    virtual_lanes: str | None,
    groups: int,
    jobs: int,
    output: Output,
) -> None:
    """Run `dnnzip compress`."""
    from dnnzip.codec import CodecOptions
    from dnnzip.onnx.descriptions import overridable
    from dnnzip.onnx.files import open_model
    from dnnzip.presentation.tables import sizes_line, sizes_table
    from dnnzip.quantize.bound import Bound, Scope
    from dnnzip.usecases import compress as compression
    from dnnzip.usecases.summary import summarise
    from dnnzip.usecases.table_file import read_table_set

    bound = Bound.parse(max_error)
    log2_states = int(states).bit_length() - 1
    known = tables is not None and KeptFile.is_there(tables)
    options = compression.CompressionOptions(
        bound=bound,
        scope=Scope(error_scope),
        layers=layers,
        exclude=exclude,
        codec=CodecOptions(
            codec=codec,
            log2_states=log2_states,
            virtual_lanes=int(virtual_lanes) if virtual_lanes else None,
            groups=groups,
            table_set=read_table_set(tables, log2_states) if tables is not None and known else None,
            jobs=jobs,
        ),
    )
    network = open_model(model)
    planned = compression.plan(network, options, model)
    with output.spool(target) as spool:
        # Each weight is put on its grid in a first pass and encoded in a second.
        with output.progress("compressing", 2 * len(planned[0])) as step:
            result = compression.compress(network, options, model, step, first_pass=step, spool=spool, planned=planned)
        output.save(result.compressed.model, target)
    has_tables = bool(result.compressed.tables)
    if tables is not None and not known and has_tables:
        output.write(result.compressed.tables, tables)
    summary = summarise(result.compressed, result.left_out)
    output.json(summary.as_json())
    notes = [
        f"note: {name}: no input can replace it while it is compressed" for name in overridable(result.compressed.model)
    ]
    if tables is not None and not known and not has_tables:
        notes.append(f"note: {tables} is not written: no stream needs a table set")
    if bound.share_hint:
        notes.append(
            f"note: {with_options(bound.where)} is an absolute error, not a share of the range{bound.share_hint}"
        )
    output.table(sizes_table(summary), sizes_line(summary), *_left_out_lines(summary.left_out), *notes)


def _left_out_lines(left_out: Any) -> list[str]:
    return [f"left out: {item.name} ({item.weights:,} weights): {item.rule}" for item in left_out]


@cli.command(
    help="Write the plain model that a compressed one stands for.",
)
@model_argument(metavar="MODEL.dnz.onnx")
@model_output("PLAIN.onnx", "The plain model")
@output_options
def decompress(model: str, target: str, output: Output) -> None:
    """Run `dnnzip decompress`."""
    from dnnzip.onnx.container import decompressed, open_compressed_file
    from dnnzip.usecases.summary import summarise

    compressed = open_compressed_file(model)
    sizes = summarise(compressed).as_json()
    with output.spool(target) as spool:
        output.save(decompressed(compressed, spool), target)
    output.json(sizes)


@cli.command(
    help="Show what a compressed model holds.",
)
@model_argument("file", "FILE")
@output_options
def info(file: str, output: Output) -> None:
    """Run `dnnzip info`."""
    from dnnzip.onnx.container import open_compressed_file
    from dnnzip.presentation.tables import sizes_line, sizes_table
    from dnnzip.usecases.summary import summarise

    summary = summarise(open_compressed_file(file))
    output.json(summary.as_json())
    output.table(sizes_table(summary), sizes_line(summary), *_left_out_lines(summary.left_out))


@cli.command(
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
    from dnnzip.onnx.container import open_compressed_file
    from dnnzip.onnx.files import open_model
    from dnnzip.presentation.tables import checks_table
    from dnnzip.usecases import verify as verification

    result = verification.verify(open_model(model), open_compressed_file(compressed), model)
    output.json(result.as_json())
    output.table(checks_table(result.layers), *result.lines())
    verification.require(result)


@cli.command(
    help="""Measure a model's accuracy with onnxruntime.

    The model may be plain or compressed.
    """,
)
@model_argument(metavar="MODEL")
@data_option()
@images_option()
@click.option("--samples", type=click.IntRange(1), metavar="N", help="Only so many samples, from the first.")
@scores_option()
@output_options
def evaluate(
    model: str, data: str | None, images: str | None, samples: int | None, scores: str | None, output: Output
) -> None:
    """Run `dnnzip evaluate`."""
    from dnnzip.evaluation.accuracy import evaluate as measure
    from dnnzip.evaluation.images import load_labelled
    from dnnzip.presentation.tables import TextTable

    accuracy = measure(model, load_labelled(data, images, model, samples), output=scores)
    result: dict[str, Any] = {"samples": accuracy.samples, "top1": accuracy.top1}
    if accuracy.top5 is not None:
        result["top5"] = accuracy.top5
    output.json(result)
    shares = "  ".join(f"{name} {100 * result[name]:.2f} %" for name in ("top1", "top5") if name in result)
    output.table(TextTable((), ()), f"{shares}  ({accuracy.samples} samples)")


@cli.command(
    help="""Decode every stream in the RTL and compare all bits.

    The RTL runs under Verilator, or on a board. Its codes are compared with those of the fast decoder; so are, with
    --link golden, those of the reference decoder, the norm.
    """,
)
@model_argument(metavar="MODEL.dnz.onnx")
@model_output("DECODED.onnx", "Write the plain model as the link decoded it", is_required=False)
@click.option(
    "--link",
    default="sim",
    show_default=True,
    metavar="LINK",
    help="What decodes: sim (extra sim), or sim:N for N simulators at once instead of one for each core; golden, the "
    "reference decoder, about 100,000 weights per second; serial:PORT (extra board).",
)
@output_options
def simulate(model: str, target: str | None, link: str, output: Output) -> None:
    """Run `dnnzip simulate`."""
    from dnnzip.link import open_link
    from dnnzip.onnx.container import read_compressed
    from dnnzip.presentation.tables import simulation_table
    from dnnzip.usecases import simulate as simulation

    opened = open_link(link)
    compressed = read_compressed(model)
    result = simulation.simulate(compressed, opened)
    output.json(result.as_json())
    output.table(
        simulation_table(result), f"{result.weights_per_second / 1e6:.2f} M weights/s in the decoder, without its start"
    )
    simulation.require(result)
    if target is not None:
        output.save(simulation.decoded_model(compressed, result), target)


@cli.command(
    help="""Write a model's streams as a memory image.

    The folder gets weights.bin, which starts with its address table, and the same table as weights.json and weights.h.
    Layers come in the order in which the network executes them.
    """,
)
@model_argument(metavar="MODEL.dnz.onnx")
@click.option(
    "-o",
    "--output",
    "folder",
    type=Folder(writes=("weights.bin", "weights.json", "weights.h")),
    required=True,
    metavar="DIR",
    help="Folder for the files; made where missing.",
)
@click.option(
    "--bus-bits",
    type=int,
    metavar="W",
    default=64,
    show_default=True,
    help="Streams start on words of so many bits: 16, 32, ... 512. An image for a wide bus serves narrower ones.",
)
@click.option(
    "--prefix",
    metavar="NAME",
    help="What all names of weights.h begin with; two images in one program need two.  [default: the folder's name]",
)
@output_options
def image(model: str, folder: str, bus_bits: int, prefix: str | None, output: Output) -> None:
    """Run `dnnzip image`."""
    from dnnzip.onnx.container import open_compressed_file
    from dnnzip.presentation.tables import image_table
    from dnnzip.usecases.image import plan_image, write_image
    from dnnzip.usecases.image_header import check_prefix

    if prefix is not None:
        check_prefix(prefix)
    compressed = open_compressed_file(model)
    with output.progress("checking", len(compressed.layers)) as step:
        planned = plan_image(compressed, bus_bits, step)
    paths = write_image(planned, compressed, folder, output.files, prefix)
    output.json(planned.as_json())
    totals = (
        f"{planned.size:,} bytes, {planned.padding:,} of them padding, {planned.bits_per_weight:.3f} bits per weight"
    )
    output.table(image_table(planned), totals, *map(str, paths))


@cli.command(
    help="""Quantise a network to 8 bits with onnxruntime.

    Weights become int8, symmetric around zero, each output channel with its own scale; activations become int8.
    """,
)
@model_argument()
@data_option("Samples to calibrate with: arrays x and y.", is_required=True)
@model_output("Q.onnx", "The network of 8 bits")
@click.option(
    "--samples",
    type=click.IntRange(1),
    metavar="N",
    help="Calibrate with so many samples, from the first.  [default: 100]",
)
@output_options
def quantize(model: str, data: str, target: str, samples: int | None, output: Output) -> None:
    """Run `dnnzip quantize`."""
    from dnnzip.evaluation.dataset import load_dataset
    from dnnzip.onnx.files import load_model
    from dnnzip.presentation.tables import TextTable
    from dnnzip.usecases.quantize import SAMPLES, quantise_network

    network = load_model(model)
    dataset = load_dataset(data, samples)
    used = dataset if samples is not None else dataset.first(SAMPLES)
    result = quantise_network(network, used, model)
    output.save(result, target)
    output.json({"samples": len(used.x), "model": target})
    output.table(TextTable((), ()), f"calibrated with {len(used.x)} samples: {target}")


@cli.command(
    help="""Estimate latency and energy on an accelerator.

    Weights as they are stand beside compressed ones. The model may be compressed; a plain one, or one of shapes only,
    needs --bits or --ratio.
    """,
)
@model_argument(metavar="MODEL")
@click.option(
    "--accelerator",
    type=AcceleratorFile(),
    required=True,
    metavar="PRESET|FILE.toml",
    help="What it runs on: paper-mesh-8x8, edge-lpddr4, ulx3s, or a file of that form.",
)
@click.option("--bits", type=float, metavar="B", help="Bits of every compressed weight, whatever the model holds.")
@click.option("--ratio", type=float, metavar="R", help="Plain over compressed size of every weight, in their place.")
@click.option(
    "--timing",
    type=click.Choice(["serial", "overlap"]),
    default="serial",
    show_default=True,
    help="A layer takes the sum of its parts, or the longest of them.",
)
@click.option(
    "--batch", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Samples that share the weights."
)
@click.option(
    "--weight-bits",
    type=click.Choice(["32", "16", "8"]),
    help="Of weights that are not compressed.  [default: its own]",
)
@click.option(
    "--placement",
    type=click.Choice(["pe", "memory-interface"]),
    help="Where weights are decompressed.  [default: the accelerator's]",
)
@output_options
def estimate(
    model: str,
    accelerator: str,
    bits: float | None,
    ratio: float | None,
    timing: str,
    batch: int,
    weight_bits: str | None,
    placement: str | None,
    output: Output,
) -> None:
    """Run `dnnzip estimate`."""
    from dnnzip.accelerator import Timing, load_accelerator
    from dnnzip.format.array import Placement
    from dnnzip.presentation.estimation_table import estimation_table, summary_lines
    from dnnzip.usecases.estimate import EstimationOptions, compare, read_network

    options = EstimationOptions(Timing(timing), batch, int(weight_bits) if weight_bits else None, bits, ratio)
    loaded = load_accelerator(accelerator)
    if placement is not None:
        loaded = loaded.placed(Placement(placement))
    result = compare(read_network(model), loaded, options, model)
    output.json(result.as_json())
    output.table(estimation_table(result), *summary_lines(result))


@cli.command(
    help="""Run a whole 8-bit network on the PE array.

    The model may be plain or compressed. Its convolutions and matrix products run on the array, the rest in
    onnxruntime; predictions are compared with those of onnxruntime alone.
    """,
)
@model_argument(metavar="MODEL")
@data_option(is_required=True)
@click.option(
    "--link",
    required=True,
    metavar="LINK",
    help="What executes the array's layers: golden, sim (extra sim) or serial:PORT (extra board).",
)
@click.option("--samples", type=click.IntRange(1), metavar="N", help="Only so many samples, from the first.")
@scores_option()
@click.option("--groups", type=int, metavar="G", default=1, show_default=True, help="Lane groups of the array.")
@click.option("--lanes", type=int, metavar="M", default=4, show_default=True, help="Hardware lanes of a group.")
@click.option(
    "--slots", type=int, metavar="K", default=4, show_default=True, help="Virtual lanes of each; rows: G M K."
)
@click.option("--columns", type=int, metavar="C", default=16, show_default=True, help="Columns of the array.")
@click.option("--vectors", type=int, metavar="P", default=1024, show_default=True, help="Accumulators of each row.")
@click.option(
    "--check/--no-check", default=True, show_default=True, help="Compare every sum with NumPy's and onnxruntime's."
)
@output_options
def run(
    model: str,
    data: str,
    link: str,
    samples: int | None,
    scores: str | None,
    groups: int,
    lanes: int,
    slots: int,
    columns: int,
    vectors: int,
    check: bool,
    output: Output,
) -> None:
    """Run `dnnzip run`."""
    from dnnzip.array.job import open_array
    from dnnzip.array.network import compile_network
    from dnnzip.evaluation.accuracy import score_output
    from dnnzip.evaluation.dataset import load_dataset
    from dnnzip.onnx.files import load_model
    from dnnzip.presentation.tables import run_table
    from dnnzip.usecases.run import require, run_on_array

    shape = _array_shape(groups, lanes, slots, columns, vectors)
    opened = open_array(link, shape)
    network = load_model(model)
    dataset = load_dataset(data, samples)
    compiled = compile_network(network, shape, model, output=score_output(network, dataset, model, scores))
    with output.progress("running", len(compiled.pieces)) as step:
        result = run_on_array(compiled, opened, dataset, check=check, step=step)
    output.json(result.as_json())
    same = result.accuracy.samples - len(result.differences)
    lines = [
        f"sample {item.sample}: class {item.array}, onnxruntime {item.onnxruntime}: {item.reason}"
        for item in result.differences
    ]
    lines.append(
        f"top1 {100 * result.accuracy.top1:.2f} %, onnxruntime {100 * result.reference.top1:.2f} %, "
        f"same class for {same} of {result.accuracy.samples} samples"
    )
    if result.figures.cycles:
        lines.append(f"{result.macs_per_second / 1e6:.1f} M MACs/s in the array, without its start")
    if idle := compiled.layers_with_idle_rows:
        lines.append(
            f"{len(idle)} layers have streams of fewer virtual lanes than there are rows for their channels; "
            f"compress with --virtual-lanes {shape.rows_per_group} --groups {shape.groups} to use all rows"
        )
    output.table(run_table(result), *lines)
    if check:
        require(result)


@cli.command(
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


def _array_shape(groups: int, lanes: int, slots: int, columns: int, vectors: int) -> "ArrayShape":
    """Return the array that the options describe."""
    from dnnzip.format.array import MAX_ROWS_PER_GROUP, ArrayShape

    for option, value in (("--lanes", lanes), ("--slots", slots)):
        if not 1 <= value <= MAX_ROWS_PER_GROUP or value & value - 1:
            raise InputError(f"{option} {value}", f"must be a power of two from 1 to {MAX_ROWS_PER_GROUP}")
    if lanes * slots > MAX_ROWS_PER_GROUP:
        raise InputError(
            f"--lanes {lanes} --slots {slots}",
            f"give a group {lanes * slots} rows",
            f"their product is at most {MAX_ROWS_PER_GROUP}",
        )
    try:
        return ArrayShape(groups, lanes * slots, columns, vectors, lanes)
    except ValueError as error:
        name, _, rule = str(error).partition(" ")
        raise InputError(f"--{name}", rule) from None


def main() -> None:
    """Run the command line; the process ends with 0, 1 for a failed check, 2 for bad input or usage, 70 for a bug."""
    ignore_announcements()
    let_streams_show_all()
    wishes = Wishes()
    show_waits()
    try:
        cli.main(prog_name="dnnzip", standalone_mode=False, obj=wishes)
    except click.exceptions.NoArgsIsHelpError as error:
        end("no command given; see dnnzip --help", InputError.exit_code) if not error.ctx else _show_help(error)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "dnnzip"
        end(f"{error.format_message()} (see {command} --help)", InputError.exit_code)
    except click.ClickException as error:
        end(error.format_message(), InputError.exit_code)
    except DnnzipError as error:
        end(*ending_of(error))
    except (click.Abort, KeyboardInterrupt):
        end(signals.message(), signals.status())
    except BrokenPipeError:
        # The reader of standard output has gone; nothing more can be said there.
        drop(sys.stdout)
        sys.exit(CheckFailedError.exit_code)
    except Exception as error:  # noqa: BLE001 - the end of the process: whatever nobody foresaw is reported here
        end(*ending_of(error, shows_traceback=wishes.shows_traceback))


def _show_help(error: click.exceptions.NoArgsIsHelpError) -> None:
    try:
        click.echo(error.format_message(), err=True)
    except OSError:
        drop(sys.stderr)
    sys.exit(InputError.exit_code)
