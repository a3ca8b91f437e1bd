/* device_target.c - bisection on the share. */
#include "search/device_target.h"

#include <math.h>
#include <string.h>

#define UPWARDS     1.05
#define DOWNWARDS   0.93
#define NEAR_ENOUGH 0.003 /* of the limit */
#define BEYOND_STEP 0.01
enum { EXCHANGES = 64 }; /* tried at most */

typedef struct job {
    const mq_device_target *target;
    const mq_knapsack *choices;
    mq_device_choice *out;
    mq_bits last; /* allocated last */
    bool last_reached;
    double least, most; /* limits */
} job;

mq_status mq_device_target_rate(const mq_device_target *target, const mq_bits *bits, double *fps,
                                mq_error *error) {
    int64_t cycles;
    mq_error too_small = {0};
    mq_status status = mq_device_price_reach(target->net, bits, target->symmetric, target->device,
                                             target->cost->device->clock_mhz, 0, &cycles, fps, &too_small);
    if (status == MQ_OK) return MQ_OK;
    *fps = 0;
    if (status == MQ_BAD_INPUT) return MQ_OK;
    if (error) *error = too_small;
    return status;
}

void mq_device_target_even(mq_knapsack *choices) {
    for (int n = 0; n < choices->count; n++)
        for (int i = 0; i < MQ_BRANCHES; i++)
            for (int j = 0; j < MQ_BRANCHES; j++)
                if (choices->value[n][i][j] > -INFINITY)
                    choices->value[n][i][j] = log(MQ_SEARCH_MIN + i) + log(MQ_SEARCH_MIN + j);
}

static mq_status allocate(job *j, const mq_knapsack_choice *choice, mq_bits *bits, mq_error *error) {
    const mq_device_target *t = j->target;
    *bits = (mq_bits){0};
    mq_bits_uniform(t->net, MQ_SEARCH_MIN, MQ_SEARCH_MIN, bits);
    mq_knapsack_bits(choice, t->cost, bits);
    if (j->last.count && memcmp(bits, &j->last, sizeof *bits) == 0) return MQ_OK;
    MQ_TRY(mq_device_price_reaches(t->net, bits, t->symmetric, t->device, t->cost->device->clock_mhz,
                                   t->target_fps, &j->last_reached, error));
    j->last = *bits;
    j->out->allocations++;
    return MQ_OK;
}

/* Keeps the choice when it reaches the rate and takes more of the device than the one kept. */
static mq_status try_choice(job *j, const mq_knapsack_choice *choice, mq_error *error) {
    mq_device_choice *out = j->out;
    mq_bits bits;
    MQ_TRY(allocate(j, choice, &bits, error));
    if (!j->last_reached) {
        if (out->missed && out->missed_cost <= choice->cost) return MQ_OK;
        out->missed = true;
        out->missed_bits = bits;
        out->missed_cost = choice->cost;
    } else if (!out->found || choice->cost > out->choice.cost) {
        out->found = true;
        out->bits = bits;
        out->choice = *choice;
    }
    return MQ_OK;
}

static mq_status try_limit(job *j, double limit, bool *reached, mq_error *error) {
    mq_knapsack_choice choice;
    const double least = j->least * (1 + 1e-9); /* of a sum in another order */
    MQ_TRY(mq_knapsack_near(j->choices, fmax(limit, least), j->target->tolerance, &choice, error));
    MQ_TRY(try_choice(j, &choice, error));
    *reached = j->last_reached;
    return MQ_OK;
}

/* Limits of which one reaches the rate and one does not, or the end of the range. */
static mq_status bracket(job *j, double limit, double *low, double *high, mq_error *error) {
    bool reached;
    *low = *high = limit;
    MQ_TRY(try_limit(j, limit, &reached, error));
    if (reached) {
        while (reached && *high < j->most) {
            *low = *high;
            *high = fmin(*high * UPWARDS, j->most);
            MQ_TRY(try_limit(j, *high, &reached, error));
        }
        if (reached) *low = *high;
        return MQ_OK;
    }
    double factor = 1;
    while (!reached && *low > j->least) {
        factor *= DOWNWARDS;
        *high = *low;
        *low = fmax(*low * factor, j->least);
        MQ_TRY(try_limit(j, *low, &reached, error));
    }
    if (!reached) *high = *low;
    return MQ_OK;
}

static mq_status look_beyond(job *j, double high, int rounds, mq_error *error) {
    mq_knapsack_choice choice;
    for (int k = 1; k <= rounds; k++) {
        const double floor = j->out->choice.cost * (1 + 1e-6);
        MQ_TRY(mq_knapsack_solve(j->choices, floor, high * (1 + k * BEYOND_STEP), &choice, error));
        if (choice.found) MQ_TRY(try_choice(j, &choice, error));
    }
    return MQ_OK;
}

/* Of a layer's weights or activations; in tables of flags by place. */
typedef struct place {
    int layer, half;
} place;
enum { PLACES = 2 * MQ_MAX_LAYERS };

static place place_of(int p) {
    return (place){p / 2, p % 2};
}

/* The choice with a bit more or less at a place; value and cost by the difference. */
static bool moved(const job *j, const mq_knapsack_choice *from, place at, int by, mq_knapsack_choice *out) {
    const int n = at.layer;
    *out = *from;
    int8_t *bits = at.half ? &out->activation[n] : &out->weight[n];
    *bits = (int8_t)(*bits + by);
    if (*bits < MQ_SEARCH_MIN || *bits > MQ_BITS_MAX) return false;
    const int i = from->weight[n] - MQ_SEARCH_MIN, k = from->activation[n] - MQ_SEARCH_MIN;
    const int to_i = out->weight[n] - MQ_SEARCH_MIN, to_k = out->activation[n] - MQ_SEARCH_MIN;
    if (j->choices->value[n][to_i][to_k] == -INFINITY) return false; /* fixed */
    out->value += j->choices->value[n][to_i][to_k] - j->choices->value[n][i][k];
    out->cost += j->choices->cost[n][to_i][to_k] - j->choices->cost[n][i][k];
    out->bound = INFINITY;
    return true;
}

static mq_status more_than_enough(job *j, bool *out, mq_error *error) {
    const mq_device_target *t = j->target;
    j->out->allocations++;
    return mq_device_price_reaches(t->net, &j->out->bits, t->symmetric, t->device, t->cost->device->clock_mhz,
                                   (1 + t->tolerance) * t->target_fps, out, error);
}

/* Single bits more, the most likely first, until the rate is near enough (more = false) or none reaches it.
 */
static mq_status add_bits(job *j, bool *more, mq_error *error) {
    bool failed[PLACES] = {false};
    MQ_TRY(more_than_enough(j, more, error));
    while (*more) {
        mq_knapsack_choice best = {.value = -INFINITY}, next;
        int at = -1;
        for (int p = 0; p < 2 * j->choices->count; p++) {
            if (failed[p] || !moved(j, &j->out->choice, place_of(p), 1, &next)) continue;
            if (at >= 0 && next.value <= best.value) continue;
            best = next;
            at = p;
        }
        if (at < 0) return MQ_OK;
        MQ_TRY(try_choice(j, &best, error));
        failed[at] = !j->last_reached;
        if (j->last_reached) MQ_TRY(more_than_enough(j, more, error));
    }
    return MQ_OK;
}

/* The most likely exchange of a bit between two places that takes more of the device and was not tried. */
static bool next_exchange(const job *j, bool (*tried)[PLACES], mq_knapsack_choice *best) {
    mq_knapsack_choice one, both;
    place best_at = {-1, -1};
    for (int p = 0; p < 2 * j->choices->count; p++) {
        if (!moved(j, &j->out->choice, place_of(p), 1, &one)) continue;
        for (int q = 0; q < 2 * j->choices->count; q++) {
            if (q == p || tried[p][q] || !moved(j, &one, place_of(q), -1, &both)) continue;
            if (both.cost <= j->out->choice.cost || (best_at.layer >= 0 && both.value <= best->value))
                continue;
            *best = both;
            best_at = (place){p, q};
        }
    }
    if (best_at.layer < 0) return false;
    tried[best_at.layer][best_at.half] = true;
    return true;
}

/* Where no further bit fits and the rate is still too high: a bit goes from one place to another. */
static mq_status fill(job *j, mq_error *error) {
    bool more, tried[PLACES][PLACES] = {{false}};
    mq_knapsack_choice next;
    MQ_TRY(add_bits(j, &more, error));
    for (int k = 0; more && k < EXCHANGES && next_exchange(j, tried, &next); k++) {
        MQ_TRY(try_choice(j, &next, error));
        if (!j->last_reached) continue;
        memset(tried, 0, sizeof tried);
        MQ_TRY(add_bits(j, &more, error));
    }
    return MQ_OK;
}

mq_status mq_device_target_choose(const mq_device_target *target, const mq_knapsack *choices, double limit,
                                  int rounds, bool full, mq_device_choice *out, mq_error *error) {
    job j = {.target = target, .choices = choices, .out = out};
    double low, high;
    *out = (mq_device_choice){0};
    mq_knapsack_range(choices, &j.least, &j.most);
    j.most = fmax(fmin(j.most, 1 - target->cost->device->pinned), j.least);
    MQ_TRY(bracket(&j, fmax(fmin(limit, j.most), j.least), &low, &high, error));
    for (int round = 0; round < rounds && high - low > NEAR_ENOUGH * high; round++) {
        bool reached;
        const double middle = (low + high) / 2;
        MQ_TRY(try_limit(&j, middle, &reached, error));
        if (reached)
            low = middle;
        else
            high = middle;
    }
    if (out->found && out->missed) MQ_TRY(look_beyond(&j, high, rounds / 2, error));
    return out->found && full ? fill(&j, error) : MQ_OK;
}
