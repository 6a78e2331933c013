#include "rollout/execution.h"

#include "base/version.h"
#include "rollout/pace.h"
#include "rollout/threshold.h"
#include "store/device.h"

#include <stdio.h>
#include <string.h>

#define BIT(state) (1u << (state))
#define STEPS_MAX  16 /* stepping stones that a module of one execution may reach */
#define WITHDRAWN  (BIT(EXECUTION_CANCELLED) | BIT(EXECUTION_SUPERSEDED) | BIT(EXECUTION_REMOVED))
#define ENDED                                                                               \
    (WITHDRAWN | BIT(EXECUTION_QUEUED) | BIT(EXECUTION_SUCCEEDED) | BIT(EXECUTION_FAILED) | \
     BIT(EXECUTION_TIMED_OUT) | BIT(EXECUTION_REJECTED) | BIT(EXECUTION_ROLLED_BACK))

/* The legal moves of the diagram; a final state has none (invariant 1). */
static const unsigned legal[EXECUTION_STATES] = {
    [EXECUTION_PENDING] = BIT(EXECUTION_QUEUED) | BIT(EXECUTION_SUCCEEDED) | WITHDRAWN,
    [EXECUTION_QUEUED] =
        BIT(EXECUTION_OFFERED) | BIT(EXECUTION_QUEUED) | BIT(EXECUTION_SUCCEEDED) | WITHDRAWN,
    [EXECUTION_OFFERED] = BIT(EXECUTION_DOWNLOADING) | BIT(EXECUTION_DOWNLOADED) | BIT(EXECUTION_INSTALLING) |
                          BIT(EXECUTION_TESTING) | ENDED,
    [EXECUTION_DOWNLOADING] =
        BIT(EXECUTION_DOWNLOADED) | BIT(EXECUTION_INSTALLING) | BIT(EXECUTION_TESTING) | ENDED,
    [EXECUTION_DOWNLOADED] = BIT(EXECUTION_INSTALLING) | BIT(EXECUTION_TESTING) | ENDED,
    [EXECUTION_INSTALLING] = BIT(EXECUTION_TESTING) | ENDED,
    [EXECUTION_TESTING] = ENDED,
};

bool execution_may_move(enum execution_state from, enum execution_state to)
{
    return (legal[from] & BIT(to)) != 0;
}

enum standing version_standing(enum version_scheme scheme, const char *has, const char *target)
{
    int order;
    if (strcmp(has, target) == 0)
        return STANDING_ON_TARGET;
    if (!*has || !version_compare(scheme, has, target, &order))
        return STANDING_UNKNOWN;
    return order < 0 ? STANDING_BELOW : order > 0 ? STANDING_ABOVE : STANDING_ON_TARGET;
}

static int party_read(struct stmt *s, const char *product, const char *device, struct party *out,
                      struct err *e)
{
    int rc = stmt_step(s, e);
    if (rc == 0)
        rc = err_field(e, ERR_NOT_FOUND, "product", "there is no product \"%s\"", product);
    if (rc > 0) {
        *out = (struct party){
            .product_id = col_int(s, 0),
            .product_enabled = col_int(s, 1),
            .enrolment_open = col_int(s, 2),
            .success_by_report = col_int(s, 5),
            .device_id = col_int(s, 6),
            .device_enabled = col_int(s, 7),
            .device_paused = col_int(s, 8),
            .keeps_jobs = col_int(s, 11),
            .begins_anew = col_int(s, 12),
            .takes_deltas = col_int(s, 13),
            .failures = col_int(s, 15),
            .quarantine_until_ms = col_int(s, 16),
        };
        col_text(s, 14, out->pinned, sizeof out->pinned);
        col_text(s, 3, out->protocol, sizeof out->protocol);
        int scheme = version_scheme_parse(col_ptr(s, 4));
        out->scheme = scheme < 0 ? VERSION_DOTTED : (enum version_scheme)scheme;
        col_text(s, 9, out->product, sizeof out->product);
        if (out->device_id)
            col_text(s, 10, out->device, sizeof out->device);
        else
            str_copy(out->device, sizeof out->device, device);
        rc = 0;
    }
    stmt_end(s);
    return rc;
}

int party_get(struct db *db, const char *product, const char *device, struct party *out, struct err *e)
{
    struct stmt *s = db_stmt(db, *product ? Q_PARTY_GET : Q_PARTY_GET_THING);
    if (*product)
        bind_text(s, ":product", product);
    bind_text(s, ":device", device);
    return party_read(s, product, device, out, e);
}

int party_get_id(struct db *db, int64_t device_id, struct party *out, struct err *e)
{
    struct stmt *s = db_stmt(db, Q_PARTY_GET_ID);
    bind_int(s, ":id", device_id);
    return party_read(s, "", "", out, e);
}

static int execution_read(struct stmt *s, struct execution *x, struct err *e)
{
    int campaign_state = campaign_state_parse(col_ptr(s, 12));
    *x = (struct execution){
        .id = col_int(s, 0),
        .campaign_id = col_int(s, 1),
        .device_id = col_int(s, 2),
        .wave = (int)col_int(s, 3),
        .state = (enum execution_state)col_int(s, 4),
        .percent = (int)col_int(s, 5),
        .attempt = (int)col_int(s, 6),
        .suspect = col_int(s, 7),
        .due_at_ms = col_int(s, 8),
        .deadline_at_ms = col_int(s, 9),
        .started_at_ms = col_int(s, 10),
        .updated_at_ms = col_int(s, 11),
        .campaign_state = (enum campaign_state)campaign_state,
        .offered_at_ms = col_int(s, 14),
        .silent = col_int(s, 15),
    };
    return policy_load(col_ptr(s, 13), &x->policy, e);
}

int execution_get(struct db *db, int64_t id, struct execution *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_EXECUTION_GET);
    bind_int(s, ":id", id);
    int rc = stmt_step(s, e);
    if (rc == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no execution %lld", (long long)id);
    return rc < 0 ? rc : execution_read(s, out, e);
}

int execution_of_device(struct db *db, int64_t campaign_id, int64_t device_id, struct execution *out,
                        struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_EXECUTION_OF_DEVICE);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":device_id", device_id);
    int rc = stmt_step(s, e);
    if (rc <= 0)
        return rc;
    rc = execution_read(s, out, e);
    return rc < 0 ? rc : 1;
}

int execution_live(struct db *db, int64_t device_id, struct execution out[LIVE_MAX], size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_EXECUTION_LIVE);
    bind_int(s, ":device_id", device_id);
    bind_int(s, ":cap", LIVE_MAX);
    size_t found = 0;
    int rc;
    while ((rc = stmt_step(s, e)) > 0)
        if ((rc = execution_read(s, &out[found++], e)) < 0)
            return rc;
    if (rc == 0)
        *n = found;
    return rc;
}

int wave_count_add(struct db *w, int64_t campaign_id, int wave, enum execution_state state, int64_t n,
                   struct err *e)
{
    struct stmt *s = db_stmt(w, Q_WAVE_COUNT_ADD);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":wave", wave);
    bind_int(s, ":state", state);
    bind_int(s, ":n", n);
    return stmt_run(s, NULL, e);
}

static int set_active(struct db *w, const struct execution *x, bool active, struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_MODULE_ACTIVATE);
    bind_int(s, ":id", x->id);
    bind_int(s, ":active", active);
    return stmt_run(s, NULL, e);
}

static int write_move(struct db *w, const struct execution *x, enum execution_state to,
                      const struct change *c, int64_t started_at_ms, int64_t now_ms, struct err *e)
{
    int64_t changed;
    struct stmt *s = db_stmt(w, Q_EXECUTION_MOVE);
    bind_int(s, ":id", x->id);
    bind_int(s, ":from", x->state);
    bind_int(s, ":to", to);
    bind_int(s, ":percent", c->percent);
    bind_int(s, ":attempt", c->attempt);
    bind_text(s, ":reason", reason_word(c->reason));
    bind_text(s, ":detail", c->detail ? c->detail : "");
    bind_int(s, ":due_at_ms", c->due_at_ms);
    if (c->deadline_at_ms)
        bind_int(s, ":deadline_at_ms", c->deadline_at_ms);
    bind_int(s, ":started_at_ms", started_at_ms);
    bind_int(s, ":now_ms", now_ms);
    int rc = stmt_run(s, &changed, e);
    if (rc == 0 && changed != 1)
        rc = err_set(e, ERR_INTERNAL, "execution %lld is not %s any more", (long long)x->id,
                     execution_state_word(x->state));
    return rc;
}

static int tell_move(struct db *w, const struct execution *x, enum execution_state to, const struct change *c,
                     int64_t now_ms, struct err *e)
{
    const char *reason = reason_word(c->reason);
    const char *detail = c->detail ? c->detail : "";
    return timeline_add(w, x->device_id, now_ms, "state", x->campaign_id, x->id, e, "%s -> %s%s%s%s%s",
                        execution_state_word(x->state), execution_state_word(to), *reason ? ", " : "", reason,
                        *detail ? ": " : "", detail);
}

/* Executions that end badly one after the other, across campaigns, tell of the device. */
static int count_failure(struct db *w, const struct execution *x, int64_t now_ms, struct err *e)
{
    bool good = x->state == EXECUTION_SUCCEEDED;
    bool bad =
        x->state == EXECUTION_FAILED || x->state == EXECUTION_TIMED_OUT || x->state == EXECUTION_ROLLED_BACK;
    if (x->attempt == 0 || (!good && !bad))
        return 0;
    int64_t failures = 0, until_ms = 0;
    struct stmt *s = db_stmt(w, Q_DEVICE_FAILURES_GET);
    bind_int(s, ":id", x->device_id);
    int rc = stmt_step(s, e);
    if (rc > 0)
        failures = col_int(s, 0);
    stmt_end(s);
    if (rc <= 0 || (good && failures == 0))
        return rc < 0 ? rc : 0;
    failures = good ? 0 : failures + 1;
    if (bad && x->policy.quarantine_after && failures >= x->policy.quarantine_after)
        until_ms = now_ms + x->policy.quarantine_for_ms;
    rc = device_failures_set(w, x->device_id, failures, until_ms, e);
    if (rc == 0 && until_ms)
        rc = timeline_add(w, x->device_id, now_ms, "quarantine", x->campaign_id, x->id, e,
                          "begins: %lld campaigns in a row have failed", (long long)failures);
    return rc;
}

/* What an end means for the device and for the campaign. */
static int on_end(struct db *w, struct execution *x, int64_t now_ms, struct err *e)
{
    int rc = count_failure(w, x, now_ms, e);
    if (rc < 0)
        return rc;
    return threshold_check(w, x->campaign_id, x->wave, x->state, &x->policy, &x->campaign_state, now_ms, e);
}

int execution_heard(struct db *w, struct execution *x, struct err *e)
{
    if (!x->silent)
        return 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_SILENT);
    bind_int(s, ":id", x->id);
    bind_int(s, ":silent", 0);
    int rc = stmt_run(s, NULL, e);
    if (rc == 0)
        rc = pace_silent(w, x->campaign_id, -1, e);
    x->silent = false;
    return rc;
}

int execution_move(struct db *w, struct execution *x, enum execution_state to, const struct change *c,
                   int64_t now_ms, struct err *e)
{
    if (!execution_may_move(x->state, to))
        return err_set(e, ERR_INTERNAL, "execution %lld cannot go from %s to %s", (long long)x->id,
                       execution_state_word(x->state), execution_state_word(to));
    bool was_active = execution_is_active(x->state), is_active = execution_is_active(to);
    int64_t started_at_ms = x->started_at_ms;
    if (to == EXECUTION_QUEUED || to == EXECUTION_OFFERED)
        started_at_ms = 0;
    else if (is_active && !started_at_ms)
        started_at_ms = now_ms;

    int rc = write_move(w, x, to, c, started_at_ms, now_ms, e);
    if (rc == 0 && was_active != is_active)
        rc = set_active(w, x, is_active, e);
    if (rc == 0 && to != x->state)
        rc = wave_count_add(w, x->campaign_id, x->wave, x->state, -1, e);
    if (rc == 0 && to != x->state)
        rc = wave_count_add(w, x->campaign_id, x->wave, to, 1, e);
    if (rc == 0 && x->silent)
        rc = pace_silent(w, x->campaign_id, -1, e);
    if (rc == 0)
        rc = tell_move(w, x, to, c, now_ms, e);
    if (rc < 0)
        return rc;
    x->silent = false;
    x->state = to;
    x->percent = c->percent;
    x->attempt = c->attempt;
    x->suspect = false;
    x->due_at_ms = c->due_at_ms;
    x->deadline_at_ms = c->deadline_at_ms;
    x->started_at_ms = started_at_ms;
    x->offered_at_ms = to == EXECUTION_OFFERED ? now_ms : x->offered_at_ms;
    x->updated_at_ms = now_ms;
    return execution_is_final(to) ? on_end(w, x, now_ms, e) : 0;
}

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
