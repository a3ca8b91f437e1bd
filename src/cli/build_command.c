/* build_command.c - `mixq build`: from an export to what runs it. */
#include "cli/build_plain_c.h"
#include "cli/commands.h"

static mq_status run(const cli_args *args, mq_error *error) {
    static const char *const targets[] = {"c", NULL};
    int target = -1;
    MQ_TRY(cli_choice(args, "--target", targets, &target, error));
    if (target < 0) return mq_fail(error, MQ_USAGE, "mixq build: --target c expected");
    return build_plain_c(args, error);
}

static const cli_option OPTIONS[] = {
    {"--target", "T", "what is written: c (one source and header of plain C11)"},
    {"--out", "DIR", "the folder to write"},
    {"--force", NULL, "replace the build in --out"},
    {NULL, NULL, NULL},
};

const cli_command cli_build = {
    .name = "build",
    .usage = "NET --target c --out DIR [--force]",
    .summary = "Turn an export into a program: one source of plain C",
    .least_words = 1,
    .most_words = 1,
    .options = OPTIONS,
    .details = "NET is a folder of `mixq export`, or its net.json. DIR gets MODEL.c and MODEL.h, where the "
               "export has\n"
               "vectors also MODEL_bench.c, which runs and compares them, and manifest.json: all of it or "
               "nothing.\n\n"
               "Example:\n"
               "  mixq export main --out net --data fashion-mnist --vectors 8\n"
               "  mixq build net --target c --out program\n",
    .run = run,
};
