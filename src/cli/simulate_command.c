/* simulate_command.c - `mixq simulate`: the integer network on images, bit for bit. */
#include <stdio.h>
#include <string.h>

#include "base/digest.h"
#include "base/memory.h"
#include "cli/commands.h"
#include "cli/integer_run.h"
#include "cli/image_file.h"
#include "io/npy.h"

typedef struct source {
    mq_dataset *dataset; /* --data */
    image_file file;     /* --input */
} source;

static mq_status open_source(const cli_args *args, const mq_inet *net, source *s, integer_job *job,
                             mq_error *error) {
    const char *data = cli_value(args, "--data"), *input = cli_value(args, "--input");
    const mq_inet_edge *in = &net->nodes[0].edge;
    int64_t limit = 0;
    MQ_TRY(cli_int(args, "--limit", 1, INT32_MAX, &limit, error));
    if (!data == !input)
        return mq_fail(error, MQ_USAGE, "mixq simulate: one of --data D and --input F expected");
    if (input) {
        MQ_TRY(image_file_open(input, in->c, in->h, in->w, &s->file, error));
        job->images = s->file.images;
        job->count = limit && (size_t)limit < s->file.count ? (size_t)limit : s->file.count;
        job->layout = MQ_SIM_NCHW;
        return MQ_OK;
    }
    mq_data_request request = {.split = MQ_SPLIT_TEST,
                               .limit = (size_t)limit,
                               .height = in->h,
                               .width = in->w,
                               .channels = in->c,
                               .seed = args->seed};
    MQ_TRY(mq_dataset_open(data, &request, &s->dataset, error));
    MQ_TRY(integer_check_dataset(net, s->dataset, error));
    job->images = s->dataset->images;
    job->count = s->dataset->count;
    job->layout = MQ_SIM_NHWC;
    return MQ_OK;
}

static mq_status save_output(const char *path, const mq_inet *net, const integer_job *job, mq_error *error) {
    const mq_inet_edge *out = &mq_inet_last(net)->edge;
    int64_t n = (int64_t)job->count;
    mq_tensor tensor = {.dtype = MQ_I64, .data = job->out};
    tensor.shape =
        net->task == MQ_INET_CLASSIFICATION ? mq_shape2(n, out->c) : mq_shape4(n, out->c, out->h, out->w);
    return mq_npy_save(path, &tensor, error);
}

static mq_status report(const cli_args *args, const mq_inet *net, const source *s, const integer_job *job,
                        mq_error *error) {
    char digest[MQ_DIGEST_TEXT];
    size_t correct = 0;
    double rate = job->seconds > 0 ? (double)job->count / job->seconds : 0;
    mq_sha256(job->out, job->count * integer_outputs(net) * sizeof *job->out, digest);
    for (size_t i = 0; s->dataset && i < job->count; i++)
        correct += integer_class(net, job, i) == s->dataset->labels[i];
    double accuracy = (double)correct / (double)job->count;
    if (args->json) {
        json_t *root =
            json_pack("{s:s, s:s, s:b, s:I, s:f, s:s, s:s}", "model", net->model, "level", "integer",
                      "compat", (int)net->compat, "images", (json_int_t)job->count, "images_per_second", rate,
                      "output_sha256", digest, "net_sha256", net->sha256);
        if (root && s->dataset) json_object_set_new(root, "accuracy", json_real(accuracy));
        return cli_print_json(root, error);
    }
    printf("%s (integer%s): ", net->model, net->compat ? ", published rules" : "");
    if (s->dataset) printf("accuracy %.4f, ", accuracy);
    printf("%zu images, %.0f images/s, output sha256 %s\n", job->count, rate, digest);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    static const char *const levels[] = {"integer", NULL};
    int level = 0;
    mq_inet *net = NULL;
    source s = {0};
    integer_job job = {.dump = cli_value(args, "--dump")};
    const char *output = cli_value(args, "--output");
    mq_status status;
    MQ_TRY(cli_choice(args, "--level", levels, &level, error));
    MQ_TRY_GOTO(integer_open(args->word[0], &net, error), done);
    MQ_TRY_GOTO(open_source(args, net, &s, &job, error), done);
    MQ_TRY_GOTO(integer_run(net, &job, error), done);
    if (output) MQ_TRY_GOTO(save_output(output, net, &job, error), done);
    status = report(args, net, &s, &job, error);
done:
    integer_job_clear(&job);
    image_file_close(&s.file);
    mq_dataset_free(s.dataset);
    mq_inet_free(net);
    return status;
}

static const cli_option OPTIONS[] = {
    {"--data", "DATA", "the test split of fashion-mnist[:DIR], mnist:DIR, cifar10:DIR"},
    {"--input", "F", "images from a .npy, or from tensor `images` of a .safetensors, [N,C,H,W], 0..255"},
    {"--limit", "N", "only the first N images"},
    {"--level", "L", "integer: the reference simulator (integer)"},
    {"--dump", "DIR", "every layer's codes as DIR/<layer>.npy, [N,C,H,W]"},
    {"--output", "F", "the outputs as .npy, int64: [N,classes], or [N,C,H,W] of a detector's head"},
    {NULL, NULL, NULL},
};

const cli_command cli_simulate = {
    .name = "simulate",
    .usage = "NET-or-CKPT (--data D [--limit N] or --input F) [--dump DIR] [--output F.npy]",
    .summary = "Run the integer network on images, bit for bit",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details = "NET is an export folder or its net.json; CKPT a fixed-precision .safetensors or its run "
               "folder, lowered in\n"
               "memory. The output's sha256 is that of the int64 outputs in little-endian order.\n\n"
               "Examples:\n"
               "  mixq simulate export --data fashion-mnist --limit 1000\n"
               "  mixq simulate export --input images.npy --dump layers --output logits.npy --json\n",
    .run = run,
};
