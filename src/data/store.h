/* store.h - images that are not all in memory: decoded or drawn when they are asked for, by any thread, and
 * kept afterwards up to a bound. */
#ifndef MIXQ_DATA_STORE_H
#define MIXQ_DATA_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Working memory of one thread that makes images; grows to the largest that was needed. {0} to begin with.
 * The first MQ_SCRATCH_OWN blocks are the source's, the others the loader's. */
enum { MQ_SCRATCH_OWN = 4, MQ_SCRATCH_BLOCKS = 6 };
typedef struct mq_data_scratch {
    void *block[MQ_SCRATCH_BLOCKS];
    size_t room[MQ_SCRATCH_BLOCKS]; /* bytes */
} mq_data_scratch;

/* block[which] with room for at least `bytes` bytes, contents undefined. */
mq_status mq_scratch_need(mq_data_scratch *scratch, int which, size_t bytes, void *out,
                          mq_error *error) MQ_MUST_CHECK;
void mq_scratch_free(mq_data_scratch *scratch);

/* Where the images come from. */
typedef struct mq_data_source {
    /* Writes image `sample`, `bytes` bytes in the data set's layout: a pure function of context and sample
     * that several threads call at once, each with a scratch of its own. MQ_BAD_INPUT: this one image is
     * damaged. */
    mq_status (*image)(const void *context, size_t sample, mq_data_scratch *scratch, uint8_t *out,
                       mq_error *error);
    /* The sample's name within the set ("boat1/000001"), valid as long as the context; NULL: it has none. */
    const char *(*name)(const void *context, size_t sample);
    /* Height and width of the sample's image before it was scaled; NULL: as the set gives it. */
    void (*size)(const void *context, size_t sample, int *height, int *width);
    void (*close)(void *context);
} mq_data_source;

typedef struct mq_data_store mq_data_store;

/* Takes the context over, also when it fails. kept: bytes of images to keep at most; 0 = MQ_STORE_KEPT. */
mq_status mq_store_create(const mq_data_source *source, void *context, size_t count, size_t image_bytes,
                          size_t kept, mq_data_store **out, mq_error *error) MQ_MUST_CHECK;
void mq_store_free(mq_data_store *store); /* NULL is fine */
#define MQ_STORE_KEPT ((size_t)1 << 30)

mq_status mq_store_image(const mq_data_store *store, size_t sample, mq_data_scratch *scratch, uint8_t *out,
                         mq_error *error) MQ_MUST_CHECK;
const char *mq_store_name(const mq_data_store *store, size_t sample); /* NULL: none */
/* The source's size; without one nothing is written. */
void mq_store_size(const mq_data_store *store, size_t sample, int *height, int *width);

#endif
