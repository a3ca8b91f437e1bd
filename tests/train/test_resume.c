/* test_resume.c - a run that was stopped and resumed ends with the same bytes as one that was not; what
 * cannot be resumed is refused, with the setting named. */
#include "helper_runs.h"

#include <math.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stop.h"

/* Stops run b in every `every`-th step it does, and resumes it, until it is at its end. */
static void stop_often(test_run *b, int every) {
    const int calls = run_stopped_often(b, every), steps = RUN_STEPS * b->settings.epochs;
    assert_int_equal(calls, steps / every + 1); /* a stop in the very last step repeats its test only */
}

static void check_mode(void **state, mq_mode mode, bool share, const char *fix) {
    test_run a, b;
    run_begin(&a, state, "undisturbed", mode, share);
    if (fix) OK(mq_search_parse_fix(a.net, fix, &a.search.fix, ERROR));
    run_well(&a);
    /* in the middle of epochs; in the last step of one (then its test is interrupted); step by step */
    const int every[] = {5, RUN_STEPS, 1};
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "stopped%d", every[i]);
        run_begin(&b, state, name, mode, share);
        b.search.fix = a.search.fix;
        stop_often(&b, every[i]);
        run_same_end(&a, &b);
        run_end(&b);
    }
    run_end(&a);
}

static void in_float(void **state) {
    check_mode(state, MQ_MODE_FLOAT, true, NULL);
}
static void at_fixed_bits(void **state) {
    check_mode(state, MQ_MODE_FIXED, true, NULL);
}
static void in_a_search(void **state) {
    check_mode(state, MQ_MODE_SEARCH, true, "conv0=w8a8");
}
static void in_an_unshared_search(void **state) {
    check_mode(state, MQ_MODE_SEARCH, false, NULL);
}

static double (*plain_gradients)(void *context, mq_model *model);
static uint64_t begun[2];

/* A force on the alphas that depends on all updates before. */
static double with_memory(void *context, mq_model *model) {
    test_run *run = context;
    double *memory = run->hooks.memory;
    memory[0] = 0.9 * memory[0] + 1 / (1 + memory[1]);
    memory[1] += 1.0 / 3;
    const double extra = plain_gradients(context, model);
    mq_model_param(model, run->net->layers[0].node, MQ_PARAM_ALPHA_WEIGHT, -1)->grad[2] += (float)memory[0];
    return extra + memory[0];
}

static mq_status note_begin(void *context, mq_model *model, uint64_t updates, uint64_t done,
                            mq_error *error) {
    (void)context, (void)model, (void)error;
    begun[0] = updates;
    begun[1] = done;
    return MQ_OK;
}

static void begin_with_memory(test_run *run, void **state, const char *name, double *memory) {
    run_begin(run, state, name, MQ_MODE_SEARCH, true);
    plain_gradients = run->hooks.after_backward;
    run->hooks.after_backward = with_memory;
    run->hooks.begin = note_begin;
    run->hooks.memory = memory;
    run->hooks.memory_count = 2;
    memory[0] = memory[1] = 0;
}

static void hooks_remember(void **state) {
    test_run a, b;
    double memory_a[2], memory_b[3];
    begin_with_memory(&a, state, "undisturbed", memory_a);
    run_well(&a);
    assert_true(begun[0] == RUN_STEPS && begun[1] == 0);
    begin_with_memory(&b, state, "stopped", memory_b);
    mq_status status;
    int calls = 0;
    do {
        b.stop_step = 5;
        status = run_train(&b);
        b.settings.resume = true;
        calls++;
        if (status == MQ_INTERRUPTED) memory_b[0] = memory_b[1] = 1e9; /* another process */
        assert_true(begun[0] == RUN_STEPS && begun[1] == 5 * (uint64_t)(calls - 1));
    } while (status == MQ_INTERRUPTED);
    run_expect(&b, status, MQ_OK, "");
    assert_true(calls > 3 && memory_a[0] == memory_b[0] && memory_a[1] == memory_b[1]);
    run_same_end(&a, &b);
    b.hooks.memory_count = 3;
    run_expect(&b, run_train(&b), MQ_BAD_INPUT, "hook_state");
    b.hooks.memory_count = 0;
    run_expect(&b, run_train(&b), MQ_BAD_INPUT, "hook_state");
    run_end(&a);
    run_end(&b);
}

/* A hook that is interrupted after the epoch's steps: the resumed run ends the epoch again. */
static mq_status (*plain_epoch)(void *context, mq_model *model, json_t *metrics, mq_error *error);
static int interrupted_epochs;

static mq_status epoch_interrupted(void *context, mq_model *model, json_t *metrics, mq_error *error) {
    MQ_TRY(plain_epoch(context, model, metrics, error));
    if (interrupted_epochs++ % 2 == 0) return mq_fail(error, MQ_INTERRUPTED, "interrupted");
    return MQ_OK;
}

static void in_the_hook_of_an_epoch(void **state) {
    test_run a, b;
    run_begin(&a, state, "undisturbed", MQ_MODE_SEARCH, true);
    run_well(&a);
    run_begin(&b, state, "stopped", MQ_MODE_SEARCH, true);
    plain_epoch = b.hooks.epoch;
    b.hooks.epoch = epoch_interrupted;
    for (int e = 1; e <= 3; e++) {
        run_expect(&b, run_train(&b), MQ_INTERRUPTED, "after the steps of epoch");
        b.settings.resume = true;
    }
    run_well(&b);
    run_same_end(&a, &b);
    run_end(&a);
    run_end(&b);
}

static void at_the_end_of_an_epoch(void **state) {
    test_run a, b;
    run_begin(&a, state, "undisturbed", MQ_MODE_FIXED, true);
    run_well(&a);
    run_begin(&b, state, "stopped", MQ_MODE_FIXED, true);
    b.stop_epoch = 1;
    run_expect(&b, run_train(&b), MQ_INTERRUPTED, "after epoch 1 of 3");
    assert_int_equal(b.result.epochs, 1);
    b.settings.resume = true;
    run_expect(&b, run_train(&b), MQ_INTERRUPTED, "after epoch 2 of 3");
    run_well(&b); /* asked to stop after the last epoch: nothing is left to do */
    run_same_end(&a, &b);
    /* once more: nothing happens */
    run_well(&b);
    assert_int_equal(b.steps, 0);
    assert_int_equal(b.result.epochs, 3);
    run_same_end(&a, &b);
    run_end(&a);
    run_end(&b);
}

/* A process that died between its files: the metrics have a line too many, half of it missing. */
static void after_a_crash(void **state) {
    test_run a, b;
    run_begin(&a, state, "undisturbed", MQ_MODE_FIXED, true);
    run_well(&a);
    run_begin(&b, state, "crashed", MQ_MODE_FIXED, true);
    b.stop_step = RUN_STEPS + 2;
    run_expect(&b, run_train(&b), MQ_INTERRUPTED, "epoch 2, step 2 of 7");
    uint8_t *text;
    size_t size;
    OK(mq_file_read(run_path(&b, "metrics.jsonl"), 1 << 20, &text, &size, ERROR));
    const char more[] = "{\"epoch\": 2, \"loss\": 0.5}\n{\"epoch\": 3, \"lo";
    char *longer;
    OK(mq_alloc(size + sizeof more, 1, "test", &longer, ERROR));
    memcpy(longer, text, size);
    memcpy(longer + size, more, sizeof more - 1);
    OK(mq_file_write(run_path(&b, "metrics.jsonl"), longer, size + sizeof more - 1, ERROR));
    OK(mq_file_write(run_path(&b, "best.safetensors"), "damaged", 7, ERROR));
    mq_free(text);
    mq_free(longer);
    b.settings.resume = true;
    b.stop_step = 0;
    run_well(&b);
    run_same_end(&a, &b);
    run_end(&a);
    run_end(&b);
}

static void resume_without_a_run(void **state) {
    test_run a, b;
    run_begin(&a, state, "undisturbed", MQ_MODE_FLOAT, true);
    run_well(&a);
    run_begin(&b, state, "fresh", MQ_MODE_FLOAT, true);
    b.settings.resume = true;
    run_well(&b); /* nothing there yet: starts at the beginning */
    run_same_end(&a, &b);
    run_end(&a);
    run_end(&b);
}

/* A stopped run has all its weights: the checkpoint that it was started from may be gone. */
static void without_its_start(void **state) {
    test_run source, a, b;
    run_begin(&source, state, "source", MQ_MODE_FLOAT, true);
    source.settings.epochs = 1;
    run_well(&source);
    run_begin(&a, state, "undisturbed", MQ_MODE_FLOAT, true);
    a.settings.init = source.folder;
    run_well(&a);
    run_begin(&b, state, "stopped", MQ_MODE_FLOAT, true);
    b.settings.init = source.folder;
    b.stop_step = 5;
    run_expect(&b, run_train(&b), MQ_INTERRUPTED, "go on with --resume");
    char away[1024];
    snprintf(away, sizeof away, "%s-away", source.folder);
    assert_int_equal(rename(source.folder, away), 0);
    b.settings.resume = true;
    b.stop_step = 0;
    run_well(&b);
    run_same_end(&a, &b);
    /* without a checkpoint of its own to go on from it is needed */
    assert_int_equal(remove(run_path(&b, "last.safetensors")), 0);
    run_expect(&b, run_train(&b), MQ_BAD_INPUT, source.folder);
    run_end(&a);
    run_end(&b);
    run_end(&source);
}

static void other_settings(void **state) {
    test_run run;
    run_begin(&run, state, "run", MQ_MODE_FIXED, true);
    run.stop_epoch = 1;
    run_expect(&run, run_train(&run), MQ_INTERRUPTED, "");
    run.settings.resume = true;
    json_object_set_new(run.json, "lr", json_real(0.06));
    run_expect(&run, run_train(&run), MQ_USAGE, "lr: got 0.06");
    assert_non_null(strstr(run.error.text, "expected 0.05"));
    json_object_set_new(run.json, "lr", json_real(0.05));
    json_object_set_new(run.json, "fix", json_string("conv0=w8a8"));
    run_expect(&run, run_train(&run), MQ_USAGE, "fix: got \"conv0=w8a8\", expected null");
    json_object_set_new(run.json, "fix", json_null());
    json_object_set_new(run.json, "extra", json_integer(1));
    run_expect(&run, run_train(&run), MQ_USAGE, "extra: got 1, expected nothing");
    json_object_del(run.json, "extra");
    json_object_del(run.json, "lr");
    run_expect(&run, run_train(&run), MQ_USAGE, "lr: got nothing, expected 0.05");
    json_object_set_new(run.json, "lr", json_real(0.05));
    /* the same name and settings, but the description was edited */
    mq_net *before = run.net;
    char *text;
    OK(mq_strdup(before->source, &text, ERROR));
    memcpy(strstr(text, "kernel: 3}"), "kernel: 5}", 10);
    OK(mq_net_parse("tiny.yaml", text, strlen(text), &run.net, ERROR));
    run_expect(&run, run_train(&run), MQ_USAGE, "description of network tiny");
    mq_net_free(run.net);
    mq_free(text);
    run.net = before;
    run.stop_epoch = 0;
    run_well(&run);
    run_end(&run);
}

static void other_files(void **state) {
    test_run run, other;
    run_begin(&run, state, "run", MQ_MODE_FLOAT, true);
    run.stop_epoch = 1;
    run_expect(&run, run_train(&run), MQ_INTERRUPTED, "");
    run.settings.resume = true;
    /* a checkpoint without the optimiser's state */
    uint8_t *last, *best;
    size_t n, m;
    OK(mq_file_read(run_path(&run, "last.safetensors"), 1 << 24, &last, &n, ERROR));
    OK(mq_file_read(run_path(&run, "best.safetensors"), 1 << 24, &best, &m, ERROR));
    OK(mq_file_write(run_path(&run, "last.safetensors"), best, m, ERROR));
    run_expect(&run, run_train(&run), MQ_BAD_INPUT, "no optimiser state");
    /* cut short, at every kind of place */
    for (size_t cut = 0; cut < n; cut += cut < 64 ? 8 : n / 9) {
        OK(mq_file_write(run_path(&run, "last.safetensors"), last, cut, ERROR));
        run_expect(&run, run_train(&run), MQ_BAD_INPUT, "last.safetensors");
    }
    /* of a search */
    run_begin(&other, state, "search", MQ_MODE_SEARCH, true);
    other.stop_epoch = 1;
    run_expect(&other, run_train(&other), MQ_INTERRUPTED, "");
    uint8_t *search;
    size_t k;
    OK(mq_file_read(run_path(&other, "last.safetensors"), 1 << 24, &search, &k, ERROR));
    OK(mq_file_write(run_path(&run, "last.safetensors"), search, k, ERROR));
    run_expect(&run, run_train(&run), MQ_USAGE, "mode: got \"float\", expected \"search\"");
    mq_free(search);
    run_end(&other);
    /* whole again */
    OK(mq_file_write(run_path(&run, "last.safetensors"), last, n, ERROR));
    run.stop_epoch = 0;
    run_well(&run);
    mq_free(last);
    mq_free(best);
    run_end(&run);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(in_float),
        IN_FOLDER(at_fixed_bits),
        IN_FOLDER(in_a_search),
        IN_FOLDER(in_an_unshared_search),
        IN_FOLDER(hooks_remember),
        IN_FOLDER(in_the_hook_of_an_epoch),
        IN_FOLDER(at_the_end_of_an_epoch),
        IN_FOLDER(after_a_crash),
        IN_FOLDER(resume_without_a_run),
        IN_FOLDER(without_its_start),
        IN_FOLDER(other_settings),
        IN_FOLDER(other_files),
    };
    return cmocka_run_group_tests(tests, run_one_thread, NULL);
}
