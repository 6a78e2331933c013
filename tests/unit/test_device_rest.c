/* What keeps offers from one device: the rest after many failures, a pause, a pin; and whose yes a campaign
 * waits for. */
#include "base/clock.h"
#include "rollout_devices.h"

static int setup(void **state)
{
    *state = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
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

static int64_t with_policy(struct world *w, const char *version, const char *policy)
{
    struct campaign_spec spec = spec_with(firmware(w, version), NULL, NULL, policy);
    return campaign_of(w, &spec);
}

static struct device device_of(struct world *w, const char *name)
{
    struct device d;
    struct err e;
    assert_int_equal(device_get(reader(w), w->product.key, name, &d, &e), 0);
    return d;
}

/* As whoever edits a device does. */
static int changed_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    return rollout_device_changed(&w->rollout, db, *(int64_t *)arg, e);
}

static void changed(struct world *w, const char *device)
{
    int64_t id = device_id(w, device);
    must(w, changed_run, &id);
}

/* ---- rest */

static const char one_try[] = "{\"max_attempts\":1,\"quarantine_after\":3,\"quarantine_for\":\"6h\"}";

/* The next of as many campaigns as there are versions: each fails for d1. */
static int64_t fail_once(struct world *w, const char *policy)
{
    char version[16];
    snprintf(version, sizeof version, "2.%lld", (long long)query(w, "SELECT count(*) FROM firmware", 0));
    int64_t id = with_policy(w, version, policy);
    expect_offer(w, "d1", version);
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_FLASH);
    assert_state(w, id, "d1", EXECUTION_FAILED);
    return id;
}

static void test_rests_after_failures_in_a_row(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    for (int i = 1; i <= 3; i++) {
        fail_once(w, one_try);
        assert_int_equal(device_of(w, "d1").failures, i);
    }
    int64_t until_ms = w->now_ms + 6 * HOUR;
    assert_int_equal(device_of(w, "d1").quarantine_until_ms, until_ms);
    assert_int_equal(timeline_kind(w, "quarantine"), 1);
    int64_t id = with_policy(w, "3.0", one_try);
    assert_int_equal(w->sent, 0);
    request(w, "d1");
    assert_int_equal(w->out[0].kind, OUTGOING_NOTHING);
    struct answer no = first_no(w, id, "d1", ASK_QUARANTINE);
    assert_string_equal(no.text, "3 campaigns in a row have failed for it, and it rests");
    assert_int_equal(no.until_ms, until_ms);
    later(w, 6 * HOUR - SECOND);
    assert_int_equal(w->sent, 0);
    later(w, SECOND); /* by itself: it is connected and says nothing */
    expect_offer(w, "d1", "3.0");
    assert_int_equal(device_of(w, "d1").failures, 0);
    assert_int_equal(device_of(w, "d1").quarantine_until_ms, 0);
    assert_int_equal(timeline_kind(w, "quarantine"), 2);
    check_world(w);
}

/* Another one rests not with it. */
static void test_rests_alone(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    for (int i = 0; i < 3; i++)
        fail_once(w, one_try);
    device_there(w, "d2", "1.0");
    with_policy(w, "3.0", one_try);
    expect_offer(w, "d2", "3.0");
}

static void test_attempts_are_no_campaigns(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "2.0", "{\"max_attempts\":5,\"retry_after\":\"1m\",\"quarantine_after\":2}");
    for (int i = 0; i < 4; i++) {
        report_error(w, "d1", execution_of(w, id, "d1").id, REASON_FLASH);
        later(w, HOUR);
        expect_offer(w, "d1", "2.0");
    }
    assert_int_equal(device_of(w, "d1").failures, 0);
}

static void test_success_ends_the_row(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    fail_once(w, one_try);
    fail_once(w, one_try);
    with_policy(w, "2.5", one_try);
    inform(w, "d1", "2.5");
    assert_int_equal(device_of(w, "d1").failures, 0);
    int64_t id = with_policy(w, "3.0", one_try);
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_FLASH);
    assert_int_equal(device_of(w, "d1").failures, 1);
    assert_int_equal(device_of(w, "d1").quarantine_until_ms, 0);
}

static void test_never(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    for (int i = 0; i < 5; i++)
        fail_once(w, "{\"max_attempts\":1,\"quarantine_after\":0}");
    assert_int_equal(device_of(w, "d1").quarantine_until_ms, 0);
    assert_int_equal(device_of(w, "d1").failures, 5);
}

/* To say no, to be withdrawn, or never to have been offered anything is no failure. */
static void test_what_is_no_failure(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "2.0", one_try);
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_REJECTED);
    assert_state(w, id, "d1", EXECUTION_REJECTED);
    assert_int_equal(device_of(w, "d1").failures, 0);
    id = with_policy(w, "2.1", one_try);
    act(w, id, CAMPAIGN_CANCEL_FORCE);
    assert_state(w, id, "d1", EXECUTION_CANCELLED);
    id = campaign(w, firmware_with(w, "default", "9.0", ">=8.0", ""));
    assert_state(w, id, "d1", EXECUTION_FAILED);
    assert_int_equal(device_of(w, "d1").failures, 0);
}

static void test_time_outs_and_rollbacks_are_failures(void **state)
{
    struct world *w = *state;
    const char *policy =
        "{\"max_attempts\":1,\"quarantine_after\":2,\"offer_timeout\":\"1h\",\"replace\":true}";
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "2.0", policy);
    later(w, HOUR);
    assert_state(w, id, "d1", EXECUTION_TIMED_OUT);
    id = with_policy(w, "2.1", policy);
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    inform(w, "d1", "1.0");
    later(w, MINUTE);
    assert_state(w, id, "d1", EXECUTION_ROLLED_BACK);
    assert_true(device_of(w, "d1").quarantine_until_ms > w->now_ms);
}

static int end_rest(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)w;
    return device_failures_set(db, *(int64_t *)arg, 0, 0, e);
}

static void test_ended_by_hand(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    for (int i = 0; i < 3; i++)
        fail_once(w, one_try);
    with_policy(w, "3.0", one_try);
    tick(w);
    assert_int_equal(w->sent, 0);
    int64_t id = device_id(w, "d1");
    must(w, end_rest, &id);
    changed(w, "d1");
    tick(w);
    expect_offer(w, "d1", "3.0");
}

/* ---- pause and pin */

static void test_paused_device(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    set_paused(w, "d1", true);
    int64_t id = campaign(w, firmware(w, "1.1"));
    assert_int_equal(w->sent, 0);
    request(w, "d1");
    assert_int_equal(w->out[0].kind, OUTGOING_NOTHING);
    assert_string_equal(first_no(w, id, "d1", ASK_PAUSED).text, "the device is paused");
    set_paused(w, "d1", false);
    changed(w, "d1");
    tick(w);
    expect_offer(w, "d1", "1.1");
    tick(w);
    assert_int_equal(w->sent, 0); /* once */
}

/* What it is at goes on. */
/* ---- a tick that the store undid */

struct lost_tick {
    struct world *world;
    struct rollout_marks before;
};

/* As when the disk is full at the commit: all is undone in the store, after the tick has ended well. */
static int tick_and_lose(struct db *db, void *arg, struct err *e)
{
    struct lost_tick *t = arg;
    bool again;
    t->before = rollout_marks(&t->world->rollout);
    int rc = tick_once(t->world, db, &again, e);
    return rc ? rc : err_set(e, ERR_NO_SPACE, "lost");
}

static int untick(struct world *w, struct db *db, void *arg, struct err *e)
{
    const struct lost_tick *t = arg;
    return rollout_untick(&w->rollout, db, &t->before, e);
}

static void test_a_tick_that_was_lost_is_made_good(void **state)
{
    struct world *w = *state;
    struct lost_tick lost = {.world = w};
    struct err e;
    for (int meanwhile = 0; meanwhile < 2; meanwhile++) {
        const char *names[] = {"d1", "d2", "d3", "d4"}, *one = names[2 * meanwhile],
                   *other = names[2 * meanwhile + 1];
        device_there(w, one, "1.0");
        device_there(w, other, "1.0");
        set_paused(w, one, true);
        set_paused(w, other, true);
        with_policy(w, meanwhile ? "3.0" : "2.0", "{}");
        assert_int_equal(w->sent, 0);
        set_paused(w, one, false);
        changed(w, one);
        forget(w);
        assert_int_equal(store_write(w->store, tick_and_lose, &lost, &e), -ERR_NO_SPACE);
        assert_int_equal(w->sent, 1);
        if (meanwhile) { /* what was asked for since stays asked for */
            set_paused(w, other, false);
            changed(w, other);
        }
        must(w, untick, &lost);
        tick(w);
        assert_int_equal(w->sent, 1 + meanwhile);
    }
}

static void test_paused_while_at_work(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    bring_to(w, id, "d1", EXECUTION_INSTALLING);
    set_paused(w, "d1", true);
    inform(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_SUCCEEDED);
}

static void test_pinned_device(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    set_pinned(w, "d1", "1.1");
    int64_t id = campaign(w, firmware(w, "1.2"));
    assert_int_equal(w->sent, 0);
    assert_string_equal(first_no(w, id, "d1", ASK_PINNED).text,
                        "the device is pinned to 1.1, and this is 1.2");
    set_pinned(w, "d1", "");
    changed(w, "d1");
    tick(w);
    expect_offer(w, "d1", "1.2");
}

/* The one version it is pinned to comes all the same, by a stone of another version where it has to. */
static void test_pinned_to_what_comes(void **state)
{
    struct world *w = *state;
    firmware(w, "1.5");
    device_there(w, "d1", "1.0");
    set_pinned(w, "d1", "2.0");
    campaign(w, firmware_with(w, "default", "2.0", ">=1.5", ""));
    expect_offer(w, "d1", "1.5");
    inform(w, "d1", "1.5");
    expect_offer(w, "d1", "2.0");
}

/* A pin that is set while the newer one waits leaves the device to what it is pinned to. */
static void test_pinned_behind_another(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware_for(w, "stm32", "7.0"));
    device_away(w, "d1", "1.0");
    int64_t other = campaign_of(w, &spec);
    campaign(w, firmware(w, "1.2"));
    set_pinned(w, "d1", "7.0");
    sessions(w, "d1", 1);
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "7.0");
    assert_state(w, other, "d1", EXECUTION_OFFERED);
}

/* ---- devices that were changed */

static void test_tagged_into_a_dynamic_campaign(void **state)
{
    struct world *w = *state;
    device_away(w, "first", "1.0");
    set_tag(w, "first", "site", "A");
    device_there(w, "d1", "1.0");
    struct campaign_spec spec =
        spec_with(firmware(w, "1.1"), "{\"tags\":{\"site\":\"A\"},\"dynamic\":true}", NULL, NULL);
    int64_t id = campaign_of(w, &spec);
    set_tag(w, "d1", "site", "A");
    changed(w, "d1");
    tick(w);
    expect_offer(w, "d1", "1.1");
    assert_state(w, id, "d1", EXECUTION_OFFERED);
}

static void test_changed_and_away(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = campaign(w, firmware(w, "1.1"));
    changed(w, "d1");
    tick(w);
    assert_int_equal(w->sent, 0);
    assert_state(w, id, "d1", EXECUTION_QUEUED);
    assert_int_equal(w->rollout.changed.n, 0); /* when it comes back it is asked anyway */
}

static void test_more_changed_than_are_remembered(void **state)
{
    struct world *w = *state;
    enum { FLEET = CHANGED_MAX + 20 };
    char name[8];
    size_t offers = 0;
    for (int i = 0; i < FLEET; i++) {
        snprintf(name, sizeof name, "d%d", i);
        device_there(w, name, "1.0");
        set_paused(w, name, true);
    }
    campaign(w, firmware(w, "1.1"));
    for (int i = 0; i < FLEET; i++) {
        snprintf(name, sizeof name, "d%d", i);
        set_paused(w, name, false);
        changed(w, name);
        changed(w, name);
    }
    for (int i = 0; offers < FLEET && i < 100;
         i++) { /* no call sends more than it has room for, or takes long */
        bool again;
        forget(w);
        must(w, tick_once, &again);
        offers += w->sent;
    }
    tick(w);
    assert_int_equal(offers + w->sent, FLEET); /* each once */
}

/* ---- whose yes it needs */

static void test_operator_has_to_say_yes(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "1.1", "{\"confirm\":\"operator\"}");
    assert_int_equal(w->sent, 0);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_PAUSED);
    assert_string_equal(campaign_read_back(w, id).state_cause, "approval");
    request(w, "d1");
    assert_int_equal(w->out[0].kind, OUTGOING_NOTHING);
    assert_string_equal(first_no(w, id, "d1", ASK_CAMPAIGN).text,
                        "the campaign does not run: its devices are chosen; resume it to begin");
    act(w, id, CAMPAIGN_RESUME);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_RUNNING);
    expect_offer(w, "d1", "1.1");
    inform(w, "d1", "1.1");
    tick(w);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_COMPLETED);
    check_world(w);
}

/* Never by a push: not when it starts, comes back, or reports over its session. */
static void test_device_has_to_ask(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "1.1", "{\"confirm\":\"device\"}");
    assert_int_equal(w->sent, 0);
    struct device_event ready = event(EVENT_READY, "d1"), report = event(EVENT_INFORM, "d1");
    report.over_session = true;
    strcpy(report.version, "1.0");
    must(w, deliver, &ready);
    assert_int_equal(w->sent, 0);
    must(w, deliver, &report);
    assert_int_equal(w->sent, 0);
    later(w, HOUR);
    assert_int_equal(w->sent, 0);
    assert_string_equal(first_no(w, id, "d1", ASK_CONFIRM).text,
                        "the campaign waits for the device to ask by itself");
    request(w, "d1");
    expect_offer(w, "d1", "1.1");
    must(w, deliver, &ready); /* it has asked: this is the same offer */
    expect_offer(w, "d1", "1.1");
    check_world(w);
}

static void test_device_asks_by_a_poll(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    with_policy(w, "1.1", "{\"confirm\":\"device\"}");
    inform(w, "d1", "1.0");
    expect_offer(w, "d1", "1.1");
}

/* Also what is tried again waits until it asks. */
static void test_device_has_to_ask_again(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "1.1", "{\"confirm\":\"device\",\"retry_after\":\"1m\"}");
    request(w, "d1");
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_DOWNLOAD);
    later(w, HOUR);
    assert_int_equal(w->sent, 0);
    request(w, "d1");
    expect_offer(w, "d1", "1.1");
}

static void test_thing_asks_for_its_job(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "1.1", "{\"confirm\":\"device\"}");
    assert_int_equal(w->sent, 0);
    struct device_event ev = event(EVENT_JOB, "d1");
    ev.product[0] = '\0';
    ev.job = calloc(1, sizeof *ev.job);
    ev.job->op = JOB_START_NEXT;
    ev.job->with_document = true;
    must(w, deliver, &ev);
    device_event_clear(&ev);
    assert_int_equal(w->sent, 1);
    assert_int_equal(w->out[0].job.id, execution_of(w, id, "d1").id);
    assert_state(w, id, "d1", EXECUTION_DOWNLOADING);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_rests_after_failures_in_a_row),
        T(test_rests_alone),
        T(test_attempts_are_no_campaigns),
        T(test_success_ends_the_row),
        T(test_never),
        T(test_what_is_no_failure),
        T(test_time_outs_and_rollbacks_are_failures),
        T(test_ended_by_hand),
        T(test_paused_device),
        T(test_a_tick_that_was_lost_is_made_good),
        T(test_paused_while_at_work),
        T(test_pinned_device),
        T(test_pinned_to_what_comes),
        T(test_pinned_behind_another),
        T(test_tagged_into_a_dynamic_campaign),
        T(test_changed_and_away),
        T(test_more_changed_than_are_remembered),
        T(test_operator_has_to_say_yes),
        T(test_device_has_to_ask),
        T(test_device_asks_by_a_poll),
        T(test_device_has_to_ask_again),
        cmocka_unit_test_setup_teardown(test_thing_asks_for_its_job, setup_aws, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
