"""``--max-drop``: points with their unit, by one rule in all commands; and whether a tuning met them."""

import re

import pytest

from dnnzip import digits
from dnnzip.errors import InputError
from dnnzip.quantize.bound import Bound
from dnnzip.tuning.drop import parse_drop
from dnnzip.tuning.outcome import Confirmation


@pytest.mark.parametrize(
    ("text", "share"), [("1%", 0.01), (" 0.5 % ", 0.005), ("0%", 0), ("100%", 1), ("1e-1%", 0.001)]
)
def test_points_with_their_unit(text, share):
    assert parse_drop(text) == pytest.approx(share)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.01", "'0.01': has no unit; give points of accuracy: 0.01%, or 1% if it is a share"),
        (".5", "'.5': has no unit; give points of accuracy: 0.5%, or 50% if it is a share"),
        ("1", "'1': has no unit; give points of accuracy: 1%"),
        ("-1", "'-1': has no unit; give points of accuracy as a percentage from 0% to 100%, such as 1%"),
        ("500", "'500': has no unit; give points of accuracy as a percentage from 0% to 100%, such as 1%"),
        ("nan", "'nan': has no unit; give points of accuracy as a percentage from 0% to 100%, such as 1%"),
        ("a lot", "'a lot': is no percentage; give points of accuracy as a percentage from 0% to 100%, such as 1%"),
        ("1%%", "'1%%': is no percentage; give points of accuracy as a percentage from 0% to 100%, such as 1%"),
        ("101%", "'101%': is out of range; give points of accuracy as a percentage from 0% to 100%, such as 1%"),
        ("nan%", "'nan%': is out of range; give points of accuracy as a percentage from 0% to 100%, such as 1%"),
    ],
)
def test_everything_else_is_refused(text, message):
    with pytest.raises(InputError) as caught:
        parse_drop(text)
    assert str(caught.value) == f"max_drop {message}"


def test_the_rule_is_that_of_all_commands(dnnzip, tmp_path):
    message = "dnnzip: --max-drop '0.01': has no unit; give points of accuracy: 0.01%, or 1% if it is a share\n"
    tune = ("tune", digits.MODEL, "--data", digits.TEST_SET, "-o", tmp_path / "t.onnx")
    for command in (tune, ("report", tmp_path)):
        assert dnnzip(*command, "--max-drop", "0.01") == (2, "", message)


@pytest.mark.parametrize(
    ("low", "high", "judgement"),
    [
        (-0.01, 0.005, "target of at most 1 points: met"),
        (-0.01, 0.01, "target of at most 1 points: met"),
        (0.0, 0.011, "target of at most 1 points: not certain, the interval goes beyond it; more samples would tell"),
        (0.02, 0.03, "target of at most 1 points: missed, the whole interval is above it"),
    ],
)
def test_a_tuning_says_whether_its_target_is_met(low, high, judgement):
    assert Confirmation(100, 0.9, 0.9, low, high, 1).judgement(0.01) == judgement


def test_a_bare_error_that_looks_like_a_percentage_gets_a_hint(dnnzip, tmp_path):
    assert Bound.parse("2").share_hint == ", and 2% is a share of it"
    assert [Bound.parse(text).share_hint for text in ("0.5", "2%", "2lsb", "200")] == [""] * 4
    compress = ("compress", digits.MODEL, "-o", tmp_path / "c.onnx")
    status, _, err = dnnzip(*compress, "--max-error", "2")
    assert status == 2
    assert re.search(r"is over the range of every .*; the largest range is 1\.\d+, and 2% is a share of it\n$", err)
    status, out, _ = dnnzip(*compress, "--max-error", "1")
    assert status == 0
    assert "note: --max-error '1' is an absolute error, not a share of the range, and 1% is a share of it" in out
    assert "note" not in dnnzip(*compress, "--max-error", "1%")[1]
