"""The address table of a memory image as a C header, for a program that has no file system to read it from.

Every name in it begins with a prefix of the image's own, so that a program can have the headers of several images. No
ending of a name is the ending of another, so two prefixes never make one name. Of two headers that have one prefix and
say different things, the second ends the compilation.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import astuple, fields

from dnnzip.errors import InputError, field_name
from dnnzip.format import IMAGE_NO_LAYER, ImageEntry
from dnnzip.usecases.image_stream import ImageLayer, ImageStream

PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\?*/')
"""Bytes that mean themselves in a C string and in a comment."""

PREFIX = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")

LONGEST_PREFIX = 48
"""C99 tells names apart by 63 characters, and the longest ending has 13."""

OWN_PREFIX = "dnnzip"
"""The kit's headers begin with it."""

LONGEST_STRING = 4095
"""Bytes of the longest string that C99 asks of a compiler."""

PER_LINE = 8


def check_prefix(prefix: str) -> None:
    """Check a prefix that was given.

    Raises
    ------
    InputError
        It does not begin a name of C and C++, is too long, or belongs to the kit's own headers.
    """
    where = f"{field_name('prefix')} {prefix!r}"
    if not PREFIX.fullmatch(prefix):
        raise InputError(where, "begins no name of C", "give a letter, then letters, digits and single underscores")
    if len(prefix) > LONGEST_PREFIX:
        raise InputError(where, f"has {len(prefix)} characters", f"give {LONGEST_PREFIX} at most")
    if _is_own(prefix):
        raise InputError(where, "is what the names of the kit's headers begin with", "give another prefix")


def default_prefix(name: str) -> str:
    """Return a prefix made from a folder's name."""
    prefix = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or "image"
    if not prefix[0].isalpha() or _is_own(prefix):
        prefix = f"image_{prefix}"
    if len(prefix) > LONGEST_PREFIX:
        check = f"_{zlib.crc32(name.encode(errors='surrogateescape')):08x}"
        prefix = prefix[: LONGEST_PREFIX - len(check)].rstrip("_") + check
    return prefix


def _is_own(prefix: str) -> bool:
    return f"{prefix}_".lower().startswith(f"{OWN_PREFIX}_")


def image_header(
    prefix: str, size: int, bus_bytes: int, layers: Sequence[ImageLayer], streams: Sequence[ImageStream]
) -> str:
    """Return the header's text.

    Parameters
    ----------
    prefix
        Prefix of all names; that of macros is in capitals.
    size
        Bytes of the image.
    bus_bytes
        Bytes of a bus word.
    layers
        The layers, by their numbers.
    streams
        The image's streams.
    """
    content = "".join(
        (
            _numbers(prefix.upper(), size, bus_bytes, len(streams), len(layers)),
            _types(prefix),
            _layers(prefix, layers),
            _streams(prefix, layers, streams),
        )
    )
    guard, check = f"{prefix.upper()}_WEIGHTS_H", f"{zlib.crc32(content.encode()):#010x}u"
    return (
        "/* Where the streams of a memory image are; written by `dnnzip image`. */\n"
        f"#ifndef {guard}\n#define {guard} {check}\n\n#include <stdint.h>\n\n{content}\n"
        f"#elif {guard} != {check}\n"
        f'#error "two images have the prefix {prefix}: write one with another, by dnnzip image --prefix"\n#endif\n'
    )


def _numbers(stem: str, size: int, bus_bytes: int, streams: int, layers: int) -> str:
    return (
        f"#define {stem}_IMAGE_BYTES {size}u\n"
        f"#define {stem}_BUS_BYTES {bus_bytes}u\n"
        f"#define {stem}_STREAM_COUNT {streams}u\n"
        f"#define {stem}_LAYER_COUNT {layers}u\n"
        f"#define {stem}_NO_LAYER {IMAGE_NO_LAYER}u /* the layer of the table set */\n\n"
    )


def _types(prefix: str) -> str:
    members = ", ".join(field.name for field in fields(ImageEntry))
    return (
        "typedef struct {\n"
        "    const char *name;\n"
        "    const char *type; /* of a weight */\n"
        "    const uint32_t *shape;\n"
        "    uint32_t dimensions;\n"
        "    int32_t lowest; /* smallest and largest value of an integer type; both 0 of a float type */\n"
        "    int32_t largest;\n"
        f"}} {prefix}_layer;\n\n"
        "/* A float weight is scale * code. An integer weight is zero_point + step * code, at step 1 modulo the\n"
        " * number of values of its type, at another one clipped to it; its value is scale * (weight - zero_point).\n"
        " * A count of 1 is for all channels of the stream, of 0 for none.\n"
        " * The scale of a weight of ConvInteger or MatMulInteger is the constant that its sums are multiplied by,\n"
        " * which may hold the scale of the activations too. */\n"
        "typedef struct {\n"
        f"    uint32_t {members};\n"
        "    const float *scale;\n"
        "    uint32_t scale_count;\n"
        "    const int32_t *zero_point;\n"
        "    uint32_t zero_point_count;\n"
        "    int32_t step;\n"
        f"}} {prefix}_stream;\n\n"
    )


def _layers(prefix: str, layers: Sequence[ImageLayer]) -> str:
    """Return the table of the layers, and the arrays that it points to."""
    names, rows, shapes = [], [], _Pool(f"static const uint32_t {prefix}_shapes")
    for number, layer in enumerate(layers):
        name = f'"{escaped(layer.name)}"'
        if len(layer.name.encode()) > LONGEST_STRING:
            name = f"{prefix}_name_{number}"
            names.append(_long_string(name, layer.name))
        ends = f"{layer.lowest}, {layer.largest}"
        place = shapes.add([f"{dimension}u" for dimension in layer.shape])
        rows.append(f'    {{{name}, "{layer.type}", {prefix}_shapes + {place}, {len(layer.shape)}u, {ends}}},\n')
    return f"{''.join(names)}{shapes.text()}static const {prefix}_layer {prefix}_layers[] = {{\n{''.join(rows)}}};\n\n"


def _streams(prefix: str, layers: Sequence[ImageLayer], streams: Sequence[ImageStream]) -> str:
    """Return the table of the streams, and the arrays that it points to."""
    scales = _Pool(f"static const float {prefix}_scales")
    points = _Pool(f"static const int32_t {prefix}_zero_points")
    rows = []
    for stream in streams:
        cells = [f"{number}u" for number in astuple(stream.entry)]
        scale = [] if stream.scaling is None else [f"{value:.8e}f" for value in stream.scaling.scale.tolist()]
        point = [] if stream.scaling is None else [str(value) for value in stream.scaling.zero_point.tolist()]
        for pool, name, values in ((scales, "scales", scale), (points, "zero_points", point)):
            cells += [f"{prefix}_{name} + {pool.add(values)}" if values else "0", f"{len(values)}u"]
        cells.append("1" if stream.scaling is None else str(stream.scaling.step))
        comment = "table set" if stream.layer is None else escaped(layers[stream.entry.layer].name)
        rows.append(f"    {{{', '.join(cells)}}}, /* {comment} */\n")
    table = f"static const {prefix}_stream {prefix}_streams[] = {{\n{''.join(rows)}}};\n"
    return f"{scales.text()}{points.text()}{table}"


class _Pool:
    """An array of C into which others put their elements.

    Parameters
    ----------
    declaration
        Type and name of the array.
    """

    def __init__(self, declaration: str) -> None:
        self._declaration = declaration
        self._elements: list[str] = []

    def add(self, elements: Sequence[str]) -> int:
        """Add elements; returns the place of the first."""
        place = len(self._elements)
        self._elements += elements
        return place

    def text(self) -> str:
        """Return the array's definition; nothing where it has no element."""
        if not self._elements:
            return ""
        starts = range(0, len(self._elements), PER_LINE)
        lines = "".join(f"    {', '.join(self._elements[start : start + PER_LINE])},\n" for start in starts)
        return f"{self._declaration}[] = {{\n{lines}}};\n\n"


def _long_string(name: str, text: str) -> str:
    """Return an array of characters, for a string that is longer than a compiler has to take."""
    array = _Pool(f"static const char {name}")
    array.add([f"'\\{byte:03o}'" for byte in text.encode() + b"\0"])
    return array.text()


def escaped(name: str) -> str:
    """Return a name as the inside of a C string: what is no plain character stands in octal."""
    return "".join(chr(byte) if byte in PLAIN else f"\\{byte:03o}" for byte in name.encode())
