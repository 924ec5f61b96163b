"""What the report's tests share: a made-up exploration, its page, and a browser to open it in."""

import json
import os
import shutil
import sys
from pathlib import Path

import html5lib
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # made_up

from made_up import write_exploration, write_tune

from dnnzip.report.evidence import read_evidence
from dnnzip.report.page import render

REQUIRED = "DNNZIP_REQUIRE_BROWSER"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="session")
def exploration(tmp_path_factory):
    """Return the folder of a finished exploration with a hostile layer name and the result of a tuning."""
    path = tmp_path_factory.mktemp("exploration") / "out"
    write_exploration(path)
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
    """Return the numbers that the page gives to its script."""
    return json.loads(parsed.find(".//script[@id='report-data']").text)


def programs():
    """Return Chromium and its driver; None for what is not there."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None), shutil.which(DRIVER)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Return a headless Chromium that logs its console."""
    chromium, chromedriver = programs()
    if not (chromium and chromedriver):
        missing = "Chromium and its driver are missing; on Debian: apt-get install chromium chromium-driver"
        if os.environ.get(REQUIRED):
            pytest.fail(f"{missing} (${REQUIRED} is set)")
        pytest.skip(missing)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver is named: nothing is looked for, and nothing downloaded.
    driver = webdriver.Chrome(options, Service(chromedriver, log_output=os.devnull))
    driver.set_page_load_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()
