"""Every field of every header in both directions, and the rules that a header keeps."""

import dataclasses

import pytest

from dnnzip.format import (
    COLUMNS_WORD,
    CRC8,
    CRC32,
    TABLE_HEADER,
    TABLES_MAGIC,
    VERSION,
    WEIGHT_HEADER,
    WEIGHTS_MAGIC,
    Codec,
    Field,
    HeaderLayout,
    TableHeader,
    Verdict,
    WeightHeader,
    crc8,
    crc32,
)

LAYOUTS = (WEIGHT_HEADER, TABLE_HEADER, COLUMNS_WORD)
FIELDS = [
    pytest.param(layout, field, id=f"{layout.name}-{field.name}") for layout in LAYOUTS for field in layout.fields
]


def lowest(layout):
    return {field.name: field.bias for field in layout.fields}


def by_hand(layout, data):
    """Read the fields from the text of the bits, lowest first: what the layout's docstring says, and nothing else."""
    bits = "".join(f"{byte:08b}"[::-1] for byte in data)
    values = {}
    for field in layout.fields:
        own, bits = bits[: field.width], bits[field.width :]
        values[field.name] = int(own[::-1], 2) + field.bias
    assert not bits
    return values


def test_sizes_that_the_documents_promise():
    assert (WEIGHT_HEADER.bytes, WEIGHT_HEADER.words) == (16, 8)
    assert (TABLE_HEADER.bytes, TABLE_HEADER.words) == (8, 4)
    assert COLUMNS_WORD.bytes == 2
    for layout in (WEIGHT_HEADER, TABLE_HEADER):
        # What decides whether a decoder can go on stands in the first word, the check in the last byte.
        assert layout.offset("magic") == 0
        assert layout.offset("version") == 8
        assert layout.offset("check") == layout.bits - 8
    assert WEIGHT_HEADER.offset("log2_lanes") + WEIGHT_HEADER["log2_lanes"].width == 16
    assert WEIGHT_HEADER.offset("wide") < 32


@pytest.mark.parametrize(("layout", "field"), FIELDS)
def test_a_field_at_its_limits_goes_both_ways(layout, field):
    for value in {field.bias, field.bias + 1, (field.bias + field.limit) // 2, field.limit - 1, field.limit}:
        values = lowest(layout) | {field.name: value}
        data = layout.pack(values)
        assert len(data) == layout.bytes
        assert layout.unpack(data) == values
        assert by_hand(layout, data) == values


@pytest.mark.parametrize(("layout", "field"), FIELDS)
def test_a_field_takes_bits_of_its_own(layout, field):
    others = {other.name: other.limit for other in layout.fields}
    data = layout.pack(others | {field.name: field.bias})
    cleared = ((1 << layout.bits) - 1) ^ int.from_bytes(data, "little")
    assert cleared == ((1 << field.width) - 1) << layout.offset(field.name)


@pytest.mark.parametrize(("layout", "field"), FIELDS)
def test_a_value_out_of_range_is_named(layout, field):
    for value in (field.bias - 1, field.limit + 1, -1 << 40, 1 << 40):
        with pytest.raises(
            ValueError, match=rf"^{layout.name}: {field.name} must be {field.bias} to {field.limit}, not {value}$"
        ):
            layout.pack(lowest(layout) | {field.name: value})


def test_a_layout_fills_whole_words_and_names_a_field_once():
    with pytest.raises(ValueError, match=r"^odd: widths must add up to a multiple of 16, not 15$"):
        HeaderLayout("odd", (Field("a", 15, ""),))
    with pytest.raises(ValueError, match=r"^twice: field names must be unique$"):
        HeaderLayout("twice", (Field("a", 8, ""), Field("a", 8, "")))
    with pytest.raises(KeyError, match="nothing"):
        WEIGHT_HEADER["nothing"]


def test_limits_cover_what_the_format_allows():
    assert WEIGHT_HEADER["channels"].limit == 1 << 21
    assert WEIGHT_HEADER["length"].limit == 1 << 20
    assert WEIGHT_HEADER["kernel_width"].limit == WEIGHT_HEADER["kernel_height"].limit == 8
    assert COLUMNS_WORD["columns"].limit == 4096
    assert TABLE_HEADER["tables"].limit == 8


def computed(crc, data):
    """Return a check, bit by bit, from nothing but its description."""
    register = crc.initial
    for bit in (byte >> index & 1 for byte in data for index in range(8)):
        register = register >> 1 ^ (crc.reflected if (register ^ bit) & 1 else 0)
    return register ^ crc.inverted


def test_the_checks_are_the_published_ones_and_those_of_their_descriptions():
    assert (CRC8.reflected, CRC32.reflected) == (0xE0, 0xEDB88320)
    assert crc8(b"123456789") == computed(CRC8, b"123456789") == 0xD0
    assert crc8(b"") == 0xFF
    assert crc32(b"123456789") == computed(CRC32, b"123456789").to_bytes(4, "little") == bytes.fromhex("2639f4cb")


WEIGHTS = WeightHeader(Codec.ANS, channels=5, length=7, payload_words=9, log2_lanes=2, table_set=0xBEEF)
OWN = [field.name for field in dataclasses.fields(WeightHeader)]


@pytest.mark.parametrize("name", [name for name in OWN if name not in ("codec", "log2_lanes", "raw_width")])
def test_a_weight_header_goes_both_ways(name):
    for value in (WEIGHT_HEADER[name].limit, WEIGHT_HEADER[name].bias):
        header = dataclasses.replace(WEIGHTS, **{name: value, "log2_lanes": 0})
        data = header.pack()
        assert WeightHeader.unpack(data) == header
        values = by_hand(WEIGHT_HEADER, data)
        assert values[name] == value
        assert (values["magic"], values["version"], values["reserved"]) == (WEIGHTS_MAGIC, VERSION, 0)
        assert crc8(data) == 0
        assert data[-1] == crc8(data[:-1])


def test_a_weight_header_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"^weight stream header: channels must be 1 to 2097152, not 2097153$"):
        dataclasses.replace(WEIGHTS, channels=(1 << 21) + 1).pack()
    with pytest.raises(ValueError, match=r"^weight stream header: length must be 1 to 1048576, not 0$"):
        dataclasses.replace(WEIGHTS, length=0).pack()


@pytest.mark.parametrize(
    "changes",
    [
        {"log2_lanes": 3},  # more lanes than channels
        {"codec": Codec.RAW, "log2_lanes": 1},
        {"codec": Codec.RAW, "log2_lanes": 0, "raw_width": 3},
        {"codec": Codec.RAW, "log2_lanes": 0, "raw_width": 2, "payload_words": 35},  # 16 bits, and not wide
        {"codec": Codec.RAW, "log2_lanes": 0, "raw_width": 0, "payload_words": 8},
        {"codec": Codec.RAW, "log2_lanes": 0, "raw_width": 0, "payload_words": 10},
    ],
)
def test_fields_that_contradict_each_other_are_not_packed(changes):
    header = dataclasses.replace(WEIGHTS, **changes)
    assert not header.consistent()
    with pytest.raises(ValueError, match=r"^weight stream header: fields contradict each other: WeightHeader\("):
        header.pack()


@pytest.mark.parametrize(
    "changes",
    [
        {"log2_lanes": 4, "channels": 16},
        {"codec": Codec.RAW, "log2_lanes": 0, "raw_width": 2, "wide": 1, "payload_words": 35},
        {"codec": Codec.RAW, "log2_lanes": 0, "raw_width": 0, "wide": 1, "payload_words": 9},
    ],
)
def test_fields_that_agree_are_packed(changes):
    header = dataclasses.replace(WEIGHTS, **changes)
    assert header.consistent()
    assert WeightHeader.unpack(header.pack()) == header


def test_what_a_weight_header_says_of_its_stream():
    assert (WEIGHTS.lanes, WEIGHTS.weights, WEIGHTS.words) == (4, 35, 8 + 9 + 2)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(TableHeader)])
def test_a_table_header_goes_both_ways(name):
    for value in (TABLE_HEADER[name].limit, TABLE_HEADER[name].bias):
        header = dataclasses.replace(TableHeader(9, 8, 0x1234, 77), **{name: value})
        data = header.pack()
        assert TableHeader.unpack(data) == header
        values = by_hand(TABLE_HEADER, data)
        assert values[name] == value
        assert (values["magic"], values["version"], values["reserved"]) == (TABLES_MAGIC, VERSION, 0)
        assert crc8(data) == 0
    assert TableHeader(9, 8, 0x1234, 77).words == 4 + 77 + 2


def test_a_table_header_out_of_range_is_named():
    with pytest.raises(ValueError, match=r"^table set header: tables must be 1 to 8, not 9$"):
        TableHeader(9, 9, 0, 0).pack()


def test_verdicts_keep_their_numbers_and_have_a_sentence_each():
    assert [verdict.label for verdict in Verdict] == [
        "ok",
        "bad magic",
        "version",
        "unsupported",
        "bad header",
        "wrong tables",
        "truncated",
        "trailing",
        "bad code",
        "bad state",
        "bad crc",
    ]
    assert [int(verdict) for verdict in Verdict] == list(range(11))
    assert len({verdict.sentence for verdict in Verdict}) == 11
