"""Readers and writers of each name of a model's graph; nodes and initializers replaced, removed and lifted."""

from collections import ChainMap, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

#: IR version from which initializers need not be inputs, and an input's values are only its default.
SEPARATE_INITIALIZERS = 4


def attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    """Return an integer attribute of a node, or its default."""
    return next((int(entry.i) for entry in node.attribute if entry.name == name), default)


def text_attribute(node: onnx.NodeProto, name: str) -> str:
    """Return a text attribute of a node, empty where it is left out."""
    return next((entry.s.decode("utf-8", "replace") for entry in node.attribute if entry.name == name), "")


def list_attribute(node: onnx.NodeProto, name: str) -> list[int]:
    """Return an attribute of whole numbers of a node, empty where it is left out."""
    return next((list(entry.ints) for entry in node.attribute if entry.name == name), [])


def factor(node: onnx.NodeProto, name: str) -> float:
    """Return a float attribute of a node that multiplies something, 1 where it is left out."""
    return next((float(entry.f) for entry in node.attribute if entry.name == name), 1.0)


def fixed_size(dimension: onnx.TensorShapeProto.Dimension) -> int | None:
    """Return the size of a dimension; None of an open one, for which old exporters write -1 or 0."""
    return int(dimension.dim_value) if dimension.dim_value > 0 else None


def operand(node: onnx.NodeProto, index: int) -> str:
    """Return the name of a node's input, empty where the node leaves it out."""
    return str(node.input[index]) if index < len(node.input) else ""


def is_standard(node: onnx.NodeProto) -> bool:
    """Return True if the operator is one of the ONNX standard, not of a custom domain."""
    return node.domain in ("", "ai.onnx")


@dataclass(frozen=True, eq=False)
class Use:
    """One input of one node, in the graph or in a body."""

    node: onnx.NodeProto
    index: int


class GraphIndex:
    """Names of a model's top graph, looked up in constant time.

    Parameters
    ----------
    model
        The model; the index describes it as it is now and does not follow later changes.

    Members
    -------
    initializers
        Name to tensor, top graph only.
    producers
        Name to the node of the top graph that writes it.
    constants
        Names of the top graph that depend on no input of the network.
    outputs
        Names of the network's outputs.
    inner_reads
        Names of the top graph that a node inside a subgraph (the body of If, Loop or Scan) reads.
    arguments
        Names that a node of the top graph hands to a local function.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.initializers: dict[str, onnx.TensorProto] = {t.name: t for t in model.graph.initializer}
        self.producers: dict[str, onnx.NodeProto] = {}
        self.constants: set[str] = {*self.initializers, *(t.values.name for t in model.graph.sparse_initializer)}
        self.outputs: set[str] = {value.name for value in model.graph.output}
        self.inner_reads: set[str] = set()
        self.arguments: set[str] = set()
        functions = {(function.domain, function.name, function.overload) for function in model.functions}
        for node in model.graph.node:
            for name in node.output:
                self.producers[name] = node
            if self.constants.issuperset(reads_of(node)):
                self.constants.update(node.output)
            if (node.domain, node.op_type, node.overload) in functions:
                self.arguments.update(node.input)
            for body in bodies(node):
                self.inner_reads |= outer_reads(body)
        # A name means what the innermost graph around it that has one means by it: graphs are told apart by a number.
        self._uses: dict[tuple[int, str], list[Use]] = defaultdict(list)
        self._passed_on: set[tuple[int, str]] = set()
        self._graph_of: dict[int, tuple[int, onnx.NodeProto]] = {}
        self._graphs = 0
        self._add(model.graph, ChainMap())

    def _add(self, graph: onnx.GraphProto, visible: ChainMap[str, int]) -> None:
        """Add the uses in a graph and its bodies; `visible` are the names around it, each with its graph."""
        own = self._graphs
        self._graphs += 1
        visible.update((tensor.name, own) for tensor in graph.initializer)
        visible.update((sparse.values.name, own) for sparse in graph.sparse_initializer)
        visible.update((value.name, own) for value in graph.input)
        for node in graph.node:
            self._graph_of[id(node)] = own, node
            for index, name in enumerate(node.input):
                if name:
                    self._uses[visible.get(name, own), name].append(Use(node, index))
            for body in bodies(node):
                self._add(body, visible.new_child())
            visible.update((name, own) for name in node.output)
        self._passed_on.update((visible.get(value.name, own), value.name) for value in graph.output)

    def readers(self, name: str) -> list[Use]:
        """Return the inputs of nodes, those in bodies included, that read a name of the top graph."""
        return self._uses.get((0, name), [])

    def behind(self, node: onnx.NodeProto, output: int = 0) -> list[Use]:
        """Return the inputs of nodes that read a result of a node, wherever that stands."""
        return self._uses.get((self._graph_of[id(node)][0], node.output[output]), [])

    def is_inside(self, node: onnx.NodeProto) -> bool:
        """Return True if a node stands in a body."""
        return self._graph_of[id(node)][0] != 0

    def is_passed_on(self, node: onnx.NodeProto, output: int = 0) -> bool:
        """Return True if a result of a node is an output of its graph, the network or a body."""
        return (self._graph_of[id(node)][0], node.output[output]) in self._passed_on

    def is_only_read_by(self, name: str, node: onnx.NodeProto) -> bool:
        """Return True if one input of one node is the only place where a name is used."""
        uses = self.readers(name)
        return len(uses) == 1 and uses[0].node is node and not self.is_read_elsewhere(name)

    def is_read_elsewhere(self, name: str) -> bool:
        """Return True if a name is an output of the network, or read inside a subgraph."""
        return name in self.outputs or name in self.inner_reads

    def only_reader(self, node: onnx.NodeProto) -> Use | None:
        """Return the one place where a node's first result is used; None where there are others, or none."""
        uses = self.readers(node.output[0])
        return uses[0] if len(uses) == 1 and not self.is_read_elsewhere(node.output[0]) else None


def bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Visit the graphs that are attributes of a node."""
    for entry in node.attribute:
        if entry.HasField("g"):
            yield entry.g
        yield from entry.graphs


def reads_of(node: onnx.NodeProto) -> list[str]:
    """Return the names that a node reads: its inputs in their order, then those that its bodies read from outside."""
    inner = (name for body in bodies(node) for name in sorted(outer_reads(body)))
    return [name for name in (*node.input, *inner) if name]


def outer_reads(body: onnx.GraphProto) -> set[str]:
    """Return the names that a body reads from around it; its own may be the same as outer ones."""
    own = {tensor.name for tensor in body.initializer} | {value.name for value in body.input}
    own.update(sparse.values.name for sparse in body.sparse_initializer)
    reads: set[str] = set()
    for node in body.node:
        reads.update(name for name in node.input if name not in own)
        for inner in bodies(node):
            reads |= outer_reads(inner) - own
        own.update(node.output)
    # A body may pass an outer value on as its own output.
    reads.update(value.name for value in body.output if value.name not in own)
    return reads


def subgraphs(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.GraphProto]:
    """Visit every graph inside the given nodes, at any depth."""
    for node in nodes:
        for graph in bodies(node):
            yield graph
            yield from subgraphs(graph.node)


def all_names(model: onnx.ModelProto) -> set[str]:
    """Collect every value name of a model, so that a new one can be chosen that collides with none."""
    names: set[str] = set()
    for graph in (model.graph, *subgraphs(model.graph.node)):
        names.update(tensor.name for tensor in graph.initializer)
        names.update(sparse.values.name for sparse in graph.sparse_initializer)
        names.update(value.name for value in (*graph.input, *graph.output, *graph.value_info))
        for node in graph.node:
            names.update(node.input)
            names.update(node.output)
    return names


def fresh_name(wanted: str, taken: set[str]) -> str:
    """Return the wanted name, or the first of its numbered variants that is free, and add it to the taken ones."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}.{number}"
    taken.add(name)
    return name


def replace_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Give a graph other nodes, some of which may be its own."""
    kept = onnx.GraphProto()
    kept.node.extend(nodes)
    del graph.node[:]
    graph.node.extend(kept.node)


def remove_where(field: Any, is_gone: Callable[[Any], bool]) -> None:
    """Remove the entries of a repeated field that a condition holds for."""
    for position in reversed(range(len(field))):
        if is_gone(field[position]):
            del field[position]


def remove_initializers(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Remove initializers by name; an input of such a name, whose default it was, would be one to give."""
    remove_where(model.graph.initializer, lambda tensor: tensor.name in names)
    remove_where(model.graph.input, lambda value: value.name in names)


def remove_unread(model: onnx.ModelProto, names: Iterable[str]) -> None:
    """Remove those of some initializers that nothing reads any more."""
    index = GraphIndex(model)
    remove_initializers(model, {n for n in names if not index.readers(n) and not index.is_read_elsewhere(n)})


def separate_initializers(model: onnx.ModelProto) -> None:
    """Let a model have initializers that are no inputs, in place: before IR version 4 each had to be one as well."""
    model.ir_version = max(model.ir_version, SEPARATE_INITIALIZERS)


def tensor_of(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """Return the dense array of a Constant node, under the node's name for it; None of other nodes and of scalars."""
    if node.op_type != "Constant" or not is_standard(node) or len(node.attribute) != 1:
        return None
    (entry,) = node.attribute
    if entry.name == "value" and entry.HasField("t"):
        tensor = entry.t
    elif entry.name == "value_floats":
        tensor = onnx.helper.make_tensor("", onnx.TensorProto.FLOAT, [len(entry.floats)], entry.floats)
    else:
        return None
    fresh = onnx.TensorProto()
    fresh.CopyFrom(tensor)
    fresh.name = node.output[0]
    if node.doc_string and not fresh.doc_string:
        fresh.doc_string = node.doc_string
    fresh.metadata_props.extend(node.metadata_props)
    return fresh


def lift_constants(model: onnx.ModelProto) -> None:
    """Turn the top graph's Constant nodes that hold a dense array into initializers of the same name, in place.

    The two mean the same; exporters choose either. A constant that is itself an output of the network stays a node,
    because not every runtime accepts an initializer there.
    """
    outputs = {value.name for value in model.graph.output}
    kept = []
    for node in model.graph.node:
        tensor = None if outputs.intersection(node.output) else tensor_of(node)
        if tensor is None:
            kept.append(node)
        else:
            model.graph.initializer.append(tensor)
    if len(kept) < len(model.graph.node):
        replace_nodes(model.graph, kept)
        separate_initializers(model)
