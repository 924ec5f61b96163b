"""Cost of one table set for several networks: ``python -m dnnzip_bench.shared_tables``, or ``make shared-tables``.

A set in a ROM is made before the networks are known that it will serve. So each network is coded with its own set, with
one that was trained on all networks, and with one that was trained on all others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from dnnzip.codec import CodecOptions, CodeTensor, decode_tensor, encode_network, train_tables
from dnnzip.errors import CheckFailedError, InputError
from dnnzip.format import TableSet
from dnnzip.presentation.tables import TextTable
from dnnzip.quantize.bound import Bound, Unit
from dnnzip.quantize.step_grid import FLOAT_BITS
from dnnzip.system.outputs import check_output
from dnnzip.usecases.provenance import provenance
from dnnzip_bench.catalogue import zoo_models
from dnnzip_bench.coders.results import LSB, PERCENT, QUANTISED, as_integers
from dnnzip_bench.coders.task import Task, weights_of
from dnnzip_bench.command import (
    folder_option,
    json_option,
    make_folder,
    models_argument,
    run,
    show,
    told,
    write,
    write_json,
)
from dnnzip_bench.pages import folded, made_with, written_by

PAGE = "shared_tables.md"
INT8 = "_int8"

Networks = Mapping[str, Mapping[str, Sequence[CodeTensor]]]
"""The codes of each network at each bound: name, then bound."""


@dataclass(frozen=True)
class Loss:
    """Sizes of one network at one bound."""

    network: str
    bound: str
    weights: int
    own: int  # bits with a set of its own, which is counted
    # Bits with a set trained on all networks at this bound; on the other networks; and on the other networks at every
    # bound. The set is counted.
    shared: int
    others: int
    any_bound: int
    rom: int  # bits as in `others`, but without the set, which is in a ROM


def read(paths: Sequence[Path], bounds: Sequence[str]) -> dict[str, dict[str, list[CodeTensor]]]:
    """Return the codes of networks at every bound that suits their weights; float ones as int8, too, where one is lsb.

    Raises
    ------
    InputError
        A network cannot be read, has no weights, or no codes at a bound.
    """
    networks: dict[str, dict[str, list[CodeTensor]]] = {}
    for path in paths:
        weights = weights_of(path)
        for name, of_kind in dict([(path.stem, weights), as_integers(path.stem, weights)]).items():
            for text in bounds:
                bound = Bound.parse(text)
                if of_kind[0].element.is_integer == (bound.unit is Unit.LSB):
                    codes = Task(name, of_kind, bound).codes
                    networks.setdefault(name, {})[text] = [
                        CodeTensor(weight.name, tensor, weight.layout.kernel)
                        for weight, tensor in zip(of_kind, codes, strict=True)
                    ]
    return networks


def family(network: str) -> str:
    """Return the name that a network and its int8 forms have in common: neither counts as another network."""
    return network.removesuffix(QUANTISED.format("")).removesuffix(INT8)


def measure(networks: Networks) -> tuple[list[Loss], dict[str, TableSet]]:
    """Code every network at every bound with each kind of set.

    Parameters
    ----------
    networks
        Of each bound at least two networks, of different families.

    Returns
    -------
    The sizes, bound by bound, and the set of each bound that was trained on all networks.

    Raises
    ------
    CheckFailedError
        A network does not come back from its streams.
    InputError
        A bound has only one network.
    """
    losses, sets = [], {}
    for group in _groups(networks):
        any_bound: dict[str, TableSet] = {}
        for bound in group:
            others: dict[str, TableSet] = {}
            names = [name for name, by_bound in networks.items() if bound in by_bound]
            if len({family(name) for name in names}) < 2:
                raise InputError(f"--max-error {bound}", f"suits {len(names)} network", "give two different ones")
            told(f"all networks at {bound}")
            sets[bound] = train_tables(_tensors(networks, names, [bound]))
            for name in names:
                told(f"{name} at {bound}")
                kind = family(name)
                rest = [other for other in names if family(other) != kind]
                for found, bounds in ((any_bound, group), (others, [bound])):
                    if kind not in found:
                        found[kind] = train_tables(_tensors(networks, rest, bounds))
                tensors = networks[name][bound]
                own, _ = _bits(tensors, None)
                shared, _ = _bits(tensors, sets[bound])
                with_set, rom = _bits(tensors, others[kind])
                widest, _ = _bits(tensors, any_bound[kind])
                weights = sum(tensor.codes.size for tensor in tensors)
                losses.append(Loss(name, bound, weights, own, shared, with_set, widest, rom))
    return losses, sets


def _groups(networks: Networks) -> list[list[str]]:
    """Return the bounds that the same networks have."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for bound in dict.fromkeys(bound for by_bound in networks.values() for bound in by_bound):
        names = tuple(name for name, by_bound in networks.items() if bound in by_bound)
        groups.setdefault(names, []).append(bound)
    return list(groups.values())


def _tensors(networks: Networks, names: Iterable[str], bounds: Sequence[str]) -> list[CodeTensor]:
    return [tensor for name in names for bound in bounds for tensor in networks[name][bound]]


def _bits(tensors: Sequence[CodeTensor], table_set: TableSet | None) -> tuple[int, int]:
    """Return the bits of a network with a set, or its own: everything, and without the set; they are decoded."""
    encoded = encode_network(tensors, CodecOptions(table_set=table_set))
    for tensor, stream in zip(tensors, encoded.streams, strict=True):
        if not np.array_equal(decode_tensor(stream, encoded.tables), tensor.codes):
            raise CheckFailedError(f"shared tables: {tensor.name!r} does not come back from its stream")
    streams = 8 * sum(map(len, encoded.streams)) + FLOAT_BITS * len(tensors)
    return 8 * len(encoded.tables) + streams, streams


def tables(losses: Sequence[Loss]) -> list[tuple[str, TextTable]]:
    """Return, for percentages and for lsb, bits with own sets and the losses against them, each with its caption."""
    captions = {
        "own": "Bits per weight with a set of its own",
        "shared": "Loss in % with one set for each bound, trained on all networks",
        "others": "Loss in % with one set for each bound, trained on the other networks",
        "rom": "The same, but the set is in a ROM and not counted",
        "any_bound": "Loss in % with one set for all of these bounds, trained on the other networks",
    }
    result = []
    for is_percent in (True, False):
        mine = [loss for loss in losses if loss.bound.endswith("%") == is_percent]
        if mine:
            result += [(caption, _table(mine, field)) for field, caption in captions.items()]
    return result


def _table(losses: Sequence[Loss], field: str) -> TextTable:
    bounds = list(dict.fromkeys(loss.bound for loss in losses))
    rows = []
    for network in [*dict.fromkeys(loss.network for loss in losses), None]:
        cells = [network or "all"]
        for bound in bounds:
            mine = [loss for loss in losses if loss.bound == bound and network in (None, loss.network)]
            bits, own = (sum(int(getattr(loss, name)) for loss in mine) for name in (field, "own"))
            weights = sum(loss.weights for loss in mine)
            cells.append(f"{own / weights:.3f}" if field == "own" else f"{100 * (bits / own - 1):.2f}")
        rows.append(tuple(cells))
    return TextTable(("network", *bounds), tuple(rows[:-1]), rows[-1])


def page(losses: Sequence[Loss], command: str) -> str:
    """Return the page in Markdown; ``command`` is the one that writes it."""
    parts = [
        "# One table set for several networks",
        written_by(command, made_with(provenance(("numpy", "numba")))),
        folded(
            "`dnnzip compress --tables FILE` uses the table set in a file, so that one set, in a ROM, can serve "
            "several networks; where the file is not there, it trains a set on the network and writes it. A set for "
            "several networks comes from `python -m dnnzip_bench.shared_tables MODELS -o FOLDER --tables FOLDER`."
        ),
        folded(
            "What a set loses that was made before its networks were known is what the tables trained on the other "
            "networks show; a network and its int8 forms are not other networks to each other. In the training, "
            "tensors count by their bits. The set is counted on both sides, unless said otherwise; all streams were "
            "decoded and compared."
        ),
    ]
    for caption, table in tables(losses):
        first, *rest = table.header[1:]
        bounds = f"{first} to {rest[-1]}" if rest else first
        parts += [f"## {caption}, at {bounds}", table.markdown().rstrip("\n")]
    return "\n\n".join(parts) + "\n"


@click.command()
@models_argument
@folder_option(what="Where the page goes.")
@click.option("--max-error", "bounds", multiple=True, metavar="BOUND", help="A bound; may be repeated.")
@click.option(
    "--tables", "sets", type=click.Path(path_type=Path), help="Write the sets of all networks, one per bound."
)
@json_option
def shared_tables(
    models: tuple[Path, ...], folder: Path, bounds: tuple[str, ...], sets: Path | None, json_file: Path | None
) -> None:
    """Measure what one table set for several MODELS loses; by default, for the networks in $DNNZIP_ZOO."""
    outputs = [folder / PAGE, *([sets / "1%.tables"] if sets else []), *([json_file] if json_file else [])]
    for output in outputs:
        make_folder(output.parent)
        check_output(output)
    losses, trained = measure(read(list(models) or zoo_models(), bounds or (*PERCENT, *LSB)))
    for caption, table in tables(losses):
        show(caption, table)
    by = "python -m dnnzip_bench.shared_tables" if models or bounds else "make shared-tables"
    write(folder / PAGE, page(losses, by))
    for bound, table_set in trained.items():
        if sets:
            write(sets / f"{bound}.tables", table_set.to_bytes())
    write_json(json_file, [asdict(loss) for loss in losses])


if __name__ == "__main__":
    run(shared_tables)
