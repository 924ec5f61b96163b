"""The check of a compressed model against its original: every weight against its bound."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.errors import CheckFailedError, InputError
from dnnzip.model.bound import Bound
from dnnzip.model.container import CompressedModel, decode_layer, restore
from dnnzip.model.grid import bounds_of, largest_errors
from dnnzip.model.weights import Weight, find_weights


@dataclass(frozen=True)
class LayerCheck:
    """A layer's largest error against its bound.

    Parameters
    ----------
    name
        The weight's name.
    weights
        Weights compared.
    max_error, bound
        Those of the channel (or tensor) that comes closest to its bound, in the layer's unit.
    broken
        Weights beyond their bound.
    """

    name: str
    weights: int
    max_error: float
    bound: float
    broken: bool

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of the check."""
        return {
            "name": self.name,
            "weights": self.weights,
            "max_error": self.max_error,
            "bound": self.bound,
            "ok": not self.broken,
        }


def verify(
    model: onnx.ModelProto,
    compressed: CompressedModel,
    where: str = "model",
    decoded: dict[str, NDArray[np.generic]] | None = None,
) -> list[LayerCheck]:
    """Compare every compressed weight with its original.

    Parameters
    ----------
    model
        The original network.
    compressed
        The compressed one.
    where
        The original's file, for messages.
    decoded
        Codes of each layer, where a link has decoded them already.

    Raises
    ------
    InputError
        A layer is not in the original, or has another shape or type there.
    """
    originals = {weight.name: weight for weight in find_weights(model)[0]}
    checks = []
    for layer in compressed.layers:
        weight = originals.get(layer.name)
        if weight is None or weight.shape != layer.shape:
            raise InputError(
                where, f"has no weight {layer.name!r} of shape {list(layer.shape)}", "name the model it was made from"
            )
        bounds = np.atleast_1d(bounds_of(weight, Bound.parse(layer.spec), layer.scope))
        codes = decode_layer(compressed, layer) if decoded is None else decoded[layer.name]
        restored = restore(layer, codes, compressed.where)
        del codes
        errors = np.atleast_1d(largest_errors(weight, restored, layer.divisor, layer.scope))
        checks.append(_check(weight, bounds, errors))
    return checks


def _check(weight: Weight, bounds: NDArray[np.float64], errors: NDArray[np.float64]) -> LayerCheck:
    # A NaN compares as broken; bounds of zero are met by errors of zero.
    broken = ~(errors <= bounds)
    with np.errstate(divide="ignore", invalid="ignore"):
        closeness = np.where(bounds > 0, errors / bounds, np.where(errors > 0, np.inf, 0.0))
    worst = int(np.argmax(np.where(np.isnan(closeness), np.inf, closeness)))
    where = min(worst, bounds.size - 1)
    return LayerCheck(weight.name, weight.weights, float(errors[worst]), float(bounds[where]), bool(broken.any()))


def require(checks: list[LayerCheck]) -> None:
    """Raise ``CheckFailedError`` with the first layer that breaks its bound, if one does."""
    for check in checks:
        if check.broken:
            raise CheckFailedError(
                f"layer {check.name!r}: an error of {check.max_error:.9g} is over the bound of {check.bound:.9g}"
            )
