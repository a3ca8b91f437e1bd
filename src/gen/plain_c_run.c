/* plain_c_run.c - a program around MODEL_run that reads images and writes outputs. */
#include "gen/plain_c_run.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "gen/plain_c.h"

enum { NAME = MQ_INET_MAX_NAME + 16 };

/* Outputs as they lie in memory: the program runs on the machine that reads them. */
static const char PROGRAM[] = "#include <stdio.h>\n\n"
                              "#include \"%s.h\"\n\n"
                              "static uint8_t image[%s_CHANNELS * %s_HEIGHT * %s_WIDTH];\n"
                              "static int32_t output[%s_OUTPUTS];\n\n"
                              "int main(void) {\n"
                              "    FILE *in = fopen(\"in.bin\", \"rb\"), *out = fopen(\"out.bin\", \"wb\");\n"
                              "    if (!in || !out) return 2;\n"
                              "    while (fread(image, sizeof image, 1, in) == 1) {\n"
                              "        %s_run(image, output);\n"
                              "        if (fwrite(output, sizeof output, 1, out) != 1) return 2;\n"
                              "    }\n"
                              "    return fclose(out) ? 2 : 0;\n"
                              "}\n";

int mq_plain_c_compilers(const char *out[MQ_PLAIN_C_COMPILERS]) {
    int count = 0;
    if (mq_program_found("cc"))
        out[count++] = "cc";
    else if (mq_program_found("gcc"))
        out[count++] = "gcc";
    if (mq_program_found("clang")) out[count++] = "clang";
    return count;
}

static mq_status write_program(const char *name, const char *path, mq_error *error) {
    char capital[NAME] = "";
    mq_outfile *file;
    for (int i = 0; i < NAME && name[i]; i++) capital[i] = (char)toupper((unsigned char)name[i]);
    MQ_TRY(mq_outfile_open(path, &file, error));
    mq_status status =
        mq_outfile_printf(file, error, PROGRAM, name, capital, capital, capital, capital, name);
    if (status == MQ_OK) return mq_outfile_commit(file, error);
    mq_outfile_abort(file);
    return status;
}

static mq_status failed(const char *compiler, const char *log, const char *what, mq_error *error) {
    char tail[400];
    mq_log_tail(log, tail, sizeof tail);
    return mq_fail(error, MQ_CHECK_FAILED, "%s: %s%s%s", compiler, what, tail[0] ? ": " : "", tail);
}

mq_status mq_plain_c_run(const mq_inet *net, const char *dir, const char *compiler, const char *work,
                         const uint8_t *images, size_t count, double limit_s, int32_t **outputs,
                         mq_error *error) {
    char name[NAME], file[NAME + 8], source[MQ_PATH], path[MQ_PATH], log[MQ_PATH], program[MQ_PATH],
        here[MQ_PATH];
    const mq_inet_edge *in = &net->nodes[0].edge, *out = &mq_inet_last(net)->edge;
    size_t size, wanted = count * (size_t)out->h * (size_t)out->w * (size_t)out->c * sizeof **outputs;
    int code;
    uint8_t *bytes;
    *outputs = NULL;
    mq_plain_c_name(net, name);
    snprintf(file, sizeof file, "%s.c", name);
    MQ_TRY(mq_path_join(dir, file, path, error));
    if (!realpath(path, source)) return mq_fail_errno(error, "cannot read", path);
    if (!realpath(dir, here)) return mq_fail_errno(error, "cannot read", dir);
    MQ_TRY(mq_path_join(work, "main.c", path, error));
    MQ_TRY(write_program(name, path, error));
    MQ_TRY(mq_path_join(work, "in.bin", path, error));
    MQ_TRY(mq_file_write(path, images, count * (size_t)in->h * (size_t)in->w * (size_t)in->c, error));
    MQ_TRY(mq_path_join(work, "log", log, error));
    const char *const compile[] = {compiler, "-std=c11", "-O2", "-I",      here,
                                   source,   "main.c",   "-o",  "program", NULL};
    MQ_TRY(mq_process_run(&(mq_process){.words = compile, .folder = work, .log = log, .seconds = limit_s},
                          &code, error));
    if (code != 0) return failed(compiler, log, "it does not compile", error);
    const char *const run[] = {"./program", NULL};
    MQ_TRY(mq_process_run(&(mq_process){.words = run, .folder = work, .log = log, .seconds = limit_s}, &code,
                          error));
    if (code != 0) return failed(compiler, log, "the program does not end well", error);
    MQ_TRY(mq_path_join(work, "out.bin", program, error));
    MQ_TRY(mq_file_read(program, wanted, &bytes, &size, error));
    if (size != wanted) {
        mq_free(bytes);
        return mq_fail(error, MQ_CHECK_FAILED, "%s: the program wrote %zu bytes, expected %zu", compiler,
                       size, wanted);
    }
    mq_status status = mq_alloc(wanted / sizeof **outputs, sizeof **outputs, "outputs", outputs, error);
    if (status == MQ_OK) memcpy(*outputs, bytes, wanted);
    mq_free(bytes);
    return status;
}
