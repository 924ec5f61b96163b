"""The system's Chromium without a window, driven by Selenium through the system's own driver."""

import contextlib
import os
import shutil

import pytest

REQUIRED = "DNNZIP_REQUIRE_BROWSER"
NAMES = ("chromium", "chromium-browser", "google-chrome")
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
LOAD_SECONDS = 60


def without_browser():
    """Skip, or fail where a browser is required."""
    missing = "Chromium and its driver are missing; on Debian: apt-get install chromium chromium-driver"
    if os.environ.get(REQUIRED):
        pytest.fail(f"{missing} (${REQUIRED} is set)")
    pytest.skip(missing)


@contextlib.contextmanager
def chromium(profile):
    """Open a browser that logs its console, with its profile in a folder of its own; closed at the end."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    driver_program = shutil.which(DRIVER)
    if not (program and driver_program):
        without_browser()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # The driver is named: nothing is looked for, and nothing downloaded.
    driver = webdriver.Chrome(options, Service(driver_program, log_output=os.devnull))
    driver.set_page_load_timeout(LOAD_SECONDS)
    try:
        yield driver
    finally:
        driver.quit()
