/* dnn_conv.c - one convolution as up to three oneDNN primitives (forward, backward data, backward weights)
 * with the reorders of its weights around them.
 *
 * Activations are fixed to NHWC; the weights' format is left to each primitive (format "any"), which is what
 * makes the fast implementations eligible. Forward and backward data may prefer different formats, so each
 * may have its own copy of the weights. A weights gradient in a blocked format is staged in the context's
 * scratch and reordered to OIHW. A kernel as large as its input is an inner product, for which oneDNN has
 * better (matrix product) code. Passes that our own code runs faster (dnn_own.h) have no primitive. */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "dnn/dnn_own.h"

/* A primitive and where in the scratch it works. */
typedef struct pass {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t scratchpad;
    size_t offset; /* bytes of scratch before the scratchpad */
} pass;

/* The convolution's weights as one primitive wants them. */
typedef struct weights {
    pass reorder; /* from OIHW float32 */
    dnnl_memory_t memory;
    void *buffer; /* behind memory */
} weights;

enum { IMPLEMENTATION_TEXT = 256 };

struct mq_dnn_conv {
    mq_dnn *dnn;
    mq_dnn_conv_spec spec;
    bool inner;                         /* runs as an inner product */
    mq_dnn_own *own[MQ_DNN_DIRECTIONS]; /* in the place of these passes; NULL: as they are */
    int threads;
    dnnl_dims_t strides, before, after; /* height, width; padding before and after */
    dnnl_primitive_attr_t attr;
    dnnl_memory_desc_t src_desc, dst_desc, diff_dst_desc, diff_src_desc, plain_desc; /* plain: OIHW float32 */
    dnnl_memory_desc_t codes_desc; /* src of a forward pass on codes; else src_desc */

    pass forward, backward_data, backward_weights, unblock; /* unblock: the staged gradient to OIHW */
    weights for_forward, for_data; /* for_data.memory NULL: for_forward serves both */
    dnnl_memory_t src, codes, dst, diff_dst, diff_src, plain; /* the caller's; handles are set per call */
    dnnl_memory_t staged; /* blocked gradient; NULL when it comes as OIHW */
    void *bound;          /* the scratch that the handles point into */
    char implementation[IMPLEMENTATION_TEXT];
};

static dnnl_data_type_t data_type(mq_dtype dtype) {
    return dtype == MQ_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* OIHW weights, with a leading group axis when grouped (the same memory). */
static mq_status weights_desc(const mq_dnn_conv_spec *s, dnnl_data_type_t type, bool any,
                              dnnl_memory_desc_t *out, mq_error *error) {
    const dnnl_dims_t dims = {s->oc, s->ic, s->kh, s->kw};
    const dnnl_dims_t grouped = {s->groups, s->oc / s->groups, s->ic / s->groups, s->kh, s->kw};
    bool g = s->groups > 1;
    dnnl_format_tag_t tag = any ? dnnl_format_tag_any : g ? dnnl_goihw : dnnl_oihw;
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, out, g ? 5 : 4, g ? grouped : dims, type, tag);
    return MQ_OK;
}

static mq_status make_descs(mq_dnn_conv *c, mq_error *error) {
    const mq_dnn_conv_spec *s = &c->spec;
    const dnnl_dims_t in = {s->n, s->ic, s->ih, s->iw}, out = {s->n, s->oc, s->oh, s->ow};
    const int rank = c->inner ? 2 : 4; /* an inner product's output has no spatial axes */
    const dnnl_format_tag_t tag = c->inner ? dnnl_nc : dnnl_nhwc;
    const dnnl_data_type_t type = data_type(s->compute);
    const int64_t bottom = mq_dnn_end_padding(s->ih, s->oh, s->kh, s->stride, s->pad_h);
    const int64_t right = mq_dnn_end_padding(s->iw, s->ow, s->kw, s->stride, s->pad_w);
    c->strides[0] = c->strides[1] = s->stride;
    c->before[0] = s->pad_h;
    c->before[1] = s->pad_w;
    c->after[0] = bottom > 0 ? bottom : 0;
    c->after[1] = right > 0 ? right : 0;
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &c->src_desc, 4, in, type, dnnl_nhwc);
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &c->diff_src_desc, 4, in, data_type(s->diff_src),
               dnnl_nhwc);
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &c->dst_desc, rank, out,
               s->rounded ? dnnl_bf16 : dnnl_f32, tag);
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &c->diff_dst_desc, rank, out, type, tag);
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &c->codes_desc, 4, in, s->codes ? dnnl_u8 : type,
               dnnl_nhwc);
    MQ_TRY(weights_desc(s, dnnl_f32, false, &c->plain_desc, error));
    MQ_DNN_TRY(dnnl_primitive_attr_create, s, error, &c->attr);
    MQ_DNN_TRY(dnnl_primitive_attr_set_scratchpad_mode, s, error, c->attr, dnnl_scratchpad_mode_user);
    /* Whatever the environment says, float32 means float32. */
    MQ_DNN_TRY(dnnl_primitive_attr_set_fpmath_mode, s, error, c->attr, dnnl_fpmath_mode_strict);
    return MQ_OK;
}

/* Finishes a pass whose desc is made: the primitive, and scratch of `offset` bytes plus what it wants. */
static mq_status make_pass(mq_dnn_conv *c, pass *p, size_t offset, mq_error *error) {
    MQ_DNN_TRY(dnnl_primitive_create, &c->spec, error, &p->primitive, p->desc);
    const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(p->desc, dnnl_query_scratchpad_md, 0);
    MQ_TRY(mq_dnn_reserve(c->dnn, offset + dnnl_memory_desc_get_size(scratch), error));
    MQ_DNN_TRY(dnnl_memory_create, &c->spec, error, &p->scratchpad, scratch, c->dnn->engine,
               DNNL_MEMORY_NONE);
    p->offset = offset;
    return MQ_OK;
}

/* The three operations, with weights in the format "any". */
typedef union operation {
    dnnl_convolution_desc_t conv;
    dnnl_inner_product_desc_t inner;
} operation;

static const char *implementation_of(const pass *p) {
    const char *name = NULL;
    if (!p->desc || dnnl_primitive_desc_query(p->desc, dnnl_query_impl_info_str, 0, &name) != dnnl_success)
        return "none";
    return name;
}

static bool begins(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* Whether this implementation of oneDNN 2.6 computes what it should; tests/dnn fails without.
 * - The bfloat16 1x1 kernel multiplies the summed channels in pairs. If they are odd and it works on 30
 *   positions at a time, it loads the last one into the register that holds the weights.
 * - The 1x1 backward weights with a stride gather the positions first, and with few channels write past the
 *   end of that copy.
 * - The bfloat16 backward weights take output columns in pairs. If there is one, with a stride, and few
 *   channels, the other's input lies past the row's end; it is multiplied by 0, but may be no number. */
static bool trusted(const mq_dnn_conv_spec *s, mq_dnn_direction direction, const char *name) {
    const bool one_bf16 = begins(name, "jit_bf16_1x1"), one = one_bf16 || begins(name, "jit_1x1");
    if (direction == MQ_DNN_BACKWARD_WEIGHTS)
        return s->stride == 1 || !(one || (s->ow == 1 && begins(name, "jit_bf16")));
    const int summed = (direction == MQ_DNN_FORWARD ? s->ic : s->oc) / s->groups;
    return !one_bf16 || summed % 2 == 0;
}

/* The first implementation that can be trusted. */
static mq_status describe(mq_dnn_conv *c, pass *p, mq_dnn_direction direction, const operation *op,
                          mq_error *error) {
    const mq_dnn_conv_spec *s = &c->spec;
    dnnl_primitive_desc_iterator_t list;
    MQ_DNN_TRY(dnnl_primitive_desc_iterator_create, s, error, &list, op, c->attr, c->dnn->engine, NULL);
    dnnl_status_t result = dnnl_success;
    while (result == dnnl_success) {
        p->desc = dnnl_primitive_desc_iterator_fetch(list);
        if (!p->desc || trusted(s, direction, implementation_of(p))) break;
        dnnl_primitive_desc_destroy(p->desc);
        p->desc = NULL;
        result = dnnl_primitive_desc_iterator_next(list);
    }
    dnnl_primitive_desc_iterator_destroy(list);
    if (p->desc) return MQ_OK;
    return mq_dnn_fail(result == dnnl_success ? dnnl_out_of_memory : dnnl_unimplemented,
                       "dnnl_primitive_desc_iterator_next", s, error);
}

static mq_status describe_forward(mq_dnn_conv *c, const dnnl_memory_desc_t *any, mq_error *error) {
    const mq_dnn_conv_spec *s = &c->spec;
    const bool training = (s->backward_data || s->backward_weights) && !s->codes; /* bytes: inference only */
    const dnnl_prop_kind_t kind = training ? dnnl_forward_training : dnnl_forward_inference;
    operation op;
    if (c->inner)
        MQ_DNN_TRY(dnnl_inner_product_forward_desc_init, s, error, &op.inner, kind, &c->codes_desc, any, NULL,
                   &c->dst_desc);
    else
        MQ_DNN_TRY(dnnl_convolution_forward_desc_init, s, error, &op.conv, kind, dnnl_convolution_direct,
                   &c->codes_desc, any, NULL, &c->dst_desc, c->strides, c->before, c->after);
    return describe(c, &c->forward, MQ_DNN_FORWARD, &op, error);
}

static mq_status describe_backward_data(mq_dnn_conv *c, const dnnl_memory_desc_t *any, mq_error *error) {
    const mq_dnn_conv_spec *s = &c->spec;
    operation op;
    if (c->inner)
        MQ_DNN_TRY(dnnl_inner_product_backward_data_desc_init, s, error, &op.inner, &c->diff_src_desc, any,
                   &c->diff_dst_desc);
    else
        MQ_DNN_TRY(dnnl_convolution_backward_data_desc_init, s, error, &op.conv, dnnl_convolution_direct,
                   &c->diff_src_desc, any, &c->diff_dst_desc, c->strides, c->before, c->after);
    return describe(c, &c->backward_data, MQ_DNN_BACKWARD_DATA, &op, error);
}

static mq_status describe_backward_weights(mq_dnn_conv *c, const dnnl_memory_desc_t *any, mq_error *error) {
    const mq_dnn_conv_spec *s = &c->spec;
    operation op;
    if (c->inner)
        MQ_DNN_TRY(dnnl_inner_product_backward_weights_desc_init, s, error, &op.inner, &c->src_desc, any,
                   NULL, &c->diff_dst_desc);
    else
        MQ_DNN_TRY(dnnl_convolution_backward_weights_desc_init, s, error, &op.conv, dnnl_convolution_direct,
                   &c->src_desc, any, NULL, &c->diff_dst_desc, c->strides, c->before, c->after);
    return describe(c, &c->backward_weights, MQ_DNN_BACKWARD_WEIGHTS, &op, error);
}

/* Memory for weights of the format `desc` and the reorder that fills it. */
static mq_status make_weights(mq_dnn_conv *c, weights *w, const dnnl_memory_desc_t *desc, mq_error *error) {
    dnnl_engine_t engine = c->dnn->engine;
    MQ_TRY(mq_alloc(dnnl_memory_desc_get_size(desc), 1, "convolution weights", &w->buffer, error));
    MQ_DNN_TRY(dnnl_memory_create, &c->spec, error, &w->memory, desc, engine, w->buffer);
    MQ_DNN_TRY(dnnl_reorder_primitive_desc_create, &c->spec, error, &w->reorder.desc, &c->plain_desc, engine,
               desc, engine, c->attr);
    return make_pass(c, &w->reorder, 0, error);
}

static mq_status make_forward(mq_dnn_conv *c, const dnnl_memory_desc_t *any, mq_error *error) {
    MQ_TRY(describe_forward(c, any, error));
    MQ_TRY(make_pass(c, &c->forward, 0, error));
    return make_weights(c, &c->for_forward,
                        dnnl_primitive_desc_query_md(c->forward.desc, dnnl_query_weights_md, 0), error);
}

static mq_status make_backward_data(mq_dnn_conv *c, const dnnl_memory_desc_t *any, mq_error *error) {
    MQ_TRY(describe_backward_data(c, any, error));
    MQ_TRY(make_pass(c, &c->backward_data, 0, error));
    const dnnl_memory_desc_t *wanted =
        dnnl_primitive_desc_query_md(c->backward_data.desc, dnnl_query_weights_md, 0);
    if (c->forward.desc && dnnl_memory_desc_equal(wanted, dnnl_primitive_desc_query_md(
                                                              c->forward.desc, dnnl_query_weights_md, 0)))
        return MQ_OK;
    return make_weights(c, &c->for_data, wanted, error);
}

static mq_status make_backward_weights(mq_dnn_conv *c, mq_error *error) {
    dnnl_engine_t engine = c->dnn->engine;
    dnnl_memory_desc_t any;
    MQ_TRY(weights_desc(&c->spec, dnnl_f32, true, &any, error));
    MQ_TRY(describe_backward_weights(c, &any, error));
    const dnnl_memory_desc_t *made =
        dnnl_primitive_desc_query_md(c->backward_weights.desc, dnnl_query_diff_weights_md, 0);
    if (dnnl_memory_desc_equal(made, &c->plain_desc)) return make_pass(c, &c->backward_weights, 0, error);

    const size_t staged = mq_dnn_lines(dnnl_memory_desc_get_size(made));
    MQ_TRY(make_pass(c, &c->backward_weights, staged, error));
    MQ_DNN_TRY(dnnl_memory_create, &c->spec, error, &c->staged, made, engine, DNNL_MEMORY_NONE);
    MQ_DNN_TRY(dnnl_reorder_primitive_desc_create, &c->spec, error, &c->unblock.desc, made, engine,
               &c->plain_desc, engine, c->attr);
    return make_pass(c, &c->unblock, staged, error);
}

static mq_status make_memories(mq_dnn_conv *c, mq_error *error) {
    const mq_dnn_conv_spec *s = &c->spec;
    dnnl_engine_t engine = c->dnn->engine;
    MQ_DNN_TRY(dnnl_memory_create, s, error, &c->src, &c->src_desc, engine, DNNL_MEMORY_NONE);
    MQ_DNN_TRY(dnnl_memory_create, s, error, &c->codes, &c->codes_desc, engine, DNNL_MEMORY_NONE);
    MQ_DNN_TRY(dnnl_memory_create, s, error, &c->dst, &c->dst_desc, engine, DNNL_MEMORY_NONE);
    MQ_DNN_TRY(dnnl_memory_create, s, error, &c->diff_src, &c->diff_src_desc, engine, DNNL_MEMORY_NONE);
    MQ_DNN_TRY(dnnl_memory_create, s, error, &c->diff_dst, &c->diff_dst_desc, engine, DNNL_MEMORY_NONE);
    MQ_DNN_TRY(dnnl_memory_create, s, error, &c->plain, &c->plain_desc, engine, DNNL_MEMORY_NONE);
    return MQ_OK;
}

static const char *name_of(const mq_dnn_own *own, const pass *p) {
    return own ? own->kind->name : implementation_of(p);
}

static size_t src_count(const mq_dnn_conv_spec *s) {
    return (size_t)s->n * (size_t)s->ih * (size_t)s->iw * (size_t)s->ic;
}

/* Whether the weights' gradient cannot read codes as they are. */
static bool widens(const mq_dnn_conv *c) {
    const mq_dnn_own *own = c->own[MQ_DNN_BACKWARD_WEIGHTS];
    return c->spec.codes && c->spec.backward_weights && !(own && own->kind->codes);
}

static mq_status make_all(mq_dnn_conv *c, mq_error *error) {
    const mq_dnn_conv_spec *s = &c->spec;
    const bool asked[MQ_DNN_DIRECTIONS] = {true, s->backward_data, s->backward_weights};
    dnnl_memory_desc_t any;
    for (int d = 0; d < MQ_DNN_DIRECTIONS; d++)
        if (asked[d]) MQ_TRY(mq_dnn_own_create(c->dnn, s, (mq_dnn_direction)d, &c->own[d], error));
    MQ_TRY(make_descs(c, error));
    MQ_TRY(weights_desc(s, s->codes ? dnnl_s8 : data_type(s->compute), true, &any, error));
    if (!c->own[MQ_DNN_FORWARD]) MQ_TRY(make_forward(c, &any, error));
    MQ_TRY(weights_desc(s, data_type(s->compute), true, &any, error));
    if (s->backward_data && !c->own[MQ_DNN_BACKWARD_DATA]) MQ_TRY(make_backward_data(c, &any, error));
    if (s->backward_weights && !c->own[MQ_DNN_BACKWARD_WEIGHTS]) MQ_TRY(make_backward_weights(c, error));
    if (widens(c)) MQ_TRY(mq_dnn_reserve_widened(c->dnn, src_count(s) * mq_dtype_size(s->compute), error));
    MQ_TRY(make_memories(c, error));
    snprintf(c->implementation, sizeof c->implementation, "forward %s, backward data %s, backward weights %s",
             name_of(c->own[MQ_DNN_FORWARD], &c->forward),
             name_of(c->own[MQ_DNN_BACKWARD_DATA], &c->backward_data),
             name_of(c->own[MQ_DNN_BACKWARD_WEIGHTS], &c->backward_weights));
    return MQ_OK;
}

mq_status mq_dnn_conv_create(mq_dnn *dnn, const mq_dnn_conv_spec *spec, mq_dnn_conv **out, mq_error *error) {
    mq_dnn_conv *c = NULL;
    *out = NULL;
    MQ_TRY(mq_dnn_check_spec(spec, error));
    MQ_TRY(mq_alloc(1, sizeof *c, "convolution", &c, error));
    c->dnn = dnn;
    c->spec = *spec;
    c->threads = mq_threads();
    c->inner = spec->groups == 1 && spec->kh == spec->ih && spec->kw == spec->iw && spec->pad_h == 0 &&
               spec->pad_w == 0 && spec->oh == 1 && spec->ow == 1;
    mq_status status = make_all(c, error);
    if (status != MQ_OK) {
        mq_dnn_conv_destroy(c);
        return status;
    }
    *out = c;
    return MQ_OK;
}

static void free_memory(dnnl_memory_t memory) {
    if (memory) dnnl_memory_destroy(memory);
}

static void free_pass(pass *p) {
    free_memory(p->scratchpad);
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    if (p->desc) dnnl_primitive_desc_destroy(p->desc);
}

static void free_weights(weights *w) {
    free_pass(&w->reorder);
    free_memory(w->memory);
    mq_free(w->buffer);
}

void mq_dnn_conv_destroy(mq_dnn_conv *c) {
    if (!c) return;
    for (int d = 0; d < MQ_DNN_DIRECTIONS; d++) mq_dnn_own_destroy(c->own[d]);
    free_pass(&c->forward);
    free_pass(&c->backward_data);
    free_pass(&c->backward_weights);
    free_pass(&c->unblock);
    free_weights(&c->for_forward);
    free_weights(&c->for_data);
    free_memory(c->src);
    free_memory(c->codes);
    free_memory(c->dst);
    free_memory(c->diff_src);
    free_memory(c->diff_dst);
    free_memory(c->plain);
    free_memory(c->staged);
    if (c->attr) dnnl_primitive_attr_destroy(c->attr);
    mq_free(c);
}

const mq_dnn_conv_spec *mq_dnn_conv_get_spec(const mq_dnn_conv *conv) {
    return &conv->spec;
}

const char *mq_dnn_conv_implementation(const mq_dnn_conv *conv) {
    return conv->implementation;
}

static mq_status point(mq_dnn_conv *c, dnnl_memory_t memory, const void *bytes, mq_error *error) {
    MQ_DNN_TRY(dnnl_memory_set_data_handle, &c->spec, error, memory, (void *)(uintptr_t)bytes);
    return MQ_OK;
}

static mq_status point_scratch(mq_dnn_conv *c, const pass *p, mq_error *error) {
    return p->scratchpad ? point(c, p->scratchpad, (char *)c->dnn->scratch + p->offset, error) : MQ_OK;
}

/* Before every execution. The scratch may have moved since the last one; and a primitive divides its scratch
 * by the thread count that it was made for, so running with another one could leave it. */
static mq_status prepare(mq_dnn_conv *c, mq_error *error) {
    char text[MQ_DNN_SPEC_TEXT];
    if (mq_threads() != c->threads)
        return mq_fail(error, MQ_INTERNAL, "%s: made for %d threads, got %d",
                       mq_dnn_spec_text(&c->spec, text), c->threads, mq_threads());
    if (c->bound == c->dnn->scratch) return MQ_OK;
    const pass *all[] = {&c->forward, &c->backward_data,       &c->backward_weights,
                         &c->unblock, &c->for_forward.reorder, &c->for_data.reorder};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) MQ_TRY(point_scratch(c, all[i], error));
    if (c->staged) MQ_TRY(point(c, c->staged, c->dnn->scratch, error));
    c->bound = c->dnn->scratch;
    return MQ_OK;
}

static mq_status refuse(const mq_dnn_conv *c, const char *what, mq_error *error) {
    char text[MQ_DNN_SPEC_TEXT];
    return mq_fail(error, MQ_INTERNAL, "%s: %s was not asked for", mq_dnn_spec_text(&c->spec, text), what);
}

/* Runs a pass on the given operands; count of them, at most 3. */
static mq_status execute(mq_dnn_conv *c, const pass *p, const dnnl_exec_arg_t *operands, int count,
                         mq_error *error) {
    dnnl_exec_arg_t args[4];
    for (int i = 0; i < count; i++) args[i] = operands[i];
    args[count] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, p->scratchpad};
    MQ_DNN_TRY(dnnl_primitive_execute, &c->spec, error, p->primitive, c->dnn->stream, count + 1, args);
    MQ_DNN_TRY(dnnl_stream_wait, &c->spec, error, c->dnn->stream);
    return MQ_OK;
}

mq_status mq_dnn_conv_set_weights(mq_dnn_conv *c, const float *w, mq_error *error) {
    MQ_TRY(prepare(c, error));
    MQ_TRY(point(c, c->plain, w, error));
    mq_dnn_own_set_weights(c->own[MQ_DNN_FORWARD], w);
    mq_dnn_own_set_weights(c->own[MQ_DNN_BACKWARD_DATA], w);
    weights *const copies[] = {&c->for_forward, &c->for_data};
    for (int i = 0; i < 2; i++) {
        if (!copies[i]->memory) continue;
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, c->plain}, {DNNL_ARG_TO, copies[i]->memory}};
        MQ_TRY(execute(c, &copies[i]->reorder, args, 2, error));
    }
    return MQ_OK;
}

mq_status mq_dnn_conv_forward(mq_dnn_conv *c, const void *src, void *dst, mq_error *error) {
    MQ_TRY(prepare(c, error));
    if (mq_dnn_own_run(c->own[MQ_DNN_FORWARD], src, dst, NULL)) return MQ_OK;
    MQ_TRY(point(c, c->codes, src, error));
    MQ_TRY(point(c, c->dst, dst, error));
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, c->codes}, {DNNL_ARG_WEIGHTS, c->for_forward.memory}, {DNNL_ARG_DST, c->dst}};
    return execute(c, &c->forward, args, 3, error);
}

bool mq_dnn_conv_rounds_weights(const mq_dnn_conv *c) {
    return c->spec.compute == MQ_BF16 && !c->own[MQ_DNN_FORWARD];
}

bool mq_dnn_conv_has_whole(const mq_dnn_conv *c) {
    return c->own[MQ_DNN_FORWARD] && c->own[MQ_DNN_FORWARD]->kind->run_whole;
}

mq_status mq_dnn_conv_forward_whole(mq_dnn_conv *c, const uint8_t *src, int16_t *dst, double *sum,
                                    double *square, mq_error *error) {
    if (!mq_dnn_conv_has_whole(c)) return refuse(c, "a result of int16", error);
    MQ_TRY(prepare(c, error));
    c->own[MQ_DNN_FORWARD]->kind->run_whole(c->own[MQ_DNN_FORWARD], src, dst, sum, square);
    return MQ_OK;
}

mq_status mq_dnn_conv_backward_data(mq_dnn_conv *c, const void *diff_dst, void *diff_src, mq_error *error) {
    if (!c->spec.backward_data) return refuse(c, "backward data", error);
    MQ_TRY(prepare(c, error));
    if (mq_dnn_own_run(c->own[MQ_DNN_BACKWARD_DATA], diff_src, diff_dst, NULL)) return MQ_OK;
    MQ_TRY(point(c, c->diff_dst, diff_dst, error));
    MQ_TRY(point(c, c->diff_src, diff_src, error));
    dnnl_memory_t w = c->for_data.memory ? c->for_data.memory : c->for_forward.memory;
    const dnnl_exec_arg_t args[] = {
        {DNNL_ARG_DIFF_DST, c->diff_dst}, {DNNL_ARG_WEIGHTS, w}, {DNNL_ARG_DIFF_SRC, c->diff_src}};
    return execute(c, &c->backward_data, args, 3, error);
}

mq_status mq_dnn_conv_backward_weights(mq_dnn_conv *c, const void *src, const void *diff_dst, float *dw,
                                       mq_error *error) {
    if (!c->spec.backward_weights) return refuse(c, "backward weights", error);
    MQ_TRY(prepare(c, error));
    if (widens(c)) {
        mq_dnn_widen(src, src_count(&c->spec), c->spec.compute, c->dnn->widened);
        src = c->dnn->widened;
    }
    if (mq_dnn_own_run(c->own[MQ_DNN_BACKWARD_WEIGHTS], src, diff_dst, dw)) return MQ_OK;
    MQ_TRY(point(c, c->src, src, error));
    MQ_TRY(point(c, c->diff_dst, diff_dst, error));
    MQ_TRY(point(c, c->plain, dw, error));
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, c->src},
                                    {DNNL_ARG_DIFF_DST, c->diff_dst},
                                    {DNNL_ARG_DIFF_WEIGHTS, c->staged ? c->staged : c->plain}};
    MQ_TRY(execute(c, &c->backward_weights, args, 3, error));
    if (!c->staged) return MQ_OK;
    const dnnl_exec_arg_t unblock[] = {{DNNL_ARG_FROM, c->staged}, {DNNL_ARG_TO, c->plain}};
    return execute(c, &c->unblock, unblock, 2, error);
}
