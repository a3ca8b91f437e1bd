/* bench_network.c - a network's convolutions layer by layer, and whole training steps beside them.
 *
 * usage: bench_network MODEL [batch [repeats [f32|bf16]]]      (MODEL: a file or a built-in name; 16, 5,
 * both) One thread. Times are of the processor, not of the clock, so that a busy machine does less harm; of
 * each pass the median of the repeats, which alternate between the layers. Of a layer's passes also the
 * operations per second and the implementation; of depthwise layers, which memory bounds, read "GB/s" too:
 * inputs and outputs once each. The steps (forward, backward with a random gradient, no loss) are timed in
 * turns with the convolutions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "net/net.h"
#include "ops/conv_specs.h"

enum { MOST = 64, FORWARD = 0, DATA, WEIGHTS, MIXED, PASSES, REPEATS = 100 };
static const char *const PASS_NAMES[PASSES] = {"forward", "backward data", "backward weights",
                                               "forward of mixes"};

typedef struct layer {
    mq_dnn_conv_spec spec;
    bool mixes, rounded; /* in a search; its output there */
    mq_dnn_conv *conv;
    mq_dnn_conv *mixed; /* forward of a search, where that of fixed bits multiplies codes; else NULL */
    void *src, *diff_dst;
    uint8_t *codes; /* src of a forward pass on codes */
    float *dst, *w, *dw;
    void *diff_src;
    double seconds[PASSES][REPEATS];
} layer;

typedef struct bench {
    const mq_net *net;
    int batch, repeats;
    mq_dtype compute;
    mq_dnn *dnn;
    layer layers[MOST];
    int count;
} bench;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n) {
    qsort(values, (size_t)n, sizeof *values, ascending);
    return values[n / 2];
}

/* Random in [-1, 1), in the type that the convolutions read. */
static mq_status operand(size_t count, mq_dtype type, void *out, mq_error *error) {
    const mq_rng rng = mq_rng_stream(0, "bench", 0);
    MQ_TRY(mq_alloc(count, mq_dtype_size(type), "operands", out, error));
    void *values = *(void **)out;
    for (size_t i = 0; i < count; i++) {
        const float v = 2 * mq_rng_uniform(&rng, i % 65536) - 1;
        if (type == MQ_BF16)
            ((uint16_t *)values)[i] = mq_f32_to_bf16(v);
        else
            ((float *)values)[i] = v;
    }
    return MQ_OK;
}

static size_t src_count(const mq_dnn_conv_spec *s) {
    return (size_t)s->n * (size_t)s->ih * (size_t)s->iw * (size_t)s->ic;
}

static size_t dst_count(const mq_dnn_conv_spec *s) {
    return (size_t)s->n * (size_t)s->oh * (size_t)s->ow * (size_t)s->oc;
}

static mq_status make_layer(bench *b, layer *l, mq_error *error) {
    const mq_dnn_conv_spec *s = &l->spec;
    const size_t w = (size_t)s->oc * (size_t)(s->ic / s->groups) * (size_t)s->kh * (size_t)s->kw;
    const size_t times = (size_t)(b->batch / s->n);
    MQ_TRY(mq_dnn_conv_create(b->dnn, s, &l->conv, error));
    if (l->mixes && s->codes) {
        mq_dnn_conv_spec mixed = *s;
        mixed.codes = mixed.whole = false;
        mixed.rounded = l->rounded;
        MQ_TRY(mq_dnn_conv_create(b->dnn, &mixed, &l->mixed, error));
    }
    MQ_TRY(operand(times * src_count(s), s->compute, &l->src, error));
    MQ_TRY(mq_alloc(times * src_count(s), 1, "operands", &l->codes, error));
    for (size_t i = 0; i < times * src_count(s); i++) l->codes[i] = (uint8_t)(i * 37 % 256);
    MQ_TRY(operand(times * src_count(s), s->diff_src, &l->diff_src, error));
    MQ_TRY(operand(times * dst_count(s), s->compute, &l->diff_dst, error));
    MQ_TRY(operand(times * dst_count(s), MQ_F32, &l->dst, error));
    MQ_TRY(operand(w, MQ_F32, &l->w, error));
    return operand(w, MQ_F32, &l->dw, error);
}

static void drop_layers(bench *b) {
    for (int i = 0; i < b->count; i++) {
        layer *l = &b->layers[i];
        mq_dnn_conv_destroy(l->conv);
        mq_dnn_conv_destroy(l->mixed);
        void *all[] = {l->src, l->codes, l->diff_src, l->diff_dst, l->dst, l->w, l->dw};
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) mq_free(all[k]);
    }
    mq_dnn_destroy(b->dnn);
}

/* All images, spec.n at a time. */
static mq_status run_pass(const bench *b, layer *l, int pass, mq_error *error) {
    const mq_dnn_conv_spec *s = &l->spec;
    const size_t element = mq_dtype_size(s->compute), src = src_count(s) * element, dst = dst_count(s);
    mq_dnn_conv *conv = pass == MIXED ? l->mixed : l->conv;
    if (pass == MIXED || pass == FORWARD) MQ_TRY(mq_dnn_conv_set_weights(conv, l->w, error));
    for (size_t i = 0; i < (size_t)(b->batch / s->n); i++) {
        const char *x = (const char *)l->src + i * src, *dy = (const char *)l->diff_dst + i * dst * element;
        const uint8_t *codes = l->codes + i * src_count(s);
        if ((pass == FORWARD || pass == WEIGHTS) && s->codes) x = (const char *)codes;
        if (pass == FORWARD && mq_dnn_conv_has_whole(conv))
            MQ_TRY(mq_dnn_conv_forward_whole(conv, codes, (int16_t *)l->dst + i * dst, NULL, NULL, error));
        else if (pass == MIXED || pass == FORWARD)
            MQ_TRY(mq_dnn_conv_forward(conv, x, l->dst + i * dst, error));
        else if (pass == WEIGHTS)
            MQ_TRY(mq_dnn_conv_backward_weights(conv, x, dy, l->dw, error));
        else
            MQ_TRY(mq_dnn_conv_backward_data(
                conv, dy, (char *)l->diff_src + i * src_count(s) * mq_dtype_size(s->diff_src), error));
    }
    return MQ_OK;
}

static bool has_pass(const layer *l, int pass) {
    if (pass == MIXED) return l->mixed;
    return pass == FORWARD || (pass == DATA ? l->spec.backward_data : l->spec.backward_weights);
}

/* One round over all layers; repeat -1 is not counted. */
static mq_status time_layers(bench *b, int repeat, mq_error *error) {
    for (int i = 0; i < b->count; i++)
        for (int pass = 0; pass < PASSES; pass++) {
            const int n = b->layers[i].spec.n;
            const double scale = (double)b->batch / (b->batch / n * n); /* images left over */
            if (!has_pass(&b->layers[i], pass)) continue;
            const double begin = now();
            MQ_TRY(run_pass(b, &b->layers[i], pass, error));
            if (repeat >= 0) b->layers[i].seconds[pass][repeat] = (now() - begin) * scale;
        }
    return MQ_OK;
}

/* "jit:avx512_core" after the pass's name. */
static void implementation(const layer *l, int pass, char text[40]) {
    const char *name = PASS_NAMES[pass == MIXED ? FORWARD : pass];
    const char *at = strstr(mq_dnn_conv_implementation(pass == MIXED ? l->mixed : l->conv), name);
    snprintf(text, 40, "%s", at ? at + strlen(name) + 1 : "?");
    char *end = strchr(text, ',');
    if (end) *end = 0;
}

/* The convolutions' time in main training and in a search. */
static void print_layers(bench *b, double all[2]) {
    double total[PASSES] = {0};
    all[0] = all[1] = 0;
    for (int i = 0; i < b->count; i++) {
        layer *l = &b->layers[i];
        const mq_dnn_conv_spec *s = &l->spec;
        const size_t macs = (size_t)b->batch * dst_count(s) / (size_t)s->n * (size_t)(s->ic / s->groups) *
                            (size_t)(s->kh * s->kw);
        const double element = (double)mq_dtype_size(s->compute);
        const double times = (double)b->batch / s->n, src = times * (double)src_count(s);
        const double dst = times * (double)dst_count(s);
        const double bytes[PASSES] = {src * (s->codes ? 1 : element) + 4 * dst,
                                      dst * element + src * (double)mq_dtype_size(s->diff_src),
                                      (src + dst) * element, src * element + 4 * dst};
        printf("%2d %dx%d%s %d->%d at %dx%d\n", i, s->kh, s->kw, s->groups > 1 ? " depthwise" : "", s->ic,
               s->oc, s->oh, s->ow);
        for (int pass = 0; pass < PASSES; pass++) {
            char name[40];
            if (!has_pass(l, pass)) continue;
            const double seconds = median(l->seconds[pass], b->repeats);
            implementation(l, pass, name);
            printf("     %-17s %8.2f ms %7.1f GFLOP/s %6.1f GB/s  %s\n", PASS_NAMES[pass], 1e3 * seconds,
                   2e-9 * (double)macs / seconds, 1e-9 * bytes[pass] / seconds, name);
            total[pass] += seconds;
            if (pass != MIXED) all[0] += seconds;
            if (pass != FORWARD || !l->mixed) all[1] += seconds;
        }
    }
    printf("%s %s, batch %d: convolutions %.1f ms: forward %.1f, backward data %.1f, backward weights %.1f; "
           "of a "
           "search %.1f ms\n",
           b->net->name, mq_dtype_name(b->compute), b->batch, 1e3 * all[0], 1e3 * total[FORWARD],
           1e3 * total[DATA], 1e3 * total[WEIGHTS], 1e3 * all[1]);
}

typedef struct step {
    mq_model *model;
    double seconds[REPEATS];
} step;

static mq_status make_model(const bench *b, mq_mode mode, mq_model **out, mq_error *error) {
    mq_bits bits;
    mq_bits_uniform(b->net, 4, 4, &bits);
    const mq_model_options options = {.mode = mode,
                                      .bits = mode == MQ_MODE_FIXED ? &bits : NULL,
                                      .share = true,
                                      .training = true,
                                      .compute = b->compute,
                                      .batch = b->batch};
    MQ_TRY(mq_model_create(b->net, &options, out, error));
    mq_model_initialise(*out, 0);
    return MQ_OK;
}

static mq_status run_step(const bench *b, step *s, int repeat, const uint8_t *images, const float *d_output,
                          mq_error *error) {
    const float *output;
    const double begin = now();
    mq_model_touch(s->model); /* as after an update */
    MQ_TRY(mq_model_forward(s->model, images, b->batch, true, &output, error));
    MQ_TRY(mq_model_backward(s->model, d_output, error));
    if (repeat >= 0) s->seconds[repeat] = now() - begin;
    return MQ_OK;
}

static mq_status time_all(bench *b, step steps[2], mq_error *error) {
    uint8_t *images;
    float *d_output;
    const mq_node *out = mq_net_output(b->net);
    const size_t bytes =
        (size_t)b->batch * (size_t)b->net->in_h * (size_t)b->net->in_w * (size_t)b->net->in_c;
    const mq_rng rng = mq_rng_stream(0, "images", 0);
    MQ_TRY(operand((size_t)b->batch * (size_t)out->h * (size_t)out->w * (size_t)out->c, MQ_F32, &d_output,
                   error));
    mq_status status = mq_alloc(bytes, 1, "images", &images, error);
    for (size_t i = 0; status == MQ_OK && i < bytes; i++) images[i] = (uint8_t)mq_rng_u32(&rng, i);
    for (int r = -1; status == MQ_OK && r < b->repeats; r++) {
        status = time_layers(b, r, error);
        for (int m = 0; m < 2 && status == MQ_OK; m++)
            status = run_step(b, &steps[m], r, images, d_output, error);
    }
    mq_free(images);
    mq_free(d_output);
    return status;
}

static mq_status run(bench *b, mq_error *error) {
    static step steps[2];
    mq_dnn_conv_spec specs[MOST], mixed[MOST];
    double convs[2];
    mq_status status = make_model(b, MQ_MODE_FIXED, &steps[0].model, error);
    if (status == MQ_OK) status = make_model(b, MQ_MODE_SEARCH, &steps[1].model, error);
    if (status == MQ_OK) status = mq_dnn_create(&b->dnn, error);
    if (status == MQ_OK) b->count = mq_model_conv_specs(steps[0].model, b->batch, specs, MOST);
    if (status == MQ_OK) mq_model_conv_specs(steps[1].model, b->batch, mixed, MOST);
    for (int i = 0; i < b->count && status == MQ_OK; i++) {
        b->layers[i] = (layer){.spec = specs[i], .mixes = !mixed[i].codes, .rounded = mixed[i].rounded};
        status = make_layer(b, &b->layers[i], error);
    }
    if (status == MQ_OK) status = time_all(b, steps, error);
    if (status == MQ_OK) {
        print_layers(b, convs);
        for (int m = 0; m < 2; m++) {
            const double seconds = median(steps[m].seconds, b->repeats);
            printf("%s step %.1f ms: %.2f of the convolutions' speed\n", m ? "search" : "main", 1e3 * seconds,
                   convs[m] / seconds);
        }
    }
    drop_layers(b);
    for (int m = 0; m < 2; m++) mq_model_destroy(steps[m].model);
    return status;
}

int main(int argc, char **argv) {
    static bench b;
    mq_error error = {0};
    mq_net *net;
    if (argc < 2) {
        fprintf(stderr, "usage: bench_network MODEL [batch [repeats [f32|bf16]]]\n");
        return MQ_USAGE;
    }
    mq_status status = mq_net_open(argv[1], &net, &error);
    const int batch = argc > 2 ? atoi(argv[2]) : 16, repeats = argc > 3 ? atoi(argv[3]) : 5;
    mq_threads_set(1);
    printf("oneDNN %s, %s\n", mq_dnn_version(), mq_dnn_isa());
    for (int bf16 = 0; bf16 < 2 && status == MQ_OK; bf16++) {
        if (argc > 4 && (strcmp(argv[4], "bf16") == 0) != bf16) continue;
        if (bf16 && !mq_dnn_has_bf16()) continue;
        b = (bench){.net = net,
                    .batch = batch < 1 ? 1 : batch,
                    .repeats = repeats < 1         ? 1
                               : repeats > REPEATS ? REPEATS
                                                   : repeats,
                    .compute = bf16 ? MQ_BF16 : MQ_F32};
        status = run(&b, &error);
    }
    if (status != MQ_OK)
        fprintf(stderr, "bench_network: %s\n", error.text);
    else
        mq_net_free(net);
    return status;
}
