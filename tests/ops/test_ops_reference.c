/* test_ops_reference.c - the fast model against the float64 reference, both given the same codes.
 *
 * The reference takes its decisions (codes, clips, places of maxima) on the operands that the fast model saw,
 * so what is left is float32 rounding. Only max pools may read a node that cannot be looked at, because its
 * memory was used again: then they decide on the batch norm computed from its input, which can be seen, or on
 * the reference's own operand. There only ties of real numbers to float32 rounding could differ.
 *
 * Bound: the Euclidean norm of the difference of a tensor, relative to the tensor's norm. Gradients may be
 * small by cancellation (exactly 0 for a bias in front of a batch norm), so theirs has a second term: a
 * rounding of the products that were summed. */
#include "helper_ops.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "ops/precision.h"
#include "ref/step.h"

typedef struct bounds {
    double output;   /* a node's output, running statistics */
    double gradient; /* a parameter's gradient */
    double rounding; /* of the products that it sums */
} bounds;

/* Worst found: outputs 1e-6, gradients 1.6e-6 of the products where these cancel, else 2.5e-6. */
static const bounds F32 = {5e-6, 1e-5, 4e-6};
/* Codes are exact in bfloat16, so forward is as in float32; the gradients are rounded to 8 bits. */
static const bounds BF16_FIXED = {5e-6, 5e-3, 3e-3};
/* Operands are rounded too. */
static const bounds BF16_MIXED = {5e-2, 1e-1, 2e-2};

typedef struct pair {
    const mq_net *net;
    mq_model *model;
    mq_ref *ref;
    const bounds *bounds;
    int n;
    float **seen; /* of every node, or NULL where its memory was used again */
    bool quantised;
    bool guessed; /* a pool decided on the reference's own operand */
    char what[160];
} pair;

/* Parts of the bounds that were needed. */
static double worst_output, worst_gradient;

static double norm(const double *x, size_t n) {
    double sum = 0;
    for (size_t e = 0; e < n; e++) sum += x[e] * x[e];
    return sqrt(sum);
}

static void compare(const pair *p, const char *kind, const char *name, const float *got, const double *want,
                    size_t n, double bound, double floor, double *worst) {
    double sum = 0, most = 0;
    size_t where = 0;
    for (size_t e = 0; e < n; e++) {
        const double d = (double)got[e] - want[e];
        if (!(fabs(d) <= most)) {
            most = fabs(d);
            where = e;
        }
        sum += d * d;
    }
    const double difference = sqrt(sum), size = norm(want, n);
    if (!(difference <= bound * size + floor))
        fail_msg(
            "%s: %s of %s: difference %.3g of norm %.3g (floor %.3g); largest at %zu: got %.9g, expected "
            "%.9g",
            p->what, kind, name, difference, size, floor, where, (double)got[where], want[where]);
    if (difference > 0) *worst = fmax(*worst, difference / (bound * size + floor));
}

/* What a batch norm made of the input that was seen, into the place of its output. */
static void rebuild_batch_norm(pair *p, const mq_node *node, bool training) {
    const float *z = p->seen[node->input[0]];
    const size_t channels = (size_t)node->c, count = (size_t)p->n * ops_elements(node),
                 per = count / channels;
    OK(mq_alloc(count, sizeof(float), "test", &p->seen[node->index], ERROR));
    for (size_t c = 0; c < channels; c++) {
        double mean = 0, var = 0;
        for (size_t e = c; e < count; e += channels) mean += (double)z[e] / (double)per;
        for (size_t e = c; e < count; e += channels)
            var += ((double)z[e] - mean) * ((double)z[e] - mean) / (double)per;
        if (!training) {
            mean = (double)mq_model_param(p->model, node->index, MQ_PARAM_MEAN, -1)->value[c];
            var = (double)mq_model_param(p->model, node->index, MQ_PARAM_VAR, -1)->value[c];
        }
        const double gamma = (double)mq_model_param(p->model, node->index, MQ_PARAM_GAMMA, -1)->value[c];
        const double beta = (double)mq_model_param(p->model, node->index, MQ_PARAM_BETA, -1)->value[c];
        for (size_t e = c; e < count; e += channels)
            p->seen[node->index][e] = (float)(gamma * ((double)z[e] - mean) / sqrt(var + 1e-5) + beta);
    }
}

/* What every node computed, as far as it can be seen; the reference shall decide on it. */
static void look(pair *p, bool training) {
    for (int i = 0; i < p->net->node_count; i++) {
        mq_free(p->seen[i]);
        OK(mq_alloc((size_t)p->n * ops_elements(&p->net->nodes[i]), sizeof(float), "test", &p->seen[i],
                    ERROR));
        mq_error unseen = {0};
        if (mq_model_peek(p->model, i, p->seen[i], &unseen) == MQ_OK) continue;
        assert_non_null(strstr(unseen.text, "used again"));
        mq_free(p->seen[i]);
        p->seen[i] = NULL;
    }
    p->guessed = false;
    for (int i = 0; i < p->net->node_count; i++) {
        const mq_node *node = &p->net->nodes[i], *in = &p->net->nodes[node->input[0]];
        const bool activation = node->op == MQ_OP_ACTIVATION && node->act.kind != MQ_ACT_IMAGE;
        if (!activation && node->op != MQ_OP_MAX_POOL) continue;
        if (activation) assert_non_null(p->seen[in->index]); /* backward reads it again */
        const bool rebuilt = in->op == MQ_OP_BATCH_NORM && p->seen[in->input[0]];
        if (!p->seen[in->index] && rebuilt) rebuild_batch_norm(p, in, training);
        p->guessed |= !p->seen[in->index];
        OK(mq_ref_override(p->ref, i, p->seen[in->index], ERROR));
    }
}

static void compare_outputs(const pair *p, const float *output) {
    const size_t n = (size_t)p->n;
    for (int i = 0; i < p->net->node_count; i++) {
        const mq_node *node = &p->net->nodes[i];
        if (!p->seen[i]) continue;
        compare(p, "output", node->name, p->seen[i], mq_ref_output(p->ref, i), n * ops_elements(node),
                p->bounds->output, 0, &worst_output);
    }
    const mq_node *last = mq_net_output(p->net);
    compare(p, "the result", last->name, output, mq_ref_output(p->ref, last->index), n * ops_elements(last),
            p->bounds->output, 0, &worst_output);
}

static void compare_statistics(const pair *p) {
    int count;
    const mq_param *params = mq_model_params(p->model, &count);
    for (int i = 0; i < count; i++) {
        const mq_param_spec *s = params[i].spec;
        if (mq_param_trained(s->kind)) continue;
        compare(p, "running statistics", s->name, params[i].value,
                mq_ref_find(p->ref, s->node, s->kind, -1)->value, params[i].count, p->bounds->output, 1e-7,
                &worst_output);
    }
}

static size_t size_of(const mq_shape *shape) {
    size_t count = 0;
    assert_true(mq_shape_count(shape, &count));
    return count;
}

/* The size of the products that a parameter's gradient sums: Cauchy and Schwarz. */
static double summed(const pair *p, const mq_param_spec *spec) {
    const mq_node *node = &p->net->nodes[spec->node], *in = &p->net->nodes[node->input[0]];
    const size_t n = (size_t)p->n;
    const double dy = norm(mq_ref_output_grad(p->ref, node->index), n * ops_elements(node));
    const double positions = sqrt((double)p->n * node->h * node->w);
    double again = 1;
    switch (spec->kind) {
    case MQ_PARAM_WEIGHT:
        /* DoReFa's largest weight takes the sum of all gradients times weights once more. */
        if (p->net->quantizer == MQ_QUANTIZER_DOREFA && p->quantised)
            again = fmax(1, norm(mq_ref_operand(p->ref, node->layer), size_of(&spec->shape)));
        return again * dy * norm(mq_ref_output(p->ref, in->index), n * ops_elements(in));
    case MQ_PARAM_ALPHA_WEIGHT:
        return dy * norm(mq_ref_output(p->ref, node->index), n * ops_elements(node));
    case MQ_PARAM_ALPHA_ACTIVATION:
        return norm(mq_ref_output_grad(p->ref, in->index), n * ops_elements(in)) *
               norm(mq_ref_output(p->ref, in->index), n * ops_elements(in));
    default:
        return dy * positions;
    }
}

static void compare_gradients(const pair *p) {
    int count;
    if (p->guessed && p->bounds == &BF16_MIXED) return; /* another operand, another maximum */
    const mq_param *params = mq_model_params(p->model, &count);
    for (int i = 0; i < count; i++) {
        const mq_param_spec *s = params[i].spec;
        if (!params[i].grad) continue;
        compare(p, "gradient", s->name, params[i].grad,
                mq_ref_find(p->ref, s->node, s->kind, s->branch)->grad, params[i].count, p->bounds->gradient,
                p->bounds->rounding * summed(p, s), &worst_gradient);
    }
}

/* One training step without its update, then the same images with running statistics. */
static void check_step(pair *p, int n, uint64_t seed) {
    mq_error e = {0};
    int count;
    const float *output;
    p->n = n;
    ops_randomise(p->model, seed);
    const mq_param *params = mq_model_params(p->model, &count);
    for (int i = 0; i < count; i++)
        mq_ref_set(mq_ref_find(p->ref, params[i].spec->node, params[i].spec->kind, params[i].spec->branch),
                   params[i].value);
    const size_t outputs = (size_t)n * ops_elements(mq_net_output(p->net));
    uint8_t *images = ops_images(p->net, n, seed);
    float *d_output = ops_normal(outputs, seed);
    double *wide;
    OK(mq_alloc(outputs, sizeof *wide, "test", &wide, ERROR));
    for (size_t i = 0; i < outputs; i++) wide[i] = (double)d_output[i];

    OK(mq_model_forward(p->model, images, n, true, &output, ERROR));
    look(p, true);
    OK(mq_ref_forward(p->ref, images, n, true, ERROR));
    compare_outputs(p, output);
    compare_statistics(p);
    OK(mq_model_backward(p->model, d_output, ERROR));
    OK(mq_ref_backward(p->ref, wide, ERROR));
    compare_gradients(p);

    OK(mq_model_forward(p->model, images, n, false, &output, ERROR));
    look(p, false);
    OK(mq_ref_forward(p->ref, images, n, false, ERROR));
    compare_outputs(p, output);
    assert_int_equal(mq_model_backward(p->model, d_output, &e), MQ_INTERNAL);
    mq_free(images);
    mq_free(d_output);
    mq_free(wide);
}

static void check_model(const ops_net *which, const mq_model_options *options, const bounds *within) {
    mq_net *net = ops_open(which->text);
    pair p = {.net = net, .bounds = within, .quantised = options->mode != MQ_MODE_FLOAT};
    mq_model_options o = *options;
    o.training = true;
    o.batch = which->many;
    const mq_ref_options r = {
        .mode = o.mode, .bits = o.bits, .share = o.share, .symmetric = o.symmetric, .batch = o.batch};
    p.model = ops_model(net, &o, 1);
    OK(mq_ref_create(net, &r, &p.ref, ERROR));
    OK(mq_alloc((size_t)net->node_count, sizeof *p.seen, "test", &p.seen, ERROR));
    const int sizes[] = {which->many, which->few, which->many};
    for (uint64_t s = 0; s < 3; s++) { /* a smaller batch between two full ones: nothing of it may stay */
        snprintf(p.what, sizeof p.what, "%s %s%s%s %s, %d images", net->name, mq_mode_name(o.mode),
                 o.mode == MQ_MODE_SEARCH ? o.share ? " shared" : " unshared" : "",
                 o.symmetric ? " symmetric" : "", mq_dtype_name(o.compute), sizes[s]);
        check_step(&p, sizes[s], 10 + s);
    }
    for (int i = 0; i < net->node_count; i++) mq_free(p.seen[i]);
    mq_free(p.seen);
    mq_ref_destroy(p.ref);
    mq_model_destroy(p.model);
    mq_net_free(net);
}

static void check_float(mq_dtype compute, const bounds *within) {
    for (const ops_net *w = OPS_NETS; w->text; w++) {
        const mq_model_options o = {.mode = MQ_MODE_FLOAT, .share = true, .compute = compute};
        check_model(w, &o, within);
    }
}

static void check_fixed(mq_dtype compute, const bounds *within, int turns) {
    for (const ops_net *w = OPS_NETS; w->text; w++) {
        for (int turn = 0; turn < turns; turn++) {
            mq_net *net = ops_open(w->text);
            const bool symmetric = turn % 2 == 1;
            const mq_bits bits = ops_bits(net, turn, symmetric);
            const mq_model_options o = {.mode = MQ_MODE_FIXED,
                                        .bits = &bits,
                                        .share = true,
                                        .symmetric = symmetric,
                                        .compute = compute};
            check_model(w, &o, within);
            mq_net_free(net);
        }
    }
}

static void check_search(mq_dtype compute, const bounds *within, bool share) {
    for (const ops_net *w = OPS_NETS; w->text; w++) {
        for (int symmetric = 0; symmetric < 2; symmetric++) {
            const mq_model_options o = {
                .mode = MQ_MODE_SEARCH, .share = share, .symmetric = symmetric, .compute = compute};
            check_model(w, &o, within);
        }
    }
}

/* A built-in description with its input made smaller: the reference is slow. */
static char *smaller(const mq_embedded_file *file) {
    char *text;
    mq_net *net;
    OK(mq_net_parse(file->name, (const char *)file->bytes, file->size, &net, ERROR));
    const int part = net->task == MQ_TASK_DETECTION ? 5 : 2;
    OK(mq_alloc(file->size + 64, 1, "test", &text, ERROR));
    memcpy(text, file->bytes, file->size);
    char *line = strstr(text, "\ninput:");
    assert_non_null(line);
    const char *rest = strchr(line + 1, '\n');
    char *kept;
    OK(mq_alloc(file->size + 64, 1, "test", &kept, ERROR));
    strcpy(kept, rest);
    sprintf(line, "\ninput: {channels: %d, height: %d, width: %d}%s", net->in_c, net->in_h / part,
            net->in_w / part, kept);
    mq_free(kept);
    mq_net_free(net);
    return text;
}

/* All built-in networks, as the float baselines and, random bits, quantised. */
static void check_builtin(mq_mode mode) {
    int checked = 0;
    for (const mq_embedded_file *f = mixq_builtin_models; f->name; f++, checked++) {
        char *text = smaller(f);
        mq_net *net = ops_open(text);
        const mq_bits bits = ops_bits(net, checked, false);
        const mq_model_options o = {
            .mode = mode, .bits = mode == MQ_MODE_FIXED ? &bits : NULL, .share = true, .compute = MQ_F32};
        check_model(&(ops_net){text, 1, 1}, &o, &F32);
        mq_net_free(net);
        mq_free(text);
    }
    assert_true(checked >= 9);
}

static void report(const char *what) {
    print_message("%s: needed %.2f of the outputs' bound and %.2f of the gradients'\n", what, worst_output,
                  worst_gradient);
    worst_output = worst_gradient = 0;
}

static void float_mode(void **state) {
    (void)state;
    check_float(MQ_F32, &F32);
    report("float");
}

static void fixed_bits(void **state) {
    (void)state;
    check_fixed(MQ_F32, &F32, 8);
    report("fixed");
}

static void search_shared(void **state) {
    (void)state;
    check_search(MQ_F32, &F32, true);
    report("search, shared");
}

static void search_unshared(void **state) {
    (void)state;
    check_search(MQ_F32, &F32, false);
    report("search, unshared");
}

static void bfloat16(void **state) {
    (void)state;
    mq_dtype type;
    mq_error e = {0};
    if (mq_precision(MQ_PRECISION_BF16, &type, &e) != MQ_OK) {
        print_message("%s\n", e.text);
        skip();
    }
    check_fixed(type, &BF16_FIXED, 2);
    report("fixed, bfloat16");
    check_float(type, &BF16_MIXED);
    check_search(type, &BF16_MIXED, true);
    check_search(type, &BF16_MIXED, false);
    report("float and search, bfloat16");
}

/* Layers that run in several blocks of images, the last of which is smaller. */
static void blocks(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NET_LARGE.text);
    const mq_bits bits = ops_bits(net, 3, false);
    mq_net_free(net);
    for (int mode = MQ_MODE_FLOAT; mode <= MQ_MODE_SEARCH; mode++)
        for (int share = mode != MQ_MODE_SEARCH; share < 2; share++) {
            const mq_model_options o = {.mode = (mq_mode)mode,
                                        .bits = mode == MQ_MODE_FIXED ? &bits : NULL,
                                        .share = share,
                                        .compute = MQ_F32};
            check_model(&OPS_NET_LARGE, &o, &F32);
        }
    report("blocks");
}

static void builtin_float(void **state) {
    (void)state;
    check_builtin(MQ_MODE_FLOAT);
    report("built-in networks, float");
}

static void builtin_fixed(void **state) {
    (void)state;
    check_builtin(MQ_MODE_FIXED);
    report("built-in networks, fixed");
}

static void every_operator_is_tested(void **state) {
    (void)state;
    bool seen[MQ_OPS] = {false}, quantizer[MQ_QUANTIZERS] = {false};
    for (const ops_net *w = OPS_NETS; w->text; w++) {
        mq_net *net = ops_open(w->text);
        for (int i = 0; i < net->node_count; i++) seen[net->nodes[i].op] = true;
        quantizer[net->quantizer] = true;
        mq_net_free(net);
    }
    for (int op = 0; op < MQ_OPS; op++)
        if (!seen[op]) fail_msg("operator %s is in no network of helper_ops.c", mq_op_name((mq_op)op));
    for (int q = 0; q < MQ_QUANTIZERS; q++)
        if (!quantizer[q]) fail_msg("quantiser %s is in no network of helper_ops.c", mq_quantizer_names[q]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_is_tested),
        cmocka_unit_test(float_mode),
        cmocka_unit_test(fixed_bits),
        cmocka_unit_test(search_shared),
        cmocka_unit_test(search_unshared),
        cmocka_unit_test(bfloat16),
        cmocka_unit_test(blocks),
        cmocka_unit_test(builtin_float),
        cmocka_unit_test(builtin_fixed),
    };
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
