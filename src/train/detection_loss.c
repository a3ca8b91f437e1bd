/* detection_loss.c - CIoU and weighted objectness with their gradients, in double. */
#include "train/detection_loss.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/parallel.h"

#define BOX_GAIN    3.54
#define OBJECT_GAIN 64.3
#define LARGEST     1e3 /* times the anchor */
#define PI          3.14159265358979323846

enum { IMAGES = 64 /* at once */ };

static double sigmoid(double z) {
    return 1 / (1 + exp(-z));
}

/* One axis of two boxes in grid units. Derivatives are with respect to the predicted centre and size; where
 * both boxes end at the same place each edge counts half. */
typedef struct axis {
    double inside, hull;     /* lengths of intersection and of the smallest cover */
    double inside_c, hull_c; /* d/d(centre) */
    double inside_s, hull_s; /* d/d(size) */
    double off;              /* target's centre - predicted one */
    double size, wanted;     /* predicted, target */
} axis;

static axis compare(double centre, double size, double target, double wanted) {
    double low = centre - size / 2, high = centre + size / 2;
    double target_low = target - wanted / 2, target_high = target + wanted / 2;
    /* share of the predicted box in the larger low edge, and in the smaller high edge */
    double in_low = low > target_low ? 1 : low < target_low ? 0 : 0.5;
    double in_high = high < target_high ? 1 : high > target_high ? 0 : 0.5;
    axis a = {.off = target - centre, .size = size, .wanted = wanted};
    a.hull = (high > target_high ? high : target_high) - (low < target_low ? low : target_low);
    a.hull_c = (1 - in_high) - (1 - in_low);
    a.hull_s = ((1 - in_high) + (1 - in_low)) / 2;
    a.inside = (high < target_high ? high : target_high) - (low > target_low ? low : target_low);
    a.inside_c = in_high - in_low;
    a.inside_s = (in_high + in_low) / 2;
    if (a.inside < 0) a.inside = a.inside_c = a.inside_s = 0;
    return a;
}

typedef struct overlap {
    double iou, ciou;
    double cx, cy, w, h; /* d(ciou), alpha constant; w and h without the change of the aspect ratio */
    double slope;        /* d(ciou)/d(atan(w/h)) */
} overlap;

/* lean: atan(w/h) of the predicted box. */
static overlap complete_iou(const axis *x, const axis *y, double lean) {
    overlap o;
    double inside = x->inside * y->inside;
    double joined = x->size * y->size + 1e-16 + x->wanted * y->wanted - inside;
    double diagonal = x->hull * x->hull + y->hull * y->hull + 1e-16;
    double distance = x->off * x->off + y->off * y->off;
    double difference = atan2(x->wanted, y->wanted) - lean;
    double v = 4 / (PI * PI) * difference * difference;
    o.iou = inside / joined;
    double alpha = v > 0 ? v / ((o.iou < 1 ? 1 - o.iou : 0) + v) : 0;
    o.ciou = o.iou - distance / diagonal - alpha * v;
    /* d(iou) = (d(inside) * (joined + inside) - inside * d(own area)) / joined^2 */
    double by_inside = (joined + inside) / joined / joined, by_area = -inside / joined / joined;
    double by_distance = -1 / diagonal, by_diagonal = distance / diagonal / diagonal;
    o.cx = by_inside * x->inside_c * y->inside - 2 * by_distance * x->off +
           by_diagonal * 2 * x->hull * x->hull_c;
    o.cy = by_inside * y->inside_c * x->inside - 2 * by_distance * y->off +
           by_diagonal * 2 * y->hull * y->hull_c;
    o.w = by_inside * x->inside_s * y->inside + by_area * y->size + by_diagonal * 2 * x->hull * x->hull_s;
    o.h = by_inside * y->inside_s * x->inside + by_area * x->size + by_diagonal * 2 * y->hull * y->hull_s;
    o.slope = alpha * 8 / (PI * PI) * difference;
    return o;
}

static double log_size(float logit, double anchor, double *size, bool *held) {
    double z = (double)logit;
    double e = exp(z);
    *held = e > LARGEST;
    *size = (*held ? LARGEST : e) * anchor;
    return (*held ? log(LARGEST) : z) + log(anchor);
}

/* One target against one anchor of its cell. z: the anchor's outputs there; d (or NULL): added to. */
static void one_box(const mq_head *head, int anchor, const float *z, const double target[4], double scale,
                    mq_detection_sums *sums, float *d) {
    double px = sigmoid((double)z[MQ_HEAD_X]), py = sigmoid((double)z[MQ_HEAD_Y]), pw, ph;
    bool held_w, held_h;
    double log_w = log_size(z[MQ_HEAD_W], head->anchor_w[anchor] * head->grid_w / head->in_w, &pw, &held_w);
    double log_h = log_size(z[MQ_HEAD_H], head->anchor_h[anchor] * head->grid_h / head->in_h, &ph, &held_h);
    axis x = compare(px, pw, target[0], target[2]), y = compare(py, ph, target[1], target[3]);
    /* by logarithms: both sizes may underflow */
    overlap o = complete_iou(&x, &y, atan(exp(log_w - log_h)));
    sums->box += BOX_GAIN * (1 - o.ciou);
    sums->iou += o.iou;
    if (!d) return;
    /* d atan(w/h) / d log w = 1 / (w/h + h/w), and minus that for h */
    double turn = o.slope / (2 * cosh(log_w - log_h)), gain = -BOX_GAIN * scale;
    d[MQ_HEAD_X] += (float)(gain * o.cx * px * (1 - px));
    d[MQ_HEAD_Y] += (float)(gain * o.cy * py * (1 - py));
    if (!held_w) d[MQ_HEAD_W] += (float)(gain * (o.w * pw + turn));
    if (!held_h) d[MQ_HEAD_H] += (float)(gain * (o.h * ph - turn));
}

static int cell_of(double at, int grid) {
    int cell = at > 0 ? (int)fmin(floor(at), (double)grid - 1) : 0;
    return cell;
}

typedef struct place {
    int row, column;
} place;

static place cell_of_target(const mq_head *head, const mq_target *t) {
    return (place){cell_of((double)t->box.y * head->grid_h, head->grid_h),
                   cell_of((double)t->box.x * head->grid_w, head->grid_w)};
}

/* Mean over one image's cells and anchors. */
static double objectness(const mq_head *head, const float *output, const mq_target *targets, size_t count,
                         double scale, float *d_output) {
    int fields = mq_head_fields(head);
    size_t at = 0;
    double cells = (double)head->grid_h * head->grid_w * head->anchors, sum = 0;
    double weight = count ? (double)targets[count - 1].weight : 1;
    for (int row = 0; row < head->grid_h; row++)
        for (int column = 0; column < head->grid_w; column++) {
            bool wanted = false;
            for (size_t t = 0; t < count; t++) {
                place cell = cell_of_target(head, &targets[t]);
                wanted |= cell.row == row && cell.column == column;
            }
            for (int a = 0; a < head->anchors; a++, at += (size_t)fields) {
                /* log(1 + e^z) and its derivative, the sigmoid; of -z where wanted */
                const double output_z = (double)output[at + MQ_HEAD_OBJECT],
                             z = wanted ? -output_z : output_z;
                const double e = exp(-fabs(z)), slope = (z > 0 ? 1 : e) / (1 + e);
                sum += (z > 0 ? z : 0) + log1p(e);
                if (d_output)
                    d_output[at + MQ_HEAD_OBJECT] =
                        (float)(OBJECT_GAIN * weight / cells * scale * (wanted ? -slope : slope));
            }
        }
    return OBJECT_GAIN * weight * sum / cells;
}

mq_detection_sums mq_detection_loss(const mq_head *head, const float *output, size_t n,
                                    const mq_target *targets, size_t count, double scale, float *d_output) {
    return mq_detection_loss_of(head, output, n, targets, count, n, count * (size_t)head->anchors, scale,
                                d_output);
}

/* Some images, each with its targets; what each adds. */
typedef struct images {
    const mq_head *head;
    const float *output;
    const mq_target *targets;
    size_t first[IMAGES + 1]; /* target of each */
    double objectness_scale, box_scale;
    float *d_output; /* or NULL */
    mq_detection_sums sums[IMAGES];
} images;

static void image_task(void *context, size_t task) {
    images *all = context;
    const mq_head *head = all->head;
    const size_t values = mq_head_values(head), channels = (size_t)mq_head_channels(head);
    const size_t first = all->first[task], end = all->first[task + 1];
    const float *z = all->output + task * values;
    float *d = all->d_output ? all->d_output + task * values : NULL;
    mq_detection_sums *sums = &all->sums[task];
    *sums = (mq_detection_sums){0};
    if (d) memset(d, 0, values * sizeof *d);
    sums->objectness = objectness(head, z, all->targets + first, end - first, all->objectness_scale, d);
    for (size_t t = first; t < end; t++) {
        const mq_target *one = &all->targets[t];
        place cell = cell_of_target(head, one);
        const double target[4] = {(double)one->box.x * head->grid_w - cell.column,
                                  (double)one->box.y * head->grid_h - cell.row,
                                  (double)one->box.w * head->grid_w, (double)one->box.h * head->grid_h};
        size_t at = (size_t)(cell.row * head->grid_w + cell.column) * channels;
        for (int a = 0; a < head->anchors; a++, at += (size_t)mq_head_fields(head))
            one_box(head, a, z + at, target, all->box_scale, sums, d ? d + at : NULL);
    }
}

mq_detection_sums mq_detection_loss_of(const mq_head *head, const float *output, size_t n,
                                       const mq_target *targets, size_t count, size_t image_count,
                                       size_t assigned, double scale, float *d_output) {
    mq_detection_sums sums = {.assigned = count * (size_t)head->anchors};
    const size_t values = mq_head_values(head);
    size_t next = 0;
    images all = {.head = head,
                  .targets = targets,
                  .objectness_scale = scale / (double)image_count,
                  .box_scale = scale / (double)assigned};
    for (size_t i = 0; i < n; i += IMAGES) {
        const size_t here = n - i < IMAGES ? n - i : IMAGES;
        for (size_t k = 0; k < here; k++) {
            all.first[k] = next;
            while (next < count && (size_t)targets[next].image == i + k) next++;
        }
        all.first[here] = next;
        all.output = output + i * values;
        all.d_output = d_output ? d_output + i * values : NULL;
        mq_parallel(here, image_task, &all);
        for (size_t k = 0; k < here; k++) {
            sums.objectness += all.sums[k].objectness;
            sums.box += all.sums[k].box;
            sums.iou += all.sums[k].iou;
        }
    }
    return sums;
}
