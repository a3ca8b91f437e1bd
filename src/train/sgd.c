/* sgd.c - the optimiser. */
#include "train/sgd.h"

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"

struct mq_sgd {
    mq_model *model;
    mq_param *params;
    int count;
    float **momentum;
    float *block;
};

mq_status mq_sgd_create(mq_model *model, mq_sgd **out, mq_error *error) {
    mq_sgd *sgd;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *sgd, "the optimiser", &sgd, error));
    sgd->model = model;
    sgd->params = mq_model_params(model, &sgd->count);
    size_t total = 0;
    for (int i = 0; i < sgd->count; i++)
        if (sgd->params[i].grad) total += sgd->params[i].count;
    mq_status status =
        mq_alloc((size_t)sgd->count, sizeof *sgd->momentum, "the optimiser", &sgd->momentum, error);
    if (status == MQ_OK) status = mq_alloc(total, sizeof(float), "momentum", &sgd->block, error);
    if (status != MQ_OK) {
        mq_sgd_destroy(sgd);
        return status;
    }
    float *next = sgd->block;
    for (int i = 0; i < sgd->count; i++) {
        if (!sgd->params[i].grad) continue;
        sgd->momentum[i] = next;
        next += sgd->params[i].count;
    }
    *out = sgd;
    return MQ_OK;
}

void mq_sgd_destroy(mq_sgd *sgd) {
    if (!sgd) return;
    mq_free(sgd->momentum);
    mq_free(sgd->block);
    mq_free(sgd);
}

float *mq_sgd_momentum(mq_sgd *sgd, int i) {
    return sgd->momentum[i];
}

typedef struct update {
    float *w, *v;
    const float *g;
    size_t count;
    float lr, momentum, decay;
    bool nesterov;
} update;

enum { GRAIN = 1 << 15 };

MQ_CLONES static void update_range(float *w, float *v, const float *g, size_t n, float lr, float momentum,
                                   float decay, int nesterov) {
    for (size_t i = 0; i < n; i++) {
        float d = g[i] + decay * w[i];
        float velocity = momentum * v[i] + d;
        v[i] = velocity;
        w[i] -= lr * (nesterov ? d + momentum * velocity : velocity);
    }
}

static void update_task(void *context, size_t task) {
    const update *u = context;
    size_t first = task * GRAIN, n = u->count - first < GRAIN ? u->count - first : GRAIN;
    update_range(u->w + first, u->v + first, u->g + first, n, u->lr, u->momentum, u->decay, u->nesterov);
}

void mq_sgd_step(mq_sgd *sgd, const mq_sgd_group groups[MQ_SGD_GROUPS], double lr_bias) {
    for (int i = 0; i < sgd->count; i++) {
        const mq_param *p = &sgd->params[i];
        if (!p->grad) continue;
        mq_param_kind kind = p->spec->kind;
        const mq_sgd_group *group = &groups[mq_param_is_alpha(kind) ? MQ_SGD_ALPHAS : MQ_SGD_WEIGHTS];
        double lr = group->lr * (kind == MQ_PARAM_BIAS || kind == MQ_PARAM_BETA ? lr_bias : 1);
        update u = {p->value,
                    sgd->momentum[i],
                    p->grad,
                    p->count,
                    (float)lr,
                    (float)group->momentum,
                    (float)group->decay,
                    group->nesterov};
        mq_parallel(mq_task_count(u.count, GRAIN), update_task, &u);
    }
    mq_model_touch(sgd->model);
}

double mq_cosine(int epoch, int epochs, double end) {
    return end + (1 - end) * (1 + cos(3.14159265358979323846 * epoch / epochs)) / 2;
}
