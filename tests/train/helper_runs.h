/* helper_runs.h - a data set that a tiny network learns in seconds, and training runs of it in a folder of
 * the test. */
#ifndef MIXQ_TESTS_HELPER_RUNS_H
#define MIXQ_TESTS_HELPER_RUNS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/temp_dir.h"
#include "io/json.h"
#include "net/checkpoint.h"
#include "search/search.h"
#include "train/trainer.h"
#include "ok.h"

enum {
    RUN_TRAIN = 100,
    RUN_TEST = 48,
    RUN_BATCH = 16,
    RUN_STEPS = 7 /* of an epoch; the last has 4 images */
};

/* Everything of a run; change what a test is about between run_begin and run_train. */
typedef struct test_run {
    mq_net *net;
    mq_dataset *train, *test;
    mq_bits bits;
    mq_search search;
    mq_train_hooks hooks;
    mq_train_settings settings;
    json_t *json;
    char folder[512];
    int steps, epochs; /* done in this process, counted by the hooks */
    int stop_step;     /* ask to stop during this step (1, 2, ...); 0 = never */
    int stop_epoch;    /* ask to stop at the end of this epoch */
    void (*sabotage)(struct test_run *run, mq_model *model); /* after every update; may be NULL */
    mq_train_result result;
    mq_error error;
} test_run;

/* Into folder `name` of the temporary one; 3 epochs. */
void run_begin(test_run *run, void **state, const char *name, mq_mode mode, bool share);
/* The same with a detector on rectangles, by the published recipe; 10 % of the images are empty. */
void run_begin_detector(test_run *run, void **state, const char *name, mq_mode mode, bool share);
/* Fills result and error. */
mq_status run_train(test_run *run);
/* run_train that must work. */
void run_well(test_run *run);
void run_end(test_run *run);
/* Path of a file in the run's folder; valid until the next call. */
const char *run_path(const test_run *run, const char *file);
/* Both runs ended with the same files (but for the seconds in metrics.jsonl) and results. */
void run_same_end(const test_run *a, const test_run *b);
/* Stops the run in every `every`-th update it does and resumes it until its end. Returns how often it was
 * called. */
int run_stopped_often(test_run *run, int every);
/* Metrics lines without "seconds", as a JSON array; release with json_decref. */
json_t *run_metrics(const test_run *run);
/* The file is the same, byte by byte, in both folders. */
void run_same_file(const test_run *a, const test_run *b, const char *file);
void run_load(const test_run *run, const char *file, mq_checkpoint *out);
void run_expect(const test_run *run, mq_status got, mq_status expected, const char *words);

int run_one_thread(void **state); /* group set-up */

#endif
