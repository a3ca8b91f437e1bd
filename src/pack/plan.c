/* plan.c - covering a kernel with pieces: guillotine cuts and pinwheels, by dynamic programming, inside
 * Dinkelbach's iteration for the best ratio.
 *
 * mults - price*luts = (K*K - price * sum x_i*l_i) / sum x_i over the pieces' cycles x_i and LUTs l_i. For a
 * trial value V the cover of least sum x_i*(V + price*l_i) is found exactly; the ratio it has is the next V,
 * until nothing changes (Dinkelbach, "On nonlinear fractional programming", 1967). */
#include "pack/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "pack/explorer.h"

enum { MAX_SPLITS = 128, SPLIT_PARTS = 4 };

/* One way to cut the operands' bits: 1, 2 or 4 products of parts. */
typedef struct split {
    int parts;
    struct {
        const mq_pack_front *front, *canary; /* windows for all cycles; for one, carries counted (or NULL) */
        int weight_shift, activation_shift;
    } part[SPLIT_PARTS];
} split;

/* A straight piece of `rows` x `taps` (rows > 1 only when depthwise): what it costs, and how. */
typedef struct leaf {
    double cost;
    const split *how;
    const mq_pack_piece *piece[SPLIT_PARTS];
    bool canary[SPLIT_PARTS];
} leaf;

typedef enum cut { CUT_NONE, CUT_PIECE, CUT_ACROSS, CUT_DOWN, CUT_PINWHEEL } cut;

typedef struct cover {
    double cost;
    cut how;
    int at;
} cover;

typedef struct planner {
    const mq_pack_request *request;
    int splits;
    split split[MAX_SPLITS];
    double value, price;
    leaf leaf[MQ_PACK_TAPS + 1][MQ_PACK_TAPS + 1]; /* [rows][taps] */
    cover cover[MQ_PACK_KERNEL + 1][MQ_PACK_KERNEL + 1];
    double cycles, lut_cycles;
    mq_pack_plan *out;
} planner;

/* ---- the ways to split ---- */

typedef struct cut_span {
    mq_span part[2];
    int parts, shift; /* of part 1, the high one */
} cut_span;

/* Weights: low bits unsigned, or balanced digits (the high part then needs one code more). */
static int weight_cuts(mq_span codes, int wbit, cut_span *out) {
    int n = 0;
    out[n++] = (cut_span){{codes}, 1, 0};
    for (int low = 1; low < wbit; low++) {
        int one = 1 << low, half = one / 2;
        out[n++] =
            (cut_span){{{0, one - 1}, {-(1 << (wbit - 1 - low)), (1 << (wbit - 1 - low)) - 1}}, 2, low};
        if (low < 2 || low == wbit - 1) continue;
        out[n++] = (cut_span){{{-half, half - 1}, {-(1 << (wbit - 1 - low)), 1 << (wbit - 1 - low)}}, 2, low};
    }
    return n;
}

static int activation_cuts(mq_span codes, int abit, cut_span *out) {
    int n = 0;
    out[n++] = (cut_span){{codes}, 1, 0};
    for (int low = 1; low < abit; low++)
        out[n++] = (cut_span){{{0, (1 << low) - 1}, {0, (1 << (abit - low)) - 1}}, 2, low};
    return n;
}

static mq_status find_splits(planner *p, mq_pack_explorer *e, mq_error *error) {
    const mq_pack_request *r = p->request;
    cut_span weights[2 * MQ_PACK_BITS], activations[MQ_PACK_BITS];
    int wn = weight_cuts(mq_pack_weight_codes(r->wbit, r->symmetric), r->wbit, weights);
    int an = activation_cuts(mq_pack_activation_codes(r->abit), r->abit, activations);
    int taps = r->kernel < MQ_PACK_TAPS ? r->kernel : MQ_PACK_TAPS;
    for (int i = 0; i < wn; i++)
        for (int j = 0; j < an; j++) {
            split *s = &p->split[p->splits++];
            s->parts = 0;
            for (int a = 0; a < weights[i].parts; a++)
                for (int b = 0; b < activations[j].parts; b++) {
                    mq_pack_query q = {r->dsp,   weights[i].part[a],      activations[j].part[b],
                                       taps,     r->depthwise ? taps : 0, r->class,
                                       r->cycles};
                    int k = s->parts++;
                    s->part[k].weight_shift = a ? weights[i].shift : 0;
                    s->part[k].activation_shift = b ? activations[j].shift : 0;
                    MQ_TRY(mq_pack_explorer_solve(e, &q, r->kinds, &s->part[k].front, error));
                    s->part[k].canary = NULL;
                    if (!r->canary || r->cycles == 1) continue;
                    q.cycles = 1;
                    MQ_TRY(mq_pack_explorer_solve(e, &q, r->kinds, &s->part[k].canary, error));
                }
        }
    return MQ_OK;
}

/* ---- the cover ---- */

static double luts_of(const planner *p, const mq_packing *packing, bool canary) {
    return canary ? mq_luts_canary(packing, p->request->cycles) : packing->luts;
}

static double weight_of(const planner *p, const mq_pack_piece *piece, bool canary, int rows, int taps) {
    double cycles = (double)(rows * taps) / mq_packing_products(&piece->packing);
    return cycles * (p->value + p->price * luts_of(p, &piece->packing, canary));
}

/* The cheapest piece of a front for rows x taps, if it is cheaper than *best. */
static void cheapest(const planner *p, const mq_pack_front *front, bool canary, int rows, int taps,
                     const mq_pack_piece **best, bool *by_canary, double *cost) {
    for (int i = 0; i < front->count; i++) {
        const mq_pack_piece *piece = &front->piece[i];
        if (piece->taps != taps || (p->request->depthwise && piece->groups != rows)) continue;
        if (canary && piece->packing.canary < p->request->cycles) continue;
        double c = weight_of(p, piece, canary, rows, taps);
        if (*best && c >= *cost) continue;
        *cost = c;
        *best = piece;
        *by_canary = canary;
    }
}

static void find_leaf(planner *p, int rows, int taps) {
    leaf *best = &p->leaf[rows][taps];
    *best = (leaf){INFINITY, NULL, {NULL}, {false}};
    for (int s = 0; s < p->splits; s++) {
        leaf l = {0, &p->split[s], {NULL}, {false}};
        for (int k = 0; k < p->split[s].parts && l.cost < best->cost; k++) {
            double cost = 0;
            cheapest(p, p->split[s].part[k].front, false, rows, taps, &l.piece[k], &l.canary[k], &cost);
            if (p->split[s].part[k].canary)
                cheapest(p, p->split[s].part[k].canary, true, rows, taps, &l.piece[k], &l.canary[k], &cost);
            l.cost += l.piece[k] ? cost : INFINITY;
        }
        if (l.cost < best->cost * (1 - 1e-12)) *best = l; /* the first, least split, of equals */
    }
}

static void better(cover *c, double cost, cut how, int at) {
    if (!isfinite(cost) || (!(cost < c->cost * (1 - 1e-12)) && c->how != CUT_NONE)) return;
    *c = (cover){cost, how, at};
}

static const leaf *piece_for(const planner *p, int h, int w) {
    int rows = h, taps = w;
    if (rows > MQ_PACK_TAPS || taps > MQ_PACK_TAPS) return NULL;
    const leaf *one = &p->leaf[rows][taps], *turned = &p->leaf[taps][rows];
    return one->cost <= turned->cost ? one : turned;
}

static void find_cover(planner *p, int h, int w) {
    cover *c = &p->cover[h][w];
    *c = (cover){INFINITY, CUT_NONE, 0};
    const leaf *l = piece_for(p, h, w);
    if (l && isfinite(l->cost)) better(c, l->cost, CUT_PIECE, 0);
    for (int i = 1; i <= h / 2; i++) better(c, p->cover[i][w].cost + p->cover[h - i][w].cost, CUT_ACROSS, i);
    for (int i = 1; i <= w / 2; i++) better(c, p->cover[h][i].cost + p->cover[h][w - i].cost, CUT_DOWN, i);
    for (int i = 1; h == w && 2 * i < h; i++)
        better(c, 4 * p->cover[i][h - i].cost + p->cover[h - 2 * i][h - 2 * i].cost, CUT_PINWHEEL, i);
}

static void add_part(planner *p, const mq_pack_part *part) {
    mq_pack_plan *out = p->out;
    for (int i = 0; i < out->parts; i++) {
        mq_pack_part *o = &out->part[i];
        if (o->packing == part->packing && o->canary == part->canary &&
            o->weight_shift == part->weight_shift && o->activation_shift == part->activation_shift) {
            o->count += part->count;
            o->share += part->share;
            return;
        }
    }
    if (out->parts < MQ_PACK_PARTS) out->part[out->parts++] = *part;
}

/* Walks the cover, adding cycles and parts. */
static void collect(planner *p, int h, int w, double times) {
    const cover *c = &p->cover[h][w];
    switch (c->how) {
    case CUT_PIECE: {
        const leaf *l = piece_for(p, h, w);
        for (int k = 0; k < l->how->parts; k++) {
            const mq_pack_piece *piece = l->piece[k];
            double cycles = times * h * w / mq_packing_products(&piece->packing);
            p->cycles += cycles;
            double luts = luts_of(p, &piece->packing, l->canary[k]);
            p->lut_cycles += cycles * luts;
            add_part(p, &(mq_pack_part){&piece->packing, piece->taps, h * w / piece->taps, times, cycles,
                                        l->how->part[k].weight_shift, l->how->part[k].activation_shift,
                                        l->canary[k], luts});
        }
        break;
    }
    case CUT_ACROSS:
        collect(p, c->at, w, times);
        collect(p, h - c->at, w, times);
        break;
    case CUT_DOWN:
        collect(p, h, c->at, times);
        collect(p, h, w - c->at, times);
        break;
    case CUT_PINWHEEL:
        collect(p, c->at, h - c->at, 4 * times);
        collect(p, h - 2 * c->at, h - 2 * c->at, times);
        break;
    case CUT_NONE:
        break;
    }
}

/* The sizes of the stride's phases: how many taps of K have the same remainder. */
static int phase(int kernel, int stride, int i) {
    return (kernel - i + stride - 1) / stride;
}

static bool cover_kernel(planner *p) {
    const mq_pack_request *r = p->request;
    int largest = phase(r->kernel, r->stride, 0);
    for (int rows = 1; rows <= MQ_PACK_TAPS; rows++)
        for (int taps = 1; taps <= MQ_PACK_TAPS; taps++)
            if (rows == 1 || r->depthwise)
                find_leaf(p, rows, taps);
            else
                p->leaf[rows][taps] = (leaf){INFINITY, NULL, {NULL}, {false}};
    for (int h = 1; h <= largest; h++)
        for (int w = 1; w <= largest; w++) find_cover(p, h, w);
    p->cycles = p->lut_cycles = 0;
    p->out->parts = 0;
    for (int i = 0; i < r->stride; i++)
        for (int j = 0; j < r->stride; j++) {
            int h = phase(r->kernel, r->stride, i), w = phase(r->kernel, r->stride, j);
            if (p->cover[h][w].how == CUT_NONE) return false;
            collect(p, h, w, 1);
        }
    return true;
}

static void finish(planner *p) {
    const mq_pack_request *r = p->request;
    mq_pack_plan *out = p->out;
    out->mults = r->kernel * r->kernel / p->cycles;
    out->luts = p->lut_cycles / p->cycles;
    out->class = MQ_CLASS_I;
    out->accumulations = INT64_MAX;
    for (int i = 0; i < out->parts; i++) {
        const mq_packing *packing = out->part[i].packing;
        out->part[i].share /= p->cycles;
        if (packing->class > out->class) out->class = packing->class;
        int64_t accumulations = out->part[i].canary ? packing->canary : packing->accumulations;
        if (accumulations < out->accumulations) out->accumulations = accumulations;
        for (int j = i; j > 0 && out->part[j].share > out->part[j - 1].share; j--) {
            mq_pack_part swap = out->part[j];
            out->part[j] = out->part[j - 1];
            out->part[j - 1] = swap;
        }
    }
    /* the bound: the best of all ways to split */
    int taps = r->kernel < MQ_PACK_TAPS ? r->kernel : MQ_PACK_TAPS;
    cut_span weights[2 * MQ_PACK_BITS], activations[MQ_PACK_BITS];
    int wn = weight_cuts(mq_pack_weight_codes(r->wbit, r->symmetric), r->wbit, weights);
    int an = activation_cuts(mq_pack_activation_codes(r->abit), r->abit, activations);
    out->bound = 0;
    for (int i = 0; i < wn; i++)
        for (int j = 0; j < an; j++) {
            double cycles = 0;
            for (int a = 0; a < weights[i].parts; a++)
                for (int b = 0; b < activations[j].parts; b++)
                    cycles += 1.0 / mq_pack_field_bound(&r->dsp, weights[i].part[a], activations[j].part[b],
                                                        taps, r->class);
            if (1 / cycles > out->bound) out->bound = 1 / cycles;
        }
}

mq_status mq_pack_request_check(const mq_pack_request *r, mq_error *error) {
    if (r->wbit < 1 || r->wbit > MQ_PACK_BITS)
        return mq_fail(error, MQ_USAGE, "weight bits: got %d, expected 1..%d", r->wbit, MQ_PACK_BITS);
    if (r->abit < 1 || r->abit > MQ_PACK_BITS)
        return mq_fail(error, MQ_USAGE, "activation bits: got %d, expected 1..%d", r->abit, MQ_PACK_BITS);
    if (r->kernel < 1 || r->kernel > MQ_PACK_KERNEL)
        return mq_fail(error, MQ_USAGE, "kernel: got %d, expected 1..%d", r->kernel, MQ_PACK_KERNEL);
    if (r->stride < 1 || r->stride > r->kernel)
        return mq_fail(error, MQ_USAGE, "stride: got %d, expected 1..%d (the kernel)", r->stride, r->kernel);
    if (r->symmetric && r->wbit == 1)
        return mq_fail(error, MQ_USAGE,
                       "symmetric weights of 1 bit have only the code 0: 2..8 bits expected");
    if (r->cycles < 1)
        return mq_fail(error, MQ_USAGE, "accumulations: got %lld, expected at least 1", (long long)r->cycles);
    return MQ_OK;
}

mq_status mq_pack_best(mq_pack_explorer *explorer, const mq_pack_request *request, mq_pack_plan *out,
                       mq_error *error) {
    *out = (mq_pack_plan){0};
    MQ_TRY(mq_pack_request_check(request, error));
    planner *p;
    MQ_TRY(mq_alloc(1, sizeof *p, "packing plan", &p, error));
    p->request = request;
    p->out = out;
    p->price =
        request->lut_price < 0 ? 1 / mq_luts_multiplier(request->wbit, request->abit) : request->lut_price;
    mq_status status = find_splits(p, explorer, error);
    if (status != MQ_OK) goto done;
    for (int round = 0; round < 50; round++) {
        if (!cover_kernel(p)) {
            status = mq_fail(
                error, MQ_USAGE,
                "no packing of w%da%d on %s keeps within the budget (%lld accumulations in the slice)",
                request->wbit, request->abit, request->dsp.name, (long long)request->cycles);
            goto done;
        }
        double value = (request->kernel * request->kernel - p->price * p->lut_cycles) / p->cycles;
        if (value <= p->value * (1 + 1e-12)) break;
        p->value = value;
    }
    finish(p);
done:
    mq_free(p);
    return status;
}

static bool beaten(const mq_pack_plan *a, const mq_pack_plan *by) {
    return by->mults >= a->mults * (1 - 1e-9) && by->luts <= a->luts + 1e-9 &&
           by->accumulations >= a->accumulations;
}

mq_status mq_pack_pareto(mq_pack_explorer *explorer, const mq_pack_request *request,
                         mq_pack_plan out[MQ_PACK_PARETO], int *count, mq_error *error) {
    static const double prices[] = {1e9, 4, 2, 1, 0.5, 0.25, 0};
    static const int64_t cycles[] = {1, 2, 4, 8, 16, 32, 64, 128};
    MQ_TRY(mq_pack_request_check(request, error));
    *count = 0;
    double unit = 1 / mq_luts_multiplier(request->wbit, request->abit);
    for (size_t c = 0; c < sizeof cycles / sizeof *cycles; c++)
        for (size_t i = 0; i < 2 * sizeof prices / sizeof *prices; i++) {
            mq_pack_request one = *request;
            mq_pack_plan plan;
            one.cycles = cycles[c];
            one.lut_price = prices[i / 2] * unit;
            one.canary = i % 2;
            if (one.canary && one.cycles == 1) continue;
            mq_status status = mq_pack_best(explorer, &one, &plan, error);
            if (status == MQ_USAGE) continue; /* nothing accumulates so often */
            if (status != MQ_OK) return status;
            bool wanted = *count < MQ_PACK_PARETO;
            for (int k = 0; k < *count && wanted; k++) wanted = !beaten(&plan, &out[k]);
            if (!wanted) continue;
            int kept = 0;
            for (int k = 0; k < *count; k++)
                if (!beaten(&out[k], &plan)) out[kept++] = out[k];
            int at = kept;
            for (; at > 0 && (out[at - 1].luts > plan.luts ||
                              (out[at - 1].luts == plan.luts && out[at - 1].mults < plan.mults));
                 at--)
                out[at] = out[at - 1];
            out[at] = plan;
            *count = kept + 1;
        }
    if (*count == 0)
        return mq_fail(error, MQ_USAGE, "no packing of w%da%d on %s", request->wbit, request->abit,
                       request->dsp.name);
    return MQ_OK;
}

bool mq_pack_plan_splits(const mq_pack_plan *plan) {
    for (int i = 0; i < plan->parts; i++)
        if (plan->part[i].weight_shift || plan->part[i].activation_shift) return true;
    return false;
}

void mq_pack_plan_kind(const mq_pack_plan *plan, char *out, size_t size) {
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < plan->parts && n + 1 < size; i++) {
        const char *kind = plan->part[i].packing->kind;
        bool seen = false;
        for (int j = 0; j < i; j++) seen |= strcmp(plan->part[j].packing->kind, kind) == 0;
        if (!seen) n += (size_t)snprintf(out + n, size - n, "%s%s", n ? "+" : "", kind);
    }
    if (mq_pack_plan_splits(plan) && n + 1 < size) snprintf(out + n, size - n, " split");
}
