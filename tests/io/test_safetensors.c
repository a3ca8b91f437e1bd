/* test_safetensors.c - the container: round trips, the exact bytes written, every kind of damaged or hostile
 * file, and the files of the golden folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/temp_dir.h"
#include "base/text.h"
#include "io/safetensors.h"

enum { FILE_ROOM = 8192 };

/* A file in memory: the length, this header, then `data` bytes counting 0, 1, 2 ... */
static size_t make_file(uint8_t *out, const char *header, size_t data) {
    uint64_t length = strlen(header);
    memcpy(out, &length, 8);
    memcpy(out + 8, header, length);
    for (size_t i = 0; i < data; i++) out[8 + length + i] = (uint8_t)i;
    return 8 + (size_t)length + data;
}

static void reads_a_small_file(void **state) {
    (void)state;
    uint8_t bytes[FILE_ROOM];
    /* Not in order of data, an odd place for the int32, an empty tensor, a scalar. */
    size_t size = make_file(bytes,
                            "{\"b\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[3,11]},"
                            "\"__metadata__\":{\"model\":\"tiny\",\"bits\":\"82\"},"
                            "\"a\":{\"dtype\":\"U8\",\"shape\":[1,3],\"data_offsets\":[0,3]},"
                            "\"none\":{\"dtype\":\"F32\",\"shape\":[0,9],\"data_offsets\":[11,11]},"
                            "\"one\":{\"shape\":[],\"dtype\":\"I8\",\"data_offsets\":[11,12]}}  ",
                            12);
    mq_st_file *file;
    mq_error error = {0};
    if (mq_st_parse("f.safetensors", bytes, size, &file, &error) != MQ_OK) fail_msg("%s", error.text);
    memset(bytes, 0xee, sizeof bytes); /* it was copied */
    assert_int_equal(mq_st_count(file), 4);
    assert_string_equal(mq_st_at(file, 0)->name, "a");
    assert_string_equal(mq_st_at(file, 1)->name, "b");
    assert_string_equal(mq_st_at(file, 2)->name, "none");
    assert_string_equal(mq_st_at(file, 3)->name, "one");
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal((uintptr_t)mq_st_at(file, i)->tensor.data % 8, 0);
        assert_ptr_equal(mq_st_find(file, mq_st_at(file, i)->name), mq_st_at(file, i));
    }
    const int32_t *b = mq_st_find(file, "b")->tensor.data;
    assert_int_equal(b[0], 0x06050403);
    assert_int_equal(b[1], 0x0a090807);
    assert_int_equal(mq_st_find(file, "one")->tensor.shape.rank, 0);
    assert_int_equal(*(int8_t *)mq_st_find(file, "one")->tensor.data, 11);
    assert_null(mq_st_find(file, "c"));
    assert_null(mq_st_find(file, "__metadata__"));
    assert_string_equal(mq_st_meta(file, "model"), "tiny");
    assert_null(mq_st_meta(file, "absent"));
    assert_string_equal(mq_st_path(file), "f.safetensors");

    const mq_st_entry *entry;
    mq_shape right = mq_shape2(1, 3), wrong = mq_shape2(3, 1);
    assert_int_equal(mq_st_require(file, "a", MQ_U8, &right, &entry, &error), MQ_OK);
    assert_string_equal(entry->name, "a");
    assert_int_equal(mq_st_require(file, "a", MQ_U8, NULL, &entry, &error), MQ_OK);
    assert_int_equal(mq_st_require(file, "a", MQ_U8, &wrong, &entry, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f.safetensors: a: got uint8 [1, 3], expected uint8 [3, 1]");
    assert_int_equal(mq_st_require(file, "a", MQ_F32, NULL, &entry, &error), MQ_BAD_INPUT);
    assert_null(entry);
    assert_int_equal(mq_st_require(file, "c", MQ_F32, NULL, &entry, &error), MQ_BAD_INPUT);
    assert_string_equal(error.text, "f.safetensors: c: got nothing, expected float32 of any shape");
    mq_st_free(file);
    mq_st_free(NULL);
}

static void refuses_hostile_headers(void **state) {
    (void)state;
#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } CASES[] = {
        {"", 0, "does not start with {"},
        {" {}", 0, "does not start with {"},
        {"[]", 0, "does not start with {"},
        {"{} x", 0, "not valid JSON"},
        {"{\"a\":" T("U8", "[1]", "[0,1]") "", 1, "not valid JSON"},
        {"{\"a\":" T("U8", "[1]", "[0,1]") ",\"a\":" T("U8", "[1]", "[1,2]") "}", 2, "duplicate"},
        {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[1,3]") "}", 3, "overlaps"},
        {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[0,2]") "}", 2, "overlaps"},
        {"{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[3,5]") "}", 5, "gap"},
        {"{\"a\":" T("U8", "[2]", "[1,3]") "}", 3, "gap"},
        {"{\"a\":" T("U8", "[2]", "[0,2]") "}", 3, "end before the file"},
        {"{}", 1, "end before the file"},
        {"{\"a\":" T("U8", "[2]", "[0,2]") "}", 1, "data_offsets"},
        {"{\"a\":" T("U8", "[2]", "[2,0]") "}", 2, "data_offsets"},
        {"{\"a\":" T("U8", "[2]", "[-2,0]") "}", 2, "data_offsets"},
        {"{\"a\":" T("U8", "[2]", "[0,9223372036854775807]") "}", 2, "data_offsets"},
        {"{\"a\":" T("U8", "[2]", "[0,18446744073709551615]") "}", 2, "not valid JSON"},
        {"{\"a\":" T("U8", "[2]", "[0,2.0]") "}", 2, "data_offsets"},
        {"{\"a\":" T("U8", "[2]", "[0]") "}", 2, "data_offsets"},
        {"{\"a\":" T("U8", "[2]", "[0,2,2]") "}", 2, "data_offsets"},
        {"{\"a\":" T("U8", "[2]", "{}") "}", 2, "data_offsets"},
        {"{\"a\":" T("U8", "[3]", "[0,2]") "}", 2, "expected the size of U8 [3]"},
        {"{\"a\":" T("F32", "[2]", "[0,2]") "}", 2, "expected the size of F32 [2]"},
        {"{\"a\":" T("U8", "[-1,-2]", "[0,2]") "}", 2, "shape[0]"},
        {"{\"a\":" T("U8", "[2.0]", "[0,2]") "}", 2, "shape[0]"},
        {"{\"a\":" T("U8", "[\"2\"]", "[0,2]") "}", 2, "shape[0]"},
        {"{\"a\":" T("U8", "2", "[0,2]") "}", 2, "shape"},
        {"{\"a\":" T("U8", "[1,1,1,1,1,1,2]", "[0,2]") "}", 2, "dimensions"},
        /* Products that wrap to the right size. */
        {"{\"a\":" T("U8", "[4294967296,4294967296]", "[0,0]") "}", 0, "expected the size"},
        {"{\"a\":" T("F64", "[2305843009213693952]", "[0,0]") "}", 0, "expected the size"},
        {"{\"a\":" T("F16", "[1]", "[0,2]") "}", 2, "got F16"},
        {"{\"a\":" T("U64", "[1]", "[0,8]") "}", 8, "got U64"},
        {"{\"a\":" T("u8", "[2]", "[0,2]") "}", 2, "got u8"},
        {"{\"a\":" T("BOOL", "[3]", "[0,3]") "}", 3, "BOOL"}, /* bytes 0, 1, 2 */
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0]}}", 0, "data_offsets: got nothing"},
        {"{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0]}}", 0, "shape: got nothing"},
        {"{\"a\":{\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "dtype: got nothing"},
        {"{\"a\":{\"dtype\":8,\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "dtype: got 8"},
        {"{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0],\"x\":1}}", 0, "unknown key"},
        {"{\"a\":[]}", 0, "expected an object"},
        {"{\"__metadata__\":[]}", 0, "__metadata__"},
        {"{\"__metadata__\":{\"k\":1}}", 0, "__metadata__: k"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate"},
        {"{\"a\\n\\u001b\":[]}", 0, "f: a??: got"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        uint8_t bytes[FILE_ROOM];
        size_t size = make_file(bytes, CASES[i].header, CASES[i].data);
        mq_st_file *file;
        mq_error error = {0};
        if (mq_st_parse("f", bytes, size, &file, &error) != MQ_BAD_INPUT) fail_msg("case %zu was read", i);
        assert_null(file);
        if (!strstr(error.text, CASES[i].message)) fail_msg("case %zu: %s", i, error.text);
    }
}

static void refuses_bad_lengths(void **state) {
    (void)state;
    uint8_t bytes[FILE_ROOM];
    size_t size = make_file(bytes, "{}", 0);
    static const uint64_t LENGTHS[] = {3, 17u << 20, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof *LENGTHS; i++) {
        mq_st_file *file;
        mq_error error = {0};
        memcpy(bytes, &LENGTHS[i], 8);
        assert_int_equal(mq_st_parse("f", bytes, size, &file, &error), MQ_BAD_INPUT);
        assert_non_null(strstr(error.text, "header of"));
    }
    /* Over 16 MiB is refused even where the file is that long. */
    uint8_t *large;
    mq_st_file *file;
    uint64_t length = (16u << 20) + 1;
    assert_int_equal(mq_alloc(length + 8, 1, "test", &large, NULL), MQ_OK);
    memset(large, ' ', length + 8);
    memcpy(large, &length, 8);
    memcpy(large + 8, "{}", 2);
    mq_error error = {0};
    assert_int_equal(mq_st_parse("f", large, length + 8, &file, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "header of"));
    length--;
    memcpy(large, &length, 8);
    assert_int_equal(mq_st_parse("f", large, length + 8, &file, NULL), MQ_OK);
    assert_int_equal(mq_st_count(file), 0);
    mq_st_free(file);
    mq_free(large);
}

/* Every cut is refused; every damaged byte of the header is refused or gives a file that can be walked. */
static void survives_damage(void **state) {
    (void)state;
    uint8_t bytes[FILE_ROOM], damaged[FILE_ROOM];
    size_t size = make_file(bytes,
                            "{\"__metadata__\":{\"k\":\"v\"},\"a\":" T("I16", "[2,2]", "[0,8]") ",\"b\":" T(
                                "F32", "[1]", "[8,12]") "}",
                            12);
    mq_st_file *file;
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(mq_st_parse("f", bytes, cut, &file, NULL), MQ_BAD_INPUT);
    int accepted = 0;
    for (size_t at = 0; at < size - 12; at++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(damaged, bytes, size);
            damaged[at] ^= (uint8_t)(1 << bit);
            mq_status status = mq_st_parse("f", damaged, size, &file, NULL);
            assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
            if (status != MQ_OK) continue;
            accepted++; /* another name or metadata, or a type of the same size */
            size_t total = 0;
            for (size_t i = 0; i < mq_st_count(file); i++) {
                const mq_tensor *tensor = &mq_st_at(file, i)->tensor;
                for (size_t j = 0; j < mq_tensor_bytes(tensor); j++)
                    assert_int_equal(((const uint8_t *)tensor->data)[j], total++);
            }
            assert_int_equal(total, 12);
            mq_st_free(file);
        }
    }
    assert_true(accepted > 0);
#undef T
}

static void writes_these_bytes(void **state) {
    static const char HEADER[] = "{\"__metadata__\":{\"k\":\"v\"},"
                                 "\"z\":{\"dtype\":\"I16\",\"shape\":[1,2],\"data_offsets\":[0,4]},"
                                 "\"a\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[4,6]}}";
    int16_t z[] = {0x0102, -1};
    uint16_t a = 0x3f80;
    mq_tensor first = {.dtype = MQ_I16, .shape = mq_shape2(1, 2), .data = z},
              second = {.dtype = MQ_BF16, .data = &a};
    const char *path = temp_dir_path(state, "f.safetensors");
    mq_st_writer *writer;
    mq_error error = {0};
    assert_int_equal(mq_st_writer_create(&writer, &error), MQ_OK);
    assert_int_equal(mq_st_add(writer, "z", &first, &error), MQ_OK);
    assert_int_equal(mq_st_add(writer, "a", &second, &error), MQ_OK);
    assert_int_equal(mq_st_add_meta(writer, "k", "v", &error), MQ_OK);
    /* Mistakes of the caller leave the writer as it was. */
    assert_int_equal(mq_st_add(writer, "a", &second, &error), MQ_INTERNAL);
    assert_int_equal(mq_st_add(writer, "__metadata__", &second, &error), MQ_INTERNAL);
    assert_int_equal(mq_st_add(writer, "\xff", &second, &error), MQ_INTERNAL);
    assert_int_equal(mq_st_add_meta(writer, "k", "w", &error), MQ_INTERNAL);
    assert_int_equal(mq_st_add_meta(writer, "bad", "\xff", &error), MQ_INTERNAL);
    mq_tensor huge = {.dtype = MQ_F64, .shape = mq_shape2(INT64_MAX, INT64_MAX)};
    assert_int_equal(mq_st_add(writer, "huge", &huge, &error), MQ_INTERNAL);
    assert_int_equal(mq_st_write(writer, path, &error), MQ_OK);
    mq_st_writer_free(writer);
    mq_st_writer_free(NULL);

    uint8_t *bytes;
    size_t size;
    uint64_t length;
    assert_int_equal(mq_file_read(path, 10000, &bytes, &size, NULL), MQ_OK);
    memcpy(&length, bytes, 8);
    assert_int_equal(length % 8, 0);
    assert_int_equal(length, (sizeof HEADER - 1 + 7) / 8 * 8);
    assert_memory_equal(bytes + 8, HEADER, sizeof HEADER - 1);
    for (size_t i = sizeof HEADER - 1; i < length; i++) assert_int_equal(bytes[8 + i], ' ');
    assert_int_equal(size, 8 + length + 6);
    assert_memory_equal(bytes + 8 + length, "\x02\x01\xff\xff\x80\x3f", 6);
    mq_free(bytes);
}

static void check_same(const mq_st_file *a, const mq_st_file *b) {
    assert_int_equal(mq_st_count(a), mq_st_count(b));
    for (size_t i = 0; i < mq_st_count(a); i++) {
        const mq_st_entry *left = mq_st_at(a, i), *right = mq_st_at(b, i);
        assert_string_equal(left->name, right->name);
        assert_int_equal(left->tensor.dtype, right->tensor.dtype);
        assert_true(mq_shape_equal(&left->tensor.shape, &right->tensor.shape));
        assert_memory_equal(left->tensor.data, right->tensor.data, mq_tensor_bytes(&left->tensor));
    }
}

/* Reads `path`, writes what was read to `copy`, reads that and compares. */
static void round_trip(const char *path, const char *copy) {
    mq_st_file *file, *again;
    mq_st_writer *writer;
    mq_error error = {0};
    if (mq_st_load(path, &file, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(mq_st_writer_create(&writer, &error), MQ_OK);
    for (size_t i = 0; i < mq_st_count(file); i++)
        assert_int_equal(mq_st_add(writer, mq_st_at(file, i)->name, &mq_st_at(file, i)->tensor, &error),
                         MQ_OK);
    assert_int_equal(mq_st_write(writer, copy, &error), MQ_OK);
    mq_st_writer_free(writer);
    if (mq_st_load(copy, &again, &error) != MQ_OK) fail_msg("%s", error.text);
    check_same(file, again);
    mq_st_free(file);
    mq_st_free(again);
}

static void random_round_trips(void **state) {
    char path[512], copy[512];
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "a"));
    snprintf(copy, sizeof copy, "%s", temp_dir_path(state, "b"));
    for (uint64_t trial = 0; trial < 20; trial++) {
        mq_rng rng = mq_rng_stream(trial, "safetensors", 0);
        uint64_t drawn = 0;
        enum { TENSORS = 30 };
        mq_tensor tensor[TENSORS];
        mq_st_writer *writer;
        assert_int_equal(mq_st_writer_create(&writer, NULL), MQ_OK);
        for (int t = 0; t < TENSORS; t++) {
            mq_shape shape = {.rank = (int)mq_rng_below(&rng, drawn++, MQ_DIMS + 1)};
            for (int d = 0; d < shape.rank; d++) shape.dim[d] = mq_rng_below(&rng, drawn++, 5);
            mq_dtype dtype = (mq_dtype)mq_rng_below(&rng, drawn++, MQ_DTYPES);
            assert_int_equal(mq_tensor_create(dtype, shape, &tensor[t], NULL), MQ_OK);
            uint8_t *bytes = tensor[t].data; /* any pattern, NaN among them */
            for (size_t i = 0; i < mq_tensor_bytes(&tensor[t]); i++)
                bytes[i] = (uint8_t)mq_rng_u32(&rng, drawn++);
            char name[40];
            snprintf(name, sizeof name, "layers.%d.\"\xc3\xa9\\\n", t);
            assert_int_equal(mq_st_add(writer, name, &tensor[t], NULL), MQ_OK);
        }
        assert_int_equal(mq_st_write(writer, path, NULL), MQ_OK);
        mq_st_writer_free(writer);
        mq_st_file *file;
        assert_int_equal(mq_st_load(path, &file, NULL), MQ_OK);
        for (int t = 0; t < TENSORS; t++) {
            char name[40];
            snprintf(name, sizeof name, "layers.%d.\"\xc3\xa9\\\n", t);
            const mq_st_entry *entry;
            assert_int_equal(mq_st_require(file, name, tensor[t].dtype, &tensor[t].shape, &entry, NULL),
                             MQ_OK);
            assert_memory_equal(entry->tensor.data, tensor[t].data, mq_tensor_bytes(&tensor[t]));
            mq_tensor_free(&tensor[t]);
        }
        mq_st_free(file);
        round_trip(path, copy);
    }
}

static void full_disk_keeps_the_old_file(void **state) {
    static float values[50000];
    const char *path = temp_dir_path(state, "f.safetensors");
    mq_tensor tensor = {.dtype = MQ_F32, .shape = mq_shape1(50000), .data = values};
    mq_st_writer *writer;
    mq_error error = {0};
    assert_int_equal(mq_st_writer_create(&writer, NULL), MQ_OK);
    assert_int_equal(mq_st_write(writer, path, NULL), MQ_OK); /* without a tensor */
    assert_int_equal(mq_st_add(writer, "w", &tensor, NULL), MQ_OK);
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 100000, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    mq_status status = mq_st_write(writer, path, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_int_equal(status, MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, path));
    assert_int_equal(temp_dir_count(state), 1);
    mq_st_file *file;
    assert_int_equal(mq_st_load(path, &file, NULL), MQ_OK);
    assert_int_equal(mq_st_count(file), 0);
    mq_st_free(file);
    assert_int_equal(mq_st_write(writer, path, NULL), MQ_OK); /* the writer can be used again */
    mq_st_writer_free(writer);
    assert_int_equal(mq_st_load(temp_dir_path(state, "absent"), &file, &error), MQ_BAD_INPUT);
}

static char golden_copy[512];
static int golden_files;

static int check_golden(const char *path, const struct stat *info, int kind, struct FTW *place) {
    (void)info;
    (void)place;
    if (kind != FTW_F || !mq_ends_with(path, ".safetensors")) return 0;
    golden_files++;
    round_trip(path, golden_copy);
    return 0;
}

static void golden_files_are_read(void **state) {
    const char *folder = getenv("MIXQ_GOLDEN");
    if (!folder) folder = MIXQ_SOURCE_DIR "/../shared/golden";
    if (!mq_path_is_dir(folder)) {
        print_message("no golden files at %s\n", folder);
        skip();
    }
    snprintf(golden_copy, sizeof golden_copy, "%s", temp_dir_path(state, "copy"));
    golden_files = 0;
    assert_int_equal(nftw(folder, check_golden, 16, FTW_PHYS), 0);
    assert_true(golden_files > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_small_file),
        cmocka_unit_test(refuses_hostile_headers),
        cmocka_unit_test(refuses_bad_lengths),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test_setup_teardown(writes_these_bytes, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(random_round_trips, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(full_disk_keeps_the_old_file, temp_dir_make, temp_dir_remove),
        cmocka_unit_test_setup_teardown(golden_files_are_read, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
