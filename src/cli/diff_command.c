/* diff_command.c - `mixq diff`: where two dumps first differ. */
#include <stdio.h>

#include "cli/commands.h"
#include "sim/dump_diff.h"

static mq_status report(const cli_args *args, const mq_dump_difference *d, mq_error *error) {
    if (args->json) {
        json_t *root = json_pack("{s:b, s:i, s:n}", "equal", (int)d->equal, "layers", (int)d->layers,
                                 "first_difference");
        if (root && !d->equal)
            json_object_set_new(root, "first_difference",
                                json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "layer", d->layer,
                                          "image", (json_int_t)d->image, "channel", (json_int_t)d->channel,
                                          "row", (json_int_t)d->row, "column", (json_int_t)d->column, "first",
                                          (json_int_t)d->first, "second", (json_int_t)d->second, "differing",
                                          (json_int_t)d->differing, "elements", (json_int_t)d->elements));
        return cli_print_json(root, error);
    }
    if (d->equal)
        printf("equal: %zu layers\n", d->layers);
    else
        printf("layer %s differs, the first of the network that does: image %lld, channel %lld, row %lld, "
               "column "
               "%lld: %lld in the first dump, %lld in the second; %zu of the layer's %zu numbers differ\n",
               d->layer, (long long)d->image, (long long)d->channel, (long long)d->row, (long long)d->column,
               (long long)d->first, (long long)d->second, d->differing, d->elements);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    mq_dump_difference difference;
    MQ_TRY(mq_dump_diff(args->word[0], args->word[1], &difference, error));
    MQ_TRY(report(args, &difference, error));
    if (difference.equal) return MQ_OK;
    return mq_fail(error, MQ_CHECK_FAILED, "%s and %s differ from layer %s on", args->word[0], args->word[1],
                   difference.layer);
}

static const cli_option OPTIONS[] = {{NULL, NULL, NULL}};

const cli_command cli_diff = {
    .name = "diff",
    .usage = "DUMP1 DUMP2",
    .summary = "Name the first layer, channel, row and column where two dumps differ",
    .least_words = 2,
    .most_words = 2,
    .options = OPTIONS,
    .details =
        "DUMP1 and DUMP2 are folders that `simulate --dump` wrote; of one of them dump.json may be missing, "
        "so "
        "that\n"
        "another program can write the .npy files. Values are compared, not types. Ends with 1 where the "
        "dumps\n"
        "differ.\n\n"
        "Example:\n"
        "  mixq simulate net --input i.npy --dump a\n"
        "  mixq simulate net --input i.npy --dump b --engine reference\n"
        "  mixq diff a b\n",
    .run = run,
};
