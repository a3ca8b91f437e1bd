/* zip_store.h - the members of a zip archive: stored, as in PyTorch's .pt files, or deflated, as NumPy's .npz
 * may be.
 *
 * The reader treats the archive as hostile: it goes by the central directory (zip64 too), and each member
 * must be unencrypted, inside the file, apart from every other, named once and of the right CRC-32.
 * Source: PKWARE APPNOTE 6.3, sections 4.3 and 4.5.3. */
#ifndef MIXQ_IO_ZIP_STORE_H
#define MIXQ_IO_ZIP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct mq_zip_member {
    const char *name;    /* owned by the archive */
    const uint8_t *data; /* borrowed from the bytes given to mq_zip_parse; any alignment */
    size_t size;         /* bytes there */
    bool deflated;
    size_t plain_size; /* when inflated; size of a stored one */
    size_t header;     /* offset of its local header */
    uint32_t crc;      /* of the plain bytes */
} mq_zip_member;

typedef enum { MQ_ZIP_STORED, MQ_ZIP_DEFLATED } mq_zip_methods; /* what is taken: stored ones; both */

typedef struct mq_zip mq_zip;

/* bytes are borrowed until mq_zip_free; name stands in messages. Checksums of stored members are checked
 * here, those of deflated ones when they are inflated. */
mq_status mq_zip_parse(const char *name, const uint8_t *bytes, size_t size, mq_zip_methods methods,
                       mq_zip **out, mq_error *error) MQ_MUST_CHECK;
/* The plain bytes of a deflated member of the archive `name`; release with mq_free. Never more than the
 * compression can make of its bytes is allocated. MQ_BAD_INPUT when they are damaged. */
mq_status mq_zip_inflate(const char *name, const mq_zip_member *member, uint8_t **out,
                         mq_error *error) MQ_MUST_CHECK;
void mq_zip_free(mq_zip *zip); /* NULL is fine */
size_t mq_zip_count(const mq_zip *zip);
const mq_zip_member *mq_zip_at(const mq_zip *zip, size_t index); /* in the order of the central directory */
const mq_zip_member *mq_zip_find(const mq_zip *zip, const char *name); /* NULL when absent */

#endif
