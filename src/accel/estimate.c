/* estimate.c - adding up. */
#include "accel/estimate.h"

#include <string.h>

#include "accel/resource_model.h"
#include "accel/streams.h"
#include "base/memory.h"

enum { FRAMES = 4 };

mq_fold mq_fold_of(const mq_inet *net, const mq_plan_layer *l, const mq_stage *s, const mq_stream *in) {
    mq_fold f = {.multiplier = l->multiplier,
                 .simd = l->simd,
                 .pe = l->pe,
                 .rows = l->rows,
                 .blocks = l->blocks,
                 .chain = l->chain,
                 .out_pixels = l->out_pixels,
                 .lanes = l->lanes,
                 .requant = l->requant,
                 .memory = l->memory,
                 .npx = s->npx,
                 .groups = s->groups,
                 .steps = s->steps,
                 .in_blocks = s->in_blocks,
                 .in_channels = in->channels,
                 .in_pixels = in->pixels};
    mq_layer_shape shape = mq_layer_shape_of(net, l->node);
    f.acc_bits = mq_layer_acc_bits(&shape, l->kinds ? l->piece[0].packing.activation[0].zero : 0);
    return f;
}

static mq_resources layer_resources(const mq_pipeline *p, int node) {
    const mq_pipeline_stage *s = &p->stage[node];
    mq_layer_shape shape = mq_layer_shape_of(p->net, node);
    mq_fold fold = mq_fold_of(p->net, s->layer, &s->stage, &p->stage[p->net->nodes[node].input[0]].out);
    if (s->layer->multiplier == MQ_PLAN_LUT) return mq_model_layer(&shape, NULL, &fold);
    mq_row_model row;
    mq_row_model_of(s->layer, shape.kernel_w, &row);
    return mq_model_layer(&shape, &row, &fold);
}

static double products_per_slice(const mq_stage *s) {
    return (double)s->kernel_w * s->weight_groups * s->activations / s->pieces;
}

static void add_node(const mq_pipeline *p, int node, mq_estimate *out, double *useful) {
    const mq_inet_node *n = &p->net->nodes[node];
    const mq_pipeline_stage *s = &p->stage[node];
    if (n->kind == MQ_INET_REQUANT) return;
    mq_estimate_layer *l = &out->layer[out->count++];
    *l = (mq_estimate_layer){.node = node, .cycles = s->cycles};
    if (s->layer) {
        l->used = layer_resources(p, node);
        if (s->layer->multiplier == MQ_PLAN_DSP) {
            double slices = (double)s->stage.products / products_per_slice(&s->stage);
            l->efficiency = slices / ((double)s->stage.multipliers * (double)s->cycles);
            *useful += slices;
        }
    } else {
        const mq_stream *in = n->input_count ? &p->stage[n->input[0]].out : NULL;
        l->used = mq_model_mover(p->net, node, in, &s->out);
    }
    for (int k = 0; k < n->input_count; k++) {
        mq_resources fifo =
            mq_model_fifo(&p->stage[n->input[k]].out, mq_streams_depth(p->plan, n->input[k], node));
        mq_resources_add(&l->used, &fifo);
    }
    mq_resources_add(&out->used, &l->used);
}

static mq_status make(const mq_pipeline *p, mq_estimate *out, mq_error *error) {
    double useful = 0;
    mq_streams_run run;
    MQ_TRY(mq_alloc((size_t)p->count, sizeof *out->layer, "an estimate", &out->layer, error));
    for (int i = 0; i < p->count; i++) add_node(p, i, out, &useful);
    MQ_TRY(mq_streams_simulate(p, FRAMES, &run, error));
    MQ_TRY(mq_streams_refuse(p, &run, error));
    out->slowest = p->slowest;
    out->cycles = p->stage[p->slowest].cycles;
    if (run.interval > out->cycles) out->cycles = run.interval;
    out->latency = run.latency;
    out->fps = out->clock_mhz * 1e6 / (double)out->cycles;
    out->latency_us = (double)out->latency / out->clock_mhz;
    if (out->used.of[MQ_RES_DSP] > 0)
        out->efficiency = useful / ((double)out->used.of[MQ_RES_DSP] * (double)out->cycles);
    out->fits = mq_resources_fit(&out->used, &out->budget);
    return MQ_OK;
}

mq_status mq_estimate_make(const mq_inet *net, const mq_inet_plan *plan, const mq_device *device,
                           double clock_mhz, mq_estimate *out, mq_error *error) {
    mq_pipeline p;
    *out = (mq_estimate){.clock_mhz = clock_mhz > 0 ? clock_mhz : device->clock_mhz};
    out->budget = mq_device_budget(device);
    MQ_TRY(mq_pipeline_make(net, plan, &p, error));
    mq_status status = make(&p, out, error);
    mq_pipeline_free(&p);
    if (status != MQ_OK) mq_estimate_free(out);
    return status;
}

void mq_estimate_free(mq_estimate *estimate) {
    mq_free(estimate->layer);
    *estimate = (mq_estimate){0};
}
