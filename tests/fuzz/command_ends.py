"""Runs a call of a command in a folder, and judges how it ended."""

import os
import re
import shutil
from pathlib import Path

ONE_LINE = re.compile(r"dnnzip: [^\n]+\n")
OUTPUT_OPTIONS = ("-o", "--output", "--output-model", "--json", "--tables")


class FuzzError(Exception):
    """A call ended as none may."""


class Runner:
    """Runs calls in a folder and judges how they end.

    Parameters
    ----------
    folder
        Where calls have their files; emptied before each.
    """

    def __init__(self, folder):
        self.folder = folder
        self.out, self.err = (os.memfd_create(name) for name in ("out", "err"))

    def run(self, call, way):
        """Run a call and return its status.

        Raises
        ------
        FuzzError
            It ended as none may.
        """
        self._lay(call)
        before = content_of(self.folder)
        for stream in (self.out, self.err):
            os.ftruncate(stream, 0)
            os.lseek(stream, 0, os.SEEK_SET)
        place = Path.cwd()
        os.chdir(self.folder)
        try:
            status = way(call.arguments, self.out, self.err)
        finally:
            os.chdir(place)
        said = [os.pread(stream, 1 << 20, 0).decode("utf-8", "backslashreplace") for stream in (self.out, self.err)]
        _judge(call, status, *said, before, content_of(self.folder))
        return status

    def _lay(self, call):
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in ("in", "out"):
            (self.folder / name).mkdir(parents=True)
        for name, content in call.files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_dir():
                path.write_bytes(content)


def content_of(folder, name=""):
    """Return the files in a folder by their paths from there, or from a folder of another name."""
    return {
        str(name / path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def _judge(call, status, out, err, before, after):
    """Compare an end with what every call keeps to."""
    faults = []
    if status not in (0, 1, 2):
        faults.append("ended otherwise")
    if status and not ONE_LINE.fullmatch(err) and not err.startswith("Usage: dnnzip"):
        faults.append("is not one line")
    if not status and err:
        faults.append("has words without a fault")
    if "Traceback" in err or "dnnzip: out of memory" in err:
        faults.append("was not foreseen")
    # What fits on no device may be the second output, behind one that is there.
    is_full = any("/dev/full" in word for word in call.arguments)
    if status == 2 and out and not is_full:
        faults.append(f"failed, and printed {out[:100]!r}")
    may_change = _outputs(call) if status < 2 else set()
    changed = [name for name in before if after.get(name) != before[name] and not _may_change(name, call, may_change)]
    if changed:
        faults.append(f"changed {', '.join(changed)}")
    left = [name for name in after if name not in before and status == 2 and not (is_full or _may_stay(name, call))]
    if left:
        faults.append(f"failed, and left {', '.join(left)}")
    if faults:
        raise FuzzError(f"status {status}: {'; '.join(faults)}\n{err[-8000:]}")


def _outputs(call):
    """Return the files that the arguments name as outputs."""
    pairs = zip(call.arguments, [*call.arguments[1:], ""], strict=True)
    named = {value for option, value in pairs if option in OUTPUT_OPTIONS}
    joined = [(option, word) for word in call.arguments for option in OUTPUT_OPTIONS if word.startswith(option)]
    return named | {word.removeprefix(option).removeprefix("=") for option, word in joined}


def _may_change(name, call, outputs):
    """Return True if a file that was there may be another one: an output, or what a search goes on with."""
    is_in = any(name == output or name.startswith(f"{output}/") for output in outputs)
    return is_in or (_command(call) == "tune" and name.endswith(".tune"))


def _may_stay(name, call):
    """Return True if a call that failed may leave a file: what it has found so far, for the next one to go on."""
    return _command(call) == "explore" or (_command(call) == "tune" and name.endswith(".tune"))


def _command(call):
    """Return the first word that is no option."""
    return next((word for word in call.arguments if not word.startswith("-")), "")
