/* build_folder.c - manifest.json and build.json of a build folder, certificate.json beside them; read as
 * `verify` does, and as `report` does. */
#include "base/memory.h"
#include "fuzz.h"
#include "gen/build_file.h"
#include "inet/certificate.h"
#include "inet/manifest.h"
#include "report/report.h"
#include "small_export.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static mq_report report;
    const mq_inet *net = small_export();
    fuzz_bytes rest = {data, size}, manifest = fuzz_part(&rest), build = fuzz_part(&rest);
    fuzz_file("manifest.json", manifest.at, manifest.left);
    fuzz_file("build.json", build.at, build.left);
    fuzz_file("certificate.json", rest.at, rest.left);
    mq_error error = {0};
    json_t *list, *expected = NULL, *given = NULL;
    if (fuzz_accepted(mq_manifest_load(fuzz_dir(), &list, &error), &error, MQ_OK)) {
        size_t files, wrong;
        (void)fuzz_accepted(mq_manifest_check(fuzz_dir(), list, &files, &wrong, &error), &error,
                            MQ_CHECK_FAILED);
        json_decref(list);
    }
    mq_build *b;
    error = (mq_error){0};
    if (fuzz_accepted(mq_build_load(fuzz_dir(), net, &b, &error), &error, MQ_OK)) mq_build_free(b);
    error = (mq_error){0};
    if (fuzz_accepted(mq_json_parse("certificate.json", (const char *)rest.at, rest.left, &given, &error),
                      &error, MQ_OK)) {
        fuzz_demand(mq_certificate_describe(net, &expected, NULL) == MQ_OK, "a certificate");
        for (int whole = 0; whole < 2; whole++)
            (void)fuzz_accepted(mq_json_same("certificate", given, expected, whole, &error), &error,
                                MQ_CHECK_FAILED);
        json_decref(expected);
        json_decref(given);
    }
    error = (mq_error){0};
    report = (mq_report){0};
    if (fuzz_accepted(mq_report_add(&report, fuzz_dir(), &error), &error, MQ_OK)) {
        char *html = NULL;
        fuzz_demand(mq_report_html(&report, &html, &error) == MQ_OK, error.text);
        mq_free(html);
    }
    mq_report_clear(&report);
    return 0;
}
