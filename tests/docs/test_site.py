"""The site builds without a warning, and nothing on it comes from another host."""

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Element to the attribute that names what a browser fetches for it."""


def build(root, target):
    """Build the site of a repository; return the process. With ``--quiet``, MkDocs would count no warnings."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", root / "mkdocs.yml", "-d", target]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT, target)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return target


@pytest.fixture
def repository(tmp_path):
    """Return a small repository with the same settings and one page, ``index.md``, to break."""
    root = tmp_path / "repository"
    shutil.copytree(ROOT / "docs", root / "docs", ignore=shutil.ignore_patterns("*.md", "__pycache__"))
    settings, _, _ = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")
    (root / "mkdocs.yml").write_text(f"{settings}\nnav: [index.md, contributing.md, changelog.md]\n", encoding="utf-8")
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        (root / name).write_text(f"# {name}\n", encoding="utf-8")
    return root


class Fetched(HTMLParser):
    """Collects what a browser fetches by itself for a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in LOADED and given.get(LOADED[tag]) and given.get("rel") != "canonical":
            self.addresses.append(given[LOADED[tag]])


def elsewhere(text):
    """Return the addresses on other hosts that a page's HTML, or a style sheet, makes a browser fetch."""
    addresses = Fetched(text).addresses + re.findall(r"url\(['\"]?([^'\")]+)", text)
    return [address for address in addresses if re.match(r"(https?:)?//", address)]


def test_every_page_is_there(site):
    names = {page.stem for page in (ROOT / "docs").glob("*.md")} | {"contributing", "changelog"}
    assert names <= {page.stem for page in site.glob("*.html")}
    assert "make test" in (site / "contributing.html").read_text(encoding="utf-8")
    assert not [*site.glob("*.py"), *site.glob("*.json")]


def test_links_of_the_repositorys_root_are_those_of_the_site(site):
    assert "](docs/architecture.md)" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in ("contributing", "changelog"):
        assert 'href="docs/' not in (site / f"{name}.html").read_text(encoding="utf-8")


def test_nothing_comes_from_another_host(site):
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 25
    found = {page.name: elsewhere(page.read_text(encoding="utf-8")) for page in pages}
    assert not {name: addresses for name, addresses in found.items() if addresses}
    # The theme's script would fetch Mermaid for elements of this class.
    assert not [page.name for page in pages if re.search(r'class="mermaid"', page.read_text(encoding="utf-8"))]


def test_equations_and_diagrams_are_drawn(site):
    accelerator = (site / "accelerator.html").read_text(encoding="utf-8")
    assert accelerator.count('display="block"') >= 7
    assert "arithmatex" not in accelerator
    assert "<svg" in (site / "pe_array.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[there](nowhere.md)", "nowhere.md"),
        ("[there](index.md#nowhere)", "nowhere"),
        ("$$\n\\fraction{1}{2}\n$$", "\\\\fraction"),
        ("$x_1_2$", "cannot be read"),
        ("```mermaid\nflowchart XY\n    a --> b\n```", "flowchart XY"),
    ],
)
def test_what_is_wrong_on_a_page_ends_the_build(repository, tmp_path, text, said):
    (repository / "docs" / "index.md").write_text(f"# Page\n\n{text}\n", encoding="utf-8")
    done = build(repository, tmp_path / "site")
    assert done.returncode != 0
    assert said in done.stdout + done.stderr


def test_a_page_that_the_navigation_does_not_name_ends_the_build(repository, tmp_path):
    (repository / "docs" / "index.md").write_text("# Page\n", encoding="utf-8")
    assert build(repository, tmp_path / "site").returncode == 0
    (repository / "docs" / "forgotten.md").write_text("# Forgotten\n", encoding="utf-8")
    done = build(repository, tmp_path / "site")
    assert done.returncode != 0
    assert "forgotten.md" in done.stdout + done.stderr


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//cdn.example/x.css">',
        '<img alt="" src="http://example/x.png">',
        "body { background: url('https://cdn.example/x.png') }",
    ],
)
def test_another_host_would_be_seen(text):
    assert len(elsewhere(text)) == 1
    assert not elsewhere('<script src="assets/x.js"></script><a href="https://doi.org/1">a link</a>')
