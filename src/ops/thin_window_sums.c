/* thin_window_sums.c - sums of x and x x^T over all 3x3 windows of images (thin_window.h). */
#include "ops/thin_window.h"

#include <string.h>

#include "base/parallel.h"

enum {
    GROUP = 4,     /* rows at a time */
    COLUMNS = 256, /* of these: products of bytes have exact float32 sums, 4*256/16 of them in each */
    STRIDE = COLUMNS + 16
};

static const float NO_CENTRE[THIN_CHANNELS];

/* The same as the products of whole rows, of one column. */
static void add_column(const float *lines, size_t rows, size_t column, size_t in, thin_products *to) {
    const size_t plane = (rows + 2) * STRIDE;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < in; i++) {
            const float *x = lines + i * plane + r * STRIDE + column + 2;
            to->sum[i] += (double)*x;
            for (size_t y = 0; y < THIN_SIDE; y++)
                for (size_t j = 0; j < in; j++) {
                    const float *other = lines + j * plane + (r + y) * STRIDE + column;
                    for (size_t d = 0; d < THIN_DISTANCES; d++)
                        to->dot[y][d][i][j] += (double)*x * (double)other[d];
                }
        }
}

/* Rows of one image, alike. */
static void add_rows(const thin_layer *t, size_t image, size_t y, size_t rows, thin_products *to) {
    float lines[THIN_CHANNELS * (GROUP + 2) * STRIDE];
    for (size_t x = 0; x < t->w; x += COLUMNS) {
        const size_t n = t->w - x < COLUMNS ? t->w - x : COLUMNS;
        thin_window_lines(t, image, (ptrdiff_t)y, rows + 2, (ptrdiff_t)x - 2, n + 4, NO_CENTRE, lines,
                          STRIDE);
        thin_window_products_avx512(lines, STRIDE, rows, n, t->in, &to[THIN_MIDDLE]);
        if (x == 0) add_column(lines, rows, 0, t->in, &to[THIN_FIRST]);
        if (x + n == t->w) add_column(lines, rows, n - 1, t->in, &to[THIN_LAST]);
    }
}

static void sums_task(void *context, size_t task) {
    const thin_layer *t = context;
    thin_totals *totals = (void *)(t->partial + task * t->each);
    memset(totals, 0, sizeof *totals);
    size_t first, count;
    norm_share(t->n * t->h, NORM_TASKS, task, &first, &count);
    for (size_t end = first + count, rows; first < end; first += rows) {
        const size_t y = first % t->h, left = end - first;
        const thin_edge edge = y == 0 ? THIN_FIRST : y == t->h - 1 ? THIN_LAST : THIN_MIDDLE;
        rows = edge != THIN_MIDDLE ? 1 : t->h - 1 - y < GROUP ? t->h - 1 - y : GROUP;
        if (rows > left) rows = left;
        add_rows(t, first / t->h, y, rows, totals->of[edge]);
    }
}

static thin_totals all_tasks(const thin_layer *t) {
    thin_totals all = {0};
    double *to = (void *)&all;
    for (size_t task = 0; task < NORM_TASKS; task++)
        for (size_t i = 0; i < THIN_WINDOW_SUMS; i++) to[i] += t->partial[task * t->each + i];
    return all;
}

/* The row or column that a window's pixel is never in: none where that is THIN_MIDDLE. The first pixel of a
 * window is never in the image's last row. */
static thin_edge never(size_t place) {
    return place == 0 ? THIN_LAST : place == 1 ? THIN_MIDDLE : THIN_FIRST;
}

/* Over the windows of a sum by its rows and columns, at `offset` doubles of it. */
static double over_windows(const thin_totals *all, size_t row, size_t column, size_t offset) {
    double sum = 0;
    for (int y = 0; y < THIN_EDGES; y++) {
        if (y != THIN_MIDDLE && y == (int)never(row)) continue;
        sum += ((const double *)(const void *)&all->of[y][THIN_MIDDLE])[offset];
        if (never(column) != THIN_MIDDLE)
            sum -= ((const double *)(const void *)&all->of[y][never(column)])[offset];
    }
    return sum;
}

/* Pixels (row, column) of windows, in the order of terms. */
typedef struct term {
    size_t channel, row, column;
} term;

static term term_of(size_t k) {
    return (term){k / (THIN_SIDE * THIN_SIDE), k / THIN_SIDE % THIN_SIDE, k % THIN_SIDE};
}

static double product_of(const thin_totals *all, term a, term b) {
    const bool turned = b.row < a.row || (b.row == a.row && b.column < a.column);
    const term from = turned ? b : a, to = turned ? a : b;
    const size_t distance = to.column + THIN_DISTANCES / 2 - from.column;
    const double *at = &all->of[0][0].dot[to.row - from.row][distance][from.channel][to.channel];
    return over_windows(all, from.row, from.column, (size_t)(at - (const double *)(const void *)all));
}

void thin_window_sums(thin_layer *t) {
    mq_parallel(NORM_TASKS, sums_task, t);
    const thin_totals all = all_tasks(t);
    for (size_t k = 0; k < t->terms; k++) {
        const term a = term_of(k);
        const double *sum = &all.of[0][0].sum[a.channel];
        t->sum[k] = over_windows(&all, a.row, a.column, (size_t)(sum - (const double *)(const void *)&all));
        for (size_t j = 0; j < t->terms; j++) t->products[k][j] = product_of(&all, a, term_of(j));
    }
}
