/* proof.c - corners, windows, vectors, cycles. */
#include "pack/proof.h"
#include "base/bit_length.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { CORNER_BITS = 16, EXHAUSTIVE_LEAST = 1 << 16, CANARY_CYCLES = 2048, SUM_CYCLES = 512 };

typedef struct prover {
    const mq_packing *p;
    uint64_t seed, drawn;
    int64_t low[MQ_PACK_FIELDS], high[MQ_PACK_FIELDS]; /* found at the corners */
    bool overlaps;
    mq_proof *out;
    mq_error *error;
} prover;

/* splitmix64 of a counter. */
static uint64_t draw(prover *v) {
    uint64_t z = v->seed + 0x9E3779B97F4A7C15u * ++v->drawn;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* A code from 16 random bits: a quarter of them extreme, the others spread evenly over the range (at most
 * 2^12 codes). */
static int32_t code_of(unsigned bits, mq_span span) {
    if ((bits & 7) < 2) return bits & 1 ? span.high : span.low;
    return span.low + (int32_t)(((bits >> 3) * (unsigned)(span.high - span.low + 1)) >> 13);
}

static void draw_codes(prover *v, mq_span span, int count, int32_t *out) {
    uint64_t bits = 0;
    for (int i = 0; i < count; i++, bits >>= 16) {
        if (i % 4 == 0) bits = draw(v);
        out[i] = code_of((unsigned)(bits & 0xffff), span);
    }
}

static void draw_operands(prover *v, int32_t *w, int32_t *a) {
    draw_codes(v, v->p->weight_codes, v->p->weights, w);
    draw_codes(v, v->p->activation_codes, v->p->activations, a);
}

static void values_text(const mq_packing *p, const int32_t *w, const int32_t *a, char *out, size_t size) {
    size_t n = 0;
    for (int i = 0; i < p->weights && n + 16 < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%d", i ? "," : "w = ", w[i]);
    for (int j = 0; j < p->activations && n + 16 < size; j++)
        n += (size_t)snprintf(out + n, size - n, "%s%d", j ? "," : ", a = ", a[j]);
}

static mq_status broken(const prover *v, const char *where, int field, const int32_t *w, const int32_t *a,
                        int64_t got, int64_t expected) {
    char text[400];
    values_text(v->p, w, a, text, sizeof text);
    return mq_fail(v->error, MQ_CHECK_FAILED,
                   "packing is not exact: %s: field %d (bit %d): got %" PRId64 ", expected %" PRId64 " at %s",
                   where, field, v->p->field[field].position, got, expected, text);
}

static void plain_sums(const mq_packing *p, const int32_t *w, const int32_t *a, int64_t *sums) {
    memset(sums, 0, sizeof *sums * (size_t)p->fields);
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++)
            sums[p->field_of[i][j]] += (int64_t)w[i] * (a[j] - p->activation[j].zero);
}

/* One product through encode, slice and decode; P without the constant in *product (may be NULL). */
static mq_status one_cycle(const prover *v, const char *where, const int32_t *w, const int32_t *a,
                           int64_t *sums, int64_t *product) {
    const mq_packing *p = v->p;
    mq_dsp_inputs in;
    int64_t word, read[MQ_PACK_FIELDS];
    uint8_t known[MQ_PACK_FIELDS] = {0};
    mq_pack_encode(p, w, a, &in);
    if (!mq_dsp_eval(&p->dsp, &in, &word)) {
        char text[400];
        values_text(p, w, a, text, sizeof text);
        mq_status status = mq_dsp_check(&p->dsp, &in, v->error);
        return mq_fail_context(v->error, status, "packing is not exact: %s: %s", where, text);
    }
    if (v->overlaps) mq_pack_know(p, w, a, known);
    mq_pack_decode(p, word, known, 1, read);
    plain_sums(p, w, a, sums);
    for (int f = 0; f < p->fields; f++)
        if (read[f] != sums[f]) return broken(v, where, f, w, a, read[f], sums[f]);
    if (product) *product = mq_wrap(word - in.w, p->dsp.accumulator);
    return MQ_OK;
}

static mq_status structure(const prover *v) {
    const mq_packing *p = v->p;
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++) {
            const mq_pack_operand *w = &p->weight[i], *a = &p->activation[j];
            const mq_pack_field *f = &p->field[p->field_of[i][j]];
            if (p->field_of[i][j] >= p->fields || f->position != w->position + a->position ||
                f->weight_group != w->group || f->activation_group != a->group ||
                f->step != w->step + a->step)
                return mq_fail(
                    v->error, MQ_CHECK_FAILED,
                    "packing is not exact: weight %d * activation %d (bits %d + %d) is not in its field", i,
                    j, w->position, a->position);
        }
    for (int f = 0; f < p->fields; f++) {
        int next = f + 1 < p->fields ? p->field[f + 1].position : p->dsp.accumulator;
        if (p->field[f].spacing != next - p->field[f].position)
            return mq_fail(v->error, MQ_CHECK_FAILED,
                           "packing is not exact: field %d: spacing %d, %d bits to the next", f,
                           p->field[f].spacing, next - p->field[f].position);
    }
    return MQ_OK;
}

static mq_status corners(prover *v) {
    const mq_packing *p = v->p;
    int bits = p->weights + p->activations;
    uint64_t count = (uint64_t)1 << (bits < CORNER_BITS ? bits : CORNER_BITS);
    for (uint64_t c = 0; c < count; c++) {
        /* More operands than that: all low, all high, then random corners. */
        uint64_t corner = bits <= CORNER_BITS ? c : c == 0 ? 0 : c == 1 ? ~(uint64_t)0 : draw(v);
        int32_t w[MQ_PACK_OPERANDS], a[MQ_PACK_OPERANDS];
        int64_t sums[MQ_PACK_FIELDS];
        for (int i = 0; i < p->weights; i++)
            w[i] = corner >> i & 1 ? p->weight_codes.high : p->weight_codes.low;
        for (int j = 0; j < p->activations; j++)
            a[j] = corner >> (p->weights + j) & 1 ? p->activation_codes.high : p->activation_codes.low;
        MQ_TRY(one_cycle(v, "corner", w, a, sums, NULL));
        for (int f = 0; f < p->fields; f++) {
            if (c == 0 || sums[f] < v->low[f]) v->low[f] = sums[f];
            if (c == 0 || sums[f] > v->high[f]) v->high[f] = sums[f];
        }
    }
    v->out->corners += count;
    for (int f = 0; f < p->fields; f++)
        if (v->low[f] < p->field[f].low || v->high[f] > p->field[f].high ||
            (bits <= CORNER_BITS && (v->low[f] != p->field[f].low || v->high[f] != p->field[f].high)))
            return mq_fail(v->error, MQ_CHECK_FAILED,
                           "packing is not exact: field %d: extremes %" PRId64 "..%" PRId64
                           " at the corners, %" PRId64 "..%" PRId64 " claimed",
                           f, v->low[f], v->high[f], p->field[f].low, p->field[f].high);
    return MQ_OK;
}

static mq_status windows(const prover *v) {
    const mq_packing *p = v->p;
    int64_t carry = 0, cycles = p->accumulations;
    for (int f = 0; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        int64_t reach = (field->high - field->low) * cycles + carry;
        bool last = f + 1 == p->fields;
        if (reach >> (field->spacing + field->overlap) || field->overlap > MQ_PACK_OVERLAP ||
            (last ? field->overlap > 0 : field->overlap > p->field[f + 1].spacing))
            return mq_fail(v->error, MQ_CHECK_FAILED,
                           "packing is not exact: field %d (bit %d): 0..%" PRId64 " after %" PRId64
                           " cycles in a window of %d bits (%d of them in the next field)",
                           f, field->position, reach, cycles, field->spacing + field->overlap,
                           field->overlap);
        carry = reach >> field->spacing;
    }
    return MQ_OK;
}

static mq_status vectors(prover *v, uint64_t random) {
    const mq_packing *p = v->p;
    int wbits = mq_bit_length((int64_t)p->weight_codes.high - p->weight_codes.low),
        abits = mq_bit_length(p->activation_codes.high);
    int bits = wbits * p->weights + abits * p->activations;
    int32_t w[MQ_PACK_OPERANDS], a[MQ_PACK_OPERANDS];
    int64_t sums[MQ_PACK_FIELDS];
    uint64_t all = bits < 63 ? (uint64_t)1 << bits : UINT64_MAX;
    v->out->exhaustive = all <= (random > EXHAUSTIVE_LEAST ? random : EXHAUSTIVE_LEAST);
    uint64_t count = v->out->exhaustive ? all : random;
    for (uint64_t n = 0; n < count; n++) {
        if (v->out->exhaustive) {
            uint64_t rest = n;
            bool outside = false;
            for (int i = 0; i < p->weights; i++, rest >>= wbits) {
                w[i] = p->weight_codes.low + (int32_t)(rest & ((1u << wbits) - 1));
                outside |= w[i] > p->weight_codes.high;
            }
            for (int j = 0; j < p->activations; j++, rest >>= abits)
                a[j] = (int32_t)(rest & ((1u << abits) - 1));
            if (outside) continue;
        } else {
            draw_operands(v, w, a);
        }
        MQ_TRY(one_cycle(v, "vector", w, a, sums, NULL));
        v->out->vectors++;
    }
    return MQ_OK;
}

/* `cycles` times the same product: P is linear in the count. */
static mq_status held(prover *v, const int32_t *w, const int32_t *a, int64_t cycles) {
    const mq_packing *p = v->p;
    int64_t sums[MQ_PACK_FIELDS], read[MQ_PACK_FIELDS], product;
    uint8_t known[MQ_PACK_FIELDS] = {0};
    MQ_TRY(one_cycle(v, "accumulation", w, a, sums, &product));
    mq_pack_know(p, w, a, known);
    for (int f = 0; f < p->fields; f++) known[f] = (uint8_t)((known[f] * (uint64_t)cycles) & 3);
    int64_t word =
        mq_wrap((int64_t)((uint64_t)product * (uint64_t)cycles + (uint64_t)mq_pack_bias(p, cycles)),
                p->dsp.accumulator);
    mq_pack_decode(p, word, known, cycles, read);
    for (int f = 0; f < p->fields; f++)
        if (read[f] != sums[f] * cycles) return broken(v, "accumulation", f, w, a, read[f], sums[f] * cycles);
    v->out->accumulated++;
    return MQ_OK;
}

/* The corner at which field f is largest or smallest; operands of other fields at random. */
static void extreme(prover *v, int field, bool largest, int32_t *w, int32_t *a) {
    const mq_packing *p = v->p;
    int64_t best = 0;
    int32_t bw = 0;
    draw_operands(v, w, a);
    for (int c = 0; c < 2; c++) {
        /* For one weight value each activation chooses for itself. */
        int32_t x = c ? p->weight_codes.high : p->weight_codes.low;
        int64_t sum = 0;
        for (int i = 0; i < p->weights; i++)
            for (int j = 0; j < p->activations; j++) {
                if (p->field_of[i][j] != field) continue;
                int64_t lo = (int64_t)x * (p->activation_codes.low - p->activation[j].zero),
                        hi = (int64_t)x * (p->activation_codes.high - p->activation[j].zero);
                sum += largest == (lo > hi) ? lo : hi;
            }
        if (c == 0 || (largest ? sum > best : sum < best)) best = sum, bw = x;
    }
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++) {
            if (p->field_of[i][j] != field) continue;
            int64_t lo = (int64_t)bw * (p->activation_codes.low - p->activation[j].zero),
                    hi = (int64_t)bw * (p->activation_codes.high - p->activation[j].zero);
            w[i] = bw;
            a[j] = largest == (lo > hi) ? p->activation_codes.low : p->activation_codes.high;
        }
}

static mq_status cycles(prover *v) {
    const mq_packing *p = v->p;
    int32_t w[MQ_PACK_OPERANDS], a[MQ_PACK_OPERANDS];
    for (int f = 0; f < p->fields; f++)
        for (int largest = 0; largest < 2; largest++) {
            extreme(v, f, largest, w, a);
            MQ_TRY(held(v, w, a, p->accumulations));
        }
    /* Random operands, and runs at the extremes of one field after the other, really accumulated. */
    int64_t total[MQ_PACK_FIELDS] = {0}, sums[MQ_PACK_FIELDS], read[MQ_PACK_FIELDS], product, word = 0;
    uint8_t known[MQ_PACK_FIELDS] = {0};
    int64_t n = p->accumulations < SUM_CYCLES ? p->accumulations : SUM_CYCLES;
    for (int64_t c = 0; c < n; c++) {
        if (c % 3 == 0)
            extreme(v, (int)(draw(v) % (uint64_t)p->fields), draw(v) & 1, w, a);
        else
            draw_operands(v, w, a);
        MQ_TRY(one_cycle(v, "accumulation", w, a, sums, &product));
        mq_pack_know(p, w, a, known);
        word = mq_wrap((int64_t)((uint64_t)word + (uint64_t)product), p->dsp.accumulator);
        for (int f = 0; f < p->fields; f++) total[f] += sums[f];
    }
    word = mq_wrap((int64_t)((uint64_t)word + (uint64_t)mq_pack_bias(p, n)), p->dsp.accumulator);
    mq_pack_decode(p, word, known, n, read);
    for (int f = 0; f < p->fields; f++)
        if (read[f] != total[f]) return broken(v, "accumulation", f, w, a, read[f], total[f]);
    v->out->accumulated += (uint64_t)n;
    return MQ_OK;
}

static mq_status canary(prover *v) {
    const mq_packing *p = v->p;
    if (p->canary <= p->accumulations) return MQ_OK;
    for (int run = 0; run < 3; run++) {
        int64_t total[MQ_PACK_FIELDS] = {0}, sums[MQ_PACK_FIELDS], read[MQ_PACK_FIELDS], product, word = 0;
        int64_t n = p->canary < CANARY_CYCLES ? p->canary : CANARY_CYCLES;
        int32_t w[MQ_PACK_OPERANDS], a[MQ_PACK_OPERANDS];
        mq_canary state = {0};
        for (int64_t c = 0; c < n; c++) {
            if (run < 2)
                extreme(v, p->fields - 1 - (int)(c % p->fields), run, w, a);
            else
                draw_operands(v, w, a);
            MQ_TRY(one_cycle(v, "canary", w, a, sums, &product));
            word = mq_wrap((int64_t)((uint64_t)word + (uint64_t)product + (uint64_t)p->bias),
                           p->dsp.accumulator);
            mq_canary_step(p, &state, word, w, a);
            for (int f = 0; f < p->fields; f++) total[f] += sums[f];
        }
        mq_canary_sums(p, &state, read);
        for (int f = 0; f < p->fields; f++)
            if (read[f] != total[f]) return broken(v, "canary", f, w, a, read[f], total[f]);
        v->out->accumulated += (uint64_t)n;
    }
    return MQ_OK;
}

mq_status mq_pack_prove(const mq_packing *packing, uint64_t random, uint64_t seed, mq_proof *out,
                        mq_error *error) {
    prover v = {.p = packing, .seed = seed, .out = out, .error = error};
    *out = (mq_proof){0};
    for (int f = 0; f < packing->fields; f++) v.overlaps |= packing->field[f].overlap > 0;
    MQ_TRY(structure(&v));
    MQ_TRY(windows(&v));
    MQ_TRY(corners(&v));
    MQ_TRY(cycles(&v));
    MQ_TRY(canary(&v));
    return vectors(&v, random);
}

mq_status mq_pack_prove_words(const mq_packing *packing, const mq_pack_words *words, uint64_t random,
                              uint64_t seed, mq_proof *out, mq_error *error) {
    prover v = {.p = packing, .seed = seed, .out = out, .error = error};
    int32_t w[MQ_PACK_OPERANDS], a[MQ_PACK_OPERANDS];
    int64_t sums[MQ_PACK_FIELDS];
    int bits = packing->activations < CORNER_BITS ? packing->activations : CORNER_BITS;
    *out = (mq_proof){0};
    for (int f = 0; f < packing->fields; f++) v.overlaps |= packing->field[f].overlap > 0;
    MQ_TRY(structure(&v));
    MQ_TRY(windows(&v));
    for (size_t n = 0; n < words->count; n++) {
        for (int i = 0; i < packing->weights; i++)
            w[i] = words->word[n * (size_t)packing->weights + (size_t)i];
        for (uint64_t c = 0; c < (uint64_t)1 << bits; c++) {
            uint64_t corner = packing->activations <= CORNER_BITS ? c : draw(&v);
            for (int j = 0; j < packing->activations; j++)
                a[j] = corner >> j & 1 ? packing->activation_codes.high : packing->activation_codes.low;
            MQ_TRY(one_cycle(&v, "corner", w, a, sums, NULL));
            for (int f = 0; f < packing->fields; f++)
                if (sums[f] < packing->field[f].low || sums[f] > packing->field[f].high)
                    return broken(&v, "corner out of the claimed range", f, w, a, sums[f],
                                  sums[f] < 0 ? packing->field[f].low : packing->field[f].high);
            if (c == 0 || c + 1 == (uint64_t)1 << bits) MQ_TRY(held(&v, w, a, packing->accumulations));
            out->corners++;
        }
    }
    for (uint64_t n = 0; n < random; n++, out->vectors++) {
        size_t which = (size_t)(draw(&v) % words->count);
        draw_operands(&v, w, a);
        for (int i = 0; i < packing->weights; i++)
            w[i] = words->word[which * (size_t)packing->weights + (size_t)i];
        MQ_TRY(one_cycle(&v, "vector", w, a, sums, NULL));
    }
    return MQ_OK;
}

static void control(const mq_packing *broken_copy, uint64_t seed, int *run, int *caught) {
    enum { VECTORS = 2000 };
    mq_proof proof;
    ++*run;
    *caught += mq_pack_prove(broken_copy, VECTORS, seed, &proof, NULL) == MQ_CHECK_FAILED;
}

void mq_pack_controls(const mq_packing *packing, uint64_t seed, int *run, int *caught) {
    *run = *caught = 0;
    for (int i = 0; i < packing->weights; i++) {
        mq_packing copy = *packing;
        copy.weight[i].position++;
        control(&copy, seed, run, caught);
    }
    for (int j = 0; j < packing->activations; j++) {
        mq_packing copy = *packing;
        copy.activation[j].position++;
        control(&copy, seed, run, caught);
    }
    mq_packing copy = *packing;
    copy.accumulations++;
    control(&copy, seed, run, caught);
    for (int f = 0; f < packing->fields; f++)
        if (packing->field[f].overlap > 0) {
            copy = *packing;
            copy.field[f].overlap--;
            control(&copy, seed, run, caught);
        }
    if (packing->fix != MQ_PORT_FITS) {
        copy = *packing;
        copy.fix = MQ_PORT_FITS;
        control(&copy, seed, run, caught);
    }
    copy = *packing;
    copy.bias += (int64_t)1 << packing->field[0].position; /* bits below the first field are not read */
    control(&copy, seed, run, caught);
}
