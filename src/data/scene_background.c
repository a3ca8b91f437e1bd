/* scene_background.c - backgrounds: a field of numbers 0..1 of one of several kinds, coloured by a ramp. */
#include "data/scene_paint.h"

#include <math.h>
#include <string.h>

#include "base/parallel.h"

enum { RAMP = 256, STOPS_MOST = 5, SITES_MOST = 24 };

static float smooth(float t) {
    return t * t * (3 - 2 * t);
}

static void draw_numbers(mq_dice *dice, float *out, size_t count) {
    uint32_t block[4];
    uint64_t first = (dice->next + 3) / 4; /* whole blocks */
    for (size_t i = 0; i < count; i++) {
        if (i % 4 == 0) mq_rng_block(&dice->rng, first + i / 4, block);
        out[i] = (float)(block[i % 4] >> 8) * 0x1p-24F;
    }
    dice->next = 4 * (first + (count + 3) / 4);
}

/* One line of a lattice, interpolated: out[x] += weight * value between node[x / cell] and the next. */
MQ_CLONES static void add_octave_row(const float *node, int cell, float weight, int width, float *out) {
    float step = 1.0F / (float)cell;
    for (int x0 = 0; x0 < width; x0 += cell) {
        float a = node[x0 / cell] * weight, slope = node[x0 / cell + 1] * weight - a;
        int n = width - x0 < cell ? width - x0 : cell;
        for (int i = 0; i < n; i++) {
            float t = (float)i * step;
            out[x0 + i] += a + slope * (t * t * (3 - 2 * t));
        }
    }
}

/* Value noise: lattices of random numbers, each with cells half as large and `persistence` as strong as the
 * one before; added to the field with the given amplitude, its mean taken off. */
static void add_noise(scene_canvas *c, mq_dice *dice, int cell, int octaves, float persistence,
                      float amplitude) {
    float sum = 0, weight = 1;
    for (int o = 0; o < octaves; o++) {
        sum += weight;
        weight *= persistence;
    }
    for (int i = 0; i < c->height * c->width; i++) c->field[i] -= amplitude * 0.5F;
    weight = amplitude / sum;
    for (int o = 0; o < octaves && cell >= 2; o++, cell /= 2) {
        int nodes = c->width / cell + 2, rows = c->height / cell + 2;
        float *lattice = c->extra, *line = lattice + (size_t)nodes * (size_t)rows;
        draw_numbers(dice, lattice, (size_t)nodes * (size_t)rows);
        for (int y = 0; y < c->height; y++) {
            float t = smooth((float)(y % cell) / (float)cell);
            const float *up = lattice + (size_t)(y / cell) * (size_t)nodes, *down = up + nodes;
            for (int i = 0; i < nodes; i++) line[i] = up[i] + t * (down[i] - up[i]);
            add_octave_row(line, cell, weight, c->width, c->field + (size_t)y * (size_t)c->width);
        }
        weight *= persistence;
    }
}

static void gradient(scene_canvas *c, mq_dice *dice) {
    float angle = mq_dice_range(dice, 0, 6.2831853F), dx = cosf(angle), dy = sinf(angle);
    float cx = mq_dice_range(dice, 0, (float)c->width), cy = mq_dice_range(dice, 0, (float)c->height);
    bool radial = mq_dice_chance(dice, 0.4F);
    float scale = 1 / (float)(c->width + c->height);
    for (int y = 0, i = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++, i++) {
            float ux = ((float)x - cx) * scale, uy = ((float)y - cy) * scale;
            c->field[i] = radial ? 1.4F * sqrtf(ux * ux + uy * uy) : 0.5F + dx * ux + dy * uy;
        }
}

/* Stripes of any direction and width, bent by noise. */
static void stripes(scene_canvas *c, mq_dice *dice) {
    float angle = mq_dice_range(dice, 0, 6.2831853F), period = mq_dice_range(dice, 8, 60);
    float dx = cosf(angle) / period, dy = sinf(angle) / period, edge = mq_dice_range(dice, 1, 6);
    add_noise(c, dice, 64, 2, 0.5F, mq_dice_range(dice, 0, 2));
    for (int y = 0, i = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++, i++) {
            float t = c->field[i] + dx * (float)x + dy * (float)y + 1000;
            t -= (float)(int)t;
            c->field[i] = smooth(scene_clamp01(0.5F + edge * (fabsf(2 * t - 1) - 0.5F)));
        }
}

/* Each pixel has the number of the nearest of some sites. */
MQ_CLONES static void cells_row(const float (*site)[3], int sites, int y, int width, float *near,
                                float *out) {
    for (int x = 0; x < width; x++) near[x] = INFINITY;
    for (int s = 0; s < sites; s++) {
        float sx = site[s][0], dy = ((float)y - site[s][1]) * ((float)y - site[s][1]), value = site[s][2];
        for (int x = 0; x < width; x++) {
            float d = ((float)x - sx) * ((float)x - sx) + dy;
            bool closer = d < near[x];
            near[x] = closer ? d : near[x];
            out[x] = closer ? value : out[x];
        }
    }
}

static void cells(scene_canvas *c, mq_dice *dice) {
    float site[SITES_MOST][3];
    int sites = 5 + mq_dice_below(dice, SITES_MOST - 4);
    for (int s = 0; s < sites; s++) {
        site[s][0] = mq_dice_range(dice, 0, (float)c->width);
        site[s][1] = mq_dice_range(dice, 0, (float)c->height);
        site[s][2] = mq_dice_range(dice, 0.1F, 0.9F);
    }
    for (int y = 0; y < c->height; y++)
        cells_row((const float(*)[3])site, sites, y, c->width, c->alpha,
                  c->field + (size_t)y * (size_t)c->width);
}

/* Upright rectangles over each other, as roofs or fields from above. */
static void blocks(scene_canvas *c, mq_dice *dice) {
    for (int i = 0; i < c->height * c->width; i++) c->field[i] = 0.5F;
    int count = 10 + mq_dice_below(dice, 30);
    for (int b = 0; b < count; b++) {
        int w = c->width / 20 + mq_dice_below(dice, c->width / 3),
            h = c->height / 12 + mq_dice_below(dice, c->height / 2);
        int x0 = mq_dice_below(dice, c->width) - w / 2, y0 = mq_dice_below(dice, c->height) - h / 2;
        float value = mq_dice_range(dice, 0.1F, 0.9F);
        for (int y = y0 < 0 ? 0 : y0; y < y0 + h && y < c->height; y++)
            for (int x = x0 < 0 ? 0 : x0; x < x0 + w && x < c->width; x++)
                c->field[(size_t)y * (size_t)c->width + (size_t)x] = value;
    }
}

/* Sky over ground with an uneven border. */
static void horizon(scene_canvas *c, mq_dice *dice) {
    float height = mq_dice_range(dice, 0.25F, 0.75F) * (float)c->height,
          tilt = mq_dice_range(dice, -0.15F, 0.15F);
    float rough = mq_dice_range(dice, 0, 60);
    add_noise(c, dice, 32, 4, 0.6F, 1);
    for (int y = 0, i = 0; y < c->height; y++)
        for (int x = 0; x < c->width; x++, i++) {
            float border = height + tilt * ((float)x - (float)c->width / 2) + rough * c->field[i];
            float depth = (float)y - border;
            c->field[i] =
                depth < 0 ? 0.8F + 0.2F * depth / (float)c->height : 0.15F + 0.35F * depth / (float)c->height;
        }
}

scene_colour scene_hsv(float hue, float saturation, float value) {
    scene_colour out;
    static const float shift[3] = {
        1, 3, 5}; /* blue, green, red: f(n) = v - v s max(0, min(k, 4-k, 1)), k = n + h */
    for (int i = 0; i < 3; i++) {
        float k = fmodf(shift[i] + hue, 6), least = k < 4 - k ? k : 4 - k;
        out.channel[i] = 255 * value * (1 - saturation * scene_clamp01(least));
    }
    return out;
}

/* Colours for 0..1: some stops of related hues and little saturation. */
static void colour_field(scene_canvas *c, mq_dice *dice) {
    uint8_t ramp[RAMP][3];
    scene_colour stop[STOPS_MOST] = {0};
    int stops = 2 + mq_dice_below(dice, STOPS_MOST - 1);
    float hue = mq_dice_range(dice, 0, 6), spread = mq_dice_range(dice, 0.2F, 2),
          strong = mq_dice_range(dice, 0.1F, 0.55F);
    for (int s = 0; s < stops; s++)
        stop[s] = scene_hsv(fmodf(hue + mq_dice_range(dice, 0, spread), 6),
                            strong * mq_dice_range(dice, 0.3F, 1), mq_dice_range(dice, 0.15F, 0.95F));
    for (int i = 0; i < RAMP; i++) {
        float at = (float)i / (RAMP - 1) * (float)(stops - 1);
        int low = (int)at < stops - 2 ? (int)at : stops - 2;
        for (int k = 0; k < 3; k++)
            ramp[i][k] = scene_byte(stop[low].channel[k] +
                                    (at - (float)low) * (stop[low + 1].channel[k] - stop[low].channel[k]));
    }
    for (int i = 0; i < c->height * c->width; i++)
        memcpy(c->image + 3 * (size_t)i, ramp[(int)(scene_clamp01(c->field[i]) * (RAMP - 1) + 0.5F)], 3);
}

void scene_background(scene_canvas *c, mq_dice *dice) {
    memset(c->field, 0, (size_t)c->height * (size_t)c->width * sizeof *c->field);
    static void (*const kinds[])(scene_canvas *, mq_dice *) = {gradient, stripes, cells, blocks, horizon};
    enum { KINDS = sizeof kinds / sizeof kinds[0] };
    int kind = mq_dice_below(dice, KINDS + 1);
    if (kind < KINDS) {
        kinds[kind](c, dice);
        add_noise(c, dice, 16 << mq_dice_below(dice, 3), 5, mq_dice_range(dice, 0.5F, 0.9F),
                  mq_dice_range(dice, 0.05F, 0.5F));
    } else {
        add_noise(c, dice, 32 << mq_dice_below(dice, 2), 6, mq_dice_range(dice, 0.5F, 0.9F),
                  mq_dice_range(dice, 0.8F, 1.8F));
        for (int i = 0; i < c->height * c->width; i++) c->field[i] += 0.5F;
    }
    colour_field(c, dice);
}
