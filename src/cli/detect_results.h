/* detect_results.h - what a detector found, as files: images with both boxes, and the contest's lines. */
#ifndef MIXQ_CLI_DETECT_RESULTS_H
#define MIXQ_CLI_DETECT_RESULTS_H

#include "base/file.h"
#include "cli/cli.h"
#include "data/dataset.h"
#include "detect/head.h"

/* Rows for a command's option table. */
#define DETECT_RESULT_OPTIONS                                                                                \
    {"--save-images", "DIR", "detectors: images with the true (green) and the found box (red), as PNG"},     \
        {"--save", "N", "with --save-images: the first N images (24)"}, {                                    \
        "--results", "FILE", "detectors: a line per image: name xmin xmax ymin ymax, in its own pixels"      \
    }

typedef struct detect_results {
    const char *folder; /* NULL: no images */
    size_t most, saved; /* images to save; that were saved */
    const char *file;   /* NULL: no lines */
    mq_outfile *lines;  /* while it is not complete */
} detect_results;

/* Reads the options above and begins what they ask for, so that a path that cannot be written is known before
 * the run. MQ_USAGE: a set without boxes, --save-images that names something else than a folder. Close it,
 * also after a failure. */
mq_status detect_results_open(const cli_args *args, const mq_dataset *dataset, detect_results *out,
                              mq_error *error) MQ_MUST_CHECK;
/* found: [dataset->count] in the set's order, boxes in pixels of the network's input. Files appear whole or
 * not at all; damaged images are not saved. */
mq_status detect_results_write(detect_results *results, const mq_dataset *dataset, const mq_found *found,
                               mq_error *error) MQ_MUST_CHECK;
/* Says on stdout what was written. */
void detect_results_say(const detect_results *results, const mq_dataset *dataset);
void detect_results_close(detect_results *results); /* throws away lines that were not written; {0} is fine */

#endif
