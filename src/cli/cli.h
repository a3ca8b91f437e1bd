/* cli.h - the frame of the command line: one table of commands, each with one table of options, from which
 * parsing,
 * --help and error messages are made. Results go to stdout, log and progress to stderr. */
#ifndef MIXQ_CLI_CLI_H
#define MIXQ_CLI_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "io/json.h"
#include "ranks/ranks.h"

typedef struct cli_option {
    const char *name;     /* "--epochs" */
    const char *argument; /* "N" in the help; NULL = a flag */
    const char *help;
} cli_option;

enum { CLI_MAX_OPTIONS = 64, CLI_MAX_WORDS = 64 };

typedef struct cli_args {
    const struct cli_command *command;
    int word_count; /* arguments that are not options */
    const char *word[CLI_MAX_WORDS];
    const char *value[CLI_MAX_OPTIONS]; /* by option number, common ones first; flags: "" */
    int set_count;
    const char *set[CLI_MAX_WORDS]; /* --set key=value, in order */
    uint64_t seed;
    bool json, quiet, verbose;
    mq_ranks *ranks; /* of a command with `ranks`; NULL: one process */
    bool silent;     /* run by another command: no result on stdout */
} cli_args;

typedef struct cli_command {
    const char *name;
    const char *usage;   /* what follows the name: "CKPT --data D" */
    const char *summary; /* one line */
    int least_words, most_words;
    const cli_option *options;   /* ends with name NULL */
    const char *const *settable; /* keys of --set, ends with NULL; NULL = none */
    const char *details;         /* paragraphs and examples of --help */
    bool ranks;                  /* an MPI launcher may start it in several processes that work together */
    mq_status (*run)(const cli_args *args, mq_error *error);
} cli_command;

/* The table, in the order of --help; ends with NULL. */
extern const cli_command *const cli_commands[];
/* Options that every command takes; ends with name NULL. --set only counts where a command has settings. */
extern const cli_option cli_common_options[];

/* main.c: the words after the command's name. Sets the number of threads. words are borrowed. */
mq_status cli_parse(const cli_command *command, int count, char **words, cli_args *out,
                    mq_error *error) MQ_MUST_CHECK;

/* help_command.c: what --help prints, of one command and of all. */
void cli_help_command(const cli_command *command);
void cli_help_all(void);

/* The value of an option, or NULL when not given. The name must be in the command's table. */
const char *cli_value(const cli_args *args, const char *name);
bool cli_flag(const cli_args *args, const char *name);
/* Missing required option: MQ_USAGE. */
mq_status cli_required(const cli_args *args, const char *name, const char **out,
                       mq_error *error) MQ_MUST_CHECK;
/* Numbers in a range; absent keeps *out. */
mq_status cli_int(const cli_args *args, const char *name, int64_t low, int64_t high, int64_t *out,
                  mq_error *error) MQ_MUST_CHECK;
mq_status cli_double(const cli_args *args, const char *name, double low, double high, double *out,
                     mq_error *error) MQ_MUST_CHECK;
/* One of words[] (ends with NULL); absent keeps *out. */
mq_status cli_choice(const cli_args *args, const char *name, const char *const *words, int *out,
                     mq_error *error) MQ_MUST_CHECK;
/* --set key=value as a number; absent keeps *out. */
mq_status cli_setting(const cli_args *args, const char *key, double low, double high, double *out,
                      mq_error *error) MQ_MUST_CHECK;

/* --set strict=0 or 1: whether a faulty file of a data set ends the command; words for its help. */
#define CLI_STRICT "strict"
#define CLI_STRICT_HELP                                                                                      \
    "Faulty files of dac-sdc are left out, damaged images are taken as grey without object; one line "       \
    "counts and\n"                                                                                           \
    "names them. --set strict=1 refuses them.\n"
mq_status cli_strict(const cli_args *args, bool *out, mq_error *error) MQ_MUST_CHECK;

/* Prints one JSON object ("schema": 1 first) on stdout and releases it. */
mq_status cli_print_json(json_t *object, mq_error *error) MQ_MUST_CHECK;

/* console.c */
void console_open(bool quiet, bool verbose);
void console_silence(void); /* of ranks that do not speak */
void console_close(void);   /* ends a progress line that stands open */

#endif
