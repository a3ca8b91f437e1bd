/* devices_command.c - `mixq devices`: the FPGA devices that estimates and allocations know. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "accel/device.h"
#include "base/embedded.h"
#include "cli/commands.h"

static json_t *device_json(const mq_device *d) {
    json_t *root = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:{s:f, s:f, s:f, s:f}, s:f, s:b}", "name", d->name,
        "board", d->board, "part", d->part, "dsp_kind", d->dsp.name, "dsp", (json_int_t)d->dsps, "lut",
        (json_int_t)d->lut, "ff", (json_int_t)d->ff, "bram36", (json_int_t)d->bram36, "uram",
        (json_int_t)d->uram, "usable", "lut", d->lut_cap, "ff", d->ff_cap, "bram", d->bram_cap, "dsp",
        d->dsp_cap, "clock_mhz", d->clock_mhz, "build", d->build);
    if (root && !d->build) json_object_set_new(root, "why", json_string(d->why));
    return root;
}

static void print_row(const mq_device *d) {
    printf("%-12s %-22s %-8s %5" PRId64 " %8" PRId64 " %8" PRId64 " %7" PRId64 " %5" PRId64 " %6g MHz%s\n",
           d->name, d->part, d->dsp.name, d->dsps, d->lut, d->ff, d->bram36, d->uram, d->clock_mhz,
           d->build ? "" : "  estimate only");
}

static void print_head(void) {
    printf("%-12s %-22s %-8s %5s %8s %8s %7s %5s %10s\n", "name", "part", "slices", "DSP", "LUT", "FF",
           "BRAM36", "URAM", "clock");
}

static mq_status show_one(const cli_args *args, mq_error *error) {
    mq_device d;
    MQ_TRY(mq_device_open(args->word[0], &d, error));
    if (args->json) return cli_print_json(device_json(&d), error);
    mq_resources budget = mq_device_budget(&d);
    print_head();
    print_row(&d);
    if (d.board[0]) printf("board: %s\n", d.board);
    printf("may be used:");
    for (int i = 0; i < MQ_RESOURCES; i++) printf(" %" PRId64 " %s", budget.of[i], mq_resource_names[i]);
    printf("\n");
    if (!d.build) printf("mixq build refuses it: %s\n", d.why);
    return MQ_OK;
}

static mq_status run(const cli_args *args, mq_error *error) {
    if (args->word_count) return show_one(args, error);
    json_t *list = json_array();
    mq_status status = MQ_OK;
    if (!args->json) print_head();
    for (const mq_embedded_file *f = mixq_builtin_devices; f->name && status == MQ_OK; f++) {
        mq_device d;
        status = mq_device_parse(f->name, (const char *)f->bytes, f->size, &d, error);
        if (status != MQ_OK) break;
        if (args->json)
            json_array_append_new(list, device_json(&d));
        else
            print_row(&d);
    }
    if (status == MQ_OK && args->json) return cli_print_json(json_pack("{s:o}", "devices", list), error);
    json_decref(list);
    return status;
}

static const cli_option OPTIONS[] = {{NULL, NULL, NULL}};

const cli_command cli_devices = {
    .name = "devices",
    .usage = "[DEVICE]",
    .summary = "List the FPGA devices, or read, check and print one",
    .most_words = 1,
    .options = OPTIONS,
    .details =
        "DEVICE is a built-in name or a .yaml file (docs/accelerator.md); the first mistake in a file is\n"
        "reported with its line.\n\n"
        "Examples:\n  mixq devices\n  mixq devices ultra96v2 --json\n  mixq devices my.yaml\n",
    .run = run,
};
