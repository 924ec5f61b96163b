"""The format's numbers as a C header."""

from dnnzip.format import HeaderLayout, Verdict
from dnnzip_hw.kit.constants import ENUMERATIONS, LAYOUTS, LISTS, NUMBERS, ORIGIN

PREFIX = "dnnzip"

FIELD_READER = """\
/* Return `width` bits, at most 32, from bit `offset` on; the first is the lowest. */
static inline uint32_t dnnzip_field(const uint8_t *bytes, unsigned offset, unsigned width)
{
    uint32_t value = 0;
    for (unsigned bit = 0; bit < width; bit++)
        value |= ((uint32_t)bytes[(offset + bit) / 8] >> ((offset + bit) % 8) & 1) << bit;
    return value;
}
"""

WIDEST_FIELD = 32


def c_header() -> str:
    """Return the text of ``dnnzip_format.h``."""
    guard = f"{PREFIX.upper()}_FORMAT_H"
    parts = [
        f"/* The numbers of the dnnzip format. {ORIGIN} */\n#ifndef {guard}\n#define {guard}\n\n#include <stdint.h>\n",
        _numbers(),
        *(_enumeration(name) for name in ENUMERATIONS),
        _labels(),
        FIELD_READER,
        *(_structure(name, layout) for name, layout in LAYOUTS.items()),
        "#endif\n",
    ]
    return "\n".join(parts)


def _numbers() -> str:
    lines = [f"#define {PREFIX.upper()}_{name} {_literal(value)}\n" for name, value in NUMBERS.items()]
    for name, values in LISTS.items():
        lines.append(f"#define {PREFIX.upper()}_{name} {{{', '.join(map(str, values))}}}\n")
    return "".join(lines)


def _literal(value: int) -> str:
    """Return a number that is unsigned where an int of 16 bits, or a signed one of 32, would not hold it."""
    return f"{value}" if value < 1 << 15 else f"UINT32_C({value:#010x})"


def _enumeration(name: str) -> str:
    prefix = f"{PREFIX}_{name}".upper()
    members = ",\n".join(f"    {prefix}_{member.name} = {int(member)}" for member in ENUMERATIONS[name])
    return f"typedef enum {{\n{members}\n}} {PREFIX}_{name};\n"


def _labels() -> str:
    cases = [f'    case {PREFIX.upper()}_VERDICT_{verdict.name}: return "{verdict.label}";\n' for verdict in Verdict]
    return (
        "/* Return the verdict as the manual writes it. */\n"
        f"static inline const char *{PREFIX}_verdict_label(int verdict)\n{{\n    switch (verdict) {{\n"
        f'{"".join(cases)}    default: return "unknown";\n    }}\n}}\n'
    )


def _structure(name: str, layout: HeaderLayout) -> str:
    """Return a layout's size, its structure and the function that fills it from bytes.

    Fields wider than 32 bits are reserved ones, and stay out.
    """
    fields = [field for field in layout.fields if field.width <= WIDEST_FIELD]
    members = "".join(f"    uint32_t {field.name}; /* {field.meaning} */\n" for field in fields)
    reads = "".join(
        f"    fields.{field.name} = {PREFIX}_field(bytes, {layout.offset(field.name)}, {field.width})"
        f"{f' + {field.bias}' if field.bias else ''};\n"
        for field in fields
    )
    kind = f"{PREFIX}_{name}"
    return (
        f"#define {kind.upper()}_BYTES {layout.bytes}\n#define {kind.upper()}_WORDS {layout.words}\n\n"
        f"typedef struct {{\n{members}}} {kind};\n\n"
        f"static inline {kind} {kind}_unpack(const uint8_t *bytes)\n"
        f"{{\n    {kind} fields;\n{reads}    return fields;\n}}\n"
    )
