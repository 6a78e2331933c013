#include "rollout/execution.h"

#include "base/json.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* How much one call does of each kind: together far below the 50 ms that a transaction may take. */
#define PREPARE_DEVICES 1000
#define CLOCKS          500
#define RETRIES         500
#define SCAN_DEVICES    2000
#define CANCELS         1000
#define LOST_OFFERS     500

/* After otad was away, devices and the broker have that long to tell what happened meanwhile before a clock
 * that ran then says that nothing did. */
#define GRACE_MS 60000

/* Where offers of a tick go. */
struct sink {
    struct outgoing *out;
    size_t cap, n;
};

static void scan_remove(struct rollout *r, size_t i)
{
    r->scans.at[i] = r->scans.at[--r->scans.n];
}

static int read_ids(struct stmt *s, int64_t ids[], size_t cap, size_t *n, struct err *e)
{
    int rc = 0;
    for (*n = 0; *n < cap && (rc = stmt_step(s, e)) > 0; (*n)++)
        ids[*n] = col_int(s, 0);
    stmt_end(s);
    return rc < 0 ? rc : 0;
}

static int load_modules(struct db *w, int64_t campaign_id, struct campaign_module out[CAMPAIGN_FIRMWARE_MAX],
                        size_t *n, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(w, Q_CAMPAIGN_FIRMWARE_VERSIONS);
    bind_int(s, ":id", campaign_id);
    int rc = 0;
    for (*n = 0; *n < CAMPAIGN_FIRMWARE_MAX && (rc = stmt_step(s, e)) > 0; (*n)++) {
        struct campaign_module *m = &out[*n];
        m->ord = (int)col_int(s, 0);
        col_text(s, 1, m->module, sizeof m->module);
        m->firmware_id = col_int(s, 2);
        col_text(s, 3, m->version, sizeof m->version);
    }
    return rc < 0 ? rc : 0;
}

/* The next devices of the campaign's target, by what it stores as JSON. */
static int target_devices(struct db *w, const struct campaign *c, int64_t ids[PREPARE_DEVICES], size_t *n,
                          struct err *e)
{
    char *text = NULL;
    json_t *target = NULL;
    int rc = campaign_target(w, c->id, &text, e);
    if (rc == 0)
        rc = json_parse(text, strlen(text), &target, e);
    free(text);
    if (rc < 0)
        return rc;
    const json_t *devices = json_object_get(target, "devices"), *tags = json_object_get(target, "tags");
    char *devices_text = devices ? json_text(devices) : NULL, *tags_text = tags ? json_text(tags) : NULL;
    struct stmt *s = db_stmt(w, Q_TARGET_DEVICES);
    bind_int(s, ":product_id", c->product_id);
    bind_int(s, ":after_id", c->prepared_to);
    bind_text(s, ":devices", devices_text);
    bind_text(s, ":tags", tags_text);
    bind_int(s, ":cap", PREPARE_DEVICES);
    rc = read_ids(s, ids, PREPARE_DEVICES, n, e);
    free(devices_text);
    free(tags_text);
    json_decref(target);
    return rc;
}

static int prepare_step(struct rollout *r, struct db *w, int64_t campaign_id, int64_t now_ms, bool *again,
                        struct err *e)
{
    struct campaign c;
    struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX];
    int64_t ids[PREPARE_DEVICES];
    size_t module_count = 0, n = 0;
    int rc = campaign_get(w, campaign_id, &c, e);
    if (rc == 0)
        rc = load_modules(w, campaign_id, modules, &module_count, e);
    if (rc == 0)
        rc = target_devices(w, &c, ids, &n, e);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = execution_create(w, &c, c.scheme, modules, module_count, ids[i], now_ms, e);
    if (rc == 0 && n > 0) {
        struct stmt *s = db_stmt(w, Q_CAMPAIGN_PREPARED);
        bind_int(s, ":id", campaign_id);
        bind_int(s, ":device_id", ids[n - 1]);
        rc = stmt_run(s, NULL, e);
    }
    if (rc == 0 && n < PREPARE_DEVICES) {
        rc = campaign_move(r, w, &c, CAMPAIGN_RUNNING, "", false, now_ms, e);
        log_info("campaign %lld \"%s\" is running", (long long)c.id, c.name);
    }
    *again = true;
    return rc;
}

static int complete_if_done(struct rollout *r, struct db *w, int64_t campaign_id, int64_t now_ms,
                            struct err *e)
{
    struct campaign c;
    struct campaign_counts counts;
    int rc = campaign_counts(w, campaign_id, &counts, e);
    if (rc < 0 || counts.final < counts.total)
        return rc;
    rc = campaign_get(w, campaign_id, &c, e);
    if (rc == 0)
        rc = campaign_move(r, w, &c, CAMPAIGN_COMPLETED, "", false, now_ms, e);
    if (rc == 0)
        log_info("campaign %lld \"%s\" is completed: %lld of %lld succeeded", (long long)c.id, c.name,
                 (long long)counts.n[EXECUTION_SUCCEEDED], (long long)counts.total);
    return rc;
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
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_RUNNING);
    bind_int(s, ":product_id", product_id);
    int rc = read_ids(s, ids, SCANS_MAX, &n, e);
    for (size_t i = 0; i < n; i++)
        campaign_scan(r, ids[i]);
    return rc;
}

static int cancel_step(struct rollout *r, struct db *w, int64_t campaign_id, int64_t now_ms,
                       struct sink *sink, bool *again, struct err *e)
{
    struct campaign c;
    int64_t ids[CANCELS];
    size_t n;
    int rc = campaign_get(w, campaign_id, &c, e);
    if (rc < 0)
        return rc;
    struct stmt *s = db_stmt(w, c.forced ? Q_EXECUTION_TO_END : Q_EXECUTION_TO_CANCEL);
    bind_int(s, ":campaign_id", campaign_id);
    bind_int(s, ":cap", CANCELS);
    rc = read_ids(s, ids, CANCELS, &n, e);
    if (rc == 0)
        rc = end_all(r, w, ids, n, EXECUTION_CANCELLED, now_ms, sink, e);
    if (rc == 0 && n == CANCELS)
        *again = true;
    if (rc == 0 && n < CANCELS) {
        s = db_stmt(w, Q_CAMPAIGN_FINISH);
        bind_int(s, ":id", campaign_id);
        bind_int(s, ":now_ms", now_ms);
        rc = stmt_run(s, NULL, e);
    }
    if (rc == 0 && n < CANCELS && c.forced)
        rc = scan_product(r, w, c.product_id, e);
    return rc;
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

static int step_campaigns(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again,
                          struct err *e)
{
    struct {
        int64_t id;
        enum campaign_state state;
    } live[256];
    size_t n = 0;
    struct stmt *s = db_stmt(w, Q_CAMPAIGN_LIVE);
    int rc = 0;
    for (; n < ARRAY_SIZE(live) && (rc = stmt_step(s, e)) > 0; n++) {
        live[n].id = col_int(s, 0);
        live[n].state = (enum campaign_state)campaign_state_parse(col_ptr(s, 1));
    }
    stmt_end(s);
    bool stepped = false; /* one large step a call: the writer has others to serve */
    for (size_t i = 0; i < n && rc >= 0; i++) {
        if (live[i].state == CAMPAIGN_RUNNING) {
            rc = complete_if_done(r, w, live[i].id, now_ms, e);
        } else if (stepped) {
            *again = true;
        } else {
            stepped = true;
            rc = live[i].state == CAMPAIGN_PREPARING ? prepare_step(r, w, live[i].id, now_ms, again, e)
                                                     : cancel_step(r, w, live[i].id, now_ms, sink, again, e);
        }
    }
    return rc < 0 ? rc : 0;
}

/* Offers to a device that is there; one that is away costs nothing (invariant 10). */
static int offer_to(struct rollout *r, struct db *w, int64_t device_id, int64_t now_ms, struct sink *sink,
                    struct err *e)
{
    struct party p;
    size_t sends = 0;
    if (sink->n == sink->cap || !presence_there(r->presence, device_id, now_ms))
        return 0;
    int rc = party_get_id(w, device_id, &p, e);
    if (rc == 0)
        rc = dispatch_device(r, w, &p, AGAIN_NOTHING, now_ms, &sink->out[sink->n], &sends, e);
    if (rc == 0)
        sink->n += sends;
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
    for (size_t i = 0; i < n && rc == 0; i++) {
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
        rc = dispatch_device(r, w, &p, AGAIN_OFFERED, now_ms, &sink->out[sink->n], &sends, e);
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
        *again |= sink->n < sink->cap;
    }
    return rc;
}

/* One stretch of one campaign's queued devices. */
static int scan_step(struct rollout *r, struct db *w, int64_t now_ms, struct sink *sink, bool *again,
                     struct err *e)
{
    int64_t ids[SCAN_DEVICES];
    size_t n;
    if (r->scans.n == 0 || sink->n == sink->cap)
        return 0;
    struct stmt *s = db_stmt(w, Q_EXECUTION_QUEUED);
    bind_int(s, ":campaign_id", r->scans.at[0].campaign_id);
    bind_int(s, ":after_device_id", r->scans.at[0].after_device_id);
    bind_int(s, ":cap", SCAN_DEVICES);
    int rc = read_ids(s, ids, SCAN_DEVICES, &n, e);
    size_t done = 0;
    for (; done < n && rc == 0 && sink->n < sink->cap; done++) {
        rc = offer_to(r, w, ids[done], now_ms, sink, e);
        r->scans.at[0].after_device_id = ids[done];
    }
    if (done == n && n < SCAN_DEVICES)
        scan_remove(r, 0);
    *again |= r->scans.n > 0 && sink->n < sink->cap;
    return rc;
}

int rollout_tick(struct rollout *r, struct db *w, int64_t now_ms, struct outgoing out[], size_t cap,
                 size_t *n, bool *again, struct err *e)
{
    struct sink sink = {.out = out, .cap = cap};
    *again = false;
    int rc = step_campaigns(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = end_clocks(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = wake_retries(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = repeat_lost(r, w, now_ms, &sink, again, e);
    if (rc == 0)
        rc = scan_step(r, w, now_ms, &sink, again, e);
    for (size_t i = 0; rc < 0 && i < sink.n; i++)
        outgoing_clear(&out[i]);
    *n = rc == 0 ? sink.n : 0;
    return rc;
}
