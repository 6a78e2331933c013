/* An attempt and its modules: how one ends, whether another one follows, and what is left to do. */
#include "rollout/execution.h"

#include "store/device.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MAX 16 /* stepping stones that a module of one execution may reach */

/* Doubles with each attempt, at most a thousandfold: a long campaign must not sleep for ever. */
static int64_t backoff_ms(const struct policy *p, int attempt)
{
    int doublings = attempt - 1 > 10 ? 10 : attempt > 1 ? attempt - 1 : 0;
    return p->retry_after_ms << doublings;
}

static bool campaign_goes_on(const struct execution *x)
{
    return x->campaign_state == CAMPAIGN_RUNNING || x->campaign_state == CAMPAIGN_PAUSED;
}

/* The full file after a delta that failed is one more than the policy's attempts. */
static int may_try_again(struct db *w, const struct execution *x, enum reason reason, bool *may,
                         struct err *e)
{
    *may = false;
    if (!campaign_goes_on(x) || !(x->policy.retry_on & 1u << reason))
        return 0;
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_DELTA_FAILED);
    bind_int(s, ":id", x->id);
    int rc = stmt_step(s, e);
    int64_t more = rc > 0 ? col_int(s, 0) : 0;
    *may = x->attempt < x->policy.max_attempts + more;
    return rc < 0 ? rc : 0;
}

static int is_outdated(struct db *w, int64_t id, bool *outdated, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_OUTDATED);
    bind_int(s, ":id", id);
    int rc = stmt_step(s, e);
    *outdated = rc > 0;
    return rc < 0 ? rc : 0;
}

/* Back to the queue for another attempt or the next module, unless the campaign is over or a newer one has
 * come meanwhile: what waits is superseded whenever it begins to wait (invariant 5). */
static int queue_again(struct db *w, struct execution *x, const struct change *c, int64_t now_ms,
                       struct err *e)
{
    struct change end = *c;
    bool outdated = false;
    int rc = 0;
    end.due_at_ms = 0;
    if (x->campaign_state == CAMPAIGN_CANCELLED)
        return execution_move(w, x, EXECUTION_CANCELLED, &end, now_ms, e);
    if (x->state == EXECUTION_TESTING) { /* where all modules count as done */
        struct stmt *s = db_stmt(w, Q_EXECUTION_MODULE_UNDO_LAST);
        bind_int(s, ":id", x->id);
        rc = stmt_run(s, NULL, e);
    }
    if (rc == 0)
        rc = is_outdated(w, x->id, &outdated, e);
    if (rc < 0)
        return rc;
    return outdated ? execution_move(w, x, EXECUTION_SUPERSEDED, &end, now_ms, e)
                    : execution_move(w, x, EXECUTION_QUEUED, c, now_ms, e);
}

/* A delta that did not fit is the delta's fault: the full file is offered at once, whatever the policy says
 * of attempts. */
static int fall_back(struct db *w, const struct execution *x, enum reason reason, bool *fell_back,
                     struct err *e)
{
    int64_t changed = 0;
    if ((reason != REASON_VERIFY && reason != REASON_FLASH) || !campaign_goes_on(x))
        return 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_MODULE_NO_DELTA);
    bind_int(s, ":id", x->id);
    int rc = stmt_run(s, &changed, e);
    *fell_back = changed > 0;
    return rc;
}

static int count_step(struct db *w, int64_t id, int ord, int64_t *steps, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_MODULE_STEP);
    bind_int(s, ":id", id);
    bind_int(s, ":ord", ord);
    int rc = stmt_step(s, e);
    if (rc > 0)
        *steps = col_int(s, 0);
    return rc < 0 ? rc : 0;
}

/* A device that falls back behind a stone takes it again, which must have an end. */
int execution_step_done(struct db *w, struct execution *x, int ord, const char *version, int64_t now_ms,
                        struct err *e)
{
    char detail[DETAIL_SIZE];
    int64_t steps = 0;
    int rc = count_step(w, x->id, ord, &steps, e);
    if (rc < 0)
        return rc;
    snprintf(detail, sizeof detail,
             steps > STEPS_MAX ? "%s again: it does not get beyond" : "%s is a step on the way", version);
    struct change on = {.reason = REASON_NONE, .detail = detail};
    struct change end = {.reason = REASON_INCOMPATIBLE, .detail = detail, .attempt = x->attempt};
    return steps > STEPS_MAX ? execution_move(w, x, EXECUTION_FAILED, &end, now_ms, e)
                             : queue_again(w, x, &on, now_ms, e);
}

int execution_attempt_ended(struct db *w, struct execution *x, enum execution_state final, enum reason reason,
                            const char *detail, int64_t now_ms, struct err *e)
{
    struct change c = {.reason = reason, .detail = detail, .percent = x->percent, .attempt = x->attempt};
    bool fell_back = false;
    int rc = fall_back(w, x, reason, &fell_back, e);
    if (rc < 0)
        return rc;
    if (fell_back) {
        c.percent = 0;
        return queue_again(w, x, &c, now_ms, e);
    }
    bool may;
    rc = may_try_again(w, x, reason, &may, e);
    if (rc < 0)
        return rc;
    if (!may)
        return execution_move(w, x, final, &c, now_ms, e);
    c.percent = 0;
    c.due_at_ms = now_ms + backoff_ms(&x->policy, x->attempt);
    return queue_again(w, x, &c, now_ms, e);
}

int execution_next_module(struct db *db, int64_t id, struct next_module *out, struct err *e)
{
    return execution_module_from(db, id, 0, out, e);
}

int execution_module_from(struct db *db, int64_t id, int ord, struct next_module *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_EXECUTION_NEXT_MODULE);
    bind_int(s, ":id", id);
    bind_int(s, ":ord", ord);
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    out->ord = (int)col_int(s, 0);
    col_text(s, 1, out->module, sizeof out->module);
    out->goal_id = col_int(s, 2);
    col_text(s, 3, out->target, sizeof out->target);
    col_text(s, 4, out->has, sizeof out->has);
    out->no_delta = col_int(s, 5);
    col_text(s, 6, out->offered, sizeof out->offered);
    out->offered_id = col_int(s, 7);
    return 1;
}

bool module_is_beyond(const struct party *p, const struct execution *x, const struct next_module *m)
{
    return !x->policy.allow_downgrade && version_standing(p->scheme, m->has, m->target) == STANDING_ABOVE;
}

int module_file(struct db *db, const struct party *p, const struct next_module *m, struct chosen *out,
                struct err *e)
{
    return choose_file(db, m->goal_id, p->scheme, m->has, p->takes_deltas && !m->no_delta, out, e);
}

static int modules_left(struct db *w, int64_t id, int64_t *left, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_MODULES_LEFT);
    bind_int(s, ":id", id);
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc < 0
                   ? rc
                   : err_set(e, ERR_INTERNAL, "counting the modules of execution %lld failed", (long long)id);
    *left = col_int(s, 0);
    return 0;
}

int execution_modules_make(struct db *w, int64_t id, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_MODULES_MAKE);
    bind_int(s, ":id", id);
    return stmt_run(s, NULL, e);
}

static int set_done(struct db *w, int64_t id, int ord, int64_t now_ms, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_MODULE_DONE);
    bind_int(s, ":id", id);
    bind_int(s, ":ord", ord);
    bind_int(s, ":now_ms", now_ms);
    return stmt_run(s, NULL, e);
}

int execution_module_mark(struct db *w, const struct party *p, int64_t id, int ord, int64_t now_ms,
                          int64_t *left, struct err *e)
{
    struct next_module m;
    int rc = execution_modules_make(w, id, e);
    if (rc == 0)
        rc = set_done(w, id, ord, now_ms, e);
    while (rc == 0 && (rc = execution_next_module(w, id, &m, e)) > 0) {
        if (version_standing(p->scheme, m.has, m.target) != STANDING_ON_TARGET)
            break;
        rc = set_done(w, id, m.ord, now_ms, e);
    }
    return rc < 0 ? rc : modules_left(w, id, left, e);
}

int execution_module_done(struct db *w, const struct party *p, struct execution *x, int ord, int64_t now_ms,
                          struct err *e)
{
    int64_t left = 0;
    int rc = execution_module_mark(w, p, x->id, ord, now_ms, &left, e);
    return rc < 0 ? rc : execution_module_marked(w, x, left, now_ms, e);
}

int execution_module_marked(struct db *w, struct execution *x, int64_t left, int64_t now_ms, struct err *e)
{
    if (left > 0) {
        /* the next module is offered with attempts of its own */
        struct change next = {.reason = REASON_NONE};
        return x->state == EXECUTION_PENDING ? 0 : queue_again(w, x, &next, now_ms, e);
    }
    bool was_there = x->attempt == 0;
    struct change done = {
        .reason = was_there ? REASON_ALREADY_INSTALLED : REASON_NONE, .percent = 100, .attempt = x->attempt};
    if (x->policy.health_hold_off_ms == 0 || !execution_is_active(x->state))
        return execution_move(w, x, EXECUTION_SUCCEEDED, &done, now_ms, e);
    done.deadline_at_ms = now_ms + x->policy.health_hold_off_ms;
    return execution_move(w, x, EXECUTION_TESTING, &done, now_ms, e);
}

/* Health hold-off over: the device must have been heard since the new version was seen. */
static int hold_off_ended(struct rollout *r, struct db *w, struct execution *x, int64_t now_ms, struct err *e)
{
    struct change c = {.reason = REASON_NONE, .percent = 100, .attempt = x->attempt};
    struct device d; /* what it was heard of before otad started has reached the store */
    int rc = device_get_id(w, x->device_id, &d, e);
    if (rc < 0)
        return rc;
    if (presence_there(r->presence, x->device_id, now_ms) || d.last_seen_at_ms > x->updated_at_ms ||
        presence_last_seen(r->presence, x->device_id) > x->updated_at_ms)
        return execution_move(w, x, EXECUTION_SUCCEEDED, &c, now_ms, e);
    return execution_attempt_ended(w, x, EXECUTION_FAILED, REASON_BOOT,
                                   "not heard again after it reported the new version", now_ms, e);
}

int execution_clock_ended(struct rollout *r, struct db *w, struct execution *x, int64_t now_ms, struct err *e)
{
    if (x->state == EXECUTION_TESTING)
        return hold_off_ended(r, w, x, now_ms, e);
    if (x->state == EXECUTION_INSTALLING && x->suspect)
        return execution_attempt_ended(w, x, EXECUTION_ROLLED_BACK, REASON_ROLLED_BACK,
                                       "it kept the old version after installing", now_ms, e);
    return execution_attempt_ended(w, x, EXECUTION_TIMED_OUT, REASON_TIMED_OUT,
                                   x->state == EXECUTION_OFFERED ? "no sign of life within offer_timeout"
                                                                 : "not finished within finish_timeout",
                                   now_ms, e);
}
