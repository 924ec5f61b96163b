"""dnnzip: hardware-in-the-loop compression of neural-network weights with a bounded error.

``compress`` takes an array, ``compress_tensors`` arrays by name or a file of them, ``compress_model`` an ONNX model;
``verify``, ``evaluate``, ``estimate`` and ``tune`` are the commands of these names. The modules of them,
``dnnzip.tensor``, ``named_tensors``, ``api`` and ``measures``, are loaded when one of their names is first used, so
that the parts of dnnzip that need less can be imported without them.
"""

import os

TYPE_CHECKING = False  # as of `typing`, which the start of the program does not wait for
if TYPE_CHECKING:
    from dnnzip.api import CompressedNetwork, compress_model, decompress_model
    from dnnzip.measures import estimate, evaluate, tune, verify
    from dnnzip.named_tensors import CompressedTensors, StoredTensor, Tensors, compress_tensors, open_tensors
    from dnnzip.tensor import Compressed, compress

__version__ = "0.1.0"

# onnxruntime reads it when it is loaded, and then sends and stores nothing. Set here, it stands before any import of
# onnxruntime in a module of dnnzip, and in every process that such a module starts.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_MODULES = {
    **dict.fromkeys(("Compressed", "compress"), "dnnzip.tensor"),
    **dict.fromkeys(("CompressedNetwork", "compress_model", "decompress_model"), "dnnzip.api"),
    **dict.fromkeys(
        ("CompressedTensors", "StoredTensor", "Tensors", "compress_tensors", "open_tensors"), "dnnzip.named_tensors"
    ),
    **dict.fromkeys(("estimate", "evaluate", "tune", "verify"), "dnnzip.measures"),
}
__all__ = [
    "Compressed",
    "CompressedNetwork",
    "CompressedTensors",
    "StoredTensor",
    "Tensors",
    "__version__",
    "compress",
    "compress_model",
    "compress_tensors",
    "decompress_model",
    "estimate",
    "evaluate",
    "open_tensors",
    "tune",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
