/* fast_nodes.c - what each kind of node does to stored edges, in parts of rows and channels. */
#include <string.h>

#include "base/parallel.h"
#include "sim/sim_fast.h"

static int input_of(const mq_fast *f, int n) {
    return f->net->nodes[n].input[0];
}

static uint8_t *pixel_at(const mq_fast_edge *edge, uint8_t *memory, int y, int x) {
    return memory + edge->origin + (size_t)y * edge->row + (size_t)x * edge->pixel;
}

static int smaller(int a, int b) {
    return a < b ? a : b;
}

/* ---- zeros around ---- */

void mq_fast_put_zeros(const mq_fast *f, const mq_fast_work *work, int n, size_t image, size_t image_end) {
    const mq_fast_edge *e = &f->node[n].edge;
    const int rows = f->net->nodes[n].edge.h;
    const size_t width = (size_t)f->net->nodes[n].edge.w * e->pixel, left = (size_t)e->left * e->pixel;
    const size_t right = (size_t)e->right * e->pixel;
    if (!(e->top || e->left || e->bottom || e->right)) return;
    for (size_t i = image; i < image_end; i++) {
        uint8_t *row = mq_fast_memory(f, work, n, i);
        memset(row, e->zero, (size_t)e->top * e->row);
        row += (size_t)e->top * e->row;
        for (int y = 0; y < rows; y++, row += e->row) {
            memset(row, e->zero, left);
            memset(row + left + width, e->zero, right);
        }
        memset(row, e->zero, (size_t)e->bottom * e->row);
    }
}

/* ---- layers ---- */

/* Pixels that go through the kernels together. */
typedef struct tile {
    const mq_fast_super *rule; /* requantised by it, or NULL: accumulators */
    const mq_fast_kernels *kernels;
    const mq_fast_super *super;
    uint8_t *to[MQ_FAST_PIXELS];
    const uint8_t *from[MQ_FAST_PIXELS];
    int pixels;
    bool depthwise;
} tile;

static void flush(tile *t) {
    int32_t acc[MQ_FAST_PIXELS * MQ_FAST_TILE] __attribute__((aligned(64)));
    const mq_fast_dot *dot = &t->super->dot;
    if (t->pixels == 0) return;
    (t->depthwise ? t->kernels->depthwise : t->kernels->conv)(dot, t->from, t->pixels, acc);
    if (t->rule)
        t->kernels->requant(t->rule->rule, dot->blocks, acc, t->pixels, t->to);
    else
        for (int p = 0; p < t->pixels; p++)
            memcpy(t->to[p], acc + p * MQ_FAST_TILE, (size_t)t->super->channels * sizeof *acc);
    t->pixels = 0;
}

/* Rows of images that a layer writes. */
typedef struct sink {
    const mq_fast_edge *edge;
    uint8_t *memory; /* of the part's first image */
    size_t apart;    /* bytes from one image to the next */
    int first_row;   /* the row that lies at edge->origin */
} sink;

/* Runs layer n: accumulators, or where `requant` is a node its codes. Pixels of all images and rows of the
 * part form one sequence of tiles. */
static void run_layer(const mq_fast *f, const mq_fast_work *work, int n, int requant,
                      const mq_fast_part *part, const sink *out) {
    const mq_fast_node *layer = &f->node[n];
    const int from = input_of(f, n), columns = f->net->nodes[n].edge.w;
    const mq_fast_edge *in = &f->node[from].edge;
    const size_t step = (size_t)layer->stride_w * in->pixel;
    for (int s = part->super; s < part->super_end; s++) {
        tile t = {.kernels = f->kernels, .super = &layer->super[s], .depthwise = layer->depthwise};
        if (requant >= 0) t.rule = &f->node[requant].super[s];
        const size_t first = (size_t)t.super->channel * (requant >= 0 ? 1 : sizeof(int32_t));
        for (size_t i = part->image; i < part->image_end; i++) {
            const uint8_t *image = mq_fast_memory(f, work, from, i) + in->origin + t.super->input;
            for (int y = part->row; y < part->row_end; y++) {
                const ptrdiff_t row = (ptrdiff_t)y * layer->stride_h - layer->pad_top;
                const uint8_t *source =
                    image + row * (ptrdiff_t)in->row - layer->pad_left * (ptrdiff_t)in->pixel;
                uint8_t *to =
                    pixel_at(out->edge, out->memory + (i - part->image) * out->apart, y - out->first_row, 0) +
                    first;
                for (int x = 0; x < columns; x++, source += step, to += out->edge->pixel) {
                    t.from[t.pixels] = source;
                    t.to[t.pixels] = to;
                    if (++t.pixels == MQ_FAST_PIXELS) flush(&t);
                }
            }
        }
        flush(&t);
    }
}

static sink stored(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    return (sink){.edge = &f->node[n].edge,
                  .memory = mq_fast_memory(f, work, n, part->image),
                  .apart = f->memory[work->level]};
}

static void run_alone(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    const sink out = stored(f, work, n, part);
    run_layer(f, work, n, -1, part, &out);
}

/* REQUANT of stored accumulators. */
static void requant_stored(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    const mq_fast_node *node = &f->node[n];
    const mq_fast_edge *in = &f->node[input_of(f, n)].edge;
    const int columns = f->net->nodes[n].edge.w;
    int32_t acc[MQ_FAST_TILE] = {0};
    for (size_t i = part->image; i < part->image_end; i++) {
        for (int y = part->row; y < part->row_end; y++) {
            const uint8_t *from = pixel_at(in, mq_fast_memory(f, work, input_of(f, n), i), y, 0);
            uint8_t *to = pixel_at(&node->edge, mq_fast_memory(f, work, n, i), y, 0);
            for (int x = 0; x < columns; x++, from += in->pixel, to += node->edge.pixel) {
                for (int s = part->super; s < part->super_end; s++) {
                    const mq_fast_super *super = &node->super[s];
                    uint8_t *out = to + super->channel;
                    memcpy(acc, from + (size_t)super->channel * sizeof *acc,
                           (size_t)super->channels * sizeof *acc);
                    f->kernels->requant(super->rule, (super->channels + MQ_FAST_LANES - 1) / MQ_FAST_LANES,
                                        acc, 1, &out);
                }
            }
        }
    }
}

static void run_requant(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    const int layer = input_of(f, n);
    if (!mq_fast_is_fused(f, layer, work->level)) {
        requant_stored(f, work, n, part);
        return;
    }
    const sink out = stored(f, work, n, part);
    run_layer(f, work, layer, n, part, &out);
}

/* ---- pools ---- */

/* Rows of pixels, and the result's pixels. */
typedef struct window {
    const uint8_t *from; /* the first input row */
    size_t row, pixel;   /* bytes in the input */
    int kernel, stride, columns;
    uint8_t *to;
    size_t to_pixel;
} window;

/* n bytes, a constant where it is inlined, of every pixel from byte c on. */
static inline __attribute__((always_inline)) void largest_codes(const window *v, size_t c, const size_t n) {
    const uint8_t *from = v->from + c;
    uint8_t *to = v->to + c;
    for (int x = 0; x < v->columns; x++, from += (size_t)v->stride * v->pixel, to += v->to_pixel) {
        uint8_t most[64];
        memcpy(most, from, n);
        for (int ky = 0; ky < v->kernel; ky++) {
            for (int kx = 0; kx < v->kernel; kx++) {
                const uint8_t *code = from + (size_t)ky * v->row + (size_t)kx * v->pixel;
                for (size_t i = 0; i < n; i++) most[i] = most[i] > code[i] ? most[i] : code[i];
            }
        }
        memcpy(to, most, n);
    }
}

/* Successive bytes in vectors as wide as the pixel has; the last ones overlap, which a maximum does not mind.
 */
MQ_CLONES static void pool_codes(const window *v) {
    size_t c = 0;
    for (; c + 64 <= v->pixel; c += 64) largest_codes(v, c, 64);
    for (; c + 16 <= v->pixel; c += 16) largest_codes(v, c, 16);
    if (c < v->pixel && v->pixel >= 16) {
        largest_codes(v, v->pixel - 16, 16);
        return;
    }
    for (; c < v->pixel; c += 4) largest_codes(v, c, 4);
}

MQ_CLONES static void pool_int32(const window *v) {
    const size_t channels = v->pixel / sizeof(int32_t);
    for (int x = 0; x < v->columns; x++) {
        const uint8_t *from = v->from + (size_t)(x * v->stride) * v->pixel;
        int32_t *to = (int32_t *)(v->to + (size_t)x * v->to_pixel);
        memcpy(to, from, v->pixel);
        for (int ky = 0; ky < v->kernel; ky++) {
            for (int kx = 0; kx < v->kernel; kx++) {
                const int32_t *acc = (const int32_t *)(from + (size_t)ky * v->row + (size_t)kx * v->pixel);
                for (size_t c = 0; c < channels; c++) to[c] = to[c] > acc[c] ? to[c] : acc[c];
            }
        }
    }
}

/* One row of the result of node n. */
static void pool_row(const mq_fast *f, int n, const mq_fast_edge *in, const uint8_t *from, uint8_t *to) {
    const mq_inet_node *node = &f->net->nodes[n];
    const window v = {.from = from,
                      .row = in->row,
                      .pixel = in->pixel,
                      .kernel = node->pool.kernel,
                      .stride = node->pool.stride,
                      .columns = node->edge.w,
                      .to = to,
                      .to_pixel = f->node[n].edge.pixel};
    (in->type == MQ_FAST_CODES ? pool_codes : pool_int32)(&v);
}

/* Layer, requantisation and pool as one: as many rows of codes as the scratch memory takes, then their
 * maxima. */
static void run_fused_pool(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    const mq_inet_node *node = &f->net->nodes[n];
    const int requant = node->input[0], layer = input_of(f, requant), kernel = node->pool.kernel;
    const mq_fast_edge *edge = &f->node[n].edge;
    mq_fast_edge codes = f->node[requant].edge;
    codes.origin = 0;
    codes.row = (size_t)f->net->nodes[requant].edge.w * codes.pixel;
    const int at_once = (int)((f->scratch - MQ_FAST_SLACK) / ((size_t)kernel * codes.row));
    mq_fast_part piece = {.super_end = f->node[requant].super_count};
    for (size_t i = part->image; i < part->image_end; i++) {
        for (int y = part->row; y < part->row_end; y += at_once) {
            const int end = smaller(y + at_once, part->row_end);
            piece.image = i;
            piece.image_end = i + 1;
            piece.row = y * kernel;
            piece.row_end = end * kernel;
            const sink out = {.edge = &codes, .memory = work->scratch, .first_row = piece.row};
            run_layer(f, work, layer, requant, &piece, &out);
            for (int row = y; row < end; row++)
                pool_row(f, n, &codes, work->scratch + (size_t)((row - y) * kernel) * codes.row,
                         pixel_at(edge, mq_fast_memory(f, work, n, i), row, 0));
        }
    }
}

static void run_pool(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    const mq_inet_node *node = &f->net->nodes[n];
    const mq_fast_edge *in = &f->node[node->input[0]].edge, *out = &f->node[n].edge;
    if (mq_fast_is_fused(f, node->input[0], work->level)) {
        run_fused_pool(f, work, n, part);
        return;
    }
    for (size_t i = part->image; i < part->image_end; i++)
        for (int y = part->row; y < part->row_end; y++)
            pool_row(f, n, in,
                     pixel_at(in, mq_fast_memory(f, work, node->input[0], i), y * node->pool.stride, 0),
                     pixel_at(out, mq_fast_memory(f, work, n, i), y, 0));
}

/* ---- nodes that move codes ---- */

MQ_CLONES static void image_row_planes3(const uint8_t *restrict a, const uint8_t *restrict b,
                                        const uint8_t *restrict c, int shift, size_t n,
                                        uint8_t *restrict to) {
    for (size_t i = 0; i < n; i++) {
        to[4 * i] = (uint8_t)(a[i] >> shift);
        to[4 * i + 1] = (uint8_t)(b[i] >> shift);
        to[4 * i + 2] = (uint8_t)(c[i] >> shift);
        to[4 * i + 3] = 0;
    }
}

MQ_CLONES static void image_row_pixels3(const uint8_t *restrict from, int shift, size_t n,
                                        uint8_t *restrict to) {
    for (size_t i = 0; i < n; i++) {
        to[4 * i] = (uint8_t)(from[3 * i] >> shift);
        to[4 * i + 1] = (uint8_t)(from[3 * i + 1] >> shift);
        to[4 * i + 2] = (uint8_t)(from[3 * i + 2] >> shift);
        to[4 * i + 3] = 0;
    }
}

static void image_row(const uint8_t *from, size_t to_channel, size_t to_pixel, size_t channels, int shift,
                      size_t columns, uint8_t *to, size_t pixel) {
    for (size_t x = 0; x < columns; x++, to += pixel)
        for (size_t c = 0; c < channels; c++) to[c] = (uint8_t)(from[c * to_channel + x * to_pixel] >> shift);
}

/* image: number in the batch of the first one of the thread's memory */
static void run_image(const mq_fast *f, const mq_fast_work *work, int n, const mq_sim_batch *batch,
                      size_t first, const mq_fast_part *part) {
    const mq_inet_node *node = &f->net->nodes[n];
    const mq_fast_edge *edge = &f->node[n].edge;
    const size_t columns = (size_t)node->edge.w, channels = (size_t)node->edge.c;
    const size_t plane = columns * (size_t)node->edge.h;
    const int shift = mq_inet_image_shift(&node->image); /* signed codes have 128 added */
    for (size_t i = part->image; i < part->image_end; i++) {
        const uint8_t *from = batch->images + (first + i) * plane * channels;
        for (int y = part->row; y < part->row_end; y++) {
            uint8_t *to = pixel_at(edge, mq_fast_memory(f, work, n, i), y, 0);
            const uint8_t *row = from + (size_t)y * columns;
            if (batch->layout == MQ_SIM_NCHW && channels == 3)
                image_row_planes3(row, row + plane, row + 2 * plane, shift, columns, to);
            else if (batch->layout == MQ_SIM_NCHW)
                image_row(row, plane, 1, channels, shift, columns, to, edge->pixel);
            else if (channels == 3)
                image_row_pixels3(from + (size_t)y * columns * 3, shift, columns, to);
            else
                image_row(from + (size_t)y * columns * channels, 1, channels, channels, shift, columns, to,
                          edge->pixel);
        }
    }
}

static void run_reorg(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    const mq_inet_node *node = &f->net->nodes[n];
    const mq_fast_edge *in = &f->node[node->input[0]].edge, *out = &f->node[n].edge;
    const size_t channels = (size_t)node->edge.c / 4;
    for (size_t i = part->image; i < part->image_end; i++) {
        uint8_t *from = mq_fast_memory(f, work, node->input[0], i), *to = mq_fast_memory(f, work, n, i);
        for (int y = part->row; y < part->row_end; y++)
            for (int x = 0; x < node->edge.w; x++)
                for (int d = 0; d < 4; d++)
                    memcpy(pixel_at(out, to, y, x) + (size_t)d * channels,
                           pixel_at(in, from, 2 * y + d / 2, 2 * x + d % 2), channels);
    }
}

static void run_concat(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    const mq_inet_node *node = &f->net->nodes[n];
    const mq_fast_edge *out = &f->node[n].edge;
    for (size_t i = part->image; i < part->image_end; i++) {
        size_t first = 0;
        for (int k = 0; k < node->input_count; k++) {
            const mq_fast_edge *in = &f->node[node->input[k]].edge;
            const size_t channels = (size_t)f->net->nodes[node->input[k]].edge.c;
            for (int y = part->row; y < part->row_end; y++) {
                const uint8_t *from = pixel_at(in, mq_fast_memory(f, work, node->input[k], i), y, 0);
                uint8_t *to = pixel_at(out, mq_fast_memory(f, work, n, i), y, 0) + first;
                for (int x = 0; x < node->edge.w; x++, from += in->pixel, to += out->pixel)
                    memcpy(to, from, channels);
            }
            first += channels;
        }
    }
}

static void run_rescale(const mq_fast *f, const mq_fast_work *work, int n, const mq_fast_part *part) {
    const mq_inet_node *node = &f->net->nodes[n];
    const mq_fast_edge *in = &f->node[node->input[0]].edge, *out = &f->node[n].edge;
    const uint8_t *code = f->node[n].code;
    for (size_t i = part->image; i < part->image_end; i++) {
        for (int y = part->row; y < part->row_end; y++) {
            const uint8_t *from = pixel_at(in, mq_fast_memory(f, work, node->input[0], i), y, 0);
            uint8_t *to = pixel_at(out, mq_fast_memory(f, work, n, i), y, 0);
            for (size_t k = 0; k < (size_t)node->edge.w * out->pixel; k++) to[k] = code[from[k]];
        }
    }
}

static void run_output(const mq_fast *f, const mq_fast_work *work, int n, const mq_sim_batch *batch,
                       size_t first, const mq_fast_part *part) {
    const int from = input_of(f, n);
    const mq_inet_edge *e = &f->net->nodes[n].edge;
    const mq_fast_edge *in = &f->node[from].edge;
    const size_t pixels = (size_t)e->h * (size_t)e->w;
    for (size_t i = part->image; i < part->image_end; i++) {
        for (int y = part->row; y < part->row_end; y++) {
            for (int x = 0; x < e->w; x++) {
                const uint8_t *pixel = pixel_at(in, mq_fast_memory(f, work, from, i), y, x);
                size_t at = (first + i) * (size_t)e->c * pixels + (size_t)y * (size_t)e->w + (size_t)x;
                for (int c = 0; c < e->c; c++, at += pixels)
                    mq_sim_put_output(f->net, batch, at, mq_fast_code(in, pixel, (size_t)c));
            }
        }
    }
}

/* ---- the reference's nodes ---- */

static void run_slow(const mq_fast *f, mq_fast_work *work, int n, const mq_fast_part *part) {
    static void (*const table[])(const mq_sim_reference *, int, mq_sim_work *) = {
#define RUN(id, name, least, most) mq_sim_run_##id,
        MQ_INET_KINDS(RUN)
#undef RUN
    };
    const mq_inet_node *node = &f->net->nodes[n];
    for (size_t i = part->image; i < part->image_end; i++) {
        for (int k = 0; k < node->input_count; k++)
            mq_fast_get_codes(f, node->input[k], mq_fast_memory(f, work, node->input[k], i),
                              mq_sim_codes(&f->reference, &work->reference, node->input[k]));
        table[node->kind](&f->reference, n, &work->reference);
        mq_fast_set_codes(f, n, mq_fast_memory(f, work, n, i),
                          mq_sim_codes(&f->reference, &work->reference, n));
    }
}

void mq_fast_run_node(const mq_fast *f, mq_fast_work *work, int n, const mq_sim_batch *batch, size_t first,
                      const mq_fast_part *part) {
    if (mq_fast_is_fused(f, n, work->level)) return;
    if (f->node[n].slow) {
        run_slow(f, work, n, part);
        return;
    }
    switch (f->net->nodes[n].kind) {
    case MQ_INET_IMAGE:
        run_image(f, work, n, batch, first, part);
        break;
    case MQ_INET_CONV:
    case MQ_INET_LINEAR:
        run_alone(f, work, n, part);
        break;
    case MQ_INET_REQUANT:
        run_requant(f, work, n, part);
        break;
    case MQ_INET_MAX_POOL:
        run_pool(f, work, n, part);
        break;
    case MQ_INET_REORG:
        run_reorg(f, work, n, part);
        break;
    case MQ_INET_CONCAT:
        run_concat(f, work, n, part);
        break;
    case MQ_INET_RESCALE:
        run_rescale(f, work, n, part);
        break;
    case MQ_INET_OUTPUT:
        run_output(f, work, n, batch, first, part);
        break;
    default: /* slow */
        break;
    }
}
