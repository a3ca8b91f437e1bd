/* integer_run.c - integer networks from files or checkpoints, simulated piece by piece. */
#include "cli/integer_run.h"

#include "base/file.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/stop.h"
#include "base/text.h"
#ifdef MIXQ_TRAIN
#include "lower/lower.h"
#endif

/* Images of one call to the simulator, and bytes that a dump may hold in memory. */
enum { PIECE = 64 };
#define DUMP_BYTES ((size_t)4 << 30)

static bool is_network_file(const char *path) {
    char inside[MQ_PATH];
    if (!mq_path_is_dir(path)) return mq_ends_with(path, ".json");
    return mq_path_join(path, "net.json", inside, NULL) == MQ_OK && mq_path_exists(inside);
}

static mq_status open_checkpoint(const char *path, mq_inet **out, mq_error *error) {
#ifdef MIXQ_TRAIN
    mq_checkpoint checkpoint;
    MQ_TRY(mq_checkpoint_load(path, &checkpoint, error));
    mq_status status = mq_lower(&checkpoint, NULL, out, error);
    if (status != MQ_OK) status = mq_fail_context(error, status, "%s", path);
    mq_checkpoint_free(&checkpoint);
    return status;
#else
    *out = NULL;
    if (!mq_path_exists(path)) return mq_fail_errno(error, "cannot read", path);
    return mq_fail(error, MQ_USAGE,
                   "%s: an export folder or its net.json expected: this mixq is built without the training "
                   "side and cannot lower checkpoints",
                   path);
#endif
}

mq_status integer_open(const char *path, mq_inet **out, mq_error *error) {
    char inside[MQ_PATH];
    *out = NULL;
    if (is_network_file(path)) return mq_inet_load(path, out, error);
    if (mq_path_is_dir(path)) {
        MQ_TRY(mq_path_join(path, "best.safetensors", inside, error));
        if (!mq_path_exists(inside))
            return mq_fail(
                error, MQ_BAD_INPUT,
                "%s: neither an export folder (no net.json) nor a run folder (no best.safetensors)", path);
    }
    return open_checkpoint(path, out, error);
}

mq_status integer_check_dataset(const mq_inet *net, const mq_dataset *d, mq_error *error) {
    const mq_inet_edge *in = &net->nodes[0].edge;
    if (net->task != MQ_INET_CLASSIFICATION)
        return mq_fail(error, MQ_USAGE,
                       "network %s is a detector: data set %s has classes: give images with --input",
                       net->model, d->name);
    if (d->task != MQ_DATA_CLASSIFY)
        return mq_fail(error, MQ_USAGE, "data set %s has boxes of objects: network %s classifies images",
                       d->name, net->model);
    if (d->height != in->h || d->width != in->w || d->channels != in->c)
        return mq_fail(error, MQ_USAGE,
                       "data set %s has images of %d x %d x %d: network %s takes %d x %d x %d", d->name,
                       d->height, d->width, d->channels, net->model, in->h, in->w, in->c);
    if (d->classes > net->classes)
        return mq_fail(error, MQ_USAGE, "data set %s has %d classes: network %s has %d outputs", d->name,
                       d->classes, net->model, net->classes);
    return MQ_OK;
}

size_t integer_outputs(const mq_inet *net) {
    const mq_inet_edge *out = &mq_inet_last(net)->edge;
    return (size_t)out->h * (size_t)out->w * (size_t)out->c;
}

static mq_status run_pieces(const mq_inet *net, const mq_sim *sim, integer_job *job, mq_sim_dump *dump,
                            mq_error *error) {
    const mq_inet_edge *in = &net->nodes[0].edge;
    size_t image = (size_t)in->h * (size_t)in->w * (size_t)in->c, outputs = integer_outputs(net);
    double start = mq_seconds();
    for (size_t first = 0; first < job->count; first += PIECE) {
        size_t n = job->count - first < PIECE ? job->count - first : PIECE;
        mq_sim_visitor visitor = {0};
        if (dump) visitor = mq_sim_dump_visitor(dump, first);
        MQ_TRY(mq_sim_run(sim, job->images + first * image, n, job->layout, dump ? &visitor : NULL,
                          job->out + first * outputs, job->values + first * outputs, error));
        job->seconds = mq_seconds() - start;
        mq_progress("simulate", first + n, job->count, "%.0f images/s", (double)(first + n) / job->seconds);
        if (mq_stop_requested()) return mq_fail(error, MQ_INTERRUPTED, "interrupted");
    }
    return MQ_OK;
}

static mq_status open_dump(const mq_inet *net, size_t images, mq_sim_dump **out, mq_error *error) {
    size_t each = mq_sim_dump_bytes(net), bytes;
    if (mq_mul_overflow(each, images, &bytes) || bytes > DUMP_BYTES)
        return mq_fail(error, MQ_USAGE,
                       "--dump: %zu images of %zu bytes are more than %zu bytes: give a smaller --limit",
                       images, each, DUMP_BYTES);
    return mq_sim_dump_create(net, images, out, error);
}

mq_status integer_run(const mq_inet *net, integer_job *job, mq_error *error) {
    mq_sim *sim = NULL;
    mq_sim_dump *dump = NULL;
    size_t outputs = integer_outputs(net);
    mq_status status = MQ_OK;
    if (job->dump) MQ_TRY_GOTO(open_dump(net, job->count, &dump, error), done);
    MQ_TRY_GOTO(mq_alloc(job->count, outputs * sizeof *job->out, "outputs", &job->out, error), done);
    MQ_TRY_GOTO(mq_alloc(job->count, outputs * sizeof *job->values, "outputs", &job->values, error), done);
    MQ_TRY_GOTO(mq_sim_create(net, &sim, error), done);
    MQ_TRY_GOTO(run_pieces(net, sim, job, dump, error), done);
    if (dump) status = mq_sim_dump_save(dump, job->dump, error);
done:
    mq_sim_dump_free(dump);
    mq_sim_free(sim);
    return status;
}

void integer_job_clear(integer_job *job) {
    mq_free(job->out);
    mq_free(job->values);
    *job = (integer_job){0};
}

int32_t integer_class(const mq_inet *net, const integer_job *job, size_t i) {
    const int64_t *out = job->out + i * integer_outputs(net);
    int32_t best = 0;
    for (int32_t c = 1; c < net->classes; c++)
        if (out[c] > out[best]) best = c;
    return best;
}
