"""Makes the sample of the integration kit: ``python tests/vectors/make_kit_sample.py``; a test compares.

A table set, weight streams of every codec, one of them damaged, and the codes of each: enough for a testbench that has
no encoder.
"""

import json
import random
from pathlib import Path

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.line import reference as line_reference
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import CLASSES, CONTEXTS, ESCAPE, TOKEN_ORDER, TableSet

PATH = Path(__file__).resolve().parents[2] / "hw" / "dnnzip_hw" / "kit" / "sample.json"
SEED = 20
TOKENS = 12


def table_set():
    """Return three tables of 256 states with different shifts and spreads, all with an escape."""
    counts = []
    for decay in (0.5, 0.7, 0.9):
        weights = [decay ** abs(token) if abs(token) <= TOKENS else 0.0 for token in TOKEN_ORDER]
        row = [round(230 * weight / sum(weights)) or int(weight > 0) for weight in weights]
        row[TOKEN_ORDER.index(ESCAPE)] = 2
        row[0] += 256 - sum(row)
        counts.append(tuple(row))
    rng = random.Random(SEED)
    class_map = tuple(tuple(rng.randrange(3) for _ in range(CONTEXTS)) for _ in range(CLASSES))
    return TableSet(8, class_map, (0, 1, 3), tuple(counts))


def codes(rng, channels, length, spread, wild, largest):
    """Return bell-shaped codes of which a share ``wild`` is anything up to ``largest``."""
    return [
        [
            rng.randrange(-largest, largest + 1) if rng.random() < wild else round(rng.gauss(0, spread))
            for _ in range(length)
        ]
        for _ in range(channels)
    ]


def streams():
    """Yield (name, stream, verdict, codes)."""
    rng = random.Random(SEED + 1)
    tables = table_set()
    yield "tables", tables.to_bytes(), "ok", []
    conv = codes(rng, 6, 30, 2.5, 0.05, 127)
    choices = AnsChoices(2, [rng.randrange(CLASSES) for _ in conv], 0, [0, 2, 1, 3], context=True)
    stream = ans_reference.encode(conv, (3, 3), tables, choices)
    yield "conv", stream, "ok", conv
    yield "conv_damaged", stream[:-1] + bytes([stream[-1] ^ 0x10]), "bad crc", conv
    dense = codes(rng, 5, 21, 4, 0.1, 32767)
    choices = AnsChoices(1, [5], context=True)
    yield "dense", ans_reference.encode(dense, (1, 1), tables, choices), "ok", dense
    bytewise = codes(rng, 3, 7, 40, 0, 0)
    yield "raw_8", raw_reference.encode([code for row in bytewise for code in row], 3, 8), "ok", bytewise
    words = codes(rng, 2, 5, 9000, 0, 0)
    yield "raw_16", raw_reference.encode([code for row in words for code in row], 2, 16), "ok", words
    line = [[100, 110, 120, 130, 0], [-7, -14, -21, -28, 500]]
    yield "line", line_reference.encode([code for row in line for code in row], 2), "ok", line
    single = codes(rng, 2, 9, 3, 0.1, 127)
    stream = ans_reference.encode(single, (1, 3), tables, AnsChoices(0, [3], context=False))
    yield "one_lane", stream, "ok", single


def text():
    """Return the file's text."""
    entries = []
    for name, stream, verdict, channels in streams():
        facts = {"name": name, "verdict": verdict, "stream": stream.hex(), "codes": channels}
        entries.append(",\n   ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in facts.items()))
    return "[\n" + ",\n".join(f"  {{{entry}}}" for entry in entries) + "\n]\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
