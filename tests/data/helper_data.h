/* helper_data.h - small data sets on disk and in memory for the tests of this folder. */
#ifndef TEST_HELPER_DATA_H
#define TEST_HELPER_DATA_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "data/dataset.h"

/* A fresh temporary folder in text[64]; removed with its files by drop_folder. */
void make_folder(char text[64]);
void drop_folder(const char *folder);

/* Writes folder/name, gzip-compressed when the name ends with .gz. */
void put_file(const char *folder, const char *name, const uint8_t *bytes, size_t size);
void put_plain(const char *folder, const char *name, const uint8_t *bytes, size_t size);
/* Reads folder/name as it is on disk into bytes[room]; returns its size. */
size_t get_file(const char *folder, const char *name, uint8_t *bytes, size_t room);

/* A value for byte i of a test image: no two rows alike, never 0. */
uint8_t pixel(size_t i);

/* A data set in memory: pixel (i, y, x, c) is pixel(its flat index), label i % classes. */
mq_dataset *make_set(size_t count, int height, int width, int channels, int classes);

/* Opening `spec` must fail with that status and a text that holds `words`. */
void expect_failure(const char *spec, const mq_data_request *request, mq_status status, const char *words);
mq_dataset *expect_open(const char *spec, const mq_data_request *request);

#endif
