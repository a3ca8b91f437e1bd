/* integer_run.c - integer networks from files or checkpoints, simulated piece by piece. */
#include "cli/integer_run.h"

#include "base/file.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "base/text.h"
#ifdef MIXQ_TRAIN
#include "lower/lower.h"
#endif

/* Images of one call to the fast simulator at least, and bytes that a dump may hold in memory. */
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
    bool detector = net->task == MQ_INET_DETECTION;
    if (detector != (d->task == MQ_DATA_DETECT))
        return mq_fail(error, MQ_USAGE, "data set %s has %s: network %s %s", d->name,
                       detector ? "classes of images" : "boxes of objects", net->model,
                       detector ? "is a detector" : "classifies images");
    if (d->height != in->h || d->width != in->w || d->channels != in->c)
        return mq_fail(error, MQ_USAGE,
                       "data set %s has images of %d x %d x %d: network %s takes %d x %d x %d", d->name,
                       d->height, d->width, d->channels, net->model, in->h, in->w, in->c);
    if (!detector && d->classes > net->classes)
        return mq_fail(error, MQ_USAGE, "data set %s has %d classes: network %s has %d outputs", d->name,
                       d->classes, net->model, net->classes);
    return MQ_OK;
}

mq_status integer_pixels(const mq_inet *net, const uint8_t *pixels, size_t count, uint8_t *out,
                         mq_error *error) {
    const mq_inet_node *n = &net->nodes[0];
    const mq_inet_image *image = &n->image;
    uint8_t(*table)[256];
    if (!image->real) return MQ_OK;
    const size_t channels = (size_t)image->c, all = count * (size_t)image->h * (size_t)image->w * channels;
    MQ_TRY(mq_alloc(channels, sizeof *table, "pixels", &table, error));
    mq_real_pixels(image->real, (float)image->scale, (int)n->edge.low, (int)n->edge.high, image->c, table);
    for (size_t i = 0; i < all; i++) out[i] = table[i % channels][pixels[i]];
    mq_free(table);
    return MQ_OK;
}

size_t integer_outputs(const mq_inet *net) {
    const mq_inet_edge *out = &mq_inet_last(net)->edge;
    return (size_t)out->h * (size_t)out->w * (size_t)out->c;
}

/* A run that is going on. */
typedef struct running {
    const mq_inet *net;
    integer_job *job;
    mq_sim *sim;
    mq_sim_dump *dump; /* or NULL */
    mq_loader *loader; /* of job->dataset */
    mq_digest *digest;
    int64_t *out;       /* [part], unless the job keeps all */
    float *values;      /* [part] */
    uint8_t *codes;     /* [part] of a data set's pixels, where the input is real numbers */
    size_t part, bytes; /* images of a part; bytes of an image */
} running;

static mq_status run_part(running *r, const mq_batch *batch, size_t first, size_t count, mq_error *error) {
    integer_job *job = r->job;
    size_t outputs = integer_outputs(r->net);
    mq_sim_visitor visitor = {0};
    if (r->dump) visitor = mq_sim_dump_visitor(r->dump, first);
    int64_t *out = job->keep ? job->out + first * outputs : r->out;
    const uint8_t *images = batch ? batch->images : NULL;
    if (batch && r->codes) {
        MQ_TRY(integer_pixels(r->net, images, count, r->codes, error));
        images = r->codes;
    }
    double start = mq_seconds();
    MQ_TRY(mq_sim_run(r->sim, batch ? images : job->images + first * r->bytes, count,
                      batch ? MQ_SIM_NHWC : MQ_SIM_NCHW, r->dump ? &visitor : NULL, out, r->values, error));
    job->seconds += mq_seconds() - start;
    mq_digest_add(r->digest, out, count * outputs * sizeof *out);
    const integer_part part = {
        .first = first, .count = count, .batch = batch, .out = out, .values = r->values};
    if (job->part) MQ_TRY(job->part(job->context, &part, error));
    mq_progress("simulate", first + count, job->count, "%.3g images/s",
                (double)(first + count) / job->seconds);
    return mq_stop_requested() ? mq_fail(error, MQ_INTERRUPTED, "interrupted") : MQ_OK;
}

static mq_status run_parts(running *r, mq_error *error) {
    size_t count = r->job->count;
    if (!r->loader) {
        for (size_t first = 0; first < count; first += r->part)
            MQ_TRY(run_part(r, NULL, first, count - first < r->part ? count - first : r->part, error));
        return MQ_OK;
    }
    size_t first = 0;
    mq_loader_epoch(r->loader, 0);
    for (const mq_batch *batch; (batch = mq_loader_next(r->loader)); first += batch->count)
        MQ_TRY(run_part(r, batch, first, batch->count, error));
    return mq_loader_status(r->loader, error);
}

/* Images of a part: one per thread where an image takes seconds. */
static size_t choose_part(const integer_job *job) {
    size_t threads = (size_t)mq_threads(), part = threads * 4 > PIECE ? threads * 4 : PIECE;
    if (job->options.engine != MQ_SIM_FAST) part = threads;
    if (part > MQ_LOADER_BATCH) part = MQ_LOADER_BATCH;
    return part < job->count ? part : job->count;
}

static mq_status open_dump(const mq_inet *net, const char *dir, size_t images, mq_sim_dump **out,
                           mq_error *error) {
    size_t each = mq_sim_dump_bytes(net), bytes;
    if (mq_mul_overflow(each, images, &bytes) || bytes > DUMP_BYTES)
        return mq_fail(error, MQ_USAGE,
                       "--dump: %zu images of %zu bytes are more than %zu bytes: give a smaller --limit",
                       images, each, DUMP_BYTES);
    MQ_TRY(mq_make_dirs(dir, error)); /* better now than after the run */
    return mq_sim_dump_create(net, images, out, error);
}

mq_status integer_run(const mq_inet *net, integer_job *job, mq_error *error) {
    const mq_inet_edge *in = &net->nodes[0].edge;
    running r = {.net = net, .job = job, .bytes = (size_t)in->h * (size_t)in->w * (size_t)in->c};
    size_t outputs = integer_outputs(net);
    mq_status status = MQ_OK;
    r.part = choose_part(job);
    if (job->dump) MQ_TRY_GOTO(open_dump(net, job->dump, job->count, &r.dump, error), done);
    if (job->keep)
        MQ_TRY_GOTO(mq_alloc(job->count, outputs * sizeof *job->out, "outputs", &job->out, error), done);
    else
        MQ_TRY_GOTO(mq_alloc(r.part, outputs * sizeof *r.out, "outputs", &r.out, error), done);
    MQ_TRY_GOTO(mq_alloc(r.part, outputs * sizeof *r.values, "outputs", &r.values, error), done);
    if (job->dataset && net->nodes[0].image.real)
        MQ_TRY_GOTO(mq_alloc(r.part, r.bytes, "images", &r.codes, error), done);
    MQ_TRY_GOTO(mq_digest_begin(&r.digest, error), done);
    MQ_TRY_GOTO(mq_sim_create_with(net, &job->options, &r.sim, error), done);
    job->kernels = mq_sim_kernels(r.sim);
    if (job->dataset) {
        const mq_loader_options options = {.batch = (int)r.part, .ahead = 1};
        MQ_TRY_GOTO(mq_loader_start(job->dataset, &options, &r.loader, error), done);
    }
    MQ_TRY_GOTO(run_parts(&r, error), done);
    if (r.dump) status = mq_sim_dump_save(r.dump, job->dump, error);
done:
    mq_digest_end(r.digest, job->sha256);
    mq_loader_stop(r.loader);
    mq_sim_dump_free(r.dump);
    mq_sim_free(r.sim);
    mq_free(r.out);
    mq_free(r.values);
    mq_free(r.codes);
    return status;
}

void integer_job_clear(integer_job *job) {
    mq_free(job->out);
    *job = (integer_job){0};
}

int32_t integer_class(const mq_inet *net, const int64_t *out) {
    int32_t best = 0;
    for (int32_t c = 1; c < net->classes; c++)
        if (out[c] > out[best]) best = c;
    return best;
}

mq_status integer_head(const mq_inet *net, mq_head *out, mq_error *error) {
    const mq_inet_edge *in = &net->nodes[0].edge, *last = &mq_inet_last(net)->edge;
    *out = (mq_head){.in_h = in->h,
                     .in_w = in->w,
                     .grid_h = last->h,
                     .grid_w = last->w,
                     .classes = net->classes,
                     .anchors = net->anchor_count};
    for (int a = 0; a < net->anchor_count && a < MQ_HEAD_ANCHORS; a++) {
        out->anchor_w[a] = net->anchor_w[a];
        out->anchor_h[a] = net->anchor_h[a];
    }
    return mq_head_check(out, last->c, error);
}
