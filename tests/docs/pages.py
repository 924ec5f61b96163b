"""Contents of a page of the documents: its fenced blocks, in order, and the code in its sentences."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LANGUAGES = {"sh", "console", "python", "text", "mermaid", "hex", "c", "systemverilog", "json", "toml"}
RUNNABLE = {"sh", "console", "python"}

FENCE = re.compile(r"^( *)```(\S*)\s*$")
MARK = re.compile(r"^<!-- not run: (.*) -->$")
CODE = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
STATUS = re.compile(r"\s+# status (\d+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, its language, its text, and why it is not run, or None."""

    page: str
    line: int
    language: str
    text: str
    not_run: str | None

    @property
    def place(self):
        return f"{self.page}:{self.line}"

    @property
    def runs(self):
        return self.language in RUNNABLE and self.not_run is None

    def steps(self):
        """Return the commands of a ``console`` block: text, expected output, expected status."""
        found = []
        continues = False
        for line in self.text.splitlines():
            if continues:
                found[-1][0] += "\n" + line.removeprefix("> ")
            elif line.startswith("$ "):
                found.append([line[2:], []])
            else:
                assert found, f"{self.place}: a console block starts with '$ ', not {line!r}"
                found[-1][1].append(line)
                continue
            continues = line.endswith("\\")
        return [(STATUS.sub("", text), "\n".join(shown), _status(text)) for text, shown in found]

    def shell(self):
        """Return the shell's text of a block, without prompts and output."""
        return "\n".join(text for text, _, _ in self.steps()) if self.language == "console" else self.text


def _status(text):
    written = STATUS.search(text)
    return int(written[1]) if written else 0


def split(text, page):
    """Return the blocks of a page, and what stands around them with each block's lines left empty."""
    blocks, around = [], []
    opened = None
    last = ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence:
            mark = MARK.match(last)
            opened = (number, len(fence[1]), fence[2], mark[1] if mark else None, [])
        elif opened is not None and line.strip() == "```":
            start, _, language, reason, lines = opened
            blocks.append(Block(page, start, language, "\n".join(lines) + "\n", reason))
            opened = None
        elif opened is not None:
            opened[4].append(line[opened[1] :])
        around.append("" if opened or fence else line)
        if line.strip():
            last = line
    assert opened is None, f"{page}: the block of line {opened[0]} does not end"
    return blocks, "\n".join(around)


def code_in_sentences(around):
    """Return the code spans of a page, a line break in one as a space."""
    return [" ".join(span.split()) for span in CODE.findall(around)]


def pages():
    """Return the names of all pages, relative to the repository's root."""
    return ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]


def read(page):
    return split((ROOT / page).read_text(encoding="utf-8"), page)
