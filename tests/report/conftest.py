"""Fixtures of the report's tests: a made-up exploration, its page, and a browser to open it in."""

import json
import sys
from pathlib import Path

import html5lib
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # chromium, made_up

from chromium import chromium
from made_up import write_exploration, write_tune

from dnnzip.report.evidence import read_evidence
from dnnzip.report.page import render


@pytest.fixture(scope="session")
def exploration(tmp_path_factory):
    """Return the folder of a finished exploration with a hostile layer name and the result of a tuning."""
    path = tmp_path_factory.mktemp("exploration") / "out"
    write_exploration(path, tuned=True)
    write_tune(path)
    return path


@pytest.fixture(scope="session")
def evidence(exploration):
    """Return the exploration as the report reads it."""
    return read_evidence(exploration)


@pytest.fixture(scope="session")
def page(evidence):
    """Return the exploration's page."""
    return render(evidence, 0.01)


@pytest.fixture(scope="session")
def parsed(page):
    """Return the page's element tree; a page that breaks a rule of HTML fails here."""
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


@pytest.fixture(scope="session")
def numbers(parsed):
    """Return the numbers that the page passes to its script."""
    return json.loads(parsed.find(".//script[@id='report-data']").text)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Return a headless Chromium that logs its console."""
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver
