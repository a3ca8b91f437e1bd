/* device_target.c - bisection on the share. */
#include "search/device_target.h"

#include <math.h>
#include <string.h>

enum { ROUNDS = 9, BEYOND = 4 };
#define NEAR_ENOUGH 0.003 /* of the limit */
#define BEYOND_STEP 0.01

typedef struct job {
    const mq_device_target *target;
    const mq_knapsack *choices;
    mq_device_choice *out;
    mq_bits last; /* allocated last, and its rate */
    double last_fps;
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

/* Keeps the choice when it reaches the rate and takes more of the device than the one kept. */
static mq_status try_choice(job *j, const mq_knapsack_choice *choice, bool *reached, mq_error *error) {
    mq_bits bits = {0};
    mq_bits_uniform(j->target->net, MQ_SEARCH_MIN, MQ_SEARCH_MIN, &bits);
    mq_knapsack_bits(choice, j->target->cost, &bits);
    if (!j->last.count || memcmp(&bits, &j->last, sizeof bits) != 0) {
        MQ_TRY(mq_device_target_rate(j->target, &bits, &j->last_fps, error));
        j->last = bits;
        j->out->allocations++;
    }
    *reached = j->last_fps >= j->target->target_fps;
    if (!*reached) {
        j->out->beside = fmax(j->out->beside, j->last_fps);
    } else if (!j->out->found || choice->cost > j->out->choice.cost) {
        j->out->found = true;
        j->out->bits = bits;
        j->out->choice = *choice;
        j->out->fps = j->last_fps;
    }
    return MQ_OK;
}

static mq_status search(job *j, double low, double high, mq_error *error) {
    mq_knapsack_choice choice;
    bool reached;
    MQ_TRY(mq_knapsack_near(j->choices, high, j->target->tolerance, &choice, error));
    MQ_TRY(try_choice(j, &choice, &reached, error));
    if (reached) return MQ_OK;
    for (int round = 0; round < ROUNDS && high - low > NEAR_ENOUGH * high; round++) {
        const double middle = (low + high) / 2;
        MQ_TRY(mq_knapsack_near(j->choices, middle, j->target->tolerance, &choice, error));
        MQ_TRY(try_choice(j, &choice, &reached, error));
        if (reached)
            low = middle;
        else
            high = middle;
    }
    for (int k = 1; k <= BEYOND; k++) { /* allocation is not monotone in the share */
        const double from = j->out->choice.cost;
        MQ_TRY(
            mq_knapsack_solve(j->choices, from * (1 + 1e-6), high * (1 + k * BEYOND_STEP), &choice, error));
        if (choice.found) MQ_TRY(try_choice(j, &choice, &reached, error));
    }
    return MQ_OK;
}

mq_status mq_device_target_choose(const mq_device_target *target, const mq_knapsack *choices,
                                  mq_device_choice *out, mq_error *error) {
    job j = {.target = target, .choices = choices, .out = out};
    mq_knapsack_choice least;
    double low, most;
    bool reached;
    *out = (mq_device_choice){0};
    mq_knapsack_range(choices, &low, &most);
    MQ_TRY(mq_knapsack_near(choices, low * (1 + 1e-9), target->tolerance, &least, error));
    MQ_TRY(try_choice(&j, &least, &reached, error));
    if (!reached) {
        out->fps = j.last_fps;
        out->beside = 0;
        return MQ_OK;
    }
    const double high = fmin(most, 1 - target->cost->device->pinned);
    return high > low ? search(&j, low, high, error) : MQ_OK;
}
