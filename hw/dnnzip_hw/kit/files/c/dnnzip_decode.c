/* Decode dnnzip streams from the command line, in the order given: table sets and weight streams.
 *
 *   dnnzip_decode FILE...    print each file's verdict and how many weights it holds
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

static int decode_file(const char *name)
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
    int16_t *codes;
    uint64_t weights;
    const int verdict = decode(NULL, stream, bytes, &codes, &weights);
    printf("%s: %s, %llu weights\n", name, verdict == DNNZIP_NO_ROOM ? "no room" : dnnzip_verdict_label(verdict),
           (unsigned long long)weights);
    free(codes);
    free(stream);
    return verdict;
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
    for (int i = 1; i < count; i++)
        if (decode_file(names[i]) != DNNZIP_VERDICT_OK) status = 1;
    return status;
}
