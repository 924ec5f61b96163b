"""A float network to 8 bits, with onnxruntime's own quantiser.

Weights become int8, symmetric, with a scale for each output channel; activations become int8, with the ranges that they
have over calibration samples. The result depends on the model, the samples and onnxruntime's version alone.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from dnnzip.compiler.layers import SUPPORTED
from dnnzip.errors import InputError
from dnnzip.model.accuracy import BATCH, batches_of, outputs_of
from dnnzip.model.container import is_compressed
from dnnzip.model.dataset import Dataset
from dnnzip.model.files import save_model
from dnnzip.model.graph import is_standard
from dnnzip.model.runtime import RUNTIME_ERRORS, first_line, silent_sessions

SAMPLES = 100
"""Calibration samples where nothing else is said."""

OPERATORS = (
    "Conv",
    "Gemm",
    "MatMul",
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

INTEGER = ("DequantizeLinear", "QuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")


class _Samples(CalibrationDataReader):
    """Gives calibration samples in batches."""

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
        What the ranges of the activations are taken from.
    where
        The file, for messages.

    Raises
    ------
    InputError
        The network is compressed or of 8 bits already, has nothing to quantise, does not take the samples, or
        onnxruntime cannot quantise it.
    """
    if is_compressed(model):
        raise InputError(where, "is compressed", "quantise the network first, then compress it")
    operators = {node.op_type for node in model.graph.node if is_standard(node)}
    if operators & set(INTEGER):
        raise InputError(where, "is of 8 bits already", "run it as it is")
    if not operators & set(SUPPORTED):
        raise InputError(where, "has nothing to quantise", "give a network with Conv, Gemm or MatMul")
    # Says in one line what is wrong with the network or the samples.
    outputs_of(model, samples.first(1), where)
    constants = {tensor.name for tensor in model.graph.initializer}
    network_input = next(value for value in model.graph.input if value.name not in constants)
    dimensions = network_input.type.tensor_type.shape.dim
    fixed = int(dimensions[0].dim_value) if dimensions else 0
    batches = batches_of(samples.x, fixed or min(BATCH, len(samples.x)), bool(fixed))
    with tempfile.TemporaryDirectory(prefix="dnnzip") as name, _no_warnings():
        folder = Path(name)
        source, prepared, target = (folder / file for file in ("source.onnx", "prepared.onnx", "target.onnx"))
        save_model(model, source)
        try:
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                _Samples(network_input.name, batches),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                extra_options={"WeightSymmetric": True, "ActivationSymmetric": False},
            )
        except (*RUNTIME_ERRORS, ValueError, RuntimeError, NotImplementedError) as error:
            raise InputError(where, f"onnxruntime cannot quantise it ({first_line(error)})") from None
        return onnx.load(target)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep onnxruntime's quantiser from logging advice."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with silent_sessions():
            yield
    finally:
        logging.disable(before)
