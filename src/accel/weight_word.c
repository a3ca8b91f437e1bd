/* weight_word.c - see weight_word.h. */
#include "accel/weight_word.h"

#include "base/bit_length.h"

/* Whether the pre-adder can put the codes into their places: low bits in d, signs in a, none over another;
 * and the offset's one bit. */
static bool by_pre_adder(const mq_packing *p, mq_weight_word *w) {
    const bool offset = p->fix == MQ_PORT_OFFSET;
    int bits = 1 + mq_bit_length(-p->weight_codes.low > p->weight_codes.high + 1 ? -p->weight_codes.low - 1
                                                                                 : p->weight_codes.high);
    uint64_t d = 0, a = 0;
    for (int i = 0; i < p->weights; i++) {
        uint64_t low = (((uint64_t)1 << (bits - 1)) - 1) << p->weight[i].position;
        uint64_t sign = (uint64_t)1 << (p->weight[i].position + bits - 1);
        if ((d & low) || (a & sign)) return false;
        d |= low;
        a |= sign;
    }
    if (offset && !p->fix_weights) return false; /* C takes the packed word */
    if (offset) {
        uint64_t one = (uint64_t)1 << p->fix_shift;
        if ((p->fix_sign > 0 ? d : a) & one) return false;
        w->place = p->fix_sign * (int64_t)one;
    }
    w->bits = bits * p->weights;
    w->raw = true;
    return true;
}

/* Whether the lowest bit of a weight can be seen in the packed word: it is the bit there but for the borrow
 * of what stands below, which is the sign of that, the bit under it. */
static bool borrow_is_seen(const mq_packing *p) {
    for (int i = 0; i < p->weights; i++) {
        int64_t low = 0, high = 0;
        int s = p->weight[i].position;
        for (int k = 0; k < p->weights; k++)
            if (p->weight[k].position < s) {
                low += (int64_t)p->weight_codes.low * ((int64_t)1 << p->weight[k].position);
                high += (int64_t)p->weight_codes.high * ((int64_t)1 << p->weight[k].position);
            }
        if (s > 0 && (low < -((int64_t)1 << (s - 1)) || high >= (int64_t)1 << (s - 1))) return false;
    }
    return true;
}

mq_weight_word mq_weight_word_of(const mq_packing *p) {
    mq_weight_word w = {0};
    bool repaired = false;
    if (p->weights_wide && by_pre_adder(p, &w)) return w;
    for (int f = 0; f < p->fields; f++) repaired = repaired || p->field[f].overlap > 0;
    w = (mq_weight_word){.bits = p->weights_wide ? p->dsp.wide : p->dsp.narrow};
    w.low_bits = repaired && (!borrow_is_seen(p) || (p->fix == MQ_PORT_OFFSET && p->fix_weights));
    if (w.low_bits) w.bits += p->weights;
    return w;
}
