"""The folder: what is written is read again, and damaged or foreign files are told in one line."""

import contextlib
import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dnnzip.errors import InputError
from dnnzip.exploration.facts import Grid, LayerFacts, NetworkFacts, Request
from dnnzip.exploration.folder import ExplorationFolder
from dnnzip.exploration.schemas import LAYER_SCHEMA, POINT_SCHEMA

REQUEST = Request(
    model="m.onnx",
    model_sha256="01" * 32,
    data="d.npz",
    data_sha256="02" * 32,
    samples=10,
    seed=None,
    tuned=None,
    tuned_sha256=None,
    batch=1,
    weight_bits=None,
    grid=Grid(
        layers=("all",),
        max_error=("1%", "2%"),
        error_scope=("tensor",),
        codec=("auto",),
        accelerator=("edge-lpddr4",),
        placement=("own",),
        timing=("serial",),
    ),
    accelerator_sha256={"edge-lpddr4": "03" * 32},
    points=2,
    encodings=2,
    command="dnnzip explore",
    provenance={"dnnzip": "0.1.0"},
)
NETWORK = NetworkFacts(
    name="m.onnx",
    top1=0.75,
    samples=10,
    weights=6,
    bytes=24,
    layers=(
        LayerFacts(name="w", operator="Gemm", shape=(2, 3), weights=6, macs=6, bits=32, compressible=True, reason=None),
    ),
)


def row(schema, encoding, **changed):
    """Return a row with a value in every column, each another one."""
    values = {
        field.name: f"text {number}" if pa.types.is_string(field.type) else number + 1
        for number, field in enumerate(schema)
    }
    return values | {"encoding": encoding} | changed


@pytest.fixture
def folder(tmp_path):
    """Return a folder with an exploration of one result."""
    folder = ExplorationFolder(tmp_path / "exploration")
    folder.start(REQUEST)
    folder.write_network(NETWORK)
    write(folder, "a1")
    return folder


def write(folder, encoding):
    folder.write_results(
        encoding,
        [row(POINT_SCHEMA, encoding, point=f"{encoding}.{number}") for number in range(2)],
        [row(LAYER_SCHEMA, encoding, layer=f"layer {number}") for number in range(3)],
    )


def test_a_folder_whose_name_is_no_text(tmp_path):
    folder = ExplorationFolder(tmp_path / "\udcff")
    folder.start(REQUEST)
    folder.write_network(NETWORK)
    write(folder, "a1")
    assert folder.finished() == {"a1"}
    assert len(folder.points()) == 2


def test_what_is_written_is_read_again(folder):
    write(folder, "b2")
    again = ExplorationFolder(folder.path)
    assert again.request() == REQUEST
    assert again.network() == NETWORK
    assert again.finished() == {"a1", "b2"}
    expected = [row(POINT_SCHEMA, name, point=f"{name}.{number}") for name in ("a1", "b2") for number in range(2)]
    assert again.points().to_pylist() == expected
    assert [(item["encoding"], item["layer"]) for item in again.layers().to_pylist()] == [
        (name, f"layer {number}") for name in ("a1", "b2") for number in range(3)
    ]
    assert again.tune() is None


def test_an_exploration_without_results_has_empty_tables(tmp_path):
    folder = ExplorationFolder(tmp_path / "new")
    folder.start(REQUEST)
    assert folder.finished() == set()
    assert folder.points().num_rows == folder.layers().num_rows == 0
    assert folder.points().schema == POINT_SCHEMA
    assert not folder.has_network()
    with pytest.raises(InputError, match=r"new: is no exploration: it has no network.json; name a folder of"):
        folder.network()


def test_layers_without_points_are_no_result_yet(folder):
    (folder.path / "results" / "a1.parquet").unlink()
    assert folder.finished() == set()
    assert folder.layers().num_rows == 0


def test_what_an_interrupted_write_leaves_is_not_read(folder):
    (folder.path / "results" / ".a2.parquet.77.tmp").write_bytes(b"PAR1")
    (folder.path / "results" / ".a2.parquet").write_bytes(b"PAR1")
    assert folder.finished() == {"a1"}


def test_tables_are_read_by_one_thread(folder):
    """A thread of Arrow that lets go of a Python file while Python ends takes the process down with it."""
    code = """
import os, sys
from dnnzip.exploration.folder import ExplorationFolder
before = len(os.listdir("/proc/self/task"))
assert ExplorationFolder(sys.argv[1]).points().num_rows
print(len(os.listdir("/proc/self/task")) - before)
"""
    done = subprocess.run([sys.executable, "-c", code, folder.path], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_a_row_has_all_columns_and_no_others(folder):
    short = row(POINT_SCHEMA, "c3")
    del short["bound_order"]
    with pytest.raises(ValueError, match=r"columns must be those of the schema; wrong are \['bound_order'\]"):
        folder.write_results("c3", [short], [row(LAYER_SCHEMA, "c3")])
    with pytest.raises(ValueError, match="wrong are \\['colour'\\]"):
        folder.write_results("c3", [row(POINT_SCHEMA, "c3", colour="red")], [row(LAYER_SCHEMA, "c3")])
    assert folder.finished() == {"a1"}


def test_only_the_columns_that_may_be_empty_can_be():
    empty = {schema: [field.name for field in schema if field.nullable] for schema in (POINT_SCHEMA, LAYER_SCHEMA)}
    assert empty[POINT_SCHEMA] == ["bound_order"]
    assert empty[LAYER_SCHEMA] == ["bits_per_weight", "bound", "largest_error", "mse", "unit"]


@pytest.mark.parametrize("kind", ["results", "layers"])
@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet at all, but long enough to hold a footer" * 9])
def test_a_damaged_table_is_told(folder, kind, content):
    path = folder.path / kind / "a1.parquet"
    path.write_bytes(content)
    read = folder.points if kind == "results" else folder.layers
    with pytest.raises(InputError, match=r"a1.parquet: is damaged \(.*\); remove it and run 'dnnzip explore' again$"):
        read()


@pytest.mark.parametrize("where", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_table_is_told(folder, where):
    path = folder.path / "results" / "a1.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: int(where * len(content))])
    with pytest.raises(InputError, match=r"a1.parquet: is damaged \("):
        folder.finished()


def test_a_table_with_changed_bytes_is_told_or_read_as_it_was(folder):
    path = folder.path / "results" / "a1.parquet"
    content = path.read_bytes()
    expected = folder.points()
    told, lines = 0, set()
    for place in range(0, len(content), 61):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        with contextlib.suppress(InputError):
            assert folder.points().equals(expected), f"byte {place} of {len(content)} went unseen"
            continue
        told += 1
        with pytest.raises(InputError) as caught:
            folder.points()
        lines |= set(range(len(str(caught.value).splitlines())))
    assert lines == {0}
    assert told > 40


def test_a_table_of_another_kind_is_told(folder):
    path = folder.path / "results" / "a1.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["top1"]), path)
    with pytest.raises(InputError, match="is not of an exploration: it has no column 'top1'; remove it"):
        folder.points()
    pq.write_table(table.append_column("more", table.column("top1")), path)
    with pytest.raises(InputError, match="is not of an exploration: it has other columns or types"):
        folder.points()
    number = table.schema.names.index("samples")
    pq.write_table(table.set_column(number, "samples", [[1.5, 2.5]]), path)
    with pytest.raises(InputError, match="is not of an exploration: it has other columns or types"):
        folder.points()


def test_a_table_under_another_name_is_told(folder):
    path = folder.path / "results" / "a1.parquet"
    path.rename(path.with_name("a2.parquet"))
    with pytest.raises(InputError, match=r"a2.parquet: does not hold the encoding of its name; remove it"):
        folder.finished()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"request.json: is damaged: no JSON \(.*\)$"),
        ("[]", "request.json: is damaged: its content: .*; explore into another folder$"),
        ("{}", "request.json: is damaged: model: Field required; explore into another folder$"),
        ('{"form": 3}', "request.json: is of form 3, and 2 is known; update dnnzip to read it$"),
        ('{"form": 1}', "is of form 1, whose sizes do not count steps and zero points; explore into another folder$"),
        (b"\xff\xfe", "request.json: is damaged: no JSON"),
    ],
)
def test_a_damaged_request_is_told(folder, content, message):
    (folder.path / "request.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        folder.points()
    assert "\n" not in str(caught.value)


def test_a_wrong_key_of_the_network_is_named(folder):
    facts = NETWORK.model_dump(mode="json")
    facts["layers"][0]["weights"] = "many"
    (folder.path / "network.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(InputError, match=r"network.json: is damaged: layers\.0\.weights: "):
        folder.network()


def test_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work", encoding="utf-8")
    with pytest.raises(InputError, match=r"holds files and no exploration; give an empty or new folder$"):
        ExplorationFolder(tmp_path).start(REQUEST)
    with pytest.raises(InputError, match=r"is no exploration: it has no request.json; name a folder of"):
        ExplorationFolder(tmp_path).points()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"file/inside: cannot be made \(Not a directory\); give another folder"):
        ExplorationFolder(tmp_path / "file" / "inside").start(REQUEST)


def test_the_tuned_result_may_be_there_first(tmp_path):
    (tmp_path / "tune.json").write_text('{"bits": 3}', encoding="utf-8")
    folder = ExplorationFolder(tmp_path)
    folder.start(REQUEST)
    assert folder.tune() == {"bits": 3}
    (tmp_path / "tune.json").write_text("[3]", encoding="utf-8")
    with pytest.raises(InputError, match=r"tune.json: is no JSON object"):
        folder.tune()


def test_the_same_request_goes_on(folder):
    other = REQUEST.model_copy(update={"model": "/elsewhere/m.onnx", "command": "again", "provenance": {}})
    folder.start(other)
    assert folder.request() == REQUEST
    turned = REQUEST.grid.model_copy(update={"max_error": ("2%", "1%")})
    folder.start(REQUEST.model_copy(update={"grid": turned}))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samples": 11}, "its samples is 10 and not 11;"),
        ({"model_sha256": "04" * 32}, 'its model_sha256 is "0101.* and not "0404'),
        (
            {"grid": REQUEST.grid.model_copy(update={"max_error": ("1%",)}), "encodings": 1, "points": 1},
            r'its max_error is \["1%", "2%"\] and not \["1%"\];',
        ),
    ],
)
def test_another_request_is_refused(folder, changed, message):
    with pytest.raises(InputError, match=f"exploration: holds another exploration: {message}"):
        folder.start(REQUEST.model_copy(update=changed))
    assert folder.request() == REQUEST
    assert folder.finished() == {"a1"}


def test_a_table_of_more_rows_than_it_could_have(folder):
    """A few bytes may declare any number of equal rows, and all of them would be made."""
    rows = 5_000_000
    path = folder.path / "results" / "ab.parquet"
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"a": pa.repeat(pa.scalar(1.0), rows)}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match=rf"ab\.parquet: declares {rows} rows in \d+ bytes, more than"):
        folder.finished()


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("top1", float("nan"), "has numbers in 'top1' that are none of its kind"),
        ("energy_J", float("inf"), "has numbers in 'energy_J' that are none of its kind"),
        ("plain_latency_s", -1e300, "has numbers in 'plain_latency_s' that are none of its kind"),
        ("stream_bytes", -1, "has numbers in 'stream_bytes' that are none of its kind"),
        ("codec", b"\xff", "is damaged (Column 6: In chunk 0: Invalid: Invalid UTF8 sequence"),
    ],
)
def test_what_no_exploration_writes_is_refused(folder, column, value, fault):
    path = folder.path / "results" / "a1.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index(column)
    values = table.column(column).to_pylist()
    kind = pa.binary() if isinstance(value, bytes) else table.schema.field(column).type
    changed = pa.array([values[0] if kind != pa.binary() else b"raw", value], kind)
    if kind == pa.binary():
        changed = pa.Array.from_buffers(pa.string(), 2, changed.buffers())
    columns = [*table.columns[:place], changed, *table.columns[place + 1 :]]
    pq.write_table(pa.Table.from_arrays(columns, schema=POINT_SCHEMA), path)
    with pytest.raises(InputError) as caught:
        folder.points()
    assert f"a1.parquet: {'' if fault.startswith('is') else 'is not of an exploration: it '}{fault}" in str(
        caught.value
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"), [("top1", 1.5), ("top1", -1), ("samples", 0), ("weights", -1), ("bytes", 2**65), ("top1", 1e999)]
)
def test_impossible_facts_are_refused(folder, key, value):
    facts = NETWORK.model_dump(mode="json") | {key: value}
    (folder.path / "network.json").write_text(json.dumps(facts), encoding="utf-8")
    with pytest.raises(InputError, match=r"network\.json: is damaged: "):
        folder.network()
