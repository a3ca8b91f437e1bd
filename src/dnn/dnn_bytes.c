/* dnn_bytes.c - forward of codes, dense or depthwise, as products of bytes (product.h), whose result may be
 * int16 and added up by the way, for the batch norm behind.
 *
 * The kw*ic bytes of a row of the kernel lie side by side in the source. A worker keeps padded copies of kh
 * rows and takes the next output row with them; a pointwise layer reads the source itself. All sums are of
 * whole numbers and exact, so results do not depend on threads. */
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "dnn/dnn_own.h"
#include "dnn/product.h"

enum { LANES = MQ_PRODUCT_LANES, QUAD = 4, MOST_ROWS = 16 /* of a kernel */, CHUNK = 96, BANDS = 64 };

typedef struct bytes {
    mq_dnn_own own;
    bool depthwise;
    bool flat; /* pointwise: positions are one row */
    size_t parts, depth, columns;
    int8_t *weights; /* [parts*depth][columns][QUAD] in panels, 0 behind the row of the kernel; or product.h's
                        of a depthwise layer */
    size_t row;      /* bytes of a copy of a row */
    size_t working;  /* of a worker: the copies, then the sums [2][columns] */
    size_t rows, grain;
} bytes;

static bool is_depthwise(const mq_dnn_conv_spec *s) {
    return s->groups > 1 && s->groups == s->ic && s->groups == s->oc;
}

static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    if (direction != MQ_DNN_FORWARD || !s->codes || s->oc % LANES || s->kh > MOST_ROWS) return false;
    if (!mq_product_bytes_supported()) return false;
    if (is_depthwise(s)) return s->stride == 1 && mq_product_depthwise_fits((size_t)s->kh, (size_t)s->kw);
    return s->groups == 1 && !mq_dnn_has_amx();
}

static mq_status create(mq_dnn_own *own, mq_error *error) {
    bytes *b = (bytes *)own;
    const mq_dnn_conv_spec *s = &own->spec;
    const size_t line = (size_t)s->kw * (size_t)s->ic, width = (size_t)((s->ow - 1) * s->stride + s->kw);
    b->depthwise = is_depthwise(s);
    b->flat = s->kh == 1 && s->kw == 1 && s->stride == 1 && s->ih == s->oh && s->iw == s->ow && !s->pad_h &&
              !s->pad_w && s->ic % QUAD == 0;
    b->parts = (size_t)s->kh;
    b->depth = mq_task_count(line, QUAD);
    b->columns = (size_t)s->oc;
    b->row = b->flat ? 0 : mq_dnn_lines(width * (size_t)s->ic + QUAD);
    b->working = b->parts * b->row + 2 * b->columns * sizeof(double);
    b->rows = (size_t)s->n * (size_t)s->oh;
    if (b->flat) b->rows = mq_task_count(b->rows * (size_t)s->ow, CHUNK);
    b->grain = b->flat ? 1 : mq_task_count(b->rows, BANDS);
    MQ_TRY(mq_dnn_reserve(own->dnn, (size_t)mq_threads() * b->working, error));
    const size_t words = b->depthwise ? (size_t)s->kw * mq_task_count(b->parts, QUAD) : b->parts * b->depth;
    return mq_alloc(words * QUAD * b->columns, 1, "convolution weights", &b->weights, error);
}

static void release(mq_dnn_own *own) {
    mq_free(((bytes *)own)->weights);
}

typedef struct job {
    const bytes *b;
    const float *w; /* OIHW */
    const uint8_t *src;
    mq_product_out dst;
    bool add; /* the sums are wanted */
    double *sum, *square;
} job;

/* A row of a kernel of one channel out, [ic][.][kw] to [kw][ic], four bytes `step` after four. */
static void pack_row(const float *w, size_t ic, size_t next, size_t kw, int8_t *to, size_t step) {
    size_t byte = 0;
    for (size_t q = 0; q < kw; q++)
        for (size_t i = 0; i < ic; i++, byte++) {
            to[byte % QUAD] = (int8_t)w[i * next + q];
            if (byte % QUAD == QUAD - 1) to += step;
        }
}

/* The same of one column and channels that are a multiple of four, which side by side are one word. */
static void pack_point(const float *w, size_t ic, int8_t *to, size_t step) {
    for (size_t i = 0; i < ic; i += QUAD, to += step) {
        uint32_t four = 0;
        for (size_t k = 0; k < QUAD; k++) four |= (uint32_t)(uint8_t)(int8_t)w[i + k] << 8 * k;
        memcpy(to, &four, sizeof four);
    }
}

/* Channels out of a vector. */
static void pack_weights(void *context, size_t task) {
    const job *j = context;
    const bytes *b = j->b;
    const mq_dnn_conv_spec *s = &b->own.spec;
    const size_t ic = (size_t)s->ic, kh = (size_t)s->kh, kw = (size_t)s->kw, all = b->parts * b->depth;
    const size_t panel = task * LANES / MQ_PRODUCT_PANEL * MQ_PRODUCT_PANEL;
    const size_t step = QUAD * mq_product_panel(b->columns, panel);
    for (size_t o = task * LANES; o < (task + 1) * LANES; o++) {
        int8_t *to = b->weights + QUAD * mq_product_at(all, b->columns, 0, o);
        const float *w = j->w + o * ic * kh * kw;
        for (size_t r = 0; r < kh; r++, to += b->depth * step)
            if (kh * kw == 1 && ic % QUAD == 0)
                pack_point(w, ic, to, step);
            else
                pack_row(w + r * kw, ic, kh * kw, kw, to, step);
    }
}

/* Of a depthwise layer: [vector][column][row/4][16][row%4]. */
static void pack_depthwise(void *context, size_t task) {
    const job *j = context;
    const bytes *b = j->b;
    const size_t kh = b->parts, kw = (size_t)b->own.spec.kw, groups = mq_task_count(kh, QUAD);
    for (size_t o = task * LANES; o < (task + 1) * LANES; o++)
        for (size_t r = 0; r < kh; r++)
            for (size_t q = 0; q < kw; q++)
                b->weights[(((task * kw + q) * groups + r / QUAD) * LANES + o % LANES) * QUAD + r % QUAD] =
                    (int8_t)j->w[(o * kh + r) * kw + q];
}

static void set_weights(mq_dnn_own *own, const float *w) {
    const bytes *b = (bytes *)own;
    job j = {.b = b, .w = w};
    mq_parallel(b->columns / LANES, b->depthwise ? pack_depthwise : pack_weights, &j);
}

static char *work_of(const bytes *b, size_t worker) {
    return (char *)b->own.dnn->scratch + worker * b->working;
}

static double *sums_of(const bytes *b, size_t worker) {
    return (double *)(void *)(work_of(b, worker) + b->parts * b->row);
}

/* Row y of an image with its padding, or of zeros. */
static void copy_row(const bytes *b, const uint8_t *image, int y, uint8_t *to) {
    const mq_dnn_conv_spec *s = &b->own.spec;
    const size_t ic = (size_t)s->ic, left = (size_t)s->pad_w * ic, row = (size_t)s->iw * ic;
    const size_t width = (size_t)((s->ow - 1) * s->stride + s->kw) * ic;
    const size_t inside = width - left < row ? width - left : row;
    memset(to, 0, left);
    if (y < 0 || y >= s->ih)
        memset(to + left, 0, inside);
    else
        memcpy(to + left, image + (size_t)y * row, inside);
    memset(to + left + inside, 0, b->row - left - inside);
}

static void multiply(const job *j, const uint8_t *const *part, size_t step, size_t first, size_t rows,
                     size_t worker) {
    const bytes *b = j->b;
    const mq_bytes a = {part, b->parts, b->depth, step};
    const size_t element = j->dst.whole ? sizeof(int16_t) : sizeof(float);
    const mq_product_out out = {(char *)j->dst.values + first * b->columns * element, j->dst.whole};
    double *sum = j->add ? sums_of(b, worker) : NULL, *square = j->add ? sum + b->columns : NULL;
    const mq_depthwise d = {part, b->parts, (size_t)b->own.spec.kw, b->columns, rows};
    if (b->depthwise)
        mq_product_depthwise(&d, b->weights, out, sum, square);
    else
        mq_product_bytes(&a, b->weights, rows, b->columns, out, sum, square);
}

static void run_chunk(void *context, size_t worker, size_t task) {
    const job *j = context;
    const mq_dnn_conv_spec *s = &j->b->own.spec;
    const size_t all = (size_t)s->n * (size_t)s->oh * (size_t)s->ow, first = task * CHUNK;
    const uint8_t *from = j->src + first * (size_t)s->ic;
    multiply(j, &from, (size_t)s->ic, first, all - first < CHUNK ? all - first : CHUNK, worker);
}

static void run_band(void *context, size_t worker, size_t task) {
    const job *j = context;
    const bytes *b = j->b;
    const mq_dnn_conv_spec *s = &b->own.spec;
    const size_t oh = (size_t)s->oh, each = (size_t)s->ih * (size_t)s->iw * (size_t)s->ic;
    uint8_t *copies = (uint8_t *)work_of(b, worker);
    const uint8_t *part[MOST_ROWS];
    int copied = 0; /* rows of the source below it have been, of the image under way */
    for (size_t k = task * b->grain; k < (task + 1) * b->grain && k < b->rows; k++) {
        const int top = (int)(k % oh) * s->stride - s->pad_h;
        if (k == task * b->grain || k % oh == 0 || copied < top) copied = top;
        for (; copied < top + s->kh; copied++)
            copy_row(b, j->src + k / oh * each, copied, copies + (size_t)((copied + s->kh) % s->kh) * b->row);
        for (int r = 0; r < s->kh; r++) part[r] = copies + (size_t)((top + r + s->kh) % s->kh) * b->row;
        multiply(j, part, (size_t)(s->stride * s->ic), k * (size_t)s->ow, (size_t)s->ow, worker);
    }
}

static void run_job(job *j) {
    const bytes *b = j->b;
    const size_t threads = (size_t)mq_threads(), count = 2 * b->columns;
    for (size_t t = 0; t < threads && j->add; t++) memset(sums_of(b, t), 0, count * sizeof(double));
    mq_parallel_workers(mq_task_count(b->rows, b->grain), b->flat ? run_chunk : run_band, j);
    for (size_t t = 0; t < threads && j->add; t++)
        for (size_t c = 0; c < b->columns; c++) {
            j->sum[c] += sums_of(b, t)[c];
            j->square[c] += sums_of(b, t)[b->columns + c];
        }
}

static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    job j = {.b = (const bytes *)own, .src = src, .dst = {(void *)(uintptr_t)dst, false}};
    (void)dw;
    run_job(&j);
}

static void run_whole(const mq_dnn_own *own, const uint8_t *src, int16_t *dst, double *sum, double *square) {
    job j = {(const bytes *)own, NULL, src, {dst, true}, sum != NULL, sum, square};
    run_job(&j);
}

const mq_dnn_own_kind mq_dnn_bytes = {"own:bytes", sizeof(bytes), wanted, create,   release,
                                      set_weights, run,           false,  run_whole};
