"""JSON that all readers understand alike: no key twice, and no number that some readers change or refuse."""

import json
import math
from typing import Any, NoReturn

from dnnzip.errors import InputError, field_name

#: Largest magnitude of a whole number.
LARGEST = (1 << 64) - 1


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text.

    Raises
    ------
    ValueError
        It is no JSON in UTF-8, repeats a key, is nested too deeply, or has a number that is not finite or too large.
    """
    try:
        return json.loads(
            text.decode("utf-8") if isinstance(text, bytes) else text,
            object_pairs_hook=_object,
            parse_constant=_refuse,
            parse_float=_finite,
            parse_int=_whole,
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def check_seed(seed: int) -> None:
    """Refuse a seed that a JSON file could not hold.

    Raises
    ------
    InputError
        It is above `LARGEST`.
    """
    if seed > LARGEST:
        raise InputError(field_name("seed"), "has more than 64 bits", f"give at most {LARGEST}")


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:80]} is no number")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _whole(text: str) -> int:
    value = int(text) if len(text) <= 21 else LARGEST + 1
    return value if abs(value) <= LARGEST else _refuse(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"key {key[:80]!r} is there twice")
        content[key] = value
    return content
