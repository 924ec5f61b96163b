"""The C header and the SystemVerilog package: compiled as they stand, their values are those of ``dnnzip.format``."""

import random
import re
import shutil
import subprocess

import pytest
from c_decoder import OPTIONS, compiled, printed_by

from dnnzip import format as wire
from dnnzip.format import HeaderLayout, Verdict
from dnnzip_hw.kit.c_header import WIDEST_FIELD, c_header
from dnnzip_hw.kit.constants import ENUMERATIONS, LAYOUTS, LISTS, NUMBERS
from dnnzip_hw.kit.sv_package import PACKAGE, member_name, sv_package
from dnnzip_sim import toolchain

BYTES = {name: random.Random(name).randbytes(layout.bytes) for name, layout in LAYOUTS.items()}
"""Random content of each layout, to be taken apart."""


def values(bias):
    """Return everything that the two files say, by its name in the SystemVerilog package.

    Parameters
    ----------
    bias
        Whether fields are given as values, as in C, or as the stored numbers.
    """
    found = dict(NUMBERS)
    found |= {f"{name}_{index}": value for name, items in LISTS.items() for index, value in enumerate(items)}
    found |= {f"{name}_{member.name}".upper(): int(member) for name, kind in ENUMERATIONS.items() for member in kind}
    for name, layout in LAYOUTS.items():
        found[f"{name.upper()}_WORDS"] = layout.words
        fields = layout.unpack(BYTES[name])
        for field in layout.fields:
            if field.width <= WIDEST_FIELD:
                found[f"{name}.{field.name}"] = fields[field.name] - (0 if bias else field.bias)
    return found


def parsed(lines):
    return {name: int(value) for name, value in (line.split("=") for line in lines)}


def printed_by_c(folder, header):
    """Compile a program that prints every value of the header, and return what it prints."""
    lines = [f'printf("{name}=%lu\\n", (unsigned long)DNNZIP_{name});' for name in NUMBERS]
    for name, items in LISTS.items():
        lines.append(f"static const unsigned {name}[] = DNNZIP_{name};")
        lines += [f'printf("{name}_{index}=%u\\n", {name}[{index}]);' for index in range(len(items))]
    for name, kind in ENUMERATIONS.items():
        stems = [f"{name}_{member.name}".upper() for member in kind]
        lines += [f'printf("{stem}=%d\\n", DNNZIP_{stem});' for stem in stems]
    for name, layout in LAYOUTS.items():
        content = ", ".join(map(str, BYTES[name]))
        lines.append(f"static const uint8_t {name}[DNNZIP_{name.upper()}_BYTES] = {{{content}}};")
        lines.append(f"const dnnzip_{name} {name}_fields = dnnzip_{name}_unpack({name});")
        lines.append(f'printf("{name.upper()}_WORDS=%d\\n", DNNZIP_{name.upper()}_WORDS);')
        for field in layout.fields:
            if field.width <= WIDEST_FIELD:
                value = f"(unsigned long){name}_fields.{field.name}"
                lines.append(f'printf("{name}.{field.name}=%lu\\n", {value});')
    labels = "".join(f"puts(dnnzip_verdict_label({number}));" for number in range(-1, len(Verdict)))
    body = "\n".join(lines)
    source = '#include <stdio.h>\n#include "dnnzip_format.h"\nint main(int n, char **v)\n{\n(void)v;\n'
    source += f"if (n > 1) {{ {labels} return 0; }}\n{body}\nreturn 0;\n}}\n"
    (folder / "dnnzip_format.h").write_text(header)
    (folder / "print.c").write_text(source)
    program = compiled(folder, *OPTIONS)
    return parsed(printed_by(program)), printed_by(program, "labels")


def test_the_c_header_says_what_the_format_says(tmp_path):
    printed, labels = printed_by_c(tmp_path, c_header())
    assert printed == values(bias=True)
    assert len(printed) > 100
    assert labels == ["unknown", *(verdict.label for verdict in Verdict)]


@pytest.mark.parametrize(
    ("stands", "changed"),
    [
        ("DNNZIP_WEIGHTS_MAGIC 218", "DNNZIP_WEIGHTS_MAGIC 219"),
        ("fields.channels = dnnzip_field(bytes, 48, 21)", "fields.channels = dnnzip_field(bytes, 48, 16)"),
        ("DNNZIP_VERDICT_BAD_CRC = 10", "DNNZIP_VERDICT_BAD_CRC = 11"),
    ],
)
def test_a_wrong_value_in_the_c_header_is_seen(tmp_path, stands, changed):
    assert stands in c_header()
    printed, _ = printed_by_c(tmp_path, c_header().replace(stands, changed))
    assert printed != values(bias=True)


def sv_printer(package=PACKAGE):
    """Return a module ``print_<package>`` that prints every value of the package."""
    lines = [f'$display("{name}=%0d", {name});' for name in values(bias=False) if "." not in name]
    declared = []
    for name, layout in LAYOUTS.items():
        number = int.from_bytes(BYTES[name], "little")
        declared.append(f"{name}_t {name};")
        lines.append(f"{name} = {layout.bits}'h{number:x};")
        for field in layout.fields:
            if field.width <= WIDEST_FIELD:
                lines.append(f'$display("{name}.{field.name}=%0d", {name}.{member_name(field.name)});')
    opening = [f"module print_{package};", f"import {package}::*;", *declared, "initial begin"]
    lines.insert(0, f'$display("{package}");')
    return "\n".join([*opening, *lines, "end", "endmodule", ""])


def verilate(folder, *arguments):
    """Run Verilator in ``folder``; returns (status, what it said)."""
    program = toolchain.verilator().path
    command = [str(program), *arguments]
    environment = toolchain.environment()
    environment["MAKEFLAGS"] = f"{environment.get('MAKEFLAGS', '')} OPT_FAST=-O0 OPT_GLOBAL=-O0"  # the run is short
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_package_passes_a_linter_with_all_warnings(tmp_path):
    (tmp_path / "dnnzip_pkg.sv").write_text(sv_package())
    status, said = verilate(tmp_path, "--lint-only", "-Wall", "dnnzip_pkg.sv")
    assert status == 0, said
    (tmp_path / "dnnzip_pkg.sv").write_text(sv_package().replace("WORD_BITS = 16;", "WORD_BITS = 33'h1ffffffff;"))
    status, said = verilate(tmp_path, "--lint-only", "-Wall", "dnnzip_pkg.sv")
    assert status != 0
    assert "WIDTHTRUNC" in said


def test_the_package_says_what_the_format_says_and_a_wrong_one_does_not(tmp_path):
    wrong = sv_package().replace("logic [20:0] channels;", "logic [19:0] channels;")
    wrong = wrong.replace("logic [19:0] length;", "logic [20:0] length;")
    assert wrong != sv_package()
    (tmp_path / "packages.sv").write_text(sv_package() + wrong.replace(PACKAGE, "wrong_pkg"))
    top = f"module print;\nprint_{PACKAGE} first ();\nprint_wrong_pkg second ();\nendmodule\n"
    (tmp_path / "print.sv").write_text(sv_printer() + sv_printer("wrong_pkg") + top)
    status, said = verilate(tmp_path, "--binary", "--top-module", "print", "packages.sv", "print.sv")
    assert status == 0, said
    printed = "\n".join(printed_by(tmp_path / "obj_dir" / "Vprint")) + "\n"
    right, other = (
        parsed(re.search(rf"^{name}\n((?:[\w.]+=\d+\n)+)", printed, re.MULTILINE)[1].split())
        for name in (PACKAGE, "wrong_pkg")
    )
    assert right == values(bias=False)
    differing = {name for name, value in other.items() if value != right[name]}
    assert differing
    assert differing <= {"weight_header.channels", "weight_header.length"}


def test_the_package_in_icarus(tmp_path):
    if shutil.which("iverilog") is None:
        pytest.skip("no iverilog on PATH")
    (tmp_path / "dnnzip_pkg.sv").write_text(sv_package())
    (tmp_path / "print.sv").write_text(sv_printer())
    command = ["iverilog", "-g2012", "-Wall", "-o", "print", "dnnzip_pkg.sv", "print.sv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(["vvp", "print"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert parsed(done.stdout.split()[1:]) == values(bias=False)


def test_offsets_and_widths_in_the_package_are_the_layouts():
    numbers = {name: int(value) for name, value in re.findall(r"\] (\w+) = (\d+);", sv_package())}
    for name, layout in LAYOUTS.items():
        for field in layout.fields:
            stem = f"{name}_{field.name}".upper()
            assert numbers[f"{stem}_OFFSET"] == layout.offset(field.name)
            assert (numbers[f"{stem}_WIDTH"], numbers[f"{stem}_BIAS"]) == (field.width, field.bias)


def test_every_layout_and_number_of_the_format_is_in_the_kit():
    exported = {name: getattr(wire, name) for name in wire.__all__}
    assert {name for name, value in exported.items() if isinstance(value, HeaderLayout)} == {
        name.upper() for name in LAYOUTS
    }
    # What the decoder in C does not need: limits of encoders and of buses, and numbers that follow from others.
    left_out = {"ESCAPE", "WORDS_PER_SEGMENT", "CRC32_BYTES", "MAX_CHANNELS", "MAX_LENGTH", "CAUSE_BITS"}
    left_out |= {"MIN_BUS_BITS", "MAX_BUS_BITS", "LARGEST_CODE", "MAX_WEIGHTS_PER_BIT"}
    assert {name for name, value in exported.items() if type(value) is int} == NUMBERS.keys() | left_out
