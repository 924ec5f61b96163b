"""Accelerators read from TOML files, of which three come with the library: see `PRESETS`."""

import tomllib
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from dnnzip.accelerator.configuration import Accelerator
from dnnzip.errors import InputError
from dnnzip.inputs.reading import LARGEST_TEXT, read_bounded

PRESETS = ("paper-mesh-8x8", "edge-lpddr4", "ulx3s")


def load_accelerator(name: str | Path) -> Accelerator:
    """Read a preset by its name, or a TOML file.

    Parameters
    ----------
    name
        One of ``PRESETS``, or a path that ends in ``.toml``.

    Raises
    ------
    InputError
        It is neither; or the file is missing, no TOML, or breaks a rule: the message names the key.
    """
    where = str(name)
    if where in PRESETS:
        text = (resources.files("dnnzip.accelerator") / "presets" / f"{where}.toml").read_text(encoding="utf-8")
        return parse_accelerator(text, where)
    path = Path(name)
    if path.suffix != ".toml":
        raise InputError(where, "is no preset", f"give {', '.join(PRESETS)} or a file that ends in .toml")
    try:
        text = read_bounded(path, LARGEST_TEXT, "give a TOML file or a preset", takes_pipe=True).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(where, "is not TOML: it is not UTF-8", "see docs/accelerator.md for the form") from None
    return parse_accelerator(text, where)


def parse_accelerator(text: str, where: str) -> Accelerator:
    """Read the text of a configuration.

    Parameters
    ----------
    text
        TOML.
    where
        The file, for messages.

    Raises
    ------
    InputError
        See ``load_accelerator``.
    """
    right = "see docs/accelerator.md for the form"
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(where, f"is not TOML: {error}", right) from None
    except ValueError:
        # Python reads no whole number of thousands of digits.
        raise InputError(where, "is not TOML: a number has too many digits", right) from None
    except RecursionError:
        raise InputError(where, "is not TOML: it is nested too deeply", right) from None
    try:
        return Accelerator.model_validate(values)
    except ValidationError as error:
        raise InputError(where, *_first_fault(error)) from None


def _first_fault(error: ValidationError) -> tuple[str, str | None]:
    """Return the fault of the first key with one, and the right form where that is known."""
    fault = error.errors(include_url=False)[0]
    # The array's model is a step of the place, and no key of the file.
    models = {"vector", "weight-stationary", "lanes"}
    key = ".".join(str(part) for part in fault["loc"] if part not in models)
    match fault["type"]:
        case "value_error" if not key:
            return fault["msg"].removeprefix("Value error, "), None
        case "missing":
            return f"{key} is missing", None
        case "extra_forbidden":
            return f"{key} is no known key", "see docs/accelerator.md for the keys"
        case "union_tag_not_found" | "union_tag_invalid":
            return f"{key}.model must be vector, weight-stationary or lanes", None
        case "value_error":
            return f"{key}: {fault['msg'].removeprefix('Value error, ')}", None
        case _:
            message = fault["msg"][:1].lower() + fault["msg"][1:]
            return f"{key} = {_shown(fault['input'])}: {message}"[:200], None


def _shown(value: object) -> str:
    """Return a value of the file as text; Python writes no whole number of thousands of digits."""
    try:
        return repr(value)
    except ValueError:
        return "a number"
