/* state.c - the run folder: run.json, metrics.jsonl, bits.json and checkpoints with everything a resumed run
 * needs. */
#include "train/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/text.h"
#include "net/checkpoint.h"

static mq_status in_folder(const run *r, const char *name, char path[MQ_PATH], mq_error *error) {
    return mq_path_join(r->settings->out, name, path, error);
}

/* ---- writing ---- */

/* %a keeps every bit of the sums. */
static void state_text(const run *r, char *text, size_t size) {
    const run_state *s = &r->state;
    int n =
        snprintf(text, size, "%d %" PRIu64 " %a %a %a %a %" PRIu64 " %a %a %" PRIu64 " %" PRIu64, s->epoch,
                 s->step, s->best, s->quality, s->loss, s->extra, *mq_optimizer_updates(r->optimizer),
                 s->scores.loss, s->scores.quality, s->scores.images, s->scores.judged);
    for (int i = 0; i < MQ_LOSS_PARTS; i++)
        n += snprintf(text + n, size - (size_t)n, " %a %" PRIu64, s->scores.part[i].sum,
                      s->scores.part[i].count);
}

/* What the hooks remember: numbers of %a. */
static mq_status add_memory(const run *r, mq_st_writer *writer, mq_error *error) {
    enum { NUMBER = 32 };
    if (!r->hooks || !r->hooks->memory_count) return MQ_OK;
    char *text;
    size_t used = 0, size = r->hooks->memory_count * NUMBER;
    MQ_TRY(mq_alloc(size, 1, "state of the search", &text, error));
    for (size_t i = 0; i < r->hooks->memory_count; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%a", i ? " " : "", r->hooks->memory[i]);
    mq_status status = mq_st_add_meta(writer, "hook_state", text, error);
    mq_free(text);
    return status;
}

static mq_status describe(const run *r, mq_st_writer *writer, bool with_optimiser, mq_error *error) {
    const mq_model_options *o = mq_model_get_options(r->model);
    mq_bits bits;
    mq_model_chosen_bits(r->model, &bits);
    const mq_bits *chosen = r->hooks && r->hooks->chosen ? r->hooks->chosen(r->hooks->context) : NULL;
    mq_checkpoint_info info = {.net = r->net,
                               .mode = o->mode,
                               .share = o->mode != MQ_MODE_SEARCH || o->share,
                               .symmetric = o->symmetric,
                               .bits = chosen ? chosen : &bits,
                               .epoch = r->state.epoch,
                               .precision = o->compute == MQ_BF16 ? "bf16" : "f32"};
    MQ_TRY(mq_checkpoint_describe(writer, &info, error));
    if (!with_optimiser) return MQ_OK;
    char text[512];
    state_text(r, text, sizeof text);
    MQ_TRY(mq_st_add_meta(writer, "train_state", text, error));
    MQ_TRY(add_memory(r, writer, error));
    char *settings = mq_json_line(r->settings->settings);
    if (!settings) return mq_fail_memory(error, "settings", 0);
    mq_status status = mq_st_add_meta(writer, "train_settings", settings, error);
    free(settings);
    return status;
}

static mq_status add_tensors(const run *r, mq_st_writer *writer, bool with_optimiser, mq_error *error) {
    int count;
    const mq_param *params = mq_model_params(r->model, &count);
    for (int i = 0; i < count; i++) {
        const mq_param_spec *spec = params[i].spec;
        mq_tensor value = {.dtype = MQ_F32, .shape = spec->shape, .data = params[i].value};
        MQ_TRY(mq_st_add(writer, spec->name, &value, error));
    }
    for (int k = 0; k < count * MQ_OPTIMIZER_MEMORIES && with_optimiser; k++) {
        int i = k / MQ_OPTIMIZER_MEMORIES;
        const char *what;
        float *memory = mq_optimizer_memory(r->optimizer, i, k % MQ_OPTIMIZER_MEMORIES, &what);
        if (!memory) continue;
        char name[MQ_MAX_NAME + 64];
        snprintf(name, sizeof name, "optimizer.%s.%s", params[i].spec->name, what);
        mq_tensor value = {.dtype = MQ_F32, .shape = params[i].spec->shape, .data = memory};
        MQ_TRY(mq_st_add(writer, name, &value, error));
    }
    return MQ_OK;
}

mq_status run_save(const run *r, const char *name, bool with_optimiser, mq_error *error) {
    char path[MQ_PATH];
    mq_st_writer *writer;
    MQ_TRY(in_folder(r, name, path, error));
    MQ_TRY(mq_st_writer_create(&writer, error));
    mq_status status = describe(r, writer, with_optimiser, error);
    if (status == MQ_OK) status = add_tensors(r, writer, with_optimiser, error);
    if (status == MQ_OK) status = mq_st_write(writer, path, error);
    mq_st_writer_free(writer);
    return status;
}

mq_status run_append_metrics(const run *r, const json_t *line, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(in_folder(r, "metrics.jsonl", path, error));
    char *text = mq_json_line(line);
    if (!text) return mq_fail_memory(error, "a metrics line", 0);
    mq_status status = mq_file_append_line(path, text, error);
    free(text);
    return status;
}

mq_status run_write_bits(const run *r, mq_error *error) {
    if (!r->hooks || !r->hooks->bits) return MQ_OK;
    char path[MQ_PATH];
    MQ_TRY(in_folder(r, "bits.json", path, error));
    json_t *bits = r->hooks->bits(r->hooks->context, r->model);
    if (!bits) return MQ_OK;
    mq_status status = mq_json_save(path, bits, error);
    json_decref(bits);
    return status;
}

static mq_status write_run_json(const run *r, mq_error *error) {
    char path[MQ_PATH], cpu[MQ_MACHINE_TEXT], features[MQ_MACHINE_TEXT];
    MQ_TRY(in_folder(r, "run.json", path, error));
    mq_cpu_name(cpu);
    mq_cpu_features(features);
    json_t *root =
        json_pack("{s:s, s:s, s:O, s:i, s:i, s:{s:s, s:s}}", "format", "mixq-run-1", "version", mq_version(),
                  "settings", r->settings->settings, "threads", mq_threads(), "ranks",
                  mq_ranks_count(r->settings->model.ranks), "cpu", "name", cpu, "features", features);
    if (!root) return mq_fail_memory(error, "run.json", 0);
    mq_status status = mq_json_save(path, root, error);
    json_decref(root);
    return status;
}

/* ---- reading ---- */

/* One setting, now and when the run began; NULL = not there. */
static mq_status same_setting(const run *r, const char *key, const json_t *now, const json_t *then,
                              mq_error *error) {
    if (now && then && json_equal(now, then)) return MQ_OK;
    const size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15); /* as people write them: 0.06 */
    char *got = now ? json_dumps(now, flags) : NULL, *expected = then ? json_dumps(then, flags) : NULL;
    mq_status status =
        mq_fail(error, MQ_USAGE, "cannot resume %s with other settings: %s: got %s, expected %s",
                r->settings->out, key, got ? got : "nothing", expected ? expected : "nothing");
    free(got);
    free(expected);
    return status;
}

/* "model" is only the way to the description, which is compared itself. */
static mq_status compare_settings(const run *r, const json_t *stored, mq_error *error) {
    mq_status status = MQ_OK;
    const char *key;
    json_t *value;
    json_t *now_all = r->settings->settings;
    json_object_foreach(now_all, key, value) {
        if (status == MQ_OK && strcmp(key, "model") != 0)
            status = same_setting(r, key, value, json_object_get(stored, key), error);
    }
    json_t *then_all = (json_t *)(uintptr_t)stored;
    json_object_foreach(then_all, key, value) {
        if (status == MQ_OK && strcmp(key, "model") != 0)
            status = same_setting(r, key, json_object_get(now_all, key), value, error);
    }
    return status;
}

static mq_status same_settings(const run *r, const mq_checkpoint *c, mq_error *error) {
    const char *text = mq_st_meta(c->file, "train_settings");
    if (!text)
        return mq_fail(error, MQ_BAD_INPUT, "cannot resume: %s has no optimiser state", mq_st_path(c->file));
    json_t *stored;
    MQ_TRY(mq_json_parse(mq_st_path(c->file), text, strlen(text), &stored, error));
    mq_status status = compare_settings(r, stored, error);
    json_decref(stored);
    if (status == MQ_OK && strcmp(c->net->source, r->net->source) != 0)
        status = mq_fail(error, MQ_USAGE,
                         "cannot resume %s: the description of network %s is not the one it began with",
                         r->settings->out, r->net->name);
    return status;
}

/* A run that ended before its first last.safetensors begins again, but only as the run that it was. */
static mq_status check_restart(const run *r, mq_error *error) {
    char path[MQ_PATH];
    json_t *root;
    MQ_TRY(in_folder(r, "run.json", path, error));
    mq_log(MQ_LOG_WARN, "nothing to resume in %s (no last.safetensors): the run begins", r->settings->out);
    if (!mq_path_exists(path)) return MQ_OK;
    MQ_TRY(mq_json_load(path, &root, error));
    mq_status status = compare_settings(r, json_object_get(root, "settings"), error);
    json_decref(root);
    return status;
}

/* Where the run stood; false when the text is not one that state_text writes. */
static bool read_state(const char *text, run *r) {
    run_state *s = &r->state;
    int used = 0;
    if (!text || sscanf(text, "%d %" SCNu64 " %la %la %la %la %" SCNu64 " %la %la %" SCNu64 " %" SCNu64 "%n",
                        &s->epoch, &s->step, &s->best, &s->quality, &s->loss, &s->extra,
                        mq_optimizer_updates(r->optimizer), &s->scores.loss, &s->scores.quality,
                        &s->scores.images, &s->scores.judged, &used) != 11)
        return false;
    const double numbers[] = {s->best, s->quality, s->loss, s->extra, s->scores.loss, s->scores.quality};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!isfinite(numbers[i])) return false;
    for (int i = 0; i < MQ_LOSS_PARTS; i++) {
        mq_loss_part *p = &s->scores.part[i];
        int more = 0;
        if (sscanf(text + used, " %la %" SCNu64 "%n", &p->sum, &p->count, &more) != 2 || !isfinite(p->sum))
            return false;
        used += more;
    }
    return !text[used] && s->epoch >= 0 && s->epoch <= r->settings->epochs &&
           (s->step > 0) == (s->scores.images > 0) && s->scores.judged <= s->scores.images;
}

static bool read_memory(const char *text, const mq_train_hooks *hooks) {
    if (!hooks || !hooks->memory_count) return !text;
    for (size_t i = 0; i < hooks->memory_count && text; i++) {
        int used = 0;
        if (sscanf(text, "%la%n", &hooks->memory[i], &used) != 1 || !isfinite(hooks->memory[i])) return false;
        text += used;
    }
    return text && !*text;
}

static mq_status load_last(run *r, const char *path, mq_error *error) {
    mq_checkpoint c;
    MQ_TRY(mq_checkpoint_load(path, &c, error));
    mq_status status = same_settings(r, &c, error);
    if (status == MQ_OK && !read_state(mq_st_meta(c.file, "train_state"), r))
        status = mq_fail(error, MQ_BAD_INPUT, "cannot resume: %s: metadata 'train_state' is damaged", path);
    if (status == MQ_OK && !read_memory(mq_st_meta(c.file, "hook_state"), r->hooks))
        status = mq_fail(error, MQ_BAD_INPUT, "cannot resume: %s: metadata 'hook_state' is damaged", path);
    int count;
    mq_param *params = mq_model_params(r->model, &count);
    for (int i = 0; i < count && status == MQ_OK; i++) {
        const mq_st_entry *entry;
        char name[MQ_MAX_NAME + 64];
        status = mq_st_require(c.file, params[i].spec->name, MQ_F32, &params[i].spec->shape, &entry, error);
        if (status == MQ_OK) memcpy(params[i].value, entry->tensor.data, params[i].count * sizeof(float));
        for (int k = 0; k < MQ_OPTIMIZER_MEMORIES && status == MQ_OK; k++) {
            const char *what;
            float *memory = mq_optimizer_memory(r->optimizer, i, k, &what);
            if (!memory) continue;
            snprintf(name, sizeof name, "optimizer.%s.%s", params[i].spec->name, what);
            status = mq_st_require(c.file, name, MQ_F32, &params[i].spec->shape, &entry, error);
            if (status == MQ_OK) memcpy(memory, entry->tensor.data, params[i].count * sizeof(float));
        }
    }
    mq_checkpoint_free(&c);
    return status;
}

/* Keeps the lines of finished epochs: an interrupted run may have written one more than it saved. */
static mq_status trim_metrics(const run *r, mq_error *error) {
    char path[MQ_PATH];
    uint8_t *text;
    size_t size;
    MQ_TRY(in_folder(r, "metrics.jsonl", path, error));
    if (!mq_path_exists(path)) return MQ_OK;
    MQ_TRY(mq_file_read(path, (size_t)1 << 28, &text, &size, error));
    size_t kept = 0;
    for (int lines = 0; lines < r->state.epoch && kept < size; lines++) {
        const char *end = memchr(text + kept, '\n', size - kept);
        if (!end) break;
        kept = (size_t)((const uint8_t *)end + 1 - text);
    }
    mq_status status = kept == size ? MQ_OK : mq_file_write(path, text, kept, error);
    mq_free(text);
    return status;
}

bool run_goes_on(const run *r) {
    char last[MQ_PATH];
    return r->settings->resume && in_folder(r, "last.safetensors", last, NULL) == MQ_OK &&
           mq_path_exists(last);
}

static mq_status lock_folder(run *r, mq_error *error) {
    const char *out = r->settings->out;
    r->lock = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->lock < 0) return mq_fail_errno(error, "cannot open the run folder", out);
    if (flock(r->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return MQ_OK;
    return mq_fail(error, MQ_USAGE, "--out %s: another run is writing there", out);
}

void run_close(run *r) {
    if (r->lock >= 0) close(r->lock);
    r->lock = -1;
}

/* Sums in another order end with other last bits: the user should know. */
static void warn_of_order(const run *r) {
    char path[MQ_PATH];
    json_t *root = NULL;
    if (in_folder(r, "run.json", path, NULL) != MQ_OK || mq_json_load(path, &root, NULL) != MQ_OK) return;
    json_int_t before = json_integer_value(json_object_get(root, "threads"));
    if (before > 0 && before != mq_threads())
        mq_log(MQ_LOG_WARN,
               "%s began with --threads %lld and goes on with %d: the result may differ in the last bits",
               r->settings->out, (long long)before, mq_threads());
    const int ranks = mq_ranks_count(r->settings->model.ranks);
    before = json_integer_value(json_object_get(root, "ranks"));
    if (before > 0 && before != ranks)
        mq_log(MQ_LOG_WARN,
               "%s began on %lld rank%s and goes on on %d: the result may differ in the last bits",
               r->settings->out, (long long)before, before == 1 ? "" : "s", ranks);
    json_decref(root);
}

static mq_status check_empty(const mq_train_settings *settings, mq_error *error) {
    if (!mq_dir_has_entries(settings->out) || settings->force || settings->resume) return MQ_OK;
    return mq_fail(error, MQ_USAGE,
                   "--out %s: the folder exists and is not empty: give --resume to go on with that run, "
                   "or --force to "
                   "replace it",
                   settings->out);
}

mq_status run_open(run *r, bool *resumed, mq_error *error) {
    const mq_train_settings *settings = r->settings;
    char last[MQ_PATH], other[MQ_PATH];
    static const char *const ours[] = {"last.safetensors", "best.safetensors", "metrics.jsonl", "bits.json",
                                       "run.json"};
    *resumed = false;
    MQ_TRY(in_folder(r, "last.safetensors", last, error));
    if (run_goes_on(r)) {
        MQ_TRY(lock_folder(r, error));
        mq_remove_leftovers(settings->out, NULL); /* of a run that was killed */
        MQ_TRY(load_last(r, last, error));
        warn_of_order(r);
        *resumed = true;
        return trim_metrics(r, error);
    }
    if (mq_path_exists(settings->out) && !mq_path_is_dir(settings->out))
        return mq_fail(error, MQ_USAGE, "--out %s: a folder expected, a file is there", settings->out);
    MQ_TRY(check_empty(settings, error));
    if (settings->resume) MQ_TRY(check_restart(r, error));
    MQ_TRY(mq_make_dirs(settings->out, error));
    MQ_TRY(lock_folder(r, error));
    MQ_TRY(check_empty(settings, error)); /* another run may have ended there in the meantime */
    mq_remove_leftovers(settings->out, NULL);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        MQ_TRY(in_folder(r, ours[i], other, error));
        if (mq_path_exists(other) && remove(other) != 0) return mq_fail_errno(error, "cannot replace", other);
    }
    return write_run_json(r, error);
}

mq_status run_init_from(run *r, mq_error *error) {
    mq_checkpoint c;
    MQ_TRY(mq_checkpoint_load(r->settings->init, &c, error));
    int count, taken = 0;
    mq_param *params = mq_model_params(r->model, &count);
    mq_status status = MQ_OK;
    if (c.net->given)
        status = mq_fail(error, MQ_BAD_INPUT,
                         "--init %s: an imported network holds codes, not weights to train from",
                         r->settings->init);
    for (int i = 0; i < count && status == MQ_OK; i++) {
        const mq_param_spec *spec = params[i].spec;
        const mq_st_entry *entry = mq_st_find(c.file, spec->name);
        char branch[MQ_MAX_NAME + 32];
        if (!entry && spec->kind == MQ_PARAM_WEIGHT) {
            /* From an unshared search take the branch of the bits to train at (of the chosen bits when there
             * are none, or no such branch); into one, the shared weights for all. */
            int layer = r->net->nodes[spec->node].layer;
            const mq_model_options *o = mq_model_get_options(r->model);
            int own = o->bits ? o->bits->weight[layer] : 0;
            if (spec->branch < 0 && c.mode == MQ_MODE_SEARCH && layer < c.net->layer_count)
                snprintf(branch, sizeof branch, "%s.%d", spec->name, own >= 2 ? own : c.bits.weight[layer]);
            else
                snprintf(branch, sizeof branch, "%s.weight", r->net->nodes[spec->node].name);
            entry = mq_st_find(c.file, branch);
        }
        if (!entry) {
            if (mq_param_is_alpha(spec->kind)) continue; /* stay at their start */
            status = mq_fail(error, MQ_BAD_INPUT,
                             "--init %s: it has no tensor %s: a checkpoint of network %s expected",
                             r->settings->init, spec->name, r->net->name);
        } else if (entry->tensor.dtype != MQ_F32) {
            status =
                mq_fail(error, MQ_BAD_INPUT, "--init %s: tensor %s: got %s, expected %s", r->settings->init,
                        entry->name, mq_dtype_name(entry->tensor.dtype), mq_dtype_name(MQ_F32));
        } else if (!mq_shape_equal(&entry->tensor.shape, &spec->shape)) {
            char got[MQ_SHAPE_TEXT], expected[MQ_SHAPE_TEXT];
            status = mq_fail(error, MQ_BAD_INPUT, "--init %s: tensor %s: got shape %s, expected %s",
                             r->settings->init, spec->name, mq_shape_text(&entry->tensor.shape, got),
                             mq_shape_text(&spec->shape, expected));
        } else {
            memcpy(params[i].value, entry->tensor.data, params[i].count * sizeof(float));
            taken++;
        }
    }
    if (status == MQ_OK)
        mq_log(MQ_LOG_INFO, "start from %s (%s, %s): %d of %d tensors", r->settings->init, c.net->name,
               mq_mode_name(c.mode), taken, count);
    mq_checkpoint_free(&c);
    return status;
}
