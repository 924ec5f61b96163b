"""JSON as everybody reads it: a key that is there twice is refused, where one reader takes the first of its values."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text.

    Raises
    ------
    ValueError
        It is no JSON in UTF-8, repeats a key, or is nested too deeply.
    """
    try:
        return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"key {key[:80]!r} is there twice")
        content[key] = value
    return content
