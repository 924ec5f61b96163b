"""The targets beside each other in Verilator: the same ports, the same bits, cycle for cycle."""

from dataclasses import replace

import pytest
from amaranth.hdl import Assert, Cat, Module
from amaranth.lib import wiring

from dnnzip_hw import Decompressor, DecompressorParameters
from dnnzip_hw.decompressor import port_signature
from dnnzip_hw.memory import GENERIC, ICE40
from dnnzip_hw.verilog import convert
from dnnzip_sim import toolchain
from dnnzip_sim.build import build
from dnnzip_sim.cases import damaged_cases, sound_cases
from dnnzip_sim.run import SimulationFailedError, run
from dnnzip_sim.streams import PAUSE_PATTERNS
from dnnzip_sim.verilog import VERILATOR_OPTIONS

BENCH = "dnnzip_sim.benches.decompressor"
SEED = 20261124
CASES = len(sound_cases(SEED)) + len(damaged_cases(SEED)) + 4
NAME = "dnnzip_decompressor"


class Alike(wiring.Component):
    """A decompressor of the generic target on the ports, one for iCE40 beside it, and an assertion that they agree.

    Parameters
    ----------
    parameters
        Of both, but for their target.
    wrong
        Whether the second one gets the lowest bit of its words turned over.
    """

    def __init__(self, parameters, wrong=False):
        self.parameters, self.wrong = parameters, wrong
        super().__init__(port_signature(parameters))

    def elaborate(self, platform):  # noqa: ARG002 - Amaranth's signature
        m = Module()
        m.submodules.one = one = Decompressor(replace(self.parameters, target=GENERIC))
        m.submodules.other = other = Decompressor(replace(self.parameters, target=ICE40))
        wiring.connect(m, wiring.flipped(self.i), one.i)
        wiring.connect(m, one.o, wiring.flipped(self.o))
        m.d.comb += [
            other.i.valid.eq(self.i.valid),
            other.i.payload.eq(self.i.payload.as_value() ^ int(self.wrong)),
            other.o.ready.eq(self.o.ready),
            Assert(one.i.ready == other.i.ready, "the targets take words alike"),
            Assert(one.o.valid == other.o.valid, "the targets give beats alike"),
        ]
        mine, its = one.o.payload, other.o.payload
        with m.If(one.o.valid):
            m.d.comb += [
                Assert(mine.mask == its.mask, "the masks are the same"),
                Assert(Cat(mine.last, mine.cause) == Cat(its.last, its.cause), "the ends are the same"),
            ]
            # Without a channel or an item a lane gives anything.
            for lane in range(self.parameters.lanes):
                m.d.comb += Assert(
                    ~mine.mask[lane] | (mine.weights[lane] == its.weights[lane]), f"lane {lane} is alike"
                )
        return m


def built(monkeypatch, parameters, wrong=False):
    """Return the simulation of both targets."""
    monkeypatch.setenv("YOSYS", str(toolchain.yosys().path))
    return build(NAME, {f"{NAME}.v": convert(Alike(parameters, wrong), NAME)}, options=VERILATOR_OPTIONS)


@pytest.mark.parametrize(
    "pattern", [0, pytest.param(1, marks=pytest.mark.ports), pytest.param(2, marks=pytest.mark.ports), 3]
)
def test_ice40_is_generic_cycle_for_cycle(monkeypatch, tmp_path, pattern):
    assert len(PAUSE_PATTERNS) == 4
    run(
        built(monkeypatch, DecompressorParameters()), BENCH, expected_tests=CASES, folder=tmp_path, seed=SEED,
        test_filter=rf"decodes_as_the_reference.*pattern={pattern}\b",
    )  # fmt: skip


def test_a_target_that_differs_is_seen(monkeypatch, tmp_path):
    with pytest.raises(SimulationFailedError):
        run(
            built(monkeypatch, DecompressorParameters(), wrong=True), BENCH, expected_tests=1, folder=tmp_path,
            seed=SEED, test_filter=r"decodes_as_the_reference.*name=0/pattern=0\b",
        )  # fmt: skip
