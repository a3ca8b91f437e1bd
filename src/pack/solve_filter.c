/* solve_filter.c - filter packing: neighbouring taps against neighbouring pixels, a piece of a
 * one-dimensional convolution as a product of polynomials (HiKonv). */
#include "pack/solver.h"

static mq_status solve(const mq_pack_solver *self, const mq_pack_query *query, mq_pack_front *front,
                       mq_error *error) {
    return mq_nest_search(query, self->kind, &(mq_nest_rules){.filter = true}, front, error);
}

const mq_pack_solver mq_solver_filter = {"filter", "a piece of a one-dimensional convolution", solve};
