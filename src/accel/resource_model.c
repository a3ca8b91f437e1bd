/* resource_model.c - constants and formulas of the resource model. */
#include "accel/resource_model.h"

#include <math.h>

#include "accel/weight_word.h"
#include "base/bit_length.h"

/* What is not counted from the structure. "layers" are the synthesised ones of docs/accelerator.md (Yosys
 * 0.23, synth_xilinx -family xcup): 96 slices with line buffer, control, requantiser and FIFO. */
static const struct {
    double control;       /* counters, address and credit logic of a layer; layers less their counted parts */
    double mover_control; /* of pool, reorg, concat, input, output; counted by hand */
    double ff_per_lut;    /* 1.34 .. 1.46 over the layers */
    double ff_per_slice;  /* operands on their way along a cascade; rtl/ w3a3 28, w4a4 20 */
    double tree_margin;   /* bits of a ternary tree's sums over its operands': two carries */
    double hold;          /* LUTs per bit of a result that waits to leave; layers */
    double mux4;          /* row multiplexer, LUTs per bit and 4 rows; one LUT6 */
    double compare;       /* threshold comparison, LUTs per bit; layers: 25 LUTs for 3 stages of 14 bits */
    double clip;          /* of a DSP requantiser, LUTs per slice over its code's bits; layers */
    double shift;         /* beat register in front of shared slices, LUTs per bit; a 2:1 multiplexer */
    double fifo_bit;      /* LUT RAM of 32 words, LUTs per bit: RAM32M16 holds 14 bits in 8 */
    double fifo_control;  /* pointers and credits */
    double ram64_bit;     /* LUT RAM of 64 words: RAM64M8 holds 7 bits in 8 */
    double multiply_add;  /* scale of mq_luts_multiply_add: synthesised dot products of 48 terms */
    double pool_bit;      /* compare and select, LUTs per bit */
    int rom_words;        /* of a LUT as ROM */
    int lut_ram_words;    /* deeper memories are block RAM */
} MODEL = {.control = 235,
           .mover_control = 60,
           .ff_per_lut = 1.42,
           .ff_per_slice = 28,
           .tree_margin = 2,
           .hold = 0.5,
           .mux4 = 1,
           .compare = 0.6,
           .clip = 12,
           .shift = 1,
           .fifo_bit = 8.0 / 14,
           .fifo_control = 25,
           .ram64_bit = 8.0 / 7,
           .multiply_add = 1,
           .pool_bit = 1.5,
           .rom_words = 64,
           .lut_ram_words = 64};

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int groups_of(const mq_pack_operand *operand, int count) {
    int most = 0;
    for (int i = 0; i < count; i++)
        if (operand[i].group > most) most = operand[i].group;
    return most + 1;
}

/* ---- memories ---- */

/* Two that read at once do so 18 bits wide at most. */
static int64_t ram18_of(int64_t width, int64_t depth, bool two_readers) {
    static const struct {
        int64_t width, depth;
    } shapes[] = {{36, 512}, {18, 1024}, {9, 2048}, {4, 4096}, {2, 8192}, {1, 16384}};
    int64_t best = INT64_MAX;
    if (width < 1 || depth < 2) return 0;
    for (size_t i = two_readers; i < sizeof shapes / sizeof *shapes; i++) {
        int64_t n = ceil_div(width, shapes[i].width) * ceil_div(depth, shapes[i].depth);
        if (n < best) best = n;
    }
    return best;
}

int64_t mq_model_ram18(int64_t width, int64_t depth) {
    return ram18_of(width, depth, false);
}

/* Of a shallow ROM no more than all functions of its address. */
static double rom_luts(int64_t width, int64_t depth) {
    if (depth < 2) return 0;
    if (depth < 24 && width > (int64_t)1 << depth) width = (int64_t)1 << depth;
    return (double)width * (double)ceil_div(depth, MODEL.rom_words);
}

/* Written and read: LUT RAM while it is shallow. */
static void add_buffer(int64_t width, int64_t depth, double *luts, int64_t *ram18) {
    if (depth > MODEL.lut_ram_words)
        *ram18 += mq_model_ram18(width, depth);
    else
        *luts += (double)width * (depth > 32 ? MODEL.ram64_bit : MODEL.fifo_bit);
}

static mq_resources resources(int64_t dsp, double luts, int64_t ram18) {
    return (mq_resources){{dsp, (int64_t)ceil(luts), (int64_t)ceil(luts * MODEL.ff_per_lut), ram18}};
}

mq_resources mq_model_fifo(const mq_stream *s, int64_t depth) {
    if (depth < 1) return (mq_resources){{0}};
    double luts = MODEL.fifo_control;
    int64_t ram18 = 0, width = (int64_t)s->channels * s->pixels * s->bits;
    add_buffer(width, depth, &luts, &ram18);
    return resources(0, luts, ram18);
}

/* ---- kernel rows ---- */

void mq_row_model_make(int kernel, int kinds, const int *count, const int *taps,
                       const mq_packing *const *packing, mq_row_model *out) {
    *out = (mq_row_model){.kernel = kernel, .longest = INT64_MAX};
    int first = 0;
    for (int i = 0; i < kinds; i++) {
        const mq_packing *p = packing[i];
        int steps = p->activations / groups_of(p->activation, p->activations);
        out->weight_groups = groups_of(p->weight, p->weights);
        out->activations = p->activations;
        out->zero = p->activation[0].zero;
        out->pieces += count[i];
        out->coefficients = p->activations + kernel - 1;
        int64_t longest = p->fix != MQ_PORT_FITS && !p->dsp.c_with_cascade ? 1 : p->accumulations;
        if (longest < out->longest) out->longest = longest;
        out->repair += (double)count[i] * p->luts;
        if (p->shared_luts > out->shared) out->shared = p->shared_luts;
        out->word += count[i] * mq_weight_word_of(p).bits;
        for (int f = 0; f < p->fields; f++)
            if (p->field[f].high - p->field[f].low > out->span)
                out->span = p->field[f].high - p->field[f].low;
        for (int n = 0; n < count[i]; n++, first += taps[i])
            for (int f = 0; f < p->fields; f++) {
                if (p->field[f].weight_group != 0) continue; /* all output channels alike */
                int v = p->field[f].activation_group * steps + p->field[f].step + kernel - taps[i] - first;
                if (v >= 0 && v < out->coefficients) out->terms[v]++;
            }
    }
}

void mq_row_model_of(const mq_plan_layer *layer, int kernel, mq_row_model *out) {
    int count[MQ_BUILT_PIECES], taps[MQ_BUILT_PIECES];
    const mq_packing *packing[MQ_BUILT_PIECES];
    for (int i = 0; i < layer->kinds; i++) {
        count[i] = layer->piece[i].count;
        taps[i] = layer->piece[i].taps;
        packing[i] = &layer->piece[i].packing;
    }
    mq_row_model_make(kernel, layer->kinds, count, taps, packing, out);
}

/* ---- layers ---- */

mq_layer_shape mq_layer_shape_of(const mq_inet *net, int node) {
    const mq_inet_node *n = &net->nodes[node];
    const mq_inet_edge *in = &net->nodes[n->input[0]].edge;
    mq_layer_shape s = {.net = net, .node = node, .in_bits = in->bits};
    s.out_h = n->edge.h, s.out_w = n->edge.w, s.out_c = n->edge.c;
    s.sum_low = n->edge.low, s.sum_high = n->edge.high;
    if (n->kind == MQ_INET_LINEAR) {
        s.linear = true;
        s.kernel_h = s.kernel_w = s.in_w = 1;
        s.in_c = in->h * in->w * in->c;
        s.weight_bits = n->linear.weight_bits;
    } else {
        const mq_inet_conv *v = &n->conv;
        s.depthwise = v->groups > 1;
        s.kernel_h = v->kernel_h, s.kernel_w = v->kernel_w;
        s.in_w = in->w, s.in_c = in->c;
        s.lead = v->kernel_w - 1 - v->pad_left;
        s.pad_right = v->pad_right;
        s.weight_bits = v->weight_bits;
    }
    for (int k = node + 1; k < net->node_count; k++) {
        const mq_inet_node *r = &net->nodes[k];
        if (r->kind != MQ_INET_REQUANT || r->input[0] != node) continue;
        s.requants++;
        if (r->requant.bits > s.code_bits) s.code_bits = r->requant.bits;
        if (r->inc_bits + r->bias_bits > s.coefficient_bits) s.coefficient_bits = r->inc_bits + r->bias_bits;
    }
    return s;
}

static int signed_bits(int64_t low, int64_t high) {
    int64_t most = high > -(low + 1) ? high : -(low + 1);
    return 1 + (most > 0 ? mq_bit_length(most) : 0);
}

int mq_layer_acc_bits(const mq_layer_shape *s, int zero) {
    const mq_inet_node *n = &s->net->nodes[s->node];
    const int8_t *weight = n->kind == MQ_INET_LINEAR ? n->linear.weight : n->conv.weight;
    size_t per = mq_inet_weight_count(s->net, n) / (size_t)n->edge.c;
    int64_t low = 0, high = 0;
    for (int c = 0; c < n->edge.c; c++) {
        int64_t sum = 0;
        for (size_t i = 0; i < per && zero; i++) sum += weight[(size_t)c * per + i];
        int64_t a = n->edge.channel_low[c] - zero * sum, b = n->edge.channel_high[c] - zero * sum;
        if (a < low) low = a;
        if (b > high) high = b;
    }
    return signed_bits(low, high);
}

/* Ternary adders of one output channel: the last of every coefficient is its accumulator. chains: of a piece.
 */
double mq_model_trees(const mq_row_model *r, const mq_fold *f, int slices) {
    int64_t chains = ceil_div(slices, f->chain);
    int span = mq_bit_length(r->span * f->chain), coefficients = f->npx + r->kernel - 1;
    double luts = 0;
    for (int v = 0; v < coefficients; v++) {
        int terms = 0;
        int first = (v - (r->coefficients - 1)) / r->activations;
        for (int b = first > 0 ? first : 0; b < f->blocks && b * r->activations <= v; b++)
            if (v - b * r->activations < r->coefficients) terms += r->terms[v - b * r->activations];
        double adders = (double)ceil_div(terms * chains, 2);
        luts += (adders > 1 ? adders - 1 : 0) * (span + MODEL.tree_margin) + f->acc_bits;
    }
    return luts;
}

/* Borders between blocks, and results that wait to leave: of one output channel. */
static double border_luts(const mq_layer_shape *s, const mq_fold *f) {
    return (s->kernel_w - 1) * (double)f->acc_bits + MODEL.hold * f->npx * f->acc_bits;
}

/* As mixq_ring builds it: a memory for every row (one for all when one row is read) and every group of the
 * stream that stands beside others in a word; a wider group falls into parts. */
static void add_ring(const mq_layer_shape *s, const mq_fold *f, double *luts, int64_t *ram18) {
    int word = s->depthwise ? f->pe : f->simd, ring_rows = s->kernel_h + 1;
    int arriving = s->linear ? f->in_channels * f->in_pixels : f->in_channels;
    int64_t pixels = s->linear ? 1 : f->npx;
    int64_t banks = word > arriving ? word / arriving : 1, parts = word < arriving ? arriving / word : 1;
    int64_t width = arriving / parts * pixels * s->in_bits, groups = ceil_div(s->in_c, arriving);
    int64_t words = parts > 1 ? groups * parts : ceil_div(groups, banks);
    int64_t depth = words * f->in_blocks * (f->rows > 1 ? 1 : ring_rows),
            memories = banks * (f->rows > 1 ? ring_rows : 1), ram = 0;
    double lut = 0;
    add_buffer(width, depth, &lut, &ram);
    *luts += lut * (double)memories;
    *ram18 += ram * memories;
    if (f->rows > 1) *luts += MODEL.mux4 * (double)(ceil_div(ring_rows, 4) * f->rows * banks * width);
    *luts += (double)((parts - 1) * width) / 3.0;
}

static void add_weights(int64_t words, int64_t bits, int chain, const mq_fold *f, double *luts,
                        int64_t *ram18) {
    int64_t depth = (int64_t)f->groups * f->steps;
    if (f->memory == MQ_PLAN_LUT_ROM)
        *luts += rom_luts(words * bits, depth);
    else /* each place in the cascade has its own address */
        *ram18 += chain * mq_model_ram18(ceil_div(words, chain) * bits, depth);
}

/* As mixq_requant_threshold has them: of the first bit one memory for all pixels, of the others one for two.
 */
static void add_threshold(const mq_layer_shape *s, const mq_fold *f, double *luts, int64_t *ram18) {
    const int64_t width = f->acc_bits + 1;
    for (int k = 0; k < s->code_bits; k++) {
        int64_t depth = (int64_t)f->groups << k, memories = k > 0 ? ceil_div(f->out_pixels, 2) : 1;
        *luts += MODEL.compare * f->acc_bits * f->pe * f->out_pixels;
        if (depth > MODEL.rom_words)
            *ram18 += f->pe * memories * ram18_of(width, depth, k > 0 && f->out_pixels > 1);
        else
            *luts += (double)f->pe * f->acc_bits * (double)depth / MODEL.rom_words;
    }
}

static void add_affine(const mq_layer_shape *s, const mq_fold *f, double *luts, int64_t *ram18) {
    int results = f->pe * f->out_pixels;
    int64_t depth = (int64_t)f->groups * ceil_div(f->pe, f->lanes),
            width = (int64_t)f->lanes * s->coefficient_bits;
    *luts += (MODEL.clip + s->code_bits) * f->lanes;
    if (f->lanes < results) *luts += MODEL.shift * results * f->acc_bits;
    if (depth > MODEL.rom_words)
        *ram18 += mq_model_ram18(width, depth);
    else
        *luts += rom_luts(width, depth);
}

static int64_t fifo_depth(const mq_layer_shape *s, const mq_fold *f) {
    mq_plan_layer l = {.pe = f->pe,
                       .out_pixels = f->out_pixels,
                       .lanes = f->lanes,
                       .requant = f->requant,
                       .chain = f->chain};
    mq_stage stage = {.npx = f->npx, .steps = f->steps, .lead = s->lead};
    return mq_pipeline_fifo(&l, &stage);
}

mq_resources mq_model_layer(const mq_layer_shape *s, const mq_row_model *r, const mq_fold *f) {
    int slices = (s->depthwise ? 1 : f->simd) * f->rows;
    return mq_model_layer_with(s, r, f, r ? mq_model_trees(r, f, slices) : 0);
}

mq_resources mq_model_layer_with(const mq_layer_shape *s, const mq_row_model *r, const mq_fold *f,
                                 double trees) {
    double luts = MODEL.control + MODEL.fifo_control;
    int64_t dsp = 0, ram18 = 0;
    int slices = (s->depthwise ? 1 : f->simd) * f->rows; /* of one piece, block and element */
    add_ring(s, f, &luts, &ram18);
    if (r) {
        int elements = f->pe / r->weight_groups;
        luts += f->pe * trees;
        luts += r->repair * slices * f->blocks * elements;
        luts += r->shared * slices * f->blocks;
        dsp += (int64_t)slices * r->pieces * f->blocks * elements;
        add_weights((int64_t)slices * elements, r->word, f->chain, f, &luts, &ram18);
    } else {
        int64_t macs = (int64_t)slices * s->kernel_w * f->blocks * f->pe;
        luts += MODEL.multiply_add * mq_luts_multiply_add(s->weight_bits, s->in_bits) * (double)macs;
        luts += (double)f->pe * (f->npx + s->kernel_w - 1) * f->acc_bits;
        add_weights((int64_t)slices * s->kernel_w * f->pe, s->weight_bits, 1, f, &luts, &ram18);
    }
    luts += f->pe * border_luts(s, f);
    int64_t bits = s->code_bits ? s->code_bits : 32, width = (int64_t)f->pe * f->out_pixels * bits;
    for (int i = 0; i < s->requants; i++) {
        if (f->requant == MQ_PLAN_THRESHOLD)
            add_threshold(s, f, &luts, &ram18);
        else
            add_affine(s, f, &luts, &ram18);
        dsp += f->lanes;
    }
    for (int i = 0; i < (s->requants ? s->requants : 1); i++)
        add_buffer(width, fifo_depth(s, f), &luts, &ram18);
    mq_resources sum = resources(dsp, luts, ram18);
    if (r)
        sum.of[MQ_RES_FF] += (int64_t)(MODEL.ff_per_slice * (double)(dsp - (int64_t)f->lanes * s->requants));
    return sum;
}

/* ---- other stages ---- */

mq_resources mq_model_mover(const mq_inet *net, int node, const mq_stream *in, const mq_stream *out) {
    const mq_inet_node *n = &net->nodes[node];
    int64_t width = (int64_t)out->channels * out->pixels * out->bits, ram18 = 0,
            arriving = in ? (int64_t)in->channels * in->pixels * in->bits : 0;
    double luts = MODEL.mover_control;
    switch (n->kind) {
    case MQ_INET_MAX_POOL:
        luts += MODEL.pool_bit * (double)(arriving + width);
        add_buffer(width, mq_stream_row_beats(out), &luts, &ram18);
        break;
    case MQ_INET_REORG: /* two rows written while two are read */
        add_buffer(arriving, 4 * mq_stream_row_beats(in), &luts, &ram18);
        luts += (double)width;
        break;
    case MQ_INET_CONCAT:
        luts += (double)width * (n->input_count - 1);
        break;
    case MQ_INET_REQUANT: /* counted with its layer */
        luts = 0;
        break;
    default:
        break;
    }
    return resources(0, luts, ram18);
}
