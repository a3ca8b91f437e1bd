/* machine.c - version, processor, clock, memory. */
#include "base/machine.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

const char *mq_version(void) {
    return MIXQ_VERSION;
}

void mq_cpu_name(char out[MQ_MACHINE_TEXT]) {
    snprintf(out, MQ_MACHINE_TEXT, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) return;
    char line[256];
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "model name", 10) != 0) continue;
        char *name = strchr(line, ':');
        if (!name) continue;
        name += strspn(name, ": \t");
        name[strcspn(name, "\n")] = 0;
        snprintf(out, MQ_MACHINE_TEXT, "%.*s", MQ_MACHINE_TEXT - 1, name);
        break;
    }
    fclose(file);
}

void mq_cpu_features(char out[MQ_MACHINE_TEXT]) {
    out[0] = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
#define ADD(feature, word)                                                                                   \
    if (__builtin_cpu_supports(feature)) strcat(out, word " ")
    ADD("avx2", "avx2");
    ADD("avx512f", "avx512f");
    ADD("avx512bw", "avx512bw");
    ADD("avx512vnni", "avx512_vnni");
    ADD("avx512bf16", "avx512_bf16");
#undef ADD
    size_t n = strlen(out);
    if (n) out[n - 1] = 0;
#endif
}

double mq_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

size_t mq_physical_memory(void) {
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (size_t)pages * (size_t)size : SIZE_MAX;
}

size_t mq_peak_memory(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * 1024;
}
