/* accelerator.h - the build folder: everything of an accelerator, from an export and a plan, whole or not at
 * all (docs/accelerator.md, "Build folder").
 *
 *   rtl/ mem/ sim/ synth/   Verilog, its memories, test benches, scripts
 *   net.json weights.safetensors certificate.json vectors/   copies of the export, as far as it has them
 *   plan.json build.json manifest.json */
#ifndef MIXQ_GEN_ACCELERATOR_H
#define MIXQ_GEN_ACCELERATOR_H

#include "gen/rtl_graph.h"

typedef struct mq_accelerator_request {
    const mq_inet *net;
    const mq_inet_plan *plan;
    const char *source;    /* export folder of the network, whose files are copied */
    const char *out;       /* made; a folder that is not empty is refused (MQ_USAGE) without force */
    bool force;            /* replaces it, if it is a build folder (it has a build.json) */
    const mq_build *facts; /* part, budget, estimates of stages (by node) and of the whole; NULL: none */
} mq_accelerator_request;

/* Whether a build may be written there, before any work. */
mq_status mq_accelerator_check_place(const char *out, bool force, mq_error *error) MQ_MUST_CHECK;

/* What was built in *built (mq_build_free), once it stands. After a failure nothing is left of it, and
 * what stood there before still does. */
mq_status mq_accelerator_write(const mq_accelerator_request *request, mq_build **built,
                               mq_error *error) MQ_MUST_CHECK;

#endif
