/* What reports do to the execution that they are about. */
#include "rollout/execution.h"

#include "store/device.h"

#define PERCENT_STEP \
    5 /* smaller progress stays in the device's own words: a row for each percent would wear the disk */

void execution_ignored(struct rollout *r)
{
    atomic_fetch_add(&r->ignored, 1);
}

static int set_percent(struct rollout *r, struct db *w, const struct execution *x, int percent,
                       int64_t now_ms, struct err *e)
{
    if (percent <= x->percent)
        execution_ignored(r); /* invariant 4 */
    if (percent < x->percent + PERCENT_STEP)
        return 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_PERCENT);
    bind_int(s, ":id", x->id);
    bind_int(s, ":percent", percent);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

/* The module of x that is next; 1 and its ord, 0 none is left. */
static int next_ord(struct db *w, int64_t id, int *ord, char module[MODULE_SIZE], char version[VERSION_SIZE],
                    struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_NEXT_MODULE);
    bind_int(s, ":id", id);
    int rc = stmt_step(s, e);
    if (rc > 0) {
        *ord = (int)col_int(s, 0);
        col_text(s, 1, module, MODULE_SIZE);
        col_text(s, 3, version, VERSION_SIZE);
    }
    return rc;
}

static int mark_done(struct db *w, int64_t id, int ord, int64_t now_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_MODULE_DONE);
    bind_int(s, ":id", id);
    bind_int(s, ":ord", ord);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

int execution_own_word(struct db *w, const struct party *p, struct execution *x, bool all, int64_t now_ms,
                       struct err *e)
{
    char module[MODULE_SIZE], version[VERSION_SIZE];
    int64_t left = 0;
    bool changed;
    int ord = 0, rc;
    for (;;) {
        if ((rc = next_ord(w, x->id, &ord, module, version, e)) <= 0)
            return rc; /* in testing nothing is left to be done */
        rc = device_version_set(w, p->device_id, module, version, true, now_ms, &changed, e);
        if (rc == 0)
            rc = execution_modules_left(w, x->id, &left, e);
        if (rc < 0)
            return rc;
        if (!all || left <= 1)
            return execution_module_done(w, x, ord, now_ms, e);
        if ((rc = mark_done(w, x->id, ord, now_ms, e)) < 0)
            return rc;
    }
}

int execution_progress(struct rollout *r, struct db *w, struct execution *x, enum execution_state to,
                       int percent, int64_t now_ms, struct err *e)
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
