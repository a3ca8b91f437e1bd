/* hls_network.c - hls_network NET FOLDER [IMAGES [SIMD PE PIXELS]]: an export's network through HLS C++,
 * every stage against the reference simulator. Prints the times; ends with 1 where a code differs. */
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "base/file.h"
#include "hls/helper_hls.h"

static int fail(const mq_error *error) {
    fprintf(stderr, "%s\n", error->text);
    return error->status;
}

int main(int argc, char **argv) {
    mq_error error = {0};
    mq_inet *net;
    mq_inet_plan *plan;
    hls_golden golden;
    mq_hls_difference d;
    mq_hls_times times;
    if (argc < 3) return 2;
    size_t images = argc > 3 ? (size_t)atoi(argv[3]) : 3;
    int simd = argc > 4 ? atoi(argv[4]) : 8, pe = argc > 5 ? atoi(argv[5]) : 8,
        pixels = argc > 6 ? atoi(argv[6]) : 1;
    if (mq_inet_load(argv[1], &net, &error) != MQ_OK) return fail(&error);
    size_t n =
        images * (size_t)net->nodes[0].edge.h * (size_t)net->nodes[0].edge.w * (size_t)net->nodes[0].edge.c;
    uint8_t *image = malloc(n);
    mq_rng rng = mq_rng_stream(1, "images", 0);
    for (size_t i = 0; i < n; i++)
        image[i] = (uint8_t)(i < n / images ? 255 * (mq_rng_u32(&rng, i) & 1) : mq_rng_u32(&rng, i) & 255);
    if (hls_golden_make(net, image, images, &golden, &error) != MQ_OK) return fail(&error);
    char path[MQ_PATH];
    if (mq_path_join(argv[1], MQ_PLAN_FILE, path, &error) != MQ_OK) return fail(&error);
    mq_status status = mq_path_exists(path) ? mq_inet_plan_load(path, net, &plan, &error)
                                            : hls_plan(net, MQ_CLASS_II, simd, pe, pixels, 0, &plan, &error);
    if (status != MQ_OK) return fail(&error);
    if (!plan->device[0] && hls_fold(net, plan, simd, pe, pixels, 0, &error) != MQ_OK) return fail(&error);
    if (hls_check(net, plan, &golden, argv[2], 2, &d, &times, &error) != MQ_OK) return fail(&error);
    printf("%s: %zu frames, %llu codes differ; compiled in %.1f s, run in %.1f s\n", net->model, images,
           (unsigned long long)d.mismatches, times.compile_s, times.run_s);
    if (d.node >= 0)
        printf("first: %s, image %zu, channel %d, row %d, column %d: %lld, expected %lld\n",
               net->nodes[d.node].name, d.image, d.c, d.y, d.x, (long long)d.got, (long long)d.expected);
    hls_golden_free(&golden);
    mq_inet_plan_free(plan);
    mq_inet_free(net);
    return d.mismatches > 0;
}
