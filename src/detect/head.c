/* head.c - decoding a detection head. In double: a few values per image. */
#include "detect/head.h"

#include <math.h>

mq_status mq_head_check(const mq_head *head, int channels, mq_error *error) {
    if (head->in_h < 1 || head->in_w < 1 || head->grid_h < 1 || head->grid_w < 1)
        return mq_fail(
            error, MQ_BAD_INPUT,
            "detection head: got an input of %d x %d and a grid of %d x %d, positive sizes expected",
            head->in_h, head->in_w, head->grid_h, head->grid_w);
    if (head->anchors < 1 || head->anchors > MQ_HEAD_ANCHORS || head->classes < 1)
        return mq_fail(error, MQ_BAD_INPUT,
                       "detection head: got %d anchors and %d classes, 1 to %d anchors and at least 1 class "
                       "expected",
                       head->anchors, head->classes, MQ_HEAD_ANCHORS);
    for (int a = 0; a < head->anchors; a++)
        if (!(isfinite(head->anchor_w[a]) && isfinite(head->anchor_h[a]) && head->anchor_w[a] > 0 &&
              head->anchor_h[a] > 0))
            return mq_fail(error, MQ_BAD_INPUT,
                           "detection head: anchor %d: got %g x %g pixels, positive sizes expected", a,
                           head->anchor_w[a], head->anchor_h[a]);
    if (channels != mq_head_channels(head))
        return mq_fail(error, MQ_BAD_INPUT,
                       "detection head: got %d channels, expected %d anchors x (5 + %d classes)", channels,
                       head->anchors, head->classes);
    return MQ_OK;
}

static double logit(const mq_head *head, const float *output, mq_head_layout layout, int anchor, int row,
                    int column, int field) {
    size_t channel = (size_t)(anchor * mq_head_fields(head) + field);
    size_t cell = (size_t)row * (size_t)head->grid_w + (size_t)column;
    size_t cells = (size_t)head->grid_h * (size_t)head->grid_w;
    return (double)(layout == MQ_HEAD_NHWC ? output[cell * (size_t)mq_head_channels(head) + channel]
                                           : output[channel * cells + cell]);
}

static double sigmoid(double z) {
    return 1 / (1 + exp(-z));
}

typedef struct sums {
    double x, y, w, h, confidence;
} sums;

static void add(const mq_head *head, const float *output, mq_head_layout layout, int anchor, int row,
                int column, sums *s) {
    double v[MQ_HEAD_CLASS];
    for (int f = 0; f < MQ_HEAD_CLASS; f++) v[f] = logit(head, output, layout, anchor, row, column, f);
    s->x += (sigmoid(v[MQ_HEAD_X]) + column) * head->in_w / head->grid_w;
    s->y += (sigmoid(v[MQ_HEAD_Y]) + row) * head->in_h / head->grid_h;
    /* not beyond: a product of two sizes stays finite */
    s->w += exp(v[MQ_HEAD_W] > 60 ? 60 : v[MQ_HEAD_W]) * head->anchor_w[anchor];
    s->h += exp(v[MQ_HEAD_H] > 60 ? 60 : v[MQ_HEAD_H]) * head->anchor_h[anchor];
    s->confidence += sigmoid(v[MQ_HEAD_OBJECT]);
}

static mq_found average(const sums *s, int n, int row, int column) {
    return (mq_found){{(float)(s->x / n), (float)(s->y / n), (float)(s->w / n), (float)(s->h / n)},
                      (float)(s->confidence / n),
                      row,
                      column};
}

mq_found mq_head_decode(const mq_head *head, const float *output, mq_head_layout layout, int anchor, int row,
                        int column) {
    sums s = {0};
    add(head, output, layout, anchor, row, column, &s);
    return average(&s, 1, row, column);
}

mq_found mq_head_find(const mq_head *head, const float *output, mq_head_layout layout) {
    double best = -1;
    int at_row = 0, at_column = 0;
    for (int row = 0; row < head->grid_h; row++)
        for (int column = 0; column < head->grid_w; column++) {
            double confidence = 0;
            for (int a = 0; a < head->anchors; a++)
                confidence += sigmoid(logit(head, output, layout, a, row, column, MQ_HEAD_OBJECT));
            if (!(confidence > best)) continue;
            best = confidence;
            at_row = row;
            at_column = column;
        }
    sums s = {0};
    for (int a = 0; a < head->anchors; a++) add(head, output, layout, a, at_row, at_column, &s);
    return average(&s, head->anchors, at_row, at_column);
}

mq_box mq_head_pixels(const mq_head *head, const mq_box *box) {
    float w = (float)head->in_w, h = (float)head->in_h;
    return (mq_box){box->x * w, box->y * h, box->w * w, box->h * h};
}

double mq_head_iou(const mq_head *head, const mq_found *found, const mq_target *targets, size_t count) {
    double best = 0;
    for (size_t i = 0; i < count; i++) {
        mq_box target = mq_head_pixels(head, &targets[i].box);
        double iou = mq_box_iou(&found->box, &target);
        if (iou > best) best = iou;
    }
    return best;
}
