/* main.c - parsing by the tables, help, signals, exit codes. */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/machine.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/stop.h"
#include "base/text.h"
#include "cli/thread_wait.h"

const cli_option cli_common_options[] = {
    {"--seed", "N", "seed of everything random (0)"},
    {"--threads", "N", "threads (all cores)"},
    {"--set", "KEY=VALUE", "a setting of the recipe, see below; may be repeated"},
    {"--json", NULL, "one JSON object on stdout instead of text"},
    {"--quiet", NULL, "only warnings and errors on stderr"},
    {"--verbose", NULL, "more on stderr"},
    {"--help", NULL, "this text"},
    {"--version", NULL, "the version"},
    {NULL, NULL, NULL},
};
enum { COMMON_COUNT = sizeof cli_common_options / sizeof *cli_common_options - 1 };

static const cli_option *option_at(const cli_command *command, int i) {
    if (i < COMMON_COUNT) return &cli_common_options[i];
    return command && command->options ? &command->options[i - COMMON_COUNT]
                                       : &cli_common_options[COMMON_COUNT];
}

static int find_option(const cli_command *command, const char *name) {
    for (int i = 0; option_at(command, i)->name; i++)
        if (strcmp(option_at(command, i)->name, name) == 0) return i;
    return -1;
}

const char *cli_value(const cli_args *args, const char *name) {
    int i = find_option(args->command, name);
    return i < 0 ? NULL : args->value[i];
}

bool cli_flag(const cli_args *args, const char *name) {
    return cli_value(args, name) != NULL;
}

mq_status cli_required(const cli_args *args, const char *name, const char **out, mq_error *error) {
    *out = cli_value(args, name);
    if (*out) return MQ_OK;
    return mq_fail(error, MQ_USAGE, "%s: %s is missing: mixq %s %s", args->command->name, name,
                   args->command->name, args->command->usage);
}

mq_status cli_int(const cli_args *args, const char *name, int64_t low, int64_t high, int64_t *out,
                  mq_error *error) {
    const char *text = cli_value(args, name);
    if (!text) return MQ_OK;
    if (!mq_parse_int(text, out) || *out < low || *out > high)
        return mq_fail(error, MQ_USAGE, "%s: got '%s', expected a whole number from %lld to %lld", name, text,
                       (long long)low, (long long)high);
    return MQ_OK;
}

static mq_status number(const char *name, const char *text, double low, double high, double *out,
                        mq_error *error) {
    if (!mq_parse_double(text, out) || *out < low || *out > high)
        return mq_fail(error, MQ_USAGE, "%s: got '%s', expected a number from %g to %g", name, text, low,
                       high);
    return MQ_OK;
}

mq_status cli_double(const cli_args *args, const char *name, double low, double high, double *out,
                     mq_error *error) {
    const char *text = cli_value(args, name);
    return text ? number(name, text, low, high, out, error) : MQ_OK;
}

mq_status cli_choice(const cli_args *args, const char *name, const char *const *words, int *out,
                     mq_error *error) {
    const char *text = cli_value(args, name);
    if (!text) return MQ_OK;
    char list[256] = "";
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *out = i;
            return MQ_OK;
        }
        if (i) strncat(list, ", ", sizeof list - strlen(list) - 1);
        strncat(list, words[i], sizeof list - strlen(list) - 1);
    }
    return mq_fail(error, MQ_USAGE, "%s: got '%s', expected one of %s", name, text, list);
}

mq_status cli_setting(const cli_args *args, const char *key, double low, double high, double *out,
                      mq_error *error) {
    size_t n = strlen(key);
    for (int i = 0; i < args->set_count; i++)
        if (strncmp(args->set[i], key, n) == 0 && args->set[i][n] == '=')
            MQ_TRY(number(key, args->set[i] + n + 1, low, high, out, error));
    return MQ_OK;
}

mq_status cli_strict(const cli_args *args, bool *out, mq_error *error) {
    double given = 0;
    MQ_TRY(cli_setting(args, CLI_STRICT, 0, 1, &given, error));
    *out = given != 0;
    return *out == (given == 1) ? MQ_OK : mq_fail(error, MQ_USAGE, "--set strict: 0 or 1 expected");
}

mq_status cli_print_json(json_t *object, mq_error *error) {
    json_t *all = json_pack("{s:i}", "schema", 1);
    if (!object || !all || json_object_update(all, object) != 0) {
        json_decref(object);
        json_decref(all);
        return mq_fail_memory(error, "the result", 0);
    }
    char *text = json_dumps(all, JSON_INDENT(2));
    json_decref(object);
    json_decref(all);
    if (text && mq_memory_was_short()) { /* a key is missing */
        free(text);
        text = NULL;
    }
    if (!text) return mq_fail_memory(error, "the result", 0);
    int written = printf("%s\n", text);
    free(text);
    if (written < 0 || fflush(stdout) != 0) return mq_fail_errno(error, "cannot write", "standard output");
    return MQ_OK;
}

/* ---- parsing ---- */

static mq_status add_set(cli_args *args, const char *text, mq_error *error) {
    const char *equals = strchr(text, '=');
    const char *const *keys = args->command->settable;
    size_t n = equals ? (size_t)(equals - text) : 0;
    char key[64];
    snprintf(key, sizeof key, "%.*s", (int)n, text);
    for (int i = 0; keys && keys[i]; i++) {
        if (strcmp(keys[i], key) != 0) continue;
        if (args->set_count == CLI_MAX_WORDS) return mq_fail(error, MQ_USAGE, "--set: too many settings");
        args->set[args->set_count++] = text;
        return MQ_OK;
    }
    static const char *const none[] = {NULL};
    const char *near = mq_nearest(key, keys ? keys : none);
    if (!keys)
        return mq_fail(error, MQ_USAGE, "--set %s: mixq %s has no settings", text, args->command->name);
    return mq_fail(error, MQ_USAGE, "--set %s: KEY=VALUE with a known key expected%s%s%s; see mixq %s --help",
                   text, near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "",
                   args->command->name);
}

static mq_status unknown_option(const cli_command *command, const char *name, mq_error *error) {
    const char *names[2 * CLI_MAX_OPTIONS + 1];
    int count = 0;
    for (int i = 0; option_at(command, i)->name; i++) names[count++] = option_at(command, i)->name;
    names[count] = NULL;
    const char *near = mq_nearest(name, names);
    return mq_fail(error, MQ_USAGE, "%s: unknown option %s%s%s%s; see mixq %s --help", command->name, name,
                   near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", command->name);
}

static mq_status parse(int argc, char **argv, cli_args *args, mq_error *error) {
    const cli_command *command = args->command;
    bool only_words = false;
    for (int i = 0; i < argc; i++) {
        const char *text = argv[i];
        if (!*text) return mq_fail(error, MQ_USAGE, "argument %d is empty", i + 1);
        if (only_words || text[0] != '-' || !text[1]) {
            if (args->word_count == CLI_MAX_WORDS) return mq_fail(error, MQ_USAGE, "too many arguments");
            args->word[args->word_count++] = text;
            continue;
        }
        if (strcmp(text, "--") == 0) {
            only_words = true;
            continue;
        }
        char name[64];
        const char *equals = strchr(text, '='), *value = NULL;
        snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - text) : (int)strlen(text), text);
        int number_of = find_option(command, name);
        if (number_of < 0) return unknown_option(command, name, error);
        const cli_option *option = option_at(command, number_of);
        if (!option->argument) {
            if (equals) return mq_fail(error, MQ_USAGE, "%s takes no value", name);
            value = "";
        } else if (equals) {
            value = equals + 1;
        } else {
            if (i + 1 == argc)
                return mq_fail(error, MQ_USAGE, "%s needs a value: %s %s", name, name, option->argument);
            value = argv[++i];
        }
        if (option->argument && !*value)
            return mq_fail(error, MQ_USAGE, "%s needs a value: got an empty one", name);
        if (strcmp(name, "--set") == 0)
            MQ_TRY(add_set(args, value, error));
        else
            args->value[number_of] = value;
    }
    return MQ_OK;
}

static mq_status check(cli_args *args, mq_error *error) {
    const cli_command *command = args->command;
    if (args->word_count < command->least_words || args->word_count > command->most_words)
        return mq_fail(error, MQ_USAGE, "%s: %d argument%s, %s expected: mixq %s %s", command->name,
                       args->word_count, args->word_count == 1 ? "" : "s",
                       args->word_count < command->least_words ? "more" : "fewer", command->name,
                       command->usage);
    int64_t seed = 0, threads = 0;
    MQ_TRY(cli_int(args, "--seed", 0, INT64_MAX, &seed, error));
    MQ_TRY(cli_int(args, "--threads", 1, 1024, &threads, error));
    args->seed = (uint64_t)seed;
    args->json = cli_flag(args, "--json");
    args->quiet = cli_flag(args, "--quiet");
    args->verbose = cli_flag(args, "--verbose");
    mq_threads_set(threads ? (int)threads : mq_ranks_threads(args->ranks));
    return MQ_OK;
}

mq_status cli_parse(const cli_command *command, int count, char **words, cli_args *out, mq_error *error) {
    *out = (cli_args){.command = command};
    MQ_TRY(parse(count, words, out, error));
    return check(out, error);
}

/* The first signal asks for an orderly stop; one that comes two seconds later or more ends the program.
 * (`timeout` and impatient fingers send the same signal twice at once.) */
static bool silent; /* another rank speaks */

static void on_signal(int number_of) {
    static volatile sig_atomic_t first;
    int error = errno;
    struct timespec clock;
    clock_gettime(CLOCK_MONOTONIC, &clock); /* the date may be set meanwhile */
    sig_atomic_t now = (sig_atomic_t)clock.tv_sec;
    if (!mq_stop_requested()) {
        static const char text[] =
            "\nstopping after this step; another signal after two seconds stops at once\n";
        first = now;
        mq_stop_request();
        if (!silent) (void)!write(STDERR_FILENO, text, sizeof text - 1);
    } else if (now - first >= 2) {
        signal(number_of, SIG_DFL);
        raise(number_of);
    }
    errno = error;
}

/* A closed standard stream's number would go to the next file that is opened, and what is printed into that
 * file. Opened the wrong way round, they still fail when used. */
static void keep_standard_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* Signals that ask for a stop. A launcher hands SIGUSR1 on to its ranks and, unlike with the others, waits as
 * long as they need. */
static void catch_signals(bool ranks) {
    const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    const size_t count = sizeof stops / sizeof *stops - !ranks;
    for (size_t i = 0; i < count; i++)
        if (signal(stops[i], SIG_IGN) != SIG_IGN) signal(stops[i], on_signal); /* nohup stays in force */
    signal(SIGPIPE, SIG_IGN); /* a closed pipe and a file-size limit are failed writes, reported as such */
    signal(SIGXFSZ, SIG_IGN);
}

/* Buffered output may only now turn out not to fit. */
static int finish(mq_status status, mq_error *error) {
    console_close();
    bool failed = ferror(stdout); /* an earlier part; its reason is gone */
    if (fflush(stdout) != 0 && status == MQ_OK)
        status = mq_fail_errno(error, "cannot write", "standard output");
    else if (failed && status == MQ_OK)
        status = mq_fail(error, MQ_BAD_INPUT, "cannot write: standard output: a part of it is lost");
    if (status != MQ_INTERRUPTED && status != MQ_INTERNAL) { /* whatever came of values that lack a part */
        mq_error missing = {0};
        mq_status complete = mq_json_complete("the result", &missing);
        if (complete != MQ_OK) *error = missing;
        if (complete != MQ_OK) status = complete;
    }
    if (status != MQ_OK) fprintf(stderr, "mixq: %s\n", error->text);
    return (int)status;
}

/* The command in one process, or as one of the ranks of a job. Rank 0 speaks; another rank does where it
 * alone knows what went wrong. */
static int run_command(int argc, char **argv, cli_args *args, mq_error *error) {
    mq_status status = args->command->ranks ? mq_ranks_open(&args->ranks, error) : MQ_OK;
    silent = !mq_ranks_first(args->ranks);
    if (status == MQ_OK) status = parse(argc, argv, args, error);
    const bool help = status == MQ_OK && cli_flag(args, "--help");
    if (help && !silent) cli_help_command(args->command);
    if (status == MQ_OK && !help) status = check(args, error);
    if (status == MQ_OK && !help) {
        catch_signals(args->ranks != NULL);
        console_open(args->quiet, args->verbose);
        if (silent) console_silence();
        if (args->ranks)
            mq_log(MQ_LOG_INFO, "%d ranks, %d thread%s each; to stop and save, send SIGUSR1 to mpirun",
                   mq_ranks_count(args->ranks), mq_threads(), mq_threads() == 1 ? "" : "s");
        status = args->command->run(args, error);
    }
    status = mq_ranks_leave(args->ranks, status, error);
    if (silent && (mq_ranks_agreed(args->ranks) || status == MQ_OK)) {
        mq_ranks_close(args->ranks, status);
        return (int)status;
    }
    if (silent) mq_fail_context(error, status, "rank %d", mq_ranks_number(args->ranks));
    status = (mq_status)finish(status, error);
    mq_ranks_close(args->ranks, status);
    return (int)status;
}

int main(int argc, char **argv) {
    mq_error error = {0};
    cli_wait_briefly(argv);
    keep_standard_streams();
    mq_json_watch_memory();
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        cli_help_all();
        return argc < 2 ? MQ_USAGE : finish(MQ_OK, &error);
    }
    if (strcmp(argv[1], "--version") == 0) {
        const char *library = mq_ranks_library();
        printf("mixq %s, %s%s\n", mq_version(), library ? "with " : "without MPI", library ? library : "");
        return finish(MQ_OK, &error);
    }
    const char *names[128];
    int count = 0;
    cli_args args = {0};
    for (; cli_commands[count]; count++) {
        names[count] = cli_commands[count]->name;
        if (strcmp(names[count], argv[1]) == 0) args.command = cli_commands[count];
    }
    names[count] = "--help";
    names[count + 1] = "--version";
    names[count + 2] = NULL;
    if (!args.command) {
        const char *near = mq_nearest(argv[1], names);
        return finish(mq_fail(&error, MQ_USAGE, "unknown command '%s'%s%s%s; see mixq --help", argv[1],
                              near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : ""),
                      &error);
    }
    return run_command(argc - 2, argv + 2, &args, &error);
}
