/* store.c - made once, then copied: each image that fits the bound is kept where the first thread that made
 * it put it. What is kept changes the time only, never the bytes, so the store counts as constant. */
#include "data/store.h"

#include <stdatomic.h>
#include <string.h>

#include "base/memory.h"

struct mq_data_store {
    mq_data_source source;
    void *context;
    size_t count, bytes;
    _Atomic(uint8_t *) *kept; /* [count], NULL = not kept */
    _Atomic size_t room;      /* images that may still be kept */
};

mq_status mq_scratch_need(mq_data_scratch *scratch, int which, size_t bytes, void *out, mq_error *error) {
    if (scratch->room[which] < bytes) {
        mq_free(scratch->block[which]);
        scratch->room[which] = 0;
        MQ_TRY(mq_alloc(bytes, 1, "working memory for images", &scratch->block[which], error));
        scratch->room[which] = bytes;
    }
    *(void **)out = scratch->block[which];
    return MQ_OK;
}

void mq_scratch_free(mq_data_scratch *scratch) {
    for (int i = 0; i < MQ_SCRATCH_BLOCKS; i++) mq_free(scratch->block[i]);
    *scratch = (mq_data_scratch){0};
}

mq_status mq_store_create(const mq_data_source *source, void *context, size_t count, size_t image_bytes,
                          size_t kept, mq_data_store **out, mq_error *error) {
    mq_data_store *store;
    mq_status status = mq_alloc(1, sizeof *store, "a store of images", &store, error);
    if (status == MQ_OK) {
        status = mq_alloc(count, sizeof *store->kept, "the index of images", &store->kept, error);
        if (status != MQ_OK) mq_free(store);
    }
    if (status != MQ_OK) {
        source->close(context);
        *out = NULL;
        return status;
    }
    store->source = *source;
    store->context = context;
    store->count = count;
    store->bytes = image_bytes;
    atomic_init(&store->room, (kept ? kept : MQ_STORE_KEPT) / image_bytes);
    *out = store;
    return MQ_OK;
}

void mq_store_free(mq_data_store *store) {
    if (!store) return;
    for (size_t i = 0; i < store->count; i++) mq_free(atomic_load(&store->kept[i]));
    mq_free((void *)store->kept);
    store->source.close(store->context);
    mq_free(store);
}

/* Keeps a copy when there is room; without memory nothing is kept, which is no fault. */
static void keep(mq_data_store *store, size_t sample, const uint8_t *image) {
    size_t room = atomic_load(&store->room);
    do {
        if (room == 0) return;
    } while (!atomic_compare_exchange_weak(&store->room, &room, room - 1));
    uint8_t *copy, *none = NULL;
    if (mq_alloc(store->bytes, 1, "a kept image", &copy, NULL) != MQ_OK) return;
    memcpy(copy, image, store->bytes);
    if (atomic_compare_exchange_strong(&store->kept[sample], &none, copy)) return;
    mq_free(copy); /* another thread was first */
    atomic_fetch_add(&store->room, 1);
}

mq_status mq_store_image(const mq_data_store *store, size_t sample, mq_data_scratch *scratch, uint8_t *out,
                         mq_error *error) {
    const uint8_t *kept = atomic_load(&store->kept[sample]);
    if (kept) {
        memcpy(out, kept, store->bytes);
        return MQ_OK;
    }
    MQ_TRY(store->source.image(store->context, sample, scratch, out, error));
    keep((mq_data_store *)store, sample, out);
    return MQ_OK;
}

const char *mq_store_name(const mq_data_store *store, size_t sample) {
    return store->source.name ? store->source.name(store->context, sample) : NULL;
}

void mq_store_size(const mq_data_store *store, size_t sample, int *height, int *width) {
    if (store->source.size) store->source.size(store->context, sample, height, width);
}
