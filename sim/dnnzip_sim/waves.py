"""``make waves``: the waveforms of a decoded layer in ``build/waves``, every field of the ports a signal of its own.

The file is an FST where the headers of lz4 and zlib are there to compile it, else a VCD, which is larger and needs
nothing.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnnzip.cli.endings import failing_in_one_line
from dnnzip.codec import CodecOptions, CodeTensor, encode_network
from dnnzip.codec.beat_order import codes_from_beats
from dnnzip.errors import CheckFailedError
from dnnzip.format import Verdict, WeightStream
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.verilog import ports
from dnnzip_sim import toolchain
from dnnzip_sim.beats import BeatLayout
from dnnzip_sim.build import build
from dnnzip_sim.run import CocotbTests, run
from dnnzip_sim.verilog import VERILATOR_OPTIONS, decompressor_verilog

TOP = "dnnzip_waves"
BENCH = "dnnzip_sim.benches.waves"
FOLDER = Path("build") / "waves"
SHAPE = (8, 75)
SEED = 1


def wrapper(listed: Mapping[str, Any]) -> str:
    """Return a SystemVerilog top around the decompressor in which every field of a payload is a signal of its own."""
    declared, connected, fields = [], [], []
    for port in listed["ports"]:
        width = f"[{port['width'] - 1}:0] " if port["width"] > 1 else ""
        declared.append(f"    {port['direction']} {width}{port['name']}")
        connected.append(f".{port['name']}({port['name']})")
        stream = port["name"].partition("__")[0]
        for field in port["fields"]:
            name = f"{stream}_{field['name'].replace('[', '_').rstrip(']')}"
            kind = "signed " if field["signed"] else ""
            high = field["offset"] + field["width"] - 1
            fields.append(f"    wire {kind}[{field['width'] - 1}:0] {name} = {port['name']}[{high}:{field['offset']}];")
    return (
        f"module {TOP} (\n" + ",\n".join(declared) + "\n);\n" + "\n".join(fields) + "\n"
        f"    {listed['module']} decompressor ({', '.join(connected)});\n"
        "    string file;\n"
        '    initial if ($value$plusargs("waves=%s", file)) begin\n'
        # cocotb's main program does this only where it writes the waves itself, which this Verilator does not tell it.
        '        $c("Verilated::traceEverOn(true);"); $dumpfile(file); $dumpvars;\n'
        "    end\nendmodule\n"
    )


def can_write_fst() -> bool:
    """Return True if the compiler finds the headers that an FST writer includes."""
    code = "#include <lz4.h>\n#include <zlib.h>\n"
    compiler = toolchain.system_tool("g++").path
    done = subprocess.run([compiler, "-E", "-x", "c++", "-"], input=code, capture_output=True, text=True, check=False)
    return done.returncode == 0


def make_waves(folder: Path, parameters: DecompressorParameters | None = None) -> Path:
    """Decode a layer and return the file of its waveforms, in ``folder``.

    Raises
    ------
    CheckFailedError
        If the decoded weights are not the layer's.
    """
    parameters = parameters or DecompressorParameters()
    codes = np.rint(np.random.default_rng(SEED).normal(0, 3, SHAPE)).astype(np.int16)
    options = CodecOptions(log2_states=parameters.log2_states, virtual_lanes=min(SHAPE[0], parameters.virtual_lanes))
    coded = encode_network([CodeTensor("layer", codes, (5, 5))], options)
    fst = can_write_fst()
    name = "layer.fst" if fst else "layer.vcd"
    listed = ports(parameters)
    harness = build(
        TOP,
        {f"{TOP}.sv": wrapper(listed), "dnnzip_decompressor.v": decompressor_verilog(parameters)},
        options=["--trace", *(["--trace-fst"] if fst else []), *VERILATOR_OPTIONS],
    )
    folder.mkdir(parents=True, exist_ok=True)
    waves = (folder / name).absolute()
    layout = BeatLayout(parameters.lanes, parameters.weight_bits)
    with tempfile.TemporaryDirectory(prefix="dnnzip-waves-") as place:
        for number, stream in enumerate((coded.tables, *coded.streams)):
            (Path(place) / f"{number}.bin").write_bytes(stream)
        plusargs = [f"+streams={place}", f"+last={layout.last_offset}", f"+waves={waves}"]
        run(harness, CocotbTests(BENCH, plusargs=plusargs, seed=SEED), Path(place) / "run")
        beats = [layout.unpack(int(line, 16)) for line in (Path(place) / "beats").read_text().split()]
    weights = np.array([weight for beat in beats for weight in beat.weights], np.int16)
    causes = [beat.cause for beat in beats if beat.cause is not None]
    if causes != [Verdict.OK] * 2 or not np.array_equal(
        codes_from_beats(weights, WeightStream.from_bytes(coded.streams[0]).header), codes
    ):
        raise CheckFailedError(f"the waveforms in {waves} are of a layer that was decoded wrongly")
    return waves


@failing_in_one_line()
def main(arguments: Sequence[str] | None = None) -> int:
    """Make the waveforms; return the status of the process."""
    parser = argparse.ArgumentParser(prog="make waves", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=FOLDER, help="folder of the file")
    options = parser.parse_args(arguments)
    waves = make_waves(options.output)
    print(f"{waves}: {waves.stat().st_size:,} bytes; open it in GTKWave or Surfer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
