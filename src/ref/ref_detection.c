/* ref_detection.c - the detection loss (numerics.md section 6), corner by corner. */
#include <math.h>
#include <string.h>

#include "ref/ref_op.h"

/* A number and its derivatives to the predicted centre x, y and size w, h: forward differentiation, so that
 * the value and its gradient are one text. */
typedef struct dual {
    double v, d[4];
} dual;

static dual constant(double v) {
    return (dual){.v = v};
}
static dual linear(double a, dual x, double b, dual y) {
    dual r = {.v = a * x.v + b * y.v};
    for (int i = 0; i < 4; i++) r.d[i] = a * x.d[i] + b * y.d[i];
    return r;
}
static dual times(dual x, dual y) {
    dual r = {.v = x.v * y.v};
    for (int i = 0; i < 4; i++) r.d[i] = x.d[i] * y.v + x.v * y.d[i];
    return r;
}
static dual over(dual x, dual y) {
    dual r = {.v = x.v / y.v};
    for (int i = 0; i < 4; i++) r.d[i] = (x.d[i] - r.v * y.d[i]) / y.v;
    return r;
}
static dual arctangent(dual x) {
    dual r = {.v = atan(x.v)};
    for (int i = 0; i < 4; i++) r.d[i] = x.d[i] / (1 + x.v * x.v);
    return r;
}
/* Of equals half of each. */
static dual larger(dual x, dual y) {
    return x.v > y.v ? x : x.v < y.v ? y : linear(0.5, x, 0.5, y);
}
static dual smaller(dual x, dual y) {
    return x.v < y.v ? x : x.v > y.v ? y : linear(0.5, x, 0.5, y);
}

typedef struct box {
    dual x, y, w, h; /* grid units, from the cell's corner */
} box;

static dual complete_iou(const box *p, const box *t, double *alpha, bool hold, double *plain) {
    const double pi = acos(-1);
    dual p_left = linear(1, p->x, -0.5, p->w), p_right = linear(1, p->x, 0.5, p->w);
    dual p_top = linear(1, p->y, -0.5, p->h), p_bottom = linear(1, p->y, 0.5, p->h);
    dual t_left = linear(1, t->x, -0.5, t->w), t_right = linear(1, t->x, 0.5, t->w);
    dual t_top = linear(1, t->y, -0.5, t->h), t_bottom = linear(1, t->y, 0.5, t->h);
    dual wide = linear(1, smaller(p_right, t_right), -1, larger(p_left, t_left));
    dual high = linear(1, smaller(p_bottom, t_bottom), -1, larger(p_top, t_top));
    if (wide.v < 0) wide = constant(0);
    if (high.v < 0) high = constant(0);
    dual inside = times(wide, high);
    dual joined = linear(1, linear(1, times(p->w, p->h), 1, times(t->w, t->h)), -1, inside);
    joined.v += 1e-16;
    dual iou = over(inside, joined);
    dual hull_w = linear(1, larger(p_right, t_right), -1, smaller(p_left, t_left));
    dual hull_h = linear(1, larger(p_bottom, t_bottom), -1, smaller(p_top, t_top));
    dual diagonal = linear(1, times(hull_w, hull_w), 1, times(hull_h, hull_h));
    diagonal.v += 1e-16;
    dual dx = linear(1, t->x, -1, p->x), dy = linear(1, t->y, -1, p->y);
    dual distance = linear(1, times(dx, dx), 1, times(dy, dy));
    dual turn = linear(1, arctangent(over(t->w, t->h)), -1, arctangent(over(p->w, p->h)));
    dual v = times(turn, turn);
    v = linear(4 / (pi * pi), v, 0, v);
    if (!hold) *alpha = v.v > 0 ? v.v / (1 - iou.v + v.v) : 0;
    *plain = iou.v;
    return linear(1, linear(1, iou, -1, over(distance, diagonal)), -*alpha, v);
}

static double logistic(double z) {
    return 1 / (1 + exp(-z));
}

static int clamped(double place, int cells) {
    int cell = (int)floor(place);
    return cell < 0 ? 0 : cell >= cells ? cells - 1 : cell;
}

mq_ref_detection mq_ref_detection_loss(const mq_net *net, const double *output, int n,
                                       const mq_ref_target *targets, int count, double *alpha, bool hold,
                                       double *d_output) {
    const mq_node *last = &net->nodes[net->output];
    const int fields = 5 + net->classes, anchors = net->anchor_count, gh = last->h, gw = last->w;
    const double assigned = (double)count * anchors, cells = (double)n * anchors * gh * gw, scale = n / 64.0;
    mq_ref_detection r = {0};
    if (d_output) memset(d_output, 0, (size_t)(n * gh * gw * last->c) * sizeof *d_output);
    for (int t = 0; t < count; t++) {
        const int row = clamped(targets[t].y * gh, gh), column = clamped(targets[t].x * gw, gw);
        const box wanted = {constant(targets[t].x * gw - column), constant(targets[t].y * gh - row),
                            constant(targets[t].w * gw), constant(targets[t].h * gh)};
        for (int a = 0; a < anchors; a++) {
            const size_t at = (size_t)(((targets[t].image * gh + row) * gw + column) * last->c + a * fields);
            const double *z = output + at;
            const double ew = exp(z[2]), eh = exp(z[3]);
            /* the network's anchors are float32 */
            const double aw = (double)net->anchor_w[a] / ((double)net->in_w / gw),
                         ah = (double)net->anchor_h[a] / ((double)net->in_h / gh);
            const box p = {{logistic(z[0]), {1, 0, 0, 0}},
                           {logistic(z[1]), {0, 1, 0, 0}},
                           {fmin(ew, 1e3) * aw, {0, 0, 1, 0}},
                           {fmin(eh, 1e3) * ah, {0, 0, 0, 1}}};
            double own, plain;
            const dual c = complete_iou(&p, &wanted, alpha ? &alpha[t * anchors + a] : &own, hold, &plain);
            r.box += 3.54 * (1 - c.v) / assigned;
            r.mean_iou += plain / assigned;
            if (!d_output) continue;
            const double slope[4] = {p.x.v * (1 - p.x.v), p.y.v * (1 - p.y.v), ew <= 1e3 ? p.w.v : 0,
                                     eh <= 1e3 ? p.h.v : 0};
            for (int i = 0; i < 4; i++)
                d_output[at + (size_t)i] += -3.54 * scale * c.d[i] * slope[i] / assigned;
        }
    }
    for (int b = 0; b < n; b++)
        for (int row = 0; row < gh; row++)
            for (int column = 0; column < gw; column++)
                for (int a = 0; a < anchors; a++) {
                    double weight = 1, wanted = 0;
                    for (int t = 0; t < count; t++) {
                        if (targets[t].image != b) continue;
                        weight = targets[t].weight;
                        if (clamped(targets[t].y * gh, gh) == row && clamped(targets[t].x * gw, gw) == column)
                            wanted = 1;
                    }
                    const size_t at = (size_t)(((b * gh + row) * gw + column) * last->c + a * fields + 4);
                    const double z = output[at], share = 64.3 * weight / cells;
                    r.objectness += share * (fmax(z, 0) - z * wanted + log(1 + exp(-fabs(z))));
                    if (d_output) d_output[at] = share * scale * (logistic(z) - wanted);
                }
    r.loss = scale * (r.box + r.objectness);
    return r;
}
