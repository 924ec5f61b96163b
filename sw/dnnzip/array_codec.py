"""`Compressed` as a codec of numcodecs, and so of zarr: chunks of arrays within an error bound.

numcodecs finds it by its entry point; it comes with the extra ``numcodecs``.
"""

from typing import Any, Literal

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_ndarray, ndarray_copy
from numpy.typing import NDArray

from dnnzip.codec import CodecOptions
from dnnzip.encoding import encoding_of, log2_states
from dnnzip.format import AUTO
from dnnzip.tensor import Compressed, ErrorScope, compress


class DnnzipCodec(Codec):
    """Compresses chunks of any type that `dnnzip.compress` takes within an error bound that holds exactly.

    Parameters
    ----------
    max_error, error_scope, codec, axis, zero_point, states, virtual_lanes, groups
        As in `dnnzip.compress`. A share of the range is one of each chunk's own range.

    Raises
    ------
    InputError
        An option is out of its range.
    TypeError
        ``max_error`` is neither text nor a number.
    """

    codec_id = "dnnzip"

    def __init__(
        self,
        max_error: str | float,
        *,
        error_scope: ErrorScope = "tensor",
        codec: str = AUTO,
        axis: int = 0,
        zero_point: int = 0,
        states: Literal[256, 512, 1024] = 512,
        virtual_lanes: int | None = None,
        groups: int = 1,
    ) -> None:
        encoding_of(max_error, error_scope, CodecOptions(codec, log2_states(states), virtual_lanes, groups))
        self.options: dict[str, Any] = {
            "max_error": max_error,
            "error_scope": error_scope,
            "codec": codec,
            "axis": axis,
            "zero_point": zero_point,
            "states": states,
            "virtual_lanes": virtual_lanes,
            "groups": groups,
        }

    def encode(self, buf: Any) -> bytes:
        """Return the array file of a chunk; raises as `dnnzip.compress` does."""
        return compress(ensure_ndarray(buf), **self.options).to_bytes()

    def decode(self, buf: Any, out: Any = None) -> NDArray[np.generic]:
        """Return the chunk of an array file, in `out` where that is given; raises as `Compressed.from_bytes` does."""
        decoded: NDArray[np.generic] = ndarray_copy(Compressed.from_bytes(ensure_bytes(buf)).decode(), out)
        return decoded

    def get_config(self) -> dict[str, Any]:
        """Return the options with the codec's name, for `from_config` and files."""
        return {"id": self.codec_id, **self.options}

    def __repr__(self) -> str:
        return f"DnnzipCodec({', '.join(f'{name}={value!r}' for name, value in self.options.items())})"
