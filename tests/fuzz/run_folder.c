/* run_folder.c - run.json, bits.json and metrics.jsonl as `report` reads them. */
#include <string.h>

#include "base/memory.h"
#include "fuzz.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static mq_report report;
    fuzz_bytes rest = {data, size}, run = fuzz_part(&rest), bits = fuzz_part(&rest);
    fuzz_file("run.json", run.at, run.left);
    if (bits.left)
        fuzz_file("bits.json", bits.at, bits.left);
    else
        fuzz_no_file("bits.json");
    fuzz_file("metrics.jsonl", rest.at, rest.left);
    mq_error error = {0};
    report = (mq_report){0};
    if (fuzz_accepted(mq_report_add(&report, fuzz_dir(), &error), &error, MQ_OK)) {
        char *text[2] = {NULL, NULL};
        fuzz_demand(mq_report_html(&report, &text[0], &error) == MQ_OK, error.text);
        fuzz_demand(mq_report_text(&report, &text[1], &error) == MQ_OK, error.text);
        fuzz_demand(strstr(text[0], "<script") == NULL, "a script in the page");
        mq_free(text[0]);
        mq_free(text[1]);
    }
    mq_report_clear(&report);
    return 0;
}
