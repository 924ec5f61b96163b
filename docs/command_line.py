"""The commands of ``dnnzip`` as Markdown, from click's own description of them: no option is written down twice."""

import re
from collections.abc import Iterator

import click

from dnnzip.cli.group import cli
from dnnzip.presentation.tables import TextTable

DEFAULT_IN_HELP = re.compile(r"\s*\[default: (.*?)\]$")
"""End of an option's help that names a default which is not a value."""


def names(option: click.Option) -> str:
    """Return an option's names, the long one first, each as code."""
    found = sorted((*option.opts, *option.secondary_opts), key=lambda name: not name.startswith("--"))
    return ", ".join(f"`{name}`" for name in found)


def values(option: click.Option, ctx: click.Context) -> str:
    """Return the values of an option: its choices, its range, or the name of its argument; nothing for a flag."""
    if option.is_flag:
        return ""
    if isinstance(option.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in option.type.choices)
    if option.metavar:
        name = option.metavar.replace("|", " or ")
    else:
        name = "integer" if isinstance(option.type, click.types.IntParamType) else option.make_metavar(ctx).lower()
    if isinstance(option.type, click.IntRange):
        low, high = option.type.min, option.type.max
        return f"{name}, from {low}" if high is None else f"{name}, {low} to {high}"
    return name


def explanation(option: click.Option, ctx: click.Context) -> tuple[str, str]:
    """Return an option's help and its default, in words where that is none of its values."""
    text = option.help or ""
    written = DEFAULT_IN_HELP.search(text)
    if written:
        return DEFAULT_IN_HELP.sub("", text), written[1]
    if option.required:
        return text, "required"
    if isinstance(option.show_default, str):
        return text, option.show_default
    if not option.show_default:
        return text, ""
    default = option.get_default(ctx)
    if option.is_flag:
        return text, f"`{option.opts[0] if default else option.secondary_opts[0]}`"
    return text, f"`{default}`"


def options(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the table of a command's options."""
    for option in command.params:
        if isinstance(option, click.Option):
            text, default = explanation(option, ctx)
            taken = values(option, ctx) + (", ..." if option.multiple else "")
            yield tuple(" ".join(part.split()) for part in (names(option), taken, default, text))


def paragraphs(text: str) -> str:
    """Return a command's help, with the lines of each paragraph as one."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def section(name: str, command: click.Command, parent: click.Context) -> str:
    """Return a command's heading, usage, help and options."""
    ctx = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(ctx))
    table = TextTable(("option", "takes", "default", "what"), tuple(options(command, ctx)), names=4)
    return f"## {name}\n\n```text\ndnnzip {name} {usage}\n```\n\n{paragraphs(command.help or '')}\n\n{table.markdown()}"


def command_line() -> str:
    """Return the sections of all commands, in the order of their names."""
    root = click.Context(cli, info_name="dnnzip")
    found = {name: cli.get_command(root, name) for name in cli.list_commands(root)}
    return "\n".join(section(name, command, root) for name, command in found.items() if command is not None)
