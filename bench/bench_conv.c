/* bench_conv.c - the convolutions of vgg_tiny alone, the ceiling of its training speed.
 *
 * usage: bench_conv [threads [batch [repeats]]]      (defaults: one per core, 128, 5)
 * Prints milliseconds per layer and pass, GFLOP/s and images/s, in float32 and, where the CPU has it,
 * bfloat16. */
#include <stdio.h>
#include <stdlib.h>

#include "base/parallel.h"
#include "dnn/dnn.h"

enum { LAYERS = 6 };

static const struct {
    int size, ic, oc;
} layers[LAYERS] = {{32, 3, 64}, {32, 64, 64}, {16, 64, 128}, {16, 128, 128}, {8, 128, 256}, {8, 256, 256}};

static mq_dnn_conv_spec layer_spec(int layer, int batch, mq_dtype compute) {
    const int size = layers[layer].size;
    return (mq_dnn_conv_spec){.n = batch,
                              .ih = size,
                              .iw = size,
                              .ic = layers[layer].ic,
                              .oh = size,
                              .ow = size,
                              .oc = layers[layer].oc,
                              .kh = 3,
                              .kw = 3,
                              .stride = 1,
                              .pad_h = 1,
                              .pad_w = 1,
                              .groups = 1,
                              .backward_data = layer > 0, /* nobody needs the image's gradient */
                              .backward_weights = true,
                              .compute = compute,
                              .diff_src = MQ_F32};
}

/* 2 operations per multiply-accumulate of the passes that ran. */
static double operations(const mq_dnn_conv_spec *s) {
    double macs = (double)s->n * s->oh * s->ow * s->oc * s->ic * s->kh * s->kw;
    return 2 * macs * (1 + s->backward_data + s->backward_weights);
}

static mq_status print_implementations(const mq_dnn_conv_spec *specs, mq_error *error) {
    mq_dnn *dnn = NULL;
    mq_status status = mq_dnn_create(&dnn, error);
    for (int i = 0; i < LAYERS && status == MQ_OK; i++) {
        mq_dnn_conv *conv = NULL;
        status = mq_dnn_conv_create(dnn, &specs[i], &conv, error);
        if (status == MQ_OK) printf("  layer %d: %s\n", i, mq_dnn_conv_implementation(conv));
        mq_dnn_conv_destroy(conv);
    }
    if (status == MQ_OK) printf("  scratch: %.1f MB\n", (double)mq_dnn_scratch_bytes(dnn) * 1e-6);
    mq_dnn_destroy(dnn);
    return status;
}

static mq_status run(mq_dtype compute, int batch, int repeats, mq_error *error) {
    mq_dnn_conv_spec specs[LAYERS];
    mq_dnn_time times[LAYERS];
    double seconds = 0, work = 0;
    for (int i = 0; i < LAYERS; i++) specs[i] = layer_spec(i, batch, compute);
    printf("%s\n", mq_dtype_name(compute));
    MQ_TRY(print_implementations(specs, error));
    MQ_TRY(mq_dnn_conv_time(specs, LAYERS, specs[0].n, repeats, times, error));
    printf("  %-18s %9s %9s %9s %9s\n", "layer", "fwd ms", "bwd-d ms", "bwd-w ms", "GFLOP/s");
    for (int i = 0; i < LAYERS; i++) {
        double layer = times[i].forward + times[i].backward_data + times[i].backward_weights;
        printf("  %3d->%-3d %2dx%-2d      %9.2f %9.2f %9.2f %9.0f\n", layers[i].ic, layers[i].oc,
               layers[i].size, layers[i].size, 1e3 * times[i].forward, 1e3 * times[i].backward_data,
               1e3 * times[i].backward_weights, 1e-9 * operations(&specs[i]) / layer);
        seconds += layer;
        work += operations(&specs[i]);
    }
    printf("  total %.1f ms, %.0f GFLOP/s, %.0f images/s\n", 1e3 * seconds, 1e-9 * work / seconds,
           batch / seconds);
    return MQ_OK;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 0;
    int batch = argc > 2 ? atoi(argv[2]) : 128;
    int repeats = argc > 3 ? atoi(argv[3]) : 5;
    mq_error error = {0};
    mq_threads_set(threads);
    printf("oneDNN %s, %s, %d threads, batch %d, best of %d\n", mq_dnn_version(), mq_dnn_isa(), mq_threads(),
           batch, repeats);
    mq_status status = run(MQ_F32, batch, repeats, &error);
    if (status == MQ_OK && mq_dnn_has_bf16()) status = run(MQ_BF16, batch, repeats, &error);
    if (status != MQ_OK) fprintf(stderr, "bench_conv: %s\n", error.text);
    return status;
}
