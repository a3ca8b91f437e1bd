/* together.c - see together.h. */
#include "train/together.h"

#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/stop.h"

/* Of images that are read when they are needed, so many are compared. */
enum { SAMPLES = 16 };

static mq_status add_images(const mq_dataset *d, mq_digest *digest, mq_error *error) {
    const size_t bytes = mq_dataset_image_bytes(d);
    if (d->images) {
        mq_digest_add(digest, d->images, d->count * bytes);
        return MQ_OK;
    }
    mq_data_scratch scratch = {0};
    uint8_t *image;
    MQ_TRY(mq_alloc(bytes, 1, "an image", &image, error));
    for (size_t i = 0; i < SAMPLES && i < d->count; i++) {
        const size_t which = d->count <= SAMPLES ? i : i * (d->count - 1) / (SAMPLES - 1);
        mq_error damaged;
        memset(image, 0, bytes);
        if (mq_dataset_image(d, which, &scratch, image, &damaged) == MQ_OK)
            mq_digest_add(digest, image, bytes);
    }
    mq_scratch_free(&scratch);
    mq_free(image);
    return MQ_OK;
}

static mq_status digest_data(const mq_dataset *d, char out[MQ_DIGEST_TEXT], mq_error *error) {
    mq_digest *digest;
    MQ_TRY(mq_digest_begin(&digest, error));
    const uint64_t sizes[] = {
        d->count,       (uint64_t)d->height, (uint64_t)d->width, (uint64_t)d->channels, (uint64_t)d->classes,
        d->target_count};
    mq_digest_add(digest, sizes, sizeof sizes);
    if (d->labels) mq_digest_add(digest, d->labels, d->count * sizeof *d->labels);
    for (size_t t = 0; t < d->target_count; t++) {
        const mq_target *one = &d->targets[t];
        const float numbers[] = {(float)one->image, one->box.x, one->box.y,
                                 one->box.w,        one->box.h, one->weight};
        mq_digest_add(digest, numbers, sizeof numbers);
    }
    const mq_status status = add_images(d, digest, error);
    mq_digest_end(digest, out);
    return status;
}

/* Settings without the places where this machine has the files: what is in them is compared. */
static mq_status digest_settings(const mq_train_settings *settings, char out[MQ_DIGEST_TEXT],
                                 mq_error *error) {
    json_t *same = json_copy(settings->settings);
    json_object_del(same, "model");
    json_object_del(same, "data");
    json_object_del(same, "init");
    char *text = same ? json_dumps(same, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(same);
    if (!text) return mq_fail_memory(error, "settings", 0);
    mq_sha256(text, strlen(text), out);
    free(text);
    return MQ_OK;
}

/* What must be the same everywhere, in the order in which it is complained about. */
enum { VERSION, SETTINGS, NETWORK, TRAINING, TESTING, THINGS };
static const char *const NAMES[THINGS] = {"version of mixq", "settings", "network description",
                                          "training images", "test images"};
typedef char fingerprints[THINGS][MQ_DIGEST_TEXT];

static mq_status fingerprint(const mq_net *net, const mq_train_settings *settings, const mq_dataset *train,
                             const mq_dataset *test, fingerprints out, mq_error *error) {
    mq_sha256(mq_version(), strlen(mq_version()), out[VERSION]);
    mq_sha256(net->source, strlen(net->source), out[NETWORK]);
    MQ_TRY(digest_settings(settings, out[SETTINGS], error));
    MQ_TRY(digest_data(train, out[TRAINING], error));
    return digest_data(test, out[TESTING], error);
}

mq_status together_check(mq_ranks *ranks, const mq_net *net, const mq_train_settings *settings,
                         const mq_dataset *train, const mq_dataset *test, mq_error *error) {
    if (!ranks) return MQ_OK;
    fingerprints own, first;
    memset(own, 0, sizeof own);
    MQ_TRY(mq_ranks_agree(ranks, fingerprint(net, settings, train, test, own, error), error));
    memcpy(first, own, sizeof own);
    MQ_TRY(mq_ranks_broadcast(ranks, first, sizeof first, error));
    mq_status status = MQ_OK;
    for (int i = 0; i < THINGS && status == MQ_OK; i++)
        if (strcmp(own[i], first[i]) != 0)
            status =
                mq_fail(error, MQ_USAGE,
                        "got other %s than rank 0: all ranks of a run need the same program, options and "
                        "data",
                        NAMES[i]);
    return mq_ranks_agree(ranks, status, error);
}

mq_status together_begin(run *r, bool *resumed, mq_error *error) {
    mq_ranks *ranks = mq_model_get_options(r->model)->ranks;
    int count;
    mq_param *params = mq_model_params(r->model, &count);
    if (!ranks) return MQ_OK;
    MQ_TRY(mq_ranks_broadcast(ranks, resumed, sizeof *resumed, error));
    MQ_TRY(mq_ranks_broadcast(ranks, &r->state, sizeof r->state, error));
    MQ_TRY(mq_ranks_broadcast(ranks, mq_optimizer_updates(r->optimizer), sizeof(uint64_t), error));
    if (r->hooks && r->hooks->memory_count)
        MQ_TRY(mq_ranks_broadcast(ranks, r->hooks->memory, r->hooks->memory_count * sizeof(double), error));
    for (int i = 0; i < count; i++) {
        const size_t bytes = params[i].count * sizeof(float);
        MQ_TRY(mq_ranks_broadcast(ranks, params[i].value, bytes, error));
        for (int k = 0; k < MQ_OPTIMIZER_MEMORIES; k++) {
            const char *what;
            float *memory = mq_optimizer_memory(r->optimizer, i, k, &what);
            if (memory) MQ_TRY(mq_ranks_broadcast(ranks, memory, bytes, error));
        }
    }
    return MQ_OK;
}

mq_status together_again(run *r, mq_error *error) {
    mq_ranks *ranks = mq_model_get_options(r->model)->ranks;
    if (!ranks) return MQ_OK;
    int count;
    const mq_param *params = mq_model_params(r->model, &count);
    mq_digest *digest;
    char own[MQ_DIGEST_TEXT] = "", first[MQ_DIGEST_TEXT];
    mq_status status = mq_digest_begin(&digest, error);
    if (status == MQ_OK) {
        for (int i = 0; i < count; i++)
            mq_digest_add(digest, params[i].value, params[i].count * sizeof(float));
        mq_digest_end(digest, own);
    }
    MQ_TRY(mq_ranks_agree(ranks, status, error));
    memcpy(first, own, sizeof own);
    MQ_TRY(mq_ranks_broadcast(ranks, first, sizeof first, error));
    double others = strcmp(own, first) != 0;
    MQ_TRY(mq_ranks_sum(ranks, &others, 1, error));
    if (others < 1) return MQ_OK;
    if (!r->drifted)
        mq_log(MQ_LOG_WARN,
               "the last bits of parameters differ on %.0f of %d ranks (their processors round differently): "
               "rank 0's are taken, after every epoch",
               others, mq_ranks_count(ranks));
    r->drifted = true;
    bool resumed = false;
    MQ_TRY(together_begin(r, &resumed, error));
    mq_model_touch(r->model);
    return MQ_OK;
}

mq_status together_stop(mq_ranks *ranks, bool *stop, mq_error *error) {
    double asked = mq_stop_requested();
    MQ_TRY(mq_ranks_sum(ranks, &asked, 1, error));
    *stop = asked > 0;
    return MQ_OK;
}
