"""The format's numbers as a SystemVerilog package."""

from dnnzip.format import HeaderLayout
from dnnzip_hw.kit.constants import ENUMERATIONS, LAYOUTS, LISTS, NUMBERS, ORIGIN

PACKAGE = "dnnzip_pkg"

KEYWORDS = frozenset({"context"})
"""Names of fields that SystemVerilog keeps for itself; they get an underscore."""


def sv_package() -> str:
    """Return the text of ``dnnzip_pkg.sv``."""
    opening = (
        f"// The numbers of the dnnzip format. {ORIGIN}\n"
        "// A header's structure holds the stored numbers: the value of a field is its number plus <FIELD>_BIAS.\n"
        "// Bit 0 of a structure is bit 0 of the stream's first 16-bit word.\n\n"
        "/* verilator lint_off UNUSEDPARAM */\n"
        f"package {PACKAGE};\n"
    )
    parts = [
        opening,
        "".join(_number(name, value) for name, value in NUMBERS.items()),
        "".join(_list(name, values) for name, values in LISTS.items()),
        *(_enumeration(name) for name in ENUMERATIONS),
        *(_structure(name, layout) for name, layout in LAYOUTS.items()),
        "endpackage\n/* verilator lint_on UNUSEDPARAM */\n",
    ]
    return "\n".join(parts)


def member_name(name: str) -> str:
    """Return the name of a field as SystemVerilog takes it."""
    return f"{name}_" if name in KEYWORDS else name


def _number(name: str, value: int) -> str:
    literal = f"{value}" if value < 1 << 15 else f"32'h{value:08x}"
    return f"  localparam logic [31:0] {name} = {literal};\n"


def _list(name: str, values: tuple[int, ...]) -> str:
    """Return a number for each element: not every tool takes an array as a parameter."""
    return "".join(_number(f"{name}_{index}", value) for index, value in enumerate(values))


def _enumeration(name: str) -> str:
    members = ENUMERATIONS[name]
    width = max(members).bit_length()
    lines = ",\n".join(f"    {name.upper()}_{member.name} = {width}'d{int(member)}" for member in members)
    return f"  typedef enum logic [{width - 1}:0] {{\n{lines}\n  }} {name}_t;\n"


def _structure(name: str, layout: HeaderLayout) -> str:
    """Return a layout's size, the offsets, widths and biases of its fields, and its packed structure."""
    upper = name.upper()
    numbers = [_number(f"{upper}_BITS", layout.bits), _number(f"{upper}_WORDS", layout.words)]
    for field in layout.fields:
        stem = f"{upper}_{field.name.upper()}"
        numbers.append(_number(f"{stem}_OFFSET", layout.offset(field.name)))
        numbers.append(_number(f"{stem}_WIDTH", field.width))
        numbers.append(_number(f"{stem}_BIAS", field.bias))
    # The first member of a packed structure is its highest bits.
    members = "".join(
        f"    logic [{field.width - 1}:0] {member_name(field.name)}; // {field.meaning}\n"
        for field in reversed(layout.fields)
    )
    return f"{''.join(numbers)}\n  typedef struct packed {{\n{members}  }} {name}_t;\n"
