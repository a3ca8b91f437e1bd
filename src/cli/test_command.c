/* test_command.c - `mixq test`: accuracy or mean IoU of a checkpoint, as it was trained or as the integer
 * network made of it. */
#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "cli/commands.h"
#include "cli/integer_run.h"
#include "cli/run_options.h"
#include "data/loader.h"
#include "detect/constant_box.h"
#include "lower/lower.h"
#include "net/checkpoint.h"
#include "ops/precision.h"
#include "train/evaluate.h"

typedef enum engine { ENGINE_FLOAT, ENGINE_INTEGER, ENGINES } engine;
static const char *const ENGINE_NAMES[] = {"float", "integer", NULL};

/* What one engine found. */
typedef struct findings {
    mq_scores scores;
    mq_answers answers; /* [images] of the network's task; owned */
} findings;

static mq_status run_float(const cli_args *args, const mq_checkpoint *checkpoint, const mq_dataset *dataset,
                           findings *out, mq_error *error) {
    static const char *const words[] = {"f32", "bf16", "auto", NULL};
    int which = 0;
    int64_t batch = 100;
    mq_dtype compute;
    mq_model *model;
    MQ_TRY(cli_choice(args, "--precision", words, &which, error));
    MQ_TRY(cli_int(args, "--batch", 1, 65536, &batch, error));
    MQ_TRY(mq_precision((mq_precision_word)which, &compute, error));
    if ((size_t)batch > dataset->count) batch = (int64_t)dataset->count;
    MQ_TRY(mq_model_from_checkpoint(checkpoint, (int)batch, compute, &model, error));
    mq_status status = mq_evaluate(model, dataset, &out->scores, &out->answers, error);
    mq_model_destroy(model);
    return status;
}

/* values of one image [c][h][w] to [h][w][c], as the trained network gives them. */
static void to_nhwc(const mq_node *last, const float *values, float *out) {
    size_t cells = (size_t)last->h * (size_t)last->w, channels = (size_t)last->c;
    for (size_t p = 0; p < cells; p++)
        for (size_t c = 0; c < channels; c++) out[p * channels + c] = values[c * cells + p];
}

static mq_status integer_batch(const mq_net *trained, const mq_inet *net, const mq_batch *batch, size_t first,
                               float *values, findings *out, mq_error *error) {
    integer_job job = {.images = batch->images, .count = batch->count, .layout = MQ_SIM_NHWC};
    const mq_objective *objective;
    size_t outputs = integer_outputs(net);
    MQ_TRY(mq_objective_for(trained, &objective, error));
    mq_status status = integer_run(net, &job, error);
    if (status == MQ_OK) {
        mq_answers here = {0};
        if (out->answers.classes) here.classes = out->answers.classes + first;
        if (out->answers.found) here.found = out->answers.found + first;
        for (size_t i = 0; i < batch->count; i++)
            to_nhwc(mq_net_output(trained), job.values + i * outputs, values + i * outputs);
        objective->loss(trained, values, batch, NULL, &out->scores, &here);
        for (size_t i = 0; here.classes && i < batch->count; i++) { /* by the integers themselves */
            out->scores.quality -= here.classes[i] == batch->labels[i];
            here.classes[i] = integer_class(net, &job, i);
            out->scores.quality += here.classes[i] == batch->labels[i];
        }
    }
    integer_job_clear(&job);
    return status;
}

static mq_status run_integer(const mq_checkpoint *checkpoint, const mq_dataset *dataset, findings *out,
                             mq_error *error) {
    enum { BATCH = 256 };
    mq_inet *net = NULL;
    mq_loader *loader = NULL;
    float *values = NULL;
    mq_status status;
    const mq_loader_options options = {.batch = BATCH, .ahead = 1};
    MQ_TRY_GOTO(mq_check_dataset(checkpoint->net, dataset, error), done);
    MQ_TRY_GOTO(mq_lower(checkpoint, NULL, &net, error), done);
    MQ_TRY_GOTO(mq_alloc(BATCH, integer_outputs(net) * sizeof *values, "outputs", &values, error), done);
    MQ_TRY_GOTO(mq_loader_start(dataset, &options, &loader, error), done);
    mq_loader_epoch(loader, 0);
    size_t first = 0;
    for (const mq_batch *batch; (batch = mq_loader_next(loader)); first += batch->count)
        MQ_TRY_GOTO(integer_batch(checkpoint->net, net, batch, first, values, out, error), done);
    status = mq_loader_status(loader, error);
done:
    mq_loader_stop(loader);
    mq_free(values);
    mq_inet_free(net);
    return status;
}

/* How the two engines' answers differ. */
typedef struct differences {
    uint64_t images; /* another class, or another cell */
    double pixels;   /* detection: largest difference of a box's x, y, w or h, of boxes in the same cell */
    double quality_lost; /* float - integer */
} differences;

static differences compare_answers(const findings found[ENGINES]) {
    const findings *a = &found[ENGINE_FLOAT], *b = &found[ENGINE_INTEGER];
    differences d = {.quality_lost = mq_scores_quality(&a->scores) - mq_scores_quality(&b->scores)};
    for (uint64_t i = 0; i < a->scores.images; i++) {
        if (a->answers.classes) {
            d.images += a->answers.classes[i] != b->answers.classes[i];
            continue;
        }
        const mq_found *p = &a->answers.found[i], *q = &b->answers.found[i];
        if (p->row != q->row || p->column != q->column) {
            d.images++;
            continue;
        }
        const double off[] = {(double)p->box.x - (double)q->box.x, (double)p->box.y - (double)q->box.y,
                              (double)p->box.w - (double)q->box.w, (double)p->box.h - (double)q->box.h};
        for (int k = 0; k < 4; k++) d.pixels = fmax(d.pixels, fabs(off[k]));
    }
    return d;
}

static mq_status report_json(const mq_checkpoint *checkpoint, engine which, const mq_scores *s,
                             double constant, const differences *d, mq_error *error) {
    const mq_net *net = checkpoint->net;
    const mq_objective *objective;
    MQ_TRY(mq_objective_for(net, &objective, error));
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:f, s:f, s:I}", "model", net->name, "mode",
                  mq_mode_name(checkpoint->mode), "engine", ENGINE_NAMES[which], objective->quality_name,
                  mq_scores_quality(s), "loss", mq_scores_loss(s), "images", (json_int_t)s->images);
    for (int i = 0; root && i < MQ_LOSS_PARTS && objective->part_names[i]; i++)
        json_object_set_new(root, objective->part_names[i], json_real(mq_scores_part(s, i)));
    run_add_constant(root, net, constant);
    if (root && d) {
        json_object_set_new(root, "differing", json_integer((json_int_t)d->images));
        if (net->task == MQ_TASK_DETECTION) {
            json_object_set_new(root, "largest_difference_px", json_real(d->pixels));
            json_object_set_new(root, "iou_lost", json_real(d->quality_lost));
        }
    }
    return cli_print_json(root, error);
}

static void report_text(const mq_checkpoint *checkpoint, engine which, const mq_scores *s, double constant,
                        const differences *d) {
    const mq_net *net = checkpoint->net;
    char text[64];
    printf("%s (%s%s): %s %.4f%s, loss %.4f, %llu images\n", net->name, mq_mode_name(checkpoint->mode),
           which == ENGINE_INTEGER ? ", integer network" : "", mq_quality_name(net->task),
           mq_scores_quality(s), run_constant_text(net, constant, text), mq_scores_loss(s),
           (unsigned long long)s->images);
    if (d && net->task == MQ_TASK_DETECTION)
        printf(
            "the cell differs between the trained and the integer network for %llu images, boxes of the same "
            "cell by at\nmost %.3f pixels; the integer network's iou is %.4f lower\n",
            (unsigned long long)d->images, d->pixels, d->quality_lost);
    else if (d)
        printf("the class differs between the trained and the integer network for %llu images\n",
               (unsigned long long)d->images);
}

static mq_status make_room(const mq_net *net, size_t images, findings *f, mq_error *error) {
    if (net->task == MQ_TASK_DETECTION)
        return mq_alloc(images, sizeof *f->answers.found, "boxes", &f->answers.found, error);
    return mq_alloc(images, sizeof *f->answers.classes, "classes", &f->answers.classes, error);
}

static mq_status evaluate(const cli_args *args, const mq_checkpoint *checkpoint, const mq_dataset *dataset,
                          mq_error *error) {
    int which = ENGINE_FLOAT;
    bool compare = cli_flag(args, "--compare");
    findings found[ENGINES] = {0};
    double constant = 0;
    mq_status status = cli_choice(args, "--engine", ENGINE_NAMES, &which, error);
    for (int i = 0; i < ENGINES && status == MQ_OK; i++)
        status = make_room(checkpoint->net, dataset->count, &found[i], error);
    if (status == MQ_OK)
        status = mq_constant_box(dataset->targets, dataset->target_count, NULL, &constant, error);
    if (status == MQ_OK && (compare || which == ENGINE_FLOAT))
        status = run_float(args, checkpoint, dataset, &found[ENGINE_FLOAT], error);
    if (status == MQ_OK && (compare || which == ENGINE_INTEGER)) {
        status = run_integer(checkpoint, dataset, &found[ENGINE_INTEGER], error);
        if (status != MQ_OK) status = mq_fail_context(error, status, "%s", args->word[0]);
    }
    if (status == MQ_OK) {
        differences d = {0};
        if (compare) d = compare_answers(found);
        const mq_scores *s = &found[which].scores;
        if (args->json)
            status = report_json(checkpoint, (engine)which, s, constant, compare ? &d : NULL, error);
        else
            report_text(checkpoint, (engine)which, s, constant, compare ? &d : NULL);
    }
    for (int i = 0; i < ENGINES; i++) {
        mq_free(found[i].answers.classes);
        mq_free(found[i].answers.found);
    }
    return status;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *data;
    int64_t limit = 0;
    mq_checkpoint checkpoint = {0};
    mq_dataset *dataset = NULL;
    MQ_TRY(cli_required(args, "--data", &data, error));
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    MQ_TRY(mq_checkpoint_load(args->word[0], &checkpoint, error));
    mq_data_request request = {.split = MQ_SPLIT_TEST,
                               .limit = (size_t)limit,
                               .height = checkpoint.net->in_h,
                               .width = checkpoint.net->in_w,
                               .channels = checkpoint.net->in_c,
                               .seed = args->seed};
    mq_status status = mq_dataset_open(data, &request, &dataset, error);
    if (status == MQ_OK) status = evaluate(args, &checkpoint, dataset, error);
    mq_dataset_free(dataset);
    mq_checkpoint_free(&checkpoint);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--data", "DATA",
     "fashion-mnist[:DIR], mnist:DIR, cifar10:DIR, dac-sdc:DIR, shapes[:N]; its test split is used"},
    {"--limit", "N", "only the first N images"},
    {"--engine", "E", "float: as trained; integer: lowered in memory and simulated (float)"},
    {"--compare", NULL, "run both engines and count the images whose class (or cell) differs"},
    {"--batch", "N", "float: images per forward pass (100)"},
    {"--precision", "P", "float: f32, bf16 or auto: operands of the convolutions (f32)"},
    {NULL, NULL, NULL},
};

const cli_command cli_test = {
    .name = "test",
    .usage = "CKPT --data D [--limit N] [--engine float|integer] [--compare]",
    .summary = "Accuracy or mean IoU of a trained, searched or float network",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details = "CKPT is a .safetensors checkpoint, or a run folder (its best.safetensors).\n\n"
               "Examples:\n"
               "  mixq test run --data fashion-mnist --json\n"
               "  mixq test run --data fashion-mnist --engine integer --compare --limit 1000\n",
    .run = run,
};
