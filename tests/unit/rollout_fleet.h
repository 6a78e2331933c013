/* rollout_fleet.h: a world with a fleet of devices in it, registered directly: device d7 has the id 7. What
 * each says, what the store holds of it, and what must hold of the store after whatever happened. */
#ifndef OTAD_TESTS_ROLLOUT_FLEET_H
#define OTAD_TESTS_ROLLOUT_FLEET_H

#include "rollout/why.h"
#include "rollout_world.h"
#include "store/device.h"

#include <sqlite3.h>

static inline int fleet_enter(void **state)
{
    *state = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
    return 0;
}

/* ---- looking */

static inline sqlite3_int64 query(struct world *w, const char *sql, int64_t a, int64_t b)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    if (sqlite3_bind_parameter_count(s) > 0)
        sqlite3_bind_int64(s, 1, a);
    if (sqlite3_bind_parameter_count(s) > 1)
        sqlite3_bind_int64(s, 2, b);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    sqlite3_int64 value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

/* Invariant 9 wave by wave, and the sums that are kept beside it. */
static inline void check_world(struct world *w)
{
    static const char *const none[] = {
        "SELECT count(*) FROM (SELECT campaign_id, wave, state, count(*) FROM execution GROUP BY 1, 2, 3 "
        "EXCEPT SELECT campaign_id, wave, state, n FROM wave_count)",
        "SELECT count(*) FROM (SELECT campaign_id, wave, state, n FROM wave_count WHERE n <> 0 "
        "EXCEPT SELECT campaign_id, wave, state, count(*) FROM execution GROUP BY 1, 2, 3)",
        "SELECT count(*) FROM wave_count WHERE n < 0",
        "SELECT count(*) FROM campaign_pace p WHERE p.silent <> "
        "(SELECT count(*) FROM execution x WHERE x.campaign_id = p.campaign_id AND x.silent = 1)",
        "SELECT count(*) FROM execution WHERE silent = 1 AND state NOT BETWEEN 2 AND 6",
        "SELECT count(*) FROM execution x JOIN execution_module m ON m.execution_id = x.id "
        "WHERE m.active <> (x.state BETWEEN 2 AND 6)",
    };
    for (size_t i = 0; i < ARRAY_SIZE(none); i++)
        if (query(w, none[i], 0, 0) != 0)
            fail_msg("the store does not add up: %s", none[i]);
}

static inline int fleet_leave(void **state)
{
    check_world(*state);
    world_leave(*state);
    return 0;
}

static inline struct campaign campaign_now(struct world *w, int64_t id)
{
    struct campaign c;
    struct err e;
    assert_int_equal(campaign_get(reader(w), id, &c, &e), 0);
    return c;
}

#define assert_campaign(w, id, expected) \
    assert_string_equal(campaign_state_word(campaign_now(w, id).state), campaign_state_word(expected))

static inline enum execution_state state_of(struct world *w, int64_t id, unsigned device)
{
    return (enum execution_state)query(
        w, "SELECT state FROM execution WHERE campaign_id = ?1 AND device_id = ?2", id, device);
}

#define assert_state(w, id, device, expected) \
    assert_string_equal(execution_state_word(state_of(w, id, device)), execution_state_word(expected))

static inline int wave_at(struct world *w, int64_t id, unsigned device)
{
    return (int)query(w, "SELECT wave FROM execution WHERE campaign_id = ?1 AND device_id = ?2", id, device);
}

static inline int64_t in_state(struct world *w, int64_t id, enum execution_state state)
{
    return query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?1 AND state = ?2", id, state);
}

static inline int64_t in_wave(struct world *w, int64_t id, int wave)
{
    return query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?1 AND wave = ?2", id, wave);
}

/* The last wave that has started. */
static inline int wave_now(struct world *w, int64_t id)
{
    return (int)query(w, "SELECT wave FROM campaign_pace WHERE campaign_id = ?1", id, 0);
}

/* Of what the last call sent. */
static inline int64_t offers(const struct world *w)
{
    int64_t n = 0;
    for (size_t i = 0; i < w->sent; i++)
        n += w->out[i].kind == OUTGOING_OFFER;
    return n;
}

static inline bool offered(const struct world *w, unsigned device)
{
    char name[16];
    snprintf(name, sizeof name, "d%u", device);
    for (size_t i = 0; i < w->sent; i++)
        if (w->out[i].kind == OUTGOING_OFFER && strcmp(w->out[i].device, name) == 0)
            return true;
    return false;
}

/* ---- the fleet */

struct recruits {
    unsigned from, to;
    const char *version;
};

static inline int recruit(struct world *w, struct db *db, void *arg, struct err *e)
{
    const struct recruits *r = arg;
    int rc = 0;
    for (unsigned i = r->from; i <= r->to && rc == 0; i++) {
        struct device d = {.product_id = w->product.id, .enabled = true, .registered_at_ms = w->now_ms};
        bool changed;
        strcpy(d.product, w->product.key);
        snprintf(d.name, sizeof d.name, "d%u", i);
        rc = device_insert(db, &d, e);
        if (rc == 0)
            assert_int_equal(d.id, i);
        if (rc == 0)
            rc = device_version_set(db, d.id, "default", r->version, false, w->now_ms, &changed, e);
    }
    return rc;
}

/* Devices from .. to, which are away. */
static inline void fleet(struct world *w, unsigned from, unsigned to, const char *version)
{
    must(w, recruit, &(struct recruits){from, to, version});
}

static inline void arrive(struct world *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        presence_sessions(w->rollout.presence, i, 1);
}

static inline void depart(struct world *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        presence_sessions(w->rollout.presence, i, 0);
}

/* Devices from .. to, which are there. */
static inline void fleet_there(struct world *w, unsigned from, unsigned to, const char *version)
{
    fleet(w, from, to, version);
    arrive(w, from, to);
}

struct labels {
    unsigned from, to;
    const char *key, *value;
};

static inline int label(struct world *w, struct db *db, void *arg, struct err *e)
{
    const struct labels *l = arg;
    struct device_tag tag;
    int rc = 0;
    (void)w;
    strcpy(tag.key, l->key);
    strcpy(tag.value, l->value);
    for (unsigned i = l->from; i <= l->to && rc == 0; i++)
        rc = device_tags_set(db, i, &tag, 1, e);
    return rc;
}

static inline void tag(struct world *w, unsigned from, unsigned to, const char *key, const char *value)
{
    must(w, label, &(struct labels){from, to, key, value});
}

static inline int remove_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    const unsigned *device = arg;
    int rc = execution_remove_device(db, *device, w->now_ms, e);
    return rc < 0 ? rc : device_delete(db, *device, w->now_ms, e);
}

static inline void remove_device(struct world *w, unsigned device)
{
    must(w, remove_run, &device);
    presence_forget(w->rollout.presence, device);
}

/* Killed and started again: what is in memory alone is gone, sessions too. */
static inline void restart(struct world *w)
{
    struct err e = {0};
    char url[sizeof w->rollout.public_url];
    forget(w);
    strcpy(url, w->rollout.public_url);
    store_close(w->store);
    presence_close(w->rollout.presence);
    rollout_forget(&w->rollout);
    memset(&w->rollout, 0, sizeof w->rollout);
    strcpy(w->rollout.public_url, url);
    w->rollout.presence = presence_open(0);
    if (store_open(w->path, &w->store, &e) < 0)
        fail_msg("%s", e.text);
    presence_clear(w->rollout.presence);
    presence_reported(w->rollout.presence);
}

/* ---- devices speaking, of the one thing that they are at */

static inline struct device_event saying(enum event_kind kind, unsigned device)
{
    struct device_event ev = {.kind = kind, .percent = -1, .over_session = true};
    strcpy(ev.product, "thermo");
    strcpy(ev.module, "default");
    snprintf(ev.device, sizeof ev.device, "d%u", device);
    return ev;
}

/* It comes back, and its broker says so. */
static inline void come(struct world *w, unsigned device)
{
    struct device_event ev = saying(EVENT_READY, device);
    arrive(w, device, device);
    must(w, deliver, &ev);
}

static inline void ask(struct world *w, unsigned device)
{
    struct device_event ev = saying(EVENT_REQUEST, device);
    must(w, deliver, &ev);
}

static inline void inform(struct world *w, unsigned device, const char *version)
{
    struct device_event ev = saying(EVENT_INFORM, device);
    strcpy(ev.version, version);
    must(w, deliver, &ev);
}

static inline void report(struct world *w, unsigned device, enum execution_state state, int percent)
{
    struct device_event ev = saying(EVENT_PROGRESS, device);
    ev.state = state;
    ev.percent = percent;
    must(w, deliver, &ev);
}

static inline void report_error(struct world *w, unsigned device, enum reason reason)
{
    struct device_event ev = saying(EVENT_ERROR, device);
    ev.reason = reason;
    must(w, deliver, &ev);
}

/* ---- campaigns, of version 1.1 */

static inline int64_t launch(struct world *w, const char *target, const char *waves, const char *policy)
{
    struct campaign_spec spec = spec_with(firmware(w, "1.1"), target, waves, policy);
    return campaign_of(w, &spec);
}

/* What the device is told by why, for the campaign of its product that is the newest: the first no. */
static inline struct answer why_not(struct world *w, unsigned device)
{
    struct why why[4];
    struct err e;
    size_t n;
    assert_int_equal(why_device(&w->rollout, reader(w), device, w->now_ms, why, 4, &n, &e), 0);
    assert_true(n > 0 && why[0].n > 0);
    return why[0].answers[why[0].n - 1];
}

#endif
