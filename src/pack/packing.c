/* packing.c - from operand positions to fields, windows, constants and prices.
 *
 * The condition checked here: with T_0 = 0 and T_{f+1} = floor((G_f + T_f) / 2^spacing_f), the largest T_f
 * follow from the largest G_f, and exactness needs T_{f+1} <= 2^r_f - 1, and r_f bits to read it from
 * (spacing_{f+1} >= r_f). */
#include "pack/packing.h"
#include "base/bit_length.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { REASON = 400 };
static const int64_t MOST_CYCLES = (int64_t)1 << 40;

/* Extremes of one product w*(a - zero): bilinear, so at the corners. */
static void product_extremes(const mq_packing *p, int zero, int64_t *low, int64_t *high) {
    int64_t a[2] = {p->activation_codes.low - zero, p->activation_codes.high - zero};
    int64_t w[2] = {p->weight_codes.low, p->weight_codes.high};
    *low = *high = a[0] * w[0];
    for (int i = 1; i < 4; i++) {
        int64_t v = a[i & 1] * w[i >> 1];
        if (v < *low) *low = v;
        if (v > *high) *high = v;
    }
}

static bool shape_ok(const mq_packing *p, char *reason) {
    if (p->weights < 1 || p->activations < 1 || p->weights > MQ_PACK_OPERANDS ||
        p->activations > MQ_PACK_OPERANDS) {
        if (reason) snprintf(reason, REASON, "1..%d operands per port expected", MQ_PACK_OPERANDS);
        return false;
    }
    int wide = p->weights_wide ? p->dsp.wide : p->dsp.narrow,
        narrow = p->weights_wide ? p->dsp.narrow : p->dsp.wide;
    for (int i = 0; i < p->weights; i++)
        if (p->weight[i].position < 0 || p->weight[i].position >= wide) {
            if (reason)
                snprintf(reason, REASON, "weight %d: position %d is not on a port of %d bits", i,
                         p->weight[i].position, wide);
            return false;
        }
    for (int j = 0; j < p->activations; j++)
        if (p->activation[j].position < 0 || p->activation[j].position >= narrow) {
            if (reason)
                snprintf(reason, REASON, "activation %d: position %d is not on a port of %d bits", j,
                         p->activation[j].position, narrow);
            return false;
        }
    return true;
}

/* The extremes of the fields over the weight words that occur: each activation chooses for itself. */
static void narrow_fields(mq_packing *p, const mq_pack_words *words) {
    for (int f = 0; f < p->fields; f++) {
        mq_pack_field *field = &p->field[f];
        for (size_t n = 0; n < words->count; n++) {
            const int8_t *w = words->word + n * (size_t)p->weights;
            int64_t low = 0, high = 0;
            for (int i = 0; i < p->weights; i++)
                for (int j = 0; j < p->activations; j++) {
                    if (p->field_of[i][j] != f) continue;
                    int64_t one = (int64_t)w[i] * (p->activation_codes.low - p->activation[j].zero),
                            other = (int64_t)w[i] * (p->activation_codes.high - p->activation[j].zero);
                    low += one < other ? one : other;
                    high += one < other ? other : one;
                }
            if (n == 0 || low < field->low) field->low = low;
            if (n == 0 || high > field->high) field->high = high;
        }
    }
}

/* Sorts products into fields by position. */
static bool find_fields(mq_packing *p, char *reason) {
    int8_t slot[64];
    mq_pack_field at[64];
    memset(slot, -1, sizeof slot);
    for (int i = 0; i < p->weights; i++) {
        const mq_pack_operand *w = &p->weight[i];
        for (int j = 0; j < p->activations; j++) {
            const mq_pack_operand *a = &p->activation[j];
            int position = w->position + a->position;
            int64_t low, high;
            product_extremes(p, a->zero, &low, &high);
            mq_pack_field *f = &at[position];
            if (slot[position] < 0) {
                *f = (mq_pack_field){position, 0, 0, w->group, a->group, w->step + a->step, 1, low, high};
                slot[position] = 0;
            } else {
                if (f->weight_group != w->group || f->activation_group != a->group ||
                    f->step != w->step + a->step) {
                    if (reason)
                        snprintf(reason, REASON,
                                 "bit %d: weight %d * activation %d lands on another output's field",
                                 position, i, j);
                    return false;
                }
                f->products++;
                f->low += low;
                f->high += high;
            }
        }
    }
    p->fields = 0;
    for (int b = 0; b < 64; b++)
        if (slot[b] == 0) {
            if (b >= p->dsp.accumulator || p->fields == MQ_PACK_FIELDS) {
                if (reason) snprintf(reason, REASON, "bit %d: no room for this field", b);
                return false;
            }
            slot[b] = (int8_t)p->fields;
            p->field[p->fields++] = at[b];
        }
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++)
            p->field_of[i][j] = (uint8_t)slot[p->weight[i].position + p->activation[j].position];
    for (int f = 0; f < p->fields; f++)
        p->field[f].spacing =
            (f + 1 < p->fields ? p->field[f + 1].position : p->dsp.accumulator) - p->field[f].position;
    return true;
}

/* The operand values that make field f as large or small as it can be, as text. */
static void worst_values(const mq_packing *p, int f, bool largest, char *out, size_t size) {
    int n = 0;
    out[0] = '\0';
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++) {
            if (p->field_of[i][j] != f || n >= (int)size - 48) continue;
            int64_t best = 0;
            int bw = 0, ba = 0;
            for (int c = 0; c < 4; c++) {
                int w = c & 1 ? p->weight_codes.high : p->weight_codes.low;
                int a = c & 2 ? p->activation_codes.high : p->activation_codes.low;
                int64_t v = (int64_t)w * (a - p->activation[j].zero);
                if (c == 0 || (largest ? v > best : v < best)) best = v, bw = w, ba = a;
            }
            n += snprintf(out + n, size - (size_t)n, "%sw%d=%d a%d=%d", n ? ", " : "", i, bw, j, ba);
        }
}

static bool broken_window(const mq_packing *p, int f, int64_t reach, int64_t cycles, char *reason) {
    if (!reason) return false;
    char high[120], low[120];
    worst_values(p, f, true, high, sizeof high);
    worst_values(p, f, false, low, sizeof low);
    snprintf(reason, REASON,
             "field %d at bit %d: %" PRId64 " values after %" PRId64
             " cycles, %d bits to the next field (largest at %s; smallest at %s)",
             f, p->field[f].position, reach + 1, cycles, p->field[f].spacing, high, low);
    return false;
}

/* Windows: the least overlap of every boundary (derive), or a check of the ones given. */
static bool windows(mq_packing *p, int64_t cycles, bool derive, char *reason) {
    int64_t carry = 0;
    for (int f = 0; f < p->fields; f++) {
        mq_pack_field *field = &p->field[f];
        int64_t reach = cycles * (field->high - field->low) + carry;
        if (derive) {
            field->overlap = 0;
            while (field->overlap <= MQ_PACK_OVERLAP && reach >> (field->spacing + field->overlap))
                field->overlap++;
        }
        if (field->overlap > MQ_PACK_OVERLAP || reach >> (field->spacing + field->overlap) ||
            (f + 1 == p->fields ? field->overlap > 0 : field->overlap > p->field[f + 1].spacing))
            return broken_window(p, f, reach, cycles, reason);
        carry = reach >> field->spacing;
    }
    return true;
}

static bool fits(int64_t low, int64_t high, int bits) {
    return low >= -((int64_t)1 << (bits - 1)) && high < ((int64_t)1 << (bits - 1));
}

/* Finds how a port takes its range: as it is, moved by +-2^shift, or with one bit more. */
static bool fix_port(mq_packing *p, bool weights, int64_t low, int64_t high, char *reason) {
    int bits = weights == p->weights_wide ? p->dsp.wide : p->dsp.narrow;
    if (fits(low, high, bits)) return true;
    if (p->fix == MQ_PORT_FITS) {
        p->fix_weights = weights;
        for (int shift = 0; shift < bits; shift++)
            for (int sign = -1; sign <= 1; sign += 2) {
                int64_t by = sign * ((int64_t)1 << shift);
                if (!fits(low + by, high + by, bits)) continue;
                p->fix = MQ_PORT_OFFSET;
                p->fix_shift = shift;
                p->fix_sign = sign;
                return true;
            }
        if (fits(low, high, bits + 1)) {
            p->fix = MQ_PORT_EXTRA;
            p->fix_shift = bits - 1;
            p->fix_sign = 1;
            return true;
        }
    }
    if (reason)
        snprintf(reason, REASON, "%s: packed words %" PRId64 "..%" PRId64 " do not fit a port of %d bits",
                 weights ? "weights" : "activations", low, high, bits);
    return false;
}

/* The extremes of the packed weights. */
static void weights_range(const mq_packing *p, const mq_pack_words *words, int64_t *low, int64_t *high) {
    *low = *high = 0;
    for (int i = 0; !words && i < p->weights; i++) {
        *low += p->weight_codes.low * ((int64_t)1 << p->weight[i].position);
        *high += p->weight_codes.high * ((int64_t)1 << p->weight[i].position);
    }
    for (size_t n = 0; words && n < words->count; n++) {
        int64_t value = 0;
        for (int i = 0; i < p->weights; i++)
            value += words->word[n * (size_t)p->weights + (size_t)i] * ((int64_t)1 << p->weight[i].position);
        if (n == 0 || value < *low) *low = value;
        if (n == 0 || value > *high) *high = value;
    }
}

static bool find_ports(mq_packing *p, const mq_pack_words *words, char *reason) {
    int64_t low, high;
    p->fix = MQ_PORT_FITS;
    p->fix_weights = false;
    p->fix_shift = p->fix_sign = 0;
    weights_range(p, words, &low, &high);
    if (!fix_port(p, true, low, high, reason)) return false;
    low = high = 0;
    p->zero_word = 0;
    uint64_t used = 0;
    int abit = mq_bit_length(p->activation_codes.high);
    for (int j = 0; j < p->activations; j++) {
        const mq_pack_operand *a = &p->activation[j];
        uint64_t mask = (((uint64_t)1 << abit) - 1) << a->position;
        if (used & mask) {
            if (reason)
                snprintf(reason, REASON, "activation %d at bit %d: shares bits with another (wiring only)", j,
                         a->position);
            return false;
        }
        used |= mask;
        high += (int64_t)p->activation_codes.high << a->position;
        p->zero_word += (int64_t)a->zero << a->position;
    }
    return fix_port(p, false, low - p->zero_word, high - p->zero_word, reason);
}

static void find_price(mq_packing *p) {
    p->luts = 0;
    p->class = MQ_CLASS_I;
    p->bias = mq_pack_bias(p, 1);
    for (int f = 0; f + 1 < p->fields; f++) {
        const mq_pack_field *next = &p->field[f + 1];
        int r = p->field[f].overlap;
        p->luts += mq_luts_repair(r, next->products, mq_bit_length(next->high - next->low));
        if (r >= (int)p->class) p->class = (mq_pack_class)(r + 1);
    }
    if (p->fix == MQ_PORT_EXTRA) {
        p->luts += mq_luts_port(p);
        p->class = MQ_CLASS_III;
    }
    /* Inverting the highest activation's top bit is free; any other zero point needs the pre-adder or a
     * subtractor. */
    p->shared_luts = 0;
    int abit = mq_bit_length(p->activation_codes.high), top = 0;
    bool only_flip = true;
    for (int j = 1; j < p->activations; j++)
        if (p->activation[j].position > p->activation[top].position) top = j;
    for (int j = 0; j < p->activations; j++)
        only_flip &= p->activation[j].zero == (j == top ? 1 << (abit - 1) : 0);
    if (p->weights_wide && p->zero_word != 0 && !only_flip)
        p->shared_luts = p->activation[top].position + abit;
}

static bool finish(mq_packing *p, const mq_pack_words *words, int64_t cycles, char *reason) {
    if (!shape_ok(p, reason) || !find_fields(p, reason)) return false;
    if (words) narrow_fields(p, words);
    if (!windows(p, cycles, true, reason) || !find_ports(p, words, reason)) return false;
    find_price(p);
    return true;
}

static int64_t canary_cycles(const mq_packing *p) {
    const mq_pack_field *top = &p->field[p->fields - 1];
    int64_t span = top->high - top->low, room = ((int64_t)1 << (top->spacing > 62 ? 62 : top->spacing)) - 1;
    if (span == 0) return MOST_CYCLES;
    /* r + 1 bits tell the carry: 2 are known of every field, and it must have them to itself */
    for (int f = 0; f + 1 < p->fields; f++)
        if (p->field[f].overlap + 1 > MQ_PACK_OVERLAP || p->field[f].overlap + 1 > p->field[f + 1].spacing)
            return p->accumulations;
    /* the carry into the top field is at most 2^r a cycle */
    int r = p->fields > 1 ? p->field[p->fields - 2].overlap : 0;
    int64_t each = span + (p->fields > 1 ? (int64_t)1 << r : 0);
    int64_t cycles = room / each < MOST_CYCLES ? room / each : MOST_CYCLES;
    return cycles > p->accumulations ? cycles : p->accumulations;
}

int64_t mq_packing_cycles(const mq_packing *packing) {
    mq_packing copy = *packing;
    int64_t low = 0, high = MOST_CYCLES;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2, most = 0;
        for (int f = 0; f < copy.fields; f++)
            if (copy.field[f].high - copy.field[f].low > most) most = copy.field[f].high - copy.field[f].low;
        bool safe = most == 0 || middle <= ((int64_t)1 << 61) / most;
        if (safe && windows(&copy, middle, false, NULL))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

bool mq_packing_try(mq_packing *packing, int64_t cycles) {
    return finish(packing, NULL, cycles, NULL);
}

static mq_status finish_or_say(mq_packing *packing, const mq_pack_words *words, int64_t cycles,
                               mq_error *error) {
    char reason[REASON] = "";
    if (!finish(packing, words, cycles, reason))
        return mq_fail(error, MQ_CHECK_FAILED, "packing is not exact: %s", reason);
    packing->cycles = cycles;
    packing->accumulations = mq_packing_cycles(packing);
    packing->canary = canary_cycles(packing);
    return MQ_OK;
}

mq_status mq_packing_finish(mq_packing *packing, int64_t cycles, mq_error *error) {
    return finish_or_say(packing, NULL, cycles, error);
}

mq_status mq_packing_finish_words(mq_packing *packing, const mq_pack_words *words, int64_t cycles,
                                  mq_error *error) {
    return finish_or_say(packing, words, cycles, error);
}
