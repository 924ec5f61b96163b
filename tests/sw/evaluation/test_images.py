"""Labelled samples from a folder of images."""

import numpy as np
import onnx
import pytest
from PIL import Image

import graphs
from dnnzip.errors import InputError
from dnnzip.evaluation.images import load_images, load_labelled


def model(path, shape, kind=np.uint8):
    node = onnx.helper.make_node("Flatten", ["x"], ["y"])
    onnx.save(graphs.model([node], [("x", shape, kind)], [("y", None, kind)]), path)
    return path


def picture(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    pictures = {}
    for name, count in (("0", 2), ("2", 1), ("10", 3)):
        for number in range(count):
            pictures[name, number] = rng.integers(0, 256, (6, 5, 3), np.uint8)
            picture(tmp_path / "set" / name / f"{number}.png", pictures[name, number])
    (tmp_path / "set" / "0" / "notes.txt").write_text("not an image")
    return tmp_path / "set", pictures


def test_class_folders(folder, tmp_path):
    path, pictures = folder
    found = load_images(path, model(tmp_path / "m.onnx", ["n", 6, 5, 3]))
    assert found.x.dtype == np.uint8
    assert found.y.tolist() == [0, 0, 10, 10, 10, 2]
    np.testing.assert_array_equal(found.x[2], pictures["10", 0])
    np.testing.assert_array_equal(found.x[5], pictures["2", 0])


def test_channels_first_in_float32(folder, tmp_path):
    path, pictures = folder
    found = load_images(path, model(tmp_path / "m.onnx", [1, 3, 6, 5], np.float32), samples=3)
    assert (found.x.shape, found.x.dtype) == ((3, 3, 6, 5), np.float32)
    assert found.y.tolist() == [0, 10, 10]
    np.testing.assert_array_equal(found.x[1], pictures["10", 0].transpose(2, 0, 1))


def test_grey_and_size(tmp_path):
    gradient = np.arange(40, dtype=np.uint8)[None].repeat(20, axis=0) * 6
    picture(tmp_path / "set" / "cat" / "a.png", gradient)
    picture(tmp_path / "set" / "dog" / "b.png", gradient)
    found = load_images(tmp_path / "set", model(tmp_path / "m.onnx", ["n", 10, 10, 1]))
    assert found.y.tolist() == [0, 1]
    # The shorter side becomes 10 of 20, and the middle 20 of 40 columns stay.
    expected = gradient[:10, 10:30].reshape(10, 10, 2).mean(axis=2)
    assert np.abs(found.x[0, :, :, 0] - expected).max() <= 1


@pytest.mark.parametrize("heading", ["", "file,class\n"])
def test_a_list_of_labels(tmp_path, heading):
    for name in ("a.png", "b.png"):
        picture(tmp_path / "set" / name, np.zeros((4, 4)))
    (tmp_path / "set" / "labels.csv").write_text(heading + "b.png,7\na.png,3\n")
    found = load_images(tmp_path / "set", model(tmp_path / "m.onnx", ["n", 4, 4, 1]))
    assert found.y.tolist() == [7, 3]


def test_evaluate_takes_a_folder(folder, tmp_path, good):
    path, _ = folder
    out = good("evaluate", model(tmp_path / "m.onnx", ["n", 6, 5, 3]), "--images", path, "--json", "-")
    assert '"samples": 6' in out


def test_what_a_user_can_do_wrong(folder, tmp_path):
    path, _ = folder
    good = model(tmp_path / "m.onnx", ["n", 6, 5, 3])
    (tmp_path / "empty").mkdir()
    picture(tmp_path / "broken" / "1" / "a.png", np.zeros((4, 4)))
    (tmp_path / "broken" / "1" / "a.png").write_bytes(b"\x89PNG\r\n")
    lists = tmp_path / "lists"
    picture(lists / "a.png", np.zeros((4, 4)))
    cases = [
        ((tmp_path / "none", good), "none: is no folder"),
        ((tmp_path / "empty", good), "empty: has no labelled images"),
        ((tmp_path / "broken", good), r"a\.png: is no image that can be read"),
        ((path, good, 7), "samples 7: .* has 6 images; give 1 to 6"),
        ((path, model(tmp_path / "v.onnx", ["n", 10])), "does not take images"),
        ((path, model(tmp_path / "c.onnx", ["n", 6, 5, 4])), "takes samples of the shape"),
        ((path, model(tmp_path / "i.onnx", ["n", 6, 5, 3], np.int64)), "does not take images"),
    ]
    for arguments, message in cases:
        with pytest.raises(InputError, match=message):
            load_images(*arguments)
    for text, message in (("a.png,1\nb.png,2\n", "names 'b.png'"), ("a.png\n", "line 1: has 1 value; ")):
        (lists / "labels.csv").write_text(text)
        with pytest.raises(InputError, match=message):
            load_images(lists, good)
    with pytest.raises(InputError, match="exclude each other"):
        load_labelled("a", "b", good)
    with pytest.raises(InputError, match="are both missing"):
        load_labelled(None, None, good)


def bomb(path, width, height):
    """Write a small file of many pixels, all of them black."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("1", (width, height)).save(path)
    return path


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (14000, 14000, "is no image that can be read"),
        # Pillow only warns of the next, and takes the last, which would grow to 400,000 times its size.
        (11000, 11000, "is no image that can be read"),
        (1, 8_000_000, "has 1 x 8000000 pixels, too narrow for 5 x 6"),
    ],
)
def test_images_that_grow(tmp_path, width, height, message):
    path = bomb(tmp_path / "set" / "0" / "0.png", width, height)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match=rf"0\.png: {message}"):
        load_images(tmp_path / "set", model(tmp_path / "m.onnx", ["n", 6, 5, 3]))


def test_only_the_formats_of_the_names_are_read(tmp_path):
    """Others are none of what is asked for, and some are read by programs of the system."""
    network = model(tmp_path / "m.onnx", ["n", 6, 5, 3])
    for kind in ("GIF", "BMP", "EPS", "PPM"):
        path = tmp_path / kind / "0" / "0.png"
        path.parent.mkdir(parents=True)
        Image.new("RGB", (5, 6)).save(path, kind)
        with pytest.raises(InputError, match=r"0\.png: is no image that can be read"):
            load_images(tmp_path / kind, network)
