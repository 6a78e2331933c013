/* When a campaign can be over at the earliest: by its rate, its slots, its waves and its window. */
#include "base/clock.h"
#include "rollout/plan.h"
#include "rollout_devices.h"

#define DEVICES 120

static int setup(void **state)
{
    struct world *w = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
    char name[8];
    for (int i = 0; i < DEVICES; i++) {
        snprintf(name, sizeof name, "d%d", i);
        inform(w, name, "1.0");
    }
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_leave(*state);
    return 0;
}

static struct plan plan_of(struct world *w, const char *waves, const char *policy)
{
    static int serial;
    char version[16];
    struct plan plan;
    struct err e;
    snprintf(version, sizeof version, "2.%d", ++serial);
    struct campaign_spec spec = spec_with(firmware(w, version), NULL, waves, policy);
    if (campaign_plan(reader(w), &spec, w->now_ms, &plan, &e) < 0)
        fail_msg("%s", e.text);
    campaign_spec_clear(&spec);
    return plan;
}

static void test_at_once(void **state)
{
    struct world *w = *state;
    struct plan plan = plan_of(w, NULL, NULL);
    assert_int_equal(plan.devices, DEVICES);
    assert_int_equal(plan.bytes, DEVICES * 1000);
    assert_int_equal(plan.earliest_end_at_ms, w->now_ms);
}

static void test_rate(void **state)
{
    struct world *w = *state;
    /* 61 a minute: one a second, since a minute's offers are spread over 61 of them */
    assert_int_equal(plan_of(w, NULL, "{\"rate_per_minute\":61}").earliest_end_at_ms,
                     w->now_ms + 119 * SECOND);
}

static void test_start_and_hold_off(void **state)
{
    struct world *w = *state;
    char policy[128], at[CLOCK_TEXT_SIZE];
    clock_format(w->now_ms + HOUR, at);
    snprintf(policy, sizeof policy, "{\"start_at\":\"%s\",\"health_hold_off\":\"10m\"}", at);
    assert_int_equal(plan_of(w, NULL, policy).earliest_end_at_ms, w->now_ms + HOUR + 10 * MINUTE);
}

/* Ten at a time, each for its hold-off. */
static void test_slots(void **state)
{
    struct world *w = *state;
    assert_int_equal(plan_of(w, NULL, "{\"max_in_flight\":10,\"health_hold_off\":\"1m\"}").earliest_end_at_ms,
                     w->now_ms + 12 * MINUTE);
}

static void test_soak(void **state)
{
    struct world *w = *state;
    const char *waves = "[{\"count\":10,\"soak\":\"30m\"},{\"count\":20,\"soak\":\"1h\"},{\"percent\":100}]";
    struct plan plan = plan_of(w, waves, NULL);
    assert_int_equal(plan.waves[0], 10);
    assert_int_equal(plan.waves[1], 20);
    assert_int_equal(plan.waves[2], 90);
    assert_int_equal(plan.earliest_end_at_ms, w->now_ms + 90 * MINUTE);
}

/* START_MS is a Friday, 08:00 UTC. */
static void test_window(void **state)
{
    struct world *w = *state;
    const char *night =
        "{\"window\":{\"from\":\"22:00\",\"to\":\"22:01\",\"tz\":\"UTC\"},\"rate_per_minute\":61}";
    /* 60 offers fit one night: one at its beginning, and each second before its end; two nights */
    assert_int_equal(plan_of(w, NULL, night).earliest_end_at_ms,
                     w->now_ms + 14 * HOUR + 24 * HOUR + 59 * SECOND);
    assert_int_equal(plan_of(w, NULL, "{\"window\":{\"from\":\"22:00\",\"to\":\"23:00\",\"tz\":\"UTC\"}}")
                         .earliest_end_at_ms,
                     w->now_ms + 14 * HOUR);
}

static void test_end_comes_before(void **state)
{
    struct world *w = *state;
    char policy[128], at[CLOCK_TEXT_SIZE];
    clock_format(w->now_ms + MINUTE, at);
    snprintf(policy, sizeof policy, "{\"end_at\":\"%s\",\"rate_per_minute\":1}", at);
    assert_true(plan_of(w, NULL, policy).earliest_end_at_ms == INT64_MAX);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_at_once), T(test_rate),   T(test_start_and_hold_off), T(test_slots),
        T(test_soak),    T(test_window), T(test_end_comes_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
