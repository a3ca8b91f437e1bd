/* scene_paint.c - lines, distances to outlines, blur and noise. */
#include "data/scene_paint.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"

MQ_CLONES static void blend_row(uint8_t *row, const float *alpha, int count, const float *colour) {
    float blue = colour[0], green = colour[1], red = colour[2];
    for (int x = 0; x < count; x++) {
        float a = alpha[x];
        row[3 * x] = (uint8_t)(int)((float)row[3 * x] + a * (blue - (float)row[3 * x]) + 0.5F);
        row[3 * x + 1] = (uint8_t)(int)((float)row[3 * x + 1] + a * (green - (float)row[3 * x + 1]) + 0.5F);
        row[3 * x + 2] = (uint8_t)(int)((float)row[3 * x + 2] + a * (red - (float)row[3 * x + 2]) + 0.5F);
    }
}

MQ_CLONES static void line_alpha(const scene_line *line, int row, int first, int count, float *out) {
    float ex = line->x1 - line->x0, ey = line->y1 - line->y0, length = ex * ex + ey * ey;
    float scale = length > 0 ? 1 / length : 0, py = (float)row + 0.5F - line->y0, sharp = 1 / line->soft;
    float radius = line->radius, opacity = line->opacity, x0 = line->x0;
    for (int i = 0; i < count; i++) {
        float px = (float)(first + i) + 0.5F - x0, t = (px * ex + py * ey) * scale;
        t = t < 0 ? 0 : t > 1 ? 1 : t;
        float dx = px - t * ex, dy = py - t * ey;
        float a = 0.5F + (radius - sqrtf(dx * dx + dy * dy)) * sharp;
        out[i] = opacity * (a < 0 ? 0 : a > 1 ? 1 : a);
    }
}

void scene_paint_line(scene_canvas *c, const scene_line *line) {
    float reach = line->radius + line->soft;
    int left = (int)floorf(fminf(line->x0, line->x1) - reach),
        right = (int)ceilf(fmaxf(line->x0, line->x1) + reach);
    int top = (int)floorf(fminf(line->y0, line->y1) - reach),
        bottom = (int)ceilf(fmaxf(line->y0, line->y1) + reach);
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    right = right > c->width ? c->width : right;
    bottom = bottom > c->height ? c->height : bottom;
    for (int y = top; y < bottom && left < right; y++) {
        line_alpha(line, y, left, right - left, c->alpha);
        blend_row(c->image + 3 * ((size_t)y * (size_t)c->width + (size_t)left), c->alpha, right - left,
                  line->colour.channel);
    }
}

/* The distance is that of the nearest edge; a point is inside when a ray to the left crosses the outline an
 * odd number of times. The sign lives in `out` while distances are squared: +-. */
MQ_CLONES void scene_distance(const float (*corner)[2], int corners, int row, int first, int count,
                              float *out) {
    float y = (float)row + 0.5F, start = (float)first + 0.5F;
    for (int i = 0; i < count; i++) out[i] = 1e30F;
    for (int e = 0; e < corners; e++) {
        const float *a = corner[e], *b = corner[e + 1 < corners ? e + 1 : 0];
        float ax = a[0], ex = b[0] - ax, ey = b[1] - a[1], py = y - a[1], length = ex * ex + ey * ey;
        float scale = length > 0 ? 1 / length : 0;
        bool crosses = (a[1] > y) != (b[1] > y);
        float at = crosses ? ax + py * ex / ey : INFINITY; /* points to the right of `at` change side */
        for (int i = 0; i < count; i++) {
            float px = start + (float)i - ax, t = (px * ex + py * ey) * scale;
            t = t < 0 ? 0 : t > 1 ? 1 : t;
            float dx = px - t * ex, dy = py - t * ey, d = dx * dx + dy * dy, old = fabsf(out[i]);
            float nearest = d < old ? d : old;
            float side = start + (float)i > at ? -1.0F : 1.0F;
            out[i] = copysignf(nearest, out[i] * side);
        }
    }
    for (int i = 0; i < count; i++) out[i] = copysignf(sqrtf(fabsf(out[i])), out[i]);
}

MQ_CLONES static void blur_down(const uint8_t *up, const uint8_t *here, const uint8_t *down, size_t bytes,
                                float k, float *out) {
    float middle = 1 - 2 * k;
    for (size_t i = 0; i < bytes; i++) out[i] = k * ((float)up[i] + (float)down[i]) + middle * (float)here[i];
}

MQ_CLONES static void blur_across(const float *in, size_t bytes, float k, uint8_t *out) {
    float middle = 1 - 2 * k;
    for (size_t i = 3; i + 3 < bytes; i++)
        out[i] = (uint8_t)(int)(k * (in[i - 3] + in[i + 3]) + middle * in[i] + 0.5F);
}

void scene_blur(scene_canvas *c, float k) {
    size_t row = 3 * (size_t)c->width;
    float *line = c->extra;
    uint8_t *before = (uint8_t *)(line + row), *here = before + row;
    memcpy(here, c->image, row);
    for (int y = 0; y < c->height; y++) {
        uint8_t *out = c->image + (size_t)y * row;
        memcpy(before, here, row); /* the unblurred row above */
        memcpy(here, out, row);
        blur_down(before, here, y + 1 < c->height ? out + row : here, row, k, line);
        blur_across(line, row, k, out);
        for (size_t i = 0; i < 3; i++) {
            out[i] = (uint8_t)(int)(k * (line[i] + line[i + 3]) + (1 - 2 * k) * line[i] + 0.5F);
            size_t j = row - 3 + i;
            out[j] = (uint8_t)(int)(k * (line[j] + line[j - 3]) + (1 - 2 * k) * line[j] + 0.5F);
        }
    }
}

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014); the sum of four of its bytes is near enough to normal. */
static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static int byte_sum(uint32_t word) {
    return (int)((word & 255) + (word >> 8 & 255) + (word >> 16 & 255) + (word >> 24));
}

void scene_noise(scene_canvas *c, float sigma, uint64_t seed) {
    size_t bytes = 3 * (size_t)c->height * (size_t)c->width;
    int scale = (int)(sigma / 147.8F * 65536 + 0.5F); /* deviation of the sum: 2 * sqrt((256^2 - 1) / 12) */
    for (size_t i = 0; i < bytes; i += 2) {
        uint64_t z = mix(seed += 0x9e3779b97f4a7c15U);
        for (size_t j = i; j < i + 2 && j < bytes; j++, z >>= 32) {
            int v = c->image[j] + (((byte_sum((uint32_t)z) - 510) * scale + 32768) >> 16);
            c->image[j] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
    }
}
