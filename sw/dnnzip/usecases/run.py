"""A whole network on the array, compared with the same network in onnxruntime: sums and predictions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.golden import GoldenArray
from dnnzip.array.job import ArrayFigures, ArrayLink
from dnnzip.array.network import CompiledNetwork, LayerRun, run_network
from dnnzip.array.segments import Value, run_segment
from dnnzip.errors import CheckFailedError
from dnnzip.evaluation.accuracy import Accuracy, batches_of, score, scores_of
from dnnzip.evaluation.dataset import Dataset
from dnnzip.onnx.partition import Segment

OPTIMISATION = "ORT_ENABLE_ALL"
"""onnxruntime's optimisations of the whole network, and of what lies between the array's layers."""


@dataclass(frozen=True)
class Difference:
    """A sample whose class is not the one that onnxruntime predicts."""

    sample: int  # its position in the data set
    # The classes.
    array: int
    onnxruntime: int
    reason: str  # first tensor that differs, and the distance of the scores of the two classes


@dataclass(frozen=True, eq=False)
class NetworkResult:
    """A network's run compared with onnxruntime's."""

    # Accuracy of the array and of onnxruntime.
    accuracy: Accuracy
    reference: Accuracy
    layers: tuple[LayerRun, ...]  # the array's layers
    differences: tuple[Difference, ...]  # samples with different classes
    checked: bool  # whether sums were compared
    image_bytes: int  # size of the memory image: table, table set, weights and what lies between them

    @property
    def figures(self) -> ArrayFigures:
        """Clock cycles and memory traffic of all layers."""
        return sum((layer.figures for layer in self.layers), ArrayFigures())

    @property
    def macs(self) -> int:
        """Multiplications of all layers."""
        return sum(layer.macs for layer in self.layers)

    @property
    def sums(self) -> int:
        """Sums of all layers."""
        return sum(layer.sums for layer in self.layers)

    @property
    def macs_per_second(self) -> float:
        """Multiplications per second of the link itself, without its start."""
        return self.macs / self.figures.seconds if self.figures.seconds else 0.0

    @property
    def mismatches(self) -> int:
        """Sums that differ from the norm or from onnxruntime's kernels."""
        return sum(layer.mismatches for layer in self.layers)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        top5 = {} if self.accuracy.top5 is None else {"top5": self.accuracy.top5}
        return {
            "samples": self.accuracy.samples,
            "top1": self.accuracy.top1,
            **top5,
            "onnxruntime": {"top1": self.reference.top1, "optimisation": OPTIMISATION},
            "checked": self.checked,
            "macs": self.macs,
            "sums": self.sums,
            "mismatches": self.mismatches,
            "image_bytes": self.image_bytes,
            "macs_per_second": self.macs_per_second,
            **_figures(self.figures),
            "layers": [
                {
                    "name": layer.name,
                    "operator": layer.operator,
                    "vectors": layer.vectors,
                    "macs": layer.macs,
                    "sums": layer.sums,
                    "mismatches": {"numpy": layer.norm_mismatches, "onnxruntime": layer.kernel_mismatches},
                    "weight_bytes": layer.weight_bytes,
                    "compressed": layer.compressed,
                    **_figures(layer.figures),
                }
                for layer in self.layers
            ],
            "differences": [
                {
                    "sample": difference.sample,
                    "class": difference.array,
                    "onnxruntime": difference.onnxruntime,
                    "reason": difference.reason,
                }
                for difference in self.differences
            ],
            "predictions": self.accuracy.predictions.tolist(),
        }


def _figures(figures: ArrayFigures) -> dict[str, Any]:
    return {entry.name: getattr(figures, entry.name) for entry in fields(figures)}


def run_on_array(
    compiled: CompiledNetwork,
    link: ArrayLink,
    dataset: Dataset,
    *,
    check: bool = True,
    step: Callable[[str], None] | None = None,
) -> NetworkResult:
    """Run a network on an array and in onnxruntime.

    Parameters
    ----------
    compiled
        The network.
    link
        Executes the jobs.
    dataset
        The samples.
    check
        Compare every sum with plain NumPy arithmetic and with onnxruntime's integer kernels.
    step
        Called when a piece of the network is done, ``len(compiled.pieces)`` times.

    Raises
    ------
    InputError
        The network does not take the samples, has no scores, or the link fails.
    """
    reference_scores = scores_of(compiled.model, dataset, compiled.where, output=compiled.output)
    reference = score(reference_scores, dataset)
    run = run_network(compiled, link, dataset.x, check=check, step=step)
    accuracy = score(run.scores, dataset)
    differing = np.flatnonzero(accuracy.predictions != reference.predictions)
    reasons = _reasons(compiled, dataset.x[differing])
    differences = []
    for sample, reason in zip(differing.tolist(), reasons, strict=True):
        classes = int(accuracy.predictions[sample]), int(reference.predictions[sample])
        margin = _margin(run.scores[sample], classes), _margin(reference_scores[sample], classes)
        text = (
            f"{reason}; score of {classes[0]} less that of {classes[1]}: {margin[0]:.4g}, onnxruntime {margin[1]:.4g}"
        )
        differences.append(Difference(sample, *classes, text))
    return NetworkResult(accuracy, reference, run.layers, tuple(differences), check, len(compiled.image.content))


def require(result: NetworkResult) -> None:
    """Raise ``CheckFailedError`` if a sum differs, or if none was made."""
    for layer in result.layers:
        for count, what in (
            (layer.norm_mismatches, "plain NumPy arithmetic"),
            (layer.kernel_mismatches, "onnxruntime's integer kernel"),
        ):
            if count:
                raise CheckFailedError(f"layer {layer.name!r}: {count} of {layer.sums} sums differ from {what}")
    if not result.sums:
        raise CheckFailedError("the array made no sum")


def _margin(scores: Value, classes: tuple[int, int]) -> float:
    return float(scores[classes[0]]) - float(scores[classes[1]])


def _reasons(compiled: CompiledNetwork, x: NDArray[np.generic]) -> list[str]:
    """Return for each sample where the array's way, on the golden array, and onnxruntime's part."""
    if not len(x):
        return []
    names = list(dict.fromkeys(name for piece in compiled.pieces for name in (*piece.reads, *piece.gives)))
    names.remove(compiled.input)
    # Each sample fills a batch of its own, so that all values of a tensor belong to it.
    size = compiled.fixed_batch or 1
    alone = np.repeat(x, size, axis=0)
    ours = run_network(compiled, GoldenArray(compiled.shape), alone, batch=1, check=False, keep=names).kept
    whole = Segment(tuple(range(len(compiled.model.graph.node))), (compiled.input,), tuple(names))
    batches = [{compiled.input: part} for part in batches_of(alone, size, False, compiled.where)]
    theirs = run_segment(compiled.model, whole, batches, compiled.where)
    return [
        _first_difference(compiled, names, [ours[name][sample] for name in names], values)
        for sample, values in enumerate(theirs)
    ]


def _first_difference(
    compiled: CompiledNetwork, names: Sequence[str], ours: Sequence[Value], theirs: dict[str, Value]
) -> str:
    """Describe the first tensor in which two runs differ, and by how much."""
    for name, own in zip(names, ours, strict=True):
        other = theirs[name]
        differs = own != other
        if differs.any():
            largest = np.abs(own.astype(np.float64) - other.astype(np.float64)).max()
            made = (
                f"what layer {compiled.layers[name].layer.name!r} makes of equal inputs"
                if name in compiled.layers
                else f"{name!r}, between the array's layers"
            )
            return f"first in {made}: {int(differs.sum())} of {own.size} values, by at most {largest:.4g}"
    return "no tensor differs while each is looked at: onnxruntime then fuses other operators"
