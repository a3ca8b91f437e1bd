/* packing.c - bytes become a packing and operands; what is accepted must survive encode, slice and decode. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "pack/packing.h"

typedef struct bytes {
    const uint8_t *at;
    size_t left;
} bytes;

static int take(bytes *b, int bound) {
    if (b->left == 0) return 0;
    b->left--;
    return *b->at++ % bound;
}

/* 1: accepted and exact, 0: refused, -1: accepted and wrong. */
static int try_bytes(const uint8_t *data, size_t size) {
    static const char *const SLICES[] = {"dsp48e2", "dsp48e1", "dsp58", "18x19", "9x9"};
    bytes b = {data, size};
    mq_packing p = {0};
    if (mq_dsp_find(SLICES[take(&b, 5)], &p.dsp, NULL) != MQ_OK) abort();
    p.weights_wide = take(&b, 2);
    int wbit = 1 + take(&b, 8), abit = 1 + take(&b, 8), step = 1 + take(&b, 16), cycles = 1 + take(&b, 9);
    p.weight_codes = (mq_span){-(1 << (wbit - 1)), (1 << (wbit - 1)) - 1};
    p.activation_codes = (mq_span){0, (1 << abit) - 1};
    p.weights = 1 + take(&b, 8);
    p.activations = 1 + take(&b, 8);
    /* positions: multiples of a step, moved by a few bits; groups and steps follow the multiple or a byte */
    for (int i = 0; i < p.weights; i++) {
        int k = take(&b, 12), moved = take(&b, 8);
        p.weight[i] = (mq_pack_operand){k * step + (moved == 7), moved & 1 ? take(&b, 8) : 0,
                                        moved & 2 ? take(&b, 8) : k, 0};
    }
    for (int j = 0; j < p.activations; j++) {
        int k = take(&b, 12), moved = take(&b, 8);
        p.activation[j] = (mq_pack_operand){k * step + (moved == 7), moved & 1 ? take(&b, 8) : 0,
                                            moved & 2 ? take(&b, 8) : k, take(&b, 1 << abit)};
    }
    if (mq_packing_finish(&p, cycles, NULL) != MQ_OK) return 0;
    /* accumulate up to the cycles asked for, operands from the rest of the bytes */
    int64_t total[MQ_PACK_FIELDS] = {0}, read[MQ_PACK_FIELDS], word = 0;
    uint8_t known[MQ_PACK_FIELDS] = {0};
    for (int c = 0; c < cycles; c++) {
        int32_t w[MQ_PACK_OPERANDS], a[MQ_PACK_OPERANDS];
        mq_dsp_inputs in;
        for (int i = 0; i < p.weights; i++) w[i] = p.weight_codes.low + take(&b, 1 << wbit);
        for (int j = 0; j < p.activations; j++) a[j] = take(&b, 1 << abit);
        mq_pack_encode(&p, w, a, &in);
        in.pcin = word;
        if (c > 0) in.w = 0;
        if (c == 0) in.w = mq_pack_bias(&p, cycles);
        if (!mq_dsp_eval(&p.dsp, &in, &word)) return -1;
        mq_pack_know(&p, w, a, known);
        for (int i = 0; i < p.weights; i++)
            for (int j = 0; j < p.activations; j++)
                total[p.field_of[i][j]] += (int64_t)w[i] * (a[j] - p.activation[j].zero);
    }
    mq_pack_decode(&p, word, known, cycles, read);
    return memcmp(read, total, sizeof *read * (size_t)p.fields) == 0 ? 1 : -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (try_bytes(data, size) < 0) abort(); /* accepted, but not exact */
    return 0;
}
