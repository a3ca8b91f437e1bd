/* choice_graph.c - building the layers of states. */
#include "accel/choice_graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum { MOST_KEYS = 8192, MOST_PE = 1 << 14 };

typedef struct builder {
    const mq_inet *net;
    const mq_candidates *candidates;
    int layers;
    const mq_resources *budget;
    mq_choice_graph *g;
    mq_error *error;
} builder;

static bool is_layer(const mq_inet_node *n) {
    return n->kind == MQ_INET_CONV || n->kind == MQ_INET_LINEAR;
}

static mq_status key_of(builder *b, int channels, int pixels, int16_t *out) {
    mq_choice_graph *g = b->g;
    for (int i = 0; i < g->keys; i++)
        if (g->key[i][0] == channels && g->key[i][1] == pixels) {
            *out = (int16_t)i;
            return MQ_OK;
        }
    if (g->keys == MOST_KEYS) return mq_fail(b->error, MQ_INTERNAL, "more than %d kinds of beats", MOST_KEYS);
    g->key[g->keys][0] = (int16_t)channels;
    g->key[g->keys][1] = (int16_t)pixels;
    *out = (int16_t)g->keys++;
    return MQ_OK;
}

static mq_stream stream_of(const builder *b, int node, int key) {
    const mq_inet_edge *e = &b->net->nodes[node].edge;
    return (mq_stream){e->h, e->w, e->c, b->g->key[key][0], b->g->key[key][1], e->bits, e->is_signed};
}

/* Whether a node after t reads node i. */
static bool read_later(const mq_inet *net, int i, int t) {
    for (int k = t + 1; k < net->node_count; k++)
        for (int j = 0; j < net->nodes[k].input_count; j++)
            if (net->nodes[k].input[j] == i) return true;
    return false;
}

static mq_status find_live(builder *b, int t) {
    mq_choice_step *s = &b->g->step[t];
    for (int i = 0; i <= t; i++) {
        if (!read_later(b->net, i, t)) continue;
        if (s->live_count == MQ_CHOICE_LIVE)
            return mq_fail(b->error, MQ_BAD_INPUT, "%s: more than %d streams wait beside it",
                           b->net->nodes[t].name, MQ_CHOICE_LIVE);
        s->live[s->live_count++] = i;
    }
    return MQ_OK;
}

static int place(const mq_choice_step *s, int node) {
    for (int i = 0; i < s->live_count; i++)
        if (s->live[i] == node) return i;
    return -1;
}

/* The tuple after step t of a state before it; the new node's key in its place, if it is live. */
static void carry(const mq_choice_step *before, const mq_choice_step *s, const int16_t *from, int16_t key,
                  int16_t *to) {
    for (int i = 0; i < MQ_CHOICE_LIVE; i++) to[i] = -1;
    for (int i = 0; i < s->live_count; i++)
        to[i] = s->live[i] == s->node ? key : from[place(before, s->live[i])];
}

/* ---- image ---- */

static mq_status image_step(builder *b) {
    static const int pixels[] = {1, 2, 4, 8, 16, 32};
    enum { MOST = sizeof pixels / sizeof *pixels };
    mq_choice_step *s = &b->g->step[0];
    MQ_TRY(mq_arena_alloc(b->g->arena, MOST, sizeof *s->state, "states", &s->state, b->error));
    for (int i = 0; i < MOST; i++) {
        mq_stream out = mq_pipeline_image(b->net, pixels[i]);
        if (mq_stream_beats(&out) > b->g->cycles || (i && pixels[i] > out.w)) continue;
        int16_t key = 0;
        MQ_TRY(key_of(b, out.channels, pixels[i], &key));
        for (int k = 0; k < MQ_CHOICE_LIVE; k++) s->state[s->states][k] = -1;
        s->state[s->states++][0] = key;
    }
    return MQ_OK;
}

/* ---- nodes that only move ---- */

/* A set of tuples by open addressing; slots hold state number + 1. */
typedef struct tuple_set {
    size_t mask;
    int *slot;
} tuple_set;

static mq_status tuple_set_make(builder *b, int most, tuple_set *out) {
    size_t size = 16;
    while (size < (size_t)most * 2) size *= 2;
    out->mask = size - 1;
    return mq_arena_alloc(b->g->arena, size, sizeof *out->slot, "states", &out->slot, b->error);
}

static int intern(tuple_set *set, int16_t (*state)[MQ_CHOICE_LIVE], int *count, const int16_t *tuple) {
    uint64_t hash = 1469598103934665603u;
    for (int i = 0; i < MQ_CHOICE_LIVE; i++) hash = (hash ^ (uint16_t)tuple[i]) * 1099511628211u;
    for (size_t at = hash & set->mask;; at = (at + 1) & set->mask) {
        if (set->slot[at] == 0) {
            memcpy(state[*count], tuple, sizeof *state);
            set->slot[at] = ++*count;
            return *count - 1;
        }
        if (memcmp(state[set->slot[at] - 1], tuple, sizeof *state) == 0) return set->slot[at] - 1;
    }
}

static mq_status mover_step(builder *b, int t) {
    mq_choice_step *s = &b->g->step[t];
    const mq_choice_step *before = s - 1;
    const mq_inet_node *n = &b->net->nodes[t];
    tuple_set set;
    MQ_TRY(
        mq_arena_alloc(b->g->arena, (size_t)before->states, sizeof *s->state, "states", &s->state, b->error));
    MQ_TRY(mq_arena_alloc(b->g->arena, (size_t)before->states, sizeof *s->arc, "states", &s->arc, b->error));
    MQ_TRY(tuple_set_make(b, before->states, &set));
    for (int i = 0; i < before->states; i++) {
        mq_stream in[MQ_INET_MAX_INPUTS], out;
        int64_t beats = 0;
        for (int k = 0; k < n->input_count; k++) {
            in[k] = stream_of(b, n->input[k], before->state[i][place(before, n->input[k])]);
            beats += mq_stream_beats(&in[k]);
        }
        if (mq_pipeline_move(b->net, t, in, &out, NULL) != MQ_OK) continue;
        if (n->kind != MQ_INET_REQUANT && (beats > b->g->cycles || mq_stream_beats(&out) > b->g->cycles))
            continue;
        int16_t key = 0, tuple[MQ_CHOICE_LIVE];
        MQ_TRY(key_of(b, out.channels, out.pixels, &key));
        carry(before, s, before->state[i], key, tuple);
        s->arc[s->arcs++] = (mq_choice_arc){i, intern(&set, s->state, &s->states, tuple),
                                            mq_model_mover(b->net, t, in, &out)};
    }
    return MQ_OK;
}

/* ---- layers ---- */

typedef struct entry {
    int class, out;
    mq_choice_item item;
    double price;
} entry;

static int by_cell(const void *a, const void *b) {
    const entry *x = a, *y = b;
    if (x->class != y->class) return x->class < y->class ? -1 : 1;
    if (x->out != y->out) return x->out < y->out ? -1 : 1;
    if (x->price != y->price) return x->price < y->price ? -1 : 1;
    return x->item.candidate < y->item.candidate ? -1 : 1;
}

/* Groups of states that differ in the layer's input alone, if that is read for the last time. */
static mq_status find_rests(builder *b, mq_choice_step *s, int input, int16_t (**rest)[MQ_CHOICE_LIVE]) {
    const mq_choice_step *before = s - 1;
    size_t n = (size_t)before->states;
    tuple_set rests, inputs;
    int16_t(*keys)[MQ_CHOICE_LIVE];
    MQ_TRY(mq_arena_alloc(b->g->arena, n, sizeof **rest, "states", rest, b->error));
    MQ_TRY(mq_arena_alloc(b->g->arena, n, sizeof *keys, "states", &keys, b->error));
    MQ_TRY(mq_arena_alloc(b->g->arena, n, sizeof *s->rest_of, "states", &s->rest_of, b->error));
    MQ_TRY(mq_arena_alloc(b->g->arena, n, sizeof *s->input_of, "states", &s->input_of, b->error));
    MQ_TRY(tuple_set_make(b, before->states, &rests));
    MQ_TRY(tuple_set_make(b, before->states, &inputs));
    for (int i = 0; i < before->states; i++) {
        int16_t tuple[MQ_CHOICE_LIVE], key[MQ_CHOICE_LIVE] = {before->state[i][place(before, input)]};
        carry(before, s, before->state[i], -1, tuple);
        s->rest_of[i] = intern(&rests, *rest, &s->rests, tuple);
        s->input_of[i] = intern(&inputs, keys, &s->inputs, key);
    }
    return MQ_OK;
}

/* takes[] of one kind of ports: an old class or a new one; -1: nothing suits. */
static int class_of(builder *b, mq_choice_step *s, const mq_candidates *c, const mq_ports *ports, int input,
                    const int16_t *input_key) {
    uint8_t *takes = s->takes + (size_t)s->classes * (size_t)s->inputs;
    bool any = false;
    for (int i = 0; i < s->inputs; i++) {
        mq_stream in = stream_of(b, input, input_key[i]);
        takes[i] = mq_ports_take(c, ports, &in);
        any = any || takes[i];
    }
    if (!any) return -1;
    for (int k = 0; k < s->classes; k++)
        if (memcmp(s->takes + (size_t)k * (size_t)s->inputs, takes, (size_t)s->inputs) == 0) return k;
    return s->classes++;
}

static bool within(const mq_choice_item *a, const mq_choice_item *b) {
    for (int i = 0; i < MQ_RESOURCES; i++)
        if (a->used[i] > b->used[i]) return false;
    return true;
}

/* Drops what another entry of its cell beats; the list is sorted, the beating one comes first. */
static void thin(entry *list, int *count) {
    int kept = 0;
    for (int i = 0, first = 0; i < *count; i++) {
        if (kept > first && (list[first].class != list[i].class || list[first].out != list[i].out))
            first = kept;
        bool beaten = false;
        for (int k = first; k < kept && !beaten; k++) beaten = within(&list[k].item, &list[i].item);
        if (!beaten) list[kept++] = list[i];
    }
    *count = kept;
}

static bool same_demand(const mq_ports *a, const mq_ports *b) {
    return a->word == b->word && a->share == b->share && a->npx == b->npx;
}

/* The candidates fast enough, with class and beats. */
static mq_status collect(builder *b, mq_choice_step *s, const mq_candidates *c, int input, int16_t *out_key,
                         entry **list, int *count) {
    const mq_choice_step *before = s - 1;
    int16_t *input_key, *out_of;
    int demands = 1, class = -1;
    MQ_TRY(mq_arena_alloc(b->g->arena, (size_t)s->inputs, sizeof *input_key, "states", &input_key, b->error));
    for (int i = 0; i < before->states; i++)
        input_key[s->input_of[i]] = before->state[i][place(before, input)];
    for (int i = 1; i < c->count; i++) demands += !same_demand(&c->item[i - 1].ports, &c->item[i].ports);
    MQ_TRY(mq_arena_alloc(b->g->arena, (size_t)(demands + 1) * (size_t)s->inputs, 1, "states", &s->takes,
                          b->error));
    MQ_TRY(mq_arena_alloc(b->g->arena, MOST_KEYS, sizeof *out_of, "states", &out_of, b->error));
    MQ_TRY(mq_alloc((size_t)c->count, sizeof **list, "states", list, b->error));
    for (int i = 0; i < c->count; i++) {
        const mq_candidate *one = &c->item[i];
        if (i == 0 || !same_demand(&c->item[i - 1].ports, &one->ports))
            class = class_of(b, s, c, &one->ports, input, input_key);
        if (class < 0 || one->cycles > b->g->cycles) continue;
        int16_t key = 0;
        MQ_TRY(key_of(b, one->ports.pe, one->ports.out_pixels, &key));
        if (out_of[key] == 0) {
            out_key[s->outs] = key;
            out_of[key] = (int16_t)++s->outs;
        }
        entry *e = &(*list)[(*count)++];
        *e = (entry){class, out_of[key] - 1, {.candidate = i}, 0};
        for (int r = 0; r < MQ_RESOURCES; r++) {
            e->item.used[r] = one->used[r];
            e->price += (double)one->used[r] / (double)(b->budget->of[r] > 0 ? b->budget->of[r] : 1);
        }
    }
    return MQ_OK;
}

static mq_status fill(builder *b, mq_choice_step *s, const entry *list, int count) {
    MQ_TRY(mq_arena_alloc(b->g->arena, (size_t)count, sizeof *s->cell, "states", &s->cell, b->error));
    MQ_TRY(mq_arena_alloc(b->g->arena, (size_t)count, sizeof *s->item, "states", &s->item, b->error));
    for (int i = 0; i < count; i++) {
        if (i == 0 || list[i].class != list[i - 1].class || list[i].out != list[i - 1].out)
            s->cell[s->cells++] = (mq_choice_cell){list[i].class, list[i].out, i, 0};
        s->cell[s->cells - 1].count++;
        s->item[s->items++] = list[i].item;
    }
    return MQ_OK;
}

static mq_status layer_step(builder *b, int t, int layer) {
    mq_choice_step *s = &b->g->step[t];
    int input = b->net->nodes[t].input[0], count = 0;
    int16_t(*rest)[MQ_CHOICE_LIVE], *out_key;
    entry *list = NULL;
    s->layer = layer;
    MQ_TRY(find_rests(b, s, input, &rest));
    MQ_TRY(mq_arena_alloc(b->g->arena, MOST_KEYS, sizeof *out_key, "states", &out_key, b->error));
    mq_status status = collect(b, s, &b->candidates[layer], input, out_key, &list, &count);
    if (status == MQ_OK && count) {
        qsort(list, (size_t)count, sizeof *list, by_cell);
        thin(list, &count);
    }
    if (status == MQ_OK) status = fill(b, s, list, count);
    mq_free(list);
    MQ_TRY(status);
    s->states = s->rests * s->outs;
    MQ_TRY(mq_arena_alloc(b->g->arena, (size_t)s->states, sizeof *s->state, "states", &s->state, b->error));
    for (int r = 0; r < s->rests; r++)
        for (int o = 0; o < s->outs; o++) {
            int16_t *to = s->state[r * s->outs + o];
            memcpy(to, rest[r], sizeof *s->state);
            to[place(s, t)] = out_key[o];
        }
    return MQ_OK;
}

/* ---- the whole ---- */

static mq_status make(builder *b) {
    mq_choice_graph *g = b->g;
    MQ_TRY(mq_arena_create(&g->arena, b->error));
    MQ_TRY(mq_arena_alloc(g->arena, MOST_KEYS, sizeof *g->key, "states", &g->key, b->error));
    MQ_TRY(mq_arena_alloc(g->arena, (size_t)g->count, sizeof *g->step, "states", &g->step, b->error));
    for (int t = 0, layer = 0; t < g->count; t++) {
        mq_choice_step *s = &g->step[t];
        s->node = t;
        s->layer = -1;
        MQ_TRY(find_live(b, t));
        if (t == 0)
            MQ_TRY(image_step(b));
        else if (is_layer(&b->net->nodes[t]))
            MQ_TRY(layer_step(b, t, layer++));
        else
            MQ_TRY(mover_step(b, t));
        if (s->states == 0) {
            g->stuck = t;
            return MQ_OK;
        }
    }
    return MQ_OK;
}

mq_status mq_choice_graph_make(const mq_inet *net, const mq_candidates *candidates, int layers,
                               int64_t cycles, const mq_resources *budget, mq_choice_graph *out,
                               mq_error *error) {
    builder b = {net, candidates, layers, budget, out, error};
    *out = (mq_choice_graph){.cycles = cycles, .count = net->node_count, .stuck = -1};
    mq_status status = make(&b);
    if (status != MQ_OK) mq_choice_graph_free(out);
    return status;
}

void mq_choice_graph_free(mq_choice_graph *graph) {
    mq_arena_destroy(graph->arena);
    *graph = (mq_choice_graph){0};
}
