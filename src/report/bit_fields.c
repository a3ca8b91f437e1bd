/* bit_fields.c - words of a DSP slice as rows of boxes, the highest bit left. */
#include "report/bit_fields.h"

#include <stdio.h>

#include "base/bit_length.h"

enum {
    CELL = 13,
    LEFT = 96,
    TOP = 44,
    ROW = 34,
    BOX = 24,
    TINTS = 6,
    NARROW = 3 /* bits that a name needs */
};

static int at_bit(const mq_packing *p, int bit) { /* left edge of the box whose highest bit is bit - 1 */
    return LEFT + (p->dsp.accumulator - bit) * CELL;
}

static void label(mq_page *page, int row, const char *what, int bits) {
    mq_page_say(page,
                "<text x=\"8\" y=\"%d\">%s</text><text class=\"small\" x=\"8\" y=\"%d\">%d bits</text>\n",
                TOP + row * ROW + 11, what, TOP + row * ROW + 22, bits);
}

static void frame(const mq_packing *p, mq_page *page, int row, int bits) {
    mq_page_say(page, "<rect class=\"rule\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", at_bit(p, bits),
                TOP + row * ROW, bits * CELL, BOX);
}

static void box(const mq_packing *p, mq_page *page, int row, int position, int width, int tint,
                const char *name, int number) {
    int x = at_bit(p, position + width);
    mq_page_say(page, "<rect class=\"box f%d\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", tint % TINTS,
                x, TOP + row * ROW, width * CELL, BOX);
    if (width * CELL >= NARROW * CELL || width * CELL > 24 || number < 10)
        mq_page_say(page, "<text class=\"small\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%s%d</text>\n",
                    x + width * CELL / 2, TOP + row * ROW + 16, width > 1 ? name : "", number);
}

void mq_bit_fields_svg(const mq_packing *p, const char *title, bool alone, mq_page *page) {
    int wbits = mq_bit_length((int64_t)p->weight_codes.high - p->weight_codes.low),
        abits = mq_bit_length(p->activation_codes.high);
    int wport = p->weights_wide ? p->dsp.wide : p->dsp.narrow,
        aport = p->weights_wide ? p->dsp.narrow : p->dsp.wide;
    char about[256];
    snprintf(about, sizeof about,
             "%d weights of %d bits on one port times %d activations of %d bits on the other: %d useful "
             "products in "
             "%d fields of the %d bit result.",
             p->weights, wbits, p->activations, abits, mq_packing_products(p), p->fields, p->dsp.accumulator);
    mq_svg_open(page, alone, LEFT + p->dsp.accumulator * CELL + 16, TOP + 3 * ROW + 8, title, about);
    mq_page_say(page, "<text class=\"title\" x=\"8\" y=\"16\">");
    mq_page_text(page, title);
    mq_page_say(page, "</text>\n");
    for (int b = 0; b < p->dsp.accumulator; b += 4)
        mq_page_say(page, "<text class=\"small\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">%d</text>",
                    at_bit(p, b + 1) + CELL / 2, TOP - 6, b);
    label(page, 0, "weights", wport);
    frame(p, page, 0, wport);
    for (int i = 0; i < p->weights; i++) box(p, page, 0, p->weight[i].position, wbits, i, "w", i);
    label(page, 1, "activations", aport);
    frame(p, page, 1, aport);
    for (int i = 0; i < p->activations; i++) box(p, page, 1, p->activation[i].position, abits, i, "a", i);
    label(page, 2, "P", p->dsp.accumulator);
    frame(p, page, 2, p->dsp.accumulator);
    for (int f = 0; f < p->fields; f++) {
        int width = mq_bit_length(p->field[f].high - p->field[f].low),
            room = p->dsp.accumulator - p->field[f].position;
        int shown = f + 1 < p->fields && width > p->field[f].spacing ? p->field[f].spacing : width;
        box(p, page, 2, p->field[f].position, shown > room ? room : shown, f, "f", f);
    }
    mq_svg_close(page);
}
