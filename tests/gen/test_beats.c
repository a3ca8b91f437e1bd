/* test_beats.c - frames as beats and back, for shapes that do not divide. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/temp_dir.h"
#include "gen/beats.h"

enum { MOST = 2000 };

typedef struct frame {
    const mq_stream *s;
    const uint8_t *image;
    int seen, wrong;
} frame;

static void see(void *context, int64_t number, int c, int row, int column, int64_t value) {
    frame *f = context;
    f->seen++;
    f->wrong += number != 0 || value != f->image[(c * f->s->h + row) * f->s->w + column];
}

static void there_and_back(void **state) {
    mq_rng rng = mq_rng_stream(3, "beats", 0);
    uint64_t n = 0;
    for (int k = 0; k < 40; k++) {
        mq_stream s = {.h = 1 + (int)mq_rng_below(&rng, n++, 4), .w = 1 + (int)mq_rng_below(&rng, n++, 9)};
        s.c = 1 + (int)mq_rng_below(&rng, n++, 9);
        s.channels = 1 + (int)mq_rng_below(&rng, n++, 6);
        s.pixels = 1 + (int)mq_rng_below(&rng, n++, 5);
        s.bits = 1 + (int)mq_rng_below(&rng, n++, 8);
        uint8_t image[MOST];
        for (int i = 0; i < s.h * s.w * s.c; i++) image[i] = (uint8_t)mq_rng_below(&rng, n++, 1u << s.bits);
        int bits = mq_axis_bits((int64_t)s.channels * s.pixels * s.bits);
        assert_true(bits % 8 == 0 && bits >= s.channels * s.pixels * s.bits);
        mq_outfile *file;
        mq_error error = {0};
        const char *path = temp_dir_path(state, "beats.hex");
        assert_int_equal(mq_outfile_open(path, &file, &error), MQ_OK);
        assert_int_equal(mq_beats_write(&s, image, bits, file, &error), MQ_OK);
        assert_int_equal(mq_outfile_commit(file, &error), MQ_OK);
        struct stat info;
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_size, mq_stream_beats(&s) * (bits / 4 + 1));
        frame f = {.s = &s, .image = image};
        assert_int_equal(mq_beats_read(&s, path, bits, 1, see, &f, &error), MQ_OK);
        assert_int_equal(f.seen, s.h * s.w * s.c);
        assert_int_equal(f.wrong, 0);
        assert_int_equal(mq_beats_read(&s, path, bits, 2, see, &f, &error), MQ_CHECK_FAILED);
        assert_non_null(strstr(error.text, "ends after"));
    }
}

static int64_t last_value;
static void see_last(void *context, int64_t number, int c, int row, int column, int64_t value) {
    (void)context, (void)number, (void)c, (void)row, (void)column;
    last_value = value;
}

static mq_status read_text(void **state, const mq_stream *s, const char *text, mq_error *error) {
    const char *path = temp_dir_path(state, "one.hex");
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    return mq_beats_read(s, path, 32, 1, see_last, NULL, error);
}

static void signs_and_unknowns(void **state) {
    mq_stream s = {1, 1, 1, 1, 1, 32, true};
    mq_error error = {0};
    assert_int_equal(read_text(state, &s, "fffffffe\n", &error), MQ_OK);
    assert_int_equal(last_value, -2);
    s.bits = 5;
    assert_int_equal(read_text(state, &s, "00000010\n", &error), MQ_OK);
    assert_int_equal(last_value, -16);
    s.is_signed = false;
    assert_int_equal(read_text(state, &s, "00000010\n", &error), MQ_OK);
    assert_int_equal(last_value, 16);
    assert_int_equal(read_text(state, &s, "0000001x\n", &error), MQ_CHECK_FAILED);
    assert_non_null(strstr(error.text, "line 1: 'x'"));
    assert_int_equal(read_text(state, &s, "001\n", &error), MQ_CHECK_FAILED);
    s.bits = 33;
    assert_int_equal(read_text(state, &s, "00000010\n", &error), MQ_BAD_INPUT);
    assert_int_equal(mq_axis_bits(1), 8);
    assert_int_equal(mq_axis_bits(24), 32);
    assert_int_equal(mq_axis_bits(64), 64);
    assert_int_equal(mq_axis_bits(65), 128);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back),
                                       cmocka_unit_test(signs_and_unknowns)};
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
