"""The kit's decoder in C: the frozen vectors, and the verdict and the codes of the reference decoder on any bytes."""

import hashlib
import json
import random
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from c_decoder import (
    CHECKED,
    EVERYTHING,
    OPTIONS,
    StoppedError,
    ask,
    can_be_checked,
    compile_c,
    compiler,
    differences,
    wanted,
)

from dnnzip.digits import MODEL
from dnnzip.format import (
    IMAGE_ENTRY,
    IMAGE_HEADER,
    ImageKind,
    Limits,
    Verdict,
    WeightHeader,
    read_image_table,
)
from dnnzip_sim.stimulus.cases import damaged_cases, exhaustive_cases, line_cases, random_case, sound_cases
from dnnzip_sim.stimulus.damage import any_damage

TESTS = Path(__file__).resolve().parents[1]
V1 = TESTS / "vectors" / "v1"
INDEX = json.loads((V1 / "index.json").read_text(encoding="utf-8"))
NARROW = Limits(log2_lanes=2, log2_states=8, code_bits=8, line=False)
CHANGED = 4000
LONGEST_CHANGED = 2048  # bytes
MOST_CHANGED_WEIGHTS = 2000


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Return the decoder, with checks of addresses and undefined behaviour where the compiler has them."""
    folder = tmp_path_factory.mktemp("c")
    return compile_c(folder / "decoder", *(CHECKED if can_be_checked(folder) else ()))


@pytest.fixture(scope="module")
def few():
    """Return sequences of every kind, and what the reference decoder makes of them; it is slow, and asked once."""
    sequences = [*frozen_sequences(), *case_sequences(1), *changed_sequences("kit", 300)]
    return sequences, [wanted(*sequence) for sequence in sequences]


def read(name):
    return (V1 / f"{name}.bin").read_bytes()


def frozen_sequences():
    """Return every frozen stream after the table set that the index names, and every table set."""
    found = [(EVERYTHING, [read(name)]) for name in INDEX["table_sets"]]
    for name, facts in INDEX["streams"].items():
        found.append((EVERYTHING, [*([read(facts["tables"])] if facts["tables"] else []), read(name)]))
    return found


def case_sequences(seed):
    """Return sound and damaged cases for decoders of everything and of little."""
    cases = [*sound_cases(seed), *damaged_cases(seed), *line_cases(seed), *exhaustive_cases(seed)]
    found = [(limits, list(case.streams)) for case in cases for limits in (EVERYTHING, NARROW)]
    for number in range(seed, seed + 40):
        found += [(limits, list(random_case(number, limits).streams)) for limits in (EVERYTHING, NARROW)]
    return found


def changed_sequences(seed, count):
    """Return frozen streams and table sets with damage of every kind, and cut within a word."""
    rng = random.Random(seed)
    pool = [(*streams[:-1], streams[-1]) for _, streams in frozen_sequences() if len(streams[-1]) <= LONGEST_CHANGED]
    found = []
    while len(found) < count:
        *tables, stream = rng.choice(pool)
        other = rng.choice(rng.choice(pool))
        for _ in range(rng.choice((1, 1, 2, 3))):
            stream = any_damage(rng, stream, other, MOST_CHANGED_WEIGHTS)
        if tables and rng.random() < 0.05:
            tables = [any_damage(rng, tables[0], other)]
        limits = replace(EVERYTHING, log2_states=rng.choice((9, 10, 10)), line=rng.random() < 0.9)
        stream = stream[: len(stream) - (rng.random() < 0.1)]  # a stream need not be whole words
        found.append((limits, [*tables, stream]))
    return found


def test_frozen_vectors(program):
    names = [*INDEX["table_sets"], *INDEX["streams"]]
    answers = ask(program, frozen_sequences())
    for name, answer in zip(names, answers, strict=True):
        facts = INDEX["table_sets"].get(name) or INDEX["streams"][name]
        assert answer[-1].verdict.label == facts["verdict"], name
        if "sha256" in facts:
            codes = np.array(answer[-1].codes, "<i2")
            assert codes.size == facts["channels"] * facts["length"], name
            assert hashlib.sha256(codes.tobytes()).hexdigest() == facts["sha256"], name
    assert len(answers) == len(list(V1.glob("*.bin"))) >= 50


def test_streams_of_every_kind(program, few):
    assert differences(program, *few) == []
    assert sum(len(streams) for _, streams in few[0]) > 8000


def test_sound_and_damaged_streams_of_another_seed(program):
    assert differences(program, case_sequences(2)) == []


@pytest.mark.slow
def test_changed_streams(program):
    sequences = changed_sequences("kit", CHANGED)
    answers = [wanted(*sequence) for sequence in sequences]
    assert differences(program, sequences, answers) == []
    verdicts = Counter(answer[-1].verdict for answer in answers)
    print(verdicts)
    # Bad magic, version and so on are many; what takes a decoder to tell must be among them as well.
    assert set(verdicts) == set(Verdict)
    assert verdicts[Verdict.OK] > 20


def test_noise_within_words_is_refused(program):
    rng = random.Random("noise")
    sequences = [
        (EVERYTHING, [begin + rng.randbytes(rng.randrange(40))])
        for begin in (b"", b"\xda\x09", b"\xd7\x09")
        for _ in range(500)
    ]
    assert differences(program, sequences) == []


def test_more_weights_than_there_is_room_for(program, tmp_path):
    """A stream that declares 2^41 weights is not decoded, and takes no memory."""
    stream = WeightHeader(codec=2, channels=1 << 21, length=1 << 20, payload_words=0, wide=1).pack()
    (tmp_path / "large").write_bytes(stream)
    done = subprocess.run([str(program), tmp_path / "large"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, f"{tmp_path / 'large'}: no room, {1 << 41} weights\n")


def test_a_program_in_cpp_links_to_it(tmp_path):
    compile_c(tmp_path / "c")
    (tmp_path / "main.cpp").write_text(
        '#include "c/dnnzip.h"\n'
        "int main() { static dnnzip_tables tables; std::uint64_t weights = 1;\n"
        "return dnnzip_decode(&tables, nullptr, nullptr, 0, nullptr, 0, &weights) + static_cast<int>(weights); }\n"
    )
    objects = tmp_path / "dnnzip.o"
    subprocess.run([compiler(), *OPTIONS, "-c", tmp_path / "c" / "dnnzip.c", "-o", objects], check=True)
    program = tmp_path / "main"
    options = ("-include", "cstdint", "-Wall", "-Wextra", "-Werror")
    subprocess.run(["g++", *options, tmp_path / "main.cpp", objects, "-o", program], check=True)
    assert subprocess.run([program], check=False).returncode == Verdict.TRUNCATED


@pytest.fixture
def image(tmp_path, dnnzip):
    """Return the digits network as an image of the memory."""
    model = tmp_path / "digits.dnz.onnx"
    options = ("--max-error", "2%", "--groups", "2", "--quiet")
    assert dnnzip("compress", MODEL, "-o", model, *options)[0] == 0
    assert dnnzip("image", model, "-o", tmp_path, "--quiet")[0] == 0
    return tmp_path / "weights.bin"


def walked(program, path):
    """Return the status of the program on a file, and the lines that it prints, without the file's name."""
    done = subprocess.run([program, path], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, [line.removeprefix(f"{path}: ") for line in done.stdout.splitlines()]


def test_an_image_is_walked(program, image):
    entries = read_image_table(image.read_bytes())
    lines = ["table set: ok, 0 weights"]
    lines += [f"layer {e.layer} part {e.part}: ok, {e.channels * e.length} weights" for e in entries[1:]]
    assert len(lines) == 11
    assert walked(program, image) == (0, lines)
    data = bytearray(image.read_bytes())
    place = IMAGE_HEADER.bytes + 2 * IMAGE_ENTRY.bytes
    plain = bytearray(data)
    plain[place : place + IMAGE_ENTRY.bytes] = replace(entries[2], kind=ImageKind.PLAIN).pack()
    image.write_bytes(plain)
    assert walked(program, image) == (0, [*lines[:2], lines[2].replace("ok", "plain"), *lines[3:]])
    data[entries[3].offset + 20] ^= 4
    image.write_bytes(data)
    status, damaged = walked(program, image)
    assert status == 1
    assert [line for line in damaged if ": ok," not in line] == [line for line in damaged if line not in lines] != []
    for cut in (33, 100, len(data) // 2):
        image.write_bytes(data[:cut])
        assert walked(program, image) == (1, ["bad image"])
    data[32:36] = (len(data) - 10).to_bytes(4, "little")
    image.write_bytes(data)
    assert walked(program, image) == (1, ["stream 0 is not inside"])


@pytest.mark.parametrize(
    "planted",
    [
        ("states / 2 + states / 8 + 3", "states / 2 + states / 8 + 5"),
        ("if (b->unread >= threshold) return;", "if (b->unread > threshold) return;"),
        ("a < 0 || (a == 0 && b < 0)", "a < 0"),
        ("length > 2 ? length - 2 : 0", "length > 1 ? length - 1 : 0"),
        ("    *sign = 0;\n", ""),
        ("|| v < going_on", "|| v < going_on - 1"),
        ("tap >= h->kernel_width", "tap > h->kernel_width"),
        ("lanes[v].state != 0", "lanes[v].state > 1"),
        ("!= h.payload_words)", "> h.payload_words)"),
        ("DNNZIP_NARROW_BITS)) broken", "DNNZIP_NARROW_BITS + 1)) broken"),
        ("if (b->unread >= threshold) return;", "if (b->unread + 1 >= threshold) return;"),
        ("t->loaded = r->verdict == OK;", "t->loaded |= r->verdict == OK;"),
        ("if (length > left) broken", "if (length > left + 1) broken"),
        ("at + 1 < r->bytes ?", "at + 1 <= r->bytes ?"),
        ("h.log2_states > limits->log2_states) broken", "ans && h.log2_states > limits->log2_states) broken"),
        ("++width > widest", "++width > widest + 1"),
    ],
    ids=lambda planted: planted[0],
)
def test_a_planted_bug_is_seen(tmp_path, planted, few):
    program = compile_c(tmp_path / "planted", *(CHECKED if can_be_checked(tmp_path) else ()), planted=planted)
    try:
        is_seen = bool(differences(program, *few))
    except StoppedError as stopped:
        is_seen = "Sanitizer" in str(stopped) or "runtime error" in str(stopped)
    assert is_seen
