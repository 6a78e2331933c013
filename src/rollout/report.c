/* What reports do to the execution that they are about. */
#include "rollout/execution.h"

#include "store/device.h"

#include <string.h>

#define PERCENT_STEP \
    5 /* smaller progress stays in the device's own words: a row for each percent would wear the disk */

void execution_ignored(struct rollout *r)
{
    atomic_fetch_add(&r->ignored, 1);
}

static int set_percent(struct rollout *r, struct db *w, struct execution *x, int percent, int64_t now_ms,
                       struct err *e)
{
    if (percent <= x->percent)
        execution_ignored(r); /* invariant 4 */
    if (percent < x->percent + PERCENT_STEP)
        return 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_PERCENT);
    bind_int(s, ":id", x->id);
    bind_int(s, ":percent", percent);
    bind_int(s, ":now_ms", now_ms);
    int rc = stmt_run(s, NULL, e);
    return rc < 0 ? rc : execution_heard(w, x, e);
}

/* The device's own "succeeded" where its product takes it for the proof: of the module it was offered, or of
 * all that are left and were offered with it. */
static int take_word(struct db *w, const struct party *p, struct execution *x, bool all, int64_t now_ms,
                     struct err *e)
{
    struct next_module m;
    int64_t left = 0;
    bool changed;
    for (;;) {
        int rc = execution_next_module(w, x->id, &m, e);
        if (rc <= 0)
            return rc; /* in testing nothing is left to be done */
        if (!*m.offered)
            return left > 0 ? execution_module_marked(w, x, left, now_ms, e) : 0;
        rc = device_version_set(w, p->device_id, m.module, m.offered, true, now_ms, &changed, e);
        if (rc == 0 && strcmp(m.offered, m.target) != 0)
            return execution_step_done(w, x, m.ord, m.offered, now_ms, e);
        if (rc == 0)
            rc = execution_module_mark(w, p, x->id, m.ord, now_ms, &left, e);
        if (rc < 0)
            return rc;
        if (!all || left == 0)
            return execution_module_marked(w, x, left, now_ms, e);
    }
}

static int go_on(struct rollout *r, struct db *w, struct execution *x, enum execution_state to, int percent,
                 int64_t now_ms, struct err *e)
{
    if (to == EXECUTION_DOWNLOADING && percent == 100)
        to = EXECUTION_DOWNLOADED;
    if (to == EXECUTION_DOWNLOADING && x->state == to)
        return set_percent(r, w, x, percent, now_ms, e);
    if (to <= x->state) {
        execution_ignored(r);
        return 0;
    }
    int seen = to > EXECUTION_DOWNLOADING ? 100 : percent < 0 ? 0 : percent;
    struct change c = {
        .reason = REASON_NONE, .percent = seen, .attempt = x->attempt, .deadline_at_ms = x->deadline_at_ms};
    if (x->state == EXECUTION_OFFERED)
        c.deadline_at_ms = now_ms + x->policy.finish_timeout_ms;
    return execution_move(w, x, to, &c, now_ms, e);
}

int execution_said(struct rollout *r, struct db *w, const struct party *p, struct execution *x,
                   enum execution_state to, bool all, const struct device_event *ev, int64_t now_ms,
                   struct err *e)
{
    struct change no = {.reason = REASON_REJECTED, .detail = ev->detail, .attempt = x->attempt};
    switch (to) {
    case EXECUTION_SUCCEEDED:
        if (p->success_by_report) /* invariant 3 */
            return take_word(w, p, x, all, now_ms, e);
        /* its word is not the proof: the version is awaited */
        return go_on(r, w, x, EXECUTION_INSTALLING, ev->percent, now_ms, e);
    case EXECUTION_FAILED:
        return execution_attempt_ended(w, x, EXECUTION_FAILED, ev->reason, ev->detail, now_ms, e);
    case EXECUTION_REJECTED:
        return execution_move(w, x, EXECUTION_REJECTED, &no, now_ms, e);
    default:
        return go_on(r, w, x, to, ev->percent, now_ms, e);
    }
}
