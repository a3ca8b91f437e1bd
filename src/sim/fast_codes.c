/* fast_codes.c - stored edges as plain numbers and back: for visitors, and for nodes that run through the
 * reference. */
#include <string.h>

#include "sim/sim_fast.h"

void mq_fast_get_codes(const mq_fast *f, int n, const uint8_t *memory, int64_t *codes) {
    const mq_inet_edge *e = &f->net->nodes[n].edge;
    const mq_fast_edge *edge = &f->node[n].edge;
    for (int y = 0; y < e->h; y++) {
        for (int x = 0; x < e->w; x++, codes += e->c) {
            const uint8_t *from = memory + edge->origin + (size_t)y * edge->row + (size_t)x * edge->pixel;
            for (int c = 0; c < e->c; c++) codes[c] = mq_fast_code(edge, from, (size_t)c);
        }
    }
}

void mq_fast_set_codes(const mq_fast *f, int n, uint8_t *memory, const int64_t *codes) {
    const mq_inet_edge *e = &f->net->nodes[n].edge;
    const mq_fast_edge *edge = &f->node[n].edge;
    for (int y = 0; y < e->h; y++) {
        for (int x = 0; x < e->w; x++, codes += e->c) {
            uint8_t *to = memory + edge->origin + (size_t)y * edge->row + (size_t)x * edge->pixel;
            if (edge->type == MQ_FAST_INT64)
                memcpy(to, codes, (size_t)e->c * sizeof *codes);
            else /* of slow nodes only codes are stored narrower */
                for (int c = 0; c < e->c; c++) to[c] = (uint8_t)(codes[c] + edge->zero);
        }
    }
}
