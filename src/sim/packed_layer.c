/* packed_layer.c - a convolution as the slices do it.
 *
 * Every piece of a kernel row stands in slices of its own. A piece of several taps takes a block of input
 * pixels: the field of weight step s and activation step p is the output at (block + p) + s, counted from the
 * far tap. A piece of one tap takes a block of output pixels and the input that this tap sees there. Slices
 * stand in cascade over kernel rows, then input channels; after `chain` of them P is split, the zero points'
 * share (z * sum of weights) is added, and the fields go to their outputs. Outside the image codes are 0, fed
 * like any other.
 *
 * Beside each split the plain sums of the same products are formed: the first that differs ends the run. */
#include "sim/packed_layer.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"

/* One piece at its place in the kernel row. */
typedef struct piece {
    const mq_packing *p;
    int taps, first_tap;
    int weight_groups, pixel_groups, pixels; /* pixels: of one group */
    bool rows;                               /* several taps: blocks of input pixels */
    int32_t *weight;                         /* [group][og][channel][ky][weights of the packing] */
    int64_t *word;                           /* [group][og][channel][ky] */
} piece;

struct mq_packed_layer {
    const mq_sim_reference *sim;
    int node, chain, pieces;
    int channels, outputs; /* of one group */
    bool parity;           /* some field overlaps: low bits must be known */
    piece *piece;
};

static int groups_of(const mq_pack_operand *operand, int count) {
    int most = 0;
    for (int i = 0; i < count; i++)
        if (operand[i].group > most) most = operand[i].group;
    return most + 1;
}

static int steps_of(const mq_pack_operand *operand, int count) {
    int most = 0;
    for (int i = 0; i < count; i++)
        if (operand[i].step > most) most = operand[i].step;
    return most + 1;
}

static const mq_sim_layer *shape(const mq_packed_layer *l) {
    return &l->sim->layer[l->node];
}

static size_t blocks_of(int count, int each) {
    return (size_t)((count + each - 1) / each);
}

/* Weight i of the packing in output group og: which output channel and tap. */
static mq_status pack_weights(mq_packed_layer *l, piece *q, mq_error *error) {
    const mq_sim_layer *s = shape(l);
    size_t ogs = blocks_of(l->outputs, q->weight_groups);
    size_t words = (size_t)s->groups * ogs * (size_t)l->channels * (size_t)s->kernel_h, n = 0;
    MQ_TRY(mq_alloc(words * (size_t)q->p->weights, sizeof *q->weight, "packed weights", &q->weight, error));
    MQ_TRY(mq_alloc(words, sizeof *q->word, "packed weights", &q->word, error));
    for (int g = 0; g < s->groups; g++)
        for (size_t og = 0; og < ogs; og++)
            for (int c = 0; c < l->channels; c++)
                for (int ky = 0; ky < s->kernel_h; ky++, n++) {
                    int32_t *w = q->weight + n * (size_t)q->p->weights;
                    for (int i = 0; i < q->p->weights; i++) {
                        const mq_pack_operand *o = &q->p->weight[i];
                        int output = (int)og * q->weight_groups + o->group;
                        int kx = q->first_tap + q->taps - 1 - o->step;
                        if (output >= l->outputs || kx >= s->kernel_w) continue; /* no such weight: 0 */
                        size_t at = ((size_t)(ky * s->kernel_w + kx)) * (size_t)l->channels + (size_t)c;
                        w[i] = s->weight[(size_t)(g * l->outputs + output) * s->taps + at];
                    }
                    q->word[n] = mq_pack_weights_word(q->p, w);
                }
    return MQ_OK;
}

/* The plan's pieces in their order along the row; a linear layer's kernel is one tap wide in the plan, and
 * every column of its input a tap of its own here. */
static mq_status place_pieces(mq_packed_layer *l, const mq_plan_layer *plan, mq_error *error) {
    const mq_sim_layer *s = shape(l);
    bool linear = l->sim->net->nodes[l->node].kind == MQ_INET_LINEAR;
    int repeat = linear ? s->kernel_w : 1, tap = 0, n = 0;
    for (int i = 0; i < plan->kinds; i++) l->pieces += plan->piece[i].count * repeat;
    MQ_TRY(mq_alloc((size_t)l->pieces, sizeof *l->piece, "packed layer", &l->piece, error));
    for (int r = 0; r < repeat; r++)
        for (int i = 0; i < plan->kinds; i++)
            for (int k = 0; k < plan->piece[i].count; k++, n++) {
                const mq_packing *p = &plan->piece[i].packing;
                l->piece[n] = (piece){.p = p,
                                      .taps = plan->piece[i].taps,
                                      .first_tap = tap,
                                      .weight_groups = groups_of(p->weight, p->weights),
                                      .pixel_groups = groups_of(p->activation, p->activations),
                                      .pixels = steps_of(p->activation, p->activations),
                                      .rows = plan->piece[i].taps > 1};
                tap += plan->piece[i].taps;
                for (int f = 0; f < p->fields; f++) l->parity |= p->field[f].overlap > 0;
                MQ_TRY(pack_weights(l, &l->piece[n], error));
            }
    return MQ_OK;
}

mq_status mq_packed_layer_create(const mq_sim_reference *sim, int n, const mq_plan_layer *plan,
                                 mq_packed_layer **out, mq_error *error) {
    mq_packed_layer *l;
    *out = NULL;
    MQ_TRY(mq_alloc(1, sizeof *l, "packed layer", &l, error));
    l->sim = sim;
    l->node = n;
    l->chain = plan->chain;
    const mq_inet_node *node = &sim->net->nodes[n];
    l->channels = mq_sim_edge(sim, node->input[0])->c / sim->layer[n].groups;
    l->outputs = node->edge.c / sim->layer[n].groups;
    mq_status status = place_pieces(l, plan, error);
    if (status != MQ_OK) {
        mq_packed_layer_free(l);
        return status;
    }
    *out = l;
    return MQ_OK;
}

void mq_packed_layer_free(mq_packed_layer *l) {
    if (!l) return;
    for (int i = 0; l->piece && i < l->pieces; i++) {
        mq_free(l->piece[i].weight);
        mq_free(l->piece[i].word);
    }
    mq_free(l->piece);
    mq_free(l);
}

/* ---- running ---- */

/* Where a block stands. */
typedef struct place {
    const piece *q;
    int group, og, y, block;
} place;

typedef struct cascade {
    int64_t p;
    int done, length; /* slices so far, and in this cascade */
    uint8_t known[MQ_PACK_FIELDS];
    int64_t plain[MQ_PACK_FIELDS], shift[MQ_PACK_FIELDS]; /* sums of w*(a-z); of w*z */
} cascade;

/* The code that activation j of the packing is fed. */
static int32_t code_at(const mq_packed_layer *l, const place *at, const int64_t *codes, int channel, int ky,
                       int j) {
    const mq_sim_layer *s = shape(l);
    const mq_inet_edge *in = mq_sim_edge(l->sim, l->sim->net->nodes[l->node].input[0]);
    const mq_pack_operand *o = &at->q->p->activation[j];
    int pixel = at->block * at->q->pixel_groups * at->q->pixels + o->group * at->q->pixels + o->step;
    int column = at->q->rows ? pixel : pixel * s->stride_w - s->pad_left + at->q->first_tap;
    int row = at->y * s->stride_h - s->pad_top + ky;
    if (!at->q->rows && pixel >= l->sim->net->nodes[l->node].edge.w) return 0;
    if (row < 0 || row >= in->h || column < 0 || column >= in->w) return 0;
    return (int32_t)codes[((size_t)row * (size_t)in->w + (size_t)column) * (size_t)in->c +
                          (size_t)(at->group * l->channels + channel)];
}

/* Output column of a field. */
static int column_of(const mq_packed_layer *l, const place *at, const mq_pack_field *f) {
    int pixel =
        at->block * at->q->pixel_groups * at->q->pixels + f->activation_group * at->q->pixels + f->step;
    return at->q->rows ? pixel - at->q->first_tap - (at->q->taps - 1) + shape(l)->pad_left : pixel;
}

/* One slice: its operands to the ports, P from the one before. */
static mq_status slice(const mq_packed_layer *l, const place *at, cascade *c, const int32_t *w, int64_t word,
                       const int32_t *a, mq_error *error) {
    const mq_packing *p = at->q->p;
    mq_dsp_inputs in;
    mq_pack_ports(p, word, mq_pack_raw_word(p, a), &in);
    in.w = c->done == 0 ? mq_pack_bias(p, c->length) : 0;
    in.pcin = c->done == 0 ? 0 : c->p;
    if (!mq_dsp_eval(&p->dsp, &in, &c->p)) return mq_dsp_check(&p->dsp, &in, error);
    if (l->parity) mq_pack_know(p, w, a, c->known);
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++) {
            int f = p->field_of[i][j], zero = p->activation[j].zero;
            c->plain[f] += (int64_t)w[i] * (a[j] - zero);
            c->shift[f] += (int64_t)w[i] * zero;
        }
    c->done++;
    return MQ_OK;
}

/* Splits P and gives the fields to their outputs: acc [column][output channels of the layer]. */
static mq_status split(const mq_packed_layer *l, const place *at, const cascade *c, int64_t *acc,
                       mq_error *error) {
    const mq_packing *p = at->q->p;
    const mq_inet_edge *out = &l->sim->net->nodes[l->node].edge;
    int64_t sums[MQ_PACK_FIELDS];
    mq_pack_decode(p, c->p, c->known, c->length, sums);
    for (int f = 0; f < p->fields; f++) {
        int output = at->og * at->q->weight_groups + p->field[f].weight_group;
        int column = column_of(l, at, &p->field[f]);
        if (sums[f] != c->plain[f])
            return mq_fail(
                error, MQ_CHECK_FAILED,
                "output channel %d, row %d, column %d, taps from %d: %d packed products give %" PRId64
                " in field %d, plain ones %" PRId64,
                at->group * l->outputs + output, at->y, column, at->q->first_tap, c->length, sums[f], f,
                c->plain[f]);
        if (output >= l->outputs || column < 0 || column >= out->w) continue;
        acc[(size_t)column * (size_t)out->c + (size_t)(at->group * l->outputs + output)] +=
            sums[f] + c->shift[f];
    }
    return MQ_OK;
}

/* All products of one output block and one output group. codes: what every slice is fed,
 * [channel][ky][activations]. */
static mq_status block(const mq_packed_layer *l, const place *at, const int32_t *fed, int64_t *acc,
                       mq_error *error) {
    const mq_packing *p = at->q->p;
    int total = l->channels * shape(l)->kernel_h;
    size_t ogs = blocks_of(l->outputs, at->q->weight_groups);
    size_t first = ((size_t)at->group * ogs + (size_t)at->og) * (size_t)total;
    for (int done = 0; done < total;) {
        cascade c = {.length = total - done < l->chain ? total - done : l->chain};
        for (int k = 0; k < c.length; k++, done++) {
            size_t n = first + (size_t)done;
            MQ_TRY(slice(l, at, &c, at->q->weight + n * (size_t)p->weights, at->q->word[n],
                         fed + (size_t)done * (size_t)p->activations, error));
        }
        MQ_TRY(split(l, at, &c, acc, error));
    }
    return MQ_OK;
}

/* One output row of one piece: every block of pixels, every group of output channels. */
static mq_status row(const mq_packed_layer *l, const piece *q, int y, const int64_t *codes, int32_t *fed,
                     int64_t *acc, mq_error *error) {
    const mq_sim_layer *s = shape(l);
    const mq_inet_node *node = &l->sim->net->nodes[l->node];
    int width = q->rows ? mq_sim_edge(l->sim, node->input[0])->w : node->edge.w;
    size_t blocks = blocks_of(width, q->pixel_groups * q->pixels),
           ogs = blocks_of(l->outputs, q->weight_groups);
    place at = {.q = q, .y = y};
    for (at.group = 0; at.group < s->groups; at.group++)
        for (at.block = 0; at.block < (int)blocks; at.block++) {
            int32_t *to = fed;
            for (int c = 0; c < l->channels; c++)
                for (int ky = 0; ky < s->kernel_h; ky++)
                    for (int j = 0; j < q->p->activations; j++) *to++ = code_at(l, &at, codes, c, ky, j);
            for (at.og = 0; at.og < (int)ogs; at.og++) MQ_TRY(block(l, &at, fed, acc, error));
        }
    return MQ_OK;
}

mq_status mq_packed_layer_run(const mq_packed_layer *l, mq_sim_work *work, mq_error *error) {
    const mq_inet_node *node = &l->sim->net->nodes[l->node];
    const int64_t *codes = mq_sim_codes(l->sim, work, node->input[0]);
    int64_t *acc = mq_sim_codes(l->sim, work, l->node);
    size_t pixels = (size_t)node->edge.h * (size_t)node->edge.w, channels = (size_t)node->edge.c;
    int32_t *fed;
    MQ_TRY(mq_alloc((size_t)(l->channels * shape(l)->kernel_h) * MQ_PACK_OPERANDS, sizeof *fed,
                    "packed operands", &fed, error));
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++) acc[i * channels + c] = shape(l)->bias ? shape(l)->bias[c] : 0;
    mq_status status = MQ_OK;
    for (int i = 0; i < l->pieces && status == MQ_OK; i++)
        for (int y = 0; y < node->edge.h && status == MQ_OK; y++)
            status =
                row(l, &l->piece[i], y, codes, fed, acc + (size_t)y * (size_t)node->edge.w * channels, error);
    mq_free(fed);
    return status;
}
