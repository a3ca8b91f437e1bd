/* example.c - frames through an accelerator: example [-t sim|uio] [-w MILLISECONDS] WHERE IMAGE...
 *
 * WHERE: the transport's (transport_*.c). IMAGE: a .ppm or .pgm (P6, P5, 8 bits) of the input's size, or any
 * other file as raw bytes h x w x c. One line per image: a detector's "file x_min x_max y_min y_max
 * confidence" in pixels of the input, a classifier's "file class". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accelerator.h"

/* A number of a PPM header; comments skipped. */
static int number(FILE *file, int *out) {
    int c;
    while ((c = fgetc(file)) == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '#')
        while (c == '#' && (c = fgetc(file)) != EOF && c != '\n') c = '#';
    if (c < '0' || c > '9') return 0;
    for (*out = 0; c >= '0' && c <= '9' && *out < 100000; c = fgetc(file)) *out = *out * 10 + c - '0';
    return 1; /* one white space is taken with it */
}

/* Pixels of a file; the count that was read, -1: not readable or of another shape. */
static long load(const char *path, const mixq_stream *s, uint8_t *pixels, size_t room) {
    FILE *file = fopen(path, "rb");
    char magic[2] = "";
    long got = -1;
    int w, h, most;
    if (!file) return -1;
    size_t n = strlen(path);
    if (n > 4 && (strcmp(path + n - 4, ".ppm") == 0 || strcmp(path + n - 4, ".pgm") == 0)) {
        int channels = fread(magic, 1, 2, file) == 2 && magic[0] == 'P' ? magic[1] == '6'   ? 3
                                                                          : magic[1] == '5' ? 1
                                                                                            : 0
                                                                        : 0;
        if (channels == s->c && number(file, &w) && number(file, &h) && number(file, &most) && most == 255 &&
            w == s->w && h == s->h)
            got = (long)fread(pixels, 1, room, file);
    } else {
        got = (long)fread(pixels, 1, room, file);
        if (fgetc(file) != EOF) got++; /* longer than a frame */
    }
    fclose(file);
    return got;
}

static void print(const char *path, const int32_t *head) {
    const mixq_device *a = &mixq_accelerator_here;
    if (a->anchors == 0) {
        printf("%s %d\n", path, mixq_class(a, head));
        return;
    }
    mixq_box box = mixq_find_box(a, head);
    double w = (double)box.w / 2, h = (double)box.h / 2, x = (double)box.x, y = (double)box.y;
    printf("%s %.2f %.2f %.2f %.2f %.4f\n", path, x - w, x + w, y - h, y + h, (double)box.confidence);
}

int main(int argc, char **argv) {
    static uint8_t pixels[MIXQ_IN_VALUES + 1];
    static int32_t head[MIXQ_OUT_VALUES];
    const mixq_transport *transport = &mixq_transport_sim;
    int milliseconds = 10000, at = 1;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (strcmp(argv[at], "-w") == 0) milliseconds = atoi(argv[at + 1]);
        if (strcmp(argv[at], "-t") == 0 && strcmp(argv[at + 1], "uio") == 0) transport = &mixq_transport_uio;
    }
    if (at + 1 >= argc) {
        fprintf(stderr, "example [-t sim|uio] [-w MILLISECONDS] WHERE IMAGE...\n");
        return 2;
    }
    mixq_session session;
    mixq_result result = mixq_open(&session, &mixq_accelerator_here, transport, argv[at]);
    if (result != MIXQ_DONE) {
        fprintf(stderr, "example: %s\n", mixq_error(&session));
        return 10 + (int)result;
    }
    for (int i = at + 1; i < argc && result == MIXQ_DONE; i++) {
        long got = load(argv[i], &mixq_accelerator_here.in, pixels, MIXQ_IN_VALUES);
        if (got < 0) {
            fprintf(stderr, "example: %s: cannot be read as %d x %d x %d pixels\n", argv[i],
                    mixq_accelerator_here.in.h, mixq_accelerator_here.in.w, mixq_accelerator_here.in.c);
            result = MIXQ_WRONG;
            break;
        }
        result = mixq_run(&session, pixels, (size_t)got, MIXQ_U8, milliseconds, head, MIXQ_OUT_VALUES);
        if (result == MIXQ_DONE)
            print(argv[i], head);
        else
            fprintf(stderr, "example: %s: %s\n", argv[i], mixq_error(&session));
    }
    mixq_close(&session);
    return result == MIXQ_DONE ? 0 : 10 + (int)result;
}
