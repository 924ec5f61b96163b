"""Inputs of the fuzzer: what one is, the sound ones to begin with, and how one is turned into another.

An input is a letter and what it says: ``S`` a table set and a weight stream (the length of the first, two bytes, then
both), ``M`` a compressed model file, ``A`` an array file.
"""

import json
import random
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.line import reference as line_reference
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.encoding import Encoded
from dnnzip.format import array_file
from dnnzip.format.crc import CRC32_BYTES, crc32
from dnnzip.onnx.compression import compressed_model
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Scope
from dnnzip.quantize.grid import FloatGrid, IntegerGrid, Lossless, Quantised, kept_as_they_are
from dnnzip.tensor import compress
from dnnzip_sim.stimulus.damage import any_damage, renamed, scrambled
from dnnzip_sim.stimulus.table_sets import random_table_set, tokens_up_to

STREAM, MODEL, ARRAY = KINDS = b"S", b"M", b"A"
MAX_BYTES = 2048
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "v1"

#: Share of the mutations of a stream that change its table set, of which decoding tables have to be made anew.
TABLES_SHARE = 0.05


def stream_input(tables, stream):
    """Return the input of a table set stream and a weight stream."""
    return STREAM + len(tables).to_bytes(2, "little") + tables + stream


def parts_of(data):
    """Return the table set stream and the weight stream of an input's bytes after the letter."""
    end = 2 + int.from_bytes(data[:2], "little")
    return data[2:end], data[end:]


def seeds():
    """Return the inputs to begin with: the frozen streams that are short enough, and a model of each kind of layer."""
    streams = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))["streams"]
    found = []
    for name, facts in streams.items():
        tables = (VECTORS / f"{facts['tables']}.bin").read_bytes() if facts["tables"] else b""
        data = stream_input(tables, (VECTORS / f"{name}.bin").read_bytes())
        if len(data) <= MAX_BYTES:
            found.append(data)
    assert len(found) >= 20
    return [
        *found,
        *(MODEL + model.SerializeToString() for model in models()),
        *(ARRAY + file for file in array_files()),
    ]


def array_files():
    """Yield array files of every kind of grid."""
    array = np.arange(72, dtype=np.float32).reshape(2, 3, 4, 3)
    for bound, scope, codec in (("2%", "tensor", "ans"), ("2%", "channel", "line"), ("2%", "tensor", "raw")):
        yield compress(array, bound, error_scope=scope, codec=codec, axis=2).to_bytes()
    rows = np.outer(np.arange(1, 41), [1, -2]).astype(np.float16)
    yield compress(rows, "2%", error_scope="channel", codec="line").to_bytes()
    for bound in ("0lsb", "2lsb"):
        yield compress(array.astype(np.uint8), bound, codec="raw", zero_point=9).to_bytes()


def models():
    """Yield compressed models: every element type, codec and form of step; their codes are made up, not searched."""
    rng = np.random.default_rng(3)
    conv = rng.normal(size=(4, 2, 3, 3)).astype(np.float32)
    gemm = rng.normal(size=(6, 4)).astype(np.float16)
    matmul = rng.integers(-128, 128, (6, 4)).astype(np.int8)
    table_set = random_table_set(random.Random(3), tables=1, tokens=tokens_up_to(8))
    for arrays in ({"conv": conv, "gemm": gemm}, {"matmul": matmul, "conv": conv}, {"gemm": gemm}, {"matmul": matmul}):
        model = _network(arrays)
        weights, encoded = find_weights(model)[0], []
        for number, weight in enumerate(weights):
            result = _result(weight, Scope.CHANNEL if number % 2 else Scope.TENSOR, len(arrays) == 1)
            codes = result.codes
            if isinstance(result.grid, Lossless):
                stream, codec = raw_reference.encode(codes.view(np.uint16).reshape(-1).tolist(), 1, 16), "raw"
            elif weight.element.is_integer and len(arrays) == 1:
                stream, codec = line_reference.encode(codes.reshape(-1).tolist(), codes.shape[0]), "line"
            else:
                choices = AnsChoices(1, [0])
                stream, codec = ans_reference.encode(codes.tolist(), (1, 1), table_set, choices), "ans"
            encoded.append(Encoded(result.grid, stream, codec))
        yield compressed_model(model, weights, encoded, table_set.to_bytes())


def _network(arrays):
    nodes, inputs, outputs, tensors = [], [], [], []
    for name, array in arrays.items():
        x, y = f"{name}.x", f"{name}.y"
        element = TensorProto.FLOAT16 if name == "gemm" else TensorProto.FLOAT
        inputs.append(helper.make_tensor_value_info(x, element, [1, 2, 5, 5] if name == "conv" else [1, 6]))
        outputs.append(helper.make_tensor_value_info(y, element, None))
        tensors.append(numpy_helper.from_array(array, name))
        if name == "matmul":
            tensors.append(numpy_helper.from_array(np.full(4, 0.5, np.float32), "scale"))
            tensors.append(numpy_helper.from_array(np.arange(4, dtype=np.int8), "point"))
            nodes.append(helper.make_node("DequantizeLinear", [name, "scale", "point"], ["dequantised"], axis=1))
        weight = "dequantised" if name == "matmul" else name
        operator = {"conv": "Conv", "gemm": "Gemm", "matmul": "MatMul"}[name]
        nodes.append(helper.make_node(operator, [x, weight], [y]))
    graph = helper.make_graph(nodes, "fuzzed", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def _result(weight, scope, is_lossless):
    element, layout = weight.element, weight.layout
    shape = (layout.channels,) if scope is Scope.CHANNEL and not element.is_integer else ()
    facts = (element, np.zeros(shape), np.zeros(shape), "0lsb" if element.is_integer else "50%", scope)
    if is_lossless and not element.is_integer:
        return kept_as_they_are(weight.array, Lossless(*facts))
    codes = np.random.default_rng(5).integers(-9, 10, (layout.channels, layout.length)).astype(np.int16)
    if element.is_integer:
        return Quantised(IntegerGrid(*facts, 1, weight.zero_point), codes)
    return Quantised(FloatGrid(*facts, np.ones(shape, np.float32)), codes)


def mutated(data, rng, others):
    """Return an input made of another one.

    Parameters
    ----------
    data
        The input.
    rng
        ``random.Random``; the same one yields the same input.
    others
        Inputs to take pieces from.
    """
    kind, content = data[:1], data[1:]
    if kind == MODEL:
        return MODEL + mutated_model(content, rng)[: 2 * MAX_BYTES]
    if kind == ARRAY:
        return ARRAY + mutated_array(content, rng)[:MAX_BYTES]
    tables, stream = parts_of(content)
    other = rng.choice(others)
    other_tables, other_stream = parts_of(other[1:]) if other[:1] == STREAM else (b"", b"")
    chance = rng.random()
    if chance < TABLES_SHARE:
        tables = _damaged(tables, rng, other_tables)
    elif chance < 2 * TABLES_SHARE:
        tables = other_tables
    if chance > TABLES_SHARE or rng.random() < 0.5:
        stream = _damaged(stream, rng, other_stream)
    if tables and rng.random() < 0.8:
        stream = renamed(stream, tables)
    return stream_input(tables, stream[:MAX_BYTES])


def _damaged(stream, rng, other):
    """Return a stream with any damage, which may declare any number of weights and end within a word."""
    if not stream:
        return other
    made = any_damage(rng, stream, other or stream, None)
    return made[: len(made) - (rng.random() < 0.05)] or stream


def mutated_array(content, rng):
    """Change the header, mostly with the checksum that belongs to it, the streams, or any bytes."""
    chance = rng.random()
    try:
        header, tables, stream = array_file.unpack(content)
    except array_file.ArrayFileError:
        chance = 0.0
    if chance < 0.2:
        return scrambled(rng, content)
    if chance < 0.4:
        return array_file.pack(header, tables, _damaged(stream, rng, b""))
    front = scrambled(rng, content[: len(content) - len(tables) - len(stream) - CRC32_BYTES])
    return front + crc32(front) + tables + stream


def mutated_model(content, rng):
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
        if rng.random() < 0.2 or not model.graph.node:
            return scrambled(rng, content)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _change_model(model, rng)
        return model.SerializeToString()
    except (ValueError, TypeError, onnx.onnx_cpp2py_export.checker.ValidationError):
        return scrambled(rng, content)
    except Exception as error:
        # The parser's own class is not importable by a stable name.
        if type(error).__name__ not in ("DecodeError", "EncodeError"):
            raise
        return scrambled(rng, content)


def _change_model(model, rng):
    graph = model.graph
    chance = rng.random()
    if chance < 0.35 and graph.initializer:
        _change_tensor(rng.choice(graph.initializer), rng)
    elif chance < 0.75 and graph.node:
        _change_node(rng.choice(graph.node), rng)
    elif chance < 0.85:
        repeated = rng.choice((graph.node, graph.initializer, graph.input, graph.output, graph.value_info))
        if repeated and rng.random() < 0.5:
            del repeated[rng.randrange(len(repeated))]
        elif repeated:
            repeated.add().CopyFrom(rng.choice(repeated))
    elif chance < 0.88 and model.metadata_props:
        entry = rng.choice(model.metadata_props)
        # The parser returns bytes where a text is none.
        value = entry.value if isinstance(entry.value, bytes) else entry.value.encode()
        changed = scrambled(rng, value) if rng.random() < 0.5 else changed_json(value, rng)
        entry.value = changed.decode("utf-8", "ignore")
    elif chance < 0.95 and model.opset_import:
        entry = rng.choice(model.opset_import)
        entry.version = rng.choice((-1, 0, 1, 2, 19, 1 << 40))
        entry.domain = rng.choice(("", "dnnzip", "ai.onnx", entry.domain))
    else:
        model.ir_version = rng.choice((0, 1, 3, 9, 99))


def changed_json(text, rng):
    """Return the facts of an array with one of them changed."""
    try:
        facts = json.loads(text)
        facts[rng.choice(sorted(facts))] = rng.choice(([], [72], [2, 3, 4, 3.0], None, "int8", 1e400, -1, 2, [[1]], {}))
        return json.dumps(facts).encode()
    except (ValueError, TypeError, IndexError, RecursionError):
        return b"[" * 5000


def _change_tensor(tensor, rng):
    match rng.randrange(7):
        case 0 | 1 | 2:
            is_stream = tensor.name.endswith(".stream")
            raw = tensor.raw_data
            tensor.raw_data = _damaged(raw, rng, b"") if is_stream else scrambled(rng, raw)
            if len(tensor.dims) == 1 and tensor.data_type == TensorProto.UINT8 and rng.random() < 0.9:
                tensor.dims[0] = len(tensor.raw_data)
        case 3:
            tensor.data_type = rng.choice((0, 1, 2, 3, 6, 8, 9, 10, 11, 16, 21, 99))
        case 4 if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = _number(rng)
        case 5:
            tensor.name = rng.choice(("", "conv", "gemm", "dnnzip.tables", tensor.name + "x"))
        case _:
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", rng.choice(("", "../x", "/etc/passwd", "x"))), ("offset", "0")):
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value


def _change_node(node, rng):
    if node.attribute and rng.random() < 0.7:
        attribute = rng.choice(node.attribute)
        match rng.randrange(6):
            case 0 | 1 if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = _number(rng)
            case 0 | 1 | 2:
                attribute.i = _number(rng)
                attribute.s = rng.choice((b"", b"raw", b"lsb", b"channel", b"0lsb", b"1%", b"\xff\xfe", b"1e999"))
            case 3:
                attribute.type = rng.randrange(15)
            case 4:
                attribute.ClearField("t")
            case _:
                attribute.ints.append(_number(rng))
        return
    match rng.randrange(5):
        case 0 if node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(("", "conv", "gemm.stream", "scale", "point"))
        case 1 if node.output:
            node.output[rng.randrange(len(node.output))] = rng.choice(("", "conv", "gemm", "new"))
        case 2:
            node.op_type = rng.choice(("Decompress", "Conv", "MatMul", "DequantizeLinear", "Constant", ""))
        case 3:
            node.domain = rng.choice(("", "dnnzip", "other"))
        case _:
            node.input.append(rng.choice(("", "dnnzip.tables", "scale")))


def _number(rng):
    return rng.choice((-(1 << 63), -1, 0, 1, 2, 4, 6, 255, 1 << 16, 1 << 20, 1 << 31, (1 << 63) - 1))
