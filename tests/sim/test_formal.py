"""A few of the proofs of ``make formal``, each with its planted bugs; the page of them all."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module

from dnnzip.errors import MissingToolError
from dnnzip_hw import Decompressor
from dnnzip_sim.formal import __main__ as command
from dnnzip_sim.formal import prover
from dnnzip_sim.formal.catalogue import PROPERTIES
from dnnzip_sim.formal.checks import SMALLEST
from dnnzip_sim.formal.opened import Opened
from dnnzip_sim.formal.page import BOUNDARIES, page

DOCS = Path(__file__).resolve().parents[2] / "docs"
QUICK = [proved for proved in PROPERTIES if proved.quick]


@pytest.mark.slow
def test_quick_proofs_and_their_planted_bugs(tmp_path, capsys):
    assert command.main(["--quick", "-o", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "formal.json").read_text())["rows"]
    proofs = [row for row in rows if not row["bug"]]
    bugs = [row for row in rows if row["bug"]]
    assert len(proofs) == len(QUICK) >= 3
    assert len(bugs) == sum(len(proved.mutants) for proved in QUICK) >= 6
    assert {row["result"] for row in proofs} == {"proved"}
    assert {row["result"] for row in bugs} == {"refuted"}
    printed = capsys.readouterr().out
    assert "WRONG" not in printed
    assert all(proved.component in printed for proved in QUICK)


def test_a_proof_that_misses_a_planted_bug_fails(tmp_path, capsys, monkeypatch):
    """A bug that is none is not found, and that is an error."""
    harmless = [replace(QUICK[0], mutants={"none": lambda *_: None})]
    monkeypatch.setattr(command, "PROPERTIES", harmless)
    with pytest.raises(SystemExit) as stopped:
        command.main(["--quick", "-o", str(tmp_path)])
    assert stopped.value.code == 1
    printed = capsys.readouterr()
    assert "proved  WRONG" in printed.out
    assert "1 of 2 proofs came out wrong" in printed.err


def test_a_proof_that_goes_through_with_a_far_bug_fails(tmp_path, capsys, monkeypatch):
    harmless = [replace(QUICK[0], mutants={}, far={"none": lambda *_: None})]
    monkeypatch.setattr(command, "PROPERTIES", harmless)
    with pytest.raises(SystemExit) as stopped:
        command.main(["--quick", "-o", str(tmp_path)])
    assert stopped.value.code == 1
    rows = json.loads((tmp_path / "formal.json").read_text())["rows"]
    assert [(row["bug"], row["result"], row["expected"]) for row in rows] == [
        ("", "proved", "proved"),
        ("none", "proved", "not proved"),
    ]
    assert "1 of 2 proofs came out wrong" in capsys.readouterr().err


def test_far_bugs_are_those_of_inductions():
    assert all(proved.induction for proved in PROPERTIES if proved.far)


def test_boundaries_name_properties_that_there_are():
    named = set(re.findall(r"\*([^*]+)\*", " ".join(" ".join(row) for row in BOUNDARIES)))
    assert len(named) >= 10
    assert named <= {proved.name for proved in PROPERTIES}


def test_a_bug_is_planted_in_the_block_that_is_named():
    opened, other = Opened(Decompressor(SMALLEST)), Opened(Decompressor(SMALLEST))
    numbering = opened.probes.builder.probes.numbering
    bug = Module()
    bug.d.comb += numbering.entry_en.eq(1)
    sound = rtlil.convert(other, emit_src=False, ports=())
    opened.plant(numbering, bug)
    changed = rtlil.convert(opened, emit_src=False, ports=())
    blocks = [{part.splitlines()[0]: part for part in text.split("\nmodule ")} for text in (sound, changed)]
    differ = {name for name in blocks[0] if blocks[0][name] != blocks[1][name]}
    assert "\\top.builder.numbering" in differ
    assert differ <= {"\\top.builder", "\\top.builder.numbering"}  # the bug, and what is connected to it
    with pytest.raises(ValueError, match="not enough values"):
        opened.plant(other.probes.builder, bug)


def test_every_property_has_planted_bugs_and_words():
    for proved in PROPERTIES:
        assert proved.mutants, proved
        assert proved.sentence.endswith(".")


def test_page_is_that_of_the_properties():
    assert (DOCS / "formal.md").read_text() == page()


def test_missing_solver_is_named(monkeypatch):
    monkeypatch.setattr(prover.shutil, "which", lambda program, **_: None if program == "z3" else program)
    with pytest.raises(
        MissingToolError, match=r"z3-solver is not installed; pip install '\.\[formal\]' in a checkout, "
    ):
        prover.environment()
