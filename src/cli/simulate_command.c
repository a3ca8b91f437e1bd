/* simulate_command.c - `mixq simulate`: the integer network on images, bit for bit. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/integer_run.h"
#include "cli/image_file.h"
#include "detect/constant_box.h"
#include "base/text.h"
#include "io/npy.h"
#include "io/npz.h"

typedef struct source {
    mq_dataset *dataset; /* --data */
    image_file file;     /* --input */
} source;

/* What is right, of a data set. */
typedef struct score {
    const mq_inet *net;
    mq_head head;    /* detectors */
    double quality;  /* correct classes, or IoU summed */
    uint64_t judged; /* images that have a right answer */
} score;

static mq_status judge(void *context, const integer_part *part, mq_error *error) {
    (void)error;
    score *s = context;
    const mq_batch *batch = part->batch;
    size_t outputs = integer_outputs(s->net), next = 0;
    for (size_t i = 0; i < part->count; i++) {
        if (s->net->task == MQ_INET_CLASSIFICATION) {
            s->judged++;
            s->quality += integer_class(s->net, part->out + i * outputs) == batch->labels[i];
            continue;
        }
        size_t first = next;
        while (next < batch->target_count && (size_t)batch->targets[next].image == i) next++;
        if (next == first) continue; /* a damaged image */
        mq_found found = mq_head_find(&s->head, part->values + i * outputs, MQ_HEAD_NCHW);
        s->judged++;
        s->quality += mq_head_iou(&s->head, &found, batch->targets + first, next - first);
    }
    return MQ_OK;
}

static mq_status open_source(const cli_args *args, const mq_inet *net, source *s, integer_job *job,
                             mq_error *error) {
    const char *data = cli_value(args, "--data"), *input = cli_value(args, "--input");
    const mq_inet_edge *in = &net->nodes[0].edge;
    int64_t limit = 0;
    bool strict = false;
    MQ_TRY(cli_strict(args, &strict, error));
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    if (!data == !input) return mq_fail(error, MQ_USAGE, "simulate: one of --data D and --input F expected");
    if (input) {
        MQ_TRY(image_file_open(input, &net->nodes[0], &s->file, error));
        job->images = s->file.images;
        job->count = limit && (size_t)limit < s->file.count ? (size_t)limit : s->file.count;
        return MQ_OK;
    }
    mq_data_request request = {.split = MQ_SPLIT_TEST,
                               .limit = (size_t)limit,
                               .height = in->h,
                               .width = in->w,
                               .channels = in->c,
                               .seed = args->seed,
                               .strict = strict,
                               .for_task = true,
                               .task = net->task == MQ_INET_DETECTION ? MQ_DATA_DETECT : MQ_DATA_CLASSIFY};
    MQ_TRY(mq_dataset_open(data, &request, &s->dataset, error));
    MQ_TRY(integer_check_dataset(net, s->dataset, error));
    job->dataset = s->dataset;
    job->count = s->dataset->count;
    return MQ_OK;
}

static mq_status save_output(const char *path, const mq_inet *net, const integer_job *job, mq_error *error) {
    const mq_inet_edge *out = &mq_inet_last(net)->edge;
    int64_t n = (int64_t)job->count;
    mq_tensor tensor = {.dtype = MQ_I64, .data = job->out};
    tensor.shape =
        net->task == MQ_INET_CLASSIFICATION ? mq_shape2(n, out->c) : mq_shape4(n, out->c, out->h, out->w);
    if (!mq_ends_with(path, ".npz")) return mq_npy_save(path, &tensor, error);
    return mq_npz_save(path, &(mq_npz_array){"outputs", &tensor}, 1, true, error);
}

static mq_status report(const cli_args *args, const mq_inet *net, const source *s, const integer_job *job,
                        const score *judged, mq_error *error) {
    const bool detector = net->task == MQ_INET_DETECTION;
    const char *const name = detector ? "iou" : "accuracy";
    const double rate = job->seconds > 0 ? (double)job->count / job->seconds : 0,
                 quality = judged->judged ? judged->quality / (double)judged->judged : 0;
    double constant = 0;
    if (s->dataset && detector)
        MQ_TRY(mq_constant_box(s->dataset->targets, s->dataset->target_count, NULL, &constant, error));
    if (args->json) {
        json_t *root =
            json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:f, s:s, s:s}", "model", net->model, "level",
                      job->options.engine == MQ_SIM_PACKED ? "packed" : "integer", "engine",
                      mq_sim_engine_names[job->options.engine], "kernels", job->kernels, "compat",
                      (int)net->compat, "images", (json_int_t)job->count, "images_per_second", rate,
                      "output_sha256", job->sha256, "net_sha256", net->sha256);
        if (root && s->dataset) json_object_set_new(root, name, json_real(quality));
        if (root && s->dataset && detector) json_object_set_new(root, "constant_iou", json_real(constant));
        return cli_print_json(root, error);
    }
    printf("%s (%s%s): ", net->model, job->options.engine == MQ_SIM_PACKED ? "packed" : "integer",
           net->compat ? ", published rules" : "");
    if (s->dataset) printf("%s %.4f", name, quality);
    if (s->dataset && detector) printf(" (best constant box %.4f)", constant);
    printf("%s%zu image%s, %.*f images/s, output sha256 %s\n", s->dataset ? ", " : "", job->count,
           mq_s(job->count), rate < 10 ? 2 : 0, rate, job->sha256);
    return MQ_OK;
}

/* --plan, or the plan beside the network, or the best packings for its bits. */
static mq_status open_plan(const cli_args *args, const mq_inet *net, mq_inet_plan **out, mq_error *error) {
    char path[MQ_PATH], folder[MQ_PATH];
    const char *file = cli_value(args, "--plan");
    mq_dsp dsp;
    if (file) return mq_inet_plan_load(file, net, out, error);
    snprintf(folder, sizeof folder, "%s", args->word[0]);
    if (!mq_path_is_dir(folder)) {
        char *slash = strrchr(folder, '/');
        snprintf(slash ? slash : folder, 2, "%s", slash ? "" : ".");
    }
    MQ_TRY(mq_path_join(folder, MQ_PLAN_FILE, path, error));
    if (mq_path_exists(path) && net->sha256[0]) return mq_inet_plan_load(path, net, out, error);
    MQ_TRY(mq_dsp_find("dsp48e2", &dsp, error));
    mq_log(MQ_LOG_INFO, "no " MQ_PLAN_FILE " there: packed for %s by the layers' bits", dsp.name);
    return mq_inet_plan_choose(net, &dsp, MQ_CLASS_II, out, error);
}

/* --level and --engine: which simulator. */
static mq_status choose_engine(const cli_args *args, mq_sim_engine *out, mq_error *error) {
    static const char *const levels[] = {"integer", "packed", NULL}, *const engines[] = {"fast", "reference",
                                                                                         NULL};
    int level = 0, engine = MQ_SIM_FAST;
    MQ_TRY(cli_choice(args, "--level", levels, &level, error));
    MQ_TRY(cli_choice(args, "--engine", engines, &engine, error));
    if (level == 1 && cli_value(args, "--engine"))
        return mq_fail(error, MQ_USAGE, "--engine belongs to --level integer");
    if (level == 0 && cli_value(args, "--plan"))
        return mq_fail(error, MQ_USAGE, "--plan belongs to --level packed");
    *out = level == 1 ? MQ_SIM_PACKED : (mq_sim_engine)engine;
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    mq_inet *net = NULL;
    mq_inet_plan *plan = NULL;
    source s = {0};
    score judged = {0};
    const char *output = cli_value(args, "--output");
    integer_job job = {.dump = cli_value(args, "--dump"), .keep = output != NULL};
    mq_status status;
    MQ_TRY(choose_engine(args, &job.options.engine, error));
    MQ_TRY_GOTO(integer_open(args->word[0], &net, error), done);
    if (job.options.engine == MQ_SIM_PACKED) MQ_TRY_GOTO(open_plan(args, net, &plan, error), done);
    job.options.plan = plan;
    MQ_TRY_GOTO(open_source(args, net, &s, &job, error), done);
    judged.net = net;
    if (net->task == MQ_INET_DETECTION) MQ_TRY_GOTO(integer_head(net, &judged.head, error), done);
    job.context = &judged;
    if (s.dataset) job.part = judge;
    MQ_TRY_GOTO(integer_run(net, &job, error), done);
    if (output) MQ_TRY_GOTO(save_output(output, net, &job, error), done);
    status = report(args, net, &s, &job, &judged, error);
done:
    integer_job_clear(&job);
    image_file_close(&s.file);
    mq_dataset_free(s.dataset);
    mq_inet_plan_free(plan);
    mq_inet_free(net);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--data", "DATA",
     "the test split of fashion-mnist[:DIR], mnist:DIR, cifar10:DIR, folder:DIR, npy:X,Y, npy:F.npz; "
     "detectors: "
     "dac-sdc:DIR, shapes[:N]"},
    {"--input", "F",
     "images [N,C,H,W], 0..255, from a .npy, array `images`, `x` or `arr_0` of a .npz, or tensor `images` "
     "of\n"
     "                             a .safetensors; networks of real inputs also take float32, their own "
     "values"},
    {"--limit", "N", "only the first N images"},
    {"--level", "L",
     "integer: codes and accumulators; packed: word by word through the DSP slices of the plan (integer)"},
    {"--plan", "F",
     "packed: a plan.json (default: the one beside the network, else packed by the layers' bits)"},
    {"--engine", "E", "fast: vector kernels; reference: plain loops, the same numbers (fast)"},
    {"--dump", "DIR", "every layer's codes as DIR/<layer>.npy, [N,C,H,W]; compare with mixq diff"},
    {"--output", "F",
     "the outputs as .npy, or array `outputs` of a .npz, int64: [N,classes], or [N,C,H,W] of a detector's\n"
     "                             head"},
    {NULL, NULL, NULL},
};

static const char *const SETTABLE[] = {CLI_STRICT, NULL};

const cli_command cli_simulate = {
    .name = "simulate",
    .usage = "NET-or-CKPT (--data D [--limit N] or --input F) [--level packed] [--dump DIR] "
             "[--output F]",
    .summary = "Run the integer network on images, bit for bit",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .settable = SETTABLE,
    .details =
        "NET is an export folder or its net.json; CKPT a fixed-precision .safetensors or its run "
        "folder, lowered in\n"
        "memory. The output's sha256 is that of the int64 outputs in little-endian order.\n" CLI_STRICT_HELP
        "\nExamples:\n"
        "  mixq simulate export --data fashion-mnist --limit 1000\n"
        "  mixq simulate export --data shapes:64 --level packed --limit 1\n"
        "  mixq simulate export --input images.npy --dump layers --output logits.npy --json\n",
    .run = run,
};
