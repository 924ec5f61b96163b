"""The comparison as a page: tables, how they were made, with what."""

from collections.abc import Sequence
from dataclasses import dataclass

from dnnzip.presentation.tables import TextTable
from dnnzip_bench.coders import tables
from dnnzip_bench.coders.coder import Coder
from dnnzip_bench.coders.ours import ENTROPY_SHARE, LANE_BYTES, NETWORK_BYTES, TENSOR_BYTES
from dnnzip_bench.coders.results import Comparison, Scale
from dnnzip_bench.coders.task import LARGEST_GENERATED, SEED, SPREAD_OF_SCALES
from dnnzip_bench.pages import folded, made_with, written_by

MEGABYTE = 1e6
PLOT = "bench.svg"
BITS = "Bits against bound"


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    text: str
    tables: Sequence[TextTable]


def sections(comparison: Comparison, scale: Scale) -> list[Section]:
    """Return the parts of the page; those on float networks only where there were any."""
    parts = _floats(comparison) if comparison.floats else []
    return [*parts, _integers(comparison), _speed(comparison, scale)]


def _floats(comparison: Comparison) -> list[Section]:
    bits = (
        "All float networks together; every byte that a decoder needs is counted. The bound is a share of each "
        "tensor's range, and the error of every weight was checked after decoding."
    )
    against = "Below 1, dnnzip is smaller."
    nncodec = [tables.nncodec_table(comparison)]
    if comparison.reference:
        against += (
            " The second table divides by the sizes that another run of NNCodec gave, with its own step and layout."
        )
        nncodec.append(tables.reference_table(comparison))
    limit = (
        f"The limit is {ENTROPY_SHARE} times the zero-order entropy of the codes, {NETWORK_BYTES} bytes, and per "
        f"tensor {TENSOR_BYTES} + {LANE_BYTES} V bytes for V virtual lanes."
    )
    return [
        Section(BITS, bits, [tables.bits_table(comparison)]),
        Section("Against NNCodec, network by network", against, nncodec),
        Section("Against the entropy, network by network", limit, [tables.limit_table(comparison)]),
    ]


def _integers(comparison: Comparison) -> Section:
    text = (
        "Networks of int8 weights, and the float ones quantised to symmetric int8 per output channel. At e lsb every "
        "coder gets the same codes round(w / (2 e + 1)). Vela's row is the better of two plain orders of the weights; "
        "in the order and with the padding that its hardware needs, the best of its blocks and traversals for each "
        "tensor, they are larger, which is the row after the coders. [The codec](codec.md) says what limits lossless "
        "int8."
    )
    return Section("Integer weights", text, [tables.integer_coders_table(comparison), tables.integer_table(comparison)])


def _speed(comparison: Comparison, scale: Scale) -> Section:
    turns = f"median of {scale.rounds} turns, each coder once in every turn" if scale.rounds > 1 else "one turn"
    text = (
        f"Multiples of dnnzip's speed in the same run, one thread, float32 input counted: {turns}, processor time. "
        "Encoding starts from floats, so coders of codes round to the known step first; decoding ends with floats. "
        f"The generated tensor has {comparison.generated[0].weights:,} weights: a Laplace distribution per channel, "
        f"scales log-normal ({SPREAD_OF_SCALES}), clipped at {LARGEST_GENERATED:g} median scales, seed {SEED}."
    )
    return Section("Speed", text, [tables.speed_table(comparison)])


def memory_line(comparison: Comparison) -> str:
    """Return the sentence on peak memory."""
    tensor = 4 * comparison.generated[0].weights / MEGABYTE
    peaks = ", ".join(f"`{name}` {bytes_ / MEGABYTE:.0f} MB" for name, bytes_ in comparison.peak_memory.items())
    return (
        f"Peak memory of the whole process on the generated tensor of {tensor:.1f} MB: {peaks}; "
        f"the target is three times the tensor and 350 MB, {3 * tensor + 350:.0f} MB."
    )


def packages(coders: Sequence[type[Coder]]) -> list[str]:
    """Return the distributions that the coders' speeds and sizes depend on."""
    return list(dict.fromkeys(["numpy", "numba", *(coder.package for coder in coders if coder.package)]))


def page(comparison: Comparison, scale: Scale, command: str) -> str:
    """Return the page in Markdown; ``command`` is the one that writes it."""
    parts = ["# Compared with other compressors\n", written_by(command, made_with(comparison.made_with)) + "\n"]
    for section in sections(comparison, scale):
        parts.append(f"## {section.title}\n\n{folded(section.text)}\n")
        parts += [table.markdown() for table in section.tables]
        if section.title == BITS:
            parts.append(f"![Bits per weight against the bound]({PLOT})\n")
    parts.append(f"{folded(memory_line(comparison))}\n")
    parts.append("## The coders\n")
    remarks = [f"{coder.name}: {coder.remark}." for coder in comparison.coders]
    remarks += [f"{line}." for line in comparison.left_out]
    parts.append("\n".join("- " + folded(remark, 118).replace("\n", "\n  ") for remark in remarks))
    return "\n".join(parts) + "\n"
