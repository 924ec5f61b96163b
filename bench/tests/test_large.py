"""Peak memory of the command line with networks that are larger than it."""

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from dnnzip.cli.group import cli
from dnnzip.onnx.files import load_model
from dnnzip_bench import large
from dnnzip_bench.coders import memory


def test_the_network_is_a_sound_one_and_compresses_the_same_from_its_file_and_from_memory(tmp_path):
    path = large.write_large_model(tmp_path, side=64, matrices=3)
    whole = tmp_path / "whole.onnx"
    whole.write_bytes(load_model(path).SerializeToString())
    onnx.checker.check_model(str(whole), full_check=True)
    outputs = []
    for number, (source, jobs) in enumerate([(path, 1), (path, 2), (whole, 1), (whole, 2)]):
        out = tmp_path / f"{number}.dnz.onnx"
        arguments = ["compress", source, "-o", out, "--max-error", "1%", "--jobs", jobs, "--quiet"]
        assert CliRunner().invoke(cli, [str(argument) for argument in arguments]).exit_code == 0
        outputs.append(out.read_bytes())
    assert len(set(outputs)) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *(f"{number}.dnz.onnx" for number in range(4)),
        "large.bin",
        "large.onnx",
        "whole.onnx",
    ]


def test_the_peak_of_a_process_is_seen():
    before = memory.own_peak()
    block = np.ones(before // 2 + (64 << 20), np.uint8)
    assert memory.own_peak() > before
    del block


def test_a_command_over_its_limit_is_a_failure(monkeypatch, bench):
    monkeypatch.setattr(large, "FIXED_BYTES", 1_000_000)
    status, out, err = bench(large.large, "--side", 64, "--matrices", 2, "--jobs", 1)
    assert status == 1
    assert "limit                     1 MB" in out
    assert err == "dnnzip: large: above the limit: compress --jobs 1, info, verify, decompress\n"


@pytest.mark.large
@pytest.mark.slow
def test_memory_is_bounded_by_the_largest_tensor(bench):
    assert bench(large.large)[0] == 0
