"""The map from codes to floats, in Amaranth's simulator and in C, against the one in Python."""

import random

import numpy as np
import pytest
from c_decoder import compile_c, compiled, printed_by
from simulated import PAUSES, Sink, Source, run

from dnnzip.quantize.float_map import FloatMap
from dnnzip_hw import DecompressorParameters
from dnnzip_hw import FloatMap as HardwareMap

BASES = {15: [0, 1, 0x3580, 0x3581, 0x7FFF], 7: [0, 1, 0x1A, 0x7F]}

PROGRAM = """
#include <stdio.h>
#include "dnnzip.h"
int main(void)
{
    static const unsigned bases[] = {BASES};
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        for (long code = -(1L << BITS); code < 1L << BITS; code++)
            printf("%u\\n", (unsigned)dnnzip_float_bits((int16_t)code, bases[i], BITS));
    return 0;
}
"""


def every_code(bits):
    return np.arange(-(1 << bits), 1 << bits).astype(np.int16)


@pytest.mark.parametrize("bits", BASES)
def test_the_c_function_maps_every_code(tmp_path, bits):
    compile_c(tmp_path)
    (tmp_path / "dnnzip_decode.c").unlink()
    bases = ", ".join(map(str, BASES[bits]))
    (tmp_path / "main.c").write_text(PROGRAM.replace("BASES", bases).replace("BITS", str(bits)))
    found = np.array(printed_by(compiled(tmp_path)), np.uint32).reshape(len(BASES[bits]), -1)
    for base, patterns in zip(BASES[bits], found, strict=True):
        np.testing.assert_array_equal(patterns, FloatMap(base, bits).patterns(every_code(bits)))


@pytest.mark.parametrize("pauses", PAUSES)
@pytest.mark.parametrize("weight_bits", [8, 16])
def test_beats_are_mapped_in_hardware(pauses, weight_bits):
    bits, rng = weight_bits - 1, random.Random(f"{pauses} {weight_bits}")
    parameters = DecompressorParameters(lanes=2, weight_bits=weight_bits)
    base = BASES[bits][2]
    top = 1 << bits
    edges = [0, -1, 1, -2, top - 1, -top, -base, base, -base - 1, top - base, base - top]
    codes = [*edges, *(rng.randrange(-(1 << bits), 1 << bits) for _ in range(189))]
    beats = [
        {"weights": codes[i : i + 2], "mask": rng.randrange(1, 4), "last": 0, "cause": 0} for i in range(0, 200, 2)
    ]
    beats.append({"weights": [0, 0], "mask": 0, "last": 1, "cause": 10})
    source_pause, sink_pause = PAUSES[pauses]
    for mapped in (1, 0):
        dut = HardwareMap(parameters)
        source, sink = Source(dut.i, beats, rng, source_pause), Sink(dut.o, rng, sink_pause, len(beats))

        async def bench(ctx, dut=dut, sink=sink, mapped=mapped):
            ctx.set(dut.base, base)
            ctx.set(dut.mapped, mapped)
            await sink.run(ctx)

        run(dut, bench, background=(source.run,))
        found = [int(weight) for beat in sink.items[:-1] for weight in beat.weights]
        patterns = FloatMap(base, bits).patterns(np.array(codes, np.int16)).astype(f"u{weight_bits // 8}")
        wanted = patterns.view(f"i{weight_bits // 8}").tolist() if mapped else codes
        assert found == wanted
        assert [(int(beat.mask), int(beat.last), int(beat.cause)) for beat in sink.items] == [
            (beat["mask"], beat["last"], beat["cause"]) for beat in beats
        ]


def test_a_beat_leaves_in_every_cycle():
    dut, beats = HardwareMap(), [{"weights": [n] * 4, "mask": 15, "last": 0, "cause": 0} for n in range(50)]
    source, sink, cycles = Source(dut.i, beats), Sink(dut.o), 0

    async def bench(ctx):
        nonlocal cycles
        taken = 0
        while taken < len(beats):
            taken += await sink.step(ctx) is not None
            cycles += 1

    run(dut, bench, background=(source.run,))
    assert cycles <= len(beats) + 2
