"""Result of a search: the choice for each layer, and the network's accuracy on samples that were not seen."""

from dataclasses import dataclass
from typing import Any

from dnnzip.onnx.compressed import CompressedModel
from dnnzip.presentation.tables import TextTable, number, sizes_line
from dnnzip.tuning.choice import Choice
from dnnzip.tuning.options import TuningOptions
from dnnzip.usecases.summary import Summary, bits_per_weight, layer_json


@dataclass(frozen=True)
class Confirmation:
    """Right answers on samples that took no part in a search."""

    samples: int  # how many
    # Shares of right answers.
    plain: float
    tuned: float
    # 95 % interval of the drop, from a paired bootstrap.
    low: float
    high: float
    # Searches that these samples confirm: 1 is the result's own; more are searches on parts of a small set, whose
    # outcome represents that of the result, which was chosen with all of it.
    folds: int

    @property
    def drop(self) -> float:
        """Share of right answers that is lost."""
        return self.plain - self.tuned

    def line(self) -> str:
        """Return the confirmation as a sentence."""
        how = (
            "samples that the search did not see"
            if self.folds == 1
            else f"samples, each unseen by one of {self.folds} searches"
        )
        return (
            f"top-1 {100 * self.plain:.2f} % plain, {100 * self.tuned:.2f} % tuned on {self.samples:,} {how}: "
            f"a drop of {100 * self.drop:.2f} points (95 % interval {100 * self.low:.2f} to {100 * self.high:.2f})"
        )

    def judgement(self, max_drop: float) -> str:
        """Return a sentence on whether the allowed drop is met: for certain where the whole interval is within it."""
        target = f"target of at most {100 * max_drop:g} points"
        if self.high <= max_drop:
            return f"{target}: met"
        if self.low > max_drop:
            return f"{target}: missed, the whole interval is above it"
        return f"{target}: not certain, the interval goes beyond it; more samples would tell"

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {
            "samples": self.samples,
            "folds": self.folds,
            "plain_top1": self.plain,
            "tuned_top1": self.tuned,
            "drop": self.drop,
            "interval": [self.low, self.high],
        }


@dataclass(frozen=True)
class Uniform:
    """The best single bound for all layers, with nearest codes; see `dnnzip.tuning.uniform`."""

    # The bound.
    text: str
    scope: str
    drop: float  # of all samples, counted
    bits_per_weight: float  # over all weights, everything counted

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        return {
            "bound": self.text,
            "scope": self.scope,
            "drop": self.drop,
            "bits_per_weight": self.bits_per_weight,
        }


@dataclass(frozen=True)
class Asked:
    """Request of a tuning."""

    # Files, as they were named.
    model: str
    data: str
    options: TuningOptions  # the options
    provenance: dict[str, str]  # commit, versions and command, see `dnnzip.usecases.provenance`

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        options = self.options
        return {
            "model": self.model,
            "data": self.data,
            "max_drop": options.max_drop,
            "objective": str(options.objective),
            "accelerator": options.accelerator.name if options.accelerator else None,
            "seed": options.seed,
        }


@dataclass(frozen=True, eq=False)
class Outcome:
    """A tuned network."""

    asked: Asked  # what was asked for
    compressed: CompressedModel  # the compressed model
    summary: Summary  # its sizes
    choices: dict[str, Choice]  # layer name to its choice; missing where the layer stays as it is
    confirmation: Confirmation  # how it does on unseen samples
    single: Uniform | None  # the best single bound by the measure of the search, where it was asked for
    kindest: Uniform | None  # the same by counting on all samples, without any margin

    @property
    def bits_per_weight(self) -> float:
        """Bits over all weights that a convolution or matrix product reads; those left out at their own width."""
        return all_bits(self.summary)

    def saving(self, single: Uniform) -> float:
        """Return the share of bits saved against a single bound."""
        return 1.0 - self.bits_per_weight / single.bits_per_weight

    @property
    def _singles(self) -> list[tuple[str, Uniform]]:
        pairs = (("single_bound", self.single), ("kindest_single_bound", self.kindest))
        return [(name, single) for name, single in pairs if single is not None]

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON object."""
        content = self.asked.as_json() | self.summary.as_json()
        content["totals"]["bits_per_weight_all"] = self.bits_per_weight
        content["layers"] = [
            {**layer_json(layer), "scope": layer.grid.scope.value, "chosen": layer.grid.spec}
            for layer in self.summary.layers
        ]
        content["accuracy"] = self.confirmation.as_json()
        for name, single in self._singles:
            content[name] = {**single.as_json(), "saving": self.saving(single)}
        content["provenance"] = self.asked.provenance
        return content

    def table(self) -> TextTable:
        """Return the table of layers."""
        rows = tuple(
            (
                layer.name,
                "x".join(map(str, layer.shape)),
                f"{layer.weights:,}",
                layer.grid.spec,
                layer.grid.scope.value,
                number(bits_per_weight(layer)),
                number(layer.max_error),
                number(layer.bound),
            )
            for layer in self.summary.layers
        )
        header = ("layer", "shape", "weights", "chosen", "of each", "bits/weight", "largest error", "bound")
        total = ("total", "", f"{self.summary.weights:,}", "", "", number(self.summary.bits_per_weight), "", "")
        return TextTable(header, rows, total, ("shape", "of each", "largest error", "weights"))

    def lines(self) -> list[str]:
        """Return the lines under the table."""
        judgement = self.confirmation.judgement(self.asked.options.max_drop)
        lines = [self.confirmation.line(), judgement, sizes_line(self.summary)]
        lines += [f"left out: {item.name} ({item.weights:,} weights): {item.rule}" for item in self.summary.left_out]
        lines.append(f"{number(self.bits_per_weight)} bits per weight over all weights, everything counted")
        for name, single in self._singles:
            how = {"single_bound": "by the same measure", "kindest_single_bound": "by counting on all samples"}[name]
            lines.append(
                f"best single bound {how}: {single.text} of each {single.scope}, {number(single.bits_per_weight)} bits "
                f"per weight, a drop of {100 * single.drop:.2f} points on all samples; "
                f"tuning saves {100 * self.saving(single):.1f} % of these"
            )
        return lines


def all_bits(summary: Summary) -> float:
    """Return bits per weight over the weights of convolutions and matrix products; left-out ones at their own width."""
    left_out = [item for item in summary.left_out if item.is_weight]
    weights = summary.weights + sum(item.weights for item in left_out)
    return 8 * (summary.bytes + sum(item.bytes for item in left_out)) / weights
