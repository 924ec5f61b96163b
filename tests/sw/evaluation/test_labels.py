"""Lists of labels as editors and spreadsheets write them: every image counts, or a line says why not."""

import codecs

import numpy as np
import onnx
import pytest
from PIL import Image

import graphs
from dnnzip.errors import InputError
from dnnzip.evaluation.images import load_images
from dnnzip.evaluation.labels import read_labels

LIST = "a.png,2\nb c.png,0\nsub/d.png,1\n"
CLASSES = {"a.png": "2", "b c.png": "0", "sub/d.png": "1"}


@pytest.fixture
def folder(tmp_path):
    """Return a folder of three images, and a function that writes its list."""
    (tmp_path / "sub").mkdir()
    for name in CLASSES:
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)

    def write(content):
        (tmp_path / "labels.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return write


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the file of a network that takes images of 4 x 4."""
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    node = onnx.helper.make_node("Flatten", ["x"], ["y"])
    onnx.save(graphs.model([node], [("x", ["n", 4, 4, 1], np.uint8)], [("y", None, np.uint8)]), path)
    return path


GOOD = {
    "plain": LIST,
    "byte order mark": codecs.BOM_UTF8 + LIST.encode(),
    "CRLF": LIST.replace("\n", "\r\n"),
    "CR": LIST.replace("\n", "\r"),
    "byte order mark and CRLF": codecs.BOM_UTF8 + LIST.replace("\n", "\r\n").encode(),
    "heading": "file,class\n" + LIST,
    "heading in capitals behind a byte order mark": codecs.BOM_UTF8 + f"Filename , Label\n{LIST}".encode(),
    "heading behind a blank line": "\nimage,class\n" + LIST,
    "quotes": '"a.png","2"\n"b c.png", "0"\n"sub/d.png",1\n',
    "spaces": " a.png , 2 \nb c.png\t,0\nsub/d.png,1   \n",
    "blank lines": "\n\na.png,2\n   \nb c.png,0\n,\nsub/d.png,1\n\n",
    "no last line end": LIST.rstrip(),
    "dots": LIST.replace("a.png", "./a.png").replace("sub/", "sub/../sub//"),
}


@pytest.mark.parametrize("what", GOOD)
def test_what_is_understood_gives_each_image_its_class(folder, model, what):
    path = folder(GOOD[what])
    found = {item.path.resolve(): item.label for item in read_labels(path / "labels.csv")}
    assert found == {(path / name).resolve(): label for name, label in CLASSES.items()}
    assert sorted(load_images(path, model).y) == [0, 1, 2]


MORE = "b c.png,0\nsub/d.png,1\n"
BAD = {
    "semicolons": (LIST.replace(",", ";"), "line 1: has 1 value; separate file and class with a comma"),
    "tabs": (LIST.replace(",", "\t"), "line 1: has 1 value; separate file and class with a comma"),
    "one line with a semicolon": ("a.png,2\nb c.png;0\nsub/d.png,1\n", "line 2: has 1 value; "),
    "three values": ("a.png,2\n\nb c.png,0,0\nsub/d.png,1\n", "line 3: has 3 values; "),
    "UTF-16": (LIST.encode("utf-16"), "line 1: is not UTF-8; save the list as UTF-8"),
    "UTF-16 without a mark": (LIST.encode("utf-16-le"), "line 1: holds a control character"),
    "Latin-1": (f"{LIST}é.png,1\n".encode("latin-1"), "line 4: is not UTF-8; "),
    "first file mistyped": (LIST.replace("a.png", "A,png", 1), "line 1: has 3 values; "),
    "first file not there": (LIST.replace("a.png", "e.png"), r"line 1: names 'e\.png', which is not there; "),
    "last file not there": (LIST.replace("d.png", "e.png"), r"line 3: names 'sub/e\.png', which is not there; "),
    "folder": (LIST.replace("sub/d.png", "sub"), "line 3: names 'sub', which is not there; "),
    "no name": (",2\n" + MORE, "line 1: names '', which is not there; "),
    "heading of other words": ("path,target\n" + LIST, "line 1: names 'path', which is not there; "),
    "second heading": ("file,class\nfile,class\n" + LIST, "line 2: names 'file', which is not there; "),
    "heading in the middle": ("a.png,2\nfile,class\n" + MORE, "line 2: names 'file', which is not there; "),
    "file named twice": (LIST + "./a.png,2\n", r"line 4: names './a\.png' as line 1 does; name each file once"),
    "image left out": (MORE, r"labels\.csv: leaves out the image '.*a\.png'; give each image a line, or move it"),
    "images left out": ("a.png,2\n", r"leaves out the image '.*b c\.png' and 1 more; "),
    "negative": (LIST.replace(",0", ",-1"), "line 2: has the class '-1'; classes are whole numbers from 0 with "),
    "decimal": (LIST.replace(",0", ",0.0"), r"line 2: has the class '0\.0'; "),
    "power of ten": (LIST.replace(",2", ",2e0"), "line 1: has the class '2e0'; "),
    "signed": (LIST.replace(",2", ",+2"), r"line 1: has the class '\+2'; "),
    "too large": (LIST.replace(",2", "," + "9" * 5000), "line 1: has the class '9{5000}'; "),
    "number among names": (LIST.replace(",0", ",cat"), "line 1: has the class '2', and 'cat' is one too; "),
    "no class": (LIST.replace(",0", ","), "line 2: has no class; "),
    "open quote": ('a.png,"2\n' + MORE, "line 1: cannot be read "),
    "line end in quotes": ('a.png,"2\nx"\n' + MORE, "line 1: holds a control character or a line end in quotes; "),
    "empty": ("", "leaves out the image '.*' and 2 more; "),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_not_understood_is_one_line_with_its_number(folder, model, what):
    content, message = BAD[what]
    with pytest.raises(InputError, match=message) as caught:
        load_images(folder(content), model)
    assert "\n" not in str(caught.value)
    assert "labels.csv" in str(caught.value)


def test_names_are_classes_in_alphabetical_order(folder, model):
    path = folder("a.png,dog\nb c.png,cat\nsub/d.png,dog\n")
    assert load_images(path, model).y.tolist() == [1, 0, 1]
    # Digits before letters, as of handwritten characters: each number is its own place.
    assert load_images(folder("a.png,A\nb c.png,1\nsub/d.png,0\n"), model).y.tolist() == [2, 1, 0]


def test_a_list_that_is_no_file(folder, model):
    path = folder("")
    (path / "labels.csv").unlink()
    (path / "labels.csv").symlink_to(path / "none")
    with pytest.raises(InputError, match=r"labels\.csv: cannot be read \(No such file"):
        load_images(path, model)


@pytest.mark.parametrize("name", ["e.png", "0/deep/e.jpg", "0/e.bmp", "0/e.WEBP"])
def test_an_image_outside_of_the_folders_of_classes_is_told(tmp_path, model, name):
    for place in ("0/a.png", "1/b.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / place)
    assert load_images(tmp_path, model).y.tolist() == [0, 1]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=rf"leaves out the image '.*{name}'; put a \.png or \.jpg file into its "):
        load_images(tmp_path, model)


def test_a_folder_of_a_class_may_be_a_link_and_hidden_files_are_none(tmp_path, model):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(elsewhere / "a.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "3").symlink_to(elsewhere)
    (tmp_path / "set" / "3" / "._a.png").write_bytes(b"")
    assert load_images(tmp_path / "set", model).y.tolist() == [3]


@pytest.mark.parametrize("name", ["-1", "1.5"])
def test_a_folder_that_is_no_class_is_told(tmp_path, model, name):
    (tmp_path / name).mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name / "a.png")
    with pytest.raises(InputError, match=rf"{name}: has the class '{name}'; classes are whole numbers from 0"):
        load_images(tmp_path, model)
