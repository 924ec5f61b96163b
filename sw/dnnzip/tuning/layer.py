"""A layer in the search: its weights, what its inputs look like, and its codes under a choice."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dnnzip.onnx.weights import Weight
from dnnzip.quantize.bound import Scope
from dnnzip.quantize.decoded import decoded_values
from dnnzip.quantize.element_type import FLOAT32
from dnnzip.quantize.grid import FloatGrid, Quantised
from dnnzip.quantize.quantise import quantise
from dnnzip.quantize.step_grid import Snap, StepGrid, on_grid
from dnnzip.quantize.tolerance import largest_errors
from dnnzip.tuning.choice import Choice
from dnnzip.tuning.im2col import Columns
from dnnzip.tuning.rate import bits_of
from dnnzip.tuning.rounding import Feedback, Target, block_of, feedback_of, plain_feedback, round_rows

Floats = NDArray[np.float64]

#: So much of the mean variance is added to each input's where weights make up for what came before them.
DAMPING = 0.03

#: Weight of a bit when codes are chosen; see `rounding.round_rows`.
THRIFT = 1.0


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs that a layer's weights multiply, over a sample of positions."""

    sample: NDArray[np.float32]  # float32 [groups, positions, length]
    mean: Floats  # float64 [groups, length]
    # float64 [groups, blocks, block, block], for blocks of consecutive weights (`rounding.block_of`); zero beyond the
    # end of a channel.
    covariance: Floats

    @staticmethod
    def of(sample: NDArray[np.float32]) -> "Inputs":
        """Take the statistics of a sample of columns."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean = sample.mean(axis=1, dtype=np.float64)
            centred = sample - mean[:, None].astype(np.float32)
            return Inputs(sample, mean, _covariances(centred, centred))

    @property
    def is_finite(self) -> bool:
        """Return True if no product was too large for its type."""
        return bool(np.isfinite(self.covariance).all())

    def across(self, other: "Inputs") -> Floats:
        """Return the covariances between these columns and others of the same positions, in the same blocks."""
        here, there = (item.sample - item.mean[:, None].astype(np.float32) for item in (self, other))
        return _covariances(here, there)


def _covariances(here: NDArray[np.float32], there: NDArray[np.float32]) -> Floats:
    """Return mean products of centred columns, float32 [groups, positions, length]: [groups, blocks, block, block]."""
    groups, positions, length = here.shape
    block = block_of(length)
    result = np.zeros((groups, -(-length // block), block, block))
    for number in range(result.shape[1]):
        part = slice(number * block, (number + 1) * block)
        found = (here[:, :, part].transpose(0, 2, 1) @ there[:, :, part]).astype(np.float64) / positions
        result[:, number, : found.shape[1], : found.shape[2]] = found
    return result


@dataclass(frozen=True, eq=False)
class Rounded:
    """A layer on its grid."""

    codes: NDArray[np.int16]  # int16 [channels, length]
    steps: NDArray[np.float32]  # float32 [channels]
    step_grid: StepGrid | None  # how a file holds them; None where it holds them as they are, or one for all channels
    rows: NDArray[np.float32]  # float32 [channels, length], the decoded weights
    bits: float  # estimated bits of its streams and steps


class Layer:
    """A weight whose bound is searched.

    Parameters
    ----------
    weight
        The weight, float32.
    columns
        How the inputs of its first operator become columns; None where they do not.
    """

    def __init__(self, weight: Weight, columns: Columns | None) -> None:
        self.weight = weight
        self.columns = columns
        self.rows = np.asarray(weight.layout.to_channels(weight.array), np.float32)
        self._bounds: dict[tuple[str, Scope], Floats] = {}

    @property
    def name(self) -> str:
        """The weight's name."""
        return self.weight.name

    def bounds(self, choice: Choice) -> Floats:
        """Return the bound of each channel, float64 [channels]."""
        key = (choice.text, choice.scope)
        if key not in self._bounds:
            self._bounds[key] = choice.bounds(self.weight)
        return self._bounds[key]

    def array_of(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [channels, length] in the shape of the weight."""
        return np.asarray(self.weight.layout.from_channels(rows), np.float32)

    def feedback(self, inputs: Inputs | None) -> Feedback:
        """Prepare rounding for such inputs; without them errors are not passed on."""
        if inputs is None:
            return plain_feedback(1, self.rows.shape[1])
        return feedback_of(inputs.covariance, self.rows.shape[1])

    def wanted(self, plain: Inputs, found: Inputs) -> Floats:
        """Return the weights that best reproduce the plain network's outputs from the inputs that are found.

        With x and x' the plain and the found columns about their means, W E[x x'^T] E[x' x'^T]^-1, damped towards W.
        """
        result = self.rows.astype(np.float64)
        across = plain.across(found)
        groups, blocks, block, _ = across.shape
        per_group = len(result) // groups
        for group, number in np.ndindex(groups, blocks):
            rows = result[group * per_group : (group + 1) * per_group, number * block : (number + 1) * block]
            end = rows.shape[1]
            cross, own = (item[group, number, :end, :end] for item in (across, found.covariance))
            damped = own + (DAMPING * float(np.diagonal(own).mean()) or 1.0) * np.eye(end)
            rows += np.linalg.solve(damped, (cross - own).T @ rows.T).T
        return result

    def round(self, choice: Choice, feedback: Feedback, wanted: Floats | None = None) -> Rounded | None:
        """Put the layer on its grid.

        Parameters
        ----------
        choice
            Bound and scope.
        feedback
            Of the layer's inputs.
        wanted
            float64 [channels, length], the weights that would be best for the output; the layer's own where None.

        Returns
        -------
        Codes, steps and decoded weights; None where a code would not fit into 16 bits.
        """
        if choice.nearest:
            result = quantise(self.weight, choice.bound, choice.scope)
            if not isinstance(result.grid, FloatGrid):
                return None
            steps = np.broadcast_to(result.grid.step, (len(self.rows),)).copy()
            return self._rounded(result.codes, steps, choice.scope, result.grid.step_grid)
        bounds = self.bounds(choice)
        steps = np.minimum(bounds, np.finfo(np.float32).max).astype(np.float32)
        flat = steps <= 0
        if flat.any():
            # A range of zero: the step is the weight itself, and its code the sign.
            first = np.abs(self.rows[:, 0])
            steps = np.where(flat, np.where(first > 0, first, np.float32(1)), steps).astype(np.float32)
        grid = on_grid(steps, self.rows.shape[1], Snap.NEAREST, ~flat) if choice.scope is Scope.CHANNEL else None
        steps = steps if grid is None else grid.steps()
        target = Target(self.rows, self.rows.astype(np.float64) if wanted is None else wanted, steps, bounds)
        codes = round_rows(target, feedback, THRIFT)
        return None if codes is None else self._rounded(codes, steps, choice.scope, grid)

    def _rounded(
        self, codes: NDArray[np.int16], steps: NDArray[np.float32], scope: Scope, grid: StepGrid | None
    ) -> Rounded:
        rows = np.asarray(decoded_values(codes, steps, FLOAT32), np.float32)
        stored = steps.nbytes if scope is Scope.CHANNEL else steps[:1].nbytes
        return Rounded(codes, steps, grid, rows, bits_of(codes) + 8 * (stored if grid is None else grid.side_bytes))

    def error(self, rows: NDArray[np.float32], inputs: Inputs | None, wanted: Floats | None = None) -> float:
        """Return the squared output error, summed over channels, that weights cause, without its mean.

        Parameters
        ----------
        rows
            float32 [channels, length].
        inputs
            The inputs that they multiply; without them it is the squared error of the weights.
        wanted
            The weights that cause none; the layer's own where None.
        """
        difference = rows.astype(np.float64) - (self.rows if wanted is None else wanted)
        if inputs is None:
            return float((difference**2).sum())
        groups, blocks, block, _ = inputs.covariance.shape
        channels, length = difference.shape
        padded = np.pad(difference, ((0, 0), (0, blocks * block - length)))
        parts = padded.reshape(groups, channels // groups, blocks, block).transpose(0, 2, 1, 3)
        return float(((parts @ inputs.covariance) * parts).sum())

    def shift(self, rows: NDArray[np.float32], plain: Inputs, found: Inputs) -> NDArray[np.float32]:
        """Return the correction of the outputs that restores their means in the plain network.

        Parameters
        ----------
        rows
            float32 [channels, length], the decoded weights.
        plain, found
            The layer's inputs in the plain network, and in the compressed one.

        Returns
        -------
        float32 [channels], to be added to the outputs.
        """
        groups = len(plain.mean)
        before = self.rows.reshape(groups, -1, self.rows.shape[1]).astype(np.float64) @ plain.mean[:, :, None]
        after = rows.reshape(groups, -1, rows.shape[1]).astype(np.float64) @ found.mean[:, :, None]
        return np.asarray((before - after).reshape(-1), np.float32)

    def grid(self, choice: Choice, rounded: Rounded) -> Quantised:
        """Return the codes and the grid, as the codec and the container take them."""
        if choice.nearest:
            return quantise(self.weight, choice.bound, choice.scope)
        bounds = self.bounds(choice)
        is_tensor = choice.scope is Scope.TENSOR
        grid = FloatGrid(
            self.weight.element,
            np.asarray(bounds[0] if is_tensor else bounds),
            largest_errors(self.weight, self.array_of(rounded.rows), 1, choice.scope),
            choice.bound.text,
            choice.scope,
            np.asarray(rounded.steps[0] if is_tensor else rounded.steps, np.float32),
            rounded.step_grid,
        )
        return Quantised(grid, rounded.codes)
