"""The check of a compressed model against its original: weights against their bounds, and the network around them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.errors import CheckFailedError, InputError
from dnnzip.onnx.biases import corrected, declared, declared_values
from dnnzip.onnx.compressed import CompressedModel
from dnnzip.onnx.compression import folded_skeleton
from dnnzip.onnx.decompression import decode_layer, decoded_skeleton, restore
from dnnzip.onnx.differences import differences
from dnnzip.onnx.rescale import fold_obstacle
from dnnzip.onnx.weights import Weight, find_weights
from dnnzip.quantize.bound import Bound, Unit
from dnnzip.quantize.element_type import FLOAT32
from dnnzip.quantize.tolerance import bounds_of, largest_errors, largest_relative_error

#: Most differences under a table; the JSON has all.
SHOWN = 20


@dataclass(frozen=True)
class LayerCheck:
    """A layer's largest error against its bound."""

    name: str  # the weight's name
    weights: int  # weights compared
    # Those of the channel (or tensor) that comes closest to its bound, in the layer's unit.
    max_error: float
    bound: float
    broken: bool  # weights beyond their bound

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object of the check."""
        return {
            "name": self.name,
            "weights": self.weights,
            "max_error": self.max_error,
            "bound": self.bound,
            "ok": not self.broken,
        }


@dataclass(frozen=True)
class Verification:
    """Result of a comparison with the original."""

    layers: tuple[LayerCheck, ...]  # the compressed weights against their bounds
    # A line for all else that a runtime would see differently, except what compression has to change.
    differences: tuple[str, ...]
    changed_biases: tuple[str, ...]  # biases that tuning has changed, and the file declares

    @property
    def ok(self) -> bool:
        """Return True if every weight keeps its bound and the networks do not differ."""
        return not self.differences and not any(check.broken for check in self.layers)

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {
            "ok": self.ok,
            "layers": [check.as_json() for check in self.layers],
            "differences": list(self.differences),
            "changed_biases": list(self.changed_biases),
        }

    def lines(self) -> list[str]:
        """Return the lines under the table: the first differences, and the changed biases."""
        lines = [f"differs from the original: {line}" for line in self.differences[:SHOWN]]
        if len(self.differences) > SHOWN:
            lines.append(f"and {len(self.differences) - SHOWN} more differences")
        return lines + [f"bias changed by tuning: {name}" for name in self.changed_biases]


def verify(
    model: onnx.ModelProto,
    compressed: CompressedModel,
    where: str = "model",
    decoded: Mapping[str, NDArray[np.generic]] | None = None,
) -> Verification:
    """Compare every compressed weight with its original, and the whole network with what compression makes of it.

    Parameters
    ----------
    model
        The original network; its Constant nodes become initializers, otherwise it is left as it is.
    compressed
        The compressed one.
    where
        The original's file, for messages.
    decoded
        Codes of each layer, where a link has decoded them already.

    Raises
    ------
    InputError
        A layer is not in the original or has another shape there, its stream is damaged, it decodes to weights that are
        not finite, or the declaration of changed biases is damaged.
    """
    weights = find_weights(model)[0]
    originals = {weight.name: weight for weight in weights}
    checks: list[LayerCheck] = []
    found: list[str] = []
    for layer in compressed.layers:
        weight = originals.get(layer.name)
        if weight is None or weight.shape != layer.shape:
            raise InputError(
                where, f"has no weight {layer.name!r} of shape {list(layer.shape)}", "name the model it was made from"
            )
        bounds = np.atleast_1d(bounds_of(weight, Bound.parse(layer.grid.spec), layer.grid.scope))
        codes = decode_layer(compressed, layer) if decoded is None else decoded[layer.name]
        restored = restore(layer, codes, compressed.where)
        del codes
        if layer.grid.unit is Unit.RELATIVE:
            errors = np.atleast_1d(largest_relative_error(weight.array, restored))
        else:
            errors = np.atleast_1d(largest_errors(weight, restored, layer.divisor, layer.grid.scope))
        checks.append(check_errors(weight.name, weight.weights, bounds, errors))
        said = (layer.max_error, layer.bound, layer.grid.spec)
        found += false_statements(layer.name, said, bounds, errors)
    biases = declared(compressed.model, compressed.where)
    expected = model
    if biases is not None:
        floats = [weight for weight in weights if weight.element is FLOAT32]
        expected = corrected(model, floats, declared_values(compressed.model, biases, floats)).model
    divisors, obstacles = _divisors(model, compressed, originals)
    actual = decoded_skeleton(compressed)
    found += [*obstacles, *differences(folded_skeleton(expected, divisors), actual)]
    return Verification(tuple(checks), tuple(found), tuple(sorted((biases or {}).values())))


def false_statements(
    name: str, said: tuple[float, float, str], bounds: NDArray[np.float64], errors: NDArray[np.float64]
) -> Iterator[str]:
    """Yield a line for each statement of a file on a layer's errors that does not hold.

    Parameters
    ----------
    name
        Of the layer.
    said
        Largest error and bound as the file says, and the bound as the user wrote it.
    bounds, errors
        Those found, of the tensor or of each channel.
    """
    error, bound = float(errors.max()), float(bounds.max())
    said_error, said_bound, spec = said
    if said_error != error:
        yield f"layer {name!r}: its largest error is {error:.9g}, and its node says {said_error:.9g}"
    if not error <= said_bound <= bound:
        yield f"layer {name!r}: its node says a bound of {said_bound:.9g}, and {spec!r} is {bound:.9g}"


def _divisors(
    model: onnx.ModelProto, compressed: CompressedModel, originals: Mapping[str, Weight]
) -> tuple[dict[str, int], list[str]]:
    """Return the folded divisor of each layer, in the order of the original, and a line where that cannot be."""
    stated = {layer.name: layer.divisor for layer in compressed.layers}
    divisors: dict[str, int] = {}
    obstacles = []
    for name in filter(stated.__contains__, originals):
        weight, divisors[name] = originals[name], stated[name]
        # A float weight that is said to have been integers differs in its type, which the comparison says.
        obstacle = (
            fold_obstacle(model, weight, stated[name]) if weight.element.is_integer and stated[name] > 1 else None
        )
        if obstacle is not None:
            obstacles.append(
                f"layer {name!r}: its steps of {stated[name]} cannot be in the scales. {obstacle.sentence}"
            )
        if obstacle is not None or not weight.element.is_integer:
            divisors[name] = 1
    return divisors, obstacles


def check_errors(name: str, weights: int, bounds: NDArray[np.float64], errors: NDArray[np.float64]) -> LayerCheck:
    """Return the check of a layer of this name and number of weights, by its bounds and errors."""
    # A NaN compares as broken; bounds of zero are met by errors of zero.
    broken = ~(errors <= bounds)
    with np.errstate(divide="ignore", invalid="ignore"):
        closeness = np.where(bounds > 0, errors / bounds, np.where(errors > 0, np.inf, 0.0))
    worst = int(np.argmax(np.where(np.isnan(closeness), np.inf, closeness)))
    where = min(worst, bounds.size - 1)
    return LayerCheck(name, weights, float(errors[worst]), float(bounds[where]), bool(broken.any()))


def require(verification: Verification) -> None:
    """Raise ``CheckFailedError`` with the first layer that breaks its bound, or else the first difference."""
    for check in verification.layers:
        if check.broken:
            raise CheckFailedError(
                f"layer {check.name!r}: an error of {check.max_error:.9g} is over the bound of {check.bound:.9g}"
            )
    if verification.differences:
        first, others = verification.differences[0], len(verification.differences) - 1
        more = f" (and {others} more)" if others else ""
        raise CheckFailedError(f"differs from the original: {first}{more}")
