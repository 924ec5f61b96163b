"""The comparison as tables of text."""

from collections.abc import Callable, Iterable, Sequence

from dnnzip.presentation.tables import TextTable
from dnnzip_bench.coders.measure import Result
from dnnzip_bench.coders.ours import Dnnzip
from dnnzip_bench.coders.results import SPEED_LSB, SPEED_PERCENT, Comparison
from dnnzip_bench.coders.rivals import NnCodec, Vela

NOTHING = "-"


def _bounds(results: Iterable[Result]) -> list[str]:
    return list(dict.fromkeys(result.bound for result in results))


def _networks(results: Iterable[Result]) -> list[str]:
    return list(dict.fromkeys(result.task for result in results))


def _of(results: Iterable[Result], coder: str, bound: str = "", task: str = "") -> list[Result]:
    return [
        result
        for result in results
        if result.coder == coder and bound in ("", result.bound) and task in ("", result.task)
    ]


def total_bits_per_weight(results: Iterable[Result]) -> float:
    """Return the size of several results over all their weights."""
    results = list(results)
    return sum(result.bits for result in results) / sum(result.weights for result in results)


def _error(results: Sequence[Result]) -> str:
    broken = sum(result.broken for result in results)
    largest = max(result.error for result in results)
    if broken:
        return f"{largest:.9g}, BROKEN on {broken}"
    # Rounded down: what keeps the bound must not look as if it were on it.
    return f"{int(largest * 1e6) / 1e6:.6f}"


def bits_table(comparison: Comparison) -> TextTable:
    """Return bits per weight over all float networks, a column for each bound, and the largest error."""
    bounds = _bounds(comparison.floats)
    rows = []
    for coder in comparison.coders:
        mine = _of(comparison.floats, coder.name)
        if mine:
            sizes = (f"{total_bits_per_weight(_of(mine, coder.name, bound)):.3f}" for bound in bounds)
            rows.append((coder.name, *sizes, _error(mine)))
    entropy = tuple(f"{_entropy(comparison, bound):.3f}" for bound in bounds)
    return TextTable(
        ("bits per weight at", *bounds, "largest error / bound"), tuple(rows), ("entropy (no codec)", *entropy, "")
    )


def _entropy(comparison: Comparison, bound: str) -> float:
    mine = _of(comparison.floats, Dnnzip.name, bound)
    return sum(comparison.entropy[result.task, bound] for result in mine) / sum(result.weights for result in mine)


def bits_by_coder(comparison: Comparison) -> dict[str, list[float]]:
    """Return bits per weight at each bound over all float networks, by coder; for the plot."""
    bounds = _bounds(comparison.floats)
    curves = {
        coder.name: [total_bits_per_weight(_of(comparison.floats, coder.name, bound)) for bound in bounds]
        for coder in comparison.coders
        if _of(comparison.floats, coder.name)
    }
    return {**curves, "entropy": [_entropy(comparison, bound) for bound in bounds]}


def percent_of(comparison: Comparison) -> list[float]:
    """Return the bounds of the float networks in percent."""
    return [float(bound.rstrip("%")) for bound in _bounds(comparison.floats)]


def speed_table(comparison: Comparison) -> TextTable:
    """Return speeds as multiples of dnnzip's: on the generated tensor, float and int8, and on the float networks."""
    generated = [result for result in comparison.generated if result.bound == SPEED_PERCENT]
    integers = [result for result in comparison.generated if result.bound == SPEED_LSB]
    networks = [result for result in comparison.floats if result.encode_seconds]
    header = (
        "speed / dnnzip's",
        "generated, 1 %: bits/weight",
        "encode",
        "decode",
        "networks, 1 %: encode",
        "decode",
        "generated int8, lossless: bits/weight",
        "encode",
        "decode",
    )
    rows = []
    for coder in comparison.coders:
        cells = [coder.name]
        for results, with_bits in ((generated, True), (networks, False), (integers, True)):
            cells += _speeds(_of(results, coder.name), _of(results, Dnnzip.name), with_bits)
        rows.append(tuple(cells))
    return TextTable(header, tuple(rows))


def _speeds(mine: Sequence[Result], ours: Sequence[Result], with_bits: bool) -> list[str]:
    if not mine:
        return [NOTHING] * (3 if with_bits else 2)
    bits = [f"{total_bits_per_weight(mine):.3f}"] if with_bits else []
    encode = sum(r.encode_seconds for r in ours) / sum(r.encode_seconds for r in mine)
    decode = sum(r.decode_seconds for r in ours) / sum(r.decode_seconds for r in mine)
    return [*bits, f"{encode:.2f}", f"{decode:.2f}"]


def _ratio_table(comparison: Comparison, what: str, other: Callable[[Result], float]) -> TextTable:
    """Return dnnzip's size over another one, network by network and in total."""
    bounds, ours = _bounds(comparison.floats), _of(comparison.floats, Dnnzip.name)
    rows = []
    for network in _networks(ours):
        rows.append((network, *(_ratio(_of(ours, Dnnzip.name, bound, network), other) for bound in bounds)))
    total = tuple(_ratio(_of(ours, Dnnzip.name, bound), other) for bound in bounds)
    return TextTable((what, *bounds), tuple(rows), ("all", *total))


def _ratio(ours: Sequence[Result], other: Callable[[Result], float]) -> str:
    sizes = [other(result) for result in ours]
    return f"{sum(result.bits for result in ours) / sum(sizes):.3f}" if all(sizes) else NOTHING


def nncodec_table(comparison: Comparison) -> TextTable:
    """Return dnnzip's size over NNCodec's in the same run."""
    sizes = {(r.task, r.bound): float(r.bits) for r in _of(comparison.floats, NnCodec.name)}
    return _ratio_table(comparison, "dnnzip / NNCodec at", lambda ours: sizes.get((ours.task, ours.bound), 0.0))


def reference_table(comparison: Comparison) -> TextTable:
    """Return dnnzip's size over the one that another run of NNCodec gave."""
    return _ratio_table(
        comparison,
        "dnnzip / NNCodec elsewhere at",
        lambda ours: comparison.reference.get((ours.task, ours.bound), 0.0) * ours.weights,
    )


def limit_table(comparison: Comparison) -> TextTable:
    """Return dnnzip's size over the largest one that its targets allow."""
    return _ratio_table(comparison, "dnnzip / limit at", lambda ours: ours.limit_bits)


def integer_table(comparison: Comparison) -> TextTable:
    """Return bits per weight of dnnzip and Vela on integer weights, network by network and in total."""
    bounds = _bounds(comparison.integers)
    header = ["dnnzip, Vela and their ratio"]
    for bound in bounds:
        header += [f"{bound}: dnnzip", "Vela", "ratio"]
    rows = []
    for network in ["", *_networks(comparison.integers)]:
        cells = [network or "all"]
        for bound in bounds:
            ours = total_bits_per_weight(_of(comparison.integers, Dnnzip.name, bound, network))
            vela = _of(comparison.integers, Vela.name, bound, network)
            theirs = total_bits_per_weight(vela) if vela else 0.0
            cells += [f"{ours:.3f}", *((f"{theirs:.3f}", f"{ours / theirs:.3f}") if vela else (NOTHING, NOTHING))]
        rows.append(tuple(cells))
    return TextTable(tuple(header), tuple(rows[1:]), rows[0])


def integer_coders_table(comparison: Comparison) -> TextTable:
    """Return bits per weight of every coder over all integer networks."""
    bounds = _bounds(comparison.integers)
    rows = []
    for coder in comparison.coders:
        mine = _of(comparison.integers, coder.name)
        if mine:
            sizes = (f"{total_bits_per_weight(_of(mine, coder.name, bound)):.3f}" for bound in bounds)
            broken = sum(result.broken for result in mine)
            rows.append((coder.name, *sizes, f"BROKEN on {broken}" if broken else "kept"))
    ours = _of(comparison.integers, Dnnzip.name)
    if comparison.ordered_bits and all((r.task, r.bound) in comparison.ordered_bits for r in ours):
        sizes = (
            f"{sum(comparison.ordered_bits[r.task, bound] for r in mine) / sum(r.weights for r in mine):.3f}"
            for bound in bounds
            for mine in [_of(ours, Dnnzip.name, bound)]
        )
        rows.append(("Vela mlw_codec, ordered for its hardware", *sizes, "not decoded"))
    entropy = tuple(
        f"{sum(comparison.entropy[r.task, bound] for r in mine) / sum(r.weights for r in mine):.3f}"
        for bound in bounds
        for mine in [_of(comparison.integers, Dnnzip.name, bound)]
    )
    return TextTable(("bits per weight at", *bounds, "bound"), tuple(rows), ("entropy (no codec)", *entropy, ""))
