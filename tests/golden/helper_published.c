/* helper_published.c - see helper_published.h. */
#include "helper_published.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

static published_codes make_codes(int c, int h, int w) {
    return (published_codes){c, h, w, calloc((size_t)c * (size_t)h * (size_t)w, sizeof(int64_t))};
}

static int64_t at(const published_codes *x, int c, int y, int z) {
    bool inside = y >= 0 && y < x->h && z >= 0 && z < x->w;
    return inside ? x->v[(c * x->h + y) * x->w + z] : 0;
}

/* A convolution of stride 1, by definition, over a plane at a time. */
static published_codes convolve(const published_codes *in, const mq_inet_conv *a) {
    published_codes out = make_codes(a->out_channels, in->h, in->w);
    int ig = in->c / a->groups, og = a->out_channels / a->groups, k = a->kernel_h;
    for (int o = 0; o < out.c; o++)
        for (int i = 0; i < ig; i++)
            for (int t = 0; t < k * k; t++) {
                int64_t weight = a->weight[(o * ig + i) * k * k + t];
                int dy = t / k - a->pad_top, dx = t % k - a->pad_left, from = o / og * ig + i;
                int first = dx < 0 ? -dx : 0, end = dx > 0 ? out.w - dx : out.w; /* columns inside */
                for (int y = 0; weight && y < out.h; y++) {
                    if (y + dy < 0 || y + dy >= in->h) continue;
                    const int64_t *row = in->v + (from * in->h + y + dy) * in->w;
                    int64_t *to = out.v + (o * out.h + y) * out.w;
                    for (int x = first; x < end; x++) to[x] += weight * row[x + dx];
                }
            }
    return out;
}

static void requantise(published_codes *x, const mq_inet_requant *r) {
    int64_t top = ((int64_t)1 << r->bits) - 1;
    for (int i = 0; i < x->c * x->h * x->w; i++) {
        int c = i / (x->h * x->w);
        int64_t v = (x->v[i] * r->inc[c] + r->bias[c]) >> r->shift;
        x->v[i] = v < 0 ? 0 : v > top ? top : v;
    }
}

static published_codes pool(const published_codes *in) {
    published_codes out = make_codes(in->c, in->h / 2, in->w / 2);
    for (int c = 0; c < out.c; c++)
        for (int y = 0; y < out.h; y++)
            for (int x = 0; x < out.w; x++) {
                int64_t best = INT64_MIN;
                for (int t = 0; t < 4; t++) {
                    int64_t v = at(in, c, 2 * y + t / 2, 2 * x + t % 2);
                    best = v > best ? v : best;
                }
                out.v[(c * out.h + y) * out.w + x] = best;
            }
    return out;
}

/* round((reorg2(B)*step)/other), not clipped, before `in`. */
static published_codes join(const published_codes *b, const published_codes *in, double step, double other) {
    published_codes out = make_codes(4 * b->c + in->c, in->h, in->w);
    for (int c = 0; c < out.c; c++)
        for (int y = 0; y < out.h; y++)
            for (int x = 0; x < out.w; x++) {
                int d = c / b->c; /* 2*dy + dx */
                int64_t v = c >= 4 * b->c
                                ? at(in, c - 4 * b->c, y, x)
                                : (int64_t)rintf((float)at(b, c % b->c, 2 * y + d / 2, 2 * x + d % 2) *
                                                 (float)step / (float)other);
                out.v[(c * out.h + y) * out.w + x] = v;
            }
    return out;
}

int published_layers(const mq_inet *net, published_layer out[PUBLISHED_LAYERS]) {
    int count = 0;
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_node *n = &net->nodes[i];
        if (n->kind != MQ_INET_CONV) continue;
        assert_true(count < PUBLISHED_LAYERS);
        out[count] =
            (published_layer){.conv = &n->conv, .in = &net->nodes[n->input[0]].edge, .out = &n->edge};
        for (int k = i + 1; k < net->node_count; k++)
            if (net->nodes[k].kind == MQ_INET_REQUANT && net->nodes[k].input[0] == i)
                out[count].requant = &net->nodes[k].requant;
        count++;
    }
    return count;
}

published_codes published_run(bool bypass, const published_layer *layers, int count, const uint8_t *image) {
    const char *pooled = bypass ? "pppp....." : ".p.p.p.......";
    published_codes x = make_codes(layers[0].in->c, layers[0].in->h, layers[0].in->w), kept = {0};
    for (int i = 0; i < x.c * x.h * x.w; i++)
        x.v[i] = image[i % (x.h * x.w) * x.c + i / (x.h * x.w)] >> (8 - layers[0].in->bits);
    for (int n = 0; n < count; n++) {
        published_codes before = x;
        if (bypass && n == count - 2) {
            x = join(&kept, &before, layers[4].in->scale, layers[7].in->scale);
            free(before.v);
            before = x;
        }
        x = convolve(&before, layers[n].conv);
        if (before.v != kept.v) free(before.v);
        if (!layers[n].requant) break;
        requantise(&x, layers[n].requant);
        if (bypass && n == 3) kept = x;
        if (pooled[n] != 'p') continue;
        before = x;
        x = pool(&before);
        if (before.v != kept.v) free(before.v);
    }
    free(kept.v);
    for (int i = 0; layers[count - 1].conv->bias && i < x.c * x.h * x.w; i++)
        x.v[i] += layers[count - 1].conv->bias[i / (x.h * x.w)];
    return x;
}
