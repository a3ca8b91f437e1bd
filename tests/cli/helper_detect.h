/* helper_detect.h - a small trained detector for the command-line tests. */
#ifndef MIXQ_TESTS_CLI_HELPER_DETECT_H
#define MIXQ_TESTS_CLI_HELPER_DETECT_H

#include "cli_run.h"

enum { FINDER_H = 32, FINDER_W = 64 };

/* cmocka set-up of a folder with finder.yaml (two anchors, cells of 4 x 4 pixels) and main/: 2 epochs on
 * shapes:48 at 4 bits. */
int finder_make(void **state);

/* Exit code 0; the line of stderr that begins with `mixq: warning` must hold all the words. */
void expect_warning(void **state, const char *words, const char *line);

#endif
