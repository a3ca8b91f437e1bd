/* claim.h - who works on what: a lock file per piece of work, held while the work lasts.
 *
 * flock() on a regular file opened for writing: the lock goes with the process, whatever ends it, so that
 * another one takes over. On a shared file system it must be known on all machines: Linux' NFS client passes
 * it on to the server as a lock of the whole file, Lustre does with the mount option flock, BeeGFS and GPFS
 * by setting. A file system without locks is refused. */
#ifndef MIXQ_SWEEP_CLAIM_H
#define MIXQ_SWEEP_CLAIM_H

#include <stdbool.h>

#include "base/status.h"

/* Tries to take the lock file `path`, which is made and stays. *claim: to be released, or -1 while another
 * process (another machine) has it. MQ_BAD_INPUT: it cannot be written or locked. */
mq_status mq_claim_take(const char *path, int *claim, mq_error *error) MQ_MUST_CHECK;
void mq_claim_release(int *claim); /* -1 is fine */
/* Who took it last, "HOST, process N", for messages; "another process" when the file does not say. */
enum { MQ_CLAIM_TEXT = 128 };
void mq_claim_holder(const char *path, char out[MQ_CLAIM_TEXT]);

#endif
