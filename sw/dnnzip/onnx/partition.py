"""A graph cut into segments, each of which becomes a model of its own."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from dnnzip.onnx.graph import reads_of


@dataclass(frozen=True)
class Segment:
    """Operators that run together."""

    nodes: tuple[int, ...]  # positions in the graph, in order
    reads: tuple[str, ...]  # names that come from outside, without the network's constants
    gives: tuple[str, ...]  # names that are read outside


def cut_before(model: onnx.ModelProto, starts: Collection[int], output: str) -> list[Segment]:
    """Return the segments of a sorted graph that begin at its first node (it may be empty) and at given positions."""
    groups: list[list[int]] = [[]]
    for position in range(len(model.graph.node)):
        if position in starts:
            groups.append([])
        groups[-1].append(position)
    return _Cut(model).segments(groups, [output])


def cut_around(model: onnx.ModelProto, blocks: Sequence[Segment], output: str) -> list[Segment]:
    """Return blocks, as they are, and the segments between them in an order in which each finds what it reads.

    Operators that nothing needs, because a block replaces them or what they served, are gone.
    """
    cut = _Cut(model)
    absorbed = frozenset[int]().union(*(block.nodes for block in blocks))
    needed = cut.needed(blocks, absorbed, output)
    rest = [position for position in range(len(cut.made)) if position not in absorbed and needed & cut.made[position]]
    waiting = [block for block in blocks if needed & set(block.gives)]
    read = {name for block in waiting for name in block.reads}
    available = {value.name for value in model.graph.input}
    pieces: list[Segment | list[int]] = []
    while rest or waiting:
        ready: list[int] = []
        for position in rest:
            if cut.reads[position] <= available:
                ready.append(position)
                available |= cut.made[position]
        rest = [position for position in rest if position not in set(ready)]
        if ready:
            pieces.append(ready)
        now = [block for block in waiting if set(block.reads) <= available]
        assert ready or now, "a graph in topological order has always something to do"
        pieces += now
        available.update(*(block.gives for block in now))
        waiting = [block for block in waiting if block not in now]
    segments = iter(cut.segments([piece for piece in pieces if isinstance(piece, list)], read | {output}))
    return [next(segments) if isinstance(piece, list) else piece for piece in pieces]


class _Cut:
    """A graph that is being cut, with the names that each node reads, without constants, and makes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        constants = {tensor.name for tensor in model.graph.initializer}
        self._nodes = model.graph.node
        self.reads = [set(reads_of(node)) - constants for node in self._nodes]
        self.made = [set(node.output) - {""} for node in self._nodes]

    def needed(self, blocks: Sequence[Segment], absorbed: Collection[int], output: str) -> set[str]:
        """Return the names that the output depends on."""
        sources = {name: block.reads for block in blocks for name in block.gives}
        needed = {output}
        for position in reversed(range(len(self._nodes))):
            own = needed & self.made[position]
            if position not in absorbed and own:
                needed |= self.reads[position]
            for name in own & sources.keys():
                needed.update(sources[name])
        return needed

    def segments(self, groups: Sequence[Sequence[int]], wanted: Collection[str]) -> list[Segment]:
        """Return groups of positions as segments, each of which makes what another reads or what is wanted."""
        made = [[name for position in group for name in self._nodes[position].output if name] for group in groups]
        reads = [
            [name for name in dict.fromkeys(n for p in group for n in sorted(self.reads[p])) if name not in set(own)]
            for group, own in zip(groups, made, strict=True)
        ]
        asked = set(wanted).union(*reads)
        return [
            Segment(tuple(group), tuple(names), tuple(name for name in own if name in asked))
            for group, names, own in zip(groups, reads, made, strict=True)
        ]


def segment_model(
    model: onnx.ModelProto, segment: Segment, values: Mapping[str, NDArray[np.generic]]
) -> onnx.ModelProto:
    """Return a segment as a model of its own.

    Its inputs have the types of ``values``: examples of what it reads, and of constants that are to be inputs.
    """
    nodes = [model.graph.node[position] for position in segment.nodes]
    read = set[str]().union(*map(reads_of, nodes))
    constants = [tensor for tensor in model.graph.initializer if tensor.name in read - values.keys()]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim)
        for name, value in values.items()
        if name in read
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in segment.gives]
    graph = helper.make_graph(nodes, "segment", inputs, outputs, constants)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=max(model.ir_version, 4))
    part.functions.extend(model.functions)
    return part
