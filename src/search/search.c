/* search.c - cost gradients into the alphas, pinned layers, entropies. */
#include "search/search.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

/* The alpha that leaves all others a probability below 1e-26: e^-60. */
#define DECIDED 60.0f

static void probabilities(mq_model *model, int node, mq_param_kind kind, double out[MQ_BRANCHES]) {
    const mq_param *alpha = mq_model_param(model, node, kind, -1);
    float s[MQ_BRANCHES];
    mq_softmax(alpha->value, MQ_BRANCHES, s);
    for (int b = 0; b < MQ_BRANCHES; b++) out[b] = (double)s[b];
}

static void add_to_alpha(mq_model *model, int node, mq_param_kind kind, const double s[MQ_BRANCHES],
                         const double d[MQ_BRANCHES]) {
    mq_param *alpha = mq_model_param(model, node, kind, -1);
    double mean = 0;
    for (int b = 0; b < MQ_BRANCHES; b++) mean += s[b] * d[b];
    for (int b = 0; b < MQ_BRANCHES; b++) alpha->grad[b] += (float)(s[b] * (d[b] - mean));
}

static mq_cost_losses terms(const mq_search *search, mq_model *model, bool gradients) {
    const mq_cost_model *cost = &search->cost;
    const mq_net *net = mq_model_net(model);
    mq_branch_probabilities s_w[MQ_MAX_LAYERS], s_a[MQ_MAX_LAYERS], d_w[MQ_MAX_LAYERS], d_a[MQ_MAX_LAYERS];
    for (int n = 0; n < cost->count; n++) {
        int node = net->layers[cost->layer[n]].node;
        probabilities(model, node, MQ_PARAM_ALPHA_WEIGHT, s_w[n]);
        probabilities(model, node, MQ_PARAM_ALPHA_ACTIVATION, s_a[n]);
    }
    mq_cost_losses losses = mq_cost_expected(cost, s_w, s_a, search->prices.complexity,
                                             search->prices.trivial, search->prices.bram, d_w, d_a);
    for (int n = 0; n < cost->count && gradients; n++) {
        int layer = cost->layer[n], node = net->layers[layer].node;
        if (search->fix.fixed[layer]) {
            memset(mq_model_param(model, node, MQ_PARAM_ALPHA_WEIGHT, -1)->grad, 0,
                   MQ_BRANCHES * sizeof(float));
            memset(mq_model_param(model, node, MQ_PARAM_ALPHA_ACTIVATION, -1)->grad, 0,
                   MQ_BRANCHES * sizeof(float));
            continue;
        }
        add_to_alpha(model, node, MQ_PARAM_ALPHA_WEIGHT, s_w[n], d_w[n]);
        add_to_alpha(model, node, MQ_PARAM_ALPHA_ACTIVATION, s_a[n], d_a[n]);
    }
    return losses;
}

mq_cost_losses mq_search_add_gradients(const mq_search *search, mq_model *model) {
    return terms(search, model, true);
}

mq_cost_losses mq_search_terms(const mq_search *search, mq_model *model) {
    return terms(search, model, false);
}

static void decide(mq_param *alpha, int bits) {
    for (int b = 0; b < MQ_BRANCHES; b++) alpha->value[b] = b == bits - MQ_SEARCH_MIN ? DECIDED : 0;
}

/* Called after every optimiser step too: weight decay must not wear the decision away. */
void mq_search_apply_fix(const mq_search *search, mq_model *model) {
    const mq_net *net = mq_model_net(model);
    for (int i = 0; i < net->layer_count; i++) {
        if (!search->fix.fixed[i]) continue;
        decide(mq_model_param(model, net->layers[i].node, MQ_PARAM_ALPHA_WEIGHT, -1), search->fix.weight[i]);
        decide(mq_model_param(model, net->layers[i].node, MQ_PARAM_ALPHA_ACTIVATION, -1),
               search->fix.activation[i]);
    }
}

static double entropy(const double s[MQ_BRANCHES]) {
    double sum = 0;
    for (int b = 0; b < MQ_BRANCHES; b++)
        if (s[b] > 0) sum -= s[b] * log2(s[b]);
    return sum;
}

void mq_search_entropy(mq_model *model, int layer, double *weight, double *activation) {
    int node = mq_model_net(model)->layers[layer].node;
    double s[MQ_BRANCHES];
    probabilities(model, node, MQ_PARAM_ALPHA_WEIGHT, s);
    *weight = entropy(s);
    probabilities(model, node, MQ_PARAM_ALPHA_ACTIVATION, s);
    *activation = entropy(s);
}

static bool searched_width(char digit) {
    return digit >= '0' + MQ_SEARCH_MIN && digit <= '0' + MQ_BITS_MAX;
}

static mq_status parse_one(const mq_net *net, const char *item, mq_search_fix *out, mq_error *error) {
    const char *equals = strchr(item, '=');
    if (!equals || strlen(equals) != strlen("=wBaB") || equals[1] != 'w' || !searched_width(equals[2]) ||
        equals[3] != 'a' || !searched_width(equals[4]))
        return mq_fail(error, MQ_USAGE,
                       "--fix '%s': LAYER=wBaB with bits from 2 to 8 expected, as in conv0=w8a8", item);
    char name[MQ_MAX_NAME];
    snprintf(name, sizeof name, "%.*s", (int)(equals - item), item);
    const char *names[MQ_MAX_LAYERS + 1] = {0};
    for (int i = 0; i < net->layer_count; i++) {
        names[i] = net->nodes[net->layers[i].node].name;
        if (strcmp(names[i], name) != 0) continue;
        if (net->layers[i].pinned)
            return mq_fail(error, MQ_USAGE, "--fix '%s': the network description pins %s at w%da%d already",
                           item, name, net->layers[i].pinned_weight_bits,
                           net->layers[i].pinned_activation_bits);
        if (out->fixed[i]) return mq_fail(error, MQ_USAGE, "--fix '%s': %s stands there twice", item, name);
        out->fixed[i] = true;
        out->weight[i] = (int8_t)(equals[2] - '0');
        out->activation[i] = (int8_t)(equals[4] - '0');
        return MQ_OK;
    }
    const char *near = mq_nearest(name, names);
    return mq_fail(error, MQ_USAGE, "--fix '%s': network %s has no layer '%s'%s%s%s", item, net->name, name,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

mq_status mq_search_parse_fix(const mq_net *net, const char *text, mq_search_fix *out, mq_error *error) {
    *out = (mq_search_fix){0};
    char item[2 * MQ_MAX_NAME];
    while (*text) {
        size_t n = strcspn(text, ",");
        if (n == 0 || n >= sizeof item)
            return mq_fail(error, MQ_USAGE, "--fix: LAYER=wBaB expected at '%.40s'", text);
        memcpy(item, text, n);
        item[n] = 0;
        MQ_TRY(parse_one(net, item, out, error));
        text += n + (text[n] == ',');
    }
    return MQ_OK;
}
