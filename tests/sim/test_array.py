"""Programs on the PE array in Verilator, against plain arithmetic; the protocol of its memory, with cocotbext-axi."""

import dataclasses
import re

import numpy as np
import pytest
from array_programs import Layer, check_sums, make_program, random_layer

from dnnzip.format import Verdict
from dnnzip.format.array import MISPLACED, ArrayFault, Placement
from dnnzip.format.program import Run, Walk
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.array import ArrayParameters
from dnnzip_hw.array.verilog import AXI_TOP
from dnnzip_sim.array import Memory, Surroundings, build_array, run_job
from dnnzip_sim.build import build
from dnnzip_sim.harness import OPTIONS
from dnnzip_sim.run import CocotbTests, SimulationFailedError, run
from dnnzip_sim.streams import PAUSE_PATTERNS
from dnnzip_sim.verilog import axi_array_verilog

AXI_BENCH = "dnnzip_sim.benches.axi_array"
SEED = 20261124
SMALL = DecompressorParameters(2, 2, 8, 8)
ARRAYS = {
    "square": ArrayParameters(),
    "small": ArrayParameters(SMALL, columns=5, vectors=64, burst=4, buffer=8, hops=0),
    "groups": ArrayParameters(
        SMALL,
        groups=2,
        columns=3,
        vectors=256,
        bus_bits=64,
        burst=3,
        buffer=16,
        placement=Placement.MEMORY_INTERFACE,
        hops=3,
    ),
}


def run_layers(parameters, layers, folder, seed, **around):
    """Run a program of the layers, and return the result and how many sums were right."""
    program, expected = make_program(layers, parameters, log2_states=parameters.decompressor.log2_states)
    result = run_job(build_array(parameters), parameters, program, folder, Surroundings(**around))
    return result, check_sums(result, expected, seed)


@pytest.mark.parametrize(
    "name", ["square", *(pytest.param(name, marks=pytest.mark.slow) for name in ARRAYS if name != "square")]
)
@pytest.mark.parametrize("pauses", [pytest.param(False, marks=pytest.mark.slow), True])
def test_random_layers_back_to_back(name, pauses, tmp_path):
    parameters = ARRAYS[name]
    most = min(60, parameters.vectors // 3)
    for seed in range(SEED, SEED + 4):
        rng = np.random.default_rng(seed)
        layers = [random_layer(rng, parameters, most_vectors=most) for _ in range(10)]
        memory = Memory(int(rng.integers(1, parameters.bus_bytes + 1)), int(rng.integers(0, 60)))
        _, right = run_layers(parameters, layers, tmp_path, seed, pauses=pauses * seed, memory=memory)
        assert right > 100


@pytest.mark.slow
@pytest.mark.parametrize("length", range(1, 12))
def test_tiles_of_every_width(length, tmp_path):
    """Channels shorter than, as long as and longer than a tile; in streams and past the decompressor."""
    parameters = ARRAYS["small"]
    rng = np.random.default_rng(length)
    layers = [
        Layer(
            [rng.integers(-128, 128, (channels, length)).astype(np.int16)],
            rng.integers(0, 256, (1, vectors, length)),
            7,
            False,
            [plain],
        )
        for channels in range(1, 10)
        for vectors in (1, 4)
        for plain in (False, True)
    ]
    _, right = run_layers(parameters, layers, tmp_path, length)
    assert right == sum(layer.parts[0].shape[0] * layer.vectors.shape[1] for layer in layers)


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True])
def test_the_largest_sums(plain, tmp_path):
    """Every product at its extreme, in a channel so long that 32 bits are nearly used up."""
    parameters = ARRAYS["small"]
    length = 60_000
    layers = []
    for weight, value, zero in ((-128, 255, 0), (-128, 0, 255), (127, -128, 127), (-128, -128, 127)):
        codes = np.full((1, length), weight, np.int16)
        layers.append(Layer([codes], np.full((1, 1, length), value), zero, min(value, zero) < 0, [plain]))
    result, right = run_layers(parameters, layers, tmp_path, 0)
    assert right == 4
    assert abs(int(result.sums[0][0])) == 128 * 255 * length


@pytest.mark.slow
def test_a_reset_in_the_middle_of_anything(tmp_path):
    parameters = ARRAYS["small"]
    rng = np.random.default_rng(SEED)
    layers = [random_layer(rng, parameters, most_vectors=20) for _ in range(4)]
    program, expected = make_program(layers, parameters, log2_states=parameters.decompressor.log2_states)
    harness = build_array(parameters)
    for number, after in enumerate(map(int, rng.integers(1, 4000, 12))):
        cycles = (1, 2, 3, 16)[number % 4]
        around = Surroundings(pauses=after, reset_after=after, reset_cycles=cycles)
        result = run_job(harness, parameters, program, tmp_path, around)
        assert check_sums(result, expected, SEED) > 10


def test_weights_are_loaded_while_the_tile_before_multiplies(tmp_path):
    """With enough vectors per tile, the array never waits for weights behind the first one."""
    parameters = ARRAYS["square"]
    rng = np.random.default_rng(SEED)
    codes = np.round(rng.normal(0, 10, (64, 160))).astype(np.int16)
    for plain in (False, True):
        layer = Layer([codes], rng.integers(-128, 128, (1, 200, 160)), 0, True, [plain])
        result, _ = run_layers(parameters, [layer], tmp_path, SEED)
        first, last = int(result.times[0][0]), int(result.times[-1][1])
        assert last - first + 1 == result.figures.vectors, "the array waited between tiles"


@pytest.mark.parametrize("width", [1, 2])
def test_a_layer_that_waits_for_the_memory_is_as_fast_as_its_bytes_come(width, tmp_path):
    parameters = ARRAYS["square"]
    rng = np.random.default_rng(SEED)
    codes = np.clip(np.round(rng.normal(0, 12, (64, 512))), -128, 127).astype(np.int16)
    cycles, words = [], []
    for plain in (True, False):
        layer = Layer([codes], rng.integers(-128, 128, (1, 1, 512)), 0, True, [plain])
        program, expected = make_program([layer], parameters)
        program = dataclasses.replace(
            program, walks=[walk for walk in program.walks if not (plain and walk.first == 0)]
        )
        result = run_job(build_array(parameters), parameters, program, tmp_path, Surroundings(Memory(width)))
        check_sums(result, expected, SEED)
        cycles.append(int(result.times[-1][1]) - int(result.times[0][0]))
        words.append(codes.size if plain else 2 * result.figures.bus_moves)
    assert cycles[0] / cycles[1] >= 0.97 * words[0] / words[1]


@pytest.mark.slow
def test_bus_words_are_fewer_where_compressed_words_travel(tmp_path):
    """The same weights take a word of two bytes each two weights, or by their bits; see ``Placement``."""
    rng = np.random.default_rng(SEED)
    codes = np.round(rng.normal(0, 2, (16, 400))).astype(np.int16)
    moves = {}
    for name in ("small", "groups"):
        layer = Layer([codes], rng.integers(-128, 128, (1, 1, 400)), 0, True, [False])
        result, _ = run_layers(ARRAYS[name], [layer], tmp_path, SEED)
        moves[ARRAYS[name].placement] = result.figures.bus_moves
    assert moves[Placement.MEMORY_INTERFACE] == codes.size // SMALL.lanes
    assert moves[Placement.PE] * 16 < 0.6 * moves[Placement.MEMORY_INTERFACE] * SMALL.lanes * 8


def broken(parameters, change, folder):
    """Run a program whose image or program was changed."""
    rng = np.random.default_rng(SEED)
    layer = Layer([rng.integers(-9, 10, (4, 30)).astype(np.int16)], rng.integers(0, 9, (1, 3, 30)), 0, False, [False])
    program, _ = make_program([layer], parameters, log2_states=8)
    return run_job(build_array(parameters), parameters, change(program), folder, Surroundings(patience=5000))


def flipped(program, place, bit=1):
    """Return the program with a byte of its image changed; negative places count from the end."""
    image = bytearray(program.image)
    image[place] ^= bit
    return dataclasses.replace(program, image=bytes(image))


HEADER_BYTES, ENTRY_BYTES = 32, 32
BROKEN = {
    "magic": (lambda p: flipped(p, 0), f"walks stopped with fault {ArrayFault.HEADER}"),
    "version": (lambda p: flipped(p, 4, 2), f"walks stopped with fault {ArrayFault.HEADER}"),
    "walk": (lambda p: dataclasses.replace(p, walks=[Walk(0, 3)]), f"walks stopped with fault {ArrayFault.RANGE}"),
    "empty walk": (
        lambda p: dataclasses.replace(p, walks=[Walk(1, 0)]),
        f"walks stopped with fault {ArrayFault.RANGE}",
    ),
    "kind": (lambda p: flipped(p, HEADER_BYTES + ENTRY_BYTES + 28, 2), f"walks stopped with fault {ArrayFault.ENTRY}"),
    "lanes": (
        lambda p: flipped(p, HEADER_BYTES + ENTRY_BYTES + 30, 64),
        f"walks stopped with fault {ArrayFault.ENTRY}",
    ),
    "words": (lambda p: flipped(p, HEADER_BYTES + ENTRY_BYTES + 8, 2), "a burst reads past the image"),
    "payload": (lambda p: flipped(p, -8), f"not to be used, cause {Verdict.BAD_CRC}"),
    "length": (lambda p: flipped(p, HEADER_BYTES + ENTRY_BYTES + 24, 32), f"not to be used, cause {MISPLACED}"),
    "fewer channels": (lambda p: flipped(p, HEADER_BYTES + ENTRY_BYTES + 20, 6), f"not to be used, cause {MISPLACED}"),
    "no tile": (
        lambda p: dataclasses.replace(
            p,
            runs=[*p.runs, Run(1, 0, 1, 0, False, True, True)],
            activations=np.vstack([p.activations, p.activations[:1]]),
        ),
        "hangs: walk 2, run",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_reported(name, tmp_path):
    change, message = BROKEN[name]
    with pytest.raises(SimulationFailedError, match=re.escape(message)):
        broken(ARRAYS["small"], change, tmp_path)


@pytest.mark.slow
def test_an_unbroken_program_of_the_same_kind_is_not(tmp_path):
    assert broken(ARRAYS["small"], lambda program: program, tmp_path).figures.runs


@pytest.mark.slow
def test_a_wrong_sum_would_be_seen(tmp_path):
    parameters = ARRAYS["small"]
    rng = np.random.default_rng(SEED)
    layers = [random_layer(rng, parameters, most_vectors=10)]
    program, expected = make_program(layers, parameters, log2_states=8)
    result = run_job(build_array(parameters), parameters, program, tmp_path)
    sums, known = expected[-1]
    row = int(np.flatnonzero(known[-1])[0])
    sums[-1, row] += 1
    vector = len(result.sums) - 1
    with pytest.raises(AssertionError, match=rf"first of vector {vector} row {row}: expected {sums[-1, row]}, got"):
        check_sums(result, expected, SEED)


@pytest.mark.ports
def test_the_ports_with_a_memory_and_streams_of_others(tmp_path):
    parameters = ARRAYS["groups"]
    rng = np.random.default_rng(SEED)
    program, expected = make_program(
        [random_layer(rng, parameters, most_vectors=20) for _ in range(8)], parameters, log2_states=8
    )
    path = tmp_path / "program.npz"
    np.savez(
        path,
        image=np.frombuffer(program.image, np.uint8),
        walks=np.frombuffer(b"".join(walk.pack() for walk in program.walks), np.uint8).reshape(-1, 4),
        runs=np.frombuffer(b"".join(item.pack() for item in program.runs), np.uint8).reshape(-1, 8),
        vectors=program.activations,
        sums=np.concatenate([sums for sums, _ in expected]),
        known=np.concatenate([known for _, known in expected]),
    )
    built = build(AXI_TOP, {f"{AXI_TOP}.v": axi_array_verilog(parameters)}, options=OPTIONS)
    count = len(PAUSE_PATTERNS) + 2 * 4
    run(built, CocotbTests(AXI_BENCH, count, env={"DNNZIP_PROGRAM": str(path)}, seed=SEED), tmp_path)
