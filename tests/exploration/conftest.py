"""Fixtures of the exploration's tests: the package's own digits network, and few of its samples."""

import pytest

from dnnzip import digits
from dnnzip.exploration.request import Options, plan_exploration

SAMPLES = 60


@pytest.fixture
def options():
    """Return the request of an exploration of the digits network; keywords change it."""

    def ask(**changed):
        asked = {
            "model": str(digits.MODEL),
            "data": str(digits.TEST_SET),
            "max_error": ("5%",),
            "timing": ("serial",),
            "samples": SAMPLES,
        }
        return Options(**(asked | changed))

    return ask


@pytest.fixture
def planned(options):
    """Return a planned exploration of the digits network; keywords change its options."""
    return lambda **changed: plan_exploration(options(**changed))
