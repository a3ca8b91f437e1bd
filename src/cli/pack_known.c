/* pack_known.c - `mixq pack known`: what the weights of an exported network allow beyond their bit widths. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cli/pack_request.h"
#include "inet/inet.h"
#include "pack/known.h"
#include "pack/packing_file.h"

/* One layer: from its bits, and from its weights. */
typedef struct finding {
    const mq_inet_node *node;
    mq_pack_request request;
    mq_pack_known by_bits, by_weights;
    size_t rows, distinct;
    mq_proof proof;
} finding;

/* A kernel row as a word: weight i of the packing is the tap i from the far end (pack/packing.h). */
static void turn_rows(const int8_t *weight, size_t rows, int taps, int8_t *out) {
    for (size_t n = 0; n < rows; n++, weight += taps)
        for (int i = 0; i < taps; i++) *out++ = weight[taps - 1 - i];
}

/* A layer whose rows can stand in a slice; unsigned activations of at most 8 bits. */
static bool suits(const mq_inet *net, const mq_inet_node *n) {
    const mq_inet_edge *in = &net->nodes[n->input[0]].edge;
    return n->kind == MQ_INET_CONV && n->conv.kernel_w <= MQ_PACK_TAPS && n->conv.stride_w == 1 &&
           !in->is_signed && in->bits <= MQ_PACK_BITS && in->low >= 0;
}

static mq_status look(const mq_inet *net, const mq_inet_node *n, const mq_pack_request *base, uint64_t seed,
                      finding *out, mq_error *error) {
    size_t count = mq_inet_weight_count(net, n) / (size_t)n->conv.kernel_w;
    int8_t *rows;
    *out = (finding){.node = n, .request = *base, .rows = count};
    out->request.wbit = n->conv.weight_bits;
    out->request.abit = net->nodes[n->input[0]].edge.bits;
    out->request.kernel = n->conv.kernel_w;
    out->request.stride = 1;
    out->request.symmetric = n->conv.weight_narrow && n->conv.weight_bits > 1;
    mq_status none = mq_pack_known_row(&out->request, NULL, &out->by_bits, error);
    if (none != MQ_OK && none != MQ_USAGE) return none; /* usage: nothing accumulates so often */
    MQ_TRY(mq_alloc(count, (size_t)n->conv.kernel_w, "kernel rows", &rows, error));
    turn_rows(n->conv.weight, count, n->conv.kernel_w, rows);
    mq_pack_known all;
    mq_pack_words words = {rows, count};
    /* zeros and powers are counted over all rows, the packing is the same over the distinct ones */
    size_t zeros = 0, powers = 0;
    for (size_t i = 0; i < count * (size_t)n->conv.kernel_w; i++) {
        int w = rows[i] < 0 ? -rows[i] : rows[i];
        zeros += w == 0;
        powers += w != 0 && (w & (w - 1)) == 0;
    }
    words.count = out->distinct = mq_pack_unique_words(rows, count, n->conv.kernel_w);
    mq_status status = mq_pack_known_row(&out->request, &words, &all, error);
    bool found = status == MQ_OK;
    if (status == MQ_USAGE) status = MQ_OK;
    if (found)
        status = mq_pack_prove_words(&all.packing, &words, PACK_TABLE_VECTORS, seed, &out->proof, error);
    out->by_weights = all;
    out->by_weights.zeros = zeros;
    out->by_weights.powers = powers;
    out->by_weights.weights = count * (size_t)n->conv.kernel_w;
    mq_free(rows);
    return status;
}

static json_t *finding_json(const finding *f) {
    const mq_pack_known *k = &f->by_weights;
    return json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "layer",
                     f->node->name, "wbit", f->request.wbit, "abit", f->request.abit, "taps",
                     f->request.kernel, "mults_by_bits", f->by_bits.mults, "mults", k->mults,
                     "accumulations_by_bits", (json_int_t)f->by_bits.packing.accumulations, "accumulations",
                     (json_int_t)k->packing.accumulations, "distinct_rows", (json_int_t)f->distinct, "zeros",
                     (json_int_t)k->zeros, "powers_of_two", (json_int_t)k->powers, "weights",
                     (json_int_t)k->weights, "packing",
                     k->mults > 0 ? mq_packing_json(&k->packing) : json_null());
}

static void print_packing(const mq_pack_known *k) {
    if (k->mults > 0)
        printf("  %5g %7lld %4d", k->mults, (long long)k->packing.accumulations, k->packing.luts);
    else
        printf("      -       -    -");
}

static void finding_print(const finding *f) {
    const mq_pack_known *k = &f->by_weights;
    double weights = (double)k->weights;
    printf("%-12s w%da%d %d taps", f->node->name, f->request.wbit, f->request.abit, f->request.kernel);
    print_packing(&f->by_bits);
    print_packing(k);
    printf("  %6zu of %6zu  %5.1f %%  %5.1f %%\n", f->distinct, f->rows, 100 * (double)k->zeros / weights,
           100 * (double)k->powers / weights);
}

mq_status pack_run_known(const cli_args *args, mq_error *error) {
    mq_pack_request request;
    mq_inet *net;
    MQ_TRY(pack_read_request(args, &request, error));
    if (args->word_count < 2)
        return mq_fail(error, MQ_USAGE, "pack known: an export folder or its net.json expected");
    MQ_TRY(mq_inet_load(args->word[1], &net, error));
    json_t *list = json_array();
    if (!args->json)
        printf(
            "                            by the bits          by the weights\n"
            "layer                     mults cycles LUT    mults cycles LUT   distinct rows         zero     "
            "+-2^n\n");
    mq_status status = MQ_OK;
    int layers = 0;
    for (int i = 0; i < net->node_count && status == MQ_OK; i++) {
        finding f;
        if (!suits(net, &net->nodes[i])) continue;
        layers++;
        status = look(net, &net->nodes[i], &request, args->seed, &f, error);
        if (status != MQ_OK) {
            status = mq_fail_context(error, status, "layer %s", net->nodes[i].name);
            break;
        }
        if (args->json)
            json_array_append_new(list, finding_json(&f));
        else
            finding_print(&f);
    }
    if (status == MQ_OK && layers == 0)
        status = mq_fail(error, MQ_USAGE,
                         "network %s has no convolution whose rows fit a slice (stride 1, at most %d "
                         "taps, unsigned activations)",
                         net->model, MQ_PACK_TAPS);
    mq_inet_free(net);
    if (status != MQ_OK || !args->json) {
        json_decref(list);
        return status;
    }
    return cli_print_json(json_pack("{s:o}", "layers", list), error);
}
