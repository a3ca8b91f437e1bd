/* thin_window.c - a 3x3 thin layer row by row: its lines, its outputs' maxima, and dx, whose rows get
 * something from two rows of the pool. */
#include "ops/thin_window.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "ops/pooled_norm.h"

enum {
    PIECE = 32, /* windows at a time */
    PIECE_STRIDE = 2 * PIECE + 16,
    BYTES_STRIDE = (2 * PIECE + 2) * THIN_CHANNELS + THIN_QUAD,
    COLUMNS = 128, /* of dx at a time */
    COLUMNS_STRIDE = COLUMNS + 16,
    REACH = 2 /* of dx's filter */
};

bool thin_window_fits(size_t in) {
    return in == 1 || in == THIN_CHANNELS;
}

mq_status thin_window_create(thin_layer *t, mq_error *error) {
    MQ_TRY(mq_alloc(1, sizeof *t->window, "a layer", &t->window, error));
    thin_window *w = t->window;
    w->stride = t->w + 4; /* whole windows, two of them at a time */
    MQ_TRY(mq_alloc(t->out * THIN_TILE * t->in * THIN_AREA, sizeof(float), "a layer's weights", &w->table,
                    error));
    return mq_alloc(NORM_TASKS * THIN_BAND * t->in * w->stride, sizeof(float), "a layer's gradient", &w->rows,
                    error);
}

void thin_window_destroy(thin_layer *t) {
    if (!t->window) return;
    mq_free(t->window->table);
    mq_free(t->window->rows);
    mq_free(t->window);
}

thin_row thin_window_row(const thin_layer *t, size_t image, ptrdiff_t y, ptrdiff_t x, size_t columns) {
    const ptrdiff_t width = (ptrdiff_t)t->w, end = x + (ptrdiff_t)columns, last = end < width ? end : width;
    const ptrdiff_t first = x < 0 ? 0 : x;
    if (y < 0 || y >= (ptrdiff_t)t->h || first >= last) return (thin_row){.outside = columns};
    return (thin_row){(size_t)(first - x), (size_t)(last - first),
                      thin_pixel(t, (image * t->h + (size_t)y) * t->w + (size_t)first)};
}

void thin_window_lines(const thin_layer *t, size_t image, ptrdiff_t y, size_t rows, ptrdiff_t x,
                       size_t columns, const float *centre, float *to, size_t stride) {
    static const float none[THIN_CHANNELS];
    if (!centre) centre = none;
    for (size_t r = 0; r < rows; r++) {
        const thin_row row = thin_window_row(t, image, y + (ptrdiff_t)r, x, columns);
        float *line = to + r * stride;
        if (row.count)
            thin_planes_avx512(row.pixels, t->type, t->in, row.count, centre, line + row.outside,
                               rows * stride);
        for (size_t i = 0; i < t->in; i++, line += rows * stride) {
            for (size_t k = 0; k < row.outside; k++) line[k] = 0 - centre[i];
            for (size_t k = row.outside + row.count; k < stride; k++) line[k] = 0 - centre[i];
        }
    }
}

/* What `windows` of the pool read. */
static void lines_of(const pooled_norm *p, size_t row, size_t column, size_t windows, float *lines) {
    const ptrdiff_t y = (ptrdiff_t)(row % (size_t)p->h * 2), x = (ptrdiff_t)column * 2;
    thin_window_lines(p->thin, row / (size_t)p->h, y - 1, THIN_CORNER, x - 1, 2 * windows + 2, NULL, lines,
                      PIECE_STRIDE);
}

void thin_window_values(const thin_layer *t, float *z) {
    float lines[THIN_CHANNELS * THIN_SIDE * 16];
    for (size_t p = 0; p < t->n * t->h * t->w; p++) {
        const size_t x = p % t->w, y = p / t->w % t->h;
        thin_window_lines(t, p / t->w / t->h, (ptrdiff_t)y - 1, THIN_SIDE, (ptrdiff_t)x - 1, THIN_SIDE, NULL,
                          lines, 16);
        for (size_t o = 0; o < t->out; o++, z++) {
            *z = 0;
            for (size_t k = 0; k < t->terms; k++)
                *z = fmaf(t->weights[k * t->out + o], lines[k / THIN_SIDE * 16 + k % THIN_SIDE], *z);
        }
    }
}

static void forward_bytes(const pooled_norm *p, size_t row, size_t column, size_t windows) {
    const thin_layer *t = p->thin;
    uint8_t rows[THIN_CORNER][BYTES_STRIDE];
    for (size_t y = 0; y < THIN_CORNER; y++) {
        const thin_row r = thin_window_row(t, row / (size_t)p->h, (ptrdiff_t)(row % (size_t)p->h * 2 + y) - 1,
                                           (ptrdiff_t)column * 2 - 1, 2 * windows + 2);
        const size_t before = r.outside * t->in, count = r.count * t->in;
        memset(rows[y], 0, before);
        if (count) memcpy(rows[y] + before, r.pixels, count);
        memset(rows[y] + before + count, 0, BYTES_STRIDE - before - count);
    }
    thin_window_forward_bytes(p, rows[0], BYTES_STRIDE, windows,
                              (row * (size_t)p->w + column) * (size_t)p->c);
}

void thin_window_forward_row(const pooled_norm *p, size_t row) {
    float lines[THIN_CHANNELS * THIN_CORNER * PIECE_STRIDE];
    const size_t width = (size_t)p->w;
    for (size_t column = 0; column < width; column += PIECE) {
        const size_t n = width - column < PIECE ? width - column : PIECE;
        if (p->thin->type == MQ_U8) {
            forward_bytes(p, row, column, n);
            continue;
        }
        lines_of(p, row, column, n, lines);
        thin_window_forward_avx512(p, lines, PIECE_STRIDE, n, (row * width + column) * (size_t)p->c);
    }
}

/* The weights of a row of the kernel, as a row of x has its pixels. */
static void set_codes(const thin_layer *t) {
    const size_t quads = (THIN_SIDE * t->in + THIN_QUAD - 1) / THIN_QUAD;
    memset(t->codes, 0, THIN_SIDE * THIN_CHANNELS * t->out * THIN_QUAD);
    for (size_t k = 0; k < t->terms; k++) {
        const thin_term of = thin_term_of(k);
        const size_t row = of.row, byte = of.column * t->in + of.channel;
        for (size_t o = 0; o < t->out; o++)
            t->codes[((row * quads + byte / THIN_QUAD) * t->out + o) * THIN_QUAD + byte % THIN_QUAD] =
                (int8_t)t->weights[k * t->out + o];
    }
}

void thin_window_begin(thin_layer *t) {
    if (t->type == MQ_U8) set_codes(t);
    thin_window_sums(t);
}

/* ---- what dx subtracts ---- */

/* Whether kernel row or column k has an output that reads a pixel there. */
static bool reads(int edge, size_t k) {
    return edge == THIN_FIRST ? k < 2 : edge == THIN_MIDDLE || k > 0;
}

static void set_table(const thin_layer *t) {
    float *to = t->window->table;
    for (size_t o = 0; o < t->out; o++)
        for (size_t place = 0; place < THIN_TILE; place++)
            for (size_t i = 0; i < t->in; i++)
                for (size_t at = 0; at < THIN_AREA; at++, to++) {
                    const size_t y = at / THIN_CORNER - place / 2, x = at % THIN_CORNER - place % 2;
                    const size_t term = (i * THIN_SIDE + y) * THIN_SIDE + x;
                    *to = y < THIN_SIDE && x < THIN_SIDE ? t->weights[term * t->out + o] : 0;
                }
}

/* By term k, outputs give to the pixel there -offset, and -mix[j] times their term j. */
static void add_output(const thin_layer *t, size_t k, double offset, const double *mix) {
    thin_window *w = t->window;
    const thin_term to = thin_term_of(k);
    for (int y = 0; y < THIN_EDGES; y++)
        for (int x = 0; x < THIN_EDGES; x++) {
            if (!reads(y, to.row) || !reads(x, to.column)) continue;
            w->offset[y][x][to.channel] += (float)offset;
            for (size_t j = 0; j < t->terms; j++) {
                const thin_term from = thin_term_of(j);
                const size_t row = from.row + REACH - to.row, column = from.column + REACH - to.column;
                w->filter[y][x][to.channel][from.channel][row * THIN_DISTANCES + column] += (float)mix[j];
            }
        }
}

void thin_window_begin_gradient(thin_layer *t, const norm_backward *k) {
    thin_window *w = t->window;
    const double pixels = (double)(t->n * t->h * t->w);
    double centre[THIN_TERMS];
    for (size_t j = 0; j < t->terms; j++) { /* every pixel is the middle of one window */
        const thin_term of = thin_term_of(j);
        if (of.row == 1 && of.column == 1)
            w->centre[of.channel] = pixels > 0 ? (float)(t->sum[j] / pixels) : 0;
    }
    for (size_t j = 0; j < t->terms; j++) centre[j] = (double)w->centre[thin_term_of(j).channel];
    memset(w->filter, 0, sizeof w->filter);
    memset(w->offset, 0, sizeof w->offset);
    memset(w->band, 0, sizeof w->band);
    set_table(t);
    double offset[THIN_TERMS] = {0}, mix[THIN_TERMS][THIN_TERMS] = {{0}};
    for (size_t o = 0; o < t->out; o++) {
        const double slope = (double)k->slope[o];
        const double level = (double)k->b[o] + slope * (thin_applied(t, o, centre) - (double)k->mean[o]);
        for (size_t i = 0; i < t->terms; i++) {
            offset[i] += thin_weight(t, i, o) * level;
            for (size_t j = 0; j < t->terms; j++)
                mix[i][j] += thin_weight(t, i, o) * slope * thin_weight(t, j, o);
        }
    }
    for (size_t i = 0; i < t->terms; i++) add_output(t, i, offset[i], mix[i]);
}

/* ---- rows of dx ---- */

/* Rows of dx, `count` of them from y on, whose sums lie one behind the other; pixels around them. */
typedef struct finishing {
    const thin_layer *t;
    size_t image, y, count;
    const float *sums; /* [count][in][stride], W^T g from column -1 on */
    float *lines;      /* [in][count + 4][COLUMNS_STRIDE] */
} finishing;

/* One pixel of the first or last column. */
static void rest_at(const finishing *f, size_t row, thin_edge column, size_t at, const float *sums,
                    float *out) {
    const thin_layer *t = f->t;
    const thin_window *w = t->window;
    const thin_edge edge = thin_edge_of(f->y + row, t->h);
    float sum[THIN_CHANNELS];
    for (size_t i = 0; i < t->in; i++) sum[i] = sums[i * w->stride + at] - w->offset[edge][column][i];
    for (size_t j = 0; j < t->in; j++)
        for (size_t k = 0; k < THIN_FILTER; k++) {
            const size_t line = j * (f->count + 2 * REACH) + row + k / 5;
            const float x = f->lines[line * COLUMNS_STRIDE + at + k % 5];
            for (size_t i = 0; i < t->in; i++) sum[i] -= w->filter[edge][column][i][j][k] * x;
        }
    for (size_t i = 0; i < t->in; i++) out[i * COLUMNS_STRIDE + at] = sum[i];
}

static void finish_columns(const finishing *f, size_t x, size_t columns, void *dx, mq_dtype type) {
    const thin_layer *t = f->t;
    thin_window *w = t->window;
    float out[THIN_CHANNELS * COLUMNS_STRIDE];
    for (size_t row = 0; row < f->count; row++) {
        const thin_edge edge = thin_edge_of(f->y + row, t->h);
        const size_t pixel = (f->image * t->h + f->y + row) * t->w + x;
        const float *sums = f->sums + row * t->in * w->stride + 1 + x;
        const thin_rest rest = {.filter = w->filter[edge][THIN_MIDDLE],
                                .offset = w->offset[edge][THIN_MIDDLE],
                                .lines = f->lines + row * COLUMNS_STRIDE,
                                .sums = sums,
                                .out = out,
                                .in = t->in,
                                .columns = columns,
                                .stride = COLUMNS_STRIDE,
                                .plane = (f->count + 2 * REACH) * COLUMNS_STRIDE,
                                .sums_stride = w->stride,
                                .out_stride = COLUMNS_STRIDE};
        thin_window_rest_avx512(&rest);
        if (x == 0) rest_at(f, row, THIN_FIRST, 0, sums, out);
        if (x + columns == t->w) rest_at(f, row, THIN_LAST, columns - 1, sums, out);
        thin_pixels_avx512(out, COLUMNS_STRIDE, t->in, columns,
                           (char *)dx + pixel * t->in * mq_dtype_size(type), type);
    }
}

/* One or two rows of an image. */
static void finish_rows(const thin_layer *t, size_t image, size_t y, size_t count, const float *sums,
                        void *dx, mq_dtype type) {
    float lines[THIN_CHANNELS * (2 + 2 * REACH) * COLUMNS_STRIDE];
    const finishing f = {t, image, y, count, sums, lines};
    for (size_t x = 0; x < t->w; x += COLUMNS) {
        const size_t n = t->w - x < COLUMNS ? t->w - x : COLUMNS;
        thin_window_lines(t, image, (ptrdiff_t)y - REACH, count + 2 * REACH, (ptrdiff_t)x - REACH,
                          n + 2 * REACH, t->window->centre, lines, COLUMNS_STRIDE);
        finish_columns(&f, x, n, dx, type);
    }
}

static float *row_of(const thin_layer *t, size_t task, size_t row) {
    const thin_window *w = t->window;
    return w->rows + (task * THIN_BAND + row) * t->in * w->stride;
}

/* Of the four rows of W^T g that a row of the pool adds to, the upper two are the lower two of the row before
 * it, where this task had that. */
static void begin_row(const thin_layer *t, size_t task, size_t row) {
    thin_window *w = t->window;
    const size_t two = 2 * t->in * w->stride;
    if (w->band[task].end == 0) w->band[task].first = row;
    if (w->band[task].first == row || row % (t->h / 2) == 0)
        memset(row_of(t, task, 0), 0, two * sizeof(float));
    else
        memcpy(row_of(t, task, 0), row_of(t, task, 2), two * sizeof(float));
    memset(row_of(t, task, 2), 0, two * sizeof(float));
    w->band[task].end = row + 1;
}

/* Rows of which all is added up; a task's first two it keeps. */
static void end_row(const thin_layer *t, size_t task, size_t row, void *dx, mq_dtype type) {
    const thin_window *w = t->window;
    const size_t half = t->h / 2, y = row % half * 2, image = row / half;
    if (w->band[task].first == row && y > 0) {
        memcpy(row_of(t, task, 4), row_of(t, task, 0), 2 * t->in * w->stride * sizeof(float));
    } else {
        const size_t none = y == 0; /* of the image, above its first */
        finish_rows(t, image, y - 1 + none, 2 - none, row_of(t, task, none), dx, type);
    }
    if (y + 2 == t->h) finish_rows(t, image, y + 1, 1, row_of(t, task, 2), dx, type);
}

void thin_window_gradient(const pooled_norm *p, size_t task, size_t row, int column, int columns,
                          const float *dy, void *dx, mq_dtype type) {
    const thin_layer *t = p->thin;
    float lines[THIN_CHANNELS * THIN_CORNER * PIECE_STRIDE], g[NORM_PIECE];
    const size_t c = (size_t)p->c, most = NORM_PIECE / c < PIECE ? NORM_PIECE / c : PIECE;
    if (dx && column == 0) begin_row(t, task, row);
    for (size_t at = (size_t)column, end = at + (size_t)columns, n; at < end; at += n, dy += n * c) {
        n = end - at < most ? end - at : most;
        const size_t first = (row * (size_t)p->w + at) * c;
        lines_of(p, row, at, n, lines);
        thin_window_weights_avx512(p, lines, PIECE_STRIDE, n, first, dy, g, t->partial + task * t->each);
        if (dx) thin_window_scatter_avx512(p, n, first, g, row_of(t, task, 0) + 2 * at);
    }
    if (dx && column + columns == p->w) end_row(t, task, row, dx, type);
}

typedef struct joining {
    const thin_layer *t;
    void *dx;
    mq_dtype type;
} joining;

/* The two rows that a task's first row shares with the last one of the task before. */
static void join_task(void *context, size_t task) {
    const joining *all = context;
    const thin_layer *t = all->t;
    const thin_window *w = t->window;
    const size_t half = t->h / 2, row = w->band[task].first, two = 2 * t->in * w->stride;
    if (w->band[task].end == 0 || row % half == 0) return;
    size_t before = 0;
    while (before < NORM_TASKS - 1 && w->band[before].end != row) before++;
    float *sums = row_of(t, task, 4);
    const float *others = row_of(t, before, 2);
    for (size_t i = 0; i < two; i++) sums[i] += others[i];
    const size_t y = row % half * 2;
    finish_rows(t, row / half, y - 1, 2, sums, all->dx, all->type);
}

void thin_window_end_gradient(const thin_layer *t, void *dx, mq_dtype type) {
    joining all = {t, dx, type};
    mq_parallel(NORM_TASKS, join_task, &all);
}
