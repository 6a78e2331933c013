#include "rollout/why.h"

#include "rollout/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Answers: 1 yes, 0 no. What is said of a yes is kept short. */
static int yes(struct answer *out, const char *text)
{
    str_copy(out->text, sizeof out->text, text);
    return 1;
}

__attribute__((format(printf, 3, 4))) static int no(struct answer *out, int64_t until_ms, const char *format,
                                                    ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out->text, sizeof out->text, format, args);
    va_end(args);
    out->until_ms = until_ms;
    return 0;
}

/* ---- the device */

static int ask_product(struct asking *a, struct answer *out, struct err *e)
{
    (void)e;
    return a->p->product_enabled ? yes(out, a->p->product)
                                 : no(out, 0, "product %s is disabled", a->p->product);
}

static int ask_enabled(struct asking *a, struct answer *out, struct err *e)
{
    (void)e;
    return a->p->device_enabled ? yes(out, "") : no(out, 0, "the device is disabled");
}

static int ask_paused(struct asking *a, struct answer *out, struct err *e)
{
    (void)e;
    return !a->p->device_paused ? yes(out, "") : no(out, 0, "the device is paused");
}

static int ask_quarantine(struct asking *a, struct answer *out, struct err *e)
{
    (void)e;
    if (a->p->quarantine_until_ms <= a->now_ms)
        return yes(out, "");
    return no(out, a->p->quarantine_until_ms, "%lld campaigns in a row have failed for it, and it rests",
              (long long)a->p->failures);
}

/* ---- the campaign and the device's part in it */

static int ask_campaign(struct asking *a, struct answer *out, struct err *e)
{
    const char *reason = a->campaign_reason ? a->campaign_reason : "";
    int64_t start_ms = a->policy->start_at_ms > a->now_ms ? a->policy->start_at_ms : 0;
    (void)e;
    if (a->campaign_state == CAMPAIGN_RUNNING)
        return yes(out, "running");
    int64_t until_ms = a->campaign_state == CAMPAIGN_SCHEDULED ? start_ms : 0;
    return *reason ? no(out, until_ms, "the campaign does not run: %.160s", reason)
                   : no(out, until_ms, "the campaign is %s", campaign_state_word(a->campaign_state));
}

/* Why it has no part in the campaign: as the planner judges now. */
static int say_outside(const struct campaign *c, const struct planner *p, enum verdict v, struct answer *out)
{
    if (v == VERDICT_PERCENT)
        return no(out, 0, "its hash is not within the %lld %% that the campaign is for",
                  (long long)p->target.percent);
    if (v == VERDICT_VERSION)
        return no(out, 0, "its version is not within %s, which the campaign is for", p->target.version);
    if (v == VERDICT_OUTSIDE)
        return no(out, 0, "the campaign's target does not take it in");
    if (c->started_at_ms == 0)
        return no(out, 0, "the campaign's devices are not chosen yet");
    return c->dynamic ? no(out, 0, "the campaign takes it in when it comes by")
                      : no(out, 0,
                           "the campaign's devices were chosen when it started, and it was not of them then");
}

static int ask_outside(struct asking *a, struct answer *out, struct err *e)
{
    struct campaign c;
    struct judged j = {0};
    struct planner *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_INTERNAL, "out of memory");
    int rc = campaign_get(a->db, a->campaign_id, &c, e);
    if (rc == 0)
        rc = planner_load(a->db, &c, p, e);
    if (rc == 0)
        rc = planner_judge(a->db, p, a->p->device_id, &j, e);
    if (rc == 0)
        rc = say_outside(&c, p, j.verdict, out);
    planner_clear(p);
    free(p);
    return rc;
}

static int ask_target(struct asking *a, struct answer *out, struct err *e)
{
    if (!a->x)
        return ask_outside(a, out, e);
    if (execution_is_final(a->x->state))
        return no(out, 0, "it is over for this device: %s", execution_state_word(a->x->state));
    return yes(out, "");
}

static int find_part(struct asking *a, struct err *e)
{
    if (a->has_part)
        return 1;
    int rc = execution_next_module(a->db, a->x->id, &a->part, e);
    if (rc <= 0)
        return rc;
    a->has_part = true;
    a->standing = version_standing(a->p->scheme, a->part.has, a->part.target);
    return 1;
}

static int ask_pinned(struct asking *a, struct answer *out, struct err *e)
{
    int rc = find_part(a, e);
    if (rc <= 0 || !*a->p->pinned || strcmp(a->p->pinned, a->part.target) == 0)
        return rc < 0 ? rc : yes(out, a->p->pinned);
    return no(out, 0, "the device is pinned to %s, and this is %s", a->p->pinned, a->part.target);
}

/* Invariant 6, and what the firmware requires. */
static int ask_version(struct asking *a, struct answer *out, struct err *e)
{
    int rc = find_part(a, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return no(out, 0, "all its modules are done");
    if (a->standing == STANDING_ON_TARGET)
        return no(out, 0, "module %s is on %s already", a->part.module, a->part.target);
    if (module_is_beyond(a->p, a->x, &a->part))
        return no(out, 0, "module %s has %s, above %s", a->part.module, a->part.has, a->part.target);
    rc = module_file(a->db, a->p, &a->part, &a->file, e);
    if (rc < 0)
        return rc;
    if (!a->file.firmware_id)
        return no(out, 0, "%s", a->file.text);
    snprintf(out->text, sizeof out->text, "%.64s to %.64s%s%.50s", *a->part.has ? a->part.has : "not known",
             a->part.target, *a->file.text ? ", by " : "", a->file.text);
    return 1;
}

static int find_pace(struct asking *a, struct err *e)
{
    if (a->has_pace)
        return 0;
    int rc = pace_get(a->db, a->campaign_id, &a->pace, e);
    a->has_pace = rc == 0;
    return rc;
}

static int ask_wave(struct asking *a, struct answer *out, struct err *e)
{
    int rc = find_pace(a, e);
    if (rc < 0)
        return rc;
    if (a->x->wave <= a->pace.wave)
        return yes(out, "");
    return no(out, 0, "it is in wave %d, and wave %d is the last that has started", a->x->wave, a->pace.wave);
}

static int ask_newer(struct asking *a, struct answer *out, struct err *e)
{
    (void)e;
    if (execution_is_active(a->x->state))
        return no(out, 0, "it is under way: %s", execution_state_word(a->x->state));
    if (a->busy_with)
        return no(out, 0, "the device is at work for campaign %lld", (long long)a->busy_with);
    if (a->due_first)
        return no(out, 0, "campaign %lld is newer, and due first", (long long)a->due_first);
    return yes(out, "");
}

static int ask_retry(struct asking *a, struct answer *out, struct err *e)
{
    (void)e;
    if (a->x->due_at_ms <= a->now_ms)
        return yes(out, "");
    return no(out, a->x->due_at_ms, "attempt %d failed, and the pause after it is not over", a->x->attempt);
}

static int ask_away(struct asking *a, struct answer *out, struct err *e)
{
    (void)e;
    return a->here || !a->p || presence_there(a->r->presence, a->p->device_id, a->now_ms)
               ? yes(out, "")
               : no(out, 0, "the device is away; it is offered this when it comes back");
}

static int ask_confirm(struct asking *a, struct answer *out, struct err *e)
{
    (void)e;
    if (a->policy->confirm != CONFIRM_DEVICE || a->asks)
        return yes(out, "");
    return no(out, 0, "the campaign waits for the device to ask by itself");
}

/* ---- the campaign's own pace */

static int device_zone(struct asking *a, const struct zone **out, struct answer *answer, struct err *e)
{
    char name[ZONE_NAME_SIZE];
    struct stmt *s STMT_AUTO = db_stmt(a->db, Q_DEVICE_TAG_VALUE);
    bind_int(s, ":device_id", a->p->device_id);
    bind_text(s, ":key", "tz");
    int rc = stmt_step(s, e);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return no(answer, 0, "the window is by the device's own time zone, and it has no tag tz");
    col_text(s, 0, name, sizeof name);
    *out = zone_get(name, e);
    return *out ? 1 : no(answer, 0, "its tag tz is \"%s\", which is no time zone", name);
}

static int ask_window(struct asking *a, struct answer *out, struct err *e)
{
    const struct window *w = &a->policy->window;
    const struct zone *zone = NULL;
    if (!w->given || (window_by_device(w) && !a->p))
        return yes(out, "");
    int rc = 1;
    if (window_by_device(w))
        rc = device_zone(a, &zone, out, e);
    else if (!(zone = zone_get(w->tz, e)))
        rc = no(out, 0, "the time zone %s is not on this machine any more", w->tz);
    if (rc <= 0)
        return rc;
    if (window_open(w, zone, a->now_ms))
        return yes(out, "open");
    int64_t open_ms = window_next_open(w, zone, a->now_ms);
    return no(out, open_ms == INT64_MAX ? 0 : open_ms, "the window is closed");
}

static int ask_rate(struct asking *a, struct answer *out, struct err *e)
{
    if (!a->policy->rate_per_minute)
        return yes(out, "");
    int rc = find_pace(a, e);
    if (rc < 0)
        return rc;
    int64_t next_ms = pace_next_ms(&a->pace, a->policy->rate_per_minute, a->now_ms);
    if (next_ms <= a->now_ms)
        return yes(out, "");
    return no(out, next_ms, "the rate is %lld offers in a minute, and the next one has yet to come",
              (long long)a->policy->rate_per_minute);
}

static int ask_slots(struct asking *a, struct answer *out, struct err *e)
{
    int64_t n = 0;
    if (!a->policy->max_in_flight)
        return yes(out, "");
    int rc = find_pace(a, e);
    if (rc == 0)
        rc = pace_in_flight(a->db, a->campaign_id, &a->pace, &n, e);
    if (rc < 0)
        return rc;
    if (n < a->policy->max_in_flight)
        return yes(out, "");
    return no(out, 0, "devices at work: %lld of at most %lld", (long long)n,
              (long long)a->policy->max_in_flight);
}

/* ---- the table */

static const struct {
    const char *word;
    int (*ask)(struct asking *a, struct answer *out, struct err *e);
} questions[QUESTIONS] = {
    [ASK_PRODUCT] = {"product", ask_product},
    [ASK_ENABLED] = {"enabled", ask_enabled},
    [ASK_PAUSED] = {"paused", ask_paused},
    [ASK_QUARANTINE] = {"quarantine", ask_quarantine},
    [ASK_CAMPAIGN] = {"campaign", ask_campaign},
    [ASK_TARGET] = {"target", ask_target},
    [ASK_PINNED] = {"pinned", ask_pinned},
    [ASK_VERSION] = {"version", ask_version},
    [ASK_WAVE] = {"wave", ask_wave},
    [ASK_NEWER] = {"busy", ask_newer},
    [ASK_RETRY] = {"retry", ask_retry},
    [ASK_CONFIRM] = {"confirm", ask_confirm},
    [ASK_WINDOW] = {"window", ask_window},
    [ASK_RATE] = {"rate", ask_rate},
    [ASK_SLOTS] = {"slots", ask_slots},
    [ASK_AWAY] = {"away", ask_away},
};

const char *question_word(enum question q)
{
    return questions[q].word;
}

int ask_question(struct asking *a, enum question q, struct answer *out, struct err *e)
{
    *out = (struct answer){.question = q};
    int rc = questions[q].ask(a, out, e);
    out->yes = rc > 0;
    return rc;
}

int ask_from(struct asking *a, enum question from, enum question *first_no, struct answer *out, struct err *e)
{
    int rc = 1;
    for (*first_no = from; *first_no < QUESTIONS; (*first_no)++)
        if ((rc = ask_question(a, *first_no, out, e)) <= 0)
            break;
    return rc < 0 ? rc : 0;
}

/* ---- for people */

static int answer_all(struct asking *a, struct why *out, struct err *e)
{
    int rc = 1;
    for (int q = 0; q < QUESTIONS && rc > 0; q++) {
        rc = ask_question(a, (enum question)q, &out->answers[q], e);
        out->n = (size_t)q + 1;
    }
    return rc < 0 ? rc : 0;
}

/* A device is not asked for modules that are on their targets before its first offer: the one that it would
 * be offered is what is told of. */
static int find_first(struct asking *a, struct err *e)
{
    struct next_module m;
    int rc = 0, ord = 0;
    if (!a->x || execution_is_final(a->x->state) || a->x->attempt > 0)
        return 0;
    while (!a->has_part && (rc = execution_module_from(a->db, a->x->id, ord, &m, e)) > 0) {
        ord = m.ord + 1;
        a->standing = version_standing(a->p->scheme, m.has, m.target);
        a->has_part = a->standing != STANDING_ON_TARGET;
        a->part = m;
    }
    return rc < 0 ? rc : 0;
}

static int why_campaign(struct rollout *r, struct db *db, const struct party *p, int64_t campaign_id,
                        int64_t busy, int64_t due_first, int64_t now_ms, struct why *out, struct err *e)
{
    struct campaign c;
    struct execution x = {0};
    int rc = campaign_get(db, campaign_id, &c, e);
    if (rc == 0)
        rc = execution_of_device(db, campaign_id, p->device_id, &x, e);
    if (rc < 0)
        return rc;
    struct asking a = {.r = r,
                       .db = db,
                       .p = p,
                       .x = rc > 0 ? &x : NULL,
                       .policy = &c.policy,
                       .campaign_id = campaign_id,
                       .campaign_state = c.state,
                       .campaign_reason = c.state_reason,
                       .busy_with = busy == campaign_id ? 0 : busy,
                       .due_first = due_first,
                       .now_ms = now_ms};
    *out = (struct why){.campaign_id = campaign_id};
    str_copy(out->campaign, sizeof out->campaign, c.name);
    if (a.x) {
        out->execution_id = x.id;
        out->state = x.state;
    }
    rc = find_first(&a, e);
    return rc < 0 ? rc : answer_all(&a, out, e);
}

/* The campaign that the device is at work for; 0 none. */
static int busy_campaign(struct db *db, int64_t device_id, int64_t *id, struct err *e)
{
    struct execution live[LIVE_MAX];
    size_t n = 0;
    int rc = execution_live(db, device_id, live, &n, e);
    *id = rc == 0 && n > 0 && execution_is_active(live[0].state) ? live[0].campaign_id : 0;
    return rc;
}

int why_device(struct rollout *r, struct db *db, int64_t device_id, int64_t now_ms, struct why out[],
               size_t cap, size_t *n, struct err *e)
{
    int64_t ids[64], busy = 0, due_first = 0;
    size_t found = 0;
    struct party p;
    int rc = party_get_id(db, device_id, &p, e);
    if (rc == 0)
        rc = busy_campaign(db, device_id, &busy, e);
    if (rc < 0)
        return rc;
    struct stmt *s = db_stmt(db, Q_CAMPAIGN_OF_PRODUCT);
    bind_int(s, ":product_id", p.product_id);
    bind_int(s, ":cap", (int64_t)(cap < ARRAY_SIZE(ids) ? cap : ARRAY_SIZE(ids)));
    while ((rc = stmt_step(s, e)) > 0)
        ids[found++] = col_int(s, 0);
    stmt_end(s);
    for (size_t i = 0; i < found && rc == 0; i++) {
        rc = why_campaign(r, db, &p, ids[i], busy, due_first, now_ms, &out[i], e);
        if (rc == 0 && !due_first && out[i].n == QUESTIONS && out[i].answers[QUESTIONS - 1].yes)
            due_first = ids[i];
    }
    if (rc == 0)
        *n = found;
    return rc;
}
