/* helper_runs.c - making, running and comparing small training runs. */
#include "helper_runs.h"

#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "base/stop.h"

static const char NET[] = "name: tiny\nclasses: 4\ninput: {channels: 1, height: 8, width: 8}\n"
                          "layers:\n"
                          "  - conv: {out: 6, kernel: 3}\n"
                          "  - batch_norm\n"
                          "  - max_pool\n"
                          "  - conv: {out: 9, kernel: 3, bias: true}\n"
                          "  - batch_norm\n"
                          "  - linear: {out: 4, weight_bits: 8, activation_bits: 8}\n";

/* Class k has noise everywhere and is brighter in quadrant k. */
static mq_dataset *make_data(size_t count, uint64_t seed) {
    mq_dataset *data;
    OK(mq_dataset_create("quadrants", count, 8, 8, 1, 4, &data, ERROR));
    const mq_rng rng = mq_rng_stream(seed, "quadrants", 0);
    for (size_t i = 0; i < count; i++) {
        data->labels[i] = (int32_t)mq_rng_below(&rng, 1000 * i, 4);
        for (size_t p = 0; p < 64; p++) {
            const int quadrant = (int)(p / 32) * 2 + (p % 8 >= 4);
            const uint32_t noise = mq_rng_below(&rng, 1000 * i + 1 + p, 160);
            data->images[i * 64 + p] = (uint8_t)(noise + (quadrant == data->labels[i] ? 60u : 0u));
        }
    }
    return data;
}

static double after_backward(void *context, mq_model *model) {
    test_run *run = context;
    if (++run->steps == run->stop_step) mq_stop_request();
    if (run->settings.model.mode != MQ_MODE_SEARCH) return 0;
    const mq_cost_losses losses = mq_search_add_gradients(&run->search, model);
    return run->search.prices.complexity * losses.complexity;
}

static void after_update(void *context, mq_model *model) {
    test_run *run = context;
    mq_search_apply_fix(&run->search, model);
    if (run->sabotage) run->sabotage(run, model);
}

static mq_status epoch(void *context, mq_model *model, json_t *metrics, mq_error *error) {
    (void)model;
    (void)error;
    test_run *run = context;
    if (++run->epochs == run->stop_epoch) mq_stop_request();
    json_object_set_new(metrics, "hooked", json_true());
    return MQ_OK;
}

static json_t *bits(void *context, mq_model *model) {
    test_run *run = context;
    mq_bits chosen;
    char weight[MQ_BITS_TEXT], activation[MQ_BITS_TEXT];
    mq_model_chosen_bits(model, &chosen);
    mq_bits_text(run->net, &chosen, weight, activation);
    return json_pack("{s:s, s:s}", "bitw", weight, "bita", activation);
}

void run_begin(test_run *run, void **state, const char *name, mq_mode mode, bool share) {
    *run = (test_run){0};
    mq_factors factors;
    OK(mq_net_parse("tiny.yaml", NET, strlen(NET), &run->net, ERROR));
    OK(mq_bits_parse(run->net, "48", "84", &run->bits, ERROR));
    OK(mq_factors_load("published", &factors, ERROR));
    OK(mq_cost_create(run->net, &factors, &run->search.cost, ERROR));
    run->search.prices.complexity = 1e-4;
    run->train = make_data(RUN_TRAIN, 1);
    run->test = make_data(RUN_TEST, 2);
    run->hooks = (mq_train_hooks){.context = run,
                                  .after_backward = after_backward,
                                  .after_update = after_update,
                                  .epoch = epoch,
                                  .bits = bits};
    run->json = json_pack("{s:s, s:i, s:f, s:n}", "mode", mq_mode_name(mode), "epochs", 3, "lr", 0.05, "fix");
    snprintf(run->folder, sizeof run->folder, "%s", temp_dir_path(state, name));
    run->settings = (mq_train_settings){
        .model = {.mode = mode,
                  .bits = mode == MQ_MODE_FIXED ? &run->bits : NULL,
                  .share = share,
                  .compute = MQ_F32},
        .epochs = 3,
        .batch = RUN_BATCH,
        .schedule = {.weights = {0.05, 0.9, 5e-4, false},
                     .alphas = {0.1, 0.9, 5e-4, false},
                     .weights_end = 0.01,
                     .alphas_end = 0.3,
                     .bias_rate = 1,
                     .decay_everywhere = true},
        .augment = {.pad = 1, .flip = false},
        .seed = 1,
        .out = run->folder,
        .settings = run->json,
    };
}

static const char DETECTOR[] = "name: finder\ntask: detection\nclasses: 1\nanchors: [[8, 6], [5, 5]]\n"
                               "input: {channels: 1, height: 16, width: 32}\n"
                               "layers:\n"
                               "  - conv: {out: 8, kernel: 3}\n"
                               "  - batch_norm\n"
                               "  - max_pool\n"
                               "  - conv: {out: 12, kernel: 3}\n"
                               "  - batch_norm\n"
                               "  - max_pool\n"
                               "  - conv: {out: 12, kernel: 3}\n"
                               "  - batch_norm\n"
                               "  - conv: {out: 12, kernel: 1, bias: true}\n";

/* A bright rectangle on noise; every tenth image has none. */
static mq_dataset *make_scenes(size_t count, uint64_t seed) {
    enum { H = 16, W = 32 };
    mq_dataset *data;
    OK(mq_dataset_create("rectangles", count, H, W, 1, 1, &data, ERROR));
    mq_free(data->labels);
    data->labels = NULL;
    data->task = MQ_DATA_DETECT;
    OK(mq_alloc(count, sizeof *data->targets, "test", &data->targets, ERROR));
    const mq_rng rng = mq_rng_stream(seed, "rectangles", 0);
    for (size_t i = 0; i < count; i++) {
        uint8_t *image = data->images + i * H * W;
        for (size_t p = 0; p < H * W; p++) image[p] = (uint8_t)mq_rng_below(&rng, 1000 * i + p, 60);
        const int w = 4 + (int)mq_rng_below(&rng, 1000 * i + 900, 8);
        const int h = 4 + (int)mq_rng_below(&rng, 1000 * i + 901, 6);
        const int x = (int)mq_rng_below(&rng, 1000 * i + 902, (uint32_t)(W - w + 1));
        const int y = (int)mq_rng_below(&rng, 1000 * i + 903, (uint32_t)(H - h + 1));
        if (i % 10 == 9) continue;
        for (int row = y; row < y + h; row++) memset(image + row * W + x, 220, (size_t)w);
        data->targets[data->target_count++] = (mq_target){
            (int32_t)i,
            0,
            {((float)x + (float)w / 2) / W, ((float)y + (float)h / 2) / H, (float)w / W, (float)h / H},
            1};
    }
    return data;
}

void run_begin_detector(test_run *run, void **state, const char *name, mq_mode mode, bool share) {
    mq_factors factors;
    run_begin(run, state, name, mode, share);
    mq_net_free(run->net);
    mq_dataset_free(run->train);
    mq_dataset_free(run->test);
    OK(mq_net_parse("finder.yaml", DETECTOR, strlen(DETECTOR), &run->net, ERROR));
    OK(mq_bits_parse(run->net, "4464", "8444", &run->bits, ERROR));
    OK(mq_factors_load("published", &factors, ERROR));
    OK(mq_cost_create(run->net, &factors, &run->search.cost, ERROR));
    run->search.prices.complexity = 4e-5;
    run->train = make_scenes(RUN_TRAIN, 1);
    run->test = make_scenes(RUN_TEST, 2);
    run->settings.schedule = mq_recipe_for(MQ_TASK_DETECTION)->schedule;
    run->settings.schedule.weights.lr = 0.01;
    run->settings.augment = (mq_augment){.pad = 0};
}

mq_status run_train(test_run *run) {
    run->error = (mq_error){0};
    run->steps = run->epochs = 0;
    mq_stop_clear();
    const mq_status status =
        mq_train(run->net, &run->settings, &run->hooks, run->train, run->test, &run->result, &run->error);
    mq_stop_clear();
    return status;
}

void run_well(test_run *run) {
    if (run_train(run) != MQ_OK) fail_msg("%s", run->error.text);
}

void run_end(test_run *run) {
    mq_dataset_free(run->train);
    mq_dataset_free(run->test);
    mq_net_free(run->net);
    json_decref(run->json);
}

const char *run_path(const test_run *run, const char *file) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", run->folder, file);
    return path;
}

json_t *run_metrics(const test_run *run) {
    uint8_t *text;
    size_t size;
    json_t *lines = json_array();
    OK(mq_file_read(run_path(run, "metrics.jsonl"), 1 << 20, &text, &size, ERROR));
    for (char *line = (char *)text, *end; (end = strchr(line, '\n')); line = end + 1) {
        json_t *object;
        OK(mq_json_parse("metrics.jsonl", line, (size_t)(end - line), &object, ERROR));
        assert_true(json_real_value(json_object_get(object, "seconds")) > 0);
        json_object_del(object, "seconds");
        json_array_append_new(lines, object);
    }
    assert_true(size == 0 || text[size - 1] == '\n');
    mq_free(text);
    return lines;
}

void run_same_file(const test_run *a, const test_run *b, const char *file) {
    uint8_t *x, *y;
    size_t m, n;
    OK(mq_file_read(run_path(a, file), 1 << 24, &x, &m, ERROR));
    OK(mq_file_read(run_path(b, file), 1 << 24, &y, &n, ERROR));
    if (m != n || memcmp(x, y, m) != 0) fail_msg("%s differs between %s and %s", file, a->folder, b->folder);
    mq_free(x);
    mq_free(y);
}

void run_same_end(const test_run *a, const test_run *b) {
    run_same_file(a, b, "last.safetensors");
    run_same_file(a, b, "best.safetensors");
    run_same_file(a, b, "bits.json");
    run_same_file(a, b, "run.json");
    json_t *x = run_metrics(a), *y = run_metrics(b);
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);
    assert_true(a->result.best == b->result.best);
    assert_true(a->result.quality == b->result.quality && a->result.loss == b->result.loss);
}

int run_stopped_often(test_run *run, int every) {
    int calls = 0;
    run->stop_step = every;
    for (mq_status status = MQ_INTERRUPTED; status == MQ_INTERRUPTED; calls++) {
        status = run_train(run);
        if (status != MQ_OK) run_expect(run, status, MQ_INTERRUPTED, "go on with --resume");
        run->settings.resume = true;
        if (calls > 60) fail_msg("does not come to an end");
    }
    return calls;
}

void run_load(const test_run *run, const char *file, mq_checkpoint *out) {
    OK(mq_checkpoint_load(run_path(run, file), out, ERROR));
}

void run_expect(const test_run *run, mq_status got, mq_status expected, const char *words) {
    if (got != expected || !strstr(run->error.text, words))
        fail_msg("status %d with '%s', expected %d with '%s'", got, run->error.text, expected, words);
}

int run_one_thread(void **state) {
    (void)state;
    mq_threads_set(1);
    return 0;
}
