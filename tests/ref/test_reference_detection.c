/* test_reference_detection.c - the detection loss of the float64 reference: values by hand, and its gradient
 * by finite differences with the trade-off of CIoU held. */
#include "helper_reference.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"

/* Cells of 8 x 16 pixels; anchors of different sizes. */
static const char NET[] = "name: d\ntask: detection\nclasses: 1\nanchors: [[20, 12], [6.5, 30], [9, 8]]\n"
                          "input: {channels: 1, height: 24, width: 64}\n"
                          "layers:\n  - conv: {out: 4, kernel: 3, stride: 2}\n  - batch_norm\n  - max_pool\n"
                          "  - conv: {out: 18, kernel: 3, stride: 2, bias: true}\n";

enum { GH = 3, GW = 8, CHANNELS = 18, N = 4, VALUES = N * GH * GW * CHANNELS, MOST = 8 };

typedef struct setting {
    mq_net *net;
    double z[VALUES], d[VALUES], alpha[MOST * 3];
    mq_ref_target targets[MOST];
    int count;
    int moved;
} setting;

static void open_net(mq_net **net) {
    OK(mq_net_parse("d.yaml", NET, strlen(NET), net, ERROR));
    assert_int_equal((*net)->nodes[(*net)->output].h, GH);
    assert_int_equal((*net)->nodes[(*net)->output].w, GW);
}

static double moved_loss(void *context, double delta) {
    setting *s = context;
    const double before = s->z[s->moved];
    s->z[s->moved] += delta;
    const double value =
        mq_ref_detection_loss(s->net, s->z, N, s->targets, s->count, s->alpha, true, NULL).loss;
    s->z[s->moved] = before;
    return value;
}

static void check_gradient(setting *s, const char *what) {
    const mq_ref_detection r =
        mq_ref_detection_loss(s->net, s->z, N, s->targets, s->count, s->alpha, false, s->d);
    assert_true(isfinite(r.loss) && fabs(r.loss - (r.box + r.objectness) * N / 64) < 1e-12);
    for (s->moved = 0; s->moved < VALUES; s->moved++)
        compare(what, "output", (size_t)s->moved, s->d[s->moved], difference(moved_loss, s),
                largest(s->d, VALUES));
}

static void gradients(void **state) {
    (void)state;
    static setting s;
    open_net(&s.net);
    const mq_rng rng = mq_rng_stream(3, "outputs", 0);
    for (int e = 0; e < VALUES; e++) s.z[e] = (double)mq_rng_normal(&rng, (uint64_t)e);
    /* image 1 has none; two in one cell of image 3; on cell borders and corners; tiny and huge boxes */
    const mq_ref_target targets[] = {
        {0, 0.31, 0.42, 0.2, 0.3, 0.7}, {2, 0.5, 1.0 / 3, 0.11, 0.19, 1.3}, {2, 1, 1, 0.3, 0.2, 1.3},
        {3, 0.83, 0.7, 1e-4, 2e-4, 1},  {3, 0.8301, 0.71, 0.97, 1, 1},      {3, 0, 0, 0.05, 0.6, 1},
    };
    s.count = sizeof targets / sizeof *targets;
    memcpy(s.targets, targets, sizeof targets);
    check_gradient(&s, "several targets");
    s.count = 0;
    check_gradient(&s, "no target");
    /* large outputs: saturated sigmoids, sizes held at 1000 anchors */
    s.count = sizeof targets / sizeof *targets;
    for (int e = 0; e < VALUES; e++) s.z[e] *= 6;
    check_gradient(&s, "large outputs");
    mq_net_free(s.net);
}

/* One target that the anchor predicts exactly, and one that is off by known amounts. */
static void values(void **state) {
    (void)state;
    static setting s;
    open_net(&s.net);
    for (int e = 0; e < VALUES; e++) s.z[e] = e % 6 == 4 ? -40 : 0;
    /* cell (1, 2), its middle; 20 x 12 pixels is the first anchor */
    s.targets[0] = (mq_ref_target){0, 2.5 / GW, 1.5 / GH, 20.0 / 64, 12.0 / 24, 2};
    s.count = 1;
    mq_ref_detection r = mq_ref_detection_loss(s.net, s.z, N, s.targets, 1, s.alpha, false, s.d);
    double ciou = 0, iou = 0;
    const double tw = 2.5, th = 1.5, sizes[3][2] = {{2.5, 1.5}, {6.5 / 8, 3.75}, {9.0 / 8, 1}};
    for (int a = 0; a < 3; a++) {
        const double w = sizes[a][0], h = sizes[a][1], inside = fmin(w, tw) * fmin(h, th);
        const double u = inside / (w * h + tw * th - inside);
        const double v = 4 / (M_PI * M_PI) * pow(atan(tw / th) - atan(w / h), 2);
        iou += u / 3;
        ciou += (u - (v > 0 ? v * v / (1 - u + v) : 0)) / 3;
    }
    assert_true(fabs(r.box - 3.54 * (1 - ciou)) < 1e-12 && fabs(r.mean_iou - iou) < 1e-12);
    /* three anchors missed at -40, weight 2; everything else is e^-40 */
    assert_true(fabs(r.objectness - 64.3 * 2 * 3 * 40 / (N * GH * GW * 3)) < 1e-12);
    /* a shift of half a cell to the left: only the distance and the overlap change */
    s.targets[0].x = 2.0 / GW;
    r = mq_ref_detection_loss(s.net, s.z, N, s.targets, 1, s.alpha, false, s.d);
    const size_t cell = ((1 * GW) + 2) * CHANNELS;
    assert_true(s.d[cell + 4] < 0 && s.d[cell + 10] < 0 && s.d[cell - 2] > 0);
    const double u = 2.0 * 1.5 / (2 * 2.5 * 1.5 - 2.0 * 1.5);
    mq_ref_target only = s.targets[0];
    assert_true(only.x * GW == 2);
    double first = u - 0.25 / (9 + 2.25), others = 0;
    for (int a = 1; a < 3; a++) {
        const double w = sizes[a][0], h = sizes[a][1];
        const double wide = fmin(0.5 + w / 2, tw / 2) - fmax(0.5 - w / 2, -tw / 2), high = fmin(h, th),
                     inside = wide * high;
        const double hull_w = fmax(0.5 + w / 2, tw / 2) - fmin(0.5 - w / 2, -tw / 2), hull_h = fmax(h, th);
        const double ui = inside / (w * h + tw * th - inside);
        const double v = 4 / (M_PI * M_PI) * pow(atan(tw / th) - atan(w / h), 2);
        others += ui - 0.25 / (hull_w * hull_w + hull_h * hull_h) - v * v / (1 - ui + v);
    }
    assert_true(fabs(r.box - 3.54 * (1 - (first + others) / 3)) < 1e-12);
    mq_net_free(s.net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients),
        cmocka_unit_test(values),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
