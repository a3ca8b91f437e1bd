/* sim.c - the engines behind one interface. */
#include "sim/sim.h"

#include "base/memory.h"
#include "sim/sim_internal.h"

struct mq_sim {
    const mq_sim_engine_row *row;
    void *engine;
};

const char *const mq_sim_engine_names[] = {
#define NAME(id, name) name,
    MQ_SIM_ENGINES(NAME)
#undef NAME
        NULL};

mq_status mq_sim_create_with(const mq_inet *net, const mq_sim_options *options, mq_sim **out,
                             mq_error *error) {
    static const mq_sim_engine_row *const table[] = {
#define ROW(id, name) &mq_sim_row_##id,
        MQ_SIM_ENGINES(ROW)
#undef ROW
    };
    const mq_sim_options defaults = {.engine = MQ_SIM_REFERENCE};
    mq_sim *sim = NULL;
    *out = NULL;
    if (!options) options = &defaults;
    MQ_TRY(mq_alloc(1, sizeof *sim, "simulator", &sim, error));
    sim->row = table[options->engine];
    mq_status status = sim->row->create(net, options, &sim->engine, error);
    if (status != MQ_OK) {
        mq_free(sim);
        return status;
    }
    *out = sim;
    return MQ_OK;
}

mq_status mq_sim_create(const mq_inet *net, mq_sim **out, mq_error *error) {
    return mq_sim_create_with(net, NULL, out, error);
}

void mq_sim_free(mq_sim *sim) {
    if (!sim) return;
    sim->row->release(sim->engine);
    mq_free(sim);
}

const char *mq_sim_kernels(const mq_sim *sim) {
    return sim->row->kernels ? sim->row->kernels(sim->engine) : "plain C";
}

mq_status mq_sim_run(const mq_sim *sim, const uint8_t *images, size_t count, mq_sim_layout layout,
                     const mq_sim_visitor *visitor, int64_t *out, float *values, mq_error *error) {
    if (count == 0) return MQ_OK;
    const mq_sim_batch batch = {
        .images = images, .count = count, .layout = layout, .visitor = visitor, .out = out, .values = values};
    return sim->row->run(sim->engine, &batch, error);
}
