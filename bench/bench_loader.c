/* bench_loader.c - how many images per second the loader delivers: bench_loader [DATA [BATCH]]
 *
 * Without DATA it writes 400 generated scenes of 360 x 640, the contest's size, as JPEG to a temporary folder
 * and reads them as dac-sdc. Each row is one number of threads; nothing is kept in memory, so every image is
 * decoded, scaled and augmented in every epoch. To be held against the images per second of `mixq bench
 * --model ultranet --mode train`: the aim is twice that. */
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "base/machine.h"
#include "data/export.h"
#include "data/loader.h"

enum { SCENES = 400, HEIGHT = 360, WIDTH = 640, BATCH = 64, THREADS_MOST = 4 };
#define SECONDS 4.0

static int fail(const mq_error *error) {
    fprintf(stderr, "bench_loader: %s\n", error->text);
    return 1;
}

static mq_status write_scenes(const char *folder, mq_error *error) {
    const mq_data_request request = {.height = HEIGHT, .width = WIDTH, .limit = SCENES};
    mq_dataset *set;
    char path[MQ_PATH];
    size_t written;
    MQ_TRY(mq_path_join(folder, "train", path, error));
    MQ_TRY(mq_dataset_open("shapes", &request, &set, error));
    mq_status status = mq_dataset_export(set, path, &written, error);
    mq_dataset_free(set);
    if (status != MQ_OK) return status;
    MQ_TRY(mq_path_join(folder, "test", path, error));
    return mq_make_dirs(path, error);
}

typedef struct rate {
    double per_second; /* images; 0 after a failure */
    double cpu_ms;     /* of all threads per image: what remains true on a busy machine */
} rate;

static double cpu_seconds(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

/* Over whole epochs of at least SECONDS. */
static rate measure(const mq_dataset *set, const mq_loader_options *options, mq_error *error) {
    mq_loader *loader;
    if (mq_loader_start(set, options, &loader, error) != MQ_OK) return (rate){0};
    size_t images = 0;
    double start = mq_seconds(), cpu = cpu_seconds(), seconds = 0;
    for (uint64_t epoch = 0; seconds < SECONDS; epoch++) {
        mq_loader_epoch(loader, epoch);
        for (const mq_batch *batch; (batch = mq_loader_next(loader));) images += batch->count;
        if (mq_loader_status(loader, error) != MQ_OK) {
            images = 0;
            break;
        }
        seconds = mq_seconds() - start;
    }
    cpu = cpu_seconds() - cpu;
    mq_loader_stop(loader);
    if (images == 0) return (rate){0};
    return (rate){(double)images / seconds, 1e3 * cpu / (double)images};
}

static int run(const char *data, int batch) {
    mq_error error = {0};
    mq_dataset *set;
    const mq_data_request request = {.kept = 1};
    double start = mq_seconds();
    if (mq_dataset_open(data, &request, &set, &error) != MQ_OK) return fail(&error);
    printf("%s: %zu images of %d x %d, opened in %.1f ms\n", set->name, set->count, set->height, set->width,
           1e3 * (mq_seconds() - start));
    printf("batches of %d; images/s, and ms of CPU per image\n%8s %16s %16s\n", batch, "threads",
           "as they are", "augmented");
    int status = 0;
    for (int threads = 1; threads <= THREADS_MOST && status == 0; threads *= 2) {
        mq_loader_options options = {.batch = batch, .shuffle = true, .threads = threads};
        rate plain = measure(set, &options, &error);
        options.augment =
            set->task == MQ_DATA_DETECT ? mq_augment_detector : (mq_augment){.pad = 4, .flip = true};
        rate augmented = measure(set, &options, &error);
        if (plain.per_second == 0 || augmented.per_second == 0)
            status = fail(&error);
        else
            printf("%8d %8.0f %7.2f %8.0f %7.2f\n", threads, plain.per_second, plain.cpu_ms,
                   augmented.per_second, augmented.cpu_ms);
    }
    mq_dataset_free(set);
    return status;
}

static int drop(const char *path, const struct stat *info, int type, struct FTW *where) {
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

int main(int argc, char **argv) {
    int batch = argc > 2 ? atoi(argv[2]) : BATCH;
    if (argc > 1) return run(argv[1], batch);
    char folder[] = "/tmp/mixq-bench-XXXXXX", data[64];
    mq_error error = {0};
    if (!mkdtemp(folder)) return 1;
    snprintf(data, sizeof data, "dac-sdc:%s", folder);
    int status = write_scenes(folder, &error) == MQ_OK ? run(data, batch) : fail(&error);
    nftw(folder, drop, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}
