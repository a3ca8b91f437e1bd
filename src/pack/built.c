/* built.c - the layouts a generator builds, charged. */
#include "pack/built.h"
#include "base/bit_length.h"

#include <math.h>

#include "pack/explorer.h"

/* One layer shape: what all candidates of a cell share. */
typedef struct cell {
    const mq_pack_request *request;
    int slices;        /* of a processing element when a kernel row is one piece */
    double channels;   /* of the dot product */
    double multiplier; /* LUTs of one multiplication made of LUTs */
} cell;

/* The pieces of a kernel row: count[0] of piece[0], then count[1] of piece[1]. */
typedef struct row {
    const mq_pack_piece *piece[MQ_BUILT_PIECES];
    int count[MQ_BUILT_PIECES], kinds;
} row;

double mq_luts_multiply_add(int wbit, int abit) {
    return 1.1 * wbit * (0.75 * abit + 1);
}

static cell cell_of(const mq_pack_request *request) {
    return (cell){.request = request,
                  .slices = request->depthwise ? request->kernel : MQ_BUILT_SLICES,
                  .channels = request->depthwise      ? 1
                              : request->channels > 0 ? request->channels
                                                      : MQ_BUILT_CHANNELS,
                  .multiplier = mq_luts_multiply_add(request->wbit, request->abit)};
}

static int groups_of(const mq_pack_operand *operand, int count) {
    int most = 0;
    for (int i = 0; i < count; i++)
        if (operand[i].group > most) most = operand[i].group;
    return most + 1;
}

static int pieces_of(const row *r) {
    return r->count[0] + (r->kinds > 1 ? r->count[1] : 0);
}

/* Bits of an output's accumulator. */
static int accumulator_bits(const cell *c, const mq_packing *p) {
    int64_t span = (p->field[0].high - p->field[0].low) / p->field[0].products;
    return mq_bit_length((int64_t)((double)span * c->request->kernel * c->request->kernel * c->channels));
}

/* Slices that may stand in cascade. A port that is mended through C cannot, where C and the cascade share an
 * ALU input. */
static int64_t longest_chain(const row *r) {
    int64_t least = INT64_MAX;
    for (int i = 0; i < r->kinds; i++) {
        const mq_packing *p = &r->piece[i]->packing;
        int64_t most = p->fix != MQ_PORT_FITS && !p->dsp.c_with_cascade ? 1 : p->accumulations;
        if (most < least) least = most;
    }
    return least;
}

/* What stands around the slices whatever accumulates: LUTs of one element. */
static double border_luts(const row *r, int accumulator) {
    double luts = 0;
    for (int i = 0; i < r->kinds; i++) {
        const mq_packing *p = &r->piece[i]->packing;
        int wg = groups_of(p->weight, p->weights), ag = groups_of(p->activation, p->activations);
        double spill = (double)wg * ag * (r->piece[i]->taps - 1) * accumulator;
        if (spill > luts) luts = spill;
    }
    const mq_packing *p = &r->piece[0]->packing;
    return luts + 0.5 * groups_of(p->weight, p->weights) * p->activations * accumulator;
}

static double repair_luts(const row *r) {
    double luts = 0;
    for (int i = 0; i < r->kinds; i++) {
        const mq_packing *p = &r->piece[i]->packing;
        luts += r->count[i] * (p->luts + (double)p->shared_luts / MQ_BUILT_SHARED);
    }
    return luts / pieces_of(r);
}

/* Cascades, one split each, ternary trees into accumulators: LUTs of one element. */
static double tree_luts(const cell *c, const row *r, double slices, int chain, int accumulator) {
    const mq_packing *p = &r->piece[0]->packing;
    double dot = c->channels * c->request->kernel * pieces_of(r); /* slice cycles of one output */
    if ((double)longest_chain(r) >= dot) return 0;                /* P holds the whole sum */
    double adders = ceil(ceil(slices / chain) / 2), luts = 0;
    for (int f = 0; f < p->fields; f++) {
        int span = mq_bit_length((p->field[f].high - p->field[f].low) * chain);
        luts += (adders - 1) * (span + 2) + accumulator;
    }
    return luts;
}

/* Every slice for itself, their sums added at the end: LUTs of one element. */
static double canary_luts(const cell *c, const row *r, double slices, int accumulator) {
    double cycles = c->channels * c->request->kernel * pieces_of(r) / slices, luts = 0;
    if (cycles < 2) return INFINITY;
    for (int i = 0; i < r->kinds; i++) {
        const mq_packing *p = &r->piece[i]->packing;
        if ((double)p->canary < cycles) return INFINITY;
        luts += r->count[i] * (double)mq_luts_canary(p, (int64_t)ceil(cycles));
    }
    return luts / pieces_of(r) * slices + tree_luts(c, r, slices, 1, accumulator) / cycles;
}

static void weigh(const cell *c, const row *r, mq_pack_built *best) {
    const mq_pack_request *request = c->request;
    const mq_packing *p = &r->piece[0]->packing;
    int pieces = pieces_of(r), wg = groups_of(p->weight, p->weights);
    double slices = request->depthwise ? (double)c->slices * pieces : c->slices;
    int64_t longest = longest_chain(r);
    mq_pack_built b = {.kinds = r->kinds, .class = MQ_CLASS_I};
    b.mults = (double)request->kernel * wg * p->activations / pieces;
    b.chain = (double)longest < slices ? (int)longest : (int)slices;
    int accumulator = accumulator_bits(c, p);
    double trees = tree_luts(c, r, slices, b.chain, accumulator),
           canaries = request->canary ? canary_luts(c, r, slices, accumulator) : INFINITY;
    b.canary = canaries < trees;
    b.luts = repair_luts(r) + (fmin(trees, canaries) + border_luts(r, accumulator)) / slices;
    b.realised = b.mults - b.luts / c->multiplier;
    if (b.realised <= best->realised * (1 + 1e-12)) return;
    for (int i = 0; i < r->kinds; i++) {
        b.count[i] = r->count[i];
        b.taps[i] = r->piece[i]->taps;
        b.packing[i] = &r->piece[i]->packing;
        if (b.packing[i]->class > b.class) b.class = b.packing[i]->class;
    }
    b.wbit = request->wbit;
    b.abit = request->abit;
    *best = b;
}

/* Both kinds serve the same output channels and pixels, in one order. */
static bool together(const mq_packing *p, const mq_packing *q) {
    return p->activations == q->activations &&
           groups_of(p->activation, p->activations) == groups_of(q->activation, q->activations) &&
           groups_of(p->weight, p->weights) == groups_of(q->weight, q->weights);
}

static void weigh_rows(const cell *c, const mq_pack_front *front, mq_pack_built *best) {
    int kernel = c->request->kernel;
    for (int i = 0; i < front->count; i++) {
        const mq_pack_piece *one = &front->piece[i];
        if (c->request->depthwise && one->groups != 1) continue; /* kernel rows side by side: not built */
        row r = {{one, NULL}, {(kernel + one->taps - 1) / one->taps, 0}, 1}; /* the last may have zero taps */
        weigh(c, &r, best);
        for (int j = 0; j < front->count; j++) {
            const mq_pack_piece *other = &front->piece[j];
            if (other->taps >= one->taps || (c->request->depthwise && other->groups != 1) ||
                !together(&one->packing, &other->packing))
                continue;
            for (int n = 1; n * one->taps < kernel; n++) {
                int rest = kernel - n * one->taps;
                if (rest % other->taps) continue;
                weigh(c, &(row){{one, other}, {n, rest / other->taps}, 2}, best);
            }
        }
    }
}

mq_status mq_pack_build_with(const mq_pack_request *request, const mq_packing *packing, int taps,
                             mq_pack_built *out, mq_error *error) {
    *out = (mq_pack_built){.realised = -INFINITY};
    MQ_TRY(mq_pack_request_check(request, error));
    if (taps < 1 || taps > request->kernel || packing->fields == 0)
        return mq_fail(error, MQ_USAGE, "taps: got %d, expected 1..%d (the kernel), and a finished packing",
                       taps, request->kernel);
    cell c = cell_of(request);
    mq_pack_piece piece = {taps, 1, *packing};
    weigh(&c, &(row){{&piece, NULL}, {(request->kernel + taps - 1) / taps, 0}, 1}, out);
    out->packing[0] = packing;
    return MQ_OK;
}

static mq_status build_one(mq_pack_explorer *explorer, const mq_pack_request *request, mq_pack_built *out,
                           mq_error *error) {
    static const int64_t cycles[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 48, 96, 192, 576, 1600, 3136};
    if (mq_pack_explorer_recall(explorer, request, out)) return MQ_OK;
    cell c = cell_of(request);
    int taps = request->kernel < MQ_PACK_TAPS ? request->kernel : MQ_PACK_TAPS;
    for (size_t i = 0; i < sizeof cycles / sizeof *cycles; i++) {
        mq_pack_query query = {request->dsp,
                               mq_pack_weight_codes(request->wbit, request->symmetric),
                               mq_pack_activation_codes(request->abit),
                               taps,
                               request->depthwise ? taps : 0,
                               request->class,
                               cycles[i]};
        const mq_pack_front *front;
        MQ_TRY(mq_pack_explorer_solve(explorer, &query, request->kinds, &front, error));
        weigh_rows(&c, front, out);
    }
    return mq_pack_explorer_remember(explorer, request, out, error);
}

mq_status mq_pack_build(mq_pack_explorer *explorer, const mq_pack_request *request, mq_pack_built *out,
                        mq_error *error) {
    *out = (mq_pack_built){0};
    MQ_TRY(mq_pack_request_check(request, error));
    if (request->stride != 1)
        return mq_fail(error, MQ_USAGE, "stride: got %d; only layouts of stride 1 are built",
                       request->stride);
    /* A layout of wider operands takes narrower ones: fewer bits never cost more. */
    for (int w = request->wbit; w <= MQ_PACK_BITS; w++)
        for (int a = request->abit; a <= MQ_PACK_BITS; a++) {
            mq_pack_request wider = *request;
            wider.wbit = w;
            wider.abit = a;
            mq_pack_built one = {0};
            MQ_TRY(build_one(explorer, &wider, &one, error));
            if (one.realised > out->realised * (1 + 1e-12)) *out = one;
        }
    if (out->kinds == 0)
        return mq_fail(error, MQ_USAGE, "no packing of w%da%d on %s can be built", request->wbit,
                       request->abit, request->dsp.name);
    return MQ_OK;
}
