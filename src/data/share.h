/* share.h - things in a row divided among several. */
#ifndef MIXQ_DATA_SHARE_H
#define MIXQ_DATA_SHARE_H

#include <stddef.h>

/* Of n things, number `share` of `shares` has those from here to before mq_share(n, share + 1, shares).
 * Shares differ by one at most; mq_share_most is the largest. */
static inline size_t mq_share(size_t n, int share, int shares) {
    return n / (size_t)shares * (size_t)share + n % (size_t)shares * (size_t)share / (size_t)shares;
}
static inline size_t mq_share_most(size_t n, int shares) {
    return (n + (size_t)shares - 1) / (size_t)shares;
}

#endif
