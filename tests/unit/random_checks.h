/* random_checks.h: what test_rollout_random holds the rows against after each step: the invariants of
 * rollout/execution.h, by SQL where a row tells it, by what was seen before where it does not. */
#ifndef OTAD_TESTS_RANDOM_CHECKS_H
#define OTAD_TESTS_RANDOM_CHECKS_H

#include "random_world.h"

#include "rollout/scan.h"

/* Targets, and what each asks of a device (id ?1, version of the first module ?2) in other words. */
struct aim {
    const char *json, *sql;
};

static const struct aim aims[] = {
    {"", "SELECT 1 WHERE ?1 + 0"},
    {"\"tags\":{\"site\":\"a\"},",
     "SELECT 1 FROM device_tag WHERE device_id = ?1 AND key = 'site' AND value = 'a'"},
    {"\"tags\":{\"site!\":\"a\"},",
     "SELECT 1 WHERE ?1 NOT IN (SELECT device_id FROM device_tag WHERE key = 'site' AND value = 'a')"},
    {"\"tags\":{\"beta\":true},", "SELECT 1 FROM device_tag WHERE device_id = ?1 AND key = 'beta'"},
    {"\"tags\":{\"beta\":false,\"site\":\"b\"},",
     "SELECT 1 FROM device_tag WHERE device_id = ?1 AND key = 'site' AND value = 'b' "
     "AND device_id NOT IN (SELECT device_id FROM device_tag WHERE key = 'beta')"},
    {"\"devices\":[\"d0\",\"d3\",\"d1\",\"d2\",\"d1\"],",
     "SELECT 1 FROM device WHERE id = ?1 AND name IN ('d0', 'd1', 'd2', 'd3')"},
    {"\"version\":\"<1.4\",", "SELECT 1 WHERE ?1 AND ?2 IN ('1.0', '1.1', '1.2', '1.3')"},
};

/* Each of these counts what must not be. */
static const char *const wrongs[] = {
    /* 2 */
    "SELECT count(*) FROM (SELECT 1 FROM execution x JOIN execution_module m ON m.execution_id = x.id "
    "WHERE x.state BETWEEN 2 AND 6 GROUP BY m.device_id, m.module HAVING count(*) > 1)",
    "SELECT count(*) FROM execution x JOIN execution_module m ON m.execution_id = x.id "
    "WHERE m.active <> (x.state BETWEEN 2 AND 6)",
    "SELECT count(*) FROM (SELECT 1 FROM execution WHERE state BETWEEN 2 AND 6 GROUP BY device_id "
    "HAVING count(*) > 1)",
    /* attempts, clocks, and the modules of what is over */
    "SELECT count(*) FROM execution x JOIN campaign c ON c.id = x.campaign_id WHERE x.attempt > "
    "json_extract(c.policy, '$.max_attempts') + (SELECT count(*) FROM part p WHERE p.execution_id = x.id AND "
    "p.no_delta)",
    "SELECT count(*) FROM execution WHERE (deadline_at_ms IS NOT NULL) <> (state BETWEEN 2 AND 6)",
    "SELECT count(*) FROM execution WHERE due_at_ms > 0 AND state <> 1",
    "SELECT count(*) FROM execution x WHERE x.state BETWEEN 6 AND 7 AND x.attempt > 0 AND EXISTS "
    "(SELECT 1 FROM part m WHERE m.execution_id = x.id AND m.done_at_ms = 0)",
    "SELECT count(*) FROM execution x WHERE x.state < 6 AND NOT EXISTS "
    "(SELECT 1 FROM part m WHERE m.execution_id = x.id AND m.done_at_ms = 0)",
    "SELECT count(*) FROM campaign c JOIN execution x ON x.campaign_id = c.id "
    "WHERE c.state = 'completed' AND x.state < 7",
    /* 5: of what waits for a device's module, one is left */
    "SELECT count(*) FROM (SELECT 1 FROM execution x JOIN part m ON m.execution_id = x.id "
    "JOIN campaign c ON c.id = x.campaign_id AND c.state <> 'cancelled' "
    "WHERE x.state < 2 AND m.done_at_ms = 0 GROUP BY m.device_id, m.module HAVING count(*) > 1)",
    /* 9 */
    "SELECT count(*) FROM (SELECT campaign_id, wave, state, count(*) FROM execution GROUP BY 1, 2, 3 "
    "EXCEPT SELECT campaign_id, wave, state, n FROM wave_count)",
    "SELECT (SELECT count(*) FROM execution) <> (SELECT coalesce(sum(n), 0) FROM wave_count)",
    "SELECT count(*) FROM wave_count WHERE n < 0",
    "SELECT count(*) FROM campaign_pace k WHERE k.silent <> (SELECT count(*) FROM execution x WHERE "
    "x.campaign_id = k.campaign_id AND x.silent)",
    "SELECT count(*) FROM execution WHERE silent AND state NOT BETWEEN 2 AND 6",
    /* rows: a part once, a device once, and what puts back brings nothing that the device never had */
    "SELECT count(*) FROM (SELECT 1 FROM part GROUP BY execution_id, ord HAVING count(*) > 1)",
    "SELECT count(*) FROM (SELECT 1 FROM execution GROUP BY campaign_id, device_id HAVING count(*) > 1)",
    "SELECT count(*) FROM campaign c JOIN part p ON p.campaign_id = c.id WHERE c.puts_back AND p.state < 7 "
    "AND "
    "NOT EXISTS (SELECT 1 FROM execution y JOIN execution_module m ON m.execution_id = y.id "
    "JOIN firmware f ON f.id = p.goal_id WHERE y.campaign_id = c.source_id AND y.device_id = p.device_id AND "
    "m.module = p.module AND m.from_version = f.version)",
};

#define FAILED_STATES                                                                \
    (1u << EXECUTION_FAILED | 1u << EXECUTION_TIMED_OUT | 1u << EXECUTION_REJECTED | \
     1u << EXECUTION_ROLLED_BACK)
#define FINISHED_STATES (FAILED_STATES | 1u << EXECUTION_SUCCEEDED)
#define LIVE_STATES     ((1u << EXECUTION_SUCCEEDED) - 1)
#define ACTIVE_STATES   (LIVE_STATES & ~3u)

static inline int64_t sum_of(const int64_t counts[EXECUTION_STATES], unsigned states)
{
    int64_t n = 0;
    for (int state = 0; state < EXECUTION_STATES; state++)
        n += states >> state & 1 ? counts[state] : 0;
    return n;
}

/* ---- what a file may be offered to */

struct file_row {
    char module[MODULE_SIZE], version[VERSION_SIZE], delta_from[VERSION_SIZE], requires[RANGE_SIZE];
    char goal[VERSION_SIZE];
};

/* The file that the execution is at, and where it leads. */
static inline bool file_of(struct fate *f, int64_t execution_id, struct file_row *out)
{
    sqlite3_stmt *s = look(f, "SELECT p.module, f.version, f.delta_from, f.requires, g.version FROM part p "
                              "JOIN firmware f ON f.id = p.firmware_id JOIN firmware g ON g.id = p.goal_id "
                              "WHERE p.execution_id = ?1 AND p.done_at_ms = 0 ORDER BY p.ord LIMIT 1");
    sqlite3_bind_int64(s, 1, execution_id);
    bool found = sqlite3_step(s) == SQLITE_ROW;
    if (found) {
        snprintf(out->module, sizeof out->module, "%s", (const char *)sqlite3_column_text(s, 0));
        snprintf(out->version, sizeof out->version, "%s", (const char *)sqlite3_column_text(s, 1));
        snprintf(out->delta_from, sizeof out->delta_from, "%s", (const char *)sqlite3_column_text(s, 2));
        snprintf(out->requires, sizeof out->requires, "%s", (const char *)sqlite3_column_text(s, 3));
        snprintf(out->goal, sizeof out->goal, "%s", (const char *)sqlite3_column_text(s, 4));
    }
    sqlite3_reset(s);
    return found;
}

/* Invariant 6, and what deltas and stones are for. */
static inline void check_file(struct fate *f, int64_t execution_id, const struct seen *x)
{
    struct file_row file;
    char has[VERSION_SIZE];
    if (!file_of(f, execution_id, &file))
        fail_msg("execution %lld is offered and has nothing left", (long long)execution_id);
    version_of(f, x->device_id, file.module, has);
    bool may_fall = f->of[x->campaign_id].policy.allow_downgrade,
         stone = strcmp(file.version, file.goal) != 0;
    enum standing standing = version_standing(VERSION_DOTTED, has, file.version);
    bool wrong = standing == STANDING_ON_TARGET || (standing == STANDING_ABOVE && (stone || !may_fall));
    wrong |= *file.delta_from && strcmp(file.delta_from, has) != 0;
    wrong |= *file.delta_from && f->jobs;
    wrong |= stone && version_standing(VERSION_DOTTED, file.version, file.goal) != STANDING_BELOW;
    wrong |= *file.requires && !version_range_has(VERSION_DOTTED, file.requires, has);
    if (wrong)
        fail_msg("execution %lld: over %s goes %s (delta from \"%s\", requires \"%s\") on the way to %s",
                 (long long)execution_id, has, file.version, file.delta_from, file.requires, file.goal);
}

/* ---- who may be offered something */

static inline void check_device(struct fate *f, const struct seen *x, const char *goal)
{
    sqlite3_stmt *s = look(f, "SELECT d.enabled, d.paused, d.pinned, d.quarantine_until_ms, d.name "
                              "FROM device d WHERE d.id = ?1");
    sqlite3_bind_int64(s, 1, x->device_id);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    const char *pinned = (const char *)sqlite3_column_text(s, 2);
    if (!sqlite3_column_int(s, 0) || sqlite3_column_int(s, 1) || sqlite3_column_int64(s, 3) > f->w->now_ms)
        fail_msg("%s is disabled, paused or rests, and is offered something", sqlite3_column_text(s, 4));
    if (goal && *pinned && strcmp(pinned, goal) != 0)
        fail_msg("%s is pinned to %s and is offered %s", sqlite3_column_text(s, 4), pinned, goal);
    if (f->ev)
        assert_string_equal((const char *)sqlite3_column_text(s, 4), f->ev->device);
    sqlite3_reset(s);
}

static inline void check_window(struct fate *f, const struct seen *x)
{
    const struct window *window = &f->of[x->campaign_id].policy.window;
    char tz[VERSION_SIZE];
    struct err e;
    if (!window->given)
        return;
    snprintf(tz, sizeof tz, "%s", window->tz);
    if (window_by_device(window))
        text_of(f, "SELECT value FROM device_tag WHERE device_id = ?1 AND key = 'tz'", x->device_id, NULL,
                tz);
    const struct zone *zone = zone_get(tz, &e);
    assert_non_null(zone);
    assert_true(window_open(window, zone, f->w->now_ms));
}

static inline void check_rate(struct fate *f, const struct seen *x)
{
    int64_t rate = f->of[x->campaign_id].policy.rate_per_minute, n = 0;
    f->offers[f->offer_count].campaign_id = x->campaign_id;
    f->offers[f->offer_count++].at_ms = f->w->now_ms;
    assert_true(f->offer_count < OFFERS);
    for (size_t i = 0; i < f->offer_count; i++)
        n += f->offers[i].campaign_id == x->campaign_id && f->offers[i].at_ms <= f->w->now_ms &&
             f->offers[i].at_ms > f->w->now_ms - MINUTE;
    if (rate && n > rate)
        fail_msg("%lld offers in a minute, and %lld are allowed", (long long)n, (long long)rate);
}

/* A device that was silent has its slot back when it is heard. */
static inline void check_slots(struct fate *f, int64_t campaign_id)
{
    const struct seen_campaign *c = &f->of[campaign_id];
    int64_t active = 0, excused = 0;
    for (size_t i = 1; i < EXECUTIONS; i++)
        if (f->seen[i].campaign_id == campaign_id &&
            execution_is_active((enum execution_state)f->seen[i].state)) {
            active++;
            excused += f->seen[i].was_silent;
        }
    if (c->policy.max_in_flight && active > c->policy.max_in_flight + excused)
        fail_msg("campaign %lld: %lld devices are at work, %lld of them were silent, and %lld may be",
                 (long long)campaign_id, (long long)active, (long long)excused,
                 (long long)c->policy.max_in_flight);
}

/* x was offered something in this step. before: its campaign's state before it. */
static inline void check_new_offer(struct fate *f, int64_t id, const struct seen *x,
                                   enum campaign_state before)
{
    const struct seen_campaign *c = &f->of[x->campaign_id];
    struct file_row file;
    bool runs = c->state == CAMPAIGN_RUNNING || (!f->ev && before == CAMPAIGN_RUNNING);
    if (!runs || x->wave > c->wave)
        fail_msg("execution %lld of campaign %lld, %s, is offered in wave %d of %d", (long long)id,
                 (long long)x->campaign_id, campaign_state_word(c->state), x->wave, c->wave);
    if (x->state == EXECUTION_OFFERED)
        check_file(f, id, x);
    check_device(f, x, file_of(f, id, &file) ? file.goal : NULL);
    if (!f->ev && !presence_there(f->w->rollout.presence, x->device_id, f->w->now_ms)) /* 10 */
        fail_msg("execution %lld is offered to a device that is away", (long long)id);
    if (c->policy.confirm == CONFIRM_DEVICE)
        assert_true(f->asks);
    check_window(f, x);
    check_rate(f, x);
    check_slots(f, x->campaign_id);
}

/* ---- whose the rows are */

static inline void check_member(struct fate *f, const struct seen *x)
{
    const struct seen_campaign *c = &f->of[x->campaign_id];
    char version[VERSION_SIZE] = "", module[VERSION_SIZE];
    bool in;
    if (c->aim) {
        text_of(f, "SELECT module FROM campaign_firmware WHERE campaign_id = ?1 ORDER BY ord", x->campaign_id,
                NULL, module);
        version_of(f, x->device_id, module, version);
        sqlite3_stmt *s = look(f, c->aim->sql);
        sqlite3_bind_int64(s, 1, x->device_id);
        if (sqlite3_bind_parameter_count(s) > 1)
            sqlite3_bind_text(s, 2, version, -1, SQLITE_TRANSIENT);
        in = sqlite3_step(s) == SQLITE_ROW &&
             device_hash(c->salt, x->device_id) < hash_below(c->percent * 100);
        sqlite3_reset(s);
    } else {
        in = false;
        for (size_t i = 1; i < EXECUTIONS && !in; i++)
            in = f->seen[i].campaign_id == c->source_id && f->seen[i].device_id == x->device_id &&
                 (c->puts_back || (FAILED_STATES >> f->seen[i].state & 1));
    }
    if (!in)
        fail_msg("campaign %lld has taken in device %lld, which is not of its target",
                 (long long)x->campaign_id, (long long)x->device_id);
}

/* Invariant 3: all that it brings was said by the device, one way or another. */
static inline void check_success(struct fate *f, int64_t id, const struct seen *x)
{
    unsigned device = index_of(f, x->device_id);
    sqlite3_stmt *s = look(f, "SELECT p.module, f.version FROM part p JOIN firmware f ON f.id = p.goal_id "
                              "WHERE p.execution_id = ?1");
    sqlite3_bind_int64(s, 1, id);
    while (device < DEVICES && sqlite3_step(s) == SQLITE_ROW) {
        unsigned m = strcmp((const char *)sqlite3_column_text(s, 0), modules[0]) != 0;
        const char *version = (const char *)sqlite3_column_text(s, 1);
        if (!(f->said[device][m] >> atoi(version + 2) & 1))
            fail_msg("execution %lld has succeeded, and d%u never said %s", (long long)id, device, version);
    }
    sqlite3_reset(s);
}

/* Invariant 11: the old version while it installs is not yet the end. */
static inline void check_patience(struct fate *f, int64_t id, const struct seen *before, const struct seen *x)
{
    if (f->ev && f->ev->kind == EVENT_INFORM && before->state == EXECUTION_INSTALLING &&
        x->state == EXECUTION_ROLLED_BACK)
        fail_msg("execution %lld has rolled back at once", (long long)id);
}

/* ---- one execution */

static inline struct seen read_seen(sqlite3_stmt *s)
{
    return (struct seen){.campaign_id = sqlite3_column_int64(s, 1),
                         .device_id = sqlite3_column_int64(s, 2),
                         .wave = sqlite3_column_int(s, 3),
                         .state = sqlite3_column_int(s, 4),
                         .attempt = sqlite3_column_int64(s, 5),
                         .updated_at_ms = sqlite3_column_int64(s, 6),
                         .silent = sqlite3_column_int(s, 7),
                         .offered_at_ms = sqlite3_column_int64(s, 8)};
}

/* Invariants 1 and 8. */
static inline void check_change(int64_t id, const struct seen *before, const struct seen *x)
{
    bool offered = before->offered_at_ms != x->offered_at_ms;
    if (before->campaign_id && execution_is_final((enum execution_state)before->state) &&
        (before->state != x->state || before->attempt != x->attempt ||
         before->updated_at_ms != x->updated_at_ms))
        fail_msg("execution %lld was %s and is %s", (long long)id,
                 execution_state_word((enum execution_state)before->state),
                 execution_state_word((enum execution_state)x->state));
    if (x->attempt > before->attempt && (!offered || x->attempt > before->attempt + 1))
        fail_msg("execution %lld: attempt %lld follows %lld", (long long)id, (long long)x->attempt,
                 (long long)before->attempt);
}

static inline bool is_same(const struct seen *a, const struct seen *b)
{
    return a->campaign_id == b->campaign_id && a->wave == b->wave && a->state == b->state &&
           a->attempt == b->attempt && a->updated_at_ms == b->updated_at_ms && a->silent == b->silent &&
           a->was_silent == b->was_silent && a->offered_at_ms == b->offered_at_ms;
}

struct changes {
    int64_t id[EXECUTIONS];
    struct seen before[EXECUTIONS];
    size_t n;
};

static inline void read_executions(struct fate *f, struct changes *out)
{
    sqlite3_stmt *s =
        look(f, "SELECT id, campaign_id, device_id, wave, state, attempt, updated_at_ms, silent, "
                "offered_at_ms FROM execution");
    out->n = 0;
    while (sqlite3_step(s) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(s, 0);
        assert_in_range(id, 1, EXECUTIONS - 1);
        struct seen *x = &f->seen[id], now = read_seen(s);
        assert_in_range(now.campaign_id, 1, CAMPAIGNS);
        now.was_silent = now.silent || (x->was_silent && now.offered_at_ms == x->offered_at_ms);
        f->of[now.campaign_id].counts[now.wave + 1][now.state]++;
        if (is_same(x, &now))
            continue;
        check_change(id, x, &now);
        out->id[out->n] = id;
        out->before[out->n++] = *x;
        if (now.state != x->state && execution_is_final((enum execution_state)now.state))
            f->of[now.campaign_id].ended[now.wave + 1] |= 1u << now.state;
        *x = now;
    }
    sqlite3_reset(s);
}

/* ---- campaigns */

static inline void read_campaigns(struct fate *f, enum campaign_state before[CAMPAIGNS + 1],
                                  int waves_before[CAMPAIGNS + 1])
{
    sqlite3_stmt *s = look(f, "SELECT c.id, c.state, coalesce(k.wave, -1) FROM campaign c "
                              "LEFT JOIN campaign_pace k ON k.campaign_id = c.id");
    while (sqlite3_step(s) == SQLITE_ROW) {
        struct seen_campaign *c = &f->of[sqlite3_column_int64(s, 0)];
        before[c - f->of] = c->state;
        waves_before[c - f->of] = c->wave;
        c->state = (enum campaign_state)campaign_state_parse((const char *)sqlite3_column_text(s, 1));
        c->wave = sqlite3_column_int(s, 2);
        memset(c->counts, 0, sizeof c->counts);
        memset(c->ended, 0, sizeof c->ended);
    }
    sqlite3_reset(s);
}

/* Invariant 7: its rules, of what ended in its waves. */
static inline void check_rules(struct fate *f, int64_t id)
{
    const struct seen_campaign *c = &f->of[id];
    int64_t all[EXECUTION_STATES] = {0};
    unsigned ended = 0;
    for (int wave = 1; wave <= WAVES_MAX; wave++) {
        ended |= c->ended[wave];
        for (int state = 0; state < EXECUTION_STATES; state++)
            all[state] += c->counts[wave][state];
    }
    int64_t finished = sum_of(all, FINISHED_STATES);
    for (size_t i = 0; i < c->policy.stop_count; i++) {
        const struct stop_rule *rule = &c->policy.stop[i];
        int64_t bad = sum_of(all, rule->on);
        if (ended & rule->on && finished >= rule->min_finished && bad > 0 &&
            bad * 100 >= rule->pct * finished)
            fail_msg("campaign %lld runs on with %lld of %lld ended badly", (long long)id, (long long)bad,
                     (long long)finished);
    }
}

/* A wave whose success is out of reach stops the campaign too. */
static inline void check_reach(struct fate *f, int64_t id)
{
    const struct seen_campaign *c = &f->of[id];
    if (c->wave < 0 || !(c->ended[c->wave + 1] & ~(1u << EXECUTION_SUCCEEDED)))
        return;
    sqlite3_stmt *s = look(f, "SELECT success_pct FROM campaign_wave WHERE campaign_id = ?1 AND wave = ?2");
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_int(s, 2, c->wave);
    int64_t pct = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    const int64_t *counts = c->counts[c->wave + 1];
    int64_t left = sum_of(counts, LIVE_STATES), good = counts[EXECUTION_SUCCEEDED];
    int64_t total = left + sum_of(counts, FINISHED_STATES);
    if ((good + left) * 100 < pct * total)
        fail_msg("campaign %lld runs on: wave %d cannot reach %lld %% of %lld, %lld are good and %lld left",
                 (long long)id, c->wave, (long long)pct, (long long)total, (long long)good, (long long)left);
}

/* ---- what is sent */

/* Also what is offered once more. */
static inline void check_sent(struct fate *f, const struct outgoing *out)
{
    if (out->kind != OUTGOING_OFFER)
        return;
    assert_in_range(out->offer.id, 1, EXECUTIONS - 1);
    const struct seen *x = &f->seen[out->offer.id];
    if (x->state < EXECUTION_OFFERED || x->state > EXECUTION_DOWNLOADED)
        fail_msg("execution %lld is %s and is offered", (long long)out->offer.id,
                 execution_state_word((enum execution_state)x->state));
    if (f->ev && x->state == EXECUTION_OFFERED)
        assert_int_equal(f->of[x->campaign_id].state, CAMPAIGN_RUNNING);
    check_device(f, x, NULL);
    check_file(f, out->offer.id, x);
    assert_true(out->offer.expires_at_ms > f->w->now_ms);
}

static inline void check_world(struct fate *f)
{
    static struct changes changes;
    enum campaign_state before[CAMPAIGNS + 1];
    int waves_before[CAMPAIGNS + 1];
    read_campaigns(f, before, waves_before);
    read_executions(f, &changes);
    f->moved = changes.n;
    for (size_t i = 0; changes.n > 0 && i < ARRAY_SIZE(wrongs); i++)
        if (number(f, wrongs[i], 0) != 0)
            fail_msg("%s", wrongs[i]);
    for (size_t i = 0; i < changes.n; i++) {
        const struct seen *x = &f->seen[changes.id[i]];
        if (!changes.before[i].campaign_id)
            check_member(f, x);
        if (x->offered_at_ms != changes.before[i].offered_at_ms)
            check_new_offer(f, changes.id[i], x, before[x->campaign_id]);
        if ((x->state == EXECUTION_SUCCEEDED || x->state == EXECUTION_TESTING) &&
            x->state != changes.before[i].state)
            check_success(f, changes.id[i], x);
        check_patience(f, changes.id[i], &changes.before[i], x);
    }
    for (size_t id = 1; id <= f->campaigns; id++)
        if (before[id] == CAMPAIGN_RUNNING && f->of[id].state == CAMPAIGN_RUNNING) {
            check_rules(f, (int64_t)id);
            if (waves_before[id] == f->of[id].wave)
                check_reach(f, (int64_t)id);
        }
    for (size_t i = 0; i < f->w->sent; i++)
        check_sent(f, &f->w->out[i]);
}

/* Whoever is there and could be offered something has been: asked when the clock has done all that it could.
 * Who was changed by an operator meanwhile hears of that when it speaks. */
static inline void check_nobody_forgotten(struct fate *f)
{
    struct why why[CAMPAIGNS];
    struct err e = {0};
    for (unsigned i = 0; i < f->devices; i++) {
        int64_t id = id_of(f, i);
        size_t n = 0;
        if (!id || f->stirred[i] || !presence_there(f->w->rollout.presence, id, f->w->now_ms))
            continue;
        if (why_device(&f->w->rollout, reader(f->w), id, f->w->now_ms, why, CAMPAIGNS, &n, &e) < 0)
            fail_msg("%s", e.text);
        for (size_t k = 0; k < n; k++)
            if (why[k].n == QUESTIONS && why[k].answers[QUESTIONS - 1].yes)
                fail_msg("d%u is there at %lld and nobody offers it campaign %lld", i,
                         (long long)f->w->now_ms, (long long)why[k].campaign_id);
    }
}

#endif
