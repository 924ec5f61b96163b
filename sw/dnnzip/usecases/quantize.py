"""A float network to 8 bits, with onnxruntime's own quantiser.

Weights become int8, symmetric, with a scale for each output channel; activations become int8, with the ranges that they
have over calibration samples. The result depends on the model, the samples and onnxruntime's version alone.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, shape_inference
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from dnnzip.array.layers import SUPPORTED
from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import BATCH, batches_of, outputs_of
from dnnzip.evaluation.dataset import Dataset
from dnnzip.evaluation.runtime import RUNTIME_ERRORS, first_line, silent_sessions
from dnnzip.onnx.compressed import is_compressed
from dnnzip.onnx.files import save_model
from dnnzip.onnx.graph import fixed_size, is_standard, subgraphs
from dnnzip.onnx.operators import OPERATORS, OnArray
from dnnzip.onnx.rules import stored_array
from dnnzip.system.temporary import temporary_folder
from dnnzip.usecases.quantisable import SMALLEST_OPSET, opset_of, quantisable

Outputs = Mapping[str, NDArray[np.generic]]

SAMPLES = 100
"""Calibration samples where nothing else is said."""

QUANTISED = (
    *(operator.name for operator in OPERATORS if operator.on_array is OnArray.RUNS and not operator.is_integer),
    "Add",
    "Relu",
    "Clip",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Concat",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
"""Operators that are quantised: those of the array, and those that commonly stand between them."""

QUANTISER_ERRORS = (
    *RUNTIME_ERRORS,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RuntimeError,
    shape_inference.InferenceError,
)
"""Exceptions of onnxruntime's quantiser, which is Python and checks little, for a network that it does not take."""

CONVERSION_ERROR = 1e-4
"""Largest difference, as a share of the largest score, between a network and the same one at another opset."""

INTEGER = {"DequantizeLinear", "QuantizeLinear", *(operator.name for operator in OPERATORS if operator.is_integer)}


class _Samples(CalibrationDataReader):
    """Calibration samples in batches, as onnxruntime reads them."""

    def __init__(self, name: str, batches: Iterator[NDArray[np.generic]]) -> None:
        self._name = name
        self._batches = batches

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """Return the next batch, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def quantise_network(model: onnx.ModelProto, samples: Dataset, where: str) -> onnx.ModelProto:
    """Return a float network with 8-bit weights and activations, in QuantizeLinear and DequantizeLinear form.

    Parameters
    ----------
    model
        The network; left as it is.
    samples
        Samples from which the ranges of the activations are taken.
    where
        The file, for messages.

    Raises
    ------
    InputError
        The network is compressed or of 8 bits already, has nothing to quantise, does not take the samples, cannot be
        converted to opset 13, or onnxruntime cannot quantise it, or does not run what it makes.
    """
    if is_compressed(model):
        raise InputError(where, "is compressed", "quantise the network first, then compress it")
    operators = {node.op_type for node in _all_nodes(model) if is_standard(node)}
    if operators & INTEGER:
        raise InputError(where, "is of 8 bits already", "run it as it is")
    if not operators & set(SUPPORTED):
        raise InputError(where, "has nothing to quantise", "give a network with Conv, Gemm or MatMul")
    one = Dataset(samples.x[:1], samples.y[:1], samples.where)
    # Says in one line what is wrong with the network or the samples.
    outputs = outputs_of(model, one, where)
    prepared = quantisable(model, where)
    _check_conversion(model, outputs, outputs_of(prepared, one, where), where)
    quantised = _quantised(prepared, samples, where)
    # Of two dimensions or more, unlike zero points.
    if not any(item.data_type == TensorProto.INT8 and len(item.dims) >= 2 for item in quantised.graph.initializer):
        raise InputError(where, "has no float32 weights that onnxruntime quantises", "give a network that has")
    _check_scales(quantised, samples, where)
    outputs_of(quantised, one, f"{where}: what onnxruntime's quantiser makes of it")
    return quantised


def _all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Visit the nodes of the graph, of the bodies in it, and of the local functions."""
    functions = [function.node for function in model.functions]
    yield from model.graph.node
    for nodes in (model.graph.node, *functions):
        for graph in subgraphs(nodes):
            yield from graph.node
    for nodes in functions:
        yield from nodes


def _check_conversion(model: onnx.ModelProto, wanted: Outputs, found: Outputs, where: str) -> None:
    for name, before in wanted.items():
        after = found.get(name, np.zeros(0))
        tolerance = CONVERSION_ERROR * float(np.abs(before[np.isfinite(before)]).max(initial=0.0))
        if before.shape != after.shape or not np.allclose(after, before, rtol=0.0, atol=tolerance, equal_nan=True):
            wrong = f"is of opset {opset_of(model)} and gives other results at {SMALLEST_OPSET}"
            raise InputError(where, wrong, f"export it with opset {SMALLEST_OPSET} or above")


def _quantised(prepared: onnx.ModelProto, samples: Dataset, where: str) -> onnx.ModelProto:
    """Run onnxruntime's quantiser, and read what it makes once the ONNX checker has passed it."""
    constants = {tensor.name for tensor in prepared.graph.initializer}
    network_input = next(value for value in prepared.graph.input if value.name not in constants)
    dimensions = network_input.type.tensor_type.shape.dim
    fixed = fixed_size(dimensions[0]) if dimensions else None
    batches = batches_of(samples.x, fixed or min(BATCH, len(samples.x)), fixed is not None, where)
    with temporary_folder() as folder, _no_warnings():
        source, optimised, target = (folder / file for file in ("source.onnx", "optimised.onnx", "target.onnx"))
        save_model(prepared, source)
        try:
            quant_pre_process(source, optimised, skip_symbolic_shape=True)
            quantize_static(
                optimised,
                target,
                _Samples(network_input.name, batches),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED),
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
            )
        except QUANTISER_ERRORS as error:
            raise InputError(where, f"onnxruntime cannot quantise it ({first_line(error)})") from None
        try:
            onnx.checker.check_model(target)
        except onnx.checker.ValidationError as error:
            wrong = f"what onnxruntime's quantiser makes of it is invalid ({first_line(error)})"
            raise InputError(where, wrong) from None
        return onnx.load(target)


def _check_scales(quantised: onnx.ModelProto, samples: Dataset, where: str) -> None:
    """Refuse a network with a scale that is not finite, as of activations that are not."""
    for tensor in quantised.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and not np.isfinite(stored_array(tensor).astype(np.float32)).all():
            wrong = f"gives {tensor.name!r} on {samples.where}, which is infinite or no number"
            raise InputError(where, wrong, "quantise one whose activations are numbers")


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep onnxruntime's quantiser from logging advice, and NumPy from warning of its arithmetic."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with silent_sessions(), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        logging.disable(before)
