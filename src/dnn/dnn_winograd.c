/* dnn_winograd.c - passes of 3x3 convolutions by Winograd's algorithm (winograd.h): 36 products where the
 * definition has 144, in float32; bfloat16 operands are widened as they are read.
 *
 * Forward and the source's gradient are one algorithm, the latter with g turned and channels exchanged.
 * Threads take blocks of tiles, whose transformed operands stay in their cache. Where the weights are many,
 * 36 planes of them are more to write and read than a small batch is worth: there a block of tiles is
 * transformed for all, and threads take channels of the result, whose weights they transform into their
 * cache. The weights' gradient transforms a block of tiles of both operands, then multiplies plane by plane.
 * Neither depends on the number of threads. The transforms have factors such as 1/6, so sums of whole numbers
 * are not exact: passes that must be do not come here. */
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "dnn/dnn_own.h"
#include "dnn/product.h"
#include "dnn/winograd.h"

enum {
    TILE = MQ_WINOGRAD_OUT,
    LANES = MQ_PRODUCT_LANES,
    PLANES = MQ_WINOGRAD_PLANES,
    LEAST_TILES = 32,
    BLOCK_FLOATS = 256 * 1024, /* of both operands of a block of tiles, about */
    BLOCK_LEAST = 48,          /* tiles, that weights are read for often enough */
    GRADIENT_TILES = 192,
    WEIGHTS_FLOATS = 1024 * 1024, /* of planes that are kept */
    OWN_PANEL = MQ_PRODUCT_PANEL, /* channels of the result, six of whose weights' planes stay in the cache */
    GRADIENT_ROWS = 96            /* of a task */
};

/* A tensor of positions. */
typedef struct places {
    int h, w;
    size_t channels;
    mq_dtype type;
} places;

typedef struct winograd {
    mq_dnn_own own;
    places in, out;         /* what the source's transform reads; the result, or its gradient */
    int before_h, before_w; /* positions of `in` before the first of `out` */
    size_t across, tiles;   /* tiles in a row of them, in all */
    size_t block, threads;  /* tiles at once */
    float *weights;         /* [36] planes of [in][out] in panels; NULL: not wanted, or made in each pass */
    const float *oihw;      /* what they are made of there */
    size_t panel;           /* channels of the result at once there */
} winograd;

static int tiles_of(int positions) {
    return (positions + TILE - 1) / TILE;
}

/* Planes do not begin at the same place of a cache. */
static size_t plane_of(size_t rows, size_t columns) {
    return rows * columns + LANES;
}

/* Where it wins. */
static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    if (s->kh != 3 || s->kw != 3 || s->stride != 1 || s->groups != 1 || s->pad_h > 2 || s->pad_w > 2)
        return false;
    if (s->ic % LANES || s->oc % LANES || (direction == MQ_DNN_FORWARD && (s->codes || s->whole)))
        return false;
    const bool data = direction == MQ_DNN_BACKWARD_DATA;
    const int h = data ? s->ih : s->oh, w = data ? s->iw : s->ow, each = tiles_of(h) * tiles_of(w);
    const int used = 100 * h * w / (each * TILE * TILE);
    if (s->n * each < LEAST_TILES || !mq_product_supported(s->compute == MQ_BF16)) return false;
    if (s->compute == MQ_BF16 && mq_dnn_has_amx()) return false;
    return used >= (s->compute == MQ_BF16 ? 80 : 50);
}

/* Scratch: a row of zeros and one for what hangs over the edge; then for each task, or for all, V and M of
 * the block, or V, Z and the gradient's planes. */
static size_t edge_bytes(const winograd *w) {
    const size_t most = w->in.channels > w->out.channels ? w->in.channels : w->out.channels;
    return mq_dnn_lines(most * sizeof(float));
}

static size_t block_floats(const winograd *w) {
    return PLANES * (plane_of(w->block, w->in.channels) + plane_of(w->block, w->out.channels));
}

/* Of a thread where the weights are transformed in each pass: taps, a row of U, and M of some channels. */
static size_t panel_floats(const winograd *w) {
    return (MQ_WINOGRAD_TAPS + MQ_WINOGRAD_IN) * plane_of(w->in.channels, w->panel) +
           PLANES * plane_of(w->block, w->panel);
}

static size_t scratch_bytes(const winograd *w) {
    size_t floats = block_floats(w) * w->threads;
    if (w->panel) floats = PLANES * plane_of(w->block, w->in.channels) + panel_floats(w) * w->threads;
    if (w->own.direction == MQ_DNN_BACKWARD_WEIGHTS)
        floats = block_floats(w) + PLANES * plane_of(w->in.channels, w->out.channels);
    return 2 * edge_bytes(w) + floats * sizeof(float);
}

/* Whether weights have so many planes that it is faster to transform some of them where and when they are
 * wanted, than to store and read all. */
static bool made_each_time(const winograd *w) {
    return w->own.direction != MQ_DNN_BACKWARD_WEIGHTS &&
           mq_task_count(w->out.channels, OWN_PANEL) >= w->threads &&
           PLANES * w->in.channels * w->out.channels > WEIGHTS_FLOATS;
}

static void describe(winograd *w) {
    const mq_dnn_conv_spec *s = &w->own.spec;
    const bool codes = w->own.direction == MQ_DNN_BACKWARD_WEIGHTS && s->codes;
    const places src = {s->ih, s->iw, (size_t)s->ic, codes ? MQ_U8 : s->compute};
    const places dst = {s->oh, s->ow, (size_t)s->oc, s->compute};
    const bool data = w->own.direction == MQ_DNN_BACKWARD_DATA;
    w->in = data ? dst : src;
    w->out = data ? src : dst;
    if (data) w->out.type = s->diff_src;
    if (w->own.direction == MQ_DNN_FORWARD) w->out.type = s->rounded ? MQ_BF16 : MQ_F32;
    w->before_h = data ? s->kh - 1 - s->pad_h : s->pad_h;
    w->before_w = data ? s->kw - 1 - s->pad_w : s->pad_w;
    w->across = (size_t)tiles_of(w->out.w);
    w->tiles = (size_t)s->n * (size_t)tiles_of(w->out.h) * w->across;
    w->threads = (size_t)mq_threads();
    size_t most = GRADIENT_TILES, share = w->tiles;
    if (made_each_time(w)) {
        w->panel = OWN_PANEL;
    } else if (w->own.direction != MQ_DNN_BACKWARD_WEIGHTS) {
        most = BLOCK_FLOATS / (PLANES * (w->in.channels + w->out.channels));
        if (most < BLOCK_LEAST) most = BLOCK_LEAST;
        share = mq_task_count(w->tiles, w->threads);
    }
    w->block = mq_task_count(share, mq_task_count(share, most)); /* evenly */
}

static mq_status create(mq_dnn_own *own, mq_error *error) {
    winograd *w = (winograd *)own;
    describe(w);
    MQ_TRY(mq_dnn_reserve(own->dnn, scratch_bytes(w), error));
    if (own->direction == MQ_DNN_BACKWARD_WEIGHTS || w->panel) return MQ_OK;
    return mq_alloc(PLANES * plane_of(w->in.channels, w->out.channels), sizeof(float), "convolution weights",
                    &w->weights, error);
}

static void release(mq_dnn_own *own) {
    mq_free(((winograd *)own)->weights);
}

/* What a pass is given. */
typedef struct job {
    const winograd *w;
    const float *oihw;         /* weights */
    const char *in;            /* places of w->in */
    char *out;                 /* of w->out; read where the weights' gradient is made */
    const void *zeros;         /* a position outside */
    void *sink;                /* and one that nobody wants */
    float *block;              /* the scratch's */
    size_t first, count, rows; /* tiles of the gradient's block; tasks of a plane */
    float *v, *z, *gradient, *dw;
} job;

static void prepare(const winograd *w, job *j) {
    char *scratch = w->own.dnn->scratch; /* may have moved since the last time */
    memset(scratch, 0, edge_bytes(w));
    j->w = w;
    j->zeros = scratch;
    j->sink = scratch + edge_bytes(w);
    j->block = (float *)(void *)(scratch + 2 * edge_bytes(w));
}

/* The positions of a tile: size x size of p's images, the first (up, left) before the tile's own. */
static void look(const winograd *w, const places *p, const char *images, size_t tile, int up, int left,
                 int size, const void *outside, const void **at) {
    const size_t each = w->across * (size_t)tiles_of(w->out.h), pixel = p->channels * mq_dtype_size(p->type);
    const int y = (int)(tile % each / w->across) * TILE - up, x = (int)(tile % w->across) * TILE - left;
    const char *image = images + tile / each * (size_t)p->h * (size_t)p->w * pixel;
    for (int r = y; r < y + size; r++)
        for (int c = x; c < x + size; c++) {
            const bool inside = r >= 0 && r < p->h && c >= 0 && c < p->w;
            *at++ = inside ? image + ((size_t)r * (size_t)p->w + (size_t)c) * pixel : outside;
        }
}

static void look_in(const job *j, size_t tile, const void **at) {
    const winograd *w = j->w;
    look(w, &w->in, j->in, tile, w->before_h, w->before_w, MQ_WINOGRAD_IN, j->zeros, at);
}

static void look_out(const job *j, size_t tile, const void *outside, const void **at) {
    look(j->w, &j->w->out, j->out, tile, 0, 0, TILE, outside, at);
}

static void run_block(const job *j, size_t first, size_t count, float *v, float *m) {
    const winograd *w = j->w;
    const size_t in = w->in.channels, out = w->out.channels, weights = plane_of(in, out);
    const size_t v_plane = plane_of(w->block, in), m_plane = plane_of(w->block, out);
    const void *at[PLANES];
    for (size_t t = 0; t < count; t++) {
        look_in(j, first + t, at);
        mq_winograd_source(at, w->in.type, in, v + t * in, v_plane);
    }
    for (size_t p = 0; p < PLANES; p++)
        mq_product(v + p * v_plane, in, 1, w->weights + p * weights, count, out, in, false, m + p * m_plane);
    for (size_t t = 0; t < count; t++) {
        void *to[MQ_WINOGRAD_RESULTS];
        look_out(j, first + t, j->sink, at);
        for (int i = 0; i < MQ_WINOGRAD_RESULTS; i++) to[i] = (void *)(uintptr_t)at[i];
        mq_winograd_result(m + t * out, m_plane, out, w->out.type == MQ_BF16, to);
    }
}

/* ---- with weights transformed by the way ---- */

static void transform_source(void *context, size_t task) {
    const job *j = context;
    const winograd *w = j->w;
    const void *at[PLANES];
    look_in(j, j->first + task, at);
    mq_winograd_source(at, w->in.type, w->in.channels, j->v + task * w->in.channels,
                       plane_of(w->block, w->in.channels));
}

/* Channels of the result from k on. */
static void run_panel(const job *j, size_t k, float *taps, float *u, float *m) {
    const winograd *w = j->w;
    const size_t in = w->in.channels, left = w->out.channels - k, out = left < w->panel ? left : w->panel;
    const size_t v_plane = plane_of(w->block, in), u_plane = plane_of(in, w->panel),
                 m_plane = plane_of(w->block, w->panel);
    for (size_t c = 0; c < in; c += LANES)
        mq_winograd_taps(w->oihw, in, w->out.channels, k, out, c, w->own.direction == MQ_DNN_BACKWARD_DATA,
                         taps + c * out, u_plane);
    for (size_t y = 0; y < MQ_WINOGRAD_IN; y++) {
        mq_winograd_weights(taps, u_plane, in * out, y, u, u_plane);
        for (size_t x = 0, p = y * MQ_WINOGRAD_IN; x < MQ_WINOGRAD_IN; x++, p++)
            mq_product(j->v + p * v_plane, in, 1, u + x * u_plane, j->count, out, in, false, m + p * m_plane);
    }
    for (size_t t = 0; t < j->count; t++) {
        const void *at[PLANES];
        void *to[MQ_WINOGRAD_RESULTS];
        look_out(j, j->first + t, j->sink, at);
        for (int i = 0; i < MQ_WINOGRAD_RESULTS; i++)
            to[i] = (char *)(uintptr_t)at[i] + k * mq_dtype_size(w->out.type);
        mq_winograd_result(m + t * out, m_plane, out, w->out.type == MQ_BF16, to);
    }
}

static void run_panels(void *context, size_t worker, size_t task) {
    const job *j = context;
    const winograd *w = j->w;
    const size_t plane = plane_of(w->in.channels, w->panel);
    float *taps = j->block + PLANES * plane_of(w->block, w->in.channels) + worker * panel_floats(w);
    run_panel(j, task * w->panel, taps, taps + MQ_WINOGRAD_TAPS * plane,
              taps + (MQ_WINOGRAD_TAPS + MQ_WINOGRAD_IN) * plane);
}

static void run_by_panels(const winograd *w, job *j) {
    j->v = j->block;
    for (j->first = 0; j->first < w->tiles; j->first += w->block) {
        j->count = w->tiles - j->first < w->block ? w->tiles - j->first : w->block;
        mq_parallel(j->count, transform_source, j);
        mq_parallel_workers(mq_task_count(w->out.channels, w->panel), run_panels, j);
    }
}

static void run_tiles(void *context, size_t worker, size_t task) {
    const job *j = context;
    const winograd *w = j->w;
    const size_t first = task * w->block, left = w->tiles - first;
    float *v = j->block + worker * block_floats(w), *m = v + PLANES * plane_of(w->block, w->in.channels);
    run_block(j, first, left < w->block ? left : w->block, v, m);
}

/* ---- the weights' gradient ---- */

static void transform_both(void *context, size_t task) {
    const job *j = context;
    const winograd *w = j->w;
    const void *at[PLANES];
    look_in(j, j->first + task, at);
    mq_winograd_source(at, w->in.type, w->in.channels, j->v + task * w->in.channels,
                       plane_of(w->block, w->in.channels));
    look_out(j, j->first + task, j->zeros, at);
    mq_winograd_target(at, w->out.type, w->out.channels, j->count, task, j->z,
                       plane_of(w->block, w->out.channels));
}

static void multiply_plane(void *context, size_t task) {
    const job *j = context;
    const winograd *w = j->w;
    const size_t in = w->in.channels, out = w->out.channels, p = task / j->rows,
                 row = task % j->rows * GRADIENT_ROWS;
    const size_t rows = in - row < GRADIENT_ROWS ? in - row : GRADIENT_ROWS;
    mq_product(j->v + p * plane_of(w->block, in) + row, 1, in, j->z + p * plane_of(w->block, out), rows, out,
               j->count, j->first > 0, j->gradient + p * plane_of(in, out) + row * out);
}

static void give_gradient(void *context, size_t task) {
    const job *j = context;
    const size_t in = j->w->in.channels, out = j->w->out.channels;
    mq_winograd_gradient(j->gradient, plane_of(in, out), in, out, task * LANES, j->dw);
}

static void run_gradient(const winograd *w, job *j) {
    j->v = j->block;
    j->z = j->v + PLANES * plane_of(w->block, w->in.channels);
    j->gradient = j->z + PLANES * plane_of(w->block, w->out.channels);
    j->rows = mq_task_count(w->in.channels, GRADIENT_ROWS);
    for (j->first = 0; j->first < w->tiles; j->first += w->block) {
        j->count = w->tiles - j->first < w->block ? w->tiles - j->first : w->block;
        mq_parallel(j->count, transform_both, j);
        mq_parallel(PLANES * j->rows, multiply_plane, j);
    }
    mq_parallel(w->out.channels / LANES, give_gradient, j);
}

/* 16 channels in of a panel. */
static void transform_weights(void *context, size_t task) {
    const job *j = context;
    const size_t in = j->w->in.channels, out = j->w->out.channels, groups = in / LANES;
    const size_t c = task % groups * LANES, k = task / groups * MQ_PRODUCT_PANEL,
                 columns = mq_product_panel(out, k);
    _Alignas(64) float taps[MQ_WINOGRAD_TAPS * LANES * MQ_PRODUCT_PANEL];
    const size_t plane = LANES * columns;
    mq_winograd_taps(j->oihw, in, out, k, columns, c, j->w->own.direction == MQ_DNN_BACKWARD_DATA, taps,
                     plane);
    for (size_t y = 0; y < MQ_WINOGRAD_IN; y++)
        mq_winograd_weights(taps, plane, plane, y,
                            j->w->weights + y * MQ_WINOGRAD_IN * plane_of(in, out) +
                                mq_product_at(in, out, c, k),
                            plane_of(in, out));
}

static void set_weights(mq_dnn_own *own, const float *weights) {
    winograd *w = (winograd *)own;
    w->oihw = weights;
    if (w->panel || !w->weights) return;
    job j = {.w = w, .oihw = weights};
    mq_parallel(w->in.channels / LANES * mq_task_count(w->out.channels, MQ_PRODUCT_PANEL), transform_weights,
                &j);
}

static void run(const mq_dnn_own *own, const void *src, const void *dst, float *dw) {
    const winograd *w = (const winograd *)own;
    const bool data = own->direction == MQ_DNN_BACKWARD_DATA;
    job j = {.in = data ? dst : src, .out = (char *)(uintptr_t)(data ? src : dst), .dw = dw};
    prepare(w, &j);
    if (own->direction == MQ_DNN_BACKWARD_WEIGHTS)
        run_gradient(w, &j);
    else if (w->panel)
        run_by_panels(w, &j);
    else
        mq_parallel_workers(mq_task_count(w->tiles, w->block), run_tiles, &j);
}

const mq_dnn_own_kind mq_dnn_winograd = {
    "own:winograd", sizeof(winograd), wanted, create, release, set_weights, run, true, NULL};
