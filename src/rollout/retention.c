#include "rollout/retention.h"

#include "base/clock.h"

#define PORTION    256
#define STRETCH_MS 15

const char *retention_kind_name(enum retention_kind kind)
{
    static const char *const names[RETENTION_KINDS] = {"executions", "timeline", "audit", "names of devices"};
    return names[kind];
}

/* ---- the limits */

/* A clock that is years ahead for an hour shall not take all with it: a round gets no farther than a day from
 * the oldest there is, and one an hour still comes up with what is added. */
static int limit_age(struct db *db, enum query first, int64_t now_ms, int64_t keep_ms, int64_t *before_ms,
                     struct err *e)
{
    if (!keep_ms)
        return 0;
    struct stmt *s STMT_AUTO = db_stmt(db, first);
    int rc = stmt_step(s, e);
    int64_t reach_ms = rc > 0 ? col_int(s, 0) + RETENTION_REACH_MS : now_ms;
    *before_ms = now_ms - keep_ms < reach_ms ? now_ms - keep_ms : reach_ms;
    return rc < 0 ? rc : 0;
}

/* Ids are given once, and in order: what is so many ids behind the last has at least as many rows after it,
 * but for those that went with their devices. */
static int limit_ids(struct db *db, enum query last, int64_t rows, int64_t *upto_id, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, last);
    int rc = stmt_step(s, e);
    *upto_id = rc > 0 && rows && col_int(s, 0) > rows ? col_int(s, 0) - rows : 0;
    return rc < 0 ? rc : 0;
}

static int count_executions(struct db *db, int64_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_RETENTION_EXECUTION_ROWS);
    int rc = stmt_step(s, e);
    *n = rc > 0 ? col_int(s, 0) : 0;
    return rc < 0 ? rc : 0;
}

/* When the last campaign ended that has to go for no more than so many to be left. */
static int limit_executions(struct db *db, int64_t rows, int64_t *before_ms, struct err *e)
{
    int64_t n;
    int rc = rows ? count_executions(db, &n, e) : 0;
    if (rc < 0 || !rows)
        return rc;
    struct stmt *s STMT_AUTO = db_stmt(db, Q_RETENTION_CAMPAIGNS);
    for (int64_t excess = n - rows; excess > 0 && (rc = stmt_step(s, e)) > 0;) {
        *before_ms = col_int(s, 0) > *before_ms ? col_int(s, 0) : *before_ms;
        excess -= col_int(s, 1);
    }
    return rc < 0 ? rc : 0;
}

int retention_begin(struct db *db, const struct retention *keep, int64_t now_ms, struct retention_round *out,
                    struct err *e)
{
    struct retention_round r = {.now_ms = now_ms};
    int rc = limit_age(db, Q_RETENTION_EXECUTION_FIRST, now_ms, keep->executions_ms,
                       &r.limit[RETENTION_EXECUTIONS].before_ms, e);
    if (rc == 0)
        rc = limit_age(db, Q_RETENTION_TIMELINE_FIRST, now_ms, keep->timeline_ms,
                       &r.limit[RETENTION_TIMELINE].before_ms, e);
    if (rc == 0)
        rc = limit_age(db, Q_RETENTION_AUDIT_FIRST, now_ms, keep->audit_ms,
                       &r.limit[RETENTION_AUDIT].before_ms, e);
    if (rc == 0)
        rc = limit_executions(db, keep->rows, &r.limit[RETENTION_EXECUTIONS].before_ms, e);
    if (rc == 0)
        rc = limit_ids(db, Q_RETENTION_TIMELINE_LAST, keep->rows, &r.limit[RETENTION_TIMELINE].upto_id, e);
    if (rc == 0)
        rc = limit_ids(db, Q_RETENTION_AUDIT_LAST, keep->rows, &r.limit[RETENTION_AUDIT].upto_id, e);
    if (rc == 0)
        *out = r;
    return rc;
}

/* ---- a portion of each kind; *more: there is another one */

static int find_campaign(struct db *w, const struct retention_round *r, int64_t *id, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_RETENTION_CAMPAIGN);
    bind_int(s, ":before_ms", r->limit[RETENTION_EXECUTIONS].before_ms);
    int rc = stmt_step(s, e);
    *id = rc > 0 ? col_int(s, 0) : 0;
    return rc;
}

static int mark(struct db *w, enum query query, int64_t id, int64_t now_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, query);
    bind_int(s, ":id", id);
    if (query == Q_RETENTION_CAMPAIGN_BEGIN)
        bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

static int drop_executions(struct db *w, struct retention_round *r, int64_t *n, bool *more, struct err *e)
{
    int64_t id;
    int rc = find_campaign(w, r, &id, e);
    *more = rc > 0;
    if (rc <= 0)
        return rc;
    rc = mark(w, Q_RETENTION_CAMPAIGN_BEGIN, id, r->now_ms, e);
    if (rc < 0)
        return rc;
    struct stmt *s = db_stmt(w, Q_RETENTION_EXECUTIONS);
    bind_int(s, ":id", id);
    bind_int(s, ":cap", PORTION);
    rc = stmt_run(s, n, e);
    return rc == 0 && *n < PORTION ? mark(w, Q_RETENTION_CAMPAIGN_END, id, 0, e) : rc;
}

/* A clock that was ahead for a while has left lines that are not old yet: those after them wait. */
static int drop_lines(struct db *w, enum query query, const struct retention_limit *limit, int64_t *n,
                      bool *more, struct err *e)
{
    *more = false;
    if (limit->before_ms <= 0 && !limit->upto_id)
        return 0;
    struct stmt *s = db_stmt(w, query);
    bind_int(s, ":cap", PORTION);
    bind_int(s, ":before_ms", limit->before_ms);
    bind_int(s, ":upto_id", limit->upto_id);
    int rc = stmt_run(s, n, e);
    *more = rc == 0 && *n == PORTION;
    return rc;
}

static int drop_timeline(struct db *w, struct retention_round *r, int64_t *n, bool *more, struct err *e)
{
    return drop_lines(w, Q_RETENTION_TIMELINE, &r->limit[RETENTION_TIMELINE], n, more, e);
}

static int drop_audit(struct db *w, struct retention_round *r, int64_t *n, bool *more, struct err *e)
{
    return drop_lines(w, Q_RETENTION_AUDIT, &r->limit[RETENTION_AUDIT], n, more, e);
}

static int find_gone(struct db *w, int64_t after_id, int64_t *upto_id, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_RETENTION_GONE_LAST);
    bind_int(s, ":after_id", after_id);
    bind_int(s, ":cap", PORTION);
    int rc = stmt_step(s, e);
    *upto_id = rc > 0 ? col_int(s, 0) : 0;
    return rc < 0 ? rc : 0;
}

static int drop_gone(struct db *w, struct retention_round *r, int64_t *n, bool *more, struct err *e)
{
    int64_t upto_id;
    int rc = find_gone(w, r->gone_after, &upto_id, e);
    *more = rc == 0 && upto_id > 0;
    if (!*more)
        return rc;
    struct stmt *s = db_stmt(w, Q_RETENTION_GONE);
    bind_int(s, ":after_id", r->gone_after);
    bind_int(s, ":upto_id", upto_id);
    rc = stmt_run(s, n, e);
    r->gone_after = upto_id;
    return rc;
}

/* ---- a step */

/* Names are many, and only executions that have gone, or devices that never had one, leave any. */
static bool is_due(const struct retention_round *r)
{
    return r->at < RETENTION_KINDS &&
           (r->at != RETENTION_GONE || r->whole || r->removed[RETENTION_EXECUTIONS] > 0);
}

static int (*const portions[RETENTION_KINDS])(struct db *w, struct retention_round *r, int64_t *n, bool *more,
                                              struct err *e) = {
    [RETENTION_EXECUTIONS] = drop_executions,
    [RETENTION_TIMELINE] = drop_timeline,
    [RETENTION_AUDIT] = drop_audit,
    [RETENTION_GONE] = drop_gone,
};

int retention_step(struct db *w, struct retention_round *r, bool *more, struct err *e)
{
    int64_t end_ms = clock_mono_ms() + STRETCH_MS, rows = 0;
    int rc = 0;
    while (rc == 0 && is_due(r) && rows + PORTION <= RETENTION_STEP_ROWS && clock_mono_ms() < end_ms) {
        int64_t n = 0;
        bool again = false;
        rc = portions[r->at](w, r, &n, &again, e);
        r->removed[r->at] += n;
        rows += n;
        if (rc == 0 && !again)
            r->at++;
    }
    *more = rc == 0 && is_due(r);
    return rc;
}
