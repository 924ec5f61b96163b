"""The ways to go on are measured on what they say: the mixture is no better than it can be, residuals can be undone."""

import numpy as np
import pytest
from generated_task import generated_task

from dnnzip.codec import CodeTensor, encode_network
from dnnzip_bench import limits
from dnnzip_bench.coders.measure import run
from dnnzip_bench.coders.mixing import mixed_bits
from dnnzip_bench.coders.ours import Dnnzip
from dnnzip_bench.coders.results import Comparison
from dnnzip_bench.coders.rivals import vela_bytes, vela_ordered_bytes
from dnnzip_bench.coders.tables import integer_coders_table
from dnnzip_bench.limits import WAYS, parts, parts_table, predicted, residual, size, table


def tensor(codes, kernel=(1, 1)):
    return CodeTensor("w", np.asarray(codes).clip(-127, 127).astype(np.int16), kernel)


def entropy(codes):
    _, counts = np.unique(codes, return_counts=True)
    return -float((counts * np.log2(counts / counts.sum())).sum())


def smooth(seed, share):
    """Kernels in which each tap is that share of its left neighbour, and noise."""
    weights = np.random.default_rng(seed).normal(0, 15, (64, 64, 3, 3))
    for column in (1, 2):
        weights[..., column] += share * weights[..., column - 1]
    return tensor(np.rint(weights).reshape(64, -1), (3, 3))


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3)])
def test_the_mixture_knows_nothing_of_what_it_has_not_seen(kernel):
    codes = np.random.default_rng(0).integers(-127, 128, (40, 900))
    bits = mixed_bits([tensor(codes, kernel)])
    assert np.log2(255) < bits / codes.size < 8.1
    codes = np.rint(np.random.default_rng(1).normal(0, 20, (200, 900)))
    assert 0.998 < mixed_bits([tensor(codes, kernel)]) / entropy(codes) < 1.01


def test_the_mixture_finds_what_neighbours_say():
    plain, alike = smooth(2, 0.0), smooth(2, 0.9)
    assert mixed_bits([alike]) < 0.97 * entropy(alike.codes)
    assert mixed_bits([plain]) > 0.99 * entropy(plain.codes)


def test_the_mixture_takes_int8_alone():
    with pytest.raises(ValueError, match=r"^codes must fit 8 bits, not those of 'w'$"):
        mixed_bits([CodeTensor("w", np.full((2, 20), 129, np.int16))])


@pytest.mark.parametrize("share", [0, 3, 4, 8])
def test_residuals_can_be_undone(share):
    given = smooth(3, 0.5)
    changed = residual(given, [share])
    assert np.abs(changed.codes).max() <= 128
    decoded = changed.codes.astype(np.int64).reshape(-1, 3, 3)
    for row in range(3):
        for column in range(3):
            left = decoded[:, row, column - 1] if column else 0
            above = decoded[:, row - 1, column] if row else 0
            tap = decoded[:, row, column] + (share * (left + above) + 8) // 16
            decoded[:, row, column] = (tap + 128) % 256 - 128
    np.testing.assert_array_equal(decoded.reshape(given.codes.shape), given.codes)


def test_prediction_pays_where_neighbours_are_alike_and_is_charged():
    alike, plain, flat = smooth(4, 0.9), smooth(4, 0.0), tensor(smooth(4, 0.9).codes)
    assert predicted([alike]) < 0.99 * size(encode_network([alike]))
    assert predicted([plain]) >= size(encode_network([plain])) + 4
    assert residual(flat, [8]) is flat


def test_every_way_is_in_the_table(monkeypatch):
    monkeypatch.setattr(limits, "find_spec", lambda _: None)
    made = table({"a": [smooth(5, 0.5)], "b": [tensor(smooth(6, 0.5).codes)]})
    assert [row[0] for row in made.rows] == list(WAYS)
    assert made.header[-2:] == ("a", "b")
    assert made.rows[0][3:5] == ("1.0000", "")
    sizes = [float(row[2]) for row in made.rows]
    assert sizes[-1] == min(sizes)


def test_a_missing_network_is_one_line(bench):
    status, _, err = bench(limits.limits, "nowhere.onnx")
    assert status == 2
    assert err.startswith("dnnzip: nowhere.onnx: is not there; ")


def test_the_command_prints_markdown(monkeypatch, tmp_path, bench):
    monkeypatch.setattr(limits, "read", lambda *_: {"a": {"0lsb": [smooth(7, 0.5)]}})
    status, out, _ = bench(limits.limits, "--markdown", tmp_path / "a.onnx")
    assert status == 0
    assert "| adaptive mixture of many models | no codec, a bound |" in out
    assert "table set" not in out.splitlines()[0]


def test_velas_order_for_its_hardware_pads():
    pytest.importorskip("ethosu.mlw_codec", reason="ethos-u-vela is not installed; make bench brings it")
    codes = np.rint(np.random.default_rng(8).normal(0, 20, (9, 9))).astype(np.int16)
    # Nine channels are padded to sixteen, in depth as well.
    assert vela_ordered_bytes(codes, (1, 1)) > min(vela_bytes(codes))
    depthwise = np.rint(np.random.default_rng(9).normal(0, 20, (64, 9))).astype(np.int16)
    assert vela_ordered_bytes(depthwise, (3, 3)) < 2 * min(vela_bytes(depthwise))


def test_velas_ordered_size_is_said_not_to_be_decoded():
    task = generated_task("0lsb", "int8")
    comparison = Comparison([Dnnzip], [], integers=run(task, [Dnnzip]))
    comparison.entropy["int8", "0lsb"] = task.entropy()
    assert len(integer_coders_table(comparison).rows) == 1
    comparison.ordered_bits["int8", "0lsb"] = 8 * task.count
    rows = integer_coders_table(comparison).rows
    assert rows[1] == ("Vela mlw_codec, ordered for its hardware", "8.000", "not decoded")


def test_what_is_not_weights_is_all_of_a_network_of_zeros():
    zeros = tensor(np.zeros((16, 4000)))
    frames, tables, lanes = parts([zeros])
    encoded = encode_network([zeros])
    assert frames == 20 / (len(encoded.tables) + len(encoded.streams[0]))
    assert 0.6 < frames + tables + lanes < 1
    assert sum(parts([smooth(1, 0.0)])) < 0.05
    made = parts_table({"a": {"1%": [zeros], "5%": [smooth(1, 0.0)]}})
    assert made.header == ("frames + table set + lanes in % at", "tensors", "1%", "5%")
    assert made.rows[0][1] == "1"
