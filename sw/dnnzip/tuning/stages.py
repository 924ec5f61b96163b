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
from dnnzip.onnx.graph import fixed_size, operand
from dnnzip.onnx.node_order import check_sorted
from dnnzip.onnx.operators import weight_names
from dnnzip.onnx.partition import Segment, cut_before, segment_model
from dnnzip.onnx.weights import Weight

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

#: Batches that run side by side.
THREADS = 2

#: Values between two stages: name to one array for each batch.
State = dict[str, list[Array]]


@dataclass(frozen=True, eq=False)
class Stage:
    """One operator that reads weights, and the nodes from it to the next one."""

    node: onnx.NodeProto | None  # the operator; None for the nodes before the first
    weights: tuple[str, ...]  # names of its weights
    bias: str  # name of its bias, or empty
    segment: Segment  # all nodes of the stage, what they read and what they write
    later: frozenset[str]  # names that stages behind it read, and the network's output

    @property
    def entry(self) -> str:
        """The value that meets the weight."""
        assert self.node is not None, "the first stage has no weight"
        return operand(self.node, 0)


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
        constants = {tensor.name for tensor in model.graph.initializer}
        inputs = [value.name for value in model.graph.input if value.name not in constants]
        if len(inputs) != 1:
            raise InputError(where, f"has {len(inputs)} inputs", "give a network with one input")
        self.input = inputs[0]
        self.output = output or model.graph.output[0].name
        self._model = model
        self.stages = _stages(model, {weight.name for weight in weights}, biases, self.output)
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
        state: State = {self.input: list(batches_of(x, batch, self._fixed_batch is not None, self.where))}
        return self.run(0, state, {})

    def batch(self, samples: int) -> int:
        """Return the size of a batch for a number of samples; a network of a fixed batch pads the last one."""
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
        reads, asked = stage.segment.reads, stage.segment.gives
        result: State = {name: values for name, values in state.items() if name in stage.later}
        if not asked:
            return result
        result |= {name: [] for name in asked}
        constants = {name: given[name] for name in (*stage.weights, stage.bias) if name}
        session = self._session(position, {name: state[name][0] for name in reads} | constants)
        batches = len(next(iter(state.values())))

        def values_of(index: int) -> list[Array]:
            feed = {name: state[name][index] for name in reads}
            found: list[Array] = session.run(list(asked), {**feed, **constants})
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
            Number of samples; the padding of the last batch is dropped.

        Returns
        -------
        float32 [samples, classes].
        """
        for number in range(position, len(self.stages)):
            state = self.run(number, state, given)
        parts = [np.asarray(part, np.float32).reshape(len(part), -1) for part in state[self.output]]
        return np.concatenate(parts)[:samples]

    def _session(self, position: int, values: Mapping[str, Array]) -> Session:
        if position not in self._sessions:
            content = segment_model(self._model, self.stages[position].segment, values).SerializeToString()
            options = session_options()
            # One thread: while one session works, the waiting threads of all others would keep the processors busy.
            options.intra_op_num_threads = 1
            # Nor should each keep the memory of its largest run.
            options.enable_cpu_mem_arena = False
            self._sessions[position] = open_session(content, self.where, options)
        return self._sessions[position]


def _stages(model: onnx.ModelProto, weights: set[str], biases: Mapping[str, str], output: str) -> tuple[Stage, ...]:
    nodes = model.graph.node
    read = [tuple(dict.fromkeys(name for name in weight_names(node) if name in weights)) for node in nodes]
    segments = cut_before(model, [position for position, names in enumerate(read) if names], output)
    stages: list[Stage] = []
    later = {output}
    for segment in reversed(segments[1:]):
        own = [nodes[position] for position in segment.nodes]
        # The bias of a matrix product is added behind it (`with_biases`).
        bias = next((biases[name] for node in own[:2] for name in node.output if name in biases), "")
        stages.append(Stage(own[0], read[segment.nodes[0]], bias, segment, frozenset(later)))
        later.update(segment.reads)
    return (Stage(None, (), "", segments[0], frozenset(later)), *reversed(stages))


def _fixed_batch(model: onnx.ModelProto, name: str) -> int | None:
    value = next(value for value in model.graph.input if value.name == name)
    dims = value.type.tensor_type.shape.dim
    return fixed_size(dims[0]) if dims else None
