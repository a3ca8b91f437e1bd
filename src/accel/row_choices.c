/* row_choices.c - fronts of packings, made rows of taps. */
#include "accel/row_choices.h"

#include <string.h>

#include "base/bit_length.h"
#include "base/memory.h"
#include "pack/explorer.h"

static int groups_of(const mq_pack_operand *operand, int count) {
    int most = 0;
    for (int i = 0; i < count; i++)
        if (operand[i].group > most) most = operand[i].group;
    return most + 1;
}

/* The packing with all activations recentred by `zero`, for as many accumulations, if that is exact and can
 * be built. */
static bool with_zero(const mq_packing *p, int zero, mq_packing *out) {
    *out = *p;
    for (int j = 0; j < out->activations; j++) out->activation[j].zero = zero;
    return mq_packing_try(out, p->cycles) && out->class <= MQ_CLASS_II && out->fix != MQ_PORT_EXTRA &&
           mq_packing_finish(out, p->cycles, NULL) == MQ_OK;
}

/* Nothing about b is better than about a. */
static bool beats(const mq_row_choice *a, const mq_row_choice *b) {
    const mq_row_model *x = &a->model, *y = &b->model;
    if (x->weight_groups != y->weight_groups || x->activations != y->activations || x->pieces > y->pieces ||
        x->longest < y->longest || x->repair > y->repair || x->shared > y->shared || x->span > y->span ||
        x->word > y->word)
        return false;
    for (int v = 0; v < x->coefficients; v++)
        if (x->terms[v] > y->terms[v]) return false;
    return true;
}

static mq_status add(mq_row_choices *set, const mq_row_choice *one, mq_error *error) {
    int kept = 0;
    for (int i = 0; i < set->count; i++)
        if (beats(&set->choice[i], one)) return MQ_OK;
    for (int i = 0; i < set->count; i++)
        if (!beats(one, &set->choice[i])) {
            if (kept != i) set->choice[kept] = set->choice[i];
            kept++;
        }
    set->count = kept;
    if (set->count == set->room) {
        int room = set->room ? 2 * set->room : 16;
        MQ_TRY(
            mq_resize((size_t)set->room, (size_t)room, sizeof *set->choice, "packings", &set->choice, error));
        set->room = room;
    }
    set->choice[set->count++] = *one;
    return MQ_OK;
}

static mq_status consider(mq_row_choices *set, int kernel, const mq_pack_piece *const *piece,
                          const int *count, int kinds, int zero, mq_error *error) {
    mq_row_choice one = {.kinds = kinds};
    int taps[MQ_BUILT_PIECES];
    const mq_packing *packing[MQ_BUILT_PIECES];
    for (int i = 0; i < kinds; i++) {
        one.piece[i] = (mq_plan_piece){.count = count[i], .taps = piece[i]->taps};
        if (!with_zero(&piece[i]->packing, zero, &one.piece[i].packing)) return MQ_OK;
        taps[i] = piece[i]->taps;
        packing[i] = &one.piece[i].packing;
    }
    mq_row_model_make(kernel, kinds, count, taps, packing, &one.model);
    one.mults = (double)kernel * one.model.weight_groups * one.model.activations / one.model.pieces;
    return add(set, &one, error);
}

static bool together(const mq_packing *p, const mq_packing *q) {
    return p->activations == q->activations &&
           groups_of(p->activation, p->activations) == groups_of(q->activation, q->activations) &&
           groups_of(p->weight, p->weights) == groups_of(q->weight, q->weights);
}

/* Rows of one kind of piece, or of two. */
static mq_status add_rows(mq_row_choices *set, const mq_pack_front *front, int kernel, bool depthwise,
                          int abit, mq_error *error) {
    const int half = 1 << (abit - 1), zeros[] = {0, half, half - 1};
    for (size_t z = 0; z < (half > 1 ? 3 : 2); z++)
        for (int i = 0; i < front->count; i++) {
            const mq_pack_piece *one = &front->piece[i];
            if (depthwise && one->groups != 1) continue;
            const int count = (kernel + one->taps - 1) / one->taps;
            MQ_TRY(consider(set, kernel, &one, &count, 1, zeros[z], error));
            for (int j = 0; j < front->count; j++) {
                const mq_pack_piece *other = &front->piece[j];
                if (other->taps >= one->taps || (depthwise && other->groups != 1) ||
                    !together(&one->packing, &other->packing))
                    continue;
                for (int n = 1; n * one->taps < kernel; n++) {
                    int rest = kernel - n * one->taps;
                    if (rest % other->taps) continue;
                    MQ_TRY(consider(set, kernel, (const mq_pack_piece *[]){one, other},
                                    (int[]){n, rest / other->taps}, 2, zeros[z], error));
                }
            }
        }
    return MQ_OK;
}

mq_status mq_row_choices_make(mq_pack_explorer *explorer, const mq_dsp *dsp, const mq_inet *net, int node,
                              mq_row_choices *out, mq_error *error) {
    static const int64_t cycles[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 48, 96};
    mq_layer_shape s = mq_layer_shape_of(net, node);
    const mq_inet_node *n = &net->nodes[node];
    const mq_inet_edge *in = &net->nodes[n->input[0]].edge;
    *out = (mq_row_choices){0};
    if (in->low < 0 || in->high >= 1 << MQ_PACK_BITS) return MQ_OK;
    int abit = in->high > 0 ? mq_bit_length(in->high) : 1;
    if (in->bits > abit && in->bits <= MQ_PACK_BITS) abit = in->bits;
    bool narrow = n->kind == MQ_INET_LINEAR ? n->linear.weight_narrow : n->conv.weight_narrow;
    int taps = s.kernel_w < MQ_PACK_TAPS ? s.kernel_w : MQ_PACK_TAPS;
    mq_status status = MQ_OK;
    for (size_t i = 0; i < sizeof cycles / sizeof *cycles && status == MQ_OK; i++) {
        const mq_pack_front *front;
        mq_pack_query query = {*dsp,
                               mq_pack_weight_codes(s.weight_bits, narrow && s.weight_bits > 1),
                               mq_pack_activation_codes(abit),
                               taps,
                               s.depthwise ? taps : 0,
                               MQ_CLASS_II,
                               cycles[i]};
        status = mq_pack_explorer_solve(explorer, &query, NULL, &front, error);
        if (status == MQ_OK) status = add_rows(out, front, s.kernel_w, s.depthwise, abit, error);
    }
    if (status != MQ_OK) mq_row_choices_free(out);
    return status;
}

void mq_row_choices_free(mq_row_choices *choices) {
    mq_free(choices->choice);
    *choices = (mq_row_choices){0};
}
