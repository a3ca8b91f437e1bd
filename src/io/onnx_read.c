/* onnx_read.c - protobuf bytes to checked structures that borrow from them. */
#include <math.h>
#include <string.h>

#include <onnx_subset.pb-c.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/one_line.h"
#include "io/onnx.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw data is used as it lies in the file");

enum { /* TensorProto.DataType */
       TYPE_FLOAT = 1,
       TYPE_UINT8 = 2,
       TYPE_INT8 = 3,
       TYPE_INT16 = 5,
       TYPE_INT32 = 6,
       TYPE_INT64 = 7,
       TYPE_BOOL = 9,
       TYPE_DOUBLE = 11
};

/* Memory that protobuf may take. */
typedef struct purse {
    size_t left;
    bool is_short; /* the machine's memory, not this */
} purse;

typedef struct file {
    mq_onnx_model model; /* first: what the caller holds */
    Onnx__ModelProto *proto;
    ProtobufCAllocator allocator;
    purse purse;
    mq_arena *arena;
    const char *name; /* while it is read */
    mq_error *error;
} file;

static void *take(void *data, size_t size) {
    purse *p = data;
    void *memory = NULL;
    if (size > p->left) return NULL;
    p->is_short = mq_alloc(1, size, "an ONNX file", &memory, NULL) != MQ_OK;
    if (p->is_short) return NULL;
    p->left -= size;
    return memory;
}

static void give(void *data, void *memory) {
    (void)data;
    mq_free(memory);
}

static mq_status fail(const file *f, const char *where, const char *what) {
    return mq_one_line(
        f->error, mq_fail(f->error, MQ_BAD_INPUT, "%s: %s%s%s", f->name, where, *where ? ": " : "", what));
}

static const char *text_of(const char *s) {
    return s ? s : "";
}

/* A name that messages and files may repeat. */
static mq_status check_name(const file *f, const char *s, const char *what) {
    size_t n = strnlen(s, MQ_ONNX_MAX_NAME + 1);
    if (n > MQ_ONNX_MAX_NAME) return fail(f, what, "a name of more than 1024 bytes");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 127) return fail(f, what, "a name with control characters");
    return MQ_OK;
}

/* Bytes as text, cut at the first 0. */
static mq_status copy_text(file *f, const ProtobufCBinaryData *from, const char **out) {
    char *text;
    MQ_TRY(mq_arena_alloc(f->arena, from->len + 1, 1, "an ONNX file", &text, f->error));
    if (from->len) memcpy(text, from->data, from->len);
    *out = text;
    return check_name(f, text, "attribute");
}

/* ---- tensors ---- */

static size_t element_size(int type) {
    switch (type) {
    case TYPE_UINT8:
    case TYPE_INT8:
    case TYPE_BOOL:
        return 1;
    case TYPE_INT16:
        return 2;
    case TYPE_FLOAT:
    case TYPE_INT32:
        return 4;
    case TYPE_INT64:
    case TYPE_DOUBLE:
        return 8;
    default:
        return 0;
    }
}

static int64_t whole_at(const uint8_t *raw, int type, size_t i) {
    int64_t v64;
    int32_t v32;
    int16_t v16;
    switch (type) {
    case TYPE_INT8:
        return (int8_t)raw[i];
    case TYPE_INT16:
        memcpy(&v16, raw + 2 * i, sizeof v16);
        return v16;
    case TYPE_INT32:
        memcpy(&v32, raw + 4 * i, sizeof v32);
        return v32;
    case TYPE_INT64:
        memcpy(&v64, raw + 8 * i, sizeof v64);
        return v64;
    default: /* uint8, bool */
        return raw[i];
    }
}

static mq_status read_real(file *f, const Onnx__TensorProto *t, const char *where, size_t count, float *to) {
    bool twice = t->data_type == TYPE_DOUBLE;
    for (size_t i = 0; i < count; i++) {
        double v;
        if (!twice) {
            if (t->has_raw_data)
                memcpy(&to[i], t->raw_data.data + 4 * i, sizeof *to);
            else
                to[i] = t->float_data[i];
            continue;
        }
        if (t->has_raw_data)
            memcpy(&v, t->raw_data.data + 8 * i, sizeof v);
        else
            v = t->double_data[i];
        to[i] = (float)v;
        if (!((double)to[i] == v)) return fail(f, where, "a float64 number that float32 does not hold");
    }
    return MQ_OK;
}

static mq_status read_whole(file *f, const Onnx__TensorProto *t, const char *where, size_t count,
                            int64_t *to) {
    for (size_t i = 0; i < count; i++) {
        int64_t v = t->has_raw_data              ? whole_at(t->raw_data.data, t->data_type, i)
                    : t->data_type == TYPE_INT64 ? t->int64_data[i]
                                                 : t->int32_data[i];
        if (t->data_type == TYPE_BOOL && (v < 0 || v > 1))
            return fail(f, where, "a bool that is neither 0 nor 1");
        to[i] = v;
    }
    return MQ_OK;
}

static mq_status read_tensor(file *f, const Onnx__TensorProto *t, mq_onnx_tensor *out) {
    out->name = text_of(t->name);
    MQ_TRY(check_name(f, out->name, "tensor"));
    char where[MQ_ONNX_MAX_NAME + 16] = "tensor ";
    strncat(where, out->name, MQ_ONNX_MAX_NAME);
    if (t->n_external_data || (t->has_data_location && t->data_location != 0))
        return fail(f, where, "its data is in another file: tensors inside the file expected");
    if (t->n_dims > MQ_DIMS) return fail(f, where, "more than 6 dimensions");
    out->shape.rank = (int)t->n_dims;
    for (size_t i = 0; i < t->n_dims; i++) out->shape.dim[i] = t->dims[i];
    size_t size = element_size(t->data_type), bytes, have;
    if (size == 0)
        return mq_one_line(
            f->error, mq_fail(f->error, MQ_BAD_INPUT,
                              "%s: %s: data type %d: float, double, bool, uint8, int8, int16, int32 or int64 "
                              "expected",
                              f->name, where, (int)t->data_type));
    if (!mq_shape_count(&out->shape, &out->count) || mq_mul_overflow(out->count, size, &bytes))
        return fail(f, where, "a shape that is no shape");
    if (t->has_raw_data) {
        have = t->raw_data.len;
    } else {
        bool real = t->data_type == TYPE_FLOAT, twice = t->data_type == TYPE_DOUBLE;
        size_t n = real                         ? t->n_float_data
                   : twice                      ? t->n_double_data
                   : t->data_type == TYPE_INT64 ? t->n_int64_data
                                                : t->n_int32_data;
        if (mq_mul_overflow(n, size, &have)) have = SIZE_MAX;
    }
    if (have != bytes) {
        char shape[MQ_SHAPE_TEXT];
        return mq_one_line(f->error, mq_fail(f->error, MQ_BAD_INPUT,
                                             "%s: %s: got %zu bytes of data, expected %zu, shape %s", f->name,
                                             where, have, bytes, mq_shape_text(&out->shape, shape)));
    }
    if (t->data_type == TYPE_FLOAT || t->data_type == TYPE_DOUBLE) {
        float *to;
        MQ_TRY(mq_arena_alloc(f->arena, out->count, sizeof *to, "an ONNX tensor", &to, f->error));
        out->real = to;
        return read_real(f, t, where, out->count, to);
    }
    int64_t *to;
    MQ_TRY(mq_arena_alloc(f->arena, out->count, sizeof *to, "an ONNX tensor", &to, f->error));
    out->whole = to;
    return read_whole(f, t, where, out->count, to);
}

/* ---- nodes and values ---- */

static mq_status read_attr(file *f, const Onnx__AttributeProto *a, mq_onnx_attr *out) {
    *out = (mq_onnx_attr){.name = text_of(a->name), .kind = a->type, .f = a->f, .i = a->i, .s = ""};
    MQ_TRY(check_name(f, out->name, "attribute"));
    if (!a->has_type) { /* files of the first versions do not say it */
        out->kind = a->has_f          ? MQ_ONNX_FLOAT
                    : a->has_i        ? MQ_ONNX_INT
                    : a->has_s        ? MQ_ONNX_STRING
                    : a->t            ? MQ_ONNX_TENSOR
                    : a->n_floats > 0 ? MQ_ONNX_FLOATS
                                      : MQ_ONNX_INTS;
    }
    if (a->has_s) MQ_TRY(copy_text(f, &a->s, &out->s));
    if (out->kind == MQ_ONNX_TENSOR) {
        if (!a->t) return fail(f, "attribute", "a tensor that is missing");
        return read_tensor(f, a->t, &out->t);
    }
    out->floats = a->floats;
    out->ints = a->ints;
    out->count = out->kind == MQ_ONNX_FLOATS ? a->n_floats : a->n_ints;
    return MQ_OK;
}

static mq_status read_names(file *f, char **from, size_t count, const char *const **out) {
    const char **names;
    MQ_TRY(mq_arena_alloc(f->arena, count, sizeof *names, "an ONNX file", &names, f->error));
    for (size_t i = 0; i < count; i++) {
        names[i] = text_of(from[i]);
        MQ_TRY(check_name(f, names[i], "node"));
    }
    *out = names;
    return MQ_OK;
}

static mq_status read_node(file *f, const Onnx__NodeProto *n, mq_onnx_node *out) {
    mq_onnx_attr *attr;
    out->op = text_of(n->op_type);
    out->name = text_of(n->name);
    out->domain = text_of(n->domain);
    MQ_TRY(check_name(f, out->op, "operator"));
    MQ_TRY(check_name(f, out->name, "node"));
    MQ_TRY(check_name(f, out->domain, "domain"));
    MQ_TRY(read_names(f, n->input, n->n_input, &out->input));
    MQ_TRY(read_names(f, n->output, n->n_output, &out->output));
    out->input_count = n->n_input;
    out->output_count = n->n_output;
    MQ_TRY(mq_arena_alloc(f->arena, n->n_attribute, sizeof *attr, "an ONNX file", &attr, f->error));
    for (size_t i = 0; i < n->n_attribute; i++) MQ_TRY(read_attr(f, n->attribute[i], &attr[i]));
    out->attr = attr;
    out->attr_count = n->n_attribute;
    return MQ_OK;
}

static mq_status read_value(file *f, const Onnx__ValueInfoProto *v, mq_onnx_value *out) {
    *out = (mq_onnx_value){.name = text_of(v->name), .rank = -1};
    MQ_TRY(check_name(f, out->name, "input or output"));
    const Onnx__TypeProto__Tensor *t = v->type ? v->type->tensor_type : NULL;
    if (!t) return MQ_OK;
    out->type = t->elem_type;
    if (!t->shape) return MQ_OK;
    if (t->shape->n_dim > MQ_DIMS) return fail(f, out->name, "more than 6 dimensions");
    out->rank = (int)t->shape->n_dim;
    for (int i = 0; i < out->rank; i++) {
        const Onnx__TensorShapeProto__Dimension *d = t->shape->dim[i];
        out->dim[i] = d->has_dim_value && d->dim_value > 0 ? d->dim_value : -1;
    }
    return MQ_OK;
}

static mq_status read_values(file *f, Onnx__ValueInfoProto **from, size_t count, const mq_onnx_value **out) {
    mq_onnx_value *values;
    MQ_TRY(mq_arena_alloc(f->arena, count, sizeof *values, "an ONNX file", &values, f->error));
    for (size_t i = 0; i < count; i++) MQ_TRY(read_value(f, from[i], &values[i]));
    *out = values;
    return MQ_OK;
}

static mq_status read_model(file *f) {
    const Onnx__ModelProto *m = f->proto;
    const Onnx__GraphProto *g = m->graph;
    mq_onnx_model *out = &f->model;
    if (!g || g->n_node == 0) return fail(f, "", "not an ONNX file: it has no graph with nodes");
    if (g->n_node > MQ_ONNX_MAX_NODES || g->n_initializer > MQ_ONNX_MAX_NODES)
        return fail(f, "", "a graph of more than 65536 nodes or tensors");
    if (g->n_sparse_initializer) return fail(f, "", "sparse tensors: dense ones expected");
    out->ir_version = m->ir_version;
    out->producer = text_of(m->producer_name);
    for (size_t i = 0; i < m->n_opset_import; i++)
        if (!*text_of(m->opset_import[i]->domain) || strcmp(m->opset_import[i]->domain, "ai.onnx") == 0)
            out->opset = m->opset_import[i]->version;
    mq_onnx_node *node;
    mq_onnx_tensor *tensor;
    MQ_TRY(mq_arena_alloc(f->arena, g->n_node, sizeof *node, "an ONNX file", &node, f->error));
    MQ_TRY(mq_arena_alloc(f->arena, g->n_initializer, sizeof *tensor, "an ONNX file", &tensor, f->error));
    for (size_t i = 0; i < g->n_node; i++) MQ_TRY(read_node(f, g->node[i], &node[i]));
    for (size_t i = 0; i < g->n_initializer; i++) MQ_TRY(read_tensor(f, g->initializer[i], &tensor[i]));
    MQ_TRY(read_values(f, g->input, g->n_input, &out->input));
    MQ_TRY(read_values(f, g->output, g->n_output, &out->output));
    out->node = node;
    out->node_count = g->n_node;
    out->tensor = tensor;
    out->tensor_count = g->n_initializer;
    out->input_count = g->n_input;
    out->output_count = g->n_output;
    return MQ_OK;
}

mq_status mq_onnx_parse(const char *name, const void *bytes, size_t size, const mq_onnx_model **out,
                        mq_error *error) {
    *out = NULL;
    if (size > MQ_ONNX_MAX_FILE)
        return mq_fail(error, MQ_BAD_INPUT, "%s: %zu bytes: at most %zu expected", name, size,
                       MQ_ONNX_MAX_FILE);
    file *f;
    MQ_TRY(mq_alloc(1, sizeof *f, "an ONNX file", &f, error));
    f->name = name;
    f->error = error;
    f->purse.left = ((size_t)1 << 24) + 8 * size;
    f->allocator = (ProtobufCAllocator){.alloc = take, .free = give, .allocator_data = &f->purse};
    mq_status status = mq_arena_create(&f->arena, error);
    if (status == MQ_OK) {
        f->proto = onnx__model_proto__unpack(&f->allocator, size, bytes);
        if (f->proto)
            status = read_model(f);
        else if (f->purse.is_short)
            status = mq_fail_memory(error, name, size);
        else
            status = fail(f, "", "not an ONNX file: it is no protobuf message of a model");
    }
    if (status != MQ_OK) {
        mq_onnx_free(&f->model);
        return status;
    }
    *out = &f->model;
    return MQ_OK;
}

mq_status mq_onnx_load(const char *path, const mq_onnx_model **out, mq_error *error) {
    uint8_t *bytes;
    size_t size;
    *out = NULL;
    MQ_TRY(mq_file_read(path, MQ_ONNX_MAX_FILE, &bytes, &size, error));
    mq_status status = mq_onnx_parse(path, bytes, size, out, error);
    mq_free(bytes);
    return status;
}

void mq_onnx_free(const mq_onnx_model *model) {
    if (!model) return;
    file *f = NULL;
    memcpy(&f, &model, sizeof f); /* the model is its first member */
    onnx__model_proto__free_unpacked(f->proto, &f->allocator);
    mq_arena_destroy(f->arena);
    mq_free(f);
}

const char *mq_onnx_meta(const mq_onnx_model *model, const char *key) {
    const Onnx__ModelProto *m = ((const file *)model)->proto;
    for (size_t i = 0; i < m->n_metadata_props; i++)
        if (strcmp(text_of(m->metadata_props[i]->key), key) == 0) return text_of(m->metadata_props[i]->value);
    return NULL;
}

const mq_onnx_tensor *mq_onnx_find_tensor(const mq_onnx_model *model, const char *name) {
    for (size_t i = 0; i < model->tensor_count; i++)
        if (strcmp(model->tensor[i].name, name) == 0) return &model->tensor[i];
    return NULL;
}

const mq_onnx_attr *mq_onnx_find_attr(const mq_onnx_node *node, const char *name) {
    for (size_t i = 0; i < node->attr_count; i++)
        if (strcmp(node->attr[i].name, name) == 0) return &node->attr[i];
    return NULL;
}

mq_status mq_onnx_digest(const mq_onnx_model *model, char out[MQ_DIGEST_TEXT], mq_error *error) {
    const Onnx__GraphProto *graph = ((const file *)model)->proto->graph;
    uint8_t *bytes;
    size_t size = onnx__graph_proto__get_packed_size(graph);
    MQ_TRY(mq_alloc(size, 1, "an ONNX graph", &bytes, error));
    onnx__graph_proto__pack(graph, bytes);
    mq_sha256(bytes, size, out);
    mq_free(bytes);
    return MQ_OK;
}
