"""Run coders on a task in turns, check what they decode, take the time."""

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from dnnzip_bench.coders.coder import Coder
from dnnzip_bench.coders.task import Task

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Result:
    """Sizes and times of one coder on one task."""

    coder: str
    task: str
    bound: str
    weights: int
    bits: int  # size of everything that a decoder needs
    stream_bits: tuple[int, ...]  # size of each of its streams; dnnzip's first one is the table set
    error: float  # largest error of all tensors: in bounds for floats, in steps for integers
    broken: int  # tensors whose error is over the bound
    limit_bits: float = 0.0  # size that it is never to be above; 0 where there is no such size
    # Median time; 0 where it was not taken.
    encode_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def bits_per_weight(self) -> float:
        """Size for each weight."""
        return self.bits / self.weights

    @property
    def encode_speed(self) -> float:
        """Megabytes of float32 encoded in a second."""
        return FLOAT_BYTES * self.weights / 1e6 / self.encode_seconds

    @property
    def decode_speed(self) -> float:
        """Megabytes of float32 decoded in a second."""
        return FLOAT_BYTES * self.weights / 1e6 / self.decode_seconds


def run(task: Task, coders: Sequence[type[Coder]], rounds: int = 0) -> list[Result]:
    """Compress and decompress a task with every coder that takes it, and take the time in each round.

    One run comes before, which compiles, fills caches and is checked. In each round every coder has its turn, so that
    what else the machine does meets all of them. The time is the processor's, of all threads; there is to be one thread
    alone.
    """
    results, ready = [], []
    for kind in coders:
        if not kind.takes(task):
            continue
        coder = kind(task)
        streams = coder.encode()
        errors = [task.error(index, restored) for index, restored in enumerate(coder.decode(streams))]
        results.append(
            Result(
                coder.name,
                task.name,
                task.bound.text,
                task.count,
                coder.bits(streams),
                tuple(8 * len(stream) for stream in streams),
                max(errors),
                sum(map(task.is_broken, errors)),
                coder.limit_bits(streams),
            )
        )
        ready.append(coder)
    times = [_times(coder) for _ in range(rounds) for coder in ready]
    if not times:
        return results
    return [
        replace(
            result,
            encode_seconds=median(encode for encode, _ in times[index :: len(ready)]),
            decode_seconds=median(decode for _, decode in times[index :: len(ready)]),
        )
        for index, result in enumerate(results)
    ]


def _times(coder: Coder) -> tuple[float, float]:
    gc.collect()
    start = time.process_time()
    streams = coder.encode()
    middle = time.process_time()
    coder.decode(streams)
    return middle - start, time.process_time() - middle
