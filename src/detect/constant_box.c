/* constant_box.c - a grid of starts and some of the targets themselves, the best of them refined by a pattern
 * search. */
#include "detect/constant_box.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/memory.h"

enum {
    CENTRES = 9,
    SIZES = 5,
    KEPT = 8,
    OWN = 256,
    COARSE = 2048 /* images that the grid is judged by, about */
};

typedef struct view {
    const mq_target *targets;
    size_t count;
    size_t every; /* only each so many-th image */
} view;

static double mean_iou(const view *v, const mq_box *box) {
    double sum = 0, best = 0;
    size_t images = 0, judged = 0;
    for (size_t i = 0; i < v->count; i++) {
        bool first = i == 0 || v->targets[i].image != v->targets[i - 1].image;
        if (first && i > 0) {
            sum += best;
            best = 0;
            images++;
        }
        if (images % v->every) continue;
        if (first) judged++;
        double iou = mq_box_iou(box, &v->targets[i].box);
        if (iou > best) best = iou;
    }
    return judged ? (sum + best) / (double)judged : 0;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The middle of each of SIZES equal parts of the sorted widths (which = 0) or heights. */
static void sizes(const view *v, int which, float *work, float out[SIZES]) {
    for (size_t i = 0; i < v->count; i++) work[i] = which ? v->targets[i].box.h : v->targets[i].box.w;
    qsort(work, v->count, sizeof *work, ascending);
    for (size_t k = 0; k < SIZES; k++) out[k] = work[(2 * k + 1) * v->count / (2 * SIZES)];
}

typedef struct candidate {
    mq_box box;
    double iou;
} candidate;

/* Keeps the KEPT best, best first; earlier ones stay before equal later ones. */
static void keep(candidate list[KEPT], const candidate *c) {
    int at = KEPT;
    while (at > 0 && c->iou > list[at - 1].iou) at--;
    for (int i = KEPT - 1; i > at; i--) list[i] = list[i - 1];
    if (at < KEPT) list[at] = *c;
}

static void from_grid(const view *v, const float w[SIZES], const float h[SIZES], candidate list[KEPT]) {
    for (int y = 0; y < CENTRES; y++)
        for (int x = 0; x < CENTRES; x++)
            for (int k = 0; k < SIZES * SIZES; k++) {
                candidate c = {
                    {((float)x + 0.5f) / CENTRES, ((float)y + 0.5f) / CENTRES, w[k % SIZES], h[k / SIZES]},
                    0};
                c.iou = mean_iou(v, &c.box);
                keep(list, &c);
            }
}

/* The targets' own boxes, OWN of them at most. */
static void from_targets(const view *v, candidate list[KEPT]) {
    for (size_t i = 0; i < v->count; i += v->count / OWN + 1) {
        candidate c = {v->targets[i].box, mean_iou(v, &v->targets[i].box)};
        keep(list, &c);
    }
}

/* One step at a time along each coordinate, sizes by factors, while it helps; then half the step. */
static void refine(const view *v, candidate *c) {
    c->iou = mean_iou(v, &c->box);
    enum { FIRST = 3, LAST = 16 }; /* steps of 2^-3 to 2^-16 of the image */
    for (int k = FIRST; k <= LAST; k++) {
        const double step = ldexp(1, -k);
        bool moved = true;
        for (int round = 0; moved && round < 64; round++) {
            moved = false;
            for (int move = 0; move < 8; move++) {
                candidate next = *c;
                float d = (float)(move & 1 ? -step : step);
                if (move / 2 == 0) next.box.x += d;
                if (move / 2 == 1) next.box.y += d;
                if (move / 2 == 2) next.box.w *= 1 + d;
                if (move / 2 == 3) next.box.h *= 1 + d;
                next.iou = mean_iou(v, &next.box);
                if (!(next.iou > c->iou)) continue;
                *c = next;
                moved = true;
            }
        }
    }
}

mq_status mq_constant_box(const mq_target *targets, size_t count, mq_box *box, double *iou, mq_error *error) {
    candidate list[2][KEPT], best = {.iou = -1};
    view all = {targets, count, 1}, some = {targets, count, count / COARSE + 1};
    *iou = 0;
    if (box) *box = (mq_box){0};
    if (count == 0) return MQ_OK;
    float *work, w[SIZES], h[SIZES];
    MQ_TRY(mq_alloc(count, sizeof *work, "the sizes of targets", &work, error));
    sizes(&all, 0, work, w);
    sizes(&all, 1, work, h);
    mq_free(work);
    for (int i = 0; i < 2 * KEPT; i++) list[i / KEPT][i % KEPT] = (candidate){{0.5f, 0.5f, 1, 1}, -1};
    from_grid(&some, w, h, list[0]);
    from_targets(&some, list[1]);
    for (int i = 0; i < 2 * KEPT; i++) {
        candidate *c = &list[i / KEPT][i % KEPT];
        refine(&some, c);
        if (c->iou > best.iou) best = *c;
    }
    if (some.every > 1) refine(&all, &best);
    *iou = best.iou;
    if (box) *box = best.box;
    return MQ_OK;
}
