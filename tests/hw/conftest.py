"""Fixtures of the hardware tests: the decompressor as a function from words to beats and verdicts."""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # simulated, c_decoder


@pytest.fixture
def rng(request):
    """Return a random generator whose seed is the test's name; the seed is printed."""
    print(f"seed {request.node.name!r}")
    return random.Random(request.node.name)
