/* known.c - filter pieces over the words that occur: for every number of pixels the largest spacing that the
 * ports allow, both ways around. */
#include "pack/known.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pack/explorer.h"

static int compare(const void *a, const void *b, void *bytes) {
    return memcmp(a, b, *(const size_t *)bytes);
}

size_t mq_pack_unique_words(int8_t *word, size_t count, int taps) {
    size_t kept = 0, bytes = (size_t)taps;
    qsort_r(word, count, bytes, compare, &bytes);
    for (size_t n = 0; n < count; n++) {
        if (kept && memcmp(word + (kept - 1) * bytes, word + n * bytes, bytes) == 0) continue;
        memmove(word + kept * bytes, word + n * bytes, bytes);
        kept++;
    }
    return kept;
}

static void describe(mq_packing *p, const mq_pack_request *r, int pixels, int spacing, int zero, bool wide) {
    *p = (mq_packing){.dsp = r->dsp,
                      .kind = "filter",
                      .weight_codes = mq_pack_weight_codes(r->wbit, r->symmetric),
                      .activation_codes = mq_pack_activation_codes(r->abit),
                      .weights_wide = wide,
                      .weights = r->kernel,
                      .activations = pixels};
    for (int i = 0; i < r->kernel; i++) p->weight[i] = (mq_pack_operand){i * spacing, 0, i, 0};
    for (int j = 0; j < pixels; j++) p->activation[j] = (mq_pack_operand){j * spacing, 0, j, zero};
}

/* The best zero point at one spacing; whether any is exact. */
static bool try_zeros(const mq_pack_request *r, const mq_pack_words *words, int pixels, int spacing,
                      bool wide, mq_packing *out) {
    const int half = 1 << (r->abit - 1), zeros[] = {0, half, half - 1};
    bool found = false;
    for (int z = 0; z < 3; z++) {
        mq_packing p;
        describe(&p, r, pixels, spacing, zeros[z], wide);
        mq_status status = words ? mq_packing_finish_words(&p, words, r->cycles, NULL)
                                 : mq_packing_finish(&p, r->cycles, NULL);
        if (status != MQ_OK || p.class > r->class || (found && p.luts >= out->luts)) continue;
        *out = p;
        found = true;
    }
    return found;
}

static void count_taps(const mq_pack_words *words, int taps, mq_pack_known *out) {
    out->weights = words->count * (size_t)taps;
    for (size_t i = 0; i < out->weights; i++) {
        int w = abs(words->word[i]);
        out->zeros += w == 0;
        out->powers += w != 0 && (w & (w - 1)) == 0;
    }
}

mq_status mq_pack_known_row(const mq_pack_request *request, const mq_pack_words *words, mq_pack_known *out,
                            mq_error *error) {
    *out = (mq_pack_known){0};
    MQ_TRY(mq_pack_request_check(request, error));
    if (request->kernel > MQ_PACK_TAPS)
        return mq_fail(error, MQ_USAGE, "kernel: got %d, expected 1..%d (a row in one slice)",
                       request->kernel, MQ_PACK_TAPS);
    double price =
        request->lut_price < 0 ? 1 / mq_luts_multiplier(request->wbit, request->abit) : request->lut_price;
    double best = -INFINITY;
    for (int pixels = 1; pixels <= MQ_PACK_OPERANDS; pixels++)
        for (int wide = 0; wide < 2; wide++) {
            int steps = request->kernel > pixels ? request->kernel : pixels;
            int spacing = steps > 1 ? (request->dsp.wide - 1) / (steps - 1) : 1;
            if (spacing > request->dsp.wide - 1) spacing = request->dsp.wide - 1;
            for (; spacing >= 1; spacing--) {
                mq_packing p;
                if (!try_zeros(request, words, pixels, spacing, wide, &p)) continue;
                double value = request->kernel * pixels - price * p.luts;
                if (value <= best) continue;
                best = value;
                out->packing = p;
                out->mults = request->kernel * pixels;
            }
        }
    if (out->mults == 0)
        return mq_fail(error, MQ_USAGE, "no filter piece of %d taps at w%da%d on %s holds %lld accumulations",
                       request->kernel, request->wbit, request->abit, request->dsp.name,
                       (long long)request->cycles);
    if (words) count_taps(words, request->kernel, out);
    return MQ_OK;
}
