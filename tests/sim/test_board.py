"""The host program against the simulated board: its UART pins behind a pseudo-terminal that pyserial opens."""

import json
import os
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import serial

from dnnzip import digits
from dnnzip.codec.ans import fast as ans_fast
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.errors import InputError
from dnnzip.format import Verdict, VerdictError
from dnnzip.format.frames import Frame, Kind
from dnnzip.link.serial_line import SerialLink
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.board.boards import BOARDS
from dnnzip_hw.board.decompressor_core import SerialDecompressorParameters
from dnnzip_sim.board import SimulatedBoard
from dnnzip_sim.board.simulated import DIVISOR, LINE_BITS, as_simulated
from dnnzip_sim.stimulus.cases import random_case
from dnnzip_sim.stimulus.outcomes import Case, outcomes
from dnnzip_sim.stimulus.table_sets import random_table_set

SEED = 20200827
SMALL = as_simulated(BOARDS["icebreaker"].design())
DNNZIP = [sys.executable, "-m", "dnnzip"]


def dnnzip(*arguments, expected=0):
    done = subprocess.run([*DNNZIP, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stderr
    return done


@pytest.fixture(scope="module")
def compressed(tmp_path_factory):
    """Return the digits network, compressed for the small board, and one of its layers alone."""
    folder = tmp_path_factory.mktemp("models")
    whole, layer = folder / "whole.dnz.onnx", folder / "layer.dnz.onnx"
    fits = ["--max-error", "2%", "--states", "256", "--virtual-lanes", "4"]
    dnnzip("compress", digits.MODEL, "-o", whole, *fits, "--quiet")
    dnnzip("compress", digits.MODEL, "-o", layer, *fits, "--quiet", "--layers", "conv2*")
    return whole, layer


@pytest.mark.slow
def test_a_network_through_the_command_line(compressed, tmp_path):
    """Every weight of LeNet-5 equals the golden decoder's, and the line from the board is busy."""
    model, _ = compressed
    with SimulatedBoard(SMALL) as board:
        dnnzip("simulate", model, "--link", f"serial:{board.port}", "--json", tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["mismatches"] == 0
    assert result["weights"] > 60_000
    assert all(layer["cycles"] for layer in result["layers"])
    # Frames take ten bytes for 126, and some bytes are escaped.
    assert 0.85 * board.result.from_board < result["weights"] < board.result.from_board
    busy = board.result.from_board * LINE_BITS * DIVISOR / board.result.talking
    print(f"{result['weights']} weights in {board.result.talking} cycles, the line from the board busy {busy:.1%}")
    assert busy > 0.1  # 0.96 alone; a machine with other work to do lets the host confirm late


def test_a_layer_over_a_line_that_loses_and_damages_bytes(compressed, tmp_path):
    """Faults in both directions change nothing but the time."""
    _, model = compressed
    with SimulatedBoard(SMALL, lost=5e-4, damaged=5e-4, seed=SEED) as board:
        dnnzip("simulate", model, "--link", f"serial:{board.port}", "--json", tmp_path / "result.json")
    result = json.loads((tmp_path / "result.json").read_text())
    print(f"seed {SEED}, {board.result}")
    assert result["mismatches"] == 0
    assert result["weights"] == 2400
    counts = board.result
    assert min(counts.to_board_lost + counts.to_board_damaged, counts.from_board_lost + counts.from_board_damaged) > 0


def network(rng, tables, layers):
    """Return (codes, streams) of layers of random codes, for up to four virtual lanes."""
    codes = [np.array(rng.choices(range(-40, 41), k=a * b), np.int16).reshape(a, b) for a, b in layers]
    choices = [AnsChoices(min(2, channels.bit_length() - 1), [0]) for channels, _ in layers]
    return codes, [ans_fast.encode(layer, (1, 1), tables, choice) for layer, choice in zip(codes, choices, strict=True)]


def test_verdicts_faults_and_sessions():
    """One board, several hosts one after the other: damaged streams, a broken session, garbage on the line."""
    rng = random.Random(SEED)
    tables = random_table_set(rng, tables=2)
    codes, streams = network(rng, tables, [(4, 40), (3, 5), (1, 1)])
    data = tables.to_bytes()
    flipped = bytes([*streams[0][:-1], streams[0][-1] ^ 1])
    with SimulatedBoard(SMALL, seed=SEED) as board:
        link = SerialLink(board.port)
        results = link.decode(data, [streams[0], flipped, b"", streams[1], streams[0][:-6], streams[2]])
        ok, cut, crc = Verdict.OK, Verdict.TRUNCATED, Verdict.BAD_CRC
        assert [result.verdict for result in results] == [ok, crc, cut, ok, cut, ok]
        assert np.array_equal(results[0].codes, codes[0])
        assert np.array_equal(results[3].codes, codes[1])
        assert np.array_equal(results[5].codes, codes[2])
        assert link.last_run.weights >= 176
        assert 0 < link.last_run.table_cycles < link.last_run.cycles

        # A session that ends in the middle of a stream and of a frame leaves nothing for the next.
        with serial.Serial(board.port, timeout=0.05) as port:
            port.write(Frame(Kind.RESET, seq=1, ack=2).pack())
            port.write(Frame(Kind.DATA, payload=streams[0][:20]).pack())
            port.write(Frame(Kind.DATA, seq=1, payload=streams[0][20:40]).pack()[:9])
            port.write(rng.randbytes(300))
        for _ in range(2):
            (result,) = link.decode(data, [streams[0]])
            assert np.array_equal(result.codes, codes[0])
        # Without a table set, what the session before loaded is gone.
        assert link.decode(b"", [streams[0]])[0].verdict == Verdict.WRONG_TABLES

        with pytest.raises(VerdictError) as raised:
            link.decode(bytes([*data[:-1], data[-1] ^ 1]), streams)
        assert raised.value.verdict == Verdict.BAD_CRC
        large = random_table_set(rng, log2_states=9).to_bytes()
        message = "decodes tables of up to 256 states; compress with --states 256 --virtual-lanes 4"
        with pytest.raises(InputError, match=re.escape(message)):
            link.decode(large, streams)


def test_a_port_that_nothing_answers_on_is_one_line(compressed):
    """A terminal without a board, as the command line has it."""
    main, other = os.openpty()
    try:
        done = dnnzip("simulate", compressed[1], "--link", f"serial:{os.ttyname(other)}", expected=2)
    finally:
        os.close(main)
        os.close(other)
    assert re.fullmatch(r"dnnzip: --link serial:/dev/pts/\d+: nothing answers; .*\n", done.stderr)


@pytest.mark.ports
@pytest.mark.parametrize("seed", range(4))
def test_random_cases_on_a_bad_line(seed):
    """The default decompressor: random table sets and streams, with a fault in every third frame."""
    case = random_case(SEED + seed, damage=False)
    parameters = SerialDecompressorParameters(DecompressorParameters(), DIVISOR)
    wanted = outcomes(Case("all", case.streams), parameters.decompressor.limits)
    with SimulatedBoard(parameters, lost=1e-3, damaged=1e-3, seed=seed + 1) as board:
        link = SerialLink(board.port)
        results = link.decode(case.streams[0], case.streams[1:])
    print(f"seed {SEED + seed}, {board.result}, {link.statistics}")
    for result, outcome in zip(results, wanted[1:], strict=True):
        assert result.verdict == outcome.verdict
        assert result.codes.size == len(outcome.weights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"divisor": 3}, "divisor must be 4 to 65536, not 3"),
        ({"frames": 12}, "frames must be a power of two from 2 to 64, not 12"),
        ({"decompressor": 4}, "decompressor must be DecompressorParameters, not 4"),
    ],
)
def test_wrong_parameters_are_named(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SerialDecompressorParameters(**arguments)
