/* host_driver.c - the host's driver (plain C, outside the program): streams of any shape, answers of a device
 * that are short, late or of another network, and the shared file that the simulation's transport opens. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "mixq_host.h"

static fuzz_bytes answers;
static size_t room[2];

static mixq_result any_result(void) {
    return (mixq_result)(fuzz_take(&answers, 4) ? 0 : fuzz_take(&answers, MIXQ_BROKEN + 1));
}

static mixq_result open_link(mixq_link *link, const char *where, size_t in, size_t out) {
    (void)where;
    room[0] = in + (size_t)fuzz_take(&answers, 2) * 8;
    room[1] = out + (size_t)fuzz_take(&answers, 2) * 8;
    link->in = malloc(room[0]);
    link->out = malloc(room[1]);
    link->in_room = room[0];
    link->out_room = room[1];
    link->has_identity = fuzz_take(&answers, 8) > 0;
    for (int i = 0; i < MIXQ_IDENTITY; i++) link->identity[i] = (uint8_t)i;
    if (!fuzz_take(&answers, 8)) link->identity[fuzz_take(&answers, MIXQ_IDENTITY)] ^= 1;
    mixq_result result = any_result();
    if (result == MIXQ_DONE) return result;
    free(link->in);
    free(link->out);
    return result;
}

static mixq_result move_bytes(mixq_link *link, size_t bytes) {
    (void)link;
    (void)bytes;
    return any_result();
}

static mixq_result wait_link(mixq_link *link, int milliseconds) {
    (void)milliseconds;
    link->got = fuzz_take(&answers, 3) ? room[1] : (size_t)fuzz_take(&answers, 256);
    for (size_t i = 0; i < link->got && i < room[1]; i++) link->out[i] = (uint8_t)fuzz_take(&answers, 256);
    return any_result();
}

static void close_link(mixq_link *link) {
    free(link->in);
    free(link->out);
    link->in = link->out = NULL;
}

static const mixq_transport chance = {"chance", open_link, move_bytes, move_bytes, wait_link, close_link};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_bytes rest = {data, size};
    char network[65];
    for (int i = 0; i < 32; i++) {
        network[2 * i] = "0123456789abcdef"[i >> 4];
        network[2 * i + 1] = "0123456789abcdef"[i & 15];
    }
    network[64] = 0;
    mixq_device device = {.model = "fuzz", .network = network, .divisor = 100};
    for (int k = 0; k < 2; k++) {
        mixq_stream *s = k ? &device.out : &device.in;
        s->h = 1 + fuzz_take(&rest, 6);
        s->w = 1 + fuzz_take(&rest, 9);
        s->c = 1 + fuzz_take(&rest, 24);
        s->pixels = 1 + fuzz_take(&rest, 4);
        s->channels = 1 + fuzz_take(&rest, 24);
        s->bytes = 1;
        while (s->bytes < s->pixels * s->channels * (k ? 4 : 1)) s->bytes *= 2;
    }
    device.classes = 1 + fuzz_take(&rest, 3);
    device.anchors = fuzz_take(&rest, 4);
    if (device.anchors * (5 + device.classes) > device.out.c) device.anchors = 0;
    for (int i = 0; i < device.anchors; i++) device.anchor_w[i] = device.anchor_h[i] = 1 + i;
    size_t pixels = mixq_stream_values(&device.in), values = mixq_stream_values(&device.out);
    uint8_t *frame = malloc(pixels);
    int32_t *head = calloc(values, sizeof *head);
    for (size_t i = 0; i < pixels; i++) frame[i] = (uint8_t)i;
    mixq_session session = {0};
    answers = rest;
    mixq_result result = mixq_open(&session, &device, &chance, "");
    if (result == MIXQ_DONE) {
        result = mixq_run(&session, frame, pixels, MIXQ_U8, 10, head, values);
        if (result == MIXQ_DONE) {
            int class = mixq_class(&device, head);
            fuzz_demand(class >= 0 && (size_t) class < values, "a class");
            mixq_box box = mixq_find_box(&device, head);
            fuzz_demand(box.row >= 0 && box.row < device.out.h && box.column >= 0 &&
                            box.column < device.out.w,
                        "a cell");
        }
    }
    if (result != MIXQ_DONE)
        fuzz_demand(memchr(session.text, 0, sizeof session.text) && mixq_error(&session)[0], "no message");
    mixq_close(&session);
    session = (mixq_session){0};
    if (mixq_open(&session, &device, &mixq_transport_sim, fuzz_file("link", data, size)) == MIXQ_DONE)
        (void)mixq_run(&session, frame, pixels, MIXQ_U8, 0, head, values);
    mixq_close(&session);
    free(frame);
    free(head);
    return 0;
}
