"""The graph cut at the array's layers: what lies between them, as pieces that onnxruntime runs."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.array.layers import ArrayLayer
from dnnzip.errors import InputError
from dnnzip.evaluation.runtime import RUNTIME_ERRORS, first_line, open_session
from dnnzip.onnx.partition import Segment, cut_around, segment_model

Value = NDArray[np.generic]
Piece = Segment | ArrayLayer


def cut(model: onnx.ModelProto, layers: Sequence[ArrayLayer], output: str) -> list[Piece]:
    """Return the pieces of a network in an order in which each finds what it reads.

    Operators that nothing needs any more, such as the DequantizeLinear of an array layer's input, are gone.
    """
    blocks = {Segment(tuple(sorted(layer.nodes)), layer.reads, layer.gives): layer for layer in layers}
    return [blocks.get(piece, piece) for piece in cut_around(model, list(blocks), output)]


def run_segment(
    model: onnx.ModelProto, segment: Segment, batches: Sequence[Mapping[str, Value]], where: str
) -> Iterator[dict[str, Value]]:
    """Run a segment in onnxruntime on batches of the same types, and visit the outputs of each.

    An `InputError` is raised where onnxruntime cannot run it.
    """
    part = segment_model(model, segment, {name: batches[0][name] for name in segment.reads})
    session = open_session(part.SerializeToString(), where)
    try:
        for values in batches:
            found = session.run(list(segment.gives), {name: values[name] for name in segment.reads})
            yield dict(zip(segment.gives, (np.asarray(value) for value in found), strict=True))
    except RUNTIME_ERRORS as error:
        raise InputError(where, f"does not run in onnxruntime ({first_line(error)})") from None
