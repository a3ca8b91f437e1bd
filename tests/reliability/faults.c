/* faults.c - stands between the program and the C library (LD_PRELOAD) and lets chosen calls fail.
 *
 *   MIXQ_FAULT=KIND:N[:ERRNO]  the N-th call of that kind fails; KIND:N+ that one and all after it
 *   MIXQ_FAULT=kill:N          SIGKILL instead of the N-th change of the file system
 *   MIXQ_FAULT=torn:N          the same, but half of the bytes of a write go out before
 *   MIXQ_FAULT=short:0         reads and writes move 4 KB at most, every second one is interrupted
 *   MIXQ_FAULT=clock:0         the date jumps to and fro by years
 *   MIXQ_FAULT_REPORT=FILE     at the end: calls of each kind, what is still held
 *   MIXQ_FAULT_SERVER=1        reads faults from FAULT_IN, runs the program once for each in a
 *                              child, writes its wait status to FAULT_OUT: loading takes longest
 *
 * Only calls from the program itself count, not those of oneDNN, libgomp or the C library: "memory" are
 * aligned blocks, of base/memory, "json" malloc, of JSON values; and "library" those of the readers'
 * libraries. Programs that it starts run without. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault_server.h"

#define SEEN     __attribute__((visibility("default")))
#define CALLER() __builtin_return_address(0)

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

enum { MEMORY, JSON, LIBRARY, OPEN, READ, WRITE, FSYNC, CLOSE, RENAME, MKDIR, OPENDIR, UNLINK, STAT, KINDS };
static const char *const names[KINDS] = {"memory", "json",   "library", "open",    "read",   "write", "fsync",
                                         "close",  "rename", "mkdir",   "opendir", "unlink", "stat"};
static const int errors[KINDS] = {ENOMEM, ENOMEM, ENOMEM, EMFILE, EIO, ENOSPC, EIO,
                                  EIO,    EIO,    ENOSPC, EMFILE, EIO, EIO};

enum { MOST_LIBRARIES = 16, SLOTS = 1 << 20, MOST_FILES = 1024 };
static struct { uintptr_t from, to; } program, library[MOST_LIBRARIES];
static int libraries;
static bool ready, kills, torn, shortened, jumping, from_then_on;
static int failing = -1, failure;
static long nth;
static atomic_long counts[KINDS], changes, ticks;

/* ---- what is held ---- */

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static void *held[SLOTS]; /* open addressing; 1 = was taken once */
static atomic_long blocks;
static atomic_bool opened[MOST_FILES];

static size_t slot_of(const void *p) {
    return (size_t)(((uintptr_t)p >> 4) * 0x9E3779B97F4A7C15u >> 44) & (SLOTS - 1);
}

static void hold(void *p) {
    if (!p || blocks > SLOTS / 2) return;
    pthread_mutex_lock(&guard);
    size_t i = slot_of(p);
    while (held[i] && held[i] != (void *)1) i = (i + 1) & (SLOTS - 1);
    held[i] = p;
    blocks++;
    pthread_mutex_unlock(&guard);
}

static void let_go(const void *p) {
    if (!p || !blocks) return;
    pthread_mutex_lock(&guard);
    for (size_t i = slot_of(p); held[i]; i = (i + 1) & (SLOTS - 1))
        if (held[i] == p) {
            held[i] = (void *)1;
            blocks--;
            break;
        }
    pthread_mutex_unlock(&guard);
}

/* ---- set-up and report ---- */

static int see_object(struct dl_phdr_info *info, size_t size, void *data) {
    static const char *const readers[] = {"libjansson", "libyaml", "libexpat",     "libpng",
                                          "libjpeg",    "libz.",   "libprotobuf-c"};
    (void)size;
    int *which = data;
    uintptr_t from = UINTPTR_MAX, to = 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_LOAD) continue;
        uintptr_t at = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
        if (at < from) from = at;
        if (at + info->dlpi_phdr[i].p_memsz > to) to = at + info->dlpi_phdr[i].p_memsz;
    }
    if ((*which)++ == 0) {
        program.from = from;
        program.to = to;
        return 0;
    }
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++)
        if (strstr(info->dlpi_name, readers[i]) && libraries < MOST_LIBRARIES) {
            library[libraries].from = from;
            library[libraries++].to = to;
        }
    return 0;
}

/* Comes back in the children only. */
static const char *serve(char asked[FAULT_ASK]) {
    while (read(FAULT_IN, asked, FAULT_ASK) == FAULT_ASK) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) {
            close(FAULT_IN);
            close(FAULT_OUT);
            for (int fd = 1; fd <= 2; fd++)
                if (ftruncate(fd, 0) == 0) lseek(fd, 0, SEEK_SET);
            return asked;
        }
        if (child < 0 || waitpid(child, &status, 0) != child ||
            write(FAULT_OUT, &status, sizeof status) != sizeof status)
            break;
    }
    _exit(0);
}

__attribute__((constructor)) static void begin(void) {
    const char *text = getenv("MIXQ_FAULT");
    char kind[32] = "", asked[FAULT_ASK];
    int which = 0;
    dl_iterate_phdr(see_object, &which);
    if (getenv("MIXQ_FAULT_SERVER")) text = serve(asked);
    if (text) {
        size_t n = strcspn(text, ":");
        snprintf(kind, sizeof kind, "%.*s", (int)n, text);
        char *end = NULL;
        nth = text[n] ? strtol(text + n + 1, &end, 10) : 0;
        if (end && *end == '+') from_then_on = true, end++;
        for (int i = 0; i < KINDS; i++)
            if (strcmp(kind, names[i]) == 0) failing = i, failure = errors[i];
        if (end && *end == ':') failure = atoi(end + 1);
        torn = strcmp(kind, "torn") == 0;
        kills = torn || strcmp(kind, "kill") == 0;
        shortened = strcmp(kind, "short") == 0;
        jumping = strcmp(kind, "clock") == 0;
    }
    unsetenv("LD_PRELOAD");
    unsetenv("MIXQ_FAULT");
    ready = true;
}

__attribute__((destructor)) static void end(void) {
    const char *path = getenv("MIXQ_FAULT_REPORT");
    char text[1024];
    int n = 0, files = 0;
    ready = false;
    if (!path) return;
    for (int i = 3; i < MOST_FILES; i++) files += opened[i];
    for (int i = 0; i < KINDS; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s %ld\n", names[i], (long)counts[i]);
    n += snprintf(text + n, sizeof text - (size_t)n, "changes %ld\nticks %ld\nblocks %ld\nfiles %d\n",
                  (long)changes, (long)ticks, (long)blocks, files);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0 && write(fd, text, (size_t)n) != n) unlink(path);
}

static bool ours(const void *caller) {
    return ready && (uintptr_t)caller >= program.from && (uintptr_t)caller < program.to;
}

static bool of_library(const void *caller) {
    for (int i = 0; ready && i < libraries; i++)
        if ((uintptr_t)caller >= library[i].from && (uintptr_t)caller < library[i].to) return true;
    return false;
}

static bool fails(int kind) {
    long n = ++counts[kind];
    if (failing != kind || !(n == nth || (from_then_on && n > nth))) return false;
    errno = failure;
    return true;
}

/* Before a change of the file system. */
static void change(void) {
    if (++changes == nth && kills) kill(getpid(), SIGKILL);
}

/* The C library's, as real_. */
#define REAL(name)                                                                                           \
    static __typeof__(&name) real_;                                                                          \
    if (!real_) real_ = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name)

/* ---- memory ---- */

static bool memory_fails(const void *caller, int kind, bool *counted) {
    *counted = ours(caller);
    if (*counted) return fails(kind);
    return of_library(caller) && fails(LIBRARY);
}

static void *kept(void *p, bool counted) {
    if (counted) hold(p);
    return p;
}

SEEN void *malloc(size_t n) {
    bool counted;
    return memory_fails(CALLER(), JSON, &counted) ? NULL : kept(__libc_malloc(n), counted);
}

SEEN void *calloc(size_t n, size_t size) {
    bool counted;
    return memory_fails(CALLER(), JSON, &counted) ? NULL : kept(__libc_calloc(n, size), counted);
}

SEEN void *realloc(void *p, size_t n) {
    bool counted;
    if (memory_fails(CALLER(), JSON, &counted)) return NULL;
    let_go(p);
    return kept(__libc_realloc(p, n), counted);
}

SEEN void *aligned_alloc(size_t to, size_t n) {
    bool counted;
    return memory_fails(CALLER(), MEMORY, &counted) ? NULL : kept(__libc_memalign(to, n), counted);
}

SEEN int posix_memalign(void **out, size_t to, size_t n) {
    bool counted;
    if (memory_fails(CALLER(), MEMORY, &counted)) return ENOMEM;
    *out = kept(__libc_memalign(to, n), counted);
    return *out ? 0 : ENOMEM;
}

SEEN void free(void *p) {
    let_go(p);
    __libc_free(p);
}

/* ---- files ---- */

static int opened_as(int fd) {
    if (fd >= 0 && fd < MOST_FILES) opened[fd] = true;
    return fd;
}

SEEN int open(const char *path, int flags, ...) {
    REAL(open);
    va_list list;
    va_start(list, flags);
    int mode = flags & O_CREAT ? va_arg(list, int) : 0;
    va_end(list);
    if (!ours(CALLER())) return real_(path, flags, mode);
    if (flags & O_CREAT) change();
    return fails(OPEN) ? -1 : opened_as(real_(path, flags, mode));
}

SEEN int openat(int dir, const char *path, int flags, ...) {
    REAL(openat);
    va_list list;
    va_start(list, flags);
    int mode = flags & O_CREAT ? va_arg(list, int) : 0;
    va_end(list);
    if (!ours(CALLER())) return real_(dir, path, flags, mode);
    return fails(OPEN) ? -1 : opened_as(real_(dir, path, flags, mode));
}

SEEN FILE *fopen(const char *path, const char *mode) {
    REAL(fopen);
    if (ours(CALLER()) && fails(OPEN)) return NULL;
    return real_(path, mode);
}

/* A few bytes, after an interruption now and then. 0: go on. */
static ssize_t cut(size_t *n) {
    static atomic_long calls;
    if (!shortened) return 0;
    if (++calls % 2) {
        errno = EINTR;
        return -1;
    }
    if (*n > 4099) *n = 4099;
    return 0;
}

SEEN ssize_t read(int fd, void *to, size_t n) {
    REAL(read);
    if (ours(CALLER()) && fd > 2 && (fails(READ) || cut(&n) < 0)) return -1;
    return real_(fd, to, n);
}

SEEN ssize_t write(int fd, const void *from, size_t n) {
    REAL(write);
    if (!ours(CALLER()) || fd <= 2) return real_(fd, from, n);
    if (torn && changes + 1 == nth && real_(fd, from, n / 2) >= 0) kill(getpid(), SIGKILL);
    change();
    return fails(WRITE) || cut(&n) < 0 ? -1 : real_(fd, from, n);
}

SEEN int fsync(int fd) {
    REAL(fsync);
    if (!ours(CALLER())) return real_(fd);
    change();
    return fails(FSYNC) ? -1 : 0; /* the tests need not wait for the disk */
}

SEEN int close(int fd) {
    REAL(close);
    if (!ours(CALLER())) return real_(fd);
    if (fd >= 0 && fd < MOST_FILES) opened[fd] = false;
    int code = real_(fd);
    return fails(CLOSE) ? -1 : code;
}

SEEN int rename(const char *from, const char *to) {
    REAL(rename);
    if (!ours(CALLER())) return real_(from, to);
    change();
    return fails(RENAME) ? -1 : real_(from, to);
}

SEEN int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    REAL(renameat2);
    if (!ours(CALLER())) return real_(a, from, b, to, flags);
    change();
    return fails(RENAME) ? -1 : real_(a, from, b, to, flags);
}

SEEN int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    if (!ours(CALLER())) return real_(path, mode);
    change();
    return fails(MKDIR) ? -1 : real_(path, mode);
}

SEEN char *mkdtemp(char *path) {
    REAL(mkdtemp);
    if (!ours(CALLER())) return real_(path);
    change();
    return fails(MKDIR) ? NULL : real_(path);
}

SEEN DIR *opendir(const char *path) {
    REAL(opendir);
    if (!ours(CALLER())) return real_(path);
    return fails(OPENDIR) ? NULL : real_(path);
}

SEEN int unlink(const char *path) {
    REAL(unlink);
    if (!ours(CALLER())) return real_(path);
    change();
    return fails(UNLINK) ? -1 : real_(path);
}

SEEN int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    if (!ours(CALLER())) return real_(dir, path, flags);
    change();
    return fails(UNLINK) ? -1 : real_(dir, path, flags);
}

SEEN int rmdir(const char *path) {
    REAL(rmdir);
    if (!ours(CALLER())) return real_(path);
    change();
    return fails(UNLINK) ? -1 : real_(path);
}

SEEN int remove(const char *path) {
    REAL(remove);
    if (!ours(CALLER())) return real_(path);
    change();
    return fails(UNLINK) ? -1 : real_(path);
}

SEEN int stat(const char *path, struct stat *out) {
    REAL(stat);
    return ours(CALLER()) && fails(STAT) ? -1 : real_(path, out);
}

SEEN int fstat(int fd, struct stat *out) {
    REAL(fstat);
    return ours(CALLER()) && fails(STAT) ? -1 : real_(fd, out);
}

/* ---- the date ---- */

static time_t jump(void) {
    long n = ++ticks;
    return jumping ? (n % 2 ? -1 : 1) * (time_t)(n % 7 + 1) * 100000000 : 0;
}

SEEN time_t time(time_t *out) {
    struct timespec now;
    REAL(clock_gettime);
    real_(CLOCK_REALTIME, &now);
    if (ours(CALLER())) now.tv_sec += jump();
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

SEEN int clock_gettime(clockid_t clock, struct timespec *out) {
    REAL(clock_gettime);
    int code = real_(clock, out);
    if (clock == CLOCK_REALTIME && ours(CALLER())) out->tv_sec += jump();
    return code;
}

SEEN int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    REAL(gettimeofday);
    int code = real_(out, zone);
    if (ours(CALLER())) out->tv_sec += jump();
    return code;
}
