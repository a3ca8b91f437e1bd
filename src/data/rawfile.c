/* rawfile.c - data-set files, plain or gzip, read from front to end.
 *
 * The file is read whole and inflated piece by piece straight to where the bytes go. zlib's inflate is called
 * directly instead of its gz* layer, which passes over damage after the compressed data. */
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/memory.h"
#include "data/reader.h"

enum {
    FILE_BYTES = 1 << 30,  /* on disk, at most */
    DEFLATE_RATIO = 1032,  /* deflate's greatest expansion (zlib.net, "Technical Details") */
    GZIP_WINDOW = 15 + 16, /* inflateInit2: 32 KiB window, gzip wrapper */
};

struct mq_rawfile {
    char path[MQ_PATH];
    uint8_t *bytes;
    size_t size, next; /* on disk; of a plain file also the position */
    size_t done;       /* content bytes handed out */
    size_t total;      /* expected content bytes; 0 = not said yet */
    bool compressed, ended;
    z_stream inflate;
};

static voidpf zlib_alloc(voidpf context, uInt count, uInt size) {
    (void)context;
    void *memory;
    return mq_alloc(count, size, "zlib", &memory, NULL) == MQ_OK ? memory : Z_NULL;
}

static void zlib_free(voidpf context, voidpf memory) {
    (void)context;
    mq_free(memory);
}

mq_status mq_rawfile_open(const char *path, mq_rawfile **out, mq_error *error) {
    *out = NULL;
    mq_rawfile *file;
    MQ_TRY(mq_alloc(1, sizeof *file, path, &file, error));
    mq_status status = mq_file_read(path, FILE_BYTES, &file->bytes, &file->size, error);
    if (status != MQ_OK) {
        mq_free(file);
        return status;
    }
    strncpy(file->path, path, sizeof file->path - 1);
    if (file->size >= 2 && file->bytes[0] == 0x1f && file->bytes[1] == 0x8b) {
        file->inflate = (z_stream){
            .zalloc = zlib_alloc, .zfree = zlib_free, .next_in = file->bytes, .avail_in = (uInt)file->size};
        if (inflateInit2(&file->inflate, GZIP_WINDOW) != Z_OK) {
            mq_free(file->bytes);
            mq_free(file);
            return mq_fail(error, MQ_INTERNAL, "%s: zlib cannot start", path);
        }
        file->compressed = true;
    }
    *out = file;
    return MQ_OK;
}

mq_status mq_rawfile_expect(mq_rawfile *file, size_t total, mq_error *error) {
    file->total = total;
    if (!file->compressed) {
        if (file->size != total)
            return mq_fail(error, MQ_BAD_INPUT, "%s: %s: got %zu bytes, expected %zu", file->path,
                           file->size < total ? "truncated" : "bytes after the end", file->size, total);
    } else if (total / DEFLATE_RATIO > file->size) {
        return mq_fail(error, MQ_BAD_INPUT, "%s: truncated: got %zu compressed bytes, too few for %zu",
                       file->path, file->size, total);
    }
    return MQ_OK;
}

/* Up to `size` content bytes; fewer only at the end of the content. */
static mq_status read_some(mq_rawfile *file, uint8_t *out, size_t size, size_t *got, mq_error *error) {
    *got = 0;
    if (!file->compressed) {
        *got = size < file->size - file->next ? size : file->size - file->next;
        if (*got) memcpy(out, file->bytes + file->next, *got);
        file->next += *got;
        return MQ_OK;
    }
    z_stream *z = &file->inflate;
    z->next_out = out;
    z->avail_out = (uInt)size;
    while (z->avail_out && !file->ended) {
        int result = inflate(z, Z_NO_FLUSH);
        if (result == Z_STREAM_END) {
            /* gzip allows several members in a row; anything else there is damage and fails as a bad header
             */
            if (z->avail_in == 0)
                file->ended = true;
            else if (inflateReset(z) != Z_OK)
                return mq_fail(error, MQ_INTERNAL, "%s: zlib failed", file->path);
        } else if (result == Z_MEM_ERROR) {
            return mq_fail(error, MQ_INTERNAL, "%s: out of memory in zlib", file->path);
        } else if (result == Z_BUF_ERROR) {
            return mq_fail(error, MQ_BAD_INPUT, "%s: truncated: compressed data ends after %zu content bytes",
                           file->path, file->done + (size - z->avail_out));
        } else if (result != Z_OK) {
            return mq_fail(error, MQ_BAD_INPUT, "%s: damaged compressed data after %zu content bytes: %s",
                           file->path, file->done + (size - z->avail_out), z->msg ? z->msg : "unknown");
        }
    }
    *got = size - z->avail_out;
    return MQ_OK;
}

mq_status mq_rawfile_read(mq_rawfile *file, void *out, size_t size, mq_error *error) {
    size_t got;
    MQ_TRY(read_some(file, out, size, &got, error));
    file->done += got;
    if (got < size)
        return mq_fail(error, MQ_BAD_INPUT, "%s: truncated: got %zu bytes, expected %s%zu", file->path,
                       file->done, file->total ? "" : "at least ",
                       file->total ? file->total : file->done - got + size);
    return MQ_OK;
}

mq_status mq_rawfile_end(mq_rawfile *file, mq_error *error) {
    uint8_t extra;
    size_t got;
    MQ_TRY(read_some(file, &extra, 1, &got, error));
    if (got)
        return mq_fail(error, MQ_BAD_INPUT, "%s: bytes after the end: got more than the %zu expected",
                       file->path, file->done);
    return MQ_OK;
}

const char *mq_rawfile_path(const mq_rawfile *file) {
    return file->path;
}

void mq_rawfile_close(mq_rawfile *file) {
    if (!file) return;
    if (file->compressed) inflateEnd(&file->inflate);
    mq_free(file->bytes);
    mq_free(file);
}
