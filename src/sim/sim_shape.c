/* sim_shape.c - the nodes that move codes without computing: IMAGE, MAX_POOL, REORG, CONCAT, OUTPUT. */
#include <string.h>

#include "sim/sim_reference.h"

static size_t place(const mq_inet_edge *edge, int y, int x) {
    return ((size_t)y * (size_t)edge->w + (size_t)x) * (size_t)edge->c;
}

void mq_sim_run_IMAGE(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    const mq_inet_node *node = &sim->net->nodes[n];
    int64_t *code = mq_sim_codes(sim, work, n);
    size_t pixels = (size_t)node->edge.h * (size_t)node->edge.w, channels = (size_t)node->edge.c;
    bool nchw = work->layout == MQ_SIM_NCHW;
    const int shift = mq_inet_image_shift(&node->image), zero = mq_inet_image_zero(&node->image);
    for (size_t p = 0; p < pixels; p++)
        for (size_t c = 0; c < channels; c++)
            code[p * channels + c] = (work->image[nchw ? c * pixels + p : p * channels + c] >> shift) - zero;
}

void mq_sim_run_MAX_POOL(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    const mq_inet_node *node = &sim->net->nodes[n];
    const mq_inet_edge *in = mq_sim_edge(sim, node->input[0]), *out = &node->edge;
    const int64_t *from = mq_sim_codes(sim, work, node->input[0]);
    int64_t *to = mq_sim_codes(sim, work, n);
    for (int y = 0; y < out->h; y++) {
        for (int x = 0; x < out->w; x++, to += out->c) {
            int top = y * node->pool.stride, left = x * node->pool.stride;
            memcpy(to, from + place(in, top, left), (size_t)out->c * sizeof *to);
            for (int ky = 0; ky < node->pool.kernel; ky++) {
                for (int kx = 0; kx < node->pool.kernel; kx++) {
                    const int64_t *see = from + place(in, top + ky, left + kx);
                    for (int c = 0; c < out->c; c++)
                        if (see[c] > to[c]) to[c] = see[c];
                }
            }
        }
    }
}

void mq_sim_run_REORG(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    const mq_inet_node *node = &sim->net->nodes[n];
    const mq_inet_edge *in = mq_sim_edge(sim, node->input[0]), *out = &node->edge;
    const int64_t *from = mq_sim_codes(sim, work, node->input[0]);
    int64_t *to = mq_sim_codes(sim, work, n);
    for (int y = 0; y < out->h; y++)
        for (int x = 0; x < out->w; x++)
            for (int d = 0; d < 4; d++, to += in->c)
                memcpy(to, from + place(in, 2 * y + d / 2, 2 * x + d % 2), (size_t)in->c * sizeof *to);
}

void mq_sim_run_CONCAT(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    const mq_inet_node *node = &sim->net->nodes[n];
    size_t pixels = (size_t)node->edge.h * (size_t)node->edge.w;
    int64_t *to = mq_sim_codes(sim, work, n);
    for (int i = 0; i < node->input_count; i++) {
        size_t channels = (size_t)mq_sim_edge(sim, node->input[i])->c;
        const int64_t *from = mq_sim_codes(sim, work, node->input[i]);
        for (size_t p = 0; p < pixels; p++)
            memcpy(to + p * (size_t)node->edge.c, from + p * channels, channels * sizeof *to);
        to += channels;
    }
}

void mq_sim_run_OUTPUT(const mq_sim_reference *sim, int n, mq_sim_work *work) {
    const mq_inet_edge *edge = mq_sim_edge(sim, n);
    memcpy(mq_sim_codes(sim, work, n), mq_sim_codes(sim, work, sim->net->nodes[n].input[0]),
           (size_t)edge->h * (size_t)edge->w * (size_t)edge->c * sizeof(int64_t));
}
