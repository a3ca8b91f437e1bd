/* helper_hls.c - see helper_hls.h. */
#include "hls/helper_hls.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"

static void keep(void *context, size_t image, int node, const int64_t *codes) {
    const hls_golden *g = context;
    int64_t **to = &g->codes[image * (size_t)g->nodes + (size_t)node];
    const mq_inet *net = (const mq_inet *)(const void *)g->output[0];
    const mq_inet_edge *e = &net->nodes[node].edge;
    size_t bytes = (size_t)e->h * (size_t)e->w * (size_t)e->c * sizeof **to;
    *to = malloc(bytes);
    memcpy(*to, codes, bytes);
}

mq_status hls_golden_make(const mq_inet *net, uint8_t *image, size_t images, hls_golden *g, mq_error *error) {
    mq_sim *sim;
    *g = (hls_golden){.images = images, .nodes = net->node_count, .image = image};
    g->codes = calloc(images * (size_t)net->node_count, sizeof *g->codes);
    g->output = calloc(images, sizeof *g->output);
    MQ_TRY(mq_sim_create(net, &sim, error));
    g->output[0] = (int64_t *)(void *)(uintptr_t)net; /* for keep() */
    mq_sim_visitor visitor = {keep, g};
    mq_status status = mq_sim_run(sim, image, images, MQ_SIM_NHWC, &visitor, NULL, NULL, error);
    mq_sim_free(sim);
    for (size_t i = 0; i < images && status == MQ_OK; i++)
        g->output[i] = g->codes[i * (size_t)net->node_count + (size_t)mq_inet_last(net)->input[0]];
    return status;
}

void hls_golden_free(hls_golden *g) {
    for (size_t i = 0; i < g->images * (size_t)g->nodes; i++) free(g->codes[i]);
    free(g->codes);
    free(g->output);
    free(g->image);
}

/* ---- folding ---- */

typedef struct beat {
    int channels, pixels, w, h, c;
} beat;

static int groups_of(const mq_packing *p) {
    int most = 0;
    for (int i = 0; i < p->weights; i++)
        if (p->weight[i].group > most) most = p->weight[i].group;
    return most + 1;
}

/* The largest number up to most that divides n or is divided by it. */
static int fitting(int n, int most) {
    for (int i = most; i > 1; i--)
        if (n % i == 0 || i % n == 0) return i;
    return 1;
}

static mq_status fold_layer(const mq_inet *net, mq_plan_layer *l, const beat *in, int simd, int pe,
                            int pixels, uint64_t seed, beat *out, mq_error *error) {
    const mq_inet_node *n = &net->nodes[l->node];
    bool linear = n->kind == MQ_INET_LINEAR;
    bool depthwise = !linear && n->conv.groups > 1;
    int weight_groups = l->kinds ? groups_of(&l->piece[0].packing) : 1,
        activations = l->kinds ? l->piece[0].packing.activations : 1;
    int kernel_w = linear ? 1 : n->conv.kernel_w, kernel_h = linear ? 1 : n->conv.kernel_h;
    mq_rng rng = mq_rng_stream(seed, "folding", (uint64_t)l->node);
    l->rows = seed && kernel_h > 1 && mq_rng_below(&rng, 0, 2) ? 1 : kernel_h;
    l->blocks = 1;
    while (!linear && (activations * l->blocks % in->pixels ||
                       activations * l->blocks < kernel_w - 1 - n->conv.pad_left))
        l->blocks++;
    if (!linear && seed && mq_rng_below(&rng, 1, 3) == 0) l->blocks *= 2;
    if (depthwise) {
        l->simd = 1;
        l->pe = fitting(in->channels, pe);
    } else if (linear) {
        l->simd = simd;
        while (in->channels * in->pixels % l->simd) l->simd--;
        l->pe = weight_groups * (pe / weight_groups > 0 ? pe / weight_groups : 1);
    } else {
        l->simd = fitting(in->channels, simd);
        l->pe = weight_groups * (pe / weight_groups > 0 ? pe / weight_groups : 1);
    }
    int npx = activations * l->blocks;
    l->out_pixels = npx % pixels == 0 ? pixels : 1;
    *out = (beat){.channels = l->pe, .pixels = l->out_pixels, .w = n->edge.w, .h = n->edge.h, .c = n->edge.c};
    (void)error;
    return MQ_OK;
}

mq_status hls_fold(const mq_inet *net, mq_inet_plan *plan, int simd, int pe, int pixels, uint64_t seed,
                   mq_error *error) {
    beat *b = calloc((size_t)net->node_count, sizeof *b);
    mq_status status = MQ_OK;
    plan->in_pixels = 1;
    strcpy(plan->device, "none");
    plan->clock_mhz = 200;
    for (int i = 0; i < net->node_count && status == MQ_OK; i++) {
        const mq_inet_node *n = &net->nodes[i];
        const beat *in = n->input_count ? &b[n->input[0]] : NULL;
        if (n->kind == MQ_INET_IMAGE)
            b[i] = (beat){n->edge.c, 1, n->edge.w, n->edge.h, n->edge.c};
        else
            b[i] = *in;
        for (int k = 0; k < plan->count; k++)
            if (plan->layer[k].node == i) {
                mq_plan_layer *l = &plan->layer[k];
                status = fold_layer(net, l, in, simd, pe, pixels, seed, &b[i], error);
                const mq_inet_node *next = &net->nodes[i]; /* its requantiser, if any */
                for (int m = i + 1; m < net->node_count; m++)
                    if (net->nodes[m].input_count && net->nodes[m].input[0] == i) next = &net->nodes[m];
                l->requant = MQ_PLAN_NO_REQUANT;
                if (next->kind != MQ_INET_REQUANT) break;
                bool affine = true;
                for (int c = 0; next->requant.rule && c < next->edge.c; c++)
                    affine &= next->requant.rule[c] == MQ_INET_AFFINE;
                l->requant =
                    affine && (next->requant.bits > 3 || seed % 2) ? MQ_PLAN_AFFINE : MQ_PLAN_THRESHOLD;
                int all = l->pe * l->out_pixels;
                l->lanes = l->requant != MQ_PLAN_AFFINE ? 0 : all % 2 == 0 && seed % 3 != 1 ? all / 2 : all;
            }
        if (n->kind == MQ_INET_MAX_POOL && in->pixels > 1) b[i].pixels = in->pixels / n->pool.kernel;
        if (n->kind == MQ_INET_REORG && in->pixels > 1) b[i].pixels = in->pixels / 2;
    }
    free(b);
    return status;
}

mq_status hls_plan(const mq_inet *net, mq_pack_class class, int simd, int pe, int pixels, uint64_t seed,
                   mq_inet_plan **out, mq_error *error) {
    mq_dsp dsp;
    MQ_TRY(mq_dsp_find("dsp48e2", &dsp, error));
    MQ_TRY(mq_inet_plan_choose(net, &dsp, class, out, error));
    return hls_fold(net, *out, simd, pe, pixels, seed, error);
}

mq_status hls_check(const mq_inet *net, const mq_inet_plan *plan, const hls_golden *golden, const char *dir,
                    int jobs, mq_hls_difference *difference, mq_hls_times *times, mq_error *error) {
    mq_hls_net *h;
    bool differs = false;
    mq_hls_options options = {.part = "xczu3eg-sbva484-1-e",
                              .images = golden->images,
                              .image = golden->image,
                              .output = (const int64_t *const *)golden->output};
    char vectors[MQ_PATH];
    MQ_TRY(mq_path_join(dir, "vectors", vectors, error));
    MQ_TRY(mq_hls_build(net, plan, dir, &options, error));
    MQ_TRY(mq_hls_run(dir, dir, vectors, jobs, 600, &differs, times, error));
    MQ_TRY(mq_hls_net_create(net, plan, &h, error));
    mq_status status =
        mq_hls_compare(h, dir, golden->images, (const int64_t *const *)golden->codes, difference, error);
    mq_hls_net_free(h);
    if (status == MQ_OK && differs != (difference->mismatches > 0))
        return mq_fail(error, MQ_CHECK_FAILED, "the bench says %s, its dumps %s",
                       differs ? "different" : "the same", differs ? "do not" : "do");
    return status;
}
