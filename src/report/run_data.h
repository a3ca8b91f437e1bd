/* run_data.h - what a run folder and an export or build folder hold, read for a report. Files of others:
 * everything is checked, and what is wrong is named; what an unfinished run does not have yet is just not
 * there. */
#ifndef MIXQ_REPORT_RUN_DATA_H
#define MIXQ_REPORT_RUN_DATA_H

#include "base/digest.h"
#include "base/file.h"
#include "inet/inet_plan.h"
#include "io/json.h"

enum { MQ_REPORT_LAYERS = 512, MQ_REPORT_NAME = 64, MQ_REPORT_EPOCHS = 100000 };

/* The last part of a path, control characters replaced. */
void mq_folder_name(const char *path, char out[MQ_REPORT_NAME]);

/* A folder of search or train (docs/training.md). */
typedef struct mq_run_data {
    char name[MQ_REPORT_NAME]; /* of the folder, printable */
    const char *path;          /* borrowed */
    json_t *run;               /* run.json */
    json_t *bits;              /* bits.json, or NULL */
    json_t *epoch;             /* array: metrics.jsonl, one object per finished epoch */
    const char *model, *mode;  /* of run.json; "" when it does not say */
    const char *quality;       /* "accuracy" or "iou" */
    char best[MQ_DIGEST_TEXT]; /* SHA-256 of best.safetensors, or "" */
} mq_run_data;

mq_status mq_run_data_read(const char *path, mq_run_data *out, mq_error *error) MQ_MUST_CHECK;
void mq_run_data_clear(mq_run_data *run);
int mq_run_data_epochs(const mq_run_data *run);
/* Member `key` of every epoch into out [epochs]; NaN where there is none or no number. */
void mq_run_data_column(const mq_run_data *run, const char *key, double *out);
/* The largest quality of all epochs, or NaN. */
double mq_run_data_best(const mq_run_data *run);
/* bits.json's DSP operations in millions, or NaN. */
double mq_run_data_dsp(const mq_run_data *run);
/* Digits of a bit string ("822222" or "8,2,2"), at most MQ_REPORT_LAYERS; -1 where it is none. */
int mq_bits_digits(const char *text, int digit[MQ_REPORT_LAYERS]);
/* Name of searched layer i: bits.json's `layers`, else "layer i". */
void mq_run_data_layer(const mq_run_data *run, int i, char out[MQ_REPORT_NAME]);

/* A folder of export or build (docs/formats.md). */
typedef struct mq_net_data {
    char name[MQ_REPORT_NAME];
    const char *path;
    mq_inet *net;
    mq_inet_plan *plan;  /* or NULL */
    json_t *certificate; /* or NULL */
    json_t *build;       /* build.json, or NULL */
    json_t *manifest;    /* or NULL */
} mq_net_data;

mq_status mq_net_data_read(const char *path, mq_net_data *out, mq_error *error) MQ_MUST_CHECK;
void mq_net_data_clear(mq_net_data *net);

#endif
