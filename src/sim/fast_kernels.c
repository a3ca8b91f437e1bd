/* fast_kernels.c - which table of kernels runs, and the table in plain C. */
#include "sim/fast_kernels.h"

#include <string.h>

static const mq_fast_kernels *const TABLE[MQ_SIM_CPU_COUNT] = {NULL,
#define ROW(id, name) &mq_fast_kernels_##id,
                                                               MQ_SIM_CPUS(ROW)
#undef ROW
};

const mq_fast_kernels *mq_fast_kernels_for(mq_sim_cpu cpu) {
    int first = cpu == MQ_SIM_CPU_BEST ? 1 : (int)cpu,
        last = cpu == MQ_SIM_CPU_BEST ? MQ_SIM_CPU_C : (int)cpu;
    for (int i = first; i <= last; i++)
        if (TABLE[i]->available()) return TABLE[i];
    return NULL;
}

bool mq_sim_cpu_available(mq_sim_cpu cpu) {
    return mq_fast_kernels_for(cpu) != NULL;
}

const char *mq_sim_cpu_name(mq_sim_cpu cpu) {
    return cpu == MQ_SIM_CPU_BEST ? "best" : TABLE[cpu]->name;
}

/* ---- the ways, one number at a time ---- */

int64_t mq_fast_exact(const mq_inet_requant *r, int channel, int64_t acc) {
    size_t c = (size_t)channel;
    if (!r->rule || r->rule[c] == MQ_INET_AFFINE) { /* >> of a negative number is arithmetic (gcc, clang) */
        int64_t code = (acc * r->inc[c] + r->bias[c]) >> r->shift;
        return code < r->low ? r->low : code > r->high ? r->high : code;
    }
    /* Thresholds ascend: how many are at most acc? */
    size_t levels = (size_t)(r->high - r->low), below = 0, above = levels;
    const int64_t *t = r->threshold + c * levels;
    while (below < above) {
        size_t middle = (below + above) / 2;
        if (acc >= t[middle])
            below = middle + 1;
        else
            above = middle;
    }
    return r->rule[c] == MQ_INET_RISING ? r->low + (int64_t)below : r->high - (int64_t)below;
}

uint8_t mq_fast_float(int32_t acc, float scale, float shift, float low, float high) {
    float v = (float)acc * scale;
    v += shift;
    v = v < low ? low : v;
    v = v > high ? high : v;
    return (uint8_t)(int32_t)v;
}

uint8_t mq_fast_double(int32_t acc, double scale, double shift, double low, double high) {
    double v = (double)acc * scale;
    v += shift;
    v = v < low ? low : v;
    v = v > high ? high : v;
    return (uint8_t)(int32_t)v;
}

void mq_fast_requant_count(const mq_fast_rule *rule, const int32_t *acc, uint8_t *to) {
    for (int i = 0; i < rule->lanes; i++) {
        int32_t count = 0;
        for (int k = 0; k < rule->levels; k++) count += acc[i] >= rule->threshold[k * MQ_FAST_LANES + i];
        to[i] = (uint8_t)(rule->start[i] + rule->sign[i] * count);
    }
}

void mq_fast_requant_exact(const mq_fast_rule *rule, const int32_t *acc, uint8_t *to) {
    for (int i = 0; i < rule->lanes; i++)
        to[i] = (uint8_t)(mq_fast_exact(rule->requant, rule->channel + i, acc[i]) + rule->offset);
}

/* ---- plain C ---- */

static bool available_c(void) {
    return true;
}

static void conv_c(const mq_fast_dot *d, const uint8_t *const *pixel, int pixels, int32_t *acc) {
    const size_t lanes = (size_t)d->blocks * MQ_FAST_LANES;
    for (int p = 0; p < pixels; p++, acc += MQ_FAST_TILE) {
        const int8_t *w = d->weight;
        memcpy(acc, d->bias, lanes * sizeof *acc);
        for (int r = 0; r < d->runs; r++) {
            const uint8_t *code = pixel[p] + d->offset[r];
            for (int s = 0; s < d->steps; s++, code += 4, w += 4 * lanes)
                for (size_t i = 0; i < lanes; i++)
                    acc[i] += code[0] * w[4 * i] + code[1] * w[4 * i + 1] + code[2] * w[4 * i + 2] +
                              code[3] * w[4 * i + 3];
        }
    }
}

static void depthwise_c(const mq_fast_dot *d, const uint8_t *const *pixel, int pixels, int32_t *acc) {
    const size_t lanes = (size_t)d->blocks * MQ_FAST_LANES;
    for (int p = 0; p < pixels; p++, acc += MQ_FAST_TILE) {
        const int32_t *w = d->taps;
        memcpy(acc, d->bias, lanes * sizeof *acc);
        for (int r = 0; r < d->runs; r++, w += lanes)
            for (size_t i = 0; i < lanes; i++) acc[i] += pixel[p][d->offset[r] + (ptrdiff_t)i] * w[i];
    }
}

static void requant_c(const mq_fast_rule *rule, int blocks, const int32_t *acc, int pixels,
                      uint8_t *const *to) {
    for (int z = 0; z < blocks; z++, rule++) {
        for (int p = 0; p < pixels; p++) {
            const int32_t *a = acc + p * MQ_FAST_TILE + z * MQ_FAST_LANES;
            uint8_t *out = to[p] + z * MQ_FAST_LANES;
            switch (rule->way) {
            case MQ_FAST_FLOAT:
                for (int i = 0; i < rule->lanes; i++)
                    out[i] = mq_fast_float(a[i], rule->scale[i], rule->shift[i], rule->low, rule->high);
                break;
            case MQ_FAST_DOUBLE:
                for (int i = 0; i < rule->lanes; i++)
                    out[i] = mq_fast_double(a[i], rule->scale64[i], rule->shift64[i], (double)rule->low,
                                            (double)rule->high);
                break;
            case MQ_FAST_COUNT:
                mq_fast_requant_count(rule, a, out);
                break;
            default:
                mq_fast_requant_exact(rule, a, out);
            }
        }
    }
}

const mq_fast_kernels mq_fast_kernels_C = {
    .name = "c", .available = available_c, .conv = conv_c, .depthwise = depthwise_c, .requant = requant_c};
