/* thread_wait.c - how long threads wait for each other awake.
 *
 * libgomp's threads that wait try again 300,000 times, some 5 ms, before they sleep: longer than the kernel
 * lets one run when other programs want the core, so that one that waits takes the time of the one that it
 * waits for, several hundred times a training step. Threads that sleep at once take a tenth to a fifth longer
 * when nothing else runs; 0.25 ms costs nothing there (docs/benchmarks.md, "Beside other programs"). The
 * library reads the number as it is loaded and has no call for it: the program begins again with it in its
 * environment. */
#include "cli/thread_wait.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/machine.h"

#if defined(__x86_64__) && !defined(__clang__)
enum { TRIES = 4, PAUSES = 512, LEAST = 1000, LIBRARY_DEFAULT = 300000 };

/* Pauses of the processor in a time, by the fastest of some tries: others may have been interrupted. */
static int pauses_in(double seconds) {
    double least = 1;
    for (int i = 0; i < TRIES; i++) {
        const double begin = mq_seconds();
        for (int n = 0; n < PAUSES; n++) __builtin_ia32_pause();
        const double took = mq_seconds() - begin;
        if (took < least) least = took;
    }
    const double count = PAUSES * seconds / least;
    return count < LEAST ? LEAST : count > LIBRARY_DEFAULT ? LIBRARY_DEFAULT : (int)count;
}

void cli_wait_briefly(char **argv) {
    char program[4096], count[32];
    if (getenv(CLI_POLICY) || getenv(CLI_SPINS)) return;
    /* by its name, which ps shows, not as /proc/self/exe */
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) return;
    program[length] = '\0';
    snprintf(count, sizeof count, "%d", pauses_in(CLI_WAIT_SECONDS));
    if (setenv(CLI_SPINS, count, 1) == 0) execv(program, argv);
    unsetenv(CLI_SPINS); /* it goes on as it is */
}
#else
void cli_wait_briefly(char **argv) {
    (void)argv;
}
#endif
