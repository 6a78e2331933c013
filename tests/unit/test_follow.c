/* Campaigns that follow another: once more for whom it failed, and back to what devices had before it. */
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

struct following {
    int64_t id, made;
};

static int retry_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct following *f = arg;
    return campaign_retry(db, f->id, w->now_ms, &f->made, e);
}

static int rollback_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct following *f = arg;
    return campaign_rollback(&w->rollout, db, f->id, "the test", w->now_ms, &f->made, e);
}

static int64_t retry(struct world *w, int64_t id)
{
    struct following f = {.id = id};
    must(w, retry_run, &f);
    tick(w);
    return f.made;
}

static int64_t roll_back(struct world *w, int64_t id)
{
    struct following f = {.id = id};
    must(w, rollback_run, &f);
    tick(w);
    return f.made;
}

static void fail_it(struct world *w, int64_t id, const char *device, enum reason reason)
{
    report_error(w, device, execution_of(w, id, device).id, reason);
}

/* ---- once more */

static const char once[] = "{\"max_attempts\":1,\"offer_timeout\":\"1h\"}";

/* One device in each final state, one that succeeded, one that is under way. */
static int64_t campaign_that_failed(struct world *w)
{
    static const char *const names[] = {"good", "bad", "slow", "unwilling", "back", "busy", "gone"};
    struct campaign_spec spec = spec_with(firmware(w, "1.1"), NULL, NULL, once);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        device_there(w, names[i], "1.0");
    spec.ext_data = strdup("{\"note\":\"mind the gap\"}");
    int64_t id = campaign_of(w, &spec);
    inform(w, "good", "1.1");
    fail_it(w, id, "bad", REASON_FLASH);
    fail_it(w, id, "unwilling", REASON_REJECTED);
    bring_to(w, id, "back", EXECUTION_INSTALLING);
    inform(w, "back", "1.0");
    bring_to(w, id, "gone", EXECUTION_INSTALLING);
    later(w, MINUTE); /* rollback_confirm */
    inform(w, "gone", "1.1");
    later(w, HOUR / 2);
    bring_to(w, id, "busy", EXECUTION_DOWNLOADING);
    later(w, HOUR / 2);
    assert_state(w, id, "busy", EXECUTION_DOWNLOADING);
    assert_state(w, id, "good", EXECUTION_SUCCEEDED);
    assert_state(w, id, "bad", EXECUTION_FAILED);
    assert_state(w, id, "slow", EXECUTION_TIMED_OUT);
    assert_state(w, id, "unwilling", EXECUTION_REJECTED);
    assert_state(w, id, "back", EXECUTION_ROLLED_BACK);
    return id;
}

static void test_retry_is_for_whom_it_failed(void **state)
{
    struct world *w = *state;
    int64_t id = campaign_that_failed(w);
    int64_t rows = query(w, "SELECT sum(id * 31 + state * 7 + attempt + updated_at_ms) FROM execution", 0);
    int64_t made = retry(w, id);
    assert_true(executes(w, made, "bad"));
    assert_true(executes(w, made, "slow"));
    assert_true(executes(w, made, "unwilling"));
    assert_true(executes(w, made, "back"));
    assert_false(executes(w, made, "good"));
    assert_false(executes(w, made, "gone"));
    assert_false(executes(w, made, "busy"));
    assert_state(w, made, "bad", EXECUTION_OFFERED);
    assert_int_equal(execution_of(w, made, "bad").attempt, 1);
    /* invariant 1 */
    assert_int_equal(query(w,
                           "SELECT sum(id * 31 + state * 7 + attempt + updated_at_ms) FROM execution WHERE "
                           "campaign_id = ?",
                           id),
                     rows);
    inform(w, "bad", "1.1");
    assert_state(w, made, "bad", EXECUTION_SUCCEEDED);
    assert_state(w, id, "bad", EXECUTION_FAILED);
    check_world(w);
}

/* The same files, policy and words for the devices; its own name. */
static void test_retry_is_like_it(void **state)
{
    struct world *w = *state;
    int64_t id = campaign_that_failed(w), made = retry(w, id);
    struct campaign c = campaign_read_back(w, made);
    assert_string_equal(c.name, "test, once more");
    assert_int_equal(c.policy.max_attempts, 1);
    assert_int_equal(c.source_id, id);
    assert_false(c.puts_back);
    assert_true(w->sent > 0);
    assert_string_equal(w->out[0].offer.file.version, "1.1");
    assert_string_equal(w->out[0].offer.more->ext_data, "{\"note\":\"mind the gap\"}");
}

static void test_retry_of_nothing(void **state)
{
    struct world *w = *state;
    struct following f = {0};
    struct err e;
    device_there(w, "d1", "1.0");
    f.id = campaign(w, firmware(w, "1.1"));
    assert_int_equal(try_it(w, retry_run, &f, &e), -ERR_CONFLICT);
    inform(w, "d1", "1.1");
    tick(w);
    assert_int_equal(try_it(w, retry_run, &f, &e), -ERR_CONFLICT);
    assert_string_equal(e.text, "campaign 1 has failed for no device");
    f.id = 99;
    assert_int_equal(try_it(w, retry_run, &f, &e), -ERR_NOT_FOUND);
}

/* A device that has come to the target by other means meanwhile needs no update. */
static void test_retry_after_late_success(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_with(firmware(w, "1.1"), NULL, NULL, once);
    device_there(w, "d1", "1.0");
    int64_t id = campaign_of(w, &spec);
    fail_it(w, id, "d1", REASON_FLASH);
    inform(w, "d1", "1.1");
    int64_t made = retry(w, id);
    assert_string_equal(execution_of(w, made, "d1").reason, "already_installed");
    assert_int_equal(w->sent, 0);
}

/* ---- back */

static void test_each_to_its_own_version(void **state)
{
    struct world *w = *state;
    firmware(w, "1.0");
    firmware(w, "1.1");
    device_there(w, "old", "1.0");
    device_there(w, "new", "1.1");
    device_away(w, "away", "1.0");
    int64_t id = campaign(w, firmware(w, "2.0"));
    inform(w, "old", "2.0");
    inform(w, "new", "2.0");
    int64_t made = roll_back(w, id);
    assert_int_equal(w->sent, 2);
    for (size_t i = 0; i < w->sent; i++)
        assert_string_equal(w->out[i].offer.file.version,
                            strcmp(w->out[i].device, "old") == 0 ? "1.0" : "1.1");
    /* what was never offered has nothing to be put back */
    assert_false(executes(w, made, "away"));
    assert_state(w, id, "away", EXECUTION_CANCELLED);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_CANCELLED);
    inform(w, "old", "1.0");
    inform(w, "new", "1.0"); /* another's */
    assert_state(w, made, "old", EXECUTION_SUCCEEDED);
    assert_state(w, made, "new", EXECUTION_OFFERED);
    inform(w, "new", "1.1");
    assert_state(w, made, "new", EXECUTION_SUCCEEDED);
    tick(w);
    assert_int_equal(campaign_state(w, made), CAMPAIGN_COMPLETED);
    struct campaign c = campaign_read_back(w, made);
    assert_string_equal(c.name, "test, put back");
    assert_true(c.puts_back);
    /* what was reached stays as it was: invariant 1 */
    assert_state(w, id, "old", EXECUTION_SUCCEEDED);
    check_world(w);
}

static void test_old_version_not_stored(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "2.0"));
    inform(w, "d1", "2.0");
    int64_t made = roll_back(w, id);
    assert_int_equal(w->sent, 0);
    assert_state(w, made, "d1", EXECUTION_FAILED);
    assert_string_equal(execution_of(w, made, "d1").reason, "incompatible");
    assert_string_equal(execution_of(w, made, "d1").detail, "it had 1.0, of which no file can be offered");
    assert_int_equal(campaign_state(w, made), CAMPAIGN_COMPLETED);
    check_world(w);
}

static void test_old_version_not_known(void **state)
{
    struct world *w = *state;
    inform_module(w, "d1", "stm32", "1");
    sessions(w, "d1", 1);
    int64_t id = campaign(w, firmware(w, "2.0"));
    inform(w, "d1", "2.0");
    int64_t made = roll_back(w, id);
    assert_state(w, made, "d1", EXECUTION_FAILED);
    assert_string_equal(execution_of(w, made, "d1").detail, "what it had is not known");
    check_world(w);
}

/* It is at it: it finishes first, even when it says its old version on the way. */
static void test_active_finishes_first(void **state)
{
    struct world *w = *state;
    firmware(w, "1.0");
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "2.0"));
    bring_to(w, id, "d1", EXECUTION_DOWNLOADING);
    int64_t made = roll_back(w, id);
    assert_int_equal(w->sent, 0);
    assert_state(w, made, "d1", EXECUTION_QUEUED);
    inform(w, "d1", "1.0");
    assert_state(w, id, "d1", EXECUTION_DOWNLOADING);
    assert_state(w, made, "d1", EXECUTION_QUEUED);
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "2.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    expect_offer(w, "d1", "1.0");
    inform(w, "d1", "1.0");
    assert_state(w, made, "d1", EXECUTION_SUCCEEDED);
    assert_int_equal(execution_of(w, made, "d1").attempt, 1);
    check_world(w);
}

/* It fails, and has its old version still: there is nothing to put back. */
static void test_active_fails(void **state)
{
    struct world *w = *state;
    firmware(w, "1.0");
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "2.0"));
    bring_to(w, id, "d1", EXECUTION_DOWNLOADING);
    int64_t made = roll_back(w, id);
    fail_it(w, id, "d1", REASON_DOWNLOAD);
    assert_state(w, id, "d1", EXECUTION_FAILED); /* of a cancelled campaign nothing is tried again */
    assert_state(w, made, "d1", EXECUTION_SUCCEEDED);
    assert_string_equal(execution_of(w, made, "d1").reason, "already_installed");
    assert_int_equal(w->sent, 0);
    check_world(w);
}

/* What waits for another attempt is called off, and put back when it had been changed after all. */
static void test_waiting_for_another_attempt(void **state)
{
    struct world *w = *state;
    firmware(w, "1.0");
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "2.0"));
    fail_it(w, id, "d1", REASON_DOWNLOAD);
    int64_t made = roll_back(w, id);
    assert_true(execution_is_final(execution_of(w, id, "d1").state));
    assert_string_equal(execution_of(w, made, "d1").reason, "already_installed");
    later(w, HOUR);
    assert_int_equal(w->sent, 0);
    check_world(w);
}

static void test_files_are_held(void **state)
{
    struct world *w = *state;
    int64_t old = firmware(w, "1.0"), unused = firmware(w, "1.1");
    struct err e;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "2.0"));
    inform(w, "d1", "2.0");
    roll_back(w, id);
    assert_int_equal(try_it(w, delete_firmware, &old, &e), -ERR_CONFLICT);
    must(w, delete_firmware, &unused);
    inform(w, "d1", "1.0");
    tick(w);
    must(w, delete_firmware, &old);
}

static int64_t campaign_of_two(struct world *w)
{
    struct campaign_spec spec = spec_for(firmware_for(w, "esp32", "2.0"));
    spec.firmware[1] = firmware_for(w, "stm32", "3.0");
    spec.firmware_count = 2;
    return campaign_of(w, &spec);
}

static void test_several_modules(void **state)
{
    struct world *w = *state;
    firmware_for(w, "esp32", "1.0");
    firmware_for(w, "stm32", "1.5");
    inform_module(w, "d1", "esp32", "1.0");
    inform_module(w, "d1", "stm32", "1.5");
    sessions(w, "d1", 1);
    int64_t id = campaign_of_two(w);
    inform_module(w, "d1", "esp32", "2.0");
    inform_module(w, "d1", "stm32", "3.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    int64_t made = roll_back(w, id);
    expect_offer(w, "d1", "1.0");
    assert_string_equal(w->out[0].offer.file.module, "esp32");
    inform_module(w, "d1", "esp32", "1.0");
    expect_offer(w, "d1", "1.5");
    assert_string_equal(w->out[0].offer.file.module, "stm32");
    inform_module(w, "d1", "stm32", "1.5");
    assert_state(w, made, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

/* Cancelled between two modules: the second has what it had, and the first alone goes back. */
static void test_one_of_two_modules_was_changed(void **state)
{
    struct world *w = *state;
    firmware_for(w, "esp32", "1.0");
    firmware_for(w, "stm32", "1.5");
    inform_module(w, "d1", "esp32", "1.0");
    inform_module(w, "d1", "stm32", "1.5");
    sessions(w, "d1", 1);
    int64_t id = campaign_of_two(w);
    inform_module(w, "d1", "esp32", "2.0");
    expect_offer(w, "d1", "3.0");
    fail_it(w, id, "d1", REASON_REJECTED);
    int64_t made = roll_back(w, id);
    expect_offer(w, "d1", "1.0");
    inform_module(w, "d1", "esp32", "1.0");
    assert_int_equal(w->sent, 0);
    assert_state(w, made, "d1", EXECUTION_SUCCEEDED);
    assert_string_equal(execution_of(w, made, "d1").reason, "");
    check_world(w);
}

/* The second was never told of, and never changed: only the first is put back. */
static void test_module_that_nobody_knows(void **state)
{
    struct world *w = *state;
    firmware_for(w, "esp32", "1.0");
    inform_module(w, "d1", "esp32", "1.0");
    sessions(w, "d1", 1);
    int64_t id = campaign_of_two(w);
    inform_module(w, "d1", "esp32", "2.0");
    expect_offer(w, "d1", "3.0");
    fail_it(w, id, "d1", REASON_REJECTED);
    int64_t made = roll_back(w, id);
    expect_offer(w, "d1", "1.0");
    inform_module(w, "d1", "esp32", "1.0");
    assert_int_equal(w->sent, 0);
    assert_state(w, made, "d1", EXECUTION_SUCCEEDED);
    check_world(w);
}

/* By a stone to the goal, and back to what it had before both. */
static void test_back_behind_a_stone(void **state)
{
    struct world *w = *state;
    firmware(w, "1.1.0");
    firmware(w, "1.4.0");
    device_there(w, "d1", "1.1.0");
    int64_t id = campaign(w, firmware_with(w, "default", "2.0.0", ">=1.4.0", ""));
    inform(w, "d1", "1.4.0");
    inform(w, "d1", "2.0.0");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
    roll_back(w, id);
    expect_offer(w, "d1", "1.1.0");
}

static void test_rollback_of_what_is_over(void **state)
{
    struct world *w = *state;
    firmware(w, "1.0");
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "2.0"));
    inform(w, "d1", "2.0");
    tick(w);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_COMPLETED);
    int64_t made = roll_back(w, id);
    expect_offer(w, "d1", "1.0");
    assert_int_equal(campaign_state(w, id), CAMPAIGN_COMPLETED);
    inform(w, "d1", "1.0");
    tick(w);
    /* and forth again */
    roll_back(w, made);
    expect_offer(w, "d1", "2.0");
}

static void test_refused(void **state)
{
    struct world *w = *state;
    struct campaign_spec draft = spec_for(firmware(w, "2.0"));
    struct following f = {0};
    struct err e;
    draft.draft = true;
    device_there(w, "d1", "1.0");
    f.id = campaign_of(w, &draft);
    assert_int_equal(try_it(w, rollback_run, &f, &e), -ERR_CONFLICT);
    f.id = campaign(w, firmware(w, "2.1"));
    inform(w, "d1", "2.1");
    f.id = roll_back(w, f.id);
    assert_state(w, f.id, "d1", EXECUTION_FAILED);
    assert_int_equal(try_it(w, retry_run, &f, &e), -ERR_CONFLICT); /* it puts back */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_retry_is_for_whom_it_failed),
        T(test_retry_is_like_it),
        T(test_retry_of_nothing),
        T(test_retry_after_late_success),
        T(test_each_to_its_own_version),
        T(test_old_version_not_stored),
        T(test_old_version_not_known),
        T(test_active_finishes_first),
        T(test_active_fails),
        T(test_waiting_for_another_attempt),
        T(test_files_are_held),
        T(test_several_modules),
        T(test_one_of_two_modules_was_changed),
        T(test_module_that_nobody_knows),
        T(test_back_behind_a_stone),
        T(test_rollback_of_what_is_over),
        T(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
