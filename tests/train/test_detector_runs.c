/* test_detector_runs.c - whole runs of detectors: they learn in every mode, report their parts, end with the
 * same bits when stopped; gradients of several batches make one update; Adam. */
#include "helper_runs.h"

#include <math.h>

#include "base/memory.h"
#include "base/stop.h"
#include "detect/constant_box.h"
#include "train/evaluate.h"

static void check_metrics(const test_run *run) {
    static const char *const fields[] = {"lr",          "loss",     "extra_loss",      "box",
                                         "objectness",  "mean_iou", "train_iou",       "test_loss",
                                         "test_box",    "iou",      "test_objectness", "test_mean_iou",
                                         "constant_iou"};
    json_t *lines = run_metrics(run);
    double constant;
    OK(mq_constant_box(run->test->targets, run->test->target_count, NULL, &constant, ERROR));
    assert_true(constant > 0.05 && constant < 0.3 && constant == run->result.constant);
    assert_int_equal(json_array_size(lines), run->settings.epochs);
    for (size_t i = 0; i < json_array_size(lines); i++) {
        json_t *line = json_array_get(lines, i);
        double v[sizeof fields / sizeof *fields];
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
            if (!json_is_real(json_object_get(line, fields[k]))) fail_msg("no %s", fields[k]);
            v[k] = json_real_value(json_object_get(line, fields[k]));
        }
        assert_true(fabs(v[3] + v[4] - v[1]) < 1e-12 && fabs(v[8] + v[10] - v[7]) < 1e-12);
        assert_true(v[12] == constant);
        assert_null(json_object_get(line, "accuracy"));
    }
    json_decref(lines);
}

/* A constant box gets 0.155. */
static void learn(void **state, mq_mode mode, bool share, double least) {
    test_run run;
    run_begin_detector(&run, state, "run", mode, share);
    run.settings.epochs = 40;
    run_well(&run);
    print_message("%s: iou %.3f, the best constant box %.3f\n", mq_mode_name(mode), run.result.best,
                  run.result.constant);
    assert_true(run.result.best > least);
    check_metrics(&run);
    /* the best checkpoint tests as it was tested, in batches of any size, and says where it saw what */
    mq_checkpoint c;
    mq_model *model;
    mq_scores scores;
    mq_head head;
    mq_found found[RUN_TEST];
    mq_net_head(run.net, &head);
    run_load(&run, "best.safetensors", &c);
    OK(mq_model_from_checkpoint(&c, 7, MQ_F32, &model, ERROR));
    OK(mq_evaluate(model, run.test, &scores, &(mq_answers){.found = found}, ERROR));
    assert_int_equal(scores.images, RUN_TEST);
    assert_int_equal(scores.judged, run.test->target_count);
    assert_true(fabs(mq_scores_quality(&scores) - run.result.best) < 1e-12);
    double sum = 0;
    for (size_t t = 0; t < run.test->target_count; t++) {
        const mq_target *one = &run.test->targets[t];
        sum += mq_head_iou(&head, &found[one->image], one, 1);
    }
    assert_true(fabs(sum / (double)run.test->target_count - run.result.best) < 1e-12);
    mq_model_destroy(model);
    mq_checkpoint_free(&c);
    run_end(&run);
}

static void learns_in_float(void **state) {
    learn(state, MQ_MODE_FLOAT, true, 0.5);
}
static void learns_at_fixed_bits(void **state) {
    learn(state, MQ_MODE_FIXED, true, 0.4);
}
static void learns_in_a_search(void **state) {
    learn(state, MQ_MODE_SEARCH, true, 0.4);
}
static void learns_in_an_unshared_search(void **state) {
    learn(state, MQ_MODE_SEARCH, false, 0.4);
}

static void learns_by_adam(void **state) {
    test_run run;
    run_begin_detector(&run, state, "run", MQ_MODE_FIXED, true);
    run.settings.epochs = 40;
    run.settings.method = MQ_ADAM;
    run_well(&run);
    assert_true(run.result.best > 0.45);
    run_end(&run);
}

/* Stopped in every third, in every, in the last update of an epoch: 7 batches are 4 updates of 2, 2, 2, 1. */
static void check_resume(void **state, mq_mode mode, bool share, mq_method method, int accumulate) {
    test_run a, b;
    run_begin_detector(&a, state, "undisturbed", mode, share);
    a.settings.method = method;
    a.settings.accumulate = accumulate;
    run_well(&a);
    assert_int_equal(a.steps, 3 * ((RUN_STEPS + accumulate - 1) / accumulate));
    const int every[] = {3, 1, (RUN_STEPS + accumulate - 1) / accumulate};
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "stopped%d", i);
        run_begin_detector(&b, state, name, mode, share);
        b.settings.method = method;
        b.settings.accumulate = accumulate;
        assert_true(run_stopped_often(&b, every[i]) > 2);
        run_same_end(&a, &b);
        run_end(&b);
    }
    run_end(&a);
}

static void resumed(void **state) {
    check_resume(state, MQ_MODE_FIXED, true, MQ_SGD, 1);
}
static void resumed_with_accumulation(void **state) {
    check_resume(state, MQ_MODE_FIXED, true, MQ_SGD, 2);
}
static void resumed_with_adam(void **state) {
    check_resume(state, MQ_MODE_FLOAT, true, MQ_ADAM, 2);
}
static void resumed_search(void **state) {
    check_resume(state, MQ_MODE_SEARCH, true, MQ_ADAM, 1);
}
static void resumed_unshared_search(void **state) {
    check_resume(state, MQ_MODE_SEARCH, false, MQ_SGD, 2);
}

static void stop_before_the_first_batch(test_run *run, mq_model *model) {
    (void)model;
    if (run->steps == 0) mq_stop_request();
}

/* Asked to stop in the middle of an update, a run completes it. */
static void stopped_within_an_update(void **state) {
    test_run a, b;
    run_begin_detector(&a, state, "undisturbed", MQ_MODE_FIXED, true);
    a.settings.accumulate = 3;
    a.settings.epochs = 1;
    run_well(&a);
    run_begin_detector(&b, state, "stopped", MQ_MODE_FIXED, true);
    b.settings.accumulate = 3;
    b.settings.epochs = 1;
    b.sabotage = stop_before_the_first_batch;
    run_expect(&b, run_train(&b), MQ_INTERRUPTED, "epoch 1, step 3 of 7");
    b.settings.resume = true;
    run_expect(&b, run_train(&b), MQ_INTERRUPTED, "epoch 1, step 6 of 7");
    run_expect(&b, run_train(&b), MQ_INTERRUPTED, "after the steps of epoch 1");
    b.sabotage = NULL;
    run_well(&b);
    run_same_end(&a, &b);
    run_end(&a);
    run_end(&b);
}

/* Without batch norm, batches of 4 four at a time are batches of 16: the same updates to rounding. */
static void accumulation_is_a_larger_batch(void **state) {
    static const char detector[] = "name: plain\ntask: detection\nclasses: 1\nanchors: [[8, 6]]\n"
                                   "input: {channels: 1, height: 16, width: 32}\n"
                                   "layers:\n  - conv: {out: 6, kernel: 3, stride: 4, bias: true}\n"
                                   "  - conv: {out: 6, kernel: 1, bias: true}\n";
    static const char classifier[] =
        "name: plain\nclasses: 4\ninput: {channels: 1, height: 8, width: 8}\n"
        "layers:\n  - conv: {out: 6, kernel: 3, bias: true}\n  - linear: {out: 4}\n";
    for (int task = 0; task < 2; task++) {
        test_run a, b;
        test_run *runs[2] = {&a, &b};
        for (int k = 0; k < 2; k++) {
            test_run *run = runs[k];
            const char *text = task ? detector : classifier;
            const char *name = k ? task ? "d4" : "c4" : task ? "d16" : "c16";
            mq_factors factors;
            if (task) {
                run_begin_detector(run, state, name, MQ_MODE_SEARCH, true);
                /* one target each: the box loss is a mean over targets */
                run->train->target_count = 0;
                for (int i = 0; i < RUN_TRAIN; i++)
                    run->train->targets[run->train->target_count++] =
                        (mq_target){i, 0, {0.01f * (float)i, 0.5f, 0.2f, 0.3f}, 1};
            } else {
                run_begin(run, state, name, MQ_MODE_SEARCH, true);
            }
            mq_net_free(run->net);
            OK(mq_net_parse("plain.yaml", text, strlen(text), &run->net, ERROR));
            OK(mq_factors_load("published", &factors, ERROR));
            OK(mq_cost_create(run->net, &factors, &run->search.cost, ERROR));
            run->search.prices.complexity = 1e-2; /* counted once an update */
            run->settings.epochs = 1;
            run->settings.schedule.weights.lr = 1e-4; /* no code changes: gradients alone are compared */
            run->settings.schedule.alphas.lr = 1e-4;
            run->settings.schedule.warm_up = 0;
            run->settings.batch = k ? 4 : 16;
            run->settings.accumulate = k ? 4 : 0;
            run_well(run);
            assert_int_equal(run->steps, RUN_STEPS);
        }
        mq_checkpoint x, y;
        run_load(&a, "last.safetensors", &x);
        run_load(&b, "last.safetensors", &y);
        double most = 0;
        for (size_t i = 0; i < mq_st_count(x.file); i++) {
            const mq_st_entry *p = mq_st_at(x.file, i), *q = mq_st_find(y.file, p->name);
            if (strncmp(p->name, "optimizer.", 10) != 0) continue;
            assert_non_null(q);
            double off = 0, norm = 0;
            for (size_t e = 0; e < mq_tensor_count(&p->tensor); e++) {
                const double u = (double)((const float *)p->tensor.data)[e],
                             v = (double)((const float *)q->tensor.data)[e];
                off += (u - v) * (u - v);
                norm += u * u;
            }
            if (norm > 0 && sqrt(off / norm) > 2e-3)
                fail_msg("%s: relative difference %.1e", p->name, sqrt(off / norm));
            if (norm > 0) most = fmax(most, sqrt(off / norm));
        }
        print_message("accumulated momenta: relative difference at most %.1e\n", most);
        mq_checkpoint_free(&x);
        mq_checkpoint_free(&y);
        run_end(&a);
        run_end(&b);
    }
}

static void wrong_data(void **state) {
    test_run finder, classes;
    run_begin_detector(&finder, state, "finder", MQ_MODE_FLOAT, true);
    run_begin(&classes, state, "classes", MQ_MODE_FLOAT, true);
    mq_dataset *scenes = finder.train, *quadrants = classes.train;
    finder.train = quadrants;
    run_expect(&finder, run_train(&finder), MQ_USAGE, "network finder is a detector");
    classes.train = scenes;
    run_expect(&classes, run_train(&classes), MQ_USAGE, "network tiny classifies images");
    finder.train = scenes;
    finder.settings.accumulate = -1;
    run_expect(&finder, run_train(&finder), MQ_USAGE, "--accumulate -1");
    classes.train = quadrants;
    run_end(&classes);
    run_end(&finder);
}

/* No image has an object: nothing is judged, the loss is the objectness alone. */
static void empty_images(void **state) {
    test_run run;
    run_begin_detector(&run, state, "run", MQ_MODE_FLOAT, true);
    run.train->target_count = run.test->target_count = 0;
    run.settings.epochs = 2;
    run_well(&run);
    assert_true(run.result.quality == 0 && run.result.constant == 0 && run.result.loss > 0);
    run_end(&run);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(learns_in_float),
        IN_FOLDER(learns_at_fixed_bits),
        IN_FOLDER(learns_in_a_search),
        IN_FOLDER(learns_in_an_unshared_search),
        IN_FOLDER(learns_by_adam),
        IN_FOLDER(resumed),
        IN_FOLDER(resumed_with_accumulation),
        IN_FOLDER(resumed_with_adam),
        IN_FOLDER(stopped_within_an_update),
        IN_FOLDER(resumed_search),
        IN_FOLDER(resumed_unshared_search),
        IN_FOLDER(accumulation_is_a_larger_batch),
        IN_FOLDER(wrong_data),
        IN_FOLDER(empty_images),
    };
    return cmocka_run_group_tests(tests, run_one_thread, NULL);
}
