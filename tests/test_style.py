"""The style page's rules that no linter holds: complexity by function, lines by file, words. Exceptions only go."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXCEPTIONS = Path(__file__).parent / "style"
FOLDERS = ("sw", "hw", "sim", "bench", "tests", "docs")
COMPLEXITY = ("C901", "PLR0912", "PLR0913", "PLR0915")
MOST_LINES = 400
MOST_LONG_FILES = 10
FIRST_WORDS = ("what", "which", "how", "whether")
PHRASES = ("so many", "plain over compressed", "in its place", "what is there")


def exceptions(name):
    """Return the lines of a list of exceptions, which are sorted and there once."""
    lines = (EXCEPTIONS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sorted(set(lines))
    return lines


@cache
def sources():
    """Return the paths of all Python files, by their path from the top."""
    return {str(path.relative_to(ROOT)): path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))}


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def function_at(path, line):
    """Return the dotted name of the function that begins in a line."""

    def search(node, name):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                own = f"{name}.{child.name}" if name else child.name
                if child.lineno == line and not isinstance(child, ast.ClassDef):
                    return own
                if found := search(child, own):
                    return found
            elif found := search(child, name):
                return found
        return None

    found = search(tree(path), "")
    assert found is not None, f"no function at {path}:{line}"
    return found


def complex_functions(folders):
    """Return the functions that break a rule of complexity, as ``path::function code``."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--exit-zero", "--output-format", "json"]
    done = subprocess.run(
        [*command, "--select", ",".join(COMPLEXITY), *map(str, folders)], capture_output=True, text=True, check=True
    )
    found = set()
    for fault in json.loads(done.stdout):
        path = Path(fault["filename"])
        name = function_at(path, fault["location"]["row"])
        found.add(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name}::{name} {fault['code']}")
    return found


def test_no_function_is_complex_but_those_listed():
    found = complex_functions([ROOT / folder for folder in FOLDERS if (ROOT / folder).is_dir()])
    assert sorted(found - set(exceptions("complexity"))) == [], "simplify it: the list only shrinks"
    assert sorted(set(exceptions("complexity")) - found) == [], "it is simple now: remove it from the list"


def test_a_complex_function_would_be_seen(tmp_path):
    path = tmp_path / "module.py"
    path.write_text("class A:\n    def f(self, a, b, c, d, e, g):\n        pass\n")
    assert complex_functions([path]) == {"module.py::A.f PLR0913"}


def test_no_file_is_long_but_those_listed():
    long = {name for name, path in sources().items() if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES}
    assert sorted(long) == exceptions("long_files")
    assert len(long) <= MOST_LONG_FILES


def docstrings_of(module):
    """Yield line and text of each docstring in a module's tree, those of constants and attributes too."""
    for node in ast.walk(module):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            for statement in node.body:
                match statement:
                    case ast.Expr(value=ast.Constant(value=str(text))) if text.strip():
                        yield statement.lineno, text.strip()


def docstrings():
    """Yield place and text of every docstring of the packages."""
    for name, path in sources().items():
        for line, text in docstrings_of(tree(path)):
            yield f"{name}:{line}", text


def begins_badly(text):
    return re.match(r"\W*(\w+)", text)[1].lower() in FIRST_WORDS


def test_a_docstring_begins_with_a_verb_or_a_noun():
    assert [place for place, text in docstrings() if begins_badly(text)] == []


def hides_its_noun(text):
    """Return True if a question stands where the thing that is returned should be named."""
    return re.match(rf"(?:Return|Say) (?:{'|'.join(FIRST_WORDS)})\b", text) is not None


def test_a_docstring_names_what_is_returned():
    assert [place for place, text in docstrings() if hides_its_noun(text)] == []


@pytest.mark.parametrize("word", FIRST_WORDS)
def test_a_question_for_a_noun_would_be_seen(word):
    assert hides_its_noun(f"Return {word} it does.")
    assert not hides_its_noun("Return the number of tiles.")


def test_the_docstrings_of_constants_and_attributes_are_read():
    text = '"""M."""\nA = 1\n"""A."""\nclass C:\n    """C."""\n    B = 2\n    """B."""\n\n    def f(self):\n'
    text += '        """F."""\n'
    assert sorted(found for _, found in docstrings_of(ast.parse(text))) == ["A.", "B.", "C.", "F.", "M."]


@pytest.mark.parametrize("word", FIRST_WORDS)
def test_a_bad_first_word_would_be_seen(word):
    assert begins_badly(f"{word.capitalize()} it does.")
    assert not begins_badly("Return what it does.")


def phrases_of(text):
    """Return the phrases in a text that are not used, whatever its line breaks."""
    flat = " ".join(text.lower().replace("#", " ").split())
    return [phrase for phrase in PHRASES if phrase in flat]


def test_no_text_has_a_phrase_that_is_not_used():
    pages = [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "bench").rglob("*.md")]
    pages = [path for path in pages if path != ROOT / "docs" / "style.md"]
    named = {**sources(), **{str(path.relative_to(ROOT)): path for path in pages}}
    named.pop("tests/test_style.py")
    found = {name: phrases_of(path.read_text(encoding="utf-8")) for name, path in named.items()}
    assert {name: phrases for name, phrases in found.items() if phrases} == {}


def test_a_phrase_would_be_seen_across_lines():
    assert phrases_of("of So\n    # many words") == ["so many"]
