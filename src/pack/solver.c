/* solver.c - the table of solvers and the fronts they fill. */
#include "pack/solver.h"

#include <string.h>

#include "base/memory.h"

const mq_pack_solver *const mq_pack_solvers[] = {&mq_solver_lanes, &mq_solver_kernel, &mq_solver_filter,
                                                 &mq_solver_interleaved, NULL};

static bool same_piece(const mq_pack_query *query, const mq_pack_piece *piece, int taps, int groups) {
    return piece->taps == taps && (query->groups == 0 || piece->groups == groups);
}

/* Among equals: a port that fits before one that needs C, less shared logic, more accumulations. */
static bool simpler(const mq_packing *a, const mq_packing *b) {
    if (a->fix != b->fix) return a->fix < b->fix;
    if (a->shared_luts != b->shared_luts) return a->shared_luts < b->shared_luts;
    return a->accumulations > b->accumulations;
}

bool mq_pack_front_wants(const mq_pack_front *front, const mq_pack_query *query, int taps, int groups,
                         int products, int luts) {
    for (int i = 0; i < front->count; i++) {
        const mq_packing *p = &front->piece[i].packing;
        int have = mq_packing_products(p);
        if (same_piece(query, &front->piece[i], taps, groups) && have >= products && p->luts <= luts &&
            !(have == products && p->luts == luts))
            return false;
    }
    return true;
}

mq_status mq_pack_front_add(mq_pack_front *front, const mq_pack_query *query, int taps, int groups,
                            const mq_packing *packing, mq_error *error) {
    int products = mq_packing_products(packing), kept = 0;
    if (!mq_pack_front_wants(front, query, taps, groups, products, packing->luts)) return MQ_OK;
    for (int i = 0; i < front->count; i++) {
        const mq_packing *p = &front->piece[i].packing;
        bool same = same_piece(query, &front->piece[i], taps, groups);
        if (same && mq_packing_products(p) == products && p->luts == packing->luts && !simpler(packing, p))
            return MQ_OK;
    }
    for (int i = 0; i < front->count; i++) {
        const mq_packing *p = &front->piece[i].packing;
        bool beaten = same_piece(query, &front->piece[i], taps, groups) &&
                      mq_packing_products(p) <= products && p->luts >= packing->luts;
        if (beaten) continue;
        if (kept != i) front->piece[kept] = front->piece[i];
        kept++;
    }
    front->count = kept;
    if (front->count == front->room) {
        int room = front->room ? 2 * front->room : 8;
        MQ_TRY(mq_resize((size_t)front->room, (size_t)room, sizeof *front->piece, "packings", &front->piece,
                         error));
        front->room = room;
    }
    int at = front->count++;
    for (; at > 0; at--) {
        const mq_pack_piece *before = &front->piece[at - 1];
        int order = query->groups ? before->groups - groups : 0;
        if (order == 0) order = before->taps - taps;
        if (order == 0) order = before->packing.luts - packing->luts;
        if (order <= 0) break;
        front->piece[at] = *before;
    }
    front->piece[at] = (mq_pack_piece){taps, groups, *packing};
    return MQ_OK;
}

void mq_pack_front_free(mq_pack_front *front) {
    mq_free(front->piece);
    *front = (mq_pack_front){0};
}

/* Whether `word` stands in a comma separated list. */
static bool listed(const char *list, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list; at; at = strchr(at, ',')) {
        if (*at == ',') at++;
        if (strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0')) return true;
    }
    return false;
}

mq_status mq_pack_solve(const mq_pack_query *query, const char *kinds, mq_pack_front *front,
                        mq_error *error) {
    *front = (mq_pack_front){0};
    for (int i = 0; mq_pack_solvers[i]; i++) {
        if (kinds && !listed(kinds, mq_pack_solvers[i]->kind)) continue;
        mq_status status = mq_pack_solvers[i]->solve(mq_pack_solvers[i], query, front, error);
        if (status != MQ_OK) {
            mq_pack_front_free(front);
            return status;
        }
    }
    return MQ_OK;
}
