/* The rules of a rollout against a real store: one fleet, one clock that the test turns. Tests are named
 * after the invariants of rollout/execution.h. */
#include "base/clock.h"
#include "rollout/stream.h"
#include "rollout_devices.h"
#include "store/firmware_part.h"

static int setup(void **state)
{
    *state = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
    return 0;
}

static int setup_aliyun(void **state)
{
    *state = world_enter("aliyun", (struct product){.enabled = true, .enrolment_open = true});
    return 0;
}

static int teardown(void **state)
{
    world_leave(*state);
    return 0;
}

/* ---- tests */

static void test_whole_way(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    assert_int_equal(w->sent, 1);
    struct offer offer = w->out[0].offer;
    assert_string_equal(offer.file.version, "1.1");
    assert_string_equal(offer.file.module, "default");
    assert_int_equal(offer.file.size, 1000);
    assert_true(strncmp(offer.file.url, "https://ota.test:8443/firmware/", 31) == 0);
    assert_true(offer.expires_at_ms >= w->now_ms + 24 * HOUR);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_RUNNING);
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    assert_int_equal(execution_of(w, id, "d1").attempt, 1);
    tick(w);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_COMPLETED);
    check_world(w);
}

static void test_invariant_1_final_never_changes(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.max_attempts = 1;
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec);
    int64_t execution = bring_to(w, id, "d1", EXECUTION_DOWNLOADING);
    report_error(w, "d1", execution, REASON_VERIFY);
    assert_state(w, id, "d1", EXECUTION_FAILED);
    assert_string_equal(execution_of(w, id, "d1").reason, "verify");
    assert_string_equal(execution_of(w, id, "d1").detail, "its own words");
    progress(w, "d1", execution, EXECUTION_INSTALLING, -1);
    report_error(w, "d1", execution, REASON_FLASH);
    inform(w, "d1", "1.1");
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_FAILED);
    assert_string_equal(execution_of(w, id, "d1").reason, "verify");
    struct campaign c;
    struct err e;
    assert_int_equal(campaign_get(reader(w), id, &c, &e), 0);
    assert_int_equal(c.late_success, 1);
    assert_int_equal(timeline_kind(w, "late_success"), 1);
    check_world(w);
}

static void test_invariant_1_illegal_moves(void **state)
{
    (void)state;
    for (int from = 0; from < EXECUTION_STATES; from++)
        for (int to = 0; to < EXECUTION_STATES; to++) {
            bool may = execution_may_move((enum execution_state)from, (enum execution_state)to);
            if (execution_is_final((enum execution_state)from))
                assert_false(may);
            if (to == EXECUTION_PENDING)
                assert_false(may);
            bool backwards = execution_is_active((enum execution_state)from) &&
                             execution_is_active((enum execution_state)to) && to <= from;
            if (backwards)
                assert_false(may);
        }
    assert_false(execution_may_move(EXECUTION_QUEUED, EXECUTION_DOWNLOADING));
    assert_false(execution_may_move(EXECUTION_PENDING, EXECUTION_OFFERED));
    assert_true(execution_may_move(EXECUTION_OFFERED, EXECUTION_TESTING));
}

static void test_invariant_2_one_active(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t first = campaign(w, firmware(w, "1.1"));
    bring_to(w, first, "d1", EXECUTION_DOWNLOADING);
    int64_t second = campaign(w, firmware(w, "1.2"));
    assert_int_equal(w->sent, 0);
    assert_state(w, first, "d1", EXECUTION_DOWNLOADING);
    assert_state(w, second, "d1", EXECUTION_QUEUED);
    inform(w, "d1", "1.1"); /* the first ends, the second is offered in the same breath */
    assert_state(w, first, "d1", EXECUTION_SUCCEEDED);
    assert_state(w, second, "d1", EXECUTION_OFFERED);
    assert_int_equal(w->sent, 1);
    assert_string_equal(w->out[0].offer.file.version, "1.2");
    check_world(w);
}

static void test_invariant_3_only_the_version_counts(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    int64_t execution = execution_of(w, id, "d1").id;
    progress(w, "d1", execution, EXECUTION_DOWNLOADING, 100);
    assert_state(w, id, "d1", EXECUTION_DOWNLOADED);
    progress(w, "d1", execution, EXECUTION_SUCCEEDED, -1);
    assert_state(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
}

static int set_success_by_report(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)arg;
    w->product.success_by_report = true;
    return product_update(db, &w->product, e);
}

static void test_invariant_3_own_word_where_the_product_says_so(void **state)
{
    struct world *w = *state;
    must(w, set_success_by_report, NULL);
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    progress(w, "d1", execution_of(w, id, "d1").id, EXECUTION_SUCCEEDED, -1);
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    assert_int_equal(query(w, "SELECT assumed FROM device_module WHERE version = '1.1'", 0), 1);
    check_world(w);
}

static void test_invariant_3_all_modules(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware_for(w, "esp32", "2.0"));
    spec.firmware[1] = firmware_for(w, "stm32", "3.0");
    spec.firmware_count = 2;
    inform_module(w, "d1", "esp32", "1.0");
    inform_module(w, "d1", "stm32", "1.0");
    sessions(w, "d1", 1);
    int64_t id = campaign_of(w, &spec);
    assert_string_equal(w->out[0].offer.file.module, "esp32");
    inform_module(w, "d1", "esp32", "2.0");
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    assert_int_equal(w->sent, 1);
    assert_string_equal(w->out[0].offer.file.module, "stm32");
    inform_module(w, "d1", "stm32", "3.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

static void test_invariant_4_backwards_twice_late(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    device_there(w, "d2", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    int64_t execution = execution_of(w, id, "d1").id;
    progress(w, "d1", execution, EXECUTION_DOWNLOADING, 40);
    progress(w, "d1", execution, EXECUTION_DOWNLOADING, 60);
    assert_int_equal(w->rollout.ignored, 0);
    static const struct {
        const char *device;
        enum execution_state state;
        int percent;
    } nothing[] = {
        {"d1", EXECUTION_DOWNLOADING, 60},
        {"d1", EXECUTION_DOWNLOADING, 40},
        {"d1", EXECUTION_DOWNLOADING, -1},
        {"d2", EXECUTION_INSTALLING, -1}, /* not its execution */
    };
    for (size_t i = 0; i < ARRAY_SIZE(nothing); i++) {
        progress(w, nothing[i].device, execution, nothing[i].state, nothing[i].percent);
        assert_counted(w->rollout.ignored, i + 1);
        assert_int_equal(execution_of(w, id, "d1").percent, 60);
        assert_state(w, id, "d1", EXECUTION_DOWNLOADING);
    }
    progress(w, "d1", execution, EXECUTION_INSTALLING, -1);
    progress(w, "d1", execution, EXECUTION_DOWNLOADED, -1);
    progress(w, "d1", 999999, EXECUTION_DOWNLOADED, -1);
    assert_state(w, id, "d1", EXECUTION_INSTALLING);
    assert_counted(w->rollout.ignored, 6);
    check_world(w);
}

static void test_invariant_5_newer_supersedes(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t first = campaign(w, firmware(w, "1.1"));
    int64_t second = campaign(w, firmware(w, "1.2"));
    int64_t third = campaign(w, firmware(w, "1.3"));
    assert_state(w, first, "d1", EXECUTION_SUPERSEDED);
    assert_state(w, second, "d1", EXECUTION_SUPERSEDED);
    assert_state(w, third, "d1", EXECUTION_QUEUED);
    assert_int_equal(campaign_state(w, first), CAMPAIGN_COMPLETED);
    sessions(w, "d1", 1);
    inform(w, "d1", "1.0"); /* one offer: the newest */
    assert_int_equal(w->sent, 1);
    assert_string_equal(w->out[0].offer.file.version, "1.3");
    check_world(w);
}

static void test_invariant_5_other_modules_stay(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t first = campaign(w, firmware_for(w, "stm32", "1.1"));
    campaign(w, firmware(w, "1.2"));
    assert_state(w, first, "d1", EXECUTION_QUEUED);
}

static void test_invariant_6_versions(void **state)
{
    struct world *w = *state;
    device_there(w, "below", "1.0");
    device_there(w, "on", "1.1");
    device_there(w, "above", "1.10");
    device_there(w, "odd", "not a version");
    inform_module(w, "unknown", "stm32", "1");
    sessions(w, "unknown", 1);
    int64_t id = campaign(w, firmware(w, "1.1"));
    static const struct {
        const char *device;
        enum execution_state state;
        const char *reason;
    } table[] = {
        {"below", EXECUTION_OFFERED, ""},
        {"on", EXECUTION_SUCCEEDED, "already_installed"},
        {"above", EXECUTION_SUPERSEDED, "newer_installed"},
        {"odd", EXECUTION_OFFERED, ""},
        {"unknown", EXECUTION_OFFERED, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        assert_state(w, id, table[i].device, table[i].state);
        assert_string_equal(execution_of(w, id, table[i].device).reason, table[i].reason);
    }
    assert_int_equal(w->sent, 3);
    check_world(w);
}

static void test_invariant_6_changed_while_queued(void **state)
{
    struct world *w = *state;
    device_away(w, "on", "1.0");
    device_away(w, "above", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    inform(w, "on", "1.1"); /* somebody flashed it by hand */
    assert_state(w, id, "on", EXECUTION_SUCCEEDED);
    assert_string_equal(execution_of(w, id, "on").reason, "already_installed");
    inform(w, "above", "1.2");
    assert_state(w, id, "above", EXECUTION_SUPERSEDED);
    assert_int_equal(w->sent, 0);
    check_world(w);
}

/* Invariant 6 holds for what is under way as well: who got beyond it by other means is not sent back. */
static void test_invariant_6_beyond_while_offered(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    inform(w, "d1", "1.2");
    assert_int_equal(w->sent, 0);
    assert_state(w, id, "d1", EXECUTION_SUPERSEDED);
    assert_string_equal(execution_of(w, id, "d1").reason, "newer_installed");
    check_world(w);
}

static void test_invariant_6_downgrade_allowed(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.0"));
    spec.policy.allow_downgrade = true;
    device_there(w, "d1", "2.0");
    int64_t id = campaign_of(w, &spec);
    assert_state(w, id, "d1", EXECUTION_OFFERED);
}

static void test_invariant_8_10_away_costs_nothing(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    later(w, 90 * 24 * HOUR); /* switched off for months */
    assert_int_equal(w->sent, 0);
    struct execution_view v = execution_of(w, id, "d1");
    assert_int_equal(v.state, EXECUTION_QUEUED);
    assert_int_equal(v.attempt, 0);
    assert_int_equal(query(w, "SELECT deadline_at_ms IS NULL FROM execution WHERE id = ?", v.id), 1);
    sessions(w, "d1", 1);
    struct device_event ready = event(EVENT_READY, "d1");
    must(w, deliver, &ready);
    assert_int_equal(w->sent, 1);
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    assert_int_equal(execution_of(w, id, "d1").attempt, 1);
}

static void test_invariant_11_rollback_in_testing(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.health_hold_off_ms = 5 * MINUTE;
    spec.policy.max_attempts = 1;
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec);
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_TESTING);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_TESTING);
    inform(w, "d1", "1.0");
    assert_state(w, id, "d1", EXECUTION_ROLLED_BACK);
    check_world(w);
}

static void test_invariant_11_reconnect_before_reboot(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.max_attempts = 1;
    device_there(w, "d1", "1.0");
    device_there(w, "d2", "1.0");
    int64_t id = campaign_of(w, &spec);
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    bring_to(w, id, "d2", EXECUTION_INSTALLING);
    inform(w, "d1", "1.0");
    inform(w, "d2", "1.0");
    assert_int_equal(w->sent, 0); /* and no new offer to one that installs */
    later(w, MINUTE - 1);
    assert_state(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.1"); /* it had only reconnected before its reboot */
    later(w, 1);
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    assert_state(w, id, "d2", EXECUTION_ROLLED_BACK);
    check_world(w);
}

static void test_clocks_and_attempts(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.max_attempts = 2;
    spec.policy.offer_timeout_ms = HOUR;
    spec.policy.finish_timeout_ms = 10 * MINUTE;
    spec.policy.retry_after_ms = MINUTE;
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec);
    later(w, HOUR - 1);
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    later(w, 1);
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    assert_string_equal(execution_of(w, id, "d1").reason, "timed_out");
    later(w, MINUTE - 1);
    assert_int_equal(w->sent, 0);
    later(w, 1);
    assert_int_equal(w->sent, 1);
    assert_int_equal(execution_of(w, id, "d1").attempt, 2);
    progress(w, "d1", 0, EXECUTION_DOWNLOADING, 50); /* an id is not needed: one is active */
    later(w, 10 * MINUTE - 1);
    assert_state(w, id, "d1", EXECUTION_DOWNLOADING);
    later(w, 1);
    assert_state(w, id, "d1", EXECUTION_TIMED_OUT);
    tick(w);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_COMPLETED);
    check_world(w);
}

/* While otad was away a device could not be heard: what it says when both are back comes before the clock. */
static void test_clocks_wait_for_who_could_not_be_heard(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.health_hold_off_ms = 5 * MINUTE;
    spec.policy.finish_timeout_ms = 5 * MINUTE;
    spec.policy.max_attempts = 1;
    device_there(w, "tested", "1.0");
    device_there(w, "slow", "1.0");
    device_there(w, "gone", "1.0");
    int64_t id = campaign_of(w, &spec);
    inform(w, "tested", "1.1");
    bring_to(w, id, "slow", EXECUTION_INSTALLING);
    bring_to(w, id, "gone", EXECUTION_INSTALLING);
    presence_clear(w->rollout.presence);
    later(w, HOUR);
    presence_listen(w->rollout.presence, w->now_ms);
    later(w, MINUTE - 1);
    assert_state(w, id, "gone", EXECUTION_INSTALLING);
    assert_state(w, id, "tested", EXECUTION_TESTING);
    inform(w, "slow", "1.1");
    sessions(w, "tested", 1);
    later(w, 1);
    assert_state(w, id, "gone", EXECUTION_TIMED_OUT);
    assert_state(w, id, "tested", EXECUTION_SUCCEEDED);
    later(w, 4 * MINUTE);
    assert_state(w, id, "slow", EXECUTION_TESTING);
    check_world(w);
}

static void test_retry_only_by_reason_and_backoff(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.max_attempts = 3;
    spec.policy.retry_after_ms = MINUTE;
    spec.policy.retry_on = 1u << REASON_DOWNLOAD;
    device_there(w, "d1", "1.0");
    device_there(w, "d2", "1.0");
    int64_t id = campaign_of(w, &spec);
    report_error(w, "d2", execution_of(w, id, "d2").id, REASON_FLASH);
    assert_state(w, id, "d2", EXECUTION_FAILED);
    report_error(w, "d1", 0, REASON_DOWNLOAD);
    later(w, MINUTE);
    assert_int_equal(execution_of(w, id, "d1").attempt, 2);
    report_error(w, "d1", 0, REASON_DOWNLOAD);
    later(w, 2 * MINUTE - 1); /* doubled */
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    later(w, 1);
    assert_int_equal(execution_of(w, id, "d1").attempt, 3);
    report_error(w, "d1", 0, REASON_DOWNLOAD);
    assert_state(w, id, "d1", EXECUTION_FAILED);
    check_world(w);
}

static void test_rejected_is_final(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    report_error(w, "d1", 0, REASON_REJECTED);
    assert_state(w, id, "d1", EXECUTION_REJECTED);
}

static void test_hold_off(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.health_hold_off_ms = 5 * MINUTE;
    spec.policy.max_attempts = 1;
    device_there(w, "well", "1.0");
    device_there(w, "mute", "1.0");
    device_there(w, "heard", "1.0");
    int64_t id = campaign_of(w, &spec);
    inform(w, "well", "1.1");
    inform(w, "mute", "1.1");
    inform(w, "heard", "1.1");
    sessions(w, "mute", 0);
    sessions(w, "heard", 0);
    w->now_ms += 2 * MINUTE;
    request(w, "heard");
    later(w, 3 * MINUTE - 1);
    assert_state(w, id, "well", EXECUTION_TESTING);
    later(w, 1);
    assert_state(w, id, "well", EXECUTION_SUCCEEDED);
    assert_state(w, id, "heard", EXECUTION_SUCCEEDED);
    assert_state(w, id, "mute", EXECUTION_FAILED);
    assert_string_equal(execution_of(w, id, "mute").reason, "boot");
    check_world(w);
}

static void test_offer_again(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    int64_t execution = w->out[0].offer.id;
    static const enum execution_state states[] = {EXECUTION_OFFERED, EXECUTION_DOWNLOADING,
                                                  EXECUTION_DOWNLOADED};
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        if (states[i] != EXECUTION_OFFERED)
            progress(w, "d1", execution, states[i], 20);
        assert_int_equal(w->sent, i == 0); /* a report is answered by no offer */
        request(w, "d1");
        assert_int_equal(w->sent, 1);
        assert_int_equal(w->out[0].offer.id, execution);
        assert_int_equal(w->out[0].kind, OUTGOING_OFFER);
        assert_int_equal(execution_of(w, id, "d1").attempt, 1);
        assert_state(w, id, "d1", states[i]);
    }
    progress(w, "d1", execution, EXECUTION_INSTALLING, -1);
    request(w, "d1");
    assert_int_equal(w->out[0].kind, OUTGOING_NOTHING);
    later(w, 10 * MINUTE); /* by itself the server never repeats an offer */
    assert_int_equal(w->sent, 0);
}

static void come_back(struct world *w, const char *device)
{
    struct device_event ready = event(EVENT_READY, device);
    sessions(w, device, 0);
    sessions(w, device, 1);
    must(w, deliver, &ready);
}

static void test_offer_to_who_comes_back(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    for (enum execution_state s = EXECUTION_OFFERED; s <= EXECUTION_DOWNLOADED; s++) {
        bring_to(w, id, "d1", s);
        come_back(w, "d1");
        assert_int_equal(w->sent, 1);
        assert_int_equal(w->out[0].offer.id, execution_of(w, id, "d1").id);
    }
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    come_back(w, "d1");
    assert_int_equal(w->sent, 0);
}

/* Aliyun's devices, whose SDK connects again by itself in the midst of a download. */
static void test_offer_to_who_would_begin_anew(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    come_back(w, "d1");
    assert_int_equal(w->sent, 1);
    for (enum execution_state s = EXECUTION_DOWNLOADING; s <= EXECUTION_DOWNLOADED; s++) {
        bring_to(w, id, "d1", s);
        come_back(w, "d1");
        assert_int_equal(w->sent, 0);
        inform(w, "d1", "1.0"); /* it lost its power */
        assert_int_equal(w->sent, 1);
        request(w, "d1");
        assert_int_equal(w->out[0].kind, OUTGOING_OFFER);
        assert_state(w, id, "d1", s);
        assert_int_equal(execution_of(w, id, "d1").attempt, 1);
    }
}

/* A foreign broker tells nothing of a device that stays connected to it while otad's own link is down. */
static void test_offers_that_may_be_lost_are_repeated(void **state)
{
    struct world *w = *state;
    presence_close(w->rollout.presence);
    w->rollout.presence = presence_open(HOUR);
    inform(w, "d1", "1.0");
    inform(w, "busy", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    assert_int_equal(w->sent, 2);
    bring_to(w, id, "busy", EXECUTION_DOWNLOADING);
    later(w, SECOND);
    presence_clear(w->rollout.presence);
    later(w, MINUTE);
    assert_int_equal(w->sent, 0);
    presence_listen(w->rollout.presence, w->now_ms);
    tick(w);
    assert_int_equal(w->sent, 1);
    assert_string_equal(w->out[0].device, "d1");
    assert_int_equal(w->out[0].offer.id, execution_of(w, id, "d1").id);
    assert_int_equal(execution_of(w, id, "d1").attempt, 1);
    later(w, SECOND);
    assert_int_equal(w->sent, 0);
    check_world(w);
}

static void test_request_without_anything(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    request(w, "d1");
    assert_int_equal(w->sent, 1);
    assert_int_equal(w->out[0].kind, OUTGOING_NOTHING);
    assert_string_equal(w->out[0].device, "d1");
    assert_string_equal(w->out[0].protocol, "native");
}

static void test_pause_resume_cancel(void **state)
{
    struct world *w = *state;
    device_there(w, "active", "1.0");
    device_away(w, "queued", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    bring_to(w, id, "active", EXECUTION_DOWNLOADING);
    act(w, id, CAMPAIGN_PAUSE);
    inform(w, "queued", "1.0");
    sessions(w, "queued", 1);
    assert_int_equal(w->sent, 0);
    assert_state(w, id, "queued", EXECUTION_QUEUED);
    act(w, id, CAMPAIGN_RESUME); /* the device is there, the tick finds it */
    assert_int_equal(w->sent, 1);
    assert_string_equal(w->out[0].device, "queued");

    device_away(w, "late", "1.0");
    int64_t second = campaign(w, firmware(w, "1.2"));
    assert_state(w, second, "late", EXECUTION_QUEUED);
    act(w, second, CAMPAIGN_CANCEL);
    assert_state(w, second, "late", EXECUTION_CANCELLED);
    act(w, id, CAMPAIGN_CANCEL);
    assert_state(w, id, "active", EXECUTION_DOWNLOADING);
    inform(w, "active", "1.1");
    assert_state(w, id, "active", EXECUTION_SUCCEEDED);
    report_error(w, "queued", 0, REASON_DOWNLOAD); /* no other attempt for a cancelled campaign */
    assert_state(w, id, "queued", EXECUTION_FAILED);
    struct act again = {id, CAMPAIGN_RESUME};
    struct err e;
    assert_int_equal(try_it(w, act_run, &again, &e), -ERR_CONFLICT);
    check_world(w);
}

static void test_cancel_by_force(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    bring_to(w, id, "d1", EXECUTION_DOWNLOADING);
    act(w, id, CAMPAIGN_CANCEL);
    assert_state(w, id, "d1", EXECUTION_DOWNLOADING);
    act(w, id, CAMPAIGN_CANCEL_FORCE);
    assert_state(w, id, "d1", EXECUTION_CANCELLED);
    struct act again = {id, CAMPAIGN_CANCEL_FORCE};
    struct err e;
    assert_int_equal(try_it(w, act_run, &again, &e), -ERR_CONFLICT);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_CANCELLED);
    check_world(w);
}

static void test_draft_waits_for_start(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.draft = true;
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec);
    assert_int_equal(w->sent, 0);
    assert_int_equal(query(w, "SELECT count(*) FROM execution", 0), 0);
    act(w, id, CAMPAIGN_START);
    assert_int_equal(w->sent, 1);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_RUNNING);
}

static struct campaign_spec two_modules(struct world *w)
{
    struct campaign_spec spec = spec_for(firmware_for(w, "esp32", "2.0"));
    spec.firmware[1] = firmware_for(w, "stm32", "3.0");
    spec.firmware_count = 2;
    inform_module(w, "d1", "esp32", "1.0");
    inform_module(w, "d1", "stm32", "1.0");
    sessions(w, "d1", 1);
    return spec;
}

/* What a device says of a module that is not the one it works on is no news of its work. */
static void test_modules_do_not_disturb_each_other(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = two_modules(w);
    spec.policy.max_attempts = 2;
    int64_t id = campaign_of(w, &spec);
    report_error(w, "d1", 0, REASON_DOWNLOAD);
    later(w, HOUR);
    assert_int_equal(execution_of(w, id, "d1").attempt, 2);
    bring_to(w, id, "d1", EXECUTION_DOWNLOADING);
    inform_module(w, "d1", "stm32", "3.0"); /* by other means, and out of turn */
    assert_state(w, id, "d1", EXECUTION_DOWNLOADING);
    assert_int_equal(execution_of(w, id, "d1").attempt, 2);
    inform_module(w, "d1", "esp32", "2.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

static void test_invariant_11_only_of_the_module_at_work(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = two_modules(w);
    int64_t id = campaign_of(w, &spec);
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform_module(w, "d1", "stm32", "1.0"); /* its turn has not come */
    later(w, MINUTE);
    assert_state(w, id, "d1", EXECUTION_INSTALLING);
    check_world(w);
}

/* A rollback in the hold-off is an attempt like others: the next one offers again what was thought done. */
static void test_invariant_11_rollback_in_testing_is_retried(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.health_hold_off_ms = 5 * MINUTE;
    spec.policy.max_attempts = 2;
    spec.policy.retry_after_ms = MINUTE;
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_TESTING);
    inform(w, "d1", "1.0");
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    later(w, MINUTE);
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    assert_int_equal(w->sent, 1);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_TESTING);
    inform(w, "d1", "1.0");
    assert_state(w, id, "d1", EXECUTION_ROLLED_BACK);
    check_world(w);
}

/* Two modules, of which the second fails its hold-off: the first stays done, and attempts are still counted.
 */
static void test_retry_from_testing_of_one_module(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = two_modules(w);
    spec.policy.health_hold_off_ms = 5 * MINUTE;
    spec.policy.max_attempts = 2;
    spec.policy.retry_after_ms = 0;
    int64_t id = campaign_of(w, &spec);
    inform_module(w, "d1", "esp32", "2.0");
    inform_module(w, "d1", "stm32", "3.0");
    assert_state(w, id, "d1", EXECUTION_TESTING);
    inform_module(w, "d1", "stm32", "1.0");
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    assert_string_equal(w->out[0].offer.file.module, "stm32");
    assert_int_equal(execution_of(w, id, "d1").attempt, 2);
    inform_module(w, "d1", "stm32", "3.0");
    inform_module(w, "d1", "stm32", "1.0");
    assert_state(w, id, "d1", EXECUTION_ROLLED_BACK);
    check_world(w);
}

/* Not heard in its hold-off, with attempts left: its next word of its version decides. */
static void test_silent_in_hold_off_is_retried(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.health_hold_off_ms = 5 * MINUTE;
    spec.policy.retry_after_ms = MINUTE;
    device_there(w, "slow", "1.0");
    device_there(w, "back", "1.0");
    int64_t id = campaign_of(w, &spec);
    inform(w, "slow", "1.1");
    inform(w, "back", "1.1");
    sessions(w, "slow", 0);
    sessions(w, "back", 0);
    later(w, 5 * MINUTE);
    assert_state(w, id, "slow", EXECUTION_QUEUED);
    later(w, MINUTE);
    sessions(w, "slow", 1);
    sessions(w, "back", 1);
    request(w, "slow"); /* the version the store has of it is from before */
    assert_int_equal(w->out[0].kind, OUTGOING_NOTHING);
    assert_state(w, id, "slow", EXECUTION_QUEUED);
    inform(w, "slow", "1.1");
    assert_state(w, id, "slow", EXECUTION_SUCCEEDED);
    inform(w, "back", "1.0");
    assert_state(w, id, "back", EXECUTION_OFFERED);
    assert_int_equal(execution_of(w, id, "back").attempt, 2);
    check_world(w);
}

/* What is under way when its campaign is cancelled may end, but nothing more of it begins. */
static void test_cancelled_between_modules(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = two_modules(w);
    int64_t id = campaign_of(w, &spec);
    act(w, id, CAMPAIGN_CANCEL);
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    inform_module(w, "d1", "esp32", "2.0");
    assert_state(w, id, "d1", EXECUTION_CANCELLED);
    check_world(w);
}

/* A newer campaign has come while an attempt ran: there is no second attempt of the older one. */
static void test_invariant_5_no_retry_beside_a_newer_one(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1"));
    spec.policy.allow_downgrade = true;
    device_there(w, "d1", "1.0");
    int64_t first = campaign_of(w, &spec), second = campaign(w, firmware(w, "1.2"));
    assert_state(w, first, "d1", EXECUTION_OFFERED);
    assert_state(w, second, "d1", EXECUTION_QUEUED);
    report_error(w, "d1", 0, REASON_DOWNLOAD);
    assert_state(w, first, "d1", EXECUTION_SUPERSEDED);
    assert_state(w, second, "d1", EXECUTION_OFFERED);
    inform(w, "d1", "1.2");
    later(w, HOUR);
    assert_int_equal(w->sent, 0);
    check_world(w);
}

/* A campaign that is not for a device takes nothing from it. */
static void test_invariant_5_only_by_what_applies(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.2");
    int64_t first = campaign(w, firmware(w, "1.3")), second = campaign(w, firmware(w, "1.1"));
    assert_state(w, second, "d1", EXECUTION_SUPERSEDED);
    assert_state(w, first, "d1", EXECUTION_QUEUED);
    check_world(w);
}

/* Who waited behind a campaign that is cut off gets its turn at once. */
static void test_force_frees_for_the_next(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t first = campaign(w, firmware(w, "1.1")), second = campaign(w, firmware(w, "1.2"));
    assert_state(w, second, "d1", EXECUTION_QUEUED);
    act(w, first, CAMPAIGN_CANCEL_FORCE);
    tick(w);
    assert_state(w, first, "d1", EXECUTION_CANCELLED);
    assert_state(w, second, "d1", EXECUTION_OFFERED);
    check_world(w);
}

static int enable(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)w;
    struct device d;
    int rc = device_get(db, "thermo", "d1", &d, e);
    d.enabled = *(bool *)arg;
    return rc < 0 ? rc : device_update(db, &d, e);
}

/* Invariant 10: sessions are counted also of devices that are disabled. */
static void test_session_of_a_disabled_device(void **state)
{
    struct world *w = *state;
    bool no = false, yes = true;
    device_there(w, "d1", "1.0");
    must(w, enable, &no);
    sessions(w, "d1", 0);
    must(w, enable, &yes);
    int64_t id = campaign(w, firmware(w, "1.1"));
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    assert_int_equal(presence_count(w->rollout.presence), 0);
}

static int tag_device(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)w;
    static const struct device_tag tags[] = {{"site", "A"}, {"rack", "3"}};
    struct device d;
    int rc = device_get(db, "thermo", arg, &d, e);
    return rc < 0 ? rc : device_tags_set(db, d.id, tags, 2, e);
}

static void test_targets(void **state)
{
    struct world *w = *state;
    for (int i = 1; i <= 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%d", i);
        device_away(w, name, "1.0");
    }
    must(w, tag_device, "d2");
    must(w, tag_device, "d3");
    static const struct {
        const char *target;
        int expected;
    } table[] = {
        {NULL, 4},
        {"{\"devices\":[\"d1\",\"d4\"]}", 2},
        {"{\"tags\":{\"site\":\"A\"}}", 2},
        {"{\"tags\":{\"site!\":\"A\"}}", 2},
        {"{\"tags\":{\"site\":true}}", 2},
        {"{\"tags\":{\"rack\":false}}", 2},
        {"{\"tags\":{\"site\":\"A\",\"rack\":false}}", 0},
        {"{\"devices\":[\"d1\",\"d3\"],\"tags\":{\"site\":\"A\",\"rack\":\"3\"}}", 1},
        {"{\"version\":\">=1.0 <1.1\"}", 4},
        {"{\"version\":\">1.0\"}", 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char version[8];
        snprintf(version, sizeof version, "2.%zu", i);
        struct campaign_spec spec = spec_with(firmware(w, version), table[i].target, NULL, NULL);
        int64_t id = campaign_of(w, &spec);
        assert_int_equal(query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?", id),
                         table[i].expected);
    }
    check_world(w);
}

static void test_creation_refused(void **state)
{
    struct world *w = *state;
    int64_t good = firmware(w, "1.1"), same_module = firmware(w, "1.2");
    static const struct {
        const char *target, *field;
        int second; /* 0 none, 1 the same module, 2 unknown */
    } table[] = {
        {"{\"product\":\"other\"}", "target.product", 0},
        {"{\"devices\":[\"nobody\"]}", "target.devices", 0},
        {"{\"tags\":{\"site\":\"Z\"}}", "target.tags", 0},
        {"{\"tags\":{\"siet!\":\"A\"}}", "target.tags", 0},
        {"{\"version\":\"newest\"}", "target.version", 0},
        {"{\"campaign\":99}", "target.campaign", 0},
        {NULL, "firmware", 1},
        {NULL, "firmware", 2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct creation c = {.spec = spec_with(good, table[i].target, NULL, NULL)};
        struct err e = {0};
        if (table[i].second)
            c.spec.firmware[c.spec.firmware_count++] = table[i].second == 1 ? same_module : 4711;
        assert_int_equal(try_it(w, create, &c, &e), -ERR_INVALID);
        assert_string_equal(e.field, table[i].field);
        campaign_spec_clear(&c.spec);
    }
    assert_int_equal(query(w, "SELECT count(*) FROM campaign", 0), 0);
}

static int add_part(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct firmware f = {.id = *(int64_t *)arg};
    struct firmware_part part = {.size = 1};
    bool existed;
    static int64_t n;
    (void)w;
    n++;
    snprintf(part.filename, sizeof part.filename, "part-%lld", (long long)n);
    snprintf(part.digests.sha256, sizeof part.digests.sha256, "%064llx", (unsigned long long)n);
    return firmware_part_add(db, &f, &part, &existed, e);
}

/* An offer lists so many files: of what it does not list no device would ever hear. */
static void test_no_more_files_than_are_offered(void **state)
{
    struct world *w = *state;
    static const char *const modules[] = {"m0", "m1", "m2", "m3"};
    struct creation c = {.spec = spec_for(firmware_for(w, modules[0], "2.0"))};
    for (size_t i = 1; i < ARRAY_SIZE(modules); i++)
        c.spec.firmware[i] = firmware_for(w, modules[i], "2.0");
    c.spec.firmware_count = ARRAY_SIZE(modules);
    for (size_t i = 0; i < 61; i++)
        must(w, add_part, &c.spec.firmware[i % ARRAY_SIZE(modules)]);
    struct err e = {0};
    assert_int_equal(try_it(w, create, &c, &e), -ERR_INVALID);
    assert_string_equal(e.field, "firmware");
    c.spec.firmware[0] = firmware_for(w, "m4", "2.0"); /* one file less: 64 */
    for (size_t i = 0; i < 15; i++)
        must(w, add_part, &c.spec.firmware[0]);
    assert_int_equal(try_it(w, create, &c, &e), 0);
}

static int remove_device(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct device d;
    int rc = device_get(db, "thermo", arg, &d, e);
    if (rc == 0)
        rc = execution_remove_device(db, d.id, w->now_ms, e);
    return rc < 0 ? rc : device_delete(db, d.id, w->now_ms, e);
}

static void test_removed_device(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    must(w, remove_device, "d1");
    assert_state(w, id, "d1", EXECUTION_REMOVED); /* and its name is still told */
    check_world(w);
}

static int close_enrolment(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)arg;
    w->product.enrolment_open = false;
    return product_update(db, &w->product, e);
}

static void test_strangers(void **state)
{
    struct world *w = *state;
    struct device_event other = event(EVENT_INFORM, "d1");
    strcpy(other.product, "nothing");
    strcpy(other.version, "1.0");
    must(w, deliver, &other);
    request(w, "d1"); /* only an inform registers */
    assert_counted(w->rollout.refused, 2);
    assert_int_equal(query(w, "SELECT count(*) FROM device", 0), 0);
    inform(w, "d1", "1.0");
    assert_int_equal(query(w, "SELECT count(*) FROM device", 0), 1);
    must(w, close_enrolment, NULL);
    inform(w, "d2", "1.0");
    assert_int_equal(query(w, "SELECT count(*) FROM device", 0), 1);
    assert_counted(w->rollout.refused, 3);
}

/* Its login came before it had a row: the report that registers it is the word that it is there. */
static void test_registered_over_a_session_is_there(void **state)
{
    struct world *w = *state;
    struct device_event by_https = event(EVENT_INFORM, "polls"), by_mqtt = event(EVENT_INFORM, "d1");
    strcpy(by_https.version, "1.0");
    strcpy(by_mqtt.version, "1.0");
    by_mqtt.over_session = true;
    sessions(w, "d1", 1);
    must(w, deliver, &by_mqtt);
    must(w, deliver, &by_https);
    campaign(w, firmware(w, "1.1"));
    assert_int_equal(w->sent, 1);
    assert_string_equal(w->out[0].device, "d1");
}

static void test_unchanged_reports_write_no_timeline(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 5; i++)
        inform(w, "d1", "1.0");
    assert_int_equal(timeline_kind(w, "version"), 1);
    assert_int_equal(timeline_kind(w, "registered"), 1);
}

static int deliver_download(struct world *w, struct db *db, void *arg, struct err *e)
{
    forget(w);
    return rollout_download(&w->rollout, db, arg, w->now_ms, &w->out[0], &w->sent, e);
}

static void test_downloads_speak_for_who_is_silent(void **state)
{
    struct world *w = *state;
    static const char *const names[] = {"mute", "speaks"};
    device_there(w, "mute", "1.0");
    device_there(w, "speaks", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    sessions(w, "mute", 0);
    for (size_t i = 0; i < 2; i++) {
        struct device_event ev = event(EVENT_PROGRESS, names[i]);
        ev.state = EXECUTION_DOWNLOADING;
        ev.percent = 30;
        must(w, deliver_download, &ev);
    }
    assert_state(w, id, "mute", EXECUTION_DOWNLOADING);
    assert_int_equal(execution_of(w, id, "mute").percent, 30);
    assert_state(w, id, "speaks", EXECUTION_OFFERED);
    struct device_event stranger = event(EVENT_PROGRESS, "nobody");
    must(w, deliver_download, &stranger);
    assert_int_equal(w->rollout.refused, 0);
}

static void test_poll_idle(void **state)
{
    struct world *w = *state;
    bool idle;
    struct err e;
    device_away(w, "d1", "1.0");
    int64_t device_id = query(w, "SELECT id FROM device", 0);
    assert_int_equal(rollout_poll_idle(reader(w), device_id, "default", "1.0", w->now_ms, &idle, &e), 0);
    assert_true(idle);
    assert_int_equal(rollout_poll_idle(reader(w), device_id, "default", "1.1", w->now_ms, &idle, &e), 0);
    assert_false(idle);
    campaign(w, firmware(w, "1.1"));
    assert_int_equal(rollout_poll_idle(reader(w), device_id, "default", "1.0", w->now_ms, &idle, &e), 0);
    assert_false(idle);
}

/* How many of those that are offered one behind the other were registered so. */
static size_t neighbours(const struct world *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->sent; i++)
        for (size_t k = 0; k < i; k++) {
            assert_true(w->out[i].offer.id != w->out[k].offer.id);
            n += k + 1 == i && w->out[i].offer.id == w->out[k].offer.id + 1;
        }
    return n;
}

/* Where all may have an offer at once they get it in the store's order; where only so many may, those lie all
 * over the fleet. */
static void test_many_devices_in_steps(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 60; i++) {
        char name[16];
        snprintf(name, sizeof name, "d%d", i);
        device_there(w, name, "1.0");
    }
    int64_t id = campaign(w, firmware(w, "1.1"));
    assert_int_equal(w->sent, 60);
    assert_int_equal(neighbours(w), 59);
    assert_int_equal(query(w, "SELECT n FROM wave_count WHERE state = 2 AND campaign_id = ?", id), 60);
    act(w, id, CAMPAIGN_CANCEL_FORCE);
    tick(w);
    struct campaign_spec spec = spec_for(firmware(w, "1.2"));
    spec.policy.max_in_flight = 60;
    campaign_of(w, &spec);
    assert_int_equal(w->sent, 60);
    assert_in_range(neighbours(w), 0, 10);
    check_world(w);
}

static void test_signed_urls(void **state)
{
    struct world *w = *state;
    char sha[SHA256_TEXT_SIZE], url[URL_SIZE];
    memset(sha, 'a', 64);
    sha[64] = '\0';
    assert_true(offer_url_make(&w->rollout, sha, "thermo", "d1", START_MS + 1000, url));
    char *e = strstr(url, "&e="), *s = strstr(url, "&s=");
    assert_non_null(e);
    assert_non_null(s);
    char expires[16] = "";
    memcpy(expires, e + 3, (size_t)(s - e - 3));
    s += 3;
    assert_true(offer_url_check(&w->rollout, sha, "thermo/d1", expires, s, START_MS));
    assert_false(offer_url_check(&w->rollout, sha, "thermo/d1", expires, s, START_MS + 1000));
    assert_false(offer_url_check(&w->rollout, sha, "thermo/d2", expires, s, START_MS));
    assert_false(offer_url_check(&w->rollout, sha, "thermo/d1", "9999999999", s, START_MS));
    assert_false(offer_url_check(&w->rollout, sha, "thermo/d1", "-1", s, START_MS));
    sha[0] = 'b';
    assert_false(offer_url_check(&w->rollout, sha, "thermo/d1", expires, s, START_MS));
}

static void test_the_longest_signed_url(void **state)
{
    struct world *w = *state;
    char sha[SHA256_TEXT_SIZE] = "", product[PRODUCT_SIZE] = "", device[DEVICE_SIZE] = "", url[URL_SIZE];
    memset(sha, 'a', sizeof sha - 1);
    memset(product, 'p', sizeof product - 1);
    memset(device, 'd', sizeof device - 1);
    memset(w->rollout.public_url, 'u', sizeof w->rollout.public_url - 1);
    assert_true(offer_url_make(&w->rollout, sha, product, device, INT64_MAX, url));
    const char *s = strstr(url, "&s=");
    assert_non_null(s);
    assert_int_equal(strlen(s + 3), 22);
}

static int flush(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)arg;
    bool more;
    return presence_flush(w->rollout.presence, db, 10, &more, e);
}

static void test_presence_last_seen_is_stored(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = query(w, "SELECT id FROM device", 0);
    assert_int_equal(presence_last_seen(w->rollout.presence, id), START_MS);
    assert_int_equal(presence_count(w->rollout.presence), 1);
    must(w, flush, NULL);
    assert_int_equal(query(w, "SELECT last_seen_at_ms FROM device", 0), START_MS);
    presence_forget(w->rollout.presence, id);
    assert_int_equal(presence_count(w->rollout.presence), 0);
    sessions(w, "d1", 2);
    presence_clear(w->rollout.presence);
    assert_int_equal(presence_count(w->rollout.presence), 0);
    assert_false(presence_there(w->rollout.presence, id, START_MS));
}

/* ---- files in blocks */

static int find_stream(struct world *w, const char *device, bool by_execution, int64_t stream, int64_t file,
                       struct stream_file *out)
{
    struct err e;
    struct device_event ev = event(EVENT_FILE, device);
    struct file_request ask = {.by_execution = by_execution, .stream = stream, .file = file};
    ev.file = &ask;
    return stream_find(reader(w), &ev, out, &e);
}

/* A device may have the files of what it is at, while it is at it. */
static void test_streams(void **state)
{
    struct world *w = *state;
    struct stream_file found;
    int64_t esp32 = firmware_for(w, "esp32", "2.0"), stm32 = firmware_for(w, "stm32", "3.0"), id;
    struct campaign_spec spec = spec_for(esp32);
    spec.firmware[1] = stm32;
    spec.firmware_count = 2;
    device_there(w, "d1", "1.0");
    device_there(w, "d2", "1.0");
    assert_int_equal(find_stream(w, "d1", false, esp32, 1, &found), -ERR_NOT_FOUND);
    id = execution_of(w, campaign_of(w, &spec), "d1").id;
    assert_int_equal(find_stream(w, "d1", false, esp32, 1, &found), 0);
    assert_int_equal(found.execution_id, id);
    assert_int_equal(found.size, 1000);
    assert_string_equal(found.product, "thermo");
    assert_int_equal(find_stream(w, "d1", false, esp32, 0, &found), -ERR_NOT_FOUND);
    assert_int_equal(find_stream(w, "d1", false, esp32, 2, &found), -ERR_NOT_FOUND);
    assert_int_equal(find_stream(w, "d1", false, stm32 + 1, 1, &found), -ERR_NOT_FOUND);
    assert_int_equal(find_stream(w, "d1", true, id, 0, &found), 0);
    char first[SHA256_TEXT_SIZE];
    strcpy(first, found.sha256);
    assert_int_equal(find_stream(w, "d1", true, id, 1, &found), 0);
    assert_string_not_equal(found.sha256, first);
    assert_int_equal(find_stream(w, "d1", true, id, 2, &found), -ERR_NOT_FOUND);
    assert_int_equal(find_stream(w, "d2", true, id, 0, &found), -ERR_NOT_FOUND); /* another's */
    assert_int_equal(find_stream(w, "d3", true, id, 0, &found), -ERR_NOT_FOUND);
    inform_module(w, "d1", "esp32", "2.0");
    inform_module(w, "d1", "stm32", "3.0");
    assert_int_equal(find_stream(w, "d1", true, id, 0, &found), -ERR_NOT_FOUND); /* it is over */
    assert_int_equal(find_stream(w, "d1", false, esp32, 1, &found), -ERR_NOT_FOUND);
}

/* Who can take several modules at once finds them all in the offer; the first is what is next. */
static void test_offer_lists_what_is_left(void **state)
{
    struct world *w = *state;
    int64_t esp32 = firmware_for(w, "esp32", "2.0"), stm32 = firmware_for(w, "stm32", "3.0");
    struct campaign_spec spec = spec_for(esp32);
    struct device_event ask = event(EVENT_REQUEST, "d1");
    ask.reply.form = 5;
    spec.firmware[1] = stm32;
    spec.firmware_count = 2;
    device_there(w, "d1", "1.0");
    campaign_of(w, &spec);
    for (size_t left = 2; left > 0; left--) {
        must(w, deliver, &ask);
        assert_int_equal(w->sent, 1);
        assert_int_equal(w->out[0].reply.form, 5);
        const struct offer *o = &w->out[0].offer;
        assert_int_equal(o->more->n, left);
        assert_int_equal(o->file.firmware_id, left == 2 ? esp32 : stm32);
        assert_int_equal(o->more->file[left - 1].firmware_id, stm32);
        assert_int_equal(o->more->file[left - 1].index, 1);
        assert_string_equal(o->more->file[0].filename, o->file.filename);
        assert_string_equal(o->more->product_name, "Thermo");
        assert_non_null(strstr(o->more->file[left - 1].url, o->more->file[left - 1].digests.sha256));
        inform_module(w, "d1", "esp32", "2.0");
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_whole_way),
        TEST(test_invariant_1_final_never_changes),
        cmocka_unit_test(test_invariant_1_illegal_moves),
        TEST(test_invariant_2_one_active),
        TEST(test_invariant_3_only_the_version_counts),
        TEST(test_invariant_3_own_word_where_the_product_says_so),
        TEST(test_invariant_3_all_modules),
        TEST(test_invariant_4_backwards_twice_late),
        TEST(test_invariant_5_newer_supersedes),
        TEST(test_invariant_5_other_modules_stay),
        TEST(test_invariant_6_versions),
        TEST(test_invariant_6_changed_while_queued),
        TEST(test_invariant_6_beyond_while_offered),
        TEST(test_invariant_6_downgrade_allowed),
        TEST(test_invariant_8_10_away_costs_nothing),
        TEST(test_invariant_11_rollback_in_testing),
        TEST(test_invariant_11_reconnect_before_reboot),
        TEST(test_clocks_and_attempts),
        TEST(test_clocks_wait_for_who_could_not_be_heard),
        TEST(test_retry_only_by_reason_and_backoff),
        TEST(test_rejected_is_final),
        TEST(test_hold_off),
        TEST(test_offer_again),
        TEST(test_offer_to_who_comes_back),
        cmocka_unit_test_setup_teardown(test_offer_to_who_would_begin_anew, setup_aliyun, teardown),
        TEST(test_offers_that_may_be_lost_are_repeated),
        TEST(test_request_without_anything),
        TEST(test_pause_resume_cancel),
        TEST(test_cancel_by_force),
        TEST(test_modules_do_not_disturb_each_other),
        TEST(test_invariant_11_only_of_the_module_at_work),
        TEST(test_invariant_11_rollback_in_testing_is_retried),
        TEST(test_retry_from_testing_of_one_module),
        TEST(test_silent_in_hold_off_is_retried),
        TEST(test_cancelled_between_modules),
        TEST(test_invariant_5_no_retry_beside_a_newer_one),
        TEST(test_invariant_5_only_by_what_applies),
        TEST(test_force_frees_for_the_next),
        TEST(test_session_of_a_disabled_device),
        TEST(test_draft_waits_for_start),
        TEST(test_targets),
        TEST(test_creation_refused),
        TEST(test_no_more_files_than_are_offered),
        TEST(test_removed_device),
        TEST(test_strangers),
        TEST(test_registered_over_a_session_is_there),
        TEST(test_unchanged_reports_write_no_timeline),
        TEST(test_downloads_speak_for_who_is_silent),
        TEST(test_poll_idle),
        TEST(test_streams),
        TEST(test_offer_lists_what_is_left),
        TEST(test_many_devices_in_steps),
        TEST(test_signed_urls),
        TEST(test_the_longest_signed_url),
        TEST(test_presence_last_seen_is_stored),
    };
    return cmocka_run_group_tests_name("rollout", tests, NULL, NULL);
}
