/* helper_detect.c - see helper_detect.h. */
#include "helper_detect.h"

int finder_make(void **state) {
    static const char net[] = "name: finder\ntask: detection\nclasses: 1\nanchors: [[14, 10], [8, 8]]\n"
                              "input: {channels: 3, height: 32, width: 64}\n"
                              "layers:\n"
                              "  - conv: {out: 8, kernel: 3}\n  - batch_norm\n  - max_pool\n"
                              "  - conv: {out: 12, kernel: 3}\n  - batch_norm\n  - max_pool\n"
                              "  - conv: {out: 12, kernel: 1, bias: true}\n";
    if (temp_dir_make(state) != 0) return -1;
    cli_put_text(state, "finder.yaml", net);
    cli_works(state, "train --model finder.yaml --data shapes:48 --threads 1 --batch 16 --quiet --bitw 444 "
                     "--bita 844 --epochs 2 --out main");
    return 0;
}

void expect_warning(void **state, const char *words, const char *line) {
    cli_result *r = cli_works(state, "%s", line);
    cli_contains(line, r->err, words);
}
