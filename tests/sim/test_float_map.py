"""A decompressor with the map of floats behind it, in Verilator, against the software: see ``float_map_bench``."""

import json

import ml_dtypes
import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from dnnzip.codec import CodecOptions
from dnnzip.encoding import Encoding, encode_weights
from dnnzip.format import MAX_SHIFT, TableSet
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.quantize.layout import Layout
from dnnzip.quantize.weights import ArrayWeights
from dnnzip_hw import Decompressor, DecompressorParameters, FloatMap, beat_layout, word_layout
from dnnzip_hw.verilog import convert
from dnnzip_sim.build import build
from dnnzip_sim.run import CocotbTests, SimulationFailedError, run
from dnnzip_sim.verilog import VERILATOR_OPTIONS

pytestmark = pytest.mark.slow

PARAMETERS = DecompressorParameters(lanes=1, slots=16)


class Floats(wiring.Component):
    """A decompressor and the map behind it."""

    i: In(stream.Signature(word_layout()))
    o: Out(stream.Signature(beat_layout(PARAMETERS)))
    base: In(15)
    mapped: In(1)

    def elaborate(self, _platform):
        m = Module()
        m.submodules.decompressor = decompressor = Decompressor(PARAMETERS)
        m.submodules.map = float_map = FloatMap(PARAMETERS)
        connect(m, flipped(self.i), decompressor.i)
        connect(m, decompressor.o, float_map.i)
        connect(m, float_map.o, flipped(self.o))
        m.d.comb += [float_map.base.eq(self.base), float_map.mapped.eq(self.mapped)]
        return m


@pytest.fixture(scope="module")
def floats():
    return build("floats", {"floats.v": convert(Floats(), "floats")}, options=VERILATOR_OPTIONS)


def case_of(folder, flip=0):
    """Write streams of bfloat16 weights on one lane, and the patterns in the order of its beats."""
    weights = (np.random.default_rng(1).normal(size=(16, 40)) * 0.03).astype(ml_dtypes.bfloat16)
    weights[3, :9], weights[4, 5], weights[5, 6] = 0, 1e-30, -3e30
    tensor = ArrayWeights("w", weights, Layout(weights.shape, 0))
    encoding = Encoding(Bound.parse("0"), Scope.TENSOR, CodecOptions("ans", virtual_lanes=16))
    tables, (encoded,) = encode_weights([tensor], encoding, bytes)
    assert max(TableSet.from_bytes(tables).shifts) >= MAX_SHIFT - 1
    patterns = weights.view(np.uint16).T.reshape(-1).astype(int).tolist()
    patterns[7] ^= flip
    case = {"base": encoded.grid.base, "streams": [tables.hex(), encoded.stream.hex()], "patterns": patterns}
    path = folder / "case.json"
    path.write_text(json.dumps(case), encoding="utf-8")
    return {"STREAMS": str(path)}


def test_weights_are_the_bits_of_floats(floats, tmp_path, benches):
    run(floats, CocotbTests("float_map_bench", 4, env=case_of(tmp_path), python_path=[benches], seed=1), tmp_path)


def test_a_wrong_bit_is_caught(floats, tmp_path, benches):
    tests = CocotbTests("float_map_bench", 1, "pattern=0", env=case_of(tmp_path, 1), python_path=[benches], seed=1)
    with pytest.raises(SimulationFailedError, match="float map: beat 7"):
        run(floats, tests, tmp_path)
