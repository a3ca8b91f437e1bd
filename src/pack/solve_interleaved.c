/* solve_interleaved.c - filter pieces of several output channels (or kernel rows) and several pixel blocks in
 * one slice, side by side or interleaved. */
#include "pack/solver.h"

static mq_status solve(const mq_pack_solver *self, const mq_pack_query *query, mq_pack_front *front,
                       mq_error *error) {
    return mq_nest_search(query, self->kind, &(mq_nest_rules){.lanes = true, .blocks = true, .filter = true},
                          front, error);
}

const mq_pack_solver mq_solver_interleaved = {"interleaved",
                                              "filter pieces of several channels or pixel blocks", solve};
