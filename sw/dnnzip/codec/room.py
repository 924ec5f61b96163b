"""Limit on the weights that threads have in memory together."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Room:
    """Lets threads work on tensors side by side as long as their weights are no more than a limit together."""

    def __init__(self, weights: int) -> None:
        self._free = self._all = weights
        self._changed = Condition()

    @contextmanager
    def take(self, weights: int) -> Iterator[None]:
        """Wait until there is room for a number of weights, and hold it."""
        weights = min(weights, self._all)
        with self._changed:
            self._changed.wait_for(lambda: weights <= self._free)
            self._free -= weights
        try:
            yield
        finally:
            with self._changed:
                self._free += weights
                self._changed.notify_all()
