"""Make the vectors of the map between the bits of floats and codes: ``float_map/v1.json``.

They are computed here one number at a time, from the definition in the manual, and are never made again for a version
that has been released.
"""

import json
from pathlib import Path

#: Bits of a magnitude, base, and patterns of interest of that width.
CASES = (
    (
        15,
        0x3500,
        [0x0000, 0x8000, 0x3500, 0xB500, 0x3D80, 0xBD80, 0x34FF, 0x7F80, 0xFF80, 0x7FC0, 0x0001, 0x8001, 0x3501],
    ),
    (15, 0, [0x0000, 0x8000, 0x0001, 0x8001, 0x7FFF, 0xFFFF]),
    (15, 0x7FFF, [0x0000, 0x7FFF, 0xFFFF, 0x0001, 0x7FFE]),
    (7, 0x1A, [0x00, 0x80, 0x1A, 0x9A, 0x3C, 0xBC, 0x7F, 0xFF, 0x01]),
    (14, 0x1B40, [0x0000, 0x4000, 0x1B40, 0x5B40, 0x1E00, 0x5E00, 0x3FFF]),
)


def code_of(pattern: int, base: int, bits: int) -> int:
    """Return the code of a pattern, as the definition says."""
    sign, magnitude = pattern >> bits, pattern % (1 << bits)
    if magnitude == 0:
        place = 0
    elif magnitude == base:
        place = -base % (1 << bits)
    else:
        place = (magnitude - base) % (1 << bits)
    return -1 - place if sign else place


def main() -> None:
    """Write the file."""
    cases = [
        {
            "magnitude_bits": bits,
            "base": base,
            "patterns": patterns,
            "codes": [code_of(p, base, bits) for p in patterns],
        }
        for bits, base, patterns in CASES
    ]
    path = Path(__file__).parent / "float_map" / "v1.json"
    path.write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
