"""Contents of the C header and the SystemVerilog package: numbers, enumerations and layouts of ``dnnzip.format``."""

from enum import IntEnum

from dnnzip import format as wire
from dnnzip.format import Codec, HeaderLayout, Verdict

NUMBER_NAMES = (
    "VERSION",
    "WEIGHTS_MAGIC",
    "TABLES_MAGIC",
    "WORD_BITS",
    "WORD_BYTES",
    "CRC_WORDS",
    "CRC8_POLYNOMIAL",
    "CRC8_INITIAL",
    "CRC32_POLYNOMIAL",
    "MAX_LOG2_LANES",
    "MIN_LOG2_STATES",
    "MAX_LOG2_STATES",
    "MAX_KERNEL",
    "MAX_COLUMNS",
    "MAX_SHIFT",
    "MAX_TABLES",
    "MAX_WEIGHT_BITS",
    "MAX_SEGMENT",
    "CLASSES",
    "CLASS_BITS",
    "CONTEXTS",
    "COLUMN_OFFSET_BITS",
    "NARROW_BITS",
    "NARROW_MAX_SHIFT",
    "REFILL_BITS",
    "SHIFT_BITS",
    "TOKEN_BITS",
    "SEGMENTS_PER_GROUP",
    "IMAGE_MAGIC",
    "IMAGE_VERSION",
    "IMAGE_NO_LAYER",
)
"""Names in ``dnnzip.format``, and so in the kit."""

NUMBERS: dict[str, int] = {name: getattr(wire, name) for name in NUMBER_NAMES}

LISTS: dict[str, tuple[int, ...]] = {"RAW_WIDTHS": wire.RAW_WIDTHS}

ENUMERATIONS: dict[str, type[IntEnum]] = {"verdict": Verdict, "codec": Codec, "image_kind": wire.ImageKind}

LAYOUTS: dict[str, HeaderLayout] = {
    "weight_header": wire.WEIGHT_HEADER,
    "table_header": wire.TABLE_HEADER,
    "columns_word": wire.COLUMNS_WORD,
    "segment_group": wire.SEGMENT_GROUP,
    "image_header": wire.IMAGE_HEADER,
    "image_entry": wire.IMAGE_ENTRY,
}

ORIGIN = "Made from dnnzip's description of its format by `dnnzip rtl`; change it there."
