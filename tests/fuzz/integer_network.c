/* integer_network.c - net.json and weights.safetensors of an export. What is accepted is described, saved,
 * loaded again and, when small, simulated by two engines that must agree. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "fuzz.h"
#include "inet/certificate.h"
#include "sim/sim.h"

static const double MOST_WORK = 1e6; /* multiplications and codes */

static double work(const mq_inet *net) {
    double sum = 0;
    for (int i = 0; i < net->node_count; i++) {
        const mq_inet_edge *e = &net->nodes[i].edge;
        double places = (double)e->h * e->w;
        sum += places * e->c + places * (double)mq_inet_weight_count(net, &net->nodes[i]);
    }
    return sum;
}

static void simulate(const mq_inet *net) {
    const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
    size_t values = (size_t)out->h * (size_t)out->w * (size_t)out->c;
    size_t pixels = (size_t)in->h * (size_t)in->w * (size_t)in->c;
    int64_t *head[2];
    uint8_t *image;
    mq_error error = {0};
    fuzz_demand(mq_alloc(pixels, 1, "image", &image, NULL) == MQ_OK, "memory");
    for (size_t i = 0; i < pixels; i++) image[i] = (uint8_t)(i * 37 + 11);
    const mq_inet_image *first = &net->nodes[0].image;
    for (size_t i = 0; first->real && i < pixels; i++) { /* codes of real numbers come as they are */
        int code = (int)in->low + image[i] % (int)(in->high - in->low + 1);
        image[i] = (uint8_t)((code + mq_inet_image_zero(first)) << mq_inet_image_shift(first));
    }
    for (int k = 0; k < 2; k++) {
        const mq_sim_options options = {.engine = k ? MQ_SIM_FAST : MQ_SIM_REFERENCE};
        mq_sim *sim;
        fuzz_demand(mq_alloc(values, sizeof **head, "head", &head[k], NULL) == MQ_OK, "memory");
        fuzz_demand(mq_sim_create_with(net, &options, &sim, &error) == MQ_OK, error.text);
        fuzz_demand(mq_sim_run(sim, image, 1, MQ_SIM_NHWC, NULL, head[k], NULL, &error) == MQ_OK, error.text);
        mq_sim_free(sim);
    }
    fuzz_demand(memcmp(head[0], head[1], values * sizeof **head) == 0, "two engines, two results");
    mq_free(head[0]);
    mq_free(head[1]);
    mq_free(image);
}

static void use(mq_inet *net) {
    mq_inet *again;
    mq_error error = {0};
    json_t *certificate = NULL;
    char before[MQ_DIGEST_TEXT];
    if (work(net) > MOST_WORK) return;
    if (fuzz_accepted(mq_certificate_describe(net, &certificate, &error), &error, MQ_OK))
        json_decref(certificate);
    simulate(net);
    fuzz_demand(mq_inet_save(net, fuzz_dir(), &error) == MQ_OK, error.text);
    strcpy(before, net->sha256);
    fuzz_demand(mq_inet_load(fuzz_dir(), &again, &error) == MQ_OK, error.text);
    fuzz_demand(strcmp(before, again->sha256) == 0, "saved and loaded: another network");
    mq_inet_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes rest = {data, size}, part = fuzz_part(&rest);
    char digest[MQ_DIGEST_TEXT];
    uint8_t *text;
    mq_inet *net;
    mq_error error = {0};
    fuzz_demand(mq_alloc(part.left, 1, "text", &text, NULL) == MQ_OK, "memory");
    if (part.left) memcpy(text, part.at, part.left);
    mq_sha256(rest.at, rest.left, digest);
    fuzz_put_digest(text, part.left, "sha256", digest);
    fuzz_file("net.json", text, part.left);
    fuzz_file("weights.safetensors", rest.at, rest.left);
    mq_free(text);
    if (fuzz_accepted(mq_inet_load(fuzz_dir(), &net, &error), &error, MQ_OK)) {
        use(net);
        mq_inet_free(net);
    }
    return 0;
}
