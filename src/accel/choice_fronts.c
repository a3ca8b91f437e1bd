/* choice_fronts.c - what is left open between the bounds: fronts of resource vectors from the end of the
 * graph. */
#include <math.h>
#include <string.h>

#include "accel/choice_internal.h"

enum { CHUNK = 4096 };

typedef struct vector {
    int32_t used[MQ_RESOURCES];
    int32_t item; /* of the step after */
    int32_t to;   /* state after it */
    const struct vector *next;
} vector;

typedef struct front {
    int count, room;
    int32_t (*key)[MQ_RESOURCES]; /* what is compared of the vectors: close together */
    vector **of;
} front;

typedef struct exact {
    mq_choice_job *s;
    bool counts[MQ_RESOURCES]; /* in comparisons of vectors */
    int64_t work;              /* comparisons */
    front *after, *now;
    vector *chunk;
    int left;
} exact;

/* No way from the start can make this a way that fits. */
static bool hopeless(const mq_choice_job *s, const double *come, const int32_t used[MQ_RESOURCES]) {
    for (int b = 0; b < s->bounds; b++)
        if (come[b] + mq_cost32(s->bound[b].price, used) > s->bound[b].limit + MQ_CHOICE_ROUNDING)
            return true;
    return false;
}

static bool at_most(const int32_t a[MQ_RESOURCES], const int32_t b[MQ_RESOURCES]) {
    int above = 0;
    for (int r = 0; r < MQ_RESOURCES; r++) above |= a[r] > b[r];
    return !above;
}

static mq_status keep(exact *x, front *f, const int32_t used[MQ_RESOURCES], int item, int to,
                      const vector *next) {
    mq_choice_job *s = x->s;
    int kept = 0;
    int32_t key[MQ_RESOURCES];
    if (x->work > MQ_CHOICE_WORK) {
        s->out->undecided = true;
        return MQ_OK;
    }
    for (int r = 0; r < MQ_RESOURCES; r++) key[r] = x->counts[r] ? used[r] : 0;
    for (int i = 0; i < f->count; i++)
        if (at_most(f->key[i], key)) {
            x->work += i;
            return MQ_OK;
        }
    x->work += 2 * (int64_t)f->count;
    for (int i = 0; i < f->count; i++)
        if (!at_most(key, f->key[i])) {
            memcpy(f->key[kept], f->key[i], sizeof *f->key);
            f->of[kept++] = f->of[i];
        }
    f->count = kept;
    if (f->count == f->room) {
        size_t old = (size_t)f->room, room = old ? 2 * old : 16;
        MQ_TRY(mq_resize(old, room, sizeof *f->of, "fronts", &f->of, s->error));
        MQ_TRY(mq_resize(old, room, sizeof *f->key, "fronts", &f->key, s->error));
        f->room = (int)room;
    }
    if (x->left == 0) {
        MQ_TRY(mq_arena_alloc(s->arena, CHUNK, sizeof *x->chunk, "fronts", &x->chunk, s->error));
        x->left = CHUNK;
    }
    vector *v = &x->chunk[--x->left];
    memcpy(v->used, used, sizeof v->used);
    v->item = item;
    v->to = to;
    v->next = next;
    memcpy(f->key[f->count], key, sizeof key);
    f->of[f->count++] = v;
    s->out->vectors++;
    return MQ_OK;
}

static mq_status sum_up(exact *x, front *f, const double *come, const int32_t *more, int item, int to) {
    const front *suffix = &x->after[to];
    for (int i = 0; i < suffix->count; i++) {
        int32_t used[MQ_RESOURCES];
        for (int r = 0; r < MQ_RESOURCES; r++) used[r] = suffix->of[i]->used[r] + more[r];
        if (hopeless(x->s, come, used)) continue;
        MQ_TRY(keep(x, f, used, item, to, suffix->of[i]));
    }
    return MQ_OK;
}

/* One rest: a front per class, then the union for every state before. */
static mq_status layer_fronts(exact *x, int t, int rest, front *of_class) {
    mq_choice_job *s = x->s;
    const mq_choice_step *step = &s->g->step[t];
    const int from = s->rests[t].first[rest], past = s->rests[t].first[rest + 1];
    for (int k = 0; k < step->classes; k++) of_class[k].count = 0;
    for (int c = 0; c < step->cells; c++) {
        const mq_choice_cell *cell = &step->cell[c];
        int to = rest * step->outs + cell->out;
        if (x->after[to].count == 0) continue;
        double come[MQ_CHOICE_BOUNDS];
        for (int b = 0; b < s->bounds; b++) {
            come[b] = INFINITY;
            for (int n = from; n < past; n++) {
                int i = s->rests[t].of[n];
                if (step->takes[(size_t)cell->class * (size_t)step->inputs + (size_t)step->input_of[i]])
                    come[b] = fmin(come[b], s->bound[b].come[t - 1][i]);
            }
        }
        for (int i = cell->first; i < cell->first + cell->count; i++)
            MQ_TRY(sum_up(x, &of_class[cell->class], come, step->item[i].used, i, to));
    }
    for (int n = from; n < past; n++) {
        int i = s->rests[t].of[n];
        double come[MQ_CHOICE_BOUNDS];
        for (int b = 0; b < s->bounds; b++) come[b] = s->bound[b].come[t - 1][i];
        for (int k = 0; k < step->classes; k++) {
            if (!step->takes[(size_t)k * (size_t)step->inputs + (size_t)step->input_of[i]]) continue;
            for (int j = 0; j < of_class[k].count; j++) {
                const vector *v = of_class[k].of[j];
                if (!hopeless(s, come, v->used))
                    MQ_TRY(keep(x, &x->now[i], v->used, v->item, v->to, v->next));
            }
        }
    }
    return MQ_OK;
}

static void free_fronts(front *fronts, int count) {
    for (int i = 0; fronts && i < count; i++) {
        mq_free(fronts[i].of);
        mq_free(fronts[i].key);
    }
    mq_free(fronts);
}

static mq_status step_back(exact *x, int t) {
    mq_choice_job *s = x->s;
    const mq_choice_step *step = &s->g->step[t];
    mq_status status = MQ_OK;
    if (step->layer < 0) {
        for (int a = 0; a < step->arcs && status == MQ_OK; a++) {
            const mq_choice_arc *arc = &step->arc[a];
            double come[MQ_CHOICE_BOUNDS];
            int32_t used[MQ_RESOURCES];
            for (int b = 0; b < s->bounds; b++) come[b] = s->bound[b].come[t - 1][arc->from];
            for (int r = 0; r < MQ_RESOURCES; r++) used[r] = (int32_t)arc->used.of[r];
            status = sum_up(x, &x->now[arc->from], come, used, a, arc->to);
        }
        return status;
    }
    front *of_class;
    MQ_TRY(mq_alloc((size_t)step->classes, sizeof *of_class, "fronts", &of_class, s->error));
    for (int rest = 0; rest < step->rests && status == MQ_OK; rest++)
        status = layer_fronts(x, t, rest, of_class);
    free_fronts(of_class, step->classes);
    return status;
}

/* The cheapest vector of the first states that fits. */
static void accept(exact *x) {
    mq_choice_job *s = x->s;
    mq_choice_result *r = s->out;
    for (int i = 0; i < s->g->step[0].states; i++)
        for (int j = 0; j < x->after[i].count; j++) {
            const vector *v = x->after[i].of[j];
            mq_resources used;
            for (int k = 0; k < MQ_RESOURCES; k++) used.of[k] = v->used[k];
            double price = mq_cost(s->share, &used);
            if (!mq_resources_fit(&used, s->budget) || (r->found && price >= r->price)) continue;
            r->found = true;
            r->price = price;
            r->used = used;
            r->in_pixels = s->g->key[s->g->step[0].state[i][0]][1];
            for (int t = 1; t < s->g->count; t++, v = v->next)
                if (s->g->step[t].layer >= 0)
                    r->candidate[s->g->step[t].layer] = s->g->step[t].item[v->item].candidate;
        }
}

mq_status mq_choice_fronts(mq_choice_job *s, bool all) {
    const mq_choice_graph *g = s->g;
    exact x = {.s = s};
    for (int r = 0; r < MQ_RESOURCES; r++) x.counts[r] = all || s->scarce[r];
    s->out->undecided = false;
    s->out->vectors = 0;
    static const int32_t none[MQ_RESOURCES];
    MQ_TRY(mq_alloc(1, sizeof *x.after, "fronts", &x.after, s->error));
    mq_status status = keep(&x, &x.after[0], none, 0, 0, NULL);
    for (int t = g->count - 1; t > 0 && status == MQ_OK; t--) {
        status = mq_alloc((size_t)g->step[t - 1].states, sizeof *x.now, "fronts", &x.now, s->error);
        if (status == MQ_OK) status = step_back(&x, t);
        free_fronts(x.after, g->step[t].states);
        x.after = x.now;
        x.now = NULL;
        if (status != MQ_OK) {
            free_fronts(x.after, g->step[t - 1].states);
            return status;
        }
    }
    accept(&x);
    free_fronts(x.after, g->step[0].states);
    return MQ_OK;
}
