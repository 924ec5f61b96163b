"""Biases that tuning changes: `verify` lets those differ that are declared, and no other array."""

import json

import numpy as np
import pytest
from compared_networks import SEED, copy, made, old_network, rich_network
from network_mutations import zeroed
from onnx import numpy_helper

from dnnzip.errors import InputError
from dnnzip.onnx.biases import DECLARATION, corrected, declare
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.opening import open_compressed
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.verify import require, verify


@pytest.mark.parametrize("build", [rich_network, old_network])
def test_declared_biases_may_change_and_others_may_not(build):
    rng = np.random.default_rng(SEED)
    model = build()
    original = copy(model)
    weights = find_weights(model)[0]
    outputs = {r.node.output[0]: w.layout.channels for w in weights for r in w.readers}
    given = {output: rng.normal(size=size).astype(np.float32) for output, size in outputs.items()}
    biased = corrected(model, weights, given)
    made = compress(biased.model, CompressionOptions(Bound.parse("5%"))).compressed.model
    # Without the declaration they are differences.
    assert len(verify(copy(original), open_compressed(made, "m")).differences) > len(outputs)
    declare(made, biased.biases)
    result = verify(copy(original), open_compressed(made, "m"))
    require(result)
    assert result.changed_biases == tuple(sorted(biased.biases.values()))
    assert len(result.changed_biases) == len(outputs)
    assert f"bias changed by tuning: {result.changed_biases[0]}" in result.lines()
    # The plain network represents itself, and may be compressed again.
    plain = decompressed(open_compressed(made, "m"))
    assert DECLARATION not in [entry.key for entry in plain.metadata_props]
    again = compress(copy(plain), CompressionOptions(Bound.parse("5%"))).compressed
    require(verify(plain, again))
    # A bias that is no longer declared, or is no number, is a difference; so is an array that is declared and no bias.
    first = min(biased.biases)
    changed = copy(made)
    declare(changed, {output: name for output, name in biased.biases.items() if output != first})
    assert verify(copy(original), open_compressed(changed, "m")).differences
    changed = copy(made)
    (tensor,) = [t for t in changed.graph.initializer if t.name == biased.biases[first]]
    tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), np.nan), biased.biases[first]))
    assert not verify(copy(original), open_compressed(changed, "m")).ok


def test_a_declaration_that_hides_another_array_is_a_difference(networks):
    original, compressed = made(networks, "rich")
    for names in ({"m": "last.w"}, {"c": "conv.b", "g": "fc.w.step"}, {"nothing": "conv.b"}):
        changed = copy(compressed)
        declare(changed, names)
        for tensor in changed.graph.initializer:
            if tensor.name == "last.w":
                zeroed(tensor)
        assert "initializer 'last.w': its values differ" in verify(original, open_compressed(changed, "m")).differences


@pytest.mark.parametrize("text", ["", "[]", '{"y": 1}', "{" * 100_000, '["conv.b"]', "1"])
def test_a_damaged_declaration_is_one_line(networks, text):
    original, compressed = made(networks, "rich")
    compressed.metadata_props.add(key=DECLARATION, value=text)
    with pytest.raises(InputError, match=r"^m: is damaged: its metadata 'dnnzip\.biases' is not what tuning writes; "):
        verify(original, open_compressed(compressed, "m"))


def test_two_declarations_are_refused(networks):
    original, compressed = made(networks, "rich")
    declare(compressed, {})
    compressed.metadata_props.add(key=DECLARATION, value=json.dumps({"c": "conv.b"}))
    with pytest.raises(InputError, match=r"^m: is damaged: its metadata "):
        verify(original, open_compressed(compressed, "m"))
