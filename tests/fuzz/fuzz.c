/* fuzz.c - helpers of the harnesses. */
#include "fuzz.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool fuzz_accepted(mq_status status, const mq_error *error, mq_status allowed) {
    if (status == MQ_OK) return true;
    bool good = (status == MQ_BAD_INPUT || status == allowed) && error->text[0];
    for (const char *c = error->text; *c; c++) good = good && (unsigned char)*c >= ' ' && *c != 0x7f;
    if (good) return false;
    fprintf(stderr, "status %d, message '%s'\n", (int)status, error->text);
    abort();
}

void fuzz_demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* ---- files ---- */

static char folder[64];

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_folder(void) {
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *fuzz_dir(void) {
    if (folder[0]) return folder;
    snprintf(folder, sizeof folder, "%s/mixq-fuzz-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    fuzz_demand(mkdtemp(folder) != NULL, "no temporary folder");
    atexit(remove_folder);
    return folder;
}

static const char *path_of(const char *name) {
    static char path[5][256];
    static int turn;
    turn = (turn + 1) % 5;
    int n = snprintf(path[turn], sizeof path[turn], "%s/%s", fuzz_dir(), name);
    fuzz_demand(n > 0 && (size_t)n < sizeof path[turn], "a short name");
    return path[turn];
}

const char *fuzz_file(const char *name, const uint8_t *data, size_t size) {
    const char *path = path_of(name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (file < 0 && strchr(name, '/')) {
        char dir[256];
        snprintf(dir, sizeof dir, "%s", path);
        *strrchr(dir, '/') = 0;
        fuzz_demand(mkdir(dir, 0777) == 0, "mkdir");
        file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    }
    fuzz_demand(file >= 0 && write(file, data, size) == (ssize_t)size && close(file) == 0, "cannot write");
    return path;
}

void fuzz_no_file(const char *name) {
    unlink(path_of(name));
}

/* ---- inputs ---- */

fuzz_bytes fuzz_part(fuzz_bytes *rest) {
    static const char between[] = "\n%%\n";
    const uint8_t *cut = rest->left ? memmem(rest->at, rest->left, between, sizeof between - 1) : NULL;
    fuzz_bytes part = *rest;
    if (!cut) {
        rest->at += rest->left;
        rest->left = 0;
        return part;
    }
    part.left = (size_t)(cut - rest->at);
    rest->left -= part.left + sizeof between - 1;
    rest->at = cut + sizeof between - 1;
    return part;
}

void fuzz_put_digest(uint8_t *text, size_t size, const char *key, const char *digest) {
    char begin[64];
    int n = snprintf(begin, sizeof begin, "\"%s\": \"", key);
    uint8_t *at = size ? memmem(text, size, begin, (size_t)n) : NULL;
    if (at && (size_t)(text + size - at) >= (size_t)n + 64) memcpy(at + n, digest, 64);
}

int fuzz_take(fuzz_bytes *rest, int bound) {
    if (!rest->left) return 0;
    rest->left--;
    return *rest->at++ % bound;
}
