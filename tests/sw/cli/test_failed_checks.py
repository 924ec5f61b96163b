"""Checks that fail: one line that names the layer, exit status 1."""

import numpy as np
import onnx
from onnx import numpy_helper

from dnnzip.link.golden import GoldenLink


def test_verify_fails_on_a_weight_beyond_its_bound(dnnzip, small, compressed):
    model = onnx.load(small)
    weights = numpy_helper.to_array(model.graph.initializer[0]).copy()
    # A small weight moves by a tenth of the range, which stays as it is.
    weights[np.unravel_index(np.abs(weights).argmin(), weights.shape)] += np.float32(0.1 * np.ptp(weights))
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weights, "w"))
    onnx.save(model, small)
    status, out, err = dnnzip("verify", small, compressed)
    assert status == 1
    assert err.startswith("dnnzip: layer 'w': an error of ")
    assert " is over the bound of " in err
    assert err.count("\n") == 1
    assert "BROKEN" in out
    status, out, _ = dnnzip("verify", small, compressed, "--json", "-")
    assert status == 1
    assert '"ok": false' in out


def test_verify_names_a_layer_that_the_original_does_not_have(fault, small, compressed):
    model = onnx.load(small)
    model.graph.initializer[0].name = "v"
    model.graph.node[0].input[1] = "v"
    onnx.save(model, small)
    line = fault("verify", small, compressed)
    assert line == f"{small}: has no weight 'w' of shape [20, 10]; name the model it was made from"


def test_simulate_fails_on_a_code_that_differs(dnnzip, compressed, tmp_path, monkeypatch):
    class Flipped(GoldenLink):
        def decode(self, tables, streams):
            results = super().decode(tables, streams)
            results[0].codes[0, 3] ^= 1
            return results

    monkeypatch.setattr("dnnzip.link.open_link", lambda _: Flipped())
    target = tmp_path / "decoded.onnx"
    status, out, err = dnnzip("simulate", compressed, "-o", target)
    assert status == 1
    assert err == "dnnzip: layer 'w': 1 weights differ from the software decoder's\n"
    assert "w " in out
    assert not target.exists()
    status, out, _ = dnnzip("simulate", compressed, "--json", "-")
    assert status == 1
    assert '"mismatches": 1' in out


def test_simulate_fails_where_a_stream_does_not_end_well(dnnzip, compressed, monkeypatch):
    from dataclasses import replace

    from dnnzip.format import Verdict

    class Broken(GoldenLink):
        def decode(self, tables, streams):
            return [replace(item, verdict=Verdict.BAD_CRC, codes=None) for item in super().decode(tables, streams)]

    monkeypatch.setattr("dnnzip.link.open_link", lambda _: Broken())
    status, _, err = dnnzip("simulate", compressed)
    assert status == 1
    assert err == "dnnzip: layer 'w': the link ended with 'bad crc'\n"
