/* test_training_runs.c - whole runs of the trainer: they learn, fill their folder, keep the best, refuse what
 * they must, and stop at numbers that are not finite. */
#include "helper_runs.h"

#include <math.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/stop.h"
#include "train/evaluate.h"

static void check_folder(const test_run *run) {
    static const char *const files[] = {"run.json", "metrics.jsonl", "bits.json", "last.safetensors",
                                        "best.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_true(mq_path_exists(run_path(run, files[i])));
    mq_checkpoint c;
    run_load(run, "last.safetensors", &c);
    assert_int_equal(c.epoch, run->settings.epochs);
    assert_int_equal(c.mode, run->settings.model.mode);
    assert_non_null(mq_st_find(c.file, "optimizer.conv1.bias.momentum"));
    assert_null(mq_st_find(c.file, "optimizer.bn0.mean.momentum"));
    mq_checkpoint_free(&c);
    run_load(run, "best.safetensors", &c);
    assert_null(mq_st_find(c.file, "optimizer.conv1.bias.momentum"));
    mq_checkpoint_free(&c);

    json_t *lines = run_metrics(run), *run_json;
    assert_int_equal(json_array_size(lines), run->settings.epochs);
    static const char *const fields[] = {"lr",        "loss",    "extra_loss", "train_accuracy",
                                         "test_loss", "accuracy"};
    for (size_t i = 0; i < json_array_size(lines); i++) {
        json_t *line = json_array_get(lines, i);
        assert_int_equal(json_integer_value(json_object_get(line, "epoch")), i + 1);
        assert_true(json_is_true(json_object_get(line, "hooked")));
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++)
            assert_true(json_is_real(json_object_get(line, fields[k])));
    }
    json_decref(lines);
    OK(mq_json_load(run_path(run, "run.json"), &run_json, ERROR));
    assert_true(json_equal(json_object_get(run_json, "settings"), run->json));
    assert_non_null(json_object_get(run_json, "cpu"));
    json_decref(run_json);
}

static void learn(void **state, mq_mode mode, bool share, double least) {
    test_run run;
    run_begin(&run, state, "run", mode, share);
    run.settings.epochs = 8;
    run_well(&run);
    assert_int_equal(run.result.epochs, 8);
    if (run.result.best < least) fail_msg("%s: accuracy %.3f", mq_mode_name(mode), run.result.best);
    assert_true(run.result.quality <= run.result.best);
    assert_true(run.result.loss > 0 && run.result.loss < 1.2);
    assert_true(run.result.images_per_second > 0 && run.result.seconds > 0);
    check_folder(&run);
    /* the best checkpoint tests as it was tested */
    mq_checkpoint c;
    mq_model *model;
    mq_scores scores;
    int32_t predicted[RUN_TEST];
    run_load(&run, "best.safetensors", &c);
    OK(mq_model_from_checkpoint(&c, 7, MQ_F32, &model, ERROR));
    OK(mq_evaluate(model, run.test, &scores, &(mq_answers){.classes = predicted}, ERROR));
    assert_int_equal(scores.images, RUN_TEST);
    assert_true(scores.quality / RUN_TEST == run.result.best);
    int correct = 0;
    for (int i = 0; i < RUN_TEST; i++) correct += predicted[i] == run.test->labels[i];
    assert_true(scores.quality == correct);
    mq_model_destroy(model);
    mq_checkpoint_free(&c);
    run_end(&run);
}

/* Chance is 0.25. */
static void learns_in_float(void **state) {
    learn(state, MQ_MODE_FLOAT, true, 0.85);
}
static void learns_at_fixed_bits(void **state) {
    learn(state, MQ_MODE_FIXED, true, 0.85);
}
static void learns_in_a_search(void **state) {
    learn(state, MQ_MODE_SEARCH, true, 0.85);
}
static void learns_in_an_unshared_search(void **state) {
    learn(state, MQ_MODE_SEARCH, false, 0.85);
}

/* From the last epoch on the network says nonsense. */
static void ruin_the_end(test_run *run, mq_model *model) {
    if (run->epochs + 1 < run->settings.epochs) return;
    mq_param *w = mq_model_param(model, run->net->layers[2].node, MQ_PARAM_WEIGHT, -1);
    for (size_t e = 0; e < w->count; e++) w->value[e] = -w->value[e];
    mq_model_touch(model);
}

static void the_best_is_kept(void **state) {
    test_run run;
    run_begin(&run, state, "run", MQ_MODE_FLOAT, true);
    run.settings.epochs = 6;
    run.sabotage = ruin_the_end;
    run_well(&run);
    json_t *lines = run_metrics(&run);
    double best = -1;
    int epoch = 0;
    for (int i = 0; i < run.settings.epochs; i++) {
        const double accuracy =
            json_real_value(json_object_get(json_array_get(lines, (size_t)i), "accuracy"));
        if (accuracy > best) {
            best = accuracy;
            epoch = i + 1;
        }
    }
    json_decref(lines);
    assert_true(epoch < run.settings.epochs);
    assert_true(run.result.best == best && run.result.quality < best);
    mq_checkpoint c;
    run_load(&run, "best.safetensors", &c);
    assert_int_equal(c.epoch, epoch);
    mq_checkpoint_free(&c);
    run_end(&run);
}

static double quarter(void *context, mq_model *model) {
    (void)context;
    (void)model;
    return 0.25;
}

/* Every line is about its own epoch alone. */
static void metrics_of_an_epoch(void **state) {
    test_run run;
    run_begin(&run, state, "run", MQ_MODE_FLOAT, true);
    run.hooks.after_backward = quarter;
    run_well(&run);
    json_t *lines = run_metrics(&run);
    for (int i = 0; i < run.settings.epochs; i++) {
        json_t *line = json_array_get(lines, (size_t)i);
        const double lr = json_real_value(json_object_get(line, "lr"));
        assert_true(fabs(lr - 0.05 * (0.01 + 0.99 * (1 + cos(M_PI * i / 3)) / 2)) < 1e-15);
        assert_true(json_real_value(json_object_get(line, "extra_loss")) == 0.25);
        const double correct = RUN_TRAIN * json_real_value(json_object_get(line, "train_accuracy"));
        assert_true(fabs(correct - round(correct)) < 1e-9 && correct <= RUN_TRAIN);
        assert_true(json_real_value(json_object_get(line, "loss")) < 2);
    }
    assert_true(json_real_value(json_object_get(json_array_get(lines, 2), "loss")) == run.result.loss);
    assert_true(json_real_value(json_object_get(json_array_get(lines, 2), "accuracy")) == run.result.quality);
    json_decref(lines);
    run_end(&run);
}

static void occupied_folders(void **state) {
    test_run run;
    run_begin(&run, state, "run", MQ_MODE_FLOAT, true);
    run.settings.epochs = 1;
    /* an empty folder and missing parents are fine */
    OK(mq_make_dirs(run.folder, ERROR));
    run_well(&run);
    run_expect(&run, run_train(&run), MQ_USAGE, "--resume");
    assert_non_null(strstr(run.error.text, "--force"));
    OK(mq_file_write(run_path(&run, "notes.txt"), "mine", 4, ERROR));
    OK(mq_file_write(run_path(&run, "metrics.jsonl"), "old\n", 4, ERROR));
    run.settings.force = true;
    run_well(&run);
    assert_true(mq_path_exists(run_path(&run, "notes.txt")));
    json_t *lines = run_metrics(&run);
    assert_int_equal(json_array_size(lines), 1);
    json_decref(lines);
    /* a file where the folder should be, or above it */
    char file[512];
    snprintf(file, sizeof file, "%s", run_path(&run, "notes.txt"));
    run.settings.out = file;
    run_expect(&run, run_train(&run), MQ_USAGE, "a folder expected");
    run.settings.force = false;
    strcat(file, "/deeper");
    run_expect(&run, run_train(&run), MQ_BAD_INPUT, "notes.txt");
    run.settings.out = run.folder;
    /* a folder of other things */
    snprintf(run.folder, sizeof run.folder, "%s", temp_dir_path(state, ""));
    run_expect(&run, run_train(&run), MQ_USAGE, "not empty");
    run_end(&run);
}

static void bad_settings(void **state) {
    test_run run;
    run_begin(&run, state, "run", MQ_MODE_FLOAT, true);
    run.settings.epochs = 0;
    run_expect(&run, run_train(&run), MQ_USAGE, "--epochs 0");
    run.settings.epochs = 1;
    run.settings.batch = 0;
    run_expect(&run, run_train(&run), MQ_USAGE, "--batch 0");
    run.settings.batch = 4;
    run.train->width = 9;
    run_expect(&run, run_train(&run), MQ_USAGE, "8 x 9 x 1");
    run.train->width = 8;
    run.test->classes = 5;
    run_expect(&run, run_train(&run), MQ_USAGE, "5 classes");
    run.test->classes = 4;
    assert_false(mq_path_exists(run.folder));
    /* a batch larger than the data set is one batch */
    run.settings.batch = 1000;
    run_well(&run);
    assert_int_equal(run.steps, 1);
    run_end(&run);
}

/* A batch norm behind a linear layer cannot normalise one image: known before the epoch that ends with it. */
static void a_last_batch_of_one(void **state) {
    static const char text[] = "name: flat\nclasses: 4\ninput: {channels: 1, height: 8, width: 8}\n"
                               "layers:\n  - linear: {out: 6, bias: false}\n  - batch_norm\n"
                               "  - linear: {out: 4}\n";
    test_run run;
    run_begin(&run, state, "one", MQ_MODE_FLOAT, true);
    run.settings.batch = 33; /* 100 = 3*33 + 1 */
    run.settings.epochs = 1;
    run_well(&run); /* with 16 positions an image one is enough */
    mq_net *tiny = run.net;
    OK(mq_net_parse("flat.yaml", text, strlen(text), &run.net, ERROR));
    run.settings.force = true;
    run_expect(&run, run_train(&run), MQ_USAGE, "bn0");
    assert_non_null(strstr(run.error.text, "--batch"));
    assert_int_equal(run.steps, 0);
    assert_true(mq_path_exists(run_path(&run, "last.safetensors"))); /* what was there was not replaced */
    run.settings.batch = 1;
    run_expect(&run, run_train(&run), MQ_USAGE, "bn0");
    run.settings.batch = 34;
    run_well(&run);
    mq_net_free(run.net);
    run.net = tiny;
    run_end(&run);
}

/* ---- numbers that are not finite ---- */

static void spoil_a_weight(test_run *run, mq_model *model) {
    if (run->epochs == 1 && run->steps == RUN_STEPS + 3)
        mq_model_param(model, run->net->layers[1].node, MQ_PARAM_WEIGHT, -1)->value[5] = NAN;
}

static void overflow_the_head(test_run *run, mq_model *model) {
    if (run->epochs != 1) return;
    mq_model_param(model, run->net->layers[1].node + 1, MQ_PARAM_GAMMA, -1)->value[2] = 3e38f;
    mq_model_touch(model);
}

static void overflow_after_the_steps(test_run *run, mq_model *model) {
    if (run->steps != RUN_STEPS) return;
    mq_model_param(model, run->net->layers[1].node + 1, MQ_PARAM_GAMMA, -1)->value[2] = 3e37f;
    mq_param *head = mq_model_param(model, run->net->layers[2].node, MQ_PARAM_WEIGHT, -1);
    for (size_t k = 0; k < head->count; k++) head->value[k] = 3e37f;
    mq_model_touch(model);
}

static double nan_price(void *context, mq_model *model) {
    (void)context;
    (void)model;
    return NAN;
}

static void nonfinite_numbers(void **state) {
    test_run run, good;
    run_begin(&good, state, "good", MQ_MODE_FLOAT, true);
    good.stop_epoch = 1;
    run_expect(&good, run_train(&good), MQ_INTERRUPTED, "after epoch 1 of 3");

    run_begin(&run, state, "weight", MQ_MODE_FLOAT, true);
    run.sabotage = spoil_a_weight;
    run_expect(&run, run_train(&run), MQ_CHECK_FAILED, "epoch 2, step 3");
    assert_non_null(strstr(run.error.text, "conv1.weight"));
    assert_non_null(strstr(run.error.text, run.folder));
    run_same_file(&run, &good, "last.safetensors"); /* what the first epoch left */
    run_same_file(&run, &good, "best.safetensors");
    run_end(&run);

    run_begin(&run, state, "overflow", MQ_MODE_FLOAT, true);
    run.sabotage = overflow_the_head;
    run_expect(&run, run_train(&run), MQ_CHECK_FAILED, "epoch 2, step 2");
    assert_non_null(strstr(run.error.text, "first value that is not finite: bn1. Checkpoints"));
    run_same_file(&run, &good, "last.safetensors");
    run_end(&run);

    run_begin(&run, state, "test", MQ_MODE_FLOAT, true); /* every step went well, the epoch's test does not */
    run.sabotage = overflow_after_the_steps;
    run_expect(&run, run_train(&run), MQ_CHECK_FAILED, "test loss");
    assert_non_null(strstr(run.error.text, "epoch 1"));
    assert_non_null(strstr(run.error.text, "first value that is not finite: linear0. Try a smaller"));
    assert_false(mq_path_exists(run_path(&run, "last.safetensors")));
    assert_false(mq_path_exists(run_path(&run, "best.safetensors")));
    run_end(&run);

    run_begin(&run, state, "rate", MQ_MODE_FIXED, true);
    run.settings.schedule.weights.lr = 1e37;
    run_expect(&run, run_train(&run), MQ_CHECK_FAILED, "epoch 1, step ");
    assert_non_null(strstr(run.error.text, "--lr"));
    run_end(&run);

    run_begin(&run, state, "price", MQ_MODE_FLOAT, true);
    run.hooks.after_backward = nan_price;
    run_expect(&run, run_train(&run), MQ_CHECK_FAILED, "the loss is NaN at epoch 1, step 1");
    run_end(&run);
    run_end(&good);
}

static void evaluation(void **state) {
    test_run run;
    mq_model *model;
    mq_scores a, b;
    mq_error e = {0};
    int32_t p[RUN_TEST], q[RUN_TEST];
    run_begin(&run, state, "run", MQ_MODE_FIXED, true);
    /* the batch size changes nothing but the summing of the loss */
    for (int batch = 1; batch < 60; batch += 29) {
        mq_model_options o = run.settings.model;
        o.batch = batch;
        OK(mq_model_create(run.net, &o, &model, ERROR));
        mq_model_initialise(model, 4);
        OK(mq_evaluate(model, run.test, batch == 1 ? &a : &b, &(mq_answers){.classes = batch == 1 ? p : q},
                       ERROR));
        if (batch > 1) {
            assert_memory_equal(p, q, sizeof p);
            assert_true(a.quality == b.quality && a.images == b.images);
            assert_true(fabs(a.loss - b.loss) < 1e-12 * a.loss);
        }
        mq_stop_request();
        assert_int_equal(mq_evaluate(model, run.test, &b, NULL, &e), MQ_INTERRUPTED);
        mq_stop_clear();
        run.test->channels = 2;
        assert_int_equal(mq_evaluate(model, run.test, &b, NULL, &e), MQ_USAGE);
        run.test->channels = 1;
        mq_model_destroy(model);
    }
    run_end(&run);
}

/* While one run writes, a second one is refused, with --force too; the lock goes with the run. */
static test_run *second;

static void try_the_same_folder(test_run *run, mq_model *model) {
    (void)model;
    if (run->steps != 3) return;
    second->settings.force = true;
    run_expect(second, run_train(second), MQ_USAGE, "another run");
}

static void two_runs_in_one_folder(void **state) {
    test_run run, other;
    run_begin(&run, state, "run", MQ_MODE_FLOAT, true);
    run_begin(&other, state, "run", MQ_MODE_FLOAT, true);
    run.settings.epochs = other.settings.epochs = 1;
    second = &other;
    run.sabotage = try_the_same_folder;
    run_well(&run);
    other.settings.force = true;
    run_well(&other);
    run_end(&run);
    run_end(&other);
}

/* Without last.safetensors a run begins again, but not as another one. */
static void restart_of_an_early_end(void **state) {
    test_run run;
    run_begin(&run, state, "run", MQ_MODE_FLOAT, true);
    run.settings.epochs = 1;
    run_well(&run);
    assert_int_equal(remove(run_path(&run, "last.safetensors")), 0);
    run.settings.resume = true;
    json_object_set_new(run.json, "seed", json_integer(77));
    run_expect(&run, run_train(&run), MQ_USAGE, "seed");
    assert_true(mq_path_exists(run_path(&run, "best.safetensors")));
    json_object_del(run.json, "seed");
    run_end(&run);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(learns_in_float),
        IN_FOLDER(learns_at_fixed_bits),
        IN_FOLDER(learns_in_a_search),
        IN_FOLDER(learns_in_an_unshared_search),
        IN_FOLDER(the_best_is_kept),
        IN_FOLDER(metrics_of_an_epoch),
        IN_FOLDER(occupied_folders),
        IN_FOLDER(bad_settings),
        IN_FOLDER(a_last_batch_of_one),
        IN_FOLDER(nonfinite_numbers),
        IN_FOLDER(evaluation),
        IN_FOLDER(two_runs_in_one_folder),
        IN_FOLDER(restart_of_an_early_end),
    };
    return cmocka_run_group_tests(tests, run_one_thread, NULL);
}
