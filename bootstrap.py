#!/usr/bin/env python3
"""Set up the virtual environment of this checkout: ``python3 bootstrap.py sim`` or ``python3 bootstrap.py dev``.

Checks first, before anything is downloaded, that the machine has what pip cannot bring: a Python that is new enough and
can make virtual environments, a C++ compiler, make and perl (the last three build the simulation). Then makes ``.venv``
beside this file and installs the checkout into it, editable, with the named extra.

``.venv/.installed-<extra>`` holds the digest of what was installed, so an unchanged ``pyproject.toml`` costs nothing.
Only the standard library is used, and nothing newer than Python 3.6, so that an old Python can say that it is too old.
"""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
OLDEST_PYTHON = (3, 11)

# What each extra brings along, itself included: `dev` holds everything that `sim` does.
COVERED = {"sim": ("sim",), "dev": ("dev", "sim"), "fpga": ("fpga",)}

HOW_TO_GET = {
    "g++": "on Debian or Ubuntu: apt-get install g++; on Fedora: dnf install gcc-c++",
    "make": "on Debian or Ubuntu: apt-get install make; on Fedora: dnf install make",
    "perl": "on Debian or Ubuntu: apt-get install perl; on Fedora: dnf install perl",
}


def first_missing():
    """Return one line on the first thing that is missing, or None when the machine has everything."""
    if sys.version_info < OLDEST_PYTHON:
        return "Python {}.{} or newer is needed, {} is {}.{}; install one and run: make PYTHON=python3.12".format(
            OLDEST_PYTHON[0], OLDEST_PYTHON[1], sys.executable, sys.version_info[0], sys.version_info[1]
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        return "{} cannot make virtual environments; on Debian or Ubuntu: apt-get install python3-venv".format(
            sys.executable
        )
    for program, how in HOW_TO_GET.items():
        if shutil.which(program) is None:
            return "{} is missing; {}".format(program, how)
    return None


def digest():
    """Return the digest of everything that decides what an installation contains."""
    parts = [(ROOT / "pyproject.toml").read_bytes(), str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def stamp_of(extra):
    """Return the file whose content is the digest of the last finished installation of ``extra``."""
    return VENV / (".installed-" + extra)


def is_installed(extra, wanted):
    """Return whether ``extra`` is in the environment as ``wanted``, itself or as a part of another one."""
    if not (VENV / "bin" / "python").exists():  # a link that leads nowhere since the system's Python was replaced
        return False
    holders = [name for name, covered in COVERED.items() if extra in covered]
    return any(stamp_of(name).is_file() and stamp_of(name).read_text() == wanted for name in holders)


def install(extra):
    """Make the virtual environment if it is not there and install the checkout with ``extra``."""
    python = VENV / "bin" / "python"
    if not python.exists() or subprocess.call([str(python), "-m", "pip", "--version"], stdout=subprocess.DEVNULL):
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", str(VENV)])
    what = "{}[{}]".format(ROOT, extra)
    subprocess.check_call(
        [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--editable", what]
    )


def main(arguments):
    """Check the machine, install what is missing; return the status of the process."""
    if len(arguments) != 1 or arguments[0] not in COVERED:
        print("usage: bootstrap.py " + "|".join(COVERED), file=sys.stderr)
        return 2
    extra = arguments[0]
    missing = first_missing()
    if missing is not None:
        print("dnnzip: " + missing, file=sys.stderr)
        return 2
    wanted = digest()
    if is_installed(extra, wanted):
        return 0
    print("dnnzip: installing into {} (once; a few hundred megabytes)".format(VENV), file=sys.stderr)
    try:
        install(extra)
    except subprocess.CalledProcessError as error:
        print("dnnzip: installation failed: {}".format(" ".join(error.cmd)), file=sys.stderr)
        return 2
    stamp_of(extra).write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
