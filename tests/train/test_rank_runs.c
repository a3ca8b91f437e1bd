/* test_rank_runs.c - whole runs on several ranks (threads of this test) beside the same runs of one process:
 * what they choose, what they reach, stopping and resuming on other numbers of ranks, and failures of one. */
#include "helper_runs.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/stop.h"
#include "rank_threads.h"
#include "train/detection_loss.h"

enum { MOST = 5 };

/* One rank's run. */
typedef struct rank_run {
    test_run run;
    mq_status status;
    bool agreed;
} rank_run;

static void go(void *context, mq_ranks *ranks) {
    rank_run *r = context;
    test_run *run = &r->run;
    run->settings.model.ranks = ranks;
    r->status =
        mq_train(run->net, &run->settings, &run->hooks, run->train, run->test, &run->result, &run->error);
    r->agreed = mq_ranks_agreed(ranks);
}

/* Runs *of on `count` ranks; what they say of it is in all[] and, of rank 0, in *of. */
static mq_status on_ranks(test_run *of, int count, rank_run all[MOST],
                          void (*change)(rank_run *r, int rank)) {
    void *context[MOST];
    of->error = (mq_error){0};
    of->steps = of->epochs = 0;
    mq_stop_clear();
    for (int r = 0; r < count; r++) {
        all[r] = (rank_run){.run = *of};
        all[r].run.settings.out = all[r].run.folder;
        all[r].run.hooks.context = &all[r].run;
        if (all[r].run.settings.model.bits) all[r].run.settings.model.bits = &all[r].run.bits;
        if (change) change(&all[r], r);
        context[r] = &all[r];
    }
    rank_threads(count, go, context);
    mq_stop_clear();
    of->result = all[0].run.result;
    of->error = all[0].run.error;
    for (int r = 1; r < count; r++)
        if (all[r].status != all[0].status)
            fail_msg("rank %d: status %d with '%s', rank 0: %d with '%s'", r, all[r].status,
                     all[r].run.error.text, all[0].status, all[0].run.error.text);
    return all[0].status;
}

static void works_on_ranks(test_run *of, int count) {
    rank_run all[MOST];
    if (on_ranks(of, count, all, NULL) != MQ_OK) fail_msg("%d ranks: %s", count, of->error.text);
    for (int r = 1; r < count; r++) { /* what each rank knows is the whole */
        assert_true(all[r].run.result.best == of->result.best);
        assert_true(all[r].run.result.loss == of->result.loss);
        assert_true(all[r].run.result.quality == of->result.quality);
    }
    assert_int_equal(of->result.epochs, of->settings.epochs);
}

typedef void (*beginner)(test_run *run, void **state, const char *name, mq_mode mode, bool share);

/* A metric of the last epoch. */
static double metric(const test_run *run, const char *key) {
    json_t *lines = run_metrics(run);
    const json_t *value = json_object_get(json_array_get(lines, json_array_size(lines) - 1), key);
    assert_true(json_is_number(value));
    const double number = json_number_value(value);
    json_decref(lines);
    return number;
}

static void close_to(const char *what, double a, double b, double most) {
    if (!(fabs(a - b) <= most)) fail_msg("%s: %g and %g, at most %g apart expected", what, a, b, most);
}

/* Bits are the same, what is reached is close; the same ranks again give the same bytes. */
static void same_as_one(void **state, beginner begin, mq_mode mode, bool share, int accumulate,
                        const char *quality) {
    test_run one, many, again;
    begin(&one, state, "one", mode, share);
    one.settings.accumulate = accumulate;
    one.settings.force = true;
    run_well(&one);
    for (int ranks = 2; ranks <= 5; ranks += ranks == 2 ? 2 : 1) { /* 2, 4, 5: even and uneven shares */
        begin(&many, state, "many", mode, share);
        begin(&again, state, "again", mode, share);
        many.settings.accumulate = again.settings.accumulate = accumulate;
        many.settings.force = again.settings.force = true;
        works_on_ranks(&many, ranks);
        run_same_file(&one, &many, "bits.json");
        close_to("quality", many.result.quality, one.result.quality, 0.05);
        close_to("loss", many.result.loss, one.result.loss, 0.02 * one.result.loss);
        close_to("test loss", metric(&many, "test_loss"), metric(&one, "test_loss"),
                 0.05 * metric(&one, "test_loss"));
        close_to("extra loss", metric(&many, "extra_loss"), metric(&one, "extra_loss"),
                 0.01 * metric(&one, "extra_loss"));
        close_to(quality, metric(&many, quality), metric(&one, quality), 0.05);
        if (ranks == 4) {
            works_on_ranks(&again, ranks);
            run_same_end(&many, &again);
        }
        run_end(&many);
        run_end(&again);
    }
    run_end(&one);
}

static void searches(void **state) {
    same_as_one(state, run_begin, MQ_MODE_SEARCH, true, 1, "train_accuracy");
    same_as_one(state, run_begin, MQ_MODE_SEARCH, false, 2, "train_accuracy");
}

static void trainings(void **state) {
    same_as_one(state, run_begin, MQ_MODE_FIXED, true, 1, "train_accuracy");
    same_as_one(state, run_begin, MQ_MODE_FLOAT, true, 3, "train_accuracy");
}

static void detectors(void **state) {
    same_as_one(state, run_begin_detector, MQ_MODE_SEARCH, true, 1, "mean_iou");
    same_as_one(state, run_begin_detector, MQ_MODE_FIXED, true, 2, "mean_iou");
}

/* The first step's loss and parameters are those of one process but for float32's last bits: the mean is over
 * the total batch, the price counts once. */
static void one_step(void **state, beginner begin) {
    test_run one, many;
    begin(&one, state, "one", MQ_MODE_SEARCH, true);
    begin(&many, state, "many", MQ_MODE_SEARCH, true);
    test_run *const both[] = {&one, &many};
    for (int k = 0; k < 2; k++) {
        both[k]->settings.epochs = 1;
        both[k]->settings.batch = RUN_TRAIN;
        both[k]->settings.force = true;
    }
    run_well(&one);
    works_on_ranks(&many, 3);
    close_to("loss", many.result.loss, one.result.loss, 1e-6 * one.result.loss);
    close_to("extra loss", metric(&many, "extra_loss"), metric(&one, "extra_loss"), 1e-12);
    mq_checkpoint a, b;
    run_load(&one, "last.safetensors", &a);
    run_load(&many, "last.safetensors", &b);
    int compared = 0;
    for (size_t i = 0; i < mq_st_count(a.file); i++) {
        const mq_st_entry *x = mq_st_at(a.file, i), *y = mq_st_find(b.file, x->name);
        if (x->tensor.dtype != MQ_F32) continue;
        assert_non_null(y);
        size_t count;
        assert_true(mq_shape_count(&x->tensor.shape, &count));
        const float *p = (const float *)x->tensor.data, *q = (const float *)y->tensor.data;
        double off = 0, size = 0;
        for (size_t e = 0; e < count; e++) {
            off = fmax(off, fabs((double)p[e] - (double)q[e]));
            size = fmax(size, fabs((double)p[e]));
        }
        if (!(off <= 1e-4 * size + 1e-6)) fail_msg("%s differs by %g of %g", x->name, off, size);
        compared++;
    }
    assert_true(compared > 10);
    mq_checkpoint_free(&a);
    mq_checkpoint_free(&b);
    run_end(&one);
    run_end(&many);
}

static void one_step_of_all_images(void **state) {
    one_step(state, run_begin);
    one_step(state, run_begin_detector);
}

/* Stopped on 2 ranks, gone on with by 3, then by one process, then by 4. */
static void other_numbers_of_ranks(void **state) {
    static const int counts[] = {2, 3, 1, 4};
    test_run whole, parts;
    run_begin(&whole, state, "whole", MQ_MODE_SEARCH, true);
    run_begin(&parts, state, "parts", MQ_MODE_SEARCH, true);
    works_on_ranks(&whole, 2);
    for (int i = 0; i < 4; i++) {
        rank_run all[MOST];
        parts.stop_step = i < 3 ? 4 : 0; /* every rank's hook asks */
        const mq_status status = on_ranks(&parts, counts[i], all, NULL);
        run_expect(&parts, status, i < 3 ? MQ_INTERRUPTED : MQ_OK, i < 3 ? "go on with --resume" : "");
        parts.settings.resume = true;
    }
    run_same_file(&whole, &parts, "bits.json");
    close_to("quality", parts.result.quality, whole.result.quality, 0.05);
    close_to("loss", parts.result.loss, whole.result.loss, 0.02 * whole.result.loss);
    run_end(&whole);
    run_end(&parts);
}

/* As many ranks as before: as if never stopped. */
static void same_number_of_ranks(void **state) {
    test_run whole, parts;
    run_begin(&whole, state, "whole", MQ_MODE_FIXED, true);
    run_begin(&parts, state, "parts", MQ_MODE_FIXED, true);
    works_on_ranks(&whole, 3);
    parts.stop_step = 3;
    int calls = 0;
    for (mq_status status = MQ_INTERRUPTED; status == MQ_INTERRUPTED && calls < 20; calls++) {
        rank_run all[MOST];
        status = on_ranks(&parts, 3, all, NULL);
        parts.settings.resume = true;
    }
    assert_true(calls > 3 && calls < 20);
    run_same_end(&whole, &parts);
    run_end(&whole);
    run_end(&parts);
}

/* ---- one rank that fails ---- */

static json_t *changed_settings;

static void other_settings(rank_run *r, int rank) {
    if (rank != 1) return;
    r->run.json = changed_settings = json_deep_copy(r->run.json);
    r->run.settings.settings = r->run.json;
    json_object_set_new(r->run.json, "lr", json_real(0.06));
}

static mq_dataset *changed_data;

static void other_data(rank_run *r, int rank) {
    if (rank == 2) r->run.test = changed_data;
}

static void other_network(rank_run *r, int rank) {
    static mq_net *net;
    static const char text[] = "name: other\nclasses: 4\ninput: {channels: 1, height: 8, width: 8}\nlayers:\n"
                               "  - conv: {out: 6, kernel: 3}\n  - batch_norm\n  - max_pool\n"
                               "  - linear: {out: 4, weight_bits: 8, activation_bits: 8}\n";
    if (rank != 1) return;
    if (!net && mq_net_parse("other.yaml", text, strlen(text), &net, NULL) != MQ_OK) return;
    r->run.net = net;
    r->run.settings.model.mode = MQ_MODE_FLOAT;
    r->run.settings.model.bits = NULL;
    r->run.hooks = (mq_train_hooks){.context = NULL};
}

static void bad_epochs(rank_run *r, int rank) {
    if (rank == 1) r->run.settings.epochs = 0;
}

static void refused(void **state, void (*change)(rank_run *r, int rank), const char *words) {
    test_run run;
    rank_run all[MOST];
    run_begin(&run, state, "refused", MQ_MODE_FLOAT, true);
    const mq_status status = on_ranks(&run, 3, all, change);
    run_expect(&run, status, MQ_USAGE, words);
    for (int r = 0; r < 3; r++) assert_true(all[r].agreed);
    assert_false(mq_path_exists(run_path(&run, "run.json")));
    run_end(&run);
}

static void ranks_that_differ(void **state) {
    test_run data;
    run_begin(&data, state, "data", MQ_MODE_FLOAT, true);
    data.test->images[77] ^= 1;
    changed_data = data.test;
    refused(state, other_settings, "rank 1: got other settings than rank 0");
    json_decref(changed_settings);
    refused(state, other_data, "rank 2: got other test images than rank 0");
    refused(state, other_network, "rank 1: got other network description than rank 0");
    refused(state, bad_epochs, "rank 1: --epochs 0");
    run_end(&data);
}

static void fewer_images_than_ranks(void **state) {
    test_run run;
    rank_run all[MOST];
    run_begin(&run, state, "few", MQ_MODE_FLOAT, true);
    run.settings.batch = 2;
    run_expect(&run, on_ranks(&run, 3, all, NULL), MQ_USAGE, "fewer than the 3 ranks");
    run_end(&run);
}

/* A number that is none, in one rank's parameters: all end, and the checkpoints of before stay. */
static void spoil(test_run *run, mq_model *model) {
    if (run->steps != RUN_STEPS + 3) return;
    int count;
    mq_param *params = mq_model_params(model, &count);
    for (int i = 0; i < count; i++)
        if (params[i].spec->kind == MQ_PARAM_WEIGHT) params[i].value[0] = NAN;
}

static void spoil_one(rank_run *r, int rank) {
    r->run.sabotage = rank == 1 ? spoil : NULL;
}

static void divergence_of_one(void **state) {
    test_run run;
    rank_run all[MOST];
    mq_checkpoint last;
    run_begin(&run, state, "spoilt", MQ_MODE_FLOAT, true);
    const mq_status status = on_ranks(&run, 3, all, spoil_one);
    run_expect(&run, status, MQ_CHECK_FAILED, "rank 1: training diverged at epoch 2, step 3");
    run_load(&run, "last.safetensors", &last);
    assert_int_equal(last.epoch, 1);
    mq_checkpoint_free(&last);
    run.settings.resume = true;
    run.steps = 0;
    works_on_ranks(&run, 2);
    run_end(&run);
}

/* An image that cannot be read, on the rank whose share it is in. */
static mq_status no_image(const void *context, size_t sample, mq_data_scratch *scratch, uint8_t *out,
                          mq_error *error) {
    (void)context;
    (void)scratch;
    memset(out, 100, 16 * 32);
    return sample == 70 ? mq_fail(error, MQ_BAD_INPUT, "image 70 is damaged") : MQ_OK;
}

static void no_close(void *context) {
    (void)context;
}

static void data_fail_on_one(void **state) {
    static const mq_data_source source = {.image = no_image, .close = no_close};
    test_run run;
    rank_run all[MOST];
    mq_dataset *broken;
    run_begin_detector(&run, state, "broken", MQ_MODE_FLOAT, true);
    OK(mq_dataset_create_detect("broken", RUN_TRAIN, 16, 32, 1, 1, 0, &source, NULL, 0, &broken, ERROR));
    broken->strict = true;
    mq_dataset_free(run.train);
    run.train = broken;
    const mq_status status = on_ranks(&run, 4, all, NULL);
    run_expect(&run, status, MQ_BAD_INPUT, "image 70 is damaged");
    for (int r = 0; r < 4; r++) assert_true(all[r].agreed);
    assert_true(mq_path_exists(run_path(&run, "run.json")));
    assert_false(mq_path_exists(run_path(&run, "last.safetensors")));
    run_end(&run);
}

/* Rank 0 cannot write: all end. */
static void folder_that_is_taken(void **state) {
    test_run run;
    rank_run all[MOST];
    run_begin(&run, state, "taken", MQ_MODE_FLOAT, true);
    run.settings.epochs = 1;
    works_on_ranks(&run, 2);
    run_expect(&run, on_ranks(&run, 2, all, NULL), MQ_USAGE, "not empty");
    run_end(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(searches, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(trainings, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(detectors, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(one_step_of_all_images, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(other_numbers_of_ranks, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(same_number_of_ranks, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(ranks_that_differ, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(fewer_images_than_ranks, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(divergence_of_one, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(data_fail_on_one, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(folder_that_is_taken, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, run_one_thread, NULL);
}
