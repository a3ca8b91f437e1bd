/* test_init.c - starting from a checkpoint: which tensors a run takes from a float, searched or fixed one. */
#include "helper_runs.h"

#include "base/file.h"

/* A run whose weights do not move: what it was started from stands in its last checkpoint. */
static void begin_still(test_run *run, void **state, const char *name, mq_mode mode, bool share,
                        const test_run *from) {
    run_begin(run, state, name, mode, share);
    run->settings.epochs = 1;
    run->settings.schedule.weights.lr = 0;
    run->settings.schedule.alphas.lr = 0;
    run->settings.init = from->folder;
}

static const float *values(const mq_checkpoint *c, const char *name, size_t *count) {
    const mq_st_entry *entry = mq_st_find(c->file, name);
    if (!entry) fail_msg("no tensor %s", name);
    *count = entry ? mq_tensor_count(&entry->tensor) : 0;
    return entry ? entry->tensor.data : NULL;
}

static bool same(const mq_checkpoint *a, const char *x, const mq_checkpoint *b, const char *y) {
    size_t m, n;
    const float *v = values(a, x, &m), *w = values(b, y, &n);
    assert_int_equal(m, n);
    return memcmp(v, w, n * sizeof *v) == 0;
}

static void train_source(test_run *run, void **state, const char *name, mq_mode mode, bool share,
                         mq_checkpoint *best) {
    run_begin(run, state, name, mode, share);
    run->settings.epochs = 1;
    run_well(run);
    run_load(run, "best.safetensors", best);
}

static void started(test_run *run, mq_checkpoint *last) {
    run_well(run);
    run_load(run, "last.safetensors", last);
}

/* What every mode has but the weights of the layers that are searched. */
static void check_common(const mq_checkpoint *from, const mq_checkpoint *to) {
    static const char *const names[] = {"bn0.gamma",  "bn0.beta",       "bn1.gamma",   "bn1.beta",
                                        "conv1.bias", "linear0.weight", "linear0.bias"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!same(from, names[i], to, names[i])) fail_msg("%s was not taken", names[i]);
    assert_false(same(from, "bn0.mean", to, "bn0.mean")); /* taken, and then moved by the epoch */
}

static void from_float(void **state) {
    test_run source, run;
    mq_checkpoint from, to;
    train_source(&source, state, "source", MQ_MODE_FLOAT, true, &from);
    static const mq_mode modes[] = {MQ_MODE_FLOAT, MQ_MODE_FIXED, MQ_MODE_SEARCH, MQ_MODE_SEARCH};
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "run%d", i);
        begin_still(&run, state, name, modes[i], i < 3, &source);
        started(&run, &to);
        check_common(&from, &to);
        if (i < 3) {
            assert_true(same(&from, "conv0.weight", &to, "conv0.weight"));
        } else {
            for (int b = 2; b <= 8; b++) {
                char branch[32];
                snprintf(branch, sizeof branch, "conv0.weight.%d", b);
                assert_true(same(&from, "conv0.weight", &to, branch));
            }
        }
        if (modes[i] == MQ_MODE_SEARCH) { /* alphas stay at their start */
            size_t n;
            const float *alpha = values(&to, "conv1.alpha_weight", &n);
            for (size_t k = 0; k < n; k++) assert_true(alpha[k] == 0.01f);
        }
        mq_checkpoint_free(&to);
        run_end(&run);
    }
    mq_checkpoint_free(&from);
    run_end(&source);
}

static void from_a_shared_search(void **state) {
    test_run source, run;
    mq_checkpoint from, to;
    train_source(&source, state, "source", MQ_MODE_SEARCH, true, &from);
    begin_still(&run, state, "fixed", MQ_MODE_FIXED, true, &source);
    started(&run, &to);
    check_common(&from, &to);
    assert_true(same(&from, "conv0.weight", &to, "conv0.weight"));
    mq_checkpoint_free(&to);
    run_end(&run);
    begin_still(&run, state, "search", MQ_MODE_SEARCH, true, &source);
    started(&run, &to);
    check_common(&from, &to);
    assert_true(same(&from, "conv1.weight", &to, "conv1.weight"));
    assert_true(same(&from, "conv1.alpha_weight", &to, "conv1.alpha_weight"));
    assert_true(same(&from, "conv0.alpha_activation", &to, "conv0.alpha_activation"));
    mq_checkpoint_free(&to);
    run_end(&run);
    mq_checkpoint_free(&from);
    run_end(&source);
}

static void decide(test_run *run, mq_model *model) {
    for (int l = 0; l < 2; l++) { /* conv0 to 5 bits, conv1 to 3 */
        float *alpha = mq_model_param(model, run->net->layers[l].node, MQ_PARAM_ALPHA_WEIGHT, -1)->value;
        for (int b = 0; b < 7; b++) alpha[b] = b == (l ? 1 : 3) ? 1.0f : 0.0f;
    }
    mq_model_touch(model);
}

/* Fixed bits (48) take the branches of these bits, a search with shared weights those of the chosen ones
 * (53). */
static void from_an_unshared_search(void **state) {
    test_run source, run;
    mq_checkpoint from, to;
    run_begin(&source, state, "source", MQ_MODE_SEARCH, false);
    source.settings.epochs = 1;
    source.sabotage = decide;
    run_well(&source);
    run_load(&source, "best.safetensors", &from);
    assert_int_equal(from.bits.weight[0], 5);
    for (int i = 0; i < 2; i++) {
        begin_still(&run, state, i ? "search" : "fixed", i ? MQ_MODE_SEARCH : MQ_MODE_FIXED, true, &source);
        started(&run, &to);
        check_common(&from, &to);
        assert_true(same(&from, i ? "conv0.weight.5" : "conv0.weight.4", &to, "conv0.weight"));
        assert_true(same(&from, i ? "conv1.weight.3" : "conv1.weight.8", &to, "conv1.weight"));
        assert_false(same(&from, "conv1.weight.5", &to, "conv1.weight"));
        mq_checkpoint_free(&to);
        run_end(&run);
    }
    begin_still(&run, state, "unshared", MQ_MODE_SEARCH, false, &source);
    started(&run, &to);
    assert_true(same(&from, "conv0.weight.7", &to, "conv0.weight.7"));
    mq_checkpoint_free(&to);
    run_end(&run);
    mq_checkpoint_free(&from);
    run_end(&source);
}

static void from_fixed_bits(void **state) {
    test_run source, run;
    mq_checkpoint from, to;
    train_source(&source, state, "source", MQ_MODE_FIXED, true, &from);
    begin_still(&run, state, "run", MQ_MODE_FIXED, true, &source);
    OK(mq_bits_parse(run.net, "22", "33", &run.bits, ERROR)); /* other bits: the float weights stay */
    char file[1024];
    snprintf(file, sizeof file, "%s", run_path(&source, "best.safetensors"));
    run.settings.init = file; /* a file as well as its folder */
    started(&run, &to);
    check_common(&from, &to);
    assert_true(same(&from, "conv0.weight", &to, "conv0.weight"));
    assert_int_equal(to.bits.weight[0], 2);
    mq_checkpoint_free(&to);
    mq_checkpoint_free(&from);
    run_end(&run);
    run_end(&source);
}

static void refusals(void **state) {
    test_run source, run;
    mq_checkpoint from;
    train_source(&source, state, "source", MQ_MODE_FLOAT, true, &from);
    begin_still(&run, state, "run", MQ_MODE_FLOAT, true, &source);
    run.settings.init = "/nowhere/at-all.safetensors";
    run_expect(&run, run_train(&run), MQ_BAD_INPUT, "/nowhere/at-all.safetensors");
    run.settings.init = run.folder; /* not there, and then no run folder */
    run_expect(&run, run_train(&run), MQ_BAD_INPUT, run.folder);
    assert_false(mq_path_exists(run.folder)); /* refused before the folder was made */

    /* another network: a layer more, and a layer wider */
    static const char deeper[] = "name: deeper\nclasses: 4\ninput: {channels: 1, height: 8, width: 8}\n"
                                 "layers:\n  - conv: {out: 6, kernel: 3}\n  - batch_norm\n"
                                 "  - conv: {out: 9, kernel: 3, bias: true}\n  - batch_norm\n"
                                 "  - conv: {out: 4, kernel: 8, padding: 0, name: last}\n";
    static const char wider[] = "name: wider\nclasses: 4\ninput: {channels: 1, height: 8, width: 8}\n"
                                "layers:\n  - conv: {out: 7, kernel: 3}\n  - batch_norm\n"
                                "  - linear: {out: 4}\n";
    mq_net *tiny = run.net;
    run.settings.init = source.folder;
    OK(mq_net_parse("deeper.yaml", deeper, strlen(deeper), &run.net, ERROR));
    run_expect(&run, run_train(&run), MQ_BAD_INPUT, "no tensor last.weight");
    assert_non_null(strstr(run.error.text, "network deeper"));
    mq_net_free(run.net);
    OK(mq_net_parse("wider.yaml", wider, strlen(wider), &run.net, ERROR));
    run_expect(&run, run_train(&run), MQ_BAD_INPUT,
               "conv0.weight: got shape [6, 1, 3, 3], expected [7, 1, 3, 3]");
    mq_net_free(run.net);
    run.net = tiny;
    run_end(&run);
    mq_checkpoint_free(&from);
    run_end(&source);
}

/* Tensors under "optimizer." are not checked when a checkpoint is read; a layer may have such a name. */
static void another_type(void **state) {
    static const char named[] = "name: named\nclasses: 4\ninput: {channels: 1, height: 8, width: 8}\n"
                                "layers:\n  - linear: {out: 4, bias: false, name: optimizer}\n";
    static const char plain[] = "name: plain\nclasses: 4\ninput: {channels: 1, height: 8, width: 8}\n"
                                "layers:\n  - linear: {out: 4, bias: false}\n";
    static float weight[4 * 64];
    static uint8_t bytes[4 * 64];
    test_run run;
    mq_net *net, *tiny;
    mq_st_writer *writer;
    char file[1024];
    OK(mq_net_parse("plain.yaml", plain, strlen(plain), &net, ERROR));
    const mq_checkpoint_info info = {.net = net, .mode = MQ_MODE_FLOAT, .share = true, .precision = "f32"};
    const mq_tensor good = {.dtype = MQ_F32, .shape = mq_shape2(4, 64), .data = weight};
    const mq_tensor bad = {.dtype = MQ_U8, .shape = mq_shape2(4, 64), .data = bytes};
    snprintf(file, sizeof file, "%s", temp_dir_path(state, "plain.safetensors"));
    OK(mq_st_writer_create(&writer, ERROR));
    OK(mq_checkpoint_describe(writer, &info, ERROR));
    OK(mq_st_add(writer, "linear0.weight", &good, ERROR));
    OK(mq_st_add(writer, "optimizer.weight", &bad, ERROR));
    OK(mq_st_write(writer, file, ERROR));
    mq_st_writer_free(writer);
    mq_net_free(net);

    run_begin(&run, state, "run", MQ_MODE_FLOAT, true);
    tiny = run.net;
    OK(mq_net_parse("named.yaml", named, strlen(named), &run.net, ERROR));
    run.settings.init = file;
    run_expect(&run, run_train(&run), MQ_BAD_INPUT, "optimizer.weight: got uint8, expected float32");
    mq_net_free(run.net);
    run.net = tiny;
    run_end(&run);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(from_float),
        IN_FOLDER(from_a_shared_search),
        IN_FOLDER(from_an_unshared_search),
        IN_FOLDER(from_fixed_bits),
        IN_FOLDER(refusals),
        IN_FOLDER(another_type),
    };
    return cmocka_run_group_tests(tests, run_one_thread, NULL);
}
