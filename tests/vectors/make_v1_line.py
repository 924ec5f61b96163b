"""Adds the frozen ``line`` streams to format version 1: run once, after ``make_v1.py``, and never again.

Version 1 had reserved its codec number; no file that was frozen before changes.

    .venv/bin/python tests/vectors/make_v1_line.py FOLDER
"""

import hashlib
import json
import random
import sys
from pathlib import Path

from make_v1 import SEED, flipped, rewritten

from dnnzip.codec import reference
from dnnzip.codec.line import reference as line_reference


def wrapped(number):
    """Return a number as a signed one of 16 bits."""
    return (number + (1 << 15)) % (1 << 16) - (1 << 15)


def lines(rng, count, lengths):
    """Return codes on random lines of these lengths, of every slope."""
    codes = []
    while len(codes) < count:
        intercept, slope = rng.randrange(1 << 16), rng.choice((0, 1, -2, 37, rng.randrange(1 << 16)))
        codes += [wrapped(intercept + number * slope) for number in range(rng.choice(lengths))]
    return codes[:count]


def streams():
    """Yield (name, stream): odd and even numbers of segments, lengths of 1 and 256, wrapping, and what is damaged."""
    rng = random.Random(SEED + 2)
    small = line_reference.encode([5, 6, 7, 8, 100, 90, 80, -1], 2)
    yield "line_one_weight", line_reference.encode([-32768], 1)
    yield "line_two_segments", line_reference.encode([1, 2, 3, 30, 20, 10], 3)
    yield "line_three_segments", small
    yield "line_over_channels", line_reference.encode([7 * number - 300 for number in range(90)], 9)
    yield "line_longest", line_reference.encode([5] * 256 + [wrapped(-1000 * n) for n in range(300)], 4)
    yield "line_mixed", line_reference.encode(lines(rng, 11 * 45, (1, 2, 3, 5, 9, 40)), 11)
    yield "line_noise", line_reference.encode([rng.randrange(-(1 << 15), 1 << 15) for _ in range(5 * 13)], 5)
    yield "line_bad_code", rewritten(small, length=3)
    yield "line_narrow", rewritten(small, wide=0)
    yield "line_lanes", rewritten(small, log2_lanes=1)
    yield "line_truncated_payload", rewritten(small, payload_words=7)
    yield "line_trailing_payload", rewritten(small, channels=1, length=7)
    yield "line_bad_crc", flipped(small, 20)


def main():
    """Write the files and add them to the index."""
    folder = Path(sys.argv[1])
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    for name, data in streams():
        decoded = reference.decode(data)
        facts = {"tables": "", "verdict": decoded.verdict.label}
        if decoded.codes:
            flat = b"".join((code & 0xFFFF).to_bytes(2, "little") for channel in decoded.codes for code in channel)
            facts |= {"channels": len(decoded.codes), "length": len(decoded.codes[0])}
            facts["sha256"] = hashlib.sha256(flat).hexdigest()
        with (folder / f"{name}.bin").open("xb") as file:
            file.write(data)
        index["streams"][name] = facts
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
