/* test_pt.c - .pt files: what torch writes is read exactly; everything else ends in a clean error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "golden_files.h"
#include "io/make_pt.h"
#include "io/pt.h"

static const float STORE0[6] = {1, 2, 3, 4, 5, 6}, STORE1[1] = {7};
static const float *const STORES[] = {STORE0, STORE1};
static const size_t COUNTS[] = {6, 1};

/* A checkpoint of two tensors, bits and an epoch; transposed: the first tensor's strides are swapped. */
static bytes good_pickle(void) {
    bytes p = {0};
    put_proto(&p);
    put_text(&p, "}(");
    put_string(&p, "epoch");
    put_int(&p, 12);
    put_string(&p, "model");
    put_text(&p, "ccollections\nOrderedDict\n)R(");
    put_string(&p, "a.weight");
    put_tensor(&p, "FloatStorage", "0", 6, 0, (const int64_t[]){3, 2}, (const int64_t[]){1, 3}, 2);
    put_string(&p, "b");
    put_tensor(&p, "FloatStorage", "1", 1, 0, NULL, NULL, 0);
    put_text(&p, "u}");
    put_string(&p, "_metadata");
    put_text(&p, "}sb");
    put_string(&p, "optimizer");
    put_text(&p, "N");
    put_string(&p, "model_params");
    put_text(&p, "}(");
    put_string(&p, "bitw");
    put_text(&p, "](K\x08K\x02"
                 "e");
    put_string(&p, "bita");
    put_string(&p, "83");
    put_text(&p, "uu.");
    return p;
}

static mq_status parse(const bytes *file, mq_pt_file **out, mq_error *error) {
    *error = (mq_error){0};
    return mq_pt_parse("test.pt", file->data, file->size, out, error);
}

static void good_checkpoint(void **state) {
    (void)state;
    bytes p = good_pickle(), file = make_archive(&p, STORES, COUNTS, 2);
    mq_pt_file *pt;
    mq_error error;
    assert_int_equal(parse(&file, &pt, &error), MQ_OK);
    assert_int_equal(mq_pt_count(pt), 2);
    const mq_st_entry *a = mq_pt_at(pt, 0), *b = mq_pt_at(pt, 1);
    assert_string_equal(a->name, "a.weight");
    assert_int_equal(a->tensor.shape.rank, 2);
    const float transposed[] = {1, 4, 2, 5, 3, 6};
    assert_memory_equal(a->tensor.data, transposed, sizeof transposed);
    assert_int_equal(b->tensor.shape.rank, 0);
    assert_true(*(const float *)b->tensor.data == 7.0f);
    assert_int_equal(mq_pt_epoch(pt), 12);
    assert_string_equal(mq_pt_bits(pt, "bitw"), "8,2");
    assert_string_equal(mq_pt_bits(pt, "bita"), "83");
    mq_pt_free(pt);
    free(p.data);
    free(file.data);
}

static void bare_state_dict(void **state) {
    (void)state;
    bytes p = {0};
    put_proto(&p);
    put_text(&p, "ccollections\nOrderedDict\n)R");
    put_string(&p, "w");
    put_floats(&p, "0", (const int64_t[]){2, 3}, 2);
    put_text(&p, "s.");
    bytes file = make_archive(&p, STORES, COUNTS, 2);
    mq_pt_file *pt;
    mq_error error;
    assert_int_equal(parse(&file, &pt, &error), MQ_OK);
    assert_int_equal(mq_pt_count(pt), 1);
    assert_memory_equal(mq_pt_at(pt, 0)->tensor.data, STORE0, sizeof STORE0);
    assert_null(mq_pt_bits(pt, "bitw"));
    assert_int_equal(mq_pt_epoch(pt), 0);
    mq_pt_free(pt);
    free(p.data);
    free(file.data);
}

/* The archive of this pickle (freed here) is refused with a message that contains `part`. */
static void refuse(bytes p, const char *part) {
    bytes file = make_archive(&p, STORES, COUNTS, 2);
    mq_pt_file *pt = NULL;
    mq_error error;
    mq_status status = parse(&file, &pt, &error);
    if (status != MQ_BAD_INPUT || !strstr(error.text, part))
        fail_msg("status %d, '%s': '%s' expected", status, error.text, part);
    assert_null(pt);
    free(p.data);
    free(file.data);
}

/* {"w": <code>} */
static bytes around(const char *code, size_t size) {
    bytes p = {0};
    put_proto(&p);
    put_text(&p, "}");
    put_string(&p, "w");
    put_raw(&p, code, size);
    put_text(&p, "s.");
    return p;
}
#define AROUND(code) around(code, sizeof(code) - 1)

static void forbidden_code(void **state) {
    (void)state;
    refuse(AROUND("cos\nsystem\n(X\x02\0\0\0idtR"), "global 'os system' is not allowed");
    refuse(AROUND("cbuiltins\neval\n)R"), "global 'builtins eval'");
    refuse(AROUND("ctorch._utils\n_rebuild_tensor_v3\n)R"), "not allowed");
    refuse(AROUND("ctorch\nHalfStorage\n"), "not allowed");
    refuse(AROUND("\x93"), "opcode 0x93");                        /* STACK_GLOBAL */
    refuse(AROUND("(ios\nsystem\n"), "opcode 0x69");              /* INST */
    refuse(AROUND("(o"), "opcode 0x6f");                          /* OBJ */
    refuse(AROUND("\x82\x01"), "opcode 0x82");                    /* EXT1 */
    refuse(AROUND("ctorch\nFloatStorage\n)\x81"), "opcode 0x81"); /* NEWOBJ */
    refuse(AROUND("P0\n"), "opcode 0x50");                        /* PERSID */
    refuse(AROUND("ctorch\nFloatStorage\n)R"), "not to be called");
    refuse(AROUND("ccollections\nOrderedDict\n(]tR"), "none expected");
}

static void broken_machine(void **state) {
    (void)state;
    refuse(AROUND("h\x05"), "memo place 5 is empty");
    refuse(AROUND("j\xff\xff\xff\xff"), "is empty");
    refuse(AROUND("Nr\xff\xff\xff\x7f"), "memo place 2147483647");
    refuse(AROUND("t"), "no mark");
    refuse(AROUND("R"), "expected");
    refuse(AROUND("(Ru"), "nothing on the stack");
    refuse(AROUND("]N)e"), "no mark");
    refuse(AROUND("}(Nu"), "pairs expected");
    refuse(AROUND("}](Nus"), "pairs expected");
    refuse(AROUND("})Ns"), "as a key");
    refuse(AROUND("NNb"), "a dict expected");
    refuse(AROUND("X\xff\xff\xff\xff"), "cut off");
    refuse(AROUND("X\x02\0\0\0a\0"), "zero byte");
    refuse(AROUND("\x8a\x09"), "at most 8");
    refuse(AROUND("G\0\0"), "cut off");
    refuse(AROUND("cos"), "cut off inside a global's name");
    refuse(AROUND("N."), "values left on the stack");
    refuse(AROUND("K\x05"), "w is an integer: a tensor expected");
    refuse(AROUND("Q"), "a tuple expected");
    refuse(AROUND("K\x05\x85Q"), "persistent id");
    bytes p = {0};
    put_text(&p, "\x80\x04}.");
    refuse(p, "not a pickle of protocol 2");
    p = (bytes){0};
    put_proto(&p);
    put_text(&p, "}.}");
    refuse(p, "1 bytes after the end");
    p = (bytes){0};
    put_proto(&p);
    put_text(&p, "].");
    refuse(p, "a dict expected");
    p = (bytes){0};
    put_proto(&p);
    for (int i = 0; i < 70000; i++) put_text(&p, "(");
    refuse(p, "values on the stack");
    /* A dict that holds itself, as the model. */
    p = (bytes){0};
    put_proto(&p);
    put_text(&p, "}q\1");
    put_string(&p, "model");
    put_text(&p, "h\1s.");
    refuse(p, "model is a dict: a tensor expected");
}

static void tensor_refused(const char *class, const char *key, int64_t count, int64_t offset, int64_t d0,
                           int64_t d1, int64_t s0, int64_t s1, const char *part) {
    bytes p = {0};
    put_proto(&p);
    put_text(&p, "}");
    put_string(&p, "w");
    put_tensor(&p, class, key, count, offset, (const int64_t[]){d0, d1}, (const int64_t[]){s0, s1}, 2);
    put_text(&p, "s.");
    refuse(p, part);
}

static void tensor_bounds(void **state) {
    (void)state;
    const char *outside = "outside its storage", *f = "FloatStorage";
    tensor_refused(f, "0", 6, 1, 2, 3, 3, 1, outside);
    tensor_refused(f, "0", 6, 0, 2, 3, 4, 1, outside);
    tensor_refused(f, "0", 6, 0, 2, 4, 3, 1, outside);
    tensor_refused(f, "0", 6, 0, 7, 1, 0, 0, outside); /* a stride of 0 must not multiply the data */
    tensor_refused(f, "0", 6, 0, INT64_MAX, 2, 0, 0, outside);
    tensor_refused(f, "0", 6, 0, 2, 2, INT64_MAX, INT64_MAX, outside);
    tensor_refused(f, "0", 6, INT64_MAX, 2, 2, 1, 1, outside);
    tensor_refused(f, "0", 6, -1, 2, 2, 1, 1, "at offset -1");
    tensor_refused(f, "0", 6, 0, -2, 2, 1, 1, "integers from 0");
    tensor_refused(f, "0", 6, 0, 2, 2, -1, 1, "integers from 0");
    tensor_refused(f, "0", -6, 0, 2, 2, 1, 1, "storage of -6 elements");
    tensor_refused(f, "0", 7, 0, 2, 3, 3, 1, "7 elements of 4 expected");
    tensor_refused(f, "0", 5, 0, 1, 1, 1, 1, "5 elements of 4 expected");
    tensor_refused(f, "0", INT64_MAX, 0, 2, 3, 3, 1, "elements of 4 expected");
    tensor_refused("LongStorage", "0", 6, 0, 2, 3, 3, 1, "6 elements of 8 expected");
    tensor_refused(f, "2", 6, 0, 2, 3, 3, 1, "no member archive/data/2");
    tensor_refused(f, "../version", 6, 0, 2, 3, 3, 1, "a number expected");
    bytes p = {0};
    put_proto(&p);
    put_text(&p, "}");
    put_string(&p, "w");
    put_floats(&p, "0", (const int64_t[]){1, 1, 1, 1, 1, 1, 6}, 7);
    put_text(&p, "s.");
    refuse(p, "7 dimensions");
}

static void names_and_bits(void **state) {
    (void)state;
    bytes p = {0};
    put_proto(&p);
    put_text(&p, "}(");
    for (int i = 0; i < 2; i++) {
        put_string(&p, "w");
        put_floats(&p, "0", (const int64_t[]){6}, 1);
    }
    put_text(&p, "u.");
    refuse(p, "two tensors are named w");
    p = (bytes){0};
    put_proto(&p);
    put_text(&p, "}");
    put_string(&p, "bad\nname");
    put_floats(&p, "0", (const int64_t[]){6}, 1);
    put_text(&p, "s.");
    refuse(p, "tensor's name");
    p = (bytes){0};
    put_proto(&p);
    put_text(&p, "}(");
    for (int i = 0; i < 2000; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        put_string(&p, name);
        if (i == 0) {
            put_floats(&p, "0", (const int64_t[]){6}, 1);
            put_text(&p, "q\1");
        } else {
            put_text(&p, "h\1");
        }
    }
    put_text(&p, "u.");
    bytes file = make_archive(&p, STORES, COUNTS, 2);
    mq_pt_file *pt = NULL;
    mq_error error;
    assert_int_equal(parse(&file, &pt, &error), MQ_OK); /* shared, but small beside the file */
    mq_pt_free(pt);
    free(file.data);
    float *large;
    large = calloc(1 << 16, sizeof *large);
    bytes q = {0};
    put_proto(&q);
    put_text(&q, "}(");
    for (int i = 0; i < 8; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        put_string(&q, name);
        put_floats(&q, "0", (const int64_t[]){1 << 16}, 1);
    }
    put_text(&q, "u.");
    file = make_archive(&q, (const float *const[]){large}, (const size_t[]){1 << 16}, 1);
    assert_int_equal(parse(&file, &pt, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "share a storage"));
    free(large);
    free(p.data);
    free(q.data);
    free(file.data);
}

/* Writes a number over the first `what` in the file, n bytes after it. */
static void patch(bytes *file, uint32_t what, int after, uint64_t value, int n) {
    for (size_t i = 0; i + 4 <= file->size; i++) {
        uint32_t word;
        memcpy(&word, file->data + i, 4);
        if (word != what) continue;
        for (int k = 0; k < n; k++) file->data[i + (size_t)(after + k)] = (uint8_t)(value >> (8 * k));
        return;
    }
    fail();
}

static void zip_refused(uint32_t what, int after, uint64_t value, int n, const char *part) {
    bytes p = good_pickle(), file = make_archive(&p, STORES, COUNTS, 2);
    patch(&file, what, after, value, n);
    mq_pt_file *pt = NULL;
    mq_error error;
    mq_status status = parse(&file, &pt, &error);
    if (status != MQ_BAD_INPUT || !strstr(error.text, part))
        fail_msg("status %d, '%s': '%s' expected", status, error.text, part);
    free(p.data);
    free(file.data);
}

static void damaged_zip(void **state) {
    (void)state;
    const uint32_t central = 0x02014b50, end = 0x06054b50, end64 = 0x06064b50, locator = 0x07064b50;
    zip_refused(central, 10, 8, 2, "method 8");
    zip_refused(central, 8, 1, 2, "encrypted");
    zip_refused(central, 16, 0, 4, "CRC-32");
    zip_refused(central, 20, 1, 4, "stored member expected");
    zip_refused(central, 20, 0x0fffffff0fffffff, 8, "reach past");
    zip_refused(central, 20, 0xffffffffffffffff, 8, "zip64 field is missing");
    zip_refused(central, 42, 0xfffffff0, 4, "no local header");
    zip_refused(central, 42, 3, 4, "no local header");
    zip_refused(central, 28, 0xffff, 2, "cut off or damaged");
    zip_refused(central, 46, '/', 1, "another name");
    zip_refused(central, 46, 7, 1, "control character");
    zip_refused(end, 4, 1, 2, "several disks");
    zip_refused(end, 10, 9, 2, "counts");
    zip_refused(end, 16, 1, 4, "end records differ");
    zip_refused(end64, 32, UINT64_MAX, 8, "end records differ");
    zip_refused(end64, 0, 0, 4, "no zip64 end record");
    zip_refused(locator, 8, UINT64_MAX, 8, "no zip64 end record");
    zip_refused(0x04034b50, 0, 0, 4, "no local header");

    /* Two members of one name, and two that share bytes. */
    zip_writer z = {0};
    zip_add(&z, "a/data.pkl", "x", 1);
    zip_add(&z, "a/data.pkl", "x", 1);
    bytes file = zip_finish(&z, 0);
    mq_pt_file *pt = NULL;
    mq_error error;
    assert_int_equal(parse(&file, &pt, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "two members are named"));
    free(file.data);
    zip_add(&z, "a/d1", "xxxxxxxxxxxx", 12);
    zip_add(&z, "a/d2", "y", 1);
    patch(&z.directory, 0x02014b50, 20, 0x4000000040, 8);
    patch(&z.directory, 0x02014b50, 24, 64, 4);
    file = zip_finish(&z, 0);
    assert_int_equal(parse(&file, &pt, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "overlap"));
    free(file.data);

    /* Not ours at all. */
    zip_add(&z, "readme", "x", 1);
    file = zip_finish(&z, 0);
    assert_int_equal(parse(&file, &pt, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "not a PyTorch checkpoint"));
    free(file.data);
    zip_add(&z, "a/readme", "x", 1);
    file = zip_finish(&z, 0);
    assert_int_equal(parse(&file, &pt, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "no member a/data.pkl"));
    free(file.data);
    file = zip_finish(&z, 0);
    assert_int_equal(parse(&file, &pt, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "no members"));
    free(file.data);
}

/* Truncated anywhere, or one byte changed anywhere: an error, or the same tensors. */
static void every_cut_and_flip(void **state) {
    (void)state;
    bytes p = good_pickle(), file = make_archive(&p, STORES, COUNTS, 2);
    for (size_t size = 0; size < file.size; size++) {
        uint8_t *copy = malloc(size + 1); /* so that a sanitizer sees a read past the end */
        memcpy(copy, file.data, size);
        mq_pt_file *pt = NULL;
        mq_error error = {0};
        assert_int_equal(mq_pt_parse("cut.pt", copy, size, &pt, &error), MQ_BAD_INPUT);
        assert_true(error.text[0] != 0);
        free(copy);
    }
    for (size_t i = 0; i < file.size * 3; i++) {
        static const uint8_t masks[] = {0x01, 0x80, 0xff};
        file.data[i / 3] ^= masks[i % 3];
        mq_pt_file *pt = NULL;
        mq_error error;
        mq_status status = parse(&file, &pt, &error);
        if (status == MQ_OK) {
            assert_int_equal(mq_pt_count(pt), 2);
            assert_true(((const float *)mq_pt_at(pt, 0)->tensor.data)[5] == 6.0f);
        } else {
            assert_int_equal(status, MQ_BAD_INPUT);
        }
        mq_pt_free(pt);
        file.data[i / 3] ^= masks[i % 3];
    }
    free(p.data);
    free(file.data);
}

/* Random programs of known opcodes: no crash, no leak. */
static void random_programs(void **state) {
    (void)state;
    static const char pieces[][12] = {"(",     ")",     "}",    "]",    "N",    "K\x03", "h\x01", "q\x01",
                                      "h\x02", "q\x02", "R",    "t",    "s",    "u",     "a",     "e",
                                      "b",     "Q",     "\x85", "\x86", "\x87", "\x88"};
    mq_rng rng = mq_rng_stream(1, "pickles", 0);
    uint64_t n = 0;
    for (int round = 0; round < 20000; round++) {
        bytes p = {0};
        put_proto(&p);
        put_text(&p, "}");
        put_string(&p, "model");
        int length = 1 + (int)mq_rng_below(&rng, n++, 30);
        for (int i = 0; i < length; i++) {
            uint32_t pick = mq_rng_below(&rng, n++, sizeof pieces / sizeof *pieces + 4);
            if (pick < sizeof pieces / sizeof *pieces)
                put_text(&p, pieces[pick]);
            else if (pick % 4 == 0)
                put_text(&p, "ccollections\nOrderedDict\n");
            else if (pick % 4 == 1)
                put_text(&p, "ctorch._utils\n_rebuild_tensor_v2\n");
            else if (pick % 4 == 2)
                put_floats(&p, "0", (const int64_t[]){6}, 1);
            else
                put_string(&p, "w");
        }
        put_text(&p, "s.");
        bytes file = make_archive(&p, STORES, COUNTS, 2);
        mq_pt_file *pt = NULL;
        mq_error error;
        mq_status status = parse(&file, &pt, &error);
        assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
        mq_pt_free(pt);
        free(p.data);
        free(file.data);
    }
}

static void compare_with_safetensors(const char *folder, void *context) {
    (void)context;
    char path[GOLDEN_PATH];
    mq_error error = {0};
    mq_pt_file *pt = NULL;
    mq_st_file *st = NULL;
    golden_path(path, folder, "checkpoint.pt");
    if (mq_pt_load(path, &pt, &error) != MQ_OK) fail_msg("%s", error.text);
    golden_path(path, folder, "checkpoint.safetensors");
    if (mq_st_load(path, &st, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(mq_pt_count(pt), mq_st_count(st));
    for (size_t i = 0; i < mq_pt_count(pt); i++) {
        const mq_st_entry *a = mq_pt_at(pt, i), *b = mq_st_find(st, a->name);
        assert_non_null(b);
        assert_int_equal(a->tensor.dtype, b->tensor.dtype);
        assert_true(mq_shape_equal(&a->tensor.shape, &b->tensor.shape));
        assert_memory_equal(a->tensor.data, b->tensor.data, mq_tensor_bytes(&a->tensor));
    }
    const char *bitw = mq_pt_bits(pt, "bitw"), *digits = mq_st_meta(st, "bitw");
    assert_non_null(bitw);
    for (size_t i = 0; digits[i]; i++) assert_int_equal(bitw[2 * i], digits[i]);
    assert_true(mq_pt_epoch(pt) > 0);
    mq_pt_free(pt);
    mq_st_free(st);
}

static void golden_files(void **state) {
    (void)state;
    if (golden_each("checkpoint.pt", compare_with_safetensors, NULL) == 0) {
        print_message("no golden checkpoint.pt below %s: skipped\n", golden_root());
        skip();
    }
}

static void first_folder(const char *folder, void *context) {
    if (!*(char *)context) golden_path(context, folder, "checkpoint.pt");
}

static void golden_cut(void **state) {
    (void)state;
    char path[GOLDEN_PATH] = "";
    if (golden_each("checkpoint.pt", first_folder, path) == 0) skip();
    uint8_t *data;
    size_t size;
    mq_error error = {0};
    assert_int_equal(mq_file_read(path, SIZE_MAX, &data, &size, &error), MQ_OK);
    mq_pt_file *pt = NULL;
    for (size_t n = 0; n < size; n += 64) {
        if (mq_pt_parse("cut.pt", data, n, &pt, &error) != MQ_BAD_INPUT) fail_msg("cut at byte %zu", n);
    }
    mq_rng rng = mq_rng_stream(2, "flips", 0);
    for (uint64_t n = 0; n < 200; n++) {
        size_t at = mq_rng_below(&rng, n, (uint32_t)size);
        data[at] ^= 0x10;
        mq_status status = mq_pt_parse("flip.pt", data, size, &pt, &error);
        assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
        mq_pt_free(pt);
        pt = NULL;
        data[at] ^= 0x10;
    }
    mq_free(data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_checkpoint), cmocka_unit_test(bare_state_dict),
        cmocka_unit_test(forbidden_code),  cmocka_unit_test(broken_machine),
        cmocka_unit_test(tensor_bounds),   cmocka_unit_test(names_and_bits),
        cmocka_unit_test(damaged_zip),     cmocka_unit_test(every_cut_and_flip),
        cmocka_unit_test(random_programs), cmocka_unit_test(golden_files),
        cmocka_unit_test(golden_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
