/* codes.c - operands to port words, and P back to partial sums. */
#include "pack/packing.h"

static uint64_t low_mask(int bits) {
    return bits >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1;
}

int64_t mq_pack_bias(const mq_packing *p, int64_t cycles) {
    uint64_t bias = 0;
    for (int f = 0; f < p->fields; f++) bias += (uint64_t)(-p->field[f].low * cycles) << p->field[f].position;
    return mq_wrap((int64_t)bias, p->dsp.accumulator);
}

int64_t mq_pack_weights_word(const mq_packing *p, const int32_t *w) {
    int64_t word = 0;
    for (int i = 0; i < p->weights; i++) word += w[i] * ((int64_t)1 << p->weight[i].position);
    return word;
}

int64_t mq_pack_raw_word(const mq_packing *p, const int32_t *a) {
    int64_t word = 0;
    for (int j = 0; j < p->activations; j++) word += (int64_t)a[j] << p->activation[j].position;
    return word;
}

void mq_pack_encode(const mq_packing *p, const int32_t *w, const int32_t *a, mq_dsp_inputs *out) {
    mq_pack_ports(p, mq_pack_weights_word(p, w), mq_pack_raw_word(p, a), out);
}

void mq_pack_ports(const mq_packing *p, int64_t weights, int64_t raw, mq_dsp_inputs *out) {
    int64_t activations = raw - p->zero_word;
    int64_t value[2] = {weights, activations}, c = 0;
    if (p->fix != MQ_PORT_FITS) {
        int fixed = p->fix_weights ? 0 : 1;
        int64_t by = (int64_t)p->fix_sign * ((int64_t)1 << p->fix_shift);
        if (p->fix == MQ_PORT_EXTRA && value[fixed] >= 0) by = -by;
        c = -by * value[1 - fixed];
        value[fixed] += by;
    }
    *out = (mq_dsp_inputs){.c = c, .w = p->bias};
    if (p->weights_wide) {
        out->a = value[0];
        out->b = value[1];
    } else {
        /* The pre-adder recentres: D = the codes side by side, A = the constant, modulo the port's width. */
        out->d = mq_wrap(raw, p->dsp.wide);
        out->a = mq_wrap(raw - value[1], p->dsp.wide);
        out->subtract = true;
        out->b = value[0];
    }
}

void mq_pack_know(const mq_packing *p, const int32_t *w, const int32_t *a, uint8_t *known) {
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++) {
            unsigned low = ((unsigned)w[i] & 3) * (((unsigned)a[j] & 3) - (unsigned)p->activation[j].zero);
            known[p->field_of[i][j]] = (uint8_t)((known[p->field_of[i][j]] + low) & 3);
        }
}

void mq_pack_decode(const mq_packing *p, int64_t word, const uint8_t *known, int64_t cycles, int64_t *sums) {
    uint64_t bits = (uint64_t)word & low_mask(p->dsp.accumulator);
    int64_t carry = 0; /* into field f */
    for (int f = 0; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        int64_t biased = (int64_t)((bits >> field->position) & low_mask(field->spacing)) - carry;
        carry = 0;
        if (field->overlap > 0) {
            const mq_pack_field *next = &p->field[f + 1];
            uint64_t expected = (uint64_t)known[f + 1] + (uint64_t)(-next->low * cycles);
            carry = (int64_t)(((bits >> next->position) - expected) & low_mask(field->overlap));
            biased += carry << field->spacing;
        }
        sums[f] = biased + field->low * cycles;
    }
}

int64_t mq_pack_correction(const mq_packing *p, const int32_t *w, int field) {
    int64_t sum = 0;
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++)
            if (p->field_of[i][j] == field) sum += (int64_t)w[i] * p->activation[j].zero;
    return sum;
}

void mq_canary_step(const mq_packing *p, mq_canary *state, int64_t p_new, const int32_t *w,
                    const int32_t *a) {
    /* The carry of one cycle is at most 2^r, so r + 1 bits of the difference tell it: difference = own low
     * bits + carry. */
    uint8_t known[MQ_PACK_FIELDS] = {0};
    mq_pack_know(p, w, a, known);
    for (int f = 1; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        uint64_t own = (uint64_t)known[f] + (uint64_t)-field->low;
        uint64_t bits = ((uint64_t)p_new >> field->position) - ((uint64_t)state->p >> field->position);
        state->carry[f] += (int64_t)((bits - own) & low_mask(p->field[f - 1].overlap + 1));
    }
    state->p = p_new;
    state->cycles++;
}

void mq_canary_sums(const mq_packing *p, const mq_canary *state, int64_t *sums) {
    uint64_t bits = (uint64_t)state->p & low_mask(p->dsp.accumulator);
    for (int f = 0; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        int64_t biased =
            (int64_t)((bits >> field->position) & low_mask(field->spacing)) - (f ? state->carry[f] : 0);
        if (f + 1 < p->fields) biased += state->carry[f + 1] << field->spacing;
        sums[f] = biased + field->low * state->cycles;
    }
}
