/* How fast a campaign goes: rate, slots, windows, start and end; with a fleet that comes and goes meanwhile.
 */
#include "base/clock.h"
#include "rollout/pace.h"
#include "rollout_fleet.h"

static uint64_t dice = 88172645463325252u;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 11) % sides);
}

/* ---- the rate */

#define RECORD_MAX 20000

struct record { /* when offers were made */
    size_t n;
    int64_t at_ms[RECORD_MAX];
};

static void note(struct record *r, const struct world *w)
{
    for (int64_t i = offers(w); i > 0; i--) {
        assert_true(r->n < RECORD_MAX);
        r->at_ms[r->n++] = w->now_ms;
    }
}

/* The most that any 60 s have seen; offers of one moment count together. */
static size_t busiest_minute(const struct record *r)
{
    size_t first = 0, most = 0;
    for (size_t last = 0; last < r->n; last++) {
        while (r->at_ms[last] - r->at_ms[first] >= MINUTE)
            first++;
        most = last - first + 1 > most ? last - first + 1 : most;
    }
    return most;
}

static size_t in_last(const struct record *r, int64_t now_ms, int64_t span_ms)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->at_ms[i] > now_ms - span_ms;
    return n;
}

static void test_interval_keeps_the_rate(void **state)
{
    (void)state;
    for (int64_t rate = 1; rate <= 1000; rate++) {
        int64_t us = pace_interval_us(rate);
        assert_true(us * rate >= 60000000); /* never faster */
        assert_true(us * rate <= 62000000 + rate);
    }
    assert_int_equal(pace_interval_us(0), 0);
}

/* What was paid by a clock that ran ahead holds nobody up for a day. */
static void test_clock_put_back(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 200, "1.0");
    int64_t real_ms = w->now_ms;
    w->now_ms += 24 * HOUR;
    launch(w, NULL, NULL, "{\"rate_per_minute\":60,\"offer_timeout\":\"7d\"}");
    later(w, 5 * SECOND);
    w->now_ms = real_ms;
    size_t made = 0;
    for (int i = 0; i < 60; i++) {
        later(w, SECOND);
        made += (size_t)offers(w);
    }
    assert_in_range(made, 50, 62);
}

/* Ticks each second, and devices that come back at any moment between them. */
static void run_rate(struct world *w, unsigned rate, unsigned devices, unsigned minutes)
{
    static struct record r;
    char policy[64];
    r.n = 0;
    snprintf(policy, sizeof policy, "{\"rate_per_minute\":%u}", rate);
    fleet_there(w, 1, devices / 2, "1.0");
    fleet(w, devices / 2 + 1, devices, "1.0");
    int64_t id = launch(w, NULL, NULL, policy);
    int64_t second = w->now_ms;
    note(&r, w);
    for (unsigned i = 0; i < minutes * 60; i++) {
        unsigned comes = roll(4);
        for (unsigned k = 0; k < comes; k++) {
            unsigned device = 1 + roll(devices);
            w->now_ms = second + (int64_t)k * 250 + roll(250);
            if (state_of(w, id, device) != EXECUTION_QUEUED)
                continue; /* that would be the same offer once more */
            come(w, device);
            note(&r, w);
        }
        if (comes == 0) {
            unsigned device = 1 + roll(devices);
            depart(w, device, device);
        }
        w->now_ms = second += SECOND;
        tick(w);
        note(&r, w);
    }
    assert_true(busiest_minute(&r) <= rate);
    size_t wanted = (size_t)rate * (minutes - 1);
    if ((in_last(&r, w->now_ms, (minutes - 1) * MINUTE) + 1) * 100 < wanted * 95)
        fail_msg("%zu offers in %u minutes at %u a minute", r.n, minutes, rate);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED),
                     query(w, "SELECT sum(attempt) FROM execution", 0, 0));
}

static void test_rate_600(void **state)
{
    run_rate(*state, 600, 6000, 3);
}

static void test_rate_60(void **state)
{
    run_rate(*state, 60, 600, 5);
}

/* Just below one a second: ticks each second must not halve it. */
static void test_rate_59(void **state)
{
    run_rate(*state, 59, 600, 5);
}

static void test_rate_45(void **state)
{
    run_rate(*state, 45, 600, 5);
}

static void test_rate_10(void **state)
{
    run_rate(*state, 10, 300, 10);
}

static void test_rate_1(void **state)
{
    run_rate(*state, 1, 50, 20);
}

static void test_a_second_after_idle(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 100, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"rate_per_minute\":600}");
    later(w, 24 * HOUR);
    int64_t n = 0;
    for (unsigned i = 1; i <= 100; i++) {
        come(w, i);
        n += offers(w);
    }
    assert_int_equal(n, 10);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), 10);
    struct answer answer = why_not(w, 100);
    assert_int_equal(answer.question, ASK_RATE);
    assert_true(answer.until_ms > w->now_ms && answer.until_ms <= w->now_ms + SECOND);
}

static void test_refusals_are_no_attempts(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 3, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"rate_per_minute\":1,\"max_attempts\":1}");
    arrive(w, 3, 3);
    come(w, 1);
    assert_int_equal(offers(w), 1);
    for (int i = 0; i < 20; i++) {
        come(w, 2);
        ask(w, 3);
        assert_int_equal(offers(w), 0);
    }
    assert_int_equal(query(w, "SELECT sum(attempt) FROM execution", 0, 0), 1);
    assert_int_equal(query(w, "SELECT sum(failures) FROM device", 0, 0), 0);
    assert_int_equal(query(w, "SELECT count(*) FROM timeline WHERE campaign_id > 0", 0, 0), 1);
    assert_int_equal(in_state(w, id, EXECUTION_QUEUED), 2);
    for (int i = 0; i < 3; i++) /* and they need not ask again */
        later(w, 61 * SECOND);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), 3);
}

static void test_refused_get_theirs_without_asking(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 100, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"rate_per_minute\":60}");
    later(w, SECOND); /* the walk that began with the campaign found nobody, and is over */
    assert_int_equal(w->rollout.scans.n, 0);
    for (unsigned i = 1; i <= 100; i++)
        come(w, i);
    for (int i = 0; i < 110; i++)
        later(w, SECOND);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), 100);
}

/* Ten thousand devices that were switched off, and come back within a minute. */
static void test_power_is_back(void **state)
{
    struct world *w = *state;
    static struct record r;
    unsigned first[400];
    size_t known = 0;
    r.n = 0;
    fleet(w, 1, 10000, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"rate_per_minute\":600}");
    int64_t start = w->now_ms;
    for (unsigned i = 0; i < 10000; i++) {
        int64_t at = start + (int64_t)i * 6; /* in the order in which they were registered */
        if (at / SECOND != w->now_ms / SECOND) {
            w->now_ms = at;
            tick(w);
            note(&r, w);
        }
        w->now_ms = at;
        come(w, i + 1);
        note(&r, w);
    }
    for (int s = 0; s < 120; s++) {
        later(w, SECOND);
        note(&r, w);
        for (size_t k = 0; k < w->sent && known < ARRAY_SIZE(first); k++)
            first[known++] = (unsigned)strtoul(w->out[k].device + 1, NULL, 10);
    }
    assert_true(busiest_minute(&r) <= 600);
    assert_true(in_last(&r, w->now_ms, 2 * MINUTE) >= 1150);
    assert_int_equal(known, ARRAY_SIZE(first));
    size_t rising = 0, neighbours = 0;
    for (size_t i = 1; i < known; i++) {
        rising += first[i] > first[i - 1];
        neighbours += first[i] - first[i - 1] + 20 <= 40;
    }
    assert_true(rising < known * 3 / 4);
    assert_true(neighbours < known / 10);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), r.n);
}

/* The table of who is there grows while a slow campaign goes on: nobody who waits is passed over. */
static void test_the_fleet_grows_meanwhile(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 4200, "1.0");
    arrive(w, 1, 60);
    int64_t id = launch(w, "{\"version\":\"<1.1\"}", NULL, "{\"rate_per_minute\":60}");
    for (int i = 0; i < 10; i++)
        later(w, SECOND);
    fleet(w, 4201, 13000, "1.0");
    come(w, 13000);
    for (int i = 0; i < 80; i++)
        later(w, SECOND);
    for (unsigned i = 1; i <= 60; i++)
        assert_state(w, id, i, EXECUTION_OFFERED);
}

static void test_two_campaigns_have_two_rates(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 100, "1.0");
    tag(w, 1, 50, "hall", "A");
    tag(w, 51, 100, "hall", "B");
    struct campaign_spec a =
        spec_with(firmware(w, "1.1"), "{\"tags\":{\"hall\":\"A\"}}", NULL, "{\"rate_per_minute\":30}");
    struct campaign_spec b =
        spec_with(firmware(w, "1.2"), "{\"tags\":{\"hall\":\"B\"}}", NULL, "{\"rate_per_minute\":30}");
    int64_t one = campaign_of(w, &a), two = campaign_of(w, &b);
    for (int i = 0; i < 60; i++)
        later(w, SECOND);
    for (int i = 0; i < 2; i++) {
        int64_t n = in_state(w, i ? two : one, EXECUTION_OFFERED);
        assert_true(n >= 29 && n <= 31);
    }
}

/* ---- slots */

static int64_t in_flight(struct world *w, int64_t id)
{
    return query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?1 AND state BETWEEN 2 AND 6", id, 0);
}

static int64_t silent(struct world *w, int64_t id)
{
    return query(w, "SELECT silent FROM campaign_pace WHERE campaign_id = ?1", id, 0);
}

static unsigned first_in(struct world *w, int64_t id, enum execution_state state)
{
    return (unsigned)query(w, "SELECT min(device_id) FROM execution WHERE campaign_id = ?1 AND state = ?2",
                           id, state);
}

/* Any of those who are; 1 when nobody is. */
static unsigned at_work(struct world *w, int64_t id)
{
    int64_t n = in_flight(w, id);
    return n == 0 ? 1
                  : (unsigned)query(w,
                                    "SELECT device_id FROM execution WHERE campaign_id = ?1 "
                                    "AND state BETWEEN 2 AND 6 ORDER BY device_id LIMIT 1 OFFSET ?2",
                                    id, roll((unsigned)n));
}

static void test_never_more_at_work(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 60, "1.0");
    int64_t id = launch(w, NULL, NULL,
                        "{\"max_in_flight\":5,\"max_attempts\":2,\"retry_after\":\"1m\",\"lease\":\"1h\"}");
    int64_t most = in_flight(w, id);
    for (int i = 0; i < 700; i++) {
        unsigned device = roll(3) ? at_work(w, id) : 1 + roll(60);
        switch (roll(8)) {
        case 0:
            report(w, device, EXECUTION_DOWNLOADING, (int)roll(100));
            break;
        case 1:
            report(w, device, EXECUTION_INSTALLING, -1);
            break;
        case 2:
            if (state_of(w, id, device) >= EXECUTION_OFFERED)
                inform(w, device, "1.1");
            break;
        case 3:
            report_error(w, device, REASON_FLASH);
            break;
        case 4:
            come(w, device);
            break;
        case 5:
            ask(w, device);
            break;
        default:
            later(w, SECOND * roll(5));
        }
        int64_t n = in_flight(w, id);
        most = n > most ? n : most;
        assert_true(n <= 5);
        if (i % 50 == 0)
            check_world(w);
    }
    assert_int_equal(most, 5);
    assert_true(in_state(w, id, EXECUTION_SUCCEEDED) > 15);
}

static void test_a_freed_slot_is_taken_at_the_next_tick(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 10, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"max_in_flight\":2,\"max_attempts\":1}");
    assert_int_equal(offers(w), 2);
    later(w, SECOND);
    assert_int_equal(offers(w), 0);
    struct answer answer = why_not(w, first_in(w, id, EXECUTION_QUEUED));
    assert_int_equal(answer.question, ASK_SLOTS);
    inform(w, first_in(w, id, EXECUTION_OFFERED), "1.1");
    later(w, SECOND);
    assert_int_equal(offers(w), 1);
    report_error(w, first_in(w, id, EXECUTION_OFFERED), REASON_FLASH);
    later(w, SECOND);
    assert_int_equal(offers(w), 1);
    remove_device(w, first_in(w, id, EXECUTION_OFFERED));
    later(w, SECOND);
    assert_int_equal(offers(w), 1);
    assert_int_equal(in_flight(w, id), 2);
}

/* A hold-off is work too. */
static void test_testing_holds_its_slot(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 3, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"max_in_flight\":1,\"health_hold_off\":\"5m\"}");
    inform(w, first_in(w, id, EXECUTION_OFFERED), "1.1");
    later(w, 4 * MINUTE);
    assert_int_equal(offers(w), 0);
    later(w, MINUTE);
    assert_int_equal(offers(w), 1);
}

static void test_a_silent_device_frees_its_slot(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 4, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"max_in_flight\":1,\"lease\":\"10m\",\"finish_timeout\":\"1d\"}");
    unsigned first = first_in(w, id, EXECUTION_OFFERED);
    report(w, first, EXECUTION_DOWNLOADING, 40);
    later(w, HOUR); /* as long as it is there, it holds it, silent or not */
    assert_int_equal(offers(w), 0);
    report(w, first, EXECUTION_DOWNLOADING, 50);
    depart(w, first, first);
    later(w, 10 * MINUTE);
    assert_int_equal(offers(w), 0);
    later(w, SECOND);
    assert_int_equal(offers(w), 1);
    assert_state(w, id, first, EXECUTION_DOWNLOADING);
    assert_int_equal(silent(w, id), 1);
    check_world(w);
    unsigned second = first_in(w, id, EXECUTION_OFFERED);
    later(w, 20 * MINUTE); /* the slot of the second is its own */
    assert_int_equal(offers(w), 0);
    come(w, first);
    report(w, first, EXECUTION_DOWNLOADED, -1); /* the first is back at work: one more than there may be */
    assert_int_equal(silent(w, id), 0);
    check_world(w);
    inform(w, second, "1.1");
    later(w, SECOND);
    assert_int_equal(offers(w), 0);
    inform(w, first, "1.1");
    later(w, SECOND);
    assert_int_equal(offers(w), 1);
}

/* It need not get to another state to be at work again. */
static void test_heard_again_holds_its_slot(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 4, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"max_in_flight\":1,\"lease\":\"10m\",\"finish_timeout\":\"1d\"}");
    unsigned first = first_in(w, id, EXECUTION_OFFERED);
    report(w, first, EXECUTION_DOWNLOADING, 10);
    depart(w, first, first);
    later(w, 11 * MINUTE);
    assert_int_equal(silent(w, id), 1);
    unsigned second = first_in(w, id, EXECUTION_OFFERED);
    come(w, first);
    report(w, first, EXECUTION_DOWNLOADING, 12);
    assert_state(w, id, first, EXECUTION_DOWNLOADING);
    assert_int_equal(silent(w, id), 0);
    inform(w, second, "1.1");
    later(w, SECOND);
    assert_int_equal(offers(w), 0);
}

static void test_silent_devices_end_without_negative_counts(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 12, "1.0");
    int64_t id = launch(w, NULL, NULL,
                        "{\"max_in_flight\":4,\"lease\":\"1m\",\"max_attempts\":1,\"offer_timeout\":\"1h\"}");
    unsigned at[4];
    for (int i = 0; i < 4; i++) {
        at[i] = (unsigned)query(w,
                                "SELECT device_id FROM execution WHERE campaign_id = ?1 AND state = 2 "
                                "ORDER BY 1 LIMIT 1 OFFSET ?2",
                                id, i);
        depart(w, at[i], at[i]);
    }
    later(w, 2 * MINUTE);
    assert_int_equal(silent(w, id), 4);
    assert_int_equal(in_flight(w, id), 8);
    remove_device(w, at[0]);
    assert_int_equal(silent(w, id), 3);
    inform(w, at[1], "1.1");
    report_error(w, at[2], REASON_FLASH);
    assert_int_equal(silent(w, id), 1);
    check_world(w);
    later(w, 59 * MINUTE);
    assert_state(w, id, at[3], EXECUTION_TIMED_OUT);
    assert_int_equal(silent(w, id), 0);
    act(w, id, CAMPAIGN_CANCEL_FORCE);
    assert_int_equal(in_flight(w, id), 0);
}

static void test_cancelled_while_silent(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 4, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"max_in_flight\":2,\"lease\":\"1m\"}");
    depart(w, 1, 4);
    later(w, 2 * MINUTE);
    assert_int_equal(silent(w, id), 2);
    act(w, id, CAMPAIGN_CANCEL_FORCE);
    assert_int_equal(silent(w, id), 0);
    assert_int_equal(in_state(w, id, EXECUTION_CANCELLED), 4);
}

static void test_nobody_is_silent_while_the_broker_is_away(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 4, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"max_in_flight\":2,\"lease\":\"1m\"}");
    presence_clear(w->rollout.presence);
    later(w, 12 * HOUR);
    assert_int_equal(silent(w, id), 0);
    presence_listen(w->rollout.presence, w->now_ms);
    presence_reported(w->rollout.presence);
    for (int i = 0; i < 6; i++) {
        later(w, 10 * SECOND);
        assert_int_equal(silent(w, id), 0);
    }
    later(w, SECOND);
    assert_int_equal(silent(w, id), 2);
}

static void test_nobody_is_silent_after_a_restart(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 30, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"max_in_flight\":10,\"lease\":\"10m\"}");
    later(w, HOUR);
    assert_int_equal(silent(w, id), 0); /* all are there */
    restart(w);
    w->now_ms += 3 * HOUR;
    presence_listen(w->rollout.presence, w->now_ms);
    unsigned waits = first_in(w, id, EXECUTION_QUEUED);
    come(w, waits);
    assert_int_equal(offers(w), 0);
    later(w, 10 * MINUTE);
    assert_int_equal(offers(w), 0);
    assert_int_equal(silent(w, id), 0);
    later(w, SECOND);
    assert_int_equal(silent(w, id), 10);
    assert_int_equal(offers(w), 1);
    assert_state(w, id, waits, EXECUTION_OFFERED);
}

/* Random coming, going, reporting and restarting: the sum of the silent is always what the rows say. */
static void test_silent_sum_is_always_right(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 30, "1.0");
    int64_t id =
        launch(w, NULL, NULL,
               "{\"max_in_flight\":3,\"lease\":\"1m\",\"retry_after\":\"1m\",\"offer_timeout\":\"10m\","
               "\"finish_timeout\":\"20m\",\"health_hold_off\":\"2m\",\"quarantine_after\":0}");
    presence_listen(w->rollout.presence, w->now_ms);
    int64_t most = 0;
    for (int i = 0; i < 500; i++) {
        unsigned device = 1 + roll(30);
        switch (roll(10)) {
        case 0:
            report(w, device, EXECUTION_DOWNLOADING, (int)roll(100));
            break;
        case 1:
            report(w, device, EXECUTION_INSTALLING, -1);
            break;
        case 2:
            if (roll(3) == 0 && state_of(w, id, device) >= EXECUTION_OFFERED)
                inform(w, device, "1.1");
            break;
        case 3:
            report_error(w, device, REASON_FLASH);
            break;
        case 4:
            come(w, device);
            break;
        case 5:
        case 6:
            depart(w, device, device);
            break;
        case 7:
            if (roll(20) == 0) {
                restart(w);
                presence_listen(w->rollout.presence, w->now_ms);
            }
            break;
        default:
            later(w, SECOND * (1 + roll(90)));
        }
        check_world(w);
        most = silent(w, id) > most ? silent(w, id) : most;
    }
    assert_true(most >= 3);
}

/* ---- rests */

static int rest(struct world *w, struct db *db, void *arg, struct err *e)
{
    const unsigned *n = arg;
    int rc = 0;
    for (unsigned i = 1; i <= *n && rc == 0; i++)
        rc = device_failures_set(db, i, 3, w->now_ms + HOUR, e);
    return rc;
}

/* More than one tick may send: the others' rest ends with the next one. */
static void test_many_rests_end_together(void **state)
{
    struct world *w = *state;
    unsigned n = OUT_MAX + 6;
    fleet_there(w, 1, n, "1.0");
    must(w, rest, &n);
    int64_t id = launch(w, NULL, NULL, NULL);
    assert_int_equal(offers(w), 0);
    assert_int_equal(why_not(w, 1).question, ASK_QUARANTINE);
    later(w, MINUTE);
    later(w, HOUR);
    assert_int_equal(offers(w), OUT_MAX);
    later(w, SECOND);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), n);
}

/* ---- windows */

static int64_t moment(const char *text)
{
    int64_t at_ms;
    if (clock_parse(text, &at_ms) != 0)
        fail_msg("no time: %s", text);
    return at_ms;
}

static void turn_to(struct world *w, const char *text)
{
    w->now_ms = moment(text);
    tick(w);
}

static void test_window_across_midnight(void **state)
{
    struct world *w = *state;
    w->now_ms = moment("2027-01-20T12:00:00Z"); /* a Wednesday; 20:00 in Shanghai */
    fleet_there(w, 1, 5, "1.0");
    launch(w, NULL, NULL, "{\"window\":{\"from\":\"22:00\",\"to\":\"05:00\",\"tz\":\"Asia/Shanghai\"}}");
    assert_int_equal(offers(w), 0);
    struct answer answer = why_not(w, 1);
    assert_int_equal(answer.question, ASK_WINDOW);
    assert_int_equal(answer.until_ms, moment("2027-01-20T14:00:00Z"));
    ask(w, 1);
    assert_int_equal(offers(w), 0);
    turn_to(w, "2027-01-20T13:59:59Z");
    assert_int_equal(offers(w), 0);
    turn_to(w, "2027-01-20T14:00:00Z");
    assert_int_equal(offers(w), 5);
}

static void test_window_closes(void **state)
{
    struct world *w = *state;
    w->now_ms = moment("2027-01-20T16:30:00Z");
    fleet(w, 1, 5, "1.0");
    int64_t id =
        launch(w, NULL, NULL, "{\"window\":{\"from\":\"22:00\",\"to\":\"05:00\",\"tz\":\"Asia/Shanghai\"}}");
    w->now_ms = moment("2027-01-20T20:59:59Z"); /* behind midnight */
    come(w, 1);
    assert_int_equal(offers(w), 1);
    report(w, 1, EXECUTION_DOWNLOADING, 10);
    w->now_ms = moment("2027-01-20T21:00:00Z");
    for (unsigned i = 2; i <= 4; i++) {
        come(w, i);
        assert_int_equal(offers(w), 0);
    }
    inform(w, 1, "1.1"); /* what has begun goes on */
    assert_state(w, id, 1, EXECUTION_SUCCEEDED);
    while (w->now_ms < moment("2027-01-21T13:59:00Z")) {
        later(w, MINUTE);
        assert_int_equal(offers(w), 0);
    }
    later(w, MINUTE);
    assert_int_equal(offers(w), 3);
}

static void test_window_of_a_day(void **state)
{
    struct world *w = *state;
    w->now_ms = moment("2027-01-20T12:00:00Z"); /* Wednesday */
    fleet_there(w, 1, 5, "1.0");
    launch(w, NULL, NULL, "{\"window\":{\"days\":[\"sat\"],\"from\":\"23:00\",\"to\":\"01:00\"}}");
    while (w->now_ms < moment("2027-01-23T22:59:00Z")) {
        later(w, MINUTE);
        assert_int_equal(offers(w), 0);
    }
    later(w, MINUTE);
    assert_int_equal(offers(w), 5);
}

/* A retry whose pause ends in the closed window waits for the next night. */
static void test_window_holds_retries(void **state)
{
    struct world *w = *state;
    w->now_ms = moment("2027-01-20T04:55:00Z");
    fleet_there(w, 1, 1, "1.0");
    int64_t id =
        launch(w, NULL, NULL, "{\"window\":{\"from\":\"22:00\",\"to\":\"05:00\"},\"retry_after\":\"10m\"}");
    report_error(w, 1, REASON_FLASH);
    while (w->now_ms < moment("2027-01-20T21:59:00Z")) {
        later(w, MINUTE);
        assert_int_equal(offers(w), 0);
    }
    assert_int_equal(query(w, "SELECT attempt FROM execution", 0, 0), 1);
    later(w, MINUTE);
    assert_int_equal(offers(w), 1);
    assert_state(w, id, 1, EXECUTION_OFFERED);
}

struct night { /* what a window let through, looked at each minute */
    int64_t first_ms, last_ms, offers;
};

static struct night watch(struct world *w, const char *from, const char *to)
{
    struct night night = {0};
    w->now_ms = moment(from);
    for (; w->now_ms <= moment(to); w->now_ms += MINUTE) {
        tick(w);
        for (size_t i = 0; i < w->sent; i++) {
            night.first_ms = night.offers++ == 0 ? w->now_ms : night.first_ms;
            night.last_ms = w->now_ms;
        }
    }
    return night;
}

/* The clock is put forward at 02:00 of March 28th: 02:30 is not there, and the window opens at 03:00. */
static void test_window_when_an_hour_is_skipped(void **state)
{
    struct world *w = *state;
    w->now_ms = moment("2027-03-27T12:00:00Z");
    fleet_there(w, 1, 400, "1.0");
    launch(w, NULL, NULL,
           "{\"rate_per_minute\":1,\"window\":{\"days\":[\"sun\"],\"from\":\"02:30\",\"to\":\"04:00\","
           "\"tz\":\"Europe/Berlin\"}}");
    struct night night = watch(w, "2027-03-27T12:00:00Z", "2027-03-28T12:00:00Z");
    assert_int_equal(night.first_ms, moment("2027-03-28T01:00:00Z"));
    assert_true(night.last_ms < moment("2027-03-28T02:00:00Z"));
    assert_true(night.last_ms >= moment("2027-03-28T01:58:00Z"));
}

/* It is put back at 03:00 of October 31st: what is open from 02:00 to 03:00 is so for two hours. */
static void test_window_when_an_hour_comes_twice(void **state)
{
    struct world *w = *state;
    w->now_ms = moment("2027-10-30T12:00:00Z");
    fleet_there(w, 1, 400, "1.0");
    launch(w, NULL, NULL,
           "{\"rate_per_minute\":1,\"window\":{\"days\":[\"sun\"],\"from\":\"02:00\",\"to\":\"03:00\","
           "\"tz\":\"Europe/Berlin\"}}");
    struct night night = watch(w, "2027-10-30T12:00:00Z", "2027-10-31T12:00:00Z");
    assert_int_equal(night.first_ms, moment("2027-10-31T00:00:00Z"));
    assert_true(night.last_ms >= moment("2027-10-31T01:55:00Z"));
    assert_true(night.last_ms < moment("2027-10-31T02:00:00Z"));
}

/* Each in its own night; who has no zone has no night. */
static void test_window_by_device(void **state)
{
    struct world *w = *state;
    w->now_ms = moment("2027-01-20T06:00:00Z"); /* 14:00 in Shanghai, 07:00 in Berlin */
    fleet_there(w, 1, 8, "1.0");
    tag(w, 1, 3, "tz", "Asia/Shanghai");
    tag(w, 4, 6, "tz", "Europe/Berlin");
    tag(w, 7, 7, "tz", "Middle/Earth");
    int64_t id = launch(w, NULL, NULL,
                        "{\"offer_timeout\":\"9d\","
                        "\"window\":{\"from\":\"22:00\",\"to\":\"05:00\",\"tz\":\"device\"}}");
    struct answer answer = why_not(w, 8);
    assert_int_equal(answer.question, ASK_WINDOW);
    assert_non_null(strstr(answer.text, "no tag tz"));
    assert_non_null(strstr(why_not(w, 7).text, "Middle/Earth"));
    assert_int_equal(why_not(w, 4).until_ms, moment("2027-01-20T21:00:00Z"));
    while (w->now_ms < moment("2027-01-22T06:00:00Z")) {
        later(w, MINUTE);
        for (unsigned i = 1; i <= 8; i++) {
            if (!offered(w, i))
                continue;
            assert_int_equal(w->now_ms, moment(i <= 3 ? "2027-01-20T14:00:00Z" : "2027-01-20T21:00:00Z"));
            assert_true(i <= 6);
        }
    }
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), 6);
    assert_state(w, id, 7, EXECUTION_QUEUED);
    assert_state(w, id, 8, EXECUTION_QUEUED);
    tag(w, 8, 8, "tz", "Asia/Kathmandu"); /* +05:45 */
    while (w->now_ms < moment("2027-01-22T16:14:00Z")) {
        later(w, MINUTE);
        assert_int_equal(offers(w), 0);
    }
    later(w, MINUTE);
    assert_true(offered(w, 8));
}

/* Where the clock is put forward into a window that would begin in the hour that is skipped. */
static void test_window_by_device_when_an_hour_is_skipped(void **state)
{
    struct world *w = *state;
    w->now_ms = moment("2027-03-27T12:00:00Z");
    fleet_there(w, 1, 1, "1.0");
    tag(w, 1, 1, "tz", "Europe/Berlin");
    launch(w, NULL, NULL,
           "{\"window\":{\"days\":[\"sun\"],\"from\":\"02:10\",\"to\":\"04:00\",\"tz\":\"device\"}}");
    struct night night = watch(w, "2027-03-27T12:00:00Z", "2027-03-28T12:00:00Z");
    assert_int_equal(night.offers, 1);
    assert_int_equal(night.first_ms, moment("2027-03-28T01:00:00Z"));
}

static void test_window_by_device_keeps_the_rate(void **state)
{
    struct world *w = *state;
    static struct record r;
    r.n = 0;
    w->now_ms = moment("2027-01-20T20:59:00Z");
    fleet_there(w, 1, 100, "1.0");
    tag(w, 1, 50, "tz", "Europe/Berlin");
    int64_t id =
        launch(w, NULL, NULL,
               "{\"rate_per_minute\":10,\"window\":{\"from\":\"22:00\",\"to\":\"05:00\",\"tz\":\"device\"}}");
    for (int i = 0; i < 8 * 60; i++) {
        later(w, SECOND);
        note(&r, w);
    }
    assert_true(busiest_minute(&r) <= 10);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), 50);
}

/* ---- start and end */

static void test_start_at(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 3, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"start_at\":\"2027-01-16T08:00:00Z\"}");
    assert_campaign(w, id, CAMPAIGN_SCHEDULED);
    assert_int_equal(query(w, "SELECT count(*) FROM execution", 0, 0), 0);
    ask(w, 1);
    assert_int_equal(offers(w), 0);
    assert_int_equal(why_not(w, 1).until_ms, moment("2027-01-16T08:00:00Z"));
    fleet_there(w, 4, 5, "1.0"); /* who comes meanwhile is one of its devices */
    remove_device(w, 3);
    turn_to(w, "2027-01-16T07:59:59Z");
    assert_campaign(w, id, CAMPAIGN_SCHEDULED);
    turn_to(w, "2027-01-16T08:00:00Z");
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    assert_int_equal(offers(w), 4);
    fleet_there(w, 6, 7, "1.0"); /* and who comes later is not */
    come(w, 6);
    assert_int_equal(offers(w), 0);
    later(w, MINUTE);
    assert_int_equal(query(w, "SELECT count(*) FROM execution", 0, 0), 4);
}

static void test_end_at(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 3, "1.0");
    fleet(w, 4, 6, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"end_at\":\"2027-01-16T08:00:00Z\",\"max_attempts\":1}");
    report(w, 1, EXECUTION_DOWNLOADING, 10);
    turn_to(w, "2027-01-16T07:59:59Z");
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    turn_to(w, "2027-01-16T08:00:00Z");
    struct campaign c = campaign_now(w, id);
    assert_int_equal(c.state, CAMPAIGN_CANCELLED);
    assert_string_equal(c.state_cause, "end");
    assert_int_equal(in_state(w, id, EXECUTION_CANCELLED), 3);
    assert_state(w, id, 1, EXECUTION_TIMED_OUT); /* by its own clock, of an hour */
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED) + in_state(w, id, EXECUTION_TIMED_OUT), 3);
    come(w, 4);
    assert_int_equal(offers(w), 0);
}

static void test_active_goes_on_behind_the_end(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 3, "1.0");
    int64_t id = launch(w, NULL, "[{\"percent\":100}]", "{\"end_at\":\"2027-01-15T08:30:00Z\"}");
    report(w, 1, EXECUTION_DOWNLOADING, 10);
    turn_to(w, "2027-01-15T08:30:00Z");
    assert_campaign(w, id, CAMPAIGN_CANCELLED);
    assert_state(w, id, 1, EXECUTION_DOWNLOADING);
    assert_state(w, id, 2, EXECUTION_OFFERED);
    inform(w, 1, "1.1");
    inform(w, 2, "1.1");
    assert_state(w, id, 1, EXECUTION_SUCCEEDED);
    assert_state(w, id, 2, EXECUTION_SUCCEEDED);
    report_error(w, 3, REASON_FLASH); /* and no attempt follows */
    assert_state(w, id, 3, EXECUTION_FAILED);
}

static void test_end_at_of_a_paused_one(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 3, "1.0");
    int64_t id = launch(w, NULL, NULL, "{\"end_at\":\"2027-01-16T08:00:00Z\"}");
    act(w, id, CAMPAIGN_PAUSE);
    turn_to(w, "2027-01-16T08:00:00Z");
    assert_campaign(w, id, CAMPAIGN_CANCELLED);
    assert_string_equal(campaign_now(w, id).state_cause, "end");
    assert_int_equal(in_state(w, id, EXECUTION_CANCELLED), 3);
}

static void test_end_at_of_later_waves(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 20, "1.0");
    int64_t id =
        launch(w, NULL, "[{\"count\":5},{\"percent\":100}]", "{\"end_at\":\"2027-01-15T08:30:00Z\"}");
    turn_to(w, "2027-01-15T08:30:00Z");
    assert_int_equal(in_state(w, id, EXECUTION_CANCELLED), 15);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), 5);
}

/* The end comes while its rows are made: nobody is offered anything behind it. */
static void test_end_at_while_preparing(void **state)
{
    struct world *w = *state;
    bool again;
    fleet_there(w, 1, 5000, "1.0");
    struct creation c = {
        .spec = spec_with(firmware(w, "1.1"), NULL, NULL, "{\"end_at\":\"2027-01-15T08:00:01Z\"}")};
    must(w, create, &c);
    for (int i = 0; i < 2; i++)
        must(w, tick_once, &again);
    assert_campaign(w, c.id, CAMPAIGN_PREPARING);
    later(w, 2 * SECOND);
    assert_campaign(w, c.id, CAMPAIGN_CANCELLED);
    assert_string_equal(campaign_now(w, c.id).state_cause, "end");
    assert_int_equal(in_state(w, c.id, EXECUTION_OFFERED), 0);
    campaign_spec_clear(&c.spec);
}

#define FLEET(test) cmocka_unit_test_setup_teardown(test, fleet_enter, fleet_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interval_keeps_the_rate),
        FLEET(test_rate_600),
        FLEET(test_clock_put_back),
        FLEET(test_rate_60),
        FLEET(test_rate_59),
        FLEET(test_rate_45),
        FLEET(test_rate_10),
        FLEET(test_rate_1),
        FLEET(test_a_second_after_idle),
        FLEET(test_refusals_are_no_attempts),
        FLEET(test_refused_get_theirs_without_asking),
        FLEET(test_power_is_back),
        FLEET(test_the_fleet_grows_meanwhile),
        FLEET(test_two_campaigns_have_two_rates),
        FLEET(test_never_more_at_work),
        FLEET(test_a_freed_slot_is_taken_at_the_next_tick),
        FLEET(test_testing_holds_its_slot),
        FLEET(test_a_silent_device_frees_its_slot),
        FLEET(test_heard_again_holds_its_slot),
        FLEET(test_silent_devices_end_without_negative_counts),
        FLEET(test_cancelled_while_silent),
        FLEET(test_nobody_is_silent_while_the_broker_is_away),
        FLEET(test_nobody_is_silent_after_a_restart),
        FLEET(test_silent_sum_is_always_right),
        FLEET(test_many_rests_end_together),
        FLEET(test_window_across_midnight),
        FLEET(test_window_closes),
        FLEET(test_window_of_a_day),
        FLEET(test_window_holds_retries),
        FLEET(test_window_when_an_hour_is_skipped),
        FLEET(test_window_when_an_hour_comes_twice),
        FLEET(test_window_by_device),
        FLEET(test_window_by_device_when_an_hour_is_skipped),
        FLEET(test_window_by_device_keeps_the_rate),
        FLEET(test_start_at),
        FLEET(test_end_at),
        FLEET(test_active_goes_on_behind_the_end),
        FLEET(test_end_at_of_a_paused_one),
        FLEET(test_end_at_of_later_waves),
        FLEET(test_end_at_while_preparing),
    };
    return cmocka_run_group_tests_name("rollout_pace", tests, NULL, NULL);
}
