/* helper_made.h - cases in the form of the golden folder, made by our own program, for networks that the
 * folder at hand may not hold. */
#ifndef MIXQ_TESTS_GOLDEN_HELPER_MADE_H
#define MIXQ_TESTS_GOLDEN_HELPER_MADE_H

/* A fixed detector: checkpoint (published names), expected.json, train_step, integer_model, headers and
 * simulate. The integer outputs come from plain loops over the published rules, not from our simulators.
 * model: ultranet_bypass or skynetk5; folder: made before. */
void made_fixed(const char *folder, const char *model, const char *bitw, const char *bita);
/* One step of a search: initial, batches, step1, expected.json. */
void made_search(const char *folder, const char *model);

#endif
