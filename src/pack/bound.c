/* bound.c - what no layout of separate fields can pass.
 *
 * Every field but the top one takes at least its bits less the overlap; the top field starts at (top weight
 * position) + (top activation position) <= (port1 - w) + (port2 - a). A group of k taps and n pixels has
 * fields of 1, 2, .. min(k,n) .., 2, 1 products. */
#include "pack/plan.h"
#include "base/bit_length.h"

mq_span mq_pack_weight_codes(int wbit, bool symmetric) {
    return (mq_span){-(1 << (wbit - 1)) + (symmetric ? 1 : 0), (1 << (wbit - 1)) - 1};
}

mq_span mq_pack_activation_codes(int abit) {
    return (mq_span){0, (1 << abit) - 1};
}

static int64_t least_span(mq_span w, mq_span a) {
    int64_t least = -1;
    for (int z = 0; z <= a.high; z++) {
        int64_t low = 0, high = 0;
        for (int c = 0; c < 4; c++) {
            int64_t v = (int64_t)(c & 1 ? w.high : w.low) * ((c & 2 ? a.high : a.low) - z);
            if (c == 0 || v < low) low = v;
            if (c == 0 || v > high) high = v;
        }
        if (least < 0 || high - low < least) least = high - low;
    }
    return least;
}

/* The least distance from a field of n products to the next. */
static int distance(int64_t span, int n, int overlap) {
    int bits = mq_bit_length(span * n), least = bits;
    for (int r = 1; r <= overlap; r++)
        if (bits - r >= r && bits - r < least) least = bits - r;
    return least < 1 ? 1 : least;
}

int mq_pack_field_bound(const mq_dsp *dsp, mq_span weight, mq_span activation, int taps,
                        mq_pack_class class) {
    int room = dsp->wide + dsp->narrow - mq_bit_length((int64_t)weight.high - weight.low) -
               mq_bit_length(activation.high) + (class == MQ_CLASS_III ? 1 : 0);
    int overlap = (int)class - 1, best = 1;
    int64_t span = least_span(weight, activation);
    for (int k = 1; k <= taps; k++)
        for (int n = 1; n <= MQ_PACK_FIELDS; n++) {
            int group = 0, largest = 0;
            for (int f = 1; f < k + n; f++) {
                int products = f < k + n - f ? f : k + n - f;
                if (products > k) products = k;
                if (products > n) products = n;
                int d = distance(span, products, overlap);
                group += d;
                if (d > largest) largest = d;
            }
            /* cppcheck-suppress zerodiv ; the loop has run, since k + n is at least 2 */
            int groups = (room + largest) / group;
            if (groups < 1) break;
            if (groups * k * n > best) best = groups * k * n;
        }
    return best;
}

int mq_pack_area_bound(const mq_dsp *dsp, mq_span weight, mq_span activation, int taps, mq_pack_class class) {
    int room = dsp->wide + dsp->narrow - mq_bit_length((int64_t)weight.high - weight.low) -
               mq_bit_length(activation.high) + (class == MQ_CLASS_III ? 1 : 0);
    int best = 0;
    int64_t span = least_span(weight, activation);
    for (int rows = 2; rows <= taps; rows++)
        for (int columns = 2; columns <= taps; columns++)
            for (int h = 2; h <= MQ_PACK_FIELDS; h++)
                for (int w = 2; w <= MQ_PACK_FIELDS; w++) {
                    int fields = (rows + h - 1) * (columns + w - 1);
                    if (fields > MQ_PACK_FIELDS) break;
                    int deep = (rows < h ? rows : h) * (columns < w ? columns : w);
                    int groups = (room / distance(span, deep, (int)class - 1) + 1) / fields;
                    if (groups * rows * columns * h * w > best) best = groups * rows * columns * h * w;
                }
    return best;
}
