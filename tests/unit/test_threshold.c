/* Invariant 7: a crossed threshold stops the campaign in the transaction of the report that crossed it. No
 * test here ticks between a report and the look at what it did. */
#include "rollout_fleet.h"

/* So many devices that are there, all of them offered version 1.1. */
static int64_t all_offered(struct world *w, unsigned n, const char *policy)
{
    fleet_there(w, 1, n, "1.0");
    int64_t id = launch(w, NULL, NULL, policy);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), n);
    return id;
}

static void succeed(struct world *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        inform(w, i, "1.1");
}

static void go_wrong(struct world *w, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++)
        report_error(w, i, REASON_FLASH);
}

static void test_pauses(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(
        w, 12, "{\"max_attempts\":1,\"stop\":[{\"on\":[\"failed\"],\"pct\":20,\"min_finished\":10}]}");
    succeed(w, 1, 8);
    go_wrong(w, 9, 9); /* 11 % of nine */
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    go_wrong(w, 10, 10);
    struct campaign c = campaign_now(w, id);
    assert_int_equal(c.state, CAMPAIGN_PAUSED);
    assert_string_equal(c.state_cause, "threshold");
    assert_string_equal(
        c.state_reason,
        "2 of 10 finished devices ended failed (2), which is 20 %: the rule stops at 20 % of 10");
    succeed(w, 11, 11); /* what is under way ends as it would */
    assert_state(w, id, 11, EXECUTION_SUCCEEDED);
    assert_state(w, id, 12, EXECUTION_OFFERED);
}

static void test_waits_for_enough_to_have_finished(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(
        w, 12, "{\"max_attempts\":1,\"stop\":[{\"on\":[\"failed\"],\"pct\":20,\"min_finished\":10}]}");
    go_wrong(w, 1, 9); /* all of nine: nine are few */
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    succeed(w, 10, 10); /* the tenth may be a good one, and nine of ten are many */
    assert_campaign(w, id, CAMPAIGN_PAUSED);
}

static void test_just_below(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(
        w, 30, "{\"max_attempts\":1,\"stop\":[{\"on\":[\"failed\"],\"pct\":10,\"min_finished\":2}]}");
    succeed(w, 1, 19);
    go_wrong(w, 20, 21);
    assert_campaign(w, id, CAMPAIGN_RUNNING); /* 2 of 21 are 9.5 % */
    succeed(w, 22, 22);
    go_wrong(w, 23, 23);
    assert_campaign(w, id, CAMPAIGN_PAUSED); /* 3 of 23 are 13 % */
}

static void test_cancels(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 6, "1.0");
    depart(w, 4, 5);
    int64_t id =
        launch(w, NULL, NULL,
               "{\"max_attempts\":1,\"stop\":[{\"on\":[\"failed\"],\"pct\":50,\"then\":\"cancel\"}]}");
    report(w, 2, EXECUTION_DOWNLOADING, 10);
    go_wrong(w, 1, 1);
    struct campaign c = campaign_now(w, id);
    assert_int_equal(c.state, CAMPAIGN_CANCELLED);
    assert_string_equal(c.state_cause, "threshold");
    arrive(w, 4, 4);
    ask(w, 4); /* its row is queued still */
    assert_int_equal(offers(w), 0);
    tick(w);
    assert_state(w, id, 4, EXECUTION_CANCELLED);
    assert_state(w, id, 5, EXECUTION_CANCELLED);
    assert_state(w, id, 2, EXECUTION_DOWNLOADING);
    inform(w, 2, "1.1");
    assert_state(w, id, 2, EXECUTION_SUCCEEDED);
    go_wrong(w, 6, 6);
    assert_state(w, id, 6, EXECUTION_FAILED);
    assert_campaign(w, id, CAMPAIGN_CANCELLED);
}

/* Each way to end has its own rule, and only that. */
static void test_by_kind(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *on;
        bool failed, rejected, timed_out, rolled_back;
    } table[] = {
        {"failed", true, false, false, false},
        {"rejected", false, true, false, false},
        {"timed_out", false, false, true, false},
        {"rolled_back", false, false, false, true},
    };
    char policy[200], version[16];
    fleet_there(w, 1, 4, "1.0");
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        snprintf(policy, sizeof policy,
                 "{\"max_attempts\":1,\"quarantine_after\":0,\"offer_timeout\":\"1h\","
                 "\"stop\":[{\"on\":[\"%s\"],\"pct\":1}]}",
                 table[i].on);
        snprintf(version, sizeof version, "2.%u", i);
        struct campaign_spec spec = spec_with(firmware(w, version), NULL, NULL, policy);
        int64_t id = campaign_of(w, &spec);
        assert_int_equal(offers(w), 4);
        bool stopped = false;
        report(w, 4, EXECUTION_TESTING, -1);
        report_error(w, 1, REASON_FLASH);
        stopped |= table[i].failed;
        assert_campaign(w, id, stopped ? CAMPAIGN_PAUSED : CAMPAIGN_RUNNING);
        report_error(w, 2, REASON_REJECTED);
        stopped |= table[i].rejected;
        assert_campaign(w, id, stopped ? CAMPAIGN_PAUSED : CAMPAIGN_RUNNING);
        inform(w, 4, "1.0");
        assert_state(w, id, 4, EXECUTION_ROLLED_BACK);
        stopped |= table[i].rolled_back;
        assert_campaign(w, id, stopped ? CAMPAIGN_PAUSED : CAMPAIGN_RUNNING);
        w->now_ms += HOUR;
        bool again;
        forget(w);
        must(w, tick_once, &again);
        assert_state(w, id, 3, EXECUTION_TIMED_OUT);
        stopped |= table[i].timed_out;
        assert_true(stopped);
        assert_campaign(w, id, CAMPAIGN_PAUSED);
        act(w, id, CAMPAIGN_CANCEL);
    }
}

static void test_kinds_add_up(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(w, 10,
                             "{\"max_attempts\":1,\"stop\":[{\"on\":[\"failed\",\"rejected\"],\"pct\":50,"
                             "\"min_finished\":4}]}");
    succeed(w, 1, 2);
    go_wrong(w, 3, 3);
    report_error(w, 4, REASON_REJECTED);
    struct campaign c = campaign_now(w, id);
    assert_int_equal(c.state, CAMPAIGN_PAUSED);
    assert_non_null(strstr(c.state_reason, "failed (1), rejected (1), which is 50 %"));
}

/* The first rule that says so decides. */
static void test_several_rules(void **state)
{
    struct world *w = *state;
    static const char policy[] = "{\"max_attempts\":1,\"stop\":["
                                 "{\"on\":[\"failed\"],\"pct\":90,\"min_finished\":10,\"then\":\"cancel\"},"
                                 "{\"on\":[\"rejected\"],\"pct\":1,\"min_finished\":1,\"then\":\"cancel\"},"
                                 "{\"on\":[\"failed\"],\"pct\":50,\"min_finished\":2,\"then\":\"pause\"}]}";
    int64_t id = all_offered(w, 6, policy);
    go_wrong(w, 1, 2);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    act(w, id, CAMPAIGN_RESUME);
    report_error(w, 3, REASON_REJECTED);
    assert_campaign(w, id, CAMPAIGN_CANCELLED);
    assert_string_equal(campaign_now(w, id).state_cause, "threshold");
}

static void test_already_installed_does_not_dilute(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 50, "1.1");
    fleet(w, 51, 55, "1.5");
    fleet_there(w, 56, 65, "1.0");
    int64_t id = launch(
        w, NULL, NULL, "{\"max_attempts\":1,\"stop\":[{\"on\":[\"failed\"],\"pct\":50,\"min_finished\":2}]}");
    assert_int_equal(in_state(w, id, EXECUTION_SUCCEEDED), 50);
    go_wrong(w, 56, 56); /* one of one: neither do they make up the two */
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    succeed(w, 57, 57);
    assert_campaign(w, id, CAMPAIGN_PAUSED); /* one of two */
}

/* Nor does who was hopeless from the beginning stop anything. */
static void test_made_as_failed_does_not_count(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 5, "1.0");
    fleet_there(w, 6, 8, "1.1");
    struct firmware f = {.size = 1000, .created_at_ms = w->now_ms};
    strcpy(f.module, "default");
    strcpy(f.version, "2.0");
    strcpy(f.filename, "default-2.0.bin");
    strcpy(f.requires, ">=1.1");
    snprintf(f.digests.sha256, sizeof f.digests.sha256, "%064x", 4711);
    strcpy(f.digests.md5, "0123456789abcdef0123456789abcdef");
    strcpy(f.digests.sha1, "0123456789abcdef0123456789abcdef01234567");
    strcpy(f.signature, "c2ln");
    must(w, add_firmware, &f);
    struct campaign_spec spec =
        spec_with(f.id, NULL, NULL, "{\"stop\":[{\"on\":[\"failed\"],\"pct\":1,\"min_finished\":1}]}");
    int64_t id = campaign_of(w, &spec);
    assert_int_equal(in_state(w, id, EXECUTION_FAILED), 5);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    inform(w, 6, "2.0");
    assert_campaign(w, id, CAMPAIGN_RUNNING);
}

static void test_attempts_do_not_count(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(
        w, 2, "{\"max_attempts\":2,\"retry_after\":\"1m\",\"stop\":[{\"on\":[\"failed\"],\"pct\":1}]}");
    go_wrong(w, 1, 1);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    later(w, MINUTE);
    go_wrong(w, 1, 1);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
}

static void test_withdrawn_does_not_count(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(
        w, 10, "{\"max_attempts\":1,\"stop\":[{\"on\":[\"failed\"],\"pct\":50,\"min_finished\":4}]}");
    go_wrong(w, 1, 2);
    for (unsigned i = 3; i <= 8; i++)
        remove_device(w, i);
    assert_campaign(w, id, CAMPAIGN_RUNNING); /* two have finished */
    succeed(w, 9, 9);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    succeed(w, 10, 10);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
}

/* No offer leaves with the report that stopped it, nor at the tick after it. */
static void test_stops_offers(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 10, "1.0");
    int64_t id = launch(w, NULL, NULL,
                        "{\"max_attempts\":1,\"max_in_flight\":2,"
                        "\"stop\":[{\"on\":[\"failed\"],\"pct\":50}]}");
    assert_int_equal(offers(w), 2);
    unsigned first = 1;
    while (state_of(w, id, first) != EXECUTION_OFFERED)
        first++;
    go_wrong(w, first, first);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    assert_int_equal(offers(w), 0);
    later(w, SECOND);
    assert_int_equal(offers(w), 0);
    for (unsigned i = 1; i <= 10; i++) {
        come(w, i);
        assert_int_equal(offers(w), 0);
    }
    assert_int_equal(in_state(w, id, EXECUTION_QUEUED), 8);
}

/* Two on the way cross it, one after the other: the second finds it stopped. */
static void test_crossed_twice_in_one_transaction(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(
        w, 6, "{\"max_attempts\":1,\"offer_timeout\":\"1h\",\"stop\":[{\"on\":[\"timed_out\"],\"pct\":50}]}");
    later(w, HOUR);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    assert_int_equal(in_state(w, id, EXECUTION_TIMED_OUT), 6);
    assert_int_equal(strncmp(campaign_now(w, id).state_reason, "1 of 1", 6), 0);
}

static void test_resume_and_crossed_again(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(
        w, 10, "{\"max_attempts\":1,\"stop\":[{\"on\":[\"failed\"],\"pct\":50,\"min_finished\":2}]}");
    go_wrong(w, 1, 2);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    act(w, id, CAMPAIGN_RESUME);
    struct campaign c = campaign_now(w, id);
    assert_int_equal(c.state, CAMPAIGN_RUNNING);
    assert_string_equal(c.state_cause, "");
    inform(w, 4, "1.1"); /* a success says nothing against going on */
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    go_wrong(w, 3, 3);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    assert_int_equal(strncmp(campaign_now(w, id).state_reason, "3 of 4", 6), 0);
}

static void test_a_success_may_wait_for_its_hold_off(void **state)
{
    struct world *w = *state;
    int64_t id = all_offered(w, 4,
                             "{\"max_attempts\":1,\"health_hold_off\":\"1m\","
                             "\"stop\":[{\"on\":[\"rolled_back\"],\"pct\":100,\"min_finished\":1}]}");
    succeed(w, 1, 2);
    assert_state(w, id, 1, EXECUTION_TESTING); /* not finished: it may yet go back */
    inform(w, 2, "1.0");
    assert_state(w, id, 2, EXECUTION_ROLLED_BACK);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    later(w, MINUTE);
    assert_state(w, id, 1, EXECUTION_SUCCEEDED);
}

#define FLEET(test) cmocka_unit_test_setup_teardown(test, fleet_enter, fleet_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLEET(test_pauses),
        FLEET(test_waits_for_enough_to_have_finished),
        FLEET(test_just_below),
        FLEET(test_cancels),
        FLEET(test_by_kind),
        FLEET(test_kinds_add_up),
        FLEET(test_several_rules),
        FLEET(test_already_installed_does_not_dilute),
        FLEET(test_made_as_failed_does_not_count),
        FLEET(test_attempts_do_not_count),
        FLEET(test_withdrawn_does_not_count),
        FLEET(test_stops_offers),
        FLEET(test_crossed_twice_in_one_transaction),
        FLEET(test_resume_and_crossed_again),
        FLEET(test_a_success_may_wait_for_its_hold_off),
    };
    return cmocka_run_group_tests_name("threshold", tests, NULL, NULL);
}
