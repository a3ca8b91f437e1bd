/* scene.c - where the object of a scene is and what outline it has. */
#include "data/scene.h"

#include <math.h>
#include <string.h>

const char mq_scene_class_names[MQ_SCENE_CLASSES][MQ_DATA_NAME] = {
    "ellipse", "triangle", "rectangle", "hexagon", "star", "plus", "arrow", "half-disc"};

#define AREA_LEAST 0.005
#define AREA_MOST  0.09
#define TURN       6.283185307179586

enum { ELLIPSE, TRIANGLE, RECTANGLE, HEXAGON, STAR, PLUS, ARROW, HALF_DISC, SIDE_LEAST = 4 };

static const float plus_corners[][2] = {{-1, -3}, {1, -3}, {1, -1}, {3, -1}, {3, 1},   {1, 1},
                                        {1, 3},   {-1, 3}, {-1, 1}, {-3, 1}, {-3, -1}, {-1, -1}};
static const float arrow_corners[][2] = {{-3, -1.2F}, {0, -1.2F}, {0, -3},   {3, 0},
                                         {0, 3},      {0, 1.2F},  {-3, 1.2F}};

static int copy_corners(mq_scene *s, const float (*from)[2], int count) {
    memcpy(s->corner, from, (size_t)count * sizeof *from);
    return count;
}

/* Corners on the unit circle, alternating with radius `inner`, over `part` of the full turn. */
static int round_corners(mq_scene *s, int count, double inner, double part) {
    for (int i = 0; i < count; i++) {
        double angle = TURN * part * i / (part < 1 ? count - 1 : count), radius = i % 2 ? inner : 1;
        s->corner[i][0] = (float)(radius * cos(angle));
        s->corner[i][1] = (float)(radius * sin(angle));
    }
    return count;
}

static int outline(mq_scene *s) {
    switch (s->object_class) {
    case TRIANGLE:
        return round_corners(s, 3, 1, 1);
    case RECTANGLE:
        return round_corners(s, 4, 1, 1);
    case HEXAGON:
        return round_corners(s, 6, 1, 1);
    case STAR:
        return round_corners(s, 10, 0.5, 1);
    case PLUS:
        return copy_corners(s, plus_corners, sizeof plus_corners / sizeof *plus_corners);
    case ARROW:
        return copy_corners(s, arrow_corners, sizeof arrow_corners / sizeof *arrow_corners);
    case HALF_DISC:
        return round_corners(s, 20, 1, 0.5);
    default:
        return round_corners(s, MQ_SCENE_CORNERS, 1, 1);
    }
}

/* Turns the outline, then stretches it so that it touches the four sides of the box. */
static void fit(mq_scene *s, double angle) {
    float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    double c = cos(angle), d = sin(angle);
    for (int i = 0; i < s->corner_count; i++) {
        double x = (double)s->corner[i][0], y = (double)s->corner[i][1];
        s->corner[i][0] = (float)(c * x - d * y);
        s->corner[i][1] = (float)(d * x + c * y);
        for (int k = 0; k < 2; k++) {
            if (s->corner[i][k] < low[k]) low[k] = s->corner[i][k];
            if (s->corner[i][k] > high[k]) high[k] = s->corner[i][k];
        }
    }
    const float from[2] = {(float)s->left, (float)s->top};
    const float size[2] = {(float)(s->right - s->left), (float)(s->bottom - s->top)};
    for (int i = 0; i < s->corner_count; i++)
        for (int k = 0; k < 2; k++)
            s->corner[i][k] = from[k] + size[k] * ((s->corner[i][k] - low[k]) / (high[k] - low[k]));
}

static int whole(double x, int low, int high) {
    int n = (int)lrint(x);
    return n < low ? low : n > high ? high : n;
}

/* Sides in whole pixels with their product within the wanted part of the image. */
static void choose_size(mq_scene *s, mq_dice *dice, int *w, int *h) {
    double image = (double)s->height * s->width, least = AREA_LEAST * image, most = AREA_MOST * image;
    double area = image * exp((double)mq_dice_range(dice, (float)log(AREA_LEAST), (float)log(AREA_MOST)));
    double aspect = exp((double)mq_dice_range(dice, -0.6931472F, 0.6931472F)); /* width / height, 1/2 to 2 */
    *w = whole(sqrt(area * aspect), SIDE_LEAST, s->width * 9 / 10);
    *h = whole(area / *w, SIDE_LEAST, s->height * 9 / 10);
    while ((double)*w * *h > most && (*w > SIDE_LEAST || *h > SIDE_LEAST)) {
        if (*w >= *h)
            --*w;
        else
            --*h;
    }
    while ((double)*w * *h < least) {
        if (*w <= *h)
            ++*w;
        else
            ++*h;
    }
}

void mq_scene_plan(uint64_t seed, mq_split split, uint64_t index, int height, int width, mq_scene *out) {
    *out = (mq_scene){.seed = seed, .split = split, .index = index, .height = height, .width = width};
    mq_dice dice = {.rng =
                        mq_rng_stream(seed, split == MQ_SPLIT_TRAIN ? "scene train" : "scene test", index)};
    int w, h;
    out->object_class = mq_dice_below(&dice, MQ_SCENE_CLASSES);
    choose_size(out, &dice, &w, &h);
    out->left = mq_dice_below(&dice, width - w + 1);
    out->top = mq_dice_below(&dice, height - h + 1);
    out->right = out->left + w;
    out->bottom = out->top + h;
    out->corner_count = outline(out);
    fit(out, (double)mq_dice_range(&dice, 0, (float)TURN));
}
