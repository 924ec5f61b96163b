"""The area of the four-lane group on ECP5, by Yosys alone, against what is checked in.

After a change that is worth its area: ``python -m dnnzip_bench.area bench/tests/area_baseline.json``.
"""

import json
from pathlib import Path

import pytest

from dnnzip_bench.area import group_counts, too_large
from dnnzip_bench.hardware.designs import GROUP_8

BASELINE = json.loads((Path(__file__).parent / "area_baseline.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_the_group_has_not_grown(tmp_path):
    counts = group_counts(GROUP_8, tmp_path)
    assert counts["LUT4"] > 1000
    assert too_large(counts, BASELINE) == []
    # The check itself: the same counts against a smaller group.
    smaller = {name: most * 10 // 12 for name, most in BASELINE.items()}
    assert any(line.startswith("LUT4: ") for line in too_large(counts, smaller))


def test_a_tenth_more_passes_and_more_than_that_does_not():
    assert too_large({"LUT4": 1100}, {"LUT4": 1000}) == []
    assert too_large({"LUT4": 1101}, {"LUT4": 1000}) == ["LUT4: 1101, more than 10 % over 1000"]
    assert too_large({"LUT4": 900}, {"LUT4": 1000, "DP16KD": 22}) == []
