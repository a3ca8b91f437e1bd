/* accelerator.c - writes a build folder into a hidden one beside it, then renames. */
#include "gen/accelerator.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/embedded.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/staging.h"
#include "gen/export_copy.h"
#include "gen/hls_build.h"
#include "gen/hls_golden.h"
#include "gen/hls_host.h"
#include "gen/rtl_scripts.h"
#include "inet/manifest.h"

static mq_status write_embedded(const mq_embedded_file *files, const char *dir, const char *folder,
                                mq_error *error) {
    char path[MQ_PATH], name[300];
    MQ_TRY(mq_path_join(dir, folder, path, error));
    MQ_TRY(mq_make_dirs(path, error));
    for (; files->name; files++) {
        snprintf(name, sizeof name, "%s/%s", folder, files->name);
        MQ_TRY(mq_path_join(dir, name, path, error));
        MQ_TRY(mq_file_write(path, files->bytes, files->size, error));
    }
    return MQ_OK;
}

static void add_facts(const mq_build *facts, mq_build *b) {
    if (!facts) return;
    snprintf(b->part, sizeof b->part, "%s", facts->part);
    b->cycles = facts->cycles;
    b->expected = facts->expected;
    b->budget = facts->budget;
    for (int i = 0; i < b->count; i++)
        for (int k = 0; k < facts->count; k++)
            if (facts->stage[k].node == b->stage[i].node) {
                b->stage[i].cycles = facts->stage[k].cycles;
                b->stage[i].expected = facts->stage[k].expected;
            }
}

static mq_status write_manifest(const mq_build *b, const char *target, const char *dir, mq_error *error) {
    mq_folder_list files;
    json_t *about = json_pack("{s:s, s:s, s:f, s:{s:s, s:s}}", "target", target, "device", b->device,
                              "clock_mhz", b->clock_mhz, "tools", "verilator", "5", "yosys", "0.23");
    if (!about) return mq_fail_memory(error, MQ_MANIFEST_FILE, 0);
    mq_status status = mq_folder_files(dir, &files, error);
    if (status == MQ_OK) {
        status = mq_manifest_write_about(dir, (const char *const *)files.name, files.count, about, error);
        mq_folder_list_free(&files);
    }
    json_decref(about);
    return status;
}

/* hls/, with the export's vectors as golden ones, if it has any. */
static mq_status write_hls(const mq_accelerator_request *r, const mq_build *b, const char *dir,
                           mq_error *error) {
    char path[MQ_PATH], name[MQ_INET_MAX_NAME + 24];
    const mq_inet_node *head = &r->net->nodes[mq_inet_last(r->net)->input[0]];
    mq_hls_options options = {
        .part = b->part[0] ? b->part : NULL, .clock_mhz = b->clock_mhz, .part_of_build = true};
    mq_hls_golden golden = {0};
    mq_status status = MQ_OK;
    snprintf(name, sizeof name, "vectors/%s.npy", head->dump);
    MQ_TRY(mq_path_join(dir, name, path, error));
    if (head->dump[0] && mq_path_exists(path)) status = mq_hls_golden_load(r->net, dir, path, &golden, error);
    options.images = golden.images;
    options.image = golden.image;
    options.output = (const int64_t *const *)golden.output;
    if (status == MQ_OK) status = mq_path_join(dir, "hls", path, error);
    if (status == MQ_OK) status = mq_hls_build(r->net, r->plan, path, &options, error);
    mq_hls_golden_free(&golden);
    return status;
}

static mq_status write_host(const mq_accelerator_request *r, const mq_build *b, const char *dir,
                            mq_error *error) {
    char path[MQ_PATH];
    mq_stream out = b->stage[b->count - 1].out;
    MQ_TRY(mq_path_join(dir, "host", path, error));
    return mq_hls_host_write(r->net, &b->in, &out, path, error);
}

static mq_status write_rtl(const mq_rtl_graph *g, const mq_rtl_build *build, const char *dir,
                           mq_error *error) {
    MQ_TRY(mq_rtl_graph_write(g, build, error));
    MQ_TRY(mq_rtl_top_write(g, build, error));
    MQ_TRY(write_embedded(mixq_rtl_library, dir, "rtl", error));
    MQ_TRY(write_embedded(mixq_rtl_models, dir, "rtl/sim", error));
    MQ_TRY(write_embedded(mixq_rtl_benches, dir, "sim", error));
    return mq_rtl_scripts_write(g->build, dir, error);
}

static mq_status write_folder(const mq_accelerator_request *r, const mq_rtl_graph *g, const char *dir,
                              mq_error *error) {
    char path[MQ_PATH];
    const mq_rtl_build build = {.net = r->net, .plan = r->plan, .dir = dir};
    MQ_TRY(mq_make_dirs(dir, error));
    MQ_TRY(mq_export_copy(r->source, r->net, dir, error));
    MQ_TRY(mq_path_join(dir, MQ_PLAN_FILE, path, error));
    MQ_TRY(mq_inet_plan_save(r->plan, r->net, path, error));
    const unsigned targets = r->targets ? r->targets : MQ_TARGET_RTL;
    static const char *const names[] = {"", "rtl", "hls", "rtl,hls"};
    if (targets & MQ_TARGET_RTL) MQ_TRY(write_rtl(g, &build, dir, error));
    if (targets & MQ_TARGET_HLS) MQ_TRY(write_hls(r, g->build, dir, error));
    MQ_TRY(write_host(r, g->build, dir, error));
    snprintf(g->build->target, sizeof g->build->target, "%s", names[targets & 3]);
    MQ_TRY(mq_build_save(g->build, r->net, dir, error));
    return write_manifest(g->build, names[targets & 3], dir, error);
}

mq_status mq_accelerator_check_place(const char *out, bool force, mq_error *error) {
    char path[MQ_PATH];
    if (mq_path_exists(out) && !mq_path_is_dir(out))
        return mq_fail(error, MQ_USAGE, "--out %s: a folder expected, a file is there", out);
    if (!mq_dir_has_entries(out)) return MQ_OK;
    if (!force)
        return mq_fail(
            error, MQ_USAGE,
            "--out %s: the folder exists and is not empty: give --force to replace the build in it", out);
    MQ_TRY(mq_path_join(out, MQ_BUILD_FILE, path, error));
    if (!mq_path_exists(path))
        return mq_fail(error, MQ_USAGE, "--out %s: no build folder: --force does not replace it", out);
    return MQ_OK;
}

mq_status mq_accelerator_write(const mq_accelerator_request *r, mq_build **built, mq_error *error) {
    mq_staging stage;
    mq_rtl_graph g;
    *built = NULL;
    MQ_TRY(mq_accelerator_check_place(r->out, r->force, error));
    MQ_TRY(mq_rtl_graph_make(r->net, r->plan, &g, error));
    add_facts(r->facts, g.build);
    mq_status status = mq_staging_beside(r->out, &stage, error);
    if (status == MQ_OK) {
        status = write_folder(r, &g, stage.path, error);
        if (status == MQ_OK) status = mq_folder_replace(stage.path, r->out, error);
        mq_staging_close(&stage);
    }
    if (status == MQ_OK) {
        *built = g.build;
        g.build = NULL;
    }
    mq_rtl_graph_free(&g);
    return status;
}
