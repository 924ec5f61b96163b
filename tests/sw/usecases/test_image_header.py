"""The C header of an image: its tables in C and C++, those of two images in one program, and its names."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from dnnzip.digits import MODEL
from dnnzip.errors import InputError
from dnnzip.format import IMAGE_NO_LAYER, ImageEntry
from dnnzip.onnx.scaling import NO_SCALE, Scaling
from dnnzip.usecases.image_header import LONGEST_PREFIX, check_prefix, default_prefix, escaped, image_header
from dnnzip.usecases.image_stream import ImageLayer, ImageStream

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
LANGUAGES = {
    "C99": ("gcc", "-x", "c", "-std=c99", *STRICT, "-Wconversion"),
    "C++11": ("g++", "-x", "c++", "-std=c++11", *STRICT),
    "C++20": ("g++", "-x", "c++", "-std=c++20", *STRICT),
}
ODD_NAMES = ('a "*/ \\ ?? ü', "int", "%s\n\0#", "long " * 1000)


def points(*values):
    return np.array(values, np.int32)


def header(prefix, name="fc", count=3):
    """Return a header of layers with these names: one value for all channels, one for each, and none."""
    names = [*ODD_NAMES, name]
    layers = [ImageLayer(text, "int8", (2, 3 + number)) for number, text in enumerate(names)]
    scalings = [
        Scaling(np.array([0.1], np.float32), points(0)),
        Scaling(np.array([1.5, 2e38, 1e-45][:count], np.float32), points(-128, 127, 255)[:count]),
        Scaling(NO_SCALE, points(0)),
    ]
    streams = [ImageStream(ImageEntry(96, 2, 7, IMAGE_NO_LAYER))]
    for number, layer in enumerate(layers):
        entry = ImageEntry(128 + 32 * number, 4, 16, number, 0, 0, 3, 5)
        streams.append(ImageStream(entry, layer, "ans", scalings[number % 3]))
    return image_header(prefix, 512, 8, layers, streams)


def build(folder, language, source, **headers):
    for name, text in headers.items():
        (folder / f"{name}.h").write_text(text)
    (folder / "main.c").write_text(source)
    program, *options = LANGUAGES[language]
    command = [shutil.which(program), *options, "main.c", "-o", "main"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def printer(prefix):
    """Return statements that print all that a header says."""
    upper, at = prefix.upper(), f"{prefix}_streams[i]"
    return (
        f"    for (unsigned i = 0; i < {upper}_STREAM_COUNT; i++) {{\n"
        f'        printf("{prefix} %u %u", (unsigned){at}.offset, (unsigned){at}.layer);\n'
        f"        for (unsigned c = 0; c < {at}.scale_count; c++)"
        f' printf(" %a", (double){at}.scale[c]);\n'
        f"        for (unsigned c = 0; c < {at}.zero_point_count; c++)"
        f' printf(" %d", (int){at}.zero_point[c]);\n'
        f"        if ({at}.layer != {upper}_NO_LAYER) {{\n"
        f"            const {prefix}_layer *layer = &{prefix}_layers[{at}.layer];\n"
        '            printf(" %s %u", layer->type, (unsigned)layer->dimensions);\n'
        '            for (unsigned d = 0; d < layer->dimensions; d++) printf(" %u", (unsigned)layer->shape[d]);\n'
        '            printf(" %s", layer->name);\n'
        '        }\n        puts("");\n    }\n'
        f'    printf("%u %u %u\\n", {upper}_IMAGE_BYTES, {upper}_BUS_BYTES, {upper}_LAYER_COUNT);\n'
    )


def lines_of(prefix, name, count):
    """Return the lines that such statements print."""
    scales = [[0.1], [1.5, 2e38, 1e-45][:count], []]
    zeros = [[0], [-128, 127, 255][:count], [0]]
    found = [f"{prefix} 96 {IMAGE_NO_LAYER}"]
    for number, text in enumerate([*ODD_NAMES, name]):
        scale = [float(np.float32(value)).hex() for value in scales[number % 3]]
        numbers = [float.fromhex(value) for value in scale] + zeros[number % 3]
        found.append((128 + 32 * number, number, numbers, 3 + number, text.partition("\0")[0]))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_tables_of_two_images_in_one_program(tmp_path, language):
    source = (
        '#include "a.h"\n#include "b.h"\n#include "a.h"\n#include <stdio.h>\n'
        f"int main(void)\n{{\n{printer('lenet')}{printer('vgg_16')}    return 0;\n}}\n"
    )
    done = build(tmp_path, language, source, a=header("lenet"), b=header("vgg_16", "other", 2))
    assert (done.returncode, done.stderr) == (0, "")
    printed = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout.decode()
    for prefix, name, count in (("lenet", "fc", 3), ("vgg_16", "other", 2)):
        first, *layers = lines_of(prefix, name, count)
        assert f"{first}\n" in printed
        for offset, number, numbers, columns, text in layers:
            start = f"{prefix} {offset} {number}"
            (line,) = re.findall(
                rf"^{start}(.*?) int8 2 2 {columns} {re.escape(text)}$", printed, re.MULTILINE | re.DOTALL
            )
            assert [float.fromhex(value) if "0x" in value else float(value) for value in line.split()] == numbers
    assert printed.count("512 8 5\n") == 2


@pytest.mark.parametrize("second", ["net", "NET"])
def test_two_images_with_one_prefix_do_not_compile(tmp_path, second):
    source = '#include "a.h"\n#include "b.h"\nint main(void) { return 0; }\n'
    done = build(tmp_path, "C99", source, a=header("net"), b=header(second, "other"))
    assert done.returncode != 0
    assert f"two images have the prefix {second}: write one with another, by dnnzip image --prefix" in done.stderr


def names(prefix):
    """Return the macros, types and arrays of a header."""
    text = header(prefix)
    return set(re.findall(r"#define (\w+)|^} (\w+);|^static const .*?(\w+)\[\]", text, re.MULTILINE))


def test_no_ending_of_a_name_ends_another():
    """So no two prefixes can make one name: p_x = q_y with p longer than q needs that x ends y."""
    found = {"".join(name).removeprefix("p").removeprefix("P") for name in names("p")}
    assert {"_WEIGHTS_H", "_IMAGE_BYTES", "_layer", "_streams", "_scales"} <= found
    assert [(a, b) for a in found for b in found if a != b and a.endswith(b)] == []
    assert max(map(len, found)) + LONGEST_PREFIX <= 63


def test_a_name_cannot_leave_its_string_or_comment():
    assert escaped('a"*/\\?\n') == "a\\042\\052\\057\\134\\077\\012"
    assert escaped("conv1.weight") == "conv1.weight"


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("lenet", "lenet"),
        ("LeNet-5.image", "lenet_5_image"),
        ("", "image"),
        ("网络", "image"),
        ("__x__", "x"),
        ("7", "image_7"),
        ("dnnzip", "image_dnnzip"),
        ("dnnzip-format", "image_dnnzip_format"),
        ("dnnzipped", "dnnzipped"),
        ("a" * 48, "a" * 48),
        ("\udcff", "image"),
    ],
)
def test_a_prefix_is_made_of_the_folders_name(name, prefix):
    assert default_prefix(name) == prefix
    check_prefix(prefix)


def test_long_folder_names_that_begin_alike_have_prefixes_of_their_own():
    made = [default_prefix("b" * 60 + end) for end in ("x", "y")]
    assert made[0] != made[1]
    for prefix in made:
        check_prefix(prefix)


@pytest.mark.parametrize(
    "prefix", ["", "7x", "a b", "a__b", "_a", "a_", "é", "a-b", "a\n", "x" * 49, "dnnzip", "DNNZIP_x"]
)
def test_a_prefix_that_begins_no_name(prefix):
    with pytest.raises(InputError, match=r"^prefix '"):
        check_prefix(prefix)


def test_the_command_takes_a_prefix_and_the_folders_name(dnnzip, good, tmp_path):
    model = tmp_path / "m.dnz.onnx"
    options = ("--max-error", "2%", "--layers", "fc3*", "--quiet")
    assert dnnzip("compress", MODEL, "-o", model, *options)[0] == 0
    for folder, more, prefix in (("net-a", (), "net_a"), ("b", ("--prefix", "Mine"), "Mine")):
        assert good("image", model, "-o", tmp_path / folder, "--quiet", *more) == ""
        text = (tmp_path / folder / "weights.h").read_text()
        assert f"#ifndef {prefix.upper()}_WEIGHTS_H\n" in text
        assert f"{prefix}_layers[] = {{\n" in text
    status, _, err = dnnzip("image", model, "-o", tmp_path / "c", "--prefix", "a-b")
    assert (status, err.count("\n")) == (2, 1)
    assert not (tmp_path / "c").exists()
