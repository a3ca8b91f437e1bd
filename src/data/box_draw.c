/* box_draw.c - frames in images. */
#include "data/box_draw.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

const mq_box_colour mq_box_true = {.green = 255}, mq_box_predicted = {.red = 255};

static int edge(double part, int size) {
    double x = part * size;
    return x < -1 ? -1 : x > size + 1 ? size + 1 : (int)lrint(x);
}

void mq_box_draw(uint8_t *image, int height, int width, mq_channel_order order, const mq_box *box,
                 mq_box_colour colour, int thickness) {
    double x = (double)box->x, y = (double)box->y, w = (double)box->w, h = (double)box->h;
    if (!isfinite(x) || !isfinite(y) || !isfinite(w) || !isfinite(h)) return;
    int left = edge(x - w / 2, width), right = edge(x + w / 2, width);
    int top = edge(y - h / 2, height), bottom = edge(y + h / 2, height);
    for (int row = top < 0 ? 0 : top; row < bottom && row < height; row++)
        for (int column = left < 0 ? 0 : left; column < right && column < width; column++) {
            bool inside = row >= top + thickness && row < bottom - thickness && column >= left + thickness &&
                          column < right - thickness;
            if (inside) continue;
            uint8_t *p = image + 3 * ((size_t)row * (size_t)width + (size_t)column);
            p[order == MQ_RGB ? 0 : 2] = colour.red;
            p[1] = colour.green;
            p[order == MQ_RGB ? 2 : 0] = colour.blue;
        }
}

void mq_image_enlarge(const uint8_t *image, int height, int width, int times, uint8_t *out) {
    size_t row = 3 * (size_t)width * (size_t)times;
    for (int y = 0; y < height; y++) {
        for (size_t x = 0; x < (size_t)width * (size_t)times; x++)
            memcpy(out + 3 * x, image + 3 * ((size_t)y * (size_t)width + x / (size_t)times), 3);
        for (int t = 1; t < times; t++) memcpy(out + (size_t)t * row, out, row);
        out += (size_t)times * row;
    }
}
