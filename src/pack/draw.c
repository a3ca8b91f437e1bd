/* draw.c - bit fields in characters and rectangles. */
#include "pack/draw.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bit_length.h"
#include "base/memory.h"

enum { PAGE = 1 << 16 };

typedef struct sheet {
    char *text;
    size_t used;
} sheet;

static void say(sheet *p, const char *format, ...) MQ_PRINTF(2, 3);

static void say(sheet *p, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(p->text + p->used, PAGE - p->used, format, args);
    va_end(args);
    if (n > 0) p->used += (size_t)n < PAGE - p->used ? (size_t)n : PAGE - p->used - 1;
}

static char digit(int i) {
    return "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+"[i < 62 ? i : 62];
}

/* One row of `bits` characters, the highest bit first, right aligned to `width`. */
static void row(sheet *p, const char *label, const char *cells, int bits, int width) {
    say(p, "  %-13s %*s", label, width - bits, "");
    for (int b = bits - 1; b >= 0; b--) say(p, "%c", cells[b]);
    say(p, "\n");
}

static void operand_cells(const mq_pack_operand *operand, int count, int bits, char *cells, int width) {
    memset(cells, '.', 64);
    for (int i = 0; i < count; i++)
        for (int b = 0; b < bits && operand[i].position + b < width; b++)
            cells[operand[i].position + b] = digit(i);
}

static int width_of(const mq_packing *p, int f) {
    return mq_bit_length(p->field[f].high - p->field[f].low);
}

static void products_text(sheet *page, const mq_packing *p, int f) {
    bool first = true;
    for (int i = 0; i < p->weights; i++)
        for (int j = 0; j < p->activations; j++) {
            if (p->field_of[i][j] != f) continue;
            say(page, "%sw%c*", first ? "" : " + ", digit(i));
            if (p->activation[j].zero)
                say(page, "(a%c-%d)", digit(j), p->activation[j].zero);
            else
                say(page, "a%c", digit(j));
            first = false;
        }
}

static void arithmetic(sheet *page, const mq_packing *p) {
    say(page, "  fields: what they hold, their range, the constant added, and the bits they need\n");
    for (int f = 0; f < p->fields; f++) {
        const mq_pack_field *field = &p->field[f];
        bool top = f + 1 == p->fields;
        say(page, "    %c  bit %2d  ", digit(f), field->position);
        products_text(page, p, f);
        say(page, "\n       in %" PRId64 "..%" PRId64 ", plus %" PRId64 ": 0..%" PRId64 " < 2^%d; ",
            field->low, field->high, -field->low, field->high - field->low, width_of(p, f));
        if (top)
            say(page, "top field, %d bits free\n", field->spacing);
        else if (field->overlap == 0)
            say(page, "%d bits to the next field\n", field->spacing);
        else if (field->overlap == 1)
            say(page, "%d bits to the next: carry = P[%d] ^ lowest bit of field %c (%d ANDs), %d LUT\n",
                field->spacing, p->field[f + 1].position, digit(f + 1), p->field[f + 1].products,
                mq_luts_repair(1, p->field[f + 1].products, 0));
        else
            say(page, "%d bits to the next: carry = P[%d:%d] - field %c modulo 4, %d LUT\n", field->spacing,
                p->field[f + 1].position + 1, p->field[f + 1].position, digit(f + 1),
                mq_luts_repair(2, p->field[f + 1].products, width_of(p, f + 1)));
    }
}

static void ports(sheet *page, const mq_packing *p) {
    const char *fixed = p->fix_weights ? "weights" : "activations",
               *other = p->fix_weights ? "activations" : "weights";
    if (p->fix == MQ_PORT_OFFSET)
        say(page,
            "  port: the %s' word is %s 2^%d moved into the port's range; C = %s(%s' word << %d), wires "
            "only\n",
            fixed, p->fix_sign > 0 ? "+" : "-", p->fix_shift, p->fix_sign > 0 ? "-" : "+", other,
            p->fix_shift);
    if (p->fix == MQ_PORT_EXTRA)
        say(page, "  port: the %s' word has one bit too many: -+2^%d by its sign; C = +-(%s' word << %d)\n",
            fixed, p->fix_shift, other, p->fix_shift);
    if (p->zero_word)
        say(page,
            "  zero points: the activations' word is fed less %" PRId64
            "%s; zero*sum(w) goes into the bias\n",
            p->zero_word, p->weights_wide ? "" : " (pre-adder: D - A, A constant)");
    say(page, "  constant (RND): 0x%012" PRIx64 "; accumulations in P: %" PRId64,
        (uint64_t)p->bias & (((uint64_t)1 << p->dsp.accumulator) - 1), p->accumulations);
    if (p->canary > p->accumulations) say(page, ", with canary bits %" PRId64, p->canary);
    say(page, "\n  %d useful multiplications, %d LUT", mq_packing_products(p), p->luts);
    if (p->shared_luts)
        say(page, " (and %d shared by all slices, to subtract the zero points)", p->shared_luts);
    say(page, "\n");
}

mq_status mq_pack_draw_text(const mq_packing *p, char **out, mq_error *error) {
    static const char *const classes[] = {"", "i", "ii", "iii"};
    sheet page = {0};
    MQ_TRY(mq_alloc(1, PAGE, "drawing", &page.text, error));
    int wbits = mq_bit_length((int64_t)p->weight_codes.high - p->weight_codes.low),
        abits = mq_bit_length(p->activation_codes.high);
    int wide = p->dsp.wide, narrow = p->dsp.narrow, most = p->dsp.accumulator;
    char cells[64], label[32];
    say(&page, "%s packing on %s, class %s: weights %d..%d, activations 0..%d\n", p->kind, p->dsp.name,
        classes[p->class], p->weight_codes.low, p->weight_codes.high, p->activation_codes.high);
    memset(cells, ' ', sizeof cells);
    for (int b = 0; b < most; b++) cells[b] = b % 10 ? (b % 5 ? ' ' : '.') : digit(b / 10);
    row(&page, "bit (tens)", cells, most, most);
    snprintf(label, sizeof label, "weights %d", p->weights_wide ? wide : narrow);
    operand_cells(p->weight, p->weights, wbits, cells, p->weights_wide ? wide : narrow);
    row(&page, label, cells, p->weights_wide ? wide : narrow, most);
    snprintf(label, sizeof label, "activation %d", p->weights_wide ? narrow : wide);
    operand_cells(p->activation, p->activations, abits, cells, p->weights_wide ? narrow : wide);
    row(&page, label, cells, p->weights_wide ? narrow : wide, most);
    memset(cells, '.', sizeof cells);
    bool overlaps = false;
    for (int f = 0; f < p->fields; f++) {
        int width = f + 1 < p->fields ? p->field[f].spacing : width_of(p, f);
        for (int b = 0; b < width; b++) cells[p->field[f].position + b] = b < width_of(p, f) ? digit(f) : '-';
        overlaps |= p->field[f].overlap > 0;
    }
    row(&page, "P fields", cells, most, most);
    if (overlaps) {
        memset(cells, ' ', sizeof cells);
        for (int f = 0; f + 1 < p->fields; f++)
            for (int b = 0; b < p->field[f].overlap; b++) cells[p->field[f + 1].position + b] = '^';
        row(&page, "overlap", cells, most, most);
    }
    arithmetic(&page, p);
    ports(&page, p);
    *out = page.text;
    return MQ_OK;
}

/* ---- SVG ---- */

enum { CELL = 16, LEFT = 110, LINE = 46 };

static void svg_box(sheet *page, const mq_packing *p, int y, int position, int width, const char *fill,
                    const char *name, int i) {
    int x = LEFT + (p->dsp.accumulator - position - width) * CELL;
    say(page,
        "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"24\" fill=\"%s\" fill-opacity=\"0.75\" "
        "stroke=\"#333\"/>"
        "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s%d</text>\n",
        x, y, width * CELL, fill, x + width * CELL / 2, y + 17, name, i);
}

mq_status mq_pack_draw_svg(const mq_packing *p, char **out, mq_error *error) {
    static const char *const tints[] = {"#9ecae1", "#a1d99b", "#fdae6b", "#bcbddc", "#fc9272", "#d9d9d9"};
    enum { TINTS = sizeof tints / sizeof *tints };
    sheet page = {0};
    MQ_TRY(mq_alloc(1, PAGE, "drawing", &page.text, error));
    int wbits = mq_bit_length((int64_t)p->weight_codes.high - p->weight_codes.low),
        abits = mq_bit_length(p->activation_codes.high);
    int width = LEFT + p->dsp.accumulator * CELL + 20;
    say(&page,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
        "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
        width, 60 + 3 * LINE + p->fields * 18 + 20);
    for (int b = 0; b < p->dsp.accumulator; b += 4)
        say(&page, "<text x=\"%d\" y=\"20\" text-anchor=\"middle\" fill=\"#666\">%d</text>\n",
            LEFT + (p->dsp.accumulator - b) * CELL - CELL / 2, b);
    static const char *const rows[] = {"weights", "activations", "P"};
    for (int i = 0; i < 3; i++) say(&page, "<text x=\"8\" y=\"%d\">%s</text>\n", 47 + i * LINE, rows[i]);
    for (int i = 0; i < p->weights; i++)
        svg_box(&page, p, 30, p->weight[i].position, wbits, tints[i % TINTS], "w", i);
    for (int j = 0; j < p->activations; j++)
        svg_box(&page, p, 30 + LINE, p->activation[j].position, abits, tints[j % TINTS], "a", j);
    for (int f = 0; f < p->fields; f++)
        svg_box(&page, p, 30 + 2 * LINE + (f % 2) * 6, p->field[f].position, width_of(p, f), tints[f % TINTS],
                "f", f);
    for (int f = 0; f < p->fields; f++) {
        say(&page, "<text x=\"8\" y=\"%d\">f%d = ", 60 + 3 * LINE + f * 18, f);
        products_text(&page, p, f);
        say(&page, "  in %" PRId64 "..%" PRId64 ", %d bits, %d to the next</text>\n", p->field[f].low,
            p->field[f].high, width_of(p, f), p->field[f].spacing);
    }
    say(&page, "</svg>\n");
    *out = page.text;
    return MQ_OK;
}
