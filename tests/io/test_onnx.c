/* ONNX files: what is written comes back, and hostile files are refused with a message. */
#include "io/onnx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/temp_dir.h"

/* A small model with a tensor of each kind and an attribute of each. */
static void write_model(const char *path) {
    mq_onnx_writer *w;
    mq_error error = {0};
    const mq_shape shape = mq_shape2(2, 3), scalar = {0}, image = mq_shape4(1, 1, 2, 3);
    const float real[] = {1, -2.5f, 3e-30f, 0, 4, 1e30f}, one = 7;
    const int64_t whole[] = {1, -2, INT64_MIN, INT64_MAX, 0, 9};
    assert_int_equal(mq_onnx_writer_create("small", &w, &error), MQ_OK);
    mq_onnx_opset(w, "", 13);
    mq_onnx_opset(w, "other", 1);
    mq_onnx_add_meta(w, "key", "a value");
    mq_onnx_add_input(w, "x", &image);
    mq_onnx_add_output(w, "y", &image);
    mq_onnx_add_value(w, "between", &image);
    mq_onnx_add_real(w, "real", &shape, real);
    mq_onnx_add_real(w, "one", &scalar, &one);
    mq_onnx_add_whole(w, "whole", &shape, whole);
    mq_onnx_new_node *n =
        mq_onnx_add_node(w, "other", "Quant", "first", (const char *const[]){"x", "one", NULL}, "between");
    mq_onnx_set_int(n, "signed", 1);
    mq_onnx_set_float(n, "epsilon", 0.25f);
    mq_onnx_set_text(n, "mode", "ROUND");
    mq_onnx_set_ints(n, "axes", (const int64_t[]){3, -1, 2}, 3);
    mq_onnx_add_node(w, "", "Identity", "second", (const char *const[]){"between", NULL}, "y");
    assert_int_equal(mq_onnx_save(w, path, &error), MQ_OK);
    mq_onnx_writer_free(w);
}

static void what_is_written_comes_back(void **state) {
    mq_error error = {0};
    const mq_onnx_model *m;
    const char *path = temp_dir_path(state, "small.onnx");
    write_model(path);
    if (mq_onnx_load(path, &m, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_int_equal(m->node_count, 2);
    assert_int_equal(m->tensor_count, 3);
    assert_int_equal(m->opset, 13);
    assert_string_equal(m->producer, "mixq");
    assert_string_equal(mq_onnx_meta(m, "key"), "a value");
    assert_null(mq_onnx_meta(m, "none"));
    assert_int_equal(m->input_count, 1);
    assert_int_equal(m->input[0].rank, 4);
    assert_int_equal(m->input[0].dim[3], 3);
    const mq_onnx_tensor *t = mq_onnx_find_tensor(m, "real");
    assert_int_equal(t->count, 6);
    assert_true(t->real[1] == -2.5f && t->real[5] == 1e30f && !t->whole);
    t = mq_onnx_find_tensor(m, "whole");
    assert_true(t->whole[2] == INT64_MIN && t->whole[3] == INT64_MAX && !t->real);
    assert_int_equal(mq_onnx_find_tensor(m, "one")->shape.rank, 0);
    const mq_onnx_node *n = &m->node[0];
    assert_string_equal(n->domain, "other");
    assert_string_equal(n->input[1], "one");
    assert_int_equal(mq_onnx_find_attr(n, "signed")->i, 1);
    assert_true(mq_onnx_find_attr(n, "epsilon")->f == 0.25f);
    assert_string_equal(mq_onnx_find_attr(n, "mode")->s, "ROUND");
    assert_int_equal(mq_onnx_find_attr(n, "axes")->count, 3);
    assert_int_equal(mq_onnx_find_attr(n, "axes")->ints[1], -1);
    mq_onnx_free(m);
}

static void same_calls_same_bytes(void **state) {
    char digest[2][MQ_DIGEST_TEXT];
    for (int i = 0; i < 2; i++) {
        uint8_t *bytes;
        size_t size;
        const char *path = temp_dir_path(state, i ? "b.onnx" : "a.onnx");
        write_model(path);
        assert_int_equal(mq_file_read(path, 1 << 20, &bytes, &size, NULL), MQ_OK);
        mq_sha256(bytes, size, digest[i]);
        mq_free(bytes);
    }
    assert_string_equal(digest[0], digest[1]);
}

/* ---- hand-made messages ---- */

typedef struct message {
    uint8_t at[4096];
    size_t size;
} message;

static void put(message *b, int field, const void *data, size_t size) {
    assert_true(size < 16384 && b->size + size + 8 < sizeof b->at);
    b->at[b->size++] = (uint8_t)(field << 3 | 2);
    if (size >= 128) b->at[b->size++] = (uint8_t)(size | 128);
    b->at[b->size++] = (uint8_t)(size >= 128 ? size >> 7 : size);
    memcpy(b->at + b->size, data, size);
    b->size += size;
}

static void put_number(message *b, int field, uint64_t v) {
    b->at[b->size++] = (uint8_t)(field << 3);
    do {
        b->at[b->size++] = (uint8_t)(v & 127) | (v > 127 ? 128 : 0);
    } while (v >>= 7);
}

/* A model of one Identity node and this tensor. */
static mq_status parse_with(const message *tensor, mq_error *error) {
    message node = {.size = 0}, graph = {.size = 0}, model = {.size = 0};
    const mq_onnx_model *m;
    put(&node, 1, "x", 1);
    put(&node, 2, "y", 1);
    put(&node, 4, "Identity", 8);
    put(&graph, 1, node.at, node.size);
    if (tensor) put(&graph, 5, tensor->at, tensor->size);
    put(&model, 7, graph.at, graph.size);
    mq_status status = mq_onnx_parse("made", model.at, model.size, &m, error);
    if (status == MQ_OK) mq_onnx_free(m);
    return status;
}

static void refused_tensor(const message *tensor, const char *expected) {
    mq_error error = {0};
    assert_int_equal(parse_with(tensor, &error), MQ_BAD_INPUT);
    if (!strstr(error.text, expected)) fail_msg("got \"%s\", expected \"%s\"", error.text, expected);
}

static void hostile_tensors(void **state) {
    (void)state;
    const uint8_t four[4] = {0, 0, 128, 63};
    mq_error error = {0};
    assert_int_equal(parse_with(NULL, &error), MQ_OK);
    message t = {.size = 0};
    put_number(&t, 1, 1);
    put_number(&t, 2, 1);
    put(&t, 8, "w", 1);
    message good = t;
    put(&good, 9, four, 4);
    assert_int_equal(parse_with(&good, &error), MQ_OK);
    message b = t;
    put(&b, 9, four, 3);
    refused_tensor(&b, "tensor w: got 3 bytes of data, expected 4");
    refused_tensor(&t, "tensor w: got 0 bytes of data, expected 4");
    b = t; /* a path outside */
    put(&b, 13, "\n\010location\022\017../../../secret", 27);
    put_number(&b, 14, 1);
    refused_tensor(&b, "tensor w: its data is in another file");
    b = t;
    put_number(&b, 1, (uint64_t)1 << 62);
    put_number(&b, 1, (uint64_t)1 << 62);
    put(&b, 9, four, 4);
    refused_tensor(&b, "a shape that is no shape");
    b = t;
    for (int i = 0; i < 6; i++) put_number(&b, 1, 1);
    put(&b, 9, four, 4);
    refused_tensor(&b, "more than 6 dimensions");
    b = (message){.size = 0};
    put_number(&b, 1, (uint64_t)-1);
    put_number(&b, 2, 1);
    refused_tensor(&b, "a shape that is no shape");
    b = (message){.size = 0};
    put_number(&b, 1, 1);
    put_number(&b, 2, 10);
    put(&b, 9, four, 2);
    refused_tensor(&b, "data type 10");
    b = (message){.size = 0};
    put_number(&b, 1, 1);
    put_number(&b, 2, 11);
    put(&b, 9, "\232\231\231\231\231\231\271\077", 8); /* 0.1 */
    refused_tensor(&b, "a float64 number that float32 does not hold");
    b = (message){.size = 0};
    put_number(&b, 1, 1);
    put_number(&b, 2, 9);
    put(&b, 9, "\002", 1);
    refused_tensor(&b, "a bool that is neither 0 nor 1");
    b = (message){.size = 0};
    put(&b, 8, "a\033[2Jb", 6);
    refused_tensor(&b, "control characters");
}

static void no_model(void **state) {
    (void)state;
    mq_error error = {0};
    const mq_onnx_model *m;
    assert_int_equal(mq_onnx_parse("f", "", 0, &m, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "it has no graph"));
    assert_int_equal(mq_onnx_parse("f", "\377\377\377\377", 4, &m, &error), MQ_BAD_INPUT);
    assert_non_null(strstr(error.text, "no protobuf message"));
    assert_int_equal(mq_onnx_load("/nowhere/at/all.onnx", &m, &error), MQ_BAD_INPUT);
}

/* Graphs inside attributes inside graphs ...: seen as bytes, never entered. */
static void nesting(void **state) {
    (void)state;
    enum { DEEP = 20000 };
    uint8_t *b;
    size_t size = 0, room = (size_t)DEEP * 8;
    mq_error error = {0};
    const mq_onnx_model *m;
    assert_int_equal(mq_alloc(room, 1, "bytes", &b, NULL), MQ_OK);
    for (int i = 0; i < DEEP && size < room / 2;
         i++) { /* each level is a field 7, 6, 5, ... around what follows */
        size_t head = 0;
        uint8_t prefix[8];
        prefix[head++] = i % 3 == 0 ? 6 << 3 | 2 : i % 3 == 1 ? 5 << 3 | 2 : 1 << 3 | 2;
        for (size_t v = size; head < 6;) {
            prefix[head++] = (uint8_t)((v & 127) | (v > 127 ? 128 : 0));
            if (!(v >>= 7)) break;
        }
        memmove(b + head, b, size);
        memcpy(b, prefix, head);
        size += head;
        if (size > 60000) break;
    }
    mq_status status = mq_onnx_parse("deep", b, size, &m, &error);
    assert_true(status == MQ_OK || status == MQ_BAD_INPUT);
    if (status == MQ_OK) mq_onnx_free(m);
    mq_free(b);
}

/* Every cut and thousands of changed bytes: accepted or refused with a message, never worse. */
static void mutations(void **state) {
    uint8_t *bytes, *copy;
    size_t size;
    mq_error error;
    const char *path = temp_dir_path(state, "mutate.onnx");
    write_model(path);
    assert_int_equal(mq_file_read(path, 1 << 20, &bytes, &size, NULL), MQ_OK);
    assert_int_equal(mq_alloc(size, 1, "bytes", &copy, NULL), MQ_OK);
    mq_rng rng = mq_rng_stream(5, "onnx", 0);
    int accepted = 0, refused = 0;
    for (uint64_t round = 0, n = 0; round < 20000 + size; round++) {
        const mq_onnx_model *m = NULL;
        size_t length = round < size ? round : size;
        memcpy(copy, bytes, size);
        for (uint32_t k = 0; round >= size && k <= round % 4; k++) {
            size_t at = mq_rng_below(&rng, n++, (uint32_t)size);
            copy[at] = (uint8_t)mq_rng_below(&rng, n++, 256);
        }
        error = (mq_error){0};
        mq_status status = mq_onnx_parse("mutated", copy, length, &m, &error);
        if (status == MQ_OK) {
            accepted++;
            mq_onnx_free(m);
            continue;
        }
        assert_int_equal(status, MQ_BAD_INPUT);
        assert_true(strlen(error.text) > 10);
        for (const char *c = error.text; *c; c++) assert_true((unsigned char)*c >= ' ');
        refused++;
    }
    assert_true(accepted > 100 && refused > 1000);
    mq_free(copy);
    mq_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(same_calls_same_bytes),
        cmocka_unit_test(hostile_tensors),
        cmocka_unit_test(no_model),
        cmocka_unit_test(nesting),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, temp_dir_make, temp_dir_remove);
}
