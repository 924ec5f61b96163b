"""Compressors of others, each through its own Python package, and which of them are installed."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dnnzip_bench.coders.coder import Coder, CodesCoder
from dnnzip_bench.coders.huffman import Huffman
from dnnzip_bench.coders.ours import Dnnzip
from dnnzip_bench.coders.task import Task
from dnnzip_bench.coders.zero_runs import ZeroRuns


def layouts(task: Task, index: int) -> list[NDArray[np.generic]]:
    """Return a float tensor in the shapes that a predictor may like: flat, a row per channel, a kernel per input."""
    rows, (height, width) = task.rows[index], task.weights[index].layout.kernel
    shapes = [(rows.size,), rows.shape]
    if height * width > 1:
        shapes.append((rows.shape[0], rows.shape[1] // (height * width), height, width))
    return [rows.reshape(shape) for shape in shapes]


class FloatCoder(Coder):
    """A coder of floats, with the layout and the setting that take the fewest bytes, chosen beforehand."""

    takes_integers = False

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._module = import_module(self.package)
        tries = (self.tries(index) for index in range(len(task.weights)))
        self._chosen = [min(pairs, key=lambda pair: len(self.compress(*pair))) for pairs in tries]

    @abstractmethod
    def tries(self, index: int) -> Iterable[tuple[NDArray[np.generic], Any]]:
        """Return the layouts and settings to choose from for a tensor."""

    @abstractmethod
    def compress(self, array: NDArray[np.generic], setting: Any) -> bytes:
        """Compress a tensor in a layout and a setting."""

    @abstractmethod
    def decompress(self, stream: bytes, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Return a tensor of a shape."""

    def encode(self) -> Sequence[bytes]:
        """Compress each tensor as chosen."""
        return [self.compress(*pair) for pair in self._chosen]

    def decode(self, streams: Sequence[bytes]) -> list[NDArray[np.generic]]:
        """Decompress each tensor."""
        pairs = zip(streams, self._chosen, strict=True)
        return [self.decompress(stream, array.shape) for stream, (array, _) in pairs]


class Sz3(FloatCoder):
    """SZ3 with an absolute bound."""

    name = "SZ3"
    package = "pysz"
    remark = "absolute bound; the best of four predictors and three layouts for each tensor, chosen beforehand"

    def tries(self, index: int) -> Iterable[tuple[NDArray[np.generic], Any]]:
        """Return every layout with every predictor."""
        for array in layouts(self.task, index):
            for name in ("LORENZO_REG", "INTERP_LORENZO", "INTERP", "NOPRED"):
                config = self._module.szConfig()
                config.errorBoundMode = self._module.szErrorBoundMode.ABS
                config.absErrorBound = self.task.grids[index].grid.max_bound
                config.cmprAlgo = getattr(self._module.szAlgorithm, name)
                yield array, config

    def compress(self, array: NDArray[np.generic], setting: Any) -> bytes:
        """Compress a tensor with a configuration."""
        return bytes(self._module.sz.compress(array, setting)[0].tobytes())

    def decompress(self, stream: bytes, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Decompress a tensor."""
        return np.asarray(self._module.sz.decompress(np.frombuffer(stream, np.uint8), np.float32, shape)[0])


class Zfp(FloatCoder):
    """zfp in its mode of a fixed accuracy."""

    name = "zfp"
    package = "zfpy"
    remark = (
        "fixed accuracy; the loosest tolerance that keeps the bound and the best of three layouts for each tensor, "
        "chosen beforehand"
    )
    _HEADER_BITS = 48
    """Of zfp's header, for all dimensions."""

    def tries(self, index: int) -> Iterable[tuple[NDArray[np.generic], Any]]:
        """Return the layouts that the header has room for, each with the loosest tolerance that keeps the bound."""
        for array in layouts(self.task, index):
            if max(array.shape) <= 1 << self._HEADER_BITS // array.ndim:
                # By powers of two from the bound.
                tolerance = self.task.grids[index].grid.max_bound
                while not self._breaks(array, index, 2 * tolerance):
                    tolerance *= 2
                yield array, tolerance

    def _breaks(self, array: NDArray[np.generic], index: int, tolerance: float) -> bool:
        restored = self.decompress(self.compress(array, tolerance), array.shape)
        return self.task.is_broken(self.task.error(index, restored))

    def compress(self, array: NDArray[np.generic], setting: Any) -> bytes:
        """Compress a tensor with a tolerance."""
        return bytes(self._module.compress_numpy(array, tolerance=setting))

    def decompress(self, stream: bytes, shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Decompress a tensor, whose stream says its shape."""
        del shape
        return np.asarray(self._module.decompress_numpy(stream))


class NnCodec(CodesCoder):
    """The arithmetic coder of ISO/IEC 15938-17, called on the integer codes."""

    name = "NNCodec"
    package = "nncodec"
    remark = (
        "its arithmetic coder called on the integer codes, at exactly dnnzip's step, with its search for context "
        "parameters; 16 bits per tensor for its shape"
    )
    TENSOR_BITS: ClassVar[int] = 16
    _UNARY_LENGTH = 11
    _NO_HISTORY: ClassVar[NDArray[np.int8]] = np.zeros(2, np.int8)

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._cabac = import_module("nncodec.extensions.deepCABAC")
        self._off = self._cabac.HdspMode.AlwaysOff

    def pack(self, index: int, codes: NDArray[np.int16]) -> bytes:
        """Encode a tensor without the standard's own quantiser, codebook or base model."""
        del index
        encoder = self._cabac.Encoder()
        encoder.initCtxModels(self._UNARY_LENGTH, 1)
        kept = np.zeros(codes.shape[0], np.int32)
        encoder.encodeLayer(codes.astype(np.int32), 0, 0, 0, 0, 0, kept, self._off, self._NO_HISTORY, 0, 0)
        return bytes(encoder.finish().tobytes())

    def unpack(self, stream: bytes, shape: tuple[int, int]) -> NDArray[np.int16]:
        """Decode a tensor."""
        decoder = self._cabac.Decoder()
        decoder.setStream(np.frombuffer(stream, np.uint8))
        decoder.initCtxModels(self._UNARY_LENGTH)
        codes = np.zeros(shape, np.int32)
        decoder.decodeLayer(codes, 0, 0, 0, 0, self._off, self._NO_HISTORY, 0, 0)
        decoder.finish()
        return codes.astype(np.int16)


class Zstd(CodesCoder):
    """zstd on the codes as bytes."""

    name = "zstd -19"
    package = "zstandard"
    remark = "on the codes as bytes; where they need two, all low bytes, then all high bytes"
    level: ClassVar[int] = 19

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        zstandard = import_module("zstandard")
        self._compressor = zstandard.ZstdCompressor(level=self.level)
        self._decompressor = zstandard.ZstdDecompressor()

    def pack(self, index: int, codes: NDArray[np.int16]) -> bytes:
        """Compress the codes' bytes."""
        del index
        narrow = codes.astype(np.int8)
        if np.array_equal(narrow, codes):
            return bytes(self._compressor.compress(narrow.tobytes()))
        return bytes(self._compressor.compress(codes.view(np.uint8).reshape(-1, 2).T.tobytes()))

    def unpack(self, stream: bytes, shape: tuple[int, int]) -> NDArray[np.int16]:
        """Decompress the codes' bytes."""
        data = np.frombuffer(self._decompressor.decompress(stream), np.uint8)
        if data.size == shape[0] * shape[1]:
            return data.view(np.int8).astype(np.int16).reshape(shape)
        return np.ascontiguousarray(data.reshape(2, -1).T).view(np.int16).reshape(shape)


class FastZstd(Zstd):
    """zstd at its default level."""

    name = "zstd -3"
    remark = "as the row above, at its default level"
    level: ClassVar[int] = 3


class Vela(CodesCoder):
    """The weight coder of Arm's Ethos-U compiler."""

    name = "Vela mlw_codec"
    package = "ethos-u-vela"
    remark = (
        "int8 only, without the reordering and padding for its hardware; the better of two orders of the weights; "
        "its Python interface takes and gives lists, which is in its times"
    )
    takes_floats = False

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._codec = import_module("ethosu.mlw_codec")
        self._by_channel = []
        for codes in task.codes:
            by_channel, by_position = vela_bytes(codes)
            self._by_channel.append(by_channel <= by_position)

    def pack(self, index: int, codes: NDArray[np.int16]) -> bytes:
        """Encode the codes; the first byte says in which order."""
        ordered = codes if self._by_channel[index] else codes.T
        return bytes([self._by_channel[index]]) + bytes(self._codec.encode(ordered.reshape(-1).tolist()))

    def unpack(self, stream: bytes, shape: tuple[int, int]) -> NDArray[np.int16]:
        """Decode the codes."""
        flat = np.array(self._codec.decode(bytearray(stream[1:])), np.int16)[: shape[0] * shape[1]]
        return flat.reshape(shape) if stream[0] else np.ascontiguousarray(flat.reshape(shape[::-1]).T)

    def bits(self, streams: Sequence[bytes]) -> int:
        """Return the streams' size without the byte that says the order: hardware would fix it."""
        return super().bits(streams) - 8 * len(streams)


def vela_bytes(codes: NDArray[np.int16]) -> tuple[int, int]:
    """Return the size of a tensor, int16 [channels, length], in Vela's code in two orders: by channel, by position."""
    codec = import_module("ethosu.mlw_codec")
    return len(codec.encode(codes.reshape(-1).tolist())), len(codec.encode(codes.T.reshape(-1).tolist()))


VELA_DEPTH = 8
"""Input and output channels that Vela's hardware takes at once."""
VELA_BLOCKS = (8, 16, 32, 64, 128)
"""Output channels of a block, of which its compiler chooses one for each layer."""
VELA_KERNEL = 8
"""Rows and columns of a kernel before it is decomposed."""


def vela_ordered_bytes(codes: NDArray[np.int16], kernel: tuple[int, int]) -> int:
    """Return the size of a tensor as Vela orders and pads it for its hardware: the best block and traversal.

    There is no decoder for it but that hardware, so it is sized alone.

    Parameters
    ----------
    codes
        [channels, length], of 8 bits; length is a multiple of the taps of the kernel.
    kernel
        Rows and columns of the kernel.
    """
    codec = import_module("ethosu.mlw_codec")
    height, width = kernel
    volume = codes.reshape(codes.shape[0], -1, height, width).transpose(0, 2, 3, 1)
    volume = np.ascontiguousarray(volume, np.int16)
    # Depthwise, part of the kernel first.
    traversals = [(False, False), (False, True), *([(True, False)] if volume.shape[3] == 1 else [])]
    return min(
        len(codec.reorder_encode(VELA_DEPTH, VELA_DEPTH, volume, block, *how, 8, VELA_KERNEL, VELA_KERNEL)[0])
        for block in VELA_BLOCKS
        for how in traversals
    )


CODERS: tuple[type[Coder], ...] = (Dnnzip, NnCodec, Sz3, Zfp, Zstd, FastZstd, Huffman, ZeroRuns, Vela)
MODULES = {
    "pysz": "pysz",
    "zfpy": "zfpy",
    "nncodec": "nncodec.extensions.deepCABAC",
    "zstandard": "zstandard",
    "ethos-u-vela": "ethosu.mlw_codec",
}
"""The module of each package that a coder uses."""


def installed() -> tuple[tuple[type[Coder], ...], list[str]]:
    """Return the coders that can run, and a line on each that cannot."""
    coders, left_out = [], []
    for coder in CODERS:
        try:
            if coder.package:
                import_module(MODULES[coder.package])
        except ImportError as error:
            left_out.append(f"{coder.name} is left out: {coder.package} cannot be imported ({error})")
        else:
            coders.append(coder)
    return tuple(coders), left_out
