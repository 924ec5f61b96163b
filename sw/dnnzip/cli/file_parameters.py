"""Files of a command: types that say of a parameter what it reads and writes, and the check that no two are one file.

A command made with `FileCommand` refuses an output that is one of its inputs, or another of its outputs, by whatever
name, before it begins. So a parameter that names a file has one of these types; a test walks through all commands.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from dnnzip.cli.debug_option import debug_option
from dnnzip.errors import InputError
from dnnzip.system.streams import printing

STANDARD_OUTPUT = "-"
"""The name of standard output, for an output that is one file."""


class FileParameter(click.ParamType[str]):
    """A file or folder; what a command does with it is said by the classes below."""

    name = "file"
    is_file_output = False
    """Return True if it is one file to write, which may be standard output."""

    no_stream = "is no file; ./- is a file of that name"
    """Reason why it cannot be ``-``, for messages."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; refuse one that no file can have, at which much that looks for a file would raise.

        Raises
        ------
        InputError
            It is too long.
        """
        del param, ctx
        try:
            Path(value).lstat()
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(value, f"cannot be opened ({error.strerror})", "give a shorter name") from None
        return value

    def reads(self, value: str) -> Iterable[Path]:
        """Return the files that are read by the name that was given."""
        del value
        return ()

    def reads_further(self, value: str) -> Iterable[Path]:
        """Return files that are read because those of `reads` name or hold them; they are looked into."""
        del value
        return ()

    def writes(self, value: str) -> Iterable[Path]:
        """Return the files that may be written."""
        del value
        return ()


class InputFile(FileParameter):
    """A file that is read."""

    def reads(self, value: str) -> Iterable[Path]:
        """Return the file."""
        return (Path(value),)


class ModelFile(InputFile):
    """A model that is read, with the files of its external data."""

    no_stream = "is no file; give /dev/stdin for standard input"

    def reads_further(self, value: str) -> Iterable[Path]:
        """Return the files of its external data, or the shards of an index."""
        from dnnzip.onnx.files import model_files
        from dnnzip.weight_files.files import further_files, kind_of

        if not _is_regular(Path(value)):  # a pipe can be read once, and has no files next to it
            return ()
        try:
            if kind_of(value) is not None:
                return further_files(value)
            files = model_files(value)
        except InputError:
            return ()  # the command says so when it reads the model
        folder = Path(value).parent
        # The data of a model that is a link may lie next to the file that it leads to.
        return [folder / name if (folder / name).exists() else path for name, path in list(files.items())[1:]]


class AcceleratorFile(InputFile):
    """A preset, or a file that ends in .toml."""

    def reads(self, value: str) -> Iterable[Path]:
        """Return the file, if it is one."""
        return (Path(value),) if value.endswith(".toml") else ()


class ImageFolder(FileParameter):
    """A folder of labelled images that are read."""

    no_stream = "is no folder"

    def reads_further(self, value: str) -> Iterable[Path]:
        """Return the list of labels, the images that it names, and those in folders of classes."""
        from dnnzip.evaluation.images import LABELS, SUFFIXES
        from dnnzip.evaluation.labels import read_labels

        folder = Path(value)
        labels = folder / LABELS
        if not labels.is_file():
            return (path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
        try:
            return [labels, *(item.path for item in read_labels(labels))]
        except InputError:
            return (labels,)  # the command says so when it reads them


class OutputFile(FileParameter):
    """A file that is written.

    Parameters
    ----------
    beside
        Suffixes of files that may be written next to it.
    is_text
        Whether its content may go to a terminal.
    """

    is_file_output = True

    def __init__(self, *beside: str, is_text: bool = False) -> None:
        self.is_text = is_text
        self._beside = beside

    def writes(self, value: str) -> Iterable[Path]:
        """Return the file, and those next to it."""
        if value == STANDARD_OUTPUT:
            return (Path("/dev/stdout"),)
        return (Path(value), *(Path(f"{value}{end}") for end in self._beside))


class ModelOutput(OutputFile):
    """A model that is written; one beyond 2 GB has a second file, and an index of weights has its shards.

    Parameters
    ----------
    beside
        Suffixes of further files.
    """

    def __init__(self, *beside: str) -> None:
        super().__init__(".data", *beside)

    def writes(self, value: str) -> Iterable[Path]:
        """Return the file, those next to it, and the shards of an index that are there."""
        if not value.lower().endswith(".index.json"):
            return super().writes(value)
        from dnnzip.weight_files.sharded import shards_there

        return (*super().writes(value), *shards_there(Path(value)))


class KeptFile(OutputFile):
    """A file that is read where it is there, and otherwise written."""

    def reads(self, value: str) -> Iterable[Path]:
        """Return the file, if it is there."""
        return (Path(value),) if self.is_there(value) else ()

    def writes(self, value: str) -> Iterable[Path]:
        """Return the file, unless it is there."""
        return () if self.is_there(value) else super().writes(value)

    @staticmethod
    def is_there(value: str) -> bool:
        """Return True if there is such a file, or device."""
        return value != STANDARD_OUTPUT and _status(Path(value)) is not None


class Folder(FileParameter):
    """A folder in which files are read or written.

    Parameters
    ----------
    writes, reads
        The files in it, as names and patterns.
    """

    no_stream = "is no folder; ./- is a folder of that name"

    def __init__(self, *, writes: Iterable[str] = (), reads: Iterable[str] = ()) -> None:
        self._written = tuple(writes)
        self._read = tuple(reads)

    def reads_further(self, value: str) -> Iterable[Path]:
        """Return the files that are read in it."""
        return _found(Path(value), self._read)

    def writes(self, value: str) -> Iterable[Path]:
        """Return the files that are written in it, or what stands in the folder's place."""
        folder = Path(value)
        status = _status(folder)
        in_its_place = () if status is not None and stat.S_ISDIR(status.st_mode) else (folder,)
        return (*in_its_place, *_found(folder, self._written))


def _found(folder: Path, patterns: Iterable[str]) -> Iterator[Path]:
    """Visit the files of these names in a folder, there or not, and those there of these patterns."""
    for pattern in patterns:
        if "*" in pattern:
            yield from folder.glob(pattern)
        else:
            yield folder / pattern


class FileCommand(click.Command):
    """A command whose files are checked before it begins; it takes ``--debug`` as the group does."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, and ``--debug``."""
        return [*super().get_params(ctx), debug_option(hidden=True)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; some of them print and end the command."""
        with printing():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Check the files, and run the command.

        Raises
        ------
        click.UsageError
            An output is an input or another output, or a parameter cannot be ``-``.
        InputError
            An output cannot be written.
        """
        check_files(ctx)
        return super().invoke(ctx)


@dataclass(frozen=True)
class _Use:
    """A file of a parameter: the parameter's name and value, and whether the file is written."""

    name: str
    value: str
    path: Path
    is_written: bool

    def __str__(self) -> str:
        """Return name, value, and the file where it is not the value itself."""
        is_shown = self.value == STANDARD_OUTPUT or Path(self.value) == self.path
        return f"{self.name} {self.value}" + ("" if is_shown else f" ({self.path})")


def files_given(ctx: click.Context) -> list[tuple[str, FileParameter, str]]:
    """Return the parameters of a command that name files: what each is called, its type, and its value."""
    given: list[tuple[str, FileParameter, str]] = []
    for param in ctx.command.params:
        if isinstance(param.type, FileParameter):
            value = ctx.params[param.name or ""]
            called = param.opts[0] if isinstance(param, click.Option) else param.make_metavar(ctx)
            values = value if isinstance(value, tuple) else (value,)
            given += [(called, param.type, one) for one in values if one is not None]
    return given


def takes_standard_output(ctx: click.Context) -> bool:
    """Return True if an output of a command is standard output, which then carries nothing else."""
    return any(kind.is_file_output and value == STANDARD_OUTPUT for _, kind, value in files_given(ctx))


def check_files(ctx: click.Context) -> None:
    """Refuse outputs of a command that are inputs or other outputs, or that cannot be written.

    Parameters
    ----------
    ctx
        Of the command, with the values of its parameters.

    Raises
    ------
    click.UsageError
        Two are one file, or a parameter cannot be ``-``.
    InputError
        An output cannot be written.
    """
    given = files_given(ctx)
    _check_streams(given, ctx)
    uses = [_Use(name, value, path, True) for name, kind, value in given for path in kind.writes(value)]
    if not uses:
        return
    # Only where a file may be lost is there a need to look into the inputs.
    can_overwrite = any(_is_regular(use.path) for use in uses)
    for name, kind, value in given:
        further = kind.reads_further(value) if can_overwrite else ()
        uses += [_Use(name, value, path, False) for path in (*kind.reads(value), *further)]
    _check_uses(uses, ctx)
    _check_places(given)


def _check_streams(given: Iterable[tuple[str, FileParameter, str]], ctx: click.Context) -> None:
    """Refuse ``-`` where it is no output of one file, where a second one claims it, and bytes for a terminal."""
    first = ""
    for name, kind, value in given:
        if value != STANDARD_OUTPUT:
            continue
        if not kind.is_file_output:
            raise click.UsageError(f"{name} -: {kind.no_stream}", ctx)
        if first:
            raise click.UsageError(f"{first} - and {name} - are both standard output; give one of them a file", ctx)
        first = name
        if isinstance(kind, OutputFile) and not kind.is_text and sys.stdout and sys.stdout.isatty():
            raise click.UsageError(f"{name} -: standard output is a terminal; send it to a file or a program", ctx)


def _check_uses(uses: Iterable[_Use], ctx: click.Context) -> None:
    """Refuse an output that is the same file as something else."""
    known: dict[object, _Use] = {}
    for use in uses:  # outputs come first
        identity = _identity(use.path)
        other = use if identity is None else known.setdefault(identity, use)
        if other.is_written and other != use:
            raise click.UsageError(f"{other} and {use} are the same file; give the output another name", ctx)


def _check_places(given: Iterable[tuple[str, FileParameter, str]]) -> None:
    """Refuse outputs of one file that cannot be written."""
    for _, kind, value in given:
        if kind.is_file_output and value != STANDARD_OUTPUT and kind.writes(value):
            from dnnzip.system.outputs import check_output

            check_output(value)


def _identity(path: Path) -> object | None:
    """Return an identity that all names of a file have in common.

    A file that is there is known by its device and number; another one by its nearest folder that is there, and the
    rest of its path. None is that of terminals and devices: outputs can share ``/dev/null``.
    """
    status = _status(path)
    if status is None:
        return _future_identity(path)
    return None if stat.S_ISCHR(status.st_mode) else (status.st_dev, status.st_ino)


def _future_identity(path: Path) -> object:
    """Return the identity of a file that is not there."""
    try:
        place = path.resolve()
    except (OSError, RuntimeError):  # a link that leads to itself
        place = path.absolute()
    missing: list[str] = []
    while (status := _status(place)) is None and place != place.parent:
        missing.append(place.name)
        place = place.parent
    names = map(str.casefold, missing) if _ignores_case(place) else missing
    return (status and (status.st_dev, status.st_ino), *names)


def _ignores_case(folder: Path) -> bool:
    """Return True if names that differ in their case alone are one, judged by the names that lead to a folder."""
    for place in (folder, *folder.parents):
        turned = place.name.swapcase()
        if turned != place.name:
            status, other = _status(place), _status(place.with_name(turned))
            return status is not None and other is not None and os.path.samestat(status, other)
    return False


def _status(path: Path) -> os.stat_result | None:
    """Return the system's status of a file; None where it is not there, or cannot be seen."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _is_regular(path: Path) -> bool:
    status = _status(path)
    return status is not None and stat.S_ISREG(status.st_mode)
