/* dnn_winograd.c - one pass of a 3x3 convolution by Winograd's minimal filtering F(4x4, 3x3) (Lavin and Gray,
 * CVPR 2016): 36 products where the definition has 144, in float32.
 *
 * oneDNN's code for it wants activations blocked by 16 channels, so the operands are reordered on the way in
 * and out, which costs little; bfloat16 ones are widened and rounded by the same reorders. The transforms
 * have factors such as 1/6, so sums of whole numbers are not exact: passes that must be do not come here. */
#include "base/memory.h"
#include "dnn/dnn_internal.h"

enum { TILE = 4, BLOCK = 16, LEAST_TILES = 32 };
enum { SRC, DST, PLACES };

/* A primitive with its desc; args are set when it runs. */
typedef struct step {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
} step;

struct mq_dnn_winograd {
    mq_dnn *dnn;
    mq_dnn_conv_spec spec;
    mq_dnn_direction direction;
    dnnl_primitive_attr_t attr;
    step conv, reorder[PLACES], reorder_weights;
    dnnl_memory_t caller[PLACES], blocked[PLACES], plain, weights, scratchpad;
    size_t offset[PLACES + 1]; /* of the blocked operands and of the scratchpad in the scratch */
    void *buffer;              /* the weights' memory */
};

static int tiles(int positions) {
    return (positions + TILE - 1) / TILE;
}

/* Where it wins. Beside float32 products it needs less than half of the time, so it does even where half of
 * the last tiles hangs over the edge; native bfloat16 products are twice as fast. */
static bool wanted(const mq_dnn_conv_spec *s, mq_dnn_direction direction) {
    if (s->kh != 3 || s->kw != 3 || s->stride != 1 || s->groups != 1 || s->pad_h > 1 || s->pad_w > 1)
        return false;
    if (s->ic % BLOCK || s->oc % BLOCK || (direction == MQ_DNN_FORWARD && (s->codes || s->whole)))
        return false;
    const bool data = direction == MQ_DNN_BACKWARD_DATA;
    const int h = data ? s->ih : s->oh, w = data ? s->iw : s->ow, each = tiles(h) * tiles(w);
    const int least = s->ic < s->oc ? s->ic : s->oc, used = 100 * h * w / (each * TILE * TILE);
    if (s->n * each < LEAST_TILES) return false;
    if (s->compute == MQ_BF16 && mq_dnn_has_amx()) return false;
    return s->compute == MQ_BF16 ? least >= 2 * BLOCK && used >= 90 : used >= 50;
}

static mq_status describe(mq_dnn_winograd *w, dnnl_status_t *result, mq_error *error) {
    const mq_dnn_conv_spec *s = &w->spec;
    const dnnl_dims_t in = {s->n, s->ic, s->ih, s->iw}, out = {s->n, s->oc, s->oh, s->ow};
    const dnnl_dims_t kernel = {s->oc, s->ic, s->kh, s->kw}, strides = {1, 1}, before = {s->pad_h, s->pad_w};
    const dnnl_dims_t after = {s->oh - 1 + s->kh - s->ih - s->pad_h, s->ow - 1 + s->kw - s->iw - s->pad_w};
    dnnl_memory_desc_t src, dst, any;
    dnnl_convolution_desc_t op;
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &src, 4, in, dnnl_f32, dnnl_nChw16c);
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &dst, 4, out, dnnl_f32, dnnl_nChw16c);
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &any, 4, kernel, dnnl_f32, dnnl_format_tag_any);
    MQ_DNN_TRY(dnnl_primitive_attr_create, s, error, &w->attr);
    MQ_DNN_TRY(dnnl_primitive_attr_set_scratchpad_mode, s, error, w->attr, dnnl_scratchpad_mode_user);
    if (w->direction == MQ_DNN_FORWARD)
        MQ_DNN_TRY(dnnl_convolution_forward_desc_init, s, error, &op, dnnl_forward_training,
                   dnnl_convolution_winograd, &src, &any, NULL, &dst, strides, before, after);
    else if (w->direction == MQ_DNN_BACKWARD_DATA)
        MQ_DNN_TRY(dnnl_convolution_backward_data_desc_init, s, error, &op, dnnl_convolution_winograd, &src,
                   &any, &dst, strides, before, after);
    else
        MQ_DNN_TRY(dnnl_convolution_backward_weights_desc_init, s, error, &op, dnnl_convolution_winograd,
                   &src, &any, NULL, &dst, strides, before, after);
    /* Other processors have no code for it. */
    *result = dnnl_primitive_desc_create(&w->conv.desc, &op, w->attr, w->dnn->engine, NULL);
    return MQ_OK;
}

static mq_status make_reorder(mq_dnn_winograd *w, step *r, dnnl_memory_t from, dnnl_memory_t to,
                              mq_error *error) {
    const dnnl_memory_desc_t *a, *b;
    MQ_DNN_TRY(dnnl_memory_get_memory_desc, &w->spec, error, from, &a);
    MQ_DNN_TRY(dnnl_memory_get_memory_desc, &w->spec, error, to, &b);
    MQ_DNN_TRY(dnnl_reorder_primitive_desc_create, &w->spec, error, &r->desc, a, w->dnn->engine, b,
               w->dnn->engine, NULL);
    MQ_DNN_TRY(dnnl_primitive_create, &w->spec, error, &r->primitive, r->desc);
    return MQ_OK;
}

static size_t lines(size_t bytes) {
    return (bytes + MQ_ALIGN - 1) / MQ_ALIGN * MQ_ALIGN;
}

/* Whether the pass writes this operand. */
static bool written(const mq_dnn_winograd *w, int place) {
    return w->direction == (place == DST ? MQ_DNN_FORWARD : MQ_DNN_BACKWARD_DATA);
}

static mq_status make_operands(mq_dnn_winograd *w, mq_error *error) {
    const mq_dnn_conv_spec *s = &w->spec;
    const dnnl_engine_t engine = w->dnn->engine;
    const mq_dnn_direction d = w->direction;
    const dnnl_query_t asked[PLACES] = {d == MQ_DNN_BACKWARD_DATA ? dnnl_query_diff_src_md
                                                                  : dnnl_query_src_md,
                                        d == MQ_DNN_FORWARD ? dnnl_query_dst_md : dnnl_query_diff_dst_md};
    const mq_dtype types[PLACES] = {d == MQ_DNN_BACKWARD_DATA ? s->diff_src : s->compute,
                                    d == MQ_DNN_FORWARD ? MQ_F32 : s->compute};
    size_t bytes = 0;
    for (int i = 0; i < PLACES; i++) {
        const dnnl_memory_desc_t *blocked = dnnl_primitive_desc_query_md(w->conv.desc, asked[i], 0);
        dnnl_memory_desc_t rows;
        MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &rows, 4, blocked->dims,
                   types[i] == MQ_BF16 ? dnnl_bf16 : dnnl_f32, dnnl_nhwc);
        MQ_DNN_TRY(dnnl_memory_create, s, error, &w->caller[i], &rows, engine, DNNL_MEMORY_NONE);
        MQ_DNN_TRY(dnnl_memory_create, s, error, &w->blocked[i], blocked, engine, DNNL_MEMORY_NONE);
        w->offset[i] = bytes;
        bytes += lines(dnnl_memory_desc_get_size(blocked));
        dnnl_memory_t *const from = written(w, i) ? w->blocked : w->caller;
        dnnl_memory_t *const to = written(w, i) ? w->caller : w->blocked;
        MQ_TRY(make_reorder(w, &w->reorder[i], from[i], to[i], error));
    }
    const dnnl_memory_desc_t *scratch =
        dnnl_primitive_desc_query_md(w->conv.desc, dnnl_query_scratchpad_md, 0);
    MQ_DNN_TRY(dnnl_memory_create, s, error, &w->scratchpad, scratch, engine, DNNL_MEMORY_NONE);
    w->offset[PLACES] = bytes;
    return mq_dnn_reserve(w->dnn, bytes + dnnl_memory_desc_get_size(scratch), error);
}

static mq_status make_weights(mq_dnn_winograd *w, mq_error *error) {
    const mq_dnn_conv_spec *s = &w->spec;
    const bool gradient = w->direction == MQ_DNN_BACKWARD_WEIGHTS;
    const dnnl_memory_desc_t *wanted = dnnl_primitive_desc_query_md(
        w->conv.desc, gradient ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
    dnnl_memory_desc_t plain;
    MQ_DNN_TRY(dnnl_memory_desc_init_by_tag, s, error, &plain, 4, wanted->dims, dnnl_f32, dnnl_oihw);
    MQ_TRY(mq_alloc(dnnl_memory_desc_get_size(wanted), 1, "convolution weights", &w->buffer, error));
    MQ_DNN_TRY(dnnl_memory_create, s, error, &w->plain, &plain, w->dnn->engine, DNNL_MEMORY_NONE);
    MQ_DNN_TRY(dnnl_memory_create, s, error, &w->weights, wanted, w->dnn->engine, w->buffer);
    return make_reorder(w, &w->reorder_weights, gradient ? w->weights : w->plain,
                        gradient ? w->plain : w->weights, error);
}

static mq_status make(mq_dnn_winograd *w, bool *there, mq_error *error) {
    dnnl_status_t result;
    MQ_TRY(describe(w, &result, error));
    *there = result == dnnl_success;
    if (result == dnnl_unimplemented) return MQ_OK;
    if (!*there) return mq_dnn_fail(result, "dnnl_primitive_desc_create", &w->spec, error);
    MQ_DNN_TRY(dnnl_primitive_create, &w->spec, error, &w->conv.primitive, w->conv.desc);
    MQ_TRY(make_operands(w, error));
    return make_weights(w, error);
}

mq_status mq_dnn_winograd_create(mq_dnn *dnn, const mq_dnn_conv_spec *spec, mq_dnn_direction direction,
                                 mq_dnn_winograd **out, mq_error *error) {
    *out = NULL;
    if (!wanted(spec, direction)) return MQ_OK;
    mq_dnn_winograd *w;
    bool there = false;
    MQ_TRY(mq_alloc(1, sizeof *w, "convolution", &w, error));
    w->dnn = dnn;
    w->spec = *spec;
    w->direction = direction;
    const mq_status status = make(w, &there, error);
    if (status == MQ_OK && there)
        *out = w;
    else
        mq_dnn_winograd_destroy(w);
    return status;
}

static void free_step(step *s) {
    if (s->primitive) dnnl_primitive_destroy(s->primitive);
    if (s->desc) dnnl_primitive_desc_destroy(s->desc);
}

void mq_dnn_winograd_destroy(mq_dnn_winograd *w) {
    if (!w) return;
    dnnl_memory_t all[] = {w->caller[SRC], w->caller[DST], w->blocked[SRC], w->blocked[DST],
                           w->plain,       w->weights,     w->scratchpad};
    free_step(&w->conv);
    free_step(&w->reorder[SRC]);
    free_step(&w->reorder[DST]);
    free_step(&w->reorder_weights);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i]) dnnl_memory_destroy(all[i]);
    if (w->attr) dnnl_primitive_attr_destroy(w->attr);
    mq_free(w->buffer);
    mq_free(w);
}

const char *mq_dnn_winograd_implementation(const mq_dnn_winograd *w) {
    const char *name = NULL;
    return dnnl_primitive_desc_query(w->conv.desc, dnnl_query_impl_info_str, 0, &name) == dnnl_success
               ? name
               : "none";
}

static mq_status point(const mq_dnn_winograd *w, dnnl_memory_t memory, const void *bytes, mq_error *error) {
    MQ_DNN_TRY(dnnl_memory_set_data_handle, &w->spec, error, memory, (void *)(uintptr_t)bytes);
    return MQ_OK;
}

static mq_status reorder(const mq_dnn_winograd *w, const step *r, dnnl_memory_t from, dnnl_memory_t to,
                         mq_error *error) {
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    MQ_DNN_TRY(dnnl_primitive_execute, &w->spec, error, r->primitive, w->dnn->stream, 2, args);
    MQ_DNN_TRY(dnnl_stream_wait, &w->spec, error, w->dnn->stream);
    return MQ_OK;
}

mq_status mq_dnn_winograd_set_weights(mq_dnn_winograd *w, const float *weights, mq_error *error) {
    MQ_TRY(point(w, w->plain, weights, error));
    return reorder(w, &w->reorder_weights, w->plain, w->weights, error);
}

mq_status mq_dnn_winograd_run(mq_dnn_winograd *w, const void *src, const void *dst, float *dw,
                              mq_error *error) {
    char *scratch = w->dnn->scratch; /* may have moved since the last time */
    const void *caller[PLACES] = {src, dst};
    const mq_dnn_direction d = w->direction;
    for (int i = 0; i < PLACES; i++) {
        MQ_TRY(point(w, w->caller[i], caller[i], error));
        MQ_TRY(point(w, w->blocked[i], scratch + w->offset[i], error));
        if (!written(w, i)) MQ_TRY(reorder(w, &w->reorder[i], w->caller[i], w->blocked[i], error));
    }
    MQ_TRY(point(w, w->scratchpad, scratch + w->offset[PLACES], error));
    const dnnl_exec_arg_t args[] = {
        {d == MQ_DNN_BACKWARD_DATA ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, w->blocked[SRC]},
        {d == MQ_DNN_BACKWARD_WEIGHTS ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, w->weights},
        {d == MQ_DNN_FORWARD ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, w->blocked[DST]},
        {DNNL_ARG_SCRATCHPAD, w->scratchpad},
    };
    MQ_DNN_TRY(dnnl_primitive_execute, &w->spec, error, w->conv.primitive, w->dnn->stream, 4, args);
    MQ_DNN_TRY(dnnl_stream_wait, &w->spec, error, w->dnn->stream);
    for (int i = 0; i < PLACES; i++)
        if (written(w, i)) MQ_TRY(reorder(w, &w->reorder[i], w->blocked[i], w->caller[i], error));
    if (d != MQ_DNN_BACKWARD_WEIGHTS) return MQ_OK;
    MQ_TRY(point(w, w->plain, dw, error));
    return reorder(w, &w->reorder_weights, w->weights, w->plain, error);
}
