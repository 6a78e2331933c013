#include "rollout/execution.h"

#include "base/version.h"
#include "rollout/pace.h"
#include "rollout/threshold.h"
#include "store/device.h"

#include <stdio.h>
#include <string.h>

#define BIT(state) (1u << (state))
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

static bool comes_before(const struct execution *a, const struct execution *b)
{
    bool a_active = execution_is_active(a->state), b_active = execution_is_active(b->state);
    return a_active != b_active ? a_active : a->campaign_id > b->campaign_id;
}

/* What comes last falls out where all places are taken. */
static void put_in_order(struct execution out[LIVE_MAX], size_t *n, const struct execution *x)
{
    size_t at = *n;
    while (at > 0 && comes_before(x, &out[at - 1]))
        at--;
    if (at == LIVE_MAX)
        return;
    if (*n < LIVE_MAX)
        ++*n;
    memmove(&out[at + 1], &out[at], (*n - at - 1) * sizeof *out);
    out[at] = *x;
}

/* Ordered here: for a row or two SQLite would make a table, which takes longer than all else. */
int execution_live(struct db *db, int64_t device_id, struct execution out[LIVE_MAX], size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_EXECUTION_LIVE);
    struct execution x;
    size_t found = 0;
    int rc;
    bind_int(s, ":device_id", device_id);
    while ((rc = stmt_step(s, e)) > 0) {
        if ((rc = execution_read(s, &x, e)) < 0)
            return rc;
        put_in_order(out, &found, &x);
    }
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
    if (rc == 0 && (x->offered_at_ms > 0 || !(BIT(to) & WITHDRAWN))) /* else the device never heard of it */
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
