/* Which file a device is sent on its way to a goal: stepping stones where the goal requires a version, deltas
 * where there is one from just its version. Whole executions, against a real store. */
#include "rollout/stream.h"
#include "rollout_devices.h"

#define OPEN                                    \
    (struct product)                            \
    {                                           \
        .enabled = true, .enrolment_open = true \
    }

static int setup(void **state)
{
    *state = world_enter("native", OPEN);
    return 0;
}

static int setup_aliyun(void **state)
{
    *state = world_enter("aliyun", OPEN);
    return 0;
}

static int setup_onenet(void **state)
{
    *state = world_enter("onenet", OPEN);
    return 0;
}

static int setup_aws(void **state)
{
    *state = world_enter(
        "aws", (struct product){.enabled = true, .enrolment_open = true, .success_by_report = true});
    return 0;
}

static int teardown(void **state)
{
    world_leave(*state);
    return 0;
}

/* A goal that requires 1.4, and what leads there. */
static int64_t goal_with_stones(struct world *w)
{
    firmware_with(w, "default", "1.3.0", "", "");
    firmware_with(w, "default", "1.4.0", "", "");
    firmware_with(w, "default", "1.4.2", "", "");
    return firmware_with(w, "default", "2.0.0", ">=1.4.0", "");
}

/* ---- stepping stones */

static void test_one_stone(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal_with_stones(w));
    expect_offer(w, "d1", "1.4.2");
    int64_t execution = bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.4.2");
    expect_offer(w, "d1", "2.0.0"); /* in the same breath */
    assert_int_equal(w->out[0].offer.id, execution);
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    assert_int_equal(execution_of(w, id, "d1").attempt, 1);
    assert_int_equal(execution_of(w, id, "d1").percent, 0);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_RUNNING);
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "2.0.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    assert_int_equal(query(w, "SELECT count(*) FROM execution", 0), 1);
    check_world(w);
}

static void test_stone_is_not_offered_to_who_needs_none(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.4.0");
    campaign(w, goal_with_stones(w));
    expect_offer(w, "d1", "2.0.0");
}

static void test_stone_has_attempts_of_its_own(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec =
        spec_with(goal_with_stones(w), NULL, NULL, "{\"max_attempts\":2,\"retry_after\":\"1m\"}");
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign_of(w, &spec), execution = execution_of(w, id, "d1").id;
    report_error(w, "d1", execution, REASON_DOWNLOAD);
    later(w, MINUTE);
    expect_offer(w, "d1", "1.4.2");
    assert_int_equal(execution_of(w, id, "d1").attempt, 2);
    inform(w, "d1", "1.4.2");
    expect_offer(w, "d1", "2.0.0");
    assert_int_equal(execution_of(w, id, "d1").attempt, 1);
    report_error(w, "d1", execution, REASON_DOWNLOAD);
    later(w, MINUTE);
    expect_offer(w, "d1", "2.0.0");
    report_error(w, "d1", execution, REASON_DOWNLOAD);
    assert_state(w, id, "d1", EXECUTION_FAILED);
    assert_int_equal(execution_of(w, id, "d1").attempt, 2);
    check_world(w);
}

static void test_two_stones(void **state)
{
    struct world *w = *state;
    firmware_with(w, "default", "1.2.0", "", "");
    firmware_with(w, "default", "1.4.0", ">=1.2.0", "");
    int64_t goal = firmware_with(w, "default", "2.0.0", ">=1.4.0", "");
    device_there(w, "d1", "1.0.0");
    int64_t id = campaign(w, goal);
    static const char *const way[] = {"1.2.0", "1.4.0", "2.0.0"};
    for (size_t i = 0; i < ARRAY_SIZE(way); i++) {
        expect_offer(w, "d1", way[i]);
        bring_to(w, id, "d1", EXECUTION_INSTALLING);
        inform(w, "d1", way[i]);
    }
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

static void test_jumps_over_the_stone(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal_with_stones(w));
    bring_to(w, id, "d1", EXECUTION_DOWNLOADING);
    inform(w, "d1", "2.0.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    assert_int_equal(w->sent, 0);
    check_world(w);
}

/* From the stone it falls back to what it had before that: it takes the stone again, and the attempt at the
 * goal is one that failed. */
static void test_goes_back_behind_the_stone(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal_with_stones(w));
    inform(w, "d1", "1.4.2");
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.1.0");
    assert_state(w, id, "d1", EXECUTION_INSTALLING);
    later(w, MINUTE); /* rollback_confirm */
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    assert_string_equal(execution_of(w, id, "d1").reason, "rolled_back");
    later(w, 10 * MINUTE);
    expect_offer(w, "d1", "1.4.2");
    check_world(w);
}

/* Up to the stone and back again, with attempts of its own each time: that has an end all the same. */
static void test_never_beyond_the_stone(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal_with_stones(w));
    int rounds = 0;
    for (; rounds < 40 && execution_of(w, id, "d1").state < EXECUTION_SUCCEEDED; rounds++) {
        inform(w, "d1", "1.4.2");
        if (execution_of(w, id, "d1").state >= EXECUTION_SUCCEEDED)
            break;
        bring_to(w, id, "d1", EXECUTION_INSTALLING);
        inform(w, "d1", "1.1.0");
        later(w, MINUTE);
        later(w, 10 * MINUTE);
    }
    assert_int_equal(rounds, 16);
    assert_state(w, id, "d1", EXECUTION_FAILED);
    assert_string_equal(execution_of(w, id, "d1").reason, "incompatible");
    assert_string_equal(execution_of(w, id, "d1").detail, "1.4.2 again: it does not get beyond");
    check_world(w);
}

/* The old version, reported while the stone is installed, is a rollback like any other (invariant 11). */
static void test_rollback_of_the_stone(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal_with_stones(w));
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.1.0");
    later(w, MINUTE);
    assert_string_equal(execution_of(w, id, "d1").reason, "rolled_back");
}

static void test_no_way(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, firmware_with(w, "default", "2.0.0", ">=1.4.0", ""));
    assert_int_equal(w->sent, 0);
    assert_state(w, id, "d1", EXECUTION_FAILED);
    assert_string_equal(execution_of(w, id, "d1").reason, "incompatible");
    assert_string_equal(execution_of(w, id, "d1").detail,
                        "2.0.0 requires >=1.4.0, and no firmware leads there from 1.1.0");
    assert_int_equal(execution_of(w, id, "d1").wave, NO_WAVE);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_COMPLETED);
    check_world(w);
}

/* What leads half of the way leads nowhere. */
static void test_no_way_behind_a_stone(void **state)
{
    struct world *w = *state;
    firmware_with(w, "default", "1.4.0", ">=1.2.0", "");
    device_there(w, "d1", "1.1.0");
    device_there(w, "d2", "1.2.0");
    int64_t id = campaign(w, firmware_with(w, "default", "2.0.0", ">=1.4.0", ""));
    expect_offer(w, "d2", "1.4.0");
    assert_string_equal(execution_of(w, id, "d1").reason, "incompatible");
}

/* The newest stone is none when the goal does not take it: the one below leads there. */
static void test_stone_that_the_goal_takes(void **state)
{
    struct world *w = *state;
    firmware_with(w, "default", "1.4.0", "", "");
    firmware_with(w, "default", "1.8.0", "", "");
    device_there(w, "d1", "1.1.0");
    campaign(w, firmware_with(w, "default", "2.0.0", ">=1.4.0 <1.6.0", ""));
    expect_offer(w, "d1", "1.4.0");
}

static void test_unknown_version_waits(void **state)
{
    struct world *w = *state;
    inform_module(w, "d1", "stm32", "7");
    sessions(w, "d1", 1);
    int64_t id = campaign(w, goal_with_stones(w));
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    assert_int_equal(w->sent, 0);
    struct answer no = first_no(w, id, "d1", ASK_VERSION);
    assert_string_equal(no.text, "2.0.0 requires >=1.4.0, and what it has is not known");
    inform(w, "d1", "1.1.0");
    expect_offer(w, "d1", "1.4.2");
    check_world(w);
}

/* Once withdrawn it is on nobody's way any more; who has reported it goes on. */
static void test_stone_withdrawn(void **state)
{
    struct world *w = *state;
    firmware_with(w, "default", "1.4.0", "", "");
    int64_t newer = firmware_with(w, "default", "1.4.2", "", "");
    int64_t goal = firmware_with(w, "default", "2.0.0", ">=1.4.0", "");
    device_away(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal);
    must(w, delete_firmware, &newer);
    sessions(w, "d1", 1);
    inform(w, "d1", "1.1.0");
    expect_offer(w, "d1", "1.4.0");
    inform(w, "d1", "1.4.0");
    expect_offer(w, "d1", "2.0.0");
    inform(w, "d1", "2.0.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
}

/* What a device is at is not taken from it: as a campaign's own file. */
static void test_stone_is_held_while_a_device_is_at_it(void **state)
{
    struct world *w = *state;
    struct err e;
    int64_t stone = firmware_with(w, "default", "1.4.0", "", "");
    int64_t goal = firmware_with(w, "default", "2.0.0", ">=1.4.0", "");
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal);
    assert_int_equal(try_it(w, delete_firmware, &stone, &e), -ERR_CONFLICT);
    inform(w, "d1", "1.4.0");
    expect_offer(w, "d1", "2.0.0");
    must(w, delete_firmware, &stone);
    inform(w, "d1", "2.0.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
}

/* Between two attempts it may go: what waits takes another way, or says that there is none. */
static void test_stone_withdrawn_between_attempts(void **state)
{
    struct world *w = *state;
    int64_t stone = firmware_with(w, "default", "1.4.0", "", "");
    int64_t goal = firmware_with(w, "default", "2.0.0", ">=1.4.0", "");
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal);
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_DOWNLOAD);
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    must(w, delete_firmware, &stone);
    later(w, HOUR);
    assert_int_equal(w->sent, 0);
    struct answer no = first_no(w, id, "d1", ASK_VERSION);
    assert_string_equal(no.text, "2.0.0 requires >=1.4.0, and no firmware leads there from 1.1.0");
    firmware_with(w, "default", "1.5.0", "", "");
    request(w, "d1");
    expect_offer(w, "d1", "1.5.0");
    inform(w, "d1", "2.0.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

/* Each attempt chooses anew. */
static void test_newer_stone_for_the_next_attempt(void **state)
{
    struct world *w = *state;
    firmware_with(w, "default", "1.4.0", "", "");
    int64_t goal = firmware_with(w, "default", "2.0.0", ">=1.4.0", "");
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal);
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_DOWNLOAD);
    firmware_with(w, "default", "1.5.0", "", "");
    later(w, HOUR);
    expect_offer(w, "d1", "1.5.0");
    inform(w, "d1", "1.4.0"); /* what was offered before is no step of this attempt, and suits the goal */
    expect_offer(w, "d1", "2.0.0");
    inform(w, "d1", "2.0.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

/* Where the product takes the device's word, that is of what it was offered: of the stone, not of the goal.
 */
static void test_stone_by_its_own_word(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal_with_stones(w)), execution = execution_of(w, id, "d1").id;
    expect_offer(w, "d1", "1.4.2");
    progress(w, "d1", execution, EXECUTION_SUCCEEDED, -1);
    assert_int_equal(query(w, "SELECT assumed FROM device_module WHERE version = '1.4.2'", 0), 1);
    expect_offer(w, "d1", "2.0.0");
    progress(w, "d1", execution, EXECUTION_SUCCEEDED, -1);
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

/* A job that is done ends with its stone: the next one is told at once. */
static void test_stone_of_a_job(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, goal_with_stones(w));
    struct device_event ev = event(EVENT_JOB, "d1");
    ev.product[0] = '\0';
    ev.execution_id = execution_of(w, id, "d1").id;
    ev.state = EXECUTION_SUCCEEDED;
    ev.reason = REASON_NONE;
    ev.job = calloc(1, sizeof *ev.job);
    ev.job->op = JOB_UPDATE;
    must(w, deliver, &ev);
    device_event_clear(&ev);
    assert_int_equal(w->sent, 2);
    assert_int_equal(w->out[0].verdict, JOB_ACCEPTED);
    assert_int_equal(w->out[1].kind, OUTGOING_OFFER);
    assert_string_equal(w->out[1].offer.file.version, "2.0.0");
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    check_world(w);
}

static struct campaign_spec two_modules(struct world *w)
{
    int64_t second = firmware_with(w, "stm32", "2.0.0", ">=1.4.0", "");
    firmware_with(w, "stm32", "1.4.0", "", "");
    struct campaign_spec spec = spec_for(firmware_with(w, "esp32", "5.0.0", "", ""));
    spec.firmware[1] = second;
    spec.firmware_count = 2;
    return spec;
}

static void test_only_the_second_module_needs_a_stone(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = two_modules(w);
    inform_module(w, "d1", "esp32", "4.0.0");
    inform_module(w, "d1", "stm32", "1.0.0");
    sessions(w, "d1", 1);
    int64_t id = campaign_of(w, &spec);
    expect_offer(w, "d1", "5.0.0");
    inform_module(w, "d1", "esp32", "5.0.0");
    expect_offer(w, "d1", "1.4.0");
    assert_string_equal(w->out[0].offer.file.module, "stm32");
    inform_module(w, "d1", "stm32", "1.4.0");
    expect_offer(w, "d1", "2.0.0");
    assert_string_equal(w->out[0].offer.file.module, "stm32");
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    inform_module(w, "d1", "stm32", "2.0.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

/* An offer lists all files that are left: none that its module may not have yet. */
static void test_what_follows_in_an_offer_is_chosen_too(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = two_modules(w);
    inform_module(w, "d1", "esp32", "4.0.0");
    inform_module(w, "d1", "stm32", "1.0.0");
    sessions(w, "d1", 1);
    int64_t id = campaign_of(w, &spec), execution = execution_of(w, id, "d1").id;
    expect_offer(w, "d1", "5.0.0");
    const struct offer_more *more = w->out[0].offer.more;
    for (size_t i = 1; i < more->n; i++)
        assert_string_equal(more->file[i].version, "1.4.0");
    for (int i = 0; i < 4 && execution_of(w, id, "d1").state != EXECUTION_SUCCEEDED; i++) {
        progress(w, "d1", execution, EXECUTION_SUCCEEDED, -1);
        request(w, "d1");
    }
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

/* The words of a job are of all modules that are left: where the second has yet to take its stone, the job
 * goes on. */
static void test_job_of_two_modules_with_a_stone(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = two_modules(w);
    inform_module(w, "d1", "esp32", "4.0.0");
    inform_module(w, "d1", "stm32", "1.0.0");
    sessions(w, "d1", 1);
    int64_t id = campaign_of(w, &spec);
    struct device_event ev = event(EVENT_JOB, "d1");
    ev.product[0] = '\0';
    ev.execution_id = execution_of(w, id, "d1").id;
    ev.state = EXECUTION_SUCCEEDED;
    ev.reason = REASON_NONE;
    ev.job = calloc(1, sizeof *ev.job);
    ev.job->op = JOB_UPDATE;
    must(w, deliver, &ev);
    assert_state(w, id, "d1", EXECUTION_OFFERED);
    assert_int_equal(w->sent, 2);
    assert_string_equal(w->out[1].offer.file.module, "stm32");
    assert_string_equal(w->out[1].offer.file.version, "2.0.0");
    must(w, deliver, &ev);
    device_event_clear(&ev);
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

/* ---- deltas */

struct files {
    int64_t full, delta;
};

static struct files goal_with_delta(struct world *w)
{
    struct files f = {firmware_with(w, "default", "1.1", "", ""),
                      firmware_with(w, "default", "1.1", "", "1.0")};
    return f;
}

static int64_t offered_firmware(const struct world *w, const char *device)
{
    for (size_t i = 0; i < w->sent; i++)
        if (w->out[i].kind == OUTGOING_OFFER && strcmp(w->out[i].device, device) == 0)
            return w->out[i].offer.file.firmware_id;
    return 0;
}

static void test_delta_for_who_has_its_start(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    device_there(w, "on", "1.0");
    device_there(w, "below", "0.9");
    inform_module(w, "unknown", "stm32", "1");
    sessions(w, "unknown", 1);
    int64_t id = campaign(w, f.full);
    assert_int_equal(w->sent, 3);
    assert_int_equal(offered_firmware(w, "on"), f.delta);
    assert_int_equal(offered_firmware(w, "below"), f.full);
    assert_int_equal(offered_firmware(w, "unknown"), f.full);
    for (size_t i = 0; i < w->sent; i++)
        assert_string_equal(w->out[i].offer.file.delta_from,
                            strcmp(w->out[i].device, "on") == 0 ? "1.0" : "");
    inform(w, "on", "1.1");
    assert_state(w, id, "on", EXECUTION_SUCCEEDED);
    check_world(w);
}

static void test_no_delta_for_who_has_no_word_for_it(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    device_there(w, "d1", "1.0");
    campaign(w, f.full);
    assert_int_equal(offered_firmware(w, "d1"), f.full);
}

/* One attempt, and no reason to try again: the full file all the same, at once. */
static void test_delta_that_does_not_fit(void **state)
{
    static const enum reason reasons[] = {REASON_VERIFY, REASON_FLASH};
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
        struct campaign_spec spec = spec_with(f.full, NULL, NULL, "{\"max_attempts\":1,\"retry_on\":[]}");
        char name[8];
        snprintf(name, sizeof name, "d%zu", i);
        device_there(w, name, "1.0");
        int64_t id = campaign_of(w, &spec), execution = execution_of(w, id, name).id;
        assert_int_equal(offered_firmware(w, name), f.delta);
        progress(w, name, execution, EXECUTION_DOWNLOADING, 50);
        report_error(w, name, execution, reasons[i]);
        assert_int_equal(w->sent, 1);
        assert_int_equal(offered_firmware(w, name), f.full);
        assert_string_equal(w->out[0].offer.file.delta_from, "");
        assert_state(w, id, name, EXECUTION_OFFERED);
        assert_int_equal(execution_of(w, id, name).percent, 0);
        inform(w, name, "1.1");
        assert_state(w, id, name, EXECUTION_SUCCEEDED);
    }
    check_world(w);
}

static void test_full_file_fails_too(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    struct campaign_spec spec = spec_with(f.full, NULL, NULL, "{\"max_attempts\":1}");
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec), execution = execution_of(w, id, "d1").id;
    report_error(w, "d1", execution, REASON_VERIFY);
    assert_int_equal(offered_firmware(w, "d1"), f.full);
    report_error(w, "d1", execution, REASON_VERIFY);
    assert_state(w, id, "d1", EXECUTION_FAILED);
    assert_string_equal(execution_of(w, id, "d1").reason, "verify");
    assert_int_equal(w->sent, 0);
    check_world(w);
}

/* The delta was one more: the policy's attempts are the full file's. */
static void test_delta_costs_no_attempt(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    struct campaign_spec spec = spec_with(f.full, NULL, NULL, "{\"max_attempts\":2,\"retry_after\":\"1m\"}");
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec), execution = execution_of(w, id, "d1").id;
    report_error(w, "d1", execution, REASON_VERIFY);
    report_error(w, "d1", execution, REASON_VERIFY);
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    later(w, HOUR);
    assert_int_equal(offered_firmware(w, "d1"), f.full);
    report_error(w, "d1", execution, REASON_VERIFY);
    assert_state(w, id, "d1", EXECUTION_FAILED);
    assert_int_equal(execution_of(w, id, "d1").attempt, 3);
}

static void test_delta_that_did_not_arrive(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    struct campaign_spec spec = spec_with(f.full, NULL, NULL, "{\"max_attempts\":2,\"retry_after\":\"1m\"}");
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec), execution = execution_of(w, id, "d1").id;
    report_error(w, "d1", execution, REASON_DOWNLOAD);
    assert_int_equal(w->sent, 0);
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    later(w, MINUTE - SECOND);
    assert_int_equal(w->sent, 0);
    later(w, SECOND);
    assert_int_equal(offered_firmware(w, "d1"), f.delta);
    report_error(w, "d1", execution, REASON_DOWNLOAD);
    assert_state(w, id, "d1", EXECUTION_FAILED);
}

/* What the full file is sent for is decided anew with each version: the next campaign takes its delta. */
static void test_delta_of_the_next_campaign(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, f.full);
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_FLASH);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    int64_t full = firmware_with(w, "default", "1.2", "", ""),
            delta = firmware_with(w, "default", "1.2", "", "1.1");
    campaign(w, full);
    assert_int_equal(offered_firmware(w, "d1"), delta);
}

static int find(struct world *w, bool by_execution, int64_t stream, int64_t file, struct stream_file *out)
{
    struct device_event ev = event(EVENT_FILE, "d1");
    struct file_request ask = {.by_execution = by_execution, .stream = stream, .file = file};
    struct err e;
    ev.file = &ask;
    return stream_find(reader(w), &ev, out, &e);
}

static void test_blocks_of_the_delta(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    struct stream_file found;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, f.full), execution = execution_of(w, id, "d1").id;
    uint64_t delta_size = w->out[0].offer.file.size;
    assert_int_equal(find(w, false, f.delta, 1, &found), 0);
    assert_int_equal(found.size, delta_size);
    assert_string_equal(found.sha256, w->out[0].offer.file.digests.sha256);
    assert_int_equal(find(w, true, execution, 0, &found), 0);
    assert_int_equal(found.size, delta_size);
    assert_int_equal(find(w, false, f.full, 1, &found), -ERR_NOT_FOUND);
    report_error(w, "d1", execution, REASON_VERIFY);
    assert_int_equal(find(w, false, f.delta, 1, &found), -ERR_NOT_FOUND);
    assert_int_equal(find(w, true, execution, 0, &found), 0);
    assert_int_not_equal(found.size, delta_size);
}

static void test_delta_withdrawn(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    struct err e;
    device_there(w, "d1", "1.0");
    device_away(w, "d2", "1.0");
    int64_t id = campaign(w, f.full);
    assert_int_equal(offered_firmware(w, "d1"), f.delta);
    assert_int_equal(try_it(w, delete_firmware, &f.delta, &e), -ERR_CONFLICT);
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_DOWNLOAD);
    must(w, delete_firmware, &f.delta);
    later(w, HOUR);
    assert_int_equal(offered_firmware(w, "d1"), f.full);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    sessions(w, "d2", 1);
    inform(w, "d2", "1.0");
    assert_int_equal(offered_firmware(w, "d2"), f.full);
    check_world(w);
}

/* It has another version by now: what was offered and not begun is chosen anew. */
static void test_delta_of_a_version_that_it_left(void **state)
{
    struct world *w = *state;
    struct files f = goal_with_delta(w);
    device_there(w, "d1", "1.0");
    campaign(w, f.full);
    assert_int_equal(offered_firmware(w, "d1"), f.delta);
    inform(w, "d1", "0.9");
    assert_int_equal(offered_firmware(w, "d1"), f.full);
    inform(w, "d1", "1.0");
    assert_int_equal(offered_firmware(w, "d1"), f.delta);
}

/* Nothing but the campaign's own file may be named by a campaign. */
static void test_campaign_of_a_delta_is_refused(void **state)
{
    struct world *w = *state;
    struct creation c = {.spec = spec_for(goal_with_delta(w).delta)};
    struct err e;
    assert_int_equal(try_it(w, create, &c, &e), -ERR_INVALID);
    assert_string_equal(e.field, "firmware");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define A(f) cmocka_unit_test_setup_teardown(f, setup_aws, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_one_stone),
        T(test_stone_is_not_offered_to_who_needs_none),
        T(test_stone_has_attempts_of_its_own),
        T(test_two_stones),
        T(test_jumps_over_the_stone),
        T(test_goes_back_behind_the_stone),
        T(test_never_beyond_the_stone),
        T(test_rollback_of_the_stone),
        T(test_no_way),
        T(test_no_way_behind_a_stone),
        T(test_stone_that_the_goal_takes),
        T(test_unknown_version_waits),
        T(test_stone_withdrawn),
        T(test_stone_is_held_while_a_device_is_at_it),
        T(test_stone_withdrawn_between_attempts),
        T(test_newer_stone_for_the_next_attempt),
        A(test_stone_by_its_own_word),
        A(test_stone_of_a_job),
        T(test_only_the_second_module_needs_a_stone),
        A(test_what_follows_in_an_offer_is_chosen_too),
        A(test_job_of_two_modules_with_a_stone),
        T(test_delta_for_who_has_its_start),
        cmocka_unit_test_setup_teardown(test_delta_for_who_has_its_start, setup_aliyun, teardown),
        cmocka_unit_test_setup_teardown(test_delta_for_who_has_its_start, setup_onenet, teardown),
        A(test_no_delta_for_who_has_no_word_for_it),
        T(test_delta_that_does_not_fit),
        T(test_full_file_fails_too),
        T(test_delta_costs_no_attempt),
        T(test_delta_that_did_not_arrive),
        T(test_delta_of_the_next_campaign),
        T(test_blocks_of_the_delta),
        T(test_delta_withdrawn),
        T(test_delta_of_a_version_that_it_left),
        T(test_campaign_of_a_delta_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
