/* test_no_allocation.c - a training step allocates nothing after the first of its batch size.
 *
 * The program is linked with --wrap, so every call of the allocator from our own code goes through the
 * counters below: there may be none. oneDNN is a shared library, which --wrap does not reach; it may take
 * memory while a primitive executes but must give all of it back, so the allocator's bytes in use are the
 * same before and after several steps. (Under AddressSanitizer mallinfo2 counts nothing and that half is
 * empty.) */
#include "helper_ops.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/temp_dir.h"
#include "ops/precision.h"
#include "search/search.h"
#include "train/trainer.h"

static atomic_int calls;
static atomic_bool counting;

/* The linker makes these names.
 * NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **out, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **out, size_t alignment, size_t size);

static void count(void) {
    if (atomic_load(&counting)) atomic_fetch_add(&calls, 1);
}

void *__wrap_malloc(size_t size) {
    count();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
    count();
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size) {
    count();
    return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    count();
    return __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t size) {
    count();
    return __real_posix_memalign(out, alignment, size);
}

/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static size_t bytes_in_use(void) {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void the_counter_counts(void **state) {
    (void)state;
    void *memory;
    atomic_store(&calls, 0);
    atomic_store(&counting, true);
    OK(mq_alloc(3, 5, "test", &memory, ERROR));
    atomic_store(&counting, false);
    mq_free(memory);
    assert_int_equal(atomic_load(&calls), 1);
}

/* ---- steps by hand ---- */

typedef struct stepper {
    mq_model *model;
    mq_optimizer *optimizer;
    mq_search *search; /* NULL at fixed bits */
    const uint8_t *images;
    int32_t labels[16];
    float *d_output;
} stepper;

static mq_status step(stepper *s, int n, mq_error *error) {
    static const mq_rule rules[MQ_GROUPS] = {
        {0.01, 0.9, 5e-4, false}, {0.01, 0.9, 5e-4, false}, {0.01, 0.9, 0, false}, {0.01, 0.9, 5e-4, true}};
    const float *output;
    uint64_t correct;
    MQ_TRY(mq_model_forward(s->model, s->images, n, true, &output, error));
    (void)mq_cross_entropy(output, s->labels, (size_t)n, mq_model_net(s->model)->classes, s->d_output,
                           &correct);
    MQ_TRY(mq_model_backward(s->model, s->d_output, error));
    if (s->search) (void)mq_search_add_gradients(s->search, s->model);
    mq_optimizer_step(s->optimizer, rules);
    if (s->search) mq_search_apply_fix(s->search, s->model);
    if (mq_model_find_nonfinite_param(s->model)) return MQ_CHECK_FAILED;
    return mq_model_forward(s->model, s->images, n, false, &output, error); /* as a test between epochs */
}

static void check_steps(const char *what, const mq_net *net, const mq_model_options *options, int threads) {
    enum { FULL = 6, PART = 4, STEPS = 4 };
    static mq_search search;
    mq_factors factors;
    mq_model_options o = *options;
    o.training = true;
    o.batch = FULL;
    mq_threads_set(threads);
    stepper s = {.model = ops_model(net, &o, 5)};
    uint8_t *images = ops_images(net, FULL, 5);
    s.images = images;
    for (int i = 0; i < FULL; i++) s.labels[i] = i % net->classes;
    OK(mq_optimizer_create(s.model, MQ_SGD, &s.optimizer, ERROR));
    OK(mq_alloc((size_t)FULL * (size_t)net->classes, sizeof(float), "test", &s.d_output, ERROR));
    if (o.mode == MQ_MODE_SEARCH) {
        OK(mq_factors_load("published", &factors, ERROR));
        search = (mq_search){.prices = {1e-3, 1e-3, 1e-3}};
        OK(mq_cost_create(net, &factors, &search.cost, ERROR));
        OK(mq_search_parse_fix(net, "conv0=w8a8", &search.fix, ERROR));
        s.search = &search;
    }
    mq_error e = {0};
    /* The first of each size; then two more, until oneDNN's threads have their own buffers. */
    mq_status status = step(&s, FULL, &e);
    if (status == MQ_OK) status = step(&s, PART, &e);
    for (int i = 0; i < 2 && status == MQ_OK; i++) status = step(&s, i ? PART : FULL, &e);
    const size_t before = bytes_in_use();
    atomic_store(&calls, 0);
    atomic_store(&counting, true);
    for (int i = 0; i < STEPS && status == MQ_OK; i++) status = step(&s, i % 2 ? PART : FULL, &e);
    atomic_store(&counting, false);
    const size_t after = bytes_in_use();
    if (status != MQ_OK) fail_msg("%s: %s", what, e.text);
    if (atomic_load(&calls) != 0) fail_msg("%s: %d calls of the allocator", what, atomic_load(&calls));
    if (after != before) fail_msg("%s: %zu bytes in use before, %zu after", what, before, after);
    mq_free(s.d_output);
    mq_free(images);
    mq_optimizer_destroy(s.optimizer);
    mq_model_destroy(s.model);
    mq_threads_set(1);
}

static void steps(void **state) {
    (void)state;
    mq_net *net = ops_open(OPS_NET_BLOCKED);
    const mq_bits bits = ops_bits(net, 2, false);
    mq_dtype types[2] = {MQ_F32, MQ_F32};
    OK(mq_precision(MQ_PRECISION_AUTO, &types[1], ERROR));
    for (int t = 0; t < (types[1] == MQ_F32 ? 1 : 2); t++) {
        mq_model_options o = {.mode = MQ_MODE_FIXED, .bits = &bits, .share = true, .compute = types[t]};
        check_steps("fixed bits", net, &o, 1);
        o = (mq_model_options){.mode = MQ_MODE_SEARCH, .share = true, .compute = types[t]};
        check_steps("search, shared", net, &o, 1);
        check_steps("search on two threads", net, &o, 2);
        o.share = false;
        check_steps("search, unshared", net, &o, 1);
        o.mode = MQ_MODE_FLOAT;
        check_steps("float", net, &o, 1);
    }
    mq_net_free(net);
}

/* Every operator, in networks without a loss of their own: forward and backward. */
static void all_operators(void **state) {
    (void)state;
    for (const ops_net *w = OPS_NETS; w->text; w++) {
        mq_net *net = ops_open(w->text);
        const mq_model_options o = {
            .mode = MQ_MODE_SEARCH, .share = true, .training = true, .compute = MQ_F32, .batch = w->many};
        mq_model *model = ops_model(net, &o, 5);
        uint8_t *images = ops_images(net, w->many, 5);
        float *d_output = ops_normal((size_t)w->many * ops_elements(mq_net_output(net)), 5);
        mq_error e = {0};
        mq_status status = MQ_OK;
        for (int i = 0; i < 5 && status == MQ_OK; i++) {
            const float *output;
            atomic_store(&counting, i > 0);
            if (i == 0) atomic_store(&calls, 0);
            status = mq_model_forward(model, images, w->many, true, &output, &e);
            if (status == MQ_OK) status = mq_model_backward(model, d_output, &e);
            mq_model_touch(model);
        }
        atomic_store(&counting, false);
        if (status != MQ_OK) fail_msg("%s: %s", net->name, e.text);
        if (atomic_load(&calls) != 0) fail_msg("%s: %d allocations", net->name, atomic_load(&calls));
        mq_model_destroy(model);
        mq_free(images);
        mq_free(d_output);
        mq_net_free(net);
    }
}

/* ---- the trainer's own loop, with its loader thread ---- */

typedef struct watch {
    int updates, per_epoch; /* steps done; of one epoch */
} watch;

/* Counts from the end of the second epoch's first step to the end of its last: all batch sizes are known
 * then, and between epochs files are written. */
static void watch_update(void *context, mq_model *model) {
    (void)model;
    watch *w = context;
    w->updates++; /* the first call comes from opening the run */
    if (w->updates == 1 + w->per_epoch + 1) atomic_store(&counting, true);
    if (w->updates == 1 + 2 * w->per_epoch) atomic_store(&counting, false);
}

static void a_whole_run(void **state) {
    mq_net *net = ops_open(OPS_NET_BLOCKED);
    mq_dataset *data;
    enum { IMAGES = 44, BATCH = 8 }; /* the last batch is smaller */
    OK(mq_dataset_create("made", IMAGES, 16, 16, 3, 10, &data, ERROR));
    uint8_t *images = ops_images(net, IMAGES, 1);
    memcpy(data->images, images, IMAGES * ops_elements(&net->nodes[0]));
    for (int i = 0; i < IMAGES; i++) data->labels[i] = i % 10;
    const mq_bits bits = ops_bits(net, 2, false);
    watch w = {.per_epoch = (IMAGES + BATCH - 1) / BATCH};
    const mq_train_hooks hooks = {.context = &w, .after_update = watch_update};
    mq_train_settings settings = {
        .model = {.mode = MQ_MODE_FIXED, .bits = &bits, .share = true, .compute = MQ_F32},
        .epochs = 2,
        .batch = BATCH,
        .schedule = {.weights = {0.01, 0.9, 5e-4, false}, .bias_rate = 1},
        .augment = {.pad = 2, .flip = true},
        .settings = json_object(),
        .out = temp_dir_path(state, "run"),
    };
    mq_train_result result;
    atomic_store(&calls, 0);
    OK(mq_train(net, &settings, &hooks, data, data, &result, ERROR));
    assert_int_equal(w.updates, 1 + 2 * w.per_epoch);
    assert_int_equal(atomic_load(&calls), 0);
    json_decref(settings.settings);
    mq_free(images);
    mq_dataset_free(data);
    mq_net_free(net);
}

int main(int argc, char **argv) {
    (void)argc;
    static const char tunables[] = "GLIBC_TUNABLES";
    if (!getenv(tunables)) {
        setenv("OMP_WAIT_POLICY", "passive", 0); /* other tests run beside this one */
        if (setenv(tunables, "glibc.malloc.tcache_count=0", 1) == 0) execv("/proc/self/exe", argv);
        fprintf(stderr, "cannot start again without the allocator's caches\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counter_counts),
        cmocka_unit_test(steps),
        cmocka_unit_test(all_operators),
        cmocka_unit_test_setup_teardown(a_whole_run, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, ops_one_thread, NULL);
}
