/* What is not kept any more: it goes in steps, the oldest first, and never what something that goes on needs.
 */
#include "rollout/retention.h"

#include "rollout_fleet.h"

#include <sys/stat.h>

#define DAY (24 * HOUR)

static int leave(void **state)
{
    world_leave(*state); /* the counts outlive what they count */
    return 0;
}

/* ---- a round */

struct step {
    struct retention_round *round;
    bool more;
};

static int step_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct step *s = arg;
    (void)w;
    return retention_step(db, s->round, &s->more, e);
}

static struct retention_round begin(struct world *w, const struct retention *keep)
{
    struct retention_round r;
    struct err e = {0};
    if (retention_begin(reader(w), keep, w->now_ms, &r, &e) < 0)
        fail_msg("%s", e.text);
    r.whole = true;
    return r;
}

static bool step(struct world *w, struct retention_round *r)
{
    struct step s = {.round = r};
    must(w, step_run, &s);
    return s.more;
}

static struct retention_round prune(struct world *w, const struct retention *keep)
{
    struct retention_round r = begin(w, keep);
    while (step(w, &r))
        ;
    return r;
}

/* ---- what there is */

static int64_t rows(struct world *w, int64_t id)
{
    return query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?1", id, 0);
}

static int64_t counted(struct world *w, int64_t id)
{
    struct campaign_counts counts;
    struct err e;
    assert_int_equal(campaign_counts(reader(w), id, -1, &counts, &e), 0);
    return counts.total;
}

static void write_rows(struct world *w, const char *sql)
{
    sqlite3 *db;
    char *fault = NULL;
    assert_int_equal(sqlite3_open_v2(w->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, NULL, NULL, &fault) != SQLITE_OK)
        fail_msg("%s: %s", sql, fault);
    sqlite3_close(db);
}

/* For devices 1 .. n, which have it in the end. */
static int64_t finished(struct world *w, const char *version, unsigned n)
{
    int64_t id = campaign(w, firmware(w, version));
    for (unsigned i = 1; i <= n; i++)
        inform(w, i, version);
    tick(w);
    assert_campaign(w, id, CAMPAIGN_COMPLETED);
    return id;
}

/* ---- executions */

static void test_by_age(void **state)
{
    struct world *w = *state;
    const struct retention keep = {.executions_ms = 10 * DAY};
    fleet_there(w, 1, 5, "1.0");
    int64_t old = finished(w, "1.1", 5);
    later(w, DAY);
    int64_t young = finished(w, "1.2", 5);
    later(w, 9 * DAY - 1);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 0);
    assert_int_equal(campaign_now(w, old).pruned_at_ms, 0);
    later(w, 1);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 5);
    assert_int_equal(rows(w, old), 0);
    assert_int_equal(rows(w, young), 5);
    assert_int_equal(counted(w, old), 5);
    assert_int_equal(campaign_now(w, old).pruned_at_ms, w->now_ms);
    assert_int_equal(campaign_now(w, young).pruned_at_ms, 0);
    assert_int_equal(query(w, "SELECT count(*) FROM execution_module", 0, 0), 5);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 0);
}

static int retry(struct world *w, struct db *db, void *arg, struct err *e)
{
    int64_t new_id;
    return campaign_retry(db, *(int64_t *)arg, w->now_ms, &new_id, e);
}

static int rollback(struct world *w, struct db *db, void *arg, struct err *e)
{
    int64_t new_id;
    return campaign_rollback(&w->rollout, db, *(int64_t *)arg, "the test", w->now_ms, &new_id, e);
}

static void test_nothing_follows_what_is_gone(void **state)
{
    struct world *w = *state;
    const struct retention keep = {.executions_ms = DAY};
    struct err e;
    char target[64];
    fleet_there(w, 1, 2, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"max_attempts\":1}");
    inform(w, 1, "1.1");
    report_error(w, 2, REASON_FLASH);
    tick(w);
    assert_campaign(w, id, CAMPAIGN_COMPLETED);
    later(w, DAY);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 2);
    assert_int_equal(try_it(w, retry, &id, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "not kept any more"));
    assert_int_equal(try_it(w, rollback, &id, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "not kept any more"));
    snprintf(target, sizeof target, "{\"campaign\":%lld}", (long long)id);
    struct creation c = {.spec = spec_with(firmware(w, "1.3"), target, NULL, NULL)};
    assert_int_equal(try_it(w, create, &c, &e), -ERR_CONFLICT);
    assert_string_equal(e.field, "target.campaign");
    campaign_spec_clear(&c.spec);
}

static void test_what_is_not_over_stays(void **state)
{
    struct world *w = *state;
    const struct retention keep = {.executions_ms = 1, .rows = 1};
    fleet_there(w, 1, 4, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"finish_timeout\":\"30d\",\"offer_timeout\":\"30d\"}");
    inform(w, 1, "1.1");
    report(w, 2, EXECUTION_DOWNLOADING, 5);
    later(w, DAY);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 0);
    act(w, id, CAMPAIGN_PAUSE);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 0);
    act(w, id, CAMPAIGN_CANCEL); /* what devices are at goes on */
    later(w, DAY);
    assert_true(campaign_now(w, id).finished_at_ms > 0);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 0);
    for (unsigned i = 2; i <= 4; i++)
        inform(w, i, "1.1");
    later(w, 1);
    check_world(w);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 4);
}

static void test_what_others_depend_on_stays(void **state)
{
    struct world *w = *state;
    const struct retention keep = {.executions_ms = 1};
    struct err e = {0};
    fleet_there(w, 1, 2, "1.0");
    firmware(w, "1.0");
    struct campaign_spec spec =
        spec_with(firmware(w, "0.9"), "{\"dynamic\":true,\"tags\":{\"never\":\"x\"}}", NULL, NULL);
    struct creation open = {.spec = spec};
    tag(w, 1, 1, "never", "x");
    must(w, create, &open);
    campaign_spec_clear(&spec);
    tick(w);
    int64_t id = finished(w, "1.1", 2);
    later(w, DAY);
    assert_int_equal(prune(w, &keep).removed[RETENTION_EXECUTIONS], 0); /* an older dynamic one is open */
    if (try_it(w, rollback, &id, &e) < 0)
        fail_msg("%s", e.text);
    act(w, open.id, CAMPAIGN_CANCEL);
    later(w, DAY);
    assert_int_equal(rows(w, id), 2); /* its devices are being put back */
    prune(w, &keep);
    assert_int_equal(rows(w, id), 2);
    for (unsigned i = 1; i <= 2; i++)
        inform(w, i, "1.0");
    later(w, DAY);
    prune(w, &keep);
    assert_int_equal(rows(w, id), 0);
}

static void test_by_number(void **state)
{
    struct world *w = *state;
    static const char *const versions[] = {"1.1", "1.2", "1.3"};
    int64_t ids[3];
    fleet_there(w, 1, 10, "1.0");
    for (int i = 0; i < 3; i++) {
        ids[i] = finished(w, versions[i], 10);
        later(w, HOUR);
    }
    assert_int_equal(prune(w, &(struct retention){.rows = 30}).removed[RETENTION_EXECUTIONS], 0);
    assert_int_equal(prune(w, &(struct retention){.rows = 29}).removed[RETENTION_EXECUTIONS], 10);
    assert_int_equal(rows(w, ids[0]), 0);
    assert_int_equal(prune(w, &(struct retention){.rows = 20}).removed[RETENTION_EXECUTIONS], 0);
    assert_int_equal(prune(w, &(struct retention){.rows = 1}).removed[RETENTION_EXECUTIONS], 20);
    assert_int_equal(prune(w, &(struct retention){0}).removed[RETENTION_EXECUTIONS], 0);
}

/* Killed after any step, it goes on where it was. */
static void test_in_steps(void **state)
{
    struct world *w = *state;
    const struct retention keep = {.executions_ms = DAY};
    fleet(w, 1, 6000, "1.0");
    int64_t id = launch(w, NULL, NULL, NULL);
    act(w, id, CAMPAIGN_CANCEL_FORCE);
    assert_true(campaign_now(w, id).finished_at_ms > 0);
    w->now_ms += DAY;
    int64_t left = rows(w, id), pruned_at_ms = w->now_ms;
    assert_int_equal(left, 6000);
    for (int steps = 0; left > 0; steps++) {
        struct retention_round r = begin(w, &keep);
        step(w, &r);
        int64_t now = rows(w, id);
        assert_true(now < left && left - now <= RETENTION_STEP_ROWS);
        assert_int_equal(left - now, r.removed[RETENTION_EXECUTIONS]);
        assert_int_equal(campaign_now(w, id).pruned_at_ms, pruned_at_ms);
        assert_int_equal(counted(w, id), 6000);
        left = now;
        w->now_ms += MINUTE;
        assert_true(steps > 0 || left > 0);
    }
}

/* ---- lines */

static void test_timeline(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 3, "1.0");
    int64_t before = query(w, "SELECT count(*) FROM timeline", 0, 0);
    int64_t last = query(w, "SELECT coalesce(max(id), 0) FROM timeline", 0, 0);
    later(w, 10 * DAY);
    write_rows(
        w,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
        "INSERT INTO timeline (device_id, at_ms, kind) SELECT 1 + i % 3, 1800000000000 + i, 'test' FROM n");
    w->now_ms = START_MS + 10 * DAY;
    assert_int_equal(prune(w, &(struct retention){0}).removed[RETENTION_TIMELINE], 0);
    struct retention_round r = prune(w, &(struct retention){.timeline_ms = 10 * DAY - 500});
    assert_int_equal(r.removed[RETENTION_TIMELINE], before + 500);
    assert_int_equal(query(w, "SELECT min(id) FROM timeline", 0, 0), last + 501);
    r = prune(w, &(struct retention){.rows = 100});
    assert_int_equal(r.removed[RETENTION_TIMELINE], 400);
    assert_int_equal(query(w, "SELECT min(id) FROM timeline", 0, 0), last + 901);
}

static void test_audit(void **state)
{
    struct world *w = *state;
    write_rows(w, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
                  "INSERT INTO audit (at_ms, token_id, who, address, method, path, status) "
                  "SELECT 1800000000000 + i, 0, 'socket', '', 'POST', '/', 200 FROM n");
    w->now_ms = START_MS + DAY;
    struct retention_round r = prune(w, &(struct retention){.audit_ms = DAY - 300});
    assert_int_equal(r.removed[RETENTION_AUDIT], 300);
    assert_int_equal(query(w, "SELECT min(id) FROM audit", 0, 0), 301);
    r = prune(w, &(struct retention){.audit_ms = DAY - 300, .rows = 50});
    assert_int_equal(r.removed[RETENTION_AUDIT], 650);
}

/* Years ahead for the time of a round: what goes is of one day, and by number all goes that is too much. */
static void test_a_clock_that_is_ahead(void **state)
{
    struct world *w = *state;
    const struct retention keep = {.executions_ms = DAY, .timeline_ms = DAY, .audit_ms = DAY};
    int64_t ids[3];
    fleet_there(w, 1, 2, "1.0");
    for (int i = 0; i < 3; i++) {
        ids[i] = finished(w, (const char *[]){"1.1", "1.2", "1.3"}[i], 2);
        later(w, 2 * DAY);
    }
    write_rows(w, "DELETE FROM timeline;"
                  "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) "
                  "INSERT INTO timeline (device_id, at_ms, kind) "
                  "SELECT 1, 1800000000000 + i * 86400000, 'test' FROM n;"
                  "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) "
                  "INSERT INTO audit (at_ms, token_id, who, address, method, path, status) "
                  "SELECT 1800000000000 + i * 86400000, 0, 'socket', '', 'POST', '/', 200 FROM n");
    w->now_ms += 3650 * DAY;
    struct retention_round r = prune(w, &keep);
    assert_int_equal(r.removed[RETENTION_EXECUTIONS], 2);
    assert_int_equal(rows(w, ids[1]) + rows(w, ids[2]), 4);
    assert_int_equal(r.removed[RETENTION_TIMELINE], 2);
    assert_int_equal(r.removed[RETENTION_AUDIT], 2);
    r = prune(w, &keep); /* and an hour later, should it be right */
    assert_int_equal(r.removed[RETENTION_EXECUTIONS], 2);
    assert_int_equal(r.removed[RETENTION_TIMELINE], 2);
    r = prune(w, &(struct retention){.timeline_ms = DAY, .rows = 1});
    assert_int_equal(r.removed[RETENTION_TIMELINE], 5);
}

/* Of a device that is gone the name is kept while an execution tells of it. */
static void test_names(void **state)
{
    struct world *w = *state;
    const struct retention keep = {.executions_ms = DAY};
    fleet_there(w, 1, 600, "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    for (unsigned i = 1; i <= 600; i++)
        remove_device(w, i);
    fleet(w, 601, 601, "1.0");
    remove_device(w, 601); /* of which nothing tells */
    tick(w);
    assert_campaign(w, id, CAMPAIGN_COMPLETED);
    assert_int_equal(prune(w, &keep).removed[RETENTION_GONE], 1);
    assert_int_equal(query(w, "SELECT count(*) FROM device_gone", 0, 0), 600);
    later(w, DAY);
    struct retention_round r = prune(w, &keep);
    assert_int_equal(r.removed[RETENTION_EXECUTIONS], 600);
    assert_int_equal(r.removed[RETENTION_GONE], 600);
}

/* ---- the store does not grow for ever */

static int64_t file_bytes(struct world *w)
{
    struct stat st;
    restart(w); /* the WAL is moved into the file */
    assert_int_equal(stat(w->path, &st), 0);
    return st.st_size;
}

static void cycle(struct world *w, unsigned n)
{
    const struct retention keep = {.executions_ms = 3 * DAY, .timeline_ms = 3 * DAY};
    char version[16];
    snprintf(version, sizeof version, "2.%u", n);
    arrive(w, 1, 200);
    finished(w, version, 200);
    w->now_ms += DAY;
    prune(w, &keep);
}

static void test_pages_are_used_again(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 200, "1.0");
    unsigned n = 0;
    while (n < 3)
        cycle(w, n++);
    int64_t early = file_bytes(w);
    while (n < 6)
        cycle(w, n++);
    int64_t full = file_bytes(w);
    while (n < 18)
        cycle(w, n++);
    int64_t late = file_bytes(w);
    assert_true(early > 0);
    /* a campaign's own row, counts and firmware stay: far less than what its executions took */
    assert_in_range(late, 0, full + full / 10);
}

#define WORLD(test) cmocka_unit_test_setup_teardown(test, fleet_enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_by_age),
        WORLD(test_nothing_follows_what_is_gone),
        WORLD(test_what_is_not_over_stays),
        WORLD(test_what_others_depend_on_stays),
        WORLD(test_by_number),
        WORLD(test_in_steps),
        WORLD(test_timeline),
        WORLD(test_audit),
        WORLD(test_a_clock_that_is_ahead),
        WORLD(test_names),
        WORLD(test_pages_are_used_again),
    };
    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
