"""Differences that `verify` sees: every change of a compressed file, and nothing in what compression makes."""

import json
import random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dnnzip.codec import CodecOptions
from dnnzip.errors import CheckFailedError, DnnzipError, InputError
from dnnzip.onnx.biases import DECLARATION, corrected, declare
from dnnzip.onnx.container import decompressed, open_compressed, open_compressed_file
from dnnzip.onnx.differences import differences
from dnnzip.onnx.files import open_model, save_model
from dnnzip.onnx.weights import find_weights
from dnnzip.quantize.bound import Bound, Scope
from dnnzip.usecases.compress import CompressionOptions, compress
from dnnzip.usecases.verify import require, verify

SEED = 14


def copy(model):
    fresh = onnx.ModelProto()
    fresh.CopyFrom(model)
    return fresh


def value(name, shape, data_type=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, data_type, shape)


def branch(operator, name):
    own = numpy_helper.from_array(np.array([0.5, -0.5, 1.0], np.float32), f"{name}.own")
    nodes = [
        helper.make_node(operator, ["sum"], [f"{name}.inner"]),
        helper.make_node("Add", [f"{name}.inner", f"{name}.own"], [f"{name}.out"], name=f"{name}.add"),
    ]
    return helper.make_graph(nodes, name, [], [value(f"{name}.out", [1, 3])], [own])


def rich_network(*_):
    """Return a network with all that a file may hold: a body, a function, constants, annotations, a left-out weight."""
    rng = np.random.default_rng(SEED)

    def array(name, *shape):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.array([1.5, -2.0], np.float32), "mask"),
        numpy_helper.from_array(np.array([0, 2], np.int64), "mask.indices"),
        [1, 3],
    )
    nodes = [
        helper.make_node("Constant", [], ["shift"], value=array("", 1, 5)),
        helper.make_node("Conv", ["x", "conv.w", "conv.b"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        helper.make_node("LeakyRelu", ["c"], ["r"], name="leaky", alpha=0.1),
        helper.make_node("Flatten", ["r"], ["f"], name="flat"),
        helper.make_node("Gemm", ["f", "fc.w", "fc.b"], ["g"], name="fc", transB=1, beta=0.5),
        helper.make_node("Sub", ["g", "shift"], ["d"], name="sub"),
        helper.make_node("Twice", ["d"], ["t"], name="twice", domain="local"),
        helper.make_node("MatMul", ["t", "last.w"], ["m"], name="last"),
        helper.make_node("Add", ["m", "mask"], ["sum"], name="masked"),
        helper.make_node(
            "If",
            ["is_first"],
            ["y"],
            name="if",
            then_branch=branch("Relu", "then"),
            else_branch=branch("Abs", "else"),
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "rich",
        [value("x", ["n", 2, 6, 6])],
        [value("y", [1, 3]), value("g", [1, 5])],
        [
            array("conv.w", 4, 2, 3, 3),
            array("conv.b", 4),
            array("fc.w", 5, 36),
            array("fc.b", 5),
            array("last.w", 5, 3),
            numpy_helper.from_array(np.array(True), "is_first"),
        ],
        value_info=[value("r", ["n", 4, 3, 3]), value("fc.w", [5, 36]), value("t", [1, 5])],
        sparse_initializer=[sparse],
    )
    twice = helper.make_function(
        "local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 19)]
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid("local", 1)],
        functions=[twice],
        ir_version=9,
        producer_name="a test",
    )
    helper.set_model_props(model, {"classes": "a,b,c"})
    return model


def old_network(*_):
    """Return a network of version 3, whose initializers are inputs as well, with a bias that two layers share."""
    rng = np.random.default_rng(SEED)
    tensors = {
        "w1": rng.normal(size=(4, 6)).astype(np.float32),
        "w2": rng.normal(size=(6, 6)).astype(np.float32),
        "b": rng.normal(size=6).astype(np.float32),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1", "b"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w2", "b"], ["y"]),
        ],
        "old",
        [value("x", [2, 4]), *(value(name, array.shape) for name, array in tensors.items())],
        [value("y", [2, 6])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=3)


#: Name to the network and how it is compressed.
CASES = {
    "rich": (rich_network, "5%", {"exclude": ("last*",)}),
    "rich, raw": (rich_network, "5%", {"codec": CodecOptions("raw")}),
    "rich, lines by channel": (rich_network, "5%", {"codec": CodecOptions("line"), "scope": Scope.CHANNEL}),
    "old": (old_network, "3%", {}),
    "float16": (lambda n: n.float_network("ConvTranspose", "float16").model, "4%", {"scope": Scope.CHANNEL}),
    "QDQ": (lambda n: n.qdq_network("Conv2D", "uint8", per_channel=True, bias=True).model, "2lsb", {}),
    "QDQ without loss": (lambda n: n.qdq_network("Gemm", "uint8", per_channel=True).model, "0lsb", {}),
    "QDQ, far beyond the range": (lambda n: n.qdq_network("Gemm").model, "100%", {}),
    "QLinear": (lambda n: n.qlinear_network("QLinearConv", bias=True).model, "1lsb", {}),
    "integer": (lambda n: n.integer_network("MatMulInteger").model, "1lsb", {}),
    "integer, dynamic": (lambda n: n.integer_network("ConvInteger", scaled="dynamic").model, "3%", {}),
}


def made(networks, case):
    """Return the original and its compressed model."""
    build, bound, options = CASES[case]
    model = build(networks)
    original = copy(model)
    return original, compress(model, CompressionOptions(Bound.parse(bound), **options)).compressed.model


@pytest.mark.parametrize("case", CASES)
def test_nothing_differs_in_what_compression_makes(networks, case, tmp_path):
    original, compressed = made(networks, case)
    result = verify(copy(original), open_compressed(compressed, "m"))
    require(result)
    assert result.ok
    assert (result.differences, result.changed_biases) == ((), ())
    # The same with arrays that stay in the files.
    save_model(original, tmp_path / "m.onnx")
    save_model(compressed, tmp_path / "c.onnx")
    require(verify(open_model(tmp_path / "m.onnx"), open_compressed_file(tmp_path / "c.onnx")))


def zeroed(tensor):
    """Set an array's values to zero; whether that changes it."""
    array = numpy_helper.to_array(tensor)
    if not np.any(array):
        return False
    tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(array), tensor.name))
    return True


def flipped(tensor, rng):
    """Flip a bit of an array."""
    array = numpy_helper.to_array(tensor)
    data = bytearray(array.tobytes())
    if not data:
        return
    if array.dtype == bool:
        data[rng.randrange(len(data))] ^= 1
    else:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    fresh = np.frombuffer(bytes(data), array.dtype).reshape(array.shape)
    tensor.CopyFrom(numpy_helper.from_array(fresh, tensor.name))


def attribute_changes(attribute):
    """Visit changes of an attribute's value, as functions of the attribute."""
    kinds = {
        onnx.AttributeProto.INT: lambda a: setattr(a, "i", a.i + 1),
        onnx.AttributeProto.FLOAT: lambda a: setattr(a, "f", a.f + 0.25),
        onnx.AttributeProto.INTS: lambda a: a.ints.__setitem__(0, a.ints[0] + 1),
        onnx.AttributeProto.TENSOR: lambda a: flipped(a.t, random.Random(SEED)),
    }
    if attribute.type in kinds:
        yield kinds[attribute.type]
    if attribute.type == onnx.AttributeProto.GRAPH:
        yield lambda a: setattr(a.g.node[0], "op_type", "Neg")
        yield lambda a: a.g.node[1].input.__setitem__(0, "sum")
        yield lambda a: zeroed(a.g.initializer[0])
        yield lambda a: setattr(a.g.output[0].type.tensor_type, "elem_type", TensorProto.DOUBLE)
        yield lambda a: a.g.ClearField("output")


def node_mutations(model, position):
    """Visit changes of one node of the network's own, as (name, function of a model)."""
    node = model.graph.node[position]

    def at(change):
        return lambda m: change(m.graph.node[position])

    yield "removed", lambda m: m.graph.node.pop(position)
    yield "twice", lambda m: m.graph.node.append(m.graph.node[position])
    yield "operator", at(lambda n: setattr(n, "op_type", "Neg" if n.op_type != "Neg" else "Relu"))
    yield "domain", at(lambda n: setattr(n, "domain", "other"))
    for i in range(len(node.input)):
        for j in range(i):
            if node.input[i] != node.input[j]:
                yield (
                    f"inputs {i} and {j}",
                    at(lambda n, i=i, j=j: n.input.__setitem__(slice(None), swapped(n.input, i, j))),
                )
        yield f"input {i}", at(lambda n, i=i: n.input.__setitem__(i, "another"))
    if node.input:
        yield "fewer inputs", at(lambda n: n.input.pop())
    yield "output", at(lambda n: n.output.__setitem__(0, "another"))
    for i, attribute in enumerate(node.attribute):
        yield f"no {attribute.name}", at(lambda n, i=i: n.attribute.pop(i))
        for k, change in enumerate(attribute_changes(attribute)):
            yield f"{attribute.name} {k}", at(lambda n, i=i, change=change: change(n.attribute[i]))


def swapped(names, i, j):
    names = list(names)
    names[i], names[j] = names[j], names[i]
    return names


def layer_mutations(model, position):
    """Visit changes of one Decompress node."""
    node = model.graph.node[position]
    facts = {a.name: a for a in node.attribute}

    def attribute(change, name):
        return lambda m: change(next(a for a in m.graph.node[position].attribute if a.name == name))

    def replaced(m):
        shape, element_type = list(facts["shape"].ints), facts["element_type"].i
        zeros = np.zeros(shape, helper.tensor_dtype_to_np_dtype(element_type))
        m.graph.node.pop(position)
        m.graph.initializer.append(numpy_helper.from_array(zeros, node.output[0]))

    def tidied(m):
        replaced(m)
        for i in reversed(range(len(m.graph.initializer))):
            if m.graph.initializer[i].name in node.input and m.graph.initializer[i].name.startswith(node.output[0]):
                m.graph.initializer.pop(i)

    def doubled(a):
        a.t.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(a.t) + 1, a.name))

    yield "removed", lambda m: m.graph.node.pop(position)
    yield "replaced", replaced
    yield "replaced, its stream removed", tidied
    for name in ("bound", "max_error"):
        yield name, attribute(doubled, name)
    yield "element type", attribute(lambda a: setattr(a, "i", a.i % 3 + 1), "element_type")
    yield "shape", attribute(lambda a: a.ints.__setitem__(0, a.ints[0] + 1), "shape")


def mutations(model):
    """Visit changes of a compressed model that a runtime would see, as (name, function of a model)."""
    graph = model.graph
    for i, tensor in enumerate(graph.initializer):
        yield f"{tensor.name} zeroed", lambda m, i=i: zeroed(m.graph.initializer[i])
        # A step may be another as long as its weights keep their bound.
        if not tensor.name.endswith((".step", ".step_index")):
            yield (
                f"{tensor.name} with another bit",
                lambda m, i=i: flipped(m.graph.initializer[i], random.Random(f"{SEED} {i}")),
            )
        yield f"{tensor.name} removed", lambda m, i=i: m.graph.initializer.pop(i)
        yield f"{tensor.name} of another shape", lambda m, i=i: m.graph.initializer[i].dims.append(1)
    for i, node in enumerate(graph.node):
        of_kind = layer_mutations if node.domain == "dnnzip" else node_mutations
        for name, change in of_kind(model, i):
            yield f"node {node.name or node.output[0]}: {name}", change
    for field in ("input", "output", "value_info"):
        for i, entry in enumerate(getattr(graph, field)):
            if field == "value_info" and any(entry.name in n.output for n in graph.node if n.domain == "dnnzip"):
                continue
            yield (
                f"{field} {entry.name}: type",
                lambda m, f=field, i=i: setattr(getattr(m.graph, f)[i].type.tensor_type, "elem_type", 11),
            )
            yield f"{field} {entry.name} removed", lambda m, f=field, i=i: getattr(m.graph, f).pop(i)
            if entry.type.tensor_type.shape.dim:
                yield (
                    f"{field} {entry.name}: dimension",
                    lambda m, f=field, i=i: setattr(
                        getattr(m.graph, f)[i].type.tensor_type.shape.dim[0], "dim_value", 77
                    ),
                )
    yield "another output", lambda m: m.graph.output.append(value(m.graph.node[-1].input[0], None))
    yield "outputs in another order", lambda m: m.graph.output.insert(0, m.graph.output.pop())
    yield "another node", lambda m: m.graph.node.append(helper.make_node("Identity", [m.graph.output[0].name], ["z"]))
    yield "another array", lambda m: m.graph.initializer.append(numpy_helper.from_array(np.zeros(3), "z"))
    yield "another function", lambda m: m.functions.add(domain="local", name="Other")
    yield "another opset", lambda m: setattr(m.opset_import[0], "version", m.opset_import[0].version + 1)
    yield "an opset more", lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    yield "IR version", lambda m: setattr(m, "ir_version", m.ir_version + 1)
    yield "metadata", lambda m: m.metadata_props.add(key="a", value="b")
    if model.functions:
        yield "function", lambda m: setattr(m.functions[0].node[0], "op_type", "Mul")
        yield "no function", lambda m: m.ClearField("functions")
    if graph.sparse_initializer:
        yield "sparse values", lambda m: flipped(m.graph.sparse_initializer[0].values, random.Random(SEED))
        yield "sparse indices", lambda m: zeroed(m.graph.sparse_initializer[0].indices)
        yield "no sparse array", lambda m: m.graph.ClearField("sparse_initializer")


def is_seen(original, changed):
    try:
        require(verify(copy(original), open_compressed(changed, "m")))
    except DnnzipError:
        return True
    return False


@pytest.mark.parametrize("case", CASES)
def test_every_change_is_seen(networks, case):
    print(f"seed {SEED}")
    original, compressed = made(networks, case)
    done, unseen = 0, []
    for name, change in mutations(compressed):
        changed = copy(compressed)
        change(changed)
        if changed == compressed:
            continue
        done += 1
        if not is_seen(original, changed):
            unseen.append(name)
    assert unseen == []
    assert done > 40


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("last.w zeroed", "initializer 'last.w': its values differ"),
        ("conv.b zeroed", "initializer 'conv.b': its values differ"),
        ("node leaky: operator", "node 'leaky' (LeakyRelu): op_type is 'Neg', not 'LeakyRelu'"),
        ("node leaky: removed", "node 'leaky' (LeakyRelu) is missing"),
        ("node leaky: alpha 0", "node 'leaky' (LeakyRelu): attribute 'alpha': f is 0.3"),
        ("node sub: inputs 1 and 0", "node 'sub' (Sub): input is ['shift', 'g'], not ['g', 'shift']"),
        ("node if: then_branch 0", "node 'if' (If): attribute 'then_branch': node 'then.inner' (Relu): op_type is "),
        ("node fc.w.decompress: removed", "initializer 'fc.w' is missing (and "),
        ("node fc.w.decompress: replaced", "initializer 'fc.w': its values differ (and "),
        ("node fc.w.decompress: replaced, its stream removed", "initializer 'fc.w': its values differ"),
        ("node fc.w.decompress: max_error", "layer 'fc.w': its largest error is "),
        ("node fc.w.decompress: bound", "layer 'fc.w': its node says a bound of "),
        ("input x: type", "input 'x': type.tensor_type.elem_type is 11, not 1"),
        ("input x: dimension", "input 'x': type.tensor_type.shape.dim[0]."),
        ("outputs in another order", "output 'g' is in the place of 'y'"),
        ("value_info r: type", "value 'r': type.tensor_type.elem_type is 11, not 1"),
        ("another opset", "opset 'ai.onnx': version is 20, not 19"),
        ("function", "function 'local.Twice': node 'b' (Add): op_type is 'Mul', not 'Add'"),
        ("sparse values", "sparse initializer 'mask': values.its values differ"),
        ("another node", "node 'z' (Identity) is not in the original"),
        ("metadata", "metadata 'a' is not in the original"),
    ],
)
def test_a_difference_names_its_place(networks, name, message):
    original, compressed = made(networks, "rich")
    changed = copy(compressed)
    dict(mutations(compressed))[name](changed)
    with pytest.raises(CheckFailedError) as caught:
        require(verify(original, open_compressed(changed, "m")))
    assert str(caught.value).startswith(f"differs from the original: {message}")


def test_folds_are_compared_exactly(networks):
    original, compressed = made(networks, "QDQ")
    for name in ("w_scale.times5", "b_scale.times5", "b.over5", "w_zero.zero"):
        changed = copy(compressed)
        (tensor,) = [t for t in changed.graph.initializer if t.name == name]
        array = numpy_helper.to_array(tensor).copy()
        array.reshape(-1)[-1] = np.nextafter(array.reshape(-1)[-1], np.inf) if array.dtype.kind == "f" else 1
        tensor.CopyFrom(numpy_helper.from_array(array, name))
        result = verify(original, open_compressed(changed, "m"))
        assert result.differences == (f"initializer {name!r}: its values differ",)


def test_a_divisor_that_the_original_cannot_hold_is_said(networks):
    original, compressed = made(networks, "integer")
    for node in original.graph.node:
        if node.op_type == "Mul":
            node.op_type = "Div"
    result = verify(original, open_compressed(compressed, "m"))
    assert result.differences[0].startswith("layer 'w': its steps of 3 cannot be in the scales. At 1 lsb and more, ")


@pytest.mark.parametrize("build", [rich_network, old_network])
def test_declared_biases_may_change_and_others_may_not(build):
    rng = np.random.default_rng(SEED)
    model = build()
    original = copy(model)
    weights = find_weights(model)[0]
    outputs = {r.node.output[0]: w.layout.channels for w in weights for r in w.readers}
    given = {output: rng.normal(size=size).astype(np.float32) for output, size in outputs.items()}
    biased = corrected(model, weights, given)
    made = compress(biased.model, CompressionOptions(Bound.parse("5%"))).compressed.model
    # Without the declaration they are differences.
    assert len(verify(copy(original), open_compressed(made, "m")).differences) > len(outputs)
    declare(made, biased.biases)
    result = verify(copy(original), open_compressed(made, "m"))
    require(result)
    assert result.changed_biases == tuple(sorted(biased.biases.values()))
    assert len(result.changed_biases) == len(outputs)
    assert f"bias changed by tuning: {result.changed_biases[0]}" in result.lines()
    # The plain network represents itself, and may be compressed again.
    plain = decompressed(open_compressed(made, "m"))
    assert DECLARATION not in [entry.key for entry in plain.metadata_props]
    again = compress(copy(plain), CompressionOptions(Bound.parse("5%"))).compressed
    require(verify(plain, again))
    # A bias that is no longer declared, or is no number, is a difference; so is an array that is declared and no bias.
    first = min(biased.biases)
    changed = copy(made)
    declare(changed, {output: name for output, name in biased.biases.items() if output != first})
    assert verify(copy(original), open_compressed(changed, "m")).differences
    changed = copy(made)
    (tensor,) = [t for t in changed.graph.initializer if t.name == biased.biases[first]]
    tensor.CopyFrom(numpy_helper.from_array(np.full_like(numpy_helper.to_array(tensor), np.nan), biased.biases[first]))
    assert not verify(copy(original), open_compressed(changed, "m")).ok


def test_a_declaration_that_hides_another_array_is_a_difference(networks):
    original, compressed = made(networks, "rich")
    for names in ({"m": "last.w"}, {"c": "conv.b", "g": "fc.w.step"}, {"nothing": "conv.b"}):
        changed = copy(compressed)
        declare(changed, names)
        for tensor in changed.graph.initializer:
            if tensor.name == "last.w":
                zeroed(tensor)
        assert "initializer 'last.w': its values differ" in verify(original, open_compressed(changed, "m")).differences


@pytest.mark.parametrize("text", ["", "[]", '{"y": 1}', "{" * 100_000, '["conv.b"]', "1"])
def test_a_damaged_declaration_is_one_line(networks, text):
    original, compressed = made(networks, "rich")
    compressed.metadata_props.add(key=DECLARATION, value=text)
    with pytest.raises(InputError, match=r"^m: is damaged: its metadata 'dnnzip\.biases' is not what tuning writes; "):
        verify(original, open_compressed(compressed, "m"))


def test_two_declarations_are_refused(networks):
    original, compressed = made(networks, "rich")
    declare(compressed, {})
    compressed.metadata_props.add(key=DECLARATION, value=json.dumps({"c": "conv.b"}))
    with pytest.raises(InputError, match=r"^m: is damaged: its metadata "):
        verify(original, open_compressed(compressed, "m"))


def test_where_an_array_stands_is_no_difference(tmp_path):
    array = np.random.default_rng(SEED).normal(size=(300, 100)).astype(np.float32)

    def model(tensor):
        node = helper.make_node("Relu", ["x"], ["y"])
        graph = helper.make_graph([node], "g", [value("x", [1])], [value("y", [1])], [tensor])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])

    def all_forms(name):
        raw = model(numpy_helper.from_array(array, "a"))
        typed = model(helper.make_tensor("a", TensorProto.FLOAT, array.shape, array.reshape(-1)))
        save_model(raw, tmp_path / f"{name}.onnx")
        # This leaves the model without its arrays.
        onnx.save(copy(raw), tmp_path / f"{name}.o.onnx", save_as_external_data=True, location=f"{name}.bin")
        placed = [open_model(tmp_path / f"{name}{suffix}") for suffix in (".onnx", ".o.onnx")]
        assert all(m.graph.initializer[0].data_location == onnx.TensorProto.EXTERNAL for m in placed)
        return [raw, typed, *placed]

    forms = all_forms("before")
    array[-1, -1] = np.nextafter(array[-1, -1], np.float32(np.inf))
    for old in forms:
        assert [list(differences(old, other)) for other in forms] == [[]] * 4
        for new in all_forms("after"):
            assert list(differences(old, new)) == ["initializer 'a': its values differ"]
