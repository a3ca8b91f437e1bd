/* scene_draw.c - a planned scene becomes an image: background, things that are no objects, the object,
 * something before it, blur and noise. */
#include <math.h>
#include <string.h>

#include "base/parallel.h"
#include "data/scene_paint.h"

enum { FIELD, EXTRA, OBJECT, MARGIN = 1, SHRINK_MOST = 40 };

static scene_colour any_colour(mq_dice *dice, float saturation) {
    float hue = mq_dice_range(dice, 0, 6), strong = mq_dice_range(dice, 0, saturation);
    return scene_hsv(hue, strong, mq_dice_range(dice, 0.05F, 0.95F));
}

static scene_line any_line(scene_canvas *c, mq_dice *dice, float longest, float radius) {
    scene_line line = {.radius = radius, .soft = 1, .opacity = mq_dice_range(dice, 0.6F, 1)};
    line.x0 = mq_dice_range(dice, -0.1F, 1.1F) * (float)c->width;
    line.y0 = mq_dice_range(dice, -0.1F, 1.1F) * (float)c->height;
    float angle = mq_dice_range(dice, 0, 6.2831853F), length = mq_dice_range(dice, 0.1F, 1) * longest;
    line.x1 = line.x0 + cosf(angle) * length;
    line.y1 = line.y0 + sinf(angle) * length;
    line.colour = any_colour(dice, 0.8F);
    return line;
}

static void paint_lines(scene_canvas *c, mq_dice *dice, float unit) {
    int count = 1 + mq_dice_below(dice, 3);
    for (int i = 0; i < count; i++) {
        scene_line line = any_line(c, dice, 60 * unit, mq_dice_range(dice, 0.5F, 2.5F) * unit);
        scene_paint_line(c, &line);
    }
}

static void paint_blob(scene_canvas *c, mq_dice *dice, float unit) {
    float radius = mq_dice_range(dice, 2, 9) * unit;
    scene_line line = any_line(c, dice, 12 * unit, radius * 0.6F);
    line.soft = radius;
    scene_paint_line(c, &line);
}

/* A bent line of several pieces. */
static void paint_curve(scene_canvas *c, mq_dice *dice, float unit) {
    scene_line line = any_line(c, dice, 6 * unit, mq_dice_range(dice, 0.5F, 1.5F) * unit);
    float angle = atan2f(line.y1 - line.y0, line.x1 - line.x0), bend = mq_dice_range(dice, -0.5F, 0.5F);
    float length = mq_dice_range(dice, 3, 8) * unit;
    int pieces = 3 + mq_dice_below(dice, 5);
    for (int i = 0; i < pieces; i++) {
        line.x1 = line.x0 + cosf(angle) * length;
        line.y1 = line.y0 + sinf(angle) * length;
        scene_paint_line(c, &line);
        line.x0 = line.x1;
        line.y0 = line.y1;
        angle += bend;
    }
}

/* Short strokes in a row, as of a word. */
static void paint_word(scene_canvas *c, mq_dice *dice, float unit) {
    scene_line line = any_line(c, dice, 1, mq_dice_range(dice, 0.4F, 0.8F) * unit);
    float x = line.x0, y = line.y0, size = mq_dice_range(dice, 3, 7) * unit;
    int letters = 3 + mq_dice_below(dice, 6);
    for (int i = 0; i < letters; i++) {
        int strokes = 2 + mq_dice_below(dice, 2);
        for (int s = 0; s < strokes; s++) {
            line.x0 = x + mq_dice_range(dice, 0, 0.6F) * size;
            line.x1 = x + mq_dice_range(dice, 0, 0.6F) * size;
            line.y0 = y + mq_dice_range(dice, 0, 0.4F) * size;
            line.y1 = y + mq_dice_range(dice, 0.6F, 1) * size;
            scene_paint_line(c, &line);
        }
        x += size * 0.9F;
    }
}

static void paint_dots(scene_canvas *c, mq_dice *dice, float unit) {
    scene_line line = any_line(c, dice, 1, mq_dice_range(dice, 0.5F, 1.5F) * unit);
    float x = line.x0, y = line.y0, spread = mq_dice_range(dice, 8, 25) * unit;
    int count = 4 + mq_dice_below(dice, 12);
    for (int i = 0; i < count; i++) {
        line.x0 = line.x1 = x + mq_dice_range(dice, -1, 1) * spread;
        line.y0 = line.y1 = y + mq_dice_range(dice, -1, 1) * spread;
        scene_paint_line(c, &line);
    }
}

static void paint_distractors(scene_canvas *c, mq_dice *dice) {
    static void (*const kinds[])(scene_canvas *, mq_dice *, float) = {paint_lines, paint_blob, paint_curve,
                                                                      paint_word, paint_dots};
    float unit = sqrtf((float)c->height * (float)c->width / 51200); /* 1 px in 160 x 320 */
    int count = 3 + mq_dice_below(dice, 8);
    for (int i = 0; i < count; i++) kinds[mq_dice_below(dice, sizeof kinds / sizeof kinds[0])](c, dice, unit);
}

/* The filling of an object: two colours and how they alternate. */
typedef struct filling {
    scene_colour colour[2];
    int kind; /* 0 plain, 1 stripes, 2 checks, 3 dots, 4 gradient */
    float dx, dy, period;
} filling;

static filling choose_filling(mq_dice *dice, float side) {
    filling f = {.kind = mq_dice_below(dice, 5)};
    float hue = mq_dice_range(dice, 0, 6);
    f.colour[0] = scene_hsv(hue, mq_dice_range(dice, 0.7F, 1), mq_dice_range(dice, 0.6F, 1));
    f.colour[1] = scene_hsv(fmodf(hue + mq_dice_range(dice, 0.5F, 3), 6), mq_dice_range(dice, 0.5F, 1),
                            mq_dice_range(dice, 0.4F, 1));
    float angle = mq_dice_range(dice, 0, 6.2831853F);
    f.period = fmaxf(3, side * mq_dice_range(dice, 0.15F, 0.4F));
    f.dx = cosf(angle) / f.period;
    f.dy = sinf(angle) / f.period;
    return f;
}

/* How much of colour 1 is at (x, y), counted from the middle of the object. */
static float fill_part(const filling *f, float x, float y, float side) {
    float u = f->dx * x + f->dy * y + 1000, v = f->dx * y - f->dy * x + 1000;
    u -= (float)(int)u;
    v -= (float)(int)v;
    switch (f->kind) {
    case 1:
        return scene_clamp01(0.5F + f->period * (0.25F - fabsf(u - 0.5F)));
    case 2:
        return (u < 0.5F) != (v < 0.5F) ? 1 : 0;
    case 3:
        return scene_clamp01(0.5F +
                             f->period * (0.3F - sqrtf((u - 0.5F) * (u - 0.5F) + (v - 0.5F) * (v - 0.5F))));
    case 4:
        return scene_clamp01(0.5F + (f->dx * x + f->dy * y) * f->period / side);
    default:
        return 0;
    }
}

/* Mean of all bytes behind the object, 0..255. */
static float brightness(const scene_canvas *c, const mq_scene *s) {
    uint64_t sum = 0;
    for (int y = s->top; y < s->bottom; y++) {
        const uint8_t *row = c->image + 3 * (size_t)y * (size_t)c->width;
        for (int i = 3 * s->left; i < 3 * s->right; i++) sum += row[i];
    }
    return (float)sum / (float)(3 * (s->bottom - s->top) * (s->right - s->left));
}

/* Paints the object, its outer ring in contrast to what is behind, so that its edge can be seen, and leaves
 * its coverage 0..1 in mask[bottom-top][right-left]. */
static void paint_object(scene_canvas *c, mq_dice *dice, const mq_scene *s, float *mask) {
    int w = s->right - s->left, h = s->bottom - s->top;
    float side = sqrtf((float)w * (float)h), ring = fminf(fmaxf(0.07F * side, 1.2F), 4.0F);
    filling fill = choose_filling(dice, side);
    bool dark = brightness(c, s) > 127;
    scene_colour outer =
        scene_hsv(0, 0, dark ? mq_dice_range(dice, 0, 0.15F) : mq_dice_range(dice, 0.85F, 1));
    scene_colour inner =
        scene_hsv(0, 0, dark ? mq_dice_range(dice, 0.85F, 1) : mq_dice_range(dice, 0, 0.15F));
    for (int y = 0; y < h; y++, mask += w) {
        scene_distance(s->corner, s->corner_count, s->top + y, s->left, w, mask);
        uint8_t *row = c->image + 3 * ((size_t)(s->top + y) * (size_t)c->width + (size_t)s->left);
        for (int x = 0; x < w; x++) {
            float d = mask[x], whole = scene_clamp01(0.5F - d), light = scene_clamp01(0.5F - d - ring);
            float middle = scene_clamp01(0.5F - d - 2 * ring);
            mask[x] = whole;
            if (whole == 0) continue;
            float part = fill_part(&fill, (float)x - (float)w / 2, (float)y - (float)h / 2, side);
            for (int k = 0; k < 3; k++) {
                float v = (float)row[3 * x + k];
                v += whole * (outer.channel[k] - v);
                v += light * (inner.channel[k] - v);
                float colour = fill.colour[0].channel[k] +
                               part * (fill.colour[1].channel[k] - fill.colour[0].channel[k]);
                v += middle * (colour - v);
                row[3 * x + k] = scene_byte(v);
            }
        }
    }
}

/* The part of the object that a line would hide. */
static float hidden(const mq_scene *s, const float *mask, const scene_line *line) {
    float sum = 0, gone = 0, ex = line->x1 - line->x0, ey = line->y1 - line->y0,
          scale = 1 / (ex * ex + ey * ey);
    for (int y = s->top; y < s->bottom; y++)
        for (int x = s->left; x < s->right; x++, mask++) {
            float px = (float)x + 0.5F - line->x0, py = (float)y + 0.5F - line->y0;
            float t = scene_clamp01((px * ex + py * ey) * scale), dx = px - t * ex, dy = py - t * ey;
            sum += *mask;
            gone += *mask * scene_clamp01(0.5F + line->radius - sqrtf(dx * dx + dy * dy));
        }
    return sum > 0 ? gone / sum : 0;
}

/* A bar before the object that hides up to 30 % of it: made thinner until it does not hide more. */
static void paint_occluder(scene_canvas *c, mq_dice *dice, const mq_scene *s, const float *mask) {
    float w = (float)(s->right - s->left), h = (float)(s->bottom - s->top), side = sqrtf(w * h);
    float most = mq_dice_range(dice, 0.05F, 0.3F), angle = mq_dice_range(dice, 0, 6.2831853F);
    float x = (float)s->left + w * mq_dice_range(dice, 0, 1),
          y = (float)s->top + h * mq_dice_range(dice, 0, 1);
    float back = side * mq_dice_range(dice, 0, 3), ahead = side * mq_dice_range(dice, 0.5F, 3);
    scene_line line = {.x0 = x - back * cosf(angle),
                       .y0 = y - back * sinf(angle),
                       .x1 = x + ahead * cosf(angle),
                       .y1 = y + ahead * sinf(angle),
                       .radius = side * mq_dice_range(dice, 0.1F, 0.4F),
                       .soft = 1,
                       .opacity = 1,
                       .colour = any_colour(dice, 0.6F)};
    for (int i = 0; i < SHRINK_MOST && hidden(s, mask, &line) > most; i++) line.radius *= 0.85F;
    if (hidden(s, mask, &line) <= most) scene_paint_line(c, &line);
}

mq_status mq_scene_draw(const mq_scene *scene, mq_data_scratch *scratch, uint8_t *out, mq_error *error) {
    size_t h = (size_t)scene->height, w = (size_t)scene->width;
    scene_canvas c = {.height = scene->height, .width = scene->width, .image = out};
    float *mask;
    MQ_TRY(mq_scratch_need(scratch, FIELD, h * w * sizeof(float), &c.field, error));
    MQ_TRY(mq_scratch_need(scratch, EXTRA, (2 * (h + 2) * (w + 2) + w) * sizeof(float), &c.extra, error));
    MQ_TRY(mq_scratch_need(scratch, OBJECT, h * w * sizeof(float), &mask, error));
    c.alpha = c.extra + 2 * (h + 2) * (w + 2);
    mq_dice dice = {.rng = mq_rng_stream(scene->seed,
                                         scene->split == MQ_SPLIT_TRAIN ? "look train" : "look test",
                                         scene->index)};
    scene_background(&c, &dice);
    paint_distractors(&c, &dice);
    paint_object(&c, &dice, scene, mask);
    if (mq_dice_chance(&dice, 0.4F)) paint_occluder(&c, &dice, scene, mask);
    int passes = mq_dice_below(&dice, 3);
    for (int i = 0; i < passes; i++) scene_blur(&c, mq_dice_range(&dice, 0.05F, 0.3F));
    float sigma = mq_dice_range(&dice, 0, 8);
    uint64_t seed = mq_rng_u32(&dice.rng, dice.next);
    scene_noise(&c, sigma, seed << 32 | mq_rng_u32(&dice.rng, dice.next + 1));
    return MQ_OK;
}
