/* A decoder of dnnzip streams, written from the description of the format: plain first, fast second. */
#include "dnnzip.h"

enum {
    OK = DNNZIP_VERDICT_OK,
    LANES = 1 << DNNZIP_MAX_LOG2_LANES,
    TOKENS = 1 << DNNZIP_TOKEN_BITS,
    ESCAPE = -(1 << (DNNZIP_TOKEN_BITS - 1))
};

typedef struct {
    const uint8_t *data;
    size_t bytes, position; /* the position is in words */
    uint32_t payload;       /* words left of the declared payload */
    int verdict;            /* the first rule that was broken; from then on nothing else counts */
} reader;

typedef struct {
    uint32_t held; /* unread bits, the first at the bottom */
    unsigned unread;
} bit_string;

typedef struct {
    bit_string bits;
    uint32_t state, klass;
    int sign[DNNZIP_MAX_KERNEL]; /* of the channel's latest weights, by position */
} lane;

static void broken(reader *r, int verdict)
{
    if (r->verdict == OK) r->verdict = verdict;
}

static uint32_t word(reader *r)
{
    const size_t at = r->position * DNNZIP_WORD_BYTES;
    if (at >= r->bytes) {
        broken(r, DNNZIP_VERDICT_TRUNCATED);
        return 0;
    }
    r->position++;
    return r->data[at] | (at + 1 < r->bytes ? (uint32_t)r->data[at + 1] << 8 : 0);
}

static uint32_t payload_word(reader *r)
{
    if (r->payload == 0) {
        broken(r, DNNZIP_VERDICT_TRUNCATED);
        return 0;
    }
    r->payload--;
    return word(r);
}

static void refill(reader *r, bit_string *b, unsigned threshold)
{
    if (b->unread >= threshold) return;
    b->held |= payload_word(r) << b->unread;
    b->unread += DNNZIP_WORD_BITS;
}

static uint32_t pull(bit_string *b, unsigned width)
{
    const uint32_t value = b->held & ((UINT32_C(1) << width) - 1);
    b->held >>= width;
    b->unread -= width;
    return value;
}

static uint32_t read_bits(reader *r, bit_string *b, unsigned width)
{
    refill(r, b, width);
    return pull(b, width);
}

static int32_t sign_extend(uint32_t value, unsigned width)
{
    const int32_t half = (int32_t)1 << (width - 1);
    return ((int32_t)(value & ((UINT32_C(1) << width) - 1)) ^ half) - half;
}

static uint32_t crc(const uint8_t *bytes, size_t count, uint32_t initial, uint32_t polynomial)
{
    for (uint32_t remainder = initial;; bytes++, count--) {
        if (count == 0) return remainder;
        remainder ^= *bytes;
        for (int bit = 0; bit < 8; bit++) remainder = remainder >> 1 ^ (remainder & 1 ? polynomial : 0);
    }
}

static void take_header(reader *r, size_t words)
{
    while (r->position < words && r->verdict == OK) word(r);
    if (r->bytes < words * DNNZIP_WORD_BYTES) broken(r, DNNZIP_VERDICT_TRUNCATED);
    if (r->verdict == OK && crc(r->data, words * DNNZIP_WORD_BYTES, DNNZIP_CRC8_INITIAL, DNNZIP_CRC8_POLYNOMIAL) != 0)
        broken(r, DNNZIP_VERDICT_BAD_HEADER);
}

static void finish(reader *r)
{
    const size_t covered = r->position * DNNZIP_WORD_BYTES;
    if (r->payload != 0) broken(r, DNNZIP_VERDICT_TRAILING);
    uint32_t stored = word(r);
    stored |= word(r) << DNNZIP_WORD_BITS;
    if (r->position * DNNZIP_WORD_BYTES < r->bytes) broken(r, DNNZIP_VERDICT_TRAILING);
    if (r->verdict == OK && stored != ~crc(r->data, covered, UINT32_MAX, DNNZIP_CRC32_POLYNOMIAL))
        broken(r, DNNZIP_VERDICT_BAD_CRC);
}

static unsigned bit_length(uint32_t value)
{
    unsigned length = 0;
    for (; value != 0; value >>= 1) length++;
    return length;
}

/* Return a number of the counts, of which none is written in more than `widest` bits after its one. */
static uint32_t exp_golomb(reader *r, bit_string *b, unsigned order, unsigned widest)
{
    unsigned width = order;
    while (r->verdict == OK && read_bits(r, b, 1) == 0)
        if (++width > widest) broken(r, DNNZIP_VERDICT_BAD_CODE);
    if (r->verdict != OK) return 0;
    return read_bits(r, b, width) + (UINT32_C(1) << width) - (UINT32_C(1) << order);
}

/* Read one table's counts, spread its tokens and set each state's entry. */
static void build_table(reader *r, bit_string *b, dnnzip_entry *entry, unsigned log2_states)
{
    const uint32_t states = UINT32_C(1) << log2_states;
    uint32_t next[TOKENS] = {0}, left = states, before = states / 8, position = 0;
    for (int i = 0; i < TOKENS && left != 0; i++) {
        const int token = i & 1 ? -((i + 1) / 2) : i == TOKENS - 1 ? ESCAPE : i / 2;
        const unsigned length = bit_length(before);
        const uint32_t mapped = exp_golomb(r, b, length > 2 ? length - 2 : 0, log2_states + 1);
        const uint32_t count = mapped & 1 ? before + (mapped + 1) / 2 : before - mapped / 2;
        if (count > left) broken(r, DNNZIP_VERDICT_BAD_CODE); /* so is a count below zero, which wraps */
        if (r->verdict != OK) return;
        next[token & (TOKENS - 1)] = before = count;
        left -= count;
        for (uint32_t n = 0; n < count; n++) {
            entry[position].token = (int8_t)token;
            position = (position + states / 2 + states / 8 + 3) % states;
        }
    }
    if (left != 0) broken(r, DNNZIP_VERDICT_BAD_CODE);
    for (uint32_t state = 0; state < states && left == 0; state++) {
        const uint32_t x = next[entry[state].token & (TOKENS - 1)]++;
        const unsigned bits = log2_states + 1 - bit_length(x);
        entry[state].bits = (uint8_t)bits;
        entry[state].base = (uint16_t)((x << bits) - states);
    }
}

static void decode_tables(reader *r, dnnzip_tables *t, unsigned log2_most_states, uint32_t most_shift)
{
    uint8_t start[DNNZIP_TABLE_HEADER_BYTES] = {r->data[0], r->data[1]};
    if (dnnzip_table_header_unpack(start).log2_states > log2_most_states) broken(r, DNNZIP_VERDICT_UNSUPPORTED);
    take_header(r, DNNZIP_TABLE_HEADER_WORDS);
    if (r->verdict != OK) return;
    const dnnzip_table_header h = dnnzip_table_header_unpack(r->data);
    bit_string b = {0, 0};
    if (h.reserved != 0) {
        broken(r, DNNZIP_VERDICT_BAD_HEADER);
        return;
    }
    t->id = h.table_set;
    t->log2_states = h.log2_states;
    r->payload = h.payload_words;
    for (unsigned i = 0; i < DNNZIP_CLASSES * DNNZIP_CONTEXTS; i++) {
        const uint32_t number = read_bits(r, &b, bit_length(h.tables - 1));
        if (number >= h.tables) broken(r, DNNZIP_VERDICT_BAD_CODE);
        t->map[i / DNNZIP_CONTEXTS][i % DNNZIP_CONTEXTS] = (uint8_t)number;
    }
    for (unsigned i = 0; i < h.tables && r->verdict == OK; i++) {
        t->shift[i] = (uint8_t)read_bits(r, &b, DNNZIP_SHIFT_BITS);
        if (h.log2_states + t->shift[i] > DNNZIP_MAX_WEIGHT_BITS) broken(r, DNNZIP_VERDICT_BAD_CODE);
        if (t->shift[i] > most_shift) broken(r, DNNZIP_VERDICT_UNSUPPORTED);
        build_table(r, &b, t->entry[i], h.log2_states);
    }
    finish(r);
    t->loaded = r->verdict == OK;
}

static void decode_raw(reader *r, unsigned width, uint64_t weights, int16_t *codes)
{
    bit_string b = {0, 0};
    for (uint64_t i = 0; i < weights && r->verdict == OK; i++)
        codes[i] = (int16_t)sign_extend(read_bits(r, &b, width), width);
}

static void decode_line(reader *r, uint64_t left, int16_t *codes)
{
    while (left > 0 && r->verdict == OK) {
        uint32_t lengths = payload_word(r);
        for (int i = 0; i < DNNZIP_SEGMENTS_PER_GROUP && left > 0 && r->verdict == OK; i++) {
            const uint32_t length = lengths % DNNZIP_MAX_SEGMENT + 1, intercept = payload_word(r);
            const uint32_t slope = payload_word(r);
            if (length > left) broken(r, DNNZIP_VERDICT_BAD_CODE);
            for (uint32_t n = 0; n < length && r->verdict == OK; n++, left--)
                *codes++ = (int16_t)sign_extend(intercept + n * slope, DNNZIP_WORD_BITS);
            lengths /= DNNZIP_MAX_SEGMENT;
        }
    }
}

/* Decode the next weight of a lane; `a` and `b` are the signs of its neighbours, its own goes to `sign`. */
static int32_t weight(reader *r, const dnnzip_tables *t, lane *l, uint32_t klass, int a, int b, int *sign)
{
    const unsigned table = t->map[klass][a + b < 0 ? -(a + b) : a + b];
    const dnnzip_entry entry = t->entry[table][l->state];
    const int32_t low = (int32_t)pull(&l->bits, t->shift[table]);
    int32_t code = entry.token * (1 << t->shift[table]) + low;
    l->state = entry.base + pull(&l->bits, entry.bits);
    if (a < 0 || (a == 0 && b < 0)) code = -code;
    *sign = (code > 0) - (code < 0);
    if (entry.token != ESCAPE) return code;
    *sign = 0;
    return sign_extend(payload_word(r), DNNZIP_WORD_BITS);
}

static void weight_round(reader *r, const dnnzip_weight_header *h, const dnnzip_tables *t, lane *lanes, unsigned active,
                         uint32_t position, uint32_t offset, unsigned going_on, int16_t *codes)
{
    const uint32_t taps = h->kernel_width * h->kernel_height, tap = position % taps;
    /* How far back the neighbours are; 0 where there is none. */
    uint32_t left = tap % h->kernel_width != 0 ? 1 : 0, above = tap >= h->kernel_width ? h->kernel_width : 0;
    if (taps == 1) {
        left = position >= 1 ? 1 : 0;
        above = position >= 2 ? 2 : 0;
    }
    for (unsigned v = 0; v < active && r->verdict == OK; v++) {
        lane *l = &lanes[v];
        const uint32_t klass = l->klass + offset < DNNZIP_CLASSES ? l->klass + offset : DNNZIP_CLASSES - 1;
        const int a = h->context && left ? l->sign[(position - left) % DNNZIP_MAX_KERNEL] : 0;
        const int b = h->context && above ? l->sign[(position - above) % DNNZIP_MAX_KERNEL] : 0;
        const int32_t code = weight(r, t, l, klass, a, b, &l->sign[position % DNNZIP_MAX_KERNEL]);
        codes[(size_t)v * h->length + position] = (int16_t)code;
        if (position + 1 < h->length || v < going_on) refill(r, &l->bits, DNNZIP_REFILL_BITS);
    }
}

static void decode_ans(reader *r, const dnnzip_weight_header *h, const dnnzip_tables *t, int16_t *codes)
{
    const unsigned lanes_of_stream = 1U << h->log2_lanes;
    lane lanes[LANES] = {{{0, 0}, 0, 0, {0}}};
    dnnzip_columns_word block = {0, 0};
    const uint8_t *offsets = NULL;
    if (h->columns) {
        const uint32_t first = payload_word(r);
        const uint8_t bytes[] = {(uint8_t)(first & 255), (uint8_t)(first >> 8)};
        block = dnnzip_columns_word_unpack(bytes);
        offsets = r->data + r->position * DNNZIP_WORD_BYTES;
        for (uint32_t at = 0; at < block.columns * DNNZIP_COLUMN_OFFSET_BITS; at += DNNZIP_WORD_BITS) payload_word(r);
    }
    for (unsigned v = 0; v < lanes_of_stream; v++) refill(r, &lanes[v].bits, DNNZIP_WORD_BITS);
    for (unsigned v = 0; v < lanes_of_stream && r->verdict == OK; v++) {
        lanes[v].state = pull(&lanes[v].bits, t->log2_states);
        lanes[v].klass = h->klass;
        refill(r, &lanes[v].bits, DNNZIP_REFILL_BITS);
    }
    for (uint32_t first = 0; first < h->channels && r->verdict == OK; first += lanes_of_stream) {
        const uint32_t left = h->channels - first;
        const unsigned active = left < lanes_of_stream ? left : lanes_of_stream;
        /* The lanes that have a channel in the next pass as well. */
        const unsigned going_on = left < 2 * lanes_of_stream ? left - active : lanes_of_stream;
        for (unsigned v = 0; h->class_per_channel && v < active && r->verdict == OK; v++) {
            lanes[v].klass = pull(&lanes[v].bits, DNNZIP_CLASS_BITS);
            refill(r, &lanes[v].bits, DNNZIP_REFILL_BITS);
        }
        for (uint32_t position = 0; position < h->length && r->verdict == OK; position++) {
            const uint32_t column = position / (h->kernel_width * h->kernel_height) >> block.shift;
            const unsigned bit = column < block.columns ? column * DNNZIP_COLUMN_OFFSET_BITS : 0;
            const uint32_t offset = column < block.columns ? dnnzip_field(offsets, bit, DNNZIP_COLUMN_OFFSET_BITS) : 0;
            weight_round(r, h, t, lanes, active, position, offset, going_on, codes + (size_t)first * h->length);
        }
    }
    for (size_t i = 0; !h->wide && i < (size_t)h->channels * h->length && r->verdict == OK; i++)
        if (codes[i] != sign_extend((uint16_t)codes[i], DNNZIP_NARROW_BITS)) broken(r, DNNZIP_VERDICT_BAD_CODE);
    for (unsigned v = 0; v < lanes_of_stream; v++)
        if (lanes[v].state != 0) broken(r, DNNZIP_VERDICT_BAD_STATE);
}

static int decode_weights(reader *r, const dnnzip_tables *t, const dnnzip_limits *limits, int16_t *codes,
                          size_t capacity, uint64_t *weights)
{
    static const unsigned raw_widths[] = DNNZIP_RAW_WIDTHS;
    const unsigned known = sizeof raw_widths / sizeof *raw_widths;
    uint8_t start[DNNZIP_WEIGHT_HEADER_BYTES] = {0};
    for (size_t i = 0; i < r->bytes && i < sizeof start; i++) start[i] = r->data[i];
    const dnnzip_weight_header h = dnnzip_weight_header_unpack(start);
    const int raw = h.codec == DNNZIP_CODEC_RAW, ans = h.codec == DNNZIP_CODEC_ANS, line = h.codec == DNNZIP_CODEC_LINE;
    const unsigned width = h.raw_width < known ? raw_widths[h.raw_width] : DNNZIP_WORD_BITS;
    if (!raw && !ans && !(line && limits->line)) broken(r, DNNZIP_VERDICT_UNSUPPORTED);
    if (h.log2_lanes > (line ? 0 : limits->log2_lanes)) broken(r, DNNZIP_VERDICT_UNSUPPORTED);
    word(r);
    if (h.log2_states > limits->log2_states) broken(r, DNNZIP_VERDICT_UNSUPPORTED);
    if (h.wide && limits->code_bits < DNNZIP_WORD_BITS) broken(r, DNNZIP_VERDICT_UNSUPPORTED);
    take_header(r, DNNZIP_WEIGHT_HEADER_WORDS);
    if (h.reserved != 0) broken(r, DNNZIP_VERDICT_BAD_HEADER);
    if (raw && (h.log2_lanes > 0 || h.raw_width >= known || (width > DNNZIP_NARROW_BITS && !h.wide)))
        broken(r, DNNZIP_VERDICT_BAD_HEADER);
    if (raw && ((uint64_t)h.channels * h.length * width + DNNZIP_WORD_BITS - 1) / DNNZIP_WORD_BITS != h.payload_words)
        broken(r, DNNZIP_VERDICT_BAD_HEADER);
    if (line && !h.wide) broken(r, DNNZIP_VERDICT_BAD_HEADER);
    if (ans && 1U << h.log2_lanes > h.channels) broken(r, DNNZIP_VERDICT_BAD_HEADER);
    if (ans && !(t->loaded && t->id == h.table_set && t->log2_states == h.log2_states))
        broken(r, DNNZIP_VERDICT_WRONG_TABLES);
    if (r->verdict != OK) return r->verdict;
    *weights = (uint64_t)h.channels * h.length;
    if (*weights > capacity) return DNNZIP_NO_ROOM;
    r->payload = h.payload_words;
    if (raw) decode_raw(r, width, *weights, codes);
    if (ans) decode_ans(r, &h, t, codes);
    if (line) decode_line(r, *weights, codes);
    finish(r);
    return r->verdict;
}

int dnnzip_decode(dnnzip_tables *tables, const dnnzip_limits *limits, const uint8_t *stream, size_t bytes,
                  int16_t *codes, size_t capacity, uint64_t *weights)
{
    static const dnnzip_limits everything = {DNNZIP_MAX_LOG2_LANES, DNNZIP_MAX_LOG2_STATES, DNNZIP_WORD_BITS, 1};
    reader r = {stream, bytes, 0, 0, OK};
    const uint32_t first = word(&r);
    const uint8_t start[DNNZIP_WEIGHT_HEADER_BYTES] = {(uint8_t)(first & 255), (uint8_t)(first >> 8)};
    const dnnzip_weight_header h = dnnzip_weight_header_unpack(start);
    if (limits == NULL) limits = &everything;
    *weights = 0;
    if (h.magic != DNNZIP_WEIGHTS_MAGIC && h.magic != DNNZIP_TABLES_MAGIC) broken(&r, DNNZIP_VERDICT_BAD_MAGIC);
    if (h.version != DNNZIP_VERSION) broken(&r, DNNZIP_VERDICT_VERSION);
    if (r.verdict != OK) return r.verdict;
    if (h.magic == DNNZIP_WEIGHTS_MAGIC) return decode_weights(&r, tables, limits, codes, capacity, weights);
    decode_tables(&r, tables, limits->log2_states,
                  limits->code_bits < DNNZIP_WORD_BITS ? DNNZIP_NARROW_MAX_SHIFT : DNNZIP_MAX_SHIFT);
    return r.verdict;
}

uint16_t dnnzip_float_bits(int16_t code, unsigned base, unsigned magnitude_bits)
{
    const unsigned mask = (1U << magnitude_bits) - 1, sign = code < 0;
    const unsigned place = (unsigned)(sign ? -1 - code : code) & mask;
    const unsigned sum = (place + base) & mask;
    /* Zero and the base have changed places. */
    const unsigned magnitude = place == 0 ? 0 : sum == 0 ? base : sum;
    return (uint16_t)(sign << magnitude_bits | magnitude);
}
