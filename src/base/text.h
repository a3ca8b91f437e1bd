/* text.h - small string helpers: nearest names for error messages, natural order, numbers read strictly. */
#ifndef MIXQ_BASE_TEXT_H
#define MIXQ_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The candidate with the smallest edit distance to word, or NULL when none is near (distance over half its
 * length). candidates ends with NULL. */
const char *mq_nearest(const char *word, const char *const *candidates);
/* Compares like strcmp, but runs of digits by their value ("layers.2" < "layers.10"). */
int mq_natural_compare(const char *a, const char *b);
/* Whole-string numbers: true and *out set, or false (empty, trailing text, out of range, not finite). */
bool mq_parse_int(const char *text, int64_t *out);
bool mq_parse_double(const char *text, double *out);
bool mq_starts_with(const char *text, const char *prefix);
bool mq_ends_with(const char *text, const char *suffix);
/* The ending of a plural: "%zu image%s". */
static inline const char *mq_s(uint64_t count) {
    return count == 1 ? "" : "s";
}

#endif
