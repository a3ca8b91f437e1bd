/* ok.h - calls that must succeed, in tests: OK(mq_net_load(path, &net, ERROR)); a failure shows the message.
 * Include after cmocka.h. */
#ifndef MIXQ_TESTS_OK_H
#define MIXQ_TESTS_OK_H

#include "base/status.h"

#define OK(call)                                                                                             \
    do {                                                                                                     \
        mq_error ok_error_ = {0};                                                                            \
        if ((call) != MQ_OK) fail_msg("%s", ok_error_.text);                                                 \
    } while (0)
#define ERROR &ok_error_ /* within OK */

#endif
