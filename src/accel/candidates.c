/* candidates.c - enumeration of a layer's candidates, port by port. */
#include "accel/candidates.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    MOST_BLOCKS = 12,
    MOST_NPX = 64,
    MOST_ROM = 256,      /* words of weights kept in LUTs */
    MANY_CHANNELS = 128, /* from here on fewer widths are tried */
    MOST_ZEROS = 8,
    NUMBERS = 1024
};

/* A sorted set of small numbers. */
typedef struct numbers {
    int count, of[NUMBERS];
} numbers;

/* One row of pieces (or LUTs), so many blocks wide. */
typedef struct variant {
    int row, blocks, npx, acc_bits;
    bool affine;
} variant;

typedef struct enumeration {
    mq_candidates *out;
    const mq_candidate_limits *limits;
    int room, first; /* of the ports being filled */
    numbers simd, pe, npx;
    int variants, variant_room;
    variant *variant;
    double *trees; /* [variants][kernel rows divisors * simd], by slices; < 0 unknown */
    int most_slices;
    mq_error *error;
} enumeration;

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

static int round_up(int a, int b) {
    return ceil_div(a, b) * b;
}

static void insert(numbers *set, int n) {
    int at = 0;
    while (at < set->count && set->of[at] < n) at++;
    if ((at < set->count && set->of[at] == n) || set->count == NUMBERS) return;
    memmove(set->of + at + 1, set->of + at, (size_t)(set->count - at) * sizeof *set->of);
    set->of[at] = n;
    set->count++;
}

/* The smallest number of channels for every fold. */
static void natural(numbers *set, int channels) {
    for (int n = 1; n <= channels; n++) {
        int size = ceil_div(channels, n);
        insert(set, size);
        n = ceil_div(channels, size);
        while (n < channels && ceil_div(channels, n + 1) == size) n++;
    }
}

/* And the next multiples of small numbers, so that words and beats divide. */
static void with_multiples(numbers *set, int channels) {
    static const int few[] = {2, 4}, many[] = {2, 4, 8};
    const numbers base = *set;
    bool large = channels > MANY_CHANNELS;
    for (int i = 0; i < base.count; i++)
        for (size_t k = 0; k < (large ? sizeof few : sizeof many) / sizeof(int); k++) {
            int n = round_up(base.of[i], large ? few[k] : many[k]);
            if (n <= channels) insert(set, n);
        }
}

/* ---- requantisers ---- */

static int signed_bits(__int128 v) {
    int bits = 1;
    for (__int128 rest = v < 0 ? ~v : v; rest; rest >>= 1) bits++;
    return bits;
}

/* Every requantiser of the layer in DSP48 slices: 27 x 18 bits, a sum of 48. */
static bool affine_fits(const mq_layer_shape *s, int zero, int acc_bits) {
    const mq_inet_node *layer = &s->net->nodes[s->node];
    const int8_t *weight = layer->kind == MQ_INET_LINEAR ? layer->linear.weight : layer->conv.weight;
    size_t per = mq_inet_weight_count(s->net, layer) / (size_t)layer->edge.c;
    const __int128 least = -((__int128)1 << (acc_bits - 1));
    if (acc_bits > 27) return false;
    for (int k = s->node + 1; k < s->net->node_count; k++) {
        const mq_inet_node *n = &s->net->nodes[k];
        if (n->kind != MQ_INET_REQUANT || n->input[0] != s->node) continue;
        const mq_inet_requant *r = &n->requant;
        int inc_bits = 1, sum_bits = 1;
        for (int c = 0; c < n->edge.c; c++) {
            if (r->rule && r->rule[c] != MQ_INET_AFFINE) return false;
            int64_t sum = 0;
            for (size_t i = 0; i < per && zero; i++) sum += weight[(size_t)c * per + i];
            const __int128 bias = (__int128)r->bias[c] + (__int128)zero * sum * r->inc[c],
                           words[] = {bias, least * r->inc[c] + bias, (-least - 1) * r->inc[c] + bias};
            for (int i = 0; i < 3; i++)
                if (signed_bits(words[i]) > sum_bits) sum_bits = signed_bits(words[i]);
            if (signed_bits(r->inc[c]) > inc_bits) inc_bits = signed_bits(r->inc[c]);
        }
        if (sum_bits > 48 || (inc_bits > 18 && (inc_bits > 27 || acc_bits > 18))) return false;
    }
    return true;
}

/* ---- variants ---- */

static mq_status add_variant(enumeration *e, int row, int zero, int activations) {
    const mq_layer_shape *s = &e->out->shape;
    static const variant none = {0};
    variant v = none;
    v.row = row;
    v.acc_bits = mq_layer_acc_bits(s, zero);
    v.affine = affine_fits(s, zero, v.acc_bits);
    int across = ceil_div(s->in_w, activations);
    numbers blocks = {0};
    natural(&blocks, across);
    for (int i = 0; i < blocks.count; i++) {
        v.blocks = blocks.of[i];
        v.npx = v.blocks * activations;
        bool fixed = e->limits->fixed.pe > 0;
        if (v.blocks > MOST_BLOCKS || v.npx > MOST_NPX || v.npx < s->lead || (fixed && v.blocks > 1))
            continue;
        if (e->variants == e->variant_room) {
            int room = e->variant_room ? 2 * e->variant_room : 64;
            MQ_TRY(mq_resize((size_t)e->variant_room, (size_t)room, sizeof *e->variant, "candidates",
                             &e->variant, e->error));
            e->variant_room = room;
        }
        e->variant[e->variants++] = v;
        insert(&e->npx, v.npx);
    }
    return MQ_OK;
}

/* ---- candidates of equal ports ---- */

static bool beats(const mq_candidate *a, const mq_candidate *b) {
    if (a->cycles > b->cycles) return false;
    for (int i = 0; i < MQ_RESOURCES; i++)
        if (a->used[i] > b->used[i]) return false;
    return true;
}

static mq_status add(enumeration *e, const mq_candidate *one) {
    mq_candidates *set = e->out;
    int kept = e->first;
    for (int i = e->first; i < set->count; i++)
        if (beats(&set->item[i], one)) return MQ_OK;
    for (int i = e->first; i < set->count; i++)
        if (!beats(one, &set->item[i])) set->item[kept++] = set->item[i];
    set->count = kept;
    if (set->count == e->room) {
        int room = e->room ? 2 * e->room : 1024;
        MQ_TRY(
            mq_resize((size_t)e->room, (size_t)room, sizeof *set->item, "candidates", &set->item, e->error));
        e->room = room;
    }
    set->item[set->count++] = *one;
    return MQ_OK;
}

static int least_lanes(int results, int needed) {
    for (int n = needed < 1 ? 1 : needed; n < results; n++)
        if (results % n == 0) return n;
    return results;
}

/* Requantiser and memory of one variant. */
static mq_status finish(enumeration *e, mq_candidate *c, const variant *v, mq_fold *f) {
    const mq_layer_shape *s = &e->out->shape;
    const mq_row_model *r = v->row < 0 ? NULL : &e->out->rows.choice[v->row].model;
    int slices = (s->depthwise ? 1 : f->simd) * f->rows;
    double *trees = &e->trees[(size_t)(v - e->variant) * (size_t)(e->most_slices + 1) + (size_t)slices];
    if (r && *trees < 0) *trees = mq_model_trees(r, f, slices);
    for (int q = MQ_PLAN_NO_REQUANT; q < MQ_PLAN_REQUANTS; q++) {
        if ((q == MQ_PLAN_NO_REQUANT) != (s->requants == 0)) continue;
        if (q == MQ_PLAN_THRESHOLD && s->code_bits > MQ_THRESHOLD_BITS && v->affine) continue;
        if (q == MQ_PLAN_AFFINE && !v->affine) continue;
        f->requant = (mq_plan_requant)q;
        f->lanes =
            q == MQ_PLAN_AFFINE ? least_lanes(f->pe * f->out_pixels, ceil_div(f->pe * f->npx, f->steps)) : 0;
        for (int m = 0; m < MQ_PLAN_MEMORIES; m++) {
            if (m == MQ_PLAN_LUT_ROM && f->groups * f->steps > MOST_ROM) continue;
            f->memory = (mq_plan_memory)m;
            mq_resources used = mq_model_layer_with(s, r, f, r ? *trees : 0);
            if (!mq_resources_fit(&used, &e->limits->budget)) continue;
            c->requant = (uint8_t)q;
            c->lanes = (int16_t)f->lanes;
            c->memory = (uint8_t)m;
            for (int i = 0; i < MQ_RESOURCES; i++) c->used[i] = (int32_t)used.of[i];
            MQ_TRY(add(e, c));
        }
    }
    return MQ_OK;
}

/* More pixels a beat than needed pay only where they save slices, or where streams are joined. */
static bool worth(const enumeration *e, const mq_fold *f, int out_pixels) {
    int least = f->npx, needed = ceil_div(f->pe * f->npx, f->steps);
    for (int d = f->npx; d >= 1; d--)
        if (f->npx % d == 0 && f->npx / d <= f->steps) least = d;
    if (out_pixels == least || e->limits->all_beats) return true;
    return e->out->shape.requants > 0 &&
           least_lanes(f->pe * out_pixels, needed) < least_lanes(f->pe * least, needed);
}

static mq_status fill_ports(enumeration *e, const mq_ports *ports) {
    const mq_layer_shape *s = &e->out->shape;
    e->first = e->out->count;
    for (int i = 0; i < e->variants; i++) {
        const variant *v = &e->variant[i];
        if (v->npx != ports->npx) continue;
        const mq_row_choice *row = v->row < 0 ? NULL : &e->out->rows.choice[v->row];
        int groups_of_weights = row ? row->model.weight_groups : 1;
        int least = round_up(ceil_div(s->out_c, ceil_div(s->out_c, ports->pe)), groups_of_weights);
        if (s->depthwise || e->limits->fixed.pe ? ports->pe % groups_of_weights : ports->pe != least)
            continue;
        for (int rows = 1; rows <= s->kernel_h; rows++) {
            if (s->kernel_h % rows) continue;
            int simd = s->depthwise ? 1 : ports->word;
            if (e->limits->fixed.lanes > 0 && simd * rows != e->limits->fixed.lanes) continue;
            mq_fold f = {.multiplier = row ? MQ_PLAN_DSP : MQ_PLAN_LUT,
                         .simd = simd,
                         .pe = ports->pe,
                         .rows = rows,
                         .blocks = v->blocks,
                         .out_pixels = ports->out_pixels,
                         .npx = v->npx,
                         .acc_bits = v->acc_bits,
                         .in_pixels = 1};
            f.groups = ceil_div(s->out_c, f.pe);
            f.in_blocks = ceil_div(s->in_w, f.npx);
            f.steps = (s->depthwise ? 1 : ceil_div(s->in_c, simd)) * (s->kernel_h / rows);
            f.in_channels = ports->share ? ports->share * ports->word : ports->word;
            if (f.npx / f.out_pixels > f.steps || !worth(e, &f, f.out_pixels)) continue;
            int slices = simd * rows,
                chains =
                    row ? ceil_div(slices, (int)(row->model.longest < slices ? row->model.longest : slices))
                        : slices;
            f.chain = ceil_div(slices, chains);
            int64_t products = (int64_t)slices * f.blocks * (f.pe / groups_of_weights);
            if (row ? products * row->model.pieces > e->limits->budget.of[MQ_RES_DSP]
                    : (double)(products * s->kernel_w) > (double)e->limits->budget.of[MQ_RES_LUT])
                continue;
            mq_candidate c = {.ports = *ports,
                              .row = (int16_t)v->row,
                              .simd = (int16_t)simd,
                              .rows = (int16_t)rows,
                              .blocks = (int16_t)v->blocks,
                              .chain = (int16_t)f.chain};
            c.cycles = (int64_t)s->out_h * f.groups * f.in_blocks * f.steps +
                       (s->lead > 0 && s->pad_right > 0 ? f.steps : 0);
            MQ_TRY(finish(e, &c, v, &f));
        }
    }
    return MQ_OK;
}

/* ---- all ports ---- */

static mq_status fill_word(enumeration *e, int word, int share, int most_out) {
    mq_ports ports = {.word = (int16_t)word, .share = (int16_t)share};
    const mq_layer_shape *s = &e->out->shape;
    for (int n = 0; n < e->npx.count; n++)
        for (int p = 0; p < e->pe.count; p++) {
            if (s->depthwise && e->pe.of[p] != word) continue;
            ports.npx = (int16_t)e->npx.of[n];
            ports.pe = (int16_t)e->pe.of[p];
            for (int d = 1; d <= ports.npx && d <= most_out; d++) {
                if (ports.npx % d) continue;
                ports.out_pixels = (int16_t)d;
                MQ_TRY(fill_ports(e, &ports));
            }
        }
    return MQ_OK;
}

static void choose_numbers(enumeration *e) {
    const mq_layer_shape *s = &e->out->shape;
    const mq_accel_fixed *fixed = &e->limits->fixed;
    natural(&e->pe, s->out_c);
    if (s->depthwise) {
        with_multiples(&e->pe, s->out_c);
    } else {
        numbers base = e->pe;
        for (int i = 0; i < base.count; i++)
            for (int g = 2; g <= 6; g++) insert(&e->pe, round_up(base.of[i], g));
        natural(&e->simd, s->in_c);
        with_multiples(&e->simd, s->in_c);
    }
    if (fixed->pe > 0) e->pe = (numbers){1, {fixed->pe}};
    if (fixed->lanes > 0 && !s->depthwise) {
        e->simd = (numbers){0};
        for (int rows = 1; rows <= s->kernel_h; rows++)
            if (s->kernel_h % rows == 0 && fixed->lanes % rows == 0) { /* as many rows as divide */
                e->simd = (numbers){1, {fixed->lanes / rows}};
            }
    }
    const numbers *words = s->depthwise ? &e->pe : &e->simd;
    e->most_slices = s->depthwise ? s->kernel_h : words->of[words->count - 1] * s->kernel_h;
}

static mq_status enumerate(enumeration *e) {
    mq_candidates *out = e->out;
    const mq_layer_shape *s = &out->shape;
    const mq_inet_node *n = &s->net->nodes[s->node];
    const mq_inet_node *from = &s->net->nodes[n->input[0]];
    choose_numbers(e);
    for (int i = 0; i < out->rows.count && (e->limits->multipliers & MQ_ACCEL_DSP); i++)
        MQ_TRY(add_variant(e, i, out->rows.choice[i].model.zero, out->rows.choice[i].model.activations));
    if ((e->limits->multipliers & MQ_ACCEL_LUT) || out->rows.count == 0) MQ_TRY(add_variant(e, -1, 0, 1));
    if (e->variants == 0) return MQ_OK;
    size_t trees = (size_t)e->variants * (size_t)(e->most_slices + 1);
    MQ_TRY(mq_alloc(trees, sizeof *e->trees, "candidates", &e->trees, e->error));
    for (size_t i = 0; i < trees; i++) e->trees[i] = -1;
    const numbers *words = s->depthwise ? &e->pe : &e->simd;
    static const int shares[] = {2, 4};
    for (int i = 0; i < words->count; i++) {
        int word = words->of[i];
        MQ_TRY(fill_word(e, word, 0, MOST_NPX));
        if (s->linear) continue; /* beats of any width, a word at a time */
        bool image = from->kind == MQ_INET_IMAGE;
        for (size_t k = 0; k < sizeof shares / sizeof *shares && !image; k++)
            if (word * shares[k] <= round_up(from->edge.c, 8))
                MQ_TRY(fill_word(e, word, shares[k], MOST_NPX));
        if (image && word < from->edge.c && from->edge.c % word == 0)
            MQ_TRY(fill_word(e, word, from->edge.c / word, MOST_NPX));
    }
    return MQ_OK;
}

mq_status mq_candidates_make(mq_pack_explorer *explorer, const mq_dsp *dsp, const mq_inet *net, int node,
                             const mq_candidate_limits *limits, mq_candidates *out, mq_error *error) {
    *out = (mq_candidates){.node = node, .shape = mq_layer_shape_of(net, node)};
    enumeration *e;
    MQ_TRY(mq_row_choices_make(explorer, dsp, net, node, &out->rows, error));
    mq_status status = mq_alloc(1, sizeof *e, "candidates", &e, error);
    if (status == MQ_OK) {
        e->out = out;
        e->limits = limits;
        e->error = error;
        status = enumerate(e);
        mq_free(e->variant);
        mq_free(e->trees);
        mq_free(e);
    }
    if (status != MQ_OK) mq_candidates_free(out);
    return status;
}

void mq_candidates_free(mq_candidates *candidates) {
    mq_row_choices_free(&candidates->rows);
    mq_free(candidates->item);
    *candidates = (mq_candidates){0};
}

bool mq_ports_take(const mq_candidates *layer, const mq_ports *ports, const mq_stream *in) {
    if (layer->shape.linear)
        return in->channels * in->pixels % ports->word == 0 && in->c % in->channels == 0 &&
               in->w % in->pixels == 0;
    if (ports->npx % in->pixels) return false;
    return ports->share ? in->channels == ports->share * ports->word : ports->word % in->channels == 0;
}

void mq_candidate_plan(const mq_candidates *layer, const mq_candidate *one, mq_plan_layer *out) {
    *out = (mq_plan_layer){.node = layer->node,
                           .multiplier = one->row < 0 ? MQ_PLAN_LUT : MQ_PLAN_DSP,
                           .chain = one->row < 0 ? 1 : one->chain,
                           .simd = one->simd,
                           .pe = one->ports.pe,
                           .rows = one->rows,
                           .blocks = one->blocks,
                           .out_pixels = one->ports.out_pixels,
                           .requant = (mq_plan_requant)one->requant,
                           .lanes = one->lanes,
                           .memory = (mq_plan_memory)one->memory};
    if (one->row < 0) return;
    const mq_row_choice *row = &layer->rows.choice[one->row];
    out->kinds = row->kinds;
    for (int i = 0; i < row->kinds; i++) out->piece[i] = row->piece[i];
}
