"""The address table of a memory image as a C header, for a program that has no file system to read it from."""

from collections.abc import Sequence
from dataclasses import astuple, fields

from dnnzip.format import IMAGE_NO_LAYER, ImageEntry

PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'"\\?*/')
"""Bytes that mean themselves in a C string and in a comment."""


def image_header(size: int, bus_bytes: int, entries: Sequence[ImageEntry], layers: Sequence[str]) -> str:
    """Return the header's text.

    Parameters
    ----------
    size
        Bytes of the image.
    bus_bytes
        Bytes of a bus word.
    entries
        The image's table.
    layers
        Names of the layers, by their numbers.
    """
    members = ", ".join(field.name for field in fields(ImageEntry))
    rows = "".join(
        f"    {{{', '.join(f'{number}u' for number in astuple(entry))}}},"
        f" /* {'table set' if entry.is_table_set else escaped(layers[entry.layer])} */\n"
        for entry in entries
    )
    names = "".join(f'    "{escaped(name)}",\n' for name in layers)
    return (
        "/* Where the streams of a memory image are; written by `dnnzip image`. */\n"
        "#ifndef DNNZIP_WEIGHTS_H\n#define DNNZIP_WEIGHTS_H\n\n#include <stdint.h>\n\n"
        f"#define DNNZIP_WEIGHTS_BYTES {size}u\n"
        f"#define DNNZIP_WEIGHTS_BUS_BYTES {bus_bytes}u\n"
        f"#define DNNZIP_WEIGHTS_STREAMS {len(entries)}u\n"
        f"#define DNNZIP_WEIGHTS_LAYERS {len(layers)}u\n"
        f"#define DNNZIP_WEIGHTS_NO_LAYER {IMAGE_NO_LAYER}u /* the layer of the table set */\n\n"
        f"typedef struct {{\n    uint32_t {members};\n}} dnnzip_weights_stream;\n\n"
        f"static const dnnzip_weights_stream dnnzip_weights_streams[] = {{\n{rows}}};\n\n"
        f"static const char *const dnnzip_weights_layers[] = {{\n{names}}};\n\n#endif\n"
    )


def escaped(name: str) -> str:
    """Return a name as the inside of a C string: what is no plain character stands in octal."""
    return "".join(chr(byte) if byte in PLAIN else f"\\{byte:03o}" for byte in name.encode())
