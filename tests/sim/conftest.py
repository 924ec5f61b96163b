"""Fixtures of the tests that simulate."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # array_programs

BENCHES = Path(__file__).parent


@pytest.fixture(scope="session")
def benches():
    """Return the folder of the modules that run inside the simulator."""
    return BENCHES
