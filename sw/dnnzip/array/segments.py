"""The graph cut at the array's layers: what lies between them, as pieces that onnxruntime runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from dnnzip.array.layers import ArrayLayer
from dnnzip.errors import InputError
from dnnzip.evaluation.runtime import RUNTIME_ERRORS, first_line, open_session
from dnnzip.onnx.graph import subgraphs

Value = NDArray[np.generic]


@dataclass(frozen=True)
class Segment:
    """Operators between layers of the array.

    Parameters
    ----------
    nodes
        Positions in the graph, in order.
    reads
        Names that come from outside.
    gives
        Names that are read outside.
    """

    nodes: tuple[int, ...]
    reads: tuple[str, ...]
    gives: tuple[str, ...]


Piece = Segment | ArrayLayer


def cut(model: onnx.ModelProto, layers: Sequence[ArrayLayer], output: str) -> list[Piece]:
    """Return the pieces of a network in an order in which each finds what it reads.

    Operators that nothing needs any more, such as the DequantizeLinear of an array layer's input, are gone.

    Parameters
    ----------
    model
        The network.
    layers
        Its layers on the array.
    output
        The result that is wanted.
    """
    nodes = model.graph.node
    constants = {tensor.name for tensor in model.graph.initializer}
    absorbed = frozenset().union(*(layer.nodes for layer in layers))
    reads = [_reads(node) - constants for node in nodes]
    needed = _needed(nodes, reads, layers, absorbed, output)
    rest = [
        position for position in range(len(nodes)) if position not in absorbed and needed & set(nodes[position].output)
    ]
    live = [layer for layer in layers if layer.target in needed]
    available = {value.name for value in model.graph.input}
    pieces: list[Piece] = []
    while rest or live:
        ready = []
        for position in rest:
            if reads[position] <= available:
                ready.append(position)
                available |= set(nodes[position].output)
        rest = [position for position in rest if position not in set(ready)]
        if ready:
            pieces.append(_segment(ready, nodes, reads, needed))
        now = [layer for layer in live if layer.source in available]
        assert ready or now, "a graph in topological order has always something to do"
        pieces += now
        available |= {layer.target for layer in now}
        live = [layer for layer in live if layer not in now]
    return _trimmed(pieces, output)


def _needed(
    nodes: Sequence[onnx.NodeProto],
    reads: Sequence[set[str]],
    layers: Sequence[ArrayLayer],
    absorbed: frozenset[int],
    output: str,
) -> set[str]:
    """Return the names that the output depends on."""
    by_target = {layer.target: layer for layer in layers}
    needed = {output}
    for position in reversed(range(len(nodes))):
        own = needed & set(nodes[position].output)
        if position not in absorbed and own:
            needed |= reads[position]
        for name in own & by_target.keys():
            needed.add(by_target[name].source)
    return needed


def _segment(
    positions: Sequence[int], nodes: Sequence[onnx.NodeProto], reads: Sequence[set[str]], needed: set[str]
) -> Segment:
    made = [name for position in positions for name in nodes[position].output if name]
    wanted = dict.fromkeys(name for position in positions for name in sorted(reads[position]))
    return Segment(
        tuple(positions),
        tuple(name for name in wanted if name not in set(made)),
        tuple(name for name in made if name in needed),
    )


def _trimmed(pieces: Sequence[Piece], output: str) -> list[Piece]:
    """Let segments give only what other pieces read."""
    trimmed: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Segment):
            others = {name for other in pieces if other is not piece for name in piece_reads(other)} | {output}
            piece = Segment(piece.nodes, piece.reads, tuple(name for name in piece.gives if name in others))
        trimmed.append(piece)
    return trimmed


def piece_reads(piece: Piece) -> tuple[str, ...]:
    """Return the names that a piece reads."""
    return piece.reads if isinstance(piece, Segment) else (piece.source,)


def piece_gives(piece: Piece) -> tuple[str, ...]:
    """Return the names that a piece gives."""
    return piece.gives if isinstance(piece, Segment) else (piece.target,)


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return the names that a node reads, also those that its subgraphs read from outside."""
    names = {name for name in node.input if name}
    for graph in subgraphs([node]):
        names |= {name for inner in graph.node for name in inner.input if name}
        names |= {value.name for value in graph.output}
    for graph in subgraphs([node]):
        names -= {name for inner in graph.node for name in inner.output}
        names -= {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    return names


def run_segment(
    model: onnx.ModelProto, segment: Segment, batches: Sequence[Mapping[str, Value]], where: str
) -> Iterator[dict[str, Value]]:
    """Run a segment in onnxruntime, and visit what it gives for each batch.

    Parameters
    ----------
    model
        The network.
    segment
        The segment.
    batches
        The values of each batch; every batch has the same types.
    where
        The file, for messages.

    Raises
    ------
    InputError
        onnxruntime cannot run it.
    """
    part = _model_of(model, segment, batches[0])
    session = open_session(part.SerializeToString(), where)
    try:
        for values in batches:
            found = session.run(list(segment.gives), {name: values[name] for name in segment.reads})
            yield dict(zip(segment.gives, (np.asarray(value) for value in found), strict=True))
    except RUNTIME_ERRORS as error:
        raise InputError(where, f"does not run in onnxruntime ({first_line(error)})") from None


def _model_of(model: onnx.ModelProto, segment: Segment, values: Mapping[str, Value]) -> onnx.ModelProto:
    """Return a segment as a model of its own, for inputs of the types of some values."""
    nodes = [model.graph.node[position] for position in segment.nodes]
    read = set().union(*(_reads(node) for node in nodes))
    constants = [tensor for tensor in model.graph.initializer if tensor.name in read]
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(values[name].dtype), [None] * values[name].ndim
        )
        for name in segment.reads
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in segment.gives]
    graph = helper.make_graph(nodes, "segment", inputs, outputs, constants)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=max(model.ir_version, 4))
    part.functions.extend(model.functions)
    return part
