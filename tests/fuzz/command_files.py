"""The files of the commands' fuzzer: small sound ones of each kind, and how one is damaged.

They lie in one folder, ``in``; a call gets those that its arguments name. The kind of a file is the end of its name.
"""

import io
import json
import re
import zipfile
from pathlib import Path

import gguf
import numpy as np
import onnx
from inputs import changed_json, mutated_model
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save_file

from dnnzip_sim.stimulus.damage import scrambled

SAMPLES, CLASSES = 40, 4
IMAGE = (1, 6, 6)
LARGEST = 1 << 16

#: Replacements of a number in a text that is damaged.
NUMBERS = (
    *("0", "-1", "-0", "1", "2", "nan", "inf", "-inf", "1e309", "1e-320", "5e-324", "3.4e38", "0.5", "1.5"),
    *("9" * 30, "9" * 5000, str(1 << 63), str(-(1 << 63) - 1), "true", '""', "[]", "{}", "0x10", "1_000", "٣"),
)
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")


def plain_network(seed=0, *, fixed=None):
    """Return a convolution and a matrix product on images of 6 x 6: classes from images."""
    rng = np.random.default_rng(seed)
    weights = {
        "conv.weight": rng.normal(size=(4, 1, 3, 3)),
        "conv.bias": rng.normal(size=4),
        "fc.weight": rng.normal(size=(64, CLASSES)),
        "fc.bias": np.zeros(CLASSES),
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight", "conv.bias"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["y"]),
    ]
    return _model(nodes, weights, ["x", [fixed, *IMAGE]], ["y", [fixed, CLASSES]])


def integer_network():
    """Return a matrix product of int8 weights behind a DequantizeLinear."""
    rng = np.random.default_rng(1)
    arrays = {
        "w": rng.integers(-90, 90, (36, CLASSES)).astype(np.int8),
        "w.scale": rng.uniform(0.01, 0.02, CLASSES).astype(np.float32),
        "w.zero": np.zeros(CLASSES, np.int8),
    }
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("DequantizeLinear", ["w", "w.scale", "w.zero"], ["d"], axis=1),
        helper.make_node("MatMul", ["f", "d"], ["y"]),
    ]
    return _model(nodes, arrays, ["x", [None, *IMAGE]], ["y", [None, CLASSES]])


def _model(nodes, arrays, taken, given):
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(taken[0], TensorProto.FLOAT, taken[1])],
        [helper.make_tensor_value_info(given[0], TensorProto.FLOAT, given[1])],
        [
            numpy_helper.from_array(array.astype(np.float32) if array.dtype == np.float64 else array, name)
            for name, array in arrays.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def shapes_only():
    """Return the network without its weights' values."""
    model = plain_network(fixed=1)
    for tensor in model.graph.initializer:
        shape = list(tensor.dims)
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, shape))
    del model.graph.initializer[:]
    return model


def write_sound_files(folder, run):
    """Write the sound files.

    Parameters
    ----------
    folder
        Where ``in`` is made; the current folder.
    run
        Runs the command line with arguments; those that are made by a command are.
    """
    place = folder / "in"
    place.mkdir()
    onnx.save(plain_network(), place / "plain.onnx")
    onnx.save(plain_network(5), place / "other.onnx")
    onnx.save(integer_network(), place / "integer.onnx")
    onnx.save(shapes_only(), place / "shapes.onnx")
    onnx.save(
        plain_network(), place / "external.onnx", save_as_external_data=True, location="external.bin", size_threshold=0
    )
    rng = np.random.default_rng(2)
    x = rng.normal(size=(SAMPLES, *IMAGE)).astype(np.float32)
    np.savez(place / "set.npz", x=x, y=rng.integers(0, CLASSES, SAMPLES))
    _write_images(place / "images", rng)
    _write_weights(place, rng)
    presets = Path(__import__("dnnzip").__file__).parent / "accelerator" / "presets"
    (place / "npu.toml").write_bytes((presets / "edge-lpddr4.toml").read_bytes())
    for codec in ("ans", "line", "raw"):
        bound = () if codec == "raw" else ("--tables", f"in/{codec}.tables") if codec == "ans" else ()
        run("compress", "in/plain.onnx", "-o", f"in/{codec}.dnz.onnx", "--max-error", "2%", "--codec", codec, *bound)
    run("compress", "in/integer.onnx", "-o", "in/integer.dnz.onnx", "--max-error", "1lsb", "--codec", "ans")
    for end in ("safetensors", "npz", "safetensors.index.json"):
        run("compress", "in/shards/w.safetensors.index.json", "-o", f"in/w.dnz.{end}", "--max-error", "2%")
    run("quantize", "in/plain.onnx", "--data", "in/set.npz", "-o", "in/quantised.onnx")
    run("compress", "in/quantised.onnx", "-o", "in/quantised.dnz.onnx", "--max-error", "0lsb")
    grid = ("--max-error", "1%,5%", "--accelerator", "in/npu.toml", "--layers", "all,each")
    run("explore", "in/plain.onnx", "--data", "in/set.npz", *grid, "-o", "in/explored")


def _write_weights(place, rng):
    """Write weights without a network, in a file of each kind."""
    arrays = {name: rng.normal(size=(12, 10)).astype(np.float32) for name in ("conv.w", "fc.weight")}
    arrays |= {"b": np.ones(3, np.float16), "w": rng.integers(-9, 9, (40, 30)).astype(np.int8)}
    save_file(arrays, place / "w.safetensors", metadata={"format": "pt"})
    np.savez_compressed(place / "w.npz", **arrays)
    (place / "shards").mkdir()
    weight_map = {}
    for number, names in enumerate((("conv.w", "b"), ("fc.weight", "w")), 1):
        shard = f"w-0000{number}-of-00002.safetensors"
        save_file({name: arrays[name] for name in names}, place / "shards" / shard)
        weight_map |= dict.fromkeys(names, shard)
    index = {"metadata": {"total_size": 2166}, "weight_map": weight_map}
    (place / "shards" / "w.safetensors.index.json").write_text(json.dumps(index))
    writer = gguf.GGUFWriter(place / "w.gguf", "llama")
    writer.add_array("tokens", ["a", "bc"])
    blocks = gguf.GGMLQuantizationType.Q4_0
    writer.add_tensor("w", gguf.quants.quantize(rng.normal(size=(8, 64)).astype(np.float32), blocks), raw_dtype=blocks)
    writer.add_tensor("fc.weight", arrays["fc.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_images(folder, rng):
    folder.mkdir()
    lines = []
    for number in range(4):
        pixels = rng.integers(0, 256, IMAGE[1:], np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{number % CLASSES}\n")
    (folder / "labels.csv").write_text("".join(lines))


def damaged(name, content, rng):
    """Return a damaged form of a file's content, of which much is mostly as it was.

    Parameters
    ----------
    name
        Its name.
    content
        Its bytes.
    rng
        ``random.Random``.
    """
    chance = rng.random()
    if chance < 0.06:
        cut = (content[: len(content) // 2], content[:-1], content * 2)
        return rng.choice((b"", b"\0", b"\xff\xfe", b"hello\n", *cut))
    if chance < 0.25:
        return scrambled(rng, content)[:LARGEST]
    match name.rpartition(".")[2]:
        case "onnx":
            return _damaged_model(content, rng)
        case "npz":
            return _damaged_arrays(content, rng)
        case "toml" | "csv":
            return _damaged_text(content, rng)
        case "json":
            return changed_json(content, rng) if rng.random() < 0.5 else _damaged_text(content, rng)
        case "safetensors":
            size = int.from_bytes(content[:8], "little")
            header = changed_json(content[8 : 8 + size], rng)
            return len(header).to_bytes(8, "little") + header + content[8 + size :]
        case "parquet":
            return _damaged_table(content, rng)
        case _:
            return scrambled(rng, content)[:LARGEST]


def _damaged_model(content, rng):
    if rng.random() < 0.5:
        return mutated_model(content, rng)
    model = onnx.ModelProto.FromString(content)
    graph = model.graph
    match rng.randrange(10):
        case 0 if graph.initializer:
            tensor = rng.choice(graph.initializer)
            array = numpy_helper.to_array(tensor).copy() if not tensor.external_data else None
            if array is not None and array.size:
                values = (np.nan, np.inf, 3.4e38, -3.4e38, 1e-45, 0, 127) if array.dtype.kind == "f" else (0, 127, -128)
                with np.errstate(over="ignore"):
                    array.reshape(-1)[rng.randrange(array.size) :] = np.array(rng.choice(values)).astype(array.dtype)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        case 1 if graph.initializer:
            tensor = rng.choice(graph.initializer)
            size = rng.choice((-1, 0, 1, 1 << 20, 1 << 40, (1 << 63) - 1))
            match rng.randrange(4):
                case 0:
                    tensor.dims.extend([1] * rng.choice((1, 2, 65)))
                case 1 if tensor.dims:
                    del tensor.dims[-1]
                case 2:
                    tensor.ClearField("raw_data")
                case _ if tensor.dims:
                    tensor.dims[rng.randrange(len(tensor.dims))] = size
        case 2:
            rng.choice((graph.output, graph.input)).pop()
        case 3 if graph.input:
            shape = rng.choice([*graph.input, *graph.output]).type.tensor_type.shape
            if shape.dim:
                shape.dim[rng.randrange(len(shape.dim))].dim_value = rng.choice((-1, 0, 1, 7, 1 << 40))
        case 4:
            value = rng.choice([*graph.input, *graph.output])
            value.type.tensor_type.elem_type = rng.choice((0, 2, 6, 7, 8, 10, 16, 99))
        case 5:
            thing = rng.choice([*graph.node, *graph.initializer, *graph.input, *graph.output])
            thing.name = rng.choice(("", "y", "\x1b[31mred", "x" * 5000, "日本", "a/b", "..", "conv.weight"))
        case 6:
            node = rng.choice(graph.node)
            names = [name for other in graph.node for name in (*other.input, *other.output)]
            which = rng.choice((node.input, node.output))
            if which:
                which[rng.randrange(len(which))] = rng.choice([*names, "", "nowhere"])
        case 7:
            node = graph.node.add()
            node.op_type, node.domain = (
                rng.choice(("If", "Loop", "Identity", "LSTM", "Gather")),
                rng.choice(("", "foo")),
            )
            node.input.extend(rng.sample([name for other in graph.node for name in other.output], 1))
            node.output.append("more")
        case 8:
            node = rng.choice(graph.node)
            attribute = helper.make_attribute(
                rng.choice(("pads", "strides", "group", "transB", "axis", "kernel_shape", "to")),
                rng.choice((-1, 0, 1 << 40, 1.5, "text", [0], [-1, -1, 9, 9], [1 << 40])),
            )
            node.attribute.append(attribute)
        case _:
            nodes = list(graph.node)
            rng.shuffle(nodes)
            del graph.node[:]
            graph.node.extend(nodes)
    return model.SerializeToString()


def _damaged_arrays(content, rng):
    with np.load(io.BytesIO(content)) as loaded:
        arrays = dict(loaded)
    name = rng.choice(("x", "y") if "x" in arrays else sorted(arrays))
    array = arrays[name]
    match rng.randrange(8):
        case 0:
            arrays[name] = array.astype(rng.choice(("f2", "f8", "i1", "i8", "u8", "?", "c8", "S3", "U3", "M8[s]")))
        case 1:
            arrays[name] = rng.choice((array[:0], array[:1], array[1:], array.reshape(-1), array[None], array[0]))
        case 2:
            del arrays[name]
        case 3:
            arrays[rng.choice(("X", "z", "x ", "日本", "../x"))] = arrays.pop(name)
        case 4 if array.dtype.kind == "f":
            array[rng.randrange(len(array))] = rng.choice((np.nan, np.inf, 3e38, -3e38))
        case 4:
            array[rng.randrange(len(array))] = rng.choice(
                (1, 4) if array.itemsize < 8 else (-1, 4, 1 << 40, -(1 << 63))
            )
        case 5:
            return _with_header(content, name, rng)
        case 6:
            arrays[name] = np.asfortranarray(array) if array.ndim > 1 else array[::-1]
        case _:
            arrays[name] = np.array(array.tolist(), object)
    file = io.BytesIO()
    rng.choice((np.savez, np.savez_compressed))(file, **arrays)
    return file.getvalue()


def _with_header(content, name, rng):
    """Return an ``.npz`` file in which the header of an array says something else."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.namelist():
            data = old.read(member)
            if member == f"{name}.npy":
                words = (
                    b"<f4",
                    b"<f9",
                    b"|O",
                    b">i8",
                    b"True",
                    b"(0,)",
                    b"(1099511627776,)",
                    b"(-1,)",
                    b"(" * 90,
                    b"'",
                )
                old_words = [word for word in (b"<f4", b"<i8", b"False", b"(40, 1, 6, 6)", b"(40,)") if word in data]
                data = data.replace(rng.choice(old_words), rng.choice(words), 1) if old_words else data[:40]
            new.writestr(rng.choice((member, member, member, member + "x")), data)
    return file.getvalue()


def _damaged_text(content, rng):
    text = content.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    place = rng.randrange(len(lines))
    match rng.randrange(7):
        case 0 | 1 | 2:
            found = list(NUMBER.finditer(text))
            if found:
                one = rng.choice(found)
                text = text[: one.start()] + rng.choice(NUMBERS) + text[one.end() :]
        case 3:
            text = "\n".join(lines[:place] + lines[place + 1 :])
        case 4:
            text = "\n".join([*lines[:place], rng.choice(lines), *lines[place:]])
        case 5:
            odd = ("\0", "\ufeff", "\u202e", "=", ",", '"', "[" * 5000, "{" * 5000, "\udcff", "日本", "\r", "[a]", "#")
            text = "\n".join([*lines[:place], lines[place] + rng.choice(odd), *lines[place + 1 :]])
        case _:
            words = re.findall(r"\w+", text) or ["x"]
            text = text.replace(rng.choice(words), rng.choice([*words, "", "x" * 300]), rng.choice((1, -1)))
    return text.encode("utf-8", "surrogateescape")[:LARGEST]


def _damaged_table(content, rng):
    """Return a Parquet file with one column changed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    name = rng.choice(table.column_names)
    place = table.column_names.index(name)
    match rng.randrange(5):
        case 0:
            table = table.drop_columns([name])
        case 1:
            table = table.rename_columns([f"{old}x" if old == name else old for old in table.column_names])
        case 2:
            values = table[name].to_pylist()
            odd = (None, "", "x" * 300, "\x1b[31m", 0, -1, 1e308, float("nan"), float("inf"), 1 << 62)
            values[rng.randrange(len(values))] = rng.choice(odd)
            try:
                changed = pa.array(values, table[name].type)
            except (pa.ArrowException, OverflowError):
                changed = pa.array([None] * len(values), table[name].type)
            # A column that is never empty stays one by its schema; the writer would refuse it.
            table = table.set_column(place, pa.field(name, changed.type), changed)
        case 3:
            table = table.set_column(place, name, pa.array(list(map(str, table[name].to_pylist()))))
        case _:
            table = table.slice(0, rng.choice((0, 1))) if rng.random() < 0.5 else pa.concat_tables([table, table])
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()
