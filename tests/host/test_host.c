/* test_host.c - the host's driver: beats against the generator's, decoding against mixq's own, and every
 * failure of a transport as a clean error, over a DMA engine made of memory and over the link to a
 * simulation. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "base/temp_dir.h"
#include "detect/head.h"
#include "gen/hls_beats.h"
#include "mixq_host.h"
#include "sim/sim_link.h"

/* The engine's reset ends when it is looked at. */
static uint32_t look(volatile uint32_t *base, unsigned at);
#define MIXQ_REGISTER(base, at) look(base, at)
#include "transport_bare.c"

#define NETWORK "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const mixq_device DEVICE = {
    .model = "test",
    .network = NETWORK,
    .in = {.h = 3, .w = 5, .c = 3, .pixels = 2, .channels = 3, .bytes = 8},
    .out = {.h = 2, .w = 3, .c = 12, .pixels = 1, .channels = 5, .bytes = 32},
    .divisor = 100,
    .classes = 1,
    .anchors = 2,
    .anchor_w = {20, 30},
    .anchor_h = {25, 15},
};
enum { IN_VALUES = 45, OUT_VALUES = 72, IN_FRAME = 3 * 3 * 8, OUT_FRAME = 2 * 3 * 3 * 32 };

/* ---- beats, decoding ---- */

static void beats(void **state) {
    (void)state;
    mq_rng rng = mq_rng_stream(1, "host", 0);
    for (uint64_t turn = 0; turn < 50; turn++) {
        mixq_stream s = {.h = 1 + (int)mq_rng_below(&rng, 8 * turn, 4),
                         .w = 1 + (int)mq_rng_below(&rng, 8 * turn + 1, 9),
                         .c = 1 + (int)mq_rng_below(&rng, 8 * turn + 2, 9),
                         .pixels = 1 + (int)mq_rng_below(&rng, 8 * turn + 3, 4),
                         .channels = 1 + (int)mq_rng_below(&rng, 8 * turn + 4, 5)};
        mq_stream same = {
            .h = s.h, .w = s.w, .c = s.c, .pixels = s.pixels, .channels = s.channels, .bits = 8};
        size_t n = mixq_stream_values(&s);
        int64_t codes[400];
        uint8_t pixels[400];
        for (size_t i = 0; i < n; i++)
            codes[i] = pixels[i] = (uint8_t)mq_rng_u32(&rng, 1000 + 400 * turn + i);
        s.bytes = (int)mq_hls_axis_bytes(&same);
        assert_int_equal(mixq_stream_bytes(&s), (size_t)mq_stream_beats(&same) * mq_hls_axis_bytes(&same));
        uint8_t *got = calloc(mixq_stream_bytes(&s), 1), *expected = calloc(mq_frame_bytes(&same), 1);
        mixq_pack_frame(&s, pixels, got);
        mq_beats_pack(&same, codes, expected);
        for (int64_t b = 0; b < mq_stream_beats(&same); b++)
            assert_memory_equal(got + b * s.bytes, expected + (size_t)b * mq_beat_bytes(&same),
                                mq_beat_bytes(&same));
        free(got);
        free(expected);

        same.bits = 32, same.is_signed = true;
        s.bytes = (int)mq_hls_axis_bytes(&same);
        int32_t head[400];
        for (size_t i = 0; i < n; i++) codes[i] = (int32_t)mq_rng_u32(&rng, 90000 + 400 * turn + i);
        got = calloc(mixq_stream_bytes(&s), 1), expected = calloc(mq_frame_bytes(&same), 1);
        mq_beats_pack(&same, codes, expected);
        for (int64_t b = 0; b < mq_stream_beats(&same); b++)
            memcpy(got + b * s.bytes, expected + (size_t)b * mq_beat_bytes(&same), mq_beat_bytes(&same));
        mixq_unpack_head(&s, got, head);
        for (size_t i = 0; i < n; i++) assert_int_equal(head[i], codes[i]);
        free(got);
        free(expected);
    }
}

static void decoding(void **state) {
    (void)state;
    const mixq_device *d = &DEVICE;
    mq_head head = {.in_h = d->in.h,
                    .in_w = d->in.w,
                    .grid_h = d->out.h,
                    .grid_w = d->out.w,
                    .classes = 1,
                    .anchors = 2,
                    .anchor_w = {20, 30},
                    .anchor_h = {25, 15}};
    mq_rng rng = mq_rng_stream(2, "host", 0);
    for (uint64_t turn = 0; turn < 100; turn++) {
        int32_t acc[OUT_VALUES];
        float real[OUT_VALUES];
        for (int i = 0; i < OUT_VALUES; i++) {
            acc[i] = (int32_t)mq_rng_below(&rng, turn * OUT_VALUES + (uint64_t)i, 1001) - 500;
            real[i] = (float)acc[i] / d->divisor;
        }
        mq_found expected = mq_head_find(&head, real, MQ_HEAD_NHWC);
        mixq_box got = mixq_find_box(d, acc);
        assert_true(got.x == expected.box.x && got.y == expected.box.y && got.w == expected.box.w &&
                    got.h == expected.box.h && got.confidence == expected.confidence &&
                    got.row == expected.row && got.column == expected.column);
    }
    int32_t scores[OUT_VALUES] = {1, 7, -3, 7};
    assert_int_equal(mixq_class(d, scores), 1);
}

/* ---- a DMA engine of memory: it moves on whenever the clock is read ---- */

static uint32_t dma[32], id[9];
static uint64_t microseconds;
static bool answers, faulty;
static size_t answered;

void mixq_cache_flush(const void *address, size_t bytes) {
    (void)address;
    (void)bytes;
}
void mixq_cache_invalidate(void *address, size_t bytes) {
    (void)address;
    (void)bytes;
}
volatile uint32_t *mixq_map_registers(uintptr_t address) {
    return address == 1 ? dma : id;
}

static uint32_t look(volatile uint32_t *base, unsigned where) {
    if (base == dma && where == MIXQ_MM2S + MIXQ_CONTROL) base[where / 4] &= ~(uint32_t)MIXQ_RESET;
    return base[where / 4];
}

static uint32_t *at(unsigned channel, unsigned reg) {
    return &dma[(channel + reg) / 4];
}

uint64_t mixq_microseconds(void) {
    if (answers && *at(MIXQ_MM2S, MIXQ_LENGTH) && *at(MIXQ_S2MM, MIXQ_LENGTH)) {
        uint64_t from = *at(MIXQ_MM2S, MIXQ_ADDRESS) | (uint64_t)*at(MIXQ_MM2S, MIXQ_ADDRESS_HIGH) << 32,
                 to = *at(MIXQ_S2MM, MIXQ_ADDRESS) | (uint64_t)*at(MIXQ_S2MM, MIXQ_ADDRESS_HIGH) << 32;
        const uint8_t *in = (const uint8_t *)(uintptr_t)from;
        for (size_t i = 0; i < OUT_FRAME; i++)
            ((uint8_t *)(uintptr_t)to)[i] = (uint8_t)(in[i % IN_FRAME] + i);
        *at(MIXQ_S2MM, MIXQ_LENGTH) = (uint32_t)answered;
        *at(MIXQ_MM2S, MIXQ_STATUS) = *at(MIXQ_S2MM, MIXQ_STATUS) = MIXQ_IDLE;
    }
    if (faulty) *at(MIXQ_S2MM, MIXQ_STATUS) = 0x10;
    return microseconds += 100;
}

/* Fresh registers; the words that open them. */
static void fresh(char *where) {
    static uint8_t memory[16384];
    memset(dma, 0, sizeof dma);
    answers = true, faulty = false, answered = OUT_FRAME;
    id[0] = MIXQ_ID_MAGIC;
    for (unsigned i = 0; i < 8; i++) {
        char word[9] = "";
        memcpy(word, NETWORK + 8 * i, 8);
        id[1 + i] = (uint32_t)strtoul(word, NULL, 16);
    }
    sprintf(where, "1,2,%llx,4000", (unsigned long long)(uintptr_t)memory);
}

static uint8_t frame[IN_VALUES];
static int32_t head[OUT_VALUES];

static mixq_result one(mixq_session *s) {
    return mixq_run(s, frame, sizeof frame, MIXQ_U8, 50, head, OUT_VALUES);
}

static void by_dma(void **state) {
    (void)state;
    mixq_session s;
    char where[100];
    fresh(where);
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_bare, where), MIXQ_DONE);
    for (int i = 0; i < IN_VALUES; i++) frame[i] = (uint8_t)(7 * i + 1);
    assert_int_equal(one(&s), MIXQ_DONE);
    uint8_t sent[IN_FRAME], answer[OUT_FRAME];
    int32_t expected[OUT_VALUES];
    mixq_pack_frame(&DEVICE.in, frame, sent);
    for (size_t i = 0; i < OUT_FRAME; i++) answer[i] = (uint8_t)(sent[i % IN_FRAME] + i);
    mixq_unpack_head(&DEVICE.out, answer, expected);
    assert_memory_equal(head, expected, sizeof head);

    assert_int_equal(mixq_run(&s, frame, sizeof frame - 1, MIXQ_U8, 50, head, OUT_VALUES), MIXQ_WRONG);
    assert_non_null(strstr(mixq_error(&s), "a frame of 44 bytes, expected 3 x 5 x 3"));
    assert_int_equal(mixq_run(&s, frame, sizeof frame, MIXQ_F32, 50, head, OUT_VALUES), MIXQ_WRONG);
    assert_int_equal(mixq_run(&s, frame, sizeof frame, MIXQ_U8, 50, head, OUT_VALUES - 1), MIXQ_WRONG);
    answered = OUT_FRAME - 32;
    *at(MIXQ_MM2S, MIXQ_STATUS) = *at(MIXQ_S2MM, MIXQ_STATUS) = 0;
    assert_int_equal(one(&s), MIXQ_TRUNCATED);
    assert_non_null(strstr(mixq_error(&s), "544 bytes, expected 576"));
    answers = false;
    *at(MIXQ_MM2S, MIXQ_STATUS) = *at(MIXQ_S2MM, MIXQ_STATUS) = 0;
    assert_int_equal(one(&s), MIXQ_TIMEOUT);
    faulty = true;
    assert_int_equal(one(&s), MIXQ_BROKEN);
    mixq_close(&s);
    assert_int_equal(one(&s), MIXQ_BROKEN);

    fresh(where);
    id[8] ^= 1;
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_bare, where), MIXQ_MISMATCH);
    id[0] = 0;
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_bare, where), MIXQ_MISMATCH);
    assert_non_null(strstr(mixq_error(&s), "does not say which network"));
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_bare, "1,2,1000,100"), MIXQ_BROKEN);
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_bare, "1,2"), MIXQ_BROKEN);
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_uio, "/dev/none0,/dev/none1,/dev/none2"),
                     MIXQ_BROKEN);
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_uio, "/dev/none0"), MIXQ_BROKEN);
}

/* ---- the link to a simulation ---- */

static mixq_sim_link *make_link(const char *path) {
    size_t size = sizeof(mixq_sim_link) + IN_FRAME + OUT_FRAME;
    FILE *file = fopen(path, "w+b");
    assert_non_null(file);
    assert_int_equal(ftruncate(fileno(file), (off_t)size), 0);
    mixq_sim_link *s = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
    fclose(file);
    *s = (mixq_sim_link){
        .magic = MIXQ_SIM_MAGIC, .version = MIXQ_SIM_VERSION, .in_room = IN_FRAME, .out_room = OUT_FRAME};
    for (int i = 0; i < 32; i++) s->identity[i] = (uint8_t)(0x11 * (i % 16));
    return s;
}

/* Answers two frames, the second one cut; then it ends. */
static void answer(mixq_sim_link *s) {
    uint8_t *in = (uint8_t *)(s + 1), *out = in + s->in_room;
    for (uint32_t n = 1; n <= 2; n++) {
        while (mixq_sim_load(&s->asked) != n) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        for (size_t i = 0; i < OUT_FRAME; i++) out[i] = (uint8_t)(in[i % IN_FRAME] ^ i);
        s->got = n == 1 ? OUT_FRAME : 96;
        mixq_sim_store(&s->answered, n);
    }
    while (mixq_sim_load(&s->asked) != 3) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    mixq_sim_store(&s->status, MIXQ_SIM_ENDED);
}

static void by_simulation(void **state) {
    mixq_session s;
    char path[512];
    snprintf(path, sizeof path, "%s", temp_dir_path(state, "link"));
    mixq_sim_link *shared = make_link(path);
    pid_t child = fork();
    if (child == 0) {
        answer(shared);
        _exit(0);
    }
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_sim, path), MIXQ_DONE);
    assert_int_equal(mixq_run(&s, frame, sizeof frame, MIXQ_U8, 5000, head, OUT_VALUES), MIXQ_DONE);
    uint8_t sent[IN_FRAME], back[OUT_FRAME];
    int32_t expected[OUT_VALUES];
    mixq_pack_frame(&DEVICE.in, frame, sent);
    for (size_t i = 0; i < OUT_FRAME; i++) back[i] = (uint8_t)(sent[i % IN_FRAME] ^ i);
    mixq_unpack_head(&DEVICE.out, back, expected);
    assert_memory_equal(head, expected, sizeof head);
    assert_int_equal(mixq_run(&s, frame, sizeof frame, MIXQ_U8, 5000, head, OUT_VALUES), MIXQ_TRUNCATED);
    assert_int_equal(mixq_run(&s, frame, sizeof frame, MIXQ_U8, 5000, head, OUT_VALUES), MIXQ_BROKEN);
    assert_non_null(strstr(mixq_error(&s), "has ended"));
    assert_int_equal(waitpid(child, NULL, 0), child);
    shared->status = MIXQ_SIM_FINE;
    shared->asked = shared->answered; /* nobody answers */
    assert_int_equal(one(&s), MIXQ_TIMEOUT);
    assert_int_equal(one(&s), MIXQ_BROKEN); /* the earlier frame is still there */
    mixq_close(&s);

    shared->identity[31] ^= 0x80;
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_sim, path), MIXQ_MISMATCH);
    shared->identity[31] ^= 0x80;
    shared->out_room = 1 << 20; /* more than the file has */
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_sim, path), MIXQ_BROKEN);
    shared->out_room = OUT_FRAME - 32;
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_sim, path), MIXQ_BROKEN);
    shared->magic++;
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_sim, path), MIXQ_BROKEN);
    assert_int_equal(mixq_open(&s, &DEVICE, &mixq_transport_sim, "/nonexistent/link"), MIXQ_BROKEN);
    munmap(shared, sizeof *shared + IN_FRAME + OUT_FRAME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beats),
        cmocka_unit_test(decoding),
        cmocka_unit_test(by_dma),
        cmocka_unit_test_setup_teardown(by_simulation, temp_dir_make, temp_dir_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
