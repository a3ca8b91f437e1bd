/* nest.c - layouts built by levels: a block of fields is repeated at offsets, the result is a block again.
 *
 * A level repeats the weights (lanes: other output channels), the activations (blocks: other pixels), or both
 * in arithmetic progression (filter: neighbouring products meet in one field). Offsets go to the port whose
 * operands are repeated, so the order of the levels decides how a fixed total of field bits is shared between
 * the ports; levels of one kind around a level of another interleave. Neighbouring copies stand as close as
 * the fields allow, some of the junctions closer by the bits of overlap that the class permits: with q of
 * them overlapped, non-uniform spacing comes by itself.
 *
 * Before a layout is examined, its extents must pass the port test: top weight position <= port - weight
 * bits, the same for activations, and their sum (the field bound). */
#include <string.h>

#include "pack/solver.h"
#include "base/bit_length.h"

enum { MAX_LEVEL_SIZE = 28, MAX_LEVELS = 4 /* beside the filter */ };

typedef struct nest {
    const mq_pack_query *query;
    const char *kind;
    const mq_nest_rules *rules;
    mq_pack_front *front;
    mq_error *error;
    mq_status status;
    int weight_bits, activation_bits, overlap, extra;
    int64_t span;     /* of one product, the least over all zero points, times the cycles */
    int taps, pixels; /* of the filter level; 1, 1 without */
} nest;

typedef struct block {
    int weights, activations; /* copies so far */
    mq_pack_operand weight[MQ_PACK_OPERANDS], activation[MQ_PACK_OPERANDS];
    int weight_top, activation_top; /* positions */
    int weight_groups, activation_groups;
    int length;      /* bits from the lowest position to the end of the top field, one product per field */
    int full_length; /* the same with as many products as the filter level will put in a field */
    bool filtered;
    int levels;
    char last; /* 'w', 'a', 'f' or 0 */
} block;

static int64_t product_span(const mq_pack_query *q, int zero) {
    int64_t low = 0, high = 0;
    for (int c = 0; c < 4; c++) {
        int64_t v = (int64_t)(c & 1 ? q->weight.high : q->weight.low) *
                    ((c & 2 ? q->activation.high : q->activation.low) - zero);
        if (c == 0 || v < low) low = v;
        if (c == 0 || v > high) high = v;
    }
    return high - low;
}

/* Whether an assignment of the ports may take such top positions. */
static bool room(const nest *n, bool weights_wide, int weight_top, int activation_top) {
    const mq_dsp *dsp = &n->query->dsp;
    int weights = (weights_wide ? dsp->wide : dsp->narrow) - n->weight_bits,
        activations = (weights_wide ? dsp->narrow : dsp->wide) - n->activation_bits;
    return weight_top <= weights + n->extra && activation_top <= activations + n->extra &&
           weight_top + activation_top <= weights + activations + n->extra;
}

static bool room_somewhere(const nest *n, int weight_top, int activation_top) {
    return room(n, true, weight_top, activation_top) || room(n, false, weight_top, activation_top);
}

/* Zero points worth trying: of the highest activation, and of the others. */
static void examine(nest *n, const block *b, bool weights_wide) {
    const mq_pack_query *q = n->query;
    int half = 1 << (n->activation_bits - 1);
    const int zeros[][2] = {{0, 0},           {half, 0},       {half, half}, {half - 1, half - 1},
                            {half - 1, half}, {half, half - 1}};
    int products = b->weights * b->activations, luts = -1;
    mq_packing best, p = {.dsp = q->dsp,
                          .weight_codes = q->weight,
                          .activation_codes = q->activation,
                          .weights_wide = weights_wide,
                          .weights = b->weights,
                          .activations = b->activations};
    strncpy(p.kind, n->kind, sizeof p.kind - 1);
    memcpy(p.weight, b->weight, sizeof p.weight);
    memcpy(p.activation, b->activation, sizeof p.activation);
    int top = 0;
    for (int j = 1; j < b->activations; j++)
        if (p.activation[j].position > p.activation[top].position) top = j;
    for (size_t z = 0; z < sizeof zeros / sizeof *zeros; z++) {
        for (int j = 0; j < b->activations; j++) p.activation[j].zero = zeros[z][j == top ? 0 : 1];
        if (!mq_packing_try(&p, q->cycles) || p.class > q->class) continue;
        if (luts >= 0 && (p.luts > luts || (p.luts == luts && p.fix >= best.fix))) continue;
        luts = p.luts;
        best = p;
    }
    if (luts < 0 || !mq_pack_front_wants(n->front, q, n->taps, b->weight_groups, products, luts)) return;
    n->status = mq_packing_finish(&best, q->cycles, n->error);
    if (n->status == MQ_OK)
        n->status = mq_pack_front_add(n->front, q, n->taps, b->weight_groups, &best, n->error);
}

static void record(nest *n, const block *b) {
    if (n->rules->both && (b->weight_groups < 2 || b->activation_groups < 2)) return;
    if (!mq_pack_front_wants(n->front, n->query, n->taps, b->weight_groups, b->weights * b->activations, 0))
        return;
    for (int wide = 0; wide < 2 && n->status == MQ_OK; wide++)
        if (room(n, wide, b->weight_top, b->activation_top)) examine(n, b, wide);
}

static void extend(nest *n, const block *b);

/* Copies of the weights (or activations) at offsets; the first `close` junctions overlap by r bits. */
static void repeat(nest *n, const block *b, bool weights, int copies, int r, int close) {
    int length = b->filtered ? b->length : b->full_length;
    int count = weights ? b->weights : b->activations;
    int groups = weights ? b->weight_groups : b->activation_groups;
    block next = *b;
    mq_pack_operand *operand = weights ? next.weight : next.activation;
    int offset = 0;
    for (int c = 1; c < copies; c++) {
        offset += length - (c <= close ? r : 0);
        for (int i = 0; i < count; i++) {
            operand[c * count + i] = operand[i];
            operand[c * count + i].position += offset;
            operand[c * count + i].group += c * groups;
        }
    }
    if (weights) {
        next.weights *= copies;
        next.weight_groups *= copies;
        next.weight_top += offset;
        next.last = 'w';
    } else {
        next.activations *= copies;
        next.activation_groups *= copies;
        next.activation_top += offset;
        next.last = 'a';
    }
    next.levels++;
    next.length += offset;
    next.full_length += offset;
    extend(n, &next);
}

static void repetitions(nest *n, const block *b, bool weights) {
    int length = b->filtered ? b->length : b->full_length;
    int limit = n->query->groups && weights ? n->query->groups : MAX_LEVEL_SIZE;
    for (int copies = 2; copies <= limit && n->status == MQ_OK; copies++) {
        if ((weights ? b->weights : b->activations) * copies > MQ_PACK_OPERANDS ||
            (weights && n->query->groups && b->weight_groups * copies > n->query->groups))
            break;
        bool any = false;
        for (int r = 0; r <= n->overlap; r++)
            for (int close = r ? 1 : 0; close <= (r ? copies - 1 : 0) && n->status == MQ_OK; close++) {
                int top = (copies - 1) * length - close * r;
                if (!room_somewhere(n, b->weight_top + (weights ? top : 0),
                                    b->activation_top + (weights ? 0 : top)))
                    continue;
                any = true;
                repeat(n, b, weights, copies, r, close);
            }
        if (!any) break;
    }
}

static void filter(nest *n, const block *b) {
    if (n->taps * b->weights > MQ_PACK_OPERANDS || n->pixels * b->activations > MQ_PACK_OPERANDS) return;
    for (int r = 0; r <= n->overlap && n->status == MQ_OK; r++) {
        int step = b->full_length - r;
        int weight_top = b->weight_top + (n->taps - 1) * step,
            activation_top = b->activation_top + (n->pixels - 1) * step;
        if (step < 1 || !room_somewhere(n, weight_top, activation_top)) continue;
        block next = *b;
        for (int k = 0; k < n->taps; k++)
            for (int i = 0; i < b->weights; i++) {
                mq_pack_operand *o = &next.weight[k * b->weights + i];
                *o = b->weight[i];
                o->position += k * step;
                o->step = k;
            }
        for (int k = 0; k < n->pixels; k++)
            for (int i = 0; i < b->activations; i++) {
                mq_pack_operand *o = &next.activation[k * b->activations + i];
                *o = b->activation[i];
                o->position += k * step;
                o->step = k;
            }
        next.weights *= n->taps;
        next.activations *= n->pixels;
        next.weight_top = weight_top;
        next.activation_top = activation_top;
        next.length = b->length + (n->taps + n->pixels - 2) * step;
        next.filtered = true;
        next.last = 'f';
        extend(n, &next);
    }
}

static void extend(nest *n, const block *b) {
    if (n->status != MQ_OK) return;
    if (b->filtered || !n->rules->filter) record(n, b);
    if (n->rules->filter && !b->filtered) filter(n, b);
    if (b->levels == MAX_LEVELS) return;
    if (n->rules->lanes && b->last != 'w') repetitions(n, b, true);
    if (n->rules->blocks && b->last != 'a') repetitions(n, b, false);
}

mq_status mq_nest_search(const mq_pack_query *query, const char *kind, const mq_nest_rules *rules,
                         mq_pack_front *front, mq_error *error) {
    nest n = {.query = query, .kind = kind, .rules = rules, .front = front, .error = error, .status = MQ_OK};
    n.weight_bits = mq_bit_length((int64_t)query->weight.high - query->weight.low);
    n.activation_bits = mq_bit_length(query->activation.high);
    n.overlap = (int)query->class - 1;
    n.extra = query->class == MQ_CLASS_III;
    n.span = product_span(query, 0);
    for (int z = 1; z <= query->activation.high; z++) {
        int64_t span = product_span(query, z);
        if (span < n.span) n.span = span;
    }
    if (query->cycles > (((int64_t)1 << 48) / (n.span + 1)) / 64) return MQ_OK;
    n.span *= query->cycles;
    if (n.overlap > mq_bit_length(n.span) / 2)
        n.overlap = mq_bit_length(n.span) / 2; /* a field keeps the bits its carry is read from */
    int most = rules->filter ? query->taps : 1;
    for (n.taps = rules->filter ? 2 : 1; n.taps <= most; n.taps++)
        for (n.pixels = n.taps > 1 ? 2 : 1; n.pixels <= (n.taps > 1 ? MAX_LEVEL_SIZE : 1); n.pixels++) {
            block b = {.weights = 1, .activations = 1, .weight_groups = 1, .activation_groups = 1};
            b.length = mq_bit_length(n.span);
            b.full_length = mq_bit_length(n.span * (n.taps < n.pixels ? n.taps : n.pixels));
            b.filtered = !rules->filter;
            if (b.length < 1) b.length = 1;
            if (b.full_length < 1) b.full_length = 1;
            extend(&n, &b);
        }
    return n.status;
}
