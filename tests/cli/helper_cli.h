/* helper_cli.h - a trained tiny network for the command-line tests, and damaged safetensors files. */
#ifndef MIXQ_TESTS_CLI_HELPER_CLI_H
#define MIXQ_TESTS_CLI_HELPER_CLI_H

#include "cli_run.h"

/* How tiny.yaml is trained on mnist:data, one thread, no augmentation; add --out and bits. */
#define TINY_RUN "--model tiny.yaml --data mnist:data --threads 1 --batch 20 --set flip=0 --set pad=0 --quiet"

/* cmocka set-up and tear-down of a folder with tiny.yaml, data/ (200 + 50 images) and run/: 2 epochs at 4
 * bits. */
int tiny_make(void **state);

/* The header of a safetensors file as JSON; *data gets the bytes after it. */
json_t *st_open(void **state, const char *name, uint8_t **data, size_t *size);
/* Writes such a file, its header as given; releases both. */
void st_save(void **state, const char *name, json_t *header, uint8_t *data, size_t size);
/* Sets one float of a tensor. */
void st_poke(void **state, const char *name, const char *tensor, size_t index, float value);

#endif
