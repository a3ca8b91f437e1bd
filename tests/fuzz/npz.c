/* npz.c - NumPy's .npz: an archive as it stands, or two .npy that are put into a sound stored one; then as a
 * data set. */
#include "io/npz.h"

#include <stdio.h>
#include <string.h>

#include "data/dataset.h"
#include "fuzz.h"
#include "io/make_pt.h"

static void read_archive(const uint8_t *data, size_t size) {
    static const char *const names[] = {"x_train", "y_train", "x", "y", "images", NULL};
    const char *path = fuzz_file("fuzz.npz", data, size);
    char text[256], spec[600];
    mq_npz *npz;
    mq_tensor tensor;
    mq_dataset *set;
    mq_error error = {0};
    if (fuzz_accepted(mq_npz_open(path, &npz, &error), &error, MQ_OK)) {
        mq_npz_names(npz, text, sizeof text);
        for (int i = 0; names[i]; i++) {
            error = (mq_error){0};
            if (fuzz_accepted(mq_npz_read(npz, names[i], &tensor, &error), &error, MQ_OK))
                mq_tensor_free(&tensor);
        }
        mq_npz_close(npz);
    }
    error = (mq_error){0};
    if (fuzz_accepted(mq_array_load(path, names, &tensor, &error), &error, MQ_OK)) mq_tensor_free(&tensor);
    const mq_data_request request = {0};
    snprintf(spec, sizeof spec, "npy:%s", path);
    error = (mq_error){0};
    if (fuzz_accepted(mq_dataset_open(spec, &request, &set, &error), &error, MQ_USAGE)) mq_dataset_free(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size >= 2 && memcmp(data, "PK", 2) == 0) {
        read_archive(data, size);
        return 0;
    }
    fuzz_bytes rest = {data, size}, x = fuzz_part(&rest);
    zip_writer z = {0};
    zip_add(&z, "x_train.npy", x.at, x.left);
    zip_add(&z, "y_train.npy", rest.at, rest.left);
    bytes file = zip_finish(&z, 0);
    read_archive(file.data, file.size);
    free(file.data);
    return 0;
}
