/* dnn_widen.c - codes as float32 or bfloat16, which a backward pass reads that cannot read bytes. */
#include "base/parallel.h"
#include "dnn/dnn_internal.h"

#include <string.h>

enum { GRAIN = 1 << 15 };

typedef struct job {
    const uint8_t *codes;
    void *out;
    mq_dtype type;
    size_t count;
} job;

/* Codes have 8 bits, as bfloat16's significand. */
MQ_CLONES static void widen_bf16(const uint8_t *codes, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        const float f = (float)codes[i];
        uint32_t u;
        memcpy(&u, &f, sizeof u);
        out[i] = (uint16_t)(u >> 16);
    }
}

MQ_CLONES static void widen_f32(const uint8_t *codes, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) out[i] = (float)codes[i];
}

static void widen_task(void *context, size_t task) {
    const job *j = context;
    const size_t first = task * GRAIN, n = j->count - first < GRAIN ? j->count - first : GRAIN;
    if (j->type == MQ_BF16)
        widen_bf16(j->codes + first, n, (uint16_t *)j->out + first);
    else
        widen_f32(j->codes + first, n, (float *)j->out + first);
}

void mq_dnn_widen(const uint8_t *codes, size_t count, mq_dtype type, void *out) {
    job j = {codes, out, type, count};
    mq_parallel(mq_task_count(count, GRAIN), widen_task, &j);
}
