"""Network as the model sees it: its layers, each with its counts and the source of its input."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


class Kind(enum.StrEnum):
    """Computation of a layer."""

    CONVOLUTION = "convolution"  # plain, grouped, depthwise or transposed
    DENSE = "dense"  # a matrix product with weights
    PRODUCT = "product"  # a matrix product of two activations: no weights
    POOLING = "pooling"  # no weights and no multiplications
    LOOKUP = "lookup"  # rows of a table are read: no multiplications


@dataclass(frozen=True)
class Layer:
    """A layer, for one sample."""

    name: str  # of its weights; of its node where it has none
    operator: str  # the ONNX operator
    kind: Kind
    units: int  # units that are divided among cores: output channels, neurons, or the channels of a pooling
    reduction: int  # products that one output needs; values in the window of a pooling
    positions: int  # outputs of each unit
    groups: int  # groups of a convolution: a unit reads one group's channels alone
    weights: int  # distinct weights
    # inputs, outputs: activations that it reads and writes.
    inputs: int
    outputs: int
    # Number of the layer whose cores hold its input; None where that is the network's input in the main memory.
    source: int | None = None
    # input_bits, output_bits: width of those activations; None for the accelerator's.
    input_bits: int | None = None
    output_bits: int | None = None
    # Bits of a compressed weight in the main memory; None where its weights are not compressed.
    bits_per_weight: float | None = None
    # False where its shapes are not known: its weights are loaded, and all other counts are 0.
    is_sized: bool = True

    def __post_init__(self) -> None:
        for name in ("units", "reduction", "positions", "groups", "inputs", "outputs"):
            if getattr(self, name) < 1 and self.is_sized:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if self.weights < 0:
            raise ValueError(f"weights must be 0 or more, not {self.weights}")
        if self.bits_per_weight is not None and not self.bits_per_weight > 0:
            raise ValueError(f"bits_per_weight must be above 0, not {self.bits_per_weight}")

    @property
    def operations(self) -> int:
        """Multiplications, or values that go into a pooling."""
        return self.units * self.reduction * self.positions

    @property
    def macs(self) -> int:
        """Multiplications."""
        return 0 if self.kind in (Kind.POOLING, Kind.LOOKUP) else self.operations

    def compressed(self, bits_per_weight: float | None) -> "Layer":
        """Return the layer with its weights compressed to ``bits_per_weight``; one without weights as it is."""
        return replace(self, bits_per_weight=bits_per_weight) if self.weights else self

    def unsized(self) -> "Layer":
        """Return the layer with its weights alone."""
        return replace(
            self, units=0, reduction=0, positions=0, groups=0, inputs=0, outputs=0, source=None, is_sized=False
        )


@dataclass(frozen=True)
class Network:
    """The layers of a network in the order in which they run."""

    name: str
    layers: tuple[Layer, ...]  # its layers; ``source`` counts in this list
    table_bytes: int = 0  # bytes of the table set of compressed weights, which is loaded once
    # Options that have to be given for the sizes of all layers, each with its value.
    open: tuple[tuple[str, str], ...] = ()
    # Operators that are not counted, and how many of each there are.
    unknown: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, layer in enumerate(self.layers):
            if layer.source is not None and not 0 <= layer.source < number:
                raise ValueError(f"source of layer {number} must be a layer before it, not {layer.source}")

    @property
    def is_compressed(self) -> bool:
        """Return True if the weights of any layer are compressed."""
        return any(layer.bits_per_weight is not None for layer in self.layers)

    @property
    def is_open(self) -> bool:
        """Return True if sizes of layers depend on dimensions that are open: of it, memory traffic alone is known."""
        return bool(self.open) and not all(layer.is_sized for layer in self.layers)
