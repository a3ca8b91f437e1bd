/* test_target.c - the controlled multiplier on searches without a network: alphas under forces like those of
 * a task, moved by the optimiser's rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "search/anneal.h"
#include "search/target.h"
#include "ok.h"

enum { LAYERS = 9, NUMBERS = 2 * MQ_BRANCHES };

/* A search: force of the task, rates of a recipe, length. */
typedef struct scene {
    int updates;
    double rate, momentum, decay;
    double task;  /* how much the task's loss grows with the errors of rounding */
    double noise; /* of its gradient */
    double part;  /* target: between 2 bits everywhere (0) and 8 (1) */
    int fixed;    /* the first layers, at w8a4 */
    bool free;    /* entropies are */
    double prior;
} scene;

typedef struct outcome {
    double mixed, largest, chosen; /* costs over the target */
    int apart;                     /* layers whose choice is not the largest alpha */
    double multiplier, entropy;    /* at the end; entropy: the largest, of 1 */
} outcome;

static mq_knapsack k; /* too large for the stack */
static float value[LAYERS][NUMBERS], grad[LAYERS][NUMBERS], speed[LAYERS][NUMBERS];
static mq_target_alphas alphas[LAYERS];
static mq_cost_target target;

static void begin(const scene *c) {
    static const double size[LAYERS] = {22, 59, 59, 29, 7.4, 7.4, 7.4, 7.4, 0.5};
    memset(&k, 0, sizeof k);
    k.count = LAYERS;
    for (int l = 0; l < LAYERS; l++) {
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
    mq_target_prior(alphas, LAYERS, c->prior);
    memset(speed, 0, sizeof speed);
    double least, most;
    mq_knapsack_range(&k, &least, &most);
    mq_target_start(&target, &k, least + c->part * (most - least));
    mq_target_length(&target, (uint64_t)c->updates);
}

static void softmax(const float *x, double s[MQ_BRANCHES]) {
    double sum = 0;
    for (int b = 0; b < MQ_BRANCHES; b++) sum += s[b] = exp((double)(x[b] - x[0]));
    for (int b = 0; b < MQ_BRANCHES; b++) s[b] /= sum;
}

static double entropy(const float *x) {
    double s[MQ_BRANCHES], sum = 0;
    softmax(x, s);
    for (int b = 0; b < MQ_BRANCHES; b++) sum -= s[b] > 0 ? s[b] * log(s[b]) : 0;
    return sum / log(MQ_BRANCHES);
}

/* Errors fall fourfold with a bit; layers are not equally sensitive. */
static void task_gradient(const scene *c, uint64_t update) {
    mq_rng rng = mq_rng_stream(1, "task", update);
    for (int l = 0; l < LAYERS; l++)
        for (int h = 0; h < 2; h++) {
            double s[MQ_BRANCHES], mean = 0, error[MQ_BRANCHES];
            softmax(value[l] + h * MQ_BRANCHES, s);
            for (int b = 0; b < MQ_BRANCHES; b++) {
                const uint64_t n = (uint64_t)(l * NUMBERS + h * MQ_BRANCHES + b);
                error[b] = c->task * (1 + 3 * ((l * 5 + h) % 4)) * pow(0.25, b) +
                           c->noise * ((double)mq_rng_uniform(&rng, n) - 0.5);
                mean += s[b] * error[b];
            }
            for (int b = 0; b < MQ_BRANCHES; b++)
                grad[l][h * MQ_BRANCHES + b] = (float)(s[b] * (error[b] - mean));
        }
}

/* The optimiser's rule. */
static void step(const scene *c, double rate) {
    for (int l = c->fixed; l < LAYERS; l++)
        for (int b = 0; b < NUMBERS; b++) {
            speed[l][b] = (float)(c->momentum * (double)speed[l][b] + (double)grad[l][b] +
                                  c->decay * (double)value[l][b]);
            value[l][b] -= (float)(rate * (double)speed[l][b]);
        }
}

static void update(const scene *c, int u) {
    const mq_anneal anneal = {.on = !c->free, .from = 0.4, .to = 0.95, .entropy = 0.05};
    const double done = (double)u / c->updates, rate = c->rate * (0.3 + 0.35 * (1 + cos(3.14159265 * done)));
    task_gradient(c, (uint64_t)u);
    mq_target_add_gradients(&target, alphas, rate, c->momentum);
    step(c, rate);
    const double before = mq_target_mixed(&target, alphas), bound = mq_anneal_bound(&anneal, done);
    for (int l = c->fixed; l < LAYERS; l++)
        for (int h = 0; h < 2; h++) mq_anneal_logits(value[l] + h * MQ_BRANCHES, bound);
    if (bound < 1) mq_target_hold(&target, alphas, before);
}

static outcome outcome_now(void) {
    outcome out = {.multiplier = target.state.multiplier};
    mq_knapsack_choice choice;
    OK(mq_target_choose(&target, alphas, &choice, ERROR));
    assert_true(choice.found);
    out.mixed = mq_target_mixed(&target, alphas) / target.state.cost;
    out.chosen = choice.cost / target.state.cost;
    for (int l = 0; l < LAYERS; l++) {
        int w = 0, a = 0;
        for (int b = 1; b < MQ_BRANCHES; b++) {
            if (alphas[l].weight[b] > alphas[l].weight[w]) w = b;
            if (alphas[l].activation[b] > alphas[l].activation[a]) a = b;
        }
        out.largest += k.cost[l][w][a] / target.state.cost;
        out.apart += choice.weight[l] != w + 2 || choice.activation[l] != a + 2;
        for (int h = 0; h < 2; h++) out.entropy = fmax(out.entropy, entropy(value[l] + h * MQ_BRANCHES));
    }
    return out;
}

static outcome search(const scene *c) {
    begin(c);
    for (int u = 0; u < c->updates; u++) update(c, u);
    return outcome_now();
}

/* Whatever the recipe, the length, the task and the target are. */
static void lands(void **state) {
    (void)state;
    static const struct {
        double rate, momentum, decay;
    } recipe[] = {{0.1, 0.9, 5e-4}, {0.01, 0.937, 4.84e-4}};
    static const struct {
        int updates;
        double mixed, largest; /* how far off they may be; a layer's step of a bit is up to 0.15 */
    } length[] = {{24, 0.25, 0.3}, {48, 0.1, 0.2}, {150, 0.03, 0.2}, {1500, 0.03, 0.2}};
    static const double task[] = {0, 0.003, 0.03, 0.3}, part[] = {0.1, 0.25, 0.5, 0.85};
    double far[4] = {0}, apart[4] = {0};
    for (int r = 0; r < 2; r++)
        for (int u = 0; u < 4; u++)
            for (int t = 0; t < 4; t++)
                for (int p = 0; p < 4; p++) {
                    const scene c = {.updates = length[u].updates,
                                     .rate = recipe[r].rate,
                                     .momentum = recipe[r].momentum,
                                     .decay = recipe[r].decay,
                                     .task = task[t],
                                     .noise = 0.03,
                                     .part = part[p],
                                     .prior = t % 2};
                    const outcome o = search(&c);
                    if (fabs(o.mixed - 0.985) > length[u].mixed ||
                        fabs(o.largest - 0.985) > length[u].largest || o.chosen > 1 + 1e-9 || o.chosen < 0.97)
                        fail_msg("rate %g, %d updates, task %g, part %g: mixed %.3f largest %.3f chosen %.3f",
                                 c.rate, c.updates, c.task, c.part, o.mixed, o.largest, o.chosen);
                    far[u] += fabs(o.mixed - 0.985) / 32;
                    apart[u] += o.apart / 32.0;
                }
    for (int u = 0; u < 4; u++) {
        print_message("%5d updates: mixed cost off by %.4f, %.2f layers changed, on average\n",
                      length[u].updates, far[u], apart[u]);
        assert_true(apart[u] < 3);
    }
    assert_true(far[0] < 0.1 && far[1] < 0.02 && far[2] < 0.01 && far[3] < 0.01);
}

/* Fixed layers stay, and count. */
static void fixed_layers(void **state) {
    (void)state;
    const scene c = {
        .updates = 200, .rate = 0.1, .momentum = 0.9, .decay = 5e-4, .task = 0.03, .part = 0.4, .fixed = 2};
    const outcome o = search(&c);
    assert_true(o.chosen <= 1 + 1e-9 && o.chosen >= 0.97);
    assert_true(fabs(o.mixed - 0.985) < 0.03);
    for (int l = 0; l < 2; l++) {
        assert_true(value[l][6] == 60 && value[l][MQ_BRANCHES + 2] == 60 && value[l][0] == 0.01F);
        for (int b = 0; b < NUMBERS; b++) assert_true(speed[l][b] == 0);
    }
}

/* The multiplier is the price: paid as one, it leads to the same cost. A target below what the task wants has
 * a positive one. */
static void is_a_price(void **state) {
    (void)state;
    const scene c = {
        .updates = 4000, .rate = 0.1, .momentum = 0.9, .decay = 5e-4, .task = 0.1, .part = 0.3, .free = true};
    const outcome found = search(&c);
    assert_true(found.multiplier > 0);
    assert_true(fabs(found.mixed - 0.985) < 0.01);
    begin(&c);
    target.settle = 1e9; /* no control */
    target.state.integral = found.multiplier;
    for (int u = 0; u < c.updates; u++) update(&c, u);
    const outcome paid = outcome_now();
    print_message("multiplier %.3f: mixed %.3f, paid as a price %.3f of the target\n", found.multiplier,
                  found.mixed, paid.mixed);
    assert_true(fabs(paid.mixed - found.mixed) < 0.2);
    begin(&c);
    target.settle = 1e9;
    for (int u = 0; u < c.updates; u++) update(&c, u);
    assert_true(outcome_now().mixed > 1.5); /* for nothing */
}

/* The numbers of the state are all that a second run needs. */
static void resumes(void **state) {
    (void)state;
    const scene c = {.updates = 90, .rate = 0.1, .momentum = 0.9, .decay = 5e-4, .task = 0.03, .part = 0.3};
    const outcome whole = search(&c);
    begin(&c);
    double kept[MQ_TARGET_NUMBERS];
    for (int u = 0; u < c.updates; u++) {
        if (u == 50) {
            memcpy(kept, &target.state, sizeof kept);
            mq_target_start(&target, &k, 1);
            mq_target_length(&target, (uint64_t)c.updates);
            memcpy(&target.state, kept, sizeof kept);
        }
        update(&c, u);
    }
    const outcome parts = outcome_now();
    assert_true(parts.mixed == whole.mixed && parts.chosen == whole.chosen &&
                parts.multiplier == whole.multiplier);
}

/* Without a word of the task: layers that cost little keep their bits, those that cost much give. */
static void prior(void **state) {
    (void)state;
    scene c = {
        .updates = 60, .rate = 0.1, .momentum = 0.9, .decay = 5e-4, .part = 0.3, .prior = 1, .fixed = 1};
    mq_knapsack_choice choice;
    search(&c);
    OK(mq_target_choose(&target, alphas, &choice, ERROR));
    const int cheap = choice.weight[8] * choice.activation[8], dear = choice.weight[1] * choice.activation[1];
    assert_true(cheap >= 49 && dear < cheap);
    begin(&c);
    for (int b = 1; b < MQ_BRANCHES; b++) assert_true(alphas[3].weight[b] > alphas[3].weight[b - 1]);
    assert_true(value[0][0] == 0.01F && value[0][6] == 60);
    value[2][1] += 1; /* a search that went on: stays */
    const float before = value[2][0];
    mq_target_prior(alphas, LAYERS, 3);
    assert_true(value[2][0] == before);
}

static void annealing(void **state) {
    (void)state;
    const mq_anneal a = {.on = true, .from = 0.4, .to = 0.9, .entropy = 0.1}, off = {.from = 0.4, .to = 0.9};
    assert_true(mq_anneal_bound(&off, 0.8) == 1 && mq_anneal_bound(&a, 0.3) == 1);
    assert_true(fabs(mq_anneal_bound(&a, 0.65) - 0.55) < 1e-12);
    assert_true(mq_anneal_bound(&a, 0.9) == 0.1 && mq_anneal_bound(&a, 1) == 0.1);
    mq_rng rng = mq_rng_stream(3, "logits", 0);
    for (int n = 0; n < 200; n++) {
        float x[MQ_BRANCHES], y[MQ_BRANCHES];
        for (int b = 0; b < MQ_BRANCHES; b++)
            y[b] = x[b] = (n % 7 + 1) * mq_rng_normal(&rng, (uint64_t)(n * MQ_BRANCHES + b));
        const double bound = 0.05 + 0.9 * (n % 10) / 10, before = entropy(x);
        for (int i = 0; i < 8; i++) mq_anneal_logits(y, bound);
        if (before <= bound)
            assert_memory_equal(x, y, sizeof x);
        else if (fabs(entropy(y) - bound) > 1e-4) { /* two branches are nearly equal: as far as logits go */
            float most = 0;
            for (int b = 0; b < MQ_BRANCHES; b++) most = fmaxf(most, fabsf(y[b]));
            assert_true(entropy(y) > bound && entropy(y) < before && most > 39);
        }
        for (int b = 0; b < MQ_BRANCHES; b++)
            for (int c = 0; c < MQ_BRANCHES; c++) assert_int_equal(x[b] < x[c], y[b] < y[c]);
    }
    float equal[MQ_BRANCHES] = {0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F, 0.5F};
    mq_anneal_logits(equal, 0.05);
    for (int b = 0; b < MQ_BRANCHES; b++) assert_true(equal[b] == 0.5F);
    float tie[MQ_BRANCHES] = {1, 0, 0, 1, 0, 0, 0}; /* of two: never below the entropy of a coin */
    for (int i = 0; i < 50; i++) mq_anneal_logits(tie, 0.05);
    assert_true(isfinite(tie[0]) && tie[0] == tie[3] && tie[0] > tie[1] && tie[0] < 50);
}

/* A layer that cannot move, a rate of 0: no division by nothing. */
static void nothing_to_move(void **state) {
    (void)state;
    const scene c = {.updates = 10, .rate = 0.1, .momentum = 0.9, .part = 0.5, .fixed = LAYERS};
    begin(&c);
    assert_true(mq_target_add_gradients(&target, alphas, 0.1, 0.9) == 0);
    mq_target_hold(&target, alphas, 1);
    const scene d = {.updates = 10, .rate = 0.1, .momentum = 0.9, .part = 0.5};
    begin(&d);
    assert_true(mq_target_add_gradients(&target, alphas, 0, 0.9) == 0);
    assert_true(isfinite(target.state.multiplier) && isfinite(target.state.integral));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lands),           cmocka_unit_test(fixed_layers), cmocka_unit_test(is_a_price),
        cmocka_unit_test(resumes),         cmocka_unit_test(prior),        cmocka_unit_test(annealing),
        cmocka_unit_test(nothing_to_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
