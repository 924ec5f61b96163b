"""The search for the cheapest choices within a drop in accuracy.

Each layer has curves of bits and of output error against its bound (`curves`), and a sensitivity: how much one unit of
that error moves the network's answers, measured layer by layer. For a price of harm, every layer takes the bound with
the least sum of cost and priced harm (Everett, "Generalized Lagrange multiplier method", 1963). The price is moved
until a trial of the whole network, with feedback and corrected biases, loses what it may. Then sensitivities are
measured again about that point, and the price once more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dnnzip.quantize.bound import Scope
from dnnzip.tuning.calibration import Calibration, Trial
from dnnzip.tuning.choice import Choice, coarsest_single
from dnnzip.tuning.curves import Curve, curve_of
from dnnzip.tuning.journal import Measuring

#: Samples over which the divergence of single layers is taken: the first number divided by the number of layers, but
#: not fewer than the second number nor more than the third.
HARM_WORK = 2048
LEAST_HARM_SAMPLES, MOST_HARM_SAMPLES = 48, 384

#: Trials of changed choices at the end: the first number divided by the number of layers, less the second number for
#: those that the search of prices had.
POLISH_WORK = 160
POLISH_LESS = 6

#: Judged samples per trial, at least: the best of many trials on few samples flatters itself.
POLISH_SAMPLES = 20

#: Octaves by which a changed choice moves: standard deviation and mean, a little towards fewer bits.
POLISH_OCTAVES = 0.25
POLISH_DRIFT = 0.03

#: Layers whose choice is changed in one trial, about; and the chance that the scope changes as well.
POLISH_LAYERS = 2.0
POLISH_SCOPES = 0.1

#: Bits per weight, about, at whose bound sensitivities are measured.
ANCHOR_BITS = 3.0

#: A sensitivity that is measured again counts for no more and no less than this factor of the first.
TRUST = 16.0

#: Octaves by which a layer's bound is raised to measure its sensitivity again.
STEP_OCTAVES = 1.0

#: Uncertainty of the counted drop over the samples, times the square root of their number.
RATIO_SLACK = 0.1

#: Largest expected drop, as a multiple of the aim, of trials that tell how the drop grows with the divergence.
NEAR = 6.0

#: No changed answer among the samples says no more than this part of one.
LEAST_CHANGES = 0.5

#: Trials of the whole network for each search of the price, and how close to the aim is close enough.
TRIALS = 4
CLOSE = 0.85

#: Divergence at the first price, added up over single layers, as a multiple of the aim.
FIRST_DIVERGENCE = 2.0

#: Factor by which a price that changes no choice moves on, and the largest number of such moves.
FAR = 8.0
FARTHEST = 60

#: Bits of a weight that stays as it is.
PLAIN_BITS = 32.0


class Search:
    """One search on one set of calibration samples.

    Parameters
    ----------
    calibration
        Network and samples.
    prices
        Layer name to the cost of one bit of it.
    measuring
        Its measurements.
    seed
        Of the changes at the end.
    """

    def __init__(
        self,
        calibration: Calibration,
        prices: Mapping[str, float],
        measuring: Measuring,
        seed: int,
    ) -> None:
        self._calibration = calibration
        self._seed = seed
        self._prices = prices
        self._measuring = measuring
        self._layers = calibration.subject.layers
        count = HARM_WORK // len(self._layers)
        self._harm_samples = min(max(count, LEAST_HARM_SAMPLES), MOST_HARM_SAMPLES, len(calibration.judged))
        self._curves: dict[str, list[Curve]] = {}
        for name, layer in self._layers.items():
            inputs, feedback = calibration.inputs(name), calibration.feedback(name)
            found = [curve_of(layer, scope, inputs, feedback) for scope in Scope]
            self._curves[name] = [curve for curve in found if curve is not None]
            measuring.step(name)
        self._sensitivity: dict[tuple[str, Scope], float] = {}
        self._points: list[_Point] = []
        self._aim = 0.0
        self._first_sensitivities()

    def run(self, aim: float) -> dict[str, Choice]:
        """Search; return layer names to choices, without the layers that stay as they are.

        Parameters
        ----------
        aim
            The drop to come close to, a share of all samples, above 0.
        """
        self._aim = aim
        self._find_price(aim, self._first_price(aim), "first")
        best = self._best(aim)
        self._refine(best.choices)
        self._find_price(aim, best.price, "second")
        self._polish(aim)
        return self._best(aim).choices

    def single_bound(self, aim: float) -> list[Choice]:
        """Return the coarsest single bound for all layers within the aim, for each scope; after `run`.

        It is judged as trials of the search are: by its divergence, with the same factor and the same aim.
        """

        def is_within(choice: Choice) -> bool:
            def measure() -> float:
                trial = self._calibration.trial(dict.fromkeys(self._layers, choice))
                return self._calibration.judge.divergence(trial.scores)

            divergence = float(self._measuring.measured(f"single bound, {choice.text} {choice.scope}", measure))
            self._measuring.step(choice.text)
            return divergence * self._factor() <= aim

        return [coarsest_single(scope, is_within) for scope in Scope]

    def _first_sensitivities(self) -> None:
        anchors = {
            name: [curve.choice_at(ANCHOR_BITS * self._layers[name].rows.size) for curve in curves]
            for name, curves in self._curves.items()
        }
        found = self._calibration.harms(None, anchors, self._harm_samples, self._measuring.under("plain, ").counted)
        for name, values in found.items():
            for curve, (harm, error) in zip(self._curves[name], values, strict=True):
                self._sensitivity[name, curve.scope] = max(harm, 1e-12) / max(error, 1e-30)

    def _refine(self, choices: Mapping[str, Choice]) -> None:
        """Measure sensitivities again: with all other layers on their grids, one at a time gets a coarser one."""
        trial = self._calibration.trial(choices)
        coarser = {
            name: [Choice.of_share(float(choice.bound.value) * 2.0**STEP_OCTAVES, choice.scope)]
            for name, choice in choices.items()
        }
        found = self._calibration.harms(trial, coarser, self._harm_samples, self._measuring.under("refined, ").counted)
        for name, ((harm, error),) in found.items():
            if error <= 0:
                continue
            factor = min(max(harm / error / self._sensitivity[name, choices[name].scope], 1 / TRUST), TRUST)
            for scope in (curve.scope for curve in self._curves[name]):
                # Half the way, in logarithms: the layers move together.
                self._sensitivity[name, scope] *= math.sqrt(factor)

    def _cheapest(self, price: float) -> dict[str, Choice]:
        """Return every layer's best choice for a price of harm."""
        choices = {}
        for name, curves in self._curves.items():
            best_cost, best = PLAIN_BITS * self._layers[name].rows.size * self._prices[name], None
            for curve in curves:
                costs = curve.bits * self._prices[name] + price * self._sensitivity[name, curve.scope] * curve.errors
                index = int(costs.argmin())
                if costs[index] < best_cost:
                    best_cost = float(costs[index])
                    best = Choice.of_share(2.0 ** float(curve.octaves[index]), curve.scope)
            if best is not None:
                choices[name] = best
        return choices

    def _added_harm(self, choices: Mapping[str, Choice]) -> float:
        """Return the divergence of choices, added up over single layers."""
        total = 0.0
        for name, choice in choices.items():
            curve = next(curve for curve in self._curves[name] if curve.scope is choice.scope)
            total += self._sensitivity[name, choice.scope] * curve.error_of(float(choice.bound.value))
        return total

    def _first_price(self, aim: float) -> float:
        """Return a price at which the harms of single layers add up to about what is aimed at."""
        low, high = -60.0, 60.0
        scale = float(np.median(list(self._prices.values()))) * sum(layer.rows.size for layer in self._layers.values())
        for _ in range(40):
            middle = (low + high) / 2
            if self._added_harm(self._cheapest(scale * 2.0**middle)) > FIRST_DIVERGENCE * aim:
                low = middle
            else:
                high = middle
        return float(scale * 2.0**high)

    def _find_price(self, aim: float, price: float, stage: str) -> None:
        """Move the price until the drop is just below the aim.

        The drop falls about as the price rises; between a price that is too low and one that is high enough, the next
        one is interpolated, in logarithms.
        """
        points: list[_Point] = []
        number = 0
        # In the end there is at least one point that loses no more than it may.
        while number < TRIALS or (number < 4 * TRIALS and all(self._drop(point) > aim for point in self._points)):
            points.append(self._point(price, self._cheapest(price), f"{stage} {number}"))
            number += 1
            if CLOSE * aim <= self._drop(points[-1]) <= aim:
                break
            is_within = {self._drop(point) <= aim for point in points}
            price = _next_price([(point.price, max(self._drop(point), 1e-9)) for point in points], aim)
            if len(is_within) > 1:
                if any(point.choices == self._cheapest(price) for point in points):
                    break
                continue
            # Far off, the price must move a long way before any layer takes another bound.
            for _ in range(FARTHEST):
                if self._cheapest(price) != points[-1].choices:
                    break
                price *= FAR if is_within == {False} else 1 / FAR

    def _drop(self, point: "_Point") -> float:
        """Return the drop to be expected of a point on samples that were not seen."""
        return point.divergence * self._factor()

    def _factor(self) -> float:
        """Return the factor from a divergence to a drop.

        Around the aim the drop is about proportional to the divergence, which has the least noise of all. The expected
        drop sets the factor; it may be too low throughout, since the network's probabilities need not be right where
        answers change, so the counted drop, where it is clearly higher, raises the factor.
        """
        near = [item for item in self._points if item.expected <= NEAR * self._aim] or self._points
        counted, expected, divergence = (
            float(np.mean(values))
            for values in zip(*((item.counted, item.expected, item.divergence) for item in near), strict=True)
        )
        slack = RATIO_SLACK / math.sqrt(len(self._calibration.judged))
        floor = LEAST_CHANGES / len(self._calibration.judged)
        return max(expected, floor) / max(divergence, 1e-12) * max((counted + slack) / (expected + slack), 1.0)

    def _best(self, aim: float) -> "_Point":
        """Return the cheapest point within the aim; the one closest to it where there is none."""
        within = [point for point in self._points if self._drop(point) <= aim]
        return min(within, key=lambda point: point.cost) if within else min(self._points, key=self._drop)

    def _polish(self, aim: float) -> None:
        """Change some choices at random, and keep what takes fewer bits within the aim.

        At few bits the harm of a grid jumps with its step, and no sensitivity tells by how much.
        """
        rng = np.random.default_rng(self._seed)
        trials = min(POLISH_WORK // len(self._layers) - POLISH_LESS, len(self._calibration.judged) // POLISH_SAMPLES)
        for number in range(max(trials, 0)):
            best = self._best(aim)
            choices = dict(best.choices)
            # In an order that does not depend on what came before.
            for name in sorted(choices):
                is_changed, flip, move = rng.random(), rng.random(), rng.normal(POLISH_DRIFT, POLISH_OCTAVES)
                if is_changed * len(choices) > POLISH_LAYERS:
                    continue
                scope = choices[name].scope
                if flip < POLISH_SCOPES:
                    scope = Scope.CHANNEL if scope is Scope.TENSOR else Scope.TENSOR
                share = float(choices[name].bound.value) * 2.0**move
                choices[name] = Choice.of_share(min(share, 1.0), scope)
            self._point(best.price, choices, f"polish {number}")

    def _point(self, price: float, choices: dict[str, Choice], name: str) -> "_Point":
        def measure() -> list[float]:
            trial = self._calibration.trial(choices)
            judge = self._calibration.judge
            cost = self._cost(trial)
            return [cost, judge.expected_drop(trial.scores), judge.drop(trial.scores), judge.divergence(trial.scores)]

        cost, expected, counted, divergence = self._measuring.under("trial ").counted(name, measure)
        point = _Point(price, choices, float(cost), float(expected), float(counted), float(divergence))
        self._points.append(point)
        return point

    def _cost(self, trial: Trial) -> float:
        return sum(
            self._prices[name] * (trial.rounded[name].bits if name in trial.rounded else PLAIN_BITS * layer.rows.size)
            for name, layer in self._layers.items()
        )


@dataclass(frozen=True, eq=False)
class _Point:
    price: float
    choices: dict[str, Choice]
    cost: float
    expected: float
    counted: float
    divergence: float


def _next_price(points: Sequence[tuple[float, float]], aim: float) -> float:
    """Return the price to try next, from pairs of price and drop: log price against log drop."""
    wanted = math.log(aim * (1 + CLOSE) / 2)
    logs = [(math.log(price), math.log(drop)) for price, drop in points]
    below = [item for item in logs if item[1] <= math.log(aim)]
    above = [item for item in logs if item[1] > math.log(aim)]
    if not below or not above:
        price, drop = min(below) if below else max(above)
        # Beyond what was tried: the drop is about inverse to the price; never more than a factor of 64 at once.
        return math.exp(price + min(max(drop - wanted, -math.log(64)), math.log(64)) * 1.1)
    (low_price, low_drop), (high_price, high_drop) = max(above), min(below)
    share = (low_drop - wanted) / max(low_drop - high_drop, 1e-9)
    return math.exp(low_price + min(max(share, 0.1), 0.9) * (high_price - low_price))


def steps_of(layers: int) -> int:
    """Return about how many pieces of work a search has over ``layers`` layers, for a progress bar."""
    return layers * (1 + len(Scope) + 1) + 2 + 2 * TRIALS + max(POLISH_WORK // layers - POLISH_LESS, 0)
