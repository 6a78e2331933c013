#include "rollout/execution.h"

#include "store/device.h"

#include <stdio.h>
#include <string.h>

static int register_device(struct rollout *r, struct db *w, struct party *p, bool over_session,
                           int64_t now_ms, struct err *e)
{
    struct device d = {.product_id = p->product_id, .enabled = true, .registered_at_ms = now_ms};
    str_copy(d.product, sizeof d.product, p->product);
    str_copy(d.name, sizeof d.name, p->device);
    int rc = device_insert(w, &d, e);
    if (rc == 0)
        rc = timeline_add(w, d.id, now_ms, "registered", 0, 0, e, "by its first report, enrolment is open");
    if (rc < 0)
        return rc;
    p->device_id = d.id;
    p->device_enabled = true;
    if (over_session)
        presence_joined(r->presence, d.id);
    return 0;
}

/* Invariant 1: a target version that comes after the end is told, and changes nothing. */
static int late_success(struct db *w, int64_t device_id, const struct device_event *ev, int64_t now_ms,
                        struct err *e)
{
    int64_t id = 0, campaign_id = 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_LATE);
    bind_int(s, ":device_id", device_id);
    bind_text(s, ":module", ev->module);
    bind_text(s, ":version", ev->version);
    int rc = stmt_step(s, e);
    if (rc > 0) {
        id = col_int(s, 0);
        campaign_id = col_int(s, 1);
    }
    stmt_end(s);
    if (rc <= 0)
        return rc;
    s = db_stmt(w, Q_EXECUTION_LATE_SET);
    bind_int(s, ":id", id);
    rc = stmt_run(s, NULL, e);
    if (rc == 0) {
        s = db_stmt(w, Q_CAMPAIGN_LATE_SUCCESS);
        bind_int(s, ":id", campaign_id);
        rc = stmt_run(s, NULL, e);
    }
    if (rc == 0)
        rc = timeline_add(w, device_id, now_ms, "late_success", campaign_id, id, e,
                          "reports %s after the end", ev->version);
    return rc;
}

/* A version that is not the target, from a device whose execution is under way (invariant 11). */
static int other_version(struct db *w, struct execution *x, const char *version, int64_t now_ms,
                         struct err *e)
{
    char detail[DETAIL_SIZE];
    if (x->state == EXECUTION_TESTING) {
        snprintf(detail, sizeof detail, "it went back to %s", version);
        return execution_attempt_ended(w, x, EXECUTION_ROLLED_BACK, REASON_ROLLED_BACK, detail, now_ms, e);
    }
    if (x->state != EXECUTION_INSTALLING || x->suspect)
        return 0;
    int64_t verdict_at_ms = now_ms + x->policy.rollback_confirm_ms;
    x->suspect = true;
    if (!x->deadline_at_ms || verdict_at_ms < x->deadline_at_ms)
        x->deadline_at_ms = verdict_at_ms;
    struct stmt *s = db_stmt(w, Q_EXECUTION_SUSPECT);
    bind_int(s, ":id", x->id);
    bind_int(s, ":deadline_at_ms", x->deadline_at_ms);
    return stmt_run(s, NULL, e);
}

int execution_live_modules(struct db *db, int64_t device_id, const char *module,
                           struct live_module out[LIVE_MAX], size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_EXECUTION_LIVE_MODULE);
    bind_int(s, ":device_id", device_id);
    bind_text(s, ":module", module);
    bind_int(s, ":cap", LIVE_MAX);
    int rc;
    for (*n = 0; (rc = stmt_step(s, e)) > 0; (*n)++) {
        out[*n].id = col_int(s, 0);
        col_text(s, 1, out[*n].target, VERSION_SIZE);
        out[*n].ord = (int)col_int(s, 2);
        col_text(s, 3, out[*n].offered, VERSION_SIZE);
    }
    return rc;
}

/* A target of a testing module is done already and so not among live_modules: an old version there is a
 * rollback. */
static int testing_went_back(struct db *w, const struct party *p, const struct device_event *ev,
                             int64_t now_ms, struct err *e)
{
    struct execution live[LIVE_MAX];
    size_t n;
    int rc = execution_live(w, p->device_id, live, &n, e);
    if (rc < 0 || n == 0 || live[0].state != EXECUTION_TESTING)
        return rc;
    bool same = false;
    struct stmt *s = db_stmt(w, Q_EXECUTION_BRINGS);
    bind_int(s, ":id", live[0].id);
    bind_text(s, ":module", ev->module);
    rc = stmt_step(s, e);
    if (rc > 0)
        same = version_standing(p->scheme, ev->version, col_ptr(s, 0)) == STANDING_ON_TARGET;
    stmt_end(s);
    if (rc <= 0 || same)
        return rc < 0 ? rc : 0;
    s = db_stmt(w, Q_EXECUTION_MODULE_UNDO);
    bind_int(s, ":id", live[0].id);
    bind_text(s, ":module", ev->module);
    rc = stmt_run(s, NULL, e);
    return rc < 0 ? rc : other_version(w, &live[0], ev->version, now_ms, e);
}

static int on_inform(struct db *w, const struct party *p, const struct device_event *ev, int64_t now_ms,
                     struct err *e)
{
    bool changed = false, matched = false;
    struct live_module live[LIVE_MAX];
    size_t n = 0;
    int rc = device_version_set(w, p->device_id, ev->module, ev->version, false, now_ms, &changed, e);
    if (rc == 0 && changed)
        rc = timeline_add(w, p->device_id, now_ms, "version", 0, 0, e, "%s is %s", ev->module, ev->version);
    if (rc == 0)
        rc = execution_live_modules(w, p->device_id, ev->module, live, &n, e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct execution x;
        if ((rc = execution_get(w, live[i].id, &x, e)) < 0)
            break;
        if (version_standing(p->scheme, ev->version, live[i].target) == STANDING_ON_TARGET) {
            matched = true;
            rc = execution_module_done(w, p, &x, live[i].ord, now_ms, e);
        } else if (execution_is_active(x.state) && strcmp(live[i].offered, live[i].target) != 0 &&
                   version_standing(p->scheme, ev->version, live[i].offered) == STANDING_ON_TARGET) {
            matched = true;
            rc = execution_step_done(w, &x, live[i].ord, ev->version, now_ms, e);
        } else {
            rc = other_version(w, &x, ev->version, now_ms, e);
        }
    }
    if (rc == 0 && changed)
        rc = testing_went_back(w, p, ev, now_ms, e);
    if (rc == 0 && changed && !matched)
        rc = late_success(w, p->device_id, ev, now_ms, e);
    return rc;
}

/* The execution a report speaks of: by the id it echoes, else what is active. 1 found, 0 not. */
static int reported_execution(struct db *w, const struct party *p, int64_t id, struct execution *out,
                              struct err *e)
{
    struct execution live[LIVE_MAX];
    size_t n;
    if (id == 0) {
        int rc = execution_live(w, p->device_id, live, &n, e);
        if (rc < 0 || n == 0)
            return rc;
        *out = live[0];
        return execution_is_active(out->state);
    }
    int rc = execution_get(w, id, out, e);
    if (rc == -ERR_NOT_FOUND)
        return 0;
    return rc < 0 ? rc : out->device_id == p->device_id && execution_is_active(out->state);
}

/* What a device says of its execution; to: where it says that stands. *at_work: it goes on with it, and there
 * is nothing to offer or to find out (invariant 2). */
static int on_report(struct rollout *r, struct db *w, const struct party *p, const struct device_event *ev,
                     enum execution_state to, int64_t now_ms, bool *at_work, struct err *e)
{
    struct execution x = {0};
    int rc = reported_execution(w, p, ev->execution_id, &x, e);
    if (rc == 0)
        execution_ignored(r); /* invariants 1 and 4 */
    if (rc > 0)
        rc = execution_said(r, w, p, &x, to, false, ev, now_ms, e);
    *at_work = rc == 0 && execution_is_active(x.state) && !x.silent;
    return rc;
}

/* A device that is not registered: its first INFORM may register it. 1: it is registered now. */
static int welcome(struct rollout *r, struct db *w, struct party *p, const struct device_event *ev,
                   int64_t now_ms, struct err *e)
{
    if (ev->kind != EVENT_INFORM || !p->enrolment_open || !p->product_enabled ||
        !str_is_name(p->device, DEVICE_SIZE)) {
        if (ev->kind != EVENT_LOGIN && ev->kind != EVENT_READY)
            atomic_fetch_add(&r->refused, 1);
        return 0;
    }
    int rc = register_device(r, w, p, ev->over_session, now_ms, e);
    return rc < 0 ? rc : 1;
}

/* Who asks is answered, if only that nothing is due. */
static int answer_request(const struct party *p, const struct device_event *ev, int64_t now_ms,
                          struct outgoing *out, size_t *sends)
{
    if (*sends == 0) {
        outgoing_begin(out, OUTGOING_NOTHING, p, now_ms);
        *sends = 1;
    }
    out->reply = ev->reply;
    return 0;
}

/* Whoever says its version or asks is at nothing; who has merely come back may be at work all the same. */
static enum again again_after(const struct party *p, enum event_kind kind)
{
    if (kind == EVENT_INFORM || kind == EVENT_REQUEST)
        return AGAIN_BEGUN;
    if (kind == EVENT_READY)
        return p->begins_anew ? AGAIN_OFFERED : AGAIN_BEGUN;
    return AGAIN_NOTHING;
}

/* By a question, or by a poll, which is how devices without a session ask. */
static bool asks_by_itself(const struct device_event *ev)
{
    return ev->kind == EVENT_REQUEST || (ev->kind == EVENT_INFORM && !ev->over_session);
}

static int take(struct rollout *r, struct db *w, const struct party *p, const struct device_event *ev,
                int64_t now_ms, struct outgoing out[ROLLOUT_SENDS_MAX], size_t *sends, struct err *e)
{
    bool rejected = ev->reason == REASON_REJECTED, at_work = false;
    int rc = 0;
    switch (ev->kind) {
    case EVENT_JOB:
        return job_event(r, w, p, ev, now_ms, out, sends, e);
    case EVENT_INFORM:
        rc = on_inform(w, p, ev, now_ms, e);
        break;
    case EVENT_PROGRESS:
        rc = on_report(r, w, p, ev, ev->state, now_ms, &at_work, e);
        break;
    case EVENT_ERROR:
        rc = on_report(r, w, p, ev, rejected ? EXECUTION_REJECTED : EXECUTION_FAILED, now_ms, &at_work, e);
        break;
    default:
        break;
    }
    if (ev->more_follows || at_work)
        return rc;
    if (rc == 0 && again_after(p, ev->kind) != AGAIN_NOTHING)
        rc = execution_take_in(w, p, now_ms, e);
    if (rc == 0)
        rc = dispatch_device(r, w, p, again_after(p, ev->kind), asks_by_itself(ev), now_ms, out, sends, e);
    return rc == 0 && ev->kind == EVENT_REQUEST ? answer_request(p, ev, now_ms, out, sends) : rc;
}

/* A job is answered to whoever asks: not to know it and not to be known look the same. */
static int refuse(struct rollout *r, const struct device_event *ev, const struct party *p, int64_t now_ms,
                  struct outgoing *out, size_t *sends)
{
    atomic_fetch_add(&r->refused, 1);
    if (ev->kind == EVENT_JOB && p->keeps_jobs) {
        job_unknown(ev, p->protocol, now_ms, out);
        *sends = 1;
    }
    return 0;
}

int rollout_event(struct rollout *r, struct db *w, const struct device_event *ev, int64_t now_ms,
                  struct outgoing out[ROLLOUT_SENDS_MAX], size_t *sends, struct err *e)
{
    struct party p = {0};
    *sends = 0;
    if (ev->kind == EVENT_LOGIN)
        presence_reported(r->presence);
    int rc = party_get(w, ev->product, ev->device, &p, e);
    if (rc == 0 && !p.device_id && (rc = welcome(r, w, &p, ev, now_ms, e)) == 0)
        return 0;
    if (rc >= 0 && ev->kind == EVENT_LOGIN) { /* also of who is disabled: it may be enabled again */
        presence_sessions(r->presence, p.device_id, ev->sessions);
        return 0;
    }
    if (rc == -ERR_NOT_FOUND || (rc >= 0 && (!p.product_enabled || !p.device_enabled)))
        return refuse(r, ev, &p, now_ms, out, sends);
    if (rc < 0)
        return rc;
    presence_touch(r->presence, p.device_id, now_ms);
    p.takes_deltas = p.takes_deltas && !ev->full_only;
    return take(r, w, &p, ev, now_ms, out, sends, e);
}

int rollout_download(struct rollout *r, struct db *w, const struct device_event *ev, int64_t now_ms,
                     struct outgoing out[ROLLOUT_SENDS_MAX], size_t *sends, struct err *e)
{
    struct party p;
    *sends = 0;
    int rc = party_get(w, ev->product, ev->device, &p, e);
    if (rc == -ERR_NOT_FOUND || (rc == 0 && (!p.device_id || presence_connected(r->presence, p.device_id))))
        return 0;
    return rc < 0 ? rc : rollout_event(r, w, ev, now_ms, out, sends, e);
}
