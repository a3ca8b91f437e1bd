/* replay.c - runs a harness over its committed corpus, then over mutants of every file, always the same
 * ones: replay FOLDER [MUTANTS]. A mutant that fails is kept as replay-failed.bin beside the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "fuzz.h"

enum { MOST_BYTES = 1 << 20, MUTANTS = 400 };

static const char *folder;
static int mutants = MUTANTS;
static const uint8_t *running;
static size_t running_size;

/* Whatever ends the program: the input is kept, so that it can become a file of the corpus. */
static void keep_input(int number) {
    FILE *file = fopen("replay-failed.bin", "wb");
    if (file) {
        fwrite(running, 1, running_size, file);
        fclose(file);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void run(const uint8_t *data, size_t size) {
    running = data;
    running_size = size;
    LLVMFuzzerTestOneInput(data, size);
}

/* Up to six changes: a byte, a bit, a piece of another place, cut short. */
static void mutate(mq_rng *rng, uint64_t *n, uint8_t *copy, const uint8_t *bytes, size_t size,
                   size_t *length) {
    int changes = 1 + (int)mq_rng_below(rng, (*n)++, 6);
    memcpy(copy, bytes, size);
    *length = size;
    for (int i = 0; i < changes; i++) {
        size_t at = mq_rng_below(rng, (*n)++, (uint32_t)size),
               from = mq_rng_below(rng, (*n)++, (uint32_t)size);
        size_t most = size - (at > from ? at : from), run_bytes = 1 + mq_rng_below(rng, (*n)++, 12);
        switch (mq_rng_below(rng, (*n)++, 4)) {
        case 0:
            copy[at] = (uint8_t)mq_rng_below(rng, (*n)++, 256);
            break;
        case 1:
            copy[at] ^= (uint8_t)(1 << mq_rng_below(rng, (*n)++, 8));
            break;
        case 2:
            memmove(copy + at, bytes + from, run_bytes < most ? run_bytes : most);
            break;
        default:
            if (i == 0) *length = 1 + mq_rng_below(rng, (*n)++, (uint32_t)size);
            break;
        }
    }
}

/* A copy of its own for each input, so that a read behind its end is seen by the sanitizer. */
static void run_copy(const uint8_t *data, size_t size) {
    uint8_t *own = malloc(size ? size : 1);
    assert_non_null(own);
    if (size) memcpy(own, data, size);
    run(own, size);
    free(own);
}

static void replays(void **state) {
    (void)state;
    struct dirent **list;
    int count = scandir(folder, &list, NULL, alphasort), files = 0;
    if (count < 0) fail_msg("%s: no such folder", folder);
    run_copy((const uint8_t *)"", 0);
    for (int i = 0; i < count; i++) {
        char path[MQ_PATH];
        uint8_t *bytes, *copy;
        size_t size, length;
        if (list[i]->d_name[0] != '.') {
            assert_int_equal(mq_path_join(folder, list[i]->d_name, path, NULL), MQ_OK);
            assert_int_equal(mq_file_read(path, MOST_BYTES, &bytes, &size, NULL), MQ_OK);
            run_copy(bytes, size);
            assert_int_equal(mq_alloc(size, 1, "a mutant", &copy, NULL), MQ_OK);
            mq_rng rng = mq_rng_stream(9, "replay", (uint64_t)files++);
            uint64_t n = 0;
            for (int k = 0; k < mutants && size; k++) {
                mutate(&rng, &n, copy, bytes, size, &length);
                run_copy(copy, length);
            }
            mq_free(copy);
            mq_free(bytes);
        }
        free(list[i]);
    }
    free(list);
    assert_true(files > 0);
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    folder = argv[1];
    if (argc > 2) mutants = atoi(argv[2]);
    signal(SIGABRT, keep_input);
    signal(SIGSEGV, keep_input);
    const struct CMUnitTest tests[] = {cmocka_unit_test(replays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
