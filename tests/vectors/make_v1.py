"""Make the frozen streams of format version 1 next to it: run once, and never again for this version.

Every decoder of dnnzip, now and later, decodes ``v1/*.bin`` to what ``v1/index.json`` says. The files are the norm, not
this script: it shows how they came about. A new version of the format gets a script and a folder of its own.

    .venv/bin/python tests/vectors/make_v1.py FOLDER
"""

import hashlib
import json
import random
import sys
from dataclasses import replace
from pathlib import Path

from dnnzip.codec import reference
from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.format import (
    ESCAPE,
    TABLE_HEADER,
    TOKEN_ORDER,
    WEIGHT_HEADER,
    Codec,
    TableSet,
    VerdictError,
)
from dnnzip_sim.stimulus.damage import resealed, rewritten

SEED = 20260

CODES = "sha256 over the codes as little-endian 16-bit numbers, channel by channel in storage order"


def counts_of(rng, log2_states, spread, tokens=31, escape=True):
    """Counts of a two-sided exponential look; each of the tokens up to ``tokens`` has one at least."""
    allowed = [token != ESCAPE and abs(token) <= tokens for token in TOKEN_ORDER]
    allowed[-1] = escape
    shares = [
        (0.01 if token == ESCAPE else 2.718 ** (-abs(token) / spread) * rng.uniform(0.8, 1.2)) if ok else 0
        for token, ok in zip(TOKEN_ORDER, allowed, strict=True)
    ]
    spare = (1 << log2_states) - sum(allowed)
    counts = [int(ok) + int(spare * share / sum(shares)) for ok, share in zip(allowed, shares, strict=True)]
    counts[0] += (1 << log2_states) - sum(counts)
    return tuple(counts)


def table_sets():
    """Name to table set: every number of states, one table and eight, all shifts, few tokens and all."""
    rng = random.Random(SEED)
    eight = tuple(counts_of(rng, 9, spread) for spread in (0.4, 0.8, 1.5, 3, 5, 8, 12, 20))
    ladder = tuple((max(k - 1, 0), k, min(k + 1, 7)) for k in range(8))
    three = tuple(counts_of(rng, 8, spread, tokens=5) for spread in (1, 2, 3))
    wide = tuple(counts_of(rng, 10, spread) for spread in (3, 9))
    alone = tuple((1 << 8) * int(token == 2) for token in TOKEN_ORDER)
    escapes = tuple((1 << 8) * int(token == ESCAPE) for token in TOKEN_ORDER)
    return {
        "tables_512": TableSet(9, ladder, (0, 0, 0, 0, 0, 1, 2, 7), eight),
        "tables_256": TableSet(8, tuple((k % 3, (k + 1) % 3, 2) for k in range(8)), (0, 0, 1), three),
        "tables_1024": TableSet(10, tuple((k // 4,) * 3 for k in range(8)), (0, 6), wide),
        "tables_single_token": TableSet(8, ((0, 0, 0),) * 8, (1,), (alone,)),
        "tables_escape_only": TableSet(8, ((0, 0, 0),) * 8, (0,), (escapes,), declared_id=0x1234),
    }


def weights(rng, channels, length, scale, wild=0.0):
    """Codes of a two-sided exponential look, in channels of different scales; a share ``wild`` takes all 16 bits."""

    def code(own):
        if rng.random() < wild:
            return rng.randrange(-(1 << 15), 1 << 15)
        return max(-32767, min(32767, round(rng.expovariate(1 / own) * rng.choice((-1, 1))))) if own else 0

    return [[code(own) for _ in range(length)] for own in (scale * rng.uniform(0.3, 3) for _ in range(channels))]


def sound_streams(sets):
    """Yield (name, table set's name, stream): every feature of the two codecs."""
    rng = random.Random(SEED + 1)

    def classes(channels):
        return [rng.randrange(8) for _ in range(channels)]

    def ans(name, tables, codes, kernel=(1, 1), log2_lanes=0, own=(0,), shift=0, offsets=(), context=True):
        choices = AnsChoices(log2_lanes, list(own), shift, list(offsets), context)
        return name, tables, ans_reference.encode(codes, kernel, sets[tables], choices)

    yield ans("one_weight", "tables_512", [[-3]])
    yield ans("lanes_1_dense", "tables_512", weights(rng, 10, 40, 3), own=(3,))
    yield ans("lanes_2_conv3x3", "tables_512", weights(rng, 7, 45, 4), (3, 3), 1, classes(7))
    columns = [rng.randrange(4) for _ in range(12)]
    yield ans("lanes_4_conv5x5_columns", "tables_512", weights(rng, 14, 300, 2), (5, 5), 2, classes(14), 0, columns)
    yield ans("lanes_8_pointwise", "tables_512", weights(rng, 21, 30, 1.5), (1, 1), 3, classes(21))
    yield ans("lanes_16_kernel8x8", "tables_512", weights(rng, 33, 70, 5), (8, 8), 4, classes(33))
    offsets = [rng.randrange(4) for _ in range(9)]
    yield ans("shared_columns", "tables_512", weights(rng, 6, 3 * 70, 2), (1, 3), 2, (1,), 3, offsets)
    yield ans("fewer_columns_than_inputs", "tables_512", weights(rng, 5, 30, 2), (1, 1), 0, classes(5), 1, (3, 0, 2))
    yield ans("no_context_kernel7x1", "tables_512", weights(rng, 9, 29, 6), (7, 1), 2, classes(9), context=False)
    yield ans("wide_low_bits_escapes", "tables_512", weights(rng, 8, 40, 300, 0.05), (1, 1), 2, classes(8))
    yield ans("few_tokens_escapes", "tables_256", weights(rng, 18, 25, 6, 0.1), (2, 3), 4, classes(18))
    yield ans("states_1024_low_bits", "tables_1024", weights(rng, 12, 36, 200), (3, 3), 2, (5,))
    yield ans(
        "single_token",
        "tables_single_token",
        [[4 + rng.randrange(2) for _ in range(9)] for _ in range(5)],
        (1, 1),
        2,
        classes(5),
        context=False,
    )
    yield ans("escape_only", "tables_escape_only", weights(rng, 5, 6, 0, 1.0), (1, 1), 2)
    yield ans("all_zero", "tables_256", [[0] * 50 for _ in range(3)], (1, 1), 1)
    yield ans("narrow_limits", "tables_512", [[-128, 127, 0, -1, 1, 127, -128]], own=(7,))
    for width in (4, 8, 16):
        items = [rng.randrange(-(1 << width - 1), 1 << width - 1) for _ in range(3 * 11)]
        yield f"raw_{width}", "", raw_reference.encode(items, 3, width)


def flipped(stream, byte):
    """Return the stream with the lowest bit of a byte flipped."""
    return stream[:byte] + bytes([stream[byte] ^ 1]) + stream[byte + 1 :]


def longer(stream):
    """Put a word of zeros behind the payload."""
    return stream[:-4] + b"\0\0" + stream[-4:]


def damaged_streams(sound):
    """Yield (name, table set's name, stream): every verdict but ok."""
    stream = sound["lanes_2_conv3x3"]
    words = WEIGHT_HEADER.unpack(stream)["payload_words"]
    tables = "tables_512"
    yield "bad_magic", tables, b"\x00" + stream[1:]
    yield "version_2", tables, rewritten(stream, version=2)
    yield "unsupported_line", tables, rewritten(stream, codec=Codec.LINE)
    yield "unsupported_lanes", tables, rewritten(stream, log2_lanes=5)
    yield "bad_header_check", tables, flipped(stream, 9)
    yield "bad_header_lanes", tables, rewritten(stream, log2_lanes=3)
    yield "wrong_tables", "tables_256", stream
    yield "no_tables", "", stream
    yield "truncated_header", tables, stream[:10]
    yield "truncated_payload", tables, stream[:60]
    yield "truncated_crc", tables, stream[:-2]
    yield "trailing_words", tables, stream + b"\0\0"
    yield "trailing_payload", tables, rewritten(longer(stream), payload_words=words + 1)
    yield "bad_header_raw_words", "", rewritten(sound["raw_8"], channels=2)
    yield "bad_code_width", tables, rewritten(sound["wide_low_bits_escapes"], wide=0)
    yield "bad_state", "tables_single_token", resealed(flipped(sound["single_token"], 16))
    yield "bad_crc", tables, flipped(stream, len(stream) - 1)
    yield "bad_crc_raw", "", flipped(sound["raw_16"], 20)


def damaged_sets(sets):
    """Yield (name, table set stream that is not sound)."""
    data = sets["tables_512"].to_bytes()
    yield "tables_bad_header", flipped(data, 5)
    yield "tables_truncated", data[:40]
    yield "tables_trailing", data + b"\0\0"
    yield "tables_bad_code", resealed(data[: TABLE_HEADER.bytes + 10] + bytes(len(data) - 18))
    yield "tables_bad_crc", flipped(data, len(data) - 2)
    yield "tables_renamed", replace(sets["tables_512"], declared_id=7).to_bytes()


def main():
    """Write the files and their index."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    sets = table_sets()
    index = {"format_version": 1, "codes": CODES, "table_sets": {}, "streams": {}}
    for name, data in [*((name, tables.to_bytes()) for name, tables in sets.items()), *damaged_sets(sets)]:
        try:
            tables = TableSet.from_bytes(data)
            facts = {"verdict": "ok", "id": tables.table_set, "log2_states": tables.log2_states}
            facts |= {"tables": len(tables.counts), "shifts": list(tables.shifts)}
        except VerdictError as error:
            facts = {"verdict": error.verdict.label}
        (folder / f"{name}.bin").write_bytes(data)
        index["table_sets"][name] = facts
    sound = list(sound_streams(sets))
    for name, tables, data in [*sound, *damaged_streams({name: data for name, _, data in sound})]:
        decoded = reference.decode(data, sets.get(tables))
        facts = {"tables": tables, "verdict": decoded.verdict.label}
        if decoded.codes:
            flat = b"".join((code & 0xFFFF).to_bytes(2, "little") for channel in decoded.codes for code in channel)
            facts |= {"channels": len(decoded.codes), "length": len(decoded.codes[0])}
            facts["sha256"] = hashlib.sha256(flat).hexdigest()
        (folder / f"{name}.bin").write_bytes(data)
        index["streams"][name] = facts
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
