/* fault_server.h - descriptors and message size between a test and faults.c. */
#ifndef MIXQ_TESTS_RELIABILITY_FAULT_SERVER_H
#define MIXQ_TESTS_RELIABILITY_FAULT_SERVER_H

enum { FAULT_IN = 198, FAULT_OUT = 199, FAULT_ASK = 64 };

#endif
