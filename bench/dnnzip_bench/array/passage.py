"""A whole network through the simulated array, batch by batch as a host would send it, and what each layer took.

All layers go as one job, back to back: weights of the next layer are fetched while one multiplies.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnnzip.array.golden import GoldenArray
from dnnzip.array.job import ArrayJob
from dnnzip.array.network import CompiledLayer, CompiledNetwork, run_network
from dnnzip.errors import CheckFailedError
from dnnzip.format import IMAGE_ENTRY, IMAGE_HEADER, WORD_BITS, WORD_BYTES, ImageEntry, ImageKind, read_image_table
from dnnzip.format.array import Placement
from dnnzip.format.program import Walk
from dnnzip.format.schedule import count_beats, passes
from dnnzip_hw.array import ArrayParameters
from dnnzip_sim.array import Memory, Surroundings, build_array, run_job

WAITS = 0.02
"""Share of its time that the memory may wait for the decompressors while it still counts as what limits a layer."""


@dataclass(frozen=True)
class LayerPassage:
    """Cycles, words and sizes of a layer on the array."""

    name: str
    weights: int
    compressed: bool
    stored_bytes: int  # their size in the image, padding included
    fetches: int
    vectors: int  # vectors that went into the array, each for a cycle
    macs: int
    # From the last vector of the layer before, or the first tile of the network, to the layer's own last vector.
    cycles: int
    # Bus words of the memory, and words of 16 bits on the on-chip bus.
    memory_words: int
    bus_words: int
    # Cycles that the memory takes at least for the bytes; and the decompressors, of whose virtual lanes one yields a
    # weight every `ring` cycles: in a pass of few channels the memory waits for them.
    memory_limit: int
    decoder_limit: int

    @property
    def limit(self) -> str:
        """Limit of the layer: ``memory``, ``decoder`` or ``array``.

        The decompressors do where the memory waits for them for more than ``WAITS`` of its time.
        """
        if self.vectors >= max(self.memory_limit, self.decoder_limit):
            return "array"
        return "decoder" if self.decoder_limit > (1 + WAITS) * self.memory_limit else "memory"


@dataclass(frozen=True)
class Passage:
    """Cycles, words and sizes of a network on the array."""

    layers: tuple[LayerPassage, ...]
    start_cycles: int  # cycles until the first tile was there, with the table set's loading where there is one
    table_cycles: int  # cycles in which the table set was fetched and loaded
    cycles: int  # from the first walk to the last vector
    # As counted by the hardware; the image's table and the table set are among them.
    memory_words: int
    bus_words: int
    processing_elements: int
    mismatches: int  # sums that differ from those of the golden array

    @property
    def utilisation(self) -> float:
        """Multiplications per cycle and processing element, from the first tile on."""
        cycles = self.cycles - self.start_cycles
        return sum(layer.macs for layer in self.layers) / (cycles * self.processing_elements)


@dataclass(frozen=True)
class _Part:
    """A layer in the job: its number of vectors, what the array does for it, and the walks that fetch its weights."""

    own: CompiledLayer
    vectors: int
    job: ArrayJob
    walks: Sequence[Walk]

    def sums(self, given: NDArray[np.int32]) -> NDArray[np.int32]:
        return self.own.program.sums(given, self.vectors)


def pass_through(
    compiled: CompiledNetwork, x: NDArray[np.generic], parameters: ArrayParameters, memory: Memory
) -> Passage:
    """Run a network, compiled for an array of this shape, on the samples of one batch in the simulated array.

    Raises
    ------
    CheckFailedError
        The words that the hardware counted are not those of the image.
    SimulationFailedError
        See ``run_job``.
    """
    assert parameters.shape == compiled.shape, "compiled for another array"
    layers = list(compiled.layers.values())
    golden = GoldenArray(compiled.shape)
    sources = [own.layer.source for own in layers]
    inputs = run_network(compiled, golden, x, check=False, batch=len(x), keep=sources).kept
    tables = [compiled.image.tables] if compiled.image.tables else []
    parts: list[_Part] = []
    for own, source in zip(layers, sources, strict=True):
        point = own.layer.zero_point
        vectors = np.concatenate([own.layer.geometry.vectors(part, point) for part in inputs[source]], axis=1)
        job = own.program.job(compiled.image.content, vectors, point)
        parts.append(_Part(own, vectors.shape[1], job, [walk for walk in job.walks if walk not in tables]))
    walks = [*tables, *(walk for part in parts for walk in part.walks)]
    runs = [run for part in parts for run in part.job.runs]
    activations = np.concatenate([part.job.activations for part in parts])
    whole = ArrayJob(compiled.image.content, walks, runs, activations)
    with tempfile.TemporaryDirectory(prefix="dnnzip-gain-") as folder:
        result = run_job(build_array(parameters), parameters, whole, Path(folder), Surroundings(memory))
    entries = read_image_table(compiled.image.content)
    passages: list[LayerPassage] = []
    mismatches = run = given = 0
    before = start = int(result.times[0, 0])
    for part in parts:
        job = part.job
        last = int(result.times[run + len(job.runs) - 1, 1])
        passages.append(_layer(part, entries, parameters, memory, last - before))
        before, run = last, run + len(job.runs)
        sums = part.sums(result.sums[given : given + job.given])
        mismatches += int(np.count_nonzero(sums != part.sums(golden.execute(job).sums)))
        given += job.given
    passage = Passage(
        tuple(passages),
        start,
        result.figures.loading,
        before + 1,
        result.figures.memory_words,
        result.figures.bus_moves * _bus_item_words(parameters),
        parameters.rows * parameters.columns,
        mismatches,
    )
    _check_words(passage, entries, walks, parameters)
    return passage


def _layer(
    part: _Part, table: Sequence[ImageEntry], parameters: ArrayParameters, memory: Memory, cycles: int
) -> LayerPassage:
    """Return the passage of a layer of the image with this table."""
    own, fetched = part.own, [[table[number] for number in walk.entries] for walk in part.walks]
    entries = [entry for walk in fetched for entry in walk]
    words = sum(_bus_words(entry, parameters) for entry in entries)
    bytes_per_cycle = memory.bytes_per_cycle or parameters.bus_bytes
    # The groups share the memory; each is as slow as its share or its own passes.
    share = WORD_BYTES * parameters.groups / bytes_per_cycle
    busy = [0.0] * parameters.groups
    for entry in entries:
        busy[parameters.shape.group_of(entry.part)] += _group_cycles(entry, parameters, max(1.0, share))
    return LayerPassage(
        own.layer.name,
        own.layer.weights.size,
        own.placed.compressed,
        sum(_bus_words(entry, parameters) for entry in fetched[0]) * parameters.bus_bytes,
        len(fetched),
        part.job.vectors,
        part.vectors * own.layer.weights.size,
        cycles,
        words,
        sum(_bus_load(entry, parameters) for entry in entries),
        -(-words * parameters.bus_bytes // bytes_per_cycle),
        round(max(busy)),
    )


def _group_cycles(entry: ImageEntry, parameters: ArrayParameters, cycles_per_word: float) -> float:
    """Return the cycles that a group needs for a part, pass by pass: for its words, or for its turns of the ring."""
    words = entry.words / entry.channels * cycles_per_word
    turns = 0 if entry.kind is ImageKind.PLAIN else entry.length * parameters.decompressor.ring
    return sum(max(words * len(channels), turns) for channels in passes(entry))


def _bus_words(entry: ImageEntry, parameters: ArrayParameters) -> int:
    """Return the words of the memory's bus that a stream takes."""
    return -(-entry.words * WORD_BYTES // parameters.bus_bytes)


def _bus_item_words(parameters: ArrayParameters) -> int:
    """Return the words of 16 bits of what moves on the on-chip bus at once: a word, or the weights of a beat."""
    if parameters.placement is Placement.PE:
        return 1
    return -(-parameters.decompressor.lanes * parameters.decompressor.weight_bits // WORD_BITS)


def _bus_load(entry: ImageEntry, parameters: ArrayParameters) -> int:
    """Return the words of 16 bits that a stream puts on the on-chip bus."""
    in_array = parameters.placement is Placement.PE
    moves = entry.words if in_array else count_beats(entry, parameters.decompressor.lanes)
    return moves * _bus_item_words(parameters)


def _check_words(
    passage: Passage, entries: Sequence[ImageEntry], walks: Sequence[Walk], parameters: ArrayParameters
) -> None:
    """Compare what the hardware counted with the image: every word is fetched, and moved, once for each walk."""
    walked = [entries[number] for walk in walks for number in walk.entries]
    per_entry = IMAGE_ENTRY.bytes // parameters.bus_bytes
    memory_words = IMAGE_HEADER.bytes // parameters.bus_bytes
    memory_words += sum(per_entry + _bus_words(entry, parameters) for entry in walked)
    # The table set goes to each group; where the decompressors are at the memory it stays there.
    copies = parameters.groups if parameters.placement is Placement.PE else 0
    bus_words = sum(copies * entry.words if entry.is_table_set else _bus_load(entry, parameters) for entry in walked)
    for what, counted, wanted in (
        ("memory words", passage.memory_words, memory_words),
        ("words on the on-chip bus", passage.bus_words, bus_words),
    ):
        if counted != wanted:
            raise CheckFailedError(f"the hardware counted {counted} {what}, the image has {wanted}")
