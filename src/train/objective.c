/* objective.c - the table of tasks, and what each adds to the scores. */
#include "train/objective.h"

#include <math.h>

#include "train/detection_loss.h"

/* The sum over n images; the gradient of that over `total`. */
static double cross_entropy(const float *logits, const int32_t *labels, size_t n, size_t total, int classes,
                            float *d_logits, uint64_t *correct) {
    double loss = 0;
    *correct = 0;
    for (size_t i = 0; i < n; i++) {
        const float *z = logits + i * (size_t)classes;
        int best = 0;
        for (int c = 1; c < classes; c++)
            if (z[c] > z[best]) best = c;
        *correct += best == labels[i];
        double sum = 0, top = (double)z[best];
        for (int c = 0; c < classes; c++) sum += exp((double)z[c] - top);
        loss += log(sum) + (top - (double)z[labels[i]]);
        if (!d_logits) continue;
        for (int c = 0; c < classes; c++) {
            double p = exp((double)z[c] - top) / sum;
            d_logits[i * (size_t)classes + (size_t)c] = (float)((p - (c == labels[i])) / (double)total);
        }
    }
    return loss;
}

double mq_cross_entropy(const float *logits, const int32_t *labels, size_t n, int classes, float *d_logits,
                        uint64_t *correct) {
    return cross_entropy(logits, labels, n, n, classes, d_logits, correct) / (double)n;
}

double mq_scores_loss(const mq_scores *scores) {
    return scores->images ? scores->loss / (double)scores->images : 0;
}

double mq_scores_quality(const mq_scores *scores) {
    return scores->judged ? scores->quality / (double)scores->judged : 0;
}

double mq_scores_part(const mq_scores *scores, int part) {
    const mq_loss_part *p = &scores->part[part];
    return p->count ? p->sum / (double)p->count : 0;
}

void mq_scores_values(const mq_scores *s, double out[MQ_SCORES_VALUES]) {
    const double first[] = {s->loss, s->quality, (double)s->images, (double)s->judged};
    for (int i = 0; i < 4; i++) out[i] = first[i];
    for (int i = 0; i < MQ_LOSS_PARTS; i++) {
        out[4 + 2 * i] = s->part[i].sum;
        out[5 + 2 * i] = (double)s->part[i].count;
    }
}

/* Samples that the loss is normalised by. */
static size_t total_of(const mq_batch *batch) {
    return batch->total ? batch->total : batch->count;
}

static double classification(const mq_net *net, const float *output, const mq_batch *batch, float *d_output,
                             mq_scores *scores, const mq_answers *answers) {
    uint64_t correct;
    const size_t total = total_of(batch), n = batch->count;
    double sum = cross_entropy(output, batch->labels, n, total, net->classes, d_output, &correct);
    double loss = sum / (double)total;
    scores->loss += n == total ? loss * (double)n : sum;
    scores->quality += (double)correct;
    scores->images += batch->count;
    scores->judged += batch->count;
    for (size_t i = 0; answers && answers->classes && i < batch->count; i++) {
        const float *z = output + i * (size_t)net->classes;
        int best = 0;
        for (int c = 1; c < net->classes; c++)
            if (z[c] > z[best]) best = c;
        answers->classes[i] = best;
    }
    return loss;
}

void mq_net_head(const mq_net *net, mq_head *out) {
    const mq_node *last = mq_net_output(net);
    *out = (mq_head){.in_h = net->in_h,
                     .in_w = net->in_w,
                     .grid_h = last->h,
                     .grid_w = last->w,
                     .classes = net->classes,
                     .anchors = net->anchor_count};
    for (int a = 0; a < net->anchor_count; a++) {
        out->anchor_w[a] = (double)net->anchor_w[a];
        out->anchor_h[a] = (double)net->anchor_h[a];
    }
}

enum { BOX, OBJECTNESS, MEAN_IOU };

/* By the sums: the same for any batch size. */
static void set_detection_loss(mq_scores *scores) {
    scores->loss =
        (double)scores->images * (mq_scores_part(scores, BOX) + mq_scores_part(scores, OBJECTNESS));
}

/* The published loss is that of 64 images, whatever the batch. */
static double detection(const mq_net *net, const float *output, const mq_batch *batch, float *d_output,
                        mq_scores *scores, const mq_answers *answers) {
    mq_head head;
    mq_net_head(net, &head);
    size_t n = batch->count, next = 0, total = total_of(batch);
    size_t targets = batch->target_total ? batch->target_total : batch->target_count;
    size_t assigned = targets * (size_t)head.anchors;
    double scale = (double)total / 64;
    mq_detection_sums sums = mq_detection_loss_of(&head, output, n, batch->targets, batch->target_count,
                                                  total, assigned, scale, d_output);
    scores->images += n;
    scores->part[BOX].sum += sums.box;
    scores->part[BOX].count += sums.assigned;
    scores->part[OBJECTNESS].sum += sums.objectness;
    scores->part[OBJECTNESS].count += n;
    scores->part[MEAN_IOU].sum += sums.iou;
    scores->part[MEAN_IOU].count += sums.assigned;
    set_detection_loss(scores);
    for (size_t i = 0; i < n; i++) {
        size_t first = next;
        while (next < batch->target_count && (size_t)batch->targets[next].image == i) next++;
        mq_found found = mq_head_find(&head, output + i * mq_head_values(&head), MQ_HEAD_NHWC);
        if (answers && answers->found) answers->found[i] = found;
        if (next == first) continue;
        scores->judged++;
        scores->quality += mq_head_iou(&head, &found, batch->targets + first, next - first);
    }
    double box = assigned ? sums.box / (double)assigned : 0;
    return scale * (box + sums.objectness / (double)total);
}

void mq_scores_add(const mq_objective *objective, mq_scores *to, const double values[MQ_SCORES_VALUES]) {
    to->loss += values[0];
    to->quality += values[1];
    to->images += (uint64_t)values[2];
    to->judged += (uint64_t)values[3];
    for (int i = 0; i < MQ_LOSS_PARTS; i++) {
        to->part[i].sum += values[4 + 2 * i];
        to->part[i].count += (uint64_t)values[5 + 2 * i];
    }
    if (objective->task == MQ_TASK_DETECTION) set_detection_loss(to);
}

static const mq_objective OBJECTIVES[] = {
    {MQ_TASK_CLASSIFICATION, "accuracy", {NULL}, classification, true},
    {MQ_TASK_DETECTION, "iou", {"box", "objectness", "mean_iou"}, detection, false},
};

static const mq_objective *objective_of(mq_task task) {
    for (size_t i = 0; i < sizeof OBJECTIVES / sizeof *OBJECTIVES; i++)
        if (OBJECTIVES[i].task == task) return &OBJECTIVES[i];
    return NULL;
}

const char *mq_quality_name(mq_task task) {
    return objective_of(task)->quality_name;
}

mq_status mq_objective_for(const mq_net *net, const mq_objective **out, mq_error *error) {
    *out = objective_of(net->task);
    if (net->task != MQ_TASK_DETECTION) return MQ_OK;
    if (net->classes > 1)
        return mq_fail(error, MQ_USAGE,
                       "network %s is a detector of %d classes: training and testing are for one class, the "
                       "published loss has no term for classes",
                       net->name, net->classes);
    mq_head head;
    mq_net_head(net, &head);
    return mq_head_check(&head, mq_net_output(net)->c, error);
}
