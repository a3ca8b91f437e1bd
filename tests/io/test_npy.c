/* test_npy.c - NumPy arrays: files as NumPy writes them, round trips, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "io/npy.h"

/* numpy.save of numpy.array([[1, -2, 3]], dtype="<i2"), byte for byte. */
static const char NUMPY_I2[] = "\x93NUMPY\x01\x00\x76\x00"
                               "{'descr': '<i2', 'fortran_order': False, 'shape': (1, 3), }"
                               "                                                          \n"
                               "\x01\x00\xfe\xff\x03\x00";

static mq_status load_bytes(void **state, const void *bytes, size_t size, mq_tensor *out, mq_error *error) {
    const char *path = temp_dir_path(state, "f.npy");
    assert_int_equal(mq_file_write(path, bytes, size, NULL), MQ_OK);
    return mq_npy_load(path, out, error);
}

/* A file of this version with this dictionary and `data` bytes that count 0, 1, 0, 1 ... */
static mq_status load_header(void **state, int major, const char *header, size_t data, mq_tensor *out,
                             mq_error *error) {
    uint8_t bytes[1024] = {0x93, 'N', 'U', 'M', 'P', 'Y', (uint8_t)major};
    size_t length = strlen(header), prefix = major == 1 ? 10 : 12;
    bytes[8] = (uint8_t)length;
    bytes[9] = (uint8_t)(length >> 8);
    memcpy(bytes + prefix, header, length);
    for (size_t i = 0; i < data; i++) bytes[prefix + length + i] = i & 1;
    return load_bytes(state, bytes, prefix + length + data, out, error);
}

static void reads_and_writes_as_numpy(void **state) {
    mq_tensor tensor;
    mq_error error = {0};
    size_t size = sizeof NUMPY_I2 - 1;
    assert_int_equal(size, 128 + 6);
    if (load_bytes(state, NUMPY_I2, size, &tensor, &error) != MQ_OK) fail_msg("%s", error.text);
    mq_shape shape = mq_shape2(1, 3);
    assert_int_equal(tensor.dtype, MQ_I16);
    assert_true(mq_shape_equal(&tensor.shape, &shape));
    assert_int_equal(((int16_t *)tensor.data)[1], -2);
    uint8_t *bytes;
    size_t written;
    assert_int_equal(mq_npy_save(temp_dir_path(state, "g.npy"), &tensor, &error), MQ_OK);
    assert_int_equal(mq_file_read(temp_dir_path(state, "g.npy"), 1000, &bytes, &written, NULL), MQ_OK);
    assert_int_equal(written, size);
    assert_memory_equal(bytes, NUMPY_I2, size);
    mq_free(bytes);
    mq_tensor_free(&tensor);
}

static void accepts(void **state) {
    static const struct {
        int major;
        const char *header;
        size_t data;
        mq_dtype dtype;
        mq_shape shape;
    } CASES[] = {
        {1, "{'descr': '|b1', 'fortran_order': False, 'shape': (4,), }\n", 4, MQ_U8, {1, {4}}},
        {1, "{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n", 1, MQ_U8, {0}},
        {2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }\n", 0, MQ_F32, {2, {2, 0}}},
        {2,
         "{\"shape\":(1,1,1,1,1,2),\"descr\":\"<f8\",\"fortran_order\":False}",
         16,
         MQ_F64,
         {6, {1, 1, 1, 1, 1, 2}}},
        {1, "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2,)}   \n", 16, MQ_I64, {2, {1, 2}}},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        mq_tensor tensor;
        mq_error error = {0};
        if (load_header(state, CASES[i].major, CASES[i].header, CASES[i].data, &tensor, &error) != MQ_OK)
            fail_msg("case %zu: %s", i, error.text);
        assert_int_equal(tensor.dtype, CASES[i].dtype);
        assert_true(mq_shape_equal(&tensor.shape, &CASES[i].shape));
        assert_int_equal(mq_tensor_bytes(&tensor), CASES[i].data);
        for (size_t j = 0; j < CASES[i].data; j++) assert_int_equal(((uint8_t *)tensor.data)[j], j & 1);
        mq_tensor_free(&tensor);
    }
}

static void refuses(void **state) {
#define H(descr, order, shape) "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }\n"
    static const struct {
        int major;
        const char *header;
        size_t data;
        const char *message;
    } CASES[] = {
        {3, H("'|u1'", "False", "(4,)"), 4, "npy version: got 3.0"},
        {0, H("'|u1'", "False", "(4,)"), 4, "npy version"},
        {1, H("'>i4'", "False", "(1,)"), 4, "got >i4"},
        {1, H("'<u2'", "False", "(2,)"), 4, "got <u2"},
        {1, H("'<f2'", "False", "(2,)"), 4, "got <f2"},
        {1, H("'|O'", "False", "(2,)"), 4, "got |O"},
        {1, H("[('a', '<i4')]", "False", "(1,)"), 4, "expected a quoted text"},
        {1, H("'<i4\\''", "False", "(1,)"), 4, "quoted text"},
        {1, H("'|u1'", "True", "(2, 2)"), 4, "Fortran order"},
        {1, H("'|u1'", "0", "(2, 2)"), 4, "expected False"},
        {1, H("'|u1'", "False", "(4)"), 4, "comma"},
        {1, H("'|u1'", "False", "4"), 4, "parentheses"},
        {1, H("'|u1'", "False", "(-4,)"), 4, "dimension"},
        {1, H("'|u1'", "False", "(,)"), 1, "dimension"},
        {1, H("'|u1'", "False", "(2 2)"), 4, "comma"},
        {1, H("'|u1'", "False", "(2, 2"), 4, "expected"},
        {1, H("'|u1'", "False", "(1, 1, 1, 1, 1, 1, 4)"), 4, "at most 6"},
        {1, H("'|u1'", "False", "(99999999999999999999,)"), 4, "63 bits"},
        {1, H("'|u1'", "False", "(4294967296, 4294967296)"), 0, "expected the size"},
        {1, H("'<f8'", "False", "(2305843009213693952,)"), 0, "expected the size"},
        {1, H("'|u1'", "False", "(4,)"), 3, "expected the size of uint8 [4]"},
        {1, H("'|u1'", "False", "(4,)"), 5, "expected the size of uint8 [4]"},
        {1, "{'descr': '|u1', 'fortran_order': False}", 4, "once each"},
        {1, "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': ()}", 1, "once each"},
        {1, "{'descr': '|u1', 'x': 1, 'fortran_order': False, 'shape': ()}", 1, "once each"},
        {1, "{'descr': '|u1', 'fortran_order': False, 'shape': ()} x", 1, "the end of the header"},
        {1, "{'descr': '|u1' 'fortran_order': False, 'shape': ()}", 1, ", or }"},
        {1, "{'descr' '|u1'}", 1, "expected :"},
        {1, "'descr'", 1, "dictionary"},
        {1, "", 1, "dictionary"},
    };
#undef H
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        mq_tensor tensor;
        mq_error error = {0};
        if (load_header(state, CASES[i].major, CASES[i].header, CASES[i].data, &tensor, &error) !=
            MQ_BAD_INPUT)
            fail_msg("case %zu was read", i);
        assert_null(tensor.data);
        if (!strstr(error.text, CASES[i].message)) fail_msg("case %zu: %s", i, error.text);
    }
    mq_tensor tensor;
    mq_error error = {0};
    static const char NOT_BOOL[] = "\x93NUMPY\x01\x00\x39\x00"
                                   "{'descr': '|b1', 'fortran_order': False, 'shape': (1,), }"
                                   "\x02";
    assert_int_equal(load_bytes(state, NOT_BOOL, sizeof NOT_BOOL - 1, &tensor, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "bool"));
    assert_int_equal(mq_npy_load(temp_dir_path(state, "absent.npy"), &tensor, &error), MQ_BAD_INPUT);
}

/* Every cut is refused, every flipped bit refused or read. */
static void survives_damage(void **state) {
    char bytes[sizeof NUMPY_I2];
    size_t size = sizeof NUMPY_I2 - 1;
    mq_tensor tensor;
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(load_bytes(state, NUMPY_I2, cut, &tensor, NULL), MQ_BAD_INPUT);
    for (size_t at = 0; at < 72; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(bytes, NUMPY_I2, size);
            bytes[at] = (char)(bytes[at] ^ (1 << bit));
            mq_status status = load_bytes(state, bytes, size, &tensor, NULL);
            assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
            if (status == MQ_OK) assert_int_equal(mq_tensor_bytes(&tensor), 6);
            mq_tensor_free(&tensor);
        }
    }
}

static void round_trips(void **state) {
    const char *path = temp_dir_path(state, "f.npy");
    mq_rng rng = mq_rng_stream(1, "npy", 0);
    uint64_t drawn = 0;
    mq_error error = {0};
    for (int trial = 0; trial < 100; trial++) {
        mq_shape shape = {.rank = trial % (MQ_DIMS + 1)};
        for (int d = 0; d < shape.rank; d++) shape.dim[d] = mq_rng_below(&rng, drawn++, 6);
        mq_tensor tensor, again;
        assert_int_equal(mq_tensor_create((mq_dtype)(trial % MQ_DTYPES), shape, &tensor, NULL), MQ_OK);
        uint8_t *bytes = tensor.data;
        for (size_t i = 0; i < mq_tensor_bytes(&tensor); i++) bytes[i] = (uint8_t)mq_rng_u32(&rng, drawn++);
        mq_status status = mq_npy_save(path, &tensor, &error);
        assert_int_equal(status, tensor.dtype == MQ_BF16 ? MQ_INTERNAL : MQ_OK);
        if (status == MQ_OK) {
            if (mq_npy_load(path, &again, &error) != MQ_OK) fail_msg("%s", error.text);
            assert_int_equal(again.dtype, tensor.dtype);
            assert_true(mq_shape_equal(&again.shape, &shape));
            assert_memory_equal(again.data, tensor.data, mq_tensor_bytes(&tensor));
            mq_tensor_free(&again);
        }
        mq_tensor_free(&tensor);
    }
    /* The longest header there can be. */
    mq_tensor empty = {.dtype = MQ_F64, .shape = {.rank = MQ_DIMS}}, again;
    uint8_t nothing;
    empty.data = &nothing;
    for (int d = 1; d < MQ_DIMS; d++) empty.shape.dim[d] = INT32_MAX;
    empty.shape.dim[1] = 0;
    assert_int_equal(mq_npy_save(path, &empty, &error), MQ_OK);
    assert_int_equal(mq_npy_load(path, &again, &error), MQ_OK);
    assert_true(mq_shape_equal(&again.shape, &empty.shape));
    mq_tensor_free(&again);
    assert_int_equal(temp_dir_count(state), 1);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, temp_dir_make, temp_dir_remove)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(reads_and_writes_as_numpy), IN_FOLDER(accepts),     IN_FOLDER(refuses),
        IN_FOLDER(survives_damage),           IN_FOLDER(round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
