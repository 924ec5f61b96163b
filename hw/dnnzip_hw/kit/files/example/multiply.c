/* Multiply a vector with the weights of a layer, from a memory image and the header that comes with it.
 *
 *   dnnzip image model.dnz.onnx -o image --prefix net
 *   cc -std=c99 -O2 -I image -I c -o multiply c/dnnzip.c example/multiply.c
 *   ./multiply image/weights.bin LAYER NUMBER...
 *
 * LAYER is a layer's number in the order of execution. A number is given for each weight of an output channel; printed
 * is a sum for each channel: a matrix product with one row, or one position of a convolution. Sums are in the unit of
 * the network, or in steps of an integer weight where the network has no constant scale for it. */
#include <stdio.h>
#include <stdlib.h>

#include "dnnzip.h"
#include "weights.h"

static dnnzip_tables tables;

static void *room(size_t bytes)
{
    void *memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL) {
        fputs("multiply: out of memory\n", stderr);
        exit(2);
    }
    return memory;
}

static uint8_t *read_image(const char *name)
{
    uint8_t *image = room(NET_IMAGE_BYTES);
    FILE *file = fopen(name, "rb");
    if (file == NULL || fread(image, 1, NET_IMAGE_BYTES, file) != NET_IMAGE_BYTES) {
        fprintf(stderr, "multiply: %s: is not the image of weights.h\n", name);
        exit(2);
    }
    fclose(file);
    return image;
}

/* Decode a stream of the image; of the table set, which has no codes, the result is empty. */
static int16_t *decoded(const uint8_t *image, const net_stream *stream)
{
    const size_t count = (size_t)stream->channels * stream->length;
    int16_t *codes = room(count * sizeof(int16_t));
    uint64_t weights;
    const int verdict = dnnzip_decode(&tables, NULL, image + stream->offset, (size_t)stream->words * 2, codes, count,
                                      &weights);
    if (verdict != DNNZIP_VERDICT_OK) {
        fprintf(stderr, "multiply: %s\n", verdict < 0 ? "no room" : dnnzip_verdict_label(verdict));
        exit(1);
    }
    return codes;
}

/* Entry of a channel in values of which there are one for all, one for each, or none. */
static uint32_t of(uint32_t count, uint32_t channel)
{
    return count == 1 ? 0 : channel;
}

/* Return the value that the network computes with for a code of a channel. */
static double value_of(const net_layer *layer, const net_stream *stream, uint32_t channel, int32_t code)
{
    const double scale = stream->scale_count > 0 ? (double)stream->scale[of(stream->scale_count, channel)] : 1.0;
    const int32_t point = stream->zero_point[of(stream->zero_point_count, channel)];
    const int32_t values = layer->largest - layer->lowest + 1;
    int32_t weight = point + stream->step * code;
    if (layer->lowest == layer->largest) return scale * code; /* a float weight */
    if (stream->step == 1) {
        weight = (weight - layer->lowest) % values;
        weight = layer->lowest + (weight < 0 ? weight + values : weight);
    }
    if (weight < layer->lowest) weight = layer->lowest;
    if (weight > layer->largest) weight = layer->largest;
    return scale * (weight - point);
}

int main(int count, char **texts)
{
    if (count < 3) {
        fputs("usage: multiply IMAGE LAYER NUMBER...\n", stderr);
        return 2;
    }
    uint8_t *image = read_image(texts[1]);
    const unsigned long number = strtoul(texts[2], NULL, 10);
    const uint32_t given = (uint32_t)(count - 3);
    for (uint32_t i = 0; i < NET_STREAM_COUNT; i++) {
        const net_stream *stream = &net_streams[i];
        const int is_table_set = stream->layer == NET_NO_LAYER;
        if (!is_table_set && stream->layer != number) continue;
        int16_t *codes = decoded(image, stream);
        if (!is_table_set) {
            const net_layer *layer = &net_layers[stream->layer];
            if (stream->length != given || (stream->scale_count == 0 && layer->lowest == layer->largest)) {
                fprintf(stderr, "multiply: layer %lu has %lu weights for a channel, or holds its original bytes\n",
                        number, (unsigned long)stream->length);
                return 2;
            }
            for (uint32_t channel = 0; channel < stream->channels; channel++) {
                double sum = 0;
                for (uint32_t k = 0; k < stream->length; k++)
                    sum += value_of(layer, stream, channel, codes[(size_t)channel * stream->length + k]) *
                           strtod(texts[3 + k], NULL);
                printf("%.17g\n", sum);
            }
        }
        free(codes);
    }
    free(image);
    return 0;
}
