/* console.c - what the library says while it works, on stderr: a bar that is redrawn on a terminal, and plain
 * lines now and then elsewhere. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/machine.h"
#include "cli/cli.h"

enum { BAR = 24 };

static struct {
    bool quiet, verbose, terminal, open;
    double last; /* when something was drawn */
    char what[64];
} console;

static void end_line(void) {
    if (console.open) fputc('\n', stderr);
    console.open = false;
}

static void say(void *context, mq_log_level level, const char *text) {
    (void)context;
    if (console.quiet && level != MQ_LOG_WARN) return;
    if (level == MQ_LOG_DEBUG && !console.verbose) return;
    if (console.open) fputs("\r\033[K", stderr);
    console.open = false;
    fprintf(stderr, "%s%s\n", level == MQ_LOG_WARN ? "warning: " : "", text);
}

static void progress(void *context, const char *what, uint64_t done, uint64_t total, const char *note) {
    (void)context;
    if (console.quiet || total == 0) return;
    double now = mq_seconds(), wait = console.terminal ? 0.1 : 15;
    bool fresh = strcmp(what, console.what) != 0;
    if (fresh) {
        snprintf(console.what, sizeof console.what, "%s", what);
        if (!console.terminal) console.last = now;
    }
    if (done < total && now - console.last < wait) return;
    if (!console.terminal) {
        if (total == MQ_LOG_ENDLESS)
            fprintf(stderr, "%s: %s\n", what, note);
        else if (done < total)
            fprintf(stderr, "%s: %3.0f%%  %s\n", what, 100.0 * (double)done / (double)total, note);
        console.last = now;
        return;
    }
    console.last = now;
    if (total == MQ_LOG_ENDLESS) {
        fprintf(stderr, "\r\033[K%s: %s", what, note);
        console.open = true;
        fflush(stderr);
        return;
    }
    int filled = (int)(BAR * done / total);
    fprintf(stderr, "\r\033[K%s [", what);
    for (int i = 0; i < BAR; i++) fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %llu/%llu  %s", (unsigned long long)done, (unsigned long long)total, note);
    console.open = true;
    if (done == total) {
        fputs("\r\033[K", stderr);
        console.open = false;
        console.what[0] = 0;
    }
    fflush(stderr);
}

void console_open(bool quiet, bool verbose) {
    console.quiet = quiet;
    console.verbose = verbose;
    console.terminal = isatty(STDERR_FILENO);
    mq_log_sink sink = {.line = say, .progress = progress};
    mq_log_set(&sink);
}

void console_silence(void) {
    mq_log_set(NULL);
}

void console_close(void) {
    end_line();
}
