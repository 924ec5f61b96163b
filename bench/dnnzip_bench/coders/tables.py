"""The comparison as tables of text."""

from collections.abc import Callable, Iterable, Mapping, Sequence

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


def _sizes(results: Iterable[Result], bounds: Sequence[str], coder: str) -> list[float]:
    return [total_bits_per_weight(_of(results, coder, bound)) for bound in bounds]


def _per_weight(bits: Mapping[tuple[str, str], float], results: Iterable[Result], bounds: Sequence[str]) -> list[float]:
    """Return the bits at each bound, by network and bound, of all networks that dnnzip has results on, per weight."""
    ours = [_of(results, Dnnzip.name, bound) for bound in bounds]
    return [sum(bits[r.task, r.bound] for r in mine) / sum(r.weights for r in mine) for mine in ours]


def _row(name: str, sizes: Iterable[float], verdict: str) -> tuple[str, ...]:
    return (name, *(f"{size:.3f}" for size in sizes), verdict)


def _coder_rows(
    comparison: Comparison, results: Sequence[Result], verdict: Callable[[Sequence[Result]], str]
) -> list[tuple[str, ...]]:
    """Return bits per weight at each bound of every coder with results, and a verdict on them."""
    mine = {coder.name: _of(results, coder.name) for coder in comparison.coders}
    return [_row(name, _sizes(of, _bounds(results), name), verdict(of)) for name, of in mine.items() if of]


def bits_table(comparison: Comparison) -> TextTable:
    """Return bits per weight over all float networks, a column for each bound, and the largest error."""
    bounds = _bounds(comparison.floats)
    rows = _coder_rows(comparison, comparison.floats, _error)
    entropy = _per_weight(comparison.entropy, comparison.floats, bounds)
    header = ("bits per weight at", *bounds, "largest error / bound")
    return TextTable(header, tuple(rows), _row("entropy (no codec)", entropy, ""))


def bits_by_coder(comparison: Comparison) -> dict[str, list[float]]:
    """Return bits per weight at each bound over all float networks, by coder; for the plot."""
    results, bounds = comparison.floats, _bounds(comparison.floats)
    names = [coder.name for coder in comparison.coders if _of(results, coder.name)]
    curves = {name: _sizes(results, bounds, name) for name in names}
    return {**curves, "entropy": _per_weight(comparison.entropy, results, bounds)}


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

    def row(name: str, network: str = "") -> tuple[str, ...]:
        return (name, *(_ratio(_of(ours, Dnnzip.name, bound, network), other) for bound in bounds))

    return TextTable((what, *bounds), tuple(row(name, name) for name in _networks(ours)), row("all"))


def _ratio(ours: Sequence[Result], other: Callable[[Result], float]) -> str:
    sizes = [other(result) for result in ours]
    return f"{sum(result.bits for result in ours) / sum(sizes):.3f}" if all(sizes) else NOTHING


def nncodec_table(comparison: Comparison) -> TextTable:
    """Return dnnzip's size over NNCodec's in the same run."""
    sizes = {(r.task, r.bound): float(r.bits) for r in _of(comparison.floats, NnCodec.name)}
    return _ratio_table(comparison, "dnnzip / NNCodec at", lambda ours: sizes.get((ours.task, ours.bound), 0.0))


def reference_table(comparison: Comparison) -> TextTable:
    """Return dnnzip's size over the one that another run of NNCodec gave."""
    sizes = comparison.reference
    what = "dnnzip / NNCodec elsewhere at"
    return _ratio_table(comparison, what, lambda ours: sizes.get((ours.task, ours.bound), 0.0) * ours.weights)


def limit_table(comparison: Comparison) -> TextTable:
    """Return dnnzip's size over the largest one that its targets allow."""
    return _ratio_table(comparison, "dnnzip / limit at", lambda ours: ours.limit_bits)


def integer_table(comparison: Comparison) -> TextTable:
    """Return bits per weight of dnnzip and Vela on integer weights, network by network and in total."""
    results, bounds = comparison.integers, _bounds(comparison.integers)
    header = [cell for bound in bounds for cell in (f"{bound}: dnnzip", "Vela", "ratio")]

    def row(name: str, network: str = "") -> tuple[str, ...]:
        cells = [name]
        for bound in bounds:
            ours = total_bits_per_weight(_of(results, Dnnzip.name, bound, network))
            vela = _of(results, Vela.name, bound, network)
            theirs = total_bits_per_weight(vela) if vela else 0.0
            cells += [f"{ours:.3f}", *((f"{theirs:.3f}", f"{ours / theirs:.3f}") if vela else (NOTHING, NOTHING))]
        return tuple(cells)

    rows = tuple(row(name, name) for name in _networks(results))
    return TextTable(("dnnzip, Vela and their ratio", *header), rows, row("all"))


def _kept(results: Sequence[Result]) -> str:
    broken = sum(result.broken for result in results)
    return f"BROKEN on {broken}" if broken else "kept"


def integer_coders_table(comparison: Comparison) -> TextTable:
    """Return bits per weight of every coder over all integer networks."""
    results, bounds = comparison.integers, _bounds(comparison.integers)
    rows = _coder_rows(comparison, results, _kept)
    ordered = comparison.ordered_bits
    if ordered and all((r.task, r.bound) in ordered for r in _of(results, Dnnzip.name)):
        sizes = _per_weight(ordered, results, bounds)
        rows.append(_row("Vela mlw_codec, ordered for its hardware", sizes, "not decoded"))
    entropy = _per_weight(comparison.entropy, results, bounds)
    header = ("bits per weight at", *bounds, "bound")
    return TextTable(header, tuple(rows), _row("entropy (no codec)", entropy, ""))
