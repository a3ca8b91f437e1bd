/* test_cli_report.c - `mixq report` of a search, a training and an export; --plot; the page in a real browser
 * where there is one. */
#include "helper_cli.h"

#include "base/file.h"
#include "base/memory.h"
#include "io/png.h"

static char *text_of(void **state, const char *name) {
    size_t size;
    return (char *)cli_get(state, name, &size);
}

static void has(const char *text, const char *words) {
    if (!strstr(text, words)) fail_msg("expected '%s' in the page", words);
}

static void make_runs(void **state) {
    if (cli_exists(state, "search")) return;
    cli_works(state, "search " TINY_RUN " --epochs 3 --cd 1e-3 --out search --plot bits.svg");
    cli_works(state, "export run --out net --data mnist:data --vectors 1");
}

static void page(void **state) {
    make_runs(state);
    json_t *r = cli_json(state, "report search run net --out page.html");
    assert_int_equal(cli_number(r, "runs"), 2);
    assert_int_equal(cli_number(r, "networks"), 1);
    json_decref(r);
    char *text = text_of(state, "page.html");
    has(text, "How the search decided");
    has(text, "conv0 weights"); /* the layer's own name */
    has(text, "accuracy against DSP operations");
    has(text, "Packings on dsp48e2");
    has(text, "Exported from the best checkpoint of <a href=\"#run1\">run</a>");
    has(text, "<dt>seed</dt><dd>0</dd>");
    has(text, "weights.safetensors");
    has(text, "default-src 'none'");
    has(text, "prefers-color-scheme:dark");
    assert_null(strstr(text, "<script"));
    for (const char *at = text; (at = strstr(at, "http")); at++) /* the name space and nothing else */
        assert_true(strncmp(at, "http-equiv", 10) == 0 ||
                    strncmp(at, "http://www.w3.org/2000/svg\"", 27) == 0);
    free(text);
    cli_works(state, "report search run net --out again.html");
    cli_same_file(state, "page.html", "again.html");
}

static void terminal_and_plots(void **state) {
    make_runs(state);
    cli_result *r = cli_works(state, "report search run");
    cli_contains(
        "report", r->out,
        "search: loss|search: bits after every epoch|conv0 weights|run: accuracy|accuracy against DSP");
    char *text = text_of(state, "bits.svg");
    has(text, "<svg ");
    has(text, "bits after every epoch");
    has(text, "conv0 act.");
    free(text);
    cli_works(state, "pack table --kernel 1 --plot table.svg");
    text = text_of(state, "table.svg");
    has(text, "multiplications per slice and cycle");
    free(text);
    r = cli_works(state, "pack table --kernel 1 --plot -");
    cli_contains("pack table", r->out, "activation bits|  w8 ");
    cli_fails(state, 2, "--plot -", "pack table --kernel 1 --plot - --json");
    cli_fails(state, 2, "--plot does not go with --csv", "pack table --csv ours --plot x.svg");
    cli_fails(state, 2, "does not use --plot", "pack show --kernel 1 --wbit 4 --abit 4 --plot x.svg");
}

static void bad_input(void **state) {
    make_runs(state);
    cli_fails(state, 2, "report: 0 arguments", "report --out page.html");
    cli_fails(state, 3, "nothing|neither the folder of a run", "report nothing --out never.html");
    cli_fails(state, 3, "data|neither", "report data --out never.html");
    cli_fails(state, 2, "--out F.html is needed", "report search --json");
    cli_fails(state, 2, "no run is among", "report net");
    cli_fails(state, 3, "cannot write|no/page.html", "report search --out no/page.html");
    char *metrics = text_of(state, "search/metrics.jsonl");
    cli_put_text(state, "search/metrics.jsonl", "{\"epoch\": 1}\n[2]\n");
    cli_fails(state, 3, "search/metrics.jsonl: epoch 2: an object expected",
              "report search --out never.html");
    cli_put_text(state, "search/metrics.jsonl", "{\"epoch\": 1");
    cli_fails(state, 3, "metrics.jsonl: epoch 1", "report search --out never.html");
    /* odd, but no harm: words of others stay words */
    cli_put_text(
        state, "search/metrics.jsonl",
        "{\"epoch\": \"x\", \"bitw\": \"9<b>\", \"loss\": [], \"accuracy\": 1e308, \"test_loss\": -1e308}\n");
    cli_put_text(state, "odd.json", "");
    cli_works(state, "report search --out odd.html");
    cli_put_text(state, "search/metrics.jsonl", "");
    cli_works(state, "report search --out odd.html");
    char *text = text_of(state, "odd.html");
    has(text, "No finished epoch yet");
    free(text);
    cli_put_text(state, "search/metrics.jsonl", metrics);
    free(metrics);
    char *bits = text_of(state, "search/bits.json");
    cli_put_text(state, "search/bits.json",
                 "{\"layers\": [\"<script>alert(1)</script>\"], \"bitw\": \"<i>\", \"bita\": 3}");
    cli_works(state, "report search --out odd.html");
    text = text_of(state, "odd.html");
    assert_null(strstr(text, "<script"));
    assert_null(strstr(text, "<i>"));
    free(text);
    cli_put_text(state, "search/bits.json", bits);
    free(bits);
    char *certificate = text_of(state, "net/certificate.json");
    cli_put_text(state, "net/certificate.json", "{\"net_sha256\": \"0\"}");
    cli_fails(state, 3, "certificate.json: not of this net.json", "report net --out never.html");
    cli_put_text(state, "net/certificate.json", certificate);
    free(certificate);
    assert_false(cli_exists(state, "never.html"));
}

/* What `mixq build` leaves: resources per stage. */
static void resources(void **state) {
    make_runs(state);
    cli_put_text(
        state, "net/build.json",
        "{\"device\": \"some<dev>\", \"part\": \"xc7\", \"clock_mhz\": 200.0, \"cycles\": 4321, "
        "\"estimate\": "
        "{\"dsp\": 9, \"lut\": 800}, \"budget\": {\"dsp\": 360, \"lut\": 70000}, \"stages\": [{\"node\": "
        "\"conv0\", "
        "\"cycles\": 1234, \"estimate\": {\"dsp\": 6, \"lut\": 765, \"ff\": 11, \"bram18\": 3}}, {}]}");
    cli_works(state, "report net --out built.html");
    char *text = text_of(state, "built.html");
    has(text, "some&lt;dev&gt;");
    has(text, "<td class=n>1234</td>");
    has(text, "<span class=v>765</span></td>");
    has(text, "70000");
    free(text);
    unlink(temp_dir_path(state, "net/build.json"));

    /* of a plan alone the same numbers are estimated */
    cli_works(state, "build net --device ultra96v2 --target rtl --multipliers dsp --out accelerator");
    cli_works(state, "report accelerator --out built.html");
    unlink(temp_dir_path(state, "accelerator/build.json"));
    cli_works(state, "report accelerator --out planned.html");
    char *built = text_of(state, "built.html"), *planned = text_of(state, "planned.html");
    char *from = strstr(built, "<h3>Resources</h3>"), *to = strstr(planned, "<h3>Resources</h3>");
    assert_non_null(from);
    assert_non_null(to);
    /* the stages one by one (an estimate has the output too), and all of them */
    assert_memory_equal(from, to, (size_t)(strstr(to, "<th scope=row>output") - to));
    from = strstr(from, "<th scope=row>all");
    to = strstr(to, "<th scope=row>all");
    assert_memory_equal(from, to, (size_t)(strstr(from, "<h3>Certificate") - from));
    free(built);
    free(planned);
}

/* ---- in a browser ---- */

static const char *browser(void) {
    static const char *const names[] = {"chromium", "chromium-browser", "google-chrome"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char command[64];
        snprintf(command, sizeof command, "command -v %s > /dev/null", names[i]);
        if (system(command) == 0) return names[i];
    }
    return NULL;
}

/* Runs the browser on page.html; false when it cannot run here at all. */
static int shoot(void **state, const char *name, const char *options, const char *result) {
    char command[1024];
    const char *dir = ((temp_dir *)*state)->path;
    snprintf(command, sizeof command,
             "cd %s && timeout 60 %s --headless --no-sandbox --disable-gpu --hide-scrollbars "
             "--user-data-dir=%s/profile "
             "--window-size=1000,1200 %s file://%s/page.html > browser.txt 2>&1",
             dir, name, dir, options, dir);
    return system(command) == 0 && cli_exists(state, result);
}

/* The parts of an image that are near white and near black. */
static void look(void **state, const char *name, double *light, double *dark) {
    mq_error error = {0};
    size_t size;
    int h, w, bright = 0, dim = 0;
    uint8_t *bytes = cli_get(state, name, &size), *pixels;
    if (mq_png_size(name, bytes, size, &h, &w, &error) != MQ_OK) fail_msg("%s", error.text);
    pixels = malloc((size_t)(3 * h * w));
    if (mq_png_decode(name, bytes, size, MQ_RGB, h, w, pixels, &error) != MQ_OK) fail_msg("%s", error.text);
    for (int i = 0; i < h * w; i++) {
        int sum = pixels[3 * i] + pixels[3 * i + 1] + pixels[3 * i + 2];
        bright += sum > 690;
        dim += sum < 120;
    }
    *light = (double)bright / (h * w);
    *dark = (double)dim / (h * w);
    free(pixels);
    free(bytes);
}

static void in_a_browser(void **state) {
    const char *name = browser();
    double light, dark;
    if (!name) {
        print_message("no chromium here: the page is not looked at\n");
        skip();
    }
    make_runs(state);
    cli_works(state, "report search run net --out page.html");
    if (!shoot(state, name, "--screenshot=light.png", "light.png")) {
        print_message("%s does not run here: the page is not looked at\n", name);
        skip();
    }
    look(state, "light.png", &light, &dark);
    assert_true(light > 0.7 && light < 0.995 && dark > 0.002 && dark < 0.2); /* dark words on white */
    assert_true(
        shoot(state, name, "--blink-settings=preferredColorScheme=0 --screenshot=dark.png", "dark.png"));
    look(state, "dark.png", &light, &dark);
    assert_true(dark > 0.7 && dark < 0.995 && light > 0.001 && light < 0.2); /* and the other way round */
    assert_true(shoot(state, name, "--print-to-pdf=page.pdf", "page.pdf"));
    size_t size;
    uint8_t *pdf = cli_get(state, "page.pdf", &size);
    assert_true(size > 10000 && memcmp(pdf, "%PDF", 4) == 0);
    free(pdf);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(page), cmocka_unit_test(terminal_and_plots),
                                       cmocka_unit_test(bad_input), cmocka_unit_test(resources),
                                       cmocka_unit_test(in_a_browser)};
    return cmocka_run_group_tests(tests, tiny_make, temp_dir_remove);
}
