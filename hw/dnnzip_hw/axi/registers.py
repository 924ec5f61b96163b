"""The register map of the AXI top: one description, from which hardware, manual, C header and drivers derive.

Plain data; nothing here needs Amaranth. Fields stand from the least significant bit up, with their positions written
down, since a register map is a contract with software that is compiled elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from dnnzip.format import CAUSE_BITS, VERSION, WORD_BITS, Verdict

REGISTER_BITS = 32
REGISTER_BYTES = REGISTER_BITS // 8
ADDRESS_BITS = 12
BLOCK_BYTES = 0x40
"""Bytes of the shared block and of each group's block."""

ID = int.from_bytes(b"dnnz", "little")
MAP_VERSION = 1
"""Raised when a register changes its meaning or its place."""

COUNTER_BITS = 32


class Access(Enum):
    """Access of software to a field."""

    CONSTANT = "constant"
    """Read; fixed when the hardware is generated."""

    STATUS = "read"
    """Read; the hardware decides."""

    CONTROL = "read, write"
    """Read and written."""

    PULSE = "write 1"
    """Acts when 1 is written; reads as 0."""

    DATA = "write"
    """Handed on with each write of the whole register; reads as 0."""


@dataclass(frozen=True)
class Field:
    """A field of a register."""

    name: str  # name, lower case
    first: int  # position of its least significant bit
    width: int  # width in bits
    access: Access  # what software does with it
    meaning: str  # what it says or does
    init: int = 0  # after reset, for CONTROL; the value, for CONSTANT, where it does not depend on parameters

    @property
    def mask(self) -> int:
        """The field's bits in its register."""
        return (1 << self.width) - 1 << self.first


@dataclass(frozen=True)
class Register:
    """A register of 32 bits."""

    name: str  # name, lower case
    offset: int  # byte address in its block
    fields: tuple[Field, ...]  # its fields, from bit 0 up

    @property
    def is_port(self) -> bool:
        """Return True if each write is handed on as a whole, and may be refused."""
        return any(field.access is Access.DATA for field in self.fields)

    @property
    def is_counter(self) -> bool:
        """Return True if it is one of the counters."""
        return any(field.access is Access.STATUS and field.width == COUNTER_BITS for field in self.fields)

    def member(self, field: Field) -> str:
        """Return the field's name in the hardware's ports."""
        return self.name if field.name == "value" else f"{self.name}_{field.name}"


def _counter(name: str, offset: int, meaning: str) -> Register:
    return Register(name, offset, (Field("value", 0, COUNTER_BITS, Access.STATUS, meaning),))


SHARED: tuple[Register, ...] = (
    Register("id", 0x00, (Field("value", 0, 32, Access.CONSTANT, 'the characters "dnnz"', ID),)),
    Register(
        "version",
        0x04,
        (
            Field("map", 0, 8, Access.CONSTANT, "version of this register map", MAP_VERSION),
            Field("format", 8, 8, Access.CONSTANT, "version of the stream format", VERSION),
        ),
    ),
    Register(
        "decoder",
        0x08,
        (
            Field("lanes", 0, 8, Access.CONSTANT, "hardware lanes of a group"),
            Field("slots", 8, 8, Access.CONSTANT, "virtual lanes of a hardware lane"),
            Field("log2_states", 16, 4, Access.CONSTANT, "log2 of the most states of a table"),
            Field("weight_bits", 20, 8, Access.CONSTANT, "width of a weight"),
            Field("line", 28, 1, Access.CONSTANT, "1: `line` streams are decoded"),
        ),
    ),
    Register(
        "ports",
        0x0C,
        (
            Field("groups", 0, 8, Access.CONSTANT, "groups"),
            Field("bus_bits", 8, 8, Access.CONSTANT, "width of an input's tdata"),
            Field("row_weights", 16, 8, Access.CONSTANT, "weights of a full output beat"),
        ),
    ),
)
"""The block at address 0."""

GROUP: tuple[Register, ...] = (
    Register(
        "control",
        0x00,
        (
            Field("enable", 0, 1, Access.CONTROL, "0: the stream input takes nothing", 1),
            Field("count", 1, 1, Access.CONTROL, "0: the counters stand still, to be read as of one moment", 1),
            Field("drop_empty", 2, 1, Access.CONTROL, "1: streams without weights give no packet"),
            Field("reset", 8, 1, Access.PULSE, "the group starts anew, as after a reset, but for its registers"),
            Field("clear_errors", 9, 1, Access.PULSE, "the register `error` becomes 0"),
            Field("clear_counters", 10, 1, Access.PULSE, "the counters become 0"),
        ),
    ),
    Register(
        "status",
        0x04,
        (
            Field("busy", 0, 1, Access.STATUS, "a stream has begun and not ended"),
            Field("tables", 1, 1, Access.STATUS, "the last table set that began has ended with `ok`"),
            Field("load_ready", 2, 1, Access.STATUS, "the register `load` takes a word"),
            Field("load_busy", 3, 1, Access.STATUS, "a stream of the register `load` has begun and not ended"),
            Field("load_done", 4, 1, Access.STATUS, "the last stream of the register `load` has ended"),
            Field("load_cause", 8, CAUSE_BITS, Access.STATUS, "its verdict"),
        ),
    ),
    Register(
        "error",
        0x08,
        (
            Field("any", 0, 1, Access.STATUS, "a stream ended with another verdict than `ok`"),
            Field("bad_keep", 1, 1, Access.STATUS, "an input beat was not made of whole words from its first byte on"),
            Field("load_lost", 2, 1, Access.STATUS, "a write to `load` came while `load_ready` was 0"),
            Field("first_cause", 8, CAUSE_BITS, Access.STATUS, "the verdict of the first such stream"),
        ),
    ),
    Register(
        "load",
        0x0C,
        (
            Field("data", 0, WORD_BITS, Access.DATA, "a word of a table set"),
            Field("last", WORD_BITS, 1, Access.DATA, "1: it is the last one"),
        ),
    ),
    _counter("words", 0x10, "words that the decompressor took"),
    _counter("weights", 0x14, "weights that it gave"),
    _counter("cycles", 0x18, "cycles in which a stream had begun and not ended"),
    _counter("starved", 0x1C, "of these, cycles in which it waited for a word"),
    _counter("stalled", 0x20, "of these, cycles in which its output waited"),
    _counter("good", 0x24, "streams that ended with `ok`"),
    _counter("bad", 0x28, "streams that ended with another verdict"),
)
"""The block of each group."""

C_PREFIX = "DNNZIP_AXI"
"""Begins every name of the C header, and none of the format's, so that a program can include both."""

COUNTERS = tuple(register.name for register in GROUP if register.is_counter)
BLOCKS: Mapping[str, tuple[Register, ...]] = {"shared": SHARED, "group": GROUP}


def group_base(group: int) -> int:
    """Return the byte address of a group's block."""
    return BLOCK_BYTES * (1 + group)


def check(registers: Sequence[Register]) -> None:
    """Raise ValueError if registers or fields overlap, or do not fit their block.

    Parameters
    ----------
    registers
        A block's.
    """
    places: set[int] = set()
    for register in registers:
        if register.offset % REGISTER_BYTES or not 0 <= register.offset < BLOCK_BYTES:
            raise ValueError(f"{register.name}: offset must be a multiple of 4 below {BLOCK_BYTES:#x}")
        if register.offset in places:
            raise ValueError(f"{register.name}: offset {register.offset:#x} is taken")
        places.add(register.offset)
        used = 0
        for field in register.fields:
            if used & field.mask or field.first + field.width > REGISTER_BITS:
                raise ValueError(f"{register.name}: {field.name} overlaps another field or leaves the register")
            used |= field.mask
        if register.is_port and not all(field.access is Access.DATA for field in register.fields):
            raise ValueError(f"{register.name}: a register that is handed on must have no other fields")


for _block in BLOCKS.values():
    check(_block)


def as_markdown(block: str) -> str:
    """Return a block's registers as a Markdown table."""
    lines = ["| offset | register | bits | field | access | reset | meaning |", "|" + " --- |" * 7]
    for register in BLOCKS[block]:
        for number, field in enumerate(register.fields):
            last = field.first + field.width - 1
            cells = (
                f"0x{register.offset:02x}" if number == 0 else "",
                f"`{register.name}`" if number == 0 else "",
                str(field.first) if field.width == 1 else f"{last}:{field.first}",
                "" if field.name == "value" else f"`{field.name}`",
                field.access.value,
                f"{field.init:#x}" if field.access is Access.CONTROL or field.init else "",
                field.meaning,
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def as_manual() -> str:
    """Return the register map as a page of its own."""
    blocks = {
        "shared": "Shared block, at 0x000",
        "group": f"Block of group n, at {group_base(0):#05x} + {BLOCK_BYTES:#x} n",
    }
    tables = "".join(f"\n## {title}\n\n{as_markdown(block)}" for block, title in blocks.items())
    return f"# Registers of the dnnzip AXI top\n\nAddresses are in bytes; registers have 32 bits.\n{tables}"


def as_dict() -> dict[str, object]:
    """Return the register map as plain data, for JSON."""
    return {
        "address_bits": ADDRESS_BITS,
        "group_base": group_base(0),
        "group_bytes": BLOCK_BYTES,
        "blocks": {
            block: [
                {
                    "name": register.name,
                    "offset": register.offset,
                    "fields": [
                        {
                            "name": field.name,
                            "first": field.first,
                            "width": field.width,
                            "access": field.access.value,
                            "meaning": field.meaning,
                        }
                        for field in register.fields
                    ],
                }
                for register in registers
            ]
            for block, registers in BLOCKS.items()
        },
        "causes": {verdict.label: int(verdict) for verdict in Verdict},
    }


def as_c_header() -> str:
    """Return the C header: offsets, shifts and masks of all fields, and the verdicts."""
    lines = [
        "/* Registers of the dnnzip decompressor behind AXI4-Lite. */",
        "#ifndef DNNZIP_REGISTERS_H",
        "#define DNNZIP_REGISTERS_H",
        "",
        f"#define {C_PREFIX}_GROUP(n) ({group_base(0):#x}u + {BLOCK_BYTES:#x}u * (n))",
    ]
    for block, registers in BLOCKS.items():
        lines += ["", "/* Byte offsets from address 0. */" if block == "shared" else f"/* From {C_PREFIX}_GROUP(n). */"]
        for register in registers:
            name = f"{C_PREFIX}_{register.name}".upper()
            lines.append(f"#define {name} {register.offset:#04x}u")
            for field in register.fields:
                stem = name if field.name == "value" else f"{name}_{field.name}".upper()
                lines.append(f"#define {stem}_SHIFT {field.first}")
                lines.append(f"#define {stem}_MASK {field.mask:#010x}u")
    lines += ["", f"#define {C_PREFIX}_ID_VALUE {ID:#010x}u", f"#define {C_PREFIX}_MAP_VERSION {MAP_VERSION}u"]
    lines += ["", "/* Verdicts: m_axis_tuser of a packet's last beat, and the causes in the registers. */"]
    for verdict in Verdict:
        lines.append(f"#define {C_PREFIX}_CAUSE_{verdict.name} {int(verdict)}u /* {verdict.sentence} */")
    return "\n".join([*lines, "", "#endif", ""])
