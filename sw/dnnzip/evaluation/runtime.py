"""Sessions of onnxruntime: on the CPU, with all of its optimisations, silent, and without telemetry.

Official builds of onnxruntime report on each process and each model to their maker, and keep an identifier in the home
folder and a file in the folder for temporary ones. The environment that turns all of it off is set by the package
``dnnzip`` itself, so that it stands before anything here can load onnxruntime.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import onnx
import onnxruntime
from onnx import TensorProto
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from dnnzip.errors import InputError
from dnnzip.onnx.graph import all_names, fresh_name
from dnnzip.onnxruntime import InferenceSession as DnnzipSession

# Where the caller has loaded onnxruntime before dnnzip, this stops all but what was sent at its start.
onnxruntime.disable_telemetry_events()

#: onnxruntime's severity of messages: only fatal ones, since its errors arrive as exceptions; and its own default.
QUIET = 4
WARNING = 2

#: Sums of uint8 by int8 saturate at 16 bits on x86 processors that have no instruction for them. The first setting
#: makes such weights uint8, whose sums are exact; it fails where two nodes share an int8 constant, and for int8 inputs
#: of integer operators. The others leave int8 inputs as they are, whose sums are exact too.
EXACT_UNSIGNED = ("session.x64quantprecision", "1")
EXACT_SIGNED = (("session.x64quantprecision", "0"), ("session.qdqisint8allowed", "1"))

PROVIDERS = ("CPUExecutionProvider",)

Session: TypeAlias = onnxruntime.InferenceSession
CompressedSession: TypeAlias = DnnzipSession
SessionOptions: TypeAlias = onnxruntime.SessionOptions

#: Errors of onnxruntime for a model or an input that it cannot run.
RUNTIME_ERRORS = (
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
)


def session_options(threads: int | None = None) -> SessionOptions:
    """Return the options of every session here; None takes a thread for each core."""
    options = SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    options.log_severity_level = QUIET
    options.add_session_config_entry(*EXACT_UNSIGNED)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    return options


def open_session(
    source: str | bytes, where: str, options: SessionOptions | None = None, opens: type[Session] = Session
) -> Session:
    """Open a model, of a file or serialised.

    Parameters
    ----------
    source
        The file's name, or the model's bytes.
    where
        The model file, for messages.
    options
        See `session_options`, which makes them where there are none. They are set to `EXACT_SIGNED` where the model
        does not open otherwise.
    opens
        `CompressedSession` for a compressed model.

    Raises
    ------
    InputError
        onnxruntime does not run the model; or it is compressed, and damaged.
    """
    options = options or session_options()
    session = _opened(source, where, options, opens)
    if session is None and isinstance(source, bytes):
        session = _opened(_with_own_constants(source), where, options, opens)
    if session is not None:
        return session
    # A setting that is there already is worth a warning to onnxruntime.
    with silent_sessions():
        for setting in EXACT_SIGNED:
            options.add_session_config_entry(*setting)
    try:
        return _session(source, where, options, opens)
    except RUNTIME_ERRORS as error:
        raise InputError(where, f"does not run in onnxruntime ({first_line(error)})") from None


def _opened(source: str | bytes, where: str, options: SessionOptions, opens: type[Session]) -> Session | None:
    """Open a model; None where onnxruntime refuses it, which says nothing yet: other settings are tried after these."""
    try:
        return _session(source, where, options, opens)
    except RUNTIME_ERRORS:
        return None


def _session(source: str | bytes, where: str, options: SessionOptions, opens: type[Session]) -> Session:
    more = {"where": where} if opens is CompressedSession else {}
    # Its fallback to other providers would print what is wrong, and then raise it.
    return opens(source, options, providers=list(PROVIDERS), enable_fallback=0, **more)


def _with_own_constants(content: bytes) -> bytes:
    """Return a model in which no two nodes share an int8 constant."""
    model = onnx.ModelProto.FromString(content)
    constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT8}
    seen: set[str] = set()
    taken = all_names(model)
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            if name in constants and name in seen:
                node.input[i] = fresh_name(name, taken)
                own = model.graph.initializer.add()
                own.CopyFrom(constants[name])
                own.name = node.input[i]
            seen.add(name)
    return bytes(model.SerializeToString())


@contextmanager
def silent_sessions() -> Iterator[None]:
    """Silence sessions that onnxruntime's own tools open, with options of theirs."""
    onnxruntime.set_default_logger_severity(QUIET)
    try:
        yield
    finally:
        onnxruntime.set_default_logger_severity(WARNING)


def first_line(error: BaseException) -> str:
    """Return the first line of onnxruntime's message, shortened."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
