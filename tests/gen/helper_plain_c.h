/* helper_plain_c.h - the plain C of a network, compiled and compared with the reference simulator. */
#ifndef MIXQ_TESTS_GEN_HELPER_PLAIN_C_H
#define MIXQ_TESTS_GEN_HELPER_PLAIN_C_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "gen/plain_c.h"
#include "sim/sim.h"

#define PLAIN_C_FLAGS "-std=c11 -pedantic -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Werror"

/* Compiles dir/<model>.c with `compiler` and flags, runs random images of every byte through it; fails the
 * test at the first output that is not the simulator's. `different` counts outputs unlike the image's first.
 */
static inline void plain_c_same(const mq_inet *net, const char *dir, const char *compiler, const char *flags,
                                size_t images, size_t *different) {
    mq_error error = {0};
    char name[80], command[1024], path[512], symbol[96];
    const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
    size_t pixels = (size_t)(in->h * in->w * in->c), outputs = (size_t)(out->h * out->w * out->c);
    mq_plain_c_name(net, name);
    snprintf(path, sizeof path, "%s/%s_%s.so", dir, name, compiler);
    snprintf(command, sizeof command, "%s " PLAIN_C_FLAGS " %s -shared -fPIC -o %s %s/%s.c", compiler, flags,
             path, dir, name);
    if (system(command) != 0) fail_msg("%s", command);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) fail_msg("%s", dlerror());
    snprintf(symbol, sizeof symbol, "%s_run", name);
    void (*run)(const uint8_t *, int32_t *);
    *(void **)&run = dlsym(library, symbol);
    assert_non_null(run);

    const mq_rng rng = mq_rng_stream(7, "plain c images", 0);
    uint8_t *image = malloc(images * pixels);
    int64_t *expected = calloc(images * outputs, sizeof *expected);
    int32_t *got = calloc(outputs, sizeof *got);
    for (size_t i = 0; i < images * pixels; i++) image[i] = (uint8_t)mq_rng_u32(&rng, i);
    mq_sim *sim;
    if (mq_sim_create(net, &sim, &error) != MQ_OK ||
        mq_sim_run(sim, image, images, MQ_SIM_NCHW, NULL, expected, NULL, &error) != MQ_OK)
        fail_msg("%s", error.text);
    for (size_t i = 0; i < images; i++) {
        run(image + i * pixels, got);
        for (size_t k = 0; k < outputs; k++) {
            if (got[k] != expected[i * outputs + k])
                fail_msg("%s by %s: image %zu, output %zu: %d, %lld expected", name, compiler, i, k, got[k],
                         (long long)expected[i * outputs + k]);
            *different += got[k] != got[0];
        }
    }
    mq_sim_free(sim);
    free(image);
    free(expected);
    free(got);
    dlclose(library);
}

static inline int plain_c_has(const char *compiler) {
    char command[64];
    snprintf(command, sizeof command, "command -v %s > /dev/null", compiler);
    return system(command) == 0;
}

#endif
