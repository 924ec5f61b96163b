"""Checks that a number is in its range; the message begins with the number's name."""

from typing import TypeGuard


def check_range(name: str, value: object, least: int, most: int) -> None:
    """Raise a ``ValueError`` unless a value is a whole number from ``least`` to ``most``."""
    if not _is_between(value, least, most):
        raise ValueError(f"{name} must be {least} to {most}, not {value!r}")


def check_power(name: str, value: object, least: int, most: int) -> None:
    """Raise a ``ValueError`` unless a value is a power of two from ``least`` to ``most``."""
    if not _is_between(value, least, most) or value & value - 1:
        raise ValueError(f"{name} must be a power of two from {least} to {most}, not {value!r}")


def _is_between(value: object, least: int, most: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
