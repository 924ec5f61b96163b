"""Fixtures of the tests that simulate."""

from pathlib import Path

import pytest

BENCHES = Path(__file__).parent


@pytest.fixture(scope="session")
def benches():
    """Return the folder of the modules that run inside the simulator."""
    return BENCHES
