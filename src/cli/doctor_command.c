/* doctor_command.c - `mixq doctor`: what this program is and what it found on this machine. */
#include <stdio.h>
#include <stdlib.h>

#include "base/embedded.h"
#include "base/machine.h"
#include "base/parallel.h"
#include "cli/commands.h"
#include "cli/thread_wait.h"
#include "data/dataset.h"
#ifdef MIXQ_TRAIN
#include "dnn/dnn.h"
#endif

/* Data sets that need no folder are tried; a missing one is a finding, not a failure. */
static json_t *find_data(void) {
    json_t *list = json_array();
    for (const mq_data_reader *reader = mq_data_readers; reader->name; reader++) {
        mq_dataset *set = NULL;
        mq_error why = {0};
        mq_data_request request = {.split = MQ_SPLIT_TEST, .limit = 1};
        bool found = mq_dataset_open(reader->name, &request, &set, &why) == MQ_OK;
        if (!found && why.status == MQ_USAGE) continue; /* its folder must be given */
        mq_dataset_free(set);
        json_array_append_new(list, json_pack("{s:s, s:b, s:s}", "name", reader->name, "found", (int)found,
                                              "message", why.text));
    }
    return list;
}

static json_t *onednn(void) {
#ifdef MIXQ_TRAIN
    return json_pack("{s:s, s:s, s:b, s:b, s:b}", "version", mq_dnn_version(), "isa", mq_dnn_isa(), "bf16",
                     (int)mq_dnn_has_bf16(), "amx", (int)mq_dnn_has_amx(), "slow_pairs",
                     (int)mq_dnn_slow_dots());
#else
    return json_null();
#endif
}

/* How threads wait for each other: the variable that says it, or null. */
static json_t *waiting(void) {
    const char *names[] = {CLI_POLICY, CLI_SPINS};
    for (int i = 0; i < 2; i++)
        if (getenv(names[i])) return json_sprintf("%s=%s", names[i], getenv(names[i]));
    return json_null();
}

static void print_text(const json_t *root) {
    const json_t *dnn = json_object_get(root, "onednn"), *item;
    const char *wait = json_string_value(json_object_get(root, "wait"));
    size_t i;
    printf("mixq %s, %s\n", json_string_value(json_object_get(root, "version")),
           json_is_null(dnn) ? "deploy side only (built without oneDNN)" : "training and deploy side");
    printf("processor: %s\n  vector instructions: %s\n  threads: %lld%s%s%s\n",
           json_string_value(json_object_get(root, "cpu")),
           json_string_value(json_object_get(root, "features")),
           (long long)json_integer_value(json_object_get(root, "threads")), wait ? ", which wait as " : "",
           wait ? wait : "", wait ? " says" : "");
    if (!json_is_null(dnn))
        printf("oneDNN %s, kernels for %s, %s bfloat16%s\n",
               json_string_value(json_object_get(dnn, "version")),
               json_string_value(json_object_get(dnn, "isa")),
               json_is_true(json_object_get(dnn, "bf16")) ? "native" : "no native",
               json_is_true(json_object_get(dnn, "amx")) ? " with tiles (AMX)"
               : json_is_true(json_object_get(dnn, "slow_pairs"))
                   ? " (slower than float32 here, which multiplies in its place)"
                   : "");
    const char *mpi = json_string_value(json_object_get(root, "mpi"));
    printf("several processes: %s\n", mpi ? mpi : "no (built without MPI)");
    printf("built-in networks: %lld\n", (long long)json_integer_value(json_object_get(root, "models")));
    json_array_foreach(json_object_get(root, "datasets"), i, item) {
        bool found = json_is_true(json_object_get(item, "found"));
        printf("data set %s: %s%s\n", json_string_value(json_object_get(item, "name")),
               found ? "found" : "not found: ", json_string_value(json_object_get(item, "message")));
    }
}

static mq_status run(const cli_args *args, mq_error *error) {
    char cpu[MQ_MACHINE_TEXT], features[MQ_MACHINE_TEXT];
    int models = 0;
    mq_cpu_name(cpu);
    mq_cpu_features(features);
    while (mixq_builtin_models[models].name) models++;
    json_t *root =
        json_pack("{s:s, s:s, s:s, s:i, s:o, s:s?, s:o, s:i, s:o}", "version", mq_version(), "cpu", cpu,
                  "features", features, "threads", mq_threads(), "wait", waiting(), "mpi", mq_ranks_library(),
                  "onednn", onednn(), "models", models, "datasets", find_data());
    if (args->json || !root) return cli_print_json(root, error);
    print_text(root);
    json_decref(root);
    return MQ_OK;
}

static const cli_option OPTIONS[] = {{NULL, NULL, NULL}};

const cli_command cli_doctor = {
    .name = "doctor",
    .usage = "",
    .summary = "Say what was found: processor, libraries, data sets",
    .options = OPTIONS,
    .details = "Example:\n  mixq doctor --json\n",
    .run = run,
};
