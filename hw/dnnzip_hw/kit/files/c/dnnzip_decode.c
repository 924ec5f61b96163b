/* Decode dnnzip streams from the command line, in the order given: table sets and weight streams.
 *
 *   dnnzip_decode FILE...    print each stream's verdict and how many weights it holds; a file is one stream, or an
 *                            image of the memory, of which every stream is decoded; plain weights are only named
 *   dnnzip_decode -          read records from standard input and answer each on standard output
 *
 * A record is four numbers (log2 of the most lanes, log2 of the most states, code bits, line; a byte each), the length
 * of a stream (4 bytes, little-endian) and the stream; a length of 0xffffffff forgets the table set. The answer is the
 * verdict (a byte), the number of codes (4 bytes) and the codes (2 bytes each), which are none unless the stream is ok.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dnnzip.h"

#define MOST_WEIGHTS (UINT64_C(1) << 26)

static dnnzip_tables tables;

static void *room(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) {
        fputs("dnnzip_decode: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

/* Decode a stream into memory of exactly the size that it declares. */
static int decode(const dnnzip_limits *limits, const uint8_t *stream, size_t bytes, int16_t **codes, uint64_t *weights)
{
    int verdict = dnnzip_decode(&tables, limits, stream, bytes, NULL, 0, weights);
    *codes = NULL;
    if (verdict != DNNZIP_NO_ROOM || *weights > MOST_WEIGHTS) return verdict;
    *codes = room((size_t)*weights * sizeof(int16_t));
    return dnnzip_decode(&tables, limits, stream, bytes, *codes, (size_t)*weights, weights);
}

/* Decode a stream and print a line about it; returns 1 unless the stream is ok. */
static int report(const char *name, const char *what, const uint8_t *stream, size_t bytes)
{
    int16_t *codes;
    uint64_t weights;
    const int verdict = decode(NULL, stream, bytes, &codes, &weights);
    printf("%s: %s%s, %llu weights\n", name, what, verdict < 0 ? "no room" : dnnzip_verdict_label(verdict),
           (unsigned long long)weights);
    free(codes);
    return verdict != DNNZIP_VERDICT_OK;
}

/* Walk an image as a DMA does: a header, a table of streams, and each stream where its entry says. */
static int report_image(const char *name, const uint8_t *image, size_t bytes)
{
    const dnnzip_image_header header = dnnzip_image_header_unpack(image);
    int status = 0;
    if (header.version != DNNZIP_IMAGE_VERSION || header.bytes != bytes ||
        header.streams > (bytes - DNNZIP_IMAGE_HEADER_BYTES) / DNNZIP_IMAGE_ENTRY_BYTES) {
        printf("%s: bad image\n", name);
        return 1;
    }
    for (size_t i = 0; i < header.streams; i++) {
        const uint8_t *place = image + DNNZIP_IMAGE_HEADER_BYTES + i * DNNZIP_IMAGE_ENTRY_BYTES;
        const dnnzip_image_entry entry = dnnzip_image_entry_unpack(place);
        char what[64] = "table set: ";
        if (entry.offset > bytes || entry.words > (bytes - entry.offset) / DNNZIP_WORD_BYTES) {
            printf("%s: stream %lu is not inside\n", name, (unsigned long)i);
            return 1;
        }
        if (entry.layer != DNNZIP_IMAGE_NO_LAYER)
            snprintf(what, sizeof what, "layer %lu part %lu: ", (unsigned long)entry.layer, (unsigned long)entry.part);
        if (entry.kind == DNNZIP_IMAGE_KIND_PLAIN) {
            printf("%s: %splain, %llu weights\n", name, what, (unsigned long long)entry.channels * entry.length);
            continue;
        }
        status |= report(name, what, image + entry.offset, (size_t)entry.words * DNNZIP_WORD_BYTES);
    }
    return status;
}

static int report_file(const char *name)
{
    FILE *file = fopen(name, "rb");
    size_t bytes = 0, room_bytes = 1 << 16, got = 0;
    uint8_t *stream = room(room_bytes);
    if (file == NULL) {
        fprintf(stderr, "dnnzip_decode: %s: cannot be read\n", name);
        exit(2);
    }
    while ((got = fread(stream + bytes, 1, room_bytes - bytes, file)) > 0) {
        bytes += got;
        if (bytes == room_bytes) {
            uint8_t *larger = room(room_bytes *= 2);
            memcpy(larger, stream, bytes);
            free(stream);
            stream = larger;
        }
    }
    fclose(file);
    const int is_image = bytes >= DNNZIP_IMAGE_HEADER_BYTES && dnnzip_field(stream, 0, 32) == DNNZIP_IMAGE_MAGIC;
    const int status = is_image ? report_image(name, stream, bytes) : report(name, "", stream, bytes);
    free(stream);
    return status;
}

static void put(uint64_t number, int bytes)
{
    for (; bytes > 0; bytes--, number >>= 8) putchar((int)(number & 255));
}

static void answer_records(void)
{
    uint8_t head[8];
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        const dnnzip_limits limits = {head[0], head[1], head[2], head[3]};
        const uint32_t bytes = dnnzip_field(head, 32, 32);
        if (bytes == UINT32_MAX) {
            memset(&tables, 0, sizeof tables);
            continue;
        }
        uint8_t *stream = room(bytes); /* exactly, so that a checked build sees one byte too many */
        if (fread(stream, 1, bytes, stdin) != bytes) exit(2);
        int16_t *codes;
        uint64_t weights;
        const int verdict = decode(&limits, stream, bytes, &codes, &weights);
        const uint64_t given = verdict == DNNZIP_VERDICT_OK ? weights : 0;
        put((uint64_t)verdict & 255, 1);
        put(given, 4);
        for (uint64_t i = 0; i < given && codes != NULL; i++) put((uint16_t)codes[i], 2);
        free(codes);
        free(stream);
    }
}

int main(int count, char **names)
{
    int status = 0;
    if (count == 2 && strcmp(names[1], "-") == 0) {
        answer_records();
        return 0;
    }
    for (int i = 1; i < count; i++) status |= report_file(names[i]);
    return status;
}
