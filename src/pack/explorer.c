/* explorer.c - fronts of packings, each solved once. */
#include "pack/explorer.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"

typedef struct memo {
    mq_pack_query query;
    char kinds[64];
    mq_pack_front front;
} memo;

typedef struct built_memo {
    mq_pack_request request; /* kinds as text below */
    char kinds[64];
    mq_pack_built built;
} built_memo;

struct mq_pack_explorer {
    int count, room;
    memo **entry;
    int built_count, built_room;
    built_memo *built;
};

mq_status mq_pack_explorer_create(mq_pack_explorer **out, mq_error *error) {
    return mq_alloc(1, sizeof **out, "packing explorer", out, error);
}

void mq_pack_explorer_free(mq_pack_explorer *explorer) {
    if (!explorer) return;
    for (int i = 0; i < explorer->count; i++) {
        mq_pack_front_free(&explorer->entry[i]->front);
        mq_free(explorer->entry[i]);
    }
    mq_free(explorer->entry);
    mq_free(explorer->built);
    mq_free(explorer);
}

static bool same_query(const memo *m, const mq_pack_query *q, const char *kinds) {
    const mq_pack_query *o = &m->query;
    return strcmp(o->dsp.name, q->dsp.name) == 0 && o->dsp.wide == q->dsp.wide &&
           o->dsp.narrow == q->dsp.narrow && o->weight.low == q->weight.low &&
           o->weight.high == q->weight.high && o->activation.high == q->activation.high &&
           o->taps == q->taps && o->groups == q->groups && o->class == q->class && o->cycles == q->cycles &&
           strcmp(m->kinds, kinds ? kinds : "") == 0;
}

mq_status mq_pack_explorer_solve(mq_pack_explorer *e, const mq_pack_query *query, const char *kinds,
                                 const mq_pack_front **out, mq_error *error) {
    for (int i = 0; i < e->count; i++)
        if (same_query(e->entry[i], query, kinds)) {
            *out = &e->entry[i]->front;
            return MQ_OK;
        }
    if (e->count == e->room) {
        int room = e->room ? 2 * e->room : 64;
        MQ_TRY(
            mq_resize((size_t)e->room, (size_t)room, sizeof *e->entry, "solved packings", &e->entry, error));
        e->room = room;
    }
    memo *m;
    MQ_TRY(mq_alloc(1, sizeof *m, "solved packings", &m, error));
    m->query = *query;
    snprintf(m->kinds, sizeof m->kinds, "%s", kinds ? kinds : "");
    mq_status status = mq_pack_solve(query, kinds, &m->front, error);
    if (status != MQ_OK) {
        mq_free(m);
        return status;
    }
    e->entry[e->count++] = m;
    *out = &m->front;
    return MQ_OK;
}

bool mq_pack_explorer_recall(const mq_pack_explorer *e, const mq_pack_request *r, mq_pack_built *out) {
    for (int i = 0; i < e->built_count; i++) {
        const mq_pack_request *o = &e->built[i].request;
        if (o->wbit == r->wbit && o->abit == r->abit && o->kernel == r->kernel &&
            o->depthwise == r->depthwise && o->symmetric == r->symmetric && o->class == r->class &&
            o->channels == r->channels && o->canary == r->canary && o->dsp.wide == r->dsp.wide && o->dsp.narrow == r->dsp.narrow &&
            strcmp(o->dsp.name, r->dsp.name) == 0 &&
            strcmp(e->built[i].kinds, r->kinds ? r->kinds : "") == 0) {
            *out = e->built[i].built;
            return true;
        }
    }
    return false;
}

mq_status mq_pack_explorer_remember(mq_pack_explorer *e, const mq_pack_request *request,
                                    const mq_pack_built *built, mq_error *error) {
    if (e->built_count == e->built_room) {
        int room = e->built_room ? 2 * e->built_room : 64;
        MQ_TRY(mq_resize((size_t)e->built_room, (size_t)room, sizeof *e->built, "solved packings", &e->built,
                         error));
        e->built_room = room;
    }
    built_memo *m = &e->built[e->built_count++];
    *m = (built_memo){.request = *request, .built = *built};
    snprintf(m->kinds, sizeof m->kinds, "%s", request->kinds ? request->kinds : "");
    m->request.kinds = NULL;
    return MQ_OK;
}
