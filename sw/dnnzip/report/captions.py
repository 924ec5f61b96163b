"""Texts of numbers and names of settings in the report; ``assets/numbers.js`` writes numbers the same way."""

import math

from dnnzip.report.evidence import Kind, Machine, Setting

MINUS = "\N{MINUS SIGN}"
GAP = "\N{NO-BREAK SPACE}"
"""Between a number and its unit."""

NONE = "\N{EN DASH}"
PREFIXES = (
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "\N{MICRO SIGN}"),
    (1e-9, "n"),
    (1e-12, "p"),
)
PLACEMENTS = {"pe": "in the processing elements", "memory-interface": "at the memory interface"}
TIMINGS = {"serial": "one after the other (serial)", "overlap": "overlapped (overlap)"}
SCOPES = {"tensor": "per tensor", "channel": "per channel"}


def signed(text: str) -> str:
    """Return a number's text with its sign: a real minus, a plus, nothing for zero."""
    bare = text.replace("-", "")
    if not bare.strip("0."):
        return bare
    return (MINUS if text.startswith("-") else "+") + bare


def percent(share: float) -> str:
    """Return a share in percent with two digits."""
    return f"{100 * share:.2f}{GAP}%"


def points(share: float) -> str:
    """Return a change of accuracy in points with its sign."""
    return f"{signed(f'{100 * share:.2f}')}{GAP}points"


def saved(reduction: float | None) -> str:
    """Return a share that is saved, in percent; below 0 where there is more."""
    return NONE if reduction is None else f"saved {signed(f'{100 * reduction:.1f}').removeprefix('+')}{GAP}%"


def si(value: float | None, unit: str) -> str:
    """Return a quantity with three significant digits and an SI prefix."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return f"0{GAP}{unit}"
    place = next((at for at, (size, _) in enumerate(PREFIXES) if abs(value) >= size), len(PREFIXES) - 1)
    text = _three_digits(value / PREFIXES[place][0])
    if "e" in text and place:
        # 999.9 is written 1.00e+03: one prefix up.
        place -= 1
        text = _three_digits(value / PREFIXES[place][0])
    return f"{text}{GAP}{PREFIXES[place][1]}{unit}"


def _three_digits(value: float) -> str:
    return f"{value:#.3g}".removesuffix(".")


def setting_name(setting: Setting, codecs: int = 1) -> str:
    """Return the report's name of a setting.

    Parameters
    ----------
    setting
        The setting.
    codecs
        Number of codecs of the exploration; a single one is not named.
    """
    layers = layers_name(setting)
    return layers if setting.kind is Kind.TUNED else _joined([layers, setting.max_error], setting, codecs)


def layers_name(setting: Setting) -> str:
    """Return the report's name of the layers of a setting."""
    if setting.kind is Kind.ALL:
        return "all layers"
    return f"only {setting.layers}" if setting.kind is Kind.ONE else setting.layers


def series_name(setting: Setting, codecs: int = 1) -> str:
    """Return the name of a series: the settings that differ from one in the bound alone."""
    return _joined([layers_name(setting)], setting, codecs)


def _joined(first: list[str], setting: Setting, codecs: int) -> str:
    scope = SCOPES.get(setting.scope, setting.scope)
    return ", ".join([*first, scope, *([setting.codec] if codecs > 1 else [])])


def machine_name(machine: Machine) -> str:
    """Return the report's name of an accelerator with its placement and timing."""
    placement = PLACEMENTS.get(machine.placement, machine.placement)
    return f"{machine.accelerator}, decompressed {placement}, {machine.timing}"
