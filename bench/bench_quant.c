/* bench_quant.c - the activation kernels of the search, per instruction set, on one thread.
 *
 * usage: bench_quant [elements [repeats]]      (defaults: 1048576, 30)
 * Prints the fastest pass of each kernel: ns per element, and GB/s of the floats read and written once. */
#include <stdio.h>
#include <stdlib.h>

#include "base/machine.h"
#include "base/memory.h"
#include "base/rng.h"
#include "quant/helper_clones.h"

typedef struct work {
    size_t n;
    float *x, *dy, *out;
    float softmax[MQ_BRANCHES];
    double g[MQ_BRANCHES];
} work;

static void run_values(const quant_clone *c, work *w) {
    c->values(w->x, w->n, MQ_QUANTIZER_HWGQ, 4, w->out);
}

static void run_gradient(const quant_clone *c, work *w) {
    c->gradient(w->x, w->dy, w->n, MQ_QUANTIZER_HWGQ, 4, w->out);
}

static void run_mix(const quant_clone *c, work *w) {
    c->mix(w->x, w->n, MQ_QUANTIZER_HWGQ, w->softmax, w->out);
}

static void run_mix_gradient(const quant_clone *c, work *w) {
    c->mix_gradient(w->x, w->dy, w->n, MQ_QUANTIZER_HWGQ, w->softmax, w->out, w->g);
}

static bool always(void) {
    return true;
}

/* What the program calls. */
static const quant_clone chosen = {.name = "chosen",
                                   .available = always,
                                   .values = mq_activation_values,
                                   .gradient = mq_activation_gradient,
                                   .mix = mq_activation_mix,
                                   .mix_gradient = mq_activation_mix_gradient};

static const struct {
    const char *name;
    void (*run)(const quant_clone *, work *);
    int bytes; /* per element */
} kernels[] = {{"values, 4 bits", run_values, 8},
               {"gradient, 4 bits", run_gradient, 12},
               {"mix", run_mix, 8},
               {"mix gradient", run_mix_gradient, 12}};

static void measure(const quant_clone *clone, work *w, int repeats) {
    for (size_t k = 0; k < sizeof kernels / sizeof *kernels; k++) {
        double best = 1e9;
        for (int r = 0; r < repeats; r++) {
            double start = mq_seconds();
            kernels[k].run(clone, w);
            double took = mq_seconds() - start;
            best = took < best ? took : best;
        }
        best *= 1e9 / (double)w->n;
        printf("%-6s %-17s %7.3f ns/element %7.2f GB/s\n", clone->name, kernels[k].name, best,
               kernels[k].bytes / best);
    }
}

int main(int argc, char **argv) {
    long elements = argc > 1 ? atol(argv[1]) : 1 << 20;
    int repeats = argc > 2 ? atoi(argv[2]) : 30;
    mq_error error;
    if (elements < 1 || repeats < 1) {
        fprintf(stderr, "usage: bench_quant [elements [repeats]]\n");
        return MQ_USAGE;
    }
    work w = {.n = (size_t)elements};
    float *all;
    if (mq_alloc(3 * w.n, sizeof *all, "inputs", &all, &error) != MQ_OK) {
        fprintf(stderr, "%s\n", error.text);
        return MQ_INTERNAL;
    }
    w.x = all;
    w.dy = w.x + w.n;
    w.out = w.dy + w.n;
    mq_rng rng = mq_rng_stream(0, "bench", 0);
    for (size_t i = 0; i < w.n; i++) {
        w.x[i] = 2 * mq_rng_normal(&rng, 2 * i);
        w.dy[i] = mq_rng_normal(&rng, 2 * i + 1);
    }
    for (int j = 0; j < MQ_BRANCHES; j++) w.softmax[j] = 1.0f / MQ_BRANCHES;
    const quant_clone *const clones[] = {&quant_clone_base, &quant_clone_v3, &quant_clone_v4, &chosen};
    for (int k = 0; k < 4; k++)
        if (clones[k]->available()) measure(clones[k], &w, repeats);
    mq_free(all);
    return MQ_OK;
}
