/* test_thin.c - a thin layer against what it replaces: z stored, its sums, the batch norm's pool (to the bit)
 * and the products of dz with x and the weights, in float64. */
#include "helper_ops.h"

#include <math.h>
#include <string.h>

#include "dnn/dnn.h"
#include "ops/pooled_norm.h"

enum { MOST_PIXELS = 2 * 3 * 150 * THIN_TILE, MOST_OUT = 1040 };

/* Of the pool: its windows, and how many rows a task has. */
typedef struct shape {
    size_t kernel, images, rows, width, rows_of_task;
} shape;

typedef struct layer {
    size_t in, out, terms, pixels;
    shape shape;
    float x[MOST_PIXELS * THIN_MOST]; /* the values */
    void *stored;                     /* of the type under test */
    float *weights;                   /* [out][terms] */
    thin_layer *thin;
    float *z; /* [pixels][out] */
} layer;

static void *bytes(size_t count) {
    void *memory;
    OK(mq_alloc(count, 1, "test", &memory, ERROR));
    return memory;
}

static void store(layer *l, mq_dtype type) {
    const size_t count = l->pixels * l->in;
    for (size_t i = 0; i < count; i++) {
        if (type == MQ_F32) {
            ((float *)l->stored)[i] = l->x[i];
        } else if (type == MQ_BF16) {
            ((uint16_t *)l->stored)[i] = mq_f32_to_bf16(l->x[i]);
            l->x[i] = mq_bf16_to_f32(((uint16_t *)l->stored)[i]);
        } else {
            l->x[i] = fminf(roundf(60 * fabsf(l->x[i])), 255);
            ((uint8_t *)l->stored)[i] = (uint8_t)l->x[i];
        }
    }
}

static void open_layer(layer *l, const shape *sh, size_t in, size_t out, mq_dtype type) {
    *l = (layer){.in = in, .out = out, .terms = sh->kernel * sh->kernel * in, .shape = *sh};
    l->pixels = sh->images * sh->rows * sh->width * THIN_TILE;
    float *drawn = ops_normal(l->pixels * in, in + out);
    for (size_t i = 0; i < l->pixels * in; i++) l->x[i] = drawn[i] + 0.5f; /* a mean that is not 0 */
    mq_free(drawn);
    l->stored = bytes(l->pixels * in * sizeof(float));
    l->weights = ops_normal(l->terms * out, 7);
    for (size_t i = 0; i < l->terms * out && type == MQ_U8; i++) l->weights[i] = roundf(3 * l->weights[i]);
    store(l, type);
    const thin_shape s = {sh->kernel, in, out, 2 * sh->rows, 2 * sh->width, true};
    OK(thin_create(&s, &l->thin, ERROR));
    l->z = bytes(l->pixels * out * sizeof(float));
    thin_begin(l->thin, l->weights, false, l->stored, type, sh->images);
    thin_values(l->thin, l->z);
}

static void close_layer(layer *l) {
    thin_destroy(l->thin);
    mq_free(l->stored);
    mq_free(l->weights);
    mq_free(l->z);
}

/* The element of x that output p multiplies with weight k of in*kernel*kernel; NO_ELEMENT outside the image.
 */
#define NO_ELEMENT SIZE_MAX
static size_t element_of(const layer *l, size_t p, size_t k) {
    const size_t kernel = l->shape.kernel, w = 2 * l->shape.width, h = 2 * l->shape.rows;
    const size_t y = p / w % h + k / kernel % kernel - kernel / 2, x = p % w + k % kernel - kernel / 2;
    if (y >= h || x >= w) return NO_ELEMENT; /* below 0, too */
    return ((p / w / h * h + y) * w + x) * l->in + k / kernel / kernel;
}

static double term_of(const layer *l, size_t p, size_t k) {
    const size_t at = element_of(l, p, k);
    return at == NO_ELEMENT ? 0 : (double)l->x[at];
}

static void near(const char *what, double got, double want, double bound) {
    if (!(fabs(got - want) <= bound)) fail_msg("%s: got %.9g, expected %.9g", what, got, want);
}

/* z, and its sums; of whole numbers exactly. */
static void check_moments(const layer *l, bool whole) {
    double sum[MOST_OUT], square[MOST_OUT];
    thin_moments(l->thin, sum, square);
    for (size_t o = 0; o < l->out; o++) {
        double s = 0, q = 0, size = 0;
        for (size_t p = 0; p < l->pixels; p++) {
            double z = 0;
            for (size_t k = 0; k < l->terms; k++)
                z += (double)l->weights[o * l->terms + k] * term_of(l, p, k);
            near("z", (double)l->z[p * l->out + o], z, whole ? 0 : 1e-5);
            s += z;
            q += z * z;
            size += fabs(z);
        }
        /* of 3x3 windows float32 sums of up to 64 come first */
        const double rounding = l->shape.kernel == 1 ? 1e-12 : 1e-6;
        near("sum", sum[o], s, whole ? 0 : rounding * size);
        near("square", square[o], q, whole ? 0 : rounding * q);
    }
}

typedef struct pooled {
    pooled_norm norm;
    uint8_t *index[2];
    void *y[2];
    float *numbers, *dy;
} pooled;

static void open_pooled(pooled *p, const layer *l) {
    const size_t c = l->out, small = l->pixels / THIN_TILE * c;
    p->numbers = ops_normal(7 * c, 3);
    p->dy = ops_normal(small, 4);
    double sum[MOST_OUT], square[MOST_OUT];
    thin_moments(l->thin, sum, square);
    for (size_t o = 0; o < c; o++)
        p->numbers[o] = (float)(sum[o] / (double)l->pixels); /* as a batch norm's are */
    const float *m = p->numbers, *a = m + c, *b = a + c;
    p->norm = (pooled_norm){.h = (int)l->shape.rows,
                            .w = (int)l->shape.width,
                            .c = (int)c,
                            .kernel = 2,
                            .z = {l->z, NORM_REAL},
                            .forward = {.mean = m, .a = a, .b = b},
                            .backward = {.mean = m, .a = b + c, .b = b + 2 * c, .slope = b + 3 * c},
                            .keep_z = true};
    for (int k = 0; k < 2; k++) {
        p->index[k] = bytes(small);
        p->y[k] = bytes(small * sizeof(float));
    }
}

static void close_pooled(pooled *p) {
    for (int k = 0; k < 2; k++) {
        mq_free(p->index[k]);
        mq_free(p->y[k]);
    }
    mq_free(p->numbers);
    mq_free(p->dy);
}

/* Stored as int16, or as bfloat16, the same maxima. */
static void check_stored(pooled *p, const layer *l, norm_stored as) {
    const size_t small = l->pixels / THIN_TILE * l->out;
    uint8_t *index = bytes(small);
    uint16_t *y = bytes(small * sizeof *y);
    p->norm.thin = l->thin;
    p->norm.z.as = as;
    p->norm.y = y;
    p->norm.index = index;
    for (size_t row = 0; row < l->shape.images * l->shape.rows; row++) pooled_norm_forward(&p->norm, row);
    p->norm.z.as = NORM_REAL;
    p->norm.index = p->index[0];
    assert_memory_equal(index, p->index[0], small);
    for (size_t i = 0; i < small; i++) {
        const float kept = ((const float *)p->y[0])[i];
        const float want = as == NORM_ROUNDED ? mq_bf16_to_f32(mq_f32_to_bf16(kept)) : kept;
        assert_true(norm_z_at((norm_z){y, as}, i) == want);
    }
    mq_free(index);
    mq_free(y);
}

/* Which maxima, and what is kept of them, to the bit. */
static void check_forward(pooled *p, const layer *l) {
    const size_t small = l->pixels / THIN_TILE * l->out;
    for (int k = 0; k < 2; k++) {
        p->norm.thin = k ? l->thin : NULL;
        p->norm.y = p->y[k];
        p->norm.index = p->index[k];
        for (size_t row = 0; row < l->shape.images * l->shape.rows; row++) {
            if (k)
                pooled_norm_forward(&p->norm, row);
            else
                pooled_norm_forward_plain(&p->norm, row);
        }
    }
    assert_memory_equal(p->y[0], p->y[1], small * sizeof(float));
    assert_memory_equal(p->index[0], p->index[1], small);
}

static void check_gradient(pooled *p, layer *l, mq_dtype type) {
    const size_t c = l->out, in = l->in, width = l->shape.width;
    float *dz = bytes(l->pixels * c * sizeof(float)), *dw = bytes(c * l->terms * sizeof(float));
    char *dx = bytes((l->pixels * in + 1) * sizeof(float));
    double *want_x = bytes(2 * l->pixels * in * sizeof(double)), *size_x = want_x + l->pixels * in;
    memset(dx, 0x5a, (l->pixels * in + 1) * sizeof(float));
    p->norm.thin = l->thin;
    thin_begin_gradient(l->thin, &p->norm.backward);
    for (size_t row = 0; row < l->shape.images * l->shape.rows; row++)
        for (size_t column = 0, n; column < width; column += n) {
            n = column || width < 31 ? width - column : 31;
            const float *dy = p->dy + (row * width + column) * c;
            pooled_norm_gradient_plain(&p->norm, row, (int)column, (int)n, dy, dz, MQ_F32);
            thin_gradient(&p->norm, row / l->shape.rows_of_task, row, (int)column, (int)n, dy, dx, type);
        }
    thin_end_gradient(l->thin, &p->norm.backward, dx, type, dw);
    for (size_t o = 0; o < c; o++)
        for (size_t k = 0; k < l->terms; k++) {
            const double weight = (double)l->weights[o * l->terms + k];
            double want = 0, size = 0;
            for (size_t q = 0; q < l->pixels; q++) {
                const double d = (double)dz[q * c + o], product = d * term_of(l, q, k);
                const size_t to = element_of(l, q, k);
                want += product;
                size += fabs(product);
                if (to == NO_ELEMENT) continue;
                want_x[to] += weight * d;
                size_x[to] += fabs(weight * d);
            }
            near("dw", (double)dw[o * l->terms + k], want, 1e-6 * size);
        }
    for (size_t at = 0; at < l->pixels * in; at++) {
        const float got =
            type == MQ_BF16 ? mq_bf16_to_f32(((uint16_t *)(void *)dx)[at]) : ((float *)(void *)dx)[at];
        near("dx", (double)got, want_x[at],
             2e-6 * size_x[at] + (type == MQ_BF16 ? 0x1p-8 * fabs(want_x[at]) : 0));
    }
    const size_t end = l->pixels * in * mq_dtype_size(type);
    assert_int_equal(dx[end], 0x5a);
    mq_free(want_x);
    mq_free(dz);
    mq_free(dw);
    mq_free(dx);
}

static layer tested; /* large for the stack */

static void check(const shape *sh, size_t in, size_t out, mq_dtype type) {
    pooled p;
    open_layer(&tested, sh, in, out, type);
    check_moments(&tested, type == MQ_U8);
    open_pooled(&p, &tested);
    check_forward(&p, &tested);
    if (type != MQ_F32) check_stored(&p, &tested, type == MQ_U8 ? NORM_WHOLE : NORM_ROUNDED);
    check_gradient(&p, &tested, MQ_F32);
    check_gradient(&p, &tested, MQ_BF16);
    close_pooled(&p);
    close_layer(&tested);
}

static bool here(void) {
    if (thin_fits(1, 3, 16)) return true;
    print_message("no AVX-512 on this CPU\n");
    return false;
}

static const mq_dtype TYPES[] = {MQ_F32, MQ_BF16, MQ_U8};
enum { TYPE_COUNT = sizeof TYPES / sizeof *TYPES };

/* More than two pieces wide. */
static const shape POINT = {1, 1, 3, 150, 1};

static void same_as_stored(void **state) {
    (void)state;
    for (size_t in = 1; in <= THIN_MOST && here(); in++)
        for (size_t t = 0; t < TYPE_COUNT; t++) {
            check(&POINT, in, 16, TYPES[t]);
            check(&POINT, in, 48, TYPES[t]);
        }
}

/* Images of one window and of several pieces of every pass; tasks that end within an image, at its end and
 * behind it. */
static void same_as_stored_3x3(void **state) {
    (void)state;
    static const shape shapes[] = {{3, 2, 3, 150, 2}, {3, 2, 3, 33, 1}, {3, 3, 1, 1, 1},  {3, 1, 5, 16, 2},
                                   {3, 2, 2, 65, 3},  {3, 1, 9, 7, 9},  {3, 2, 1, 10, 1}, {3, 1, 2, 260, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && here(); i++)
        for (size_t t = 0; t < TYPE_COUNT; t++) {
            if (TYPES[t] == MQ_U8 && !mq_dnn_has_codes()) continue;
            check(&shapes[i], 3, 16, TYPES[t]);
            check(&shapes[i], 1, 48, TYPES[t]);
            if (i < 2) check(&shapes[i], 3, 48, TYPES[t]);
        }
}

/* So many channels that a piece is smaller. */
static void many_channels_3x3(void **state) {
    (void)state;
    static const shape few = {3, 1, 2, 5, 1};
    for (size_t t = 0; t < TYPE_COUNT && here(); t++)
        if (TYPES[t] != MQ_U8 || mq_dnn_has_codes()) check(&few, 3, MOST_OUT, TYPES[t]);
}

/* The largest codes and weights: sums are exact still. */
static void largest_codes(void **state) {
    (void)state;
    static const shape wide = {3, 2, 3, 150, 2};
    if (!here() || !mq_dnn_has_codes()) return;
    open_layer(&tested, &wide, 3, 16, MQ_U8);
    for (size_t i = 0; i < tested.pixels * 3; i++)
        tested.x[i] = ((uint8_t *)tested.stored)[i] = i % 1000 == 7 ? 0 : 255;
    for (size_t i = 0; i < tested.terms * 16; i++)
        tested.weights[i] = i / tested.terms % 3 == 0   ? -128
                            : i / tested.terms % 3 == 1 ? 127
                                                        : (float)(255 * (int)(i % 2) - 128);
    thin_begin(tested.thin, tested.weights, false, tested.stored, MQ_U8, wide.images);
    thin_values(tested.thin, tested.z);
    check_moments(&tested, true);
    pooled p;
    open_pooled(&p, &tested);
    check_forward(&p, &tested);
    close_pooled(&p);
    close_layer(&tested);
}

static void check_not_a_number(const shape *sh) {
    pooled p;
    open_layer(&tested, sh, 3, 16, MQ_F32);
    float *x = tested.stored;
    x[3 * 5] = x[3 * (2 * sh->width + 7) + 1] = NAN;
    thin_values(tested.thin, tested.z);
    open_pooled(&p, &tested);
    check_forward(&p, &tested);
    close_pooled(&p);
    close_layer(&tested);
}

/* A NaN is not hidden by the pool: the last one of a window wins. */
static void not_a_number(void **state) {
    (void)state;
    static const shape window = {3, 1, 3, 150, 1};
    if (!here()) return;
    check_not_a_number(&POINT);
    check_not_a_number(&window);
}

/* Weights in bfloat16 where asked; sizes that do not fit. */
static void rounded_weights(void **state) {
    (void)state;
    assert_false(thin_fits(1, THIN_MOST + 1, 16));
    assert_false(thin_fits(1, 3, 40));
    assert_false(thin_fits(3, 4, 16));
    assert_false(thin_fits(5, 1, 16));
    if (!here()) return;
    open_layer(&tested, &POINT, 3, 16, MQ_F32);
    thin_begin(tested.thin, tested.weights, true, tested.stored, MQ_F32, POINT.images);
    for (size_t o = 0; o < tested.out; o++)
        for (size_t k = 0; k < tested.in; k++)
            assert_true(tested.thin->weights[k * tested.out + o] ==
                        mq_bf16_to_f32(mq_f32_to_bf16(tested.weights[o * tested.in + k])));
    close_layer(&tested);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_as_stored),    cmocka_unit_test(same_as_stored_3x3),
        cmocka_unit_test(many_channels_3x3), cmocka_unit_test(largest_codes),
        cmocka_unit_test(not_a_number),      cmocka_unit_test(rounded_weights)};
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
