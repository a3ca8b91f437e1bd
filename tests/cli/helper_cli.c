/* helper_cli.c - see helper_cli.h. */
#include "helper_cli.h"

int tiny_make(void **state) {
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "tiny.yaml", CLI_TINY);
    cli_put_data(state, "data", 200, 50, 8);
    cli_works(state, "train " TINY_RUN " --bitw 44 --bita 44 --epochs 2 --lr 0.1 --out run");
    return 0;
}

json_t *st_open(void **state, const char *name, uint8_t **data, size_t *size) {
    size_t total;
    uint64_t length;
    uint8_t *bytes = cli_get(state, name, &total);
    memcpy(&length, bytes, sizeof length);
    assert_true(8 + length <= total);
    json_t *header = json_loadb((const char *)bytes + 8, (size_t)length, 0, NULL);
    assert_non_null(header);
    *size = total - 8 - (size_t)length;
    *data = malloc(*size + 1);
    memcpy(*data, bytes + 8 + length, *size);
    free(bytes);
    return header;
}

void st_save(void **state, const char *name, json_t *header, uint8_t *data, size_t size) {
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t length = strlen(text), padded = (length + 7) / 8 * 8;
    uint8_t *bytes = malloc(8 + (size_t)padded + size);
    memset(bytes + 8, ' ', (size_t)padded);
    memcpy(bytes, &padded, 8);
    memcpy(bytes + 8, text, (size_t)length);
    memcpy(bytes + 8 + padded, data, size);
    cli_put(state, name, bytes, 8 + (size_t)padded + size);
    free(bytes);
    free(text);
    free(data);
    json_decref(header);
}

void st_poke(void **state, const char *name, const char *tensor, size_t index, float value) {
    uint8_t *data;
    size_t size;
    json_t *header = st_open(state, name, &data, &size);
    json_t *offsets = json_object_get(json_object_get(header, tensor), "data_offsets");
    if (!offsets) fail_msg("%s has no tensor %s", name, tensor);
    size_t at = (size_t)json_integer_value(json_array_get(offsets, 0)) + index * sizeof value;
    assert_true(at + sizeof value <= size);
    memcpy(data + at, &value, sizeof value);
    st_save(state, name, header, data, size);
}
