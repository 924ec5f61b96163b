"""Every frozen stream and table set of format version 1 through the RTL under Verilator, in one passage."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from dnnzip.codec.beat_order import codes_from_beats
from dnnzip.format import Verdict, WeightHeader
from dnnzip_hw import DecompressorParameters
from dnnzip_sim.harness import Outcome, build_harness, stream_through

V1 = Path(__file__).parents[1] / "vectors" / "v1"
INDEX = json.loads((V1 / "index.json").read_text(encoding="utf-8"))
EVERYTHING = DecompressorParameters(log2_states=10, line=True)


def passage_of(names: list[str], folder: Path) -> list[Outcome]:
    """Send the named files through the decompressor that decodes all of the format, back to back."""
    return stream_through(
        build_harness(EVERYTHING), [(V1 / f"{name}.bin").read_bytes() for name in names], folder
    ).outcomes


@pytest.mark.slow
def test_every_frozen_stream_ends_as_it_must(tmp_path: Path) -> None:
    """Verdicts and codes are those of the index; a set that fails to load leaves none loaded for what follows."""
    names = list(INDEX["table_sets"])
    # A set of its own name before each stream: the damaged one of ``no_tables`` takes the last set away.
    for name, facts in INDEX["streams"].items():
        names += [facts["tables"] or "tables_bad_crc", name]
    outcomes = passage_of(names, tmp_path)
    decoded = 0
    for name, outcome in zip(names, outcomes, strict=True):
        facts = INDEX["table_sets"].get(name) or INDEX["streams"][name]
        assert outcome.verdict.label == facts["verdict"], name
        if "sha256" in facts and outcome.verdict == Verdict.OK:
            codes = codes_from_beats(outcome.weights, WeightHeader.unpack((V1 / f"{name}.bin").read_bytes()))
            assert hashlib.sha256(codes.astype("<i2").tobytes()).hexdigest() == facts["sha256"], name
            decoded += 1
    assert decoded == sum(facts["verdict"] == "ok" for facts in INDEX["streams"].values()) > 20


@pytest.mark.slow
def test_a_changed_vector_would_be_seen(tmp_path: Path) -> None:
    """The digest of other codes differs: what the comparison above rests on."""
    (outcome,) = passage_of(["raw_8"], tmp_path)
    facts = INDEX["streams"]["raw_8"]
    other = outcome.weights ^ np.int16(1)
    assert hashlib.sha256(other.astype("<i2").tobytes()).hexdigest() != facts["sha256"]
    with pytest.raises(ValueError, match="there must be"):
        codes_from_beats(outcome.weights[:-1], WeightHeader.unpack((V1 / "raw_8.bin").read_bytes()))
