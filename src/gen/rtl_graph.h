/* rtl_graph.h - the stages of an accelerator and who reads whom: the network's nodes as modules of Verilog.
 */
#ifndef MIXQ_GEN_RTL_GRAPH_H
#define MIXQ_GEN_RTL_GRAPH_H

#include "gen/build_file.h"
#include "gen/rtl_build.h"

/* One connection: a FIFO between two stages. */
typedef struct mq_rtl_edge {
    int from, to; /* stages; to = -1: the output port */
    int input;    /* which of the reader's */
    int64_t depth;
} mq_rtl_edge;

typedef struct mq_rtl_graph {
    mq_build *build; /* the stages; its estimates and device are the caller's; owned */
    int edges;
    mq_rtl_edge *edge; /* in order of the writer, then of the reader; owned */
} mq_rtl_graph;

/* The stages and their streams, nothing written. MQ_BAD_INPUT names the node that has no hardware: rescaling,
 * a layer with several requantisers, a requantiser behind no layer, what mq_pipeline_make refuses. */
mq_status mq_rtl_graph_make(const mq_inet *net, const mq_inet_plan *plan, mq_rtl_graph *out,
                            mq_error *error) MQ_MUST_CHECK;
void mq_rtl_graph_free(mq_rtl_graph *graph);

/* rtl/<module>.v and mem/ of every stage, into build->dir. */
mq_status mq_rtl_graph_write(const mq_rtl_graph *graph, const mq_rtl_build *build,
                             mq_error *error) MQ_MUST_CHECK;

/* rtl/<top>.v: the stages, forks, FIFOs, ports and taps. */
mq_status mq_rtl_top_write(const mq_rtl_graph *graph, const mq_rtl_build *build,
                           mq_error *error) MQ_MUST_CHECK;

#endif
