#!/usr/bin/env python3
"""Set up the virtual environment of this checkout: ``python3 bootstrap.py sim`` or ``python3 bootstrap.py dev``.

Checks first, before anything is downloaded, that the machine has what pip cannot bring: a Python that is new enough and
can make virtual environments, a C++ compiler, make and perl (the last three build the simulation). Then makes ``.venv``
next to this file and installs into it what ``lock/<extra>.txt`` lists, each file by its hash, and the checkout itself,
editable. Nothing else is downloaded, by pip's builds neither.

``python3 bootstrap.py latest`` installs the extra ``dev`` in the newest versions that ``pyproject.toml`` allows; the
environment stays with the newest, whatever the lock says, until its folder is removed.

``.venv/.installed-<extra>`` holds the digest of what was installed, so unchanged lock files cost nothing.
Only the standard library is used, and nothing newer than Python 3.6, so that an old Python can say that it is too old.
"""

import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
# The other compressors get an environment of their own: one of them contradicts its declared dependencies.
BENCH_VENV = ROOT / "build" / "bench" / "venv"
LOCK = ROOT / "lock"
OLDEST_PYTHON = (3, 11)

LATEST = "latest"

# What each extra brings along, itself included: `dev` holds everything that `sim` does.
COVERED = {"sim": ("sim",), "dev": ("dev", "sim"), "fpga": ("fpga",), "fuzz": ("fuzz",), "bench": ("bench",)}
# Extras whose distributions do not install everywhere: each is tried by itself, and what fails is left out.
OPTIONAL = ("fuzz", "bench")

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
    files = [ROOT / "pyproject.toml", *sorted(LOCK.glob("*.txt"))]
    parts = [path.read_bytes() for path in files] + [str(ROOT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def venv_of(extra):
    """Return the folder of the virtual environment that ``extra`` goes into."""
    return BENCH_VENV if extra == "bench" else VENV


def stamp_of(extra):
    """Return the file whose content is the digest of the last finished installation of ``extra``."""
    return venv_of(extra) / (".installed-" + extra)


def mark_of_newest(extra):
    """Return the file that is there when the environment of ``extra`` has the newest versions, not the locked ones."""
    return venv_of(extra) / ".newest"


def is_installed(extra, wanted):
    """Return True if ``extra`` is in the environment as ``wanted``, itself or as a part of another one."""
    # It may be a link that leads nowhere since the system's Python was replaced.
    if not (venv_of(extra) / "bin" / "python").exists():
        return False
    holders = [name for name, covered in COVERED.items() if extra in covered]
    return any(stamp_of(name).is_file() and stamp_of(name).read_text() == wanted for name in holders)


def pip_install(extra, *arguments, text=""):
    """Have pip install into the environment of ``extra``; ``text`` is its standard input."""
    python = str(venv_of(extra) / "bin" / "python")
    command = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run(command + list(arguments), input=text.encode(), check=True)


def make_venv(extra):
    """Make the virtual environment of ``extra`` if it is not there."""
    python = venv_of(extra) / "bin" / "python"
    if not python.exists() or subprocess.call([str(python), "-m", "pip", "--version"], stdout=subprocess.DEVNULL):
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", str(venv_of(extra))])


def locked(name):
    """Return the arguments that make pip take the files of a lock file and no others."""
    return ["--require-hashes", "--no-build-isolation", "-r", str(LOCK / (name + ".txt"))]


def entries(name):
    """Return the entries of a lock file: a distribution and the hashes of its files, each as lines of text."""
    text = (LOCK / (name + ".txt")).read_text()
    return [entry + "\n" for entry in re.split(r"\n(?=\w)", text.strip()) if not entry.startswith("#")]


def optional_entries(extra):
    """Return the entries of ``extra`` that the checkout itself does without."""
    found = [entry for entry in entries(extra) if entry not in entries("base")]
    return found + entries("nncodec") if extra == "bench" else found


def install_optional(extra, entry):
    """Install the distribution of an entry; say so and go on without it if that fails."""
    try:
        pip_install(extra, "--no-deps", "--require-hashes", "--no-build-isolation", "-r", "/dev/stdin", text=entry)
    except subprocess.CalledProcessError:
        print("dnnzip: {} does not install here and is left out".format(entry.split()[0]), file=sys.stderr)


def install_required(extra):
    """Install the checkout and what it cannot do without for ``extra``, newest or locked."""
    name = "base" if extra in OPTIONAL else extra
    if mark_of_newest(extra).exists():
        what = str(ROOT) if name == "base" else "{}[{}]".format(ROOT, name)
        pip_install(extra, "--upgrade", "--upgrade-strategy", "eager", "--editable", what)
        return
    # What builds distributions that come as sources comes first: pip must not fetch it by itself.
    pip_install(extra, *locked("build"))
    pip_install(extra, *locked(name))
    pip_install(extra, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def install(extra):
    """Make the virtual environment if it is not there and install the checkout with ``extra``."""
    make_venv(extra)
    install_required(extra)
    if extra in OPTIONAL:
        for entry in optional_entries(extra):
            install_optional(extra, entry)


def choose_newest(extra):
    """Have the environment of ``extra`` get the newest versions from now on; nothing counts as installed in it."""
    make_venv(extra)
    mark_of_newest(extra).touch()
    for stamp in venv_of(extra).glob(".installed-*"):
        stamp.unlink()


def main(arguments):
    """Check the machine, install what is missing; return the status of the process."""
    if len(arguments) != 1 or arguments[0] not in (*COVERED, LATEST):
        print("usage: bootstrap.py " + "|".join((*COVERED, LATEST)), file=sys.stderr)
        return 2
    wants_newest = arguments[0] == LATEST
    extra = "dev" if wants_newest else arguments[0]
    missing = first_missing()
    if missing is not None:
        print("dnnzip: " + missing, file=sys.stderr)
        return 2
    wanted = digest()
    if is_installed(extra, wanted) and not wants_newest:
        return 0
    print("dnnzip: installing into {} (once; a few hundred megabytes)".format(venv_of(extra)), file=sys.stderr)
    try:
        if wants_newest:
            choose_newest(extra)
        install(extra)
    except subprocess.CalledProcessError as error:
        print("dnnzip: installation failed: {}".format(" ".join(error.cmd)), file=sys.stderr)
        return 2
    stamp_of(extra).write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
