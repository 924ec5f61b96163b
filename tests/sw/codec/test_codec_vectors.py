"""The frozen streams of each format version decode forever, with every decoder, to the same codes and verdicts."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from dnnzip.codec import fast, reference
from dnnzip.format import WEIGHT_HEADER, Codec, TableSet, Verdict, VerdictError, WeightHeader

V1 = Path(__file__).parents[2] / "vectors" / "v1"
INDEX = json.loads((V1 / "index.json").read_text(encoding="utf-8"))


def read(name):
    return (V1 / f"{name}.bin").read_bytes()


def tables_of(name):
    return TableSet.from_bytes(read(name)) if name else None


def digest(codes):
    return hashlib.sha256(np.asarray(codes, "<i2").tobytes()).hexdigest()


def test_the_index_and_the_files_name_each_other():
    names = {*INDEX["table_sets"], *INDEX["streams"]}
    assert names == {path.stem for path in V1.glob("*.bin")}
    assert INDEX["format_version"] == 1
    assert sum(path.stat().st_size for path in V1.iterdir()) < 100_000


@pytest.mark.parametrize("name", INDEX["table_sets"])
def test_table_sets(name):
    facts = INDEX["table_sets"][name]
    if facts["verdict"] != "ok":
        with pytest.raises(VerdictError) as caught:
            TableSet.from_bytes(read(name))
        assert caught.value.verdict.label == facts["verdict"]
        return
    tables = TableSet.from_bytes(read(name))
    assert (tables.table_set, tables.log2_states) == (facts["id"], facts["log2_states"])
    assert (len(tables.counts), list(tables.shifts)) == (facts["tables"], facts["shifts"])
    assert tables.to_bytes() == read(name)


@pytest.mark.parametrize("decoder", [reference, fast], ids=["reference", "fast"])
@pytest.mark.parametrize("name", INDEX["streams"])
def test_streams(name, decoder):
    facts = INDEX["streams"][name]
    decoded = decoder.decode(read(name), tables_of(facts["tables"]))
    assert decoded.verdict.label == facts["verdict"]
    if facts["verdict"] == "ok":
        codes = np.array(decoded.codes)
        assert codes.shape == (facts["channels"], facts["length"])
        assert digest(codes) == facts["sha256"]


def test_a_wrong_digest_would_be_seen():
    decoded = reference.decode(read("one_weight"), tables_of("tables_512"))
    assert decoded.codes == [[-3]]
    assert digest(decoded.codes) == INDEX["streams"]["one_weight"]["sha256"] != digest([[3]])


def test_the_vectors_cover_every_feature_and_every_verdict():
    facts = INDEX["streams"].values()
    sets = INDEX["table_sets"].values()
    assert {item["verdict"] for item in facts} == {verdict.label for verdict in Verdict}
    assert {item["verdict"] for item in sets} >= {"ok", "bad header", "truncated", "trailing", "bad code", "bad crc"}
    assert {item["log2_states"] for item in sets if item["verdict"] == "ok"} == {8, 9, 10}
    assert {1, 8} <= {item["tables"] for item in sets if item["verdict"] == "ok"}
    sound = [WeightHeader.unpack(read(name)) for name, item in INDEX["streams"].items() if item["verdict"] == "ok"]
    raw = [header for header in sound if header.codec == Codec.RAW]
    ans = [header for header in sound if header.codec == Codec.ANS]
    assert sum(header.codec == Codec.LINE for header in sound) >= 4
    assert {header.raw_width for header in raw} == {0, 1, 2}
    assert {header.lanes for header in ans} == {1, 2, 4, 8, 16}
    for flag in ("wide", "context", "class_per_channel", "columns"):
        assert {getattr(header, flag) for header in ans} == {0, 1}, flag
    assert any(header.channels % header.lanes for header in ans)
    assert any(header.length % (header.kernel_width * header.kernel_height) for header in ans)
    assert {header.kernel_width for header in ans} >= {1, 3, 5, 8}
    assert len(read("truncated_header")) < WEIGHT_HEADER.bytes
