"""What makes a first run long: how much of the codec's loops there is to compile, told from their sources."""

import ast
from pathlib import Path

import pytest

from dnnzip.codec import kernels
from dnnzip.codec.ans import decoding_loops, encoding_loops
from dnnzip.codec.line import choices, loops

COMPILED = {"loop", "inlined", "step", "njit"}
SLOW = {"zeros", "empty", "full", "array", "sum", "view", "astype", "copy"}
"""Methods and functions that NumPy has at once, and for which Numba compiles hundreds of lines for each type."""


def slow(source):
    """Return what the compiled functions of a module use that takes long to compile."""
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)]
    compiled = [function for function in functions if COMPILED & set(map(_called, function.decorator_list))]
    nodes = [(function.name, node) for function in compiled for node in ast.walk(function)]
    return {f"{name}: {ast.unparse(node)}" for name, node in nodes if _is_slow(node)}


def _called(node):
    """Return the last word of what a call calls, or a name is."""
    called = node.func if isinstance(node, ast.Call) else node
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _is_slow(node):
    if isinstance(node, ast.Assign):
        # A slice that takes another; one that takes a number is a plain loop.
        return all(
            isinstance(side, ast.Subscript) and isinstance(side.slice, ast.Slice)
            for side in (node.targets[0], node.value)
        )
    return isinstance(node, ast.Call) and _called(node) in SLOW


@pytest.mark.parametrize("module", [kernels, decoding_loops, encoding_loops, loops, choices])
def test_loops_work_in_arrays_of_their_callers(module):
    assert slow(Path(module.__file__).read_text(encoding="utf-8")) == set()


def test_what_takes_long_is_seen():
    body = "def f(a, b):\n    c = np.zeros(3)\n    a[:2] = b[:2]\n    a[:] = 0\n    return c.sum()"
    assert slow(f"@numba.njit(cache=True)\n{body}") == {"f: np.zeros(3)", "f: a[:2] = b[:2]", "f: c.sum()"}
    assert slow(body) == set()
