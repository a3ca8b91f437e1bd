/* warp.c - choosing a warp, and applying it row by row. */
#include "data/warp.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "base/rng.h"

enum { DRAWS = 16, SIDE_LEAST = 3, ASPECT_MOST = 10, FRACTION = 8, ONE = 1 << FRACTION, CHUNK = 256 };
#define AREA_LEAST 0.2

/* a * b of affine maps: b first. */
static void compose(double a[2][3], double b[2][3], double out[2][3]) {
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            out[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + (j == 2 ? a[i][2] : 0);
}

static void invert(double m[2][3], double out[2][3]) {
    double d = m[0][0] * m[1][1] - m[0][1] * m[1][0];
    out[0][0] = m[1][1] / d;
    out[0][1] = -m[0][1] / d;
    out[1][0] = -m[1][0] / d;
    out[1][1] = m[0][0] / d;
    for (int i = 0; i < 2; i++) out[i][2] = -(out[i][0] * m[0][2] + out[i][1] * m[1][2]);
}

mq_warp mq_warp_choose(const mq_augment *augment, uint64_t seed, uint64_t epoch, uint64_t sample, int height,
                       int width) {
    mq_rng rng = mq_rng_stream(seed, "warp", epoch);
    double draw[DRAWS]; /* -1..1 */
    for (int i = 0; i < DRAWS; i++)
        draw[i] = 2 * (double)mq_rng_uniform(&rng, DRAWS * sample + (uint64_t)i) - 1;
    const double radian = 3.14159265358979323846 / 180, w = width, h = height;
    double angle = draw[0] * (double)augment->rotate * radian, scale = 1 + draw[1] * (double)augment->scale;
    double c = scale * cos(angle), s = scale * sin(angle), cx = w / 2, cy = h / 2;
    double turn[2][3] = {{c, s, (1 - c) * cx - s * cy}, {-s, c, s * cx + (1 - c) * cy}};
    double shift[2][3] = {{1, 0, draw[2] * (double)augment->translate * h},
                          {0, 1, draw[3] * (double)augment->translate * w}};
    double shear[2][3] = {{1, tan(draw[4] * (double)augment->shear * radian), 0},
                          {tan(draw[5] * (double)augment->shear * radian), 1, 0}};
    bool mirrored = augment->flip && draw[6] < 0;
    double flip[2][3] = {{mirrored ? -1 : 1, 0, mirrored ? w : 0}, {0, 1, 0}}, shifted[2][3], sheared[2][3];
    mq_warp out = {.moves = mirrored || augment->rotate > 0 || augment->scale > 0 || augment->translate > 0 ||
                            augment->shear > 0,
                   .colours = augment->hue > 0 || augment->saturation > 0 || augment->value > 0};
    compose(shift, turn, shifted);
    compose(shear, shifted, sheared);
    compose(flip, sheared, out.m);
    invert(out.m, out.inverse);
    const float range[3] = {augment->hue, augment->saturation, augment->value};
    for (int i = 0; i < 3; i++) out.gain[i] = 1 + (float)draw[7 + i] * range[i];
    return out;
}

bool mq_warp_box(const mq_warp *warp, int height, int width, const mq_box *in, mq_box *out) {
    *out = *in;
    if (!warp->moves) return true;
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    const double size[2] = {width, height};
    double w = (double)in->w * width, h = (double)in->h * height;
    for (int corner = 0; corner < 4; corner++) {
        double x = (double)in->x * width + (corner & 1 ? w : -w) / 2;
        double y = (double)in->y * height + (corner & 2 ? h : -h) / 2;
        for (int k = 0; k < 2; k++) {
            double at = warp->m[k][0] * x + warp->m[k][1] * y + warp->m[k][2];
            low[k] = fmin(low[k], at);
            high[k] = fmax(high[k], at);
        }
    }
    for (int k = 0; k < 2; k++) {
        low[k] = fmin(fmax(low[k], 0), size[k]);
        high[k] = fmin(fmax(high[k], 0), size[k]);
    }
    double new_w = high[0] - low[0], new_h = high[1] - low[1];
    *out = (mq_box){.x = (float)((low[0] + high[0]) / 2 / width),
                    .y = (float)((low[1] + high[1]) / 2 / height),
                    .w = (float)(new_w / width),
                    .h = (float)(new_h / height)};
    return new_w >= SIDE_LEAST && new_h >= SIDE_LEAST && new_w * new_h >= AREA_LEAST * w * h &&
           new_w <= ASPECT_MOST * new_h && new_h <= ASPECT_MOST * new_w;
}

/* Where the pixels of one row come from. */
typedef struct source_row {
    int32_t *x, *y;   /* upper left of the four, may lie outside */
    int32_t *wx, *wy; /* weights of the right and the lower ones, 0..ONE */
} source_row;

MQ_CLONES static void locate_row(const double inverse[2][3], int row, int width, source_row to) {
    double v = row + 0.5;
    float x0 = (float)(inverse[0][1] * v + inverse[0][2] + 0.5 * inverse[0][0] - 0.5),
          dx = (float)inverse[0][0];
    float y0 = (float)(inverse[1][1] * v + inverse[1][2] + 0.5 * inverse[1][0] - 0.5),
          dy = (float)inverse[1][0];
    for (int i = 0; i < width; i++) {
        /* in 1/256, rounded; the shift rounds down, also below 0 */
        int32_t fx = (int32_t)floorf((x0 + dx * (float)i) * ONE + 0.5F);
        int32_t fy = (int32_t)floorf((y0 + dy * (float)i) * ONE + 0.5F);
        to.x[i] = fx >> FRACTION;
        to.y[i] = fy >> FRACTION;
        to.wx[i] = fx & (ONE - 1);
        to.wy[i] = fy & (ONE - 1);
    }
}

static bool is_inside(source_row at, int i, int height, int width) {
    return at.x[i] >= 0 && at.x[i] + 1 < width && at.y[i] >= 0 && at.y[i] + 1 < height;
}

static int tap(const uint8_t *in, int height, int width, int channels, int y, int x, int k) {
    bool inside = x >= 0 && x < width && y >= 0 && y < height;
    return inside ? in[((size_t)y * (size_t)width + (size_t)x) * (size_t)channels + (size_t)k]
                  : MQ_WARP_BORDER;
}

static void edge_pixel(const uint8_t *in, int height, int width, int channels, source_row at, int i,
                       uint8_t *out) {
    int x = at.x[i], y = at.y[i], wx = at.wx[i], wy = at.wy[i];
    for (int k = 0; k < channels; k++) {
        int up = tap(in, height, width, channels, y, x, k) * (ONE - wx) +
                 tap(in, height, width, channels, y, x + 1, k) * wx;
        int down = tap(in, height, width, channels, y + 1, x, k) * (ONE - wx) +
                   tap(in, height, width, channels, y + 1, x + 1, k) * wx;
        out[k] = (uint8_t)((up * (ONE - wy) + down * wy + ONE * ONE / 2) >> (2 * FRACTION));
    }
}

/* Pixels first..last-1, whose four neighbours are all inside. */
static void inner_pixels(const uint8_t *in, size_t row_bytes, int channels, source_row at, int first,
                         int last, uint8_t *out) {
    for (int i = first; i < last; i++) {
        const uint8_t *p = in + (size_t)at.y[i] * row_bytes + (size_t)(at.x[i] * channels),
                      *q = p + row_bytes;
        int wx = at.wx[i], wy = at.wy[i], down_right = wx * wy, down_left = (wy << FRACTION) - down_right;
        int up_right = (wx << FRACTION) - down_right, up_left = ONE * ONE - up_right - (wy << FRACTION);
        for (int k = 0; k < channels; k++)
            out[i * channels + k] =
                (uint8_t)((p[k] * up_left + p[k + channels] * up_right + q[k] * down_left +
                           q[k + channels] * down_right + ONE * ONE / 2) >>
                          (2 * FRACTION));
    }
}

static void move_image(const mq_warp *warp, int height, int width, int channels, const uint8_t *in,
                       source_row at, uint8_t *out) {
    size_t row_bytes = (size_t)width * (size_t)channels;
    for (int y = 0; y < height; y++, out += row_bytes) {
        locate_row(warp->inverse, y, width, at);
        /* coordinates are linear in x, so those inside form one run */
        int first = 0, last = width;
        while (first < width && !is_inside(at, first, height, width)) first++;
        while (last > first && !is_inside(at, last - 1, height, width)) last--;
        for (int i = 0; i < first; i++) edge_pixel(in, height, width, channels, at, i, out + i * channels);
        for (int i = last; i < width; i++) edge_pixel(in, height, width, channels, at, i, out + i * channels);
        if (channels == 3)
            inner_pixels(in, row_bytes, 3, at, first, last, out);
        else
            inner_pixels(in, row_bytes, channels, at, first, last, out);
    }
}

mq_status mq_warp_image(const mq_warp *warp, int height, int width, int channels, mq_channel_order order,
                        const uint8_t *in, mq_data_scratch *scratch, int block, uint8_t *out,
                        mq_error *error) {
    size_t pixels = (size_t)height * (size_t)width;
    if (warp->moves) {
        int32_t *rows;
        MQ_TRY(mq_scratch_need(scratch, block, 4 * (size_t)width * sizeof *rows, &rows, error));
        source_row at = {rows, rows + width, rows + 2 * width, rows + 3 * width};
        move_image(warp, height, width, channels, in, at, out);
    } else {
        memcpy(out, in, pixels * (size_t)channels);
    }
    if (warp->colours && channels == 3) mq_warp_colours(warp->gain, order, pixels, out);
    return MQ_OK;
}

/* Planes of a run of pixels: what the compiler turns into vectors. Whole numbers in floats are exact. */
MQ_CLONES static void change_planes(const float gain[3], float *restrict blue, float *restrict green,
                                    float *restrict red) {
    float gain_h = gain[0], gain_s = gain[1], gain_v = gain[2];
    for (int i = 0; i < CHUNK; i++) {
        float b = blue[i], g = green[i], r = red[i];
        float v = r > g ? r : g, least = r < g ? r : g;
        v = b > v ? b : v;
        least = b < least ? b : least;
        float d = v - least, by = d > 0 ? d : 1, part = r - g, base = 120;
        float green_part = b - r, red_part = g - b;
        part = v == g ? green_part : part;
        base = v == g ? 60 : base;
        part = v == r ? red_part : part;
        base = v == r ? 0 : base;
        float h = 30 * part / by + base;  /* a true division: exact at ties */
        h = (float)(int)(h + 60.5F) - 60; /* rounded, h > -60 */
        h = h < 0 ? h + 180 : h;
        float whole = v > 0 ? v : 1, s = (float)(int)(255 * d / whole + 0.5F);
        h = (float)(int)(h * gain_h);
        h = h - 180 * (float)(int)(h * (1 / 180.0F));
        h = h < 0 ? h + 180 : h; /* the quotient may be off by one */
        h = h >= 180 ? h - 180 : h;
        s = (float)(int)(s * gain_s);
        s = s > 255 ? 255 : s;
        v = (float)(int)(v * gain_v);
        v = v > 255 ? 255 : v;
        /* channel = v - v s clamp(min(k, 4 - k), 0, 1), k = (n + h / 30) mod 6, n = 5, 3, 1 of red, green,
         * blue */
        float sector = h * (1 / 30.0F), vs = v * s * (1 / 255.0F);
        float k1 = sector + 1, k3 = sector + 3, k5 = sector + 5;
        k1 = k1 >= 6 ? k1 - 6 : k1;
        k3 = k3 >= 6 ? k3 - 6 : k3;
        k5 = k5 >= 6 ? k5 - 6 : k5;
        float w1 = k1 < 4 - k1 ? k1 : 4 - k1, w3 = k3 < 4 - k3 ? k3 : 4 - k3, w5 = k5 < 4 - k5 ? k5 : 4 - k5;
        w1 = w1 < 0 ? 0 : w1;
        w3 = w3 < 0 ? 0 : w3;
        w5 = w5 < 0 ? 0 : w5;
        w1 = w1 > 1 ? 1 : w1;
        w3 = w3 > 1 ? 1 : w3;
        w5 = w5 > 1 ? 1 : w5;
        blue[i] = v - vs * w1;
        green[i] = v - vs * w3;
        red[i] = v - vs * w5;
    }
}

MQ_CLONES static void split_planes(const uint8_t *pixels, int count, float plane[3][CHUNK]) {
    for (int i = 0; i < count; i++) {
        plane[0][i] = pixels[3 * i];
        plane[1][i] = pixels[3 * i + 1];
        plane[2][i] = pixels[3 * i + 2];
    }
}

MQ_CLONES static void join_planes(float plane[3][CHUNK], int count, uint8_t *pixels) {
    for (int i = 0; i < count; i++) {
        pixels[3 * i] = (uint8_t)(int)(plane[0][i] + 0.5F);
        pixels[3 * i + 1] = (uint8_t)(int)(plane[1][i] + 0.5F);
        pixels[3 * i + 2] = (uint8_t)(int)(plane[2][i] + 0.5F);
    }
}

void mq_warp_colours(const float gain[3], mq_channel_order order, size_t count, uint8_t *pixels) {
    float plane[3][CHUNK] = {{0}};
    int blue = order == MQ_BGR ? 0 : 2;
    for (size_t first = 0; first < count; first += CHUNK, pixels += 3 * CHUNK) {
        int n = count - first < CHUNK ? (int)(count - first) : CHUNK;
        split_planes(pixels, n, plane);
        change_planes(gain, plane[blue], plane[1], plane[2 - blue]);
        join_planes(plane, n, pixels);
    }
}
