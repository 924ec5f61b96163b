"""Every command in the documents: run as a reader would, page by page, or at least one that could be run.

A page's blocks run in order in one folder, which looks like a checkout: the sources are there, and what the commands
write stays in it. A block that takes long, or needs what not every machine has, says so in the line before it:
``<!-- not run: reason -->``. Its commands are still held against the command line, the Makefile and the sources. ::

    pytest tests/docs/test_commands.py -k quick_start
    python tests/docs/test_commands.py                  # lists the blocks that are not run, and why
"""

import doctest
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from commands import faults, faults_in_sentence
from pages import LANGUAGES, ROOT, RUNNABLE, Block, code_in_sentences, pages, read, split

PAGES = pages()
LINKED = (
    "sw",
    "hw",
    "sim",
    "bench",
    "docs",
    "tests",
    "Makefile",
    "pyproject.toml",
    "bootstrap.py",
    "lock",
    "README.md",
    "CONTRIBUTING.md",
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Reader:
    """Does what a page says, in a folder that looks like a checkout.

    Parameters
    ----------
    folder
        An empty one.
    seconds
        So long may a block's shell run; the first one may compile the codec or the simulation.
    """

    def __init__(self, folder, seconds=900):
        self.folder, self.seconds = folder, seconds
        for name in LINKED:
            (folder / name).symlink_to(ROOT / name)
        (folder / ".venv").symlink_to(sys.prefix)
        self.names = {"__name__": "__main__"}
        path = os.pathsep.join((str(Path(sys.prefix) / "bin"), os.environ["PATH"]))
        self.environment = {**os.environ, "PATH": path, "COLUMNS": "160", "NO_COLOR": "1"}

    def follow(self, block):
        """Run a block; AssertionError or what the block itself raises where it does not do as the page says."""
        if block.language == "sh":
            output, status = self.shell(block.text)
            assert status == 0, f"{block.place}: status {status}\n{output}"
        elif block.language == "console":
            for command, shown, expected in block.steps():
                output, status = self.shell(command)
                assert status == expected, f"{block.place}: {command}: status {status}, not {expected}\n{output}"
                self.compare(f"{block.place}: {command}", shown, output)
        elif block.text.lstrip().startswith(">>>"):
            self.examples(block)
        else:
            exec(compile(block.text, block.place, "exec"), self.names)

    def shell(self, text):
        """Return the output of a shell's text, and its status; all that it started has ended then."""
        process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            raise AssertionError(f"{text}: takes more than {self.seconds} s; mark it as not run\n{output}") from None
        return output, process.returncode

    @staticmethod
    def compare(what, shown, output):
        """Compare output with what a page shows; ``...`` matches anything, and spaces may differ in number."""
        shown, output = shown.strip() + "\n", output.strip() + "\n"
        if shown.strip() and not doctest.OutputChecker().check_output(shown, output, FLAGS):
            raise AssertionError(f"{what}\n--- the page shows\n{shown}--- it gives\n{output}")

    def examples(self, block):
        """Run the examples of a block, in the names that the page's blocks before it left."""
        parsed = doctest.DocTestParser().get_doctest(block.text, self.names, block.place, block.page, block.line)
        runner = doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
        said = []
        failed, _ = runner.run(parsed, out=said.append, clear_globs=False)
        self.names = parsed.globs
        assert not failed, "".join(said)


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_do_what_it_says(page, tmp_path, monkeypatch):
    blocks = [block for block in read(page)[0] if block.runs]
    monkeypatch.chdir(tmp_path)
    reader = Reader(tmp_path)
    for block in blocks:
        reader.follow(block)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_there(page):
    blocks, around = read(page)
    wrong = [
        f"{block.place}: {fault}"
        for block in blocks
        if block.language in ("sh", "console")
        for fault in faults(block.shell())
    ]
    wrong += [f"{page}: `{code}`: {fault}" for code in code_in_sentences(around) for fault in faults_in_sentence(code)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_language_and_is_run_or_says_why_not(page):
    assert not bad_blocks(read(page)[0])


def bad_blocks(blocks):
    """Return the faults in the marks of blocks."""
    wrong = [
        f"{block.place}: language {block.language!r} is none of {', '.join(sorted(LANGUAGES))}"
        for block in blocks
        if block.language not in LANGUAGES
    ]
    wrong += [
        f"{block.place}: a reason for not running it says more than {block.not_run!r}"
        for block in blocks
        if block.not_run is not None and len(block.not_run.split()) < 2
    ]
    return wrong + [
        f"{block.place}: {block.language} is never run, so no reason is needed"
        for block in blocks
        if block.not_run is not None and block.language not in RUNNABLE
    ]


def test_most_blocks_are_run():
    blocks = [block for page in PAGES for block in read(page)[0] if block.language in RUNNABLE]
    assert len(blocks) > 40
    assert sum(block.runs for block in blocks) > len(blocks) / 2


# What follows sees each check fail.


def block_of(text):
    (block,) = split(text, "page.md")[0]
    return block


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("dnnzip squash m.onnx", "dnnzip has no command 'squash'"),
        ("dnnzip compress m.onnx -o c.onnx --max-error 2% --fast", "No such option '--fast'."),
        ("dnnzip compress m.onnx --max-error 2%", "Missing option '-o'"),
        (".venv/bin/dnnzip info a.onnx b.onnx", "Got unexpected extra argument (b.onnx)"),
        ("dnnzip compress m.onnx -o c.onnx --max-error 2% \\\n    --codec zip", "'zip' is not one of 'auto'"),
        ("dnnzip info a.onnx | dnnzip inform b.onnx", "dnnzip has no command 'inform'"),
        ("make sim && make coffee", "the Makefile has no target coffee"),
        ("make bitstream BORD=icebreaker", "the Makefile has no variable BORD"),
        ("python -m dnnzip_sim.mainjoke", "there is no module dnnzip_sim.mainjoke"),
        ("python -m dnnzip_bench.departures --pages x.md", "dnnzip_bench.departures has no option --pages"),
        (".venv/bin/python -m dnnzip_sim.board --bord icebreaker", "dnnzip_sim.board has no option --bord"),
        ("python docs/degenerate.py", "docs/degenerate.py is not in the checkout"),
        ("pip install '.[boards]'", "there is no extra boards"),
        ("pip install 'dnnzip[board]'", "no package index has dnnzip"),
        ("rm model.onnx", "rm is no program that the pages use so far"),
    ],
)
def test_a_command_that_is_not_there_is_seen(text, fault):
    assert any(fault in found for found in faults(text)), faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "dnnzip --version",
        "dnnzip compress --help  # all options",
        "dnnzip simulate m.dnz.onnx --link serial:/dev/ttyUSB0@115200 > log.txt",
        "DNNZIP_ZOO=zoo make zoo; make bitstream BOARD=icebreaker",
        "python -m dnnzip_sim.board --top array",
        "cd rtl && cc -o d c/dnnzip.c",
    ],
)
def test_a_command_that_is_there_is_let_through(text):
    assert faults(text) == []


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("dnnzip squash", "dnnzip has no command 'squash'"),
        ("dnnzip compress --groups N --lanes M", "dnnzip compress has no option --lanes"),
        ("make coffee", "the Makefile has no target coffee"),
        ("python -m dnnzip_bench.benches", "there is no module dnnzip_bench.benches"),
        ("dnnzip.format.frame", "there is no dnnzip.format.frame"),
        ("dnnzip_hw.axi.AxiDecompresser", "there is no dnnzip_hw.axi.AxiDecompresser"),
        ("tests/sw/accelerators", "tests/sw/accelerators is not in the checkout"),
    ],
)
def test_code_in_a_sentence_that_is_not_there_is_seen(code, fault):
    assert faults_in_sentence(code) == [fault]


@pytest.mark.parametrize(
    "code", ["dnnzip", "dnnzip::Decompress", "dnnzip run MODEL --link sim", "dnnzip.format.frames", "tests/sw/*.py"]
)
def test_code_in_a_sentence_that_is_there_is_let_through(code):
    assert faults_in_sentence(code) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\ntrue\nfalse\n```\n", "page.md:1: status 1"),
        ("```sh\nfalse | true\n```\n", "page.md:1: status 1"),
        ("```console\n$ false\n```\n", "page.md:1: false: status 1, not 0"),
        ("```console\n$ exit 0 # status 2\n```\n", "status 0, not 2"),
        ("```console\n$ echo 7\n8\n```\n", "--- the page shows\n8\n--- it gives\n7"),
        ("```console\n$ echo 7\n7\n$ echo 8\n9\n```\n", "page.md:1: echo 8"),
        ("```python\n>>> 1 + 1\n3\n```\n", "Expected:"),
        ("```python\nassert 1 + 1 == 3, 'two'\n```\n", "two"),
    ],
)
def test_a_block_that_does_not_do_what_it_says_is_seen(tmp_path, text, said):
    with pytest.raises(AssertionError) as raised:
        Reader(tmp_path).follow(block_of(text))
    assert said in str(raised.value)


def test_a_block_that_takes_too_long_is_seen_and_ended(tmp_path):
    with pytest.raises(AssertionError, match="takes more than 1 s"):
        Reader(tmp_path, seconds=1).follow(block_of("```sh\nsleep 60 & sleep 60; wait\n```\n"))


def test_a_block_that_does_what_it_says_is_let_through(tmp_path):
    text = "```console\n$ echo one;  \\\n> echo 1.25 s\none\n... s\n$ exit 2 # status 2\n```\n"
    Reader(tmp_path).follow(block_of(text))


def test_blocks_of_a_page_share_folder_and_names(tmp_path):
    reader = Reader(tmp_path)
    for text in ("```sh\necho 5 > five\n```\n", "```python\nx = 4\n```\n", "```python\n>>> x + 1\n5\n```\n"):
        reader.follow(block_of(text))
    reader.follow(block_of("```console\n$ cat five\n5\n```\n"))


def test_a_block_without_language_or_reason_is_seen():
    blocks, _ = split("```\nls\n```\n\n<!-- not run: slow -->\n```sh\nls\n```\n", "page.md")
    assert [fault.partition(": ")[2][:8] for fault in bad_blocks(blocks)] == ["language", "a reason"]
    with pytest.raises(AssertionError, match="does not end"):
        split("```sh\nls\n", "page.md")


def test_a_mark_belongs_to_the_next_block_alone():
    text = "<!-- not run: needs a board -->\n```sh\nls\n```\n\n```sh\nls\n```\n"
    assert [block.not_run for block in split(text, "page.md")[0]] == ["needs a board", None]
    assert isinstance(block_of("```sh\nls\n```\n"), Block)


if __name__ == "__main__":
    for page in PAGES:
        for block in read(page)[0]:
            if block.not_run is not None:
                print(f"{block.place}: {block.not_run}")
