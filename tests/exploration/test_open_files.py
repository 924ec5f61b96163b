"""Workers within the limit of open files."""

import resource

import pytest

from dnnzip.errors import InputError
from dnnzip.exploration.open_files import workers_within_limit


@pytest.mark.parametrize(
    ("limit", "asked", "usual", "count"),
    [(64, None, 2, 2), (64, None, 16, 2), (64, 2, 16, 2), (1024, 8, 2, 8), (resource.RLIM_INFINITY, 99, 2, 99)],
)
def test_there_are_as_many_as_the_limit_allows(monkeypatch, limit, asked, usual, count):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert workers_within_limit(asked, usual) == count


@pytest.mark.parametrize(("limit", "asked", "fewer"), [(64, 8, ", or take fewer workers"), (40, None, ""), (20, 1, "")])
def test_a_limit_that_is_too_low_is_said(monkeypatch, limit, asked, fewer):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    said = rf"^workers {asked or 1}: takes about \d+ open files, and the limit is {limit}; raise it .*'{fewer}$"
    with pytest.raises(InputError, match=said):
        workers_within_limit(asked, 4)
