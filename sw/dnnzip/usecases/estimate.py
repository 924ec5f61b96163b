"""A network's latency and energy on an accelerator, with plain weights and with compressed ones."""

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
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.shapes import layer_shapes
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
                "macs": layer.macs * self.options.batch,
                "bits_per_weight": layer.bits_per_weight,
                "baseline": before.as_json(),
                "compressed": after.as_json(),
                **reductions(before, after),
            }
            for layer, before, after in self.pairs
        ]
        return {
            "accelerator": self.accelerator.name,
            "timing": self.options.timing.value,
            "batch": self.options.batch,
            "weight_bits": self.weight_bits,
            "placement": self.accelerator.decompressor.placement.value,
            "total": _pair(self.baseline, self.compressed),
            "timings": {timing.value: _pair(*pair) for timing, pair in self.others.items()},
            "table_set": self.table_set.as_json() if self.table_set else None,
            "layers": layers,
        }


def _pair(before: Estimate, after: Estimate) -> dict[str, Any]:
    return {"baseline": before.as_json(), "compressed": after.as_json(), **reductions(before, after)}


def read_network(path: str | Path) -> Network:
    """Read a network's layers: a plain model, a compressed one, or one of shapes only.

    Parameters
    ----------
    path
        The model file.

    Returns
    -------
    Its layers; those of a compressed model have the bits of their streams.

    Raises
    ------
    InputError
        See ``open_model``, ``open_compressed`` and ``layer_shapes``.
    """
    return describe(open_model(path), Path(path).name, str(path))


def describe(model: onnx.ModelProto, name: str, where: str) -> Network:
    """Find a network's layers, those of a compressed model with the bits of their streams; see `network_of`."""
    network = network_of(model, name, where)
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


def network_of(model: onnx.ModelProto, name: str, where: str) -> Network:
    """Find a network's layers, without the bits of any streams.

    Parameters
    ----------
    model
        The network, plain, compressed, or of shapes only; left as it is.
    name
        Of the network.
    where
        The file, for messages.

    Raises
    ------
    InputError
        See ``layer_shapes``.
    """
    layers = [
        Layer(
            name=shape.name,
            operator=shape.operator,
            kind=Kind(shape.role.value),
            units=shape.units,
            reduction=shape.reduction,
            positions=shape.positions,
            groups=shape.groups,
            weights=shape.weights,
            inputs=shape.inputs,
            outputs=shape.outputs,
            source=shape.source,
        )
        for shape in layer_shapes(model, where)
    ]
    return Network(name, tuple(layers))


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
