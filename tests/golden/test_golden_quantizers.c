/* The quantisers against numbers of the published framework: steps, codes and values, identical.
 *
 * Every quantizers.safetensors below the golden folder is read: weight.input, weight.q<b> (int32),
 * weight.step<b> (float64), weight.y<b>, activation.input, activation.y<b>, image.input, image.y<b>
 * (float32), of any length, for bits 2..8, and 1 where it is there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/memory.h"
#include "golden_files.h"
#include "io/safetensors.h"
#include "quant/quant.h"
#include "quant/reference.h"

static void *get(size_t count, size_t size) {
    void *memory = NULL;
    assert_int_equal(mq_alloc(count, size, "test", &memory, NULL), MQ_OK);
    return memory;
}

/* The data of <what><bits> (bits 0: of <what>); NULL where it may be absent and is. */
static const void *find(const mq_st_file *file, const char *what, int bits, mq_dtype dtype, size_t count) {
    char name[64];
    const mq_st_entry *entry;
    mq_error error = {0};
    if (bits > 0)
        snprintf(name, sizeof name, "%s%d", what, bits);
    else
        snprintf(name, sizeof name, "%s", what);
    if (bits == 1 && !mq_st_find(file, name)) return NULL;
    if (mq_st_require(file, name, dtype, NULL, &entry, &error) != MQ_OK) fail_msg("%s", error.text);
    size_t found = mq_tensor_count(&entry->tensor);
    if (count > 0 && found != count) fail_msg("%s: %zu elements, expected %zu", name, found, count);
    return entry->tensor.data;
}

static size_t length(const mq_st_file *file, const char *name) {
    const mq_st_entry *entry = mq_st_find(file, name);
    if (!entry) fail_msg("%s: no tensor %s", mq_st_path(file), name);
    size_t count = mq_tensor_count(&entry->tensor);
    assert_true(count > 0);
    return count;
}

static void same_values(const char *what, int bits, const float *y, const float *expected, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!(y[i] == expected[i]))
            fail_msg("%s, %d bits, element %zu: %a, expected %a", what, bits, i, (double)y[i],
                     (double)expected[i]);
}

static void check_weights(const mq_st_file *file) {
    size_t n = length(file, "weight.input");
    const float *w = find(file, "weight.input", 0, MQ_F32, n);
    float alpha = mq_weight_deviation(w, n), *y = get(n, sizeof *y);
    int32_t *q = get(n, sizeof *q);
    for (int bits = MQ_BITS_MIN; bits <= MQ_BITS_MAX; bits++) {
        const int32_t *expected = find(file, "weight.q", bits, MQ_I32, n);
        if (!expected) continue;
        double step = mq_weight_step(bits, alpha);
        const double *published = find(file, "weight.step", bits, MQ_F64, 1);
        const float *values = find(file, "weight.y", bits, MQ_F32, n);
        assert_non_null(published);
        assert_non_null(values);
        if (step != *published) fail_msg("weight step, %d bits: %a, expected %a", bits, step, *published);
        mq_weight_codes(w, n, bits, false, step, q);
        mq_weight_values(w, n, bits, false, step, y);
        for (size_t i = 0; i < n; i++)
            if (q[i] != expected[i])
                fail_msg("weight, %d bits, element %zu: code %d, expected %d", bits, i, q[i], expected[i]);
        same_values("weight", bits, y, values, n);
    }
    mq_free(y);
    mq_free(q);
}

static void check_activations(const mq_st_file *file) {
    size_t n = length(file, "activation.input");
    const float *x = find(file, "activation.input", 0, MQ_F32, n);
    float *y = get(n, sizeof *y);
    uint8_t *codes = get(n, 1);
    for (int bits = MQ_BITS_MIN; bits <= MQ_BITS_MAX; bits++) {
        const float *expected = find(file, "activation.y", bits, MQ_F32, n);
        if (!expected) continue;
        mq_activation_values(x, n, MQ_QUANTIZER_HWGQ, bits, y);
        same_values("activation", bits, y, expected, n);
        mq_activation_codes(x, n, MQ_QUANTIZER_HWGQ, bits, codes);
        for (size_t i = 0; i < n; i++) y[i] = (float)codes[i] * (float)mq_activation_unit(bits);
        same_values("activation code times step", bits, y, expected, n);
    }
    mq_free(y);
    mq_free(codes);
}

/* One branch with all the probability: the mix of the search must give that quantiser. */
static void check_mix(const mq_st_file *file) {
    size_t n = length(file, "activation.input");
    const float *x = find(file, "activation.input", 0, MQ_F32, n);
    float *y = get(n, sizeof *y);
    for (int j = 0; j < MQ_BRANCHES; j++) {
        float softmax[MQ_BRANCHES] = {0};
        softmax[j] = 1;
        mq_activation_mix(x, n, MQ_QUANTIZER_HWGQ, softmax, y);
        same_values("mix", MQ_SEARCH_MIN + j, y, find(file, "activation.y", MQ_SEARCH_MIN + j, MQ_F32, n), n);
    }
    mq_free(y);
}

static void check_image(const mq_st_file *file) {
    size_t n = length(file, "image.input");
    const float *x = find(file, "image.input", 0, MQ_F32, n);
    float *y = get(n, sizeof *y);
    uint8_t *k = get(n, 1);
    for (size_t i = 0; i < n; i++) {
        k[i] = (uint8_t)lrintf(x[i] * 256);
        if ((float)k[i] / 256 != x[i]) fail_msg("image.input[%zu] = %a is no pixel/256", i, (double)x[i]);
    }
    for (int bits = MQ_BITS_MIN; bits <= MQ_BITS_MAX; bits++) {
        const float *expected = find(file, "image.y", bits, MQ_F32, n);
        if (!expected) continue;
        mq_image_values(k, n, bits, y);
        same_values("image", bits, y, expected, n);
    }
    mq_free(y);
    mq_free(k);
}

static void check_folder(const char *folder, void *context) {
    void (*check)(const mq_st_file *) = *(void (**)(const mq_st_file *))context;
    char path[GOLDEN_PATH];
    mq_error error = {0};
    mq_st_file *file = NULL;
    assert_true(golden_path(path, folder, "quantizers.safetensors"));
    if (mq_st_load(path, &file, &error) != MQ_OK) fail_msg("%s", error.text);
    check(file);
    mq_st_free(file);
}

static void in_every_folder(void (*check)(const mq_st_file *)) {
    if (golden_each("quantizers.safetensors", check_folder, &check) == 0) {
        print_message("no quantizers.safetensors below %s\n", golden_root());
        skip();
    }
}

static void weights(void **state) {
    (void)state;
    in_every_folder(check_weights);
}

static void activations(void **state) {
    (void)state;
    in_every_folder(check_activations);
}

static void activation_mix(void **state) {
    (void)state;
    in_every_folder(check_mix);
}

static void image(void **state) {
    (void)state;
    in_every_folder(check_image);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights),
        cmocka_unit_test(activations),
        cmocka_unit_test(activation_mix),
        cmocka_unit_test(image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
