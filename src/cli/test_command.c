/* test_command.c - `mixq test`: accuracy or mean IoU of a checkpoint, as it was trained or as the integer
 * network made of it. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/confusion.h"
#include "cli/detect_results.h"
#include "cli/integer_run.h"
#include "cli/run_options.h"
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

/* Where the integer network's answers go. */
typedef struct integer_scoring {
    const mq_net *trained;
    const mq_inet *net;
    const mq_objective *objective;
    float *values; /* [part][h][w][c] */
    size_t room;   /* images */
    findings *out;
} integer_scoring;

static mq_status score_part(void *context, const integer_part *part, mq_error *error) {
    integer_scoring *s = context;
    findings *out = s->out;
    size_t outputs = integer_outputs(s->net);
    mq_answers here = {0};
    if (part->count > s->room) { /* the first part is the largest */
        mq_free(s->values);
        s->values = NULL;
        s->room = part->count;
        MQ_TRY(mq_alloc(s->room, outputs * sizeof *s->values, "outputs", &s->values, error));
    }
    if (out->answers.classes) here.classes = out->answers.classes + part->first;
    if (out->answers.found) here.found = out->answers.found + part->first;
    for (size_t i = 0; i < part->count; i++)
        to_nhwc(mq_net_output(s->trained), part->values + i * outputs, s->values + i * outputs);
    if (out->answers.outputs)
        memcpy(out->answers.outputs + part->first * outputs, s->values,
               part->count * outputs * sizeof *s->values);
    s->objective->loss(s->trained, s->values, part->batch, NULL, &out->scores, &here);
    for (size_t i = 0; here.classes && i < part->count; i++) { /* by the integers themselves */
        out->scores.quality -= here.classes[i] == part->batch->labels[i];
        here.classes[i] = integer_class(s->net, part->out + i * outputs);
        out->scores.quality += here.classes[i] == part->batch->labels[i];
    }
    return MQ_OK;
}

static mq_status run_integer(const mq_checkpoint *checkpoint, const mq_dataset *dataset, findings *out,
                             mq_error *error) {
    mq_inet *net = NULL;
    integer_scoring scoring = {.trained = checkpoint->net, .out = out};
    integer_job job = {.dataset = dataset, .count = dataset->count, .part = score_part, .context = &scoring};
    mq_status status;
    MQ_TRY_GOTO(mq_objective_for(checkpoint->net, &scoring.objective, error), done);
    MQ_TRY_GOTO(mq_check_dataset(checkpoint->net, dataset, error), done);
    MQ_TRY_GOTO(mq_lower(checkpoint, NULL, &net, error), done);
    scoring.net = net;
    status = integer_run(net, &job, error);
done:
    integer_job_clear(&job);
    mq_free(scoring.values);
    mq_inet_free(net);
    return status;
}

/* An image's outputs differ when one does by more than this part of the largest of them. Rounding of float32
 * sums alone stays a tenth below; a code on the other side of a threshold mostly comes out above. */
static const double OUTPUT_TOLERANCE = 1e-4;

/* How the two engines' answers differ. */
typedef struct differences {
    uint64_t images;  /* another class, or another cell */
    uint64_t outputs; /* images with other outputs */
    double largest;   /* difference of two outputs, as part of the image's largest */
    double pixels;    /* detection: largest difference of a box's x, y, w or h, of boxes in the same cell */
    double quality_lost; /* float - integer */
} differences;

static size_t outputs_of(const mq_net *net) {
    const mq_node *last = mq_net_output(net);
    return (size_t)last->h * (size_t)last->w * (size_t)last->c;
}

/* The largest difference of an image's outputs, as part of the largest of them. */
static double output_difference(const float *a, const float *b, size_t outputs) {
    double size = 0, difference = 0;
    for (size_t k = 0; k < outputs; k++) {
        size = fmax(size, fmax(fabs((double)a[k]), fabs((double)b[k])));
        difference = fmax(difference, fabs((double)a[k] - (double)b[k]));
    }
    return size > 0 ? difference / size : difference;
}

static differences compare_answers(const findings found[ENGINES], size_t outputs) {
    const findings *a = &found[ENGINE_FLOAT], *b = &found[ENGINE_INTEGER];
    differences d = {.quality_lost = mq_scores_quality(&a->scores) - mq_scores_quality(&b->scores)};
    for (uint64_t i = 0; i < a->scores.images; i++) {
        double off_by =
            output_difference(a->answers.outputs + i * outputs, b->answers.outputs + i * outputs, outputs);
        d.outputs += off_by > OUTPUT_TOLERANCE;
        d.largest = fmax(d.largest, off_by);
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
                             double constant, const differences *d, const confusion *c, mq_error *error) {
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
    if (root && c->count) json_object_set_new(root, "confusion", confusion_json(c));
    if (root && d) {
        json_object_set_new(root, "differing", json_integer((json_int_t)d->images));
        json_object_set_new(root, "outputs_differing", json_integer((json_int_t)d->outputs));
        json_object_set_new(root, "largest_difference", json_real(d->largest));
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
    printf("%s (%s%s): %s %.4f%s, loss %.4f, %llu image%s\n", net->name, mq_mode_name(checkpoint->mode),
           which == ENGINE_INTEGER ? ", integer network" : "", mq_quality_name(net->task),
           mq_scores_quality(s), run_constant_text(net, constant, text), mq_scores_loss(s),
           (unsigned long long)s->images, mq_s(s->images));
    if (d && net->task == MQ_TASK_DETECTION)
        printf(
            "the cell differs between float32 evaluation and the integer network for %llu image%s; boxes of "
            "the same\ncell differ by at most %.3f pixels; the integer network's iou is %.4f %s\n",
            (unsigned long long)d->images, mq_s(d->images), d->pixels, fabs(d->quality_lost),
            d->quality_lost < 0 ? "higher" : "lower");
    else if (d)
        printf("the class differs between float32 evaluation and the integer network for %llu image%s\n",
               (unsigned long long)d->images, mq_s(d->images));
    if (d)
        printf("an output differs by more than %g of the largest for %llu image%s, at most by %.3g\n",
               OUTPUT_TOLERANCE, (unsigned long long)d->outputs, mq_s(d->outputs), d->largest);
}

static mq_status make_room(const mq_net *net, size_t images, bool compare, findings *f, mq_error *error) {
    if (compare)
        MQ_TRY(mq_alloc(images, outputs_of(net) * sizeof *f->answers.outputs, "outputs", &f->answers.outputs,
                        error));
    if (net->task == MQ_TASK_DETECTION)
        return mq_alloc(images, sizeof *f->answers.found, "boxes", &f->answers.found, error);
    return mq_alloc(images, sizeof *f->answers.classes, "classes", &f->answers.classes, error);
}

static mq_status evaluate(const cli_args *args, const mq_checkpoint *checkpoint, const mq_dataset *dataset,
                          mq_error *error) {
    int which = ENGINE_FLOAT;
    bool compare = cli_flag(args, "--compare");
    findings found[ENGINES] = {0};
    detect_results results = {0};
    double constant = 0;
    if (checkpoint->net->given) which = ENGINE_INTEGER;
    mq_status status = cli_choice(args, "--engine", ENGINE_NAMES, &which, error);
    if (status == MQ_OK && checkpoint->net->given && (compare || which == ENGINE_FLOAT))
        status = mq_fail(error, MQ_USAGE,
                         "%s was imported as an exact network: --engine integer alone evaluates it",
                         checkpoint->net->name);
    if (status == MQ_OK) status = mq_check_dataset(checkpoint->net, dataset, error);
    if (status == MQ_OK) status = detect_results_open(args, dataset, &results, error);
    for (int i = 0; i < ENGINES && status == MQ_OK; i++)
        status = make_room(checkpoint->net, dataset->count, compare, &found[i], error);
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
        if (compare) d = compare_answers(found, outputs_of(checkpoint->net));
        const mq_scores *s = &found[which].scores;
        confusion c = {0};
        status = detect_results_write(&results, dataset, found[which].answers.found, error);
        if (status == MQ_OK && found[which].answers.classes)
            status =
                confusion_make(dataset, found[which].answers.classes, checkpoint->net->classes, &c, error);
        if (status == MQ_OK && args->json)
            status = report_json(checkpoint, (engine)which, s, constant, compare ? &d : NULL, &c, error);
        else if (status == MQ_OK)
            report_text(checkpoint, (engine)which, s, constant, compare ? &d : NULL);
        if (status == MQ_OK && !args->json && c.count) confusion_print(&c);
        confusion_free(&c);
        if (status == MQ_OK && !args->json) detect_results_say(&results, dataset);
    }
    detect_results_close(&results);
    for (int i = 0; i < ENGINES; i++) {
        mq_free(found[i].answers.classes);
        mq_free(found[i].answers.found);
        mq_free(found[i].answers.outputs);
    }
    return status;
}

static mq_status run(const cli_args *args, mq_error *error) {
    const char *data;
    int64_t limit = 0;
    bool strict = false;
    mq_checkpoint checkpoint = {0};
    mq_dataset *dataset = NULL;
    MQ_TRY(cli_required(args, "--data", &data, error));
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    MQ_TRY(cli_strict(args, &strict, error));
    MQ_TRY(mq_checkpoint_load(args->word[0], &checkpoint, error));
    mq_data_request request = {.split = MQ_SPLIT_TEST,
                               .limit = (size_t)limit,
                               .height = checkpoint.net->in_h,
                               .width = checkpoint.net->in_w,
                               .channels = checkpoint.net->in_c,
                               .seed = args->seed,
                               .strict = strict,
                               .for_task = true,
                               .task = checkpoint.net->task == MQ_TASK_DETECTION ? MQ_DATA_DETECT
                                                                                 : MQ_DATA_CLASSIFY};
    mq_status status = mq_dataset_open(data, &request, &dataset, error);
    if (status == MQ_OK) status = evaluate(args, &checkpoint, dataset, error);
    mq_dataset_free(dataset);
    mq_checkpoint_free(&checkpoint);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--data", "DATA",
     "fashion-mnist[:DIR], mnist:DIR, cifar10:DIR, folder:DIR, npy:X,Y, npy:F.npz, dac-sdc:DIR, shapes[:N]; "
     "its test "
     "split is used"},
    {"--limit", "N", "only the first N images"},
    {"--engine", "E", "float: as trained; integer: lowered in memory and simulated (float)"},
    {"--compare", NULL, "run both engines and count the images whose class (or cell) or outputs differ"},
    DETECT_RESULT_OPTIONS,
    {"--batch", "N", "float: images per forward pass (100)"},
    {"--precision", "P", "float: f32, bf16 or auto: operands of the convolutions (f32)"},
    {NULL, NULL, NULL},
};

static const char *const SETTABLE[] = {CLI_STRICT, NULL};

const cli_command cli_test = {
    .name = "test",
    .usage = "CKPT --data D [--limit N] [--engine float|integer] [--compare] [--save-images DIR] "
             "[--results FILE]",
    .summary = "Accuracy or mean IoU of a trained, searched or float network",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .settable = SETTABLE,
    .details =
        "CKPT is a .safetensors checkpoint, or a run folder (its best.safetensors). A classifier's confusion "
        "matrix "
        "follows,\n"
        "with --json as `confusion`: `classes` and `matrix`, rows true, columns found.\n"
        "Boxes of --save-images and --results are those of --engine. A line of --results, in file order:\n"
        "  NAME XMIN XMAX YMIN YMAX\n"
        "the image's path in the data set without its ending (shapes: its number) and the edges of the found "
        "box in\n"
        "pixels of the original image (shapes: of the network's input), also where they lie outside of it. A "
        "name may\n"
        "hold spaces: the last four words are the numbers. Files that are there are "
        "replaced.\n" CLI_STRICT_HELP "\nExamples:\n"
        "  mixq test run --data fashion-mnist --json\n"
        "  mixq test run --data fashion-mnist --engine integer --compare --limit 1000\n"
        "  mixq test main --data dac-sdc:contest --save-images boxes --results boxes.txt\n",
    .run = run,
};
