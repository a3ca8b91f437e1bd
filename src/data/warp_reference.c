/* warp_reference.c - warps as their formulas read. */
#include <math.h>

#include "data/warp.h"

static double pixel(const uint8_t *in, int height, int width, int channels, int y, int x, int k) {
    if (x < 0 || x >= width || y < 0 || y >= height) return MQ_WARP_BORDER;
    return in[(y * width + x) * channels + k];
}

void mq_warp_reference(const mq_warp *warp, int height, int width, int channels, const uint8_t *in,
                       uint8_t *out) {
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double at[2];
            for (int i = 0; i < 2; i++)
                at[i] = warp->inverse[i][0] * (x + 0.5) + warp->inverse[i][1] * (y + 0.5) +
                        warp->inverse[i][2] - 0.5;
            int left = (int)floor(at[0]), top = (int)floor(at[1]);
            double wx = at[0] - left, wy = at[1] - top;
            for (int k = 0; k < channels; k++) {
                double up = pixel(in, height, width, channels, top, left, k) * (1 - wx) +
                            pixel(in, height, width, channels, top, left + 1, k) * wx;
                double down = pixel(in, height, width, channels, top + 1, left, k) * (1 - wx) +
                              pixel(in, height, width, channels, top + 1, left + 1, k) * wx;
                out[(y * width + x) * channels + k] = (uint8_t)lrint(up * (1 - wy) + down * wy);
            }
        }
}

/* Blue, green, red of a hue in sixths of the circle: rises, stays and falls as the sector says. */
static void from_hsv(double h, double s, double v, double out[3]) {
    int sector = (int)floor(h);
    double f = h - sector, p = v * (1 - s), q = v * (1 - s * f), t = v * (1 - s * (1 - f));
    const double table[6][3] = {{p, t, v}, {p, v, q}, {t, v, p}, {v, q, p}, {v, p, t}, {q, p, v}};
    for (int i = 0; i < 3; i++) out[i] = table[sector % 6][i];
}

void mq_warp_colours_reference(const float gain[3], mq_channel_order order, size_t count, uint8_t *pixels) {
    int blue = order == MQ_BGR ? 0 : 2;
    for (; count; count--, pixels += 3) {
        double b = pixels[blue], g = pixels[1], r = pixels[2 - blue];
        double v = fmax(fmax(b, g), r), d = v - fmin(fmin(b, g), r), h = 0;
        if (d > 0) h = v == r ? 60 * (g - b) / d : v == g ? 120 + 60 * (b - r) / d : 240 + 60 * (r - g) / d;
        int hue = (int)floor(h / 2 + 0.5), saturation = v > 0 ? (int)floor(255 * d / v + 0.5) : 0;
        if (hue < 0) hue += 180;
        hue = (int)((float)hue * gain[0]) % 180;
        saturation = (int)fminf((float)saturation * gain[1], 255);
        int value = (int)fminf((float)v * gain[2], 255);
        double bgr[3];
        from_hsv(hue / 30.0, saturation / 255.0, value, bgr);
        pixels[blue] = (uint8_t)(bgr[0] + 0.5);
        pixels[1] = (uint8_t)(bgr[1] + 0.5);
        pixels[2 - blue] = (uint8_t)(bgr[2] + 0.5);
    }
}
