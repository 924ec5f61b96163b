"""Commands that run a network in onnxruntime: its accuracy, and its quantisation to 8 bits."""

from typing import Any

import click

from dnnzip.cli.arguments import data_option, images_option, model_argument, model_output, samples_option, scores_option
from dnnzip.cli.file_parameters import FileCommand
from dnnzip.cli.output import Output, output_options


@click.command(
    cls=FileCommand,
    help="""Measure a model's accuracy with onnxruntime.

    The model may be plain or compressed.
    """,
)
@model_argument(metavar="MODEL")
@data_option()
@images_option()
@samples_option()
@scores_option()
@output_options
def evaluate(
    model: str, data: str | None, images: str | None, samples: int | None, scores: str | None, output: Output
) -> None:
    """Run `dnnzip evaluate`."""
    from dnnzip.evaluation.accuracy import evaluate as measure
    from dnnzip.evaluation.images import load_labelled
    from dnnzip.presentation.tables import TextTable

    accuracy = measure(model, load_labelled(data, images, model, samples), output=scores)
    result: dict[str, Any] = {"samples": accuracy.samples, "top1": accuracy.top1}
    if accuracy.top5 is not None:
        result["top5"] = accuracy.top5
    output.json(result)
    shares = "  ".join(f"{name} {100 * result[name]:.2f} %" for name in ("top1", "top5") if name in result)
    output.table(TextTable((), ()), f"{shares}  ({accuracy.samples} samples)")


@click.command(
    cls=FileCommand,
    help="""Quantise a network to 8 bits with onnxruntime.

    Weights become int8, symmetric around zero, each output channel with its own scale; activations become int8.
    """,
)
@model_argument()
@data_option("Samples to calibrate with: arrays x and y.", is_required=True)
@model_output("Q.onnx", "The network of 8 bits")
@samples_option("Number of samples to calibrate with, from the first.  [default: 100]")
@output_options
def quantize(model: str, data: str, target: str, samples: int | None, output: Output) -> None:
    """Run `dnnzip quantize`."""
    from dnnzip.evaluation.dataset import load_dataset
    from dnnzip.onnx.files import load_model
    from dnnzip.presentation.tables import TextTable
    from dnnzip.usecases.quantize import SAMPLES, quantise_network

    network = load_model(model)
    dataset = load_dataset(data, samples)
    used = dataset if samples is not None else dataset.first(SAMPLES)
    result = quantise_network(network, used, model)
    output.save(result, target)
    output.json({"samples": len(used.x), "model": target})
    output.table(TextTable((), ()), f"calibrated with {len(used.x)} samples: {target}")
