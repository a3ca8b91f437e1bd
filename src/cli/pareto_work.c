/* pareto_work.c - claiming and doing.
 *
 * There is no master: every worker reads the results that are there, takes the first piece that is ready and
 * that nobody holds (sweep/claim.h), reads its result once more, does it, writes its result, lets it go, and
 * looks again. Pieces in order: the 8-bit networks, the searches, the main trainings. */
#include "cli/pareto_work.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "base/log.h"
#include "base/stop.h"
#include "cli/pareto_runs.h"
#include "sweep/claim.h"

enum { POLL_MS = 300 };

typedef struct worker {
    pareto_setup *s;
    int only;
    bool worked; /* in this round */
    int held;    /* pieces of this round that others have */
    int waits;   /* points that this round's pieces wait for */
    char holder[MQ_CLAIM_TEXT];
    bool said; /* that it waits */
} worker;

/* Takes the piece whose folder is given; *claim -1 when another has it. */
static mq_status claim_folder(worker *w, const char *folder, int *claim, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(mq_make_dirs(folder, error));
    MQ_TRY(mq_path_join(folder, "lock", path, error));
    MQ_TRY(mq_claim_take(path, claim, error));
    if (*claim >= 0) return MQ_OK;
    w->held++;
    mq_claim_holder(path, w->holder);
    return MQ_OK;
}

/* ---- bases ---- */

static mq_status base_done(const pareto_setup *s, uint64_t seed, bool *done, mq_error *error) {
    char path[MQ_PATH];
    MQ_TRY(pareto_base_path(s, seed, PARETO_BASE_FILE, path, error));
    *done = mq_path_exists(path);
    return MQ_OK;
}

static mq_status try_base(worker *w, uint64_t seed, bool *done, mq_error *error) {
    char folder[MQ_PATH];
    int claim;
    MQ_TRY(base_done(w->s, seed, done, error));
    if (*done) return MQ_OK;
    MQ_TRY(pareto_base_path(w->s, seed, NULL, folder, error));
    MQ_TRY(claim_folder(w, folder, &claim, error));
    if (claim < 0) return MQ_OK;
    mq_status status = base_done(w->s, seed, done, error);
    if (status == MQ_OK && !*done) {
        status = pareto_make_base(w->s, seed, error);
        *done = status == MQ_OK;
        w->worked = true;
    }
    mq_claim_release(&claim);
    return status;
}

static bool on_base(const pareto_setup *s, const mq_sweep_point *p) {
    return p->method == MQ_SWEEP_SENSITIVITY || (s->own && p->method == MQ_SWEEP_UNIFORM);
}

/* ---- points ---- */

typedef mq_status piece_fn(const pareto_setup *s, mq_sweep_point *point, mq_error *error);

/* Under its claim: read again, since another may have done it meanwhile. */
static mq_status do_point(worker *w, int i, mq_sweep_stage from, piece_fn *piece, mq_error *error) {
    pareto_setup *s = w->s;
    mq_sweep_point *p = &s->sweep.point[i];
    mq_sweep one = {.count = 1, .point = p};
    MQ_TRY(mq_sweep_load_points(s->out, s->digest, &one, error));
    if (p->stage != from) return MQ_OK;
    mq_log(MQ_LOG_INFO, "point %d of %d, %s: %s", i + 1, s->sweep.count, p->name,
           from == MQ_STAGE_NEW ? "bits" : "main training");
    MQ_TRY(piece(s, p, error));
    return mq_sweep_save_point(s->out, s->digest, p, error);
}

static mq_status try_point(worker *w, int i, mq_sweep_stage from, piece_fn *piece, mq_error *error) {
    char folder[MQ_PATH];
    int claim;
    MQ_TRY(mq_sweep_path(w->s->out, w->s->sweep.point[i].name, NULL, folder, error));
    MQ_TRY(claim_folder(w, folder, &claim, error));
    if (claim < 0) return MQ_OK;
    mq_status status = do_point(w, i, from, piece, error);
    mq_claim_release(&claim);
    w->worked = true;
    return status;
}

static mq_status first_bits(worker *w, mq_error *error) {
    const pareto_setup *s = w->s;
    for (int i = 0; i < s->sweep.count && !w->worked; i++) {
        const mq_sweep_point *p = &s->sweep.point[i];
        bool ready = true;
        if ((w->only >= 0 && i != w->only) || p->stage != MQ_STAGE_NEW) continue;
        if (on_base(s, p)) MQ_TRY(try_base(w, p->seed, &ready, error));
        if (ready && !w->worked) MQ_TRY(try_point(w, i, MQ_STAGE_NEW, pareto_find_bits, error));
    }
    return MQ_OK;
}

static mq_status first_training(worker *w, mq_error *error) {
    const pareto_setup *s = w->s;
    for (int i = 0; i < s->sweep.count && !w->worked; i++) {
        int waits;
        if ((w->only >= 0 && i != w->only) || s->sweep.point[i].stage != MQ_STAGE_SEARCHED) continue;
        if (mq_sweep_to_train(&s->sweep, i, s->front, &waits))
            MQ_TRY(try_point(w, i, MQ_STAGE_SEARCHED, pareto_train, error));
        w->waits += waits;
    }
    return MQ_OK;
}

/* ---- rounds ---- */

static mq_status wait_a_little(worker *w, mq_error *error) {
    if (!w->said) mq_log(MQ_LOG_INFO, "waiting for what others have under way (%s)", w->holder);
    w->said = true;
    nanosleep(&(struct timespec){POLL_MS / 1000, POLL_MS % 1000 * 1000000L}, NULL);
    if (mq_stop_requested())
        return mq_fail(error, MQ_INTERRUPTED, "interrupted while waiting: go on with --resume");
    return MQ_OK;
}

mq_status pareto_work(pareto_setup *s, int only, int *waits, mq_error *error) {
    worker w = {.s = s, .only = only};
    for (;;) {
        w.worked = false;
        w.held = w.waits = 0;
        MQ_TRY(mq_sweep_load_points(s->out, s->digest, &s->sweep, error));
        MQ_TRY(first_bits(&w, error));
        if (!w.worked) MQ_TRY(first_training(&w, error));
        *waits = w.waits;
        if (mq_stop_requested() && (w.worked || w.held))
            return mq_fail(error, MQ_INTERRUPTED, "interrupted between two pieces: go on with --resume");
        if (w.worked) {
            w.said = false;
            continue;
        }
        if (!w.held) return MQ_OK;
        MQ_TRY(wait_a_little(&w, error));
    }
}
