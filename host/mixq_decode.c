/* mixq_decode.c - classes and boxes from the head's accumulators. Channel of a detector = anchor*(5 +
 * classes) + field; x, y = (sigmoid + cell) * stride, w, h = exp * anchor; the box is the average over the
 * anchors of the cell whose average confidence is highest. */
#include <math.h>

#include "mixq_host.h"

int mixq_class(const mixq_device *a, const int32_t *head) {
    size_t n = mixq_stream_values(&a->out), best = 0;
    for (size_t i = 1; i < n; i++)
        if (head[i] > head[best]) best = i;
    return (int)best;
}

static double sigmoid(double z) {
    return 1 / (1 + exp(-z));
}

static double value(const mixq_device *a, const int32_t *head, int row, int column, int anchor, int field) {
    int channel = anchor * (5 + a->classes) + field;
    int32_t acc =
        head[((size_t)row * (size_t)a->out.w + (size_t)column) * (size_t)a->out.c + (size_t)channel];
    float real = (float)acc / a->divisor;
    return (double)real;
}

mixq_box mixq_find_box(const mixq_device *a, const int32_t *head) {
    double best = -1, x = 0, y = 0, w = 0, h = 0, confidence = 0;
    mixq_box out = {0};
    for (int row = 0; row < a->out.h; row++)
        for (int column = 0; column < a->out.w; column++) {
            double sum = 0;
            for (int k = 0; k < a->anchors; k++) sum += sigmoid(value(a, head, row, column, k, 4));
            if (!(sum > best)) continue;
            best = sum;
            out.row = row;
            out.column = column;
        }
    for (int k = 0; k < a->anchors; k++) {
        double v[5];
        for (int f = 0; f < 5; f++) v[f] = value(a, head, out.row, out.column, k, f);
        x += (sigmoid(v[0]) + out.column) * a->in.w / a->out.w;
        y += (sigmoid(v[1]) + out.row) * a->in.h / a->out.h;
        w += exp(v[2] > 60 ? 60 : v[2]) * a->anchor_w[k];
        h += exp(v[3] > 60 ? 60 : v[3]) * a->anchor_h[k];
        confidence += sigmoid(v[4]);
    }
    int n = a->anchors > 0 ? a->anchors : 1;
    out.x = (float)(x / n), out.y = (float)(y / n), out.w = (float)(w / n), out.h = (float)(h / n);
    out.confidence = (float)(confidence / n);
    return out;
}
