/* thin_window_sums.c - sums of x and x x^T over all 3x3 windows of images (thin_window.h). */
#include "ops/thin_window.h"

#include <string.h>

#include "base/parallel.h"

enum {
    GROUP = 4,     /* rows at a time */
    COLUMNS = 256, /* of these */
    STRIDE = COLUMNS + 16,
    BYTES_GROUP = 8, /* of bytes: int32 holds what a lane adds up */
    BYTES_COLUMNS = 512,
    BYTES_STRIDE = BYTES_COLUMNS + 64
};

/* Rows of an image, alike, and what is read around some of their columns: lines [in][rows + 2][stride] of
 * float32, or of bytes, from column x - 2 on. */
typedef struct piece {
    const thin_layer *t;
    size_t image, y, rows, x, columns, stride;
    const void *lines;
} piece;

static double pixel(const piece *p, size_t channel, size_t row, size_t column) {
    const size_t at = (channel * (p->rows + 2) + row) * p->stride + column;
    return p->t->type == MQ_U8 ? ((const uint8_t *)p->lines)[at] : (double)((const float *)p->lines)[at];
}

/* The same as the products of whole rows, of one column. */
static void add_column(const piece *p, size_t column, thin_products *to) {
    for (size_t r = 0; r < p->rows; r++)
        for (size_t i = 0; i < p->t->in; i++) {
            const double middle = pixel(p, i, r, column + THIN_DISTANCES / 2);
            to->sum[i] += middle;
            for (size_t y = 0; y < THIN_SIDE; y++)
                for (size_t j = 0; j < p->t->in; j++)
                    for (size_t d = 0; d < THIN_DISTANCES; d++)
                        to->dot[y][d][i][j] += middle * pixel(p, j, r + y, column + d);
        }
}

static void read_lines(const piece *p, float *lines) {
    thin_window_lines(p->t, p->image, (ptrdiff_t)p->y, p->rows + 2, (ptrdiff_t)p->x - 2, p->columns + 4, NULL,
                      lines, p->stride);
}

static void read_bytes(const piece *p, uint8_t *lines) {
    const size_t plane = (p->rows + 2) * p->stride;
    for (size_t r = 0; r < p->rows + 2; r++, lines += p->stride) {
        const thin_row row =
            thin_window_row(p->t, p->image, (ptrdiff_t)(p->y + r), (ptrdiff_t)p->x - 2, p->columns + 4);
        const size_t behind = row.outside + row.count;
        if (row.count) thin_planes_bytes_avx512(row.pixels, p->t->in, row.count, lines + row.outside, plane);
        for (size_t i = 0; i < p->t->in; i++) {
            memset(lines + i * plane, 0, row.outside);
            memset(lines + i * plane + behind, 0, p->stride - behind);
        }
    }
}

static void add_piece(piece p, thin_products *to) {
    float lines[THIN_CHANNELS * (GROUP + 2) * STRIDE];
    uint8_t bytes[THIN_CHANNELS * (BYTES_GROUP + 2) * BYTES_STRIDE];
    if (p.t->type == MQ_U8) {
        read_bytes(&p, bytes);
        p.lines = bytes;
        thin_window_products_bytes(bytes, p.stride, p.rows, p.columns, p.t->in, &to[THIN_ALL_COLUMNS]);
    } else {
        read_lines(&p, lines);
        p.lines = lines;
        thin_window_products_avx512(lines, p.stride, p.rows, p.columns, p.t->in, &to[THIN_ALL_COLUMNS]);
    }
    if (p.x == 0) add_column(&p, 0, &to[THIN_FIRST_COLUMN]);
    if (p.x + p.columns == p.t->w) add_column(&p, p.columns - 1, &to[THIN_LAST_COLUMN]);
}

static void sums_task(void *context, size_t task) {
    const thin_layer *t = context;
    const bool bytes = t->type == MQ_U8;
    const size_t group = bytes ? BYTES_GROUP : GROUP, columns = bytes ? BYTES_COLUMNS : COLUMNS;
    thin_totals *totals = (void *)(t->partial + task * t->each);
    memset(totals, 0, sizeof *totals);
    size_t first, count;
    norm_share(t->n * t->h, NORM_TASKS, task, &first, &count);
    piece p = {.t = t, .stride = bytes ? BYTES_STRIDE : STRIDE};
    for (size_t end = first + count; first < end; first += p.rows) {
        p.image = first / t->h;
        p.y = first % t->h;
        const thin_edge edge = thin_edge_of(p.y, t->h);
        p.rows = edge != THIN_MIDDLE ? 1 : t->h - 1 - p.y < group ? t->h - 1 - p.y : group;
        if (p.rows > end - first) p.rows = end - first;
        for (p.x = 0; p.x < t->w; p.x += p.columns) {
            p.columns = t->w - p.x < columns ? t->w - p.x : columns;
            add_piece(p, totals->of[edge]);
        }
    }
}

static thin_totals all_tasks(const thin_layer *t) {
    thin_totals all = {0};
    double *to = (void *)&all;
    for (size_t task = 0; task < NORM_TASKS; task++)
        for (size_t i = 0; i < THIN_WINDOW_SUMS; i++) to[i] += t->partial[task * t->each + i];
    return all;
}

/* Over the windows of a sum by its rows and columns, at `offset` doubles of it. The first pixel of a window
 * is never in the image's last row or column, the last one never in its first. */
static double over_windows(const thin_totals *all, size_t row, size_t column, size_t offset) {
    double sum = 0;
    for (int y = 0; y < THIN_EDGES; y++) {
        if ((row == 0 && y == THIN_LAST) || (row == THIN_SIDE - 1 && y == THIN_FIRST)) continue;
        const double *const of[] = {(const void *)&all->of[y][THIN_ALL_COLUMNS],
                                    (const void *)&all->of[y][THIN_FIRST_COLUMN],
                                    (const void *)&all->of[y][THIN_LAST_COLUMN]};
        sum += of[THIN_ALL_COLUMNS][offset];
        if (column == 0) sum -= of[THIN_LAST_COLUMN][offset];
        if (column == THIN_SIDE - 1) sum -= of[THIN_FIRST_COLUMN][offset];
    }
    return sum;
}

static double product_of(const thin_totals *all, thin_term a, thin_term b) {
    const bool turned = b.row < a.row || (b.row == a.row && b.column < a.column);
    const thin_term from = turned ? b : a, to = turned ? a : b;
    const size_t distance = to.column + THIN_DISTANCES / 2 - from.column;
    const double *at = &all->of[0][0].dot[to.row - from.row][distance][from.channel][to.channel];
    return over_windows(all, from.row, from.column, (size_t)(at - (const double *)(const void *)all));
}

void thin_window_sums(thin_layer *t) {
    mq_parallel(NORM_TASKS, sums_task, t);
    const thin_totals all = all_tasks(t);
    for (size_t k = 0; k < t->terms; k++) {
        const thin_term a = thin_term_of(k);
        const double *sum = &all.of[0][0].sum[a.channel];
        t->sum[k] = over_windows(&all, a.row, a.column, (size_t)(sum - (const double *)(const void *)&all));
        for (size_t j = 0; j < t->terms; j++) t->products[k][j] = product_of(&all, a, thin_term_of(j));
    }
}
