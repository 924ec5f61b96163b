"""Inference of the types and shapes of a network's values."""

import onnx

from dnnzip.errors import InputError


def infer_shapes(model: onnx.ModelProto, where: str, *, follow_values: bool = False) -> onnx.ModelProto:
    """Return a copy of a network with the types and shapes of all values that ONNX can infer.

    With ``follow_values`` it follows the values of shapes that the network computes.

    Raises
    ------
    InputError
        The network contradicts itself.
    """
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=follow_values)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(where, f"shapes cannot be inferred ({reason})", "check it with onnx.checker") from None
