"""Domain of the operator of compressed models, and the models and files that have it.

This module is small, so that a process that hands a file on need not load the codec to know it.
"""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # no stubs among our tools

from dnnzip.errors import InputError
from dnnzip.inputs.memory import memory_for
from dnnzip.inputs.reading import check_input, read_bounded
from dnnzip.onnx.files import LARGEST_MESSAGE, RIGHT, SMALLEST_PLACED, WHOLE
from dnnzip.onnx.skeleton import without_arrays

DOMAIN = "dnnzip"

#: Bytes 4 to 8 of a model in onnxruntime's own format, which holds no nodes of ours.
ORT_FORMAT = b"ORTM"


def is_compressed(model: onnx.ModelProto) -> bool:
    """Return True if a model holds compressed weights."""
    return any(node.domain == DOMAIN for node in model.graph.node)


def is_compressed_content(content: bytes, where: str) -> bool:
    """Return True if the bytes of a model file are those of a compressed model.

    Raises
    ------
    InputError
        They are no model, or truncated.
    """
    if not content:
        raise InputError(where, "is empty", RIGHT)
    if content[4:8] == ORT_FORMAT:
        return False
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        raise InputError(where, "is not an ONNX model, or is truncated", WHOLE) from None
    return is_compressed(model)


def is_compressed_file(path: Path) -> bool:
    """Return True if a model file is compressed; its large arrays are not read.

    Raises
    ------
    InputError
        The path is missing, a directory, unreadable, empty, or no model.
    """
    size = check_input(path, LARGEST_MESSAGE, RIGHT) or 0
    slim = without_arrays(path, SMALLEST_PLACED)
    if slim is not None:
        return is_compressed_content(slim[0], str(path))
    with memory_for(str(path), f"{size} bytes", size):
        return is_compressed_content(read_bounded(path, LARGEST_MESSAGE, RIGHT), str(path))
