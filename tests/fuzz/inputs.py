"""Inputs of the fuzzer: what one is, the sound ones to begin with, and how one is turned into another.

An input is a letter and what it says: ``S`` a table set and a weight stream (the length of the first, two bytes, then
both), ``M`` a compressed model file, ``A`` an array file.
"""

import json
import zlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dnnzip.codec.ans import reference as ans_reference
from dnnzip.codec.ans.choices import AnsChoices
from dnnzip.codec.line import reference as line_reference
from dnnzip.codec.raw import reference as raw_reference
from dnnzip.encoding import Encoded
from dnnzip.format import TABLE_HEADER, WEIGHT_HEADER, TableSet, array_file, crc8
from dnnzip.onnx.container import compressed_model
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Scope
from dnnzip.quantize.grid import FloatGrid, IntegerGrid, Lossless, Quantised, kept_as_they_are
from dnnzip.tensor import compress

STREAM, MODEL, ARRAY = KINDS = b"S", b"M", b"A"
MAX_BYTES = 2048
VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "v1"
CRC_BYTES = 4

#: One of so many mutations of a stream changes its table set, of which decoding tables have to be made anew.
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
    table_set = _tables()
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


def _tables():
    """Return a set of one table of 256 states with every token up to 8 and an escape."""
    counts = [100, *(9 for _ in range(16))]
    counts += [0] * (63 - len(counts)) + [256 - sum(counts)]
    return TableSet(8, ((0,) * 3,) * 8, (0,), (tuple(counts),))


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
        ``random.Random``; the same gives the same.
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
        tables = _resealed_tables(scrambled(tables, rng, other_tables), rng)
    elif chance < 2 * TABLES_SHARE:
        tables = other_tables
    if chance > TABLES_SHARE or rng.random() < 0.5:
        stream = _mutated_stream(stream, rng, other_stream)
    if rng.random() < 0.8 and len(tables) >= TABLE_HEADER.bytes and len(stream) >= WEIGHT_HEADER.bytes:
        stream = _for_tables(stream, tables)
    return stream_input(tables, stream[:MAX_BYTES])


def scrambled(data, rng, other=b""):
    """Change, cut or lengthen some bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(7):
            case 0 | 1 if changed:
                changed[place % len(changed)] ^= 1 << rng.randrange(8)
            case 2 if changed:
                changed[place % len(changed)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 3:
                changed[place:place] = rng.randbytes(rng.choice((1, 2, 2, 4, 16)))
            case 4:
                del changed[place : place + rng.choice((1, 2, 2, 4, 16))]
            case 5 if other:
                start = rng.randrange(len(other))
                piece = other[start : start + rng.choice((2, 4, 16, 64))]
                changed[place : place + len(piece)] = piece
            case _:
                piece = changed[place : place + rng.choice((2, 4, 8))]
                changed[place:place] = piece * rng.choice((1, 2, 8))
    return bytes(changed)


def _mutated_stream(stream, rng, other):
    """Change the header's fields, the payload or any bytes; mostly with checks that match afterwards."""
    if len(stream) >= WEIGHT_HEADER.bytes and rng.random() < 0.8:
        header, payload = stream[: WEIGHT_HEADER.bytes], stream[WEIGHT_HEADER.bytes : -CRC_BYTES]
        chance = rng.random()
        if chance < 0.5:
            header = _with_field(header, WEIGHT_HEADER, rng)
        if chance > 0.4:
            payload = scrambled(payload, rng, other[WEIGHT_HEADER.bytes : -CRC_BYTES])
        stream = header + payload + stream[-CRC_BYTES:]
    else:
        stream = scrambled(stream, rng, other)
    return resealed(stream, rng.random() < 0.9) if rng.random() < 0.9 else stream


def _with_field(header, layout, rng):
    field = rng.choice(layout.fields)
    largest = (1 << field.width) - 1
    value = rng.choice((0, 1, 2, largest, largest >> 1, rng.randrange(largest + 1), 1 << rng.randrange(field.width)))
    return _set(header, layout, field.name, value)


def _set(header, layout, name, stored):
    field, offset = layout[name], layout.offset(name)
    number = int.from_bytes(header, "little") & ~(((1 << field.width) - 1) << offset)
    return (number | stored << offset).to_bytes(len(header), "little")


def resealed(stream, is_counted=True):
    """Return a weight stream with the checks, and the payload's length, that belong to it."""
    if len(stream) < WEIGHT_HEADER.bytes + CRC_BYTES:
        return stream
    header, payload = stream[: WEIGHT_HEADER.bytes], stream[WEIGHT_HEADER.bytes : -CRC_BYTES]
    if is_counted:
        header = _set(header, WEIGHT_HEADER, "payload_words", (len(payload) + 1) // 2)
    sealed = header[:-1] + bytes([crc8(header[:-1])]) + payload
    return sealed + zlib.crc32(sealed).to_bytes(CRC_BYTES, "little")


def _resealed_tables(tables, rng):
    if len(tables) < TABLE_HEADER.bytes + CRC_BYTES:
        return tables
    header, payload = tables[: TABLE_HEADER.bytes], tables[TABLE_HEADER.bytes : -CRC_BYTES]
    if rng.random() < 0.3:
        header = _with_field(header, TABLE_HEADER, rng)
    header = _set(header, TABLE_HEADER, "payload_words", len(payload) // 2)
    sealed = header[:-1] + bytes([crc8(header[:-1])]) + payload
    return sealed + zlib.crc32(sealed).to_bytes(CRC_BYTES, "little")


def _for_tables(stream, tables):
    """Return the stream as one that names a table set."""
    fields = TABLE_HEADER.unpack(tables[: TABLE_HEADER.bytes])
    header = _set(stream[: WEIGHT_HEADER.bytes], WEIGHT_HEADER, "table_set", fields["table_set"])
    header = _set(header, WEIGHT_HEADER, "log2_states", fields["log2_states"] - TABLE_HEADER["log2_states"].bias)
    return resealed(header + stream[WEIGHT_HEADER.bytes :], False)


def mutated_array(content, rng):
    """Change the header, mostly with the checksum that belongs to it, the streams, or any bytes."""
    chance = rng.random()
    try:
        header, tables, stream = array_file.unpack(content)
    except array_file.ArrayFileError:
        chance = 0.0
    if chance < 0.2:
        return scrambled(content, rng)
    if chance < 0.4:
        return array_file.pack(header, tables, _mutated_stream(stream, rng, b""))
    front = scrambled(content[: len(content) - len(tables) - len(stream) - CRC_BYTES], rng)
    return front + zlib.crc32(front).to_bytes(CRC_BYTES, "little") + tables + stream


def mutated_model(content, rng):
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
        if rng.random() < 0.2 or not model.graph.node:
            return scrambled(content, rng)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _change_model(model, rng)
        return model.SerializeToString()
    except (ValueError, TypeError, onnx.onnx_cpp2py_export.checker.ValidationError):
        return scrambled(content, rng)
    except Exception as error:
        # The parser's own class is not importable by a stable name.
        if type(error).__name__ not in ("DecodeError", "EncodeError"):
            raise
        return scrambled(content, rng)


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
        # The parser gives bytes where a text is none.
        value = entry.value if isinstance(entry.value, bytes) else entry.value.encode()
        changed = scrambled(value, rng) if rng.random() < 0.5 else changed_json(value, rng)
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
            tensor.raw_data = _mutated_stream(raw, rng, b"") if is_stream else scrambled(raw, rng)
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
