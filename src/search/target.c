/* target.c - the controller and the choice. */
#include "search/target.h"

#include <math.h>
#include <string.h>

#define TOLERANCE     0.03
#define SETTLE_PART   0.04 /* of the run */
#define SETTLE_LEAST  6
#define MOST_MOVE     0.3
#define MOVES         8.0 /* of an alpha in a whole run, if it must be */
#define HOLD_MOVE     1.0
#define HOLD_ACCURACY 1e-4
enum { HOLD_STEPS = 12 };

typedef double branches[MQ_BRANCHES];

static void probabilities(const float *alpha, branches out, branches log_out) {
    double top = (double)alpha[0], sum = 0;
    for (int b = 1; b < MQ_BRANCHES; b++) top = fmax(top, (double)alpha[b]);
    for (int b = 0; b < MQ_BRANCHES; b++) sum += exp((double)alpha[b] - top);
    for (int b = 0; b < MQ_BRANCHES; b++) {
        log_out[b] = (double)alpha[b] - top - log(sum);
        out[b] = exp(log_out[b]);
    }
}

/* A layer's cost in expectation and its derivatives by the alphas. */
static double layer_cost(const mq_choice_table cost, const mq_target_alphas *alphas, branches d_weight,
                         branches d_activation) {
    branches s_w, s_a, unused;
    double sum = 0;
    probabilities(alphas->weight, s_w, unused);
    probabilities(alphas->activation, s_a, unused);
    memset(d_weight, 0, sizeof(branches));
    memset(d_activation, 0, sizeof(branches));
    for (int i = 0; i < MQ_BRANCHES; i++)
        for (int j = 0; j < MQ_BRANCHES; j++) {
            d_weight[i] += s_a[j] * cost[i][j];
            d_activation[j] += s_w[i] * cost[i][j];
        }
    for (int i = 0; i < MQ_BRANCHES; i++) sum += s_w[i] * d_weight[i];
    for (int i = 0; i < MQ_BRANCHES; i++) {
        d_weight[i] = s_w[i] * (d_weight[i] - sum);
        d_activation[i] = s_a[i] * (d_activation[i] - sum);
    }
    return sum;
}

double mq_target_mixed(const mq_cost_target *target, const mq_target_alphas *alphas) {
    double sum = 0;
    branches d_w, d_a;
    for (int n = 0; n < target->choices->count; n++)
        sum += layer_cost(target->choices->cost[n], &alphas[n], d_w, d_a);
    return sum;
}

void mq_target_start(mq_cost_target *target, mq_knapsack *choices, double cost) {
    *target = (mq_cost_target){.tolerance = TOLERANCE,
                               .settle = SETTLE_LEAST,
                               .most_move = MOST_MOVE,
                               .choices = choices,
                               .state = {.cost = cost}};
}

void mq_target_length(mq_cost_target *target, uint64_t updates) {
    target->settle = fmax(SETTLE_PART * (double)updates, SETTLE_LEAST);
    target->most_move = fmax(MOST_MOVE, MOVES / (double)updates);
}

static double aim(const mq_cost_target *t) {
    return t->state.cost * (1 - t->tolerance / 2);
}

/* The multiplier of this update. */
static double control(mq_cost_target *t, double cost, double square, double largest, double rate,
                      double momentum) {
    mq_target_state *s = &t->state;
    const double e = log(cost / aim(t));
    const double lead = s->updates > 0 ? momentum / (1 - momentum) * (e - s->deviation) : 0;
    s->deviation = e;
    s->updates++;
    const double response = rate / (1 - momentum);
    if (!(square > 0) || !(response > 0)) return s->multiplier;
    const double gain = 1 / (response * square * t->settle), most = t->most_move / (response * largest);
    const double integral = s->integral + gain * e / (4 * t->settle);
    s->multiplier = integral + gain * (e + lead);
    if (fabs(s->multiplier) <= most)
        s->integral = integral;
    else
        s->multiplier = copysign(most, s->multiplier);
    return s->multiplier;
}

static void prior(float *alpha, double strength) {
    for (int b = 1; b < MQ_BRANCHES; b++)
        if (alpha[b] != alpha[0]) return;
    for (int b = 0; b < MQ_BRANCHES; b++) alpha[b] = (float)(strength * log(MQ_SEARCH_MIN + b));
}

void mq_target_prior(const mq_target_alphas *alphas, int count, double strength) {
    for (int n = 0; n < count && strength > 0; n++) {
        if (alphas[n].fixed) continue;
        prior(alphas[n].weight, strength);
        prior(alphas[n].activation, strength);
    }
}

/* d log C by the alphas of the layers that are not fixed; returns C. */
static double slopes(const mq_knapsack *k, const mq_target_alphas *alphas, branches *d_w, branches *d_a,
                     double *square, double *largest) {
    double cost = 0;
    *square = *largest = 0;
    for (int n = 0; n < k->count; n++) cost += layer_cost(k->cost[n], &alphas[n], d_w[n], d_a[n]);
    for (int n = 0; n < k->count && cost > 0; n++)
        for (int b = 0; b < MQ_BRANCHES && !alphas[n].fixed; b++) {
            d_w[n][b] /= cost;
            d_a[n][b] /= cost;
            *square += d_w[n][b] * d_w[n][b] + d_a[n][b] * d_a[n][b];
            *largest = fmax(*largest, fmax(fabs(d_w[n][b]), fabs(d_a[n][b])));
        }
    return cost;
}

double mq_target_add_gradients(mq_cost_target *target, const mq_target_alphas *alphas, double rate,
                               double momentum) {
    const mq_knapsack *k = target->choices;
    branches d_w[MQ_MAX_LAYERS], d_a[MQ_MAX_LAYERS];
    double square, largest;
    const double cost = slopes(k, alphas, d_w, d_a, &square, &largest);
    if (!(cost > 0)) return 0;
    const double lambda = control(target, cost, square, largest, rate, momentum);
    for (int n = 0; n < k->count; n++)
        for (int b = 0; b < MQ_BRANCHES && !alphas[n].fixed; b++) {
            alphas[n].weight_grad[b] += (float)(lambda * d_w[n][b]);
            alphas[n].activation_grad[b] += (float)(lambda * d_a[n][b]);
        }
    return lambda * target->state.deviation;
}

void mq_target_hold(const mq_cost_target *target, const mq_target_alphas *alphas, double mixed) {
    const mq_knapsack *k = target->choices;
    const double goal = mixed * pow(aim(target) / mixed, 1 / target->settle);
    branches d_w[MQ_MAX_LAYERS], d_a[MQ_MAX_LAYERS];
    double left = HOLD_MOVE; /* of what an alpha may move */
    for (int i = 0; i < HOLD_STEPS && left > 0; i++) {
        double square, largest;
        const double cost = slopes(k, alphas, d_w, d_a, &square, &largest);
        const double e = cost > 0 ? log(cost / goal) : 0;
        if (fabs(e) < HOLD_ACCURACY || !(square > 0)) return;
        double by = e / square;
        if (fabs(by) * largest > left / 2) by = copysign(left / 2 / largest, by);
        left -= fabs(by) * largest;
        for (int n = 0; n < k->count; n++)
            for (int b = 0; b < MQ_BRANCHES && !alphas[n].fixed; b++) {
                alphas[n].weight[b] -= (float)(by * d_w[n][b]);
                alphas[n].activation[b] -= (float)(by * d_a[n][b]);
            }
    }
}

void mq_target_likelihood(mq_knapsack *choices, const mq_target_alphas *alphas) {
    for (int n = 0; n < choices->count; n++) {
        branches unused, log_w, log_a;
        probabilities(alphas[n].weight, unused, log_w);
        probabilities(alphas[n].activation, unused, log_a);
        for (int i = 0; i < MQ_BRANCHES; i++)
            for (int j = 0; j < MQ_BRANCHES; j++)
                if (choices->value[n][i][j] > -INFINITY) choices->value[n][i][j] = log_w[i] + log_a[j];
    }
}

mq_status mq_target_choose(mq_cost_target *target, const mq_target_alphas *alphas, mq_knapsack_choice *out,
                           mq_error *error) {
    mq_target_likelihood(target->choices, alphas);
    return mq_knapsack_near(target->choices, target->state.cost, target->tolerance, out, error);
}

void mq_target_alphas_of(const mq_search *search, mq_model *model, mq_target_alphas *out) {
    const mq_net *net = mq_model_net(model);
    for (int n = 0; n < search->cost.count; n++) {
        const int layer = search->cost.layer[n], node = net->layers[layer].node;
        const mq_param *w = mq_model_param(model, node, MQ_PARAM_ALPHA_WEIGHT, -1),
                       *a = mq_model_param(model, node, MQ_PARAM_ALPHA_ACTIVATION, -1);
        out[n] = (mq_target_alphas){w->value, a->value, w->grad, a->grad, search->fix.fixed[layer]};
    }
}
