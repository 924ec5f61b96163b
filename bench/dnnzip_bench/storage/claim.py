"""The paper's claim: latency and energy of its family's own networks, each with bits whose source is said."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from dnnzip.accelerator import Estimator, Kind, Network, Timing
from dnnzip.errors import CheckFailedError
from dnnzip.usecases.estimate import read_network
from dnnzip_bench.family_networks import alexnet, lenet5, vgg16
from dnnzip_bench.storage.records import Record
from dnnzip_bench.storage.savings import Counted, bits_per_weight, counted, with_bits
from dnnzip_bench.storage.trained import Drop

PUBLISHED_LATENCY, PUBLISHED_ENERGY = 0.67, 0.64
"""Largest savings in the paper's abstract."""

STATED_BITS = 3.0
STATED = "stated: 3 bits"
HIGHEST = "stated: zoo's highest"
ONE_BOUND = "one bound"
TUNED = "tuned"

LENET, ALEXNET, VGG, LIGHT_ALEXNET = "LeNet-5", "AlexNet", "VGG-16", "light_bvlc_alexnet"


@dataclass(frozen=True)
class Subject:
    """A network with bits for its weights."""

    name: str
    source: str  # where its bits per weight are from
    network: Network
    # Accuracy lost, in points, with samples that the choice saw and others; None where nothing can be run.
    drop: Drop | None
    ways: tuple[Counted, ...]  # what is saved, by each way of counting
    # The same on all samples, where the largest layer alone is compressed.
    largest_drop: float | None = None

    @property
    def bits_per_weight(self) -> float:
        """Bits per weight over all layers."""
        return bits_per_weight(self.network)

    def way(self, largest_only: bool, timing: Timing, baseline: int) -> Counted:
        """Return one way of counting."""
        wanted = (largest_only, timing, baseline)
        return next(way for way in self.ways if (way.largest_only, way.timing, way.baseline) == wanted)


@dataclass(frozen=True)
class Goal:
    """Savings to reach: all layers, ``serial``, weights of 16 bits."""

    name: str
    sources: tuple[str, ...]  # the first of these that the network's subjects have
    latency: float  # share, at least
    energy: float
    drop: float | None = None  # points of accuracy on unseen samples, at most; None where nothing can be run

    def faults(self, subjects: Sequence[Subject]) -> Iterator[str]:
        """Yield a sentence for each saving below its goal."""
        own = [subject for subject in subjects if subject.name == self.name and subject.source in self.sources]
        if not own:
            yield f"{self.name}: no bits per weight from {' or '.join(self.sources)}"
            return
        subject = min(own, key=lambda each: self.sources.index(each.source))
        found = subject.way(False, Timing.SERIAL, 16).saving
        where = f"{self.name}, {subject.source}"
        for what in ("latency", "energy"):
            reached, wanted = getattr(found, what), getattr(self, what)
            if reached < wanted:
                yield f"{where}: {100 * reached:.1f} % of {what} saved, not {100 * wanted:g} %"
        if self.drop is not None and (subject.drop is None or subject.drop.unseen > self.drop + 1e-9):
            lost = "unknown" if subject.drop is None else f"{subject.drop.unseen:.2f}"
            yield f"{where}: accuracy lost is {lost}, not {self.drop:g} points"


GOALS = (
    Goal(LENET, (TUNED, ONE_BOUND), 0.90, 0.88, 0.5),
    Goal(ALEXNET, (STATED,), 0.80, 0.74),
)


def light_alexnet() -> Network:
    """Return the AlexNet inside the onnx package: its layers alone, it has no weights."""
    folder = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return read_network(folder / "light_bvlc_alexnet.onnx")


ENOUGH_WEIGHTS = 10_000
"""Of layers that bits are taken from; those of smaller ones are headers to a good part. First layers are small."""

FIRST, CONVOLUTION, DENSE = "first layer", "other convolutions", "dense layers"


def role(network: Network, name: str) -> str:
    """Return the role of a layer where bits are carried over from one network to another.

    A convolution with one output position, as classifiers behind a mean over the image are, is a dense layer. Depthwise
    convolutions, which the networks of the claim do not have, are none of it: the empty string.
    """
    own = [layer for layer in network.layers if layer.weights]
    layer = next(layer for layer in own if layer.name == name)
    if layer is own[0]:
        return FIRST
    if layer.kind is Kind.DENSE or layer.positions == 1:
        return DENSE
    return "" if layer.groups == layer.units else CONVOLUTION


def highest_bits(measured: Sequence[tuple[Network, Record]]) -> dict[str, tuple[float, str]]:
    """Return bits per weight for each role: the highest of any network's, over its layers, and which network's."""
    highest: dict[str, tuple[float, str]] = {}
    for network, record in measured:
        layers: dict[str, list[str]] = {}
        for name in record.weights:
            layers.setdefault(role(network, name), []).append(name)
        for own, names in layers.items():
            weights = sum(record.weights[name] for name in names)
            if own and (own == FIRST or weights >= ENOUGH_WEIGHTS):
                found = sum(record.bits[name] for name in names) / weights, network.name
                highest[own] = max(highest.get(own, (0.0, "")), found)
    return highest


def carried_over(trained: Network, record: Record, network: Network) -> dict[str, float]:
    """Return bits per weight by layer: those of a trained network, its layers one after the other.

    Raises
    ------
    CheckFailedError
        A layer has other weights than the trained one at its place.
    """
    theirs = [layer for layer in trained.layers if layer.weights]
    ours = [layer for layer in network.layers if layer.weights]
    bits = {}
    for own, other in zip(ours, theirs, strict=False):
        if own.weights != other.weights:
            raise CheckFailedError(
                f"{network.name}: {own.name} has {own.weights} weights, {other.name} {other.weights}"
            )
        bits[own.name] = record.each[other.name]
    return bits


@dataclass(frozen=True)
class Lenet:
    """The trained LeNet-5."""

    layers: Network  # with the names of its tensors
    record: Record
    source: str  # `tuned` or `one bound`
    drop: Drop  # this and the next as in `Subject`
    largest_drop: float


def subjects(
    estimator: Estimator,
    lenet: Lenet,
    highest: Mapping[str, tuple[float, str]],
) -> list[Subject]:
    """Estimate every network with every source of bits; ``highest`` is that of ``highest_bits``."""
    plain = lenet5()
    packed = with_bits(plain, carried_over(lenet.layers, lenet.record, plain))
    ways = tuple(counted(packed, estimator))
    found = [Subject(LENET, lenet.source, packed, lenet.drop, ways, lenet.largest_drop)]
    shapes = {ALEXNET: alexnet(), LIGHT_ALEXNET: light_alexnet(), VGG: vgg16()}
    for name, network in shapes.items():
        weighty = [layer.name for layer in network.layers if layer.weights]
        for source, bits in (
            (STATED, dict.fromkeys(weighty, STATED_BITS)),
            (HIGHEST, {layer: highest[role(network, layer)][0] for layer in weighty}),
        ):
            own = with_bits(network, bits)
            found.append(Subject(name, source, own, None, tuple(counted(own, estimator))))
    return found


def check_goals(found: Sequence[Subject]) -> list[str]:
    """Return a sentence for each figure that falls short of a goal."""
    return [fault for goal in GOALS for fault in goal.faults(found)]
