/* Executions as jobs: what a device that keeps jobs asks and does, against a real store. */
#include "rollout_world.h"
#include "store/device.h"

static int64_t thing_id;

/* ---- a product of things, one thing that is there */

static int add_thing(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct device d = {.product_id = w->product.id, .enabled = true, .registered_at_ms = START_MS};
    (void)arg;
    strcpy(d.product, "thermo");
    strcpy(d.name, "thing");
    int rc = device_insert(db, &d, e);
    thing_id = d.id;
    return rc;
}

static int setup(void **state)
{
    struct world *w = world_enter("aws", (struct product){.enabled = true, .success_by_report = true});
    must(w, add_thing, NULL);
    presence_sessions(w->rollout.presence, thing_id, 1);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_leave(*state);
    return 0;
}

static struct execution_view execution(struct world *w, int64_t campaign_id)
{
    struct execution_view v;
    struct err e;
    size_t n;
    assert_int_equal(
        execution_list(reader(w), campaign_id, &(struct execution_filter){.state = -1}, 0, &v, 1, &n, &e), 0);
    assert_int_equal(n, 1);
    return v;
}

/* ---- the thing speaking */

static struct device_event ask(enum job_op op, int64_t id)
{
    struct device_event ev = {
        .kind = EVENT_JOB, .device = "thing", .execution_id = id, .percent = -1, .reason = REASON_NONE};
    ev.reply = (struct reply_to){.form = 9, .token = "tok"};
    ev.job = calloc(1, sizeof *ev.job);
    ev.job->op = op;
    ev.job->with_document = op == JOB_DESCRIBE || op == JOB_START_NEXT;
    return ev;
}

/* The answer; ev is spent. */
static const struct outgoing *say(struct world *w, struct device_event ev)
{
    must(w, deliver, &ev);
    device_event_clear(&ev);
    assert_true(w->sent >= 1);
    assert_int_equal(w->out[0].kind, OUTGOING_JOB);
    assert_int_equal(w->out[0].reply.form, 9);
    assert_string_equal(w->out[0].reply.token, "tok");
    assert_string_equal(w->out[0].device, "thing");
    return &w->out[0];
}

static struct device_event update_to(int64_t id, enum execution_state state, const char *details)
{
    struct device_event ev = ask(JOB_UPDATE, id);
    ev.state = state;
    ev.reason = state == EXECUTION_FAILED ? REASON_UNKNOWN : REASON_NONE;
    ev.job->details = details ? strdup(details) : NULL;
    return ev;
}

static const struct outgoing *update(struct world *w, int64_t id, enum execution_state state,
                                     const char *details)
{
    return say(w, update_to(id, state, details));
}

static const char *details_of(const struct outgoing *a)
{
    const char *text = a->offer.more ? a->offer.more->job_details : NULL;
    return text ? text : "";
}

static void expect_job(const struct outgoing *a, int64_t id, enum execution_state state, int64_t number,
                       int64_t version)
{
    assert_int_equal(a->verdict, JOB_ACCEPTED);
    assert_int_equal(a->job.id, id);
    assert_int_equal(a->job.state, state);
    assert_int_equal(a->job.number, number);
    assert_int_equal(a->job.version, version);
}

/* ---- tests */

static void test_from_offer_to_success(void **state)
{
    struct world *w = *state;
    int64_t c = campaign(w, firmware(w, "1.1.0")), id = execution(w, c).id;
    assert_int_equal(w->sent, 1);
    assert_int_equal(w->out[0].kind, OUTGOING_OFFER);
    assert_int_equal(w->out[0].job.state, EXECUTION_OFFERED);
    assert_int_equal(w->out[0].job.version, 1);
    assert_int_equal(w->out[0].job.queued_at_ms, START_MS);

    later(w, MINUTE);
    struct device_event start = ask(JOB_START_NEXT, 0);
    start.job->details = strdup("{\"step\":\"1\"}");
    const struct outgoing *a = say(w, start);
    expect_job(a, id, EXECUTION_DOWNLOADING, 1, 2);
    assert_int_equal(a->job.queued_at_ms, START_MS);
    assert_int_equal(a->job.started_at_ms, START_MS + MINUTE);
    assert_int_equal(a->job.updated_at_ms, START_MS + MINUTE);
    assert_int_equal(a->offer.id, id);
    assert_int_equal(a->offer.more->n, 1);
    assert_string_equal(details_of(a), "{\"step\":\"1\"}");

    a = say(w, ask(JOB_START_NEXT, 0)); /* changes nothing now */
    expect_job(a, id, EXECUTION_DOWNLOADING, 1, 2);
    assert_string_equal(details_of(a), "{\"step\":\"1\"}");

    struct device_event ev = update_to(id, EXECUTION_INSTALLING, "{\"self_test\":\"ready\"}");
    ev.job->with_state = true;
    a = say(w, ev);
    expect_job(a, id, EXECUTION_INSTALLING, 1, 3);
    assert_int_equal(w->sent, 1);
    assert_true(a->with_state);
    assert_int_equal(a->offer.id, 0);
    assert_string_equal(details_of(a), "{\"self_test\":\"ready\"}");

    a = say(w, ask(JOB_DESCRIBE, 0)); /* as after its reboot */
    expect_job(a, id, EXECUTION_INSTALLING, 1, 3);
    assert_string_equal(details_of(a), "{\"self_test\":\"ready\"}");
    assert_int_equal(a->offer.id, id);

    ev = update_to(id, EXECUTION_SUCCEEDED, NULL);
    ev.job->with_document = ev.job->with_state = true;
    a = say(w, ev);
    expect_job(a, id, EXECUTION_SUCCEEDED, 1, 4);
    assert_string_equal(details_of(a), "{\"self_test\":\"ready\"}");
    assert_int_equal(a->offer.id, id);
    assert_int_equal(w->sent, 2); /* and its list is empty */
    assert_int_equal(w->out[1].kind, OUTGOING_NOTHING);
    assert_int_equal(w->out[1].reply.form, 0);
    assert_int_equal(execution(w, c).state, EXECUTION_SUCCEEDED);
}

static void test_updates_alone_will_do(void **state)
{
    struct world *w = *state;
    int64_t c = campaign(w, firmware(w, "1.1.0")), id = execution(w, c).id;
    struct device_event ev = update_to(id, EXECUTION_DOWNLOADING, NULL);
    ev.percent = 40;
    ev.job->expected_version = 1;
    expect_job(say(w, ev), id, EXECUTION_DOWNLOADING, 1, 2);
    assert_int_equal(execution(w, c).percent, 40);
    ev = update_to(id, EXECUTION_SUCCEEDED, NULL);
    ev.job->expected_version = 2;
    ev.job->number = 1;
    expect_job(say(w, ev), id, EXECUTION_SUCCEEDED, 1, 3);
    assert_int_equal(execution(w, c).state, EXECUTION_SUCCEEDED);
}

static void test_lists(void **state)
{
    struct world *w = *state;
    const struct outgoing *a = say(w, ask(JOB_LIST, 0));
    expect_job(a, 0, 0, 0, 0);
    int64_t id = execution(w, campaign(w, firmware(w, "1.1.0"))).id;
    a = say(w, ask(JOB_LIST, 0));
    expect_job(a, id, EXECUTION_OFFERED, 1, 1);
    assert_int_equal(a->offer.id, 0);
    update(w, id, EXECUTION_DOWNLOADING, NULL);
    expect_job(say(w, ask(JOB_LIST, 0)), id, EXECUTION_DOWNLOADING, 1, 2);
    update(w, id, EXECUTION_FAILED, NULL);
    expect_job(say(w, ask(JOB_LIST, 0)), 0, 0, 0, 0);
}

static void test_nothing_is_next(void **state)
{
    struct world *w = *state;
    expect_job(say(w, ask(JOB_DESCRIBE, 0)), 0, 0, 0, 0);
    expect_job(say(w, ask(JOB_START_NEXT, 0)), 0, 0, 0, 0);
    assert_int_equal(update(w, 0, EXECUTION_DOWNLOADING, NULL)->verdict, JOB_UNKNOWN);
}

/* Away when the campaign began, it asks before it is told. */
static void test_what_is_due_begins_with_the_question(void **state)
{
    struct world *w = *state;
    presence_sessions(w->rollout.presence, thing_id, 0);
    int64_t c = campaign(w, firmware(w, "1.1.0")), id = execution(w, c).id;
    assert_int_equal(execution(w, c).state, EXECUTION_QUEUED);
    assert_int_equal(say(w, ask(JOB_DESCRIBE, id))->verdict, JOB_UNKNOWN); /* not offered to it yet */
    expect_job(say(w, ask(JOB_DESCRIBE, 0)), id, EXECUTION_OFFERED, 1, 1);
    assert_int_equal(w->sent, 1);
}

static const struct {
    int64_t add, number;
    enum job_verdict verdict;
} named[] = {{0, 0, JOB_ACCEPTED}, {0, 1, JOB_ACCEPTED}, {0, 2, JOB_UNKNOWN}, {1, 0, JOB_UNKNOWN}};

static void test_jobs_by_name(void **state)
{
    struct world *w = *state;
    int64_t id = execution(w, campaign(w, firmware(w, "1.1.0"))).id;
    for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
        struct device_event ev = ask(JOB_DESCRIBE, id + named[i].add);
        ev.job->number = named[i].number;
        assert_int_equal(say(w, ev)->verdict, named[i].verdict);
        ev = update_to(id + named[i].add, EXECUTION_DOWNLOADING, NULL);
        ev.job->number = named[i].number;
        assert_int_equal(say(w, ev)->verdict, named[i].verdict);
    }
    assert_int_equal(say(w, ask(JOB_DESCRIBE, -1))->verdict, JOB_UNKNOWN);
    assert_int_equal(update(w, -1, EXECUTION_FAILED, NULL)->verdict, JOB_UNKNOWN);
}

static void test_a_description_without_its_document(void **state)
{
    struct world *w = *state;
    int64_t id = execution(w, campaign(w, firmware(w, "1.1.0"))).id;
    update(w, id, EXECUTION_DOWNLOADING, "{\"a\":\"b\"}");
    struct device_event ev = ask(JOB_DESCRIBE, id);
    ev.job->with_document = false;
    const struct outgoing *a = say(w, ev);
    expect_job(a, id, EXECUTION_DOWNLOADING, 1, 2);
    assert_int_equal(a->offer.id, 0);
    assert_string_equal(details_of(a), "{\"a\":\"b\"}");
}

static void test_another_version(void **state)
{
    struct world *w = *state;
    int64_t c = campaign(w, firmware(w, "1.1.0")), id = execution(w, c).id;
    update(w, id, EXECUTION_DOWNLOADING, "{\"a\":\"b\"}");
    struct device_event ev = update_to(id, EXECUTION_FAILED, "{\"x\":\"y\"}");
    ev.job->expected_version = 1;
    const struct outgoing *a = say(w, ev);
    assert_int_equal(a->verdict, JOB_OTHER_VERSION);
    assert_int_equal(w->sent, 1);
    assert_true(a->with_state);
    assert_int_equal(a->job.version, 2);
    assert_int_equal(a->job.state, EXECUTION_DOWNLOADING);
    assert_string_equal(details_of(a), "{\"a\":\"b\"}");
    assert_int_equal(execution(w, c).state, EXECUTION_DOWNLOADING);
}

static const struct {
    enum execution_state said, stored;
} ends[] = {{EXECUTION_SUCCEEDED, EXECUTION_SUCCEEDED},
            {EXECUTION_FAILED, EXECUTION_FAILED},
            {EXECUTION_REJECTED, EXECUTION_REJECTED}};

static void test_what_is_over(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        char version[16];
        snprintf(version, sizeof version, "1.%zu.0", i + 1);
        struct campaign_spec spec = spec_for(firmware(w, version));
        spec.policy.max_attempts = 1;
        int64_t c = campaign_of(w, &spec), id = execution(w, c).id;
        assert_int_equal(update(w, id, ends[i].said, NULL)->verdict, JOB_ACCEPTED);
        assert_int_equal(w->out[1].kind, OUTGOING_NOTHING);
        assert_int_equal(execution(w, c).state, ends[i].stored);
        assert_int_equal(say(w, ask(JOB_DESCRIBE, id))->verdict, JOB_TERMINAL);
        const struct outgoing *a = update(w, id, EXECUTION_DOWNLOADING, NULL);
        assert_int_equal(a->verdict, JOB_BAD_STATE);
        assert_int_equal(a->job.state, ends[i].said);
        assert_int_equal(a->job.version, 2);
        assert_int_equal(w->sent, 1);
        expect_job(say(w, ask(JOB_DESCRIBE, 0)), 0, 0, 0, 0);
    }
}

static void test_a_failed_attempt_comes_again(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1.0"));
    spec.policy.max_attempts = 2;
    spec.policy.retry_after_ms = 10 * MINUTE;
    spec.policy.retry_on = ~0u;
    int64_t c = campaign_of(w, &spec), id = execution(w, c).id;
    const struct outgoing *a = update(w, id, EXECUTION_FAILED, "{\"reason\":\"x\"}");
    expect_job(a, id, EXECUTION_FAILED, 1, 2);
    assert_int_equal(w->out[1].kind, OUTGOING_NOTHING);
    assert_int_equal(execution(w, c).state, EXECUTION_QUEUED);
    /* for the device it is over, whatever waits */
    assert_int_equal(say(w, ask(JOB_DESCRIBE, id))->verdict, JOB_TERMINAL);
    a = update(w, id, EXECUTION_DOWNLOADING, NULL);
    assert_int_equal(a->verdict, JOB_BAD_STATE);
    assert_int_equal(a->job.state, EXECUTION_FAILED);
    expect_job(say(w, ask(JOB_LIST, 0)), 0, 0, 0, 0);

    later(w, 10 * MINUTE);
    assert_int_equal(w->sent, 1);
    assert_int_equal(w->out[0].kind, OUTGOING_OFFER);
    assert_int_equal(w->out[0].job.number, 2);
    assert_int_equal(w->out[0].job.version, 1);
    assert_string_equal(details_of(&w->out[0]), "");
    struct device_event ev = update_to(id, EXECUTION_SUCCEEDED, NULL);
    ev.job->number = 1;
    assert_int_equal(say(w, ev)->verdict, JOB_UNKNOWN);
    expect_job(update(w, id, EXECUTION_SUCCEEDED, NULL), id, EXECUTION_SUCCEEDED, 2, 2);
}

/* While its health is watched the device has nothing to do. */
static void test_the_hold_off_is_not_the_devices(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1.0"));
    spec.policy.health_hold_off_ms = 10 * MINUTE;
    int64_t c = campaign_of(w, &spec), id = execution(w, c).id;
    expect_job(update(w, id, EXECUTION_SUCCEEDED, NULL), id, EXECUTION_SUCCEEDED, 1, 2);
    assert_int_equal(w->out[1].kind, OUTGOING_NOTHING);
    assert_int_equal(execution(w, c).state, EXECUTION_TESTING);
    expect_job(say(w, ask(JOB_LIST, 0)), 0, 0, 0, 0);
    expect_job(say(w, ask(JOB_START_NEXT, 0)), 0, 0, 0, 0);
    assert_int_equal(say(w, ask(JOB_DESCRIBE, id))->verdict, JOB_TERMINAL);
    const struct outgoing *a = update(w, id, EXECUTION_FAILED, NULL);
    assert_int_equal(a->verdict, JOB_BAD_STATE);
    assert_int_equal(a->job.state, EXECUTION_SUCCEEDED);
    later(w, 10 * MINUTE);
    assert_int_equal(w->sent, 0); /* it has heard already that its list is empty */
    assert_int_equal(execution(w, c).state, EXECUTION_SUCCEEDED);
}

static void test_the_next_campaign_follows(void **state)
{
    struct world *w = *state;
    int64_t one = execution(w, campaign(w, firmware(w, "1.1.0"))).id;
    update(w, one, EXECUTION_DOWNLOADING, NULL);
    int64_t two = execution(w, campaign(w, firmware(w, "1.2.0"))).id;
    assert_int_equal(w->sent, 0);
    expect_job(say(w, ask(JOB_LIST, 0)), one, EXECUTION_DOWNLOADING, 1, 2);
    update(w, one, EXECUTION_SUCCEEDED, NULL);
    assert_int_equal(w->sent, 2);
    assert_int_equal(w->out[1].kind, OUTGOING_OFFER);
    assert_int_equal(w->out[1].offer.id, two);
    assert_int_equal(w->out[1].job.state, EXECUTION_OFFERED);
}

/* One word of it ends every module, and what it has now is taken to be what it was given. */
static void test_all_modules_at_once(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1.0"));
    spec.firmware[spec.firmware_count++] = firmware_for(w, "stm32", "2.0");
    int64_t c = campaign_of(w, &spec), id = execution(w, c).id;
    const struct outgoing *a = say(w, ask(JOB_DESCRIBE, id));
    assert_int_equal(a->offer.more->n, 2);
    assert_int_equal(a->offer.more->file[1].index, 1);
    update(w, id, EXECUTION_SUCCEEDED, NULL);
    assert_int_equal(execution(w, c).state, EXECUTION_SUCCEEDED);
    struct device_module modules[MODULES_MAX];
    struct err e;
    size_t n;
    assert_int_equal(device_modules_get(reader(w), thing_id, modules, &n, &e), 0);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        assert_true(modules[i].assumed);
        assert_string_equal(modules[i].version, strcmp(modules[i].module, "stm32") ? "1.1.0" : "2.0");
    }
}

/* ---- steps that have an end of their own */

static void test_a_step_times_out(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1.0"));
    spec.policy.max_attempts = 1;
    spec.policy.finish_timeout_ms = 60 * MINUTE;
    int64_t c = campaign_of(w, &spec), id = execution(w, c).id;
    struct device_event ev = ask(JOB_START_NEXT, 0);
    ev.job->step_timeout_ms = 5 * MINUTE;
    say(w, ev);
    later(w, 4 * MINUTE);
    update(w, id, EXECUTION_DOWNLOADING, NULL); /* says nothing of the step, whose end stays */
    later(w, MINUTE - 1);
    assert_int_equal(execution(w, c).state, EXECUTION_DOWNLOADING);
    later(w, 1);
    assert_int_equal(execution(w, c).state, EXECUTION_TIMED_OUT);
    assert_int_equal(w->sent, 1); /* and the device hears that it is over */
    assert_int_equal(w->out[0].kind, OUTGOING_NOTHING);
    assert_int_equal(w->out[0].reply.form, 0);
    const struct outgoing *a = update(w, id, EXECUTION_SUCCEEDED, NULL);
    assert_int_equal(a->verdict, JOB_BAD_STATE);
    assert_int_equal(a->job.state, EXECUTION_TIMED_OUT);
}

static void test_a_step_never_outlives_the_policy(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware(w, "1.1.0"));
    spec.policy.max_attempts = 1;
    spec.policy.finish_timeout_ms = 60 * MINUTE;
    int64_t c = campaign_of(w, &spec), id = execution(w, c).id;
    for (int64_t step_ms = -1; step_ms < 1000 * MINUTE; step_ms += 500 * MINUTE) {
        struct device_event ev = update_to(id, EXECUTION_DOWNLOADING, NULL);
        ev.job->step_timeout_ms = step_ms;
        say(w, ev);
    }
    struct device_event ev = update_to(id, EXECUTION_DOWNLOADING, NULL);
    ev.job->step_timeout_ms = MINUTE;
    say(w, ev);
    ev = update_to(id, EXECUTION_DOWNLOADING, NULL);
    ev.job->step_timeout_ms = -1;
    say(w, ev);
    later(w, 60 * MINUTE - 1);
    assert_int_equal(execution(w, c).state, EXECUTION_DOWNLOADING);
    later(w, 1);
    assert_int_equal(execution(w, c).state, EXECUTION_TIMED_OUT);
}

/* ---- ends that are not the device's doing */

static void test_cancelled_by_force(void **state)
{
    struct world *w = *state;
    int64_t c = campaign(w, firmware(w, "1.1.0")), id = execution(w, c).id;
    update(w, id, EXECUTION_DOWNLOADING, NULL);
    act(w, c, CAMPAIGN_CANCEL);
    assert_int_equal(w->sent, 0); /* what is active goes on */
    expect_job(say(w, ask(JOB_DESCRIBE, id)), id, EXECUTION_DOWNLOADING, 1, 2);
    act(w, c, CAMPAIGN_CANCEL_FORCE);
    assert_int_equal(w->sent, 1);
    assert_int_equal(w->out[0].kind, OUTGOING_NOTHING);
    assert_string_equal(w->out[0].device, "thing");
    assert_string_equal(w->out[0].protocol, "aws");
    const struct outgoing *a = update(w, id, EXECUTION_SUCCEEDED, NULL);
    assert_int_equal(a->verdict, JOB_BAD_STATE);
    assert_int_equal(a->job.state, EXECUTION_CANCELLED);
    assert_int_equal(a->job.version, 2);
}

static void test_cancelled_while_away_or_waiting(void **state)
{
    struct world *w = *state;
    int64_t c = campaign(w, firmware(w, "1.1.0"));
    presence_sessions(w->rollout.presence, thing_id, 0);
    act(w, c, CAMPAIGN_CANCEL_FORCE);
    assert_int_equal(w->sent, 0);
    c = campaign(w, firmware(w, "1.2.0")); /* queued: it is away */
    presence_sessions(w->rollout.presence, thing_id, 1);
    act(w, c, CAMPAIGN_CANCEL_FORCE);
    assert_int_equal(w->sent, 0); /* it never heard of it */
}

/* An offer that was not taken up waits with its campaign; what was begun goes on. */
static void test_a_paused_campaign(void **state)
{
    struct world *w = *state;
    int64_t c = campaign(w, firmware(w, "1.1.0")), id = execution(w, c).id;
    act(w, c, CAMPAIGN_PAUSE);
    expect_job(say(w, ask(JOB_START_NEXT, 0)), 0, 0, 0, 0);
    act(w, c, CAMPAIGN_RESUME);
    expect_job(say(w, ask(JOB_START_NEXT, 0)), id, EXECUTION_DOWNLOADING, 1, 2);
    act(w, c, CAMPAIGN_PAUSE);
    expect_job(say(w, ask(JOB_START_NEXT, 0)), id, EXECUTION_DOWNLOADING, 1, 2);
}

static int disable(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)arg;
    w->product.enabled = false;
    return product_update(db, &w->product, e);
}

static void test_the_disabled_have_no_jobs(void **state)
{
    struct world *w = *state;
    int64_t id = execution(w, campaign(w, firmware(w, "1.1.0"))).id;
    must(w, disable, NULL);
    assert_int_equal(say(w, ask(JOB_DESCRIBE, id))->verdict, JOB_UNKNOWN);
    assert_int_equal(w->out[0].job.id, 0);
    assert_int_equal(update(w, id, EXECUTION_SUCCEEDED, NULL)->verdict, JOB_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_from_offer_to_success, setup, teardown),
        cmocka_unit_test_setup_teardown(test_updates_alone_will_do, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_next, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_due_begins_with_the_question, setup, teardown),
        cmocka_unit_test_setup_teardown(test_jobs_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_description_without_its_document, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_attempt_comes_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_hold_off_is_not_the_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_next_campaign_follows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_all_modules_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_step_times_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_step_never_outlives_the_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_by_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_while_away_or_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_paused_campaign, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_disabled_have_no_jobs, setup, teardown),
    };
    return cmocka_run_group_tests_name("job", tests, NULL, NULL);
}
