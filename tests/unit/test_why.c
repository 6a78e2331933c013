/* Why a device is offered nothing: for each question a world in which it is the first no; and in random
 * worlds a device is offered something exactly when all the answers are yes. */
#include "base/clock.h"
#include "rollout_devices.h"
#include "store/product.h"

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

static int64_t with_policy(struct world *w, const char *policy)
{
    struct campaign_spec spec = spec_with(firmware(w, "1.1"), NULL, NULL, policy);
    return campaign_of(w, &spec);
}

static void expect_no(struct world *w, int64_t id, enum question q, const char *text, int64_t until_ms)
{
    struct answer no = first_no(w, id, "d1", q);
    assert_string_equal(no.text, text);
    assert_int_equal(no.until_ms, until_ms);
}

/* ---- one by one */

static int disable_product(struct world *w, struct db *db, void *arg, struct err *e)
{
    (void)arg;
    w->product.enabled = false;
    return product_update(db, &w->product, e);
}

static int disable_device(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct device d;
    int rc = device_get(db, w->product.key, arg, &d, e);
    d.enabled = false;
    return rc < 0 ? rc : device_update(db, &d, e);
}

static void test_product(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = with_policy(w, NULL);
    must(w, disable_product, NULL);
    expect_no(w, id, ASK_PRODUCT, "product thermo is disabled", 0);
}

static void test_enabled(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = with_policy(w, NULL);
    must(w, disable_device, "d1");
    expect_no(w, id, ASK_ENABLED, "the device is disabled", 0);
}

static void test_paused(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = with_policy(w, NULL);
    set_paused(w, "d1", true);
    expect_no(w, id, ASK_PAUSED, "the device is paused", 0);
}

static int rest(struct world *w, struct db *db, void *arg, struct err *e)
{
    return device_failures_set(db, *(int64_t *)arg, 4, w->now_ms + HOUR, e);
}

static void test_quarantine(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = with_policy(w, NULL), device = device_id(w, "d1");
    must(w, rest, &device);
    expect_no(w, id, ASK_QUARANTINE, "4 campaigns in a row have failed for it, and it rests",
              w->now_ms + HOUR);
    w->now_ms += HOUR; /* over, whether the tick has come by or not */
    first_no(w, id, "d1", ASK_AWAY);
}

static void test_campaign(void **state)
{
    struct world *w = *state;
    char policy[64], at[CLOCK_TEXT_SIZE];
    clock_format(w->now_ms + HOUR, at);
    snprintf(policy, sizeof policy, "{\"start_at\":\"%s\"}", at);
    device_away(w, "d1", "1.0");
    int64_t id = with_policy(w, policy);
    expect_no(w, id, ASK_CAMPAIGN, "the campaign is scheduled", w->now_ms + HOUR);
    later(w, HOUR);
    act(w, id, CAMPAIGN_PAUSE);
    expect_no(w, id, ASK_CAMPAIGN, "the campaign does not run: paused by the test", 0);
}

static void test_target(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    device_away(w, "d2", "1.0");
    struct campaign_spec spec = spec_with(firmware(w, "1.1"), "{\"devices\":[\"d2\"]}", NULL, NULL);
    expect_no(w, campaign_of(w, &spec), ASK_TARGET, "the campaign's target does not take it in", 0);
}

static void test_target_is_over(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    device_away(w, "d2", "1.0");
    int64_t id = with_policy(w, NULL);
    inform(w, "d1", "1.1");
    expect_no(w, id, ASK_TARGET, "it is over for this device: succeeded", 0);
}

static void test_pinned(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = with_policy(w, NULL);
    set_pinned(w, "d1", "1.0");
    expect_no(w, id, ASK_PINNED, "the device is pinned to 1.0, and this is 1.1", 0);
    set_pinned(w, "d1", "1.1");
    first_no(w, id, "d1", ASK_AWAY);
}

static int set_version(struct world *w, struct db *db, void *arg, struct err *e)
{
    bool changed;
    return device_version_set(db, device_id(w, "d1"), "default", arg, false, w->now_ms, &changed, e);
}

/* What changed since the row was made, and the device has not said in the rollout's hearing. */
static void test_version(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = with_policy(w, NULL);
    must(w, set_version, "1.1");
    expect_no(w, id, ASK_VERSION, "module default is on 1.1 already", 0);
    must(w, set_version, "1.2");
    expect_no(w, id, ASK_VERSION, "module default has 1.2, above 1.1", 0);
}

static void test_version_is_not_known(void **state)
{
    struct world *w = *state;
    inform_module(w, "d1", "stm32", "1");
    sessions(w, "d1", 0);
    int64_t id = campaign(w, firmware_with(w, "default", "2.0", ">=1.5", ""));
    expect_no(w, id, ASK_VERSION, "2.0 requires >=1.5, and what it has is not known", 0);
}

/* What the answer says of a yes is what would be sent. */
static void test_version_tells_the_way(void **state)
{
    struct world *w = *state;
    firmware(w, "1.5");
    device_away(w, "d1", "1.0");
    int64_t id = campaign(w, firmware_with(w, "default", "2.0", ">=1.5", ""));
    struct why why = why_of(w, id, "d1");
    assert_true(why.n > ASK_VERSION && why.answers[ASK_VERSION].yes);
    assert_string_equal(why.answers[ASK_VERSION].text, "1.0 to 2.0, by 1.5 first, since 2.0 requires >=1.5");
}

/* Of two modules the first is there: what is told of is the second. */
static void test_module_that_is_next(void **state)
{
    struct world *w = *state;
    struct campaign_spec spec = spec_for(firmware_for(w, "esp32", "2.0"));
    spec.firmware[1] = firmware_for(w, "stm32", "3.0");
    spec.firmware_count = 2;
    inform_module(w, "d1", "esp32", "2.0");
    inform_module(w, "d1", "stm32", "1.0");
    sessions(w, "d1", 0);
    int64_t id = campaign_of(w, &spec);
    expect_no(w, id, ASK_AWAY, "the device is away; it is offered this when it comes back", 0);
    assert_string_equal(why_of(w, id, "d1").answers[ASK_VERSION].text, "1.0 to 3.0");
    sessions(w, "d1", 1);
    request(w, "d1");
    expect_offer(w, "d1", "3.0");
}

static void test_wave(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    device_away(w, "d2", "1.0");
    set_tag(w, "d2", "ring", "0");
    struct campaign_spec spec =
        spec_with(firmware(w, "1.1"), NULL, "[{\"tags\":{\"ring\":\"0\"}},{\"percent\":100}]", NULL);
    int64_t id = campaign_of(w, &spec);
    expect_no(w, id, ASK_WAVE, "it is in wave 1, and wave 0 is the last that has started", 0);
    act(w, id, CAMPAIGN_ADVANCE);
    first_no(w, id, "d1", ASK_AWAY);
}

static void test_under_way_and_busy(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t first = with_policy(w, NULL);
    expect_no(w, first, ASK_NEWER, "it is under way: offered", 0);
    int64_t second = campaign(w, firmware(w, "1.2"));
    expect_no(w, second, ASK_NEWER, "the device is at work for campaign 1", 0);
}

static void test_retry(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "{\"retry_after\":\"30m\"}");
    report_error(w, "d1", execution_of(w, id, "d1").id, REASON_DOWNLOAD);
    expect_no(w, id, ASK_RETRY, "attempt 1 failed, and the pause after it is not over",
              w->now_ms + 30 * MINUTE);
}

static void test_away(void **state)
{
    struct world *w = *state;
    device_away(w, "d1", "1.0");
    int64_t id = with_policy(w, "{\"max_in_flight\":1,\"rate_per_minute\":1}");
    expect_no(w, id, ASK_AWAY, "the device is away; it is offered this when it comes back", 0);
}

static void test_confirm(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "{\"confirm\":\"device\",\"window\":{\"from\":\"22:00\",\"to\":\"23:00\"}}");
    expect_no(w, id, ASK_CONFIRM, "the campaign waits for the device to ask by itself", 0);
}

static void test_window(void **state)
{
    struct world *w = *state; /* it is 08:00 UTC */
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "{\"window\":{\"from\":\"22:00\",\"to\":\"23:00\"},\"rate_per_minute\":1}");
    expect_no(w, id, ASK_WINDOW, "the window is closed", w->now_ms + 14 * HOUR);
}

static void test_window_by_the_device(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "{\"window\":{\"from\":\"22:00\",\"to\":\"23:00\",\"tz\":\"device\"}}");
    expect_no(w, id, ASK_WINDOW, "the window is by the device's own time zone, and it has no tag tz", 0);
    set_tag(w, "d1", "tz", "Mars/Olympus");
    expect_no(w, id, ASK_WINDOW, "its tag tz is \"Mars/Olympus\", which is no time zone", 0);
    set_tag(w, "d1", "tz", "Asia/Shanghai"); /* 16:00 */
    expect_no(w, id, ASK_WINDOW, "the window is closed", w->now_ms + 6 * HOUR);
}

static void test_rate(void **state)
{
    struct world *w = *state;
    device_there(w, "d0", "1.0");
    int64_t id = with_policy(w, "{\"rate_per_minute\":2,\"max_in_flight\":1}");
    assert_int_equal(w->sent, 1);
    assert_int_equal(campaign_state(w, id), CAMPAIGN_RUNNING);
    struct campaign_spec spec = spec_with(firmware(w, "1.2"), NULL, NULL, "{\"rate_per_minute\":2}");
    device_there(w, "d1", "1.0");
    device_there(w, "d2", "1.0");
    id = campaign_of(w, &spec);
    assert_int_equal(w->sent, 1); /* one of the two */
    const char *waits = strcmp(w->out[0].device, "d1") == 0 ? "d2" : "d1";
    struct answer no = first_no(w, id, waits, ASK_RATE);
    assert_string_equal(no.text, "the rate is 2 offers in a minute, and the next one has yet to come");
    assert_int_equal(no.until_ms, w->now_ms + 29500); /* 30.5 s apart, one of them saved up */
}

static void test_slots(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    device_there(w, "d2", "1.0");
    int64_t id = with_policy(w, "{\"max_in_flight\":1}");
    assert_int_equal(w->sent, 1);
    const char *waits = strcmp(w->out[0].device, "d1") == 0 ? "d2" : "d1";
    struct answer no = first_no(w, id, waits, ASK_SLOTS);
    assert_string_equal(no.text, "devices at work: 1 of at most 1");
    assert_int_equal(no.until_ms, 0);
}

static void test_all_yes(void **state)
{
    struct world *w = *state;
    device_there(w, "d1", "1.0");
    int64_t id = with_policy(w, "{\"confirm\":\"operator\",\"rate_per_minute\":5,\"max_in_flight\":3}");
    act(w, id, CAMPAIGN_RESUME);
    inform(w, "d1", "1.0"); /* repeats the offer */
    act(w, id, CAMPAIGN_PAUSE);
    device_there(w, "d2", "1.0");
    id = campaign(w, firmware(w, "1.2"));
    act(w, id, CAMPAIGN_PAUSE);
    device_there(w, "d3", "1.0");
    struct campaign_spec spec = spec_with(firmware(w, "1.3"), NULL, NULL, "{\"confirm\":\"operator\"}");
    id = campaign_of(w, &spec);
    must(w, act_run, &(struct act){id, CAMPAIGN_RESUME}); /* and the tick has yet to come */
    struct why why = why_of(w, id, "d3");
    assert_true(why.n > ASK_WAVE);
    tick(w);
    assert_state(w, id, "d3", EXECUTION_OFFERED);
}

static void test_newest_first_and_none_that_is_over(void **state)
{
    struct world *w = *state;
    struct why rows[8];
    struct err e;
    size_t n;
    device_away(w, "d1", "1.0");
    int64_t first = with_policy(w, NULL);
    struct campaign_spec draft = spec_for(firmware(w, "1.4"));
    draft.draft = true;
    campaign_of(w, &draft);
    struct campaign_spec other = spec_for(firmware_for(w, "stm32", "1.4"));
    int64_t third = campaign_of(w, &other);
    assert_int_equal(why_device(&w->rollout, reader(w), device_id(w, "d1"), w->now_ms, rows, 8, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].campaign_id, third);
    assert_int_equal(rows[1].campaign_id, first);
    assert_int_equal(rows[1].execution_id, execution_of(w, first, "d1").id);
    act(w, third, CAMPAIGN_CANCEL);
    assert_int_equal(why_device(&w->rollout, reader(w), device_id(w, "d1"), w->now_ms, rows, 8, &n, &e), 0);
    assert_int_equal(n, 1);
}

/* ---- why and the offer agree */

static uint64_t dice;

static unsigned roll(unsigned sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (unsigned)((dice >> 11) % sides);
}

#define DEVICES 12

static void name_of(int i, char name[8])
{
    snprintf(name, 8, "d%d", i);
}

struct tally {
    int offers, silent[QUESTIONS];
};

struct dispatched {
    int64_t device_id;
    size_t sends;
};

static int dispatch_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct dispatched *d = arg;
    struct party p;
    forget(w);
    int rc = party_get_id(db, d->device_id, &p, e);
    if (rc == 0)
        rc = dispatch_device(&w->rollout, db, &p, AGAIN_NOTHING, false, w->now_ms, w->out, &w->sent, e);
    d->sends = w->sent;
    return rc;
}

static void check_agreement(struct world *w, const char *name, struct tally *tally)
{
    struct why rows[16];
    struct err e;
    size_t n;
    struct dispatched d = {.device_id = device_id(w, name)};
    int64_t promised = 0;
    if (!presence_there(w->rollout.presence, d.device_id, w->now_ms))
        return;
    if (why_device(&w->rollout, reader(w), d.device_id, w->now_ms, rows, 16, &n, &e) < 0)
        fail_msg("%s", e.text);
    for (size_t i = 0; i < n; i++) {
        const struct answer *last = &rows[i].answers[rows[i].n - 1];
        if (rows[i].n == QUESTIONS && last->yes && !promised)
            promised = rows[i].campaign_id;
        else if (!last->yes)
            tally->silent[last->question]++;
    }
    must(w, dispatch_run, &d);
    if (promised != (d.sends ? w->out[0].offer.campaign_id : 0))
        fail_msg("%s: why says campaign %lld, and the offer is of %lld", name, (long long)promised,
                 d.sends ? (long long)w->out[0].offer.campaign_id : 0LL);
    tally->offers += d.sends > 0;
}

static void some_campaign(struct world *w, int serial)
{
    static const char *const targets[] = {NULL, NULL, "{\"tags\":{\"ring\":\"0\"}}", "{\"percent\":60}",
                                          "{\"version\":\">=1.1\"}"};
    static const char *const waves[] = {NULL, NULL, "[{\"tags\":{\"ring\":\"0\"}},{\"percent\":100}]",
                                        "[{\"count\":3},{\"percent\":100}]"};
    static const char *const policies[] = {
        NULL,
        "{\"rate_per_minute\":2}",
        "{\"max_in_flight\":2}",
        "{\"confirm\":\"device\"}",
        "{\"confirm\":\"operator\"}",
        "{\"window\":{\"from\":\"09:00\",\"to\":\"12:00\"}}",
        "{\"window\":{\"from\":\"08:30\",\"to\":\"20:00\",\"tz\":\"device\"}}",
        "{\"allow_downgrade\":true,\"replace\":true}",
        "{\"quarantine_after\":1,\"max_attempts\":1}",
        "{\"health_hold_off\":\"5m\",\"retry_after\":\"1m\"}"};
    static const char *const requires[] = {"", "", ">=1.2", ">=1.3 <1.6"};
    char version[16];
    snprintf(version, sizeof version, "1.%u.%d", roll(9), serial);
    const char *module = roll(3) ? "default" : "aux";
    int64_t id = firmware_with(w, module, version, requires[roll(4)], "");
    struct campaign_spec spec = spec_with(id, targets[roll(5)], waves[roll(4)], policies[roll(10)]);
    if (roll(3) == 0) {
        snprintf(version, sizeof version, "2.%u.%d", roll(4), serial);
        spec.firmware[1] = firmware_with(w, strcmp(module, "aux") == 0 ? "default" : "aux", version, "", "");
        spec.firmware_count = 2;
    }
    struct creation c = {.spec = spec};
    must(w, create, &c);
    campaign_spec_clear(&spec);
}

/* Without dispatching: the store alone is changed, as by somebody else. */
static void disturb(struct world *w)
{
    static const char *const zones[] = {"UTC", "Asia/Shanghai", "Mars/Olympus"};
    char name[8];
    name_of((int)roll(DEVICES), name);
    switch (roll(7)) {
    case 0:
        set_paused(w, name, roll(3) == 0);
        break;
    case 1:
        set_pinned(w, name, roll(3) ? "" : "1.3.1");
        break;
    case 2:
        sessions(w, name, roll(4) != 0);
        break;
    case 3:
        set_tag(w, name, "tz", zones[roll(3)]);
        break;
    default:
        break;
    }
}

static void speak(struct world *w)
{
    char name[8], version[16];
    name_of((int)roll(DEVICES), name);
    snprintf(version, sizeof version, "1.%u.%u", roll(9), roll(6));
    switch (roll(4)) {
    case 0:
        inform(w, name, version);
        break;
    case 1:
        inform_module(w, name, "aux", version);
        break;
    case 2:
        report_error(w, name, 0, roll(2) ? REASON_FLASH : REASON_DOWNLOAD);
        break;
    default:
        progress(w, name, 0, roll(2) ? EXECUTION_DOWNLOADING : EXECUTION_INSTALLING, 50);
        break;
    }
}

/* Time passes, and the tick has no room to send anything: the devices are left to check_agreement. */
static int silent_tick(struct world *w, struct db *db, void *arg, struct err *e)
{
    bool again;
    size_t n;
    (void)arg;
    forget(w);
    return rollout_tick(&w->rollout, db, w->now_ms, w->out, 0, &n, &again, e);
}

static int any_act(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct act *a = arg;
    int rc = campaign_act(&w->rollout, db, a->id, a->action, "the test", w->now_ms, e);
    return rc == -ERR_CONFLICT || rc == -ERR_NOT_FOUND ? 0 : rc;
}

static void one_world(struct world *w, struct tally *tally)
{
    static const int64_t spans[] = {0, SECOND, 20 * SECOND, MINUTE, 11 * MINUTE, HOUR};
    char name[8], version[16];
    for (int i = 0; i < DEVICES; i++) {
        name_of(i, name);
        snprintf(version, sizeof version, "1.%u.0", roll(6));
        if (roll(6))
            inform(w, name, version);
        if (roll(2))
            inform_module(w, name, "aux", version);
        else if (!roll(2))
            inform_module(w, name, "radio", "1");
        struct device_event first = event(EVENT_INFORM, name);
        strcpy(first.module, "radio");
        strcpy(first.version, "1");
        must(w, deliver, &first);
        sessions(w, name, 1);
        set_tag(w, name, "ring", roll(3) && i ? "1" : "0");
    }
    for (int step = 0; step < 60; step++) {
        if (step % 12 == 0)
            some_campaign(w, step);
        else if (roll(3) == 0)
            disturb(w);
        else
            speak(w);
        if (roll(4) == 0)
            must(w, any_act, &(struct act){1 + roll(5), (enum campaign_action)roll(CAMPAIGN_CANCEL)});
        w->now_ms += spans[roll(6)];
        for (int i = 0; i < 3; i++)
            must(w, silent_tick, NULL);
        for (int i = 0; i < DEVICES; i++) {
            name_of((i + step) % DEVICES, name);
            check_agreement(w, name, tally);
        }
        check_world(w);
    }
}

static void test_why_and_offers_agree(void **state)
{
    (void)state;
    struct tally tally = {0};
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct world *w = world_enter("native", (struct product){.enabled = true, .enrolment_open = true});
        dice = 0x9e3779b97f4a7c15u * seed;
        one_world(w, &tally);
        world_leave(w);
    }
    /* nothing is proved where nothing was asked */
    assert_true(tally.offers > 60);
    for (int q = ASK_PAUSED; q < QUESTIONS; q++)
        if (q != ASK_AWAY && tally.silent[q] == 0)
            fail_msg("nobody was told no by \"%s\"", question_word((enum question)q));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_product),
        T(test_enabled),
        T(test_paused),
        T(test_quarantine),
        T(test_campaign),
        T(test_target),
        T(test_target_is_over),
        T(test_pinned),
        T(test_version),
        T(test_version_is_not_known),
        T(test_version_tells_the_way),
        T(test_module_that_is_next),
        T(test_wave),
        T(test_under_way_and_busy),
        T(test_retry),
        T(test_away),
        T(test_confirm),
        T(test_window),
        T(test_window_by_the_device),
        T(test_rate),
        T(test_slots),
        T(test_all_yes),
        T(test_newest_first_and_none_that_is_over),
        cmocka_unit_test(test_why_and_offers_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
