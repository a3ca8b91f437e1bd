/* help_command.c - `mixq help` and --help; the same tables as Markdown, manual page and completion. */
#include <stdio.h>
#include <string.h>

#include "base/machine.h"
#include "base/text.h"
#include "cli/commands.h"
#include "data/dataset.h"

/* ---- text ---- */

static void print_options(const cli_option *options, bool settings) {
    for (; options->name; options++) {
        if (!settings && strcmp(options->name, "--set") == 0) continue;
        char left[64];
        snprintf(left, sizeof left, "%s%s%s", options->name, options->argument ? " " : "",
                 options->argument ? options->argument : "");
        printf("  %-26s %s\n", left, options->help);
    }
}

void cli_help_command(const cli_command *command) {
    printf("mixq %s %s\n\n%s\n", command->name, command->usage, command->summary);
    if (command->options && command->options->name) {
        printf("\nOptions:\n");
        print_options(command->options, true);
    }
    printf("\nCommon options:\n");
    print_options(cli_common_options, command->settable != NULL);
    if (command->settable) {
        printf("\nKeys of --set:");
        for (int i = 0; command->settable[i]; i++) printf(" %s", command->settable[i]);
        printf("\n");
    }
    if (command->details) printf("\n%s", command->details);
}

void cli_help_all(void) {
    printf("mixq %s - from a network description and a data set to a verified FPGA accelerator\n\n"
           "mixq COMMAND [words] [options]\n\nCommands:\n",
           mq_version());
    for (int i = 0; cli_commands[i]; i++)
        printf("  %-10s %s\n", cli_commands[i]->name, cli_commands[i]->summary);
    printf("\n`mixq COMMAND --help` explains one. Exit codes: 0 ok, 1 a check failed, 2 usage, 3 bad input,\n"
           "4 internal, 130 interrupted (after saving).\n");
}

/* ---- Markdown: a page per command ---- */

/* Words in a cell of a table. */
static void md_cell(const char *text) {
    for (; *text; text++) {
        if (*text == '|' || *text == '<' || *text == '*' || *text == '_') putchar('\\');
        putchar(*text);
    }
}

static void md_options(const char *title, const cli_option *options, bool settings) {
    printf("\n## %s\n\n| option | |\n|---|---|\n", title);
    for (; options->name; options++) {
        if (!settings && strcmp(options->name, "--set") == 0) continue;
        printf("| `%s%s%s` | ", options->name, options->argument ? " " : "",
               options->argument ? options->argument : "");
        md_cell(options->help);
        printf(" |\n");
    }
}

static void md_command(const cli_command *c) {
    printf("# mixq %s\n\n%s.\n\n```\nmixq %s %s\n```\n", c->name, c->summary, c->name, c->usage);
    if (c->options && c->options->name) md_options("Options", c->options, true);
    md_options("Common options", cli_common_options, c->settable != NULL);
    if (c->settable) {
        printf("\nKeys of `--set`:");
        for (int i = 0; c->settable[i]; i++) printf(" `%s`", c->settable[i]);
        printf(".\n");
    }
    if (c->details) printf("\n## Details\n\n```text\n%s```\n", c->details);
}

static void md_all(void) {
    printf("# Commands\n\n| command | |\n|---|---|\n");
    for (int i = 0; cli_commands[i]; i++) {
        printf("| [`mixq %s`](%s.md) | ", cli_commands[i]->name, cli_commands[i]->name);
        md_cell(cli_commands[i]->summary);
        printf(" |\n");
    }
    printf("\nThese pages are written by `make docs` from the program's own tables of options.\n");
}

/* ---- the manual page, in man(7) ---- */

static void man_text(const char *text) {
    bool start = true; /* of a line: a dot or an apostrophe there begins a request */
    for (; *text; text++) {
        if (start && (*text == '.' || *text == '\'')) printf("\\&");
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else
            putchar(*text);
        start = *text == '\n';
    }
}

static void man_options(const cli_option *options, bool settings) {
    for (; options->name; options++) {
        if (!settings && strcmp(options->name, "--set") == 0) continue;
        printf(".TP\n.B ");
        man_text(options->name);
        if (options->argument) {
            printf(" \\fI");
            man_text(options->argument);
            printf("\\fR");
        }
        printf("\n");
        man_text(options->help);
        printf("\n");
    }
}

static void man_command(const cli_command *c) {
    printf(".SS mixq %s\n", c->name);
    man_text(c->summary);
    printf(".\n.PP\n.B mixq %s\n", c->name);
    man_text(c->usage);
    printf("\n");
    if (c->options) man_options(c->options, true);
    if (c->settable) {
        printf(".PP\nKeys of \\-\\-set:");
        for (int i = 0; c->settable[i]; i++) {
            printf(" ");
            man_text(c->settable[i]);
        }
        printf("\n");
    }
    if (c->details) {
        printf(".PP\n.nf\n");
        man_text(c->details);
        printf(".fi\n");
    }
}

static void man_page(void) {
    static const char *const codes[][2] = {{"0", "ok"},
                                           {"1", "a check failed, or training diverged"},
                                           {"2", "usage: options, arguments, settings"},
                                           {"3", "bad input: a file, data set, network or checkpoint"},
                                           {"4", "internal"},
                                           {"130", "interrupted, after saving"}};
    printf(".TH MIXQ 1 \"\" \"mixq %s\" \"User Commands\"\n", mq_version());
    printf(
        "%s",
        ".SH NAME\nmixq \\- mixed\\-precision networks for FPGAs: search, train, export, simulate, generate\n"
        ".SH SYNOPSIS\n.B mixq\n.I COMMAND\n[words] [options]\n.SH DESCRIPTION\n"
        "From a network description and a data set to an integer network and its accelerator. Results go to\n"
        "standard output, log and progress to standard error.\n.SH OPTIONS OF EVERY COMMAND\n");
    man_options(cli_common_options, true);
    printf(".SH COMMANDS\n");
    for (int i = 0; cli_commands[i]; i++) man_command(cli_commands[i]);
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        printf(".TP\n.B %s\n%s\n", codes[i][0], codes[i][1]);
}

/* ---- completion for bash ---- */

/* What completes an option's argument, by its word in the help. */
static const char *bash_argument(const cli_option *o) {
    static const char *const files[] = {"MODEL", "DIR", "FILE", "CKPT", NULL};
    if (strcmp(o->argument, "DATA") == 0) return "data";
    for (int i = 0; files[i]; i++)
        if (strcmp(o->argument, files[i]) == 0) return "file";
    return mq_starts_with(o->argument, "F.") ? "file" : "none";
}

static void bash_options(const cli_option *options) {
    for (; options && options->name; options++) printf(" %s", options->name);
}

static void bash_cases(const cli_option *options) {
    for (; options && options->name; options++)
        if (options->argument) printf("        %s) kind=%s ;;\n", options->name, bash_argument(options));
}

static void bash_commands(void) {
    for (int i = 0; cli_commands[i]; i++) printf("%s ", cli_commands[i]->name);
}

static void bash_script(void) {
    printf("%s", "# Completion of mixq for bash, written by `mixq help --format bash`.\n"
                 "_mixq() {\n"
                 "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} "
                 "command=${COMP_WORDS[1]}\n"
                 "    local kind= options=\n    COMPREPLY=()\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                 "        COMPREPLY=($(compgen -W \"");
    bash_commands();
    printf("--help --version\" -- \"$word\"))\n        return\n    fi\n    case $command in\n");
    for (int i = 0; cli_commands[i]; i++) {
        const cli_command *c = cli_commands[i];
        printf("    %s)\n        options=\"", c->name);
        bash_options(c->options);
        printf("\"\n        case $before in\n");
        bash_cases(c->options);
        printf("        esac ;;\n");
    }
    printf("    esac\n    case $before in\n");
    bash_cases(cli_common_options);
    printf("%s", "    esac\n    case $kind in\n    none) return ;;\n"
                 "    file) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
                 "    data) COMPREPLY=($(compgen -W \"");
    for (const mq_data_reader *r = mq_data_readers; r->name; r++) printf("%s ", r->name);
    printf("\" -- \"$word\")); return ;;\n    esac\n    if [[ $word == -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$options");
    bash_options(cli_common_options);
    printf("\" -- \"$word\"))\n    elif [ \"$command\" = help ]; then\n        COMPREPLY=($(compgen -W \"");
    bash_commands();
    printf("\" -- \"$word\"))\n    else\n        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n}\n"
           "complete -o filenames -F _mixq mixq\n");
}

/* ---- the command ---- */

enum { AS_TEXT, AS_MARKDOWN, AS_MAN, AS_BASH };

static mq_status find(const char *name, const cli_command **out, mq_error *error) {
    const char *names[128];
    int count = 0;
    for (; cli_commands[count]; count++) {
        names[count] = cli_commands[count]->name;
        *out = cli_commands[count];
        if (strcmp(names[count], name) == 0) return MQ_OK;
    }
    names[count] = NULL;
    const char *near = mq_nearest(name, names);
    return mq_fail(error, MQ_USAGE, "unknown command '%s'%s%s%s; see mixq help", name,
                   near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
}

/* The tables as one JSON object, for other tools. */
static json_t *command_json(const cli_command *c) {
    json_t *options = json_array();
    for (const cli_option *o = c->options; o && o->name; o++)
        json_array_append_new(options, json_pack("{s:s, s:s?, s:s}", "name", o->name, "argument", o->argument,
                                                 "help", o->help));
    return json_pack("{s:s, s:s, s:s, s:o}", "name", c->name, "usage", c->usage, "summary", c->summary,
                     "options", options);
}

static mq_status print_json(const cli_command *one, mq_error *error) {
    json_t *list = json_array();
    for (int i = 0; cli_commands[i]; i++)
        if (!one || one == cli_commands[i]) json_array_append_new(list, command_json(cli_commands[i]));
    return cli_print_json(json_pack("{s:o}", "commands", list), error);
}

static mq_status run(const cli_args *args, mq_error *error) {
    static const char *const formats[] = {"text", "md", "man", "bash", NULL};
    int format = AS_TEXT;
    const cli_command *one = NULL;
    MQ_TRY(cli_choice(args, "--format", formats, &format, error));
    if (args->word_count) MQ_TRY(find(args->word[0], &one, error));
    if (args->json) return print_json(one, error);
    if (one && (format == AS_MAN || format == AS_BASH))
        return mq_fail(error, MQ_USAGE, "--format %s is of all commands: without %s", formats[format],
                       one->name);
    if (format == AS_TEXT && one)
        cli_help_command(one);
    else if (format == AS_TEXT)
        cli_help_all();
    else if (format == AS_MAN)
        man_page();
    else if (format == AS_BASH)
        bash_script();
    else if (one)
        md_command(one);
    else
        md_all();
    return MQ_OK;
}

static const cli_option OPTIONS[] = {
    {"--format", "F", "text; md: a page of Markdown; man: the manual page; bash: completion (text)"},
    {NULL, NULL, NULL},
};

const cli_command cli_help = {
    .name = "help",
    .usage = "[COMMAND] [--format text|md|man|bash]",
    .summary = "Explain the commands; as Markdown, manual page or completion too",
    .least_words = 0,
    .most_words = 1,
    .options = OPTIONS,
    .details = "Everything is made from the tables that the program itself reads its options by.\n\n"
               "Examples:\n"
               "  mixq help search\n"
               "  mixq help --format man > mixq.1\n"
               "  mixq help --format bash > /usr/share/bash-completion/completions/mixq\n",
    .run = run,
};
