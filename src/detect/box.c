/* box.c - overlap of boxes. */
#include "detect/box.h"

#include <math.h>

static double overlap(double centre_a, double size_a, double centre_b, double size_b) {
    double low_a = centre_a - size_a / 2, low_b = centre_b - size_b / 2;
    double high_a = centre_a + size_a / 2, high_b = centre_b + size_b / 2;
    double low = low_a > low_b ? low_a : low_b, high = high_a < high_b ? high_a : high_b;
    return high > low ? high - low : 0;
}

double mq_box_iou(const mq_box *a, const mq_box *b) {
    double aw = (double)a->w, ah = (double)a->h, bw = (double)b->w, bh = (double)b->h;
    /* comparisons with NaN would take the other box's edges */
    if (isnan((double)a->x + (double)a->y + aw + ah) || isnan((double)b->x + (double)b->y + bw + bh))
        return 0;
    double inside = overlap((double)a->x, aw, (double)b->x, bw) * overlap((double)a->y, ah, (double)b->y, bh);
    return inside / (aw * ah + bw * bh - inside + 1e-16);
}
