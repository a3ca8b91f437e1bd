/* test_pooled_avx512.c - the passes of a batch norm and its max pool with AVX-512 give the plain ones' bits.
 */
#include "helper_ops.h"

#include <math.h>
#include <string.h>

#include "ops/pooled_norm.h"

enum { ROWS = 3, WIDTH = 5 };

typedef struct side {
    float *y;
    uint8_t *index;
    void *out;
} side;

static void *bytes(size_t count) {
    void *memory;
    OK(mq_alloc(count, 1, "test", &memory, ERROR));
    memset(memory, 0x5a, count);
    return memory;
}

/* Small whole numbers tie often; with a negative factor the order turns. */
static void check(int channels, int kernel, bool keep_z, mq_dtype type) {
    const size_t c = (size_t)channels, small = ROWS * WIDTH * c, large = small * (size_t)(kernel * kernel);
    float *z = ops_normal(large, 1), *dy = ops_normal(small, 2), *numbers = ops_normal(7 * c, 3);
    const float *m = numbers, *a = m + c, *b = a + c;
    for (size_t i = 0; i < large; i++) z[i] = roundf(4 * z[i]);
    z[7] = NAN;
    z[large / 2] = INFINITY;
    pooled_norm p = {.h = ROWS,
                     .w = WIDTH,
                     .c = channels,
                     .kernel = kernel,
                     .z = {z, NORM_REAL},
                     .forward = {.mean = m, .a = a, .b = b},
                     .backward = {.mean = m, .a = b + c, .b = b + 2 * c, .slope = b + 3 * c},
                     .keep_z = keep_z};
    side sides[2];
    for (int plain = 0; plain < 2; plain++) {
        side *s = &sides[plain];
        *s = (side){bytes(small * sizeof *s->y), bytes(small), bytes(large * sizeof(float))};
        p.y = s->y;
        p.index = s->index;
        for (size_t row = 0; row < ROWS; row++) {
            (plain ? pooled_norm_forward_plain : pooled_norm_forward)(&p, row);
            for (int column = 0; column < WIDTH; column += 2) {
                const float *d = dy + (row * WIDTH + (size_t)column) * c;
                const int columns = WIDTH - column < 2 ? WIDTH - column : 2;
                (plain ? pooled_norm_gradient_plain : pooled_norm_gradient)(&p, row, column, columns, d,
                                                                            s->out, type);
            }
        }
    }
    assert_memory_equal(sides[0].y, sides[1].y, small * sizeof(float));
    assert_memory_equal(sides[0].index, sides[1].index, small);
    assert_memory_equal(sides[0].out, sides[1].out, large * sizeof(float));
    for (int k = 0; k < 2; k++) {
        mq_free(sides[k].y);
        mq_free(sides[k].index);
        mq_free(sides[k].out);
    }
    mq_free(z);
    mq_free(dy);
    mq_free(numbers);
}

static void same_bits(void **state) {
    (void)state;
    static const int channels[] = {16, 48, 64, 36};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        for (int kernel = 2; kernel < 4; kernel++)
            for (int mask = 0; mask < 4; mask++)
                check(channels[i], kernel, mask & 1, mask & 2 ? MQ_BF16 : MQ_F32);
}

/* Of int16 or bfloat16 what float32 gives. */
static void check_short(norm_stored as, bool ordered) {
    enum { CHANNELS = 48, SMALL = ROWS * WIDTH * CHANNELS, LARGE = 4 * SMALL };
    float *z = ops_normal(LARGE, 4), *dy = ops_normal(SMALL, 5), *numbers = ops_normal(7 * CHANNELS, 6);
    uint16_t *narrowed = bytes(LARGE * sizeof *narrowed), *kept = bytes(SMALL * sizeof *kept);
    for (size_t i = 0; i < LARGE; i++) {
        narrowed[i] = as == NORM_WHOLE ? (uint16_t)(int16_t)lrintf(30 * z[i]) : mq_f32_to_bf16(z[i]);
        if (i < 2) narrowed[i] = i == 0 ? 0x7f00 : 0xff00; /* large ones of both signs */
        z[i] = norm_z_at((norm_z){narrowed, as}, i);
    }
    for (size_t c = 0; c < CHANNELS; c++) numbers[CHANNELS + c] += numbers[CHANNELS + c] < 0 ? -1 : 1;
    if (!ordered) numbers[CHANNELS + 3] = 0; /* every position is as large */
    const float *m = numbers, *a = m + CHANNELS, *b = a + CHANNELS;
    pooled_norm p = {
        .h = ROWS,
        .w = WIDTH,
        .c = CHANNELS,
        .kernel = 2,
        .z = {z, NORM_REAL},
        .forward = {.mean = m, .a = a, .b = b},
        .backward = {.mean = m, .a = b + CHANNELS, .b = b + 2 * CHANNELS, .slope = b + 3 * CHANNELS},
        .keep_z = true};
    if (pooled_norm_avx512(&p))
        for (int type = 0; type < 2; type++) {
            side real = {bytes(SMALL * sizeof(float)), bytes(SMALL), bytes(LARGE * sizeof(float))};
            side narrow = {NULL, bytes(SMALL), bytes(LARGE * sizeof(float))};
            for (size_t row = 0; row < ROWS; row++) {
                const float *d = dy + row * WIDTH * CHANNELS;
                p.z = (norm_z){z, NORM_REAL};
                p.y = real.y;
                p.index = real.index;
                pooled_norm_forward(&p, row);
                pooled_norm_gradient(&p, row, 0, WIDTH, d, real.out, type ? MQ_BF16 : MQ_F32);
                p.z = (norm_z){narrowed, as};
                p.y = kept;
                p.index = narrow.index;
                pooled_norm_forward(&p, row);
                pooled_norm_gradient(&p, row, 0, WIDTH, d, narrow.out, type ? MQ_BF16 : MQ_F32);
            }
            for (size_t i = 0; i < SMALL; i++) assert_true(real.y[i] == norm_z_at((norm_z){kept, as}, i));
            assert_memory_equal(real.index, narrow.index, SMALL);
            assert_memory_equal(real.out, narrow.out, LARGE * sizeof(float));
            void *all[] = {real.y, real.index, real.out, narrow.index, narrow.out};
            for (size_t i = 0; i < sizeof all / sizeof *all; i++) mq_free(all[i]);
        }
    void *all[] = {z, dy, numbers, narrowed, kept};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) mq_free(all[i]);
}

static void same_of_short(void **state) {
    (void)state;
    check_short(NORM_WHOLE, true);
    check_short(NORM_WHOLE, false);
    check_short(NORM_ROUNDED, true);
    check_short(NORM_ROUNDED, false);
}

static void chosen(void **state) {
    (void)state;
    const pooled_norm whole = {.c = 48}, part = {.c = 40};
    assert_false(pooled_norm_avx512(&part));
    if (!pooled_norm_avx512(&whole)) print_message("no AVX-512 on this CPU\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(same_of_short),
                                       cmocka_unit_test(chosen)};
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
