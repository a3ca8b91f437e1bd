/* rtl_requant.c - thresholds or coefficients of a layer's requantiser, in the order its ROMs read them. */
#include "gen/rtl_requant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

enum { LUT_DEPTH = 64, TABLE_DEPTH = 32, MOST_LANES = 1000, TEXT = 4096 };

typedef __int128 wide;

static wide floor_div(wide a, wide b) { /* b > 0 */
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static int64_t clamp(wide v, int acc_bits) {
    wide most = (wide)1 << (acc_bits - 1);
    return (int64_t)(v < -most ? -most : v > most ? most : v);
}

void mq_rtl_thresholds(const mq_inet_requant *r, int c, int64_t offset, int acc_bits, int64_t *t,
                       bool *falling) {
    int count = (1 << r->bits) - 1, steps = r->high - r->low;
    int type_low = r->is_signed ? -(1 << (r->bits - 1)) : 0;
    int below = r->low - type_low; /* codes of the type that the rule never gives */
    int rule = r->rule ? r->rule[c] : MQ_INET_AFFINE;
    int64_t inc = r->inc ? r->inc[c] : 0, bias = r->bias ? r->bias[c] : 0;
    *falling = rule == MQ_INET_FALLING || (rule == MQ_INET_AFFINE && inc < 0);
    int always = *falling ? count - steps - below : below; /* the first thresholds */
    for (int i = 0; i < count; i++) {
        wide v;
        int n = i - always; /* of the rule's own thresholds, ascending */
        if (n < 0)
            v = INT64_MIN;
        else if (n >= steps)
            v = INT64_MAX;
        else if (rule != MQ_INET_AFFINE) {
            int64_t own = r->threshold[(size_t)c * (size_t)steps + (size_t)n];
            v = own == INT64_MAX || own == INT64_MIN ? (wide)own : (wide)own - offset;
        } else if (inc > 0) {
            wide need = (wide)(r->low + 1 + n) * ((wide)1 << r->shift) - bias;
            v = -floor_div(-need, inc) - offset;
        } else if (inc < 0) { /* acc <= limit keeps the code: the next one loses it */
            wide need = (wide)(r->high - n) * ((wide)1 << r->shift) - bias;
            v = floor_div(-need, -(wide)inc) + 1 - offset;
        } else {
            wide code = (wide)bias >> r->shift;
            v = code >= r->low + 1 + n ? INT64_MIN : INT64_MAX;
        }
        t[i] = clamp(v, acc_bits);
    }
}

static int clog2(int64_t n) {
    int bits = 0;
    while (((int64_t)1 << bits) < n) bits++;
    return bits;
}

typedef struct job {
    const mq_rtl_build *build;
    const mq_inet_node *node;
    const mq_inet_requant *r;
    const int64_t *offset;
    int acc_bits, pe, lanes, groups, slices;
    const char *module;
} job;

static mq_status open_file(const job *j, const char *suffix, mq_outfile **file, mq_error *error) {
    char name[MQ_PATH], path[MQ_PATH];
    snprintf(name, sizeof name, "mem/%s_%s.hex", j->module, suffix);
    MQ_TRY(mq_path_join(j->build->dir, name, path, error));
    MQ_TRY(mq_outfile_open(path, file, error));
    mq_outfile_unsynced(*file);
    return MQ_OK;
}

static mq_status put_word(mq_outfile *file, unsigned __int128 word, int bits, mq_error *error) {
    char digits[40];
    int n = (bits + 3) / 4;
    if (bits < 128) word &= ((unsigned __int128)1 << bits) - 1;
    for (int i = 0; i < n; i++) digits[i] = "0123456789abcdef"[(int)(word >> (4 * (n - 1 - i))) & 15];
    digits[n] = 0;
    return mq_outfile_printf(file, error, "%s\n", digits);
}

static mq_status close_file(mq_outfile *file, mq_status status, mq_error *error) {
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

/* Stage k of the search compares with threshold (code << (bits-k)) + 2^(bits-1-k), counted from 1. A channel
 * that is not there has the accumulator 0 and gets the code 0. */
static int64_t threshold(const job *j, const int64_t *t, int p, int g, int k, int code) {
    int bits = j->r->bits, c = g * j->pe + p, i = (code << (bits - k)) + (1 << (bits - 1 - k)) - 1;
    if (c >= j->node->edge.c) return j->r->is_signed && i < 1 << (bits - 1) ? 0 : 1;
    return t[(size_t)c * (((size_t)1 << bits) - 1) + (size_t)i];
}

static mq_status put_stage(const job *j, const int64_t *t, int p, int k, int width, mq_error *error) {
    char suffix[32];
    mq_outfile *file;
    snprintf(suffix, sizeof suffix, "%d_%03d", k, p);
    MQ_TRY(open_file(j, suffix, &file, error));
    mq_status status = MQ_OK;
    for (int g = 0; g < j->groups && status == MQ_OK; g++)
        for (int code = 0; code < 1 << k && status == MQ_OK; code++)
            status = put_word(file, (unsigned __int128)threshold(j, t, p, g, k, code), width, error);
    return close_file(file, status, error);
}

/* The first `tables` stages as one literal, TABLE_DEPTH words of each stage and channel, the first lowest. */
static mq_status table_literal(const job *j, const int64_t *t, int tables, int width, char **out,
                               mq_error *error) {
    size_t words = (size_t)(tables * j->pe + 1) * TABLE_DEPTH, bits = words * (size_t)width;
    uint8_t *bit;
    MQ_TRY(mq_alloc(bits, 1, "thresholds", &bit, error));
    for (int k = 0; k < tables; k++)
        for (int p = 0; p < j->pe; p++)
            for (int at = 0; at < j->groups << k; at++) {
                uint64_t v = (uint64_t)threshold(j, t, p, at >> k, k, at & ((1 << k) - 1));
                uint8_t *word = bit + ((size_t)(k * j->pe + p) * TABLE_DEPTH + (size_t)at) * (size_t)width;
                for (int i = 0; i < width; i++) word[i] = v >> i & 1;
            }
    mq_status status = mq_alloc(bits / 4 + 32, 1, "Verilog", out, error);
    if (status == MQ_OK) {
        int n = snprintf(*out, 32, "%zu'h", bits);
        for (size_t d = bits / 4; d-- > 0;) /* TABLE_DEPTH is a multiple of 4 */
            (*out)[n++] = "0123456789abcdef"[bit[4 * d] | bit[4 * d + 1] << 1 | bit[4 * d + 2] << 2 |
                                             bit[4 * d + 3] << 3];
    }
    mq_free(bit);
    return status;
}

static mq_status put_falling(const job *j, const uint8_t *falling, int p, mq_error *error) {
    char suffix[32];
    mq_outfile *file;
    snprintf(suffix, sizeof suffix, "f_%03d", p);
    MQ_TRY(open_file(j, suffix, &file, error));
    mq_status status = MQ_OK;
    for (int g = 0; g < j->groups && status == MQ_OK; g++) {
        int c = g * j->pe + p;
        status = put_word(file, c < j->node->edge.c && falling[c], 1, error);
    }
    return close_file(file, status, error);
}

static mq_status thresholds(const job *j, int64_t *t, uint8_t *falling, char *text, char **table,
                            int *latency, mq_error *error) {
    int bits = j->r->bits, count = (1 << bits) - 1, channels = j->node->edge.c, width = j->acc_bits;
    bool any = false;
    for (int c = 0; c < channels; c++) {
        bool falls;
        mq_rtl_thresholds(j->r, c, j->offset ? j->offset[c] : 0, j->acc_bits, t + (size_t)c * (size_t)count,
                          &falls);
        falling[c] = falls;
        any |= falls;
        if (t[(size_t)c * (size_t)count + (size_t)count - 1] == (int64_t)1 << (j->acc_bits - 1))
            width = j->acc_bits + 1;
    }
    *latency = bits;
    width += width % 2;
    int tables = 0;
    for (int k = 0; k < bits; k++) {
        *latency += (int64_t)j->groups << k > LUT_DEPTH;
        tables += (int64_t)j->groups << k <= TABLE_DEPTH;
    }
    MQ_TRY(table_literal(j, t, tables, width, table, error));
    for (int p = 0; p < j->pe; p++) {
        for (int k = tables; k < bits; k++) MQ_TRY(put_stage(j, t, p, k, width, error));
        if (any) MQ_TRY(put_falling(j, falling, p, error));
    }
    int groups_bits = clog2(j->groups);
    snprintf(text, TEXT,
             "  mixq_requant_threshold #(\n"
             "      .PE(%d), .LANES(%d), .ACC(%d), .TW(%d), .BITS(%d), .GROUPS(%d), .GW(%d), .SIGNED(%d), "
             ".FALLING(%d),\n"
             "      .LUT_DEPTH(%d), .FILE(\"mem/%s_\"), .TABLES(%d),\n",
             j->pe, j->lanes, j->acc_bits, width, bits, j->groups, groups_bits ? groups_bits : 1,
             j->r->is_signed, any, LUT_DEPTH, j->module, tables);
    return MQ_OK;
}

static mq_status put_slice(const job *j, const mq_affine_words *w, int slice, int period, mq_error *error) {
    char suffix[32];
    mq_outfile *file;
    snprintf(suffix, sizeof suffix, "%03d", slice);
    MQ_TRY(open_file(j, suffix, &file, error));
    mq_status status = MQ_OK;
    for (int g = 0; g < j->groups && status == MQ_OK; g++)
        for (int i = 0; i < period && status == MQ_OK; i++) {
            int c = g * j->pe + (i * j->slices + slice) % j->pe;
            unsigned __int128 word = 0;
            if (c < j->node->edge.c) {
                wide bias = (wide)j->r->bias[c] + (j->offset ? (wide)j->offset[c] * j->r->inc[c] : 0);
                word = (unsigned __int128)j->r->inc[c] & (((unsigned __int128)1 << w->inc_bits) - 1);
                word |= (unsigned __int128)bias << w->inc_bits;
            }
            status = put_word(file, word, w->inc_bits + w->bias_bits, error);
        }
    return close_file(file, status, error);
}

static mq_status affine(const job *j, char *text, int *latency, mq_error *error) {
    mq_affine_words w;
    const char *reason;
    if (!mq_rtl_affine_fits(j->node, j->offset, j->acc_bits, &w, &reason))
        return mq_fail(error, MQ_BAD_INPUT, "%s: no DSP slice requantises %s (accumulators of %d bits)",
                       j->node->name, reason, j->acc_bits);
    if (j->slices < 1 || j->lanes % j->slices)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %d slices for %d codes at once", j->node->name, j->slices,
                       j->lanes);
    int cycles = j->lanes / j->slices, period = 1;
    while (period < cycles && period * j->slices % j->pe) period++;
    for (int i = 0; i < j->slices; i++) MQ_TRY(put_slice(j, &w, i, period, error));
    int shift = j->r->shift, groups_bits = clog2(j->groups);
    if (shift > w.sum_bits - 1) shift = w.sum_bits - 1; /* the sign is left, as it would be above */
    *latency = cycles + 5;
    snprintf(text, TEXT,
             "  mixq_requant_affine #(\n"
             "      .LANES(%d), .R(%d), .PERIOD(%d), .ACC(%d), .BITS(%d), .GROUPS(%d), .GW(%d), "
             ".INC_W(%d),\n"
             "      .BIAS_W(%d), .ACC_WIDE(%d), .SHIFT(%d), .P_BITS(%d), .LOW(%d), .HIGH(%d), .BLOCK(%d), "
             ".FILE(\"mem/%s_\")\n",
             j->lanes, j->slices, period, j->acc_bits, j->r->bits, j->groups, groups_bits ? groups_bits : 1,
             w.inc_bits, w.bias_bits, w.acc_wide, shift, w.sum_bits, j->r->low, j->r->high,
             (int64_t)j->groups * period > LUT_DEPTH, j->module);
    return MQ_OK;
}

mq_status mq_rtl_requant(const mq_rtl_build *build, const mq_inet_node *requant, const mq_plan_layer *layer,
                         const int64_t *offset, int acc_bits, const char *module, char **instance,
                         int *latency, mq_error *error) {
    job j = {.build = build, .node = requant, .r = &requant->requant, .offset = offset, .acc_bits = acc_bits};
    j.pe = layer->pe, j.lanes = layer->pe * layer->out_pixels, j.slices = layer->lanes;
    j.groups = (requant->edge.c + layer->pe - 1) / layer->pe;
    j.module = module;
    char dir[MQ_PATH], text[TEXT], *table = NULL;
    int64_t *t = NULL;
    uint8_t *falling = NULL;
    if (acc_bits < 2 || acc_bits > 48 || j.lanes > MOST_LANES)
        return mq_fail(error, MQ_BAD_INPUT,
                       "%s: accumulators of %d bits, %d codes at once; at most 48 and %d", requant->name,
                       acc_bits, j.lanes, MOST_LANES);
    MQ_TRY(mq_path_join(build->dir, "mem", dir, error));
    MQ_TRY(mq_make_dirs(dir, error));
    mq_status status;
    if (layer->requant == MQ_PLAN_AFFINE) {
        status = affine(&j, text, latency, error);
    } else {
        size_t channels = (size_t)requant->edge.c;
        status = mq_alloc(channels << j.r->bits, sizeof *t, "thresholds", &t, error);
        if (status == MQ_OK) status = mq_alloc(channels, 1, "falling channels", &falling, error);
        if (status == MQ_OK) status = thresholds(&j, t, falling, text, &table, latency, error);
        mq_free(falling);
        mq_free(t);
    }
    static const char ports[] = "  ) requant (\n"
                                "      .clk(clk), .rst(rst), .in_valid(rq_in_valid), .in_group(rq_in_group), "
                                ".in_acc(rq_in_acc),\n"
                                "      .out_valid(rq_out_valid), .out_code(rq_out_code)\n  );\n";
    size_t size = strlen(text) + (table ? strlen(table) : 0) + sizeof ports + 32;
    if (status == MQ_OK) status = mq_alloc(size, 1, "Verilog", instance, error);
    if (status == MQ_OK && table)
        snprintf(*instance, size, "%s      .TABLE(%s)\n%s", text, table, ports);
    else if (status == MQ_OK)
        snprintf(*instance, size, "%s%s", text, ports);
    mq_free(table);
    return status;
}
