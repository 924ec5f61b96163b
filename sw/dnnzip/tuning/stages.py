"""A network cut into stages, each of which begins with an operator that reads a weight.

Weights and biases are inputs of a stage, so that one onnxruntime session serves every trial of them. Between two stages
live the values that later nodes read: a trial can begin in the middle of the network, and a layer can be put on its
grid with the very inputs that the layers before it leave.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray

from dnnzip.errors import InputError
from dnnzip.evaluation.accuracy import BATCH, batches_of
from dnnzip.evaluation.runtime import RUNTIME_ERRORS, Session, first_line, open_session, session_options
from dnnzip.onnx.graph import fixed_size, subgraphs
from dnnzip.onnx.inference import infer_shapes
from dnnzip.onnx.node_order import check_sorted
from dnnzip.onnx.weights import Weight

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

#: Batches that run side by side.
THREADS = 2

#: Values between two stages: name to one array for each batch.
State = dict[str, list[Array]]


@dataclass(frozen=True, eq=False)
class Stage:
    """One operator that reads a weight, and the nodes from it to the next one.

    Parameters
    ----------
    node
        The operator; None for the nodes before the first.
    weight
        Name of its weight.
    bias
        Name of its bias, or empty.
    nodes
        All nodes of the stage, sorted.
    inputs, outputs
        Names of the values that it takes from the stages before it, and leaves to those behind.
    """

    node: onnx.NodeProto | None
    weight: str
    bias: str
    nodes: tuple[onnx.NodeProto, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def entry(self) -> str:
        """The value that meets the weight."""
        assert self.node is not None, "the first stage has no weight"
        return str(self.node.input[0])

    @property
    def output(self) -> str:
        """First output of the operator, which names it."""
        assert self.node is not None, "the first stage has no weight"
        return str(self.node.output[0])


class StagedNetwork:
    """A network that runs stage by stage with weights and biases given by the caller.

    Parameters
    ----------
    model
        The network, with its constants as initializers.
    weights
        The weights that become inputs.
    biases
        First output of an operator to the name of its bias (`dnnzip.onnx.biases`).
    where
        The file, for messages.
    output
        Name of the output that is wanted; None takes the first.

    Members
    -------
    stages
        The first one has no weight; every other begins with an operator that reads one. A weight that several
        operators read begins several.
    output
        Name of the output that is wanted.

    Raises
    ------
    InputError
        The network does not have one input, or onnxruntime does not run it.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        weights: Sequence[Weight],
        biases: Mapping[str, str],
        where: str,
        output: str | None = None,
    ) -> None:
        self.where = where
        check_sorted(model, where)
        self._initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        inputs = [value.name for value in model.graph.input if value.name not in self._initializers]
        if len(inputs) != 1:
            raise InputError(where, f"has {len(inputs)} inputs", "give a network with one input")
        self.input = inputs[0]
        self.output = output or model.graph.output[0].name
        self._types = _element_types(model, where)
        self._model = model
        names = {weight.name for weight in weights}
        self.stages = _cut(model, names, biases, self.input, self.output)
        self._fixed_batch = _fixed_batch(model, self.input)
        self._pool = ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1))
        self._sessions: dict[int, Session] = {}

    def start(self, x: Array) -> State:
        """Return the values in front of the first weight.

        Parameters
        ----------
        x
            Samples, [samples, ...].
        """
        batch = self.batch(len(x))
        state: State = {self.input: list(batches_of(x, batch, self._fixed_batch is not None))}
        return self.run(0, state, {})

    def batch(self, samples: int) -> int:
        """Return how many of so many samples run at once; a network of a fixed batch fills it up."""
        return self._fixed_batch or min(BATCH, samples)

    def run(self, position: int, state: State, given: Mapping[str, Floats]) -> State:
        """Run one stage.

        Parameters
        ----------
        position
            Its number in `stages`.
        state
            The values in front of it; left as they are.
        given
            Its weight and bias by name.

        Returns
        -------
        The values behind it.
        """
        stage = self.stages[position]
        produced = {name for node in stage.nodes for name in node.output}
        asked = [name for name in stage.outputs if name in produced]
        result: State = {name: state[name] if name not in produced else [] for name in stage.outputs}
        if not asked:
            return result
        session = self._session(position)
        wanted = {value.name for value in session.get_inputs()}
        constants = {name: values for name, values in given.items() if name in wanted}
        batches = len(next(iter(state.values())))

        def values_of(index: int) -> list[Array]:
            feed = {name: state[name][index] for name in stage.inputs if name in wanted}
            found: list[Array] = session.run(asked, {**feed, **constants})
            return found

        try:
            for found in self._pool.map(values_of, range(batches)):
                for name, values in zip(asked, found, strict=True):
                    result[name].append(values)
        except RUNTIME_ERRORS as error:
            raise InputError(self.where, f"does not run on the samples ({first_line(error)})") from None
        return result

    def finish(self, position: int, state: State, given: Mapping[str, Floats], samples: int) -> Floats:
        """Run the network from a stage to its end.

        Parameters
        ----------
        position
            The first stage to run.
        state
            The values in front of it.
        given
            Every weight and bias by name.
        samples
            How many there are; what fills the last batch up is dropped.

        Returns
        -------
        float32 [samples, classes].
        """
        for number in range(position, len(self.stages)):
            state = self.run(number, state, given)
        parts = [np.asarray(part, np.float32).reshape(len(part), -1) for part in state[self.output]]
        return np.concatenate(parts)[:samples]

    def _session(self, position: int) -> Session:
        if position not in self._sessions:
            content = self._stage_model(self.stages[position]).SerializeToString()
            options = session_options()
            # One thread: while one session works, the waiting threads of all others would keep the processors busy.
            options.intra_op_num_threads = 1
            # Nor should each keep the memory of its largest run.
            options.enable_cpu_mem_arena = False
            self._sessions[position] = open_session(content, self.where, options)
        return self._sessions[position]

    def _stage_model(self, stage: Stage) -> onnx.ModelProto:
        read = _reads(stage.nodes)
        produced = {name for node in stage.nodes for name in node.output}
        given = [name for name in (stage.weight, stage.bias) if name]
        inputs = [name for name in (*stage.inputs, *given) if name in read]
        graph = onnx.GraphProto(name="stage")
        graph.node.extend(stage.nodes)
        graph.input.extend(self._value(name) for name in inputs)
        graph.output.extend(self._value(name) for name in stage.outputs if name in produced)
        own = sorted(name for name in read - set(inputs) if name in self._initializers)
        graph.initializer.extend(self._initializers[name] for name in own)
        model = onnx.ModelProto(ir_version=self._model.ir_version, graph=graph)
        model.opset_import.extend(self._model.opset_import)
        model.functions.extend(self._model.functions)
        return model

    def _value(self, name: str) -> onnx.ValueInfoProto:
        """Describe a value by its type alone; its shape shows when the stage runs."""
        value = onnx.ValueInfoProto(name=name)
        value.type.tensor_type.elem_type = self._types.get(name, onnx.TensorProto.FLOAT)
        return value


def _cut(
    model: onnx.ModelProto, weights: set[str], biases: Mapping[str, str], first: str, last: str
) -> tuple[Stage, ...]:
    groups: list[list[onnx.NodeProto]] = [[]]
    for node in model.graph.node:
        if len(node.input) > 1 and node.input[1] in weights:
            groups.append([])
        groups[-1].append(node)
    # What each stage must leave behind: all that a later node reads and that was made up to it.
    made = {first}
    needed: list[set[str]] = []
    later = {last}
    for group in reversed(groups):
        needed.append(set(later))
        later = (later - {name for node in group for name in node.output}) | _reads(group)
    needed.reverse()
    stages: list[Stage] = []
    alive = {first}
    for group, behind in zip(groups, needed, strict=True):
        made |= {name for node in group for name in node.output}
        outputs = behind & made
        node = group[0] if stages else None
        weight = str(node.input[1]) if node is not None else ""
        bias = biases.get(_named_output(node, group), "") if node is not None else ""
        stages.append(
            Stage(node, weight, bias, tuple(group), tuple(sorted(alive & _reads(group))), tuple(sorted(outputs)))
        )
        alive = outputs
    return tuple(stages)


def _named_output(node: onnx.NodeProto, group: Sequence[onnx.NodeProto]) -> str:
    """Return the output that names an operator: behind the addition that `with_biases` gave to a matrix product."""
    if (
        node.op_type == "MatMul"
        and len(group) > 1
        and group[1].op_type == "Add"
        and group[1].input[0] == node.output[0]
    ):
        return str(group[1].output[0])
    return str(node.output[0])


def _reads(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    names = {name for node in nodes for name in node.input if name}
    for graph in subgraphs(nodes):
        names.update(name for node in graph.node for name in node.input if name)
        names.update(value.name for value in graph.output)
    return names


def _element_types(model: onnx.ModelProto, where: str) -> dict[str, int]:
    inferred = infer_shapes(model, where)
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info)
        if value.type.HasField("tensor_type")
    }
    types.update({tensor.name: tensor.data_type for tensor in model.graph.initializer})
    return types


def _fixed_batch(model: onnx.ModelProto, name: str) -> int | None:
    value = next(value for value in model.graph.input if value.name == name)
    dims = value.type.tensor_type.shape.dim
    return fixed_size(dims[0]) if dims else None
