/* Devices that come late: to campaigns they were away for, and to those that take in who comes. */
#include "base/clock.h"
#include "rollout_devices.h"

static int setup(void **state)
{
    *state = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
    return 0;
}

static int teardown(void **state)
{
    world_leave(*state);
    return 0;
}

static int64_t targeted(struct world *w, const char *version, const char *target, const char *policy)
{
    struct campaign_spec spec = spec_with(firmware(w, version), target, NULL, policy);
    return campaign_of(w, &spec);
}

/* ---- releases that were missed */

static void test_five_missed_releases_are_one_offer(void **state)
{
    static const char *const versions[] = {"1.1", "1.2", "1.3", "1.4", "1.5"};
    struct world *w = *state;
    int64_t id[5];
    device_away(w, "d1", "1.0");
    for (size_t i = 0; i < 5; i++) {
        id[i] = campaign(w, firmware(w, versions[i]));
        later(w, 24 * HOUR);
    }
    sessions(w, "d1", 1);
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "1.5");
    for (size_t i = 0; i < 4; i++) {
        assert_state(w, id[i], "d1", EXECUTION_SUPERSEDED);
        assert_int_equal(execution_of(w, id[i], "d1").attempt, 0);
    }
    inform(w, "d1", "1.5");
    assert_int_equal(w->sent, 0);
    check_world(w);
}

static void test_newest_that_is_for_it(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    device_away(w, "d2", "1.0");
    set_tag(w, "d2", "site", "A");
    int64_t first = campaign(w, firmware(w, "1.1"));
    int64_t second = targeted(w, "1.2", "{\"tags\":{\"site\":\"A\"}}", NULL);
    assert_state(w, first, "d2", EXECUTION_SUPERSEDED);
    assert_false(executes(w, second, "d1"));
    sessions(w, "d1", 1);
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "1.1");
    check_world(w);
}

/* For a device without a way the newer campaign fails at once, and takes nothing from it. */
static void test_newest_that_has_a_way(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t first = campaign(w, firmware(w, "1.1"));
    int64_t second = campaign(w, firmware_with(w, "default", "2.0", ">=1.5", ""));
    assert_string_equal(execution_of(w, second, "d1").reason, "incompatible");
    assert_state(w, first, "d1", EXECUTION_QUEUED);
    sessions(w, "d1", 1);
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "1.1");
    check_world(w);
}

/* What is above the newer one keeps what is newer still. */
static void test_newest_that_is_newer(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.5");
    int64_t first = campaign(w, firmware(w, "1.6"));
    int64_t second = campaign(w, firmware(w, "1.2"));
    assert_string_equal(execution_of(w, second, "d1").reason, "newer_installed");
    assert_state(w, first, "d1", EXECUTION_QUEUED);
}

static void test_replace_ends_a_download(void **state)
{
    struct world *w = *state;
    device_there(w, "loading", "1.0");
    device_there(w, "installing", "1.0");
    device_there(w, "offered", "1.0");
    int64_t first = campaign(w, firmware(w, "1.1"));
    bring_to(w, first, "loading", EXECUTION_DOWNLOADED);
    bring_to(w, first, "installing", EXECUTION_INSTALLING);
    int64_t second = targeted(w, "1.2", NULL, "{\"replace\":true}");
    assert_state(w, first, "loading", EXECUTION_SUPERSEDED);
    assert_state(w, first, "offered", EXECUTION_SUPERSEDED);
    assert_state(w, first, "installing", EXECUTION_INSTALLING);
    assert_state(w, second, "loading", EXECUTION_OFFERED);
    assert_state(w, second, "offered", EXECUTION_OFFERED);
    assert_state(w, second, "installing", EXECUTION_QUEUED);
    assert_int_equal(w->sent, 2);
    inform(w, "installing", "1.1");
    expect_offer(w, "installing", "1.2");
    check_world(w);
}

static void test_without_replace_it_ends_first(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t first = campaign(w, firmware(w, "1.1"));
    int64_t second = targeted(w, "1.2", NULL, NULL);
    assert_int_equal(w->sent, 0);
    assert_state(w, first, "d1", EXECUTION_OFFERED);
    bring_to(w, first, "d1", EXECUTION_DOWNLOADING);
    inform(w, "d1", "1.1");
    assert_state(w, first, "d1", EXECUTION_SUCCEEDED);
    expect_offer(w, "d1", "1.2");
    assert_state(w, second, "d1", EXECUTION_OFFERED);
}

/* What fails beside a newer one is not tried again (invariant 5). */
static void test_failed_beside_a_newer_one(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t first = campaign(w, firmware(w, "1.1"));
    int64_t second = targeted(w, "1.2", NULL, NULL);
    report_error(w, "d1", execution_of(w, first, "d1").id, REASON_DOWNLOAD);
    assert_state(w, first, "d1", EXECUTION_SUPERSEDED);
    expect_offer(w, "d1", "1.2");
    assert_state(w, second, "d1", EXECUTION_OFFERED);
    check_world(w);
}

/* ---- dynamic campaigns */

static const char site_a[] = "{\"tags\":{\"site\":\"A\"},\"dynamic\":true}";

/* Somebody has to have the tag. */
static void first_of_site(struct world *w)
{
    device_away(w, "first", "1.0");
    set_tag(w, "first", "site", "A");
}

static void test_who_registers_later(void **state)
{
    struct world *w = *state;
    int64_t dynamic = targeted(w, "1.1", "{\"dynamic\":true}", NULL);
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "1.1");
    assert_state(w, dynamic, "d1", EXECUTION_OFFERED);
    check_world(w);
}

static void test_static_takes_nobody_in(void **state)
{
    struct world *w = *state;
    device_away(w, "first", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    inform(w, "d1", "1.0");
    assert_int_equal(w->sent, 0);
    assert_false(executes(w, id, "d1"));
}

static void test_who_gets_the_tag(void **state)
{
    struct world *w = *state;
    first_of_site(w);
    device_there(w, "d1", "1.0");
    int64_t id = targeted(w, "1.1", site_a, NULL);
    assert_false(executes(w, id, "d1"));
    set_tag(w, "d1", "site", "A");
    request(w, "d1");
    expect_offer(w, "d1", "1.1");
    /* and stays in when it loses it again */
    set_tag(w, "d1", "site", NULL);
    request(w, "d1");
    expect_offer(w, "d1", "1.1");
    check_world(w);
}

static void test_who_comes_to_the_version(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = targeted(w, "2.0", "{\"version\":\">=1.5\",\"dynamic\":true}", NULL);
    assert_false(executes(w, id, "d1"));
    inform(w, "d1", "1.4");
    assert_int_equal(w->sent, 0);
    inform(w, "d1", "1.5");
    expect_offer(w, "d1", "2.0");
    check_world(w);
}

static void test_comes_back(void **state)
{
    struct world *w = *state;
    first_of_site(w);
    device_away(w, "d1", "1.0");
    int64_t id = targeted(w, "1.1", site_a, NULL);
    set_tag(w, "d1", "site", "A");
    sessions(w, "d1", 1);
    struct device_event ev = event(EVENT_READY, "d1");
    must(w, deliver, &ev);
    expect_offer(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_OFFERED);
}

static void test_paused_takes_in_and_waits(void **state)
{
    struct world *w = *state;
    int64_t id = targeted(w, "1.1", "{\"dynamic\":true}", NULL);
    act(w, id, CAMPAIGN_PAUSE);
    device_there(w, "d1", "1.0");
    assert_int_equal(w->sent, 0);
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    act(w, id, CAMPAIGN_RESUME);
    expect_offer(w, "d1", "1.1");
    check_world(w);
}

static void test_newest_dynamic_wins(void **state)
{
    struct world *w = *state;
    int64_t older = targeted(w, "1.1", "{\"dynamic\":true}", NULL);
    int64_t newer = targeted(w, "1.2", "{\"dynamic\":true}", NULL);
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "1.2");
    assert_false(executes(w, older, "d1"));
    inform(w, "d1", "1.2");
    request(w, "d1");
    assert_false(executes(w, older, "d1"));
    assert_state(w, newer, "d1", EXECUTION_SUCCEEDED);
    assert_int_equal(query(w, "SELECT count(*) FROM execution", 0), 1);
    check_world(w);
}

/* The newer one is not for it: the older one is. */
static void test_newest_dynamic_that_is_for_it(void **state)
{
    struct world *w = *state;
    first_of_site(w);
    targeted(w, "1.1", "{\"dynamic\":true}", NULL);
    targeted(w, "1.2", site_a, NULL);
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "1.1");
}

static void test_modules_have_dynamic_campaigns_of_their_own(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_with(firmware_for(w, "stm32", "3.0"), "{\"dynamic\":true}", NULL, NULL);
    int64_t other = campaign_of(w, &spec), id = targeted(w, "1.1", "{\"dynamic\":true}", NULL);
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "1.1");
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    expect_offer(w, "d1", "3.0");
    assert_state(w, other, "d1", EXECUTION_OFFERED);
    check_world(w);
}

static void test_does_not_complete(void **state)
{
    struct world *w = *state;
    char policy[64], at[CLOCK_TEXT_SIZE];
    clock_format(w->now_ms + 48 * HOUR, at);
    snprintf(policy, sizeof policy, "{\"end_at\":\"%s\"}", at);
    int64_t id = targeted(w, "1.1", "{\"dynamic\":true}", policy);
    inform(w, "d1", "1.0");
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    later(w, 24 * HOUR);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_RUNNING);
    device_there(w, "d3", "1.0");
    report_error(w, "d3", execution_of(w, id, "d3").id, REASON_DOWNLOAD);
    sessions(w, "d3", 0);
    later(w, 24 * HOUR);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_CANCELLED);
    assert_string_equal(campaign_read_back(w, id).state_cause, "end");
    assert_state(w, id, "d3", EXECUTION_CANCELLED);
    inform(w, "d4", "1.0");
    assert_int_equal(w->sent, 0);
    assert_false(executes(w, id, "d4"));
    check_world(w);
}

/* What has begun when the end comes ends as it would. */
static void test_end_spares_what_has_begun(void **state)
{
    struct world *w = *state;
    char policy[64], at[CLOCK_TEXT_SIZE];
    clock_format(w->now_ms + HOUR, at);
    snprintf(policy, sizeof policy, "{\"end_at\":\"%s\"}", at);
    int64_t id = targeted(w, "1.1", "{\"dynamic\":true}", policy);
    device_there(w, "d1", "1.0");
    later(w, HOUR - MINUTE);
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    later(w, MINUTE);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_CANCELLED);
    assert_state(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
}

static void test_percent_of_who_comes(void **state)
{
    struct world *w = *state;
    int64_t id = targeted(w, "1.1", "{\"percent\":30,\"dynamic\":true}", NULL);
    uint64_t salt = campaign_read_back(w, id).salt;
    int taken = 0;
    for (int i = 0; i < 40; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%d", i);
        inform(w, name, "1.0");
        bool in = device_hash(salt, device_id(w, name)) < hash_below(3000);
        assert_int_equal(w->sent, in ? 1 : 0);
        assert_int_equal(executes(w, id, name), in);
        taken += in;
    }
    assert_in_range(taken, 4, 24);
}

/* ---- polls */

static bool is_idle(struct world *w, const char *device, const char *version)
{
    bool idle;
    struct err e;
    assert_int_equal(
        rollout_poll_idle(reader(w), device_id(w, device), "default", version, w->now_ms, &idle, &e), 0);
    return idle;
}

static void test_idle_polls(void **state)
{
    struct world *w = *state;
    first_of_site(w);
    device_away(w, "d1", "1.0");
    int64_t id = targeted(w, "1.1", site_a, NULL);
    int64_t rows = query(w, "SELECT count(*) FROM timeline", 0);
    assert_true(is_idle(w, "d1", "1.0"));
    assert_true(is_idle(w, "d1", "")); /* it says no version */
    assert_false(is_idle(w, "d1", "1.0.1"));
    assert_false(is_idle(w, "first", "1.0")); /* it waits */
    set_tag(w, "d1", "site", "A");
    assert_false(is_idle(w, "d1", "1.0"));
    assert_int_equal(query(w, "SELECT count(*) FROM timeline", 0), rows);
    assert_false(executes(w, id, "d1"));
    inform(w, "d1", "1.0"); /* as it was not idle, it is asked */
    expect_offer(w, "d1", "1.1");
    inform(w, "d1", "1.1");
    assert_true(is_idle(w, "d1", "1.1"));
    act(w, id, CAMPAIGN_CANCEL);
    assert_true(is_idle(w, "d1", "1.1"));
}

/* Whoever is idle would have been told nothing, and nothing would have been written. */
static void test_idle_is_idle(void **state)
{
    struct world *w = *state;
    first_of_site(w);
    device_away(w, "d1", "1.0");
    targeted(w, "1.1", site_a, NULL);
    assert_true(is_idle(w, "d1", "1.0"));
    int64_t sum =
        query(w, "SELECT (SELECT count(*) FROM execution) * 1000 + (SELECT count(*) FROM timeline)", 0);
    inform(w, "d1", "1.0");
    assert_int_equal(w->sent, 0);
    assert_int_equal(
        query(w, "SELECT (SELECT count(*) FROM execution) * 1000 + (SELECT count(*) FROM timeline)", 0), sum);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_five_missed_releases_are_one_offer),
        T(test_newest_that_is_for_it),
        T(test_newest_that_has_a_way),
        T(test_newest_that_is_newer),
        T(test_replace_ends_a_download),
        T(test_without_replace_it_ends_first),
        T(test_failed_beside_a_newer_one),
        T(test_who_registers_later),
        T(test_static_takes_nobody_in),
        T(test_who_gets_the_tag),
        T(test_who_comes_to_the_version),
        T(test_comes_back),
        T(test_paused_takes_in_and_waits),
        T(test_newest_dynamic_wins),
        T(test_newest_dynamic_that_is_for_it),
        T(test_modules_have_dynamic_campaigns_of_their_own),
        T(test_does_not_complete),
        T(test_end_spares_what_has_begun),
        T(test_percent_of_who_comes),
        T(test_idle_polls),
        T(test_idle_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
