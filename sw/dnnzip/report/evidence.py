"""Data of a report: the folder of an exploration, read once, in the shape in which it is shown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dnnzip.errors import InputError
from dnnzip.exploration.facts import NetworkFacts, Request
from dnnzip.exploration.folder import LAYERS, REQUEST, RESULTS, TUNE, ExplorationFolder
from dnnzip.exploration.schemas import FIGURES, LAYER_SCHEMA, NOT_COMPRESSED, PLAIN, TUNED

ALL = "all"
ALL_BUT = "all but "


class Kind(StrEnum):
    """Kind of the set of layers that a setting compresses."""

    ALL = "all"  # all that can be
    ONE = "one"  # one alone
    BUT = "but"  # all but one
    GROUP = "group"  # some: the largest ones, or those of a glob
    TUNED = "tuned"  # a compressed model as it was given


@dataclass(frozen=True)
class Machine:
    """Machine of an estimate: an accelerator, where it decompresses, how its parts overlap."""

    accelerator: str
    placement: str
    timing: str


@dataclass(frozen=True)
class Setting:
    """A way to encode the network: layers, bound, scope and codec, with its results that hold for any accelerator."""

    key: str  # its hash in the folder
    # kind, layers: which layers; the label as the folder has it.
    kind: Kind
    layers: str
    max_error: str  # the bound as it was given
    bound_order: float | None  # its number, a fraction for a percentage; None for a tuned model
    # scope, codec: how it was encoded.
    scope: str
    codec: str
    # samples, top1, top1_plain: accuracy as shares of the samples.
    samples: int
    top1: float
    top1_plain: float
    bits_per_weight: float  # over all weights, those left out at their own width
    # stream_bytes, side_bytes, left_out_bytes, ratio: sizes in bytes, and the ratio of plain to compressed size.
    stream_bytes: int
    side_bytes: int
    left_out_bytes: int
    ratio: float

    @property
    def drop(self) -> float:
        """Accuracy lost, a share of the samples; below 0 where there is more."""
        return self.top1_plain - self.top1

    @property
    def bytes(self) -> int:
        """Bytes of all weights: streams, steps and zero points, and left-out ones."""
        return self.stream_bytes + self.side_bytes + self.left_out_bytes


@dataclass(frozen=True)
class Cost:
    """Cost of one inference (or batch) with compressed weights and with plain ones, by `record.FIGURES`."""

    compressed: dict[str, float]
    plain: dict[str, float]

    def reduction(self, figure: str) -> float:
        """Return the share of a figure that is saved, below 0 where it grows; 0 where there is nothing to save."""
        return 1 - self.compressed[figure] / self.plain[figure] if self.plain[figure] else 0.0

    @property
    def reduction_without_leakage(self) -> float:
        """The share of the energy that is saved where nothing leaks."""
        spent, before = (cost["energy_J"] - cost["energy_leakage_J"] for cost in (self.compressed, self.plain))
        return 1 - spent / before if before > 0 else 0.0


@dataclass(frozen=True)
class Evidence:
    """An exploration's folder as the report shows it."""

    path: Path
    # request, network: what was asked, and the plain network; None where they are not there (yet).
    request: Request | None = None
    network: NetworkFacts | None = None
    # machines, settings: in the order of the request.
    machines: tuple[Machine, ...] = ()
    settings: tuple[Setting, ...] = ()
    # Of a setting (its index) on a machine (its index).
    costs: dict[tuple[int, int], Cost] = field(default_factory=dict)
    tune: dict[str, Any] | None = None  # what ``dnnzip tune --json`` wrote, if anything
    layer_table: pa.Table = field(default_factory=LAYER_SCHEMA.empty_table)  # of all settings

    @property
    def codecs(self) -> int:
        """Number of codecs tried; that of a tuned model, which may have several, does not count."""
        return len({setting.codec for setting in self.settings if setting.kind is not Kind.TUNED})

    def layer_rows(self, settings: Iterable[int]) -> list[dict[str, Any]]:
        """Return the rows of some settings, by their indices, in the order in which the folder has them."""
        keys = (self.settings[index].key for index in settings)
        rows: list[dict[str, Any]] = _rows_of(self.layer_table, keys).to_pylist()
        return rows

    def members(self, settings: Iterable[int]) -> dict[str, list[str]]:
        """Return the layers that some settings compress, by the label of their set of layers."""
        labels = {self.settings[index].key: self.settings[index].layers for index in settings}
        table = _rows_of(self.layer_table.select(["encoding", "layer", "codec"]), labels)
        table = table.filter(pc.not_equal(table["codec"], NOT_COMPRESSED))
        found: dict[str, dict[str, None]] = {}
        for row in table.group_by(["encoding", "layer"], use_threads=False).aggregate([]).to_pylist():
            found.setdefault(labels[row["encoding"]], {})[row["layer"]] = None
        return {label: list(layers) for label, layers in found.items()}


def _rows_of(table: pa.Table, keys: Iterable[str]) -> pa.Table:
    return table.filter(pc.is_in(table["encoding"], value_set=pa.array(list(keys), pa.string())))


def read_evidence(path: str | Path) -> Evidence:
    """Read the folder of an exploration, finished or not, or one that has the result of a tuning alone.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    InputError
        The folder is missing or holds neither; a file in it is damaged.
    """
    path = Path(path)
    if not path.is_dir():
        wrong = "is a file, not a folder" if path.exists() else "is not there"
        raise InputError(str(path), wrong, "name a folder of 'dnnzip explore -o'")
    folder = ExplorationFolder(path)
    tune = folder.tune()
    if not (path / REQUEST).exists():
        if tune is None:
            raise InputError(str(path), f"holds neither {REQUEST} nor {TUNE}", "name a folder of 'dnnzip explore -o'")
        return Evidence(path, tune=tune)
    request = folder.request()
    network = folder.network() if folder.has_network() else None
    rows: list[dict[str, Any]] = folder.points().to_pylist()
    if rows and network is None:
        raise InputError(str(path), "has results and no network.json", "run 'dnnzip explore' on it again")
    machines = _machines(request, rows)
    settings = _settings(request, network, rows)
    machine_index = {machine: index for index, machine in enumerate(machines)}
    setting_index = {setting.key: index for index, setting in enumerate(settings)}
    costs = {(setting_index[row["encoding"]], machine_index[machine_of(row)]): cost_of(row) for row in rows}
    layers = folder.layers()
    _check_layers(folder, rows, layers)
    return Evidence(path, request, network, machines, settings, costs, tune, layers)


def _check_layers(folder: ExplorationFolder, rows: Sequence[dict[str, Any]], layers: pa.Table) -> None:
    """Refuse layers that are not those of the points."""
    columns = ["encoding", *Machine.__dataclass_fields__]
    found = layers.group_by(columns, use_threads=False).aggregate([]).to_pylist()
    of_layers, of_points = ({tuple(row[name] for name in columns) for row in part} for part in (found, rows))
    for encoding, *_ in sorted(of_layers ^ of_points):
        where, points = (str(folder.path / name / f"{encoding}.parquet") for name in (LAYERS, RESULTS))
        right = f"remove it and {points}, and run 'dnnzip explore' again"
        raise InputError(where, f"has not the layers of the points in {RESULTS}", right)


def cost_of(row: dict[str, Any]) -> Cost:
    """Return the cost of a point or a layer, from its row."""
    return Cost({name: row[name] for name in FIGURES}, {name: row[PLAIN + name] for name in FIGURES})


def machine_of(row: dict[str, Any]) -> Machine:
    """Return the machine of a point or a layer, from its row."""
    return Machine(row["accelerator"], row["placement"], row["timing"])


def _machines(request: Request, rows: Sequence[dict[str, Any]]) -> tuple[Machine, ...]:
    def place(machine: Machine) -> list[tuple[int, str]]:
        return [_place(getattr(request.grid, name), value) for name, value in vars(machine).items()]

    return tuple(sorted({machine_of(row) for row in rows}, key=place))


def _settings(request: Request, network: NetworkFacts | None, rows: Sequence[dict[str, Any]]) -> tuple[Setting, ...]:
    names = {layer.name for layer in network.layers} if network else set()
    first = {row["encoding"]: row for row in reversed(rows)}
    columns = [name for name in Setting.__dataclass_fields__ if name not in ("key", "kind")]
    grid = request.grid

    def place(item: Setting) -> tuple[Any, ...]:
        bound = float("inf") if item.bound_order is None else item.bound_order
        scope, codec = _place(grid.error_scope, item.scope), _place(grid.codec, item.codec)
        return _place(grid.layers, item.layers), bound, scope, codec, item.key

    settings = (
        Setting(key=key, kind=kind_of(row["layers"], names), **{name: row[name] for name in columns})
        for key, row in first.items()
    )
    return tuple(sorted(settings, key=place))


def kind_of(label: str, names: Iterable[str]) -> Kind:
    """Return the kind of a set of layers from its label and the network's layers."""
    if label == ALL:
        return Kind.ALL
    if label == TUNED:
        return Kind.TUNED
    known = set(names)
    if label in known:
        return Kind.ONE
    return Kind.BUT if label.startswith(ALL_BUT) and label.removeprefix(ALL_BUT) in known else Kind.GROUP


def _place(values: Sequence[str], value: str) -> tuple[int, str]:
    """Return a key that sorts as the request names things, what it does not name behind."""
    return (values.index(value) if value in values else len(values), value)
