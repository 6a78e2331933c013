/* Random fleets, campaigns, reports, restarts and jumps of the clock, from fixed seeds. Whatever happens, the
 * invariants of rollout/execution.h hold after each step; and when the fleet behaves again, all of it ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "rollout/execution.h"
#include "store/device.h"
#include "store/firmware.h"
#include "store/product.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_MS   1800000000000LL
#define SECOND     1000LL
#define MINUTE     (60 * SECOND)
#define HOUR       (60 * MINUTE)
#define DEVICES    30
#define MODULES    2
#define VERSIONS   8
#define CAMPAIGNS  12
#define EXECUTIONS (DEVICES * CAMPAIGNS + 1)
#define OUT        32
#define STEPS      350
#define ROUNDS     80

static const char *const modules[MODULES] = {"default", "aux"};

struct shadow { /* of one execution */
    int state;
    int64_t attempt, updated_at_ms;
};

struct world {
    uint64_t dice;
    char dir[64], path[96];
    struct store *store;
    struct rollout rollout;
    sqlite3 *look;
    int64_t now_ms, product_id, firmware[MODULES][VERSIONS];
    unsigned devices, modules;
    size_t campaigns, sent;
    struct outgoing out[OUT];
    char asked[DEVICE_SIZE]; /* whose word the last offers answer; "" the clock's */
    struct shadow shadow[EXECUTIONS];
};

/* ---- chance */

static uint64_t roll(struct world *w, uint64_t sides)
{
    w->dice ^= w->dice << 13;
    w->dice ^= w->dice >> 7;
    w->dice ^= w->dice << 17;
    return (w->dice >> 11) % sides;
}

static int64_t one_of(struct world *w, const int64_t values[], size_t n)
{
    return values[roll(w, n)];
}

/* ---- the world */

struct call {
    struct world *w;
    int (*run)(struct world *w, struct db *db, void *arg, struct err *e);
    void *arg;
};

static int on_writer(struct db *db, void *arg, struct err *e)
{
    struct call *c = arg;
    return c->run(c->w, db, c->arg, e);
}

static int try_it(struct world *w, int (*run)(struct world *, struct db *, void *, struct err *), void *arg,
                  struct err *e)
{
    struct call c = {w, run, arg};
    return store_write(w->store, on_writer, &c, e);
}

static void must(struct world *w, int (*run)(struct world *, struct db *, void *, struct err *), void *arg)
{
    struct err e = {0};
    if (try_it(w, run, arg, &e) < 0)
        fail_msg("%s", e.text);
}

static void enter(struct world *w)
{
    struct err e = {0};
    if (store_open(w->path, &w->store, &e) < 0)
        fail_msg("%s", e.text);
    memset(&w->rollout, 0, sizeof w->rollout);
    w->rollout.presence = presence_open(0);
    strcpy(w->rollout.public_url, "https://ota.test");
    presence_reported(w->rollout.presence);
    assert_int_equal(sqlite3_open_v2(w->path, &w->look, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
}

static void leave(struct world *w)
{
    sqlite3_close(w->look);
    store_close(w->store);
    presence_close(w->rollout.presence);
}

/* Killed and started again: what is not in the store is gone. */
static void restart(struct world *w)
{
    leave(w);
    enter(w);
}

static int make_fleet(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct product p = {.enabled = true, .enrolment_open = true, .created_at_ms = START_MS};
    bool existed;
    (void)arg;
    strcpy(p.key, "thermo");
    strcpy(p.name, "Thermo");
    strcpy(p.protocol, "native");
    p.success_by_report = roll(w, 4) == 0;
    int rc = product_insert(db, &p, e);
    w->product_id = p.id;
    for (unsigned i = 0; rc == 0 && i < MODULES * VERSIONS; i++) {
        struct firmware f = {.product_id = p.id, .size = 1000, .created_at_ms = START_MS};
        strcpy(f.module, modules[i / VERSIONS]);
        snprintf(f.version, sizeof f.version, "1.%u", i % VERSIONS + 1);
        snprintf(f.filename, sizeof f.filename, "%u.bin", i);
        snprintf(f.digests.sha256, sizeof f.digests.sha256, "%064x", i + 1);
        rc = firmware_insert(db, &f, &existed, e);
        w->firmware[i / VERSIONS][i % VERSIONS] = f.id;
    }
    return rc;
}

/* ---- looking */

static sqlite3_stmt *select_rows(struct world *w, const char *sql)
{
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_prepare_v2(w->look, sql, -1, &s, NULL), SQLITE_OK);
    return s;
}

static int64_t number(struct world *w, const char *sql, int64_t arg)
{
    sqlite3_stmt *s = select_rows(w, sql);
    sqlite3_bind_int64(s, 1, arg);
    int64_t value = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    return value;
}

/* Each of these counts what must not be. */
static const char *const wrongs[] = {
    /* 9 */
    "SELECT count(*) FROM (SELECT campaign_id, state, count(*) FROM execution GROUP BY 1, 2 "
    "EXCEPT SELECT campaign_id, state, sum(n) FROM wave_count GROUP BY 1, 2)",
    "SELECT (SELECT count(*) FROM execution) <> (SELECT coalesce(sum(n), 0) FROM wave_count)",
    "SELECT count(*) FROM wave_count WHERE n < 0",
    /* 2 */
    "SELECT count(*) FROM (SELECT 1 FROM execution x JOIN execution_module m ON m.execution_id = x.id "
    "WHERE x.state BETWEEN 2 AND 6 GROUP BY m.device_id, m.module HAVING count(*) > 1)",
    "SELECT count(*) FROM execution x JOIN execution_module m ON m.execution_id = x.id "
    "WHERE m.active <> (x.state BETWEEN 2 AND 6)",
    /* attempts, clocks, and the modules of what is over */
    "SELECT count(*) FROM execution x JOIN campaign c ON c.id = x.campaign_id "
    "WHERE x.attempt > json_extract(c.policy, '$.max_attempts')",
    "SELECT count(*) FROM execution WHERE (deadline_at_ms IS NOT NULL) <> (state BETWEEN 2 AND 6)",
    "SELECT count(*) FROM execution x WHERE x.state BETWEEN 6 AND 7 AND x.attempt > 0 AND EXISTS "
    "(SELECT 1 FROM part m WHERE m.execution_id = x.id AND m.done_at_ms = 0)",
    "SELECT count(*) FROM execution x WHERE x.state < 6 AND NOT EXISTS "
    "(SELECT 1 FROM part m WHERE m.execution_id = x.id AND m.done_at_ms = 0)",
    "SELECT count(*) FROM campaign c JOIN execution x ON x.campaign_id = c.id "
    "WHERE c.state = 'completed' AND x.state < 7",
    /* 5: of what waits for a device's module, one is left */
    "SELECT count(*) FROM (SELECT 1 FROM execution x JOIN part m ON m.execution_id = x.id "
    "JOIN campaign c ON c.id = x.campaign_id AND c.state <> 'cancelled' "
    "WHERE x.state < 2 AND m.done_at_ms = 0 GROUP BY m.device_id, m.module HAVING count(*) > 1)",
};

/* Invariant 1, and only legal moves in between. */
static void check_shadow(struct world *w)
{
    sqlite3_stmt *s = select_rows(w, "SELECT id, state, attempt, updated_at_ms FROM execution");
    while (sqlite3_step(s) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);
        assert_in_range(id, 1, EXECUTIONS - 1);
        struct shadow *old = &w->shadow[id], now = {sqlite3_column_int(s, 1), sqlite3_column_int64(s, 2),
                                                    sqlite3_column_int64(s, 3)};
        if (old->updated_at_ms && execution_is_final((enum execution_state)old->state) &&
            (old->state != now.state || old->attempt != now.attempt ||
             old->updated_at_ms != now.updated_at_ms))
            fail_msg("execution %lld was %s and is %s", (long long)id,
                     execution_state_word((enum execution_state)old->state),
                     execution_state_word((enum execution_state)now.state));
        *old = now;
    }
    sqlite3_finalize(s);
}

/* Invariants 6 and 10: who is sent what. */
static void check_offer(struct world *w, const struct outgoing *out)
{
    sqlite3_stmt *s = select_rows(
        w,
        "SELECT d.id, x.state, json_extract(c.policy, '$.allow_downgrade'), coalesce(v.version, ''), c.state "
        "FROM device d JOIN execution x ON x.device_id = d.id AND x.id = ?1 "
        "JOIN campaign c ON c.id = x.campaign_id "
        "LEFT JOIN device_module v ON v.device_id = d.id AND v.module = ?2 WHERE d.name = ?3");
    sqlite3_bind_int64(s, 1, out->offer.id);
    sqlite3_bind_text(s, 2, out->offer.file.module, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s, 3, out->device, -1, SQLITE_TRANSIENT);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t device = sqlite3_column_int64(s, 0);
    assert_in_range(sqlite3_column_int(s, 1), EXECUTION_OFFERED, EXECUTION_DOWNLOADED);
    const char *has = (const char *)sqlite3_column_text(s, 3);
    bool downgrade = sqlite3_column_int(s, 2);
    enum standing standing = version_standing(VERSION_DOTTED, has, out->offer.file.version);
    if (standing == STANDING_ON_TARGET || (standing == STANDING_ABOVE && !downgrade))
        fail_msg("%s, which has %s, is offered %s", out->device, has, out->offer.file.version);
    if (*w->asked)
        assert_string_equal(out->device, w->asked);
    else
        assert_true(presence_there(w->rollout.presence, device, w->now_ms));
    if (sqlite3_column_int(s, 1) == EXECUTION_OFFERED)
        assert_string_equal((const char *)sqlite3_column_text(s, 4), "running");
    sqlite3_finalize(s);
}

static void check_world(struct world *w)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++)
        if (number(w, wrongs[i], 0) != 0)
            fail_msg("%s", wrongs[i]);
    check_shadow(w);
    for (size_t i = 0; i < w->sent; i++)
        if (w->out[i].kind == OUTGOING_OFFER)
            check_offer(w, &w->out[i]);
}

/* ---- what devices do */

/* The tests look at the values alone. */
static void forget_more(struct world *w)
{
    for (size_t i = 0; i < w->sent; i++)
        outgoing_clear(&w->out[i]);
}

struct delivery {
    struct device_event ev;
    bool lost; /* the commit fails: the report comes again, or never */
    bool download;
};

static int deliver(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct delivery *d = arg;
    int rc = d->download ? rollout_download(&w->rollout, db, &d->ev, w->now_ms, w->out, &w->sent, e)
                         : rollout_event(&w->rollout, db, &d->ev, w->now_ms, w->out, &w->sent, e);
    forget_more(w);
    return rc == 0 && d->lost ? err_set(e, ERR_BUSY, "the test loses it") : rc;
}

static void say(struct world *w, struct delivery *d)
{
    struct err e = {0};
    w->sent = 0;
    int rc = try_it(w, deliver, d, &e);
    if (d->lost)
        w->sent = 0;
    else if (rc < 0)
        fail_msg("%s", e.text);
    strcpy(w->asked, d->ev.device);
    check_world(w);
}

static struct delivery delivery(enum event_kind kind, unsigned device)
{
    struct delivery d = {.ev = {.kind = kind, .percent = -1, .reason = REASON_NONE}};
    strcpy(d.ev.product, "thermo");
    snprintf(d.ev.device, sizeof d.ev.device, "d%u", device);
    strcpy(d.ev.module, "default");
    return d;
}

static void inform(struct world *w, unsigned device, const char *module, const char *version)
{
    struct delivery d = delivery(EVENT_INFORM, device);
    strcpy(d.ev.module, module);
    snprintf(d.ev.version, sizeof d.ev.version, "%s", version);
    say(w, &d);
}

static void login(struct world *w, unsigned device, unsigned sessions)
{
    struct delivery d = delivery(EVENT_LOGIN, device);
    d.ev.sessions = sessions;
    say(w, &d);
}

/* The version that the device's active execution brings, or any. */
static void some_version(struct world *w, struct device_event *ev)
{
    sqlite3_stmt *s = select_rows(
        w, "SELECT f.version FROM device d JOIN execution_module m ON m.device_id = d.id AND m.active = 1 "
           "JOIN firmware f ON f.id = m.firmware_id WHERE d.name = ?1 AND m.module = ?2");
    sqlite3_bind_text(s, 1, ev->device, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s, 2, ev->module, -1, SQLITE_TRANSIENT);
    if (sqlite3_step(s) == SQLITE_ROW && roll(w, 2))
        snprintf(ev->version, sizeof ev->version, "%s", (const char *)sqlite3_column_text(s, 0));
    else
        snprintf(ev->version, sizeof ev->version, "1.%u", (unsigned)roll(w, VERSIONS + 2));
    sqlite3_finalize(s);
}

/* Mostly what is under way on the device; else nobody's, another's, or one that is over. */
static int64_t some_execution(struct world *w, unsigned device)
{
    char sql[160];
    snprintf(sql, sizeof sql,
             "SELECT x.id FROM execution x JOIN device d ON d.id = x.device_id "
             "WHERE d.name = 'd%u' ORDER BY x.state BETWEEN 2 AND 6 DESC LIMIT 1",
             device);
    return roll(w, 4) ? number(w, sql, 0) : (int64_t)roll(w, EXECUTIONS);
}

static void report(struct world *w)
{
    static const enum execution_state states[] = {EXECUTION_DOWNLOADING, EXECUTION_DOWNLOADING,
                                                  EXECUTION_DOWNLOADED, EXECUTION_INSTALLING,
                                                  EXECUTION_SUCCEEDED};
    static const enum event_kind kinds[] = {EVENT_INFORM,   EVENT_INFORM, EVENT_PROGRESS, EVENT_PROGRESS,
                                            EVENT_PROGRESS, EVENT_ERROR,  EVENT_READY,    EVENT_REQUEST};
    unsigned device = (unsigned)roll(w, w->devices);
    struct delivery d = delivery(kinds[roll(w, ARRAY_SIZE(kinds))], device);
    strcpy(d.ev.module, modules[roll(w, w->modules)]);
    if (d.ev.kind == EVENT_INFORM)
        some_version(w, &d.ev);
    d.ev.execution_id = some_execution(w, device);
    d.ev.state = states[roll(w, ARRAY_SIZE(states))];
    d.ev.percent = (int)roll(w, 102) - 1;
    if (d.ev.kind == EVENT_ERROR)
        d.ev.reason = (enum reason)roll(w, REASON_TIMED_OUT);
    d.download = d.ev.kind == EVENT_PROGRESS && roll(w, 8) == 0;
    d.lost = roll(w, 12) == 0;
    for (uint64_t times = 1 + (roll(w, 6) == 0); times > 0; times--)
        say(w, &d);
}

/* ---- what time and operators do */

struct turn {
    size_t cap;
    bool again;
};

static int turn(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct turn *t = arg;
    int rc = rollout_tick(&w->rollout, db, w->now_ms, w->out, t->cap, &w->sent, &t->again, e);
    forget_more(w);
    return rc;
}

static void tick(struct world *w, size_t cap)
{
    struct turn t = {.cap = cap};
    w->asked[0] = '\0';
    must(w, turn, &t);
    check_world(w);
}

static void jump(struct world *w)
{
    static const int64_t spans[] = {0, SECOND, 20 * SECOND, MINUTE, 5 * MINUTE, HOUR, 26 * HOUR, -MINUTE};
    w->now_ms += one_of(w, spans, ARRAY_SIZE(spans));
    tick(w, roll(w, OUT));
}

static int create(struct world *w, struct db *db, void *arg, struct err *e)
{
    int64_t id;
    return campaign_create(db, arg, w->now_ms, &id, e);
}

static void start_campaign(struct world *w)
{
    static const int64_t spans[] = {0, 0, MINUTE, 5 * MINUTE, HOUR};
    struct campaign_spec spec = {.draft = roll(w, 5) == 0};
    if (w->campaigns == CAMPAIGNS)
        return;
    unsigned first = (unsigned)roll(w, w->modules), n = w->modules == MODULES && roll(w, 2) ? 2 : 1;
    for (unsigned i = 0; i < n; i++)
        spec.firmware[spec.firmware_count++] = w->firmware[(first + i) % MODULES][roll(w, VERSIONS)];
    strcpy(spec.name, "random");
    policy_defaults(&spec.policy);
    spec.target = (struct target){.percent = 100, .source_states = ~0u};
    spec.waves = (struct waves){.n = 1, .at = {{.upto = INT64_MAX}}};
    spec.policy.max_attempts = 1 + (int64_t)roll(w, 3);
    spec.policy.retry_after_ms = one_of(w, spans, ARRAY_SIZE(spans));
    spec.policy.health_hold_off_ms = one_of(w, spans, ARRAY_SIZE(spans));
    spec.policy.rollback_confirm_ms = one_of(w, spans, ARRAY_SIZE(spans));
    spec.policy.allow_downgrade = roll(w, 4) == 0;
    must(w, create, &spec);
    w->campaigns++;
    w->sent = 0;
    check_world(w);
}

struct act {
    int64_t id;
    enum campaign_action action;
};

static int act_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct act *a = arg;
    return campaign_act(&w->rollout, db, a->id, a->action, "chance", w->now_ms, e);
}

static void act(struct world *w, int64_t id, enum campaign_action action)
{
    struct act a = {id, action};
    struct err e;
    int rc = try_it(w, act_run, &a, &e);
    assert_true(rc == 0 || rc == -ERR_CONFLICT);
    w->sent = 0;
    check_world(w);
}

static void act_somehow(struct world *w)
{
    static const enum campaign_action actions[] = {CAMPAIGN_START,       CAMPAIGN_START,  CAMPAIGN_PAUSE,
                                                   CAMPAIGN_RESUME,      CAMPAIGN_RESUME, CAMPAIGN_CANCEL,
                                                   CAMPAIGN_CANCEL_FORCE};
    if (w->campaigns > 0)
        act(w, 1 + (int64_t)roll(w, w->campaigns), actions[roll(w, ARRAY_SIZE(actions))]);
}

static int disturb_device(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct device d;
    char name[16];
    snprintf(name, sizeof name, "d%u", (unsigned)roll(w, w->devices));
    if (device_get(db, "thermo", name, &d, e) < 0)
        return 0;
    switch (*(uint64_t *)arg) {
    case 0:
        d.enabled = !d.enabled;
        return device_update(db, &d, e);
    case 1:
        d.paused = !d.paused;
        return device_update(db, &d, e);
    default:
        return execution_remove_device(db, d.id, w->now_ms, e);
    }
}

static void step(struct world *w)
{
    uint64_t dice = roll(w, 100), way = roll(w, 3);
    if (dice < 64) {
        report(w);
    } else if (dice < 76) {
        login(w, (unsigned)roll(w, w->devices), (unsigned)roll(w, 3));
    } else if (dice < 88) {
        jump(w);
    } else if (dice < 92) {
        start_campaign(w);
    } else if (dice < 96) {
        act_somehow(w);
    } else if (dice < 98) {
        must(w, disturb_device, &way);
        w->sent = 0;
        check_world(w);
    } else {
        restart(w);
    }
}

/* ---- the end of it all */

static int allow_all(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct device d;
    int rc = 0;
    (void)arg;
    for (unsigned i = 0; i < w->devices && rc == 0; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%u", i);
        rc = device_get(db, "thermo", name, &d, e);
        d.enabled = true;
        d.paused = false;
        if (rc == 0)
            rc = device_update(db, &d, e);
    }
    return rc;
}

/* A device that works: it says what it has, and takes what it is offered. */
static void behave(struct world *w, unsigned device)
{
    login(w, device, 1);
    for (unsigned m = 0; m < w->modules; m++) {
        char sql[200], version[VERSION_SIZE] = "1.0";
        snprintf(sql, sizeof sql,
                 "SELECT v.version FROM device_module v JOIN device d ON d.id = v.device_id "
                 "WHERE d.name = 'd%u' AND v.module = '%s'",
                 device, modules[m]);
        sqlite3_stmt *s = select_rows(w, sql);
        if (sqlite3_step(s) == SQLITE_ROW)
            snprintf(version, sizeof version, "%s", (const char *)sqlite3_column_text(s, 0));
        sqlite3_finalize(s);
        inform(w, device, modules[m], version);
        for (int i = 0; i < MODULES * 2 && w->sent > 0 && w->out[0].kind == OUTGOING_OFFER; i++) {
            struct offer o = w->out[0].offer;
            inform(w, device, o.file.module, o.file.version);
        }
    }
}

static void settle(struct world *w)
{
    must(w, allow_all, NULL);
    for (size_t i = 1; i <= w->campaigns; i++) {
        act(w, (int64_t)i, CAMPAIGN_START);
        act(w, (int64_t)i, CAMPAIGN_RESUME);
    }
    static const char left[] =
        "SELECT count(*) FROM campaign WHERE finished_at_ms = 0 OR EXISTS "
        "(SELECT 1 FROM execution x WHERE x.campaign_id = campaign.id AND x.state < 7)";
    for (int round = 0; round < ROUNDS && number(w, left, 0) > 0; round++) {
        for (unsigned i = 0; i < w->devices; i++)
            behave(w, i);
        w->now_ms += HOUR;
        for (int i = 0; i < 6; i++)
            tick(w, OUT);
    }
    if (number(w, left, 0) > 0)
        fail_msg(
            "campaign %lld does not end",
            (long long)number(w,
                              "SELECT id FROM campaign WHERE finished_at_ms = 0 OR EXISTS (SELECT 1 FROM "
                              "execution x WHERE x.campaign_id = campaign.id AND x.state < 7)",
                              0));
}

static void run(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    char command[128];
    assert_non_null(w);
    w->dice = seed * 0x9e3779b97f4a7c15u;
    strcpy(w->dir, "/tmp/otad-random-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->path, sizeof w->path, "%s/otad.db", w->dir);
    w->now_ms = START_MS;
    w->devices = 10 + (unsigned)roll(w, DEVICES - 9);
    w->modules = 1 + (unsigned)roll(w, MODULES);
    enter(w);
    must(w, make_fleet, NULL);
    for (unsigned i = 0; i < w->devices; i++) {
        inform(w, i, "default", "1.0");
        login(w, i, (unsigned)roll(w, 2));
    }
    print_message("seed %llu: %u devices, %u modules\n", (unsigned long long)seed, w->devices, w->modules);
    for (int i = 0; i < STEPS; i++)
        step(w);
    settle(w);
    leave(w);
    snprintf(command, sizeof command, "rm -rf '%s'", w->dir);
    assert_int_equal(system(command), 0);
    free(w);
}

static void test_random_worlds(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 5, 8, 13, 21, 34};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(seeds); i++)
        run(seeds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_worlds)};
    log_level_set(LOG_LEVEL_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
