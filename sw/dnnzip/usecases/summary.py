"""Sizes of a compressed model, layer by layer and in total: the numbers of ``compress`` and ``info``."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import onnx

from dnnzip.onnx.compressed import DOMAIN, CompressedLayer, CompressedModel
from dnnzip.onnx.constants import INDEX_TYPES, find_constants
from dnnzip.onnx.graph import reads_of
from dnnzip.onnx.weights import LeftOut, Weight, find_weights, is_selected, suits_unit
from dnnzip.quantize.bound import Bound
from dnnzip.quantize.energy import Loss

FP32_BITS = 32

#: Kinds of arrays that are no weights.
LISTS = "biases, scales and other lists of numbers"
INDICES = "indices, shapes and masks"


@dataclass(frozen=True)
class Others:
    """Arrays of one kind that are no weights, and stay as they are."""

    kind: str
    arrays: int
    bytes: int


@dataclass(frozen=True)
class Summary:
    """Sizes of a compressed model."""

    layers: tuple[CompressedLayer, ...]  # its compressed weights
    left_out: tuple[LeftOut, ...]  # those that are not
    table_bytes: int  # bytes of the table set
    losses: Mapping[str, Loss] = field(default_factory=dict)  # what each weight lost; empty for a file that is read
    others: tuple[Others, ...] = ()  # all other arrays of the network

    @property
    def compressed_bytes(self) -> int:
        """Bytes of the compressed weights in the network."""
        return sum(layer.grid.element.stored_bytes(layer.weights) for layer in self.layers)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all constant arrays of the network."""
        stay = sum(item.bytes for item in self.left_out) + sum(item.bytes for item in self.others)
        return self.compressed_bytes + stay

    @property
    def weights(self) -> int:
        """Compressed weights."""
        return sum(layer.weights for layer in self.layers)

    @property
    def stream_bytes(self) -> int:
        """Every byte that goes to the accelerator's memory for them: table set, headers, payloads, checksums."""
        return self.table_bytes + sum(layer.stream_bytes for layer in self.layers)

    @property
    def side_bytes(self) -> int:
        """Every byte that a decoder needs in addition to them: steps and zero points."""
        return sum(layer.grid.side_bytes for layer in self.layers)

    @property
    def bytes(self) -> int:
        """Bytes of the streams, and of the steps and zero points that a decoder needs in addition."""
        return self.stream_bytes + self.side_bytes

    @property
    def bits_per_weight(self) -> float:
        """Bits per compressed weight, everything counted."""
        return 8 * self.bytes / self.weights

    @property
    def step_loss(self) -> float:
        """Bits per compressed weight that steps on a grid cost, against the largest that keep the bounds."""
        return sum(layer.step_loss * layer.weights for layer in self.layers) / self.weights

    @property
    def ratio_fp32(self) -> float:
        """Ratio of 32 bits to the bits per weight."""
        return FP32_BITS / self.bits_per_weight

    @property
    def large_losses(self) -> dict[str, Loss]:
        """The layers that lose whole channels or more than a tenth of their energy, and what they lose."""
        return {name: loss for name, loss in self.losses.items() if loss.is_large}

    def as_json(self) -> dict[str, Any]:
        """Return the JSON object: ``totals``, ``layers``, ``left_out``, ``others``, and ``lossy`` where it is known."""
        unused = [item for item in self.left_out if item.is_weight]
        lossy = [{"name": name, **asdict(loss)} for name, loss in self.large_losses.items()]
        return {
            "totals": {
                "weights": self.weights,
                "stream_bytes": self.stream_bytes,
                "table_bytes": self.table_bytes,
                "side_bytes": self.side_bytes,
                "step_loss_bits": self.step_loss,
                "bits_per_weight": self.bits_per_weight,
                "ratio_fp32": self.ratio_fp32,
                "left_out_weights": sum(item.weights for item in unused),
                "left_out_bytes": sum(item.bytes for item in unused),
                "parameter_bytes": self.parameter_bytes,
                "compressed_parameter_bytes": self.compressed_bytes,
            },
            "layers": [layer_json(layer) for layer in self.layers],
            "left_out": [
                {
                    "name": item.name,
                    "shape": list(item.shape),
                    "weights": item.weights,
                    "bytes": item.bytes,
                    "rule": item.rule,
                }
                for item in self.left_out
            ],
            **({"lossy": lossy} if self.losses else {}),
            "others": [asdict(item) for item in self.others],
        }


def layer_json(layer: CompressedLayer) -> dict[str, Any]:
    """Return the JSON object of a layer."""
    return {
        "name": layer.name,
        "shape": list(layer.shape),
        "weights": layer.weights,
        "codec": layer.codec,
        "stream_bytes": layer.stream_bytes,
        "side_bytes": layer.grid.side_bytes,
        "step_loss_bits": layer.step_loss,
        "bits_per_weight": bits_per_weight(layer),
        "max_error": layer.max_error,
        "bound": layer.bound,
        "unit": layer.grid.unit.value,
    }


def bits_per_weight(layer: CompressedLayer) -> float:
    """Return the bits of a layer per weight, with its steps and zero points, without its share of the table set."""
    return 8 * (layer.stream_bytes + layer.grid.side_bytes) / layer.weights


def summarise(
    compressed: CompressedModel,
    left_out: Sequence[LeftOut] | None = None,
    losses: Mapping[str, Loss] | None = None,
) -> Summary:
    """Return the sizes of a compressed model.

    Parameters
    ----------
    compressed
        The model.
    left_out
        The weights left out, where they are known from the compression; otherwise they are found in the file.
    losses
        What each weight lost, where it is known from the compression.
    """
    if left_out is None:
        uncompressed, found = find_weights(compressed.model)
        left_out = [*found, *(weight.left_out(_reason(weight, compressed.layers)) for weight in uncompressed)]
    others = _others(compressed.model, {item.name for item in left_out})
    return Summary(compressed.layers, tuple(left_out), len(compressed.tables), losses or {}, others)


def _others(model: onnx.ModelProto, left_out: set[str]) -> tuple[Others, ...]:
    """Return the arrays that are neither streams nor weights, by kind, the largest first."""
    own = {name for node in model.graph.node if node.domain == DOMAIN for name in node.input}
    own.difference_update(*(reads_of(node) for node in model.graph.node if node.domain != DOMAIN))
    sizes: dict[str, list[int]] = defaultdict(list)
    for constant in find_constants(model):
        if constant.tensor.name not in own | left_out:
            sizes[INDICES if constant.tensor.data_type in INDEX_TYPES else LISTS].append(constant.bytes)
    kinds = (Others(kind, len(found), sum(found)) for kind, found in sizes.items())
    return tuple(sorted(kinds, key=lambda item: -item.bytes))


def _reason(weight: Weight, layers: Sequence[CompressedLayer]) -> str:
    """Return the rule that left a weight out of a file with these layers."""
    suits_any = any(suits_unit.is_met(weight, Bound.parse(spec)) for spec in {layer.grid.spec for layer in layers})
    return (is_selected if suits_any else suits_unit).sentence
