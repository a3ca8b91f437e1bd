/* test_rank_steps.c - a step of several ranks against that of one process on the same batch: outputs, running
 * statistics, and every parameter's gradient after the exchange. Ranks are threads here.
 *
 * At fixed bits the forward pass multiplies integers and batch statistics are float64 sums, so outputs agree
 * to the last bits of the batch norms' float32; gradients are float32 sums in another order. GRADIENT bounds
 * the difference's root mean square over the gradient's (what is in front of a batch norm cancels to a large
 * part: the fewer images, the more). */
#include "helper_ops.h"

#include <math.h>
#include <stdio.h>

#include "data/share.h"
#include "rank_threads.h"
#include "dnn/dnn.h"
#include "train/exchange.h"

#define GRADIENT      1e-4
#define GRADIENT_BF16 0.05 /* a last bit of bfloat16 is 0.4 % of a single number */
#define OUTPUT        1e-5
#define STATISTICS    1e-6

enum { MOST_RANKS = 8 };

/* One rank's part, or that of one process. */
typedef struct part {
    const mq_net *net;
    mq_model_options options;
    const uint8_t *images; /* of the total batch */
    const float *d_output;
    int total;
    size_t bucket; /* bytes */
    mq_model *model;
    float *output; /* of the total batch; each fills its share */
    mq_status status;
    mq_error error;
} part;

static mq_status go(part *p, mq_ranks *ranks, mq_error *error) {
    const int count = mq_ranks_count(ranks), rank = mq_ranks_number(ranks);
    const size_t first = mq_share((size_t)p->total, rank, count);
    const size_t n = mq_share((size_t)p->total, rank + 1, count) - first;
    const mq_node *in = &p->net->nodes[0];
    const size_t outputs = ops_elements(mq_net_output(p->net));
    mq_exchange *exchange = NULL;
    const float *output;
    p->options.ranks = ranks;
    p->options.batch = (int)mq_share_most((size_t)p->total, count);
    MQ_TRY(mq_model_create(p->net, &p->options, &p->model, error));
    ops_randomise(p->model, 5);
    MQ_TRY(mq_exchange_create(p->model, p->bucket, &exchange, error));
    for (int step = 0; step < 2; step++) { /* the second finds what the first left behind */
        MQ_TRY(
            mq_model_forward(p->model, p->images + first * ops_elements(in), (int)n, true, &output, error));
        memcpy(p->output + first * outputs, output, n * outputs * sizeof *output);
        const float *d_output = p->d_output + first * outputs;
        MQ_TRY(ranks ? mq_exchange_backward(exchange, d_output, NULL, NULL, error)
                     : mq_model_backward(p->model, d_output, error));
    }
    mq_exchange_destroy(exchange);
    return MQ_OK;
}

static void one_rank(void *context, mq_ranks *ranks) {
    part *p = context;
    p->status = go(p, ranks, &p->error);
}

/* Root mean square of a - b, or of a (b NULL). */
static double size_of(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)a[i] - (b ? (double)b[i] : 0);
        sum += d * d;
    }
    return sqrt(sum / (double)count);
}

/* A bias in front of a batch norm has the gradient 0 and what rounding makes of it: there, the size of the
 * node's other gradients counts. */
static double size_in_node(const mq_param *params, int count, int i) {
    double most = 0;
    for (int k = 0; k < count; k++) {
        if (!params[k].grad || params[k].spec->node != params[i].spec->node) continue;
        if (k != i && params[i].spec->kind != MQ_PARAM_BIAS) continue;
        most = fmax(most, size_of(params[k].grad, NULL, params[k].count));
    }
    return most;
}

static double largest; /* of the gradients' differences, for the record */

static void compare(const char *what, const part *one, const part *many, int ranks, double bound) {
    int count;
    const mq_param *a = mq_model_params(one->model, &count);
    for (int r = 0; r < ranks; r++) {
        const mq_param *b = mq_model_params(many[r].model, &count);
        const mq_param *first = mq_model_params(many[0].model, &count);
        for (int i = 0; i < count; i++) {
            const bool trained = a[i].grad != NULL;
            const float *expected = trained ? a[i].grad : a[i].value, *got = trained ? b[i].grad : b[i].value;
            const double size = trained ? size_in_node(a, count, i) : size_of(expected, NULL, a[i].count);
            const double d = size_of(got, expected, a[i].count) / (size + 1e-12);
            if (trained && bound == GRADIENT && d > largest) largest = d;
            if (!(d <= (trained ? bound : STATISTICS)))
                fail_msg("%s, rank %d of %d: %s of %s differ by %g", what, r, ranks,
                         trained ? "gradients" : "statistics", a[i].spec->name, d);
            const float *same = trained ? first[i].grad : first[i].value;
            if (memcmp(got, same, a[i].count * sizeof *got) != 0)
                fail_msg("%s: %s is not the same on ranks 0 and %d", what, a[i].spec->name, r);
        }
    }
    const size_t outputs = (size_t)one->total * ops_elements(mq_net_output(one->net));
    const double d = size_of(many[0].output, one->output, outputs) / size_of(one->output, NULL, outputs);
    if (!(d <= (bound == GRADIENT ? OUTPUT : bound))) fail_msg("%s: outputs differ by %g", what, d);
}

static void check(const char *what, const mq_net *net, const mq_model_options *options, int total, int ranks,
                  size_t bucket, double bound) {
    const size_t outputs = (size_t)total * ops_elements(mq_net_output(net));
    uint8_t *images = ops_images(net, total, 1);
    float *d_output = ops_normal(outputs, 2), *output[2];
    part one = {.net = net, .options = *options, .images = images, .d_output = d_output, .total = total};
    part many[MOST_RANKS];
    void *context[MOST_RANKS];
    for (int k = 0; k < 2; k++) OK(mq_alloc(outputs, sizeof(float), "test", &output[k], ERROR));
    one.output = output[0];
    for (int r = 0; r < ranks; r++) {
        many[r] = one;
        many[r].output = output[1];
        many[r].bucket = bucket;
        context[r] = &many[r];
    }
    OK(go(&one, NULL, ERROR));
    rank_threads(ranks, one_rank, context);
    for (int r = 0; r < ranks; r++)
        if (many[r].status != MQ_OK) fail_msg("%s, rank %d of %d: %s", what, r, ranks, many[r].error.text);
    compare(what, &one, many, ranks, bound);
    mq_model_destroy(one.model);
    for (int r = 0; r < ranks; r++) mq_model_destroy(many[r].model);
    for (int k = 0; k < 2; k++) mq_free(output[k]);
    mq_free(d_output);
    mq_free(images);
}

/* Every operator and quantiser: float, fixed and search, weights shared and not. */
static void every_mode(const mq_net *net, int total, int ranks, mq_dtype compute, double bound) {
    static const mq_mode modes[] = {MQ_MODE_FLOAT, MQ_MODE_FIXED, MQ_MODE_SEARCH, MQ_MODE_SEARCH};
    const mq_bits bits = ops_bits(net, 3, false);
    for (int m = 0; m < 4; m++) {
        const mq_model_options o = {.mode = modes[m],
                                    .bits = modes[m] == MQ_MODE_FIXED ? &bits : NULL,
                                    .share = m < 3,
                                    .training = true,
                                    .compute = compute};
        char what[128];
        snprintf(what, sizeof what, "%s, %s%s, %d images", net->name, mq_mode_name(modes[m]),
                 m == 3 ? " (own weights)" : "", total);
        check(what, net, &o, total, ranks, m % 2 ? 64 : MQ_EXCHANGE_BYTES, bound);
    }
}

static void even_and_uneven_shares(void **state) {
    (void)state;
    for (int i = 0; OPS_NETS[i].text; i++) {
        mq_net *net = ops_open(OPS_NETS[i].text);
        every_mode(net, OPS_NETS[i].many * 4, 2, MQ_F32, GRADIENT);
        every_mode(net, OPS_NETS[i].many * 3 + 1, 4, MQ_F32, GRADIENT);
        mq_net_free(net);
    }
    print_message("largest relative difference of a gradient: %.2g\n", largest);
}

/* The last batch of an epoch may have fewer images than there are ranks. */
static void shares_without_images(void **state) {
    (void)state;
    for (int i = 0; OPS_NETS[i].text; i++) {
        mq_net *net = ops_open(OPS_NETS[i].text);
        const int few = OPS_NETS[i].few < MOST_RANKS ? OPS_NETS[i].few : MOST_RANKS - 1;
        every_mode(net, few, few + 1, MQ_F32, GRADIENT);
        mq_net_free(net);
    }
}

/* Four images of a share are two blocks, five a larger and a smaller one. */
static void layers_in_blocks(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NET_LARGE.text);
    every_mode(net, 9, 2, MQ_F32, GRADIENT);
    mq_net_free(net);
}

static void bfloat16(void **state) {
    (void)state;
    if (!mq_dnn_has_bf16()) skip();
    for (int i = 0; OPS_NETS[i].text; i++) {
        mq_net *net = ops_open(OPS_NETS[i].text);
        every_mode(net, OPS_NETS[i].many + 1, 2, MQ_BF16, GRADIENT_BF16);
        mq_net_free(net);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(even_and_uneven_shares),
        cmocka_unit_test(shares_without_images),
        cmocka_unit_test(layers_in_blocks),
        cmocka_unit_test(bfloat16),
    };
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
