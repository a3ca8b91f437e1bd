/* onnx_write.c - building an ONNX model from calls, packed by protobuf-c. */
#include <string.h>

#include <onnx_subset.pb-c.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/onnx.h"

enum { TYPE_FLOAT = 1, TYPE_INT64 = 7, TYPE_DOUBLE = 11, IR_VERSION = 8, FIRST_ROOM = 8 };

/* A growing list of pointers, as protobuf-c wants them. */
typedef struct list {
    void **item;
    size_t count, room;
} list;

struct mq_onnx_new_node {
    mq_onnx_writer *writer;
    Onnx__NodeProto proto;
    list attributes;
};

struct mq_onnx_writer {
    mq_arena *arena;
    mq_status status;
    mq_error error;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    list nodes, tensors, inputs, outputs, values, opsets, meta;
};

static void *get(mq_onnx_writer *w, size_t count, size_t size) {
    void *memory = NULL;
    if (w->status == MQ_OK)
        w->status = mq_arena_alloc(w->arena, count, size, "an ONNX model", &memory, &w->error);
    return memory;
}

static char *copy(mq_onnx_writer *w, const char *text) {
    size_t size = strlen(text) + 1;
    char *to = get(w, size, 1);
    if (to) memcpy(to, text, size);
    return to;
}

static void append(mq_onnx_writer *w, list *l, void *item) {
    if (!item) return;
    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : FIRST_ROOM;
        void **grown = get(w, room, sizeof *grown);
        if (!grown) return;
        if (l->count) memcpy(grown, l->item, l->count * sizeof *grown);
        l->item = grown;
        l->room = room;
    }
    l->item[l->count++] = item;
}

mq_status mq_onnx_writer_create(const char *graph, mq_onnx_writer **out, mq_error *error) {
    mq_onnx_writer *w;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *w, "an ONNX model", &w, error));
    mq_status status = mq_arena_create(&w->arena, error);
    if (status != MQ_OK) {
        mq_free(w);
        return status;
    }
    onnx__model_proto__init(&w->model);
    onnx__graph_proto__init(&w->graph);
    w->graph.name = copy(w, graph);
    *out = w;
    return MQ_OK;
}

void mq_onnx_writer_free(mq_onnx_writer *w) {
    if (!w) return;
    mq_arena_destroy(w->arena);
    mq_free(w);
}

void mq_onnx_opset(mq_onnx_writer *w, const char *domain, int64_t version) {
    Onnx__OperatorSetIdProto *o = get(w, 1, sizeof *o);
    if (!o) return;
    onnx__operator_set_id_proto__init(o);
    o->domain = copy(w, domain);
    o->has_version = 1;
    o->version = version;
    append(w, &w->opsets, o);
}

void mq_onnx_add_meta(mq_onnx_writer *w, const char *key, const char *value) {
    Onnx__StringStringEntryProto *e = get(w, 1, sizeof *e);
    if (!e) return;
    onnx__string_string_entry_proto__init(e);
    e->key = copy(w, key);
    e->value = copy(w, value);
    append(w, &w->meta, e);
}

static void add_tensor(mq_onnx_writer *w, const char *name, const mq_shape *shape, int type,
                       const void *values, size_t size) {
    Onnx__TensorProto *t = get(w, 1, sizeof *t);
    size_t count;
    if (!t || !mq_shape_count(shape, &count)) return;
    onnx__tensor_proto__init(t);
    t->name = copy(w, name);
    t->n_dims = (size_t)shape->rank;
    t->dims = get(w, t->n_dims, sizeof *t->dims);
    if (t->dims) memcpy(t->dims, shape->dim, t->n_dims * sizeof *t->dims);
    t->has_data_type = t->has_raw_data = 1;
    t->data_type = type;
    t->raw_data.len = count * size;
    t->raw_data.data = get(w, count, size);
    if (t->raw_data.data && count) memcpy(t->raw_data.data, values, count * size);
    append(w, &w->tensors, t);
}

void mq_onnx_add_real(mq_onnx_writer *w, const char *name, const mq_shape *shape, const float *values) {
    add_tensor(w, name, shape, TYPE_FLOAT, values, sizeof *values);
}

void mq_onnx_add_double(mq_onnx_writer *w, const char *name, const mq_shape *shape, const double *values) {
    add_tensor(w, name, shape, TYPE_DOUBLE, values, sizeof *values);
}

void mq_onnx_add_whole(mq_onnx_writer *w, const char *name, const mq_shape *shape, const int64_t *values) {
    add_tensor(w, name, shape, TYPE_INT64, values, sizeof *values);
}

static Onnx__ValueInfoProto *value(mq_onnx_writer *w, const char *name, const mq_shape *shape) {
    Onnx__ValueInfoProto *v = get(w, 1, sizeof *v);
    Onnx__TypeProto *type = get(w, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = get(w, 1, sizeof *tensor);
    Onnx__TensorShapeProto *s = get(w, 1, sizeof *s);
    Onnx__TensorShapeProto__Dimension *dims = get(w, (size_t)shape->rank, sizeof *dims);
    Onnx__TensorShapeProto__Dimension **dim = get(w, (size_t)shape->rank, sizeof *dim);
    if (!dim) return NULL;
    onnx__value_info_proto__init(v);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(s);
    for (int i = 0; i < shape->rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&dims[i]);
        dims[i].has_dim_value = 1;
        dims[i].dim_value = shape->dim[i];
        dim[i] = &dims[i];
    }
    s->n_dim = (size_t)shape->rank;
    s->dim = dim;
    tensor->has_elem_type = 1;
    tensor->elem_type = TYPE_FLOAT;
    tensor->shape = s;
    type->tensor_type = tensor;
    v->name = copy(w, name);
    v->type = type;
    return v;
}

void mq_onnx_add_input(mq_onnx_writer *w, const char *name, const mq_shape *shape) {
    append(w, &w->inputs, value(w, name, shape));
}

void mq_onnx_add_output(mq_onnx_writer *w, const char *name, const mq_shape *shape) {
    append(w, &w->outputs, value(w, name, shape));
}

void mq_onnx_add_value(mq_onnx_writer *w, const char *name, const mq_shape *shape) {
    append(w, &w->values, value(w, name, shape));
}

mq_onnx_new_node *mq_onnx_add_node(mq_onnx_writer *w, const char *domain, const char *op, const char *name,
                                   const char *const *inputs, const char *output) {
    mq_onnx_new_node *n = get(w, 1, sizeof *n);
    if (!n) return NULL;
    size_t count = 0;
    while (inputs[count]) count++;
    n->writer = w;
    onnx__node_proto__init(&n->proto);
    n->proto.op_type = copy(w, op);
    n->proto.name = copy(w, name);
    if (*domain) n->proto.domain = copy(w, domain);
    n->proto.input = get(w, count, sizeof *n->proto.input);
    n->proto.output = get(w, 1, sizeof *n->proto.output);
    if (!n->proto.output) return NULL;
    for (size_t i = 0; i < count; i++) n->proto.input[i] = copy(w, inputs[i]);
    n->proto.output[0] = copy(w, output);
    n->proto.n_input = count;
    n->proto.n_output = 1;
    append(w, &w->nodes, n);
    return n;
}

static Onnx__AttributeProto *attribute(mq_onnx_new_node *n, const char *name, mq_onnx_kind kind) {
    if (!n) return NULL;
    Onnx__AttributeProto *a = get(n->writer, 1, sizeof *a);
    if (!a) return NULL;
    onnx__attribute_proto__init(a);
    a->name = copy(n->writer, name);
    a->has_type = 1;
    a->type = kind;
    append(n->writer, &n->attributes, a);
    return a;
}

void mq_onnx_set_int(mq_onnx_new_node *node, const char *name, int64_t v) {
    Onnx__AttributeProto *a = attribute(node, name, MQ_ONNX_INT);
    if (!a) return;
    a->has_i = 1;
    a->i = v;
}

void mq_onnx_set_ints(mq_onnx_new_node *node, const char *name, const int64_t *v, size_t count) {
    Onnx__AttributeProto *a = attribute(node, name, MQ_ONNX_INTS);
    if (!a) return;
    a->ints = get(node->writer, count, sizeof *a->ints);
    if (!a->ints) return;
    memcpy(a->ints, v, count * sizeof *v);
    a->n_ints = count;
}

void mq_onnx_set_float(mq_onnx_new_node *node, const char *name, float v) {
    Onnx__AttributeProto *a = attribute(node, name, MQ_ONNX_FLOAT);
    if (!a) return;
    a->has_f = 1;
    a->f = v;
}

void mq_onnx_set_text(mq_onnx_new_node *node, const char *name, const char *v) {
    Onnx__AttributeProto *a = attribute(node, name, MQ_ONNX_STRING);
    if (!a) return;
    a->has_s = 1;
    a->s.data = (uint8_t *)copy(node->writer, v);
    a->s.len = a->s.data ? strlen(v) : 0;
}

/* The lists into the graph. */
static mq_status finish(mq_onnx_writer *w, mq_error *error) {
    for (size_t i = 0; w->status == MQ_OK && i < w->nodes.count; i++) {
        mq_onnx_new_node *n = w->nodes.item[i];
        n->proto.n_attribute = n->attributes.count;
        n->proto.attribute = (Onnx__AttributeProto **)n->attributes.item;
    }
    Onnx__NodeProto **nodes = get(w, w->nodes.count, sizeof *nodes);
    if (w->status != MQ_OK) {
        if (error) *error = w->error;
        return w->status;
    }
    for (size_t i = 0; i < w->nodes.count; i++) nodes[i] = &((mq_onnx_new_node *)w->nodes.item[i])->proto;
    w->graph.n_node = w->nodes.count;
    w->graph.node = nodes;
    w->graph.n_initializer = w->tensors.count;
    w->graph.initializer = (Onnx__TensorProto **)w->tensors.item;
    w->graph.n_input = w->inputs.count;
    w->graph.input = (Onnx__ValueInfoProto **)w->inputs.item;
    w->graph.n_output = w->outputs.count;
    w->graph.output = (Onnx__ValueInfoProto **)w->outputs.item;
    w->graph.n_value_info = w->values.count;
    w->graph.value_info = (Onnx__ValueInfoProto **)w->values.item;
    return MQ_OK;
}

mq_status mq_onnx_graph_digest(mq_onnx_writer *w, char out[MQ_DIGEST_TEXT], mq_error *error) {
    uint8_t *bytes;
    MQ_TRY(finish(w, error));
    size_t size = onnx__graph_proto__get_packed_size(&w->graph);
    MQ_TRY(mq_alloc(size, 1, "an ONNX graph", &bytes, error));
    onnx__graph_proto__pack(&w->graph, bytes);
    mq_sha256(bytes, size, out);
    mq_free(bytes);
    return MQ_OK;
}

mq_status mq_onnx_save(mq_onnx_writer *w, const char *path, mq_error *error) {
    uint8_t *bytes;
    MQ_TRY(finish(w, error));
    Onnx__ModelProto *m = &w->model;
    m->has_ir_version = 1;
    m->ir_version = IR_VERSION;
    m->producer_name = copy(w, "mixq");
    m->producer_version = copy(w, MIXQ_VERSION);
    m->graph = &w->graph;
    m->n_opset_import = w->opsets.count;
    m->opset_import = (Onnx__OperatorSetIdProto **)w->opsets.item;
    m->n_metadata_props = w->meta.count;
    m->metadata_props = (Onnx__StringStringEntryProto **)w->meta.item;
    if (w->status != MQ_OK) return mq_fail_memory(error, "an ONNX model", 0);
    size_t size = onnx__model_proto__get_packed_size(m);
    if (size > MQ_ONNX_MAX_FILE)
        return mq_fail(error, MQ_BAD_INPUT, "%s: an ONNX file of %zu bytes: at most %zu expected", path, size,
                       MQ_ONNX_MAX_FILE);
    MQ_TRY(mq_alloc(size, 1, "an ONNX file", &bytes, error));
    onnx__model_proto__pack(m, bytes);
    mq_status status = mq_file_write(path, bytes, size, error);
    mq_free(bytes);
    return status;
}
