"""The C headers of the kit side by side: no name stands in two of them, and one program takes them all."""

import re
from collections import Counter

import pytest
from c_decoder import OPTIONS, SOURCES, compiled, printed_by

from dnnzip_hw.axi.registers import as_c_header
from dnnzip_hw.kit.c_header import c_header

HEADERS = {
    "dnnzip_format.h": c_header(),
    "dnnzip_registers.h": as_c_header(),
    "dnnzip.h": (SOURCES / "dnnzip.h").read_text(),
}
NAME = re.compile(r"^\s*#define (\w+)|^    (DNNZIP_\w+) =|^\} (\w+);|^enum \{ (\w+) =", re.MULTILINE)
LANGUAGES = {"c": OPTIONS, "c++": ("-std=c++17", "-Wall", "-Wextra", "-Wpedantic", "-Werror")}


def test_no_name_is_defined_twice():
    names = Counter("".join(found) for text in HEADERS.values() for found in NAME.findall(text))
    assert {"DNNZIP_VERSION", "DNNZIP_AXI_VERSION", "DNNZIP_NO_ROOM", "dnnzip_limits", "DNNZIP_VERDICT_OK"} <= set(
        names
    )
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_program_takes_them_all_and_twice(tmp_path, language):
    for name, text in HEADERS.items():
        (tmp_path / name).write_text(text)
    includes = "".join(f'#include "{name}"\n' for name in HEADERS)
    check = "int main(void) { return DNNZIP_VERSION == 1 && DNNZIP_AXI_VERSION == 4u ? 0 : 1; }\n"
    (tmp_path / "main.c").write_text(includes + includes + check)
    assert printed_by(compiled(tmp_path, "-x", language, *LANGUAGES[language])) == []
