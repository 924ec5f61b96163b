"""A network's latency and energy on an accelerator, with plain weights and with compressed ones."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx

from dnnzip.accelerator import (
    Accelerator,
    Estimate,
    Kind,
    Layer,
    LayerEstimate,
    Network,
    Timing,
    estimator_of,
    reductions,
)
from dnnzip.errors import InputError, field_name
from dnnzip.onnx.compressed import CompressedModel, is_compressed
from dnnzip.onnx.files import open_model
from dnnzip.onnx.given_sizes import GivenSizes, OpenDimension
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.operators import Role
from dnnzip.onnx.shapes import AS_DECLARED, LayerShape, network_shape
from dnnzip.usecases.summary import bits_per_weight

WIDEST_BITS = 64

#: Limits of a number that is not made of streams: beyond them, results are none that an accelerator has.
SMALLEST_BITS, SMALLEST_RATIO, LARGEST_RATIO, LARGEST_BATCH = 1e-6, 1e-6, 1e6, 10**9


@dataclass(frozen=True)
class EstimationOptions:
    """Options of an estimate."""

    timing: Timing = Timing.SERIAL  # how the parts of a layer overlap
    batch: int = 1  # samples at once, 1 or more
    weight_bits: int | None = None  # of a weight that is not compressed; None for the accelerator's
    bits: float | None = None  # of every compressed weight, instead of those of the model's own streams
    # Ratio of plain to compressed size of every weight, instead of the streams' own; not together with ``bits``.
    ratio: float | None = None

    def __post_init__(self) -> None:
        check_batch(self.batch)
        if self.bits is not None and self.ratio is not None:
            raise InputError(
                field_name("bits"), f"cannot be given together with {field_name('ratio')}", "give one of them"
            )
        if self.bits is not None and not 0 < self.bits <= WIDEST_BITS:
            raise InputError(
                field_name("bits"), f"{self.bits:g} is out of range", f"give bits above 0 and up to {WIDEST_BITS}"
            )
        if self.bits is not None and self.bits < SMALLEST_BITS:
            raise InputError(
                field_name("bits"), f"{self.bits:g} is out of range", f"give {SMALLEST_BITS:g} bits or more"
            )
        if self.ratio is not None and not SMALLEST_RATIO <= self.ratio <= LARGEST_RATIO:
            right = f"give a ratio above 0, from {SMALLEST_RATIO:g} to {LARGEST_RATIO:g}"
            raise InputError(field_name("ratio"), f"{self.ratio:g} is out of range", right)


def check_batch(batch: int) -> None:
    """Refuse a number of samples for an accelerator.

    Raises
    ------
    InputError
        It is not from 1 to `LARGEST_BATCH`.
    """
    if not 1 <= batch <= LARGEST_BATCH:
        raise InputError(field_name("batch"), "is not a number of samples", f"give 1 to {LARGEST_BATCH}")


@dataclass(frozen=True)
class Comparison:
    """A network with plain weights, compared with the same network with compressed ones."""

    network: Network  # its layers
    accelerator: Accelerator  # what it runs on
    options: EstimationOptions  # how it was estimated
    weight_bits: int  # of a weight that is not compressed
    # The estimates, in the timing asked for.
    baseline: Estimate
    compressed: Estimate
    others: dict[Timing, tuple[Estimate, Estimate]]  # the same pair for each timing

    @property
    def pairs(self) -> list[tuple[Layer, LayerEstimate, LayerEstimate]]:
        """Layers with their two estimates."""
        return list(zip(self.network.layers, self.baseline.layers, self.compressed.layers, strict=True))

    @property
    def table_set(self) -> LayerEstimate | None:
        """Cost of loading the table set, once, where there is one; it is in no total."""
        return self.compressed.table_set

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        layers = [
            {
                "name": layer.name,
                "operator": layer.operator,
                "weights": layer.weights,
                "macs": layer.macs * self.options.batch if layer.is_sized else None,
                "bits_per_weight": layer.bits_per_weight,
                **self._pair(before, after),
            }
            for layer, before, after in self.pairs
        ]
        return {
            "accelerator": self.accelerator.name,
            "timing": self.options.timing.value,
            "batch": self.options.batch,
            "weight_bits": self.weight_bits,
            "placement": self.accelerator.decompressor.placement.value,
            "total": self._pair(self.baseline, self.compressed),
            "timings": {timing.value: self._pair(*pair) for timing, pair in self.others.items()},
            "table_set": self.table_set.as_json() if self.table_set else None,
            "open": [{"option": option, "value": value} for option, value in self.network.open],
            "not_counted": dict(self.network.unknown),
            "layers": layers,
        }

    def _pair(self, before: Estimate | LayerEstimate, after: Estimate | LayerEstimate) -> dict[str, Any]:
        """Return two estimates and what is saved; of an open network, null but for the bytes."""
        sides: dict[str, dict[str, Any]] = {"baseline": before.as_json(), "compressed": after.as_json()}
        saved = reductions(before, after)
        if not self.network.is_open:
            return {**sides, **saved}
        nulls = {side: {**dict.fromkeys(found), "weight_bytes": found["weight_bytes"]} for side, found in sides.items()}
        return {**nulls, **dict.fromkeys(saved)}


def read_network(path: str | Path, given: GivenSizes = AS_DECLARED) -> Network:
    """Read a network's layers: a plain model, a compressed one, or one of shapes only.

    Parameters
    ----------
    path
        The model file.
    given
        Sizes of open dimensions.

    Returns
    -------
    Its layers; those of a compressed model have the bits of their streams.

    Raises
    ------
    InputError
        See ``open_model``, ``open_compressed`` and ``network_shape``.
    """
    return describe(open_model(path), Path(path).name, str(path), given)


def describe(model: onnx.ModelProto, name: str, where: str, given: GivenSizes = AS_DECLARED) -> Network:
    """Find a network's layers, those of a compressed model with the bits of their streams; see `network_of`."""
    network = network_of(model, name, where, given)
    return with_streams(network, open_compressed(model, where)) if is_compressed(model) else network


def with_streams(network: Network, compressed: CompressedModel) -> Network:
    """Set the bits of a network's layers to those of a compressed model's streams, as `compress` counts them.

    Parameters
    ----------
    network
        Its layers, of the plain model or of the compressed one.
    compressed
        The compressed model.
    """
    bits = {layer.name: bits_per_weight(layer) for layer in compressed.layers}
    layers = tuple(layer.compressed(bits.get(layer.name)) for layer in network.layers)
    return replace(network, layers=layers, table_bytes=len(compressed.tables))


def network_of(model: onnx.ModelProto, name: str, where: str, given: GivenSizes = AS_DECLARED) -> Network:
    """Find a network's layers, without the bits of any streams.

    Where dimensions stay open on which the size of any layer depends, every layer has its weights alone.

    Parameters
    ----------
    model
        The network, plain, compressed, or of shapes only; left as it is.
    name
        Of the network.
    where
        The file, for messages.
    given
        Sizes of open dimensions.

    Raises
    ------
    InputError
        See ``network_shape``.
    """
    shape = network_shape(model, where, given)
    layers = tuple(map(_layer, shape.layers))
    network = Network(name, layers, open=_missing(model, shape.open), unknown=shape.unknown)
    return replace(network, layers=tuple(layer.unsized() for layer in layers)) if network.is_open else network


def require_sizes(network: Network, where: str) -> Network:
    """Return a network, of which more than the traffic of its weights is needed.

    Raises
    ------
    InputError
        Dimensions are open on which its cycles depend.
    """
    if network.is_open:
        text = ", ".join(value for _, value in network.open)
        raise InputError(where, f"leaves sizes open ({text})", "export it with fixed shapes")
    return network


def _missing(model: onnx.ModelProto, dimensions: Sequence[OpenDimension]) -> tuple[tuple[str, str], ...]:
    """Return the options that would say what is open, each with its value."""
    if dimensions and all(dimension.is_sequence for dimension in dimensions):
        return (("seq_len", "N"),)
    names = dict.fromkeys(dimension.input for dimension in dimensions)
    inputs = {str(value.name): value.type.tensor_type.shape.dim for value in model.graph.input}
    missing = []
    for name in names:
        is_open = {dimension.position for dimension in dimensions if dimension.input == name}
        sizes = (
            (dim.dim_param or "?") if position in is_open else str(max(dim.dim_value, 1))
            for position, dim in enumerate(inputs[name])
        )
        missing.append(("shape", f"{name}={'x'.join(sizes)}"))
    return tuple(missing)


#: Kinds of roles that are counted as others are, once their sizes are known.
_KINDS = {Role.RECURRENT: Kind.DENSE, Role.EXPERTS: Kind.DENSE, Role.CONTRACTION: Kind.DENSE}


def _layer(shape: LayerShape) -> Layer:
    found = Layer(
        name=shape.name,
        operator=shape.operator,
        kind=_KINDS.get(shape.role) or Kind(shape.role.value),
        weights=shape.weights,
        source=shape.source,
        is_sized=shape.counts is not None,
        **dict.fromkeys(("units", "reduction", "positions", "groups", "inputs", "outputs"), 0)
        if shape.counts is None
        else vars(shape.counts),
    )
    return found if found.is_sized else found.unsized()


def compare(network: Network, accelerator: Accelerator, options: EstimationOptions, where: str) -> Comparison:
    """Estimate a network with plain and with compressed weights.

    Parameters
    ----------
    network
        Its layers.
    accelerator
        What it runs on.
    options
        How.
    where
        The model file, for messages.

    Raises
    ------
    InputError
        Nothing says how many bits compressed weights take.
    """
    weight_bits = options.weight_bits or accelerator.weight_bits
    bits = options.bits if options.ratio is None else weight_bits / options.ratio
    if bits is not None:
        # No streams, no table set.
        network = replace(network, layers=tuple(layer.compressed(bits) for layer in network.layers), table_bytes=0)
    elif not network.is_compressed:
        raise InputError(
            where,
            "has no compressed weights",
            f"give {field_name('bits')} or {field_name('ratio')}, or a model of 'dnnzip compress'",
        )
    estimator = estimator_of(accelerator)
    pairs = {}
    for timing in Timing:
        before = estimator.estimate(network, timing, options.batch, weight_bits, compressed=False)
        after = estimator.estimate(network, timing, options.batch, weight_bits)
        pairs[timing] = (before, after)
    return Comparison(network, accelerator, options, weight_bits, *pairs[options.timing], pairs)
