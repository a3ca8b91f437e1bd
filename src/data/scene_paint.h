/* scene_paint.h - what generated scenes are painted with. For scene*.c only.
 *
 * Images are uint8 [height][width][3], fields float [height][width]. */
#ifndef MIXQ_DATA_SCENE_PAINT_H
#define MIXQ_DATA_SCENE_PAINT_H

#include "data/scene.h"

typedef struct scene_canvas {
    int height, width;
    uint8_t *image;
    float *field, *extra; /* working memory: [height][width]; [2 * (height + 2) * (width + 2)] */
    float *alpha;         /* [width] */
} scene_canvas;

typedef struct scene_colour {
    float channel[3]; /* 0..255 */
} scene_colour;

/* hue in sixths of the circle, 0..6; saturation, value 0..1 */
scene_colour scene_hsv(float hue, float saturation, float value);

/* Paints the whole image. */
void scene_background(scene_canvas *canvas, mq_dice *dice);

/* A thick line with round ends, of radius `radius`, its edge `soft` pixels wide (at least 1). */
typedef struct scene_line {
    float x0, y0, x1, y1, radius, soft, opacity;
    scene_colour colour;
} scene_line;
void scene_paint_line(scene_canvas *canvas, const scene_line *line);

/* Signed distance in pixels (negative inside) from the centres of pixels (first + i, row), i = 0..count-1, to
 * a closed outline of `corners` corners. */
void scene_distance(const float (*corner)[2], int corners, int row, int first, int count, float *out);

/* 3 x 3 blur with the kernel (k, 1-2k, k) both ways, 0 <= k <= 1/3; edges repeated. */
void scene_blur(scene_canvas *canvas, float k);
/* Adds to every byte a number of mean 0 and deviation `sigma`. */
void scene_noise(scene_canvas *canvas, float sigma, uint64_t seed);

static inline float scene_clamp01(float x) {
    return x < 0 ? 0 : x > 1 ? 1 : x;
}
static inline uint8_t scene_byte(float x) {
    return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : (int)(x + 0.5F));
}

#endif
