#include "rollout/plan.h"

#include "rollout/execution.h"
#include "rollout/pace.h"
#include "store/device.h"
#include "store/firmware.h"
#include "store/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 512 /* devices looked at together */

const char *verdict_word(enum verdict v)
{
    static const char *const words[VERDICTS] = {
        [VERDICT_OUTSIDE] = "outside",         [VERDICT_PERCENT] = "percent",
        [VERDICT_VERSION] = "version",         [VERDICT_QUEUED] = "queued",
        [VERDICT_THERE] = "already_installed", [VERDICT_ABOVE] = "newer_installed",
        [VERDICT_NO_WAY] = "no_way",           [VERDICT_NO_GOAL] = "no_goal",
    };
    return words[v];
}

/* ---- compiling */

static int find_takes_deltas(struct db *db, int64_t product_id, bool *out, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_PRODUCT_TAKES_DELTAS);
    bind_int(s, ":id", product_id);
    int rc = stmt_step(s, e);
    *out = rc > 0 && col_int(s, 0);
    return rc < 0 ? rc : 0;
}

/* What hangs together inside; the planner must not move after it. */
static int settle(struct db *db, struct planner *p, uint64_t salt, struct err *e)
{
    p->seeker =
        (struct seeker){.target = &p->target, .product_id = p->product_id, .scheme = p->scheme, .salt = salt};
    if (p->module_count > 0)
        str_copy(p->seeker.module, sizeof p->seeker.module, p->modules[0].module);
    return find_takes_deltas(db, p->product_id, &p->takes_deltas, e);
}

int planner_load(struct db *db, const struct campaign *c, struct planner *out, struct err *e)
{
    char *text = NULL;
    int64_t origin_id = 0;
    memset(out, 0, sizeof *out);
    out->product_id = c->product_id;
    out->scheme = c->scheme;
    out->allow_downgrade = c->policy.allow_downgrade;
    out->source_id = c->puts_back ? c->source_id : 0;
    int rc = campaign_target(db, c->id, &text, e);
    if (rc == 0)
        rc = target_load(text, &out->target, e);
    free(text);
    if (rc == 0)
        rc = waves_load(db, c->id, &out->waves, e);
    if (rc == 0)
        rc = campaign_origin(db, c, &origin_id, e);
    if (rc == 0)
        rc = campaign_modules(db, origin_id, out->modules, &out->module_count, e);
    return rc < 0 ? rc : settle(db, out, c->salt, e);
}

int planner_of_spec(struct db *db, const struct campaign_spec *spec, const struct campaign_module modules[],
                    const struct product *product, struct planner *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    out->product_id = product->id;
    out->scheme = product->version_scheme;
    out->allow_downgrade = spec->policy.allow_downgrade;
    out->source_id = spec->puts_back ? spec->target.source_id : 0;
    out->module_count = spec->firmware_count;
    memcpy(out->modules, modules, spec->firmware_count * sizeof *modules);
    target_copy(&out->target, &spec->target);
    waves_copy(&out->waves, &spec->waves);
    return settle(db, out, campaign_salt(spec), e);
}

void planner_clear(struct planner *p)
{
    target_clear(&p->target);
    waves_clear(&p->waves);
}

/* ---- one device */

static int membership(struct db *db, struct planner *p, int64_t device_id, const char *version,
                      struct judged *out, struct err *e)
{
    static const enum verdict verdicts[] = {[IS_MEMBER] = VERDICT_QUEUED,
                                            [NOT_TARGETED] = VERDICT_OUTSIDE,
                                            [NOT_IN_PERCENT] = VERDICT_PERCENT,
                                            [NOT_IN_VERSION] = VERDICT_VERSION};
    enum membership m = NOT_TARGETED;
    int rc = target_has(db, &p->seeker, device_id, version, &m, e);
    out->verdict = verdicts[m];
    return rc;
}

struct origin {
    int64_t ord, goal_id;
    char version[VERSION_SIZE]; /* "" it was not known */
    bool changed;
};

static int find_origins(struct db *db, struct planner *p, int64_t device_id, struct origin out[], size_t *n,
                        bool *at_work, struct err *e)
{
    struct stmt *s STMT_AUTO = db_stmt(db, Q_PUT_BACK_GOALS);
    int rc = 0;
    bind_int(s, ":campaign_id", p->source_id);
    bind_int(s, ":device_id", device_id);
    for (*n = 0; *n < p->module_count && (rc = stmt_step(s, e)) > 0; (*n)++) {
        out[*n].ord = col_int(s, 0);
        col_text(s, 1, out[*n].version, VERSION_SIZE);
        out[*n].goal_id = col_int(s, 2);
        *at_work = col_int(s, 3);
        out[*n].changed = col_int(s, 4);
    }
    return rc < 0 ? rc : 0;
}

static void no_goal(struct judged *out, const char *version)
{
    out->verdict = VERDICT_NO_GOAL;
    if (*version)
        snprintf(out->detail, sizeof out->detail, "it had %.64s, of which no file can be offered", version);
    else
        str_copy(out->detail, sizeof out->detail, "what it had is not known");
}

/* puts_back: what each module had when the source first offered it something. A version that is not stored
 * does no harm where the device still has it. */
static int find_goals(struct db *db, struct planner *p, int64_t device_id, struct judged *out, struct err *e)
{
    struct origin origins[CAMPAIGN_FIRMWARE_MAX];
    size_t n = 0, known = 0;
    int rc = find_origins(db, p, device_id, origins, &n, &out->at_work, e);
    if (rc == 0 && n == 0)
        out->verdict = VERDICT_OUTSIDE;
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct origin *o = &origins[i];
        char has[VERSION_SIZE] = "";
        if (o->ord < 0 || o->ord >= (int64_t)p->module_count)
            continue;
        out->goal[o->ord] = o->goal_id;
        known += *o->version != 0;
        if (!o->goal_id && *o->version)
            rc = device_version_get(db, device_id, p->modules[o->ord].module, has, e);
        bool lost = *o->version ? !o->goal_id && (out->at_work || strcmp(has, o->version) != 0) : o->changed;
        if (rc == 0 && lost)
            no_goal(out, o->version);
    }
    if (rc == 0 && n > 0 && known == 0)
        no_goal(out, "");
    return rc;
}

static int goal_version(struct db *db, const struct planner *p, size_t i, const struct judged *j,
                        char version[VERSION_SIZE], int64_t *goal, struct err *e)
{
    *goal = p->source_id ? j->goal[i] : p->modules[i].firmware_id;
    if (!p->source_id || !*goal) {
        str_copy(version, VERSION_SIZE, p->modules[i].version);
        return 0;
    }
    struct firmware f;
    int rc = firmware_get(db, *goal, &f, e);
    if (rc == 0)
        str_copy(version, VERSION_SIZE, f.version);
    return rc;
}

/* Invariant 6, over all modules. first: the version of the first, which is known already. */
static int compare(struct db *db, struct planner *p, int64_t device_id, const char *first, struct judged *out,
                   struct err *e)
{
    size_t there = 0, asked = 0;
    for (size_t i = 0; i < p->module_count; i++) {
        char has[VERSION_SIZE], target[VERSION_SIZE];
        const struct way *way;
        int64_t goal;
        int rc = goal_version(db, p, i, out, target, &goal, e);
        if (rc < 0 || !goal) {
            if (rc < 0)
                return rc;
            continue; /* puts_back: this module was never touched */
        }
        str_copy(has, sizeof has, first);
        if (i > 0 && (rc = device_version_get(db, device_id, p->modules[i].module, has, e)) < 0)
            return rc;
        enum standing standing = version_standing(p->scheme, has, target);
        asked++;
        there += standing == STANDING_ON_TARGET;
        if (standing == STANDING_ON_TARGET)
            continue;
        if (standing == STANDING_ABOVE && !p->allow_downgrade) {
            out->verdict = VERDICT_ABOVE;
            snprintf(out->detail, sizeof out->detail, "module %s has %s, above %s", p->modules[i].module, has,
                     target);
            return 0;
        }
        if ((rc = way_find(db, &p->ways, goal, p->scheme, has, p->takes_deltas, &way, e)) < 0)
            return rc;
        out->bytes += way->bytes;
        if (!way->open) {
            out->verdict = VERDICT_NO_WAY;
            str_copy(out->detail, sizeof out->detail, way->text);
            return 0;
        }
    }
    if (there == asked && !out->at_work)
        out->verdict = VERDICT_THERE;
    return 0;
}

int planner_judge(struct db *db, struct planner *p, int64_t device_id, struct judged *out, struct err *e)
{
    char has[VERSION_SIZE];
    *out = (struct judged){.wave = NO_WAVE, .hash = device_hash(p->seeker.salt, device_id)};
    int rc = device_version_get(db, device_id, p->seeker.module, has, e);
    if (rc == 0)
        rc = membership(db, p, device_id, has, out, e);
    if (rc == 0 && out->verdict == VERDICT_QUEUED && p->source_id)
        rc = find_goals(db, p, device_id, out, e);
    if (rc == 0 && out->verdict == VERDICT_QUEUED)
        rc = compare(db, p, device_id, has, out, e);
    if (rc == 0 && out->verdict == VERDICT_QUEUED)
        rc = wave_of(db, &p->waves, device_id, out->hash, &out->wave, e);
    return rc;
}

/* ---- a whole plan */

typedef int visit_fn(struct db *db, struct planner *p, int64_t device_id, const struct judged *j, void *arg,
                     struct err *e);

static int visit_all(struct db *db, struct planner *p, visit_fn *visit, void *arg, struct err *e)
{
    int64_t ids[PAGE], after_id = 0;
    size_t n = PAGE;
    struct judged j;
    while (n == PAGE) {
        int rc = target_next(db, &p->seeker, after_id, INT64_MAX, ids, PAGE, &n, e);
        for (size_t i = 0; i < n && rc == 0; i++) {
            rc = planner_judge(db, p, ids[i], &j, e);
            if (rc == 0)
                rc = visit(db, p, ids[i], &j, arg, e);
        }
        if (rc < 0)
            return rc;
        after_id = n > 0 ? ids[n - 1] : after_id;
    }
    return 0;
}

static int visit_survey(struct db *db, struct planner *p, int64_t device_id, const struct judged *j,
                        void *arg, struct err *e)
{
    return j->verdict == VERDICT_QUEUED ? survey_add(db, arg, &p->waves, device_id, j->hash, e) : 0;
}

static int visit_count(struct db *db, struct planner *p, int64_t device_id, const struct judged *j, void *arg,
                       struct err *e)
{
    struct plan *plan = arg;
    (void)db, (void)p, (void)device_id, (void)e;
    if (j->verdict == VERDICT_OUTSIDE)
        return 0;
    plan->verdicts[j->verdict]++;
    plan->devices += j->verdict >= VERDICT_QUEUED;
    if (j->verdict == VERDICT_QUEUED) {
        plan->waves[j->wave]++;
        plan->bytes += j->bytes;
    }
    return 0;
}

/* When what takes so long from at_ms on is over, where work goes on in the window alone. */
static int64_t through_windows(const struct window *w, const struct zone *z, int64_t at_ms, int64_t span_ms)
{
    if (!w->given || window_by_device(w)) /* somewhere it is open */
        return at_ms + span_ms;
    for (;;) {
        int64_t open_ms = window_next_open(w, z, at_ms);
        if (open_ms == INT64_MAX)
            return INT64_MAX;
        int64_t close_ms = window_next_close(w, z, open_ms);
        if (close_ms == INT64_MAX || close_ms - open_ms > span_ms)
            return open_ms + span_ms;
        span_ms -= close_ms - open_ms;
        at_ms = close_ms;
    }
}

/* Each device takes no time but its hold-off; nobody is away, nothing fails. */
static int64_t earliest_end(const struct campaign_spec *spec, const struct plan *plan,
                            const struct zone *zone, int64_t now_ms)
{
    const struct policy *policy = &spec->policy;
    int64_t at_ms = policy->start_at_ms > now_ms ? policy->start_at_ms : now_ms;
    for (size_t i = 0; i < plan->wave_count && at_ms < INT64_MAX; i++) {
        int64_t n = plan->waves[i], slots = policy->max_in_flight, span_ms = 0;
        if (n > 0)
            span_ms = (n - 1) * pace_interval_us(policy->rate_per_minute) / 1000;
        if (n > 0 && slots && (n - 1) / slots * policy->health_hold_off_ms > span_ms)
            span_ms = (n - 1) / slots * policy->health_hold_off_ms;
        if (n > 0)
            at_ms = through_windows(&policy->window, zone, at_ms, span_ms);
        if (at_ms < INT64_MAX && n > 0)
            at_ms += policy->health_hold_off_ms;
        if (at_ms < INT64_MAX && i + 1 < plan->wave_count)
            at_ms += spec->waves.at[i].soak_ms;
    }
    return policy->end_at_ms && at_ms > policy->end_at_ms ? INT64_MAX : at_ms;
}

static int make_plan(struct db *db, const struct campaign_spec *spec, struct planner *p, int64_t now_ms,
                     struct plan *out, struct err *e)
{
    const struct zone *zone = NULL;
    int rc = 0;
    memset(out, 0, sizeof *out);
    out->wave_count = p->waves.n;
    if (waves_need_survey(&p->waves)) {
        struct survey survey = {0};
        rc = visit_all(db, p, visit_survey, &survey, e);
        for (bool done = false; rc == 0 && !done;)
            rc = survey_settle(&survey, &p->waves, &done, e);
        survey_clear(&survey);
    }
    if (rc == 0)
        rc = visit_all(db, p, visit_count, out, e);
    if (rc == 0 && spec->policy.window.given && !window_by_device(&spec->policy.window)) {
        zone = zone_get(spec->policy.window.tz, e);
        rc = zone ? 0 : -(int)e->code;
    }
    if (rc == 0)
        out->earliest_end_at_ms = earliest_end(spec, out, zone, now_ms);
    return rc;
}

int campaign_plan(struct db *db, const struct campaign_spec *spec, int64_t now_ms, struct plan *out,
                  struct err *e)
{
    struct campaign_module modules[CAMPAIGN_FIRMWARE_MAX];
    struct product product;
    struct planner *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_INTERNAL, "out of memory");
    int rc = campaign_check(db, spec, now_ms, modules, e);
    if (rc == 0)
        rc = product_get_id(db, modules[0].product_id, &product, e);
    if (rc == 0)
        rc = planner_of_spec(db, spec, modules, &product, p, e);
    if (rc == 0)
        rc = make_plan(db, spec, p, now_ms, out, e);
    planner_clear(p);
    free(p);
    return rc;
}
