/* helper_data.c - small data sets on disk and in memory. */
#include "data/helper_data.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/text.h"

void make_folder(char text[64]) {
    strcpy(text, "/tmp/mixq-data-XXXXXX");
    assert_non_null(mkdtemp(text));
}

void drop_folder(const char *folder) {
    DIR *dir = opendir(folder);
    if (!dir) return;
    char path[MQ_PATH];
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

void put_plain(const char *folder, const char *name, const uint8_t *bytes, size_t size) {
    char path[MQ_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void put_file(const char *folder, const char *name, const uint8_t *bytes, size_t size) {
    if (!mq_ends_with(name, ".gz")) {
        put_plain(folder, name, bytes, size);
        return;
    }
    char path[MQ_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    if (size) assert_int_equal(gzwrite(file, bytes, (unsigned)size), size);
    assert_int_equal(gzclose(file), Z_OK);
}

size_t get_file(const char *folder, const char *name, uint8_t *bytes, size_t room) {
    char path[MQ_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, room, file);
    assert_true(feof(file) || size < room);
    fclose(file);
    return size;
}

uint8_t pixel(size_t i) {
    uint32_t h = (uint32_t)i * 2654435761u;
    return (uint8_t)(1 + (h >> 16) % 255);
}

mq_dataset *make_set(size_t count, int height, int width, int channels, int classes) {
    mq_dataset *set;
    mq_error error;
    assert_int_equal(mq_dataset_create("made", count, height, width, channels, classes, &set, &error), MQ_OK);
    for (size_t i = 0; i < count * mq_dataset_image_bytes(set); i++) set->images[i] = pixel(i);
    for (size_t i = 0; i < count; i++) set->labels[i] = (int32_t)(i % (size_t)classes);
    return set;
}

void expect_failure(const char *spec, const mq_data_request *request, mq_status status, const char *words) {
    mq_dataset *set = NULL;
    mq_error error = {0};
    mq_status got = mq_dataset_open(spec, request, &set, &error);
    if (got != status || !strstr(error.text, words)) {
        fail_msg("%s: got %d \"%s\", expected %d with \"%s\"", spec, got, error.text, status, words);
    }
    assert_null(set);
    assert_int_equal(error.status, status);
}

mq_dataset *expect_open(const char *spec, const mq_data_request *request) {
    mq_dataset *set = NULL;
    mq_error error = {0};
    if (mq_dataset_open(spec, request, &set, &error) != MQ_OK) fail_msg("%s", error.text);
    assert_non_null(set);
    return set;
}
