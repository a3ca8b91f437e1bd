/* affine_fits.c - a requantisation against the widths of a DSP48E2 (UG579): 27 x 18 multiplier, 48-bit sum.
 */
#include "accel/affine_fits.h"

/* Bits of a two's complement number. */
static int signed_bits(__int128 v) {
    int bits = 1;
    for (__int128 rest = v < 0 ? ~v : v; rest; rest >>= 1) bits++;
    return bits;
}

static int larger(int a, int b) {
    return a > b ? a : b;
}

static bool refuse(const char **reason, const char *text) {
    if (reason) *reason = text;
    return false;
}

bool mq_rtl_affine_fits(const mq_inet_node *node, const int64_t *offset, int acc_bits, mq_affine_words *words,
                        const char **reason) {
    const mq_inet_requant *r = &node->requant;
    mq_affine_words w = {.inc_bits = 1, .bias_bits = 1, .sum_bits = 1};
    if (acc_bits < 1 || acc_bits > 27) return refuse(reason, "accumulators of more than 27 bits");
    __int128 least = -((__int128)1 << (acc_bits - 1)), most = -least - 1;
    for (int c = 0; c < node->edge.c; c++) {
        if (r->rule && r->rule[c] != MQ_INET_AFFINE) return refuse(reason, "channels with stored thresholds");
        __int128 bias = (__int128)r->bias[c] + (offset ? (__int128)offset[c] * r->inc[c] : 0);
        w.inc_bits = larger(w.inc_bits, signed_bits(r->inc[c]));
        w.bias_bits = larger(w.bias_bits, signed_bits(bias));
        w.sum_bits = larger(w.sum_bits, signed_bits(least * r->inc[c] + bias));
        w.sum_bits = larger(w.sum_bits, signed_bits(most * r->inc[c] + bias));
    }
    w.acc_wide = w.inc_bits <= 18;
    if (!w.acc_wide && (w.inc_bits > 27 || acc_bits > 18))
        return refuse(reason, "accumulators and inc beyond 27 x 18 bits");
    if (larger(w.bias_bits, w.sum_bits) > 48) return refuse(reason, "sums of more than 48 bits");
    if (words) *words = w;
    return true;
}
