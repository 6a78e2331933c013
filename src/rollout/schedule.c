/* What time brings: one call of the tick does a little of everything that is due. */
#include "rollout/scan.h"

#include "base/clock.h"
#include "base/log.h"
#include "rollout/damage.h"
#include "store/device.h"

#include <stdlib.h>

/* How much one call does of each kind: together far below the 50 ms that a transaction may take. */
#define CAMPAIGNS   64
#define CLOCKS      500
#define RETRIES     500
#define LOST_OFFERS 500
#define STRETCH_MS  15 /* of a large one */
#define MINUTE_MS   60000

/* After otad was away, devices and the broker have that long to tell what happened meanwhile before a clock
 * that ran then says that nothing did. */
#define GRACE_MS 60000

static int read_ids(struct stmt *s, int64_t ids[], size_t cap, size_t *n, struct err *e)
{
    int rc = 0;
    for (*n = 0; *n < cap && (rc = stmt_step(s, e)) > 0; (*n)++)
        ids[*n] = col_int(s, 0);
    stmt_end(s);
    return rc < 0 ? rc : 0;
}

static int move(struct db *w, int64_t campaign_id, enum campaign_state to,
                const struct campaign_change *change, int64_t now_ms, struct err *e)
{
    struct campaign c;
    int rc = campaign_get(w, campaign_id, &c, e);
    return rc < 0 ? rc : campaign_move(w, &c, to, change, now_ms, e);
}

/* A device that keeps jobs (AWS) hears when the one that it was at has ended without its doing. That is a
 * courtesy: where there is no room to say it, the device learns it when it speaks of the job again. */
static int tell_ended(struct rollout *r, struct db *w, int64_t device_id, int64_t now_ms, struct sink *sink,
                      struct err *e)
{
    struct party p;
    if (sink->n == sink->cap || !presence_there(r->presence, device_id, now_ms))
        return 0;
    int rc = party_get_id(w, device_id, &p, e);
    if (rc == 0 && p.keeps_jobs)
        outgoing_begin(&sink->out[sink->n++], OUTGOING_NOTHING, &p, now_ms);
    return rc;
}

/* In testing the device has ended its job itself. */
static bool is_at_work(const struct execution *x)
{
    return execution_is_active(x->state) && x->state != EXECUTION_TESTING;
}

/* Ends executions by id with one and the same change. sink NULL: nobody is told. */
static int end_all(struct rollout *r, struct db *w, const int64_t ids[], size_t n, enum execution_state to,
                   int64_t now_ms, struct sink *sink, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct execution x;
        if ((rc = execution_get(w, ids[i], &x, e)) < 0)
            break;
        struct change c = {.reason = REASON_NONE, .percent = x.percent, .attempt = x.attempt};
        bool tell = sink && is_at_work(&x);
        rc = execution_move(w, &x, to, &c, now_ms, e);
        if (rc == 0 && tell)
            rc = tell_ended(r, w, x.device_id, now_ms, sink, e);
    }
    return rc;
}

/* Devices that were freed by force may have something newer waiting, and nothing else would tell them. */
static int scan_product(struct rollout *r, struct db *w, int64_t product_id, struct err *e)
{
    int64_t ids[SCANS_MAX];
    size_t n;
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_OF_PRODUCT);
    bind_int(s, ":product_id", product_id);
    bind_int(s, ":cap", SCANS_MAX);
    int rc = read_ids(s, ids, SCANS_MAX, &n, e);
    for (size_t i = 0; i < n; i++)
        scan_campaign(r, ids[i]); /* one that does not run is left at once */
    return rc;
}

int rollout_device_changed(struct rollout *r, struct db *w, int64_t device_id, struct err *e)
{
    struct party p;
    for (size_t i = 0; i < r->changed.n; i++)
        if (r->changed.ids[i] == device_id)
            return 0;
    if (r->changed.n < CHANGED_MAX) {
        r->changed.ids[r->changed.n++] = device_id;
        return 0;
    }
    int rc = party_get_id(w, device_id, &p, e);
    return rc < 0 ? rc : scan_product(r, w, p.product_id, e);
}

static int read_waiting(struct db *w, int64_t campaign_id, struct waiting out[EXECUTION_PORTION], size_t *n,
                        struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_EXECUTION_TO_CANCEL);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":cap", EXECUTION_PORTION);
    int rc = 0;
    for (*n = 0; *n < EXECUTION_PORTION && (rc = stmt_step(s, e)) > 0; (*n)++)
        out[*n] = (struct waiting){.id = col_int(s, 0),
                                   .campaign_id = campaign_id,
                                   .wave = (int)col_int(s, 1),
                                   .state = (enum execution_state)col_int(s, 2)};
    return rc < 0 ? rc : 0;
}

static int read_active(struct db *w, int64_t campaign_id, int64_t ids[EXECUTION_PORTION], size_t *n,
                       struct err *e)
{
    struct stmt *s = db_stmt(w, Q_EXECUTION_TO_END);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":cap", EXECUTION_PORTION);
    return read_ids(s, ids, EXECUTION_PORTION, n, e);
}

/* What waits, and by force what is at work after it, until the time is over: then *left. */
static int end_stretch(struct rollout *r, struct db *w, const struct campaign *c, int64_t now_ms,
                       struct sink *sink, bool *left, struct err *e)
{
    struct waiting waiting[EXECUTION_PORTION];
    int64_t ids[EXECUTION_PORTION], end_ms = clock_mono_ms() + STRETCH_MS;
    size_t n = EXECUTION_PORTION;
    int rc = 0;
    while (rc == 0 && n == EXECUTION_PORTION && clock_mono_ms() < end_ms) {
        rc = read_waiting(w, c->id, waiting, &n, e);
        if (rc == 0)
            rc = execution_withdraw(w, waiting, n, EXECUTION_CANCELLED, "", now_ms, e);
    }
    *left = n == EXECUTION_PORTION;
    n = c->forced && !*left ? EXECUTION_PORTION : 0;
    while (rc == 0 && n == EXECUTION_PORTION && clock_mono_ms() < end_ms) {
        rc = read_active(w, c->id, ids, &n, e);
        if (rc == 0)
            rc = end_all(r, w, ids, n, EXECUTION_CANCELLED, now_ms, sink, e);
    }
    *left |= n == EXECUTION_PORTION;
    return rc;
}

static int cancel_step(struct rollout *r, struct db *w, int64_t campaign_id, int64_t now_ms,
                       struct sink *sink, bool *again, struct err *e)
{
    struct campaign c;
    bool left = false;
    int rc = campaign_get(w, campaign_id, &c, e);
    if (r->preparing.campaign_id == campaign_id)
        rollout_forget(r);
    if (rc == 0)
        rc = end_stretch(r, w, &c, now_ms, sink, &left, e);
    *again |= rc == 0 && left;
    if (rc < 0 || left)
        return rc;
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_FINISH);
    bind_int(s, ":id", campaign_id);
    bind_int(s, ":now_ms", now_ms);
    rc = stmt_run(s, NULL, e);
    return rc == 0 && c.forced ? scan_product(r, w, c.product_id, e) : rc;
}

int execution_remove_device(struct db *w, int64_t device_id, int64_t now_ms, struct err *e)
{
    int64_t ids[LIVE_MAX];
    size_t n;
    int rc;
    do {
        struct stmt *s = db_stmt(w, Q_EXECUTION_LIVE_OF_DEVICE);
        bind_int(s, ":device_id", device_id);
        rc = read_ids(s, ids, LIVE_MAX, &n, e);
        if (rc == 0)
            rc = end_all(NULL, w, ids, n, EXECUTION_REMOVED, now_ms, NULL, e);
    } while (rc == 0 && n == LIVE_MAX);
    return rc;
}

/* ---- the round over campaigns */

struct live {
    int64_t id;
    enum campaign_state state;
    int64_t start_at_ms, end_at_ms;
    bool dynamic;
    int wave;
    int64_t queued_to;
    bool has_live; /* executions that are not over */
};

static int read_round(struct rollout *r, struct db *w, struct live out[CAMPAIGNS], size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_CAMPAIGN_ROUND);
    bind_int(s, ":after_id", r->campaigns_after);
    bind_int(s, ":cap", CAMPAIGNS);
    int rc = 0;
    for (*n = 0; *n < CAMPAIGNS && (rc = stmt_step(s, e)) > 0; (*n)++)
        out[*n] = (struct live){.id = col_int(s, 0),
                                .state = (enum campaign_state)campaign_state_parse(col_ptr(s, 1)),
                                .start_at_ms = col_int(s, 2),
                                .end_at_ms = col_int(s, 3),
                                .dynamic = col_int(s, 4),
                                .wave = (int)col_int(s, 5),
                                .queued_to = col_int(s, 6),
                                .has_live = col_int(s, 7)};
    return rc < 0 ? rc : 0;
}

/* Its rows are made: it runs, unless an operator has yet to say yes. */
static int begin_running(struct rollout *r, struct db *w, struct campaign *c, int64_t now_ms, struct err *e)
{
    static const struct campaign_change approval = {.cause = "approval",
                                                    .reason = "its devices are chosen; resume it to begin"};
    int rc = c->policy.replace ? scan_product(r, w, c->product_id, e) : 0; /* it has freed devices too */
    if (rc == 0 && (rc = damage_check_campaign(w, c->id, e)) == -ERR_CONFLICT) {
        struct err found = *e;
        struct campaign_change damage = {.cause = "damage", .reason = found.text};
        return campaign_move(w, c, CAMPAIGN_PAUSED, &damage, now_ms, e);
    }
    if (rc == 0 && c->policy.confirm == CONFIRM_OPERATOR)
        return campaign_move(w, c, CAMPAIGN_PAUSED, &approval, now_ms, e);
    if (rc == 0)
        rc = campaign_move(w, c, CAMPAIGN_RUNNING, NULL, now_ms, e);
    if (rc == 0)
        rc = wave_begin(w, c->id, 0, now_ms, e);
    if (rc == 0)
        rc = wave_queued(w, c->id, INT64_MAX, e); /* wave 0 was queued as it was made */
    scan_campaign(r, c->id);
    return rc;
}

static int step_preparing(struct rollout *r, struct db *w, int64_t id, int64_t now_ms, struct err *e)
{
    struct campaign c;
    bool done = false;
    int rc = campaign_get(w, id, &c, e);
    if (rc == 0)
        rc = prepare_step(r, w, &c, now_ms, &done, e);
    return rc == 0 && done ? begin_running(r, w, &c, now_ms, e) : rc;
}

static int step_running(struct rollout *r, struct db *w, const struct live *l, int64_t now_ms, bool *again,
                        struct err *e)
{
    struct campaign c;
    if (!l->has_live && !l->dynamic && l->queued_to == INT64_MAX)
        return move(w, l->id, CAMPAIGN_COMPLETED, NULL, now_ms, e);
    int rc = wave_step(r, w, l->id, l->wave, l->queued_to, now_ms, again, e);
    if (rc < 0 || floor_div(now_ms, MINUTE_MS) == floor_div(r->ticked_ms, MINUTE_MS))
        return rc;
    rc = campaign_get(w, l->id, &c, e);
    if (rc == 0)
        scan_windows(r, &c, r->ticked_ms, now_ms);
    return rc;
}

static int step_campaign(struct rollout *r, struct db *w, const struct live *l, int64_t now_ms,
                         struct sink *sink, bool *large, bool *again, struct err *e)
{
    static const struct campaign_change over = {.cause = "end", .reason = "its end_at has come"};
    if (l->state != CAMPAIGN_CANCELLED && l->end_at_ms && l->end_at_ms <= now_ms) {
        *again = true;
        return move(w, l->id, CAMPAIGN_CANCELLED, &over, now_ms, e);
    }
    if (l->state == CAMPAIGN_SCHEDULED && l->start_at_ms <= now_ms) {
        *again = true;
        return move(w, l->id, CAMPAIGN_PREPARING, NULL, now_ms, e);
    }
    if (l->state == CAMPAIGN_RUNNING)
        return step_running(r, w, l, now_ms, again, e);
    if (l->state != CAMPAIGN_PREPARING && l->state != CAMPAIGN_CANCELLED)
        return 0;
    if (*large) { /* one large step a call: the writer has others to serve */
        *again = true;
        return 0;
    }
    *large = true;
    if (l->state == CAMPAIGN_CANCELLED)
        return cancel_step(r, w, l->id, now_ms, sink, again, e);
    *again = true;
    return step_preparing(r, w, l->id, now_ms, e);
}

/* A stretch of the round; the next call goes on behind it, the one after its end begins anew. */
static int step_campaigns(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again,
                          struct err *e)
{
    struct live live[CAMPAIGNS];
    size_t n;
    bool large = false;
    int rc = read_round(r, w, live, &n, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = step_campaign(r, w, &live[i], now_ms, sink, &large, again, e);
    if (rc < 0)
        return rc;
    *again |= n == CAMPAIGNS;
    r->campaigns_after = n == CAMPAIGNS ? live[n - 1].id : 0;
    if (n < CAMPAIGNS)
        r->ticked_ms = now_ms;
    return 0;
}

/* ---- clocks of executions, and of devices */

/* Who has rested long enough may be offered what waits. */
static int end_quarantines(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again,
                           struct err *e)
{
    int64_t ids[RETRIES];
    size_t n = 0;
    int rc = device_quarantined(w, now_ms, ids, RETRIES, &n, e);
    for (size_t i = 0; i < n && rc == 0 && sink->n < sink->cap; i++) {
        rc = device_failures_set(w, ids[i], 0, 0, e);
        if (rc == 0)
            rc = timeline_add(w, ids[i], now_ms, "quarantine", 0, 0, e, "is over");
        if (rc == 0)
            rc = offer_to(r, w, ids[i], now_ms, sink, e);
    }
    *again |= n == RETRIES;
    return rc;
}

static int end_clocks(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again,
                      struct err *e)
{
    int64_t ids[CLOCKS];
    size_t n;
    int64_t since_ms = presence_listens_since(r->presence);
    if (since_ms == INT64_MAX)
        return 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_DEADLINES);
    bind_int(s, ":now_ms", now_ms);
    bind_int(s, ":moved_after_ms", now_ms < since_ms + GRACE_MS ? since_ms : 0);
    bind_int(s, ":cap", CLOCKS);
    int rc = read_ids(s, ids, CLOCKS, &n, e);
    for (size_t i = 0; i < n && rc == 0 && sink->n < sink->cap; i++) { /* else nobody tells who is free now */
        struct execution x;
        size_t before = sink->n;
        if ((rc = execution_get(w, ids[i], &x, e)) < 0)
            break;
        bool tell = is_at_work(&x);
        rc = execution_clock_ended(r, w, &x, now_ms, e);
        if (rc == 0)
            rc = offer_to(r, w, x.device_id, now_ms, sink, e);
        if (rc == 0 && tell && sink->n == before)
            rc = tell_ended(r, w, x.device_id, now_ms, sink, e);
    }
    *again |= n == CLOCKS;
    return rc;
}

static int wake_retries(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again,
                        struct err *e)
{
    struct {
        int64_t id, device_id;
    } due[RETRIES];
    size_t n = 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_RETRIES_DUE);
    bind_int(s, ":now_ms", now_ms);
    bind_int(s, ":cap", RETRIES);
    int rc = 0;
    for (; n < RETRIES && (rc = stmt_step(s, e)) > 0; n++) {
        due[n].id = col_int(s, 0);
        due[n].device_id = col_int(s, 1);
    }
    stmt_end(s);
    for (size_t i = 0; i < n && rc >= 0 && sink->n < sink->cap; i++) {
        s = db_stmt(w, Q_EXECUTION_DUE_NOW);
        bind_int(s, ":id", due[i].id);
        rc = stmt_run(s, NULL, e);
        if (rc == 0)
            rc = offer_to(r, w, due[i].device_id, now_ms, sink, e);
    }
    *again |= n == RETRIES;
    return rc < 0 ? rc : 0;
}

static int offer_once_more(struct rollout *r, struct db *w, int64_t device_id, int64_t now_ms,
                           struct sink *sink, struct err *e)
{
    struct party p;
    size_t sends = 0;
    int rc = party_get_id(w, device_id, &p, e);
    if (rc == 0)
        rc = dispatch_device(r, w, &p, AGAIN_OFFERED, false, now_ms, &sink->out[sink->n], &sends, e);
    sink->n += rc == 0 ? sends : 0;
    return rc;
}

/* After each beginning of a link without the plugin, whose READY would do it. */
static int repeat_lost(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again,
                       struct err *e)
{
    int64_t since_ms = presence_listens_since(r->presence), ids[LOST_OFFERS], devices[LOST_OFFERS];
    size_t n = 0, done = 0;
    int rc = 0;
    if (since_ms == INT64_MAX || since_ms == r->lost.since_ms || !presence_guesses(r->presence))
        return 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_OFFERED);
    bind_int(s, ":until_ms", since_ms);
    bind_int(s, ":after_id", r->lost.after_id);
    bind_int(s, ":cap", LOST_OFFERS);
    for (; n < LOST_OFFERS && (rc = stmt_step(s, e)) > 0; n++) {
        ids[n] = col_int(s, 0);
        devices[n] = col_int(s, 1);
    }
    stmt_end(s);
    for (rc = rc < 0 ? rc : 0; done < n && rc == 0 && sink->n < sink->cap; done++) {
        rc = offer_once_more(r, w, devices[done], now_ms, sink, e);
        r->lost.after_id = ids[done];
    }
    if (rc == 0 && done == n && n < LOST_OFFERS) {
        r->lost.since_ms = since_ms;
        r->lost.after_id = 0;
    } else {
        *again = true;
    }
    return rc;
}

struct rollout_marks rollout_marks(const struct rollout *r)
{
    return (struct rollout_marks){r->scans, r->changed, r->lost, r->campaigns_after, r->ticked_ms};
}

static void put_hours_back(struct rollout *r, const struct rollout_marks *m)
{
    r->lost = m->lost;
    r->campaigns_after = m->campaigns_after;
    r->ticked_ms = m->ticked_ms;
}

/* Nobody has asked for anything since. */
static void put_back(struct rollout *r, const struct rollout_marks *m)
{
    r->scans = m->scans;
    r->changed = m->changed;
    put_hours_back(r, m);
}

int rollout_untick(struct rollout *r, struct db *w, const struct rollout_marks *before, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < before->scans.n; i++)
        scan_campaign(r, before->scans.at[i].campaign_id);
    for (size_t i = 0; i < before->changed.n && rc == 0; i++)
        rc = rollout_device_changed(r, w, before->changed.ids[i], e);
    if (rc == 0)
        put_hours_back(r, before);
    return rc;
}

int rollout_tick(struct rollout *r, struct db *w, int64_t now_ms, struct outgoing out[], size_t cap,
                 size_t *n, bool *again, struct err *e)
{
    struct sink sink = {.out = out, .cap = cap};
    const struct rollout_marks before = rollout_marks(r);
    *again = false;
    int rc = step_campaigns(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = end_clocks(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = wake_retries(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = end_quarantines(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = offer_changed(r, w, now_ms, &sink, e);
    if (rc == 0)
        rc = repeat_lost(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = scan_step(r, w, now_ms, &sink, again, e);
    for (size_t i = 0; rc < 0 && i < sink.n; i++)
        outgoing_clear(&out[i]);
    if (rc < 0)
        put_back(r, &before);
    *n = rc == 0 ? sink.n : 0;
    return rc;
}
