/* test_base.c - the ground floor: random numbers against published vectors, files that appear whole or not at
 * all, memory, text, digests, threads, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "base/text.h"

/* ---- random numbers ---- */

/* The philox4x32 10 lines of kat_vectors in the Random123 distribution. */
static void philox_known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } CASES[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const uint32_t *c = CASES[i].counter;
        mq_rng rng = {.key = {CASES[i].key[0], CASES[i].key[1]}, .stream = c[2] | (uint64_t)c[3] << 32};
        uint32_t got[4];
        mq_rng_block(&rng, c[0] | (uint64_t)c[1] << 32, got);
        assert_memory_equal(got, CASES[i].expected, sizeof got);
    }
}

static void rng_streams_differ_and_repeat(void **state) {
    (void)state;
    mq_rng a = mq_rng_stream(7, "shuffle", 0), again = mq_rng_stream(7, "shuffle", 0);
    mq_rng others[] = {mq_rng_stream(8, "shuffle", 0), mq_rng_stream(7, "augment", 0),
                       mq_rng_stream(7, "shuffle", 1)};
    uint32_t block[4];
    mq_rng_block(&a, 0, block);
    for (uint64_t n = 0; n < 4; n++) assert_int_equal(mq_rng_u32(&a, n), block[n]);
    for (uint64_t n = 0; n < 64; n++) assert_int_equal(mq_rng_u32(&a, n), mq_rng_u32(&again, n));
    for (size_t i = 0; i < 3; i++) {
        int same = 0;
        for (uint64_t n = 0; n < 64; n++) same += mq_rng_u32(&a, n) == mq_rng_u32(&others[i], n);
        assert_true(same < 2);
    }
}

static void rng_distributions(void **state) {
    (void)state;
    enum { N = 100000 };
    mq_rng rng = mq_rng_stream(1, "moments", 0);
    double uniform = 0, normal = 0, square = 0, lag = 0, before = 0;
    int counts[7] = {0};
    for (uint64_t n = 0; n < N; n++) {
        float u = mq_rng_uniform(&rng, n), z = mq_rng_normal(&rng, n);
        assert_true(u >= 0.0f && u < 1.0f);
        assert_true(isfinite(z));
        uniform += u;
        normal += z;
        square += (double)z * z;
        lag += z * before;
        before = z;
        uint32_t below = mq_rng_below(&rng, n, 7);
        assert_true(below < 7);
        counts[below]++;
    }
    /* Five standard deviations of each estimate. */
    assert_true(fabs(uniform / N - 0.5) < 5 * 0.2887 / sqrt(N));
    assert_true(fabs(normal / N) < 5 / sqrt(N));
    assert_true(fabs(square / N - 1) < 5 * sqrt(2.0 / N));
    assert_true(fabs(lag / N) < 5 / sqrt(N));
    for (int i = 0; i < 7; i++) assert_true(fabs(counts[i] - N / 7.0) < 5 * sqrt(N / 7.0));
    for (uint64_t n = 0; n < 100; n++) assert_int_equal(mq_rng_below(&rng, n, 1), 0);
}

static void rng_permutation_is_one(void **state) {
    (void)state;
    enum { N = 1000 };
    uint32_t order[N], other[N];
    bool seen[N] = {false};
    mq_rng rng = mq_rng_stream(3, "shuffle", 5), next = mq_rng_stream(3, "shuffle", 6);
    mq_rng_permutation(&rng, order, N);
    mq_rng_permutation(&next, other, N);
    for (int i = 0; i < N; i++) {
        assert_true(order[i] < N && !seen[order[i]]);
        seen[order[i]] = true;
    }
    assert_memory_not_equal(order, other, sizeof order);
    int fixed = 0;
    for (uint32_t i = 0; i < N; i++) fixed += order[i] == i;
    assert_true(fixed < 10); /* one is expected */
    mq_rng_permutation(&rng, order, 0);
}

/* ---- files ---- */

static void check_file(const char *path, const char *expected) {
    uint8_t *bytes;
    size_t size;
    assert_int_equal(mq_file_read(path, 1 << 20, &bytes, &size, NULL), MQ_OK);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size + 1); /* the 0 after it as well */
    mq_free(bytes);
}

static void file_read_limits(void **state) {
    uint8_t *bytes;
    size_t size;
    mq_error error = {0};
    const char *path = temp_dir_path(state, "five");
    assert_int_equal(mq_file_write(path, "12345", 5, NULL), MQ_OK);
    assert_int_equal(mq_file_read(path, 5, &bytes, &size, &error), MQ_OK);
    assert_int_equal(size, 5);
    mq_free(bytes);
    assert_int_equal(mq_file_read(path, 4, &bytes, &size, &error), MQ_BAD_INPUT);
    assert_null(bytes);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(mq_file_read(temp_dir_path(state, "absent"), 4, &bytes, &size, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "absent"));
    assert_int_equal(mq_file_read(temp_dir_path(state, "."), 4, &bytes, &size, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_file_read("/dev/zero", 4, &bytes, &size, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_file_write(temp_dir_path(state, "empty"), NULL, 0, &error), MQ_OK);
    check_file(temp_dir_path(state, "empty"), "");
}

static void file_write_is_atomic(void **state) {
    const char *path = temp_dir_path(state, "target");
    assert_int_equal(mq_file_write(path, "old", 3, NULL), MQ_OK);
    mq_outfile *file;
    assert_int_equal(mq_outfile_open(path, &file, NULL), MQ_OK);
    assert_int_equal(mq_outfile_printf(file, NULL, "%d %s\n", 42, "new"), MQ_OK);
    check_file(path, "old"); /* not before the commit */
    mq_outfile_abort(file);
    check_file(path, "old");
    assert_int_equal(temp_dir_count(state), 1);
    mq_outfile_abort(NULL);

    assert_int_equal(mq_outfile_open(path, &file, NULL), MQ_OK);
    assert_int_equal(mq_outfile_printf(file, NULL, "%d %s\n", 42, "new"), MQ_OK);
    assert_int_equal(mq_outfile_commit(file, NULL), MQ_OK);
    check_file(path, "42 new\n");
    assert_int_equal(temp_dir_count(state), 1);
}

static void file_survives_a_crash(void **state) {
    const char *path = temp_dir_path(state, "target");
    assert_int_equal(mq_file_write(path, "old", 3, NULL), MQ_OK);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static char big[200000]; /* more than the buffer, so bytes reach the temporary file */
        mq_outfile *file;
        if (mq_outfile_open(path, &file, NULL) != MQ_OK) _exit(2);
        if (mq_outfile_write(file, big, sizeof big, NULL) != MQ_OK) _exit(2);
        _exit(0);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    check_file(path, "old");
}

static void file_large_pieces(void **state) {
    enum { PIECES = 300, ROOM = 3 * (70000 + 65536) + PIECES * 600 };
    mq_outfile *file;
    const char *path = temp_dir_path(state, "pieces");
    uint8_t *all, *got;
    size_t size = 0, got_size;
    assert_int_equal(mq_alloc(ROOM, 1, "test", &all, NULL), MQ_OK);
    mq_rng rng = mq_rng_stream(1, "pieces", 0);
    assert_int_equal(mq_outfile_open(path, &file, NULL), MQ_OK);
    for (uint32_t i = 0; i < PIECES; i++) {
        /* Mostly small ones, some larger than the buffer of 64 KiB. */
        size_t n = i % 100 == 50 ? 70000 : i % 100 == 60 ? 65536 : mq_rng_below(&rng, i, 600);
        for (size_t j = 0; j < n; j++) all[size + j] = (uint8_t)(size + j * 7 + i);
        assert_int_equal(mq_outfile_write(file, all + size, n, NULL), MQ_OK);
        size += n;
    }
    assert_int_equal(mq_outfile_commit(file, NULL), MQ_OK);
    assert_int_equal(mq_file_read(path, SIZE_MAX, &got, &got_size, NULL), MQ_OK);
    assert_int_equal(got_size, size);
    assert_memory_equal(got, all, size);
    mq_free(got);
    mq_free(all);
}

/* A file size limit stands for a full disk: write() comes up short in the same way. */
static void limit_file_size(rlim_t bytes, struct rlimit *old) {
    assert_int_equal(getrlimit(RLIMIT_FSIZE, old), 0);
    struct rlimit small = {.rlim_cur = bytes, .rlim_max = old->rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
}

static void restore_file_size(const struct rlimit *old) {
    assert_int_equal(setrlimit(RLIMIT_FSIZE, old), 0);
    signal(SIGXFSZ, SIG_DFL);
}

static void file_survives_a_full_disk(void **state) {
    static char big[300000];
    const char *path = temp_dir_path(state, "target");
    assert_int_equal(mq_file_write(path, "old", 3, NULL), MQ_OK);
    /* The large write fails in mq_outfile_write, the small one only in mq_outfile_commit. */
    static const size_t SIZES[] = {sizeof big, 100};
    for (int i = 0; i < 2; i++) {
        struct rlimit before;
        mq_error error = {0};
        limit_file_size(i == 0 ? 100000 : 50, &before);
        mq_status status = mq_file_write(path, big, SIZES[i], &error);
        restore_file_size(&before);
        assert_int_equal(status, MQ_BAD_INPUT);
        assert_non_null(strstr(error.text, path));
        check_file(path, "old");
        assert_int_equal(temp_dir_count(state), 1);
    }
    assert_int_equal(mq_file_append_line(path, ", line", NULL), MQ_OK);
    check_file(path, "old, line\n");
    struct rlimit before;
    mq_error error = {0};
    limit_file_size(15, &before);
    mq_status status = mq_file_append_line(path, "a longer line", &error);
    restore_file_size(&before);
    assert_int_equal(status, MQ_BAD_INPUT);
    assert_true(error.text[0] != 0);
}

static void file_bad_targets(void **state) {
    mq_error error = {0};
    mq_outfile *file;
    assert_int_equal(mq_outfile_open(temp_dir_path(state, "no/such"), &file, &error), MQ_BAD_INPUT);
    assert_null(file);
    assert_int_equal(mq_outfile_open("", &file, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_outfile_open(temp_dir_path(state, ""), &file, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_make_dirs(temp_dir_path(state, "a/b/c"), &error), MQ_OK);
    assert_int_equal(mq_make_dirs(temp_dir_path(state, "a/b/c/"), &error), MQ_OK);
    assert_true(mq_path_is_dir(temp_dir_path(state, "a/b/c")));
    /* A folder in the way: rename fails and the temporary file goes. */
    assert_int_equal(mq_file_write(temp_dir_path(state, "a/b"), "x", 1, &error), MQ_BAD_INPUT);
    assert_int_equal(rmdir(temp_dir_path(state, "a/b/c")), 0);
    assert_int_equal(rmdir(temp_dir_path(state, "a/b")), 0);
    assert_int_equal(rmdir(temp_dir_path(state, "a")), 0); /* so it was empty */
    assert_int_equal(mq_file_write(temp_dir_path(state, "f"), "x", 1, &error), MQ_OK);
    assert_true(mq_path_exists(temp_dir_path(state, "f")) && !mq_path_is_dir(temp_dir_path(state, "f")));
    assert_int_equal(mq_make_dirs(temp_dir_path(state, "f/g"), &error), MQ_BAD_INPUT);
    assert_int_equal(mq_make_dirs("", &error), MQ_BAD_INPUT);
}

static void path_join(void **state) {
    (void)state;
    char out[MQ_PATH], longest[MQ_PATH + 1];
    assert_int_equal(mq_path_join("a/b", "c", out, NULL), MQ_OK);
    assert_string_equal(out, "a/b/c");
    assert_int_equal(mq_path_join("a/b/", "c", out, NULL), MQ_OK);
    assert_string_equal(out, "a/b/c");
    memset(longest, 'x', MQ_PATH);
    longest[MQ_PATH] = 0;
    assert_int_equal(mq_path_join(longest, "c", out, NULL), MQ_BAD_INPUT);
}

/* ---- memory ---- */

static void memory_overflow(void **state) {
    (void)state;
    size_t out;
    assert_int_equal(mq_mul_overflow(6, 7, &out), 0);
    assert_int_equal(out, 42);
    assert_true(mq_mul_overflow(SIZE_MAX, 2, &out));
    assert_true(mq_mul_overflow((size_t)1 << 32, (size_t)1 << 32, &out));
    assert_int_equal(mq_mul_overflow(SIZE_MAX, 0, &out), 0);
    assert_int_equal(mq_add_overflow(SIZE_MAX - 1, 1, &out), 0);
    assert_true(out == SIZE_MAX);
    assert_true(mq_add_overflow(SIZE_MAX, 1, &out));

    mq_error error = {0};
    void *block = &error;
    assert_int_equal(mq_alloc(SIZE_MAX, 2, "weights", &block, &error), MQ_INTERNAL);
    assert_null(block);
    assert_non_null(strstr(error.text, "weights"));
    assert_int_equal(mq_alloc(SIZE_MAX - 10, 1, "weights", &block, &error), MQ_INTERNAL);
    assert_int_equal(mq_alloc(SIZE_MAX / 2, 1, "weights", &block, &error), MQ_INTERNAL);
}

static bool zero_and_aligned(const void *block, size_t size) {
    const unsigned char *bytes = block;
    for (size_t i = 0; i < size; i++)
        if (bytes[i]) return false;
    return (uintptr_t)block % MQ_ALIGN == 0;
}

static void memory_blocks(void **state) {
    (void)state;
    for (size_t n = 0; n < 300; n += 7) {
        uint8_t *block;
        assert_int_equal(mq_alloc(n, 3, "test", &block, NULL), MQ_OK);
        assert_non_null(block);
        assert_true(zero_and_aligned(block, 3 * n));
        mq_free(block);
    }
    int *grown = NULL;
    size_t room = 0;
    for (size_t next = 1; next < 5000; next *= 3) {
        assert_int_equal(mq_resize(room, next, sizeof *grown, "test", &grown, NULL), MQ_OK);
        for (size_t i = 0; i < room; i++) assert_int_equal(grown[i], i);
        for (size_t i = room; i < next; i++) {
            assert_int_equal(grown[i], 0);
            grown[i] = (int)i;
        }
        room = next;
    }
    assert_int_equal(mq_resize(room, 2, sizeof *grown, "test", &grown, NULL), MQ_OK);
    assert_int_equal(grown[1], 1);
    /* A growth that fails keeps the old block. */
    assert_int_equal(mq_resize(2, SIZE_MAX / 2, sizeof *grown, "test", &grown, NULL), MQ_INTERNAL);
    assert_int_equal(grown[1], 1);
    mq_free(grown);
    char *copy;
    assert_int_equal(mq_strdup("text", &copy, NULL), MQ_OK);
    assert_string_equal(copy, "text");
    mq_free(copy);
}

static void memory_arena(void **state) {
    (void)state;
    enum { BLOCKS = 400 };
    mq_arena *arena;
    assert_int_equal(mq_arena_create(&arena, NULL), MQ_OK);
    uint8_t *block[BLOCKS];
    size_t size[BLOCKS];
    mq_rng rng = mq_rng_stream(1, "arena", 0);
    for (int i = 0; i < BLOCKS; i++) {
        size[i] = i % 50 == 49 ? 100000 : mq_rng_below(&rng, (uint64_t)i, 900); /* some larger than a chunk */
        assert_int_equal(mq_arena_alloc(arena, size[i], 1, "test", &block[i], NULL), MQ_OK);
        assert_true(zero_and_aligned(block[i], size[i]));
        memset(block[i], i + 1, size[i]);
    }
    for (int i = 0; i < BLOCKS; i++)
        for (size_t j = 0; j < size[i]; j++) assert_int_equal(block[i][j], (uint8_t)(i + 1));
    char *text;
    assert_int_equal(mq_arena_printf(arena, &text, NULL, "%s[%d]", "layers", 3), MQ_OK);
    assert_string_equal(text, "layers[3]");
    assert_int_equal(mq_arena_strdup(arena, "", &text, NULL), MQ_OK);
    assert_string_equal(text, "");
    mq_error error = {0};
    assert_int_equal(mq_arena_alloc(arena, SIZE_MAX / 2, 4, "weights", &text, &error), MQ_INTERNAL);
    assert_int_equal(mq_arena_alloc(arena, SIZE_MAX - 64, 1, "weights", &text, &error), MQ_INTERNAL);
    mq_arena_destroy(arena);
    mq_arena_destroy(NULL);
}

/* ---- text, digest, threads, errors, log ---- */

static void text_nearest(void **state) {
    (void)state;
    static const char *const WORDS[] = {"kernel", "stride", "groups", "out", NULL};
    assert_string_equal(mq_nearest("kernal", WORDS), "kernel");
    assert_string_equal(mq_nearest("strid", WORDS), "stride");
    assert_string_equal(mq_nearest("out", WORDS), "out");
    assert_null(mq_nearest("zzzzzz", WORDS));
    static const char *const NONE[] = {NULL};
    assert_null(mq_nearest("kernel", NONE));
    char huge[1000];
    memset(huge, 'k', sizeof huge - 1);
    huge[sizeof huge - 1] = 0;
    assert_null(mq_nearest(huge, WORDS));
}

static int sign(int value) {
    return (value > 0) - (value < 0);
}

static void text_natural_order(void **state) {
    (void)state;
    static const char *const SORTED[] = {"",
                                         "a",
                                         "a1",
                                         "a2",
                                         "a10",
                                         "layers.2.b",
                                         "layers.10.a",
                                         "layers.10.b",
                                         "m99999999999999999999",
                                         "m100000000000000000000"};
    size_t n = sizeof SORTED / sizeof *SORTED;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            assert_int_equal(sign(mq_natural_compare(SORTED[i], SORTED[j])), (i > j) - (i < j));
}

static void text_numbers(void **state) {
    (void)state;
    int64_t i = 5;
    double d = 5;
    assert_true(mq_parse_int("-12", &i) && i == -12);
    assert_true(mq_parse_int("9223372036854775807", &i) && i == INT64_MAX);
    assert_true(mq_parse_double("1e-3", &d) && d == 1e-3);
    assert_true(mq_parse_double("0x1p-3", &d) && d == 0.125);
    static const char *const BAD_INT[] = {"",    " 1",   "1 ", "1.0", "x", "-", "9223372036854775808",
                                          "1e3", "0x10", "\n1"};
    static const char *const BAD_DOUBLE[] = {"",    " 1",  "1 ",   "x",     "-",  ".",
                                             "nan", "inf", "-inf", "1e999", "1,5"};
    for (size_t k = 0; k < sizeof BAD_INT / sizeof *BAD_INT; k++) assert_false(mq_parse_int(BAD_INT[k], &i));
    for (size_t k = 0; k < sizeof BAD_DOUBLE / sizeof *BAD_DOUBLE; k++)
        assert_false(mq_parse_double(BAD_DOUBLE[k], &d));
    assert_true(i == INT64_MAX && d == 0.125); /* kept when it fails */
    assert_true(mq_starts_with("conv0", "conv") && !mq_starts_with("con", "conv"));
    assert_true(mq_ends_with("a.yaml", ".yaml") && !mq_ends_with("yaml", ".yaml"));
}

/* FIPS 180-4 examples. */
static void sha256_known_answers(void **state) {
    (void)state;
    char out[MQ_DIGEST_TEXT];
    mq_sha256("", 0, out);
    assert_string_equal(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    mq_sha256("abc", 3, out);
    assert_string_equal(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    mq_sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, out);
    assert_string_equal(out, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

typedef struct sums {
    double partial[37];
    int runs[37];
} sums;

static void add_some(void *context, size_t task) {
    sums *s = context;
    s->runs[task]++;
    for (int i = 1; i < 1000; i++) s->partial[task] += 1.0 / (double)(task * 1000 + (size_t)i);
}

static double total_with(int threads) {
    sums s = {0};
    mq_threads_set(threads);
    mq_parallel(37, add_some, &s);
    double total = 0;
    for (int i = 0; i < 37; i++) {
        assert_int_equal(s.runs[i], 1);
        total += s.partial[i];
    }
    return total;
}

static void parallel_does_not_depend_on_threads(void **state) {
    (void)state;
    double one = total_with(1);
    for (int threads = 2; threads <= 8; threads++) {
        double more = total_with(threads);
        assert_memory_equal(&one, &more, sizeof one);
        assert_int_equal(mq_threads(), threads);
    }
    mq_threads_set(0);
    assert_true(mq_threads() >= 1);
    mq_parallel(0, add_some, NULL);
    assert_int_equal(mq_task_count(0, 16), 0);
    assert_int_equal(mq_task_count(16, 16), 1);
    assert_int_equal(mq_task_count(17, 16), 2);
}

static void error_texts(void **state) {
    (void)state;
    mq_error error = {0};
    assert_int_equal(mq_fail(&error, MQ_USAGE, "got %d", 3), MQ_USAGE);
    assert_int_equal(error.status, MQ_USAGE);
    assert_string_equal(error.text, "got 3");
    assert_int_equal(mq_fail_context(&error, MQ_USAGE, "layer %s", "conv0"), MQ_USAGE);
    assert_string_equal(error.text, "layer conv0: got 3");
    assert_int_equal(mq_fail(&error, MQ_BAD_INPUT, "again: %s", error.text), MQ_BAD_INPUT);
    assert_string_equal(error.text, "again: layer conv0: got 3");
    errno = ENOENT;
    assert_int_equal(mq_fail_errno(&error, "cannot read", "some/path"), MQ_BAD_INPUT);
    assert_string_equal(error.text, "cannot read: some/path: No such file or directory");
    assert_int_equal(mq_fail(NULL, MQ_INTERNAL, "nobody listens"), MQ_INTERNAL);
    for (int i = 0; i < 50; i++) mq_fail_context(&error, MQ_BAD_INPUT, "a context of some thirty letters");
    assert_true(strlen(error.text) < MQ_ERROR_TEXT);
}

static char said[256];

static void remember_line(void *context, mq_log_level level, const char *text) {
    snprintf(context, sizeof said, "%d %s", (int)level, text);
}

static void remember_progress(void *context, const char *what, uint64_t done, uint64_t total,
                              const char *note) {
    snprintf(context, sizeof said, "%s %d/%d %s", what, (int)done, (int)total, note);
}

static void log_goes_to_the_sink(void **state) {
    (void)state;
    mq_log(MQ_LOG_WARN, "nobody listens");
    mq_progress("train", 1, 2, "nobody listens");
    mq_log_set(&(mq_log_sink){.line = remember_line, .progress = remember_progress, .context = said});
    mq_log(MQ_LOG_INFO, "epoch %d", 3);
    assert_string_equal(said, "1 epoch 3");
    mq_progress("train", 1, 2, "loss %.2f", 0.5);
    assert_string_equal(said, "train 1/2 loss 0.50");
    mq_log_set(NULL);
    mq_log(MQ_LOG_INFO, "nobody listens");
    assert_string_equal(said, "train 1/2 loss 0.50");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)

/* A device, a pipe or a folder is refused and stays; a link stays and its target is written. */
static void only_regular_files_are_replaced(void **state) {
    char file[512], link[512];
    mq_error error = {0};
    struct stat info;
    const char *fifo = temp_dir_path(state, "pipe");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(mq_file_write(fifo, "x", 1, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "not a regular file"));
    assert_int_equal(stat(fifo, &info), 0);
    assert_true(S_ISFIFO(info.st_mode));
    strcpy(file, temp_dir_path(state, "target"));
    strcpy(link, temp_dir_path(state, "link"));
    assert_int_equal(mq_file_write(file, "old", 3, &error), MQ_OK);
    assert_int_equal(symlink("target", link), 0);
    assert_int_equal(mq_file_write(link, "newer", 5, &error), MQ_OK);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    check_file(file, "newer");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(rng_streams_differ_and_repeat),
        cmocka_unit_test(rng_distributions),
        cmocka_unit_test(rng_permutation_is_one),
        IN_FOLDER(file_read_limits),
        IN_FOLDER(file_write_is_atomic),
        IN_FOLDER(file_survives_a_crash),
        IN_FOLDER(file_large_pieces),
        IN_FOLDER(file_survives_a_full_disk),
        IN_FOLDER(file_bad_targets),
        cmocka_unit_test(path_join),
        cmocka_unit_test(memory_overflow),
        cmocka_unit_test(memory_blocks),
        cmocka_unit_test(memory_arena),
        cmocka_unit_test(text_nearest),
        cmocka_unit_test(text_natural_order),
        cmocka_unit_test_setup_teardown(only_regular_files_are_replaced, temp_dir_make, temp_dir_remove),
        cmocka_unit_test(text_numbers),
        cmocka_unit_test(sha256_known_answers),
        cmocka_unit_test(parallel_does_not_depend_on_threads),
        cmocka_unit_test(error_texts),
        cmocka_unit_test(log_goes_to_the_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
