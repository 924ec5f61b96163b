"""Jobs on the array of the simulated board: its UART pins behind a pseudo-terminal that pyserial opens."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from array_programs import Layer, check_sums, make_program, random_layer

from dnnzip import digits
from dnnzip.array.board_job import BoardImage, job_orders
from dnnzip.array.job import ArrayJob, ProgramError, open_array
from dnnzip.array.serial import SerialArray
from dnnzip.errors import InputError
from dnnzip.format import read_image_table
from dnnzip.format.array import ArrayFault, ArrayShape
from dnnzip.format.frames import ARRAY_RESULT, ORDERS, Order, Top
from dnnzip.link.serial_line import SerialLink
from dnnzip.link.serial_port import SerialLine
from dnnzip.link.session import Session
from dnnzip_hw.board.array_core import SerialArrayParameters
from dnnzip_hw.board.boards import BOARDS
from dnnzip_sim.board import SimulatedBoard
from dnnzip_sim.board.__main__ import command, main
from dnnzip_sim.board.simulated import DIVISOR, as_simulated

pytestmark = pytest.mark.slow

SEED = 20200827
AS_BUILT = as_simulated(BOARDS["ulx3s-85f"].design(Top.ARRAY))
ARRAY = AS_BUILT.array
MEMORY = 1 << 13
"""A small memory, so that small layers do not fit it."""

PARAMETERS = SerialArrayParameters(ARRAY, MEMORY, DIVISOR)
SHAPE = ArrayShape(1, 8, 8, 512, 2)
BAUD = 1_000_000


@pytest.fixture(scope="module")
def port():
    """Return the port of a board that several tests use, one after the other."""
    with SimulatedBoard(PARAMETERS) as board:
        yield board.port


def small_layers(rng, count):
    return [random_layer(rng, ARRAY, most_length=40, most_vectors=6) for _ in range(count)]


def one_layer(rng, channels, length, *, plain, vectors=2, spread=20):
    codes = np.clip(np.round(rng.normal(0, spread, (channels, length))), -128, 127).astype(np.int16)
    return Layer([codes], rng.integers(0, 256, (1, vectors, length)), 100, False, [plain])


def loads(job):
    """Return the loads of the board's memory for a job, and the entries of its table."""
    layout = BoardImage(job, SHAPE, MEMORY).layout
    return 1 + layout.loads[-1], len(layout.entries)


def test_sums_equal_plain_arithmetic_over_a_bad_line():
    """Compressed and plain parts of random layers; bytes are lost and damaged in both directions."""
    rng = np.random.default_rng(SEED)
    job, expected = make_program(small_layers(rng, 12), ARRAY)
    with SimulatedBoard(PARAMETERS, lost=5e-4, damaged=5e-4, seed=SEED) as board:
        link = open_array(f"serial:{board.port}", SHAPE)
        result = link.execute(job)
    counts = board.result
    print(f"seed {SEED}: {check_sums(result, expected, SEED)} sums, {counts}, {link.statistics}, {result.figures}")
    assert min(counts.to_board_lost + counts.to_board_damaged, counts.from_board_lost + counts.from_board_damaged) > 0
    assert result.figures.busy_cycles == len(job.activations)
    assert result.figures.cycles == result.figures.busy_cycles + result.figures.tile_wait_cycles


@pytest.mark.parametrize(
    ("channels", "length", "plain", "least_loads"),
    [
        (70, 300, True, 3),  # whole passes
        (9, 1500, True, 2),  # passes that do not fit
        (70, 300, False, 3),  # a stream that does not fit
    ],
)
def test_layers_larger_than_the_memory(port, channels, length, plain, least_loads):
    rng = np.random.default_rng(SEED + channels)
    layers = [one_layer(rng, 5, 20, plain=False), one_layer(rng, channels, length, plain=plain, spread=60)]
    job, expected = make_program([*layers, one_layer(rng, 3, 9, plain=False)], ARRAY)
    assert max(len(data) for data in entries_of(job)) > MEMORY
    assert loads(job)[0] >= least_loads
    result = open_array(f"serial:{port}", SHAPE).execute(job)
    print(f"seed {SEED + channels}: {check_sums(result, expected, SEED)} sums in {loads(job)} loads, entries")


def entries_of(job):
    return [job.image[entry.offset : entry.offset + 2 * entry.words] for entry in read_image_table(job.image)]


def test_a_layer_that_fits_is_loaded_once_however_often_it_is_walked(port):
    """The walks of the chunks of a layer find its weights in the memory."""
    rng = np.random.default_rng(SEED)
    job, expected = make_program([one_layer(rng, 8, 20, plain=False, vectors=4)], ARRAY)
    twice = replace_job(job, walks=[*job.walks, job.walks[-1]], runs=[*job.runs, *job.runs])
    twice = replace_job(twice, activations=np.concatenate([job.activations] * 2))
    message = job_orders(twice, SHAPE, MEMORY)
    weights = max(entries_of(job), key=len)
    assert message.count(weights) == 1
    result = open_array(f"serial:{port}", SHAPE).execute(twice)
    check_sums(result, expected * 2, SEED)


def replace_job(job, **changes):
    parts = {name: getattr(job, name) for name in ("image", "walks", "runs", "activations")}
    return ArrayJob(**(parts | changes))


def changed(job, place):
    """Return the job with a bit of its image flipped."""
    image = bytearray(job.image)
    image[place] ^= 1
    return replace_job(job, image=bytes(image))


@pytest.mark.parametrize(("place", "verdict"), [(-1, "bad crc"), (-40, "bad")])
def test_a_damaged_stream_is_an_error_and_the_next_job_is_not(port, place, verdict):
    rng = np.random.default_rng(SEED)
    job, expected = make_program([one_layer(rng, 8, 60, plain=False)], ARRAY)
    link = open_array(f"serial:{port}", SHAPE)
    entry = read_image_table(job.image)[-1]
    with pytest.raises(InputError, match=rf"a stream of the layer ends with '{verdict}.*'; compress the model again"):
        link.execute(changed(job, entry.offset + 2 * entry.words + place))
    check_sums(link.execute(job), expected, SEED)


def test_tables_with_too_many_states(port):
    rng = np.random.default_rng(SEED)
    job, _ = make_program([one_layer(rng, 8, 200, plain=False)], ARRAY, log2_states=10)
    message = "the board decodes tables of up to 512 states; compress with --states 512 --virtual-lanes 8"
    with pytest.raises(InputError, match=re.escape(message)):
        open_array(f"serial:{port}", SHAPE).execute(job)


@pytest.mark.parametrize(
    "message",
    [
        bytes([9, 0]) + bytes(20),
        Order.WALK.to_bytes(2, "little"),
        Order.RUN.to_bytes(2, "little") + bytes([1, 0, 0, 0, 0, 0, 0, 0]),
        Order.LOAD.to_bytes(2, "little") + ORDERS[Order.LOAD].pack({"words": 9, "address": 0, "fetched": 0}) + bytes(4),
        Order.END.to_bytes(2, "little") + bytes(6),
    ],
    ids=["unknown", "walk cut", "run without vectors", "load cut", "something behind the end"],
)
def test_what_is_no_job_ends_with_a_fault(port, message):
    """A host that breaks the rules; the board says so and takes the next job."""
    with SerialLine(port, BAUD) as line:
        session = Session(line, "--link serial:PORT")
        session.open(Top.ARRAY)
        (answer,) = session.exchange([message])
    assert ARRAY_RESULT.unpack(answer.end)["fault"] == ArrayFault.ORDER
    assert answer.body == b""


def test_an_image_that_leaves_the_memory_is_a_fault(port):
    """A host that believes in more memory than there is."""
    job, _ = make_program([one_layer(np.random.default_rng(SEED), 70, 300, plain=True)], ARRAY)
    link = SerialArray(SHAPE, port)
    link._memory = 8 * MEMORY
    with pytest.raises(InputError, match="the board stopped: a load or an entry lies outside of the memory"):
        link.execute(job)


def test_another_array_is_named(port):
    message = (
        f"link serial:{port}: the board's array has 8 rows, 8 columns and 512 vectors; "
        "groups 1 lanes 2 slots 4 columns 8 vectors 512"
    )
    for shape in (ArrayShape(1, 16, 8, 512), ArrayShape(1, 8, 16, 512), ArrayShape(1, 8, 8, 1024), ArrayShape(2, 8, 8)):
        with pytest.raises(InputError, match=re.escape(message)):
            open_array(f"serial:{port}", shape)


def test_streams_alone_need_the_other_top(port):
    message = "the board has the top array, and this needs decompressor; load the bitstream of `dnnzip bitstream"
    with pytest.raises(InputError, match=re.escape(message)):
        SerialLink(port).decode(b"", [bytes(8)])


def test_a_job_needs_the_top_with_an_array():
    with SimulatedBoard(as_simulated(BOARDS["icebreaker"].design())) as board:
        message = "the board has the top decompressor, and this needs array; load the bitstream of `dnnzip bitstream"
        with pytest.raises(InputError, match=re.escape(message)):
            open_array(f"serial:{board.port}", SHAPE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"array": 4}, "array must be ArrayParameters, not 4"),
        ({"array": replace(ARRAY, bus_bits=32)}, "array.bus_bits must be 16, not 32"),
        ({"array": replace(ARRAY, buffer=2048)}, "array.buffer must be at most 1024, not 2048"),
        ({"memory_bytes": 5000}, "memory_bytes must be a power of two from 4096 to 33554432, not 5000"),
        ({"divisor": 3}, "divisor must be 4 to 65536, not 3"),
        ({"frames": 12}, "frames must be a power of two from 2 to 64, not 12"),
    ],
)
def test_wrong_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SerialArrayParameters(**arguments)


def test_jobs_that_contradict_themselves_are_refused():
    rng = np.random.default_rng(SEED)
    job, _ = make_program([one_layer(rng, 9, 9, plain=True)], ARRAY)
    cases = [
        ({"walks": [replace(job.walks[-1], count=9)]}, "a walk must stay in a table of"),
        ({"walks": job.walks[:-1]}, "run 0 takes a tile of group 0, and none comes any more"),
        ({"walks": [*job.walks, job.walks[-1]]}, "tiles are left over at the end of the program"),
        ({"image": job.image[:-2]}, "image: the image must have the"),
    ]
    for changes, message in cases:
        with pytest.raises(ProgramError, match=re.escape(message)):
            job_orders(replace_job(job, **changes), SHAPE, MEMORY)
    table = 3 * 32  # the header and two entries
    with pytest.raises(
        InputError, match="the table set has 54 bytes, the board room for 16; build it with more memory"
    ):
        job_orders(job, SHAPE, table + 16)
    with pytest.raises(InputError, match="the board has room for 60 bytes of weights, less than a tile"):
        job_orders(job, SHAPE, table + 60)


DNNZIP = [sys.executable, "-m", "dnnzip"]
SIZES = ["--groups", "1", "--lanes", "2", "--slots", "4", "--columns", "8", "--vectors", "512"]


def dnnzip(*arguments):
    done = subprocess.run([*DNNZIP, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Return the digits network with 8 bits, compressed for eight virtual lanes."""
    folder = tmp_path_factory.mktemp("models")
    plain, compressed = folder / "q.onnx", folder / "q.dnz.onnx"
    dnnzip("quantize", digits.MODEL, "--data", digits.TEST_SET, "-o", plain)
    dnnzip("compress", plain, "-o", compressed, "--max-error", "1%", "--virtual-lanes", "8", "--quiet")
    return compressed


def whole_network(model, port, samples, folder):
    """Run the network on the golden array and on the board, and compare what they say."""
    said = {}
    for link in ("golden", f"serial:{port}"):
        place = folder / "result.json"
        dnnzip("run", model, "--data", digits.TEST_SET, "--samples", samples, *SIZES, "--link", link, "--json", place)
        said[link] = json.loads(place.read_text())
    golden, board = said.values()
    assert board["predictions"] == golden["predictions"]
    assert board["mismatches"] == 0
    assert board["sums"] == golden["sums"] == samples * 6518
    assert all(layer["compressed"] and layer["cycles"] for layer in board["layers"])
    print(f"{board['sums']} sums, {board['macs']} multiplications, {board['cycles']} cycles without the line's")


def test_a_whole_network_through_the_command_line(port, network, tmp_path):
    """LeNet-5, whose largest layer is three times as large as the board's memory: every sum is right."""
    whole_network(network, port, 1, tmp_path)


def test_the_simulated_board_names_its_command(capsys, monkeypatch):
    """Without a simulator: the command line that it prints fits the array's sizes."""
    shown = command(BOARDS["ulx3s-85f"].design(Top.ARRAY), "/dev/pts/7")
    assert shown == f"dnnzip run MODEL --data SET {' '.join(SIZES)} --link serial:/dev/pts/7"
    monkeypatch.setattr(sys, "argv", ["board", "--top", "array", "--board", "icebreaker"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said == "dnnzip: --top array: the array does not fit icebreaker (iCE40 UP5K); --board ulx3s-85f\n"


@pytest.mark.ports
def test_a_whole_network_over_a_bad_line(network, tmp_path):
    with SimulatedBoard(PARAMETERS, lost=2e-4, damaged=2e-4, seed=SEED) as board:
        whole_network(network, board.port, 3, tmp_path)
    print(board.result)


@pytest.mark.ports
def test_the_board_as_built_runs_a_whole_network(network, tmp_path):
    """The memory and the slots of the bitstream."""
    with SimulatedBoard(AS_BUILT) as board:
        whole_network(network, board.port, 2, tmp_path)


@pytest.mark.ports
@pytest.mark.parametrize("seed", range(4))
def test_random_jobs_on_a_bad_line(seed):
    rng = np.random.default_rng(SEED + seed)
    layers = [random_layer(rng, ARRAY) for _ in range(6)]
    job, expected = make_program([*layers, one_layer(rng, 70, 300, plain=bool(seed % 2))], ARRAY)
    with SimulatedBoard(PARAMETERS, lost=1e-3, damaged=1e-3, seed=seed + 1) as board:
        link = open_array(f"serial:{board.port}", SHAPE)
        result = link.execute(job)
    print(f"seed {SEED + seed}: {check_sums(result, expected, seed)} sums, {board.result}, {link.statistics}")
