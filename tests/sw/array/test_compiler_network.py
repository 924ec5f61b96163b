"""Graphs cut at the array's layers, and an array that is wrong."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.array import network as network_module
from dnnzip.array.golden import GoldenArray
from dnnzip.array.job import ArrayFigures, ArrayResult
from dnnzip.array.layers import ArrayLayer
from dnnzip.array.segments import cut
from dnnzip.errors import InputError
from dnnzip.onnx.partition import Segment
from graphs import body


class CountingArray(GoldenArray):
    """Counts jobs, and puts them off by what ``fault`` says."""

    def __init__(self, shape, fault=0):
        super().__init__(shape)
        self.jobs = 0
        self.fault = fault

    def execute(self, job):
        self.jobs += 1
        sums = super().execute(job).sums
        sums[0, 0] ^= self.fault
        return ArrayResult(sums, ArrayFigures(cycles=10, memory_words=3))


def residual(nets, extra=()):
    """Two convolutions whose results are added to their input; an If in the way of the input."""
    first = nets.qdq("Conv", (5, 4, 6, 6), (4, 4, 3, 3), {"pads": [1, 1, 1, 1]}, seed=51)
    graph = first.model.graph
    second = [
        helper.make_node("DequantizeLinear", ["y", "ys", "yz"], ["yf"]),
        helper.make_node("Conv", ["yf", "wf"], ["sum2"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["sum2", "xf"], ["z0"]),
        helper.make_node("Relu", ["z0"], ["z1"]),
        helper.make_node("GlobalAveragePool", ["z1"], ["z2"]),
        helper.make_node("Flatten", ["z2"], ["z"]),
        *extra,
    ]
    graph.node.extend(second)
    graph.output[0].CopyFrom(helper.make_tensor_value_info("z", TensorProto.FLOAT, [None, 4]))
    return nets.Network(first.model, first.x)


def test_a_residual_network(nets):
    network = residual(nets)
    compiled = nets.compile_network(network.model, nets.small, "net")
    kinds = [type(piece) for piece in compiled.pieces]
    assert kinds == [Segment, ArrayLayer, ArrayLayer, Segment]
    assert compiled.pieces[0].gives == ("xf",)
    array = CountingArray(nets.small)
    steps = []
    run = nets.run_network(compiled, array, network.x, batch=2, step=steps.append)
    assert steps == ["onnxruntime", "w", "w", "onnxruntime"]
    # One job for each layer, whatever the batches.
    assert array.jobs == 2
    assert [layer.figures.cycles for layer in run.layers] == [10, 10]
    np.testing.assert_allclose(run.scores, nets.reference(network.model, network.x), rtol=1e-4)


def test_what_nothing_needs_is_not_run(nets):
    network = residual(nets, [helper.make_node("Exp", ["z1"], ["unused"])])
    pieces = nets.compile_network(network.model, nets.small, "net").pieces
    ops = {network.model.graph.node[position].op_type for piece in pieces[::3] for position in piece.nodes}
    assert ops == {"Add", "DequantizeLinear", "Relu", "GlobalAveragePool", "Flatten"}


def test_a_branch_reads_from_outside(nets):
    branch = body([helper.make_node("Neg", ["z1"], ["negative"])], "negative")
    network = residual(nets)
    graph = network.model.graph
    graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    node = helper.make_node("If", ["always"], ["z3"], then_branch=branch, else_branch=branch)
    graph.node.insert(len(graph.node) - 2, node)
    graph.node[-2].input[0] = "z3"
    found, _ = nets.on_array(network, keep=("z",))
    np.testing.assert_allclose(found, nets.reference(network.model, network.x), rtol=1e-4)


def test_a_layer_that_is_not_needed_is_not_run(nets):
    network = residual(nets)
    layers = network_module.find_layers(network.model, "net")
    assert [type(piece) for piece in cut(network.model, layers, "y")] == [ArrayLayer]


@pytest.mark.parametrize("fault", [1, -(2**31)])
def test_a_wrong_sum_is_counted(nets, fault):
    network = residual(nets)
    _, run = nets.on_array(network, keep=("z",), link=CountingArray(nets.small, fault))
    assert [(layer.norm_mismatches, layer.kernel_mismatches, layer.mismatches) for layer in run.layers] == [
        (1, 1, 1),
        (1, 1, 1),
    ]
    _, run = nets.on_array(network, keep=("z",), link=CountingArray(nets.small, fault), check=False)
    assert not any(layer.mismatches for layer in run.layers)


def test_a_wrong_norm_or_kernel_is_counted_for_itself(nets, monkeypatch):
    network = residual(nets)
    sums = network_module.layer_sums
    monkeypatch.setattr(network_module, "layer_sums", lambda layer, x: sums(layer, x) + 1)
    _, run = nets.on_array(network, keep=("z",))
    assert [(layer.norm_mismatches, layer.kernel_mismatches) for layer in run.layers] == [(720, 0), (720, 0)]
    assert run.layers[0].mismatches == run.layers[0].sums == 720


def test_a_job_has_a_bounded_size(nets, monkeypatch):
    network = residual(nets)
    wanted, _ = nets.on_array(network, keep=("z",))
    compiled = nets.compile_network(network.model, nets.small, "net")
    size = compiled.layers["y"].program.bytes_per_vector
    monkeypatch.setattr(network_module, "JOB_BYTES", 50 * size)
    array = CountingArray(nets.small)
    found, run = nets.on_array(network, keep=("z",), link=array)
    np.testing.assert_array_equal(found, wanted)
    assert array.jobs == 2 * 4
    assert [layer.figures.cycles for layer in run.layers] == [40, 40]
    assert not any(layer.mismatches for layer in run.layers)


def test_a_network_that_gives_no_scores(nets):
    network = residual(nets)
    node = network.model.graph.node[-1]
    node.op_type = "ReduceMax"
    node.attribute.append(helper.make_attribute("keepdims", 0))
    network.model.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", TensorProto.FLOAT, []))
    with pytest.raises(InputError, match=r"^net: does not give one list of scores for each sample; give a classifier$"):
        nets.on_array(network, keep=("z",))


def test_a_segment_that_does_not_run(nets):
    network = residual(nets)
    network.model.graph.node[-1].op_type = "NoSuchOperator"
    with pytest.raises(InputError, match=r"^net: does not run in onnxruntime \(.*\)$"):
        nets.on_array(network, keep=("z",))
