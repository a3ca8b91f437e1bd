/* solve_lanes.c - one operand shared by all: several weights against one activation (as FINN packs), or one
 * weight against several pixels. */
#include "pack/solver.h"

static mq_status solve(const mq_pack_solver *self, const mq_pack_query *query, mq_pack_front *front,
                       mq_error *error) {
    MQ_TRY(mq_nest_search(query, self->kind, &(mq_nest_rules){.lanes = true}, front, error));
    return mq_nest_search(query, self->kind, &(mq_nest_rules){.blocks = true}, front, error);
}

const mq_pack_solver mq_solver_lanes = {"lanes", "products that share one operand", solve};
