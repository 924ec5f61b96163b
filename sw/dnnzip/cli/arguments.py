"""Arguments and options that several commands have."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dnnzip.cli.file_parameters import (
    ImageFolder,
    InputFile,
    ModelFile,
    ModelOutput,
)
from dnnzip.format import codec_choices

Command = TypeVar("Command", bound=Callable[..., Any])


def model_argument(name: str = "model", metavar: str = "MODEL.onnx") -> Callable[[Command], Command]:
    """Give a command a model file as its argument."""
    return click.argument(name, type=ModelFile(), metavar=metavar)


def model_output(
    metavar: str, help_text: str, *, is_required: bool = True, beside: tuple[str, ...] = ()
) -> Callable[[Command], Command]:
    """Give a command the option for the model that it writes, passed on as ``target``.

    Parameters
    ----------
    metavar, help_text
        Of the option.
    is_required
        Whether the command writes it always.
    beside
        Suffixes of files that the command writes next to it.
    """
    return click.option(
        "-o",
        "--output-model",
        "target",
        type=ModelOutput(*beside),
        required=is_required,
        metavar=metavar,
        help=f"{help_text}; - for standard output.",
    )


def data_option(
    help_text: str = "Arrays x (samples) and y (class indices).", *, is_required: bool = False
) -> Callable[[Command], Command]:
    """Give a command the option for its samples, passed on as ``data``."""
    return click.option("--data", type=InputFile(), required=is_required, metavar="SET.npz", help=help_text)


def images_option() -> Callable[[Command], Command]:
    """Give a command the option for a folder of images, passed on as ``images``."""
    return click.option(
        "--images",
        type=ImageFolder(),
        metavar="DIR",
        help="Instead of --data, a folder of images with labels; needs the extra images.",
    )


def samples_option(
    help_text: str = "Number of samples, from the first.  [default: all]",
) -> Callable[[Command], Command]:
    """Give a command the option for the number of its samples, passed on as ``samples``."""
    return click.option("--samples", type=click.IntRange(1), metavar="N", help=help_text)


batch_option = click.option(
    "--batch", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="Samples that share the weights."
)


def scores_option(option: str = "--output") -> Callable[[Command], Command]:
    """Give a command the option that names the output which holds the scores, passed on as ``scores``."""
    return click.option(
        option, "scores", metavar="NAME", help="Output of the scores.  [default: the only one of that shape]"
    )


class CodecChoice(click.Choice[str]):
    """The name of a codec, of those that are there when the command runs."""

    def __init__(self) -> None:
        super().__init__(codec_choices())

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or end with the known ones."""
        self.choices = codec_choices()
        return super().convert(value, param, ctx)
