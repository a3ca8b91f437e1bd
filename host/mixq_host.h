/* mixq_host.h - using an accelerator that mixq generated: a frame in, the head's accumulators, a class or a
 * box out. Plain C11; needs no other part of mixq. accelerator.h of a build folder describes the accelerator.
 *
 * A transport moves bytes: five functions. Nothing here waits without a limit, and nothing is allocated. */
#ifndef MIXQ_HOST_H
#define MIXQ_HOST_H

#include <stddef.h>
#include <stdint.h>

enum { MIXQ_ANCHORS = 16, MIXQ_IDENTITY = 32, MIXQ_TEXT = 200 };

typedef enum mixq_result {
    MIXQ_DONE = 0,
    MIXQ_TIMEOUT,   /* nothing came in time */
    MIXQ_TRUNCATED, /* the answer ended early */
    MIXQ_WRONG,     /* the caller's frame: size, type */
    MIXQ_MISMATCH,  /* the hardware holds another network */
    MIXQ_BROKEN     /* the transport: device or file, see the text */
} mixq_result;

typedef enum mixq_pixels { MIXQ_U8, MIXQ_I8, MIXQ_F32 } mixq_pixels; /* the accelerators take MIXQ_U8 */

/* A stream's frames: h x w x c values, beats of `pixels` x `channels` of them, each beat in `bytes` bytes of
 * the port. */
typedef struct mixq_stream {
    int h, w, c, pixels, channels, bytes;
} mixq_stream;

typedef struct mixq_device {
    const char *model;
    const char *network; /* SHA-256 of the network's net.json, 64 hexadecimal digits */
    mixq_stream in;      /* 8-bit values */
    mixq_stream out;     /* 32-bit signed values */
    float divisor;       /* real value = (float)accumulator / divisor */
    int classes;
    int anchors; /* 0: a classifier */
    double anchor_w[MIXQ_ANCHORS], anchor_h[MIXQ_ANCHORS];
} mixq_device;

/* What a transport has open. in, out: memory that the device reads and writes. */
typedef struct mixq_link {
    uint8_t *in, *out;
    size_t in_room, out_room;
    uint8_t identity[MIXQ_IDENTITY]; /* SHA-256 that the hardware says it holds */
    int has_identity;
    size_t got; /* bytes of the answer, after wait */
    intptr_t state[8];
    char text[MIXQ_TEXT]; /* what went wrong */
} mixq_link;

typedef struct mixq_transport {
    const char *name;
    /* where: the transport's own words (a file, an address). Fills the link; sizes: bytes of a frame. */
    mixq_result (*open)(mixq_link *link, const char *where, size_t in_bytes, size_t out_bytes);
    mixq_result (*read)(mixq_link *link, size_t bytes);     /* starts receiving into link->out */
    mixq_result (*write)(mixq_link *link, size_t bytes);    /* starts sending link->in */
    mixq_result (*wait)(mixq_link *link, int milliseconds); /* for both; after a failure the link is reset */
    void (*close)(mixq_link *link);
} mixq_transport;

extern const mixq_transport mixq_transport_sim;  /* transport_sim.c: shared memory, a simulation answers */
extern const mixq_transport mixq_transport_uio;  /* transport_uio.c: Linux, AXI DMA by UIO, a DMA buffer */
extern const mixq_transport mixq_transport_bare; /* transport_bare.c: no operating system */

typedef struct mixq_session {
    const mixq_device *accelerator;
    const mixq_transport *transport;
    mixq_link link;
    int opened;
    char text[2 * MIXQ_TEXT];
} mixq_session;

/* Opens and compares the network's hash. A link without identity (no mixq_id in the design) is MIXQ_MISMATCH
 * too. */
mixq_result mixq_open(mixq_session *session, const mixq_device *accelerator, const mixq_transport *transport,
                      const char *where);
/* One frame: pixels [h][w][c]; head: [h][w][c] of the output stream, `head_count` values. */
mixq_result mixq_run(mixq_session *session, const void *pixels, size_t bytes, mixq_pixels type,
                     int milliseconds, int32_t *head, size_t head_count);
void mixq_close(mixq_session *session);
const char *mixq_error(const mixq_session *session); /* of the last call that failed */

size_t mixq_stream_bytes(const mixq_stream *stream); /* of a frame, as beats */
size_t mixq_stream_values(const mixq_stream *stream);
/* Beats and back (docs/accelerator.md of mixq). */
void mixq_pack_frame(const mixq_stream *stream, const uint8_t *pixels, uint8_t *beats);
void mixq_unpack_head(const mixq_stream *stream, const uint8_t *beats, int32_t *head);

/* A classifier's answer: the first of the largest accumulators. */
int mixq_class(const mixq_device *accelerator, const int32_t *head);
/* A detector's: the cell of highest average confidence, its anchors averaged. Pixels of the input; x, y:
 * centre. */
typedef struct mixq_box {
    float x, y, w, h, confidence;
    int row, column;
} mixq_box;
mixq_box mixq_find_box(const mixq_device *accelerator, const int32_t *head);

#endif
