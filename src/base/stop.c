/* stop.c - the stop flag. */
#include "base/stop.h"

#include <signal.h>

static volatile sig_atomic_t stop_flag;

void mq_stop_request(void) {
    stop_flag = 1;
}

bool mq_stop_requested(void) {
    return stop_flag != 0;
}

void mq_stop_clear(void) {
    stop_flag = 0;
}
