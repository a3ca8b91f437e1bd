/* plain_c_bench.c - <model>_bench.c and its two files of numbers. */
#include "gen/plain_c_bench.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "gen/plain_c.h"

enum { NAME = MQ_INET_MAX_NAME + 16 };

static const char program[] =
    "#include <stdio.h>\n"
    "#include <time.h>\n\n"
    "#include \"%s.h\"\n\n"
    "static uint8_t image[%s_CHANNELS * %s_HEIGHT * %s_WIDTH];\n"
    "static unsigned char expected[4 * %s_OUTPUTS];\n"
    "static int32_t output[%s_OUTPUTS];\n\n"
    "int main(void) {\n"
    "    FILE *images = fopen(\"images.bin\", \"rb\"), *outputs = fopen(\"outputs.bin\", \"rb\");\n"
    "    int count = 0, wrong = 0;\n"
    "    clock_t spent = 0;\n"
    "    if (!images || !outputs) {\n"
    "        "
    "fprintf(stderr, \"images.bin and outputs.bin are not here\\n\");\n"
    "        return 2;\n"
    "    }\n"
    "    while (fread(image, sizeof image, 1, images) == 1 && fread(expected, sizeof expected, 1, outputs) "
    "== 1) {\n"
    "        clock_t start = clock();\n"
    "        int differ = 0;\n"
    "        %s_run(image, output);\n"
    "        spent += clock() - start;\n"
    "        for (int i = 0; i < %s_OUTPUTS; i++) { /* bytes of two's complement, the lowest first */\n"
    "            uint32_t v = expected[4 * i] | (uint32_t)expected[4 * i + 1] << 8 | (uint32_t)expected[4 * "
    "i + 2] << 16 |\n"
    "                         (uint32_t)expected[4 * i + 3] << 24;\n"
    "            differ += v != (uint32_t)output[i];\n"
    "        }\n"
    "        if (differ) "
    "fprintf(stderr, \"image %%d: %%d of %%d outputs differ\\n\", count, differ, "
    "(int)%s_OUTPUTS);\n"
    "        wrong += differ > 0;\n"
    "        count++;\n"
    "    }\n"
    "    fclose(images);\n"
    "    fclose(outputs);\n"
    "    "
    "printf(\"%%d images, %%d wrong, %%.4f s each\\n\", count, wrong,\n"
    "           count ? (double)spent / CLOCKS_PER_SEC / count : 0.0);\n"
    "    return wrong > 0 || count == 0;\n"
    "}\n";

static mq_status write_program(const char *name, const char *path, mq_error *error) {
    char capital[NAME];
    mq_outfile *file;
    for (int i = 0; i < NAME; i++) capital[i] = (char)toupper((unsigned char)name[i]);
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_status status = mq_outfile_printf(
        file, error,
        "/* %s_bench.c - runs %s on images.bin and compares with outputs.bin, the outputs of the\n"
        " * trained network evaluated exactly:\n"
        " *   cc -std=c11 -O2 %s.c %s_bench.c -o %s_bench && ./%s_bench */\n",
        name, name, name, name, name, name);
    if (status == MQ_OK)
        status = mq_outfile_printf(file, error, program, name, capital, capital, capital, capital, capital,
                                   name, capital, capital);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

static mq_status write_outputs(const int64_t *outputs, size_t count, const char *path, mq_error *error) {
    uint8_t *bytes;
    MQ_TRY(mq_alloc(count, 4, "outputs", &bytes, error));
    for (size_t i = 0; i < count; i++)
        for (int b = 0; b < 4; b++) bytes[4 * i + (size_t)b] = (uint8_t)((uint64_t)outputs[i] >> 8 * b);
    mq_status status = mq_file_write(path, bytes, 4 * count, error);
    mq_free(bytes);
    return status;
}

mq_status mq_plain_c_write_bench(const mq_inet *net, const uint8_t *images, const int64_t *outputs,
                                 size_t count, const char *dir, mq_error *error) {
    char name[NAME], file[NAME + 16], path[MQ_PATH];
    const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
    memset(name, 0, sizeof name);
    mq_plain_c_name(net, name);
    snprintf(file, sizeof file, "%s_bench.c", name);
    MQ_TRY(mq_path_join(dir, file, path, error));
    MQ_TRY(write_program(name, path, error));
    MQ_TRY(mq_path_join(dir, MQ_PLAIN_C_IMAGES, path, error));
    MQ_TRY(mq_file_write(path, images, count * (size_t)(in->h * in->w * in->c), error));
    MQ_TRY(mq_path_join(dir, MQ_PLAIN_C_OUTPUTS, path, error));
    return write_outputs(outputs, count * (size_t)(out->h * out->w * out->c), path, error);
}
