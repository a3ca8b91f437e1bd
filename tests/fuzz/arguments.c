/* arguments.c - words of a command line, one a line: parsed and checked by the tables, every typed getter
 * asked; no command is run. The program's own main.c, without its main. */
int mixq_main(int argc, char **argv);
#define main mixq_main
#include "../../src/cli/main.c"
#undef main

#include "fuzz.h"

enum { MOST_WORDS = 100, MOST_BYTES = 4096 };

static void ask(const cli_args *args) {
    static const char *const words[] = {"one", "two", NULL};
    mq_error error = {0};
    for (int i = 0; option_at(args->command, i)->name; i++) {
        const char *name = option_at(args->command, i)->name, *text;
        int64_t whole = 0;
        double real = 0;
        int choice = 0;
        if (fuzz_accepted(cli_int(args, name, -5, 1000, &whole, &error), &error, MQ_USAGE))
            fuzz_demand(whole >= -5 && whole <= 1000, "a whole number out of its range");
        if (fuzz_accepted(cli_double(args, name, -1, 1e9, &real, &error), &error, MQ_USAGE))
            fuzz_demand(real >= -1 && real <= 1e9, "a number out of its range");
        if (fuzz_accepted(cli_choice(args, name, words, &choice, &error), &error, MQ_USAGE))
            fuzz_demand(choice >= 0 && choice < 2, "a word out of its list");
        (void)fuzz_accepted(cli_required(args, name, &text, &error), &error, MQ_USAGE);
    }
    for (int i = 0; args->command->settable && args->command->settable[i]; i++) {
        double real = 0;
        (void)fuzz_accepted(cli_setting(args, args->command->settable[i], 0, 1, &real, &error), &error,
                            MQ_USAGE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char text[MOST_BYTES + 1], *word[MOST_WORDS];
    int count = 0, commands = 0;
    mq_error error = {0};
    if (size < 1 || size > MOST_BYTES) return 0;
    while (cli_commands[commands]) commands++;
    cli_args args = {.command = cli_commands[data[0] % commands]};
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    for (char *at = text; at && count < MOST_WORDS;) {
        word[count++] = at;
        at = strchr(at, '\n');
        if (at) *at++ = 0;
    }
    mq_status status = parse(count, word, &args, &error);
    if (fuzz_accepted(status, &error, MQ_USAGE) && fuzz_accepted(check(&args, &error), &error, MQ_USAGE))
        ask(&args);
    return 0;
}
