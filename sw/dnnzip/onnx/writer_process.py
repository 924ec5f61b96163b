"""The process that decodes a compressed model and writes the plain network into a pipe (`dnnzip.onnx.plain_stream`)."""

import fcntl
import json
import os
import subprocess
import sys
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self

from dnnzip.errors import InputError

MODULE = "dnnzip.onnx.plain_stream"

#: Statuses of the process: it ends in an `InputError`, and the network is beyond the 2 GB of a message.
FAILED, TOO_LARGE = 2, 3

#: Path that no file has: the model comes from standard input.
STANDARD_INPUT = ""

#: Bytes that the pipe holds, where the system lets it be set: what a process without privileges may ask for.
PIPE_BYTES = 1 << 20

#: Folder of the files that a process has open, by number.
OPEN_FILES = "/dev/fd"


class WriterError(Exception):
    """The process ended in an error of ours; the message is what it said."""


class PlainWriter:
    """Writes the plain network of a compressed model into a pipe while the context lasts.

    A fault of the model is raised when the context ends, in the place of what the reader made of too few bytes.

    Parameters
    ----------
    source
        The model file, or its bytes.
    where
        The model's name, for messages.

    Members
    -------
    path
        The pipe, to be opened once.
    """

    def __init__(self, source: str | bytes, where: str) -> None:
        self._content = source if isinstance(source, bytes) else None
        path = STANDARD_INPUT if isinstance(source, bytes) else source
        self._command = [sys.executable, "-m", MODULE, path, where]
        self._where = where
        self._said = b""

    def __enter__(self) -> Self:
        self._end, target = os.pipe()
        if hasattr(fcntl, "F_SETPIPE_SZ"):
            # A user's pipes may have used up what the system lets them have: then this one stays small.
            with suppress(OSError):
                fcntl.fcntl(target, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self.path = f"{OPEN_FILES}/{self._end}"
        folders = os.pathsep.join(map(os.path.abspath, sys.path))
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL if self._content is None else subprocess.PIPE,
                stdout=target,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": folders},
            )
        except BaseException:
            os.close(self._end)
            raise
        finally:
            os.close(target)
        self._threads = [Thread(target=self._listen, daemon=True), Thread(target=self._feed, daemon=True)]
        for thread in self._threads:
            thread.start()
        return self

    def _listen(self) -> None:
        assert self._process.stderr is not None, "a pipe"
        with self._process.stderr as pipe:
            self._said = pipe.read()

    def _feed(self) -> None:
        if self._process.stdin is None or self._content is None:
            return
        # It may end before it has read all, and says why.
        with suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(self._content)

    def is_too_large(self) -> bool:
        """Wait for the end of the process, and return True if the network is beyond the 2 GB of a message."""
        return self._process.wait() == TOO_LARGE

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It has no reader any more, and ends if it has not yet.
        os.close(self._end)
        if error is not None and not isinstance(error, Exception):
            self._process.kill()
        status = self._process.wait()
        for thread in self._threads:
            thread.join()
        if isinstance(error, Exception):
            self._raise_fault(status)

    def _raise_fault(self, status: int) -> None:
        """Raise what the process failed with, if it did by itself."""
        last = self._said.decode(errors="replace").strip().rpartition("\n")[2]
        if status == FAILED and last:
            raise InputError(*json.loads(last)) from None
        if status < 0:
            raise InputError(
                self._where, f"is not decoded: the process was ended by signal {-status}", "is there enough memory?"
            ) from None
        if status not in (0, FAILED, TOO_LARGE):
            raise WriterError(self._said.decode(errors="replace")) from None
