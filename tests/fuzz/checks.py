"""Checks of an input's effect: a verdict or an error of ours, in bounded time and memory, alike in both decoders."""

import warnings
import zlib
from collections import Counter
from functools import lru_cache

import numpy as np
from inputs import ARRAY, MODEL, STREAM, parts_of

from dnnzip.cli.announcements import CATEGORIES
from dnnzip.codec import decode_tensor, fast, reference
from dnnzip.errors import DnnzipError
from dnnzip.format import TableSet, Verdict, VerdictError
from dnnzip.onnx.decompression import decompressed
from dnnzip.onnx.opening import read_compressed
from dnnzip.tensor import Compressed
from dnnzip.usecases.summary import summarise

#: The reference decoder takes a header at its word and is slow: it is asked for no more weights than this.
REFERENCE_WEIGHTS = 2000

#: One stream of this number goes through the reference decoder and the decoder of tensors as well.
SAMPLED = 8

#: Verdicts on a header: a stream that has one of them is not worth changing further.
AT_ONCE = (Verdict.BAD_MAGIC, Verdict.VERSION, Verdict.UNSUPPORTED, Verdict.BAD_HEADER, Verdict.WRONG_TABLES)


class EscapeError(AssertionError):
    """A decoder did what its contract excludes."""


class Checker:
    """Runs inputs and counts how they end.

    Parameters
    ----------
    folder
        Where a model file is put for its reader; nothing else may be in it.
    """

    def __init__(self, folder):
        folder.mkdir(exist_ok=True)
        self.path = folder / "fuzzed.dnz.onnx"
        self.ends = Counter()
        self.kinds = Counter()
        warnings.simplefilter("error")
        for category in CATEGORIES:  # of libraries that are newer than those of the lock
            warnings.simplefilter("default", category)

    def check(self, data):
        """Run one input; whatever is raised here is an escape. Return whether it got behind the first checks."""
        if data[:1] == STREAM:
            self.kinds["streams"] += 1
            return self._check_stream(*parts_of(data[1:]), zlib.adler32(data) % SAMPLED == 0)
        if data[:1] == MODEL:
            self.kinds["containers"] += 1
            return self._check_model(data[1:])
        if data[:1] == ARRAY:
            self.kinds["arrays"] += 1
            return self._check_array(data[1:])
        return False

    def _check_stream(self, tables, stream, is_sampled):
        table_set, verdict = _table_set(tables)
        self.ends[f"table set {verdict.label}"] += 1
        decoded = fast.decode(stream, table_set)
        self.ends[f"stream {Verdict(decoded.verdict).label}"] += 1
        if (decoded.verdict == Verdict.OK) != (decoded.codes is not None):
            raise EscapeError(f"{decoded.verdict!r} with codes {decoded.codes is not None}")
        header = decoded.header
        if decoded.codes is not None and (
            decoded.codes.dtype != np.int16 or decoded.codes.shape != (header.channels, header.length)
        ):
            raise EscapeError(f"codes {decoded.codes.dtype} {decoded.codes.shape} for {header}")
        went_far = decoded.verdict not in AT_ONCE
        if not is_sampled:
            return went_far
        try:
            self.kinds["tensors"] += 1
            decode_tensor(stream, tables)
        except VerdictError:
            pass
        if header is None or header.weights <= REFERENCE_WEIGHTS:
            self.kinds["reference"] += 1
            slow = reference.decode(stream, table_set)
            if slow.verdict != decoded.verdict:
                raise EscapeError(f"reference {slow.verdict!r}, fast {decoded.verdict!r}")
            if decoded.codes is not None and decoded.codes.tolist() != slow.codes:
                raise EscapeError("reference and fast codec give other codes")
        return went_far

    def _check_model(self, content):
        self.path.write_bytes(content)
        try:
            compressed = read_compressed(self.path)
            summarise(compressed).as_json()
            decompressed(compressed).SerializeToString()
        except DnnzipError:
            self.ends["container refused"] += 1
            return False
        self.ends["container ok"] += 1
        return True

    def _check_array(self, content):
        try:
            compressed = Compressed.from_bytes(content)
            array = compressed.decode()
        except DnnzipError:
            self.ends["array refused"] += 1
            return False
        if (array.shape, array.dtype) != (compressed.shape, compressed.dtype):
            raise EscapeError(f"{array.dtype} {array.shape} of {compressed!r}")
        self.ends["array ok"] += 1
        return True


@lru_cache(maxsize=64)
def _table_set(tables):
    if not tables:
        return None, Verdict.TRUNCATED
    try:
        return TableSet.from_bytes(tables), Verdict.OK
    except VerdictError as error:
        return None, error.verdict
