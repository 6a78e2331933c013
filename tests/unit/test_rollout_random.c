/* Random fleets, campaigns, reports, restarts and jumps of the clock, from fixed seeds. Whatever happens, the
 * invariants of rollout/execution.h hold after each step; and when the fleet behaves again, all of it ends.
 *
 * OTAD_RANDOM_SEEDS=from-to runs those seeds in place of the few that are always run. */
#include "random_checks.h"

#include "base/log.h"

/* of db_private.h, whose other names the checks have too */
int64_t db_changes(struct db *db);

#define STEPS  350
#define ROUNDS 400
#define DAY    (24 * HOUR)

static size_t offers_foretold; /* in all worlds */

/* ---- what devices do */

struct delivery {
    struct device_event ev;
    bool lost; /* the commit fails: the report comes again, or never */
    bool download;
    int64_t changes; /* of rows, by taking it in */
};

static int take_in(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct delivery *d = arg;
    forget(w);
    d->changes = db_changes(db);
    int rc = d->download ? rollout_download(&w->rollout, db, &d->ev, w->now_ms, w->out, &w->sent, e)
                         : rollout_event(&w->rollout, db, &d->ev, w->now_ms, w->out, &w->sent, e);
    d->changes = db_changes(db) - d->changes;
    return rc == 0 && d->lost ? err_set(e, ERR_BUSY, "the test loses it") : rc;
}

/* What an INFORM proves, or where the product takes it, the device's own word. */
static void remember_said(struct fate *f, unsigned device, const struct device_event *ev)
{
    unsigned m = strcmp(ev->module, modules[0]) != 0;
    if (ev->kind == EVENT_INFORM)
        f->said[device][m] |= 1u << atoi(ev->version + 2);
    else if (f->w->product.success_by_report && ev->state == EXECUTION_SUCCEEDED)
        f->said[device][0] = f->said[device][1] = ~0u;
}

/* What a poll comes to when only a reader is asked. */
static struct polled foretell(struct fate *f, unsigned device, const struct delivery *d)
{
    struct polled told = {.offer = {.kind = OUTGOING_NOTHING}};
    struct err e = {0};
    int64_t id = id_of(f, device);
    struct rollout *r = d->ev.more_follows || d->ev.full_only ? NULL : &f->w->rollout;
    if (id && d->ev.kind == EVENT_INFORM && !d->ev.over_session)
        assert_int_equal(
            rollout_poll(r, reader(f->w), id, d->ev.module, d->ev.version, f->w->now_ms, &told, &e), 0);
    return told;
}

/* Where it was found idle, it must do nothing; where an offer was found, it must bring that one and write
 * nothing. */
static void check_foretold(struct fate *f, unsigned device, const struct delivery *d,
                           const struct polled *told)
{
    const struct world *w = f->w;
    const struct offer *mine = &told->offer.offer, *its = &w->out[0].offer;
    if (told->idle && (w->sent > 0 || f->moved > 0))
        fail_msg("d%u was found idle with %s %s, and was not: %zu sent, %zu moved", device, d->ev.module,
                 d->ev.version, w->sent, f->moved);
    if (told->offer.kind != OUTGOING_OFFER)
        return;
    if (w->sent != 1 || d->changes || mine->id != its->id || strcmp(mine->file.url, its->file.url) != 0)
        fail_msg("d%u was found with an offer at %s %s: %zu sent, %lld rows", device, d->ev.module,
                 d->ev.version, w->sent, (long long)d->changes);
    offers_foretold++;
}

static bool asks_by_itself(const struct device_event *ev)
{
    return ev->kind == EVENT_REQUEST || (ev->kind == EVENT_INFORM && !ev->over_session) ||
           (ev->kind == EVENT_JOB && !ev->execution_id);
}

/* Then it is answered about that, and offered nothing else. */
static bool is_about_one_job(const struct device_event *ev)
{
    return ev->kind == EVENT_JOB && ev->execution_id;
}

static void say(struct fate *f, unsigned device, struct delivery *d)
{
    struct err e = {0};
    f->w->now_ms += 1 + (int64_t)roll(f, 3000);
    struct polled told = foretell(f, device, d);
    int rc = try_it(f->w, take_in, d, &e);
    if (d->lost)
        forget(f->w);
    else if (rc < 0)
        fail_msg("%s", e.text);
    else
        remember_said(f, device, &d->ev);
    f->ev = &d->ev;
    f->asks = asks_by_itself(&d->ev);
    if (!is_about_one_job(&d->ev))
        f->stirred[device] = d->lost || d->ev.kind == EVENT_LOGIN || d->ev.more_follows;
    check_world(f);
    if (!d->lost)
        check_foretold(f, device, d, &told);
    outgoing_clear(&told.offer);
    f->ev = NULL;
}

static struct delivery delivery(enum event_kind kind, unsigned device)
{
    struct delivery d = {.ev = {.kind = kind, .percent = -1, .reason = REASON_NONE}};
    strcpy(d.ev.product, "thermo");
    name_of(device, d.ev.device);
    strcpy(d.ev.module, "default");
    return d;
}

static void inform(struct fate *f, unsigned device, const char *module, const char *version,
                   bool over_session)
{
    struct delivery d = delivery(EVENT_INFORM, device);
    strcpy(d.ev.module, module);
    snprintf(d.ev.version, sizeof d.ev.version, "%s", version);
    d.ev.over_session = over_session;
    say(f, device, &d);
}

static void speak(struct fate *f, unsigned device, enum event_kind kind)
{
    struct delivery d = delivery(kind, device);
    say(f, device, &d);
}

static void login(struct fate *f, unsigned device, unsigned sessions)
{
    struct delivery d = delivery(EVENT_LOGIN, device);
    d.ev.sessions = sessions;
    if (!f->guesses)
        say(f, device, &d);
    if (sessions)
        speak(f, device, EVENT_READY);
}

/* The version that the device's active execution brings, or any. */
static void some_version(struct fate *f, struct device_event *ev)
{
    sqlite3_stmt *s = look(
        f, "SELECT f.version FROM device d JOIN execution_module m ON m.device_id = d.id AND m.active = 1 "
           "JOIN firmware f ON f.id = m.firmware_id WHERE d.name = ?1 AND m.module = ?2");
    sqlite3_bind_text(s, 1, ev->device, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s, 2, ev->module, -1, SQLITE_TRANSIENT);
    if (sqlite3_step(s) == SQLITE_ROW && roll(f, 2))
        snprintf(ev->version, sizeof ev->version, "%s", (const char *)sqlite3_column_text(s, 0));
    else
        snprintf(ev->version, sizeof ev->version, "1.%u", (unsigned)roll(f, VERSIONS + 2));
    sqlite3_reset(s);
}

/* Mostly what is under way on the device; else nobody's, another's, or one that is over. */
static int64_t some_execution(struct fate *f, unsigned device)
{
    int64_t under_way =
        number(f,
               "SELECT x.id FROM execution x JOIN device d ON d.id = x.device_id WHERE d.name = "
               "'d' || ?1 ORDER BY x.state BETWEEN 2 AND 6 DESC LIMIT 1",
               (int64_t)device);
    return roll(f, 4) ? under_way : (int64_t)roll(f, 300);
}

static const enum execution_state words[] = {
    EXECUTION_DOWNLOADING, EXECUTION_DOWNLOADING, EXECUTION_DOWNLOADED, EXECUTION_INSTALLING,
    EXECUTION_SUCCEEDED,   EXECUTION_FAILED,      EXECUTION_REJECTED};
#define PROGRESS_WORDS 5 /* of them */

static void ask_job(struct fate *f, unsigned device, struct delivery *d)
{
    static const enum job_op ops[] = {JOB_START_NEXT, JOB_START_NEXT, JOB_DESCRIBE,
                                      JOB_UPDATE,     JOB_UPDATE,     JOB_UPDATE};
    struct job_request job = {.op = ops[roll(f, ARRAY_SIZE(ops))],
                              .number = roll(f, 6) == 0,
                              .expected_version = roll(f, 6) == 0,
                              .step_timeout_ms = roll(f, 5) == 0 ? MINUTE : 0,
                              .with_document = roll(f, 2)};
    d->ev.kind = EVENT_JOB;
    d->ev.job = &job;
    if (job.op == JOB_START_NEXT)
        d->ev.execution_id = 0;
    else if (job.op == JOB_UPDATE && !d->ev.execution_id)
        d->ev.execution_id = -1;
    d->ev.state = words[roll(f, ARRAY_SIZE(words))];
    say(f, device, d);
    d->ev.job = NULL;
}

static void report(struct fate *f)
{
    static const enum event_kind kinds[] = {EVENT_INFORM,   EVENT_INFORM, EVENT_PROGRESS, EVENT_PROGRESS,
                                            EVENT_PROGRESS, EVENT_ERROR,  EVENT_READY,    EVENT_REQUEST};
    unsigned device = (unsigned)roll(f, f->devices);
    struct delivery d = delivery(kinds[roll(f, ARRAY_SIZE(kinds))], device);
    strcpy(d.ev.module, modules[roll(f, f->modules)]);
    d.ev.over_session = roll(f, 2);
    if (d.ev.kind == EVENT_INFORM) {
        some_version(f, &d.ev);
        d.ev.more_follows = f->modules > 1 && roll(f, 5) == 0;
    }
    d.ev.execution_id = some_execution(f, device);
    d.ev.state = words[roll(f, PROGRESS_WORDS)];
    d.ev.percent = (int)roll(f, 102) - 1;
    if (d.ev.kind == EVENT_ERROR)
        d.ev.reason = (enum reason)roll(f, REASON_TIMED_OUT);
    d.download = d.ev.kind == EVENT_PROGRESS && roll(f, 8) == 0;
    d.lost = roll(f, 12) == 0;
    if (f->jobs && roll(f, 2)) {
        ask_job(f, device, &d);
        return;
    }
    for (uint64_t times = 1 + (roll(f, 6) == 0); times > 0; times--)
        say(f, device, &d);
}

/* ---- what time does */

struct turn {
    size_t cap;
    bool again;
};

static int turn(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct turn *t = arg;
    forget(w);
    return rollout_tick(&w->rollout, db, w->now_ms, w->out, t->cap, &w->sent, &t->again, e);
}

/* Until there is nothing more to do; where there was no room for what is to be sent, a second later. */
static void pass(struct fate *f, size_t cap)
{
    struct turn t = {.cap = cap, .again = true};
    int i = 0;
    for (; i < 2000 && t.again; i++) {
        f->w->now_ms += 1;
        must(f->w, turn, &t);
        check_world(f);
        if (f->w->sent == cap) {
            f->w->now_ms += SECOND;
            t.again = true;
        }
    }
    assert_false(t.again);
    if (roll(f, 2))
        check_nobody_forgotten(f);
    forget(f->w);
}

static void jump(struct fate *f)
{
    static const int64_t spans[] = {SECOND, 20 * SECOND, MINUTE,    5 * MINUTE, 15 * MINUTE,
                                    HOUR,   HOUR,        26 * HOUR, -MINUTE};
    int64_t span = one_of(f, spans, ARRAY_SIZE(spans));
    f->w->now_ms += span;
    if (span < 0)
        f->offer_count = 0; /* a rate begins anew when the clock is put back: see pace_next_ms */
    for (unsigned i = 0; f->guesses && span < 0 && i < f->devices; i++)
        f->stirred[i] = true; /* by the clock some are back that nobody has heard */
    pass(f, 1 + roll(f, roll(f, 2) ? 2 : OUT_MAX));
}

/* ---- what operators do: campaigns */

/* NULL: one wave. Percents rise, and the last is all. */
static const char *const plans[] = {
    NULL,
    NULL,
    "[{\"percent\":30,\"success_pct\":50,\"soak\":\"10m\"},{\"percent\":100}]",
    "[{\"count\":3,\"success_pct\":100},{\"count\":5,\"success_pct\":60,\"soak\":\"1h\"},{\"percent\":100}]",
    "[{\"tags\":{\"site\":\"a\"},\"success_pct\":80},{\"count\":2,\"success_pct\":0},"
    "{\"percent\":100,\"success_pct\":50}]",
    "[{\"percent\":10},{\"tags\":{\"beta\":\"1\"},\"soak\":\"5m\"},{\"percent\":60,\"success_pct\":30},"
    "{\"percent\":100}]",
};

static void set_spans(struct fate *f, struct policy *p)
{
    static const int64_t spans[] = {0, 0, MINUTE, 5 * MINUTE, HOUR};
    static const int64_t leases[] = {10 * SECOND, MINUTE, 10 * MINUTE}, timeouts[] = {MINUTE, HOUR, DAY};
    p->retry_after_ms = one_of(f, spans, ARRAY_SIZE(spans));
    p->health_hold_off_ms = one_of(f, spans, ARRAY_SIZE(spans));
    p->rollback_confirm_ms = one_of(f, spans, ARRAY_SIZE(spans));
    p->lease_ms = one_of(f, leases, ARRAY_SIZE(leases));
    p->offer_timeout_ms = one_of(f, timeouts, ARRAY_SIZE(timeouts));
    p->finish_timeout_ms = one_of(f, timeouts, ARRAY_SIZE(timeouts));
    if (roll(f, 6) == 0)
        p->start_at_ms = f->w->now_ms + (int64_t)(1 + roll(f, 120)) * MINUTE;
    if (roll(f, 6) == 0)
        p->end_at_ms = f->w->now_ms + (int64_t)(3 + roll(f, 60)) * HOUR;
}

static void set_window(struct fate *f, struct policy *p)
{
    static const char *const zones[] = {"UTC", "Asia/Shanghai", "America/New_York", "device"};
    static const unsigned days[] = {WINDOW_ALL_DAYS, WINDOW_ALL_DAYS, 31, 96};
    p->window.given = true;
    p->window.days = days[roll(f, ARRAY_SIZE(days))];
    p->window.from_min = (int)roll(f, 24) * 60 + (int)roll(f, 2) * 30;
    p->window.to_min = (p->window.from_min + 180 + (int)roll(f, 18) * 60) % (24 * 60);
    strcpy(p->window.tz, zones[roll(f, ARRAY_SIZE(zones))]);
}

static void set_stop(struct fate *f, struct policy *p)
{
    static const unsigned ends[] = {FAILED_STATES, 1u << EXECUTION_FAILED, 1u << EXECUTION_TIMED_OUT,
                                    1u << EXECUTION_REJECTED | 1u << EXECUTION_ROLLED_BACK};
    for (p->stop_count = 0; p->stop_count < 1 + roll(f, 2); p->stop_count++)
        p->stop[p->stop_count] = (struct stop_rule){.on = ends[roll(f, ARRAY_SIZE(ends))],
                                                    .pct = 1 + (int64_t)roll(f, 60),
                                                    .min_finished = 1 + (int64_t)roll(f, 8),
                                                    .then = roll(f, 4) ? STOP_PAUSE : STOP_CANCEL};
}

static void set_policy(struct fate *f, struct policy *p)
{
    static const int64_t rates[] = {0, 0, 0, 1, 7, 60, 90}, slots[] = {0, 0, 0, 1, 3, 8};
    static const enum confirm confirms[] = {CONFIRM_NONE, CONFIRM_NONE, CONFIRM_NONE, CONFIRM_OPERATOR,
                                            CONFIRM_DEVICE};
    policy_defaults(p);
    set_spans(f, p);
    p->max_attempts = 1 + (int64_t)roll(f, 3);
    p->rate_per_minute = one_of(f, rates, ARRAY_SIZE(rates));
    p->max_in_flight = one_of(f, slots, ARRAY_SIZE(slots));
    p->allow_downgrade = roll(f, 4) == 0;
    p->replace = roll(f, 4) == 0;
    p->confirm = confirms[roll(f, ARRAY_SIZE(confirms))];
    p->wave_failed = roll(f, 5) ? STOP_PAUSE : STOP_CANCEL;
    p->quarantine_after = (int64_t)roll(f, 4);
    p->quarantine_for_ms = roll(f, 2) ? HOUR : DAY;
    if (roll(f, 4) == 0)
        set_window(f, p);
    if (roll(f, 3) == 0)
        set_stop(f, p);
}

/* What the checks have to know of a campaign that was made. */
static void enlist(struct fate *f, int64_t id, const struct aim *aim, int64_t percent)
{
    struct campaign c;
    struct err e;
    assert_int_equal(campaign_get(reader(f->w), id, &c, &e), 0);
    assert_int_equal(id, f->campaigns + 1);
    f->of[++f->campaigns] = (struct seen_campaign){.state = c.state,
                                                   .wave = -1,
                                                   .dynamic = c.dynamic,
                                                   .puts_back = c.puts_back,
                                                   .source_id = c.source_id,
                                                   .policy = c.policy,
                                                   .salt = c.salt,
                                                   .aim = aim,
                                                   .percent = percent};
    forget(f->w);
    check_world(f);
}

static void start_campaign(struct fate *f)
{
    const struct aim *aim = &aims[roll(f, 2) ? 0 : roll(f, ARRAY_SIZE(aims))];
    unsigned first = (unsigned)roll(f, f->modules), n = f->modules == MODULES && roll(f, 2) ? 2 : 1;
    int64_t percent = roll(f, 4) ? 100 : 20 + (int64_t)roll(f, 70);
    struct creation c = {0};
    struct err e = {0};
    char target[200];
    if (f->campaigns == CAMPAIGNS)
        return;
    snprintf(target, sizeof target, "{%s\"percent\":%d,\"dynamic\":%s}", aim->json, (int)percent,
             roll(f, 3) ? "false" : "true");
    c.spec =
        spec_with(f->firmware[first][roll(f, VERSIONS)], target, plans[roll(f, ARRAY_SIZE(plans))], NULL);
    if (n == 2)
        c.spec.firmware[c.spec.firmware_count++] = f->firmware[1 - first][roll(f, VERSIONS)];
    c.spec.draft = roll(f, 5) == 0;
    set_policy(f, &c.spec.policy);
    int rc = try_it(f->w, create, &c, &e);
    campaign_spec_clear(&c.spec);
    if (rc < 0 && rc != -ERR_INVALID) /* tags that nobody has any more */
        fail_msg("%s", e.text);
    if (rc == 0)
        enlist(f, c.id, aim, percent);
}

struct following {
    int64_t id, new_id;
    bool back;
};

static int follow_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct following *a = arg;
    return a->back ? campaign_rollback(&w->rollout, db, a->id, "chance", w->now_ms, &a->new_id, e)
                   : campaign_retry(db, a->id, w->now_ms, &a->new_id, e);
}

static void follow_campaign(struct fate *f)
{
    struct err e = {0};
    if (f->campaigns == 0 || f->campaigns == CAMPAIGNS)
        return;
    struct following a = {.id = 1 + (int64_t)roll(f, f->campaigns), .back = roll(f, 2)};
    int rc = try_it(f->w, follow_run, &a, &e);
    if (rc < 0 && rc != -ERR_CONFLICT)
        fail_msg("%s", e.text);
    if (rc == 0)
        enlist(f, a.new_id, NULL, 100);
}

static void act_on(struct fate *f, int64_t id, enum campaign_action action)
{
    struct act a = {id, action};
    struct err e;
    int rc = try_it(f->w, act_run, &a, &e);
    assert_true(rc == 0 || rc == -ERR_CONFLICT);
    forget(f->w);
    check_world(f);
}

static void act_somehow(struct fate *f)
{
    static const enum campaign_action actions[] = {
        CAMPAIGN_START,  CAMPAIGN_START,   CAMPAIGN_PAUSE,   CAMPAIGN_RESUME, CAMPAIGN_RESUME,
        CAMPAIGN_RESUME, CAMPAIGN_ADVANCE, CAMPAIGN_ADVANCE, CAMPAIGN_CANCEL, CAMPAIGN_CANCEL_FORCE};
    if (f->campaigns > 0)
        act_on(f, 1 + (int64_t)roll(f, f->campaigns), actions[roll(f, ARRAY_SIZE(actions))]);
}

/* ---- what operators do: devices */

enum disturbance { TURN_OFF, TURN_PAUSED, TURN_PINNED, CHANGE_TAGS, REST_OVER, DELETE, DISTURBANCES };

struct disturbing {
    struct fate *f;
    unsigned device;
    enum disturbance what;
};

static int change_tags(struct fate *f, struct db *db, int64_t id, struct err *e)
{
    static const char *const zones[] = {"Europe/Berlin", "Asia/Tokyo", "America/Los_Angeles", "no/zone"};
    struct device_tag tags[3];
    size_t n = 0;
    if (roll(f, 3))
        tags[n++] = (struct device_tag){"site", ""};
    if (n)
        snprintf(tags[0].value, sizeof tags[0].value, "%c", 'a' + (int)roll(f, 3));
    if (roll(f, 3) == 0)
        tags[n++] = (struct device_tag){"beta", "1"};
    if (roll(f, 4)) {
        tags[n] = (struct device_tag){"tz", ""};
        snprintf(tags[n++].value, sizeof tags[0].value, "%s", zones[roll(f, ARRAY_SIZE(zones))]);
    }
    return device_tags_set(db, id, tags, n, e);
}

static int delete_device(struct fate *f, struct db *db, int64_t id, struct err *e)
{
    int rc = execution_remove_device(db, id, f->w->now_ms, e);
    if (rc == 0)
        rc = device_delete(db, id, f->w->now_ms, e);
    presence_forget(f->w->rollout.presence, id);
    return rc;
}

static int disturb_run(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct disturbing *a = arg;
    struct fate *f = a->f;
    struct device d;
    char name[DEVICE_SIZE];
    (void)w;
    name_of(a->device, name);
    if (device_get(db, "thermo", name, &d, e) < 0)
        return 0;
    switch (a->what) {
    case TURN_OFF:
        d.enabled = !d.enabled;
        return device_update(db, &d, e);
    case TURN_PAUSED:
        d.paused = !d.paused;
        return device_update(db, &d, e);
    case TURN_PINNED:
        snprintf(d.pinned, sizeof d.pinned, "1.%u", (unsigned)roll(f, VERSIONS) + 1);
        if (roll(f, 2))
            *d.pinned = '\0';
        return device_update(db, &d, e);
    case CHANGE_TAGS:
        return change_tags(f, db, d.id, e);
    case REST_OVER:
        return device_failures_set(db, d.id, 0, 0, e);
    default:
        return delete_device(f, db, d.id, e);
    }
}

static void disturb(struct fate *f, unsigned device, enum disturbance what)
{
    struct disturbing a = {f, device, what};
    must(f->w, disturb_run, &a);
    f->stirred[device] = true;
    forget(f->w);
    check_world(f);
}

static void step(struct fate *f)
{
    uint64_t dice = roll(f, 100);
    if (dice < 60)
        report(f);
    else if (dice < 70)
        login(f, (unsigned)roll(f, f->devices), (unsigned)roll(f, 3));
    else if (dice < 83)
        jump(f);
    else if (dice < 88)
        start_campaign(f);
    else if (dice < 90)
        follow_campaign(f);
    else if (dice < 93)
        act_somehow(f);
    else if (dice < 98)
        disturb(f, (unsigned)roll(f, f->devices), (enum disturbance)roll(f, DISTURBANCES));
    else
        restart(f);
}

/* ---- the end of it all */

static int allow_all(struct world *w, struct db *db, void *arg, struct err *e)
{
    struct fate *f = arg;
    struct device d;
    int rc = 0;
    (void)w;
    for (unsigned i = 0; i < f->devices && rc == 0; i++) {
        static const struct device_tag tags[] = {{"tz", "Europe/Berlin"}, {"site", "a"}, {"beta", "1"}};
        char name[DEVICE_SIZE];
        name_of(i, name);
        if (device_get(db, "thermo", name, &d, e) < 0)
            continue;
        d.enabled = true;
        d.paused = false;
        *d.pinned = '\0';
        rc = device_update(db, &d, e);
        if (rc == 0)
            rc = device_tags_set(db, d.id, tags, ARRAY_SIZE(tags), e);
        f->stirred[i] = true;
    }
    return rc;
}

/* A device that works: it says what it has, asks, and takes what it is offered. */
static void behave(struct fate *f, unsigned device)
{
    login(f, device, 1);
    for (unsigned m = 0; m < f->modules; m++) {
        char version[VERSION_SIZE] = "";
        version_of(f, id_of(f, device), modules[m], version);
        inform(f, device, modules[m], *version ? version : "1.0", roll(f, 2));
    }
    speak(f, device, EVENT_REQUEST);
    for (int i = 0; i < MODULES * 5; i++) {
        struct file_row file;
        int64_t id = number(f,
                            "SELECT x.id FROM execution x JOIN device d ON d.id = x.device_id "
                            "WHERE d.name = 'd' || ?1 AND x.state BETWEEN 2 AND 5",
                            (int64_t)device);
        if (!id || !file_of(f, id, &file))
            break;
        inform(f, device, file.module, file.version, true);
        f->w->now_ms += MINUTE;
    }
}

static const char unfinished[] =
    "SELECT min(id) FROM campaign WHERE dynamic <= ?1 AND (finished_at_ms = 0 OR EXISTS "
    "(SELECT 1 FROM execution x WHERE x.campaign_id = campaign.id AND x.state < 7))";

static void round_of_all(struct fate *f, int round)
{
    must(f->w, allow_all, f); /* each time: who was deleted comes back */
    for (size_t i = 1; i <= f->campaigns; i++) {
        act_on(f, (int64_t)i, CAMPAIGN_START);
        act_on(f, (int64_t)i, CAMPAIGN_RESUME);
        if (round % 4 == 3)
            act_on(f, (int64_t)i, CAMPAIGN_ADVANCE);
    }
    for (unsigned i = 0; i < f->devices; i++) {
        behave(f, i);
        f->w->now_ms += MINUTE;
    }
    for (int i = 0; i < 12; i++) {
        f->w->now_ms += 10 * MINUTE;
        pass(f, OUT_MAX);
    }
    check_nobody_forgotten(f);
}

static void settle(struct fate *f)
{
    int round = 0;
    for (; round < ROUNDS && number(f, unfinished, 0) > 0; round++)
        round_of_all(f, round);
    for (size_t i = 1; i <= f->campaigns; i++)
        if (f->of[i].dynamic)
            act_on(f, (int64_t)i, CAMPAIGN_CANCEL);
    for (; round < ROUNDS + 4 && number(f, unfinished, 1) > 0; round++)
        round_of_all(f, round);
    if (number(f, unfinished, 1) > 0)
        fail_msg("campaign %lld does not end", (long long)number(f, unfinished, 1));
}

/* ---- one world */

static void make_fleet(struct fate *f)
{
    for (unsigned i = 0; i < f->devices; i++) {
        inform(f, i, "default", "1.0", false);
        if (f->modules > 1 && roll(f, 3))
            inform(f, i, "aux", "1.0", false);
        disturb(f, i, CHANGE_TAGS);
        login(f, i, (unsigned)roll(f, 2));
    }
}

static void run(uint64_t seed)
{
    static const char *const protocols[] = {"native", "native", "native", "aliyun", "aws"};
    struct fate *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->dice = seed * 0x9e3779b97f4a7c15u;
    f->devices = 6 + (unsigned)roll(f, DEVICES - 5);
    f->modules = 1 + (unsigned)roll(f, MODULES);
    f->guesses = roll(f, 4) == 0;
    const char *protocol = protocols[roll(f, ARRAY_SIZE(protocols))];
    f->jobs = strcmp(protocol, "aws") == 0;
    f->guesses &= !f->jobs; /* they need the plugin */
    bool stones = roll(f, 3) == 0, deltas = roll(f, 3) == 0, by_report = roll(f, 4) == 0;
    f->w = world_enter(
        protocol, (struct product){.enabled = true, .enrolment_open = true, .success_by_report = by_report});
    presence_begin(f);
    look_begin(f);
    make_firmware(f, stones, deltas);
    print_message("seed %llu: %s, %u devices, %u modules%s%s%s%s, in %s\n", (unsigned long long)seed,
                  protocol, f->devices, f->modules, stones ? ", stones" : "", deltas ? ", deltas" : "",
                  by_report ? ", by report" : "", f->guesses ? ", presence guessed" : "", f->w->dir);
    make_fleet(f);
    for (int i = 0; i < STEPS; i++)
        step(f);
    settle(f);
    look_end(f);
    world_leave(f->w);
    free(f);
}

static void test_random_worlds(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3, 5, 8, 13, 21, 34};
    unsigned long long from, to;
    const char *more = getenv("OTAD_RANDOM_SEEDS");
    (void)state;
    if (!more || sscanf(more, "%llu-%llu", &from, &to) != 2) {
        for (size_t i = 0; i < ARRAY_SIZE(seeds); i++)
            run(seeds[i]);
        assert_true(offers_foretold > 20);
        return;
    }
    for (unsigned long long seed = from; seed <= to; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_worlds)};
    log_level_set(LOG_LEVEL_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
