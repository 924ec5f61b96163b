"""Files of an exploration's folder, written and read by this module alone.

::

    DIR/request.json           what was asked (`Request`), with the provenance of its first run
    DIR/network.json           the plain network: accuracy and layers (`NetworkFacts`)
    DIR/results/ENC.parquet    points (`POINT_SCHEMA`) of the encoding ENC, one for each estimate
    DIR/layers/ENC.parquet     layers (`LAYER_SCHEMA`) of the same points
    DIR/tune.json              optional: what ``dnnzip tune --json`` wrote
    DIR/report.html, figures/  what ``dnnzip report`` writes

Every file appears whole or not at all. The points of an encoding are written after its layers, so where they are, all
of the encoding is there: a run that continues leaves it out.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from dnnzip.errors import InputError
from dnnzip.exploration.facts import FORM, Facts, FactsFile, NetworkFacts, Request
from dnnzip.exploration.schemas import LAYER_SCHEMA, POINT_SCHEMA
from dnnzip.inputs.json_text import parse_json
from dnnzip.inputs.reading import open_regular, read_bounded
from dnnzip.system.outputs import open_output, write_output

REQUEST = "request.json"
NETWORK = "network.json"
RESULTS = "results"
LAYERS = "layers"
TUNE = "tune.json"
REPORT = ("report.html", "figures")

LARGEST_FACTS = 1 << 26
"""Bytes of a JSON file that are read at most."""

MOST_ROWS, LARGEST_TABLE = 1 << 22, 1 << 30
"""Rows of a table that is read, and bytes of its values before compression: the layers of an encoding are fewer."""

LARGEST_FIGURE = 1e60
"""Larger than any energy, time or ratio, in whatever unit; sums and squares of such are finite."""


class ExplorationFolder:
    """The folder of an exploration.

    Parameters
    ----------
    path
        The folder, as the user named it; made by `start`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._made: list[Path] = []

    def start(self, request: Request) -> None:
        """Begin an exploration in this folder, or resume it.

        Raises
        ------
        InputError
            The folder holds another exploration or other things, or cannot be written.
        """
        if (self.path / REQUEST).exists():
            self._continue(request)
        elif self.path.is_dir() and any(entry.name not in (TUNE, *REPORT) for entry in self.path.iterdir()):
            raise InputError(str(self.path), "holds files and no exploration", "give an empty or new folder")
        folders = (*reversed(self.path.parents), self.path, self.path / RESULTS, self.path / LAYERS)
        self._made = [folder for folder in folders if not folder.exists()]
        try:
            for name in (RESULTS, LAYERS):
                (self.path / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(str(self.path), f"cannot be made ({error.strerror})", "give another folder") from None
        if not (self.path / REQUEST).exists():
            self._made += [self.path / REQUEST, self.path / NETWORK]
            self._write(REQUEST, request)

    def undo(self) -> None:
        """Remove what `start` began, as long as no result is there: it would stand in the way of other options."""
        if self._files(RESULTS):
            return
        for path in reversed(self._made):
            with suppress(OSError):  # it is not there, or something else is in it
                path.rmdir() if path.is_dir() else path.unlink()

    def _continue(self, request: Request) -> None:
        there = self.request()
        if there.same_as(request):
            return
        now, before = (item.model_dump(mode="json") for item in (request, there))
        now |= now.pop("grid")
        before |= before.pop("grid")
        free = ("model", "data", "tuned", "command", "provenance", "points", "encodings")
        name = next((key for key in now if key not in free and now[key] != before[key]), "grid")
        raise InputError(
            str(self.path),
            f"holds another exploration: its {name} is {_short(before.get(name))} and not {_short(now.get(name))}",
            "give its options again to continue it, or another folder",
        )

    def request(self) -> Request:
        """Return the request of the exploration.

        Raises
        ------
        InputError
            There is no exploration here, or the file is damaged.
        """
        return self._read(REQUEST, Request)

    def network(self) -> NetworkFacts:
        """Return the facts of the plain network.

        Raises
        ------
        InputError
            They are not there (yet), or damaged.
        """
        return self._read(NETWORK, NetworkFacts)

    def has_network(self) -> bool:
        """Return True if the plain network has been measured."""
        return (self.path / NETWORK).exists()

    def write_network(self, facts: NetworkFacts) -> None:
        """Write the facts of the plain network."""
        self._write(NETWORK, facts)

    def finished(self) -> set[str]:
        """Return the encodings whose results are there; each file is checked.

        Raises
        ------
        InputError
            A file is damaged or of another kind.
        """
        return {path.stem for path in self._files(RESULTS) if self._table(path, POINT_SCHEMA)}

    def write_results(
        self, encoding: str, points: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]]
    ) -> None:
        """Write what came out for an encoding.

        Parameters
        ----------
        encoding
            Its hash.
        points, layers
            Rows of `POINT_SCHEMA` and `LAYER_SCHEMA`; all columns, all of this encoding.
        """
        for folder, rows, schema in ((LAYERS, layers, LAYER_SCHEMA), (RESULTS, points, POINT_SCHEMA)):
            table = pa.Table.from_pylist([_complete(row, schema) for row in rows], schema=schema)
            # Opened here: Arrow takes no path that is no UTF-8.
            with open_output(self.path / folder / f"{encoding}.parquet") as beside, beside.open("wb") as file:
                pq.write_table(table, file, compression="zstd", write_page_checksum=True)

    def points(self) -> pa.Table:
        """Return all points so far, those of an encoding together; empty where there are none yet.

        Raises
        ------
        InputError
            See `finished`.
        """
        return self._tables(RESULTS, POINT_SCHEMA)

    def layers(self) -> pa.Table:
        """Return the layers of all points so far.

        Raises
        ------
        InputError
            See `finished`.
        """
        return self._tables(LAYERS, LAYER_SCHEMA)

    def tune(self) -> dict[str, Any] | None:
        """Return the JSON object that ``dnnzip tune --json`` wrote; None where it is not there.

        Raises
        ------
        InputError
            It is no JSON object.
        """
        if not (self.path / TUNE).exists():
            return None
        content = self._json(TUNE)
        if not isinstance(content, dict):
            raise InputError(str(self.path / TUNE), "is no JSON object", "write it with 'dnnzip tune --json'")
        return content

    def _files(self, folder: str) -> list[Path]:
        # What an interrupted write leaves next to its target starts with a point.
        return sorted(path for path in (self.path / folder).glob("*.parquet") if not path.name.startswith("."))

    def _tables(self, folder: str, schema: pa.Schema) -> pa.Table:
        self.request()
        done = {path.stem for path in self._files(RESULTS)}
        tables = [self._table(path, schema) for path in self._files(folder) if path.stem in done]
        return pa.concat_tables(tables) if tables else schema.empty_table()

    def _table(self, path: Path, schema: pa.Schema) -> pa.Table:
        repair = "remove it and run 'dnnzip explore' again"
        try:
            # Opened here, so that Arrow neither guesses columns from the path nor looks for other files next to it.
            with open_regular(path, repair) as file:
                # Read by this thread alone: one of Arrow's that lets go of a Python file while Python ends takes the
                # process down with it ("terminate called without an active exception").
                parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
                fault = _excess(parquet.metadata)
                if fault:
                    raise InputError(str(path), fault, repair)
                table = parquet.read(use_threads=False)
            # Texts in UTF-8 among others, which Arrow does not look at while it reads.
            table.validate(full=True)
            fault = _fault(table.schema, schema) or _impossible(table)
        except (OSError, ValueError, MemoryError, pa.ArrowException) as error:
            raise InputError(str(path), f"is damaged ({_first_line(error)})", repair) from None
        if fault:
            raise InputError(str(path), f"is not of an exploration: it {fault}", repair)
        if not table.num_rows or set(table.column("encoding").to_pylist()) != {path.stem}:
            raise InputError(str(path), "does not hold the encoding of its name", repair)
        return table

    def _json(self, name: str) -> Any:
        path = self.path / name
        right = "name a folder of 'dnnzip explore -o'"
        if not path.exists():
            raise InputError(str(self.path), f"is no exploration: it has no {name}", right)
        try:
            return parse_json(read_bounded(path, LARGEST_FACTS, right))
        except ValueError as error:
            raise InputError(str(path), f"is damaged: no JSON ({_first_line(error)})") from None

    def _read(self, name: str, kind: type[Facts]) -> Facts:
        content = self._json(name)
        where = str(self.path / name)
        form = content.get("form") if isinstance(content, dict) else None
        if isinstance(form, int) and form > FORM:
            raise InputError(where, f"is of form {form}, and {FORM} is known", "update dnnzip to read it")
        if isinstance(form, int) and form < FORM:
            right = "explore into another folder"
            raise InputError(where, f"is of form {form}, whose sizes do not count steps and zero points", right)
        try:
            return kind.model_validate(content)
        except ValidationError as error:
            fault = error.errors()[0]
            key = ".".join(map(str, fault["loc"])) or "its content"
            raise InputError(where, f"is damaged: {key}: {fault['msg']}", "explore into another folder") from None

    def _write(self, name: str, facts: FactsFile) -> None:
        write_output(self.path / name, (json.dumps(facts.model_dump(mode="json"), indent=2) + "\n").encode())


def _complete(row: Mapping[str, Any], schema: pa.Schema) -> Mapping[str, Any]:
    """Return a row as it is, if it has exactly the columns of the schema: Arrow would fill a missing one with null."""
    if row.keys() != set(schema.names):
        raise ValueError(f"columns must be those of the schema; wrong are {sorted(row.keys() ^ set(schema.names))}")
    return row


def _excess(found: pq.FileMetaData) -> str | None:
    """Return True if a table declares more than an encoding has, before any of it is read."""
    size = sum(found.row_group(number).total_byte_size for number in range(found.num_row_groups))
    if found.num_rows > MOST_ROWS or not 0 <= size <= LARGEST_TABLE:
        return f"declares {found.num_rows} rows in {size} bytes, more than an exploration writes"
    return None


def _fault(found: pa.Schema, wanted: pa.Schema) -> str | None:
    """Return the fault of a table's columns, or None."""
    if found.equals(wanted):
        return None
    missing = [name for name in wanted.names if name not in found.names]
    return f"has no column {missing[0]!r}" if missing else "has other columns or types"


def _impossible(table: pa.Table) -> str | None:
    """Return the fault of the first column with values that no exploration writes, or None."""
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_string(field.type) or column.null_count == len(column):
            continue
        low, high = (end.as_py() for end in (pc.min(column), pc.max(column)))
        is_number = pa.types.is_integer(field.type) or pc.all(pc.is_finite(column)).as_py()
        least = 0 if pa.types.is_integer(field.type) else -LARGEST_FIGURE
        if not (is_number and least <= low and high <= LARGEST_FIGURE):
            return f"has numbers in {field.name!r} that are none of its kind"
    return None


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
