"""The parts of a page that the bench fills, and the lines that say what they were made with."""

import numpy as np
import pytest

from dnnzip.errors import InputError
from dnnzip.usecases.provenance import provenance
from dnnzip_bench.pages import fill, folded, made_with, written_by


def test_parts_of_a_page_are_filled_and_the_rest_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- paper: x -->\nold\n<!-- /paper -->\nb\n<!-- paper: y --><!-- /paper -->\n")
    fill(page, "paper", {"x": "new\n", "y": "other"})
    assert page.read_text() == (
        "a\n<!-- paper: x -->\n\nnew\n\n<!-- /paper -->\nb\n<!-- paper: y -->\n\nother\n\n<!-- /paper -->\n"
    )
    with pytest.raises(InputError, match="has no part between '<!-- paper: z -->' and '<!-- /paper -->'"):
        fill(page, "paper", {"z": ""})
    with pytest.raises(InputError, match=r"none.md: cannot be read \(No such file or directory\); give docs/none.md"):
        fill(tmp_path / "none.md", "paper", {})
    # Filled again, it is the same.
    before = page.read_text()
    fill(page, "paper", {"x": "new"})
    assert page.read_text() == before


def test_a_page_says_what_it_was_made_with():
    made = made_with(provenance(("numpy", "no-such-distribution")))
    assert made.startswith("Made with dnnzip ")
    assert f", numpy {np.__version__}, no-such-distribution not installed on " in made
    assert max(map(len, written_by("make bench", made).splitlines())) <= 120
    assert folded("a bb ccc", 4) == "a bb\nccc"
