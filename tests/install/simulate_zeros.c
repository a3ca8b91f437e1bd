/* simulate_zeros.c - a program of a few lines against the installed library. */
#include <mixq.h>
#include <stdio.h>

int main(int argc, char **argv) {
    mq_error error = {0};
    mq_inet *net;
    mq_sim *sim;
    static unsigned char image[1 << 20];
    static int64_t out[1 << 10];
    if (argc < 2 || mq_inet_load(argv[1], &net, &error) != MQ_OK ||
        mq_sim_create(net, &sim, &error) != MQ_OK ||
        mq_sim_run(sim, image, 1, MQ_SIM_NCHW, NULL, out, NULL, &error) != MQ_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    printf("%s: %d outputs:", net->model, mq_inet_last(net)->edge.c);
    for (int c = 0; c < mq_inet_last(net)->edge.c; c++) printf(" %lld", (long long)out[c]);
    printf("\n");
    mq_sim_free(sim);
    mq_inet_free(net);
    return 0;
}
