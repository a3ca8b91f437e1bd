/* test_target.c - the controlled multiplier on searches without a network: alphas under forces like those of
 * a task, moved by the optimiser's rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "search/anneal.h"
#include "search/target.h"

#define OK(call)                                                                                             \
    do {                                                                                                     \
        mq_error ok_error_ = {0};                                                                            \
        if ((call) != MQ_OK) fail_msg("%s", ok_error_.text);                                                 \
    } while (0)
#define ERROR &ok_error_

enum { LAYERS = 9, NUMBERS = 2 * MQ_BRANCHES };

/* A search: force of the task, rates of a recipe, length. */
typedef struct scene {
    int updates;
    double rate, momentum, decay;
    double task;  /* how much the task's loss grows with the errors of rounding */
    double noise; /* of its gradient */
    double part;  /* target: between 2 bits everywhere (0) and 8 (1) */
    int fixed;    /* layers */
} scene;

typedef struct outcome {
    double mixed, largest, chosen, low, high; /* over the target; low, high: of mixed in the second half */
    int apart;                                /* layers whose choice is not the largest alpha */
    double entropy;                           /* largest */
} outcome;

static mq_knapsack k; /* too large for the stack */
static float value[LAYERS][NUMBERS], grad[LAYERS][NUMBERS], speed[LAYERS][NUMBERS];
static mq_target_alphas alphas[LAYERS];

static void begin(const scene *c) {
    memset(&k, 0, sizeof k);
    k.count = LAYERS;
    for (int l = 0; l < LAYERS; l++) {
        const double size[LAYERS] = {22, 59, 59, 29, 7.4, 7.4, 7.4, 7.4, 0.5};
        for (int i = 0; i < MQ_BRANCHES; i++)
            for (int j = 0; j < MQ_BRANCHES; j++) {
                k.cost[l][i][j] = size[l] * (i + 2) * (j + 2) / 64;
                if (l < c->fixed && (i != 6 || j != 2)) k.value[l][i][j] = -INFINITY;
            }
        for (int b = 0; b < NUMBERS; b++) value[l][b] = 0.01F;
        if (l < c->fixed) value[l][6] = value[l][MQ_BRANCHES + 2] = 60;
        alphas[l] = (mq_target_alphas){value[l], value[l] + MQ_BRANCHES, grad[l], grad[l] + MQ_BRANCHES,
                                       l < c->fixed};
    }
    memset(speed, 0, sizeof speed);
}

static void softmax(const float *x, double s[MQ_BRANCHES]) {
    double sum = 0;
    for (int b = 0; b < MQ_BRANCHES; b++) sum += s[b] = exp((double)(x[b] - x[0]));
    for (int b = 0; b < MQ_BRANCHES; b++) s[b] /= sum;
}

/* Errors fall fourfold with a bit; layers are not equally sensitive. */
static void task_gradient(const scene *c, uint64_t update) {
    mq_rng rng = mq_rng_stream(1, "task", update);
    for (int l = 0; l < LAYERS; l++)
        for (int h = 0; h < 2; h++) {
            double s[MQ_BRANCHES], mean = 0, error[MQ_BRANCHES];
            softmax(value[l] + h * MQ_BRANCHES, s);
            for (int b = 0; b < MQ_BRANCHES; b++) {
                error[b] =
                    c->task * (1 + 3 * ((l * 5 + h) % 4)) * pow(0.25, b) +
                    c->noise * (double)mq_rng_normal(&rng, (uint64_t)(l * NUMBERS + h * MQ_BRANCHES + b));
                mean += s[b] * error[b];
            }
            for (int b = 0; b < MQ_BRANCHES; b++)
                grad[l][h * MQ_BRANCHES + b] = (float)(s[b] * (error[b] - mean));
        }
}

static void step(const scene *c, double rate) {
    for (int l = c->fixed; l < LAYERS; l++)
        for (int b = 0; b < NUMBERS; b++) {
            speed[l][b] = (float)(c->momentum * (double)speed[l][b] + (double)grad[l][b] +
                                  c->decay * (double)value[l][b]);
            value[l][b] -= (float)(rate * (double)speed[l][b]);
        }
}

static outcome search(const scene *c) {
    begin(c);
    double least, most;
    mq_knapsack_range(&k, &least, &most);
    const double cost = least + c->part * (most - least);
    const mq_anneal anneal = {.on = true, .from = 0.4, .to = 0.95, .entropy = 0.05};
    mq_cost_target target;
    mq_target_start(&target, &k, cost);
    mq_target_length(&target, (uint64_t)c->updates);
    outcome out = {.low = INFINITY};
    for (int u = 0; u < c->updates; u++) {
        const double done = (double)u / c->updates,
                     rate = c->rate * (0.3 + 0.35 * (1 + cos(3.14159265 * done)));
        memset(grad, 0, sizeof grad);
        task_gradient(c, (uint64_t)u);
        mq_target_add_gradients(&target, alphas, rate, c->momentum);
        step(c, rate);
        const double before = mq_target_mixed(&target, alphas);
        for (int l = c->fixed; l < LAYERS; l++)
            for (int h = 0; h < 2; h++)
                mq_anneal_logits(value[l] + h * MQ_BRANCHES, mq_anneal_bound(&anneal, done));
        if (done > anneal.from) mq_target_hold(&target, alphas, before);
        const double now = mq_target_mixed(&target, alphas) / cost;
        if (u > c->updates / 2) {
            out.low = fmin(out.low, now);
            out.high = fmax(out.high, now);
        }
        if (getenv("TRACE") && u % (c->updates / 40 + 1) == 0)
            printf("  %4d mixed %.3f lambda %.3g I %.3g\n", u, now, target.state.multiplier,
                   target.state.integral);
    }
    mq_knapsack_choice choice;
    OK(mq_target_choose(&target, alphas, &choice, ERROR));
    assert_true(choice.found);
    out.mixed = mq_target_mixed(&target, alphas) / cost;
    out.chosen = choice.cost / cost;
    for (int l = 0; l < LAYERS; l++) {
        int w = 0, a = 0;
        for (int b = 1; b < MQ_BRANCHES; b++) {
            if (alphas[l].weight[b] > alphas[l].weight[w]) w = b;
            if (alphas[l].activation[b] > alphas[l].activation[a]) a = b;
        }
        out.largest += k.cost[l][w][a] / cost;
        out.apart += choice.weight[l] != w + 2 || choice.activation[l] != a + 2;
        if (getenv("TRACE")) printf("w%da%d ", w + 2, a + 2);
    }
    if (getenv("TRACE")) printf("\n");
    return out;
}

static void lands(void **state) {
    (void)state;
    static const struct {
        double rate, momentum, decay;
    } recipe[] = {{0.1, 0.9, 5e-4}, {0.01, 0.937, 4.84e-4}};
    static const int updates[] = {24, 48, 150, 1000, 8000};
    static const double task[] = {0, 0.003, 0.03, 0.3}, part[] = {0.05, 0.2, 0.5, 0.85};
    for (int r = 0; r < 2; r++)
        for (int u = 0; u < 5; u++)
            for (int t = 0; t < 4; t++)
                for (int p = 0; p < 4; p++) {
                    const scene c = {.updates = updates[u],
                                     .rate = recipe[r].rate,
                                     .momentum = recipe[r].momentum,
                                     .decay = recipe[r].decay,
                                     .task = task[t],
                                     .noise = 0.01,
                                     .part = part[p]};
                    const outcome o = search(&c);
                    print_message(
                        "rate %.2f updates %5d task %.3f part %.2f: mixed %.3f (%.3f..%.3f) largest "
                        "%.3f chosen %.3f apart %d\n",
                        c.rate, c.updates, c.task, c.part, o.mixed, o.low, o.high, o.largest, o.chosen,
                        o.apart);
                    assert_true(o.chosen <= 1 + 1e-9 && o.chosen >= 0.97);
                }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
