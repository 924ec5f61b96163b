"""The kit's decoder in C: compiled, asked about sequences of streams, and what the reference decoder says of them."""

import shutil
import struct
import subprocess
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

import verdicts
from dnnzip.format import Limits, Verdict
from dnnzip_hw.kit.c_header import c_header
from dnnzip_sim.stimulus.outcomes import SoftwareRow

SOURCES = files("dnnzip_hw.kit") / "files" / "c"
OPTIONS = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion")
CHECKED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
FORGET = 0xFFFFFFFF


@dataclass(frozen=True)
class Answer:
    """Result of a decoder on a stream: its verdict, and its codes in storage order where that is ok."""

    verdict: Verdict
    codes: tuple[int, ...] = ()


class StoppedError(Exception):
    """The program did not run to its end; the message is what it said."""


def compiler():
    """Return the C compiler; it comes with g++, which dnnzip asks for."""
    found = shutil.which("gcc") or shutil.which("cc")
    assert found is not None, "a C compiler must be on PATH: on Debian or Ubuntu, apt-get install g++"
    return found


def compile_c(folder, *options, planted=None, name="dnnzip_decode"):
    """Compile the decoder and its command line in ``folder`` and return the program.

    Parameters
    ----------
    planted
        A piece of dnnzip.c that occurs once, and its replacement.
    """
    folder.mkdir(exist_ok=True)
    for source in SOURCES.iterdir():
        text = source.read_text()
        if planted is not None and source.name == "dnnzip.c":
            assert text.count(planted[0]) == 1
            text = text.replace(*planted)
        (folder / source.name).write_text(text)
    (folder / "dnnzip_format.h").write_text(c_header())
    return compiled(folder, *OPTIONS, *options, name=name)


def compiled(folder, *options, name="main"):
    """Compile the C files of a folder to one program, and return it."""
    command = [compiler(), *options, *sorted(folder.glob("*.c")), "-o", folder / name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / name


def printed_by(program, *arguments):
    """Return the lines that a program prints, which ends well."""
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout.splitlines()


def can_be_checked(folder):
    """Return True if the compiler has the checks of addresses and of undefined behaviour, and they run here."""
    (folder / "nothing.c").write_text("int main(void) { return 0; }\n")
    program = folder / "nothing"
    command = [compiler(), *CHECKED, str(folder / "nothing.c"), "-o", str(program)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return False
    return subprocess.run([str(program)], capture_output=True, check=False).returncode == 0


def ask(program, sequences):
    """Return the program's answers to sequences of streams, each played to a decoder without tables.

    Parameters
    ----------
    program
        What ``compile_c`` returned.
    sequences
        Pairs of limits and streams.

    Raises
    ------
    StoppedError
        If the program, or a check that was compiled into it, stops.
    """
    records = []
    for limits, streams in sequences:
        head = bytes([limits.log2_lanes, limits.log2_states, limits.code_bits, limits.line])
        records.append(head + struct.pack("<I", FORGET))
        records += [head + struct.pack("<I", len(stream)) + stream for stream in streams]
    done = subprocess.run([str(program), "-"], input=b"".join(records), capture_output=True, check=False)
    if done.returncode:
        raise StoppedError(done.stderr.decode(errors="replace"))
    answers, position = [], 0
    for _, streams in sequences:
        answers.append([])
        for _ in streams:
            verdict, count = struct.unpack_from("<BI", done.stdout, position)
            codes = np.frombuffer(done.stdout, "<i2", count, position + 5)
            position += 5 + 2 * count
            answers[-1].append(Answer(Verdict(verdict), tuple(codes.tolist())))
    assert position == len(done.stdout)
    verdicts.count("C", sum(map(len, answers)))
    return answers


def wanted(limits, streams):
    """Return the reference decoder's results for a sequence of streams, with no tables at first."""
    row = SoftwareRow(limits)
    answers = []
    for stream in streams:
        verdict, decoded = row.take(stream)
        codes = decoded.codes if decoded else ()
        answers.append(Answer(verdict, tuple(code for channel in codes for code in channel)))
    return answers


def differences(program, sequences, answers=None):
    """Return the sequences on which the program and the reference decoder differ, with both answers."""
    right = answers or [wanted(*sequence) for sequence in sequences]
    both = zip(ask(program, sequences), right, strict=True)
    return [{"index": index, "expected": wants, "got": got} for index, (got, wants) in enumerate(both) if got != wants]


EVERYTHING = Limits()
