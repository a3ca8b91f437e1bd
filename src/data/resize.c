/* resize.c - each row of the input that is needed is stretched once; two of them are mixed to one of the
 * output. */
#include "data/resize.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"

enum { FRACTION = 11, ONE = 1 << FRACTION };

/* Where output `i` of `to` lies among `from`: the lower neighbour and the upper one's weight in 1/ONE. */
static void locate(int i, int from, int to, int *low, int *weight) {
    double at = (i + 0.5) * from / to - 0.5;
    int floor_at = (int)floor(at);
    *weight = (int)lrint((at - floor_at) * ONE);
    *low = floor_at;
    if (*low < 0) *low = 0, *weight = 0;
    if (*low >= from - 1) *low = from - 1, *weight = 0;
}

/* One row of `width` output pixels, in 1/ONE; at, weight: [width]; at counts bytes. */
static void stretch_row(const uint8_t *row, const int32_t *at, const int32_t *weight, int width,
                        int32_t *out) {
    for (int x = 0; x < width; x++) {
        const uint8_t *p = row + at[x], *q = p + (weight[x] ? 3 : 0);
        int w = weight[x];
        for (int k = 0; k < 3; k++) out[3 * x + k] = p[k] * (ONE - w) + q[k] * w;
    }
}

MQ_CLONES static void mix_rows(const int32_t *up, const int32_t *down, int weight, int count, uint8_t *out) {
    int rest = ONE - weight;
    for (int i = 0; i < count; i++)
        out[i] = (uint8_t)((up[i] * rest + down[i] * weight + (1 << (2 * FRACTION - 1))) >> (2 * FRACTION));
}

mq_status mq_resize_image(const uint8_t *in, int from_height, int from_width, mq_data_scratch *scratch,
                          int block, uint8_t *out, int to_height, int to_width, mq_error *error) {
    int32_t *work;
    size_t width = (size_t)to_width;
    MQ_TRY(mq_scratch_need(scratch, block, 8 * width * sizeof *work, &work, error));
    int32_t *at = work, *weight = at + width, *row[2] = {weight + width, weight + 4 * width};
    int held[2] = {-1, -1}; /* rows of the input in row[] */
    for (int x = 0; x < to_width; x++) {
        int low, w;
        locate(x, from_width, to_width, &low, &w);
        at[x] = 3 * low;
        weight[x] = w;
    }
    for (int y = 0; y < to_height; y++, out += 3 * width) {
        int low, w;
        locate(y, from_height, to_height, &low, &w);
        int high = w ? low + 1 : low;
        if (held[0] != low && held[1] == low) { /* the lower row of before */
            int32_t *swap = row[0];
            row[0] = row[1];
            row[1] = swap;
            held[1] = held[0];
            held[0] = low;
        }
        if (held[0] != low)
            stretch_row(in + 3 * (size_t)low * (size_t)from_width, at, weight, to_width, row[0]);
        held[0] = low;
        if (high != low && held[1] != high) {
            stretch_row(in + 3 * (size_t)high * (size_t)from_width, at, weight, to_width, row[1]);
            held[1] = high;
        }
        mix_rows(row[0], high == low ? row[0] : row[1], w, 3 * to_width, out);
    }
    return MQ_OK;
}
