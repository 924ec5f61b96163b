"""Differences that `verify` sees: every change of a compressed file, and nothing in what compression makes."""

import numpy as np
import onnx
import pytest
from compared_networks import CASES, SEED, copy, made
from network_mutations import mutations
from onnx import TensorProto, helper, numpy_helper

import graphs
from dnnzip.errors import CheckFailedError, DnnzipError
from dnnzip.onnx.differences import differences
from dnnzip.onnx.files import open_model, save_model
from dnnzip.onnx.opening import open_compressed, open_compressed_file
from dnnzip.usecases.verify import require, verify


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


def test_where_an_array_stands_is_no_difference(tmp_path):
    array = np.random.default_rng(SEED).normal(size=(300, 100)).astype(np.float32)

    def model(tensor):
        made = graphs.model([helper.make_node("Relu", ["x"], ["y"])], {"x": [1]}, {"y": [1]})
        made.graph.initializer.append(tensor)
        return made

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
