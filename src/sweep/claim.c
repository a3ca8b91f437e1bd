/* claim.c - lock files. */
#include "sweep/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

mq_status mq_claim_take(const char *path, int *claim, mq_error *error) {
    char host[MQ_CLAIM_TEXT - 32] = "unknown", text[MQ_CLAIM_TEXT];
    *claim = -1;
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file < 0) return mq_fail_errno(error, "cannot write the lock file", path);
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        const int why = errno;
        close(file);
        if (why == EWOULDBLOCK) return MQ_OK;
        errno = why;
        return mq_fail_errno(error, "cannot lock (a file system with locks is needed)", path);
    }
    gethostname(host, sizeof host - 1);
    const int n = snprintf(text, sizeof text, "%s, process %ld\n", host, (long)getpid());
    /* for people alone: the lock counts, not the text */
    if (ftruncate(file, 0) != 0 || pwrite(file, text, (size_t)n, 0) != n) {
        mq_status status = mq_fail_errno(error, "cannot write the lock file", path);
        close(file);
        return status;
    }
    *claim = file;
    return MQ_OK;
}

void mq_claim_release(int *claim) {
    if (*claim >= 0) close(*claim);
    *claim = -1;
}

void mq_claim_holder(const char *path, char out[MQ_CLAIM_TEXT]) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? 0 : read(file, out, MQ_CLAIM_TEXT - 1);
    if (file >= 0) close(file);
    out[n > 0 ? n : 0] = 0;
    out[strcspn(out, "\n")] = 0;
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '?';
    if (!*out) snprintf(out, MQ_CLAIM_TEXT, "another process");
}
