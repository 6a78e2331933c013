/* Waves: how they are read, which devices they take, and when the next one starts. */
#include "rollout/plan.h"
#include "rollout_fleet.h"

/* ---- reading */

static int parse(const char *text, int64_t target_percent, struct waves *out, struct err *e)
{
    json_t *list = json_of(text);
    int rc = waves_parse(list, target_percent, out, e);
    json_decref(list);
    return rc;
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } table[] = {
        {"[]", "1 to 32"},
        {"[7]", "list of objects"},
        {"[{\"percent\":100},7]", "list of objects"},
        {"[{}]", "one of count, percent and tags"},
        {"[{\"count\":1,\"percent\":100}]", "one of count, percent and tags"},
        {"[{\"tags\":{\"site\":\"A\"},\"percent\":100}]", "one of count, percent and tags"},
        {"[{\"count\":5}]", "the last one must take all"},
        {"[{\"percent\":50}]", "the last one must take all"},
        {"[{\"tags\":{\"site\":\"A\"}}]", "the last one must take all"},
        {"[{\"percent\":10},{\"count\":5}]", "the last one must take all"},
        {"[{\"percent\":20},{\"percent\":20},{\"percent\":100}]", "wave 1 goes to 20 %"},
        {"[{\"percent\":20},{\"count\":3},{\"percent\":10},{\"percent\":100}]", "wave 2 goes to 10 %"},
        {"[{\"percent\":100},{\"count\":5},{\"percent\":100}]", "wave 2 goes to 100 %"},
        {"[{\"percent\":0},{\"percent\":100}]", "percent"},
        {"[{\"percent\":101}]", "percent"},
        {"[{\"percent\":\"10\"},{\"percent\":100}]", "percent"},
        {"[{\"count\":0},{\"percent\":100}]", "count"},
        {"[{\"count\":1.5},{\"percent\":100}]", "count"},
        {"[{\"percent\":100,\"success_pct\":101}]", "success_pct"},
        {"[{\"percent\":100,\"success_pct\":-1}]", "success_pct"},
        {"[{\"percent\":100,\"soak\":30}]", "soak"},
        {"[{\"percent\":100,\"soak\":\"soon\"}]", "soak"},
        {"[{\"percent\":100,\"sooak\":\"30s\"}]", "sooak"},
        {"[{\"tags\":{}},{\"percent\":100}]", "name no tag"},
        {"[{\"tags\":{\"site\":3}},{\"percent\":100}]", "keys with texts"},
        {"[{\"tags\":{\"gps\":true}},{\"percent\":100}]", "keys with texts"},
        {"[{\"tags\":{\"si te\":\"A\"}},{\"percent\":100}]", "keys with texts"},
        {"[{\"tags\":\"site\"},{\"percent\":100}]", "tags"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct waves waves;
        struct err e = {0};
        if (parse(table[i].text, 100, &waves, &e) != -ERR_INVALID)
            fail_msg("taken: %s", table[i].text);
        assert_int_equal(strncmp(e.field, "waves", 5), 0);
        if (!strstr(e.text, table[i].says))
            fail_msg("%s: %s", table[i].text, e.text);
        waves_clear(&waves);
    }
}

static void test_too_many(void **state)
{
    (void)state;
    json_t *list = json_array();
    struct waves waves;
    struct err e = {0};
    for (int i = 0; i < WAVES_MAX - 1; i++)
        json_array_append_new(list, json_pack("{s:i}", "count", 1));
    json_array_append_new(list, json_pack("{s:i}", "percent", 100));
    assert_int_equal(waves_parse(list, 100, &waves, &e), 0);
    assert_int_equal(waves.n, WAVES_MAX);
    waves_clear(&waves);
    json_array_insert_new(list, 0, json_pack("{s:i}", "count", 1));
    assert_int_equal(waves_parse(list, 100, &waves, &e), -ERR_INVALID);
    json_decref(list);
}

static void test_taken(void **state)
{
    (void)state;
    struct waves waves;
    struct err e = {0};
    assert_int_equal(parse("[{\"count\":10,\"success_pct\":80,\"soak\":\"30m\"},{\"tags\":{\"site\":\"A\"}},"
                           "{\"percent\":50},{\"percent\":100}]",
                           20, &waves, &e),
                     0);
    assert_int_equal(waves.n, 4);
    assert_int_equal(waves.at[0].devices, 10);
    assert_int_equal(waves.at[0].success_pct, 80);
    assert_int_equal(waves.at[0].soak_ms, 30 * MINUTE);
    assert_int_equal(waves.at[0].upto, 0);
    assert_string_equal(waves.at[1].tags, "{\"site\":\"A\"}");
    assert_int_equal(waves.at[1].success_pct, 100);       /* all, where nothing is said */
    assert_int_equal(waves.at[2].upto, hash_below(1000)); /* half of a fifth */
    assert_int_equal(waves.at[3].success_pct, 0);
    assert_int_equal(waves.at[3].upto, INT64_MAX);
    assert_true(waves_need_survey(&waves));
    waves_clear(&waves);
    assert_int_equal(waves_parse(NULL, 100, &waves, &e), 0);
    assert_int_equal(waves.n, 1);
    assert_false(waves_need_survey(&waves));
}

static int plan_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    void **args = arg;
    return campaign_plan(db, args[0], w->now_ms, args[1], e);
}

static void test_tags_that_nobody_has(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 3, "1.0");
    tag(w, 1, 1, "site", "A");
    struct plan plan;
    struct err e = {0};
    struct campaign_spec spec =
        spec_with(firmware(w, "1.1"), NULL,
                  "[{\"tags\":{\"site\":\"A\"}},{\"tags\":{\"site\":\"B\"}},{\"percent\":100}]", NULL);
    void *args[] = {&spec, &plan};
    assert_int_equal(try_it(w, plan_run, args, &e), -ERR_INVALID);
    assert_string_equal(e.field, "waves");
    assert_non_null(strstr(e.text, "site=B"));
    assert_non_null(strstr(e.text, "wave 1"));
    campaign_spec_clear(&spec);
}

/* ---- which devices */

/* A dry run and the campaign say the same, wave by wave. */
static int64_t launch_as_planned(struct world *w, const char *target, const char *waves)
{
    struct plan plan;
    struct campaign_spec spec = spec_with(firmware(w, "1.1"), target, waves, NULL);
    void *args[] = {&spec, &plan};
    must(w, plan_run, args);
    size_t n = spec.waves.n;
    int64_t id = campaign_of(w, &spec);
    assert_int_equal(plan.wave_count, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(plan.waves[i], in_wave(w, id, (int)i));
    assert_int_equal(plan.verdicts[VERDICT_THERE], in_wave(w, id, NO_WAVE));
    assert_int_equal(plan.devices, query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?1", id, 0));
    return id;
}

/* Whether all of wave a have smaller hashes than all of wave b is what makes larger waves hold smaller ones.
 */
static int64_t hash_of(struct world *w, int64_t id, unsigned device)
{
    return device_hash((uint64_t)query(w, "SELECT salt FROM campaign WHERE id = ?1", id, 0), device);
}

static void test_count_is_exact(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 40, "1.1");
    fleet(w, 41, 100, "1.0");
    int64_t id = launch_as_planned(w, NULL, "[{\"count\":10},{\"percent\":100}]");
    assert_int_equal(in_wave(w, id, 0), 10);
    assert_int_equal(in_wave(w, id, 1), 50);
    assert_int_equal(in_wave(w, id, NO_WAVE), 40);
    assert_int_equal(
        query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?1 AND wave = -1 AND device_id <= 40",
              id, 0),
        40);
    int64_t largest = 0, smallest = INT64_MAX;
    for (unsigned i = 41; i <= 100; i++) {
        int64_t hash = hash_of(w, id, i);
        if (wave_at(w, id, i) == 0)
            largest = hash > largest ? hash : largest;
        else
            smallest = hash < smallest ? hash : smallest;
    }
    assert_true(largest < smallest);
}

static void test_count_above_all(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 20, "1.0");
    int64_t id = launch_as_planned(w, NULL, "[{\"count\":20},{\"count\":5},{\"percent\":100}]");
    assert_int_equal(in_wave(w, id, 0), 20);
    assert_int_equal(in_wave(w, id, 1), 0);
}

static void test_count_above_what_is_left(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 20, "1.0");
    int64_t id = launch_as_planned(w, NULL, "[{\"count\":7},{\"count\":500},{\"percent\":100}]");
    assert_int_equal(in_wave(w, id, 0), 7);
    assert_int_equal(in_wave(w, id, 1), 13);
}

static void test_count_after_percent(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 200, "1.0");
    int64_t id =
        launch_as_planned(w, NULL, "[{\"percent\":20},{\"count\":10},{\"percent\":60},{\"percent\":100}]");
    int64_t below = 0, below_60 = 0;
    for (unsigned i = 1; i <= 200; i++) {
        below += hash_of(w, id, i) < hash_below(2000);
        below_60 += hash_of(w, id, i) < hash_below(6000);
    }
    assert_true(below > 20 && below < 60);
    assert_int_equal(in_wave(w, id, 0), below);
    assert_int_equal(in_wave(w, id, 1), 10);
    assert_int_equal(in_wave(w, id, 2), below_60 - below - 10); /* its percent is of the whole target */
    assert_int_equal(in_wave(w, id, 3), 200 - below_60);
}

static void test_two_counts_in_a_row(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 60, "1.0");
    int64_t id = launch_as_planned(w, NULL, "[{\"count\":1},{\"count\":25},{\"count\":2},{\"percent\":100}]");
    assert_int_equal(in_wave(w, id, 0), 1);
    assert_int_equal(in_wave(w, id, 1), 25);
    assert_int_equal(in_wave(w, id, 2), 2);
    assert_int_equal(in_wave(w, id, 3), 32);
}

static void test_count_within_percent_of_the_target(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 200, "1.0");
    int64_t id =
        launch_as_planned(w, "{\"percent\":30}", "[{\"count\":10},{\"percent\":50},{\"percent\":100}]");
    int64_t all = query(w, "SELECT count(*) FROM execution WHERE campaign_id = ?1", id, 0), half = 0;
    for (unsigned i = 1; i <= 200; i++)
        half += hash_of(w, id, i) < hash_below(1500);
    assert_true(all > 35 && all < 85);
    assert_int_equal(in_wave(w, id, 0), 10);
    assert_int_equal(in_wave(w, id, 1), half - 10);
}

static void test_tags_before_count(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 60, "1.0");
    fleet(w, 61, 65, "1.1");
    tag(w, 56, 65, "site", "A");
    int64_t id = launch_as_planned(w, NULL, "[{\"tags\":{\"site\":\"A\"}},{\"count\":10},{\"percent\":100}]");
    assert_int_equal(in_wave(w, id, 0), 5);
    for (unsigned i = 56; i <= 60; i++)
        assert_int_equal(wave_at(w, id, i), 0);
    assert_int_equal(in_wave(w, id, 1), 10);
    assert_int_equal(in_wave(w, id, 2), 45);
}

static void test_tags_after_count(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 60, "1.0");
    tag(w, 1, 50, "site", "A");
    int64_t id = launch_as_planned(w, NULL, "[{\"count\":10},{\"tags\":{\"site\":\"A\"}},{\"percent\":100}]");
    assert_int_equal(in_wave(w, id, 0), 10);
    for (unsigned i = 51; i <= 60; i++)
        assert_int_not_equal(wave_at(w, id, i), 1);
    assert_int_equal(in_wave(w, id, 1) + in_wave(w, id, 2), 50);
    assert_int_equal(query(w,
                           "SELECT count(*) FROM execution WHERE campaign_id = ?1 AND wave = 2 "
                           "AND device_id <= 50",
                           id, 0),
                     0);
}

/* The same devices first, whatever of them: so who tries 20 % and then 30 % asks those 20 % again, and 10
 * more. */
static void test_percent_holds_a_smaller_one(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 300, "1.0");
    int64_t firmware_id = firmware(w, "1.1");
    struct campaign_spec small = spec_with(firmware_id, "{\"percent\":20}", NULL, NULL);
    struct campaign_spec large = spec_with(firmware_id, "{\"percent\":30}", NULL, NULL);
    struct campaign_spec other = spec_with(firmware(w, "1.2"), "{\"percent\":30}", NULL, NULL);
    int64_t a = campaign_of(w, &small), b = campaign_of(w, &large), c = campaign_of(w, &other);
    static const char both[] = "SELECT count(*) FROM execution x JOIN execution y "
                               "ON y.campaign_id = ?2 AND y.device_id = x.device_id WHERE x.campaign_id = ?1";
    static const char count[] = "SELECT count(*) FROM execution WHERE campaign_id = ?1";
    int64_t n = query(w, count, a, 0);
    assert_true(n > 35 && n < 85);
    assert_true(query(w, count, b, 0) > n);
    assert_int_equal(query(w, both, a, b), n);
    assert_true(query(w, both, a, c) < n); /* another firmware picks others first */
}

static void test_more_than_a_stretch(void **state)
{
    struct world *w = *state;
    fleet(w, 1, 5000, "1.0");
    int64_t id = launch_as_planned(w, NULL, "[{\"count\":1234},{\"percent\":50},{\"percent\":100}]");
    assert_int_equal(in_wave(w, id, 0), 1234);
    assert_int_equal(in_state(w, id, EXECUTION_PENDING), 5000 - 1234);
    act(w, id, CAMPAIGN_ADVANCE); /* and so is the queueing */
    act(w, id, CAMPAIGN_ADVANCE);
    assert_int_equal(in_state(w, id, EXECUTION_QUEUED), 5000);
}

/* ---- when the next one starts */

static const char two_waves[] = "[{\"tags\":{\"wave\":\"first\"}},{\"percent\":100}]";

/* Ten devices that are there; the first so many are of wave 0. */
static int64_t two(struct world *w, unsigned first, const char *waves, const char *policy)
{
    fleet_there(w, 1, 10, "1.0");
    tag(w, 1, first, "wave", "first");
    int64_t id = launch(w, NULL, waves, policy);
    assert_int_equal(offers(w), first);
    return id;
}

static void test_starts_when_the_success_is_met(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 3, two_waves, NULL);
    inform(w, 1, "1.1");
    inform(w, 2, "1.1");
    later(w, HOUR);
    assert_int_equal(wave_now(w, id), 0);
    assert_int_equal(offers(w), 0);
    assert_int_equal(in_state(w, id, EXECUTION_PENDING), 7);
    inform(w, 3, "1.1");
    assert_int_equal(wave_now(w, id), 0);
    later(w, SECOND);
    assert_int_equal(wave_now(w, id), 1);
    assert_int_equal(offers(w), 7);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), 7);
}

static void test_part_of_a_wave_may_do(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 5, "[{\"tags\":{\"wave\":\"first\"},\"success_pct\":50},{\"percent\":100}]", NULL);
    inform(w, 1, "1.1");
    inform(w, 2, "1.1");
    later(w, MINUTE);
    assert_int_equal(wave_now(w, id), 0); /* 50 % of five devices are three */
    inform(w, 3, "1.1");
    later(w, SECOND);
    assert_int_equal(wave_now(w, id), 1);
    assert_state(w, id, 4, EXECUTION_OFFERED);
}

static void test_soaks_first(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 1, "[{\"tags\":{\"wave\":\"first\"},\"soak\":\"30m\"},{\"percent\":100}]", NULL);
    later(w, HOUR); /* the soak begins with the success, not with the wave */
    inform(w, 1, "1.1");
    later(w, SECOND);
    later(w, 30 * MINUTE - SECOND);
    assert_int_equal(wave_now(w, id), 0);
    assert_int_equal(offers(w), 0);
    later(w, SECOND);
    assert_int_equal(wave_now(w, id), 1);
    assert_int_equal(offers(w), 9);
}

static void test_away_in_the_first_wave_holds_it(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 10, "1.0");
    depart(w, 2, 2);
    tag(w, 1, 2, "wave", "first");
    int64_t id = launch(w, NULL, two_waves, NULL);
    inform(w, 1, "1.1");
    for (int day = 0; day < 30; day++)
        later(w, 24 * HOUR);
    assert_int_equal(wave_now(w, id), 0);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    come(w, 2);
    assert_int_equal(offers(w), 1);
    inform(w, 2, "1.1");
    later(w, SECOND);
    assert_int_equal(wave_now(w, id), 1);
}

static void test_later_waves_are_offered_nothing(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 3, two_waves, NULL);
    ask(w, 7);
    assert_int_equal(offers(w), 0);
    inform(w, 7, "1.0");
    assert_int_equal(offers(w), 0);
    come(w, 7);
    assert_int_equal(offers(w), 0);
    assert_state(w, id, 7, EXECUTION_PENDING);
    struct answer answer = why_not(w, 7);
    assert_int_equal(answer.question, ASK_WAVE);
    assert_non_null(strstr(answer.text, "wave 1"));
}

/* One that gets the version by other means is done; its wave has one less to wait for. */
static void test_later_waves_may_be_there_before(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 3, two_waves, NULL);
    inform(w, 7, "1.1");
    assert_state(w, id, 7, EXECUTION_SUCCEEDED);
    assert_int_equal(wave_at(w, id, 7), 1);
    inform(w, 8, "1.5");
    assert_state(w, id, 8, EXECUTION_SUPERSEDED);
}

static void test_asks_between_start_and_tick(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 3, two_waves, NULL);
    must(w, act_run, &(struct act){id, CAMPAIGN_ADVANCE}); /* no tick yet */
    assert_state(w, id, 7, EXECUTION_PENDING);
    ask(w, 7);
    assert_int_equal(offers(w), 1);
    assert_state(w, id, 7, EXECUTION_OFFERED);
    check_world(w);
    tick(w);
    assert_int_equal(offers(w), 6);
    assert_int_equal(in_state(w, id, EXECUTION_OFFERED), 10);
    assert_int_equal(query(w, "SELECT max(attempt) FROM execution", 0, 0), 1);
}

static void test_advance_starts_it_at_once(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 3, "[{\"tags\":{\"wave\":\"first\"},\"soak\":\"7d\"},{\"percent\":100}]", NULL);
    act(w, id, CAMPAIGN_ADVANCE);
    assert_int_equal(wave_now(w, id), 1);
    assert_int_equal(offers(w), 7);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    struct err e = {0};
    assert_int_equal(try_it(w, act_run, &(struct act){id, CAMPAIGN_ADVANCE}, &e), -ERR_CONFLICT);
    assert_non_null(strstr(e.text, "last wave"));
}

static void test_advance_needs_a_campaign_that_runs(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 3, two_waves, NULL);
    act(w, id, CAMPAIGN_CANCEL);
    struct err e = {0};
    assert_int_equal(try_it(w, act_run, &(struct act){id, CAMPAIGN_ADVANCE}, &e), -ERR_CONFLICT);
    assert_int_equal(wave_now(w, id), 0);
}

/* While a campaign is paused, its waves are too. */
static void test_paused(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 1, two_waves, NULL);
    act(w, id, CAMPAIGN_PAUSE);
    inform(w, 1, "1.1");
    later(w, HOUR);
    assert_int_equal(wave_now(w, id), 0);
    act(w, id, CAMPAIGN_RESUME);
    assert_int_equal(wave_now(w, id), 1);
    assert_int_equal(offers(w), 9);
}

static void test_approval_comes_before_the_first_wave(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 10, "1.0");
    tag(w, 1, 3, "wave", "first");
    int64_t id = launch(w, NULL, two_waves, "{\"confirm\":\"operator\"}");
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    assert_string_equal(campaign_now(w, id).state_cause, "approval");
    assert_int_equal(wave_now(w, id), -1);
    ask(w, 1);
    assert_int_equal(offers(w), 0);
    act(w, id, CAMPAIGN_RESUME);
    assert_int_equal(wave_now(w, id), 0);
    assert_int_equal(offers(w), 3);
    assert_int_equal(in_state(w, id, EXECUTION_PENDING), 7);
}

static void test_empty_waves_are_met_at_once(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 5, "1.0");
    fleet_there(w, 6, 7, "1.1");
    tag(w, 6, 7, "wave", "first"); /* who have it already */
    int64_t id = launch(
        w, NULL, "[{\"tags\":{\"wave\":\"first\"}},{\"count\":5},{\"count\":5},{\"percent\":100}]", NULL);
    assert_int_equal(wave_now(w, id), 1);
    assert_int_equal(offers(w), 5);
    for (unsigned i = 1; i <= 5; i++)
        inform(w, i, "1.1");
    later(w, SECOND);
    assert_campaign(w, id, CAMPAIGN_COMPLETED);
}

static void test_all_waves_may_be_empty(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 5, "1.1");
    int64_t id = launch(w, NULL, "[{\"count\":5},{\"percent\":100}]", NULL);
    assert_campaign(w, id, CAMPAIGN_COMPLETED);
    assert_int_equal(in_wave(w, id, NO_WAVE), 5);
}

static void test_success_of_nothing_is_a_time(void **state)
{
    struct world *w = *state;
    int64_t id = two(
        w, 3, "[{\"tags\":{\"wave\":\"first\"},\"success_pct\":0,\"soak\":\"1h\"},{\"percent\":100}]", NULL);
    later(w, HOUR - SECOND);
    assert_int_equal(wave_now(w, id), 0);
    later(w, SECOND);
    assert_int_equal(wave_now(w, id), 1);
}

/* ---- a wave that fails */

static const char once[] = "{\"max_attempts\":1}";

static void test_fails_in_the_transaction_of_the_report(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 4, "[{\"tags\":{\"wave\":\"first\"},\"success_pct\":75},{\"percent\":100}]", once);
    report_error(w, 1, REASON_FLASH);
    assert_campaign(w, id, CAMPAIGN_RUNNING); /* three of four are still in reach */
    report_error(w, 2, REASON_FLASH);
    struct campaign c = campaign_now(w, id);
    assert_int_equal(c.state, CAMPAIGN_PAUSED);
    assert_string_equal(c.state_cause, "threshold");
    assert_string_equal(c.state_reason,
                        "wave 0 cannot reach 75 % any more: 3 of 4 devices must succeed, 0 have, "
                        "2 failed and 2 are left");
    inform(w, 3, "1.1"); /* what is under way goes on */
    assert_state(w, id, 3, EXECUTION_SUCCEEDED);
    later(w, HOUR);
    assert_int_equal(wave_now(w, id), 0);
}

static void test_fails_and_is_cancelled(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 4, two_waves, "{\"max_attempts\":1,\"wave_failed\":\"cancel\"}");
    report_error(w, 1, REASON_FLASH);
    struct campaign c = campaign_now(w, id);
    assert_int_equal(c.state, CAMPAIGN_CANCELLED);
    assert_string_equal(c.state_cause, "threshold");
    later(w, SECOND);
    assert_int_equal(in_state(w, id, EXECUTION_CANCELLED), 6);
    inform(w, 2, "1.1");
    assert_state(w, id, 2, EXECUTION_SUCCEEDED);
}

static void test_attempts_are_not_failures(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 1, two_waves, "{\"max_attempts\":2,\"retry_after\":\"1m\"}");
    report_error(w, 1, REASON_FLASH);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    later(w, MINUTE);
    assert_int_equal(offers(w), 1);
    report_error(w, 1, REASON_FLASH);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
}

static void test_a_clock_fails_it_too(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 1, two_waves, "{\"max_attempts\":1,\"offer_timeout\":\"1h\"}");
    w->now_ms += HOUR;
    bool again;
    forget(w);
    must(w, tick_once, &again);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    assert_string_equal(campaign_now(w, id).state_cause, "threshold");
}

static void test_resume_after_failing_goes_on(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 10, "1.0");
    depart(w, 2, 2);
    tag(w, 1, 2, "wave", "first");
    int64_t id = launch(w, NULL, two_waves, once);
    report_error(w, 1, REASON_FLASH);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    come(w, 2);
    assert_int_equal(offers(w), 0);
    act(w, id, CAMPAIGN_RESUME);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    assert_int_equal(offers(w), 1);
    inform(w, 2, "1.1");
    later(w, HOUR);
    assert_campaign(w, id, CAMPAIGN_PAUSED); /* nobody is left who could meet it */
    assert_string_equal(campaign_now(w, id).state_cause, "threshold");
    assert_int_equal(wave_now(w, id), 0);
    act(w, id, CAMPAIGN_ADVANCE);
    assert_int_equal(offers(w), 8);
}

static void test_advance_out_of_a_wave_that_failed(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 2, two_waves, once);
    report_error(w, 1, REASON_FLASH);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    act(w, id, CAMPAIGN_ADVANCE);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    assert_int_equal(wave_now(w, id), 1);
    assert_int_equal(offers(w), 8);
    report_error(w, 2, REASON_FLASH); /* of a wave that is behind */
    assert_campaign(w, id, CAMPAIGN_RUNNING);
}

static void test_met_is_met(void **state)
{
    struct world *w = *state;
    int64_t id = two(
        w, 4, "[{\"tags\":{\"wave\":\"first\"},\"success_pct\":50,\"soak\":\"1h\"},{\"percent\":100}]", once);
    inform(w, 1, "1.1");
    inform(w, 2, "1.1");
    later(w, SECOND);
    report_error(w, 3, REASON_FLASH);
    report_error(w, 4, REASON_FLASH);
    assert_campaign(w, id, CAMPAIGN_RUNNING);
    later(w, HOUR);
    assert_int_equal(wave_now(w, id), 1);
}

static void test_the_last_wave_may_ask_for_success(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 1, "[{\"tags\":{\"wave\":\"first\"}},{\"percent\":100,\"success_pct\":90}]", once);
    inform(w, 1, "1.1");
    later(w, SECOND);
    report_error(w, 2, REASON_FLASH);
    assert_campaign(w, id, CAMPAIGN_PAUSED);
    assert_int_equal(strncmp(campaign_now(w, id).state_reason, "wave 1 cannot reach 90 %", 24), 0);
}

/* ---- who leaves a wave */

static void test_removed_devices_leave_the_sum(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 3, two_waves, NULL);
    inform(w, 1, "1.1");
    inform(w, 2, "1.1");
    later(w, MINUTE);
    assert_int_equal(wave_now(w, id), 0);
    remove_device(w, 3);
    later(w, SECOND);
    assert_int_equal(wave_now(w, id), 1);
}

static void test_superseded_devices_leave_the_sum(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 10, "1.0");
    depart(w, 3, 3);
    tag(w, 1, 3, "wave", "first");
    int64_t id = launch(w, NULL, two_waves, NULL);
    inform(w, 1, "1.1");
    inform(w, 2, "1.1");
    later(w, MINUTE);
    struct campaign_spec newer = spec_with(firmware(w, "1.2"), "{\"devices\":[\"d3\"]}", NULL, NULL);
    campaign_of(w, &newer);
    assert_state(w, id, 3, EXECUTION_SUPERSEDED);
    later(w, SECOND);
    assert_int_equal(wave_now(w, id), 1);
}

/* Who leaves may leave too few behind: nobody would report anything any more that could say so. */
static void test_leaving_may_fail_a_wave(void **state)
{
    struct world *w = *state;
    int64_t id = two(w, 10, "[{\"tags\":{\"wave\":\"first\"},\"success_pct\":90},{\"percent\":100}]", once);
    report_error(w, 1, REASON_FLASH);
    assert_campaign(w, id, CAMPAIGN_RUNNING); /* nine of ten */
    remove_device(w, 2);
    assert_campaign(w, id, CAMPAIGN_PAUSED); /* nine of nine, and eight are left */
    assert_string_equal(campaign_now(w, id).state_cause, "threshold");
}

/* ---- preparing */

static void test_cancel_while_measuring(void **state)
{
    struct world *w = *state;
    bool again;
    fleet(w, 1, 5000, "1.0");
    struct creation c = {.spec =
                             spec_with(firmware(w, "1.1"), NULL, "[{\"count\":10},{\"percent\":100}]", NULL)};
    must(w, create, &c);
    for (int i = 0; i < 2; i++)
        must(w, tick_once, &again);
    assert_campaign(w, c.id, CAMPAIGN_PREPARING);
    act(w, c.id, CAMPAIGN_CANCEL);
    assert_campaign(w, c.id, CAMPAIGN_CANCELLED);
    assert_true(campaign_now(w, c.id).finished_at_ms > 0);
    assert_int_equal(query(w, "SELECT count(*) FROM execution", 0, 0), 0);
    assert_null(w->rollout.preparing.survey);
    campaign_spec_clear(&c.spec);
}

static void test_cancel_while_rows_are_made(void **state)
{
    struct world *w = *state;
    bool again = true;
    fleet_there(w, 1, 5000, "1.0");
    struct creation c = {.spec = spec_with(firmware(w, "1.1"), NULL, NULL, NULL)};
    must(w, create, &c);
    for (int i = 0; i < 2; i++)
        must(w, tick_once, &again);
    assert_campaign(w, c.id, CAMPAIGN_PREPARING);
    int64_t made = query(w, "SELECT count(*) FROM execution", 0, 0);
    assert_true(made > 0 && made < 5000);
    ask(w, 1);
    assert_int_equal(offers(w), 0);
    act(w, c.id, CAMPAIGN_CANCEL);
    assert_campaign(w, c.id, CAMPAIGN_CANCELLED);
    assert_int_equal(in_state(w, c.id, EXECUTION_CANCELLED), made);
    assert_int_equal(query(w, "SELECT count(*) FROM execution", 0, 0), made);
    campaign_spec_clear(&c.spec);
}

/* Killed while it measures, or between that and its rows: it begins anew, and comes to the same. */
static void test_restart_while_measuring(void **state)
{
    struct world *w = *state;
    bool again;
    fleet(w, 1, 5000, "1.0");
    struct creation c = {
        .spec = spec_with(firmware(w, "1.1"), NULL, "[{\"count\":1000},{\"percent\":100}]", NULL)};
    must(w, create, &c);
    for (int steps = 2; steps < 6; steps++) {
        for (int i = 0; i < steps; i++)
            must(w, tick_once, &again);
        restart(w);
    }
    tick(w);
    assert_campaign(w, c.id, CAMPAIGN_RUNNING);
    assert_int_equal(in_wave(w, c.id, 0), 1000);
    assert_int_equal(in_wave(w, c.id, 1), 4000);
    campaign_spec_clear(&c.spec);
}

/* ---- dynamic campaigns */

static void test_comes_later_into_its_wave(void **state)
{
    struct world *w = *state;
    fleet_there(w, 1, 20, "1.0");
    int64_t id = launch(w, "{\"dynamic\":true}", "[{\"percent\":50},{\"percent\":100}]", NULL);
    int64_t first = in_wave(w, id, 0);
    assert_int_equal(offers(w), first);
    fleet(w, 21, 60, "1.0");
    int64_t more = 0, late = 0;
    for (unsigned i = 21; i <= 60; i++) {
        come(w, i);
        assert_int_equal(offers(w), wave_at(w, id, i) == 0);
        more += wave_at(w, id, i) == 0;
        late += wave_at(w, id, i) == 1;
    }
    assert_true(more > 0 && late > 0);
    assert_int_equal(more + late, 40);
    act(w, id, CAMPAIGN_ADVANCE);
    assert_int_equal(offers(w), 20 - first + late);
    fleet(w, 61, 64, "1.0");
    for (unsigned i = 61; i <= 64; i++) {
        come(w, i);
        assert_int_equal(offers(w), 1);
    }
}

#define FLEET(test) cmocka_unit_test_setup_teardown(test, fleet_enter, fleet_leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_taken),
        FLEET(test_tags_that_nobody_has),
        FLEET(test_count_is_exact),
        FLEET(test_count_above_all),
        FLEET(test_count_above_what_is_left),
        FLEET(test_count_after_percent),
        FLEET(test_two_counts_in_a_row),
        FLEET(test_count_within_percent_of_the_target),
        FLEET(test_tags_before_count),
        FLEET(test_tags_after_count),
        FLEET(test_percent_holds_a_smaller_one),
        FLEET(test_more_than_a_stretch),
        FLEET(test_starts_when_the_success_is_met),
        FLEET(test_part_of_a_wave_may_do),
        FLEET(test_soaks_first),
        FLEET(test_away_in_the_first_wave_holds_it),
        FLEET(test_later_waves_are_offered_nothing),
        FLEET(test_later_waves_may_be_there_before),
        FLEET(test_asks_between_start_and_tick),
        FLEET(test_advance_starts_it_at_once),
        FLEET(test_advance_needs_a_campaign_that_runs),
        FLEET(test_paused),
        FLEET(test_approval_comes_before_the_first_wave),
        FLEET(test_empty_waves_are_met_at_once),
        FLEET(test_all_waves_may_be_empty),
        FLEET(test_success_of_nothing_is_a_time),
        FLEET(test_fails_in_the_transaction_of_the_report),
        FLEET(test_fails_and_is_cancelled),
        FLEET(test_attempts_are_not_failures),
        FLEET(test_a_clock_fails_it_too),
        FLEET(test_resume_after_failing_goes_on),
        FLEET(test_advance_out_of_a_wave_that_failed),
        FLEET(test_met_is_met),
        FLEET(test_the_last_wave_may_ask_for_success),
        FLEET(test_removed_devices_leave_the_sum),
        FLEET(test_superseded_devices_leave_the_sum),
        FLEET(test_leaving_may_fail_a_wave),
        FLEET(test_cancel_while_measuring),
        FLEET(test_cancel_while_rows_are_made),
        FLEET(test_restart_while_measuring),
        FLEET(test_comes_later_into_its_wave),
    };
    return cmocka_run_group_tests_name("wave", tests, NULL, NULL);
}
