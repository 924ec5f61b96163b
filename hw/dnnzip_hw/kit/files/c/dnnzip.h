/* A decoder of dnnzip streams in C99. It needs no library, takes no memory and has no global state.
 *
 * The manual's page on the format describes the streams; dnnzip_format.h holds its numbers. */
#ifndef DNNZIP_H
#define DNNZIP_H

#include <stddef.h>
#include <stdint.h>

#include "dnnzip_format.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a decoder was built for; a stream that asks for more ends with the verdict `unsupported`. */
typedef struct {
    unsigned log2_lanes;  /* most virtual lanes, as their log2 */
    unsigned log2_states; /* most tANS states of a table, as their log2 */
    unsigned code_bits;   /* DNNZIP_WORD_BITS, or DNNZIP_NARROW_BITS to refuse streams of wide codes */
    unsigned line;        /* 1 to decode the codec `line` */
} dnnzip_limits;

/* One state of a decoding table: its token, how many bits follow, and the next state where they are zero. */
typedef struct {
    uint16_t base;
    uint8_t bits;
    int8_t token;
} dnnzip_entry;

/* A table set, about 33 KB; start with all of it zero. */
typedef struct {
    unsigned loaded, id, log2_states;
    uint8_t map[DNNZIP_CLASSES][DNNZIP_CONTEXTS];
    uint8_t shift[DNNZIP_MAX_TABLES];
    dnnzip_entry entry[DNNZIP_MAX_TABLES][1 << DNNZIP_MAX_LOG2_STATES];
} dnnzip_tables;

/* Result of dnnzip_decode that is not a verdict. */
enum { DNNZIP_NO_ROOM = -1 };

/* Decode one stream, from its first byte to its last, and return its verdict.
 *
 * A table set goes into `tables`. The codes of a weight stream go into `codes`, channel by channel in storage order;
 * they are of no use unless the verdict is DNNZIP_VERDICT_OK. `weights` is how many the stream declares, 0 where it is
 * a table set or ends at its header. Where they are more than `capacity`, nothing is decoded and the result is
 * DNNZIP_NO_ROOM: call with a capacity of 0 to learn how much room a stream wants, and mind that a damaged one may say
 * anything up to 2^41. `limits` is NULL for a decoder of all that the format allows. */
int dnnzip_decode(dnnzip_tables *tables, const dnnzip_limits *limits, const uint8_t *stream, size_t bytes,
                  int16_t *codes, size_t capacity, uint64_t *weights);

/* Return the bits of the float that is behind a code of a mapped tensor; integers alone are used.
 *
 * `base` is the tensor's, and `magnitude_bits` the bits of exponent and mantissa in a code: 15 for bfloat16 and for the
 * upper half of float32, 7 for float8 and for the upper half of float16. The sign is the bit above them. Where low bits
 * are stored apart, the float is this, shifted left by their number, and they. */
uint16_t dnnzip_float_bits(int16_t code, unsigned base, unsigned magnitude_bits);

#ifdef __cplusplus
}
#endif

#endif
