/* plot_file.c - figures where --plot wants them. */
#include "cli/plot_file.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/memory.h"

mq_status plot_check(const cli_args *args, const char *path, mq_error *error) {
    if (args->json && strcmp(path, "-") == 0)
        return mq_fail(error, MQ_USAGE, "--plot - prints on stdout, where --json stands alone: give a file");
    return MQ_OK;
}

mq_figure_form plot_form(const char *path) {
    return strcmp(path, "-") == 0 ? MQ_FIGURE_TEXT : MQ_FIGURE_SVG;
}

mq_status plot_write(const char *path, mq_page *page, mq_error *error) {
    char *text;
    MQ_TRY(mq_page_take(page, &text, error));
    mq_status status = MQ_OK;
    if (strcmp(path, "-") == 0)
        fputs(text, stdout);
    else
        status = mq_file_write(path, text, strlen(text), error);
    mq_free(text);
    return status;
}
