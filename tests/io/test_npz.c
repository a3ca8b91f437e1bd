/* test_npz.c - NumPy's archives: files that NumPy wrote, round trips, what NumPy reads of ours, damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/rng.h"
#include "base/stop.h"
#include "base/temp_dir.h"
#include "io/npy.h"
#include "io/npz.h"

#define FILES MIXQ_SOURCE_DIR "/tests/io/files/"

static mq_npz *open_good(const char *path) {
    mq_npz *npz;
    mq_error error = {0};
    if (mq_npz_open(path, &npz, &error) != MQ_OK) fail_msg("%s", error.text);
    return npz;
}

static mq_tensor read_good(const mq_npz *npz, const char *name) {
    mq_tensor tensor;
    mq_error error = {0};
    if (mq_npz_read(npz, name, &tensor, &error) != MQ_OK) fail_msg("%s", error.text);
    return tensor;
}

static void check_x(const mq_tensor *x, int copies) {
    mq_shape shape = mq_shape4(2 * copies, 1, 3, 4);
    assert_int_equal(x->dtype, MQ_U8);
    assert_true(mq_shape_equal(&x->shape, &shape));
    for (int i = 0; i < 24 * copies; i++) assert_int_equal(((uint8_t *)x->data)[i], i % 24 * 7 % 256);
}

/* numpy.savez(F, x, y); numpy.savez_compressed(F, x=..., y=..., r=float32([0.5, -1])), with NumPy 2.4. */
static void reads_numpy(void **state) {
    (void)state;
    char names[64];
    mq_npz *npz = open_good(FILES "numpy_savez.npz");
    assert_true(mq_npz_has(npz, "arr_0") && mq_npz_has(npz, "arr_1") && !mq_npz_has(npz, "x"));
    mq_tensor x = read_good(npz, "arr_0"), y = read_good(npz, "arr_1");
    check_x(&x, 1);
    assert_int_equal(y.dtype, MQ_I64);
    assert_int_equal(((int64_t *)y.data)[0], 1);
    mq_tensor_free(&x);
    mq_tensor_free(&y);
    mq_npz_close(npz);
    npz = open_good(FILES "numpy_compressed.npz");
    mq_npz_names(npz, names, sizeof names);
    assert_string_equal(names, "x, y, r");
    x = read_good(npz, "x");
    mq_tensor r = read_good(npz, "r");
    check_x(&x, 5);
    assert_true(((float *)r.data)[0] == 0.5f && ((float *)r.data)[1] == -1.0f);
    mq_tensor_free(&x);
    mq_tensor_free(&r);
    mq_error error = {0};
    assert_int_equal(mq_npz_read(npz, "z", &x, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "numpy_compressed.npz: no array z: it has x, y, r"));
    mq_npz_close(npz);
}

static void chooses(void **state) {
    static const char *const names[] = {"images", "x", NULL}, *const others[] = {"a", "b", NULL};
    mq_tensor t;
    mq_error error = {0};
    assert_int_equal(mq_array_load(FILES "numpy_compressed.npz", names, &t, &error), MQ_OK);
    check_x(&t, 5);
    assert_int_equal(mq_array_load(FILES "numpy_compressed.npz", others, &(mq_tensor){0}, &error),
                     MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "arrays x, y, r: one alone, or one of a, b expected"));
    const char *path = temp_dir_path(state, "one.npz");
    const mq_npz_array one = {"only", &t};
    assert_int_equal(mq_npz_save(path, &one, 1, false, &error), MQ_OK);
    mq_tensor again;
    assert_int_equal(mq_array_load(path, others, &again, &error), MQ_OK);
    check_x(&again, 5);
    mq_tensor_free(&again);
    path = temp_dir_path(state, "one.npy");
    assert_int_equal(mq_npy_save(path, &t, &error), MQ_OK);
    assert_int_equal(mq_array_load(path, others, &again, &error), MQ_OK);
    check_x(&again, 5);
    mq_tensor_free(&again);
    mq_tensor_free(&t);
}

static void save_random(const char *path, uint64_t seed, bool deflated, mq_tensor t[3]) {
    mq_rng rng = mq_rng_stream(seed, "npz", 0);
    mq_error error = {0};
    const mq_shape shape[] = {mq_shape4(3, 2, 5, 7), mq_shape1(0), mq_shape2(40, 50)};
    const mq_dtype type[] = {MQ_I64, MQ_F32, MQ_U8};
    const mq_npz_array arrays[] = {{"x", &t[0]}, {"empty", &t[1]}, {"many_2", &t[2]}};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mq_tensor_create(type[i], shape[i], &t[i], NULL), MQ_OK);
        for (size_t k = 0; k < mq_tensor_bytes(&t[i]); k++)
            ((uint8_t *)t[i].data)[k] = (uint8_t)(mq_rng_u32(&rng, k) & 3);
    }
    if (mq_npz_save(path, arrays, 3, deflated, &error) != MQ_OK) fail_msg("%s", error.text);
}

static void round_trips(void **state) {
    static const char *const name[] = {"x", "empty", "many_2"};
    char sizes[2][8];
    for (int deflated = 0; deflated < 2; deflated++) {
        mq_tensor t[3];
        const char *path = temp_dir_path(state, "f.npz");
        save_random(path, 7, deflated, t);
        mq_npz *npz = open_good(path);
        for (int i = 0; i < 3; i++) {
            mq_tensor again = read_good(npz, name[i]);
            assert_int_equal(again.dtype, t[i].dtype);
            assert_true(mq_shape_equal(&again.shape, &t[i].shape));
            if (mq_tensor_bytes(&t[i])) assert_memory_equal(again.data, t[i].data, mq_tensor_bytes(&t[i]));
            mq_tensor_free(&again);
            mq_tensor_free(&t[i]);
        }
        mq_npz_close(npz);
        uint8_t *bytes;
        size_t size;
        assert_int_equal(mq_file_read(path, 1 << 20, &bytes, &size, NULL), MQ_OK);
        snprintf(sizes[deflated], sizeof sizes[0], "%zu", size);
        mq_free(bytes);
    }
    assert_true(atoi(sizes[1]) < atoi(sizes[0]) / 2);
    mq_tensor none = {.dtype = MQ_U8};
    const mq_npz_array bad[] = {{"a/b", &none}}, empty[] = {{"", &none}};
    assert_int_equal(mq_npz_save(temp_dir_path(state, "g.npz"), bad, 1, true, NULL), MQ_INTERNAL);
    assert_int_equal(mq_npz_save(temp_dir_path(state, "g.npz"), empty, 1, true, NULL), MQ_INTERNAL);
}

/* Not waiting for the disk. */
static void put(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Every cut is refused; a flipped bit is refused or changes nothing that is read. */
static void survives_damage(void **state) {
    static const char *const file[] = {FILES "numpy_savez.npz", FILES "numpy_compressed.npz"};
    for (int f = 0; f < 2; f++) {
        const char *path = temp_dir_path(state, "f.npz");
        uint8_t *bytes;
        size_t size, refused = 0;
        mq_npz *npz;
        assert_int_equal(mq_file_read(file[f], 1 << 20, &bytes, &size, NULL), MQ_OK);
        for (size_t cut = 0; cut < size; cut++) {
            put(path, bytes, cut);
            assert_int_equal(mq_npz_open(path, &npz, NULL), MQ_BAD_INPUT);
        }
        for (size_t at = 0; at < size; at++) {
            bytes[at] ^= (uint8_t)(1 << at % 8);
            put(path, bytes, size);
            mq_status status = mq_npz_open(path, &npz, NULL);
            mq_tensor x = {0};
            if (status == MQ_OK) {
                status = mq_npz_read(npz, f ? "x" : "arr_0", &x, NULL);
                mq_npz_close(npz);
            }
            if (status == MQ_OK)
                check_x(&x, f ? 5 : 1);
            else
                refused++;
            assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
            mq_tensor_free(&x);
            bytes[at] ^= (uint8_t)(1 << at % 8);
        }
        assert_true(refused > size / 3);
        mq_free(bytes);
    }
}

static void set_field(uint8_t *bytes, size_t size, uint32_t signature, size_t offset, uint32_t value) {
    for (size_t i = 0; i + 46 <= size; i++) {
        uint32_t found;
        memcpy(&found, bytes + i, 4);
        if (found != signature) continue;
        memcpy(bytes + i + offset, &value, 4);
        return;
    }
    fail_msg("no such record");
}

static void refuse_changed(void **state, const char *file, size_t offset, uint32_t value, const char *text) {
    const char *path = temp_dir_path(state, "bad.npz");
    uint8_t *bytes;
    size_t size;
    mq_npz *npz = NULL;
    mq_tensor t = {0};
    mq_error error = {0};
    assert_int_equal(mq_file_read(file, 1 << 20, &bytes, &size, NULL), MQ_OK);
    set_field(bytes, size, 0x02014b50, offset, value);
    assert_int_equal(mq_file_write(path, bytes, size, NULL), MQ_OK);
    mq_free(bytes);
    mq_status status = mq_npz_open(path, &npz, &error);
    if (status == MQ_OK) status = mq_npz_read(npz, mq_npz_has(npz, "x") ? "x" : "arr_0", &t, &error);
    assert_int_equal(status, MQ_BAD_INPUT);
    if (!strstr(error.text, text)) fail_msg("%s: expected ...%s...", error.text, text);
    mq_npz_close(npz);
}

static void refuses(void **state) {
    const char *stored = FILES "numpy_savez.npz", *deflated = FILES "numpy_compressed.npz";
    refuse_changed(state, deflated, 24, 0xfffffff0, "cannot come from"); /* a plain size of 4 GiB */
    refuse_changed(state, deflated, 24, 200, "does not inflate to 200 bytes");
    refuse_changed(state, deflated, 16, 0, "is damaged: CRC-32");
    refuse_changed(state, stored, 16, 0, "is damaged: CRC-32");
    refuse_changed(state, stored, 8, 1, "is encrypted");
    refuse_changed(state, stored, 8, 12 << 16, "compression method 12: a stored or deflated member expected");
    mq_npz *npz;
    mq_error error = {0};
    const char *path = temp_dir_path(state, "f.npz");
    assert_int_equal(mq_npz_open(path, &npz, &error), MQ_BAD_INPUT);
    assert_int_equal(mq_file_write(path, "not a zip, but long enough", 26, NULL), MQ_OK);
    assert_int_equal(mq_npz_open(path, &npz, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "no end-of-directory record"));
}

/* Both ways with a NumPy, where there is one. */
static void as_numpy(void **state) {
    static const char script[] =
        "import sys, numpy as np\n"
        "d = sys.argv[1] + '/'\n"
        "for f in ('stored', 'deflated'):\n"
        "    with np.load(d + f + '.npz') as z:\n"
        "        assert z.files == ['x', 'empty', 'many_2'], z.files\n"
        "        assert z['x'].dtype == np.int64 and z['x'].shape == (3, 2, 5, 7)\n"
        "        assert z['empty'].dtype == np.float32 and z['empty'].shape == (0,)\n"
        "        for n in z.files: np.save(d + f + '_' + n + '.npy', z[n])\n"
        "x = (np.arange(120) % 24 * 7 % 256).astype(np.uint8).reshape(10, 1, 3, 4)\n"
        "np.savez(d + 'a.npz', x=x, other=x)\n"
        "np.savez_compressed(d + 'b.npz', x=x, other=x)\n";
    const char *python = getenv("MIXQ_PYTHON") ? getenv("MIXQ_PYTHON") : "python3";
    const char *const probe[] = {python, "-c", "import numpy", NULL};
    int code = 1;
    if ((!strchr(python, '/') && !mq_program_found(python)) ||
        mq_process_run(&(mq_process){.words = probe, .seconds = 60}, &code, NULL) != MQ_OK || code) {
        print_message("skipped: no python3 with numpy (MIXQ_PYTHON names one)\n");
        skip();
    }
    char folder[512], log[512];
    mq_tensor stored[3], deflated[3];
    save_random(temp_dir_path(state, "stored.npz"), 1, false, stored);
    save_random(temp_dir_path(state, "deflated.npz"), 2, true, deflated);
    snprintf(folder, sizeof folder, "%s", temp_dir_path(state, "."));
    snprintf(log, sizeof log, "%s", temp_dir_path(state, "log"));
    const char *const words[] = {python, "-c", script, folder, NULL};
    assert_int_equal(mq_process_run(&(mq_process){.words = words, .log = log, .seconds = 60}, &code, NULL),
                     MQ_OK);
    char tail[300];
    mq_log_tail(log, tail, sizeof tail);
    if (code) fail_msg("%s", tail);
    static const char *const name[] = {"x", "empty", "many_2"};
    for (int i = 0; i < 6; i++) {
        char file[64];
        mq_tensor again, *t = i < 3 ? &stored[i] : &deflated[i - 3];
        snprintf(file, sizeof file, "%s_%s.npy", i < 3 ? "stored" : "deflated", name[i % 3]);
        assert_int_equal(mq_npy_load(temp_dir_path(state, file), &again, NULL), MQ_OK);
        assert_int_equal(mq_tensor_bytes(&again), mq_tensor_bytes(t));
        if (mq_tensor_bytes(t)) assert_memory_equal(again.data, t->data, mq_tensor_bytes(t));
        mq_tensor_free(&again);
        mq_tensor_free(t);
    }
    for (int i = 0; i < 2; i++) {
        mq_npz *npz = open_good(temp_dir_path(state, i ? "b.npz" : "a.npz"));
        mq_tensor x = read_good(npz, "x");
        check_x(&x, 5);
        mq_tensor_free(&x);
        mq_npz_close(npz);
    }
}

/* An array of several pieces is whole; a request to stop leaves no file. */
static void stops(void **state) {
    const char *path = temp_dir_path(state, "f.npz");
    mq_error error = {0};
    mq_tensor x;
    mq_rng rng = mq_rng_stream(1, "npz", 0);
    assert_int_equal(mq_tensor_create(MQ_U8, mq_shape2(5, (1 << 19) + 1), &x, NULL), MQ_OK);
    for (size_t k = 0; k < mq_tensor_bytes(&x); k++) ((uint8_t *)x.data)[k] = mq_rng_u32(&rng, k) & 7;
    const mq_npz_array array = {"x", &x};
    mq_stop_request();
    assert_int_equal(mq_npz_save(path, &array, 1, true, &error), MQ_INTERRUPTED);
    mq_stop_clear();
    assert_non_null(strstr(error.text, "f.npz: interrupted"));
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(mq_npz_save(path, &array, 1, true, &error), MQ_OK);
    mq_npz *npz = open_good(path);
    mq_tensor again = read_good(npz, "x");
    assert_int_equal(mq_tensor_bytes(&again), mq_tensor_bytes(&x));
    assert_memory_equal(again.data, x.data, mq_tensor_bytes(&x));
    mq_tensor_free(&again);
    mq_tensor_free(&x);
    mq_npz_close(npz);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_numpy),
                                       IN_FOLDER(chooses),
                                       IN_FOLDER(round_trips),
                                       IN_FOLDER(survives_damage),
                                       IN_FOLDER(refuses),
                                       IN_FOLDER(as_numpy),
                                       IN_FOLDER(stops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
