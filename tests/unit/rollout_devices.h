/* rollout_devices.h: devices of a rollout_world that speak, and looks at what became of them. */
#ifndef OTAD_TESTS_ROLLOUT_DEVICES_H
#define OTAD_TESTS_ROLLOUT_DEVICES_H

#include "rollout/why.h"
#include "rollout_world.h"
#include "store/device.h"

#include <sqlite3.h>

/* ---- devices speaking */

static inline struct device_event event(enum event_kind kind, const char *device)
{
    struct device_event ev = {.kind = kind, .percent = -1};
    strcpy(ev.product, "thermo");
    snprintf(ev.device, sizeof ev.device, "%s", device);
    strcpy(ev.module, "default");
    return ev;
}

static inline void inform_module(struct world *w, const char *device, const char *module, const char *version)
{
    struct device_event ev = event(EVENT_INFORM, device);
    snprintf(ev.module, sizeof ev.module, "%s", module);
    snprintf(ev.version, sizeof ev.version, "%s", version);
    must(w, deliver, &ev);
}

static inline void inform(struct world *w, const char *device, const char *version)
{
    inform_module(w, device, "default", version);
}

static inline void sessions(struct world *w, const char *device, unsigned n)
{
    struct device_event ev = event(EVENT_LOGIN, device);
    ev.sessions = n;
    must(w, deliver, &ev);
}

static inline void request(struct world *w, const char *device)
{
    struct device_event ev = event(EVENT_REQUEST, device);
    must(w, deliver, &ev);
}

static inline void progress(struct world *w, const char *device, int64_t id, enum execution_state state,
                            int percent)
{
    struct device_event ev = event(EVENT_PROGRESS, device);
    ev.execution_id = id;
    ev.state = state;
    ev.percent = percent;
    must(w, deliver, &ev);
}

static inline void report_error(struct world *w, const char *device, int64_t id, enum reason reason)
{
    struct device_event ev = event(EVENT_ERROR, device);
    ev.execution_id = id;
    ev.reason = reason;
    strcpy(ev.detail, "its own words");
    must(w, deliver, &ev);
}

/* A device with this version that is not there. */
static inline void device_away(struct world *w, const char *name, const char *version)
{
    inform(w, name, version);
    sessions(w, name, 0);
}

static inline void device_there(struct world *w, const char *name, const char *version)
{
    inform(w, name, version);
    sessions(w, name, 1);
}

/* ---- looking */

static inline struct execution_view execution_of(struct world *w, int64_t campaign_id, const char *device)
{
    struct execution_view v[64];
    size_t n;
    struct err e;
    assert_int_equal(
        execution_list(reader(w), campaign_id, &(struct execution_filter){.state = -1}, 0, v, 64, &n, &e), 0);
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].device, device) == 0)
            return v[i];
    fail_msg("campaign %lld has no execution on %s", (long long)campaign_id, device);
    return v[0];
}

static inline int64_t query(struct world *w, const char *sql, int64_t arg)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    sqlite3_bind_int64(s, 1, arg);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

/* Invariants 2 and 9, after whatever happened. */
static inline void check_world(struct world *w)
{
    assert_int_equal(
        query(w,
              "SELECT count(*) FROM (SELECT campaign_id c, state s, count(*) n FROM execution GROUP BY 1, 2 "
              "EXCEPT SELECT campaign_id, state, sum(n) FROM wave_count GROUP BY 1, 2)",
              0),
        0);
    assert_int_equal(
        query(w, "SELECT (SELECT count(*) FROM execution) - (SELECT coalesce(sum(n), 0) FROM wave_count)", 0),
        0);
    assert_int_equal(
        query(w,
              "SELECT count(*) FROM execution x JOIN execution_module m ON m.execution_id = x.id "
              "WHERE m.active <> (x.state BETWEEN 2 AND 6)",
              0),
        0);
}

static inline enum campaign_state campaign_state(struct world *w, int64_t id)
{
    struct campaign c;
    struct err e;
    assert_int_equal(campaign_get(reader(w), id, &c, &e), 0);
    return c.state;
}

#define assert_state(w, campaign_id, device, expected)                                    \
    assert_string_equal(execution_state_word(execution_of(w, campaign_id, device).state), \
                        execution_state_word(expected))

static inline int64_t timeline_kind(struct world *w, const char *kind)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM timeline WHERE kind = '%s'", kind);
    return query(w, sql, 0);
}

/* Brings a device to a state of its one execution, by what a device would say. */
static inline int64_t bring_to(struct world *w, int64_t id, const char *device, enum execution_state state)
{
    int64_t execution = execution_of(w, id, device).id;
    static const enum execution_state way[] = {EXECUTION_DOWNLOADING, EXECUTION_DOWNLOADED,
                                               EXECUTION_INSTALLING};
    for (size_t i = 0; i < ARRAY_SIZE(way) && way[i] <= state; i++)
        progress(w, device, execution, way[i], way[i] == EXECUTION_DOWNLOADING ? 10 : -1);
    assert_state(w, id, device, state);
    return execution;
}
/* ---- firmware with conditions */

/* delta_from and requires as in struct firmware. Its size tells it from others: serial numbers. */
static inline int64_t firmware_with(struct world *w, const char *module, const char *version,
                                    const char *requires, const char *delta_from)
{
    static unsigned serial = 0x1000000;
    struct firmware f = {.size = ++serial, .created_at_ms = w->now_ms};
    snprintf(f.module, sizeof f.module, "%s", module);
    snprintf(f.version, sizeof f.version, "%s", version);
    snprintf(f.requires, sizeof f.requires, "%s", requires);
    snprintf(f.delta_from, sizeof f.delta_from, "%s", delta_from);
    snprintf(f.filename, sizeof f.filename, "%s-%s-%u.bin", module, version, serial);
    snprintf(f.digests.sha256, sizeof f.digests.sha256, "%064x", serial);
    must(w, add_firmware, &f);
    return f.id;
}

static inline int delete_firmware(struct world *w, struct db *db, void *arg, struct err *e)
{
    bool last;
    return firmware_delete(db, *(int64_t *)arg, w->now_ms, &last, e);
}

/* ---- devices and their product as an operator sees them */

struct edit {
    const char *device;
    const char *key, *value; /* of a tag; value NULL: none has it any more */
    const char *pinned;      /* NULL as it is */
    int paused;              /* -1 as it is */
};

static inline int edit_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    const struct edit *edit = arg;
    struct device_tag tags[TAGS_MAX];
    struct device d;
    size_t n, kept = 0;
    int rc = device_get(db, w->product.key, edit->device, &d, e);
    if (rc == 0)
        rc = device_tags_get(db, d.id, tags, &n, e);
    if (rc < 0)
        return rc;
    if (edit->pinned)
        snprintf(d.pinned, sizeof d.pinned, "%s", edit->pinned);
    if (edit->paused >= 0)
        d.paused = edit->paused;
    for (size_t i = 0; i < n; i++)
        if (!edit->key || strcmp(tags[i].key, edit->key) != 0)
            tags[kept++] = tags[i];
    if (edit->key && edit->value) {
        snprintf(tags[kept].key, TAG_KEY_SIZE, "%s", edit->key);
        snprintf(tags[kept++].value, TAG_VALUE_SIZE, "%s", edit->value);
    }
    rc = device_update(db, &d, e);
    return rc < 0 ? rc : device_tags_set(db, d.id, tags, kept, e);
}

static inline void set_tag(struct world *w, const char *device, const char *key, const char *value)
{
    must(w, edit_run, &(struct edit){.device = device, .key = key, .value = value, .paused = -1});
}

static inline void set_paused(struct world *w, const char *device, bool paused)
{
    must(w, edit_run, &(struct edit){.device = device, .paused = paused});
}

static inline void set_pinned(struct world *w, const char *device, const char *version)
{
    must(w, edit_run, &(struct edit){.device = device, .pinned = version, .paused = -1});
}

static inline int64_t device_id(struct world *w, const char *device)
{
    struct device d;
    struct err e;
    assert_int_equal(device_get(reader(w), w->product.key, device, &d, &e), 0);
    return d.id;
}

/* ---- what was sent */

static inline void expect_offer(struct world *w, const char *device, const char *version)
{
    assert_int_equal(w->sent, 1);
    assert_int_equal(w->out[0].kind, OUTGOING_OFFER);
    assert_string_equal(w->out[0].device, device);
    assert_string_equal(w->out[0].offer.file.version, version);
}

static inline bool executes(struct world *w, int64_t campaign_id, const char *device)
{
    struct execution x;
    struct err e;
    int rc = execution_of_device(reader(w), campaign_id, device_id(w, device), &x, &e);
    assert_true(rc >= 0);
    return rc > 0;
}

static inline struct campaign campaign_read_back(struct world *w, int64_t id)
{
    struct campaign c;
    struct err e;
    assert_int_equal(campaign_get(reader(w), id, &c, &e), 0);
    return c;
}

/* The answers of one campaign; one without a row has none either. */
static inline struct why why_of(struct world *w, int64_t campaign_id, const char *device)
{
    static struct why rows[16];
    size_t n = 0;
    struct err e;
    assert_int_equal(
        why_device(&w->rollout, reader(w), device_id(w, device), w->now_ms, rows, ARRAY_SIZE(rows), &n, &e),
        0);
    for (size_t i = 0; i < n; i++)
        if (rows[i].campaign_id == campaign_id)
            return rows[i];
    fail_msg("why does not speak of campaign %lld", (long long)campaign_id);
    return rows[0];
}

/* The last answer is the first no, and no other is one. */
static inline struct answer first_no(struct world *w, int64_t campaign_id, const char *device,
                                     enum question question)
{
    struct why why = why_of(w, campaign_id, device);
    assert_true(why.n > 0);
    for (size_t i = 0; i + 1 < why.n; i++)
        assert_true(why.answers[i].yes);
    struct answer last = why.answers[why.n - 1];
    assert_false(last.yes);
    assert_string_equal(question_word(last.question), question_word(question));
    return last;
}

#endif
