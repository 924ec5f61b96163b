"""Arrays: bounds that hold, arrays that come back, bytes that are checked, examples that run."""

import doctest
import math
import struct
import subprocess
import sys
import zlib

import numpy as np
import onnx
import pytest

import dnnzip
import graphs
from dnnzip import tensor
from dnnzip.errors import InputError
from dnnzip.format import array_file
from dnnzip.quantize.element_type import ELEMENT_TYPES

#: Shape and axis of the channels.
SHAPES = (((7,), 0), ((300,), 0), ((1, 1), 0), ((30, 40), -1), ((4, 5, 6), 0), ((8, 4, 3, 3), 0), ((4, 8, 3, 5), 1))
SHAPES += (((2, 3, 4, 3, 2), 2),)
BOUNDS = {"f": ("2%", "60%", 0.01), "i": ("0lsb", "1lsb", "5%", "127lsb"), "u": ("0lsb", "1lsb", "5%", "127lsb")}


def array_of(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return rng.normal(size=shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def error_of(decoded, array):
    assert (decoded.dtype, decoded.shape) == (array.dtype, array.shape)
    return float(np.abs(decoded.astype(np.float64) - array.astype(np.float64)).max())


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_the_bound_holds_and_the_bytes_say_all(shape, axis, dtype):
    array = array_of(shape, dtype)
    point = {"int8": -3, "uint8": 128}.get(dtype, 0)
    for bound in BOUNDS[array.dtype.kind] if array.size > 1 else ("2%",):
        for codec in ("auto", "ans", "raw", "line"):
            compressed = dnnzip.compress(array, bound, codec=codec, axis=axis, zero_point=point)
            again = dnnzip.Compressed.from_bytes(compressed.to_bytes())
            assert repr(again) == repr(compressed)
            error = error_of(again.decode(), array)
            assert error <= compressed.max_error <= compressed.bound
            assert error == compressed.max_error or array.dtype.kind != "f"


@pytest.mark.parametrize("element", ELEMENT_TYPES.values(), ids=lambda element: element.name)
def test_arrays_of_every_type_come_back_in_it(element):
    rng = np.random.default_rng(3)
    if not element.is_integer:
        array = (0.2 * rng.normal(size=(9, 7))).astype(element.dtype)
        # One byte each, in an odd number: the lossless items are bytes.
        kept = dnnzip.compress(array, "1%", codec="raw")
        assert (dnnzip.Compressed.from_bytes(kept.to_bytes()).decode().view("u1") == array.view("u1")).all()
        bounds, points = ("2%", 0.05), (0,)
    else:
        middle, spread = (element.lowest + element.largest + 1) / 2, (element.largest - element.lowest) / 6
        values = np.rint(middle + spread * rng.normal(size=(9, 7))).clip(element.lowest, element.largest)
        values[0, :2] = element.lowest, element.largest
        array = values.astype(np.int32).astype(element.dtype)
        bounds, points = ("0lsb", "1lsb", "10%"), (0, int(element.lowest), int(element.largest))
    for bound in bounds:
        for point in points:
            for codec in ("auto", "line"):
                compressed = dnnzip.compress(array, bound, zero_point=point, codec=codec)
                again = dnnzip.Compressed.from_bytes(compressed.to_bytes())
                decoded = again.decode()
                assert (decoded.dtype, again.dtype) == (array.dtype, array.dtype)
                assert error_of(decoded, array) <= compressed.max_error <= compressed.bound


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1])
def test_each_channel_has_its_own_bound(axis):
    array = array_of((6, 5, 4, 3), "float32") * np.arange(1, 7, dtype=np.float32)[:, None, None, None]
    decoded = dnnzip.compress(array, "3%", error_scope="channel", axis=axis).decode()
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1).astype(np.float64)
    errors = np.abs(np.moveaxis(decoded, axis, 0).reshape(rows.shape) - rows).max(axis=1)
    assert (errors <= 0.03 * np.ptp(rows, axis=1)).all()


def test_a_row_longer_than_a_stream_is_split():
    array = array_of(((1 << 20) * 2 + 6,), "int8")
    assert (dnnzip.compress(array, "0lsb", codec="raw").decode() == array).all()
    wide = array.reshape(2, -1)[:, : (1 << 20) + 2]
    assert (dnnzip.compress(wide, "0lsb", codec="raw").decode() == wide).all()
    with pytest.raises(InputError, match=r"^array: has 1048578 elements in a channel; give at most 1048576, or scope"):
        dnnzip.compress(wide, "0lsb", error_scope="channel")


def test_layouts_of_memory_and_byte_orders_are_all_one():
    array = array_of((6, 8), "float32")
    expected = dnnzip.compress(array, "1%").to_bytes()
    for other in (np.asfortranarray(array), array.astype(">f4"), np.repeat(array, 2, 1)[:, ::2], array.tolist()):
        other = np.asarray(other, np.float32) if isinstance(other, list) else other
        assert dnnzip.compress(other, "1%").to_bytes() == expected


def entropy(codes):
    _, counts = np.unique(codes, return_counts=True)
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def known_arrays():
    """Yield name, array, bound and the most bits for each weight that its kind allows."""
    rng = np.random.default_rng(8)
    weights = rng.normal(size=(64, 32, 3, 3)).astype(np.float32)
    yield "pruned", np.where(rng.random(weights.shape) < 0.9, np.float32(0), weights), "2%", 1.0
    # 16 values on a line, as often as each other: 4 bits say which, and the grid meets them all.
    yield "clustered", rng.integers(0, 16, weights.shape).astype(np.float32) / 8 - 1, "1%", 6.8
    kept = rng.random(20_000) < 0.1
    yield "pruned int8", (kept * rng.normal(0, 9, kept.size).round()).astype(np.int8), "0lsb", 1.1
    # Zeros want a table without low bits, whose tokens end at 31: each larger value takes a word of 16 bits.
    yield "pruned, flat int8", (kept * rng.integers(-99, 99, kept.size)).astype(np.int8), "0lsb", 2.0
    four = rng.integers(-8, 8, (200, 100)).astype(np.int8)
    yield "4-bit", four, "0lsb", 4.01
    yield "4-bit normal", np.clip(rng.normal(0, 2, (200, 100)).round(), -8, 7).astype(np.int8), "0lsb", 3.2
    yield "4-bit, 7 values", rng.integers(0, 16, 7).astype(np.int8) - 8, "0lsb", 40.0
    yield "constant", np.full((50, 60), 0.25, np.float32), "1%", 0.2
    yield "noise", rng.integers(-128, 128, (100, 100)).astype(np.int8), "0lsb", 8.03


@pytest.mark.parametrize(("name", "array", "bound", "most"), list(known_arrays()), ids=lambda item: str(item)[:20])
def test_known_kinds_are_near_their_entropy_and_never_over_raw(name, array, bound, most):
    compressed = dnnzip.compress(array, bound)
    assert compressed.nbytes <= dnnzip.compress(array, bound, codec="raw").nbytes
    assert compressed.bits_per_weight <= most
    assert error_of(compressed.decode(), array) <= compressed.bound
    if array.dtype == np.int8 and array.size > 1000 and name != "pruned, flat int8":
        assert compressed.bits_per_weight <= entropy(array) + 0.08


@pytest.mark.parametrize(
    ("array", "options", "said"),
    [
        (np.ones(3, np.complex64), {}, r"^array: is of type complex64; give float32, float64, .* int2 or uint2$"),
        (np.ones(3, np.int32), {}, r"^array: is of type int32; "),
        (np.float32(1), {}, r"^array: has the shape \(\); give at least one dimension"),
        (np.ones((3, 0), np.float32), {}, r"^array: has the shape \(3, 0\); "),
        (np.array([1, np.nan], np.float32), {}, r"^array: has NaN or infinite elements; replace them$"),
        (np.array([1, np.inf], np.float16), {}, r"^array: has NaN or infinite elements; "),
        (np.eye(3, dtype=np.float32), {"axis": 2}, r"^axis: is 2, and the array has 2 dimensions; name one of them$"),
        (np.eye(3, dtype=np.float32), {"axis": -3}, r"^axis: is -3, "),
        (np.eye(3, dtype=np.float32), {"max_error": "0%"}, r"^max_error '0%': is not above zero; "),
        (np.eye(3, dtype=np.float32), {"max_error": -1}, r"^max_error '-1\.0': is not above zero; "),
        (np.eye(3, dtype=np.float32), {"max_error": float("nan")}, r"^max_error 'nan': is not a finite number; "),
        (np.eye(3, dtype=np.float32), {"max_error": 2.0}, r"^max_error '2\.0': is over the range of every selected"),
        (np.eye(3, dtype=np.int8), {"max_error": 0.5}, r"^max_error '0\.5': layer 'array' has int8 weights; give lsb"),
        (np.eye(3, dtype=np.float32), {"error_scope": "row"}, r"^error_scope: is 'row'; give 'tensor', 'channel'$"),
        (np.eye(3, dtype=np.float32), {"codec": "zip"}, r"^codec: is 'zip'; give 'auto', 'ans', 'line', 'raw'$"),
        (np.eye(3, dtype=np.float32), {"states": 128}, r"^states: is 128; give 256, 512 or 1024$"),
        (np.eye(3, dtype=np.float32), {"virtual_lanes": 3}, r"^virtual_lanes: is 3; give None, 1, 2, 4, 8, 16$"),
        (np.eye(3, dtype=np.float32), {"groups": 0}, r"^groups: is 0; give 1 or more$"),
        (np.eye(3, dtype=np.float32), {"jobs": 0}, r"^jobs: is 0; give 1 or more$"),
        (np.eye(3, dtype=np.float32), {"zero_point": 1}, r"^zero_point: is 1; it must be a value of float32, and 0"),
        (np.eye(3, dtype=np.int8), {"max_error": "1%", "zero_point": 200}, r"^zero_point: is 200; it must be a value"),
    ],
)
def test_bad_input_is_one_line(array, options, said):
    with pytest.raises(InputError, match=said):
        dnnzip.compress(array, **{"max_error": "2%"} | options)


@pytest.mark.parametrize("bound", [None, True, b"2%", [2]])
def test_a_bound_is_text_or_a_number(bound):
    with pytest.raises(
        TypeError, match=f"^max_error must be text such as '2%' or a number, not {type(bound).__name__}$"
    ):
        dnnzip.compress(np.eye(3, dtype=np.float32), bound)


def test_numpy_takes_a_compressed_array():
    compressed = dnnzip.compress(np.eye(9, dtype=np.float32), "1%")
    assert np.asarray(compressed).dtype == np.float32
    assert np.asarray(compressed, np.float64).shape == (9, 9)
    with pytest.raises(ValueError, match="always decoded into a new one"):
        np.array(compressed, copy=False)


def known_model(array):
    node = onnx.helper.make_node("Gemm", ["x", "w"], ["y"], transB=1)
    return graphs.model([node], {"x": [1, array.shape[1]]}, {"y": [1, array.shape[0]]}, {"w": array})


@pytest.mark.parametrize("name", ["pruned", "clustered", "constant"])
def test_networks_of_known_kinds_are_never_over_raw(name):
    array, bound = next((array, bound) for found, array, bound, _ in known_arrays() if found == name)
    model = known_model(array.reshape(array.shape[0], -1))
    small, raw = (dnnzip.compress_model(model, bound, codec=codec) for codec in ("auto", "raw"))
    assert small.sizes.stream_bytes <= raw.sizes.stream_bytes


def test_an_array_needs_no_onnx_and_writes_no_file(tmp_path):
    script = """
import os, sys, tempfile
import numpy as np
sys.modules["onnx"] = None
import dnnzip
dnnzip.compress(np.eye(9, dtype=np.float32), "1%").to_bytes()  # compiles what is not in the cache
os.open = tempfile.mkdtemp = tempfile.mkstemp = None
data = dnnzip.compress(np.eye(9, dtype=np.float32), "1%").to_bytes()
print(dnnzip.Compressed.from_bytes(data).decode().shape, *(set(sys.modules) & {"onnxruntime", "click", "dnnzip.api"}))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "(9, 9)\n"
    assert list(tmp_path.iterdir()) == []


# --- the array file ---------------------------------------------------------------------------------------------------

NAMES = [field.name for field in array_file.FIELDS]
WHERE = r"^Compressed\.from_bytes: "


def files():
    """Return an array file of every kind of grid."""
    rng = np.random.default_rng(4)
    floats = (rng.normal(size=(40, 6)) * 2.0 ** rng.integers(-3, 3, (40, 1))).astype(np.float32)
    return {
        "float": dnnzip.compress(floats, "2%").to_bytes(),
        "step grid": dnnzip.compress(floats, "2%", error_scope="channel").to_bytes(),
        "lossless": dnnzip.compress(floats, "2%", codec="raw").to_bytes(),
        "integer": dnnzip.compress(array_of((4, 6), "int8"), "1lsb", zero_point=-3).to_bytes(),
    }


FILES = files()


def front_of(data):
    """Return the bytes of a file that its header's check is over, the check's place behind them."""
    _, tables, stream = array_file.unpack(data)
    return data[: len(data) - len(tables) - len(stream) - 4]


def sealed(data, front):
    """Return a file with another front, and the check that belongs to that."""
    return front + struct.pack("<I", zlib.crc32(front)) + data[len(front_of(data)) + 4 :]


def with_number(data, name, value):
    values = list(array_file.FIXED.unpack(data[: array_file.FIXED.size]))
    values[NAMES.index(name)] = value
    return sealed(data, array_file.FIXED.pack(*values) + front_of(data)[array_file.FIXED.size :])


def with_bytes(data, old, new):
    front = front_of(data)
    assert front.count(old) == 1
    return sealed(data, front.replace(old, new))


def test_the_files_have_every_kind_of_grid():
    assert {array_file.unpack(data)[0].grid for data in FILES.values()} == {*array_file.GridKind}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_as_its_page_says(kind):
    """Reads the fixed header by its own numbers and finds the streams where the page puts them."""
    data = FILES[kind]
    compressed = dnnzip.Compressed.from_bytes(data)
    numbers = dict(zip(NAMES, struct.unpack("<4sHBBBBHhHIIQQQddd", data[:72]), strict=True))
    place, texts = 72, []
    for _ in range(3):
        end = place + 2 + int.from_bytes(data[place : place + 2], "little")
        texts.append(data[place + 2 : end].decode())
        place = end
    assert texts == [compressed.dtype.name, "1lsb" if kind == "integer" else "2%", compressed.codec]
    shape = struct.unpack_from(f"<{numbers['dimensions']}Q", data, place)
    assert shape == compressed.shape
    place += 8 * len(shape) + 4 * numbers["steps"] + numbers["indices"]
    assert zlib.crc32(data[:place]) == int.from_bytes(data[place : place + 4], "little")
    assert len(data) == place + 4 + numbers["table_bytes"] + numbers["stream_bytes"]
    assert (numbers["magic"], numbers["version"]) == (b"DNZA", 1)
    assert (numbers["bound"], numbers["error"]) == (compressed.bound, compressed.max_error)


@pytest.mark.parametrize("kind", FILES)
def test_every_cut_and_every_changed_byte_is_one_line(kind):
    data = FILES[kind]
    for end in range(len(data)):
        with pytest.raises(InputError, match=WHERE) as caught:
            dnnzip.Compressed.from_bytes(data[:end])
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"is damaged: 3 bytes follow its end; compress the array again$"):
        dnnzip.Compressed.from_bytes(data + b"abc")
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        with pytest.raises(InputError, match=WHERE) as caught:
            dnnzip.Compressed.from_bytes(bytes(changed)).decode()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        ("float", "version", 2, r"is of another version of array files than 1; update dnnzip to read it$"),
        ("float", "dimensions", 0, r"is damaged: "),
        ("float", "axis", 2, r"is damaged: its shape \(40, 6\) and axis 2 are no array's; "),
        ("float", "grid", 4, r"is damaged: 4 is not a valid GridKind; "),
        ("float", "grid", 3, r"is damaged: its grid INTEGER does not suit float32; "),
        ("float", "grid", 2, r"is damaged: steps to an octave must be one of .*, not 0; "),
        ("float", "grid", 0, r"is damaged: its stream declares 240 values and its shape \(40, 6\) needs 480; "),
        ("float", "scope", 2, r"is damaged: its element type 'float32' or its scope 2 is not known; "),
        ("float", "rows", 0, r"is damaged: its 0 rows do not suit its shape \(40, 6\); "),
        ("float", "rows", 60, r"is damaged: its 60 rows do not suit its shape"),
        ("float", "rows", 1 << 63, r"is damaged: its 9223372036854775808 rows do not suit its shape"),
        ("float", "steps", 0xFFFFFFFF, r"is truncated; "),
        ("float", "table_bytes", 1 << 63, r"is truncated; "),
        ("float", "bound", math.nan, r"is damaged: its bound nan and error .* are not finite, from zero up; "),
        ("float", "error", math.inf, r"is damaged: its bound .* and error inf are not finite"),
        (
            "step grid",
            "step_loss",
            math.nan,
            r"is damaged: its step loss is not finite, or more bits than a weight has",
        ),
        ("step grid", "per_octave", 17, r"is damaged: steps to an octave must be one of"),
        ("step grid", "grid", 1, r"is damaged: "),
        ("integer", "divisor", 2, r"is damaged: its step is not an odd number up to 511; "),
        ("integer", "zero_point", 128, r"is damaged: its zero point 128 does not suit int8; "),
        ("integer", "grid", 1, r"is damaged: its grid FLOAT does not suit int8; "),
    ],
)
def test_numbers_that_do_not_suit_each_other_are_refused(kind, name, value, said):
    with pytest.raises(InputError, match=WHERE + said):
        dnnzip.Compressed.from_bytes(with_number(FILES[kind], name, value))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"\7\0float32", b"\7\0float99", r"is damaged: its element type 'float99' or its scope 0 is not known; "),
        (b"\7\0float32", b"\7\0\xff\xfe\xfdxxxx", r"is damaged: 'utf-8' codec can't decode"),
        (b"\3\0ans", b"\4\0line", r"is damaged: its stream is not coded with 'line'; "),
        (struct.pack("<QQ", 40, 6), struct.pack("<QQ", 40, 7), r"is damaged: its stream declares 240 values and its"),
        (struct.pack("<QQ", 40, 6), struct.pack("<QQ", 1 << 40, 1 << 40), r"is damaged: its 40 rows do not suit"),
        (struct.pack("<QQ", 40, 6), struct.pack("<QQ", 40, 6 << 40), r"is damaged: its stream declares 240 values"),
        (struct.pack("<QQ", 40, 6), bytes(16), r"is damaged: its shape \(0, 0\) and axis 0 are no array's"),
    ],
)
def test_texts_and_shapes_that_do_not_suit_the_streams_are_refused(old, new, said):
    data = with_bytes(FILES["float"], old, new)
    with pytest.raises(InputError, match=WHERE + said):
        dnnzip.Compressed.from_bytes(data)


def test_steps_that_are_no_steps_are_refused():
    step = struct.pack("<f", float(array_step(FILES["float"])))
    for value in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(InputError, match=WHERE + r"is damaged: its step is not finite and above zero; "):
            dnnzip.Compressed.from_bytes(with_bytes(FILES["float"], step, struct.pack("<f", value)))
    large = with_bytes(FILES["float"], step, struct.pack("<f", 3e38))
    with pytest.raises(InputError, match=WHERE + r"decodes to weights that are infinite or no number; "):
        dnnzip.Compressed.from_bytes(large).decode()


def array_step(data):
    return np.frombuffer(array_file.unpack(data)[0].steps, "<f4")[0]


def test_files_of_other_kinds_are_refused():
    with pytest.raises(InputError, match=WHERE + r"is empty; give the bytes of to_bytes; open a network with "):
        dnnzip.Compressed.from_bytes(b"")
    model = known_model(np.eye(9, dtype=np.float32))
    with pytest.raises(InputError, match=WHERE + r"is no compressed array; give the bytes of to_bytes; open a network"):
        dnnzip.Compressed.from_bytes(model.SerializeToString())
    onnx.helper.set_model_props(model, {"dnnzip.array": "{}"})
    said = r"is an array of an older dnnzip, an ONNX model; compress the array again, or read it with the dnnzip that"
    with pytest.raises(InputError, match=WHERE + said):
        dnnzip.Compressed.from_bytes(model.SerializeToString())


def test_the_examples_of_the_module_run():
    assert doctest.testmod(tensor) == (0, 18)
