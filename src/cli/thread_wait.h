/* thread_wait.h - how long the program's threads wait for each other awake before they sleep. */
#ifndef MIXQ_CLI_THREAD_WAIT_H
#define MIXQ_CLI_THREAD_WAIT_H

/* What libgomp reads as it is loaded: how often a thread that waits tries again. */
#define CLI_SPINS        "GOMP_SPINCOUNT"
#define CLI_POLICY       "OMP_WAIT_POLICY" /* OpenMP's own word, which comes first: active or passive */
#define CLI_WAIT_SECONDS 0.25e-3

/* Begins the program again with CLI_SPINS for CLI_WAIT_SECONDS in its environment, before it has done
 * anything. Returns where the user has set one of the two, with another OpenMP or processor, or where
 * it cannot be done: the program then works as well, slower beside others. */
void cli_wait_briefly(char **argv);

#endif
