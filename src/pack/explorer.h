/* explorer.h - the memory of what has been solved, and the checks that its users share. For this folder, and
 * for src/accel, which weighs whole fronts.
 */
#ifndef MIXQ_PACK_EXPLORER_H
#define MIXQ_PACK_EXPLORER_H

#include "pack/built.h"

/* The front of a query; solved once. *out lives as long as the explorer. */
mq_status mq_pack_explorer_solve(mq_pack_explorer *explorer, const mq_pack_query *query, const char *kinds,
                                 const mq_pack_front **out, mq_error *error) MQ_MUST_CHECK;
/* What mq_pack_build found for exactly these bits. */
bool mq_pack_explorer_recall(const mq_pack_explorer *explorer, const mq_pack_request *request,
                             mq_pack_built *out);
mq_status mq_pack_explorer_remember(mq_pack_explorer *explorer, const mq_pack_request *request,
                                    const mq_pack_built *built, mq_error *error) MQ_MUST_CHECK;
/* MQ_USAGE names what is out of range. */
mq_status mq_pack_request_check(const mq_pack_request *request, mq_error *error) MQ_MUST_CHECK;

#endif
