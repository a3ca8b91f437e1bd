/* bench_sim.c - the fast simulator beside its alternatives, in turns in one run.
 *
 * usage: bench_sim [model [threads [batch [rounds [bits [only]]]]]]   (vgg_tiny, one per core, 64, 7, 4)
 * Random parameters and images; weights and activations of `bits` bits. Prints images/s, the fastest of the
 * rounds, of: the integer network in the fast simulator with each table of kernels; in float32 the network as
 * oneDNN runs it, without and with quantisation; a plain int64 convolution, as the published simulation has
 * it, its convolutions alone, on a few images. And the machine's own rate of vpdpbusd on registers, which is
 * the ceiling. only: the rivals whose name holds this text. Rates by processor time are what all threads
 * would reach undisturbed, where other programs take their share; set OMP_WAIT_POLICY=passive, or waiting
 * counts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "dnn/dnn.h"
#include "lower/lower.h"
#include "ops/model.h"
#include "sim/sim.h"

/* After the kernels of the fast engine, by their number. */
enum { PEAK = 0, FLOAT = MQ_SIM_CPU_COUNT, QUANTISED, INT64, RIVALS };
enum { INT64_IMAGES = 2, PEAK_LOOPS = 1 << 20, PEAK_SUMS = 12 };

typedef struct bench {
    const mq_net *net;
    mq_inet *integer;
    mq_sim *sim[MQ_SIM_CPU_COUNT];
    mq_model *plain, *fixed;
    size_t batch;
    uint8_t *images;
    int64_t *out;
    int64_t *from, *to; /* of the int64 convolution */
    double macs;        /* of one image: convolutions and linear layers */
} bench;

typedef struct rates { /* images/s */
    double clock, processor;
} rates;

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- a network of random parameters on both sides ---- */

static mq_status save(mq_model *model, const mq_net *net, const mq_bits *bits, const char *path,
                      mq_error *error) {
    mq_st_writer *writer;
    int count;
    mq_param *params = mq_model_params(model, &count);
    mq_checkpoint_info info = {
        .net = net, .mode = MQ_MODE_FIXED, .share = true, .bits = bits, .precision = "f32"};
    MQ_TRY(mq_st_writer_create(&writer, error));
    mq_status status = mq_checkpoint_describe(writer, &info, error);
    for (int i = 0; status == MQ_OK && i < count; i++) {
        const mq_tensor tensor = {.dtype = MQ_F32, .shape = params[i].spec->shape, .data = params[i].value};
        status = mq_st_add(writer, params[i].spec->name, &tensor, error);
    }
    if (status == MQ_OK) status = mq_st_write(writer, path, error);
    mq_st_writer_free(writer);
    return status;
}

static mq_status lower(bench *b, const mq_bits *bits, mq_error *error) {
    char path[] = "bench_sim-XXXXXX";
    mq_checkpoint checkpoint;
    int file = mkstemp(path);
    if (file < 0) return mq_fail_errno(error, "cannot make", path);
    close(file);
    mq_status status = save(b->fixed, b->net, bits, path, error);
    if (status == MQ_OK) status = mq_checkpoint_load(path, &checkpoint, error);
    unlink(path);
    if (status != MQ_OK) return status;
    status = mq_lower(&checkpoint, NULL, &b->integer, error);
    mq_checkpoint_free(&checkpoint);
    return status;
}

static mq_status open_bench(bench *b, int bits, mq_error *error) {
    mq_bits all;
    mq_bits_uniform(b->net, bits, bits, &all);
    mq_model_options options = {
        .mode = MQ_MODE_FIXED, .bits = &all, .share = true, .compute = MQ_F32, .batch = (int)b->batch};
    MQ_TRY(mq_model_create(b->net, &options, &b->fixed, error));
    mq_model_initialise(b->fixed, 0);
    options.mode = MQ_MODE_FLOAT;
    options.bits = NULL;
    MQ_TRY(mq_model_create(b->net, &options, &b->plain, error));
    mq_model_initialise(b->plain, 0);
    MQ_TRY(lower(b, &all, error));
    const mq_inet_edge *in = &b->integer->nodes[0].edge, *out = &mq_inet_last(b->integer)->edge;
    size_t pixels = b->batch * (size_t)(in->h * in->w * in->c), most = 0;
    MQ_TRY(mq_alloc(pixels, 1, "images", &b->images, error));
    MQ_TRY(
        mq_alloc(b->batch * (size_t)(out->h * out->w * out->c), sizeof *b->out, "outputs", &b->out, error));
    const mq_rng rng = mq_rng_stream(0, "bench", 0);
    for (size_t i = 0; i < pixels; i++) b->images[i] = (uint8_t)mq_rng_u32(&rng, i);
    for (int n = 0; n < b->integer->node_count; n++) {
        const mq_inet_node *node = &b->integer->nodes[n];
        size_t size = (size_t)node->edge.h * (size_t)node->edge.w * (size_t)node->edge.c;
        if (size > most) most = size;
        if (node->kind == MQ_INET_CONV)
            b->macs += (double)mq_inet_weight_count(b->integer, node) * node->edge.h * node->edge.w;
        if (node->kind == MQ_INET_LINEAR) b->macs += (double)mq_inet_weight_count(b->integer, node);
    }
    MQ_TRY(mq_alloc(most, sizeof *b->from, "int64 codes", &b->from, error));
    MQ_TRY(mq_alloc(most, sizeof *b->to, "int64 accumulators", &b->to, error));
    for (size_t i = 0; i < most; i++) b->from[i] = (int64_t)(i % 16);
    for (mq_sim_cpu cpu = 1; cpu < MQ_SIM_CPU_COUNT; cpu++) {
        const mq_sim_options fast = {.engine = MQ_SIM_FAST, .cpu = cpu};
        if (mq_sim_cpu_available(cpu)) MQ_TRY(mq_sim_create_with(b->integer, &fast, &b->sim[cpu], error));
    }
    return MQ_OK;
}

/* ---- the rivals: seconds for *images images ---- */

static mq_status run_fast(bench *b, mq_sim_cpu cpu, mq_error *error) {
    return mq_sim_run(b->sim[cpu], b->images, b->batch, MQ_SIM_NHWC, NULL, b->out, NULL, error);
}

static mq_status run_model(bench *b, mq_model *model, mq_error *error) {
    const float *out;
    return mq_model_forward(model, b->images, (int)b->batch, false, &out, error);
}

/* One output channel of planes [c][h][w], all int64. */
static void int64_channel(void *context, size_t channel) {
    const bench *b = ((void **)context)[0];
    const mq_inet_node *node = ((void **)context)[1];
    const mq_inet_conv *v = &node->conv;
    const mq_inet_edge *in = &b->integer->nodes[node->input[0]].edge, *out = &node->edge;
    const int o = (int)channel, per = in->c / v->groups, first = o / (out->c / v->groups) * per;
    int64_t *acc = b->to + (size_t)o * (size_t)(out->h * out->w);
    memset(acc, 0, (size_t)(out->h * out->w) * sizeof *acc);
    for (int t = 0; t < per * v->kernel_h * v->kernel_w; t++) {
        const int c = t / (v->kernel_h * v->kernel_w), ky = t / v->kernel_w % v->kernel_h,
                  kx = t % v->kernel_w;
        const int64_t w = v->weight[o * per * v->kernel_h * v->kernel_w + t];
        for (int y = 0; y < out->h; y++) {
            const int row = y * v->stride_h + ky - v->pad_top;
            if (row < 0 || row >= in->h) continue;
            const int64_t *from =
                b->from + ((size_t)(first + c) * (size_t)in->h + (size_t)row) * (size_t)in->w;
            for (int x = 0; x < out->w; x++) {
                const int column = x * v->stride_w + kx - v->pad_left;
                if (column >= 0 && column < in->w) acc[y * out->w + x] += w * from[column];
            }
        }
    }
}

static void run_int64(bench *b) {
    for (int i = 0; i < INT64_IMAGES; i++) {
        for (int n = 0; n < b->integer->node_count; n++) {
            if (b->integer->nodes[n].kind != MQ_INET_CONV) continue;
            void *context[2] = {b, &b->integer->nodes[n]};
            mq_parallel((size_t)b->integer->nodes[n].edge.c, int64_channel, context);
        }
    }
}

#if defined(__x86_64__)
/* Twelve independent sums, whatever the registers hold. */
#define DOT(n) "vpdpbusd %%zmm13, %%zmm12, %%zmm" #n "\n"

static void peak_task(void *context, size_t task) {
    (void)context;
    (void)task;
    for (int i = 0; i < PEAK_LOOPS; i++)
        __asm__ volatile(DOT(0) DOT(1) DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10)
                             DOT(11)::
                                 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                                   "xmm9", "xmm10", "xmm11");
}
#endif

/* As many products as `*images` images have. */
static void run_peak(const bench *b, double *images) {
    const size_t threads = (size_t)mq_threads();
    *images = (double)threads * PEAK_LOOPS * PEAK_SUMS * 64 / b->macs;
#if defined(__x86_64__)
    mq_parallel(threads, peak_task, NULL);
#endif
}

/* ---- the run ---- */

static const char *const NAMES[RIVALS] = {"peak of vpdpbusd",  "fast, avx512_vnni", "fast, avx2",
                                          "fast, plain C",     "float32 oneDNN",    "float32, quantised",
                                          "int64 convolutions"};

static bool takes_part(const bench *b, int rival, const char *only) {
    if (rival == PEAK) return mq_sim_cpu_available(MQ_SIM_CPU_VNNI);
    return strstr(NAMES[rival], only) && (rival > MQ_SIM_CPU_C || b->sim[rival]);
}

static mq_status run_rival(bench *b, int rival, double *images, mq_error *error) {
    *images = (double)b->batch;
    switch (rival) {
    case PEAK:
        run_peak(b, images);
        return MQ_OK;
    case FLOAT:
        return run_model(b, b->plain, error);
    case QUANTISED:
        return run_model(b, b->fixed, error);
    case INT64:
        *images = INT64_IMAGES;
        run_int64(b);
        return MQ_OK;
    default:
        return run_fast(b, (mq_sim_cpu)rival, error);
    }
}

static mq_status measure(bench *b, int rounds, const char *only, rates best[RIVALS], mq_error *error) {
    for (int round = 0; round <= rounds; round++) { /* the first warms up */
        for (int rival = 0; rival < RIVALS; rival++) {
            if (!takes_part(b, rival, only)) continue;
            double images, clock = mq_seconds(), processor = processor_seconds();
            MQ_TRY(run_rival(b, rival, &images, error));
            clock = images / (mq_seconds() - clock);
            processor = images * mq_threads() / (processor_seconds() - processor);
            if (round && clock > best[rival].clock) best[rival].clock = clock;
            if (round && processor > best[rival].processor) best[rival].processor = processor;
        }
    }
    return MQ_OK;
}

static void report(const bench *b, int rounds, const rates best[RIVALS]) {
    printf("%s, %d threads, batch %zu, best of %d, %.1f million products an image\n", b->net->name,
           mq_threads(), b->batch, rounds, 1e-6 * b->macs);
    printf("  %-20s %-24s   %s\n", "", "images/s by the clock", "by processor time");
    for (int rival = 0; rival < RIVALS; rival++) {
        const rates *r = &best[rival];
        if (r->clock == 0) continue;
        printf("  %-20s %10.1f (%5.1f G/s) %10.1f (%5.1f G/s)", NAMES[rival], r->clock,
               1e-9 * r->clock * b->macs, r->processor, 1e-9 * r->processor * b->macs);
        if (rival != PEAK && best[PEAK].processor > 0)
            printf(" %5.1f %% of peak", 100 * r->processor / best[PEAK].processor);
        printf("\n");
    }
    const rates *fast = &best[MQ_SIM_CPU_VNNI];
    if (fast->clock > 0 && best[FLOAT].clock > 0 && best[INT64].clock > 0)
        printf("  avx512_vnni: %.2f times float32 by the clock, %.2f by processor time; %.0f, %.0f times "
               "int64\n",
               fast->clock / best[FLOAT].clock, fast->processor / best[FLOAT].processor,
               fast->clock / best[INT64].clock, fast->processor / best[INT64].processor);
}

int main(int argc, char **argv) {
    const char *model = argc > 1 ? argv[1] : "vgg_tiny";
    int threads = argc > 2 ? atoi(argv[2]) : 0, batch = argc > 3 ? atoi(argv[3]) : 64;
    int rounds = argc > 4 ? atoi(argv[4]) : 7, bits = argc > 5 ? atoi(argv[5]) : 4;
    mq_error error = {0};
    mq_net *net;
    if (batch < 1 || rounds < 1 || bits < 1 || bits > 8) {
        fprintf(stderr, "usage: bench_sim [model [threads [batch [rounds [bits [only]]]]]]\n");
        return MQ_USAGE;
    }
    mq_threads_set(threads);
    rates best[RIVALS] = {0};
    bench b = {.batch = (size_t)batch};
    mq_status status = mq_net_open(model, &net, &error);
    b.net = net;
    if (status == MQ_OK) status = open_bench(&b, bits, &error);
    if (status == MQ_OK) status = measure(&b, rounds, argc > 6 ? argv[6] : "", best, &error);
    if (status == MQ_OK) report(&b, rounds, best);
    if (status != MQ_OK) fprintf(stderr, "bench_sim: %s\n", error.text);
    return status;
}
