/* solve_kernel.c - kernel packing: several weights against several activations, every product in a field of
 * its own. */
#include "pack/solver.h"

static mq_status solve(const mq_pack_solver *self, const mq_pack_query *query, mq_pack_front *front,
                       mq_error *error) {
    return mq_nest_search(query, self->kind, &(mq_nest_rules){.lanes = true, .blocks = true, .both = true},
                          front, error);
}

const mq_pack_solver mq_solver_kernel = {"kernel", "separate products of several weights and pixels", solve};
