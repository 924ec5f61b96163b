"""The plain network of a compressed model as a stream of bytes, written while threads decode its weights.

``python -m dnnzip.onnx.plain_stream PATH WHERE`` writes it to standard output, for `dnnzip.onnx.writer_process`. Where
that fails, the last line of standard error is the fault as JSON.
"""

import json
import os
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO
from uuid import uuid4

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.errors import InputError
from dnnzip.inputs.memory import memory_for
from dnnzip.onnx.compressed import CompressedLayer, CompressedModel
from dnnzip.onnx.decompression import decode_layer, decoded_skeleton, raw_data, restore
from dnnzip.onnx.files import LARGEST_MESSAGE, Source, check_given, message_bytes, stream_model
from dnnzip.onnx.lazy_tensors import place_of, set_external
from dnnzip.onnx.opening import open_compressed, open_compressed_file
from dnnzip.onnx.tensor_bytes import bytes_of
from dnnzip.onnx.writer_process import FAILED, STANDARD_INPUT, TOO_LARGE

#: Most weights that are decoded ahead, or a single larger tensor.
AHEAD_WEIGHTS = 1 << 23


@dataclass(frozen=True)
class _Decoded:
    """Bytes of the next layer."""

    length: int
    arrays: Iterator[tuple[str, NDArray[np.generic]]]  # all layers in their order, decoded

    def chunks(self) -> Iterator[memoryview]:
        """Visit the bytes, as one piece."""
        yield raw_data(next(self.arrays)[1])


def decoded_layers(compressed: CompressedModel, threads: int) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Visit the weights in the order of the layers, each with its name, while threads decode those that follow.

    Raises
    ------
    InputError
        See `decode_layer` and `restore`.
    """

    def decoded(layer: CompressedLayer) -> NDArray[np.generic]:
        return restore(layer, decode_layer(compressed, layer), compressed.where)

    ahead: deque[tuple[CompressedLayer, Future[NDArray[np.generic]]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for layer in compressed.layers:
            while ahead and (
                len(ahead) > threads or layer.weights + sum(item.weights for item, _ in ahead) > AHEAD_WEIGHTS
            ):
                done, future = ahead.popleft()
                yield done.name, future.result()
            ahead.append((layer, pool.submit(decoded, layer)))
        while ahead:
            done, future = ahead.popleft()
            yield done.name, future.result()


def write_plain(compressed: CompressedModel, file: BinaryIO, threads: int) -> bool:
    """Write the plain network to an open file.

    Returns
    -------
    False where it is beyond the 2 GB of a message: then nothing has been written.

    Raises
    ------
    InputError
        See `decode_layer` and `restore`.
    """
    plain = decoded_skeleton(compressed)
    arrays = decoded_layers(compressed, threads)
    names = {layer.name for layer in compressed.layers}

    def source_of(tensor: onnx.TensorProto) -> Source | None:
        return _Decoded(bytes_of(tensor) or 0, arrays) if tensor.name in names else place_of(tensor)

    if message_bytes(plain, source_of) > LARGEST_MESSAGE:
        return False
    stream_model(plain, file, source_of, compressed.where)
    return True


def plain_buffers(compressed: CompressedModel, threads: int) -> tuple[bytes, dict[str, NDArray[np.uint8]]]:
    """Return the plain network without its large arrays, and these by the names of files that do not exist.

    Raises
    ------
    InputError
        See `decode_layer` and `restore`; or there is no memory for all weights.
    """
    plain = decoded_skeleton(compressed)
    buffers: dict[str, NDArray[np.uint8]] = {}
    # Options of a session keep the names for good.
    unique = uuid4()
    weights = {layer.name for layer in compressed.layers}
    size = sum(bytes_of(tensor) or 0 for tensor in plain.graph.initializer)
    with memory_for(compressed.where, "all of its weights", size):
        arrays = decoded_layers(compressed, threads)
        for tensor in plain.graph.initializer:
            if tensor.name in weights:
                content = np.frombuffer(raw_data(next(arrays)[1]), np.uint8)
            elif (place := place_of(tensor)) is not None:
                content = np.frombuffer(place.read(), np.uint8)
            else:
                continue
            name = f"{unique}.{len(buffers)}"
            buffers[name] = content
            set_external(tensor, name, 0, len(content))
    return plain.SerializeToString(), buffers


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def opened(source: str | bytes, where: str) -> CompressedModel:
    """Open a compressed model, of a file or serialised; see `open_compressed`."""
    if isinstance(source, str):
        return open_compressed_file(source)
    model = onnx.ModelProto.FromString(source)
    check_given(model, where)
    return open_compressed(model, where)


def main(path: str, where: str) -> int:
    """Write the plain network of a compressed one to standard output, and return the status of the process.

    The model is the file at the path, which messages name, or comes from standard input; messages then name ``where``.
    """
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as file:
            source = sys.stdin.buffer.read() if path == STANDARD_INPUT else path
            is_written = write_plain(opened(source, where), file, processors())
    except InputError as error:
        sys.stderr.write("\n" + json.dumps(error.__reduce__()[1]))
        return FAILED
    except BrokenPipeError:
        # The reader has found what it does not run, and says so.
        return FAILED
    return 0 if is_written else TOO_LARGE


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
