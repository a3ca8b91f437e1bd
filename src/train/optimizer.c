/* optimizer.c - SGD and Adam over the model's parameters. */
#include "train/optimizer.h"

#include <math.h>

#include "base/memory.h"
#include "base/parallel.h"

#define BETA1 0.9
#define BETA2 0.999
#define EPS   1e-8

const char *const mq_method_names[] = {"sgd", "adam", NULL};

struct mq_optimizer {
    mq_model *model;
    mq_method method;
    mq_param *params;
    int count;
    uint64_t updates;
    float **memory[MQ_OPTIMIZER_MEMORIES]; /* [which][parameter] */
    float *block;
};

mq_group mq_group_of(mq_param_kind kind) {
    if (mq_param_is_alpha(kind)) return MQ_GROUP_ALPHAS;
    if (kind == MQ_PARAM_BIAS || kind == MQ_PARAM_BETA) return MQ_GROUP_BIASES;
    return kind == MQ_PARAM_GAMMA ? MQ_GROUP_SCALES : MQ_GROUP_WEIGHTS;
}

static bool by_adam(const mq_optimizer *o, int i) {
    return o->method == MQ_ADAM && !mq_param_is_alpha(o->params[i].spec->kind);
}

static int memories(const mq_optimizer *o, int i) {
    if (!o->params[i].grad) return 0;
    return by_adam(o, i) ? 2 : 1;
}

static mq_status allocate(mq_optimizer *o, mq_error *error) {
    size_t total = 0;
    for (int i = 0; i < o->count; i++) total += (size_t)memories(o, i) * o->params[i].count;
    for (int k = 0; k < MQ_OPTIMIZER_MEMORIES; k++)
        MQ_TRY(
            mq_alloc((size_t)o->count, sizeof *o->memory[k], "the optimizer's state", &o->memory[k], error));
    MQ_TRY(mq_alloc(total, sizeof(float), "the optimizer's state", &o->block, error));
    float *next = o->block;
    for (int i = 0; i < o->count; i++)
        for (int k = 0; k < memories(o, i); k++) {
            o->memory[k][i] = next;
            next += o->params[i].count;
        }
    return MQ_OK;
}

mq_status mq_optimizer_create(mq_model *model, mq_method method, mq_optimizer **out, mq_error *error) {
    mq_optimizer *o;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *o, "the optimizer", &o, error));
    o->model = model;
    o->method = method;
    o->params = mq_model_params(model, &o->count);
    mq_status status = allocate(o, error);
    if (status == MQ_OK)
        *out = o;
    else
        mq_optimizer_destroy(o);
    return status;
}

void mq_optimizer_destroy(mq_optimizer *o) {
    if (!o) return;
    for (int k = 0; k < MQ_OPTIMIZER_MEMORIES; k++) mq_free(o->memory[k]);
    mq_free(o->block);
    mq_free(o);
}

float *mq_optimizer_memory(mq_optimizer *o, int i, int which, const char **name) {
    static const char *const moments[MQ_OPTIMIZER_MEMORIES] = {"moment1", "moment2"};
    if (which >= memories(o, i)) return NULL;
    *name = by_adam(o, i) ? moments[which] : "momentum";
    return o->memory[which][i];
}

uint64_t *mq_optimizer_updates(mq_optimizer *o) {
    return &o->updates;
}

typedef struct update {
    float *w, *m, *v; /* v: Adam only */
    const float *g;
    size_t count;
    float lr, momentum, decay, root; /* Adam: lr over its correction, sqrt of the other correction */
    bool nesterov;
} update;

enum { GRAIN = 1 << 15 };

MQ_CLONES static void sgd_range(float *w, float *v, const float *g, size_t n, float lr, float momentum,
                                float decay, int nesterov) {
    for (size_t i = 0; i < n; i++) {
        float d = g[i] + decay * w[i];
        float velocity = momentum * v[i] + d;
        v[i] = velocity;
        w[i] -= lr * (nesterov ? d + momentum * velocity : velocity);
    }
}

MQ_CLONES static void adam_range(float *w, float *m, float *v, const float *g, size_t n, float lr,
                                 float decay, float root) {
    const float b1 = (float)BETA1, b2 = (float)BETA2, r1 = (float)(1 - BETA1), r2 = (float)(1 - BETA2);
    const float eps = (float)EPS;
    for (size_t i = 0; i < n; i++) {
        float d = g[i] + decay * w[i];
        m[i] = b1 * m[i] + r1 * d;
        v[i] = b2 * v[i] + r2 * d * d;
        w[i] -= lr * (m[i] / (sqrtf(v[i]) / root + eps));
    }
}

static void update_task(void *context, size_t task) {
    const update *u = context;
    size_t first = task * GRAIN, n = u->count - first < GRAIN ? u->count - first : GRAIN;
    if (u->v)
        adam_range(u->w + first, u->m + first, u->v + first, u->g + first, n, u->lr, u->decay, u->root);
    else
        sgd_range(u->w + first, u->m + first, u->g + first, n, u->lr, u->momentum, u->decay, u->nesterov);
}

void mq_optimizer_step(mq_optimizer *o, const mq_rule rules[MQ_GROUPS]) {
    o->updates++;
    double t = (double)o->updates, first = 1 - pow(BETA1, t), second = 1 - pow(BETA2, t);
    for (int i = 0; i < o->count; i++) {
        const mq_param *p = &o->params[i];
        if (!p->grad) continue;
        const mq_rule *rule = &rules[mq_group_of(p->spec->kind)];
        update u = {.w = p->value,
                    .m = o->memory[0][i],
                    .g = p->grad,
                    .count = p->count,
                    .lr = (float)rule->lr,
                    .momentum = (float)rule->momentum,
                    .decay = (float)rule->decay,
                    .nesterov = rule->nesterov};
        if (by_adam(o, i)) {
            u.v = o->memory[1][i];
            u.lr = (float)(rule->lr / first);
            u.root = (float)sqrt(second);
        }
        mq_parallel(mq_task_count(u.count, GRAIN), update_task, &u);
    }
    mq_model_touch(o->model);
}

double mq_cosine(int epoch, int epochs, double end) {
    return end + (1 - end) * (1 + cos(3.14159265358979323846 * epoch / epochs)) / 2;
}
