"""The table of operators against ONNX' own description of each, and what it takes for an operator."""

import onnx
import onnx.defs
import pytest
from onnx import helper

from dnnzip.onnx.operators import OPERATORS, OnArray, operator_of, weight_names
from dnnzip.quantize.layout import Layout

STANDARD = [operator for operator in OPERATORS if not operator.domain]
NAMES = {
    "weights": {"W", "w", "B", "b", "R", "A", "Inputs", "data"},
    "bias": {"B", "C", "bias"},
    "weights' scale": {"w_scale", "b_scale"},
    "weights' zero point": {"w_zero_point", "b_zero_point"},
    "source": {"X", "x", "A", "a", "Inputs", "indices"},
    "source's scale": {"x_scale", "a_scale"},
    "source's zero point": {"x_zero_point", "a_zero_point"},
    "result's scale": {"y_scale"},
    "result's zero point": {"y_zero_point"},
}


def positions(operator):
    """Return the input positions of a row with the role that it says they have."""
    for weight in operator.weights:
        yield "weights", weight.index
        yield "weights' scale", weight.scale
        yield "weights' zero point", weight.zero_point
    yield "bias", operator.bias
    yield "source", operator.source.index
    for role, quantised in (("source", operator.source), ("result", operator.result)):
        if quantised is not None:
            yield f"{role}'s scale", quantised.scale
            yield f"{role}'s zero point", quantised.zero_point


@pytest.mark.parametrize("operator", STANDARD, ids=lambda operator: operator.name)
def test_a_row_names_the_inputs_that_onnx_names(operator):
    inputs = onnx.defs.get_schema(operator.name).inputs
    for role, position in positions(operator):
        if position is not None:
            # The inputs of Einsum are one list.
            assert inputs[min(position, len(inputs) - 1)].name in NAMES[role], role


def test_every_operator_has_one_row():
    assert len({(operator.domain, operator.name) for operator in OPERATORS}) == len(OPERATORS)


def test_what_runs_on_the_array_multiplies_from_the_right_and_has_a_geometry():
    for operator in OPERATORS:
        if operator.on_array is OnArray.RUNS:
            assert operator.weights[0].index > operator.source.index
            assert operator.reach is not None


@pytest.mark.parametrize(("domain", "is_known"), [("", True), ("ai.onnx", True), ("com.microsoft", False)])
def test_an_operator_is_known_by_its_domain_too(domain, is_known):
    node = helper.make_node("Conv", ["x", "w", "b"], ["y"], domain=domain)
    assert (operator_of(node) is not None) == is_known
    assert weight_names(node) == (["w"] if is_known else [])


@pytest.mark.parametrize(("operator", "options", "shape", "layout"), [
    ("Conv", {}, (6, 4, 3, 2), Layout((6, 4, 3, 2), 0, kernel=(3, 2))),
    ("ConvTranspose", {"group": 2}, (4, 3, 5), Layout((4, 3, 5), 1, 2, (1, 5))),
    ("ConvTranspose", {"group": 3}, (4, 3, 5), Layout((4, 3, 5), 1, 1, (1, 5))),
    ("Gemm", {}, (8, 5), Layout((8, 5), 1)),
    ("Gemm", {"transB": 1}, (5, 8), Layout((5, 8), 0)),
    ("MatMulInteger", {}, (2, 8, 5), Layout((2, 8, 5), 2)),
    ("QLinearMatMul", {}, (8,), Layout((8,), 0)),
    ("QLinearConv", {}, (6, 0, 3, 3), Layout((6, 0, 3, 3), 0)),
])  # fmt: skip
def test_layouts(operator, options, shape, layout):
    node = helper.make_node(operator, ["x"], ["y"], **options)
    assert operator_of(node).weights[0].layout(node, shape) == layout
