/* published.c - the published structures, tried with published means (AnyPackingNet, ICCAD 2023; HiKonv,
 * 2022). */
#include "pack/published.h"

#include <math.h>

static bool exact_at(const mq_pack_request *r, mq_span weight, mq_span activation, bool filter, int taps,
                     int pixels, int spacing, bool weights_wide, bool weights_inside) {
    mq_packing p = {.dsp = r->dsp,
                    .weight_codes = weight,
                    .activation_codes = activation,
                    .weights_wide = weights_wide,
                    .weights = taps,
                    .activations = pixels};
    int wstep = filter || weights_inside ? spacing : spacing * pixels,
        astep = filter || !weights_inside ? spacing : spacing * taps;
    for (int i = 0; i < taps; i++)
        p.weight[i] = (mq_pack_operand){i * wstep, filter ? 0 : i, filter ? i : 0, 0};
    for (int j = 0; j < pixels; j++)
        p.activation[j] = (mq_pack_operand){j * astep, filter ? 0 : j, filter ? j : 0, 0};
    return mq_packing_try(&p, 1) && p.class <= MQ_CLASS_II && p.fix == MQ_PORT_FITS;
}

static bool exact_somehow(const mq_pack_request *r, mq_span weight, mq_span activation, bool filter, int taps,
                          int pixels) {
    for (int spacing = 1; spacing < r->dsp.wide; spacing++)
        for (int way = 0; way < 4; way++)
            if (exact_at(r, weight, activation, filter, taps, pixels, spacing, way & 1, way & 2)) return true;
    return false;
}

/* The parts of a split must all work. */
static bool parts_exact(const mq_pack_request *r, int wparts, int aparts, bool filter, int taps, int pixels) {
    mq_span weight[2] = {mq_pack_weight_codes(r->wbit, r->symmetric)};
    mq_span activation[2] = {mq_pack_activation_codes(r->abit)};
    if (wparts == 2) {
        weight[0] = mq_pack_weight_codes(r->wbit - r->wbit / 2, false);
        weight[1] = mq_pack_activation_codes(r->wbit / 2);
    }
    if (aparts == 2) {
        activation[0] = mq_pack_activation_codes(r->abit - r->abit / 2);
        activation[1] = mq_pack_activation_codes(r->abit / 2);
    }
    for (int i = 0; i < wparts; i++)
        for (int j = 0; j < aparts; j++)
            if (!exact_somehow(r, weight[i], activation[j], filter, taps, pixels)) return false;
    return true;
}

mq_published mq_pack_published(const mq_pack_request *r, double factor) {
    mq_published found = {0};
    int k = r->kernel;
    for (int wparts = 1; wparts <= (r->wbit > 1 ? 2 : 1); wparts++)
        for (int aparts = 1; aparts <= (r->abit > 1 ? 2 : 1); aparts++)
            for (int taps = 1; taps <= 16; taps++)
                for (int pixels = 1; pixels <= 16; pixels++)
                    for (int filter = 0; filter < 2; filter++) {
                        if (filter && taps > k) continue;
                        int passes = (k + taps - 1) / taps;
                        double rate = filter ? (double)k * pixels / passes : taps * pixels;
                        if (fabs(rate / (wparts * aparts) - factor) > 0.006) continue;
                        bool exact = parts_exact(r, wparts, aparts, filter, taps, pixels);
                        if (exact || found.taps == 0)
                            found = (mq_published){exact, taps, pixels, wparts, aparts};
                        if (exact) return found;
                    }
    return found;
}
