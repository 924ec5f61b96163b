"""dnnzip: hardware-in-the-loop compression of neural-network weights with a bounded error.

``compress`` takes an array, ``compress_model`` an ONNX model; see ``dnnzip.api``, which is loaded when one of its names
is first used, so that the parts of dnnzip that need less can be imported without it.
"""

import os

TYPE_CHECKING = False  # as of `typing`, which the start of the program does not wait for
if TYPE_CHECKING:
    from dnnzip.api import Compressed, CompressedNetwork, compress, compress_model, decompress_model

__version__ = "0.1.0"

# onnxruntime reads it when it is loaded, and then sends and stores nothing. Set here, it stands before any import of
# onnxruntime in a module of dnnzip, and in every process that such a module starts.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["Compressed", "CompressedNetwork", "__version__", "compress", "compress_model", "decompress_model"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("dnnzip.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
