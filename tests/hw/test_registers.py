"""The register map: what is made of it, and what it refuses."""

import re

import pytest
from c_decoder import OPTIONS, compiled, printed_by

from dnnzip.format import Verdict
from dnnzip_hw.axi import registers
from dnnzip_hw.axi.registers import BLOCKS, Access, Field, Register, as_c_header, as_dict, check, group_base


def test_the_c_header_compiles_and_says_the_same(tmp_path):
    """Every constant, printed by a program that a C compiler made with all warnings as errors."""
    wanted = {}
    for block in BLOCKS.values():
        for register in block:
            name = f"DNNZIP_AXI_{register.name}".upper()
            wanted[name] = register.offset
            for field in register.fields:
                stem = name if field.name == "value" else f"{name}_{field.name}".upper()
                wanted |= {f"{stem}_SHIFT": field.first, f"{stem}_MASK": field.mask}
    wanted |= {f"DNNZIP_AXI_CAUSE_{verdict.name}": int(verdict) for verdict in Verdict}
    wanted |= {f"DNNZIP_AXI_GROUP({group})": group_base(group) for group in (0, 3)}
    (tmp_path / "registers.h").write_text(as_c_header())
    lines = "".join(f'    printf("{name} %lu\\n", (unsigned long)({name}));\n' for name in wanted)
    (tmp_path / "main.c").write_text(
        f'#include "registers.h"\n#include <stdio.h>\nint main(void) {{\n{lines}    return 0;\n}}\n'
    )
    printed = printed_by(compiled(tmp_path, *OPTIONS))
    assert {name: int(value) for name, value in (line.split() for line in printed)} == wanted


def test_plain_data_holds_every_field():
    blocks = as_dict()["blocks"]
    assert sum(len(fields["fields"]) for block in blocks.values() for fields in block) == sum(
        len(register.fields) for block in BLOCKS.values() for register in block
    )


def test_addresses_fit():
    assert group_base(31) + registers.BLOCK_BYTES <= 1 << registers.ADDRESS_BITS


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ([Register("a", 2, ())], "a: offset must be a multiple of 4 below 0x40"),
        ([Register("a", 0x40, ())], "a: offset must be a multiple of 4 below 0x40"),
        ([Register("a", 4, ()), Register("b", 4, ())], "b: offset 0x4 is taken"),
        (
            [Register("a", 0, (Field("x", 0, 2, Access.STATUS, ""), Field("y", 1, 1, Access.STATUS, "")))],
            "a: y overlaps another field or leaves the register",
        ),
        (
            [Register("a", 0, (Field("x", 30, 3, Access.STATUS, ""),))],
            "a: x overlaps another field or leaves the register",
        ),
        (
            [Register("a", 0, (Field("x", 0, 1, Access.DATA, ""), Field("y", 1, 1, Access.STATUS, "")))],
            "a: a register that is handed on must have no other fields",
        ),
    ],
)
def test_a_map_that_contradicts_itself_is_refused(block, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check(block)
