/* verify_rtl.c - compile once, run, compare. */
#include "cli/verify_rtl.h"

#include "base/memory.h"

enum { STEADY_FRAMES = 3, PATIENCE = 4, LEAST_PATIENCE = 50000, UNKNOWN_PATIENCE = 4000000 };

typedef struct layer_view {
    const verify_rtl *job;
    int node;
    verify_result *result;
    int64_t *codes; /* [frame][h][w][c] for the dump, or NULL */
} layer_view;

static void see(void *context, int64_t frame, int channel, int row, int column, int64_t value) {
    const layer_view *v = context;
    const mq_inet_edge *e = &v->job->net->nodes[v->node].edge;
    verify_compare(v->job->vectors, v->job->net, v->node, (size_t)frame, channel, row * e->w + column, value,
                   v->result);
    if (v->codes) v->codes[((frame * e->h + row) * e->w + column) * e->c + channel] = value;
}

static mq_status read_layer(const verify_rtl *job, int stage, mq_sim_dump *dump, verify_result *result,
                            mq_error *error) {
    const int node = job->bench.build->stage[stage].result;
    const mq_inet_edge *e = &job->net->nodes[node].edge;
    const size_t frames = job->vectors->count, size = (size_t)e->h * (size_t)e->w * (size_t)e->c;
    layer_view view = {job, node, result, NULL};
    if (dump) MQ_TRY(mq_alloc(frames, size * sizeof *view.codes, "a layer's codes", &view.codes, error));
    mq_status status =
        mq_rtl_codes(&job->bench, stage, job->net->nodes[node].dump, (int64_t)frames, see, &view, error);
    if (status == MQ_OK && dump) {
        mq_sim_visitor visitor = mq_sim_dump_visitor(dump, 0);
        for (size_t i = 0; i < frames; i++) visitor.see(visitor.context, i, node, view.codes + i * size);
    }
    mq_free(view.codes);
    return status == MQ_OK ? MQ_OK : mq_fail_context(error, status, "%s", job->net->nodes[node].name);
}

static mq_status compare(const verify_rtl *job, const char *folder, verify_rtl_result *out, mq_error *error) {
    verify_result result = {0};
    mq_sim_dump *dump = NULL;
    mq_status status = MQ_OK;
    if (folder) MQ_TRY(mq_sim_dump_create(job->net, job->vectors->count, &dump, error));
    for (int i = 0; i < job->bench.build->count && status == MQ_OK; i++) {
        if (!job->vectors->codes[job->bench.build->stage[i].result].data) continue;
        status = read_layer(job, i, dump, &result, error);
        out->layers++;
    }
    if (status == MQ_OK && folder) status = mq_sim_dump_save(dump, folder, error);
    mq_sim_dump_free(dump);
    MQ_TRY(status);
    out->mismatches = result.mismatches;
    return verify_result_status(&result, job->net, "rtl", error);
}

mq_status verify_rtl_run(verify_rtl *job, int stalls, verify_rtl_result *out, mq_error *error) {
    const mq_build *b = job->bench.build;
    mq_rtl_measure measure;
    *out = (verify_rtl_result){0};
    mq_rtl_request request = {.images = job->vectors->images.data,
                              .count = (int64_t)job->vectors->count,
                              .frames = (int64_t)job->vectors->count,
                              .stalls = stalls,
                              .seed = job->seed};
    if (!stalls && request.frames < STEADY_FRAMES) request.frames = STEADY_FRAMES;
    request.patience = b->cycles ? PATIENCE * b->cycles + LEAST_PATIENCE : UNKNOWN_PATIENCE;
    if (!job->compiled) MQ_TRY(mq_rtl_compile(&job->bench, error));
    job->compiled = true;
    MQ_TRY(mq_rtl_simulate(&job->bench, &request, &measure, error));
    out->frames = measure.frames;
    out->seconds = measure.seconds;
    out->latency = measure.first_end;
    if (!stalls) out->interval = mq_rtl_interval(&measure);
    return compare(job, stalls ? NULL : job->dump, out, error);
}
