/* test_thin.c - a thin layer against what it replaces: z stored, its sums, the batch norm's pool (to the bit)
 * and the products of dz with x and the weights, in float64. */
#include "helper_ops.h"

#include <math.h>
#include <string.h>

#include "ops/pooled_norm.h"

enum { ROWS = 3, WIDTH = 150 /* windows: more than two pieces */, PIXELS = ROWS * WIDTH * THIN_TILE };

typedef struct layer {
    size_t in, out;
    float x[PIXELS * THIN_MOST]; /* the values */
    void *stored;                /* of the type under test */
    float *weights;              /* [out][in] */
    thin_layer *thin;
    float *z; /* [PIXELS][out] */
} layer;

static void *bytes(size_t count) {
    void *memory;
    OK(mq_alloc(count, 1, "test", &memory, ERROR));
    return memory;
}

static void store(layer *l, mq_dtype type) {
    const size_t count = PIXELS * l->in;
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

static void open_layer(layer *l, size_t in, size_t out, mq_dtype type) {
    *l = (layer){.in = in, .out = out};
    float *drawn = ops_normal(PIXELS * in, in + out);
    for (size_t i = 0; i < PIXELS * in; i++) l->x[i] = drawn[i] + 0.5f; /* a mean that is not 0 */
    mq_free(drawn);
    l->stored = bytes(PIXELS * in * sizeof(float));
    l->weights = ops_normal(in * out, 7);
    for (size_t i = 0; i < in * out && type == MQ_U8; i++) l->weights[i] = roundf(3 * l->weights[i]);
    store(l, type);
    OK(thin_create(in, out, &l->thin, ERROR));
    l->z = bytes(PIXELS * out * sizeof(float));
    thin_begin(l->thin, l->weights, false, l->stored, type, PIXELS);
    thin_values(l->thin, l->z);
}

static void close_layer(layer *l) {
    thin_destroy(l->thin);
    mq_free(l->stored);
    mq_free(l->weights);
    mq_free(l->z);
}

static void near(const char *what, double got, double want, double bound) {
    if (!(fabs(got - want) <= bound)) fail_msg("%s: got %.9g, expected %.9g", what, got, want);
}

/* z, and its sums; of whole numbers exactly. */
static void check_moments(const layer *l, bool whole) {
    double sum[64], square[64];
    thin_moments(l->thin, sum, square);
    for (size_t o = 0; o < l->out; o++) {
        double s = 0, q = 0, size = 0;
        for (size_t p = 0; p < PIXELS; p++) {
            double z = 0;
            for (size_t k = 0; k < l->in; k++)
                z += (double)l->weights[o * l->in + k] * (double)l->x[p * l->in + k];
            near("z", (double)l->z[p * l->out + o], z, whole ? 0 : 1e-5);
            s += z;
            q += z * z;
            size += fabs(z);
        }
        near("sum", sum[o], s, whole ? 0 : 1e-12 * size);
        near("square", square[o], q, whole ? 0 : 1e-12 * q);
    }
}

typedef struct pooled {
    pooled_norm norm;
    uint8_t *index[2];
    void *y[2];
    float *numbers, *dy;
} pooled;

static void open_pooled(pooled *p, const layer *l) {
    const size_t c = l->out, small = PIXELS / THIN_TILE * c;
    p->numbers = ops_normal(7 * c, 3);
    p->dy = ops_normal(small, 4);
    double sum[64], square[64];
    thin_moments(l->thin, sum, square);
    for (size_t o = 0; o < c; o++) p->numbers[o] = (float)(sum[o] / PIXELS); /* as a batch norm's are */
    const float *m = p->numbers, *a = m + c, *b = a + c;
    p->norm = (pooled_norm){.h = ROWS,
                            .w = WIDTH,
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

/* Which maxima, and what is kept of them, to the bit. */
static void check_forward(pooled *p, const layer *l) {
    const size_t small = PIXELS / THIN_TILE * l->out;
    for (int k = 0; k < 2; k++) {
        p->norm.thin = k ? l->thin : NULL;
        p->norm.y = p->y[k];
        p->norm.index = p->index[k];
        for (size_t row = 0; row < ROWS; row++) {
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
    const size_t c = l->out, in = l->in;
    float *dz = bytes(PIXELS * c * sizeof(float)), *dw = bytes(c * in * sizeof(float));
    char *dx = bytes((PIXELS * in + 1) * sizeof(float));
    memset(dx, 0x5a, (PIXELS * in + 1) * sizeof(float));
    p->norm.thin = l->thin;
    thin_begin_gradient(l->thin, &p->norm.backward);
    for (size_t row = 0; row < ROWS; row++)
        for (int column = 0, n; column < WIDTH; column += n) {
            n = column ? WIDTH - column : 31;
            const float *dy = p->dy + (row * WIDTH + (size_t)column) * c;
            pooled_norm_gradient_plain(&p->norm, row, column, n, dy, dz, MQ_F32);
            thin_gradient(&p->norm, row, row, column, n, dy, dx, type);
        }
    thin_weights_gradient(l->thin, &p->norm.backward, dw);
    for (size_t o = 0; o < c; o++)
        for (size_t k = 0; k < in; k++) {
            double want = 0, size = 0;
            for (size_t q = 0; q < PIXELS; q++) {
                const double product = (double)dz[q * c + o] * (double)l->x[q * in + k];
                want += product;
                size += fabs(product);
            }
            near("dw", (double)dw[o * in + k], want, 1e-6 * size);
        }
    for (size_t q = 0; q < PIXELS; q++)
        for (size_t k = 0; k < in; k++) {
            double want = 0, size = 0;
            for (size_t o = 0; o < c; o++) {
                const double product = (double)l->weights[o * in + k] * (double)dz[q * c + o];
                want += product;
                size += fabs(product);
            }
            const size_t at = q * in + k;
            const float got =
                type == MQ_BF16 ? mq_bf16_to_f32(((uint16_t *)(void *)dx)[at]) : ((float *)(void *)dx)[at];
            near("dx", (double)got, want, 2e-6 * size + (type == MQ_BF16 ? 0x1p-8 * fabs(want) : 0));
        }
    const size_t end = PIXELS * in * mq_dtype_size(type);
    assert_int_equal(dx[end], 0x5a);
    mq_free(dz);
    mq_free(dw);
    mq_free(dx);
}

static layer tested; /* large for the stack */

static void check(size_t in, size_t out, mq_dtype type) {
    pooled p;
    open_layer(&tested, in, out, type);
    check_moments(&tested, type == MQ_U8);
    open_pooled(&p, &tested);
    check_forward(&p, &tested);
    check_gradient(&p, &tested, MQ_F32);
    check_gradient(&p, &tested, MQ_BF16);
    close_pooled(&p);
    close_layer(&tested);
}

static bool here(void) {
    if (thin_fits(3, 16)) return true;
    print_message("no AVX-512 on this CPU\n");
    return false;
}

static void same_as_stored(void **state) {
    (void)state;
    static const mq_dtype types[] = {MQ_F32, MQ_BF16, MQ_U8};
    for (size_t in = 1; in <= THIN_MOST && here(); in++)
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            check(in, 16, types[t]);
            check(in, 48, types[t]);
        }
}

/* A NaN is not hidden by the pool: the first one wins. */
static void not_a_number(void **state) {
    (void)state;
    if (!here()) return;
    pooled p;
    open_layer(&tested, 3, 16, MQ_F32);
    float *x = tested.stored;
    x[3 * 5] = x[3 * (2 * WIDTH + 7) + 1] = NAN;
    thin_values(tested.thin, tested.z);
    open_pooled(&p, &tested);
    check_forward(&p, &tested);
    close_pooled(&p);
    close_layer(&tested);
}

/* Weights in bfloat16 where asked; sizes that do not fit. */
static void rounded_weights(void **state) {
    (void)state;
    assert_false(thin_fits(THIN_MOST + 1, 16));
    assert_false(thin_fits(3, 40));
    if (!here()) return;
    open_layer(&tested, 3, 16, MQ_F32);
    thin_begin(tested.thin, tested.weights, true, tested.stored, MQ_F32, PIXELS);
    for (size_t o = 0; o < tested.out; o++)
        for (size_t k = 0; k < tested.in; k++)
            assert_true(tested.thin->weights[k * tested.out + o] ==
                        mq_bf16_to_f32(mq_f32_to_bf16(tested.weights[o * tested.in + k])));
    close_layer(&tested);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_stored), cmocka_unit_test(not_a_number),
                                       cmocka_unit_test(rounded_weights)};
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
