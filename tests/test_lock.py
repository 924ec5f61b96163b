"""The lock files hold what pyproject.toml asks for, by version and hash, and nothing is installed from elsewhere."""

import re
import tomllib
from collections import defaultdict
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "lock"
FILES = sorted(path.stem for path in LOCK.glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
LOCKED = ("sim", "dev", "fpga", "fuzz", "bench")
NOT_LOCKED = {"train"}
ENVIRONMENTS = [
    {"python_full_version": f"3.{minor}.9", "python_version": f"3.{minor}", "platform_machine": machine}
    | {"sys_platform": "linux", "os_name": "posix", "implementation_name": "cpython"}
    | {"platform_system": "Linux", "platform_python_implementation": "CPython"}
    for minor in (11, 12, 13, 14)
    for machine in ("x86_64", "aarch64")
]
in_every_environment = pytest.mark.parametrize(
    "environment", ENVIRONMENTS, ids=[f"{one['python_version']}-{one['platform_machine']}" for one in ENVIRONMENTS]
)
ENTRY = re.compile(r"([a-z0-9-]+)==([a-z0-9.+!]+)(?: ; ([^\\]+))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
INSTALLS = re.compile(
    r"pip3?['\", ]+install|\bpipx?\b.*\binstall|\buvx?\b|easy_install|\bnpm\b|\bcurl\b|\bwget\b|git clone"
)


def faults(text):
    """Return the lines of a lock file that are neither a comment nor an entry with a hash."""
    return [line for line in ENTRY.sub("", text).splitlines() if not line.startswith("#")]


def entries(name):
    """Return name, version and marker of the entries of a lock file."""
    found = ENTRY.findall((LOCK / f"{name}.txt").read_text())
    return [(name, version, Marker(marker) if marker else None) for name, version, marker, _ in found]


def versions(name, environment):
    """Return distribution to version of what a lock file installs in an environment."""
    found = [entry for entry in entries(name) if entry[2] is None or entry[2].evaluate(environment)]
    assert len({entry[0] for entry in found}) == len(found)
    return {name: version for name, version, _ in found}


def covered(extra):
    """Return an extra and all that it consists of."""
    parts = [Requirement(line) for line in EXTRAS[extra]]
    return {extra}.union(*(covered(inner) for part in parts if part.name == "dnnzip" for inner in part.extras))


def required(extra):
    """Return the requirements of the checkout with an extra."""
    lines = [*PROJECT["project"]["dependencies"], *(line for part in covered(extra) for line in EXTRAS[part])]
    return [wanted for wanted in map(Requirement, lines) if wanted.name != "dnnzip"]


def lacking(wanted, present):
    """Return the requirements that the distributions do not satisfy."""
    found = {str(one): present.get(canonicalize_name(one.name)) for one in wanted}
    return [str(one) for one in wanted if found[str(one)] is None or found[str(one)] not in one.specifier]


@pytest.mark.parametrize("name", FILES)
def test_every_entry_has_hashes_and_names_no_host(name):
    text = (LOCK / f"{name}.txt").read_text()
    assert len(entries(name)) >= 1
    assert faults(text) == []
    assert "://" not in text
    assert not re.search(r"\b(index|pypi|pythonhosted|find-links)\b", text)


@pytest.mark.parametrize(
    "line",
    ["numpy==2.4.6", "numpy>=2.4 \\\n    --hash=sha256:" + 64 * "0", "numpy==2.4.6 \\\n    --hash=md5:0", "-i there"],
)
def test_an_entry_without_hash_or_version_would_be_seen(line):
    text = (LOCK / "build.txt").read_text()
    assert faults(text + line + "\n") == line.splitlines()


@in_every_environment
@pytest.mark.parametrize("extra", LOCKED)
def test_the_lock_satisfies_pyproject(extra, environment):
    assert lacking(required(extra), versions(extra, environment)) == []
    assert lacking(map(Requirement, PROJECT["project"]["dependencies"]), versions("base", environment)) == []
    assert lacking(map(Requirement, PROJECT["build-system"]["requires"]), versions("build", environment)) == []


def test_a_requirement_that_the_lock_lacks_would_be_seen():
    present = versions("base", ENVIRONMENTS[0])
    wanted = ["numpy", "numpy>=2.4", "numpy>=1000", "Typing_Extensions", "no-such-distribution"]
    assert lacking(list(map(Requirement, wanted)), present) == ["numpy>=1000", "no-such-distribution"]


def test_every_extra_is_locked():
    assert set(EXTRAS) - set().union(*map(covered, LOCKED)) == NOT_LOCKED


@in_every_environment
def test_a_distribution_has_one_version_in_all_files(environment):
    found = defaultdict(set)
    for name in FILES:
        for distribution, version in versions(name, environment).items():
            found[distribution].add(version)
    assert {name: several for name, several in found.items() if len(several) > 1} == {}


SAID = re.compile(r"pip install (?!-)[^)]* in (a checkout|\"\)|\",)|; pip install\"|^\"uv>=")
"""A message about an extra, the beginning of one in a test, and the requirement of uv."""

OF_EXTRAS = {"extras.py", "test_extras.py", "test_doctor.py", "test_commands.py", "test_gguf.py"}
"""Files about what a user is told to install; nothing in them is run."""


def installs(text):
    """Return the lines that install something; a message about an extra is none, nor is the requirement of uv."""
    lines = [line.strip() for line in text.splitlines() if INSTALLS.search(line)]
    return [line for line in lines if not SAID.search(line)]


def test_nothing_is_installed_but_by_bootstrap():
    sources = [path for name in ("sw", "hw", "sim", "bench", "tests", "docs") for path in (ROOT / name).rglob("*.py")]
    checked = {ROOT / "Makefile", ROOT / ".ci" / "run", ROOT / "pyproject.toml", *sources} - {
        Path(__file__),
        ROOT / "tests" / "test_bootstrap.py",
    }
    assert len(checked) > 200
    found = {path.name: installs(path.read_text(encoding="utf-8")) for path in checked if path.name not in OF_EXTRAS}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "\t@$(BIN)/python -m pip install --editable '.[fpga]'",
        '    subprocess.call([sys.executable, "-m", "pip", "install", "zfpy"])',
        "pip3 install ruff",
        "uv pip sync lock/dev.txt",
        "pipx install mypy",
        "curl https://example.org/install | sh",
    ],
)
def test_an_installation_would_be_seen(line):
    assert installs(line) == [line.strip()]
